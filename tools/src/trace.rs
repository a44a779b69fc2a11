//! `lanyard trace`: what the switch decides about each frame, as it happens.
//!
//! The words and their layout are those of the `trace` crate; this file reads the stream and ends it well: after `-n`
//! frames, on Ctrl-C, and when the reader of its output has gone, even while no frame passes. A line without `number`
//! is no frame ([`trace::record`]): it tells what the trace lost, and is shown as such.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Deserialize;
use serde::de::IgnoredAny;
use trace::{Loss, Record, Style, Widths, lost_notice};

use crate::cli::TraceArgs;
use crate::client::{self, Client, Lines};
use crate::failure::{Failure, print};

/// How often a quiet trace looks whether anybody still reads its output.
const READER_CHECK: Duration = Duration::from_millis(500);

/// How long the daemon is listened to after Ctrl-C, for what the trace has lost: it tells that when it has been quiet
/// for 20 ms.
const LAST_WORDS: Duration = Duration::from_millis(150);

/// Run it.
///
/// # Errors
/// When there is no daemon, when it ends, and when what it says is no record.
pub(crate) fn run(client: &Client, args: &TraceArgs) -> Result<(), Failure> {
    client::block_on(async {
        let mut printer = Printer::new(args, ansi());
        let mut lines = None;
        tokio::select! {
            outcome = follow(client, args, &mut lines, &mut printer) => return outcome,
            heard = tokio::signal::ctrl_c() => heard.map_err(|error| Failure::work("waiting for Ctrl-C", error))?,
        }
        match lines {
            Some(lines) => last_words(lines, &mut printer).await,
            None => Ok(()),
        }
    })?
}

async fn follow(
    client: &Client,
    args: &TraceArgs,
    lines: &mut Option<Lines>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let lines = lines.insert(client.stream("/v1/trace").await?);
    let mut left = args.number.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(arrived) = next_lines(lines).await? else {
            return Err(Failure::Work("the daemon has ended, and the trace with it".to_owned()));
        };
        let mut text = String::new();
        for line in arrived {
            if left == 0 {
                break;
            }
            let kind = Kind::of(&line);
            text.push_str(&printer.text(&line, kind)?);
            left -= u64::from(kind.is_frame);
        }
        print(&text)?;
    }
    Ok(())
}

/// Frames are no longer shown, but what the trace has lost is.
async fn last_words(mut lines: Lines, printer: &mut Printer) -> Result<(), Failure> {
    let mut lost = printer.lost;
    let listen = async {
        while let Ok(arrived) = lines.next().await
            && !arrived.is_empty()
        {
            lost = arrived.iter().map(|line| Kind::of(line).lost).fold(lost, u64::max);
        }
    };
    // However it ends, what was heard by then is what can be told.
    let _ = tokio::time::timeout(LAST_WORDS, listen).await;
    print(&printer.loss(lost))
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

/// What a line is, whatever else is in it.
#[derive(Clone, Copy)]
struct Kind {
    is_frame: bool,
    lost: u64,
}

impl Kind {
    fn of(line: &str) -> Self {
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

    fn text(&mut self, line: &str, kind: Kind) -> Result<String, Failure> {
        if self.json {
            self.lost = self.lost.max(kind.lost);
            return Ok(format!("{line}\n"));
        }
        let mut text = self.loss(kind.lost);
        if !kind.is_frame {
            return Ok(text);
        }
        let record = Record::from_json_line(line)
            .map_err(|error| Failure::work("the daemon's trace cannot be read; is it of the same version?", error))?;
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
    fn loss(&mut self, lost: u64) -> String {
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

    fn printed(printer: &mut Printer, line: &str) -> Result<String, Failure> {
        printer.text(line, Kind::of(line))
    }

    #[test]
    fn a_loss_is_told_without_a_frame() {
        for verbose in [false, true] {
            let mut printer = Printer::new(&args(verbose, false), Style::Plain);
            let lost = printed(&mut printer, "{\"lost\":7}").unwrap();
            assert!(lost.contains("7 frames lost") && lost.lines().count() == 1, "{lost}");
            assert_eq!(printed(&mut printer, "{\"lost\":7}").unwrap(), "");
            assert!(!printed(&mut printer, &line(9, 7)).unwrap().contains("lost"));
            assert_eq!(printer.loss(7), "");
            assert!(printer.loss(8).contains("1 frame lost"));
        }
        let mut printer = Printer::new(&args(false, true), Style::Plain);
        assert_eq!(printed(&mut printer, "{\"lost\":7}").unwrap(), "{\"lost\":7}\n");
        assert_eq!((printer.loss(7), printer.loss(9)), (String::new(), "{\"lost\":9}\n".to_owned()));
    }

    #[test]
    fn lost_frames_are_told_where_they_were_lost() {
        let mut printer = Printer::new(&args(false, false), Style::Plain);
        assert_eq!(printed(&mut printer, &line(1, 0)).unwrap().lines().count(), 1);
        let text = printed(&mut printer, &line(9, 7)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains('7') && lines[0].contains("lost"), "{text}");
        assert!(lines[1].contains("ICMP echo request"), "{text}");
        assert_eq!(printed(&mut printer, &line(10, 7)).unwrap().lines().count(), 1);
    }

    #[test]
    fn verbose_frames_are_parted_by_a_blank_line() {
        let mut printer = Printer::new(&args(true, false), Style::Plain);
        assert!(!printed(&mut printer, &line(1, 0)).unwrap().starts_with('\n'));
        let text = printed(&mut printer, &line(2, 0)).unwrap();
        assert!(text.starts_with('\n') && text.ends_with('\n') && text.lines().count() >= 3, "{text}");
    }

    #[test]
    fn json_is_passed_on_as_it_came() {
        let mut printer = Printer::new(&args(false, true), Style::Plain);
        assert_eq!(printed(&mut printer, "{\"added-later\":1}").unwrap(), "{\"added-later\":1}\n");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let mut printer = Printer::new(&args(false, false), Style::Plain);
        assert!(matches!(printed(&mut printer, "<html>"), Err(Failure::Work(_))));
    }
}
