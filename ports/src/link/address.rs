//! Which addresses, routes and namespace numbers are there, and how are they added? (`RTM_*ADDR`, `RTM_*ROUTE`,
//! `RTM_*NSID`; `linux/if_addr.h`, `linux/rtnetlink.h`, `linux/net_namespace.h`)

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Links;
use crate::netlink::{NetlinkError, Refusal, Reply, attributes, i32_of, ip_of, u32_of};
use crate::netns::Namespace;

/// Octets of `struct ifaddrmsg`.
const IFADDR_OCTETS: usize = 8;
/// Octets of `struct rtmsg`.
const RTMSG_OCTETS: usize = 12;
/// Octets of `struct rtgenmsg`, padded.
const RTGEN_OCTETS: usize = 4;
/// `NETNSA_NSID` (`linux/net_namespace.h`).
const NETNSA_NSID: u16 = 1;
/// `NETNSA_NSID_NOT_ASSIGNED`.
const NOT_ASSIGNED: i32 = -1;

/// A unicast route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The network and its prefix length; `0.0.0.0/0` or `::/0` for the default route.
    pub destination: (IpAddr, u8),
    /// The next hop; `None` when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface; `None` for a route with several next hops.
    pub index: Option<u32>,
}

impl Links {
    /// Give the interface an address with its prefix length. One that is there already is fine. No duplicate address
    /// detection is made for IPv6: the switch hands out each address once, and a container should not wait a second for
    /// its own.
    ///
    /// # Errors
    /// There is no such interface; a prefix longer than the address; the same address with another prefix length
    /// (`AlreadyExists`, IPv6); no `CAP_NET_ADMIN`.
    pub fn add_address(&self, index: u32, (address, prefix): (IpAddr, u8)) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::NewAddress(address_message(index, address, prefix));
        let added = self.connection().request(message, NLM_F_CREATE | NLM_F_EXCL);
        match added {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is(libc::EEXIST) && self.addresses(index)?.contains(&(address, prefix)) => Ok(()),
            Err(refusal) => Err(self.named(index, |name| format!("add {address}/{prefix} to {name}"))(refusal)),
        }
    }

    /// The interface's own addresses and their prefix lengths.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn addresses(&self, index: u32) -> Result<Vec<(IpAddr, u8)>, NetlinkError> {
        // The kernel's filter by interface needs strict checking, which is younger than what is supported: filtered
        // here.
        let replies = self.connection().dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()));
        let replies = replies.map_err(self.named(index, |name| format!("list the addresses of {name}")))?;
        Ok(replies.iter().filter_map(|reply| address_of(&reply.payload, index)).collect())
    }

    /// Send everything that has no better route to `gateway`, which must be reachable on this interface.
    ///
    /// # Errors
    /// As [`Links::add_route`].
    pub fn add_default_route(&self, gateway: IpAddr, index: u32) -> Result<(), NetlinkError> {
        self.add_route((unspecified_like(gateway), 0), Some(gateway), index)
    }

    /// Send what is for `destination` to `gateway`, or onto the link if there is none. A route that is there already is
    /// fine.
    ///
    /// # Errors
    /// Another route to the same destination (`AlreadyExists`); the interface is down or the gateway not reachable
    /// there (`NetworkDown`, `NetworkUnreachable`); host bits in the destination (`EINVAL`); no `CAP_NET_ADMIN`.
    pub fn add_route(
        &self,
        destination: (IpAddr, u8),
        gateway: Option<IpAddr>,
        index: u32,
    ) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::NewRoute(route_message(destination, gateway, index));
        let added = self.connection().request(message, NLM_F_CREATE | NLM_F_EXCL);
        let wanted = Route { destination, gateway, index: Some(index) };
        match added {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is(libc::EEXIST) && self.routes()?.contains(&wanted) => Ok(()),
            Err(refusal) => {
                let (network, prefix) = destination;
                let via = gateway.map_or(String::new(), |gateway| format!(" via {gateway}"));
                Err(self.named(index, |name| format!("add the route {network}/{prefix}{via} on {name}"))(refusal))
            }
        }
    }

    /// The unicast routes of the main table, IPv4 and IPv6.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn routes(&self) -> Result<Vec<Route>, NetlinkError> {
        let replies = self
            .connection()
            .dump(&RouteNetlinkMessage::GetRoute(RouteMessage::default()))
            .map_err(|refusal| refusal.while_trying_to("list the routes"))?;
        Ok(replies.iter().filter_map(|reply| route_of(&reply.payload)).collect())
    }

    /// The number under which this namespace knows `other`; it is given one if it has none. Only then does a
    /// [`crate::monitor::Monitor`] of this namespace hear of what happens there. A number costs nothing, ends with the
    /// other namespace and does not keep it alive.
    ///
    /// # Errors
    /// No `CAP_NET_ADMIN` in this namespace.
    pub fn nsid_of(&self, other: &Namespace) -> Result<i32, NetlinkError> {
        let number = self.known_nsid(other).and_then(|known| match known {
            Some(nsid) => Ok(nsid),
            None => self.assign_nsid(other),
        });
        number.map_err(|refusal| {
            let name = other.identity().map_or_else(|_| "a namespace".into(), |identity| identity.to_string());
            refusal.while_trying_to(format!("number the namespace {name}"))
        })
    }

    fn assign_nsid(&self, other: &Namespace) -> Result<i32, Refusal> {
        let mut message = nsid_message(other);
        message.attributes.push(NsidAttribute::Id(NOT_ASSIGNED));
        match self.connection().request(RouteNetlinkMessage::NewNsId(message), NLM_F_CREATE | NLM_F_EXCL) {
            Ok(_) => {}
            // Somebody was quicker; its number is as good.
            Err(refusal) if refusal.is(libc::EEXIST) => {}
            Err(refusal) => return Err(refusal),
        }
        let vanished = || io::Error::new(io::ErrorKind::NotFound, "its number is gone again");
        self.known_nsid(other)?.ok_or_else(|| vanished().into())
    }

    fn known_nsid(&self, other: &Namespace) -> Result<Option<i32>, Refusal> {
        let replies = self.connection().request(RouteNetlinkMessage::GetNsId(nsid_message(other)), 0)?;
        Ok(replies.iter().find_map(|Reply { payload, .. }| nsid_in(payload)))
    }
}

