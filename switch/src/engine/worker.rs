//! What does a worker do all day? Sleep until a port has frames, read a burst, decide each frame, write what leaves,
//! and look again until no port has any more. Nothing wakes it when there is no traffic and nothing to time out.
//!
//! A worker owns one queue of every port (a port with a single queue belongs to one worker, the others only send to it).
//! It runs every frame to completion; no frame changes hands between workers.
//!
//! Memory, besides what its ports keep: 240 buffers of 66 KB of address space (64 of the burst, 128 of the outbox, 48 that
//! super-frames are cut into), of which the system backs only pages that a frame has been in: about 1 MiB for frames of
//! 1,500 octets and 16 MiB at the very most; and 2 KiB of addresses sought.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use frame::{Batch, DropReason, Millis, Observer, PortId, Step, Verdict, batch::BURST};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use ports::Port;

use super::counters::{PerWorker, PortCount};
use super::egress::{Egress, Lane, Slot};
use super::gateway::NextHops;
use super::journey::{Context, SoughtPair, journey, seek};
use super::outbox::{Outbox, Target};
use super::pace::Pace;
use super::tables::{Ingress, NetworkView, Snapshot};
use super::tracer::{TraceSink, Tracing};
use super::{PortFailure, Shared};

/// The token of the waker; ports use their number.
pub(super) const WAKE: Token = Token(usize::MAX);

/// How many bursts one port may have before the others and control get their turn.
const TURN_BURSTS: usize = 4;

/// A burst that comes frame by frame ends with the one that brings it to so many octets, so that super-frames are sent while they are in the cache:
/// half of a megabyte of second-level cache. Less is slower, since every burst costs a wake-up at the receiver.
const WARM_OCTETS: usize = 512 << 10;

/// What control tells a worker.
pub(super) enum Command {
    Publish(Arc<Snapshot>, Sender<()>),
    Attach { port: PortId, queue: Box<dyn Port>, counts: Arc<PerWorker<PortCount>>, done: Sender<()> },
    Detach { port: PortId, done: Sender<()> },
    Trace(Option<TraceSink>),
    Stop,
}

