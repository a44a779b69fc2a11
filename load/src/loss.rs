//! How many frames of how many were lost, and how sure is that? A share of a sample has an error: at least one frame in the
//! sample, and, where loss comes by chance, the spread of a binomial distribution, for which this gives Wilson's 95 %
//! interval (E. B. Wilson, JASA 22, 1927), which is right for shares near 0, too.
//!
//! Not done: frames that are lost in bursts are not independent of each other; their share is less sure than this says.

use serde::{Deserialize, Serialize};

/// The standard normal deviate of a two-sided 95 % interval.
const Z_95: f64 = 1.959_963_984_540_054;

/// So many of so many frames were lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LossShare {
    /// Frames that were lost.
    pub lost: u64,
    /// Frames that should have come.
    pub of: u64,
}

/// A share with its error; all three from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ShareError {
    /// What a single frame more or less would have made of it.
    pub one_frame: f64,
    /// The least share that would, in 95 % of runs, have lost as many.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl LossShare {
    /// The share of frames that were lost, 0 to 1; zero where none should have come.
    pub fn share(self) -> f64 {
        if self.of == 0 { 0.0 } else { (self.lost as f64 / self.of as f64).min(1.0) }
    }

    /// Its error. Where no frame should have come nothing is known: 0 to 1.
    pub fn error(self) -> ShareError {
        if self.of == 0 {
            return ShareError { one_frame: 1.0, low: 0.0, high: 1.0 };
        }
        let (frames, share) = (self.of as f64, self.share());
        let square = Z_95 * Z_95 / frames;
        let middle = share + square / 2.0;
        let half = (share * (1.0 - share) * square + square * square / 4.0).sqrt();
        // The ends are exact where no frame or every frame was lost; rounding would leave a trace there.
        let low = if self.lost == 0 { 0.0 } else { ((middle - half) / (1.0 + square)).max(0.0) };
        let high = if self.lost >= self.of { 1.0 } else { ((middle + half) / (1.0 + square)).min(1.0) };
        ShareError { one_frame: 1.0 / frames, low, high }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Values of the formula as it stands in textbooks, computed apart.
    #[test]
    fn known_intervals() {
        let table = [(0, 10, 0.0, 0.277_533), (1, 10, 0.017_876, 0.404_150), (100, 1000, 0.082_909, 0.120_151)];
        for (lost, of, low, high) in table {
            let error = LossShare { lost, of }.error();
            assert!((error.low - low).abs() < 1e-5 && (error.high - high).abs() < 1e-5, "{lost} of {of}: {error:?}");
        }
        assert_eq!(LossShare { lost: 10, of: 10 }.error().high.to_bits(), 1f64.to_bits());
    }

    #[test]
    fn of_no_frames_nothing_is_known() {
        let none = LossShare::default();
        assert!(none.share() == 0.0 && none.error() == ShareError { one_frame: 1.0, low: 0.0, high: 1.0 });
    }

    /// A path that loses each frame with the same probability: 95 % of the intervals have it.
    #[test]
    fn nineteen_of_twenty_intervals_contain_the_truth() {
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(6);
        for probability in [0.002, 0.1, 0.5] {
            let hits = (0..2000).filter(|_| {
                let lost = (0..1000).filter(|_| random.random_bool(probability)).count() as u64;
                let error = LossShare { lost, of: 1000 }.error();
                error.low <= probability && probability <= error.high
            });
            let hits = hits.count();
            assert!((1860..=1960).contains(&hits), "{hits} of 2000 at {probability}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_share_is_within_its_interval(lost in any::<u64>(), of in any::<u64>()) {
            let loss = LossShare { lost, of };
            let (share, error) = (loss.share(), loss.error());
            prop_assert!(0.0 <= error.low && error.low <= share && share <= error.high && error.high <= 1.0, "{error:?}");
        }
    }
}
