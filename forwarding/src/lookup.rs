//! Where is the station this frame is for? (IEEE 802.1D-2004, 7.7.2 and 7.9)
//!
//! The answer is one of five, and each has one consequence:
//!
//! | answer | when | then |
//! | --- | --- | --- |
//! | known | the table has an entry | out of that port, and no other |
//! | same port | the entry is the port it came from | dropped: the station has heard it already |
//! | gateway | the address is the network's gateway | routed |
//! | group | broadcast or multicast | flooded: it is for several |
//! | unknown | no entry, or one too old | flooded: one of them may be it, and its answer will be learned |
//!
//! Not done: multicast group membership (IGMP and MLD snooping); a group frame goes to everybody.

use frame::step::Lookup;
use frame::{MacAddr, Millis, PortId};

use crate::mac_table::{Destination, MacTable, Sought};

/// Look up the destination of a frame that came in on `ingress`; `None` for one that the switch itself sends.
#[inline]
pub fn look_up(table: &MacTable, destination: MacAddr, ingress: Option<PortId>, now: Millis) -> Lookup {
    look_up_sought(table, destination, table.seek(destination), ingress, now)
}

/// [`look_up`] for an address sought before, among those of a burst: `sought` is `destination`, sought in `table`.
#[inline]
pub fn look_up_sought(
    table: &MacTable,
    destination: MacAddr,
    sought: Sought,
    ingress: Option<PortId>,
    now: Millis,
) -> Lookup {
    if destination.is_group() {
        return Lookup::Group;
    }
    match table.lookup_sought(sought, now) {
        Some(Destination::Port(port)) if Some(port) == ingress => Lookup::SamePort,
        Some(Destination::Port(port)) => Lookup::Known { port },
        Some(Destination::Gateway) => Lookup::Gateway,
        None => Lookup::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac_table::MacTableConfig;

    #[test]
    fn gives_each_of_the_five_answers() {
        let table = MacTable::new(MacTableConfig { ageing: Millis(1280), ..MacTableConfig::default() }).unwrap();
        let (h1, gateway) = (MacAddr([0x02, 0x42, 10, 0, 0, 2]), MacAddr([0x02, 0x42, 10, 0, 0, 1]));
        table.learn(h1, PortId(3), Millis(0));
        table.set_gateway(gateway).unwrap();
        let ask = |mac, ingress, now| look_up(&table, mac, ingress, Millis(now));
        assert_eq!(ask(h1, Some(PortId(4)), 1279), Lookup::Known { port: PortId(3) });
        assert_eq!(ask(h1, None, 1279), Lookup::Known { port: PortId(3) });
        assert_eq!(ask(h1, Some(PortId(3)), 1279), Lookup::SamePort);
        assert_eq!(ask(h1, Some(PortId(4)), 1280), Lookup::Unknown);
        assert_eq!(ask(gateway, Some(PortId(3)), 1280), Lookup::Gateway);
        assert_eq!(ask(MacAddr::BROADCAST, Some(PortId(3)), 1280), Lookup::Group);
        assert_eq!(ask(MacAddr([0x33, 0x33, 0, 0, 0, 1]), None, 1280), Lookup::Group);
    }
}
