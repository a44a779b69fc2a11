//! What does a report say of a run? All of it in one value, with an aligned table for people and JSON and CSV for programs.
//!
//! The JSON keys are stable; counts are of frames, octets are without FCS, shares go from 0 to 1, `_ns` is nanoseconds.
//!
//! | key | meaning |
//! | --- | --- |
//! | `schema` | `lanyard.load/1`: these keys; another number would mean that one of them has changed its meaning |
//! | `offered` | what the given rate makes of the given time; null when sending was as fast as possible |
//! | `sent` | what was sent, over the time that sending took |
//! | `received` | what came in its place, each number once a port, from the first arrival to the last |
//! | ...`.frames` `.octets` `.seconds` `.pps` `.wire_bps` | of these three; the wire's bits include FCS, preamble and gap; the received rates are null when all came at one moment |
//! | `expected` | frames that should have come out: a flooded one counts once for each port, an errored one not at all |
//! | `lost` `loss_share` | expected and not received; a damaged, misdelivered or too old frame is lost as well |
//! | `loss_error` | `one_frame`: the least step; `low`, `high`: the 95 % interval (see [`loss`](crate::loss)) |
//! | `surplus` | received and never said to be sent: above 0, the count of what was sent is wrong |
//! | `duplicates` | came again |
//! | `reordered` `reordering_extent` | came after a later one (RFC 4737), and by how many frames at most |
//! | `misdelivered` | came out of a port that is not theirs |
//! | `damaged` `foreign` `too_old` | not as sent; not of this run; too late to be told from duplicates |
//! | `errored` | errored frames that were sent, and those of them that came out of any port; null when none were sent |
//! | `latency` | from the intended time of sending, see [`latency`](crate::latency); null when nothing came whose time is known |
//! | `latency_curve` | latency by percentile: pairs of a share and ns, from the least to the greatest; empty when nothing came |
//! | `generator_limited` | a sentence, when the generator and not the switch was the limit; else null |
//! | `streams` `ports` | the same for each stream and for each receiving port, where it makes sense there |
//!
//! Not done: frames of fewer than 60 octets count on the wire as they are, where a real one would fill them up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    FCS_OCTETS, WIRE_GAP_OCTETS,
    latency::{Latencies, Latency, LatencyCurve},
    loss::{LossShare, ShareError},
    stream::ERRORED,
    tally::{PortTally, Sent, StreamTally},
};

mod csv;
pub(crate) mod table;

pub use table::{aligned, percent, time};

/// The name and version of the JSON.
pub const SCHEMA: &str = "lanyard.load/1";
/// The share of the intended rate that a generator may miss before it is called the limit.
const GENERATOR_MAY_MISS: f64 = 0.01;
/// A generator that is done so much later than it should be was kept for a moment, and is not the limit.
const MAY_BE_LATE_S: f64 = 0.01;

/// What the given rate makes of the given time: of all of it, or of the part until somebody ended the run.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Intent {
    /// Frames.
    pub frames: u64,
    /// Their octets, without FCS.
    pub octets: u64,
    /// The time they should take, from the start of the run.
    pub seconds: f64,
    /// Of several flows, the one that fell the shortest of what was due of it, if one did: in the sum of all, others may
    /// hide it.
    pub short: Option<Shortfall>,
}

/// Fewer frames were sent than were due.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shortfall {
    /// Frames that were due in the time that sending took.
    pub due: f64,
    /// Frames that were sent.
    pub sent: u64,
    /// That time.
    pub seconds: f64,
}

impl Intent {
    /// So many frames with so many octets, without FCS, in so many seconds.
    pub fn new(frames: u64, octets: u64, seconds: f64) -> Self {
        Self { frames, octets, seconds, short: None }
    }

    /// How much is missing where so many frames were sent, the last of them so long after the start: by frames alone where all
    /// was sent in time; in more time, more is due. `None` for no more than one frame, or a hundredth.
    pub fn shortfall(&self, sent: u64, seconds: f64) -> Option<Shortfall> {
        let late = seconds - self.seconds > MAY_BE_LATE_S && self.seconds > 0.0;
        let due = self.frames as f64 * if late { seconds / self.seconds } else { 1.0 };
        let missing = due - sent as f64;
        (missing > 1.0 && missing > due * GENERATOR_MAY_MISS).then_some(Shortfall { due, sent, seconds })
    }
}

