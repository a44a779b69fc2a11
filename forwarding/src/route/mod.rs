//! Where does a frame go that is addressed to the gateway? The decision of an IPv4 router (RFC 1812, 4 and 5).
//!
//! In the order in which a router asks, the first "no" decides:
//!
//! | question | if not |
//! | --- | --- |
//! | an IPv4 packet, untagged and well-formed? (5.2.2) | `NotRoutable`, `BadIpHeader` |
//! | from a station of the network it came by? (5.3.8) | `MartianSource` |
//! | to one station? (5.3.4, 5.3.5; RFC 2644 for directed broadcasts) | `NotUnicastIp` |
//! | to somebody else than the gateway? | ping is answered, anything else `GatewayNoService` |
//! | time to live above 1? (5.3.1) | `TtlExpired`, ICMP time exceeded |
//! | a route? (5.2.4) | `NoRoute`, ICMP network unreachable |
//! | into a network that this one may talk to? (5.3.9) | `NotPeered`, ICMP communication prohibited |
//! | not back to its own, where endpoints are kept apart? (5.3.9) | `Isolated`, ICMP communication prohibited |
//! | no larger than that network's MTU? (4.2.2.7; RFC 1191) | fragments; or `TooBigToRoute`, ICMP fragmentation needed |
//!
//! [`route()`] only decides, and changes nothing. What is forwarded is then changed by [`rewrite`].
//! Replies and errors are made in [`icmp`], as often as [`limit`] allows; [`fragment`] cuts, [`reassembly`]
//! puts together.
//!
//! Not done: IPv6, redirects (a packet for its own network is forwarded back into it), source routes and
//! all other IP options, group forwarding.

pub mod fragment;
pub mod icmp;
pub mod limit;
mod packet;
pub mod reassembly;
pub mod table;

use std::net::{IpAddr, Ipv4Addr};

use frame::ethernet::{EthernetHeader, HEADER_OCTETS, ether_type};
use frame::offload::checksum::update16;
use frame::{DropReason, Frame, MacAddr, NetworkId};
use ipnet::{IpNet, Ipv4Net};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::MutableIpv4Packet;

use icmp::{IcmpError, Unreachable};
use packet::Packet;
use table::RouteTable;

/// What a route leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextNetwork {
    /// The network.
    pub network: NetworkId,
    /// The station on it that takes the packet further; `None` when the route's prefix is the network's own
    /// subnet, so that the destination itself is the next hop.
    pub gateway: Option<IpAddr>,
    /// The network's MTU in IP octets.
    pub mtu: usize,
    /// The switch's own address on that network, if it is a gateway there.
    pub gateway_ip: Option<IpAddr>,
}

/// The gateway of the network a frame came from.
#[derive(Clone, Copy, Debug)]
pub struct Gateway<'a> {
    /// The network.
    pub network: NetworkId,
    /// Its subnet: where sources have to be.
    pub subnet: Ipv4Net,
    /// The gateway's address on it, which errors come from.
    pub address: Ipv4Addr,
    /// All routes of the switch.
    pub routes: &'a RouteTable<NextNetwork>,
    /// The networks this one may talk to, besides itself.
    pub peers: &'a [NetworkId],
    /// Does it keep its endpoints apart (`icc=false`)? Then nothing goes back into it.
    pub isolated: bool,
}

/// What the gateway does with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteDecision {
    /// Ping of the gateway: answer with [`icmp::write_echo_reply`].
    EchoReply,
    /// A fragment of an ICMP message to the gateway: give it to [`reassembly::Reassembly`].
    Reassemble,
    /// It goes on: [`rewrite`] it.
    Forward {
        /// Into this network.
        network: NetworkId,
        /// To this station of it.
        next_hop: IpAddr,
        /// Its time to live from there on.
        ttl: u8,
    },
    /// It goes on in pieces: [`rewrite`] it, cut a super-frame into segments, then [`fragment::Fragments`].
    Fragment {
        /// Into this network.
        network: NetworkId,
        /// To this station of it.
        next_hop: IpAddr,
        /// Its time to live from there on.
        ttl: u8,
        /// The network's MTU in IP octets.
        mtu: usize,
    },
    /// It goes nowhere.
    Refuse {
        /// Why.
        reason: DropReason,
        /// What its source is to be told, if the rate allows; `None` where RFC 1812 forbids it (4.3.2.7) or there
        /// is nothing to tell.
        icmp: Option<IcmpError>,
    },
}

