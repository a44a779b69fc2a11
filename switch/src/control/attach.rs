//! How does a container get its interface? A device is made where nobody sees it, set, and only then moved into the
//! container's namespace under its name; it is set up last, when the engine already reads it.
//!
//! | file | the question |
//! | --- | --- |
//! | `attach.rs` | make, raise, remove: what all kinds have in common |
//! | `attach/tap.rs` | a TAP, with offloads or in wire mode |
//! | `attach/veth.rs` | a veth and its AF_PACKET or `AF_XDP` sockets |
//! | `attach/again.rs` | the same after a restart |
//! | `attach/faults.rs` | what does the system's refusal mean to the user? |
//!
//! Not done: keeping the host's own stack from reading what a container sends over a veth to the host end's own MAC
//! address or to all; the end has no address, no ARP and no IPv6.

mod again;
mod faults;
mod tap;
mod veth;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ports::Port;
use ports::link::{Link, Links};
use ports::neighbors::NeighborMonitor;
use ports::netns::{Namespace, NamespaceId, NamespaceRef};

use again::our_tap;
pub(super) use again::{Again, again};
use again::{host_link, peer_link};
use faults::{entering, netlink, system, unopened};

use super::Fault;
use super::state::EndpointRecord;
use super::types::PortKind;

/// Frames that wait in the kernel for a TAP's reader.
const TX_QUEUE_FRAMES: u32 = 1000;
/// Octets of the longest super-frame, so that none exceeds a buffer.
const SUPER_FRAME_OCTETS: u32 = 65_536;
/// What a TAP says of its speed, Mb/s: a veth says the same.
const SPEED_MBPS: u32 = 10_000;

/// The namespace that the switch works in, and its interfaces.
pub(super) struct Home {
    pub(super) links: Links,
    namespace: Namespace,
    identity: NamespaceId,
}

/// A container's namespace, for as long as work is done in it.
pub(super) struct Inside {
    pub(super) reference: NamespaceRef,
    pub(super) links: Links,
    pub(super) identity: NamespaceId,
    namespace: Namespace,
    is_home: bool,
}

/// What the interface is to be.
pub(super) struct Wanted<'a> {
    /// Its names, address, kind and mode.
    pub(super) record: &'a EndpointRecord,
    pub(super) mtu: u32,
    /// One queue for each worker.
    pub(super) queues: usize,
    /// Is the interface to outlive the program?
    pub(super) persist: bool,
}

/// Where an endpoint's devices are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The container's namespace.
    pub(super) identity: NamespaceId,
    /// The same, as netlink events number it; `None` for the switch's own.
    pub(super) nsid: Option<i32>,
    /// The interface in there; 0, which no interface has, when it cannot be followed.
    pub(super) ifindex: u32,
    /// The engine's queues keep the container's namespace alive.
    pub(super) pins: bool,
    /// A veth's other end, in the switch's own namespace.
    pub(super) host: Option<HostEnd>,
}

/// The host end of a veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostEnd {
    pub(super) name: String,
    pub(super) ifindex: u32,
}

/// A device that is made, but down.
pub(super) struct Made {
    pub(super) place: Place,
    pub(super) queues: Vec<Box<dyn Port>>,
}

impl Home {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// No descriptor is left, or `/proc` is not mounted.
    pub(super) fn here() -> Result<Self, Fault> {
        let open = || {
            let namespace = Namespace::current()?;
            let identity = namespace.identity()?;
            Ok(Self { links: Links::open()?, namespace, identity })
        };
        open().map_err(|error| Fault::io("cannot open the switch's own network namespace", error))
    }

