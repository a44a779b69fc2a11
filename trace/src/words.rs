//! How is each decision told? The table of sentences: one match arm for each thing that can happen.
//!
//! There are two tables. [`sentence`] and [`verdict`] are for somebody who wants to understand: what happened, and why
//! a switch does that. [`acts`] are the few words that fit on a frame's one line: only what decides where it goes, and
//! what is out of the ordinary. How either stands on the terminal is [`crate::layout`]'s.

use frame::MacAddr;

use crate::record::Record;
use crate::step::{
    ArpKindRecord, ArpOutcomeRecord, ArpRecord, InjectedRecord, LearnedRecord, LookupRecord, NotedRecord,
    RefusalRecord, ResolvedRecord, RouteRecord, Station, StepRecord, VerdictRecord,
};

/// Ports named in one line; the others are counted.
const NAMED_PORTS: usize = 8;

/// One step, told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sentence {
    /// The step's name.
    pub name: &'static str,
    /// What happened.
    pub fact: String,
    /// Why a switch does that; may be empty.
    pub why: String,
}

/// A few words for the one-line form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    /// What was done, in capitals.
    pub word: &'static str,
    /// To what, with what; may be empty.
    pub rest: String,
    /// What kind of news it is.
    pub tone: Tone,
}

/// What kind of news an act is; a colour where there are colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// The switch learned something.
    Learn,
    /// The frame goes where it is meant to go, and nowhere else.
    Forward,
    /// The frame goes everywhere, or waits.
    Caution,
    /// The switch itself spoke.
    Speak,
    /// Something was refused or lost.
    Refuse,
}

fn say(name: &'static str, fact: impl Into<String>, why: impl Into<String>) -> Sentence {
    Sentence { name, fact: fact.into(), why: why.into() }
}

fn act(word: &'static str, tone: Tone, rest: impl Into<String>) -> Act {
    Act { word, rest: rest.into(), tone }
}

/// One step of a frame, for somebody who wants to understand.
pub fn sentence(record: &Record, step: &StepRecord) -> Sentence {
    match step {
        StepRecord::Admitted => say("admit", "a frame of legal length, from an address a station can have", ""),
        StepRecord::Guarded => say(
            "guard",
            "it claims no address that is another's",
            "the switch knows whose each address is, and lets nobody else use it",
        ),
        StepRecord::Learned(learned) => learn(record, learned),
        StepRecord::Arp(arp) => {
            say("arp", format!("{}; {}", arp_message(arp), arp_noted(arp)), arp_outcome(&arp.outcome))
        }
        StepRecord::LookedUp(lookup) => look_up(record, looked_up_for(record, step), lookup),
        StepRecord::Isolated => say(
            "isolate",
            "this network keeps its containers apart (icc=false)",
            "they may speak to the gateway, and not to one another",
        ),
        StepRecord::Flooded { ports } => say(
            "flood",
            format!("to every other port of the network: {}", count(usize::from(*ports), "port")),
            "once each, and never back to where it came from",
        ),
        StepRecord::Repeated { ports } => say(
            "hub",
            format!("repeats to every other port: {}", count(usize::from(*ports), "port")),
            "a hub learns nothing and looks nothing up: everybody hears everything",
        ),
        StepRecord::Faulted { port, what } => say(
            "fault",
            format!("the line of {port} {}", injected(*what)),
            "it is bad on purpose: see 'lanyard fault ls'",
        ),
        StepRecord::Routed(route) => self::route(route),
        StepRecord::Resolved(resolved) => resolve(resolved),
        StepRecord::Sent { port } => say("send", format!("{port} took it"), ""),
        StepRecord::NotSent { port, sentence, .. } => say("send", format!("{port} did not take it: {sentence}"), ""),
    }
}

/// What a bad line did, to follow its name.
fn injected(what: InjectedRecord) -> String {
    match what {
        InjectedRecord::Dropped => "lost it".to_owned(),
        InjectedRecord::Overflowed => "lost it: as many frames are under way on it as may be".to_owned(),
        InjectedRecord::Delayed { by_ms } => format!("delayed it by {by_ms} ms"),
        InjectedRecord::Duplicated => "delivered it twice".to_owned(),
        InjectedRecord::Copy => "delivered it twice: this is the second one".to_owned(),
        InjectedRecord::Reordered => "delivered it after the one behind it".to_owned(),
        InjectedRecord::Corrupted { octet } => format!("turned over a bit of octet {octet}"),
    }
}

