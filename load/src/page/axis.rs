//! Where does a value lie along an axis, and which values are written beside it? Four kinds of axis: even, by powers of ten,
//! loss (even from nothing to a least share and by powers of ten from there to all, so that none and very little differ, which
//! is a symmetrical logarithm cut at zero), and percentiles (by powers of ten of 1 / (1 - p), as HDR histograms are plotted).
//!
//! Ticks are round: 1, 2, 2.5 or 5 times a power of ten, with the prefixes of the SI. What is no number, or of a magnitude
//! that nothing measured here has, has no place, and is not drawn.
//!
//! Not done: negative values by powers of ten; they have no place there either.

use super::text::superscript;

/// Magnitudes beyond this are not drawn, and below its inverse are zero.
const LARGEST: f64 = 1e30;
/// The least power of ten that a loss axis tells from nothing: one frame of a thousand million.
const LEAST_LOSS: i32 = -9;
/// The share of a loss axis below the least power of ten.
const EVEN_SHARE: f64 = 0.12;
/// The most nines that a percentile axis has: 99.9999 %.
const MOST_NINES: f64 = 6.0;
/// Where the maximum of all begins, on a percentile axis that has one.
const MAXIMUM_AT: f64 = 0.905;
/// The no-break space between a number and its unit.
pub(super) const SPACE: char = '\u{a0}';

/// What the values of an axis are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// A number, written out: seconds.
    Plain,
    /// A number with a prefix of the SI: 1.5 M.
    Prefixed,
    /// Nanoseconds, in the unit that makes them short.
    Nanoseconds,
}

/// How values lie along an axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Scale {
    /// Evenly.
    Linear { low: f64, high: f64, step: f64 },
    /// By powers of ten.
    Log { low: f64, high: f64 },
    /// Shares from 0 to 1, evenly up to this power of ten.
    Loss { least: i32 },
    /// Shares from 0 to 1 by so many nines; and whether the maximum, a share of 1, has a place after them.
    Percentile { nines: f64, maximum: bool },
}

/// A mark beside an axis.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Tick {
    /// Where: 0 to 1.
    pub(super) at: f64,
    /// What is written there; nothing at a minor one.
    pub(super) label: Option<String>,
}

/// The value as it is drawn; `None` if it cannot be.
pub(super) fn sane(value: f64) -> Option<f64> {
    let small = value.abs() < 1.0 / LARGEST;
    (value.is_finite() && value.abs() <= LARGEST).then_some(if small { 0.0 } else { value })
}

/// The least and the greatest of what can be drawn.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter_map(sane).fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((least, most)) => Some((least.min(value), most.max(value))),
    })
}

/// What an even axis reaches over. Equal values, or as good as equal, lie in its middle.
fn span(values: impl Iterator<Item = f64>, from_zero: bool) -> (f64, f64) {
    let (mut low, mut high) = bounds(values).unwrap_or((0.0, 1.0));
    if from_zero || (low > 0.0 && low < high * 0.5) {
        (low, high) = (low.min(0.0), high.max(0.0));
    }
    let size = low.abs().max(high.abs());
    match high - low <= size * 1e-9 {
        true if size == 0.0 => (0.0, 1.0),
        true => (low - size * 0.1, high + size * 0.1),
        false => (low, high),
    }
}

/// The least round step that makes no more than so many of a span.
fn round_step(span: f64, most: f64) -> f64 {
    let rough = span / most;
    let power = 10f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= rough * (1.0 - 1e-9));
    round.unwrap_or(10.0) * power
}

impl Scale {
    /// An even one with at most so many steps, which begins and ends at a tick; from zero if asked for or if the values
    /// begin near it.
    pub(super) fn linear(values: impl Iterator<Item = f64>, from_zero: bool, most_steps: usize) -> Self {
        let (low, high) = span(values, from_zero);
        let steps = most_steps.clamp(2, 50) as f64;
        let outwards = |step: f64| ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        // Going outwards to the ticks may take one or two steps more.
        let mut step = round_step(high - low, steps);
        let (first, last) = outwards(step);
        if (last - first) / step > steps + 0.5 {
            step = round_step((high - low) * 1.3, steps);
        }
        let (low, high) = outwards(step);
        Self::Linear { low, high, step }
    }

