//! How does an address come into the table, and who has to go for it?
//!
//! Everything here works under the lock of the address's first bucket, and of its second where that
//! matters (`bucket`, "the writers' rule"). Workers take a lock by a few attempts; a control operation tries
//! until it has it, which cannot deadlock: of two threads that hold one lock each and want the other's,
//! at most one is the control side's, and the other gives up.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use frame::step::{LearnRefusal, Learned};
use frame::{MacAddr, PortId};

use super::bucket::{Bucket, Entry, Kind, LIFE_TICKS, Locked, age, key_of, mac_of};
use super::sync::{PoisonError, WORKER_SPINS, yield_now};
use super::{Eviction, MacTable, Sought, Tally, fixed_answer};

/// Buckets beyond its own two that a newcomer to a table at capacity searches for somebody to evict.
const REACH: usize = 16;

/// Why a static or gateway entry was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryRefused {
    /// A group or zero address is no station's.
    NotAStation,
    /// The address is the gateway's.
    IsGateway,
    /// No entry in reach may make room.
    TableFull,
    /// The port number is not below [`PortId::LIMIT`].
    NoSuchPort,
}

impl fmt::Display for EntryRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAStation => "a group or zero address cannot have an entry in the MAC table",
            Self::IsGateway => "the address is the gateway's",
            Self::TableFull => "the MAC table is full",
            Self::NoSuchPort => "there is no port of that number",
        })
    }
}

impl std::error::Error for EntryRefused {}

/// The locks of one address's buckets: the first always, the second once asked for.
struct Pair<'a> {
    table: &'a MacTable,
    sought: Sought,
    first: Locked<'a>,
    second: Option<Locked<'a>>,
    waits: bool,
}

impl<'a> Pair<'a> {
    #[inline]
    fn lock(table: &'a MacTable, sought: Sought, waits: bool) -> Option<Self> {
        let first = lock(table.bucket(sought.first), waits)?;
        Some(Self { table, sought, first, second: None, waits })
    }

    fn second(&mut self) -> Option<&Locked<'a>> {
        if self.second.is_none() {
            self.second = lock(self.table.bucket(self.second_at()), self.waits);
        }
        self.second.as_ref()
    }

    fn first_at(&self) -> usize {
        self.sought.first
    }

    fn second_at(&self) -> usize {
        self.table.second_of(self.sought)
    }

    /// The entry of `key` with its place.
    #[inline]
    fn find(&mut self) -> Result<Option<(Entry, Place)>, LearnRefusal> {
        let (key, vector) = (self.sought.key, self.table.vector);
        if let Some((entry, slot)) = self.first.find(vector, key) {
            return Ok(Some((entry, Place { in_first: true, slot })));
        }
        if !self.first.meta().has_displaced() {
            return Ok(None);
        }
        let second = self.second().ok_or(LearnRefusal::Busy)?;
        Ok(second.find(vector, key).map(|(entry, slot)| (entry, Place { in_first: false, slot })))
    }

    /// The locked bucket of `place`, and which it is.
    fn at(&self, place: Place) -> (&Locked<'a>, usize) {
        match &self.second {
            Some(second) if !place.in_first => (second, self.second_at()),
            _ => (&self.first, self.first_at()),
        }
    }

    fn put(&self, place: Place, entry: Entry, tick: u8) {
        match &self.second {
            Some(second) if !place.in_first => second.put(place.slot, entry, tick),
            _ => self.first.put(place.slot, entry, tick),
        }
    }
}

#[derive(Clone, Copy)]
struct Place {
    in_first: bool,
    slot: usize,
}

/// An entry that wants to come in, and how many addresses its port holds with it (none for static and
/// gateway entries: any learned one makes room for those).
#[derive(Clone, Copy)]
struct Newcomer {
    entry: Entry,
    holds: u32,
}

/// What an entry's claim to its place is compared by, the least first: dead; its port holds many; old.
type Claim = (bool, u32, u8);

/// The entry that has least claim to its place among some, and where it is.
#[derive(Clone, Copy)]
struct Victim {
    claim: Claim,
    at: usize,
    slot: usize,
    entry: Entry,
}

