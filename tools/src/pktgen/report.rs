//! How is a run, a test or a comparison said? As a table, as JSON, as CSV; and as a page with plots that opens offline.

use std::fs;
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};

use clap::Args;
use load::page::{Bar, BarGroup, Curve, LossPoint, LossSeries, Page, Plot, Section, Spacing, Table, of_run, of_search};
use load::result::LoadResult;
use load::stream::StreamSpec;
use serde::Serialize;
use serde_json::Value;

use super::layout::Layout;
use super::origin::Origin;
use super::rig::Outcome;
use super::test::finding::{Cell, Finding};
use crate::failure::{Failure, one_line, print};
use crate::words::wrapped;

/// In which form.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV: a line of names, then the figures
    #[arg(long)]
    csv: bool,
    /// Write a page with plots as well, which opens offline
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What a run says in JSON: where, how, and what became of it.
#[derive(Serialize)]
struct Report<'a> {
    origin: &'a Origin,
    /// Whether it came to its end.
    complete: bool,
    tx: Vec<String>,
    rx: Vec<String>,
    /// Who the numbers of streams and ports stand for.
    paths: Vec<Route>,
    backend: &'a str,
    /// Why it is not the faster one, where that was wanted.
    backend_why: Option<&'a str>,
    rate: &'a str,
    specs: &'a [StreamSpec],
    refused: u64,
    /// What the kernel's pktgen says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pktgen: Option<&'a Value>,
    #[serde(flatten)]
    result: &'a LoadResult,
}

/// A stream, and its ends.
#[derive(Serialize)]
struct Route {
    stream: u8,
    from: String,
    to: String,
    /// The port at which it should come out.
    port: u8,
}

/// What was done: where, and how.
pub(super) struct Done<'a> {
    pub(super) layout: &'a Layout,
    pub(super) backend: &'a str,
    /// Why it is not the faster one, where that was wanted.
    pub(super) why: Option<&'a str>,
    pub(super) rate: &'a str,
    pub(super) specs: &'a [StreamSpec],
    /// Somebody ended it.
    pub(super) interrupted: bool,
    /// What else there is to say, a sentence each.
    pub(super) notes: &'a [String],
    /// What the kernel's pktgen says of itself.
    pub(super) pktgen: Option<&'a Value>,
}

