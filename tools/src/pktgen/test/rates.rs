//! Which rates does the switch forward? Throughput, also of meshes and of broadcasts; the loss beyond it; its latency below it.
//!
//! RFC 2544 clauses 26.1 (throughput), 26.2 (latency), 26.3 (frame loss rate); RFC 2889 clauses 5.1 to 5.3 (meshes), 5.6
//! (maximum forwarding rate), 5.10 (broadcast).
//!
//! Not done: RFC 2544's 60 s and 120 s a trial unless `--trial` says so; line rates, which virtual links do not have: the most
//! that is offered is what the generator can send.

use load::latency::Latency;
use load::loss::LossShare;
use load::rate::Rate;
use load::search::{GoalResult, SearchResult};
use load::size::Sizes;

use super::super::rig::Outcome;
use super::bench::{Bench, Ended, Settings, generator, pps};
use super::finding::{Cell, Finding, column, median};

/// No loss, and half a per cent.
const GOALS: [f64; 2] = [0.0, 0.005];
/// Shares of the loss-free rate at which latency is measured.
const LATENCY_AT: [f64; 3] = [0.1, 0.5, 0.9];
/// Steps of a loss curve, from all that can be offered downwards (RFC 2544 clause 26.3: at most 10 %).
const STEPS: u32 = 10;

/// The highest rates without loss, and with half a per cent.
pub(super) fn throughput(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    searched(bench, sizes, finding, 0)
}

/// The same of frames that go to everybody, and their latency at that rate.
pub(super) fn broadcast(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    searched(bench, sizes, finding, 1_000_000)
}

fn searched(
    bench: &mut Bench<'_>,
    sizes: &[Sizes],
    finding: &mut Finding,
    broadcast_per_million: u32,
) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("ndr_pps", "NDR, frames/s"),
        column("ndr_upper_pps", "less than"),
        column("ndr_loss", "lost there"),
        column("ndr_all_pps", "all senders"),
        column("pdr_pps", "PDR 0.5 %"),
        column("pdr_upper_pps", "less than"),
        column("p50_ns", "p50 at NDR"),
        column("p99_ns", "p99 at NDR"),
        column("generator_limit", "generator"),
    ];
    let mut change = |spec: &mut load::StreamSpec| {
        spec.broadcast_per_million = spec.broadcast_per_million.max(broadcast_per_million);
    };
    bench.each(sizes, |bench, size| {
        let found = bench.search(size, &GOALS, &mut change)?;
        let goal = |at: usize| found.goals.get(at).copied();
        let lower = goal(0).and_then(|goal: GoalResult| goal.lower);
        let latency = match lower {
            Some(lower) => match bench.try_with(&bench.trial(size, pps(lower)), &mut change) {
                Ok(outcome) => outcome.result.latency,
                Err(ended) => {
                    bench.unfinished = Some(found);
                    return Err(ended);
                }
            },
            None => None,
        };
        let senders = bench.senders() as f64;
        let ns = |ns: Option<u64>| ns.map_or(Cell::Nothing, Cell::Ns);
        finding.rows.push(vec![
            Cell::Text(size.to_string()),
            Cell::pps(lower),
            Cell::pps(goal(0).and_then(|goal| goal.upper)),
            goal(0).and_then(|goal| goal.loss_at_lower).map_or(Cell::Nothing, Cell::Share),
            Cell::pps(lower.map(|lower| lower * senders)),
            Cell::pps(goal(1).and_then(|goal| goal.lower)),
            Cell::pps(goal(1).and_then(|goal| goal.upper)),
            ns(latency.map(|latency| latency.p50_ns)),
            ns(latency.map(|latency| latency.p99_ns)),
            limit(&found, &bench.settings),
        ]);
        finding.searches.push((size.to_string(), found));
        Ok(())
    })?;
    finding.notes.push(
        "Frames a second of each sender. NDR: no loss, PDR: at most 0.5 %. The true rate is at least the figure and less \
         than the one beside it; with '-' beside it, no more could be tried. 'limit': the generator could not send what lies \
         between, not the switch; 'asked': no more was to be offered."
            .to_owned(),
    );
    if bench.settings.exceed > 0.0 {
        finding.notes.push(format!(
            "A rate counts where at most {} % of the time that it was tried lost more than that: other work of the machine \
             pauses everything now and then. 'lost there': of all trials at the NDR. RFC 2544's word is none at all: --exceed 0%.",
            bench.settings.exceed * 100.0
        ));
    }
    Ok(())
}

