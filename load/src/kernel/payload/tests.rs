use frame::Frame;
use proptest::prelude::*;

use super::*;
use crate::kernel::Options;
use crate::stream::{Kind, Stream};
use crate::{Rate, Sizes};

const BEGAN_NS: u64 = 1_700_000_000_000_000_000;

/// A stream, its plan, and a tally.
fn run(kind: Kind, options: &Options, flows: u32) -> (StreamSpec, KernelTally) {
    let spec = StreamSpec { kind, sizes: Sizes::fixed(100).unwrap(), flows, port: 3, ..StreamSpec::default() };
    let plan = Plan::new(&spec, Rate::Max, None, options, "eth0").unwrap();
    let tally = KernelTally::new(&plan, &spec, BEGAN_NS);
    (spec, tally)
}

/// A frame as pktgen makes it: of the same headers as our own, with its own payload.
fn made(spec: &StreamSpec, source_port: u16, sequence: u32, made_us: u64) -> Vec<u8> {
    let (mut stream, mut frame) = (Stream::new(spec.clone()).unwrap(), Frame::empty());
    stream.write(&mut frame, 0, 0);
    let mut octets = frame.octets().to_vec();
    let tag = if spec.vlan.is_some() { 4 } else { 0 };
    let udp = 14 + tag + if spec.kind == Kind::UdpIpv6 { 40 } else { 20 };
    octets[udp..udp + 2].copy_from_slice(&source_port.to_be_bytes());
    octets[udp + 8..].fill(0);
    let words = [MAGIC, sequence, (made_us / 1_000_000) as u32, (made_us % 1_000_000) as u32];
    for (index, word) in words.into_iter().enumerate() {
        octets[udp + 8 + index * 4..udp + 12 + index * 4].copy_from_slice(&word.to_be_bytes());
    }
    octets
}

#[test]
fn a_header_is_read() {
    let octets = [0xbe, 0x9b, 0xe9, 0x55, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0];
    assert_eq!(Header::read(&octets), Some(Header { sequence: 5, made_us: Some(2_000_003) }));
    let without_time = [&octets[..8], &[0; 8]].concat();
    assert_eq!(Header::read(&without_time), Some(Header { sequence: 5, made_us: None }));
    for bad in [&octets[..15], &[&octets[..], &[1]].concat(), &[&[0xbf], &octets[1..]].concat()] {
        assert_eq!(Header::read(bad), None, "{bad:x?}");
    }
}

#[test]
fn frames_of_all_kinds_are_known_again() {
    for (kind, vlan) in
        [(Kind::UdpIpv4, None), (Kind::UdpIpv4, Some(7)), (Kind::UdpIpv6, None), (Kind::UdpIpv6, Some(7))]
    {
        let (spec, mut tally) = run(kind, &Options::default(), 1);
        let spec = StreamSpec { vlan, ..spec };
        let made_us = BEGAN_NS / 1000 + 10;
        let mut frame = made(&spec, 1024, 1, made_us);
        assert_eq!(tally.take(&frame, 25_000), Arrival::InOrder, "{kind} {vlan:?}");
        // A card or a switch may have filled it up.
        frame.extend([0xaa; 4]);
        assert_eq!(tally.take(&frame, 26_000), Arrival::Duplicate);
        let port = tally.into_port();
        let (_, stream) = port.streams().next().unwrap();
        assert_eq!((port.port(), stream.received, stream.duplicates, stream.octets), (3, 1, 1, 96));
        // It was made 10 us after the start, and came 15 us later.
        assert_eq!(stream.latencies.quantile_ns(0.5), Some(15_000));
    }
}

#[test]
fn losses_duplicates_and_reordering_are_told_from_each_other() {
    let (spec, mut tally) = run(Kind::UdpIpv4, &Options::default(), 1);
    let arrivals = [1, 2, 4, 3, 3, 6].map(|sequence| tally.take(&made(&spec, 1024, sequence, 0), 1));
    let expected = [
        Arrival::InOrder,
        Arrival::InOrder,
        Arrival::InOrder,
        Arrival::Reordered { by: 1 },
        Arrival::Duplicate,
        Arrival::InOrder,
    ];
    assert_eq!(arrivals, expected);
    assert_eq!(tally.received(), 5);
}

