//! `lanyard trace`: what the switch decides about each frame, as it happens.
//!
//! The words and their layout are those of the `trace` crate; this file reads the stream and ends it well: after `-n`
//! frames, on Ctrl-C, and when the reader of its output has gone, even while no frame passes.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use trace::{Record, Style, Widths, lost_notice};

use crate::cli::TraceArgs;
use crate::client::{self, Client, Lines};
use crate::failure::{Failure, print};

/// How often a quiet trace looks whether anybody still reads its output.
const READER_CHECK: Duration = Duration::from_millis(500);

/// Run it.
///
/// # Errors
/// When there is no daemon, when it ends, and when what it says is no record.
pub(crate) fn run(client: &Client, args: &TraceArgs) -> Result<(), Failure> {
    client::until_ctrl_c(follow(client, args))
}

async fn follow(client: &Client, args: &TraceArgs) -> Result<(), Failure> {
    let mut lines = client.stream("/v1/trace").await?;
    let mut left = args.number.unwrap_or(u64::MAX);
    let mut printer = Printer::new(args, ansi());
    while left > 0 {
        let Some(arrived) = next_lines(&mut lines).await? else {
            return Err(Failure::Work("the daemon has ended, and the trace with it".to_owned()));
        };
        let mut text = String::new();
        for line in arrived.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            text.push_str(&printer.text(line)?);
            left -= 1;
        }
        print(&text)?;
    }
    Ok(())
}

/// The next lines, or `None` when the stream has ended.
async fn next_lines(lines: &mut Lines) -> Result<Option<Vec<String>>, Failure> {
    loop {
        match tokio::time::timeout(READER_CHECK, lines.next()).await {
            Ok(arrived) => return arrived.map(|arrived| (!arrived.is_empty()).then_some(arrived)),
            Err(_) if reader_gone() => return Err(Failure::ReaderGone),
            Err(_) => {}
        }
    }
}

/// Has the reading end of standard output been closed? (poll(2): POLLERR is always reported, and for the writing end of
/// a pipe means just that)
fn reader_gone() -> bool {
    let out = io::stdout();
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    polled.is_ok() && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

fn ansi() -> Style {
    if crate::failure::colours(&io::stdout()) { Style::Ansi } else { Style::Plain }
}

/// Turns the daemon's lines into the reader's.
struct Printer {
    json: bool,
    verbose: bool,
    style: Style,
    widths: Widths,
    lost: u64,
    first: bool,
}

impl Printer {
    fn new(args: &TraceArgs, style: Style) -> Self {
        Self { json: args.json, verbose: args.verbose, style, widths: Widths::default(), lost: 0, first: true }
    }

    fn text(&mut self, line: &str) -> Result<String, Failure> {
        if self.json {
            return Ok(format!("{line}\n"));
        }
        let record = Record::from_json_line(line)
            .map_err(|error| Failure::work("the daemon's trace cannot be read; is it of the same version?", error))?;
        let mut text = String::new();
        if let Some(notice) = lost_notice(self.lost, record.lost) {
            text.push_str(&notice);
            text.push('\n');
        }
        self.lost = record.lost;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(verbose: bool, json: bool) -> TraceArgs {
        TraceArgs { number: None, verbose, json }
    }

    fn line(number: u64, lost: u64) -> String {
        format!(
            r#"{{"number": {number}, "at_unix_ns": 0, "at_ms": 0, "network": "blue", "port": "h1", "octets": 60,
            "segment_octets": null, "source": "02:42:0a:14:00:02", "source_name": "h1",
            "destination": "02:42:0a:14:00:03", "destination_name": "h2", "summary": "ICMP echo request",
            "steps": [{{"step": "admitted"}}], "verdict": {{"kind": "unicast", "to": "h2"}}, "egress": [],
            "lost": {lost}}}"#
        )
    }

    #[test]
    fn lost_frames_are_told_where_they_were_lost() {
        let mut printer = Printer::new(&args(false, false), Style::Plain);
        assert_eq!(printer.text(&line(1, 0)).unwrap().lines().count(), 1);
        let text = printer.text(&line(9, 7)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains('7') && lines[0].contains("lost"), "{text}");
        assert!(lines[1].contains("ICMP echo request"), "{text}");
        assert_eq!(printer.text(&line(10, 7)).unwrap().lines().count(), 1);
    }

    #[test]
    fn verbose_frames_are_parted_by_a_blank_line() {
        let mut printer = Printer::new(&args(true, false), Style::Plain);
        assert!(!printer.text(&line(1, 0)).unwrap().starts_with('\n'));
        let text = printer.text(&line(2, 0)).unwrap();
        assert!(text.starts_with('\n') && text.ends_with('\n') && text.lines().count() >= 3, "{text}");
    }

    #[test]
    fn json_is_passed_on_as_it_came() {
        let mut printer = Printer::new(&args(false, true), Style::Plain);
        assert_eq!(printer.text("{\"added-later\":1}").unwrap(), "{\"added-later\":1}\n");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let mut printer = Printer::new(&args(false, false), Style::Plain);
        assert!(matches!(printer.text("<html>"), Err(Failure::Work(_))));
    }
}