/// What ended the search: the switch, the generator, or what was to be offered at most.
fn limit(found: &SearchResult, settings: &Settings) -> Cell {
    let narrow = |goal: &GoalResult| match (goal.lower, goal.upper) {
        (Some(lower), Some(upper)) => upper - lower <= upper * settings.width * 1.001,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    let word = match (found.goals.iter().all(narrow), found.generator_cap, settings.max_rate) {
        (true, _, _) => "ok",
        (false, None, Some(_)) => "asked",
        (false, _, _) => "limit",
    };
    Cell::Text(word.to_owned())
}

/// What is lost, from all that can be offered down to two steps without loss.
pub(super) fn loss_curve(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("load", "load"),
        column("offered_pps", "offered/s"),
        column("sent_pps", "sent/s"),
        column("forwarded_pps", "forwarded/s"),
        column("loss_share", "loss"),
        column("loss_low", "from"),
        column("loss_high", "to"),
        column("p99_ns", "p99"),
        column("generator_limit", "generator"),
    ];
    bench.each(sizes, |bench, size| {
        let most = bench.ceiling(size)?;
        let mut without_loss = 0;
        for step in (1..=STEPS).rev() {
            let load = f64::from(step) / f64::from(STEPS);
            let rate = if step == STEPS { bench.all() } else { pps(most * load) };
            let tried = bench.part(&at(load), |bench| Tried::at(bench, size, rate))?;
            let [low, high] = tried.ends(|outcome| outcome.loss().share());
            finding.rows.push(vec![
                Cell::Text(size.to_string()),
                Cell::Load(load),
                Cell::Pps(
                    tried.median(|outcome| outcome.result.offered.map_or(outcome.result.sent.pps, |all| all.pps)),
                ),
                Cell::Pps(tried.median(|outcome| outcome.result.sent.pps)),
                Cell::pps(tried.forwarded()[0]),
                Cell::Share(tried.loss()),
                Cell::Share(low),
                Cell::Share(high),
                tried.latency(|latency| latency.p99_ns),
                generator(tried.is_limited()),
            ]);
            without_loss = if tried.loss() == 0.0 { without_loss + 1 } else { 0 };
            if without_loss == 2 {
                break;
            }
        }
        Ok(())
    })?;
    finding.notes.push(format!(
        "A load of 100 % is all that the generator can send; frames a second of all senders. Each load {} times: medians, the \
         loss of all together, and 'from' and 'to' of a single trial. It ends after two loads without loss (RFC 2544 26.3).",
        few(bench.settings.repeats)
    ));
    Ok(())
}

/// Latency at shares of the loss-free rate.
pub(super) fn latency(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("load", "load"),
        column("pps", "sent/s"),
        column("min_ns", "min"),
        column("mean_ns", "mean"),
        column("p50_ns", "p50"),
        column("p50_low_ns", "from"),
        column("p50_high_ns", "to"),
        column("p99_ns", "p99"),
        column("p99_9_ns", "p99.9"),
        column("max_ns", "max"),
        column("loss_share", "loss"),
        column("generator_limit", "generator"),
    ];
    bench.each(sizes, |bench, size| {
        let loss_free = bench.loss_free(size)?;
        for share in LATENCY_AT {
            let rate = pps(loss_free * share);
            let tried = bench.part(&at(share), |bench| Tried::times(bench, size, rate, bench.settings.repeats))?;
            // The last trial's stands for all.
            let curve = tried.0.last().map(|outcome| outcome.result.latency_curve.clone());
            finding.curves.extend(curve.map(|curve| (format!("{size} at {:.0} %", share * 100.0), curve)));
            let latencies = || tried.0.iter().filter_map(|outcome| outcome.result.latency);
            let end = |ns: Option<u64>| ns.map_or(Cell::Nothing, Cell::Ns);
            finding.rows.push(vec![
                Cell::Text(size.to_string()),
                Cell::Load(share),
                Cell::Pps(tried.median(|outcome| outcome.result.sent.pps)),
                end(latencies().map(|latency| latency.min_ns).min()),
                tried.latency(|latency| latency.mean_ns),
                tried.latency(|latency| latency.p50_ns),
                end(latencies().map(|latency| latency.p50_ns).min()),
                end(latencies().map(|latency| latency.p50_ns).max()),
                tried.latency(|latency| latency.p99_ns),
                tried.latency(|latency| latency.p99_9_ns),
                end(latencies().map(|latency| latency.max_ns).max()),
                Cell::Share(tried.loss()),
                generator(tried.is_limited()),
            ]);
        }
        Ok(())
    })?;
    finding.notes.push(
        "One way, from the time when a frame was due until the receiver took it up: what had to wait because the generator \
         was late counts, too. Medians of the trials; 'from' and 'to' are the least and the greatest p50 of a trial, 'min' and \
         'max' those of all frames. The load is a share of the loss-free rate; 'limit': the generator did not send it."
            .to_owned(),
    );
    Ok(())
}

