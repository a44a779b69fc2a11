//! What is a trial, and how is the highest rate found that loses no more than a goal? The bench is what every standard test
//! works at: a rig, the frames that were asked for, and how long and how often to try.
//!
//! A search ends at what the generator can send: what lies above is not known, and the finding says so.

use std::num::NonZeroU64;
use std::time::Duration;

use load::loss::LossShare;
use load::rate::Rate;
use load::search::{Search, SearchConfig, SearchResult};
use load::size::Sizes;
use load::stream::{Stream, StreamSpec};
use load::{FCS_OCTETS, LoadError, WIRE_GAP_OCTETS};

use super::super::flow::{Flow, Source, Turn};
use super::super::layout::Path;
use super::super::options::FrameArgs;
use super::super::rig::{Load, Order, Outcome, Rig};
use super::super::teller::Teller;
use super::finding::Cell;
use crate::failure::Failure;

/// The lowest rate that is tried, frames a second.
const LEAST_PPS: f64 = 100.0;
/// For so long the most that the generator can send is looked for, and so often: what else the machine does may hold up one.
const CEILING_TRIAL: Duration = Duration::from_millis(300);
const CEILING_TRIALS: u32 = 3;
/// So often a rate is tried before the generator is believed not to be able to send it.
const CAP_TRIALS: u32 = 3;
/// A trial that ends by its count may take so much longer than its rate says.
const SLACK: Duration = Duration::from_secs(60);

/// Why a test ends before its end.
pub(in crate::pktgen) enum Ended {
    /// Somebody asked for it.
    Interrupted,
    /// It cannot go on.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<LoadError> for Ended {
    fn from(error: LoadError) -> Self {
        Self::Failed(Failure::Words(error.to_string()))
    }
}

/// How long and how often.
#[derive(Clone, Debug)]
pub(in crate::pktgen) struct Settings {
    /// How long a trial is.
    pub(in crate::pktgen) trial: Duration,
    /// How often what is averaged is tried.
    pub(in crate::pktgen) repeats: u32,
    /// The width of the interval in which a search leaves a rate, as a share of it.
    pub(in crate::pktgen) width: f64,
    /// The most that is offered, of each sender; else what the generator can send.
    pub(in crate::pktgen) max_rate: Option<Rate>,
    /// The loss-free rate, where it is known and need not be searched.
    pub(in crate::pktgen) known_rate: Option<Rate>,
    /// The share of the time at a rate that may lose more than the goal.
    pub(in crate::pktgen) exceed: f64,
    /// The most addresses that are tried.
    pub(in crate::pktgen) most_addresses: u32,
}

/// A trial.
#[derive(Clone)]
pub(in crate::pktgen) struct Trial<'a> {
    pub(in crate::pktgen) size: Option<&'a Sizes>,
    /// Of each sender.
    pub(in crate::pktgen) rate: Rate,
    pub(in crate::pktgen) duration: Duration,
    /// Of each sender; without, the duration ends it.
    pub(in crate::pktgen) count: Option<u64>,
    pub(in crate::pktgen) teach: bool,
}

impl Trial<'_> {
    /// So many frames, however long they take.
    pub(super) fn of(count: u64, rate: Rate) -> Self {
        // 100 frames a second is the lowest rate there is.
        let usual = rate.frames_per_second((64 + WIRE_GAP_OCTETS) as f64).unwrap_or(LEAST_PPS);
        let duration = Duration::try_from_secs_f64(2.0 * count as f64 / usual).unwrap_or(SLACK).saturating_add(SLACK);
        Self { size: None, rate, duration, count: Some(count), teach: false }
    }
}

/// What a test works at.
pub(in crate::pktgen) struct Bench<'a> {
    pub(in crate::pktgen) rig: &'a mut Rig,
    pub(in crate::pktgen) frames: &'a FrameArgs,
    pub(in crate::pktgen) paths: Vec<Path>,
    pub(in crate::pktgen) settings: Settings,
    /// What is under way, for the line of progress.
    pub(in crate::pktgen) name: String,
    /// What a search had found that somebody ended.
    pub(in crate::pktgen) unfinished: Option<SearchResult>,
}

