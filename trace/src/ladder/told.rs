//! What of a decision record stands in the diagram? The frame, where it came from and where its copies went, and the
//! notes: what the one-line form tells ([`crate::words::acts`]), but for what the arrows show already; and what a
//! diagram has room for besides: whose an IP address was noted to be, how old a row was, and which frame had taught it.
//!
//! Not done: the octets.

use frame::MacAddr;

use super::lanes::Order;
use super::{Copy, Frame, Note};
use crate::record::Record;
use crate::step::{
    ArpRecord, LearnedRecord, LookupRecord, NotedRecord, RouteRecord, RowRecord, StepRecord, VerdictRecord,
};
use crate::words::{self, Tone};

/// A row's age that is worth a word, milliseconds.
const OLD_MS: u64 = 1000;

/// A port, as the lanes know it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place {
    pub(crate) network: String,
    pub(crate) port: String,
}

/// One frame, before the lanes are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) number: u64,
    pub(crate) at_unix_ns: u64,
    pub(crate) from: Option<Place>,
    pub(crate) summary: String,
    pub(crate) notes: Vec<Note>,
    /// Where copies were to go, and why one did not.
    pub(crate) copies: Vec<(Place, Option<String>)>,
    pub(crate) flooded: bool,
    pub(crate) dropped: Option<String>,
    pub(crate) verdict: String,
    pub(crate) steps: Vec<(String, String, String)>,
    /// Frames that the trace had lost by then.
    pub(crate) lost: u64,
}

impl Told {
    /// What a record tells.
    pub(crate) fn of(record: &Record) -> Self {
        let out = record.steps.iter().fold(&record.network, |network, step| match step {
            StepRecord::Routed(RouteRecord::Forwarded { network, .. }) => network,
            _ => network,
        });
        let copy = |egress: &crate::record::EgressRecord| {
            let refused =
                (!egress.sent).then(|| egress.sentence.clone().unwrap_or_else(|| "it was not sent".to_owned()));
            (Place { network: out.clone(), port: egress.port.clone() }, refused)
        };
        let dropped = match &record.verdict {
            VerdictRecord::Drop { sentence, .. } => Some(sentence.clone()),
            _ => None,
        };
        Self {
            number: record.number,
            at_unix_ns: record.at_unix_ns,
            from: record.port.clone().map(|port| Place { network: record.network.clone(), port }),
            summary: record.summary.clone(),
            notes: notes(record),
            copies: record.egress.iter().map(copy).collect(),
            flooded: matches!(record.verdict, VerdictRecord::Flood { .. }),
            dropped,
            verdict: words::verdict(record),
            steps: record.steps.iter().map(|step| told_step(record, step)).collect(),
            lost: record.lost,
        }
    }

    /// The same on the lanes of a diagram that begins at `start`.
    pub(crate) fn frame(&self, order: &Order, start: u64) -> Frame {
        let mut copies: Vec<Copy> = Vec::new();
        for (place, refused) in &self.copies {
            let lane = order.lane(&place.network, &place.port);
            let at = copies.iter().position(|copy| copy.lane == lane).unwrap_or_else(|| {
                copies.push(Copy { lane, taken: 0, refused: None });
                copies.len() - 1
            });
            let copy = &mut copies[at];
            match (refused, &mut copy.refused) {
                (None, _) => copy.taken += 1,
                (Some(_), Some((count, _))) => *count += 1,
                (Some(why), none) => *none = Some((1, why.clone())),
            }
        }
        copies.sort_by_key(|copy| copy.lane);
        Frame {
            number: self.number,
            since_ns: self.at_unix_ns.saturating_sub(start),
            from: self.from.as_ref().map(|place| order.lane(&place.network, &place.port)),
            summary: self.summary.clone(),
            notes: self.notes.clone(),
            copies,
            flooded: self.flooded,
            dropped: self.dropped.clone(),
            verdict: self.verdict.clone(),
            steps: self.steps.clone(),
        }
    }
}

fn told_step(record: &Record, step: &StepRecord) -> (String, String, String) {
    let told = words::sentence(record, step);
    (told.name.to_owned(), told.fact, told.why)
}

/// The notes on the switch's lane: what was learned, what else was done, and where the destination was found.
fn notes(record: &Record) -> Vec<Note> {
    let mut notes = Vec::new();
    if record.port.is_none() {
        notes.push(Note { text: "FROM the switch itself".to_owned(), tone: Tone::Speak });
    }
    let (learned, done): (Vec<_>, Vec<_>) = words::acts(record).into_iter().partition(|act| act.word == "LEARN");
    notes.extend(
        learned.into_iter().map(|act| Note { text: with_age(record, format!("LEARN {}", act.rest)), tone: act.tone }),
    );
    notes.extend(record.steps.iter().filter_map(|step| neighbor(record, step)));
    notes.extend(done.into_iter().filter_map(|act| {
        let text = match act.word {
            // Drawn as an arrow, or as a cross with the reason.
            "UNICAST" | "DROP" | "NOT SENT" => return None,
            "FLOOD" => format!("FLOOD {}", act.rest.split(" -> ").next().unwrap_or_default()),
            word => format!("{word} {}", act.rest),
        };
        Some(Note { text: text.trim_end().to_owned(), tone: act.tone })
    }));
    notes.extend(record.steps.iter().filter_map(|step| found(record, step)));
    notes
}

/// A refreshed row tells how old it had become.
fn with_age(record: &Record, text: String) -> String {
    let fresh = record.steps.iter().any(|step| matches!(step, StepRecord::Learned(LearnedRecord::Refreshed)));
    match record.table.as_ref().and_then(|table| table.source_before.as_ref()) {
        Some(row) if fresh && row.age_ms >= OLD_MS => {
            format!("{text} (was {} old)", age(row.age_ms))
        }
        _ => text,
    }
}

fn age(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// A neighbor that was not known before; the one-line form has no room for it.
fn neighbor(record: &Record, step: &StepRecord) -> Option<Note> {
    match step {
        StepRecord::Arp(arp) if arp.noted == NotedRecord::New => {
            Some(Note { text: format!("ARP: {} is {}", arp.sender_ip, whose(record, arp)), tone: Tone::Learn })
        }
        _ => None,
    }
}

fn whose(record: &Record, arp: &ArpRecord) -> String {
    let own = |mac: MacAddr| record.source == Some(mac);
    match (&record.source_name, &record.port) {
        (Some(name), _) if own(arp.sender_mac) => name.clone(),
        (None, Some(port)) if own(arp.sender_mac) => port.clone(),
        _ => arp.sender_mac.to_string(),
    }
}

/// Where the destination was found, and who had taught that.
fn found(record: &Record, step: &StepRecord) -> Option<Note> {
    let StepRecord::LookedUp(LookupRecord::Known { port }) = step else { return None };
    let why = match record.table.as_ref().and_then(|table| table.destination.as_ref()) {
        Some(RowRecord { kind, .. }) if kind == "static" => ": static".to_owned(),
        Some(RowRecord { taught_by: Some(number), .. }) => format!(": taught by #{number}"),
        _ => String::new(),
    };
    Some(Note { text: format!("FOUND {port}{why}"), tone: Tone::Forward })
}
