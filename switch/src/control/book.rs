//! What does the control side know while it runs? The networks with their tables, the endpoints with their devices; and
//! what follows from it for others: the state to write down, the workers' snapshot, the names for the trace.

use std::net::IpAddr;
use std::sync::Arc;

use frame::{MacAddr, NetworkId, PortId};
use ipnet::IpNet;
use ports::losses::Losses;

use super::Fault;
use super::attach::Place;
use super::ipam::AddressBook;
use super::state::{EndpointRecord, NetworkRecord, State};
use super::trace_hub::NameBook;
use super::types::{ArpMode, EndpointInfo, NetworkInfo, PortState};
use crate::engine::counters::{PerWorker, PortCount};
use crate::engine::{GatewayView, NetworkTables, NetworkView, PortView, Snapshot};

/// Everything.
#[derive(Default)]
pub(super) struct Book {
    pub(super) networks: Vec<Network>,
    next_port: u16,
    next_network: u16,
    /// The switch is stopping: nothing more may change.
    pub(super) closed: bool,
}

/// A network.
pub(super) struct Network {
    /// As it is written down, without its endpoints.
    pub(super) record: NetworkRecord,
    pub(super) tables: Arc<NetworkTables>,
    pub(super) addresses: AddressBook,
    pub(super) endpoints: Vec<Endpoint>,
}

/// An endpoint.
pub(super) struct Endpoint {
    pub(super) record: EndpointRecord,
    /// Where its devices are, or were; `None` when they were not found after a restart.
    pub(super) place: Option<Place>,
    /// They are there no more, and the engine has no queue of it.
    pub(super) gone: bool,
    /// The container's end is set up.
    pub(super) inside_up: bool,
    /// A veth's host end is set up; always true for a TAP.
    pub(super) host_up: bool,
    pub(super) counts: Option<Arc<PerWorker<PortCount>>>,
    /// What its port loses to the kernel, before the engine sees it.
    pub(super) losses: Option<Arc<Losses>>,
}

impl Endpoint {
    /// One whose devices are there and up.
    pub(super) fn here(record: EndpointRecord, place: Place, counts: Arc<PerWorker<PortCount>>) -> Self {
        let (place, counts) = (Some(place), Some(counts));
        Self { record, place, gone: false, inside_up: true, host_up: true, counts, losses: None }
    }

    /// One whose devices were not found.
    pub(super) fn gone(record: EndpointRecord) -> Self {
        Self { record, place: None, gone: true, inside_up: false, host_up: false, counts: None, losses: None }
    }

    /// The queues keep the container's namespace alive.
    pub(super) fn pins(&self) -> bool {
        !self.gone && self.place.as_ref().is_some_and(|place| place.pins)
    }

    pub(super) fn port(&self) -> PortId {
        PortId(self.record.port)
    }

    pub(super) fn state(&self) -> PortState {
        match (self.gone, self.inside_up && self.host_up) {
            (true, _) => PortState::Gone,
            (false, true) => PortState::Up,
            (false, false) => PortState::Down,
        }
    }

    pub(super) fn info(&self, network: &str) -> EndpointInfo {
        let record = &self.record;
        EndpointInfo {
            endpoint: record.name.clone(),
            network: network.to_owned(),
            port: self.port().to_string(),
            netns: record.netns.clone(),
            ifname: record.ifname.clone(),
            ip: record.ip,
            mac: record.mac,
            kind: record.kind,
            offload: record.offload,
            pinned: record.pinned,
            state: self.state(),
        }
    }
}

impl Network {
    pub(super) fn id(&self) -> NetworkId {
        NetworkId(self.record.number)
    }

    pub(super) fn name(&self) -> &str {
        &self.record.name
    }

    pub(super) fn gateway_mac(&self) -> Option<MacAddr> {
        self.gateway().map(|gateway| gateway.mac)
    }

    fn gateway(&self) -> Option<GatewayView> {
        gateway_of(&self.record)
    }

