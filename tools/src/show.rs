//! `lanyard show ports|mac|arp|drops|workers`: what is there, as columns or as JSON.
//!
//! `show mac --watch` also tells each row that appears, is refreshed, moves or goes ([`changes`]).

mod changes;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use switch::control::types::{ArpRow, ClockRow, DropRow, MacRow, PortRow, WorkerRow};

use changes::{Changes, Look};

use crate::cli::{ShowArgs, What};
use crate::client::{self, Answer, Client, segment};
use crate::failure::{Failure, print};
use crate::table::{Lean, Table, or_nothing, word_of};

/// How often `--watch` asks when it tells each change of the MAC table.
const EVENT_INTERVAL: Duration = Duration::from_millis(250);
/// How often `--watch` asks.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

// ECMA-48, 8.3.21, 8.3.41 and 8.3.39: cursor to the first line, erase the rest of the line, erase what is below.
const HOME: &str = "\x1b[H";
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// Run it.
///
/// # Errors
/// Refusals of the daemon, and everything that keeps it from being asked.
pub(crate) fn run(client: &Client, args: &ShowArgs) -> Result<(), Failure> {
    let path = path(args)?;
    if args.watch { client::until_ctrl_c(watch(client, args, &path)) } else { print(&text(args, &client.get(&path)?)?) }
}

async fn watch(client: &Client, args: &ShowArgs, path: &str) -> Result<(), Failure> {
    let on_terminal = io::stdout().is_terminal();
    let events = args.what == What::Mac && !args.json.json;
    let mut ticks = tokio::time::interval(if events { EVENT_INTERVAL } else { WATCH_INTERVAL });
    let mut changes = Changes::default();
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut first, mut last) = (true, Instant::now());
    loop {
        ticks.tick().await;
        let clocks = if events { clocks(client, args).await } else { Vec::new() };
        let answer = client.answer(Method::GET, path, None::<&()>).await?;
        let mut text = text(args, &answer)?;
        let news = if events {
            let since = std::mem::replace(&mut last, Instant::now()).elapsed();
            news(client, args, &mut changes, &answer.read::<Vec<MacRow>>()?, (&clocks, since)).await
        } else {
            Vec::new()
        };
        if on_terminal && events {
            text.extend(changes.last().map(|event| format!("\n{event}")));
        }
        if events && !on_terminal && !first {
            // The table stands above; from here on only what changes is told.
            if !news.is_empty() {
                print(&(news.join("\n") + "\n"))?;
            }
        } else if on_terminal {
            print(&redrawn(&text, first))?;
        } else {
            // A blank line parts one table from the next; JSON stays one answer a line.
            print(&if first || args.json.json { text } else { format!("\n{text}") })?;
        }
        first = false;
    }
}

/// What has changed in the MAC table; where rows are gone, what tells why is asked for.
async fn news(
    client: &Client,
    args: &ShowArgs,
    changes: &mut Changes,
    rows: &[MacRow],
    (before, since): (&[ClockRow], Duration),
) -> Vec<String> {
    let (mut after, mut ports) = (Vec::new(), None);
    if changes.misses(rows) {
        after = clocks(client, args).await;
        let answer = client.answer(Method::GET, &path_of("ports", args), None::<&()>).await;
        ports = answer.and_then(|answer| answer.read::<Vec<PortRow>>()).ok();
    }
    let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let look = Look { rows, before, after: &after, ports: ports.as_deref(), since_ms };
    changes.look(&look, &trace::clock(now_unix_ns()))
}

/// The networks' clocks. Where they cannot be asked, why a row is gone stays open.
async fn clocks(client: &Client, args: &ShowArgs) -> Vec<ClockRow> {
    let answer = client.answer(Method::GET, &path_of("clock", args), None::<&()>).await;
    answer.and_then(|answer| answer.read()).unwrap_or_default()
}

fn now_unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// The text in place of the last one. Lines are erased one by one as they are written, so that nothing flickers.
pub(crate) fn redrawn(text: &str, first: bool) -> String {
    let clear = if first { ERASE_BELOW } else { "" };
    format!("{HOME}{clear}{}{ERASE_BELOW}", text.replace('\n', &format!("{ERASE_LINE}\n")))
}

