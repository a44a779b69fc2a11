//! The decision feed: the last frames that the trace told of, held still while one looks.
//!
//! Lines are kept as they came and read when they are shown: of a thousand frames a second a screen shows a few, and
//! reading the others would cost more than the rest of this program. What does not fit is forgotten, oldest first, and
//! what is forgotten before anybody could see it is counted.
//!
//! Not done: a feed that reaches further back; `lanyard trace -w` keeps everything.

use std::collections::VecDeque;

use serde::Deserialize;
use serde::de::IgnoredAny;
use trace::Record;

/// Lines that are kept, shown and waiting each.
pub(super) const KEPT: usize = 2_000;

/// What a line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Item {
    /// A frame.
    Frame(Box<Record>),
    /// So many frames are lost to the trace so far.
    Lost(u64),
    /// No line of a trace that this program knows.
    Unknown,
}

impl Item {
    fn read(line: &str) -> Self {
        #[derive(Deserialize)]
        struct Keys {
            number: Option<IgnoredAny>,
            lost: u64,
        }
        if let Ok(record) = Record::from_json_line(line) {
            return Self::Frame(Box::new(record));
        }
        match serde_json::from_str(line) {
            Ok(Keys { number: None, lost }) => Self::Lost(lost),
            _ => Self::Unknown,
        }
    }

