//! How does the state become a screen? From top to bottom: what is shown and what is missing, ports, the MAC table beside the
//! neighbor table, the decisions, the one that is looked at, and the keys. It fits 80 columns and 24 lines, gives what
//! is more to the decisions, and leaves out from below where there is less.
//!
//! Names come from people: no control character of theirs reaches the terminal.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Wrap};
use switch::control::types::{ArpRow, MacRow, PortRow};
use trace::words::{self, Tone};
use trace::{Record, lost_words};

use super::app::{App, Mode, Pane};
use super::feed::Item;
use super::rates::short;
use crate::failure::one_line;
use crate::table::word_of;

/// From so many columns on, there is room for more columns of the tables, and for a frame's summary before its fate.
const WIDE: u16 = 130;

/// Characters of a bar between its brackets.
const BAR: usize = 8;

/// With colours or without; what they tell is told by words as well.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    /// May colours be used?
    pub(super) colours: bool,
}

impl Theme {
    fn of(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Learn => self.of(Color::Green),
            Tone::Forward => self.of(Color::Cyan),
            Tone::Caution => self.of(Color::Yellow),
            Tone::Speak => self.of(Color::Magenta),
            Tone::Refuse => self.of(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const MARKED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draw everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, theme: Theme) {
    let area = frame.area();
    let rest = area.height.saturating_sub(3);
    let most = (rest / 4).max(1);
    let rows = |rows: usize, least: u16| u16::try_from(rows).unwrap_or(u16::MAX).clamp(least.min(most), most);
    let ports = 1 + rows(app.ports().len(), 1);
    let tables = 1 + rows(app.macs().len().max(app.arps().len()), 2);
    let mut cut = Cut { area, y: area.y };
    let title = cut.take(1);
    let body = Rect { y: cut.y, height: area.height.saturating_sub(1), ..area };
    put(frame, title, vec![title_line(app, theme)]);
    if let Mode::Read { title, lines, above } = &app.mode {
        read(frame, body, title, lines, *above);
        return;
    }
    let ports = cut.take(ports);
    draw_ports(frame, ports, app, theme);
    let tables = cut.take(tables);
    let left = Rect { width: (area.width * 11 / 20).max(44.min(area.width)), ..tables };
    let right = Rect { x: tables.x + left.width, width: tables.width - left.width, ..tables };
    draw_macs(frame, left, app, theme);
    draw_arps(frame, right, app, theme);
    let bottom = if matches!(app.mode, Mode::Filter { .. }) { 3 } else { 2 };
    let feed = cut.take(cut.left().saturating_sub(bottom));
    draw_feed(frame, feed, app, theme);
    let bottom = cut.take(bottom);
    draw_bottom(frame, bottom, app, theme);
}

/// Takes a screen apart from above.
struct Cut {
    area: Rect,
    y: u16,
}

impl Cut {
    fn left(&self) -> u16 {
        self.area.bottom().saturating_sub(self.y)
    }

    fn take(&mut self, height: u16) -> Rect {
        let height = height.min(self.left());
        let taken = Rect { y: self.y, height, ..self.area };
        self.y += height;
        taken
    }
}

fn put(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    frame.render_widget(Paragraph::new(lines), area);
}

/// A text in its column: as wide as that, its end cut off where it is longer; with blanks behind it or before it.
fn left(text: &str, width: usize) -> String {
    format!("{:<width$} ", cut(text, width))
}

fn right(text: &str, width: usize) -> String {
    format!("{:>width$} ", cut(text, width))
}

fn cut(text: &str, width: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= width { text } else { text.chars().take(width.saturating_sub(1)).chain(['~']).collect() }
}

/// The rows of a table that a screen has room for, so that the selected one is among them.
fn window<T>(rows: Vec<T>, height: u16, selected: usize) -> impl Iterator<Item = (usize, T)> {
    let height = usize::from(height.saturating_sub(1));
    let begin = (selected + 1).saturating_sub(height);
    rows.into_iter().enumerate().skip(begin).take(height)
}

fn head(app: &App, pane: Pane, text: String) -> Line<'static> {
    Line::from(Span::styled(
        text,
        if app.pane == pane { BOLD.add_modifier(Modifier::REVERSED) } else { BOLD.add_modifier(Modifier::UNDERLINED) },
    ))
}

fn title_line(app: &mut App, theme: Theme) -> Line<'static> {
    let network =
        app.network.as_deref().map_or_else(|| "all networks".to_owned(), |name| format!("network {}", one_line(name)));
    let mut spans = vec![Span::styled("lanyard top", BOLD), Span::raw(format!("  {network}"))];
    if app.feed.is_paused() {
        let (waiting, missed) = app.feed.behind();
        let missed = if missed > 0 { format!(", {missed} passed by") } else { String::new() };
        spans.push(Span::styled(
            format!("  PAUSED ({waiting} wait{missed})"),
            theme.tone(Tone::Caution).add_modifier(Modifier::BOLD),
        ));
    }
    let unseen = app.feed.unseen();
    if unseen > 0 {
        spans.push(Span::styled(format!("  {unseen} came too fast to be shown"), theme.tone(Tone::Caution)));
    }
    if !app.filter.is_empty() {
        spans.push(Span::raw(format!("  filter: {}", one_line(&app.filter))));
    }
    let lost = app.feed.lost();
    if lost > 0 {
        spans.push(Span::styled(format!("  {}", lost_words(lost)), theme.tone(Tone::Refuse)));
    }
    if !app.fault.is_empty() {
        spans.push(Span::styled(format!("  {}", one_line(&app.fault)), theme.tone(Tone::Refuse)));
    }
    Line::from(spans)
}

