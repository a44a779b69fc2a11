//! Is it a learning switch? Who sees which frame, how often; what the MAC table holds; what is refused, and is it said?
//!
//! The cases of learning and flooding are those that the Linux kernel's own bridge is tested with
//! (`tools/testing/selftests/net/forwarding/bridge_vlan_unaware.sh`). Frames shorter than an Ethernet header are not among
//! them: the kernel lets no container send one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::thread;
use std::time::Duration;

use frame::MacAddr;
use harness::wire::{Sniffer, contains, frame, marked, send, settle};
use harness::{Host, Kind, PATIENCE, World, ready, wait_for};

const TOOLS: &[&str] = &["ip", "ping", "arping", "nsenter", "unshare", "setpriv", "tcpdump"];

/// A station that nobody is.
const NOBODY: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x99]);

fn station(last: u8) -> MacAddr {
    MacAddr([0x02, 0xaa, 0, 0, 0, last])
}

/// Frames of one port kind and number of workers after the other.
fn in_each_world(test: &str, check: impl Fn(&World, Kind)) {
    if ready(test, TOOLS) {
        for (workers, kind) in [(1, Kind::Tap), (2, Kind::TapWire), (2, Kind::Veth), (1, Kind::VethWire)] {
            check(&World::with_blue(workers, ""), kind);
        }
    }
}

fn sniff<const N: usize>(hosts: &[Host; N]) -> [Sniffer; N] {
    std::array::from_fn(|index| Sniffer::start(&hosts[index]))
}

