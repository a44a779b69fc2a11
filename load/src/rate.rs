//! When is a frame due? So many frames or bits a second, from the start of the run on.
//!
//! | text | rate |
//! | --- | --- |
//! | `max` | as fast as it goes |
//! | `500pps`, `10kpps`, `1.5Mpps` | frames a second |
//! | `100Mbps`, `1Gbps`, `1Gbit/s` | bits of the wire a second: frame, FCS, preamble, start delimiter and gap, as the line rate of RFC 2544 appendix B counts them. 1Gbps of 64-octet frames are 1,488,095 a second |
//!
//! A due time is computed from the start, in whole numbers, and never from the frame before: there is nothing that could add
//! up to a drift. In any whole second exactly as many frames are due as the rate says.
//!
//! Not done: bursts, and a rate that changes while it runs.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::LoadError;
use crate::size::digits;

/// Nanoseconds of a second.
const NS: u128 = 1_000_000_000;

/// How many frames are sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rate {
    /// As many as it can.
    #[default]
    Max,
    /// So many frames a second.
    Frames(NonZeroU64),
    /// So many bits of the wire a second, preamble, gap and FCS included.
    Bits(NonZeroU64),
}

impl Rate {
    /// When the frame is due that `number` others went before, with `wire_octets_before` octets of the wire, preamble and
    /// gap included ([`crate::stream::Sent`] counts both): nanoseconds since the start, rounded down. `None` at
    /// [`Rate::Max`]: at once.
    #[inline]
    pub fn due_ns(self, number: u64, wire_octets_before: u64) -> Option<u64> {
        // 2^64 octets of 8 bits times 10^9 are less than 2^97.
        let due = match self {
            Self::Max => return None,
            Self::Frames(rate) => u128::from(number) * NS / u128::from(rate.get()),
            Self::Bits(rate) => u128::from(wire_octets_before) * 8 * NS / u128::from(rate.get()),
        };
        Some(u64::try_from(due).unwrap_or(u64::MAX))
    }

    /// So many millionths of it, at least one frame or bit a second; [`Rate::Max`] stays as it is. Exact but for the last
    /// frame or bit, which is left out.
    #[must_use]
    pub fn share(self, per_million: u32) -> Self {
        let of = |rate: NonZeroU64| {
            let share = u128::from(rate.get()) * u128::from(per_million) / 1_000_000;
            NonZeroU64::new(u64::try_from(share).unwrap_or(u64::MAX)).unwrap_or(NonZeroU64::MIN)
        };
        match self {
            Self::Max => Self::Max,
            Self::Frames(rate) => Self::Frames(of(rate)),
            Self::Bits(rate) => Self::Bits(of(rate)),
        }
    }

    /// Frames a second when a frame takes so many octets of the wire in the mean, preamble and gap included; `None` at
    /// [`Rate::Max`]. For what people read, not for when to send.
    #[expect(clippy::cast_precision_loss, reason = "a figure to read; above 2^53 its last digits do not matter")]
    pub fn frames_per_second(self, mean_wire_octets: f64) -> Option<f64> {
        match self {
            Self::Max => None,
            Self::Frames(rate) => Some(rate.get() as f64),
            Self::Bits(rate) => Some(rate.get() as f64 / (8.0 * mean_wire_octets)),
        }
    }
}

/// The prefixes, largest first.
const PREFIXES: [(&str, u32); 5] = [("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0)];

impl FromStr for Rate {
    type Err = LoadError;

    /// The prefix may be of either case, the unit not: `MBps` would be read as octets by some.
    fn from_str(text: &str) -> Result<Self, LoadError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self::Max);
        }
        let no_rate = || LoadError::NoRate(text.to_owned());
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(no_rate)?;
        let (number, unit) = (&text[..end], text[end..].trim_start());
        let (prefix, kind): (_, fn(NonZeroU64) -> Self) = if let Some(prefix) = unit.strip_suffix("pps") {
            (prefix, Self::Frames)
        } else {
            (unit.strip_suffix("bps").or_else(|| unit.strip_suffix("bit/s")).ok_or_else(no_rate)?, Self::Bits)
        };
        let known = PREFIXES.iter().find(|(name, _)| name.eq_ignore_ascii_case(prefix));
        let (_, power) = known.ok_or_else(no_rate)?;
        let value = scaled(number, *power, no_rate, || LoadError::RateDigits(text.to_owned()))?;
        NonZeroU64::new(value).map(kind).ok_or_else(|| LoadError::ZeroRate(text.to_owned()))
    }
}

