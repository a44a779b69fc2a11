//! What does each kind of decision look like when it is told?

mod common;

use std::net::{IpAddr, Ipv4Addr};

use common::{DMZ, GATEWAY, H1, H2, H3, H4, LAN, Lab, arp, arp_payload, arp_step, echo, ethernet, ip, mac, raw};
use frame::offload::GsoKind;
use frame::step::{ArpKind, ArpOutcome, Injected, LearnRefusal, Learned, Lookup, NeighborChange, Resolved, RouteStep};
use frame::{DropReason, MacAddr, Millis, OffloadHeader, Step, Verdict};
use lanyard_trace::{RawRecord, Record, Style, Widths, one_line, tree};

const NEW: Step = Step::Learned(Learned::New);
const FRESH: Step = Step::Learned(Learned::Refreshed);
const TO_H2: Step = Step::LookedUp(Lookup::Known { port: H2 });
const UNICAST_H2: Verdict = Verdict::Unicast { to: H2 };
const FLOOD: Verdict = Verdict::Flood { network: LAN };
const GROUP: Step = Step::LookedUp(Lookup::Group);

/// What the one line says behind its number and time, with the columns' padding taken out.
fn told(raw: &RawRecord) -> String {
    let narrow = Widths { number: 0, network: 0, path: 0, summary: 0 };
    let line = one_line(&Record::resolve(raw, 0, &Lab), &narrow, Style::Plain);
    line.strip_prefix("#7 12:00:01.004 lan  ").unwrap_or(&line).to_owned()
}

fn sent(steps: &[Step], ports: &[frame::PortId]) -> Vec<Step> {
    let mut steps = [&[Step::Admitted], steps].concat();
    steps.extend(ports.iter().map(|port| Step::Sent { port: *port }));
    steps
}

fn request(noted: NeighborChange, outcome: ArpOutcome) -> Step {
    arp_step(ArpKind::Request, 1, 2, noted, outcome)
}

fn ping() -> Vec<u8> {
    echo(false, 1, 2, mac(2))
}

fn cold_request() -> RawRecord {
    let read = request(NeighborChange::New, ArpOutcome::PassedOn);
    raw(Some(H1), &arp(1, 1, 2), sent(&[NEW, read, GROUP, Step::Flooded { ports: 2 }], &[H2, H3]), FLOOD)
}

fn routed(next: &[Step], ports: &[frame::PortId], verdict: Verdict) -> RawRecord {
    let forwarded = Step::Routed(RouteStep::Forwarded { network: DMZ, next_hop: IpAddr::V4(ip(4)), ttl: 63 });
    let steps = [&[FRESH, Step::LookedUp(Lookup::Gateway), forwarded], next].concat();
    raw(Some(H1), &echo(false, 1, 4, GATEWAY), sent(&steps, ports), verdict)
}

#[test]
fn the_line_stands_in_columns() {
    let record = Record::resolve(&cold_request(), 0, &Lab);
    let expected = "#7   12:00:01.004 lan   h1 -> *     ARP who-has 10.0.0.2 tell 10.0.0.1                     \
                    LEARN new h1 | FLOOD broadcast -> h2 h3";
    assert_eq!(record.to_string(), expected);
    let mut other = record.clone();
    other.number = 1_000_007;
    other.network = "a-longer-network".to_owned();
    other.summary = "x".repeat(300);
    let mut widths = Widths::default();
    widths.fit(&other);
    assert_eq!(widths, Widths { number: 8, network: 16, path: 10, summary: 72 });
    let column = one_line(&record, &widths, Style::Plain).find("LEARN").unwrap();
    other.summary.truncate(72);
    assert_eq!(one_line(&other, &widths, Style::Plain).find("LEARN"), Some(column));
}

