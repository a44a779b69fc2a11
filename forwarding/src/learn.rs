//! Who is speaking? A switch learns where its stations are by reading where frames come *from*
//! (IEEE 802.1D-2004, 7.8).
//!
//! A frame from h1 came in on port 3, so h1 is reached through port 3: that one line is all that a switch
//! knows of the world, and it never asks. Four things can come of it:
//!
//! - **new**: nobody was known by that address; now it has an entry, good for the ageing time (300 s);
//! - **refreshed**: the entry was there, and its age is zero again;
//! - **moved**: the address was on another port. A container was plugged in elsewhere, or a virtual machine
//!   migrated; from this frame on, its traffic follows. An address that moves to and fro is used twice;
//! - **refused**: the control side or the gateway owns the address, or there is no more room.
//!
//! Learning comes before the look-up, so that a frame to its own sender is found on its own port. A frame
//! whose source could not be learned is forwarded all the same; its answers are flooded.
//!
//! Not done: learning per VLAN. A network is one broadcast domain and its table knows addresses only.

use frame::step::Learned;
use frame::{MacAddr, Millis, PortId};

use crate::mac_table::{MacTable, Sought};

/// Learn that `source` was heard on `port` at `now`.
#[inline]
pub fn learn(table: &MacTable, source: MacAddr, port: PortId, now: Millis) -> Learned {
    table.learn(source, port, now)
}

/// [`learn`] for an address sought before, among those of a burst.
#[inline]
pub fn learn_sought(table: &MacTable, source: Sought, port: PortId, now: Millis) -> Learned {
    table.learn_sought(source, port, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac_table::{Destination, MacTableConfig};

    const H1: MacAddr = MacAddr([0x02, 0x42, 10, 0, 0, 2]);

    #[test]
    fn a_station_is_where_its_last_frame_came_from() {
        let table = MacTable::new(MacTableConfig::default()).unwrap();
        assert_eq!(learn(&table, H1, PortId(3), Millis(0)), Learned::New);
        assert_eq!(learn(&table, H1, PortId(3), Millis(10)), Learned::Refreshed);
        assert_eq!(learn(&table, H1, PortId(5), Millis(20)), Learned::Moved { from: PortId(3) });
        assert_eq!(table.lookup(H1, Millis(20)), Some(Destination::Port(PortId(5))));
    }
}
