//! What are the octets of a frame of a stream? Those of a template, with addresses, lengths and checksums written into it.
//!
//! Ethernet and its tag (IEEE 802.3, 802.1Q), ARP (RFC 826), IPv4 (RFC 791; not to be fragmented, so its identification is 0,
//! RFC 6864), IPv6 (RFC 8200), UDP (RFC 768). What is behind the headers counts up, octet by octet.
//!
//! The UDP checksum is 0 in IPv4, which says that there is none; IPv6 asks for one, and [`Packet::finish`] writes it.

use frame::ethernet::ether_type;
use frame::{Frame, MacAddr, OffloadHeader};

use super::spec::{Kind, header_octets};

/// The port to which all is sent: discard (RFC 863).
pub(crate) const DISCARD_PORT: u16 = 9;
/// Local experimental ether type 1 (IEEE 802 clause 9.2.3).
pub(super) const EXPERIMENTAL: u16 = 0x88b5;
/// UDP's number (IANA "Protocol Numbers").
const UDP: u8 = 17;
/// Octets of a UDP header.
const UDP_OCTETS: usize = 8;

/// The template of a stream's frames.
#[derive(Clone)]
pub(super) struct Packet {
    octets: Vec<u8>,
    kind: Kind,
    /// Where the packet begins, behind the Ethernet header and its tag.
    at: usize,
}

/// What differs from frame to frame.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    /// Ethernet's addresses.
    pub(super) destination: MacAddr,
    pub(super) source: MacAddr,
    /// Who says in an ARP request that it sent it.
    pub(super) sender: MacAddr,
    /// IP addresses; of IPv4, the low 32 bits.
    pub(super) source_ip: u128,
    pub(super) destination_ip: u128,
    pub(super) source_port: u16,
}

impl Packet {
    /// A template for frames of up to `longest` octets, without FCS.
    pub(super) fn new(kind: Kind, vlan: Option<u16>, longest: usize) -> Self {
        let mut head = vec![0; 12];
        if let Some(vlan) = vlan {
            head.extend(ether_type::VLAN.to_be_bytes());
            head.extend(vlan.to_be_bytes());
        }
        let (ether_type, packet): (u16, &[u8]) = match kind {
            // Hardware Ethernet, protocol IPv4, of 6 and 4 octets, a request.
            Kind::ArpRequest => (ether_type::ARP, &[0, 1, 8, 0, 6, 4, 0, 1]),
            // No options, not to be fragmented, 64 hops.
            Kind::UdpIpv4 => (ether_type::IPV4, &[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, UDP]),
            Kind::UdpIpv6 => (ether_type::IPV6, &[0x60, 0, 0, 0, 0, 0, UDP, 64]),
            Kind::Plain => (EXPERIMENTAL, &[]),
        };
        head.extend(ether_type.to_be_bytes());
        head.extend(packet);
        let at = header_octets(vlan);
        head.resize(at + kind.header_octets(), 0);
        let payload = longest.saturating_sub(head.len());
        let octets = head.into_iter().chain((0..payload).map(|n| n as u8)).collect();
        Self { octets, kind, at }
    }

    /// Write a frame of so many octets, whole but for the signature and the UDP checksum of IPv6.
    pub(super) fn write(&self, frame: &mut Frame, octets: usize, fields: &Fields) {
        frame.fill(&self.octets[..octets.min(self.octets.len())], OffloadHeader::NONE);
        let octets = frame.octets_mut();
        put(octets, 0, fields.destination.0);
        put(octets, 6, fields.source.0);
        let (at, packet_octets) = (self.at, octets.len().saturating_sub(self.at));
        let [source, destination] = [fields.source_ip as u32, fields.destination_ip as u32].map(u32::to_be_bytes);
        match self.kind {
            Kind::ArpRequest => {
                put(octets, at + 8, fields.sender.0);
                put(octets, at + 14, source);
                put(octets, at + 24, destination);
            }
            Kind::UdpIpv4 => {
                put(octets, at + 2, (packet_octets as u16).to_be_bytes());
                put(octets, at + 12, source);
                put(octets, at + 16, destination);
                let header = octets.get(at..at + 20).unwrap_or_default();
                let checksum = !folded(sum(header));
                put(octets, at + 10, checksum.to_be_bytes());
                put_udp(octets, at + 20, fields.source_port);
            }
            Kind::UdpIpv6 => {
                put(octets, at + 4, (packet_octets.saturating_sub(40) as u16).to_be_bytes());
                put(octets, at + 8, fields.source_ip.to_be_bytes());
                put(octets, at + 24, fields.destination_ip.to_be_bytes());
                put_udp(octets, at + 40, fields.source_port);
            }
            Kind::Plain => {}
        }
    }

