//! Whose neighbor caches are there, and what is in one now? An endpoint's cache is that of its own interface, in the
//! namespace where the endpoint was last found; the host's end of a network is one of them.
//!
//! A namespace is opened for each look and let go at once: a socket left in it would keep it alive, and its end would never
//! be heard.

use std::net::IpAddr;
use std::sync::Arc;

use frame::{NetworkId, PortId};
use ports::neighbors::{Neighbor, neighbors_in};
use ports::netns::NamespaceRef;

use crate::control::attach::{Home, Place};
use crate::control::book::{Endpoint, Network};
use crate::engine::counters::{PerWorker, PortCount};

/// An endpoint with a cache of its own.
#[derive(Clone)]
pub(super) struct CacheHost {
    pub(super) port: PortId,
    pub(super) network: NetworkId,
    pub(super) network_name: String,
    pub(super) endpoint: String,
    /// How its namespace is called.
    netns: String,
    /// Where its interface is; `None` when it is gone.
    pub(super) place: Option<Place>,
    counts: Option<Arc<PerWorker<PortCount>>>,
}

/// The endpoints of these networks.
pub(super) fn hosts<'a>(networks: impl Iterator<Item = &'a Network>) -> Vec<CacheHost> {
    networks.flat_map(|network| network.endpoints.iter().map(|endpoint| CacheHost::of(network, endpoint))).collect()
}

impl CacheHost {
    fn of(network: &Network, endpoint: &Endpoint) -> Self {
        Self {
            port: endpoint.port(),
            network: network.id(),
            network_name: network.name().to_owned(),
            endpoint: endpoint.record.name.clone(),
            netns: endpoint.record.netns.clone(),
            place: endpoint.place.clone().filter(|_| !endpoint.gone),
            counts: endpoint.counts.clone(),
        }
    }

    /// Is it the same interface in the same namespace?
    pub(super) fn is_still(&self, other: &Self) -> bool {
        self.place == other.place && (&self.endpoint, &self.network_name) == (&other.endpoint, &other.network_name)
    }

    /// Frames that it has sent. Whatever its cache does unheard (asking for somebody, using a stale entry) is for a frame
    /// that follows.
    pub(super) fn sent(&self) -> u64 {
        self.counts.as_deref().map_or(0, |counts| counts.sum(|count| count.rx_frames.get()))
    }

    /// What is in its cache now.
    ///
    /// # Errors
    /// In words: why it cannot be read.
    pub(super) fn look(&self, home: &Home) -> Result<Vec<Neighbor>, String> {
        let Some(place) = &self.place else { return Err("its interface is gone".to_owned()) };
        if place.ifindex == 0 {
            return Err("its interface was moved to where it cannot be followed".to_owned());
        }
        let reference: NamespaceRef = self.netns.parse().map_err(|error| format!("{error}"))?;
        let namespace = home.open(&reference).map_err(|fault| fault.to_string())?;
        if namespace.identity().map_err(|error| error.to_string())? != place.identity {
            return Err(format!("'{}' is another namespace by now", self.netns));
        }
        let found = neighbors_in(&namespace).map_err(|error| error.to_string())?;
        Ok(found.into_iter().filter(|neighbor| neighbor.ifindex == place.ifindex && is_learned(neighbor)).collect())
    }
}

/// Is it one that somebody had to tell? Those for groups are computed from the address.
pub(super) fn is_learned(neighbor: &Neighbor) -> bool {
    let group = match neighbor.ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_multicast(),
    };
    !group && neighbor.mac.is_none_or(|mac| mac.0[0] & 1 == 0)
}

#[cfg(test)]
impl CacheHost {
    /// A host in a namespace of the same number as its port, with interface 2.
    pub(super) fn for_test(port: PortId, network: NetworkId, endpoint: &str) -> Self {
        let identity = ports::netns::NamespaceId { device: 1, inode: u64::from(port.0) };
        let place = Place { identity, nsid: Some(i32::from(port.0)), ifindex: 2, pins: false, host: None };
        Self {
            port,
            network,
            network_name: "blue".to_owned(),
            endpoint: endpoint.to_owned(),
            netns: endpoint.to_owned(),
            place: Some(place),
            counts: None,
        }
    }
}
