//! How is an endpoint found again after a restart? A persistent TAP inside its namespace, by its number, kind and MAC
//! address; a veth by its host end's number and peer, or its name. They may have been renamed, moved away or deleted in the meantime.
//!
//! A TAP attached from inside keeps its namespace alive, see [`ports::netns`]: such a port must be let go when nobody else
//! is left there.

use ports::Port;
use ports::link::Link;
use ports::netns::NamespaceRef;

use super::faults::{entering, netlink, tun};
use super::tap::boxed;
use super::{Home, HostEnd, Inside, Place, is_tap, is_veth, veth};
use crate::control::Fault;
use crate::control::state::EndpointRecord;
use crate::control::types::PortKind;

/// An endpoint that is there again.
pub(in crate::control) struct Again {
    pub(in crate::control) place: Place,
    pub(in crate::control) queues: Vec<Box<dyn Port>>,
    /// The name the container's end has now.
    pub(in crate::control) ifname: String,
    /// Is the container's end up?
    pub(in crate::control) up: bool,
}

/// Find the endpoint's devices and open them. `Ok(None)` when they are gone.
///
/// # Errors
/// They are there, and the system refused to open them.
pub(in crate::control) fn again(home: &Home, record: &EndpointRecord, queues: usize) -> Result<Option<Again>, Fault> {
    let inside = record.netns.parse::<NamespaceRef>().ok().and_then(|reference| home.look_into(&reference).ok());
    match (record.kind, inside) {
        (PortKind::Tap, Some(inside)) => tap(home, &inside, record, queues),
        (PortKind::Tap, None) => Ok(None),
        (PortKind::Veth | PortKind::Xdp, inside) => host_end(home, inside.as_ref(), record, queues),
    }
}

fn tap(home: &Home, inside: &Inside, record: &EndpointRecord, queues: usize) -> Result<Option<Again>, Fault> {
    let Some(link) = our_tap(inside, record)? else { return Ok(None) };
    let nsid = home.nsid_of(inside)?;
    let offload = record.offload;
    let name = link.name.as_str();
    let opened = inside.namespace.enter(|| {
        if offload { ports::tap::create(name, queues).map(boxed) } else { ports::wire::open(name, queues).map(boxed) }
    });
    let queues = opened.map_err(|error| entering(&record.netns, error))?.map_err(tun)?;
    let place = Place { identity: inside.identity, nsid, ifindex: link.index, pins: !inside.is_home, host: None };
    Ok(Some(Again { place, queues, ifname: link.name, up: link.up }))
}

/// The TAP of that number, if its name or its MAC address is the one it had; else the one of that name and address; else
/// the only one of that address, where dockerd moved and renamed it: its number may have been taken in there.
pub(super) fn our_tap(inside: &Inside, record: &EndpointRecord) -> Result<Option<Link>, Fault> {
    let same_mac = |link: &Link| link.mac == Some(record.mac);
    // No number is known of one that was being made when the program ended.
    if record.ifindex != 0
        && let Some(link) = inside.links.by_index(record.ifindex).map_err(netlink)?
        && is_tap(&link)
        && (link.name == record.ifname || same_mac(&link))
    {
        return Ok(Some(link));
    }
    let by_name = inside.links.by_name(&record.ifname).map_err(netlink)?;
    let ours = |link: &Link| is_tap(link) && same_mac(link);
    by_name.filter(ours).map_or_else(|| only_one(inside, record, ours), |link| Ok(Some(link)))
}

/// The only interface in a Docker sandbox that is `ours`.
fn only_one(inside: &Inside, record: &EndpointRecord, ours: impl Fn(&Link) -> bool) -> Result<Option<Link>, Fault> {
    if record.docker.is_none() || inside.is_home {
        return Ok(None);
    }
    let mut found = inside.links.list().map_err(netlink)?.into_iter().filter(ours);
    Ok(found.next().filter(|_| found.next().is_none()))
}

