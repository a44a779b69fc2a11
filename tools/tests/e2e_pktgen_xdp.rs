//! Does the load generator tell the truth when frames leave as XDP live frames? What it says it sent is held against the kernel's
//! counters at the other end and against what was received, and where that way does not work it must not be taken.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use harness::{Host, Kind, LANYARD, Outcome, World, ready, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "nsenter", "unshare", "setpriv", "ethtool"];
const XDP: &str = "XDP live frames";
const SOCKET: &str = "packet socket, sendmmsg";

/// Two hosts with a cable between them, `eth0` to `eth0`; that of the second polls where asked for.
fn cable(polls: bool) -> [Host; 2] {
    let hosts = ["h1", "h2"].map(|name| Host::new(name).quiet());
    let [h1, h2] = &hosts;
    h1.run(&format!("ip link add eth0 type veth peer name eth0 netns {}", h2.pid())).ok();
    if polls {
        h2.run("ethtool -K eth0 gro on").ok();
    }
    for host in &hosts {
        host.run("ip link set eth0 up").ok();
    }
    wait_for("the cable", harness::PATIENCE, || h1.run("ip link show eth0").ok().contains("state UP"));
    hosts
}

/// The words of a run from one to the other.
fn words([h1, h2]: &[Host; 2], more: &str) -> String {
    format!("pktgen --tx pid:{}/eth0 --rx pid:{}/eth0 {more}", h1.pid(), h2.pid())
}

fn pktgen(hosts: &[Host; 2], more: &str) -> Outcome {
    let mut command = std::process::Command::new(LANYARD);
    command.args(words(hosts, more).split(' ')).stdout(std::process::Stdio::piped());
    harness::Running::start(command.stderr(std::process::Stdio::piped())).finish(harness::PATIENCE)
}

fn said(outcome: Outcome) -> Value {
    serde_json::from_str(&outcome.ok()).unwrap()
}

