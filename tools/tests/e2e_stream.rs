//! Does every octet arrive, between every pair of port kinds: TCP streams, datagrams, segments, tagged frames, and are
//! frames in wire mode what they would be on a wire?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::net::IpAddr;
use std::time::Duration;

use frame::MacAddr;
use harness::flow::{Octets, datagrams, stream, udp};
use harness::wire::{Sniffer, explain, marked, send};
use harness::{Host, Kind, PATIENCE, World, ready};
use nix::sys::socket::{setsockopt, sockopt};

const TOOLS: &[&str] = &["ip", "nsenter", "unshare", "setpriv", "tcpdump"];

/// A container of this kind, with an IPv6 address beside its IPv4 one.
fn host(world: &World, kind: Kind, end: u16) -> (Host, IpAddr) {
    let host = world.host(&format!("{}-{end}", kind.name()), kind);
    let address = format!("fd00::{end:x}{:x}", kind as u8 + 1);
    host.run(&format!("ip addr add {address}/64 dev eth0 nodad")).ok();
    (host, address.parse().unwrap())
}

/// One sender of `from`, and a receiver of every kind.
fn one_to_all(workers: usize, from: Kind, check: impl Fn((&Host, IpAddr), (&Host, IpAddr))) {
    let world = World::with_blue(workers, "");
    let (sender, sender6) = host(&world, from, 1);
    let receivers = Kind::ALL.map(|to| host(&world, to, 2));
    for (receiver, receiver6) in &receivers {
        check((&sender, sender.ip()), (receiver, receiver.ip()));
        check((&sender, sender6), (receiver, *receiver6));
    }
    // A receiver may be slower than TCP hopes, and the first container has nobody to talk to.
    let ordinary = |row: &serde_json::Value| row["reason"] == "egress-full" || row["reason"] == "no-other-port";
    let dropped = world.rows("show drops", |row| !ordinary(row));
    assert!(dropped.is_empty(), "{dropped:?}");
}

fn streams(test: &str, from: Kind) {
    if !ready(test, TOOLS) {
        return;
    }
    for workers in [1, 2] {
        one_to_all(workers, from, |(from, _), (to, address)| stream(from, to, address, 64 << 20));
    }
}

#[test]
fn streams_from_a_tap() {
    streams("streams_from_a_tap", Kind::Tap);
}

#[test]
fn streams_from_a_wire_mode_tap() {
    streams("streams_from_a_wire_mode_tap", Kind::TapWire);
}

#[test]
fn streams_from_a_veth() {
    streams("streams_from_a_veth", Kind::Veth);
}

#[test]
fn streams_from_a_wire_mode_veth() {
    streams("streams_from_a_wire_mode_veth", Kind::VethWire);
}

#[test]
fn streams_from_an_xdp_port() {
    if !ready("streams_from_an_xdp_port", TOOLS) {
        return;
    }
    for (workers, octets) in [(1, 64 << 20), (2, 16 << 20)] {
        one_to_all(workers, Kind::Xdp, |(from, _), (to, address)| stream(from, to, address, octets));
    }
}

