//! Did what the exercise is about really happen? Predicates over the decision log, the tables and commands.
//!
//! | a check says | it holds when |
//! | --- | --- |
//! | `exists = FILTER` | a frame matches |
//! | `never = FILTER` | none does |
//! | `count = FILTER`, `at-least`, `at-most` | so many do |
//! | `before = [FILTER, FILTER]` | the first frame of the one kind came before the first of the other |
//! | `within = { first, then, ms }` | after the first frame of the one kind, one of the other came in that time |
//! | `mac = { host, port }` | the switch's MAC table has the host on that port; `port = "none"`: it has no row |
//! | `entries = { network }`, `at-least`, `at-most` | that many rows were learned |
//! | `arp = { on, host, state, mac }` | a host's ARP cache says so of another; `state = ["none"]`: it has no entry |
//! | `command = { run, exit, contains }` | it ends so, and prints that |
//!
//! A check of a step looks at that step's frames, a check of the exercise at all of them.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use trace::Record;
use trace::filter::Filter;

use super::command::Line;
use super::exercise::Reader;
use super::file::{CheckForm, Word};
use super::seen::Seen;
use crate::failure::Failure;

/// The states that a host's ARP cache knows (`ip-neighbour(8)`), and none.
const STATES: [&str; 9] =
    ["INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT", "none"];

/// A check.
#[derive(Debug)]
pub(super) struct Check {
    /// What it is called in lists.
    pub(super) id: String,
    /// What holds, in words.
    pub(super) say: String,
    /// What it is worth.
    pub(super) points: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    Exists(Filter),
    Never(Filter),
    Count(Filter, RangeInclusive<u64>),
    Before(Filter, Filter),
    Within { first: Filter, then: Filter, ms: u64 },
    Mac { host: String, port: String },
    Entries { network: String, count: RangeInclusive<u64> },
    Arp { on: String, host: String, states: Vec<String>, mac: Option<String> },
    Command { line: Line, exit: Option<i32>, contains: Option<String> },
}

/// Whether a check holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Does it hold?
    pub(super) ok: bool,
    /// What was found.
    pub(super) why: String,
}

impl Check {
    /// Read a check.
    ///
    /// # Errors
    /// It says nothing, two things, or something that is not there.
    pub(super) fn read(reader: &Reader<'_>, form: &CheckForm, ids: &mut HashSet<String>) -> Result<Self, Failure> {
        let id = reader.item(&form.id, ids)?;
        let points = reader.points(form.points.as_ref())?;
        let what = what(reader, form)?;
        let bounded = matches!(what, What::Count(..) | What::Entries { .. });
        if let (Some(bound), false) = (form.at_least.as_ref().or(form.at_most.as_ref()), bounded) {
            let why = "'at-least' and 'at-most' belong to 'count' and 'entries'";
            return Err(reader.source.fault(bound.span(), why));
        }
        Ok(Self { id, say: form.say.clone(), points, what })
    }

    /// Does it run a command, and so make frames of its own?
    pub(super) const fn runs_a_command(&self) -> bool {
        matches!(self.what, What::Command { .. })
    }

    /// Does it hold?
    pub(super) fn look(&self, seen: &Seen<'_>) -> Finding {
        let found = match &self.what {
            What::Exists(filter) => Ok(exists(seen, filter)),
            What::Never(filter) => Ok(never(seen, filter)),
            What::Count(filter, count) => Ok(counted(seen, filter, count)),
            What::Before(first, then) => Ok(before(seen, first, then)),
            What::Within { first, then, ms } => Ok(within(seen, first, then, *ms)),
            What::Mac { host, port } => mac(seen, host, port),
            What::Entries { network, count } => seen.learned(network).map(|rows| {
                let rows = rows.len() as u64;
                Finding { ok: count.contains(&rows), why: format!("{network} has {} learned", plural(rows, "address")) }
            }),
            What::Arp { on, host, states, mac } => arp(seen, (on, host), states, mac.as_deref()),
            What::Command { line, exit, contains } => command(seen, line, *exit, contains.as_deref()),
        };
        found.unwrap_or_else(|why| Finding { ok: false, why })
    }
}

