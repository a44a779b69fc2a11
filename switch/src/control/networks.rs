//! How do networks come and go, and which of them may talk to each other?

use std::sync::Arc;

use forwarding::MacTableConfig;
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
        let others: Vec<_> = book.networks.iter().map(|network| (network.name(), network.record.subnet)).collect();
        let settings = validate::network(spec, &others)?;
        let record = NetworkRecord {
            name: spec.name.clone(),
            id: rand::random::<[u64; 4]>().map(|part| format!("{part:016x}")).concat(),
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
        };
        let network = self.0.open_network(record)?;
        let info = network.info();
        book.networks.push(network);
        if let Err(fault) = self.0.persist(&book) {
            book.networks.pop();
            return Err(fault);
        }
        self.0.publish(&book);
        Ok(info)
    }

    /// Remove a network; with `force`, its endpoints first.
    ///
    /// # Errors
    /// There is none; it has endpoints and `force` is not set; or what could not be removed, all of it: the endpoints
    /// concerned, and with them the network, are still there then.
    pub fn remove_network(&self, name: &str, force: bool) -> Result<(), Fault> {
        let mut book = self.0.open_book()?;
        self.0.remove(&mut book, name, force)
    }

    /// Remove every network that has no endpoint.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn prune(&self) -> Result<Pruned, Fault> {
        let mut book = self.0.open_book()?;
        let empty = book.networks.iter().filter(|network| network.endpoints.is_empty());
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
    /// A network's tables, with its gateway in them.
    ///
    /// # Errors
    /// The record holds what [`validate::network`] would refuse.
    pub(super) fn open_network(&self, record: NetworkRecord) -> Result<Network, Fault> {
        let config = MacTableConfig {
            capacity: record.mac_capacity as usize,
            ageing: Millis::from_secs(record.ageing.into()),
            port_limit: record.mac_limit,
        };
        let broken = |why: String| Fault::State(format!("network '{}': {why}", record.name));
        let tables = NetworkTables::new(config, self.engine.workers()).map_err(|error| broken(error.to_string()))?;
        if let Some(gateway) = gateway_of(&record) {
            tables.mac.set_gateway(gateway.mac).map_err(|error| broken(error.to_string()))?;
        }
        let addresses = AddressBook::new(&record.name, record.subnet, record.gateway);
        Ok(Network { record, tables: Arc::new(tables), addresses, endpoints: Vec::new() })
    }

    /// Remove a network, and with `force` its endpoints.
    pub(super) fn remove(&self, book: &mut Book, name: &str, force: bool) -> Result<(), Fault> {
        let network = book.network(name)?;
        if let Some(first) = network.endpoints.first() {
            let first = first.record.name.clone();
            if !force {
                return Err(Fault::NetworkInUse { name: name.to_owned(), count: network.endpoints.len(), first });
            }
            self.remove_endpoints(book, name)?;
        }
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
        Ok(())
    }
}
