//! What is kept of one neighbor, and in which state is it? (RFC 4861, 5.1 and 7.3.2)
//!
//! Reachable turns Stale by time alone, so it is computed, not stored: no timer runs for a neighbor nobody asks for.

use std::fmt;
use std::net::IpAddr;

use frame::{MacAddr, Millis, PortId};

use crate::resolver::Held;

/// How long a confirmation holds (RFC 4861, 10: `REACHABLE_TIME`; its random factor, which keeps hosts from asking
/// in step, is left out: one switch is one host).
pub const REACHABLE: Millis = Millis::from_secs(30);
/// How long a stale neighbor that is used may take to confirm itself before it is asked (RFC 4861, 10:
/// `DELAY_FIRST_PROBE_TIME`).
pub const DELAY: Millis = Millis::from_secs(5);
/// From one request to the next, to the same neighbor (RFC 4861, 10: `RETRANS_TIMER`; RFC 1122, 2.3.2.1: not more than
/// one a second).
pub const RETRANS: Millis = Millis::from_secs(1);
/// Requests before a neighbor counts as unreachable (RFC 4861, 10: `MAX_MULTICAST_SOLICIT`, `MAX_UNICAST_SOLICIT`).
pub const MAX_REQUESTS: u8 = 3;

/// Who said that a neighbor has its MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// The control plane, which knows: nothing on the wire changes it.
    Control,
    /// An ARP message that passed by.
    Arp,
    /// The answer to the switch's own request.
    Resolver,
}

impl Source {
    /// The source's name in commands and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Arp => "arp",
            Self::Resolver => "resolver",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How sure the switch is of a neighbor (RFC 4861, 7.3.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Asked for, not answered yet.
    Incomplete,
    /// Confirmed less than [`REACHABLE`] ago, or told by the control plane.
    Reachable,
    /// Not confirmed for longer; not used since.
    Stale,
    /// Stale and used: it may confirm itself within [`DELAY`].
    Delay,
    /// Stale and used, and being asked.
    Probe,
}

impl State {
    /// The state's name in commands and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
            Self::Delay => "delay",
            Self::Probe => "probe",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One neighbor, as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NeighborEntry {
    /// Its IP address.
    pub ip: IpAddr,
    /// Its MAC address; `None` while [`State::Incomplete`].
    pub mac: Option<MacAddr>,
    /// The port it was heard on or is attached to.
    pub port: Option<PortId>,
    /// How sure that is.
    pub state: State,
    /// Who said so.
    pub source: Source,
    /// Since it was last confirmed, told by the control plane, or, while incomplete, first asked for.
    pub age: Millis,
}

/// One neighbor, as it is kept.
#[derive(Clone, Debug)]
pub(crate) enum Neighbor {
    Incomplete(Incomplete),
    Known(Known),
}

/// Asked for, not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Incomplete {
    pub(crate) since: Millis,
    /// Requests sent.
    pub(crate) attempt: u8,
    pub(crate) due: Millis,
    pub(crate) held: Vec<Held>,
}

/// Its MAC address is known.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) mac: MacAddr,
    pub(crate) port: Option<PortId>,
    pub(crate) source: Source,
    pub(crate) confirmed: Millis,
    pub(crate) upkeep: Upkeep,
}

/// What is under way to confirm a stale neighbor that is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upkeep {
    Nothing,
    Delay { due: Millis },
    Probe { attempt: u8, due: Millis },
}

/// A request that is to be sent now.
pub(crate) struct Ask {
    pub(crate) attempt: u8,
    pub(crate) mac: Option<MacAddr>,
    /// When to look at the neighbor again.
    pub(crate) due: Millis,
}

impl Known {
    pub(crate) fn is_learned(&self) -> bool {
        self.source != Source::Control
    }

    pub(crate) fn is_being_asked(&self) -> bool {
        matches!(self.upkeep, Upkeep::Probe { .. })
    }

    /// Does it stand against another MAC address's claim?
    pub(crate) fn is_sure(&self, now: Millis) -> bool {
        self.source == Source::Control || now.since(self.confirmed) < REACHABLE
    }

    /// It was heard from. Returns the timer that has become void. What the control plane said stays as it was said.
    pub(crate) fn confirm(&mut self, port: PortId, now: Millis) -> Option<Millis> {
        if !self.is_learned() {
            return None;
        }
        self.port = Some(port);
        self.confirmed = now;
        let void = self.upkeep.due();
        self.upkeep = Upkeep::Nothing;
        void
    }

    fn state(&self, now: Millis) -> State {
        match self.upkeep {
            Upkeep::Delay { .. } => State::Delay,
            Upkeep::Probe { .. } => State::Probe,
            Upkeep::Nothing if self.is_sure(now) => State::Reachable,
            Upkeep::Nothing => State::Stale,
        }
    }
}

impl Upkeep {
    fn due(self) -> Option<Millis> {
        match self {
            Self::Nothing => None,
            Self::Delay { due } | Self::Probe { due, .. } => Some(due),
        }
    }
}

impl Neighbor {
    /// When its timer runs out, if one runs.
    pub(crate) fn due(&self) -> Option<Millis> {
        match self {
            Self::Incomplete(incomplete) => Some(incomplete.due),
            Self::Known(known) => known.upkeep.due(),
        }
    }

    /// The frames that wait for it.
    pub(crate) fn into_held(self) -> Vec<Held> {
        match self {
            Self::Incomplete(incomplete) => incomplete.held,
            Self::Known(_) => Vec::new(),
        }
    }

    /// Its timer has run out: ask it, or `None` when it was asked often enough. The next request is due a full
    /// [`RETRANS`] from `now`, however late `now` is.
    pub(crate) fn ask_again(&mut self, now: Millis) -> Option<Ask> {
        let due = now + RETRANS;
        let ask = match self {
            Self::Incomplete(incomplete) => Ask { attempt: incomplete.attempt + 1, mac: None, due },
            Self::Known(known) => {
                let asked = if let Upkeep::Probe { attempt, .. } = known.upkeep { attempt } else { 0 };
                Ask { attempt: asked + 1, mac: Some(known.mac), due }
            }
        };
        if ask.attempt > MAX_REQUESTS {
            return None;
        }
        match self {
            Self::Incomplete(incomplete) => (incomplete.attempt, incomplete.due) = (ask.attempt, due),
            Self::Known(known) => known.upkeep = Upkeep::Probe { attempt: ask.attempt, due },
        }
        Some(ask)
    }

    pub(crate) fn show(&self, ip: IpAddr, now: Millis) -> NeighborEntry {
        match self {
            Self::Incomplete(incomplete) => NeighborEntry {
                ip,
                mac: None,
                port: None,
                state: State::Incomplete,
                source: Source::Resolver,
                age: now.since(incomplete.since),
            },
            Self::Known(known) => NeighborEntry {
                ip,
                mac: Some(known.mac),
                port: known.port,
                state: known.state(now),
                source: known.source,
                age: now.since(known.confirmed),
            },
        }
    }
}
