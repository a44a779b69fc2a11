//! What does a frame say? One line of words from its first octets: Ethernet and 802.1Q (IEEE 802.3, 802.1Q), LLC with
//! spanning tree (IEEE 802.2, 802.1D 9.3), LLDP, ARP (RFC 826, 5227). IP and ICMP have files of
//! their own.
//!
//! Octets are whatever a container sent: every reader here takes anything, cut off anywhere, and none puts a text out
//! of the frame into the line.
//!
//! Not done: what TCP and UDP carry.

mod icmp;
mod ip;

use std::fmt::Write;

use etherparse::{ArpOperation, ArpPacketSlice};
use frame::MacAddr;
use frame::ethernet::{self, ether_type};

/// The largest value of the field behind the addresses that is a length, not an ether type (IEEE 802.3, 3.2.6).
const MAX_LENGTH: u16 = 1500;
/// Link Layer Discovery Protocol (IEEE 802.1AB).
const LLDP: u16 = 0x88cc;

/// What a frame of `octets` octets says whose first octets are `snap`: one line, no control character.
pub fn describe(snap: &[u8], octets: u32) -> String {
    if snap.len() < ethernet::HEADER_OCTETS {
        return format!("{octets} octets, too short for an Ethernet header");
    }
    let mut text = tags(snap);
    let Some((ether_type, at)) = ethernet::payload(snap) else {
        text.push_str("cut off inside a VLAN tag");
        return text;
    };
    let payload = &snap[at..];
    let payload_octets = octets.saturating_sub(at as u32);
    let carried = match ether_type {
        ether_type::ARP => arp(payload),
        ether_type::IPV4 => ip::describe(payload).unwrap_or_else(|| "IPv4, header malformed or cut off".to_owned()),
        ether_type::IPV6 => ip::describe(payload).unwrap_or_else(|| "IPv6, header malformed or cut off".to_owned()),
        LLDP => "LLDP announcement".to_owned(),
        0..=MAX_LENGTH => llc(payload, payload_octets),
        other => format!("ether type {other:#06x}, {payload_octets} octets"),
    };
    text + &carried
}

/// The frame's VLAN tags in words, outermost first, ending in ": "; empty for an untagged frame.
fn tags(snap: &[u8]) -> String {
    let mut text = String::new();
    let mut at = ethernet::HEADER_OCTETS - 2;
    while let Some([t0, t1, c0, c1]) = snap.get(at..).and_then(|rest| rest.first_chunk::<4>())
        && ethernet::is_tag(u16::from_be_bytes([*t0, *t1]))
    {
        let kind = if u16::from_be_bytes([*t0, *t1]) == ether_type::SERVICE_VLAN { "service vlan" } else { "vlan" };
        let control = u16::from_be_bytes([*c0, *c1]);
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{kind} {}", control & 0x0fff);
        if control >> 13 != 0 {
            let _ = write!(text, " priority {}", control >> 13);
        }
        at += ethernet::TAG_OCTETS;
    }
    if !text.is_empty() {
        text.push_str(": ");
    }
    text
}

/// An ARP message, with a probe and an announcement told apart as RFC 5227, 1.1 does.
fn arp(payload: &[u8]) -> String {
    let Ok(slice) = ArpPacketSlice::from_slice(payload) else { return "ARP, malformed or cut off".to_owned() };
    let Ok(arp) = slice.to_packet().try_eth_ipv4() else {
        return format!(
            "ARP between addresses of other kinds (hardware type {}, protocol {:#06x})",
            slice.hw_addr_type().0,
            slice.proto_addr_type().0
        );
    };
    let (sender, target) = (arp.sender_ipv4_addr(), arp.target_ipv4_addr());
    let sender_mac = MacAddr(arp.sender_mac);
    match arp.operation {
        ArpOperation::REQUEST if sender.is_unspecified() => format!("ARP probe who-has {target}"),
        ArpOperation::REQUEST | ArpOperation::REPLY if sender == target => {
            format!("ARP announcement {sender} is-at {sender_mac}")
        }
        ArpOperation::REQUEST => format!("ARP who-has {target} tell {sender}"),
        ArpOperation::REPLY => format!("ARP reply {sender} is-at {sender_mac}"),
        ArpOperation(other) => format!("ARP operation {other} from {sender}"),
    }
}

/// A frame with a length in place of an ether type: LLC (IEEE 802.2), and BPDUs and SNAP inside it.
fn llc(payload: &[u8], payload_octets: u32) -> String {
    match *payload {
        [0x42, 0x42, 0x03, ref bpdu @ ..] => stp(bpdu),
        [0xaa, 0xaa, 0x03, o0, o1, o2, t0, t1, ..] => {
            format!("SNAP organization {o0:02x}:{o1:02x}:{o2:02x} type 0x{t0:02x}{t1:02x}, {payload_octets} octets")
        }
        [dsap, ssap, ..] => format!("LLC {ssap:#04x} > {dsap:#04x}, {payload_octets} octets"),
        _ => format!("LLC, {payload_octets} octets"),
    }
}

/// A bridge protocol data unit (IEEE 802.1D-2004, 9.3): protocol (2 octets), version, type, flags, root (8), cost (4),
/// bridge (8).
fn stp(bpdu: &[u8]) -> String {
    let kind = match *bpdu {
        [0, 0, _, 0x00, ..] => "STP configuration BPDU",
        [0, 0, _, 0x02, ..] => "STP rapid BPDU",
        [0, 0, _, 0x80, ..] => return "STP topology change BPDU".to_owned(),
        _ => return "STP BPDU, malformed or cut off".to_owned(),
    };
    match (bridge_id(bpdu, 5), bridge_id(bpdu, 17)) {
        (Some(root), Some(bridge)) => format!("{kind} root {root} bridge {bridge}"),
        _ => format!("{kind}, cut off"),
    }
}

