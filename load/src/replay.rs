//! How are recorded frames sent again, and known again? As they were recorded: nothing is written into them, so they have no
//! signature. What comes is found by its octets ([`find`]).
//!
//! Each has a number, as a stream's frames have: its place in the recording, counted on through all rounds. From the number
//! follows when it was due, so that latency is told as it is for signed frames.
//!
//! Not done: a frame that is changed on the way (routed, tagged) is foreign to its receiver, and counts as lost.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use frame::ethernet::HEADER_OCTETS;
use frame::{Frame, MacAddr, OffloadHeader};

use crate::signature::MOST_NUMBER;
use crate::{FCS_OCTETS, LoadError, Rate, WIRE_GAP_OCTETS};

mod find;

pub use find::{Finder, Found};

/// The longest frame that is sent again, octets without FCS: what a frame's buffer is sure to hold.
const MOST_OCTETS: usize = 65_535;
/// How long a round of a recording takes whose frames all have one time, nanoseconds a frame.
const LEAST_GAP_NS: u64 = 1_000;
/// Speeds are counted in thousandths.
const THOUSAND: u128 = 1000;

/// How much faster than it was recorded: 1 is its own speed. Thousandths of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Speed(NonZeroU32);

impl Speed {
    /// As it was recorded.
    pub const OWN: Self = Self(NonZeroU32::MIN.saturating_add(999));
}

impl FromStr for Speed {
    type Err = LoadError;

    /// `2`, `0.5x`, `10x`: 0.001 to 1,000,000.
    fn from_str(text: &str) -> Result<Self, LoadError> {
        let wrong = || LoadError::Speed(text.to_owned());
        let number = text.trim().trim_end_matches(['x', 'X']);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 || number.len() > 12 || whole.is_empty() {
            return Err(wrong());
        }
        let thousandths: u64 = format!("{whole}{part:0<3}").parse().map_err(|_| wrong())?;
        let speed = u32::try_from(thousandths).ok().filter(|thousandths| *thousandths <= 1_000_000_000);
        speed.and_then(NonZeroU32::new).map(Self).ok_or_else(wrong)
    }
}

/// When recorded frames are due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// As they were recorded, or so much faster.
    Recorded(Speed),
    /// At a rate of its own.
    At(Rate),
}

/// A frame of a recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedFrame {
    /// When it was seen, nanoseconds of any clock.
    pub at_ns: u64,
    /// Its octets, from the destination address on, without FCS.
    pub octets: Vec<u8>,
}

/// Frames, and when they are due.
#[derive(Debug)]
pub struct Recording {
    frames: Vec<RecordedFrame>,
    /// Octets of the wire before each frame of a round, and of a whole round at the end.
    wire: Vec<u64>,
    /// The time of one round.
    round_ns: u64,
    pace: Pace,
    /// Where the same octets stand, by their hash.
    places: HashMap<u64, Vec<u32>>,
}

impl Recording {
    /// A recording. Times that run backwards count as the time before.
    ///
    /// # Errors
    /// It is empty, or a frame is shorter than an Ethernet header or longer than can be sent.
    pub fn new(mut frames: Vec<RecordedFrame>, pace: Pace) -> Result<Self, LoadError> {
        let first = frames.first().ok_or(LoadError::NoFrames)?.at_ns;
        let (mut wire, mut before, mut places) = (vec![0], 0, HashMap::<u64, Vec<u32>>::new());
        for (index, frame) in (0u32..).zip(&mut frames) {
            let octets = frame.octets.len();
            if !(HEADER_OCTETS..=MOST_OCTETS).contains(&octets) {
                return Err(LoadError::NoFrame { number: index + 1, octets });
            }
            before = frame.at_ns.saturating_sub(first).max(before);
            frame.at_ns = before;
            let sum = wire.last().copied().unwrap_or_default();
            wire.push(sum + (octets + FCS_OCTETS + WIRE_GAP_OCTETS) as u64);
            places.entry(hash(&frame.octets)).or_default().push(index);
        }
        // The next round begins a usual gap after the last frame.
        let gaps = frames.len().saturating_sub(1).max(1) as u64;
        let round_ns = before.saturating_add((before / gaps).max(LEAST_GAP_NS));
        Ok(Self { frames, wire, round_ns, pace, places })
    }

    /// Frames of one round: at least one.
    pub fn frames(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Octets of the first so many frames, without FCS.
    pub fn octets(&self, frames: u64) -> u64 {
        self.wire_octets(frames).saturating_sub(frames.saturating_mul((FCS_OCTETS + WIRE_GAP_OCTETS) as u64))
    }

    /// What they take of a wire.
    fn wire_octets(&self, frames: u64) -> u64 {
        let whole = self.wire.last().copied().unwrap_or_default();
        let rest = self.wire[(frames % self.frames()) as usize];
        (frames / self.frames()).saturating_mul(whole).saturating_add(rest)
    }

    /// Octets of the longest frame, without FCS.
    pub fn longest(&self) -> usize {
        self.frames.iter().map(|frame| frame.octets.len()).max().unwrap_or_default()
    }

    /// When the frame is due that so many went before: nanoseconds since the start; `None` for at once.
    pub fn due_ns(&self, number: u64) -> Option<u64> {
        let (round, index) = (number / self.frames(), (number % self.frames()) as usize);
        match self.pace {
            Pace::At(rate) => rate.due_ns(number, self.wire_octets(number)),
            Pace::Recorded(Speed(speed)) => {
                let own = u128::from(round) * u128::from(self.round_ns) + u128::from(self.frames[index].at_ns);
                Some(u64::try_from(own * THOUSAND / u128::from(speed.get())).unwrap_or(u64::MAX))
            }
        }
    }

    /// How many of the first `most` frames are due before this time; `None` where all are at once.
    pub fn due_before(&self, ns: u64, most: u64) -> Option<u64> {
        self.due_ns(0)?;
        let (mut low, mut high) = (0, most);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.due_ns(middle).is_some_and(|due| due < ns) { low = middle + 1 } else { high = middle }
        }
        Some(low)
    }

