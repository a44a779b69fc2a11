//! Does `lanyard run` keep its word: networks come and go, state survives, nothing said to the socket does harm?
//!
//! No interface and no namespace is made here, only networks; the daemon is the real one, in a folder of its own. It needs
//! root: without, each test says so loudly, and fails where `LANYARD_REQUIRE=all` is set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{assert_done, assert_refused, err, lanyard, out, run};
use tempfile::TempDir;

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// Say why a test cannot run here. Where nothing may be skipped that is a failure.
fn skipped(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return false;
    }
    let required = std::env::var("LANYARD_REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "{test}: needs root, and LANYARD_REQUIRE=all allows no skipping");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: needs root");
    true
}

/// A running daemon; it is killed, by its id, if the test does not end it.
struct Daemon {
    child: Child,
    socket: PathBuf,
    state: PathBuf,
}

impl Daemon {
    fn start(folder: &TempDir) -> Self {
        let (socket, state) = (folder.path().join("control.sock"), folder.path().join("state"));
        let mut child = Self::command(&socket, &state).spawn().expect("the daemon starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (sender, first_line) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let mut daemon = Self { child, socket, state };
        let line = first_line.recv_timeout(PATIENCE).unwrap_or_default();
        if !line.contains(daemon.socket.to_str().unwrap()) {
            let output = daemon.end(Signal::SIGKILL);
            panic!("the first line is '{line}'; the log: {}", err(&output));
        }
        daemon
    }

    fn command(socket: &Path, state: &Path) -> std::process::Command {
        let mut command = lanyard(socket);
        command.args(["run", "--workers", "1", "--state-dir"]).arg(state);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn run(&self, words: &str) -> Output {
        run(&self.socket, &words.split_whitespace().collect::<Vec<_>>())
    }

    fn done(&self, words: &str) -> String {
        assert_done(&self.run(words))
    }

    fn json(&self, words: &str) -> serde_json::Value {
        serde_json::from_str(&self.done(&format!("{words} --json"))).expect("JSON")
    }

    fn names(&self) -> Vec<String> {
        let networks = self.json("network ls");
        let names = networks.as_array().unwrap().iter().map(|network| network["name"].as_str().unwrap().to_owned());
        names.collect()
    }

    /// Send it a signal and wait for its end.
    fn end(&mut self, signal: Signal) -> Output {
        kill(self.pid(), signal).expect("it is alive");
        self.wait()
    }

    fn wait(&mut self) -> Output {
        let mut stderr = self.child.stderr.take().expect("a pipe");
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            text
        });
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        Output { status, stdout: Vec::new(), stderr: reader.join().expect("the log") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn networks_come_and_go() {
    if skipped("networks_come_and_go") {
        return;
    }
    let folder = folder();
    let daemon = Daemon::start(&folder);
    assert_eq!(daemon.done("network ls").lines().count(), 1);
    let row = daemon.done("network create blue --subnet 10.20.0.0/24 --mtu 1400 -o arp=suppress");
    let columns: Vec<_> = row.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((columns[0], columns[1].len()), ("blue", 12), "{row}");
    assert_eq!(columns[2..], ["10.20.0.0/24", "10.20.0.1", "router", "1400", "0"], "{row}");

    daemon.done("network create red --gateway-mode none");
    assert_eq!(daemon.names(), ["blue", "red"]);
    let blue = daemon.json("network inspect blue");
    for key in ["name", "id", "subnet", "gateway", "gateway_mode", "mtu", "endpoints"] {
        assert!(!blue[key].is_null(), "{key}: {blue}");
    }
    assert_eq!((&blue["arp"], blue["id"].as_str().map(str::len)), (&"suppress".into(), Some(64)));
    assert!(daemon.json("network inspect red")["gateway"].is_null());
    assert!(daemon.done("network inspect blue").contains("10.20.0.1"));

    daemon.done("network create green");
    daemon.done("network peer blue green");
    assert_eq!(daemon.json("network inspect green")["peers"], serde_json::json!(["blue"]));
    daemon.done("network peer green blue --remove");
    assert_eq!(daemon.json("network inspect blue")["peers"], serde_json::json!([]));

    daemon.done("network rm red");
    assert_eq!(daemon.done("network prune --force"), "blue\ngreen\n");
    assert!(daemon.names().is_empty());
}

#[test]
fn every_list_can_be_shown_when_nothing_has_happened() {
    if skipped("every_list_can_be_shown_when_nothing_has_happened") {
        return;
    }
    let folder = folder();
    let daemon = Daemon::start(&folder);
    daemon.done("network create blue --subnet 10.20.0.0/24");
    for (what, header) in [("ports", "NETWORK  PORT"), ("mac", "NETWORK"), ("fdb", "NETWORK"), ("arp", "NETWORK")] {
        let table = daemon.done(&format!("show {what} --network blue"));
        assert!(table.starts_with(header), "{what}: {table}");
        assert!(table.lines().all(|line| line.trim_end() == line), "{what}: {table}");
    }
    assert_eq!(daemon.json("show ports"), serde_json::json!([]));
    assert_eq!(daemon.json("show drops"), serde_json::json!([]));
    let gateways = daemon.json("show mac --network blue");
    assert_eq!((&gateways[0]["kind"], &gateways[0]["port"]), (&"gateway".into(), &serde_json::Value::Null));
    assert_eq!(daemon.json("show workers").as_array().unwrap().len(), 1);
    assert_refused(&daemon.run("show mac --network nowhere"), 1, &["'nowhere'", "network ls"]);
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    if skipped("what_is_refused_leaves_nothing_behind") {
        return;
    }
    let folder = folder();
    let daemon = Daemon::start(&folder);
    daemon.done("network create blue --subnet 10.20.0.0/24");
    let before = daemon.json("network ls");
    let cases: [(&str, i32, &[&str]); 17] = [
        ("network create blue", 1, &["'blue'", "already"]),
        ("network create red --subnet 10.20.0.128/25", 1, &["overlaps", "'blue'", "--subnet"]),
        ("network create red --subnet 10.30.0.0/24 --gateway 10.31.0.1", 2, &["10.31.0.1", "outside"]),
        ("network create red --subnet 10.30.0.0/24 --gateway 10.30.0.255", 2, &["10.30.0.255"]),
        ("network create red --mtu 20", 2, &["20", "68"]),
        ("network create red -o ageing=0", 2, &["0"]),
        ("network create red -o mac-capacity=1", 2, &["1", "64"]),
        ("network create no/slash", 2, &["'no/slash'"]),
        ("network inspect red", 1, &["'red'", "network ls"]),
        ("network rm red", 1, &["'red'"]),
        ("network rm red --force", 1, &["'red'"]),
        ("network peer blue red", 1, &["'red'"]),
        ("network peer blue blue", 2, &["'blue'"]),
        ("network disconnect blue web", 1, &["'web'", "inspect"]),
        ("network connect red --netns lanyard-test-nowhere", 1, &["'red'"]),
        ("network connect blue --netns lanyard-test-nowhere", 1, &["lanyard-test-nowhere"]),
        ("network connect blue --netns pid:4194305", 1, &["4194305"]),
    ];
    for (words, code, pieces) in cases {
        let output = daemon.run(words);
        assert_eq!(output.status.code(), Some(code), "{words}: {}", err(&output));
        assert_refused(&output, code, pieces);
    }
    assert_eq!(daemon.json("network ls"), before);
}

#[test]
fn names_that_are_words_of_the_api_are_names_all_the_same() {
    if skipped("names_that_are_words_of_the_api_are_names_all_the_same") {
        return;
    }
    let folder = folder();
    let daemon = Daemon::start(&folder);
    for name in ["prune", "endpoints", "peers", "v1"] {
        daemon.done(&format!("network create {name}"));
        assert_eq!(daemon.json(&format!("network inspect {name}"))["name"], name);
        daemon.done(&format!("network rm {name}"));
    }
}

#[test]
fn networks_survive_an_orderly_end_and_a_kill() {
    if skipped("networks_survive_an_orderly_end_and_a_kill") {
        return;
    }
    let folder = folder();
    let mut daemon = Daemon::start(&folder);
    daemon.done("network create blue");
    let before = daemon.json("network ls");
    // A second signal changes nothing.
    kill(daemon.pid(), Signal::SIGINT).unwrap();
    let output = daemon.end(Signal::SIGTERM);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(!daemon.socket.exists(), "the socket stays behind");
    assert_refused(&daemon.run("network ls"), 1, &["no daemon answers"]);

    let mut daemon = Daemon::start(&folder);
    assert_eq!(daemon.json("network ls"), before);
    daemon.done("network create red");
    daemon.end(Signal::SIGKILL);
    assert!(daemon.socket.exists(), "a killed daemon cleans nothing up");
    assert_refused(&daemon.run("network ls"), 1, &["no daemon answers"]);

    let daemon = Daemon::start(&folder);
    assert_eq!(daemon.names(), ["blue", "red"]);
}

#[test]
fn a_corrupt_state_file_is_kept_aside_and_said_loudly() {
    if skipped("a_corrupt_state_file_is_kept_aside_and_said_loudly") {
        return;
    }
    let folder = folder();
    let mut daemon = Daemon::start(&folder);
    daemon.done("network create blue");
    daemon.done("network create red");
    daemon.end(Signal::SIGTERM);
    let file = daemon.state.join("state.json");
    std::fs::write(&file, "{\"half\":").unwrap();

    let mut daemon = Daemon::start(&folder);
    assert!(daemon.names().contains(&"blue".to_owned()), "the previous copy is used");
    assert_eq!(std::fs::read(daemon.state.join("state.json.corrupt")).unwrap(), b"{\"half\":");
    let log = err(&daemon.end(Signal::SIGTERM));
    assert!(log.contains("state.json.corrupt") && log.contains("ERROR"), "{log}");
    assert!(!log.contains('\x1b'), "colours without a terminal: {log}");
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    if skipped("a_second_daemon_is_refused_and_the_first_goes_on") {
        return;
    }
    let folder = folder();
    let daemon = Daemon::start(&folder);
    daemon.done("network create blue");
    let (socket, state) = (folder.path().join("other.sock"), folder.path().join("other-state"));
    for (socket, state, option) in [(&daemon.socket, &state, "--socket"), (&socket, &daemon.state, "--state-dir")] {
        let output = Daemon::command(socket, state).output().unwrap();
        let text = err(&output);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""), "{text}");
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("lanyard: ") && last.contains(option), "{text}");
    }
    assert_eq!(daemon.names(), ["blue"]);
}

