//! What does a page say of a run, and what of searches for the highest rate? Of a run: the figures of the text table, in the
//! same digits, with the latency by percentile and the rates over time as pictures. Of searches: for each, and for each of its
//! goals, the interval that the rate is in, and a picture of all trials: how much each lost, and how sure that is.
//!
//! Not done: a latency curve for each stream, for a result holds one for all; how a search went on, of which the JSON has the
//! trials in their order.

use super::axis::share_percent;
use super::{Curve, Goal, Line, LossPoint, LossSeries, Page, Plot, Section, Spacing, Table};
use crate::result::LoadResult;
use crate::result::table::{Columns, percent, rate};
use crate::search::{GoalResult, SearchResult};
use crate::series::Sample;

/// The page of a run: what it was, as names and values; what became of it; and how it went on, empty if that was not watched.
pub fn of_run(facts: Vec<(String, String)>, result: &LoadResult, series: &[Sample]) -> Page {
    let mut sections = vec![
        titled("Traffic", "", Some(with_head(result.traffic()))),
        titled(
            "What became of the frames",
            "Behind the lost frames stand their share of those that should have come, its 95 % interval, and what a single \
             frame more or less would make of it.",
            Some(Table { head: Vec::new(), rows: cells(result.fates()) }),
        ),
        latency(result),
        over_time(series),
        titled("Streams", "", result.per_stream().map(with_head)),
        titled("Ports", "Receiving ports, with all streams.", result.per_port().map(with_head)),
    ];
    let worries = result.notes().into_iter().map(|note| sentence(&note)).collect::<Vec<_>>();
    sections.retain(|section| section.table.is_some() || !section.plots.is_empty() || !section.text.is_empty());
    if !worries.is_empty() {
        sections.insert(0, Section { title: "Before you trust this".to_owned(), text: worries, ..Section::default() });
    }
    Page { title: "Load test".to_owned(), subtitle: verdict(result), facts, sections }
}

/// What came out, in a sentence.
fn verdict(result: &LoadResult) -> String {
    let sent = format!(
        "{} frames sent in {:.3} s ({:.0} a second, {}bit/s on the wire)",
        result.sent.frames,
        result.sent.seconds,
        result.sent.pps,
        rate(result.sent.wire_bps)
    );
    let fate = if result.is_clean() && result.expected > 0 {
        "every one came, once, in order and undamaged".to_owned()
    } else if result.expected == 0 {
        "none was expected to come".to_owned()
    } else {
        let (share, error) = (percent(result.loss_share), result.loss_error);
        format!("{share} lost (95 %: {} to {})", percent(error.low), percent(error.high))
    };
    format!("{sent}; {fate}.")
}

fn titled(title: &str, text: &str, table: Option<Table>) -> Section {
    let text = if text.is_empty() || table.is_none() { Vec::new() } else { vec![text.to_owned()] };
    Section { title: title.to_owned(), text, table, plots: Vec::new() }
}

/// The columns of the text table, of which the first line is the head.
fn with_head(columns: Columns) -> Table {
    let mut rows = cells(columns);
    let head = if rows.is_empty() { Vec::new() } else { rows.remove(0) };
    Table { head, rows }
}

/// As they stand in the page: the text table is for terminals that may have ASCII only, a page has the micro sign.
fn cells(columns: Columns) -> Vec<Vec<String>> {
    let cell = |cell: String| {
        let cell = cell.trim_end();
        cell.strip_suffix(" us").map_or_else(|| cell.to_owned(), |number| format!("{number} µs"))
    };
    columns.0.into_iter().map(|row| row.into_iter().map(cell).collect()).collect()
}

fn latency(result: &LoadResult) -> Section {
    let mut section = titled(
        "Latency",
        "One way, from when each frame was due to be sent, not from when it was: a generator that is held back counts that \
         as latency. The maximum is a single frame and stands apart.",
        Some(with_head(result.latencies())),
    );
    if !result.latency_curve.is_empty() {
        let curve = Curve { name: "all frames".to_owned(), points: result.latency_curve.clone() };
        section.plots = vec![Plot::percentiles("Latency by percentile", vec![curve])];
    }
    section
}