fn what(reader: &Reader<'_>, form: &CheckForm) -> Result<What, Failure> {
    let mut found = Vec::new();
    let filter = |word: &Word| reader.filter(word);
    if let Some(word) = &form.exists {
        found.push(What::Exists(filter(word)?));
    }
    if let Some(word) = &form.never {
        found.push(What::Never(filter(word)?));
    }
    if let Some(word) = &form.count {
        found.push(What::Count(filter(word)?, bounds(reader, form)?));
    }
    if let Some(pair) = &form.before {
        let [first, then] = pair.get_ref().as_slice() else {
            return Err(reader.source.fault(pair.span(), "'before' needs two filters: what came first, and what then"));
        };
        found.push(What::Before(filter(first)?, filter(then)?));
    }
    if let Some(form) = &form.within {
        found.push(What::Within { first: filter(&form.first)?, then: filter(&form.then)?, ms: *form.ms.get_ref() });
    }
    if let Some(form) = &form.mac {
        let port = match form.port.get_ref().as_str() {
            "none" => "none".to_owned(),
            _ => reader.port(&form.port)?,
        };
        found.push(What::Mac { host: reader.host(&form.host)?, port });
    }
    if let Some(entries) = &form.entries {
        found.push(What::Entries { network: reader.network(&entries.network)?, count: bounds(reader, form)? });
    }
    if let Some(form) = &form.arp {
        let states = form.state.iter().map(|word| state(reader, word)).collect::<Result<Vec<_>, _>>()?;
        let mac = form.mac.as_ref().map(|word| reader.host(word)).transpose()?;
        if states.is_empty() && mac.is_none() {
            return Err(reader.source.fault(form.host.span(), "'arp' needs a 'state', a 'mac', or both"));
        }
        found.push(What::Arp { on: reader.host(&form.on)?, host: reader.host(&form.host)?, states, mac });
    }
    if let Some(form) = &form.command {
        let line = reader.line(&form.run)?;
        found.push(What::Command { line, exit: form.exit, contains: form.contains.clone() });
    }
    if found.len() > 1 {
        return Err(reader.source.fault(form.id.span(), "a check says one thing: make two checks of it"));
    }
    let nothing = "a check says one of exists, never, count, before, within, mac, entries, arp, command";
    found.pop().ok_or_else(|| reader.source.fault(form.id.span(), nothing))
}

fn bounds(reader: &Reader<'_>, form: &CheckForm) -> Result<RangeInclusive<u64>, Failure> {
    let least = form.at_least.as_ref().map(|least| *least.get_ref());
    let most = form.at_most.as_ref().map(|most| *most.get_ref());
    if least.is_none() && most.is_none() {
        return Err(reader.source.fault(form.id.span(), "how many? write 'at-least', 'at-most', or both"));
    }
    Ok(least.unwrap_or(0)..=most.unwrap_or(u64::MAX))
}

fn state(reader: &Reader<'_>, word: &Word) -> Result<String, Failure> {
    let text = word.get_ref();
    if STATES.contains(&text.as_str()) {
        return Ok(text.clone());
    }
    Err(reader.source.fault(word.span(), format!("'{text}' is no state: known are {}", STATES.join(", "))))
}

/// `#3 ARP who-has ..`, as a finding names a frame.
fn named(record: &Record) -> String {
    format!("frame #{}: {}", record.number, record.summary)
}

/// What is no longer there may have matched.
fn but_missed(seen: &Seen<'_>) -> String {
    match seen.missed {
        0 => String::new(),
        missed => format!(" ({missed} more frames are no longer in the log)"),
    }
}

fn exists(seen: &Seen<'_>, filter: &Filter) -> Finding {
    match seen.matching(filter).next() {
        Some(record) => Finding { ok: true, why: named(record) },
        None => Finding { ok: false, why: format!("no frame was '{filter}'{}", but_missed(seen)) },
    }
}

fn never(seen: &Seen<'_>, filter: &Filter) -> Finding {
    match seen.matching(filter).next() {
        Some(record) => Finding { ok: false, why: format!("there was {}", named(record)) },
        None if seen.missed > 0 => Finding { ok: false, why: format!("nobody can tell{}", but_missed(seen)) },
        None => Finding { ok: true, why: format!("no frame was '{filter}'") },
    }
}

