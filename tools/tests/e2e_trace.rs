//! Does `lanyard trace` tell of every frame what became of it, in words, in steps and in JSON, and does it own up to what it
//! missed?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use harness::{Host, Kind, PATIENCE, Running, World, assert_tells, ready, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv"];

/// Start `lanyard trace` with these words; it listens when this returns.
fn trace(world: &World, words: &str) -> Running {
    let before = world.descriptors();
    let mut command = world.command();
    command.arg("trace").args(words.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let trace = Running::start(&mut command);
    wait_for("the trace", PATIENCE, || world.descriptors() > before);
    thread::sleep(Duration::from_millis(200));
    trace
}

/// What the trace says of the first ping of a pair that does not know each other.
fn cold_ping(words: &str, workers: usize, kind: Kind) -> String {
    let world = World::with_blue(workers, "");
    let [h1, h2, _h3] = world.quiet_hosts(kind);
    let trace = trace(&world, words);
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    let outcome = trace.finish(PATIENCE);
    assert_eq!(outcome.err, "");
    outcome.ok()
}

const COLD_PING: [&[&str]; 4] = [
    &["blue", "h1 -> *", "ARP who-has 10.20.0.3 tell 10.20.0.2", "LEARN new h1", "FLOOD broadcast", "h2", "h3"],
    &["blue", "h2 -> h1", "ARP reply 10.20.0.3 is-at 02:42:0a:14:00:03", "LEARN new h2", "UNICAST -> h1"],
    &["blue", "h1 -> h2", "ICMP echo request 10.20.0.2 > 10.20.0.3", "seq 1", "LEARN fresh h1", "UNICAST -> h2"],
    &["blue", "h2 -> h1", "ICMP echo reply 10.20.0.3 > 10.20.0.2", "seq 1", "LEARN fresh h2", "UNICAST -> h1"],
];

#[test]
fn a_cold_ping_is_told_in_four_lines() {
    if !ready("a_cold_ping_is_told_in_four_lines", TOOLS) {
        return;
    }
    for (workers, kind) in [(1, Kind::Tap), (1, Kind::TapWire), (1, Kind::Veth), (2, Kind::VethWire)] {
        let text = cold_ping("-n 4", workers, kind);
        let mut lines: Vec<&str> = text.lines().collect();
        // Two workers' lines may cross; the numbers tell the order.
        lines.sort_by_key(|line| {
            line.split_whitespace().next().unwrap().trim_start_matches('#').parse::<u64>().unwrap()
        });
        assert_eq!(lines.len(), 4, "{kind:?}: {text}");
        lines.iter().zip(COLD_PING).for_each(|(line, pieces)| assert_tells(line, pieces));
        assert!(!text.contains('\x1b'), "colours in a pipe: {text}");
    }
}

#[test]
fn in_steps_every_decision_has_its_line() {
    if !ready("in_steps_every_decision_has_its_line", TOOLS) {
        return;
    }
    let text = cold_ping("-n 4 -v", 1, Kind::Tap);
    let frames: Vec<&str> = text.trim().split("\n\n").collect();
    assert_eq!(frames.len(), 4, "{text}");
    let request = frames[0];
    assert!(request.lines().count() >= 5, "{request}");
    for words in ["who-has 10.20.0.3", "h1", "flooded to every other port of blue", "h2", "h3"] {
        assert!(request.contains(words), "'{words}' is missing: {request}");
    }
    assert!(frames[2].contains("forwarded to h2 only"), "{}", frames[2]);
}

#[test]
fn in_json_every_frame_is_one_object_a_line() {
    if !ready("in_json_every_frame_is_one_object_a_line", TOOLS) {
        return;
    }
    let text = cold_ping("-n 4 --json", 1, Kind::TapWire);
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = records.iter().map(|record| record["verdict"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["flood", "unicast", "unicast", "unicast"]);
    let ports: Vec<&str> = records.iter().map(|record| record["port"].as_str().unwrap()).collect();
    assert_eq!(ports, ["h1", "h2", "h1", "h2"]);
    let mut flooded: Vec<&str> =
        records[0]["egress"].as_array().unwrap().iter().map(|egress| egress["port"].as_str().unwrap()).collect();
    flooded.sort_unstable();
    assert_eq!(flooded, ["h2", "h3"]);
    assert!(records[0]["egress"].as_array().unwrap().iter().all(|egress| egress["sent"] == true));
    assert!(records.iter().all(|record| record["lost"] == 0 && record["network"] == "blue"));
    assert_eq!((&records[2]["source_name"], &records[2]["destination_name"]), (&"h1".into(), &"h2".into()));
}

#[test]
fn routed_and_dropped_frames_say_why() {
    if !ready("routed_and_dropped_frames_say_why", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    world.done("network create green --subnet 10.30.0.0/24");
    let [h1, _h2, _h3] = world.quiet_hosts(Kind::Tap);
    let h4 = Host::new("h4").quiet();
    world.connect("green", &h4, Kind::Tap, "");
    let traced = |count: usize| {
        let trace = trace(&world, &format!("-n {count}"));
        h1.ping(&format!("-c 1 -W 2 {}", h4.ip()));
        trace.finish(PATIENCE).ok()
    };
    // The gateway's ARP, then the echo that goes nowhere, then what the switch says about it.
    let text = traced(4);
    assert!(text.contains("not-peered") && text.contains("ANSWER as gateway"), "{text}");
    world.done("network peer blue green");
    let text = traced(1);
    assert_tells(
        text.lines().last().unwrap(),
        &["h1 -> gateway", "ICMP echo request", "ROUTE to green via 10.30.0.2 ttl 63"],
    );
}

/// A reader that does not keep up loses records; it is told how many, also when no other frame comes, and the numbers
/// agree.
#[test]
fn what_a_slow_reader_loses_is_counted_and_shown() {
    if !ready("what_a_slow_reader_loses_is_counted_and_shown", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2, _h3] = world.quiet_hosts(Kind::Tap);
    let (json, text) = (trace(&world, "--json"), trace(&world, ""));
    json.signal(Signal::SIGSTOP);
    text.signal(Signal::SIGSTOP);
    h1.run(&format!("ping -f -q -c 60000 {}", h2.ip())).ok();
    let json = read_on(json);
    let text = read_on(text);
    // What waited for them is read first; then, as it is quiet, they are told what did not wait.
    let told = |lines: &Lines, word: &str| lines.end(50).iter().any(|line| line.contains(word));
    wait_for("the loss", PATIENCE, || told(&json, "{\"lost\":") && told(&text, "lost to the trace"));
    assert!(h1.ping(&format!("-c 1 -W 2 {}", h2.ip())).is_perfect());
    let last = |lines: &Lines, word: &str| lines.end(1).iter().any(|line| line.contains(word));
    wait_for("the last frame", PATIENCE, || last(&json, "echo reply") && last(&text, "echo reply"));
    thread::sleep(Duration::from_millis(200));

    let lines = json.all();
    let values = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records: Vec<Value> = values.filter(|value| value.get("number").is_some()).collect();
    let number = |record: &Value| record["number"].as_u64().unwrap();
    let (first, last) = (&records[0], records.last().unwrap());
    let missed = last["lost"].as_u64().unwrap();
    assert!(missed > 1000, "{missed} lost of {}", number(last));
    assert_eq!(number(last) - number(first) + 1, records.len() as u64 + missed, "every record was read or counted");
    let notices = text.all().into_iter().filter(|line| line.contains("lost")).count();
    assert!((1..=3).contains(&notices), "{notices} notices");
}

/// The lines that a process says, as far as it has said them.
struct Lines {
    _running: Running,
    lines: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Lines {
    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The last so many, which cost little to look at again and again.
    fn end(&self, count: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}

fn read_on(mut running: Running) -> Lines {
    let lines = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
    let (out, all) = (running.child.stdout.take().unwrap(), std::sync::Arc::clone(&lines));
    running.signal(Signal::SIGCONT);
    thread::spawn(move || {
        BufReader::new(out).lines().map_while(Result::ok).for_each(|line| all.lock().unwrap().push(line));
    });
    Lines { _running: running, lines }
}

#[test]
fn a_trace_ends_with_its_reader_and_with_its_daemon() {
    if !ready("a_trace_ends_with_its_reader_and_with_its_daemon", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let descriptors = world.descriptors();
    let interrupted = trace(&world, "");
    interrupted.signal(Signal::SIGINT);
    assert_eq!(interrupted.finish(PATIENCE).code, Some(0));
    wait_for("the first reader to be forgotten", PATIENCE, || world.descriptors() == descriptors);
    // Nobody reads what it would say.
    let mut unread = trace(&world, "");
    drop(unread.child.stdout.take());
    assert_eq!(unread.finish(PATIENCE).code, Some(0));
    wait_for("the readers to be forgotten", PATIENCE, || world.descriptors() == descriptors);
    let last = trace(&world, "");
    world.end(Signal::SIGTERM);
    let outcome = last.finish(PATIENCE);
    assert_eq!((outcome.code, outcome.err.lines().count()), (Some(1), 1), "{outcome:?}");
}
