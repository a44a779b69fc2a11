//! What world do the end-to-end tests live in? A daemon and its containers, each in a network namespace of the test's own.
//!
//! Nothing here touches the machine's own network: a namespace is held by a process that ends with the test, and with it go
//! the interfaces in it. Processes are ended by their id, when what holds them is dropped.
//!
//! | file | the question |
//! | --- | --- |
//! | `mod.rs` | how is the daemon started, asked, killed? |
//! | `host.rs` | what is a container, and what runs in it? |
//! | `sandbox.rs` | what is left of a lab? |
//! | `wire.rs` | how does a test send a frame, and see the ones that arrive? |
//! | `flow.rs` | does a stream arrive as it was sent? |
//! | `path.rs` | what path has nothing of Lanyard in it? |

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod flow;
pub(crate) mod host;
pub(crate) mod path;
pub(crate) mod sandbox;
pub(crate) mod wire;

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use host::{Host, Outcome, Running};

/// Longer than anything should take, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test.
pub(crate) const LANYARD: &str = env!("CARGO_BIN_EXE_lanyard");

/// What installs the programs that tests need, for whoever has none of them.
const INSTALLER: &str = include_str!("../../test");

/// May this test run here? If not, it says so; where nothing may be skipped that is a failure.
pub(crate) fn ready(test: &str, programs: &[&str]) -> bool {
    let unknown = programs.iter().find(|program| !INSTALLER.contains(&format!("\"{program} ")));
    assert_eq!(unknown, None, "{test} needs a program that tools/test does not install");
    let missing = if nix::unistd::geteuid().is_root() {
        let found = |program: &&&str| !Command::new("which").arg(program).output().is_ok_and(|o| o.status.success());
        programs.iter().find(found).map(|program| (*program).to_owned())
    } else {
        Some("root".to_owned())
    };
    let Some(missing) = missing else { return true };
    skip(test, &missing);
    false
}

/// This test cannot run here, and says so; where nothing may be skipped that is a failure.
pub(crate) fn skip(test: &str, missing: &str) {
    let required = std::env::var("LANYARD_REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "{test} needs {missing}, and LANYARD_REQUIRE=all allows no skipping");
    println!("SKIPPED: {test} needs {missing}");
}

/// Try until `done` is, every few milliseconds; how long it took. Fails after `patience`.
pub(crate) fn wait_for(what: &str, patience: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    loop {
        let elapsed = start.elapsed();
        if done() {
            return elapsed;
        }
        assert!(elapsed < patience, "{what}: not within {patience:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The pieces stand in the text in this order.
pub(crate) fn assert_tells(text: &str, pieces: &[&str]) {
    let mut rest = text;
    for piece in pieces {
        let found = rest.find(piece).unwrap_or_else(|| panic!("'{piece}' is missing, or not in its place:\n{text}"));
        rest = &rest[found + piece.len()..];
    }
}

/// The kinds of port that a container can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tap,
    TapWire,
    Veth,
    VethWire,
    Xdp,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Tap, Self::TapWire, Self::Veth, Self::VethWire, Self::Xdp];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Tap => "--kind tap",
            Self::TapWire => "--kind tap --offload off",
            Self::Veth => "--kind veth",
            Self::VethWire => "--kind veth --offload off",
            Self::Xdp => "--kind xdp",
        }
    }

    /// A name for a container with such a port.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::TapWire => "wire",
            Self::Veth => "veth",
            Self::VethWire => "vethwire",
            Self::Xdp => "xdp",
        }
    }
}

/// A daemon in a namespace of its own, with its socket and state in a folder of its own.
pub(crate) struct World {
    daemon: RefCell<Option<Running>>,
    workers: usize,
    /// The namespace that the daemon runs in.
    pub(crate) home: Host,
    folder: TempDir,
}

impl World {
    /// A world whose daemon runs.
    pub(crate) fn new(workers: usize) -> Self {
        let world = Self::asleep(workers);
        world.start();
        world
    }

    /// A world whose daemon has not been started.
    pub(crate) fn asleep(workers: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { daemon: RefCell::new(None), workers, home: Host::new("home"), folder }
    }

    /// A world whose daemon runs, with a network `blue`, 10.20.0.0/24.
    pub(crate) fn with_blue(workers: usize, settings: &str) -> Self {
        let world = Self::new(workers);
        world.done(&format!("network create blue --subnet 10.20.0.0/24 {settings}"));
        world
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What the daemon that was started last has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The words that start the daemon.
    pub(crate) fn run_words(&self) -> Vec<String> {
        let state = self.state().to_str().unwrap().to_owned();
        ["run", "--workers", &self.workers.to_string(), "--state-dir", &state].map(str::to_owned).to_vec()
    }

    /// Start the daemon; it listens when this returns.
    pub(crate) fn start(&self) {
        self.start_by(self.home.command(LANYARD));
    }

    /// The same, with more words behind the usual ones.
    pub(crate) fn start_with(&self, more: &str) {
        self.start_saying(self.home.command(LANYARD), more);
    }

    /// Start the daemon by a command that only lacks its words.
    pub(crate) fn start_by(&self, command: Command) {
        self.start_saying(command, "");
    }

    fn start_saying(&self, mut command: Command, more: &str) {
        assert!(self.daemon.borrow().is_none(), "it runs already");
        command
            .args(self.run_words())
            .args(more.split_whitespace())
            .env("LANYARD_SOCKET", self.socket())
            .env_remove("RUST_LOG");
        command.stderr(fs::File::create(self.log_file()).unwrap());
        let mut daemon = Running::start(&mut command);
        let mut line = String::new();
        BufReader::new(daemon.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("listens"), "the daemon says '{line}'; its log: {}", self.log());
        self.daemon.replace(Some(daemon));
    }

    /// End the daemon by a signal; its exit code, if it has one.
    pub(crate) fn end(&self, signal: Signal) -> Option<i32> {
        let daemon = self.daemon.take().expect("it runs");
        daemon.signal(signal);
        daemon.finish(PATIENCE).code
    }

    /// The daemon's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.borrow().as_ref().expect("it runs").pid()
    }

