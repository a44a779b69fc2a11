//! What is the highest rate that loses no more than a goal? A search in the manner of `MLRsearch` (draft-ietf-bmwg-mlrsearch),
//! for RFC 2544's throughput (goal 0, "NDR") and for a partial drop rate (0.5 %, "PDR") at once. Pure: it says which trial
//! comes next and is told what was lost.
//!
//! A single trial proves little: a host pauses, a table is cold. So a rate is a lower bound when, of all the time it was
//! tried, no more than the exceed ratio lost more than the goal, and an upper bound when more did (`classify`).
//! The search goes in stages: short trials find the neighbourhood, each further stage has longer trials, more time at each
//! rate and half the width, and begins by trying the bounds of the one before, which its longer trials confirm or move.
//!
//! The answer is an interval: its width is the error bar. Bounds can be missing: when the highest rate that may be offered
//! still meets the goal, or the lowest does not.
//!
//! Simulated, with a tenth of all trials spoilt by something else, 97 of 100 searches for two goals find intervals with both
//! limits in them. Rates of which a trial has the same number of frames are not told apart, however narrow the interval.
//!
//! Not done: the conditional throughput of the draft; a goal's own durations; frames are not sent here, and the time for
//! late frames to arrive and for a switch to recover between trials is the caller's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::loss::LossShare;
use classify::{Bound, Load, Stage};

mod classify;

/// Time at a rate grows by about this from stage to stage.
const STAGE_GROWTH: f64 = 5.0;
/// What rounding may add to a width.
const ROUNDING: f64 = 1.0 + 1e-9;

/// What to look for, and how hard.
#[derive(Clone, PartialEq, Debug)]
pub struct SearchConfig {
    /// The lowest rate that is tried, frames a second.
    pub low: f64,
    /// The highest: what the wire or the generator can do.
    pub high: f64,
    /// Loss shares, 0 to 1, for each of which a rate is searched.
    pub goals: Vec<f64>,
    /// The width of the interval that is good enough, as a share of its upper end.
    pub final_width: f64,
    /// How long the first trials are.
    pub initial_trial: Duration,
    /// How long the last ones are.
    pub final_trial: Duration,
    /// How long a rate must be tried in the end, by several trials, unless the verdict is sure before.
    pub final_sum: Duration,
    /// The share of that time that may lose more than the goal, 0 to below 1.
    pub exceed_ratio: f64,
    /// Trials after which the search ends with what it has.
    pub most_trials: usize,
}

impl SearchConfig {
    /// No loss and 0.5 %, to 0.5 %: trials of 0.5 to 5 s, 15 s at a rate, of which half may exceed the goal.
    pub fn new(low: f64, high: f64) -> Self {
        Self {
            low,
            high,
            goals: vec![0.0, 0.005],
            final_width: 0.005,
            initial_trial: Duration::from_millis(500),
            final_trial: Duration::from_secs(5),
            final_sum: Duration::from_secs(15),
            exceed_ratio: 0.5,
            most_trials: 300,
        }
    }

    /// The same to 2 %, with trials of 0.2 to 1 s and 3 s at a rate: a minute or so.
    pub fn quick(low: f64, high: f64) -> Self {
        Self {
            final_width: 0.02,
            initial_trial: Duration::from_millis(200),
            final_trial: Duration::from_secs(1),
            final_sum: Duration::from_secs(3),
            ..Self::new(low, high)
        }
    }

