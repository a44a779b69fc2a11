//! What changed in the hosts' caches, and from what? The last picture of each, and the difference that news or a new look
//! makes to it. Nothing here asks a kernel or reads a clock.
//!
//! The kernel does not announce that an entry becomes INCOMPLETE or DELAY ([`ports::neighbors`]). A look sees it where it
//! lasts; where it did not, the next news tells: only who was asked has probes, and only DELAY turns into a PROBE that has
//! been sent.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use frame::{Millis, NetworkId, PortId};
use ports::neighbors::{Neighbor, NeighborEvent, NeighborState};

use super::CacheEvent;
use super::hosts::{CacheHost, is_learned};
use super::judge::Judge;

/// When something was seen.
#[derive(Clone, Copy, Default)]
pub(super) struct Moment {
    /// Nanoseconds since 1970-01-01 UTC.
    pub(super) unix_ns: u64,
    /// The engine's clock.
    pub(super) clock: Millis,
}

/// Events with the network they are of.
pub(super) type Changes = Vec<(NetworkId, CacheEvent)>;

struct Row {
    neighbor: Neighbor,
    conflict: Option<String>,
}

struct Cache {
    host: CacheHost,
    rows: BTreeMap<IpAddr, Row>,
    error: Option<String>,
    /// Frames it had sent when its cache was last looked at.
    sent: u64,
    /// Look at it.
    due: bool,
    /// It has been looked at.
    seen: bool,
}

/// The last picture of every cache.
#[derive(Default)]
pub(super) struct Board {
    caches: BTreeMap<PortId, Cache>,
    by_place: HashMap<(Option<i32>, u32), PortId>,
    judge: Judge,
}

impl Board {
    /// These are the hosts now, and this is what the switch knows. Who is new is due for a look; rows of who has left, or is
    /// at another place, are gone.
    pub(super) fn retarget(&mut self, hosts: Vec<CacheHost>, judge: Judge, at: Moment, changes: &mut Changes) {
        self.judge = judge;
        let mut before = std::mem::take(&mut self.caches);
        for host in hosts {
            let known = before.remove(&host.port);
            let cache = match known {
                Some(mut cache) if cache.host.is_still(&host) => {
                    cache.host = host;
                    cache
                }
                other => {
                    if let Some(cache) = other {
                        end(&cache, at, changes);
                    }
                    Cache { host, rows: BTreeMap::new(), error: None, sent: 0, due: true, seen: false }
                }
            };
            self.caches.insert(cache.host.port, cache);
        }
        for cache in before.values() {
            end(cache, at, changes);
        }
        let places = self.caches.values().filter_map(|cache| Some((cache.host.place.as_ref()?, cache.host.port)));
        self.by_place = places.map(|(place, port)| ((place.nsid, place.ifindex), port)).collect();
        self.judge_again(at, changes);
    }

    /// What the switch knows may have changed under rows that have not.
    fn judge_again(&mut self, at: Moment, changes: &mut Changes) {
        let ports: Vec<(PortId, Neighbor)> =
            self.caches.iter().flat_map(|(port, cache)| cache.rows.values().map(|row| (*port, row.neighbor))).collect();
        for (port, neighbor) in ports {
            self.put(port, neighbor, at, changes);
        }
    }

    /// Which caches are to be looked at.
    pub(super) fn due(&self) -> Vec<PortId> {
        self.caches.iter().filter(|(_, cache)| cache.due).map(|(port, _)| *port).collect()
    }

    /// Whoever has sent anything since the last look is due for another.
    pub(super) fn note_senders(&mut self) {
        for cache in self.caches.values_mut() {
            let sent = cache.host.sent();
            cache.due |= sent != cache.sent;
            cache.sent = sent;
        }
    }

    /// Every cache is due: news were lost.
    pub(super) fn all_are_due(&mut self) {
        self.caches.values_mut().for_each(|cache| cache.due = true);
    }

    pub(super) fn host(&self, port: PortId) -> Option<&CacheHost> {
        self.caches.get(&port).map(|cache| &cache.host)
    }

    /// Whose cache the news is of.
    pub(super) fn whose(&self, event: &NeighborEvent) -> Option<PortId> {
        let place = match event {
            NeighborEvent::Changed { nsid, neighbor } => (*nsid, neighbor.ifindex),
            NeighborEvent::Gone { nsid, ifindex, .. } => (*nsid, *ifindex),
            NeighborEvent::Overflow => return None,
        };
        self.by_place.get(&place).copied()
    }

    /// News of the kernel's.
    pub(super) fn heard(&mut self, event: &NeighborEvent, at: Moment, changes: &mut Changes) {
        let Some(port) = self.whose(event) else { return };
        match event {
            NeighborEvent::Changed { neighbor, .. } if is_learned(neighbor) => self.put(port, *neighbor, at, changes),
            NeighborEvent::Gone { ip, .. } => self.take(port, *ip, at, changes),
            NeighborEvent::Changed { .. } | NeighborEvent::Overflow => (),
        }
    }

