//! How do frames leave when they are due, and who counts those that arrive? Threads that send, each for some of the senders;
//! threads that count, each for some of the receivers; the caller looks on.
//!
//! A frame carries the time when it was due, not when it left: what had to wait because the generator or the interface was
//! late counts as latency, as it would for whoever waits for it (no coordinated omission). A frame has arrived when the
//! receiver takes it up: the time includes the receiver's own waking up.
//!
//! A sender without room holds up nobody else: its frames stay in its lane until the next turn.
//!
//! Not done: time stamps of the kernel's or the card's.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use frame::Batch;
use frame::batch::BURST;
use load::replay::Finder;
use load::series;
use load::tally::{Arrival, PortTally};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ports::Port;
use ports::port::Stop;

use super::flow::{Class, Due, Flow};

/// A sleep is over late by about so much: nearer than that to a frame's time the sender looks at the clock instead.
const SLEEP_SLACK: Duration = Duration::from_micros(100);
/// An interface without room is looked at again after this.
const NO_ROOM: Duration = Duration::from_micros(20);
/// Frames that were due in time are sent for so much longer, where a moment's delay kept them.
const GRACE: Duration = Duration::from_millis(10);
/// How often a receiver looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);
/// ... and one that no descriptor wakes, whether something came.
const BLIND: Duration = Duration::from_micros(50);

/// What a run says while it goes on, and whether it is to go on.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) sent: AtomicU64,
    /// Frames that should come out of those.
    pub(super) expected: AtomicU64,
    pub(super) received: AtomicU64,
    /// Addresses of which the switch is to hear before anything is sent, and those of which it has.
    pub(super) lessons: AtomicU64,
    pub(super) taught: AtomicU64,
    /// Nanoseconds by which the frame was late whose turn it was last.
    pub(super) late_ns: AtomicU64,
    /// Sending is over, by itself or because somebody asked for it.
    pub(super) stop: AtomicBool,
    /// Nobody waits for stragglers any more.
    pub(super) deaf: AtomicBool,
}

impl Progress {
    /// What has been counted so far.
    pub(super) fn counts(&self) -> series::Progress {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        series::Progress { sent: of(&self.sent), expected: of(&self.expected), received: of(&self.received) }
    }
}

/// The frames of one sender on their way.
pub(super) struct Lane<'a> {
    /// Where it is among the places.
    pub(super) place: usize,
    queue: &'a mut dyn Port,
    flows: Vec<Flow>,
    /// How many ports a flooded frame should come out of.
    copies: u64,
    /// Whose turn it is.
    turn: usize,
    batch: Batch,
    /// Of each frame in the batch, whose it is and what it is.
    owners: Vec<(usize, Class)>,
    /// The first frame of the batch that has not been sent.
    at: usize,
    /// When the last one of the batch was due, nanoseconds since the start.
    due_ns: u64,
    /// Frames that the kernel did not want: too long for the link, say.
    pub(super) refused: u64,
    /// How often the interface had no room for what was due.
    pub(super) full: u64,
    /// From the start to the last frame.
    pub(super) took: Duration,
}

/// How one turn of a lane ended.
enum Turn {
    /// Frames were sent.
    Sent,
    /// There was no room for any.
    Full,
    /// Nothing is due before this time, nanoseconds since the start.
    Idle(u64),
    /// Everything is sent.
    Over,
}

impl<'a> Lane<'a> {
    pub(super) fn new(place: usize, queue: &'a mut dyn Port, flows: Vec<Flow>, copies: u64) -> Self {
        let batch = Batch::with_capacity(BURST);
        let owners = Vec::with_capacity(BURST);
        Self {
            place,
            queue,
            flows,
            copies,
            turn: 0,
            batch,
            owners,
            at: 0,
            due_ns: 0,
            refused: 0,
            full: 0,
            took: Duration::ZERO,
        }
    }

    /// What it sent, with the number of its place.
    pub(super) fn into_flows(self) -> impl Iterator<Item = (usize, Flow)> {
        self.flows.into_iter().map(move |flow| (self.place, flow))
    }