/// Decide what becomes of a frame that is addressed to the gateway's MAC address.
pub fn route(frame: &Frame, gateway: &Gateway<'_>) -> RouteDecision {
    let packet = match Packet::read(frame) {
        Ok(packet) => packet,
        Err(reason) => return RouteDecision::Refuse { reason, icmp: None },
    };
    if !gateway.may_be_source(packet.source()) {
        return RouteDecision::Refuse { reason: DropReason::MartianSource, icmp: None };
    }
    let destination = packet.destination();
    if !is_unicast(destination) || is_edge_of(gateway.subnet, destination) {
        return RouteDecision::Refuse { reason: DropReason::NotUnicastIp, icmp: None };
    }
    if destination == gateway.address {
        return to_gateway(&packet);
    }
    let found = gateway.routes.lookup_route(IpAddr::V4(destination));
    let may_talk = |next: &NextNetwork| next.network == gateway.network || gateway.peers.contains(&next.network);
    if let Some((_, next)) = found
        && next.gateway_ip == Some(IpAddr::V4(destination))
        && may_talk(next)
    {
        return to_gateway(&packet);
    }
    if packet.ttl() <= 1 {
        return refuse(&packet, DropReason::TtlExpired, IcmpError::TimeExceeded);
    }
    match found {
        None => refuse(&packet, DropReason::NoRoute, IcmpError::Unreachable(Unreachable::Network)),
        Some((_, next)) if !may_talk(next) => {
            refuse(&packet, DropReason::NotPeered, IcmpError::Unreachable(Unreachable::Prohibited))
        }
        Some((_, next)) if next.network == gateway.network && gateway.isolated => {
            refuse(&packet, DropReason::Isolated, IcmpError::Unreachable(Unreachable::Prohibited))
        }
        Some((IpNet::V4(subnet), next)) if next.gateway.is_none() && is_edge_of(subnet, destination) => {
            RouteDecision::Refuse { reason: DropReason::NotUnicastIp, icmp: None }
        }
        Some((_, next)) => forward(frame, &packet, next),
    }
}

impl Gateway<'_> {
    /// May a station of the network have this address?
    fn may_be_source(&self, source: Ipv4Addr) -> bool {
        self.subnet.contains(&source)
            && is_unicast(source)
            && source != self.address
            && !is_edge_of(self.subnet, source)
    }
}

/// Is it the address of one station (RFC 1812, 5.3.7)?
fn is_unicast(address: Ipv4Addr) -> bool {
    !address.is_multicast() && !icmp::is_this_host(address)
}

/// Is it the subnet's own address or its broadcast address? A subnet of one or two addresses has neither
/// (RFC 3021).
fn is_edge_of(subnet: Ipv4Net, address: Ipv4Addr) -> bool {
    subnet.prefix_len() < 31 && (address == subnet.network() || address == subnet.broadcast())
}

/// The packet is for the gateway itself, which answers ping and nothing else.
fn to_gateway(packet: &Packet<'_>) -> RouteDecision {
    let reason = DropReason::GatewayNoService;
    match packet.protocol() {
        IpNextHeaderProtocols::Icmp if packet.is_fragment() => RouteDecision::Reassemble,
        IpNextHeaderProtocols::Icmp if icmp::is_echo_request(packet) => RouteDecision::EchoReply,
        IpNextHeaderProtocols::Icmp => RouteDecision::Refuse { reason, icmp: None },
        IpNextHeaderProtocols::Udp => refuse(packet, reason, IcmpError::Unreachable(Unreachable::Port)),
        _ => refuse(packet, reason, IcmpError::Unreachable(Unreachable::Protocol)),
    }
}

fn forward(frame: &Frame, packet: &Packet<'_>, next: &NextNetwork) -> RouteDecision {
    let next_hop = next.gateway.unwrap_or(IpAddr::V4(packet.destination()));
    let (network, ttl) = (next.network, packet.ttl() - 1);
    // A super-frame is as large as its longest segment; padding does not count.
    let octets = if frame.offload().is_gso() {
        frame.offload().wire_octets(frame.octets()).saturating_sub(HEADER_OCTETS)
    } else {
        packet.octets().len()
    };
    if octets <= next.mtu {
        RouteDecision::Forward { network, next_hop, ttl }
    } else if packet.dont_fragment() {
        let mtu = u16::try_from(next.mtu).unwrap_or(u16::MAX);
        refuse(packet, DropReason::TooBigToRoute, IcmpError::FragmentationNeeded { mtu })
    } else {
        RouteDecision::Fragment { network, next_hop, ttl, mtu: next.mtu }
    }
}

fn refuse(packet: &Packet<'_>, reason: DropReason, error: IcmpError) -> RouteDecision {
    RouteDecision::Refuse { reason, icmp: icmp::may_tell_of(packet).then_some(error) }
}

/// Send a routed frame on its way: from `source` (the gateway's MAC on the next network) to `destination` (the
/// next hop's), its time to live one lower and its header checksum with it (RFC 1624, equation 3; RFC 1812,
/// 4.2.2.5). The payload is not touched, a super-frame's segments inherit the header. `false`, and nothing
/// changed, for a frame that [`route()`] would not have forwarded.
pub fn rewrite(frame: &mut Frame, source: MacAddr, destination: MacAddr) -> bool {
    let octets = frame.octets_mut();
    if EthernetHeader::read(octets).is_none_or(|header| header.ether_type != ether_type::IPV4) {
        return false;
    }
    let Some(mut ip) = octets.get_mut(HEADER_OCTETS..).and_then(MutableIpv4Packet::new) else { return false };
    let Some(ttl) = ip.get_ttl().checked_sub(1).filter(|ttl| *ttl > 0) else { return false };
    let protocol = u16::from(ip.get_next_level_protocol().0);
    let word = |ttl: u8| u16::from(ttl) << 8 | protocol;
    ip.set_checksum(update16(ip.get_checksum(), word(ttl + 1), word(ttl)));
    ip.set_ttl(ttl);
    EthernetHeader { destination, source, ether_type: ether_type::IPV4 }.write(octets)
}

#[cfg(test)]
mod tests;
