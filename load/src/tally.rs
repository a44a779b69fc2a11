//! What became of the frames? A receiving port hands over whatever it got; its tally says of each frame what it is, and counts.
//! All ports' tallies, and what was sent, make the result.
//!
//! | a frame ... | is | and counts as received |
//! | --- | --- | --- |
//! | whose number is above all before it | in order | yes |
//! | whose number is below, and has not come yet | reordered (RFC 4737 section 3.3) | yes |
//! | whose number has come at this port | a duplicate | no, the first one did |
//! | further back than the [`window`](crate::window) reaches | too old: late, or a duplicate | no |
//! | that should have come out of another port, or that was sent from this one | misdelivered | no |
//! | with this run's mark, and not as it was sent | damaged | no |
//! | with another run's mark, or none | foreign | no |
//!
//! The extent of a reordering is that of RFC 4737 section 4.2: how many frames ago (duplicates left out) the first one came that
//! was sent after this one.
//!
//! A recorded frame of which it is not sure which one of several equal ones it is counts as received; it is not said to be
//! reordered, nor how long it took unless that becomes sure later.
//!
//! Not done: a stream whose sender numbers different ports' frames in one sequence is in order at each port if the numbers
//! rise; which of its numbers were meant for the port is not known, so loss is told by count alone.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    latency::Latencies,
    replay::{Finder, Found},
    result::{Intent, LoadResult, Sums},
    signature::{self, ANY_PORT, Signature, Unsigned},
    stream::ERRORED,
    window::{Seen, WINDOW_NUMBERS, Window},
};

/// Gaps in a stream's numbers that are remembered, to tell how far a frame that fills one was late.
const GAPS: usize = 4096;
/// Streams that a signature can name.
const STREAMS: usize = 1 << u8::BITS;

/// What a frame that came is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// In its place.
    InOrder,
    /// In its place, but after a frame that was sent later.
    Reordered {
        /// How many frames of its stream ago that one came; at least so many, if more than 4096 gaps have been left since.
        by: u64,
    },
    /// It had come already.
    Duplicate,
    /// It came out of a wrong port, or of the one that it was sent from.
    Misdelivered {
        /// The port where it should have; [`ANY_PORT`] for one that should come out of all but its sender's.
        should_be: u8,
    },
    /// It is not as it was sent.
    Damaged,
    /// Nobody of this run sent it.
    Foreign,
    /// So late that it cannot be told from a duplicate.
    TooOld,
}

/// What came of one stream at one port.
#[derive(Clone, Debug)]
pub struct StreamTally {
    window: Window,
    /// The highest number at each jump forwards, and how many frames had come before it; the latest [`GAPS`] jumps.
    gaps: VecDeque<(u64, u64)>,
    /// Frames in their place, each number once.
    pub received: u64,
    /// Their octets, without FCS.
    pub octets: u64,
    /// Of those, frames that came after one that was sent later.
    pub reordered: u64,
    /// The largest extent of a reordering, frames.
    pub extent: u64,
    /// Frames that had come already.
    pub duplicates: u64,
    /// Frames too late to be told from duplicates.
    pub too_old: u64,
    /// Frames that should have come out of another port.
    pub misdelivered: u64,
    /// When the first frame in its place came, nanoseconds since the start of the run; meaningless without one.
    pub first_ns: u64,
    /// When the last one did.
    pub last_ns: u64,
    /// How long those in their place took.
    pub latencies: Latencies,
}

impl StreamTally {
    fn new(numbers: u64) -> Self {
        Self {
            window: Window::new(numbers),
            gaps: VecDeque::with_capacity(GAPS),
            received: 0,
            octets: 0,
            reordered: 0,
            extent: 0,
            duplicates: 0,
            too_old: 0,
            misdelivered: 0,
            first_ns: u64::MAX,
            last_ns: 0,
            latencies: Latencies::default(),
        }
    }

    /// The highest number that came in its place; `None` before the first.
    pub fn highest(&self) -> Option<u64> {
        self.window.next().checked_sub(1)
    }

