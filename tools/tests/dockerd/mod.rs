//! What world do the tests with a real Docker Engine live in? A dockerd and a switch that share namespaces of their own
//! (mounts, network, processes), so that `/run/docker/plugins` and the firewall are theirs alone, and that nothing is left
//! when the first process of that world ends.
//!
//! The image is made here, of one static program (`busybox`): no registry is asked. Containers' processes are in control
//! groups below one that is this world's, and removed with it.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod net;

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::host::send_signal;
use crate::harness::{Host, LANYARD, Outcome, PATIENCE, Running, wait_for};

/// Longer than Docker takes for anything, when it does not wait for a plugin that is not there.
pub(crate) const DOCKER_PATIENCE: Duration = Duration::from_secs(60);

/// What these tests need of the machine.
pub(crate) const PROGRAMS: &[&str] =
    &["dockerd", "/usr/bin/docker", "busybox", "nft", "iptables", "ip", "curl", "unshare", "nsenter", "setpriv"];

/// The commands of busybox that the image has.
const COMMANDS: &str =
    "sh wget ping ping6 nslookup ip nc sleep httpd cat arping hostname ls echo traceroute route grep ifconfig";

/// What the first process of the world does: private places for sockets and settings, and every orphan's funeral. IPv6 is
/// forwarded already: whoever turns it on closes `FORWARD` for good, and the same before and after would not be the same.
const FIRST: &str = "mount -t tmpfs none /run && mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && \
    mkdir -p /run/docker/plugins /run/lock /run/netns && ip link set lo up && \
    echo 1 > /proc/sys/net/ipv6/conf/all/forwarding && echo ready && \
    while :; do wait; sleep 0.1; done";

/// A Docker Engine and a switch.
pub(crate) struct Engine {
    switch: RefCell<Option<Running>>,
    dockerd: RefCell<Option<Running>>,
    /// What holds the world, and the world's first process.
    holder: RefCell<Running>,
    first: u32,
    folder: TempDir,
    /// Is `iptables` the legacy one?
    legacy: Cell<bool>,
}

impl Engine {
    /// Both run.
    pub(crate) fn new() -> Self {
        let engine = Self::asleep();
        engine.start_switch();
        engine.start_dockerd("");
        engine.make_image();
        engine
    }

    /// Both run, where `iptables` is `iptables-legacy`.
    pub(crate) fn with_legacy_iptables() -> Self {
        let engine = Self::asleep();
        engine
            .host(
                "mkdir /run/bin && for name in iptables ip6tables; do for what in '' -save -restore; do \
                 ln -s /usr/sbin/$name-legacy$what /run/bin/$name$what || exit 1; done; done",
            )
            .ok();
        engine.legacy.set(true);
        engine.start_switch();
        engine.start_dockerd("");
        engine.make_image();
        engine
    }

    /// Neither has been started.
    pub(crate) fn asleep() -> Self {
        let (holder, first) = begin();
        let folder = tempfile::tempdir().expect("a folder");
        let (switch, dockerd) = (RefCell::new(None), RefCell::new(None));
        Self { switch, dockerd, holder: RefCell::new(holder), first, folder, legacy: Cell::new(false) }
    }

    /// The power fails, and the machine starts anew: the disk is as it was, and nothing else. Neither has been started.
    pub(crate) fn reboot(&mut self) {
        self.end();
        let (holder, first) = begin();
        (self.holder, self.first) = (RefCell::new(holder), first);
        let boot_id = self.file("boot_id");
        let line = "cat /proc/sys/kernel/random/uuid > $ID && mount --bind $ID /proc/sys/kernel/random/boot_id";
        self.host(&line.replace("$ID", boot_id.to_str().unwrap())).ok();
    }

