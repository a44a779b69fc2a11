//! Which decisions led to a frame's verdict? One variant for each file that decides.
//!
//! Steps are small values without text; `trace` puts them into words when somebody looks.

use std::net::{IpAddr, Ipv4Addr};

use crate::{DropReason, MacAddr, Millis, NetworkId, PortId};

/// One decision on the way to a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// `forwarding/admit`: the frame is one a switch may look at.
    Admitted,
    /// `forwarding/guard`: it claims no address of the network that is not its port's.
    Guarded,
    /// `forwarding/learn`: what its source address taught the MAC table.
    Learned(Learned),
    /// `arp/responder`: an ARP message was read.
    Arp(ArpStep),
    /// `forwarding/lookup`: where its destination address is.
    LookedUp(Lookup),
    /// `forwarding/isolate`: its network keeps its endpoints apart, so that it may go to the gateway only.
    Isolated,
    /// `forwarding/flood`: it goes to every other port of the network.
    Flooded {
        /// How many ports that is.
        ports: u16,
    },
    /// `switch/engine/hub`: its network is a hub (`mode=hub`), which repeats it to every other port and learns nothing.
    Repeated {
        /// How many ports that is.
        ports: u16,
    },
    /// `switch/engine/faults`: the port's line is bad on purpose (`lanyard fault`).
    Faulted {
        /// Whose line.
        port: PortId,
        /// What it did to the frame.
        what: Injected,
    },
    /// `forwarding/route`: the gateway's decision.
    Routed(RouteStep),
    /// `arp/resolver`: the next hop's MAC address.
    Resolved(Resolved),
    /// `switch/engine/egress`: handed to a port.
    Sent {
        /// The port.
        port: PortId,
    },
    /// `switch/engine/egress`: a port did not take it.
    NotSent {
        /// The port.
        port: PortId,
        /// Why not.
        reason: DropReason,
    },
}

/// A row of the MAC table, as it was found at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// How it came to be.
    pub kind: RowKind,
    /// The port it names; `None` for the gateway's.
    pub port: Option<PortId>,
    /// How long ago its station was last heard; zero for rows that do not age.
    pub age: Millis,
}

/// How a row of the MAC table came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowKind {
    /// From a frame's source address.
    Learned,
    /// Told by the control side.
    Static,
    /// The network's gateway.
    Gateway,
}

/// The MAC table around one frame: its rows before and after the frame, and how full it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableView {
    /// The source address's row before the frame was learned from.
    pub source_before: Option<Row>,
    /// The same row afterwards.
    pub source_after: Option<Row>,
    /// The destination address's row, when it was looked up.
    pub destination: Option<Row>,
    /// Rows in the table afterwards.
    pub entries: u32,
    /// The most rows it may have.
    pub capacity: u32,
    /// Addresses learned on the frame's port afterwards.
    pub on_port: u32,
}

/// What a frame's source address taught the MAC table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    /// A new entry.
    New,
    /// A new entry, for which another station's had to go: the table is full.
    Replaced {
        /// The station that is no longer known.
        evicted: MacAddr,
    },
    /// The entry was there and is fresh again.
    Refreshed,
    /// The address was on another port before; the move is counted.
    Moved {
        /// The port it was on.
        from: PortId,
    },
    /// Nothing was learned.
    Refused(LearnRefusal),
}

// What learning answers is returned in one register.
const _: () = assert!(size_of::<Learned>() <= 8);

/// Why an address was not learned. The frame is forwarded all the same, unless its port is guarded and the address another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LearnRefusal {
    /// A static entry says that the address is on another port.
    Static {
        /// The port the static entry names.
        port: PortId,
    },
    /// The address is the gateway's.
    Gateway,
    /// The port already holds as many addresses as it may.
    PortLimit,
    /// The table is full and no entry may make room.
    TableFull,
    /// Another worker was changing the same line of the table; the next frame will teach it.
    Busy,
}

/// What a bad line did to a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Injected {
    /// Lost it.
    Dropped,
    /// Lost it, because as many frames were under way on the slow line as may be.
    Overflowed,
    /// Held it back for so long.
    Delayed {
        /// For how long.
        by: Millis,
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

/// What the MAC table said of a destination address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// It is on this port.
    Known {
        /// The port.
        port: PortId,
    },
    /// It is the gateway's address.
    Gateway,
    /// It is a group address (broadcast or multicast).
    Group,
    /// Nobody has been heard from with that address.
    Unknown,
    /// It is on the port the frame came from.
    SamePort,
}

/// An ARP message (RFC 826) that the switch has read, and what it did about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArpStep {
    /// Request, reply, probe, announcement.
    pub kind: ArpKind,
    /// Sender protocol address.
    pub sender_ip: Ipv4Addr,
    /// Sender hardware address.
    pub sender_mac: MacAddr,
    /// Target protocol address.
    pub target_ip: Ipv4Addr,
    /// What the neighbor table took from it.
    pub noted: NeighborChange,
    /// What the switch did about it.
    pub outcome: ArpOutcome,
}

/// The kinds of ARP message (RFC 826; RFC 5227 for probe and announcement).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArpKind {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
    /// A request whose sender address is 0.0.0.0: is anybody using the target address? (RFC 5227, 1.1)
    Probe,
    /// Sender and target address are equal: I am using this address (RFC 5227, 1.1; "gratuitous ARP").
    Announcement,
}

/// What the neighbor table took from an ARP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NeighborChange {
    /// Nothing: the message tells no sender address (a probe), one outside the subnet, one that no station can have, or
    /// the gateway's.
    Nothing,
    /// A neighbor that was not known before.
    New,
    /// A neighbor that was known, with the same MAC address.
    Confirmed,
    /// Another MAC address for a learned neighbor whose entry was stale: it is replaced.
    Changed {
        /// The MAC address before.
        from: MacAddr,
    },
    /// Two stations claim one IP address (RFC 5227): recorded, the entry stays.
    Conflict {
        /// The MAC address that holds the entry.
        held_by: MacAddr,
    },
    /// The table has no room for another neighbor.
    Full,
}

/// What the switch did about an ARP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArpOutcome {
    /// Nothing: it goes on through the switch like any frame.
    PassedOn,
    /// The switch answered as the gateway.
    AnsweredAsGateway,
    /// The switch answered for an endpoint that it knows (`arp=suppress`).
    AnsweredFor {
        /// The endpoint's MAC address.
        mac: MacAddr,
    },
    /// It was addressed to the gateway, which has read it.
    ReadByGateway,
}

/// What the gateway did with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteStep {
    /// It was a ping (ICMP echo request, RFC 792) of the gateway itself, which answered.
    EchoAnswered,
    /// It goes on, with its time to live one lower.
    Forwarded {
        /// The network it goes into.
        network: NetworkId,
        /// Who gets it there.
        next_hop: IpAddr,
        /// Its time to live from here on.
        ttl: u8,
    },
    /// It could not go on; an ICMP error was sent back to its source (RFC 1812, 4.3) or held back for one of RFC 1812's reasons.
    Refused {
        /// Why it could not.
        reason: DropReason,
        /// Was an ICMP error sent?
        told_source: bool,
    },
}

/// What the resolver said of a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolved {
    /// Its MAC address.
    Known {
        /// The address.
        mac: MacAddr,
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
