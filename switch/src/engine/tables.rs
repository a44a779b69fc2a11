//! What does every worker know? Snapshots that control replaces as a whole, and tables that the workers themselves fill.
//!
//! A [`Snapshot`] says which ports and networks there are. It never changes: control publishes another one, and each
//! worker takes it up between two bursts. What changes with the traffic lives in [`NetworkTables`], which snapshots
//! share: the MAC table (lock-free), the neighbor table (a lock, taken for ARP and for next hops that a worker has not
//! asked for lately, never for a frame that is only switched), and the counters.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arp::NeighborTable;
use forwarding::mac_table::CapacityOutOfRange;
use forwarding::route::NextNetwork;
use forwarding::route::table::RouteTable;
use forwarding::{AdmitRules, Guard, Isolation, MacTable, MacTableConfig};
use frame::{DropReason, MacAddr, NetworkId, PortId};
use ipnet::Ipv4Net;

use super::counters::{DropCount, PerWorker};

/// Which networks and ports there are, for the workers.
pub struct Snapshot {
    /// By [`NetworkId`].
    pub networks: Vec<Option<Arc<NetworkView>>>,
    /// By [`PortId`].
    pub ports: Vec<Option<PortView>>,
    /// One route to each network that has a gateway; made by [`Snapshot::with_routes`].
    pub(super) routes: RouteTable<NextNetwork>,
}

impl Default for Snapshot {
    /// No network and no port.
    fn default() -> Self {
        Self { networks: Vec::new(), ports: Vec::new(), routes: RouteTable::new() }
    }
}

impl Snapshot {
    /// One network, 0, of which the first `ports` ports are members; frames of up to `mtu` octets, no gateway, no guard: a
    /// switch and nothing else.
    pub fn of_one_network(tables: Arc<NetworkTables>, ports: u16, mtu: usize) -> Self {
        let id = NetworkId(0);
        let view = NetworkView {
            id,
            tables,
            members: (0..ports).map(PortId).collect(),
            mtu,
            forward_reserved: false,
            suppress_arp: false,
            subnet: None,
            gateway: None,
            host_gateway: None,
            icc: true,
            peers: Vec::new(),
            hub: false,
        };
        let ports = (0..ports).map(|_| Some(PortView { network: id, guard: None })).collect();
        Self { networks: vec![Some(Arc::new(view))], ports, ..Self::default() }
    }

    /// The same with a route to each network that has a gateway.
    #[must_use]
    pub(super) fn with_routes(mut self) -> Self {
        for view in self.networks.iter().flatten() {
            if let (Some(subnet), Some(gateway)) = (view.subnet, view.gateway) {
                let gateway_ip = Some(gateway.ip.into());
                let next = NextNetwork { network: view.id, gateway: None, mtu: view.mtu, gateway_ip };
                self.routes.insert(subnet.into(), next);
            }
        }
        self
    }

    /// The network with this number.
    #[inline]
    pub fn network(&self, id: NetworkId) -> Option<&Arc<NetworkView>> {
        self.networks.get(id.index())?.as_ref()
    }

    /// The port with this number.
    #[inline]
    pub fn port(&self, id: PortId) -> Option<&PortView> {
        self.ports.get(id.index())?.as_ref()
    }

    /// The network that a port belongs to.
    #[inline]
    pub fn network_of(&self, port: PortId) -> Option<&Arc<NetworkView>> {
        self.network(self.port(port)?.network)
    }
}

/// A port, as a worker needs to know it.
#[derive(Clone, Debug)]
pub struct PortView {
    /// Its network.
    pub network: NetworkId,
    /// The addresses it may use and those it may not; `None` where it may use any, and for a host gateway's port.
    ///
    /// The MAC addresses of the other endpoints, and of a host gateway, must be static entries of the network's MAC table:
    /// that is how a frame that uses one is found out.
    pub guard: Option<Arc<Guard>>,
}

/// A network, as a worker needs to know it.
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Clone)]
pub struct NetworkView {
    /// Its number.
    pub id: NetworkId,
    /// What changes with the traffic.
    pub tables: Arc<NetworkTables>,
    /// The ports that are up: where a flood goes.
    pub members: Vec<PortId>,
    /// Largest IP packet, octets.
    pub mtu: usize,
    /// Forward the reserved groups 01-80-C2-00-00-0x too?
    pub forward_reserved: bool,
    /// Answer ARP requests for endpoints that are known?
    pub suppress_arp: bool,
    /// Its IPv4 subnet.
    pub subnet: Option<Ipv4Net>,
    /// The switch as the gateway; `None` where it is none.
    pub gateway: Option<GatewayView>,
    /// The host as the gateway; `None` where it is none.
    pub host_gateway: Option<HostGateway>,
    /// May endpoints speak to one another (`icc`)? If not, each reaches the gateway only.
    pub icc: bool,
    /// The networks it may talk to.
    pub peers: Vec<NetworkId>,
    /// Is it a hub (`mode=hub`), which learns nothing and repeats every frame to every other port?
    pub hub: bool,
}

