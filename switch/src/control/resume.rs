//! What becomes of the endpoints after a restart? Their devices are found and opened again; those that are gone are kept
//! and shown as gone, because only their user knows whether they will be missed. One that a crash left half-made is
//! undone: nobody was told that it is there.

use super::Fault;
use super::attach::{self, Again, again};
use super::book::{Book, Endpoint, Network, boot_id};
use super::state::{EndpointRecord, NetworkRecord, State};
use super::switch::Inner;

impl Inner {
    /// Take up every network and endpoint that was written down.
    ///
    /// # Errors
    /// A network's settings are none that this program could have written.
    pub(super) fn resume(&self, state: State) -> Result<(), Fault> {
        let mut book = self.book();
        let incomplete = state.networks.iter().flat_map(|network| &network.endpoints).any(|found| !found.complete);
        let rebooted = state.boot_id != boot_id();
        for mut record in state.networks {
            if rebooted {
                // The machine has been started anew: of Docker's endpoints nothing is left, and new ones will come.
                record.endpoints.retain(|endpoint| endpoint.docker.is_none());
            }
            self.resume_network(&mut book, record)?;
        }
        self.reach_out_again(&mut book);
        self.publish(&book);
        if (incomplete || rebooted)
            && let Err(fault) = self.persist(&book)
        {
            tracing::error!("{fault}"); // the next change writes everything
        }
        drop(book);
        self.rewatch();
        Ok(())
    }

    /// The hosts' ends of the networks, the host's ports and rules, as they were. What fails is told, and the rest goes on.
    fn reach_out_again(&self, book: &mut Book) {
        let names: Vec<String> = book.networks.iter().map(|network| network.name().to_owned()).collect();
        for name in names {
            if let Err(fault) = self.reopen_host_end(book, &name) {
                tracing::error!(network = name, "the network does not reach the host: {fault}");
            }
        }
        self.reserve_again(book);
        if let Err(fault) = self.apply_rules(book) {
            tracing::error!("{fault}");
        }
        Self::clear_old_rules(book);
    }

    /// After a state is lost: name the veths that may be left of it. They are not removed, because they can belong to
    /// another daemon with another state folder.
    pub(super) fn tell_of_orphans(&self) {
        let orphans = self.home.links.list().unwrap_or_default().into_iter().filter(attach::may_be_host_end);
        for name in orphans.map(|link| link.name) {
            tracing::warn!(
                "'{name}' may be left of the lost state: if no other daemon uses it, remove it with 'ip link delete {name}'"
            );
        }
    }

    fn resume_network(&self, book: &mut Book, mut record: NetworkRecord) -> Result<(), Fault> {
        let endpoints = std::mem::take(&mut record.endpoints);
        let mut network = self.open_network(record)?;
        for record in endpoints {
            if !record.complete && self.undone(network.name(), &record) {
                continue;
            }
            let endpoint = if record.complete { self.resume_endpoint(record) } else { Endpoint::gone(record) };
            if !endpoint.is_gateway() {
                take_addresses(&mut network, &endpoint)?;
            }
            if !endpoint.gone {
                self.introduce(&network, &endpoint)?;
            }
            network.endpoints.push(endpoint);
        }
        book.networks.push(network);
        Ok(())
    }

    /// Remove what there is of an endpoint that was being made when the program ended. Is nothing left?
    fn undone(&self, network: &str, record: &EndpointRecord) -> bool {
        let EndpointRecord { name, netns, .. } = record;
        match attach::remove(&self.home, record, None) {
            Ok(()) => {
                tracing::warn!(network, endpoint = name, netns, "the endpoint was half-made by a crash, and is undone");
                true
            }
            Err(fault) => {
                tracing::error!(network, endpoint = name, netns, "the half-made endpoint cannot be undone: {fault}");
                false
            }
        }
    }

    /// Dockerd moved the interface into its sandbox when nobody looked.
    fn sandbox_of(&self, record: &EndpointRecord) -> Option<String> {
        let sandbox = record.docker.as_ref()?.sandbox.clone()?;
        attach::is_in(&self.home, &sandbox.parse().ok()?, record).then_some(sandbox)
    }

    fn resume_endpoint(&self, mut record: EndpointRecord) -> Endpoint {
        let port = frame::PortId(record.port);
        if let Some(sandbox) = self.sandbox_of(&record) {
            record.netns = sandbox;
        }
        let found = again(&self.home, &record, self.engine.workers()).unwrap_or_else(|fault| {
            tracing::error!(endpoint = record.name, "cannot take up the endpoint again: {fault}");
            None
        });
        let Some(Again { place, queues, ifname, up }) = found else {
            tracing::warn!(endpoint = record.name, netns = record.netns, "the endpoint's interface is gone");
            return Endpoint::gone(record);
        };
        record.ifname = ifname;
        record.ifindex = if place.ifindex == 0 { record.ifindex } else { place.ifindex };
        if let Some(host) = &place.host {
            record.host_ifname = Some(host.name.clone());
            record.host_ifindex = host.ifindex;
        }
        let losses = queues.first().and_then(|queue| queue.losses());
        let counts = self.engine.attach(port, queues);
        Endpoint { inside_up: up, losses, ..Endpoint::here(record, place, counts) }
    }
}

/// The endpoint has its addresses, as before.
///
/// # Errors
/// Somebody else has one.
fn take_addresses(network: &mut Network, endpoint: &Endpoint) -> Result<(), Fault> {
    for ip in endpoint.addresses().map(|ip| ip.addr()) {
        if let Some(owner) = network.addresses.owner(ip) {
            let name = &endpoint.record.name;
            return Err(Fault::State(format!("the state is inconsistent: both '{name}' and {owner} have {ip}")));
        }
        network.addresses.keep(ip, &endpoint.record.name);
    }
    Ok(())
}
