//! Does a rate meet a goal? It is judged by the time that its trials lasted, not by their number: it is a lower bound if
//! the share of that time that lost more than the goal stays within the exceed ratio whatever the trials still to come say,
//! an upper bound if it does not whatever they say, and otherwise undecided (draft-ietf-bmwg-mlrsearch, load classification).
//!
//! Trials shorter than the stage asks for cannot make a rate a lower bound, since a buffer can hide what they lose. They
//! count against it: lossy ones, as far as clean ones of the same kind do not outweigh them.

use crate::loss::LossShare;

/// How well a rate must be tried; seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Stage {
    /// How long a trial must be.
    pub(super) trial: f64,
    /// How long all of them must be.
    pub(super) sum: f64,
    /// How wide the interval may be, as a share of its upper end.
    pub(super) width: f64,
}

/// What a rate is to a goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bound {
    /// It meets it.
    Lower,
    /// It does not.
    Upper,
    /// It must be tried for longer.
    Undecided,
}

/// A rate and its trials.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) rate: f64,
    /// Seconds and loss.
    pub(super) trials: Vec<(f64, LossShare)>,
}

impl Load {
    /// What this rate is by the measure of a stage.
    pub(super) fn bound(&self, goal: f64, stage: &Stage, exceed_ratio: f64) -> Bound {
        // Seconds: [short or long][within the goal or above].
        let mut seconds = [[0.0; 2]; 2];
        for (lasted, loss) in &self.trials {
            seconds[usize::from(is_long(*lasted, stage))][usize::from(loss.share() > goal)] += lasted;
        }
        let [[short_good, short_bad], [good, bad]] = seconds;
        let outweighed = short_good * exceed_ratio / (1.0 - exceed_ratio);
        let bad = bad + (short_bad - outweighed).max(0.0);
        let tried = bad + good;
        let whole = tried.max(stage.sum);
        let worst = bad + (whole - tried);
        // A hair for the rounding of sums.
        let allowed = whole * exceed_ratio + whole * 1e-9;
        match (worst <= allowed, bad <= allowed) {
            (true, _) => Bound::Lower,
            (false, true) => Bound::Undecided,
            (false, false) => Bound::Upper,
        }
    }

    /// Whether a trial was long enough for a stage.
    pub(super) fn was_tried(&self, stage: &Stage) -> bool {
        self.trials.iter().any(|(lasted, _)| is_long(*lasted, stage))
    }

    /// All its trials together.
    pub(super) fn loss(&self) -> LossShare {
        let sum = |count: fn(&LossShare) -> u64| self.trials.iter().map(|(_, loss)| count(loss)).sum();
        LossShare { lost: sum(|loss| loss.lost), of: sum(|loss| loss.of) }
    }
}

/// A trial of the asked length may come back with its nanoseconds rounded.
fn is_long(lasted: f64, stage: &Stage) -> bool {
    lasted >= stage.trial * (1.0 - 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_judged_by_time() {
        let stage = Stage { trial: 5.0, sum: 15.0, width: 0.01 };
        let (good, bad) = (LossShare { lost: 0, of: 100 }, LossShare { lost: 1, of: 100 });
        let table: [(&[(f64, LossShare)], Bound); 11] = [
            (&[], Bound::Undecided),
            (&[(5.0, good)], Bound::Undecided),
            (&[(5.0, good), (5.0, good)], Bound::Lower), // the third could not change it
            (&[(5.0, bad), (5.0, bad)], Bound::Upper),
            (&[(5.0, good), (5.0, bad)], Bound::Undecided),
            (&[(5.0, good), (5.0, bad), (5.0, good)], Bound::Lower),
            (&[(7.5, good)], Bound::Lower),
            (&[(1.0, good); 50], Bound::Undecided), // short ones prove nothing
            (&[(1.0, bad); 8], Bound::Upper),       // but that it fails
            (&[(1.0, bad), (1.0, good), (5.0, good), (5.0, good)], Bound::Lower),
            (&[(4.999_999_9, good), (4.999_999_9, good)], Bound::Lower),
        ];
        for (trials, bound) in table {
            let load = Load { rate: 1.0, trials: trials.to_vec() };
            assert_eq!(load.bound(0.0, &stage, 0.5), bound, "{trials:?}");
            assert!(load.bound(0.01, &stage, 0.5) != Bound::Upper, "1 % is within a goal of 1 %: {trials:?}");
        }
    }

    #[test]
    fn without_an_exceed_ratio_one_bad_trial_is_enough() {
        let stage = Stage { trial: 1.0, sum: 3.0, width: 0.01 };
        let (good, bad) = ((1.0, LossShare { lost: 0, of: 9 }), (1.0, LossShare { lost: 9, of: 9 }));
        let bound = |trials: &[(f64, LossShare)]| Load { rate: 1.0, trials: trials.to_vec() }.bound(0.0, &stage, 0.0);
        assert_eq!(bound(&[good, good]), Bound::Undecided);
        assert_eq!(bound(&[good, good, good]), Bound::Lower);
        assert_eq!(bound(&[good, good, bad]), Bound::Upper);
    }
}
