//! What does an event say about an endpoint? Whether it concerns it at all, and, after a look at the devices themselves,
//! what became of them.

use ports::link::Link;
use ports::monitor::LinkEvent;
use ports::netns::NamespaceRef;

use crate::control::attach::{Home, Place};
use crate::control::book::Endpoint;

/// What became of one end of a port.
pub(super) enum News {
    /// Nothing that anybody can tell.
    Nothing,
    /// It is there.
    There { name: String, up: bool, running: bool },
    /// It is in another namespace now.
    Moved,
    /// It is not where it was, and dockerd was to move it: the event that tells is still to come.
    Missing,
    /// It is no more, and why.
    Gone(&'static str),
}

impl News {
    fn of(link: Link) -> Self {
        Self::There { name: link.name, up: link.up, running: link.running }
    }
}

/// Does the event tell anything about the endpoint that is not known?
pub(super) fn concerns(event: &LinkEvent, endpoint: &Endpoint) -> bool {
    let Some(place) = endpoint.place.as_ref().filter(|_| !endpoint.gone) else { return false };
    match event {
        LinkEvent::Changed { nsid, index, name, up, running, .. } => {
            let record = &endpoint.record;
            let inside = is_inside(place, *nsid, *index) && (*up != endpoint.inside_up || *name != record.ifname);
            let host_up = *up && (*running || place.ifindex != 0);
            let renamed = place.host.as_ref().is_some_and(|host| host.name != *name);
            inside || is_host(place, *nsid, *index) && (renamed || host_up != endpoint.host_up)
        }
        LinkEvent::Gone { nsid, index, .. } => is_inside(place, *nsid, *index) || is_host(place, *nsid, *index),
        LinkEvent::NamespaceGone { nsid } => place.nsid == Some(*nsid),
        LinkEvent::Overflow => true,
    }
}

fn is_inside(place: &Place, nsid: Option<i32>, index: u32) -> bool {
    place.ifindex == index && place.nsid == nsid
}

fn is_host(place: &Place, nsid: Option<i32>, index: u32) -> bool {
    nsid.is_none() && place.host.as_ref().is_some_and(|host| host.ifindex == index)
}

fn is_end(event: &LinkEvent, place: &Place) -> bool {
    matches!(event, LinkEvent::Gone { nsid, index, .. } if is_inside(place, *nsid, *index))
}

/// Is it still in dockerd's own namespace, and is to be moved into a sandbox?
fn awaits_move(endpoint: &Endpoint) -> bool {
    let joined = endpoint.record.docker.as_ref().is_some_and(|docker| docker.sandbox.is_some());
    joined && matches!(endpoint.record.netns.parse(), Ok(NamespaceRef::Own))
}

/// The container's end. Where nobody can look (the process that named the namespace has ended, others are still in it)
/// the event is believed.
pub(super) fn inside(home: &Home, endpoint: &Endpoint, place: &Place, event: &LinkEvent) -> News {
    if place.ifindex == 0 {
        return News::Nothing;
    }
    let moved =
        matches!(event, LinkEvent::Gone { nsid, index, moved_to: Some(_), .. } if is_inside(place, *nsid, *index));
    let reference = endpoint.record.netns.parse::<NamespaceRef>().ok();
    let inside = reference.and_then(|reference| home.look_into(&reference).ok());
    if let Some(inside) = inside.filter(|inside| inside.identity == place.identity) {
        return match inside.links.by_index(place.ifindex) {
            Ok(Some(link)) => News::of(link),
            Ok(None) if moved => News::Moved,
            Ok(None) if awaits_move(endpoint) && !is_end(event, place) => News::Missing,
            Ok(None) => News::Gone("its interface was deleted"),
            Err(_) => News::Nothing,
        };
    }
    match event {
        LinkEvent::Changed { nsid, index, name, up, running, .. } if is_inside(place, *nsid, *index) => {
            News::There { name: name.clone(), up: *up, running: *running }
        }
        LinkEvent::Gone { .. } if moved => News::Moved,
        LinkEvent::Gone { nsid, index, .. } if is_inside(place, *nsid, *index) => {
            News::Gone("its interface was deleted")
        }
        LinkEvent::NamespaceGone { nsid } if place.nsid == Some(*nsid) => News::Gone("its namespace has ended"),
        _ => News::Nothing,
    }
}

/// The host end of a veth.
pub(super) fn host(home: &Home, place: &Place) -> News {
    let Some(host) = &place.host else { return News::Nothing };
    match home.links.by_index(host.ifindex) {
        Ok(Some(link)) if place.is_host_end(&link) => News::of(link),
        Ok(_) => News::Gone("its host end is gone"),
        Err(_) => News::Nothing,
    }
}
