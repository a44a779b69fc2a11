//! How is a veth made? Its container end directly in the container's namespace; its host end without addresses, ARP and
//! IPv6, and up only when the sockets that read it are open, so that the host's own stack has nothing to say there.

use std::io;

use ports::link::{Link, VethPair};
use ports::{Port, ethtool};

use super::faults::{entering, netlink, packet, system, xdp};
use super::tap::boxed;
use super::{Home, HostEnd, Inside, Made, Place, SUPER_FRAME_OCTETS, Wanted, host_name};
use crate::control::Fault;
use crate::control::state::EndpointRecord;
use crate::control::types::PortKind;

/// The fewest queues an xdp port's host end is made with; those that are not in use cost about a kibioctet each.
const LEAST_QUEUES: usize = 16;

/// A veth, both ends set, the host end up and read.
pub(super) fn pair(home: &Home, inside: &Inside, wanted: &Wanted<'_>) -> Result<Made, Fault> {
    let nsid = home.nsid_of(inside)?;
    let record = wanted.record;
    let name = record.host_ifname.clone().unwrap_or_else(host_name);
    let pair = VethPair {
        name: &name,
        peer_name: &record.ifname,
        peer_namespace: Some(&inside.namespace),
        peer_mac: Some(record.mac),
        mtu: Some(wanted.mtu),
        peer_mtu: Some(wanted.mtu),
    };
    let created = match record.kind {
        PortKind::Xdp => home.links.create_veth_with_queues(&pair, most_queues(wanted.queues)),
        PortKind::Tap | PortKind::Veth => home.links.create_veth(&pair),
    };
    let host = created.map_err(netlink)?;
    let host = HostEnd { name, ifindex: host.index };
    let finished = finish(home, inside, wanted, &host);
    match finished {
        Ok((ifindex, queues)) => {
            let place = Place { identity: inside.identity, nsid, ifindex, pins: false, host: Some(host) };
            Ok(Made { place, queues })
        }
        Err(fault) => Err(match home.links.delete(host.ifindex) {
            Ok(()) => fault,
            Err(left) => Fault::Several(format!("{fault}; and then: {left}")),
        }),
    }
}

/// How many queues a veth is made with: what a later start with more workers may need, too.
fn most_queues(workers: usize) -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    workers.max(cpus).max(LEAST_QUEUES) as u32
}

fn finish(
    home: &Home,
    inside: &Inside,
    wanted: &Wanted<'_>,
    host: &HostEnd,
) -> Result<(u32, Vec<Box<dyn Port>>), Fault> {
    let links = &home.links;
    links.no_ipv6(host.ifindex).map_err(netlink)?;
    links.no_ipv4(host.ifindex).map_err(netlink)?;
    links.no_arp(host.ifindex).map_err(netlink)?;
    links.set_gso_max(host.ifindex, SUPER_FRAME_OCTETS).map_err(netlink)?;
    let peer = inside.named(&wanted.record.ifname)?;
    inside.links.set_gso_max(peer.index, SUPER_FRAME_OCTETS).map_err(netlink)?;
    if !wanted.record.offload {
        at_peer(inside, &peer, "cannot put the veth in wire mode", ethtool::offloads_off)?;
    }
    let queues = open(home, Some((inside, &peer)), host, wanted.record, wanted.queues)?;
    Ok((peer.index, queues))
}

/// Open the sockets, then set the host end up. `peer` is the container's end, where that can be reached.
pub(super) fn open(
    home: &Home,
    peer: Option<(&Inside, &Link)>,
    host: &HostEnd,
    record: &EndpointRecord,
    queues: usize,
) -> Result<Vec<Box<dyn Port>>, Fault> {
    if record.kind == PortKind::Xdp {
        return open_xdp(home, peer, host, queues);
    }
    let up = || home.links.set_up(host.ifindex).map_err(netlink);
    let opened = match ports::veth::open_index(&host.name, host.ifindex, queues, record.offload) {
        // Before Linux 6.13 a link that is down could not be divided between sockets.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && queues > 1 => {
            up()?;
            ports::veth::open_index(&host.name, host.ifindex, queues, record.offload)
        }
        opened => opened,
    };
    let opened = opened.map_err(packet)?;
    up()?;
    Ok(boxed(opened))
}

/// The same by `AF_XDP`, with one socket for each queue of the host end, and one queue for each worker. There may be more
/// or fewer workers than before a restart.
fn open_xdp(
    home: &Home,
    peer: Option<(&Inside, &Link)>,
    host: &HostEnd,
    queues: usize,
) -> Result<Vec<Box<dyn Port>>, Fault> {
    if let Some((inside, peer)) = peer {
        at_peer(inside, peer, "cannot keep the veth's tags in its frames", ethtool::tags_in_frames)?;
    }
    let set = ethtool::set_queues(&host.name, queues);
    set.map_err(|error| {
        system("cannot give the veth a queue for each worker (fewer workers, or a new endpoint, do)", error)
    })?;
    let gone = || system("the veth's host end is gone", io::ErrorKind::NotFound.into());
    let mtu = home.links.by_index(host.ifindex).map_err(netlink)?.ok_or_else(gone)?.mtu;
    let opened = ports::xdp::open_index(&host.name, host.ifindex, mtu, queues).map_err(xdp)?;
    home.links.set_up(host.ifindex).map_err(netlink)?;
    Ok(boxed(opened))
}

fn at_peer(
    inside: &Inside,
    peer: &Link,
    what: &str,
    work: impl FnOnce(&str) -> io::Result<()> + Send,
) -> Result<(), Fault> {
    let done = inside.namespace.enter(|| work(&peer.name));
    done.map_err(|error| entering(&inside.reference.to_string(), error))?.map_err(|error| system(what, error))
}
