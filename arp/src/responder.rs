//! Which ARP messages can the switch answer itself? (RFC 826, packet reception; RFC 1122, 2.3.2; RFC 5227, 2.4)
//!
//! Every message teaches the neighbor table first, as RFC 826 merges before it answers. Then, in this order:
//!
//! 1. a claim of the gateway's IP address by another MAC address is a conflict. It goes no further, so that only
//!    stations behind its own port can have heard it, and is answered there by the gateway's announcement, at most
//!    once in [`DEFEND_INTERVAL`] (RFC 5227, 2.4 (c));
//! 2. a request or probe for the gateway's IP address gets the gateway's reply;
//! 3. anything else sent to the gateway's MAC address is read and goes no further;
//! 4. with `arp=suppress`, a broadcast request or probe for a neighbor that is surely known gets the switch's reply;
//! 5. everything else passes on like any frame.
//!
//! A reply leaves by the port the message came in by, and by no other.
//!
//! Not done: broadcast replies (RFC 5227, 2.6, which advises against them in general). Whether a claim is its port's to
//! make has been asked before, where ports are guarded.

use std::net::Ipv4Addr;

use frame::ethernet::EthernetHeader;
use frame::step::{ArpKind, ArpOutcome, ArpStep, NeighborChange};
use frame::{Frame, MacAddr, Millis, PortId};

use crate::neighbor::{NeighborTable, Noted, State};
use crate::packet::{self, ArpMessage};
use crate::resolver::Held;

/// Least time from one defence of the gateway's IP address to the next (RFC 5227, 1.1: `DEFEND_INTERVAL`).
pub const DEFEND_INTERVAL: Millis = Millis::from_secs(10);

/// What the switch answers for, on one network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResponderRules {
    /// The addresses of the gateway, where the switch itself is the gateway.
    pub gateway: Option<(Ipv4Addr, MacAddr)>,
    /// The network's address and prefix length, in bits: senders outside it are not noted. `None` notes all.
    pub subnet: Option<(Ipv4Addr, u8)>,
    /// Answer for neighbors that are known, and spare the others the broadcast (`arp=suppress`). Not for a port that is
    /// kept from reaching them.
    pub suppress: bool,
}

/// What the switch did about an ARP message.
#[derive(Debug)]
#[must_use = "released frames and the reply are lost when nobody sends them"]
pub struct Response {
    /// The decision, for whoever traces the frame.
    pub step: ArpStep,
    /// Frames that had waited for the sender's MAC address, `step.sender_mac`, in the order they came.
    pub released: Vec<Held>,
    /// The reply buffer was filled: send it by the port the message came in by.
    pub replied: bool,
    /// The message goes no further.
    pub consumed: bool,
}

/// Read the frame `octets`, which came in by `port`, teach `table`, and fill `reply` if there is an answer. `None`,
/// and nothing has happened, when the frame is no ARP message that [`packet::read`] takes.
pub fn respond(
    table: &mut NeighborTable,
    octets: &[u8],
    rules: &ResponderRules,
    port: PortId,
    now: Millis,
    reply: &mut Frame,
) -> Option<Response> {
    let message = packet::read(octets)?;
    let destination = EthernetHeader::read(octets)?.destination;
    let noted = note_sender(table, &message, rules, port, now);
    let action = decide(table, &message, destination, rules, now);
    let (outcome, replied) = match action {
        Action::PassOn => (ArpOutcome::PassedOn, false),
        Action::Read => (ArpOutcome::ReadByGateway, false),
        Action::Defend { mac, ip } => {
            packet::announcement(reply, mac, ip);
            (ArpOutcome::AnsweredAsGateway, true)
        }
        Action::Answer { mac, outcome } => {
            packet::reply(reply, mac, message.target_ip, message.sender_mac, message.sender_ip);
            (outcome, true)
        }
    };
    let ArpMessage { kind, sender_ip, sender_mac, target_ip, .. } = message;
    let step = ArpStep { kind, sender_ip, sender_mac, target_ip, noted: noted.change, outcome };
    Some(Response { step, released: noted.released, replied, consumed: outcome != ArpOutcome::PassedOn })
}

