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
//! | filled to   | 92.8 % | 83.6 % | 83.1 % | 75.3 %  | 75.0 %    | 73.8 %     |
//!
//! The table is built for a fill of two thirds at its capacity, so that in practice capacity is reached first.
//! Then an entry must go: among those in reach, the oldest of the port that holds most addresses, and never
//! one of a port that holds fewer than the newcomer's. A station that floods the table with addresses
//! thereby evicts its own. When nothing in reach may go, the newcomer is not learned.
//!
//! **Not done.** Bursts are looked up one address at a time, without prefetch. The table does not
//! grow. What ages are shown is counted in ticks.

mod bucket;
mod clock;
mod hash;
mod list;
mod moves;
mod ports;
mod upkeep;
mod write;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};

use frame::step::{LearnRefusal, Learned};
use frame::{MacAddr, Millis, PortId};

use bucket::{Bucket, Entry, Kind, LIFE_TICKS, Meta, SLOTS, age};
use clock::Clock;
use hash::Hash;
use moves::Moves;
use ports::Ports;
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
}

impl Default for MacTableConfig {
    fn default() -> Self {
        Self { capacity: DEFAULT_CAPACITY, ageing: DEFAULT_AGEING, port_limit: None }
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
    /// Learned entries that count now. Signed: a flush may take away what is just being added.
    held: AtomicI64,
    /// Static and gateway entries now.
    fixed: AtomicI64,
}

impl Tally {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    fn total(&self) -> usize {
        usize::try_from(self.held.load(Relaxed) + self.fixed.load(Relaxed)).unwrap_or(0)
    }
}

/// The MAC table of one network. Share it between workers in an `Arc`; every method takes `&self`.
///
/// `now` may differ a little between workers: the table's clock never runs backwards.
pub struct MacTable {
    buckets: Box<[Bucket]>,
    hash: Hash,
    clock: Clock,
    capacity: usize,
    port_limit: u32,
    ports: Ports,
    moves: Moves,
    tally: Tally,
    /// How far the sweep is.
    pass: Mutex<Pass>,
    /// Control operations come one after the other; workers never take this.
    control: Mutex<()>,
}

/// An entry as a reader came by it.
struct Seen<'a> {
    bucket: &'a Bucket,
    slot: usize,
    entry: Entry,
    meta: Meta,
}

impl MacTable {
    /// An empty table with a random secret. All its memory, about 14 octets an entry of its capacity and 20 KiB,
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

    fn with_buckets(config: MacTableConfig, secret: Secret, buckets: usize) -> Self {
        Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            hash: Hash::new(secret, buckets),
            clock: Clock::new(config.ageing),
            capacity: config.capacity,
            port_limit: config.port_limit.unwrap_or(u32::MAX),
            ports: Ports::new(),
            moves: Moves::new(config.capacity),
            tally: Tally::default(),
            pass: Mutex::new(Pass::default()),
            control: Mutex::new(()),
        }
    }

    /// Where is the station? `None` when nobody has been heard from with that address within the ageing
    /// time. Group addresses are never in the table.
    #[inline]
    pub fn lookup(&self, mac: MacAddr, now: Millis) -> Option<Destination> {
        let tick = self.tick(now);
        let seen = self.locate(mac.to_u64())?;
        match seen.entry.kind() {
            Kind::Learned(port, generation) => {
                let lives = age(tick, seen.meta.stamp(seen.slot)) < LIFE_TICKS;
                (lives && self.ports.generation(port) == generation).then_some(Destination::Port(port))
            }
            Kind::Static(port) => Some(Destination::Port(port)),
            Kind::Gateway => Some(Destination::Gateway),
        }
    }

    /// A frame from `mac` came in on `port`. The table refuses group and zero addresses, which no station has,
    /// with [`LearnRefusal::TableFull`]: it has no place for them.
    #[inline]
    pub fn learn(&self, mac: MacAddr, port: PortId, now: Millis) -> Learned {
        let tick = self.tick(now);
        let key = mac.to_u64();
        if let Some(seen) = self.locate(key) {
            if seen.entry == Entry::learned(key, port, self.ports.generation(port)) {
                let stamp = seen.meta.stamp(seen.slot);
                if stamp == tick {
                    return Learned::Refreshed;
                }
                if age(tick, stamp) < LIFE_TICKS {
                    seen.bucket.restamp(seen.slot, seen.meta, tick);
                    return Learned::Refreshed;
                }
            } else if let Some(answer) = fixed_answer(seen.entry, port) {
                return answer;
            }
        }
        self.learn_anew(mac, port, tick)
    }

    /// Entries in the table. A dead one counts until it is cleared, a flushed one does not.
    pub fn len(&self) -> usize {
        self.tally.total().min(self.capacity)
    }

    /// Has it entries that age? A dead one counts until it is cleared.
    pub fn has_learned(&self) -> bool {
        self.tally.held.load(Relaxed) > 0
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

    #[inline]
    fn locate(&self, key: u64) -> Option<Seen<'_>> {
        let (first, hash) = self.hash.first(key);
        let bucket = self.bucket(first);
        let found = bucket.find(key);
        let meta = bucket.meta();
        match found {
            Some((entry, slot)) => Some(Seen { bucket, slot, entry, meta }),
            None if meta.has_displaced() => {
                let bucket = self.bucket(self.hash.second(first, hash));
                let (entry, slot) = bucket.find(key)?;
                Some(Seen { bucket, slot, entry, meta: bucket.meta() })
            }
            None => None,
        }
    }
}

impl fmt::Debug for MacTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacTable").field("len", &self.len()).field("capacity", &self.capacity).finish_non_exhaustive()
    }
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
