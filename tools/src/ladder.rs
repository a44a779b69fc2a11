//! `lanyard ladder`: who said what to whom, and what the switch made of it, as a diagram.
//!
//! Where the frames come from: the daemon's trace as it happens, the frames the daemon still remembers, a file of
//! `lanyard trace --json`, or a capture of `lanyard trace -w`. What is drawn and how is the `trace` crate's
//! ([`trace::ladder`]).
//!
//! Not done: a picture that grows while one watches; `lanyard top` is for that.

mod source;

use std::fs;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use trace::{Filter, Ladder, ladder};

use crate::client::Client;
use crate::failure::{Failure, print};

/// Frames that one diagram may have: more than that is no picture.
const MAX_FRAMES: u64 = 5_000;

/// `lanyard ladder`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lanyard ladder -n 4                      the next four frames, on the terminal
  lanyard ladder live -n 4                 the same, said in full
  lanyard ladder arp or icmp --out a.html  until Ctrl-C, then one page with steps
  lanyard ladder --last 20 -o svg >a.svg   frames that have passed already
  lanyard trace --json >a.jsonl            keep frames now ..
  lanyard ladder --from a.jsonl            .. and draw them later
  lanyard ladder --from a.pcapng           from 'lanyard trace -w a.pcapng'

FILTER is as in 'lanyard trace'; 'live' before it, or alone, says what is so
anyway without --from and --last: draw what comes. Where frames were lost to the
trace, the diagram says how many. A file of JSON lines may also hold changes of
neighbor caches: {\"at_unix_ns\", \"network\", \"endpoint\", \"ip\", \"state_before\",
\"state_after\"}; they become notes on the host's lane.")]
pub(crate) struct LadderArgs {
    /// Draw these frames only: the words of 'lanyard trace'; 'live' before them: those to come
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// Stop after so many frames [default: until Ctrl-C, or all]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_FRAMES))]
    number: Option<u64>,
    /// Draw what is in this file (pcapng or JSON lines; '-' is standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "last", value_parser = NonEmptyStringValueParser::new())]
    from: Option<String>,
    /// Draw the last frames that the daemon remembers
    #[arg(long, value_name = "N", conflicts_with = "number", value_parser = clap::value_parser!(u64).range(1..=MAX_FRAMES))]
    last: Option<u64>,
    /// How [default: what the name of --out says, or txt]
    #[arg(short = 'o', long = "output", value_enum, value_name = "svg|txt|mermaid|html")]
    output: Option<Format>,
    /// Write it into this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How a diagram is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// A picture
    Svg,
    /// 80 columns of text
    Txt,
    /// Text for a page that draws it by itself
    Mermaid,
    /// A page with the picture and every step, which opens offline
    Html,
}

impl Format {
    fn draw(self, diagram: &Ladder) -> String {
        match self {
            Self::Svg => ladder::svg(diagram),
            Self::Txt => ladder::txt(diagram),
            Self::Mermaid => ladder::mermaid(diagram),
            Self::Html => ladder::html(diagram),
        }
    }

    /// What the name of a file says.
    fn of_name(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "txt" => Some(Self::Txt),
            "mmd" | "mermaid" | "md" => Some(Self::Mermaid),
            "html" | "htm" => Some(Self::Html),
            _ => None,
        }
    }
}

/// Run it.
///
/// # Errors
/// When the words are wrong, when there is no daemon or no such file, and when there is no frame to draw.
pub(crate) fn run(client: &Client, args: &LadderArgs) -> Result<(), Failure> {
    let format = format(args)?;
    let filter = Filter::parse(&words(args)?.join(" ")).map_err(Failure::Filter)?;
    let mut events = source::Events::new(filter, args.number.unwrap_or(MAX_FRAMES));
    let ended = match (&args.from, args.last) {
        (Some(file), _) => events.read_file(file),
        (None, Some(last)) => events.read_last(client, last),
        (None, None) => events.listen(client),
    };
    // What was heard before the daemon ended, or before a line that is no record, is drawn all the same.
    if events.is_empty() {
        ended?;
        return Err(Failure::Work("there is no frame to draw".to_owned()));
    }
    if args.number.is_none() && events.is_full() {
        eprintln!(
            "lanyard: {MAX_FRAMES} frames are as many as a diagram may have: the others are not drawn; say which with a filter"
        );
    }
    write(args, &format.draw(&events.diagram()))?;
    ended
}

/// The filter's words, without the one that says where the frames come from.
fn words(args: &LadderArgs) -> Result<&[String], Failure> {
    let Some(filter) = args.filter.split_first().and_then(|(first, rest)| (first == "live").then_some(rest)) else {
        return Ok(&args.filter);
    };
    match (&args.from, args.last) {
        (None, None) => Ok(filter),
        _ => Err(Failure::Words("'live' draws what comes, --from and --last what was: write one of them".to_owned())),
    }
}

fn format(args: &LadderArgs) -> Result<Format, Failure> {
    match (args.output, &args.out) {
        (Some(format), _) => Ok(format),
        (None, None) => Ok(Format::Txt),
        (None, Some(path)) => Format::of_name(path).ok_or_else(|| {
            let path = path.display();
            Failure::Words(format!("how shall '{path}' be drawn? its name does not say: add -o svg|txt|mermaid|html"))
        }),
    }
}

fn write(args: &LadderArgs, drawn: &str) -> Result<(), Failure> {
    match &args.out {
        Some(path) => fs::write(path, drawn)
            .map_err(|error| Failure::work(format!("'{}' cannot be written", path.display()), error)),
        None => print(drawn),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        args: LadderArgs,
    }

    fn read(words: &str) -> Result<LadderArgs, clap::Error> {
        Words::try_parse_from(std::iter::once("ladder").chain(words.split_whitespace())).map(|words| words.args)
    }

    #[test]
    fn the_name_of_the_file_says_how() {
        for (text, expected) in [
            ("", Some(Format::Txt)),
            ("--out a.svg", Some(Format::Svg)),
            ("--out a.HTML", Some(Format::Html)),
            ("--out a.mmd arp", Some(Format::Mermaid)),
            ("--out a.svg -o txt", Some(Format::Txt)),
            ("--out picture", None),
            ("--out a.png", None),
        ] {
            assert_eq!(format(&read(text).unwrap()).ok(), expected, "{text}");
        }
    }

    #[test]
    fn live_is_no_word_of_the_filter() {
        for (text, expected) in
            [("live", ""), ("live -n 4 arp", "arp"), ("arp", "arp"), ("", ""), ("arp live", "arp live")]
        {
            assert_eq!(words(&read(text).unwrap()).unwrap().join(" "), expected, "{text}");
        }
        for text in ["live --last 3", "live --from a"] {
            assert!(matches!(words(&read(text).unwrap()), Err(Failure::Words(_))), "{text}");
        }
    }

    #[test]
    fn words_that_contradict_each_other_are_refused() {
        for text in ["--from a --last 3", "--last 3 -n 4", "-n 0", "--last 0", "-n 5001", "-o png", "--from"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read("-n 4 arp or icmp").unwrap().filter.join(" "), "arp or icmp");
    }
}
