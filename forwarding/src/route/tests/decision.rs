//! One line for each answer the gateway gives.

use super::*;
use frame::OffloadHeader;
use frame::offload::GsoKind;

fn refused(reason: DropReason, icmp: Option<IcmpError>) -> RouteDecision {
    RouteDecision::Refuse { reason, icmp }
}

fn unreachable_because(reason: DropReason, why: Unreachable) -> RouteDecision {
    refused(reason, Some(IcmpError::Unreachable(why)))
}

const H2: [u8; 4] = [10, 0, 2, 7];

#[test]
fn refuses_each_for_its_reason() {
    use DropReason as R;
    let udp = Sample::udp;
    let from = |source: [u8; 4]| udp(H2, 8).with(|header| header.source = source);
    let mut cases = vec![
        ("own network's broadcast", udp([10, 0, 1, 255], 8), refused(R::NotUnicastIp, None)),
        ("own network's number", udp([10, 0, 1, 0], 8), refused(R::NotUnicastIp, None)),
        ("another network's broadcast", udp([10, 0, 2, 255], 8), refused(R::NotUnicastIp, None)),
        ("UDP to the gateway", udp([10, 0, 1, 1], 8), unreachable_because(R::GatewayNoService, Unreachable::Port)),
        (
            "TCP to the gateway",
            Sample::new([10, 0, 1, 2], [10, 0, 1, 1], 6, &[0; 20]),
            unreachable_because(R::GatewayNoService, Unreachable::Protocol),
        ),
        ("an echo reply to the gateway", Sample::icmp([10, 0, 1, 1], 0, 8), refused(R::GatewayNoService, None)),
        ("an error to the gateway", Sample::icmp([10, 0, 1, 1], 3, 28), refused(R::GatewayNoService, None)),
        ("UDP to a peer's gateway", udp([10, 0, 2, 1], 8), unreachable_because(R::GatewayNoService, Unreachable::Port)),
        (
            "ping of a gateway that is no peer's",
            Sample::icmp([10, 0, 3, 1], 8, 8),
            unreachable_because(R::NotPeered, Unreachable::Prohibited),
        ),
        ("no peer", udp([10, 0, 3, 7], 8), unreachable_because(R::NotPeered, Unreachable::Prohibited)),
        ("nowhere", udp([172, 16, 0, 1], 8), unreachable_because(R::NoRoute, Unreachable::Network)),
        ("nowhere, by an ICMP error", Sample::icmp([172, 16, 0, 1], 11, 28), refused(R::NoRoute, None)),
        (
            "nowhere, by a later fragment",
            udp([172, 16, 0, 1], 8).with(|header| header.fragment_offset = offset(1480)),
            refused(R::NoRoute, None),
        ),
        (
            "too large for network 4, not to be fragmented",
            udp([10, 0, 4, 7], 549).with(|header| header.dont_fragment = true),
            refused(R::TooBigToRoute, Some(IcmpError::FragmentationNeeded { mtu: 576 })),
        ),
    ];
    for ttl in [0, 1] {
        let sample = udp(H2, 8).with(|header| header.time_to_live = ttl);
        cases.push(("time to live", sample, refused(R::TtlExpired, Some(IcmpError::TimeExceeded))));
    }
    for source in [[10, 0, 2, 2], [10, 0, 1, 1], [10, 0, 1, 0], [10, 0, 1, 255], [127, 0, 0, 1], [0; 4], [224, 0, 0, 5]]
    {
        cases.push(("a source of no station here", from(source), refused(R::MartianSource, None)));
    }
    for destination in [[224, 0, 0, 251], [255; 4], [127, 0, 0, 1], [0, 0, 0, 0], [0, 1, 2, 3], [240, 0, 0, 1]] {
        cases.push(("not one station", udp(destination, 8), refused(R::NotUnicastIp, None)));
    }
    for (what, sample, expected) in cases {
        assert_eq!(decide(&sample.frame()), expected, "{what}: {:?}", sample.header);
    }
}

#[test]
fn refuses_what_is_no_packet() {
    let mut tagged = Sample::udp(H2, 8).frame().octets().to_vec();
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    assert_eq!(decide(&Frame::from_octets(&tagged)), refused(DropReason::NotRoutable, None));
    let mut broken = Sample::udp(H2, 8).frame();
    broken.octets_mut()[22] ^= 0x80;
    assert_eq!(decide(&broken), refused(DropReason::BadIpHeader, None));
}

