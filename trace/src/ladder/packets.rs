//! What does a capture tell of the decisions? What [`crate::pcapng::Writer`] has put there: the frame as it came in with its
//! decision in comments, and its copies, under one packet id.
//!
//! Comments may have been written by anybody: what cannot be read as a decision is left out, and a packet without a
//! decision is no frame of a diagram.
//!
//! Not done: the MAC table around the frame, which no comment tells.

use std::collections::BTreeMap;

use frame::MacAddr;
use frame::ethernet::EthernetHeader;

use super::Note;
use super::told::Told;
use crate::pcapng::{Address, Direction, Packet};
use crate::record::{EgressRecord, Record, SCHEMA};
use crate::step::{LearnedRecord, StepRecord, VerdictRecord};
use crate::summary;
use crate::words::Tone;

/// One frame of a capture.
#[derive(Clone, Debug)]
pub struct Captured {
    /// What can be told of it as a record: enough for a filter. Most steps are only in the words of the comments.
    pub record: Record,
    comments: Vec<String>,
    /// The network that the copies went to, if it tells.
    out: Option<String>,
}

/// The frames of a capture, as many as tell a decision. `names` are those of the capture.
pub fn captured(packets: &[Packet], names: &BTreeMap<Address, String>) -> Vec<Captured> {
    let mut copies: BTreeMap<u64, Vec<&Packet>> = BTreeMap::new();
    for packet in packets.iter().filter(|packet| packet.direction == Some(Direction::Out)) {
        copies.entry(packet.packet_id.unwrap_or(0)).or_default().push(packet);
    }
    let mut lost = 0;
    let mut frames = Vec::new();
    for packet in packets {
        lost = u64::saturating_add(lost, packet.lost);
        let Some(number) = packet.packet_id else { continue };
        let decided = packet.comments.iter().any(|comment| comment.starts_with(&format!("#{number} ")));
        if decided && packet.direction != Some(Direction::Out) {
            let copies = copies.get(&number).map_or(&[][..], Vec::as_slice);
            frames.push(Captured {
                record: record(number, packet, copies, lost, names),
                comments: packet.comments.clone(),
                out: copies.first().and_then(|copy| network(copy)).map(str::to_owned),
            });
        }
    }
    frames
}

/// The network in what the writer says of an interface; `None` for the switch's own.
fn network(packet: &Packet) -> Option<&str> {
    let network = packet.interface.description.strip_prefix("port of network ")?;
    Some(network.split(": ").next().unwrap_or(network))
}

fn record(number: u64, packet: &Packet, copies: &[&Packet], lost: u64, names: &BTreeMap<Address, String>) -> Record {
    let header = EthernetHeader::read(&packet.octets);
    let name = |mac: MacAddr| names.get(&Address::Mac(mac)).cloned();
    let own = network(packet);
    let network = own.or_else(|| copies.first().and_then(|copy| self::network(copy))).unwrap_or_default().to_owned();
    let sent =
        |copy: &&Packet| EgressRecord { port: copy.interface.name.clone(), sent: true, reason: None, sentence: None };
    let egress: Vec<EgressRecord> =
        copies.iter().map(sent).chain(packet.comments.iter().filter_map(|comment| not_sent(comment))).collect();
    Record {
        schema: SCHEMA.into(),
        number,
        at_unix_ns: packet.at_unix_ns,
        at_ms: packet.at_unix_ns / 1_000_000,
        verdict: verdict(&packet.comments, &network),
        network,
        port: own.map(|_| packet.interface.name.clone()),
        octets: packet.original_octets,
        segment_octets: None,
        source: header.map(|header| header.source),
        source_name: header.and_then(|header| name(header.source)),
        destination: header.map(|header| header.destination),
        destination_name: header.and_then(|header| name(header.destination)),
        summary: summary::describe(&packet.octets, packet.original_octets),
        steps: packet.comments.first().and_then(|acts| learned(acts)).into_iter().collect(),
        egress,
        lost,
        sent_unix_ns: copies.first().map(|copy| copy.at_unix_ns),
        data: packet.octets.as_slice().into(),
        data_sent: None,
        table: None,
    }
}

/// `NOT SENT to h3: egress-full: the queue ..`
fn not_sent(comment: &str) -> Option<EgressRecord> {
    let mut parts = comment.strip_prefix("NOT SENT to ")?.splitn(3, ": ");
    let (port, reason, sentence) = (parts.next()?, parts.next()?, parts.next()?);
    Some(EgressRecord {
        port: port.to_owned(),
        sent: false,
        reason: Some(reason.to_owned()),
        sentence: Some(sentence.to_owned()),
    })
}

/// What the source address taught, in the acts of the first comment.
fn learned(acts: &str) -> Option<StepRecord> {
    let (what, rest) = acts.split_once("LEARN ")?.1.split_once(' ')?;
    let rest = rest.split(" | ").next().unwrap_or(rest);
    Some(StepRecord::Learned(match what {
        "new" => LearnedRecord::New,
        "fresh" => LearnedRecord::Refreshed,
        "moved" => LearnedRecord::Moved { from: rest.split(" -> ").next()?.to_owned() },
        _ => return None,
    }))
}

