//! What becomes of the links, here and in the containers' namespaces? One `NETLINK_ROUTE` socket in the daemon's
//! namespace hears it (groups `RTNLGRP_LINK` and `RTNLGRP_NSID`, with `NETLINK_LISTEN_ALL_NSID`; netlink(7),
//! linux/netlink.h).
//!
//! It also hears every namespace that has a number here ([`crate::link::Links::nsid_of`]), and keeps none of them
//! alive. A socket inside a container's namespace would, and that namespace would never end.
//!
//! What the kernel says, measured on Linux 6.18, from the start of the change to the event in hand. "There" is the
//! other namespace, by its number.
//!
//! | what happens | what is heard | after |
//! | --- | --- | --- |
//! | TAP moved into a namespace | `Gone` with `moved_to`, then `Changed` there, down, by old and new name | 13 to 25 ms |
//! | TAP set up, set down, renamed, given a MAC inside | `Changed` there | 0.1 to 0.3 ms |
//! | TAP deleted inside | `Gone` there; read(2) of its descriptor says `EBADFD` | 16 ms |
//! | persistent TAP, last descriptor closed | `Changed`, still running; then `Changed`, not running | up to 1 s |
//! | its namespace ends with the TAP in it | `NamespaceGone` only; then read(2) says `EBADFD` | 13 to 60 ms |
//! | ... but its descriptor was opened inside (attached again) | nothing: the descriptor keeps it alive | never |
//! | veth peer in a namespace set down or up | `Changed` there, then of the host end, not running or running | 0.2 ms |
//! | ... and both ends happen to have the same number | `Changed` there at once, of the host end late | up to 1 s |
//! | veth peer renamed | `Changed` there; nothing of the host end | 0.3 to 4 ms |
//! | veth peer deleted | host end `Changed` down, `Gone` there, `Gone` of the host end | 16 ms |
//! | veth peer moved on to a third namespace | `Gone` there, `moved_to` without number; host end not running | 15 ms |
//! | its namespace ends with the peer in it | `NamespaceGone`, host end `Changed` down, then `Gone` | 16 ms |
//!
//! - A veth whose ends have the same number looks to the kernel like a link on top of nothing, whose loss of carrier
//!   waits for the next round (`net/core/link_watch.c`). The peer's own news does not wait.
//! - A link that is moved into a namespace or a veth that reaches into one gives it a number. Of a namespace that has
//!   only just been numbered, what came before is not heard: number it first, or ask once after.
//! - `running` tells whether a veth's other end listens. The state does not always: with the peer down it is
//!   `lowerlayerdown` when both ends are here, and `down`, as if it were its own doing, when the peer is elsewhere.
//! - News of the monitor's own namespace has no number, even if somebody has given it one.
//! - All this is the same when the monitor's namespace is not the initial one, and in a user namespace (`unshare
//!   -Urn`), where the buffer stays within `net.core.rmem_max`. Without `CAP_NET_BROADCAST` [`Monitor::open`] fails.
//! - 16 MiB of buffer hold 14,500 events; the usual limit of 208 KiB holds 180.
//!
//! Not done: addresses, routes; neighbours stand in [`crate::neighbors`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use frame::MacAddr;

use crate::link::{LinkNews, OperState, nsid_in};
use crate::listener::{BUFFER_OCTETS, Listener};
use crate::netlink::messages;

/// Something happened to a link or a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// A link is new or has changed; the same picture may come several times.
    Changed {
        /// The namespace, as the monitor's own numbers it; `None` for its own.
        nsid: Option<i32>,
        /// The link's number there.
        index: u32,
        /// Its name.
        name: String,
        /// Set up by the administrator?
        up: bool,
        /// Up, and the other side listens?
        running: bool,
        /// Its MAC address, if it has one of six octets.
        mac: Option<MacAddr>,
        /// Its MTU in octets.
        mtu: u32,
        /// Its RFC 2863 state.
        operstate: OperState,
    },
    /// A link is no longer there.
    Gone {
        /// The namespace it was in; `None` for the monitor's own.
        nsid: Option<i32>,
        /// The number it had there.
        index: u32,
        /// The name it had.
        name: String,
        /// It lives on in another namespace.
        moved_to: Option<MovedTo>,
    },
    /// A namespace has ended, with all links in it; of those nothing more is said. The number may soon mean another
    /// namespace.
    NamespaceGone {
        /// The number it had.
        nsid: i32,
    },
    /// Events were lost. Ask for everything again ([`crate::link::Links::list`]), now.
    Overflow,
}

/// Where a link went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedTo {
    /// The namespace, as the monitor's own numbers it. `None` when it left a namespace other than the monitor's: that
    /// one says where to in its own numbers, which mean nothing here.
    pub nsid: Option<i32>,
    /// Its number there.
    pub index: u32,
}

/// Hears of every link of the namespace it was opened in and of those that have a number there.
pub struct Monitor {
    listener: Listener,
}

impl Monitor {
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
    /// As [`Monitor::open`].
    pub fn with_buffer(octets: usize) -> io::Result<Self> {
        Ok(Self { listener: Listener::open(&[libc::RTNLGRP_LINK, libc::RTNLGRP_NSID], octets)? })
    }