/// A decimal number times a power of ten, exactly.
fn scaled(
    number: &str,
    power: u32,
    no_number: impl Fn() -> LoadError,
    no_whole: impl Fn() -> LoadError,
) -> Result<u64, LoadError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(no_number());
    }
    let fraction = fraction.trim_end_matches('0');
    let zeros = (power as usize).checked_sub(fraction.len()).ok_or_else(&no_whole)?;
    digits(&format!("{whole}{fraction}{}", "0".repeat(zeros))).ok_or_else(no_whole)
}

/// The text that is read as the same rate, with the largest prefix that it has one of.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, unit) = match self {
            Self::Max => return f.pad("max"),
            Self::Frames(rate) => (rate.get(), "pps"),
            Self::Bits(rate) => (rate.get(), "bps"),
        };
        let fits = PREFIXES.iter().find(|(_, power)| rate >= 10u64.pow(*power));
        let (prefix, power) = *fits.unwrap_or(&("", 0));
        let (whole, rest) = (rate / 10u64.pow(power), rate % 10u64.pow(power));
        let fraction = if rest == 0 { String::new() } else { format!(".{rest:0width$}", width = power as usize) };
        f.pad(&format!("{whole}{}{prefix}{unit}", fraction.trim_end_matches('0')))
    }
}

impl TryFrom<String> for Rate {
    type Error = LoadError;

    fn try_from(text: String) -> Result<Self, LoadError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn frames(number: u64) -> Rate {
        Rate::Frames(number.try_into().unwrap())
    }

    fn bits(number: u64) -> Rate {
        Rate::Bits(number.try_into().unwrap())
    }

    #[test]
    fn reads_and_writes_the_usual_forms() {
        for (text, expected, canonical) in [
            ("max", Rate::Max, "max"),
            ("MAX", Rate::Max, "max"),
            ("500pps", frames(500), "500pps"),
            ("10kpps", frames(10_000), "10kpps"),
            ("10Kpps", frames(10_000), "10kpps"),
            ("1.5Mpps", frames(1_500_000), "1.5Mpps"),
            (" 1500 kpps ", frames(1_500_000), "1.5Mpps"),
            ("1.488095Mpps", frames(1_488_095), "1.488095Mpps"),
            ("1.50000000Mpps", frames(1_500_000), "1.5Mpps"),
            (".5kpps", frames(500), "500pps"),
            ("1.pps", frames(1), "1pps"),
            ("100Mbps", bits(100_000_000), "100Mbps"),
            ("1Gbps", bits(1_000_000_000), "1Gbps"),
            ("2.5Gbit/s", bits(2_500_000_000), "2.5Gbps"),
            ("0.001Gbps", bits(1_000_000), "1Mbps"),
            ("18446744073709551615bps", bits(u64::MAX), "18446744.073709551615Tbps"),
        ] {
            assert_eq!(rate(text), expected, "{text}");
            assert_eq!(rate(text).to_string(), canonical);
            let json = serde_json::to_string(&expected).unwrap();
            assert_eq!(json, format!("\"{canonical}\""));
            assert_eq!(serde_json::from_str::<Rate>(&json).unwrap(), expected);
        }
        assert_eq!(format!("{:>8}", rate("5pps")), "    5pps");
    }

    #[test]
    fn refuses_what_is_no_rate() {
        let no_rate = |text: &str| LoadError::NoRate(text.into());
        let digits = |text: &str| LoadError::RateDigits(text.into());
        for (text, error) in [
            ("", no_rate("")),
            ("fast", no_rate("fast")),
            ("100", no_rate("100")),
            ("pps", no_rate("pps")),
            (".pps", no_rate(".pps")),
            ("1.2.3pps", no_rate("1.2.3pps")),
            ("-5pps", no_rate("-5pps")),
            ("1e6pps", no_rate("1e6pps")),
            ("5MBps", no_rate("5MBps")),
            ("5Xbps", no_rate("5Xbps")),
            ("5 M pps", no_rate("5 M pps")),
            ("0pps", LoadError::ZeroRate("0pps".into())),
            ("0.0Gbps", LoadError::ZeroRate("0.0Gbps".into())),
            ("0.5pps", digits("0.5pps")),
            ("1.2345kpps", digits("1.2345kpps")),
            ("18446744073709551616bps", digits("18446744073709551616bps")),
            ("99999999999Tbps", digits("99999999999Tbps")),
        ] {
            let refused = text.parse::<Rate>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert_eq!(refused.to_string().lines().count(), 1);
        }
        assert!(serde_json::from_str::<Rate>("\"0bps\"").is_err());
    }

