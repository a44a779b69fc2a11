//! What does the form with one line for each step look like?

mod common;

use std::net::IpAddr;

use common::{DMZ, GATEWAY, H1, H2, H3, H4, LAN, Lab, arp, arp_step, echo, ip, mac, raw};
use frame::step::{ArpKind, ArpOutcome, LearnRefusal, Learned, Lookup, NeighborChange, Resolved, RouteStep};
use frame::{DropReason, Step, Verdict};
use lanyard_trace::{RawRecord, Record, Style, tree};

fn told(raw: &RawRecord) -> String {
    tree(&Record::resolve(raw, 0, &Lab), Style::Plain)
}

#[test]
fn a_cold_request() {
    let steps = vec![
        Step::Admitted,
        Step::Learned(Learned::New),
        arp_step(ArpKind::Request, 1, 2, NeighborChange::New, ArpOutcome::PassedOn),
        Step::LookedUp(Lookup::Group),
        Step::Flooded { ports: 2 },
        Step::Sent { port: H2 },
        Step::NotSent { port: H3, reason: DropReason::EgressFull },
    ];
    let expected = "\
#7 12:00:01.004 lan in=h1 60 octets  02:42:0a:00:00:01 -> ff:ff:ff:ff:ff:ff  ARP who-has 10.0.0.2 tell 10.0.0.1
  1 admit    a frame of legal length, from an address a station can have
  2 learn    new: 02:42:0a:00:00:01 is on h1  (a switch learns where a station is from the source address of its frames)
  3 arp      10.0.0.1 asks who has 10.0.0.2; noted: 10.0.0.1 is at 02:42:0a:00:00:01  (it goes on like any frame)
  4 lookup   ff:ff:ff:ff:ff:ff is everybody's address: flooding  (a broadcast is for every station)
  5 flood    to every other port of the network: 2 ports  (once each, and never back to where it came from)
  6 send     h2 took it
  7 send     h3 did not take it: the queue of the port it should leave by is full
  = flooded to every other port of lan";
    assert_eq!(told(&raw(Some(H1), &arp(1, 1, 2), steps, Verdict::Flood { network: LAN })), expected);
}

#[test]
fn a_reply_that_only_the_asker_sees() {
    let steps = vec![
        Step::Admitted,
        Step::Learned(Learned::Refreshed),
        arp_step(ArpKind::Reply, 2, 1, NeighborChange::Confirmed, ArpOutcome::PassedOn),
        Step::LookedUp(Lookup::Known { port: H1 }),
        Step::Sent { port: H1 },
    ];
    let expected = "\
#7 12:00:01.004 lan in=h2 60 octets  02:42:0a:00:00:02 -> 02:42:0a:00:00:01  ARP reply 10.0.0.2 is-at 02:42:0a:00:00:02
  1 admit    a frame of legal length, from an address a station can have
  2 learn    known: 02:42:0a:00:00:02 is still on h2  (its entry in the MAC table is fresh again)
  3 arp      10.0.0.2 says that it is at 02:42:0a:00:00:02; as noted before: 10.0.0.2 is at 02:42:0a:00:00:02  (it goes on like any frame)
  4 lookup   02:42:0a:00:00:01 (h1): the MAC table says h1  (nobody else gets the frame: that is why a switch is not a hub)
  5 send     h1 took it
  = forwarded to h1 only";
    assert_eq!(told(&raw(Some(H2), &arp(2, 2, 1), steps, Verdict::Unicast { to: H1 })), expected);
}

#[test]
fn a_frame_for_another_container_where_they_are_kept_apart() {
    let known = Step::LookedUp(Lookup::Known { port: H2 });
    let steps = vec![Step::Admitted, Step::Guarded, Step::Learned(Learned::Refreshed), known, Step::Isolated];
    let expected = "\
#7 12:00:01.004 lan in=h1 98 octets  02:42:0a:00:00:01 -> 02:42:0a:00:00:02  ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1
  1 admit    a frame of legal length, from an address a station can have
  2 guard    it claims no address that is another's  (the switch knows whose each address is, and lets nobody else use it)
  3 learn    known: 02:42:0a:00:00:01 is still on h1  (its entry in the MAC table is fresh again)
  4 lookup   02:42:0a:00:00:02 (h2): the MAC table says h2  (nobody else gets the frame: that is why a switch is not a hub)
  5 isolate  this network keeps its containers apart (icc=false)  (they may speak to the gateway, and not to one another)
  = dropped: it is for another container, and this network keeps its containers apart (icc=false)";
    let drop = raw(Some(H1), &echo(false, 1, 2, mac(2)), steps, Verdict::Drop(DropReason::Isolated));
    assert_eq!(told(&drop), expected);
}

