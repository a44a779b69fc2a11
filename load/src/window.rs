//! Which numbers of a stream have come? A bitmap of the last so many numbers, which slides on with the highest: bounded
//! memory, no allocation per frame, and as exact as its length. A frame that comes later than the window is long cannot be
//! told from a duplicate, and is said to be too old.
//!
//! The principle is that of `IPsec`'s anti-replay window (RFC 4303 section 3.4.3, RFC 6479).
//!
//! Not done: a number that is wrong and far ahead, which a 24-bit check lets through once in 16 million damaged frames,
//! moves the window away from those that follow.

/// Numbers a window tells apart unless another length is asked for: at ten million frames a second, a tenth of a second.
pub const WINDOW_NUMBERS: u64 = 1 << 20;
/// Numbers in one word of the bitmap.
const WORD: u64 = u64::BITS as u64;

/// What a window says of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It has not come before.
    First,
    /// It has.
    Again,
    /// It is further back than the window reaches.
    TooOld,
}

/// The numbers that have come.
#[derive(Clone, Debug)]
pub struct Window {
    /// One bit for each of the numbers `next - length .. next`, at the number modulo the length.
    words: Box<[u64]>,
    /// Words, less one; their count is a power of two.
    mask: u64,
    /// The highest number so far and one; zero while there is none.
    next: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self::new(WINDOW_NUMBERS)
    }
}

impl Window {
    /// A window of at least so many numbers: rounded up to a power of two, and to 64.
    pub fn new(numbers: u64) -> Self {
        let words = numbers.div_ceil(WORD).max(1).next_power_of_two();
        Self { words: vec![0; words as usize].into(), mask: words - 1, next: 0 }
    }

    /// How many numbers it tells apart.
    pub fn length(&self) -> u64 {
        (self.mask + 1) * WORD
    }

    /// The lowest number that would be ahead of all that came.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Has this number come, as far as the window reaches?
    pub fn has(&self, number: u64) -> bool {
        let reached = number < self.next && self.next - number <= self.length();
        reached && self.words[((number / WORD) & self.mask) as usize] & (1 << (number % WORD)) != 0
    }

    /// A number has come; `u64::MAX` is none.
    #[inline]
    pub fn take(&mut self, number: u64) -> Seen {
        if number >= self.next {
            self.slide(number);
        } else if self.next - number > self.length() {
            return Seen::TooOld;
        }
        let word = &mut self.words[((number / WORD) & self.mask) as usize];
        let bit = 1 << (number % WORD);
        if *word & bit == 0 {
            *word |= bit;
            return Seen::First;
        }
        Seen::Again
    }

    /// Forget what stood in the places of the numbers up to this one, which is ahead of all.
    #[inline]
    fn slide(&mut self, number: u64) {
        let (from, to) = (self.next, number.saturating_add(1));
        self.next = to;
        if to - from >= self.length() {
            self.words.fill(0);
            return;
        }
        let (first, last) = (from / WORD, number / WORD);
        for word in first..=last {
            let low = if word == first { u64::MAX << (from % WORD) } else { u64::MAX };
            let high = if word == last { u64::MAX >> (WORD - 1 - number % WORD) } else { u64::MAX };
            self.words[(word & self.mask) as usize] &= !(low & high);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_rounded_up() {
        for (asked, got) in [(0, 64), (1, 64), (64, 64), (65, 128), (1 << 20, 1 << 20)] {
            assert_eq!(Window::new(asked).length(), got);
        }
    }

    #[test]
    fn every_case_at_the_edges() {
        let mut window = Window::new(64);
        let table = [
            (0, Seen::First),
            (0, Seen::Again),
            (63, Seen::First),
            (1, Seen::First),
            (64, Seen::First), // 0 falls out
            (0, Seen::TooOld),
            (1, Seen::Again),
            (2, Seen::First),
            (200, Seen::First), // all fall out
            (136, Seen::TooOld),
            (137, Seen::First),
            (199, Seen::First),
            (264, Seen::First), // a whole length ahead
            (200, Seen::TooOld),
            (201, Seen::First),
            (u64::MAX - 1, Seen::First),
            (u64::MAX - 64, Seen::First),
            (u64::MAX - 65, Seen::TooOld),
        ];
        for (number, seen) in table {
            assert_eq!(window.take(number), seen, "{number}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a set that forgets nothing: steps forwards and backwards, short and long.
        #[test]
        fn a_window_is_a_set_with_an_end(steps in prop::collection::vec((-300i64..320, 0u8..8), 0..600), length in 0u64..600) {
            let mut window = Window::new(length);
            let (mut set, mut number, mut next) = (HashSet::new(), 1000u64, 0);
            prop_assert!(!window.has(0));
            for (step, kind) in steps {
                number = number.saturating_add_signed(if kind == 0 { step * 9 } else { step / i64::from(kind) });
                let expected = match set.contains(&number) {
                    _ if number + window.length() < next => Seen::TooOld,
                    true => Seen::Again,
                    false => Seen::First,
                };
                prop_assert_eq!(window.take(number), expected);
                set.insert(number);
                next = next.max(number + 1);
                prop_assert_eq!(window.has(number), expected != Seen::TooOld);
                prop_assert_eq!(window.has(next.saturating_sub(5)), set.contains(&next.saturating_sub(5)));
                prop_assert_eq!(window.next(), next);
            }
        }
    }
}