/// What to do about a message once its sender is noted.
enum Action {
    PassOn,
    Read,
    /// Announce the gateway's addresses.
    Defend {
        mac: MacAddr,
        ip: Ipv4Addr,
    },
    /// Say that the target is at `mac`.
    Answer {
        mac: MacAddr,
        outcome: ArpOutcome,
    },
}

fn decide(
    table: &mut NeighborTable,
    message: &ArpMessage,
    destination: MacAddr,
    rules: &ResponderRules,
    now: Millis,
) -> Action {
    let asks = matches!(message.kind, ArpKind::Request | ArpKind::Probe);
    if let Some((ip, mac)) = rules.gateway {
        if message.sender_mac == mac {
            // The gateway's own message come back, or a forged one: no station to answer.
            return Action::PassOn;
        }
        if message.sender_ip == ip {
            return if may_defend(table, now) { Action::Defend { mac, ip } } else { Action::Read };
        }
        if asks && message.target_ip == ip {
            // A probe, too, gets a reply to the prober alone, with target 0.0.0.0, as RFC 826 swaps the fields and as
            // Linux does: to the prober, any message from the address's owner is the conflict (RFC 5227, 2.1.1).
            return Action::Answer { mac, outcome: ArpOutcome::AnsweredAsGateway };
        }
        if destination == mac {
            return Action::Read;
        }
    }
    // A request to one station alone asks whether it is still there (RFC 1122, 2.3.2.1, "unicast poll"): only the
    // station can say.
    if rules.suppress && asks && destination.is_broadcast() {
        return answer_for(table, message, now);
    }
    Action::PassOn
}

/// The answer for a neighbor that is surely known, unless it is the asker itself, which may be probing its own address
/// (RFC 5227, 2.1) and would take any answer for a conflict.
fn answer_for(table: &NeighborTable, message: &ArpMessage, now: Millis) -> Action {
    let known = table.get(message.target_ip.into(), now).filter(|entry| entry.state == State::Reachable);
    match known.and_then(|entry| entry.mac) {
        Some(mac) if mac != message.sender_mac => Action::Answer { mac, outcome: ArpOutcome::AnsweredFor { mac } },
        _ => Action::PassOn,
    }
}

/// Teach `table` the sender's addresses, if they are its to tell.
fn note_sender(
    table: &mut NeighborTable,
    message: &ArpMessage,
    rules: &ResponderRules,
    port: PortId,
    now: Millis,
) -> Noted {
    let (ip, mac) = (message.sender_ip, message.sender_mac);
    if let Some((gateway_ip, gateway_mac)) = rules.gateway {
        if mac == gateway_mac {
            return NeighborChange::Nothing.into();
        }
        if ip == gateway_ip {
            table.record_conflict(ip.into(), gateway_mac, mac, port, now);
            return NeighborChange::Conflict { held_by: gateway_mac }.into();
        }
    }
    if rules.subnet.is_some_and(|subnet| !is_host_of(subnet, ip)) {
        return NeighborChange::Nothing.into();
    }
    table.note(ip.into(), mac, port, now)
}

/// Can `ip` be a host's address in this subnet? Its network and broadcast address cannot (RFC 1122, 3.2.1.3), but for
/// prefixes of 31 and 32 bits (RFC 3021).
fn is_host_of((network, prefix): (Ipv4Addr, u8), ip: Ipv4Addr) -> bool {
    let host_bits = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let (network, ip) = (u32::from(network), u32::from(ip));
    let inside = (network ^ ip) & !host_bits == 0;
    let host = ip & host_bits;
    inside && (host_bits <= 1 || (host != 0 && host != host_bits))
}

fn may_defend(table: &mut NeighborTable, now: Millis) -> bool {
    let rested = table.defended.is_none_or(|last| now.since(last) >= DEFEND_INTERVAL);
    if rested {
        table.defended = Some(now);
    }
    rested
}

#[cfg(test)]
mod tests;
