//! What is asked before it is shown, and what was right? The answer is never in the file: it is read from the record of the
//! real frame, or from the tables as they are when the step is over.
//!
//! | `answer-from` | the answer | `kind` |
//! | --- | --- | --- |
//! | `egress` | the ports that took the frame | `hosts`; `yes-no` with `has` |
//! | `verdict`, `reason`, `learned`, `looked-up` | the switch's decision, in one word | `choice`, `text`; `yes-no` with `is` |
//! | `source-mac`, `destination-mac`, `sent-source-mac`, `sent-destination-mac` | an address of the frame, as it came or as it left | `mac`; `yes-no` with `is` |
//! | `source-ip`, `destination-ip`, `sent-source-ip`, `sent-destination-ip` | the same of the packet, or of the ARP message | `text` |
//! | `ttl`, `sent-ttl` | its time to live | `number` |
//! | `exists`, `count` | is there such a frame, and how many are there? | `yes-no`; `number` |
//! | `mac-port`, `mac-entries` | the switch's MAC table: where `host` is; learned rows of `network` | `text`; `number` |
//! | `arp-state`, `arp-mac` | what `on`'s ARP cache says of `host` | `choice`, `text`; `mac` |
//! | `exit` | the exit code of the step's last command | `number` |
//!
//! A number becomes a `yes-no` with `at-least` or `at-most`.

use std::collections::{BTreeSet, HashSet};
use std::net::Ipv4Addr;

use frame::MacAddr;
use frame::ethernet::{self, EthernetHeader, ether_type};
use trace::filter::Filter;
use trace::step::{LearnedRecord, LookupRecord};
use trace::{Record, StepRecord, VerdictRecord};

use super::exercise::Reader;
use super::file::{PredictForm, Word};
use super::seen::Seen;
use crate::failure::Failure;

/// A question.
#[derive(Debug)]
pub(super) struct Predict {
    /// What it is called in lists.
    pub(super) id: String,
    /// The question.
    pub(super) ask: String,
    /// What kind of answer.
    pub(super) kind: Kind,
    /// What it is worth.
    pub(super) points: u32,
    /// What to say when the answer is out.
    pub(super) because: String,
    from: From,
    frame: Option<Filter>,
    nth: usize,
    host: String,
    on: String,
    network: String,
    turn: Turn,
}

/// What an answer looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any number of hosts.
    Hosts,
    /// Yes or no.
    YesNo,
    /// One of these, each `word` or `word: what it means`.
    Choice(Vec<String>),
    /// A word.
    Text,
    /// A number.
    Number,
    /// A MAC address, or whose it is.
    Mac,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Egress,
    Verdict,
    Reason,
    Learned,
    LookedUp,
    Mac { sent: bool, source: bool },
    Ip { sent: bool, source: bool },
    Ttl { sent: bool },
    Exists,
    Count,
    MacPort,
    MacEntries,
    ArpState,
    ArpMac,
    Exit,
}

const SOURCES: [(&str, From); 21] = [
    ("egress", From::Egress),
    ("verdict", From::Verdict),
    ("reason", From::Reason),
    ("learned", From::Learned),
    ("looked-up", From::LookedUp),
    ("source-mac", From::Mac { sent: false, source: true }),
    ("destination-mac", From::Mac { sent: false, source: false }),
    ("sent-source-mac", From::Mac { sent: true, source: true }),
    ("sent-destination-mac", From::Mac { sent: true, source: false }),
    ("source-ip", From::Ip { sent: false, source: true }),
    ("destination-ip", From::Ip { sent: false, source: false }),
    ("sent-source-ip", From::Ip { sent: true, source: true }),
    ("sent-destination-ip", From::Ip { sent: true, source: false }),
    ("ttl", From::Ttl { sent: false }),
    ("sent-ttl", From::Ttl { sent: true }),
    ("exists", From::Exists),
    ("count", From::Count),
    ("mac-port", From::MacPort),
    ("mac-entries", From::MacEntries),
    ("arp-state", From::ArpState),
    ("arp-mac", From::ArpMac),
];

