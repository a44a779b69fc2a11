//! What has changed in the MAC table between two looks? Rows that appeared, were refreshed, moved, or are gone: what
//! `lanyard show mac --watch` tells below the table, or line by line where there is no terminal.
//!
//! Why a row is gone is told where it can be: its port is gone or down, or it was silent for as long as the network lets it,
//! counted with what `lanyard clock warp` has added.
//!
//! Not done: rows that come and go between two looks; whether a row was evicted or flushed.

use std::collections::{BTreeMap, VecDeque};

use frame::MacAddr;
use switch::control::types::{ClockRow, MacRow, PortRow, PortState};

/// Events that are shown below the table.
const SHOWN: usize = 8;

/// What is seen at one look.
#[derive(Default)]
pub(super) struct Look<'a> {
    /// The table.
    pub(super) rows: &'a [MacRow],
    /// The networks' clocks, asked before the table.
    pub(super) before: &'a [ClockRow],
    /// Those, and the ports, asked behind it, because rows are gone; nothing where they could not be asked.
    pub(super) after: &'a [ClockRow],
    pub(super) ports: Option<&'a [PortRow]>,
    /// Milliseconds since the last look.
    pub(super) since_ms: u64,
}

/// The table at the last look, and what has happened.
#[derive(Default)]
pub(super) struct Changes {
    rows: BTreeMap<(String, MacAddr), MacRow>,
    /// The networks' clocks before that look.
    clocks: Vec<ClockRow>,
    events: VecDeque<String>,
    begun: bool,
}

impl Changes {
    /// Look at the table as it is now; what has changed since the last look, in words. The first look tells nothing.
    pub(super) fn look(&mut self, look: &Look<'_>, clock: &str) -> Vec<String> {
        let now = by_address(look.rows);
        let mut told = Vec::new();
        if self.begun {
            for (key, row) in &now {
                if let Some(event) = change(self.rows.get(key), row) {
                    told.push(line(clock, row, &event));
                }
            }
            for (key, row) in &self.rows {
                if !now.contains_key(key) {
                    told.push(line(clock, row, &self.gone(row, look)));
                }
            }
        }
        (self.rows, self.clocks, self.begun) = (now, look.before.to_vec(), true);
        self.events.extend(told.iter().cloned());
        while self.events.len() > SHOWN {
            self.events.pop_front();
        }
        told
    }

    /// Are rows of the last look gone?
    pub(super) fn misses(&self, rows: &[MacRow]) -> bool {
        let now = by_address(rows);
        self.rows.keys().any(|key| !now.contains_key(key))
    }

    fn gone(&self, row: &MacRow, look: &Look<'_>) -> String {
        if row.kind != "learned" {
            return format!("gone: the {} row was removed", row.kind);
        }
        let port = look.ports.map(|ports| {
            let of_row = |port: &&PortRow| port.network == row.network && Some(&port.port) == row.port.as_ref();
            ports.iter().find(of_row).map_or(PortState::Gone, |port| port.state)
        });
        let why = match port {
            Some(PortState::Gone) => "its port is gone",
            Some(PortState::Down) => "its port is down",
            _ if self.is_old(row, look) => "aged out",
            _ => "aged out, evicted or flushed",
        };
        format!("gone from {}: {why}", place(row))
    }

    /// Was the row silent for as long as it may be? A table counts in 128ths of the ageing time.
    fn is_old(&self, row: &MacRow, look: &Look<'_>) -> bool {
        let of_network = |clocks: &[ClockRow]| clocks.iter().find(|clock| clock.network == row.network).cloned();
        let (Some(before), Some(after)) = (of_network(&self.clocks), of_network(look.after)) else { return false };
        let warped = after.warped_ms.saturating_sub(before.warped_ms);
        let age = row.age_ms.saturating_add(look.since_ms).saturating_add(warped);
        age.saturating_add(after.ageing_ms / 64) >= after.ageing_ms
    }

    /// The last events, oldest first.
    pub(super) fn last(&self) -> impl Iterator<Item = &String> {
        self.events.iter()
    }
}

fn change(before: Option<&MacRow>, row: &MacRow) -> Option<String> {
    let Some(before) = before else { return Some(format!("new on {}", place(row))) };
    if before.port != row.port {
        return Some(format!("moved from {} to {}", place(before), place(row)));
    }
    // An age that has gone back: the station was heard.
    (row.kind == "learned" && row.age_ms < before.age_ms)
        .then(|| format!("refreshed on {} after {} s", place(row), before.age_ms / 1000))
}

