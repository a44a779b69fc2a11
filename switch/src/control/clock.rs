//! How does a class see an entry age out at once? The MAC tables' own clock leaps; no other does.
//!
//! Only learned addresses grow older. The engine's clock, ARP's timers, the gateway's and everything that the hosts
//! count stay as they are: their kernels know nothing of it.

use std::time::Duration;

use forwarding::mac_table::EntryKind;
use frame::Millis;

use super::Fault;
use super::book::Network;
use super::switch::{Inner, Switch};
use super::types::WarpRow;

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
            let left = table.entries(now).iter().filter(|entry| entry.kind == EntryKind::Learned).count();
            WarpRow { network: network.name().to_owned(), aged_out, left }
        };
        let rows = Inner::chosen(&book, network)?.into_iter().map(warp).collect();
        engine.keep_time_soon();
        Ok(rows)
    }
}
