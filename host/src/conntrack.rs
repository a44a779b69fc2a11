//! Which flows have to be forgotten when a port is published, moved or no longer published?
//!
//! A translated flow keeps its translation as long as packets come: UDP that began before a port was published, or while
//! it led to another container, would never find the new one. dockerd clears the same entries, and leaves some.
//! By netlink (`linux/netfilter/nfnetlink_conntrack.h`): a dump, and a deletion for each flow that matches.

use std::io;
use std::net::IpAddr;

use crate::netlink::{Netlink, attribute, push_attribute};
use crate::{HostFault, Protocol};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const GET: u16 = 0x101;
/// `.. | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 0x102;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// `IPS_SRC_NAT`, `IPS_DST_NAT`.
const SOURCE_TRANSLATED: u32 = 0x10;
const DESTINATION_TRANSLATED: u32 = 0x20;

/// Flows to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    /// Those that came for a port of the host, translated or not. For UDP, whenever what the port leads to changes. A TCP
    /// connection to the old container lives on if that one lives; if not, [`Flows::Container`] ends it.
    HostPort {
        /// The protocol.
        protocol: Protocol,
        /// The host's address; unspecified for every address of its family.
        host_ip: IpAddr,
        /// The port.
        port: u16,
    },
    /// Those of a container's address, of every protocol, in either direction. When its endpoint is gone.
    Container(IpAddr),
}

/// One end's view of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tuple {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    destination_port: u16,
}

#[derive(Debug)]
struct Flow {
    original: Tuple,
    reply: Tuple,
    status: u32,
    /// What a deletion has to name.
    key: Vec<u8>,
}

/// Forget every flow that is one of `flows`. Answers how many there were.
///
/// # Errors
/// The kernel refused to list or to delete; `EPERM` without `CAP_NET_ADMIN`.
pub fn flush_conntrack(flows: &[Flows]) -> Result<usize, HostFault> {
    let wrong = |source| HostFault::io("connection tracking (needs CAP_NET_ADMIN and nf_conntrack_netlink)", source);
    if flows.is_empty() {
        return Ok(0);
    }
    let mut netlink = Netlink::open(0).map_err(wrong)?;
    let mut count = 0;
    for (family, v4) in [(2_u8, true), (10_u8, false)] {
        let ours: Vec<&Flows> = flows.iter().filter(|flows| flows.is_v4() == v4).collect();
        if ours.is_empty() {
            continue;
        }
        let mut found = Vec::new();
        let mut look = |octets: &[u8]| {
            if let Some(flow) = read(octets).filter(|flow| ours.iter().any(|flows| flows.has(flow))) {
                found.push(flow.key);
            }
        };
        netlink.dump(GET, family, &mut look).map_err(wrong)?;
        for key in found {
            match netlink.request(DELETE, family, &key) {
                Ok(()) => count += 1,
                // It ended by itself.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(wrong(error)),
            }
        }
    }
    Ok(count)
}

/// Can flows be listed here?
pub(crate) fn available() -> io::Result<()> {
    Netlink::open(0)?.dump(GET, 2, |_| {})
}

impl Flows {
    fn is_v4(&self) -> bool {
        match self {
            Self::HostPort { host_ip: address, .. } | Self::Container(address) => address.is_ipv4(),
        }
    }

    fn has(&self, flow: &Flow) -> bool {
        match *self {
            Self::Container(address) => {
                let of = |tuple: &Tuple| tuple.source == address || tuple.destination == address;
                of(&flow.original) || of(&flow.reply)
            }
            Self::HostPort { protocol, host_ip, port } => {
                // A container's own flow to that port somewhere outside is translated at its source alone.
                let passes_by = flow.status & (SOURCE_TRANSLATED | DESTINATION_TRANSLATED) == SOURCE_TRANSLATED;
                !passes_by
                    && flow.original.protocol == protocol.number()
                    && flow.original.destination_port == port
                    && (host_ip.is_unspecified() || host_ip == flow.original.destination)
            }
        }
    }
}

