//! What does the control side know while it runs? The networks with their tables, the endpoints with their devices; and
//! what follows from it for others: the state to write down, the workers' snapshot, the names for the trace.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use docker::fabric::{Mode, PublishedPort};
use forwarding::Guard;
use frame::{MacAddr, NetworkId, PortId};
use ipnet::IpNet;
use ports::losses::Losses;

use super::Fault;
use super::attach::Place;
use super::ipam::AddressBook;
use super::names::NameBook;
use super::state::{EndpointRecord, NetworkRecord, Role, State};
use super::types::{ArpMode, EndpointInfo, GatewayMode, NetworkInfo, PortState};
use crate::engine::counters::{PerWorker, PortCount};
use crate::engine::{GatewayView, HostGateway, NetworkTables, NetworkView, PortView, Snapshot};

/// As many digits of an id are enough to name a network by, if it is the only one.
const LEAST_ID_DIGITS: usize = 4;

/// Everything.
#[derive(Default)]
pub(super) struct Book {
    pub(super) networks: Vec<Network>,
    next_port: u16,
    next_network: u16,
    /// The switch is stopping: nothing more may change.
    pub(super) closed: bool,
    /// Which start of the machine this is.
    boot_id: String,
    /// There may be rules of ours on the host.
    pub(super) host_rules: bool,
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
    /// The host's ports that are kept for it.
    pub(super) reserved: Vec<host::Reservation>,
}

impl Endpoint {
    /// One whose devices are there and up.
    pub(super) fn here(record: EndpointRecord, place: Place, counts: Arc<PerWorker<PortCount>>) -> Self {
        let (place, counts) = (Some(place), Some(counts));
        Self { record, place, gone: false, inside_up: true, host_up: true, counts, losses: None, reserved: Vec::new() }
    }

    /// One whose devices were not found.
    pub(super) fn gone(record: EndpointRecord) -> Self {
        let (place, counts, losses, reserved) = (None, None, None, Vec::new());
        Self { record, place, gone: true, inside_up: false, host_up: false, counts, losses, reserved }
    }

    /// The queues keep the container's namespace alive.
    pub(super) fn pins(&self) -> bool {
        !self.gone && self.place.as_ref().is_some_and(|place| place.pins)
    }

    /// Is it the host's own end?
    pub(super) fn is_gateway(&self) -> bool {
        self.record.role == Role::Gateway
    }

    /// Docker's id of it.
    pub(super) fn docker_id(&self) -> Option<&str> {
        self.record.docker.as_ref().map(|docker| docker.id.as_str())
    }

    /// The host's ports that lead to it.
    pub(super) fn published(&self) -> &[PublishedPort] {
        self.record.docker.as_ref().map_or(&[], |docker| &docker.published)
    }

    /// All its addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpNet> {
        std::iter::once(self.record.ip).chain(self.record.more_ips.iter().copied())
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
            more_ips: record.more_ips.clone(),
            docker_id: record.docker.as_ref().map(|docker| docker.id.clone()),
            published: self.published().to_vec(),
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
        let of_host = || self.host_end().map(|endpoint| endpoint.record.mac);
        self.gateway().map(|gateway| gateway.mac).or_else(of_host)
    }

    /// The host's end, where that is the gateway.
    pub(super) fn host_end(&self) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.is_gateway())
    }

    /// The endpoints that are containers'.
    pub(super) fn containers(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| !endpoint.is_gateway())
    }

    /// Where endpoints of each subnet send what is for elsewhere: the gateway, if nothing else was asked for.
    pub(super) fn routers(&self) -> impl Iterator<Item = (IpNet, IpAddr)> {
        let record = &self.record;
        let first = record.default_router.or(record.gateway).map(|router| (record.subnet, router));
        let more = record.more_subnets.iter();
        let more = more.filter_map(|more| Some((more.subnet, more.default_router.or(more.gateway)?)));
        first.into_iter().chain(more)
    }

    /// What the endpoint's port is held to, where the network guards its addresses.
    fn guard(&self, endpoint: &Endpoint) -> Option<Arc<Guard>> {
        if !self.record.options.guard || endpoint.is_gateway() {
            return None;
        }
        // Where somebody else is to be the router, whoever it is may say so.
        let routers =
            self.record.more_subnets.iter().map(|more| more.default_router).chain([self.record.default_router]);
        let own: Vec<IpAddr> = endpoint.addresses().map(|ip| ip.addr()).chain(routers.flatten()).collect();
        // The gateway's link-local address is nobody else's either: routers are known by it.
        let of_gateway = self.gateway_mac().map(|mac| IpNet::from(IpAddr::from(link_local(mac))));
        let protected: Vec<IpNet> = self.subnets().chain(of_gateway).collect();
        Some(Arc::new(Guard::new(endpoint.record.mac, &own, &protected)))
    }

    /// All its subnets.
    pub(super) fn subnets(&self) -> impl Iterator<Item = IpNet> {
        std::iter::once(self.record.subnet).chain(self.record.more_subnets.iter().map(|more| more.subnet))
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
        Some(if owner.is_gateway() { "the gateway".to_owned() } else { format!("endpoint '{}'", owner.record.name) })
    }

    pub(super) fn info(&self) -> NetworkInfo {
        let record = &self.record;
        let mut endpoints: Vec<_> = self.containers().map(|endpoint| endpoint.info(self.name())).collect();
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
            more_subnets: self.subnets().skip(1).collect(),
            host_ifname: self.host_end().map(|end| end.record.ifname.clone()),
            internal: record.internal,
            docker: record.docker,
            icc: record.options.icc,
            guard: record.options.guard,
            mode: record.options.mode,
            evict: record.options.evict,
            mac: record.options.mac,
            endpoints,
        }
    }
}

