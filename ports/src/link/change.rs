//! How is an interface made, set, moved, deleted? (`RTM_NEWLINK`, `RTM_SETLINK`, `RTM_DELLINK`; `linux/if_link.h`)

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use frame::MacAddr;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};

use super::{IFF_NOARP, IFF_UP, Link, Links, at, check_name};
use crate::netlink::{NetlinkError, Refusal};
use crate::netns::Namespace;

/// A veth to be made: the host end, and the peer that becomes a container's interface.
#[derive(Debug, Default)]
pub struct VethPair<'a> {
    /// The host end's name.
    pub name: &'a str,
    /// The peer's name.
    pub peer_name: &'a str,
    /// Where the peer is to be; beside the host end if `None`.
    pub peer_namespace: Option<&'a Namespace>,
    /// The peer's MAC address; the kernel draws one if `None`.
    pub peer_mac: Option<MacAddr>,
    /// The host end's MTU in octets; the kernel's 1500 if `None`.
    pub mtu: Option<u32>,
    /// The peer's MTU in octets.
    pub peer_mtu: Option<u32>,
}

impl Links {
    /// Make a veth, both ends down, in one request, and return the host end. The peer is made where it is to be, so
    /// nothing else ever sees it elsewhere.
    ///
    /// # Errors
    /// A name that is taken (`AlreadyExists`) or none; an MTU outside 68 to 65,535; no `CAP_NET_ADMIN`.
    pub fn create_veth(&self, pair: &VethPair<'_>) -> Result<Link, NetlinkError> {
        self.create_veth_with(pair, None)
    }

    /// The same with so many receive and transmit queues at the host end, all of them in use, and one of each at the peer.
    /// Of itself the kernel makes as many as there are CPUs, and uses one.
    ///
    /// # Errors
    /// As [`Links::create_veth`]; none, or more than 4096 (`EINVAL`).
    pub fn create_veth_with_queues(&self, pair: &VethPair<'_>, queues: u32) -> Result<Link, NetlinkError> {
        self.create_veth_with(pair, Some(queues))
    }

