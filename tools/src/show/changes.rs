//! What has changed in the MAC table between two looks? Rows that appeared, were refreshed, moved, or are gone: what
//! `lanyard show mac --watch` tells below the table, or line by line where there is no terminal.

use std::collections::{BTreeMap, VecDeque};

use frame::MacAddr;
use switch::control::types::MacRow;

/// Events that are shown below the table.
const SHOWN: usize = 8;

/// The table at the last look, and what has happened.
#[derive(Default)]
pub(super) struct Changes {
    rows: BTreeMap<(String, MacAddr), MacRow>,
    events: VecDeque<String>,
    begun: bool,
}

impl Changes {
    /// Look at the table as it is now; what has changed since the last look, in words. The first look tells nothing.
    pub(super) fn look(&mut self, rows: &[MacRow], clock: &str) -> Vec<String> {
        let now: BTreeMap<_, _> = rows.iter().map(|row| ((row.network.clone(), row.mac), row.clone())).collect();
        let mut told = Vec::new();
        if self.begun {
            for (key, row) in &now {
                if let Some(event) = change(self.rows.get(key), row) {
                    told.push(line(clock, row, &event));
                }
            }
            for (key, row) in &self.rows {
                if !now.contains_key(key) {
                    told.push(line(clock, row, &gone(row)));
                }
            }
        }
        (self.rows, self.begun) = (now, true);
        self.events.extend(told.iter().cloned());
        while self.events.len() > SHOWN {
            self.events.pop_front();
        }
        told
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

fn gone(row: &MacRow) -> String {
    match row.kind.as_str() {
        "learned" => format!("gone from {}: aged out, evicted or flushed", place(row)),
        kind => format!("gone: the {kind} row was removed"),
    }
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
        assert!(changes.look(&[row(1, "h1", 0)], "t0").is_empty(), "what was there before is no news");
        let mut told = |rows: &[MacRow]| changes.look(rows, "t").join("|").replace("t blue  02:00:00:00:00:0", "");
        assert_eq!(told(&[row(1, "h1", 2000), row(2, "h2", 0)]), "2  new on h2");
        assert_eq!(told(&[row(1, "h1", 4000), row(2, "h2", 2000)]), "");
        assert_eq!(told(&[row(1, "h1", 0), row(2, "h2", 3000)]), "1  refreshed on h1 after 4 s");
        assert_eq!(told(&[row(1, "h3", 0), row(2, "h2", 3000)]), "1  moved from h1 to h3");
        assert_eq!(told(&[row(1, "h3", 0)]), "2  gone from h2: aged out, evicted or flushed");
        assert_eq!(changes.last().count(), 4);
    }

    #[test]
    fn the_last_events_are_kept() {
        let mut changes = Changes::default();
        changes.look(&[], "t");
        for last in 0..20 {
            changes.look(&[row(last, "h1", 0)], "t");
        }
        assert_eq!(changes.last().count(), SHOWN);
        assert!(changes.last().last().is_some_and(|event| event.contains(":12  gone")), "{:?}", changes.last().last());
    }
}