    /// Write what covers the signature: the UDP checksum of IPv6 (RFC 8200 clause 8.1).
    pub(super) fn finish(&self, octets: &mut [u8]) {
        if self.kind != Kind::UdpIpv6 {
            return;
        }
        // The pseudo-header is the addresses, the length of UDP and its number; the checksum itself is 0 so far.
        let covered = octets.get(self.at + 8..).unwrap_or_default();
        let udp_octets = covered.len().saturating_sub(32) as u64;
        let checksum = match !folded(sum(covered) + udp_octets + u64::from(UDP)) {
            // 0 would say that there is none.
            0 => 0xffff,
            checksum => checksum,
        };
        put(octets, self.at + 46, checksum.to_be_bytes());
    }
}

/// A UDP header over the rest of the frame, its checksum still 0.
fn put_udp(octets: &mut [u8], at: usize, source_port: u16) {
    let udp_octets = octets.len().saturating_sub(at) as u16;
    let [s0, s1] = source_port.to_be_bytes();
    let [d0, d1] = DISCARD_PORT.to_be_bytes();
    let [l0, l1] = udp_octets.to_be_bytes();
    put::<UDP_OCTETS>(octets, at, [s0, s1, d0, d1, l0, l1, 0, 0]);
}

/// Write a field; not at all where the frame ends before it does, which a checked specification rules out.
#[inline]
fn put<const N: usize>(octets: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(place) = octets.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = field;
    }
}

/// The sum of 16-bit words (RFC 1071), two at a time, the end filled up with zeros. Of a frame it does not overflow.
fn sum(octets: &[u8]) -> u64 {
    let (pairs, rest) = octets.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let pair_sum = |sum: u64, pair: &[u8; 4]| sum + u64::from(u32::from_be_bytes(*pair));
    pairs.iter().fold(u32::from_be_bytes(last).into(), pair_sum)
}

/// A sum of words with the carries added in.
fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields = Fields {
        destination: MacAddr([2, 0, 0, 0, 0, 2]),
        source: MacAddr([2, 0, 0, 0, 0, 1]),
        sender: MacAddr([2, 0, 0, 0, 0, 3]),
        source_ip: 0xc612_0001,
        destination_ip: 0xc613_0001,
        source_port: 1024,
    };

    fn written(kind: Kind, vlan: Option<u16>, octets: usize) -> Vec<u8> {
        let (packet, mut frame) = (Packet::new(kind, vlan, 100), Frame::empty());
        packet.write(&mut frame, octets, &FIELDS);
        packet.finish(frame.octets_mut());
        frame.octets().to_vec()
    }

    #[test]
    fn an_arp_request_is_that_of_the_rfc() {
        let octets = written(Kind::ArpRequest, Some(7), 60);
        let expected = [
            &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7, 8, 6][..],
            &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 3, 198, 18, 0, 1, 0, 0, 0, 0, 0, 0, 198, 19, 0, 1],
            &(0..14).collect::<Vec<u8>>(),
        ];
        assert_eq!(octets, expected.concat());
    }

    #[test]
    fn a_plain_frame_is_a_header_and_octets_that_count_up() {
        let octets = written(Kind::Plain, None, 32);
        assert_eq!(octets[12..], [&[0x88, 0xb5][..], &(0..18).collect::<Vec<u8>>()].concat());
        assert_eq!(written(Kind::Plain, None, 2000).len(), 100);
    }

    /// RFC 1071's example, an odd end, and sums with carries.
    #[test]
    fn sums_are_of_ones_complement() {
        assert_eq!(folded(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
        assert_eq!(
            [&[][..], &[1], &[1, 2], &[1, 2, 3], &[1, 2, 3, 4, 5]].map(|octets| folded(sum(octets))),
            [0, 0x100, 0x102, 0x402, 0x906]
        );
        assert_eq!([0, 0xffff, 0x1_0000, 0x1_ffff, 0x1_ffff_ffff].map(folded), [0, 0xffff, 1, 1, 1]);
    }

    /// In one of 65,536 frames the sum is all ones, and the checksum would be 0: the source port makes each once.
    #[test]
    fn a_checksum_of_ipv6_is_never_none() {
        let (packet, mut frame) = (Packet::new(Kind::UdpIpv6, None, 80), Frame::empty());
        let mut ones = 0;
        for source_port in 0..=u16::MAX {
            packet.write(&mut frame, 80, &Fields { source_port, ..FIELDS });
            packet.finish(frame.octets_mut());
            let covered = &frame.octets()[14 + 8..];
            assert_eq!(folded(sum(covered) + 26 + 17), 0xffff, "{source_port}");
            assert_ne!(covered[38..40], [0, 0]);
            ones += u32::from(covered[38..40] == [0xff, 0xff]);
        }
        assert!(ones >= 1);
    }

    #[test]
    fn a_frame_too_short_for_its_headers_is_cut() {
        for kind in Kind::ALL {
            for octets in 0..80 {
                assert_eq!(written(kind, None, octets).len(), octets);
            }
        }
    }
}
