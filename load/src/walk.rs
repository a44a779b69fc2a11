//! From whom to whom? Of so many addresses, the one for the n-th frame.
//!
//! | text | index of the n-th frame |
//! | --- | --- |
//! | `fixed` | 0 |
//! | `sequential` | n modulo the count |
//! | `random` | any, each as often |
//! | `zipf`, `zipf:1.2` | Zipf's law: index k as often as 1 / (k + 1)^s, s being 1 unless given; few talk much, as in a real network |
//!
//! An index becomes an address by counting on from a base: [`mac_at`], [`ip_at`].
//!
//! The same seed makes the same walk: the generator is PCG (O'Neill 2014, HMC-CS-2014-0905), whose numbers are the same on
//! every machine. `zipf` takes powers in floating point besides, which another C library may round otherwise.
//!
//! Not done: a walk that never has an address twice but in no order.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use frame::MacAddr;
use rand::Rng;
use rand_distr::{Distribution, Zipf};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use crate::LoadError;
use crate::size::digits;

/// The largest exponent of Zipf's law, in thousandths: at 10, one frame in a thousand is not of the first address.
pub const MOST_EXPONENT: u16 = 10_000;

/// How the frames of a stream walk over addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Walk {
    /// Always the first.
    Fixed,
    /// One after the other, and from the first again.
    #[default]
    Sequential,
    /// Any of them, each as often.
    Random,
    /// By Zipf's law, the first most often.
    Zipf {
        /// The exponent in thousandths, up to [`MOST_EXPONENT`].
        thousandths: u16,
    },
}

impl Walk {
    /// Zipf's law with exponent 1.
    pub const ZIPF: Self = Self::Zipf { thousandths: 1000 };
}

impl FromStr for Walk {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let text = text.trim();
        Ok(match text {
            "fixed" => Self::Fixed,
            "sequential" => Self::Sequential,
            "random" => Self::Random,
            "zipf" => Self::ZIPF,
            _ => {
                let exponent = text.strip_prefix("zipf:").ok_or_else(|| LoadError::NoWalk(text.to_owned()))?;
                let thousandths = thousandths(exponent).ok_or_else(|| LoadError::ZipfExponent(exponent.to_owned()))?;
                Self::Zipf { thousandths }
            }
        })
    }
}

/// A decimal number with at most three decimals, no larger than [`MOST_EXPONENT`] thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 3 || whole.contains(char::is_whitespace) {
        return None;
    }
    let thousandths = digits(whole)?.checked_mul(1000)?.checked_add(digits(&format!("{fraction:0<3}"))?)?;
    u16::try_from(thousandths).ok().filter(|thousandths| *thousandths <= MOST_EXPONENT)
}

/// The text that is read as the same walk.
impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.pad("fixed"),
            Self::Sequential => f.pad("sequential"),
            Self::Random => f.pad("random"),
            Self::Zipf { thousandths: 1000 } => f.pad("zipf"),
            Self::Zipf { thousandths } => f.pad(&format!("zipf:{}", f64::from(*thousandths) / 1000.0)),
        }
    }
}

impl TryFrom<String> for Walk {
    type Error = LoadError;

    fn try_from(text: String) -> Result<Self, LoadError> {
        text.parse()
    }
}

impl From<Walk> for String {
    fn from(walk: Walk) -> Self {
        walk.to_string()
    }
}

/// One walk on its way: an endless iterator over indices below its count.
#[derive(Clone, Debug)]
pub struct Walker {
    step: Step,
    count: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Fixed,
    Sequential { next: u32 },
    Random(Pcg64Mcg),
    Zipf(Pcg64Mcg, Zipf<f64>),
}

impl Walker {
    /// Begin a walk over `count` addresses. Walks of one seed and different `purpose` have nothing to do with each other.
    ///
    /// # Errors
    /// [`LoadError::NoCount`] for a count of 0, [`LoadError::ZipfExponent`] for one beyond [`MOST_EXPONENT`].
    pub fn new(walk: Walk, count: u32, seed: u64, purpose: u64) -> Result<Self, LoadError> {
        if count == 0 {
            return Err(LoadError::NoCount("address"));
        }
        let step = match walk {
            Walk::Fixed => Step::Fixed,
            Walk::Sequential => Step::Sequential { next: 0 },
            Walk::Random => Step::Random(generator(seed, purpose)),
            Walk::Zipf { thousandths } => {
                let exponent = f64::from(thousandths) / 1000.0;
                let law = Zipf::new(f64::from(count), exponent).ok().filter(|_| thousandths <= MOST_EXPONENT);
                Step::Zipf(generator(seed, purpose), law.ok_or_else(|| LoadError::ZipfExponent(exponent.to_string()))?)
            }
        };
        Ok(Self { step, count })
    }

    /// The index for the next frame.
    #[inline]
    pub fn step(&mut self) -> u32 {
        match &mut self.step {
            Step::Fixed => 0,
            Step::Sequential { next } => {
                let index = *next;
                *next = if index + 1 == self.count { 0 } else { index + 1 };
                index
            }
            Step::Random(generator) => below(generator.next_u64(), self.count),
            Step::Zipf(generator, law) => {
                #[expect(clippy::cast_sign_loss, reason = "a rank is 1 or more")]
                let rank = law.sample(generator) as u32;
                // Rounding may take the rank one beyond the last.
                rank.saturating_sub(1).min(self.count - 1)
            }
        }
    }
}

