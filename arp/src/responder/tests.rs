//! What is answered, with which octets, and what passes on.

use std::net::IpAddr;

use bytes::Bytes;
use frame::step::Resolved;
use frame::{NetworkId, OffloadHeader};
use proptest::prelude::*;

use super::*;

const GATEWAY: (Ipv4Addr, MacAddr) = (Ipv4Addr::new(10, 0, 0, 254), MacAddr([0x02, 0x42, 10, 0, 0, 254]));
const SUBNET: Option<(Ipv4Addr, u8)> = Some((Ipv4Addr::new(10, 0, 0, 0), 24));
const ROUTER: ResponderRules = ResponderRules { gateway: Some(GATEWAY), subnet: SUBNET, suppress: false };
const SUPPRESS: ResponderRules = ResponderRules { gateway: None, subnet: SUBNET, suppress: true };
const FLOOD: ResponderRules = ResponderRules { gateway: None, subnet: SUBNET, suppress: false };
const P1: PortId = PortId(1);
const P2: PortId = PortId(2);
const PASSED: (ArpOutcome, bool, bool) = (ArpOutcome::PassedOn, false, false);
const READ: (ArpOutcome, bool, bool) = (ArpOutcome::ReadByGateway, false, true);
const AS_GATEWAY: (ArpOutcome, bool, bool) = (ArpOutcome::AnsweredAsGateway, true, true);

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn mac(last: u8) -> MacAddr {
    MacAddr::from_ipv4(ip(last))
}

