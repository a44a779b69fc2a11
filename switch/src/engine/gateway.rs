//! What does the switch do as a gateway? It asks `forwarding/route` what becomes of a frame, `arp/resolver` for the next
//! hop's MAC address, and puts what it answers on its way (RFC 1812).
//!
//! A frame that only passes is rewritten in its own buffer and leaves like any other. Answers, errors and fragments are
//! frames of their own, in the outbox.
//!
//! Not done: IPv6.

use std::net::{IpAddr, Ipv4Addr};

use arp::{Held, packet};
use bytes::Bytes;
use forwarding::look_up;
use forwarding::route::fragment::Fragments;
use forwarding::route::icmp::{self, IcmpError, Unreachable};
use forwarding::route::limit::IcmpLimiter;
use forwarding::route::reassembly::{Offered, Reassembly};
use forwarding::route::{Gateway, RouteDecision, rewrite, route};
use frame::ethernet::HEADER_OCTETS;
use frame::offload::segment::Segments;
use frame::step::{Lookup, Resolved, RouteStep};
use frame::{DropReason, Frame, MacAddr, Millis, NetworkId, Observer, Step, Verdict};
use hashbrown::HashMap;

use super::journey::Context;
use super::outbox::{Outbox, Target};
use super::tables::{NetworkView, Snapshot, lock};

/// What the gateway of one network keeps between frames.
#[derive(Clone)]
pub(super) struct GatewayState {
    reassembly: Reassembly,
    errors: IcmpLimiter,
}

impl Default for GatewayState {
    /// A thousand ICMP errors a second, fifty at once (RFC 1812, 4.3.2.8 leaves the figures to the router).
    fn default() -> Self {
        Self { reassembly: Reassembly::new(), errors: IcmpLimiter::new(1000, 50) }
    }
}

/// The next hops that one worker has asked for lately, so that it need not lock the neighbor table for each frame.
#[derive(Default)]
pub(super) struct NextHops(HashMap<(NetworkId, IpAddr), NextHop>);

struct NextHop {
    mac: MacAddr,
    version: u64,
    until: Millis,
}

impl NextHops {
    /// The neighbor table is asked again after this long, so that it sees which entries are in use.
    const LASTS: Millis = Millis::from_secs(1);
    /// More than a worker has in use; when it is reached, all are forgotten and asked for again.
    const LIMIT: usize = 4096;

    fn get(&self, view: &NetworkView, ip: IpAddr, now: Millis) -> Option<MacAddr> {
        let hop = self.0.get(&(view.id, ip))?;
        (hop.version == view.tables.neighbors_version() && now < hop.until).then_some(hop.mac)
    }

    fn put(&mut self, view: &NetworkView, ip: IpAddr, mac: MacAddr, now: Millis) {
        if self.0.len() >= Self::LIMIT {
            self.0.clear();
        }
        let version = view.tables.neighbors_version();
        self.0.insert((view.id, ip), NextHop { mac, version, until: now + Self::LASTS });
    }
}

