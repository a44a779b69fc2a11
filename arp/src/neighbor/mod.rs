//! Which MAC address has an IP address, who said so, and is it still true? (RFC 826; RFC 5227, 2.4; RFC 4861, 7.3)
//!
//! Three sources feed the table. What the control plane says stands until the control plane takes it back. What
//! passing ARP messages say, and what stations answer to the switch's own requests, is learned: it holds against
//! another station's claim for [`REACHABLE`] after each confirmation; such a claim is a conflict, recorded and
//! refused. A claim on a neighbor that has gone stale wins, so that a station with a new MAC address is shut out for
//! that long at most. Learned entries that nothing confirms are dropped after [`Settings::age`].
//!
//! The table is bounded. A new station takes the place of the learned entry that was confirmed longest ago, if that is
//! stale; otherwise it is not noted. A neighbor the switch itself needs, and one the control plane names, take the
//! place of any learned entry. A neighbor that is being asked makes no room: its frames wait, and it must not be asked
//! again too soon.
//!
//! Not done: asking the holder in a conflict; a bound for each port.

mod conflicts;
mod entry;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use frame::step::NeighborChange;
use frame::{MacAddr, Millis, PortId};
use hashbrown::HashMap;

use conflicts::ConflictLog;
pub use conflicts::{Conflict, REMEMBERED};
pub use entry::{DELAY, MAX_REQUESTS, NeighborEntry, REACHABLE, RETRANS, Source, State};
pub(crate) use entry::{Incomplete, Known, Neighbor, Upkeep};

use crate::resolver::Held;

/// Least time between two sweeps for entries that are too old.
const SWEEP_INTERVAL: Millis = Millis::from_secs(1);

/// The bounds of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Neighbors the table holds, of whatever source.
    pub capacity: usize,
    /// How long a learned entry stays without being confirmed; at least a second.
    pub age: Millis,
    /// Frames that wait for one next hop.
    pub held_per_hop: u16,
    /// Frames that wait in the whole table.
    pub held_in_all: usize,
}

impl Default for Settings {
    /// 8192 neighbors; 300 s, the MAC table's age; 16 and 256 frames.
    fn default() -> Self {
        Self { capacity: 8192, age: Millis::from_secs(300), held_per_hop: 16, held_in_all: 256 }
    }
}

/// What became of a claim, and the frames that had waited for it, in the order they came.
#[derive(Debug)]
#[must_use = "released frames are lost without a verdict when nobody sends them"]
pub struct Noted {
    /// What the table took from it.
    pub change: NeighborChange,
    /// Frames for this neighbor, to be sent to the MAC address it was noted with.
    pub released: Vec<Held>,
}

impl From<NeighborChange> for Noted {
    fn from(change: NeighborChange) -> Self {
        Self { change, released: Vec::new() }
    }
}

/// The table is full of entries that may not make room: the control plane's own, and ones that are being asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom {
    /// The IP address there was no room for.
    pub ip: IpAddr,
    /// [`Settings::capacity`].
    pub capacity: usize,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no room for {} in the neighbor table: all {} entries are in use", self.ip, self.capacity)
    }
}

impl std::error::Error for NoRoom {}

/// Which entries may make room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evict {
    /// Learned ones that have gone stale, unless they are being asked.
    Stale,
    /// Learned ones, unless they are being asked.
    Learned,
}

/// The neighbors of one network.
#[derive(Clone, Debug)]
pub struct NeighborTable {
    pub(crate) settings: Settings,
    pub(crate) neighbors: HashMap<IpAddr, Neighbor>,
    /// Whose timer runs out when: exactly the entries with a [`Neighbor::due`].
    pub(crate) timers: BTreeSet<(Millis, IpAddr)>,
    /// Frames held in all entries together.
    pub(crate) held: usize,
    conflicts: ConflictLog,
    version: u64,
    /// Learned entries with a MAC address.
    learned: usize,
    /// No learned entry is too old before this.
    sweep_due: Option<Millis>,
    /// No learned entry is stale before this: spares a full table the search for one at every forged claim.
    none_stale_before: Millis,
    /// When the gateway's address was last defended (RFC 5227, 2.4).
    pub(crate) defended: Option<Millis>,
}

