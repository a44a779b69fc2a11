//! What interfaces are there, and how are they made, set and moved? Over `NETLINK_ROUTE` (rtnetlink(7),
//! `linux/if_link.h`).
//!
//! | file | the question |
//! | --- | --- |
//! | `link.rs` | what interfaces are there? |
//! | `link/change.rs` | how is one made, set, moved, deleted? |
//! | `link/address.rs` | which addresses, routes and namespace numbers are there, and how are they added? |
//!
//! Asking for what already is so succeeds: deleting what is gone, adding an address or route that is there. Every error
//! names the interface.
//!
//! Not done: bridges, VLANs, queueing disciplines, policy routing.

mod address;
mod change;

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use frame::MacAddr;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use crate::netlink::{Connection, NetlinkError, Refusal, attributes, i32_of, text_of, u32_of};
use crate::netns::Namespace;

pub use address::Route;
pub(crate) use address::nsid_in;
pub use change::VethPair;

/// Octets of `struct ifinfomsg` (linux/rtnetlink.h).
const IFINFO_OCTETS: usize = 16;
// linux/if.h
const IFF_UP: u32 = 1;
const IFF_RUNNING: u32 = 1 << 6;
const IFF_NOARP: u32 = 1 << 7;
const IFF_LOWER_UP: u32 = 1 << 16;

/// The longest name of an interface, in octets (`IFNAMSIZ` less its NUL).
pub const MAX_NAME_OCTETS: usize = 15;

/// The text cannot be an interface's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' cannot be an interface's name: 1 to {MAX_NAME_OCTETS} octets without '/', ':' or blanks")]
pub struct BadLinkName(pub String);

/// Would the kernel take this as an interface's name? (`dev_valid_name`, net/core/dev.c) A `%` is refused too: the
/// kernel would put a number in its place.
///
/// # Errors
/// [`BadLinkName`] if it would not.
pub fn check_name(name: &str) -> Result<(), BadLinkName> {
    let refused = |octet: u8| matches!(octet, b'/' | b':' | b'%' | 0x0b) || octet.is_ascii_whitespace() || octet == 0;
    let bad =
        name.is_empty() || name.len() > MAX_NAME_OCTETS || name == "." || name == ".." || name.bytes().any(refused);
    if bad { Err(BadLinkName(name.to_owned())) } else { Ok(()) }
}

/// The state of an interface as RFC 2863 section 3.1.14 has it (`IF_OPER_*`, linux/if.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OperState {
    /// The driver does not say: a TAP or `lo` that is up.
    #[default]
    Unknown,
    /// Some component is missing.
    NotPresent,
    /// Not able to pass frames.
    Down,
    /// Down because of the interface below: the other end of a veth is down.
    LowerLayerDown,
    /// In a test mode.
    Testing,
    /// Waiting for something outside.
    Dormant,
    /// Able to pass frames.
    Up,
}

