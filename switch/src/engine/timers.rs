//! What happens when nothing happens? Next hops that do not answer are asked again and given up, and the tables age.
//! The first worker does it for all, when something is due, and sleeps otherwise.

use std::net::{IpAddr, Ipv4Addr};

use arp::{Due, packet};
use forwarding::mac_table::Destination;
use frame::{MacAddr, Millis};

use super::gateway::{ask, give_up};
use super::outbox::{Outbox, Target};
use super::tables::{NetworkView, Snapshot};

/// How often a slice of the MAC table is swept while it holds anything learned. A look-up knows an old entry by itself;
/// the sweep makes room.
pub(super) const SWEEP_INTERVAL: Millis = Millis(1000);

/// Do what is due on one network, and say when something is due next.
pub(super) fn tick(
    view: &NetworkView,
    snapshot: &Snapshot,
    now: Millis,
    worker: usize,
    outbox: &mut Outbox,
) -> Option<Millis> {
    let mut due = Vec::new();
    let next = view.tables.neighbors(|table| {
        table.tick(now, &mut due);
        table.next_deadline()
    });
    for item in due {
        match item {
            Due::AskAgain { ip: IpAddr::V4(ip), mac: Some(mac), .. } => poll(view, ip, mac, now, outbox),
            Due::AskAgain { ip: IpAddr::V4(ip), mac: None, .. } => ask(view, ip, outbox),
            Due::AskAgain { .. } => {} // no IPv6 next hop is ever resolved: the gateway routes IPv4 only
            Due::Unreachable { held, .. } => {
                for frame in held {
                    give_up(&frame, snapshot, now, worker, outbox);
                }
            }
        }
    }
    let mac = &view.tables.mac;
    mac.sweep(now, mac.slice(SWEEP_INTERVAL));
    let ageing = mac.has_learned().then_some(now + SWEEP_INTERVAL);
    next.into_iter().chain(ageing).min()
}

/// See whether the one who had `ip` still has it; everybody is asked when the switch does not know where that is.
fn poll(view: &NetworkView, ip: Ipv4Addr, mac: MacAddr, now: Millis, outbox: &mut Outbox) {
    let Some(gateway) = view.gateway else { return };
    let Some(Destination::Port(port)) = view.tables.mac.lookup(mac, now) else { return ask(view, ip, outbox) };
    if let Some(out) = outbox.add(view.id, Target::Port(port)) {
        packet::unicast_request(out, gateway.mac, gateway.ip, mac, ip);
    }
}