    fn frame(&self, number: u64) -> &[u8] {
        &self.frames[(number % self.frames()) as usize].octets
    }
}

/// A recording on its way.
#[derive(Clone, Debug)]
pub struct Replay {
    recording: Arc<Recording>,
    rounds: u64,
    next: u64,
}

impl Replay {
    /// Send it so many times.
    pub fn new(recording: Arc<Recording>, rounds: u64) -> Self {
        Self { recording, rounds, next: 0 }
    }

    /// What is sent.
    pub fn recording(&self) -> &Arc<Recording> {
        &self.recording
    }

    /// How many frames it writes in all.
    pub fn most(&self) -> u64 {
        self.recording.frames().saturating_mul(self.rounds).min(MOST_NUMBER)
    }

    /// Is everything written?
    pub fn is_over(&self) -> bool {
        self.next >= self.most()
    }

    /// When the next frame is due: nanoseconds since the start; `None` for at once.
    pub fn next_due(&self) -> Option<u64> {
        self.recording.due_ns(self.next)
    }

    /// Write the next frame; whether it goes to a group.
    pub fn write(&mut self, frame: &mut Frame) -> bool {
        let octets = self.recording.frame(self.next);
        frame.fill(octets, OffloadHeader::NONE);
        self.next += 1;
        is_group(octets)
    }
}

fn is_group(octets: &[u8]) -> bool {
    octets.first_chunk().is_some_and(|octets| MacAddr(*octets).is_group())
}

fn hash(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(octets);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recording(frames: &[(u64, u8)], pace: Pace) -> Arc<Recording> {
        let frames = frames.iter().map(|(at_ns, octet)| RecordedFrame { at_ns: *at_ns, octets: vec![*octet; 60] });
        Arc::new(Recording::new(frames.collect(), pace).unwrap())
    }

    fn own(frames: &[(u64, u8)]) -> Arc<Recording> {
        recording(frames, Pace::Recorded(Speed::OWN))
    }

    #[test]
    fn speeds_are_read() {
        for (text, thousandths) in [("1", 1000), ("2x", 2000), ("0.5x", 500), ("0.001", 1), ("1000000", 1_000_000_000)]
        {
            assert_eq!(text.parse::<Speed>().map(|speed| speed.0.get()), Ok(thousandths), "{text}");
        }
        assert_eq!("1".parse(), Ok(Speed::OWN));
        for text in ["", "x", "0", "0.0004", "1000001", "-1", "+1", "1e3", ".5", "fast", "1.2345", "99999999999999"] {
            assert!(text.parse::<Speed>().unwrap_err().to_string().contains(&format!("'{text}'")), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let of = |frames| Recording::new(frames, Pace::Recorded(Speed::OWN)).map(|_| ()).unwrap_err().to_string();
        assert!(of(vec![]).contains("no frame"));
        for octets in [0, 13, 65_536] {
            let why = of(vec![RecordedFrame { at_ns: 0, octets: vec![0; octets] }]);
            assert!(why.contains("frame 1") && why.contains(&octets.to_string()), "{why}");
        }
    }

    #[test]
    fn times_are_those_of_the_recording() {
        let all = own(&[(1_000_000, 2), (1_000_100, 4), (1_000_050, 6), (1_000_900, 8)]);
        let dues: Vec<_> = (0..6).map(|number| all.due_ns(number)).collect();
        // 1,000 is the least gap between two rounds.
        assert_eq!(dues, [0, 100, 100, 900, 1900, 2000].map(Some));
        let double = recording(&[(0, 2), (3_000_000, 4)], Pace::Recorded("2x".parse().unwrap()));
        assert_eq!([0, 1, 2, 3].map(|number| double.due_ns(number)), [0, 1_500_000, 3_000_000, 4_500_000].map(Some));
        let rate = recording(&[(0, 2), (5, 4)], Pace::At("1kpps".parse().unwrap()));
        assert_eq!([0, 1, 7].map(|number| rate.due_ns(number)), [0, 1_000_000, 7_000_000].map(Some));
        assert_eq!(rate.due_before(7_000_001, 100), Some(8));
        assert_eq!((rate.due_before(7_000_001, 3), rate.due_before(0, 3)), (Some(3), Some(0)));
        assert_eq!(recording(&[(0, 2)], Pace::At(Rate::Max)).due_before(1, 9), None);
    }

    #[test]
    fn octets_are_those_of_the_frames_before() {
        let of = |octets: usize| RecordedFrame { at_ns: 0, octets: vec![0; octets] };
        let all = Recording::new(vec![of(60), of(100)], Pace::Recorded(Speed::OWN)).unwrap();
        assert_eq!([0, 1, 2, 3, 5].map(|frames| all.octets(frames)), [0, 60, 160, 220, 380]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn garbage_is_no_speed(text in "\\PC{0,14}|[0-9.x]{0,14}") {
            let _ = text.parse::<Speed>();
        }
    }
}