    /// Frames lost so far.
    pub(super) fn lost(&self) -> u64 {
        match self {
            Self::Frame(record) => record.lost,
            Self::Lost(lost) => *lost,
            Self::Unknown => 0,
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// Counts up from the first line on.
    serial: u64,
    line: String,
    item: Option<Item>,
}

impl Entry {
    fn item(&mut self) -> &Item {
        self.item.get_or_insert_with(|| Item::read(&self.line))
    }
}

/// The feed.
#[derive(Debug, Default)]
pub(super) struct Feed {
    shown: VecDeque<Entry>,
    /// What came since it was paused.
    waiting: VecDeque<String>,
    /// Of what came since, what did not even wait.
    missed: u64,
    /// What came too fast to be shown at any time.
    unseen: u64,
    paused: bool,
    next: u64,
    /// The line that is looked at; `None` for whichever is the newest.
    selected: Option<u64>,
}

impl Feed {
    /// Lines came, and `skipped` before them were forgotten.
    pub(super) fn take(&mut self, lines: impl IntoIterator<Item = String>, skipped: u64) {
        if self.paused {
            self.missed += skipped;
            self.waiting.extend(lines);
            while self.waiting.len() > KEPT {
                self.waiting.pop_front();
                self.missed += 1;
            }
        } else {
            self.unseen += skipped;
            lines.into_iter().for_each(|line| self.show(line));
        }
    }

    fn show(&mut self, line: String) {
        self.shown.push_back(Entry { serial: self.next, line, item: None });
        self.next += 1;
        if self.shown.len() > KEPT {
            self.shown.pop_front();
        }
    }

    /// Hold still, or go on with all that came in the meantime.
    pub(super) fn pause(&mut self) {
        self.paused = !self.paused;
        if !self.paused {
            self.unseen += std::mem::take(&mut self.missed);
            for line in std::mem::take(&mut self.waiting) {
                self.show(line);
            }
            self.selected = None;
        }
    }

    /// While it holds still: one more.
    pub(super) fn step(&mut self) {
        if let Some(line) = self.waiting.pop_front().filter(|_| self.paused) {
            self.show(line);
            self.selected = None;
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// How many wait, and how many came and went meanwhile.
    pub(super) fn behind(&self) -> (usize, u64) {
        (self.waiting.len(), self.missed)
    }

    /// How many came and went before they could be shown, in all.
    pub(super) fn unseen(&self) -> u64 {
        self.unseen
    }

    /// Forget everything: another filter shows other frames.
    pub(super) fn clear(&mut self) {
        let next = self.next;
        *self = Self { next, paused: self.paused, ..Self::default() };
    }

    fn place(&self) -> Option<usize> {
        let last = self.shown.len().checked_sub(1)?;
        let first = self.shown.front()?.serial;
        // A selected line that was forgotten is the oldest.
        let at = self.selected.map_or(last, |serial| usize::try_from(serial.saturating_sub(first)).unwrap_or(last));
        Some(at.min(last))
    }

    /// Look at a line further down, or up; the newest one moves on by itself.
    pub(super) fn go(&mut self, by: isize) {
        let Some(at) = self.place() else { return };
        let last = self.shown.len() - 1;
        let to = at.saturating_add_signed(by).min(last);
        self.selected = (to < last).then(|| self.shown[to].serial);
    }

    /// The line that is looked at.
    pub(super) fn selected(&mut self) -> Option<&Item> {
        let at = self.place()?;
        Some(self.shown[at].item())
    }

    /// Frames lost to the trace so far, as far as the newest line tells.
    pub(super) fn lost(&mut self) -> u64 {
        self.shown.back_mut().map_or(0, |entry| entry.item().lost())
    }

    /// The lines that a screen of `height` lines shows, oldest first, with how many frames were lost before each, and
    /// whether it is the one that is looked at.
    pub(super) fn window(&mut self, height: usize) -> Vec<(&Item, u64, bool)> {
        let Some(place) = self.place() else { return Vec::new() };
        let end = (place + 1).max(height).min(self.shown.len());
        let begin = end.saturating_sub(height);
        let mut lost: Option<u64> = begin.checked_sub(1).map(|before| self.shown[before].item().lost());
        let mut window = Vec::with_capacity(end - begin);
        for (at, entry) in self.shown.range_mut(begin..end).enumerate() {
            let item = entry.item();
            let now = item.lost();
            let gap = now.saturating_sub(lost.unwrap_or(now));
            lost = Some(lost.unwrap_or(0).max(now));
            window.push((item, gap, begin + at == place));
        }
        window
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frame's line.
    pub(in crate::top) fn line(number: u64, lost: u64) -> String {
        format!(
            r#"{{"number": {number}, "at_unix_ns": 0, "at_ms": 0, "network": "blue", "port": "h1", "octets": 60,
            "segment_octets": null, "source": "02:42:0a:14:00:02", "source_name": "h1",
            "destination": "02:42:0a:14:00:03", "destination_name": "h2", "summary": "ICMP echo request seq {number}",
            "steps": [{{"step": "admitted"}}, {{"step": "learned", "result": "new"}}],
            "verdict": {{"kind": "unicast", "to": "h2"}}, "egress": [], "lost": {lost}}}"#
        )
    }

    fn numbers(feed: &mut Feed, height: usize) -> Vec<(u64, bool)> {
        let number = |item: &Item| if let Item::Frame(record) = item { record.number } else { 0 };
        feed.window(height).into_iter().map(|(item, _, selected)| (number(item), selected)).collect()
    }

    #[test]
    fn the_newest_is_looked_at_until_one_goes_up() {
        let mut feed = Feed::default();
        assert!(feed.window(3).is_empty() && feed.selected().is_none());
        feed.go(-1);
        feed.take((1..=5).map(|number| line(number, 0)), 0);
        assert_eq!(numbers(&mut feed, 3), [(3, false), (4, false), (5, true)]);
        feed.go(-3);
        assert_eq!(numbers(&mut feed, 3), [(1, false), (2, true), (3, false)]);
        feed.take([line(6, 0)], 0);
        assert_eq!(numbers(&mut feed, 3), [(1, false), (2, true), (3, false)], "it stays where one looks");
        feed.go(100);
        assert_eq!(numbers(&mut feed, 2), [(5, false), (6, true)]);
        feed.take([line(7, 0)], 0);
        assert_eq!(numbers(&mut feed, 2), [(6, false), (7, true)], "and follows again");
    }

    #[test]
    fn paused_it_holds_still_and_steps_one_by_one() {
        let mut feed = Feed::default();
        feed.take([line(1, 0)], 0);
        feed.step();
        feed.pause();
        feed.take((2..=4).map(|number| line(number, 0)), 0);
        assert_eq!((numbers(&mut feed, 9), feed.behind()), (vec![(1, true)], (3, 0)));
        feed.step();
        assert_eq!((numbers(&mut feed, 9), feed.behind()), (vec![(1, false), (2, true)], (2, 0)));
        feed.pause();
        assert_eq!((numbers(&mut feed, 9).len(), feed.behind()), (4, (0, 0)));
    }

    #[test]
    fn what_does_not_fit_is_forgotten_and_counted() {
        let mut feed = Feed::default();
        feed.take((0..KEPT as u64 + 7).map(|number| line(number, 0)), 0);
        assert_eq!(numbers(&mut feed, KEPT * 2)[0], (7, false));
        feed.go(isize::MIN / 2);
        feed.take((0..10).map(|number| line(number, 0)), 0);
        assert_eq!(numbers(&mut feed, 1), [(17, true)]);
        feed.pause();
        feed.take((0..KEPT as u64 + 5).map(|number| line(number, 0)), 3);
        assert_eq!((feed.behind(), feed.unseen()), ((KEPT, 8), 0));
        feed.pause();
        assert_eq!((feed.behind(), feed.unseen()), ((0, 0), 8), "what passed by during a pause stays counted");
        feed.take([line(1, 0)], 5);
        assert_eq!(feed.unseen(), 13, "and so does what came too fast without one");
        feed.pause();
        feed.clear();
        assert_eq!(feed.unseen(), 0);
        assert!(feed.is_paused() && feed.window(5).is_empty());
    }

    #[test]
    fn losses_stand_where_they_happened() {
        let mut feed = Feed::default();
        feed.take([line(1, 2), line(5, 5), "{\"lost\": 9}".to_owned(), "<html>".to_owned(), line(12, 9)], 0);
        let gaps: Vec<u64> = feed.window(9).into_iter().map(|(_, gap, _)| gap).collect();
        assert_eq!((gaps, feed.lost()), (vec![0, 3, 4, 0, 0], 9));
        assert_eq!(feed.window(3).into_iter().map(|(_, gap, _)| gap).collect::<Vec<_>>(), [4, 0, 0]);
    }
}
