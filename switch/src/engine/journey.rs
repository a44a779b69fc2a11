//! What is decided about a frame, in which order? This is the table of contents: each call is named after the file that
//! decides, and each decision is told to whoever observes it.
//!
//! ```text
//! container eth0
//!    |  TAP queue, or veth peer
//! ports/                       recv(batch): up to 64 frames, each with its virtio-net header
//! switch/engine/worker.rs      mio says readable; drain, burst by burst
//! forwarding/mac_table         seek: both addresses of every frame of the burst are hashed, their lines fetched
//! switch/engine/journey.rs     the journey of one frame:
//!    1 forwarding/admit.rs     runt, giant, bad source                -> Drop(reason)
//!    2 forwarding/guard.rs     guarded port: another's IP address     -> Drop(reason)
//!      engine/hub.rs         mode=hub                               -> every other port, and that is all
//!    3 forwarding/learn.rs     source MAC -> MAC table                -> New | Refreshed | Moved{from} | Refused(why)
//!    4 arp/responder.rs        ARP that the switch itself can answer  -> Answered
//!    5 forwarding/lookup.rs    destination MAC                        -> Known | Gateway | Group | Unknown | SamePort
//!    6 forwarding/isolate.rs   icc=false: another container           -> the gateway's port only | Drop(reason)
//!    7 forwarding/flood.rs     Group | Unknown                        -> every other port, once
//!    8 forwarding/route        Gateway: longest prefix, TTL, rewrite  -> next hop
//!      arp/resolver.rs         next hop -> MAC                        -> Unicast | Held until answered
//! switch/engine/egress.rs      per-port queues; one burst of writes per port; counts what did not fit
//! ports/                       send(batch)
//! ```

use forwarding::mac_table::Sought;
use forwarding::{MacTable, admit, guard, is_spoofed, isolate, learn_sought, look_up_sought};
use frame::ethernet::{self, EthernetHeader, ether_type};
use frame::step::{Learned, Lookup, Row, TableView};
use frame::{DropReason, Frame, FrameNumber, MacAddr, Millis, Observer, PortId, Step, Verdict};

use super::Deadline;
use super::gateway::NextHops;
use super::lessons::{self, Budget, Lessons};
use super::outbox::Outbox;
use super::tables::{Ingress, NetworkView, Snapshot};

/// What a frame's journey needs besides the frame.
pub(super) struct Context<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// The network the frame came in by.
    pub(super) view: &'a NetworkView,
    /// The port it came in by.
    pub(super) ingress: &'a Ingress<'a>,
    pub(super) now: Millis,
    pub(super) outbox: &'a mut Outbox,
    pub(super) next_hops: &'a mut NextHops,
    /// When something is due.
    pub(super) deadline: &'a Deadline,
    /// Who remembers what frames taught; nobody, in the what-if.
    pub(super) lessons: Option<(&'a Lessons, &'a mut Budget)>,
    /// Whose counters to use.
    pub(super) worker: usize,
}

/// Where the MAC table has the two addresses of one frame.
#[derive(Clone, Copy)]
pub(super) struct SoughtPair {
    destination: Sought,
    source: Sought,
}

/// What a burst does before its first frame sets out: by the time an address is looked up, its line of the MAC table is in
/// the cache, and all lines of the burst come at the same time.
#[inline]
pub(super) fn seek(frame: &Frame, table: &MacTable) -> SoughtPair {
    let [destination, source] = ethernet::addresses(frame.octets());
    SoughtPair { destination: table.seek(destination), source: table.seek(source) }
}

/// Take a frame from its port to its verdict; `sought` is where the MAC table has its two addresses. Frames that the switch
/// makes on the way lie in the outbox afterwards; the frame itself is changed only where it is routed.
#[inline]
pub(super) fn journey<O: Observer>(
    frame: &mut Frame,
    sought: SoughtPair,
    context: &mut Context<'_>,
    observer: &mut O,
) -> Verdict {
    decide(frame, sought, context, observer).unwrap_or_else(Verdict::Drop)
}

#[inline]
fn decide<O: Observer>(
    frame: &mut Frame,
    sought: SoughtPair,
    context: &mut Context<'_>,
    observer: &mut O,
) -> Result<Verdict, DropReason> {
    let (view, ingress, now) = (context.view, context.ingress, context.now);
    let header = admit(frame, &ingress.rules)?;
    observer.step(Step::Admitted);
    if let Some(addresses) = ingress.guard {
        guard(frame, &header, addresses)?;
        observer.step(Step::Guarded);
    }
    if view.hub {
        return context.repeat(frame, &header, observer);
    }
    let before = if O::ENABLED { view.tables.mac.row(header.source, now) } else { None };
    let learned = learn_sought(&view.tables.mac, sought.source, ingress.port, now);
    observer.step(Step::Learned(learned));
    let table = O::ENABLED.then(|| context.table_around(&header, before));
    if let Some(table) = table {
        observer.table(table);
    }
    match learned {
        Learned::New | Learned::Replaced { .. } | Learned::Moved { .. } => {
            context.taught(frame, header.source, learned, observer.number());
        }
        Learned::Refused(_) if ingress.guard.is_some() && is_spoofed(learned) => return Err(DropReason::SpoofedMac),
        _ => {}
    }
    if header.ether_type == ether_type::ARP
        && let Some(verdict) = context.read_arp(frame, observer)
    {
        return Ok(verdict);
    }
    let found = look_up_sought(&view.tables.mac, header.destination, sought.destination, Some(ingress.port), now);
    observer.step(Step::LookedUp(found));
    if let Some(table) = table {
        observer.table(TableView { destination: view.tables.mac.row(header.destination, now), ..table });
    }
    if let Some(verdict) = ingress.isolation.and_then(|isolation| isolate(found, isolation)) {
        observer.step(Step::Isolated);
        return Ok(verdict);
    }
    match found {
        Lookup::Known { port } => Ok(Verdict::Unicast { to: port }),
        Lookup::SamePort => Err(DropReason::SamePort),
        Lookup::Gateway => Ok(context.route(frame, observer)),
        Lookup::Group | Lookup::Unknown if view.has_others(ingress.port) => Ok(Verdict::Flood { network: view.id }),
        Lookup::Group | Lookup::Unknown => Err(DropReason::NoOtherPort),
    }
}

impl Context<'_> {
    /// The MAC table holds a new row: it must age, so the time keeper has something to do; and the frame is remembered as
    /// the one that taught it.
    #[cold]
    #[inline(never)]
    fn taught(&mut self, frame: &Frame, mac: MacAddr, learned: Learned, number: Option<FrameNumber>) {
        self.deadline.bring_forward(Some(self.now + super::timers::SWEEP_INTERVAL));
        if let Some((lessons, budget)) = &mut self.lessons {
            let place = (self.view.id, self.ingress.port, mac);
            lessons::tell(lessons, budget, frame, number, place, learned, self.now);
        }
    }

    /// The MAC table as it is now, with the row of the source, also as it was before.
    fn table_around(&self, header: &EthernetHeader, before: Option<Row>) -> TableView {
        let table = &self.view.tables.mac;
        TableView {
            source_before: before,
            source_after: table.row(header.source, self.now),
            destination: None,
            entries: table.len() as u32,
            capacity: table.capacity() as u32,
            on_port: table.learned_on(self.ingress.port),
        }
    }
}

impl NetworkView {
    /// Is any port up besides `port`?
    fn has_others(&self, port: PortId) -> bool {
        self.members.iter().any(|member| *member != port)
    }
}