impl NeighborTable {
    /// An empty table with these bounds.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Settings { age: settings.age.max(SWEEP_INTERVAL), ..settings },
            neighbors: HashMap::new(),
            timers: BTreeSet::new(),
            held: 0,
            conflicts: ConflictLog::default(),
            version: 0,
            learned: 0,
            sweep_due: None,
            none_stale_before: Millis(0),
            defended: None,
        }
    }

    /// How many neighbors it holds.
    pub fn len(&self) -> usize {
        self.neighbors.len()
    }

    /// Does it hold none?
    pub fn is_empty(&self) -> bool {
        self.neighbors.is_empty()
    }

    /// How many frames wait in it.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Changes whenever the answer to "which MAC address has this IP address" may have changed for any of them; a
    /// mere confirmation does not change it. A worker may keep the answers of [`NeighborTable::resolve`] while it stays
    /// the same, but should ask again about once a second: only what is asked for here counts as used.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What is known of `ip`.
    pub fn get(&self, ip: IpAddr, now: Millis) -> Option<NeighborEntry> {
        self.neighbors.get(&ip).map(|neighbor| neighbor.show(ip, now))
    }

    /// All neighbors, sorted by IP address.
    pub fn entries(&self, now: Millis) -> Vec<NeighborEntry> {
        let mut entries: Vec<_> = self.neighbors.iter().map(|(ip, neighbor)| neighbor.show(*ip, now)).collect();
        entries.sort_unstable();
        entries
    }

    /// The last [`REMEMBERED`] conflicts, the latest last.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.iter()
    }

    /// How many conflicting claims there were since the table was made.
    pub fn conflict_count(&self) -> u64 {
        self.conflicts.total()
    }

    /// A station on `port` says that `ip` is at `mac`. Whether `ip` is one of the network's own addresses is for the
    /// caller to know; an address that no station can have is not noted.
    pub fn note(&mut self, ip: IpAddr, mac: MacAddr, port: PortId, now: Millis) -> Noted {
        if !can_be_neighbor(ip, mac) {
            return NeighborChange::Nothing.into();
        }
        let heard =
            |source| Neighbor::Known(Known { mac, port: Some(port), source, confirmed: now, upkeep: Upkeep::Nothing });
        match self.neighbors.get_mut(&ip) {
            None => {
                if !self.make_room(Evict::Stale, now) {
                    return NeighborChange::Full.into();
                }
                self.put(ip, heard(Source::Arp));
                NeighborChange::New.into()
            }
            Some(Neighbor::Incomplete(_)) => {
                let released = self.put(ip, heard(Source::Resolver)).map_or(Vec::new(), Neighbor::into_held);
                Noted { change: NeighborChange::New, released }
            }
            Some(Neighbor::Known(known)) if known.mac == mac => {
                if let Some(due) = known.confirm(port, now) {
                    self.timers.remove(&(due, ip));
                }
                NeighborChange::Confirmed.into()
            }
            Some(Neighbor::Known(known)) if known.is_sure(now) => {
                let held_by = known.mac;
                self.record_conflict(ip, held_by, mac, port, now);
                NeighborChange::Conflict { held_by }.into()
            }
            Some(Neighbor::Known(known)) => {
                let from = known.mac;
                let asked = known.is_being_asked();
                self.put(ip, heard(if asked { Source::Resolver } else { Source::Arp }));
                NeighborChange::Changed { from }.into()
            }
        }
    }

    /// The control plane says that `ip` is at `mac`, on `port` if it is attached to one, whatever was learned before.
    /// Returns the frames that had waited for it, in the order they came.
    ///
    /// # Errors
    /// [`NoRoom`] when the table is full and no entry can make room; nothing has changed then.
    pub fn set_control(
        &mut self,
        ip: IpAddr,
        mac: MacAddr,
        port: Option<PortId>,
        now: Millis,
    ) -> Result<Vec<Held>, NoRoom> {
        if !self.neighbors.contains_key(&ip) && !self.make_room(Evict::Learned, now) {
            return Err(NoRoom { ip, capacity: self.settings.capacity });
        }
        let told = Known { mac, port, source: Source::Control, confirmed: now, upkeep: Upkeep::Nothing };
        Ok(self.put(ip, Neighbor::Known(told)).map_or(Vec::new(), Neighbor::into_held))
    }

    /// The control plane takes back what it said of `ip`; `false` when it had said nothing.
    pub fn remove_control(&mut self, ip: IpAddr) -> bool {
        let told = matches!(self.neighbors.get(&ip), Some(Neighbor::Known(known)) if !known.is_learned());
        told && self.take(ip).is_some()
    }

    /// `port` is gone, and so is all that was learned by it. The control plane's entries lose their port only. Returns
    /// the frames that had come in by that port and wait here for a next hop; they may have come from another
    /// network, so every network's table must hear of it.
    #[must_use = "these frames are lost without a verdict when nobody drops them for a reason"]
    pub fn forget_port(&mut self, port: PortId) -> Vec<Held> {
        let mut gone: Vec<(IpAddr, Upkeep)> = Vec::new();
        let mut orphans = Vec::new();
        for (ip, neighbor) in &mut self.neighbors {
            match neighbor {
                Neighbor::Incomplete(incomplete) => {
                    orphans.extend(incomplete.held.extract_if(.., |held| held.from == port));
                }
                Neighbor::Known(known) if known.port != Some(port) => {}
                Neighbor::Known(known) if known.is_learned() => gone.push((*ip, known.upkeep)),
                Neighbor::Known(known) => known.port = None,
            }
        }
        self.held -= orphans.len();
        for (ip, upkeep) in gone {
            if let Upkeep::Probe { attempt, due } = upkeep {
                // What runs of its requests goes on, now to all, so that it is not asked sooner than a second later.
                let asked = Incomplete { since: due - RETRANS, attempt, due, held: Vec::new() };
                self.put(ip, Neighbor::Incomplete(asked));
            } else {
                self.take(ip);
            }
        }
        orphans
    }

    /// `claimed_by`, on `port`, claims `ip`, which is `held_by` another (RFC 5227, 2.4).
    pub fn record_conflict(&mut self, ip: IpAddr, held_by: MacAddr, claimed_by: MacAddr, port: PortId, now: Millis) {
        self.conflicts.record(ip, held_by, claimed_by, port, now);
    }

    /// Is there room for another neighbor, now or after one that may go has gone?
    pub(crate) fn make_room(&mut self, evict: Evict, now: Millis) -> bool {
        if self.neighbors.len() < self.settings.capacity {
            return true;
        }
        if evict == Evict::Stale && now < self.none_stale_before {
            return false;
        }
        let learned = self.neighbors.iter().filter_map(|(ip, neighbor)| match neighbor {
            Neighbor::Known(known) if known.is_learned() && !known.is_being_asked() => Some((known.confirmed, *ip)),
            _ => None,
        });
        let Some((confirmed, ip)) = learned.min() else {
            self.none_stale_before = now + REACHABLE;
            return false;
        };
        if evict == Evict::Stale && now.since(confirmed) < REACHABLE {
            self.none_stale_before = confirmed + REACHABLE;
            return false;
        }
        self.take(ip).is_some()
    }

    /// Enter `neighbor` in the place of what was known of `ip`, which is returned.
    pub(crate) fn put(&mut self, ip: IpAddr, neighbor: Neighbor) -> Option<Neighbor> {
        let before = self.take(ip);
        if let Some(due) = neighbor.due() {
            self.timers.insert((due, ip));
        }
        match &neighbor {
            Neighbor::Incomplete(incomplete) => self.held += incomplete.held.len(),
            Neighbor::Known(known) => {
                self.version += 1;
                if known.is_learned() {
                    self.learned += 1;
                    let too_old = known.confirmed + self.settings.age;
                    self.sweep_due = Some(self.sweep_due.map_or(too_old, |due| due.min(too_old)));
                }
            }
        }
        self.neighbors.insert(ip, neighbor);
        before
    }

    /// Strike out what is known of `ip` and return it.
    pub(crate) fn take(&mut self, ip: IpAddr) -> Option<Neighbor> {
        let neighbor = self.neighbors.remove(&ip)?;
        if let Some(due) = neighbor.due() {
            self.timers.remove(&(due, ip));
        }
        match &neighbor {
            Neighbor::Incomplete(incomplete) => self.held -= incomplete.held.len(),
            Neighbor::Known(known) => {
                self.version += 1;
                self.learned -= usize::from(known.is_learned());
            }
        }
        Some(neighbor)
    }

    /// When [`NeighborTable::sweep`] has something to do at the earliest; `None` when nothing is learned.
    pub(crate) fn sweep_due(&self) -> Option<Millis> {
        self.sweep_due.filter(|_| self.learned > 0)
    }

    /// Drop the learned entries that nothing has confirmed for [`Settings::age`]. One that is being asked is left: it
    /// answers or goes.
    pub(crate) fn sweep(&mut self, now: Millis) {
        let before = self.neighbors.len();
        let mut oldest = None;
        self.neighbors.retain(|_, neighbor| {
            let Neighbor::Known(known) = neighbor else { return true };
            if !known.is_learned() {
                return true;
            }
            let keep = known.upkeep != Upkeep::Nothing || now.since(known.confirmed) < self.settings.age;
            if keep {
                oldest = Some(oldest.map_or(known.confirmed, |oldest: Millis| oldest.min(known.confirmed)));
            }
            keep
        });
        let dropped = before - self.neighbors.len();
        self.learned -= dropped;
        self.version += u64::from(dropped > 0);
        self.sweep_due = oldest.map(|confirmed| (confirmed + self.settings.age).max(now + SWEEP_INTERVAL));
    }
}

