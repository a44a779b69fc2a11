//! How does one try the engine on a bad line? By wrapping a port: [`Faulty`] drops, repeats, reorders and corrupts what
//! is received, by a generator that does the same again for the same seed.
//!
//! A frame that changes places does so with the next one of the same burst; the last of a burst is never held back,
//! because nothing would wake the engine for it.
//!
//! Not done: delay. A port has no clock, and nobody polls one that has nothing to say; use netem for that.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use frame::{Batch, Frame, batch::BURST};

use crate::losses::Losses;
use crate::{Port, Sent};

/// How bad the line is: of a thousand frames received, how many meet each fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Lost.
    pub drop: u16,
    /// Received twice in a row.
    pub duplicate: u16,
    /// Received after the next one.
    pub reorder: u16,
    /// With one bit turned over.
    pub corrupt: u16,
    /// Where the generator begins.
    pub seed: u64,
}

/// A port with a bad line towards the engine; what the engine sends passes unharmed.
pub struct Faulty<P> {
    port: P,
    faults: Faults,
    random: Random,
    /// What the port has given and the engine has not: the frames from `next` on.
    inbox: Batch,
    next: usize,
    late: Option<Frame>,
    /// The frame at `next` has met its faults and only waits to be handed over.
    settled: bool,
    drained: bool,
    health: Option<io::Error>,
}

/// Marsaglia's xorshift64*, "Xorshift RNGs" (2003) with Vigna's multiplier. Good enough to be unlucky with.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit.max(1)
    }

    fn happens(&mut self, per_mille: u16) -> bool {
        self.below(1000) < u64::from(per_mille)
    }
}

impl<P: Port> Faulty<P> {
    /// Put the faults between `port` and the engine.
    pub fn new(port: P, faults: Faults) -> Self {
        // The generator never leaves zero.
        let random = Random(faults.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let inbox = Batch::with_capacity(BURST);
        Self { port, faults, random, inbox, next: 0, late: None, settled: false, drained: false, health: None }
    }

    /// Fetch the next burst; `false` when there is none.
    fn refill(&mut self) -> bool {
        if self.drained || self.health.is_some() {
            return false;
        }
        self.inbox.clear();
        self.next = 0;
        match self.port.recv(&mut self.inbox) {
            Ok(_) => self.drained = !self.inbox.is_full(),
            Err(error) => self.health = Some(error),
        }
        !self.inbox.is_empty()
    }

    /// Move the next frame that survives into `slot`; `false` when there is none.
    fn deliver(&mut self, slot: &mut Frame) -> bool {
        while self.next < self.inbox.len() || self.refill() {
            let index = self.next;
            if std::mem::take(&mut self.settled) {
                self.hand_over(index, slot);
                return true;
            }
            if self.random.happens(self.faults.drop) {
                self.next += 1;
                continue;
            }
            if self.random.happens(self.faults.corrupt) {
                self.corrupt(index);
            }
            if self.late.is_none() && self.random.happens(self.faults.reorder) {
                self.late = Some(std::mem::replace(&mut self.inbox[index], Frame::empty()));
                self.next += 1;
            } else if self.random.happens(self.faults.duplicate) {
                slot.fill(self.inbox[index].octets(), self.inbox[index].offload());
                self.settled = true;
                return true;
            } else {
                self.hand_over(index, slot);
                return true;
            }
        }
        self.late.take().map(|late| *slot = late).is_some()
    }

    /// The frame at `index` leaves; one that it overtook takes its place and comes next.
    fn hand_over(&mut self, index: usize, slot: &mut Frame) {
        std::mem::swap(slot, &mut self.inbox[index]);
        match self.late.take() {
            Some(late) => (self.inbox[index], self.settled) = (late, true),
            None => self.next += 1,
        }
    }

    fn corrupt(&mut self, index: usize) {
        let bits = self.inbox[index].len() as u64 * 8;
        let bit = self.random.below(bits) as usize;
        if let Some(octet) = self.inbox[index].octets_mut().get_mut(bit / 8) {
            *octet ^= 1 << (bit % 8);
        }
    }
}

impl<P: Port> Port for Faulty<P> {
    fn name(&self) -> &str {
        self.port.name()
    }

