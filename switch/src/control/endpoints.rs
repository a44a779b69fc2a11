//! How do endpoints come and go? Everything about a request is checked before anything is made; the engine reads the
//! port before the container's interface is set up, so that its first frame is switched.

use frame::{DropReason, MacAddr};
use ipnet::IpNet;
use ports::netns::NamespaceRef;

use super::Fault;
use super::attach::{self, Inside, Made, Wanted};
use super::book::{Book, Endpoint, Network};
use super::state::EndpointRecord;
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
        let reference: NamespaceRef =
            spec.netns.parse().map_err(|error: ports::netns::BadNamespaceRef| Fault::Namespace(error.to_string()))?;
        let endpoint = endpoint_name(network, spec, &reference)?;
        if let Some(ifname) = &spec.ifname {
            validate::ifname(ifname)?;
        }
        // The address is only taken in a copy, which replaces the book's own when all has been checked.
        let mut addresses = network.addresses.clone();
        let ip = addresses.take(spec.ip, &endpoint)?;
        let mac = choose_mac(network, spec.mac, ip)?;
        let offload = offload(spec)?;
        match spec.kind {
            PortKind::Tap => validate::range("mtu of a network with a TAP", network.record.mtu, 68, TAP_MTU)?,
            PortKind::Veth => network.record.mtu,
            PortKind::Xdp => {
                validate::range("mtu of a network with an xdp port", network.record.mtu, 68, ports::xdp::MAX_MTU)?
            }
        };
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
            pinned: spec.pinned,
            host_ifname: spec.kind.has_host_end().then(attach::host_name),
            ifindex: 0,
            host_ifindex: 0,
            complete: false,
        };
        let network = book.network_mut(name)?;
        network.endpoints.push(Endpoint::gone(record));
        network.addresses = addresses;
        // Written down before it is made, as incomplete: whatever a crash leaves behind is found by its names and undone.
        if let Err(fault) = self.persist(book).and_then(|()| self.bring(book, name, &inside)) {
            return Err(self.undo(book, name, fault));
        }
        let info = book.network(name)?.endpoints.last().map(|endpoint| endpoint.info(name));
        info.ok_or_else(|| Fault::State(format!("network '{name}' lost its new endpoint")))
    }

    /// The last endpoint of the network becomes one that frames reach.
    fn bring(&self, book: &mut Book, name: &str, inside: &Inside) -> Result<(), Fault> {
        let network = book.network_mut(name)?;
        let (mtu, gateway) = (network.record.mtu, network.record.gateway);
        let Some(endpoint) = network.endpoints.last_mut() else { return Ok(()) };
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
        *endpoint = Endpoint { losses, inside_up: false, ..Endpoint::here(record, place.clone(), counts) };
        let ip = endpoint.record.ip;
        let network = book.network(name)?;
        if let Some(endpoint) = network.endpoints.last() {
            self.introduce(network, endpoint)?;
        }
        self.publish(book);
        attach::raise(inside, &place, ip, gateway)?;
        if let Some(endpoint) = book.network_mut(name)?.endpoints.last_mut() {
            endpoint.inside_up = true;
            endpoint.record.complete = true;
        }
        self.publish(book);
        self.persist(book)
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
        let told = network.tables.neighbors(|table| table.set_control(record.ip.addr(), record.mac, Some(port), now));
        // Whoever asked for the address before it was there gets no answer any more.
        let waited = told.map_err(|error| full(&error))?.len();
        if let Some(drops) = network.tables.drops.iter().last() {
            drops.add(DropReason::HostUnreachable, waited as u64);
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
    fn detach(&self, book: &mut Book, name: &str, index: usize) -> Result<(), Fault> {
        let Some(endpoint) = book.network(name)?.endpoints.get(index) else { return Ok(()) };
        let (port, ip) = (endpoint.port(), endpoint.record.ip.addr());
        self.engine.detach(port);
        book.network(name)?.tables.neighbors(|table| table.remove_control(ip));
        book.forget(port);
        attach::remove(&self.home, &endpoint.record, endpoint.place.as_ref())?;
        let network = book.network_mut(name)?;
        network.endpoints.remove(index);
        network.addresses.release(ip);
        Ok(())
    }

    /// Take all endpoints out of the network.
    ///
    /// # Errors
    /// Everything that could not be removed; those endpoints stay.
    pub(super) fn remove_endpoints(&self, book: &mut Book, name: &str) -> Result<(), Fault> {
        let mut faults = Vec::new();
        let mut index = 0;
        while index < book.network(name)?.endpoints.len() {
            if let Err(fault) = self.detach(book, name, index) {
                faults.push(fault);
                index += 1;
            }
        }
        self.publish(book);
        faults.extend(self.persist(book).err());
        together(faults)
    }
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

/// The MAC address: the one asked for, or one that reads like the IP address, or, where somebody has that, any other.
fn choose_mac(network: &Network, asked: Option<MacAddr>, ip: IpNet) -> Result<MacAddr, Fault> {
    if let Some(mac) = asked {
        validate::mac(mac, network.name(), network.owner_of(mac).as_deref())?;
        return Ok(mac);
    }
    let like_ip = match ip.addr() {
        std::net::IpAddr::V4(ip) => MacAddr::from_ipv4(ip),
        std::net::IpAddr::V6(ip) => {
            let [.., a, b, c, d] = ip.octets();
            MacAddr([0x02, 0x42, a, b, c, d])
        }
    };
    let any = || {
        let [a, b, c, d] = rand::random::<[u8; 4]>();
        MacAddr([0x02, 0x43, a, b, c, d])
    };
    let mut choices = std::iter::once(like_ip).chain(std::iter::repeat_with(any)).take(64);
    let free = choices.find(|mac| network.owner_of(*mac).is_none());
    free.ok_or_else(|| {
        let by = network.owner_of(like_ip).unwrap_or_default();
        Fault::MacTaken { mac: like_ip, network: network.name().to_owned(), by }
    })
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
