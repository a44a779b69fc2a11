//! `lanyard trace`: what the switch decides about each frame, as it happens.
//!
//! | file | the question |
//! | --- | --- |
//! | `mod.rs` | which frames, how long, and how does it end? |
//! | `print.rs` | how do they stand on the terminal? |
//! | `capture.rs` | how do they come into a capture file? |
//! | `book.rs` | what are ports and addresses called? |
//!
//! The words and their layout are those of the `trace` crate; this folder reads the stream and ends it well: after `-n`
//! frames, on Ctrl-C, and when the reader of its output has gone, even while no frame passes. The daemon sorts out what
//! the filter does not let through; it is asked here once more, so that a daemon that sorts less does no harm.

mod book;
mod capture;
mod print;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use switch::control::background;
use tokio::signal::unix::{Signal, SignalKind, signal};
use trace::Filter;

use crate::client::{self, Client, Lines, segment};
use crate::failure::{Failure, style};
use crate::recorded::{self, Recorded};
use book::Book;
pub(crate) use capture::{Capture, Out};
pub(crate) use print::reader_gone;
use print::{Kind, Printer};

/// How often a quiet trace looks whether anybody still reads its output, and writes what waits for its place in a
/// capture.
const QUIET: Duration = Duration::from_millis(100);

/// How long the daemon is listened to after Ctrl-C, for what the trace has lost: it tells that when it has been quiet
/// for 20 ms.
const LAST_WORDS: Duration = Duration::from_millis(150);

/// `lanyard trace`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lanyard trace                          one line a frame, until Ctrl-C
  lanyard trace -n 3 -v                  the next three frames, one line a step
  lanyard trace arp and not host web     as tcpdump filters
  lanyard trace verdict flood or learned moved
  lanyard trace 'reason spoofed-mac and (port-of web or port-of db)'
  lanyard trace -o jsonl | jq .verdict
  lanyard trace --last 20                what was recorded, from the end
  lanyard trace -w lan.pcapng            for Wireshark, the reasons as comments
  lanyard trace -w - tcp | tshark -r -

A filter has the words of pcap-filter(7) (arp icmp ip ip6 tcp udp vlan, host
net port, ether host, broadcast multicast, less greater, and or not) and:
  port-of NAME, to NAME, network NAME    by whose port it came in, went out
  from-switch                            what the switch made itself
  verdict unicast|flood|drop|answered|consumed|held|fragmented
  reason NAME                            why it, or a copy, was dropped
  learned new|fresh|moved|refused        what the MAC table took from it
  frame N, frame N-M                     by its number

Frames that the trace could not keep up with are counted and shown. Where --last
reaches further back than the recorder does, a line on standard error says so.")]
pub(crate) struct TraceArgs {
    /// Only the frames that this filter finds (quote its parentheses)
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
    /// Stop after so many frames
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) number: Option<u64>,
    /// One line a step
    #[arg(short, long, conflicts_with_all = ["json", "write"])]
    pub(crate) verbose: bool,
    /// How to print them
    #[arg(short = 'o', long, value_name = "FORM", conflicts_with_all = ["json", "write"])]
    pub(crate) output: Option<Form>,
    /// Print JSON, one frame a line: as '-o jsonl'
    #[arg(long, conflicts_with = "write")]
    pub(crate) json: bool,
    /// Write a capture file (pcapng) instead; '-' for standard output
    #[arg(short = 'w', long, value_name = "FILE|-")]
    pub(crate) write: Option<PathBuf>,
    /// The last N frames that the daemon recorded, instead of those to come
    #[arg(long, value_name = "N", conflicts_with = "number", value_parser = clap::value_parser!(u64).range(1..=recorded::MOST))]
    pub(crate) last: Option<u64>,
}

/// How frames are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Form {
    /// A line for people
    Text,
    /// A line of JSON
    Jsonl,
}

impl TraceArgs {
    fn is_json(&self) -> bool {
        self.json || self.output == Some(Form::Jsonl)
    }
}

/// The filter that these words are, joined by blanks.
///
/// # Errors
/// [`Failure::Filter`].
pub(crate) fn filter_of(words: &[String]) -> Result<Filter, Failure> {
    Filter::parse(&words.join(" ")).map_err(Failure::Filter)
}

