//! How does a frame get from one port to another? Worker threads read bursts, take each frame through the
//! [`journey`], and write what leaves.
//!
//! | file | the question |
//! | --- | --- |
//! | [`journey`] | what is decided about a frame, in which order? |
//! | [`worker`] | what does a worker do all day? |
//! | [`egress`] | how do frames leave? |
//! | [`arp_step`] | what does an ARP message mean to it? |
//! | [`line`] | which frames meet a fault of the line they come by? |
//! | [`gateway`] | what does the switch do as a gateway? |
//! | [`hub`] | what does a hub do? |
//! | [`outbox`] | which frames does it send of its own accord? |
//! | [`pace`] | when nothing is ready, does a worker sleep at once? |
//! | [`timers`] | what happens when nothing happens? |
//! | [`tables`] | what does every worker know? |
//! | [`tracer`] | how does a frame's story get out? |
//! | [`lessons`] | which frame taught the MAC table that? |
//! | [`what_if`] | what would become of a frame? |
//! | [`counters`], [`clock`] | how many, and when? |

mod arp_step;
pub mod clock;
pub mod counters;
mod egress;
mod gateway;
mod hub;
mod journey;
pub mod lessons;
pub mod line;
mod outbox;
mod pace;
pub mod tables;
mod timers;
pub mod tracer;
pub mod what_if;
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
pub use lessons::Lesson;
use lessons::Lessons;
use line::{Line, LineFault};
use tables::lock;
pub use tables::{GatewayView, HostGateway, NetworkTables, NetworkView, PortView, Snapshot};
use trace::RawRecord;
pub use tracer::{TraceRing, TraceSink};
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
    /// Wakes the worker that keeps the time; there is none in the what-if.
    waker: Option<Arc<Waker>>,
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
        if self.at.fetch_min(at, Ordering::AcqRel) > at
            && let Some(waker) = &self.waker
        {
            let _ = waker.wake(); // fails only when the worker is gone
        }
    }
}

/// What the workers have in common.
struct Shared {
    clock: Clock,
    counts: PerWorker<WorkerCount>,
    queues: Box<[AtomicUsize]>,
    deadline: Deadline,
    lessons: Lessons,
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
    /// What was published last.
    snapshot: Mutex<Arc<Snapshot>>,
    /// The faults of lines, whether or not they have ended.
    faults: Mutex<Vec<(PortId, Arc<LineFault>)>>,
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
            deadline: Deadline { at: AtomicU64::new(NEVER), waker: Some(keeper) },
            lessons: Lessons::new(),
        });
        let (failures, failed) = channel::unbounded();
        let engine = Self {
            shared: Arc::clone(&shared),
            workers: Mutex::default(),
            count,
            snapshot: Mutex::default(),
            faults: Mutex::default(),
        };
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

    /// The tables have something to time out that the workers have not heard of.
    pub fn keep_time_soon(&self) {
        self.shared.deadline.bring_forward(Some(self.shared.clock.now()));
    }

    /// A port's line gets one more fault: it is met by every frame from now on.
    pub fn add_fault(&self, port: PortId, fault: LineFault) -> Arc<LineFault> {
        let fault = Arc::new(fault);
        tables::lock(&self.faults).push((port, Arc::clone(&fault)));
        self.tell_line(port);
        fault
    }

    /// The faults that have not ended, and whose ports they are.
    pub fn faults(&self) -> Vec<(PortId, Arc<LineFault>)> {
        let now = self.shared.clock.now();
        let mut faults = tables::lock(&self.faults);
        faults.retain(|(_, fault)| now < fault.until);
        faults.clone()
    }

    /// Mend what `which` says; what that was.
    pub fn remove_faults(&self, which: impl Fn(PortId, &LineFault) -> bool) -> Vec<(PortId, Arc<LineFault>)> {
        let removed: Vec<_> = self.faults().into_iter().filter(|(port, fault)| which(*port, fault)).collect();
        tables::lock(&self.faults).retain(|(_, fault)| !removed.iter().any(|(_, gone)| Arc::ptr_eq(fault, gone)));
        for (port, _) in &removed {
            self.tell_line(*port);
        }
        removed
    }

    fn tell_line(&self, port: PortId) {
        let faults = self.faults().into_iter().filter(|(of, _)| *of == port);
        let line = Arc::new(Line(faults.map(|(_, fault)| fault).collect()));
        self.tell_all(|done| Some(Command::Line { port, line: Arc::clone(&line), done }));
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

    /// Take a port's queues away, and its faults, and return when every worker has closed its own.
    pub fn detach(&self, port: PortId) {
        tables::lock(&self.faults).retain(|(of, _)| *of != port);
        self.tell_all(|done| Some(Command::Detach { port, done }));
    }

    /// Make another snapshot known, and return when every worker goes by it.
    pub fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot.with_routes());
        *lock(&self.snapshot) = Arc::clone(&snapshot);
        self.tell_all(|done| Some(Command::Publish(Arc::clone(&snapshot), done)));
    }

    /// What every worker goes by.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.snapshot))
    }

    /// What frames teach the MAC tables from now on. Each lesson goes to one receiver only.
    pub fn lessons(&self) -> Receiver<Lesson> {
        self.shared.lessons.receiver.clone()
    }

    /// Lessons that were not told: addresses came too fast.
    pub fn lessons_missed(&self) -> u64 {
        self.shared.lessons.missed.load(Ordering::Relaxed)
    }

    /// A frame comes in by a port, as if its station had sent it: decided, carried out and sent. Its record, and those of
    /// the frames that the switch made on its account; nothing when the port has no queue or is not published.
    pub fn inject(&self, port: PortId, octets: &[u8]) -> Vec<RawRecord> {
        let (done, records) = channel::bounded(1);
        let queue_of = port.index() % self.count;
        if let Some(worker) = self.handles().get(queue_of) {
            let _ = worker.commands.send(Command::Inject { port, octets: octets.into(), done });
            let _ = worker.waker.wake();
        }
        records.recv().unwrap_or_default() // a worker that has ended drops its end
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
