//! What is the Internet checksum of these octets, and how is one finished that the sender only began?
//! (RFC 1071; RFC 1624 for changing one; RFC 9293, 768, 8200 8.1 for the pseudo-headers)
//!
//! An unfinished checksum holds the pseudo-header's sum; summing from `checksum_start` to the frame's
//! end, that field included, completes it. SCTP is the one protocol whose unfinished checksum is not an
//! Internet checksum but a CRC-32C (RFC 9260, 6.8), although the virtio-net header cannot say so.
//!
//! Not done: verifying what was received. A switch passes on what it was given.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::headers::{Headers, SCTP_CHECKSUM, protocol};
use super::{BadOffload, GsoKind, OffloadHeader};
use crate::Frame;
use crate::buffer::MAX_FRAME_OCTETS;

/// A one's complement sum of 16-bit words that may still be added to.
///
/// Kept in the machine's byte order, so that octets are added as they lie in memory and swapped once, at
/// the end (RFC 1071, 2 (B)); never above 32 bits between calls, so that no order of calls overflows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Add octets. Of the pieces added to one sum, only the last may have an odd number of them.
    #[inline]
    #[must_use]
    pub fn octets(self, octets: &[u8]) -> Self {
        // Two 32-bit halves of eight octets at a time need no carry and become vector code; a 64-bit sum
        // overflows only after 16 GiB.
        let (words, rest) = octets.as_chunks::<8>();
        let mut sum = words.iter().fold(self.0, |sum, word| {
            let word = u64::from_ne_bytes(*word);
            sum + (word & 0xffff_ffff) + (word >> 32)
        });
        let (words, rest) = rest.as_chunks::<2>();
        sum = words.iter().fold(sum, |sum, word| sum + u64::from(u16::from_ne_bytes(*word)));
        if let [last] = rest {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Self((sum & 0xffff_ffff) + (sum >> 32))
    }

    /// Add one 16-bit field.
    #[inline]
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        let sum = self.0 + word.to_be() as u64;
        Self((sum & 0xffff_ffff) + (sum >> 32))
    }

    /// The sum in 16 bits, carries added in: what a correct packet's octets, checksum included, make 0xffff.
    #[inline]
    pub const fn fold(self) -> u16 {
        let mut sum = self.0;
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        u16::from_be(sum as u16)
    }

    /// The checksum: the sum's complement.
    #[inline]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }
}

/// The checksum of `octets` as they are (RFC 1071), as ICMP uses it: put zero into the checksum field first.
#[inline]
pub fn internet_checksum(octets: &[u8]) -> u16 {
    Sum::new().octets(octets).checksum()
}

/// The checksum that belongs in an IPv4 header of exactly these octets (options included), whatever its
/// checksum field holds now (RFC 791, 3.1).
#[inline]
pub fn ipv4_header_checksum(header: &[u8]) -> u16 {
    without_field(Sum::new(), header, 10).checksum()
}

/// The sum of the pseudo-header of TCP or UDP over IPv4; `length` counts the octets of the TCP or UDP
/// header and payload.
#[inline]
pub fn pseudo_header_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Sum {
    Sum::new().octets(&source.octets()).octets(&destination.octets()).word(u16::from(protocol)).word(length)
}

/// The sum of the pseudo-header over IPv6 (RFC 8200, 8.1). `protocol` is the upper layer's own, not an
/// extension header's; `length` counts the octets of the upper layer's header and payload.
#[inline]
pub fn pseudo_header_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u32) -> Sum {
    let addresses = Sum::new().octets(&source.octets()).octets(&destination.octets());
    addresses.word(u16::from(protocol)).word((length >> 16) as u16).word(length as u16)
}

/// The checksum that belongs at `field` of `segment`, a whole TCP segment, UDP datagram or ICMP message
/// behind the pseudo-header summed in `pseudo`, whatever the field holds now. Never 0, which in UDP would
/// mean "no checksum" (RFC 768); to everyone who verifies, 0xffff is the same number.
#[inline]
pub fn upper_layer_checksum(pseudo: Sum, segment: &[u8], field: usize) -> u16 {
    never_zero(without_field(pseudo, segment, field).checksum())
}

