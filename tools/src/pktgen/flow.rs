//! What does one sender send to one receiver? A stream of signed frames, or a recording; and how many of them have been sent.

use std::time::Duration;

use frame::{Frame, MacAddr};
use load::rate::Rate;
use load::replay::{Finder, Replay};
use load::result::{Intent, Shortfall};
use load::size::Sizes;
use load::stream::{ERRORED, Stream};
use load::tally::{PortTally, Tally};
use load::{FCS_OCTETS, WIRE_GAP_OCTETS};

use super::run::Recorded;

/// Where frames come from.
pub(super) enum Source {
    /// They are made.
    Stream {
        /// What makes them.
        stream: Box<Stream>,
        /// How many a second.
        rate: Rate,
    },
    /// They were recorded.
    Replay {
        /// What was.
        replay: Replay,
        /// What they would be signed with.
        recorded: Recorded,
    },
}

/// What a frame is to the count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// To one port.
    One,
    /// To all.
    All,
    /// To none.
    Errored,
}

/// Frames and their octets, without FCS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Count {
    frames: u64,
    octets: u64,
}

/// When a frame is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// At once.
    Now,
    /// So many nanoseconds after the start.
    At(u64),
    /// There is none.
    Never,
}

/// A sender's flows take turns: the `nth` of so many, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Turn {
    pub(super) nth: u32,
    pub(super) of: u32,
}

impl Turn {
    /// A flow of its own.
    pub(super) const ALONE: Self = Self { nth: 0, of: 1 };

    /// This flow's part of so many frames of all.
    pub(super) fn part(self, frames: u64) -> u64 {
        let (nth, of) = (u64::from(self.nth), u64::from(self.of.max(1)));
        frames / of + u64::from(nth < frames % of)
    }
}

/// Frames from one place to another.
pub(super) struct Flow {
    source: Source,
    turn: Turn,
    /// No more than so many.
    most: u64,
    /// The first frame is due so long after the start.
    begin_ns: u64,
    written: u64,
    /// One for each class.
    counts: [Count; 3],
    /// When the last frame was sent, nanoseconds since the start.
    last_ns: u64,
}

