//! What is left to do for a frame that its sender left unfinished? (`linux/virtio_net.h`,
//! `struct virtio_net_hdr`; VIRTIO 1.2, 5.1.6)
//!
//! A container's kernel hands the switch super-frames of up to 64 KiB and frames whose checksum is only
//! begun. Towards a port that takes virtio-net headers they go on as they are; for any other port
//! [`checksum`] finishes and [`segment`] cuts. The header comes from whoever is in the container, so
//! nothing here believes it before [`OffloadHeader::check`] has held it against the octets.
//!
//! Not done: UFO (`VIRTIO_NET_HDR_GSO_UDP`, gone since Linux 4.14) and tunnel offloads
//! (`VIRTIO_NET_HDR_GSO_UDP_TUNNEL_*`), which no port asks for.

pub mod checksum;
mod headers;
#[cfg(test)]
mod samples;
pub mod segment;

use crate::ethernet::{self, ether_type};
use headers::{Headers, SCTP_CHECKSUM, SuperFrame, TCP_CHECKSUM, UDP_CHECKSUM, protocol};

/// Octets of the header: `struct virtio_net_hdr` without the `num_buffers` of mergeable buffers.
pub const VNET_HEADER_OCTETS: usize = 10;

const NEEDS_CHECKSUM: u8 = 1; // VIRTIO_NET_HDR_F_NEEDS_CSUM
const DATA_VALID: u8 = 2; // VIRTIO_NET_HDR_F_DATA_VALID
const GSO_ECN: u8 = 0x80; // VIRTIO_NET_HDR_GSO_ECN

/// How a super-frame is to be cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum GsoKind {
    /// Not a super-frame.
    #[default]
    None,
    /// TCP over IPv4 (`VIRTIO_NET_HDR_GSO_TCPV4`).
    Tcp4,
    /// TCP over IPv6 (`VIRTIO_NET_HDR_GSO_TCPV6`).
    Tcp6,
    /// UDP datagrams of equal size, over IPv4 or IPv6 (`VIRTIO_NET_HDR_GSO_UDP_L4`).
    Udp,
    /// A kind this switch does not know; such a frame is refused by [`OffloadHeader::check`].
    Other(u8),
}

impl GsoKind {
    const fn from_octet(octet: u8) -> Self {
        match octet & !GSO_ECN {
            0 => Self::None,
            1 => Self::Tcp4,
            4 => Self::Tcp6,
            5 => Self::Udp,
            other => Self::Other(other),
        }
    }

    const fn to_octet(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Tcp4 => 1,
            Self::Tcp6 => 4,
            Self::Udp => 5,
            Self::Other(other) => other,
        }
    }
}

/// The virtio-net header of one frame. Offsets count from the frame's first octet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OffloadHeader {
    /// The checksum at `checksum_start + checksum_offset` holds only the pseudo-header's sum; it must be
    /// finished over everything from `checksum_start` on before the frame may be seen on a wire.
    pub needs_checksum: bool,
    /// The sender vouches for the checksums. Advice to a receiver; never a reason not to compute one.
    pub data_valid: bool,
    /// How the super-frame is to be cut, if it is one.
    pub gso: GsoKind,
    /// TCP with ECN: congestion-window-reduced belongs on the first segment only (RFC 3168, 6.1.2).
    pub ecn: bool,
    /// Octets of headers that every segment repeats. Advice, may be 0 or wrong: read the headers instead.
    pub header_len: u16,
    /// Payload octets of each segment (`gso_size`).
    pub segment_octets: u16,
    /// Where the unfinished checksum's sum begins.
    pub checksum_start: u16,
    /// Where, counted from there, it is stored.
    pub checksum_offset: u16,
}

/// The header does not fit the frame it came with: [`crate::DropReason::BadOffload`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadOffload;

impl std::fmt::Display for BadOffload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(crate::DropReason::BadOffload.sentence())
    }
}

impl std::error::Error for BadOffload {}

impl OffloadHeader {
    /// Nothing left to do.
    pub const NONE: Self = Self {
        needs_checksum: false,
        data_valid: false,
        gso: GsoKind::None,
        ecn: false,
        header_len: 0,
        segment_octets: 0,
        checksum_start: 0,
        checksum_offset: 0,
    };