fn host_end(
    home: &Home,
    inside: Option<&Inside>,
    record: &EndpointRecord,
    queues: usize,
) -> Result<Option<Again>, Fault> {
    let Some(link) = host_link(home, inside, record, None)? else { return Ok(None) };
    let host = HostEnd { name: link.name.clone(), ifindex: link.index };
    let peer = match (inside, link.peer_index) {
        (Some(inside), Some(index)) => inside.links.by_index(index).map_err(netlink)?,
        _ => None,
    };
    let nsid = inside.map_or(Ok(None), |inside| home.nsid_of(inside))?;
    let identity = inside.map_or(home.identity, |inside| inside.identity);
    let queues = home.enter(|| veth::open(home, inside.zip(peer.as_ref()), &host, record, queues))?;
    // No interface has the number 0: an end that cannot be looked at is not to be taken for another.
    let ifindex = peer.as_ref().map_or(0, |peer| peer.index);
    let place = Place { identity, nsid, ifindex, pins: false, host: Some(host) };
    let ifname = peer.as_ref().map_or_else(|| record.ifname.clone(), |peer| peer.name.clone());
    let up = peer.map_or(link.running, |peer| peer.up);
    Ok(Some(Again { place, queues, ifname, up }))
}

/// The host end of the endpoint's veth, whatever it is called now: the veth of its number, if its name or its peer is the
/// one it had; else the veth of its name; else the peer of the container's end.
pub(super) fn host_link(
    home: &Home,
    inside: Option<&Inside>,
    record: &EndpointRecord,
    place: Option<&Place>,
) -> Result<Option<Link>, Fault> {
    let Some(name) = &record.host_ifname else { return Ok(None) };
    let peer = inside.map_or(Ok(None), |inside| peer_link(inside, record))?;
    // Asked for only where there is something to compare: giving a namespace a number takes CAP_NET_ADMIN.
    let nsid = match (&peer, inside) {
        (Some(_), Some(inside)) => home.nsid_of(inside)?,
        _ => None,
    };
    let joined = |link: &Link, peer: &Link| {
        link.peer_index == Some(peer.index) && peer.peer_index == Some(link.index) && link.peer_nsid == nsid
    };
    let ours = |link: &Link| {
        is_veth(link)
            && (link.name == *name
                || peer.as_ref().is_some_and(|peer| joined(link, peer))
                // Its events have been followed until now, so its number has not become another's.
                || place.is_some_and(|place| place.ifindex != 0 && place.is_host_end(link)))
    };
    let followed = place.and_then(|place| place.host.as_ref()).map(|host| host.ifindex);
    let numbers =
        [followed.unwrap_or(record.host_ifindex), peer.as_ref().and_then(|peer| peer.peer_index).unwrap_or(0)];
    if let Some(link) = numbered(home, numbers[0])?.filter(ours) {
        return Ok(Some(link));
    }
    if let Some(link) = home.links.by_name(name).map_err(netlink)?.filter(is_veth) {
        return Ok(Some(link));
    }
    Ok(numbered(home, numbers[1])?.filter(ours))
}

fn numbered(home: &Home, index: u32) -> Result<Option<Link>, Fault> {
    if index == 0 { Ok(None) } else { home.links.by_index(index).map_err(netlink) }
}

/// The container's end of the endpoint's veth, by its number or name, and its MAC address; or, where dockerd moved and
/// renamed it, by that address alone.
pub(super) fn peer_link(inside: &Inside, record: &EndpointRecord) -> Result<Option<Link>, Fault> {
    let ours = |link: &Link| is_veth(link) && link.mac == Some(record.mac);
    if record.ifindex != 0
        && let Some(link) = inside.links.by_index(record.ifindex).map_err(netlink)?.filter(ours)
    {
        return Ok(Some(link));
    }
    let by_name = inside.links.by_name(&record.ifname).map_err(netlink)?;
    by_name.filter(ours).map_or_else(|| only_one(inside, record, ours), |link| Ok(Some(link)))
}
