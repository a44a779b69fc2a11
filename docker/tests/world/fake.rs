//! A switch that writes down what it is asked, and does in books what the real one does with devices.
//!
//! Identifiers stand as `$N1`, `$E1` in what is written down: the letter and digit, 32 times over in hexadecimal.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex};

use frame::MacAddr;
use lanyard_docker::fabric::{
    Endpoint, EndpointState, Fabric, Joined, Network, NetworkOptions, PortMapping, PublishedPort, Refusal,
};
use serde_json::{Value, json};

/// The identifier of `N1`, `E2`, ...: `n` becomes `a`, for it has to be a hexadecimal digit.
pub(crate) fn id(name: &str) -> String {
    let (kind, number) = name.split_at(1);
    format!("{}{number}", if kind == "N" { "a" } else { "e" }).repeat(32)
}

fn name_of(id: &str) -> String {
    let kind = if id.starts_with('a') { "N" } else { "E" };
    format!("${kind}{}", &id[1..2])
}

#[derive(Default)]
pub(crate) struct Fake {
    books: Mutex<Books>,
    gate: Condvar,
}

#[derive(Default)]
struct Books {
    networks: BTreeMap<String, Network>,
    endpoints: BTreeMap<String, (Endpoint, EndpointState)>,
    calls: Vec<String>,
    refusals: VecDeque<(String, String)>,
    /// The call that does not return until it is let go.
    held: Option<String>,
    panics: Option<String>,
}

impl Fake {
    /// What was asked since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.books.lock().unwrap().calls)
    }

    /// Wait for a call.
    pub(crate) fn await_call(&self, call: &str) {
        let books = self.books.lock().unwrap();
        let missing = |books: &mut Books| !books.calls.iter().any(|made| made.starts_with(call));
        let (books, waited) = self.gate.wait_timeout_while(books, super::PATIENT, missing).unwrap();
        assert!(!waited.timed_out(), "no {call} in {:?}", books.calls);
    }

    /// Refuse the next call of that name.
    pub(crate) fn refuse(&self, call: &str, line: &str) {
        self.books.lock().unwrap().refusals.push_back((call.to_owned(), line.to_owned()));
    }

    /// Do not return from calls of that name until they are let go.
    pub(crate) fn hold(&self, call: &str) {
        self.books.lock().unwrap().held = Some(call.to_owned());
    }

    /// Panic in the next call of that name.
    pub(crate) fn panic_in(&self, call: &str) {
        self.books.lock().unwrap().panics = Some(call.to_owned());
    }

    pub(crate) fn let_go(&self) {
        let mut books = self.books.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        books.held = None;
        drop(books);
        self.gate.notify_all();
    }

    /// Write a call down, and do it.
    fn call<T>(
        &self,
        name: &str,
        words: &str,
        act: impl FnOnce(&mut Books) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut books = self.books.lock().unwrap();
        books.calls.push(format!("{name} {words}").trim_end().to_owned());
        self.gate.notify_all();
        if books.panics.as_deref() == Some(name) {
            books.panics = None;
            drop(books);
            panic!("as the test wants it");
        }
        let mut books = self.gate.wait_while(books, |books| books.held.as_deref() == Some(name)).unwrap();
        if books.refusals.front().is_some_and(|(call, _)| call == name)
            && let Some((_, line)) = books.refusals.pop_front()
        {
            return Err(Refusal(line));
        }
        act(&mut books)
    }
}

/// A network as JSON, its options only where they are not as by default.
fn told(network: &Network) -> Value {
    let mut told = json!(network);
    let default = json!(NetworkOptions::default());
    let options = told["options"].as_object_mut().unwrap();
    options.retain(|key, value| default[key] != *value);
    told
}

fn mac_of(endpoint: &Endpoint) -> MacAddr {
    let chosen = endpoint.addresses.iter().find_map(|address| match address.addr() {
        IpAddr::V4(ip) => Some(MacAddr::from_ipv4(ip)),
        IpAddr::V6(_) => None,
    });
    endpoint.mac.or(chosen).unwrap_or(MacAddr([2, 0, 0, 0, 0, 6]))
}

