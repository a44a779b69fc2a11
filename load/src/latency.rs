//! How long did frames take? One-way, from when each was DUE to be sent until it came: a generator that falls behind, or is
//! held back by the switch, counts that as latency too (no coordinated omission).
//!
//! Quantiles are from an HDR histogram: exact to 3 significant digits up to 100 s, where it saturates. Least, greatest and mean
//! are exact.
//!
//! Not done: sender and receiver read the same clock. A frame that came before it was due, which a generator does not send,
//! counts as 0 ns, and is counted as early so that a report can say so.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency a quantile tells: 100 s.
pub const SLOWEST_NS: u64 = 100_000_000_000;
/// Digits of a latency that are kept.
const SIGNIFICANT_DIGITS: u8 = 3;
/// The frames that a curve's shares are of: its decimals are round.
const CURVE_OF: u64 = 100_000_000;
/// Of these, how many times a power of ten are above a point of the curve: about evenly apart by powers of ten.
const CURVE_ABOVE: [u64; 8] = [100, 75, 50, 40, 30, 25, 20, 15];

/// Shares of the frames, 0 to 1, rising, each with the latency that they did not exceed, ns.
pub type LatencyCurve = Vec<(f64, u64)>;

/// The latencies of some frames, as they are collected. About 220 KiB.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// `None` only if the bounds above were none.
    histogram: Option<Histogram<u64>>,
    samples: u64,
    early: u64,
    least_ns: u64,
    greatest_ns: u64,
    sum_ns: u128,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, SLOWEST_NS, SIGNIFICANT_DIGITS).ok();
        Self { histogram, samples: 0, early: 0, least_ns: u64::MAX, greatest_ns: 0, sum_ns: 0 }
    }
}

impl Latencies {
    /// A frame that was due then has come now; nanoseconds of the same clock.
    #[inline]
    pub fn record(&mut self, due_ns: u64, arrived_ns: u64) {
        let ns = arrived_ns.saturating_sub(due_ns);
        self.early += u64::from(arrived_ns < due_ns);
        self.samples += 1;
        self.least_ns = self.least_ns.min(ns);
        self.greatest_ns = self.greatest_ns.max(ns);
        self.sum_ns += u128::from(ns);
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(ns.min(SLOWEST_NS));
        }
    }

    /// Those of other frames count, too.
    pub fn add(&mut self, other: &Self) {
        if let (Some(mine), Some(theirs)) = (&mut self.histogram, &other.histogram) {
            // Same bounds: nothing is refused.
            let _ = mine.add(theirs);
        }
        self.samples += other.samples;
        self.early += other.early;
        self.least_ns = self.least_ns.min(other.least_ns);
        self.greatest_ns = self.greatest_ns.max(other.greatest_ns);
        self.sum_ns += other.sum_ns;
    }

    /// How many latencies are in it.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The latency that this share (0 to 1) of the frames did not exceed; `None` without frames.
    pub fn quantile_ns(&self, share: f64) -> Option<u64> {
        let histogram = self.histogram.as_ref().filter(|_| self.samples > 0)?;
        Some(histogram.value_at_quantile(share).clamp(self.least_ns, self.greatest_ns))
    }

    /// Latency by percentile: the least at 0, some points between each nine and the next up to 99.9999 %, as far as at least
    /// one frame is above, and the greatest at 1. Empty without frames.
    pub fn curve(&self) -> LatencyCurve {
        let shares = (1..=6).rev().flat_map(|power| CURVE_ABOVE.map(|above| above * 10u64.pow(power)));
        // One frame of a million is above the last point.
        let above = shares.chain([CURVE_ABOVE[0]]).filter(|above| above.saturating_mul(self.samples) >= CURVE_OF);
        let share = |above: u64| (CURVE_OF - above) as f64 / CURVE_OF as f64;
        let point = |above| Some((share(above), self.quantile_ns(share(above))?));
        let greatest = (self.samples > 0).then_some((1.0, self.greatest_ns));
        above.filter_map(point).chain(greatest).collect()
    }

    /// The figures for a report; `None` without frames.
    pub fn summary(&self) -> Option<Latency> {
        if self.samples == 0 {
            return None;
        }
        let quantile = |share| self.quantile_ns(share);
        Some(Latency {
            min_ns: self.least_ns,
            mean_ns: (self.sum_ns / u128::from(self.samples)) as u64,
            p50_ns: quantile(0.5)?,
            p90_ns: quantile(0.9)?,
            p99_ns: quantile(0.99)?,
            p99_9_ns: quantile(0.999)?,
            p99_99_ns: quantile(0.9999)?,
            max_ns: self.greatest_ns,
            samples: self.samples,
            early: self.early,
        })
    }
}