/// How often each host got the frames with this text, once `expected` are there or time is up.
fn assert_seen<const N: usize>(sniffers: &[Sniffer; N], text: &str, expected: [usize; N]) {
    let counts = || -> [usize; N] { std::array::from_fn(|index| sniffers[index].count(text)) };
    for _ in 0..200 {
        if counts() == expected {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    settle();
    assert_eq!(counts(), expected, "'{text}'");
}

#[test]
fn a_third_host_sees_no_unicast_of_others() {
    in_each_world("a_third_host_sees_no_unicast_of_others", |world, kind| {
        let hosts: [Host; 3] = world.hosts(kind);
        let third = Sniffer::start(&hosts[2]);
        let pings = hosts[0].ping(&format!("-c 10 -i 0.05 -W 2 {}", hosts[1].ip()));
        assert!(pings.is_perfect(), "{}", pings.text);
        settle();
        let icmp = |octets: &[u8]| octets[12..14] == [8, 0] && octets[23] == 1;
        assert_eq!(third.matching(icmp).len(), 0, "{kind:?}");
        // But it does see the one broadcast that began it, once.
        let request = |octets: &[u8]| octets[12..14] == [8, 6] && octets[20..22] == [0, 1] && octets[..6] == [0xff; 6];
        let asked = third.matching(|octets| request(octets) && octets[38..42] == octets_of(&hosts[1]));
        assert_eq!(asked.len(), 1, "{kind:?}: {asked:02x?}");
    });
}

fn octets_of(host: &Host) -> [u8; 4] {
    let std::net::IpAddr::V4(ip) = host.ip() else { panic!("IPv4") };
    ip.octets()
}

/// The selftests' `flood_test`: unknown unicast, unregistered multicast and broadcast reach every other port once.
#[test]
fn unknown_and_group_frames_reach_every_other_port_once() {
    in_each_world("unknown_and_group_frames_reach_every_other_port_once", |world, kind| {
        let hosts: [Host; 4] = world.hosts(kind);
        let sniffers = sniff(&hosts);
        let group = MacAddr([0x01, 0, 0x5e, 0, 0, 0x6f]);
        for (number, destination) in [NOBODY, group, MacAddr::BROADCAST].into_iter().enumerate() {
            let text = format!("flood {number} {kind:?} ");
            let frames: Vec<_> = (0..50).map(|_| marked(destination, hosts[0].mac(), &text)).collect();
            send(&hosts[0], &frames);
            assert_seen(&sniffers, &text, [0, 50, 50, 50]);
            let text = format!("flood back {number} {kind:?} ");
            send(&hosts[2], &[marked(destination, hosts[2].mac(), &text)]);
            assert_seen(&sniffers, &text, [1, 1, 0, 1]);
        }
        // The shortest frame there can be: a header and nothing else.
        let before = world.drops("runt");
        send(&hosts[0], &[frame(MacAddr::BROADCAST, hosts[0].mac(), b"")]);
        settle();
        for sniffer in &sniffers[1..] {
            let header = [&[0xff; 6], &hosts[0].mac().0[..], &[0x88, 0xb5]].concat();
            let seen = sniffer.matching(|octets| {
                octets.len() <= 60 && octets[..14] == header && octets[14..].iter().all(|o| *o == 0)
            });
            assert_eq!(seen.len(), 1, "{kind:?}");
        }
        assert_eq!(world.drops("runt"), before);
    });
}

/// The selftests' `learning_test`: a frame's source is found in the table, frames to it go to its port alone, and after the
/// ageing time it is gone and they are flooded again.
#[test]
fn addresses_are_learned_used_and_forgotten() {
    if !ready("addresses_are_learned_used_and_forgotten", TOOLS) {
        return;
    }
    for (workers, kind) in [(1, Kind::Tap), (2, Kind::Veth)] {
        let world = World::with_blue(workers, "-o ageing=2");
        let hosts: [Host; 3] = world.hosts(kind);
        let sniffers = sniff(&hosts);
        let entry = || world.rows("show mac", |row| row["mac"] == station(1).to_string());
        assert!(entry().is_empty());
        send(&hosts[1], &[marked(station(1), hosts[1].mac(), "before")]);
        assert_seen(&sniffers, "before", [1, 0, 1]);

        send(&hosts[0], &[marked(MacAddr::BROADCAST, station(1), "hello")]);
        assert_seen(&sniffers, "hello", [0, 1, 1]);
        let learned = entry();
        assert_eq!(learned.len(), 1);
        assert_eq!((&learned[0]["endpoint"], &learned[0]["kind"]), (&"h1".into(), &"learned".into()));
        assert_eq!(learned[0]["moves"], 0);
        assert!(learned[0]["age_ms"].as_u64().unwrap() < 2000, "{learned:?}");
        send(&hosts[1], &[marked(station(1), hosts[1].mac(), "to one")]);
        assert_seen(&sniffers, "to one", [1, 0, 0]);

        // Still talking, it stays.
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(500));
            send(&hosts[0], &[marked(hosts[2].mac(), station(1), "still here")]);
            assert_eq!(entry().len(), 1);
        }
        let gone = wait_for("ageing", Duration::from_secs(6), || entry().is_empty());
        assert!(gone > Duration::from_millis(1500), "forgotten after {gone:?}");
        send(&hosts[1], &[marked(station(1), hosts[1].mac(), "forgotten")]);
        assert_seen(&sniffers, "forgotten", [1, 0, 1]);
    }
}

#[test]
fn a_frame_to_a_station_on_its_own_port_goes_nowhere() {
    in_each_world("a_frame_to_a_station_on_its_own_port_goes_nowhere", |world, kind| {
        let hosts: [Host; 2] = world.hosts(kind);
        let sniffers = sniff(&hosts);
        send(
            &hosts[0],
            &[marked(MacAddr::BROADCAST, station(1), "one"), marked(MacAddr::BROADCAST, station(2), "two")],
        );
        assert_seen(&sniffers, "two", [0, 1]);
        send(&hosts[0], &[marked(station(2), station(1), "local")]);
        assert_seen(&sniffers, "local", [0, 0]);
        assert_eq!(world.drops("same-port"), 1, "{kind:?}");
    });
}

