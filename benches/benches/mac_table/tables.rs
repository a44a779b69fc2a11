//! What do the three tables have in common, so that one measurement fits all?
//!
//! The maps do what a switch with such a table would do: an address maps to its port and when it was heard,
//! a look-up returns no port of an address that has been silent too long, learning writes port and time. They
//! are of one thread and cannot be shared between workers; that is their advantage here.

use forwarding::mac_table::{Destination, MacTable, MacTableConfig};
use frame::step::Learned;
use frame::{MacAddr, Millis, PortId};

/// How long an address is remembered.
pub(crate) const AGEING: Millis = Millis::from_secs(300);

/// A table of addresses and the ports they are on.
pub(crate) trait Table {
    const NAME: &'static str;

    fn for_entries(entries: usize) -> Self;

    /// All of `macs` were heard on `port`.
    fn learn(&mut self, macs: &[MacAddr], port: PortId, now: Millis);

    fn look_up(&self, mac: MacAddr, now: Millis) -> Option<Destination>;

    fn look_up_burst(&self, macs: &[MacAddr], now: Millis, found: &mut [Option<Destination>]) {
        for (mac, found) in macs.iter().zip(found) {
            *found = self.look_up(*mac, now);
        }
    }

    /// Go through all of it and clear what is dead; how many that were.
    fn age(&mut self, now: Millis) -> usize;
}

impl Table for MacTable {
    const NAME: &'static str = "lanyard";

    fn for_entries(entries: usize) -> Self {
        let config =
            MacTableConfig { capacity: entries, ageing: AGEING, port_limit: None, ..MacTableConfig::default() };
        Self::new(config).unwrap_or_else(|error| unreachable!("sizes are within bounds: {error}"))
    }

    fn learn(&mut self, macs: &[MacAddr], port: PortId, now: Millis) {
        let Some(first) = macs.first() else { return };
        let mut sought = [self.seek(*first); super::BURST];
        for burst in macs.chunks(super::BURST) {
            for (sought, mac) in sought.iter_mut().zip(burst) {
                *sought = self.seek(*mac);
            }
            for sought in sought.iter().take(burst.len()) {
                let learned = self.learn_sought(*sought, port, now);
                debug_assert!(!matches!(learned, Learned::Moved { .. }));
            }
        }
    }

    fn look_up(&self, mac: MacAddr, now: Millis) -> Option<Destination> {
        self.lookup(mac, now)
    }

    fn look_up_burst(&self, macs: &[MacAddr], now: Millis, found: &mut [Option<Destination>]) {
        self.lookup_burst(macs, now, found);
    }

    fn age(&mut self, now: Millis) -> usize {
        self.sweep(now, usize::MAX)
    }
}

/// Where an address is and when it was heard there.
type Heard = (PortId, u32);

fn seconds(now: Millis) -> u32 {
    (now.0 / 1000) as u32
}

fn alive(heard: Heard, now: Millis) -> bool {
    u64::from(seconds(now).wrapping_sub(heard.1)) < AGEING.0 / 1000
}

macro_rules! map_table {
    ($map:ty, $name:literal) => {
        impl Table for $map {
            const NAME: &'static str = $name;

            fn for_entries(entries: usize) -> Self {
                Self::with_capacity_and_hasher(entries, Default::default())
            }

            fn learn(&mut self, macs: &[MacAddr], port: PortId, now: Millis) {
                for mac in macs {
                    self.insert(*mac, (port, seconds(now)));
                }
            }

            fn look_up(&self, mac: MacAddr, now: Millis) -> Option<Destination> {
                self.get(&mac).filter(|heard| alive(**heard, now)).map(|(port, _)| Destination::Port(*port))
            }

            fn age(&mut self, now: Millis) -> usize {
                let before = self.len();
                self.retain(|_, heard| alive(*heard, now));
                before - self.len()
            }
        }
    };
}

map_table!(hashbrown::HashMap<MacAddr, Heard>, "hashbrown");
map_table!(std::collections::HashMap<MacAddr, Heard>, "std");
