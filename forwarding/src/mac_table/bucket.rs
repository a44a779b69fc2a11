//! What does one line of the table look like, and how is it read and changed by several threads at once?
//!
//! ```text
//! one 64-octet cache line, eight words of 64 bits, each read and written in one piece:
//!
//!   slot 0..6   | kind 4 | port 12 |                  MAC 48                  |
//!   meta        | L | displaced 7 | stamp 6 | stamp 5 | ... | stamp 1 | stamp 0 |    stamps of 8 bits
//!
//!   kind        0 static, 1..=14 learned in that generation of the port, 15 gateway; a word of 0 is empty
//!   stamp       the clock's tick in which the slot's address was last heard
//!   displaced   how many addresses of this bucket live in their second one; 127 stays 127
//!   L           a writer is at work
//! ```
//! A slot's word says all that a look-up has to know but its age, so an entry is never seen half old and
//! half new. The meta word is only ever changed by atomic read-modify-write: restamping, which takes no
//! lock, and a writer's changes never undo each other.
//!
//! **A writer pays two of these**: one takes the lock, one stamps the new entry and gives the lock back. So the
//! entry is there a moment before its stamp, and until then has the age of what was in the slot before. Who
//! takes it for dead in that moment either only reads, and finds it as soon as it is learned; or wants to
//! clear it, and waits for the lock first. Who restamps it in that moment is not overruled by the writer.
//!
//! **The writers' rule.** Who adds an address or changes its entry holds the lock of the address's *first*
//! bucket, and of the second as well when the entry is there: two threads that learn one address meet at
//! that lock and cannot both add it. Who removes an entry needs only the lock of the bucket it is in.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use frame::{MacAddr, PortId};

use super::line::Compare;
use super::sync::{AtomicU64, spin_loop};

/// Slots in a bucket: what fits beside the meta word in one cache line.
pub(super) const SLOTS: usize = 7;

const KEY: u64 = 0xffff_ffff_ffff;
const STATIC: u8 = 0;
const GATEWAY: u8 = 15;
/// The highest generation of a port that a slot can name; the lowest is 1.
pub(super) const LAST_GENERATION: u8 = 14;

const LOCK: u64 = 1 << 63;
const DISPLACED_SHIFT: u32 = 56;
const DISPLACED_MAX: u64 = 127;

/// An address as the table hashes and compares it: in the order in which this takes fewest instructions.
#[inline]
pub(super) fn key_of(mac: MacAddr) -> u64 {
    let [o1, o2, o3, o4, o5, o6] = mac.0;
    u64::from(u32::from_le_bytes([o1, o2, o3, o4])) | u64::from(u16::from_le_bytes([o5, o6])) << 32
}

/// The inverse of [`key_of`].
pub(super) fn mac_of(key: u64) -> MacAddr {
    let [o1, o2, o3, o4, o5, o6, ..] = key.to_le_bytes();
    MacAddr([o1, o2, o3, o4, o5, o6])
}

/// The word of one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry(u64);

/// What an entry is, read from its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Static(PortId),
    Learned(PortId, u8),
    Gateway,
}

impl Entry {
    const EMPTY: Self = Self(0);

    #[inline]
    fn new(key: u64, kind: u8, port: PortId) -> Self {
        Self(key & KEY | u64::from(port.0 & 0xfff) << 48 | u64::from(kind) << 60)
    }

    #[inline]
    pub(super) fn learned(key: u64, port: PortId, generation: u8) -> Self {
        Self::new(key, generation, port)
    }

    /// The learned entry with the top 16 bits ready made: see `Ports::prefix`.
    #[inline]
    pub(super) fn of_prefix(key: u64, prefix: u16) -> Self {
        Self(key | u64::from(prefix) << 48)
    }

    /// The port it names; 0 for a gateway's.
    #[inline]
    pub(super) fn port(self) -> PortId {
        PortId((self.0 >> 48) as u16 & 0xfff)
    }

    pub(super) fn fixed(key: u64, port: PortId) -> Self {
        Self::new(key, STATIC, port)
    }

    pub(super) fn gateway(key: u64) -> Self {
        Self::new(key, GATEWAY, PortId(0))
    }

    /// Is it the static entry of this address on this port?
    #[inline]
    pub(super) fn is_static_of(self, key: u64, port: PortId) -> bool {
        self.key() == key && self.kind() == Kind::Static(port) && !self.is_empty()
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    pub(super) fn key(self) -> u64 {
        self.0 & KEY
    }

    pub(super) fn mac(self) -> MacAddr {
        mac_of(self.0)
    }

    pub(super) fn kind(self) -> Kind {
        let port = self.port();
        match (self.0 >> 60) as u8 {
            STATIC => Kind::Static(port),
            GATEWAY => Kind::Gateway,
            generation => Kind::Learned(port, generation),
        }
    }

    /// The port and generation, for a learned entry.
    pub(super) fn as_learned(self) -> Option<(PortId, u8)> {
        match self.kind() {
            Kind::Learned(port, generation) => Some((port, generation)),
            Kind::Static(_) | Kind::Gateway => None,
        }
    }
}

/// The meta word as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Meta(u64);

impl Meta {
    pub(super) fn stamp(self, slot: usize) -> u8 {
        (self.0 >> (slot * 8)) as u8
    }

