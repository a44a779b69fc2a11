//! What frames does a super-frame become on a wire? (RFC 9293, 3168 6.1.2, 6864, 768; Linux
//! `net/ipv4/tcp_offload.c` and `udp_offload.c` for what a receiver is used to)
//!
//! Every segment repeats the super-frame's headers, tags, options and extension headers included.
//!
//! | field | in segment `i` |
//! | --- | --- |
//! | IPv4 identification | the first one's + `i` |
//! | IPv4 total length, IPv6 payload length, UDP length | its own |
//! | TCP sequence number | the first one's + `i` * segment size |
//! | TCP FIN, PSH | in the last only |
//! | TCP CWR | in the first only |
//! | TCP URG, urgent pointer, options | as in the super-frame, as Linux leaves them |
//! | checksums | its own, complete; TCP's and UDP's go on from the pseudo-header's sum that the sender began with |
//!
//! Not done: cutting for a smaller MTU than the sender's segments fit; that is fragmentation, or a drop.

use super::BadOffload;
use super::checksum::{Sum, ipv4_header_checksum, upper_layer_checksum, write_word};
use super::headers::{SuperFrame, TCP_CHECKSUM, UDP_CHECKSUM, protocol};
use crate::Frame;

const CWR: u8 = 0x80;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;

/// The frames that one super-frame becomes, in order, each written into a buffer of the caller's.
///
/// ```
/// # use lanyard_frame::{Frame, offload::segment::Segments};
/// # fn each(super_frame: &Frame, out: &mut Frame, mut send: impl FnMut(&Frame)) {
/// if let Ok(mut segments) = Segments::new(super_frame) {
///     while segments.next_into(out) {
///         send(out);
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    plan: SuperFrame,
    headers: &'a [u8],
    /// What no segment has taken yet.
    payload: &'a [u8],
    pseudo_header: Sum,
    index: usize,
    remaining: usize,
}

impl<'a> Segments<'a> {
    /// Begin to cut `super_frame`. One whose payload fits a single segment gives one frame.
    ///
    /// # Errors
    /// [`BadOffload`] when it is no super-frame, or one that [`OffloadHeader::check`] refuses.
    pub fn new(super_frame: &'a Frame) -> Result<Self, BadOffload> {
        let octets = super_frame.octets();
        let plan = SuperFrame::read(super_frame.offload(), octets)?;
        let (headers, payload) = octets.split_at_checked(plan.header_octets).ok_or(BadOffload)?;
        let remaining = payload.len().div_ceil(plan.segment_octets).max(1);
        Ok(Self { plan, headers, payload, pseudo_header: plan.pseudo_header(octets), index: 0, remaining })
    }

    /// How many frames are still to come.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// Write the next frame into `out`, finished in every field, with nothing left to offload; `false`, and
    /// `out` as it was, when there is none left.
    pub fn next_into(&mut self, out: &mut Frame) -> bool {
        if self.remaining == 0 {
            return false;
        }
        let (piece, rest) = self.payload.split_at(self.plan.segment_octets.min(self.payload.len()));
        let len = self.headers.len() + piece.len();
        // Never `None`: a super-frame that was accepted is no longer than the area.
        let Some(segment) = out.receive_area().get_mut(..len) else { return false };
        let (headers, payload) = segment.split_at_mut(self.headers.len());
        headers.copy_from_slice(self.headers);
        payload.copy_from_slice(piece);
        self.complete(segment);
        out.received(len);
        self.payload = rest;
        self.index += 1;
        self.remaining -= 1;
        true
    }

    /// Give the segment, a copy of the headers before its own piece of payload, what is its own.
    fn complete(&self, segment: &mut [u8]) {
        let headers = self.plan.headers;
        let Some((lower, upper)) = segment.split_at_mut_checked(headers.upper) else { return };
        let Some((_, ip)) = lower.split_at_mut_checked(headers.ip) else { return };
        let ip_octets = ip.len() + upper.len();
        if headers.v6 {
            write_word(ip, 4, (ip_octets - 40) as u16);
        } else {
            self.complete_v4(ip, ip_octets as u16);
        }
        let pseudo_header = self.pseudo_header.word(upper.len() as u16);
        if headers.protocol == protocol::TCP {
            self.complete_tcp(upper);
            write_word(upper, TCP_CHECKSUM, upper_layer_checksum(pseudo_header, upper, TCP_CHECKSUM));
        } else {
            write_word(upper, 4, upper.len() as u16);
            write_word(upper, UDP_CHECKSUM, upper_layer_checksum(pseudo_header, upper, UDP_CHECKSUM));
        }
    }

