//! What is on the screen, and what does a key change? State and nothing else: no terminal, no daemon, no clock.
//!
//! Not done: a mouse; columns that can be chosen.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use switch::control::types::{ArpRow, MacRow, NetworkInfo, PortRow};
use trace::Filter;

use super::feed::{Feed, Item};
use super::rates::Rates;
use super::source::{News, Wish};
use crate::why::story;

/// The parts of the screen, in the order of Tab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pane {
    /// Ports and their rates.
    Ports,
    /// The MAC table.
    Mac,
    /// The neighbor table.
    Arp,
    /// The decisions.
    Feed,
}

/// What keys mean now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Going around.
    Browse,
    /// Writing a filter.
    Filter {
        /// As far as it is written.
        text: String,
        /// What is wrong with it, and carets under it, once it was to be used.
        wrong: Option<[String; 2]>,
    },
    /// Reading: why a frame went where it did, or who taught a row; or help.
    Read {
        /// Above it.
        title: String,
        /// The text.
        lines: Vec<String>,
        /// Lines that are scrolled away.
        above: usize,
    },
}

/// What is to be done about a key, outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// Nothing.
    Nothing,
    /// The end.
    Quit,
    /// Ask the source.
    Wish(Wish),
}

/// Everything that is shown.
pub(super) struct App {
    pub(super) pane: Pane,
    pub(super) mode: Mode,
    pub(super) feed: Feed,
    pub(super) rates: Rates,
    pub(super) filter: String,
    /// What is in the way; empty when nothing is.
    pub(super) fault: String,
    /// The only network that is shown, if one is chosen.
    pub(super) network: Option<String>,
    pub(super) networks: Vec<NetworkInfo>,
    ports: Vec<PortRow>,
    macs: Vec<MacRow>,
    arps: Vec<ArpRow>,
    /// The row that is looked at in each table.
    selected: [usize; 3],
    sampled: Option<Instant>,
    /// Lines that a page of the pane has; told by whoever draws.
    pub(super) page: usize,
}

impl App {
    /// Nothing is known yet.
    pub(super) fn new(network: Option<String>, filter: String) -> Self {
        Self {
            pane: Pane::Feed,
            mode: Mode::Browse,
            feed: Feed::default(),
            rates: Rates::default(),
            filter,
            fault: String::new(),
            network,
            networks: Vec::new(),
            ports: Vec::new(),
            macs: Vec::new(),
            arps: Vec::new(),
            selected: [0; 3],
            sampled: None,
            page: 1,
        }
    }

    /// Something has come; is there anything to draw?
    pub(super) fn take(&mut self, news: News) -> bool {
        let any = !news.lines.is_empty() || news.tables.is_some() || news.why.is_some() || news.fault.is_some();
        self.feed.take(news.lines, news.skipped);
        if let Some(fault) = news.fault {
            self.fault = fault;
        }
        if let Some((tables, at)) = news.tables {
            let passed = self.sampled.map_or(Duration::ZERO, |before| at.saturating_duration_since(before));
            self.rates.take(&tables.ports, passed);
            self.sampled = Some(at);
            (self.networks, self.ports) = (tables.networks, tables.ports);
            (self.macs, self.arps) = (tables.macs, tables.arps);
        }
        if let Some(answer) = news.why {
            let (title, lines) = match answer {
                Ok(rows) => {
                    let title = rows.first().map_or_else(|| "why".to_owned(), |row| format!("why {}", row.mac));
                    (title, story(&rows))
                }
                Err(refusal) => ("why".to_owned(), vec![refusal]),
            };
            self.mode = Mode::Read { title, lines, above: 0 };
        }
        any
    }

    fn here(&self, network: &str) -> bool {
        self.network.as_deref().is_none_or(|only| only == network)
    }

    /// The ports that are shown.
    pub(super) fn ports(&self) -> Vec<&PortRow> {
        self.ports.iter().filter(|row| self.here(&row.network)).collect()
    }

    /// The rows of the MAC table that are shown.
    pub(super) fn macs(&self) -> Vec<&MacRow> {
        self.macs.iter().filter(|row| self.here(&row.network)).collect()
    }

    /// The neighbors that are shown.
    pub(super) fn arps(&self) -> Vec<&ArpRow> {
        self.arps.iter().filter(|row| self.here(&row.network)).collect()
    }

    /// Who is behind a port.
    pub(super) fn endpoint<'a>(&'a self, network: &str, port: &'a str) -> &'a str {
        let of = self.ports.iter().find(|row| row.network == network && row.port == port);
        of.map_or(port, |row| row.endpoint.as_str())
    }

    /// How long a silent address is remembered on a network.
    pub(super) fn ageing(&self, network: &str) -> Duration {
        let of = self.networks.iter().find(|info| info.name == network);
        Duration::from_secs(of.map_or(300, |info| u64::from(info.ageing)))
    }

    fn rows(&self, pane: Pane) -> usize {
        match pane {
            Pane::Ports => self.ports().len(),
            Pane::Mac => self.macs().len(),
            Pane::Arp => self.arps().len(),
            Pane::Feed => 0,
        }
    }