/// The checksum after one 16-bit word it covers changed from `old` to `new` (RFC 1624, equation 3). `old`
/// and `new` are words at an even offset, such as TTL and protocol together.
#[inline]
#[must_use]
pub const fn update16(checksum: u16, old: u16, new: u16) -> u16 {
    let mut sum = (!checksum) as u32 + (!old) as u32 + new as u32;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// Finish, in place, the checksum that `header` says is unfinished; nothing is changed when it says that
/// none is. A super-frame is finished as the one large packet it reads as, which is what a capture shows.
///
/// The caller's header still says what it said: give the frame [`OffloadHeader::NONE`] before it goes on.
///
/// # Errors
/// [`BadOffload`], and nothing changed, when the checksum does not lie inside `octets`.
pub fn finish(octets: &mut [u8], header: OffloadHeader) -> Result<(), BadOffload> {
    if !header.needs_checksum {
        return Ok(());
    }
    let start = usize::from(header.checksum_start);
    if usize::from(header.checksum_offset) == SCTP_CHECKSUM
        && let Some(headers) = Headers::read(octets)
        && (headers.protocol, headers.upper) == (protocol::SCTP, start)
    {
        let end = headers.ip_end().unwrap_or(octets.len());
        return finish_sctp(octets.get_mut(start..end).ok_or(BadOffload)?);
    }
    let field = start + usize::from(header.checksum_offset);
    if octets.len() < field + 2 {
        return Err(BadOffload);
    }
    let checksum = never_zero(Sum::new().octets(octets.get(start..).ok_or(BadOffload)?).checksum());
    write_word(octets, field, checksum);
    Ok(())
}

/// Copy a frame that is no super-frame into `out`, finished, for a port that takes no virtio-net header.
/// `frame` itself stays as it is: other ports may still want it.
///
/// # Errors
/// [`BadOffload`], and `out` as it was, for a super-frame ([`super::segment`] cuts those), for a frame
/// that its header does not fit, and for one longer than [`MAX_FRAME_OCTETS`].
pub fn finish_into(frame: &Frame, out: &mut Frame) -> Result<(), BadOffload> {
    let header = frame.offload();
    if header.gso != GsoKind::None || frame.len() > MAX_FRAME_OCTETS {
        return Err(BadOffload);
    }
    header.check(frame.octets())?;
    out.fill(frame.octets(), OffloadHeader::NONE);
    finish(out.octets_mut(), header)
}

/// Write a 16-bit field in network order; nothing when it does not lie inside `octets`.
#[inline]
pub(super) fn write_word(octets: &mut [u8], at: usize, word: u16) {
    if let Some(field) = octets.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = word.to_be_bytes();
    }
}

const fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// Add `octets` to `sum` as if the 16-bit field at `field` (an even offset) were zero.
#[inline]
fn without_field(sum: Sum, octets: &[u8], field: usize) -> Sum {
    let (before, rest) = octets.split_at(field.min(octets.len()));
    sum.octets(before).octets(rest.get(2..).unwrap_or_default())
}

fn finish_sctp(packet: &mut [u8]) -> Result<(), BadOffload> {
    let Some((before, rest)) = packet.split_at_checked(SCTP_CHECKSUM) else { return Err(BadOffload) };
    let Some((_, after)) = rest.split_first_chunk::<4>() else { return Err(BadOffload) };
    let crc = [before, &[0; 4], after].iter().fold(!0, |crc, piece| crc32c(crc, piece));
    // The CRC's lowest octet goes first (RFC 9260, appendix A).
    packet[SCTP_CHECKSUM..SCTP_CHECKSUM + 4].copy_from_slice(&(!crc).to_le_bytes());
    Ok(())
}

fn crc32c(crc: u32, octets: &[u8]) -> u32 {
    octets.iter().fold(crc, |crc, octet| CRC32C[usize::from(crc as u8 ^ octet)] ^ (crc >> 8))
}

