//! What would become of a frame? The real [`journey`] on copies of the tables: nothing is sent, nothing is learned, no timer
//! starts, and what it says is what the engine would do with the frame at this moment.
//!
//! Several frames may be asked about, one after the other: each finds the copies as the ones before have left them.
//!
//! Not done: what a worker remembers of next hops for a second ([`NextHops`]) is asked of the neighbor table anew; whether
//! a port has room for the frame is not known before it is sent; lines that are bad on purpose ([`super::line`]) are not asked,
//! for their dice fall when the frame passes: who asks is told which of the ports have such a line.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use frame::{Frame, FrameNumber, Millis, NetworkId, PortId, Step, Verdict};
use trace::{RawRecord, Snap};

use super::clock::unix_nanos;
use super::counters::PerWorker;
use super::gateway::NextHops;
use super::journey::{Context, journey, seek};
use super::outbox::{Outbox, Target};
use super::tables::{Ingress, NetworkTables, NetworkView, Snapshot, lock};
use super::tracer::{self, Story};
use super::worker::was_routed;
use super::{Deadline, NEVER};

/// Copies of the tables of one network and of those it may talk to.
pub struct WhatIf {
    snapshot: Snapshot,
    deadline: Deadline,
    next_hops: NextHops,
    outbox: Outbox,
}

impl WhatIf {
    /// Copy the tables that a frame of `network` may meet.
    pub fn of(snapshot: &Snapshot, network: NetworkId) -> Self {
        let mut copy = Snapshot { ports: snapshot.ports.clone(), ..Snapshot::default() };
        // The others only say that they are there: no frame of this network gets into them.
        copy.networks.clone_from(&snapshot.networks);
        let peers = snapshot.network(network).map(|view| view.peers.clone()).unwrap_or_default();
        for id in peers.into_iter().chain([network]) {
            if let (Some(view), Some(place)) = (snapshot.network(id), copy.networks.get_mut(id.index())) {
                *place = Some(Arc::new(fork(view)));
            }
        }
        Self {
            snapshot: copy.with_routes(),
            deadline: Deadline { at: AtomicU64::new(NEVER), waker: None },
            next_hops: NextHops::default(),
            outbox: Outbox::new(),
        }
    }

    /// What becomes of a frame with these octets that comes in by `port` at `now`: its record first, then those of the
    /// frames that the switch makes on its account. None has a number, for none has been. Nothing when the port is of no such network.
    pub fn frame(&mut self, port: PortId, octets: &[u8], now: Millis) -> Vec<RawRecord> {
        let Some(view) = self.snapshot.network_of(port).map(Arc::clone) else { return Vec::new() };
        let mut frame = Frame::from_octets(octets);
        let mut record = Self::begin(&frame, view.id, Some(port), now);
        let verdict = self.decide(&mut frame, &view, port, now, &mut record);
        record.verdict = verdict;
        if was_routed(&record.steps) && !matches!(verdict, Verdict::Drop(_) | Verdict::Held) {
            record.snap_sent = Some(Snap::of(frame.octets()));
        }
        match verdict {
            Verdict::Unicast { to } => self.send(&mut record, Target::Port(to), view.id),
            Verdict::Flood { network } => {
                let target = Target::Flood { except: Some(port) };
                let ports = self.reached(target, network).len() as u16;
                record.steps.extend(self.snapshot.network(network).map(|view| view.flood_step(ports)));
                self.send(&mut record, target, network);
            }
            _ => {}
        }
        let mut records = vec![record];
        while let Some((index, network, target)) = self.outbox.next_errand() {
            let made = Frame::from_octets(self.outbox.frame(index).octets());
            let mut record = Self::begin(&made, network, None, now);
            let into = self.snapshot.network(network);
            let target = into.map_or(target, |view| view.heard_by(target));
            record.verdict = target.verdict(network);
            record.steps.extend(into.and_then(|view| view.repeats(target)));
            self.send(&mut record, target, network);
            records.push(record);
        }
        self.outbox.clear();
        records
    }

    fn begin(frame: &Frame, network: NetworkId, port: Option<PortId>, now: Millis) -> RawRecord {
        let mut record = RawRecord::default();
        tracer::begin(&mut record, FrameNumber(0), frame, network, port, now);
        record
    }

    fn decide(
        &mut self,
        frame: &mut Frame,
        view: &NetworkView,
        port: PortId,
        now: Millis,
        record: &mut RawRecord,
    ) -> Verdict {
        let ingress = Ingress::of(port, &self.snapshot, view);
        let sought = seek(frame, &view.tables.mac);
        let mut context = Context {
            snapshot: &self.snapshot,
            view,
            ingress: &ingress,
            now,
            outbox: &mut self.outbox,
            next_hops: &mut self.next_hops,
            deadline: &self.deadline,
            lessons: None,
            worker: 0,
        };
        let RawRecord { steps, table, .. } = record;
        journey(frame, sought, &mut context, &mut Story { number: FrameNumber(0), steps, table })
    }

    /// The ports that a copy goes to.
    fn reached(&self, target: Target, network: NetworkId) -> Vec<PortId> {
        let members = || self.snapshot.network(network).map_or(&[][..], |view| &view.members[..]);
        match target {
            Target::Port(to) => vec![to],
            Target::Flood { except } => forwarding::flood_ports(members(), except).collect(),
        }
    }

    fn send(&self, record: &mut RawRecord, target: Target, network: NetworkId) {
        record.sent_unix_ns = unix_nanos();
        record.steps.extend(self.reached(target, network).into_iter().map(|port| Step::Sent { port }));
    }
}

/// A network whose tables are copies.
fn fork(view: &NetworkView) -> NetworkView {
    NetworkView { tables: Arc::new(view.tables.fork()), ..view.clone() }
}

impl NetworkTables {
    /// Copies of the tables, without what was counted.
    fn fork(&self) -> Self {
        let neighbors = lock(&self.neighbors).clone();
        let version = AtomicU64::new(neighbors.version());
        Self {
            mac: self.mac.fork(),
            neighbors: Mutex::new(neighbors),
            drops: PerWorker::new(1),
            gateway: Mutex::new(lock(&self.gateway).clone()),
            version,
            warped: AtomicU64::new(0),
        }
    }
}