impl Victim {
    /// Who had to go; nobody, if it was dead.
    fn evicted(&self) -> Option<MacAddr> {
        (!self.claim.0).then(|| self.entry.mac())
    }
}

fn lock(bucket: &Bucket, waits: bool) -> Option<Locked<'_>> {
    loop {
        match bucket.try_lock(WORKER_SPINS) {
            None if waits => yield_now(),
            answer => return answer,
        }
    }
}

impl MacTable {
    /// The slow half of [`MacTable::learn`]: the address is new, has moved, or was dead.
    #[inline(never)]
    pub(super) fn learn_anew(&self, sought: Sought, port: PortId, tick: u8) -> Learned {
        let mac = mac_of(sought.key);
        if mac.is_group() || mac.is_zero() {
            return Learned::Refused(LearnRefusal::TableFull);
        }
        let answer = self.learn_locked(sought, port, tick).unwrap_or_else(Learned::Refused);
        match answer {
            Learned::Moved { .. } => Tally::count(&self.tally.moved),
            Learned::Refused(LearnRefusal::PortLimit) => Tally::count(&self.tally.refused_by_limit),
            Learned::Refused(LearnRefusal::TableFull) => Tally::count(&self.tally.refused_full),
            Learned::New | Learned::Replaced { .. } | Learned::Refreshed | Learned::Refused(_) => {}
        }
        answer
    }

    #[inline]
    fn learn_locked(&self, sought: Sought, port: PortId, tick: u8) -> Result<Learned, LearnRefusal> {
        let mut pair = Pair::lock(self, sought, false).ok_or(LearnRefusal::Busy)?;
        let Some((old, place)) = pair.find()? else {
            return self.add_learned(&mut pair, port, tick);
        };
        if let Some(answer) = fixed_answer(old, port) {
            return Ok(answer);
        }
        let (bucket, at) = pair.at(place);
        if self.is_dead(bucket, place.slot, old, tick) {
            self.remove(bucket, at, place.slot, old, tick);
            return self.add_learned(&mut pair, port, tick);
        }
        match old.as_learned() {
            Some((holder, old_generation)) if holder != port => {
                let generation = self.ports.take(port, self.port_limit)?;
                pair.put(place, Entry::learned(sought.key, port, generation), tick);
                if !self.ports.give_back(holder, old_generation) {
                    // Flushed since we looked: the books of the old entry are closed.
                    Tally::count(&self.tally.learned);
                    return Ok(Learned::New);
                }
                self.moves.count(sought.key, self.hash.first(sought.key).1);
                Ok(Learned::Moved { from: holder })
            }
            // Another worker was faster.
            _ => {
                bucket.restamp(place.slot, bucket.meta(), tick);
                Ok(Learned::Refreshed)
            }
        }
    }

    #[inline]
    fn add_learned(&self, pair: &mut Pair<'_>, port: PortId, tick: u8) -> Result<Learned, LearnRefusal> {
        let generation = self.ports.take(port, self.port_limit)?;
        Tally::count(&self.tally.learned);
        let entry = Entry::learned(pair.sought.key, port, generation);
        match self.settle(pair, Newcomer { entry, holds: self.ports.holds(port) }, tick) {
            Ok(None) => Ok(Learned::New),
            Ok(Some(evicted)) => Ok(Learned::Replaced { evicted }),
            Err(refusal) => {
                if self.ports.give_back(port, generation) {
                    self.tally.learned.fetch_sub(1, Relaxed);
                }
                Err(refusal)
            }
        }
    }

    /// The address is on `port` for good: its entry does not age, no station can take it over, and only
    /// [`MacTable::forget`] and [`MacTable::forget_port`] end it. Replaces a learned or static entry.
    ///
    /// # Errors
    /// [`EntryRefused`], and the table as it was.
    pub fn set_static(&self, mac: MacAddr, port: PortId) -> Result<(), EntryRefused> {
        if port.index() >= PortId::LIMIT {
            return Err(EntryRefused::NoSuchPort);
        }
        self.set_fixed(mac, Entry::fixed(key_of(mac), port))
    }

