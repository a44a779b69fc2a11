//! What does an ARP message mean to the engine? It asks `arp/` under the lock of the network's neighbor table, and puts
//! the reply, and the frames that were waiting for the message, on their way.

use arp::{ResponderRules, respond};
use frame::{Frame, Observer, Step, Verdict};

use super::gateway::release;
use super::journey::Context;
use super::outbox::Target;

impl Context<'_> {
    /// Read an ARP message; `None` when it goes on through the switch like any frame.
    pub(super) fn read_arp<O: Observer>(&mut self, frame: &Frame, observer: &mut O) -> Option<Verdict> {
        let view = self.view;
        let rules = ResponderRules {
            gateway: view.gateway.map(|gateway| (gateway.ip, gateway.mac)),
            subnet: view.subnet.map(|subnet| (subnet.network(), subnet.prefix_len())),
            // An answer for another endpoint would be the address of somebody who is out of reach.
            suppress: view.suppress_arp && self.ingress.isolation.is_none(),
        };
        // Without room for a reply the message passes on like any frame; the outbox is emptied before that happens.
        let reply = self.outbox.add(view.id, Target::Port(self.ingress.port))?;
        let (response, deadline) = view.tables.neighbors(|table| {
            let response = respond(table, frame.octets(), &rules, self.ingress.port, self.now, reply);
            (response, table.next_deadline())
        });
        self.deadline.bring_forward(deadline);
        if !response.as_ref().is_some_and(|response| response.replied) {
            self.outbox.take_back();
        }
        let response = response?;
        observer.step(Step::Arp(response.step));
        for held in &response.released {
            release(held, response.step.sender_mac, view, self.now, self.worker, self.outbox);
        }
        match (response.replied, response.consumed) {
            (true, _) => Some(Verdict::Answered),
            (false, true) => Some(Verdict::Consumed),
            (false, false) => None,
        }
    }
}
