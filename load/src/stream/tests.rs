//! Are the frames of a stream what they should be? Read by etherparse, which is not ours, and by their signature.

use std::collections::HashSet;

use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use frame::ethernet::{EthernetHeader, ether_type, payload};
use proptest::prelude::*;

use super::*;
use crate::Sizes;
use crate::signature::{Unsigned, read};
use crate::walk::Walk;

const MARK: u16 = 0x4c61;

fn stream(spec: StreamSpec) -> Stream {
    Stream::new(spec).unwrap()
}

/// A specification of that kind whose frames are just large enough, or have those sizes.
fn spec(kind: Kind, vlan: Option<u16>, sizes: Option<&str>) -> StreamSpec {
    let spec = StreamSpec { kind, vlan, ..StreamSpec::default() };
    let least = Sizes::fixed(spec.least_octets() as u32).unwrap();
    StreamSpec { sizes: sizes.map_or(least, |sizes| sizes.parse().unwrap()), ..spec }
}

fn errored(per_million: u32, kinds: &[ErroredKind]) -> Errored {
    Errored { per_million, kinds: kinds.to_vec(), giant_octets: Errored::usual_giant() }
}

/// The next `count` frames, due 100 ns from one another.
fn frames(stream: &mut Stream, count: u64) -> Vec<Vec<u8>> {
    let mut frame = Frame::empty();
    let mut next = |n| {
        stream.write(&mut frame, MARK, n * 100);
        frame.octets().to_vec()
    };
    (0..count).map(&mut next).collect()
}

fn addresses(octets: &[u8]) -> EthernetHeader {
    EthernetHeader::read(octets).unwrap()
}

/// Read a frame as any other program would, and see that every length and checksum in it is right.
fn checked(octets: &[u8], kind: Kind, vlan: Option<u16>) -> PacketHeaders<'_> {
    let headers = PacketHeaders::from_ethernet_slice(octets).unwrap();
    assert_eq!(headers.vlan_ids().first().map(|vlan| vlan.value()), vlan);
    match (kind, &headers.net, &headers.transport) {
        (Kind::UdpIpv4, Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Udp(udp))) => {
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            assert_eq!((udp.checksum, udp.length), (0, headers.payload.slice().len() as u16 + 8));
            assert_eq!(usize::from(ip.total_len), octets.len() - header_octets(vlan));
            assert_eq!((ip.dont_fragment, ip.time_to_live, udp.destination_port), (true, 64, 9));
        }
        (Kind::UdpIpv6, Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Udp(udp))) => {
            assert_eq!(udp.checksum, udp.calc_checksum_ipv6(ip, headers.payload.slice()).unwrap());
            assert_eq!(udp.length, ip.payload_length);
            assert_eq!(usize::from(udp.length), octets.len() - header_octets(vlan) - 40);
            assert_eq!((ip.hop_limit, udp.destination_port), (64, 9));
        }
        (Kind::ArpRequest, Some(NetHeaders::Arp(arp)), None) => {
            assert_eq!((arp.operation, arp.target_hw_addr()), (etherparse::ArpOperation::REQUEST, &[0; 6][..]));
            assert_eq!(arp.sender_hw_addr(), addresses(octets).source.0);
        }
        (Kind::Plain, None, None) => assert_eq!(payload(octets).unwrap().0, packet::EXPERIMENTAL),
        other => panic!("{other:?}"),
    }
    headers
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&Kind::ALL[..])
}

fn any_walk() -> impl Strategy<Value = Walk> {
    prop::sample::select(vec![Walk::Fixed, Walk::Sequential, Walk::Random, Walk::ZIPF])
}

