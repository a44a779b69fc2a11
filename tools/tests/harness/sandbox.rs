//! Where do the lab's own tests live? In a machine within the machine: namespaces for processes, mounts and network, so that
//! what is left behind can be counted, folders are nobody else's, and the box's end is the end of everything in it.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{LANYARD, Outcome, PATIENCE, Running, wait_for};

/// Who runs the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Nobody,
}

/// Both.
pub(crate) const USERS: [User; 2] = [User::Root, User::Nobody];

/// A machine within the machine. Its processes end with it.
pub(crate) struct Sandbox {
    _anchor: Running,
    /// The first process in it.
    pub(crate) init: u32,
    user: User,
}

impl Sandbox {
    pub(crate) fn new(user: User) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "cat"]);
        let anchor = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::null()));
        wait_for("the box", PATIENCE, || {
            let child = children(anchor.pid()).first().copied();
            child.is_some_and(|child| {
                fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "cat\n")
            })
        });
        let init = children(anchor.pid())[0];
        let sandbox = Self { _anchor: anchor, init, user };
        let script = format!(
            "mount -t tmpfs -o mode=755 tmpfs /run && cp {LANYARD} /run/lanyard && mount -t tmpfs -o mode=1777 tmpfs /tmp"
        );
        let mut command = sandbox.enter();
        command.args(["sh", "-c", &script]);
        Running::start(&mut command).finish(PATIENCE).ok();
        sandbox
    }

    pub(crate) fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init)).args(["--mount", "--net", "--pid", "--wd=/", "--"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `lanyard` in the box, in an empty environment.
    pub(crate) fn command(&self) -> Command {
        self.command_with(&[])
    }

    /// `lanyard` in the box, with these variables and no others.
    pub(crate) fn command_with(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = self.enter();
        command.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]);
        command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        if self.user == User::Nobody {
            command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        }
        command.arg("/run/lanyard");
        command
    }

    pub(crate) fn lanyard(&self, words: &[&str]) -> Outcome {
        Running::start(self.command().args(words)).finish(PATIENCE)
    }

    pub(crate) fn done(&self, words: &[&str]) -> String {
        let outcome = self.lanyard(words);
        assert!(outcome.code == Some(0) && outcome.err.is_empty(), "{:?} {words:?}: {outcome:?}", self.user);
        outcome.out
    }

    /// Write a file in the box.
    pub(crate) fn write(&self, path: &str, octets: &[u8]) {
        fs::write(format!("/proc/{}/root{path}", self.init), octets).unwrap();
    }

    /// The processes in the box but the first, by their ids outside.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = namespace(self.init);
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        // The first process looks after nobody: what has ended stays in the list, as a name without memory.
        let is_alive = |pid: u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty());
        pids.filter(|pid: &u32| *pid != self.init && namespace(*pid) == own && is_alive(*pid)).collect()
    }

    pub(crate) fn names_of_processes(&self) -> Vec<String> {
        let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok();
        self.processes().into_iter().filter_map(name).map(|name| name.replace('\0', " ")).collect()
    }

    pub(crate) fn interfaces(&self) -> String {
        let mut command = self.enter();
        command.args(["ip", "-o", "link"]);
        Running::start(&mut command).finish(PATIENCE).ok()
    }

    /// No process, and with them no namespace; no interface but `lo`; no folder of a lab.
    pub(crate) fn is_empty(&self) {
        let start = Instant::now();
        while !self.processes().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(3), "left behind: {:?}", self.names_of_processes());
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.interfaces().lines().count(), 1, "{}", self.interfaces());
        let mut command = self.enter();
        command.args(["find", "/tmp", "/run", "-name", "lanyard-*"]);
        assert_eq!(Running::start(&mut command).finish(PATIENCE).ok(), "");
    }
}

/// The processes that a process started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