fn read(octets: &[u8]) -> Option<Flow> {
    let original = attribute(octets, TUPLE_ORIGINAL)?;
    let mut key = Vec::new();
    push_attribute(&mut key, TUPLE_ORIGINAL, true, original);
    for kind in [ID, ZONE] {
        if let Some(value) = attribute(octets, kind) {
            push_attribute(&mut key, kind, false, value);
        }
    }
    let status =
        attribute(octets, STATUS).and_then(|value| value.first_chunk()).map_or(0, |value| u32::from_be_bytes(*value));
    Some(Flow { original: tuple(original)?, reply: tuple(attribute(octets, TUPLE_REPLY)?)?, status, key })
}

/// `CTA_TUPLE_IP` and `CTA_TUPLE_PROTO`.
fn tuple(octets: &[u8]) -> Option<Tuple> {
    let addresses = attribute(octets, 1)?;
    let transport = attribute(octets, 2)?;
    let v4 = |kind| Some(IpAddr::from(*attribute(addresses, kind)?.first_chunk::<4>()?));
    let v6 = |kind| Some(IpAddr::from(*attribute(addresses, kind)?.first_chunk::<16>()?));
    Some(Tuple {
        source: v4(1).or_else(|| v6(3))?,
        destination: v4(2).or_else(|| v6(4))?,
        protocol: *attribute(transport, 1)?.first()?,
        // ICMP has none.
        destination_port: attribute(transport, 3)
            .and_then(|value| value.first_chunk())
            .map_or(0, |value| u16::from_be_bytes(*value)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(protocol: u8, original: (&str, &str, u16), reply: (&str, &str), status: u32) -> Flow {
        let tuple = |source: &str, destination: &str, destination_port| Tuple {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol,
            destination_port,
        };
        Flow {
            original: tuple(original.0, original.1, original.2),
            reply: tuple(reply.0, reply.1, 9),
            status,
            key: vec![],
        }
    }

    #[test]
    fn which_flows_a_host_port_has() {
        let any = Flows::HostPort { protocol: Protocol::Udp, host_ip: "0.0.0.0".parse().unwrap(), port: 53 };
        let one = Flows::HostPort { protocol: Protocol::Udp, host_ip: "192.0.2.1".parse().unwrap(), port: 53 };
        let published = flow(17, ("192.0.2.9", "192.0.2.1", 53), ("10.1.0.2", "192.0.2.9"), DESTINATION_TRANSLATED);
        let hairpin = flow(
            17,
            ("10.1.0.3", "192.0.2.1", 53),
            ("10.1.0.2", "10.1.0.1"),
            DESTINATION_TRANSLATED | SOURCE_TRANSLATED,
        );
        let before = flow(17, ("192.0.2.9", "192.0.2.1", 53), ("192.0.2.1", "192.0.2.9"), 0);
        let passing = flow(17, ("10.1.0.2", "203.0.113.1", 53), ("203.0.113.1", "192.0.2.1"), SOURCE_TRANSLATED);
        let tcp = flow(6, ("192.0.2.9", "192.0.2.1", 53), ("10.1.0.2", "192.0.2.9"), DESTINATION_TRANSLATED);
        let elsewhere = flow(17, ("192.0.2.9", "192.0.2.2", 53), ("10.1.0.2", "192.0.2.9"), DESTINATION_TRANSLATED);
        for (flow, by_any, by_one) in [
            (&published, true, true),
            (&hairpin, true, true),
            (&before, true, true),
            (&passing, false, false),
            (&tcp, false, false),
            (&elsewhere, true, false),
        ] {
            assert_eq!((any.has(flow), one.has(flow)), (by_any, by_one), "{flow:?}");
        }
        let container = Flows::Container("10.1.0.2".parse().unwrap());
        assert!([&published, &hairpin, &passing, &tcp, &elsewhere].iter().all(|flow| container.has(flow)));
        assert!(!container.has(&before));
    }
}