    /// How many file descriptors the daemon has open, once the connections of those who asked something are closed.
    pub(crate) fn descriptors(&self) -> usize {
        let count = |pause: u64| {
            thread::sleep(Duration::from_millis(pause));
            fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
        };
        (0..8).map(|_| count(5)).min().unwrap()
    }

    /// The CPU time that the daemon has used (proc(5), the fields `utime` and `stime` of `stat`).
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let user: u64 = fields.nth(11).unwrap().parse().unwrap();
        let system: u64 = fields.next().unwrap().parse().unwrap();
        // USER_HZ is 100 on every architecture that Debian has.
        Duration::from_millis((user + system) * 10)
    }

    /// The CPU time that the daemon uses while this much time passes.
    pub(crate) fn cpu_time_in(&self, time: Duration) -> Duration {
        let before = self.cpu_time();
        thread::sleep(time);
        self.cpu_time().saturating_sub(before)
    }

    /// Run `lanyard` with these words, to its end.
    pub(crate) fn lanyard(&self, words: &str) -> Outcome {
        Outcome::of(self.command().args(words.split_whitespace()).output().expect("the program starts"))
    }

    /// `lanyard`, with the daemon's socket.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(LANYARD);
        command.env("LANYARD_SOCKET", self.socket()).env_remove("RUST_LOG");
        command
    }

    /// The same; it must succeed and say nothing on standard error.
    pub(crate) fn done(&self, words: &str) -> String {
        let outcome = self.lanyard(words);
        assert!(outcome.code == Some(0) && outcome.err.is_empty(), "lanyard {words}: {outcome:?}\n{}", self.log());
        outcome.out
    }

    /// The same, with `--json`.
    pub(crate) fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.done(&format!("{words} --json"))).expect("JSON")
    }

    /// The rows of a list for which `keep` holds.
    pub(crate) fn rows(&self, words: &str, keep: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.json(words).as_array().unwrap().iter().filter(|row| keep(row)).cloned().collect()
    }

    /// How many frames were dropped for this reason, on all networks.
    pub(crate) fn drops(&self, reason: &str) -> u64 {
        let rows = self.rows("show drops", |row| row["reason"] == reason);
        rows.iter().map(|row| row["count"].as_u64().unwrap()).sum()
    }

    /// The learned, static or gateway entries of a network that are on this endpoint.
    pub(crate) fn macs_on(&self, endpoint: &str) -> Vec<Value> {
        self.rows("show mac", |row| row["endpoint"] == endpoint)
    }

    /// `up`, `down`, `gone`, or nothing when `show ports` has no such endpoint.
    pub(crate) fn state_of(&self, endpoint: &str) -> String {
        let rows = self.rows("show ports", |row| row["endpoint"] == endpoint);
        rows.first().map_or_else(String::new, |row| row["state"].as_str().unwrap().to_owned())
    }

    /// Connect a container to a network, under its own name.
    pub(crate) fn connect(&self, network: &str, host: &Host, kind: Kind, more: &str) -> Value {
        let (name, pid, kind) = (host.name(), host.pid(), kind.words());
        let info = self.json(&format!("network connect {network} --netns pid:{pid} --endpoint {name} {kind} {more}"));
        host.learn(&info);
        info
    }

    /// A new container on network `blue`.
    pub(crate) fn host(&self, name: &str, kind: Kind) -> Host {
        let host = Host::new(name);
        self.connect("blue", &host, kind, "");
        host
    }

    /// New containers h1, h2, .. on network `blue`, 10.20.0.2 onwards.
    pub(crate) fn hosts<const N: usize>(&self, kind: Kind) -> [Host; N] {
        std::array::from_fn(|index| self.host(&format!("h{}", index + 1), kind))
    }

    /// The same, and they say nothing unasked.
    pub(crate) fn quiet_hosts<const N: usize>(&self, kind: Kind) -> [Host; N] {
        std::array::from_fn(|index| {
            let host = Host::new(&format!("h{}", index + 1)).quiet();
            self.connect("blue", &host, kind, "");
            host
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            for what in ["show ports", "show drops", "show workers"] {
                println!("{}", self.lanyard(what).out);
            }
            println!("the daemon's log:\n{}", self.log());
        }
    }
}
