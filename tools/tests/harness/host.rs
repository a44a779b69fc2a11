//! What is a container here, and how does a test run something in it?
//!
//! A process (`cat`, reading a pipe that only the test holds) keeps the namespace; when the test ends, however it ends, the
//! pipe closes, the process ends and the kernel takes the namespace away.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use frame::MacAddr;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::wait_for;

/// What a process said, and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Self {
        let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It must have ended well; what it said.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }
}

/// A process that is ended, by its id, when this is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    /// Start it, with standard output and error in pipes where the command names nothing else.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Send a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal).expect("it is alive");
    }

    /// Wait for its end; what it said on what was left in pipes.
    pub(crate) fn finish(mut self, patience: Duration) -> Outcome {
        let deadline = Instant::now() + patience;
        let out = read_all(self.child.stdout.take().map(|pipe| Box::new(pipe) as _));
        let err = read_all(self.child.stderr.take().map(|pipe| Box::new(pipe) as _));
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end within {patience:?}");
            thread::sleep(Duration::from_millis(2));
        };
        // Longer than a process lives, its pipes are open only if it left somebody behind.
        let text = |pipe: Receiver<Vec<u8>>| pipe.recv_timeout(patience).expect("its output is still open");
        let output = Output { status, stdout: text(out), stderr: text(err) };
        let mut outcome = Outcome::of(output);
        if let Some(signal) = status.signal() {
            outcome.err += "ended by signal ";
            outcome.err += &signal.to_string();
        }
        outcome
    }
}

/// Everything that comes out of a pipe, when it is closed.
fn read_all(pipe: Option<Box<dyn Read + Send>>) -> Receiver<Vec<u8>> {
    let (sender, text) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        pipe.map(|mut pipe| pipe.read_to_end(&mut text));
        let _ = sender.send(text); // nobody listens when the test has failed already
    });
    text
}

/// Send a signal to a process.
pub(crate) fn send_signal(pid: u32, signal: Signal) -> nix::Result<()> {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal)
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A network namespace that a process holds: a container, or where the daemon is at home.
pub(crate) struct Host {
    name: String,
    anchor: RefCell<Running>,
    addresses: RefCell<(IpAddr, MacAddr)>,
}

impl Host {
    /// A namespace with nothing in it but `lo`, which is up. Links come up without duplicate address detection, so that a
    /// link-local address can be used at once.
    pub(crate) fn new(name: &str) -> Self {
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let mut command = Command::new("unshare");
        command.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let anchor = Running::start(&mut command);
        let path = format!("/proc/{}/ns/net", anchor.pid());
        wait_for("a namespace", super::PATIENCE, || fs::read_link(&path).is_ok_and(|namespace| namespace != own));
        let addresses = RefCell::new((Ipv4Addr::UNSPECIFIED.into(), MacAddr([0; 6])));
        let host = Self { name: name.to_owned(), anchor: RefCell::new(anchor), addresses };
        host.inside(|| {
            for (key, value) in [("default/accept_dad", "0"), ("default/router_solicitations", "0")] {
                fs::write(format!("/proc/sys/net/ipv6/conf/{key}"), value).unwrap();
            }
        });
        host.run("ip link set lo up").ok();
        host
    }

    /// Let it say nothing of its own accord: without IPv6 a new interface is silent.
    pub(crate) fn quiet(self) -> Self {
        self.inside(|| fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap());
        self
    }

    /// What `network connect` said of it.
    pub(crate) fn learn(&self, info: &Value) {
        let ip = info["ip"].as_str().unwrap().split('/').next().unwrap().parse().unwrap();
        *self.addresses.borrow_mut() = (ip, info["mac"].as_str().unwrap().parse().unwrap());
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.addresses.borrow().0
    }

    pub(crate) fn mac(&self) -> MacAddr {
        self.addresses.borrow().1
    }

    pub(crate) fn pid(&self) -> u32 {
        self.anchor.borrow().pid()
    }

    /// The namespace, as a number.
    pub(crate) fn namespace(&self) -> String {
        fs::read_link(format!("/proc/{}/ns/net", self.pid())).unwrap().to_string_lossy().into_owned()
    }

    /// End the process that holds the namespace.
    pub(crate) fn kill(&self) {
        let mut anchor = self.anchor.borrow_mut();
        anchor.child.kill().unwrap();
        anchor.child.wait().unwrap();
    }

    /// A command in the namespace; the process that is started is the program itself, and ends with its parent.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid()));
        command.args(["setpriv", "--pdeathsig", "KILL", "--", program]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("LC_ALL", "C");
        command
    }

    /// Run a program with its words, to its end.
    pub(crate) fn run(&self, words: &str) -> Outcome {
        self.spawn(words).finish(super::PATIENCE)
    }

    /// Start a program with its words.
    pub(crate) fn spawn(&self, words: &str) -> Running {
        let mut words = words.split_whitespace();
        Running::start(self.command(words.next().unwrap()).args(words))
    }

    /// Do something in the namespace, on a thread of its own.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        let enter = || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|fault| std::panic::resume_unwind(fault))
    }

    /// The interfaces, without `lo`.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let text = self.run("ip -br link").ok();
        let names = text.lines().filter_map(|line| line.split(['@', ' ']).next()).filter(|name| *name != "lo");
        names.map(str::to_owned).collect()
    }

    /// Ping with these words; what came of it.
    pub(crate) fn ping(&self, words: &str) -> Pings {
        Pings::read(&self.run(&format!("ping -n {words}")).out)
    }
}

/// What `ping` counted.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Pings {
    pub(crate) sent: u32,
    pub(crate) received: u32,
    pub(crate) duplicates: bool,
    pub(crate) text: String,
}

impl Pings {
    /// Read the line `N packets transmitted, M received, ...`.
    pub(crate) fn read(text: &str) -> Self {
        let line = text.lines().find(|line| line.contains("packets transmitted")).unwrap_or_default();
        let numbers: Vec<u32> =
            line.split(',').take(2).filter_map(|part| part.split_whitespace().next()?.parse().ok()).collect();
        let [sent, received] = numbers[..] else { panic!("no ping: {text}") };
        // The payload is compared by ping itself, octet by octet.
        let duplicates = line.contains("duplicates") || text.contains("wrong data byte") || text.contains("(DUP!)");
        Self { sent, received, duplicates, text: text.to_owned() }
    }

    /// Every one came back, once, unharmed.
    pub(crate) fn is_perfect(&self) -> bool {
        self.sent > 0 && self.sent == self.received && !self.duplicates && !self.text.contains("errors")
    }

    /// The sequence numbers that were answered.
    pub(crate) fn answered(&self) -> Vec<u32> {
        let number = |line: &str| line.split_once("icmp_seq=")?.1.split_whitespace().next()?.parse().ok();
        self.text.lines().filter(|line| line.contains("bytes from")).filter_map(number).collect()
    }
}