    fn takes_offload(&self) -> bool {
        self.port.takes_offload()
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let before = batch.len();
        self.drained = false;
        while let Some(slot) = batch.spare().first_mut() {
            if !self.deliver(slot) {
                return self.health.take().map_or(Ok(batch.len() - before), Err);
            }
            batch.commit(1);
        }
        Ok(batch.len() - before)
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        self.port.send(batch, picks)
    }

    fn losses(&self) -> Option<Arc<Losses>> {
        self.port.losses()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.port.fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{self, Link, MemoryPeer, MemoryQueue};
    use frame::OffloadHeader;

    fn pair(faults: Faults) -> (Faulty<MemoryQueue>, MemoryPeer) {
        let (mut queues, peer) = memory::pair("m0", 1, 1000, false).unwrap();
        (Faulty::new(queues.remove(0), faults), peer)
    }

    /// What the engine sees of frames numbered from 0, received by bursts of `room`.
    fn through(faults: Faults, frames: u16, room: usize) -> Vec<u16> {
        let (mut port, peer) = pair(faults);
        (0..frames).for_each(|n| assert!(peer.send(&n.to_be_bytes(), OffloadHeader::NONE)));
        let (mut batch, mut seen) = (Batch::with_capacity(room), Vec::new());
        loop {
            batch.clear();
            let received = port.recv(&mut batch).unwrap();
            seen.extend(batch.iter().map(|frame| u16::from_be_bytes(frame.octets().try_into().unwrap())));
            if received < room {
                return seen;
            }
        }
    }

    #[test]
    fn a_good_line_changes_nothing() {
        for room in [1, 7, 64, 100] {
            assert_eq!(through(Faults::default(), 300, room), (0..300).collect::<Vec<_>>(), "room {room}");
        }
    }

    #[test]
    fn each_fault_alone_does_what_it_says() {
        let always = |set: fn(&mut Faults)| {
            let mut faults = Faults::default();
            set(&mut faults);
            through(faults, 6, 4)
        };
        assert_eq!(always(|f| f.drop = 1000), [0; 0]);
        assert_eq!(always(|f| f.duplicate = 1000), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(always(|f| f.reorder = 1000), [1, 0, 3, 2, 5, 4]);
        let corrupt = always(|f| f.corrupt = 1000);
        let wrong_bits: Vec<u32> =
            corrupt.iter().zip(0..).map(|(seen, sent): (&u16, u16)| (seen ^ sent).count_ones()).collect();
        assert_eq!(wrong_bits, [1; 6]);
    }

    #[test]
    fn a_seed_gives_the_same_luck_again_and_about_the_rate_asked_for() {
        let faults = Faults { drop: 100, duplicate: 50, reorder: 50, seed: 7, ..Faults::default() };
        let seen = through(faults, 1000, 64);
        assert_eq!(seen, through(faults, 1000, 64));
        assert_ne!(seen, through(Faults { seed: 8, ..faults }, 1000, 64));
        let mut kept = seen.clone();
        kept.sort_unstable();
        kept.dedup();
        assert!((850..950).contains(&kept.len()), "{} of 1000", kept.len());
        assert!((20..80).contains(&(seen.len() - kept.len())), "{} repeated", seen.len() - kept.len());
        assert!(seen.windows(2).any(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn frames_before_an_error_come_first() {
        let (mut port, peer) = pair(Faults::default());
        (0..3_u16).for_each(|n| assert!(peer.send(&n.to_be_bytes(), OffloadHeader::NONE)));
        peer.set_link(Link::Gone);
        let mut batch = Batch::with_capacity(2);
        assert_eq!(port.recv(&mut batch).unwrap(), 2);
        batch.clear();
        assert_eq!(port.recv(&mut batch).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(batch.len(), 1);
    }
}
