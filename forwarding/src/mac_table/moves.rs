//! How often did an address move from one port to another?
//!
//! Beside the table, because a move is rare and a look-up must not carry its count: one word for each of a
//! few thousand addresses, `MAC 48 bits | moves 16 bits`, at the place its hash gives. The newest mover
//! takes the place; an older one there is forgotten. That a station moves back and forth (a loop, a
//! duplicate MAC, a bond without agreement) shows in numbers that grow, not in exact ones.

use std::sync::atomic::Ordering::Relaxed;

use super::bucket::Entry;
use super::sync::AtomicU64;

const FEWEST: usize = if cfg!(feature = "model") { 2 } else { 128 };
const MOST: u64 = 0xffff;

pub(super) struct Moves(Box<[AtomicU64]>);

impl Moves {
    /// With room for a sixteenth of the table's addresses: 128 to 65,536.
    pub(super) fn new(capacity: usize) -> Self {
        let places = (capacity / 16).next_power_of_two().clamp(FEWEST, 1 << 16);
        Self((0..places).map(|_| AtomicU64::new(0)).collect())
    }

    /// The same counts, to be kept apart from here on.
    pub(super) fn fork(&self) -> Self {
        Self(self.0.iter().map(|place| AtomicU64::new(place.load(Relaxed))).collect())
    }

    /// The address with this key and hash has moved.
    pub(super) fn count(&self, key: u64, hash: u64) {
        if let Some(place) = self.place(hash) {
            let seen = place.load(Relaxed);
            let moves = if seen >> 16 == key { (seen & MOST) + 1 } else { 1 };
            place.store(key << 16 | moves.min(MOST), Relaxed);
        }
    }

    /// Its moves, as far as remembered; at most 65,535.
    pub(super) fn of(&self, key: u64, hash: u64) -> u32 {
        let seen = self.place(hash).map_or(0, |place| place.load(Relaxed));
        if seen >> 16 == key { (seen & MOST) as u32 } else { 0 }
    }

    /// Forget what was counted for the address of `entry`.
    pub(super) fn forget(&self, entry: Entry, hash: u64) {
        if let Some(place) = self.place(hash)
            && place.load(Relaxed) >> 16 == entry.key()
        {
            place.store(0, Relaxed);
        }
    }

    fn place(&self, hash: u64) -> Option<&AtomicU64> {
        // The lowest bit of a hash is always 0.
        self.0.get((hash >> 1) as usize & (self.0.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame::PortId;

    #[test]
    fn counts_each_address_and_lets_the_newest_take_a_place() {
        let moves = Moves::new(64);
        (0..3).for_each(|_| moves.count(7, 2));
        assert_eq!((moves.of(7, 2), moves.of(8, 2), moves.of(7, 4)), (3, 0, 0));
        moves.count(8, 2 + 256);
        assert_eq!((moves.of(7, 2), moves.of(8, 2)), (0, 1));
        (0..70_000).for_each(|_| moves.count(8, 2));
        assert_eq!(moves.of(8, 2), 65_535);
        moves.forget(Entry::fixed(8, PortId(0)), 2);
        assert_eq!(moves.of(8, 2), 0);
    }
}