fn over_time(series: &[Sample]) -> Section {
    let mut section = Section { title: "Over time".to_owned(), ..Section::default() };
    if series.is_empty() {
        return section;
    }
    let line = |name: &str, value: fn(&Sample) -> f64| {
        let points = series.iter().map(|sample| (sample.at_s, value(sample))).collect();
        Line { name: name.to_owned(), points }
    };
    let rates = vec![line("sent", |sample| sample.sent_pps), line("received", |sample| sample.received_pps)];
    section.plots.push(Plot::time_series("Rates over time", "frames/s", rates));
    if series.iter().any(|sample| sample.lost > 0) {
        let lost = vec![line("lost", |sample| sample.lost as f64)];
        section.plots.push(Plot::time_series("Frames lost over time", "frames lost in an interval", lost));
    }
    section.text = vec!["Each point is of the interval that ends there. Frames under way are not lost.".to_owned()];
    section
}

/// With a capital letter and a full stop.
fn sentence(note: &str) -> String {
    let mut characters = note.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

/// The section of some searches, by name: subjects, or sizes of frames.
pub fn of_search(searches: &[(String, SearchResult)]) -> Section {
    let rows = searches.iter().flat_map(|(name, result)| result.goals.iter().map(|goal| row(name, result, goal)));
    let head = ["", "goal", "meets it, frames/s", "does not, frames/s", "width", "lost at the lower", "trials"];
    let plot = Plot::rate_loss(
        "Loss against rate: all trials, with 95 % intervals",
        searches.iter().map(|(name, result)| trials(name, result)).collect(),
        goals(searches),
        Spacing::Auto,
    );
    let mut text = vec![
        "The highest rate lies between the two: the highest one tried that meets the goal, and the lowest one that does not. \
         In the picture a line goes from each rate that meets a goal down to the axis."
            .to_owned(),
    ];
    text.extend(searches.iter().flat_map(|(name, result)| doubts(name, result)));
    Section {
        title: "Highest rate within a goal".to_owned(),
        text,
        table: Some(Table::new(&head, rows.collect())),
        plots: vec![plot],
    }
}

/// NDR, no-drop rate, and PDR, partial drop rate: so RFC 2544's throughput and its relative are called.
fn name_of(goal: f64) -> &'static str {
    if goal > 0.0 { "PDR" } else { "NDR" }
}

fn row(name: &str, result: &SearchResult, goal: &GoalResult) -> Vec<String> {
    let pps = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
    let width = match (goal.lower, goal.upper) {
        (Some(lower), Some(upper)) if upper > 0.0 => format!("{:.2} %", (upper - lower) / upper * 100.0),
        _ => "-".to_owned(),
    };
    vec![
        name.to_owned(),
        format!("{} {}", name_of(goal.goal), share_percent(goal.goal)),
        pps(goal.lower),
        pps(goal.upper),
        width,
        goal.loss_at_lower.map_or_else(|| "-".to_owned(), percent),
        result.trials.len().to_string(),
    ]
}

fn trials(name: &str, result: &SearchResult) -> LossSeries {
    // A trial that sent nothing says nothing.
    let told = result.trials.iter().filter(|trial| trial.loss.of > 0);
    LossSeries {
        name: name.to_owned(),
        points: told.map(|trial| LossPoint::new(trial.rate, trial.loss)).collect(),
        found: result.goals.iter().filter_map(|goal| Some((goal.lower?, goal.goal))).collect(),
    }
}

/// Those of all searches, each once.
fn goals(searches: &[(String, SearchResult)]) -> Vec<Goal> {
    let mut shares: Vec<f64> =
        searches.iter().flat_map(|(_, result)| result.goals.iter().map(|goal| goal.goal)).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    shares.into_iter().map(|share| Goal { name: name_of(share).to_owned(), share }).collect()
}

/// What a reader must know of a search before he trusts its interval.
fn doubts(name: &str, result: &SearchResult) -> Vec<String> {
    let mut doubts = Vec::new();
    if !result.complete {
        let trials = result.trials.len();
        doubts.push(format!(
            "{name}: the search ended after {trials} trials, before its intervals were as narrow as asked for."
        ));
    }
    if let Some(cap) = result.generator_cap {
        doubts.push(format!(
            "{name}: the generator sent no more than {cap:.0} frames a second; above that nothing is known."
        ));
    }
    for goal in &result.goals {
        let goal_name = name_of(goal.goal);
        if goal.lower.is_none() && goal.upper.is_some() {
            doubts.push(format!("{name}: no rate that was tried meets the {goal_name} goal."));
        } else if goal.upper.is_none() && goal.lower.is_some() {
            doubts.push(format!("{name}: the highest rate that was tried still meets the {goal_name} goal."));
        }
    }
    doubts
}