/// Run it.
///
/// # Errors
/// When the filter is wrong, when there is no daemon, when it ends, and when what it says is no record.
pub(crate) fn run(client: &Client, args: &TraceArgs) -> Result<(), Failure> {
    if args.verbose && args.is_json() {
        return Err(Failure::Words("'-v' is for people, '-o jsonl' has every step: write one of them".to_owned()));
    }
    let filter = filter_of(&args.filter)?;
    background::give_way();
    if args.write.as_ref().is_some_and(|file| capture::is_standard_output(file)) {
        capture::refuse_terminal()?;
    }
    client::block_on(async {
        let trace = Trace::new(client, filter);
        let lines = match args.last {
            Some(last) => Err(trace.recorded(last).await?),
            None => Ok(trace.listen().await?),
        };
        // A file is made only when there is something to be written to it.
        let trace = trace.into(match &args.write {
            Some(file) => Sink::Capture(Box::new(Capture::new(Out::open(file)?)?)),
            None => Sink::Text(Printer::new(args.is_json(), args.verbose, style())),
        });
        match lines {
            Ok(lines) => trace.run(lines, args.number).await,
            Err(recorded) => trace.play(recorded).await,
        }
    })?
}

/// Where frames go.
pub(crate) enum Sink {
    Text(Printer),
    Capture(Box<Capture>),
}

/// A trace under way.
pub(crate) struct Trace<'a> {
    client: &'a Client,
    filter: Filter,
    book: Book,
    sink: Sink,
}

/// How a trace stopped that nothing is wrong with.
enum Stop {
    /// After so many frames.
    Number,
    /// By a signal.
    Signal,
}

fn hear(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::work("waiting for a signal", error))
}

impl<'a> Trace<'a> {
    pub(crate) fn new(client: &'a Client, filter: Filter) -> Self {
        Self { client, filter, book: Book::default(), sink: Sink::Text(Printer::new(false, false, style())) }
    }

    /// The same trace, which goes there.
    pub(crate) fn into(self, sink: Sink) -> Self {
        Self { sink, ..self }
    }

    /// Ask the daemon for its trace.
    ///
    /// # Errors
    /// As [`Client::stream`].
    pub(crate) async fn listen(&self) -> Result<Lines, Failure> {
        self.client.stream(&self.path("/v1/trace", &[])).await
    }

    /// Ask the daemon for the last frames that it recorded.
    async fn recorded(&self, last: u64) -> Result<Recorded, Failure> {
        let path = self.path("/v1/records", &[format!("last={last}")]);
        Recorded::read(&self.client.answer(hyper::Method::GET, &path, None::<&()>).await?, last)
    }

    fn path(&self, path: &str, more: &[String]) -> String {
        let filter = (!self.filter.is_everything()).then(|| format!("filter={}", segment(&self.filter.to_string())));
        let questions: Vec<String> = filter.into_iter().chain(more.iter().cloned()).collect();
        if questions.is_empty() { path.to_owned() } else { format!("{path}?{}", questions.join("&")) }
    }

    /// Read to the end, whatever ends it, and close what was written.
    ///
    /// # Errors
    /// When the daemon ends, when what it says is no record, and when nothing more can be written.
    pub(crate) async fn run(mut self, mut lines: Lines, number: Option<u64>) -> Result<(), Failure> {
        // Heard from here on: a signal that comes with the first frame ends the trace as well as any other.
        let [mut interrupted, mut terminated] = [hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?];
        let outcome = tokio::select! {
            outcome = self.follow(&mut lines, number) => outcome,
            _ = interrupted.recv() => Ok(Stop::Signal),
            _ = terminated.recv() => Ok(Stop::Signal),
        };
        if matches!(outcome, Ok(Stop::Signal)) {
            self.last_words(lines).await?;
        }
        match (outcome, self.sink) {
            (Err(Failure::ReaderGone), Sink::Capture(mut capture)) => {
                capture.abandon();
                Err(Failure::ReaderGone)
            }
            // A capture is closed whatever ended it; what went wrong first is told.
            (outcome, Sink::Capture(capture)) => {
                let closed = capture.finish(self.book.names());
                outcome.and(closed)
            }
            (outcome, Sink::Text(_)) => outcome.map(|_| ()),
        }
    }

