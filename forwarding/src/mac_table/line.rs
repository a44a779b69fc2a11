//! Which of a line's slots hold an address, and how does a line come into the cache before it is needed? The
//! only unsafe code of the crate: what the processor can do and safe Rust cannot say.
//!
//! - **Comparing.** Atomics are loaded one by one, and no compiler joins them into a vector. AVX-512 compares
//!   the seven slots in five instructions, scalar code in forty. The vector load stands in an `asm!` block: to the
//!   compiler that is code which may read memory that other threads write, to the processor it is eight aligned
//!   words, each of which is read in one piece. Whether they were read at the same moment does not matter: the
//!   answer is only *which* slot to load, and the caller loads it and looks whether the address is still there.
//! - **Prefetching.** A plain load would do as well, but stays in the reorder buffer until its line is there:
//!   after a dozen of them nothing moves. A prefetch retires at once.
//!
//! What they give stands in the head of the benchmark `mac_table`.
//!
//! Which of them the processor has is asked once, when a table is made. Elsewhere, and in the model, scalar
//! code does it all.

use std::sync::atomic::Ordering::Acquire;

use frame::MacAddr;

use super::bucket::{Bucket, SLOTS, key_of};
use super::hash::Hash;

/// The bits of an answer that stand for slots; the eighth is the meta word's.
#[cfg(all(target_arch = "x86_64", not(feature = "model")))]
const SLOT_BITS: u32 = (1 << SLOTS) - 1;

/// Addresses of a burst that are sought before the first is looked up.
pub(super) const BURST: usize = 32;

/// The addresses of a burst as they are sought.
#[derive(Clone, Copy)]
pub(super) struct SoughtBurst {
    pub(super) keys: [u64; BURST],
    pub(super) firsts: [u64; BURST],
}

/// A way to compare.
pub(super) trait Compare: Copy {
    /// A bit for each slot whose address is `key`.
    fn matches(self, bucket: &Bucket, key: u64) -> u32;

    /// The keys and first buckets of a burst.
    #[inline(always)]
    fn seek(self, hash: &Hash, macs: &[MacAddr; BURST], sought: &mut SoughtBurst) {
        for ((mac, key), first) in macs.iter().zip(&mut sought.keys).zip(&mut sought.firsts) {
            *key = key_of(*mac);
            *first = hash.first(*key).0 as u64;
        }
    }
}

/// Word by word, everywhere.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

impl Compare for Scalar {
    /// All seven slots are compared, whichever matches: a loop that left early would be mispredicted about
    /// once a look-up, which costs more than the comparisons.
    #[inline(always)]
    fn matches(self, bucket: &Bucket, key: u64) -> u32 {
        (0..SLOTS).fold(0, |bits, slot| bits | u32::from((bucket.word(slot).load(Acquire) ^ key) << 16 == 0) << slot)
    }
}

/// What the processor can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Vector {
    Scalar,
    #[cfg(all(target_arch = "x86_64", not(feature = "model")))]
    Avx512(Avx512),
}

impl Vector {
    pub(super) fn detect() -> Self {
        #[cfg(all(target_arch = "x86_64", not(feature = "model")))]
        if let Some(avx512) = Avx512::detect() {
            return Self::Avx512(avx512);
        }
        Self::Scalar
    }
}

impl Compare for Vector {
    #[inline(always)]
    fn matches(self, bucket: &Bucket, key: u64) -> u32 {
        match self {
            Self::Scalar => Scalar.matches(bucket, key),
            #[cfg(all(target_arch = "x86_64", not(feature = "model")))]
            Self::Avx512(avx512) => avx512.matches(bucket, key),
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(feature = "model")))]
pub(super) use x86::Avx512;
#[cfg(all(target_arch = "x86_64", not(feature = "model")))]
pub(super) use x86::prefetch;

#[cfg(not(all(target_arch = "x86_64", not(feature = "model"))))]
#[inline(always)]
pub(super) fn prefetch(_bucket: &Bucket) {}

