//! What a class does with a switch, with real hosts: make it a hub, let addresses age at once, make lines bad.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::thread;
use std::time::{Duration, Instant};

use frame::MacAddr;
use harness::host::Pings;
use harness::wire::{Sniffer, marked, send, settle};
use harness::{Host, Kind, PATIENCE, World, ready, wait_for};
use nix::sys::signal::Signal;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv", "tcpdump"];

fn station(last: u8) -> MacAddr {
    MacAddr([0x02, 0xaa, 0, 0, 0, last])
}

/// The mean round trip of some pings, milliseconds.
fn round_trip(pings: &Pings) -> f64 {
    let line = pings.text.lines().find(|line| line.starts_with("rtt")).unwrap_or_else(|| panic!("{}", pings.text));
    line.split('/').nth(4).unwrap().parse().unwrap()
}

fn refused(world: &World, words: &str, code: i32, pieces: &[&str]) {
    let outcome = world.lanyard(words);
    assert_eq!(outcome.code, Some(code), "{words}: {outcome:?}");
    assert!(outcome.err.lines().count() == 1 && outcome.out.is_empty(), "{words}: {outcome:?}");
    for piece in pieces {
        assert!(outcome.err.contains(piece), "{words}: '{piece}' is missing: {}", outcome.err);
    }
}

#[test]
fn on_a_hub_a_third_host_hears_everything() {
    if !ready("on_a_hub_a_third_host_hears_everything", TOOLS) {
        return;
    }
    for (workers, kind) in [(1, Kind::TapWire), (2, Kind::VethWire)] {
        let world = World::with_blue(workers, "-o mode=hub -o mac=random -o evict=none -o mac-limit=7");
        let hosts: [Host; 3] = world.hosts(kind);
        let third = Sniffer::start(&hosts[2]);
        for to in [hosts[1].ip().to_string(), "10.20.0.1".to_owned()] {
            let pings = hosts[0].ping(&format!("-c 5 -i 0.05 -W 2 {to}"));
            assert!(pings.is_perfect(), "{}", pings.text);
        }
        settle();
        let icmp = |octets: &[u8]| octets[12..14] == [8, 0] && octets[23] == 1;
        assert_eq!(third.matching(icmp).len(), 20, "both ways of both, {kind:?}");
        assert!(world.rows("show mac", |row| row["kind"] == "learned").is_empty());
        let info = world.json("network inspect blue");
        let shown = [&info["mode"], &info["mac"], &info["evict"], &info["mac_limit"]];
        assert_eq!(shown, [&"hub".into(), &"random".into(), &"none".into(), &serde_json::Value::from(7)]);
        for host in &hosts {
            let first = host.mac().0;
            assert!(
                first[0] & 3 == 2 && first[..2] != [2, 0x42],
                "locally administered, of one station: {}",
                host.mac()
            );
        }
        refused(&world, "network create no -o mode=hub -o guard=on", 2, &["guard=on", "mode=switch"]);
        refused(&world, "network create no -o mode=bridge", 2, &["mode=switch|hub"]);
        refused(&world, "network create no -o mac-limit=0", 2, &["mac-limit 0", "1 to"]);
    }
}

#[test]
fn the_clock_leaps_and_addresses_age_out() {
    if !ready("the_clock_leaps_and_addresses_age_out", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "-o ageing=300");
    let hosts: [Host; 2] = world.hosts(Kind::Tap);
    let learned = || world.rows("show mac", |row| row["kind"] == "learned").len();
    let teach = || {
        send(&hosts[0], &(1..=3).map(|n| marked(MacAddr::BROADCAST, station(n), "hello")).collect::<Vec<_>>());
        wait_for("learning", PATIENCE, || {
            (1..=3).all(|n| !world.rows("show mac", |r| r["mac"] == station(n).to_string()).is_empty())
        });
    };
    teach();
    let before = learned();
    assert_eq!(world.done("clock warp 200s"), format!("blue: 0 entries aged out, {before} left\n"));
    let age = world.rows("show mac", |row| row["mac"] == station(1).to_string())[0]["age_ms"].as_u64().unwrap();
    assert!((200_000..220_000).contains(&age), "{age}");
    teach();
    assert!(hosts[0].ping(&format!("-c 1 -W 2 {}", hosts[1].ip())).is_perfect());
    let said = world.done("clock warp 5m --network blue");
    assert!(said.starts_with("blue: ") && said.ends_with(" entries aged out, 0 left\n"), "{said}");
    assert_eq!(learned(), 0);
    assert!(hosts[0].ping(&format!("-c 1 -W 2 {}", hosts[1].ip())).is_perfect());
    assert_eq!(world.json("clock warp 99999999d")[0]["left"], 0);
    for (words, code, pieces) in [
        ("clock warp", 2, &["DURATION"][..]),
        ("clock warp soon", 2, &["as in 300s"]),
        ("clock warp 300", 2, &["as in 300s"]),
        ("clock warp -5s", 2, &[]),
        ("clock warp 5m --network green", 1, &["no network 'green'"]),
    ] {
        refused(&world, words, code, pieces);
    }
}

