//! Does the load generator tell the truth? What it says it sent is held against the kernel's counters and tcpdump, and what it
//! says became of it against paths that lose, double, reorder, delay or damage frames by a known measure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use harness::host::Running;
use harness::{Host, Kind, PATIENCE, World, ready};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv", "tcpdump"];

/// A network whose hosts say nothing by themselves.
fn world(kind: Kind) -> (World, [Host; 2]) {
    let world = World::with_blue(1, "");
    let hosts = world.quiet_hosts(kind);
    (world, hosts)
}

fn places([h1, h2]: &[Host; 2]) -> String {
    format!("--tx pid:{}/eth0 --rx pid:{}/eth0", h1.pid(), h2.pid())
}

/// What `lanyard pktgen` says of a run between the two.
fn load(world: &World, hosts: &[Host; 2], more: &str) -> Value {
    world.json(&format!("pktgen {} {more}", places(hosts)))
}

/// A counter of a host's interface.
fn counter(host: &Host, name: &str) -> u64 {
    let shown: Value = serde_json::from_str(&host.run("ip -s -j link show dev eth0").ok()).unwrap();
    let (way, what) = name.split_once('/').unwrap();
    shown[0]["stats64"][way][what].as_u64().unwrap()
}

#[test]
fn what_is_said_to_be_sent_is_what_the_kernel_and_tcpdump_counted() {
    if !ready("what_is_said_to_be_sent_is_what_the_kernel_and_tcpdump_counted", TOOLS) {
        return;
    }
    for (kind, more) in [
        (Kind::Veth, "--kind udp-ipv4 --size imix"),
        (Kind::TapWire, "--kind udp-ipv6 --size 84 --flows 100"),
        (Kind::VethWire, "--kind plain --vlan 7 --size 68-600 --src-macs 50 --dst-macs 20 --walk random"),
    ] {
        let (world, hosts) = world(kind);
        let before = counter(&hosts[0], "tx/packets");
        let mut tcpdump = hosts[1].command("tcpdump");
        tcpdump.args(["-i", "eth0", "-B", "16384", "-w", "/dev/null", "-Q", "in", "-c", "5000"]);
        tcpdump.args(["udp port 9 or vlan 7"]).stderr(Stdio::piped());
        let tcpdump = Running::start(&mut tcpdump);
        thread::sleep(Duration::from_millis(500)); // it has said nothing yet that could be waited for
        let said = load(&world, &hosts, &format!("--rate 5kpps --count 5000 {more}"));
        let sent = said["sent"]["frames"].as_u64().unwrap();
        assert_eq!((sent, counter(&hosts[0], "tx/packets") - before), (5000, 5000), "{kind:?}: {said}");
        assert_eq!((&said["lost"], &said["duplicates"], &said["damaged"]), (&0.into(), &0.into(), &0.into()), "{said}");
        assert!(said["latency"]["p50_ns"].as_u64().unwrap() > 1000, "{said}");
        // It ends by itself when it has seen as many.
        let counted = tcpdump.finish(PATIENCE).err;
        assert!(counted.contains("5000 packets captured"), "{kind:?}: {counted}");
    }
}

#[test]
fn a_bad_path_is_reported_as_just_that() {
    if !ready("a_bad_path_is_reported_as_just_that", TOOLS) {
        return;
    }
    let (world, hosts) = world(Kind::VethWire);
    let through = |fault: &str| {
        world.done(&format!("fault add h2 {fault} --direction out --seed 7"));
        let said = load(&world, &hosts, "--rate 5kpps --count 5000 --kind plain");
        world.done("fault rm --all");
        said
    };
    let count = |said: &Value, key: &str| said[key].as_u64().unwrap();

    let said = through("drop every 10");
    assert_eq!((count(&said, "lost"), count(&said, "duplicates"), count(&said, "reordered")), (500, 0, 0), "{said}");
    let (low, high) = (&said["loss_error"]["low"], &said["loss_error"]["high"]);
    assert!(low.as_f64().unwrap() < 0.1 && high.as_f64().unwrap() > 0.1, "{said}");

    let said = through("dup every 4");
    assert_eq!((count(&said, "lost"), count(&said, "duplicates")), (0, 1250), "{said}");

    let said = through("reorder every 100");
    assert_eq!((count(&said, "lost"), count(&said, "duplicates")), (0, 0), "{said}");
    // The last frame of all has none behind it that could overtake it.
    assert!((49..=50).contains(&count(&said, "reordered")), "{said}");

    let said = through("corrupt every 50");
    let (damaged, foreign) = (count(&said, "damaged"), count(&said, "foreign"));
    assert_eq!((damaged + foreign, count(&said, "lost")), (100, 100), "{said}");
    assert!(damaged >= 80, "a damaged mark makes a frame foreign, but seldom: {said}");

    let said = through("delay 5ms");
    let p50 = count(&said["latency"], "p50_ns");
    assert!((5_000_000..15_000_000).contains(&p50) && count(&said, "lost") == 0, "{said}");
}

