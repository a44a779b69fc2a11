//! Can the switch be asked: what would you do, who taught you that, what have you seen? With real hosts, whose kernels then do
//! what was asked about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::io::BufRead;
use std::process::Stdio;
use std::time::Duration;

use harness::{Host, Kind, PATIENCE, Running, World, ready, wait_for, wire};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv"];

/// A switch that records, and three containers that say nothing unasked.
fn world(more: &str) -> (World, [Host; 3]) {
    let world = World::asleep(1);
    world.start_with(more);
    world.done("network create blue --subnet 10.20.0.0/24");
    let hosts = world.quiet_hosts(Kind::TapWire);
    (world, hosts)
}

fn kinds(record: &Value) -> Vec<String> {
    let name = |step: &Value| {
        let result = step["result"].as_str().unwrap_or_default();
        format!("{} {} {}", step["step"].as_str().unwrap(), result, step["port"].as_str().unwrap_or_default())
    };
    record["steps"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn what_is_explained_is_what_then_happens() {
    if !ready("what_is_explained_is_what_then_happens", TOOLS) {
        return;
    }
    let (world, [h1, h2, _h3]) = world("--record 1000");
    let request = world.json(&format!("explain --from h1 --arp-request {}", h2.ip()));
    let text = world.done(&format!("explain --from h1 --arp-request {}", h2.ip()));
    assert!(text.contains("flood") && text.contains("Nothing was sent"), "{text}");
    assert_eq!(world.json("show mac").as_array().unwrap().len(), 1, "only the gateway: nothing was learned");
    assert_eq!(world.json("why gateway")[0]["kind"], "gateway");
    let nobody = world.lanyard("why h1");
    assert!(nobody.code == Some(1) && nobody.err.contains("nobody has been heard from as h1"), "{nobody:?}");

    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    let recorded = world.json("why h1");
    assert_eq!(recorded[0]["taught"]["frame"], 1, "{recorded}");
    assert!(recorded[0]["taught"]["summary"].as_str().unwrap().starts_with("ARP who-has 10.20.0.3"), "{recorded}");
    let seen: Vec<Value> = records(&world, "");
    assert_eq!(kinds(&request[0][0]), kinds(&seen[0]), "the first frame went as foretold");
    assert_eq!(request[0][0]["verdict"], seen[0]["verdict"]);

    // Now that both are known, the same question has another answer.
    let ping = world.json("explain --from h1 --to h2");
    assert_eq!(ping[0][0]["verdict"], serde_json::json!({"kind": "unicast", "to": "h2"}));
    assert_eq!(ping[0][0]["table"]["destination"]["taught_by"], 2, "{ping}");
    assert_eq!(records(&world, "").len(), seen.len(), "asking leaves no trace");
}

/// What the recorder has, of frames that the filter lets through.
fn records(world: &World, filter: &str) -> Vec<Value> {
    let output = std::process::Command::new("curl")
        .args(["-sS", "--get", "--unix-socket", world.socket().to_str().unwrap(), "http://lanyard/v1/records"])
        .args(["--data-urlencode", &format!("filter={filter}")])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_committed_frame_arrives_and_is_learned_from() {
    if !ready("a_committed_frame_arrives_and_is_learned_from", &[TOOLS, &["tcpdump", "curl"]].concat()) {
        return;
    }
    let (world, [h1, h2, h3]) = world("--record 1000");
    let sniffer = wire::Sniffer::start(&h2);
    let frame = wire::marked(h2.mac(), h1.mac(), "committed");
    let hex: String = frame.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"));
    world.done(&format!("explain --from h1 --frame {hex}"));
    wire::settle();
    assert_eq!(sniffer.count("committed"), 0, "a question sends nothing");
    let told = world.json(&format!("explain --from h1 --frame {hex} --commit"));
    sniffer.expect("committed", 1);
    let number = told[0][0]["number"].as_u64().unwrap();
    assert_eq!(world.json("why h1")[0]["taught"]["frame"], number);
    let recorded = records(&world, "port-of h1");
    assert_eq!(recorded.last().unwrap()["number"], number, "the recorder has it, too");

    // The same address from another port: it moves, and both the row and its story say so.
    wire::send(&h3, &[wire::marked(h2.mac(), h1.mac(), "moved")]);
    wait_for("the move", PATIENCE, || world.json("why h1")[0]["moved_in_all"] == 1);
    let moved = world.json("why h1");
    assert_eq!((&moved[0]["endpoint"], &moved[0]["moved"][0]["from"]), (&"h3".into(), &"h1".into()), "{moved}");
    assert!(world.done("why h1").contains("moved     from h1 to h3 by #"));
    assert_eq!(records(&world, "learned moved").len(), 1);

    // From the file of a capture, one after the other on the same copies.
    let file = world.folder().join("two.pcap");
    std::fs::write(&file, pcap(&[&wire::marked(h1.mac(), h2.mac(), "a"), &wire::marked(h2.mac(), h1.mac(), "b")]))
        .unwrap();
    let both = world.json(&format!("explain --from h2 --pcap {}", file.display()));
    assert_eq!(both[0][0]["steps"][1]["result"], "new", "{both}");
    assert_eq!(both[1][0]["verdict"]["reason"], "same-port", "h2's row was taught by the frame before: {both}");
}

/// A trace's own capture has each frame as it came in, and its copies as they left: only what came in is asked about.
#[test]
fn what_was_traced_is_asked_about_again() {
    if !ready("what_was_traced_is_asked_about_again", &[TOOLS, &["curl"]].concat()) {
        return;
    }
    let (world, [h1, h2, _h3]) = world("--record 1000");
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    let file = world.folder().join("ping.pcapng");
    let told = world.lanyard(&format!("trace --last 4 -w {}", file.display()));
    assert!(told.code == Some(0) && told.err.starts_with("4 frames traced\n9 packets written\n"), "{told:?}");
    let answers = world.json(&format!("explain --from h1 --pcap {}", file.display()));
    let asked: Vec<(&Value, &Value)> =
        answers.as_array().unwrap().iter().map(|answer| (&answer[0]["summary"], &answer[0]["data"])).collect();
    let recorded = records(&world, "");
    let came: Vec<(&Value, &Value)> = recorded.iter().map(|record| (&record["summary"], &record["data"])).collect();
    assert_eq!((asked.len(), &asked), (4, &came), "{answers:#}");
    assert!(answers.as_array().unwrap().iter().all(|answer| answer[0]["port"] == "h1"), "{answers:#}");
}

/// A row is refreshed by every later frame of its station, and which was the last is known while the recorder runs.
#[test]
fn a_rows_refreshes_are_counted_while_frames_are_traced() {
    if !ready("a_rows_refreshes_are_counted_while_frames_are_traced", &[TOOLS, &["curl"]].concat()) {
        return;
    }
    let (world, [h1, h2, _h3]) = world("--record 1000");
    assert!(h1.ping(&format!("-c 2 -i 0.2 -W 3 {}", h2.ip())).is_perfect());
    for host in ["h1", "h2"] {
        // The recorder has a frame a moment after its port had it.
        let later = || -> Vec<u64> {
            records(&world, &format!("port-of {host}"))[1..].iter().map(|r| r["number"].as_u64().unwrap()).collect()
        };
        wait_for("the second ping", PATIENCE, || later().len() == 2);
        let why = world.json(&format!("why {host}"));
        assert_eq!(
            (&why[0]["refreshed"], &why[0]["last_refresh"]["frame"]),
            (&2.into(), &later()[1].into()),
            "{why:#}"
        );
        let last = &records(&world, &format!("port-of {host}"))[2];
        assert_eq!(why[0]["last_refresh"]["at_unix_ns"], last["at_unix_ns"], "{last:#}");
        let text = world.done(&format!("why {host}"));
        assert!(
            text.contains(&format!("refreshed by 2 traced frames since, the last one #{} at", later()[1])),
            "{text}"
        );
    }
}

/// A capture file (draft-ietf-opsawg-pcap) of these frames.
fn pcap(frames: &[&[u8]]) -> Vec<u8> {
    let mut octets =
        [&0xa1b2_c3d4u32.to_le_bytes()[..], &[2, 0, 4, 0], &[0; 8], &65_535u32.to_le_bytes(), &1u32.to_le_bytes()]
            .concat();
    for frame in frames {
        let len = (frame.len() as u32).to_le_bytes();
        octets.extend([&[0; 8][..], &len, &len, frame].concat());
    }
    octets
}

#[test]
fn a_question_that_cannot_be_answered_says_why() {
    if !ready("a_question_that_cannot_be_answered_says_why", &[TOOLS, &["curl"]].concat()) {
        return;
    }
    let (world, [_h1, _h2, _h3]) = world("");
    for (words, code, pieces) in [
        ("explain --from nobody --to h2", 1, &["no endpoint 'nobody'", "show ports"][..]),
        ("explain --from h1 --to 10.20.0.99", 1, &["10.20.0.99", "--arp-request"]),
        ("explain --from h1 --to elsewhere", 1, &["elsewhere"]),
        ("explain --from h1 --network green --to h2", 1, &["green"]),
        ("explain --from h1 --pcap /nonexistent", 1, &["/nonexistent"]),
        ("explain --from h1 --frame 123", 2, &["odd number"]),
        ("why nobody", 1, &["'nobody'"]),
        ("why 02:00:00:00:00:77", 1, &["nobody has been heard from"]),
    ] {
        let outcome = world.lanyard(words);
        assert!(pieces.iter().all(|piece| outcome.err.contains(piece)), "{words}: {outcome:?}");
        assert_eq!((outcome.code, outcome.err.lines().count()), (Some(code), 1), "{words}: {outcome:?}");
    }
    let refused = std::process::Command::new("curl")
        .args(["-sS", "--unix-socket", world.socket().to_str().unwrap(), "http://lanyard/v1/records"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&refused.stdout).contains("--record"), "{refused:?}");
}

#[test]
fn show_mac_watch_tells_each_change() {
    if !ready("show_mac_watch_tells_each_change", TOOLS) {
        return;
    }
    let (world, [h1, h2, h3]) = world("");
    let mut command = world.command();
    command.args(["show", "mac", "--watch"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watch = Running::start(&mut command);
    let mut lines = std::io::BufReader::new(watch.child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let mut until = |piece: &str| lines.find(|line| line.contains(piece)).unwrap_or_else(|| panic!("no '{piece}'"));
    until("gateway");
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    until("new on h1");
    wire::send(&h3, &[wire::marked(h2.mac(), h1.mac(), "moved")]);
    until("moved from h1 to h3");
    world.done("network disconnect blue h3");
    until("gone from h3: its port is gone");
    // h1 is known again, older by a leap of the clock, heard, and forgotten by another.
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    until("new on h1");
    world.done("clock warp 100s");
    wait_for("h1's row to be old", PATIENCE, || {
        let rows = world.json("show mac");
        rows.as_array().unwrap().iter().any(|row| row["endpoint"] == "h1" && row["age_ms"].as_u64() > Some(90_000))
    });
    std::thread::sleep(Duration::from_millis(600));
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    until("refreshed on h1 after 1");
    world.done("clock warp 300s");
    until("gone from h1: aged out");
    watch.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(50));
    let _ = watch.finish(PATIENCE);
}

#[test]
fn faults_are_not_foretold_but_named() {
    if !ready("faults_are_not_foretold_but_named", TOOLS) {
        return;
    }
    let (world, [h1, h2, _h3]) = world("");
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    let notes = |words: &str| world.json(&format!("explain --from h1 --to h2 {words}"))[0][0]["notes"].clone();
    assert_eq!(notes(""), serde_json::json!([]));
    world.done("fault add h2 drop 100% --direction out");
    let named = "h2's line has faults on it: they are not foretold";
    assert!(notes("")[0].as_str().unwrap().contains(named), "{}", notes(""));
    let text = world.done("explain --from h1 --to h2");
    assert!(text.lines().any(|line| line.starts_with("  note: ") && line.contains(named)), "{text}");
    assert_eq!(notes("--commit"), serde_json::json!([]), "what is sent does meet the fault");
    assert_eq!(world.json("explain --from h2 --to h1")[0][0]["notes"], serde_json::json!([]));
    world.done("fault rm --all");
    world.done("fault add h1 every 2 match icmp");
    assert!(notes("--commit")[0].as_str().unwrap().contains("a frame that is put in here meets none"));
    world.done("fault rm --all");
    assert_eq!(notes(""), serde_json::json!([]));
}

/// `trace -w` keeps the first octets of a frame: they are enough to ask about.
#[test]
fn a_capture_of_long_frames_can_be_asked_about() {
    if !ready("a_capture_of_long_frames_can_be_asked_about", TOOLS) {
        return;
    }
    let (world, [h1, h2, _h3]) = world("--record 100");
    assert!(h1.ping(&format!("-c 1 -W 3 -s 1000 {}", h2.ip())).is_perfect());
    let file = world.folder().join("long.pcapng");
    let file = file.to_str().unwrap();
    wait_for("the pings to be recorded", PATIENCE, || {
        let outcome = world.lanyard(&format!("trace --last 1 -w {file} icmp and to h2"));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.err.contains("1 frame traced")
    });
    let told = world.json(&format!("explain --from h1 --pcap {file}"));
    assert_eq!(told[0][0]["octets"], 1042, "{told}");
    assert_eq!(told[0][0]["verdict"], serde_json::json!({"kind": "unicast", "to": "h2"}), "{told}");
    let note = told[0][0]["notes"][0].as_str().unwrap();
    assert!(note.starts_with("the frame was cut to 128 of 1042 octets"), "{note}");
    assert!(
        world.done(&format!("explain --from h1 --pcap {file}")).contains("  note: the frame was cut to 128 of 1042")
    );
    let refused = world.lanyard(&format!("explain --from h1 --pcap {file} --commit"));
    assert!(refused.code == Some(2) && refused.err.contains("ask without --commit"), "{refused:?}");
}

#[test]
fn the_recorder_says_what_it_keeps_no_more() {
    if !ready("the_recorder_says_what_it_keeps_no_more", &[TOOLS, &["curl"]].concat()) {
        return;
    }
    let (world, [h1, h2, _h3]) = world("--record 4");
    assert!(h1.ping(&format!("-c 2 -i 0.2 -W 3 {}", h2.ip())).is_perfect());
    let numbers = || records(&world, "").iter().map(|record| record["number"].as_u64().unwrap()).collect::<Vec<_>>();
    wait_for("the last of six frames", PATIENCE, || numbers() == [3, 4, 5, 6]);
    for command in ["trace", "ladder"] {
        let all = world.lanyard(&format!("{command} --last 4"));
        assert_eq!((all.code, all.err.as_str()), (Some(0), ""), "{all:?}");
        let short = world.lanyard(&format!("{command} --last 5"));
        assert!(short.code == Some(0) && short.err.lines().count() == 1, "{short:?}");
        assert!(short.err.contains("2 older frames are kept no more"), "{short:?}");
    }
}
