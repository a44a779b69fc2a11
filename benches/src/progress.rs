//! How far is it? One line on standard error that says what is being measured: rewritten in place on a terminal, every
//! ten seconds elsewhere. Standard output is for the result.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nobody but a terminal is told more often.
const SELDOM: Duration = Duration::from_secs(10);

/// The progress of something with a known number of steps.
#[derive(Debug)]
pub struct Progress {
    steps: usize,
    done: usize,
    started: Instant,
    told: Option<Instant>,
    terminal: bool,
}

impl Progress {
    /// The beginning of `steps` steps.
    pub fn of(steps: usize) -> Self {
        let terminal = io::stderr().is_terminal();
        Self { steps, done: 0, started: Instant::now(), told: None, terminal }
    }

    /// The next step begins, and is about this.
    pub fn step(&mut self, what: &str) {
        self.done += 1;
        let line = line(self.done, self.steps, what, self.started.elapsed());
        // Whoever cannot be told gets the result all the same.
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        } else if self.told.is_none_or(|told| told.elapsed() >= SELDOM) {
            let _ = writeln!(io::stderr(), "{line}");
            self.told = Some(Instant::now());
        }
    }
}

/// The line is taken away at the end, however it comes.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// What is said at the beginning of step `number`, when the steps before have taken `elapsed`.
#[allow(clippy::cast_precision_loss, reason = "numbers of steps are small")]
fn line(number: usize, steps: usize, what: &str, elapsed: Duration) -> String {
    let done = number.saturating_sub(1);
    let left = steps.saturating_sub(done);
    let rest = elapsed.as_secs_f64() / done.max(1) as f64 * left as f64;
    let rest = if done == 0 { String::new() } else { format!(", {} left", duration(rest)) };
    format!("[{number}/{steps}] {what}{rest}")
}

fn duration(seconds: f64) -> String {
    if seconds >= 90.0 { format!("about {:.0} min", seconds / 60.0) } else { format!("about {seconds:.0} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_and_how_far() {
        assert_eq!(line(1, 60, "TCP", Duration::ZERO), "[1/60] TCP");
        assert_eq!(line(3, 12, "TCP", Duration::from_secs(8)), "[3/12] TCP, about 40 s left");
        assert_eq!(line(2, 61, "UDP", Duration::from_secs(4)), "[2/61] UDP, about 4 min left");
    }
}
