//! How does a network reach the host and the world outside? In gateway mode `host` the network has one more port: a TAP in
//! the host's own namespace that has the gateway's addresses, so that the host's kernel routes for it. What may pass
//! there, and which of the host's ports lead in, are rules of the crate `host`, made anew from the book after each change.
//!
//! Not done: `inhibit_ipv4` with a host end that has IPv6 addresses only; such a network has no host end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use docker::fabric::{GatewayMode as Translation, Protocol, PublishedPort};
use frame::MacAddr;
use host::{Firewall, HostNetwork, Mode, Plan, Proxy, Published, Watch};
use ipnet::IpNet;
use ports::netns::NamespaceRef;

use super::Fault;
use super::book::{Book, Endpoint, Network};
use super::state::{EndpointRecord, NetworkRecord, Role};
use super::switch::{Inner, lock};
use super::types::{GatewayMode, PortKind};
use super::validate;

/// What the host's end is called among the endpoints.
const GATEWAY_NAME: &str = "gateway";

impl Inner {
    /// Make the host's end of the network, where that is the gateway, and its rules.
    ///
    /// # Errors
    /// The interface's name is taken, or the system refused.
    pub(super) fn open_host_end(&self, book: &mut Book, name: &str) -> Result<(), Fault> {
        if book.network(name)?.record.gateway_mode != GatewayMode::Host {
            return Ok(());
        }
        let inside = self.home.look_into(&NamespaceRef::Own)?;
        let port = book.take_port()?.0;
        let network = book.network(name)?;
        let Some(mut record) = host_end(&network.record, port) else { return Ok(()) };
        if let Some(other) =
            book.endpoints().find(|(_, other)| other.is_gateway() && other.record.ifname == record.ifname)
        {
            return Err(Fault::BridgeNameTaken { ifname: record.ifname, network: other.0.name().to_owned() });
        }
        record.ifname = inside.free_ifname(Some(&record.ifname)).map_err(|fault| match fault {
            Fault::IfnameTaken { ifname, .. } => Fault::HostIfnameTaken { ifname, network: name.to_owned() },
            other => other,
        })?;
        book.network_mut(name)?.endpoints.push(Endpoint::gone(record));
        self.bring_last(book, name, &inside)?;
        self.apply_rules(book)
    }

    /// After a restart: make the host's end again if it is gone.
    ///
    /// # Errors
    /// The system refused.
    pub(super) fn reopen_host_end(&self, book: &mut Book, name: &str) -> Result<(), Fault> {
        let network = book.network_mut(name)?;
        let Some(index) = network.endpoints.iter().position(Endpoint::is_gateway) else {
            return self.open_host_end(book, name);
        };
        if !network.endpoints[index].gone {
            return Ok(());
        }
        let before = network.endpoints.remove(index);
        let opened = self.open_host_end(book, name);
        if opened.is_err() {
            // Its rules and ports stay until it can be made.
            book.network_mut(name)?.endpoints.push(before);
        }
        opened
    }

    /// Make the host's rules what the book says they are.
    ///
    /// # Errors
    /// The rules could not be set; they are as before then.
    pub(super) fn apply_rules(&self, book: &Book) -> Result<(), Fault> {
        let plan = plan(book);
        let mut outside = lock(&self.outside);
        if plan.networks.is_empty() {
            return outside.take().map_or(Ok(()), Outside::close);
        }
        if outside.is_none() {
            *outside = Some(Outside::open()?);
        }
        let applied = outside.as_mut().map_or(Ok(()), |outside| outside.apply(&plan));
        self.rules_behind.store(applied.is_err(), Ordering::Release);
        applied
    }

    /// After a failure: make the rules what they are to be.
    pub(super) fn catch_up(&self, book: &Book) {
        if self.rules_behind.load(Ordering::Acquire)
            && let Err(fault) = self.apply_rules(book)
        {
            tracing::error!("the host's rules are still not what they are to be: {fault}");
        }
    }

    /// After a restart: rules of networks that are no more are removed.
    pub(super) fn clear_old_rules(book: &mut Book) {
        if !book.host_rules || book.networks.iter().any(|network| network.host_end().is_some()) {
            return;
        }
        match Firewall::open().and_then(|firewall| firewall.clear()) {
            Ok(()) => book.host_rules = false,
            Err(fault) => tracing::error!("rules of networks that are no more are left: {fault}"),
        }
    }

    /// Work with what carries ports that cannot be translated.
    ///
    /// # Errors
    /// No network reaches the host.
    pub(super) fn with_proxy<T>(&self, work: impl FnOnce(&Proxy) -> T) -> Result<T, Fault> {
        let mut outside = lock(&self.outside);
        if let Some(outside) = outside.as_mut() {
            return Ok(work(&outside.proxy));
        }
        let opened = outside.insert(Outside::open()?);
        Ok(work(&opened.proxy))
    }
}

