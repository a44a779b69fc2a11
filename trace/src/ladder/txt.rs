//! How does the diagram stand on a terminal? On 80 columns at most, in ASCII but for what names and summaries bring:
//!
//! ```text
//!      h1          switch          h2
//!      |             #             |
//! #1 +0 s  ARP who-has 10.0.0.2 tell 10.0.0.1
//!      |------------>#             |
//!      |             # LEARN new h1
//!      |             #------------>|
//! ```
//! Many lanes become narrow ones with numbers for names and a list of the names below; more than fit share one.
//!
//! Not done: wider than 80 columns, for a wider terminal.

use super::text::{clean, columns, shorten, since, wrap};
use super::{Event, Frame, Ladder};
use crate::layout::lost_words;

/// The widest line.
const COLUMNS: usize = 80;

/// The fewest columns that a lane can do with: arrows have to be seen.
const NARROWEST: usize = 6;

/// Room that a note needs at least.
const NOTE: usize = 34;

/// Hosts that have room; with the switch and the others, as many lanes as are narrowest.
const MOST: usize = COLUMNS / NARROWEST - 2;

/// The diagram as lines of text, the last with its newline.
pub fn txt(ladder: &Ladder) -> String {
    let folded;
    let ladder = if ladder.lanes.len() > MOST + 2 {
        folded = ladder.folded(MOST);
        &folded
    } else {
        ladder
    };
    let page = Page::new(ladder);
    let mut out = String::new();
    page.head(&mut out);
    for event in &ladder.events {
        let rule = page.blank().into_iter().collect::<String>();
        page.line(&mut out, &rule);
        match event {
            Event::Frame(frame) => page.frame(&mut out, frame),
            Event::Cache { since_ns, lane, text } => {
                page.line(&mut out, &shorten(&format!("    {}", since(*since_ns)), COLUMNS));
                page.note(&mut out, page.at[*lane], '*', text);
            }
            Event::Lost(lost) => {
                page.line(&mut out, &format!("~~~~ {} here ~~~~", lost_words(*lost)));
            }
        }
    }
    let end = page.blank().into_iter().collect::<String>();
    page.line(&mut out, &end);
    page.legend(&mut out);
    out
}

/// Where everything stands.
struct Page<'a> {
    ladder: &'a Ladder,
    /// The column of each lane.
    at: Vec<usize>,
    /// What stands above each lane: its name, or a number in parentheses where the name stands below.
    names: Vec<String>,
}

impl<'a> Page<'a> {
    fn new(ladder: &'a Ladder) -> Self {
        let pitch = (COLUMNS / ladder.lanes.len().max(1)).min(20);
        let at = (0..ladder.lanes.len()).map(|lane| pitch / 2 + lane * pitch).collect();
        let full: Vec<String> = ladder.lanes.iter().map(|lane| clean(&lane.name)).collect();
        let short = |(lane, name): (usize, String)| {
            if columns(&name) < pitch {
                name
            } else if lane == ladder.switch {
                "SW".to_owned()
            } else {
                format!("({})", lane + usize::from(lane < ladder.switch))
            }
        };
        let names = full.into_iter().enumerate().map(short).collect();
        Self { ladder, at, names }
    }

    /// Write a line without the blanks at its end.
    fn line(&self, out: &mut String, line: &str) {
        debug_assert!(columns(line) <= COLUMNS, "{}: {line}", self.ladder.lanes.len());
        out.push_str(line.trim_end());
        out.push('\n');
    }

    fn head(&self, out: &mut String) {
        let networks = self.ladder.networks();
        if networks.len() > 1 || networks.iter().any(|network| !network.is_empty()) {
            let names: Vec<String> = networks.iter().map(|network| clean(network)).collect();
            let (what, names) =
                (if names.len() == 1 { "network" } else { "networks, left to right:" }, names.join(", "));
            self.line(out, &shorten(&format!("{what} {names}"), COLUMNS));
        }
        let mut line = String::new();
        for (at, name) in self.at.iter().zip(&self.names) {
            let begin = at.saturating_sub(columns(name) / 2).min(COLUMNS.saturating_sub(columns(name)));
            let blanks = begin.saturating_sub(columns(&line)).max(usize::from(!line.is_empty()));
            line.extend(std::iter::repeat_n(' ', blanks));
            line.push_str(name);
        }
        self.line(out, &shorten(&line, COLUMNS));
    }

    /// A row of lanes with nothing on it.
    fn blank(&self) -> Vec<char> {
        let mut row = vec![' '; COLUMNS];
        for (lane, at) in self.at.iter().enumerate() {
            row[*at] = if lane == self.ladder.switch { '#' } else { '|' };
        }
        row
    }

