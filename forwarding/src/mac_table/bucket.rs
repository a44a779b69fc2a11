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
//! **The writers' rule.** Who adds an address or changes its entry holds the lock of the address's *first*
//! bucket, and of the second as well when the entry is there: two threads that learn one address meet at
//! that lock and cannot both add it. Who removes an entry needs only the lock of the bucket it is in.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use frame::{MacAddr, PortId};

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

    fn new(key: u64, kind: u8, port: PortId) -> Self {
        Self(key & KEY | u64::from(port.0 & 0xfff) << 48 | u64::from(kind) << 60)
    }

    pub(super) fn learned(key: u64, port: PortId, generation: u8) -> Self {
        Self::new(key, generation, port)
    }

    pub(super) fn fixed(key: u64, port: PortId) -> Self {
        Self::new(key, STATIC, port)
    }

    pub(super) fn gateway(key: u64) -> Self {
        Self::new(key, GATEWAY, PortId(0))
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    pub(super) fn key(self) -> u64 {
        self.0 & KEY
    }

    pub(super) fn mac(self) -> MacAddr {
        MacAddr::from_u64(self.0)
    }

    pub(super) fn kind(self) -> Kind {
        let port = PortId((self.0 >> 48) as u16 & 0xfff);
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
    slots: [AtomicU64; SLOTS],
    meta: AtomicU64,
}

impl Bucket {
    /// The entry of `key` and its slot. All seven slots are compared, whichever matches: a loop that left
    /// early would be mispredicted about once a look-up, which costs more than the comparisons.
    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<(Entry, usize)> {
        let mut found = (0, 0);
        for (slot, word) in self.slots.iter().enumerate() {
            let word = word.load(Acquire);
            if (word ^ key) << 16 == 0 {
                found = (word, slot);
            }
        }
        (found.0 != 0).then_some((Entry(found.0), found.1))
    }

    /// Ages and flags. Read it after the slots it is to speak of: the loads are ordered.
    #[inline]
    pub(super) fn meta(&self) -> Meta {
        Meta(self.meta.load(Acquire))
    }

    #[inline]
    pub(super) fn entry(&self, slot: usize) -> Entry {
        self.slots.get(slot).map_or(Entry::EMPTY, |word| Entry(word.load(Acquire)))
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
            match self.meta.compare_exchange_weak(seen.0, fresh.0, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = Meta(now),
            }
        }
    }

    /// Take the writers' lock, looking at most `spins` times.
    pub(super) fn try_lock(&self, spins: u32) -> Option<Locked<'_>> {
        for _ in 0..spins {
            if self.meta.load(Relaxed) & LOCK == 0 && self.meta.fetch_or(LOCK, Acquire) & LOCK == 0 {
                return Some(Locked { bucket: self });
            }
            std::hint::spin_loop();
        }
        None
    }

    /// One address of this bucket came back from its second one, or is gone. Needs no lock; comes after
    /// the entry's removal, so that who sees a count of 0 also sees the removal.
    pub(super) fn one_displaced_less(&self) {
        self.count_displaced(|count| if count == DISPLACED_MAX { count } else { count.saturating_sub(1) });
    }

    fn count_displaced(&self, change: impl Fn(u64) -> u64) {
        let rest = !(DISPLACED_MAX << DISPLACED_SHIFT);
        let mut seen = self.meta.load(Relaxed);
        loop {
            let fresh = seen & rest | change(Meta(seen).displaced()) << DISPLACED_SHIFT;
            match self.meta.compare_exchange_weak(seen, fresh, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

/// A bucket whose slots only this thread may change; given back when dropped.
pub(super) struct Locked<'a> {
    bucket: &'a Bucket,
}

impl Locked<'_> {
    /// Put `entry` into `slot`, heard in `tick`: first the stamp, then the one store that makes it seen.
    pub(super) fn put(&self, slot: usize, entry: Entry, tick: u8) {
        let mut seen = self.bucket.meta();
        while let Err(now) =
            self.bucket.meta.compare_exchange_weak(seen.0, seen.with_stamp(slot, tick).0, Relaxed, Relaxed)
        {
            seen = Meta(now);
        }
        fence(Release);
        self.store(slot, entry);
    }

    /// Empty `slot`.
    pub(super) fn clear(&self, slot: usize) {
        self.store(slot, Entry::EMPTY);
    }

    fn store(&self, slot: usize, entry: Entry) {
        if let Some(word) = self.bucket.slots.get(slot) {
            word.store(entry.0, Release);
        }
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

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.bucket.meta.fetch_and(!LOCK, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn a_word_says_what_the_entry_is() {
        let key = 0x0242_0a00_0002;
        let learned = Entry::learned(key, PortId(4095), 14);
        assert_eq!((learned.key(), learned.kind()), (key, Kind::Learned(PortId(4095), 14)));
        assert_eq!(Entry::fixed(key, PortId(7)).kind(), Kind::Static(PortId(7)));
        assert_eq!(Entry::gateway(key).kind(), Kind::Gateway);
        assert_eq!(Entry::gateway(key).mac().to_string(), "02:42:0a:00:00:02");
        assert!(Bucket::default().entries().next().is_none() && Bucket::default().find(0).is_none());
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
        assert_eq!(bucket.find(5), Some((Entry::learned(5, PortId(1), 1), 4)));
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
