//! `lanyard why MAC`: which frame taught the MAC table that row, and what has become of the row since?
//!
//! The daemon remembers each frame that made or moved a row, whether or not anybody traced; refreshes it counts only while
//! somebody does.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use switch::control::types::{LessonRow, WhyRow};

use crate::cli::JsonArgs;
use crate::client::{Client, segment};
use crate::failure::{Failure, one_line, print};

/// `lanyard why`
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A MAC address, an endpoint, or 'gateway'
    #[arg(value_name = "MAC|ENDPOINT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) station: String,
    /// Only this network's table
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) network: Option<String>,
    /// How to print it.
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// The command's examples.
pub(crate) const EXAMPLES: &str = "\
Examples:
  lanyard why 02:42:0a:14:00:02
  lanyard why h1                  the same, by the endpoint's name
  lanyard why h1 --network blue --json";

/// Run it.
///
/// # Errors
/// Nobody has been heard from with that address, or the daemon cannot be asked.
pub(crate) fn run(client: &Client, args: &WhyArgs) -> Result<(), Failure> {
    let network = args.network.as_ref().map_or_else(String::new, |name| format!("&network={}", segment(name)));
    let answer = client.get(&format!("/v1/why?station={}{network}", segment(&args.station)))?;
    if args.json.json {
        return print(&answer.json_line());
    }
    let rows: Vec<WhyRow> = answer.read()?;
    print(&rows.iter().map(told).collect::<Vec<_>>().join("\n"))
}

/// The stories of an address's rows, line by line, for a screen: what a frame said cannot move its cursor.
pub(crate) fn story(rows: &[WhyRow]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["nothing is known of it".to_owned()];
    }
    rows.iter().map(told).collect::<Vec<_>>().join("\n").lines().map(one_line).collect()
}

/// One row's story.
fn told(row: &WhyRow) -> String {
    let mut lines = vec![headline(row)];
    match &row.taught {
        Some(taught) => {
            lines.push(format!("  taught    {}", lesson(taught)));
            if row.times_before > 0 {
                lines.push(format!(
                    "            the address had a row before, forgotten since: {}",
                    times(row.times_before)
                ));
            }
        }
        None if row.kind.as_deref() == Some("learned") => {
            lines.push("  taught    by a frame that is not remembered: too many addresses came at once".to_owned());
        }
        None => lines.push("  taught    by no frame: the switch was told".to_owned()),
    }
    let untold = row.moved_in_all.saturating_sub(row.moved.len() as u64);
    if untold > 0 {
        lines.push(format!("  moved     {} before these:", times(untold)));
    }
    for moved in &row.moved {
        let from = moved.from.as_deref().unwrap_or("?");
        lines.push(format!("  moved     from {from} to {} by {}", moved.port, lesson(moved)));
    }
    lines.push(match row.last_refresh {
        Some(last) => format!(
            "  refreshed by {} traced frame{} since, the last one #{} at {}",
            row.refreshed,
            if row.refreshed == 1 { "" } else { "s" },
            last.frame,
            trace::clock(last.at_unix_ns)
        ),
        None => "  refreshed by no traced frame (they are counted only while a trace or the recorder runs)".to_owned(),
    });
    if row.missed > 0 {
        lines.push(format!("  note      {} lessons were not remembered: addresses came too fast", row.missed));
    }
    lines.join("\n") + "\n"
}

fn headline(row: &WhyRow) -> String {
    let who = row.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let (mac, network) = (row.mac, &row.network);
    let on = row.endpoint.as_deref().unwrap_or("no port");
    match row.kind.as_deref() {
        None => {
            format!("{mac}{who} has no row in the MAC table of {network} any more: it aged out, was evicted or flushed")
        }
        Some("learned") => {
            let age = row.age_ms.unwrap_or(0);
            format!(
                "{mac}{who} is on {on} in {network}: learned, last heard {} s ago, forgotten in {} s",
                tenths(age),
                tenths(row.ageing_ms.saturating_sub(age))
            )
        }
        Some("gateway") => format!("{mac}{who} is the gateway of {network}: a row that no frame changes"),
        Some(kind) => format!("{mac}{who} is on {on} in {network}: {kind}, a row that no frame changes"),
    }
}

fn lesson(lesson: &LessonRow) -> String {
    format!("#{} at {} from {}: {}", lesson.frame, trace::clock(lesson.at_unix_ns), lesson.port, lesson.summary)
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Milliseconds as seconds with one decimal, cut off.
fn tenths(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> WhyRow {
        serde_json::from_value(serde_json::json!({
            "network": "blue", "mac": "02:42:0a:14:00:02", "name": "h1", "kind": "learned", "endpoint": "h3",
            "age_ms": 2150, "ageing_ms": 300_000, "moves": 1,
            "taught": {"frame": 1, "at_unix_ns": 43_201_004_000_000u64, "port": "h1", "from": null,
                       "summary": "ARP who-has 10.20.0.3 tell 10.20.0.2", "data": ""},
            "moved": [{"frame": 9, "at_unix_ns": 43_202_000_000_000u64, "port": "h3", "from": "h1",
                       "summary": "ARP reply", "data": ""}],
            "moved_in_all": 1, "refreshed": 4, "last_refresh": {"frame": 20, "at_unix_ns": 43_203_000_000_000u64},
            "times_before": 0, "missed": 0
        }))
        .unwrap()
    }

    #[test]
    fn a_rows_story_is_told_in_order() {
        assert_eq!(
            told(&row()),
            "02:42:0a:14:00:02 (h1) is on h3 in blue: learned, last heard 2.1 s ago, forgotten in 297.8 s\n  \
             taught    #1 at 12:00:01.004 from h1: ARP who-has 10.20.0.3 tell 10.20.0.2\n  \
             moved     from h1 to h3 by #9 at 12:00:02.000 from h3: ARP reply\n  \
             refreshed by 4 traced frames since, the last one #20 at 12:00:03.000\n"
        );
    }

    #[test]
    fn on_a_screen_a_row_is_lines_without_tricks() {
        let mut tricky = row();
        tricky.moved[0].summary = "x\u{1b}[2J".to_owned();
        let lines = story(&[tricky, row()]);
        assert_eq!(lines.len(), 9, "{lines:?}");
        assert!(lines[2].ends_with("x\\u{1b}[2J"), "{lines:?}");
        assert_eq!(lines[4], "");
        assert_eq!(story(&[]), ["nothing is known of it"]);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let gone = WhyRow { kind: None, endpoint: None, age_ms: None, last_refresh: None, missed: 7, ..row() };
        let text = told(&gone);
        assert!(
            text.contains("has no row") && text.contains("no traced frame") && text.contains("7 lessons"),
            "{text}"
        );
        let fixed = WhyRow { kind: Some("static".to_owned()), taught: None, moved: vec![], moved_in_all: 3, ..row() };
        let text = told(&fixed);
        assert!(text.contains("static") && text.contains("by no frame") && text.contains("3 times before"), "{text}");
    }
}
