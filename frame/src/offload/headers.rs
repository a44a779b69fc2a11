//! Where do a frame's IP header and the header behind it begin, and how may a super-frame be cut?
//! (RFC 791, 8200, 9293, 768; 802.1Q tags by [`crate::ethernet`])
//!
//! Not done: fragments, AH and ESP are not looked into; what they carry counts as one unknown protocol.

use super::checksum::Sum;
use super::{BadOffload, GsoKind, OffloadHeader};
use crate::buffer::MAX_FRAME_OCTETS;
use crate::ethernet::{self, ether_type};

/// Protocol numbers (IANA "Protocol Numbers").
pub(super) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
    pub(crate) const SCTP: u8 = 132;
}

/// A field's offset from the first octet of the header it is in.
pub(super) const TCP_CHECKSUM: usize = 16;
pub(super) const UDP_CHECKSUM: usize = 6;
pub(super) const SCTP_CHECKSUM: usize = 8;
const IPV6_OCTETS: usize = 40;

/// The most segments one super-frame may be cut into: what TCP's smallest segment, 8 octets in Linux,
/// makes of 64 KiB. It bounds the work that one frame from a container can cause.
const MAX_SEGMENTS: usize = 8192;

/// IPv6 extension headers passed over; more than any kernel writes, few enough to bound the work.
const MAX_EXTENSIONS: usize = 8;

/// The headers of an IPv4 or IPv6 packet in a frame. Offsets count from the frame's first octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Headers {
    /// IPv6 rather than IPv4.
    pub(super) v6: bool,
    /// Where the IP header begins.
    pub(super) ip: usize,
    /// Where the upper layer's header begins: behind IPv4 options and IPv6 extension headers. At most the
    /// frame's length.
    pub(super) upper: usize,
    /// The upper layer's protocol number.
    pub(super) protocol: u8,
    /// Octets the IP header says the packet has, from `ip` on.
    ip_octets: usize,
    /// Octets of the frame.
    frame_octets: usize,
}

impl Headers {
    /// Read the headers; `None` when the frame carries no IP or ends inside them.
    #[inline]
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let (ether_type, ip) = ethernet::payload(octets)?;
        Self::read_at(ether_type, ip, octets)
    }

    /// The same where [`ethernet::payload`] has already told the ether type and where its packet begins.
    #[inline]
    pub(super) fn read_at(ether_type: u16, ip: usize, octets: &[u8]) -> Option<Self> {
        match ether_type {
            ether_type::IPV4 => Self::read_v4(octets, ip),
            ether_type::IPV6 => Self::read_v6(octets, ip),
            _ => None,
        }
    }

    #[inline]
    fn read_v4(octets: &[u8], ip: usize) -> Option<Self> {
        let header: &[u8; 20] = octets.get(ip..)?.first_chunk()?;
        let upper = ip + usize::from(header[0] & 0x0f) * 4;
        if header[0] >> 4 != 4 || upper < ip + 20 || upper > octets.len() {
            return None;
        }
        let ip_octets = usize::from(u16::from_be_bytes([header[2], header[3]]));
        Some(Self { v6: false, ip, upper, protocol: header[9], ip_octets, frame_octets: octets.len() })
    }

    #[inline]
    fn read_v6(octets: &[u8], ip: usize) -> Option<Self> {
        let header: &[u8; IPV6_OCTETS] = octets.get(ip..)?.first_chunk()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let ip_octets = IPV6_OCTETS + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let (mut upper, mut protocol) = (ip + IPV6_OCTETS, header[6]);
        let mut extensions = 0;
        while matches!(protocol, protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS) {
            let [next, length] = *octets.get(upper..)?.first_chunk()?;
            upper += (usize::from(length) + 1) * 8;
            protocol = next;
            extensions += 1;
            if upper > octets.len() || extensions > MAX_EXTENSIONS {
                return None;
            }
        }
        Some(Self { v6: true, ip, upper, protocol, ip_octets, frame_octets: octets.len() })
    }

    /// Where the packet ends by its IP header; `None` when that is not between `upper` and the frame's end.
    #[inline]
    pub(super) fn ip_end(self) -> Option<usize> {
        Some(self.ip + self.ip_octets).filter(|end| (self.upper..=self.frame_octets).contains(end))
    }
}

