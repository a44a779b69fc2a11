//! Which two buckets may hold an address? Containers choose their own MACs, so nobody outside may be able
//! to tell which addresses share a bucket: the hash is keyed with a secret of the table's own.
//!
//! Two products of 64 bits, of which the second is nearly a square. One product is not enough: addresses in a row
//! are then multiples of the secret in a row, and one secret in a few hundred puts them into a handful of
//! buckets; nor is a second one by a constant, for the strides it does not break up. Squares of numbers in a row are
//! in no row. Products that keep their low half exist eight at a time in AVX-512, those of 128 bits do not.
//!
//! The second bucket is a third product away, folded: it is asked for rarely, and addresses that share the first
//! scatter over the whole table for it.
//!
//! Not done: resistance to someone who can measure the time of many look-ups; then the secret leaks.

/// A table's secret.
pub type Secret = [u64; 4];

#[derive(Clone)]
pub(super) struct Hash {
    secret: Secret,
    buckets: u64,
}

impl Hash {
    /// For `buckets` (2 to 2^32) buckets.
    pub(super) fn new([a, b, c, d]: Secret, buckets: usize) -> Self {
        // An even multiplier would throw bits away.
        Self { secret: [a, b | 1, c | 1, d | 1], buckets: buckets as u64 }
    }

    /// The first bucket of `key`, and what [`Hash::second`] needs.
    #[inline]
    pub(super) fn first(&self, key: u64) -> (usize, u64) {
        let [a, b, _, d] = self.secret;
        let product = (key ^ a).wrapping_mul(b);
        let mixed = product ^ product >> 32;
        let hash = mixed.wrapping_mul(mixed ^ d);
        (self.scale(hash >> 32), hash)
    }

    /// What [`Hash::first`] computes with, in the order in which it does.
    #[cfg(all(target_arch = "x86_64", not(feature = "model")))]
    pub(super) fn factors(&self) -> [u64; 4] {
        let [a, b, _, d] = self.secret;
        [a, b, d, self.buckets]
    }

    /// The second bucket: never the same as the first.
    #[inline]
    pub(super) fn second(&self, first: usize, hash: u64) -> usize {
        let [_, _, c, _] = self.secret;
        let second = self.scale(fold(hash, c) >> 32);
        if second != first {
            second
        } else if second + 1 < self.buckets as usize {
            second + 1
        } else {
            0
        }
    }

    /// 32 bits as a fraction of the table: any number of buckets will do, not only powers of two, so memory
    /// follows capacity.
    #[inline]
    fn scale(&self, half: u64) -> usize {
        ((half * self.buckets) >> 32) as usize
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret from a number, as good as random (the `SplitMix64` sequence).
    fn secret(seed: u64) -> Secret {
        let mut state = seed.wrapping_mul(0x1_0000_0001);
        [0; 4].map(|_: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        })
    }

    /// How unevenly 10,000 addresses, `stride` apart, fill 1,000 buckets: 10 is what dice would do.
    fn variance(seed: u64, stride: u64, second: bool) -> f64 {
        let hash = Hash::new(secret(seed), 1000);
        let mut load = vec![0u32; 1000];
        for number in 0..10_000 {
            let (first, value) = hash.first(0x0242_ac11_0000 + number * stride);
            let at = if second { hash.second(first, value) } else { first };
            load[at] += 1;
        }
        load.iter().map(|count| (f64::from(*count) - 10.0).powi(2)).sum::<f64>() / 1000.0
    }

    #[test]
    fn addresses_in_a_row_scatter_whatever_the_secret() {
        for (stride, second) in [(1, false), (1, true), (256, false), (1 << 32, false), (0x0101_0000, false)] {
            let all: Vec<f64> = (1..=300).map(|seed| variance(seed, stride, second)).collect();
            let worst = all.iter().copied().fold(0.0, f64::max);
            println!("stride {stride}: mean {:.1}, worst {worst:.1}", all.iter().sum::<f64>() / 300.0);
            assert!(worst < 20.0, "stride {stride}, second {second}: {worst}");
        }
    }

    #[test]
    fn no_address_has_its_own_bucket_twice_and_two_secrets_agree_on_nothing() {
        let (one, other) = (Hash::new(secret(1), 4096), Hash::new(secret(2), 4096));
        let mut same = 0;
        for key in 0x0242_0000_0000..0x0242_0000_1000 {
            let (first, value) = one.first(key);
            assert_ne!(first, one.second(first, value));
            same += u32::from(first == other.first(key).0);
        }
        assert!(same < 20, "{same}");
    }
}
