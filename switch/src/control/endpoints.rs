//! How do endpoints come and go? Everything about a request is checked before anything is made; the engine reads the
//! port before the container's interface is set up, so that its first frame is switched.

use std::net::IpAddr;

use docker::fabric::{MacChoice, Mode};
use frame::{DropReason, MacAddr};
use ipnet::IpNet;
use ports::netns::NamespaceRef;

use super::Fault;
use super::attach::{self, Inside, Made, Place, Wanted};
use super::book::{Book, Endpoint, Network};
use super::state::{EndpointRecord, Role};
use super::switch::{Inner, Switch, together};
use super::types::{EndpointInfo, EndpointSpec, PortKind};
use super::validate;

/// The largest MTU of a TAP: 65,535 octets less an Ethernet header (`tun_net_init`, drivers/net/tun.c).
const TAP_MTU: u32 = 65_521;

impl Switch {
    /// Attach a container to a network.
    ///
    /// # Errors
    /// What cannot be (names, addresses, the namespace, an interface name in use), or what the system refused; nothing
    /// is left of it then.
    pub fn connect(&self, network: &str, spec: &EndpointSpec) -> Result<EndpointInfo, Fault> {
        let mut book = self.0.open_book()?;
        let info = self.0.connect(&mut book, network, spec)?;
        drop(book);
        self.0.rewatch();
        Ok(info)
    }

    /// Detach a container from a network, and remove its interface. What is gone already is fine.
    ///
    /// # Errors
    /// There is no such network or endpoint; or the kernel refused to remove the interface, and the endpoint is still
    /// there, or the state cannot be written, and it is removed all the same.
    pub fn disconnect(&self, network: &str, endpoint: &str) -> Result<(), Fault> {
        let mut book = self.0.open_book()?;
        let index = book.network(network)?.endpoint(endpoint)?;
        if book.network(network)?.endpoints[index].record.docker.is_some() {
            return Err(Fault::EndpointIsDockers { endpoint: endpoint.to_owned() });
        }
        if book.network(network)?.endpoints[index].is_gateway() {
            return Err(Fault::EndpointIsGateway { network: network.to_owned() });
        }
        self.0.detach(&mut book, network, index)?;
        self.0.publish(&book);
        let written = self.0.persist(&book);
        drop(book);
        self.0.rewatch();
        written
    }
}

impl Inner {
    fn connect(&self, book: &mut Book, name: &str, spec: &EndpointSpec) -> Result<EndpointInfo, Fault> {
        let network = book.network(name)?;
        let name = &network.name().to_owned();
        let reference: NamespaceRef =
            spec.netns.parse().map_err(|error: ports::netns::BadNamespaceRef| Fault::Namespace(error.to_string()))?;
        if network.record.docker && spec.ip.is_none() {
            return Err(Fault::AddressIsDockers(name.to_owned()));
        }
        let endpoint = endpoint_name(network, spec, &reference)?;
        if let Some(ifname) = &spec.ifname {
            validate::ifname(ifname)?;
        }
        // The address is only taken in a copy, which replaces the book's own when all has been checked.
        let mut addresses = network.addresses.clone();
        let ip = addresses.take(spec.ip, &endpoint)?;
        let mac = choose_mac(network, spec.mac, ip)?;
        let offload = offload(spec)?;
        if spec.pinned && network.record.options.mode == Mode::Hub {
            return Err(Fault::HubKnowsNobody { asked: "--static" });
        }
        let pinned = spec.pinned || network.record.options.guard;
        mtu_fits(spec.kind, network.record.mtu)?;
        let inside = self.home.look_into(&reference)?;
        let ifname = inside.free_ifname(spec.ifname.as_deref())?;
        let record = EndpointRecord {
            name: endpoint,
            port: book.take_port()?.0,
            netns: reference.to_string(),
            ifname,
            ip,
            mac,
            kind: spec.kind,
            offload,
            pinned,
            host_ifname: spec.kind.has_host_end().then(attach::host_name),
            ifindex: 0,
            host_ifindex: 0,
            complete: false,
            more_ips: Vec::new(),
            role: Role::Container,
            docker: None,
        };
        let network = book.network_mut(name)?;
        network.endpoints.push(Endpoint::gone(record));
        network.addresses = addresses;
        self.bring_last(book, name, &inside)?;
        let info = book.network(name)?.endpoints.last().map(|endpoint| endpoint.info(name));
        info.ok_or_else(|| Fault::State(format!("network '{name}' lost its new endpoint")))
    }

    /// The last endpoint of the network becomes one that frames reach, or is taken away again.
    ///
    /// # Errors
    /// What the system refused; nothing is left of the endpoint then.
    pub(super) fn bring_last(&self, book: &mut Book, name: &str, inside: &Inside) -> Result<(), Fault> {
        let Some(index) = book.network(name)?.endpoints.len().checked_sub(1) else { return Ok(()) };
        // Written down before it is made, as incomplete: whatever a crash leaves behind is found by its names and undone.
        let brought = self.persist(book).and_then(|()| self.bring(book, name, index, inside));
        brought.map_err(|fault| self.undo(book, name, fault))
    }