/// Say something to the socket, and hear what it says until it closes (or is silent for long).
fn say(socket: &Path, octets: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let _ = stream.write_all(octets); // a refusal may come before all is said
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: l\r\nconnection: close\r\ncontent-type: application/json\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn malformed_and_oversized_requests_do_no_harm() {
    if skipped("malformed_and_oversized_requests_do_no_harm") {
        return;
    }
    let folder = folder();
    let daemon = Daemon::start(&folder);
    daemon.done("network create blue");
    let before = daemon.json("network ls");
    let long_name = format!(r#"{{"name":"{}"}}"#, "x".repeat(4 << 20));
    let cases = [
        (b"\x00\x01\x02 what?\r\n\r\n".to_vec(), "400"),
        (post("/v1/networks", "{"), "400"),
        (post("/v1/networks", "[]"), "400"),
        (post("/v1/networks", r#"{"name":7}"#), "400"),
        (post("/v1/networks", r#"{"name":"red","colour":"red"}"#), "400"),
        (post("/v1/networks", r#"{"name":"red","subnet":"10.0.0.0/99"}"#), "400"),
        (post("/v1/networks", &"[".repeat(10_000)), "400"),
        (post("/v1/networks", &long_name), "413"),
        (post("/v1/nothing", "{}"), "404"),
        (b"PATCH /v1/networks HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n".to_vec(), "405"),
        (b"GET /v1/mac?network=%FF%FE HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n".to_vec(), "40"),
    ];
    for (request, status) in &cases {
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        let answer = say(&daemon.socket, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}: {answer:.200}");
    }
    let endless = [b"GET / HTTP/1.1\r\n".to_vec(), b"x: y\r\n".repeat(200_000)].concat();
    say(&daemon.socket, &endless);
    // Somebody who connects and says nothing keeps nobody from being heard.
    let _silent: Vec<_> = (0..50).map(|_| UnixStream::connect(&daemon.socket).unwrap()).collect();
    assert_eq!(daemon.json("network ls"), before);
}

#[test]
fn a_client_too_many_is_told_so() {
    if skipped("a_client_too_many_is_told_so") {
        return;
    }
    let folder = folder();
    let daemon = Daemon::start(&folder);
    let held: Vec<_> = (0..64).map(|_| UnixStream::connect(&daemon.socket).unwrap()).collect();
    for words in ["network ls", "network create blue", "trace"] {
        assert_refused(&daemon.run(words), 1, &["64 control connections", "try again"]);
    }
    drop(held);
    let deadline = Instant::now() + PATIENCE;
    while daemon.run("network ls").status.code() != Some(0) {
        assert!(Instant::now() < deadline, "no place is free again");
    }
    assert!(daemon.names().is_empty());
}

#[test]
fn it_ends_while_somebody_reads_the_trace() {
    if skipped("it_ends_while_somebody_reads_the_trace") {
        return;
    }
    let folder = folder();
    let mut daemon = Daemon::start(&folder);
    let _silent = UnixStream::connect(&daemon.socket).unwrap();
    let traces: Vec<_> = (0..2)
        .map(|_| {
            let mut command = lanyard(&daemon.socket);
            command.arg("trace").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let output = daemon.end(Signal::SIGTERM);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for trace in traces {
        assert_refused(&trace.wait_with_output().unwrap(), 1, &["the daemon"]);
    }
}

#[test]
fn workers_and_folders_that_cannot_be_are_refused() {
    if skipped("workers_and_folders_that_cannot_be_are_refused") {
        return;
    }
    let folder = folder();
    let socket = folder.path().join("control.sock");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let file_text = file.to_str().unwrap();
    assert_refused(&run(&socket, &["run", "--workers", "0"]), 2, &["--workers"]);
    let output = run(&socket, &["run", "--workers", "1000", "--state-dir", file_text]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    let output = lanyard(&socket).arg("run").env("RUST_LOG", "lanyard=loud").output().unwrap();
    assert_refused(&output, 2, &["RUST_LOG"]);
    let output = run(&socket, &["run", "--state-dir", file_text]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(err(&output).lines().last().unwrap().contains(file_text), "{}", err(&output));
    let state = folder.path().join("state");
    let output = run(&file.join("control.sock"), &["run", "--state-dir", state.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let output = run(&file, &["run", "--state-dir", state.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert_eq!(std::fs::read(&file).unwrap(), b"", "a file in the socket's place is not the daemon's to remove");
}
