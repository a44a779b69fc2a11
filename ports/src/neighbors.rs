//! Which MAC addresses does a kernel hold for its neighbors, and what becomes of each entry? The ARP cache (RFC 826) and the
//! neighbor cache of IPv6 (RFC 4861, 5.1), read by `RTM_GETNEIGH` and heard on `RTNLGRP_NEIGH` (rtnetlink(7),
//! `linux/neighbour.h`). Nothing is ever changed.
//!
//! The kernel announces a change of an entry only where `net/core/neighbour.c` calls `neigh_notify`:
//!
//! | change | heard |
//! | --- | --- |
//! | nothing to INCOMPLETE (somebody is being asked for) | no |
//! | INCOMPLETE to REACHABLE (answered) or FAILED (not answered) | yes |
//! | nothing to STALE (a neighbor asked, and told its address) | yes |
//! | REACHABLE to STALE (not used lately) | yes |
//! | REACHABLE or STALE to DELAY (used again) | no |
//! | DELAY to PROBE, PROBE to REACHABLE or FAILED | yes |
//! | another MAC address, PERMANENT, deleted | yes |
//!
//! What is not heard can be seen by reading again ([`neighbors_in`]), and leaves its mark in the next news: an entry that is
//! answered has [`Neighbor::probes`], one that somebody wrote has none.
//!
//! Not done: neighbors of other families, proxy entries, the forwarding tables of bridges (`AF_BRIDGE`).

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use frame::MacAddr;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;

use crate::listener::{BUFFER_OCTETS, Listener};
use crate::netlink::{Connection, NetlinkError, attributes, ip_of, messages, u32_of};
use crate::netns::Namespace;

/// Octets of `struct ndmsg`.
const NDMSG_OCTETS: usize = 12;

/// The state of an entry: RFC 4861's (7.3.2), and three of Linux's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NeighborState {
    /// Being asked for; no MAC address yet.
    Incomplete,
    /// Answered a short time ago.
    Reachable,
    /// Known, but not confirmed lately.
    Stale,
    /// Used while stale: something else may confirm it before it is asked.
    Delay,
    /// Being asked again, at its own MAC address.
    Probe,
    /// Did not answer.
    Failed,
    /// Needs no asking: a group address, or an interface without ARP.
    NoArp,
    /// Written by somebody; never asked for, never forgotten.
    Permanent,
}

impl NeighborState {
    /// RFC 4861's name, or Linux's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::NoArp => "NOARP",
            Self::Permanent => "PERMANENT",
        }
    }

    /// `NUD_*`; none for `NUD_NONE`, an entry that is only just being made.
    const fn from_kernel(state: u16) -> Option<Self> {
        Some(match state {
            libc::NUD_INCOMPLETE => Self::Incomplete,
            libc::NUD_REACHABLE => Self::Reachable,
            libc::NUD_STALE => Self::Stale,
            libc::NUD_DELAY => Self::Delay,
            libc::NUD_PROBE => Self::Probe,
            libc::NUD_FAILED => Self::Failed,
            libc::NUD_NOARP => Self::NoArp,
            libc::NUD_PERMANENT => Self::Permanent,
            _ => return None,
        })
    }
}

impl fmt::Display for NeighborState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An entry of a kernel's neighbor cache.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Neighbor {
    /// The interface it is behind, by its number in its namespace.
    pub ifindex: u32,
    /// Its IP address.
    pub ip: IpAddr,
    /// Its MAC address, if one is known and has six octets.
    pub mac: Option<MacAddr>,
    /// Its state.
    pub state: NeighborState,
    /// How often it was asked the last time that it was; the kernel counts broadcasts from its `ucast_solicit` on, and
    /// begins anew with the next question only. 0 for one that was never asked.
    pub probes: u32,
}

