//! How does a frame get from one port to another? Worker threads read bursts, take each frame through the
//! [`journey`], and write what leaves.
//!
//! | file | the question |
//! | --- | --- |
//! | [`journey`] | what is decided about a frame, in which order? |
//! | [`worker`] | what does a worker do all day? |
//! | [`egress`] | how do frames leave? |
//! | [`arp_step`] | what does an ARP message mean to it? |
//! | [`gateway`] | what does the switch do as a gateway? |
//! | [`outbox`] | which frames does it send of its own accord? |
//! | [`pace`] | when nothing is ready, does a worker sleep at once? |
//! | [`timers`] | what happens when nothing happens? |
//! | [`tables`] | what does every worker know? |
//! | [`tracer`] | how does a frame's story get out? |
//! | [`counters`], [`clock`] | how many, and when? |

mod arp_step;
pub mod clock;
pub mod counters;
mod egress;
mod gateway;
mod journey;
mod outbox;
mod pace;
pub mod tables;
mod timers;
pub mod tracer;
mod worker;

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam::channel::{self, Receiver, Sender};
use frame::{Millis, PortId};
use mio::{Poll, Waker};
use ports::Port;

use clock::Clock;
use counters::{PerWorker, PortCount, WorkerCount};
pub use tables::{GatewayView, HostGateway, NetworkTables, NetworkView, PortView, Snapshot};
pub use tracer::TraceSink;
use worker::{Command, WAKE, Worker};

/// A port that stopped working: its queue is closed on the worker that noticed.
#[derive(Debug)]
pub struct PortFailure {
    /// The port.
    pub port: PortId,
    /// What its queue said.
    pub error: io::Error,
}

/// When something is due, for the worker that keeps the time.
struct Deadline {
    at: AtomicU64,
    waker: Arc<Waker>,
}

const NEVER: u64 = u64::MAX;

impl Deadline {
    fn get(&self) -> Option<Millis> {
        Some(self.at.load(Ordering::Acquire)).filter(|at| *at != NEVER).map(Millis)
    }

    fn clear(&self) {
        self.at.store(NEVER, Ordering::Release);
    }

    /// Something is due at `at`; the time keeper is woken if that is sooner than it knew.
    fn bring_forward(&self, at: Option<Millis>) {
        let Some(Millis(at)) = at else { return };
        if self.at.fetch_min(at, Ordering::AcqRel) > at {
            let _ = self.waker.wake(); // fails only when the worker is gone
        }
    }
}

/// What the workers have in common.
struct Shared {
    clock: Clock,
    counts: PerWorker<WorkerCount>,
    queues: Box<[AtomicUsize]>,
    deadline: Deadline,
}

impl Shared {
    /// A worker reads one queue more or less.
    fn queues(&self, worker: usize, change: isize) {
        if let Some(queues) = self.queues.get(worker) {
            queues.fetch_add(change.cast_unsigned(), Ordering::Relaxed); // wraps for -1
        }
    }
}

/// A worker that ends by a panic would leave ports that look up and are dead. Nothing of it can be mended from outside, so
/// the process ends at once; persistent devices make the next start cheap.
struct EndsInOrder;

impl Drop for EndsInOrder {
    fn drop(&mut self) {
        tracing::error!("a worker ended by a panic: the switch ends, so that it can be started again");
        std::process::abort();
    }
}

struct WorkerHandle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    thread: JoinHandle<()>,
}

/// The running engine: a handle on its workers.
pub struct Engine {
    shared: Arc<Shared>,
    workers: Mutex<Vec<WorkerHandle>>,
    count: usize,
}

