//! What does a standard test find? Rows of values under named columns, which people read as a table, and programs as JSON or
//! CSV: the same rows, in the same order, with the same names.

use serde::Serialize;
use serde_json::{Map, Value, json};

use load::latency::LatencyCurve;
use load::search::SearchResult;

use crate::words::wrapped;

/// The name and version of the JSON.
const SCHEMA: &str = "lanyard.test/1";

/// A value with its unit.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::pktgen) enum Cell {
    /// Words.
    Text(String),
    /// A number of things.
    Count(u64),
    /// Frames a second.
    Pps(f64),
    /// 0 to 1, shown in per cent.
    Share(f64),
    /// 0 to 1: how much of what could be offered; shown in whole per cent.
    Load(f64),
    /// Nanoseconds.
    Ns(u64),
    /// Seconds.
    Seconds(f64),
    /// What one is to another.
    Ratio(f64),
    /// Nothing is known.
    Nothing,
}

impl Cell {
    /// A rate, if there is one.
    pub(in crate::pktgen) fn pps(rate: Option<f64>) -> Self {
        rate.map_or(Self::Nothing, Self::Pps)
    }

    /// For people.
    pub(in crate::pktgen) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Pps(rate) => format!("{rate:.0}"),
            Self::Share(share) => load::result::percent(*share),
            Self::Load(load) => format!("{:.0} %", load * 100.0),
            Self::Ns(ns) => load::result::time(*ns),
            Self::Seconds(seconds) => format!("{seconds:.3} s"),
            // Three digits that say something, however small it is.
            Self::Ratio(ratio) if *ratio > 0.0 && *ratio < 0.095 => {
                let places = 2 - ratio.log10().floor().clamp(-12.0, 0.0) as i32;
                format!("{ratio:.*}", places.unsigned_abs() as usize)
            }
            Self::Ratio(ratio) => format!("{ratio:.2}"),
            Self::Nothing => "-".to_owned(),
        }
    }

    /// It as a number, whatever its unit.
    pub(in crate::pktgen) fn number(&self) -> Option<f64> {
        match self {
            Self::Count(count) | Self::Ns(count) => Some(*count as f64),
            Self::Pps(value) | Self::Share(value) | Self::Load(value) | Self::Seconds(value) | Self::Ratio(value) => {
                Some(*value)
            }
            Self::Text(_) | Self::Nothing => None,
        }
    }

    /// Another number of the same unit.
    pub(in crate::pktgen) fn like(&self, number: f64) -> Self {
        match self {
            Self::Count(_) => Self::Count(number.round() as u64),
            Self::Ns(_) => Self::Ns(number.round() as u64),
            Self::Pps(_) => Self::Pps(number),
            Self::Share(_) => Self::Share(number),
            Self::Load(_) => Self::Load(number),
            Self::Seconds(_) => Self::Seconds(number),
            Self::Ratio(_) | Self::Text(_) | Self::Nothing => Self::Ratio(number),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Count(count) | Self::Ns(count) => json!(count),
            Self::Pps(value) | Self::Share(value) | Self::Load(value) | Self::Seconds(value) | Self::Ratio(value) => {
                json!(value)
            }
            Self::Nothing => Value::Null,
        }
    }
}

/// The middle one of some numbers, or the mean of the middle two; `None` of none.
pub(in crate::pktgen) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let upper = *numbers.get(numbers.len() / 2)?;
    let lower = *numbers.get((numbers.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// A column: its key in JSON and CSV, its head in a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::pktgen) struct Column {
    pub(in crate::pktgen) key: &'static str,
    pub(in crate::pktgen) head: &'static str,
}

/// A column.
pub(in crate::pktgen) const fn column(key: &'static str, head: &'static str) -> Column {
    Column { key, head }
}

/// What a test found.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::pktgen) struct Finding {
    /// Its name on the command line.
    pub(in crate::pktgen) test: &'static str,
    /// What it is called where it is described.
    pub(in crate::pktgen) title: &'static str,
    /// Where that is.
    pub(in crate::pktgen) clause: &'static str,
    pub(in crate::pktgen) columns: Vec<Column>,
    pub(in crate::pktgen) rows: Vec<Vec<Cell>>,
    /// Every trial of each search, by what was searched.
    pub(in crate::pktgen) searches: Vec<(String, SearchResult)>,
    /// Latency by percentile, by what it is of; for plots.
    pub(in crate::pktgen) curves: Vec<(String, LatencyCurve)>,
    /// Sentences below the table: how it was measured, what the figures cannot say.
    pub(in crate::pktgen) notes: Vec<String>,
    /// Whether it came to its end.
    pub(in crate::pktgen) complete: bool,
}