    /// The address is the network's gateway: look-ups say so, and no port can take it over. Replaces a
    /// learned or static entry. A network may have several.
    ///
    /// # Errors
    /// [`EntryRefused`], and the table as it was.
    pub fn set_gateway(&self, mac: MacAddr) -> Result<(), EntryRefused> {
        self.set_fixed(mac, Entry::gateway(key_of(mac)))
    }

    fn set_fixed(&self, mac: MacAddr, entry: Entry) -> Result<(), EntryRefused> {
        if mac.is_group() || mac.is_zero() {
            return Err(EntryRefused::NotAStation);
        }
        let _one_at_a_time = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let tick = self.clock.shown() as u8;
        let mut pair = Pair::lock(self, self.seek(mac), true).ok_or(EntryRefused::TableFull)?;
        if let Some((old, place)) = pair.find().map_err(|_| EntryRefused::TableFull)? {
            if old.kind() == Kind::Gateway && entry.kind() != Kind::Gateway {
                return Err(EntryRefused::IsGateway);
            }
            let (bucket, at) = pair.at(place);
            if !self.is_dead(bucket, place.slot, old, tick) {
                pair.put(place, entry, tick);
                self.tally.fixed.fetch_add(1, Relaxed);
                self.give_back(old);
                return Ok(());
            }
            self.remove(bucket, at, place.slot, old, tick);
        }
        self.tally.fixed.fetch_add(1, Relaxed);
        self.settle(&mut pair, Newcomer { entry, holds: 0 }, tick).map(drop).map_err(|_| {
            self.tally.fixed.fetch_sub(1, Relaxed);
            EntryRefused::TableFull
        })
    }

