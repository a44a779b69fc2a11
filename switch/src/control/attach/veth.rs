//! How is a veth made? Its container end directly in the container's namespace; its host end without addresses, ARP and
//! IPv6, and up only when the sockets that read it are open, so that the host's own stack has nothing to say there.

use std::io;

use ports::ethtool;
use ports::link::VethPair;
use ports::veth::VethQueue;

use super::faults::{entering, netlink, packet, system};
use super::tap::boxed;
use super::{Home, HostEnd, Inside, Made, Place, SUPER_FRAME_OCTETS, Wanted, host_name};
use crate::control::Fault;

/// A veth, both ends set, the host end up and read.
pub(super) fn pair(home: &Home, inside: &Inside, wanted: &Wanted<'_>) -> Result<Made, Fault> {
    let nsid = home.nsid_of(inside)?;
    let record = wanted.record;
    let name = record.host_ifname.clone().unwrap_or_else(host_name);
    let host = home
        .links
        .create_veth(&VethPair {
            name: &name,
            peer_name: &record.ifname,
            peer_namespace: Some(&inside.namespace),
            peer_mac: Some(record.mac),
            mtu: Some(wanted.mtu),
            peer_mtu: Some(wanted.mtu),
        })
        .map_err(netlink)?;
    let host = HostEnd { name, ifindex: host.index };
    let finished = finish(home, inside, wanted, &host);
    match finished {
        Ok((ifindex, queues)) => {
            let place = Place { identity: inside.identity, nsid, ifindex, pins: false, host: Some(host) };
            Ok(Made { place, queues: boxed(queues) })
        }
        Err(fault) => Err(match home.links.delete(host.ifindex) {
            Ok(()) => fault,
            Err(left) => Fault::Several(format!("{fault}; and then: {left}")),
        }),
    }
}

fn finish(home: &Home, inside: &Inside, wanted: &Wanted<'_>, host: &HostEnd) -> Result<(u32, Vec<VethQueue>), Fault> {
    let links = &home.links;
    links.no_ipv6(host.ifindex).map_err(netlink)?;
    links.no_ipv4(host.ifindex).map_err(netlink)?;
    links.no_arp(host.ifindex).map_err(netlink)?;
    links.set_gso_max(host.ifindex, SUPER_FRAME_OCTETS).map_err(netlink)?;
    let peer = inside.named(&wanted.record.ifname)?;
    inside.links.set_gso_max(peer.index, SUPER_FRAME_OCTETS).map_err(netlink)?;
    if !wanted.record.offload {
        let ifname = wanted.record.ifname.as_str();
        inside
            .namespace
            .enter(|| ethtool::offloads_off(ifname))
            .map_err(|error| entering(&inside.reference.to_string(), error))?
            .map_err(|error| system("cannot put the veth in wire mode", error))?;
    }
    let queues = open(home, host, wanted.queues, wanted.record.offload)?;
    Ok((peer.index, queues))
}

/// Open the sockets, then set the host end up.
pub(super) fn open(home: &Home, host: &HostEnd, queues: usize, offload: bool) -> Result<Vec<VethQueue>, Fault> {
    let up = || home.links.set_up(host.ifindex).map_err(netlink);
    let opened = match ports::veth::open_index(&host.name, host.ifindex, queues, offload) {
        // Before Linux 6.13 a link that is down could not be divided between sockets.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && queues > 1 => {
            up()?;
            ports::veth::open_index(&host.name, host.ifindex, queues, offload)
        }
        opened => opened,
    };
    let opened = opened.map_err(packet)?;
    up()?;
    Ok(opened)
}
