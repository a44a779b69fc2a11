//! How do caches and their changes look? Columns, a line a change, or both on one screen.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use frame::MacAddr;
use switch::control::caches::{CacheEvent, CacheRow};

use super::SWITCH;
use crate::failure::one_line;
use crate::table::{Lean, Table, or_nothing};

/// How long a changed row stays marked.
const MARKED: Duration = Duration::from_secs(5);
/// Changes that are shown below the table.
const SHOWN: usize = 8;

// ECMA-48, 8.3.117.
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// In the order of the table: the switch first, then the hosts.
pub(super) fn sort(rows: &mut [CacheRow]) {
    rows.sort_by_cached_key(order);
}

/// `h2` comes before `h10`.
type Order = (String, bool, usize, String, Option<IpAddr>);

fn order(row: &CacheRow) -> Order {
    let is_host = row.endpoint != SWITCH;
    (row.network.clone(), is_host, row.endpoint.len(), row.endpoint.clone(), row.ip)
}

/// Aligned columns, line by line; the first line is the header.
pub(super) fn table(rows: &[CacheRow]) -> Vec<String> {
    let columns = ["NETWORK", "HOST", "IP", "MAC", "WHOSE", "STATE", "NOTE"];
    let mut table = Table::new(columns.map(|name| (name, Lean::Left)));
    for row in rows {
        table.row([
            row.network.clone(),
            row.endpoint.clone(),
            or_nothing(row.ip.as_ref()),
            or_nothing(row.mac.as_ref()),
            row.mac_name.clone().unwrap_or_default(),
            row.state.clone(),
            note(row.conflict.as_deref(), row.error.as_deref()),
        ]);
    }
    table.render().lines().map(str::to_owned).collect()
}

fn note(conflict: Option<&str>, error: Option<&str>) -> String {
    match (conflict, error) {
        (Some(conflict), _) => format!("CONFLICT: {conflict}"),
        (None, Some(error)) => format!("cannot be read: {error}"),
        (None, None) => String::new(),
    }
}

fn called(mac: Option<MacAddr>, name: Option<&str>) -> Option<String> {
    mac.map(|mac| name.map_or_else(|| mac.to_string(), |name| format!("{mac} ({name})")))
}

struct Shown {
    row: CacheRow,
    changed_unix_ns: u64,
}

/// What the watch has heard so far.
pub(super) struct View {
    colours: bool,
    rows: BTreeMap<Order, Shown>,
    last: VecDeque<String>,
    /// Of the columns of [`View::take`]'s lines, so that they stay aligned.
    widths: [usize; 3],
}

impl View {
    /// Nothing yet.
    pub(super) fn new(colours: bool) -> Self {
        Self { colours, rows: BTreeMap::new(), last: VecDeque::new(), widths: [0; 3] }
    }

    /// Take an event in, and say it in a line.
    pub(super) fn take(&mut self, event: &CacheEvent) -> String {
        let row = CacheRow::from(event.clone());
        let key = order(&row);
        let changed_unix_ns = if event.state_before.is_some() { event.at_unix_ns } else { 0 };
        if event.ip.is_some() {
            // A row of it: so it can be read again.
            self.rows.remove(&(key.0.clone(), key.1, key.2, key.3.clone(), None));
        }
        if event.ip.is_some() && row.state.is_empty() {
            self.rows.remove(&key);
        } else {
            self.rows.insert(key, Shown { row, changed_unix_ns });
        }
        let line = self.line(event);
        if event.state_before.is_some() || event.error.is_some() {
            self.keep(line.clone());
        }
        line
    }

    /// So many events did not come.
    pub(super) fn loss(&mut self, count: u64) -> String {
        let line = format!("-- {count} change{} lost: the table is read anew --", if count == 1 { "" } else { "s" });
        self.rows.clear();
        self.keep(line.clone());
        line
    }

    fn keep(&mut self, line: String) {
        self.last.push_back(line);
        if self.last.len() > SHOWN {
            self.last.pop_front();
        }
    }

