//! How did a run go on? Counts that only grow, told at any times, become rates over intervals, in bounded memory: when there
//! are too many intervals, each two become one, so that a run of a second and one of a day make plots of the same quality.
//!
//! Frames that are under way are not lost. Of the frames that had been expected but not received at some time, so many may be
//! lost as have still not come at the end; what an interval is said to have lost is the least that any later count allows.
//! All intervals together lose exactly what the last count says.
//!
//! Not done: latency over time; its histogram would have to be kept for each interval.

use serde::{Deserialize, Serialize};

/// Intervals that a plot of 800 pixels can show.
pub const MOST_SAMPLES: usize = 400;
/// The shortest interval, unless another is asked for: a tenth of a second.
pub const SHORTEST_NS: u64 = 100_000_000;

/// What happened in one interval.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When it ended, seconds since the start.
    pub at_s: f64,
    /// Frames sent a second.
    pub sent_pps: f64,
    /// Frames received in their place a second.
    pub received_pps: f64,
    /// Frames of this interval that never came.
    pub lost: u64,
}

/// Counts since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Frames sent.
    pub sent: u64,
    /// Frames that should come out of that: more than were sent if they are flooded.
    pub expected: u64,
    /// Frames that came in their place.
    pub received: u64,
}

/// The counts of a run, as they are collected.
#[derive(Clone, Debug)]
pub struct Series {
    /// Even: intervals are merged by two.
    most: usize,
    interval_ns: u64,
    /// Ends of intervals, and the counts there; the first is the start.
    kept: Vec<(u64, Progress)>,
    /// What came since the last of these.
    latest: Option<(u64, Progress)>,
}

impl Default for Series {
    fn default() -> Self {
        Self::new(MOST_SAMPLES, SHORTEST_NS)
    }
}

impl Series {
    /// At most so many samples, of which each is at first at least so many nanoseconds long.
    pub fn new(most: usize, shortest_ns: u64) -> Self {
        let most = most.max(2).next_multiple_of(2);
        Self { most, interval_ns: shortest_ns.max(1), kept: vec![(0, Progress::default())], latest: None }
    }

    /// So far it had come by so many nanoseconds after the start. Times that do not rise are left out.
    pub fn take(&mut self, at_ns: u64, progress: Progress) {
        let (last_ns, _) = self.last_kept();
        if at_ns <= self.latest.map_or(last_ns, |(latest_ns, _)| latest_ns) {
            return;
        }
        if at_ns - last_ns < self.interval_ns {
            self.latest = Some((at_ns, progress));
            return;
        }
        self.latest = None;
        self.kept.push((at_ns, progress));
        if self.kept.len() > self.most {
            self.halve();
        }
    }

    fn last_kept(&self) -> (u64, Progress) {
        self.kept.last().copied().unwrap_or_default()
    }

    /// Each two intervals become one.
    fn halve(&mut self) {
        let last = self.last_kept();
        let mut number = 0usize;
        self.kept.retain(|_| {
            number += 1;
            number % 2 == 1
        });
        if self.last_kept() != last {
            self.latest = Some(last);
        }
        self.interval_ns = self.interval_ns.saturating_mul(2);
    }

    /// What has happened so far.
    pub fn samples(&self) -> Vec<Sample> {
        let mut points = self.kept.clone();
        if let Some(latest) = self.latest {
            // A last interval that is too short to have a rate of its own belongs to the one before.
            if points.len() > 1 && latest.0 - self.last_kept().0 < self.interval_ns / 2 {
                points.pop();
            }
            points.push(latest);
        }
        let lost = surely_lost(&points);
        let samples = points.windows(2).zip(lost.windows(2)).map(|(ends, lost)| {
            let ((from_ns, before), (to_ns, after)) = (ends[0], ends[1]);
            let seconds = (to_ns - from_ns) as f64 / 1e9;
            let pps = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
            Sample {
                at_s: to_ns as f64 / 1e9,
                sent_pps: pps(before.sent, after.sent),
                received_pps: pps(before.received, after.received),
                lost: lost[1] - lost[0],
            }
        });
        samples.collect()
    }
}