/// The gateway of a network in router mode: its MAC address reads like its IP address.
pub(super) fn gateway_of(record: &NetworkRecord) -> Option<GatewayView> {
    match record.gateway {
        Some(IpAddr::V4(ip)) if record.gateway_mode == GatewayMode::Router => {
            Some(GatewayView { ip, mac: MacAddr::from_ipv4(ip) })
        }
        _ => None,
    }
}

impl Book {
    /// A book with the numbers where an earlier one stopped, and no network yet.
    pub(super) fn resume(state: &State) -> Self {
        let (next_port, next_network) = (state.next_port, state.next_network);
        Self { next_port, next_network, boot_id: boot_id(), host_rules: state.host_rules, ..Self::default() }
    }

    /// The network of that name, or else the only one whose id begins so.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn index(&self, name: &str) -> Result<usize, Fault> {
        let by_name = self.networks.iter().position(|network| network.record.name == name);
        let by_id = || {
            let ids = self.networks.iter().enumerate().filter(|(_, network)| network.record.id.starts_with(name));
            let mut ids = ids.filter(|_| name.len() >= LEAST_ID_DIGITS).map(|(index, _)| index);
            ids.next().filter(|_| ids.next().is_none())
        };
        by_name.or_else(by_id).ok_or_else(|| Fault::NoNetwork(name.to_owned()))
    }

    /// Has a network that very name?
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.networks.iter().any(|network| network.record.name == name)
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

    /// The network with that id.
    pub(super) fn by_id(&self, id: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.record.id == id)
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
            boot_id: self.boot_id.clone(),
            host_rules: self.host_rules || self.networks.iter().any(|network| network.host_end().is_some()),
        }
    }

    /// What the workers are to know.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for network in &self.networks {
            let view = self.view(network);
            put(&mut snapshot.networks, network.id().index(), Arc::new(view));
            for endpoint in &network.endpoints {
                let port = PortView { network: network.id(), guard: network.guard(endpoint) };
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
            host_gateway: network.host_end().map(|end| HostGateway { port: end.port(), mac: end.record.mac }),
            icc: network.record.options.icc,
            peers: peers.map(Network::id).collect(),
            hub: network.record.options.mode == Mode::Hub,
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
            if let Some(gateway) = network.record.gateway {
                names.ips.insert((network.id(), gateway), "gateway".to_owned());
            }
            for endpoint in &network.endpoints {
                let name = &endpoint.record.name;
                names.ports.insert(endpoint.port(), name.clone());
                names.stations.insert((network.id(), endpoint.record.mac), name.clone());
                names.ips.extend(endpoint.addresses().map(|ip| ((network.id(), ip.addr()), name.clone())));
            }
        }
        names
    }
}

/// The link-local address that Linux gives an interface with this MAC address (RFC 4291, appendix A).
fn link_local(mac: MacAddr) -> Ipv6Addr {
    let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    octets[8..11].copy_from_slice(&mac.0[..3]);
    octets[13..].copy_from_slice(&mac.0[3..]);
    octets[8] ^= 2;
    Ipv6Addr::from(octets)
}

/// Which start of the machine this is: a random number that the kernel draws at each. Empty where it cannot be read.
pub(super) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
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
    use super::{in_turn, link_local};

    #[test]
    fn a_link_local_address_is_made_of_the_mac_address() {
        let mac = "02:42:0a:63:00:01".parse().unwrap();
        assert_eq!(link_local(mac).to_string(), "fe80::42:aff:fe63:1");
    }

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
