//! How do networks come and go, and which of them may talk to each other?

use std::sync::Arc;

use docker::fabric::Evict;
use forwarding::{Eviction, MacTableConfig};
use frame::Millis;

use super::Fault;
use super::book::{Book, Network, gateway_of};
use super::ipam::AddressBook;
use super::state::NetworkRecord;
use super::switch::{Inner, Switch, together};
use super::types::{GatewayMode, NetworkInfo, NetworkSpec, Pruned};
use super::validate;
use crate::engine::NetworkTables;

impl Switch {
    /// Make a network.
    ///
    /// # Errors
    /// What [`validate::network`] refuses; all numbers are used up; the state cannot be written.
    pub fn create_network(&self, spec: &NetworkSpec) -> Result<NetworkInfo, Fault> {
        let mut book = self.0.open_book()?;
        let info = self.0.create(&mut book, spec)?;
        drop(book);
        self.0.rewatch();
        Ok(info)
    }

    /// Remove a network; with `force`, its endpoints first.
    ///
    /// # Errors
    /// There is none; it has endpoints, or is Docker's, and `force` is not set; or what could not be removed, all of it:
    /// the endpoints concerned, and with them the network, are still there then.
    pub fn remove_network(&self, name: &str, force: bool) -> Result<(), Fault> {
        let mut book = self.0.open_book()?;
        if book.network(name)?.record.docker && !force {
            return Err(Fault::NetworkIsDockers(name.to_owned()));
        }
        self.0.remove(&mut book, name, force)
    }

    /// Remove every network that has no endpoint and is not Docker's.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn prune(&self) -> Result<Pruned, Fault> {
        let mut book = self.0.open_book()?;
        let empty = |network: &&Network| !network.record.docker && network.containers().next().is_none();
        let empty = book.networks.iter().filter(empty);
        let networks: Vec<String> = empty.map(|network| network.name().to_owned()).collect();
        let faults = networks.iter().filter_map(|name| self.0.remove(&mut book, name, false).err());
        together(faults.collect())?;
        Ok(Pruned { networks })
    }

    /// Every network, by name.
    pub fn networks(&self) -> Vec<NetworkInfo> {
        let mut list: Vec<_> = self.0.book().networks.iter().map(Network::info).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// One network.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn network(&self, name: &str) -> Result<NetworkInfo, Fault> {
        self.0.book().network(name).map(Network::info)
    }

    /// Let two networks talk through their gateways, or no longer. What is so already stays so.
    ///
    /// # Errors
    /// There is no such network; they are the same one; one has no gateway; the state cannot be written.
    pub fn peer(&self, a: &str, b: &str, allowed: bool) -> Result<(), Fault> {
        let mut book = self.0.open_book()?;
        // By name, whatever they were called: names are what is kept of a peering.
        let [a, b] = [book.network(a)?.name().to_owned(), book.network(b)?.name().to_owned()];
        let (a, b) = (a.as_str(), b.as_str());
        let modes = [book.network(a)?.record.gateway_mode, book.network(b)?.record.gateway_mode];
        let refuse = |why| Err(Fault::BadPeering { a: a.to_owned(), b: b.to_owned(), why });
        if a == b {
            return refuse("a network always talks to itself");
        }
        if allowed && modes.contains(&GatewayMode::None) {
            return refuse("both need a gateway, so make both with --gateway-mode router");
        }
        let before = [book.network(a)?.record.peers.clone(), book.network(b)?.record.peers.clone()];
        set_peer(&mut book.network_mut(a)?.record.peers, b, allowed);
        set_peer(&mut book.network_mut(b)?.record.peers, a, allowed);
        if let Err(fault) = self.0.persist(&book) {
            let [of_a, of_b] = before;
            book.network_mut(a)?.record.peers = of_a;
            book.network_mut(b)?.record.peers = of_b;
            return Err(fault);
        }
        self.0.publish(&book);
        Ok(())
    }
}

fn set_peer(peers: &mut Vec<String>, other: &str, allowed: bool) {
    peers.retain(|peer| peer != other);
    if allowed {
        peers.push(other.to_owned());
    }
}

