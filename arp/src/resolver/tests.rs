//! Every state of a next hop, by explicit times.

use std::net::Ipv4Addr;

use frame::step::NeighborChange;

use super::*;
use crate::neighbor::{Settings, Source, State};

const HOP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const M1: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const M2: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const P1: PortId = PortId(1);
const KNOWN: Resolved = Resolved::Known { mac: M1 };

fn frame(number: u8) -> Held {
    let octets = Bytes::copy_from_slice(&[number; 60]);
    Held { octets, offload: OffloadHeader::NONE, from: PortId(7), network: NetworkId(1) }
}

fn not_held() -> Held {
    panic!("copied a frame that need not wait or may not")
}

fn hop(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 1, last).into()
}

fn tick(table: &mut NeighborTable, now: u64) -> Vec<Due> {
    let mut due = Vec::new();
    table.tick(Millis(now), &mut due);
    table.check();
    due
}

fn ask(attempt: u8, mac: Option<MacAddr>) -> Vec<Due> {
    vec![Due::AskAgain { ip: HOP, attempt, mac }]
}

fn state(table: &NeighborTable, now: u64) -> Option<State> {
    table.get(HOP, Millis(now)).map(|entry| entry.state)
}

#[test]
fn frames_wait_for_the_answer_and_leave_in_order() {
    let mut table = NeighborTable::default();
    assert_eq!(table.next_deadline(), None);
    assert_eq!(table.resolve(HOP, Millis(100), || frame(1)), Resolved::Asked);
    assert_eq!(table.resolve(HOP, Millis(110), || frame(2)), Resolved::Waiting { held: 2 });
    assert_eq!(table.resolve(HOP, Millis(120), || frame(3)), Resolved::Waiting { held: 3 });
    let entry = table.get(HOP, Millis(150)).unwrap();
    assert_eq!((entry.state, entry.mac, entry.age), (State::Incomplete, None, Millis(50)));
    assert_eq!((table.held(), table.next_deadline()), (3, Some(Millis(1100))));

    let noted = table.note(HOP, M1, P1, Millis(200));
    table.check();
    assert_eq!((noted.change, noted.released), (NeighborChange::New, vec![frame(1), frame(2), frame(3)]));
    assert_eq!(table.resolve(HOP, Millis(210), not_held), KNOWN);
    let entry = table.get(HOP, Millis(210)).unwrap();
    assert_eq!((entry.state, entry.source, entry.port), (State::Reachable, Source::Resolver, Some(P1)));
    assert_eq!(table.held(), 0);
    assert_eq!(tick(&mut table, 5000), [], "the timer went with the answer");
}

#[test]
fn three_requests_a_second_apart_then_unreachable() {
    let mut table = NeighborTable::default();
    assert_eq!(table.resolve(HOP, Millis(0), || frame(1)), Resolved::Asked);
    assert_eq!(tick(&mut table, 999), []);
    assert_eq!(tick(&mut table, 1000), ask(2, None));
    assert_eq!(tick(&mut table, 1001), []);
    assert_eq!(table.resolve(HOP, Millis(1500), || frame(2)), Resolved::Waiting { held: 2 });
    assert_eq!(table.next_deadline(), Some(Millis(2000)));
    assert_eq!(tick(&mut table, 2000), ask(3, None));
    assert_eq!(tick(&mut table, 2999), []);
    assert_eq!(tick(&mut table, 3000), [Due::Unreachable { ip: HOP, held: vec![frame(1), frame(2)] }]);
    assert!(table.is_empty() && table.held() == 0);
    assert_eq!(table.next_deadline(), None);
}

#[test]
fn a_flood_to_a_dead_address_asks_once_a_second() {
    let mut table = NeighborTable::default();
    let mut requests = Vec::new();
    let mut unreachable = 0;
    for now in 0..9000 {
        for due in tick(&mut table, now) {
            match due {
                Due::AskAgain { .. } => requests.push(now),
                Due::Unreachable { held, .. } => unreachable += held.len(),
            }
        }
        if table.resolve(HOP, Millis(now), || frame(1)) == Resolved::Asked {
            requests.push(now);
        }
    }
    assert_eq!(requests, [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000]);
    assert_eq!(unreachable, 2 * 16);
}