fn request(sender: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Frame {
    let mut frame = Frame::empty();
    packet::request(&mut frame, sender, sender_ip, target_ip);
    frame
}

fn reply_frame(sender: MacAddr, sender_ip: Ipv4Addr, target: MacAddr, target_ip: Ipv4Addr) -> Frame {
    let mut frame = Frame::empty();
    packet::reply(&mut frame, sender, sender_ip, target, target_ip);
    frame
}

fn probe(sender: MacAddr, target_ip: Ipv4Addr) -> Frame {
    request(sender, Ipv4Addr::UNSPECIFIED, target_ip)
}

/// A table, the reply buffer, and what they give for one frame.
struct Bench {
    table: NeighborTable,
    reply: Frame,
}

impl Bench {
    fn new() -> Self {
        Self { table: NeighborTable::default(), reply: Frame::empty() }
    }

    fn hear(&mut self, rules: &ResponderRules, frame: &Frame, port: PortId, now: u64) -> Response {
        self.reply.truncate(0);
        let response = respond(&mut self.table, frame.octets(), rules, port, Millis(now), &mut self.reply).unwrap();
        self.table.check();
        assert_eq!(response.replied, !self.reply.is_empty(), "the buffer is filled exactly when it is to be sent");
        response
    }

    fn fate(&mut self, rules: &ResponderRules, frame: &Frame, port: PortId, now: u64) -> (ArpOutcome, bool, bool) {
        let response = self.hear(rules, frame, port, now);
        (response.step.outcome, response.replied, response.consumed)
    }

    fn noted(&mut self, rules: &ResponderRules, frame: &Frame, port: PortId, now: u64) -> NeighborChange {
        self.hear(rules, frame, port, now).step.noted
    }
}

#[test]
fn a_request_for_the_gateway_is_answered_and_teaches() {
    let mut bench = Bench::new();
    let response = bench.hear(&ROUTER, &request(mac(1), ip(1), GATEWAY.0), P1, 5);
    let step = ArpStep {
        kind: ArpKind::Request,
        sender_ip: ip(1),
        sender_mac: mac(1),
        target_ip: GATEWAY.0,
        noted: NeighborChange::New,
        outcome: ArpOutcome::AnsweredAsGateway,
    };
    assert_eq!((response.step, response.replied, response.consumed), (step, true, true));
    let mut expected = vec![
        0x02, 0x42, 10, 0, 0, 1, 0x02, 0x42, 10, 0, 0, 254, 0x08, 0x06, // to the asker alone
        0, 1, 8, 0, 6, 4, 0, 2, // Ethernet, IPv4, reply
        0x02, 0x42, 10, 0, 0, 254, 10, 0, 0, 254, 0x02, 0x42, 10, 0, 0, 1, 10, 0, 0, 1,
    ];
    expected.resize(60, 0);
    assert_eq!(bench.reply.octets(), expected);
    assert_eq!(bench.table.get(ip(1).into(), Millis(5)).unwrap().port, Some(P1));

    let elsewhere = Ipv4Addr::new(192, 168, 7, 7);
    let response = bench.hear(&ROUTER, &request(mac(9), elsewhere, GATEWAY.0), P1, 6);
    assert_eq!((response.step.noted, response.replied), (NeighborChange::Nothing, true), "answered, but not noted");
}

#[test]
fn a_probe_for_the_gateways_address_is_defended_against() {
    let mut bench = Bench::new();
    let response = bench.hear(&ROUTER, &probe(mac(1), GATEWAY.0), P1, 0);
    assert_eq!((response.step.kind, response.step.noted), (ArpKind::Probe, NeighborChange::Nothing));
    assert_eq!(response.step.outcome, ArpOutcome::AnsweredAsGateway);
    assert_eq!(bench.reply.octets()[..6], mac(1).0, "to the prober alone");
    assert_eq!(bench.reply.octets()[38..42], [0; 4]);
    assert_eq!(packet::read(bench.reply.octets()).unwrap().sender_ip, GATEWAY.0);
    assert_eq!(bench.fate(&ROUTER, &probe(mac(1), ip(1)), P1, 1), PASSED);
    assert!(bench.table.is_empty());
}

#[test]
fn who_claims_the_gateways_address_is_recorded_and_told_at_most_every_ten_seconds() {
    let mut bench = Bench::new();
    let announcement = request(mac(6), GATEWAY.0, GATEWAY.0);
    let response = bench.hear(&ROUTER, &announcement, P2, 1000);
    assert_eq!(response.step.noted, NeighborChange::Conflict { held_by: GATEWAY.1 });
    assert_eq!((response.step.outcome, response.replied, response.consumed), AS_GATEWAY);
    let mut expected = Frame::empty();
    packet::announcement(&mut expected, GATEWAY.1, GATEWAY.0);
    assert_eq!(bench.reply.octets(), expected.octets());

    let poison = reply_frame(mac(6), GATEWAY.0, mac(1), ip(1));
    assert_eq!(bench.fate(&ROUTER, &poison, P2, 10_999), READ, "kept from h1, but not answered");
    let using = request(mac(7), GATEWAY.0, ip(1));
    assert_eq!(bench.fate(&ROUTER, &using, P1, 11_000), AS_GATEWAY);
    assert_eq!(bench.fate(&ROUTER, &poison, P2, 20_999), READ);
    let conflicts: Vec<_> = bench.table.conflicts().map(|c| (c.claimed_by, c.port, c.count)).collect();
    assert_eq!(conflicts, [(mac(7), P1, 1), (mac(6), P2, 3)]);
    assert!(bench.table.is_empty(), "nothing of it is believed");
    assert_eq!(bench.fate(&FLOOD, &poison, P2, 21_000), PASSED, "where the switch is no gateway, it is a host's claim");
}

#[test]
fn what_is_sent_to_the_gateway_goes_no_further() {
    let mut bench = Bench::new();
    let to_gateway = reply_frame(mac(1), ip(1), GATEWAY.1, GATEWAY.0);
    assert_eq!(bench.fate(&ROUTER, &to_gateway, P1, 0), READ);
    assert_eq!(bench.table.get(ip(1).into(), Millis(0)).unwrap().mac, Some(mac(1)));
    let mut other = Frame::empty();
    packet::unicast_request(&mut other, mac(1), ip(1), GATEWAY.1, ip(2));
    assert_eq!(bench.fate(&ROUTER, &other, P1, 1), READ);
    packet::unicast_request(&mut other, mac(1), ip(1), GATEWAY.1, GATEWAY.0);
    assert_eq!(bench.fate(&ROUTER, &other, P1, 2), AS_GATEWAY, "a unicast poll");
    assert_eq!(bench.fate(&ROUTER, &reply_frame(mac(1), ip(1), mac(2), ip(2)), P1, 3), PASSED);
    let mut broadcast = reply_frame(mac(1), ip(1), mac(2), GATEWAY.0);
    broadcast.octets_mut()[..6].copy_from_slice(&[0xff; 6]);
    assert_eq!(bench.fate(&ROUTER, &broadcast, P1, 4), PASSED);
}

#[test]
fn a_reply_releases_the_frames_that_waited() {
    let mut bench = Bench::new();
    let frame = |number| Held {
        octets: Bytes::copy_from_slice(&[number; 60]),
        offload: OffloadHeader::NONE,
        from: P2,
        network: NetworkId(0),
    };
    let hop = IpAddr::from(ip(1));
    assert_eq!(bench.table.resolve(hop, Millis(0), || frame(1)), Resolved::Asked);
    assert_eq!(bench.table.resolve(hop, Millis(1), || frame(2)), Resolved::Waiting { held: 2 });
    let response = bench.hear(&ROUTER, &reply_frame(mac(1), ip(1), GATEWAY.1, GATEWAY.0), P1, 2);
    assert_eq!(response.released, [frame(1), frame(2)]);
    assert_eq!(bench.table.resolve(hop, Millis(3), || frame(3)), Resolved::Known { mac: mac(1) });
}

#[test]
fn nobody_takes_the_gateways_mac_address() {
    let mut bench = Bench::new();
    for (what, frame) in [
        ("its own announcement come back", request(GATEWAY.1, GATEWAY.0, GATEWAY.0)),
        ("a host said to be at the gateway", reply_frame(GATEWAY.1, ip(2), mac(1), ip(1))),
        ("the gateway asking for itself", request(GATEWAY.1, ip(2), GATEWAY.0)),
    ] {
        let response = bench.hear(&ROUTER, &frame, P1, 0);
        assert_eq!((response.step.noted, response.replied), (NeighborChange::Nothing, false), "{what}");
    }
    assert!(bench.table.is_empty());
    assert_eq!(bench.table.conflict_count(), 0);
}

#[test]
fn only_hosts_of_the_subnet_are_noted() {
    let mut bench = Bench::new();
    let at = |address: [u8; 4]| Ipv4Addr::from(address);
    for (subnet, sender, noted) in [
        (SUBNET, at([10, 0, 0, 1]), true),
        (SUBNET, at([10, 0, 1, 1]), false),
        (SUBNET, at([10, 0, 0, 0]), false),
        (SUBNET, at([10, 0, 0, 255]), false),
        (Some((at([10, 0, 0, 77]), 24)), at([10, 0, 0, 3]), true),
        (Some((at([10, 0, 0, 4]), 31)), at([10, 0, 0, 4]), true),
        (Some((at([10, 0, 0, 4]), 31)), at([10, 0, 0, 5]), true),
        (Some((at([10, 0, 0, 4]), 31)), at([10, 0, 0, 6]), false),
        (Some((at([10, 0, 0, 9]), 32)), at([10, 0, 0, 9]), true),
        (Some((at([10, 0, 0, 9]), 32)), at([10, 0, 0, 8]), false),
        (Some((at([0, 0, 0, 0]), 0)), at([172, 16, 0, 1]), true),
        (None, at([172, 16, 0, 2]), true),
        (None, at([0, 0, 0, 0]), false),
        (None, at([169, 254, 1, 1]), true),
    ] {
        let rules = ResponderRules { subnet, ..FLOOD };
        let change = bench.noted(&rules, &reply_frame(mac(1), sender, mac(2), ip(2)), P1, 0);
        let expected = if noted { NeighborChange::New } else { NeighborChange::Nothing };
        assert_eq!(change, expected, "{sender} in {subnet:?}");
    }
}

#[test]
fn suppression_answers_for_whom_it_surely_knows() {
    let mut bench = Bench::new();
    let answered = (ArpOutcome::AnsweredFor { mac: mac(2) }, true, true);
    let who_has_2 = request(mac(1), ip(1), ip(2));
    assert_eq!(bench.fate(&SUPPRESS, &who_has_2, P1, 0), PASSED, "not known yet");
    bench.fate(&SUPPRESS, &reply_frame(mac(2), ip(2), mac(1), ip(1)), P2, 10);
    assert_eq!(bench.fate(&FLOOD, &who_has_2, P1, 20), PASSED);
    assert_eq!(bench.fate(&SUPPRESS, &who_has_2, P1, 20), answered);
    assert_eq!(bench.reply.octets(), reply_frame(mac(2), ip(2), mac(1), ip(1)).octets());
    assert_eq!(bench.fate(&SUPPRESS, &probe(mac(1), ip(2)), P1, 30_009), answered, "the address is in use");
    assert_eq!(bench.fate(&SUPPRESS, &who_has_2, P1, 30_010), PASSED, "stale: the host itself must answer");

    bench.table.set_control(ip(2).into(), mac(2), Some(P2), Millis(0)).unwrap();
    assert_eq!(bench.fate(&SUPPRESS, &who_has_2, P1, 900_000), answered);
    for (what, frame) in [
        ("a unicast poll", {
            let mut poll = Frame::empty();
            packet::unicast_request(&mut poll, mac(1), ip(1), mac(2), ip(2));
            poll
        }),
        ("a probe of the asker's own address", probe(mac(2), ip(2))),
        ("an announcement", request(mac(2), ip(2), ip(2))),
        ("a reply", reply_frame(mac(1), ip(1), mac(2), ip(2))),
        ("a request for nobody known", request(mac(1), ip(1), ip(3))),
    ] {
        assert_eq!(bench.fate(&SUPPRESS, &frame, P1, 900_001), PASSED, "{what}");
    }
}

#[test]
fn a_claim_against_the_control_plane_is_recorded_and_passes_on() {
    let mut bench = Bench::new();
    bench.table.set_control(ip(2).into(), mac(2), Some(P2), Millis(0)).unwrap();
    let response = bench.hear(&FLOOD, &request(mac(6), ip(2), ip(2)), P1, 1);
    assert_eq!(response.step.noted, NeighborChange::Conflict { held_by: mac(2) });
    assert_eq!((response.step.outcome, response.replied, response.consumed), PASSED);
    assert_eq!(bench.table.conflict_count(), 1);
}

#[test]
fn a_frame_that_is_no_arp_changes_nothing() {
    let mut bench = Bench::new();
    let mut tagged = request(mac(1), ip(1), GATEWAY.0);
    tagged.insert_tag(0x8100, 10);
    let mut short = request(mac(1), ip(1), GATEWAY.0);
    short.truncate(41);
    for frame in [tagged, short, Frame::empty(), Frame::from_octets(&[0; 60])] {
        let response = respond(&mut bench.table, frame.octets(), &ROUTER, P1, Millis(0), &mut bench.reply);
        assert!(response.is_none());
    }
    assert!(bench.table.is_empty() && bench.reply.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Random octets, whole or over the fields of a well-formed message, never panic; what is answered is a message
    /// by the gateway or by a known neighbor, and never goes to a group but as the gateway's announcement.
    #[test]
    fn any_octets_are_survived(
        random in prop::collection::vec(any::<u8>(), 0..80),
        edits in prop::collection::vec((0..60usize, any::<u8>()), 0..6),
        last in 0..255u8,
        suppress in any::<bool>(),
        length in prop_oneof![Just(60usize), 0..60usize],
    ) {
        let mut bench = Bench::new();
        bench.table.set_control(ip(2).into(), mac(2), None, Millis(0)).unwrap();
        let rules = ResponderRules { suppress, ..ROUTER };
        let mut edited = request(mac(1), ip(1), ip(last)).octets().to_vec();
        for (at, value) in edits {
            edited[at] = value;
        }
        edited.truncate(length);
        for octets in [random, edited] {
            bench.reply.truncate(0);
            let answer = respond(&mut bench.table, &octets, &rules, P1, Millis(0), &mut bench.reply);
            bench.table.check();
            let Some(response) = answer else { continue };
            prop_assert_eq!(response.replied, !bench.reply.is_empty());
            prop_assert!(response.consumed || !response.replied);
            if response.replied {
                let sent = packet::read(bench.reply.octets()).unwrap();
                prop_assert!([(GATEWAY.0, GATEWAY.1), (ip(2), mac(2))].contains(&(sent.sender_ip, sent.sender_mac)));
                let to = EthernetHeader::read(bench.reply.octets()).unwrap().destination;
                prop_assert_eq!(to.is_group(), sent.kind == ArpKind::Announcement);
            }
        }
    }
}
