//! What does the student read? Text in paragraphs, questions, real frames in words, and results in columns.

use std::fmt::Write;

use serde::Serialize;
use trace::{Record, Style, Widths, one_line, tree};

use super::exercise::{Exercise, Step};
use super::predict::{Kind, Predict};
use super::session::{Item, Score, Scores};
use crate::failure::Failure;
use crate::table::{Lean, Table};
use crate::words::{visible, wrapped};

/// So many frames are shown whole; of more, the first and the last ones.
const FRAMES: usize = 14;
const FIRST_FRAMES: usize = 10;
const LAST_FRAMES: usize = 2;
/// So many lines of a command's output are shown.
const OUTPUT_LINES: usize = 12;

fn heading(text: &str, style: Style) -> String {
    let text = visible(text);
    match style {
        Style::Ansi => format!("\x1b[1m{text}\x1b[0m\n"),
        Style::Plain => format!("{text}\n"),
    }
}

/// What is told when an exercise begins.
pub(super) fn opening(exercise: &Exercise, style: Style) -> String {
    let mut out = heading(&format!("{} ({} minutes)", exercise.title, exercise.minutes), style);
    for goal in &exercise.goals {
        let _ = writeln!(out, "  - {}", wrapped(goal).trim_end().replace('\n', "\n    "));
    }
    let mut table =
        Table::new([("HOST", Lean::Left), ("NETWORK", Lean::Left), ("IP", Lean::Left), ("MAC", Lean::Left)]);
    for host in &exercise.plan.hosts {
        table.row([host.name.clone(), host.network.clone(), host.ip.to_string(), host.mac.to_string()]);
    }
    let _ = write!(out, "\n{}\nGo on with 'lanyard learn next'. To play beside it:\n", table.render());
    let first = exercise.plan.hosts.first().map_or("h1", |host| host.name.as_str());
    let _ = writeln!(out, "  lanyard lab exec {first} -- ip neigh\n  lanyard show mac\n  lanyard trace");
    out
}

/// What is told before a step.
pub(super) fn step(exercise: &Exercise, number: usize, step: &Step, style: Style) -> String {
    let title = format!("Step {} of {}: {}", number + 1, exercise.steps.len(), step.title);
    format!("{}{}", heading(&title, style), wrapped(&step.say))
}

/// A question, and how it is answered.
pub(super) fn question(number: usize, predict: &Predict) -> String {
    let mut out = wrapped(&format!("[{}] {}", number + 1, predict.ask));
    let how = match &predict.kind {
        Kind::Hosts => "names of hosts, or nobody",
        Kind::YesNo => "yes or no",
        Kind::Text => "a word",
        Kind::Number => "a number",
        Kind::Mac => "a host's name, gateway, or a MAC address",
        Kind::Choice(choices) => {
            for (place, choice) in choices.iter().enumerate() {
                let _ = writeln!(out, "    {} {}", place + 1, visible(choice));
            }
            return out;
        }
    };
    let _ = writeln!(out, "    ({how})");
    out
}

/// What the student is to do.
pub(super) fn by_hand(lines: &[String]) -> String {
    let mut out = "\nNow do this yourself:\n".to_owned();
    for line in lines {
        let _ = writeln!(out, "  {}", visible(line));
    }
    out + "Then: lanyard learn next\n"
}

/// What a command printed.
pub(super) fn output(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut out = String::new();
    for line in lines.iter().take(OUTPUT_LINES) {
        let _ = writeln!(out, "    {}", visible(line));
    }
    if lines.len() > OUTPUT_LINES {
        let _ = writeln!(out, "    .. and {} lines more", lines.len() - OUTPUT_LINES);
    }
    out
}