/// The host as a network's gateway: its address is on a TAP in the host's namespace, which is a port like any other. The
/// switch's own router has no part in such a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostGateway {
    /// The TAP's port.
    pub port: PortId,
    /// The TAP's MAC address, a static entry on `port` in the network's MAC table.
    pub mac: MacAddr,
}

/// What holds for every frame that comes in by one port, worked out once a burst.
pub(super) struct Ingress<'a> {
    /// The port.
    pub(super) port: PortId,
    pub(super) rules: AdmitRules,
    pub(super) guard: Option<&'a Guard>,
    /// What it may reach, where that is not everybody.
    pub(super) isolation: Option<Isolation>,
}

impl<'a> Ingress<'a> {
    pub(super) fn of(port: PortId, snapshot: &'a Snapshot, view: &NetworkView) -> Self {
        let host = view.host_gateway;
        let is_host = host.is_some_and(|host| host.port == port);
        let gateway = view.gateway.map(|gateway| gateway.mac).or(host.map(|host| host.mac));
        Self {
            port,
            rules: AdmitRules {
                mtu_ip_octets: view.mtu,
                forward_reserved: view.forward_reserved,
                gateway: gateway.filter(|_| !is_host),
            },
            guard: snapshot.port(port).and_then(|port| port.guard.as_deref()).filter(|_| !is_host),
            isolation: (!view.icc && !is_host).then(|| Isolation { gateway: host.map(|host| host.port) }),
        }
    }
}

/// The switch as a network's gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayView {
    /// Its address on the network.
    pub ip: Ipv4Addr,
    /// Its MAC address, a gateway entry in the network's MAC table.
    pub mac: MacAddr,
}

/// What changes with the traffic of one network. Shared by all workers and all snapshots.
pub struct NetworkTables {
    /// Which MAC address is on which port.
    pub mac: MacTable,
    /// Which IP address has which MAC address. Lock it by [`NetworkTables::neighbors`].
    pub neighbors: Mutex<NeighborTable>,
    /// Frames dropped, by reason; one set for each worker, and a last one for control.
    pub drops: PerWorker<DropCount>,
    /// What the gateway keeps between frames: reassembly, the ICMP error budget.
    pub(super) gateway: Mutex<super::gateway::GatewayState>,
    /// The neighbor table's version when it was last unlocked, so that a worker's cache can tell without the lock.
    pub(super) version: AtomicU64,
    /// How far the MAC table's clock was moved by hand, milliseconds in all.
    pub warped: AtomicU64,
}

impl NetworkTables {
    /// Empty tables for `workers` workers.
    ///
    /// # Errors
    /// When the MAC table cannot be that large.
    pub fn new(mac: MacTableConfig, workers: usize) -> Result<Self, CapacityOutOfRange> {
        Ok(Self {
            mac: MacTable::new(mac)?,
            neighbors: Mutex::default(),
            drops: PerWorker::new(workers + 1),
            gateway: Mutex::default(),
            version: AtomicU64::new(0),
            warped: AtomicU64::new(0),
        })
    }

    /// Work on the neighbor table; its version is made known afterwards.
    pub fn neighbors<T>(&self, work: impl FnOnce(&mut NeighborTable) -> T) -> T {
        let mut table = lock(&self.neighbors);
        let result = work(&mut table);
        self.version.store(table.version(), Ordering::Release);
        result
    }

    /// The version of the neighbor table: it changes whenever the MAC address of a known neighbor does.
    #[inline]
    pub(super) fn neighbors_version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Forget what control said of these addresses.
    pub fn forget_control(&self, ips: &[IpAddr]) {
        self.neighbors(|table| {
            for ip in ips {
                table.remove_control(*ip);
            }
        });
    }

    /// A port is gone: forget all that was learned on it.
    ///
    /// Frames from that port that still wait for a next hop are dropped. They wait in the table of the network they
    /// were on their way into, so every network must hear of it. Only control calls this, from one thread at a time: the
    /// last set of counters is its own.
    pub fn forget_port(&self, port: PortId) {
        self.mac.forget_port(port);
        let orphans = self.neighbors(|table| table.forget_port(port));
        let own = self.drops.iter().count() - 1;
        if let Some(drops) = self.drops.of(own) {
            drops.add(DropReason::HostUnreachable, orphans.len() as u64);
        }
    }

    /// A port is down for now: forget what it taught, keep what control said.
    pub fn flush_port(&self, port: PortId) {
        self.mac.flush_port(port);
    }
}

/// Lock, whatever became of the thread that held it before: the tables have no state that a panic could leave half-made
/// in a way that later frames would not mend.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
