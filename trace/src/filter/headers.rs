//! What do a frame's headers say, as far as a filter asks? (IEEE 802.3 and 802.1Q, RFC 826, 791, 8200, 792, 4443, 9293,
//! 768)
//!
//! Read without an allocation, from any octets, cut off anywhere: what is not there answers no question. Only the first
//! [`SNAP_OCTETS`] are looked at, so that the engine, which has the whole frame, and the reader of a record, which has
//! not, never come to different answers.
//!
//! Not done: what is inside LLC, MPLS and tunnels.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use frame::MacAddr;
use frame::ethernet::{self, EthernetHeader, ether_type};

use super::syntax::{ArpWord, EtherHost, Family, Host, Icmp6Word, IcmpWord, Test, Transport, Way};
use crate::record::SNAP_OCTETS;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// What stands before a frame's packet. Most filters are answered by it, for a small part of what reading the packet costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    octets: &'a [u8],
    ethernet: Option<EthernetHeader>,
    /// Behind the tags; `None` where the octets end before.
    ether_type: Option<u16>,
    /// Where the packet begins.
    packet_at: usize,
}

impl<'a> Link<'a> {
    #[inline]
    pub(super) fn read(octets: &'a [u8]) -> Self {
        let octets = &octets[..octets.len().min(SNAP_OCTETS)];
        let ethernet = EthernetHeader::read(octets);
        let payload = ethernet.and_then(|_| ethernet::payload(octets));
        Self {
            octets,
            ethernet,
            ether_type: payload.map(|(ether_type, _)| ether_type),
            packet_at: payload.map_or(octets.len(), |(_, at)| at),
        }
    }

    /// Does the frame pass a test? `None` when that cannot be told without its packet, or not by its headers at all.
    #[inline]
    pub(super) fn pass(&self, test: &Test) -> Option<bool> {
        let destination = self.ethernet.map(|ethernet| ethernet.destination);
        let unless = |possible: bool| if possible { None } else { Some(false) };
        match test {
            Test::Arp(None) => Some(self.is_of(Family::Arp)),
            Test::Arp(Some(_)) => unless(self.is_of(Family::Arp)),
            Test::Icmp(_) => unless(self.is_of(Family::Ip)),
            Test::Icmp6(_) => unless(self.is_of(Family::Ip6)),
            Test::Ip => Some(self.is_of(Family::Ip)),
            Test::Ip6 => Some(self.is_of(Family::Ip6)),
            Test::Tcp | Test::Udp | Test::Port { .. } => unless(self.is_of(Family::Ip) || self.is_of(Family::Ip6)),
            Test::Host { family, host: Host::Ip(_), .. } | Test::Net { family, .. } => unless(self.is_of(*family)),
            Test::Vlan(id) => Some(self.tags().any(|(_, tag)| id.is_none_or(|id| id == tag))),
            Test::EtherProto(number) => {
                Some(self.ether_type == Some(*number) || self.tags().any(|(kind, _)| kind == *number))
            }
            Test::EtherHost { way, host: EtherHost::Mac(mac) } => Some(self.mac(*way, |address| address == *mac)),
            Test::Broadcast => Some(destination.is_some_and(MacAddr::is_broadcast)),
            Test::Multicast => Some(destination.is_some_and(MacAddr::is_group)),
            Test::Unicast => Some(destination.is_some_and(|destination| !destination.is_group())),
            _ => None,
        }
    }

    /// Has it a MAC address that is `wanted`?
    pub(super) fn mac(&self, way: Way, wanted: impl Fn(MacAddr) -> bool) -> bool {
        self.ethernet.is_some_and(|ethernet| way.either((ethernet.source, ethernet.destination), wanted))
    }

    /// Is it of a protocol that has such addresses?
    pub(super) fn is_of(&self, family: Family) -> bool {
        let own = match self.ether_type {
            Some(ether_type::IPV4) => Family::Ip,
            Some(ether_type::IPV6) => Family::Ip6,
            Some(ether_type::ARP) => Family::Arp,
            _ => return false,
        };
        family == Family::Any || family == own
    }

    /// The types and identifiers of its VLAN tags, outermost first.
    fn tags(&self) -> impl Iterator<Item = (u16, u16)> {
        let words = self.octets.get(ethernet::HEADER_OCTETS - 2..).unwrap_or_default();
        let tags = words
            .chunks_exact(ethernet::TAG_OCTETS)
            .map(|tag| (u16::from_be_bytes([tag[0], tag[1]]), u16::from_be_bytes([tag[2], tag[3]]) & 0x0fff));
        tags.take_while(|(kind, _)| ethernet::is_tag(*kind))
    }
}

/// The headers of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers<'a> {
    pub(super) link: Link<'a>,
    addresses: Option<(IpAddr, IpAddr)>,
    arp_operation: Option<u16>,
    protocol: Option<u8>,
    icmp_type: Option<u8>,
    ports: Option<(u16, u16)>,
}

impl<'a> Headers<'a> {
    pub(super) fn read(octets: &'a [u8]) -> Self {
        Self::behind(Link::read(octets))
    }

    /// Read the packet, too.
    pub(super) fn behind(link: Link<'a>) -> Self {
        let mut headers =
            Self { link, addresses: None, arp_operation: None, protocol: None, icmp_type: None, ports: None };
        let packet = link.octets.get(link.packet_at..).unwrap_or_default();
        match link.ether_type {
            Some(ether_type::ARP) => headers.arp(packet),
            Some(ether_type::IPV4) => headers.ipv4(packet),
            Some(ether_type::IPV6) => headers.ipv6(packet),
            _ => {}
        }
        headers
    }