    fn complete_v4(&self, ip: &mut [u8], ip_octets: u16) {
        write_word(ip, 2, ip_octets);
        if let Some(first) = ip.get(4..).and_then(<[u8]>::first_chunk).copied().map(u16::from_be_bytes) {
            write_word(ip, 4, first.wrapping_add(self.index as u16));
        }
        write_word(ip, 10, ipv4_header_checksum(ip));
    }

    fn complete_tcp(&self, tcp: &mut [u8]) {
        let offset = (self.index * self.plan.segment_octets) as u32;
        if let Some(sequence) = tcp.get_mut(4..).and_then(<[u8]>::first_chunk_mut) {
            *sequence = u32::from_be_bytes(*sequence).wrapping_add(offset).to_be_bytes();
        }
        if let Some(flags) = tcp.get_mut(13) {
            if self.index != 0 {
                *flags &= !CWR;
            }
            if self.remaining != 1 {
                *flags &= !(FIN | PSH);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pnet::packet::ipv4::{self, Ipv4Packet};
    use proptest::prelude::*;

    use super::super::samples::{self, Sample, any_super_frame, frame, hex, never_zero};
    use super::*;
    use crate::offload::OffloadHeader;

    fn cut(super_frame: &Frame) -> Vec<Vec<u8>> {
        let mut out = Frame::from_octets(b"left over from before");
        let mut segments = Segments::new(super_frame).unwrap();
        let mut cut = Vec::new();
        let announced = segments.remaining();
        while segments.next_into(&mut out) {
            assert_eq!(out.offload(), OffloadHeader::NONE);
            cut.push(out.octets().to_vec());
        }
        assert_eq!((cut.len(), segments.remaining()), (announced, 0));
        assert!(!segments.next_into(&mut out));
        cut
    }

    #[test]
    fn tcp_segments_are_the_kernels_own() {
        let expected = samples::TCP4_SEGMENTS.map(hex);
        assert_eq!(cut(&frame(samples::TCP4_HEADER, samples::TCP4)), expected);
    }

    #[test]
    fn udp_datagrams_are_the_kernels_own() {
        let expected = samples::UDP6_SEGMENTS.map(hex);
        assert_eq!(cut(&frame(samples::UDP6_HEADER, samples::UDP6)), expected);
    }

    #[test]
    fn a_super_frame_that_fits_one_segment_is_one_frame() {
        let one = "01 01 4200 e803 2200 1000";
        let segments = cut(&frame(one, samples::TCP4));
        assert_eq!(segments.len(), 1);
        // Flags, identification and sequence number stay: it is the first and the last.
        let mut expected = hex(samples::TCP4);
        expected[50..52].copy_from_slice(&segments[0][50..52]);
        assert_eq!(segments[0], expected);
    }

    #[test]
    fn behind_a_routing_header_the_last_destination_counts() {
        let mut octets = hex(samples::UDP6);
        let (plain, mut routed) = (frame(samples::UDP6_HEADER, samples::UDP6), Frame::empty());
        // Type 4 (RFC 8754), one segment left: the header's destination is only the next hop.
        let last: Vec<u8> = octets[42..58].to_vec();
        octets.splice(58..58, [&hex("11020401 00000000"), &last[..]].concat());
        octets[57] = 0x99;
        octets[23] += 24;
        octets[24] = 43;
        routed.fill(&octets, plain.offload().shifted(24));
        assert_ne!(plain.octets()[42..58], octets[42..58]);
        for (plain, routed) in cut(&plain).iter().zip(cut(&routed)) {
            assert_eq!(plain[58..], routed[82..], "same UDP header, checksum included");
        }
    }

    #[test]
    fn a_super_frame_without_payload_is_one_frame() {
        let mut frame = frame(samples::UDP6_HEADER, samples::UDP6);
        frame.truncate(66);
        frame.octets_mut()[23] = 8;
        let segments = cut(&frame);
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].len(), 66);
    }

    #[test]
    fn the_longest_super_frame_is_cut_to_the_end() {
        let mut octets = hex(samples::TCP4);
        octets.resize(14 + 65_535, 7);
        octets[16..18].copy_from_slice(&[0xff, 0xff]);
        let mut frame = Frame::from_octets(&octets);
        frame.set_offload(OffloadHeader::from_octets(&hex("01 01 0000 a805 2200 1000").try_into().unwrap()));
        let segments = cut(&frame);
        assert_eq!(segments.len(), 46);
        assert_eq!(segments.iter().map(|segment| segment.len() - 66).sum::<usize>(), octets.len() - 66);
    }

    #[test]
    fn what_is_no_super_frame_is_not_cut() {
        assert!(Segments::new(&frame(samples::SYN_HEADER, samples::SYN)).is_err());
        assert!(Segments::new(&Frame::from_octets(&hex(samples::TCP4))).is_err());
        assert!(Segments::new(&Frame::empty()).is_err());
    }

    /// The fields that differ from segment to segment, each with its value in segment `index`.
    fn assert_own_fields(sample: &Sample, segment: &[u8], index: usize, last: bool) {
        let (whole, ip, upper) = (&sample.octets, sample.ip, sample.upper);
        let word = Sample::word;
        if sample.v6 {
            assert_eq!(usize::from(word(segment, ip + 4)), segment.len() - ip - 40);
        } else {
            let header = Ipv4Packet::new(&segment[ip..upper]).unwrap();
            assert_eq!(header.get_checksum(), ipv4::checksum(&header));
            assert_eq!(usize::from(header.get_total_length()), segment.len() - ip);
            assert_eq!(header.get_identification(), word(whole, ip + 4).wrapping_add(index as u16));
        }
        assert_eq!(word(segment, sample.checksum_at()), never_zero(sample.checksum_by_pnet(segment)));
        if sample.tcp {
            let sequence = |octets: &[u8]| u32::from_be_bytes(octets[upper + 4..upper + 8].try_into().unwrap());
            assert_eq!(sequence(segment).wrapping_sub(sequence(whole)) as usize, index * sample.segment_octets());
            let cleared = if last { 0 } else { FIN | PSH } | if index == 0 { 0 } else { CWR };
            assert_eq!(segment[upper + 13], whole[upper + 13] & !cleared);
        } else {
            assert_eq!(usize::from(word(segment, upper + 4)), segment.len() - upper);
        }
    }

    /// The headers with every field that may differ set to zero.
    fn common(sample: &Sample, octets: &[u8]) -> Vec<u8> {
        let mut headers = octets[..sample.payload].to_vec();
        let (ip, upper) = (sample.ip, sample.upper);
        let fields: &[std::ops::Range<usize>] = match (sample.v6, sample.tcp) {
            (false, true) => &[ip + 2..ip + 6, ip + 10..ip + 12, upper + 4..upper + 8, upper + 13..upper + 14],
            (false, false) => &[ip + 2..ip + 6, ip + 10..ip + 12, upper + 4..upper + 6],
            (true, true) => &[ip + 4..ip + 6, upper + 4..upper + 8, upper + 13..upper + 14],
            (true, false) => &[ip + 4..ip + 6, upper + 4..upper + 6],
        };
        for field in fields {
            headers[field.clone()].fill(0);
        }
        headers[sample.checksum_at()..][..2].fill(0);
        headers
    }

    proptest! {
        #[test]
        fn segments_make_up_the_super_frame(sample in any_super_frame()) {
            let super_frame = sample.frame();
            let segments = cut(&super_frame);
            let mut payload = Vec::new();
            for (index, segment) in segments.iter().enumerate() {
                let last = index + 1 == segments.len();
                prop_assert_eq!(common(&sample, segment), common(&sample, &sample.octets));
                prop_assert!(last || segment.len() - sample.payload == sample.segment_octets());
                assert_own_fields(&sample, segment, index, last);
                payload.extend_from_slice(&segment[sample.payload..]);
            }
            prop_assert_eq!(&payload[..], &sample.octets[sample.payload..]);
            prop_assert_eq!(super_frame.octets(), &sample.octets[..]);
            let longest = segments.iter().map(Vec::len).max();
            prop_assert_eq!(longest, Some(sample.header.wire_octets(&sample.octets)));
        }
    }
}
