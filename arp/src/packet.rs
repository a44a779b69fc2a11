//! What does an ARP message say, and how is one built? (RFC 826; RFC 5227, 1.1, for probes and announcements)
//!
//! Only Ethernet and IPv4, requests and replies. Not done: RARP, `InARP`, ARP inside an 802.1Q tag (such a frame
//! belongs to a VLAN that is not the switch's own).

use std::net::Ipv4Addr;

use frame::ethernet::{EthernetHeader, HEADER_OCTETS, ether_type};
use frame::step::ArpKind;
use frame::{Frame, MacAddr, OffloadHeader};
use pnet::packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket};
use pnet::packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet::util::MacAddr as PnetMac;

/// Octets of an Ethernet frame of the least size, without FCS (IEEE 802.3, 3.2.8): what a message is padded to.
pub const FRAME_OCTETS: usize = 60;

const MAC_OCTETS: u8 = 6;
const IPV4_OCTETS: u8 = 4;

/// One ARP message, Ethernet and IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArpMessage {
    /// Request, reply, probe, announcement.
    pub kind: ArpKind,
    /// Sender hardware address (`ar$sha`), a station's address.
    pub sender_mac: MacAddr,
    /// Sender protocol address (`ar$spa`).
    pub sender_ip: Ipv4Addr,
    /// Target hardware address (`ar$tha`); means nothing in a request.
    pub target_mac: MacAddr,
    /// Target protocol address (`ar$tpa`).
    pub target_ip: Ipv4Addr,
}

/// Read the ARP message in the untagged Ethernet frame `octets`. `None` for any other frame, for another hardware or
/// protocol type, address length or operation, when octets are missing, and when the sender's MAC address is a group
/// or the zero address, which no station has.
pub fn read(octets: &[u8]) -> Option<ArpMessage> {
    if EthernetHeader::read(octets)?.ether_type != ether_type::ARP {
        return None;
    }
    let packet = ArpPacket::new(octets.get(HEADER_OCTETS..)?)?;
    if packet.get_hardware_type() != ArpHardwareTypes::Ethernet
        || packet.get_protocol_type() != EtherTypes::Ipv4
        || packet.get_hw_addr_len() != MAC_OCTETS
        || packet.get_proto_addr_len() != IPV4_OCTETS
    {
        return None;
    }
    let (sender_ip, target_ip) = (packet.get_sender_proto_addr(), packet.get_target_proto_addr());
    let kind = kind(packet.get_operation(), sender_ip, target_ip)?;
    let sender_mac = from_pnet(packet.get_sender_hw_addr());
    if sender_mac.is_group() || sender_mac.is_zero() {
        return None;
    }
    Some(ArpMessage { kind, sender_mac, sender_ip, target_mac: from_pnet(packet.get_target_hw_addr()), target_ip })
}