impl Iterator for Walker {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        Some(self.step())
    }
}

/// The number below `count` that a random number stands for.
#[inline]
pub(crate) fn below(random: u64, count: u32) -> u32 {
    ((u128::from(random) * u128::from(count)) >> 64) as u32
}

/// A generator of its own for one purpose of one seed. The mixing is `SplitMix64`'s (Steele, Lea, Flood 2014): neighboring
/// seeds give generators that are nothing alike. It is written out here because a library may change how it seeds.
pub(crate) fn generator(seed: u64, purpose: u64) -> Pcg64Mcg {
    let mix = |value: u64| {
        let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    let low = mix(seed ^ mix(purpose));
    Pcg64Mcg::new(u128::from(mix(low)) << 64 | u128::from(low))
}

/// MAC addresses that [`mac_at`] counts through before it begins again: all but two bits of them.
pub const MAC_ADDRESSES: u64 = 1 << 46;

/// The bit that says a group (IEEE 802 clause 8), and the one that says locally administered, in [`MacAddr::to_u64`].
const GROUP_AND_LOCAL: u64 = 0x0300_0000_0000;

/// The `index`-th MAC address from `base` on, which is the 0th. The count carries over the two bits of the first octet that
/// are no number: none becomes a group's, and all are locally administered, or not, as the base is.
#[inline]
pub fn mac_at(base: MacAddr, index: u32) -> MacAddr {
    let kept = base.to_u64() & GROUP_AND_LOCAL;
    let counted = (mac_number(base) + u64::from(index)) % MAC_ADDRESSES;
    let low = counted & 0x00ff_ffff_ffff;
    MacAddr::from_u64((counted >> 40) << 42 | kept | low)
}

/// An address without its two bits that are no number.
pub(crate) fn mac_number(mac: MacAddr) -> u64 {
    let value = mac.to_u64();
    (value >> 42) << 40 | value & 0x00ff_ffff_ffff
}

/// The `index`-th IP address from `base` on, which is the 0th; after the last of all comes the first.
pub fn ip_at(base: IpAddr, index: u32) -> IpAddr {
    match base {
        IpAddr::V4(base) => Ipv4Addr::from(u32::from(base).wrapping_add(index)).into(),
        IpAddr::V6(base) => Ipv6Addr::from(u128::from(base).wrapping_add(index.into())).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn walker(walk: &str, count: u32) -> Walker {
        Walker::new(walk.parse().unwrap(), count, 7, 1).unwrap()
    }

    fn any_walk() -> impl Strategy<Value = Walk> {
        let zipf = (0..=MOST_EXPONENT).prop_map(|thousandths| Walk::Zipf { thousandths });
        prop_oneof![Just(Walk::Fixed), Just(Walk::Sequential), Just(Walk::Random), zipf]
    }

    #[test]
    fn reads_and_writes_the_usual_forms() {
        for (text, walk, canonical) in [
            ("fixed", Walk::Fixed, "fixed"),
            (" sequential ", Walk::Sequential, "sequential"),
            ("random", Walk::Random, "random"),
            ("zipf", Walk::ZIPF, "zipf"),
            ("zipf:1", Walk::ZIPF, "zipf"),
            ("zipf:0.990", Walk::Zipf { thousandths: 990 }, "zipf:0.99"),
            ("zipf:10.0", Walk::Zipf { thousandths: 10_000 }, "zipf:10"),
            ("zipf:0", Walk::Zipf { thousandths: 0 }, "zipf:0"),
        ] {
            assert_eq!(text.parse(), Ok(walk));
            assert_eq!(walk.to_string(), canonical);
            assert_eq!(serde_json::to_string(&walk).unwrap(), format!("\"{canonical}\""));
        }
        assert_eq!(serde_json::from_str::<Walk>("\"zipf:1.2\"").unwrap(), Walk::Zipf { thousandths: 1200 });
    }

    #[test]
    fn refuses_what_is_no_walk() {
        let exponent = |text: &str| LoadError::ZipfExponent(text.into());
        for (text, error) in [
            ("", LoadError::NoWalk(String::new())),
            ("Random", LoadError::NoWalk("Random".into())),
            ("zipf1", LoadError::NoWalk("zipf1".into())),
            ("zipf:", exponent("")),
            ("zipf:-1", exponent("-1")),
            ("zipf:10.001", exponent("10.001")),
            ("zipf:1.0001", exponent("1.0001")),
            ("zipf:1.", exponent("1.")),
            ("zipf:.5", exponent(".5")),
            ("zipf: 1", exponent(" 1")),
            ("zipf:1e3", exponent("1e3")),
            ("zipf:NaN", exponent("NaN")),
            ("zipf:99999999999999999999", exponent("99999999999999999999")),
        ] {
            let refused = text.parse::<Walk>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert_eq!(refused.to_string().lines().count(), 1);
        }
        assert_eq!(Walker::new(Walk::Fixed, 0, 0, 0).unwrap_err(), LoadError::NoCount("address"));
        let too_steep = Walk::Zipf { thousandths: MOST_EXPONENT + 1 };
        assert_eq!(Walker::new(too_steep, 1, 0, 0).unwrap_err(), exponent("10.001"));
    }

    #[test]
    fn fixed_stays_and_sequential_goes_round() {
        assert_eq!(walker("fixed", 3).take(4).collect::<Vec<_>>(), [0; 4]);
        assert_eq!(walker("sequential", 3).take(7).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(walker("sequential", u32::MAX).nth(2), Some(2));
    }

    /// Of 100,000 frames, each of the first ranks has its share within five standard deviations.
    #[test]
    fn shares_are_those_of_the_law() {
        let total = 100_000u32;
        for (walk, count, exponent) in
            [("random", 10, 0.0), ("zipf:0", 10, 0.0), ("zipf", 10, 1.0), ("zipf:0.5", 100, 0.5), ("zipf:2", 1000, 2.0)]
        {
            let mut seen = vec![0u32; count as usize];
            walker(walk, count).take(total as usize).for_each(|index| seen[index as usize] += 1);
            let weight = |rank: u32| f64::from(rank).powf(-exponent);
            let weights: f64 = (1..=count).map(weight).sum();
            for index in 0..10 {
                let expected = f64::from(total) * weight(index + 1) / weights;
                let off = (f64::from(seen[index as usize]) - expected).abs();
                assert!(
                    off < 5.0 * expected.sqrt(),
                    "{walk}: {index} came {} times, not {expected}",
                    seen[index as usize]
                );
            }
        }
    }

    /// Whoever changes the generator or its seeding changes everyone's frames: this says so.
    #[test]
    fn the_numbers_are_the_same_everywhere() {
        let random: Vec<_> = walker("random", 1_000_000).take(5).collect();
        // As a computation in another language has them, from the papers' constants.
        assert_eq!(random, [203_328, 566_938, 742_111, 865_847, 703_354]);
    }

    #[test]
    fn macs_are_counted_past_what_is_no_number() {
        let mac = |text: &str| text.parse::<MacAddr>().unwrap();
        for (base, index, expected) in [
            ("02:73:00:00:00:01", 0, "02:73:00:00:00:01"),
            ("02:73:00:00:00:01", 0xffff, "02:73:00:01:00:00"),
            ("02:ff:ff:ff:ff:ff", 1, "06:00:00:00:00:00"),
            ("00:ff:ff:ff:ff:ff", 2, "04:00:00:00:00:01"),
            ("fe:ff:ff:ff:ff:ff", 1, "02:00:00:00:00:00"),
            ("01:00:5e:00:00:01", 1, "01:00:5e:00:00:02"),
        ] {
            assert_eq!(mac_at(mac(base), index), mac(expected), "{base} + {index}");
        }
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(ip_at(ip("198.18.0.255"), 1), ip("198.18.1.0"));
        assert_eq!(ip_at(ip("2001:2::ffff:ffff"), 1), ip("2001:2::1:0:0"));
        assert_eq!(ip_at(ip("255.255.255.255"), 2), ip("0.0.0.1"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_index_is_below_the_count(walk in any_walk(), count in 1..=u32::MAX, seed in any::<u64>()) {
            for index in Walker::new(walk, count, seed, 3).unwrap().take(50) {
                prop_assert!(index < count);
            }
        }

        #[test]
        fn the_same_seed_makes_the_same_walk(walk in any_walk(), count in 1u32..1_000_000, seed in any::<u64>()) {
            let walk_of = |seed, purpose| Walker::new(walk, count, seed, purpose).unwrap().take(200).collect::<Vec<_>>();
            prop_assert_eq!(walk_of(seed, 1), walk_of(seed, 1));
            if walk == Walk::Random && count > 1000 {
                prop_assert_ne!(walk_of(seed, 1), walk_of(seed, 2));
                prop_assert_ne!(walk_of(seed, 1), walk_of(seed.wrapping_add(1), 1));
            }
        }

        #[test]
        fn what_is_written_is_read(walk in any_walk()) {
            prop_assert_eq!(walk.to_string().parse(), Ok(walk));
        }

        #[test]
        fn garbage_is_refused(text in "(zipf:)?[a-z0-9.: -]{0,12}") {
            if let Ok(walk) = text.parse::<Walk>() {
                prop_assert_eq!(walk.to_string().parse(), Ok(walk));
            }
        }

        #[test]
        fn no_mac_is_a_group_or_comes_twice(base in any::<u64>(), indices in prop::collection::hash_set(any::<u32>(), 2..50)) {
            let base = MacAddr::from_u64(base & !0x0100_0000_0000);
            let macs: HashSet<_> = indices.iter().map(|index| mac_at(base, *index)).collect();
            prop_assert_eq!(macs.len(), indices.len());
            prop_assert!(macs.iter().all(|mac| !mac.is_group() && mac.0[0] & 2 == base.0[0] & 2));
            prop_assert_eq!(mac_at(base, 0), base);
        }
    }
}