    fn create_veth_with(&self, pair: &VethPair<'_>, queues: Option<u32>) -> Result<Link, NetlinkError> {
        let what = || format!("make the veth '{}' with the peer '{}'", pair.name, pair.peer_name);
        for name in [pair.name, pair.peer_name] {
            check_name(name)
                .map_err(|bad| NetlinkError::new(what(), io::Error::new(io::ErrorKind::InvalidInput, bad)))?;
        }
        let mut peer = peer_message(pair);
        if queues.is_some() {
            peer.attributes.extend([LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)]);
        }
        let peer = InfoData::Veth(InfoVeth::Peer(peer));
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(pair.name.to_owned()));
        message.attributes.extend(pair.mtu.map(LinkAttribute::Mtu));
        if let Some(queues) = queues {
            message.attributes.extend([LinkAttribute::NumTxQueues(queues), LinkAttribute::NumRxQueues(queues)]);
        }
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(peer)]));
        self.connection()
            .request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
            .map_err(|refusal| refusal.while_trying_to(what()))?;
        let gone = || NetlinkError::new(what(), io::Error::from(io::ErrorKind::NotFound));
        self.by_name(pair.name)?.ok_or_else(gone)
    }

    /// Set an interface up.
    ///
    /// # Errors
    /// There is none of that number (`ENODEV`); no `CAP_NET_ADMIN`. So for all that change one.
    pub fn set_up(&self, index: u32) -> Result<(), NetlinkError> {
        self.set_flags(index, IFF_UP, IFF_UP).map_err(self.named(index, |name| format!("set {name} up")))
    }

    /// Set an interface down. Its routes, and its IPv6 addresses, go.
    ///
    /// # Errors
    /// As [`Links::set_up`].
    pub fn set_down(&self, index: u32) -> Result<(), NetlinkError> {
        self.set_flags(index, 0, IFF_UP).map_err(self.named(index, |name| format!("set {name} down")))
    }

    /// Let the kernel neither ask nor answer ARP there (`IFF_NOARP`).
    ///
    /// # Errors
    /// As [`Links::set_up`].
    pub fn no_arp(&self, index: u32) -> Result<(), NetlinkError> {
        let named = self.named(index, |name| format!("turn ARP off on {name}"));
        self.set_flags(index, IFF_NOARP, IFF_NOARP).map_err(named)
    }

    /// Keep IPv6 off the interface: no link-local address is made (`IN6_ADDR_GEN_MODE_NONE`), and where the sysctl can
    /// be written IPv6 is disabled altogether, so that no MLD report or router solicitation leaves either. Call it
    /// before the interface is set up. On a kernel without IPv6 there is nothing to do.
    ///
    /// # Errors
    /// As [`Links::set_up`].
    pub fn no_ipv6(&self, index: u32) -> Result<(), NetlinkError> {
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let spec = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]);
        match self.change(index, vec![spec]) {
            Ok(()) => {}
            Err(refusal) if refusal.is(libc::EAFNOSUPPORT) => return Ok(()),
            Err(refusal) => return Err(self.named(index, |name| format!("keep IPv6 off {name}"))(refusal)),
        }
        if let Some(link) = self.by_index(index)? {
            let sysctl = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", link.name);
            // /proc/sys/net shows the namespace of the thread that opens it. Often read-only inside a container: the
            // mode above has to do there.
            let written = self.namespace.enter(|| fs::write(&sysctl, "1")).and_then(|written| written);
            if let Err(error) = written {
                tracing::debug!(%sysctl, %error, "IPv6 stays enabled, without an address");
            }
        }
        Ok(())
    }

    /// Let the host's own stack take no IPv4 packet from the interface: strict reverse path filtering (RFC 3704, 2.2;
    /// `rp_filter` in the kernel's ip-sysctl.rst) refuses a source that is not routed back there, and on an interface
    /// without address or route none is. Only a packet from 0.0.0.0 to everybody (DHCP) still passes. A packet
    /// socket on the interface sees everything as before.
    ///
    /// # Errors
    /// What is wrong with the interface. Where the sysctl cannot be written (read-only inside some containers), the log
    /// says so.
    pub fn no_ipv4(&self, index: u32) -> Result<(), NetlinkError> {
        if let Some(link) = self.by_index(index)? {
            let sysctl = format!("/proc/sys/net/ipv4/conf/{}/rp_filter", link.name);
            let written = self.namespace.enter(|| fs::write(&sysctl, "1")).and_then(|written| written);
            if let Err(error) = written {
                tracing::warn!(%sysctl, %error, "a container can send IPv4 packets to the host by its veth");
            }
        }
        Ok(())
    }

    /// Set the MTU in octets.
    ///
    /// # Errors
    /// As [`Links::set_up`]; outside what the driver takes (`EINVAL`).
    pub fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), NetlinkError> {
        let named = self.named(index, |name| format!("set the MTU of {name} to {mtu}"));
        self.change(index, vec![LinkAttribute::Mtu(mtu)]).map_err(named)
    }

    /// Set the MAC address.
    ///
    /// # Errors
    /// As [`Links::set_up`]; a group address or zero (`EADDRNOTAVAIL`).
    pub fn set_mac(&self, index: u32, mac: MacAddr) -> Result<(), NetlinkError> {
        let named = self.named(index, |name| format!("set the MAC address of {name} to {mac}"));
        self.change(index, vec![LinkAttribute::Address(mac.0.to_vec())]).map_err(named)
    }

    /// Set the transmit queue's length in frames: for a TAP, how many may wait for its reader.
    ///
    /// # Errors
    /// As [`Links::set_up`].
    pub fn set_txqueuelen(&self, index: u32, frames: u32) -> Result<(), NetlinkError> {
        let named = self.named(index, |name| format!("set the queue length of {name} to {frames}"));
        self.change(index, vec![LinkAttribute::TxQueueLen(frames)]).map_err(named)
    }

    /// Let nothing wait in front of the interface's own queue (the queueing discipline `noqueue`, tc(8)). Of itself the
    /// kernel puts `pfifo_fast` before each transmit queue when it sets an interface up: for a TAP with more than one that
    /// is 256 times three rings of the queue's length (`mq_init`, `net/sched/sch_mq.c`; `MAX_TAP_QUEUES`,
    /// `drivers/net/tun.c`), 6 MiB, in which no frame ever waits, because a TAP drops what does not fit. A move into another
    /// namespace undoes it (`dev_shutdown`).
    ///
    /// # Errors
    /// As [`Links::set_up`].
    pub fn set_noqueue(&self, index: u32) -> Result<(), NetlinkError> {
        let mut message = TcMessage::default();
        message.header.index = index.cast_signed();
        message.header.parent = TcHandle::ROOT;
        message.attributes.push(TcAttribute::Kind("noqueue".to_owned()));
        let message = RouteNetlinkMessage::NewQueueDiscipline(message);
        let set = self.connection().request(message, NLM_F_CREATE | NLM_F_REPLACE);
        set.map(drop).map_err(self.named(index, |name| format!("take the queueing discipline of {name} away")))
    }

    /// Bound the super-frames the kernel builds for this interface, in octets, for IPv4 and IPv6: a buffer here holds
    /// 65,535 IP octets, and "BIG TCP" would build longer ones. More than 65,536 is taken as that.
    ///
    /// # Errors
    /// As [`Links::set_up`].
    pub fn set_gso_max(&self, index: u32, octets: u32) -> Result<(), NetlinkError> {
        let octets = octets.min(65_536);
        let named = self.named(index, |name| format!("bound the super-frames of {name} to {octets}"));
        self.change(index, vec![LinkAttribute::GsoMaxSize(octets), LinkAttribute::GsoIpv4MaxSize(octets)])
            .map_err(named)
    }

    /// Rename an interface. Most kernels do it while it is up (since Linux 6.2); older ones refuse (`EBUSY`).
    ///
    /// # Errors
    /// As [`Links::set_up`]; the name is taken (`AlreadyExists`) or none (`InvalidInput`).
    pub fn rename(&self, index: u32, name: &str) -> Result<(), NetlinkError> {
        let named = self.named(index, |old| format!("rename {old} to '{name}'"));
        let renamed = check_name(name)
            .map_err(|bad| Refusal::from(io::Error::new(io::ErrorKind::InvalidInput, bad)))
            .and_then(|()| self.change(index, vec![LinkAttribute::IfName(name.to_owned())]));
        renamed.map_err(named)
    }

    /// Move an interface into another namespace under a new name, in one request: a name that is taken here does not
    /// matter. It arrives down, without addresses, and under another number if its own is taken there.
    ///
    /// The kernel moves first and renames then, and leaves the interface there under its old name when the new one is
    /// taken (seen on Linux 6.18). It is brought back here in that case, down and without addresses.
    ///
    /// # Errors
    /// As [`Links::set_up`]; the name is taken there (`AlreadyExists`) or none (`InvalidInput`).
    pub fn move_to(&self, index: u32, namespace: &Namespace, new_name: &str) -> Result<(), NetlinkError> {
        let before = self.by_index(index)?;
        let checked =
            check_name(new_name).map_err(|bad| Refusal::from(io::Error::new(io::ErrorKind::InvalidInput, bad)));
        let moved = checked.and_then(|()| {
            let there = LinkAttribute::NetNsFd(namespace.as_fd().as_raw_fd());
            self.change(index, vec![there, LinkAttribute::IfName(new_name.to_owned())])
        });
        let Err(refusal) = moved else { return Ok(()) };
        let mut what = format!("move interface {index} into another namespace as '{new_name}'");
        if let Some(Link { name, .. }) = before {
            what = format!("move '{name}' (interface {index}) into another namespace as '{new_name}'");
            if self.by_index(index)?.is_none() {
                self.fetch_back(namespace, &name)?;
            }
        }
        Err(refusal.while_trying_to(what))
    }

    /// Undo half a move.
    fn fetch_back(&self, namespace: &Namespace, name: &str) -> Result<(), NetlinkError> {
        let failed = |error| NetlinkError::new(format!("bring '{name}' back from another namespace"), error);
        let there = Self::in_namespace(namespace).map_err(failed)?;
        let Some(stranded) = there.by_name(name)? else { return Ok(()) };
        let here = LinkAttribute::NetNsFd(self.namespace.as_fd().as_raw_fd());
        let back = there.change(stranded.index, vec![here]);
        back.map_err(|refusal| refusal.while_trying_to(format!("bring '{name}' back from another namespace")))
    }

    /// Delete an interface; a veth goes with its peer. What is gone already is fine.
    ///
    /// # Errors
    /// No `CAP_NET_ADMIN`; hardware cannot be deleted (`EOPNOTSUPP`).
    pub fn delete(&self, index: u32) -> Result<(), NetlinkError> {
        let deleted = self.connection().request(RouteNetlinkMessage::DelLink(at(index)), 0);
        match deleted {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is(libc::ENODEV) => Ok(()),
            Err(refusal) => Err(self.named(index, |name| format!("delete {name}"))(refusal)),
        }
    }

    fn set_flags(&self, index: u32, flags: u32, mask: u32) -> Result<(), Refusal> {
        let mut message = at(index);
        message.header.flags = LinkFlags::from_bits_retain(flags);
        message.header.change_mask = LinkFlags::from_bits_retain(mask);
        self.connection().request(RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    fn change(&self, index: u32, attributes: Vec<LinkAttribute>) -> Result<(), Refusal> {
        let mut message = at(index);
        message.attributes = attributes;
        self.connection().request(RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }
}

/// What `VETH_INFO_PEER` carries: a link message of its own.
fn peer_message(pair: &VethPair<'_>) -> LinkMessage {
    let mut peer = LinkMessage::default();
    peer.attributes.push(LinkAttribute::IfName(pair.peer_name.to_owned()));
    peer.attributes.extend(pair.peer_mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    peer.attributes.extend(pair.peer_mtu.map(LinkAttribute::Mtu));
    peer.attributes.extend(pair.peer_namespace.map(|there| LinkAttribute::NetNsFd(there.as_fd().as_raw_fd())));
    peer
}