impl Context<'_> {
    /// A frame addressed to the gateway's MAC address: answer it, send it on, or refuse it.
    pub(super) fn route<O: Observer>(&mut self, frame: &mut Frame, observer: &mut O) -> Verdict {
        let (Some(own), Some(subnet)) = (self.view.gateway, self.view.subnet) else {
            return Verdict::Drop(DropReason::NotRoutable);
        };
        let gateway = Gateway {
            network: self.view.id,
            subnet,
            address: own.ip,
            routes: &self.snapshot.routes,
            peers: &self.view.peers,
            isolated: self.ingress.isolation.is_some(),
        };
        match route(frame, &gateway) {
            RouteDecision::EchoReply => self.answer_echo(frame, observer),
            RouteDecision::Reassemble => self.reassemble(frame, observer),
            RouteDecision::Forward { network, next_hop, ttl }
            | RouteDecision::Fragment { network, next_hop, ttl, .. } => {
                observer.step(Step::Routed(RouteStep::Forwarded { network, next_hop, ttl }));
                self.forward(frame, network, next_hop, observer)
            }
            RouteDecision::Refuse { reason, icmp } => {
                let told_source = icmp.is_some_and(|error| self.tell_source(frame, error, own.ip));
                observer.step(Step::Routed(RouteStep::Refused { reason, told_source }));
                Verdict::Drop(reason)
            }
        }
    }

    fn forward<O: Observer>(
        &mut self,
        frame: &mut Frame,
        network: NetworkId,
        next_hop: IpAddr,
        observer: &mut O,
    ) -> Verdict {
        let Some(view) = self.snapshot.network(network) else { return Verdict::Drop(DropReason::NoRoute) };
        let resolved = self.resolve(frame, view, next_hop);
        observer.step(Step::Resolved(resolved));
        match resolved {
            Resolved::Known { mac } => send_on(frame, mac, view, self.now, self.outbox, observer),
            Resolved::Asked | Resolved::Waiting { .. } => Verdict::Held,
            Resolved::Full => Verdict::Drop(DropReason::HeldQueueFull),
        }
    }

    /// The next hop's MAC address; if it is not known, ask for it and keep a copy of the frame until it is.
    fn resolve(&mut self, frame: &Frame, view: &NetworkView, next_hop: IpAddr) -> Resolved {
        if let Some(mac) = self.next_hops.get(view, next_hop, self.now) {
            return Resolved::Known { mac };
        }
        let hold = || Held {
            octets: Bytes::copy_from_slice(frame.octets()),
            offload: frame.offload(),
            from: self.ingress.port,
            network: self.view.id,
        };
        let (resolved, deadline) =
            view.tables.neighbors(|table| (table.resolve(next_hop, self.now, hold), table.next_deadline()));
        self.deadline.bring_forward(deadline);
        match (resolved, next_hop) {
            (Resolved::Known { mac }, _) => self.next_hops.put(view, next_hop, mac, self.now),
            (Resolved::Asked, IpAddr::V4(ip)) => ask(view, ip, self.outbox),
            _ => {}
        }
        resolved
    }

    fn answer_echo<O: Observer>(&mut self, request: &Frame, observer: &mut O) -> Verdict {
        let mut reply = self.outbox.take_scratch();
        let before = self.outbox.len();
        let verdict = if !icmp::write_echo_reply(request, &mut reply) {
            Verdict::Drop(DropReason::BadIpHeader)
        } else if !send_fragments(&mut reply, self.view, Target::Port(self.ingress.port), self.outbox) {
            self.outbox.shorten(before);
            Verdict::Drop(DropReason::TooManyPieces)
        } else {
            observer.step(Step::Routed(RouteStep::EchoAnswered));
            Verdict::Answered
        };
        self.outbox.give_scratch_back(reply);
        verdict
    }

    /// A fragment of something for the gateway itself: keep it until the others have come, then answer if it was a ping.
    fn reassemble<O: Observer>(&mut self, fragment: &Frame, observer: &mut O) -> Verdict {
        let mut whole = self.outbox.take_scratch();
        let offered = lock(&self.view.tables.gateway).reassembly.offer(fragment, self.now, &mut whole);
        let verdict = match offered {
            Offered::Waiting => Verdict::Consumed,
            Offered::Complete => self.answer_echo(&whole, observer),
            Offered::Discarded => Verdict::Drop(DropReason::BadFragment),
        };
        self.outbox.give_scratch_back(whole);
        verdict
    }

    fn tell_source(&mut self, about: &Frame, error: IcmpError, own: Ipv4Addr) -> bool {
        tell(about, error, own, self.view, Target::Port(self.ingress.port), self.now, self.outbox)
    }
}

/// The least that a routed frame is trimmed to: shorter ones keep the padding they came with (IEEE 802.3, 3.2.7).
const MIN_OCTETS: usize = 60;

/// Send a frame whose next hop is known into its network: rewritten, in its own buffer if it fits there, else in pieces.
fn send_on<O: Observer>(
    frame: &mut Frame,
    mac: MacAddr,
    view: &NetworkView,
    now: Millis,
    outbox: &mut Outbox,
    observer: &mut O,
) -> Verdict {
    let Some(gateway) = view.gateway else { return Verdict::Drop(DropReason::NoRoute) };
    if !rewrite(frame, gateway.mac, mac) {
        return Verdict::Drop(DropReason::BadIpHeader);
    }
    trim(frame);
    let found = if view.hub { Lookup::Unknown } else { look_up(&view.tables.mac, mac, None, now) };
    if !view.hub {
        observer.step(Step::LookedUp(found));
    }
    let (verdict, target) = match found {
        Lookup::Known { port } => (Verdict::Unicast { to: port }, Target::Port(port)),
        _ if view.members.is_empty() => return Verdict::Drop(DropReason::NoOtherPort),
        _ => (Verdict::Flood { network: view.id }, Target::Flood { except: None }),
    };
    if frame.offload().wire_octets(frame.octets()) <= view.mtu + HEADER_OCTETS {
        return verdict;
    }
    let before = outbox.len();
    if send_pieces(frame, view, target, outbox) {
        Verdict::Fragmented { network: view.id }
    } else {
        outbox.shorten(before); // a datagram with a hole is of no use to anybody
        Verdict::Drop(DropReason::TooManyPieces)
    }
}

