//! How many addresses does each port hold, and which generation of them counts?
//!
//! Every port has a book: a generation of 4 bits and a count of 28 in one word, so that an address is
//! counted in exactly the generation it was learned in. Flushing a port opens the next generation with a
//! count of 0: entries of older ones are ignored by look-ups and cleared by the sweep. Look-ups read the
//! generation from an array of its own, whose lines stay in every worker's cache while others learn; they find it
//! there as the top 16 bits of the words of entries that count, ready to be compared.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use frame::PortId;
use frame::step::LearnRefusal;

use super::bucket::LAST_GENERATION;
use super::sync::{AtomicU16, AtomicU32, PORTS};

const COUNT: u32 = (1 << 28) - 1;
const FIRST_GENERATION: u8 = 1;
/// Between two rounds of generations: nothing is learned and no entry counts.
const CLOSED: u8 = 0;

pub(super) struct Ports {
    books: Box<[AtomicU32]>,
    /// The top 16 bits of the words of entries that count: `generation 4 | port 12`.
    prefixes: Box<[AtomicU16; PORTS]>,
}

impl Ports {
    pub(super) fn new() -> Self {
        let books = (0..PORTS).map(|_| AtomicU32::new(word(FIRST_GENERATION, 0))).collect();
        let prefixes = std::array::from_fn(|port| AtomicU16::new(prefix(PortId(port as u16), FIRST_GENERATION)));
        Self { books, prefixes: Box::new(prefixes) }
    }

    /// The same books, to be kept apart from here on.
    pub(super) fn fork(&self) -> Self {
        Self {
            books: self.books.iter().map(|book| AtomicU32::new(book.load(Acquire))).collect(),
            prefixes: Box::new(std::array::from_fn(|port| AtomicU16::new(self.prefixes[port].load(Acquire)))),
        }
    }

    /// [`Ports::prefix`] of every port.
    #[inline]
    pub(super) fn prefixes(&self) -> &[AtomicU16; PORTS] {
        &self.prefixes
    }

    /// The top 16 bits of a learned entry of `port` that counts. For a closed port, or a number that is no port's,
    /// something that no entry naming this port has.
    #[inline]
    pub(super) fn prefix(&self, port: PortId) -> u16 {
        self.prefixes.get(port.index()).map_or(!0, |prefix| prefix.load(Acquire))
    }

    /// How many addresses the port holds.
    pub(super) fn holds(&self, port: PortId) -> u32 {
        self.books.get(port.index()).map_or(0, |book| book.load(Relaxed) & COUNT)
    }

    /// Count one more address, and say in which generation. Call it with the lock of the address's first
    /// bucket held: that is what lets a flush find every entry of a generation it closes for good.
    pub(super) fn take(&self, port: PortId, limit: u32) -> Result<u8, LearnRefusal> {
        let book = self.books.get(port.index()).ok_or(LearnRefusal::PortLimit)?;
        let limit = limit.min(COUNT);
        let taken = book.fetch_update(AcqRel, Acquire, |word| {
            (word & COUNT < limit && generation_of(word) != CLOSED).then(|| word + 1)
        });
        match taken {
            Ok(word) => Ok(generation_of(word)),
            Err(word) if generation_of(word) == CLOSED => Err(LearnRefusal::Busy),
            Err(_) => Err(LearnRefusal::PortLimit),
        }
    }

    /// Count one address less; `false` when it was of an older generation and is not counted any more.
    pub(super) fn give_back(&self, port: PortId, generation: u8) -> bool {
        let Some(book) = self.books.get(port.index()) else { return false };
        book.fetch_update(AcqRel, Acquire, |word| {
            (generation_of(word) == generation && word & COUNT > 0).then(|| word - 1)
        })
        .is_ok()
    }

    /// Is an entry of this generation no longer to be counted?
    pub(super) fn is_stale(&self, port: PortId, generation: u8) -> bool {
        self.books.get(port.index()).is_none_or(|book| generation_of(book.load(Acquire)) != generation)
    }

    /// Begin the next generation; says how many addresses the old one held, and whether the port is now
    /// closed: the generations have come round, and [`Ports::reopen`] must wait until no entry is left.
    pub(super) fn next_generation(&self, port: PortId) -> (u32, bool) {
        let Some(book) = self.books.get(port.index()) else { return (0, false) };
        let next = |word| match generation_of(word) {
            LAST_GENERATION => CLOSED,
            generation => generation + 1,
        };
        let old = match book.fetch_update(AcqRel, Acquire, |old| Some(word(next(old), 0))) {
            Ok(old) | Err(old) => old,
        };
        self.publish(port, next(old));
        (old & COUNT, next(old) == CLOSED)
    }

    /// Open a closed port again, with the first generation.
    pub(super) fn reopen(&self, port: PortId) {
        if let Some(book) = self.books.get(port.index()) {
            book.store(word(FIRST_GENERATION, 0), Release);
            self.publish(port, FIRST_GENERATION);
        }
    }

    fn publish(&self, port: PortId, generation: u8) {
        if let Some(shown) = self.prefixes.get(port.index()) {
            // Another port's number stands for "none".
            let of = if generation == CLOSED { PortId(port.0 ^ 1) } else { port };
            shown.store(prefix(of, generation), Release);
        }
    }
}

const fn prefix(port: PortId, generation: u8) -> u16 {
    (generation as u16) << 12 | port.0
}

const fn word(generation: u8, count: u32) -> u32 {
    (generation as u32) << 28 | count
}

const fn generation_of(word: u32) -> u8 {
    (word >> 28) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: PortId = PortId(9);

    #[test]
    fn counts_up_to_the_limit() {
        let ports = Ports::new();
        assert_eq!(ports.take(PORT, 2), Ok(1));
        assert_eq!(ports.take(PORT, 2), Ok(1));
        assert_eq!(ports.take(PORT, 2), Err(LearnRefusal::PortLimit));
        assert!(ports.give_back(PORT, 1));
        assert_eq!(ports.holds(PORT), 1);
        assert_eq!(ports.take(PortId(4096), 2), Err(LearnRefusal::PortLimit));
        assert_eq!((ports.prefix(PORT), ports.prefix(PortId(u16::MAX))), (0x1009, !0));
    }

    #[test]
    fn an_older_generation_is_not_counted() {
        let ports = Ports::new();
        ports.take(PORT, 10).unwrap();
        assert_eq!(ports.next_generation(PORT), (1, false));
        assert!(ports.is_stale(PORT, 1) && !ports.is_stale(PORT, 2));
        assert_eq!((ports.prefix(PORT), ports.holds(PORT)), (0x2009, 0));
        assert!(!ports.give_back(PORT, 1));
        assert!(!ports.give_back(PORT, 2), "nothing to give back");
    }

    #[test]
    fn a_port_closes_when_its_generations_come_round() {
        let ports = Ports::new();
        for generation in 2..=LAST_GENERATION {
            assert_eq!(ports.next_generation(PORT), (0, false));
            assert_eq!(ports.prefix(PORT) >> 12, u16::from(generation));
        }
        assert_eq!(ports.next_generation(PORT), (0, true));
        assert_ne!(ports.prefix(PORT) & 0xfff, PORT.0, "no entry of the port looks like this");
        assert_eq!(ports.take(PORT, 10), Err(LearnRefusal::Busy));
        ports.reopen(PORT);
        assert_eq!(ports.take(PORT, 10), Ok(1));
    }
}