fn verdict(comments: &[String], network: &str) -> VerdictRecord {
    let end = comments.iter().rev().find_map(|comment| {
        let dropped = comment.strip_prefix("DROP: ").and_then(|rest| rest.split_once(": "));
        let dropped = dropped
            .map(|(reason, sentence)| VerdictRecord::Drop { reason: reason.to_owned(), sentence: sentence.to_owned() });
        dropped.or_else(|| fate(comment.strip_prefix("= ")?, network))
    });
    end.unwrap_or(VerdictRecord::Consumed)
}

/// The verdict whose sentence in [`crate::words::verdict`] this is.
fn fate(sentence: &str, network: &str) -> Option<VerdictRecord> {
    let network = || network.to_owned();
    if let Some(to) = sentence.strip_prefix("forwarded to ") {
        return Some(VerdictRecord::Unicast { to: to.strip_suffix(" only").unwrap_or(to).to_owned() });
    }
    match sentence.split([' ', ':']).next()? {
        "flooded" | "repeated" => Some(VerdictRecord::Flood { network: network() }),
        "cut" => Some(VerdictRecord::Fragmented { network: network() }),
        "answered" => Some(VerdictRecord::Answered),
        "taken" => Some(VerdictRecord::Consumed),
        "held" => Some(VerdictRecord::Held),
        _ => None,
    }
}

impl Captured {
    /// What stands in a diagram: the words of the comments, in place of steps.
    pub(super) fn told(&self) -> Told {
        let mut told = Told::of(&self.record);
        for (place, _) in &mut told.copies {
            place.network = self.out.clone().unwrap_or_else(|| self.record.network.clone());
        }
        if let Some(end) = self.comments.iter().rev().find_map(|comment| comment.strip_prefix("= ")) {
            end.clone_into(&mut told.verdict);
        }
        let mut notes: Vec<Note> = told.notes.iter().filter(|note| note.text.starts_with("FROM ")).cloned().collect();
        let acts = self.comments.first().and_then(|first| first.split_once(' ')).map_or("", |(_, acts)| acts);
        notes.extend(acts.split(" | ").filter_map(act));
        let steps: Vec<(String, String, String)> = self.comments.iter().filter_map(|comment| step(comment)).collect();
        notes.extend(steps.iter().filter_map(|(name, fact, _)| found(name, fact)));
        (told.notes, told.steps) = (notes, steps);
        told
    }
}

/// One act of the first comment as a note; `None` for what is drawn.
fn act(act: &str) -> Option<Note> {
    let tone = match act.split(' ').next()? {
        "UNICAST" | "DROP" | "NOT" | "" => return None,
        "LEARN" if act.starts_with("LEARN refused") => Tone::Refuse,
        "LEARN" if act.starts_with("LEARN moved") => Tone::Caution,
        "LEARN" => Tone::Learn,
        "ROUTE" | "RELEASE" => Tone::Forward,
        "ANSWER" | "READ" | "TELL" => Tone::Speak,
        "CONFLICT" => Tone::Refuse,
        _ => Tone::Caution,
    };
    let text = if act.starts_with("FLOOD ") { act.split(" -> ").next().unwrap_or(act) } else { act };
    Some(Note { text: text.to_owned(), tone })
}

/// `4 lookup: 02:42:.. : the MAC table says h1 (nobody else ..)`
fn step(comment: &str) -> Option<(String, String, String)> {
    let (head, told) = comment.split_once(": ")?;
    let (number, name) = head.split_once(' ')?;
    number.parse::<u32>().ok()?;
    let (fact, why) = match told.strip_suffix(')').and_then(|told| told.rsplit_once(" (")) {
        Some((fact, why)) => (fact, why),
        None => (told, ""),
    };
    Some((name.to_owned(), fact.to_owned(), why.to_owned()))
}

/// The notes that the acts have no room for, out of a step's words.
fn found(name: &str, fact: &str) -> Option<Note> {
    match name {
        "arp" => {
            let (ip, mac) = fact.split_once("; noted: ")?.1.split_once(" is at ")?;
            Some(Note { text: format!("ARP: {ip} is {mac}"), tone: Tone::Learn })
        }
        "lookup" => {
            let port = fact.split_once(": the MAC table says ")?.1;
            Some(Note { text: format!("FOUND {port}"), tone: Tone::Forward })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use frame::{DropReason, NetworkId, PortId, Step, Verdict};

    use super::*;
    use crate::record::RawRecord;

    #[test]
    fn a_captured_verdict_is_the_one_that_was_told() {
        let flood = Verdict::Flood { network: NetworkId(1) };
        for (verdict, step) in [
            (Verdict::Unicast { to: PortId(2) }, Step::Admitted),
            (flood, Step::Flooded { ports: 2 }),
            (flood, Step::Repeated { ports: 2 }),
            (Verdict::Fragmented { network: NetworkId(1) }, Step::Admitted),
            (Verdict::Answered, Step::Admitted),
            (Verdict::Consumed, Step::Admitted),
            (Verdict::Held, Step::Admitted),
            (Verdict::Drop(DropReason::Runt), Step::Admitted),
        ] {
            let raw = RawRecord { network: NetworkId(1), steps: vec![step], verdict, ..RawRecord::default() };
            let told = Record::resolve(&raw, 0, &());
            let comment = match &told.verdict {
                VerdictRecord::Drop { reason, sentence } => format!("DROP: {reason}: {sentence}"),
                _ => format!("= {}", crate::words::verdict(&told)),
            };
            assert_eq!(super::verdict(&[comment], "n1"), told.verdict, "{verdict:?}");
        }
    }
}
