//! What is said while a load runs? A line on a terminal that is written over: time, rate, what is missing, and whether the
//! generator cannot keep up with what was asked of it.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::run::Progress;

/// How often the progress is said.
const SAY: Duration = Duration::from_millis(500);
/// More than a burst's time behind: the generator cannot keep up.
const LATE: Duration = Duration::from_millis(10);

/// Says on a terminal how far it is.
pub(super) struct Teller {
    shown: bool,
    /// What is run, where there is more than one thing.
    name: String,
    next: Instant,
    before: (u64, Instant),
    /// A rate was asked for: as fast as it goes, the generator is never late.
    paced: bool,
}

impl Teller {
    /// For one run; `name` stands before its line.
    pub(super) fn new(name: &str, paced: bool) -> Self {
        let now = Instant::now();
        let name = if name.is_empty() { String::new() } else { format!("{name}: ") };
        Self { shown: std::io::stderr().is_terminal(), name, next: now + SAY, before: (0, now), paced }
    }

    /// Say it, if it is time.
    pub(super) fn say(&mut self, start: Instant, progress: &Progress) {
        let now = Instant::now();
        if !self.shown || now < self.next {
            return;
        }
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (lessons, taught) = (of(&progress.lessons), of(&progress.taught));
        if taught < lessons {
            (self.before, self.next) = ((0, now), now + SAY);
            return write(&format!("{}{taught} of {lessons} addresses made known to the switch", self.name));
        }
        let (sent, received) = (progress.sent.load(Ordering::Relaxed), progress.received.load(Ordering::Relaxed));
        let pps = sent.saturating_sub(self.before.0) as f64 / (now - self.before.1).as_secs_f64();
        (self.before, self.next) = ((sent, now), now + SAY);
        let late = Duration::from_nanos(progress.late_ns.load(Ordering::Relaxed));
        let limited = if self.paced && late > LATE { ", the generator is the limit" } else { "" };
        // The kernel's pktgen is only asked how many it has sent.
        let expected = progress.expected.load(Ordering::Relaxed);
        let missing = if expected == 0 { sent } else { expected }.saturating_sub(received);
        write(&format!(
            "{}{:.1} s: {sent} sent, {pps:.0} a second, {missing} not here yet{limited}",
            self.name,
            start.elapsed().as_secs_f64()
        ));
    }
}

/// Over the line before, no longer than a line: what is wrapped could not be written over.
fn write(line: &str) {
    let width = terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
    let line: String = line.chars().take(width.saturating_sub(1)).collect();
    // Nobody reads standard error any more: the report still comes.
    let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
}

impl Drop for Teller {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