/// RFC 5227 (1.1) defines both probe and announcement as requests. Some stations announce by a reply instead (RFC 5227,
/// 3, says why they should not); it says the same.
fn kind(operation: ArpOperation, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Option<ArpKind> {
    let announces = sender_ip == target_ip && !sender_ip.is_unspecified();
    match operation {
        ArpOperations::Request if sender_ip.is_unspecified() => Some(ArpKind::Probe),
        ArpOperations::Request | ArpOperations::Reply if announces => Some(ArpKind::Announcement),
        ArpOperations::Request => Some(ArpKind::Request),
        ArpOperations::Reply => Some(ArpKind::Reply),
        _ => None,
    }
}

/// Fill `out` with a broadcast request: who has `target_ip`? Tell `sender_ip` at `sender_mac`.
pub fn request(out: &mut Frame, sender_mac: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) {
    let (sender, target) = ((sender_mac, sender_ip), (MacAddr::ZERO, target_ip));
    build(out, MacAddr::BROADCAST, ArpOperations::Request, sender, target);
}

/// Fill `out` with a request to `target_mac` alone: do you still have `target_ip`? (RFC 1122, 2.3.2.1, "unicast
/// poll")
pub fn unicast_request(
    out: &mut Frame,
    sender_mac: MacAddr,
    sender_ip: Ipv4Addr,
    target_mac: MacAddr,
    target_ip: Ipv4Addr,
) {
    build(out, target_mac, ArpOperations::Request, (sender_mac, sender_ip), (MacAddr::ZERO, target_ip));
}

/// Fill `out` with a broadcast announcement: `ip` is at `mac` (RFC 5227, 2.3).
pub fn announcement(out: &mut Frame, mac: MacAddr, ip: Ipv4Addr) {
    request(out, mac, ip, ip);
}

/// Fill `out` with a reply to `target_mac` alone: `sender_ip` is at `sender_mac`.
pub fn reply(out: &mut Frame, sender_mac: MacAddr, sender_ip: Ipv4Addr, target_mac: MacAddr, target_ip: Ipv4Addr) {
    build(out, target_mac, ArpOperations::Reply, (sender_mac, sender_ip), (target_mac, target_ip));
}

fn build(
    out: &mut Frame,
    destination: MacAddr,
    operation: ArpOperation,
    sender: (MacAddr, Ipv4Addr),
    target: (MacAddr, Ipv4Addr),
) {
    out.fill(&[0; FRAME_OCTETS], OffloadHeader::NONE);
    let (header, message) = out.octets_mut().split_at_mut(HEADER_OCTETS);
    if let Some(mut ethernet) = MutableEthernetPacket::new(header) {
        ethernet.set_destination(to_pnet(destination));
        ethernet.set_source(to_pnet(sender.0));
        ethernet.set_ethertype(EtherTypes::Arp);
    }
    if let Some(mut arp) = MutableArpPacket::new(message) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(MAC_OCTETS);
        arp.set_proto_addr_len(IPV4_OCTETS);
        arp.set_operation(operation);
        arp.set_sender_hw_addr(to_pnet(sender.0));
        arp.set_sender_proto_addr(sender.1);
        arp.set_target_hw_addr(to_pnet(target.0));
        arp.set_target_proto_addr(target.1);
    }
}

fn from_pnet(mac: PnetMac) -> MacAddr {
    MacAddr(mac.octets())
}

fn to_pnet(mac: MacAddr) -> PnetMac {
    PnetMac::from(mac.0)
}

#[cfg(test)]
mod tests {
    use etherparse::{ArpOperation as Operation, NetSlice, SlicedPacket};

    use super::*;