    /// The highest number that has not come while a later one has; `None` where none is missing. Of the latest 4096 gaps: one
    /// that was filled by late frames counts no more.
    pub fn last_missing(&self) -> Option<u64> {
        let missing = |(highest, _): &(u64, u64)| {
            let below = highest.checked_sub(1)?;
            (!self.window.has(below)).then_some(below)
        };
        self.gaps.iter().rev().find_map(missing)
    }

    /// A frame came out of the right port. `sure`: it has that number, and no other.
    fn take(&mut self, number: u64, sure: bool, octets: usize, due_ns: Option<u64>, arrived_ns: u64) -> Arrival {
        let next = self.window.next();
        match self.window.take(number) {
            Seen::Again => {
                self.duplicates += 1;
                return Arrival::Duplicate;
            }
            Seen::TooOld => {
                self.too_old += 1;
                return Arrival::TooOld;
            }
            Seen::First => {}
        }
        let before = self.received;
        self.received += 1;
        self.octets += octets as u64;
        self.first_ns = self.first_ns.min(arrived_ns);
        self.last_ns = self.last_ns.max(arrived_ns);
        if let Some(due_ns) = due_ns {
            self.latencies.record(due_ns, arrived_ns);
        }
        if number > next {
            self.jump(number, before);
        }
        if number >= next || !sure {
            return Arrival::InOrder;
        }
        let by = before - self.overtaken_at(number).unwrap_or(before);
        self.reordered += 1;
        self.extent = self.extent.max(by);
        Arrival::Reordered { by }
    }

    /// Numbers were left out.
    fn jump(&mut self, number: u64, before: u64) {
        if self.gaps.len() == GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back((number, before));
    }

    /// How many frames had come before the first one that was sent after this one. That one made the jump over it.
    fn overtaken_at(&self, number: u64) -> Option<u64> {
        let at = self.gaps.partition_point(|(highest, _)| *highest < number);
        self.gaps.get(at).map(|(_, before)| *before)
    }
}

/// What came out of one port.
#[derive(Clone, Debug)]
pub struct PortTally {
    mark: u16,
    port: u8,
    /// Numbers that a stream's window tells apart.
    numbers: u64,
    streams: Vec<Option<Box<StreamTally>>>,
    /// Streams that are sent from here.
    own: Vec<u8>,
    damaged: u64,
    foreign: u64,
}

impl PortTally {
    /// The tally of the port that the frames of the run `mark` call `port`. Each stream takes some 0.4 MiB from its first
    /// frame on.
    pub fn new(mark: u16, port: u8) -> Self {
        Self::with_window(mark, port, WINDOW_NUMBERS)
    }

    /// The same with windows of another length.
    pub fn with_window(mark: u16, port: u8, numbers: u64) -> Self {
        let streams = (0..STREAMS).map(|_| None).collect();
        Self { mark, port, numbers, streams, own: Vec::new(), damaged: 0, foreign: 0 }
    }

    /// Frames of this stream, errored ones too, are sent from this port: one that comes out of it is misdelivered, whomever
    /// it is for. A switch floods a frame to all ports but the one that it came from (IEEE 802.1Q clause 8.6.1).
    pub fn sends(&mut self, stream: u8) {
        let stream = stream & !ERRORED;
        if !self.own.contains(&stream) {
            self.own.push(stream);
        }
    }

    /// A whole frame came, from its destination address on, so many nanoseconds after the start of the run.
    pub fn take(&mut self, octets: &[u8], arrived_ns: u64) -> Arrival {
        let signature = match signature::read(octets, self.mark) {
            Ok(signature) => signature,
            Err(Unsigned::Foreign) => {
                self.foreign += 1;
                return Arrival::Foreign;
            }
            Err(Unsigned::Damaged) => {
                self.damaged += 1;
                return Arrival::Damaged;
            }
        };
        self.take_as(signature, octets.len(), arrived_ns)
    }

    /// A frame came of which is known otherwise what its signature would say; its octets are counted without FCS.
    pub fn take_as(&mut self, signature: Signature, octets: usize, arrived_ns: u64) -> Arrival {
        let Signature { stream, port, number, due_ns, .. } = signature;
        match self.misdelivered(stream, port) {
            Some(arrival) => arrival,
            None => self.stream(stream).take(number, true, octets, Some(due_ns), arrived_ns),
        }
    }