/// The number in an `RTM_NEWNSID` or `RTM_DELNSID` message.
pub(crate) fn nsid_in(payload: &[u8]) -> Option<i32> {
    let mut found = attributes(payload, RTGEN_OCTETS).filter(|(kind, _)| *kind == NETNSA_NSID);
    found.find_map(|(_, value)| i32_of(value)).filter(|nsid| *nsid != NOT_ASSIGNED)
}

fn nsid_message(other: &Namespace) -> NsidMessage {
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(other.as_fd().as_raw_fd().cast_unsigned()));
    message
}

fn family_of(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn unspecified_like(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn address_message(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family_of(address);
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    match address {
        // /31 and /32 have no broadcast address (RFC 3021).
        IpAddr::V4(address) if prefix < 31 => {
            let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            message.attributes.push(AddressAttribute::Broadcast(Ipv4Addr::from(u32::from(address) | hosts)));
        }
        IpAddr::V4(_) => {}
        IpAddr::V6(_) => message.header.flags = AddressHeaderFlags::Nodad,
    }
    message
}

/// The address in `struct ifaddrmsg` and its attributes, if it is that interface's. `IFA_LOCAL` is its own;
/// `IFA_ADDRESS` is the other side's on a point-to-point link, and the only one IPv6 carries elsewhere.
fn address_of(payload: &[u8], index: u32) -> Option<(IpAddr, u8)> {
    if u32_of(payload.get(4..)?)? != index {
        return None;
    }
    let find = |wanted: u16| attributes(payload, IFADDR_OCTETS).find(|(kind, _)| *kind == wanted);
    let (_, value) = find(libc::IFA_LOCAL).or_else(|| find(libc::IFA_ADDRESS))?;
    Some((ip_of(value)?, payload[1]))
}

fn route_message((network, prefix): (IpAddr, u8), gateway: Option<IpAddr>, index: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(network);
    message.header.destination_prefix_length = prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = if gateway.is_none() { RouteScope::Link } else { RouteScope::Universe };
    message.header.kind = RouteType::Unicast;
    if prefix > 0 {
        message.attributes.push(RouteAttribute::Destination(network.into()));
    }
    message.attributes.extend(gateway.map(|gateway| RouteAttribute::Gateway(gateway.into())));
    message.attributes.push(RouteAttribute::Oif(index));
    message
}

/// The route in `struct rtmsg` and its attributes, if it is a unicast route of the main table.
fn route_of(payload: &[u8]) -> Option<Route> {
    let &[family, prefix, _, _, table, _, _, kind, ..] = payload.get(..RTMSG_OCTETS)? else { return None };
    if table != libc::RT_TABLE_MAIN || kind != libc::RTN_UNICAST {
        return None;
    }
    let unspecified = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut route = Route { destination: (unspecified, prefix), gateway: None, index: None };
    for (kind, value) in attributes(payload, RTMSG_OCTETS) {
        match kind {
            libc::RTA_DST => route.destination.0 = ip_of(value)?,
            libc::RTA_GATEWAY => route.gateway = ip_of(value),
            libc::RTA_OIF => route.index = u32_of(value),
            _ => {}
        }
    }
    Some(route)
}