    /// Show what was recorded. Who reads JSON finds what is kept no more where losses stand.
    async fn play(mut self, recorded: Recorded) -> Result<(), Failure> {
        recorded.tell();
        let more = if matches!(&self.sink, Sink::Text(printer) if printer.is_json()) { recorded.forgotten } else { 0 };
        let mut text = String::new();
        if let (1.., Sink::Text(printer)) = (more, &mut self.sink) {
            text.push_str(&printer.loss(more));
        }
        for mut record in recorded.records {
            record.lost += more;
            let line = record.to_json_line().map_err(|error| Failure::work("the record cannot be written", error))?;
            text.push_str(&self.take(line.trim_end()).await?.unwrap_or_default().0);
        }
        let lost = recorded.lost + more;
        match &mut self.sink {
            Sink::Text(printer) => text.push_str(&printer.loss(lost)),
            Sink::Capture(capture) => capture.lost(lost),
        }
        crate::failure::print(&text)?;
        match self.sink {
            Sink::Capture(capture) => capture.finish(self.book.names()),
            Sink::Text(_) => Ok(()),
        }
    }

    async fn follow(&mut self, lines: &mut Lines, number: Option<u64>) -> Result<Stop, Failure> {
        let mut left = number.unwrap_or(u64::MAX);
        while left > 0 {
            let Ok(arrived) = tokio::time::timeout(QUIET, lines.next()).await else {
                self.quiet()?;
                continue;
            };
            let arrived = arrived?;
            if arrived.is_empty() {
                return Err(Failure::Work("the daemon has ended, and the trace with it".to_owned()));
            }
            let mut text = String::new();
            for line in arrived {
                if left == 0 {
                    break;
                }
                if let Some((said, is_frame)) = self.take(&line).await? {
                    text.push_str(&said);
                    left -= u64::from(is_frame);
                }
            }
            match &mut self.sink {
                Sink::Text(_) => crate::failure::print(&text)?,
                Sink::Capture(capture) => capture.flush()?,
            }
        }
        Ok(Stop::Number)
    }

    /// One line of the daemon's: what to print of it, and whether it is a frame; nothing where the filter does not let it
    /// through.
    async fn take(&mut self, line: &str) -> Result<Option<(String, bool)>, Failure> {
        let kind = Kind::of(line);
        let mut record = None;
        if kind.is_frame && (!self.filter.is_everything() || matches!(self.sink, Sink::Capture(_))) {
            let read = print::record(line)?;
            if self.filter.names_hosts() || matches!(self.sink, Sink::Capture(_)) {
                self.book.look_up(self.client, &read).await?;
            }
            if !self.book.tell(&self.filter).matches(&read) {
                return Ok(None);
            }
            record = Some(read);
        }
        match &mut self.sink {
            Sink::Text(printer) => Ok(Some((printer.text(line, kind, record)?, kind.is_frame))),
            Sink::Capture(capture) => {
                capture.lost(kind.lost);
                if let Some(record) = record {
                    capture.record(&record, &mut self.book)?;
                }
                Ok(Some((String::new(), kind.is_frame)))
            }
        }
    }

    fn quiet(&mut self) -> Result<(), Failure> {
        match &mut self.sink {
            Sink::Text(_) if print::reader_gone() => Err(Failure::ReaderGone),
            Sink::Text(_) => Ok(()),
            Sink::Capture(capture) => capture.settle(),
        }
    }

    /// Frames are no longer shown, but what the trace has lost is.
    async fn last_words(&mut self, mut lines: Lines) -> Result<(), Failure> {
        let mut lost = 0;
        let listen = async {
            while let Ok(arrived) = lines.next().await
                && !arrived.is_empty()
            {
                lost = arrived.iter().map(|line| Kind::of(line).lost).fold(lost, u64::max);
            }
        };
        // However it ends, what was heard by then is what can be told.
        let _ = tokio::time::timeout(LAST_WORDS, listen).await;
        match &mut self.sink {
            Sink::Text(printer) => crate::failure::print(&printer.loss(lost)),
            Sink::Capture(capture) => {
                capture.lost(lost);
                Ok(())
            }
        }
    }
}
