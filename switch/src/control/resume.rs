//! What becomes of the endpoints after a restart? Their devices are found and opened again; those that are gone are kept
//! and shown as gone, because only their user knows whether they will be missed.

use super::Fault;
use super::attach::{Again, again};
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
        for record in state.networks {
            self.resume_network(&mut book, record)?;
        }
        self.publish(&book);
        drop(book);
        self.rewatch();
        Ok(())
    }

    fn resume_network(&self, book: &mut Book, mut record: NetworkRecord) -> Result<(), Fault> {
        let endpoints = std::mem::take(&mut record.endpoints);
        let mut network = self.open_network(record)?;
        for record in endpoints {
            let taken = network.addresses.take(Some(record.ip.addr()), &record.name);
            taken.map_err(|fault| Fault::State(format!("the state is inconsistent: {fault}")))?;
            let endpoint = self.resume_endpoint(record);
            if !endpoint.gone {
                self.introduce(&network, &endpoint)?;
            }
            network.endpoints.push(endpoint);
        }
        book.networks.push(network);
        Ok(())
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
        let losses = queues.first().and_then(|queue| queue.losses());
        let counts = self.engine.attach(port, queues);
        Endpoint { inside_up: up, losses, ..Endpoint::here(record, place, counts) }
    }
}