impl Neighbor {
    /// Read `struct ndmsg` and its attributes. `None` for what is cut short, of another family, or has no state.
    fn decode(payload: &[u8]) -> Option<Self> {
        let family = i32::from(*payload.first()?);
        if family != libc::AF_INET && family != libc::AF_INET6 {
            return None;
        }
        let ifindex = u32_of(payload.get(4..)?)?;
        let state = u16::from_ne_bytes(*payload.get(8..NDMSG_OCTETS)?.first_chunk()?);
        let (mut ip, mut mac, mut probes) = (None, None, 0);
        for (kind, value) in attributes(payload, NDMSG_OCTETS) {
            match kind {
                libc::NDA_DST => ip = ip_of(value),
                libc::NDA_LLADDR => mac = value.try_into().ok().map(MacAddr),
                libc::NDA_PROBES => probes = u32_of(value)?,
                _ => {}
            }
        }
        Some(Self { ifindex, ip: ip?, mac, state: NeighborState::from_kernel(state)?, probes })
    }

    /// The interface and the IP address of an entry, whatever its state.
    fn key(payload: &[u8]) -> Option<(u32, IpAddr)> {
        let ifindex = u32_of(payload.get(4..NDMSG_OCTETS)?)?;
        let (_, ip) = attributes(payload, NDMSG_OCTETS).find(|(kind, _)| *kind == libc::NDA_DST)?;
        Some((ifindex, ip_of(ip)?))
    }
}

/// The neighbor caches of a namespace, IPv4 and IPv6, as they are now. No socket is left in it.
///
/// # Errors
/// The namespace cannot be entered, or its kernel cannot be asked.
pub fn neighbors_in(namespace: &Namespace) -> Result<Vec<Neighbor>, NetlinkError> {
    let failed = |error| NetlinkError::new("read the neighbor cache", error);
    namespace.enter(neighbors_here).map_err(failed)?
}

/// Those of the calling thread's namespace.
fn neighbors_here() -> Result<Vec<Neighbor>, NetlinkError> {
    const WHAT: &str = "read the neighbor cache";
    let mut connection = Connection::open().map_err(|error| NetlinkError::new(WHAT, error))?;
    // AF_UNSPEC asks every table there is.
    let everything = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    let replies = connection.dump(&everything).map_err(|refusal| refusal.while_trying_to(WHAT))?;
    Ok(replies.iter().filter_map(|reply| Neighbor::decode(&reply.payload)).collect())
}

/// Something happened to an entry of a neighbor cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NeighborEvent {
    /// An entry is new, or has changed.
    Changed {
        /// The namespace, as the monitor's own numbers it; `None` for its own.
        nsid: Option<i32>,
        /// The entry as it is now.
        neighbor: Neighbor,
    },
    /// An entry is no longer there.
    Gone {
        /// The namespace it was in; `None` for the monitor's own.
        nsid: Option<i32>,
        /// The interface it was behind.
        ifindex: u32,
        /// Its IP address.
        ip: IpAddr,
    },
    /// Events were lost. Read every cache again, now.
    Overflow,
}

/// Hears of every neighbor cache of the namespace it was opened in and of those that have a number there
/// ([`crate::link::Links::nsid_of`]); keeps none of them alive, as a socket inside one would.
pub struct NeighborMonitor {
    listener: Listener,
}

impl NeighborMonitor {
    /// Listen from now on.
    ///
    /// # Errors
    /// No descriptor is left; no `CAP_NET_BROADCAST` in this namespace.
    pub fn open() -> io::Result<Self> {
        Self::with_buffer(BUFFER_OCTETS)
    }

    /// The same with a socket buffer of another size, in octets.
    ///
    /// # Errors
    /// As [`NeighborMonitor::open`].
    pub fn with_buffer(octets: usize) -> io::Result<Self> {
        Ok(Self { listener: Listener::open(&[libc::RTNLGRP_NEIGH], octets)? })
    }

    /// The events that wait, in their order. [`NeighborEvent::Overflow`] stands alone: what was heard before and after
    /// it is older than a new look at everything.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub fn read(&mut self) -> io::Result<Vec<NeighborEvent>> {
        let mut events = Vec::new();
        let lost = self.listener.read(|datagram, nsid| {
            let news = messages(datagram).filter_map(|news| event_of(news.message_type(), news.payload(), nsid));
            events.extend(news);
        })?;
        Ok(if lost { vec![NeighborEvent::Overflow] } else { events })
    }
}