fn learn(record: &Record, learned: &LearnedRecord) -> Sentence {
    let (source, port) = (record.source_text(), record.port_text());
    let (fact, why) = match learned {
        LearnedRecord::New => (
            format!("new: {source} is on {port}{}", filled(record)),
            "a switch learns where a station is from the source address of its frames",
        ),
        LearnedRecord::Replaced { evicted } => (
            format!("new: {source} is on {port}, in place of {}{}", station_text(evicted), filled(record)),
            "the MAC table is full, so another entry made room",
        ),
        LearnedRecord::Refreshed => (
            format!("known: {source} is still on {port}{}", heard(record)),
            "its entry in the MAC table is fresh again",
        ),
        LearnedRecord::Moved { from } => (
            format!("moved: {source} was on {from} and is now on {port}"),
            "the latest frame is believed, and the move counted",
        ),
        LearnedRecord::Refused(RefusalRecord::Static { port }) => (
            format!("not learned: {source} stays on {port}"),
            "a static entry says so, and no frame changes a static entry",
        ),
        LearnedRecord::Refused(RefusalRecord::Gateway) => {
            (format!("not learned: {source} is the gateway's address"), "no port can take the gateway's place")
        }
        LearnedRecord::Refused(RefusalRecord::PortLimit) => (
            format!("not learned: {port} already holds as many addresses as it may"),
            "one port cannot fill the MAC table; the frame goes on all the same",
        ),
        LearnedRecord::Refused(RefusalRecord::TableFull) => (
            "not learned: the MAC table is full, and no entry may make room".to_owned(),
            "the frame goes on all the same",
        ),
        LearnedRecord::Refused(RefusalRecord::Busy) => (
            "not learned this time: another worker was changing the same line of the MAC table".to_owned(),
            "the next frame will teach it",
        ),
    };
    say("learn", fact, why)
}

/// How full the table is.
fn filled(record: &Record) -> String {
    record
        .table
        .as_ref()
        .map_or_else(String::new, |table| format!("; the MAC table has {} of {} rows", table.entries, table.capacity))
}

/// When the source was last heard, before this frame.
fn heard(record: &Record) -> String {
    let before = record.table.as_ref().and_then(|table| table.source_before.as_ref());
    before.filter(|row| row.kind == "learned").map_or_else(String::new, |row| {
        let by = row.taught_by.map_or_else(String::new, |number| format!("taught by #{number}, "));
        format!(" ({by}last heard {})", ago(row.age_ms))
    })
}

/// Who taught the destination's row. A next hop's is in another table, of which nothing is told.
fn taught(record: &Record, next_hop: bool) -> String {
    let row = record.table.as_ref().and_then(|table| table.destination.as_ref()).filter(|_| !next_hop);
    row.map_or_else(String::new, |row| match (row.kind.as_str(), row.taught_by) {
        ("learned", Some(number)) => format!(" (taught by #{number}, heard {})", ago(row.age_ms)),
        ("learned", None) => format!(" (heard {})", ago(row.age_ms)),
        (kind, _) => format!(" (a {kind} row)"),
    })
}

/// The MAC table counts age in 128ths of the ageing time: zero is anything up to that.
fn ago(ms: u64) -> String {
    if ms == 0 { "just now".to_owned() } else { format!("{}.{} s ago", ms / 1000, ms % 1000 / 100) }
}

/// Whom a look-up was for, if not for the frame's own destination: once the next hop is known, it takes its place.
fn looked_up_for<'a>(record: &'a Record, step: &StepRecord) -> Option<&'a Station> {
    let before = record.steps.iter().take_while(|earlier| !std::ptr::eq(*earlier, step));
    before.fold(None, |found, earlier| match earlier {
        StepRecord::Resolved(ResolvedRecord::Known { station }) => Some(station),
        _ => found,
    })
}

fn look_up(record: &Record, next_hop: Option<&Station>, lookup: &LookupRecord) -> Sentence {
    let (destination, port) = (next_hop.map_or_else(|| record.destination_text(), station_text), record.port_text());
    let (fact, why) = match lookup {
        LookupRecord::Known { port } => (
            format!("{destination}: the MAC table says {port}{}", taught(record, next_hop.is_some())),
            "nobody else gets the frame: that is why a switch is not a hub",
        ),
        LookupRecord::Gateway => {
            (format!("{destination} is the gateway's address"), "the frame is to leave its network")
        }
        LookupRecord::Group if record.destination == Some(MacAddr::BROADCAST) => {
            (format!("{destination} is everybody's address: flooding"), "a broadcast is for every station")
        }
        LookupRecord::Group => {
            (format!("{destination} is a group's address: flooding"), "any station may listen to a multicast group")
        }
        LookupRecord::Unknown => (
            format!("nobody knows {destination}: flooding"),
            "no entry says where that address is; its answer will teach the MAC table",
        ),
        LookupRecord::SamePort => (
            format!("{destination} is on {port}, where the frame came from"),
            "whoever it is for is on that side and needs no switch",
        ),
    };
    say("lookup", fact, why)
}