    /// Does any address of this bucket live in its second one?
    pub(super) fn has_displaced(self) -> bool {
        self.displaced() != 0
    }

    fn displaced(self) -> u64 {
        self.0 >> DISPLACED_SHIFT & DISPLACED_MAX
    }

    fn with_stamp(self, slot: usize, tick: u8) -> Self {
        let shift = slot * 8;
        Self(self.0 & !(0xff << shift) | u64::from(tick) << shift)
    }
}

/// Ticks from `stamp` to `tick`; the clock sees to it that they are never 256 or more.
pub(super) fn age(tick: u8, stamp: u8) -> u8 {
    tick.wrapping_sub(stamp)
}

/// Ticks an entry lives: a learned entry is dead when its age has this bit.
pub(super) const LIFE_TICKS: u8 = 128;

/// One line of the table.
#[derive(Default)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    /// The slots and, last, the meta word.
    words: [AtomicU64; SLOTS + 1],
}

impl Bucket {
    /// The word of `slot`, which is below [`SLOTS`].
    #[inline(always)]
    pub(super) fn word(&self, slot: usize) -> &AtomicU64 {
        &self.words[slot & SLOTS]
    }

    #[inline(always)]
    fn meta_word(&self) -> &AtomicU64 {
        &self.words[SLOTS]
    }

    /// The entry of `key` and its slot, as the line is just now.
    #[inline]
    pub(super) fn find(&self, by: impl Compare, key: u64) -> Option<(Entry, usize)> {
        let slot = by.matches(self, key).trailing_zeros() as usize;
        if slot >= SLOTS {
            return None;
        }
        let entry = self.entry(slot);
        (entry.key() == key && !entry.is_empty()).then_some((entry, slot))
    }

    /// An empty slot.
    #[inline]
    pub(super) fn find_empty(&self, by: impl Compare) -> Option<usize> {
        // No station's address is zero, so only empty slots match it.
        let slot = by.matches(self, 0).trailing_zeros() as usize;
        (slot < SLOTS).then_some(slot)
    }

    /// Ages and flags. Read it after the slots it is to speak of: the loads are ordered.
    #[inline]
    pub(super) fn meta(&self) -> Meta {
        Meta(self.meta_word().load(Acquire))
    }

    #[inline]
    pub(super) fn entry(&self, slot: usize) -> Entry {
        Entry(self.word(slot).load(Acquire))
    }

    /// The occupied slots with what is in them.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, Entry)> + '_ {
        (0..SLOTS).map(|slot| (slot, self.entry(slot))).filter(|(_, entry)| !entry.is_empty())
    }

    /// The entry in `slot`, which had `seen` as meta word, was heard in `tick`. Without lock: when others
    /// keep changing the line this gives up, and the next frame of the station restamps it.
    #[inline]
    pub(super) fn restamp(&self, slot: usize, mut seen: Meta, tick: u8) {
        for _ in 0..4 {
            let fresh = seen.with_stamp(slot, tick);
            match self.meta_word().compare_exchange_weak(seen.0, fresh.0, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = Meta(now),
            }
        }
    }

    /// Take the writers' lock, looking at most `spins` times.
    pub(super) fn try_lock(&self, spins: u32) -> Option<Locked<'_>> {
        for _ in 0..spins {
            let seen = self.meta_word().load(Relaxed);
            if seen & LOCK == 0 && self.meta_word().compare_exchange_weak(seen, seen | LOCK, Acquire, Relaxed).is_ok() {
                return Some(Locked { bucket: self, before: Meta(seen | LOCK), stamped: Cell::new(Stamps::default()) });
            }
            spin_loop();
        }
        None
    }

    /// The bucket as it is now, not locked. When its lock is not to be had, the words are read as they are: each entry
    /// is whole all the same.
    pub(super) fn copy(&self, spins: u32) -> Self {
        let _locked = self.try_lock(spins);
        let word = |slot: usize| self.words[slot].load(Acquire);
        Self {
            words: std::array::from_fn(|slot| {
                AtomicU64::new(if slot == SLOTS { word(slot) & !LOCK } else { word(slot) })
            }),
        }
    }

    /// One address of this bucket came back from its second one, or is gone. Needs no lock; comes after
    /// the entry's removal, so that who sees a count of 0 also sees the removal.
    pub(super) fn one_displaced_less(&self) {
        self.count_displaced(|count| if count == DISPLACED_MAX { count } else { count.saturating_sub(1) });
    }

    fn count_displaced(&self, change: impl Fn(u64) -> u64) {
        let rest = !(DISPLACED_MAX << DISPLACED_SHIFT);
        let mut seen = self.meta_word().load(Relaxed);
        loop {
            let fresh = seen & rest | change(Meta(seen).displaced()) << DISPLACED_SHIFT;
            match self.meta_word().compare_exchange_weak(seen, fresh, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

/// A bucket whose slots only this thread may change; given back when dropped.
pub(super) struct Locked<'a> {
    bucket: &'a Bucket,
    /// The meta word as it became locked.
    before: Meta,
    stamped: Cell<Stamps>,
}

/// What the lock's owner has stamped and not yet shown: the bits of the meta word, and their values.
#[derive(Clone, Copy, Default)]
struct Stamps {
    mask: u64,
    value: u64,
}

impl Locked<'_> {
    /// Put `entry` into `slot`, heard in `tick`. The stamp is shown when the lock is given back.
    #[inline]
    pub(super) fn put(&self, slot: usize, entry: Entry, tick: u8) {
        let Stamps { mask, value } = self.stamped.get();
        let (bits, shift) = (0xff << (slot * 8), slot * 8);
        self.stamped.set(Stamps { mask: mask | bits, value: value & !bits | u64::from(tick) << shift });
        self.store(slot, entry);
    }

    /// Empty `slot`.
    pub(super) fn clear(&self, slot: usize) {
        self.store(slot, Entry::EMPTY);
    }

    fn store(&self, slot: usize, entry: Entry) {
        self.bucket.word(slot).store(entry.0, Release);
    }

    /// One more address of this bucket lives in its second one.
    pub(super) fn one_displaced_more(&self) {
        self.bucket.count_displaced(|count| (count + 1).min(DISPLACED_MAX));
    }
}

impl std::ops::Deref for Locked<'_> {
    type Target = Bucket;

    fn deref(&self) -> &Bucket {
        self.bucket
    }
}