#[cfg(test)]
impl NeighborTable {
    /// Everything that is counted beside the map agrees with the map.
    pub(crate) fn check(&self) {
        let timers = self.neighbors.iter().filter_map(|(ip, neighbor)| Some((neighbor.due()?, *ip)));
        assert_eq!(self.timers, timers.collect());
        let waiting = |neighbor: &Neighbor| if let Neighbor::Incomplete(i) = neighbor { i.held.len() } else { 0 };
        assert_eq!(self.held, self.neighbors.values().map(waiting).sum::<usize>());
        assert!(self.neighbors.values().all(|n| waiting(n) <= usize::from(self.settings.held_per_hop)));
        let learned: Vec<_> = self
            .neighbors
            .values()
            .filter_map(|neighbor| match neighbor {
                Neighbor::Known(known) if known.is_learned() => Some(known.confirmed + self.settings.age),
                _ => None,
            })
            .collect();
        assert_eq!(self.learned, learned.len());
        assert!(self.held <= self.settings.held_in_all && self.len() <= self.settings.capacity);
        assert!(learned.is_empty() || self.sweep_due.is_some());
    }
}

impl Default for NeighborTable {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

/// Can a station have this IP and this MAC address at all? (RFC 1122, 3.2.1.3)
fn can_be_neighbor(ip: IpAddr, mac: MacAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(broadcast || ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || mac.is_group() || mac.is_zero())
}
