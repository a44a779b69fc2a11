//! Are the gateway's own messages what a station understands?

use super::*;
use etherparse::icmpv4::{DestUnreachableHeader as D, TimeExceededCode};
use etherparse::{Icmpv4Slice, Icmpv4Type};
use icmp::*;

/// The ICMP message in a frame, after Ethernet, IPv4 and ICMP checksums were checked.
fn message(frame: &Frame) -> (Sample, Icmpv4Type, Vec<u8>) {
    let ethernet = EthernetHeader::read(frame.octets()).unwrap();
    assert_eq!((ethernet.source, ethernet.destination, ethernet.ether_type), (GATEWAY, STATION, 0x0800));
    let sample = read(frame);
    let icmp = Icmpv4Slice::from_slice(&sample.payload).unwrap();
    assert_eq!(icmp.icmp_type().calc_checksum(icmp.payload()), icmp.checksum());
    let (icmp_type, quote) = (icmp.icmp_type(), icmp.payload().to_vec());
    (sample, icmp_type, quote)
}

#[test]
fn an_echo_reply_is_the_request_sent_back() {
    for data in [0, 1, 56, 1472, 65_507] {
        let request = Sample::icmp([10, 0, 1, 1], 8, data).with(|header| header.time_to_live = 3);
        let mut reply = Frame::empty();
        assert!(write_echo_reply(&request.frame(), &mut reply));
        let (packet, icmp_type, echoed) = message(&reply);
        let Icmpv4Type::EchoReply(header) = icmp_type else { panic!("{icmp_type:?}") };
        assert_eq!((header.id, header.seq), (0x1234, 1));
        assert_eq!(echoed, request.payload[8..], "{data} octets");
        assert_eq!((packet.header.source, packet.header.destination), ([10, 0, 1, 1], [10, 0, 1, 2]));
        assert_eq!(packet.header.time_to_live, 64);
    }
}

#[test]
fn an_echo_request_with_options_is_answered_without_them() {
    let request = Sample::icmp([10, 0, 1, 1], 8, 10).with(|header| header.options = [1, 1, 1, 0].into());
    let mut reply = Frame::empty();
    assert!(write_echo_reply(&request.frame(), &mut reply));
    assert_eq!(read(&reply).header.header_len(), 20);
    assert_eq!(message(&reply).2, request.payload[8..]);
}

#[test]
fn what_is_no_sound_echo_request_is_not_answered() {
    let mut broken = Sample::icmp([10, 0, 1, 1], 8, 10);
    broken.payload[9] ^= 1;
    let mut short = Sample::icmp([10, 0, 1, 1], 8, 10);
    short.payload.truncate(7);
    let fragment = Sample::icmp([10, 0, 1, 1], 8, 16).with(|header| header.more_fragments = true);
    for sample in [broken, short, fragment, Sample::icmp([10, 0, 1, 1], 0, 10), Sample::udp([10, 0, 1, 1], 10)] {
        let mut reply = Frame::from_octets(b"as it was");
        assert!(!write_echo_reply(&sample.frame(), &mut reply), "{sample:?}");
        assert_eq!(reply.octets(), b"as it was");
    }
}

fn tell(about: &Sample, error: IcmpError) -> (Sample, Icmpv4Type, Vec<u8>) {
    let (frame, mut reply) = (about.frame(), Frame::empty());
    assert!(may_tell(&frame));
    assert!(write_error(&frame, error, Ipv4Addr::new(10, 0, 1, 1), answering(&frame).unwrap(), &mut reply));
    message(&reply)
}

#[test]
fn errors_say_what_is_wrong() {
    let about = Sample::udp([10, 0, 2, 7], 20);
    let is = |error| tell(&about, error).1;
    assert_eq!(is(IcmpError::TimeExceeded), Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit));
    let codes = [
        (Unreachable::Network, D::Network),
        (Unreachable::Host, D::Host),
        (Unreachable::Protocol, D::Protocol),
        (Unreachable::Port, D::Port),
        (Unreachable::SourceRouteFailed, D::SourceRouteFailed),
        (Unreachable::NetworkUnknown, D::NetworkUnknown),
        (Unreachable::HostUnknown, D::HostUnknown),
        (Unreachable::SourceIsolated, D::Isolated),
        (Unreachable::NetworkProhibited, D::NetworkProhibited),
        (Unreachable::HostProhibited, D::HostProhibited),
        (Unreachable::NetworkTos, D::TosNetwork),
        (Unreachable::HostTos, D::TosHost),
        (Unreachable::Prohibited, D::FilterProhibited),
        (Unreachable::PrecedenceViolation, D::HostPrecedenceViolation),
        (Unreachable::PrecedenceCutoff, D::PrecedenceCutoff),
    ];
    for (why, code) in codes {
        assert_eq!(is(IcmpError::Unreachable(why)), Icmpv4Type::DestinationUnreachable(code));
    }
    let needed = D::FragmentationNeeded { next_hop_mtu: 1280 };
    assert_eq!(is(IcmpError::FragmentationNeeded { mtu: 1280 }), Icmpv4Type::DestinationUnreachable(needed));
}

#[test]
fn errors_quote_the_packet_up_to_576_octets() {
    for (data, quoted) in [(0, 28), (100, 128), (520, 548), (521, 548), (1400, 548)] {
        let about = Sample::udp([10, 0, 2, 7], data);
        let (packet, _, quote) = tell(&about, IcmpError::TimeExceeded);
        assert_eq!(quote, about.frame().octets()[14..14 + quoted]);
        assert_eq!(usize::from(packet.header.total_len), 28 + quoted);
        assert_eq!((packet.header.source, packet.header.destination), ([10, 0, 1, 1], [10, 0, 1, 2]));
        assert_eq!(packet.header.dscp.value(), 48);
    }
    let mut padded = Sample::udp([10, 0, 2, 7], 1).frame().octets().to_vec();
    padded.resize(60, 0xee);
    let (padded, mut reply) = (Frame::from_octets(&padded), Frame::empty());
    write_error(&padded, IcmpError::TimeExceeded, [10, 0, 1, 1].into(), answering(&padded).unwrap(), &mut reply);
    assert_eq!(message(&reply).2.len(), 29, "padding is not quoted");
}

#[test]
fn some_packets_are_never_told_about() {
    let udp = || Sample::udp([10, 0, 2, 7], 20);
    let from = |source| udp().with(|header| header.source = source);
    let mut cases = vec![
        Sample::icmp([10, 0, 2, 7], 3, 28),
        Sample::icmp([10, 0, 2, 7], 11, 28),
        Sample::icmp([10, 0, 2, 7], 5, 28),
        Sample::icmp([10, 0, 2, 7], 12, 28),
        Sample::new([10, 0, 1, 2], [10, 0, 2, 7], 1, &[]),
        udp().with(|header| header.fragment_offset = offset(8)),
        Sample::udp([224, 0, 0, 1], 1),
        Sample::udp([255; 4], 1),
    ];
    cases.extend([[0; 4], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [250, 1, 1, 1]].map(from));
    for sample in cases {
        assert!(!may_tell(&sample.frame()), "{sample:?}");
    }
    let mut broadcast = udp().frame();
    broadcast.octets_mut()[..6].fill(0xff);
    assert!(!may_tell(&broadcast), "a link-layer broadcast");
    assert!(!may_tell(&Frame::from_octets(&[2; 60])));
    for told in [udp(), udp().with(|h| h.more_fragments = true), Sample::icmp([10, 0, 2, 7], 8, 0)] {
        assert!(may_tell(&told.frame()), "{told:?}");
    }
}
