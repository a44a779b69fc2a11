//! Which port is a station on? The MAC table of one network (IEEE 802.1D-2004, 7.8 and 7.9: learning,
//! ageing, static entries), read and taught by every worker thread at once.
//!
//! ```text
//!            first bucket = hash(MAC)                        second bucket = hash'(MAC)
//!   +------+------+------+-- ~ --+------+------+     +------+------+-- ~ --+------+------+
//!   | MAC  | MAC  | MAC  |       | MAC  | meta | ... | MAC  | MAC  |       | MAC  | meta |   64 octets each
//!   | port | port | port |       | port |      |     | port | port |       | port |      |
//!   +------+------+------+-- ~ --+------+------+     +------+------+-- ~ --+------+------+
//!     0      1      2              6      stamps,      only looked at when meta says that the first
//!                                         flags        bucket has displaced an address
//! ```
//! **Reading.** A look-up reads one line, or two for an address that its full first bucket displaced. It
//! takes no lock and never waits. A slot is one 8-byte word, so an entry is seen whole or not at all. One
//! thing a look-up may do, and only while another thread is rearranging those two very lines: miss an
//! address that is there. The frame is then flooded, as it would have been a moment earlier.
//!
//! **Learning** the same again, which is what nearly every frame does, reads the same line and writes only
//! when the clock has ticked since (128 ticks an ageing time). Anything else takes the bucket's lock bit by
//! a few attempts, and gives up as [`LearnRefusal::Busy`] when it cannot have it: learning is opportunistic,
//! nobody waits, the station's next frame will do.
//!
//! **Ageing.** An entry whose age has reached 128 ticks is dead: no look-up returns it, whether or not
//! the sweep has been there. So it lives at most the ageing time, and at least 127/128 of that, after its
//! station's last frame. [`MacTable::sweep`] clears dead entries a slice at a time. Its whole round must take less
//! than half the ageing time; [`MacTable::slice`] says what to sweep in one call. Where that is neglected
//! the table sweeps itself in one go before a stamp of 8 bits could be misread (`clock`).
//!
//! **Flushing** a port opens its next generation (`ports`): entries of the older ones are dead at once,
//! whatever their number. There are 14 generations; before the first is used again, every entry of
//! the port is cleared.
//!
//! **Full.** An address finds room in its first bucket, in its second, or by moving one of its neighbours to
//! that one's other bucket. Measured fill of all slots when the first of random addresses found none of
//! these, the worst of 8 tables of each size:
//!
//! | built for   | 64     | 1,024  | 8,192  | 131,072 | 1,048,576 | 16,777,216 |
//! | ---         | ---    | ---    | ---    | ---     | ---       | ---        |
//! | filled to   | 86.7 % | 85.5 % | 83.1 % | 79.5 %  | 73.9 %    | 71.6 %     |
//!
//! The table is built for a fill of two thirds at its capacity, so that in practice capacity is reached first.
//! Then an entry must go: among those in reach, the oldest of the port that holds most addresses, and never
//! one of a port that holds fewer than the newcomer's. A station that floods the table with addresses
//! thereby evicts its own. When nothing in reach may go, the newcomer is not learned. For a class there are two worse
//! ways ([`Eviction`]): the oldest in reach goes, whosever it is; or nothing goes.
//!
//! **Bursts.** [`MacTable::lookup_burst`] hashes 32 addresses, has their lines brought, compares each whole line at
//! once where the processor can (`line`), and only then comes to the few that are displaced, static, the gateway's or
//! not there. Who reads addresses one by one does the same by [`MacTable::seek`] on all of them and then
//! [`MacTable::lookup_sought`] and [`MacTable::learn_sought`].
//!
//! **Not done.** The table does not grow. What ages are shown is counted in ticks. Its memory is in pages of 4 KiB
//! unless the allocator is told otherwise (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`).

#![allow(clippy::inline_always, reason = "measured: a call that is left costs as much as what it does")]

mod bucket;
mod clock;
mod fork;
mod hash;
mod line;
mod list;
mod moves;
mod ports;
mod sync;
mod upkeep;
mod write;

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use frame::step::{LearnRefusal, Learned};
use frame::{MacAddr, Millis, PortId};