    /// The same for time: it ends with the last value.
    pub(super) fn time(values: impl Iterator<Item = f64>, most_steps: usize) -> Self {
        let (low, high) = span(values, true);
        Self::Linear { low, high, step: round_step(high - low, most_steps.clamp(2, 50) as f64) }
    }

    /// One by powers of ten, which holds all values above zero.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = bounds(values.filter(|value| *value > 1.0 / LARGEST)).unwrap_or((1.0, 10.0));
        let (mut low, mut high) = (round_down(least), round_up(most));
        if high <= low * (1.0 + 1e-9) {
            (low, high) = (round_down(low * 0.9), round_up(high * 1.1));
        }
        Self::Log { low, high }
    }

    /// One of loss that tells the least of these shares from zero.
    pub(super) fn loss(shares: impl Iterator<Item = f64>) -> Self {
        let least = bounds(shares.filter(|share| *share > 0.0)).map_or(1e-3, |(least, _)| least);
        Self::Loss { least: ((least.log10() + 1e-9).floor() as i32).clamp(LEAST_LOSS, -3) }
    }

    /// One of percentiles that holds these shares, if they are of no more than 99.9999 %.
    pub(super) fn percentiles(shares: impl Iterator<Item = f64>) -> Self {
        let (mut nines, mut maximum) = (1.0f64, false);
        for share in shares.filter(|share| (0.0..=1.0).contains(share)) {
            if share < 1.0 {
                nines = nines.max(nines_of(share).min(MOST_NINES));
            } else {
                maximum = true;
            }
        }
        Self::Percentile { nines: (nines - 1e-6).ceil(), maximum }
    }

    /// Where a value lies, 0 to 1; `None` where it is no part of the axis.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let value = sane(value)?;
        let at = match *self {
            Self::Linear { low, high, .. } => (value - low) / (high - low),
            Self::Log { low, high } if value > 0.0 => (value / low).ln() / (high / low).ln(),
            Self::Loss { least } if (0.0..=1.0).contains(&value) => {
                let even = 10f64.powi(least);
                if value <= even {
                    value / even * EVEN_SHARE
                } else {
                    1.0 + value.log10() / -f64::from(least) * (1.0 - EVEN_SHARE)
                }
            }
            Self::Percentile { maximum: true, .. } if value >= 1.0 => 1.0,
            Self::Percentile { nines, maximum } if (0.0..1.0).contains(&value) => {
                nines_of(value) / nines * if maximum { MAXIMUM_AT } else { 1.0 }
            }
            Self::Log { .. } | Self::Loss { .. } | Self::Percentile { .. } => return None,
        };
        // A hair for what rounding leaves beyond the ends.
        (at.is_finite() && (-1e-6..=1.0 + 1e-6).contains(&at)).then_some(at.clamp(0.0, 1.0))
    }

    /// The same, with what lies beyond an end put at that end: for the ends of error bars.
    pub(super) fn clamped(&self, value: f64) -> Option<f64> {
        let within = match *self {
            _ if value.is_nan() => return None,
            Self::Linear { low, high, .. } | Self::Log { low, high } => value.clamp(low, high),
            Self::Loss { .. } | Self::Percentile { .. } => value.clamp(0.0, 1.0),
        };
        self.place(within)
    }

    /// The marks, in order, with labels no closer than `gap` of the axis where the kind of axis leaves a choice.
    pub(super) fn ticks(&self, unit: Unit, gap: f64) -> Vec<Tick> {
        match *self {
            Self::Linear { low, high, step } => linear_ticks(low, high, step, unit),
            Self::Log { low, high } => self.log_ticks(low, high, unit, gap),
            Self::Loss { least } => {
                let powers = (least..=0).map(|power| (10f64.powi(power), power_of_ten_percent(power)));
                let every = (gap / ((1.0 - EVEN_SHARE) / -f64::from(least))).ceil().max(1.0) as usize;
                let kept = powers.rev().step_by(every).chain([(0.0, format!("0{SPACE}%"))]);
                self.labelled(kept.collect::<Vec<_>>().into_iter().rev())
            }
            Self::Percentile { nines, maximum } => {
                let zero = (nines < 5.0).then(|| (0.0, format!("0{SPACE}%")));
                let powers = (1..=nines as i32).map(|nines| (1.0 - 10f64.powi(-nines), nines_percent(nines)));
                let last = maximum.then(|| (1.0, "max".to_owned()));
                self.labelled(zero.into_iter().chain([(0.5, format!("50{SPACE}%"))]).chain(powers).chain(last))
            }
        }
    }

    fn labelled(&self, values: impl Iterator<Item = (f64, String)>) -> Vec<Tick> {
        values.filter_map(|(value, label)| Some(Tick { at: self.place(value)?, label: Some(label) })).collect()
    }

    fn log_ticks(&self, low: f64, high: f64, unit: Unit, gap: f64) -> Vec<Tick> {
        let decades = (high / low).log10();
        let every = (gap * decades).ceil().max(1.0) as i32;
        // 9 is as near to 10 as any two of all the digits are, and 1 to 2 as any of these three.
        let between: &[i32] = match every {
            1 if 0.045 / decades >= gap => &[1, 2, 3, 4, 5, 6, 7, 8, 9],
            1 if 0.3 / decades >= gap => &[1, 2, 5],
            _ => &[1],
        };
        let first = (low.log10() + 1e-9).floor() as i32;
        let mut ticks = Vec::new();
        for power in first..=(high.log10() + 1e-9).floor() as i32 {
            for factor in 1..=9 {
                let value = f64::from(factor) * 10f64.powi(power);
                let labelled = between.contains(&factor) && power.rem_euclid(every) == 0;
                if factor != 1 && !labelled && decades > 9.0 {
                    continue;
                }
                let label = labelled.then(|| round_label(value, unit));
                ticks.extend(self.place(value).map(|at| Tick { at, label }));
            }
        }
        ticks
    }
}