fn path(args: &ShowArgs) -> Result<String, Failure> {
    let kind = match args.what {
        What::Ports => "ports",
        What::Mac => "mac",
        What::Arp => "arp",
        What::Drops => "drops",
        What::Workers => "workers",
    };
    match &args.network {
        Some(_) if args.what == What::Workers => {
            Err(Failure::Words("workers belong to no network: leave --network out".to_owned()))
        }
        _ => Ok(path_of(kind, args)),
    }
}

fn path_of(kind: &str, args: &ShowArgs) -> String {
    match &args.network {
        None => format!("/v1/{kind}"),
        Some(network) => format!("/v1/{kind}?network={}", segment(network)),
    }
}

fn text(args: &ShowArgs, answer: &Answer) -> Result<String, Failure> {
    if args.json.json {
        return Ok(answer.json_line());
    }
    Ok(match args.what {
        What::Ports => ports(answer.read()?),
        What::Mac => macs(answer.read()?),
        What::Arp => neighbors(answer.read()?),
        What::Drops => drops(answer.read()?),
        What::Workers => workers(answer.read()?),
    })
}

fn ports(rows: Vec<PortRow>) -> String {
    let mut table = Table::new([
        ("NETWORK", Lean::Left),
        ("PORT", Lean::Left),
        ("ENDPOINT", Lean::Left),
        ("KIND", Lean::Left),
        ("STATE", Lean::Left),
        ("MAC", Lean::Left),
        ("IP", Lean::Left),
        ("RX-FRAMES", Lean::Right),
        ("RX-BYTES", Lean::Right),
        ("TX-FRAMES", Lean::Right),
        ("TX-BYTES", Lean::Right),
        ("DROPS", Lean::Right),
    ]);
    for row in rows {
        table.row([
            row.network,
            row.port,
            row.endpoint,
            word_of(&row.kind),
            word_of(&row.state),
            row.mac.to_string(),
            row.ip.to_string(),
            row.rx_frames.to_string(),
            row.rx_bytes.to_string(),
            row.tx_frames.to_string(),
            row.tx_bytes.to_string(),
            row.drops.to_string(),
        ]);
    }
    table.render()
}

/// The MAC table as columns.
pub(crate) fn macs(rows: Vec<MacRow>) -> String {
    let mut table = Table::new([
        ("NETWORK", Lean::Left),
        ("MAC", Lean::Left),
        ("PORT", Lean::Left),
        ("ENDPOINT", Lean::Left),
        ("KIND", Lean::Left),
        ("AGE", Lean::Right),
        ("MOVES", Lean::Right),
    ]);
    for row in rows {
        // Only a learned entry ages.
        let age = if row.kind == "learned" { seconds(row.age_ms) } else { String::new() };
        table.row([
            row.network,
            row.mac.to_string(),
            row.port.unwrap_or_default(),
            row.endpoint.unwrap_or_default(),
            row.kind,
            age,
            row.moves.to_string(),
        ]);
    }
    table.render()
}

/// Milliseconds as seconds with one decimal, cut off: `12.3s`.
fn seconds(ms: u64) -> String {
    format!("{}.{}s", ms / 1000, ms % 1000 / 100)
}

fn neighbors(rows: Vec<ArpRow>) -> String {
    let columns = ["NETWORK", "IP", "MAC", "PORT", "STATE", "SOURCE", "CONFLICTS"];
    let mut table = Table::new(columns.map(|name| (name, Lean::Left)));
    for row in rows {
        let conflicts: Vec<_> = row.conflicts.iter().map(ToString::to_string).collect();
        table.row([
            row.network,
            row.ip.to_string(),
            or_nothing(row.mac.as_ref()),
            row.port.unwrap_or_default(),
            row.state,
            row.source,
            conflicts.join(","),
        ]);
    }
    table.render()
}

fn drops(rows: Vec<DropRow>) -> String {
    let mut table =
        Table::new([("NETWORK", Lean::Left), ("REASON", Lean::Left), ("COUNT", Lean::Right), ("MEANING", Lean::Left)]);
    for row in rows {
        table.row([row.network, row.reason, row.count.to_string(), row.sentence]);
    }
    table.render()
}