use bucket::{Bucket, Entry, Kind, LIFE_TICKS, SLOTS, age, key_of};
use clock::Clock;
use hash::Hash;
use line::{BURST, Compare, SoughtBurst, Vector};
use moves::Moves;
use ports::Ports;
use sync::{AtomicI64, AtomicU16, AtomicU64, Mutex, PORTS};
use upkeep::Pass;

pub use hash::Secret;
pub use list::{EntryKind, MacEntry};
pub use write::EntryRefused;

/// The smallest and the largest capacity of a table, in entries.
pub const CAPACITY: std::ops::RangeInclusive<usize> = 64..=16 << 20;

/// Entries a table holds unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 8192;

/// The ageing time unless told otherwise (IEEE 802.1D-2004, table 7-5).
pub const DEFAULT_AGEING: Millis = Millis::from_secs(300);

/// How large a table is and how long it remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacTableConfig {
    /// The most entries it holds, static and gateway ones included: 64 to 16,777,216.
    pub capacity: usize,
    /// How long a learned entry lives after its station's last frame. At least 128 ms; shorter counts as
    /// that. Longer than 2^48 ms is for ever.
    pub ageing: Millis,
    /// The most addresses learned on one port; `None` is as many as the table has room for.
    pub port_limit: Option<u32>,
    /// Who has to go when it is full.
    pub eviction: Eviction,
}

/// Which entry has to go for a newcomer when the table is full? A dead one always; else:
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Eviction {
    /// The oldest of the port that holds most, of those in reach, and none of a port that holds fewer than the
    /// newcomer's: who floods the table evicts its own.
    #[default]
    Fair,
    /// The oldest in reach, whosever it is (least recently heard). In a table of up to 79 entries all are in reach.
    Lru,
    /// None: what is not there is not learned. Static and gateway entries make room for themselves all the same.
    None,
}

impl Default for MacTableConfig {
    fn default() -> Self {
        Self { capacity: DEFAULT_CAPACITY, ageing: DEFAULT_AGEING, port_limit: None, eviction: Eviction::Fair }
    }
}

/// The capacity asked for is outside [`CAPACITY`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CapacityOutOfRange(pub usize);

impl fmt::Display for CapacityOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (CAPACITY.start(), CAPACITY.end());
        write!(f, "a MAC table of {} entries: the capacity must be {low} to {high}", self.0)
    }
}

impl std::error::Error for CapacityOutOfRange {}

/// Where the table says a station is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// On this port.
    Port(PortId),
    /// The address is the network's gateway.
    Gateway,
}

/// An address that is being sought in one table: its hash, so that it is computed once. Of no use to another
/// table.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    key: u64,
    first: usize,
}

/// What has happened in a table since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MacCounts {
    /// Addresses learned that were not there.
    pub learned: u64,
    /// Addresses that changed their port.
    pub moved: u64,
    /// Entries that had to make room for others.
    pub evicted: u64,
    /// Addresses not learned because their port held as many as it may.
    pub refused_by_limit: u64,
    /// Addresses not learned because the table was full.
    pub refused_full: u64,
    /// Dead entries cleared: their stations had been silent for the ageing time.
    pub aged: u64,
}

/// The counters behind [`MacCounts`], on lines of their own: look-ups do not touch them.
#[derive(Default)]
#[repr(align(128))]
struct Tally {
    learned: AtomicU64,
    moved: AtomicU64,
    evicted: AtomicU64,
    refused_by_limit: AtomicU64,
    refused_full: AtomicU64,
    aged: AtomicU64,
    /// Learned entries that counted and are no more, whatever ended them.
    gone: AtomicU64,
    /// Static and gateway entries now.
    fixed: AtomicI64,
}

impl Tally {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    fn total(&self) -> usize {
        usize::try_from(self.held() + self.fixed.load(Relaxed)).unwrap_or(0)
    }

    /// Learned entries that count now. Signed: a flush may take away what is just being added.
    fn held(&self) -> i64 {
        self.learned.load(Relaxed).wrapping_sub(self.gone.load(Relaxed)).cast_signed()
    }
}

/// The MAC table of one network. Share it between workers in an `Arc`; every method takes `&self`.
///
/// `now` may differ a little between workers: the table's clock never runs backwards.
pub struct MacTable {
    buckets: Box<[Bucket]>,
    hash: Hash,
    vector: Vector,
    clock: Clock,
    capacity: usize,
    port_limit: u32,
    eviction: Eviction,
    ports: Ports,
    moves: Moves,
    tally: Tally,
    /// How far the sweep is.
    pass: Mutex<Pass>,
    /// Control operations come one after the other; workers never take this.
    control: Mutex<()>,
}