fn nines_of(share: f64) -> f64 {
    -(1.0 - share).log10()
}

/// The greatest 1, 2 or 5 times a power of ten that is not above.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factor = [5.0, 2.0, 1.0].into_iter().find(|factor| factor * power <= value * (1.0 + 1e-9));
    factor.unwrap_or(0.5) * power
}

/// The least that is not below.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= value * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

fn linear_ticks(low: f64, high: f64, step: f64, unit: Unit) -> Vec<Tick> {
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    let size = low.abs().max(high.abs());
    let tick = |number: i64| {
        let value = step * number as f64;
        let at = ((value - low) / (high - low)).clamp(0.0, 1.0);
        Tick { at, label: Some(stepped_label(value, step, size, unit)) }
    };
    (first..=last.min(first + 59)).map(tick).collect()
}

/// A tick of an even axis: all have the prefix and the decimals that suit its step and its largest.
fn stepped_label(value: f64, step: f64, size: f64, unit: Unit) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (mut divisor, mut suffix) = prefix(size, unit);
    let decimals = |divisor: f64| {
        let whole = |decimals: &i32| {
            let scaled = step / divisor * 10f64.powi(*decimals);
            (scaled - scaled.round()).abs() < 1e-6 * scaled.max(1.0) && scaled > 0.5
        };
        (0..9).find(whole).unwrap_or(9) as usize
    };
    if size / divisor < 10.0 && decimals(divisor) > 1 {
        (divisor, suffix) = prefix(size / 1e3, unit);
    }
    if !(1e-4..1e7).contains(&(size / divisor)) {
        return format!("{:.2e}{suffix}", value / divisor);
    }
    format!("{:.*}{suffix}", decimals(divisor), value / divisor)
}

/// A value of one digit.
pub(super) fn round_label(value: f64, unit: Unit) -> String {
    let (divisor, suffix) = prefix(value, unit);
    let value = value / divisor;
    if !(1e-4..1e7).contains(&value) {
        return format!("{value:.0e}{suffix}");
    }
    let decimals = (-(value.log10() + 1e-9).floor()).max(0.0) as usize;
    format!("{value:.decimals$}{suffix}")
}

/// Any value, to three digits: for a label of its own.
pub(super) fn short(value: f64, unit: Unit) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let (divisor, suffix) = prefix(value.abs(), unit);
    let value = value / divisor;
    if !(1e-3..1e6).contains(&value.abs()) {
        return format!("{value:.2e}{suffix}");
    }
    let decimals = (2.0 - (value.abs().log10() + 1e-9).floor()).clamp(0.0, 5.0) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}