    /// A whole frame came that may be of a recording which is sent as that stream, to that port; `None` if it is not.
    pub fn take_recorded(
        &mut self,
        finder: &mut Finder,
        octets: &[u8],
        stream: u8,
        port: u8,
        arrived_ns: u64,
    ) -> Option<Arrival> {
        let Found { number, due_ns, to_all, sure } = finder.find(octets, arrived_ns)?;
        let port = if to_all { ANY_PORT } else { port };
        if let Some(arrival) = self.misdelivered(stream, port) {
            finder.settled().for_each(drop);
            return Some(arrival);
        }
        let stream = self.stream(stream);
        for (due_ns, came_ns) in finder.settled() {
            stream.latencies.record(due_ns, came_ns);
        }
        Some(stream.take(number, sure, octets.len(), due_ns, arrived_ns))
    }

    /// A frame of this stream came that should come out of that port: is it here that it should not be?
    fn misdelivered(&mut self, stream: u8, port: u8) -> Option<Arrival> {
        let in_place = port == self.port || port == ANY_PORT;
        if in_place && !self.own.contains(&(stream & !ERRORED)) {
            return None;
        }
        self.stream(stream).misdelivered += 1;
        Some(Arrival::Misdelivered { should_be: port })
    }

    fn stream(&mut self, stream: u8) -> &mut StreamTally {
        let numbers = self.numbers;
        self.streams[usize::from(stream)].get_or_insert_with(|| StreamTally::new(numbers).into())
    }

    /// A frame came that is of nobody in this run.
    pub fn take_foreign(&mut self) -> Arrival {
        self.foreign += 1;
        Arrival::Foreign
    }

    /// A frame came that is not as it was sent.
    pub(crate) fn take_damaged(&mut self) -> Arrival {
        self.damaged += 1;
        Arrival::Damaged
    }

    /// The port's number in signatures.
    pub fn port(&self) -> u8 {
        self.port
    }

    /// Frames that are not as they were sent.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Frames of nobody in this run.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// The streams that frames came of, by number.
    pub fn streams(&self) -> impl Iterator<Item = (u8, &StreamTally)> {
        (0..=u8::MAX).zip(&self.streams).filter_map(|(stream, tally)| Some((stream, tally.as_deref()?)))
    }

    /// Frames in their place so far, each once; what a line of progress shows.
    pub fn received(&self) -> u64 {
        self.streams().map(|(_, tally)| tally.received).sum()
    }
}

/// What was sent of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Frames.
    pub frames: u64,
    /// Their octets, without FCS.
    pub octets: u64,
    /// Frames that should come out: a flooded frame once at each port.
    pub expected: u64,
}

/// All ports, and what was sent.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    intent: Option<Intent>,
    seconds: f64,
    sent: BTreeMap<u8, Sent>,
    ports: Vec<PortTally>,
}

impl Tally {
    /// Nothing yet. `intent` is what the given rate makes of the time; `None` for as fast as possible. `seconds` is how
    /// long sending took.
    pub fn new(intent: Option<Intent>, seconds: f64) -> Self {
        Self { intent, seconds, ..Self::default() }
    }

    /// So many frames of a stream, with so many octets without FCS, were sent to one port each. Adds to what was sent before.
    pub fn sent(&mut self, stream: u8, frames: u64, octets: u64) {
        self.flooded(stream, 1, frames, octets);
    }

    /// So many frames of a stream were sent that should come out of `ports` ports each.
    pub fn flooded(&mut self, stream: u8, ports: u64, frames: u64, octets: u64) {
        let sent = self.sent.entry(stream).or_default();
        sent.frames += frames;
        sent.octets += octets;
        sent.expected += frames * ports;
    }

    /// What came out of a port.
    pub fn port(&mut self, port: PortTally) {
        self.ports.push(port);
    }

    /// What became of all that.
    pub fn result(&self) -> LoadResult {
        Sums { intent: self.intent, seconds: self.seconds, sent: &self.sent, ports: &self.ports }.result()
    }
}

#[cfg(test)]
mod tests;