impl OperState {
    fn from_kernel(value: u8) -> Self {
        match value {
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for OperState {
    /// The words `ip link` uses, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "notpresent",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        })
    }
}

/// An interface of the kernel's, as it was when asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What made it: `tun` (a TAP too), `veth`, `bridge`; hardware and `lo` have none.
    pub kind: Option<String>,
    /// Its MAC address, if it has one of six octets.
    pub mac: Option<MacAddr>,
    /// Its MTU in octets.
    pub mtu: u32,
    /// Is it set up by the administrator (`IFF_UP`)?
    pub up: bool,
    /// Does the other side listen (`IFF_LOWER_UP`)? A TAP without open descriptor and a veth with its peer down have no
    /// carrier.
    pub carrier: bool,
    /// Up, with carrier, and the state says so (`IFF_RUNNING`)?
    pub running: bool,
    /// The RFC 2863 state.
    pub operstate: OperState,
    /// The number of a veth's other end, in the namespace where that is.
    pub peer_index: Option<u32>,
    /// The namespace of a veth's other end, as this namespace numbers it; `None` if it is the same one.
    pub peer_nsid: Option<i32>,
}

/// What a link message says beside the link itself.
pub(crate) struct LinkNews {
    /// `AF_UNSPEC` for news of the link; `AF_BRIDGE` for news of its being a bridge's port, which is something else.
    pub(crate) family: u8,
    pub(crate) link: Link,
    /// It has left for this namespace, as the one it left numbers it.
    pub(crate) new_nsid: Option<i32>,
    /// Its number there.
    pub(crate) new_index: Option<u32>,
}

impl LinkNews {
    /// Read `struct ifinfomsg` and its attributes. `None` for what is cut short, or is no whole picture: a wireless
    /// event comes as a link message with a name and nothing else.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let index = u32_of(payload.get(4..)?)?;
        let flags = u32_of(payload.get(8..IFINFO_OCTETS)?)?;
        let mut news =
            Self { family: payload[0], link: Link::from_header(index, flags), new_nsid: None, new_index: None };
        let (mut named, mut whole) = (false, false);
        for (kind, value) in attributes(payload, IFINFO_OCTETS) {
            let link = &mut news.link;
            match kind {
                libc::IFLA_ADDRESS => link.mac = value.try_into().ok().map(MacAddr),
                libc::IFLA_IFNAME => (link.name, named) = (text_of(value).into_owned(), true),
                libc::IFLA_MTU => (link.mtu, whole) = (u32_of(value)?, true),
                libc::IFLA_LINK => link.peer_index = u32_of(value).filter(|peer| *peer != 0),
                libc::IFLA_LINK_NETNSID => link.peer_nsid = i32_of(value).filter(|nsid| *nsid >= 0),
                libc::IFLA_OPERSTATE => link.operstate = OperState::from_kernel(*value.first()?),
                libc::IFLA_LINKINFO => {
                    let info = attributes(value, 0).find(|(kind, _)| *kind == libc::IFLA_INFO_KIND);
                    link.kind = info.map(|(_, text)| text_of(text).into_owned());
                }
                libc::IFLA_NEW_NETNSID => news.new_nsid = i32_of(value).filter(|nsid| *nsid >= 0),
                libc::IFLA_NEW_IFINDEX => news.new_index = u32_of(value),
                _ => {}
            }
        }
        (named && whole).then_some(news)
    }
}

impl Link {
    fn from_header(index: u32, flags: u32) -> Self {
        Self {
            index,
            name: String::new(),
            kind: None,
            mac: None,
            mtu: 0,
            up: flags & IFF_UP != 0,
            carrier: flags & IFF_LOWER_UP != 0,
            running: flags & IFF_RUNNING != 0,
            operstate: OperState::Unknown,
            peer_index: None,
            peer_nsid: None,
        }
    }
}

/// The interfaces of one namespace. Belongs to the namespace it was opened in, whichever thread uses it, and keeps that
/// one alive: drop it when done with a container's.
pub struct Links {
    connection: Mutex<Connection>,
    namespace: Namespace,
}

impl Links {
    /// The interfaces of the calling thread's namespace.
    ///
    /// # Errors
    /// No socket or descriptor is left, or `/proc` is not mounted.
    pub fn open() -> io::Result<Self> {
        Ok(Self { connection: Mutex::new(Connection::open()?), namespace: Namespace::current()? })
    }

    /// The interfaces of another namespace.
    ///
    /// # Errors
    /// As [`Links::open`] and [`Namespace::enter`].
    pub fn in_namespace(namespace: &Namespace) -> io::Result<Self> {
        namespace.enter(Self::open)?
    }