    /// The events that wait, in their order; none if there are none. [`LinkEvent::Overflow`] stands alone: what was
    /// heard before and after it is thrown away, because the kernel goes on losing events until all of them have been
    /// read, and does not say so again. Only then is a new picture of everything complete.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub fn read(&mut self) -> io::Result<Vec<LinkEvent>> {
        let mut events = Vec::new();
        let lost = self.listener.read(|datagram, nsid| events.extend(events_in(datagram, nsid)))?;
        Ok(if lost { vec![LinkEvent::Overflow] } else { events })
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

fn events_in(datagram: &[u8], nsid: Option<i32>) -> Vec<LinkEvent> {
    messages(datagram).filter_map(|message| event_of(message.message_type(), message.payload(), nsid)).collect()
}

fn event_of(kind: u16, payload: &[u8], nsid: Option<i32>) -> Option<LinkEvent> {
    match kind {
        libc::RTM_NEWLINK => changed(LinkNews::decode(payload)?, nsid),
        libc::RTM_DELLINK => gone(LinkNews::decode(payload)?, nsid),
        // Another namespace's numbers are heard too, and mean nothing here.
        libc::RTM_DELNSID if nsid.is_none() => Some(LinkEvent::NamespaceGone { nsid: nsid_in(payload)? }),
        _ => None,
    }
}

fn changed(news: LinkNews, nsid: Option<i32>) -> Option<LinkEvent> {
    let link = news.link;
    (i32::from(news.family) == libc::AF_UNSPEC).then_some(LinkEvent::Changed {
        nsid,
        index: link.index,
        name: link.name,
        up: link.up,
        running: link.running,
        mac: link.mac,
        mtu: link.mtu,
        operstate: link.operstate,
    })
}

/// A link that leaves a bridge is deleted from the bridge's point of view (`AF_BRIDGE`): that is no news here.
fn gone(news: LinkNews, nsid: Option<i32>) -> Option<LinkEvent> {
    let moved_to = news.new_index.map(|index| MovedTo { nsid: news.new_nsid.filter(|_| nsid.is_none()), index });
    (i32::from(news.family) == libc::AF_UNSPEC).then_some(LinkEvent::Gone {
        nsid,
        index: news.link.index,
        name: news.link.name,
        moved_to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut octets = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    fn link(family: u8, more: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = vec![family, 0, 1, 0, 5, 0, 0, 0, 0x41, 0, 0, 0, 0, 0, 0, 0];
        octets.extend(attribute(libc::IFLA_IFNAME, b"eth0\0"));
        octets.extend(attribute(libc::IFLA_MTU, &1500u32.to_ne_bytes()));
        octets.extend(more.concat());
        octets
    }

    fn number(nsid: i32) -> Vec<u8> {
        [vec![0; 4], attribute(1, &nsid.to_ne_bytes())].concat()
    }

    #[test]
    fn a_new_picture_of_a_link_is_a_change() {
        let event = event_of(libc::RTM_NEWLINK, &link(0, &[attribute(libc::IFLA_OPERSTATE, &[6])]), Some(3)).unwrap();
        let expected = LinkEvent::Changed {
            nsid: Some(3),
            index: 5,
            name: "eth0".into(),
            up: true,
            running: true,
            mac: None,
            mtu: 1500,
            operstate: OperState::Up,
        };
        assert_eq!(event, expected);
    }

    #[test]
    fn where_a_link_went_is_only_believed_in_our_own_numbers() {
        let there = [
            attribute(libc::IFLA_NEW_NETNSID, &2i32.to_ne_bytes()),
            attribute(libc::IFLA_NEW_IFINDEX, &9u32.to_ne_bytes()),
        ];
        for (nsid, known) in [(None, Some(2)), (Some(7), None)] {
            let event = event_of(libc::RTM_DELLINK, &link(0, &there), nsid).unwrap();
            let moved_to = Some(MovedTo { nsid: known, index: 9 });
            assert_eq!(event, LinkEvent::Gone { nsid, index: 5, name: "eth0".into(), moved_to });
        }
    }

    #[test]
    fn what_is_no_news_is_passed_over() {
        let bridge = libc::AF_BRIDGE as u8;
        let table = [
            (libc::RTM_NEWLINK, link(bridge, &[]), None, "a bridge's port changed"),
            (libc::RTM_DELLINK, link(bridge, &[]), None, "a link left a bridge"),
            (libc::RTM_DELNSID, number(3), Some(1), "another namespace forgot a number of its own"),
            (libc::RTM_DELNSID, number(-1), None, "no number"),
            (libc::RTM_DELNSID, vec![0; 4], None, "none at all"),
            (libc::RTM_NEWNSID, number(3), None, "a new number"),
            (libc::RTM_NEWADDR, link(0, &[]), None, "an address"),
            (libc::RTM_NEWLINK, vec![0; 15], None, "cut short"),
        ];
        for (kind, payload, nsid, what) in table {
            assert_eq!(event_of(kind, &payload, nsid), None, "{what}");
        }
        assert_eq!(event_of(libc::RTM_DELNSID, &number(3), None), Some(LinkEvent::NamespaceGone { nsid: 3 }));
    }
}