impl MacTable {
    /// An empty table with a random secret. All its memory, about 14 octets an entry of its capacity and 24 KiB,
    /// is allocated here.
    ///
    /// # Errors
    /// [`CapacityOutOfRange`].
    pub fn new(config: MacTableConfig) -> Result<Self, CapacityOutOfRange> {
        Self::with_secret(config, rand::random())
    }

    /// An empty table with this secret: for tests and measurements that must come out the same twice.
    ///
    /// # Errors
    /// [`CapacityOutOfRange`].
    pub fn with_secret(config: MacTableConfig, secret: Secret) -> Result<Self, CapacityOutOfRange> {
        if !CAPACITY.contains(&config.capacity) {
            return Err(CapacityOutOfRange(config.capacity));
        }
        Ok(Self::with_buckets(config, secret, buckets_for(config.capacity)))
    }

    /// A table of so many buckets, and the two of an address, for `tests/slot_protocol.rs`.
    #[cfg(feature = "model")]
    #[doc(hidden)]
    pub fn of_buckets(config: MacTableConfig, secret: Secret, buckets: usize) -> Self {
        Self::with_buckets(config, secret, buckets)
    }

    #[cfg(feature = "model")]
    #[doc(hidden)]
    pub fn places(&self, mac: MacAddr) -> (usize, usize) {
        let sought = self.seek(mac);
        (sought.first, self.second_of(sought))
    }

