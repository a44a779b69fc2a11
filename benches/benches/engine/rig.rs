//! What is measured? A running engine with one network of memory ports, and hosts at their other ends.
//!
//! The hosts are played by the worker threads themselves, so that what is measured is what one core does with a frame and
//! not how fast two cores exchange cache lines: [`Played`] is a memory port that, when it is asked for a burst, first has
//! its peer write one into the ring, and when it has been sent a burst, has its peer take it off. What the peers take is
//! timed burst by burst and left out of the result; the rings' other ends, swapping and copying, are the engine's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use forwarding::MacTableConfig;
use frame::batch::BURST;
use frame::{Batch, PortId};
use nix::sys::eventfd::{EfdFlags, EventFd};
use ports::memory::{self, MemoryPeer, MemoryQueue};
use ports::{Port, Sent};
use switch::engine::{Engine, NetworkTables, Snapshot};

use super::ALLOCATOR;
use super::traffic::{Stream, Traffic};

/// Frames that each ring holds: two bursts, so that a burst never finds a ring full.
const RING: usize = 2 * BURST;
/// Without an arrival for so long, frames are lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the network lets through, octets without the Ethernet header.
const MTU: usize = 1500;

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) frames: u64,
    /// All workers' time together, that of the hosts left out.
    pub(crate) engine: Duration,
    /// The hosts' time.
    pub(crate) hosts: Duration,
    pub(crate) bursts: u64,
    pub(crate) allocations: u64,
}

/// What the main thread and the hosts of one worker tell each other.
struct Orders {
    /// Frames still to be sent.
    left: AtomicU64,
    /// Frames that have arrived, at all ports together.
    arrived: AtomicU64,
    /// Nanoseconds that the peers have taken.
    hosts: AtomicU64,
    bell: EventFd,
}

/// A queue of a memory port with its peer.
struct Played {
    queue: MemoryQueue,
    peer: MemoryPeer,
    /// What the peer sends; nothing at the ports that only receive.
    stream: Option<Stream>,
    orders: Arc<Orders>,
}

impl Played {
    /// The peer sends a burst.
    fn top_up(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let left = self.orders.left.load(Relaxed);
        let count = left.min(BURST as u64);
        if count > 0 {
            let start = Instant::now();
            let sent = self.peer.send_burst(0, count as usize, |_, frame| stream.write(frame));
            self.orders.left.store(left - sent as u64, Relaxed); // its only other writer waits until it is 0
            self.orders.charge(start);
        }
    }

    /// The peer takes off what has come.
    fn take_off(&mut self) {
        let start = Instant::now();
        let arrived = self.peer.recv_burst(RING, |frame| {
            std::hint::black_box(frame.len());
        });
        self.orders.charge(start);
        // Last: whoever waits for the frames may read the hosts' time then. One writer: its worker.
        self.orders.arrived.store(self.orders.arrived.load(Relaxed) + arrived as u64, Release);
    }
}

impl Port for Played {
    fn name(&self) -> &str {
        self.queue.name()
    }

    fn takes_offload(&self) -> bool {
        true
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        self.top_up();
        self.queue.recv(batch)
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        let sent = self.queue.send(batch, picks)?;
        self.take_off();
        Ok(sent)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        // Only the port that sends has anything to be woken for.
        self.stream.as_ref().map(|_| self.orders.bell.as_fd())
    }
}

/// The engine and its hosts.
pub(crate) struct Rig {
    engine: Engine,
    tables: Arc<NetworkTables>,
    traffic: Traffic,
    /// One for each worker.
    orders: Vec<Arc<Orders>>,
}