#[test]
fn learning_and_arp() {
    let learn = |learned| raw(Some(H1), &ping(), sent(&[Step::Learned(learned), TO_H2], &[H2]), UNICAST_H2);
    let refuse = |why| learn(Learned::Refused(why));
    let said = "h1 -> h2  ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1";
    let read =
        |noted, outcome, verdict| raw(Some(H1), &arp(1, 1, 2), sent(&[FRESH, request(noted, outcome)], &[]), verdict);
    let asked = "h1 -> *  ARP who-has 10.0.0.2 tell 10.0.0.1";
    let passed = |noted| read(noted, ArpOutcome::PassedOn, FLOOD);
    let from = MacAddr([2, 0, 0, 0, 0, 9]);
    for (raw, expected) in [
        (cold_request(), format!("{asked}  LEARN new h1 | FLOOD broadcast -> h2 h3")),
        (learn(Learned::New), format!("{said}  LEARN new h1 | UNICAST -> h2")),
        (learn(Learned::Replaced { evicted: mac(3) }), format!("{said}  LEARN new h1 (evicts h3) | UNICAST -> h2")),
        (learn(Learned::Replaced { evicted: from }), format!("{said}  LEARN new h1 (evicts {from}) | UNICAST -> h2")),
        (learn(Learned::Refreshed), format!("{said}  LEARN fresh h1 | UNICAST -> h2")),
        (learn(Learned::Moved { from: H3 }), format!("{said}  LEARN moved h3 -> h1 | UNICAST -> h2")),
        (refuse(LearnRefusal::Static { port: H3 }), format!("{said}  LEARN refused: static on h3 | UNICAST -> h2")),
        (refuse(LearnRefusal::Gateway), format!("{said}  LEARN refused: the gateway's address | UNICAST -> h2")),
        (refuse(LearnRefusal::PortLimit), format!("{said}  LEARN refused: h1 holds as many as it may | UNICAST -> h2")),
        (refuse(LearnRefusal::TableFull), format!("{said}  LEARN refused: the MAC table is full | UNICAST -> h2")),
        (refuse(LearnRefusal::Busy), format!("{said}  LEARN put off: the table was busy | UNICAST -> h2")),
        (passed(NeighborChange::Confirmed), format!("{asked}  LEARN fresh h1 | FLOOD broadcast -> every other port")),
        (
            passed(NeighborChange::Changed { from }),
            format!("{asked}  LEARN fresh h1 | NOTE 10.0.0.1 was at {from} | FLOOD broadcast -> every other port"),
        ),
        (
            passed(NeighborChange::Conflict { held_by: mac(3) }),
            format!(
                "{asked}  LEARN fresh h1 | CONFLICT 10.0.0.1 is held by 02:42:0a:00:00:03 (h3) | \
                 FLOOD broadcast -> every other port"
            ),
        ),
        (
            passed(NeighborChange::Full),
            format!(
                "{asked}  LEARN fresh h1 | NOTE refused: the neighbor table is full | FLOOD broadcast -> every other port"
            ),
        ),
        (
            read(NeighborChange::Confirmed, ArpOutcome::AnsweredFor { mac: mac(2) }, Verdict::Answered),
            format!("{asked}  LEARN fresh h1 | ANSWER for 02:42:0a:00:00:02 (h2)"),
        ),
        (
            read(NeighborChange::Confirmed, ArpOutcome::AnsweredAsGateway, Verdict::Answered),
            format!("{asked}  LEARN fresh h1 | ANSWER as gateway"),
        ),
        (
            read(NeighborChange::Confirmed, ArpOutcome::ReadByGateway, Verdict::Consumed),
            format!("{asked}  LEARN fresh h1 | READ by the gateway"),
        ),
    ] {
        assert_eq!(told(&raw), expected);
    }
}

#[test]
fn arp_reply_probe_and_announcement() {
    let reply = arp_step(ArpKind::Reply, 2, 1, NeighborChange::New, ArpOutcome::PassedOn);
    let to_h1 = Step::LookedUp(Lookup::Known { port: H1 });
    let reply = raw(Some(H2), &arp(2, 2, 1), sent(&[NEW, reply, to_h1], &[H1]), Verdict::Unicast { to: H1 });
    assert_eq!(told(&reply), "h2 -> h1  ARP reply 10.0.0.2 is-at 02:42:0a:00:00:02  LEARN new h2 | UNICAST -> h1");
    for (sender, text) in [
        (Ipv4Addr::UNSPECIFIED, "ARP probe who-has 10.0.0.2"),
        (ip(2), "ARP announcement 10.0.0.2 is-at 02:42:0a:00:00:02"),
    ] {
        let octets = ethernet(MacAddr::BROADCAST, mac(2), 0x0806, &arp_payload(1, mac(2), sender, ip(2)));
        let steps = sent(&[FRESH, GROUP, Step::Flooded { ports: 2 }], &[H1, H3]);
        let expected = format!("h2 -> *  {text}  LEARN fresh h2 | FLOOD broadcast -> h1 h3");
        assert_eq!(told(&raw(Some(H2), &octets, steps, FLOOD)), expected);
    }
}