#[test]
fn a_late_tick_sends_one_request_and_begins_a_full_second() {
    let mut table = NeighborTable::default();
    table.resolve(HOP, Millis(0), || frame(1));
    assert_eq!(tick(&mut table, 60_000), ask(2, None));
    assert_eq!(table.next_deadline(), Some(Millis(61_000)));
}

#[test]
fn a_stale_neighbor_in_use_is_delayed_probed_and_confirmed() {
    let mut table = NeighborTable::default();
    drop(table.note(HOP, M1, P1, Millis(0)));
    assert_eq!(table.resolve(HOP, Millis(29_999), not_held), KNOWN);
    assert_eq!(state(&table, 29_999), Some(State::Reachable));
    assert_eq!(state(&table, 30_000), Some(State::Stale));
    assert_eq!(table.next_deadline(), Some(Millis(300_000)), "a stale neighbor nobody uses costs nothing");

    assert_eq!(table.resolve(HOP, Millis(40_000), not_held), KNOWN);
    assert_eq!(state(&table, 40_000), Some(State::Delay));
    assert_eq!(table.next_deadline(), Some(Millis(45_000)));
    assert_eq!(table.resolve(HOP, Millis(44_000), not_held), KNOWN);
    assert_eq!(tick(&mut table, 44_999), [], "further use does not put it off or on");
    assert_eq!(tick(&mut table, 45_000), ask(1, Some(M1)));
    assert_eq!(state(&table, 45_000), Some(State::Probe));
    assert_eq!(table.resolve(HOP, Millis(45_500), not_held), KNOWN);
    assert_eq!(tick(&mut table, 46_000), ask(2, Some(M1)));

    assert_eq!(table.note(HOP, M1, P1, Millis(46_100)).change, NeighborChange::Confirmed);
    table.check();
    assert_eq!(state(&table, 46_100), Some(State::Reachable));
    assert_eq!(tick(&mut table, 50_000), []);
}

#[test]
fn a_delayed_neighbor_that_is_heard_is_not_asked() {
    let mut table = NeighborTable::default();
    drop(table.note(HOP, M1, P1, Millis(0)));
    table.resolve(HOP, Millis(30_000), not_held);
    drop(table.note(HOP, M1, P1, Millis(32_000)));
    assert_eq!(state(&table, 32_000), Some(State::Reachable));
    assert_eq!(tick(&mut table, 36_000), []);
}

#[test]
fn a_probed_neighbor_that_is_silent_is_forgotten() {
    let mut table = NeighborTable::default();
    drop(table.note(HOP, M1, P1, Millis(0)));
    table.resolve(HOP, Millis(30_000), not_held);
    let version = table.version();
    for (now, attempt) in [(35_000, 1), (36_000, 2), (37_000, 3)] {
        assert_eq!(tick(&mut table, now), ask(attempt, Some(M1)));
        assert_eq!(table.version(), version);
    }
    assert_eq!(tick(&mut table, 38_000), [Due::Unreachable { ip: HOP, held: vec![] }]);
    assert!(table.version() > version);
    assert_eq!(table.resolve(HOP, Millis(38_000), || frame(1)), Resolved::Asked, "now by broadcast, from the start");
}

#[test]
fn a_probed_neighbor_may_answer_with_a_new_mac_address() {
    let mut table = NeighborTable::default();
    drop(table.note(HOP, M1, P1, Millis(0)));
    table.resolve(HOP, Millis(30_000), not_held);
    tick(&mut table, 35_000);
    assert_eq!(table.note(HOP, M2, P1, Millis(35_100)).change, NeighborChange::Changed { from: M1 });
    let entry = table.get(HOP, Millis(35_100)).unwrap();
    assert_eq!((entry.mac, entry.state, entry.source), (Some(M2), State::Reachable, Source::Resolver));
    assert_eq!(tick(&mut table, 40_000), []);
}

#[test]
fn a_neighbor_being_asked_does_not_age_meanwhile() {
    let settings = Settings { age: Millis::from_secs(32), ..Settings::default() };
    let mut table = NeighborTable::new(settings);
    drop(table.note(HOP, M1, P1, Millis(0)));
    table.resolve(HOP, Millis(31_000), not_held);
    assert_eq!(tick(&mut table, 33_000), []);
    assert_eq!(state(&table, 33_000), Some(State::Delay));
}