    fn with_buckets(config: MacTableConfig, secret: Secret, buckets: usize) -> Self {
        Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            hash: Hash::new(secret, buckets),
            vector: Vector::detect(),
            clock: Clock::new(config.ageing),
            capacity: config.capacity,
            port_limit: config.port_limit.unwrap_or(u32::MAX),
            eviction: config.eviction,
            ports: Ports::new(),
            moves: Moves::new(config.capacity),
            tally: Tally::default(),
            pass: Mutex::new(Pass::default()),
            control: Mutex::new(()),
        }
    }

    /// Begin to look for `mac`: its hash is computed, and its line is on the way into the cache. Seek every
    /// address of a burst before the first is looked up or learned: the lines then come at the same time.
    #[inline]
    pub fn seek(&self, mac: MacAddr) -> Sought {
        let key = key_of(mac);
        let (first, _) = self.hash.first(key);
        line::prefetch(self.bucket(first));
        Sought { key, first }
    }

    /// Where is the station? `None` when nobody has been heard from with that address within the ageing
    /// time. Group addresses are never in the table.
    #[inline]
    pub fn lookup(&self, mac: MacAddr, now: Millis) -> Option<Destination> {
        self.lookup_sought(self.seek(mac), now)
    }

    /// [`MacTable::lookup`] of an address sought before.
    #[inline(always)]
    pub fn lookup_sought(&self, sought: Sought, now: Millis) -> Option<Destination> {
        let tick = self.tick(now);
        let bucket = self.bucket(sought.first);
        let slot = slot_in(bucket, self.vector, sought.key);
        match learned_at(bucket, slot, sought.key, self.ports.prefixes(), tick) {
            Some(port) => Some(Destination::Port(port)),
            None => match static_at(bucket, slot, sought.key) {
                Some(port) => Some(Destination::Port(port)),
                None => self.look_further(sought, tick),
            },
        }
    }

    /// [`MacTable::lookup`] for each of `macs`, the answer at the same place in `found`; with slices of
    /// different lengths, for as many as the shorter has.
    pub fn lookup_burst(&self, macs: &[MacAddr], now: Millis, found: &mut [Option<Destination>]) {
        match self.vector {
            Vector::Scalar => self.lookup_burst_by(line::Scalar, macs, now, found),
            #[cfg(all(target_arch = "x86_64", not(feature = "model")))]
            Vector::Avx512(avx512) => self.lookup_burst_by(avx512, macs, now, found),
        }
    }

    #[inline]
    fn lookup_burst_by(&self, by: impl Compare, macs: &[MacAddr], now: Millis, found: &mut [Option<Destination>]) {
        let tick = self.tick(now);
        let count = macs.len().min(found.len());
        let (macs, found) = (&macs[..count], &mut found[..count]);
        let (bursts, rest) = macs.as_chunks::<BURST>();
        let (answers, rest_answers) = found.as_chunks_mut::<BURST>();
        let mut sought = SoughtBurst { keys: [0; BURST], firsts: [0; BURST] };
        let mut lines = [self.bucket(0); BURST];
        for (macs, found) in bursts.iter().zip(answers) {
            by.seek(&self.hash, macs, &mut sought);
            for (line, first) in lines.iter_mut().zip(&sought.firsts) {
                *line = self.bucket(*first as usize);
                line::prefetch(line);
            }
            let mut others = self.lookup_lines(by, &lines, &sought.keys, tick, found);
            while others != 0 {
                let at = others.trailing_zeros() as usize % BURST;
                found[at] = self.look_further(Sought { key: sought.keys[at], first: sought.firsts[at] as usize }, tick);
                others &= others - 1;
            }
        }
        for (mac, found) in rest.iter().zip(rest_answers) {
            *found = self.lookup(*mac, now);
        }
    }

    /// Look up what most addresses are, learned and in their first bucket; answers with a bit for each that is not.
    /// Without a branch, and in two loops: one would fill the processor's queues with what waits for its comparison.
    #[inline(always)]
    fn lookup_lines(
        &self,
        by: impl Compare,
        lines: &[&Bucket; BURST],
        keys: &[u64; BURST],
        tick: u8,
        found: &mut [Option<Destination>; BURST],
    ) -> u32 {
        let mut slots = [0u8; BURST];
        for ((slot, key), line) in slots.iter_mut().zip(keys).zip(lines) {
            *slot = slot_in(line, by, *key);
        }
        let (mut others, prefixes) = (0u32, self.ports.prefixes());
        for (at, found) in found.iter_mut().enumerate() {
            let port = learned_at(lines[at], slots[at], keys[at], prefixes, tick);
            *found = port.map(Destination::Port);
            others |= u32::from(port.is_none()) << at;
        }
        others
    }

    /// Where is the station, if it is not in its first bucket as a learned entry?
    #[inline(never)]
    fn look_further(&self, sought: Sought, tick: u8) -> Option<Destination> {
        let (bucket, entry, slot) = self.locate(sought)?;
        match entry.kind() {
            Kind::Learned(port, _) => {
                let lives = age(tick, bucket.meta().stamp(slot)) < LIFE_TICKS;
                let counts = entry == Entry::of_prefix(sought.key, self.ports.prefix(port));
                (lives && counts).then_some(Destination::Port(port))
            }
            Kind::Static(port) => Some(Destination::Port(port)),
            Kind::Gateway => Some(Destination::Gateway),
        }
    }

    /// A frame from `mac` came in on `port`. The table refuses group and zero addresses, which no station has,
    /// with [`LearnRefusal::TableFull`]: it has no place for them.
    #[inline]
    pub fn learn(&self, mac: MacAddr, port: PortId, now: Millis) -> Learned {
        self.learn_sought(self.seek(mac), port, now)
    }

    /// [`MacTable::learn`] of an address sought before.
    #[inline(always)]
    pub fn learn_sought(&self, sought: Sought, port: PortId, now: Millis) -> Learned {
        let tick = self.tick(now);
        let bucket = self.bucket(sought.first);
        let slot = self.vector.matches(bucket, sought.key).trailing_zeros() as usize;
        if slot < SLOTS {
            let expected = Entry::of_prefix(sought.key, self.ports.prefix(port));
            let entry = bucket.entry(slot);
            if entry == expected && bucket.meta().stamp(slot) == tick {
                return Learned::Refreshed;
            }
            if entry.is_static_of(sought.key, port) {
                return Learned::Refreshed;
            }
        }
        self.learn_further(sought, port, tick)
    }

    /// The address is new on `port`, or in its second bucket, or has not been heard in this tick.
    #[inline(never)]
    fn learn_further(&self, sought: Sought, port: PortId, tick: u8) -> Learned {
        if let Some((bucket, entry, slot)) = self.locate(sought) {
            if entry == Entry::of_prefix(sought.key, self.ports.prefix(port)) {
                let meta = bucket.meta();
                let stamp = meta.stamp(slot);
                if stamp == tick {
                    return Learned::Refreshed;
                }
                if age(tick, stamp) < LIFE_TICKS {
                    bucket.restamp(slot, meta, tick);
                    return Learned::Refreshed;
                }
            } else if let Some(answer) = fixed_answer(entry, port) {
                return answer;
            }
        }
        self.learn_anew(sought, port, tick)
    }

    /// Entries in the table. A dead one counts until it is cleared, a flushed one does not.
    pub fn len(&self) -> usize {
        self.tally.total().min(self.capacity)
    }

    /// Has it entries that age? A dead one counts until it is cleared.
    pub fn has_learned(&self) -> bool {
        self.tally.held() > 0
    }

    /// Has it no entry?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most entries it holds.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Addresses learned on `port`; a dead one counts until it is cleared.
    pub fn learned_on(&self, port: PortId) -> u32 {
        self.ports.holds(port)
    }

    /// What has happened so far.
    pub fn counts(&self) -> MacCounts {
        let tally = &self.tally;
        MacCounts {
            learned: tally.learned.load(Relaxed),
            moved: tally.moved.load(Relaxed),
            evicted: tally.evicted.load(Relaxed),
            refused_by_limit: tally.refused_by_limit.load(Relaxed),
            refused_full: tally.refused_full.load(Relaxed),
            aged: tally.aged.load(Relaxed),
        }
    }

    #[inline]
    fn tick(&self, now: Millis) -> u8 {
        match self.clock.tick(now) {
            Some(tick) => tick,
            None => self.move_clock(now),
        }
    }

    #[inline]
    fn bucket(&self, at: usize) -> &Bucket {
        &self.buckets[at]
    }

    /// The second bucket of an address.
    fn second_of(&self, sought: Sought) -> usize {
        self.hash.second(sought.first, self.hash.first(sought.key).1)
    }

    /// The entry of an address, wherever it is.
    #[inline]
    fn locate(&self, sought: Sought) -> Option<(&Bucket, Entry, usize)> {
        let bucket = self.bucket(sought.first);
        if let Some((entry, slot)) = bucket.find(self.vector, sought.key) {
            return Some((bucket, entry, slot));
        }
        if !bucket.meta().has_displaced() {
            return None;
        }
        let bucket = self.bucket(self.second_of(sought));
        bucket.find(self.vector, sought.key).map(|(entry, slot)| (bucket, entry, slot))
    }
}

