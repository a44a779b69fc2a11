//! How large is a frame? Of one size, of any between two, or of a mix of those by weight.
//!
//! Sizes are octets of the wire as RFC 2544 clause 9 counts them, with the 4 octets of the FCS; a frame has 4 fewer.
//!
//! | text | sizes |
//! | --- | --- |
//! | `64` | that one |
//! | `64-1518` | uniform at random, both ends included |
//! | `64:7,594:4,1518:1` | a mix: of 12 frames 7 have 64 octets; a part may be a range |
//! | `imix` | just that mix: the "simple IMIX", IP packets of 40, 576 and 1500 octets, 7:4:1, behind 18 octets of Ethernet header and FCS, and padded to the least frame. It is a custom of those who measure, not a standard: others take 570 octets, or 7:5:1. RFC 6985 asks that a report name its mix, and how |
//!
//! Not done: sizes in a given order, as RFC 6985's "genome" has them; the mix is drawn at random.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::LoadError;

/// The least size of an ordinary frame (IEEE 802.3 clause 4A.4.2).
pub const LEAST_OCTETS: u32 = 64;
/// The largest: a jumbo frame, 9000 octets of IP behind an Ethernet header.
pub const MOST_OCTETS: u32 = 9018;
/// The largest weight of a part of a mix.
pub const MOST_WEIGHT: u32 = 1_000_000;
/// The most parts of a mix.
pub const MOST_PARTS: usize = 32;

/// What `imix` stands for.
const IMIX: [Part; 3] = [
    Part { low: 64, high: 64, weight: 7 },
    Part { low: 594, high: 594, weight: 4 },
    Part { low: 1518, high: 1518, weight: 1 },
];

/// Sizes of frames, octets of the wire with FCS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sizes {
    parts: Vec<Part>,
    /// The sum of the weights, which is never 0.
    weights: u32,
}

/// Of all frames, `weight` have a size from `low` to `high`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    low: u32,
    high: u32,
    weight: u32,
}

impl Sizes {
    /// All frames of one size.
    ///
    /// # Errors
    /// [`LoadError::SizeBounds`].
    pub fn fixed(octets: u32) -> Result<Self, LoadError> {
        Self::uniform(octets, octets)
    }

    /// Any size from `low` to `high`, each as often.
    ///
    /// # Errors
    /// [`LoadError::SizeBounds`], [`LoadError::SizesBackwards`].
    pub fn uniform(low: u32, high: u32) -> Result<Self, LoadError> {
        Ok(Self::of(vec![Part::checked(low, high, 1)?]))
    }

    /// The simple IMIX: 64, 594 and 1518 octets, 7:4:1.
    pub fn imix() -> Self {
        Self::of(IMIX.to_vec())
    }

    fn of(mut parts: Vec<Part>) -> Self {
        if let [alone] = &mut parts[..] {
            alone.weight = 1;
        }
        let weights = parts.iter().map(|part| part.weight).sum();
        Self { parts, weights }
    }

    /// The size that a random number stands for: an equal share of all numbers for each unit of weight.
    #[inline]
    pub fn at(&self, random: u64) -> usize {
        // Its whole part says which unit of weight, its fraction where in a range: both are uniform.
        let product = u128::from(random) * u128::from(self.weights);
        let (mut unit, fraction) = ((product >> 64) as u32, product as u64);
        for part in &self.parts {
            if unit < part.weight {
                let span = u128::from(part.high - part.low + 1);
                return (part.low + ((u128::from(fraction) * span) >> 64) as u32) as usize;
            }
            unit -= part.weight;
        }
        self.least()
    }

    /// The smallest of them.
    pub fn least(&self) -> usize {
        self.parts.iter().map(|part| part.low).min().unwrap_or(LEAST_OCTETS) as usize
    }

    /// The largest of them.
    pub fn largest(&self) -> usize {
        self.parts.iter().map(|part| part.high).max().unwrap_or(MOST_OCTETS) as usize
    }

    /// The lowest and the highest size, if each between them is as likely: of all that is no mix of several.
    pub(crate) fn range(&self) -> Option<(u32, u32)> {
        if let [alone] = self.parts[..] { Some((alone.low, alone.high)) } else { None }
    }