fn route(route: &RouteRecord) -> Sentence {
    let (fact, why) = match route {
        RouteRecord::EchoAnswered => {
            ("a ping of the gateway itself: the switch answers it".to_owned(), "the switch is the gateway")
        }
        RouteRecord::Forwarded { network, next_hop, ttl } => (
            format!("to network {network}, next hop {next_hop}, time to live now {ttl}"),
            "a router takes one off the time to live, so that nothing travels for ever",
        ),
        RouteRecord::Refused { sentence, told_source: true, .. } => {
            (format!("not routed: {sentence}"), "an ICMP error tells the source so")
        }
        RouteRecord::Refused { sentence, told_source: false, .. } => {
            (format!("not routed: {sentence}"), "no ICMP error: none may be sent about this frame, or not now")
        }
    };
    say("route", fact, why)
}

fn resolve(resolved: &ResolvedRecord) -> Sentence {
    let (fact, why) = match resolved {
        ResolvedRecord::Known { station } => (
            format!("the next hop's MAC address is {}", station_text(station)),
            "frames travel by MAC address, on every network anew",
        ),
        ResolvedRecord::Asked => (
            "nobody knows the next hop's MAC address: the switch asks by ARP".to_owned(),
            "the frame waits for the answer",
        ),
        ResolvedRecord::Waiting { held } => (
            format!("the next hop has been asked for its MAC address: {}, this one included", waits(*held)),
            "one question is enough for all of them",
        ),
        ResolvedRecord::Full => (
            "as many frames wait for that next hop as may".to_owned(),
            "whoever never answers cannot fill the switch's memory",
        ),
    };
    say("resolve", fact, why)
}

fn arp_message(arp: &ArpRecord) -> String {
    let (sender, target, mac) = (arp.sender_ip, arp.target_ip, arp.sender_mac);
    match arp.kind {
        ArpKindRecord::Request => format!("{sender} asks who has {target}"),
        ArpKindRecord::Reply => format!("{sender} says that it is at {mac}"),
        ArpKindRecord::Probe => format!("{mac} asks whether anybody uses {target}"),
        ArpKindRecord::Announcement => format!("{mac} announces that it uses {sender}"),
    }
}

fn arp_noted(arp: &ArpRecord) -> String {
    let (sender, mac) = (arp.sender_ip, arp.sender_mac);
    match &arp.noted {
        NotedRecord::Nothing => "nothing to note".to_owned(),
        NotedRecord::New => format!("noted: {sender} is at {mac}"),
        NotedRecord::Confirmed => format!("as noted before: {sender} is at {mac}"),
        NotedRecord::Changed { from } => {
            format!("noted anew: {sender} was at {} and is now at {mac}", station_text(from))
        }
        NotedRecord::Conflict { held_by } => {
            format!("conflict: {sender} is held by {}, and {mac} claims it too", station_text(held_by))
        }
        NotedRecord::Full => format!("not noted: there is no room for {sender} in the neighbor table"),
    }
}

fn arp_outcome(outcome: &ArpOutcomeRecord) -> String {
    match outcome {
        ArpOutcomeRecord::PassedOn => "it goes on like any frame".to_owned(),
        ArpOutcomeRecord::AnsweredAsGateway => "the switch is the gateway, and answers".to_owned(),
        ArpOutcomeRecord::AnsweredFor { station } => {
            format!("the switch knows {} and answers for it; nobody else is disturbed", station_text(station))
        }
        ArpOutcomeRecord::ReadByGateway => "it was for the gateway, which has read it".to_owned(),
    }
}

/// What became of a frame, for somebody who wants to understand.
pub fn verdict(record: &Record) -> String {
    match &record.verdict {
        VerdictRecord::Unicast { to } => format!("forwarded to {to} only"),
        VerdictRecord::Flood { network } if is_repeated(record) => format!("repeated to every other port of {network}"),
        VerdictRecord::Flood { network } => format!("flooded to every other port of {network}"),
        VerdictRecord::Fragmented { network } => format!("cut into fragments for {network}, each a frame of its own"),
        VerdictRecord::Answered => "answered: the switch replied itself".to_owned(),
        VerdictRecord::Consumed => "taken in: it was for the switch itself, which has read it".to_owned(),
        VerdictRecord::Held => "held: it waits until the next hop's MAC address is known".to_owned(),
        VerdictRecord::Drop { sentence, .. } => format!("dropped: {sentence}"),
    }
}

