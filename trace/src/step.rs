//! Which decisions were made about a frame, with names in place of numbers?
//!
//! One type for each of `frame::step`'s, self-contained: what the JSON form carries and [`crate::words`] tells. Reasons
//! are text here, so that a reader knows every reason of a newer switch.

use std::net::{IpAddr, Ipv4Addr};

use frame::step::{
    ArpKind, ArpOutcome, ArpStep, Injected, LearnRefusal, Learned, Lookup, NeighborChange, Resolved, RouteStep, Row,
    RowKind, TableView,
};
use frame::{DropReason, MacAddr, NetworkId, Step, Verdict};
use serde::{Deserialize, Serialize};

use crate::record::Names;

/// A [`frame::Step`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StepRecord {
    /// The frame is one a switch may look at.
    Admitted,
    /// It claims no address of the network that is not its port's.
    Guarded,
    /// What its source address taught the MAC table.
    Learned(LearnedRecord),
    /// An ARP message (RFC 826) was read.
    Arp(ArpRecord),
    /// Where its destination address is.
    LookedUp(LookupRecord),
    /// Its network keeps its endpoints apart: it may go to the gateway only.
    Isolated,
    /// It goes to every other port of the network.
    Flooded {
        /// How many ports that is.
        ports: u16,
    },
    /// Its network is a hub, which repeats it to every other port and learns nothing.
    Repeated {
        /// How many ports that is.
        ports: u16,
    },
    /// A port's line is bad on purpose.
    Faulted {
        /// Whose line.
        port: String,
        /// What it did to the frame.
        #[serde(flatten)]
        what: InjectedRecord,
    },
    /// The gateway's decision.
    Routed(RouteRecord),
    /// The next hop's MAC address.
    Resolved(ResolvedRecord),
    /// Handed to a port.
    Sent {
        /// The port.
        port: String,
    },
    /// A port did not take it.
    NotSent {
        /// The port.
        port: String,
        /// The drop reason's name.
        reason: String,
        /// The drop reason in words.
        sentence: String,
    },
}

/// A [`frame::step::Learned`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum LearnedRecord {
    /// A new entry.
    New,
    /// A new entry, for which another station's had to go.
    Replaced {
        /// The station that is no longer known.
        evicted: Station,
    },
    /// The entry was there and is fresh again.
    Refreshed,
    /// The address was on another port before.
    Moved {
        /// The port it was on.
        from: String,
    },
    /// Nothing was learned.
    Refused(RefusalRecord),
}

/// A [`frame::step::Injected`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum InjectedRecord {
    /// Lost it.
    Dropped,
    /// Lost it: as many frames were under way as may be.
    Overflowed,
    /// Held it back.
    Delayed {
        /// For so many milliseconds.
        by_ms: u64,
    },
    /// Delivered it twice: this is the frame itself.
    Duplicated,
    /// Delivered it twice: this is the second one.
    Copy,
    /// Delivered it after the one that came behind it.
    Reordered,
    /// Turned one of its bits over.
    Corrupted {
        /// In which octet, counted from 0.
        octet: u16,
    },
}

/// A [`frame::step::LearnRefusal`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum RefusalRecord {
    /// A static entry says that the address is on another port.
    Static {
        /// The port the static entry names.
        port: String,
    },
    /// The address is the gateway's.
    Gateway,
    /// The port already holds as many addresses as it may.
    PortLimit,
    /// The table is full and no entry may make room.
    TableFull,
    /// Another worker was changing the same line of the table.
    Busy,
}

/// A [`frame::step::ArpStep`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArpRecord {
    /// Request, reply, probe, announcement.
    pub kind: ArpKindRecord,
    /// Sender protocol address.
    pub sender_ip: Ipv4Addr,
    /// Sender hardware address.
    pub sender_mac: MacAddr,
    /// Target protocol address.
    pub target_ip: Ipv4Addr,
    /// What the neighbor table took from it.
    pub noted: NotedRecord,
    /// What the switch did about it.
    pub outcome: ArpOutcomeRecord,
}

/// A [`frame::step::ArpKind`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArpKindRecord {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
    /// Is anybody using the target address? (RFC 5227, 1.1)
    Probe,
    /// I am using this address (RFC 5227, 1.1).
    Announcement,
}