/// Leave behind what padding stands after the packet: on the next network it would only count against the MTU.
fn trim(frame: &mut Frame) {
    let total = frame.octets().get(HEADER_OCTETS + 2..).and_then(|octets| octets.first_chunk::<2>().copied());
    if let Some(total) = total.filter(|_| !frame.offload().is_gso()) {
        frame.truncate((HEADER_OCTETS + usize::from(u16::from_be_bytes(total))).max(MIN_OCTETS));
    }
}

/// Cut a frame for its network's MTU; `false` when that cannot be, or the pieces are too many for the outbox.
fn send_pieces(frame: &mut Frame, view: &NetworkView, target: Target, outbox: &mut Outbox) -> bool {
    if !frame.offload().is_gso() {
        return send_fragments(frame, view, target, outbox);
    }
    let Ok(mut segments) = Segments::new(frame) else { return false };
    let mut segment = outbox.take_scratch();
    let mut all = true;
    while all && segments.next_into(&mut segment) {
        all = send_fragments(&mut segment, view, target, outbox);
    }
    outbox.give_scratch_back(segment);
    all
}

fn send_fragments(frame: &mut Frame, view: &NetworkView, target: Target, outbox: &mut Outbox) -> bool {
    let Ok(mut fragments) = Fragments::new(frame, view.mtu) else { return false };
    while let Some(out) = outbox.add(view.id, target) {
        if !fragments.next_into(out) {
            outbox.take_back();
            return true;
        }
    }
    false
}

/// Put an ICMP error on its way, if the rate allows one.
fn tell(
    about: &Frame,
    error: IcmpError,
    own: Ipv4Addr,
    view: &NetworkView,
    target: Target,
    now: Millis,
    outbox: &mut Outbox,
) -> bool {
    let Some(ethernet) = icmp::answering(about) else { return false };
    if !lock(&view.tables.gateway).errors.allow(now) {
        return false;
    }
    let Some(out) = outbox.add(view.id, target) else { return false };
    let written = icmp::write_error(about, error, own, ethernet, out);
    if !written {
        outbox.take_back();
    }
    written
}

/// Ask everybody on a network who has `ip`.
pub(super) fn ask(view: &NetworkView, ip: Ipv4Addr, outbox: &mut Outbox) {
    let Some(gateway) = view.gateway else { return };
    if let Some(out) = outbox.add(view.id, Target::Flood { except: None }) {
        packet::request(out, gateway.mac, gateway.ip, ip);
    }
}

/// The next hop of a held frame is known now: send it on, or count why it cannot go.
pub(super) fn release(held: &Held, mac: MacAddr, view: &NetworkView, now: Millis, worker: usize, outbox: &mut Outbox) {
    let mut frame = outbox.take_scratch();
    frame.fill(&held.octets, held.offload);
    let verdict = send_on(&mut frame, mac, view, now, outbox, &mut ());
    let target = match verdict {
        Verdict::Unicast { to } => Some(Target::Port(to)),
        Verdict::Flood { .. } => Some(Target::Flood { except: None }),
        _ => None, // in pieces, and on its way; or it cannot go
    };
    let lost = match (verdict, target) {
        (Verdict::Drop(reason), _) => Some(reason),
        (_, Some(target)) => match outbox.add(view.id, target) {
            Some(out) => {
                out.fill(frame.octets(), frame.offload());
                None
            }
            None => Some(DropReason::EgressFull),
        },
        _ => None,
    };
    if let (Some(reason), Some(drops)) = (lost, view.tables.drops.of(worker)) {
        drops.add(reason, 1);
    }
    outbox.give_scratch_back(frame);
}

/// A held frame's next hop does not answer: count it and tell its source.
pub(super) fn give_up(held: &Held, snapshot: &Snapshot, now: Millis, worker: usize, outbox: &mut Outbox) {
    let Some(view) = snapshot.network(held.network) else { return };
    if let Some(drops) = view.tables.drops.of(worker) {
        drops.add(DropReason::HostUnreachable, 1);
    }
    let Some(gateway) = view.gateway else { return };
    let mut frame = outbox.take_scratch();
    frame.fill(&held.octets, held.offload);
    if icmp::may_tell(&frame) {
        let error = IcmpError::Unreachable(Unreachable::Host);
        tell(&frame, error, gateway.ip, view, Target::Port(held.from), now, outbox);
    }
    outbox.give_scratch_back(frame);
}
