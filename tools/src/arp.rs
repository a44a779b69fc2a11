//! `lanyard arp show|watch`: which MAC addresses do the hosts' own kernels believe in, beside the switch's neighbor table?
//!
//! | file | the question |
//! | --- | --- |
//! | `arp.rs` | the words, and `show` |
//! | `arp/watch.rs` | `watch`: how is the stream followed? |
//! | `arp/view.rs` | how does it look: a line a change, or a table that is redrawn? |
//!
//! The states are RFC 4861's (7.3.2), for ARP too, as Linux has it, and Linux's FAILED, NOARP and PERMANENT.

mod view;
mod watch;

use std::collections::HashMap;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use frame::MacAddr;
use hyper::Method;
use serde::Serialize;
use switch::control::caches::CacheRow;
use switch::control::types::{ArpRow, NetworkInfo};

use crate::cli::JsonArgs;
use crate::client::{self, Answer, Client, segment};
use crate::failure::{Failure, print};

/// What the switch's own table is called among the hosts.
const SWITCH: &str = "switch";

/// `lanyard arp ...`
#[derive(Debug, Args)]
pub(crate) struct ArpArgs {
    /// Which of them.
    #[command(subcommand)]
    command: ArpCommand,
}

#[derive(Debug, Subcommand)]
enum ArpCommand {
    /// Show the ARP and ND caches of all hosts, beside the switch's table
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Tell each change of them as it happens, until Ctrl-C
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(WatchArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Of this network only
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    network: Option<String>,
    /// How to print it.
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, Args)]
struct WatchArgs {
    /// Of this network only
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    network: Option<String>,
    /// End after this many changes
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    number: Option<u64>,
    /// Print JSON, one change a line
    #[arg(long)]
    json: bool,
}

/// The command's examples.
pub(crate) const EXAMPLES: &str = "\
Examples:
  lanyard arp show
  lanyard arp watch --network blue

Every host's own cache is read, never changed. States, as in RFC 4861:
  INCOMPLETE  asked for, no answer yet      REACHABLE  answered a moment ago
  STALE       known, but long not confirmed DELAY      used while stale
  PROBE       being asked again             FAILED     no answer
  PERMANENT   written by somebody           NOARP      needs no asking";

const SHOW_EXAMPLES: &str = "\
Examples:
  lanyard arp show
  lanyard arp show --network blue
  lanyard arp show --json | jq '.[] | select(.conflict)'";

const WATCH_EXAMPLES: &str = "\
Examples:
  lanyard arp watch                 a table, redrawn; changed rows are marked
  lanyard arp watch | cat           a line for each change
  lanyard arp watch -n 4            until four rows have changed
  lanyard arp watch --json | jq 'select(.conflict)'";

/// Run it.
///
/// # Errors
/// Refusals of the daemon, and everything that keeps it from being asked.
pub(crate) fn run(client: &Client, args: &ArpArgs) -> Result<(), Failure> {
    match &args.command {
        ArpCommand::Show(args) => show(client, args),
        ArpCommand::Watch(args) => client::until_ctrl_c(watch::follow(client, args)),
    }
}

fn show(client: &Client, args: &ShowArgs) -> Result<(), Failure> {
    let network = args.network.as_deref();
    let mut rows: Vec<CacheRow> = client.get(&question("caches", network))?.read()?;
    rows.extend(client::block_on(switch_rows(client, network))??);
    view::sort(&mut rows);
    print(&if args.json.json { json(&rows)? } else { view::table(&rows).join("\n") + "\n" })
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    let line = serde_json::to_string(value).map_err(|error| Failure::work("writing JSON", error))?;
    Ok(line + "\n")
}

fn question(what: &str, network: Option<&str>) -> String {
    network.map_or_else(|| format!("/v1/{what}"), |name| format!("/v1/{what}?network={}", segment(name)))
}

/// The switch's own neighbor table, as if it were a host's.
async fn switch_rows(client: &Client, network: Option<&str>) -> Result<Vec<CacheRow>, Failure> {
    let get = async |path: &str| -> Result<Answer, Failure> { client.answer(Method::GET, path, None::<&()>).await };
    let rows: Vec<ArpRow> = get(&question("arp", network)).await?.read()?;
    let names = names(&get("/v1/networks").await?.read::<Vec<NetworkInfo>>()?);
    Ok(rows.into_iter().map(|row| of_switch(row, &names)).collect())
}

type Names = HashMap<(String, MacAddr), String>;

/// Whose MAC addresses they are.
fn names(networks: &[NetworkInfo]) -> Names {
    let mut names = Names::new();
    for network in networks {
        let ends = network.endpoints.iter().map(|end| ((network.name.clone(), end.mac), end.endpoint.clone()));
        names.extend(ends);
        names.extend(network.gateway_mac.map(|mac| ((network.name.clone(), mac), "gateway".to_owned())));
    }
    names
}

fn of_switch(row: ArpRow, names: &Names) -> CacheRow {
    let called = |mac: &MacAddr| {
        let name = names.get(&(row.network.clone(), *mac));
        name.map_or_else(|| mac.to_string(), |name| format!("{mac} ({name})"))
    };
    let claims: Vec<String> = row.conflicts.iter().map(called).collect();
    CacheRow {
        ip: Some(row.ip),
        mac: row.mac,
        mac_name: row.mac.and_then(|mac| names.get(&(row.network.clone(), mac)).cloned()),
        state: row.state.to_uppercase(),
        conflict: (!claims.is_empty()).then(|| format!("claimed by {} as well", claims.join(" and "))),
        error: None,
        endpoint: SWITCH.to_owned(),
        network: row.network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switchs_own_table_reads_like_a_hosts() {
        let row: ArpRow = serde_json::from_value(serde_json::json!({
            "network": "blue", "ip": "10.20.0.3", "mac": "02:42:0a:14:00:03", "port": "p2", "state": "permanent",
            "source": "control", "conflicts": ["02:00:00:00:00:09", "02:42:0a:14:00:02"]
        }))
        .unwrap();
        let name = |last: u8, name: &str| (("blue".to_owned(), MacAddr([2, 0x42, 10, 20, 0, last])), name.to_owned());
        let row = of_switch(row, &Names::from([name(3, "h2"), name(2, "h1")]));
        assert_eq!(
            (row.endpoint.as_str(), row.state.as_str(), row.mac_name.as_deref()),
            ("switch", "PERMANENT", Some("h2"))
        );
        assert_eq!(row.conflict.as_deref(), Some("claimed by 02:00:00:00:00:09 and 02:42:0a:14:00:02 (h1) as well"));
    }

    #[test]
    fn the_network_is_part_of_the_question() {
        assert_eq!(question("caches", None), "/v1/caches");
        assert_eq!(question("caches/watch", Some("a b")), "/v1/caches/watch?network=a%20b");
    }
}