    /// Hardware and protocol type, both lengths, operation, then the four addresses (RFC 826).
    fn arp(&mut self, arp: &[u8]) {
        let Some([0, 1, 8, 0, 6, 4, o0, o1]) = arp.first_chunk().copied() else { return };
        self.arp_operation = Some(u16::from_be_bytes([o0, o1]));
        let ip = |at: usize| arp.get(at..)?.first_chunk::<4>().map(|ip| IpAddr::V4(Ipv4Addr::from(*ip)));
        self.addresses = ip(14).zip(ip(24));
    }

    fn ipv4(&mut self, packet: &[u8]) {
        let Some(header) = packet.first_chunk::<20>() else { return };
        let header_octets = usize::from(header[0] & 15) * 4;
        if header[0] >> 4 != 4 || header_octets < 20 {
            return;
        }
        let ip = |at: usize| IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]));
        self.addresses = Some((ip(12), ip(16)));
        self.protocol = Some(header[9]);
        let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        if fragment_offset == 0 {
            self.transport(packet.get(header_octets..).unwrap_or_default());
        }
    }

    fn ipv6(&mut self, packet: &[u8]) {
        let Some(header) = packet.first_chunk::<40>() else { return };
        if header[0] >> 4 != 6 {
            return;
        }
        let ip = |at: usize| {
            let octets = header[at..].first_chunk::<16>();
            octets.map(|octets| IpAddr::V6(Ipv6Addr::from(*octets)))
        };
        self.addresses = ip(8).zip(ip(24));
        let (mut next, mut at) = (header[6], 40);
        // Each extension header moves `at` by 8 octets or more, so that the packet's end ends the loop.
        loop {
            let rest = packet.get(at..).unwrap_or_default();
            let length = |unit: usize, plus: usize| rest.get(1).map(|octets| (usize::from(*octets) + plus) * unit);
            let octets = match next {
                // Hop-by-hop options, routing, destination options (RFC 8200, 4.3 to 4.6).
                0 | 43 | 60 => length(8, 1),
                // Authentication (RFC 4302, 2.2).
                51 => length(4, 2),
                44 => Some(8),
                _ => {
                    self.protocol = Some(next);
                    self.transport(rest);
                    return;
                }
            };
            let (Some(octets), Some(following)) = (octets, rest.first()) else { return };
            if next == 44 && rest.get(2..4).is_none_or(|offset| offset[0] != 0 || offset[1] & 0xf8 != 0) {
                // A later fragment: its protocol is known, what the first one carried is not here.
                self.protocol = Some(*following);
                return;
            }
            next = *following;
            at += octets;
        }
    }

    fn transport(&mut self, octets: &[u8]) {
        match self.protocol {
            Some(ICMP | ICMP6) => self.icmp_type = octets.first().copied(),
            Some(TCP | UDP) => {
                self.ports = octets
                    .first_chunk()
                    .map(|[s0, s1, d0, d1]| (u16::from_be_bytes([*s0, *s1]), u16::from_be_bytes([*d0, *d1])));
            }
            _ => {}
        }
    }

    /// Does the frame pass a test that asks for its headers only? `None` for every other test.
    pub(super) fn pass(&self, test: &Test) -> Option<bool> {
        if let Some(answer) = self.link.pass(test) {
            return Some(answer);
        }
        Some(match test {
            Test::Arp(kind) => kind.is_none_or(|kind| self.is_arp(kind)),
            Test::Icmp(kind) => self.is_icmp(ICMP, kind.map(IcmpWord::number)),
            Test::Icmp6(kind) => self.is_icmp(ICMP6, kind.map(Icmp6Word::number)),
            Test::Tcp => self.protocol == Some(TCP),
            Test::Udp => self.protocol == Some(UDP),
            Test::Host { family, way, host: Host::Ip(ip) } => self.address(*family, *way, |address| address == *ip),
            Test::Net { family, way, net } => self.address(*family, *way, |address| net.contains(&address)),
            Test::Port { transport, way, first, last } => {
                let protocol = match transport {
                    Transport::Any => true,
                    Transport::Tcp => self.protocol == Some(TCP),
                    Transport::Udp => self.protocol == Some(UDP),
                };
                protocol && self.ports.is_some_and(|ports| way.either(ports, |port| (*first..=*last).contains(&port)))
            }
            _ => return None,
        })
    }

    /// Has it an IP or ARP address of that kind that is `wanted`?
    pub(super) fn address(&self, family: Family, way: Way, wanted: impl Fn(IpAddr) -> bool) -> bool {
        self.link.is_of(family) && self.addresses.is_some_and(|addresses| way.either(addresses, wanted))
    }

    fn is_arp(&self, kind: ArpWord) -> bool {
        let request = self.arp_operation == Some(1);
        let reply = self.arp_operation == Some(2);
        let from_nobody = |(sender, _): (IpAddr, IpAddr)| sender.is_unspecified();
        let of_itself = |(sender, target): (IpAddr, IpAddr)| sender == target && !sender.is_unspecified();
        match kind {
            ArpWord::Request => request,
            ArpWord::Reply => reply,
            ArpWord::Probe => request && self.addresses.is_some_and(from_nobody),
            ArpWord::Announcement => (request || reply) && self.addresses.is_some_and(of_itself),
        }
    }

    fn is_icmp(&self, protocol: u8, kind: Option<u8>) -> bool {
        self.protocol == Some(protocol) && kind.is_none_or(|kind| self.icmp_type == Some(kind))
    }
}

impl Way {
    /// Is the first, the second, or any of the two `wanted`?
    pub(super) fn either<T>(self, (source, destination): (T, T), wanted: impl Fn(T) -> bool) -> bool {
        match self {
            Self::Either => wanted(source) || wanted(destination),
            Self::Source => wanted(source),
            Self::Destination => wanted(destination),
        }
    }
}