/// How many frames were lost by each point: the fewest that are missing there or at any later one. It never falls.
fn surely_lost(points: &[(u64, Progress)]) -> Vec<u64> {
    let mut least = u64::MAX;
    let mut lost: Vec<u64> = points
        .iter()
        .rev()
        .map(|(_, progress)| {
            least = least.min(progress.expected.saturating_sub(progress.received));
            least
        })
        .collect();
    lost.reverse();
    lost
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(sent: u64, received: u64) -> Progress {
        Progress { sent, expected: sent, received }
    }

    #[test]
    fn counts_become_rates() {
        let mut series = Series::default();
        assert_eq!(series.samples(), []);
        for tenth in 1..=10 {
            series.take(tenth * SHORTEST_NS, both(tenth * 100, tenth * 90));
        }
        let samples = series.samples();
        assert_eq!(samples.len(), 10);
        for sample in samples {
            assert!(
                (sample.sent_pps - 1000.0).abs() < 1e-9 && (sample.received_pps - 900.0).abs() < 1e-9,
                "{sample:?}"
            );
            assert_eq!(sample.lost, 10);
        }
    }

    #[test]
    fn frames_under_way_are_not_lost() {
        let mut series = Series::new(10, 1);
        for (at_ns, sent, received) in [(10, 100, 20), (20, 200, 120), (30, 300, 215), (40, 300, 295)] {
            series.take(at_ns, both(sent, received));
        }
        let lost: Vec<u64> = series.samples().iter().map(|sample| sample.lost).collect();
        assert_eq!(lost, [5, 0, 0, 0], "5 are missing at the end, and all of them may be of the first interval");
    }

    #[test]
    fn a_day_takes_no_more_than_a_second() {
        let mut series = Series::new(100, 1_000_000);
        for second in 1..=86_400u64 {
            series.take(second * 1_000_000_000, both(second * 1000, second * 1000));
        }
        let samples = series.samples();
        assert!((50..=100).contains(&samples.len()), "{}", samples.len());
        assert!(samples.iter().all(|sample| (sample.sent_pps - 1000.0).abs() < 1e-6), "{samples:?}");
        assert_eq!(samples.last().map(|sample| sample.at_s.round() as i64), Some(86_400));
    }

    #[test]
    fn a_clock_that_goes_back_is_not_believed() {
        let mut series = Series::default();
        series.take(0, both(5, 5));
        assert_eq!(series.samples(), []);
        series.take(2 * SHORTEST_NS, both(10, 10));
        series.take(SHORTEST_NS, both(99, 0));
        assert_eq!(series.samples().len(), 1);
        series.take(2 * SHORTEST_NS + 1, both(11, 11));
        assert_eq!(series.samples().len(), 1, "a nanosecond has no rate of its own");
        let after = series.samples()[0];
        assert!((after.sent_pps - 55.0).abs() < 1e-3, "{after:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However it is told, nothing is lost from view: the rates times the intervals are the last counts.
        #[test]
        fn samples_add_up(steps in prop::collection::vec((1u64..500, 0u64..1000, 0u64..1000), 1..300), most in 0usize..20) {
            let mut series = Series::new(most, 100);
            let (mut at_ns, mut now) = (0, Progress::default());
            for (ns, sent, received) in steps {
                at_ns += ns;
                now.sent += sent;
                now.expected += sent;
                now.received = (now.received + received).min(now.expected);
                series.take(at_ns, now);
            }
            let samples = series.samples();
            prop_assert!(samples.len() <= most.max(2) + 1 && !samples.is_empty(), "{} of {}", samples.len(), most);
            let (mut from, mut sent, mut received, mut lost) = (0.0, 0.0, 0.0, 0);
            for sample in &samples {
                let seconds = sample.at_s - from;
                prop_assert!(seconds > 0.0);
                sent += sample.sent_pps * seconds;
                received += sample.received_pps * seconds;
                lost += sample.lost;
                from = sample.at_s;
            }
            let same = |one: f64, other: u64| (one - other as f64).abs() < 1e-6 * (1.0 + other as f64);
            prop_assert!(same(sent, now.sent) && same(received, now.received), "{} {} of {:?}", sent, received, now);
            prop_assert_eq!(lost, now.expected - now.received);
        }
    }
}