fn joined(network: &Network, endpoint: &Endpoint, id: &str) -> Joined {
    let gateway = |ipv4: bool| {
        let mine = endpoint.addresses.iter().find(|address| address.addr().is_ipv4() == ipv4)?.addr();
        let subnet = network.subnets.iter().find(|subnet| subnet.subnet.contains(&mine))?;
        if network.internal { None } else { subnet.default_router.or(subnet.gateway) }
    };
    Joined {
        source_name: format!("ly{}", &id[..12]),
        prefix: network.options.interface_prefix.clone(),
        gateway: gateway(true).and_then(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }),
        gateway_ipv6: gateway(false).and_then(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None }),
    }
}

/// As published: any free port is 49153, and a range its first.
fn bound(port: &PortMapping) -> PublishedPort {
    PublishedPort {
        protocol: port.protocol,
        container_port: port.container_port,
        host_ip: port.host_ip.unwrap_or(IpAddr::from([0, 0, 0, 0])),
        host_port: if port.host_port == 0 { 49153 } else { port.host_port },
    }
}

fn no_endpoint(id: &str) -> Refusal {
    Refusal(format!("no endpoint {}: start the container again", &id[..12]))
}

impl Fabric for Fake {
    fn create_network(&self, id: &str, network: &Network) -> Result<(), Refusal> {
        self.call("create_network", &format!("{} {}", name_of(id), told(network)), |books| {
            match books.networks.insert(id.to_owned(), network.clone()) {
                Some(other) if other != *network => Err(Refusal("the network is there, and another".to_owned())),
                _ => Ok(()),
            }
        })
    }

    fn delete_network(&self, id: &str) -> Result<(), Refusal> {
        self.call("delete_network", &name_of(id), |books| {
            books.networks.remove(id);
            Ok(())
        })
    }

    fn create_endpoint(&self, network: &str, id: &str, endpoint: &Endpoint) -> Result<MacAddr, Refusal> {
        let words = format!("{} {} {}", name_of(network), name_of(id), json!(endpoint));
        self.call("create_endpoint", &words, |books| {
            if !books.networks.contains_key(network) {
                return Err(Refusal(format!("no network {}: make it again", &network[..12])));
            }
            books.endpoints.retain(|known, (other, _)| known == id || other.addresses != endpoint.addresses);
            let state = EndpointState { mac: mac_of(endpoint), published: Vec::new() };
            let (_, state) = books.endpoints.entry(id.to_owned()).or_insert((endpoint.clone(), state));
            Ok(state.mac)
        })
    }

    fn endpoint(&self, network: &str, id: &str) -> Option<EndpointState> {
        let words = format!("{} {}", name_of(network), name_of(id));
        let found = self.call("endpoint", &words, |books| Ok(books.endpoints.get(id).map(|(_, state)| state.clone())));
        found.ok().flatten()
    }

    fn join(&self, network: &str, id: &str, sandbox: &str) -> Result<Joined, Refusal> {
        let words = format!("{} {} {sandbox}", name_of(network), name_of(id));
        self.call("join", &words, |books| {
            let (endpoint, _) = books.endpoints.get(id).ok_or_else(|| no_endpoint(id))?;
            let network = books.networks.get(network).ok_or_else(|| no_endpoint(id))?;
            Ok(joined(network, endpoint, id))
        })
    }

    fn publish(&self, network: &str, id: &str, ports: &[PortMapping]) -> Result<(), Refusal> {
        let words = format!("{} {} {}", name_of(network), name_of(id), json!(ports));
        self.call("publish", &words, |books| {
            let (_, state) = books.endpoints.get_mut(id).ok_or_else(|| no_endpoint(id))?;
            state.published = ports.iter().map(bound).collect();
            Ok(())
        })
    }

    fn revoke(&self, network: &str, id: &str) -> Result<(), Refusal> {
        self.call("revoke", &format!("{} {}", name_of(network), name_of(id)), |books| {
            if let Some((_, state)) = books.endpoints.get_mut(id) {
                state.published.clear();
            }
            Ok(())
        })
    }

    fn leave(&self, network: &str, id: &str) -> Result<(), Refusal> {
        self.call("leave", &format!("{} {}", name_of(network), name_of(id)), |_| Ok(()))
    }

    fn delete_endpoint(&self, network: &str, id: &str) -> Result<(), Refusal> {
        self.call("delete_endpoint", &format!("{} {}", name_of(network), name_of(id)), |books| {
            books.endpoints.remove(id);
            Ok(())
        })
    }
}