    /// The parts of a mix: from this size to that one, so often.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        self.parts.iter().map(|part| (part.low, part.high, part.weight))
    }

    /// Their mean, in octets.
    pub fn mean_octets(&self) -> f64 {
        let sum = |part: &Part| f64::from(part.low + part.high) / 2.0 * f64::from(part.weight);
        self.parts.iter().map(sum).sum::<f64>() / f64::from(self.weights)
    }
}

/// The least size: what loads a switch most.
impl Default for Sizes {
    fn default() -> Self {
        Self::of(vec![Part { low: LEAST_OCTETS, high: LEAST_OCTETS, weight: 1 }])
    }
}

impl Part {
    fn checked(low: u32, high: u32, weight: u32) -> Result<Self, LoadError> {
        for octets in [low, high] {
            if !(LEAST_OCTETS..=MOST_OCTETS).contains(&octets) {
                return Err(LoadError::SizeBounds(octets.into()));
            }
        }
        if high < low {
            return Err(LoadError::SizesBackwards { low, high });
        }
        Ok(Self { low, high, weight })
    }

    fn parse(text: &str) -> Result<Self, LoadError> {
        let (sizes, weight) = match text.split_once(':') {
            Some((sizes, weight)) => (sizes, digits(weight).filter(|w| (1..=MOST_WEIGHT.into()).contains(w))),
            None => (text, Some(1)),
        };
        let (low, high) = sizes.split_once('-').unwrap_or((sizes, sizes));
        let bound = |text: &str| {
            let octets = digits(text).ok_or_else(|| LoadError::NoSize(text.trim().to_owned()))?;
            u32::try_from(octets).map_err(|_| LoadError::SizeBounds(octets))
        };
        let part = Self::checked(bound(low)?, bound(high)?, 1)?;
        let weight = weight.ok_or_else(|| LoadError::Weight(text.trim().to_owned()))?;
        Ok(Self { weight: weight as u32, ..part })
    }
}

/// A number of nothing but digits, with blanks around it.
pub(crate) fn digits(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.bytes().all(|octet| octet.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl FromStr for Sizes {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        if text.trim().eq_ignore_ascii_case("imix") {
            return Ok(Self::imix());
        }
        let count = text.split(',').count();
        if count > MOST_PARTS {
            return Err(LoadError::ManySizes(count));
        }
        Ok(Self::of(text.split(',').map(Part::parse).collect::<Result<_, _>>()?))
    }
}

/// The text that is read as the same sizes.
impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parts == IMIX {
            return f.pad("imix");
        }
        let part = |part: &Part| {
            let Part { low, high, weight } = *part;
            let range = if low == high { String::new() } else { format!("-{high}") };
            let weight = if self.parts.len() == 1 { String::new() } else { format!(":{weight}") };
            format!("{low}{range}{weight}")
        };
        f.pad(&self.parts.iter().map(part).collect::<Vec<_>>().join(","))
    }
}

impl TryFrom<String> for Sizes {
    type Error = LoadError;

    fn try_from(text: String) -> Result<Self, LoadError> {
        text.parse()
    }
}