/// A frame's steps and verdict in the few words that fit on its line.
pub fn acts(record: &Record) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    let (steps, egress): (Vec<_>, Vec<_>) =
        record.steps.iter().partition(|step| !matches!(step, StepRecord::NotSent { .. }));
    for step in steps {
        acts.extend(step_acts(record, step).into_iter().flatten());
    }
    let end = verdict_act(record);
    // A step that said who answered, or why the frame waits, has said it better than the verdict.
    if acts.iter().all(|act| act.word != end.word) {
        acts.push(end);
    }
    for step in egress {
        acts.extend(step_acts(record, step).into_iter().flatten());
    }
    acts
}

/// A step in at most two acts; none for what is ordinary or what the verdict says.
fn step_acts(record: &Record, step: &StepRecord) -> [Option<Act>; 2] {
    let port = record.port_text();
    let one = |act| [Some(act), None];
    match step {
        StepRecord::Learned(LearnedRecord::New) => one(act("LEARN", Tone::Learn, format!("new {port}"))),
        StepRecord::Learned(LearnedRecord::Replaced { evicted }) => {
            let evicted = evicted.name.clone().unwrap_or_else(|| evicted.mac.to_string());
            one(act("LEARN", Tone::Caution, format!("new {port} (evicts {evicted})")))
        }
        StepRecord::Faulted { port, what } => {
            one(act("FAULT", Tone::Caution, format!("the line of {port} {}", injected(*what))))
        }
        // What the gateway did with it is said by other acts; that the others heard it, by this one.
        StepRecord::Repeated { .. } if !matches!(record.verdict, VerdictRecord::Flood { .. }) => {
            one(act("REPEAT", Tone::Caution, "-> every other port"))
        }
        StepRecord::Learned(LearnedRecord::Refreshed) => one(act("LEARN", Tone::Learn, format!("fresh {port}"))),
        StepRecord::Learned(LearnedRecord::Moved { from }) => {
            one(act("LEARN", Tone::Caution, format!("moved {from} -> {port}")))
        }
        StepRecord::Learned(LearnedRecord::Refused(refusal)) => one(act(
            "LEARN",
            Tone::Refuse,
            match refusal {
                RefusalRecord::Static { port } => format!("refused: static on {port}"),
                RefusalRecord::Gateway => "refused: the gateway's address".to_owned(),
                RefusalRecord::PortLimit => format!("refused: {port} holds as many as it may"),
                RefusalRecord::TableFull => "refused: the MAC table is full".to_owned(),
                RefusalRecord::Busy => "put off: the table was busy".to_owned(),
            },
        )),
        StepRecord::Arp(arp) => [noted_act(arp), outcome_act(&arp.outcome)],
        StepRecord::Routed(RouteRecord::EchoAnswered) => one(act("ANSWER", Tone::Speak, "ping of the gateway")),
        StepRecord::Routed(RouteRecord::Forwarded { network, next_hop, ttl }) => {
            one(act("ROUTE", Tone::Forward, format!("to {network} via {next_hop} ttl {ttl}")))
        }
        StepRecord::Routed(RouteRecord::Refused { told_source: true, .. }) => {
            one(act("TELL", Tone::Speak, "source by ICMP"))
        }
        StepRecord::Resolved(ResolvedRecord::Known { station }) if !was_routed(record) => {
            one(act("RELEASE", Tone::Forward, format!("next hop is {}", station_text(station))))
        }
        StepRecord::Resolved(ResolvedRecord::Asked) => {
            one(act("HOLD", Tone::Caution, "next hop asked for its MAC address"))
        }
        StepRecord::Resolved(ResolvedRecord::Waiting { held }) => {
            one(act("HOLD", Tone::Caution, format!("{} for the next hop", waits(*held))))
        }
        StepRecord::NotSent { port, sentence, .. } => {
            one(act("NOT SENT", Tone::Refuse, format!("to {port}: {sentence}")))
        }
        StepRecord::Admitted
        | StepRecord::Guarded
        | StepRecord::LookedUp(_)
        | StepRecord::Isolated
        | StepRecord::Flooded { .. }
        | StepRecord::Repeated { .. }
        | StepRecord::Routed(RouteRecord::Refused { told_source: false, .. })
        | StepRecord::Resolved(ResolvedRecord::Known { .. } | ResolvedRecord::Full)
        | StepRecord::Sent { .. } => [None, None],
    }
}