fn counted(seen: &Seen<'_>, filter: &Filter, count: &RangeInclusive<u64>) -> Finding {
    let found = seen.matching(filter).count() as u64;
    let unsure = seen.missed > 0 && *count.end() != u64::MAX;
    let why = format!(
        "{} {} '{filter}'{}",
        plural(found, "frame"),
        if found == 1 { "was" } else { "were" },
        but_missed(seen)
    );
    Finding { ok: count.contains(&found) && !unsure, why }
}

fn before(seen: &Seen<'_>, first: &Filter, then: &Filter) -> Finding {
    let no = |filter: &Filter| Finding { ok: false, why: format!("no frame was '{filter}'{}", but_missed(seen)) };
    let Some(one) = seen.matching(first).next() else { return no(first) };
    let Some(other) = seen.matching(then).next() else { return no(then) };
    Finding { ok: one.number < other.number, why: format!("frame #{} and frame #{}", one.number, other.number) }
}

fn within(seen: &Seen<'_>, first: &Filter, then: &Filter, ms: u64) -> Finding {
    let Some(one) = seen.matching(first).next() else {
        return Finding { ok: false, why: format!("no frame was '{first}'{}", but_missed(seen)) };
    };
    let Some(other) = seen.matching(then).find(|record| record.number > one.number) else {
        return Finding { ok: false, why: format!("no frame after frame #{} was '{then}'", one.number) };
    };
    let passed = other.at_unix_ns.saturating_sub(one.at_unix_ns);
    let why = format!(
        "frame #{} came {}.{:03} ms after frame #{}",
        other.number,
        passed / 1_000_000,
        passed / 1000 % 1000,
        one.number
    );
    Finding { ok: passed <= ms.saturating_mul(1_000_000), why }
}

fn mac(seen: &Seen<'_>, host: &str, port: &str) -> Result<Finding, String> {
    let found = seen.port_of(host)?;
    let why = match &found {
        Some(port) => format!("the MAC table has {host} on port {port}"),
        None => format!("the MAC table has no row for {host}"),
    };
    Ok(Finding { ok: found.as_deref().unwrap_or("none") == port, why })
}

fn arp(seen: &Seen<'_>, (on, host): (&str, &str), states: &[String], mac: Option<&str>) -> Result<Finding, String> {
    let Some(entry) = seen.neighbor(on, host)? else {
        let why = format!("{on}'s ARP cache has no entry for {host}");
        return Ok(Finding { ok: mac.is_none() && states.iter().any(|state| state == "none"), why });
    };
    let right_state = states.is_empty() || states.contains(&entry.state);
    let right_mac = mac.is_none_or(|owner| entry.mac.is_some_and(|mac| seen.mac_of(owner).contains(&mac)));
    let at = entry.mac.map_or_else(|| "no address".to_owned(), |mac| seen.mac_text(mac));
    Ok(Finding { ok: right_state && right_mac, why: format!("{on}'s ARP cache has {host} at {at}, {}", entry.state) })
}

fn command(seen: &Seen<'_>, line: &Line, exit: Option<i32>, contains: Option<&str>) -> Result<Finding, String> {
    let outcome = seen.tables.run(line)?;
    let exit = exit.or(if contains.is_none() { Some(0) } else { None });
    let right_exit = exit.is_none_or(|exit| outcome.exit == Some(exit));
    let says = contains.is_none_or(|text| outcome.output.contains(text));
    let ended = outcome.exit.map_or_else(|| "was ended".to_owned(), |code| format!("ended with {code}"));
    let mut why = format!("'{}' {ended}", line.text);
    if let (Some(text), false) = (contains, says) {
        why = format!("{why} and did not print '{text}'");
    }
    Ok(Finding { ok: right_exit && says, why })
}

/// `1 frame`, `2 frames`, `2 addresses`.
pub(super) fn plural(count: u64, what: &str) -> String {
    let ending = if what.ends_with('s') { "es" } else { "s" };
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}{ending}") }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
