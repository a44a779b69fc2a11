//! Does a frame claim an address that is another's? Port security: the control side knows whose each address of the
//! network is, and a guarded port may use its own only (RFC 826 and RFC 5227, which trust whoever speaks; RFC 4861, 11.1,
//! and RFC 6620, which say what comes of that for neighbor discovery; RFC 7513, source address validation).
//!
//! *Protected* addresses are those of the network's subnets, and single ones besides (the gateway's, where it is in none).
//!
//! | what | refused when | as |
//! | --- | --- | --- |
//! | ARP, whatever its operation | its sender IP address is protected and not the port's own | `SpoofedArp` |
//! | | its sender IP address is the port's own, and its sender MAC address is not, or not the frame's source | `SpoofedArp` |
//! | IPv4, IPv6 | its source is protected and not the port's own | `SpoofedIp` |
//! | neighbor advertisement | its target is protected and not the port's own | `SpoofedArp` |
//! | neighbor advertisement, solicitation | it gives the port's own IP address another MAC address than the port's own | `SpoofedArp` |
//!
//! **What passes, by choice.** ARP probes and IPv4 sources of 0.0.0.0 (DHCP; RFC 5227, 2.1.1), IPv6 sources of `::`
//! (duplicate address detection). Addresses that are not protected: a container may route for others, have a network
//! of its own inside, use 169.254.0.0/16 or its link-local IPv6 address. A source MAC address that nobody has: a nested
//! bridge. One that another port has is refused where it would be learned ([`mod@crate::learn`]).
//!
//! **Tags.** Behind 802.1Q tags, however many: Linux takes off any number that name VLAN 0 and reads what follows.
//! **Extension headers.** ND is looked for behind any number of them, too, and in first fragments; the other pieces of a
//! fragmented message are nobody's to read (RFC 6980). **Cut short.** What is too short to tell a receiver the address in
//! question cannot deceive it, and passes.
//!
//! Not done: DHCP servers (RFC 7610), router advertisements (RFC 6105) and redirects from the wrong port, except for those
//! that claim a protected source; ARP behind LLC/SNAP, which Linux does not read; the addresses inside tunnels.

use std::net::IpAddr;

use frame::ethernet::{self, EthernetHeader, HEADER_OCTETS, ether_type};
use frame::{DropReason, Frame, MacAddr};
use ipnet::IpNet;

/// The addresses that one port may use and those that it may not. Addresses are kept as numbers, prefixes with their masks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guard {
    /// The first of the port's own IPv4 addresses, which nearly every packet has; 0.0.0.0, which may pass too, for none.
    first4: u32,
    mac: MacAddr,
    own4: Box<[u32]>,
    own6: Box<[u128]>,
    protected4: Box<[(u32, u32)]>,
    protected6: Box<[(u128, u128)]>,
}

impl Guard {
    /// A guard on the port of an endpoint with this MAC address and these IP addresses; `protected` are the network's
    /// subnets, and as prefixes of full length whatever else is somebody's (the gateway's link-local address).
    ///
    /// Two kinds of subnet protect nothing, since addresses in them are not for the control side to give: those of prefix
    /// length 0, which a network has that leaves addresses to others, and those within `fe80::/10`.
    pub fn new(mac: MacAddr, own: &[IpAddr], protected: &[IpNet]) -> Self {
        let own4 = own.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(u32::from(*ip)) } else { None });
        let own4: Box<[u32]> = own4.collect();
        let own6 = own.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(u128::from(*ip)) } else { None });
        let given = || protected.iter().filter(|net| net.prefix_len() > 0);
        let protected4 = given().filter_map(|net| match net {
            IpNet::V4(net) => Some((u32::from(net.network()), u32::from(net.netmask()))),
            IpNet::V6(_) => None,
        });
        let protected6 = given().filter_map(|net| match net {
            IpNet::V6(net) if net.prefix_len() < 128 && net.network().is_unicast_link_local() => None,
            IpNet::V6(net) => Some((u128::from(net.network()), u128::from(net.netmask()))),
            IpNet::V4(_) => None,
        });
        Self {
            first4: own4.first().copied().unwrap_or(0),
            mac,
            own4,
            own6: own6.collect(),
            protected4: protected4.collect(),
            protected6: protected6.collect(),
        }
    }

    /// Whose is this IPv4 address?
    fn whose4(&self, address: u32) -> Whose {
        let protected = || self.protected4.iter().any(|(net, mask)| address & mask == *net);
        if self.own4.contains(&address) {
            Whose::Own
        } else if address != 0 && protected() {
            Whose::Anothers
        } else {
            Whose::Nobodys
        }
    }

    /// Whose is this IPv6 address?
    fn whose6(&self, address: u128) -> Whose {
        let protected = || self.protected6.iter().any(|(net, mask)| address & mask == *net);
        if self.own6.contains(&address) {
            Whose::Own
        } else if address != 0 && protected() {
            Whose::Anothers
        } else {
            Whose::Nobodys
        }
    }
}