/// What turns an answer into yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Turn {
    Nothing,
    Has(String),
    Is(String),
    Between(u64, u64),
}

/// An answer, given or right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Names of ports.
    Hosts(BTreeSet<String>),
    /// Yes or no.
    YesNo(bool),
    /// A word, in small letters.
    Word(String),
    /// A number.
    Number(u64),
    /// These addresses; a right answer has one.
    Macs(Vec<MacAddr>),
}

/// What was right, and where that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Truth {
    /// What was right.
    pub(super) answer: Answer,
    /// The frame that says so.
    pub(super) frame: Option<u64>,
}

impl Predict {
    /// Read a question.
    ///
    /// # Errors
    /// Something it names is not there, or its answer is not of its kind.
    pub(super) fn read(reader: &Reader<'_>, form: &PredictForm, ids: &mut HashSet<String>) -> Result<Self, Failure> {
        let source = reader.source;
        let name = form.answer_from.get_ref();
        let from = match SOURCES.iter().find(|(known, _)| known == name) {
            Some((_, from)) => *from,
            None if name == "exit" => From::Exit,
            None => {
                let known: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).chain(["exit"]).collect();
                let why = format!("'{name}' is no source of an answer: known are {}", known.join(", "));
                return Err(source.fault(form.answer_from.span(), why));
            }
        };
        let turn = turn(reader, form, from)?;
        let kind = kind(reader, form, from, &turn)?;
        let need = |value: &Option<Word>, what: &str| match value {
            Some(word) => Ok(word.clone()),
            None => Err(source.fault(form.answer_from.span(), format!("an answer from '{name}' needs '{what}'"))),
        };
        let (mut frame, mut host, mut on, mut network) = (None, String::new(), String::new(), String::new());
        match from {
            From::MacPort => host = reader.host(&need(&form.host, "host")?)?,
            From::MacEntries => network = reader.network(&need(&form.network, "network")?)?,
            From::ArpState | From::ArpMac => {
                host = reader.host(&need(&form.host, "host")?)?;
                on = reader.host(&need(&form.on, "on")?)?;
            }
            From::Exit => {}
            _ => frame = Some(reader.filter(&need(&form.frame, "frame")?)?),
        }
        let nth = form.nth.as_ref().map_or(1, |nth| *nth.get_ref() as usize);
        if let (Some(written), 0) = (&form.nth, nth) {
            return Err(source.fault(written.span(), "frames are counted from 1"));
        }
        let (id, points) = (reader.item(&form.id, ids)?, reader.points(form.points.as_ref())?);
        let (ask, because) = (form.ask.clone(), form.because.clone());
        Ok(Self { id, ask, kind, points, because, from, frame, nth, host, on, network, turn })
    }

    /// Read a student's answer.
    ///
    /// # Errors
    /// What can be answered, in one line.
    pub(super) fn parse(&self, text: &str, seen: &Seen<'_>) -> Result<Answer, String> {
        let word = text.trim().to_lowercase();
        match &self.kind {
            Kind::YesNo => match word.as_str() {
                "yes" | "y" => Ok(Answer::YesNo(true)),
                "no" | "n" => Ok(Answer::YesNo(false)),
                _ => Err("answer yes or no".to_owned()),
            },
            Kind::Number => word.parse().map(Answer::Number).map_err(|_| "answer with a number".to_owned()),
            Kind::Text if word.is_empty() => Err("answer with a word".to_owned()),
            Kind::Text => Ok(Answer::Word(word)),
            Kind::Choice(choices) => choose(choices, &word),
            Kind::Hosts => hosts(&word, seen),
            Kind::Mac => {
                let macs = seen.mac_of(&word);
                let fault = || "answer with a host's name, 'gateway', or an address as in 02:42:0a:00:01:0b".to_owned();
                if macs.is_empty() { Err(fault()) } else { Ok(Answer::Macs(macs)) }
            }
        }
    }

    /// What was right?
    ///
    /// # Errors
    /// Why that cannot be told: no such frame came, say.
    pub(super) fn truth(&self, seen: &Seen<'_>) -> Result<Truth, String> {
        let record = self.frame.as_ref().and_then(|filter| seen.matching(filter).nth(self.nth - 1));
        let frame = record.map(|record| record.number);
        let answer = match self.from {
            From::Exists => Answer::YesNo(record.is_some()),
            From::Count => Answer::Number(self.frame.as_ref().map_or(0, |filter| seen.matching(filter).count()) as u64),
            From::MacPort => Answer::Word(seen.port_of(&self.host)?.unwrap_or_else(|| "none".to_owned())),
            From::MacEntries => Answer::Number(seen.learned(&self.network)?.len() as u64),
            From::ArpState => {
                let entry = seen.neighbor(&self.on, &self.host)?;
                Answer::Word(entry.map_or_else(|| "none".to_owned(), |entry| entry.state.to_lowercase()))
            }
            From::ArpMac => {
                let entry = seen.neighbor(&self.on, &self.host)?.and_then(|entry| entry.mac);
                let none = || format!("{}'s ARP cache has no address for {}", self.on, self.host);
                Answer::Macs(vec![entry.ok_or_else(none)?])
            }
            From::Exit => {
                let outcome = seen.outcomes.last().and_then(|outcome| outcome.exit);
                let code = outcome.and_then(|code| u64::try_from(code).ok());
                Answer::Number(code.ok_or("no command of this step has ended by itself")?)
            }
            _ => {
                let record = record.ok_or_else(|| self.nothing())?;
                said(self.from, record).ok_or_else(|| format!("frame #{} says nothing of that", record.number))?
            }
        };
        Ok(Truth { answer: self.turned(answer, seen), frame })
    }

    fn nothing(&self) -> String {
        let filter = self.frame.as_ref().map(ToString::to_string).unwrap_or_default();
        match self.nth {
            1 => format!("no frame of this step is '{filter}'"),
            nth => format!("this step has fewer than {nth} frames that are '{filter}'"),
        }
    }

    fn turned(&self, answer: Answer, seen: &Seen<'_>) -> Answer {
        match (&self.turn, &answer) {
            (Turn::Has(port), Answer::Hosts(ports)) => Answer::YesNo(ports.contains(port)),
            (Turn::Is(word), Answer::Word(found)) => Answer::YesNo(found == word),
            (Turn::Is(word), Answer::Macs(macs)) => {
                Answer::YesNo(seen.mac_of(word).iter().any(|mac| macs.contains(mac)))
            }
            (Turn::Between(least, most), Answer::Number(number)) => Answer::YesNo((least..=most).contains(&number)),
            _ => answer,
        }
    }
}