fn by_address(rows: &[MacRow]) -> BTreeMap<(String, MacAddr), MacRow> {
    rows.iter().map(|row| ((row.network.clone(), row.mac), row.clone())).collect()
}

fn place(row: &MacRow) -> &str {
    row.endpoint.as_deref().or(row.port.as_deref()).unwrap_or("the gateway")
}

fn line(clock: &str, row: &MacRow, event: &str) -> String {
    format!("{clock} {}  {}  {event}", row.network, row.mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(last: u8, endpoint: &str, age_ms: u64) -> MacRow {
        serde_json::from_value(serde_json::json!({
            "network": "blue", "mac": format!("02:00:00:00:00:{last:02x}"), "port": format!("p-{endpoint}"),
            "endpoint": endpoint, "kind": "learned", "age_ms": age_ms, "moves": 0
        }))
        .unwrap()
    }

    #[test]
    fn rows_appear_are_refreshed_move_and_go() {
        let mut changes = Changes::default();
        assert!(changes.look(&only(&[row(1, "h1", 0)]), "t0").is_empty(), "what was there before is no news");
        let mut told =
            |rows: &[MacRow]| changes.look(&only(rows), "t").join("|").replace("t blue  02:00:00:00:00:0", "");
        assert_eq!(told(&[row(1, "h1", 2000), row(2, "h2", 0)]), "2  new on h2");
        assert_eq!(told(&[row(1, "h1", 4000), row(2, "h2", 2000)]), "");
        assert_eq!(told(&[row(1, "h1", 0), row(2, "h2", 3000)]), "1  refreshed on h1 after 4 s");
        assert_eq!(told(&[row(1, "h3", 0), row(2, "h2", 3000)]), "1  moved from h1 to h3");
        assert_eq!(told(&[row(1, "h3", 0)]), "2  gone from h2: aged out, evicted or flushed");
        assert_eq!(changes.last().count(), 4);
    }

    fn only(rows: &[MacRow]) -> Look<'_> {
        Look { rows, ..Look::default() }
    }

    fn clock(warped_ms: u64) -> Vec<ClockRow> {
        vec![ClockRow { network: "blue".to_owned(), ageing_ms: 300_000, warped_ms }]
    }

    fn port(state: &str) -> PortRow {
        serde_json::from_value(serde_json::json!({
            "network": "blue", "port": "p-h1", "endpoint": "h1", "kind": "tap", "state": state,
            "mac": "02:00:00:00:00:01", "ip": "10.20.0.2", "rx_frames": 0, "rx_bytes": 0, "tx_frames": 0, "tx_bytes": 0,
            "drops": 0
        }))
        .unwrap()
    }

    #[test]
    fn why_a_row_is_gone_is_told_where_it_can_be() {
        let told = |age_ms, warped: u64, since_ms, ports: Option<&[PortRow]>| {
            let mut changes = Changes::default();
            changes.look(&Look { rows: &[row(1, "h1", age_ms)], before: &clock(7), ..Look::default() }, "t");
            assert!(changes.misses(&[row(2, "h1", 0)]) && !changes.misses(&[row(1, "h1", 0), row(2, "h1", 0)]));
            let after = clock(7 + warped);
            let told = changes.look(&Look { after: &after, ports, since_ms, ..Look::default() }, "t");
            told[0].split_once(" from h1: ").unwrap().1.to_owned()
        };
        let (unknown, up) = ("aged out, evicted or flushed", Some(&[port("up")][..]));
        assert_eq!(told(2_000, 300_000, 250, up), "aged out", "the clock was moved");
        assert_eq!(told(297_600, 0, 250, up), "aged out");
        assert_eq!(told(290_000, 0, 10_000, None), "aged out");
        assert_eq!(told(200_000, 60_000, 250, up), unknown);
        assert_eq!(told(2_000, 0, 250, up), unknown);
        assert_eq!(told(2_000, 300_000, 250, Some(&[])), "its port is gone");
        assert_eq!(told(2_000, 0, 250, Some(&[port("gone")])), "its port is gone");
        assert_eq!(told(2_000, 0, 250, Some(&[port("down")])), "its port is down");
    }

    #[test]
    fn the_last_events_are_kept() {
        let mut changes = Changes::default();
        changes.look(&only(&[]), "t");
        for last in 0..20 {
            changes.look(&only(&[row(last, "h1", 0)]), "t");
        }
        assert_eq!(changes.last().count(), SHOWN);
        assert!(changes.last().last().is_some_and(|event| event.contains(":12  gone")), "{:?}", changes.last().last());
    }
}