    fn check(&self) -> Result<(), SearchFault> {
        let Self { low, high, final_width, exceed_ratio, initial_trial, final_trial, final_sum, .. } = *self;
        if !(low.is_finite() && high.is_finite() && 0.0 < low && low <= high) {
            return Err(SearchFault::Rates { low, high });
        }
        if self.goals.is_empty() {
            return Err(SearchFault::NoGoal);
        }
        if let Some(goal) = self.goals.iter().find(|goal| !(0.0..1.0).contains(*goal)) {
            return Err(SearchFault::Goal(*goal));
        }
        if !(1e-6..=0.5).contains(&final_width) {
            return Err(SearchFault::Width(final_width));
        }
        if !(0.0..1.0).contains(&exceed_ratio) {
            return Err(SearchFault::ExceedRatio(exceed_ratio));
        }
        if initial_trial.is_zero() || initial_trial > final_trial || final_trial > final_sum {
            return Err(SearchFault::Durations { initial_trial, final_trial, final_sum });
        }
        if self.most_trials == 0 { Err(SearchFault::NoTrial) } else { Ok(()) }
    }

    /// From the shortest trials and the widest interval to what is asked for.
    fn stages(&self) -> Vec<Stage> {
        let [first, trial, sum] = [self.initial_trial, self.final_trial, self.final_sum].map(|time| time.as_secs_f64());
        let steps = ((sum / first).ln() / STAGE_GROWTH.ln()).ceil();
        let mut stages = Vec::new();
        for left in (1..=u32::try_from(steps as i64).unwrap_or(0)).rev() {
            let done = (steps - f64::from(left)) / steps;
            stages.push(Stage {
                trial: first * (trial / first).powf(done),
                sum: first * (sum / first).powf(done),
                width: (self.final_width * 2f64.powi(left.min(20).cast_signed())).min(0.5),
            });
        }
        stages.push(Stage { trial, sum, width: self.final_width });
        stages
    }
}

/// Why a search cannot begin.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SearchFault {
    /// No range of rates.
    #[error("cannot search from {low} to {high} frames a second: give two rates above 0, the lower one first")]
    Rates {
        /// The lower end that was given.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Nothing to look for.
    #[error("no goal to search for: give at least one loss share")]
    NoGoal,
    /// Not a share.
    #[error("a goal of {0} is no loss share: give 0 or more, and less than 1")]
    Goal(f64),
    /// Not reachable or no interval.
    #[error("a width of {0} cannot be reached: give 0.000001 to 0.5 of the rate")]
    Width(f64),
    /// Every trial, or more, might fail.
    #[error("an exceed ratio of {0} decides nothing: give 0 or more, and less than 1")]
    ExceedRatio(f64),
    /// Trials that do not grow.
    #[error(
        "trials of {initial_trial:?} to {final_trial:?}, {final_sum:?} in all: give times above 0 that do not shrink"
    )]
    Durations {
        /// Of the first trials.
        initial_trial: Duration,
        /// Of the last ones.
        final_trial: Duration,
        /// Of all those at one rate.
        final_sum: Duration,
    },
    /// None allowed.
    #[error("a search of no trials finds nothing: allow at least 1")]
    NoTrial,
}

/// Send at this rate for so long, and tell what was lost.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Trial {
    /// Frames a second.
    pub rate: f64,
    /// For so long.
    pub duration: Duration,
}

/// A trial that was done.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrialResult {
    /// Frames a second.
    pub rate: f64,
    /// How long it was sent.
    pub seconds: f64,
    /// What was lost.
    pub loss: LossShare,
}

/// What was found for one goal.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct GoalResult {
    /// The loss share, 0 to 1.
    pub goal: f64,
    /// The highest rate that meets it, frames a second; `None` if none that was tried does.
    pub lower: Option<f64>,
    /// The lowest rate that does not; `None` if all that were tried meet it.
    pub upper: Option<f64>,
    /// What was lost at the lower bound, all its trials together, 0 to 1.
    pub loss_at_lower: Option<f64>,
}

/// What was found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SearchResult {
    /// For each goal, in the order they were given.
    pub goals: Vec<GoalResult>,
    /// Every trial, in order.
    pub trials: Vec<TrialResult>,
    /// Whether all intervals are as narrow and as well tried as was asked for. If not, they are the best so far.
    pub complete: bool,
    /// The most that the generator could send, if it was told to be the limit ([`Search::cap`]).
    pub generator_cap: Option<f64>,
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    config: SearchConfig,
    stages: Vec<Stage>,
    stage: usize,
    /// What was tried, by rate.
    loads: Vec<Load>,
    trials: Vec<TrialResult>,
    /// The goal and the rate of the trial that was asked for last.
    current: Option<(usize, f64)>,
    generator_cap: Option<f64>,
    complete: bool,
}

