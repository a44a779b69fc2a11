//! Does a row of a host's cache contradict the switch? What control was told (an endpoint's addresses, the gateway's)
//! weighs most, then what the switch has heard itself (its neighbor table).
//!
//! A contradiction is no proof of an attack: an address that has moved leaves outdated rows, too.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use frame::{MacAddr, Millis, NetworkId};

use crate::control::book::Book;
use crate::control::names::NameBook;
use crate::engine::NetworkTables;

/// What the switch holds against a row.
#[derive(Default)]
pub(super) struct Judge {
    names: Arc<NameBook>,
    told: HashMap<(NetworkId, IpAddr), MacAddr>,
    tables: HashMap<NetworkId, Arc<NetworkTables>>,
}

impl Judge {
    /// All that is known now.
    pub(super) fn of(book: &Book, names: Arc<NameBook>) -> Self {
        let mut told = HashMap::new();
        for network in &book.networks {
            if let (Some(ip), Some(mac)) = (network.record.gateway, network.gateway_mac()) {
                told.insert((network.id(), ip), mac);
            }
            for endpoint in &network.endpoints {
                let mac = endpoint.record.mac;
                told.extend(endpoint.addresses().map(|ip| ((network.id(), ip.addr()), mac)));
            }
        }
        let tables = book.networks.iter().map(|network| (network.id(), Arc::clone(&network.tables))).collect();
        Self { names, told, tables }
    }

    /// Whose MAC address it is.
    pub(super) fn name(&self, network: NetworkId, mac: MacAddr) -> Option<String> {
        self.names.stations.get(&(network, mac)).cloned()
    }

    /// The address with its owner, if that is known: `02:42:0a:14:00:03 (h2)`.
    pub(super) fn called(&self, network: NetworkId, mac: MacAddr) -> String {
        self.name(network, mac).map_or_else(|| mac.to_string(), |name| format!("{mac} ({name})"))
    }

    /// The MAC address that the switch has for an address, and whether it was told so.
    pub(super) fn knows(&self, network: NetworkId, ip: IpAddr, now: Millis) -> Option<(MacAddr, bool)> {
        if let Some(mac) = self.told.get(&(network, ip)) {
            return Some((*mac, true));
        }
        let heard = self.tables.get(&network)?.neighbors(|table| table.get(ip, now))?;
        Some((heard.mac?, false))
    }

    /// What the switch knows better than a row that has `ip` at `mac`.
    pub(super) fn conflict(&self, network: NetworkId, ip: IpAddr, mac: MacAddr, now: Millis) -> Option<String> {
        let (known, told) = self.knows(network, ip, now)?;
        if known == mac {
            return None;
        }
        let verb = if told { "has" } else { "has heard" };
        Some(format!("the switch {verb} {ip} at {}: this row is poisoned or outdated", self.called(network, known)))
    }

    /// A judge that was told this much.
    #[cfg(test)]
    pub(super) fn told(told: &[(NetworkId, IpAddr, MacAddr, &str)]) -> Self {
        let mut names = NameBook::default();
        names.stations.extend(told.iter().map(|(network, _, mac, name)| ((*network, *mac), (*name).to_owned())));
        let told = told.iter().map(|(network, ip, mac, _)| ((*network, *ip), *mac)).collect();
        Self { names: Arc::new(names), told, tables: HashMap::new() }
    }
}