    /// Read the ten octets, which are in the machine's own byte order (no VIRTIO 1 negotiation happens on
    /// TAP and AF_PACKET).
    #[inline]
    pub const fn from_octets(octets: &[u8; VNET_HEADER_OCTETS]) -> Self {
        let [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1] = *octets;
        Self {
            needs_checksum: flags & NEEDS_CHECKSUM != 0,
            data_valid: flags & DATA_VALID != 0,
            gso: GsoKind::from_octet(gso),
            ecn: gso & GSO_ECN != 0,
            header_len: u16::from_ne_bytes([h0, h1]),
            segment_octets: u16::from_ne_bytes([s0, s1]),
            checksum_start: u16::from_ne_bytes([c0, c1]),
            checksum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    /// Write the ten octets.
    pub const fn to_octets(self) -> [u8; VNET_HEADER_OCTETS] {
        let flags = if self.needs_checksum { NEEDS_CHECKSUM } else { 0 } | if self.data_valid { DATA_VALID } else { 0 };
        let gso = self.gso.to_octet() | if self.ecn { GSO_ECN } else { 0 };
        let ([h0, h1], [s0, s1]) = (self.header_len.to_ne_bytes(), self.segment_octets.to_ne_bytes());
        let ([c0, c1], [o0, o1]) = (self.checksum_start.to_ne_bytes(), self.checksum_offset.to_ne_bytes());
        [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1]
    }

    /// Is there nothing left to do?
    #[inline]
    pub const fn is_finished(self) -> bool {
        !self.needs_checksum && matches!(self.gso, GsoKind::None)
    }

    /// Is the frame a super-frame?
    #[inline]
    pub const fn is_gso(self) -> bool {
        !matches!(self.gso, GsoKind::None)
    }

    /// The same header for a frame that `octets` were put into before everything it points at.
    #[must_use]
    pub const fn shifted(mut self, octets: u16) -> Self {
        if self.needs_checksum {
            self.checksum_start = self.checksum_start.saturating_add(octets);
        }
        if self.header_len != 0 {
            self.header_len = self.header_len.saturating_add(octets);
        }
        self
    }

    /// Does the header fit the frame it came with? A frame that passes can be finished and cut.
    ///
    /// Stricter than the kernel's `virtio_net_hdr_to_skb`: what is stored when a checksum is finished must
    /// not change what the switch has looked at before (addresses, ARP, ICMP), and a super-frame must be one
    /// that a network stack would build.
    ///
    /// # Errors
    /// [`BadOffload`] when the checksum field is outside the frame or in front of the upper layer's header; when
    /// the kind of super-frame is unknown or not what the frame's own headers say, its headers are cut short or
    /// contradict its length, its checksum is not marked as unfinished, or its segment size is absurd.
    #[inline]
    pub fn check(self, octets: &[u8]) -> Result<(), BadOffload> {
        if self.is_finished() { Ok(()) } else { self.check_unfinished(octets) }
    }

    fn check_unfinished(self, octets: &[u8]) -> Result<(), BadOffload> {
        let fits = match self.gso {
            GsoKind::None => self.checksum_fits(octets).unwrap_or(false),
            _ => SuperFrame::read(self, octets).is_ok(),
        };
        if fits { Ok(()) } else { Err(BadOffload) }
    }

    /// Does the unfinished checksum lie where a protocol has one? `None` when the headers cannot be read.
    fn checksum_fits(self, octets: &[u8]) -> Option<bool> {
        let (start, offset) = (usize::from(self.checksum_start), usize::from(self.checksum_offset));
        let (ether_type, at) = ethernet::payload(octets)?;
        if octets.len() < start + offset + 2 || start < at {
            return Some(false);
        }
        if !matches!(ether_type, ether_type::IPV4 | ether_type::IPV6) {
            // MPLS and the like may carry one anywhere; ARP has none.
            return Some(ether_type != ether_type::ARP);
        }
        let headers = Headers::read_at(ether_type, at, octets)?;
        Some(match headers.protocol {
            protocol::ICMP | protocol::ICMPV6 => false,
            protocol::TCP => (start, offset) == (headers.upper, TCP_CHECKSUM),
            // A tunnel in UDP (VXLAN) may leave the inner packet's checksum unfinished instead.
            protocol::UDP if start == headers.upper => offset == UDP_CHECKSUM,
            protocol::UDP => start >= headers.upper + 8,
            protocol::SCTP => {
                (start, offset) == (headers.upper, SCTP_CHECKSUM) && headers.ip_end()? >= start + SCTP_CHECKSUM + 4
            }
            _ => start >= headers.upper,
        })
    }

    /// Octets of the longest frame that this one becomes on a wire, Ethernet header included: what an MTU is
    /// held against. All headers and one segment's payload for a super-frame, the frame's length for any
    /// other, and for one that [`OffloadHeader::check`] refuses.
    #[inline]
    pub fn wire_octets(self, octets: &[u8]) -> usize {
        if self.is_gso() { self.longest_segment(octets) } else { octets.len() }
    }

    fn longest_segment(self, octets: &[u8]) -> usize {
        SuperFrame::read(self, octets)
            .map_or(octets.len(), |plan| octets.len().min(plan.header_octets + plan.segment_octets))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::samples::{SYN, SYN_HEADER, TCP4, TCP4_HEADER, UDP6, UDP6_HEADER, any_super_frame, frame, hex};
    use super::segment::Segments;
    use super::*;
    use crate::Frame;

    #[test]
    fn the_header_is_read_and_written() {
        let octets: [u8; 10] = hex(TCP4_HEADER).try_into().unwrap();
        let header = OffloadHeader::from_octets(&octets);
        assert_eq!((header.gso, header.ecn, header.needs_checksum), (GsoKind::Tcp4, true, true));
        assert_eq!((header.header_len, header.segment_octets), (66, 40));
        assert_eq!(header.to_octets(), octets);
    }

    #[test]
    fn what_a_kernel_sends_passes() {
        for (header, octets, longest) in
            [(SYN_HEADER, SYN, 74), (TCP4_HEADER, TCP4, 66 + 40), (UDP6_HEADER, UDP6, 66 + 10)]
        {
            let frame = frame(header, octets);
            assert_eq!(frame.offload().check(frame.octets()), Ok(()));
            assert_eq!(frame.offload().wire_octets(frame.octets()), longest);
        }
        // A GSO frame whose payload fits one segment is legal, and so is a wrong header_len.
        let small = frame("01 01 ffff e803 2200 1000", TCP4);
        assert_eq!(small.offload().check(small.octets()), Ok(()));
        assert_eq!(small.offload().wire_octets(small.octets()), small.len());
        assert_eq!(OffloadHeader::NONE.check(&[]), Ok(()));
        assert_eq!(OffloadHeader::NONE.wire_octets(&[0; 60]), 60);
    }

    /// A SYN of another ether type (low octet) or protocol, its checksum said to be at `start` + `offset`.
    fn check_other(ether_type: [u8; 2], protocol: u8, start: u16, offset: u16) -> Result<(), BadOffload> {
        let mut octets = hex(SYN);
        octets[12..14].copy_from_slice(&ether_type);
        octets[23] = protocol;
        let header = OffloadHeader {
            needs_checksum: true,
            checksum_start: start,
            checksum_offset: offset,
            ..OffloadHeader::NONE
        };
        header.check(&octets)
    }

    #[test]
    fn a_tunnel_may_leave_its_inner_checksum_unfinished() {
        let (ipv4, mpls, tag) = ([0x08, 0x00], [0x88, 0x47], [0x81, 0x00]);
        assert_eq!(check_other(ipv4, protocol::UDP, 42, 16), Ok(()));
        assert_eq!(check_other(ipv4, protocol::UDP, 34 + 4, 16), Err(BadOffload), "inside the UDP header");
        assert_eq!(check_other(ipv4, 4, 54, 16), Ok(()));
        assert_eq!(check_other(ipv4, 4, 33, 16), Err(BadOffload), "inside the IP header");
        assert_eq!(check_other(mpls, 0, 18, 16), Ok(()));
        assert_eq!(check_other(mpls, 0, 13, 16), Err(BadOffload), "inside the Ethernet header");
        assert_eq!(check_other(tag, 0, 17, 16), Err(BadOffload), "inside the tag");
    }

    #[test]
    fn a_packet_must_hold_the_whole_checksum() {
        let mut octets = hex(SYN);
        octets[23] = protocol::SCTP;
        let header =
            OffloadHeader { needs_checksum: true, checksum_start: 34, checksum_offset: 8, ..OffloadHeader::NONE };
        for (total, expected) in [(32, Ok(())), (31, Err(BadOffload)), (61, Err(BadOffload))] {
            octets[17] = total;
            assert_eq!(header.check(&octets), expected, "{total} octets");
        }
        // An IPv4 header said to have 16 octets would let the sum be stored in its last four.
        octets[23] = 4;
        octets[14] = 0x44;
        assert_eq!(header.check(&octets), Err(BadOffload));
    }

    #[test]
    fn a_super_frame_too_long_for_a_buffer_is_refused() {
        let mut octets = hex(UDP6);
        let tags: Vec<u8> = octets[12..16].repeat(2);
        octets.splice(12..12, tags);
        octets[30..32].copy_from_slice(&[0xff, 0xff]);
        let header = OffloadHeader { checksum_start: 66, segment_octets: 1400, ..frame(UDP6_HEADER, UDP6).offload() };
        octets.resize(26 + 40 + 65_535, 0);
        assert!(octets.len() > crate::buffer::MAX_FRAME_OCTETS);
        assert_eq!(header.check(&octets), Err(BadOffload));
        octets.drain(12..16);
        assert_eq!(OffloadHeader { checksum_start: 62, ..header }.check(&octets), Ok(()));
    }

    /// What is wrong, the virtio-net header, a good frame, and one octet to spoil (or `None`).
    type Refused = (&'static str, &'static str, &'static str, Option<(usize, u8)>);

    #[rustfmt::skip]
    const REFUSED: &[Refused] = &[
        ("checksum beyond the end",              "01 00 0000 0000 2200 2700", SYN, None),
        ("checksum half beyond the end",         "01 00 0000 0000 3900 1000", SYN, None),
        ("both offsets as large as they get",    "01 00 0000 0000 ffff ffff", SYN, None),
        ("checksum over the source address",     "01 00 0000 0000 0000 0600", SYN, None),
        ("checksum in the Ethernet header",      "01 00 0000 0000 0d00 1000", SYN, None),
        ("checksum in the IP header",            "01 00 0000 0000 0e00 0c00", SYN, None),
        ("checksum over the TCP ports",          "01 00 0000 0000 2200 0000", SYN, None),
        ("checksum behind the TCP header",       "01 00 0000 0000 3600 1000", SYN, None),
        ("checksum in the UDP header's ports",   "01 00 0000 0000 3a00 0200", UDP6, None),
        ("checksum from inside the UDP header",  "01 00 0000 0000 3c00 0400", UDP6, None),
        ("checksum in ARP",                      "01 00 0000 0000 2200 1000", SYN, Some((13, 0x06))),
        ("checksum in ICMP",                     "01 00 0000 0000 2200 0200", SYN, Some((23, 1))),
        ("checksum in ICMPv6",                   "01 00 0000 0000 3a00 0200", UDP6, Some((24, 58))),
        ("checksum, but IPv4 of version 6",      "01 00 0000 0000 2200 1000", SYN, Some((14, 0x65))),
        ("checksum, but IPv4 header too short",  "01 00 0000 0000 2200 1000", SYN, Some((14, 0x44))),
        ("checksum, but endless tags",           "01 00 0000 0000 2200 1000", "02420a000003 02420a000002
            81008100 81008100 81008100 81008100 81008100 81008100 81008100 81008100 81008100 81008100", None),
        ("unknown kind of super-frame",          "01 02 4200 2800 2200 1000", TCP4, None),
        ("UFO",                                  "01 03 4200 2800 2200 1000", TCP4, None),
        ("tunnel super-frame",                   "01 21 4200 2800 2200 1000", TCP4, None),
        ("super-frame with finished checksum",   "00 01 4200 2800 2200 1000", TCP4, None),
        ("segments of nothing",                  "01 01 4200 0000 2200 1000", TCP4, None),
        ("segments of 65,535",                   "01 01 4200 ffff 2200 1000", TCP4, None),
        ("IPv6 super-frame in IPv4",             "01 04 4200 2800 2200 1000", TCP4, None),
        ("UDP super-frame in TCP",               "01 05 4200 2800 2200 0600", TCP4, None),
        ("TCP super-frame in UDP",               "01 04 4200 0a00 3a00 1000", UDP6, None),
        ("wrong checksum start",                 "01 01 4200 2800 2400 1000", TCP4, None),
        ("wrong checksum offset",                "01 01 4200 2800 2200 0600", TCP4, None),
        ("total length longer than the frame",   TCP4_HEADER, TCP4, Some((17, 0x99))),
        ("total length shorter than the frame",  TCP4_HEADER, TCP4, Some((17, 0x97))),
        ("total length shorter than the header", TCP4_HEADER, TCP4, Some((17, 0x10))),
        ("more fragments",                       TCP4_HEADER, TCP4, Some((20, 0x20))),
        ("fragment offset",                      TCP4_HEADER, TCP4, Some((21, 0x01))),
        ("TCP data offset of 4",                 TCP4_HEADER, TCP4, Some((46, 0x40))),
        ("IPv4 options, so TCP is elsewhere",    TCP4_HEADER, TCP4, Some((14, 0x46))),
        ("TCP header past the end",              "01 01 0000 2800 2200 1000", "02420a000003 02420a000002 0800
            45020028 ffff4000 4006265a 0a000002 0a000003 96fe0050 ffffffe0 01020304 f0d901f5 148f0000", None),
        ("IPv6 payload length",                  UDP6_HEADER, UDP6, Some((23, 0x20))),
        ("IPv6 of version 4",                    UDP6_HEADER, UDP6, Some((18, 0x40))),
        ("IPv6 fragment",                        UDP6_HEADER, UDP6, Some((24, 44))),
        ("IPv6 extension header past the end",   UDP6_HEADER, UDP6, Some((24, 60))),
        ("no IP at all",                         TCP4_HEADER, TCP4, Some((12, 0x99))),
    ];

    #[test]
    fn what_does_not_fit_is_refused() {
        for (what, header, octets, spoil) in REFUSED {
            let mut frame = frame(header, octets);
            if let Some((at, octet)) = spoil {
                frame.octets_mut()[*at] = *octet;
            }
            assert_eq!(frame.offload().check(frame.octets()), Err(BadOffload), "{what}");
            if frame.offload().is_gso() {
                assert!(Segments::new(&frame).is_err(), "{what}");
                assert_eq!(frame.offload().wire_octets(frame.octets()), frame.len(), "{what}");
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for (header, octets, headers) in [(SYN_HEADER, SYN, 52), (TCP4_HEADER, TCP4, 166), (UDP6_HEADER, UDP6, 91)] {
            let mut frame = frame(header, octets);
            for len in (0..headers).rev() {
                frame.truncate(len);
                assert_eq!(frame.offload().check(frame.octets()), Err(BadOffload), "{len} octets of {octets}");
            }
        }
    }

    #[test]
    fn more_segments_than_any_stack_makes_are_refused() {
        let mut octets = hex(TCP4);
        octets.resize(66 + 8193, 0);
        let total = (octets.len() - 14) as u16;
        octets[16..18].copy_from_slice(&total.to_be_bytes());
        let header = frame(TCP4_HEADER, TCP4).offload();
        assert_eq!(OffloadHeader { segment_octets: 1, ..header }.check(&octets), Err(BadOffload));
        assert_eq!(OffloadHeader { segment_octets: 2, ..header }.check(&octets), Ok(()));
    }

    /// Put a frame through everything; what passes the check must then succeed and keep within its bounds.
    fn survive(header: OffloadHeader, octets: &[u8], out: &mut Frame) {
        let mut frame = Frame::from_octets(octets);
        frame.set_offload(header);
        let (checked, longest) = (header.check(octets), header.wire_octets(octets));
        assert!(longest <= octets.len());
        let finished = checksum::finish_into(&frame, out);
        if finished.is_ok() {
            assert_eq!(out.octets()[..14.min(octets.len())], octets[..14.min(octets.len())]);
            let changed = (0..octets.len()).filter(|at| out.octets()[*at] != octets[*at]);
            assert!(changed.count() <= 4);
        }
        let segments = Segments::new(&frame);
        assert_eq!(checked.is_ok(), if header.is_gso() { segments.is_ok() } else { finished.is_ok() });
        if let Ok(mut segments) = segments {
            while segments.next_into(out) {
                assert!(out.len() <= longest);
            }
        }
        assert!(checksum::finish(frame.octets_mut(), header).is_ok() || checked.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn garbage_never_panics(header: [u8; 10], octets in vec(any::<u8>(), 0..120)) {
            survive(OffloadHeader::from_octets(&header), &octets, &mut Frame::empty());
        }
    }

    proptest! {
        #[test]
        fn nearly_right_never_panics(
            sample in any_super_frame(), spoil in vec((0_usize..120, any::<u8>()), 0..4), len in 0_usize..5000,
            header in proptest::option::of(any::<[u8; 10]>()), plain: bool, start in 0_u16..120,
        ) {
            let mut octets = sample.octets.clone();
            for (at, octet) in spoil {
                let at = at % octets.len();
                octets[at] = octet;
            }
            octets.truncate(len);
            let mut frame = Frame::empty();
            let mut header = header.map_or(sample.header, |header| OffloadHeader::from_octets(&header));
            survive(header, &octets, &mut frame);
            if plain {
                header = OffloadHeader { gso: GsoKind::None, needs_checksum: true, ..header };
                survive(header, &octets, &mut frame);
                survive(OffloadHeader { checksum_start: start, ..header }, &octets, &mut frame);
            }
        }
    }
}