#[test]
fn a_hub_repeats() {
    let said = "ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1";
    let repeated = Step::Repeated { ports: 2 };
    for (raw, expected) in [
        (raw(Some(H1), &ping(), sent(&[repeated], &[H2, H3]), FLOOD), format!("h1 -> h2  {said}  REPEAT -> h2 h3")),
        (raw(Some(H1), &ping(), sent(&[repeated], &[]), FLOOD), format!("h1 -> h2  {said}  REPEAT -> 2 ports")),
        (
            raw(Some(H1), &ping(), sent(&[repeated, Step::Routed(RouteStep::EchoAnswered)], &[]), Verdict::Answered),
            format!("h1 -> h2  {said}  REPEAT -> every other port | ANSWER ping of the gateway"),
        ),
    ] {
        assert_eq!(told(&raw), expected);
    }
    let record = Record::resolve(&raw(Some(H1), &ping(), sent(&[repeated], &[H2, H3]), FLOOD), 0, &Lab);
    let tree = tree(&record, Style::Plain);
    assert!(tree.contains("hub      repeats to every other port: 2 ports  (a hub learns nothing"), "{tree}");
    assert!(tree.ends_with("= repeated to every other port of lan"), "{tree}");
}

#[test]
fn what_a_bad_line_does() {
    let said = "h1 -> h2  ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1  FAULT the line of";
    let on = |port, what| Step::Faulted { port, what };
    let dropped = Verdict::Drop(DropReason::FaultInjected);
    let purpose = "the port's line is bad on purpose: 'lanyard fault ls' says how";
    let passed = |what| raw(Some(H1), &ping(), sent(&[on(H1, what), FRESH, TO_H2], &[H2]), UNICAST_H2);
    let lost = |what| raw(Some(H1), &ping(), vec![on(H1, what)], dropped);
    let not_sent = Step::NotSent { port: H2, reason: DropReason::FaultInjected };
    for (raw, expected) in [
        (lost(Injected::Dropped), format!("h1 lost it | DROP fault-injected: {purpose}")),
        (
            lost(Injected::Overflowed),
            format!("h1 lost it: as many frames are under way on it as may be | DROP fault-injected: {purpose}"),
        ),
        (
            passed(Injected::Delayed { by: Millis(52) }),
            "h1 delayed it by 52 ms | LEARN fresh h1 | UNICAST -> h2".to_owned(),
        ),
        (passed(Injected::Duplicated), "h1 delivered it twice | LEARN fresh h1 | UNICAST -> h2".to_owned()),
        (
            passed(Injected::Copy),
            "h1 delivered it twice: this is the second one | LEARN fresh h1 | UNICAST -> h2".to_owned(),
        ),
        (
            passed(Injected::Reordered),
            "h1 delivered it after the one behind it | LEARN fresh h1 | UNICAST -> h2".to_owned(),
        ),
        (
            passed(Injected::Corrupted { octet: 3 }),
            "h1 turned over a bit of octet 3 | LEARN fresh h1 | UNICAST -> h2".to_owned(),
        ),
    ] {
        assert_eq!(told(&raw), format!("{said} {expected}"));
    }
    let steps = sent(&[FRESH, TO_H2, on(H2, Injected::Dropped), not_sent], &[]);
    let at_the_end = told(&raw(Some(H1), &ping(), steps, UNICAST_H2));
    assert!(at_the_end.ends_with(&format!("| NOT SENT to h2: {purpose}")), "{at_the_end}");
}