impl Bench<'_> {
    /// Try once, on all paths.
    pub(in crate::pktgen) fn try_once(&mut self, trial: &Trial<'_>) -> Result<Outcome, Ended> {
        self.try_with(trial, &mut |_| ())
    }

    /// Try once, with frames that `change` has made other ones.
    pub(in crate::pktgen) fn try_with(
        &mut self,
        trial: &Trial<'_>,
        change: &mut dyn FnMut(&mut StreamSpec),
    ) -> Result<Outcome, Ended> {
        let mut orders = Vec::new();
        for (stream, path) in (0u8..).zip(&self.paths) {
            let turn = turn(&self.paths, usize::from(stream));
            let order = self.order(stream, *path, trial, turn, change)?;
            orders.push(order);
        }
        self.load(orders, trial)
    }

    /// Do something with each size; what is under way is named after it.
    pub(super) fn each<'s>(
        &mut self,
        sizes: &'s [Sizes],
        mut work: impl FnMut(&mut Self, &'s Sizes) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        let test = self.name.clone();
        for size in sizes {
            self.name = format!("{test} {size}");
            work(self, size)?;
        }
        self.name = test;
        Ok(())
    }

    /// Do a part of what is under way; it is named after it meanwhile.
    pub(super) fn part<T>(&mut self, part: &str, work: impl FnOnce(&mut Self) -> Result<T, Ended>) -> Result<T, Ended> {
        let whole = self.name.clone();
        self.name = format!("{whole}{part}");
        // Where it ends before its end, the name says what it was at.
        let done = work(self)?;
        self.name = whole;
        Ok(done)
    }

    /// What one path does in a trial.
    pub(super) fn order(
        &self,
        stream: u8,
        path: Path,
        trial: &Trial<'_>,
        turn: Turn,
        change: &mut dyn FnMut(&mut StreamSpec),
    ) -> Result<Order, Ended> {
        let (from, to) = (usize::from(path.from), usize::from(path.to));
        let mut spec =
            self.frames.spec(trial.size, stream, self.rig.source(path.from), self.rig.destination(path.to))?;
        change(&mut spec);
        self.rig.check_length(from, spec.sizes.largest() - FCS_OCTETS, spec.vlan.is_some())?;
        let source = Source::Stream { stream: Box::new(Stream::new(spec)?), rate: trial.rate };
        Ok(Order { from, to, flow: Flow::new(source, turn, trial.count.unwrap_or(u64::MAX)) })
    }

    /// Do it.
    pub(super) fn load(&mut self, orders: Vec<Order>, trial: &Trial<'_>) -> Result<Outcome, Ended> {
        let mut teller = Teller::new(&self.name, trial.rate != Rate::Max);
        let load = Load { orders, duration: trial.duration, teach: trial.teach };
        let outcome = self.rig.run(load, &mut |start, progress| teller.say(start, progress))?;
        if self.rig.is_interrupted() { Err(Ended::Interrupted) } else { Ok(outcome) }
    }

    /// A trial of the usual length.
    pub(in crate::pktgen) fn trial<'s>(&self, size: &'s Sizes, rate: Rate) -> Trial<'s> {
        Trial { size: Some(size), rate, duration: self.settings.trial, count: None, teach: true }
    }

    /// All that may be offered: what was asked for, or as fast as it goes.
    pub(super) fn all(&self) -> Rate {
        self.settings.max_rate.unwrap_or(Rate::Max)
    }

    /// The number of senders.
    pub(in crate::pktgen) fn senders(&self) -> usize {
        let mut from: Vec<u8> = self.paths.iter().map(|path| path.from).collect();
        from.sort_unstable();
        from.dedup();
        from.len().max(1)
    }

    /// The most that can be offered, frames a second of each sender: what was asked for, or what the generator can send here.
    pub(in crate::pktgen) fn ceiling(&mut self, size: &Sizes) -> Result<f64, Ended> {
        if let Some(max) = per_second(self.settings.max_rate, size) {
            return Ok(max);
        }
        let trial = Trial { duration: CEILING_TRIAL, ..self.trial(size, Rate::Max) };
        let mut each = 0.0f64;
        for _ in 0..CEILING_TRIALS {
            each = each.max(self.try_once(&trial)?.result.sent.pps / self.senders() as f64);
        }
        if each < LEAST_PPS {
            let text = "the generator could hardly send anything: is the interface's queue full, or its peer gone?";
            return Err(Failure::Work(text.to_owned()).into());
        }
        Ok(each)
    }

    /// The highest rates that lose no more than these shares.
    pub(in crate::pktgen) fn search(
        &mut self,
        size: &Sizes,
        goals: &[f64],
        change: &mut dyn FnMut(&mut StreamSpec),
    ) -> Result<SearchResult, Ended> {
        let high = self.ceiling(size)?;
        let mut search = Search::new(self.config(high, goals)).map_err(|fault| Failure::Work(fault.to_string()))?;
        while let Some(next) = search.next() {
            let rate = Rate::Frames(NonZeroU64::new(next.rate.round() as u64).unwrap_or(NonZeroU64::MIN));
            let trial = Trial { duration: next.duration, ..self.trial(size, rate) };
            let tried = self.try_in_full(&trial, change).inspect_err(|_| self.unfinished = Some(search.result()))?;
            match tried {
                Tried::InFull(loss) => search.tell(next, loss),
                Tried::UpTo(rate) => search.cap(next, rate.min(next.rate)),
            }
        }
        Ok(search.result())
    }

    /// Try a rate until all of it was sent, or it has been tried often enough.
    fn try_in_full(&mut self, trial: &Trial<'_>, change: &mut dyn FnMut(&mut StreamSpec)) -> Result<Tried, Ended> {
        let mut most = 0.0f64;
        for _ in 0..CAP_TRIALS {
            let outcome = self.try_with(trial, change)?;
            // Where the receiver was too slow, all was sent, and came.
            if outcome.overflowed > 0 || outcome.result.generator_limited.is_none() {
                return Ok(Tried::InFull(outcome.loss()));
            }
            most = most.max(outcome.result.sent.pps / self.senders() as f64);
        }
        Ok(Tried::UpTo(most))
    }

    fn config(&self, high: f64, goals: &[f64]) -> SearchConfig {
        let trial = self.settings.trial;
        SearchConfig {
            goals: goals.to_vec(),
            final_width: self.settings.width,
            initial_trial: (trial / 5).max(Duration::from_millis(50)).min(trial),
            final_trial: trial,
            final_sum: trial * 3,
            exceed_ratio: self.settings.exceed,
            ..SearchConfig::new(LEAST_PPS.min(high), high)
        }
    }

    /// The loss-free rate: known, or searched.
    pub(in crate::pktgen) fn loss_free(&mut self, size: &Sizes) -> Result<f64, Ended> {
        if let Some(known) = per_second(self.settings.known_rate, size) {
            return Ok(known);
        }
        let found = self.part(", loss-free rate", |bench| bench.search(size, &[0.0], &mut |_| ()))?;
        let lower = found.goals.first().and_then(|goal| goal.lower);
        let none = || Failure::Work(format!("even {LEAST_PPS} frames a second are not forwarded without loss"));
        Ok(lower.ok_or_else(none)?)
    }
}

