//! `lanyard clock warp`: let the MAC addresses that were learned grow old at once, so that a class sees one age out.
//!
//! It moves the MAC tables' clock and no other: not the hosts', not ARP's.

use std::fmt::Write;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use hyper::Method;
use switch::control::types::{WarpRow, WarpSpec};

use crate::cli::JsonArgs;
use crate::client::Client;
use crate::duration;
use crate::failure::{Failure, one_line, print};

/// `lanyard clock`
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Examples:
  lanyard clock warp 300s                 every learned address ages out
  lanyard clock warp 4m --network blue    not yet: 'lanyard show mac' tells the ages"
)]
pub(crate) struct ClockArgs {
    /// Which of them.
    #[command(subcommand)]
    command: ClockCommand,
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Let learned MAC addresses grow older by so much, at once
    #[command(after_help = "\
Only the MAC tables' ageing clock moves. The hosts' clocks do not: their ARP
caches are as fresh as before, and so is the switch's own neighbor table.
Static entries and the gateway's stay.

Examples:
  lanyard clock warp 300s
  lanyard clock warp 1m30s --network blue
  lanyard clock warp 300s --json | jq '.[].aged_out'")]
    Warp(WarpArgs),
}

#[derive(Debug, Args)]
struct WarpArgs {
    /// How much, as in 300s, 5m or 1500ms
    #[arg(value_name = "DURATION", value_parser = duration::parse)]
    by: Duration,
    /// On this network only
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    network: Option<String>,
    /// How to print it.
    #[command(flatten)]
    json: JsonArgs,
}

/// Run it.
///
/// # Errors
/// Refusals of the daemon, and everything that keeps it from being asked.
pub(crate) fn run(client: &Client, args: &ClockArgs) -> Result<(), Failure> {
    let ClockCommand::Warp(args) = &args.command;
    let ms = u64::try_from(args.by.as_millis()).unwrap_or(u64::MAX);
    let spec = WarpSpec { ms, network: args.network.clone() };
    let answer = client.ask(Method::POST, "/v1/clock/warp", Some(&spec))?;
    if args.json.json { print(&answer.json_line()) } else { print(&told(&answer.read::<Vec<_>>()?)) }
}

fn told(rows: &[WarpRow]) -> String {
    if rows.is_empty() {
        return "there is no network, so nothing aged\n".to_owned();
    }
    rows.iter().fold(String::new(), |mut text, row| {
        let entries = if row.aged_out == 1 { "entry" } else { "entries" };
        let _ = writeln!(text, "{}: {} {entries} aged out, {} left", one_line(&row.network), row.aged_out, row.left);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_network() {
        let row = |aged_out, left| WarpRow { network: "blue".to_owned(), aged_out, left };
        assert_eq!(
            told(&[row(3, 1), row(1, 0), row(0, 2)]),
            "blue: 3 entries aged out, 1 left\nblue: 1 entry aged out, 0 left\nblue: 0 entries aged out, 2 left\n"
        );
        assert_eq!(told(&[]), "there is no network, so nothing aged\n");
    }
}
