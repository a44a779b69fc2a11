//! What stands in the first octets of a frame? (IEEE 802.3 clause 3, IEEE 802.1Q clause 9)
//!
//! Not done: LLC/SNAP is not looked into; a length field is reported as the ether type it stands in for.

use crate::MacAddr;

/// Octets of an untagged Ethernet header: destination, source, type.
pub const HEADER_OCTETS: usize = 14;
/// Octets of one 802.1Q tag.
pub const TAG_OCTETS: usize = 4;

/// Ether types the switch reads (IANA "IEEE 802 Numbers").
pub mod ether_type {
    /// Internet Protocol version 4.
    pub const IPV4: u16 = 0x0800;
    /// Address Resolution Protocol (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// IEEE 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// Internet Protocol version 6.
    pub const IPV6: u16 = 0x86dd;
}

/// The destination, source and ether type of a frame, read in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EthernetHeader {
    /// Where the frame wants to go.
    pub destination: MacAddr,
    /// Who says it sent it.
    pub source: MacAddr,
    /// The ether type behind the addresses; a tag's own type (0x8100, 0x88a8) when the frame is tagged.
    pub ether_type: u16,
}

impl EthernetHeader {
    /// Read the header of `octets`; `None` when there are fewer than 14.
    #[inline]
    pub fn read(octets: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_OCTETS] = octets.first_chunk()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        Some(Self {
            destination: MacAddr([d0, d1, d2, d3, d4, d5]),
            source: MacAddr([s0, s1, s2, s3, s4, s5]),
            ether_type: u16::from_be_bytes([t0, t1]),
        })
    }

    /// Write the header over the first 14 octets; `false`, and nothing written, when there are fewer.
    pub fn write(&self, octets: &mut [u8]) -> bool {
        let Some(header) = octets.first_chunk_mut::<HEADER_OCTETS>() else { return false };
        header[..6].copy_from_slice(&self.destination.0);
        header[6..12].copy_from_slice(&self.source.0);
        header[12..].copy_from_slice(&self.ether_type.to_be_bytes());
        true
    }
}

/// Destination and source of a frame, without looking further; zeros where there are fewer than 12 octets.
#[inline]
pub fn addresses(octets: &[u8]) -> [MacAddr; 2] {
    let Some([d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5]) = octets.first_chunk().copied() else {
        return [MacAddr::ZERO; 2];
    };
    [MacAddr([d0, d1, d2, d3, d4, d5]), MacAddr([s0, s1, s2, s3, s4, s5])]
}

/// Is this the ether type of a VLAN tag?
pub const fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, ether_type::VLAN | ether_type::SERVICE_VLAN)
}

/// The first ether type that is no VLAN tag, and where what it names begins.
/// `None` when the octets end inside the header or its tags.
pub fn payload(octets: &[u8]) -> Option<(u16, usize)> {
    let mut at = HEADER_OCTETS - 2;
    loop {
        let ether_type = u16::from_be_bytes(*octets.get(at..)?.first_chunk()?);
        if !is_tag(ether_type) {
            return Some((ether_type, at + 2));
        }
        at += TAG_OCTETS;
    }
}

/// Octets of Ethernet header and VLAN tags: what comes on top of the MTU, which counts IP octets only.
/// 14 when the frame is too short to tell.
pub fn header_octets(octets: &[u8]) -> usize {
    payload(octets).map_or(HEADER_OCTETS, |(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_tags_to_what_the_frame_carries() {
        let mut octets = vec![0; 12];
        octets.extend([0x88, 0xa8, 0, 10, 0x81, 0x00, 0, 20, 0x08, 0x06, 1, 2]);
        assert_eq!(payload(&octets), Some((ether_type::ARP, 22)));
        assert_eq!(header_octets(&octets), 22);
        assert_eq!(payload(&octets[..20]), None);
        assert_eq!(payload(&octets[..13]), None);
    }

    #[test]
    fn writes_what_it_reads() {
        let header =
            EthernetHeader { destination: MacAddr::BROADCAST, source: MacAddr([2, 0, 0, 0, 0, 1]), ether_type: 0x0806 };
        let mut octets = [0; 14];
        assert!(header.write(&mut octets));
        assert_eq!(EthernetHeader::read(&octets), Some(header));
        assert_eq!(EthernetHeader::read(&octets[..13]), None);
        assert!(!header.write(&mut octets[..13]));
    }
}