/// The frames of a step, in words.
pub(super) fn frames(step: &Step, records: &[Record], missed: u64, style: Style) -> String {
    let shown: Vec<&Record> = records.iter().filter(|record| step.show.matches(record)).collect();
    let mut out = String::new();
    if missed > 0 {
        let _ = writeln!(out, "  -- {missed} older frames are no longer in the log");
    }
    if shown.is_empty() {
        return out + "  (no frame)\n";
    }
    let mut widths = Widths::default();
    let (first, last) = if shown.len() > FRAMES { (FIRST_FRAMES, LAST_FRAMES) } else { (shown.len(), 0) };
    let parts = [&shown[..first], &shown[shown.len() - last..]];
    parts.iter().flat_map(|part| part.iter()).for_each(|record| widths.fit(record));
    for (index, part) in parts.iter().enumerate() {
        if index == 1 && !part.is_empty() {
            let _ = writeln!(out, "  -- {} frames more", shown.len() - first - last);
        }
        for record in *part {
            let _ = writeln!(out, "  {}", one_line(record, &widths, style).trim_end());
        }
    }
    let chosen = step.tree.as_ref().and_then(|filter| records.iter().find(|record| filter.matches(record)));
    if let Some(record) = chosen {
        let _ = write!(out, "\nEvery decision about frame #{}:\n", record.number);
        for line in tree(record, style).lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

/// Whether an answer was right, and what was.
pub(super) fn graded(items: &[Item], predicts: &[Predict], style: Style) -> String {
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let (word, colour) = if item.ok { ("right", "32") } else { ("WRONG", "1;31") };
        let word = match style {
            Style::Ansi => format!("\x1b[{colour}m{word}\x1b[0m"),
            Style::Plain => word.to_owned(),
        };
        let _ = writeln!(out, "[{}] {word}: {}", index + 1, visible(&item.why));
        if let Some(because) =
            predicts.get(index).map(|predict| predict.because.as_str()).filter(|text| !text.is_empty())
        {
            for line in wrapped(because).lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    out
}

/// A result.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    exercise: &'a str,
    done: bool,
    points: u32,
    of: u32,
    items: &'a [Item],
}

impl<'a> Report<'a> {
    /// The items of an exercise, with their sum.
    pub(super) fn new(exercise: &'a Exercise, items: &'a [Item]) -> Self {
        let (points, of) = (items.iter().map(|item| item.points).sum(), exercise.points());
        Self { exercise: &exercise.id, done: points == of, points, of, items }
    }

    /// What was reached.
    pub(super) const fn score(&self) -> Score {
        Score { points: self.points, of: self.of }
    }

    /// In columns.
    pub(super) fn text(&self) -> String {
        let columns = [
            ("ITEM", Lean::Left),
            ("STEP", Lean::Right),
            ("RESULT", Lean::Left),
            ("POINTS", Lean::Right),
            ("WHAT", Lean::Left),
            ("WHY", Lean::Left),
        ];
        let mut table = Table::new(columns);
        for item in self.items {
            let step = item.step.map_or_else(String::new, |step| step.to_string());
            let result = if item.ok { "ok" } else { "not yet" }.to_owned();
            let points = format!("{}/{}", item.points, item.of);
            table.row([item.id.clone(), step, result, points, shortened(&item.say), item.why.clone()]);
        }
        format!("{}\n{}: {} of {} points\n", table.render(), self.exercise, self.points, self.of)
    }

    /// As JSON.
    ///
    /// # Errors
    /// None that these types can cause.
    pub(super) fn json(&self) -> Result<String, Failure> {
        json(self)
    }

    /// As CSV (RFC 4180), with a header line.
    pub(super) fn csv(&self) -> String {
        let mut out = "exercise,item,kind,step,ok,points,of,why\r\n".to_owned();
        for item in self.items {
            let step = item.step.map_or_else(String::new, |step| step.to_string());
            let (points, of) = (item.points.to_string(), item.of.to_string());
            let ok = if item.ok { "yes" } else { "no" };
            csv_line(&mut out, &[self.exercise, &item.id, &item.kind, &step, ok, &points, &of, &item.why]);
        }
        out
    }
}

/// One line of `lanyard learn`.
#[derive(Serialize)]
pub(super) struct Listed {
    id: String,
    title: String,
    minutes: u32,
    done: bool,
    points: u32,
    of: u32,
}

impl Listed {
    /// An exercise and its best score so far.
    pub(super) fn new(exercise: &Exercise, scores: &Scores) -> Self {
        let of = exercise.points();
        let score = scores.get(&exercise.id).copied().filter(|score| score.of == of).unwrap_or_default();
        let (id, title) = (exercise.id.clone(), exercise.title.clone());
        Self { id, title, minutes: exercise.minutes, done: score.is_full(), points: score.points, of }
    }
}

/// The list, in columns.
pub(super) fn list(rows: &[Listed]) -> String {
    let columns = [
        ("EXERCISE", Lean::Left),
        ("MINUTES", Lean::Right),
        ("DONE", Lean::Left),
        ("POINTS", Lean::Right),
        ("TITLE", Lean::Left),
    ];
    let mut table = Table::new(columns);
    for row in rows {
        let done = if row.done { "yes" } else { "" }.to_owned();
        let points = format!("{}/{}", row.points, row.of);
        table.row([row.id.clone(), row.minutes.to_string(), done, points, row.title.clone()]);
    }
    format!("{}\nBegin with 'lanyard learn start {}'.\n", table.render(), rows.first().map_or("ID", |row| &row.id))
}

/// The list, as CSV.
pub(super) fn list_csv(rows: &[Listed]) -> String {
    let mut out = "id,title,minutes,done,points,of\r\n".to_owned();
    for row in rows {
        let done = if row.done { "yes" } else { "no" };
        let (minutes, points, of) = (row.minutes.to_string(), row.points.to_string(), row.of.to_string());
        csv_line(&mut out, &[&row.id, &row.title, &minutes, done, &points, &of]);
    }
    out
}

/// Any of them, as JSON.
///
/// # Errors
/// None that these types can cause.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Work(error.to_string()))?;
    Ok(text + "\n")
}

/// A field with a comma, a quote or a line break in it stands in quotes (RFC 4180, 2).
fn csv_line(out: &mut String, fields: &[&str]) {
    for (index, field) in fields.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let quoted = field.contains(['"', ',', '\r', '\n']);
        let field = if quoted { format!("\"{}\"", field.replace('"', "\"\"")) } else { (*field).to_owned() };
        let _ = write!(out, "{separator}{field}"); // a String takes everything
    }
    out.push_str("\r\n");
}

