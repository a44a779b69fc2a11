//! Who gets a frame that is for everybody, or for somebody nobody has heard from? Every other port of its
//! network, once (IEEE 802.1D-2004, 7.7.1).
//!
//! *Every*, because the station may be behind any of them. *Other*, because the ingress port's station sent
//! it, and a switch that gave frames back would make two switches joined twice repeat them for ever. *Once*,
//! because a second copy would be a second frame. This is the whole of a hub; learning is what turns it
//! into a switch.
//!
//! Not done: spanning tree. Container ports are leaves; a loop made of two networks' ports is not found.

use frame::PortId;

/// The ports of `members` (each of them once) that a frame from `ingress` is flooded to; `None` for a frame
/// that the switch itself sends.
#[inline]
pub fn flood_ports(members: &[PortId], ingress: Option<PortId>) -> impl Iterator<Item = PortId> {
    members.iter().copied().filter(move |port| Some(*port) != ingress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn alone_on_a_network_there_is_nobody_to_flood_to() {
        assert_eq!(flood_ports(&[PortId(1)], Some(PortId(1))).count(), 0);
        assert_eq!(flood_ports(&[PortId(1)], None).count(), 1);
    }

    proptest! {
        #[test]
        fn reaches_each_other_port_once_and_never_goes_back(
            members in proptest::collection::btree_set(0u16..64, 0..40),
            ingress in proptest::option::of(0u16..64),
        ) {
            let members: Vec<PortId> = members.into_iter().map(PortId).collect();
            let ingress = ingress.map(PortId);
            let mut reached: Vec<PortId> = flood_ports(&members, ingress).collect();
            prop_assert!(!ingress.is_some_and(|port| reached.contains(&port)));
            reached.extend(ingress.filter(|port| members.contains(port)));
            reached.sort_unstable();
            prop_assert_eq!(reached, members);
        }
    }
}
