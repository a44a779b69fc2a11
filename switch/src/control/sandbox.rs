//! How does a Docker endpoint's interface come and go? It is made in dockerd's own namespace, which must be the switch's;
//! dockerd moves it into the container's sandbox and renames it, and at the end moves it back, down, under its first name.
//! In between it is followed into the sandbox, so that it is found again after a restart.

use ports::netns::NamespaceRef;

use super::Fault;
use super::attach::{self, Place};
use super::book::{Book, Endpoint};
use super::publish::flush_container;
use super::switch::{Inner, together};

impl Inner {
    /// Make the endpoint's interface where dockerd takes it from. One that has joined that sandbox already stays.
    pub(super) fn enter_sandbox(&self, book: &mut Book, name: &str, index: usize, sandbox: &str) -> Result<(), Fault> {
        let Some(endpoint) = book.network_mut(name)?.endpoints.get_mut(index) else { return Ok(()) };
        let again = !endpoint.gone;
        let Some(docker) = endpoint.record.docker.as_ref() else { return Ok(()) };
        if again && docker.sandbox.as_deref() == Some(sandbox) {
            return Ok(());
        }
        if again {
            self.leave_sandbox(book, name, index);
        }
        // Where it was until now: it may have joined another sandbox.
        self.remove_devices(book, name, index)?;
        let inside = self.home.look_into(&NamespaceRef::Own)?;
        let Some(endpoint) = book.network_mut(name)?.endpoints.get_mut(index) else { return Ok(()) };
        let Some(docker) = endpoint.record.docker.as_mut() else { return Ok(()) };
        docker.sandbox = Some(sandbox.to_owned());
        endpoint.record.ifname = docker.source_name.clone();
        endpoint.record.netns = NamespaceRef::Own.to_string();
        endpoint.record.complete = false;
        let made = self.persist(book).and_then(|()| self.make_devices(book, name, index, &inside));
        if let Some(endpoint) = book.network_mut(name)?.endpoints.get_mut(index) {
            endpoint.record.complete = true;
        }
        if let Err(fault) = made.and_then(|_| self.persist(book)) {
            self.leave_sandbox(book, name, index);
            let left = self.remove_devices(book, name, index).err();
            return together([Some(fault), left].into_iter().flatten().collect());
        }
        Ok(())
    }

    /// Forward nothing any more for the endpoint. Its interface stays where it is.
    pub(super) fn leave_sandbox(&self, book: &mut Book, name: &str, index: usize) {
        let Ok(network) = book.network_mut(name) else { return };
        let Some(endpoint) = network.endpoints.get_mut(index) else { return };
        endpoint.gone = true;
        let port = endpoint.port();
        let ips: Vec<_> = endpoint.addresses().map(|ip| ip.addr()).collect();
        self.engine.detach(port);
        network.tables.forget_control(&ips);
        book.forget(port);
        self.publish(book);
    }

    /// Remove the endpoint, its interface and its ports. The caller writes it down.
    ///
    /// # Errors
    /// The interface could not be removed, and the endpoint stays; or the rules could not be set.
    pub(super) fn forget_endpoint(&self, book: &mut Book, name: &str, index: usize) -> Result<(), Fault> {
        let revoked = self.revoke_ports(book, name, index);
        self.leave_sandbox(book, name, index);
        self.remove_devices(book, name, index)?;
        let network = book.network_mut(name)?;
        let endpoint = network.endpoints.remove(index);
        if network.host_end().is_some() {
            flush_container(&endpoint);
        }
        network.addresses.release_all(&endpoint.addresses().map(|ip| ip.addr()).collect::<Vec<_>>());
        self.publish(book);
        revoked
    }

    /// Remove what there is of the endpoint's interface: in dockerd's namespace, or in the sandbox.
    pub(super) fn remove_devices(&self, book: &Book, name: &str, index: usize) -> Result<(), Fault> {
        let Some(endpoint) = book.network(name)?.endpoints.get(index) else { return Ok(()) };
        let Some(docker) = &endpoint.record.docker else { return Ok(()) };
        attach::remove_source(&self.home, &endpoint.record, &docker.source_name)?;
        match &docker.sandbox {
            Some(sandbox) => {
                let record = super::state::EndpointRecord { netns: sandbox.clone(), ..endpoint.record.clone() };
                attach::remove(&self.home, &record, None)
            }
            None => Ok(()),
        }
    }

    /// Dockerd has moved the interface into the sandbox: go on there. `None` when it is not there.
    pub(super) fn follow(&self, endpoint: &mut Endpoint) -> Option<Place> {
        let sandbox = endpoint.record.docker.as_ref()?.sandbox.clone()?;
        let reference: NamespaceRef = sandbox.parse().ok()?;
        let (place, link) = attach::found_in(&self.home, &reference, &endpoint.record, endpoint.place.as_ref()?)?;
        endpoint.record.netns = reference.to_string();
        endpoint.record.ifindex = link.index;
        endpoint.record.ifname = link.name;
        endpoint.inside_up = link.up;
        Some(place)
    }
}
