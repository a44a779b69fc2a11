//! Who taught that row of the MAC table, and what has become of it since? The engine's lessons, kept by address.
//!
//! What is remembered is bounded: the last [`MOVES`] moves of each address, and of addresses the [`ROWS`] to 2 x [`ROWS`]
//! that were taught last. A row that has aged out of the MAC table is still remembered here, which is how somebody who asks too
//! late finds out.
//!
//! Not done: refreshes that nobody traced. The MAC table keeps the age of a row, not how often it was heard.

use std::collections::{HashMap, VecDeque};

use crossbeam::channel::Receiver;
use frame::step::Learned;
use frame::{FrameNumber, MacAddr, NetworkId};

use crate::engine::Lesson;

/// Moves of one address that are remembered.
pub const MOVES: usize = 8;
/// Addresses that are remembered, at least when there are as many.
pub const ROWS: usize = 32_768;

/// What is remembered of one address.
#[derive(Clone, Debug)]
pub struct History {
    /// The frame that made the row.
    pub taught: Lesson,
    /// The last moves, oldest first.
    pub moves: VecDeque<Lesson>,
    /// Moves in all since the row was made.
    pub moved: u64,
    /// Frames that found the row there and fresh again, as far as they were traced.
    pub refreshed: u64,
    /// The last of those: number and time.
    pub last_refresh: Option<(FrameNumber, u64)>,
    /// How often the address had a row before this one that was forgotten again.
    pub times_before: u64,
}

impl History {
    fn of(taught: Lesson, times_before: u64) -> Self {
        Self { taught, moves: VecDeque::new(), moved: 0, refreshed: 0, last_refresh: None, times_before }
    }
}

type Book = HashMap<(NetworkId, MacAddr), History>;

/// Everything that is remembered. Two books: when the young one is full it becomes the old one, and the old one, with
/// the addresses that were not taught again meanwhile, is forgotten.
#[derive(Default)]
pub struct Memory {
    young: Book,
    old: Book,
}

impl Memory {
    /// Take in the lessons that wait.
    pub fn take_in(&mut self, lessons: &Receiver<Lesson>) {
        lessons.try_iter().for_each(|lesson| self.note(lesson));
    }

    /// A frame taught something.
    pub fn note(&mut self, lesson: Lesson) {
        let key = (lesson.network, lesson.mac);
        let known = self.young.remove(&key).or_else(|| self.old.remove(&key));
        let history = match (known, lesson.learned) {
            (Some(mut history), Learned::Moved { .. }) => {
                history.moved += 1;
                if history.moves.len() == MOVES {
                    history.moves.pop_front();
                }
                history.moves.push_back(lesson);
                history
            }
            (Some(before), _) => History::of(lesson, before.times_before + 1),
            (None, _) => History::of(lesson, 0),
        };
        if self.young.len() >= ROWS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, history);
    }

    /// A traced frame refreshed a row.
    pub fn refreshed(&mut self, network: NetworkId, mac: MacAddr, by: FrameNumber, at_unix_ns: u64) {
        if let Some(history) = self.young.get_mut(&(network, mac)).or_else(|| self.old.get_mut(&(network, mac))) {
            history.refreshed += 1;
            history.last_refresh = Some((by, at_unix_ns));
        }
    }

    /// What is remembered of an address.
    pub fn of(&self, network: NetworkId, mac: MacAddr) -> Option<&History> {
        self.young.get(&(network, mac)).or_else(|| self.old.get(&(network, mac)))
    }

    /// The frame that had taught where the address is when frame `before` came.
    pub fn taught_before(&self, network: NetworkId, mac: MacAddr, before: FrameNumber) -> Option<FrameNumber> {
        let history = self.of(network, mac)?;
        let lessons = history.moves.iter().rev().chain([&history.taught]);
        lessons.map(|lesson| lesson.number).find(|number| *number < before)
    }

    /// These networks are left; forget the others'.
    pub fn keep(&mut self, stays: impl Fn(NetworkId) -> bool) {
        for book in [&mut self.young, &mut self.old] {
            book.retain(|(network, _), _| stays(*network));
        }
    }
}

#[cfg(test)]
mod tests {
    use frame::{Millis, PortId};
    use trace::Snap;

    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    fn lesson(number: u64, mac: MacAddr, learned: Learned) -> Lesson {
        Lesson {
            number: FrameNumber(number),
            at_unix_ns: number * 1000,
            at: Millis(number),
            network: NetworkId(1),
            port: PortId(number as u16 % 7),
            mac,
            learned,
            octets: 60,
            snap: Snap::of(&[2; 60]),
        }
    }

    #[test]
    fn a_row_is_taught_moves_and_is_taught_again() {
        let mut memory = Memory::default();
        let moved = Learned::Moved { from: PortId(0) };
        memory.note(lesson(7, MAC, Learned::New));
        (10..20).for_each(|number| memory.note(lesson(number, MAC, moved)));
        memory.refreshed(NetworkId(1), MAC, FrameNumber(30), 30_000);
        let history = memory.of(NetworkId(1), MAC).unwrap();
        assert_eq!((history.taught.number, history.moved, history.moves.len()), (FrameNumber(7), 10, MOVES));
        assert_eq!((history.refreshed, history.last_refresh), (1, Some((FrameNumber(30), 30_000))));
        let before = |number| memory.taught_before(NetworkId(1), MAC, FrameNumber(number)).map(|number| number.0);
        assert_eq!((before(100), before(19), before(12), before(7)), (Some(19), Some(18), Some(7), None));
        memory.note(lesson(40, MAC, Learned::New));
        let history = memory.of(NetworkId(1), MAC).unwrap();
        assert_eq!((history.taught.number, history.moved, history.times_before), (FrameNumber(40), 0, 1));
        assert!(memory.of(NetworkId(2), MAC).is_none());
        memory.keep(|network| network == NetworkId(2));
        assert!(memory.of(NetworkId(1), MAC).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_stay() {
        let mut memory = Memory::default();
        let mac = |n: u64| MacAddr([2, 0, 0, (n >> 16) as u8, (n >> 8) as u8, n as u8]);
        let count = 3 * ROWS as u64;
        (0..count).for_each(|number| memory.note(lesson(number, mac(number), Learned::New)));
        assert!(memory.young.len() + memory.old.len() <= 2 * ROWS);
        assert!((count - ROWS as u64..count).all(|number| memory.of(NetworkId(1), mac(number)).is_some()));
        assert!(memory.of(NetworkId(1), mac(0)).is_none());
    }
}
