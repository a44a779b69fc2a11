//! The table by itself: who may change what, when, and who makes room.

use std::net::Ipv4Addr;

use super::*;

const M1: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const M2: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const P1: PortId = PortId(1);
const P2: PortId = PortId(2);

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn small(capacity: usize) -> NeighborTable {
    NeighborTable::new(Settings { capacity, ..Settings::default() })
}

fn note(table: &mut NeighborTable, last: u8, mac: MacAddr, port: PortId, now: u64) -> NeighborChange {
    let noted = table.note(ip(last), mac, port, Millis(now));
    table.check();
    assert!(noted.released.is_empty());
    noted.change
}

#[test]
fn a_claim_is_learned_confirmed_and_goes_stale() {
    let mut table = NeighborTable::default();
    assert_eq!(note(&mut table, 1, M1, P1, 1000), NeighborChange::New);
    let expected = NeighborEntry {
        ip: ip(1),
        mac: Some(M1),
        port: Some(P1),
        state: State::Reachable,
        source: Source::Arp,
        age: Millis(0),
    };
    assert_eq!(table.get(ip(1), Millis(1000)), Some(expected));
    let at = |table: &NeighborTable, now| table.get(ip(1), Millis(now)).unwrap();
    assert_eq!(at(&table, 30_999).state, State::Reachable);
    assert_eq!(at(&table, 31_000), NeighborEntry { state: State::Stale, age: REACHABLE, ..expected });
    assert_eq!(note(&mut table, 1, M1, P2, 40_000), NeighborChange::Confirmed);
    assert_eq!(at(&table, 40_000), NeighborEntry { port: Some(P2), ..expected }, "it moved, and is fresh again");
}

#[test]
fn a_fresh_neighbor_is_not_overwritten_a_stale_one_is() {
    let mut table = NeighborTable::default();
    note(&mut table, 1, M1, P1, 0);
    let version = table.version();
    assert_eq!(note(&mut table, 1, M2, P2, 10_000), NeighborChange::Conflict { held_by: M1 });
    assert_eq!(note(&mut table, 1, M2, P2, 29_999), NeighborChange::Conflict { held_by: M1 });
    assert_eq!(table.get(ip(1), Millis(29_999)).unwrap().mac, Some(M1));
    assert_eq!(table.version(), version, "no answer has changed");
    let conflict = table.conflicts().next().copied().unwrap();
    assert_eq!((conflict.held_by, conflict.claimed_by, conflict.port), (M1, M2, P2));
    assert_eq!((conflict.first, conflict.last, conflict.count), (Millis(10_000), Millis(29_999), 2));

    assert_eq!(note(&mut table, 1, M2, P2, 30_000), NeighborChange::Changed { from: M1 });
    let entry = table.get(ip(1), Millis(30_000)).unwrap();
    assert_eq!((entry.mac, entry.port, entry.state), (Some(M2), Some(P2), State::Reachable));
    assert!(table.version() > version);
    assert_eq!(note(&mut table, 1, M1, P1, 30_001), NeighborChange::Conflict { held_by: M2 });
    assert_eq!((table.conflicts().count(), table.conflict_count()), (2, 3));
}

#[test]
fn what_the_control_plane_says_stands() {
    let mut table = NeighborTable::default();
    note(&mut table, 1, M2, P2, 0);
    assert_eq!(table.set_control(ip(1), M1, Some(P1), Millis(5)), Ok(vec![]), "over what was learned");
    table.check();
    assert_eq!(note(&mut table, 1, M1, P2, 10), NeighborChange::Confirmed);
    for now in [10, 40_000, 4_000_000] {
        assert_eq!(note(&mut table, 1, M2, P2, now), NeighborChange::Conflict { held_by: M1 });
        table.tick(Millis(now), &mut Vec::new());
    }
    let entry = table.get(ip(1), Millis(4_000_000)).unwrap();
    assert_eq!((entry.mac, entry.port), (Some(M1), Some(P1)));
    assert_eq!((entry.state, entry.source, entry.age), (State::Reachable, Source::Control, Millis(3_999_995)));
    assert_eq!(table.next_deadline(), None, "nothing learned, nothing due");

    assert!(table.remove_control(ip(1)));
    assert!(!table.remove_control(ip(1)));
    assert_eq!(note(&mut table, 1, M2, P2, 4_000_001), NeighborChange::New);
    assert!(!table.remove_control(ip(1)), "what was learned is not the control plane's to take back");
    assert_eq!(table.len(), 1);
}

#[test]
fn addresses_that_no_station_has_are_not_noted() {
    let mut table = NeighborTable::default();
    let group = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    for (ip, mac) in [
        ("0.0.0.0", M1),
        ("255.255.255.255", M1),
        ("224.0.0.1", M1),
        ("127.0.0.1", M1),
        ("::", M1),
        ("::1", M1),
        ("ff02::1", M1),
        ("10.0.0.1", group),
        ("10.0.0.1", MacAddr::BROADCAST),
        ("10.0.0.1", MacAddr::ZERO),
    ] {
        let noted = table.note(ip.parse().unwrap(), mac, P1, Millis(0));
        assert_eq!(noted.change, NeighborChange::Nothing, "{ip} {mac}");
    }
    assert!(table.is_empty());
    assert_eq!(table.note("fe80::1".parse().unwrap(), M1, P1, Millis(0)).change, NeighborChange::New);
}