/// What the switch has on the host while there are networks that reach it.
pub(super) struct Outside {
    firewall: Arc<Firewall>,
    /// Puts the rules back; from the first plan on.
    watch: Option<Watch>,
    proxy: Proxy,
}

impl Outside {
    fn open() -> Result<Self, Fault> {
        let proxy = Proxy::start().map_err(|error| Fault::io("cannot start the proxy of published ports", error))?;
        let firewall = Arc::new(Firewall::open()?);
        Ok(Self { firewall, watch: None, proxy })
    }

    fn apply(&mut self, plan: &Plan) -> Result<(), Fault> {
        self.firewall.apply(plan)?;
        if self.watch.is_none() {
            let watch = Watch::start(Arc::clone(&self.firewall));
            let watch = watch.inspect_err(|error| {
                tracing::error!("nobody will put the host's rules back after a firewall's reload: {error}");
            });
            self.watch = watch.ok();
        }
        Ok(())
    }

    /// No network reaches the host any more.
    fn close(mut self) -> Result<(), Fault> {
        // First, so that it does not put back what is cleared now.
        self.watch.take();
        Ok(self.firewall.clear()?)
    }
}

/// The host's end of a network as it is to be; `None` where the gateway has no address.
fn host_end(network: &NetworkRecord, port: u16) -> Option<EndpointRecord> {
    let first = network.gateway.map(|gateway| (gateway, network.subnet));
    let more = network.more_subnets.iter().filter_map(|more| Some((more.gateway?, more.subnet)));
    let mut addresses = first.into_iter().chain(more);
    let mut addresses = addresses.by_ref().filter_map(|(ip, subnet)| IpNet::new(ip, subnet.prefix_len()).ok());
    let ip = addresses.next()?;
    Some(EndpointRecord {
        name: GATEWAY_NAME.to_owned(),
        port,
        netns: NamespaceRef::Own.to_string(),
        ifname: host_ifname(network),
        ip,
        mac: MacAddr::like_ip(ip.addr()),
        kind: PortKind::Tap,
        offload: true,
        pinned: true,
        host_ifname: None,
        host_ifindex: 0,
        ifindex: 0,
        complete: false,
        more_ips: addresses.collect(),
        role: Role::Gateway,
        docker: None,
    })
}

/// The name the user chose, or one that reads like the network's name or id.
fn host_ifname(network: &NetworkRecord) -> String {
    if let Some(name) = &network.options.bridge_name {
        return name.clone();
    }
    let by_name = format!("ly-{}", network.name);
    if !network.docker && validate::ifname(&by_name).is_ok() {
        return by_name;
    }
    format!("ly-{}", network.id.get(..12).unwrap_or(&network.id))
}

/// What the host is to let pass.
fn plan(book: &Book) -> Plan {
    let networks =
        book.networks.iter().filter_map(|network| Some(host_network(network, network.host_end()?))).collect();
    let mut published = Vec::new();
    for network in &book.networks {
        let Some(end) = network.host_end() else { continue };
        for endpoint in network.containers() {
            let ports = endpoint.record.docker.iter().flat_map(|docker| &docker.published);
            published.extend(ports.filter_map(|port| published_port(end, endpoint, port)));
        }
    }
    Plan { networks, published }
}

fn host_network(network: &Network, end: &Endpoint) -> HostNetwork {
    let options = &network.record.options;
    HostNetwork {
        ifname: end.record.ifname.clone(),
        subnets: network.subnets().collect(),
        gateways: end.addresses().map(|ip| ip.addr()).collect(),
        internal: network.record.internal,
        icc: options.icc,
        mode_v4: mode(options.gateway_mode_ipv4),
        mode_v6: mode(options.gateway_mode_ipv6),
        masquerade: options.masquerade,
        snat_v4: options.host_ipv4,
        snat_v6: options.host_ipv6,
        trusted: options.trusted_interfaces.clone(),
    }
}

/// A published port leads to the container's address of the host address's family. From IPv6 to a container without it there
/// is no rule: whoever keeps the port hands on what comes in.
fn published_port(end: &Endpoint, endpoint: &Endpoint, port: &PublishedPort) -> Option<Published> {
    let container = endpoint.addresses().map(|ip| ip.addr()).find(|ip| ip.is_ipv4() == port.host_ip.is_ipv4())?;
    Some(Published {
        ifname: end.record.ifname.clone(),
        container,
        container_port: port.container_port,
        protocol: protocol(port.protocol),
        host_ip: port.host_ip,
        host_port: port.host_port,
    })
}

const fn mode(translation: Translation) -> Mode {
    match translation {
        Translation::Nat => Mode::Nat,
        Translation::NatUnprotected => Mode::NatUnprotected,
        Translation::Routed => Mode::Routed,
        Translation::Isolated => Mode::Isolated,
    }
}

pub(super) const fn protocol(protocol: Protocol) -> host::Protocol {
    match protocol {
        Protocol::Tcp => host::Protocol::Tcp,
        Protocol::Udp => host::Protocol::Udp,
        Protocol::Sctp => host::Protocol::Sctp,
    }
}