impl Shortfall {
    /// The share of what was due that was sent, 0 to 1.
    pub fn share(&self) -> f64 {
        self.sent as f64 / self.due
    }

    /// In words; `of` says of which frames.
    fn sentence(&self, of: &str) -> String {
        let Self { due, sent, seconds } = self;
        let share = self.share() * 100.0;
        format!(
            "the generator was the limit: {of}it sent {sent} of the {due:.0} frames due in {seconds:.3} s ({share:.1} %)"
        )
    }
}

/// Frames over a time.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Frames.
    pub frames: u64,
    /// Their octets, without FCS.
    pub octets: u64,
    /// How long they took.
    pub seconds: f64,
    /// Frames a second.
    pub pps: f64,
    /// Bits a second of a wire: with FCS, preamble, start delimiter and gap.
    pub wire_bps: f64,
}

impl Traffic {
    /// So many in so many seconds.
    pub fn new(frames: u64, octets: u64, seconds: f64) -> Self {
        let per_second = if seconds > 0.0 { 1.0 / seconds } else { 0.0 };
        let wire_bps = wire_bits(frames, octets) * per_second;
        Self { frames, octets, seconds, pps: frames as f64 * per_second, wire_bps }
    }
}

/// Bits of a wire that frames take.
fn wire_bits(frames: u64, octets: u64) -> f64 {
    (octets as f64 + frames as f64 * (FCS_OCTETS + WIRE_GAP_OCTETS) as f64) * 8.0
}

/// Frames that came. What came all at one moment, a single frame too, has no rate.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Arrived {
    /// Frames.
    pub frames: u64,
    /// Their octets, without FCS.
    pub octets: u64,
    /// From the first one to the last.
    pub seconds: f64,
    /// Frames a second.
    pub pps: Option<f64>,
    /// Bits a second of a wire: with FCS, preamble, start delimiter and gap.
    pub wire_bps: Option<f64>,
}

impl Arrived {
    /// So many in so many seconds. Between the first arrival and the last there is one frame less than came.
    pub fn new(frames: u64, octets: u64, seconds: f64) -> Self {
        let counted = frames.saturating_sub(1) as f64 / frames.max(1) as f64;
        let per_second = if frames == 0 { Some(0.0) } else { (seconds > 0.0).then(|| counted / seconds) };
        let (pps, wire_bps) = (frames as f64, wire_bits(frames, octets));
        let rated = |count: f64| per_second.map(|per_second| count * per_second);
        Self { frames, octets, seconds, pps: rated(pps), wire_bps: rated(wire_bps) }
    }
}

/// One stream, at all ports.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the keys are explained in the head of the file")]
pub struct StreamResult {
    pub stream: u8,
    pub sent: u64,
    pub expected: u64,
    pub received: u64,
    pub lost: u64,
    pub loss_share: f64,
    pub surplus: u64,
    pub duplicates: u64,
    pub reordered: u64,
    pub reordering_extent: u64,
    pub misdelivered: u64,
    pub too_old: u64,
    pub latency: Option<Latency>,
}

/// One receiving port, all streams.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the keys are explained in the head of the file")]
pub struct PortResult {
    pub port: u8,
    pub received: Arrived,
    pub duplicates: u64,
    pub reordered: u64,
    pub reordering_extent: u64,
    pub misdelivered: u64,
    pub damaged: u64,
    pub foreign: u64,
    pub too_old: u64,
    pub latency: Option<Latency>,
}

/// Errored frames, all kinds together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the keys are explained in the head of the file")]
pub struct ErroredResult {
    pub sent: u64,
    pub forwarded: u64,
}

