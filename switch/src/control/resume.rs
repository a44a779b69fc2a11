//! What becomes of the endpoints after a restart? Their devices are found and opened again; those that are gone are kept
//! and shown as gone, because only their user knows whether they will be missed. One that a crash left half-made is
//! undone: nobody was told that it is there.

use super::Fault;
use super::attach::{self, Again, again};
use super::book::{Book, Endpoint};
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
        for record in state.networks {
            self.resume_network(&mut book, record)?;
        }
        self.publish(&book);
        if incomplete && let Err(fault) = self.persist(&book) {
            tracing::error!("{fault}"); // the next change writes everything
        }
        drop(book);
        self.rewatch();
        Ok(())
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
            let taken = network.addresses.take(Some(record.ip.addr()), &record.name);
            taken.map_err(|fault| Fault::State(format!("the state is inconsistent: {fault}")))?;
            let endpoint = if record.complete { self.resume_endpoint(record) } else { Endpoint::gone(record) };
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

    fn resume_endpoint(&self, mut record: EndpointRecord) -> Endpoint {
        let port = frame::PortId(record.port);
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