    fn switch(&self) -> usize {
        self.at[self.ladder.switch]
    }

    fn frame(&self, out: &mut String, frame: &Frame) {
        let begin = format!("#{} {}  ", frame.number, since(frame.since_ns));
        let indent = columns(&begin).min(COLUMNS / 2);
        for (index, line) in wrap(&frame.summary, COLUMNS - indent, 2).iter().enumerate() {
            let begin = if index == 0 { shorten(&begin, indent) } else { String::new() };
            self.line(out, &format!("{begin:indent$}{line}"));
        }
        if frame.summary.trim().is_empty() {
            self.line(out, &shorten(&begin, COLUMNS));
        }
        if let Some(from) = frame.from {
            let row = self.arrow(self.at[from], self.switch(), '>');
            self.line(out, &row.into_iter().collect::<String>());
        }
        for note in &frame.notes {
            self.note(out, self.switch(), ' ', &note.text);
        }
        self.copies(out, frame);
        if let Some(reason) = &frame.dropped {
            self.note(out, self.switch(), 'X', &format!("DROP: {reason}"));
        }
    }

    /// An arrow on its row, from one column to another; `point` is its end towards the right.
    fn arrow(&self, from: usize, to: usize, point: char) -> Vec<char> {
        let mut row = self.blank();
        let (left, right) = (from.min(to), from.max(to));
        for (at, c) in row.iter_mut().enumerate().take(right).skip(left + 1) {
            *c = if self.at.contains(&at) { '+' } else { '-' };
        }
        match (point, right > left) {
            (_, false) => {}
            ('>', _) if from < to => row[right - 1] = '>',
            ('>', _) => row[left + 1] = '<',
            (other, _) if from < to => row[right - 1] = other,
            (other, _) => row[left + 1] = other,
        }
        row
    }

    /// All copies on one row: a head at every lane that took one, a cross at every one that did not.
    fn copies(&self, out: &mut String, frame: &Frame) {
        if frame.copies.is_empty() {
            return;
        }
        let mut row = self.blank();
        for copy in &frame.copies {
            let point = if copy.taken > 0 { '>' } else { 'x' };
            let one = self.arrow(self.switch(), self.at[copy.lane], point);
            for (at, c) in one.into_iter().enumerate() {
                // A head stays a head where a longer arrow passes it.
                if matches!(c, '>' | '<' | 'x') || (matches!(c, '-' | '+') && !matches!(row[at], '>' | '<' | 'x')) {
                    row[at] = c;
                }
            }
        }
        for copy in frame.copies.iter().filter(|copy| copy.taken > 0) {
            row[self.at[copy.lane]] = if copy.lane == self.ladder.switch { '#' } else { '|' };
        }
        self.line(out, &row.into_iter().collect::<String>());
        for copy in &frame.copies {
            if let Some((count, why)) = &copy.refused {
                let name = &self.ladder.lanes[copy.lane].name;
                let whom = if *count > 1 { format!("{count} of {name}") } else { name.clone() };
                self.note(out, self.switch(), 'x', &format!("NOT SENT to {whom}: {why}"));
            }
        }
    }

    /// Words beside a lane, on as many rows as they need, with a mark on the lane; to its left where there is no room
    /// to its right.
    fn note(&self, out: &mut String, at: usize, mark: char, text: &str) {
        let right = COLUMNS.saturating_sub(at + 2);
        let (begin, room) = if right >= NOTE || right >= at { (at + 2, right) } else { (0, at.saturating_sub(1)) };
        for (index, line) in wrap(text, room, 4).iter().enumerate() {
            let mut row: Vec<char> = self.blank();
            if index == 0 && mark != ' ' {
                row[at] = mark;
            }
            let wide = columns(line);
            let begin = if begin == 0 { at.saturating_sub(wide + 1) } else { begin };
            let end = (begin + wide).min(COLUMNS);
            let mut text = row[..begin].iter().collect::<String>();
            text.push_str(line);
            // A lane that the words touch is left out beside them, too.
            let rest: String = row[end..].iter().collect();
            text.push_str(&rest);
            self.line(out, &text);
        }
    }

    fn legend(&self, out: &mut String) {
        for (name, lane) in self.names.iter().zip(&self.ladder.lanes) {
            if *name != clean(&lane.name) && name.starts_with('(') {
                self.line(out, &shorten(&format!("{name} = {}", lane.name), COLUMNS));
            }
        }
    }
}
