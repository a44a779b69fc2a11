//! A bench for the engine: one network, and a memory port for each host on it.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file needs its part; one that cannot set up has failed"
)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forwarding::{Guard, MacTableConfig};
use frame::{DropReason, MacAddr, NetworkId, OffloadHeader, PortId};
use lanyard_switch as switch;
use ports::Port;
use ports::memory::{self, MemoryPeer};
use switch::engine::counters::{PerWorker, PortCount};
use switch::engine::{Engine, GatewayView, NetworkTables, NetworkView, PortView, Snapshot};

pub const GATEWAY_MAC: MacAddr = MacAddr([0x02, 0x42, 10, 0, 0, 1]);
pub const LAN: NetworkId = NetworkId(0);

/// An engine with one network and a memory port for each host.
pub struct Bench {
    pub engine: Engine,
    pub tables: Arc<NetworkTables>,
    pub peers: Vec<MemoryPeer>,
    pub counts: Vec<Arc<PerWorker<PortCount>>>,
    _failures: crossbeam::channel::Receiver<switch::engine::PortFailure>,
}

impl Bench {
    pub fn new(workers: usize, ports: u16, offload: impl Fn(u16) -> bool) -> Self {
        let (engine, failures) = Engine::start(workers).unwrap();
        let tables = Arc::new(NetworkTables::new(MacTableConfig::default(), workers).unwrap());
        tables.mac.set_gateway(GATEWAY_MAC).unwrap();
        let mut bench = Self { engine, tables, peers: Vec::new(), counts: Vec::new(), _failures: failures };
        for port in 0..ports {
            let (queues, peer) = memory::pair(&format!("m{port}"), workers, 1024, offload(port)).unwrap();
            let queues = queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Port>).collect();
            bench.counts.push(bench.engine.attach(PortId(port), queues));
            bench.peers.push(peer);
        }
        bench.publish(&(0..ports).collect::<Vec<_>>());
        bench
    }

    pub fn publish(&self, members: &[u16]) {
        self.publish_as(members, |_| {}, |_| None);
    }

    /// The same with a network changed and ports guarded.
    pub fn publish_as(&self, members: &[u16], change: impl Fn(&mut NetworkView), guard: impl Fn(u16) -> Option<Guard>) {
        let mut view = NetworkView {
            id: LAN,
            tables: Arc::clone(&self.tables),
            members: members.iter().copied().map(PortId).collect(),
            mtu: 1500,
            forward_reserved: false,
            suppress_arp: false,
            subnet: Some("10.0.0.0/24".parse().unwrap()),
            gateway: Some(GatewayView { ip: Ipv4Addr::new(10, 0, 0, 1), mac: GATEWAY_MAC }),
            host_gateway: None,
            icc: true,
            peers: Vec::new(),
            hub: false,
        };
        change(&mut view);
        let port = |port| PortView { network: LAN, guard: guard(port).map(Arc::new) };
        let ports = (0..self.peers.len()).map(|number| Some(port(number as u16))).collect();
        let mut snapshot = Snapshot::default();
        snapshot.networks.push(Some(Arc::new(view)));
        snapshot.ports = ports;
        self.engine.publish(snapshot);
    }

    pub fn send(&self, port: usize, octets: &[u8]) {
        assert!(self.peers[port].send(octets, OffloadHeader::NONE));
    }

    /// What arrives at a port, waiting for the first frame and then for silence.
    pub fn arrivals(&self, port: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let deadline = Instant::now() + Duration::from_millis(300);
        let mut quiet = Instant::now() + Duration::from_millis(300);
        while Instant::now() < deadline.max(quiet) {
            match self.peers[port].recv() {
                Some((octets, _)) => {
                    frames.push(octets);
                    quiet = Instant::now() + Duration::from_millis(30);
                }
                None if !frames.is_empty() && Instant::now() > quiet => break,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        frames
    }

    /// Wait until a drop counter has this value; say what it has otherwise.
    pub fn expect_drops(&self, reason: DropReason, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.tables.drops.drops(reason) != count && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let all: Vec<_> =
            DropReason::ALL.iter().map(|r| (r.name(), self.tables.drops.drops(*r))).filter(|r| r.1 > 0).collect();
        assert_eq!(self.tables.drops.drops(reason), count, "{reason}: {all:?}");
    }
}

pub fn host(number: u8) -> MacAddr {
    MacAddr::from_ipv4(Ipv4Addr::new(10, 0, 0, number))
}

/// The MAC address of the host on a port: hosts are numbered from 10.
pub fn host_mac(port: usize) -> MacAddr {
    host(10 + port as u8)
}

pub fn frame(to: MacAddr, from: MacAddr, payload: &[u8]) -> Vec<u8> {
    let mut octets = [to.0, from.0].concat();
    octets.extend([0x88, 0xb5]);
    octets.extend(payload);
    octets
}

pub fn for_each_worker_count(test: impl Fn(usize)) {
    for workers in [1, 2] {
        test(workers);
    }
}