#[test]
fn a_full_table_gives_up_the_stale_entry_confirmed_longest_ago() {
    let mut table = small(3);
    note(&mut table, 1, M1, P1, 0);
    note(&mut table, 2, M1, P1, 1000);
    note(&mut table, 3, M1, P1, 2000);
    note(&mut table, 1, M1, P1, 3000);
    let version = table.version();
    assert_eq!(note(&mut table, 4, M1, P1, 30_999), NeighborChange::Full);
    assert_eq!(note(&mut table, 4, M1, P1, 30_999), NeighborChange::Full, "by the remembered answer");
    assert_eq!(table.version(), version);
    assert_eq!(note(&mut table, 4, M1, P1, 31_000), NeighborChange::New);
    let ips: Vec<_> = table.entries(Millis(31_000)).iter().map(|entry| entry.ip).collect();
    assert_eq!(ips, [ip(1), ip(3), ip(4)]);
    assert_eq!(note(&mut table, 5, M1, P1, 31_001), NeighborChange::Full);
    assert_eq!(note(&mut table, 3, M1, P1, 31_001), NeighborChange::Confirmed, "full or not");
}

#[test]
fn the_control_plane_takes_the_place_of_any_learned_entry() {
    let mut table = small(2);
    note(&mut table, 1, M1, P1, 0);
    note(&mut table, 2, M1, P1, 10);
    assert_eq!(table.set_control(ip(3), M2, None, Millis(20)), Ok(vec![]));
    assert_eq!(table.get(ip(1), Millis(20)), None);
    assert_eq!(table.set_control(ip(4), M2, None, Millis(20)), Ok(vec![]));
    let refused = table.set_control(ip(5), M2, None, Millis(20)).unwrap_err();
    assert_eq!(refused, NoRoom { ip: ip(5), capacity: 2 });
    assert_eq!(refused.to_string(), "no room for 10.0.0.5 in the neighbor table: all 2 entries are in use");
    assert_eq!(table.set_control(ip(4), M1, Some(P1), Millis(30)), Ok(vec![]), "what is there can be changed");
    assert_eq!(note(&mut table, 6, M1, P1, 90_000), NeighborChange::Full);
    assert_eq!(small(0).note(ip(1), M1, P1, Millis(0)).change, NeighborChange::Full);
}

#[test]
fn learned_entries_age_by_their_last_confirmation() {
    let mut table = NeighborTable::new(Settings { age: Millis::from_secs(60), ..Settings::default() });
    note(&mut table, 1, M1, P1, 0);
    note(&mut table, 2, M2, P1, 100);
    note(&mut table, 1, M1, P1, 50_000);
    table.set_control(ip(3), M1, None, Millis(0)).unwrap();
    assert_eq!(table.next_deadline(), Some(Millis(60_000)));

    let mut due = Vec::new();
    let version = table.version();
    table.tick(Millis(60_000), &mut due);
    table.check();
    assert_eq!(table.len(), 3);
    assert_eq!((table.version(), table.next_deadline()), (version, Some(Millis(61_000))), "once in a second");
    table.tick(Millis(60_999), &mut due);
    assert_eq!(table.len(), 3);
    table.tick(Millis(61_000), &mut due);
    assert_eq!(table.get(ip(2), Millis(61_000)), None);
    assert!(table.version() > version);
    assert_eq!(table.next_deadline(), Some(Millis(110_000)), "asleep until the next can be too old");
    table.tick(Millis(110_000), &mut due);
    table.check();
    assert_eq!((table.len(), table.next_deadline()), (1, None));
    assert_eq!(due, []);
}

#[test]
fn a_port_that_goes_takes_what_was_learned_by_it() {
    let mut table = NeighborTable::default();
    note(&mut table, 1, M1, P1, 0);
    note(&mut table, 2, M2, P2, 0);
    table.set_control(ip(3), M1, Some(P1), Millis(0)).unwrap();
    let version = table.version();
    assert_eq!(table.forget_port(P1), []);
    table.check();
    let left: Vec<_> = table.entries(Millis(0)).iter().map(|entry| (entry.ip, entry.port)).collect();
    assert_eq!(left, [(ip(2), Some(P2)), (ip(3), None)]);
    assert!(table.version() > version);
}

#[test]
fn states_and_sources_have_names() {
    assert_eq!(format!("{:<10}|{}", State::Incomplete, Source::Control), "incomplete|control");
    let states = [State::Reachable, State::Stale, State::Delay, State::Probe];
    assert_eq!(states.map(State::name), ["reachable", "stale", "delay", "probe"]);
    assert_eq!([Source::Arp, Source::Resolver].map(Source::name), ["arp", "resolver"]);
}