#[test]
fn where_frames_go() {
    let stranger = MacAddr([2, 0, 0, 0, 0, 0x63]);
    let unknown = [FRESH, Step::LookedUp(Lookup::Unknown), Step::Flooded { ports: 2 }];
    let full = Step::NotSent { port: H3, reason: DropReason::EgressFull };
    let many: Vec<frame::PortId> = (10..110).map(frame::PortId).collect();
    let listeners = MacAddr([1, 0, 0x5e, 0, 0, 0xfb]);
    let said = "ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1";
    for (raw, expected) in [
        (
            raw(Some(H1), &echo(false, 1, 2, stranger), sent(&unknown, &[H2, H3]), FLOOD),
            format!("h1 -> {stranger}  {said}  LEARN fresh h1 | FLOOD unknown -> h2 h3"),
        ),
        (
            raw(Some(H1), &echo(false, 1, 2, listeners), sent(&[FRESH, GROUP, Step::Flooded { ports: 0 }], &[]), FLOOD),
            format!("h1 -> *  {said}  LEARN fresh h1 | FLOOD multicast -> 0 ports"),
        ),
        (
            raw(Some(H1), &echo(false, 1, 2, stranger), [sent(&unknown, &[H2]), vec![full]].concat(), FLOOD),
            format!(
                "h1 -> {stranger}  {said}  LEARN fresh h1 | FLOOD unknown -> h2 | \
                 NOT SENT to h3: the queue of the port it should leave by is full"
            ),
        ),
        (
            raw(Some(H1), &ping(), [sent(&[FRESH, TO_H2], &[]), vec![full]].concat(), FLOOD),
            format!(
                "h1 -> h2  {said}  LEARN fresh h1 | FLOOD unknown -> nobody | \
                 NOT SENT to h3: the queue of the port it should leave by is full"
            ),
        ),
        (
            raw(Some(H1), &echo(false, 1, 2, stranger), sent(&unknown, &many), FLOOD),
            format!(
                "h1 -> {stranger}  {said}  LEARN fresh h1 | \
                 FLOOD unknown -> h10 h11 h12 h13 h14 h15 h16 h17 and 92 more"
            ),
        ),
        (
            raw(None, &arp(1, 2, 3), sent(&[Step::Flooded { ports: 2 }], &[H2, H3]), FLOOD),
            "switch -> *  ARP who-has 10.0.0.3 tell 10.0.0.2  FLOOD broadcast -> h2 h3".to_owned(),
        ),
    ] {
        assert_eq!(told(&raw), expected);
    }
}

#[test]
fn guarded_and_kept_apart() {
    let said = "ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1";
    let (reason, sentence) = (DropReason::Isolated.name(), DropReason::Isolated.sentence());
    let apart = sent(&[Step::Guarded, FRESH, TO_H2, Step::Isolated], &[]);
    let drop = raw(Some(H1), &ping(), apart, Verdict::Drop(DropReason::Isolated));
    assert_eq!(told(&drop), format!("h1 -> h2  {said}  LEARN fresh h1 | DROP {reason}: {sentence}"));
    let stranger = MacAddr([2, 0, 0, 0, 0, 0x63]);
    let steps = sent(&[Step::Guarded, FRESH, Step::LookedUp(Lookup::Unknown), Step::Isolated], &[H3]);
    let to_gateway = raw(Some(H1), &echo(false, 1, 2, stranger), steps, Verdict::Unicast { to: H3 });
    assert_eq!(told(&to_gateway), format!("h1 -> {stranger}  {said}  LEARN fresh h1 | UNICAST -> h3"));
}

#[test]
fn through_the_gateway() {
    let known = Step::Resolved(Resolved::Known { mac: mac(4) });
    let said = "h1 -> gateway  ICMP echo request 10.0.0.1 > 10.1.0.4 id 7 seq 1";
    let way = format!("{said}  LEARN fresh h1 | ROUTE to dmz via 10.1.0.4 ttl 63");
    let to_h4 = Verdict::Unicast { to: H4 };
    let at_gateway = [FRESH, Step::LookedUp(Lookup::Gateway)];
    let refused = |reason, told_source| {
        let refused = Step::Routed(RouteStep::Refused { reason, told_source });
        raw(
            Some(H1),
            &echo(false, 1, 4, GATEWAY),
            sent(&[&at_gateway[..], &[refused]].concat(), &[]),
            Verdict::Drop(reason),
        )
    };
    let ping = [&at_gateway[..], &[Step::Routed(RouteStep::EchoAnswered)]].concat();
    let sentence = DropReason::TtlExpired.sentence();
    for (raw, expected) in [
        (routed(&[known], &[H4], to_h4), format!("{way} | UNICAST -> h4")),
        (
            routed(&[Step::Resolved(Resolved::Asked)], &[], Verdict::Held),
            format!("{way} | HOLD next hop asked for its MAC address"),
        ),
        (
            routed(&[Step::Resolved(Resolved::Waiting { held: 3 })], &[], Verdict::Held),
            format!("{way} | HOLD 3 frames wait for the next hop"),
        ),
        (
            routed(&[Step::Resolved(Resolved::Full)], &[], Verdict::Drop(DropReason::HeldQueueFull)),
            format!("{way} | DROP held-queue-full: {}", DropReason::HeldQueueFull.sentence()),
        ),
        (
            raw(Some(H1), &echo(false, 1, 4, GATEWAY), sent(&[known], &[H4]), to_h4),
            format!("{said}  RELEASE next hop is 02:42:0a:01:00:04 | UNICAST -> h4"),
        ),
        (
            raw(Some(H1), &echo(false, 1, 254, GATEWAY), sent(&ping, &[]), Verdict::Answered),
            "h1 -> gateway  ICMP echo request 10.0.0.1 > 10.0.0.254 id 7 seq 1  \
             LEARN fresh h1 | ANSWER ping of the gateway"
                .to_owned(),
        ),
        (
            refused(DropReason::TtlExpired, true),
            format!("{said}  LEARN fresh h1 | TELL source by ICMP | DROP ttl-expired: {sentence}"),
        ),
        (refused(DropReason::TtlExpired, false), format!("{said}  LEARN fresh h1 | DROP ttl-expired: {sentence}")),
        (
            raw(Some(H1), &echo(false, 1, 254, GATEWAY), vec![], Verdict::Consumed),
            "h1 -> gateway  ICMP echo request 10.0.0.1 > 10.0.0.254 id 7 seq 1  READ by the switch".to_owned(),
        ),
    ] {
        assert_eq!(told(&raw), expected);
    }
}