/// What a report says of latency; nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// The least.
    pub min_ns: u64,
    /// The arithmetic mean.
    pub mean_ns: u64,
    /// The median.
    pub p50_ns: u64,
    /// What 9 of 10 frames did not exceed.
    pub p90_ns: u64,
    /// What 99 % did not exceed.
    pub p99_ns: u64,
    /// What 99.9 % did not exceed.
    pub p99_9_ns: u64,
    /// What 99.99 % did not exceed.
    pub p99_99_ns: u64,
    /// The greatest.
    pub max_ns: u64,
    /// How many frames that is of: each number once.
    pub samples: u64,
    /// How many of them came before they were due and count as 0 ns.
    pub early: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_frames_there_is_no_latency() {
        assert_eq!(Latencies::default().summary(), None);
        assert_eq!(Latencies::default().quantile_ns(0.5), None);
        assert!(Latencies::default().histogram.is_some());
    }

    #[test]
    fn too_early_is_zero_and_too_late_saturates() {
        let mut latencies = Latencies::default();
        latencies.record(5, 3);
        latencies.record(0, u64::MAX);
        let latency = latencies.summary().unwrap();
        assert_eq!((latency.min_ns, latency.max_ns, latency.samples, latency.early), (0, u64::MAX, 2, 1));
        assert!((SLOWEST_NS..SLOWEST_NS / 999 * 1000).contains(&latency.p99_ns), "{latency:?}");
    }

    #[test]
    fn a_curve_goes_as_far_as_there_are_frames() {
        assert_eq!(Latencies::default().curve(), []);
        let mut latencies = Latencies::default();
        latencies.record(0, 7);
        assert_eq!(latencies.curve(), [(0.0, 7), (1.0, 7)]);
        for ns in 1..10_000 {
            latencies.record(0, 7 + ns % 1000);
        }
        let curve = latencies.curve();
        let shares: Vec<f64> = curve.iter().map(|(share, _)| *share).collect();
        assert_eq!(shares[..4], [0.0, 0.25, 0.5, 0.6]);
        assert_eq!(shares[shares.len() - 3..], [0.99985, 0.9999, 1.0]);
        assert!(curve.is_sorted() && curve.len() < 60, "{curve:?}");
        for (share, exact) in [(0.5, 506), (0.9, 906), (1.0, 1006)] {
            let (_, told) = curve.iter().find(|(at, _)| (at - share).abs() < 1e-9).unwrap();
            assert!(told.abs_diff(exact) <= 1, "{told} for {exact}");
        }
        for _ in 0..2_000_000 {
            latencies.record(0, 8);
        }
        assert!(latencies.curve().iter().any(|(share, _)| (share - 0.999_999).abs() < 1e-9));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// Quantiles against a sorted list; and two halves together say what the whole does.
        #[test]
        fn quantiles_are_exact_to_three_digits(list in prop::collection::vec(0..SLOWEST_NS, 1..300), cut in 0usize..300) {
            let (mut whole, mut left, mut right) = (Latencies::default(), Latencies::default(), Latencies::default());
            for (at, ns) in list.iter().enumerate() {
                whole.record(7, 7 + ns);
                if at < cut { left.record(0, *ns) } else { right.record(1, 1 + ns) }
            }
            left.add(&right);
            prop_assert_eq!(left.summary(), whole.summary());
            let mut sorted = list.clone();
            sorted.sort_unstable();
            for per_mille in [500, 900, 990, 999, 1000] {
                let share = per_mille as f64 / 1000.0;
                let exact = sorted[(per_mille * sorted.len()).div_ceil(1000) - 1];
                let told = whole.quantile_ns(share).unwrap();
                prop_assert!(told.abs_diff(exact) as f64 <= exact as f64 / 1000.0, "{} for {}", told, exact);
            }
            let latency = whole.summary().unwrap();
            prop_assert_eq!((latency.min_ns, latency.max_ns), (sorted[0], sorted[sorted.len() - 1]));
            prop_assert_eq!(latency.mean_ns, list.iter().sum::<u64>() / list.len() as u64);
        }
    }
}