#[test]
fn threads_are_told_by_their_ports() {
    let (spec, mut tally) = run(Kind::UdpIpv4, &Options { threads: 2, ..Options::default() }, 10);
    for (port, arrival) in [
        (1024, Arrival::InOrder),
        (1033, Arrival::Duplicate),
        (1034, Arrival::InOrder),
        (1043, Arrival::Duplicate),
        (1044, Arrival::Foreign),
        (1023, Arrival::Foreign),
    ] {
        assert_eq!(tally.take(&made(&spec, port, 1, 0), 1), arrival, "{port}");
    }
    let streams: Vec<_> = tally.into_port().streams().map(|(stream, tally)| (stream, tally.received)).collect();
    assert_eq!(streams, [(0, 1), (1, 1)]);
}

#[test]
fn copies_are_counted_up_to_their_number() {
    let (spec, mut tally) = run(Kind::UdpIpv4, &Options { clone_skb: 3, ..Options::default() }, 1);
    let arrivals = [1, 1, 4, 1, 1, 4, 7].map(|sequence| tally.take(&made(&spec, 1024, sequence, 0), 1));
    let expected = [
        Arrival::InOrder,
        Arrival::InOrder,
        Arrival::InOrder,
        Arrival::Reordered { by: 1 },
        Arrival::Duplicate,
        Arrival::InOrder,
        Arrival::InOrder,
    ];
    assert_eq!(arrivals, expected);
    assert_eq!(tally.received(), 6);
}

/// The interface had room for three of eight, and then for one: the next groups begin there.
#[test]
fn a_burst_that_was_cut_short_hides_no_frame() {
    let (spec, mut tally) = run(Kind::UdpIpv4, &Options { burst: 8, ..Options::default() }, 1);
    for sequence in [5, 4, 1, 5, 1, 1, 5] {
        let arrival = tally.take(&made(&spec, 1024, sequence, 0), 1);
        assert!(matches!(arrival, Arrival::InOrder | Arrival::Reordered { .. }), "{sequence}: {arrival:?}");
    }
    assert_eq!(tally.received(), 7);
}

#[test]
fn what_is_not_as_sent_is_damaged_and_what_is_nobody_s_is_foreign() {
    let (spec, mut tally) = run(Kind::UdpIpv4, &Options::default(), 1);
    let good = made(&spec, 1024, 1, 0);
    for (at, arrival) in [
        (0, Arrival::InOrder),  // its destination is not looked at
        (7, Arrival::Foreign),  // another source
        (12, Arrival::Foreign), // another ether type
        (23, Arrival::Foreign), // no UDP
        (37, Arrival::Foreign), // another port
        (42, Arrival::Damaged), // no magic
        (46, Arrival::Damaged), // a number far off
        (90, Arrival::Damaged), // no zeros
    ] {
        let mut bent = good.clone();
        bent[at] ^= 0x80;
        assert_eq!(tally.take(&bent, 1), arrival, "octet {at}");
    }
    assert_eq!(tally.take(&made(&spec, 1024, 0, 0), 1), Arrival::Damaged, "numbers begin with 1");
    assert_eq!(tally.take(&[], 1), Arrival::Foreign);
}

#[test]
fn numbers_begin_again_after_32_bits() {
    let mut sequence = Sequence { highest: u64::from(u32::MAX) - 1, ..Sequence::default() };
    let numbers = [u32::MAX, 0, 1, u32::MAX, 2].map(|low| sequence.number(low, 1));
    let last = u64::from(u32::MAX);
    assert_eq!(numbers, [Some(last - 1), Some(last), Some(last + 1), Some(last - 1), Some(last + 2)]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_counted_and_no_more(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20)) {
        let (spec, mut tally) = run(Kind::UdpIpv4, &Options { clone_skb: 7, threads: 3, ..Options::default() }, 2);
        for (index, garbage) in frames.iter().enumerate() {
            tally.take(garbage, index as u64);
            // The same behind headers that are right.
            let mut frame = made(&spec, 1024 + (index as u16 % 6), 1, 0);
            let tail = frame.len() - garbage.len().min(54);
            frame[tail..].copy_from_slice(&garbage[..garbage.len().min(54)]);
            tally.take(&frame, index as u64);
        }
    }

    /// Any order of groups of copies, none lost: each is received once.
    #[test]
    fn nothing_is_counted_twice(repeats in 1u32..6, order in prop::collection::vec(0u32..40, 0..200)) {
        let mut sequence = Sequence::default();
        let mut seen = std::collections::HashMap::<u32, u64>::new();
        let mut numbers = std::collections::HashSet::new();
        for group in order {
            let number = sequence.number(group * repeats + 1, repeats.into()).unwrap();
            let count = seen.entry(group).or_default();
            *count += 1;
            prop_assert_eq!(numbers.insert(number), *count <= u64::from(repeats));
            prop_assert_eq!(number / u64::from(repeats), u64::from(group));
        }
    }
}