    /// The endpoint of that name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn endpoint(&self, name: &str) -> Result<usize, Fault> {
        self.endpoints
            .iter()
            .position(|endpoint| endpoint.record.name == name)
            .ok_or_else(|| Fault::NoEndpoint { network: self.record.name.clone(), endpoint: name.to_owned() })
    }

    /// Who has that MAC address?
    pub(super) fn owner_of(&self, mac: MacAddr) -> Option<String> {
        if self.gateway_mac() == Some(mac) {
            return Some("the gateway".to_owned());
        }
        let owner = self.endpoints.iter().find(|endpoint| endpoint.record.mac == mac)?;
        Some(format!("endpoint '{}'", owner.record.name))
    }

    pub(super) fn info(&self) -> NetworkInfo {
        let record = &self.record;
        let mut endpoints: Vec<_> = self.endpoints.iter().map(|endpoint| endpoint.info(self.name())).collect();
        endpoints.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        let mut peers = record.peers.clone();
        peers.sort();
        NetworkInfo {
            name: record.name.clone(),
            id: record.id.clone(),
            subnet: record.subnet,
            gateway: record.gateway,
            gateway_mac: self.gateway_mac(),
            gateway_mode: record.gateway_mode,
            mtu: record.mtu,
            mac_limit: record.mac_limit,
            mac_capacity: record.mac_capacity,
            ageing: record.ageing,
            arp: record.arp,
            forward_reserved: record.forward_reserved,
            peers,
            endpoints,
        }
    }
}

/// The gateway of a network in router mode: its MAC address reads like its IP address.
pub(super) fn gateway_of(record: &NetworkRecord) -> Option<GatewayView> {
    match record.gateway {
        Some(IpAddr::V4(ip)) => Some(GatewayView { ip, mac: MacAddr::from_ipv4(ip) }),
        _ => None,
    }
}

impl Book {
    /// A book with the numbers where an earlier one stopped, and no network yet.
    pub(super) fn resume(state: &State) -> Self {
        Self { next_port: state.next_port, next_network: state.next_network, ..Self::default() }
    }