impl ReportArgs {
    /// Say what became of a run.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn run(&self, done: &Done<'_>, outcome: &Outcome) -> Result<(), Failure> {
        let origin = Origin::now();
        // First what cannot be lost to a full disk.
        self.run_said(done, outcome, &origin)?;
        let Some(file) = &self.html else { return Ok(()) };
        let mut facts = vec![fact("load", &done.layout.words()), fact("by", done.backend), fact("rate", done.rate)];
        facts.extend(done.specs.first().map(|spec| fact("frames", &format!("{}, {}", spec.kind, spec.sizes))));
        facts.extend(origin_facts(&origin));
        write(file, &of_run(facts, &outcome.result, &outcome.samples))
    }

    fn run_said(&self, done: &Done<'_>, outcome: &Outcome, origin: &Origin) -> Result<(), Failure> {
        let Outcome { result, refused, .. } = outcome;
        let ended = done.interrupted.then(|| "Interrupted: this is what was sent by then.".to_owned());
        let notes = || ended.iter().chain(done.notes);
        if self.csv {
            // The two lines have no room for sentences, which are not to be missed.
            aside(notes());
            return print(&format!("{}\n{}\n", LoadResult::csv_header(), result.csv_row()));
        }
        if self.json {
            let names = |which: &dyn Fn(usize) -> bool| {
                let all = done.layout.places.iter().enumerate().filter(|(at, _)| which(*at));
                all.map(|(_, place)| place.to_string()).collect()
            };
            let (tx, rx) = (names(&|at| done.layout.sends(at)), names(&|at| done.layout.hears(at)));
            let Done { backend, why: backend_why, rate, specs, interrupted, pktgen, .. } = *done;
            let (complete, refused, paths) = (!interrupted, *refused, routes(done.layout));
            let report =
                Report { origin, complete, tx, rx, paths, backend, backend_why, rate, specs, refused, pktgen, result };
            let text = serde_json::to_string(&report);
            let text = text.map_err(|error| Failure::work("the report cannot be written", error))?;
            return print(&(text + "\n"));
        }
        let refused = match refused {
            0 => String::new(),
            refused => format!("{refused} frames were refused by the sending interface\n"),
        };
        let why = done.why.map_or_else(String::new, |why| format!("not by XDP live frames: {why}\n"));
        let errored = result.errored.map_or(0, |errored| errored.forwarded);
        let came = result.received.frames + result.damaged + result.misdelivered + result.too_old + errored;
        let silence = (came == 0 && result.expected > 0)
            .then(|| "Nothing arrived: are both ends on one switch, and is it up?".to_owned());
        let notes: String = notes().chain(&silence).map(|note| wrapped(note)).collect();
        let legend = legend(done.layout);
        let (words, by, origin) = (done.layout.words(), done.backend, origin.words());
        let why = wrapped(&why);
        print(&format!("{words}, by {by}\n{}{legend}{refused}{why}{notes}{origin}\n", result.table()))
    }

    /// Say what a test found; `how` is a line of where and how.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn finding(&self, finding: &Finding, how: &str) -> Result<(), Failure> {
        let origin = Origin::now();
        if self.json {
            let mut value = finding.value();
            value["origin"] = serde_json::json!(origin);
            print(&format!("{value}\n"))?;
        } else if self.csv {
            aside(&finding.notes);
            print(&finding.csv())?;
        } else {
            let how = if how.is_empty() { String::new() } else { format!("{how}\n\n") };
            print(&format!("{how}{}{}\n", finding.text(), origin.words()))?;
        }
        self.html.as_ref().map_or(Ok(()), |file| write(file, &page(finding, how, &origin)))
    }

    /// Is the page to stand outside a folder?
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check_outside(&self, folder: &str) -> Result<(), Failure> {
        match self.html.as_deref().filter(|file| real(file).is_some_and(|real| real.starts_with(folder))) {
            Some(file) => {
                let file = one_line(&file.display().to_string());
                Err(Failure::Words(format!("'{file}' is in {folder}, which is hidden meanwhile: name another folder")))
            }
            None => Ok(()),
        }
    }

    /// May the page be written? Asked before anything is sent, so that hours of trials do not end in a refusal.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(file) = &self.html else { return Ok(()) };
        let was_there = file.symlink_metadata().is_ok();
        let opened = fs::OpenOptions::new().create(true).append(true).open(file);
        opened.map(drop).map_err(|error| refused(file, &error))?;
        if !was_there {
            // Nothing is left behind by what is refused later.
            let _ = fs::remove_file(file);
        }
        Ok(())
    }
}

fn routes(layout: &Layout) -> Vec<Route> {
    let name = |place: u8| layout.places.get(usize::from(place)).map(ToString::to_string).unwrap_or_default();
    let paths = (0u8..).zip(&layout.paths);
    paths.map(|(stream, path)| Route { stream, from: name(path.from), to: name(path.to), port: path.to }).collect()
}

/// Who the numbers stand for, where there are several.
fn legend(layout: &Layout) -> String {
    if layout.places.len() < 3 && layout.paths.len() < 2 {
        return String::new();
    }
    let line = |Route { stream, from, to, port }: &Route| format!("stream {stream}: {from} -> {to}, port {port}\n");
    let mut text = "\n".to_owned();
    text.extend(routes(layout).iter().map(line));
    let listening = layout.places.iter().enumerate().filter(|(at, _)| layout.hears(*at) && !layout.receives(*at));
    text.extend(listening.map(|(at, place)| format!("port {at}: {place}\n")));
    text + "\n"
}

/// What a table of figures has no room for, and is not to be missed.
fn aside<'n>(notes: impl IntoIterator<Item = &'n String>) {
    for note in notes {
        let _ = writeln!(std::io::stderr(), "lanyard: {note}");
    }
}

fn origin_facts(origin: &Origin) -> [(String, String); 2] {
    [fact("measured by", &origin.words()), fact("command", origin.command())]
}

/// Where a file will stand, links followed.
fn real(file: &FilePath) -> Option<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(FilePath::new("."));
    folder.canonicalize().ok()
}