/// Whose an address is, as far as the guard of one port knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// The port's own.
    Own,
    /// Protected, and not the port's own.
    Anothers,
    /// Not protected.
    Nobodys,
}

/// May a frame with this header, from the port that `guard` guards, say what it says?
///
/// # Errors
/// `SpoofedArp`, `SpoofedIp`.
#[inline]
pub fn guard(frame: &Frame, header: &EthernetHeader, guard: &Guard) -> Result<(), DropReason> {
    let octets = frame.octets();
    if header.ether_type == ether_type::IPV4 && u32_at(octets, HEADER_OCTETS + SOURCE4_AT) == Some(guard.first4) {
        return Ok(());
    }
    guard_further(octets, header, guard)
}

/// It is no untagged packet from the port's first IPv4 address.
#[inline(never)]
fn guard_further(octets: &[u8], header: &EthernetHeader, guard: &Guard) -> Result<(), DropReason> {
    let (ether_type, at) = if ethernet::is_tag(header.ether_type) {
        let Some(inner) = ethernet::payload(octets) else { return Ok(()) };
        inner
    } else {
        (header.ether_type, HEADER_OCTETS)
    };
    let payload = octets.get(at..).unwrap_or_default();
    match ether_type {
        ether_type::IPV4 => guard_ipv4(payload, guard),
        ether_type::IPV6 => guard_ipv6(payload, guard),
        ether_type::ARP => guard_arp(payload, header.source, guard),
        _ => Ok(()),
    }
}

/// Where an IPv4 header has its source, and how long it is at least (RFC 791, 3.1).
const SOURCE4_AT: usize = 12;
const IPV4_OCTETS: usize = 20;

fn guard_ipv4(packet: &[u8], guard: &Guard) -> Result<(), DropReason> {
    let Some(source) = u32_at(packet, SOURCE4_AT).filter(|_| packet.len() >= IPV4_OCTETS) else { return Ok(()) };
    refuse_if(guard.whose4(source) == Whose::Anothers, DropReason::SpoofedIp)
}

/// Hardware type and operation are not looked at: Linux reads Ethernet ARP marked as IEEE 802's, and a receiver may note
/// the sender before it looks at the operation.
fn guard_arp(message: &[u8], source: MacAddr, guard: &Guard) -> Result<(), DropReason> {
    let [_, _, protocol1, protocol2, 6, 4, ..] = *message else { return Ok(()) };
    let (Some(sender_mac), Some(sender_ip)) = (mac_at(message, 8), u32_at(message, 14)) else { return Ok(()) };
    if u16::from_be_bytes([protocol1, protocol2]) != ether_type::IPV4 {
        return Ok(());
    }
    let spoofed = match guard.whose4(sender_ip) {
        Whose::Own => sender_mac != guard.mac || sender_mac != source,
        Whose::Anothers => true,
        Whose::Nobodys => false,
    };
    refuse_if(spoofed, DropReason::SpoofedArp)
}

