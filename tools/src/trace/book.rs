//! What are ports and addresses called? Asked of the daemon when a frame has passed a port that is not in the book yet, so
//! that an endpoint that joins meanwhile has its names, too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use hyper::Method;
use switch::control::types::{NetworkInfo, PortRow};
use trace::filter::Ids;
use trace::pcapng::Address;
use trace::step::RouteRecord;
use trace::{Filter, Record, StepRecord};

use crate::client::Client;
use crate::failure::Failure;

/// A port: its network's name and its own.
type Port = (String, String);

/// The names that the daemon has told.
#[derive(Default)]
pub(super) struct Book {
    /// Asked about, whether the daemon knew them or not.
    asked: HashSet<Port>,
    ports: HashMap<Port, String>,
    addresses: BTreeMap<Address, String>,
    /// Has the book changed since it was last read out?
    changed: bool,
    /// The filter with the book's addresses.
    told: Option<Filter>,
}

impl Book {
    /// See that the record's ports are in the book.
    pub(super) async fn look_up(&mut self, client: &Client, record: &Record) -> Result<(), Failure> {
        let new = ports_of(record).filter(|port| !self.asked.contains(port)).collect::<Vec<_>>();
        if new.is_empty() {
            return Ok(());
        }
        let rows: Vec<PortRow> = client.answer(Method::GET, "/v1/ports", None::<&()>).await?.read()?;
        let networks: Vec<NetworkInfo> = client.answer(Method::GET, "/v1/networks", None::<&()>).await?.read()?;
        self.asked.extend(new);
        self.enter(&rows, &networks);
        Ok(())
    }

    fn enter(&mut self, rows: &[PortRow], networks: &[NetworkInfo]) {
        for row in rows {
            let kind = format!("{:?}", row.kind).to_lowercase();
            // The trace calls a port by its endpoint's name.
            let told = format!("{kind}, {}, {}", row.mac, row.ip);
            self.ports.insert((row.network.clone(), row.endpoint.clone()), told);
            self.addresses.insert(Address::Ip(row.ip), row.endpoint.clone());
            self.addresses.insert(Address::Mac(row.mac), row.endpoint.clone());
        }
        for network in networks {
            let called = if networks.len() > 1 { format!("gateway-{}", network.name) } else { "gateway".to_owned() };
            let (ip, mac) = (network.gateway.map(Address::Ip), network.gateway_mac.map(Address::Mac));
            for address in [ip, mac].into_iter().flatten() {
                self.addresses.entry(address).or_insert_with(|| called.clone());
            }
        }
        self.changed = true;
        self.told = None;
    }

    /// The filter that knows the endpoints it names by their addresses of now.
    pub(super) fn tell(&mut self, filter: &Filter) -> &Filter {
        let Self { told, addresses, .. } = self;
        told.get_or_insert_with(|| filter.with_addresses(&Addresses(addresses)))
    }

    /// Has it changed since this was asked last?
    pub(super) fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What to say of each port.
    pub(super) const fn ports(&self) -> &HashMap<Port, String> {
        &self.ports
    }

    /// Every address with a name.
    pub(super) const fn names(&self) -> &BTreeMap<Address, String> {
        &self.addresses
    }
}

struct Addresses<'a>(&'a BTreeMap<Address, String>);

impl Ids for Addresses<'_> {
    fn ips(&self, name: &str) -> Vec<IpAddr> {
        let ip = |(address, called): (&Address, &String)| match address {
            Address::Ip(ip) if called == name => Some(*ip),
            _ => None,
        };
        self.0.iter().filter_map(ip).collect()
    }
}

/// The ports that a frame came in and left by.
fn ports_of(record: &Record) -> impl Iterator<Item = Port> {
    let mut network = record.network.as_str();
    let outgoing = record.steps.iter().filter_map(move |step| match step {
        StepRecord::Routed(RouteRecord::Forwarded { network: routed, .. }) => {
            network = routed;
            None
        }
        StepRecord::Sent { port } | StepRecord::NotSent { port, .. } => Some((network.to_owned(), port.clone())),
        _ => None,
    });
    record.port.iter().map(|port| (record.network.clone(), port.clone())).chain(outgoing)
}