#[test]
fn a_station_that_moves_is_followed_and_counted() {
    in_each_world("a_station_that_moves_is_followed_and_counted", |world, kind| {
        let hosts: [Host; 3] = world.hosts(kind);
        let sniffers = sniff(&hosts);
        let entry = || world.rows("show mac", |row| row["mac"] == station(1).to_string());
        for (number, host) in [0, 1, 0].into_iter().enumerate() {
            let text = format!("moved {number}");
            send(&hosts[host], &[marked(MacAddr::BROADCAST, station(1), &text)]);
            let expected = std::array::from_fn(|index| usize::from(index != host));
            assert_seen(&sniffers, &text, expected);
            let row = entry();
            assert_eq!(row.len(), 1, "{kind:?}");
            let expected = (&format!("h{}", host + 1).into(), &number.into());
            assert_eq!((&row[0]["endpoint"], &row[0]["moves"]), expected, "{kind:?}");
            let text = format!("after {number}");
            send(&hosts[2], &[marked(station(1), hosts[2].mac(), &text)]);
            assert_seen(&sniffers, &text, std::array::from_fn(|index| usize::from(index == host)));
        }
    });
}

#[test]
fn a_port_learns_no_more_than_its_limit() {
    if !ready("a_port_learns_no_more_than_its_limit", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "--mac-limit 3");
    let hosts: [Host; 2] = world.hosts(Kind::Tap);
    let sniffers = sniff(&hosts);
    let flood: Vec<_> = (1..=40).map(|last| marked(MacAddr::BROADCAST, station(last), "many")).collect();
    send(&hosts[0], &flood);
    assert_seen(&sniffers, "many", [0, 40]);
    let learned = world.macs_on("h1");
    assert!(learned.len() == 3, "{learned:?}");
    // The others' places are their own.
    send(&hosts[1], &[marked(MacAddr::BROADCAST, station(100), "other")]);
    assert_seen(&sniffers, "other", [1, 0]);
    assert!(world.macs_on("h2").iter().any(|row| row["mac"] == station(100).to_string()));
}

#[test]
fn a_static_entry_and_the_gateway_cannot_be_taken_over() {
    if !ready("a_static_entry_and_the_gateway_cannot_be_taken_over", TOOLS) {
        return;
    }
    for kind in [Kind::Tap, Kind::VethWire] {
        let world = World::with_blue(2, "");
        let pinned = Host::new("h1");
        world.connect("blue", &pinned, kind, "--static");
        let hosts = [pinned, world.host("h2", kind), world.host("h3", kind)];
        let sniffers = sniff(&hosts);
        let taker: Vec<_> = (0..20).map(|_| marked(MacAddr::BROADCAST, hosts[0].mac(), "I am h1")).collect();
        send(&hosts[2], &taker);
        settle();
        let row = world.rows("show mac", |row| row["mac"] == hosts[0].mac().to_string());
        assert_eq!(row.len(), 1);
        assert_eq!(
            (&row[0]["endpoint"], &row[0]["kind"], &row[0]["moves"]),
            (&"h1".into(), &"static".into(), &0.into())
        );
        send(&hosts[1], &[marked(hosts[0].mac(), hosts[1].mac(), "for h1")]);
        assert_seen(&sniffers, "for h1", [1, 0, 0]);

        let info = world.json("network inspect blue");
        let gateway: MacAddr = info["gateway_mac"].as_str().unwrap().parse().unwrap();
        send(&hosts[2], &[marked(MacAddr::BROADCAST, gateway, "I am the gateway")]);
        assert_seen(&sniffers, "I am the gateway", [0, 0, 0]);
        assert_eq!(world.drops("gateway-source"), 1);
        let row = world.rows("show mac", |row| row["mac"] == gateway.to_string());
        assert_eq!((row.len(), &row[0]["kind"], &row[0]["port"]), (1, &"gateway".into(), &serde_json::Value::Null));
        assert!(hosts[1].ping("-c 1 -W 2 10.20.0.1").is_perfect());
    }
}

