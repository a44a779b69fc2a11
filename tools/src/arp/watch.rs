//! How is the stream of cache changes followed? The daemon's lines as they come, and, because the switch's own table has no
//! stream, a look at that twice a second. Ends with `-n`, with Ctrl-C, and when nobody reads on.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use switch::control::caches::{CacheEvent, CacheRow};

use super::view::View;
use super::{WatchArgs, json, question, switch_rows};
use crate::client::Client;
use crate::failure::{Failure, colours, print};
use crate::show::redrawn;
use crate::trace::reader_gone;

/// How often the switch's own table is looked at, and the table redrawn when nothing happens.
const LOOK: Duration = Duration::from_millis(500);

/// A line of the daemon's.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Loss { lost: u64 },
    Event(Box<CacheEvent>),
}

/// Follow until the end.
///
/// # Errors
/// When there is no daemon, when it ends, and when what it says cannot be read.
pub(super) async fn follow(client: &Client, args: &WatchArgs) -> Result<(), Failure> {
    let network = args.network.as_deref();
    let mut lines = client.stream(&question("caches/watch", network)).await?;
    let mut teller = Teller::new(args);
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while teller.left > 0 {
        tokio::select! {
            _ = ticks.tick() => {
                teller.switch(switch_rows(client, network).await?)?;
                if reader_gone() {
                    return Err(Failure::ReaderGone);
                }
            }
            arrived = lines.next() => {
                let arrived = arrived?;
                if arrived.is_empty() {
                    return Err(Failure::Work("the daemon has ended, and the watch with it".to_owned()));
                }
                for line in arrived {
                    teller.line(&line)?;
                }
            }
        }
        teller.flush()?;
    }
    Ok(())
}

/// What the reader sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The events themselves.
    Json,
    /// A line a change.
    Lines,
    /// A table that is redrawn.
    Screen,
}

/// Turns events into what the reader sees.
struct Teller {
    form: Form,
    /// Changes until the end.
    left: u64,
    view: View,
    /// The switch's own rows at the last look, if there was one.
    rows: Option<BTreeMap<(String, IpAddr), CacheRow>>,
    lost: u64,
    text: String,
    drawn: bool,
}

impl Teller {
    fn new(args: &WatchArgs) -> Self {
        let form = match (args.json, io::stdout().is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Screen,
            (false, false) => Form::Lines,
        };
        Self {
            form,
            left: args.number.unwrap_or(u64::MAX),
            view: View::new(colours(&io::stdout())),
            rows: None,
            lost: 0,
            text: String::new(),
            drawn: false,
        }
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let read = serde_json::from_str(line);
        let read =
            read.map_err(|error| Failure::work("the daemon's watch cannot be read; is it of the same version?", error));
        match read? {
            Line::Event(event) => self.event(&event, Some(line)),
            Line::Loss { lost } => {
                let new = lost.saturating_sub(self.lost);
                self.lost = lost;
                if new > 0 {
                    let said = self.view.loss(new);
                    self.say(&said, line);
                }
                Ok(())
            }
        }
    }

    /// An event, and the daemon's own words for it, if they are the daemon's.
    fn event(&mut self, event: &CacheEvent, line: Option<&str>) -> Result<(), Failure> {
        if self.left == 0 {
            return Ok(());
        }
        let said = self.view.take(event);
        match line {
            Some(line) => self.say(&said, line),
            None => self.say(&said, json(event)?.trim_end()),
        }
        self.left -= u64::from(event.state_before.is_some());
        Ok(())
    }

    /// In words, or as it came.
    fn say(&mut self, words: &str, json: &str) {
        match self.form {
            Form::Json => self.text.extend([json, "\n"]),
            Form::Lines => self.text.extend([words, "\n"]),
            Form::Screen => (),
        }
    }

