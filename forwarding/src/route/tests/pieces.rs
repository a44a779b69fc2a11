//! Is what was cut put together again, and nothing else?

use super::fragment::{Fragments, NotFragmented};
use super::reassembly::{DATAGRAMS, Offered, Reassembly, TIMEOUT};
use super::*;
use frame::offload::GsoKind;
use frame::{Millis, OffloadHeader};
use proptest::prelude::*;

const NOW: Millis = Millis(1000);

fn cut(frame: &mut Frame, mtu: usize) -> Vec<Frame> {
    let mut fragments = Fragments::new(frame, mtu).unwrap();
    let mut pieces = Vec::new();
    loop {
        let mut piece = Frame::empty();
        if !fragments.next_into(&mut piece) {
            return pieces;
        }
        pieces.push(piece);
    }
}

#[test]
fn cuts_by_the_book() {
    let mut frame = Sample::udp([10, 0, 4, 7], 1200).frame();
    let pieces = cut(&mut frame, 576);
    let shape: Vec<_> = pieces
        .iter()
        .map(read)
        .map(|piece| (piece.header.total_len, piece.header.fragment_offset.byte_offset(), piece.header.more_fragments))
        .collect();
    assert_eq!(shape, [(572, 0, true), (572, 552, true), (124, 1104, false)]);
    for piece in &pieces {
        assert_eq!(
            (piece.octets()[..14].to_vec(), read(piece).header.identification),
            (frame.octets()[..14].to_vec(), 0x1c46)
        );
    }
    let joined: Vec<u8> = pieces.iter().flat_map(|piece| read(piece).payload).collect();
    assert_eq!(joined, read(&frame).payload);
}

#[test]
fn only_options_with_the_copy_flag_are_in_every_fragment() {
    // No operation, record route (not copied), stream id (copied).
    let options = [1, 7, 7, 4, 9, 9, 9, 9, 0x88, 4, 0xab, 0xcd];
    let mut frame = Sample::udp([10, 0, 4, 7], 1200).with(|header| header.options = options.into()).frame();
    let pieces: Vec<Sample> = cut(&mut frame, 576).iter().map(read).collect();
    assert_eq!(pieces[0].header.options.as_slice(), options);
    assert_eq!(pieces.len(), 3);
    assert!(pieces[1..].iter().all(|piece| piece.header.options.as_slice() == [0x88, 4, 0xab, 0xcd]));
    // Malformed options end the list, and nothing else.
    for options in [[0x88, 1, 0, 0], [0x88, 5, 0, 0], [0, 0x88, 3, 0], [0x94, 4, 0, 0]] {
        let mut frame = Sample::udp([10, 0, 4, 7], 1200).with(|header| header.options = options.into()).frame();
        let rest = read(&cut(&mut frame, 576)[1]).header.options.as_slice().to_vec();
        assert_eq!(rest, if options[0] == 0x94 { options.to_vec() } else { vec![] });
    }
}

#[test]
fn a_fragment_is_cut_into_fragments_of_the_same_datagram() {
    let middle = Sample::udp([10, 0, 4, 7], 600).with(|h| (h.more_fragments, h.fragment_offset) = (true, offset(1480)));
    let pieces: Vec<Sample> = cut(&mut middle.frame(), 576).iter().map(read).collect();
    let shape: Vec<_> =
        pieces.iter().map(|p| (p.header.fragment_offset.byte_offset(), p.header.more_fragments)).collect();
    assert_eq!(shape, [(1480, true), (2032, true)]);
}

#[test]
fn an_unfinished_checksum_is_finished_before_the_cut() {
    let sample = Sample::udp([10, 0, 4, 7], 1200);
    let udp = etherparse::UdpHeader::from_slice(&sample.payload).unwrap().0;
    let right = udp.calc_checksum_ipv4(&sample.header, &sample.payload[8..]).unwrap();
    let pseudo =
        frame::offload::checksum::pseudo_header_v4([10, 0, 1, 2].into(), [10, 0, 4, 7].into(), 17, 1208).fold();
    let mut frame = sample.frame();
    frame.octets_mut()[40..42].copy_from_slice(&pseudo.to_be_bytes());
    let offload = OffloadHeader { needs_checksum: true, checksum_start: 34, checksum_offset: 6, ..OffloadHeader::NONE };
    frame.set_offload(offload);
    let pieces = cut(&mut frame, 576);
    assert_eq!(pieces[0].octets()[40..42], right.to_be_bytes());
    assert!(pieces.iter().all(|piece| piece.offload() == OffloadHeader::NONE));
}