/// A [`frame::step::NeighborChange`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum NotedRecord {
    /// Nothing.
    Nothing,
    /// A neighbor that was not known before.
    New,
    /// A neighbor that was known, with the same MAC address.
    Confirmed,
    /// Another MAC address for a stale neighbor.
    Changed {
        /// The MAC address before.
        from: Station,
    },
    /// Two stations claim one IP address (RFC 5227).
    Conflict {
        /// Who holds the entry.
        held_by: Station,
    },
    /// The table has no room for another neighbor.
    Full,
}

/// A [`frame::step::ArpOutcome`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ArpOutcomeRecord {
    /// Nothing.
    PassedOn,
    /// The switch answered as the gateway.
    AnsweredAsGateway,
    /// The switch answered for an endpoint that it knows.
    AnsweredFor {
        /// The endpoint.
        station: Station,
    },
    /// It was addressed to the gateway, which has read it.
    ReadByGateway,
}

/// A [`frame::step::Lookup`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum LookupRecord {
    /// It is on this port.
    Known {
        /// The port.
        port: String,
    },
    /// It is the gateway's address.
    Gateway,
    /// It is a group address.
    Group,
    /// Nobody has been heard from with that address.
    Unknown,
    /// It is on the port the frame came from.
    SamePort,
}

/// A [`frame::step::RouteStep`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum RouteRecord {
    /// A ping of the gateway itself, which answered.
    EchoAnswered,
    /// It goes on, with its time to live one lower.
    Forwarded {
        /// The network it goes into.
        network: String,
        /// Who gets it there.
        next_hop: IpAddr,
        /// Its time to live from here on.
        ttl: u8,
    },
    /// It could not go on.
    Refused {
        /// The drop reason's name.
        reason: String,
        /// The drop reason in words.
        sentence: String,
        /// Was an ICMP error sent?
        told_source: bool,
    },
}

/// A [`frame::step::Resolved`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum ResolvedRecord {
    /// Its MAC address.
    Known {
        /// The next hop.
        station: Station,
    },
    /// Not known; an ARP request was sent and the frame waits.
    Asked,
    /// A request is under way; the frame waits with others.
    Waiting {
        /// How many frames wait, this one included.
        held: u16,
    },
    /// As many frames wait as may.
    Full,
}

/// A [`frame::Verdict`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum VerdictRecord {
    /// To one port, where the MAC table says its destination is.
    Unicast {
        /// The port.
        to: String,
    },
    /// To every port of a network but the one it came from, once each.
    Flood {
        /// The network.
        network: String,
    },
    /// It went on in pieces, each a frame of its own.
    Fragmented {
        /// The network it was routed into.
        network: String,
    },
    /// The switch answered it itself.
    Answered,
    /// It was meant for the switch itself, which has read it.
    Consumed,
    /// It waits until its next hop's MAC address is known.
    Held,
    /// It went nowhere.
    Drop {
        /// The drop reason's name.
        reason: String,
        /// The drop reason in words.
        sentence: String,
    },
}

/// A [`frame::step::TableView`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TableRecord {
    /// The source address's row before the frame was learned from.
    pub source_before: Option<RowRecord>,
    /// The same row afterwards.
    pub source_after: Option<RowRecord>,
    /// The destination address's row, when it was looked up.
    pub destination: Option<RowRecord>,
    /// Rows in the table afterwards.
    pub entries: u32,
    /// The most rows it may have.
    pub capacity: u32,
    /// Addresses learned on the frame's port afterwards.
    pub on_port: u32,
}

/// A [`frame::step::Row`] with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowRecord {
    /// `learned`, `static` or `gateway`.
    pub kind: String,
    /// The port it names.
    pub port: Option<String>,
    /// How long ago its station was last heard, in milliseconds, to 1/128 of the ageing time.
    pub age_ms: u64,
    /// The number of the frame that taught it, if that is remembered.
    pub taught_by: Option<u64>,
}

/// A MAC address and, where the switch knows it, the name of who has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Station {
    /// The address.
    pub mac: MacAddr,
    /// The name of its endpoint.
    pub name: Option<String>,
}