    /// `12:00:01.004 blue h1  10.20.0.3  INCOMPLETE -> REACHABLE  02:42:0a:14:00:03 (h2)`
    fn line(&mut self, event: &CacheEvent) -> String {
        let ip = or_nothing(event.ip.as_ref());
        for (width, cell) in self.widths.iter_mut().zip([&event.network, &event.endpoint, &ip]) {
            *width = (*width).max(cell.chars().count());
        }
        let [network, endpoint, address] = self.widths;
        let place =
            format!("{:network$} {:endpoint$}  {ip:address$}", one_line(&event.network), one_line(&event.endpoint));
        let words = [
            change(event),
            macs(event),
            match note(event.conflict.as_deref(), event.error.as_deref()) {
                note if note.is_empty() => None,
                note => Some(one_line(&note)),
            },
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        format!("{} {place}  {}", trace::clock(event.at_unix_ns), words.join("  "))
    }

    /// The table and the last changes, cut to a screen of that size.
    pub(super) fn screen(&self, now_unix_ns: u64, columns: usize, lines: usize) -> String {
        let rows: Vec<CacheRow> = self.rows.values().map(|shown| shown.row.clone()).collect();
        let table = table(&rows);
        // A heading, a blank line, the last changes; and the line where the cursor rests.
        let room = lines.saturating_sub(self.last.len() + 3).max(2);
        let mut text = Vec::new();
        let marks = std::iter::once(None).chain(self.rows.values().map(Some));
        for (line, shown) in table.iter().zip(marks).take(if table.len() > room { room - 1 } else { room }) {
            text.push(self.marked(line, shown, now_unix_ns, columns));
        }
        if table.len() > room {
            text.push(cut(&format!("  .. and {} more: a taller window or --network", table.len() + 1 - room), columns));
        }
        text.push(String::new());
        text.push(cut("  Last changes (Ctrl-C ends):", columns));
        text.extend(self.last.iter().map(|line| cut(&format!("  {line}"), columns)));
        text.join("\n") + "\n"
    }

    fn marked(&self, line: &str, shown: Option<&Shown>, now_unix_ns: u64, columns: usize) -> String {
        let Some(shown) = shown else { return cut(&format!("  {line}"), columns) };
        let age = Duration::from_nanos(now_unix_ns.saturating_sub(shown.changed_unix_ns));
        let (mark, colour) = match (&shown.row.conflict, age < MARKED) {
            (Some(_), _) => ("! ", RED),
            (None, true) => ("* ", BOLD),
            (None, false) => ("  ", ""),
        };
        let line = cut(&format!("{mark}{line}"), columns);
        if self.colours && !colour.is_empty() { format!("{colour}{line}{PLAIN}") } else { line }
    }
}

fn change(event: &CacheEvent) -> Option<String> {
    let state = |state: &str, none: &str| if state.is_empty() { none.to_owned() } else { one_line(state) };
    event.ip?;
    let after = state(&event.state_after, "gone");
    Some(match &event.state_before {
        None => format!("is {after}"),
        Some(before) => format!("{} -> {after}", state(before, "none")),
    })
}

/// The MAC address; both, when it was another one before.
fn macs(event: &CacheEvent) -> Option<String> {
    let now = called(event.mac, event.mac_name.as_deref());
    let before = event.mac_before.filter(|before| event.mac.is_some_and(|now| now != *before));
    match (before, now) {
        (Some(before), Some(now)) => Some(format!("{before} -> {now}")),
        (_, now) => now,
    }
}

fn cut(line: &str, columns: usize) -> String {
    line.chars().take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(endpoint: &str, before: Option<&str>, after: &str, mac: Option<&str>) -> CacheEvent {
        serde_json::from_value(serde_json::json!({
            "at_unix_ns": 43_201_004_000_000u64, "network": "blue", "endpoint": endpoint, "ip": "10.20.0.3", "mac": mac,
            "mac_name": mac.map(|_| "h2"), "mac_before": null, "state_before": before, "state_after": after,
            "conflict": null
        }))
        .unwrap()
    }

    const H2: &str = "02:42:0a:14:00:03";

    #[test]
    fn a_change_is_a_line() {
        let mut view = View::new(false);
        let mut said = |event: &CacheEvent| view.take(event).replace("12:00:01.004 blue h1  10.20.0.3  ", "");
        assert_eq!(
            said(&event("h1", Some("INCOMPLETE"), "REACHABLE", Some(H2))),
            "INCOMPLETE -> REACHABLE  02:42:0a:14:00:03 (h2)"
        );
        assert_eq!(said(&event("h1", Some(""), "INCOMPLETE", None)), "none -> INCOMPLETE");
        assert_eq!(said(&event("h1", None, "STALE", Some(H2))), "is STALE  02:42:0a:14:00:03 (h2)");
        assert_eq!(said(&event("h1", Some("FAILED"), "", None)), "FAILED -> gone");
        let before = Some(MacAddr([2, 0, 0, 0, 0, 9]));
        let moved = CacheEvent { mac_before: before, ..event("h1", Some("STALE"), "STALE", Some(H2)) };
        assert_eq!(said(&moved), "STALE -> STALE  02:00:00:00:00:09 -> 02:42:0a:14:00:03 (h2)");
        let poisoned = CacheEvent { conflict: Some("why".to_owned()), ..moved };
        assert!(said(&poisoned).ends_with("  CONFLICT: why"));
        let closed = CacheEvent { ip: None, error: Some("no\nway".to_owned()), ..event("h1", None, "", None) };
        assert!(said(&closed).ends_with("cannot be read: no\\nway"));
    }

    #[test]
    fn the_switch_comes_first_and_rows_line_up() {
        let mut view = View::new(false);
        for endpoint in ["h10", "h2", "switch"] {
            view.take(&event(endpoint, None, "STALE", Some(H2)));
        }
        let text = view.screen(u64::MAX, 80, 24);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  NETWORK  HOST    IP         MAC                WHOSE  STATE  NOTE");
        assert_eq!(lines[1], "  blue     switch  10.20.0.3  02:42:0a:14:00:03  h2     STALE  -");
        assert!(lines[2].contains(" h2 ") && lines[3].contains(" h10 "), "{text}");
    }

    #[test]
    fn changed_rows_and_conflicts_are_marked_for_a_while() {
        let mut view = View::new(true);
        let changed = event("h1", Some("STALE"), "DELAY", Some(H2));
        view.take(&changed);
        view.take(&CacheEvent { conflict: Some("why".to_owned()), ..event("h2", None, "STALE", Some(H2)) });
        let soon = view.screen(changed.at_unix_ns + 1_000_000_000, 80, 24);
        assert!(soon.contains("\x1b[1m* blue     h1") && soon.contains("\x1b[31m! blue     h2"), "{soon}");
        let later = view.screen(changed.at_unix_ns + 6_000_000_000, 80, 24);
        assert!(later.contains("\n  blue     h1") && later.contains("! blue     h2"), "{later}");
        assert!(later.contains("STALE -> DELAY"), "the last changes stay");
    }

    #[test]
    fn a_screen_is_never_overfull() {
        let mut view = View::new(false);
        for host in 0..50 {
            view.take(&event(&format!("h{host}"), Some(""), "STALE", Some(H2)));
        }
        let text = view.screen(0, 40, 24);
        assert!(text.lines().count() < 24, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("more: a taller"), "{text}");
        assert_eq!(View::new(false).screen(0, 80, 24).lines().count(), 3);
    }

    #[test]
    fn a_cache_that_can_be_read_again_is_no_longer_told_not_to_be() {
        let mut view = View::new(false);
        view.take(&CacheEvent { ip: None, error: Some("why".to_owned()), ..event("h1", None, "", None) });
        assert!(view.screen(0, 80, 24).contains("cannot be read"));
        view.take(&event("h1", Some(""), "STALE", Some(H2)));
        assert_eq!(view.rows.len(), 1);
    }
}
