//! Which addresses are asked for? The same for every table, from a generator of numbers that starts the same.

use frame::MacAddr;

/// Marsaglia's xorshift, multiplied: all that this needs.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to 1, without 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How often each address is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Spread {
    /// All as often.
    Uniform,
    /// The n-th a n-th as often as the first.
    Zipf,
}

/// `count` different addresses in no order; another `set` (0 or 1) has others. Unicast, locally administered.
pub(crate) fn stations(count: usize, set: u64) -> Vec<MacAddr> {
    // Each step maps different numbers below 2^39 to different ones.
    let times = |number: u64, odd: u64| number.wrapping_mul(odd) & 0x7f_ffff_ffff;
    let mix = |index: u64| {
        let number = times(index, 0x9e37_79b9_7f4a_7c15);
        times(number ^ number >> 19, 0x2545_f491_4f6c_dd1d)
    };
    (0..count as u64).map(|index| MacAddr::from_u64(0x0200_0000_0000 | set << 39 | mix(index))).collect()
}

/// `count` questions about `stations`.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a rank among fewer than 2^53, never negative")]
pub(crate) fn questions(stations: &[MacAddr], count: usize, spread: Spread) -> Vec<MacAddr> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let of = stations.len() as f64;
    let index = |share: f64| match spread {
        Spread::Uniform => share * of,
        // The inverse of the distribution function, which is log(rank) / log(number).
        Spread::Zipf => of.powf(share) - 1.0,
    };
    (0..count).filter_map(|_| stations.get(index(dice.share()) as usize).copied()).collect()
}
