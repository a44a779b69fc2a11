//! `lanyard fault ...`: make a port's line bad on purpose, for a while.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use hyper::Method;
use switch::control::types::{Direction, FaultKind, FaultRow, FaultSpec};

use crate::cli::JsonArgs;
use crate::client::{Client, segment};
use crate::duration;
use crate::failure::{Failure, print};
use crate::table::{Lean, Table, or_nothing, word_of};

/// `lanyard fault`
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Examples:
  lanyard fault add web drop 10%
  lanyard fault ls
  lanyard fault rm --all"
)]
pub(crate) struct FaultArgs {
    /// Which of them.
    #[command(subcommand)]
    command: FaultCommand,
}

#[derive(Debug, Subcommand)]
enum FaultCommand {
    /// Make a port's line bad
    #[command(after_help = "\
Faults:
  drop 10%           lose frames, by chance
  drop every 5       lose exactly each 5th; 'every 5' for short
  delay 50ms         let them arrive later; 'delay 50ms 10ms': give or take
  dup 5%             let them arrive twice
  reorder 5%         let them arrive behind the next one (or 50 ms later)
  corrupt 1%         turn one bit over, behind the Ethernet header
  ... match FILTER   only frames that FILTER finds; the same as --match

'dup', 'reorder' and 'corrupt' alone meet 1 % of the frames; 'drop' wants to be
told how many. All but 'delay' take a share or 'every N'.

The same seed and the same frames meet the same faults. Each way has its own
dice: 'drop 10%' loses 10 % of what the endpoint sends and 10 % of what it gets.
A frame that is lost is dropped as 'fault-injected', and traced as that. Faults
end with their time, their port or the daemon. They are asked in the order in
which they were added. Checksums that the endpoint leaves to others cover a bit
that was turned over: 'corrupt' wants 'network connect --offload off'.

Examples:
  lanyard fault add web drop 10%
  lanyard fault add blue/web delay 50ms 10ms --for 60s
  lanyard fault add p3 every 2 match icmp and host 10.20.0.3
  lanyard fault add p3 dup --match 'arp or icmp'
  lanyard fault add web corrupt 1% --direction in --seed 7")]
    Add(AddArgs),
    /// List the faults that have not ended
    #[command(visible_alias = "list", after_help = "Examples:\n  lanyard fault ls\n  lanyard fault ls --json")]
    Ls(JsonArgs),
    /// Mend a line
    #[command(after_help = "\
Examples:
  lanyard fault rm 3       the fault of that number
  lanyard fault rm web     all faults of web's port
  lanyard fault rm --all")]
    Rm {
        /// The fault's number, or its port or endpoint
        #[arg(value_name = "ID|PORT", required_unless_present = "all", conflicts_with = "all")]
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        which: Option<String>,
        /// Every fault there is
        #[arg(long)]
        all: bool,
        /// How to print what was removed.
        #[command(flatten)]
        json: JsonArgs,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The port, its endpoint, or NETWORK/ENDPOINT
    #[arg(value_name = "PORT", value_parser = NonEmptyStringValueParser::new())]
    port: String,
    /// What it does, as below, and to which frames
    #[arg(value_name = "FAULT", required = true, num_args = 1..)]
    fault: Vec<String>,
    /// Only to frames that this filter matches, in the words of 'lanyard trace' about packets
    #[arg(long = "match", value_name = "FILTER")]
    filter: Option<String>,
    /// For how long [default: 10m]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    time: Option<Duration>,
    /// Where the dice begin [default: by chance; it is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What the endpoint sends (in), what it gets (out), or both
    #[arg(long, value_name = "in|out|both", default_value = "both", value_parser = crate::cli::word::<Direction>)]
    direction: Direction,
    /// How to print it.
    #[command(flatten)]
    json: JsonArgs,
}

/// Run it.
///
/// # Errors
/// Words that are no fault; refusals of the daemon, and everything that keeps it from being asked.
pub(crate) fn run(client: &Client, args: FaultArgs) -> Result<(), Failure> {
    match args.command {
        FaultCommand::Add(args) => {
            let json = args.json.json;
            let answer = client.ask(Method::POST, "/v1/faults", Some(&spec(args)?))?;
            if json { print(&answer.json_line()) } else { print(&table(&[answer.read()?])) }
        }
        FaultCommand::Ls(json) => {
            let answer = client.get("/v1/faults")?;
            if json.json { print(&answer.json_line()) } else { print(&table(&answer.read::<Vec<_>>()?)) }
        }
        FaultCommand::Rm { which, all: _, json } => {
            let path = which.map_or_else(|| "/v1/faults".to_owned(), |which| format!("/v1/faults/{}", segment(&which)));
            let answer = client.ask(Method::DELETE, &path, None::<&()>)?;
            if json.json { print(&answer.json_line()) } else { Ok(()) }
        }
    }
}

/// The words of a fault, and those of the filter behind `match`.
fn parted(words: &str) -> (String, Option<String>) {
    let words: Vec<&str> = words.split_whitespace().collect();
    let end = words.iter().position(|word| *word == "match");
    let (fault, filter) = words.split_at(end.unwrap_or(words.len()));
    (fault.join(" "), filter.split_first().map(|(_, filter)| filter.join(" ")))
}

fn spec(args: AddArgs) -> Result<FaultSpec, Failure> {
    let (fault, filter) = parted(&args.fault.join(" "));
    let filter = match (filter, args.filter) {
        (Some(_), Some(_)) => {
            return Err(Failure::Words("'match' and '--match' say the same: write one of them".to_owned()));
        }
        (Some(none), None) if none.is_empty() => {
            return Err(Failure::Words("match which frames? write a filter behind it, as in 'match arp'".to_owned()));
        }
        (behind, option) => behind.or(option),
    };
    Ok(FaultSpec {
        port: args.port,
        fault: fault.parse::<FaultKind>().map_err(Failure::Words)?,
        direction: args.direction,
        filter,
        for_ms: args.time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        seed: args.seed,
    })
}

fn table(rows: &[FaultRow]) -> String {
    let mut table = Table::new([
        ("ID", Lean::Right),
        ("NETWORK", Lean::Left),
        ("PORT", Lean::Left),
        ("ENDPOINT", Lean::Left),
        ("FAULT", Lean::Left),
        ("WAY", Lean::Left),
        ("MET", Lean::Right),
        ("OF", Lean::Right),
        ("LEFT", Lean::Right),
        ("SEED", Lean::Right),
        ("MATCH", Lean::Left),
    ]);
    for row in rows {
        table.row([
            row.id.to_string(),
            row.network.clone(),
            row.port.clone(),
            row.endpoint.clone(),
            row.fault.to_string(),
            word_of(&row.direction),
            row.met.to_string(),
            row.seen.to_string(),
            duration::written(row.left_ms.div_ceil(1000) * 1000),
            row.seed.to_string(),
            or_nothing(Some(&row.filter).filter(|filter| !filter.is_empty())),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(words: &str) -> Result<FaultSpec, String> {
        let cli = Cli::try_parse_from(words.split(' ')).map_err(|error| error.to_string())?;
        let Command::Fault(FaultArgs { command: FaultCommand::Add(args) }) = cli.command else { panic!("{words}") };
        spec(args).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn words_become_a_request() {
        let spec = read("lanyard fault add web delay 50ms 10ms --for 60s --seed 7 --direction in --match arp").unwrap();
        assert_eq!((spec.port.as_str(), spec.fault.to_string().as_str()), ("web", "delay 50ms 10ms"));
        assert_eq!((spec.for_ms, spec.seed, spec.direction), (Some(60_000), Some(7), Direction::In));
        assert_eq!(spec.filter.as_deref(), Some("arp"));
        let spec = read("lanyard fault add p3 drop every 5").unwrap();
        assert_eq!((spec.for_ms, spec.seed, spec.direction, spec.filter), (None, None, Direction::Both, None));
        for (words, fault, filter) in [
            ("every 5", "drop every 5", None),
            ("dup", "dup 1%", None),
            ("reorder", "reorder 1%", None),
            ("corrupt", "corrupt 1%", None),
            ("drop 10% match icmp and host 10.20.0.3", "drop 10%", Some("icmp and host 10.20.0.3")),
            ("dup match arp", "dup 1%", Some("arp")),
            ("delay 50ms 10ms match not arp --for 60s", "delay 50ms 10ms", Some("not arp")),
        ] {
            let spec = read(&format!("lanyard fault add web {words}")).unwrap();
            assert_eq!((spec.fault.to_string().as_str(), spec.filter.as_deref()), (fault, filter), "{words}");
        }
        for (words, says) in [
            ("lanyard fault add web", "FAULT"),
            ("lanyard fault add web drop", "say how many frames are lost"),
            ("lanyard fault add web drop match arp", "say how many frames are lost"),
            ("lanyard fault add web dup match", "match which frames?"),
            ("lanyard fault add web match arp", "it is empty"),
            ("lanyard fault add web dup match arp --match icmp", "'match' and '--match'"),
            ("lanyard fault add web drop 101%", "0.0001% to 100%"),
            ("lanyard fault add web burn 5%", "drop every 5"),
            ("lanyard fault add web drop 5% --for soon", "as in 300s"),
            ("lanyard fault add web drop 5% --direction up", "direction"),
            ("lanyard fault add web drop 5% --seed many", "seed"),
        ] {
            let why = read(words).unwrap_err();
            assert!(why.contains(says), "{words}: {why}");
        }
    }

    #[test]
    fn a_fault_is_a_row() {
        let row = FaultRow {
            id: 3,
            network: "blue".into(),
            port: "p1".into(),
            endpoint: "web".into(),
            fault: "drop 10%".parse().unwrap(),
            direction: Direction::Both,
            filter: String::new(),
            seed: 7,
            left_ms: 599_001,
            seen: 100,
            met: 9,
        };
        assert_eq!(
            table(&[row]),
            "ID  NETWORK  PORT  ENDPOINT  FAULT     WAY   MET   OF  LEFT  SEED  MATCH\n \
              3  blue     p1    web       drop 10%  both    9  100   10m     7  -\n"
        );
    }
}
