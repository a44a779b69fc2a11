//! What IPv4 packet does a frame carry, if it carries a well-formed one? (RFC 791, 3.1; RFC 1812, 5.2.2)
//!
//! Not done: options are carried along, not acted on.

use std::net::Ipv4Addr;

use frame::ethernet::{EthernetHeader, HEADER_OCTETS, ether_type};
use frame::offload::checksum::ipv4_header_checksum;
use frame::{DropReason, Frame};
use pnet::packet::Packet as _;
use pnet::packet::ip::IpNextHeaderProtocol;
use pnet::packet::ipv4::{Ipv4Flags, Ipv4Packet};

/// Octets of an IPv4 header without options.
pub(super) const IPV4_OCTETS: usize = 20;

/// A well-formed IPv4 packet in an untagged frame.
pub(super) struct Packet<'a> {
    header: Ipv4Packet<'a>,
    octets: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Read the packet. Octets behind its total length are padding and do not belong to it.
    ///
    /// # Errors
    /// `NotRoutable` for a frame that is tagged or carries no IPv4; `BadIpHeader` when version, header length,
    /// total length or checksum is wrong.
    pub(super) fn read(frame: &'a Frame) -> Result<Self, DropReason> {
        let ethernet = EthernetHeader::read(frame.octets()).ok_or(DropReason::NotRoutable)?;
        if ethernet.ether_type != ether_type::IPV4 {
            return Err(DropReason::NotRoutable);
        }
        let octets = frame.octets().get(HEADER_OCTETS..).ok_or(DropReason::BadIpHeader)?;
        Self::of_ip(octets).ok_or(DropReason::BadIpHeader)
    }

    /// Read the packet that `octets` begin with; `None` when it is malformed.
    pub(super) fn of_ip(octets: &'a [u8]) -> Option<Self> {
        let header = Ipv4Packet::new(octets)?;
        let (header_octets, total) =
            (usize::from(header.get_header_length()) * 4, usize::from(header.get_total_length()));
        let well_formed = header.get_version() == 4
            && header_octets >= IPV4_OCTETS
            && total >= header_octets
            && ipv4_header_checksum(octets.get(..header_octets)?) == header.get_checksum();
        let octets = octets.get(..total)?;
        well_formed.then_some(Self { header, octets })
    }

    /// The packet's octets, from its header to its total length.
    pub(super) fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Its header's octets, options included.
    pub(super) fn header(&self) -> &'a [u8] {
        self.octets.get(..self.header_octets()).unwrap_or_default()
    }

    /// What it carries: of the whole datagram, or of one fragment.
    pub(super) fn payload(&self) -> &'a [u8] {
        self.octets.get(self.header_octets()..).unwrap_or_default()
    }

    fn header_octets(&self) -> usize {
        usize::from(self.header.get_header_length()) * 4
    }

    pub(super) fn source(&self) -> Ipv4Addr {
        self.header.get_source()
    }

    pub(super) fn destination(&self) -> Ipv4Addr {
        self.header.get_destination()
    }

    pub(super) fn protocol(&self) -> IpNextHeaderProtocol {
        self.header.get_next_level_protocol()
    }

    pub(super) fn ttl(&self) -> u8 {
        self.header.get_ttl()
    }

    pub(super) fn identification(&self) -> u16 {
        self.header.get_identification()
    }

    /// Type of service: DSCP and ECN.
    pub(super) fn service(&self) -> (u8, u8) {
        (self.header.get_dscp(), self.header.get_ecn())
    }

    pub(super) fn dont_fragment(&self) -> bool {
        self.header.get_flags() & Ipv4Flags::DontFragment != 0
    }

    pub(super) fn more_fragments(&self) -> bool {
        self.header.get_flags() & Ipv4Flags::MoreFragments != 0
    }

    /// Where its payload begins in the datagram, in octets.
    pub(super) fn fragment_offset(&self) -> usize {
        usize::from(self.header.get_fragment_offset()) * 8
    }

    /// Is it a piece of a datagram?
    pub(super) fn is_fragment(&self) -> bool {
        self.more_fragments() || self.fragment_offset() != 0
    }
}

impl std::fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packet({:02x?})", self.header.packet().get(..IPV4_OCTETS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 28] = [
        0x45, 0, 0, 28, 0x1c, 0x46, 0x40, 0, 64, 1, 0x0a, 0x99, 10, 0, 0, 2, 10, 0, 0, 1, 8, 0, 0xf7, 0xfe, 0, 0, 0, 1,
    ];

    fn frame(ip: &[u8]) -> Frame {
        let mut octets = vec![2, 0x42, 10, 0, 0, 1, 2, 0x42, 10, 0, 0, 2, 8, 0];
        octets.extend(ip);
        Frame::from_octets(&octets)
    }

    fn changed(at: usize, octet: u8) -> [u8; 28] {
        let mut octets = PING;
        octets[at] = octet;
        let checksum = ipv4_header_checksum(&octets[..20]);
        octets[10..12].copy_from_slice(&checksum.to_be_bytes());
        octets
    }

    #[test]
    fn reads_a_packet_and_leaves_the_padding() {
        let mut padded = PING.to_vec();
        padded.resize(46, 0xee);
        let frame = frame(&padded);
        let packet = Packet::read(&frame).unwrap();
        assert_eq!((packet.octets(), packet.payload()), (&PING[..], &PING[20..]));
        assert_eq!((packet.ttl(), packet.identification()), (64, 0x1c46));
        assert!(packet.dont_fragment() && !packet.is_fragment());
    }

    #[test]
    fn refuses_what_is_malformed() {
        let mut bad_sum = PING;
        bad_sum[10] ^= 1;
        for (what, ip) in [
            ("nothing", vec![]),
            ("a header cut short", PING[..19].to_vec()),
            ("version 6", changed(0, 0x65).to_vec()),
            ("a header of 16 octets", changed(0, 0x44).to_vec()),
            ("a header longer than the packet", changed(0, 0x4f).to_vec()),
            ("a total length below the header's", changed(3, 19).to_vec()),
            ("a total length beyond the frame", changed(3, 29).to_vec()),
            ("a wrong checksum", bad_sum.to_vec()),
        ] {
            assert_eq!(Packet::read(&frame(&ip)).unwrap_err(), DropReason::BadIpHeader, "{what}");
        }
    }

    #[test]
    fn only_untagged_ipv4_is_routable() {
        for ether_type in [[0x81, 0], [0x86, 0xdd], [0x08, 0x06], [0, 46]] {
            let mut octets = frame(&PING).octets().to_vec();
            octets[12..14].copy_from_slice(&ether_type);
            assert_eq!(Packet::read(&Frame::from_octets(&octets)).unwrap_err(), DropReason::NotRoutable);
        }
        assert_eq!(Packet::read(&Frame::empty()).unwrap_err(), DropReason::NotRoutable);
    }
}
