//! What is in the table, for people and programs to read?

use frame::{MacAddr, Millis, PortId};

use super::MacTable;
use super::bucket::{Kind, age, key_of};

/// One entry, as it was when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacEntry {
    /// The station's address.
    pub mac: MacAddr,
    /// How the entry came to be.
    pub kind: EntryKind,
    /// The port the station is on; `None` for the gateway.
    pub port: Option<PortId>,
    /// How long ago the station was last heard, in ticks of 1/128 of the ageing time: up to one tick short.
    /// Zero for entries that do not age.
    pub age: Millis,
    /// How often the address changed its port, as far as remembered; at most 65,535.
    pub moves: u32,
}

/// How an entry came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// From a frame's source address.
    Learned,
    /// Told by the control side.
    Static,
    /// The network's gateway.
    Gateway,
}

impl MacTable {
    /// How often an address has changed its port, as far as remembered; at most 65,535.
    pub fn moves_of(&self, mac: MacAddr) -> u32 {
        let key = key_of(mac);
        self.moves.of(key, self.hash.first(key).1)
    }

    /// The entries that look-ups would find, sorted by address. Takes no lock: what is learned or forgotten
    /// meanwhile may be in the list or not.
    pub fn entries(&self, now: Millis) -> Vec<MacEntry> {
        let tick = self.tick(now);
        let mut list = Vec::with_capacity(self.len());
        for bucket in &self.buckets {
            for (slot, entry) in bucket.entries().filter(|(slot, entry)| !self.is_dead(bucket, *slot, *entry, tick)) {
                let (kind, port, ticks) = match entry.kind() {
                    Kind::Learned(port, _) => (EntryKind::Learned, Some(port), age(tick, bucket.meta().stamp(slot))),
                    Kind::Static(port) => (EntryKind::Static, Some(port), 0),
                    Kind::Gateway => (EntryKind::Gateway, None, 0),
                };
                let (mac, moves) = (entry.mac(), self.moves_of(entry.mac()));
                list.push(MacEntry { mac, kind, port, age: self.clock.as_time(ticks), moves });
            }
        }
        // An address on its way from one bucket to the other may have been seen twice.
        list.sort_unstable_by_key(|entry| entry.mac);
        list.dedup_by_key(|entry| entry.mac);
        list
    }
}
