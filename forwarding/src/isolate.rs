//! Where may a frame go on a network that keeps its containers apart (`icc=false`, Docker's
//! `com.docker.network.bridge.enable_icc`; a private VLAN's isolated ports, RFC 5517, 3.1)? To the gateway, and nowhere else.
//!
//! Asked after the look-up, and only for frames that came by an endpoint's port: what the gateway sends may go
//! anywhere. Where the gateway is a port (RFC 5517's promiscuous port), everything that would be flooded goes out of that
//! port alone; where the switch itself is the gateway, it has read what was for it by then, and the rest goes nowhere.
//!
//! | the look-up said | then |
//! | --- | --- |
//! | known, on the gateway's port | as ever |
//! | known, on another port | dropped: `Isolated` |
//! | group, unknown | to the gateway's port; dropped as `Isolated` where the gateway is no port |
//! | gateway, same port | as ever |
//!
//! So nobody hears another's ARP request either: a container that asks for another finds no such host. What reaches another container by way of the gateway is the gateway's to refuse:
//! [`crate::route()`] does, and for a gateway in the host the host's firewall must.

use frame::step::Lookup;
use frame::{DropReason, PortId, Verdict};

/// What an endpoint's port may reach on a network that keeps its endpoints apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Isolation {
    /// The gateway's port; `None` where the gateway is the switch itself, or nobody.
    pub gateway: Option<PortId>,
}

/// The verdict on a frame from an isolated port that must not go where the look-up would send it; `None` when it may.
#[inline]
pub fn isolate(found: Lookup, isolation: Isolation) -> Option<Verdict> {
    match (found, isolation.gateway) {
        (Lookup::Gateway | Lookup::SamePort, _) => None,
        (Lookup::Known { port }, Some(gateway)) if port == gateway => None,
        (Lookup::Group | Lookup::Unknown, Some(gateway)) => Some(Verdict::Unicast { to: gateway }),
        _ => Some(Verdict::Drop(DropReason::Isolated)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: PortId = PortId(9);
    const DROPPED: Option<Verdict> = Some(Verdict::Drop(DropReason::Isolated));

    #[test]
    fn the_gateway_s_port_is_all_there_is() {
        let isolation = Isolation { gateway: Some(HOST) };
        for (found, verdict) in [
            (Lookup::Known { port: HOST }, None),
            (Lookup::Known { port: PortId(2) }, DROPPED),
            (Lookup::Group, Some(Verdict::Unicast { to: HOST })),
            (Lookup::Unknown, Some(Verdict::Unicast { to: HOST })),
            (Lookup::SamePort, None),
            (Lookup::Gateway, None),
        ] {
            assert_eq!(isolate(found, isolation), verdict, "{found:?}");
        }
    }

    #[test]
    fn where_the_gateway_is_no_port_only_the_switch_is_reached() {
        let isolation = Isolation { gateway: None };
        for (found, verdict) in [
            (Lookup::Gateway, None),
            (Lookup::SamePort, None),
            (Lookup::Known { port: PortId(2) }, DROPPED),
            (Lookup::Group, DROPPED),
            (Lookup::Unknown, DROPPED),
        ] {
            assert_eq!(isolate(found, isolation), verdict, "{found:?}");
        }
    }
}