fn draw_ports(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    let wide = area.width >= WIDE;
    let name = if wide { 28 } else { 14 };
    let mut columns = vec![left("PORTS", name), left("NETWORK", 8), left("KIND", 4), left("STATE", 5)];
    columns.extend(["IN f/s", "OUT f/s", "IN b/s", "OUT b/s", "DROPS"].map(|column| right(column, 7)));
    if wide {
        columns.extend([left("MAC", 17), left("IP", 20)]);
    }
    let mut lines = vec![head(app, Pane::Ports, pad(&columns.concat(), area.width))];
    let selected = app.selected(Pane::Ports);
    for (at, row) in window(app.ports(), area.height, selected) {
        let line = port_line(app, row, name, wide, theme);
        lines.push(marked(line, app.pane == Pane::Ports && at == selected));
    }
    put(frame, area, lines);
}

fn port_line(app: &App, row: &PortRow, name: usize, wide: bool, theme: Theme) -> Line<'static> {
    let rate = app.rates.of(row);
    let state = word_of(&row.state);
    let tone = if state == "up" { Style::new() } else { theme.tone(Tone::Refuse) };
    let [frames_in, frames_out] = rate.frames.map(short);
    let [bits_in, bits_out] = rate.bits.map(short);
    let mut spans = vec![
        Span::raw(left(&row.endpoint, name) + &left(&row.network, 8) + &left(&word_of(&row.kind), 4)),
        Span::styled(left(&state, 5), tone),
        Span::raw([frames_in, frames_out, bits_in, bits_out].map(|rate| right(&rate, 7)).concat()),
        Span::styled(
            right(&row.drops.to_string(), 7),
            if row.drops > 0 { theme.tone(Tone::Caution) } else { Style::new() },
        ),
    ];
    if wide {
        spans.push(Span::raw(left(&row.mac.to_string(), 17) + &left(&row.ip.to_string(), 20)));
    }
    Line::from(spans)
}

