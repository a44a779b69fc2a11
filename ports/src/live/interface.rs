//! Does an interface take frames from XDP, and what has become of those it took? The first is what the driver says of itself
//! (generic netlink family `netdev`, Linux 6.3; Documentation/netlink/specs/netdev.yaml), the second what it counts
//! (`RTM_GETSTATS`, `linux/if_link.h`).

use std::io;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::stats::{StatsFilterMask, StatsMessage};

use crate::netlink::{Connection, attributes, u32_of};

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_*` (`linux/genetlink.h`).
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// Octets of `struct genlmsghdr`.
const GENL_HEADER_OCTETS: usize = 4;
/// `linux/netdev.h`.
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// The driver sends what is redirected to it (`ndo_xdp_xmit`).
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 1 << 2;
/// `struct if_stats_msg` and, of `struct rtnl_link_stats64`, the places of `tx_packets` and `tx_dropped`.
const STATS_HEADER_OCTETS: usize = 12;
const IFLA_STATS_LINK_64: u16 = 1;
const TX_PACKETS: usize = 1;
const TX_DROPPED: usize = 7;

/// Does the interface of this number, in the calling thread's namespace, take frames that are redirected to it?
///
/// # Errors
/// No such interface (`ENODEV`); before Linux 6.3 there is nobody to ask (`ENOENT`).
pub(super) fn takes_frames(ifindex: u32) -> io::Result<bool> {
    let mut connection = Connection::generic()?;
    let family = connection
        .request_octets(GENL_ID_CTRL, &request(CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"netdev\0"))
        .map_err(|refusal| refusal.source)?;
    let find = |payload: &[u8], kind| {
        attributes(payload, GENL_HEADER_OCTETS).find(|(found, _)| *found == kind).map(|(_, value)| value.to_vec())
    };
    let family = family.iter().find_map(|reply| find(&reply.payload, CTRL_ATTR_FAMILY_ID));
    let family = family.and_then(|value| Some(u16::from_ne_bytes(*value.first_chunk()?)));
    let family = family.ok_or(io::ErrorKind::InvalidData)?;
    let device = connection
        .request_octets(family, &request(NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &ifindex.to_ne_bytes()))
        .map_err(|refusal| refusal.source)?;
    let features = device.iter().find_map(|reply| find(&reply.payload, NETDEV_A_DEV_XDP_FEATURES));
    // A number of 64 bits, which newer kernels may shorten to 32.
    let features = features.and_then(|value| match value.first_chunk() {
        Some(octets) => Some(u64::from_ne_bytes(*octets)),
        None => u32_of(&value).map(u64::from),
    });
    Ok(features.unwrap_or(0) & NETDEV_XDP_ACT_NDO_XMIT != 0)
}

/// A request of generic netlink with one attribute.
fn request(command: u8, kind: u16, value: &[u8]) -> Vec<u8> {
    let mut octets = vec![command, 1, 0, 0];
    octets.extend(((4 + value.len()) as u16).to_ne_bytes());
    octets.extend(kind.to_ne_bytes());
    octets.extend(value);
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

/// What an interface has sent since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counted {
    /// Frames that left. On a veth those that the other end has taken up, on a TAP those that were read.
    pub(super) sent: u64,
    /// Frames that the interface itself dropped: no room, too long for the other end.
    pub(super) dropped: u64,
}

/// Asks for an interface's counters.
pub(super) struct Counters {
    connection: Connection,
    ifindex: u32,
}

impl Counters {
    /// Those of an interface of the calling thread's namespace, whoever asks later.
    pub(super) fn open(ifindex: u32) -> io::Result<Self> {
        Ok(Self { connection: Connection::open()?, ifindex })
    }

    /// What they say now.
    ///
    /// # Errors
    /// The interface is gone (`ENODEV`).
    pub(super) fn read(&mut self) -> io::Result<Counted> {
        let mut message = StatsMessage::default();
        (message.header.ifindex, message.header.filter_mask) = (self.ifindex, StatsFilterMask::Link64);
        let replies =
            self.connection.request(RouteNetlinkMessage::GetStats(message), 0).map_err(|refusal| refusal.source)?;
        let counted = replies.iter().find_map(|reply| counted(&reply.payload));
        counted.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// The counters in the payload of an `RTM_NEWSTATS`.
fn counted(payload: &[u8]) -> Option<Counted> {
    let (_, stats) = attributes(payload, STATS_HEADER_OCTETS).find(|(kind, _)| *kind == IFLA_STATS_LINK_64)?;
    let number = |place: usize| Some(u64::from_ne_bytes(*stats.get(place * 8..)?.first_chunk()?));
    Some(Counted { sent: number(TX_PACKETS)?, dropped: number(TX_DROPPED)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_where_the_kernel_writes_them() {
        // rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast ..
        let stats: Vec<u8> = (0..24_u64).flat_map(|place| (100 + place).to_ne_bytes()).collect();
        let mut payload = vec![0; STATS_HEADER_OCTETS];
        payload.extend(((4 + stats.len()) as u16).to_ne_bytes());
        payload.extend(IFLA_STATS_LINK_64.to_ne_bytes());
        payload.extend(&stats);
        assert_eq!(counted(&payload), Some(Counted { sent: 101, dropped: 107 }));
        for cut in 0..payload.len() {
            assert_eq!(counted(&payload[..cut]), None, "{cut} octets");
        }
    }

    #[test]
    fn a_request_is_padded_to_four() {
        assert_eq!(request(3, 2, b"netdev\0"), *b"\x03\x01\0\0\x0b\0\x02\0netdev\0\0");
    }

    #[test]
    fn the_loopback_interface_takes_none() {
        let lo = crate::sys::interface_index("lo").unwrap();
        // Older kernels cannot be asked.
        assert!(!takes_frames(lo).unwrap_or(false));
        assert!(takes_frames(u32::MAX >> 1).is_err());
        assert!(Counters::open(lo).unwrap().read().is_ok());
        assert_eq!(Counters::open(u32::MAX >> 1).unwrap().read().unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