/// A super-frame whose virtio-net header and own headers agree: how it is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SuperFrame {
    pub(super) headers: Headers,
    /// Octets of all headers, Ethernet to TCP or UDP, which every segment repeats.
    pub(super) header_octets: usize,
    /// Payload octets of every segment but the last; at least 1.
    pub(super) segment_octets: usize,
}

impl SuperFrame {
    /// Read how `octets` are cut by `header`, from the real headers and never from `header_len`.
    pub(super) fn read(header: OffloadHeader, octets: &[u8]) -> Result<Self, BadOffload> {
        let headers = Headers::read(octets).ok_or(BadOffload)?;
        let protocol = match (header.gso, headers.v6) {
            (GsoKind::Tcp4, false) | (GsoKind::Tcp6, true) => protocol::TCP,
            (GsoKind::Udp, _) => protocol::UDP,
            _ => return Err(BadOffload),
        };
        let upper = octets.get(headers.upper..).ok_or(BadOffload)?;
        let (upper_octets, field) = match protocol {
            protocol::TCP => (tcp_header_octets(upper).ok_or(BadOffload)?, TCP_CHECKSUM),
            _ => (8, UDP_CHECKSUM),
        };
        let header_octets = headers.upper + upper_octets;
        let checksum = (usize::from(header.checksum_start), usize::from(header.checksum_offset));
        let fits = headers.protocol == protocol
            && upper_octets <= upper.len()
            && octets.len() <= MAX_FRAME_OCTETS
            && headers.ip_end() == Some(octets.len())
            && (headers.v6 || !is_fragment(octets, headers.ip))
            && header.needs_checksum
            && checksum == (headers.upper, field)
            // 0xffff means "cut at the fragments" inside the kernel (GSO_BY_FRAGS).
            && !matches!(header.segment_octets, 0 | u16::MAX)
            && (octets.len() - header_octets).div_ceil(usize::from(header.segment_octets)) <= MAX_SEGMENTS;
        if !fits {
            return Err(BadOffload);
        }
        Ok(Self { headers, header_octets, segment_octets: usize::from(header.segment_octets) })
    }

    /// The pseudo-header's sum with a length of zero: what is the same for every segment.
    ///
    /// Taken from the begun checksum, as Linux does, and not from the addresses: behind an IPv6 routing header
    /// the pseudo-header names the last destination (RFC 8200, 8.1), which only the sender knows for sure.
    pub(super) fn pseudo_header(&self, octets: &[u8]) -> Sum {
        let upper = octets.get(self.headers.upper..).unwrap_or_default();
        let field = if self.headers.protocol == protocol::TCP { TCP_CHECKSUM } else { UDP_CHECKSUM };
        let begun = upper.get(field..field + 2).unwrap_or_default();
        Sum::new().octets(begun).word(!(upper.len() as u16))
    }
}

/// Octets of a TCP header by its data offset (RFC 9293, 3.1); `None` when that is not legal.
fn tcp_header_octets(tcp: &[u8]) -> Option<usize> {
    let octets = usize::from(tcp.get(12)? >> 4) * 4;
    (octets >= 20).then_some(octets)
}

/// Is the IPv4 packet a fragment (RFC 791, 3.1: more fragments, or an offset)?
fn is_fragment(octets: &[u8], ip: usize) -> bool {
    octets.get(ip + 6..).and_then(<[u8]>::first_chunk).is_some_and(|field| u16::from_be_bytes(*field) & 0x3fff != 0)
}
