//! Does the load generator tell the truth of paths that are none of Lanyard's? The kernel's bridge with rules of its packet
//! filter, and a small forwarder, each of which does a known thing to every n-th frame.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use harness::path::{Deed, Forwarder, Path};
use harness::wire::Sniffer;
use harness::{LANYARD, Outcome, PATIENCE, Running, ready, wait_for};
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "nsenter", "unshare", "setpriv", "nft", "tcpdump"];

fn pktgen(words: &str) -> Outcome {
    Outcome::of(Command::new(LANYARD).arg("pktgen").args(words.split_whitespace()).output().unwrap())
}

/// What a run says in JSON.
fn said(words: &str) -> Value {
    let text = pktgen(&format!("{words} --json")).ok();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn count(said: &Value, key: &str) -> u64 {
    said[key].as_u64().unwrap_or_else(|| panic!("{key}: {said}"))
}

#[test]
fn the_kernels_packet_filter_is_told_of_as_it_is() {
    if !ready("the_kernels_packet_filter_is_told_of_as_it_is", TOOLS) {
        return;
    }
    let load = "--rate 5kpps --count 5000";
    let path = Path::bridged(&["numgen inc mod 10 0 drop"]);
    let told = said(&format!("{} {load}", path.places()));
    assert_eq!((count(&told, "lost"), count(&told, "duplicates"), count(&told, "damaged")), (500, 0, 0), "{told}");
    let (low, high) = (&told["loss_error"]["low"], &told["loss_error"]["high"]);
    assert!(low.as_f64().unwrap() < 0.1 && high.as_f64().unwrap() > 0.1, "{told}");

    let path = Path::bridged(&["numgen inc mod 4 0 dup to \"p2\""]);
    let told = said(&format!("{} {load}", path.places()));
    assert_eq!((count(&told, "lost"), count(&told, "duplicates")), (0, 1250), "{told}");
}

#[test]
fn a_forwarder_is_told_of_as_it_is() {
    if !ready("a_forwarder_is_told_of_as_it_is", TOOLS) {
        return;
    }
    let path = Path::new();
    let through = |deed: Deed| {
        let _forwarder = Forwarder::start(&path, deed);
        said(&format!("{} --no-learning --rate 3kpps --count 3000 --kind plain", path.places()))
    };
    let fates = |told: &Value| ["lost", "duplicates", "reordered", "damaged"].map(|key| count(told, key));
    let told = through(Deed::Drop(10));
    assert_eq!(fates(&told), [300, 0, 0, 0], "{told}");
    let told = through(Deed::Double(5));
    assert_eq!(fates(&told), [0, 600, 0, 0], "{told}");
    let told = through(Deed::Swap(100));
    // The last frame of all has none behind it.
    assert_eq!(fates(&told), [1, 0, 29, 0], "{told}");
    assert_eq!(count(&told, "reordering_extent"), 1, "{told}");
    let told = through(Deed::Flip(50));
    assert_eq!(fates(&told), [60, 0, 0, 60], "{told}");
    let told = through(Deed::Hold(Duration::from_millis(5)));
    let latency = |key: &str| told["latency"][key].as_u64().unwrap();
    assert!(latency("min_ns") >= 5_000_000 && latency("p50_ns") < 12_000_000, "{told}");
    assert_eq!(fates(&told), [0; 4], "{told}");
    // All are under way when the last one is sent: a slow path is not a lossy one.
    let _forwarder = Forwarder::start(&path, Deed::Hold(Duration::from_millis(400)));
    let told = said(&format!("{} --no-learning --rate 10kpps --count 100 --kind plain", path.places()));
    assert_eq!((fates(&told), told["latency"]["min_ns"].as_u64().unwrap() / 400_000_000), ([0; 4], 1), "{told}");
}

#[test]
fn a_search_finds_the_limit_of_a_path() {
    if !ready("a_search_finds_the_limit_of_a_path", TOOLS) {
        return;
    }
    let path = Path::bridged(&["limit rate over 2000/second burst 20 packets drop"]);
    let words = "test throughput --sizes 64 --max-rate 8kpps --trial 500ms --width 5%";
    let told = said(&format!("{words} {}", path.places()));
    let row = &told["rows"][0];
    let [ndr, pdr, upper] = ["ndr_pps", "pdr_pps", "pdr_upper_pps"].map(|key| row[key].as_f64().unwrap());
    assert!((1700.0..2150.0).contains(&ndr) && pdr >= ndr, "{row}");
    assert!(pdr < 2150.0 && upper > 2000.0 && upper < pdr * 1.12, "{row}");
    assert_eq!(told["complete"], true);
    assert_eq!((&row["generator_limit"], row["ndr_loss"].as_f64().unwrap() < 0.05), (&"ok".into(), true), "{row}");
    let trials = told["searches"]["64"]["trials"].as_array().unwrap().len();
    assert!(trials > 5, "{told}");

    // What is lost of 110 %, and for how long: not at all at half of the limit.
    let words = "test recovery --sizes 64 --rate 2kpps --trial 1s --repeats 5";
    let told = said(&format!("{words} {}", path.places()));
    let row = &told["rows"][0];
    let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {told:#}"));
    assert!((1.0..=5.0).contains(&number("repeats")) && (0.02..0.2).contains(&number("overload_loss")), "{told:#}");
    assert!(number("recovery_ns") < 3e8, "{told:#}");

    // Shares of a rate that nobody can send are not said to have been sent.
    let words = "test latency --sizes 64 --rate 20Mpps --trial 200ms --repeats 1";
    let told = said(&format!("{words} {}", path.places()));
    let row = &told["rows"][2];
    assert!(row["pps"].as_f64().unwrap() < 1e7 && row["loss_share"].as_f64().unwrap() > 0.1, "{row}");
    assert_eq!(row["generator_limit"], "limit", "{row}");
}

#[test]
fn a_recording_is_sent_as_it_is_and_at_its_speed() {
    if !ready("a_recording_is_sent_as_it_is_and_at_its_speed", TOOLS) {
        return;
    }
    let path = Path::bridged(&[]);
    let recorder = Sniffer::start(&path.hosts[1]);
    let (places, seed) = (path.places(), "--seed 11");
    let first = said(&format!("{places} --rate 500pps --count 500 --kind udp-ipv6 --size 84-300 {seed}"));
    assert_eq!(count(&first, "lost"), 0, "{first}");
    let is_ours = |octets: &[u8]| octets.len() > 60 && octets[12..14] == [0x86, 0xdd];
    wait_for("the recording", PATIENCE, || recorder.matching(is_ours).len() >= 500);
    let frames = recorder.matching(is_ours);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.pcap").to_str().unwrap().to_owned();
    fs::copy(recorder.file(), &file).unwrap();
    drop(recorder);

    let again = Sniffer::start(&path.hosts[1]);
    let told = said(&format!("{places} --replay {file}"));
    assert_eq!((count(&told, "lost"), count(&told, "duplicates"), &told["sent"]["frames"]), (0, 0, &told["expected"]));
    // As long as it took to record, and a tenth of it.
    let seconds = |told: &Value| told["sent"]["seconds"].as_f64().unwrap();
    assert!((0.9..1.4).contains(&seconds(&told)), "{told}");
    wait_for("the replay", PATIENCE, || again.matching(is_ours).len() >= 500);
    assert_eq!(again.matching(is_ours), frames);
    let told = said(&format!("{places} --replay {file} --speed 10x --rounds 2"));
    assert!((0.18..0.4).contains(&seconds(&told)) && count(&told, "lost") == 0, "{told}");
    let told = said(&format!("{places} --replay {file} --rate 5kpps"));
    assert!((0.09..0.2).contains(&seconds(&told)) && count(&told, "lost") == 0, "{told}");

    // A lost copy is not taken for another round's: the others come in order, and when they were due.
    let lossy = Path::bridged(&["ether type 0x86dd numgen inc mod 10 0 drop"]);
    let told = said(&format!("{} --replay {file} --rate 5kpps --rounds 4", lossy.places()));
    assert!((0.09..0.11).contains(&told["loss_share"].as_f64().unwrap()) && count(&told, "reordered") == 0, "{told}");
    assert!(told["latency"]["p50_ns"].as_u64().unwrap() < 20_000_000, "{told}");

    // What is cut or no capture at all is refused.
    let bad = folder.path().join("bad.pcap");
    let whole = fs::read(&file).unwrap();
    let mut cut = whole[..24 + 16 + 60].to_vec();
    // The first frame, whichever it is: 60 octets of 600.
    cut[24 + 8..24 + 12].copy_from_slice(&60u32.to_le_bytes());
    cut[24 + 12..24 + 16].copy_from_slice(&600u32.to_le_bytes());
    for (octets, says) in
        [(&b"not a capture at all"[..], "bad.pcap"), (&cut, "was cut to 60"), (&whole[..24], "no frame")]
    {
        fs::write(&bad, octets).unwrap();
        let outcome = pktgen(&format!("{places} --replay {}", bad.display()));
        assert_eq!((outcome.code, outcome.err.lines().count()), (Some(1), 1), "{outcome:?}");
        assert!(outcome.err.contains(says), "{outcome:?}");
    }
}

#[test]
fn an_interface_that_vanishes_ends_the_run_in_one_line() {
    if !ready("an_interface_that_vanishes_ends_the_run_in_one_line", TOOLS) {
        return;
    }
    for (gone, way) in [("p1", "went away"), ("p2", "went away")] {
        let path = Path::bridged(&[]);
        let words = format!("pktgen {} --rate 2kpps --duration 60s", path.places());
        let mut command = Command::new(LANYARD);
        command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = Running::start(&mut command);
        thread::sleep(Duration::from_millis(700)); // of sixty seconds
        // With one end of a veth goes the other.
        path.joint.run(&format!("ip link del {gone}")).ok();
        let outcome = running.finish(PATIENCE);
        assert_eq!((outcome.code, outcome.err.lines().count()), (Some(1), 1), "{gone}: {outcome:?}");
        assert!(outcome.err.contains(way) && outcome.err.contains("eth0"), "{gone}: {outcome:?}");
    }
}

#[test]
fn meshes_floods_and_errored_frames_are_counted_apart() {
    if !ready("meshes_floods_and_errored_frames_are_counted_apart", TOOLS) {
        return;
    }
    let path = Path::bridged(&[]);
    let [h1, h2] = path.hosts.each_ref().map(|host| format!("pid:{}/eth0", host.pid()));
    let told = said(&format!("--mesh {h1},{h2} --rate 2kpps --count 2000 --broadcast 10% --kind plain"));
    assert_eq!((told["streams"].as_array().unwrap().len(), count(&told, "lost")), (2, 0), "{told}");
    assert_eq!((&told["sent"]["frames"], count(&told, "expected")), (&4000.into(), 4000), "{told}");

    // The kernel's bridge drops what comes from a group or from nobody, and so does a veth with what is too long.
    let words = "--rate 2kpps --count 2000 --errored 50% --errored-kinds group-source,zero-source";
    let told = said(&format!("{} {words} --no-learning", path.places()));
    let errored = &told["errored"];
    assert!((900..1100).contains(&errored["sent"].as_u64().unwrap()), "{told}");
    assert_eq!((&errored["forwarded"], count(&told, "lost")), (&0.into(), 0), "{told}");
    assert_eq!(told["sent"]["frames"], 2000, "{told}");

    let told = said(&format!("--tx {h1} --rx {h2} --count 100 --src-ip 10.9.0.1 --dst-ip 10.9.0.2 --rate 1kpps"));
    assert_eq!((&told["specs"][0]["sources"]["ip"], count(&told, "lost")), (&"10.9.0.1".into(), 0), "{told}");
}