#[test]
fn refuses_what_must_not_be_cut() {
    let sample = || Sample::udp([10, 0, 4, 7], 1200);
    let why = |mut frame: Frame, mtu| Fragments::new(&mut frame, mtu).err().unwrap();
    let marked = sample().with(|header| header.dont_fragment = true);
    assert_eq!(why(marked.frame(), 576), NotFragmented::DontFragment);
    assert_eq!(why(sample().frame(), 67), NotFragmented::MtuTooSmall);
    assert_eq!(why(Frame::from_octets(&[0; 60]), 576), NotFragmented::NotIpv4);
    let mut super_frame = sample().frame();
    super_frame.set_offload(OffloadHeader { gso: GsoKind::Udp, segment_octets: 500, ..OffloadHeader::NONE });
    assert_eq!(why(super_frame, 576), NotFragmented::SuperFrame);
    let mut absurd = sample().frame();
    absurd.set_offload(OffloadHeader { needs_checksum: true, checksum_start: 9000, ..OffloadHeader::NONE });
    assert_eq!(why(absurd, 576), NotFragmented::BadOffload);
    assert_eq!(cut(&mut sample().frame(), 1500).len(), 1, "what fits comes out as it is");
}

/// Ping of the gateway with 65,000 octets, as Linux sends it on an MTU of 1500, and back the same way.
#[test]
fn a_large_ping_goes_through_in_pieces_both_ways() {
    let request = Sample::icmp([10, 0, 1, 1], 8, 65_000);
    let pieces = cut(&mut request.frame(), 1500);
    assert_eq!(pieces.len(), 44);
    let (mut reassembly, mut whole) = (Reassembly::new(), Frame::empty());
    for (number, piece) in pieces.iter().enumerate() {
        assert_eq!(decide(piece), RouteDecision::Reassemble);
        let expected = if number == 43 { Offered::Complete } else { Offered::Waiting };
        assert_eq!(reassembly.offer(piece, NOW, &mut whole), expected);
    }
    assert_eq!(whole.octets(), request.frame().octets());
    assert_eq!((decide(&whole), reassembly.is_empty()), (RouteDecision::EchoReply, true));
    let mut reply = Frame::empty();
    assert!(icmp::write_echo_reply(&whole, &mut reply));
    let echoed: Vec<u8> = cut(&mut reply, 1500).iter().flat_map(|piece| read(piece).payload).collect();
    assert_eq!(echoed[8..], request.payload[8..]);
}

/// A fragment with these octets at this place.
fn piece(identification: u16, at: u16, data: &[u8], more: bool) -> Frame {
    let sample = Sample::new([10, 0, 1, 2], [10, 0, 1, 1], 1, data);
    sample
        .with(|h| (h.identification, h.fragment_offset, h.more_fragments) = (identification, offset(at), more))
        .frame()
}