#[test]
fn a_routed_ping_and_one_whose_time_ran_out() {
    let mut steps = vec![
        Step::Admitted,
        Step::Learned(Learned::Moved { from: H3 }),
        Step::LookedUp(Lookup::Gateway),
        Step::Routed(RouteStep::Forwarded { network: DMZ, next_hop: IpAddr::V4(ip(4)), ttl: 63 }),
        Step::Resolved(Resolved::Known { mac: mac(4) }),
        Step::Sent { port: H4 },
    ];
    let ping = echo(false, 1, 4, GATEWAY);
    let head = "\
#7 12:00:01.004 lan in=h1 98 octets  02:42:0a:00:00:01 -> 02:42:0a:00:00:fe  ICMP echo request 10.0.0.1 > 10.1.0.4 id 7 seq 1
  1 admit    a frame of legal length, from an address a station can have
  2 learn    moved: 02:42:0a:00:00:01 was on h3 and is now on h1  (the latest frame is believed, and the move counted)
  3 lookup   02:42:0a:00:00:fe (gateway) is the gateway's address  (the frame is to leave its network)";
    let expected = format!(
        "{head}
  4 route    to network dmz, next hop 10.1.0.4, time to live now 63  (a router takes one off the time to live, so that nothing travels for ever)
  5 resolve  the next hop's MAC address is 02:42:0a:01:00:04 (h4)  (frames travel by MAC address, on every network anew)
  6 send     h4 took it
  = forwarded to h4 only"
    );
    assert_eq!(told(&raw(Some(H1), &ping, steps.clone(), Verdict::Unicast { to: H4 })), expected);
    steps.truncate(3);
    steps.push(Step::Routed(RouteStep::Refused { reason: DropReason::TtlExpired, told_source: true }));
    let expected = format!(
        "{head}
  4 route    not routed: its time to live ran out at the gateway  (an ICMP error tells the source so)
  = dropped: its time to live ran out at the gateway"
    );
    assert_eq!(told(&raw(Some(H1), &ping, steps, Verdict::Drop(DropReason::TtlExpired))), expected);
}

/// The sentences that the journeys above do not reach: each says what it must, and no two steps say the same.
#[test]
fn every_other_sentence() {
    let refused = |why| Step::Learned(Learned::Refused(why));
    let read = |kind, noted, outcome| arp_step(kind, 1, 2, noted, outcome);
    let passed = ArpOutcome::PassedOn;
    let cases = [
        (refused(LearnRefusal::Static { port: H2 }), "not learned: 02:42:0a:00:00:01 stays on h2  (a static entry"),
        (refused(LearnRefusal::Gateway), "not learned: 02:42:0a:00:00:01 is the gateway's address"),
        (refused(LearnRefusal::PortLimit), "not learned: h1 already holds as many addresses as it may"),
        (refused(LearnRefusal::TableFull), "not learned: the MAC table is full"),
        (refused(LearnRefusal::Busy), "not learned this time: another worker"),
        (read(ArpKind::Probe, NeighborChange::Nothing, passed), "asks whether anybody uses 10.0.0.2; nothing to note"),
        (read(ArpKind::Announcement, NeighborChange::Full, passed), "announces that it uses 10.0.0.1; not noted"),
        (
            read(ArpKind::Request, NeighborChange::Changed { from: mac(3) }, passed),
            "noted anew: 10.0.0.1 was at 02:42:0a:00:00:03 (h3) and is now at 02:42:0a:00:00:01",
        ),
        (
            read(ArpKind::Request, NeighborChange::Conflict { held_by: mac(3) }, passed),
            "conflict: 10.0.0.1 is held by 02:42:0a:00:00:03 (h3), and 02:42:0a:00:00:01 claims it too",
        ),
        (
            read(ArpKind::Request, NeighborChange::New, ArpOutcome::AnsweredAsGateway),
            "(the switch is the gateway, and answers)",
        ),
        (
            read(ArpKind::Request, NeighborChange::New, ArpOutcome::AnsweredFor { mac: mac(2) }),
            "(the switch knows 02:42:0a:00:00:02 (h2) and answers for it; nobody else is disturbed)",
        ),
        (
            read(ArpKind::Reply, NeighborChange::New, ArpOutcome::ReadByGateway),
            "(it was for the gateway, which has read it)",
        ),
        (Step::LookedUp(Lookup::Unknown), "nobody knows 02:42:0a:00:00:02 (h2): flooding"),
        (Step::LookedUp(Lookup::Group), "02:42:0a:00:00:02 (h2) is a group's address: flooding"),
        (Step::LookedUp(Lookup::SamePort), "02:42:0a:00:00:02 (h2) is on h1, where the frame came from"),
        (Step::Flooded { ports: 1 }, "to every other port of the network: 1 port  ("),
        (Step::Routed(RouteStep::EchoAnswered), "a ping of the gateway itself: the switch answers it"),
        (
            Step::Routed(RouteStep::Refused { reason: DropReason::NoRoute, told_source: false }),
            "not routed: no route to its IP destination  (no ICMP error: ",
        ),
        (Step::Resolved(Resolved::Asked), "nobody knows the next hop's MAC address: the switch asks by ARP"),
        (
            Step::Resolved(Resolved::Waiting { held: 3 }),
            "the next hop has been asked for its MAC address: 3 frames wait, this one included",
        ),
        (Step::Resolved(Resolved::Full), "as many frames wait for that next hop as may"),
    ];
    let mut lines: Vec<String> = Vec::new();
    for (step, expected) in cases {
        let told = told(&raw(Some(H1), &echo(false, 1, 2, mac(2)), vec![step], Verdict::Held));
        let line = told.lines().nth(1).unwrap().to_owned();
        assert!(line.contains(expected), "{line}\nshould say\n{expected}");
        assert!(!lines.contains(&line), "said twice: {line}");
        lines.push(line);
    }
}

#[test]
fn every_other_verdict() {
    for (verdict, expected) in [
        (Verdict::Fragmented { network: frame::NetworkId(1) }, "cut into fragments for lan, each a frame of its own"),
        (Verdict::Answered, "answered: the switch replied itself"),
        (Verdict::Consumed, "taken in: it was for the switch itself, which has read it"),
        (Verdict::Held, "held: it waits until the next hop's MAC address is known"),
    ] {
        let told = told(&raw(None, &arp(1, 1, 2), vec![], verdict));
        assert!(told.ends_with(&format!("\n  = {expected}")), "{told}");
        assert!(told.starts_with("#7 12:00:01.004 lan made by the switch 60 octets  "), "{told}");
    }
}
