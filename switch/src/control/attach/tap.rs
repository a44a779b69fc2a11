//! How is a TAP made and put into a container? In the switch's own namespace, under a name that nobody knows, then moved
//! and renamed in one request, so that the container never sees it half-made.
//!
//! A descriptor opened here does not keep the container's namespace alive: when that ends, the TAP ends with it, and the
//! descriptor says so.

use std::io;

use ports::link::Links;
use ports::tap::TapQueue;
use ports::wire::WireQueue;
use ports::{Port, ethtool};

use super::faults::{netlink, system, tun};
use super::{Home, Inside, Made, Place, SPEED_MBPS, SUPER_FRAME_OCTETS, TX_QUEUE_FRAMES, Wanted, unique_name};
use crate::control::Fault;

/// A TAP with virtio-net headers, one queue for each worker.
pub(super) fn offloading(home: &Home, inside: &Inside, wanted: &Wanted<'_>) -> Result<Made, Fault> {
    let name = unique_name("lyt");
    let queues = ports::tap::create(&name, wanted.queues).map_err(tun)?;
    finish(home, inside, wanted, &name, queues)
}

/// A TAP in wire mode.
pub(super) fn wire(home: &Home, inside: &Inside, wanted: &Wanted<'_>) -> Result<Made, Fault> {
    let name = unique_name("lyt");
    let queues = ports::wire::open(&name, wanted.queues).map_err(tun)?;
    finish(home, inside, wanted, &name, queues)
}

/// What both kinds of queue can do.
pub(super) trait Persist: Port + Sized + 'static {
    fn persist(&self, on: bool) -> io::Result<()>;
}

impl Persist for TapQueue {
    fn persist(&self, on: bool) -> io::Result<()> {
        self.set_persist(on)
    }
}

impl Persist for WireQueue {
    fn persist(&self, on: bool) -> io::Result<()> {
        self.set_persist(on)
    }
}

pub(super) fn boxed<Q: Port + 'static>(queues: Vec<Q>) -> Vec<Box<dyn Port>> {
    queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Port>).collect()
}

/// Set it and move it. A TAP that does not persist ends with its queues, wherever it is: dropping them is the undoing.
fn finish<Q: Persist>(
    home: &Home,
    inside: &Inside,
    wanted: &Wanted<'_>,
    name: &str,
    queues: Vec<Q>,
) -> Result<Made, Fault> {
    set(&home.links, name, wanted)?;
    let nsid = home.nsid_of(inside)?;
    let made = home.links.by_name(name).map_err(netlink)?;
    let index = made.map_or(0, |link| link.index);
    if inside.is_home {
        home.links.rename(index, &wanted.record.ifname).map_err(netlink)?;
    } else {
        home.links.move_to(index, &inside.namespace, &wanted.record.ifname).map_err(netlink)?;
    }
    let ifindex = inside.named(&wanted.record.ifname)?.index;
    unqueue(&inside.links, ifindex);
    // Last, because a TAP that persists would not go by itself if one of the steps above failed.
    if wanted.persist
        && let Some(first) = queues.first()
    {
        first.persist(true).map_err(|error| system("cannot make the TAP persistent", error))?;
    }
    let place = Place { identity: inside.identity, nsid, ifindex, pins: false, host: None };
    Ok(Made { place, queues: boxed(queues) })
}

/// Nothing waits before a TAP: what its own queue cannot hold it drops. Where the kernel refuses, it only costs more.
pub(super) fn unqueue(links: &Links, ifindex: u32) {
    if let Err(error) = links.set_noqueue(ifindex) {
        tracing::debug!("{error}");
    }
}

fn set(links: &Links, name: &str, wanted: &Wanted<'_>) -> Result<(), Fault> {
    let Some(link) = links.by_name(name).map_err(netlink)? else {
        return Err(system("the new TAP vanished", io::ErrorKind::NotFound.into()));
    };
    links.set_mac(link.index, wanted.record.mac).map_err(netlink)?;
    links.set_mtu(link.index, wanted.mtu).map_err(netlink)?;
    links.set_txqueuelen(link.index, TX_QUEUE_FRAMES).map_err(netlink)?;
    links.set_gso_max(link.index, SUPER_FRAME_OCTETS).map_err(netlink)?;
    ethtool::set_speed(name, SPEED_MBPS).map_err(|error| system("cannot set the TAP's speed", error))
}
