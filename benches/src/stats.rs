//! What do several runs come to? The median: one run that the machine's other work has spoilt does not move it.
//!
//! Not done: confidence intervals. The smallest and the largest run are shown instead.

/// The value below which the share `q` (0 to 1) of the sorted values lies, by the nearest rank; 0 for none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a rank among few values, never negative")]
    let rank = (q.clamp(0.0, 1.0) * last as f64).round() as usize;
    sorted.get(rank).copied().unwrap_or(0.0)
}

/// `total` shared out evenly among `by`; all of it where there is nobody.
#[allow(clippy::cast_precision_loss, reason = "counts and nanoseconds of a bench are below 2^53")]
pub fn per(total: u64, by: u64) -> f64 {
    total as f64 / by.max(1) as f64
}

/// Several runs, in ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs(Vec<f64>);

impl Runs {
    /// These runs; what is no number is left out.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The middle one; the mean of the two in the middle of an even number; `None` of none.
    pub fn median(&self) -> Option<f64> {
        let middle = self.0.len() / 2;
        let upper = *self.0.get(middle)?;
        if self.0.len() % 2 == 1 {
            Some(upper)
        } else {
            self.0.get(middle - 1).map(|lower| f64::midpoint(*lower, upper))
        }
    }

    /// The smallest.
    pub fn least(&self) -> Option<f64> {
        self.0.first().copied()
    }

    /// The largest.
    pub fn most(&self) -> Option<f64> {
        self.0.last().copied()
    }

    /// All of them, in ascending order.
    pub fn sorted(&self) -> &[f64] {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "values that are copied, not computed")]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let table: [(&[f64], Option<f64>); 5] = [
            (&[], None),
            (&[3.0], Some(3.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[4.0, 1.0, 2.0, 100.0], Some(3.0)),
            (&[f64::NAN, 5.0, f64::INFINITY], Some(5.0)),
        ];
        for (values, median) in table {
            assert_eq!(Runs::new(values.iter().copied()).median(), median, "{values:?}");
        }
    }

    #[test]
    fn the_ends_are_the_ends() {
        let runs = Runs::new([5.0, 1.0, 3.0]);
        assert_eq!((runs.least(), runs.most(), runs.sorted()), (Some(1.0), Some(5.0), &[1.0, 3.0, 5.0][..]));
    }

    #[test]
    fn shares_are_even() {
        assert_eq!([per(7, 2), per(0, 5), per(3, 0)], [3.5, 0.0, 3.0]);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0, 7.0].map(|q| quantile(&values, q)), [0.0, 50.0, 99.0, 100.0, 100.0]);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