fn guard_ipv6(packet: &[u8], guard: &Guard) -> Result<(), DropReason> {
    let Some(source) = u128_at(packet, 8).filter(|_| packet.len() >= IPV6_OCTETS) else { return Ok(()) };
    let source = guard.whose6(source);
    refuse_if(source == Whose::Anothers, DropReason::SpoofedIp)?;
    icmpv6(packet).map_or(Ok(()), |message| guard_neighbor_discovery(message, source, guard))
}

/// Octets of the fixed IPv6 header (RFC 8200, 3).
const IPV6_OCTETS: usize = 40;

/// What an `ICMPv6` message says of neighbors (RFC 4861, 4.3 and 4.4); `source` is whose its IPv6 source is.
fn guard_neighbor_discovery(message: &[u8], source: Whose, guard: &Guard) -> Result<(), DropReason> {
    const SOLICITATION: u8 = 135;
    const ADVERTISEMENT: u8 = 136;
    const SOURCE_LINK_LAYER: u8 = 1;
    const TARGET_LINK_LAYER: u8 = 2;
    const OPTIONS_AT: usize = 24;
    let (told, option) = match message.first() {
        Some(&SOLICITATION) => (source, SOURCE_LINK_LAYER),
        Some(&ADVERTISEMENT) => (u128_at(message, 8).map_or(Whose::Nobodys, |ip| guard.whose6(ip)), TARGET_LINK_LAYER),
        _ => return Ok(()),
    };
    let spoofed = match told {
        Whose::Own => options(message.get(OPTIONS_AT..).unwrap_or_default())
            .any(|told| told.first() == Some(&option) && mac_at(told, 2).is_some_and(|mac| mac != guard.mac)),
        Whose::Anothers => true,
        Whose::Nobodys => false,
    };
    refuse_if(spoofed, DropReason::SpoofedArp)
}

/// The options of a neighbor discovery message, each with its type and length (RFC 4861, 4.6).
fn options(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = 8 * usize::from(*octets.get(1)?);
        let (option, rest) = octets.split_at_checked(length).filter(|_| length > 0)?;
        octets = rest;
        Some(option)
    })
}

/// The `ICMPv6` message in a packet, behind its extension headers (RFC 8200, 4; IANA "IPv6 Extension Header Types"); `None`
/// when it carries none, or what follows belongs to a later fragment. Each turn leaves at least eight octets behind.
fn icmpv6(packet: &[u8]) -> Option<&[u8]> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const ICMPV6: u8 = 58;
    const DESTINATION: u8 = 60;
    const MOBILITY: u8 = 135;
    const HIP: u8 = 139;
    const SHIM6: u8 = 140;
    let mut next = *packet.get(6)?;
    let mut rest = packet.get(IPV6_OCTETS..)?;
    loop {
        let octets = match next {
            ICMPV6 => return Some(rest),
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 => 8 + 8 * usize::from(*rest.get(1)?),
            AUTHENTICATION => 8 + 4 * usize::from(*rest.get(1)?),
            FRAGMENT if u16_at(rest, 2)? >> 3 == 0 => 8,
            _ => return None,
        };
        next = *rest.first()?;
        rest = rest.get(octets..)?;
    }
}

fn refuse_if(spoofed: bool, reason: DropReason) -> Result<(), DropReason> {
    if spoofed { Err(reason) } else { Ok(()) }
}

#[inline]
fn octets_at<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..)?.first_chunk().copied()
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets_at(octets, at).map(u16::from_be_bytes)
}

#[inline]
fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets_at(octets, at).map(u32::from_be_bytes)
}

fn u128_at(octets: &[u8], at: usize) -> Option<u128> {
    octets_at(octets, at).map(u128::from_be_bytes)
}

fn mac_at(octets: &[u8], at: usize) -> Option<MacAddr> {
    octets_at(octets, at).map(MacAddr)
}

#[cfg(test)]
mod tests;
