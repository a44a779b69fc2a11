//! Does the board tell changes, and nothing else?

use frame::MacAddr;

use super::*;

const NETWORK: NetworkId = NetworkId(1);
const H2: MacAddr = MacAddr([2, 0x42, 10, 20, 0, 3]);
const EVIL: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

fn ip(last: u8) -> IpAddr {
    [10, 20, 0, last].into()
}

fn neighbor(last: u8, mac: Option<MacAddr>, state: NeighborState, probes: u32) -> Neighbor {
    Neighbor { ifindex: 2, ip: ip(last), mac, state, probes }
}

fn judge() -> Judge {
    Judge::told(&[(NETWORK, ip(3), H2, "h2")])
}

/// Two hosts, looked at and empty; each in a namespace of the same number as its port.
fn board() -> Board {
    let mut board = Board::default();
    let hosts = (1..=2).map(|port| CacheHost::for_test(PortId(port), NETWORK, &format!("h{port}")));
    board.retarget(hosts.collect(), judge(), Moment::default(), &mut Vec::new());
    for port in board.due() {
        board.looked(port, Ok(Vec::new()), Moment::default(), &mut Vec::new());
    }
    board
}

/// What the news of the first host's kernel change.
fn hear(board: &mut Board, neighbor: Neighbor) -> Vec<CacheEvent> {
    let mut changes = Vec::new();
    board.heard(&NeighborEvent::Changed { nsid: Some(1), neighbor }, Moment::default(), &mut changes);
    changes.into_iter().map(|(_, event)| event).collect()
}

fn states(events: &[CacheEvent]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event.state_before.as_deref().unwrap_or("null"), event.state_after.as_str())).collect()
}

#[test]
fn what_the_kernel_did_not_say_is_told_by_what_it_says_next() {
    use NeighborState::{Delay, Failed, Permanent, Probe, Reachable, Stale};
    let table = [
        (vec![], (Reachable, 4), ("INCOMPLETE", "REACHABLE"), "asked for and answered"),
        (vec![], (Reachable, 0), ("", "REACHABLE"), "written by somebody"),
        (vec![], (Failed, 6), ("INCOMPLETE", "FAILED"), "asked for in vain"),
        (vec![], (Stale, 0), ("", "STALE"), "who asks tells its own address"),
        (vec![], (Permanent, 0), ("", "PERMANENT"), "written"),
        (vec![Failed], (Reachable, 4), ("INCOMPLETE", "REACHABLE"), "asked for once more"),
        (vec![Failed], (Reachable, 6), ("FAILED", "REACHABLE"), "told unasked, after the question failed"),
        (vec![Stale], (Probe, 1), ("DELAY", "PROBE"), "used, then asked"),
        (vec![Stale], (Probe, 0), ("STALE", "PROBE"), "written"),
        (vec![Stale, Delay], (Probe, 1), ("DELAY", "PROBE"), "seen at every step"),
        (vec![Reachable], (Stale, 0), ("REACHABLE", "STALE"), "not used"),
    ];
    for (earlier, (state, probes), expected, what) in table {
        let mut board = board();
        for state in earlier {
            let probes = if state == Failed { 6 } else { 0 };
            hear(&mut board, neighbor(3, Some(H2), state, probes));
        }
        let events = hear(&mut board, neighbor(3, Some(H2), state, probes));
        assert_eq!(states(&events), [expected], "{what}");
        assert_eq!((events[0].endpoint.as_str(), events[0].mac_name.as_deref()), ("h1", Some("h2")));
        assert!(hear(&mut board, neighbor(3, Some(H2), state, probes)).is_empty(), "{what}, told twice");
    }
}

#[test]
fn a_row_that_the_switch_knows_better_is_a_conflict() {
    let mut board = board();
    let good = hear(&mut board, neighbor(3, Some(H2), NeighborState::Reachable, 4));
    assert_eq!(good[0].conflict, None);
    let poisoned = hear(&mut board, neighbor(3, Some(EVIL), NeighborState::Reachable, 0));
    let why = poisoned[0].conflict.as_deref().unwrap();
    assert!(why.contains("10.20.0.3 at 02:42:0a:14:00:03 (h2)") && why.contains("poisoned"), "{why}");
    assert_eq!((poisoned[0].mac, poisoned[0].mac_before), (Some(EVIL), Some(H2)));
    assert_eq!(hear(&mut board, neighbor(3, None, NeighborState::Failed, 3))[0].conflict, None);
}