#[test]
fn contradicting_fragments_condemn_their_datagram() {
    for (what, second) in [
        ("other octets in the same place", piece(1, 0, &[2; 16], true)),
        ("an overlap from before", piece(1, 8, &[1; 16], true)),
        ("an end before what has come", piece(1, 8, &[1; 4], false)),
        ("nothing", piece(1, 16, &[], true)),
        ("not a multiple of eight", piece(1, 16, &[1; 12], true)),
        ("beyond 64 KiB", piece(1, 65_512, &[1; 16], true)),
    ] {
        let (mut reassembly, mut whole) = (Reassembly::new(), Frame::empty());
        assert_eq!(reassembly.offer(&piece(1, 0, &[1; 16], true), NOW, &mut whole), Offered::Waiting);
        assert_eq!(reassembly.offer(&second, NOW, &mut whole), Offered::Discarded, "{what}");
        assert_eq!(reassembly.offer(&piece(1, 16, &[3; 8], false), NOW, &mut whole), Offered::Discarded, "{what}");
        assert_eq!(
            reassembly.offer(&piece(2, 0, &[1; 16], true), NOW, &mut whole),
            Offered::Waiting,
            "another datagram"
        );
    }
    let (mut reassembly, mut whole) = (Reassembly::new(), Frame::empty());
    reassembly.offer(&piece(1, 8, &[1; 8], false), NOW, &mut whole);
    assert_eq!(reassembly.offer(&piece(1, 16, &[1; 8], false), NOW, &mut whole), Offered::Discarded, "two ends");
}

#[test]
fn repetition_does_no_harm_and_order_does_not_matter() {
    let (mut reassembly, mut whole) = (Reassembly::new(), Frame::empty());
    for (at, octet, more) in [(16, 3, false), (0, 1, true), (16, 3, false), (0, 1, true)] {
        assert_eq!(reassembly.offer(&piece(1, at, &[octet; 8], more), NOW, &mut whole), Offered::Waiting);
    }
    assert_eq!(reassembly.offer(&piece(1, 8, &[2; 8], true), NOW, &mut whole), Offered::Complete);
    let packet = read(&whole);
    assert_eq!(packet.payload, [[1; 8], [2; 8], [3; 8]].concat());
    assert!(!packet.header.more_fragments && packet.header.fragment_offset.value() == 0);
}

#[test]
fn a_datagram_has_15_seconds_and_there_are_16() {
    let (mut reassembly, mut whole) = (Reassembly::new(), Frame::empty());
    reassembly.offer(&piece(1, 0, &[1; 8], true), NOW, &mut whole);
    let late = NOW + TIMEOUT;
    assert_eq!(reassembly.offer(&piece(1, 8, &[2; 8], false), late, &mut whole), Offered::Waiting, "the first is gone");
    for number in 0..100 {
        let now = late + Millis(u64::from(number));
        assert_eq!(reassembly.offer(&piece(100 + number, 0, &[1; 8], true), now, &mut whole), Offered::Waiting);
        assert!(reassembly.len() <= DATAGRAMS);
    }
    let now = late + Millis(200);
    assert_eq!(reassembly.offer(&piece(199, 8, &[1; 8], false), now, &mut whole), Offered::Complete);
    assert_eq!(reassembly.offer(&piece(183, 8, &[1; 8], false), now, &mut whole), Offered::Waiting, "made room");
    assert_eq!(reassembly.expire(now + TIMEOUT), 16);
}

proptest! {
    #[test]
    fn what_is_cut_and_shuffled_is_put_together(
        data in 0..4000usize,
        mtus in (68..1600usize, 68..1600usize),
        order in any::<proptest::sample::Index>(),
    ) {
        let sample = Sample::icmp([10, 0, 1, 1], 8, data);
        // Cut, and some of it cut again, as two routers on the way would.
        let mut pieces: Vec<Frame> = cut(&mut sample.frame(), mtus.0)
            .iter_mut()
            .enumerate()
            .flat_map(|(number, piece)| cut(piece, if number % 2 == 0 { mtus.1 } else { 1600 }))
            .collect();
        prop_assert!(pieces.iter().all(|piece| piece.len() <= mtus.0.max(mtus.1).max(1600) + 14));
        let turn = order.index(pieces.len());
        pieces.rotate_left(turn);
        if turn % 2 == 1 {
            pieces.reverse();
        }
        let (mut reassembly, mut whole) = (Reassembly::new(), Frame::empty());
        let (last, first) = pieces.split_last().unwrap();
        for piece in first {
            prop_assert_eq!(reassembly.offer(piece, NOW, &mut whole), Offered::Waiting);
        }
        prop_assert_eq!(reassembly.offer(last, NOW, &mut whole), Offered::Complete);
        let frame = sample.frame();
        prop_assert_eq!(whole.octets(), frame.octets());
    }
}