    /// The interface of that name, if there is one.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn by_name(&self, name: &str) -> Result<Option<Link>, NetlinkError> {
        // The kernel refuses a longer name as out of range; it is simply not there.
        if check_name(name).is_err() {
            return Ok(None);
        }
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.ask(message).map_err(|refusal| refusal.while_trying_to(format!("look up '{name}'")))
    }

    /// The interface of that number, if there is one.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn by_index(&self, index: u32) -> Result<Option<Link>, NetlinkError> {
        self.ask(at(index)).map_err(|refusal| refusal.while_trying_to(format!("look up interface {index}")))
    }

    /// All interfaces, in the order of their numbers.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn list(&self) -> Result<Vec<Link>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let replies = self
            .connection()
            .dump(&RouteNetlinkMessage::GetLink(message))
            .map_err(|refusal| refusal.while_trying_to("list the interfaces"))?;
        Ok(replies.iter().filter_map(|reply| Some(LinkNews::decode(&reply.payload)?.link)).collect())
    }

    fn ask(&self, mut message: LinkMessage) -> Result<Option<Link>, Refusal> {
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        match self.connection().request(RouteNetlinkMessage::GetLink(message), 0) {
            Ok(replies) => Ok(replies.iter().find_map(|reply| Some(LinkNews::decode(&reply.payload)?.link))),
            Err(refusal) if refusal.is(libc::ENODEV) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A request that panicked half-way left at most answers with an old sequence number, which are passed over.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Name an interface in an error: asked for only when something has gone wrong.
    fn describe(&self, index: u32) -> String {
        match self.by_index(index) {
            Ok(Some(link)) => format!("'{}' (interface {index})", link.name),
            _ => format!("interface {index}"),
        }
    }

    /// Finish an error about an interface: `what` with a `{}` in the caller's head where the name goes.
    fn named(&self, index: u32, what: impl FnOnce(&str) -> String) -> impl FnOnce(Refusal) -> NetlinkError {
        move |refusal| refusal.while_trying_to(what(&self.describe(index)))
    }
}

/// A message about the interface of that number.
fn at(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
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

    fn message(flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = vec![0, 0, 1, 0];
        octets.extend(7u32.to_ne_bytes());
        octets.extend(flags.to_ne_bytes());
        octets.extend([0; 4]);
        octets.extend(attributes.concat());
        octets
    }

    #[test]
    fn names_are_checked_as_the_kernel_does() {
        for name in ["eth0", "a", "ly-0123456789ab", "veth.1", "x@y"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", ".", "..", "a b", "a/b", "a:1", "eth%d", "a\tb", "a\n", "a\0", "sixteen-octets-x"] {
            assert_eq!(check_name(name), Err(BadLinkName(name.into())));
        }
    }

    #[test]
    fn a_link_message_is_read() {
        let octets = message(
            IFF_UP | IFF_RUNNING | IFF_LOWER_UP,
            &[
                attribute(libc::IFLA_IFNAME, b"eth0\0"),
                attribute(libc::IFLA_MTU, &1400u32.to_ne_bytes()),
                attribute(libc::IFLA_ADDRESS, &[2, 0x42, 10, 0, 0, 2]),
                attribute(libc::IFLA_LINK, &9u32.to_ne_bytes()),
                attribute(libc::IFLA_LINK_NETNSID, &0i32.to_ne_bytes()),
                attribute(libc::IFLA_OPERSTATE, &[6]),
                attribute(libc::IFLA_LINKINFO | 0x8000, &attribute(libc::IFLA_INFO_KIND, b"veth\0")),
            ],
        );
        let link = LinkNews::decode(&octets).unwrap().link;
        let expected = Link {
            index: 7,
            name: "eth0".into(),
            kind: Some("veth".into()),
            mac: Some(MacAddr([2, 0x42, 10, 0, 0, 2])),
            mtu: 1400,
            up: true,
            carrier: true,
            running: true,
            operstate: OperState::Up,
            peer_index: Some(9),
            peer_nsid: Some(0),
        };
        assert_eq!(link, expected);
    }

    #[test]
    fn what_is_no_whole_picture_is_passed_over() {
        let name = attribute(libc::IFLA_IFNAME, b"eth0\0");
        let mtu = attribute(libc::IFLA_MTU, &1400u32.to_ne_bytes());
        assert!(LinkNews::decode(&message(0, &[name.clone(), mtu.clone()])).is_some());
        for partial in
            [message(0, std::slice::from_ref(&name)), message(0, std::slice::from_ref(&mtu)), message(0, &[])]
        {
            assert!(LinkNews::decode(&partial).is_none());
        }
        let whole = message(0, &[name, mtu]);
        for len in 0..whole.len() {
            assert!(LinkNews::decode(&whole[..len]).is_none(), "{len} octets");
        }
    }
}