/// A share from 0 to 1 in per cent, with the digits it needs.
pub(super) fn share_percent(share: f64) -> String {
    let text = format!("{:.7}", share * 100.0);
    format!("{}{SPACE}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What a value of this size is divided by, and what is then written behind it.
fn prefix(size: f64, unit: Unit) -> (f64, String) {
    let steps: &[(f64, &str)] = match unit {
        Unit::Plain => &[],
        Unit::Prefixed => &[(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")],
        Unit::Nanoseconds => &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (0.0, "ns")],
    };
    // Beyond the prefixes a power of ten says it all.
    let found = steps.iter().find(|(from, _)| size * (1.0 + 1e-9) >= *from && size < 1e21);
    found.map_or((1.0, String::new()), |(from, name)| (if *from > 0.0 { *from } else { 1.0 }, format!("{SPACE}{name}")))
}

/// 10 to this power, in per cent.
fn power_of_ten_percent(power: i32) -> String {
    match power {
        -2.. => format!("{}{SPACE}%", 10i64.pow((power + 2).clamp(0, 9).unsigned_abs())),
        -6..-2 => format!("{:.*}{SPACE}%", (-2 - power).unsigned_abs() as usize, 10f64.powi(power + 2)),
        _ => format!("10{}{SPACE}%", superscript(power + 2)),
    }
}

/// So many nines, in per cent: 90 %, 99 %, 99.9 %.
fn nines_percent(nines: i32) -> String {
    match nines {
        ..=1 => format!("90{SPACE}%"),
        2 => format!("99{SPACE}%"),
        more => format!("99.{}{SPACE}%", "9".repeat((more - 2).unsigned_abs() as usize)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(scale: Scale, unit: Unit, gap: f64) -> Vec<String> {
        scale.ticks(unit, gap).into_iter().filter_map(|tick| tick.label).map(|text| text.replace(SPACE, " ")).collect()
    }

    #[test]
    fn even_axes_have_round_ticks() {
        let table: [(&[f64], bool, Unit, &[&str]); 8] = [
            (&[0.0, 1_488_095.0], true, Unit::Prefixed, &["0", "0.5 M", "1.0 M", "1.5 M"]),
            (&[0.0, 9.7], true, Unit::Plain, &["0", "2", "4", "6", "8", "10"]),
            (&[900.0, 1000.0], false, Unit::Prefixed, &["900", "920", "940", "960", "980", "1000"]),
            (&[100.0, 1000.0], false, Unit::Prefixed, &["0", "0.2 k", "0.4 k", "0.6 k", "0.8 k", "1.0 k"]),
            (&[], true, Unit::Plain, &["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (&[0.0, 0.0], true, Unit::Plain, &["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (&[5.0], true, Unit::Plain, &["0", "1", "2", "3", "4", "5"]),
            (&[f64::NAN, f64::INFINITY, 3e3, 1e300], true, Unit::Nanoseconds, &["0", "1 µs", "2 µs", "3 µs"]),
        ];
        for (values, from_zero, unit, expected) in table {
            let scale = Scale::linear(values.iter().copied(), from_zero, 5);
            assert_eq!(labels(scale, unit, 0.1), expected, "{values:?}: {scale:?}");
        }
    }

    #[test]
    fn axes_by_powers_of_ten_have_room_between_their_labels() {
        let table: [(&[f64], f64, &[&str]); 7] = [
            (&[44_030.0, 68_000.0], 0.1, &["20 µs", "50 µs", "100 µs"]),
            (&[44_030.0, 49_000.0], 0.06, &["20 µs", "30 µs", "40 µs", "50 µs"]),
            (
                &[800.0, 4e6],
                0.05,
                &[
                    "500 ns", "1 µs", "2 µs", "5 µs", "10 µs", "20 µs", "50 µs", "100 µs", "200 µs", "500 µs", "1 ms",
                    "2 ms", "5 ms",
                ],
            ),
            (&[800.0, 4e6], 0.15, &["1 µs", "10 µs", "100 µs", "1 ms"]),
            (&[1.0, 1e12], 0.2, &["1 ns", "1 µs", "1 ms", "1 s", "1000 s"]),
            (&[5.0], 0.1, &["2 ns", "5 ns", "10 ns"]),
            (&[0.0, -3.0, f64::NAN], 0.1, &["1 ns", "2 ns", "5 ns", "10 ns"]),
        ];
        for (values, gap, expected) in table {
            let scale = Scale::log(values.iter().copied());
            assert_eq!(labels(scale, Unit::Nanoseconds, gap), expected, "{values:?}: {scale:?}");
        }
    }

    #[test]
    fn no_loss_and_very_little_differ() {
        let scale = Scale::loss([0.0, 1e-5, 0.3].into_iter());
        let expected = ["0 %", "0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %"];
        assert_eq!(labels(scale, Unit::Plain, 0.08), expected);
        let places: Vec<f64> = [0.0, 1e-6, 1e-5, 1e-4, 1.0].iter().filter_map(|share| scale.place(*share)).collect();
        assert!(places.is_sorted() && places[2] - places[0] > 0.1, "{places:?}");
        let most = labels(Scale::loss([1e-30].into_iter()), Unit::Plain, 0.05);
        assert_eq!(most[1], "10⁻⁷ %");
    }

    #[test]
    fn percentiles_go_by_nines() {
        let with_maximum = Scale::percentiles([0.0, 0.5, 0.999_999, 1.0, f64::NAN, 2.0].into_iter());
        let expected = ["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "max"];
        assert_eq!(labels(with_maximum, Unit::Plain, 0.1), expected);
        assert_eq!(labels(Scale::percentiles([0.99].into_iter()), Unit::Plain, 0.1), ["0 %", "50 %", "90 %", "99 %"]);
        assert_eq!(with_maximum.place(0.999_999_99), None, "beyond the axis");
        assert!(with_maximum.place(0.999_999).unwrap() < 1.0 && with_maximum.place(1.0) == Some(1.0));
    }

    #[test]
    fn values_beside_a_bar_are_short() {
        let table = [(0.0, "0"), (1234.0, "1.23 k"), (999_999.0, "1000 k"), (1.5e6, "1.5 M"), (0.012_34, "0.0123")];
        for (value, text) in table {
            assert_eq!(short(value, Unit::Prefixed).replace(SPACE, " "), text);
        }
        for (share, text) in [(0.0, "0 %"), (0.005, "0.5 %"), (0.07, "7 %"), (1e-6, "0.0001 %"), (1.0, "100 %")] {
            assert_eq!(share_percent(share).replace(SPACE, " "), text);
        }
        assert_eq!(short(68_000.0, Unit::Nanoseconds).replace(SPACE, " "), "68 µs");
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![any::<f64>(), -1e6..1e6, 0.0..1.0, Just(0.0), (-40f64..40.0).prop_map(|power| 10f64.powf(power))]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        /// Whatever the values: all that can be drawn have a place, in their order, and there are ticks, in order.
        #[test]
        fn every_axis_holds_its_values(mut values in prop::collection::vec(any_value(), 0..20), zero: bool, most in 0usize..12) {
            let each = || values.iter().copied();
            let scales = [Scale::linear(each(), zero, most), Scale::log(each()), Scale::loss(each()), Scale::percentiles(each())];
            values.sort_by(f64::total_cmp);
            for scale in scales {
                let places: Vec<f64> = values.iter().filter_map(|value| scale.place(*value)).collect();
                prop_assert!(places.is_sorted(), "{:?}", scale);
                for unit in [Unit::Plain, Unit::Prefixed, Unit::Nanoseconds] {
                    let ticks = scale.ticks(unit, 0.1);
                    let labels = ticks.iter().filter(|tick| tick.label.is_some()).count();
                    prop_assert!((1..=60).contains(&labels) && ticks.len() < 100, "{:?}: {:?}", scale, ticks);
                    prop_assert!(ticks.is_sorted_by(|a, b| a.at < b.at), "{:?}: {:?}", scale, ticks);
                }
                let drawable = |value: f64| match scale {
                    Scale::Linear { .. } => sane(value).is_some(),
                    Scale::Log { .. } => sane(value).is_some_and(|value| value > 0.0),
                    Scale::Loss { .. } => (0.0..=1.0).contains(&value),
                    Scale::Percentile { .. } => (0.0..=0.999_999).contains(&value),
                };
                for value in &values {
                    prop_assert!(!drawable(*value) || scale.place(*value).is_some(), "{} on {:?}", value, scale);
                }
            }
        }
    }
}
