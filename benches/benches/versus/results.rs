//! How do the subjects compare? Medians over the rounds, and the ratio to the bridge of the same round, so that what
//! the machine did besides weighs on both.

use lanyard_benches::stats::Runs;

use super::figure::Figure;
use arena::subjects::{REFERENCE, Subject};

/// One value and where it belongs.
struct Entry {
    round: u32,
    subject: &'static str,
    figure: Figure,
    value: f64,
}

/// Everything that was measured, and what was not.
#[derive(Default)]
pub(crate) struct Results {
    entries: Vec<Entry>,
    /// What is not there, and why: it was known before, or found when it was to start.
    pub(crate) absent: Vec<(String, String)>,
    /// What was there and failed.
    pub(crate) failures: Vec<String>,
}

impl Results {
    /// What a work yielded.
    pub(crate) fn add(&mut self, round: u32, subject: &Subject, values: Vec<(Figure, f64)>) {
        let subject = subject.name;
        self.entries.extend(values.into_iter().map(|(figure, value)| Entry { round, subject, figure, value }));
    }

    /// Was anything measured of it?
    pub(crate) fn has(&self, subject: &Subject) -> bool {
        self.entries.iter().any(|entry| entry.subject == subject.name)
    }

    fn of(&self, figure: Figure, subject: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.figure == figure && entry.subject == subject)
    }

    /// The values of all rounds.
    pub(crate) fn values(&self, figure: Figure, subject: &Subject) -> Runs {
        Runs::new(self.of(figure, subject.name).map(|entry| entry.value))
    }

    /// The ratios to the bridge of all rounds in which both were measured; none of a figure that has none.
    pub(crate) fn ratios(&self, figure: Figure, subject: &Subject) -> Runs {
        let ratio = |entry: &Entry| {
            let reference = self.of(figure, REFERENCE).find(|other| other.round == entry.round)?;
            figure.about().ratio.then(|| entry.value / reference.value)
        };
        Runs::new(self.of(figure, subject.name).filter_map(ratio))
    }
}
