//! What happens when nothing happens? Next hops that do not answer are asked again and given up, and the tables age.
//! The first worker does it for all, when something is due, and sleeps otherwise.

use arp::{Due, packet};
use frame::{DropReason, Millis};
use std::net::IpAddr;

use super::Shared;
use super::outbox::{Outbox, Target};
use super::tables::{NetworkView, Snapshot};

/// How often the MAC table is swept while it holds anything. A look-up knows an old entry by itself; the sweep
/// makes room and keeps the coarse ages from wrapping, so it only has to come a few times in the shortest ageing time.
pub(super) const AGEING_INTERVAL: Millis = Millis(500);

/// Do what is due on one network, and say when something is due next.
pub(super) fn tick(
    view: &NetworkView,
    snapshot: &Snapshot,
    now: Millis,
    worker: usize,
    outbox: &mut Outbox,
    shared: &Shared,
) -> Option<Millis> {
    let mut due = Vec::new();
    let next = view.tables.neighbors(|table| {
        table.tick(now, &mut due);
        table.next_deadline()
    });
    for item in due {
        match item {
            Due::AskAgain { ip: IpAddr::V4(ip), mac, .. } => ask(view, ip, mac, now, outbox),
            Due::AskAgain { .. } => {} // no IPv6 next hop is ever resolved: the gateway routes IPv4 only
            Due::Unreachable { held, .. } => {
                for frame in held {
                    super::gateway::give_up(&frame, DropReason::HostUnreachable, snapshot, now, worker, outbox);
                }
            }
        }
    }
    let _ = shared;
    view.tables.mac.sweep(now, usize::MAX);
    let ageing = (view.tables.mac.len() > 0).then_some(now + AGEING_INTERVAL);
    next.into_iter().chain(ageing).min()
}

/// Ask who has `ip`: everybody, or only the one who had it.
fn ask(
    view: &NetworkView,
    ip: std::net::Ipv4Addr,
    mac: Option<frame::MacAddr>,
    now: Millis,
    outbox: &mut Outbox,
) {
    let Some(gateway) = view.gateway else { return };
    let known = mac.and_then(|mac| match view.tables.mac.lookup(mac, now) {
        Some(forwarding::Destination::Port(port)) => Some((mac, port)),
        _ => None,
    });
    match known {
        Some((mac, port)) => {
            if let Some(out) = outbox.add(view.id, Target::Port(port)) {
                packet::unicast_request(out, gateway.mac, gateway.ip, mac, ip);
            }
        }
        None => {
            if let Some(out) = outbox.add(view.id, Target::Flood { except: None }) {
                packet::request(out, gateway.mac, gateway.ip, ip);
            }
        }
    }
}