#[test]
fn a_stream_between_peered_networks() {
    if !ready("a_stream_between_peered_networks", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    world.done("network create green --subnet 10.30.0.0/24");
    world.done("network peer blue green");
    let pairs =
        [(Kind::Tap, Kind::TapWire), (Kind::VethWire, Kind::Tap), (Kind::Veth, Kind::Veth), (Kind::Xdp, Kind::Xdp)];
    for (from, to) in pairs {
        let (h1, h4) = (world.host(&format!("{}-blue", from.name()), from), Host::new(&format!("{}-green", to.name())));
        world.connect("green", &h4, to, "");
        stream(&h1, &h4, h4.ip(), 16 << 20);
        stream(&h4, &h1, h1.ip(), 16 << 20);
    }
}

#[test]
fn datagrams_of_all_sizes() {
    if !ready("datagrams_of_all_sizes", TOOLS) {
        return;
    }
    for (workers, from) in [(1, Kind::Tap), (2, Kind::TapWire), (1, Kind::Veth), (2, Kind::VethWire), (1, Kind::Xdp)] {
        one_to_all(workers, from, |from, to| {
            for _ in 0..5 {
                datagrams(from, to, &[0, 1, 1400, 1472, 1473, 9000, 60_000]);
            }
        });
    }
}

/// UDP segmentation offload (udp(7), `UDP_SEGMENT`): one write, many datagrams.
#[test]
fn a_datagram_that_is_many() {
    if !ready("a_datagram_that_is_many", TOOLS) {
        return;
    }
    for from in Kind::ALL {
        one_to_all(1, from, |(from, source), (to, address)| {
            let (sender, receiver) = (udp(from, source), udp(to, address));
            let most = if address.is_ipv4() { 1472 } else { 1452 };
            for segment in [most, 1000, 333] {
                setsockopt(&sender, sockopt::UdpGsoSegment, &segment).unwrap();
                // The last is shorter.
                let sent = Octets::new(7).take(usize::try_from(segment).unwrap() * 20 + 77);
                sender.send_to(&sent, receiver.local_addr().unwrap()).unwrap();
                let mut buffer = vec![0; 70_000];
                for (number, datagram) in sent.chunks(usize::try_from(segment).unwrap()).enumerate() {
                    let (count, _) = receiver.recv_from(&mut buffer).unwrap_or_else(|error| {
                        panic!("{} -> {}, datagram {number} of {segment}: {error}", from.name(), to.name())
                    });
                    assert!(buffer[..count] == *datagram, "datagram {number} of {segment}: {count} octets");
                }
            }
        });
    }
}

/// Whatever the sender leaves undone, in wire mode a frame is at most MTU + 14 octets, and its checksums are right.
fn as_on_a_wire(from: Kind, to: Kind) {
    let world = World::with_blue(2, "");
    let ((sender, sender6), (receiver, receiver6)) = (host(&world, from, 1), host(&world, to, 2));
    let sniffer = Sniffer::start(&receiver);
    for (source, address) in [(sender.ip(), receiver.ip()), (sender6, receiver6)] {
        stream(&sender, &receiver, address, 1 << 20);
        datagrams((&sender, source), (&receiver, address), &[1, 1000, 1400, 5000]);
        let (socket, far) = (udp(&sender, source), udp(&receiver, address));
        setsockopt(&socket, sockopt::UdpGsoSegment, &1200).unwrap();
        socket.send_to(&[0x5a; 12_345], far.local_addr().unwrap()).unwrap();
        far.recv(&mut [0; 2000]).unwrap();
    }
    // tcpdump may miss some where frames come faster than it writes them down; most is enough.
    harness::wait_for("tcpdump", PATIENCE, || sniffer.frames().len() > 800);
    harness::wire::settle();
    let longest = sniffer.frames().iter().map(Vec::len).max().unwrap();
    assert_eq!(longest, 1514, "{from:?} -> {to:?}");
    let said = explain(&sniffer);
    let is_wrong = |line: &&str| ["incorrect", "bad cksum", "[bad ", "(bad "].iter().any(|word| line.contains(word));
    let wrong: Vec<&str> = said.lines().filter(is_wrong).take(5).collect();
    assert!(wrong.is_empty(), "{from:?} -> {to:?}: {wrong:#?}");
    let (tcp, udp) = (said.matches("(correct)").count(), said.matches("udp sum ok").count());
    assert!(
        tcp > 700 && udp > 10,
        "{from:?} -> {to:?}: {tcp} TCP checksums are right and {udp} UDP ones: {said:.9000}"
    );
}

#[test]
fn frames_to_a_wire_mode_tap_are_as_on_a_wire() {
    if ready("frames_to_a_wire_mode_tap_are_as_on_a_wire", TOOLS) {
        for from in Kind::ALL {
            as_on_a_wire(from, Kind::TapWire);
        }
    }
}

#[test]
fn frames_to_a_wire_mode_veth_are_as_on_a_wire() {
    if ready("frames_to_a_wire_mode_veth_are_as_on_a_wire", TOOLS) {
        for from in Kind::ALL {
            as_on_a_wire(from, Kind::VethWire);
        }
    }
}

#[test]
fn frames_to_an_xdp_port_are_as_on_a_wire() {
    if ready("frames_to_an_xdp_port_are_as_on_a_wire", TOOLS) {
        for from in [Kind::Tap, Kind::Veth, Kind::Xdp] {
            as_on_a_wire(from, Kind::Xdp);
        }
    }
}

/// A frame that its sender tagged (IEEE 802.1Q, 802.1ad) arrives with its tags, and every other octet, as it was sent.
#[test]
fn tagged_frames_pass_unchanged() {
    if !ready("tagged_frames_pass_unchanged", TOOLS) {
        return;
    }
    for workers in [1, 2] {
        let world = World::with_blue(workers, "");
        let hosts: Vec<(Kind, Host)> =
            Kind::ALL.into_iter().map(|kind| (kind, world.host(kind.name(), kind))).collect();
        let sniffers: Vec<Sniffer> = hosts.iter().map(|(_, host)| Sniffer::start(host)).collect();
        for (number, (kind, host)) in hosts.iter().enumerate() {
            let sent: Vec<Vec<u8>> = tagged(host.mac(), kind.name());
            send(host, &sent);
            for ((to, _), sniffer) in hosts.iter().zip(&sniffers).filter(|((to, _), _)| to != kind) {
                let mark = format!("from {} #", kind.name());
                let what = format!("{kind:?} -> {to:?}");
                harness::wait_for(&what, Duration::from_secs(5), || sniffer.count(&mark) >= sent.len());
                let arrived = sniffer.matching(|octets| harness::wire::contains(octets, &mark));
                assert!(arrived == sent, "{what}, {workers} workers: {arrived:02x?}\nwas sent as {sent:02x?}");
            }
            assert_eq!(sniffers[number].count(&format!("from {} #", kind.name())), 0, "back to {kind:?}");
        }
    }
}

/// Untagged, tagged, priority-tagged, twice tagged, provider-tagged; the shortest and the longest that fit.
fn tagged(source: MacAddr, name: &str) -> Vec<Vec<u8>> {
    let tags: [&[u8]; 6] = [
        &[],
        &[0x81, 0, 0, 5],
        &[0x81, 0, 0xe0, 0],
        &[0x81, 0, 0x2f, 0xfe, 0x81, 0, 0, 7],
        &[0x88, 0xa8, 0, 100, 0x81, 0, 0, 7],
        &[0x88, 0xa8, 0x0f, 0xff],
    ];
    let mut frames = Vec::new();
    for (number, tag) in tags.into_iter().enumerate() {
        // AF_PACKET lets no more than one tag, and that of a customer, come on top of the MTU (packet(7)).
        let longest = if matches!(tag, [] | [0x81, 0, _, _]) { 1514 } else { 1514 - tag.len() };
        for length in [60, longest] {
            let mut octets = marked(MacAddr::BROADCAST, source, &format!("from {name} #{number}"));
            octets.resize(length, 0xa5);
            octets.splice(12..12, tag.iter().copied());
            frames.push(octets);
        }
    }
    frames
}

#[test]
fn iperf3_ends_well() {
    if !ready("iperf3_ends_well", &["iperf3", "ip", "nsenter"]) {
        return;
    }
    let world = World::with_blue(2, "");
    let hosts: Vec<Host> = Kind::ALL.into_iter().map(|kind| world.host(kind.name(), kind)).collect();
    for (number, from) in hosts.iter().enumerate() {
        let to = &hosts[(number + 1) % hosts.len()];
        for words in ["-n 100M", "-n 100M -R", "-u -b 100M -t 1", "-u -b 50M -l 8000 -t 1 -R"] {
            let server = to.spawn("iperf3 -s -1 --forceflush");
            let listens = || to.run("ss -Hltn sport = :5201").out.contains("5201");
            harness::wait_for("iperf3", PATIENCE, listens);
            let said = from.run(&format!("iperf3 -J -c {} {words}", to.ip())).ok();
            assert_eq!(server.finish(PATIENCE).code, Some(0));
            let report: serde_json::Value = serde_json::from_str(&said).unwrap();
            let sum = &report["end"][if words.contains("-u") { "sum" } else { "sum_received" }];
            let octets = sum["bytes"].as_f64().unwrap();
            let what = format!("{} -> {}, {words}: {sum}", from.name(), to.name());
            assert!(octets > 1e6, "{what}");
            assert!(sum["lost_percent"].as_f64().unwrap_or(0.0) < 20.0, "{what}");
        }
    }
}