#[test]
fn what_the_control_plane_said_is_never_asked() {
    let mut table = NeighborTable::default();
    assert_eq!(table.resolve(HOP, Millis(0), || frame(1)), Resolved::Asked);
    assert_eq!(table.set_control(HOP, M1, None, Millis(10)), Ok(vec![frame(1)]), "it answers for those that wait");
    assert_eq!(table.resolve(HOP, Millis(900_000), not_held), KNOWN);
    assert_eq!(tick(&mut table, 900_001), []);
    assert_eq!(table.next_deadline(), None);
}

#[test]
fn what_waits_is_bounded_by_hop_and_in_all() {
    let settings = Settings { held_per_hop: 2, held_in_all: 3, ..Settings::default() };
    let mut table = NeighborTable::new(settings);
    assert_eq!(table.resolve(hop(1), Millis(0), || frame(1)), Resolved::Asked);
    assert_eq!(table.resolve(hop(1), Millis(0), || frame(2)), Resolved::Waiting { held: 2 });
    assert_eq!(table.resolve(hop(1), Millis(0), not_held), Resolved::Full);
    assert_eq!(table.resolve(hop(2), Millis(0), || frame(3)), Resolved::Asked);
    assert_eq!(table.resolve(hop(2), Millis(0), not_held), Resolved::Full);
    assert_eq!(table.resolve(hop(3), Millis(0), not_held), Resolved::Full);
    assert_eq!(table.len(), 2, "no entry without a frame that waits for it");
    assert_eq!(table.note(hop(1), M1, P1, Millis(1)).released.len(), 2);
    assert_eq!(table.resolve(hop(2), Millis(2), || frame(4)), Resolved::Waiting { held: 2 });
    let mut none = NeighborTable::new(Settings { held_per_hop: 0, ..settings });
    assert_eq!(none.resolve(hop(1), Millis(0), not_held), Resolved::Full);
}

#[test]
fn a_needed_neighbor_takes_a_learned_ones_place_but_no_waiting_one() {
    let mut table = NeighborTable::new(Settings { capacity: 2, ..Settings::default() });
    table.set_control(hop(1), M1, None, Millis(0)).unwrap();
    drop(table.note(hop(2), M2, P1, Millis(0)));
    assert_eq!(table.resolve(HOP, Millis(1), || frame(1)), Resolved::Asked);
    assert_eq!(table.get(hop(2), Millis(1)), None);
    assert_eq!(table.resolve(hop(3), Millis(2), not_held), Resolved::Full);
    assert!(table.set_control(hop(4), M1, None, Millis(2)).is_err());
    assert_eq!(table.note(hop(5), M2, P1, Millis(90_000)).change, NeighborChange::Full);
}

#[test]
fn frames_of_a_port_that_goes_are_handed_back() {
    let mut table = NeighborTable::default();
    table.resolve(HOP, Millis(0), || frame(1));
    table.resolve(HOP, Millis(1), || Held { from: P1, ..frame(2) });
    table.resolve(HOP, Millis(2), || frame(3));
    assert_eq!(table.forget_port(PortId(7)), [frame(1), frame(3)]);
    table.check();
    assert_eq!(table.note(HOP, M1, P1, Millis(3)).released, [Held { from: P1, ..frame(2) }]);
}

#[test]
fn a_neighbor_being_asked_is_not_asked_sooner_because_it_lost_its_place() {
    let probed = || {
        let mut table = NeighborTable::new(Settings { capacity: 1, ..Settings::default() });
        drop(table.note(HOP, M1, P1, Millis(0)));
        table.resolve(HOP, Millis(30_000), not_held);
        assert_eq!(tick(&mut table, 35_000), ask(1, Some(M1)));
        table
    };
    let mut full = probed();
    assert_eq!(full.resolve(hop(1), Millis(35_100), not_held), Resolved::Full);
    assert_eq!(full.note(hop(1), M2, P1, Millis(35_100)).change, NeighborChange::Full);
    assert_eq!(state(&full, 35_100), Some(State::Probe));

    let mut unplugged = probed();
    assert_eq!(unplugged.forget_port(P1), []);
    unplugged.check();
    assert_eq!(unplugged.get(HOP, Millis(35_100)).map(|entry| (entry.mac, entry.port)), Some((None, None)));
    assert_eq!(unplugged.resolve(HOP, Millis(35_100), || frame(1)), Resolved::Waiting { held: 1 });
    assert_eq!(tick(&mut unplugged, 36_000), ask(2, None), "to all, since nobody knows where it went");
}