/// The Castagnoli polynomial's remainders, bits reflected (RFC 9260, appendix A).
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use pnet::packet::ipv4::{self, Ipv4Packet};
    use pnet::packet::util;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::samples::{self, Sample, any_super_frame, frame, hex};
    use super::*;

    /// The octets after [`finish`].
    fn finished(octets: &[u8], header: OffloadHeader) -> Result<Vec<u8>, BadOffload> {
        let mut octets = octets.to_vec();
        finish(&mut octets, header).map(|()| octets)
    }

    #[test]
    fn a_syn_is_finished_as_the_kernel_does() {
        let frame = frame(samples::SYN_HEADER, samples::SYN);
        let mut out = Frame::empty();
        assert_eq!(finish_into(&frame, &mut out), Ok(()));
        assert_eq!(out.octets(), hex(samples::SYN_FINISHED));
        assert_eq!(out.offload(), OffloadHeader::NONE);
        assert_eq!(frame.octets(), hex(samples::SYN), "the frame itself stays as it is");
    }

    #[test]
    fn the_sum_of_rfc_1071_and_the_header_of_a_real_frame() {
        assert_eq!(Sum::new().octets(&hex("0001 f203 f4f5 f6f7")).fold(), 0xddf2);
        assert_eq!(ipv4_header_checksum(&hex(samples::SYN)[14..34]), 0x3123);
        assert_eq!(internet_checksum(&[]), 0xffff);
        assert_eq!(internet_checksum(&[0xab]), !0xab00);
    }

    #[test]
    fn the_example_of_rfc_1624() {
        assert_eq!(update16(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn a_udp_checksum_of_zero_is_sent_as_all_ones() {
        let mut octets = hex(samples::UDP6);
        // A source port larger by the checksum makes the sum 0xffff, and so the checksum 0.
        let plain = OffloadHeader { gso: GsoKind::None, ..frame(samples::UDP6_HEADER, samples::UDP6).offload() };
        let checksum = Sample::word(&finished(&octets, plain).unwrap(), 64);
        let port = Sample::word(&octets, 58);
        let other = Sum::new().word(port).word(checksum).fold();
        octets[58..60].copy_from_slice(&other.to_be_bytes());
        assert_eq!(finished(&octets, plain).unwrap()[64..66], [0xff, 0xff]);
    }

    #[test]
    fn sctp_gets_its_crc() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283, "the CRC catalogue's check value");
        assert_eq!(!crc32c(!0, &[0; 32]), 0x8a91_36aa, "RFC 3720, B.4");
        let mut octets = hex("02420a000003 02420a000002 0800 4500 0028 00004000 4084 0000 0a000002 0a000003
            1234 0050 00000000 deadbeef 0a000008 00000000");
        octets.resize(60, 0xee); // padding, which the CRC does not cover
        let header =
            OffloadHeader { needs_checksum: true, checksum_start: 34, checksum_offset: 8, ..OffloadHeader::NONE };
        assert_eq!(header.check(&octets), Ok(()));
        let done = finished(&octets, header).unwrap();
        let packet = [&octets[34..42], &[0; 4], &octets[46..54]].concat();
        assert_eq!(done[42..46], (!crc32c(!0, &packet)).to_le_bytes());
        assert_eq!((&done[..42], &done[46..]), (&octets[..42], &octets[46..]));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_stays_as_it_was() {
        let syn = frame(samples::SYN_HEADER, samples::SYN);
        let outside = OffloadHeader { checksum_start: 73, ..syn.offload() };
        let mut octets = syn.octets().to_vec();
        assert_eq!(finish(&mut octets, outside), Err(BadOffload));
        assert_eq!(octets, syn.octets());

        let mut out = Frame::from_octets(b"before");
        let mut bad = frame(samples::SYN_HEADER, samples::SYN);
        bad.set_offload(outside);
        assert_eq!(finish_into(&bad, &mut out), Err(BadOffload));
        assert_eq!(finish_into(&frame(samples::TCP4_HEADER, samples::TCP4), &mut out), Err(BadOffload));
        let mut giant = Frame::empty();
        giant.received(MAX_FRAME_OCTETS + 1);
        assert_eq!(finish_into(&giant, &mut out), Err(BadOffload));
        assert_eq!(out.octets(), b"before");
    }

    proptest! {
        #[test]
        fn the_sum_is_pnets(octets in vec(any::<u8>(), 1..300), cut in 0_usize..150) {
            let (first, second) = octets.split_at((cut * 2).min(octets.len()));
            let sum = Sum::new().octets(first).octets(second);
            prop_assert_eq!(sum.checksum(), util::checksum(&octets, usize::MAX));
        }

        #[test]
        fn finishing_is_the_same_as_computing_it_all(sample in any_super_frame()) {
            let (pseudo, mut begun) = (sample.pseudo_header(), sample.octets.clone());
            let whole = upper_layer_checksum(
                pseudo, &begun[sample.upper..], usize::from(sample.header.checksum_offset));
            let done = finished(&begun, sample.header).unwrap();
            prop_assert_eq!(Sample::word(&done, sample.checksum_at()), whole);
            prop_assert_eq!(whole, samples::never_zero(sample.checksum_by_pnet(&done)));
            write_word(&mut begun, sample.checksum_at(), whole);
            prop_assert_eq!(&done, &begun, "nothing else changes");
            let none = OffloadHeader { needs_checksum: false, ..sample.header };
            prop_assert_eq!(finished(&sample.octets, none).unwrap(), sample.octets);
        }

        #[test]
        fn pseudo_headers_are_pnets(
            v4 in any::<[u32; 2]>(), v6 in any::<[u128; 2]>(), protocol: u8, message in vec(any::<u8>(), 4..200),
        ) {
            let ([s4, d4], [s6, d6]) = (v4.map(Ipv4Addr::from_bits), v6.map(Ipv6Addr::from_bits));
            let next = pnet::packet::ip::IpNextHeaderProtocol::new(protocol);
            let pseudo = pseudo_header_v4(s4, d4, protocol, message.len() as u16);
            let expected = util::ipv4_checksum(&message, 1, &[], &s4, &d4, next);
            prop_assert_eq!(upper_layer_checksum(pseudo, &message, 2), samples::never_zero(expected));
            let pseudo = pseudo_header_v6(s6, d6, protocol, message.len() as u32);
            let expected = util::ipv6_checksum(&message, 1, &[], &s6, &d6, next);
            prop_assert_eq!(upper_layer_checksum(pseudo, &message, 2), samples::never_zero(expected));
        }

        #[test]
        fn an_update_is_the_same_as_computing_it_again(
            mut header in vec(any::<u8>(), 20),
            word in prop::sample::select(vec![0_usize, 1, 2, 3, 4, 6, 7, 8, 9]),
            new: u16,
        ) {
            header[0] = 0x45;
            let before = ipv4_header_checksum(&header);
            prop_assert_eq!(before, ipv4::checksum(&Ipv4Packet::new(&header).unwrap()));
            let old = Sample::word(&header, word * 2);
            write_word(&mut header, word * 2, new);
            prop_assume!(header.iter().any(|octet| *octet != 0));
            prop_assert_eq!(update16(before, old, new), ipv4_header_checksum(&header));
        }
    }
}