impl Rig {
    /// A rig whose switch knows all stations.
    ///
    /// # Errors
    /// The system has no thread or descriptor left, or the table refuses a station.
    pub(crate) fn new(workers: usize, traffic: Traffic, octets: usize) -> io::Result<Self> {
        let (engine, _) = Engine::start(workers)?;
        let config = MacTableConfig { capacity: traffic.capacity(), ..MacTableConfig::default() };
        let tables = Arc::new(NetworkTables::new(config, workers).map_err(io::Error::other)?);
        let orders = (0..workers).map(|_| Orders::new()).collect::<io::Result<Vec<_>>>()?;
        let ports = traffic.copies() + 1;
        for port in 0..ports {
            let mut queues: Vec<Box<dyn Port>> = Vec::new();
            for queue in 0..workers {
                let worker = (queue + usize::from(port)) % workers; // the engine shares first queues out by port
                let orders = &orders[worker];
                let stream = (port == 0).then(|| Stream::new(traffic, octets, worker, workers));
                queues.push(Box::new(played(port, stream, orders)?));
            }
            engine.attach(PortId(port), queues);
        }
        engine.publish(Snapshot::of_one_network(Arc::clone(&tables), ports, MTU));
        let rig = Self { engine, tables, traffic, orders };
        rig.teach()?;
        Ok(rig)
    }

    /// The engine, to trace.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The switch learns where the stations are.
    fn teach(&self) -> io::Result<()> {
        let now = self.engine.clock().now();
        for (mac, port) in self.traffic.stations() {
            let learned = self.tables.mac.learn(mac, port, now);
            if !matches!(learned, frame::step::Learned::New | frame::step::Learned::Refreshed) {
                return Err(io::Error::other(format!("{mac} was not learned: {learned:?}")));
            }
        }
        Ok(())
    }

    /// Each worker sends `frames` frames; wait until each has arrived wherever it must.
    ///
    /// # Errors
    /// Frames were lost.
    pub(crate) fn run(&self, frames: u64) -> io::Result<Run> {
        if self.traffic.is_learning() {
            self.tables.mac.flush_port(PortId(0));
        }
        let (bursts, allocations) = (self.bursts(), ALLOCATOR.allocations());
        let start = Instant::now();
        for orders in &self.orders {
            orders.arrived.store(0, Relaxed);
            orders.hosts.store(0, Relaxed);
            orders.left.store(frames, Release);
            orders.bell.write(1)?;
        }
        let expected = frames * u64::from(self.traffic.copies());
        for orders in &self.orders {
            orders.wait(expected)?;
        }
        let took = start.elapsed() * self.orders.len() as u32;
        let allocations = ALLOCATOR.allocations() - allocations;
        let hosts = Duration::from_nanos(self.orders.iter().map(|orders| orders.hosts.load(Relaxed)).sum());
        let (frames, bursts) = (frames * self.orders.len() as u64, self.bursts() - bursts);
        Ok(Run { frames, engine: took.saturating_sub(hosts), hosts, bursts, allocations })
    }

    fn bursts(&self) -> u64 {
        self.engine.worker_counts().sum(|counts| counts.bursts.get())
    }
}

impl Orders {
    fn new() -> io::Result<Arc<Self>> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let zero = || AtomicU64::new(0);
        Ok(Arc::new(Self { left: zero(), arrived: zero(), hosts: zero(), bell }))
    }

    /// What began at `start` was the hosts' work.
    fn charge(&self, start: Instant) {
        self.hosts.store(self.hosts.load(Relaxed) + start.elapsed().as_nanos() as u64, Relaxed);
    }

    /// Wait until so many frames have arrived. Asleep: the workers need the CPUs.
    fn wait(&self, expected: u64) -> io::Result<()> {
        let (mut seen, mut progress) = (0, Instant::now());
        loop {
            let arrived = self.arrived.load(Acquire);
            if arrived >= expected {
                return Ok(());
            }
            if arrived > seen {
                (seen, progress) = (arrived, Instant::now());
            } else if progress.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{} of {expected} frames are lost", expected - arrived)));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

fn played(port: u16, stream: Option<Stream>, orders: &Arc<Orders>) -> io::Result<Played> {
    let (mut queues, peer) = memory::pair(&format!("m{port}"), 1, RING, true)?;
    let queue = queues.pop().ok_or(io::ErrorKind::NotFound)?;
    Ok(Played { queue, peer, stream, orders: Arc::clone(orders) })
}