#[test]
fn what_cannot_be_is_one_line() {
    if !ready("what_cannot_be_is_one_line", TOOLS) {
        return;
    }
    let (world, hosts) = world(Kind::Veth);
    let pid = hosts[0].pid();
    for (words, code, piece) in [
        (format!("--tx pid:{pid}/eth7 --rx pid:{pid}/eth0"), 1, "there is no such interface"),
        ("--tx ns:nobody-here/eth0 --rx lo".to_owned(), 1, "no network namespace 'nobody-here'"),
        (format!("{} --size 63", places(&hosts)), 2, "63"),
        (format!("{} --size 9000", places(&hosts)), 2, "MTU"),
        (format!("{} --kind udp-ipv6 --size 64", places(&hosts)), 2, "84"),
        (format!("{} --rate fast", places(&hosts)), 2, "fast"),
        (format!("{} --dst-mac 01:00:5e:00:00:01", places(&hosts)), 2, "01:00:5e:00:00:01"),
        (format!("{} --replay x.pcap --seed 7", places(&hosts)), 2, "--seed"),
        (format!("{} --replay x.pcap --walk random", places(&hosts)), 2, "--walk"),
    ] {
        let outcome = world.lanyard(&format!("pktgen {words}"));
        assert_eq!(outcome.code, Some(code), "{words}: {outcome:?}");
        assert!(outcome.err.lines().count() == 1 && outcome.err.contains(piece), "{words}: {}", outcome.err);
    }
}

/// Root without a capability is told which one; an ordinary user is told, too, and nothing is sent.
#[test]
fn without_permission_one_line_says_which() {
    if !ready("without_permission_one_line_says_which", TOOLS) {
        return;
    }
    let (world, hosts) = world(Kind::Veth);
    let before = counter(&hosts[0], "tx/packets");
    let namespace = places(&hosts);
    for (setpriv, words, piece) in [
        ("--bounding-set=-net_raw", &*namespace, "CAP_NET_RAW"),
        ("--bounding-set=-sys_admin", &*namespace, "root"),
        ("--bounding-set=-net_raw", "--tx lo --rx none", "CAP_NET_RAW"),
        ("--bounding-set=-sys_admin", "compare bridge", "root"),
    ] {
        let mut command = world.home.command("setpriv");
        command.arg(setpriv).arg("--").arg(harness::LANYARD).arg("pktgen").args(words.split(' '));
        let outcome = harness::Outcome::of(command.output().unwrap());
        assert_eq!(outcome.code, Some(1), "{setpriv} {words}: {outcome:?}");
        let err = &outcome.err;
        assert!(err.lines().count() == 1 && err.contains(piece) && err.contains("root"), "{setpriv} {words}: {err}");
    }
    assert_eq!(counter(&hosts[0], "tx/packets"), before);
}

#[test]
fn an_interrupted_run_reports_what_there_is() {
    if !ready("an_interrupted_run_reports_what_there_is", TOOLS) {
        return;
    }
    let (world, hosts) = world(Kind::Veth);
    let mut command = world.command();
    command.arg("pktgen").args(places(&hosts).split(' ')).args(["--rate", "2kpps", "--duration", "60s", "--json"]);
    let running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    thread::sleep(Duration::from_secs(1)); // of sixty
    running.signal(Signal::SIGINT);
    let outcome = running.finish(PATIENCE);
    let said: Value = serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!((500..4000).contains(&said["sent"]["frames"].as_u64().unwrap()), "{said}");
    assert_eq!(said["lost"], 0, "{said}");
}