#[test]
fn an_address_that_the_switch_does_not_know_is_compared_between_hosts() {
    let mut board = board();
    assert_eq!(hear(&mut board, neighbor(7, Some(H2), NeighborState::Stale, 0))[0].conflict, None);
    let mut changes = Vec::new();
    let other = NeighborEvent::Changed { nsid: Some(2), neighbor: neighbor(7, Some(EVIL), NeighborState::Stale, 0) };
    board.heard(&other, Moment::default(), &mut changes);
    assert!(changes[0].1.conflict.as_deref().unwrap().contains("h1's cache has 10.20.0.7"), "{changes:?}");
}

#[test]
fn a_new_look_tells_the_difference_only() {
    let mut board = board();
    hear(&mut board, neighbor(3, Some(H2), NeighborState::Stale, 0));
    hear(&mut board, neighbor(8, Some(H2), NeighborState::Stale, 0));
    let mut changes = Vec::new();
    let found = vec![neighbor(3, Some(H2), NeighborState::Delay, 0), neighbor(9, None, NeighborState::Incomplete, 4)];
    board.looked(PortId(1), Ok(found.clone()), Moment::default(), &mut changes);
    let events: Vec<_> = changes.drain(..).map(|(_, event)| event).collect();
    assert_eq!(states(&events), [("STALE", ""), ("STALE", "DELAY"), ("", "INCOMPLETE")]);
    board.looked(PortId(1), Ok(found), Moment::default(), &mut changes);
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_cache_that_cannot_be_read_is_told_once_and_a_host_that_leaves_takes_its_rows_along() {
    let mut board = board();
    hear(&mut board, neighbor(3, Some(H2), NeighborState::Stale, 0));
    let mut changes = Vec::new();
    for _ in 0..2 {
        board.looked(PortId(2), Err("no way in".to_owned()), Moment::default(), &mut changes);
    }
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].1.error.as_deref(), Some("no way in"));
    assert_eq!(board.rows(None, Moment::default()).len(), 2);
    changes.clear();
    let left = vec![CacheHost::for_test(PortId(2), NETWORK, "h2")];
    board.retarget(left, judge(), Moment::default(), &mut changes);
    let events: Vec<_> = changes.into_iter().map(|(_, event)| event).collect();
    assert_eq!(states(&events), [("STALE", "")]);
    assert_eq!(board.rows(None, Moment::default()).len(), 1, "the other one's error stays");
}

#[test]
fn what_was_there_when_the_watch_began_has_no_before() {
    let mut board = Board::default();
    let hosts = vec![CacheHost::for_test(PortId(1), NETWORK, "h1")];
    let mut changes = Vec::new();
    board.retarget(hosts, judge(), Moment::default(), &mut changes);
    board.looked(PortId(1), Ok(vec![neighbor(3, Some(H2), NeighborState::Stale, 0)]), Moment::default(), &mut changes);
    let events: Vec<_> = changes.into_iter().map(|(_, event)| event).collect();
    assert_eq!(states(&events), [("null", "STALE")]);
    assert!(board.rows(Some(NetworkId(2)), Moment::default()).is_empty());
}

#[test]
fn entries_of_groups_and_of_other_interfaces_are_none_of_ours() {
    let mut board = board();
    let group = Neighbor { ip: [224, 0, 0, 22].into(), ..neighbor(0, None, NeighborState::NoArp, 0) };
    assert!(hear(&mut board, group).is_empty());
    let broadcast = neighbor(255, Some(MacAddr::BROADCAST), NeighborState::NoArp, 0);
    assert!(hear(&mut board, broadcast).is_empty());
    let elsewhere = Neighbor { ifindex: 3, ..neighbor(3, Some(H2), NeighborState::Stale, 0) };
    assert!(hear(&mut board, elsewhere).is_empty());
}
