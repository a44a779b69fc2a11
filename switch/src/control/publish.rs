//! Which of the host's ports lead to a container? Ports are published while the endpoint is the one by which the container's
//! way out leads. When dockerd moves that role to another endpoint of the container, a port that was chosen freely keeps its
//! number.
//!
//! A port is reserved by a socket, then translated by the host's rules; what cannot be translated (IPv6 to a container that
//! has none, `[::1]`) is carried by a proxy. In gateway mode `routed` nothing of the host's is taken: the container's port
//! is open at its own address, which is written down as host port 0.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use docker::fabric::{GatewayMode as Translation, NetworkOptions, PortMapping, Protocol, PublishedPort};
use frame::PortId;
use host::{Flows, Request, Reservation};

use super::Fault;
use super::book::{Book, Endpoint};
use super::outside::protocol;
use super::switch::{Inner, together};
use super::types::PortState;

impl Inner {
    /// Publish these ports for the endpoint, and no others.
    ///
    /// # Errors
    /// One is taken, or the rules could not be set; nothing is published then.
    pub(super) fn publish_ports(
        &self,
        book: &mut Book,
        name: &str,
        index: usize,
        asked: &[PortMapping],
    ) -> Result<(), Fault> {
        self.revoke_ports(book, name, index)?;
        if asked.is_empty() {
            return Ok(());
        }
        let network = book.network(name)?;
        if network.record.internal || network.host_end().is_none() {
            return Err(Fault::NoWayIn(network.name().to_owned()));
        }
        let Some(endpoint) = network.endpoints.get(index) else { return Ok(()) };
        let earlier = earlier_ports(book, endpoint);
        let wanted = Wanted::of(asked, &network.record.options);
        self.free_ports_of_the_dead(book, &wanted.requests)?;
        let reserved = reserve(&wanted.requests, &earlier)?;
        let mut published = wanted.open;
        published.extend(reserved.iter().flat_map(taken));
        set_ports(book, name, index, published, reserved)?;
        if let Err(fault) = self.open_ports(book, name, index) {
            set_ports(book, name, index, Vec::new(), Vec::new())?;
            let left = self.apply_rules(book).err();
            return together([Some(fault), left].into_iter().flatten().collect());
        }
        Ok(())
    }

    /// Let the endpoint's ports lead to it.
    fn open_ports(&self, book: &mut Book, name: &str, index: usize) -> Result<(), Fault> {
        if let Some(endpoint) = book.network_mut(name)?.endpoints.get_mut(index) {
            self.carry(endpoint)?;
        }
        self.apply_rules(book)?;
        if let Some(endpoint) = book.network(name)?.endpoints.get(index) {
            flush(endpoint.published());
        }
        self.persist(book)
    }

    /// Have a proxy carry what cannot be translated.
    fn carry(&self, endpoint: &mut Endpoint) -> Result<(), Fault> {
        let addresses: Vec<IpAddr> = endpoint.addresses().map(|ip| ip.addr()).collect();
        let failed = |error| Fault::io("cannot listen on a published port", error);
        self.with_proxy(|proxy| {
            endpoint.reserved.iter_mut().try_for_each(|reserved| reserved.serve(proxy, &addresses).map(drop))
        })?
        .map_err(failed)
    }

    /// Publish nothing any more for the endpoint.
    ///
    /// # Errors
    /// The rules could not be set, or the state not be written.
    pub(super) fn revoke_ports(&self, book: &mut Book, name: &str, index: usize) -> Result<(), Fault> {
        let Some(endpoint) = book.network_mut(name)?.endpoints.get_mut(index) else { return Ok(()) };
        let reserved = std::mem::take(&mut endpoint.reserved);
        let Some(docker) = endpoint.record.docker.as_mut().filter(|docker| !docker.published.is_empty()) else {
            self.catch_up(book);
            return Ok(());
        };
        docker.revoked = std::mem::take(&mut docker.published);
        let revoked = docker.revoked.clone();
        let applied = self.apply_rules(book);
        flush(&revoked);
        // Only now may others have the ports.
        drop(reserved);
        applied.and_then(|()| self.persist(book))
    }