/// What became of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the keys are explained in the head of the file")]
pub struct LoadResult {
    pub schema: String,
    pub offered: Option<Traffic>,
    pub sent: Traffic,
    pub received: Arrived,
    pub expected: u64,
    pub lost: u64,
    pub loss_share: f64,
    pub loss_error: ShareError,
    pub surplus: u64,
    pub duplicates: u64,
    pub reordered: u64,
    pub reordering_extent: u64,
    pub misdelivered: u64,
    pub damaged: u64,
    pub foreign: u64,
    pub too_old: u64,
    pub errored: Option<ErroredResult>,
    pub latency: Option<Latency>,
    #[serde(default)]
    pub latency_curve: LatencyCurve,
    pub generator_limited: Option<String>,
    pub streams: Vec<StreamResult>,
    pub ports: Vec<PortResult>,
}

impl LoadResult {
    /// How many frames of how many were lost, as a [`search`](crate::search) wants it.
    pub fn loss(&self) -> LossShare {
        LossShare { lost: self.lost, of: self.expected }
    }

    /// Every frame came, once, in order, undamaged, where it should and nowhere else. Foreign frames do not count: hosts talk.
    pub fn is_clean(&self) -> bool {
        let faults =
            [self.lost, self.surplus, self.duplicates, self.reordered, self.misdelivered, self.damaged, self.too_old];
        faults == [0; 7]
    }
}

/// What a result is made of.
pub(crate) struct Sums<'a> {
    pub(crate) intent: Option<Intent>,
    pub(crate) seconds: f64,
    pub(crate) sent: &'a BTreeMap<u8, Sent>,
    pub(crate) ports: &'a [PortTally],
}

impl Sums<'_> {
    pub(crate) fn result(&self) -> LoadResult {
        let (mut all, mut latencies) = (Counts::default(), Latencies::default());
        let mut ports = Vec::with_capacity(self.ports.len());
        for port in self.ports {
            let (counts, took) = Counts::of(port.streams().filter(is_good).map(|(_, tally)| tally));
            ports.push(port_result(port, &counts, &took));
            all.add(&counts);
            latencies.add(&took);
        }
        let streams = self.streams();
        let sum = |count: fn(&StreamResult) -> u64| streams.iter().map(count).sum::<u64>();
        let loss = LossShare { lost: sum(|stream| stream.lost), of: sum(|stream| stream.expected) };
        let octets = self.sent.values().map(|sent| sent.octets).sum();
        let sent = Traffic::new(self.sent.values().map(|sent| sent.frames).sum(), octets, self.seconds);
        let offered = self.intent.map(|intent| Traffic::new(intent.frames, intent.octets, intent.seconds));
        let limited = match &self.intent {
            Some(intent) => generator_limit(intent, &sent),
            None => (sent.frames > 0 && loss.of > 0 && loss.lost == 0).then(all_it_could),
        };
        LoadResult {
            schema: SCHEMA.to_owned(),
            offered,
            sent,
            received: all.traffic(),
            expected: loss.of,
            lost: loss.lost,
            loss_share: loss.share(),
            loss_error: loss.error(),
            surplus: sum(|stream| stream.surplus),
            duplicates: all.duplicates,
            reordered: all.reordered,
            reordering_extent: all.extent,
            misdelivered: all.misdelivered,
            damaged: self.ports.iter().map(PortTally::damaged).sum(),
            foreign: self.ports.iter().map(PortTally::foreign).sum(),
            too_old: all.too_old,
            errored: self.errored(),
            latency: latencies.summary(),
            latency_curve: latencies.curve(),
            generator_limited: limited,
            streams,
            ports,
        }
    }

    /// Every stream of frames that a switch should forward that was sent or heard of, by number.
    fn streams(&self) -> Vec<StreamResult> {
        let heard = self.ports.iter().flat_map(PortTally::streams).map(|(stream, _)| stream);
        let numbers: BTreeSet<u8> = self.sent.keys().copied().chain(heard).collect();
        numbers.into_iter().filter(|stream| *stream < ERRORED).map(|stream| self.stream(stream)).collect()
    }

    /// What became of frames that it should not. One that comes out of several ports, or out of a wrong one, counts each time.
    fn errored(&self) -> Option<ErroredResult> {
        let sent = self.sent.iter().filter(|(stream, _)| **stream >= ERRORED).map(|(_, sent)| sent.frames).sum();
        let came = self.ports.iter().flat_map(PortTally::streams).filter(|stream| !is_good(stream));
        let forwarded =
            came.map(|(_, tally)| tally.received + tally.duplicates + tally.too_old + tally.misdelivered).sum();
        (sent > 0 || forwarded > 0).then_some(ErroredResult { sent, forwarded })
    }

    fn stream(&self, stream: u8) -> StreamResult {
        let tallies = self.ports.iter().flat_map(PortTally::streams);
        let (counts, latencies) = Counts::of(tallies.filter(|(number, _)| *number == stream).map(|(_, tally)| tally));
        let sent = self.sent.get(&stream).copied().unwrap_or_default();
        let loss = LossShare { lost: sent.expected.saturating_sub(counts.received), of: sent.expected };
        StreamResult {
            stream,
            sent: sent.frames,
            expected: sent.expected,
            received: counts.received,
            lost: loss.lost,
            loss_share: loss.share(),
            surplus: counts.received.saturating_sub(sent.expected),
            duplicates: counts.duplicates,
            reordered: counts.reordered,
            reordering_extent: counts.extent,
            misdelivered: counts.misdelivered,
            too_old: counts.too_old,
            latency: latencies.summary(),
        }
    }
}