/// What comes out when more is offered than is forwarded without loss.
pub(super) fn forward_pressure(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("mol_pps", "MOL/s"),
        column("frmol_pps", "FRMOL/s"),
        column("frmol_low_pps", "from"),
        column("frmol_high_pps", "to"),
        column("loss_share", "loss at MOL"),
        column("mfr_pps", "MFR/s"),
        column("mfr_low_pps", "from"),
        column("mfr_high_pps", "to"),
        column("mfr_load_pps", "at offered/s"),
        column("falls", "MFR to FRMOL"),
        column("generator_limit", "generator"),
    ];
    bench.each(sizes, |bench, size| {
        let most = bench.all();
        let at_most = bench.part(", all that goes", |bench| Tried::times(bench, size, most, bench.settings.repeats))?;
        let mut best: Option<Tried> = None;
        let sent = |outcome: &Outcome| outcome.result.sent.pps;
        let each = at_most.median(sent) / bench.senders() as f64;
        for step in (1..STEPS).rev() {
            let load = f64::from(step) / f64::from(STEPS);
            let less = bench.part(&at(load), |bench| Tried::at(bench, size, pps(each * load)))?;
            let whole = less.loss() == 0.0;
            if less.forwarded()[0] > best.as_ref().unwrap_or(&at_most).forwarded()[0] {
                best = Some(less);
            }
            if whole {
                break;
            }
        }
        let best = best.as_ref().unwrap_or(&at_most);
        let ([frmol, low, high], [mfr, mfr_low, mfr_high]) = (at_most.forwarded(), best.forwarded());
        let falls = frmol.zip(mfr).map(|(frmol, mfr)| 1.0 - frmol / mfr.max(1.0));
        finding.rows.push(vec![
            Cell::Text(size.to_string()),
            Cell::Pps(at_most.median(sent)),
            Cell::pps(frmol),
            Cell::pps(low),
            Cell::pps(high),
            Cell::Share(at_most.loss()),
            Cell::pps(mfr),
            Cell::pps(mfr_low),
            Cell::pps(mfr_high),
            Cell::Pps(best.median(sent)),
            falls.map_or(Cell::Nothing, Cell::Share),
            generator(at_most.is_limited()),
        ]);
        Ok(())
    })?;
    finding.notes.push(
        "MOL: the maximum offered load, which is what the generator can send, for virtual links have no line rate to press \
         against. FRMOL: what is forwarded of it. MFR: the most that is forwarded at any load. Medians of the trials; 'from' \
         and 'to' are the least and the greatest. 'MFR to FRMOL' is what overload costs of what the switch could forward."
            .to_owned(),
    );
    Ok(())
}

/// What came of one load, trial by trial.
struct Tried(Vec<Outcome>);

impl Tried {
    /// A few times.
    fn at(bench: &mut Bench<'_>, size: &Sizes, rate: Rate) -> Result<Self, Ended> {
        Self::times(bench, size, rate, few(bench.settings.repeats))
    }

    fn times(bench: &mut Bench<'_>, size: &Sizes, rate: Rate, repeats: u32) -> Result<Self, Ended> {
        let trial = bench.trial(size, rate);
        (0..repeats).map(|_| bench.try_once(&trial)).collect::<Result<_, _>>().map(Self)
    }

    fn median(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        median(self.0.iter().map(of).collect()).unwrap_or_default()
    }

    /// The least and the greatest.
    fn ends(&self, of: impl Fn(&Outcome) -> f64) -> [f64; 2] {
        let all = || self.0.iter().map(&of);
        [all().reduce(f64::min), all().reduce(f64::max)].map(Option::unwrap_or_default)
    }

    /// Frames a second that came out, the median, the least and the greatest, of the trials of which it is known: what came
    /// all at one moment has no rate.
    fn forwarded(&self) -> [Option<f64>; 3] {
        let all = || self.0.iter().filter_map(|outcome| outcome.result.received.pps);
        [median(all().collect()), all().reduce(f64::min), all().reduce(f64::max)]
    }

    /// Of the trials in which something came.
    fn latency(&self, of: impl Fn(&Latency) -> u64) -> Cell {
        let all = self.0.iter().filter_map(|outcome| outcome.result.latency).map(|latency| of(&latency) as f64);
        median(all.collect()).map_or(Cell::Nothing, |ns| Cell::Ns(ns as u64))
    }

    /// The share that was lost of all.
    fn loss(&self) -> f64 {
        let sum = |pick: fn(LossShare) -> u64| self.0.iter().map(|outcome| pick(outcome.loss())).sum();
        LossShare { lost: sum(|loss| loss.lost), of: sum(|loss| loss.of) }.share()
    }

    fn is_limited(&self) -> bool {
        self.0.iter().any(Outcome::is_limited)
    }
}

/// So often where there is much else to try.
fn few(repeats: u32) -> u32 {
    repeats.min(3)
}

/// A load in the name of what is under way.
fn at(load: f64) -> String {
    format!(" at {:.0} %", load * 100.0)
}