    /// What a killed dockerd left behind makes way: ports of endpoints whose interface is gone.
    fn free_ports_of_the_dead(&self, book: &mut Book, requests: &[Request]) -> Result<(), Fault> {
        let wanted = |port: &PublishedPort| {
            requests.iter().any(|request| {
                request.protocol == protocol(port.protocol)
                    && (request.host_port..=request.host_port_end).contains(&port.host_port)
            })
        };
        let dead: Vec<(String, PortId)> = book
            .endpoints()
            .filter(|(_, endpoint)| endpoint.state() == PortState::Gone && endpoint.published().iter().any(wanted))
            .map(|(network, endpoint)| (network.name().to_owned(), endpoint.port()))
            .collect();
        for (name, port) in dead {
            let index = book.network(&name)?.endpoints.iter().position(|endpoint| endpoint.port() == port);
            if let Some(index) = index {
                self.revoke_ports(book, &name, index)?;
            }
        }
        Ok(())
    }

    /// After a restart: keep the host's ports again. One that somebody else has taken is no longer published.
    pub(super) fn reserve_again(&self, book: &mut Book) {
        for endpoint in book.networks.iter_mut().flat_map(|network| &mut network.endpoints) {
            let requests: Vec<Request> = endpoint.published().iter().filter_map(kept).collect();
            if requests.is_empty() {
                continue;
            }
            let reserved = host::bind(&requests).map_err(Fault::from).and_then(|reserved| {
                endpoint.reserved = reserved;
                self.carry(endpoint)
            });
            if let Err(fault) = reserved {
                endpoint.reserved.clear();
                let taken = matches!(fault, Fault::Port(host::PortFault::Taken(..)));
                if let Some(docker) = endpoint.record.docker.as_mut().filter(|_| taken) {
                    docker.published.clear();
                }
                let what = if taken { "its ports are no longer published" } else { "its ports are not reserved" };
                tracing::error!(endpoint = endpoint.record.name, "{what}: {fault}");
            }
        }
    }
}

/// Forget what the kernel remembers of who talked to these ports: a client that goes on talking must reach whom the port
/// leads to now. Where the kernel cannot be asked, flows end by themselves.
fn flush(ports: &[PublishedPort]) {
    let flows: Vec<Flows> = ports
        .iter()
        .filter(|port| port.host_port != 0)
        .map(|port| Flows::HostPort { protocol: protocol(port.protocol), host_ip: port.host_ip, port: port.host_port })
        .collect();
    if !flows.is_empty()
        && let Err(fault) = host::flush_conntrack(&flows)
    {
        tracing::debug!("flows of published ports are not forgotten: {fault}");
    }
}

/// The same for all that a container was part of.
pub(super) fn flush_container(endpoint: &Endpoint) {
    let flows: Vec<Flows> = endpoint.addresses().map(|ip| Flows::Container(ip.addr())).collect();
    if let Err(fault) = host::flush_conntrack(&flows) {
        tracing::debug!("a container's flows are not forgotten: {fault}");
    }
}

fn set_ports(
    book: &mut Book,
    name: &str,
    index: usize,
    published: Vec<PublishedPort>,
    reserved: Vec<Reservation>,
) -> Result<(), Fault> {
    if let Some(endpoint) = book.network_mut(name)?.endpoints.get_mut(index) {
        endpoint.reserved = reserved;
        if let Some(docker) = endpoint.record.docker.as_mut() {
            docker.published = published;
        }
    }
    Ok(())
}

/// The ports that the container's other endpoints, or this one, had until now.
fn earlier_ports(book: &Book, endpoint: &Endpoint) -> Vec<PublishedPort> {
    let sandbox = |endpoint: &Endpoint| endpoint.record.docker.as_ref().and_then(|docker| docker.sandbox.clone());
    let Some(own) = sandbox(endpoint) else { return Vec::new() };
    let siblings = book.endpoints().filter(|(_, other)| sandbox(other).as_ref() == Some(&own));
    siblings.flat_map(|(_, other)| other.record.docker.iter().flat_map(|docker| docker.revoked.clone())).collect()
}

/// What is asked for, apart: ports of the host's, and ports that are only opened at the container's own address.
struct Wanted {
    requests: Vec<Request>,
    open: Vec<PublishedPort>,
}

impl Wanted {
    fn of(asked: &[PortMapping], options: &NetworkOptions) -> Self {
        let mut wanted = Self { requests: Vec::new(), open: Vec::new() };
        for port in asked {
            wanted.sort(port, options);
        }
        wanted
    }

    fn sort(&mut self, port: &PortMapping, options: &NetworkOptions) {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let is_routed = |ip: &IpAddr| match ip {
            IpAddr::V4(_) => options.gateway_mode_ipv4 == Translation::Routed,
            IpAddr::V6(_) => options.gateway_mode_ipv6 == Translation::Routed,
        };
        match port.host_ip.or(options.host_binding) {
            None if !any.iter().any(is_routed) => self.requests.push(request(port, None)),
            None => any.iter().for_each(|ip| self.one(port, *ip, is_routed(ip))),
            Some(ip) => self.one(port, ip, is_routed(&ip)),
        }
    }