    /// The switch's own table as it is now: what has changed since the last look.
    fn switch(&mut self, rows: Vec<CacheRow>) -> Result<(), Failure> {
        let now = rows.into_iter().filter_map(|row| Some(((row.network.clone(), row.ip?), row)));
        let now: BTreeMap<_, _> = now.collect();
        let before = self.rows.replace(now.clone());
        let first = before.is_none();
        let before = before.unwrap_or_default();
        for (key, row) in &now {
            let known = before.get(key);
            if known != Some(row) {
                let state = known.map_or_else(String::new, |known| known.state.clone());
                self.event(&event_of(row, (!first).then_some(state), known), None)?;
            }
        }
        for (key, row) in &before {
            if !now.contains_key(key) {
                let gone = CacheRow { mac: None, mac_name: None, state: String::new(), conflict: None, ..row.clone() };
                self.event(&event_of(&gone, Some(row.state.clone()), Some(row)), None)?;
            }
        }
        Ok(())
    }

    /// Show what there is to show.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.form == Form::Screen {
            let (columns, lines) = terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0, h.0));
            let text = self.view.screen(now_ns(), usize::from(columns), usize::from(lines));
            return print(&redrawn(&text, !std::mem::replace(&mut self.drawn, true)));
        }
        let text = std::mem::take(&mut self.text);
        if text.is_empty() { Ok(()) } else { print(&text) }
    }
}

fn event_of(row: &CacheRow, state_before: Option<String>, known: Option<&CacheRow>) -> CacheEvent {
    let row = row.clone();
    CacheEvent {
        at_unix_ns: now_ns(),
        network: row.network,
        endpoint: row.endpoint,
        ip: row.ip,
        mac: row.mac,
        mac_name: row.mac_name,
        mac_before: known.and_then(|known| known.mac),
        state_before,
        state_after: row.state,
        conflict: row.conflict,
        error: row.error,
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teller(json: bool, number: Option<u64>) -> Teller {
        let form = if json { Form::Json } else { Form::Lines };
        Teller { form, ..Teller::new(&WatchArgs { network: None, number, json }) }
    }

    fn row(state: &str) -> CacheRow {
        serde_json::from_value(serde_json::json!({
            "network": "blue", "endpoint": "switch", "ip": "10.20.0.7", "mac": "02:00:00:00:00:07", "mac_name": null,
            "state": state, "conflict": null
        }))
        .unwrap()
    }

    const CHANGE: &str = r#"{"at_unix_ns":0,"network":"blue","endpoint":"h1","ip":"10.20.0.3","mac":null,"mac_name":null,
        "mac_before":null,"state_before":"","state_after":"INCOMPLETE","conflict":null}"#;

    #[test]
    fn the_switchs_table_tells_its_changes_too() {
        let mut teller = teller(true, None);
        teller.switch(vec![row("REACHABLE")]).unwrap();
        teller.switch(vec![row("REACHABLE")]).unwrap();
        teller.switch(vec![row("STALE")]).unwrap();
        teller.switch(vec![]).unwrap();
        let states: Vec<(Option<String>, String)> = teller
            .text
            .lines()
            .map(|line| serde_json::from_str::<CacheEvent>(line).unwrap())
            .map(|event| (event.state_before, event.state_after))
            .collect();
        let said = |word: &str| Some(word.to_owned());
        let expected = [(None, "REACHABLE"), (said("REACHABLE"), "STALE"), (said("STALE"), "")];
        assert_eq!(states, expected.map(|(before, after)| (before, after.to_owned())));
    }

    #[test]
    fn it_ends_after_as_many_changes_as_were_asked_for() {
        let mut teller = teller(false, Some(1));
        teller.switch(vec![row("REACHABLE")]).unwrap();
        assert_eq!(teller.left, 1, "what was there is no change");
        teller.line(CHANGE).unwrap();
        teller.line(CHANGE).unwrap();
        assert_eq!((teller.left, teller.text.lines().count()), (0, 2), "{}", teller.text);
    }

    #[test]
    fn losses_are_told_and_garbage_is_refused() {
        let mut teller = teller(false, None);
        teller.line("{\"lost\":3}").unwrap();
        teller.line("{\"lost\":4}").unwrap();
        let lines: Vec<&str> = teller.text.lines().collect();
        assert!(lines[0].contains("3 changes lost") && lines[1].contains("1 change lost"), "{lines:?}");
        for garbage in ["", "<html>", "{}", "[]", "{\"lost\":-1}"] {
            assert!(matches!(teller.line(garbage), Err(Failure::Work(_))), "{garbage}");
        }
    }
}