    /// The row that is looked at in a table; rows may have gone since it was chosen.
    pub(super) fn selected(&self, pane: Pane) -> usize {
        let at = self.selected.get(pane as usize).copied().unwrap_or(0);
        at.min(self.rows(pane).saturating_sub(1))
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Act {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Act::Quit;
        }
        match &mut self.mode {
            Mode::Browse => self.browse(key.code),
            Mode::Filter { .. } => self.write(key),
            Mode::Read { lines, above, .. } => {
                let last = lines.len().saturating_sub(1);
                match key.code {
                    KeyCode::Down | KeyCode::Char('j') => *above = (*above + 1).min(last),
                    KeyCode::Up | KeyCode::Char('k') => *above = above.saturating_sub(1),
                    KeyCode::PageDown => *above = (*above + 10).min(last),
                    KeyCode::PageUp => *above = above.saturating_sub(10),
                    _ => self.mode = Mode::Browse,
                }
                Act::Nothing
            }
        }
    }

    fn browse(&mut self, code: KeyCode) -> Act {
        let page = isize::try_from(self.page.max(1)).unwrap_or(1);
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Act::Quit,
            KeyCode::Char('/') => self.mode = Mode::Filter { text: self.filter.clone(), wrong: None },
            KeyCode::Char(' ') => self.feed.pause(),
            KeyCode::Char('s') => self.feed.step(),
            KeyCode::Char('n') => self.next_network(),
            KeyCode::Char('?' | 'h') => self.mode = help(),
            KeyCode::Char('w') | KeyCode::Enter => return self.why(),
            KeyCode::Tab => self.pane = self.beside(1),
            KeyCode::BackTab => self.pane = self.beside(3),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::PageDown => self.go(page),
            KeyCode::PageUp => self.go(-page),
            KeyCode::Home | KeyCode::Char('g') => self.go(isize::MIN / 2),
            KeyCode::End | KeyCode::Char('G') => self.go(isize::MAX / 2),
            _ => {}
        }
        Act::Nothing
    }

    fn beside(&self, by: usize) -> Pane {
        let panes = [Pane::Ports, Pane::Mac, Pane::Arp, Pane::Feed];
        panes[(self.pane as usize + by) % panes.len()]
    }

    fn go(&mut self, by: isize) {
        if self.pane == Pane::Feed {
            self.feed.go(by);
            return;
        }
        let last = self.rows(self.pane).saturating_sub(1);
        let to = self.selected(self.pane).saturating_add_signed(by).min(last);
        if let Some(selected) = self.selected.get_mut(self.pane as usize) {
            *selected = to;
        }
    }

    fn next_network(&mut self) {
        let at = self.network.as_ref().and_then(|name| self.networks.iter().position(|info| info.name == *name));
        let next = match (&self.network, at) {
            (Some(_), Some(at)) => self.networks.get(at + 1),
            (Some(_), None) => None,
            (None, _) => self.networks.first(),
        };
        self.network = next.map(|info| info.name.clone());
        self.selected = [0; 3];
    }

    /// Why is what is looked at as it is?
    fn why(&mut self) -> Act {
        let station = match self.pane {
            Pane::Feed => {
                if let Some(Item::Frame(record)) = self.feed.selected() {
                    let lines = trace::tree(record, trace::Style::Plain).lines().map(str::to_owned).collect();
                    self.mode = Mode::Read { title: format!("why #{}", record.number), lines, above: 0 };
                }
                return Act::Nothing;
            }
            Pane::Ports => self.ports().get(self.selected(Pane::Ports)).map(|row| (&row.network, row.mac)),
            Pane::Mac => self.macs().get(self.selected(Pane::Mac)).map(|row| (&row.network, row.mac)),
            Pane::Arp => {
                self.arps().get(self.selected(Pane::Arp)).and_then(|row| row.mac.map(|mac| (&row.network, mac)))
            }
        };
        station.map_or(Act::Nothing, |(network, mac)| {
            Act::Wish(Wish::Why { network: network.clone(), station: mac.to_string() })
        })
    }

    /// A key, while a filter is written.
    fn write(&mut self, key: KeyEvent) -> Act {
        let Mode::Filter { text, wrong } = &mut self.mode else { return Act::Nothing };
        match key.code {
            KeyCode::Esc => self.mode = Mode::Browse,
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => text.clear(),
            KeyCode::Char(c) if !c.is_control() && !key.modifiers.contains(KeyModifiers::CONTROL) => text.push(c),
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Enter => match Filter::parse(text) {
                Ok(_) => {
                    self.filter = text.trim().to_owned();
                    self.mode = Mode::Browse;
                    self.feed.clear();
                    return Act::Wish(Wish::Filter(self.filter.clone()));
                }
                Err(error) => {
                    let carets = error.pointed().lines().nth(1).unwrap_or_default().to_owned();
                    *wrong = Some([carets, error.to_string()]);
                    return Act::Nothing;
                }
            },
            _ => {}
        }
        if let Mode::Filter { wrong, .. } = &mut self.mode {
            *wrong = None;
        }
        Act::Nothing
    }
}

fn help() -> Mode {
    let lines = [
        "/         show only frames that pass a filter (the words of 'lanyard trace')",
        "space     hold the decisions still, and go on",
        "s         while they are held: one more",
        "w, Enter  why: the frame's steps, or who taught the row",
        "Tab       the next part of the screen; Shift-Tab the one before",
        "j k, arrows, PgUp PgDn, g G   up and down in it",
        "n         the next network only; after the last, all",
        "q, Esc    the end",
        "",
        "Ports: what came in from the container and what went out to it, a second.",
        "MAC table: the bar is a row's age; when it is full, the row is forgotten.",
        "Decisions: one frame a line; what was lost, or too fast, is counted above.",
    ];
    Mode::Read { title: "help".to_owned(), lines: lines.map(str::to_owned).to_vec(), above: 0 }
}
