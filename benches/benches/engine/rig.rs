//! What is measured? A running engine with one network and a memory port for each host, and one thread, this one, that
//! plays all the hosts: it sends at port 0 and takes off what comes out of the others.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forwarding::MacTableConfig;
use frame::{Frame, MacAddr, NetworkId, OffloadHeader, PortId};
use lanyard_benches::machine::cpu_time_of_threads;
use ports::Port;
use ports::memory::{self, MemoryPeer};
use switch::engine::{Engine, NetworkTables, NetworkView, PortView, Snapshot};

use super::ALLOCATOR;

/// Frames that each ring holds.
const RING: usize = 1024;
/// Frames under way at a time: half a ring, so that no ring ever overflows and every frame must arrive.
const WINDOW: u64 = 512;
/// Frames sent before what has arrived is taken off.
const BURST: u64 = 64;
/// Without an arrival for so long, frames are lost.
const PATIENCE: Duration = Duration::from_secs(10);
const LAN: NetworkId = NetworkId(0);
/// IEEE 802 local experimental ether type 1: no step of the switch reads further.
const ETHER_TYPE: [u8; 2] = [0x88, 0xb5];

/// Who sends to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Traffic {
    /// One host to another.
    TwoHosts,
    /// 500 addresses behind one port to 500 behind another, a different pair with every frame.
    ThousandMacs,
    /// One host to all of eight others.
    FloodToEight,
}

impl Traffic {
    pub(crate) const ALL: [Self; 3] = [Self::TwoHosts, Self::ThousandMacs, Self::FloodToEight];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::TwoHosts => "unicast, 2 hosts",
            Self::ThousandMacs => "unicast, 1,000 MACs",
            Self::FloodToEight => "flood to 8 ports",
        }
    }

    /// Frames that leave for each that comes in.
    pub(crate) const fn copies(self) -> u16 {
        if matches!(self, Self::FloodToEight) { 8 } else { 1 }
    }

    /// Destination and source of the frames, in turn.
    fn addresses(self) -> Vec<[u8; 12]> {
        let join = |to: MacAddr, from: MacAddr| {
            let mut octets = [0; 12];
            octets[..6].copy_from_slice(&to.0);
            octets[6..].copy_from_slice(&from.0);
            octets
        };
        match self {
            Self::TwoHosts => vec![join(station(1, 0), station(0, 0))],
            // 500 and 499 have no common divisor: the pairs differ for 249,500 frames.
            Self::ThousandMacs => {
                (0..500 * 499_u32).map(|n| join(station(1, (n % 499) as u16), station(0, (n % 500) as u16))).collect()
            }
            Self::FloodToEight => vec![join(MacAddr::BROADCAST, station(0, 0))],
        }
    }

    /// Addresses behind each port.
    const fn stations(self) -> u16 {
        if matches!(self, Self::ThousandMacs) { 500 } else { 1 }
    }
}

/// A locally administered address, unique by port and number.
fn station(port: u8, number: u16) -> MacAddr {
    let [high, low] = number.to_be_bytes();
    MacAddr([0x02, 0x42, 10, port, high, low])
}

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) frames: u64,
    pub(crate) took: Duration,
    /// CPU time of all workers.
    pub(crate) workers: Duration,
    pub(crate) bursts: u64,
    pub(crate) allocations: u64,
}

/// The engine and its hosts.
pub(crate) struct Rig {
    // Before the peers: an engine whose peers are gone first would report failed ports.
    engine: Engine,
    peers: Vec<MemoryPeer>,
    addresses: Vec<[u8; 12]>,
    next: usize,
    template: Vec<u8>,
    /// Frames that have come out of each port but the first, in this run.
    arrived: Vec<u64>,
}