impl From<Sizes> for String {
    fn from(sizes: Sizes) -> Self {
        sizes.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sizes(text: &str) -> Sizes {
        text.parse().unwrap()
    }

    #[test]
    fn reads_and_writes_the_usual_forms() {
        for (text, canonical, least, largest, mean) in [
            ("64", "64", 64, 64, 64.0),
            (" 9018 ", "9018", 9018, 9018, 9018.0),
            ("64-1518", "64-1518", 64, 1518, 791.0),
            ("1518-1518:9", "1518", 1518, 1518, 1518.0),
            ("IMIX", "imix", 64, 1518, 4342.0 / 12.0),
            ("64:7, 594:4, 1518:1", "imix", 64, 1518, 4342.0 / 12.0),
            ("1518,64-66:3", "1518:1,64-66:3", 64, 1518, (1518.0 + 3.0 * 65.0) / 4.0),
        ] {
            let read = sizes(text);
            assert_eq!(read.to_string(), canonical);
            assert_eq!((read.least(), read.largest()), (least, largest), "{text}");
            assert!((read.mean_octets() - mean).abs() < 1e-9, "{text}: {}", read.mean_octets());
        }
        assert_eq!(format!("{:>6}", Sizes::default()), "    64");
        assert_eq!(Sizes::fixed(64), Ok(Sizes::default()));
        assert_eq!(Sizes::uniform(64, 70), Ok(sizes("64-70")));
        assert_eq!(serde_json::to_string(&Sizes::imix()).unwrap(), "\"imix\"");
        assert_eq!(serde_json::from_str::<Sizes>("\"64-65\"").unwrap(), sizes("64-65"));
        assert!(serde_json::from_str::<Sizes>("\"0\"").is_err());
    }

    #[test]
    fn refuses_what_is_no_size() {
        let no_size = |text: &str| LoadError::NoSize(text.into());
        let weight = |text: &str| LoadError::Weight(text.into());
        for (text, error) in [
            ("", no_size("")),
            ("big", no_size("big")),
            ("64,", no_size("")),
            ("-64", no_size("")),
            ("64-65-66", no_size("65-66")),
            ("6 4", no_size("6 4")),
            ("+64", no_size("+64")),
            ("64.5", no_size("64.5")),
            ("99999999999999999999", no_size("99999999999999999999")),
            ("63", LoadError::SizeBounds(63)),
            ("9019", LoadError::SizeBounds(9019)),
            ("4294967360", LoadError::SizeBounds(4_294_967_360)),
            ("64-9019", LoadError::SizeBounds(9019)),
            ("65-64", LoadError::SizesBackwards { low: 65, high: 64 }),
            ("64:0", weight("64:0")),
            ("64:", weight("64:")),
            ("64:1:2", weight("64:1:2")),
            ("64:1000001", weight("64:1000001")),
            ("imix:1", no_size("imix")),
            (&["64"; 33].join(","), LoadError::ManySizes(33)),
        ] {
            let refused = text.parse::<Sizes>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert_eq!(refused.to_string().lines().count(), 1);
        }
    }

    /// Over numbers that are evenly apart, the shares are exact.
    #[test]
    fn a_mix_has_its_shares() {
        let (imix, rounds) = (Sizes::imix(), 1000);
        let step = u64::MAX / (12 * rounds) + 1;
        let drawn: Vec<usize> = (0..12 * rounds).map(|n| imix.at(n * step)).collect();
        for (octets, share) in [(64, 7), (594, 4), (1518, 1)] {
            assert_eq!(drawn.iter().filter(|drawn| **drawn == octets).count() as u64, share * rounds, "{octets}");
        }
        assert_eq!([0, u64::MAX / 2, u64::MAX].map(|n| sizes("64-1518").at(n)), [64, 791, 1518]);
        let ranges = sizes("64-65:1,100-103:1");
        assert_eq!(
            [0, 1 << 62, 1 << 63, (1 << 63) + (1 << 61), u64::MAX].map(|n| ranges.at(n)),
            [64, 65, 100, 101, 103]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_size_is_one_of_them(parts in prop::collection::vec((64u32..9018, 0u32..500, 1u32..=MOST_WEIGHT), 1..8), random in any::<u64>()) {
            let text = parts.iter().map(|(low, span, weight)| format!("{low}-{}:{weight}", (low + span).min(9018)));
            let read = sizes(&text.collect::<Vec<_>>().join(","));
            let octets = read.at(random) as u32;
            prop_assert!(parts.iter().any(|(low, span, _)| (*low..=low + span).contains(&octets)), "{octets}");
            prop_assert!((read.least()..=read.largest()).contains(&read.at(random)));
            prop_assert!(read.at(0) <= 9018 && read.at(u64::MAX) <= 9018);
            prop_assert_eq!(sizes(&read.to_string()), read.clone());
            let mean = read.mean_octets();
            prop_assert!(f64::from(read.least() as u32) <= mean && mean <= f64::from(read.largest() as u32));
        }

        #[test]
        fn garbage_is_refused_or_means_what_it_says(text in "[0-9a-z:,. +-]{0,20}") {
            if let Ok(read) = text.parse::<Sizes>() {
                prop_assert_eq!(sizes(&read.to_string()), read);
            }
        }
    }
}
