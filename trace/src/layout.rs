//! How do the words stand on a terminal? One line for each frame in aligned columns, or a header and one numbered line
//! for each step.
//!
//! ```text
//! #7   12:00:01.004 lan   h1 -> *    ARP who-has 10.0.0.2 tell 10.0.0.1   LEARN new h1 | FLOOD broadcast -> h2 h3
//! ```
//! Names come from people and octets from containers: no control character of theirs reaches the terminal.
//!
//! Not done: knowing whether there is a terminal, and how wide; the caller does.

use std::fmt::{self, Write};

use crate::record::Record;
use crate::step::{LookupRecord, StepRecord};
use crate::words::{self, Tone};

/// With colours or without.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Style {
    /// Text only.
    #[default]
    Plain,
    /// ANSI colours (ECMA-48, 8.3.117), for a terminal.
    Ansi,
}

/// How wide the columns are, in characters. Text that is longer pushes the rest of its line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Widths {
    /// The frame's number with its `#`.
    pub number: usize,
    /// The network.
    pub network: usize,
    /// From which port, to whom.
    pub path: usize,
    /// What the frame says.
    pub summary: usize,
}

impl Default for Widths {
    fn default() -> Self {
        Self { number: 4, network: 4, path: 10, summary: 53 }
    }
}

impl Widths {
    /// The widest a column gets by itself; one long name should not push a whole stream off the screen.
    const LIMIT: Self = Self { number: 12, network: 16, path: 32, summary: 72 };

    /// Make room for `record`, within reason: called for each record, it keeps a live stream aligned.
    pub fn fit(&mut self, record: &Record) {
        let grow = |width: &mut usize, text: &str, limit: usize| {
            *width = (*width).max(text.chars().count().min(limit));
        };
        grow(&mut self.number, &number(record), Self::LIMIT.number);
        grow(&mut self.network, &record.network, Self::LIMIT.network);
        grow(&mut self.path, &path(record), Self::LIMIT.path);
        grow(&mut self.summary, &said(record), Self::LIMIT.summary);
    }
}

/// A record on one line, without a newline.
pub fn one_line(record: &Record, widths: &Widths, style: Style) -> String {
    let mut line = Text { out: String::new(), style };
    line.cell(&number(record), widths.number, Some(DIM));
    line.put(" ", None);
    line.put(&clock(record.at_unix_ns), Some(DIM));
    line.put(" ", None);
    line.cell(&record.network, widths.network, None);
    line.put("  ", None);
    line.cell(&path(record), widths.path, Some(BOLD));
    line.put("  ", None);
    line.cell(&said(record), widths.summary, None);
    for (index, act) in words::acts(record).iter().enumerate() {
        line.put(if index == 0 { "  " } else { " | " }, None);
        line.put(act.word, Some(colour(act.tone)));
        if !act.rest.is_empty() {
            line.put(" ", None);
            line.put(&act.rest, None);
        }
    }
    line.out
}

/// A record as a header line, one numbered line for each step, and the verdict; no newline at the end.
pub fn tree(record: &Record, style: Style) -> String {
    let mut text = Text { out: String::new(), style };
    text.put(&number(record), Some(BOLD));
    text.put(&format!(" {} ", clock(record.at_unix_ns)), Some(DIM));
    text.put(&record.network, None);
    match &record.port {
        Some(port) => text.put(&format!(" in={port}"), None),
        None => text.put(" made by the switch", None),
    }
    text.put(&format!(" {} octets", record.octets), None);
    if let (Some(source), Some(destination)) = (record.source, record.destination) {
        text.put(&format!("  {source} -> {destination}"), None);
    }
    text.put("  ", None);
    text.put(&said(record), Some(BOLD));
    for (index, step) in record.steps.iter().enumerate() {
        let told = words::sentence(record, step);
        text.put_line(&format!("{:>3} {:<8} ", index + 1, told.name), None);
        text.put(&told.fact, None);
        if !told.why.is_empty() {
            text.put(&format!("  ({})", told.why), Some(DIM));
        }
    }
    text.put_line("  = ", None);
    let end = words::acts(record).pop().map_or(Tone::Forward, |act| act.tone);
    text.put(&words::verdict(record), Some(colour(end)));
    text.out
}

/// What to say between two records of which the trace lost some frames: `before` and `now` are their
/// [`Record::lost`]. `None` when it lost none.
pub fn lost_notice(before: u64, now: u64) -> Option<String> {
    let lost = now.saturating_sub(before);
    let them = if lost == 1 { "it" } else { "them" };
    (lost > 0).then(|| format!("-- {} here ({now} in all): the switch handled {them}, unseen", lost_words(lost)))
}