fn write(file: &FilePath, page: &Page) -> Result<(), Failure> {
    fs::write(file, page.html()).map_err(|error| refused(file, &error))
}

fn refused(file: &FilePath, error: &std::io::Error) -> Failure {
    Failure::work(format!("writing '{}'", one_line(&file.display().to_string())), error)
}

fn fact(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A test's page: its table, its notes, and the plots that its figures make.
fn page(finding: &Finding, how: &str, origin: &Origin) -> Page {
    let head: Vec<&str> = finding.columns.iter().map(|column| column.head).collect();
    let rows = finding.rows.iter().map(|row| row.iter().map(Cell::shown).collect()).collect();
    let mut plots = Vec::new();
    if !finding.curves.is_empty() {
        let curves = finding.curves.iter().map(|(name, points)| Curve { name: name.clone(), points: points.clone() });
        plots.push(Plot::percentiles("Latency", curves.collect()));
    }
    plots.extend(loss_plot(finding));
    plots.extend(bar_plots(finding));
    let mut sections = vec![Section {
        title: finding.title.to_owned(),
        text: finding.notes.clone(),
        table: Some(Table::new(&head, rows)),
        plots,
    }];
    if !finding.searches.is_empty() {
        sections.push(of_search(&finding.searches));
    }
    let mut facts = Vec::new();
    if !how.is_empty() {
        facts.push(fact("load", how));
    }
    facts.extend(origin_facts(origin));
    Page { title: finding.title.to_owned(), subtitle: finding.clause.to_owned(), facts, sections }
}

fn cell<'a>(finding: &'a Finding, row: &'a [Cell], key: &str) -> Option<&'a Cell> {
    row.get(finding.columns.iter().position(|column| column.key == key)?)
}

/// Rate against loss, a line for each frame size, where there are both.
fn loss_plot(finding: &Finding) -> Option<Plot> {
    let mut series: Vec<LossSeries> = Vec::new();
    for row in &finding.rows {
        let number = |key| cell(finding, row, key).and_then(Cell::number);
        let name = cell(finding, row, "size")?.shown();
        let point = LossPoint {
            rate: number("sent_pps")?,
            share: number("loss_share")?,
            low: number("loss_low")?,
            high: number("loss_high")?,
        };
        match series.iter_mut().find(|series| series.name == name) {
            Some(known) => known.points.push(point),
            None => series.push(LossSeries { name, points: vec![point], found: Vec::new() }),
        }
    }
    (!series.is_empty()).then(|| Plot::rate_loss("Loss by rate", series, Vec::new(), Spacing::Auto))
}

/// Bars of each figure of a comparison, by switch.
fn bar_plots(finding: &Finding) -> Vec<Plot> {
    let mut plots: Vec<(String, Vec<String>, Vec<BarGroup>)> = Vec::new();
    for row in &finding.rows {
        let words = |key| cell(finding, row, key).map(Cell::shown);
        let number = |key| cell(finding, row, key).and_then(Cell::number);
        let (Some(test), Some(of), Some(figure), Some(switch)) =
            (words("test"), words("row"), words("figure"), words("switch"))
        else {
            continue;
        };
        let (Some(value), Some(low), Some(high)) = (number("median"), number("least"), number("most")) else {
            continue;
        };
        let title = format!("{test}: {figure}");
        let at = plots.iter().position(|(known, _, _)| *known == title).unwrap_or_else(|| {
            plots.push((title, Vec::new(), Vec::new()));
            plots.len() - 1
        });
        let (_, switches, groups) = &mut plots[at];
        let series = switches.iter().position(|known| *known == switch).unwrap_or_else(|| {
            switches.push(switch);
            switches.len() - 1
        });
        if groups.last().is_none_or(|group| group.name != of) {
            groups.push(BarGroup { name: of, bars: Vec::new() });
        }
        if let Some(group) = groups.last_mut() {
            group.bars.resize(group.bars.len().max(series), None);
            group.bars.push(Some(Bar { value, low, high, ratio: number("ratio") }));
        }
    }
    let axis = |title: &str| if title.contains("p50") || title.contains("p99") { "ns" } else { "" };
    plots
        .into_iter()
        .map(|(title, switches, groups)| Plot::bars(title.clone(), axis(&title), switches, groups))
        .collect()
}