/// What came of trying a rate.
enum Tried {
    /// It was sent, and so much was lost.
    InFull(LossShare),
    /// The generator sent no more than this of it.
    UpTo(f64),
}

/// Was the generator the limit of what a row says?
pub(in crate::pktgen) fn generator(limited: bool) -> Cell {
    Cell::Text(if limited { "limit" } else { "ok" }.to_owned())
}

/// Which of its sender's turns a path has.
pub(in crate::pktgen) fn turn(paths: &[Path], path: usize) -> Turn {
    let Some(from) = paths.get(path).map(|path| path.from) else { return Turn::ALONE };
    let of_sender = |paths: &[Path]| paths.iter().filter(|path| path.from == from).count() as u32;
    Turn { nth: of_sender(&paths[..path]), of: of_sender(paths) }
}

/// A rate in frames of such a size a second.
fn per_second(rate: Option<Rate>, size: &Sizes) -> Option<f64> {
    rate?.frames_per_second(size.mean_octets() + WIRE_GAP_OCTETS as f64)
}

/// A rate of so many frames a second.
pub(in crate::pktgen) fn pps(rate: f64) -> Rate {
    Rate::Frames(NonZeroU64::new(rate.round() as u64).unwrap_or(NonZeroU64::MIN))
}

/// How much was lost of one stream.
pub(super) fn loss_of(outcome: &Outcome, stream: u8) -> LossShare {
    let found = outcome.result.streams.iter().find(|result| result.stream == stream);
    found.map_or_else(LossShare::default, |result| LossShare { lost: result.lost, of: result.expected })
}