fn draw_macs(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    let wide = area.width >= WIDE / 2;
    let mut columns = left("MAC TABLE", 17) + &left("PORT", 8) + &left("AGE", BAR + 8);
    if wide {
        columns += &(right("MOVES", 6) + &left("NETWORK", 12));
    }
    let mut lines = vec![head(app, Pane::Mac, pad(&columns, area.width))];
    let selected = app.selected(Pane::Mac);
    for (at, row) in window(app.macs(), area.height, selected) {
        let (age, style) = age(app, row, theme);
        let mut spans = vec![
            Span::raw(left(&row.mac.to_string(), 17) + &left(row.endpoint.as_deref().unwrap_or("gateway"), 8)),
            Span::styled(left(&age, BAR + 8), style),
        ];
        if wide {
            spans.push(Span::raw(right(&row.moves.to_string(), 6) + &left(&row.network, 12)));
        }
        lines.push(marked(Line::from(spans), app.pane == Pane::Mac && at == selected));
    }
    put(frame, area, lines);
}

/// A bar that is full when the row is forgotten, and the age; for a row that does not age, why it does not.
fn age(app: &App, row: &MacRow, theme: Theme) -> (String, Style) {
    if row.kind != "learned" {
        return (row.kind.clone(), DIM);
    }
    let ageing = u64::try_from(app.ageing(&row.network).as_millis()).unwrap_or(u64::MAX).max(1);
    let full = usize::try_from(row.age_ms.saturating_mul(BAR as u64) / ageing).unwrap_or(BAR).min(BAR);
    let tone = if full * 4 >= BAR * 3 { Tone::Caution } else { Tone::Learn };
    (format!("[{}{}] {}s", "#".repeat(full), "-".repeat(BAR - full), row.age_ms / 1000), theme.tone(tone))
}

fn draw_arps(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    let wide = area.width >= WIDE * 2 / 5;
    let mut columns = left("ARP: IP", 15) + &left("PORT", 8) + &left("STATE", 10);
    if wide {
        columns += &left("MAC", 17);
    }
    let mut lines = vec![head(app, Pane::Arp, pad(&columns, area.width))];
    let selected = app.selected(Pane::Arp);
    for (at, row) in window(app.arps(), area.height, selected) {
        lines.push(marked(arp_line(app, row, wide, theme), app.pane == Pane::Arp && at == selected));
    }
    put(frame, area, lines);
}

fn arp_line(app: &App, row: &ArpRow, wide: bool, theme: Theme) -> Line<'static> {
    let (state, style) = if row.conflicts.is_empty() {
        (row.state.as_str(), if row.state == "incomplete" { theme.tone(Tone::Caution) } else { Style::new() })
    } else {
        ("CONFLICT", theme.tone(Tone::Refuse))
    };
    let mut spans = vec![
        Span::raw(
            left(&row.ip.to_string(), 15)
                + &left(row.port.as_deref().map_or("-", |port| app.endpoint(&row.network, port)), 8),
        ),
        Span::styled(left(state, 10), style),
    ];
    if wide {
        let mac = row.mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
        spans.push(Span::raw(left(&mac, 17)));
    }
    Line::from(spans)
}

fn draw_feed(frame: &mut Frame<'_>, area: Rect, app: &mut App, theme: Theme) {
    let height = usize::from(area.height.saturating_sub(1));
    app.page = height.max(1);
    let wide = area.width >= WIDE;
    let columns = if wide { "WHAT IT SAYS, AND WHAT BECAME OF IT" } else { "WHAT BECAME OF IT, AND WHAT IT SAYS" };
    let heading = pad(&(left("FRAME", 7) + &left("FROM -> TO", 16) + columns), area.width);
    let mut lines = vec![head(app, Pane::Feed, heading)];
    let (focused, network) = (app.pane == Pane::Feed, app.network.clone());
    for (item, gap, selected) in app.feed.window(height) {
        if gap > 0 {
            lines.push(Line::styled(format!("-- {} here", lost_words(gap)), theme.tone(Tone::Refuse)));
        }
        match item {
            Item::Frame(record) => {
                let elsewhere = network.as_ref().is_some_and(|only| *only != record.network);
                let line = if elsewhere {
                    frame_line(record, wide, theme).style(DIM)
                } else {
                    frame_line(record, wide, theme)
                };
                lines.push(marked(line, selected && focused));
            }
            Item::Lost(_) => {}
            Item::Unknown => lines.push(Line::styled("a line that is no record", DIM)),
        }
    }
    // Notices of losses push the oldest lines out, not the newest.
    let over = lines.len().saturating_sub(1 + height);
    lines.drain(1..=over);
    put(frame, area, lines);
}

