//! Does the lab tell its story, stay, answer and go, for root and for anybody; and is nothing left of it, however it ends?
//!
//! Each test works in a box: namespaces of its own for processes, mounts and network, so that what the lab leaves can be
//! counted, its folders are nobody else's, and the box's end is the end of everything in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use harness::host::send_signal;
use harness::sandbox::{Sandbox, USERS, User, children};
use harness::{PATIENCE, Running, ready, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv", "mount"];

const ACTS: [&str; 6] = [
    "1. A cold ping",
    "2. A second ping",
    "3. Unknown unicast",
    "4. h1 pings its gateway",
    "5. h1 pings h4",
    "What the switch has learned",
];

#[test]
fn the_story_is_told_to_root_and_to_anybody() {
    if !ready("the_story_is_told_to_root_and_to_anybody", TOOLS) {
        return;
    }
    for user in USERS {
        let sandbox = Sandbox::new(user);
        for words in [&["lab"][..], &["lab", "demo"]] {
            let start = Instant::now();
            let text = sandbox.done(words);
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
            let mut rest = text.as_str();
            for act in ACTS {
                rest = rest.split_once(act).unwrap_or_else(|| panic!("'{act}' is missing: {text}")).1;
            }
            // Every frame that the story needs is on a line of its own.
            for line in [
                "ARP who-has 10.0.1.12 tell 10.0.1.11",
                "FLOOD broadcast -> h2 h3",
                "UNICAST -> h2",
                "FLOOD unknown -> h2 h3",
                "ANSWER ping of the gateway",
                "ROUTE to net2 via 10.0.2.14 ttl 63",
            ] {
                assert!(text.contains(line), "'{line}' is missing: {text}");
            }
            assert!(!text.contains("NOT SEEN") && !text.contains('\x1b'), "{text}");
            let kind = if user == User::Root { "TAPs" } else { "veths" };
            assert!(text.contains(kind), "{user:?}: {text:.700}");
            sandbox.is_empty();
        }
    }
}

/// Start the story, wait for a piece of it, and end it by a signal.
fn interrupt(sandbox: &Sandbox, piece: &str, signal: Signal) -> Option<i32> {
    let mut lab = Running::start(sandbox.command().arg("lab"));
    let mut said = BufReader::new(lab.child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(piece) {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the story ended before '{piece}'");
    }
    // Its parent here is nsenter, which went into the box for it.
    let program = children(lab.pid())[0];
    send_signal(program, signal).unwrap();
    let reader = thread::spawn(move || said.read_to_end(&mut Vec::new()));
    let code = lab.finish(PATIENCE).code;
    reader.join().unwrap().unwrap();
    code
}

/// Does this process, and so what it starts, ignore the signal? Under `nohup` it does SIGHUP, and is meant to
/// (`proc_pid_status(5)`, `SigIgn`).
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal as i32 - 1) & 1 == 1
}

#[test]
fn nothing_is_left_of_a_story_that_is_interrupted() {
    if !ready("nothing_is_left_of_a_story_that_is_interrupted", TOOLS) {
        return;
    }
    for user in USERS {
        let sandbox = Sandbox::new(user);
        let signals = [Signal::SIGINT, Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP];
        for signal in signals.into_iter().filter(|signal| !is_ignored(*signal)) {
            for act in [ACTS[0], ACTS[2]] {
                let code = interrupt(&sandbox, act, signal);
                assert_ne!(code, Some(0), "{signal} in '{act}' is no good end");
                sandbox.is_empty();
            }
        }
        // Whoever has read enough is no failure, and leaves nothing either.
        let mut lab = Running::start(sandbox.command().arg("lab"));
        drop(lab.child.stdout.take());
        assert_eq!(lab.finish(PATIENCE).code, Some(0));
        sandbox.is_empty();
        sandbox.done(&["lab"]);
    }
}

/// At any moment, while hosts and ports are being made too.
#[test]
fn nothing_is_left_of_a_lab_that_is_killed_at_any_moment() {
    if !ready("nothing_is_left_of_a_lab_that_is_killed_at_any_moment", TOOLS) {
        return;
    }
    for user in USERS {
        let sandbox = Sandbox::new(user);
        for (number, words) in [&["lab"][..], &["lab", "up"]].iter().cycle().take(16).enumerate() {
            let lab = Running::start(sandbox.command().args(*words));
            thread::sleep(Duration::from_millis(15 * number as u64));
            if let Some(first) = sandbox.processes().first() {
                let _ = send_signal(*first, Signal::SIGKILL);
            }
            drop(lab);
            for pid in sandbox.processes() {
                let name = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                // A lab that was up already stays when only `lab up` is killed.
                if name.contains("__keeper") {
                    let _ = send_signal(pid, Signal::SIGKILL);
                }
            }
            wait_for("the processes' end", Duration::from_secs(3), || sandbox.processes().is_empty());
            assert_eq!(sandbox.interfaces().lines().count(), 1);
        }
        sandbox.done(&["lab", "up"]);
        sandbox.done(&["lab", "down"]);
        sandbox.is_empty();
    }
}