impl AsFd for NeighborMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

fn event_of(kind: u16, payload: &[u8], nsid: Option<i32>) -> Option<NeighborEvent> {
    match kind {
        libc::RTM_NEWNEIGH => Some(NeighborEvent::Changed { nsid, neighbor: Neighbor::decode(payload)? }),
        libc::RTM_DELNEIGH => {
            let (ifindex, ip) = Neighbor::key(payload)?;
            Some(NeighborEvent::Gone { nsid, ifindex, ip })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([2, 0x42, 10, 20, 0, 3]);

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut octets = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    fn entry(family: i32, state: u16, more: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = vec![family.to_le_bytes()[0], 0, 0, 0, 7, 0, 0, 0];
        octets.extend(state.to_ne_bytes());
        octets.extend([0, 1]);
        octets.extend(more.concat());
        octets
    }

    fn known(state: u16) -> Vec<u8> {
        let attributes = [
            attribute(libc::NDA_DST, &[10, 20, 0, 3]),
            attribute(libc::NDA_LLADDR, &MAC.0),
            attribute(libc::NDA_PROBES, &4u32.to_ne_bytes()),
        ];
        entry(libc::AF_INET, state, &attributes)
    }

    #[test]
    fn every_state_of_the_kernels_has_its_name() {
        let names = [
            (0x01, "INCOMPLETE"),
            (0x02, "REACHABLE"),
            (0x04, "STALE"),
            (0x08, "DELAY"),
            (0x10, "PROBE"),
            (0x20, "FAILED"),
            (0x40, "NOARP"),
            (0x80, "PERMANENT"),
        ];
        for (state, name) in names {
            let neighbor = Neighbor::decode(&known(state)).unwrap();
            assert_eq!(neighbor.state.to_string(), name);
            assert_eq!((neighbor.ifindex, neighbor.mac, neighbor.probes), (7, Some(MAC), 4));
        }
    }

    #[test]
    fn news_are_of_the_namespace_they_come_from() {
        let neighbor = Neighbor::decode(&known(2)).unwrap();
        let changed = event_of(libc::RTM_NEWNEIGH, &known(2), Some(3));
        assert_eq!(changed, Some(NeighborEvent::Changed { nsid: Some(3), neighbor }));
        // An entry that goes may have any state.
        let gone = event_of(libc::RTM_DELNEIGH, &known(0), None);
        assert_eq!(gone, Some(NeighborEvent::Gone { nsid: None, ifindex: 7, ip: neighbor.ip }));
    }

    #[test]
    fn what_is_no_neighbor_is_passed_over() {
        let there = attribute(libc::NDA_DST, &[10, 20, 0, 3]);
        let table = [
            (libc::RTM_NEWNEIGH, known(0), "no state yet"),
            (libc::RTM_NEWNEIGH, entry(libc::AF_BRIDGE, 2, std::slice::from_ref(&there)), "a bridge's table"),
            (libc::RTM_NEWNEIGH, entry(libc::AF_INET, 2, &[]), "no address"),
            (libc::RTM_NEWNEIGH, entry(libc::AF_INET, 2, &[attribute(libc::NDA_DST, &[10, 20])]), "half an address"),
            (libc::RTM_NEWNEIGH, known(2)[..11].to_vec(), "cut short"),
            (libc::RTM_NEWNEIGH, Vec::new(), "nothing"),
            (libc::RTM_DELNEIGH, entry(libc::AF_INET, 2, &[]), "gone, but what?"),
            (libc::RTM_DELNEIGH, vec![2; 8], "gone, cut short"),
            (libc::RTM_GETNEIGH, known(1), "a question to an ARP daemon"),
            (libc::RTM_NEWLINK, known(2), "a link"),
        ];
        for (kind, payload, what) in table {
            assert_eq!(event_of(kind, &payload, None), None, "{what}");
        }
        // Longer addresses than Ethernet's (InfiniBand) are none here.
        let odd = entry(libc::AF_INET, 2, &[there, attribute(libc::NDA_LLADDR, &[1; 20])]);
        assert_eq!(Neighbor::decode(&odd).unwrap().mac, None);
    }
}