pub(super) struct Worker {
    index: usize,
    shared: Arc<Shared>,
    poll: Poll,
    commands: Receiver<Command>,
    failures: Sender<PortFailure>,
    snapshot: Arc<Snapshot>,
    /// An empty one, that stands in while a burst is decided.
    nothing: Arc<Snapshot>,
    egress: Egress,
    burst: Batch,
    pace: Pace,
    /// Where the MAC table has the addresses of each frame of the burst.
    sought: Vec<SoughtPair>,
    outbox: Outbox,
    next_hops: NextHops,
    tracing: Tracing,
    /// Ports that may have frames.
    ready: Vec<PortId>,
    /// Empty; changes places with `ready` at each turn, so that neither is ever allocated again.
    spare: Vec<PortId>,
    stopped: bool,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        poll: Poll,
        shared: Arc<Shared>,
        commands: Receiver<Command>,
        failures: Sender<PortFailure>,
    ) -> Self {
        Self {
            index,
            shared,
            poll,
            commands,
            failures,
            snapshot: Arc::default(),
            nothing: Arc::default(),
            egress: Egress::new(index),
            burst: Batch::with_enough(BURST, WARM_OCTETS),
            sought: Vec::with_capacity(BURST),
            pace: Pace::new(),
            outbox: Outbox::new(),
            next_hops: NextHops::default(),
            tracing: Tracing::default(),
            ready: Vec::new(),
            spare: Vec::new(),
            stopped: false,
        }
    }

    /// Work until told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        while !self.stopped {
            let at_once = !self.ready.is_empty() || self.pace.looks(self.shared.clock.nanos());
            let timeout = if at_once { Some(Duration::ZERO) } else { self.time_left() };
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                // Nothing but a descriptor closed under the loop can cause it: as bad as a panic, and told as one.
                tracing::error!(worker = self.index, %error, "the event loop failed");
                std::process::abort();
            }
            if !at_once {
                self.count(|counts| counts.wakeups.add(1));
            }
            for event in &events {
                if event.token() != WAKE {
                    self.mark_ready(PortId(event.token().0 as u16));
                }
            }
            self.obey();
            self.serve_ready();
            self.keep_time();
        }
    }

    fn mark_ready(&mut self, port: PortId) {
        if !self.ready.contains(&port) {
            self.ready.push(port);
        }
    }

    fn count(&self, add: impl FnOnce(&super::counters::WorkerCount)) {
        if let Some(counts) = self.shared.counts.of(self.index) {
            add(counts);
        }
    }

    /// Give each port that may have frames its turn; the ones that still have some stay marked.
    fn serve_ready(&mut self) {
        let mut turn = std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare));
        for port in turn.drain(..) {
            let mut bursts = 0;
            while self.serve(port) {
                bursts += 1;
                if bursts == TURN_BURSTS {
                    self.mark_ready(port);
                    break;
                }
            }
        }
        self.spare = turn;
    }

    /// Read one burst of a port and carry out what the journey says; whether there may be more.
    fn serve(&mut self, port: PortId) -> bool {
        // A port that is attached but not published yet keeps its frames until it is.
        if self.snapshot.port(port).is_none() {
            return false;
        }
        let Some(slot) = self.egress.slot(port) else { return false };
        self.burst.clear();
        let received = slot.queue.recv(&mut self.burst);
        if !self.burst.is_empty() {
            let (frames, octets) = (self.burst.len() as u64, self.burst.octets() as u64);
            if let Some(counts) = slot.counts.of(self.index) {
                counts.rx_frames.add(frames);
                counts.rx_octets.add(octets);
            }
            self.count(|counts| {
                counts.bursts.add(1);
                counts.frames.add(frames);
            });
            self.pace.moved(frames, octets);
            self.decide_burst(port);
        }
        match received {
            Ok(_) => self.burst.is_full(),
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => self.burst.is_full(),
            Err(error) => {
                self.close(port, Some(error));
                false
            }
        }
    }

    fn decide_burst(&mut self, port: PortId) {
        // Not cloned: the reference count of what all workers share would pass between their CPUs with every burst.
        let snapshot = std::mem::replace(&mut self.snapshot, Arc::clone(&self.nothing));
        if let Some(view) = snapshot.network_of(port) {
            let now = self.shared.clock.now();
            let ingress = Ingress::of(port, &snapshot, view);
            self.sought.clear();
            self.sought.extend(self.burst.iter().map(|frame| seek(frame, &view.tables.mac)));
            for index in 0..self.burst.len() {
                if self.tracing.is_on() {
                    self.decide_traced(index, &ingress, &snapshot, view, now);
                } else {
                    match self.decide(index, &ingress, &snapshot, view, now, &mut ()) {
                        // Nearly every frame: no frame of the switch's own comes of it.
                        Verdict::Unicast { to } if self.outbox.is_empty() => {
                            self.queue_unicast(to, Lane::Burst, index as u16, view);
                            continue;
                        }
                        verdict => self.carry_out(verdict, index, port, &snapshot, view, &mut ()),
                    }
                }
                if self.outbox.is_nearly_full() {
                    self.flush(&snapshot);
                }
            }
            self.flush(&snapshot);
            self.tracing.deliver();
        }
        self.snapshot = snapshot;
    }

    fn decide<O: Observer>(
        &mut self,
        index: usize,
        ingress: &Ingress<'_>,
        snapshot: &Snapshot,
        view: &NetworkView,
        now: Millis,
        observer: &mut O,
    ) -> Verdict {
        let mut context = Context {
            snapshot,
            view,
            ingress,
            now,
            outbox: &mut self.outbox,
            next_hops: &mut self.next_hops,
            shared: &self.shared,
            worker: self.index,
        };
        journey(&mut self.burst[index], self.sought[index], &mut context, observer)
    }

    fn decide_traced(
        &mut self,
        index: usize,
        ingress: &Ingress<'_>,
        snapshot: &Snapshot,
        view: &NetworkView,
        now: Millis,
    ) {
        let port = ingress.port;
        let Some(mut record) =
            self.tracing.sink.as_ref().map(|sink| sink.begin(&self.burst[index], view.id, Some(port), now))
        else {
            return;
        };
        let mut steps = std::mem::take(&mut record.steps);
        let verdict = self.decide(index, ingress, snapshot, view, now, &mut steps);
        record.verdict = verdict;
        self.tracing.burst.push(record);
        self.carry_out(verdict, index, port, snapshot, view, &mut steps);
        if let Some(record) = self.tracing.burst.last_mut() {
            steps.append(&mut record.steps); // a port that could not be queued at
            record.steps = steps;
        }
    }

    /// Queue the frame where its verdict sends it, and the frames the switch made on its account.
    fn carry_out<O: Observer>(
        &mut self,
        verdict: Verdict,
        index: usize,
        from: PortId,
        snapshot: &Snapshot,
        view: &NetworkView,
        observer: &mut O,
    ) {
        match verdict {
            Verdict::Unicast { to } => self.queue_unicast(to, Lane::Burst, index as u16, view),
            Verdict::Flood { network } => {
                if let Some(target) = snapshot.network(network) {
                    let ports = self.queue_flood(target, Some(from), Lane::Burst, index as u16);
                    if O::ENABLED {
                        observer.step(Step::Flooded { ports });
                    }
                }
            }
            Verdict::Drop(reason) => {
                self.count_drop(view, reason);
                if let Some(counts) = self.egress.slot(from).and_then(|slot| slot.counts.of(self.index)) {
                    counts.drops.add(1);
                }
            }
            Verdict::Fragmented { .. } | Verdict::Answered | Verdict::Consumed | Verdict::Held => {}
        }
        self.queue_made(snapshot);
    }

    fn count_drop(&self, view: &NetworkView, reason: DropReason) {
        if let Some(drops) = view.tables.drops.of(self.index) {
            drops.add(reason, 1);
        }
    }

    #[inline]
    fn queue_unicast(&mut self, to: PortId, lane: Lane, index: u16, view: &NetworkView) {
        if let Err(reason) = self.egress.queue(to, lane, index) {
            self.refuse(to, lane, index, view, reason);
        }
    }

    #[cold]
    fn refuse(&mut self, to: PortId, lane: Lane, index: u16, view: &NetworkView, reason: DropReason) {
        self.count_drop(view, reason);
        self.tracing.add(lane, index, Step::NotSent { port: to, reason });
    }

    fn queue_flood(&mut self, view: &NetworkView, except: Option<PortId>, lane: Lane, index: u16) -> u16 {
        let mut ports = 0;
        for port in forwarding::flood_ports(&view.members, except) {
            self.queue_unicast(port, lane, index, view);
            ports += 1;
        }
        ports
    }

    /// Queue the frames that the switch has made since the last time.
    fn queue_made(&mut self, snapshot: &Snapshot) {
        while let Some((index, network, target)) = self.outbox.next_errand() {
            let Some(view) = snapshot.network(network) else { continue };
            if let Some(sink) = &self.tracing.sink {
                let mut record = sink.begin(self.outbox.frame(index), network, None, self.shared.clock.now());
                record.verdict = match target {
                    Target::Port(to) => Verdict::Unicast { to },
                    Target::Flood { .. } => Verdict::Flood { network },
                };
                self.tracing.made.push(record);
            }
            match target {
                Target::Port(to) => self.queue_unicast(to, Lane::Made, index, view),
                Target::Flood { except } => {
                    self.queue_flood(view, except, Lane::Made, index);
                }
            }
        }
    }

    fn flush(&mut self, snapshot: &Snapshot) {
        self.egress.flush(&self.burst, self.outbox.frames(), snapshot, &mut self.tracing);
        self.outbox.clear();
        self.tracing.made_are_sent();
        while let Some((port, error)) = self.egress.failed.pop() {
            self.close(port, Some(error));
        }
    }

    /// Close this worker's queue of a port; tell control if the port failed.
    fn close(&mut self, port: PortId, failure: Option<io::Error>) {
        let Some(slot) = self.egress.remove(port) else { return };
        self.ready.retain(|ready| *ready != port);
        if let Some(fd) = slot.queue.fd() {
            // It fails when the descriptor is dead already; closing it takes it out of the set all the same.
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd.as_raw_fd()));
            self.shared.queues(self.index, -1);
        }
        if let Some(error) = failure {
            let _ = self.failures.send(PortFailure { port, error }); // nobody listens only while the engine stops
        }
    }

    /// Do what control has asked for.
    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Publish(snapshot, done) => {
                    self.snapshot = snapshot;
                    // Another worker may have gone by it already, and asked for time to be kept on a new network.
                    self.shared.deadline.bring_forward(Some(self.shared.clock.now()));
                    for port in self.egress.ports() {
                        self.mark_ready(port);
                    }
                    let _ = done.send(());
                }
                Command::Attach { port, queue, counts, done } => {
                    self.open(port, queue, counts);
                    let _ = done.send(());
                }
                Command::Detach { port, done } => {
                    self.close(port, None);
                    let _ = done.send(());
                }
                Command::Trace(sink) => self.tracing.sink = sink,
                Command::Stop => {
                    self.stopped = true;
                    for port in self.egress.ports() {
                        self.close(port, None);
                    }
                }
            }
        }
    }

    fn open(&mut self, port: PortId, queue: Box<dyn Port>, counts: Arc<PerWorker<PortCount>>) {
        if let Some(fd) = queue.fd() {
            let token = Token(port.index());
            if let Err(error) = self.poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)
            {
                let _ = self.failures.send(PortFailure { port, error });
                return;
            }
            self.shared.queues(self.index, 1);
            self.mark_ready(port); // frames may have come before the registration
        }
        self.egress.insert(port, Slot::new(queue, counts));
    }

    /// How long the worker may sleep. The first worker keeps the time for all.
    fn time_left(&self) -> Option<Duration> {
        if self.index != 0 {
            return None;
        }
        let deadline = self.shared.deadline.get()?;
        Some(Duration::from_millis(deadline.since(self.shared.clock.now()).0))
    }

    /// Ask again for next hops that did not answer, give up on some, age the tables; the first worker does it for all.
    fn keep_time(&mut self) {
        if self.index != 0 {
            return;
        }
        let now = self.shared.clock.now();
        if self.shared.deadline.get().is_none_or(|deadline| deadline > now) {
            return;
        }
        let snapshot = Arc::clone(&self.snapshot);
        self.shared.deadline.clear();
        self.burst.clear();
        for view in snapshot.networks.iter().flatten() {
            let next = super::timers::tick(view, &snapshot, now, self.index, &mut self.outbox);
            self.shared.deadline.bring_forward(next);
            self.queue_made(&snapshot);
            self.flush(&snapshot);
        }
        self.tracing.deliver();
    }
}