    fn turn(&mut self, mark: u16, start: Instant, after_ns: u64, progress: &Progress) -> io::Result<Turn> {
        let now_ns = start.elapsed().as_nanos() as u64;
        if self.at == self.batch.len() {
            match self.fill(mark, now_ns, after_ns) {
                Fill::Some { last_due_ns } => self.due_ns = last_due_ns,
                Fill::None { next_due_ns: Some(next) } => return Ok(Turn::Idle(next)),
                Fill::None { next_due_ns: None } => return Ok(Turn::Over),
            }
        }
        // Also of what waits for room.
        progress.late_ns.store(now_ns.saturating_sub(self.due_ns), Ordering::Relaxed);
        let before = self.at;
        self.send(now_ns, progress)?;
        self.took = start.elapsed();
        if self.at > before {
            return Ok(Turn::Sent);
        }
        self.full += 1;
        Ok(Turn::Full)
    }

    /// Put frames into the batch that are due, one of each flow in turn; those that are due in `after_ns` or later are not
    /// sent any more.
    fn fill(&mut self, mark: u16, now_ns: u64, after_ns: u64) -> Fill {
        self.batch.clear();
        self.owners.clear();
        self.at = 0;
        let (mut last_due_ns, mut next_due_ns, mut idle) = (0, None::<u64>, 0);
        while idle < self.flows.len() && !self.batch.is_full() {
            let index = self.turn % self.flows.len();
            self.turn = index + 1;
            let flow = &mut self.flows[index];
            let due_ns = match flow.next_due() {
                Due::Now if now_ns < after_ns => now_ns,
                Due::At(due_ns) if due_ns <= now_ns && due_ns < after_ns => due_ns,
                Due::At(due_ns) if due_ns < after_ns => {
                    next_due_ns = Some(next_due_ns.map_or(due_ns, |next| next.min(due_ns)));
                    idle += 1;
                    continue;
                }
                Due::Now | Due::At(_) | Due::Never => {
                    idle += 1;
                    continue;
                }
            };
            let Some(frame) = self.batch.push() else { break };
            self.owners.push((index, flow.write(frame, mark, due_ns)));
            (last_due_ns, idle) = (due_ns, 0);
        }
        if self.batch.is_empty() { Fill::None { next_due_ns } } else { Fill::Some { last_due_ns } }
    }

    /// Send what is in the batch, as far as there is room.
    fn send(&mut self, now_ns: u64, progress: &Progress) -> io::Result<()> {
        let mut picks = [0; BURST];
        let count = self.batch.len() - self.at;
        (self.at..).zip(&mut picks[..count]).for_each(|(index, pick)| *pick = index as u16);
        let mut picks = &picks[..count];
        while !picks.is_empty() {
            let sent = self.queue.send(&self.batch, picks)?;
            let (taken, rest) = picks.split_at(sent.taken.min(picks.len()));
            let mut expected = 0;
            for pick in taken {
                let (flow, class) = self.owners[usize::from(*pick)];
                expected += match class {
                    Class::One => 1,
                    Class::All => self.copies,
                    Class::Errored => 0,
                };
                self.flows[flow].count(class, self.batch[usize::from(*pick)].len(), now_ns);
            }
            progress.sent.fetch_add(taken.len() as u64, Ordering::Relaxed);
            progress.expected.fetch_add(expected, Ordering::Relaxed);
            self.at += taken.len();
            picks = rest;
            match sent.stopped {
                Some(Stop::Refused) => {
                    self.refused += 1;
                    self.at += 1;
                    picks = rest.get(1..).unwrap_or_default();
                }
                Some(Stop::Full) => break,
                None => {}
            }
        }
        Ok(())
    }
}

/// What came of filling a batch.
enum Fill {
    Some { last_due_ns: u64 },
    None { next_due_ns: Option<u64> },
}

/// A place that went away, and how.
pub(super) type Gone = (usize, io::Error);

