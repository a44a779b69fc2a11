//! `lanyard explain`: what would the switch do with a frame?
//!
//! The daemon takes the frame through the real journey, on copies of its tables: nothing is sent or learned, unless
//! `--commit` makes it real. Several frames (`--pcap`) meet the copies as the ones before have left them. What the answer does
//! not take into account stands in notes: lines that are bad on purpose, octets that a capture has not kept.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};
use hyper::Method;
use switch::control::types::{ExplainSpec, Explained};
use trace::{Octets, Style};

use crate::cli::JsonArgs;
use crate::client::Client;
use crate::failure::{Failure, one_line, print, style};

/// `lanyard explain`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("question").required(true).args(["to", "arp_request", "frame", "pcap"]))]
pub(crate) struct ExplainArgs {
    /// The endpoint that the frame comes from
    #[arg(long, value_name = "ENDPOINT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) from: String,
    /// A ping to this endpoint, address, or 'gateway'
    #[arg(long, value_name = "ENDPOINT|IP", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) to: Option<String>,
    /// An ARP request: who has this address?
    #[arg(long, value_name = "IP")]
    pub(crate) arp_request: Option<Ipv4Addr>,
    /// These octets, in hexadecimal, from the destination address on
    #[arg(long, value_name = "HEX")]
    pub(crate) frame: Option<Octets>,
    /// Every frame of a capture file (pcap or pcapng), one after the other
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// The network, where several have an endpoint of that name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) network: Option<String>,
    /// Let it happen: the frame is learned from, sent and traced
    #[arg(long)]
    pub(crate) commit: bool,
    /// How to print it.
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// The command's examples.
pub(crate) const EXAMPLES: &str = "\
Examples:
  lanyard explain --from h1 --to h2                   a ping, as h1 sends it
  lanyard explain --from h1 --arp-request 10.20.0.3   who has that address?
  lanyard explain --from h1 --frame ffffffffffff02420a1400020806...
  lanyard explain --from h1 --pcap capture.pcapng     one frame after the other
  lanyard explain --from h1 --to h2 --commit          and let it happen

Nothing is sent and nothing learned without --commit. Faults on a line ('lanyard
fault') are not foretold: a note names the ports that have some. A frame that a
capture cut to 128 octets or more is decided by its headers, and noted.";

/// Run it.
///
/// # Errors
/// Who or what is asked about is not there, a file that cannot be read, or the daemon cannot be asked.
pub(crate) fn run(client: &Client, args: &ExplainArgs) -> Result<(), Failure> {
    let (mut frames, mut lengths): (Vec<Octets>, Vec<u32>) = args.frame.iter().map(|frame| (frame.clone(), 0)).unzip();
    if let Some(path) = &args.pcap {
        let captured = crate::capture::frames(path)?;
        lengths.extend(captured.iter().map(|frame| frame.length));
        frames.extend(captured.into_iter().map(|frame| frame.octets));
    }
    let spec = ExplainSpec {
        network: args.network.clone(),
        from: args.from.clone(),
        to: args.to.clone(),
        arp_request: args.arp_request,
        frames,
        lengths,
        commit: args.commit,
    };
    let answer = client.ask(Method::POST, "/v1/explain", Some(&spec))?;
    if args.json.json {
        return print(&answer.json_line());
    }
    let told: Vec<Vec<Explained>> = answer.read()?;
    print(&text(&told, args.commit, style()))
}

fn text(told: &[Vec<Explained>], commit: bool, style: Style) -> String {
    let mut text = String::new();
    for Explained { record, notes } in told.iter().flatten() {
        text.push_str(&trace::tree(record, style));
        text.push('\n');
        text.extend(notes.iter().map(|note| format!("  note: {}\n", one_line(note))));
        text.push('\n');
    }
    text.push_str(if commit {
        "This has happened: 'lanyard trace' told of it, too.\n"
    } else {
        "Nothing was sent, and nothing learned. With --commit it happens.\n"
    });
    text
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        args: ExplainArgs,
    }

    #[test]
    fn there_is_one_question_and_somebody_who_asks() {
        Words::command().debug_assert();
        for (words, right) in [
            ("x --from h1 --to h2", true),
            ("x --from h1 --arp-request 10.0.0.1 --commit", true),
            ("x --from h1 --frame ff:ff:ff:ff:ff:ff", true),
            ("x --from h1", false),
            ("x --to h2", false),
            ("x --from h1 --to h2 --arp-request 10.0.0.1", false),
            ("x --from h1 --frame xyz", false),
            ("x --from h1 --arp-request h2", false),
        ] {
            assert_eq!(Words::try_parse_from(words.split(' ')).is_ok(), right, "{words}");
        }
    }

    #[test]
    fn it_is_said_whether_it_has_happened() {
        assert!(text(&[], false, Style::Plain).contains("Nothing was sent"));
        assert!(text(&[], true, Style::Plain).contains("has happened"));
    }
}