#[test]
fn super_frames_and_tags() {
    let mut packet = Vec::new();
    etherparse::PacketBuilder::ipv4(ip(1).octets(), ip(2).octets(), 64)
        .tcp(4242, 80, 1, 100)
        .ack(2)
        .write(&mut packet, &vec![7; 28_960])
        .unwrap();
    let mut large = raw(Some(H1), &ethernet(mac(2), mac(1), 0x0800, &packet), sent(&[FRESH, TO_H2], &[H2]), UNICAST_H2);
    large.offload = OffloadHeader { gso: GsoKind::Tcp4, segment_octets: 1448, ..OffloadHeader::NONE };
    assert_eq!(
        told(&large),
        "h1 -> h2  TCP 10.0.0.1:4242 > 10.0.0.2:80 ACK len 28960 \
         [super-frame of 29014 octets, segments of 1448]  LEARN fresh h1 | UNICAST -> h2"
    );
    let mut tagged = ping();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x0a]);
    assert_eq!(
        told(&raw(Some(H1), &tagged, sent(&[FRESH, TO_H2], &[H2]), UNICAST_H2)),
        "h1 -> h2  vlan 10: ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1  LEARN fresh h1 | UNICAST -> h2"
    );
}

#[test]
fn every_drop_says_its_sentence_in_both_forms() {
    for reason in DropReason::ALL {
        let raw = raw(Some(H1), &ping(), vec![], Verdict::Drop(*reason));
        let expected = format!("DROP {}: {}", reason.name(), reason.sentence());
        assert!(told(&raw).ends_with(&expected), "{}", told(&raw));
        let told = tree(&Record::resolve(&raw, 0, &Lab), Style::Plain);
        assert!(told.ends_with(&format!("\n  = dropped: {}", reason.sentence())), "{told}");
    }
    let runt = raw(Some(H1), &[1, 2, 3], vec![], Verdict::Drop(DropReason::Runt));
    let same = sent(&[FRESH, Step::LookedUp(Lookup::SamePort)], &[]);
    let same = raw(Some(H2), &ping(), same, Verdict::Drop(DropReason::SamePort));
    assert_eq!(
        told(&runt),
        "h1 -> ?  3 octets, too short for an Ethernet header  DROP runt: shorter than a 14-octet Ethernet header"
    );
    assert_eq!(
        told(&same),
        "h2 -> h2  ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1  \
         LEARN fresh h2 | DROP same-port: its destination is on the port it came from"
    );
}

#[test]
fn colours_change_no_word() {
    let record = Record::resolve(&cold_request(), 0, &Lab);
    for (plain, ansi) in [
        (one_line(&record, &Widths::default(), Style::Plain), one_line(&record, &Widths::default(), Style::Ansi)),
        (tree(&record, Style::Plain), tree(&record, Style::Ansi)),
    ] {
        let mut stripped = String::new();
        let mut pieces = ansi.split("\x1b[");
        stripped.push_str(pieces.next().unwrap());
        for piece in pieces {
            stripped.push_str(piece.split_once('m').unwrap().1);
        }
        assert_ne!(plain, ansi);
        assert_eq!(plain, stripped);
    }
}
