//! What does a hub do? A network with `mode=hub` repeats every frame to every other port: it learns no address and looks
//! none up (a repeater, IEEE 802.3 clause 27, without its collisions).
//!
//! A router on a hub is one more station: it hears what the others hear, and everybody hears what it says. So a frame for
//! the gateway is repeated as well, as a copy of its own, since the gateway may rewrite the frame; and what the switch
//! sends of its own accord into a hub goes to every port ([`NetworkView::heard_by`]).
//!
//! Not done: half duplex and collisions. What a port is held to (`guard`, `icc=off`, `arp=suppress`) is refused for hubs
//! when they are made, because a hub knows nobody's address.

use frame::ethernet::{EthernetHeader, ether_type};
use frame::{DropReason, Frame, Observer, Step, Verdict};

use super::journey::Context;
use super::outbox::Target;
use super::tables::NetworkView;

/// Sender and target address of an ARP message for IPv4 (RFC 826), octets of the frame.
const ARP_SENDER_IP: std::ops::Range<usize> = 28..32;
const ARP_TARGET_IP: std::ops::Range<usize> = 38..42;

impl NetworkView {
    /// Who hears what was meant for `target`.
    pub(super) fn heard_by(&self, target: Target) -> Target {
        match target {
            Target::Port(_) if self.hub => Target::Flood { except: None },
            target => target,
        }
    }

    /// What a flood into this network, to so many ports, is called.
    pub(super) const fn flood_step(&self, ports: u16) -> Step {
        if self.hub { Step::Repeated { ports } } else { Step::Flooded { ports } }
    }

    /// What a hub does with a frame that the switch made; a switch does nothing that the frame's verdict does not say.
    pub(super) fn repeats(&self, target: Target) -> Option<Step> {
        match target {
            Target::Flood { except } if self.hub => {
                Some(self.flood_step(forwarding::flood_ports(&self.members, except).count() as u16))
            }
            _ => None,
        }
    }

    /// Is a frame one that the gateway, if the switch is the gateway, must hear?
    fn concerns_gateway(&self, frame: &Frame, header: &EthernetHeader) -> bool {
        let Some(gateway) = self.gateway else { return false };
        let names = |range| frame.octets().get(range) == Some(&gateway.ip.octets()[..]);
        header.destination == gateway.mac
            || header.ether_type == ether_type::ARP && (names(ARP_TARGET_IP) || names(ARP_SENDER_IP))
    }
}

impl Context<'_> {
    /// A frame has come in on a hub.
    ///
    /// # Errors
    /// Why it goes nowhere.
    pub(super) fn repeat<O: Observer>(
        &mut self,
        frame: &mut Frame,
        header: &EthernetHeader,
        observer: &mut O,
    ) -> Result<Verdict, DropReason> {
        let (view, from) = (self.view, self.ingress.port);
        let others = view.members.iter().filter(|member| **member != from).count();
        let everybody = if others > 0 { Ok(Verdict::Flood { network: view.id }) } else { Err(DropReason::NoOtherPort) };
        if !view.concerns_gateway(frame, header) {
            if header.ether_type == ether_type::ARP {
                let _ = self.read_arp(frame, observer); // the gateway notes whom it hears, and has nothing to say
            }
            return everybody;
        }
        let repeated = others > 0 && self.repeat_copy(frame);
        if repeated && O::ENABLED {
            observer.step(Step::Repeated { ports: others as u16 });
        }
        let verdict = if header.ether_type == ether_type::ARP {
            self.read_arp(frame, observer)
        } else {
            Some(self.route(frame, observer))
        };
        match verdict {
            Some(verdict) => Ok(verdict),
            None if repeated => Ok(Verdict::Consumed),
            None => everybody,
        }
    }

    /// Everybody else hears the frame as it came; `false` when there is no room for a copy.
    fn repeat_copy(&mut self, frame: &Frame) -> bool {
        let target = Target::Flood { except: Some(self.ingress.port) };
        let copy = self.outbox.add(self.view.id, target);
        copy.map(|copy| copy.copy_from(frame)).is_some()
    }
}