    /// Run `work` on a thread that is in the switch's own namespace, wherever the caller is.
    fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T, Fault> + Send) -> Result<T, Fault> {
        self.namespace.enter(work).map_err(|error| entering("the switch's own namespace", error))?
    }

    /// A descriptor of the namespace that a user named.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn open(&self, reference: &NamespaceRef) -> Result<Namespace, Fault> {
        match reference {
            NamespaceRef::Own => self.namespace.try_clone().map_err(|error| entering(&reference.to_string(), error)),
            _ => reference.open().map_err(unopened),
        }
    }

    /// Hear the news of the neighbor caches of this namespace and of every one that has a number here.
    ///
    /// # Errors
    /// The switch may not listen, or no descriptor is left.
    pub(super) fn hear_neighbors(&self) -> Result<NeighborMonitor, Fault> {
        let failed = |error| Fault::io("cannot watch the neighbor caches", error);
        self.namespace.enter(NeighborMonitor::open).and_then(|opened| opened).map_err(failed)
    }

    /// Open the namespace that a user named.
    ///
    /// # Errors
    /// There is none, or it may not be entered.
    pub(super) fn look_into(&self, reference: &NamespaceRef) -> Result<Inside, Fault> {
        let namespace = self.open(reference)?;
        let identity = namespace.identity().map_err(|error| entering(&reference.to_string(), error))?;
        let links = Links::in_namespace(&namespace).map_err(|error| entering(&reference.to_string(), error))?;
        let is_home = identity == self.identity;
        Ok(Inside { reference: reference.clone(), links, namespace, identity, is_home })
    }

    /// The number under which netlink events speak of that namespace.
    fn nsid_of(&self, inside: &Inside) -> Result<Option<i32>, Fault> {
        if inside.is_home {
            return Ok(None);
        }
        self.links.nsid_of(&inside.namespace).map(Some).map_err(netlink)
    }
}

impl Inside {
    /// The name to use: the one asked for if it is free, else the first free one of eth0, eth1, ...
    ///
    /// # Errors
    /// The name asked for is taken, or the kernel could not be asked.
    pub(super) fn free_ifname(&self, asked: Option<&str>) -> Result<String, Fault> {
        let taken: Vec<String> = self.links.list().map_err(netlink)?.into_iter().map(|link| link.name).collect();
        let Some(asked) = asked else {
            // One more name than there are interfaces: one of them is free.
            let mut names = (0..=taken.len()).map(|n| format!("eth{n}"));
            let free = names.find(|name| !taken.contains(name));
            return free.ok_or(Fault::TooMany { what: "interface names", limit: taken.len() });
        };
        if taken.iter().any(|name| name == asked) {
            return Err(Fault::IfnameTaken { ifname: asked.to_owned(), netns: self.reference.to_string() });
        }
        Ok(asked.to_owned())
    }

    fn named(&self, ifname: &str) -> Result<Link, Fault> {
        let found = self.links.by_name(ifname).map_err(netlink)?;
        let vanished =
            || system(&format!("'{ifname}' vanished from '{}'", self.reference), std::io::ErrorKind::NotFound.into());
        found.ok_or_else(vanished)
    }
}

/// Make the device, down, in its place. On failure nothing is left of it.
///
/// # Errors
/// What the system refused, with the capability that is missing or the mend.
pub(super) fn make(home: &Home, inside: &Inside, wanted: &Wanted<'_>) -> Result<Made, Fault> {
    home.enter(|| match (wanted.record.kind, wanted.record.offload) {
        (PortKind::Tap, true) => tap::offloading(home, inside, wanted),
        (PortKind::Tap, false) => tap::wire(home, inside, wanted),
        (PortKind::Veth | PortKind::Xdp, _) => veth::pair(home, inside, wanted),
    })
}

/// Give the container's end its addresses, set it up, and let it find the routers if it has no others.
///
/// # Errors
/// What the system refused; what was done so far goes with the device.
pub(super) fn raise(
    inside: &Inside,
    place: &Place,
    ips: impl Iterator<Item = IpNet>,
    gateways: Vec<IpAddr>,
) -> Result<(), Fault> {
    let links = &inside.links;
    for ip in ips {
        links.add_address(place.ifindex, (ip.addr(), ip.prefix_len())).map_err(netlink)?;
    }
    links.set_up(place.ifindex).map_err(netlink)?;
    for gateway in gateways {
        let anywhere: IpAddr =
            if gateway.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let routes = links.routes().map_err(netlink)?;
        if !routes.iter().any(|route| route.destination == (anywhere, 0)) {
            links.add_default_route(gateway, place.ifindex).map_err(netlink)?;
        }
    }
    Ok(())
}

