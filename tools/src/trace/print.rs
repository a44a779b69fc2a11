//! How do frames stand on the terminal? A line each, a line for each step, or the daemon's own line of JSON.
//!
//! A line without `number` is no frame ([`trace::record`]): it tells what the trace lost, and is shown as such.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Deserialize;
use serde::de::IgnoredAny;
use trace::{Loss, Record, Style, Widths, lost_notice};

use crate::failure::Failure;

/// Has whoever reads standard output gone?
pub(crate) fn reader_gone() -> bool {
    pipe_broken(io::stdout().as_fd())
}

/// Has the reading end of this pipe been closed? (poll(2): POLLERR is always reported, and for the writing end of a pipe
/// means just that)
pub(super) fn pipe_broken(out: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(out, PollFlags::empty())];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    polled.is_ok() && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

/// The record that a line of the daemon's is.
pub(super) fn record(line: &str) -> Result<Record, Failure> {
    Record::from_json_line(line)
        .map_err(|error| Failure::work("the daemon's trace cannot be read; is it of the same version?", error))
}

/// What a line is, whatever else is in it.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) is_frame: bool,
    pub(super) lost: u64,
}

impl Kind {
    pub(super) fn of(line: &str) -> Self {
        #[derive(Deserialize)]
        struct Keys {
            number: Option<IgnoredAny>,
            #[serde(default)]
            lost: u64,
        }
        // What cannot be read is taken for a frame, and refused where a frame is read.
        serde_json::from_str(line).map_or(Self { is_frame: true, lost: 0 }, |keys: Keys| Self {
            is_frame: keys.number.is_some(),
            lost: keys.lost,
        })
    }
}

/// Turns the daemon's lines into the reader's.
pub(crate) struct Printer {
    json: bool,
    verbose: bool,
    style: Style,
    widths: Widths,
    lost: u64,
    first: bool,
}

impl Printer {
    pub(super) fn new(json: bool, verbose: bool, style: Style) -> Self {
        Self { json, verbose, style, widths: Widths::default(), lost: 0, first: true }
    }

    /// Does it print JSON?
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// What is printed of a line; `read` is the record that it is, where that has been read already.
    pub(super) fn text(&mut self, line: &str, kind: Kind, read: Option<Record>) -> Result<String, Failure> {
        if self.json {
            self.lost = self.lost.max(kind.lost);
            return Ok(format!("{line}\n"));
        }
        let mut text = self.loss(kind.lost);
        if !kind.is_frame {
            return Ok(text);
        }
        let record = read.map_or_else(|| record(line), Ok)?;
        if self.verbose {
            if !self.first {
                text.push('\n');
            }
            text.push_str(&trace::tree(&record, self.style));
        } else {
            self.widths.fit(&record);
            text.push_str(&trace::one_line(&record, &self.widths, self.style));
        }
        self.first = false;
        text.push('\n');
        Ok(text)
    }

    /// The line that tells of frames lost since the last one, if there are any.
    pub(super) fn loss(&mut self, lost: u64) -> String {
        let notice = lost_notice(self.lost, lost);
        self.lost = self.lost.max(lost);
        match notice {
            Some(_) if self.json => Loss { lost }.to_json_line(),
            Some(notice) => notice + "\n",
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, lost: u64) -> String {
        format!(
            r#"{{"number": {number}, "at_unix_ns": 0, "at_ms": 0, "network": "blue", "port": "h1", "octets": 60,
            "segment_octets": null, "source": "02:42:0a:14:00:02", "source_name": "h1",
            "destination": "02:42:0a:14:00:03", "destination_name": "h2", "summary": "ICMP echo request",
            "steps": [{{"step": "admitted"}}], "verdict": {{"kind": "unicast", "to": "h2"}}, "egress": [],
            "lost": {lost}}}"#
        )
    }

    fn printed(printer: &mut Printer, line: &str) -> Result<String, Failure> {
        printer.text(line, Kind::of(line), None)
    }

    #[test]
    fn a_loss_is_told_without_a_frame() {
        for verbose in [false, true] {
            let mut printer = Printer::new(false, verbose, Style::Plain);
            let lost = printed(&mut printer, "{\"lost\":7}").unwrap();
            assert!(lost.contains("7 frames lost") && lost.lines().count() == 1, "{lost}");
            assert_eq!(printed(&mut printer, "{\"lost\":7}").unwrap(), "");
            assert!(!printed(&mut printer, &line(9, 7)).unwrap().contains("lost"));
            assert_eq!(printer.loss(7), "");
            assert!(printer.loss(8).contains("1 frame lost"));
        }
        let mut printer = Printer::new(true, false, Style::Plain);
        assert_eq!(printed(&mut printer, "{\"lost\":7}").unwrap(), "{\"lost\":7}\n");
        assert_eq!((printer.loss(7), printer.loss(9)), (String::new(), "{\"lost\":9}\n".to_owned()));
    }

    #[test]
    fn lost_frames_are_told_where_they_were_lost() {
        let mut printer = Printer::new(false, false, Style::Plain);
        assert_eq!(printed(&mut printer, &line(1, 0)).unwrap().lines().count(), 1);
        let text = printed(&mut printer, &line(9, 7)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains('7') && lines[0].contains("lost"), "{text}");
        assert!(lines[1].contains("ICMP echo request"), "{text}");
        assert_eq!(printed(&mut printer, &line(10, 7)).unwrap().lines().count(), 1);
    }

    #[test]
    fn verbose_frames_are_parted_by_a_blank_line() {
        let mut printer = Printer::new(false, true, Style::Plain);
        assert!(!printed(&mut printer, &line(1, 0)).unwrap().starts_with('\n'));
        let text = printed(&mut printer, &line(2, 0)).unwrap();
        assert!(text.starts_with('\n') && text.ends_with('\n') && text.lines().count() >= 3, "{text}");
    }

    #[test]
    fn json_is_passed_on_as_it_came() {
        let mut printer = Printer::new(true, false, Style::Plain);
        assert_eq!(printed(&mut printer, "{\"added-later\":1}").unwrap(), "{\"added-later\":1}\n");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let mut printer = Printer::new(false, false, Style::Plain);
        assert!(matches!(printed(&mut printer, "<html>"), Err(Failure::Work(_))));
    }
}
