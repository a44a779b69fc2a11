//! Who is speaking? A switch learns where its stations are by reading where frames come *from*
//! (IEEE 802.1D-2004, 7.8).
//!
//! A frame from h1 came in on port 3, so h1 is reached through port 3: that one line is all that a switch
//! knows of the world, and it never asks. Five things can come of it:
//!
//! - **new**: nobody was known by that address; now it has an entry, good for the ageing time (300 s);
//! - **replaced**: the same, and because the table is full, another station is forgotten for it;
//! - **refreshed**: the entry was there, and its age is zero again;
//! - **moved**: the address was on another port. A container was plugged in elsewhere, or a virtual machine
//!   migrated; from this frame on, its traffic follows. An address that moves to and fro is used twice;
//! - **refused**: the control side or the gateway owns the address, or there is no more room.
//!
//! Learning comes before the look-up, so that a frame to its own sender is found on its own port. A frame
//! whose source could not be learned is forwarded all the same; its answers are flooded. Only from a guarded port
//! ([`mod@crate::guard`]) a source that the control side or the gateway owns is refused: [`is_spoofed`].
//!
//! Not done: learning per VLAN. A network is one broadcast domain and its table knows addresses only.

use frame::step::{LearnRefusal, Learned};
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

/// Is the source address, by what learning said of it, another port's for good, or the gateway's? Then a frame from
/// a guarded port is dropped as `SpoofedMac`.
#[inline]
pub const fn is_spoofed(learned: Learned) -> bool {
    matches!(learned, Learned::Refused(LearnRefusal::Static { .. } | LearnRefusal::Gateway))
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

    #[test]
    fn an_address_that_is_anothers_for_good_is_spoofed_and_one_that_moves_is_not() {
        let table = MacTable::new(MacTableConfig::default()).unwrap();
        let (h2, gateway) = (MacAddr([0x02, 0x42, 10, 0, 0, 3]), MacAddr([0x02, 0x42, 10, 0, 0, 1]));
        table.set_static(H1, PortId(3)).unwrap();
        table.set_gateway(gateway).unwrap();
        for (mac, port, spoofed) in
            [(H1, 3, false), (H1, 5, true), (gateway, 3, true), (h2, 3, false), (h2, 3, false), (h2, 5, false)]
        {
            assert_eq!(is_spoofed(learn(&table, mac, PortId(port), Millis(0))), spoofed, "{mac} on {port}");
        }
        let full = Learned::Refused(LearnRefusal::TableFull);
        assert!(!is_spoofed(full) && !is_spoofed(Learned::Refused(LearnRefusal::PortLimit)));
    }
}