#[cfg(all(target_arch = "x86_64", not(feature = "model")))]
#[allow(unsafe_code, reason = "vector loads of shared memory and prefetches have no safe form")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    use super::{BURST, Bucket, Compare, Hash, MacAddr, SLOT_BITS, SoughtBurst};

    /// The processor has AVX-512F, and the operating system saves its registers: only [`Avx512::detect`]
    /// makes one.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(in super::super) struct Avx512(());

    impl Avx512 {
        pub(super) fn detect() -> Option<Self> {
            let has = std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512dq")
                && std::is_x86_feature_detected!("avx512bw");
            has.then_some(Self(()))
        }
    }

    /// Each address is three words of 16 bits; the fourth of each key is not taken.
    static SPREAD: [u16; 32] =
        [0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 0, 9, 10, 11, 0, 12, 13, 14, 0, 15, 16, 17, 0, 18, 19, 20, 0, 21, 22, 23, 0];

    impl Compare for Avx512 {
        #[inline(always)]
        fn matches(self, bucket: &Bucket, key: u64) -> u32 {
            let bits: u32;
            // SAFETY: the 64 octets read are those of `bucket`, aligned to 64; `self` says that the processor has the
            // instructions. Each word is read in one piece, as a relaxed atomic load would, and loads stay in
            // order on this architecture. Registers above 15 leave nothing behind that would slow SSE down.
            unsafe {
                asm!(
                    "vpbroadcastq zmm16, {key}",
                    "vpxorq zmm16, zmm16, zmmword ptr [{line}]",
                    "vpsllq zmm16, zmm16, 16",
                    "vptestnmq k1, zmm16, zmm16",
                    "kmovw {bits:e}, k1",
                    key = in(reg) key,
                    line = in(reg) std::ptr::from_ref(bucket),
                    bits = lateout(reg) bits,
                    out("xmm16") _,
                    out("k1") _,
                    options(nostack, preserves_flags, readonly),
                );
            }
            bits & SLOT_BITS
        }

        /// What [`Hash::first`] does, for eight addresses at a time.
        #[inline]
        fn seek(self, hash: &Hash, macs: &[MacAddr; BURST], sought: &mut SoughtBurst) {
            let factors = hash.factors();
            let (eights, _) = macs.as_chunks::<8>();
            let (keys, _) = sought.keys.as_chunks_mut::<8>();
            let (firsts, _) = sought.firsts.as_chunks_mut::<8>();
            for ((macs, keys), firsts) in eights.iter().zip(keys).zip(firsts) {
                // SAFETY: `self` says that the processor has the instructions. Read are the 48 octets of eight addresses, to
                // which `taken` limits the load, four factors and 64 octets of `SPREAD`; written are eight words each.
                unsafe {
                    asm!(
                        "kmovd k1, {taken:e}",
                        "kmovd k2, {spread:e}",
                        "vmovdqu16 zmm16 {{k1}} {{z}}, zmmword ptr [{macs}]",
                        "vmovdqu64 zmm17, zmmword ptr [{places}]",
                        "vpermw zmm16 {{k2}} {{z}}, zmm17, zmm16",
                        "vmovdqu64 zmmword ptr [{keys}], zmm16",
                        "vpxorq zmm16, zmm16, qword ptr [{factors}]{{1to8}}",
                        "vpmullq zmm16, zmm16, qword ptr [{factors} + 8]{{1to8}}",
                        "vpsrlq zmm17, zmm16, 32",
                        "vpxorq zmm16, zmm16, zmm17",
                        "vpxorq zmm17, zmm16, qword ptr [{factors} + 16]{{1to8}}",
                        "vpmullq zmm16, zmm16, zmm17",
                        "vpsrlq zmm16, zmm16, 32",
                        "vpmuludq zmm16, zmm16, qword ptr [{factors} + 24]{{1to8}}",
                        "vpsrlq zmm16, zmm16, 32",
                        "vmovdqu64 zmmword ptr [{firsts}], zmm16",
                        taken = in(reg) 0x00ff_ffff_u32,
                        spread = in(reg) 0x7777_7777_u32,
                        places = in(reg) SPREAD.as_ptr(),
                        macs = in(reg) macs.as_ptr(),
                        factors = in(reg) factors.as_ptr(),
                        keys = in(reg) keys.as_mut_ptr(),
                        firsts = in(reg) firsts.as_mut_ptr(),
                        out("xmm16") _,
                        out("xmm17") _,
                        out("k1") _,
                        out("k2") _,
                        options(nostack, preserves_flags),
                    );
                }
            }
        }
    }

    /// Have `bucket`'s line brought into the cache; returns at once.
    #[inline(always)]
    pub(in super::super) fn prefetch(bucket: &Bucket) {
        // SAFETY: a prefetch reads nothing and faults never; SSE is part of the architecture.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(bucket).cast()) };
    }
}

#[cfg(all(test, target_arch = "x86_64", not(feature = "model")))]
mod tests {
    use super::super::bucket::Entry;
    use super::super::tests::SECRET;
    use super::*;
    use frame::PortId;

    #[test]
    fn the_vector_answers_as_word_by_word_does() {
        let Some(vector) = Avx512::detect() else {
            return println!("this processor has no AVX-512: nothing to compare");
        };
        let (bucket, key) = (Bucket::default(), |number: u64| key_of(MacAddr::from_u64(0x0242_0a00_0000 + number)));
        let locked = bucket.try_lock(1).unwrap();
        for filled in 0..=SLOTS {
            for number in 0..16 {
                let (by_vector, by_word) = (vector.matches(&bucket, key(number)), Scalar.matches(&bucket, key(number)));
                assert_eq!(by_vector, by_word, "{filled} filled, address {number}");
                assert_eq!(by_word, if number < filled as u64 { 1 << number } else { 0 });
            }
            // An empty slot is a word of zeros, and the meta word is no slot.
            assert_eq!(vector.matches(&bucket, 0), Scalar.matches(&bucket, 0));
            let meta = bucket.word(SLOTS.min(6)).load(Acquire);
            assert_eq!(vector.matches(&bucket, meta), Scalar.matches(&bucket, meta));
            if filled < SLOTS {
                locked.put(filled, Entry::learned(key(filled as u64), PortId(4095), 14), 255);
            }
        }
    }

    #[test]
    fn the_vector_seeks_as_word_by_word_does() {
        let Some(vector) = Avx512::detect() else {
            return println!("this processor has no AVX-512: nothing to compare");
        };
        for buckets in [2, 3, 1756, 1 << 20] {
            let hash = Hash::new(SECRET, buckets);
            let macs: [MacAddr; BURST] =
                std::array::from_fn(|n| MacAddr::from_u64((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            let nothing = SoughtBurst { keys: [7; BURST], firsts: [7; BURST] };
            let (mut by_vector, mut by_word) = (nothing, nothing);
            vector.seek(&hash, &macs, &mut by_vector);
            Scalar.seek(&hash, &macs, &mut by_word);
            assert_eq!((by_vector.keys, by_vector.firsts), (by_word.keys, by_word.firsts), "{buckets} buckets");
        }
    }
}