impl Answer {
    /// Is this what was right?
    pub(super) fn fits(&self, truth: &Self) -> bool {
        match (self, truth) {
            (Self::Macs(given), Self::Macs(right)) => right.iter().all(|mac| given.contains(mac)),
            _ => self == truth,
        }
    }

    /// In words.
    pub(super) fn text(&self, seen: &Seen<'_>) -> String {
        match self {
            Self::Hosts(hosts) if hosts.is_empty() => "nobody".to_owned(),
            Self::Hosts(hosts) => hosts.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
            Self::YesNo(yes) => if *yes { "yes" } else { "no" }.to_owned(),
            Self::Word(word) => word.clone(),
            Self::Number(number) => number.to_string(),
            Self::Macs(macs) => macs.iter().map(|mac| seen.mac_text(*mac)).collect::<Vec<_>>().join(", "),
        }
    }
}

fn turn(reader: &Reader<'_>, form: &PredictForm, from: From) -> Result<Turn, Failure> {
    let misplaced = |span, key: &str| {
        let name = form.answer_from.get_ref();
        Err(reader.source.fault(span, format!("'{key}' says nothing about an answer from '{name}'")))
    };
    if let Some(port) = &form.has {
        let port_name = reader.port(port)?;
        return if from == From::Egress { Ok(Turn::Has(port_name)) } else { misplaced(port.span(), "has") };
    }
    if let Some(word) = &form.is {
        let is_mac = matches!(from, From::Mac { .. } | From::ArpMac);
        if !is_mac && is_number_or_set(from) {
            return misplaced(word.span(), "is");
        }
        if is_mac && word.get_ref() != "gateway" && word.get_ref().parse::<MacAddr>().is_err() {
            reader.host(word)?;
        }
        return Ok(Turn::Is(word.get_ref().to_lowercase()));
    }
    let bound = form.at_least.as_ref().or(form.at_most.as_ref());
    let Some(bound) = bound else { return Ok(Turn::Nothing) };
    if !is_number(from) {
        return misplaced(bound.span(), if form.at_least.is_some() { "at-least" } else { "at-most" });
    }
    let least = form.at_least.as_ref().map_or(0, |least| *least.get_ref());
    Ok(Turn::Between(least, form.at_most.as_ref().map_or(u64::MAX, |most| *most.get_ref())))
}