    fn one(&mut self, port: &PortMapping, ip: IpAddr, is_routed: bool) {
        if is_routed {
            let PortMapping { protocol, container_port, .. } = *port;
            self.open.push(PublishedPort { protocol, container_port, host_ip: ip, host_port: 0 });
        } else {
            self.requests.push(request(port, Some(ip)));
        }
    }
}

fn request(port: &PortMapping, host_ip: Option<IpAddr>) -> Request {
    Request {
        protocol: protocol(port.protocol),
        container_port: port.container_port,
        host_ip,
        host_port: port.host_port,
        host_port_end: port.host_port_end,
    }
}

fn kept(port: &PublishedPort) -> Option<Request> {
    (port.host_port != 0).then(|| Request {
        protocol: protocol(port.protocol),
        container_port: port.container_port,
        host_ip: Some(port.host_ip),
        host_port: port.host_port,
        host_port_end: port.host_port,
    })
}

/// What a reservation publishes.
fn taken(reserved: &Reservation) -> impl Iterator<Item = PublishedPort> + '_ {
    reserved.addresses().map(|host_ip| PublishedPort {
        protocol: docker_protocol(reserved.request.protocol),
        container_port: reserved.request.container_port,
        host_ip,
        host_port: reserved.host_port,
    })
}

/// Reserve what is asked for. Where any port will do, the one that it had until now is tried first.
fn reserve(requests: &[Request], earlier: &[PublishedPort]) -> Result<Vec<Reservation>, host::PortFault> {
    let had = |request: &Request| {
        let same = |old: &&PublishedPort| {
            protocol(old.protocol) == request.protocol && old.container_port == request.container_port
        };
        let old = if request.host_port == 0 { earlier.iter().find(same) } else { None };
        old.filter(|old| old.host_port != 0).map(|old| old.host_port)
    };
    let same = requests.iter().map(|request| match had(request) {
        Some(port) => Request { host_port: port, host_port_end: port, ..*request },
        None => *request,
    });
    let same: Vec<Request> = same.collect();
    if same == requests {
        return host::bind(requests);
    }
    host::bind(&same).or_else(|_| host::bind(requests))
}

const fn docker_protocol(protocol: host::Protocol) -> Protocol {
    match protocol {
        host::Protocol::Tcp => Protocol::Tcp,
        host::Protocol::Udp => Protocol::Udp,
        host::Protocol::Sctp => Protocol::Sctp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host_ip: Option<&str>) -> PortMapping {
        let host_ip = host_ip.map(|ip| ip.parse().unwrap());
        PortMapping { protocol: Protocol::Tcp, container_port: 80, host_ip, host_port: 8080, host_port_end: 8080 }
    }

    fn sorted(host_ip: Option<&str>, options: &NetworkOptions) -> (Vec<Option<String>>, Vec<String>) {
        let wanted = Wanted::of(&[asked(host_ip)], options);
        let requests = wanted.requests.iter().map(|request| request.host_ip.map(|ip| ip.to_string())).collect();
        assert!(wanted.open.iter().all(|port| port.host_port == 0 && port.container_port == 80));
        (requests, wanted.open.iter().map(|port| port.host_ip.to_string()).collect())
    }

    #[test]
    fn a_family_that_is_routed_takes_no_port_of_the_host_s() {
        let nat = NetworkOptions::default();
        let six = NetworkOptions { gateway_mode_ipv6: Translation::Routed, ..nat.clone() };
        let both = NetworkOptions { gateway_mode_ipv4: Translation::Routed, ..six.clone() };
        assert_eq!(sorted(None, &nat), (vec![None], vec![]));
        assert_eq!(sorted(None, &six), (vec![Some("0.0.0.0".into())], vec!["::".into()]));
        assert_eq!(sorted(None, &both), (vec![], vec!["0.0.0.0".into(), "::".into()]));
        assert_eq!(sorted(Some("127.0.0.1"), &six), (vec![Some("127.0.0.1".into())], vec![]));
        assert_eq!(sorted(Some("::1"), &six), (vec![], vec!["::1".into()]));
    }

    #[test]
    fn the_network_s_own_default_address_counts_where_none_is_asked_for() {
        let local = NetworkOptions { host_binding: Some("127.0.0.1".parse().unwrap()), ..NetworkOptions::default() };
        assert_eq!(sorted(None, &local).0, [Some("127.0.0.1".into())]);
        assert_eq!(sorted(Some("10.0.0.1"), &local).0, [Some("10.0.0.1".into())]);
    }
}
