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
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use frame::step::RouteStep;
use frame::{Batch, DropReason, Millis, Observer, OffloadHeader, PortId, Step, Verdict, batch::BURST};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use ports::Port;
use trace::filter::Admission;
use trace::{RawRecord, Snap};

use super::counters::{PerWorker, PortCount};
use super::egress::{Egress, Lane, Slot};
use super::gateway::NextHops;
use super::journey::{Context, SoughtPair, journey, seek};
use super::lessons::Budget;
use super::line::Line;
use super::outbox::{Outbox, Target};
use super::pace::Pace;
use super::tables::{Ingress, NetworkView, Snapshot};
use super::tracer::{self, Story, TRACEABLE, TraceSink, Tracing};
use super::{PortFailure, Shared};

mod lines;

/// The token of the waker; ports use their number.
pub(super) const WAKE: Token = Token(usize::MAX);

/// How many bursts one port may have before the others and control get their turn.
const TURN_BURSTS: usize = 4;

/// A burst that comes frame by frame ends with the one that brings it to so many octets, so that super-frames are sent while they are in the cache:
/// half of a megabyte of second-level cache. Less is slower, since every burst costs a wake-up at the receiver.
const WARM_OCTETS: usize = 512 << 10;

/// Records of one injected frame and of what the switch makes on its account: more than the outbox holds.
const ONE_STORY: usize = 256;

