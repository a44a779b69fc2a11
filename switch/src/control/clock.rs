//! How does a class see an entry age out at once? The MAC tables' own clock leaps; no other does.
//!
//! Only learned addresses grow older. The engine's clock, ARP's timers, the gateway's and everything that the hosts
//! count stay as they are: their kernels know nothing of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use forwarding::mac_table::EntryKind;
use frame::Millis;

use super::Fault;
use super::book::Network;
use super::switch::{Inner, Switch};
use super::types::{ClockRow, WarpRow};

impl Switch {
    /// Let the addresses that were learned on one network, or on all, grow older by `by`. Whatever dies of it is gone
    /// when this returns.
    ///
    /// # Errors
    /// There is no network of that name.
    pub fn warp_clock(&self, by: Duration, network: Option<&str>) -> Result<Vec<WarpRow>, Fault> {
        let by = Millis(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        let book = self.0.book();
        let engine = &self.0.engine;
        let warp = |network: &Network| {
            let (table, now) = (&network.tables.mac, engine.clock().now());
            let aged_out = table.warp(by, now);
            // Beyond the ageing time all is dead: what is more cannot be told from it.
            let most = u64::from(network.record.ageing) * 1000;
            network.tables.warped.fetch_add(by.0.min(most), Ordering::Relaxed);
            let left = table.entries(now).iter().filter(|entry| entry.kind == EntryKind::Learned).count();
            WarpRow { network: network.name().to_owned(), aged_out, left }
        };
        let rows = Inner::chosen(&book, network)?.into_iter().map(warp).collect();
        engine.keep_time_soon();
        Ok(rows)
    }

    /// How addresses age, on one network or on all, and how far their clock was moved.
    ///
    /// # Errors
    /// There is no network of that name.
    pub fn clocks(&self, network: Option<&str>) -> Result<Vec<ClockRow>, Fault> {
        let row = |network: &Network| ClockRow {
            network: network.name().to_owned(),
            ageing_ms: u64::from(network.record.ageing) * 1000,
            warped_ms: network.tables.warped.load(Ordering::Relaxed),
        };
        let book = self.0.book();
        Ok(Inner::chosen(&book, network)?.into_iter().map(row).collect())
    }
}
