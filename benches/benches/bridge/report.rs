//! How do the subjects compare? Medians over the rounds, and the ratio to the bridge of the same round, so that what the
//! machine did besides weighs on both.

use lanyard_benches::stats::Runs;
use lanyard_benches::table::{Table, figure};
use serde_json::{Value, json};

use super::load::{Sample, Work};
use super::world::Kind;

/// One sample and where it belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) round: u32,
    pub(crate) kind: Kind,
    /// What it measures, with the unit.
    pub(crate) what: &'static str,
    pub(crate) sample: Sample,
}

/// What one subject came to in one measure.
struct Row {
    what: &'static str,
    kind: Kind,
    values: Runs,
    ratio: Runs,
    switch_cpu: Runs,
    all_cpu: Runs,
    lost: Runs,
}

/// Everything that was measured.
pub(crate) struct Results(pub(crate) Vec<Entry>);

impl Results {
    fn of(&self, what: &str, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.what == what && entry.kind == kind)
    }

    fn row(&self, what: &'static str, kind: Kind) -> Row {
        let over = |pick: fn(&Sample) -> Option<f64>| Runs::new(self.of(what, kind).filter_map(|e| pick(&e.sample)));
        let ratio = |entry: &Entry| {
            let bridge = self.of(what, Kind::Bridge).find(|other| other.round == entry.round)?;
            Some(entry.sample.value / bridge.sample.value)
        };
        Row {
            what,
            kind,
            values: over(|sample| Some(sample.value)),
            ratio: Runs::new(self.of(what, kind).filter_map(ratio)),
            switch_cpu: over(|sample| sample.switch_cpu),
            all_cpu: over(|sample| sample.all_cpu),
            lost: over(|sample| sample.lost),
        }
    }

    /// By measure; within one, in the order of `kinds`.
    fn measures(&self, kinds: &[Kind]) -> Vec<Vec<Row>> {
        let whats = Work::ALL.iter().flat_map(|work| work.words());
        whats.map(|what| kinds.iter().map(|kind| self.row(what, *kind)).collect()).collect()
    }

    /// For a person.
    pub(crate) fn table(&self, kinds: &[Kind]) -> Table {
        let head = ["measure", "subject", "median", "range", "ratio", "switch CPU s/GB", "all CPU s/GB", "lost %"];
        let mut table = Table::new(2, &head);
        for (number, rows) in self.measures(kinds).iter().enumerate() {
            if number > 0 {
                table.gap();
            }
            for row in rows {
                table.row(row.cells());
            }
        }
        table
    }

    /// For a program: every median, and the values it was taken from.
    pub(crate) fn json(&self, kinds: &[Kind]) -> Vec<Value> {
        self.measures(kinds).iter().flatten().map(Row::json).collect()
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            self.what.to_owned(),
            self.kind.words().to_owned(),
            figure(self.values.median(), 2),
            format!("{}..{}", figure(self.values.least(), 2), figure(self.values.most(), 2)),
            figure(self.ratio.median(), 2),
            figure(self.switch_cpu.median(), 3),
            figure(self.all_cpu.median(), 3),
            figure(self.lost.median(), 1),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "measure": self.what, "subject": self.kind.words(),
            "median": self.values.median(), "values": self.values.sorted(),
            "ratio_to_bridge": self.ratio.median(), "ratios": self.ratio.sorted(),
            "switch_cpu_seconds_per_gb": self.switch_cpu.median(), "all_cpu_seconds_per_gb": self.all_cpu.median(),
            "lost_percent": self.lost.median(),
        })
    }
}