    /// `arping -c 1 10.0.0.2` from 10.0.0.1, as a wire-mode TAP shows it.
    const REQUEST: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x42, 0x0a, 0x00, 0x00, 0x01, 0x08, 0x06, // Ethernet
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // hardware, protocol, lengths, operation
        0x02, 0x42, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x01, // sender
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x02, // target
    ];
    const H1: MacAddr = MacAddr([0x02, 0x42, 0x0a, 0, 0, 1]);
    const H2: MacAddr = MacAddr([0x02, 0x42, 0x0a, 0, 0, 2]);
    const IP1: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const IP2: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn changed(changes: &[(usize, u8)]) -> Vec<u8> {
        let mut octets = REQUEST.to_vec();
        for (at, value) in changes {
            octets[*at] = *value;
        }
        octets
    }

    #[test]
    fn reads_a_request() {
        let expected = ArpMessage {
            kind: ArpKind::Request,
            sender_mac: H1,
            sender_ip: IP1,
            target_mac: MacAddr::ZERO,
            target_ip: IP2,
        };
        assert_eq!(read(&REQUEST), Some(expected));
        assert_eq!(read(&[&REQUEST[..], &[0; 18]].concat()), Some(expected), "padding means nothing");
    }

    #[test]
    fn tells_the_kinds_apart() {
        let operation = 21;
        let zero_sender = [(28, 0), (31, 0)];
        for (what, changes, kind) in [
            ("request", vec![], ArpKind::Request),
            ("reply", vec![(operation, 2)], ArpKind::Reply),
            ("probe", zero_sender.to_vec(), ArpKind::Probe),
            ("probe of nothing", vec![(28, 0), (31, 0), (38, 0), (41, 0)], ArpKind::Probe),
            ("announcement", vec![(41, 1)], ArpKind::Announcement),
            ("gratuitous reply", vec![(41, 1), (operation, 2)], ArpKind::Announcement),
            ("reply by nobody", vec![(28, 0), (31, 0), (operation, 2)], ArpKind::Reply),
            ("reply by nobody to nobody", vec![(28, 0), (31, 0), (38, 0), (41, 0), (operation, 2)], ArpKind::Reply),
        ] {
            assert_eq!(read(&changed(&changes)).map(|message| message.kind), Some(kind), "{what}");
        }
    }

    #[test]
    fn refuses_what_is_no_arp_of_ethernet_and_ipv4() {
        let tagged = [&REQUEST[..12], &[0x81, 0x00, 0x00, 0x0a], &REQUEST[12..]].concat();
        for (what, octets) in [
            ("nothing", vec![]),
            ("short Ethernet header", REQUEST[..13].to_vec()),
            ("header only", REQUEST[..14].to_vec()),
            ("one octet short", REQUEST[..41].to_vec()),
            ("tagged", tagged),
            ("IPv4", changed(&[(13, 0x00)])),
            ("RARP", changed(&[(12, 0x80), (13, 0x35)])),
            ("hardware type 0", changed(&[(15, 0)])),
            ("hardware type 257", changed(&[(14, 1)])),
            ("protocol type IPv6", changed(&[(16, 0x86), (17, 0xdd)])),
            ("hardware length 8", changed(&[(18, 8)])),
            ("hardware length 0", changed(&[(18, 0)])),
            ("protocol length 16", changed(&[(19, 16)])),
            ("operation 0", changed(&[(21, 0)])),
            ("operation 3", changed(&[(21, 3)])),
            ("InARP request", changed(&[(21, 8)])),
            ("operation 257", changed(&[(20, 1)])),
            ("sender is a group", changed(&[(22, 0x03)])),
            ("sender is everybody", changed(&[22, 23, 24, 25, 26, 27].map(|at| (at, 0xff)))),
            ("sender is nobody", changed(&[22, 23, 24, 27].map(|at| (at, 0)))),
        ] {
            assert_eq!(read(&octets), None, "{what}");
        }
    }

    #[test]
    fn builds_the_octets_it_reads() {
        let mut frame = Frame::from_octets(&[0xee; 1500]);
        request(&mut frame, H1, IP1, IP2);
        assert_eq!(frame.octets(), [&REQUEST[..], &[0; 18]].concat());
        assert!(frame.offload().is_finished());

        unicast_request(&mut frame, H1, IP1, H2, IP2);
        assert_eq!(frame.octets()[..6], H2.0);
        assert_eq!(frame.octets()[6..42], REQUEST[6..]);

        announcement(&mut frame, H1, IP1);
        assert_eq!(frame.octets()[..42], changed(&[(41, 1)]));
    }

    #[test]
    fn an_independent_reader_agrees_with_a_reply() {
        let mut frame = Frame::empty();
        reply(&mut frame, H2, IP2, H1, IP1);
        assert_eq!(frame.len(), FRAME_OCTETS);
        let sliced = SlicedPacket::from_ethernet(frame.octets()).unwrap();
        let Some(NetSlice::Arp(arp)) = sliced.net else { panic!("no ARP") };
        let arp = arp.to_packet().try_eth_ipv4().unwrap();
        assert_eq!(arp.operation, Operation::REPLY);
        assert_eq!((MacAddr(arp.sender_mac), Ipv4Addr::from(arp.sender_ipv4)), (H2, IP2));
        assert_eq!((MacAddr(arp.target_mac), Ipv4Addr::from(arp.target_ipv4)), (H1, IP1));
        assert_eq!(
            EthernetHeader::read(frame.octets()).map(|header| (header.destination, header.source)),
            Some((H1, H2))
        );
    }
}
