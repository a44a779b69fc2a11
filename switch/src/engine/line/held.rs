//! Which frames are under way on a bad line? Those that are late, each with the time when it is through; and those that
//! are through, and wait to be taken up.
//!
//! So many, and so many octets, may be under way in one direction at one worker; what comes beyond that is lost, and told
//! as that.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use frame::step::Injected;
use frame::{Batch, Frame, OffloadHeader};

use super::super::egress::Lane;
use super::{Fate, Line};

/// Frames under way in one direction.
const HELD_FRAMES: usize = 4096;
/// Octets of them.
const HELD_OCTETS: usize = 16 << 20;
/// A frame that is to arrive behind the next one waits no longer for it, nanoseconds.
const LATEST: u64 = 50_000_000;

/// One frame that has met a line's faults.
#[derive(Debug)]
pub(in crate::engine) struct Passed {
    octets: Bytes,
    offload: OffloadHeader,
    /// What it met.
    pub(in crate::engine) told: Vec<Injected>,
    /// It is lost, and only to be told of.
    pub(in crate::engine) lost: bool,
    /// Where its record is, on the way out, if it goes at once.
    pub(in crate::engine) origin: Option<(Lane, u16)>,
}

impl Passed {
    /// Write it into a frame.
    pub(in crate::engine) fn write(&self, frame: &mut Frame) {
        frame.fill(&self.octets, self.offload);
    }
}

/// A frame that is late: when it is through, and the how manieth it was.
struct Waiting(u64, u64, Passed);

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// What is under way in one direction.
#[derive(Default)]
pub(in crate::engine) struct Held {
    waiting: BinaryHeap<Reverse<Waiting>>,
    octets: usize,
    frames: u64,
    /// It waits for the next one to pass, or for this time.
    late: Option<(u64, Passed)>,
    /// Those that are through.
    through: VecDeque<Passed>,
}

impl Held {
    /// A frame meets its fate at `now`, in nanoseconds; what that is. `origin` is where its record is, should it go at once.
    pub(in crate::engine) fn meet(
        &mut self,
        frame: &Frame,
        fate: &Fate,
        origin: Option<(Lane, u16)>,
        now: u64,
    ) -> Vec<Injected> {
        let mut octets = frame.octets().to_vec();
        if let Some((octet, bit)) = fate.bit
            && let Some(octet) = octets.get_mut(octet)
        {
            *octet ^= 1 << bit;
        }
        let (octets, offload) = (Bytes::from(octets), frame.offload());
        let origin = origin.filter(|_| fate.is_prompt());
        let mut told = fate.told();
        if fate.twice && !fate.lost {
            told.insert(0, Injected::Duplicated);
            let mut second = told.clone();
            second[0] = Injected::Copy;
            let second = Passed { octets: octets.clone(), offload, told: second, lost: false, origin: None };
            let met = self.send_on(Passed { octets, offload, told, lost: false, origin }, fate, now);
            self.send_on(second, &Fate { delay: fate.delay, ..Fate::default() }, now);
            met
        } else {
            self.send_on(Passed { octets, offload, told, lost: fate.lost, origin }, fate, now)
        }
    }

    fn send_on(&mut self, frame: Passed, fate: &Fate, now: u64) -> Vec<Injected> {
        let met = frame.told.clone();
        match fate.delay {
            Some(delay) if !frame.lost => return self.hold(frame, now + delay.0 * 1_000_000),
            _ if fate.late && !frame.lost && self.late.is_none() => self.late = Some((now + LATEST, frame)),
            _ => self.let_through(frame),
        }
        met
    }

    fn hold(&mut self, frame: Passed, due: u64) -> Vec<Injected> {
        if self.waiting.len() >= HELD_FRAMES || self.octets + frame.octets.len() > HELD_OCTETS {
            let told = vec![Injected::Overflowed];
            self.let_through(Passed { told: told.clone(), lost: true, ..frame });
            return told;
        }
        self.octets += frame.octets.len();
        self.frames += 1;
        let met = frame.told.clone();
        self.waiting.push(Reverse(Waiting(due, self.frames, frame)));
        met
    }

    fn let_through(&mut self, frame: Passed) {
        let overtakes = !frame.lost;
        self.through.push_back(frame);
        if overtakes && let Some((_, late)) = self.late.take() {
            self.through.push_back(late);
        }
    }

    /// Whoever is due at `now` is through.
    pub(in crate::engine) fn release(&mut self, now: u64) {
        while self.waiting.peek().is_some_and(|Reverse(Waiting(due, ..))| *due <= now) {
            let Some(Reverse(Waiting(_, _, frame))) = self.waiting.pop() else { break };
            self.octets -= frame.octets.len();
            self.let_through(frame);
        }
        if let Some((_, frame)) = self.late.take_if(|(due, _)| *due <= now) {
            self.through.push_back(frame);
        }
    }

    /// The next one that is through.
    pub(in crate::engine) fn next(&mut self) -> Option<Passed> {
        self.through.pop_front()
    }

    /// When the next one is through, nanoseconds.
    fn due(&self) -> Option<u64> {
        let waiting = self.waiting.peek().map(|Reverse(Waiting(due, ..))| *due);
        waiting.into_iter().chain(self.late.as_ref().map(|(due, _)| *due)).min()
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.late.is_none() && self.through.is_empty()
    }
}

/// Frames that are sent together on their way out.
const OUT_FRAMES: usize = 32;

/// A port's line as one worker has it.
pub(in crate::engine) struct OpenLine {
    pub(in crate::engine) line: Arc<Line>,
    pub(in crate::engine) inward: Held,
    pub(in crate::engine) outward: Held,
    /// Where frames lie while they are sent.
    pub(in crate::engine) out: Batch,
}

impl OpenLine {
    pub(in crate::engine) fn new(line: Arc<Line>) -> Box<Self> {
        let (inward, outward) = (Held::default(), Held::default());
        Box::new(Self { line, inward, outward, out: Batch::with_capacity(OUT_FRAMES) })
    }

    /// When the next frame on it is through, nanoseconds.
    pub(in crate::engine) fn due(&self) -> Option<u64> {
        self.inward.due().into_iter().chain(self.outward.due()).min()
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.inward.is_empty() && self.outward.is_empty()
    }
}