fn any_spec() -> impl Strategy<Value = StreamSpec> {
    let stations = || (1u32..100_000, any_walk());
    let sizes = prop::sample::select(vec!["88", "88-1518", "88:7,594:4,1518:1", "9018"]);
    let vlan = prop::option::of(1u16..=4094);
    let wrong = prop::sample::subsequence(ErroredKind::ALL.to_vec(), 1..=4);
    let errored = prop::option::of((0u32..=1_000_000, wrong).prop_map(|(share, kinds)| errored(share, &kinds)));
    let rest = (1u32..=MOST_FLOWS, 0u32..=1_000_000, errored, any::<u64>(), 0..=MOST_STREAM, any::<u8>());
    (any_kind(), sizes, vlan, stations(), stations(), rest).prop_map(|(kind, sizes, vlan, from, to, rest)| {
        let (flows, broadcast_per_million, errored, seed, stream, port) = rest;
        let spec = spec(kind, vlan, Some(sizes));
        let sources = Stations { count: from.0, walk: from.1, ..spec.sources };
        let destinations = Stations { count: to.0, walk: to.1, ..spec.destinations };
        StreamSpec { sources, destinations, flows, broadcast_per_million, errored, seed, stream, port, ..spec }
    })
}

#[test]
fn every_kind_is_read_as_itself_and_known_again() {
    for kind in Kind::ALL {
        for vlan in [None, Some(7)] {
            for sizes in [None, Some("88-1518"), Some("9018")] {
                let mut stream = stream(StreamSpec { flows: 9, stream: 3, port: 5, ..spec(kind, vlan, sizes) });
                for (n, octets) in frames(&mut stream, 50).iter().enumerate() {
                    checked(octets, kind, vlan);
                    let port = if kind == Kind::ArpRequest { ANY_PORT } else { 5 };
                    let number = n as u64;
                    let expected = Signature { mark: MARK, stream: 3, port, number, due_ns: number * 100 };
                    assert_eq!(read(octets, MARK), Ok(expected), "{kind}, {vlan:?}, {sizes:?}");
                }
            }
        }
    }
}

#[test]
fn stations_and_flows_are_walked() {
    let usual = spec(Kind::UdpIpv4, None, None);
    let ip = |text: &str| Some(text.parse().unwrap());
    let sources = Stations { count: 3, ip: ip("10.0.0.254"), ..usual.sources };
    let destinations = Stations { count: 2, ..usual.destinations };
    let mut stream = stream(StreamSpec { sources, destinations, flows: 4, ..usual });
    let (mut seen, mut ports) = (Vec::new(), HashSet::new());
    for octets in frames(&mut stream, 100) {
        let headers = checked(&octets, Kind::UdpIpv4, None);
        let (Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Udp(udp))) = (headers.net, headers.transport) else {
            panic!("no UDP over IPv4")
        };
        let EthernetHeader { source, destination, .. } = addresses(&octets);
        seen.push((source.0[5], ip.source, destination.0[5], ip.destination));
        ports.insert(udp.source_port);
    }
    assert_eq!(
        seen[..4],
        [
            (1, [10, 0, 0, 254], 1, [198, 19, 0, 1]),
            (2, [10, 0, 0, 255], 2, [198, 19, 0, 2]),
            (3, [10, 0, 1, 0], 1, [198, 19, 0, 1]),
            (1, [10, 0, 0, 254], 2, [198, 19, 0, 2]),
        ]
    );
    assert_eq!(ports, (1024..1028).collect());
}

/// More stations than half of the range for benchmarks has addresses: they share them, and nobody's elsewhere.
#[test]
fn usual_ip_addresses_stay_in_their_half() {
    let mut many = spec(Kind::UdpIpv4, None, None);
    (many.sources.count, many.destinations.count) = (300_000, 70_000);
    let mut stream = stream(many);
    let (mut macs, mut ips) = (HashSet::new(), HashSet::new());
    for octets in frames(&mut stream, 140_000) {
        let headers = PacketHeaders::from_ethernet_slice(&octets).unwrap();
        let Some(NetHeaders::Ipv4(ip, _)) = headers.net else { panic!("no IPv4") };
        assert!(matches!((ip.source, ip.destination), ([198, 18, ..], [198, 19, ..])), "{ip:?}");
        for [.., third, last] in [ip.source, ip.destination] {
            assert!(![[0, 0], [255, 255]].contains(&[third, last]), "{ip:?}");
        }
        macs.insert(addresses(&octets).source);
        ips.insert(ip.source);
    }
    assert_eq!((macs.len(), ips.len()), (140_000, USUAL_IPS_V4 as usize));
    // One that was asked for is counted on.
    let ip = Some("10.0.0.1".parse().unwrap());
    let sources = Stations { ip, count: 70_000, ..Stations::sources() };
    assert_eq!(ip_number(&sources, Whose::Source, Kind::UdpIpv4, 65_535), 0x0a01_0000);
    let six = Stations { count: u32::MAX, ..Stations::sources() };
    assert_eq!(ip_number(&six, Whose::Source, Kind::UdpIpv6, 70_000), (0x2001_0002 << 96) + 70_001);
}

