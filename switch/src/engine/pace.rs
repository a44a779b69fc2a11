//! When nothing is ready, does a worker sleep at once? To wake a sleeping thread costs its waker an interrupt to another
//! CPU, which in a virtual machine is dearer than forwarding ten frames, and costs the frame the time it takes. So a worker
//! that has had small frames at short intervals looks again for a while, [`LOOK_NS`], before it sleeps.
//!
//! - Only while frames come often: the mean interval between rounds that moved any is below [`OFTEN_NS`].
//! - Only while they are small: where super-frames pass, their sender and receiver need the CPU, and there is always
//!   the next frame to wait for. Looking then took a third of the throughput of four streams on two CPUs.
//! - Only while it is of use: when fewer than a quarter of the looks have found a frame, there are none for [`PAUSE_NS`].
//!
//! Before each look the worker gives way (`sched_yield(2)`): whoever waits for its CPU is often the very one for whom it has just
//! written frames. Where CPUs are few, looking without that kept the receiver waiting for milliseconds (see `versus`). If that
//! takes longer than [`LONG_NS`], somebody has work to do, and a worker that sleeps is woken before that is done; so it looks no
//! more for [`PAUSE_NS`].
//!
//! So a port that is idle costs nothing, and one with a frame every 100 us at most a twentieth of a CPU. All means forget
//! quickly (the newest value counts for an eighth). What else was tried stands in the head of the benchmark `versus`.
//!
//! Not done: knowing whether somebody waits before giving way, which would spare the call where nobody does.

/// How long a worker looks for the next frame, nanoseconds.
const LOOK_NS: u64 = 50_000;

/// A mean interval between rounds from which on frames do not come often, nanoseconds.
const OFTEN_NS: u64 = 120_000;

/// A mean size of frames from which on they are not small, octets.
const SMALL_OCTETS: u64 = 4096;

/// How long a worker sleeps at once after its looks have been of no use, nanoseconds.
const PAUSE_NS: u64 = 10_000_000;

/// When somebody else has had the CPU for so long, it is needed there, nanoseconds.
const LONG_NS: u64 = 500_000;

/// A share of looks, in 1/1024, below which they are of no use.
const OF_USE: u64 = 256;

/// What a worker's rounds have been like.
pub(super) struct Pace {
    /// What this round has moved.
    frames: u64,
    octets: u64,
    /// When a round last moved something.
    last: u64,
    /// The mean interval between such rounds, nanoseconds.
    interval: u64,
    /// The mean size of their frames, octets.
    size: u64,
    /// The share of looks that have found something, in 1/1024.
    found: u64,
    /// Is this a time of looking?
    looking: bool,
    /// No looking before this.
    paused_until: u64,
}

impl Pace {
    /// A worker that has seen nothing yet.
    pub(super) fn new() -> Self {
        Self {
            frames: 0,
            octets: 0,
            last: 0,
            interval: OFTEN_NS,
            size: 0,
            found: 1024,
            looking: false,
            paused_until: 0,
        }
    }

    /// A burst has come in.
    pub(super) fn moved(&mut self, frames: u64, octets: u64) {
        self.frames += frames;
        self.octets += octets;
    }

    /// A round has ended at `now` (nanoseconds), and no port has anything left: look again, rather than sleep?
    pub(super) fn looks(&mut self, now: u64) -> bool {
        if let Some(size) = self.octets.checked_div(self.frames) {
            self.end_of_look(true, now);
            // Beyond that one interval is as good as another.
            let interval = now.saturating_sub(self.last).min(2 * OFTEN_NS);
            self.interval = (self.interval * 7 + interval) / 8;
            self.size = (self.size * 7 + size) / 8;
            self.last = now;
            (self.frames, self.octets) = (0, 0);
            self.looking = self.interval < OFTEN_NS && self.size < SMALL_OCTETS && now >= self.paused_until;
        } else if now.saturating_sub(self.last) >= LOOK_NS {
            self.end_of_look(false, now);
        }
        self.looking
    }

    /// Before a look somebody else had the CPU, from one time to the other.
    pub(super) fn gave_way(&mut self, from: u64, until: u64) {
        if until.saturating_sub(from) >= LONG_NS {
            (self.looking, self.paused_until) = (false, until + PAUSE_NS);
        }
    }

    fn end_of_look(&mut self, found: bool, now: u64) {
        if std::mem::take(&mut self.looking) {
            self.found = (self.found * 7 + if found { 1024 } else { 0 }) / 8;
            if self.found < OF_USE {
                (self.found, self.paused_until) = (1024, now + PAUSE_NS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred rounds at this interval, each with one frame of this size: the share of the time spent looking, percent.
    fn share_of_looking(pace: &mut Pace, start: u64, interval: u64, octets: u64) -> u64 {
        let mut looked = 0;
        for round in 0..100 {
            let now = start + round * interval;
            pace.moved(1, octets);
            let mut at = now;
            while pace.looks(at) && at < now + interval {
                at += 1_000;
            }
            looked += at - now;
        }
        looked / interval
    }

    #[test]
    fn small_frames_in_quick_succession_are_looked_for_and_others_are_not() {
        let mut pace = Pace::new();
        assert!(share_of_looking(&mut pace, 1_000_000_000, 15_000, 100) > 90);
        assert!(share_of_looking(&mut pace, 2_000_000_000, 100_000, 100) < 10, "too late for a look");
        assert!(share_of_looking(&mut pace, 3_000_000_000, 1_000_000, 100) < 1, "seldom");
        assert!(share_of_looking(&mut pace, 4_000_000_000, 40_000, 100) > 80, "used to them again");
        assert!(share_of_looking(&mut pace, 5_000_000_000, 15_000, 40_000) < 20, "large");
    }

    #[test]
    fn where_the_cpu_is_needed_nobody_looks() {
        let mut pace = Pace::new();
        let end = 1_000_000_000 + 99 * 15_000;
        share_of_looking(&mut pace, 1_000_000_000, 15_000, 100);
        pace.gave_way(end, end + LONG_NS - 1);
        assert!(pace.looks(end + 1_000), "the receiver took its frames");
        pace.gave_way(end + 1_000, end + 1_000 + LONG_NS);
        let later = end + 10_000 + LONG_NS;
        assert!(share_of_looking(&mut pace, later, 15_000, 100) < 10, "until the pause is over");
        assert!(share_of_looking(&mut pace, later + PAUSE_NS, 15_000, 100) > 90);
    }

    #[test]
    fn a_look_ends() {
        let mut pace = Pace::new();
        share_of_looking(&mut pace, 1_000_000_000, 15_000, 100);
        let last = 1_000_000_000 + 99 * 15_000;
        assert!(pace.looks(last + LOOK_NS - 1));
        assert!(!pace.looks(last + LOOK_NS));
        assert!(!pace.looks(last + LOOK_NS + 1));
        assert!(!Pace::new().looks(10_000_000_000), "a worker that has seen nothing sleeps");
    }
}
