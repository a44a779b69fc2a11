//! What tick is it? The table counts time in ticks of 1/128 of the ageing time, eight bits of which are an
//! entry's stamp.
//!
//! A look-up compares two loads from a line that is always in the cache and subtracts; the division
//! happens once a tick. The tick is kept in the table, not computed from the time of each look-up,
//! because then the ageing time could not change without restamping every entry.
//!
//! Eight bits tell ages of up to 255 ticks apart, and an entry is dead after 128. The sweep has to clear
//! a dead entry within the 128 ticks before it would look fresh again. Where it did not come that often,
//! [`Clock::leap`] says so and the whole table is cleared of dead entries before the clock moves on: slow
//! once, never wrong.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use frame::Millis;

use super::bucket::LIFE_TICKS;
use super::sync::AtomicU64;

const LATEST: u64 = (1 << 48) - 1;

pub(super) struct Clock {
    /// When the current tick began (48 bits) and its number (16 bits), in one word.
    word: AtomicU64,
    /// Milliseconds of a tick.
    tick_millis: AtomicU64,
    /// The tick at which the last complete sweep began (16 bits).
    swept: AtomicU64,
}

/// The clock is due to move on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leap {
    from: u64,
    to: u64,
    /// By how many ticks.
    pub(super) ticks: u64,
    /// Must all dead entries be cleared first?
    pub(super) sweep_first: bool,
}

impl Clock {
    pub(super) fn new(ageing: Millis) -> Self {
        Self { word: AtomicU64::new(0), tick_millis: AtomicU64::new(tick_of(ageing)), swept: AtomicU64::new(0) }
    }

    /// A clock that shows the same, and goes on by itself.
    pub(super) fn fork(&self) -> Self {
        let copy = |word: &AtomicU64| AtomicU64::new(word.load(Acquire));
        Self { word: copy(&self.word), tick_millis: copy(&self.tick_millis), swept: copy(&self.swept) }
    }

    /// The current tick, if `now` is still in it.
    #[inline]
    pub(super) fn tick(&self, now: Millis) -> Option<u8> {
        let word = self.word.load(Acquire);
        (now.0.saturating_sub(word >> 16) < self.tick_millis.load(Relaxed)).then_some(word as u8)
    }

    /// The tick the clock shows, whatever the time.
    pub(super) fn shown(&self) -> u16 {
        self.word.load(Acquire) as u16
    }

    /// What has to happen for the clock to show `now`; `None` when it does.
    pub(super) fn leap(&self, now: Millis) -> Option<Leap> {
        let from = self.word.load(Acquire);
        let length = self.tick_millis.load(Relaxed);
        let began = from >> 16;
        let ticks = now.0.min(LATEST).saturating_sub(began) / length;
        if ticks == 0 {
            return None;
        }
        let number = (from as u16).wrapping_add(ticks as u16);
        let to = (began + ticks * length) << 16 | u64::from(number);
        Some(Leap { from, to, ticks, sweep_first: self.must_sweep_before(from, ticks) })
    }

    /// What has to happen for entries to be older by `by` (rounded up to ticks) while no time passes: the number of the
    /// tick moves on, and when it began stays. By more than a life is by a life: nothing outlives that.
    pub(super) fn warp(&self, by: Millis) -> Leap {
        let from = self.word.load(Acquire);
        let ticks = by.0.div_ceil(self.tick_millis.load(Relaxed)).min(u64::from(LIFE_TICKS));
        let number = (from as u16).wrapping_add(ticks as u16);
        let to = from & !0xffff | u64::from(number);
        Leap { from, to, ticks, sweep_first: self.must_sweep_before(from, ticks) }
    }

    /// Could a stamp be misread after so many ticks more, if nobody swept before?
    fn must_sweep_before(&self, word: u64, ticks: u64) -> bool {
        let unswept = u64::from((word as u16).wrapping_sub(self.swept.load(Relaxed) as u16));
        unswept + ticks > u64::from(LIFE_TICKS)
    }

    /// Carry out a leap, unless somebody else has moved the clock since: `false` then.
    pub(super) fn carry_out(&self, leap: Leap) -> bool {
        let moved = self.word.compare_exchange(leap.from, leap.to, Release, Relaxed).is_ok();
        if moved && leap.sweep_first {
            self.swept.store(leap.to & 0xffff, Relaxed);
        }
        moved
    }