#[test]
fn what_no_switch_forwards_is_dropped_with_its_reason() {
    in_each_world("what_no_switch_forwards_is_dropped_with_its_reason", |world, kind| {
        let hosts: [Host; 3] = world.hosts(kind);
        let sniffers = sniff(&hosts);
        let own = hosts[0].mac();
        let reserved = |last: u8| MacAddr([0x01, 0x80, 0xc2, 0, 0, last]);
        let mut cases: Vec<(&str, MacAddr, MacAddr)> = vec![
            ("zero-source", MacAddr::BROADCAST, MacAddr([0; 6])),
            ("zero-source", hosts[1].mac(), MacAddr([0; 6])),
            ("group-source", MacAddr::BROADCAST, MacAddr::BROADCAST),
            ("group-source", MacAddr::BROADCAST, MacAddr([0x01, 0, 0x5e, 0, 0, 1])),
            ("group-source", hosts[1].mac(), MacAddr([0x33, 0x33, 0, 0, 0, 1])),
        ];
        cases.extend((0..16).map(|last| ("reserved-group", reserved(last), own)));
        for (number, (reason, destination, source)) in cases.iter().enumerate() {
            let before = world.drops(reason);
            let text = format!("refused {number}.");
            send(&hosts[0], &[marked(*destination, *source, &text)]);
            wait_for(reason, PATIENCE, || world.drops(reason) == before + 1);
        }
        // The next address after the reserved ones is a group like any other.
        send(&hosts[0], &[marked(reserved(0x10), own, "not reserved")]);
        assert_seen(&sniffers, "not reserved", [0, 1, 1]);
        assert_seen(&sniffers, "refused", [0, 0, 0]);
        let learned = world.json("show mac").to_string();
        assert!(
            !learned.contains("ff:ff:ff:ff:ff:ff") && !learned.contains("00:00:00:00:00:00"),
            "{kind:?}: {learned}"
        );
        let told = world.done("show drops");
        for reason in ["zero-source", "group-source", "reserved-group"] {
            assert!(told.contains(reason), "{told}");
        }
    });
}

#[test]
fn a_giant_is_dropped_with_its_reason() {
    if !ready("a_giant_is_dropped_with_its_reason", TOOLS) {
        return;
    }
    // A veth's other end would drop it before the switch sees it.
    for kind in [Kind::Tap, Kind::TapWire] {
        let world = World::with_blue(1, "");
        let hosts: [Host; 2] = world.hosts(kind);
        let sniffers = sniff(&hosts);
        hosts[0].run("ip link set eth0 mtu 3000").ok();
        let sized = |octets: usize, text: &str| {
            let mut frame = marked(MacAddr::BROADCAST, hosts[0].mac(), text);
            frame.resize(octets, 0);
            frame
        };
        let port_drops = || world.rows("show ports", |row| row["endpoint"] == "h1")[0]["drops"].as_u64().unwrap();
        let before = port_drops();
        send(&hosts[0], &[sized(1514, "just fits"), sized(1515, "one too many"), sized(3014, "far too many")]);
        assert_seen(&sniffers, "just fits", [0, 1]);
        assert_seen(&sniffers, "too many", [0, 0]);
        assert_eq!(world.drops("giant"), 2, "{kind:?}");
        assert_eq!(port_drops(), before + 2, "{kind:?}");
    }
}

#[test]
fn reserved_groups_pass_where_the_network_says_so() {
    if !ready("reserved_groups_pass_where_the_network_says_so", TOOLS) {
        return;
    }
    for kind in Kind::ALL {
        let world = World::with_blue(1, "-o forward-reserved=true");
        let hosts: [Host; 3] = world.hosts(kind);
        let sniffers = sniff(&hosts);
        let frames = (0..16).map(|last| marked(MacAddr([0x01, 0x80, 0xc2, 0, 0, last]), hosts[0].mac(), "reserved"));
        send(&hosts[0], &frames.collect::<Vec<_>>());
        assert_seen(&sniffers, "reserved", [0, 16, 16]);
    }
}

