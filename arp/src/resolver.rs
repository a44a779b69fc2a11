//! How does a routed frame get its next hop's MAC address? (RFC 1122, 2.3.2; RFC 4861, 7.2 and 7.3)
//!
//! ```text
//!   not known --resolve: request 1--> Incomplete --answer--> Reachable --30 s--> Stale
//!        ^                                |                      ^                 | resolve
//!        |<-- 1 s after request 3 --------+                      |                 v
//!        |<-- 1 s after request 3 ------ Probe <------ 5 s ------|-------------- Delay
//!                                          +------- answer ------+-----------------+
//! ```
//! A frame for an incomplete neighbor waits, within two bounds. The caller sends the requests: the first one when
//! [`Resolved::Asked`] is returned, the others when [`NeighborTable::tick`] says so.
//!
//! No next hop is asked more than once a second (RFC 1122, 2.3.2.1): a neighbor is given up a full second after its
//! last request, so that a flood to a dead address begins the next round no sooner, and its frames wait again.
//!
//! RFC 1122 (2.3.2.2) would keep the latest frame of those that wait; here the first ones are kept, because a frame
//! that waits has had its verdict.

use std::net::IpAddr;

use bytes::Bytes;
use frame::step::Resolved;
use frame::{MacAddr, Millis, NetworkId, OffloadHeader, PortId};

use crate::neighbor::{DELAY, Evict, Incomplete, Neighbor, NeighborTable, RETRANS, Upkeep};

/// A frame that waits for its next hop's MAC address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// Its octets, as they will leave but for the addresses.
    pub octets: Bytes,
    /// What is left to do for it.
    pub offload: OffloadHeader,
    /// The port it came in by.
    pub from: PortId,
    /// The network it came from, which an ICMP error goes back into.
    pub network: NetworkId,
}

/// What the caller has to do, by [`NeighborTable::tick`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Due {
    /// Send a request for `ip`.
    AskAgain {
        /// The next hop.
        ip: IpAddr,
        /// Which request this is, counted from 1, of [`crate::neighbor::MAX_REQUESTS`].
        attempt: u8,
        /// To this address alone, to see whether it is still there (RFC 1122, 2.3.2.1, "unicast poll"); to all when
        /// `None`.
        mac: Option<MacAddr>,
    },
    /// `ip` has not answered and is forgotten.
    Unreachable {
        /// The next hop.
        ip: IpAddr,
        /// The frames that waited for it, in the order they came. None when it was known before and does not answer
        /// any more.
        held: Vec<Held>,
    },
}

impl NeighborTable {
    /// Which MAC address has the next hop `ip`? `hold` is called, and so a frame copied, only if it must wait and may.
    ///
    /// [`Resolved::Asked`]: the caller sends a broadcast request now. [`Resolved::Full`]: the frame was not taken.
    pub fn resolve(&mut self, ip: IpAddr, now: Millis, hold: impl FnOnce() -> Held) -> Resolved {
        let held_in_all = self.settings.held_in_all;
        match self.neighbors.get_mut(&ip) {
            Some(Neighbor::Known(known)) => {
                if known.upkeep == Upkeep::Nothing && !known.is_sure(now) {
                    let due = now + DELAY;
                    known.upkeep = Upkeep::Delay { due };
                    self.timers.insert((due, ip));
                }
                Resolved::Known { mac: known.mac }
            }
            Some(Neighbor::Incomplete(incomplete)) => {
                let waiting = incomplete.held.len();
                if waiting >= usize::from(self.settings.held_per_hop) || self.held >= held_in_all {
                    return Resolved::Full;
                }
                incomplete.held.push(hold());
                self.held += 1;
                Resolved::Waiting { held: waiting as u16 + 1 }
            }
            None => {
                let may_wait = self.settings.held_per_hop > 0 && self.held < held_in_all;
                if !may_wait || !self.make_room(Evict::Learned, now) {
                    return Resolved::Full;
                }
                let asked = Incomplete { since: now, attempt: 1, due: now + RETRANS, held: vec![hold()] };
                self.put(ip, Neighbor::Incomplete(asked));
                Resolved::Asked
            }
        }
    }

    /// Append to `due` what is to be done by `now`, and drop the entries that are too old. Cheap when nothing is due.
    pub fn tick(&mut self, now: Millis, due: &mut Vec<Due>) {
        while let Some(&(at, ip)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(ask) = self.neighbors.get_mut(&ip).and_then(|neighbor| neighbor.ask_again(now)) {
                self.timers.insert((ask.due, ip));
                due.push(Due::AskAgain { ip, attempt: ask.attempt, mac: ask.mac });
            } else {
                let held = self.take(ip).map_or(Vec::new(), Neighbor::into_held);
                due.push(Due::Unreachable { ip, held });
            }
        }
        if self.sweep_due().is_some_and(|at| at <= now) {
            self.sweep(now);
        }
    }

    /// When [`NeighborTable::tick`] has something to do next; `None` when nothing will ever be due as things stand.
    pub fn next_deadline(&self) -> Option<Millis> {
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().chain(self.sweep_due()).min()
    }
}

#[cfg(test)]
mod tests;