fn frame_line(record: &Record, wide: bool, theme: Theme) -> Line<'static> {
    let mut spans =
        vec![Span::styled(left(&format!("#{}", record.number), 7), DIM), Span::styled(left(&path(record), 16), BOLD)];
    if wide {
        spans.push(Span::raw(left(&record.summary, 58)));
    }
    let mut used = 0;
    for (index, act) in words::acts(record).iter().enumerate() {
        let parts =
            [if index > 0 { " | " } else { "" }.to_owned(), act.word.to_owned(), format!(" {}", one_line(&act.rest))];
        used += parts.iter().map(|part| part.chars().count()).sum::<usize>();
        let [joint, word, rest] = parts;
        spans.extend([
            Span::raw(joint),
            Span::styled(word, theme.tone(act.tone)),
            Span::raw(rest.trim_end().to_owned()),
        ]);
    }
    if !wide {
        spans.push(Span::raw(" ".repeat(30usize.saturating_sub(used) + 2)));
        spans.push(Span::styled(one_line(&record.summary), DIM));
    }
    Line::from(spans)
}

/// From which port, to whom.
fn path(record: &Record) -> String {
    let from = record.port.as_deref().unwrap_or("switch");
    let to = match (record.destination, &record.destination_name) {
        (Some(mac), _) if mac.is_group() => "*".to_owned(),
        (_, Some(name)) => name.clone(),
        (Some(mac), None) => mac.to_string(),
        (None, None) => "?".to_owned(),
    };
    format!("{from} -> {to}")
}

fn draw_bottom(frame: &mut Frame<'_>, area: Rect, app: &mut App, theme: Theme) {
    if let Mode::Filter { text, wrong } = &app.mode {
        let [carets, message] = wrong.clone().unwrap_or_default();
        let lines = vec![
            Line::from(vec![Span::styled("filter: ", BOLD), Span::raw(one_line(text)), Span::styled(" ", MARKED)]),
            Line::styled(format!("        {carets}"), theme.tone(Tone::Refuse)),
            if message.is_empty() {
                Line::styled("Enter: use it   Esc: leave it   ^U: empty it (an empty one shows every frame)", DIM)
            } else {
                Line::styled(message, theme.tone(Tone::Refuse))
            },
        ];
        put(frame, area, lines);
        return;
    }
    let told = match app.feed.selected() {
        Some(Item::Frame(record)) => format!("#{} {}: {}", record.number, record.summary, words::verdict(record)),
        _ => "no frame has passed yet".to_owned(),
    };
    let keys = "/ filter  space pause  s step  w why  Tab next  jk move  n net  ? help  q quit";
    put(frame, area, vec![Line::raw(one_line(&told)), Line::styled(keys, DIM)]);
}

fn read(frame: &mut Frame<'_>, area: Rect, title: &str, lines: &[String], above: usize) {
    frame.render_widget(Clear, area);
    let mut cut = Cut { area, y: area.y };
    let heading = Span::styled(pad(&one_line(title), area.width), BOLD.add_modifier(Modifier::REVERSED));
    put(frame, cut.take(1), vec![Line::from(heading)]);
    let body = cut.take(cut.left().saturating_sub(1));
    let text: Vec<Line<'_>> = lines.iter().map(|line| Line::raw(one_line(line))).collect();
    let text = Paragraph::new(text).wrap(Wrap { trim: false });
    frame.render_widget(text.scroll((u16::try_from(above).unwrap_or(u16::MAX), 0)), body);
    put(frame, cut.take(1), vec![Line::styled("jk move  any other key goes back", DIM)]);
}

fn marked(line: Line<'static>, selected: bool) -> Line<'static> {
    if selected { line.patch_style(MARKED) } else { line }
}

fn pad(text: &str, width: u16) -> String {
    format!("{text:<width$}", width = usize::from(width))
}