/// What fits into a column.
fn shortened(text: &str) -> String {
    const MOST: usize = 48;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= MOST {
        return text;
    }
    text.chars().take(MOST - 2).collect::<String>().trim_end().to_owned() + ".."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::seen::staged;

    #[test]
    fn csv_quotes_what_must_be() {
        let mut out = String::new();
        csv_line(&mut out, &["a", "b, c", "say \"x\"", ""]);
        assert_eq!(out, "a,\"b, c\",\"say \"\"x\"\"\",\r\n");
    }

    #[test]
    fn of_many_frames_the_first_and_last_are_shown() {
        let exercise =
            staged::exercise("[[step]]\ntitle=\"a\"\nsay=\"b\"\n[[check]]\nid=\"c\"\nsay=\"\"\nexists=\"arp\"")
                .unwrap();
        let record = staged::records().remove(0);
        let records = vec![record; 100];
        let text = frames(&exercise.steps[0], &records, 3, Style::Plain);
        assert_eq!(text.lines().count(), 1 + FIRST_FRAMES + 1 + LAST_FRAMES);
        assert!(text.contains("3 older frames") && text.contains("88 frames more"), "{text}");
        assert!(frames(&exercise.steps[0], &[], 0, Style::Plain).contains("no frame"));
    }

    #[test]
    fn a_report_counts_what_was_reached() {
        let exercise = staged::exercise(
            "[[step]]\ntitle=\"a\"\nsay=\"b\"\n[[check]]\nid=\"c\"\nsay=\"\"\nexists=\"arp\"\npoints=2",
        )
        .unwrap();
        let item = Item {
            id: "c".to_owned(),
            kind: "check".to_owned(),
            step: None,
            ok: true,
            points: 2,
            of: 2,
            say: "s".to_owned(),
            why: "w, x".to_owned(),
        };
        let items = [item];
        let report = Report::new(&exercise, &items);
        assert!(report.score().is_full() && report.text().contains("2 of 2 points"));
        assert!(report.csv().ends_with("t,c,check,,yes,2,2,\"w, x\"\r\n"), "{}", report.csv());
        let value: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!((value["done"].as_bool(), value["items"][0]["item"].as_str()), (Some(true), Some("c")));
    }
}