    /// Make the endpoint's devices, set them up, and let frames reach them.
    fn bring(&self, book: &mut Book, name: &str, index: usize, inside: &Inside) -> Result<(), Fault> {
        let place = self.make_devices(book, name, index, inside)?;
        let network = book.network(name)?;
        if let Some(endpoint) = network.endpoints.get(index) {
            attach::raise(inside, &place, endpoint.addresses(), routers(network, endpoint))?;
        }
        if let Some(endpoint) = book.network_mut(name)?.endpoints.get_mut(index) {
            endpoint.inside_up = true;
            endpoint.record.complete = true;
        }
        self.publish(book);
        self.persist(book)
    }

    /// Make the endpoint's devices, still down, and let the engine read them.
    ///
    /// # Errors
    /// What the system refused; no device is left then.
    pub(super) fn make_devices(
        &self,
        book: &mut Book,
        name: &str,
        index: usize,
        inside: &Inside,
    ) -> Result<Place, Fault> {
        let network = book.network_mut(name)?;
        let mtu = network.record.mtu;
        let lost = || Fault::State(format!("network '{name}' lost its new endpoint"));
        let endpoint = network.endpoints.get_mut(index).ok_or_else(lost)?;
        let wanted = Wanted { record: &endpoint.record, mtu, queues: self.engine.workers(), persist: self.durable };
        let Made { place, queues } = attach::make(&self.home, inside, &wanted)?;
        let record = EndpointRecord {
            ifindex: place.ifindex,
            host_ifindex: place.host.as_ref().map_or(0, |host| host.ifindex),
            ..endpoint.record.clone()
        };
        let losses = queues.first().and_then(|queue| queue.losses());
        let counts = self.engine.attach(endpoint.port(), queues);
        // Frames from it are read at once; it is flooded to when it can take them.
        let reserved = std::mem::take(&mut endpoint.reserved);
        *endpoint = Endpoint { losses, reserved, inside_up: false, ..Endpoint::here(record, place.clone(), counts) };
        let network = book.network(name)?;
        if let Some(endpoint) = network.endpoints.get(index) {
            self.introduce(network, endpoint)?;
        }
        self.publish(book);
        Ok(place)
    }

    /// Tell the tables what control knows of an endpoint.
    ///
    /// # Errors
    /// A table is full of what may not make room.
    pub(super) fn introduce(&self, network: &Network, endpoint: &Endpoint) -> Result<(), Fault> {
        let (port, record) = (endpoint.port(), &endpoint.record);
        let full = |error: &dyn std::fmt::Display| {
            Fault::State(format!("endpoint '{}' of network '{}': {error}", record.name, network.name()))
        };
        let now = self.engine.clock().now();
        for ip in endpoint.addresses().map(|ip| ip.addr()) {
            let told = network.tables.neighbors(|table| table.set_control(ip, record.mac, Some(port), now));
            // Whoever asked for the address before it was there gets no answer any more.
            let waited = told.map_err(|error| full(&error))?.len();
            if let Some(drops) = network.tables.drops.iter().last() {
                drops.add(DropReason::HostUnreachable, waited as u64);
            }
        }
        if record.pinned {
            network.tables.mac.set_static(record.mac, port).map_err(|error| full(&error))?;
        }
        Ok(())
    }

    /// Take the last endpoint of the network away again, after `fault`.
    fn undo(&self, book: &mut Book, name: &str, fault: Fault) -> Fault {
        let last = book.network(name).ok().and_then(|network| network.endpoints.len().checked_sub(1));
        let Some(last) = last else { return fault };
        let left = self.detach(book, name, last);
        self.publish(book);
        if let Err(unwritten) = self.persist(book) {
            tracing::error!("{unwritten}"); // the next change writes everything
        }
        match left {
            Ok(()) => fault,
            Err(left) => Fault::Several(format!("{fault}; and then: {left}")),
        }
    }

    /// Take endpoint `index` out of the network and remove its devices. The caller publishes.
    ///
    /// # Errors
    /// The devices could not be removed: the endpoint stays, without queues.
    pub(super) fn detach(&self, book: &mut Book, name: &str, index: usize) -> Result<(), Fault> {
        let Some(endpoint) = book.network(name)?.endpoints.get(index) else { return Ok(()) };
        let (port, ips) = (endpoint.port(), endpoint.addresses().map(|ip| ip.addr()).collect::<Vec<_>>());
        self.engine.detach(port);
        book.network(name)?.tables.forget_control(&ips);
        book.forget(port);
        match &endpoint.record.docker {
            // Dockerd may have moved it back.
            Some(_) => self.remove_devices(book, name, index)?,
            None => attach::remove(&self.home, &endpoint.record, endpoint.place.as_ref())?,
        }
        let network = book.network_mut(name)?;
        let endpoint = network.endpoints.remove(index);
        // The gateway's addresses are the network's.
        if !endpoint.is_gateway() {
            network.addresses.release_all(&ips);
        }
        Ok(())
    }

