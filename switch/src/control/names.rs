//! What are ports, networks and stations called at the moment? For whoever puts names in place of numbers in a record, and
//! numbers in place of names in a filter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use frame::{FrameNumber, MacAddr, NetworkId, PortId};
use trace::Names;
use trace::filter::Ids;

use super::memory::Memory;

/// What ports, networks and stations are called at the moment.
#[derive(Clone, Default)]
pub struct NameBook {
    /// Endpoints' names.
    pub ports: HashMap<PortId, String>,
    /// Networks' names.
    pub networks: HashMap<NetworkId, String>,
    /// Whose addresses they are: endpoints', and `gateway`.
    pub stations: HashMap<(NetworkId, MacAddr), String>,
    /// Whose IP addresses they are, the same.
    pub ips: HashMap<(NetworkId, IpAddr), String>,
}

impl Names for NameBook {
    fn port(&self, port: PortId) -> Cow<'_, str> {
        self.ports.get(&port).map_or_else(|| port.to_string().into(), |name| name.as_str().into())
    }

    fn network(&self, network: NetworkId) -> Cow<'_, str> {
        self.networks.get(&network).map_or_else(|| network.to_string().into(), |name| name.as_str().into())
    }

    fn mac(&self, network: NetworkId, mac: MacAddr) -> Option<Cow<'_, str>> {
        self.stations.get(&(network, mac)).map(|name| name.as_str().into())
    }
}

/// Endpoints of several networks may have the same name: a filter that names it means them all.
impl Ids for NameBook {
    fn ports(&self, name: &str) -> Vec<PortId> {
        self.ports.iter().filter(|(_, called)| *called == name).map(|(port, _)| *port).collect()
    }

    fn networks(&self, name: &str) -> Vec<NetworkId> {
        self.networks.iter().filter(|(_, called)| *called == name).map(|(network, _)| *network).collect()
    }

    fn macs(&self, name: &str) -> Vec<MacAddr> {
        self.stations.iter().filter(|(_, called)| *called == name).map(|((_, mac), _)| *mac).collect()
    }

    fn ips(&self, name: &str) -> Vec<IpAddr> {
        self.ips.iter().filter(|(_, called)| *called == name).map(|((_, ip), _)| *ip).collect()
    }
}

/// The names for one frame's record, with what the switch remembered when the frame came.
pub(super) struct NamesFor<'a> {
    pub(super) book: &'a NameBook,
    pub(super) memory: &'a Memory,
    pub(super) frame: FrameNumber,
}

impl Names for NamesFor<'_> {
    fn port(&self, port: PortId) -> Cow<'_, str> {
        self.book.port(port)
    }

    fn network(&self, network: NetworkId) -> Cow<'_, str> {
        self.book.network(network)
    }

    fn mac(&self, network: NetworkId, mac: MacAddr) -> Option<Cow<'_, str>> {
        self.book.mac(network, mac)
    }

    fn taught_by(&self, network: NetworkId, mac: MacAddr) -> Option<FrameNumber> {
        self.memory.taught_before(network, mac, self.frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_every_endpoint_of_that_name() {
        let mut book = NameBook::default();
        book.ports.extend([(PortId(1), "web".to_owned()), (PortId(2), "db".to_owned()), (PortId(3), "web".to_owned())]);
        book.networks.insert(NetworkId(4), "blue".to_owned());
        book.stations.insert((NetworkId(4), MacAddr([2, 0, 0, 0, 0, 1])), "web".to_owned());
        let mut ports = Ids::ports(&book, "web");
        ports.sort();
        assert_eq!(ports, [PortId(1), PortId(3)]);
        assert_eq!(Ids::networks(&book, "blue"), [NetworkId(4)]);
        assert_eq!(book.macs("web"), [MacAddr([2, 0, 0, 0, 0, 1])]);
        assert!(Ids::ports(&book, "nobody").is_empty() && book.ips("web").is_empty());
    }
}