impl Search {
    /// Begin.
    ///
    /// # Errors
    /// [`SearchFault`].
    pub fn new(config: SearchConfig) -> Result<Self, SearchFault> {
        config.check()?;
        let stages = config.stages();
        let (loads, trials) = (Vec::new(), Vec::new());
        Ok(Self { config, stages, stage: 0, loads, trials, current: None, generator_cap: None, complete: false })
    }

    /// The trial to do next; `None` when there is nothing left to find out, or no trial left to do so.
    #[allow(clippy::should_implement_trait, reason = "an iterator would not wait to be told the outcome")]
    pub fn next(&mut self) -> Option<Trial> {
        if self.complete || self.trials.len() >= self.config.most_trials {
            return None;
        }
        loop {
            let mut goals = 0..self.config.goals.len();
            if let Some((goal, rate)) = goals.find_map(|goal| Some((goal, self.rate(goal)?))) {
                self.current = Some((goal, rate));
                return Some(Trial { rate, duration: Duration::from_secs_f64(self.stages[self.stage].trial) });
            }
            if self.stage + 1 == self.stages.len() {
                self.complete = true;
                return None;
            }
            self.stage += 1;
        }
    }

    /// A trial was done, and lost so much. One that sent nothing says nothing, but counts towards the most there may be.
    pub fn tell(&mut self, trial: Trial, loss: LossShare) {
        let Trial { rate, duration } = trial;
        let seconds = duration.as_secs_f64();
        self.trials.push(TrialResult { rate, seconds, loss });
        if loss.of == 0 {
            return;
        }
        let at = self.loads.partition_point(|load| load.rate < rate);
        if self.loads.get(at).is_none_or(|load| load.rate > rate) {
            self.loads.insert(at, Load { rate, trials: Vec::new() });
        }
        self.loads[at].trials.push((seconds, loss));
    }

    /// Instead of [`tell`](Self::tell), when the generator sent no more than so many frames a second of what a trial asked
    /// for: nothing was learnt of the path, but nothing above need be tried. What it has sent before it can send.
    pub fn cap(&mut self, trial: Trial, rate: f64) {
        let loss = LossShare::default();
        self.tell(trial, loss);
        let before = self.loads.iter().rev().find(|load| load.rate < trial.rate && load.loss().of > 0);
        let least = before.map_or(self.config.low, |load| load.rate).min(self.config.high);
        let rate = if rate.is_finite() { rate.clamp(least, self.config.high) } else { self.config.high };
        self.config.high = rate;
        self.generator_cap = Some(rate);
    }

    /// What is known by now.
    pub fn result(&self) -> SearchResult {
        let goals = self.config.goals.iter().map(|goal| {
            let Bounds { lower, upper } = self.best(*goal);
            let loss =
                lower.and_then(|rate| self.loads.iter().find(|load| load.rate >= rate)).map(|load| load.loss().share());
            GoalResult { goal: *goal, lower, upper, loss_at_lower: loss }
        });
        SearchResult {
            goals: goals.collect(),
            trials: self.trials.clone(),
            complete: self.complete,
            generator_cap: self.generator_cap,
        }
    }

    /// The bounds of this stage, and where it has none yet, those of the one before.
    fn best(&self, goal: f64) -> Bounds {
        let mut best = self.bounds(goal, self.stage);
        for stage in (0..self.stage).rev().take_while(|_| !self.complete) {
            let bounds = self.bounds(goal, stage);
            best.upper = best.upper.or(bounds.upper.filter(|upper| best.lower.is_none_or(|lower| lower < *upper)));
            best.lower = best.lower.or(bounds.lower.filter(|lower| best.upper.is_none_or(|upper| *lower < upper)));
        }
        best
    }

