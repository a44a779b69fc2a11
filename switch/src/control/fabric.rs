//! What does the switch do for the Docker driver? [`docker::Fabric`] for the switch: networks, endpoints and ports by
//! Docker's ids.
//!
//! Docker gives the addresses, and never the same twice while their owner lives: who still has an address that Docker gives
//! away again is what a killed dockerd left behind, and makes way. What happens to interfaces is told in `sandbox`.

use std::net::IpAddr;

use docker::Fabric;
use docker::fabric::{
    Endpoint as Asked, EndpointState, GatewayMode as Translation, Joined, Kind, Network as AskedNetwork, PortMapping,
    Refusal, Subnet,
};
use frame::MacAddr;
use ipnet::IpNet;

use ports::netns::NamespaceRef;

use super::Fault;
use super::attach;
use super::book::{Book, Endpoint, Network};
use super::endpoints::{choose_mac, mtu_fits, routers};
use super::state::{DockerRecord, EndpointRecord, Role};
use super::switch::{Inner, Switch, lock, together};
use super::types::{ArpMode, GatewayMode, NetworkSpec, PortKind, PortState};

impl Fabric for Switch {
    fn create_network(&self, id: &str, asked: &AskedNetwork) -> Result<(), Refusal> {
        let mut book = self.0.open_book()?;
        if book.by_id(id).is_some() {
            return Ok(());
        }
        let spec = spec(id, asked)?;
        match self.0.create(&mut book, &spec) {
            Err(Fault::SubnetOverlaps { network, .. }) if self.0.is_nobodys(&book, &network) => {
                tracing::warn!(
                    network,
                    "Docker does not know this network, and gives its subnet away again: it is removed"
                );
                self.0.remove(&mut book, &network, true)?;
                self.0.create(&mut book, &spec)?;
            }
            made => drop(made?),
        }
        drop(book);
        self.0.rewatch();
        self.0.dockerd_called();
        Ok(())
    }

    fn delete_network(&self, id: &str) -> Result<(), Refusal> {
        let mut book = self.0.open_book()?;
        let Some(name) = book.by_id(id).map(|network| network.name().to_owned()) else { return Ok(()) };
        self.0.remove(&mut book, &name, true)?;
        drop(book);
        self.0.rewatch();
        Ok(())
    }

    fn create_endpoint(&self, network: &str, id: &str, asked: &Asked) -> Result<MacAddr, Refusal> {
        let mut book = self.0.open_book()?;
        Ok(self.0.note_endpoint(&mut book, network, id, asked)?)
    }

    fn endpoint(&self, network: &str, id: &str) -> Option<EndpointState> {
        let book = self.0.book();
        let endpoint = book.by_id(network)?.endpoints.iter().find(|endpoint| endpoint.docker_id() == Some(id))?;
        Some(EndpointState { mac: endpoint.record.mac, published: endpoint.published().to_vec() })
    }

    fn join(&self, network: &str, id: &str, sandbox: &str) -> Result<Joined, Refusal> {
        let mut book = self.0.open_book()?;
        let (name, index) = find(&book, network, id)?;
        self.0.enter_sandbox(&mut book, &name, index, sandbox)?;
        let joined = joined(book.network(&name)?, index);
        drop(book);
        self.0.rewatch();
        self.0.dockerd_called();
        joined.ok_or_else(|| Refusal(format!("endpoint {id} vanished while it joined")))
    }

    fn publish(&self, network: &str, id: &str, ports: &[PortMapping]) -> Result<(), Refusal> {
        let mut book = self.0.open_book()?;
        let (name, index) = find(&book, network, id)?;
        Ok(self.0.publish_ports(&mut book, &name, index, ports)?)
    }

    fn revoke(&self, network: &str, id: &str) -> Result<(), Refusal> {
        let mut book = self.0.open_book()?;
        let Ok((name, index)) = find(&book, network, id) else { return Ok(()) };
        Ok(self.0.revoke_ports(&mut book, &name, index)?)
    }

    fn leave(&self, network: &str, id: &str) -> Result<(), Refusal> {
        let mut book = self.0.open_book()?;
        let Ok((name, index)) = find(&book, network, id) else { return Ok(()) };
        let revoked = self.0.revoke_ports(&mut book, &name, index);
        self.0.leave_sandbox(&mut book, &name, index);
        let written = self.0.persist(&book);
        drop(book);
        self.0.rewatch();
        Ok(together([revoked.err(), written.err()].into_iter().flatten().collect())?)
    }