const fn is_number(from: From) -> bool {
    matches!(from, From::Ttl { .. } | From::Count | From::MacEntries | From::Exit)
}

const fn is_number_or_set(from: From) -> bool {
    is_number(from) || matches!(from, From::Egress | From::Exists)
}

fn kind(reader: &Reader<'_>, form: &PredictForm, from: From, turn: &Turn) -> Result<Kind, Failure> {
    let (name, span) = (form.kind.get_ref().as_str(), form.kind.span());
    let possible: &[&str] = match (turn, from) {
        (Turn::Nothing, From::Exists) => &["yes-no"],
        (Turn::Nothing, From::Egress) => &["hosts"],
        (Turn::Nothing, From::Mac { .. } | From::ArpMac) => &["mac"],
        (Turn::Nothing, from) if is_number(from) => &["number"],
        (Turn::Nothing, _) => &["choice", "text"],
        _ => &["yes-no"],
    };
    if !["hosts", "yes-no", "choice", "text", "number", "mac"].contains(&name) {
        let why = format!("'{name}' is no kind of answer: known are hosts, yes-no, choice, text, number, mac");
        return Err(reader.source.fault(span, why));
    }
    if !possible.contains(&name) {
        let from = form.answer_from.get_ref();
        let why = format!("an answer from '{from}' is no '{name}' here: write {}", possible.join(" or "));
        return Err(reader.source.fault(span, why));
    }
    if name == "choice" && form.choices.len() < 2 {
        return Err(reader.source.fault(span, "a choice needs two or more 'choices'"));
    }
    if name != "choice" && !form.choices.is_empty() {
        return Err(reader.source.fault(span, format!("'choices' belong to kind 'choice', not '{name}'")));
    }
    Ok(match name {
        "hosts" => Kind::Hosts,
        "yes-no" => Kind::YesNo,
        "choice" => Kind::Choice(form.choices.clone()),
        "number" => Kind::Number,
        "mac" => Kind::Mac,
        _ => Kind::Text,
    })
}

/// The word of a choice, before its colon.
pub(super) fn choice_word(choice: &str) -> String {
    choice.split(':').next().unwrap_or_default().trim().to_lowercase()
}

/// By its word, or by its place in the list.
fn choose(choices: &[String], word: &str) -> Result<Answer, String> {
    let words: Vec<String> = choices.iter().map(|choice| choice_word(choice)).collect();
    let by_place = word.parse::<usize>().ok().and_then(|place| words.get(place.wrapping_sub(1)));
    let found = words.iter().find(|known| *known == word).or(by_place);
    found.cloned().map(Answer::Word).ok_or_else(|| format!("answer with one of: {}", words.join(", ")))
}

fn hosts(text: &str, seen: &Seen<'_>) -> Result<Answer, String> {
    let known = |name: &str| {
        seen.plan
            .hosts
            .iter()
            .any(|host| name == host.name || (2..=host.ends).any(|end| name == format!("{}-{end}", host.name)))
    };
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty() && *word != "and").collect();
    if let ["nobody" | "none"] = words.as_slice() {
        return Ok(Answer::Hosts(BTreeSet::new()));
    }
    match words.iter().find(|word| !known(word)) {
        None if !words.is_empty() => Ok(Answer::Hosts(words.into_iter().map(str::to_owned).collect())),
        Some(word) => Err(format!("'{word}' is no host here: answer with hosts' names, as in 'h2 h3', or 'nobody'")),
        None => Err("answer with hosts' names, as in 'h2 h3', or 'nobody'".to_owned()),
    }
}

