//! Which of the recorded frames is that? What comes is known by its octets; where the same octets are sent more than once, in
//! a round or in several, it is one of those that were due and did not come yet, and behind all that came before, where there
//! is such a one: a switch keeps frames in order. Of several that may be meant the first is taken.
//!
//! On a way that keeps the order and doubles nothing, whatever it loses and however long it takes, this makes no mistake that
//! shows: as many frames are missing as were lost, and none is reordered. How long one took is told when no other could have
//! been meant: at once, or as soon as as many have come as were due, so that frames that waited together count. Behind a lost
//! one it may stay open, for a frame that came late, and one behind a lost one, look the same; then it is not told.
//!
//! Without due times, at [`Rate::Max`](crate::Rate::Max), any that is still to come may be meant: numbers only rise, what is
//! lost is missing in the end, and there is no latency.
//!
//! Not done: in a recording of nothing but equal frames, no latency is told behind the first loss. A duplicate that comes when
//! the next equal frame is due is taken for that one, and the last of them for the duplicate; between, others may seem
//! reordered. A frame that is overtaken by others when the next equal one is due already counts as lost, and that one as double.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Recording, hash, is_group};

/// Frames with the same octets that were passed over, and are remembered: the latest.
const PASSED: usize = 1024;
/// Frames with the same octets whose time is open: so many are remembered.
const OPEN: usize = 1 << 16;
/// So many frames with the same octets and the same due time are looked at.
const EQUALS: u64 = 64;

/// Finds recorded frames again, at one port.
#[derive(Clone, Debug)]
pub struct Finder {
    recording: Arc<Recording>,
    rounds: u64,
    /// What came of frames with the same octets, by their hash.
    seen: HashMap<u64, Seen>,
    /// The highest number that was found.
    highest: Option<Highest>,
    /// When frames were due, and when they came, of which that has become sure meanwhile.
    settled: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Highest {
    number: u64,
    sure: bool,
}

/// Of frames with the same octets, which have come; they are counted in the order of sending.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// All below have come, or were passed over.
    next: u64,
    /// Those that were passed over for a reason that may be none.
    passed: VecDeque<u64>,
    /// The latest without a gap in their order, and when each came: others that were due then may have been meant.
    open: Vec<(u64, u64)>,
}

/// A frame that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its number.
    pub number: u64,
    /// When it was due, nanoseconds since the start; `None` if it was at once, or if another could be meant that was due
    /// at another time.
    pub due_ns: Option<u64>,
    /// It goes to a group: to all ports.
    pub to_all: bool,
    /// No other could be meant: if a higher number came before, it was overtaken.
    pub sure: bool,
}

/// The times at which frames with the same octets are sent.
#[derive(Clone, Copy)]
struct Sendings<'a> {
    recording: &'a Recording,
    places: &'a [u32],
    /// How many there are, in all rounds.
    count: u64,
}

impl Sendings<'_> {
    fn number(self, nth: u64) -> u64 {
        let each = self.places.len() as u64;
        nth / each * self.recording.frames() + u64::from(self.places[(nth % each) as usize])
    }

    /// The first of them with a number above.
    fn first_above(self, number: u64) -> u64 {
        let (round, place) = (number / self.recording.frames(), number % self.recording.frames());
        let below = self.places.partition_point(|other| u64::from(*other) <= place) as u64;
        round.saturating_mul(self.places.len() as u64).saturating_add(below)
    }

    fn due_ns(self, nth: u64) -> Option<u64> {
        self.recording.due_ns(self.number(nth))
    }

    /// Is it one of them, and may it have been sent by then?
    fn is_due(self, nth: u64, ns: u64) -> bool {
        nth < self.count && self.due_ns(nth).is_none_or(|due| due <= ns)
    }

    /// When it was due, if it alone of those below `end` may have come at that time, or if the others were due when it was;
    /// and whether it was alone.
    fn due_alone(self, nth: u64, end: u64, arrived_ns: u64) -> (Option<u64>, bool) {
        let may_be = |other: u64| other < end && self.is_due(other, arrived_ns);
        let due_ns = self.due_ns(nth);
        let alone = !may_be(nth + 1);
        let mut others = nth + 1..=nth + EQUALS;
        let mut same = || {
            others.find(|other| !may_be(*other) || self.due_ns(*other) != due_ns).is_some_and(|other| !may_be(other))
        };
        let known = alone || same();
        (due_ns.filter(|_| known), alone)
    }
}

impl Finder {
    /// For a recording that is sent so many times.
    pub fn new(recording: Arc<Recording>, rounds: u64) -> Self {
        Self { recording, rounds, seen: HashMap::new(), highest: None, settled: Vec::new() }
    }

    /// Of frames that were found with no due time, when they were due and when they came, as far as that has become sure.
    pub fn settled(&mut self) -> impl Iterator<Item = (u64, u64)> {
        self.settled.drain(..)
    }

    /// Which frame is that, which came so many nanoseconds after the start? `None`: none of the recording, or none that was
    /// due by then. One that came more often than it was sent has the number of the last one.
    pub fn find(&mut self, octets: &[u8], arrived_ns: u64) -> Option<Found> {
        let (hash, to_all) = (hash(octets), is_group(octets));
        let places = self.recording.places.get(&hash)?;
        let count = (places.len() as u64).saturating_mul(self.rounds).max(1);
        let sendings = Sendings { recording: &self.recording, places, count };
        let seen = self.seen.entry(hash).or_default();
        let found = |nth, due_ns, sure| Found { number: sendings.number(nth), due_ns, to_all, sure };
        let behind = self.highest.map_or(0, |highest| sendings.first_above(highest.number));
        let first = seen.next.max(behind);
        if sendings.is_due(first, arrived_ns) {
            let (due_ns, alone) = sendings.due_alone(first, count, arrived_ns);
            let sure = alone && (due_ns.is_some() || count == 1);
            if !self.highest.is_none_or(|highest| highest.sure) {
                seen.pass(first);
            }
            if first > seen.next {
                seen.open.clear();
            }
            if alone {
                // This one is the last that was due, and as many came before it as were due: each is what it was taken for.
                let due = |(nth, came_ns)| Some((sendings.due_ns(nth)?, came_ns));
                self.settled.extend(seen.open.drain(..).filter_map(due));
            } else if due_ns.is_none() && seen.open.len() < OPEN {
                seen.open.push((first, arrived_ns));
            }
            seen.next = first + 1;
            self.highest = Some(Highest { number: sendings.number(first), sure });
            return Some(found(first, due_ns, sure));
        }
        seen.open.clear();
        if seen.next < first && sendings.is_due(seen.next, arrived_ns) {
            // A later one overtook it.
            let (due_ns, alone) = sendings.due_alone(seen.next, first, arrived_ns);
            let sure = alone && self.highest.is_some_and(|highest| highest.sure);
            seen.next += 1;
            return Some(found(seen.next - 1, due_ns.filter(|_| sure), sure));
        }
        if let Some(passed) = seen.passed.pop_back() {
            return Some(found(passed, None, false));
        }
        Some(found(seen.next.checked_sub(1)?, None, false))
    }
}

impl Seen {
    /// Those below `end` that have not come are passed over, and may come yet.
    fn pass(&mut self, end: u64) {
        self.passed.extend(self.next.max(end.saturating_sub(PASSED as u64))..end);
        while self.passed.len() > PASSED {
            self.passed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