impl fmt::Debug for MacTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacTable").field("len", &self.len()).field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// Eight times the slot of the address in this bucket: what its word and its stamp are found by. Any slot's will do
/// when it is not there.
#[inline(always)]
fn slot_in(bucket: &Bucket, by: impl Compare, key: u64) -> u8 {
    (by.matches(bucket, key) | 1 << 8).trailing_zeros() as u8 * 8
}

/// The port of the address, when it is there, in its first bucket, as a learned entry, and lives: without a branch.
#[inline(always)]
fn learned_at(bucket: &Bucket, slot: u8, key: u64, prefixes: &[AtomicU16; PORTS], tick: u8) -> Option<PortId> {
    let slot = (usize::from(slot) / 8) & SLOTS;
    let entry = bucket.entry(slot);
    let port = entry.port();
    let counts = entry == Entry::of_prefix(key, prefixes[port.index() % PORTS].load(Acquire));
    let lives = age(tick, bucket.meta().stamp(slot)) < LIFE_TICKS;
    (counts & lives).then_some(port)
}

/// The port of the address, when it is there, in its first bucket, as a static entry.
#[inline]
fn static_at(bucket: &Bucket, slot: u8, key: u64) -> Option<PortId> {
    let entry = bucket.entry((usize::from(slot) / 8) & SLOTS);
    entry.is_static_of(key, entry.port()).then(|| entry.port())
}

/// Buckets for a table that is two thirds full at its capacity.
fn buckets_for(capacity: usize) -> usize {
    (capacity * 3).div_ceil(SLOTS * 2)
}

/// What `port` hears that uses an address of a static or gateway entry; `None` for learned ones.
fn fixed_answer(entry: Entry, port: PortId) -> Option<Learned> {
    match entry.kind() {
        Kind::Learned(..) => None,
        Kind::Static(holder) if holder == port => Some(Learned::Refreshed),
        Kind::Static(holder) => Some(Learned::Refused(LearnRefusal::Static { port: holder })),
        Kind::Gateway => Some(Learned::Refused(LearnRefusal::Gateway)),
    }
}

#[cfg(test)]
mod tests;