    /// What a look at a whole cache found.
    pub(super) fn looked(
        &mut self,
        port: PortId,
        found: Result<Vec<Neighbor>, String>,
        at: Moment,
        changes: &mut Changes,
    ) {
        let Some(cache) = self.caches.get_mut(&port) else { return };
        cache.due = false;
        let (rows, error) = match found {
            Ok(rows) => (rows, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let found: HashSet<IpAddr> = rows.iter().map(|row| row.ip).collect();
        let gone: Vec<IpAddr> = cache.rows.keys().filter(|ip| !found.contains(ip)).copied().collect();
        if error != cache.error {
            cache.error.clone_from(&error);
            let told = error.map(|error| CacheEvent { error: Some(error), ..blank(&cache.host, at) });
            changes.extend(told.map(|event| (cache.host.network, event)));
        }
        for ip in gone {
            self.take(port, ip, at, changes);
        }
        for row in rows {
            self.put(port, row, at, changes);
        }
        if let Some(cache) = self.caches.get_mut(&port) {
            cache.seen = true;
        }
    }

    /// Everything that is there, of one network or of all.
    pub(super) fn rows(&self, network: Option<NetworkId>, at: Moment) -> Vec<CacheEvent> {
        let caches = self.caches.values().filter(|cache| network.is_none_or(|network| cache.host.network == network));
        let mut events = Vec::new();
        for cache in caches {
            let failed = cache.error.clone();
            events.extend(failed.map(|error| CacheEvent { error: Some(error), ..blank(&cache.host, at) }));
            events.extend(cache.rows.values().map(|row| self.event(&cache.host, row, at)));
        }
        events.sort_by(|a, b| (&a.network, &a.endpoint, a.ip).cmp(&(&b.network, &b.endpoint, b.ip)));
        events
    }

    fn event(&self, host: &CacheHost, row: &Row, at: Moment) -> CacheEvent {
        let Neighbor { ip, mac, state, .. } = row.neighbor;
        CacheEvent {
            ip: Some(ip),
            mac,
            mac_name: mac.and_then(|mac| self.judge.name(host.network, mac)),
            state_after: state.name().to_owned(),
            conflict: row.conflict.clone(),
            ..blank(host, at)
        }
    }

    fn put(&mut self, port: PortId, neighbor: Neighbor, at: Moment, changes: &mut Changes) {
        let conflict = self.conflict(port, &neighbor, at);
        let Some(cache) = self.caches.get_mut(&port) else { return };
        let known = cache.rows.insert(neighbor.ip, Row { neighbor, conflict: conflict.clone() });
        let same = known.as_ref().is_some_and(|known| {
            (known.neighbor.state, known.neighbor.mac, &known.conflict) == (neighbor.state, neighbor.mac, &conflict)
        });
        if same {
            return;
        }
        let known = known.map(|row| row.neighbor);
        let state_before = cache.seen.then(|| before(known.as_ref(), &neighbor).to_owned());
        let Some(cache) = self.caches.get(&port) else { return };
        let Some(row) = cache.rows.get(&neighbor.ip) else { return };
        let mac_before = known.and_then(|known| known.mac);
        let event = CacheEvent { mac_before, state_before, ..self.event(&cache.host, row, at) };
        changes.push((cache.host.network, event));
    }

    fn take(&mut self, port: PortId, ip: IpAddr, at: Moment, changes: &mut Changes) {
        let Some(cache) = self.caches.get_mut(&port) else { return };
        if let Some(row) = cache.rows.remove(&ip) {
            changes.push((cache.host.network, gone(&cache.host, &row, at)));
        }
    }

    /// Does the switch know better; or, where it knows nothing, does another host believe something else?
    fn conflict(&self, port: PortId, neighbor: &Neighbor, at: Moment) -> Option<String> {
        let (network, ip, mac) = (self.host(port)?.network, neighbor.ip, neighbor.mac?);
        if self.judge.knows(network, ip, at.clock).is_some() {
            return self.judge.conflict(network, ip, mac, at.clock);
        }
        let others = self.caches.values().filter(|other| other.host.port != port && other.host.network == network);
        let mut rows = others.filter_map(|other| Some((&other.host.endpoint, other.rows.get(&ip)?.neighbor.mac?)));
        let (endpoint, other) = rows.find(|(_, other)| *other != mac)?;
        let other = self.judge.called(network, other);
        Some(format!("{endpoint}'s cache has {ip} at {other}: two stations claim one address, or a row is outdated"))
    }
}

/// The state that an entry had just before it came to this one.
fn before(known: Option<&Neighbor>, now: &Neighbor) -> &'static str {
    use NeighborState::{Delay, Failed, Incomplete, Probe, Reachable, Stale};
    let was_asked = now.probes > 0;
    // The count stays as it was when the question failed, until the next question.
    let was_asked_again = was_asked && known.is_some_and(|known| known.probes != now.probes);
    match (known.map(|known| known.state), now.state) {
        (None, Reachable | Failed) if was_asked => Incomplete.name(),
        (Some(Failed), Reachable) if was_asked_again => Incomplete.name(),
        (Some(Stale | Reachable), Probe) if was_asked => Delay.name(),
        (Some(state), _) => state.name(),
        (None, _) => "",
    }
}

/// A host that has left takes its rows along.
fn end(cache: &Cache, at: Moment, changes: &mut Changes) {
    changes.extend(cache.rows.values().map(|row| (cache.host.network, gone(&cache.host, row, at))));
}

fn gone(host: &CacheHost, row: &Row, at: Moment) -> CacheEvent {
    CacheEvent {
        ip: Some(row.neighbor.ip),
        mac_before: row.neighbor.mac,
        state_before: Some(row.neighbor.state.name().to_owned()),
        ..blank(host, at)
    }
}

fn blank(host: &CacheHost, at: Moment) -> CacheEvent {
    CacheEvent {
        at_unix_ns: at.unix_ns,
        network: host.network_name.clone(),
        endpoint: host.endpoint.clone(),
        ip: None,
        mac: None,
        mac_name: None,
        mac_before: None,
        state_before: None,
        state_after: String::new(),
        conflict: None,
        error: None,
    }
}

#[cfg(test)]
mod tests;
