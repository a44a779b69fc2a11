//! Who goes when the table is full? Each of the three ways against what its name promises.

use hashbrown::HashMap;
use proptest::prelude::*;

use super::*;

const AGEING: Millis = Millis(12_800);

fn full_table(eviction: Eviction, port_limit: Option<u32>) -> MacTable {
    let config = MacTableConfig { capacity: 64, ageing: AGEING, port_limit, eviction };
    MacTable::with_secret(config, SECRET).unwrap()
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Learn(u64, u16),
    Pass(u64),
    Sweep(usize),
    Flush(u16),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        80 => (0..300u64, 0..5u16).prop_map(|(mac, port)| Op::Learn(mac, port)),
        10 => (0..300u64).prop_map(Op::Pass),
        1 => (0..20_000u64).prop_map(Op::Pass),
        3 => (1..20usize).prop_map(Op::Sweep),
        1 => (0..5u16).prop_map(Op::Flush),
    ];
    proptest::collection::vec(op, 1..1500)
}

/// Carry out everything but learning.
fn upkeep(table: &MacTable, now: &mut Millis, op: Op) {
    match op {
        Op::Learn(..) => {}
        Op::Pass(millis) => *now = *now + Millis(millis),
        Op::Sweep(buckets) => drop(table.sweep(*now, buckets)),
        Op::Flush(port) => table.flush_port(PortId(port)),
    }
}

fn ages(table: &MacTable, now: Millis) -> HashMap<MacAddr, Millis> {
    table.entries(now).iter().map(|entry| (entry.mac, entry.age)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whoever goes, somebody was told, it was there, it is gone, and the capacity holds.
    #[test]
    fn whoever_is_evicted_is_named_and_gone(
        ops in ops(),
        eviction in prop::sample::select(&[Eviction::Fair, Eviction::Lru, Eviction::None][..]),
        limit in proptest::option::of(5..40u32),
    ) {
        let (table, mut now) = (full_table(eviction, limit), Millis(0));
        for op in ops {
            if let Op::Learn(m, port) = op {
                let (before, evicted) = (ages(&table, now), table.counts().evicted);
                let answer = table.learn(mac(m), PortId(port), now);
                let gone = table.counts().evicted - evicted;
                if let Learned::Replaced { evicted } = answer {
                    prop_assert!(gone >= 1 && before.contains_key(&evicted) && evicted != mac(m));
                    prop_assert_eq!(table.lookup(evicted, now), None);
                    prop_assert!(table.lookup(mac(m), now).is_some());
                } else {
                    prop_assert_eq!(gone, 0, "{:?}", answer);
                }
            }
            upkeep(&table, &mut now, op);
            prop_assert!(table.tally.total() <= 64);
        }
        audit(&table);
    }

    #[test]
    fn lru_evicts_the_oldest_in_reach(ops in ops()) {
        let (table, mut now) = (full_table(Eviction::Lru, None), Millis(0));
        for op in ops {
            if let Op::Learn(m, port) = op {
                let (before, counted, full) = (ages(&table, now), table.counts().evicted, table.len() == 64);
                let answer = table.learn(mac(m), PortId(port), now);
                prop_assert!(!matches!(answer, Learned::Refused(_)), "{:?}: somebody can always go", answer);
                // Where both buckets of the newcomer are full of what cannot move, only those are in reach.
                if let Learned::Replaced { evicted } = answer && full && table.counts().evicted == counted + 1 {
                    prop_assert_eq!(before.get(&evicted), before.values().max());
                }
            }
            upkeep(&table, &mut now, op);
        }
        audit(&table);
    }

    #[test]
    fn none_never_evicts(ops in ops()) {
        let (table, mut now) = (full_table(Eviction::None, None), Millis(0));
        for op in ops {
            if let Op::Learn(m, port) = op {
                let before = ages(&table, now);
                let answer = table.learn(mac(m), PortId(port), now);
                let after = ages(&table, now);
                prop_assert!(before.keys().all(|mac| after.contains_key(mac)), "{:?}", answer);
                prop_assert_eq!(after.contains_key(&mac(m)), !matches!(answer, Learned::Refused(_)));
            }
            upkeep(&table, &mut now, op);
            prop_assert_eq!(table.counts().evicted, 0);
        }
        audit(&table);
    }
}

#[test]
fn a_full_table_that_evicts_none_learns_nothing_until_somebody_is_silent_for_long() {
    let table = full_table(Eviction::None, None);
    let learned: Vec<u64> = (0..200).filter(|m| table.learn(mac(*m), PortId(1), Millis(0)) == Learned::New).collect();
    assert!(learned.len() == 64 && table.counts().refused_full == 136, "{:?}", table.counts());
    let newcomer = || table.learn(mac(900), PortId(2), Millis(100));
    assert_eq!(newcomer(), Learned::Refused(LearnRefusal::TableFull));
    assert_eq!(table.learn(mac(learned[0]), PortId(2), Millis(100)), Learned::Moved { from: PortId(1) });
    table.set_static(mac(901), PortId(3)).unwrap();
    assert_eq!((table.counts().evicted, table.len()), (1, 64), "a static entry makes room for itself");
    assert_eq!(table.learn(mac(900), PortId(2), AGEING), Learned::New, "the dead make room");
    audit(&table);
}

#[test]
fn a_flooder_drives_the_others_out_where_the_oldest_goes() {
    for (eviction, stays) in [(Eviction::Fair, true), (Eviction::Lru, false), (Eviction::None, true)] {
        let table = full_table(eviction, None);
        (0..20).for_each(|station| assert_eq!(table.learn(mac(station), PortId(1), Millis(0)), Learned::New));
        for flood in 0..1000 {
            table.learn(mac(10_000 + flood), PortId(2), Millis(200 + flood));
        }
        let known = (0..20).filter(|station| table.lookup(mac(*station), Millis(1200)).is_some()).count();
        assert_eq!(known, if stays { 20 } else { 0 }, "{eviction:?}");
    }
}
