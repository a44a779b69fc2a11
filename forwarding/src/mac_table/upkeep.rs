//! What keeps the table clean: the clock, the sweep that clears dead entries a slice at a time, and the
//! flushing of a port that went down or away.

use std::sync::atomic::Ordering::Relaxed;

use frame::{Millis, PortId};

use super::bucket::{Entry, Kind, LIFE_TICKS, Locked, age};
use super::sync::{MutexGuard, PoisonError, SWEEP_SPINS, TryLockError, yield_now};
use super::{MacTable, Tally};

/// How far a sweep through the whole table is.
#[derive(Default)]
pub(super) struct Pass {
    next: usize,
    /// The clock's tick when it was at the first bucket.
    began: u16,
    /// Was any bucket left out?
    left_out: bool,
}

impl MacTable {
    /// Clear the dead entries of the next `max_buckets` buckets, and say how many entries that were. Another
    /// thread's sweep under way makes this one do nothing.
    pub fn sweep(&self, now: Millis, max_buckets: usize) -> usize {
        let tick = self.tick(now);
        let Some(mut pass) = self.try_pass() else { return 0 };
        let mut cleared = 0;
        for _ in 0..max_buckets.min(self.buckets.len()) {
            if pass.next == 0 {
                *pass = Pass { next: 0, began: self.clock.shown(), left_out: false };
            }
            match self.clean(pass.next, tick, 0) {
                Some(count) => cleared += count,
                None => pass.left_out = true,
            }
            pass.next += 1;
            if pass.next == self.buckets.len() {
                pass.next = 0;
                if !pass.left_out {
                    self.clock.swept_since(pass.began);
                }
            }
        }
        cleared
    }

    /// How many buckets to sweep in one call when [`MacTable::sweep`] is called every `interval`, so that a
    /// round takes a quarter of the ageing time.
    pub fn slice(&self, interval: Millis) -> usize {
        let round = self.clock.as_time(LIFE_TICKS).0 / 4;
        let buckets = self.buckets.len() as u64;
        buckets.saturating_mul(interval.0).div_ceil(round.max(1)).clamp(1, buckets) as usize
    }

    /// From now on entries live for `ageing` after their station's last frame (at least 128 ms). An entry keeps
    /// the share of its life that it has used up: half-way through 300 s becomes half-way through 10 s.
    pub fn set_ageing(&self, ageing: Millis) {
        self.clock.set_ageing(ageing);
    }

    /// Let learned entries grow older by `by`, rounded up to 1/128 of the ageing time, though no time passes: nobody's
    /// clock moves but the table's own. Says how many died of it; they are cleared. Goes through the table.
    pub fn warp(&self, by: Millis, now: Millis) -> usize {
        let _one_at_a_time = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        self.tick(now);
        self.clean_whole(0);
        let before = self.tally.aged.load(Relaxed);
        loop {
            let leap = self.clock.warp(by);
            if leap.sweep_first {
                self.clean_whole(leap.ticks);
            }
            if self.clock.carry_out(leap) {
                break;
            }
        }
        self.clean_whole(0);
        (self.tally.aged.load(Relaxed) - before) as usize
    }

    /// Clear every entry that will be dead in `ahead` ticks, and wait for each bucket that has one.
    fn clean_whole(&self, ahead: u64) {
        let mut pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        pass.next = 0;
        let tick = self.clock.shown() as u8;
        for at in 0..self.buckets.len() {
            while self.clean(at, tick, ahead).is_none() {
                yield_now();
            }
        }
    }

    /// Forget what was learned on `port`: it went down, or the station behind it changed. Static
    /// entries stay. O(1), but for every 14th flush of a port, which goes through the table.
    pub fn flush_port(&self, port: PortId) {
        let _one_at_a_time = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        self.open_next_generation(port);
    }

    /// Forget everything about `port`, static entries too: it is gone for good, and another may get its
    /// number once no worker has a frame from it any more. Goes through the table.
    pub fn forget_port(&self, port: PortId) {
        let _one_at_a_time = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        self.open_next_generation(port);
        self.purge(|entry| match entry.kind() {
            Kind::Static(of) => of == port,
            Kind::Learned(of, generation) => of == port && self.ports.is_stale(of, generation),
            Kind::Gateway => false,
        });
    }

    fn open_next_generation(&self, port: PortId) {
        let (held, closed) = self.ports.next_generation(port);
        self.tally.gone.fetch_add(u64::from(held), Relaxed);
        if closed {
            self.purge(|entry| entry.as_learned().is_some_and(|(of, _)| of == port));
            self.ports.reopen(port);
        }
    }

    /// Take out every entry that `goes`; waits for each bucket that has one.
    fn purge(&self, goes: impl Fn(Entry) -> bool) {
        for (at, bucket) in self.buckets.iter().enumerate() {
            // Whoever adds an entry reads its port's generation under the lock, so the lock has to be taken
            // even where nothing is to be seen: an entry of the closed generation may be on its way.
            let locked = loop {
                match bucket.try_lock(SWEEP_SPINS) {
                    Some(locked) => break locked,
                    None => yield_now(),
                }
            };
            for (slot, entry) in locked.entries().filter(|(_, entry)| goes(*entry)) {
                self.take_out(&locked, at, slot, entry);
            }
        }
    }

    /// The clock is due: move it on, after a sweep through the whole table if a stamp could be misread
    /// otherwise. When somebody else is sweeping, the old tick does for now.
    #[cold]
    pub(super) fn move_clock(&self, now: Millis) -> u8 {
        if let Some(leap) = self.clock.leap(now)
            && (!leap.sweep_first || self.clean_all(leap.ticks))
        {
            // Who was faster has moved it as far.
            let _ = self.clock.carry_out(leap);
        }
        self.clock.shown() as u8
    }

    /// Clear every entry that will be dead in `ahead` ticks; `false` when that could not be finished.
    fn clean_all(&self, ahead: u64) -> bool {
        if self.tally.held() == 0 {
            return true;
        }
        let Some(mut pass) = self.try_pass() else { return false };
        let tick = self.clock.shown() as u8;
        pass.next = 0;
        (0..self.buckets.len()).all(|at| self.clean(at, tick, ahead).is_some())
    }

    /// Clear the entries of one bucket that will be dead in `ahead` ticks. Looks before it locks: most
    /// buckets have none. `None` when the lock was not to be had.
    fn clean(&self, at: usize, tick: u8, ahead: u64) -> Option<usize> {
        let bucket = self.bucket(at);
        let dead = |(slot, entry): &(usize, Entry)| {
            self.is_dead(bucket, *slot, *entry, tick)
                || entry.as_learned().is_some()
                    && u64::from(age(tick, bucket.meta().stamp(*slot))) + ahead >= u64::from(LIFE_TICKS)
        };
        if !bucket.entries().any(|found| dead(&found)) {
            return Some(0);
        }
        let locked: Locked<'_> = bucket.try_lock(SWEEP_SPINS)?;
        let mut cleared = 0;
        for (slot, entry) in locked.entries().filter(dead) {
            if self.take_out(&locked, at, slot, entry) {
                Tally::count(&self.tally.aged);
                cleared += 1;
            }
        }
        Some(cleared)
    }

    fn try_pass(&self) -> Option<MutexGuard<'_, Pass>> {
        match self.pass.try_lock() {
            Ok(pass) => Some(pass),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