impl Flow {
    /// No more than its part of `most` frames, at its part of the source's rate.
    pub(super) fn new(source: Source, turn: Turn, most: u64) -> Self {
        let most = match &source {
            Source::Stream { .. } => turn.part(most),
            Source::Replay { replay, .. } => replay.most().min(most),
        };
        Self { source, turn, most, begin_ns: 0, written: 0, counts: [Count::default(); 3], last_ns: 0 }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// When is the next frame due?
    pub(super) fn next_due(&self) -> Due {
        if self.written >= self.most {
            return Due::Never;
        }
        let due_ns = match &self.source {
            Source::Stream { stream, .. } => self.due_ns(stream.sent().all(), stream.sent().wire_octets),
            Source::Replay { replay, .. } if replay.is_over() => return Due::Never,
            Source::Replay { replay, .. } => replay.next_due(),
        };
        due_ns.map_or(Due::Now, |due_ns| Due::At(due_ns.saturating_add(self.begin_ns)))
    }

    /// When a frame of a stream is due before which so many frames, with so many octets of the wire, were sent; from the flow's
    /// beginning.
    fn due_ns(&self, number: u64, wire_octets: u64) -> Option<u64> {
        let Source::Stream { rate, .. } = &self.source else { return None };
        let turns = u64::from(self.turn.of);
        // As if the sender's other flows had sent as much in their turns.
        rate.due_ns(number.saturating_mul(turns) + u64::from(self.turn.nth), wire_octets.saturating_mul(turns))
    }

    /// Begin so long after the others.
    pub(super) fn begin_at(&mut self, after: Duration) {
        self.begin_ns = after.as_nanos() as u64;
    }

    /// When its last frame was due that never came, from its beginning on; `None` where none is known to be missing.
    pub(super) fn last_lost_ns(&self, ports: &[PortTally]) -> Option<u64> {
        let Source::Stream { stream, .. } = &self.source else { return None };
        let tallies = || ports.iter().flat_map(PortTally::streams).filter(|(number, _)| *number == self.stream());
        let highest = tallies().filter_map(|(_, tally)| tally.highest()).max();
        // What was sent last and never came has nothing behind it that would tell.
        let [one, to_all, _] = self.counts;
        let tail =
            (one.frames + to_all.frames).checked_sub(1).filter(|last| highest.is_none_or(|highest| highest < *last));
        let last = tail.or_else(|| tallies().filter_map(|(_, tally)| tally.last_missing()).max())?;
        let each = stream.sent().wire_octets / stream.sent().all().max(1);
        self.due_ns(last, last * each)
    }

    /// Write the next frame.
    pub(super) fn write(&mut self, frame: &mut Frame, mark: u16, due_ns: u64) -> Class {
        self.written += 1;
        match &mut self.source {
            Source::Stream { stream, .. } => {
                let before = stream.sent();
                stream.write(frame, mark, due_ns);
                let sent = stream.sent();
                if sent.errored > before.errored {
                    Class::Errored
                } else if sent.broadcast > before.broadcast {
                    Class::All
                } else {
                    Class::One
                }
            }
            Source::Replay { replay, .. } => {
                if replay.write(frame) {
                    Class::All
                } else {
                    Class::One
                }
            }
        }
    }

    /// A frame of that class, and so many octets, was sent, so many nanoseconds after the start.
    pub(super) fn count(&mut self, class: Class, octets: usize, now_ns: u64) {
        self.last_ns = now_ns;
        let count = &mut self.counts[class as usize];
        count.frames += 1;
        count.octets += octets as u64;
    }

    /// Has it sent frames to everybody?
    pub(super) fn floods(&self) -> bool {
        self.counts[Class::All as usize].frames > 0
    }

    /// How many frames were sent, of all classes.
    pub(super) fn sent(&self) -> u64 {
        self.counts.iter().map(|count| count.frames).sum()
    }

    /// Octets that were sent, without FCS.
    fn octets(&self) -> u64 {
        self.counts.iter().map(|count| count.octets).sum()
    }

    /// So many of the frames that were taken did not leave the interface; which ones is not known.
    pub(super) fn never_left(&mut self, mut frames: u64) {
        for count in &mut self.counts {
            let gone = frames.min(count.frames);
            count.octets -= (u128::from(count.octets) * u128::from(gone) / u128::from(count.frames.max(1))) as u64;
            count.frames -= gone;
            frames -= gone;
        }
    }

    /// Add what was sent to the tally of all; a flooded frame should come out of so many ports.
    pub(super) fn tally(&self, all: &mut Tally, flooded_to: u64) {
        let stream = self.stream();
        let [one, to_all, errored] = self.counts;
        all.sent(stream, one.frames, one.octets);
        all.flooded(stream, flooded_to, to_all.frames, to_all.octets);
        if errored.frames > 0 {
            all.sent(stream | ERRORED, errored.frames, errored.octets);
        }
    }

    /// The number of its stream.
    pub(super) fn stream(&self) -> u8 {
        match &self.source {
            Source::Stream { stream, .. } => stream.spec().stream,
            Source::Replay { recorded, .. } => recorded.stream,
        }
    }

    /// What finds its frames again, if they are not signed.
    pub(super) fn finder(&self) -> Option<(Recorded, Finder)> {
        match &self.source {
            Source::Stream { .. } => None,
            Source::Replay { replay, recorded } => {
                let rounds = self.most.div_ceil(replay.recording().frames());
                Some((*recorded, Finder::new(std::sync::Arc::clone(replay.recording()), rounds)))
            }
        }
    }

    /// What the rate makes of the time, or of the part of it until `now` where somebody ended it; `None` where it is as many
    /// as go. Frames are as large as those that were sent were; before any was sent, as they should be in the mean.
    pub(super) fn intent(&self, duration: Duration, now: Option<Duration>) -> Option<Intent> {
        let until = now.unwrap_or(duration).min(duration).as_nanos();
        let until_ns = u64::try_from(until).unwrap_or(u64::MAX).saturating_sub(self.begin_ns);
        let mut intent = match &self.source {
            Source::Stream { stream, rate } => self.of_rate(*rate, &stream.spec().sizes, until_ns)?,
            Source::Replay { replay, .. } => {
                let recording = replay.recording();
                let frames = recording.due_before(until_ns, self.most)?;
                let seconds = recording.due_ns(frames).unwrap_or_default() as f64 / 1e9;
                Intent::new(frames, recording.octets(frames), seconds)
            }
        };
        if intent.frames > 0 {
            intent.seconds += self.begin_ns as f64 / 1e9;
        }
        Some(intent)
    }

    /// The frames of a stream that are due before a time: so many at a rate of frames. At a rate of bits it is the wire that
    /// is filled, by fewer frames where larger ones were drawn.
    fn of_rate(&self, rate: Rate, sizes: &Sizes, until_ns: u64) -> Option<Intent> {
        const AROUND: u64 = (FCS_OCTETS + WIRE_GAP_OCTETS) as u64;
        const NS: u128 = 1_000_000_000;
        let (sent, octets, turns) = (self.sent(), self.octets(), u64::from(self.turn.of.max(1)));
        let mean = if sent > 0 { octets as f64 / sent as f64 } else { sizes.mean_octets() - FCS_OCTETS as f64 };
        let frames = match rate {
            Rate::Max => return None,
            Rate::Frames(rate) => {
                let of_all = (u128::from(until_ns) * u128::from(rate.get())).div_ceil(NS);
                let before = of_all.saturating_sub(u128::from(self.turn.nth)).div_ceil(turns.into());
                u64::try_from(before).unwrap_or(u64::MAX)
            }
            Rate::Bits(rate) => {
                let wire = u128::from(octets) + u128::from(sent) * u128::from(AROUND);
                let (filled, due) = (wire * u128::from(turns) * 8 * NS, u128::from(until_ns) * u128::from(rate.get()));
                let missing = due.saturating_sub(filled) as f64 / (8 * NS * u128::from(turns)) as f64;
                sent + (missing / (mean + AROUND as f64)).ceil() as u64
            }
        };
        let frames = frames.min(self.most);
        let octets = if sent == frames { octets } else { (frames as f64 * mean).round() as u64 };
        let wire = octets.saturating_add(frames.saturating_mul(AROUND)).saturating_mul(turns);
        let seconds = rate.due_ns(frames.saturating_mul(turns), wire)? as f64 / 1e9;
        Some(Intent::new(frames, octets, seconds))
    }

    /// What is missing of what was due.
    fn shortfall(&self, intent: &Intent) -> Option<Shortfall> {
        let begin = self.begin_ns as f64 / 1e9;
        let own = Intent { seconds: intent.seconds - begin, ..*intent };
        own.shortfall(self.sent(), (self.last_ns as f64 / 1e9 - begin).max(0.0))
    }
}

/// Those of all flows together: they run side by side, each from its own beginning.
pub(super) fn intent_of_all(flows: &[&Flow], duration: Duration, now: Option<Duration>) -> Option<Intent> {
    let mut all = Intent::default();
    for flow in flows {
        let intent = flow.intent(duration, now)?;
        all.frames += intent.frames;
        all.octets += intent.octets;
        all.seconds = all.seconds.max(intent.seconds);
        let shorts = all.short.into_iter().chain(flow.shortfall(&intent));
        all.short = shorts.min_by(|one, other| one.share().total_cmp(&other.share()));
    }
    Some(all)
}

/// The addresses at the far end of a flow, which a switch has to know before it.
pub(super) fn destinations(flow: &Flow) -> Option<(MacAddr, u32)> {
    match &flow.source {
        Source::Stream { stream, .. } => {
            let stations = &stream.spec().destinations;
            Some((stations.mac, stations.count))
        }
        Source::Replay { .. } => None,
    }
}

#[cfg(test)]
mod tests;