/// Where the lab's switch listens, in the box: root's labs are in /run, anybody's in a folder of their own.
fn socket_of(sandbox: &Sandbox) -> String {
    let root = format!("/proc/{}/root", sandbox.init);
    let folders = ["/run", "/tmp"].into_iter().flat_map(|parent| {
        let inside = fs::read_dir(format!("{root}{parent}")).unwrap().map(|entry| entry.unwrap().file_name());
        inside.map(move |name| format!("{parent}/{}/control.sock", name.to_string_lossy()))
    });
    let mut sockets =
        folders.filter(|socket| socket.contains("lanyard-lab") && fs::exists(root.clone() + socket).unwrap());
    sockets.next().expect("a lab's socket")
}

#[test]
fn a_lab_stays_answers_and_goes() {
    if !ready("a_lab_stays_answers_and_goes", TOOLS) {
        return;
    }
    for user in USERS {
        let sandbox = Sandbox::new(user);
        let exec = |host: &str, words: &str| {
            let words: Vec<&str> = ["lab", "exec", host, "--"].into_iter().chain(words.split_whitespace()).collect();
            sandbox.lanyard(&words)
        };
        assert_eq!(exec("h1", "true").code, Some(1), "there is no lab yet");
        let text = sandbox.done(&["lab", "up"]);
        for word in ["h1", "h2", "h3", "h4", "net1", "net2", "10.0.1.11", "10.0.2.14", "02:42:0a:00:01:0b"] {
            assert!(text.contains(word), "'{word}' is missing: {text}");
        }
        let refused = sandbox.lanyard(&["lab", "up"]);
        assert_eq!((refused.code, refused.err.lines().count()), (Some(1), 1), "{refused:?}");
        assert!(refused.err.contains("already") && refused.err.contains("lab down"), "{refused:?}");

        let hosts: Value = serde_json::from_str(&sandbox.done(&["lab", "ls", "--json"])).unwrap();
        let names: Vec<&str> = hosts.as_array().unwrap().iter().map(|host| host["host"].as_str().unwrap()).collect();
        assert_eq!(names, ["h1", "h2", "h3", "h4"]);
        for target in ["10.0.1.12", "10.0.1.13", "10.0.1.1", "10.0.2.14"] {
            let pings = exec("h1", &format!("ping -n -c 1 -W 3 {target}"));
            assert!(pings.code == Some(0) && pings.out.contains(" 1 received"), "{user:?} {target}: {pings:?}");
        }
        assert_eq!(sandbox.lanyard(&["lab", "exec", "h3", "--", "sh", "-c", "exit 7"]).code, Some(7));
        let nobody = exec("h9", "true");
        assert!(nobody.code == Some(1) && nobody.err.contains("'h9'") && nobody.err.contains("h4"), "{nobody:?}");

        assert!(!text.contains("LANYARD_SOCKET"), "no other switch is there to be asked: {text}");
        shows_and_traces(&sandbox);
        sandbox.done(&["lab", "down"]);
        sandbox.is_empty();
        assert!(sandbox.done(&["lab", "ls"]).contains("no lab is up"));
        sandbox.done(&["lab", "down"]);
    }
}

/// Every other command finds the lab by itself.
fn shows_and_traces(sandbox: &Sandbox) {
    let shown = sandbox.done(&["show", "mac"]);
    assert!(shown.contains("02:42:0a:00:01:0b") && shown.contains("gateway"), "{shown}");
    for (words, piece) in [
        ("show ports", "h4"),
        ("ports", ""),
        ("network ls", "net2"),
        ("network inspect net1", "10.0.1"),
        ("why h1", "h1"),
        ("explain --from h1 --to h2", "Nothing was sent"),
        ("arp show", "h1"),
        ("ladder --last 2", "h1"),
        ("trace --last 1", "#"),
        ("fault add h3 dup", "dup 1%"),
        ("fault rm --all", ""),
        ("clock warp 1s", "net1"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let said = sandbox.done(&words);
        assert!(said.contains(piece), "{words:?}: {said}");
    }
    let trace = Running::start(sandbox.command().args(["trace", "-n", "2"]));
    thread::sleep(Duration::from_millis(500));
    sandbox.done(&["lab", "exec", "h1", "--", "ping", "-n", "-q", "-c", "1", "-W", "3", "10.0.1.12"]);
    let text = trace.finish(PATIENCE).ok();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("ICMP echo request 10.0.1.11 > 10.0.1.12"), "{text}");
}

/// What the lab's switch answers to a GET, asked from outside of the box.
fn asked(sandbox: &Sandbox, socket: &str, path: &str) -> Value {
    let mut stream = UnixStream::connect(format!("/proc/{}/root{socket}", sandbox.init)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|_| panic!("{answer}"))
}