/// The JSON of a finding.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    test: &'static str,
    title: &'static str,
    clause: &'static str,
    complete: bool,
    rows: Vec<Map<String, Value>>,
    searches: Map<String, Value>,
    notes: &'a [String],
}

impl Finding {
    /// The rows in aligned columns, the first to the left, the others to the right; then the notes.
    pub(in crate::pktgen) fn text(&self) -> String {
        let head = self.columns.iter().map(|column| column.head.to_owned()).collect();
        let rows: Vec<Vec<String>> =
            std::iter::once(head).chain(self.rows.iter().map(|row| row.iter().map(Cell::shown).collect())).collect();
        let mut text = format!("{} ({})\n", self.title, self.clause);
        if !self.rows.is_empty() {
            text = format!("{text}\n{}", load::result::aligned(&rows));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        text.extend(self.notes.iter().map(|note| wrapped(note)));
        text
    }

    /// As JSON.
    pub(in crate::pktgen) fn value(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            self.columns.iter().zip(row).map(|(column, cell)| (column.key.to_owned(), cell.value())).collect()
        });
        let searches = self.searches.iter().map(|(name, search)| (name.clone(), json!(search)));
        let Self { test, title, clause, complete, notes, .. } = self;
        json!(Document {
            schema: SCHEMA,
            test,
            title,
            clause,
            complete: *complete,
            rows: rows.collect(),
            searches: searches.collect(),
            notes
        })
    }

    /// As CSV: a line of keys, then the rows.
    pub(in crate::pktgen) fn csv(&self) -> String {
        let quoted = |cell: &Cell| match cell.value() {
            Value::String(text) if text.contains([',', '"', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
            Value::String(text) => text,
            Value::Null => String::new(),
            value => value.to_string(),
        };
        let mut text = self.columns.iter().map(|column| column.key).collect::<Vec<_>>().join(",") + "\n";
        for row in &self.rows {
            text.push_str(&row.iter().map(quoted).collect::<Vec<_>>().join(","));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_two_is_between_them() {
        assert_eq!(median(vec![]), None);
        assert_eq!([vec![3.0], vec![4.0, 1.0], vec![9.0, 1.0, 2.0]].map(median), [3.0, 2.5, 2.0].map(Some));
    }

    #[test]
    fn small_ratios_have_three_digits() {
        for (ratio, shown) in [(0.0, "0.00"), (1.004, "1.00"), (0.0614, "0.0614"), (0.00614, "0.00614"), (0.5, "0.50")]
        {
            assert_eq!(Cell::Ratio(ratio).shown(), shown);
        }
    }

    #[test]
    fn the_three_forms_say_the_same() {
        let finding = Finding {
            test: "throughput",
            title: "Throughput",
            clause: "RFC 2544 clause 26.1",
            columns: vec![column("size", "frame size"), column("pps", "frames/s"), column("share", "loss")],
            rows: vec![
                vec![Cell::Text("a, \"b\"".into()), Cell::Pps(1234.6), Cell::Share(0.005)],
                vec![Cell::Text("imix".into()), Cell::Nothing, Cell::Share(0.0)],
            ],
            searches: vec![],
            curves: vec![],
            notes: vec!["so".into()],
            complete: true,
        };
        assert_eq!(
            finding.text(),
            "Throughput (RFC 2544 clause 26.1)\n\nframe size  frames/s      loss\na, \"b\"          1235  0.5000 %\n\
             imix               -  0.0000 %\n\nso\n"
        );
        assert_eq!(finding.csv(), "size,pps,share\n\"a, \"\"b\"\"\",1234.6,0.005\nimix,,0.0\n");
        let value = finding.value();
        assert_eq!((&value["rows"][0]["pps"], &value["rows"][1]["pps"]), (&json!(1234.6), &Value::Null));
        assert_eq!((&value["schema"], &value["complete"]), (&json!("lanyard.test/1"), &json!(true)));
    }
}