    /// The world's first process takes every other along.
    fn end(&mut self) {
        self.switch.take();
        self.dockerd.take();
        let _ = send_signal(self.first, Signal::SIGKILL);
        let _ = self.holder.borrow_mut().child.kill();
        let _ = self.holder.borrow_mut().child.wait();
        self.remove_groups();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command in the world; it ends with its parent.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first.to_string(), "-m", "-n", "-p", "--"]);
        command.args(["setpriv", "--pdeathsig", "KILL", "--", program]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("LC_ALL", "C").env("LANYARD_SOCKET", self.file("control.sock")).env_remove("RUST_LOG");
        if self.legacy.get() {
            command.env("PATH", format!("/run/bin:{}", std::env::var("PATH").unwrap()));
        }
        command
    }

    /// Run a shell's line on the host of that world.
    pub(crate) fn host(&self, line: &str) -> Outcome {
        Running::start(self.command("sh").args(["-c", line])).finish(DOCKER_PATIENCE)
    }

    /// Start the switch; it listens when this returns.
    pub(crate) fn start_switch(&self) {
        self.start_switch_with("");
    }

    /// The same, with more words.
    pub(crate) fn start_switch_with(&self, more: &str) {
        assert!(self.switch.borrow().is_none(), "it runs already");
        let mut command = self.command(LANYARD);
        command.args(["run", "--docker", "--workers", "2", "--state-dir"]).arg(self.file("state"));
        command.arg("--docker-socket").arg(self.file("docker.sock")).args(more.split_whitespace());
        let log = fs::File::options().append(true).create(true).open(self.file("switch.log")).unwrap();
        let mut switch = Running::start(command.stderr(log));
        let mut line = String::new();
        BufReader::new(switch.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("listens"), "the switch says '{line}'; its log: {}", self.switch_log());
        self.switch.replace(Some(switch));
    }

    /// The switch's own process.
    pub(crate) fn switch_pid(&self) -> u32 {
        child_of(self.switch.borrow().as_ref().expect("it runs").pid())
    }

    /// End the switch by a signal.
    pub(crate) fn end_switch(&self, signal: Signal) {
        let pid = self.switch_pid();
        send_signal(pid, signal).expect("it is alive");
        let switch = self.switch.take().expect("it runs");
        // `nsenter` stops with its child, and does not go on by itself when that is killed.
        switch.signal(Signal::SIGCONT);
        let _ = switch.finish(PATIENCE);
    }

    pub(crate) fn switch_log(&self) -> String {
        fs::read_to_string(self.file("switch.log")).unwrap_or_default()
    }

    /// Start dockerd; it answers when this returns.
    pub(crate) fn start_dockerd(&self, more: &str) {
        assert!(self.dockerd.borrow().is_none(), "it runs already");
        let mut command = self.command("dockerd");
        command.arg("--data-root").arg(self.file("data")).args(["--exec-root", "/run/dk-exec", "-p", "/run/dk.pid"]);
        command.arg("-H").arg(format!("unix://{}", self.file("docker.sock").display()));
        command.args(["--cgroup-parent", &self.group()]).args(more.split_whitespace());
        let log = fs::File::options().append(true).create(true).open(self.file("dockerd.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.dockerd.replace(Some(Running::start(&mut command)));
        wait_for("dockerd", DOCKER_PATIENCE, || {
            thread::sleep(Duration::from_millis(50));
            self.docker("version").code == Some(0)
        });
    }

    /// End dockerd by a signal, and nothing else with it: containers go on if it is a sudden end.
    pub(crate) fn end_dockerd(&self, signal: Signal) {
        let dockerd = self.dockerd.take().expect("it runs");
        send_signal(child_of(dockerd.pid()), signal).expect("it is alive");
        let _ = dockerd.finish(DOCKER_PATIENCE);
        let _ = fs::remove_file(self.file("docker.sock"));
        self.host("rm -f /run/dk.pid");
    }

    /// The image `busybox`.
    pub(crate) fn make_image(&self) {
        let root = self.file("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("tmp")).unwrap();
        let links: Vec<String> = COMMANDS.split(' ').map(|name| format!("ln -sf busybox {name};")).collect();
        let commands = links.join(" ");
        let line = format!(
            "cp $(command -v busybox) {root}/bin/busybox && cd {root}/bin && {commands} \
             tar -C {root} -c . | /usr/bin/docker -H unix://{sock} import - busybox",
            root = root.display(),
            sock = self.file("docker.sock").display()
        );
        self.host(&line).ok();
    }

    /// Run `docker` with these words, to its end.
    pub(crate) fn docker(&self, words: &str) -> Outcome {
        self.docker_args(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// The same with words that may have blanks in them.
    pub(crate) fn docker_args(&self, words: &[&str]) -> Outcome {
        let mut command = self.command("/usr/bin/docker");
        command.arg("-H").arg(format!("unix://{}", self.file("docker.sock").display())).args(words);
        Running::start(&mut command).finish(DOCKER_PATIENCE)
    }

    /// The same; it must succeed. What it printed, without the blanks around it.
    pub(crate) fn done(&self, words: &str) -> String {
        let outcome = self.docker(words);
        assert_eq!(outcome.code, Some(0), "docker {words}: {outcome:?}\n{}", self.switch_log());
        outcome.out.trim().to_owned()
    }

    /// A shell's line in a container that is there.
    pub(crate) fn exec(&self, container: &str, line: &str) -> Outcome {
        self.docker_args(&["exec", container, "sh", "-c", line])
    }

    /// A container that stays, with these words before the image's name.
    pub(crate) fn stay(&self, name: &str, words: &str) {
        self.done(&format!("run -d --name {name} {words} busybox sleep 1000"));
    }

    /// A container that serves its own name by HTTP on port 80, with these words before the image's name.
    pub(crate) fn serve(&self, name: &str, words: &str) {
        let script = format!("echo {name} > /tmp/index.html; exec httpd -f -p 80 -h /tmp");
        let mut all = vec!["run", "-d", "--name", name];
        all.extend(words.split_whitespace());
        all.extend(["busybox", "sh", "-c", &script]);
        let outcome = self.docker_args(&all);
        assert_eq!(outcome.code, Some(0), "{outcome:?}\n{}", self.switch_log());
    }

    /// What `docker inspect` says.
    pub(crate) fn inspect(&self, what: &str) -> Value {
        let text = self.done(&format!("inspect {what}"));
        serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
    }

    /// What `lanyard` says with `--json`.
    pub(crate) fn lanyard(&self, words: &str) -> Value {
        let outcome =
            Running::start(self.command(LANYARD).args(words.split_whitespace()).arg("--json")).finish(PATIENCE);
        assert_eq!(outcome.code, Some(0), "lanyard {words}: {outcome:?}\n{}", self.switch_log());
        serde_json::from_str(&outcome.out).expect("JSON")
    }

    /// What `curl` gets on the host of that world; nothing if it gets nothing within two seconds.
    pub(crate) fn curl(&self, url: &str) -> String {
        self.host(&format!("curl -s -g -m 2 {url}")).out.trim().to_owned()
    }

    /// Another machine, `name`, joined to the host of that world by a cable: the host's end is `out0` with 192.0.2.1 and
    /// `2001:db8::1`, the other's `eth0` with 192.0.2.2 and `2001:db8::2`. The host sends there what is for elsewhere; the
    /// other knows no way back to the containers.
    pub(crate) fn outside(&self, name: &str) -> Host {
        let outside = Host::new(name);
        let pid = outside.pid();
        // By numbers that mean something to this process, not to one in the world.
        let home = format!("--net=/proc/{}/ns/net", self.first);
        let words = format!("{home} ip link add out0 type veth peer name eth0 netns {pid}");
        let made = Command::new("nsenter").args(words.split(' ')).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        self.host(
            "ip addr add 192.0.2.1/24 dev out0 && ip -6 addr add 2001:db8::1/64 dev out0 nodad && ip link set out0 up && \
             ip route add default via 192.0.2.2 && ip -6 route add default via 2001:db8::2",
        )
        .ok();
        for words in
            ["ip addr add 192.0.2.2/24 dev eth0", "ip -6 addr add 2001:db8::2/64 dev eth0 nodad", "ip link set eth0 up"]
        {
            outside.run(words).ok();
        }
        outside
    }

    /// Interfaces, rules and namespaces of the host of that world, as text: the same before and after is nothing left.
    pub(crate) fn traces(&self) -> String {
        let counted = "s/packets [0-9]* bytes [0-9]*//; s/\\[[0-9]*:[0-9]*\\]//";
        self.host(&format!(
            "ip -o link | cut -d: -f2; ip -o addr | awk '{{print $2, $4}}'; ip route; nft list ruleset | sed '{counted}'; \
             iptables-save | grep -v '^#' | sed '{counted}'; ls /run/docker/netns 2>/dev/null; true"
        ))
        .ok()
    }

    fn group(&self) -> String {
        format!("/lanyard-test-{}", self.first)
    }

    /// Remove the control groups, once nobody is in them.
    fn remove_groups(&self) {
        let find =
            format!("find /sys/fs/cgroup -depth -type d -path '*{}*' -exec rmdir {{}} + 2>/dev/null", self.group());
        let count = format!("find /sys/fs/cgroup -type d -path '*{}*' | wc -l", self.group());
        for _ in 0..100 {
            let _ = Command::new("sh").args(["-c", &find]).status();
            let left = Command::new("sh").args(["-c", &count]).output();
            if left.is_ok_and(|left| left.stdout == b"0\n") {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A world with nothing in it: what holds it, and its first process.
fn begin() -> (Running, u32) {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "bash", "-c", FIRST]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut holder = Running::start(&mut command);
    let mut line = String::new();
    BufReader::new(holder.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "the world does not begin");
    let first = child_of(holder.pid());
    (holder, first)
}

/// The process that `nsenter` or `unshare` has started.
fn child_of(pid: u32) -> u32 {
    let mut found = None;
    wait_for("a child", PATIENCE, || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        found = children.split_whitespace().next().and_then(|child| child.parse().ok());
        found.is_some()
    });
    found.unwrap()
}

impl Drop for Engine {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("the switch's log:\n{}", self.switch_log());
            let log = fs::read_to_string(self.file("dockerd.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            println!("dockerd's log, backwards:\n{}", last.join("\n"));
        }
        self.end();
    }
}