/// The hosts' own neighbor caches are shown, watched and recorded, inside of a user namespace, too.
#[test]
fn the_hosts_caches_are_read_by_root_and_by_anybody() {
    if !ready("the_hosts_caches_are_read_by_root_and_by_anybody", TOOLS) {
        return;
    }
    for user in USERS {
        let sandbox = Sandbox::new(user);
        sandbox.done(&["lab", "up"]);
        let socket = socket_of(&sandbox);
        let mut watch = Running::start(sandbox.command().args(["arp", "watch", "--network", "net1"]));
        let mut said = BufReader::new(watch.child.stdout.take().unwrap());
        let mut line = String::new();
        // The switch's own rows come first, and by then it listens.
        said.read_line(&mut line).unwrap();
        assert!(line.contains("net1 switch") && line.contains("is PERMANENT"), "{line}");
        sandbox.done(&["lab", "exec", "h1", "--", "ping", "-n", "-q", "-c", "1", "-W", "3", "10.0.1.12"]);
        while !line.contains("REACHABLE") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "{user:?}: the watch ended");
        }
        assert!(line.contains("h1") && line.contains("INCOMPLETE -> REACHABLE  02:42:0a:00:01:0c (h2)"), "{line}");
        watch.signal(Signal::SIGINT);
        let shown = sandbox.done(&["arp", "show"]);
        assert!(shown.lines().any(|line| line.contains("h1") && line.contains("REACHABLE")), "{shown}");
        // A lab records: so do its caches.
        let recorded = asked(&sandbox, &socket, "/v1/caches/recorded?since_unix_ns=0");
        let of_h1 = |event: &&Value| event["endpoint"] == "h1" && event["state_after"] == "REACHABLE";
        let event = recorded.as_array().unwrap().iter().find(of_h1).unwrap_or_else(|| panic!("{recorded}"));
        assert_eq!((&event["state_before"], &event["ip"]), (&"INCOMPLETE".into(), &"10.0.1.12".into()));
        let since = format!("/v1/caches/recorded?since_unix_ns={}", event["at_unix_ns"]);
        let later = asked(&sandbox, &socket, &since);
        assert!(later.as_array().unwrap().iter().all(|later| later != event), "{later}");
        drop(watch);
        sandbox.done(&["lab", "down"]);
        sandbox.is_empty();
    }
}

#[test]
fn a_killed_keeper_is_no_obstacle() {
    if !ready("a_killed_keeper_is_no_obstacle", TOOLS) {
        return;
    }
    for user in USERS {
        let sandbox = Sandbox::new(user);
        sandbox.done(&["lab", "up"]);
        let is_keeper =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|name| name.contains("__keeper"));
        let keeper = sandbox.processes().into_iter().find(is_keeper).expect("a keeper");
        send_signal(keeper, Signal::SIGKILL).unwrap();
        wait_for("the hosts' end", Duration::from_secs(3), || sandbox.processes().is_empty());
        assert!(sandbox.done(&["lab", "ls"]).contains("no lab is up"));
        assert_eq!(sandbox.lanyard(&["lab", "exec", "h1", "--", "true"]).code, Some(1));
        sandbox.done(&["lab", "up"]);
        sandbox.done(&["lab", "exec", "h1", "--", "ping", "-n", "-q", "-c", "1", "-W", "3", "10.0.1.12"]);
        // Ended by a signal, as at a shutdown, it goes in order.
        let keeper = sandbox.processes().into_iter().find(is_keeper).expect("a keeper");
        send_signal(keeper, Signal::SIGTERM).unwrap();
        sandbox.is_empty();
    }
}

#[test]
fn a_larger_lab_and_one_that_cannot_be() {
    if !ready("a_larger_lab_and_one_that_cannot_be", TOOLS) {
        return;
    }
    for user in USERS {
        let sandbox = Sandbox::new(user);
        for (words, code) in [
            (["--hosts", "1", "--networks", "2"], 2),
            (["--hosts", "0", "--networks", "1"], 2),
            (["--hosts", "2", "--networks", "0"], 2),
        ] {
            let refused = sandbox.lanyard(&[&["lab", "up"][..], &words].concat());
            assert_eq!((refused.code, refused.err.lines().count()), (Some(code), 1), "{refused:?}");
            sandbox.is_empty();
        }
        sandbox.done(&["lab", "up", "--hosts", "8", "--networks", "3"]);
        let hosts: Value = serde_json::from_str(&sandbox.done(&["lab", "ls", "--json"])).unwrap();
        let hosts = hosts.as_array().unwrap();
        assert_eq!(hosts.len(), 8);
        let mut networks: Vec<&str> = hosts.iter().map(|host| host["network"].as_str().unwrap()).collect();
        networks.dedup();
        assert_eq!(networks, ["net1", "net2", "net3"]);
        for host in hosts {
            let ip = host["ip"].as_str().unwrap();
            sandbox.done(&["lab", "exec", "h1", "--", "ping", "-n", "-q", "-c", "1", "-W", "3", ip]);
        }
        sandbox.done(&["lab", "down"]);
        sandbox.is_empty();
    }
}