/// Remove the devices; the engine has closed its queues already. What is gone is fine. Without a place (it was not taken
/// up again after a restart) they are looked for by what was written down.
///
/// # Errors
/// The kernel refused to remove what is there.
pub(super) fn remove(home: &Home, record: &EndpointRecord, place: Option<&Place>) -> Result<(), Fault> {
    let inside = record.netns.parse().ok().and_then(|reference| home.look_into(&reference).ok());
    let inside = inside.filter(|inside| place.is_none_or(|place| place.identity == inside.identity));
    if record.kind.has_host_end() {
        return remove_veth(home, inside.as_ref(), record, place);
    }
    // Without a way into the namespace: it took the TAP along.
    if let Some(inside) = inside
        && let Some(link) = match place {
            Some(place) if place.ifindex == 0 => None,
            Some(place) => inside.links.by_index(place.ifindex).map_err(netlink)?.filter(is_tap),
            None => our_tap(&inside, record)?,
        }
    {
        return inside.links.delete(link.index).map_err(netlink);
    }
    if place.is_none_or(|place| place.ifindex != 0) {
        return Ok(());
    }
    // It was moved out; what is moved out of a container usually comes back here.
    let links = home.links.list().map_err(netlink)?;
    let mut moved = links.into_iter().filter(|link| is_tap(link) && link.mac == Some(record.mac));
    moved.try_for_each(|link| home.links.delete(link.index).map_err(netlink))
}

/// Remove the interface of that name in the switch's own namespace, if it is the endpoint's: dockerd has not moved it into
/// a container yet, or has moved it back.
///
/// # Errors
/// The kernel refused to remove what is there.
pub(super) fn remove_source(home: &Home, record: &EndpointRecord, source_name: &str) -> Result<(), Fault> {
    let ours = |link: &Link| if record.kind.has_host_end() { is_veth(link) } else { is_tap(link) };
    let found = home.links.by_name(source_name).map_err(netlink)?.filter(ours);
    found.map_or(Ok(()), |link| home.links.delete(link.index).map_err(netlink))
}

/// Where the container's end is, if it is in that namespace now: dockerd has moved it there.
pub(super) fn found_in(
    home: &Home,
    reference: &NamespaceRef,
    record: &EndpointRecord,
    place: &Place,
) -> Option<(Place, Link)> {
    let inside = home.look_into(reference).ok()?;
    // From now on events of that namespace are heard: what changes after the look below has one.
    let nsid = home.nsid_of(&inside).ok()?;
    let found = if record.kind.has_host_end() { peer_link(&inside, record) } else { our_tap(&inside, record) };
    let link = found.ok()??;
    if is_tap(&link) {
        tap::unqueue(&inside.links, link.index); // the move has undone it
    }
    Some((Place { identity: inside.identity, nsid, ifindex: link.index, ..place.clone() }, link))
}

/// Is the container's end in that namespace?
pub(super) fn is_in(home: &Home, reference: &NamespaceRef, record: &EndpointRecord) -> bool {
    let Ok(inside) = home.look_into(reference) else { return false };
    let found = if record.kind.has_host_end() { peer_link(&inside, record) } else { our_tap(&inside, record) };
    matches!(found, Ok(Some(_)))
}

/// One end takes the other along.
fn remove_veth(
    home: &Home,
    inside: Option<&Inside>,
    record: &EndpointRecord,
    place: Option<&Place>,
) -> Result<(), Fault> {
    if let Some(link) = host_link(home, inside, record, place)? {
        return home.links.delete(link.index).map_err(netlink);
    }
    // The host end was moved away: the container's end is still there to be removed.
    if let Some(inside) = inside
        && let Some(link) = peer_link(inside, record)?
    {
        return inside.links.delete(link.index).map_err(netlink);
    }
    Ok(())
}

/// Its kind tells a TAP from an interface that got the same number or name later.
fn is_tap(link: &Link) -> bool {
    link.kind.as_deref() == Some("tun")
}

fn is_veth(link: &Link) -> bool {
    link.kind.as_deref() == Some("veth")
}

impl Place {
    /// Can `link`, of the switch's own namespace, be the host end? It is a veth whose peer is the container's end.
    pub(super) fn is_host_end(&self, link: &Link) -> bool {
        let followed = self.ifindex != 0;
        let peer_is_ours = link.peer_index.is_none_or(|peer| peer == self.ifindex);
        self.host.as_ref().is_some_and(|host| host.ifindex == link.index)
            && is_veth(link)
            && (!followed || peer_is_ours)
    }
}

/// A name for a veth's host end.
pub(super) fn host_name() -> String {
    unique_name("lyv")
}

/// Has it the name and kind of a host end that this program makes?
pub(super) fn may_be_host_end(link: &Link) -> bool {
    let number = link.name.strip_prefix("lyv");
    is_veth(link) && number.is_some_and(|hex| hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A name that no other interface has.
fn unique_name(prefix: &str) -> String {
    format!("{prefix}{:08x}", rand::random::<u32>())
}