    /// The lowest rate that misses the goal, and the highest below it that meets it, by the measure of a stage.
    fn bounds(&self, goal: f64, stage: usize) -> Bounds {
        let stage = &self.stages[stage];
        let bound = |load: &Load| load.bound(goal, stage, self.config.exceed_ratio);
        let upper = self.loads.iter().position(|load| bound(load) == Bound::Upper);
        let below = &self.loads[..upper.unwrap_or(self.loads.len())];
        let lower = below.iter().rev().find(|load| bound(load) == Bound::Lower);
        Bounds { lower: lower.map(|load| load.rate), upper: upper.map(|at| self.loads[at].rate) }
    }

    /// The rate to try next for a goal; `None` when this stage knows enough.
    fn rate(&self, goal: usize) -> Option<f64> {
        let share = self.config.goals[goal];
        let bounds = self.bounds(share, self.stage);
        if let Some(rate) = self.undecided(goal, bounds) {
            return Some(rate);
        }
        let (low, high) = (self.config.low, self.config.high);
        let earlier = if self.stage > 0 { self.bounds(share, self.stage - 1) } else { Bounds::default() };
        let rate = match (bounds.lower, bounds.upper) {
            (Some(lower), _) if lower >= high => return None,
            (_, Some(upper)) if upper <= low => return None,
            (Some(lower), Some(upper)) if upper - lower <= upper * self.stages[self.stage].width * ROUNDING => {
                return None;
            }
            // Near the lower bound first: as a rule it is what came through of too much, and close to the truth.
            (Some(lower), Some(upper)) => (lower * upper).sqrt().min(self.above(lower, share)),
            (Some(lower), None) => earlier.upper.filter(|upper| *upper > lower).unwrap_or(self.above(lower, share)),
            (None, Some(upper)) => earlier.lower.filter(|lower| *lower < upper).unwrap_or(self.below(upper, share)),
            (None, None) => earlier.lower.or(earlier.upper).unwrap_or(high),
        };
        Some(rate.clamp(low, high))
    }

    /// The rate that was tried last for this goal, if it still needs more time to be a bound.
    fn undecided(&self, goal: usize, bounds: Bounds) -> Option<f64> {
        let (_, rate) = self.current.filter(|(current, rate)| *current == goal && *rate <= self.config.high)?;
        let stage = &self.stages[self.stage];
        let load = self.loads.iter().find(|load| load.rate.total_cmp(&rate).is_eq())?;
        let between = bounds.lower.is_none_or(|lower| lower < rate) && bounds.upper.is_none_or(|upper| rate < upper);
        let undecided = || load.bound(self.config.goals[goal], stage, self.config.exceed_ratio) == Bound::Undecided;
        (between && load.was_tried(stage) && undecided()).then_some(rate)
    }

    /// One width above, then two, four, ...
    fn above(&self, lower: f64, goal: f64) -> f64 {
        lower / (1.0 - self.step(goal, Bound::Lower))
    }

    /// One width below, then two, four, ...; or where the path's output was if that is lower.
    fn below(&self, upper: f64, goal: f64) -> f64 {
        let load = self.loads.iter().find(|load| load.rate >= upper);
        let came_through = load.map_or(1.0, |load| 1.0 - load.loss().share()) / (1.0 - goal);
        upper * came_through.min(1.0 - self.step(goal, Bound::Upper))
    }

    /// A width, doubled for each bound of that kind but the first.
    fn step(&self, goal: f64, bound: Bound) -> f64 {
        let stage = &self.stages[self.stage];
        let bounds =
            self.loads.iter().filter(|load| load.bound(goal, stage, self.config.exceed_ratio) == bound).count();
        (stage.width * f64::from(1u32 << (bounds.clamp(1, 20) - 1))).min(0.5)
    }
}

/// What is known of a goal.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Bounds {
    lower: Option<f64>,
    upper: Option<f64>,
}

#[cfg(test)]
mod tests;
