//! What is in the tables, on the ports, in the counters? The rows of `lanyard show`.
//!
//! Read while frames pass: rows of one answer may be some microseconds apart.

use forwarding::mac_table::EntryKind;
use frame::{DropReason, PortId};

use super::Fault;
use super::book::{Endpoint, Network};
use super::switch::{Inner, Switch};
use super::types::{ArpRow, DropRow, MacRow, PortRow, WorkerRow};
use crate::engine::counters::{Count, PerWorker, PortCount};

impl Switch {
    /// The ports, of one network or of all.
    ///
    /// # Errors
    /// There is no network of that name.
    pub fn ports(&self, network: Option<&str>) -> Result<Vec<PortRow>, Fault> {
        let book = self.0.book();
        let networks = Inner::chosen(&book, network)?;
        Ok(networks.iter().flat_map(|network| network.endpoints.iter().map(|e| port_row(network, e))).collect())
    }

    /// The MAC tables.
    ///
    /// # Errors
    /// There is no network of that name.
    pub fn mac(&self, network: Option<&str>) -> Result<Vec<MacRow>, Fault> {
        let book = self.0.book();
        let now = self.0.engine.clock().now();
        let row = |network: &Network, entry: forwarding::mac_table::MacEntry| MacRow {
            network: network.name().to_owned(),
            mac: entry.mac,
            port: entry.port.map(|port| port.to_string()),
            endpoint: entry.port.and_then(|port| endpoint_on(network, port)),
            kind: match entry.kind {
                EntryKind::Learned => "learned",
                EntryKind::Static if network.host_end().is_some_and(|end| end.record.mac == entry.mac) => "gateway",
                EntryKind::Static => "static",
                EntryKind::Gateway => "gateway",
            }
            .to_owned(),
            age_ms: entry.age.0,
            moves: entry.moves,
        };
        let networks = Inner::chosen(&book, network)?;
        let rows = networks
            .iter()
            .flat_map(|network| network.tables.mac.entries(now).into_iter().map(move |entry| row(network, entry)));
        Ok(rows.collect())
    }

    /// The neighbor tables.
    ///
    /// # Errors
    /// There is no network of that name.
    pub fn arp(&self, network: Option<&str>) -> Result<Vec<ArpRow>, Fault> {
        let book = self.0.book();
        let mut rows = Vec::new();
        for network in Inner::chosen(&book, network)? {
            let now = self.0.engine.clock().now();
            network.tables.neighbors(|table| {
                rows.extend(table.entries(now).into_iter().map(|entry| {
                    ArpRow {
                        network: network.name().to_owned(),
                        ip: entry.ip,
                        mac: entry.mac,
                        port: entry.port.map(|port| port.to_string()),
                        state: match entry.source {
                            arp::Source::Control => "permanent",
                            _ => entry.state.name(),
                        }
                        .to_owned(),
                        source: entry.source.name().to_owned(),
                        conflicts: table.conflicts().filter(|c| c.ip == entry.ip).map(|c| c.claimed_by).collect(),
                    }
                }));
            });
        }
        Ok(rows)
    }

    /// Frames dropped, by network and reason. Reasons that never happened are left out.
    ///
    /// # Errors
    /// There is no network of that name.
    pub fn drops(&self, network: Option<&str>) -> Result<Vec<DropRow>, Fault> {
        let book = self.0.book();
        let row = |network: &Network, reason: DropReason| DropRow {
            network: network.name().to_owned(),
            reason: reason.name().to_owned(),
            count: network.tables.drops.drops(reason),
            sentence: reason.sentence().to_owned(),
        };
        let networks = Inner::chosen(&book, network)?;
        let rows = networks.iter().flat_map(|network| DropReason::ALL.iter().map(|reason| row(network, *reason)));
        Ok(rows.filter(|row| row.count > 0).collect())
    }

    /// What the workers did.
    pub fn workers(&self) -> Vec<WorkerRow> {
        let counts = self.0.engine.worker_counts();
        let row = |(worker, count): (usize, &crate::engine::counters::WorkerCount)| WorkerRow {
            worker,
            queues: self.0.engine.queues(worker),
            wakeups: count.wakeups.get(),
            bursts: count.bursts.get(),
            frames: count.frames.get(),
        };
        counts.iter().enumerate().map(row).collect()
    }
}

fn endpoint_on(network: &Network, port: PortId) -> Option<String> {
    network.endpoints.iter().find(|endpoint| endpoint.port() == port).map(|endpoint| endpoint.record.name.clone())
}

fn port_row(network: &Network, endpoint: &Endpoint) -> PortRow {
    let sum = |pick: fn(&PortCount) -> &Count| {
        endpoint.counts.as_deref().map_or(0, |counts: &PerWorker<PortCount>| counts.sum(|count| pick(count).get()))
    };
    let lost = endpoint.losses.as_deref().map_or(0, |losses| losses.truncated() + losses.overflowed());
    PortRow {
        network: network.name().to_owned(),
        port: endpoint.port().to_string(),
        endpoint: endpoint.record.name.clone(),
        kind: endpoint.record.kind,
        state: endpoint.state(),
        mac: endpoint.record.mac,
        ip: endpoint.record.ip.addr(),
        rx_frames: sum(|count| &count.rx_frames),
        rx_bytes: sum(|count| &count.rx_octets),
        tx_frames: sum(|count| &count.tx_frames),
        tx_bytes: sum(|count| &count.tx_octets),
        drops: sum(|count| &count.drops) + lost,
        overflows: lost,
    }
}
