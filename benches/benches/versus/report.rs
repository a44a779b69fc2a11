//! How are the results told? In tables for a person, in Markdown for a page, in JSON for a program.

use lanyard_benches::stats::Runs;
use lanyard_benches::table::{Table, figure as cell};
use serde_json::{Value, json};

use super::figure::{Better, Figure};
use super::results::Results;
use arena::subjects::{REFERENCE, Subject};

/// The circumstances of a run.
pub(crate) struct Head {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) load_after: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
}

impl Head {
    fn lines(&self) -> String {
        format!("{}, {}, {} at the end\n{}", self.date, self.machine, self.load_after, self.runs())
    }

    /// As in `5 rounds of 2 s`.
    pub(crate) fn runs(&self) -> String {
        let plural = if self.rounds == 1 { "" } else { "s" };
        format!("{} round{plural} of {} s", self.rounds, self.seconds)
    }
}

/// All that is told of these subjects.
pub(crate) struct Report<'a> {
    pub(crate) head: Head,
    pub(crate) subjects: &'a [&'static Subject],
    pub(crate) results: &'a Results,
}

impl Report<'_> {
    /// The subjects of which there is anything.
    pub(crate) fn measured(&self) -> Vec<&'static Subject> {
        self.subjects.iter().copied().filter(|subject| self.results.has(subject)).collect()
    }

    /// Is there anything to compare with?
    pub(crate) fn compares(&self) -> bool {
        self.measured().iter().any(|subject| subject.name == REFERENCE)
    }

    /// For a person.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n\nMedians\n{}", self.head.lines(), self.medians());
        if self.compares() {
            text += "\nRatios to the Linux bridge (medians of the ratios of each round), and which way is better\n";
            text += &self.ratios().to_string();
        } else {
            text += "\nNo ratios: the Linux bridge was not measured.\n";
        }
        text + "\nSpread (least..most)\n" + &self.spread().to_string() + &self.shortcomings()
    }

    /// What was not measured, and why.
    fn shortcomings(&self) -> String {
        let absent = self.results.absent.iter().map(|(what, why)| format!("  {what}: {why}\n"));
        let failed = self.results.failures.iter().map(|failure| format!("  {failure}\n"));
        let under = |title: &str, lines: String| if lines.is_empty() { lines } else { format!("\n{title}\n{lines}") };
        under("Not available", absent.collect()) + &under("Failed", failed.collect())
    }

    /// Under the name of each figure stands its `unit`.
    fn table(
        &self,
        figures: &[Figure],
        unit: impl Fn(Figure) -> &'static str,
        shown: impl Fn(Figure, &Subject) -> String,
    ) -> Table {
        let names = figures.iter().map(|figure| figure.about().head[0]);
        let units = figures.iter().map(|figure| unit(*figure));
        let mut table = Table::new(1, &[""].into_iter().chain(names).collect::<Vec<_>>());
        table.row([""].into_iter().chain(units).map(ToOwned::to_owned).collect());
        for subject in self.measured() {
            let cells = figures.iter().map(|figure| shown(*figure, subject));
            table.row([subject.words.to_owned()].into_iter().chain(cells).collect());
        }
        table
    }

    fn medians(&self) -> Table {
        self.table(&Figure::ALL, unit, |figure, subject| {
            cell(self.results.values(figure, subject).median(), figure.about().digits)
        })
    }

    fn ratios(&self) -> Table {
        let figures: Vec<Figure> = Figure::ALL.into_iter().filter(|figure| figure.about().ratio).collect();
        self.table(&figures, way, |figure, subject| cell(self.results.ratios(figure, subject).median(), 2))
    }

    fn spread(&self) -> Table {
        let figures: Vec<Figure> = Figure::main().collect();
        self.table(&figures, unit, |figure, subject| {
            let (values, digits) = (self.results.values(figure, subject), figure.about().digits);
            match (values.least(), values.most()) {
                (Some(least), Some(most)) => format!("{least:.digits$}..{most:.digits$}"),
                _ => cell(None, 0),
            }
        })
    }

    /// For a page: medians, and ratios in brackets.
    pub(crate) fn markdown(&self) -> String {
        let figures: Vec<Figure> = Figure::main().chain([Figure::IdleCpu]).collect();
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let head = figures.iter().map(|figure| {
            let about = figure.about();
            let lower = if about.better == Some(Better::Lower) { " (lower is better)" } else { "" };
            format!("{}, {}{lower}", about.title, about.unit)
        });
        let mut text = format!("{}\n\n", self.head.lines());
        text += &line([String::new()].into_iter().chain(head).collect());
        text += &line(vec!["---".to_owned(); figures.len() + 1]);
        for subject in self.measured() {
            let cells = figures.iter().map(|figure| {
                let ratio = self.results.ratios(*figure, subject).median().filter(|_| subject.name != REFERENCE);
                let ratio = ratio.map_or_else(String::new, |ratio| format!(" ({ratio:.2})"));
                cell(self.results.values(*figure, subject).median(), figure.about().digits) + &ratio
            });
            text += &line([subject.words.to_owned()].into_iter().chain(cells).collect());
        }
        text + &self.shortcomings()
    }

    /// For a program: every median, and the values it was taken from.
    pub(crate) fn json(&self) -> Value {
        let Head { date, machine, load_after, rounds, seconds } = &self.head;
        let runs = |runs: &Runs| json!({ "median": runs.median(), "values": runs.sorted() });
        let subjects: Vec<Value> = self
            .measured()
            .into_iter()
            .map(|subject| {
                let figures = Figure::ALL.into_iter().map(|figure| {
                    let (values, ratios) = (self.results.values(figure, subject), self.results.ratios(figure, subject));
                    (
                        figure.about().key.to_owned(),
                        json!({ "measured": runs(&values), "ratio_to_bridge": runs(&ratios) }),
                    )
                });
                json!({ "name": subject.name, "words": subject.words, "figures": Value::Object(figures.collect()) })
            })
            .collect();
        let figures: Vec<Value> = Figure::ALL
            .into_iter()
            .map(|figure| {
                let about = figure.about();
                let better = about.better.map(|better| if better == Better::Higher { "higher" } else { "lower" });
                json!({ "key": about.key, "title": about.title, "unit": about.unit, "better": better })
            })
            .collect();
        let absent = self.results.absent.iter().map(|(what, why)| json!({ "what": what, "why": why }));
        json!({
            "bench": "versus", "date": date, "machine": machine, "load_after": load_after,
            "rounds": rounds, "seconds": seconds, "figures": figures, "subjects": subjects,
            "not_available": absent.collect::<Vec<_>>(), "failed": self.results.failures,
        })
    }
}

const fn unit(figure: Figure) -> &'static str {
    figure.about().head[1]
}

const fn way(figure: Figure) -> &'static str {
    match figure.about().better {
        Some(Better::Higher) => "higher",
        Some(Better::Lower) => "lower",
        None => "",
    }
}
