//! Which frames meet a fault of the line they come by? `lanyard fault`: chance by a seed, or every n-th, of the frames
//! that a filter matches, until a time.
//!
//! | file | the question |
//! | --- | --- |
//! | [`spec`] | how is a bad line described? |
//! | [`held`] | which frames are under way on it? |
//! | `worker/lines.rs` | what do frames meet on their way in? |
//! | `egress/lines.rs` | what do frames meet on their way out? |
//!
//! A port's faults are asked in the order in which they were added. All workers ask the same ones, so that every fifth
//! frame is the port's fifth; each direction has dice of its own. So the same seed and the same frames in the same order
//! meet the same faults.
//!
//! Not done: what is under way on a line is not told by `show ports`. A bit that is turned over in a frame whose checksum is
//! left to others is covered by that checksum: use `--offload off`, where frames are as on a wire.

pub(super) mod held;
pub mod spec;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use frame::ethernet::HEADER_OCTETS;
use frame::step::Injected;
use frame::{Frame, Millis, NetworkId, PortId};
use trace::filter::Admission;

use super::tables::lock;
use spec::{Direction, FaultKind, Often};

/// One fault of a line.
#[derive(Debug)]
pub struct LineFault {
    /// Its number.
    pub id: u32,
    /// What it does.
    pub kind: FaultKind,
    /// To frames of which direction.
    pub direction: Direction,
    /// Which frames can meet it.
    pub admission: Admission,
    /// The filter's text.
    pub filter: String,
    /// Where its dice begin.
    pub seed: u64,
    /// When it ends, by the engine's clock.
    pub until: Millis,
    /// Frames that could have met it.
    asked: AtomicU64,
    /// Frames that did.
    met: AtomicU64,
    inward: Mutex<Dice>,
    outward: Mutex<Dice>,
}

impl LineFault {
    /// A fault that nobody has met yet.
    pub fn new(
        id: u32,
        kind: FaultKind,
        direction: Direction,
        filter: (String, Admission),
        seed: u64,
        until: Millis,
    ) -> Self {
        let dice = |salt: u64| Mutex::new(Dice { state: seed ^ salt, frames: 0 });
        let (filter, admission) = filter;
        let (asked, met) = (AtomicU64::new(0), AtomicU64::new(0));
        // Each direction's dice begin elsewhere (SHA-512's first two words, for want of better ones).
        let (inward, outward) = (dice(0x6a09_e667_f3bc_c908), dice(0xbb67_ae85_84ca_a73b));
        Self { id, kind, direction, admission, filter, seed, until, asked, met, inward, outward }
    }

    /// Frames that could have met it, and frames that did.
    pub fn counts(&self) -> (u64, u64) {
        (self.asked.load(Relaxed), self.met.load(Relaxed))
    }

    fn concerns(&self, way: Way) -> bool {
        matches!((self.direction, way), (Direction::Both, _) | (Direction::In, Way::In) | (Direction::Out, Way::Out))
    }

    /// Does the next frame that it could concern meet it? With a number that is as random as that.
    fn meets(&self, way: Way) -> Option<u64> {
        let mut dice = lock(if way == Way::In { &self.inward } else { &self.outward });
        self.asked.fetch_add(1, Relaxed);
        dice.frames += 1;
        let (chance, other) = (dice.roll(), dice.roll());
        let met = match self.kind {
            FaultKind::Delay { .. } => true,
            FaultKind::Drop(often)
            | FaultKind::Duplicate(often)
            | FaultKind::Reorder(often)
            | FaultKind::Corrupt(often) => match often {
                Often::Share(share) => below(chance, 1_000_000) < u64::from(share),
                Often::Every(every) => dice.frames.is_multiple_of(every.into()),
            },
        };
        if met {
            self.met.fetch_add(1, Relaxed);
        }
        met.then_some(other)
    }
}

/// Which way a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    In,
    Out,
}

/// `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
struct Dice {
    state: u64,
    frames: u64,
}

impl Dice {
    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// A number below `limit`, out of a random one (Lemire, 2019, without the last of his precision).
fn below(random: u64, limit: u64) -> u64 {
    ((u128::from(random) * u128::from(limit)) >> 64) as u64
}

/// The faults of one port, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Line(pub(super) Vec<Arc<LineFault>>);

/// What becomes of one frame on a line.
#[derive(Default, Debug)]
pub(super) struct Fate {
    pub(super) lost: bool,
    pub(super) twice: bool,
    pub(super) late: bool,
    pub(super) delay: Option<Millis>,
    /// Which bit is turned over: its octet, and its place in that.
    pub(super) bit: Option<(usize, u8)>,
}

impl Fate {
    /// Does it arrive as soon as on a good line?
    pub(super) const fn is_prompt(&self) -> bool {
        self.delay.is_none() && !self.late
    }

    /// It, in the order in which it is told.
    pub(super) fn told(&self) -> Vec<Injected> {
        if self.lost {
            return vec![Injected::Dropped];
        }
        let bit = self.bit.map(|(octet, _)| Injected::Corrupted { octet: octet as u16 });
        let late = self.late.then_some(Injected::Reordered);
        bit.into_iter().chain(late).chain(self.delay.map(|by| Injected::Delayed { by })).collect()
    }
}

impl Line {
    /// What becomes of the next frame.
    pub(super) fn fate(&self, way: Way, network: NetworkId, port: PortId, frame: &Frame, now: Millis) -> Fate {
        let mut fate = Fate::default();
        for fault in self.0.iter().filter(|fault| now < fault.until && fault.concerns(way)) {
            if !fault.admission.admits(network, Some(port), frame.octets()) {
                continue;
            }
            let Some(random) = fault.meets(way) else { continue };
            match fault.kind {
                FaultKind::Drop(_) => return Fate { lost: true, ..fate },
                FaultKind::Duplicate(_) => fate.twice = true,
                FaultKind::Reorder(_) => fate.late = true,
                FaultKind::Delay { by, jitter } => {
                    let more = Millis(below(random, 2 * jitter.0 + 1));
                    fate.delay = Some(fate.delay.unwrap_or_default() + (by + more - jitter));
                }
                FaultKind::Corrupt(_) => {
                    let payload = frame.len().saturating_sub(HEADER_OCTETS) as u64;
                    if payload > 0 {
                        let bit = below(random, payload * 8) as usize;
                        fate.bit = Some((HEADER_OCTETS + bit / 8, (bit % 8) as u8));
                    }
                }
            }
        }
        fate
    }

    /// Have all its faults ended?
    pub(super) fn is_over(&self, now: Millis) -> bool {
        self.0.iter().all(|fault| fault.until <= now)
    }
}

#[cfg(test)]
mod tests;