fn workers(rows: Vec<WorkerRow>) -> String {
    let columns = ["WORKER", "QUEUES", "WAKEUPS", "BURSTS", "FRAMES"];
    let mut table = Table::new(columns.map(|name| (name, Lean::Right)));
    for row in rows {
        let cells = [row.worker as u64, row.queues as u64, row.wakeups, row.bursts, row.frames];
        table.row(cells.map(|number| number.to_string()));
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<T: serde::de::DeserializeOwned>(json: &str) -> Vec<T> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn ports_line_up() {
        let text = ports(rows(
            r#"[{"network": "blue", "port": "p1", "endpoint": "web", "kind": "tap", "state": "up",
              "mac": "02:42:0a:14:00:02", "ip": "10.20.0.2", "rx_frames": 5, "rx_bytes": 420, "tx_frames": 12345,
              "tx_bytes": 1000000, "drops": 0, "added-later": true}]"#,
        ));
        assert_eq!(
            text,
            "NETWORK  PORT  ENDPOINT  KIND  STATE  MAC                IP         RX-FRAMES  RX-BYTES  TX-FRAMES  TX-BYTES  DROPS\n\
             blue     p1    web       tap   up     02:42:0a:14:00:02  10.20.0.2          5       420      12345   1000000      0\n"
        );
    }

    #[test]
    fn only_learned_addresses_have_an_age() {
        let text = macs(rows(
            r#"[{"network": "blue", "mac": "02:42:0a:14:00:01", "port": null, "endpoint": null, "kind": "gateway",
              "age_ms": 0, "moves": 0},
             {"network": "blue", "mac": "02:42:0a:14:00:02", "port": "p1", "endpoint": "web", "kind": "learned",
              "age_ms": 12399, "moves": 2}]"#,
        ));
        assert_eq!(
            text,
            "NETWORK  MAC                PORT  ENDPOINT  KIND       AGE  MOVES\n\
             blue     02:42:0a:14:00:01  -     -         gateway      -      0\n\
             blue     02:42:0a:14:00:02  p1    web       learned  12.3s      2\n"
        );
    }

    #[test]
    fn neighbors_show_who_claims_the_same_address() {
        let text = neighbors(rows(
            r#"[{"network": "blue", "ip": "10.20.0.2", "mac": "02:42:0a:14:00:02", "port": "p1", "state": "permanent",
              "source": "control", "conflicts": ["02:00:00:00:00:09"]},
             {"network": "blue", "ip": "10.20.0.7", "mac": null, "port": null, "state": "incomplete",
              "source": "resolver"}]"#,
        ));
        let last: Vec<_> = text.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
        assert_eq!(last, ["CONFLICTS", "02:00:00:00:00:09", "-"]);
    }

    #[test]
    fn drops_and_workers_are_counted_to_the_right() {
        let text = drops(rows(r#"[{"network": "blue", "reason": "runt", "count": 7, "sentence": "too short"}]"#));
        assert_eq!(text, "NETWORK  REASON  COUNT  MEANING\nblue     runt        7  too short\n");
        let text = workers(rows(r#"[{"worker": 0, "queues": 4, "wakeups": 10, "bursts": 9, "frames": 500}]"#));
        assert_eq!(text, "WORKER  QUEUES  WAKEUPS  BURSTS  FRAMES\n     0       4       10       9     500\n");
    }

    #[test]
    fn a_redraw_leaves_nothing_of_the_last_one() {
        assert_eq!(redrawn("a\nb\n", true), "\x1b[H\x1b[Ja\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(redrawn("a\n", false), "\x1b[Ha\x1b[K\n\x1b[J");
    }

    #[test]
    fn the_network_is_part_of_the_question_except_for_workers() {
        let args = |what, network: Option<&str>| ShowArgs {
            what,
            network: network.map(str::to_owned),
            watch: false,
            json: crate::cli::JsonArgs { json: false },
        };
        assert_eq!(path(&args(What::Mac, Some("a b"))), Ok("/v1/mac?network=a%20b".into()));
        assert_eq!(path(&args(What::Workers, None)), Ok("/v1/workers".into()));
        assert!(matches!(path(&args(What::Workers, Some("blue"))), Err(Failure::Words(_))));
    }
}