/// Gives names to the steps of one frame, which may change networks on its way.
pub(crate) struct Resolver<'a, N> {
    pub(crate) names: &'a N,
    /// The network the frame is in: its own, then the one it was routed into.
    pub(crate) network: NetworkId,
}

impl<N: Names> Resolver<'_, N> {
    pub(crate) fn station(&self, mac: MacAddr) -> Station {
        Station { mac, name: self.names.mac(self.network, mac).map(Into::into) }
    }

    pub(crate) fn step(&mut self, step: Step) -> StepRecord {
        match step {
            Step::Admitted => StepRecord::Admitted,
            Step::Guarded => StepRecord::Guarded,
            Step::Learned(learned) => StepRecord::Learned(self.learned(learned)),
            Step::Arp(arp) => StepRecord::Arp(self.arp(arp)),
            Step::LookedUp(lookup) => StepRecord::LookedUp(self.lookup(lookup)),
            Step::Isolated => StepRecord::Isolated,
            Step::Flooded { ports } => StepRecord::Flooded { ports },
            Step::Repeated { ports } => StepRecord::Repeated { ports },
            Step::Faulted { port, what } => {
                StepRecord::Faulted { port: self.names.port(port).into(), what: injected(what) }
            }
            Step::Routed(route) => StepRecord::Routed(self.route(route)),
            Step::Resolved(resolved) => StepRecord::Resolved(self.resolved(resolved)),
            Step::Sent { port } => StepRecord::Sent { port: self.names.port(port).into() },
            Step::NotSent { port, reason } => {
                let (reason, sentence) = reason_texts(reason);
                StepRecord::NotSent { port: self.names.port(port).into(), reason, sentence }
            }
        }
    }

    /// `number` is the frame's own; the others are those of the frames that had taught its two addresses before.
    pub(crate) fn table(
        &self,
        view: TableView,
        number: u64,
        source_taught: Option<u64>,
        destination_taught: Option<u64>,
    ) -> TableRecord {
        let row = |row: Option<Row>, taught_by: Option<u64>| row.map(|row| self.row(row, taught_by));
        let moved = view.source_before.map(|row| row.port) != view.source_after.map(|row| row.port);
        TableRecord {
            source_before: row(view.source_before, source_taught.filter(|taught| *taught != number)),
            source_after: row(
                view.source_after,
                if moved { Some(number).filter(|number| *number > 0) } else { source_taught },
            ),
            destination: row(view.destination, destination_taught),
            entries: view.entries,
            capacity: view.capacity,
            on_port: view.on_port,
        }
    }

    fn row(&self, row: Row, taught_by: Option<u64>) -> RowRecord {
        let kind = match row.kind {
            RowKind::Learned => "learned",
            RowKind::Static => "static",
            RowKind::Gateway => "gateway",
        };
        RowRecord {
            kind: kind.to_owned(),
            port: row.port.map(|port| self.names.port(port).into()),
            age_ms: row.age.0,
            taught_by: taught_by.filter(|_| row.kind == RowKind::Learned),
        }
    }

    fn learned(&self, learned: Learned) -> LearnedRecord {
        match learned {
            Learned::New => LearnedRecord::New,
            Learned::Replaced { evicted } => LearnedRecord::Replaced { evicted: self.station(evicted) },
            Learned::Refreshed => LearnedRecord::Refreshed,
            Learned::Moved { from } => LearnedRecord::Moved { from: self.names.port(from).into() },
            Learned::Refused(why) => LearnedRecord::Refused(match why {
                LearnRefusal::Static { port } => RefusalRecord::Static { port: self.names.port(port).into() },
                LearnRefusal::Gateway => RefusalRecord::Gateway,
                LearnRefusal::PortLimit => RefusalRecord::PortLimit,
                LearnRefusal::TableFull => RefusalRecord::TableFull,
                LearnRefusal::Busy => RefusalRecord::Busy,
            }),
        }
    }

    fn arp(&self, arp: ArpStep) -> ArpRecord {
        ArpRecord {
            kind: match arp.kind {
                ArpKind::Request => ArpKindRecord::Request,
                ArpKind::Reply => ArpKindRecord::Reply,
                ArpKind::Probe => ArpKindRecord::Probe,
                ArpKind::Announcement => ArpKindRecord::Announcement,
            },
            sender_ip: arp.sender_ip,
            sender_mac: arp.sender_mac,
            target_ip: arp.target_ip,
            noted: match arp.noted {
                NeighborChange::Nothing => NotedRecord::Nothing,
                NeighborChange::New => NotedRecord::New,
                NeighborChange::Confirmed => NotedRecord::Confirmed,
                NeighborChange::Changed { from } => NotedRecord::Changed { from: self.station(from) },
                NeighborChange::Conflict { held_by } => NotedRecord::Conflict { held_by: self.station(held_by) },
                NeighborChange::Full => NotedRecord::Full,
            },
            outcome: match arp.outcome {
                ArpOutcome::PassedOn => ArpOutcomeRecord::PassedOn,
                ArpOutcome::AnsweredAsGateway => ArpOutcomeRecord::AnsweredAsGateway,
                ArpOutcome::AnsweredFor { mac } => ArpOutcomeRecord::AnsweredFor { station: self.station(mac) },
                ArpOutcome::ReadByGateway => ArpOutcomeRecord::ReadByGateway,
            },
        }
    }

    fn lookup(&self, lookup: Lookup) -> LookupRecord {
        match lookup {
            Lookup::Known { port } => LookupRecord::Known { port: self.names.port(port).into() },
            Lookup::Gateway => LookupRecord::Gateway,
            Lookup::Group => LookupRecord::Group,
            Lookup::Unknown => LookupRecord::Unknown,
            Lookup::SamePort => LookupRecord::SamePort,
        }
    }

    fn route(&mut self, route: RouteStep) -> RouteRecord {
        match route {
            RouteStep::EchoAnswered => RouteRecord::EchoAnswered,
            RouteStep::Forwarded { network, next_hop, ttl } => {
                self.network = network;
                RouteRecord::Forwarded { network: self.names.network(network).into(), next_hop, ttl }
            }
            RouteStep::Refused { reason, told_source } => {
                let (reason, sentence) = reason_texts(reason);
                RouteRecord::Refused { reason, sentence, told_source }
            }
        }
    }

    fn resolved(&self, resolved: Resolved) -> ResolvedRecord {
        match resolved {
            Resolved::Known { mac } => ResolvedRecord::Known { station: self.station(mac) },
            Resolved::Asked => ResolvedRecord::Asked,
            Resolved::Waiting { held } => ResolvedRecord::Waiting { held },
            Resolved::Full => ResolvedRecord::Full,
        }
    }

    pub(crate) fn verdict(&self, verdict: Verdict) -> VerdictRecord {
        match verdict {
            Verdict::Unicast { to } => VerdictRecord::Unicast { to: self.names.port(to).into() },
            Verdict::Flood { network } => VerdictRecord::Flood { network: self.names.network(network).into() },
            Verdict::Fragmented { network } => {
                VerdictRecord::Fragmented { network: self.names.network(network).into() }
            }
            Verdict::Answered => VerdictRecord::Answered,
            Verdict::Consumed => VerdictRecord::Consumed,
            Verdict::Held => VerdictRecord::Held,
            Verdict::Drop(reason) => {
                let (reason, sentence) = reason_texts(reason);
                VerdictRecord::Drop { reason, sentence }
            }
        }
    }
}

const fn injected(what: Injected) -> InjectedRecord {
    match what {
        Injected::Dropped => InjectedRecord::Dropped,
        Injected::Overflowed => InjectedRecord::Overflowed,
        Injected::Delayed { by } => InjectedRecord::Delayed { by_ms: by.0 },
        Injected::Duplicated => InjectedRecord::Duplicated,
        Injected::Copy => InjectedRecord::Copy,
        Injected::Reordered => InjectedRecord::Reordered,
        Injected::Corrupted { octet } => InjectedRecord::Corrupted { octet },
    }
}

fn reason_texts(reason: DropReason) -> (String, String) {
    (reason.name().to_owned(), reason.sentence().to_owned())
}