/// What one record says.
fn said(from: From, record: &Record) -> Option<Answer> {
    let octets = |sent: bool| if sent { record.data_sent.as_ref().map(|data| &data.0) } else { Some(&record.data.0) };
    match from {
        From::Egress => {
            let took = record.egress.iter().filter(|egress| egress.sent).map(|egress| egress.port.clone());
            Some(Answer::Hosts(took.collect()))
        }
        From::Verdict => Some(Answer::Word(verdict_word(&record.verdict).to_owned())),
        From::Reason => Some(Answer::Word(match &record.verdict {
            VerdictRecord::Drop { reason, .. } => reason.clone(),
            _ => "none".to_owned(),
        })),
        From::Learned => Some(Answer::Word(learned_word(record).to_owned())),
        From::LookedUp => Some(Answer::Word(looked_up_word(record).to_owned())),
        From::Mac { sent, source } => {
            let header = EthernetHeader::read(octets(sent)?)?;
            Some(Answer::Macs(vec![if source { header.source } else { header.destination }]))
        }
        From::Ip { sent, source } => ip_of(octets(sent)?, source).map(|ip| Answer::Word(ip.to_string())),
        From::Ttl { sent } => {
            let octets = octets(sent)?;
            let (kind, at) = ethernet::payload(octets)?;
            let ttl = octets.get(at + 8).filter(|_| kind == ether_type::IPV4);
            ttl.map(|ttl| Answer::Number(u64::from(*ttl)))
        }
        _ => None,
    }
}

const fn verdict_word(verdict: &VerdictRecord) -> &'static str {
    match verdict {
        VerdictRecord::Unicast { .. } => "unicast",
        VerdictRecord::Flood { .. } => "flood",
        VerdictRecord::Fragmented { .. } => "fragmented",
        VerdictRecord::Answered => "answered",
        VerdictRecord::Consumed => "consumed",
        VerdictRecord::Held => "held",
        VerdictRecord::Drop { .. } => "drop",
    }
}

fn learned_word(record: &Record) -> &'static str {
    let learned = record.steps.iter().find_map(|step| match step {
        StepRecord::Learned(learned) => Some(learned),
        _ => None,
    });
    match learned {
        Some(LearnedRecord::New | LearnedRecord::Replaced { .. }) => "new",
        Some(LearnedRecord::Refreshed) => "fresh",
        Some(LearnedRecord::Moved { .. }) => "moved",
        Some(LearnedRecord::Refused(_)) => "refused",
        None => "nothing",
    }
}

fn looked_up_word(record: &Record) -> &'static str {
    let found = record.steps.iter().find_map(|step| match step {
        StepRecord::LookedUp(found) => Some(found),
        _ => None,
    });
    match found {
        Some(LookupRecord::Known { .. }) => "known",
        Some(LookupRecord::Gateway) => "gateway",
        Some(LookupRecord::Group) => "group",
        Some(LookupRecord::Unknown) => "unknown",
        Some(LookupRecord::SamePort) => "same-port",
        None => "nothing",
    }
}

/// Source or destination of an IPv4 packet (RFC 791, 3.1), sender or target of an ARP message (RFC 826).
fn ip_of(octets: &[u8], source: bool) -> Option<Ipv4Addr> {
    let (kind, at) = ethernet::payload(octets)?;
    let offset = match (kind, source) {
        (ether_type::IPV4, true) => 12,
        (ether_type::IPV4, false) => 16,
        (ether_type::ARP, true) => 14,
        (ether_type::ARP, false) => 24,
        _ => return None,
    };
    octets.get(at + offset..)?.first_chunk::<4>().map(|ip| Ipv4Addr::from(*ip))
}

#[cfg(test)]
#[path = "predict_tests.rs"]
mod tests;