    /// The network of that name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn index(&self, name: &str) -> Result<usize, Fault> {
        let found = self.networks.iter().position(|network| network.record.name == name);
        found.ok_or_else(|| Fault::NoNetwork(name.to_owned()))
    }

    /// The same, as a network.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn network(&self, name: &str) -> Result<&Network, Fault> {
        let index = self.index(name)?;
        self.networks.get(index).ok_or_else(|| Fault::NoNetwork(name.to_owned()))
    }

    /// The same, to change.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn network_mut(&mut self, name: &str) -> Result<&mut Network, Fault> {
        let index = self.index(name)?;
        self.networks.get_mut(index).ok_or_else(|| Fault::NoNetwork(name.to_owned()))
    }

    /// Every endpoint with its network.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&Network, &Endpoint)> {
        self.networks.iter().flat_map(|network| network.endpoints.iter().map(move |endpoint| (network, endpoint)))
    }

    /// The endpoint behind a port.
    pub(super) fn by_port(&mut self, port: PortId) -> Option<(&Arc<NetworkTables>, &mut Endpoint)> {
        self.networks.iter_mut().find_map(|network| {
            let Network { tables, endpoints, .. } = network;
            endpoints.iter_mut().find(|endpoint| endpoint.port() == port).map(|endpoint| (&*tables, endpoint))
        })
    }

    /// Forget what was learned on a port: every network may hold frames that came in by it.
    pub(super) fn forget(&self, port: PortId) {
        for network in &self.networks {
            network.tables.forget_port(port);
        }
    }

    /// A number for a new port: in turn, so that a number is not used again while somebody may remember it.
    ///
    /// # Errors
    /// None is left.
    pub(super) fn take_port(&mut self) -> Result<PortId, Fault> {
        let used: Vec<u16> = self.endpoints().map(|(_, endpoint)| endpoint.record.port).collect();
        let limit = PortId::LIMIT;
        let number = in_turn(&mut self.next_port, limit, &used).ok_or(Fault::TooMany { what: "ports", limit })?;
        Ok(PortId(number))
    }

    /// A number for a new network, in the same way.
    ///
    /// # Errors
    /// None is left.
    pub(super) fn take_network(&mut self) -> Result<NetworkId, Fault> {
        let used: Vec<u16> = self.networks.iter().map(|network| network.record.number).collect();
        let limit = NetworkId::LIMIT;
        let number = in_turn(&mut self.next_network, limit, &used).ok_or(Fault::TooMany { what: "networks", limit })?;
        Ok(NetworkId(number))
    }

    /// What is to be written down.
    pub(super) fn state(&self) -> State {
        let record = |network: &Network| NetworkRecord {
            endpoints: network.endpoints.iter().map(|endpoint| endpoint.record.clone()).collect(),
            ..network.record.clone()
        };
        State {
            next_port: self.next_port,
            next_network: self.next_network,
            networks: self.networks.iter().map(record).collect(),
        }
    }

    /// What the workers are to know.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for network in &self.networks {
            let view = self.view(network);
            put(&mut snapshot.networks, network.id().index(), Arc::new(view));
            for endpoint in &network.endpoints {
                let port = PortView { network: network.id() };
                put(&mut snapshot.ports, endpoint.port().index(), port);
            }
        }
        snapshot
    }

    fn view(&self, network: &Network) -> NetworkView {
        let up = network.endpoints.iter().filter(|endpoint| endpoint.state() == PortState::Up);
        let peers = network.record.peers.iter().filter_map(|peer| self.network(peer).ok());
        NetworkView {
            id: network.id(),
            tables: Arc::clone(&network.tables),
            members: up.map(Endpoint::port).collect(),
            mtu: network.record.mtu as usize,
            forward_reserved: network.record.forward_reserved,
            suppress_arp: network.record.arp == ArpMode::Suppress,
            subnet: match network.record.subnet {
                IpNet::V4(subnet) => Some(subnet),
                IpNet::V6(_) => None,
            },
            gateway: network.gateway(),
            peers: peers.map(Network::id).collect(),
        }
    }

    /// What everything is called.
    pub(super) fn names(&self) -> NameBook {
        let mut names = NameBook::default();
        for network in &self.networks {
            names.networks.insert(network.id(), network.record.name.clone());
            if let Some(mac) = network.gateway_mac() {
                names.stations.insert((network.id(), mac), "gateway".to_owned());
            }
            for endpoint in &network.endpoints {
                let name = &endpoint.record.name;
                names.ports.insert(endpoint.port(), name.clone());
                names.stations.insert((network.id(), endpoint.record.mac), name.clone());
            }
        }
        names
    }
}

fn put<T>(list: &mut Vec<Option<T>>, index: usize, value: T) {
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    list[index] = Some(value);
}

/// The first number from `next` on, around the end of the range, that is not used. Numbers begin with 1 the first time.
fn in_turn(next: &mut u16, limit: usize, used: &[u16]) -> Option<u16> {
    let first = usize::from(*next).max(1);
    let number = (0..limit).map(|step| ((first + step) % limit) as u16).find(|number| !used.contains(number))?;
    *next = ((usize::from(number) + 1) % limit) as u16;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::in_turn;

    #[test]
    fn numbers_are_given_in_turn() {
        let mut next = 0;
        assert_eq!(in_turn(&mut next, 4, &[]), Some(1));
        assert_eq!(in_turn(&mut next, 4, &[]), Some(2), "not again at once");
        assert_eq!(in_turn(&mut next, 4, &[]), Some(3));
        assert_eq!(in_turn(&mut next, 4, &[1]), Some(2), "around the end");
        assert_eq!(in_turn(&mut next, 4, &[0, 1, 2, 3]), None);
    }
}