/// What every view says of frames that the trace lost: `3 frames lost to the trace`.
pub fn lost_words(frames: u64) -> String {
    if frames == 1 { "1 frame lost to the trace".to_owned() } else { format!("{frames} frames lost to the trace") }
}

/// The plain one-line form in default widths.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(self, &Widths::default(), Style::Plain))
    }
}

// SGR parameters (ECMA-48, 8.3.117); the colours differ in brightness too, for eyes that see no red or green.
const BOLD: &str = "1";
const DIM: &str = "2";

const fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Learn => "32",
        Tone::Forward => "36",
        Tone::Caution => "33",
        Tone::Speak => "35",
        Tone::Refuse => "1;31",
    }
}

/// Text under way, in one style.
struct Text {
    out: String,
    style: Style,
}

impl Text {
    fn put(&mut self, text: &str, colour: Option<&str>) {
        let colour = colour.filter(|_| self.style == Style::Ansi);
        if let Some(colour) = colour {
            let _ = write!(self.out, "\x1b[{colour}m");
        }
        self.out.extend(text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }));
        if colour.is_some() {
            self.out.push_str("\x1b[0m");
        }
    }

    fn put_line(&mut self, text: &str, colour: Option<&str>) {
        self.out.push('\n');
        self.put(text, colour);
    }

    fn cell(&mut self, text: &str, width: usize, colour: Option<&str>) {
        self.put(text, colour);
        let blanks = width.saturating_sub(text.chars().count());
        self.out.extend(std::iter::repeat_n(' ', blanks));
    }
}

/// A frame's number; what only would be has none.
fn number(record: &Record) -> String {
    if record.number == 0 { "#-".to_owned() } else { format!("#{}", record.number) }
}

/// Hours, minutes, seconds and milliseconds of a UTC day, without leap seconds (as Unix time has none).
pub fn clock(at_unix_ns: u64) -> String {
    let ms = at_unix_ns / 1_000_000;
    let (second, minute, hour) = (ms / 1000 % 60, ms / 60_000 % 60, ms / 3_600_000 % 24);
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", ms % 1000)
}

/// Who the frame is from and for: the port it came in by, and `*` for a group, a name, the port that the MAC table
/// says, or the address.
fn path(record: &Record) -> String {
    let from = record.port_text();
    let Some(destination) = record.destination else { return format!("{from} -> ?") };
    if destination.is_group() {
        return format!("{from} -> *");
    }
    if let Some(name) = &record.destination_name {
        return format!("{from} -> {name}");
    }
    let looked_up = record.steps.iter().find_map(|step| match step {
        StepRecord::LookedUp(LookupRecord::Known { port }) => Some(port.as_str()),
        StepRecord::LookedUp(LookupRecord::Gateway) => Some("gateway"),
        _ => None,
    });
    looked_up.map_or_else(|| format!("{from} -> {destination}"), |to| format!("{from} -> {to}"))
}

/// What the frame says, and that it is a super-frame if it is one.
fn said(record: &Record) -> String {
    match record.segment_octets {
        Some(segment) => {
            format!("{} [super-frame of {} octets, segments of {segment}]", record.summary, record.octets)
        }
        None => record.summary.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_utc_and_wraps_at_midnight() {
        assert_eq!(clock(0), "00:00:00.000");
        assert_eq!(clock(1_700_000_000_004_999_999), "22:13:20.004");
        assert_eq!(clock(86_399_999_999_999), "23:59:59.999");
        assert_eq!(clock(86_400_000_000_000), "00:00:00.000");
        assert_eq!(clock(u64::MAX), "23:34:33.709");
    }

    #[test]
    fn lost_frames_are_told() {
        assert_eq!(lost_notice(4, 4), None);
        assert!(lost_notice(4, 5).unwrap().contains("1 frame lost"));
        assert!(lost_notice(4, 9).unwrap().contains("5 frames lost to the trace here (9 in all)"));
    }

    #[test]
    fn control_characters_become_visible() {
        let mut text = Text { out: String::new(), style: Style::Ansi };
        text.cell("a\x1b[2J\nb", 10, Some(BOLD));
        assert_eq!(text.out, "\x1b[1ma\u{fffd}[2J\u{fffd}b\x1b[0m   ");
    }
}