    /// RFC 2544 appendix B's maximum frame rates of 10 Mb/s Ethernet.
    #[test]
    fn line_rate_is_what_the_rfc_says() {
        for (octets, frames_per_second) in [
            (64, 14_880),
            (128, 8_445),
            (256, 4_528),
            (512, 2_349),
            (768, 1_586),
            (1024, 1_197),
            (1280, 961),
            (1518, 812),
        ] {
            let on_wire = octets + crate::WIRE_GAP_OCTETS as u32;
            let second =
                (0..20_000).take_while(|n| rate("10Mbps").due_ns(*n, n * u64::from(on_wire)).unwrap() < 1_000_000_000);
            // The last of them begins within the second and does not end there.
            assert_eq!(second.count(), frames_per_second + 1, "{octets}");
            let figure = rate("10Mbps").frames_per_second(f64::from(on_wire)).unwrap();
            assert_eq!(figure.floor().to_string(), frames_per_second.to_string());
        }
        assert_eq!((Rate::Max.due_ns(9, 9), Rate::Max.frames_per_second(84.0)), (None, None));
        assert_eq!(rate("3pps").frames_per_second(84.0), Some(3.0));
    }

    #[test]
    fn the_last_frame_of_all_is_due_as_exactly_as_the_first() {
        assert_eq!(
            [0, 1, 2, 3].map(|n| rate("3pps").due_ns(n, 0).unwrap()),
            [0, 333_333_333, 666_666_666, 1_000_000_000]
        );
        assert_eq!(rate("3Mpps").due_ns(3_000_000 * 1_000_000, 0), Some(1_000_000 * 1_000_000_000));
        assert_eq!(rate("1Gbps").due_ns(0, 125_000_000), Some(1_000_000_000));
        assert_eq!(rate("1pps").due_ns(u64::MAX, 0), Some(u64::MAX));
        assert_eq!(rate("1bps").due_ns(0, u64::MAX), Some(u64::MAX));
    }

    #[test]
    fn shares_are_of_the_whole() {
        assert_eq!(rate("1.5Mpps").share(500_000), rate("750kpps"));
        assert_eq!(rate("10Gbps").share(995_000), rate("9.95Gbps"));
        assert_eq!(rate("5pps").share(0), rate("1pps"));
        assert_eq!(bits(u64::MAX).share(u32::MAX), bits(u64::MAX));
        assert_eq!(Rate::Max.share(1), Rate::Max);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// In any number of whole seconds as many frames are due as the rate says: not one more, not one less.
        #[test]
        fn a_rate_is_met_over_any_time(per_second in 1u64..20_000_000_000, seconds in 1u64..100_000) {
            let (rate, number) = (frames(per_second), per_second * seconds);
            let end = seconds * 1_000_000_000;
            prop_assert_eq!(rate.due_ns(number, 0), Some(end));
            prop_assert!(rate.due_ns(number - 1, 0).unwrap() < end);
        }

        #[test]
        fn due_times_never_run_backwards(rate in prop_oneof![(1..u64::MAX).prop_map(frames), (1..u64::MAX).prop_map(bits)], n in any::<u64>(), octets in any::<u64>()) {
            let (next, more) = (n.saturating_add(1), octets.saturating_add(84));
            prop_assert!(rate.due_ns(n, octets) <= rate.due_ns(next, more));
            prop_assert_eq!(rate.due_ns(0, 0), Some(0));
        }

        #[test]
        fn what_is_written_is_read(number in 1..u64::MAX, of_bits in any::<bool>()) {
            let expected = if of_bits { bits(number) } else { frames(number) };
            prop_assert_eq!(rate(&expected.to_string()), expected);
        }

        #[test]
        fn garbage_is_refused_or_means_what_it_says(text in "[0-9.kMG pbs/it-]{0,20}") {
            if let Ok(read) = text.parse::<Rate>() {
                prop_assert_eq!(rate(&read.to_string()), read);
            }
        }
    }
}