impl Inner {
    /// Make a network, with the host's end where that is the gateway. On failure nothing is left of it.
    pub(super) fn create(&self, book: &mut Book, spec: &NetworkSpec) -> Result<NetworkInfo, Fault> {
        let others: Vec<_> =
            book.networks.iter().flat_map(|network| network.subnets().map(|subnet| (network.name(), subnet))).collect();
        let settings = validate::network(spec, &others)?;
        if let Some(id) = &spec.id
            && let Some(other) = book.by_id(id)
        {
            return Err(Fault::NetworkExists(other.name().to_owned()));
        }
        let record = NetworkRecord {
            name: spec.name.clone(),
            id: spec
                .id
                .clone()
                .unwrap_or_else(|| rand::random::<[u64; 4]>().map(|part| format!("{part:016x}")).concat()),
            number: book.take_network()?.0,
            subnet: settings.subnet,
            gateway: settings.gateway,
            gateway_mode: spec.gateway_mode,
            mtu: settings.mtu,
            mac_limit: spec.mac_limit,
            mac_capacity: settings.mac_capacity,
            ageing: settings.ageing,
            arp: spec.arp,
            forward_reserved: spec.forward_reserved,
            peers: Vec::new(),
            endpoints: Vec::new(),
            docker: spec.docker,
            default_router: spec.default_router,
            more_subnets: spec.more_subnets.clone(),
            internal: spec.internal,
            options: spec.options.clone(),
        };
        book.networks.push(self.open_network(record)?);
        let made = self.open_host_end(book, &spec.name).and_then(|()| self.persist(book));
        if let Err(fault) = made {
            return Err(self.unmake(book, &spec.name, fault));
        }
        self.publish(book);
        book.network(&spec.name).map(Network::info)
    }

    /// Take a network away again, after `fault`.
    fn unmake(&self, book: &mut Book, name: &str, fault: Fault) -> Fault {
        let detached = self.remove_endpoints(book, name);
        if book.network(name).is_ok_and(|network| !network.endpoints.is_empty()) {
            let left = detached.err().map(|left| format!("; and then: {left}")).unwrap_or_default();
            return Fault::Several(format!("{fault}{left}"));
        }
        // Nobody is told of the network, so it goes even where that cannot be written down.
        book.networks.retain(|network| network.name() != name);
        self.publish(book);
        if let Err(unwritten) = self.persist(book) {
            tracing::error!("{unwritten}"); // the next change writes everything
        }
        match self.apply_rules(book) {
            Ok(()) => fault,
            Err(left) if left.to_string() == fault.to_string() => fault,
            Err(left) => Fault::Several(format!("{fault}; and then: {left}")),
        }
    }

    /// A network's tables, with its gateway in them.
    ///
    /// # Errors
    /// The record holds what [`validate::network`] would refuse.
    pub(super) fn open_network(&self, record: NetworkRecord) -> Result<Network, Fault> {
        let config = MacTableConfig {
            capacity: record.mac_capacity as usize,
            ageing: Millis::from_secs(record.ageing.into()),
            port_limit: record.mac_limit,
            eviction: match record.options.evict {
                Evict::Fair => Eviction::Fair,
                Evict::Lru => Eviction::Lru,
                Evict::None => Eviction::None,
            },
        };
        let broken = |why: String| Fault::State(format!("network '{}': {why}", record.name));
        let tables = NetworkTables::new(config, self.engine.workers()).map_err(|error| broken(error.to_string()))?;
        if let Some(gateway) = gateway_of(&record) {
            tables.mac.set_gateway(gateway.mac).map_err(|error| broken(error.to_string()))?;
        }
        let mut addresses = AddressBook::new(&record.name, record.subnet, record.gateway);
        for gateway in record.more_subnets.iter().filter_map(|more| more.gateway) {
            addresses.keep(gateway, "gateway");
        }
        Ok(Network { record, tables: Arc::new(tables), addresses, endpoints: Vec::new() })
    }

    /// Remove a network, and with `force` its endpoints.
    pub(super) fn remove(&self, book: &mut Book, name: &str, force: bool) -> Result<(), Fault> {
        let network = book.network(name)?;
        let name = &network.name().to_owned();
        if let Some(first) = network.containers().next()
            && !force
        {
            let (first, count) = (first.record.name.clone(), network.containers().count());
            return Err(Fault::NetworkInUse { name: name.to_owned(), count, first });
        }
        let had_rules = network.host_end().is_some();
        book.host_rules |= had_rules;
        self.remove_endpoints(book, name)?;
        let index = book.index(name)?;
        let network = book.networks.remove(index);
        for other in &mut book.networks {
            other.record.peers.retain(|peer| peer != name);
        }
        if let Err(fault) = self.persist(book) {
            for other in &mut book.networks {
                if network.record.peers.contains(&other.record.name) {
                    other.record.peers.push(name.to_owned());
                }
            }
            book.networks.insert(index, network);
            return Err(fault);
        }
        self.publish(book);
        self.apply_rules(book)?;
        // Only now may a later start take it that nothing of ours is left.
        if had_rules {
            book.host_rules = false;
            return self.persist(book);
        }
        Ok(())
    }
}