    /// A sweep that began at `tick` has been through the whole table.
    pub(super) fn swept_since(&self, tick: u16) {
        self.swept.store(u64::from(tick), Relaxed);
    }

    pub(super) fn set_ageing(&self, ageing: Millis) {
        self.tick_millis.store(tick_of(ageing), Relaxed);
    }

    /// So many ticks as time.
    pub(super) fn as_time(&self, ticks: u8) -> Millis {
        Millis(self.tick_millis.load(Relaxed).saturating_mul(u64::from(ticks)))
    }
}

fn tick_of(ageing: Millis) -> u64 {
    (ageing.0 / u64::from(LIFE_TICKS)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_on_by_whole_ticks() {
        let clock = Clock::new(Millis(12_800));
        assert_eq!(clock.tick(Millis(99)), Some(0));
        assert_eq!(clock.tick(Millis(100)), None);
        let leap = clock.leap(Millis(250)).unwrap();
        assert_eq!((leap.ticks, leap.sweep_first), (2, false));
        clock.carry_out(leap);
        assert_eq!(
            (clock.tick(Millis(250)), clock.tick(Millis(299)), clock.tick(Millis(300))),
            (Some(2), Some(2), None)
        );
        assert_eq!(clock.tick(Millis(10)), Some(2), "a worker whose clock is a little behind");
    }

    #[test]
    fn asks_for_a_sweep_before_a_stamp_could_come_round() {
        let clock = Clock::new(Millis(128));
        clock.carry_out(clock.leap(Millis(128)).unwrap());
        assert!(clock.leap(Millis(129)).unwrap().sweep_first);
        clock.swept_since(100);
        assert!(!clock.leap(Millis(228)).unwrap().sweep_first);
        assert!(clock.leap(Millis(229)).unwrap().sweep_first);
        clock.carry_out(clock.leap(Millis(1 << 40)).unwrap());
        assert!(!clock.leap(Millis((1 << 40) + 128)).unwrap().sweep_first);
    }

    #[test]
    fn a_warp_moves_the_number_and_not_the_time() {
        let clock = Clock::new(Millis(12_800));
        clock.carry_out(clock.leap(Millis(250)).unwrap());
        for (by, ticks) in [(0, 0), (1, 1), (100, 1), (101, 2), (12_800, 128), (12_801, 128), (u64::MAX, 128)] {
            assert_eq!(clock.warp(Millis(by)).ticks, ticks, "{by} ms");
        }
        assert!(clock.carry_out(clock.warp(Millis(500))));
        assert_eq!((clock.shown(), clock.tick(Millis(299)), clock.tick(Millis(300))), (7, Some(7), None));
        let stale = clock.warp(Millis(500));
        clock.carry_out(clock.leap(Millis(300)).unwrap());
        assert!(!clock.carry_out(stale), "somebody else has moved the clock");
        for _ in 0..1000 {
            assert!(clock.carry_out(clock.warp(Millis(u64::MAX))), "the number comes round");
        }
        assert!(clock.warp(Millis(12_800)).sweep_first == (clock.swept.load(Relaxed) as u16 != clock.shown()));
        let forever = Clock::new(Millis(u64::MAX));
        assert_eq!(forever.warp(Millis(u64::MAX)).ticks, 128);
        assert_eq!(forever.warp(Millis(1000)).ticks, 1);
    }

    #[test]
    fn a_new_ageing_time_changes_the_pace_not_the_count() {
        let clock = Clock::new(Millis::from_secs(128));
        clock.carry_out(clock.leap(Millis(5_500)).unwrap());
        clock.set_ageing(Millis(12_800));
        clock.carry_out(clock.leap(Millis(5_500)).unwrap());
        assert_eq!(clock.shown(), 10, "five seconds, then five tenths");
        clock.set_ageing(Millis(u64::MAX));
        assert_eq!(clock.leap(Millis(u64::MAX >> 1)), None);
        clock.set_ageing(Millis(0));
        assert_eq!(clock.leap(Millis(5_501)).unwrap().ticks, 1, "never shorter than a millisecond");
    }
}