impl Engine {
    /// Start `workers` (at least one) threads. Failures of ports arrive at the receiver.
    ///
    /// # Errors
    /// When the system has no event queue or thread left.
    pub fn start(workers: usize) -> io::Result<(Self, Receiver<PortFailure>)> {
        let count = workers.max(1);
        let polls = (0..count).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let wakers =
            polls.iter().map(|poll| Waker::new(poll.registry(), WAKE).map(Arc::new)).collect::<io::Result<Vec<_>>>()?;
        let Some(keeper) = wakers.first().map(Arc::clone) else { return Err(io::ErrorKind::InvalidInput.into()) };
        let shared = Arc::new(Shared {
            clock: Clock::start(),
            counts: PerWorker::new(count),
            queues: (0..count).map(|_| AtomicUsize::new(0)).collect(),
            deadline: Deadline { at: AtomicU64::new(NEVER), waker: keeper },
        });
        let (failures, failed) = channel::unbounded();
        let engine = Self { shared: Arc::clone(&shared), workers: Mutex::default(), count };
        for (index, (poll, waker)) in polls.into_iter().zip(wakers).enumerate() {
            let (commands, orders) = channel::unbounded();
            let worker = Worker::new(index, poll, Arc::clone(&shared), orders, failures.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                let watch = EndsInOrder;
                worker.run();
                std::mem::forget(watch);
            });
            match thread {
                Ok(thread) => engine.handles().push(WorkerHandle { commands, waker, thread }),
                Err(error) => {
                    engine.stop();
                    return Err(error);
                }
            }
        }
        Ok((engine, failed))
    }

    /// How many workers there are.
    pub const fn workers(&self) -> usize {
        self.count
    }

    /// The engine's clock.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// What the workers counted of themselves.
    pub fn worker_counts(&self) -> &PerWorker<WorkerCount> {
        &self.shared.counts
    }

    /// How many queues a worker reads.
    pub fn queues(&self, worker: usize) -> usize {
        self.shared.queues.get(worker).map_or(0, |queues| queues.load(Ordering::Relaxed))
    }

    /// Hand each worker a queue, and return when every worker has its own. Fewer queues than workers leave the
    /// other workers unable to send there; more are closed. Which worker gets the first queue goes round with the port's
    /// number, so that ports with a single receiving queue are shared out. The workers begin to read it when a
    /// snapshot with the port is published.
    pub fn attach(&self, port: PortId, mut queues: Vec<Box<dyn Port>>) -> Arc<PerWorker<PortCount>> {
        let counts = Arc::new(PerWorker::new(self.count));
        if queues.len() == self.count {
            queues.rotate_right(port.index() % self.count);
        }
        let mut queues = queues.into_iter();
        self.tell_all(|done| {
            let queue = queues.next()?;
            Some(Command::Attach { port, queue, counts: Arc::clone(&counts), done })
        });
        counts
    }

    /// Take a port's queues away, and return when every worker has closed its own.
    pub fn detach(&self, port: PortId) {
        self.tell_all(|done| Some(Command::Detach { port, done }));
    }

    /// Make another snapshot known, and return when every worker goes by it.
    pub fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot.with_routes());
        self.tell_all(|done| Some(Command::Publish(Arc::clone(&snapshot), done)));
    }

    /// Send the story of every frame to `sink` from now on, or to nobody.
    pub fn trace(&self, sink: Option<&TraceSink>) {
        for worker in self.handles().iter() {
            let _ = worker.commands.send(Command::Trace(sink.cloned()));
            let _ = worker.waker.wake();
        }
    }

    /// Close every queue and end the workers.
    pub fn stop(&self) {
        let workers = std::mem::take(&mut *self.handles());
        for worker in &workers {
            let _ = worker.commands.send(Command::Stop);
            let _ = worker.waker.wake();
        }
        for worker in workers {
            if worker.thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, Vec<WorkerHandle>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Give every worker an order and wait until all have carried it out. A worker that has ended cannot and does not.
    fn tell_all(&self, mut order: impl FnMut(Sender<()>) -> Option<Command>) {
        let workers = self.handles();
        let (done, all_done) = channel::unbounded();
        for worker in workers.iter() {
            let Some(command) = order(done.clone()) else { break };
            let _ = worker.commands.send(command);
            let _ = worker.waker.wake();
        }
        drop(done);
        // Each worker answers or drops its end; the channel closes when the last has.
        while all_done.recv().is_ok() {}
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}