/// What control tells a worker.
pub(super) enum Command {
    Publish(Arc<Snapshot>, Sender<()>),
    Attach { port: PortId, queue: Box<dyn Port>, counts: Arc<PerWorker<PortCount>>, done: Sender<()> },
    Detach { port: PortId, done: Sender<()> },
    Trace(Option<TraceSink>),
    Line { port: PortId, line: Arc<Line>, done: Sender<()> },
    Inject { port: PortId, octets: Box<[u8]>, done: Sender<Vec<RawRecord>> },
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
    /// What the frames of the burst met on a bad line, in the order of the burst; empty for all others.
    told: Vec<Vec<Step>>,
    budget: Budget,
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
        let shared_clock = shared.clock;
        Self {
            index,
            shared,
            poll,
            commands,
            failures,
            snapshot: Arc::default(),
            nothing: Arc::default(),
            egress: Egress::new(index, shared_clock),
            burst: Batch::with_enough(BURST, WARM_OCTETS),
            sought: Vec::with_capacity(BURST),
            pace: Pace::new(),
            outbox: Outbox::new(),
            next_hops: NextHops::default(),
            tracing: Tracing::of(index),
            told: Vec::new(),
            budget: Budget::default(),
            ready: Vec::new(),
            spare: Vec::new(),
            stopped: false,
        }
    }

    /// Work until told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        while !self.stopped {
            let at_once = !self.ready.is_empty() || self.looks();
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
            self.serve_lines();
        }
    }

    /// Is there to be another look rather than sleep? Others who wait for the CPU go first.
    fn looks(&mut self) -> bool {
        let now = self.shared.clock.nanos();
        let looks = self.pace.looks(now);
        if looks {
            thread::yield_now();
            self.pace.gave_way(now, self.shared.clock.nanos());
        }
        looks
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
        let full = self.burst.is_full();
        if !self.burst.is_empty() {
            let (frames, octets) = (self.burst.len() as u64, self.burst.octets() as u64);
            if let Some(counts) = slot.counts.of(self.index) {
                counts.rx_frames.add(frames);
                counts.rx_octets.add(octets);
            }
            let bad = slot.line.is_some();
            self.count(|counts| {
                counts.bursts.add(1);
                counts.frames.add(frames);
            });
            self.pace.moved(frames, octets);
            if bad {
                self.decide_bad_burst(port);
            } else {
                self.decide_burst(port);
            }
        }
        match received {
            Ok(_) => full,
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => full,
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
            let traced = self.tracing.choose(view.id, port, &self.burst, now);
            for index in 0..self.burst.len() {
                if traced >> index & 1 == 1 {
                    self.decide_traced(index, &ingress, &snapshot, view, now);
                } else {
                    match self.decide(index, &ingress, &snapshot, view, now, &mut ()) {
                        // Nearly every frame: no frame of the switch's own comes of it.
                        Verdict::Unicast { to } if self.outbox.is_empty() => {
                            self.queue_unicast(to, Lane::Burst, index as u16, view);
                            continue;
                        }
                        verdict => self.carry_out(verdict, index, port, &snapshot, view),
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

    #[expect(
        clippy::inline_always,
        reason = "measured: two observers make two callers of all that a journey consists of"
    )]
    #[inline(always)]
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
            deadline: &self.shared.deadline,
            lessons: TRACEABLE.then_some((&self.shared.lessons, &mut self.budget)),
            worker: self.index,
        };
        journey(&mut self.burst[index], self.sought[index], &mut context, observer)
    }

    /// Decide a frame and tell of it.
    #[inline(never)]
    fn decide_traced(
        &mut self,
        index: usize,
        ingress: &Ingress<'_>,
        snapshot: &Snapshot,
        view: &NetworkView,
        now: Millis,
    ) {
        let port = ingress.port;
        let mut record = self.tracing.empty_record();
        let number = self.shared.lessons.number();
        tracer::begin(&mut record, number, &self.burst[index], view.id, Some(port), now);
        if let Some(told) = self.told.get(index) {
            record.steps.extend_from_slice(told);
        }
        let RawRecord { steps, table, .. } = &mut *record;
        let verdict = self.decide(index, ingress, snapshot, view, now, &mut Story { number, steps, table });
        if let Verdict::Flood { network } = verdict
            && let Some(target) = snapshot.network(network)
        {
            let ports = forwarding::flood_ports(&target.members, Some(port)).count() as u16;
            record.steps.push(target.flood_step(ports));
        }
        if matches!(verdict, Verdict::Unicast { .. } | Verdict::Flood { .. }) && was_routed(&record.steps) {
            record.snap_sent = Some(Snap::of(self.burst[index].octets()));
        }
        record.verdict = verdict;
        if let Some(place) = self.tracing.burst.get_mut(index) {
            *place = Some(record);
        }
        self.carry_out(verdict, index, port, snapshot, view);
    }

    /// Queue the frame where its verdict sends it, and the frames the switch made on its account.
    fn carry_out(&mut self, verdict: Verdict, index: usize, from: PortId, snapshot: &Snapshot, view: &NetworkView) {
        match verdict {
            Verdict::Unicast { to } => self.queue_unicast(to, Lane::Burst, index as u16, view),
            Verdict::Flood { network } => {
                if let Some(target) = snapshot.network(network) {
                    self.queue_flood(target, Some(from), Lane::Burst, index as u16);
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

    fn queue_flood(&mut self, view: &NetworkView, except: Option<PortId>, lane: Lane, index: u16) {
        for port in forwarding::flood_ports(&view.members, except) {
            self.queue_unicast(port, lane, index, view);
        }
    }

    /// Queue the frames that the switch has made since the last time.
    fn queue_made(&mut self, snapshot: &Snapshot) {
        while let Some((index, network, target)) = self.outbox.next_errand() {
            let Some(view) = snapshot.network(network) else { continue };
            let target = view.heard_by(target);
            if self.tracing.is_on() {
                let record = self.record_of_made(index, view, target);
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

    fn record_of_made(&mut self, index: u16, view: &NetworkView, target: Target) -> Option<Box<RawRecord>> {
        let network = view.id;
        let frame = self.outbox.frame(index);
        let now = self.shared.clock.now();
        let mut record = self.tracing.admit(network, None, frame, now)?;
        tracer::begin(&mut record, self.shared.lessons.number(), frame, network, None, now);
        record.verdict = target.verdict(network);
        record.steps.extend(view.repeats(target));
        Some(record)
    }

    /// Decide and send a frame that no port has received, and tell of it, whether or not there is a trace.
    fn inject(&mut self, port: PortId, octets: &[u8]) -> Vec<RawRecord> {
        if self.snapshot.port(port).is_none() || self.egress.slot(port).is_none() {
            return Vec::new();
        }
        self.burst.clear();
        if let Some(frame) = self.burst.push() {
            frame.fill(octets, OffloadHeader::NONE);
        }
        let everything = TraceSink::new(self.index + 1, ONE_STORY, Admission::everything());
        let trace = self.tracing.sink.replace(everything.clone());
        self.tracing.refill();
        self.decide_burst(port);
        self.tracing.sink = trace;
        let told = everything.rings.get(self.index);
        let records: Vec<RawRecord> = std::iter::from_fn(|| told?.pop()).map(|record| *record).collect();
        self.tracing.repeat(&records);
        records
    }

    fn flush(&mut self, snapshot: &Snapshot) {
        self.tracing.sending();
        self.egress.flush(&self.burst, self.outbox.frames(), snapshot, &mut self.tracing);
        self.outbox.clear();
        self.tracing.made_are_sent();
        self.close_failed();
    }

    fn close_failed(&mut self) {
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
                Command::Line { port, line, done } => {
                    self.set_line(port, line);
                    let _ = done.send(());
                }
                Command::Trace(sink) => self.tracing.sink = sink,
                Command::Inject { port, octets, done } => {
                    let _ = done.send(self.inject(port, &octets)); // nobody waits only when the switch stops
                }
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
    fn time_left(&mut self) -> Option<Duration> {
        let deadline = self.shared.deadline.get().filter(|_| self.index == 0);
        let kept = deadline.map(|at| Duration::from_millis(at.since(self.shared.clock.now()).0));
        kept.into_iter().chain(self.line_time_left()).min()
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

/// Did the gateway rewrite the frame on its way?
pub(super) fn was_routed(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Routed(RouteStep::Forwarded { .. })))
}
