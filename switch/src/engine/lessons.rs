//! Which frame taught the MAC table that? A lesson is told whenever an address is new or has moved, whether or not anybody
//! traces: `lanyard why` is asked long after the frame has gone by.
//!
//! Addresses that are new are rare, and a flood of them is no reason to forward more slowly: a worker tells at most
//! [`PER_MILLISECOND`] lessons in a millisecond, never waits, and counts the others.
//!
//! Not done: refreshes. They are nearly every frame; the table keeps their age, and a trace counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{self, Receiver, Sender};
use frame::step::Learned;
use frame::{Frame, FrameNumber, MacAddr, Millis, NetworkId, PortId};
use trace::Snap;

use super::clock::unix_nanos;

/// Lessons that one worker tells in a millisecond.
pub const PER_MILLISECOND: u32 = 16;
/// Lessons that wait for whoever remembers them.
const WAITING: usize = 4096;

/// A frame taught the MAC table something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lesson {
    /// The frame's number, the same as in the trace.
    pub number: FrameNumber,
    /// When it came in: nanoseconds since 1970-01-01 UTC.
    pub at_unix_ns: u64,
    /// The same on the engine's clock.
    pub at: Millis,
    /// Its network.
    pub network: NetworkId,
    /// The port it came in by, and the address is on.
    pub port: PortId,
    /// The address.
    pub mac: MacAddr,
    /// What it taught.
    pub learned: Learned,
    /// Its whole length, octets without FCS.
    pub octets: u32,
    /// Its first octets.
    pub snap: Snap,
}

/// Where the workers tell their lessons; also who numbers frames.
pub(super) struct Lessons {
    sender: Sender<Lesson>,
    pub(super) receiver: Receiver<Lesson>,
    pub(super) missed: Arc<AtomicU64>,
    pub(super) last_number: Arc<AtomicU64>,
}

impl Lessons {
    pub(super) fn new() -> Self {
        let (sender, receiver) = channel::bounded(WAITING);
        Self { sender, receiver, missed: Arc::default(), last_number: Arc::default() }
    }

    /// The next frame's number.
    pub(super) fn number(&self) -> FrameNumber {
        FrameNumber(self.last_number.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many lessons one worker has told in this millisecond.
#[derive(Default)]
pub(super) struct Budget {
    at: Millis,
    told: u32,
}

impl Budget {
    fn allows(&mut self, now: Millis) -> bool {
        if self.at != now {
            *self = Self { at: now, told: 0 };
        }
        self.told += 1;
        self.told <= PER_MILLISECOND
    }
}

/// A frame taught something; `number` is its own where it is traced.
#[cold]
#[inline(never)]
pub(super) fn tell(
    lessons: &Lessons,
    budget: &mut Budget,
    frame: &Frame,
    number: Option<FrameNumber>,
    (network, port, mac): (NetworkId, PortId, MacAddr),
    learned: Learned,
    at: Millis,
) {
    if !budget.allows(at) {
        return lessons.miss();
    }
    let lesson = Lesson {
        number: number.unwrap_or_else(|| lessons.number()),
        at_unix_ns: unix_nanos(),
        at,
        network,
        port,
        mac,
        learned,
        octets: frame.len() as u32,
        snap: Snap::of(frame.octets()),
    };
    if lessons.sender.try_send(lesson).is_err() {
        lessons.miss();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHERE: (NetworkId, PortId, MacAddr) = (NetworkId(1), PortId(2), MacAddr([2, 0, 0, 0, 0, 3]));

    #[test]
    fn a_flood_of_lessons_is_cut_and_counted() {
        let (lessons, mut budget) = (Lessons::new(), Budget::default());
        let frame = Frame::from_octets(&[2; 60]);
        for at in [7, 7, 8] {
            for _ in 0..20 {
                tell(&lessons, &mut budget, &frame, None, WHERE, Learned::New, Millis(at));
            }
        }
        let told: Vec<Lesson> = lessons.receiver.try_iter().collect();
        assert_eq!(told.len(), 2 * PER_MILLISECOND as usize);
        assert_eq!(lessons.missed.load(Ordering::Relaxed), 60 - 2 * u64::from(PER_MILLISECOND));
        let numbers: Vec<u64> = told.iter().map(|lesson| lesson.number.0).collect();
        assert_eq!(numbers, (1..=32).collect::<Vec<_>>());
    }

    #[test]
    fn a_traced_frame_keeps_its_number_and_nobody_waits() {
        let (lessons, mut budget) = (Lessons::new(), Budget::default());
        let frame = Frame::from_octets(&[2; 60]);
        tell(&lessons, &mut budget, &frame, Some(FrameNumber(41)), WHERE, Learned::New, Millis(7));
        assert_eq!(lessons.receiver.try_recv().map(|lesson| lesson.number), Ok(FrameNumber(41)));
        for at in 0..WAITING as u64 + 5 {
            tell(&lessons, &mut budget, &frame, None, WHERE, Learned::New, Millis(1000 + at));
        }
        assert_eq!(lessons.missed.load(Ordering::Relaxed), 5);
    }
}