impl Locked<'_> {
    /// Give back a lock of a line whose meta word is not as it was left.
    #[cold]
    fn unlock_changed(&self, Stamps { mask, value }: Stamps) {
        let word = self.bucket.meta_word();
        let mut seen = Meta(word.load(Relaxed));
        loop {
            let unchanged = |slot: &usize| mask >> (slot * 8) & 1 != 0 && seen.stamp(*slot) == self.before.stamp(*slot);
            let fresh = (0..SLOTS)
                .filter(unchanged)
                .fold(seen, |meta, slot| meta.with_stamp(slot, (value >> (slot * 8)) as u8));
            match word.compare_exchange_weak(seen.0, fresh.0 & !LOCK, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = Meta(now),
            }
        }
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        let stamps = self.stamped.get();
        let fresh = (self.before.0 & !stamps.mask | stamps.value) & !LOCK;
        if self.bucket.meta_word().compare_exchange(self.before.0, fresh, Release, Relaxed).is_err() {
            self.unlock_changed(stamps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Scalar;
    use super::*;

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn a_word_says_what_the_entry_is() {
        let key = key_of(MacAddr([0x02, 0x42, 10, 0, 0, 2]));
        let learned = Entry::learned(key, PortId(4095), 14);
        assert_eq!((learned.key(), learned.kind()), (key, Kind::Learned(PortId(4095), 14)));
        assert_eq!(Entry::fixed(key, PortId(7)).kind(), Kind::Static(PortId(7)));
        assert_eq!(Entry::gateway(key).kind(), Kind::Gateway);
        assert_eq!(Entry::gateway(key).mac().to_string(), "02:42:0a:00:00:02");
        assert!(Bucket::default().entries().next().is_none() && Bucket::default().find(Scalar, 0).is_none());
    }

    #[test]
    fn stamps_and_flags_do_not_touch_each_other() {
        let bucket = Bucket::default();
        let locked = bucket.try_lock(1).unwrap();
        assert!(bucket.try_lock(3).is_none(), "a lock is held by one");
        for slot in 0..SLOTS {
            locked.put(slot, Entry::learned(slot as u64 + 1, PortId(1), 1), 0xf0 + slot as u8);
        }
        locked.one_displaced_more();
        bucket.restamp(3, bucket.meta(), 9);
        drop(locked);
        let stamps: Vec<u8> = (0..SLOTS).map(|slot| bucket.meta().stamp(slot)).collect();
        assert_eq!(stamps, [0xf0, 0xf1, 0xf2, 9, 0xf4, 0xf5, 0xf6]);
        assert!(bucket.meta().has_displaced());
        bucket.one_displaced_less();
        assert!(!bucket.meta().has_displaced() && bucket.try_lock(1).is_some());
        assert_eq!(bucket.find(Scalar, 5), Some((Entry::learned(5, PortId(1), 1), 4)));
        assert_eq!(age(3, 250), 9);
    }

    #[test]
    fn a_full_displaced_count_stays_full() {
        let bucket = Bucket::default();
        let locked = bucket.try_lock(1).unwrap();
        (0..200).for_each(|_| locked.one_displaced_more());
        (0..200).for_each(|_| bucket.one_displaced_less());
        assert!(bucket.meta().has_displaced(), "how many there were is no longer known");
    }
}