/// Frames that a host's interface has received.
fn received(host: &Host) -> u64 {
    let shown: Value = serde_json::from_str(&host.run("ip -s -j link show dev eth0").ok()).unwrap();
    shown[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
}

#[test]
fn sent_counted_and_received_are_the_same() {
    if !ready("sent_counted_and_received_are_the_same", TOOLS) {
        return;
    }
    let hosts = cable(true);
    for more in [
        "--kind plain --size 64",
        "--kind udp-ipv4 --size imix",
        "--kind plain --vlan 7 --size 68-1522 --src-macs 50 --dst-macs 20 --walk random",
        "--kind udp-ipv6 --size 1518 --flows 100",
    ] {
        let before = received(&hosts[1]);
        let said = said(pktgen(&hosts, &format!("--rate 5kpps --count 5000 --backend xdp --json {more}")));
        assert_eq!((&said["backend"], &said["backend_why"]), (&XDP.into(), &Value::Null), "{said}");
        let sent = said["sent"]["frames"].as_u64().unwrap();
        assert_eq!((sent, received(&hosts[1]) - before), (5000, 5000), "{more}: {said}");
        for none in ["lost", "duplicates", "reordered", "damaged", "foreign", "refused"] {
            assert_eq!(said[none], 0, "{none}, {more}: {said}");
        }
        assert!(said["latency"]["p50_ns"].as_u64().unwrap() > 1000, "{said}");
    }
}

/// As fast as it goes the receiver may be too slow, but nothing is lost between the sender and the kernel's count at the other
/// end.
#[test]
fn what_is_sent_as_fast_as_it_goes_has_all_left() {
    if !ready("what_is_sent_as_fast_as_it_goes_has_all_left", TOOLS) {
        return;
    }
    let hosts = cable(true);
    let before = received(&hosts[1]);
    let said = said(pktgen(&hosts, "--kind plain --rate max --duration 1s --backend xdp --json"));
    let sent = said["sent"]["frames"].as_u64().unwrap();
    assert_eq!((sent, &said["refused"]), (received(&hosts[1]) - before, &0.into()), "{said}");
    let count = |key: &str| said[key].as_u64().unwrap();
    assert_eq!(said["received"]["frames"].as_u64().unwrap() + count("lost"), sent, "{said}");
    assert_eq!((count("duplicates"), count("damaged")), (0, 0), "{said}");
}

#[test]
fn where_it_cannot_work_a_socket_does() {
    if !ready("where_it_cannot_work_a_socket_does", TOOLS) {
        return;
    }
    let hosts = cable(false);
    let automatic = said(pktgen(&hosts, "--kind plain --rate max --count 500 --json"));
    assert_eq!((&automatic["backend"], &automatic["lost"]), (&SOCKET.into(), &0.into()), "{automatic}");
    let why = automatic["backend_why"].as_str().unwrap();
    assert!(why.contains("gro on") || why.contains("keep a CPU busy"), "{why}");
    let easy = said(pktgen(&hosts, "--kind plain --rate 5kpps --count 50 --json"));
    assert_eq!((&easy["backend"], &easy["backend_why"]), (&SOCKET.into(), &Value::Null), "{easy}");
    let refused = pktgen(&hosts, "--backend xdp --kind plain --count 5");
    let one_line = refused.err.lines().count() == 1 && refused.err.contains("ethtool -K INTERFACE gro on");
    assert!(refused.code == Some(1) && one_line, "{refused:?}");
    // A bridge has nothing to send them with.
    hosts[0].run("ip link add br0 type bridge").ok();
    hosts[0].run("ip link set br0 up").ok();
    let place = format!("pid:{}/br0", hosts[0].pid());
    let other = format!("pid:{}/eth0", hosts[0].pid());
    let words = format!("pktgen --tx {place} --rx {other} --backend xdp --kind plain --count 5");
    let mut command = std::process::Command::new(LANYARD);
    command.args(words.split(' ')).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let refused = harness::Running::start(&mut command).finish(harness::PATIENCE);
    assert!(refused.code == Some(1) && refused.err.contains("only veth and TAP"), "{refused:?}");
}

#[test]
fn the_report_says_by_what_frames_left() {
    if !ready("the_report_says_by_what_frames_left", TOOLS) {
        return;
    }
    let hosts = cable(true);
    for (backend, says) in [("xdp", XDP), ("socket", SOCKET)] {
        let said = pktgen(&hosts, &format!("--kind plain --rate 5kpps --count 100 --backend {backend}")).ok();
        assert!(said.lines().next().unwrap().ends_with(&format!(", by {says}")), "{said}");
        assert!(!said.contains("not by XDP"), "{said}");
    }
    let outcome = pktgen(&hosts, "--backend dpdk");
    assert!(outcome.code == Some(2) && outcome.err.contains("dpdk"), "{outcome:?}");
}

/// Through the switch, which reads the frames from a TAP.
#[test]
fn a_tap_of_the_switch_takes_them() {
    if !ready("a_tap_of_the_switch_takes_them", TOOLS) {
        return;
    }
    for kind in [Kind::Tap, Kind::TapWire] {
        let world = World::with_blue(1, "");
        let hosts: [Host; 2] = world.quiet_hosts(kind);
        let more = "--kind udp-ipv4 --size imix --rate 5kpps --count 3000 --backend xdp --json";
        let said: Value = serde_json::from_str(&world.lanyard(&words(&hosts, more)).ok()).unwrap();
        assert_eq!((&said["backend"], &said["sent"]["frames"]), (&XDP.into(), &3000.into()), "{said}");
        for none in ["lost", "duplicates", "damaged", "refused"] {
            assert_eq!(said[none], 0, "{none}, {kind:?}: {said}");
        }
    }
}

/// However it ends: nothing hangs on the interface, and no process or namespace stays.
#[test]
fn killed_in_the_middle_it_leaves_nothing() {
    if !ready("killed_in_the_middle_it_leaves_nothing", TOOLS) {
        return;
    }
    let hosts = cable(true);
    let mut command = std::process::Command::new(LANYARD);
    command.args(words(&hosts, "--kind plain --rate 5kpps --duration 60s --backend xdp").split(' '));
    let mut running = harness::Running::start(command.stdout(std::process::Stdio::null()));
    let before = received(&hosts[1]);
    wait_for("frames", harness::PATIENCE, || received(&hosts[1]) > before + 100);
    running.signal(Signal::SIGKILL);
    running.child.wait().unwrap();
    wait_for("silence", harness::PATIENCE, || {
        let seen = received(&hosts[1]);
        std::thread::sleep(std::time::Duration::from_millis(50));
        seen == received(&hosts[1])
    });
    let shown = hosts.each_ref().map(|host| host.run("ip -d link show eth0").ok());
    assert!(shown.iter().all(|shown| !shown.contains("xdp")), "{shown:?}");
    hosts[0].run("ip link del eth0").ok();
    assert!(hosts.iter().all(|host| host.interfaces().is_empty()));
}