#[test]
fn a_broadcast_goes_to_everyone_in_every_header() {
    for (kind, everyone) in [(Kind::UdpIpv4, "255.255.255.255"), (Kind::UdpIpv6, "ff02::1"), (Kind::Plain, "")] {
        let mut stream = stream(StreamSpec { broadcast_per_million: 1_000_000, ..spec(kind, None, None) });
        let octets = &frames(&mut stream, 1)[0];
        assert!(addresses(octets).destination.is_broadcast());
        assert_eq!(read(octets, MARK).unwrap().port, ANY_PORT);
        match checked(octets, kind, None).net {
            Some(NetHeaders::Ipv4(ip, _)) => assert_eq!(std::net::Ipv4Addr::from(ip.destination).to_string(), everyone),
            Some(NetHeaders::Ipv6(ip, _)) => assert_eq!(std::net::Ipv6Addr::from(ip.destination).to_string(), everyone),
            _ => assert_eq!(kind, Kind::Plain),
        }
    }
}

/// Of 100,000 frames, each share within five standard deviations.
#[test]
fn shares_are_as_asked() {
    let total = 100_000;
    let asked = StreamSpec {
        broadcast_per_million: 250_000,
        errored: Some(errored(20_000, &ErroredKind::ALL)),
        ..spec(Kind::Plain, None, None)
    };
    let mut stream = stream(asked);
    let mut frame = Frame::empty();
    (0..total).for_each(|_| stream.write(&mut frame, MARK, 0));
    let sent = stream.sent();
    assert_eq!(sent.all(), total);
    let near = |count: u64, expected: u64| count.abs_diff(expected).pow(2) < 25 * expected;
    assert!(near(sent.errored, total / 50) && near(sent.broadcast, total * 98 / 400), "{sent:?}");
}

#[test]
fn errored_frames_are_wrong_in_just_that() {
    for (kind, vlan) in Kind::ALL.into_iter().flat_map(|kind| [(kind, None), (kind, Some(7))]) {
        for wrong in ErroredKind::ALL {
            let mut stream =
                stream(StreamSpec { errored: Some(errored(1_000_000, &[wrong])), stream: 3, ..spec(kind, vlan, None) });
            for (n, octets) in frames(&mut stream, 60).iter().enumerate() {
                let signature = read(octets, MARK).unwrap();
                assert_eq!((signature.stream, signature.number), (3 + 128, n as u64));
                let source = addresses(octets).source;
                match wrong {
                    ErroredKind::Runt => {
                        assert!((header_octets(vlan) + 18..60).contains(&octets.len()));
                        assert_eq!(payload(octets), Some((packet::EXPERIMENTAL, header_octets(vlan))));
                    }
                    ErroredKind::Giant => assert_eq!(octets.len(), 1519),
                    ErroredKind::GroupSource => assert_eq!(source, MacAddr([3, 0x73, 0, 0, 0, 1])),
                    ErroredKind::ZeroSource => assert_eq!(source, MacAddr::ZERO),
                }
                let as_usual = matches!(wrong, ErroredKind::Runt | ErroredKind::Giant);
                assert_eq!(as_usual, source == StreamSpec::default().sources.mac);
                if kind != Kind::ArpRequest && wrong != ErroredKind::Runt {
                    checked(octets, kind, vlan);
                }
            }
            assert_eq!(stream.sent(), Sent { errored: 60, wire_octets: stream.sent().wire_octets, ..Sent::default() });
        }
    }
    let largest = Some(Errored { giant_octets: MOST_GIANT, ..errored(1_000_000, &[ErroredKind::Giant]) });
    let mut stream = stream(StreamSpec { errored: largest, ..spec(Kind::UdpIpv6, Some(7), None) });
    checked(&frames(&mut stream, 1)[0], Kind::UdpIpv6, Some(7));
}

