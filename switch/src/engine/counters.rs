//! How many frames, and what became of them? One cache-padded set of counters per worker, summed when read.
//!
//! Each set has one writer, its worker, so a count is a plain load and store: no locked instruction on a
//! frame's path. Readers may see a frame counted in one counter and not yet in another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam::utils::CachePadded;
use frame::DropReason;

/// A counter with one writer.
#[derive(Default, Debug)]
pub struct Count(AtomicU64);

impl Count {
    /// Add `n`. Only the worker that owns the set may.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one worker counts at one port. Octets are without FCS; a super-frame counts once.
#[derive(Default, Debug)]
pub struct PortCount {
    /// Frames that came in.
    pub rx_frames: Count,
    /// Octets that came in.
    pub rx_octets: Count,
    /// Frames that left.
    pub tx_frames: Count,
    /// Octets that left.
    pub tx_octets: Count,
    /// Frames dropped: ones that came in here, and ones that should have left here and could not.
    pub drops: Count,
}

/// What one worker counts in one network: one counter for each [`DropReason`].
#[derive(Debug)]
pub struct DropCount([Count; DropReason::COUNT]);

impl Default for DropCount {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl DropCount {
    /// Count a drop.
    #[inline]
    pub fn add(&self, reason: DropReason, n: u64) {
        if let Some(count) = self.0.get(reason.index()) {
            count.add(n);
        }
    }
}

/// What one worker counts of itself.
#[derive(Default, Debug)]
pub struct WorkerCount {
    /// Times it woke up.
    pub wakeups: Count,
    /// Bursts it read.
    pub bursts: Count,
    /// Frames it handled.
    pub frames: Count,
}

/// A set for each worker.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[CachePadded<T>]>);

impl<T: Default> PerWorker<T> {
    /// Sets for `workers` workers, all zero.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| CachePadded::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// The set of one worker; `None` for a worker that does not exist.
    #[inline]
    pub fn of(&self, worker: usize) -> Option<&T> {
        self.0.get(worker).map(|padded| &**padded)
    }

    /// Every worker's set, by worker.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &**padded)
    }

    /// One counter, summed over the workers.
    pub fn sum(&self, pick: impl Fn(&T) -> u64) -> u64 {
        self.iter().map(pick).fold(0, u64::wrapping_add)
    }
}

impl PerWorker<DropCount> {
    /// The drops for `reason`, over all workers.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.sum(|set| set.0.get(reason.index()).map_or(0, Count::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_the_workers() {
        let drops: PerWorker<DropCount> = PerWorker::new(2);
        for worker in [0, 1, 1] {
            drops.of(worker).unwrap().add(DropReason::Runt, 2);
        }
        assert_eq!(drops.drops(DropReason::Runt), 6);
        assert_eq!(drops.drops(DropReason::Giant), 0);
        assert!(drops.of(2).is_none());
    }
}