#[test]
fn a_slow_line_makes_pings_slow_until_it_is_mended() {
    if !ready("a_slow_line_makes_pings_slow_until_it_is_mended", TOOLS) {
        return;
    }
    for (workers, kind) in [(2, Kind::Tap), (1, Kind::VethWire)] {
        let world = World::with_blue(workers, "");
        let hosts: [Host; 2] = world.hosts(kind);
        let ping = || {
            let pings = hosts[0].ping(&format!("-c 5 -i 0.1 -W 2 {}", hosts[1].ip()));
            assert!(pings.is_perfect(), "{}", pings.text);
            round_trip(&pings)
        };
        ping();
        let before = ping();
        world.done("fault add h1 delay 50ms --direction in --seed 7 --for 5m");
        let slow = ping();
        assert!(slow >= before + 45.0 && slow < before + 95.0, "{before} ms, then {slow} ms");
        world.done("fault add blue/h2 delay 50ms --direction out");
        let slower = ping();
        assert!(slower >= before + 95.0, "{before} ms, then {slower} ms");
        let rows = world.rows("fault ls", |_| true);
        assert_eq!((rows.len(), &rows[0]["fault"], &rows[0]["seed"]), (2, &"delay 50ms".into(), &7.into()));
        assert!(rows[0]["met"].as_u64().unwrap() >= 10 && rows[0]["left_ms"].as_u64().unwrap() <= 300_000, "{rows:?}");
        world.done(&format!("fault rm {}", rows[0]["id"]));
        world.done("fault rm h2");
        let mended = ping();
        assert!(mended < before + 30.0, "{before} ms, then {mended} ms");
        assert_eq!(world.done("fault ls").lines().count(), 1, "the header");
    }
}

#[test]
fn a_lost_frame_is_told_and_faults_end_with_their_time_their_port_and_the_daemon() {
    if !ready("a_lost_frame_is_told_and_faults_end_with_their_time_their_port_and_the_daemon", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let hosts: [Host; 2] = world.hosts(Kind::Tap);
    let ping = |words: &str| hosts[0].ping(&format!("{words} {}", hosts[1].ip()));
    assert!(ping("-c 1 -W 2").is_perfect());
    let state = std::fs::read_dir(world.state()).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let written: Vec<_> = state.collect();
    // Of the packets only: ARP still gets through, and the other way too.
    let words = ["fault", "add", "h1", "drop", "100%", "--direction", "in", "--match", "icmp", "--for", "2s"];
    let added = world.command().args(words).output().unwrap();
    assert!(added.status.success(), "{added:?}");
    let since = Instant::now();
    assert_eq!(ping("-c 2 -i 0.1 -W 1").received, 0);
    assert_eq!(world.drops("fault-injected"), 2);
    let state = std::fs::read_dir(world.state()).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    assert_eq!(state.collect::<Vec<_>>(), written, "nothing is written down");
    thread::sleep(Duration::from_millis(2100).saturating_sub(since.elapsed()));
    assert!(ping("-c 1 -W 2").is_perfect(), "its time is over");
    assert!(world.rows("fault ls", |_| true).is_empty());

    world.done("fault add h2 drop 100%");
    world.done("network disconnect blue h2");
    assert!(world.rows("fault ls", |_| true).is_empty(), "it went with its port");
    world.connect("blue", &hosts[1], Kind::Tap, "");
    assert!(ping("-c 3 -i 0.2 -W 2").received > 0);

    world.done("fault add h1 drop 100%");
    assert_eq!(ping("-c 1 -W 1").received, 0);
    world.end(Signal::SIGKILL);
    world.start();
    assert!(world.rows("fault ls", |_| true).is_empty());
    wait_for("pings", PATIENCE, || ping("-c 1 -W 1").received == 1);

    for (words, code, pieces) in [
        ("fault add h1 drop", 2, &["say how many frames are lost"][..]),
        ("fault add h1 drop 0%", 2, &["0.0001% to 100%"]),
        ("fault add nobody drop 5%", 1, &["no port or endpoint 'nobody'", "show ports"]),
        ("fault add h1 drop 5% --for 2d", 2, &["out of range"]),
        ("fault add h1 drop 5% --for 0s", 2, &["out of range"]),
        ("fault add h1 drop 5% --match bogus", 2, &["filter"]),
        ("fault add h1 drop 5% --match from-switch", 2, &["'from-switch' cannot be in it"]),
        ("fault rm 99999", 1, &["'99999'", "fault ls"]),
        ("fault rm h1", 1, &["'h1'", "fault ls"]),
        ("fault rm", 2, &["fault rm --help"]),
    ] {
        refused(&world, words, code, pieces);
    }
    world.done("fault rm --all");
}