/// Send the lanes' frames as they are due, from `start` on, until all are sent or that time is over.
///
/// # Errors
/// An interface is down or gone.
pub(super) fn send(
    lanes: &mut [Lane<'_>],
    mark: u16,
    start: Instant,
    after: Duration,
    progress: &Progress,
) -> Result<(), Gone> {
    let after_ns = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
    while !progress.stop.load(Ordering::Relaxed) && start.elapsed() < after.saturating_add(GRACE) {
        let (mut sent, mut full, mut next) = (false, false, None::<u64>);
        for lane in &mut *lanes {
            match lane.turn(mark, start, after_ns, progress).map_err(|error| (lane.place, error))? {
                Turn::Sent => sent = true,
                Turn::Full => full = true,
                Turn::Idle(due) => next = Some(next.map_or(due, |next| next.min(due))),
                Turn::Over => {}
            }
        }
        match next {
            _ if sent => {}
            _ if full => thread::sleep(NO_ROOM),
            Some(due) => wait_until(start, Duration::from_nanos(due.min(after_ns)), progress),
            None => return Ok(()),
        }
    }
    Ok(())
}

fn wait_until(start: Instant, due: Duration, progress: &Progress) {
    loop {
        let left = due.saturating_sub(start.elapsed());
        if left.is_zero() || progress.stop.load(Ordering::Relaxed) {
            return;
        }
        if left > SLEEP_SLACK {
            // In pieces: whoever interrupts does not wait for the next frame.
            thread::sleep(left.saturating_sub(SLEEP_SLACK).min(LOOK));
        } else {
            // Where CPUs are few, the switch or the receiver may be waiting for this one.
            thread::yield_now();
        }
    }
}

/// Counts what arrives at one place.
pub(super) trait Listener: Send {
    /// A whole frame came, so many nanoseconds after the start; whether it is one that was waited for.
    fn take(&mut self, octets: &[u8], arrived_ns: u64) -> bool;
}

/// One receiver.
pub(super) struct Ear<'a, L> {
    /// Where it is among the places.
    pub(super) place: usize,
    pub(super) queue: &'a mut dyn Port,
    pub(super) listener: L,
}

/// Counts signed frames, or recorded ones.
pub(super) struct Counter {
    pub(super) tally: PortTally,
    /// Of each replayed flow, what finds its frames.
    pub(super) finders: Vec<(Recorded, Finder)>,
}

/// What the frames of a recording have instead of a signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub(super) stream: u8,
    pub(super) port: u8,
}

impl Listener for Counter {
    fn take(&mut self, octets: &[u8], arrived_ns: u64) -> bool {
        in_place(self.arrival(octets, arrived_ns))
    }
}

impl Counter {
    fn arrival(&mut self, octets: &[u8], arrived_ns: u64) -> Arrival {
        if self.finders.is_empty() {
            return self.tally.take(octets, arrived_ns);
        }
        for (recorded, finder) in &mut self.finders {
            let Recorded { stream, port } = *recorded;
            if let Some(arrival) = self.tally.take_recorded(finder, octets, stream, port, arrived_ns) {
                return arrival;
            }
        }
        self.tally.take_foreign()
    }
}

/// Is it a frame that was waited for?
pub(super) fn in_place(arrival: Arrival) -> bool {
    matches!(arrival, Arrival::InOrder | Arrival::Reordered { .. })
}

/// Count what arrives at the ears until nobody waits for more.
///
/// # Errors
/// An interface is down or gone.
pub(super) fn receive<L: Listener>(ears: &mut [Ear<'_, L>], start: Instant, progress: &Progress) -> Result<(), Gone> {
    let mut batch = Batch::with_capacity(BURST);
    loop {
        let mut any = false;
        for ear in &mut *ears {
            batch.clear();
            let outcome = ear.queue.recv(&mut batch);
            let arrived_ns = start.elapsed().as_nanos() as u64;
            let came = batch.iter().filter(|frame| ear.listener.take(frame.octets(), arrived_ns)).count();
            progress.received.fetch_add(came as u64, Ordering::Relaxed);
            any |= !batch.is_empty();
            outcome.map_err(|error| (ear.place, error))?;
        }
        // Whatever hosts still say to each other: nobody waits for it.
        if progress.deaf.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !any {
            wait_for(ears).map_err(|error| (ears.first().map_or(0, |ear| ear.place), error))?;
        }
    }
}

/// Until something comes, or for a while.
fn wait_for<L>(ears: &[Ear<'_, L>]) -> io::Result<()> {
    let fds: Option<Vec<BorrowedFd<'_>>> = ears.iter().map(|ear| ear.queue.fd()).collect();
    let Some(fds) = fds else {
        thread::sleep(BLIND);
        return Ok(());
    };
    let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let timeout = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