fn noted_act(arp: &ArpRecord) -> Option<Act> {
    let ip = arp.sender_ip;
    match &arp.noted {
        NotedRecord::Nothing | NotedRecord::New | NotedRecord::Confirmed => None,
        NotedRecord::Changed { from } => {
            Some(act("NOTE", Tone::Caution, format!("{ip} was at {}", station_text(from))))
        }
        NotedRecord::Conflict { held_by } => {
            Some(act("CONFLICT", Tone::Refuse, format!("{ip} is held by {}", station_text(held_by))))
        }
        NotedRecord::Full => Some(act("NOTE", Tone::Refuse, "refused: the neighbor table is full")),
    }
}

fn outcome_act(outcome: &ArpOutcomeRecord) -> Option<Act> {
    match outcome {
        ArpOutcomeRecord::PassedOn => None,
        ArpOutcomeRecord::AnsweredAsGateway => Some(act("ANSWER", Tone::Speak, "as gateway")),
        ArpOutcomeRecord::AnsweredFor { station } => {
            Some(act("ANSWER", Tone::Speak, format!("for {}", station_text(station))))
        }
        ArpOutcomeRecord::ReadByGateway => Some(act("READ", Tone::Speak, "by the gateway")),
    }
}

fn verdict_act(record: &Record) -> Act {
    match &record.verdict {
        VerdictRecord::Unicast { to } => act("UNICAST", Tone::Forward, format!("-> {to}")),
        VerdictRecord::Flood { .. } if is_repeated(record) => {
            act("REPEAT", Tone::Caution, format!("-> {}", flooded_ports(record)))
        }
        VerdictRecord::Flood { .. } => {
            act("FLOOD", Tone::Caution, format!("{} -> {}", flood_cause(record), flooded_ports(record)))
        }
        VerdictRecord::Fragmented { network } => act("FRAGMENT", Tone::Caution, format!("for the MTU of {network}")),
        VerdictRecord::Answered => act("ANSWER", Tone::Speak, "by the switch"),
        VerdictRecord::Consumed => act("READ", Tone::Speak, "by the switch"),
        VerdictRecord::Held => act("HOLD", Tone::Caution, "until the next hop is known"),
        VerdictRecord::Drop { reason, sentence } => act("DROP", Tone::Refuse, format!("{reason}: {sentence}")),
    }
}

fn flood_cause(record: &Record) -> &'static str {
    match record.destination {
        Some(mac) if mac.is_broadcast() => "broadcast",
        Some(mac) if mac.is_group() => "multicast",
        _ => "unknown",
    }
}

/// The ports that took a flooded frame; before it was handed out, how many there are to take it.
fn flooded_ports(record: &Record) -> String {
    if record.egress.is_empty() {
        let ports = record.steps.iter().find_map(|step| match step {
            StepRecord::Flooded { ports } | StepRecord::Repeated { ports } => Some(usize::from(*ports)),
            _ => None,
        });
        return ports.map_or_else(|| "every other port".to_owned(), |ports| count(ports, "port"));
    }
    let sent: Vec<&str> =
        record.egress.iter().filter(|egress| egress.sent).map(|egress| egress.port.as_str()).collect();
    match sent.len() {
        0 => "nobody".to_owned(),
        1..=NAMED_PORTS => sent.join(" "),
        more => format!("{} and {} more", sent[..NAMED_PORTS].join(" "), more - NAMED_PORTS),
    }
}

/// Did a hub flood it?
fn is_repeated(record: &Record) -> bool {
    record.steps.iter().any(|step| matches!(step, StepRecord::Repeated { .. }))
}

fn was_routed(record: &Record) -> bool {
    record.steps.iter().any(|step| matches!(step, StepRecord::Routed(RouteRecord::Forwarded { .. })))
}

fn station_text(station: &Station) -> String {
    match &station.name {
        Some(name) => format!("{} ({name})", station.mac),
        None => station.mac.to_string(),
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn waits(held: u16) -> String {
    if held == 1 { "1 frame waits".to_owned() } else { format!("{held} frames wait") }
}

impl Record {
    fn source_text(&self) -> String {
        self.source.map_or_else(|| "its source".to_owned(), |mac| mac.to_string())
    }

    fn destination_text(&self) -> String {
        self.destination_station().map_or_else(|| "its destination".to_owned(), |station| station_text(&station))
    }

    /// The port the frame came in by, or who made it.
    pub(crate) fn port_text(&self) -> &str {
        self.port.as_deref().unwrap_or("switch")
    }
}