#[test]
fn octets_of_the_wire_are_counted_with_all_that_a_frame_takes() {
    let mut stream = stream(spec(Kind::UdpIpv4, None, Some("imix")));
    let mut frame = Frame::empty();
    let mut sum = 0;
    assert_eq!((stream.wire_octets(), stream.sent()), (0, Sent::default()));
    for _ in 0..100 {
        stream.write(&mut frame, MARK, 0);
        assert_eq!(stream.wire_octets(), frame.len() as u64 + 24);
        sum += stream.wire_octets();
        assert_eq!(stream.sent().wire_octets, sum);
    }
    assert_eq!(stream.sent().frames, 100);
}

#[test]
fn a_stream_that_cannot_be_is_refused() {
    let refused = Stream::new(StreamSpec { kind: Kind::UdpIpv6, ..StreamSpec::default() }).map(|_| ()).unwrap_err();
    assert!(matches!(refused, LoadError::NoRoom { least: 84, .. }));
}

/// Whoever changes this number changes everyone's frames: say so where changes are told.
#[test]
fn the_frames_of_a_seed_are_the_same_everywhere_and_ever() {
    let mut hash = crc32fast::Hasher::new();
    for (kind, vlan) in Kind::ALL.into_iter().flat_map(|kind| [(kind, None), (kind, Some(7))]) {
        let usual = spec(kind, vlan, Some("88:7,90-593:4,1518:1"));
        let sources = Stations { count: 1000, walk: Walk::Random, ..usual.sources };
        let destinations = Stations { count: 300, walk: Walk::Sequential, ..usual.destinations };
        let mut stream = stream(StreamSpec {
            sources,
            destinations,
            flows: 100,
            broadcast_per_million: 100_000,
            errored: Some(errored(100_000, &ErroredKind::ALL)),
            seed: 2544,
            stream: 1,
            port: 2,
            ..usual
        });
        for octets in frames(&mut stream, 1000) {
            hash.update(&octets);
        }
    }
    assert_eq!(hash.finalize(), 0x488a_a3f0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_same_seed_makes_the_same_frames(spec in any_spec()) {
        let one = frames(&mut stream(spec.clone()), 40);
        prop_assert_eq!(&one, &frames(&mut stream(spec.clone()), 40));
        let other = StreamSpec { seed: spec.seed.wrapping_add(1), ..spec.clone() };
        let random = spec.sizes.least() < spec.sizes.largest() || (spec.flows > 1000 && matches!(spec.kind, Kind::UdpIpv4 | Kind::UdpIpv6));
        let mostly_right = spec.errored.as_ref().is_none_or(|errored| errored.per_million < 100_000);
        if random && mostly_right {
            prop_assert_ne!(one, frames(&mut stream(other), 40));
        }
    }

    /// Whatever a stream is asked to be: each frame is known again, numbers have no gap, and what is not errored is right.
    #[test]
    fn every_frame_is_right_or_wrong_as_asked(spec in any_spec()) {
        let mut stream = stream(spec.clone());
        let (mut right, mut wrong, mut octets_seen) = (0, 0, 0);
        for octets in frames(&mut stream, 40) {
            let signature = read(&octets, MARK).unwrap();
            prop_assert_eq!(read(&octets, MARK ^ 1), Err(Unsigned::Foreign));
            prop_assert_eq!(signature.stream & !ERRORED, spec.stream);
            octets_seen += octets.len() as u64 + 24;
            if signature.stream >= ERRORED {
                prop_assert_eq!(signature.number, wrong);
                wrong += 1;
                continue;
            }
            prop_assert_eq!(signature.number, right);
            right += 1;
            let EthernetHeader { destination, source, .. } = addresses(&octets);
            checked(&octets, spec.kind, spec.vlan);
            prop_assert!(!source.is_group() && !source.is_zero());
            prop_assert!(spec.port == ANY_PORT || destination.is_broadcast() == (signature.port == ANY_PORT));
            prop_assert!((spec.sizes.least()..=spec.sizes.largest()).contains(&(octets.len() + FCS_OCTETS)));
            prop_assert_eq!(spec.vlan.is_some(), octets[12..14] == ether_type::VLAN.to_be_bytes());
        }
        let sent = stream.sent();
        prop_assert_eq!((sent.frames, sent.errored, sent.wire_octets), (right, wrong, octets_seen));
    }
}
