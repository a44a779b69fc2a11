//! Do the standard tests find what is there? Every one of them, in the engine without root and over a network of Lanyard's
//! whose limits are known; and is a comparison one of like with like?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use harness::host::Running;
use harness::{Kind, LANYARD, Outcome, PATIENCE, World, ready};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv"];

fn pktgen(words: &str) -> Outcome {
    Outcome::of(Command::new(LANYARD).arg("pktgen").args(words.split_whitespace()).output().unwrap())
}

fn said(words: &str) -> Value {
    let text = pktgen(&format!("{words} --json")).ok();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The smallest run there is of each.
const SHORT: &str = "--sizes 64 --trial 60ms --repeats 1 --width 20% --max-rate 4kpps --most-addresses 256";

/// The loss-free rate, for the tests that begin with it.
fn known(name: &str) -> &'static str {
    if ["latency", "recovery", "congestion", "errored"].contains(&name) { "--rate 3kpps" } else { "" }
}

#[test]
fn every_test_runs_in_the_engine_without_root() {
    let pair = "--tx engine:1 --rx engine:2";
    let three = "--tx engine:1 --rx engine:2 --listen engine:3";
    let four = "--tx engine:1,engine:2 --rx engine:3,engine:4";
    for (name, places, clause, key) in [
        ("throughput", pair, "RFC 2544 clause 26.1", "ndr_pps"),
        ("latency", pair, "RFC 2544 clause 26.2", "p99_ns"),
        ("loss-curve", pair, "RFC 2544 clause 26.3", "loss_share"),
        ("back-to-back", pair, "RFC 2544 clause 26.4", "frames"),
        ("recovery", pair, "RFC 2544 clause 26.5", "recovery_ns"),
        ("mesh", "--mesh engine:1,engine:2,engine:3", "RFC 2889 clause 5.1", "ndr_pps"),
        ("partial-mesh", "--tx engine:1,engine:2 --rx engine:3", "RFC 2889 clauses 5.2, 5.3", "ndr_pps"),
        ("congestion", four, "RFC 2889 clause 5.5", "calm_loss"),
        ("forward-pressure", pair, "RFC 2889 clause 5.6", "mfr_pps"),
        ("caching", three, "RFC 2889 clause 5.7", "held"),
        ("learning", three, "RFC 2889 clause 5.8", "learned"),
        ("errored", pair, "RFC 2889 clause 5.9", "forwarded"),
        ("broadcast", three, "RFC 2889 clause 5.10", "ndr_pps"),
    ] {
        let told = said(&format!("test {name} {places} {SHORT} {}", known(name)));
        assert_eq!((&told["test"], &told["clause"]), (&name.into(), &clause.into()));
        assert_eq!((&told["complete"], &told["schema"]), (&true.into(), &"lanyard.test/1".into()), "{told}");
        let rows = told["rows"].as_array().unwrap();
        assert!(!rows.is_empty() && rows.iter().all(|row| row[key].is_number()), "{name}: {told:#}");
        assert!(told["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("Trials of")));
    }
    // All addresses fit, and all are learned.
    let told = said(&format!("test caching {three} {SHORT}"));
    assert_eq!(told["rows"].as_array().unwrap().last().unwrap()["held"], 256, "{told}");
    // People read the same.
    let text = pktgen(&format!("test errored {pair} {SHORT} --rate 3kpps")).ok();
    for piece in ["Errored frames filtering (RFC 2889 clause 5.9)", "group-source", "filtered", "errored frames"] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
    let csv = pktgen(&format!("test errored {pair} {SHORT} --rate 3kpps --csv")).ok();
    assert_eq!(
        (csv.lines().next(), csv.lines().count()),
        (Some("size,kind,pps,sent,forwarded,verdict,good_lost,generator_limit"), 5)
    );
    let csv =
        pktgen(&format!("test errored {pair} {SHORT} --rate 3kpps --sizes 512 --errored-kinds giant,runt --csv")).ok();
    let kinds: Vec<&str> = csv.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(kinds, ["giant", "runt", "giant", "runt"], "each size, the kinds that were named: {csv}");
    // What is flooded to a port at which nobody listens was not too much for anybody.
    let told = said(&format!("{pair} --dst-macs 3000 --rate 2kpps --count 400"));
    assert_eq!((&told["lost"], &told["generator_limited"], &told["complete"]), (&0.into(), &Value::Null, &true.into()));
    // What is averaged comes with its ends.
    let thrice = SHORT.replace("--repeats 1", "--repeats 3");
    let told = said(&format!("test forward-pressure {pair} {thrice}"));
    let row = &told["rows"][0];
    let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key}: {told:#}"));
    for what in ["frmol", "mfr"] {
        let [low, mid, high] = ["_low_pps", "_pps", "_high_pps"].map(|end| number(&format!("{what}{end}")));
        assert!(low <= mid && mid <= high && low > 0.0, "{told:#}");
    }
}

#[test]
fn the_capacity_of_a_port_is_what_its_network_says() {
    if !ready("the_capacity_of_a_port_is_what_its_network_says", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "--mac-limit 100");
    let [h1, h2, h3] = world.quiet_hosts(Kind::Veth);
    let place = |host: &harness::Host| format!("pid:{}/eth0", host.pid());
    let places = format!("--tx {} --rx {} --listen {}", place(&h1), place(&h2), place(&h3));
    let told = world.json(&format!("pktgen test caching {places} --trial 200ms --most-addresses 4096"));
    let rows = told["rows"].as_array().unwrap();
    let (all, some) = (&rows[rows.len() - 2], &rows[rows.len() - 1]);
    assert_eq!((&all["addresses"], &all["flooded"]), (&64.into(), &0.into()), "{told:#}");
    assert_eq!(some["addresses"], 128, "{told:#}");
    // The host's own address is one of the hundred.
    let held = some["held"].as_u64().unwrap();
    assert!((98..=100).contains(&held), "{told:#}");
    let told = world.json(&format!("pktgen test errored {places} --trial 200ms --rate 4kpps"));
    let verdict = |kind: &str| {
        let row = told["rows"].as_array().unwrap().iter().find(|row| row["kind"] == kind).unwrap();
        row["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(["group-source", "zero-source"].map(verdict), ["filtered", "filtered"], "{told:#}");
}

/// Whatever the form, nobody takes a part for the whole.
#[test]
fn an_interrupted_test_says_so() {
    let mut command = Command::new(LANYARD);
    command.args("pktgen test loss-curve --tx engine:1 --rx engine:2 --trial 400ms --csv".split(' '));
    let running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    thread::sleep(Duration::from_millis(1500)); // of more than a minute
    running.signal(Signal::SIGINT);
    let outcome = running.finish(PATIENCE);
    assert_eq!((outcome.code, outcome.err.contains("Interrupted")), (Some(0), true), "{outcome:?}");
    assert!(outcome.out.starts_with("size,load,") && outcome.out.lines().count() < 30, "{outcome:?}");
}

#[test]
fn what_a_test_lacks_is_one_line() {
    let engine = "--tx engine:1 --rx engine:2";
    for (words, code, piece) in [
        (format!("test nothing {engine}"), 2, "throughput"),
        (format!("test caching {engine}"), 2, "--listen"),
        (format!("test congestion {engine}"), 2, "two senders"),
        ("test throughput".to_owned(), 2, "--tx PLACE"),
        (format!("test throughput {engine} --sizes 63"), 2, "63"),
        ("test mesh --mesh engine:1".to_owned(), 2, "two places"),
        ("--tx engine:1 --rx lo".to_owned(), 2, "one kind only"),
        ("--tx engine:1 --rx engine:1".to_owned(), 2, "itself"),
        (format!("{engine} --backend xdp"), 2, "--backend"),
        (format!("{engine} --backend kernel"), 2, "one interface to one"),
        (format!("test throughput {engine} --backend kernel"), 2, "signed frames"),
        ("compare lanyrad".to_owned(), 2, "'lanyrad' is none of"),
        ("compare --tests mesh".to_owned(), 2, "pktgen test mesh"),
        (format!("test mesh {engine}"), 2, "everybody sends to everybody"),
        (format!("test partial-mesh {engine}"), 2, "several senders"),
        (format!("test latency {engine} --rate max"), 2, "--rate max"),
        (format!("test throughput {engine} --rate 5kpps"), 2, "--max-rate"),
        (format!("test throughput {engine} --exceed 100%"), 2, "0% to 99%"),
        (format!("test caching {engine} --listen engine:3 --sizes 64,512"), 2, "frames of one size"),
        (format!("test throughput {engine} --giant 2000"), 2, "--errored 1%"),
        (format!("{engine} --errored-kinds runt"), 2, "--errored 1%"),
        ("compare --html /run/page.html".to_owned(), 2, "another folder"),
    ] {
        let outcome = pktgen(&words);
        assert_eq!(outcome.code, Some(code), "{words}: {outcome:?}");
        assert!(outcome.err.contains(piece), "{words}: {}", outcome.err);
        assert!(words.contains("nothing") || outcome.err.lines().count() == 1, "{words}: {}", outcome.err);
    }
}

#[test]
fn a_comparison_is_of_like_with_like() {
    if !ready("a_comparison_is_of_like_with_like", &["ip", "setpriv", "iptables-restore", "ovs-vswitchd", "vde_switch"])
    {
        return;
    }
    let words = "compare --tests latency --rounds 1 --sizes 64 --trial 100ms --repeats 1 --rate 1kpps";
    let told = said(words);
    let rows = told["rows"].as_array().unwrap();
    let of = |switch: &str| rows.iter().filter(|row| row["switch"] == switch).count();
    let counts = ["lanyard", "docker0", "bridge", "ovs", "vde"].map(of);
    assert!(counts[0] > 0 && counts.iter().all(|count| *count == counts[0]), "{counts:?} {told:#}");
    let own = |row: &&Value| row["switch"] == "lanyard" && row["median"] != 0.0;
    assert!(rows.iter().filter(own).all(|row| row["ratio"] == 1.0), "{told:#}");
    assert_eq!(told["complete"], true);
}