#[test]
fn suppressed_arp_is_answered_by_the_switch() {
    if !ready("suppressed_arp_is_answered_by_the_switch", TOOLS) {
        return;
    }
    for (workers, kind) in [(1, Kind::Tap), (2, Kind::VethWire)] {
        let world = World::with_blue(workers, "-o arp=suppress");
        let hosts: [Host; 3] = world.hosts(kind);
        let sniffers = sniff(&hosts);
        let said = hosts[0].run(&format!("arping -c 1 -w 3 -I eth0 {}", hosts[1].ip())).ok();
        let mac = hosts[1].mac().to_string().to_uppercase();
        assert!(said.contains("Received 1 response(s)") && said.contains(&mac), "{said}");
        assert!(hosts[0].ping(&format!("-c 2 -i 0.1 -W 2 {}", hosts[1].ip())).is_perfect());
        settle();
        let from_h1 =
            |octets: &[u8]| octets[12..14] == [8, 6] && octets[6..12] == hosts[0].mac().0 && octets[..6] == [0xff; 6];
        for sniffer in &sniffers[1..] {
            assert_eq!(sniffer.matching(from_h1).len(), 0, "{kind:?}");
        }
        // Nobody can answer for an address that nobody was given: that is flooded.
        hosts[0].run("arping -c 1 -w 1 -I eth0 10.20.0.200");
        settle();
        assert_eq!(sniffers[2].matching(from_h1).len(), 1, "{kind:?}");
    }
}

#[test]
fn who_claims_anothers_address_is_shown() {
    if !ready("who_claims_anothers_address_is_shown", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let [h1, h2, h3]: [Host; 3] = world.hosts(Kind::Tap);
    let row = || world.rows("show arp", |row| row["ip"] == h2.ip().to_string())[0].clone();
    assert_eq!((&row()["conflicts"], &row()["state"]), (&serde_json::json!([]), &"permanent".into()));
    h3.run(&format!("ip addr add {}/24 dev eth0", h2.ip())).ok();
    h3.run(&format!("arping -U -c 1 -w 1 -I eth0 {}", h2.ip()));
    wait_for("the conflict", PATIENCE, || row()["conflicts"] != serde_json::json!([]));
    assert_eq!(row()["conflicts"], serde_json::json!([h3.mac().to_string()]));
    assert_eq!((&row()["mac"], &row()["port"]), (&h2.mac().to_string().into(), &port_of(&world, "h2")));
    assert!(world.done("show arp").contains(&h3.mac().to_string()));
    // A neighbor that control knows nothing of is learned from what it says.
    h1.run("ip addr add 10.20.0.77/24 dev eth0").ok();
    h1.run("arping -U -c 1 -w 1 -I eth0 10.20.0.77");
    let heard = || world.rows("show arp", |row| row["ip"] == "10.20.0.77");
    wait_for("the neighbor", PATIENCE, || !heard().is_empty());
    assert_eq!((&heard()[0]["mac"], &heard()[0]["source"]), (&h1.mac().to_string().into(), &"arp".into()));
}

fn port_of(world: &World, endpoint: &str) -> serde_json::Value {
    world.rows("show ports", |row| row["endpoint"] == endpoint)[0]["port"].clone()
}

#[test]
fn one_network_hears_nothing_of_another() {
    if !ready("one_network_hears_nothing_of_another", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    world.done("network create green --subnet 10.30.0.0/24");
    world.done("network peer blue green");
    let (h1, h2, h4) = (world.host("h1", Kind::Tap), world.host("h2", Kind::Veth), Host::new("h4"));
    world.connect("green", &h4, Kind::Tap, "");
    let sniffers = [Sniffer::start(&h2), Sniffer::start(&h4)];
    for destination in [MacAddr::BROADCAST, NOBODY, h4.mac()] {
        send(&h1, &[marked(destination, h1.mac(), "for blue only")]);
    }
    assert_seen(&sniffers, "for blue only", [3, 0]);
    assert!(sniffers[1].matching(|octets| contains(octets, "blue")).is_empty());
}
