//! What do the frames and names of the tests look like? Frames are built with pnet, which shares no code with what
//! reads them.
#![allow(clippy::unwrap_used, reason = "the buffers are large enough, or a test is wrong")]
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::borrow::Cow;
use std::net::Ipv4Addr;

use frame::step::{ArpKind, ArpOutcome, ArpStep, NeighborChange};
use frame::{FrameNumber, MacAddr, Millis, NetworkId, PortId, Step, Verdict};
use lanyard_trace::{Names, RawRecord, Snap};
use pnet::packet::arp::{ArpHardwareTypes, ArpOperation, MutableArpPacket};
use pnet::packet::ethernet::EtherTypes;
use pnet::packet::icmp::{IcmpTypes, echo_request};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::MutableIpv4Packet;

pub(crate) const LAN: NetworkId = NetworkId(1);
pub(crate) const DMZ: NetworkId = NetworkId(2);
pub(crate) const H1: PortId = PortId(1);
pub(crate) const H2: PortId = PortId(2);
pub(crate) const H3: PortId = PortId(3);
pub(crate) const H4: PortId = PortId(4);
pub(crate) const GATEWAY: MacAddr = MacAddr([0x02, 0x42, 10, 0, 0, 254]);

/// Host `n`'s address on the first network; host 4 is on the second.
pub(crate) fn ip(n: u8) -> Ipv4Addr {
    if n == 4 { Ipv4Addr::new(10, 1, 0, 4) } else { Ipv4Addr::new(10, 0, 0, n) }
}

pub(crate) fn mac(n: u8) -> MacAddr {
    MacAddr::from_ipv4(ip(n))
}

/// Ports and networks by name, MAC addresses of endpoints by name.
pub(crate) struct Lab;

impl Names for Lab {
    fn port(&self, port: PortId) -> Cow<'_, str> {
        format!("h{}", port.0).into()
    }

    fn network(&self, network: NetworkId) -> Cow<'_, str> {
        if network == LAN { "lan".into() } else { "dmz".into() }
    }

    fn mac(&self, network: NetworkId, address: MacAddr) -> Option<Cow<'_, str>> {
        let hosts = if network == LAN { 1..=3 } else { 4..=4 };
        if address == GATEWAY {
            return Some("gateway".into());
        }
        hosts.into_iter().find(|n| mac(*n) == address).map(|n| format!("h{n}").into())
    }
}

pub(crate) fn ethernet(destination: MacAddr, source: MacAddr, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    octets.extend(destination.0);
    octets.extend(source.0);
    octets.extend(ether_type.to_be_bytes());
    octets.extend(payload);
    octets.resize(octets.len().max(60), 0);
    octets
}

/// An ARP message from host `from` about host `to`: 1 is a request, 2 a reply.
pub(crate) fn arp(operation: u16, from: u8, to: u8) -> Vec<u8> {
    let destination = if operation == 1 { MacAddr::BROADCAST } else { mac(to) };
    ethernet(destination, mac(from), 0x0806, &arp_payload(operation, mac(from), ip(from), ip(to)))
}

pub(crate) fn arp_payload(operation: u16, sender_mac: MacAddr, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut octets = vec![0; 28];
    let mut arp = MutableArpPacket::new(&mut octets).unwrap();
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperation(operation));
    arp.set_sender_hw_addr(sender_mac.0.into());
    arp.set_sender_proto_addr(sender);
    arp.set_target_proto_addr(target);
    octets
}

/// A ping (or its echo) from host `from` to host `to`, in a frame to `destination`.
pub(crate) fn echo(reply: bool, from: u8, to: u8, destination: MacAddr) -> Vec<u8> {
    let mut octets = vec![0; 20 + 8 + 56];
    let len = octets.len() as u16;
    let mut packet = MutableIpv4Packet::new(&mut octets).unwrap();
    packet.set_version(4);
    packet.set_header_length(5);
    packet.set_total_length(len);
    packet.set_ttl(64);
    packet.set_next_level_protocol(IpNextHeaderProtocols::Icmp);
    packet.set_source(ip(from));
    packet.set_destination(ip(to));
    let mut icmp = echo_request::MutableEchoRequestPacket::new(&mut octets[20..]).unwrap();
    icmp.set_icmp_type(if reply { IcmpTypes::EchoReply } else { IcmpTypes::EchoRequest });
    icmp.set_identifier(7);
    icmp.set_sequence_number(1);
    ethernet(destination, mac(from), 0x0800, &octets)
}

/// Frame 7, at four milliseconds past 12:00:01, on the first network.
pub(crate) fn raw(port: Option<PortId>, octets: &[u8], steps: Vec<Step>, verdict: Verdict) -> RawRecord {
    RawRecord {
        number: FrameNumber(7),
        at_unix_ns: (12 * 3600 + 1) * 1_000_000_000 + 4_000_000,
        at: Millis(1004),
        network: LAN,
        port,
        octets: octets.len() as u32,
        snap: Snap::of(octets),
        steps,
        verdict,
        ..RawRecord::default()
    }
}

/// What the gateway made of an ARP message from host `from` about host `to`.
pub(crate) fn arp_step(kind: ArpKind, from: u8, to: u8, noted: NeighborChange, outcome: ArpOutcome) -> Step {
    Step::Arp(ArpStep { kind, sender_ip: ip(from), sender_mac: mac(from), target_ip: ip(to), noted, outcome })
}