#[test]
fn answers_ping_for_its_own_and_its_peers_gateways() {
    for gateway in [[10, 0, 1, 1], [10, 0, 2, 1], [10, 0, 4, 1]] {
        let ping = Sample::icmp(gateway, 8, 56);
        assert_eq!(decide(&ping.frame()), RouteDecision::EchoReply);
        let last_hop = ping.clone().with(|header| header.time_to_live = 1);
        assert_eq!(decide(&last_hop.frame()), RouteDecision::EchoReply, "it has arrived");
        for piece in [ping.clone().with(|h| h.more_fragments = true), ping.with(|h| h.fragment_offset = offset(8))] {
            assert_eq!(decide(&piece.frame()), RouteDecision::Reassemble);
        }
    }
}

#[test]
fn forwards_by_the_longest_prefix() {
    for (destination, network, next_hop) in [
        ([10, 0, 2, 7], 2, [10, 0, 2, 7]),
        ([10, 0, 4, 7], 4, [10, 0, 4, 7]),
        ([192, 168, 9, 9], 2, [10, 0, 2, 9]),
        ([192, 168, 255, 255], 2, [10, 0, 2, 9]),
        ([10, 0, 1, 7], 1, [10, 0, 1, 7]),
    ] {
        let decision = decide(&Sample::udp(destination, 8).frame());
        let next_hop = IpAddr::from(next_hop);
        assert_eq!(decision, RouteDecision::Forward { network: NetworkId(network), next_hop, ttl: 63 });
    }
}

#[test]
fn sends_nothing_back_into_a_network_that_keeps_its_endpoints_apart() {
    let isolated = unreachable_because(DropReason::Isolated, Unreachable::Prohibited);
    assert_eq!(decide_isolated(&Sample::udp([10, 0, 1, 7], 8).frame()), isolated);
    assert_eq!(decide_isolated(&Sample::icmp([10, 0, 1, 1], 8, 56).frame()), RouteDecision::EchoReply);
    let elsewhere = Sample::udp(H2, 8).frame();
    assert_eq!(decide_isolated(&elsewhere), decide(&elsewhere));
}

#[test]
fn measures_what_is_on_the_wire() {
    let next_hop = IpAddr::from([10, 0, 4, 7]);
    let forward = RouteDecision::Forward { network: NetworkId(4), next_hop, ttl: 63 };
    let cut = RouteDecision::Fragment { network: NetworkId(4), next_hop, ttl: 63, mtu: 576 };
    assert_eq!(decide(&Sample::udp([10, 0, 4, 7], 548).frame()), forward);
    assert_eq!(decide(&Sample::udp([10, 0, 4, 7], 549).frame()), cut);
    let mut padded = Sample::udp([10, 0, 4, 7], 548).frame().octets().to_vec();
    padded.resize(700, 0);
    assert_eq!(decide(&Frame::from_octets(&padded)), forward, "padding is not the packet's");
    for (segment, decision) in [(536, forward), (537, cut)] {
        let mut tcp = vec![0; 20 + 10_000];
        (tcp[12], tcp[13]) = (0x50, 0x10);
        let mut frame = Sample::new([10, 0, 1, 2], [10, 0, 4, 7], 6, &tcp).frame();
        frame.set_offload(OffloadHeader {
            needs_checksum: true,
            gso: GsoKind::Tcp4,
            segment_octets: segment,
            checksum_start: 34,
            checksum_offset: 16,
            ..OffloadHeader::NONE
        });
        assert_eq!(decide(&frame), decision, "segments of {segment}");
    }
}

#[test]
fn rewrites_only_what_has_to_change() {
    let (out, station) = (MacAddr([0x02, 0x42, 10, 0, 2, 1]), MacAddr([0x02, 0x42, 10, 0, 2, 7]));
    for ttl in 2..=255 {
        let before = Sample::udp(H2, 100).with(|header| header.time_to_live = ttl).frame();
        let mut after = Frame::from_octets(before.octets());
        assert!(rewrite(&mut after, out, station));
        let packet = read(&after);
        assert_eq!(packet.header.time_to_live, ttl - 1);
        let header = EthernetHeader::read(after.octets()).unwrap();
        assert_eq!((header.source, header.destination), (out, station));
        let differing = (14..after.len()).filter(|at| before.octets()[*at] != after.octets()[*at]);
        assert!(differing.clone().all(|at| [22, 24, 25].contains(&at)), "{:?}", differing.collect::<Vec<_>>());
    }
    for mut frame in [Frame::empty(), Sample::udp(H2, 1).with(|header| header.time_to_live = 1).frame()] {
        let before = frame.octets().to_vec();
        assert!(!rewrite(&mut frame, out, station));
        assert_eq!(frame.octets(), before);
    }
}