impl Rig {
    /// A rig whose switch knows all stations.
    ///
    /// # Errors
    /// The system has no thread or descriptor left, or no frame passes.
    pub(crate) fn new(workers: usize, traffic: Traffic, octets: usize) -> io::Result<Self> {
        let (engine, _) = Engine::start(workers)?;
        let tables = NetworkTables::new(MacTableConfig::default(), workers).map_err(io::Error::other)?;
        let ports = traffic.copies() + 1;
        let mut peers = Vec::new();
        for port in 0..ports {
            let (queues, peer) = memory::pair(&format!("m{port}"), workers, RING, true)?;
            // All the buffers the port can use, so that none need be made later.
            (0..RING * (workers + 1)).for_each(|_| peer.recycle(Frame::empty()));
            engine.attach(PortId(port), queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Port>).collect());
            peers.push(peer);
        }
        engine.publish(snapshot(Arc::new(tables), ports));
        let mut template = vec![0; octets];
        template[12..14].copy_from_slice(&ETHER_TYPE);
        let arrived = vec![0; peers.len() - 1];
        let mut rig = Self { engine, peers, addresses: traffic.addresses(), next: 0, template, arrived };
        rig.teach(traffic.stations())?;
        Ok(rig)
    }

    /// Every station says something to everybody, so that the switch knows where it is.
    fn teach(&mut self, stations: u16) -> io::Result<()> {
        for port in 0..self.peers.len() {
            for number in 0..stations {
                let mut octets = self.template.clone();
                octets[..6].copy_from_slice(&MacAddr::BROADCAST.0);
                octets[6..12].copy_from_slice(&station(port as u8, number).0);
                if !self.peers[port].send(&octets, OffloadHeader::NONE) {
                    return Err(io::Error::other("the ring is full"));
                }
                for other in (0..self.peers.len()).filter(|other| *other != port) {
                    self.await_one(other)?;
                }
            }
        }
        Ok(())
    }

    fn await_one(&self, port: usize) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(frame) = self.peers[port].recv_frame() {
                self.peers[port].recycle(frame);
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::yield_now();
        }
    }

    /// Send `frames` frames and wait until each has arrived wherever it must.
    ///
    /// # Errors
    /// Frames were lost.
    pub(crate) fn run(&mut self, frames: u64) -> io::Result<Run> {
        self.arrived.fill(0);
        let bursts = self.bursts();
        let cpu = cpu_time_of_threads("worker-")?;
        let (allocations, start) = (ALLOCATOR.allocations(), Instant::now());
        self.pass(frames)?;
        let (took, allocations) = (start.elapsed(), ALLOCATOR.allocations() - allocations);
        let workers = cpu_time_of_threads("worker-")?.saturating_sub(cpu);
        Ok(Run { frames, took, workers, bursts: self.bursts() - bursts, allocations })
    }

    fn bursts(&self) -> u64 {
        self.engine.worker_counts().sum(|counts| counts.bursts.get())
    }

    fn pass(&mut self, frames: u64) -> io::Result<()> {
        let (mut sent, mut progress) = (0, Instant::now());
        loop {
            let slowest = self.arrived.iter().copied().min().unwrap_or(frames);
            if slowest == frames {
                return Ok(());
            }
            let room = WINDOW.saturating_sub(sent - slowest).min(BURST).min(frames - sent);
            (0..room).for_each(|_| self.send_next());
            sent += room;
            if self.take_arrivals() > 0 || room > 0 {
                progress = Instant::now();
            } else if progress.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{} of {sent} frames are lost", sent - slowest)));
            } else {
                // Where there are no more CPUs than threads, the workers need this one.
                std::thread::yield_now();
            }
        }
    }

    /// The next frame, in a buffer that came back: only its addresses are written.
    fn send_next(&mut self) {
        let mut frame = self.peers[0].spare_frame();
        if frame.len() != self.template.len() {
            frame.fill(&self.template, OffloadHeader::NONE);
        }
        frame.octets_mut()[..12].copy_from_slice(&self.addresses[self.next]);
        self.next = if self.next + 1 == self.addresses.len() { 0 } else { self.next + 1 };
        if let Err(frame) = self.peers[0].send_frame(frame) {
            self.peers[0].recycle(frame); // the window is smaller than the ring; a lost frame is noticed at the end
        }
    }

    fn take_arrivals(&mut self) -> u64 {
        let mut taken = 0;
        for (peer, arrived) in self.peers[1..].iter().zip(&mut self.arrived) {
            while let Some(frame) = peer.recv_frame() {
                peer.recycle(frame);
                *arrived += 1;
                taken += 1;
            }
        }
        taken
    }
}

/// One network, of which every port is a member, and no gateway.
fn snapshot(tables: Arc<NetworkTables>, ports: u16) -> Snapshot {
    let view = NetworkView {
        id: LAN,
        tables,
        members: (0..ports).map(PortId).collect(),
        mtu: 1500,
        forward_reserved: false,
        suppress_arp: false,
        subnet: None,
        gateway: None,
        peers: Vec::new(),
    };
    let mut snapshot = Snapshot::default();
    snapshot.networks.push(Some(Arc::new(view)));
    snapshot.ports = (0..ports).map(|_| Some(PortView { network: LAN })).collect();
    snapshot
}
