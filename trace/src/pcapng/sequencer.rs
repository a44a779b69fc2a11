//! How do the frames of several workers come to stand in the order of time? Each worker tells of its frames in order, but
//! those of two may cross, and a copy leaves later than the next frame comes in.
//!
//! What is pushed waits until something newer by more than the window was pushed, or until more waits than may: then the
//! oldest goes. Equal times keep the order in which they were pushed. Something older than what has gone already is late:
//! it goes next, and its time is made that of the last one, so that time never runs backwards in what is written; how
//! often that happened is counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Things waiting to be put in the order of their times.
#[derive(Debug)]
pub struct Sequencer<T> {
    waiting: BinaryHeap<Reverse<Waiting<T>>>,
    window_ns: u64,
    limit: usize,
    pushed: u64,
    newest: u64,
    last: u64,
    late: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    at: u64,
    turn: u64,
    what: T,
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.turn).cmp(&(other.at, other.turn))
    }
}

impl<T> Sequencer<T> {
    /// Things wait until something newer by `window_ns` nanoseconds has come, `limit` of them at most.
    pub fn new(window_ns: u64, limit: usize) -> Self {
        Self { waiting: BinaryHeap::new(), window_ns, limit, pushed: 0, newest: 0, last: 0, late: 0 }
    }

    /// Here is something that happened at `at` nanoseconds.
    pub fn push(&mut self, at: u64, what: T) {
        self.newest = self.newest.max(at);
        self.late += u64::from(at < self.last);
        self.waiting.push(Reverse(Waiting { at: at.max(self.last), turn: self.pushed, what }));
        self.pushed += 1;
    }

    /// The oldest, if it need not wait any longer, and the time to write it with.
    pub fn ready(&mut self) -> Option<(u64, T)> {
        let Reverse(oldest) = self.waiting.peek()?;
        let waited = self.newest - oldest.at > self.window_ns || self.waiting.len() > self.limit;
        if waited { self.oldest() } else { None }
    }

    /// The oldest, whether it might wait or not: nothing more is expected.
    pub fn oldest(&mut self) -> Option<(u64, T)> {
        let Reverse(first) = self.waiting.pop()?;
        self.last = self.last.max(first.at);
        Some((first.at, first.what))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many came too late for their place, so far.
    pub const fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn rest(sequencer: &mut Sequencer<char>) -> String {
        std::iter::from_fn(|| sequencer.oldest()).map(|(_, what)| what).collect()
    }

    #[test]
    fn equal_times_keep_their_order_and_late_ones_are_moved() {
        let mut sequencer = Sequencer::new(10, 100);
        for (at, what) in [(5, 'b'), (3, 'a'), (5, 'c'), (9, 'd')] {
            sequencer.push(at, what);
        }
        assert_eq!(sequencer.ready(), None, "all are within the window");
        sequencer.push(14, 'e');
        assert_eq!(sequencer.ready(), Some((3, 'a')));
        assert_eq!(sequencer.ready(), None);
        sequencer.push(1, 'l');
        assert_eq!(sequencer.oldest(), Some((3, 'l')), "late: it gets the last one's time");
        assert_eq!((rest(&mut sequencer).as_str(), sequencer.late(), sequencer.waiting()), ("bcde", 1, 0));
    }

    #[test]
    fn no_more_wait_than_may() {
        let mut sequencer = Sequencer::new(u64::MAX, 2);
        for at in 0..3 {
            sequencer.push(at, 'x');
        }
        assert_eq!((sequencer.ready(), sequencer.ready()), (Some((0, 'x')), None));
    }

    proptest! {
        #[test]
        fn time_never_runs_backwards_and_nothing_is_lost(
            times in vec(prop_oneof![0u64..50, any::<u64>()], 0..200), window in 0u64..20, limit in 0usize..20,
        ) {
            let mut sequencer = Sequencer::new(window, limit);
            let mut out = Vec::new();
            for (index, at) in times.iter().enumerate() {
                sequencer.push(*at, index);
                while let Some(next) = sequencer.ready() {
                    out.push(next);
                }
                prop_assert!(sequencer.waiting() <= limit);
            }
            while let Some(next) = sequencer.oldest() {
                out.push(next);
            }
            prop_assert!(out.is_sorted_by_key(|(at, _)| *at));
            prop_assert!(out.iter().all(|(at, index)| *at >= times[*index]));
            let mut seen: Vec<usize> = out.iter().map(|(_, index)| *index).collect();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..times.len()));
        }
    }
}
