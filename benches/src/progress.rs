//! How far is it? A bar on standard error that says what is being measured; where that is no terminal, a line every ten
//! seconds. Standard output is for the result.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nobody but a terminal is told more often.
const SELDOM: Duration = Duration::from_secs(10);
const BAR: &str = "[{bar:24}] {pos}/{len}{wide_msg}";

/// The progress of something with a known number of steps.
#[derive(Debug)]
pub struct Progress {
    steps: usize,
    done: usize,
    started: Instant,
    told: Option<Instant>,
    /// On a terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// The beginning of `steps` steps.
    pub fn of(steps: usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.with_style(style.progress_chars("=> "))
        });
        Self { steps, done: 0, started: Instant::now(), told: None, bar }
    }

    /// The next step begins, and is about this.
    pub fn step(&mut self, what: &str) {
        self.done += 1;
        let rest = rest(self.done, self.steps, self.started.elapsed());
        if let Some(bar) = &self.bar {
            bar.set_position(self.done.saturating_sub(1) as u64);
            bar.set_message(format!("{rest}: {what}")); // a narrow terminal cuts the end off
        } else if self.told.is_none_or(|told| told.elapsed() >= SELDOM) {
            // Whoever cannot be told gets the result all the same.
            let _ = writeln!(io::stderr(), "[{}/{}] {what}{rest}", self.done, self.steps);
            self.told = Some(Instant::now());
        }
    }

    /// Say something else meanwhile.
    pub fn say(&self, line: &str) {
        let told = || writeln!(io::stderr(), "{line}");
        let _ = self.bar.as_ref().map_or_else(told, |bar| bar.suspend(told));
    }

    /// So many steps will not be taken, and have cost nothing.
    pub fn skip(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps).max(self.done);
        if let Some(bar) = &self.bar {
            bar.set_length(self.steps as u64);
        }
    }
}

/// The bar is taken away at the end, however it comes.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is left at the beginning of step `number`, when the steps before have taken `elapsed`; nothing before it is
/// known.
#[allow(clippy::cast_precision_loss, reason = "numbers of steps are small")]
fn rest(number: usize, steps: usize, elapsed: Duration) -> String {
    let done = number.saturating_sub(1);
    if done == 0 {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64() / done as f64 * steps.saturating_sub(done) as f64;
    if seconds >= 90.0 {
        format!(", about {:.0} min left", seconds / 60.0)
    } else {
        format!(", about {seconds:.0} s left")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_is_done() {
        assert_eq!(rest(1, 60, Duration::ZERO), "");
        assert_eq!(rest(3, 12, Duration::from_secs(8)), ", about 40 s left");
        assert_eq!(rest(2, 61, Duration::from_secs(4)), ", about 4 min left");
    }

    #[test]
    fn the_bar_is_a_bar() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }

    #[test]
    fn steps_that_are_not_taken_are_not_waited_for() {
        let mut progress = Progress::of(10);
        progress.step("first");
        progress.skip(4);
        assert_eq!(progress.steps, 6);
        progress.skip(100);
        assert_eq!(progress.steps, 1);
    }
}
