//! What would the table learn, if? A copy of a MAC table, in which the what-if may learn, move and evict as the table
//! itself would, and which nobody else ever sees.
//!
//! The copy has the same secret, clock and limits, so that an address finds the same room or the same neighbours to
//! displace. It is taken bucket by bucket while the workers go on: each bucket is as it was at one moment, two buckets need
//! not be of the same one.
//!
//! Not done: copy on write. A table of 16 Mi entries is 230 MB, and so is its copy.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use frame::step::{Row, RowKind};
use frame::{MacAddr, Millis};

use super::bucket::{Kind, LIFE_TICKS, age};
use super::sync::{AtomicI64, AtomicU64, Mutex, SWEEP_SPINS};
use super::upkeep::Pass;
use super::{MacTable, Tally};

impl MacTable {
    /// A table like this one, as it is now.
    #[must_use]
    pub fn fork(&self) -> Self {
        let _no_flush_meanwhile = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            buckets: self.buckets.iter().map(|bucket| bucket.copy(SWEEP_SPINS)).collect(),
            hash: self.hash.clone(),
            vector: self.vector,
            clock: self.clock.fork(),
            capacity: self.capacity,
            port_limit: self.port_limit,
            eviction: self.eviction,
            ports: self.ports.fork(),
            moves: self.moves.fork(),
            tally: self.tally.fork(),
            pass: Mutex::new(Pass::default()),
            control: Mutex::new(()),
        }
    }

    /// The row of an address, read without changing it; `None` when it has none that lives.
    pub fn row(&self, mac: MacAddr, now: Millis) -> Option<Row> {
        let tick = self.tick(now);
        let (bucket, entry, slot) = self.locate(self.seek(mac))?;
        match entry.kind() {
            Kind::Learned(port, generation) => {
                let ticks = age(tick, bucket.meta().stamp(slot));
                (ticks < LIFE_TICKS && !self.ports.is_stale(port, generation)).then(|| Row {
                    kind: RowKind::Learned,
                    port: Some(port),
                    age: self.clock.as_time(ticks),
                })
            }
            Kind::Static(port) => Some(Row { kind: RowKind::Static, port: Some(port), age: Millis(0) }),
            Kind::Gateway => Some(Row { kind: RowKind::Gateway, port: None, age: Millis(0) }),
        }
    }
}

impl Tally {
    fn fork(&self) -> Self {
        let copy = |counter: &AtomicU64| AtomicU64::new(counter.load(Relaxed));
        Self {
            learned: copy(&self.learned),
            moved: copy(&self.moved),
            evicted: copy(&self.evicted),
            refused_by_limit: copy(&self.refused_by_limit),
            refused_full: copy(&self.refused_full),
            aged: copy(&self.aged),
            gone: copy(&self.gone),
            fixed: AtomicI64::new(self.fixed.load(Relaxed)),
        }
    }
}

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use frame::PortId;
    use frame::step::Learned;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::mac_table::{Destination, MacTableConfig};

    const STATION: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    #[test]
    fn what_the_copy_learns_the_table_does_not() {
        let table = MacTable::new(MacTableConfig::default()).unwrap();
        assert_eq!(table.learn(STATION, PortId(3), Millis(10)), Learned::New);
        let copy = table.fork();
        assert_eq!(copy.learn(STATION, PortId(5), Millis(20)), Learned::Moved { from: PortId(3) });
        assert_eq!(table.lookup(STATION, Millis(20)), Some(Destination::Port(PortId(3))));
        assert_eq!((table.counts().moved, copy.counts().moved), (0, 1));
        table.flush_port(PortId(5));
        assert_eq!(copy.lookup(STATION, Millis(20)), Some(Destination::Port(PortId(5))));
    }

    #[test]
    fn a_row_tells_kind_port_and_age() {
        let table = MacTable::new(MacTableConfig { ageing: Millis(12_800), ..MacTableConfig::default() }).unwrap();
        let gateway = MacAddr([2, 0, 0, 0, 0, 9]);
        table.learn(STATION, PortId(3), Millis(0));
        table.set_gateway(gateway).unwrap();
        let row = |mac, now| table.row(mac, Millis(now)).map(|row| (row.kind, row.port, row.age));
        assert_eq!(row(STATION, 1000), Some((RowKind::Learned, Some(PortId(3)), Millis(1000))));
        assert_eq!(row(gateway, 1000), Some((RowKind::Gateway, None, Millis(0))));
        assert_eq!(row(STATION, 12_800), None, "dead, whether or not it was swept");
        assert_eq!(row(MacAddr([2, 0, 0, 0, 0, 7]), 1000), None);
    }

    proptest! {
        /// Small enough to be full, to displace and to evict.
        #[test]
        fn the_copy_goes_on_as_the_table_does(
            past in vec((0u16..300, 0u16..4), 0..200),
            future in vec((0u16..300, 0u16..4), 0..100),
        ) {
            let config = MacTableConfig { capacity: 64, port_limit: Some(40), ..MacTableConfig::default() };
            let table = MacTable::new(config).unwrap();
            let mac = |station: u16| MacAddr([2, 0, 0, 0, station.to_be_bytes()[0], station.to_be_bytes()[1]]);
            for (at, (station, port)) in past.iter().enumerate() {
                table.learn(mac(*station + 1), PortId(*port), Millis(at as u64 * 500));
            }
            let copy = table.fork();
            for (at, (station, port)) in future.iter().enumerate() {
                let (station, port, now) = (mac(*station + 1), PortId(*port), Millis(100_000 + at as u64 * 500));
                prop_assert_eq!(copy.row(station, now), table.row(station, now));
                prop_assert_eq!(copy.learn(station, port, now), table.learn(station, port, now));
                prop_assert_eq!(copy.lookup(station, now), table.lookup(station, now));
                prop_assert_eq!(copy.len(), table.len());
            }
            prop_assert_eq!(copy.counts(), table.counts());
        }
    }
}