    fn delete_endpoint(&self, network: &str, id: &str) -> Result<(), Refusal> {
        let mut book = self.0.open_book()?;
        let Ok((name, index)) = find(&book, network, id) else { return Ok(()) };
        let forgotten = self.0.forget_endpoint(&mut book, &name, index);
        let written = self.0.persist(&book);
        drop(book);
        self.0.rewatch();
        Ok(together([forgotten.err(), written.err()].into_iter().flatten().collect())?)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

impl Inner {
    /// Is it a network of Docker's, without endpoints, that Docker did not know when it was last asked? The switch was killed
    /// between writing it down and answering.
    fn is_nobodys(&self, book: &Book, name: &str) -> bool {
        let Ok(network) = book.network(name) else { return false };
        let unknown = lock(&self.known).as_ref().is_some_and(|known| !known.contains(&network.record.id));
        network.record.docker && network.containers().next().is_none() && unknown
    }

    /// Write down an endpoint that has no interface yet.
    fn note_endpoint(&self, book: &mut Book, network: &str, id: &str, asked: &Asked) -> Result<MacAddr, Fault> {
        let name = book.by_id(network).map(|network| network.name().to_owned());
        let name = name.ok_or_else(|| Fault::NoDockerNetwork(network.to_owned()))?;
        if let Ok((_, index)) = find(book, network, id)
            && let Some(known) = book.network(&name)?.endpoints.get(index)
        {
            if known.addresses().eq(asked.addresses.iter().copied()) {
                return Ok(known.record.mac);
            }
            self.forget_endpoint(book, &name, index)?;
        }
        self.evict(book, &name, asked)?;
        let record = Self::endpoint_record(book, &name, id, asked)?;
        let mac = record.mac;
        let network = book.network_mut(&name)?;
        for ip in &asked.addresses {
            network.addresses.keep(ip.addr(), &record.name);
        }
        network.endpoints.push(Endpoint::gone(record));
        if let Err(fault) = self.persist(book) {
            let network = book.network_mut(&name)?;
            network.endpoints.pop();
            network.addresses.release_all(&asked.addresses.iter().map(IpNet::addr).collect::<Vec<_>>());
            return Err(fault);
        }
        Ok(mac)
    }

    /// What a killed dockerd left behind makes way: the endpoint with the same address, and one that is gone with the same
    /// MAC address.
    fn evict(&self, book: &mut Book, name: &str, asked: &Asked) -> Result<(), Fault> {
        loop {
            let network = book.network(name)?;
            let stale = network.endpoints.iter().position(|other| {
                let same_ip = other.addresses().any(|ip| asked.addresses.iter().any(|new| new.addr() == ip.addr()));
                let same_mac = asked.mac == Some(other.record.mac) && other.state() == PortState::Gone;
                other.record.docker.is_some() && (same_ip || same_mac)
            });
            let Some(index) = stale else { break };
            let endpoint = &network.endpoints[index].record.name;
            tracing::warn!(
                network = name,
                endpoint,
                "Docker gives its address away again: what is left of it is removed"
            );
            self.forget_endpoint(book, name, index)?;
        }
        let network = book.network(name)?;
        for ip in asked.addresses.iter().map(IpNet::addr) {
            if let Some(owner) = network.addresses.owner(ip) {
                return Err(Fault::AddressTaken { ip, network: name.to_owned(), by: owner.to_owned() });
            }
            if !network.subnets().any(|subnet| subnet.contains(&ip)) {
                let subnet = network.record.subnet;
                return Err(Fault::AddressOutside { ip, subnet, network: name.to_owned() });
            }
        }
        Ok(())
    }

    fn endpoint_record(book: &mut Book, name: &str, id: &str, asked: &Asked) -> Result<EndpointRecord, Fault> {
        let network = book.network(name)?;
        let options = &network.record.options;
        let Some((ip, more)) = asked.addresses.split_first() else {
            return Err(Fault::NoAddress { endpoint: id.to_owned(), network: name.to_owned() });
        };
        let mac = choose_mac(network, asked.mac, *ip)?;
        let kind = kind(options.kind);
        let offload = options.offload.unwrap_or(kind.can_offload()) && kind.can_offload();
        let record = EndpointRecord {
            name: short(id).to_owned(),
            port: 0,
            netns: NamespaceRef::Own.to_string(),
            ifname: source_name(id),
            ip: *ip,
            mac,
            kind,
            offload,
            pinned: options.guard,
            host_ifname: kind.has_host_end().then(attach::host_name),
            host_ifindex: 0,
            ifindex: 0,
            complete: true,
            more_ips: more.to_vec(),
            role: Role::Container,
            docker: Some(DockerRecord {
                id: id.to_owned(),
                source_name: source_name(id),
                sandbox: None,
                published: Vec::new(),
                revoked: Vec::new(),
            }),
        };
        Ok(EndpointRecord { port: book.take_port()?.0, ..record })
    }
}

/// The network's name and the endpoint's place in it.
///
/// # Errors
/// There is none.
fn find(book: &Book, network: &str, id: &str) -> Result<(String, usize), Fault> {
    let network = book.by_id(network).ok_or_else(|| Fault::NoDockerNetwork(network.to_owned()))?;
    let index = network.endpoints.iter().position(|endpoint| endpoint.docker_id() == Some(id));
    let missing = || Fault::NoEndpoint { network: network.name().to_owned(), endpoint: short(id).to_owned() };
    Ok((network.name().to_owned(), index.ok_or_else(missing)?))
}

fn joined(network: &Network, index: usize) -> Option<Joined> {
    let endpoint = network.endpoints.get(index)?;
    let routers = routers(network, endpoint);
    let gateway = routers.iter().find_map(|router| match router {
        IpAddr::V4(ip) => Some(*ip),
        IpAddr::V6(_) => None,
    });
    let gateway_ipv6 = routers.iter().find_map(|router| match router {
        IpAddr::V6(ip) => Some(*ip),
        IpAddr::V4(_) => None,
    });
    let source_name = endpoint.record.docker.as_ref()?.source_name.clone();
    Some(Joined { source_name, prefix: network.record.options.interface_prefix.clone(), gateway, gateway_ipv6 })
}

/// The network that Docker asks for, in the switch's words. Without a gateway of the host's own (`isolated`,
/// `inhibit_ipv4`) the host has no end in it.
fn spec(id: &str, asked: &AskedNetwork) -> Result<NetworkSpec, Fault> {
    let options = &asked.options;
    if let Some(mtu) = options.mtu {
        mtu_fits(kind(options.kind), mtu)?;
    }
    let Some((first, more)) = asked.subnets.split_first() else { return Err(Fault::NoSubnet(short(id).to_owned())) };
    let of = |subnet: &Subnet| {
        if subnet.subnet.addr().is_ipv4() { options.gateway_mode_ipv4 } else { options.gateway_mode_ipv6 }
    };
    let isolated = asked.internal && asked.subnets.iter().all(|subnet| of(subnet) == Translation::Isolated);
    let hostless = isolated || options.inhibit_ipv4;
    let router = |subnet: &Subnet| {
        let elsewhere = if options.inhibit_ipv4 && !isolated { subnet.gateway } else { None };
        subnet.default_router.or(elsewhere)
    };
    let is_isolated = |subnet: &Subnet| asked.internal && of(subnet) == Translation::Isolated;
    let own = |subnet: &Subnet| if hostless || is_isolated(subnet) { None } else { subnet.gateway };
    let more = more.iter().map(|subnet| Subnet {
        subnet: subnet.subnet,
        gateway: own(subnet),
        default_router: router(subnet),
    });
    Ok(NetworkSpec {
        id: Some(id.to_owned()),
        docker: true,
        subnet: Some(first.subnet),
        gateway: own(first),
        gateway_mode: if hostless { GatewayMode::None } else { GatewayMode::Host },
        default_router: router(first),
        more_subnets: more.collect(),
        internal: asked.internal,
        mtu: options.mtu,
        mac_limit: options.mac_limit,
        arp: if options.arp_suppress { ArpMode::Suppress } else { ArpMode::Flood },
        options: options.clone(),
        ..NetworkSpec::named(short(id))
    })
}

const fn kind(kind: Kind) -> PortKind {
    match kind {
        Kind::Tap => PortKind::Tap,
        Kind::Veth => PortKind::Veth,
        Kind::Xdp => PortKind::Xdp,
    }
}

/// As Docker shortens its ids.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// The interface's name until dockerd renames it: of 11 of the id's digits there are enough.
fn source_name(id: &str) -> String {
    format!("lyd-{}", id.get(..11).unwrap_or(id))
}