/// The bridge identifier at `at`: priority and MAC address.
fn bridge_id(bpdu: &[u8], at: usize) -> Option<String> {
    let [p0, p1, mac @ ..] = *bpdu.get(at..)?.first_chunk::<8>()?;
    Some(format!("{}/{}", u16::from_be_bytes([p0, p1]), MacAddr(mac)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [u8; 12] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0x42, 10, 0, 0, 1];

    fn frame(rest: &[u8]) -> Vec<u8> {
        [&ADDRESSES[..], rest].concat()
    }

    fn told(rest: &[u8]) -> String {
        let frame = frame(rest);
        describe(&frame, frame.len() as u32)
    }

    fn arp_octets(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let mut octets = vec![0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation, 2, 0x42, 10, 0, 0, 1];
        octets.extend(sender);
        octets.extend([0; 6]);
        octets.extend(target);
        octets
    }

    #[test]
    fn arp_of_every_kind() {
        let (one, two, none) = ([10, 0, 0, 1], [10, 0, 0, 2], [0; 4]);
        for (octets, expected) in [
            (arp_octets(1, one, two), "ARP who-has 10.0.0.2 tell 10.0.0.1"),
            (arp_octets(2, one, two), "ARP reply 10.0.0.1 is-at 02:42:0a:00:00:01"),
            (arp_octets(1, none, two), "ARP probe who-has 10.0.0.2"),
            (arp_octets(1, one, one), "ARP announcement 10.0.0.1 is-at 02:42:0a:00:00:01"),
            (arp_octets(2, one, one), "ARP announcement 10.0.0.1 is-at 02:42:0a:00:00:01"),
            (arp_octets(9, one, two), "ARP operation 9 from 10.0.0.1"),
            (arp_octets(1, one, two)[..20].to_vec(), "ARP, malformed or cut off"),
        ] {
            assert_eq!(told(&octets), expected);
        }
        let mut other = arp_octets(1, one, two);
        other[3] = 6;
        assert_eq!(told(&other), "ARP between addresses of other kinds (hardware type 6, protocol 0x0800)");
    }

    #[test]
    fn tags_come_before_what_they_carry() {
        let arp = arp_octets(1, [10, 0, 0, 1], [10, 0, 0, 2]);
        let one = [&[0x81, 0x00, 0x00, 0x0a][..], &arp].concat();
        assert_eq!(told(&one), "vlan 10: ARP who-has 10.0.0.2 tell 10.0.0.1");
        let two = [&[0x88, 0xa8, 0x00, 0x14][..], &[0x81, 0x00, 0xa0, 0x0a], &arp].concat();
        assert_eq!(told(&two), "service vlan 20, vlan 10 priority 5: ARP who-has 10.0.0.2 tell 10.0.0.1");
        let four = [&[0x81, 0x00, 0x00, 0x01].repeat(4)[..], &arp].concat();
        assert!(told(&four).ends_with("vlan 1: ARP who-has 10.0.0.2 tell 10.0.0.1"));
        assert_eq!(told(&[0x81, 0x00, 0x00]), "cut off inside a VLAN tag");
        assert_eq!(told(&[0x81, 0x00, 0x00, 0x0a]), "vlan 10: cut off inside a VLAN tag");
    }

    #[test]
    fn what_bridges_say_to_each_other() {
        let mut bpdu = vec![0, 38, 0x42, 0x42, 0x03, 0, 0, 0, 0, 0];
        bpdu.extend([0x80, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0x80, 0, 2, 0, 0, 0, 0, 2, 0x80, 1]);
        assert_eq!(told(&bpdu), "STP configuration BPDU root 32768/02:00:00:00:00:01 bridge 32768/02:00:00:00:00:02");
        bpdu[8] = 2;
        assert!(told(&bpdu).starts_with("STP rapid BPDU root"));
        assert_eq!(told(&bpdu[..20]), "STP rapid BPDU, cut off");
        assert_eq!(told(&bpdu[..7]), "STP BPDU, malformed or cut off");
        bpdu[8] = 0x80;
        assert_eq!(told(&bpdu), "STP topology change BPDU");
        assert_eq!(told(&[0x88, 0xcc, 2, 7]), "LLDP announcement");
    }

    #[test]
    fn what_nobody_here_reads() {
        assert_eq!(told(&[0x88, 0xb5, 1, 2, 3]), "ether type 0x88b5, 3 octets");
        assert_eq!(told(&[0x05, 0xdd]), "ether type 0x05dd, 0 octets");
        assert_eq!(told(&[0, 3, 0xe0, 0xf0, 3]), "LLC 0xf0 > 0xe0, 3 octets");
        assert_eq!(told(&[0, 0]), "LLC, 0 octets");
        assert_eq!(
            told(&[0, 8, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0]),
            "SNAP organization 00:00:0c type 0x2000, 8 octets"
        );
        assert_eq!(told(&[0x08, 0x00, 0x45]), "IPv4, header malformed or cut off");
        assert_eq!(told(&[0x86, 0xdd]), "IPv6, header malformed or cut off");
        assert_eq!(describe(&[1, 2, 3], 3), "3 octets, too short for an Ethernet header");
        assert_eq!(describe(&[], 0), "0 octets, too short for an Ethernet header");
        assert_eq!(describe(&frame(&[0x88, 0xb5]), 1514), "ether type 0x88b5, 1500 octets");
    }
}