    /// The entry of `mac`, of whatever kind, is gone. `false` when there was none.
    pub fn forget(&self, mac: MacAddr) -> bool {
        let _one_at_a_time = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut pair) = Pair::lock(self, self.seek(mac), true) else { return false };
        let Ok(Some((old, place))) = pair.find() else { return false };
        let (bucket, at) = pair.at(place);
        let counted = !old.as_learned().is_some_and(|(port, generation)| self.ports.is_stale(port, generation));
        self.take_out(bucket, at, place.slot, old);
        self.moves.forget(old, self.hash.first(old.key()).1);
        counted
    }

    /// Find a slot for a newcomer that is already counted, and say who had to go for it (the last, where two had to).
    #[inline]
    fn settle(&self, pair: &mut Pair<'_>, newcomer: Newcomer, tick: u8) -> Result<Option<MacAddr>, LearnRefusal> {
        let mut evicted = None;
        if self.tally.total() > self.capacity {
            evicted = self.make_room(pair, newcomer, tick).ok_or(LearnRefusal::TableFull)?.evicted();
        }
        if let Some(slot) = self.free_slot(&pair.first, pair.first_at(), tick) {
            pair.first.put(slot, newcomer.entry, tick);
            return Ok(evicted);
        }
        self.settle_displaced(pair, newcomer, tick).map(|also| also.or(evicted))
    }

    /// The newcomer's first bucket is full.
    #[inline(never)]
    fn settle_displaced(
        &self,
        pair: &mut Pair<'_>,
        newcomer: Newcomer,
        tick: u8,
    ) -> Result<Option<MacAddr>, LearnRefusal> {
        let second_at = pair.second_at();
        let second = pair.second().ok_or(LearnRefusal::Busy)?;
        if let Some(slot) = self.free_slot(second, second_at, tick) {
            pair.first.one_displaced_more();
            pair.put(Place { in_first: false, slot }, newcomer.entry, tick);
            return Ok(None);
        }
        let (place, evicted) = if let Some(place) = self.rearrange(pair, tick) {
            (place, None)
        } else {
            let victim = self.evict(pair, newcomer, tick).ok_or(LearnRefusal::TableFull)?;
            (Place { in_first: victim.at == pair.first_at(), slot: victim.slot }, victim.evicted())
        };
        if !place.in_first {
            pair.first.one_displaced_more();
        }
        pair.put(place, newcomer.entry, tick);
        Ok(evicted)
    }

    /// A slot that is empty, or whose entry is dead and now cleared.
    #[inline]
    fn free_slot(&self, bucket: &Locked<'_>, at: usize, tick: u8) -> Option<usize> {
        bucket.find_empty(self.vector).or_else(|| {
            let (slot, entry) = bucket.entries().find(|&(slot, entry)| self.is_dead(bucket, slot, entry, tick))?;
            self.remove(bucket, at, slot, entry, tick);
            Some(slot)
        })
    }

    /// Both buckets are full: move one of their learned entries to its own other bucket. The entry is in both
    /// for a moment, so that no look-up misses it while it goes from its first bucket to its second.
    fn rearrange(&self, pair: &Pair<'_>, tick: u8) -> Option<Place> {
        let (one, other) = (Some((&pair.first, pair.first_at())), pair.second.as_ref().map(|s| (s, pair.second_at())));
        one.into_iter().chain(other).find_map(|(bucket, at)| {
            let moved = |&(slot, entry): &(usize, Entry)| self.move_away(pair, bucket, at, slot, entry, tick);
            let slot = bucket.entries().find(moved).map(|(slot, _)| slot)?;
            Some(Place { in_first: at == pair.first_at(), slot })
        })
    }

    fn move_away(&self, pair: &Pair<'_>, bucket: &Locked<'_>, at: usize, slot: usize, entry: Entry, tick: u8) -> bool {
        let (first, hash) = self.hash.first(entry.key());
        let target_at = if first == at { self.hash.second(first, hash) } else { first };
        if target_at == pair.first_at() || target_at == pair.second_at() {
            return false;
        }
        let Some(target) = self.bucket(target_at).try_lock(1) else { return false };
        // Asked with both locks held: a purge that has already passed the target must not be evaded.
        if entry.as_learned().is_none() || self.is_dead(bucket, slot, entry, tick) {
            return false;
        }
        let Some(free) = self.free_slot(&target, target_at, tick) else { return false };
        target.put(free, entry, bucket.meta().stamp(slot));
        if first == at {
            bucket.one_displaced_more();
        }
        bucket.clear(slot);
        if first != at {
            target.one_displaced_less();
        }
        true
    }

    /// The table is at its capacity: one entry has to go, in the newcomer's buckets or near them.
    fn make_room(&self, pair: &mut Pair<'_>, newcomer: Newcomer, tick: u8) -> Option<Victim> {
        // Both buckets if they can be had; that the second is somebody else's just now is no reason to fail.
        let _ = pair.second();
        if self.eviction == Eviction::Lru {
            return self.evict_oldest(pair, newcomer, tick);
        }
        self.evict(pair, newcomer, tick).or_else(|| {
            let mut near = self.near(pair).map(|at| self.evict_at(at, newcomer, tick));
            near.find_map(|victim| victim)
        })
    }

    /// The buckets beyond its own two in which room may be made for a newcomer.
    fn near(&self, pair: &Pair<'_>) -> impl Iterator<Item = usize> + use<> {
        let (first, buckets) = (pair.first_at(), self.buckets.len());
        (1..=REACH.min(buckets - 1)).map(move |step| (first + step) % buckets)
    }

    /// Remove the entry of one more bucket that has the least claim to its place.
    fn evict_at(&self, at: usize, newcomer: Newcomer, tick: u8) -> Option<Victim> {
        let bucket = self.bucket(at).try_lock(1)?;
        let victim = self.victim(&bucket, at, newcomer, tick)?;
        self.remove(&bucket, at, victim.slot, victim.entry, tick);
        Some(victim)
    }

    /// Remove the oldest entry in reach, wherever it is; the next best when that one's bucket is not to be had.
    fn evict_oldest(&self, pair: &Pair<'_>, newcomer: Newcomer, tick: u8) -> Option<Victim> {
        let own = self.least_of_pair(pair, newcomer, tick);
        let near = self.near(pair).filter_map(|at| self.victim(self.bucket(at), at, newcomer, tick));
        match near.max_by_key(|victim| victim.claim) {
            Some(other) if own.is_none_or(|own| own.claim < other.claim) => {
                self.evict_at(other.at, newcomer, tick).or_else(|| self.evict(pair, newcomer, tick))
            }
            _ => self.evict(pair, newcomer, tick),
        }
    }

    /// Remove the entry of the pair's buckets that has the least claim to its place.
    fn evict(&self, pair: &Pair<'_>, newcomer: Newcomer, tick: u8) -> Option<Victim> {
        let victim = self.least_of_pair(pair, newcomer, tick)?;
        let (bucket, at) = pair.at(Place { in_first: victim.at == pair.first_at(), slot: victim.slot });
        self.remove(bucket, at, victim.slot, victim.entry, tick);
        Some(victim)
    }

    fn least_of_pair(&self, pair: &Pair<'_>, newcomer: Newcomer, tick: u8) -> Option<Victim> {
        let in_first = self.victim(&pair.first, pair.first_at(), newcomer, tick);
        let second = pair.second.as_ref();
        let in_second = second.and_then(|second| self.victim(second, pair.second_at(), newcomer, tick));
        in_first.into_iter().chain(in_second).max_by_key(|victim| victim.claim)
    }

    /// Of the counted learned entries in one bucket the one that has the least claim to its place, if it may go for
    /// this newcomer ([`Eviction`]): a dead one first, and of several the oldest.
    fn victim(&self, bucket: &Bucket, at: usize, newcomer: Newcomer, tick: u8) -> Option<Victim> {
        let candidates = bucket.entries().filter_map(|(slot, entry)| {
            let (port, generation) = entry.as_learned()?;
            let age = age(tick, bucket.meta().stamp(slot));
            let (may_go, holds) = match self.eviction {
                Eviction::Fair => {
                    let holds = self.ports.holds(port);
                    (holds >= newcomer.holds, holds)
                }
                Eviction::Lru => (true, 0),
                Eviction::None => (newcomer.entry.as_learned().is_none(), 0),
            };
            let dead = age >= LIFE_TICKS;
            let victim = Victim { claim: (dead, holds, age), at, slot, entry };
            ((dead || may_go) && !self.ports.is_stale(port, generation)).then_some(victim)
        });
        candidates.max_by_key(|victim| victim.claim)
    }

    /// Is the entry one that no look-up returns: silent for the ageing time, or flushed?
    pub(super) fn is_dead(&self, bucket: &Bucket, slot: usize, entry: Entry, tick: u8) -> bool {
        entry.as_learned().is_some_and(|(port, generation)| {
            age(tick, bucket.meta().stamp(slot)) >= LIFE_TICKS || self.ports.is_stale(port, generation)
        })
    }

    /// Take a learned entry out and count why: it was dead, or had to make room.
    pub(super) fn remove(&self, bucket: &Locked<'_>, at: usize, slot: usize, entry: Entry, tick: u8) {
        let aged = age(tick, bucket.meta().stamp(slot)) >= LIFE_TICKS;
        let counted = self.take_out(bucket, at, slot, entry);
        if counted {
            Tally::count(if aged { &self.tally.aged } else { &self.tally.evicted });
        }
    }

    /// Empty a slot and keep the books; `false` when the entry was a flushed one, which no book counts.
    pub(super) fn take_out(&self, bucket: &Locked<'_>, at: usize, slot: usize, entry: Entry) -> bool {
        bucket.clear(slot);
        let (first, _) = self.hash.first(entry.key());
        if first != at {
            self.bucket(first).one_displaced_less();
        }
        self.give_back(entry)
    }

    fn give_back(&self, entry: Entry) -> bool {
        let Some((port, generation)) = entry.as_learned() else {
            self.tally.fixed.fetch_sub(1, Relaxed);
            return true;
        };
        let counted = self.ports.give_back(port, generation);
        if counted {
            Tally::count(&self.tally.gone);
        }
        counted
    }
}