    /// Take all endpoints out of the network.
    ///
    /// # Errors
    /// Everything that could not be removed; those endpoints stay.
    pub(super) fn remove_endpoints(&self, book: &mut Book, name: &str) -> Result<(), Fault> {
        let mut faults = Vec::new();
        let removed = !book.network(name)?.endpoints.is_empty();
        let mut index = 0;
        while index < book.network(name)?.endpoints.len() {
            if let Err(fault) = self.detach(book, name, index) {
                faults.push(fault);
                index += 1;
            }
        }
        self.publish(book);
        if !removed {
            return Ok(());
        }
        faults.extend(self.persist(book).err());
        together(faults)
    }
}

/// Where an endpoint sends what is for elsewhere: of each address family the router of the first subnet that it is in.
pub(super) fn routers(network: &Network, endpoint: &Endpoint) -> Vec<IpAddr> {
    let mut routers: Vec<IpAddr> = Vec::new();
    if endpoint.is_gateway() || network.record.internal {
        return routers;
    }
    for (subnet, router) in network.routers() {
        let is_first = !routers.iter().any(|other| other.is_ipv4() == router.is_ipv4());
        if is_first && endpoint.addresses().any(|ip| subnet.contains(&ip.addr())) {
            routers.push(router);
        }
    }
    routers
}

/// Can a port of this kind have that MTU?
///
/// # Errors
/// [`Fault::OutOfRange`].
pub(super) fn mtu_fits(kind: PortKind, mtu: u32) -> Result<(), Fault> {
    match kind {
        PortKind::Tap => validate::range("mtu of a network with a TAP", mtu, 68, TAP_MTU)?,
        PortKind::Veth => mtu,
        PortKind::Xdp => validate::range("mtu of a network with an xdp port", mtu, 68, ports::xdp::MAX_MTU)?,
    };
    Ok(())
}

/// May the container leave checksums and segmentation to others? If nobody says: where its kind of port can.
fn offload(spec: &EndpointSpec) -> Result<bool, Fault> {
    match spec.offload {
        Some(true) if !spec.kind.can_offload() => Err(Fault::NoOffload),
        asked => Ok(asked.unwrap_or(spec.kind.can_offload())),
    }
}

/// The endpoint's name: the one asked for, or one that reads like its namespace.
fn endpoint_name(network: &Network, spec: &EndpointSpec, reference: &NamespaceRef) -> Result<String, Fault> {
    let taken = |name: &str| network.endpoints.iter().any(|endpoint| endpoint.record.name == name);
    if let Some(name) = &spec.endpoint {
        validate::name(name)?;
        if taken(name) {
            return Err(Fault::EndpointExists { network: network.name().to_owned(), endpoint: name.clone() });
        }
        return Ok(name.clone());
    }
    let base = readable(&reference.to_string());
    let mut names = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}-{n}")));
    names.find(|name| !taken(name)).ok_or(Fault::BadName(base))
}

/// A legal name out of a namespace's: `red`, `pid-4711`, the last part of a path.
fn readable(netns: &str) -> String {
    let last = netns.rsplit('/').next().unwrap_or(netns);
    let legal = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let name: String = last.chars().map(legal).skip_while(|c| !c.is_ascii_alphanumeric()).take(56).collect();
    if name.is_empty() { "endpoint".to_owned() } else { name }
}

/// The MAC address: the one asked for, or one that reads like the IP address, or, where somebody has that or the network
/// says `mac=random`, any other.
pub(super) fn choose_mac(network: &Network, asked: Option<MacAddr>, ip: IpNet) -> Result<MacAddr, Fault> {
    if let Some(mac) = asked {
        validate::mac(mac, network.name(), network.owner_of(mac).as_deref())?;
        return Ok(mac);
    }
    if network.record.options.mac == MacChoice::Random {
        return any_mac(network);
    }
    let like_ip = MacAddr::like_ip(ip.addr());
    if network.owner_of(like_ip).is_none() { Ok(like_ip) } else { any_mac(network) }
}

/// Any MAC address that nobody has.
///
/// # Errors
/// None was found.
fn any_mac(network: &Network) -> Result<MacAddr, Fault> {
    let any = || {
        let [a, b, c, d] = rand::random::<[u8; 4]>();
        MacAddr([0x02, 0x43, a, b, c, d])
    };
    let free = std::iter::repeat_with(any).take(64).find(|mac| network.owner_of(*mac).is_none());
    free.ok_or(Fault::TooMany { what: "MAC addresses", limit: network.endpoints.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_like_the_namespace() {
        for (netns, name) in [
            ("red", "red"),
            ("pid:4711", "pid-4711"),
            ("/run/docker/netns/3f2a", "3f2a"),
            ("/tmp/a b", "a-b"),
            ("_-", "endpoint"),
            ("/x/", "endpoint"),
        ] {
            assert_eq!(readable(netns), name);
            assert!(validate::name(&readable(netns)).is_ok());
        }
        assert!(validate::name(&readable(&"x".repeat(200))).is_ok());
    }
}