/// Is it a stream of frames that a switch should forward?
fn is_good((stream, _): &(u8, &StreamTally)) -> bool {
    *stream < ERRORED
}

fn port_result(port: &PortTally, counts: &Counts, latencies: &Latencies) -> PortResult {
    PortResult {
        port: port.port(),
        received: counts.traffic(),
        duplicates: counts.duplicates,
        reordered: counts.reordered,
        reordering_extent: counts.extent,
        misdelivered: counts.misdelivered,
        damaged: port.damaged(),
        foreign: port.foreign(),
        too_old: counts.too_old,
        latency: latencies.summary(),
    }
}

/// A sentence if the generator missed the rate by more than a hundredth, and by more than one frame: in all, or in one flow.
fn generator_limit(intent: &Intent, sent: &Traffic) -> Option<String> {
    let whole = intent.shortfall(sent.frames, sent.seconds).map(|short| short.sentence(""));
    whole.or_else(|| Some(intent.short?.sentence("of one flow ")))
}

/// As fast as it goes, and nothing was lost: more may be possible, but not with this generator.
fn all_it_could() -> String {
    "the generator was the limit: it sent as fast as it could, and nothing was lost".to_owned()
}

/// Sums of what came of streams at ports.
#[derive(Clone, Copy, Debug)]
struct Counts {
    received: u64,
    octets: u64,
    duplicates: u64,
    reordered: u64,
    extent: u64,
    misdelivered: u64,
    too_old: u64,
    first_ns: u64,
    last_ns: u64,
}

impl Default for Counts {
    fn default() -> Self {
        let [received, octets, duplicates, reordered, extent, misdelivered, too_old, last_ns] = [0; 8];
        Self { received, octets, duplicates, reordered, extent, misdelivered, too_old, first_ns: u64::MAX, last_ns }
    }
}

impl Counts {
    fn of<'a>(tallies: impl Iterator<Item = &'a StreamTally>) -> (Self, Latencies) {
        let (mut sum, mut latencies) = (Self::default(), Latencies::default());
        for tally in tallies {
            let StreamTally { received, octets, duplicates, reordered, extent, misdelivered, too_old, .. } = *tally;
            let (first_ns, last_ns) = (tally.first_ns, tally.last_ns);
            sum.add(&Self {
                received,
                octets,
                duplicates,
                reordered,
                extent,
                misdelivered,
                too_old,
                first_ns,
                last_ns,
            });
            latencies.add(&tally.latencies);
        }
        (sum, latencies)
    }

    fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.octets += other.octets;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.extent = self.extent.max(other.extent);
        self.misdelivered += other.misdelivered;
        self.too_old += other.too_old;
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
    }

    fn traffic(&self) -> Arrived {
        Arrived::new(self.received, self.octets, self.last_ns.saturating_sub(self.first_ns) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests;
