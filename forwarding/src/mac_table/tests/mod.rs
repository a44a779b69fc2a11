//! Does the table do what its head says? Unit tests here; random operations against a naive model in
//! `model`, a full table in `eviction`, many threads at once in `stress`.

mod eviction;
mod model;
mod stress;

use super::*;

/// A secret for tests, so that a failure comes back.
pub(super) const SECRET: Secret =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

pub(super) fn mac(number: u64) -> MacAddr {
    MacAddr::from_u64(0x0242_0a00_0000 + number)
}

pub(super) fn table(capacity: usize, ageing: Millis, port_limit: Option<u32>) -> MacTable {
    MacTable::with_secret(MacTableConfig { capacity, ageing, port_limit, ..MacTableConfig::default() }, SECRET).unwrap()
}

/// Every address once and in one of its two buckets, every count what the slots say. The table must be quiet.
pub(super) fn audit(table: &MacTable) {
    let mut seen = hashbrown::HashMap::new();
    let mut displaced = vec![0u64; table.buckets.len()];
    let (mut held, mut fixed) = (vec![0u32; PortId::LIMIT], 0i64);
    for (at, bucket) in table.buckets.iter().enumerate() {
        assert!(bucket.try_lock(1).is_some(), "bucket {at} is still locked");
        for (_, entry) in bucket.entries() {
            let (first, hash) = table.hash.first(entry.key());
            let second = table.hash.second(first, hash);
            assert!(at == first || at == second, "{} is in a bucket of others", entry.mac());
            assert_eq!(seen.insert(entry.mac(), at), None, "{} is there twice", entry.mac());
            displaced[first] += u64::from(at != first);
            match entry.as_learned() {
                Some((port, generation)) if !table.ports.is_stale(port, generation) => held[port.index()] += 1,
                Some(_) => {}
                None => fixed += 1,
            }
        }
    }
    for (at, bucket) in table.buckets.iter().enumerate() {
        assert!(bucket.meta().has_displaced() == (displaced[at] > 0), "bucket {at} displaced {}", displaced[at]);
    }
    for (port, held) in held.iter().enumerate() {
        assert_eq!(table.learned_on(PortId(port as u16)), *held, "count of port {port}");
    }
    assert_eq!(table.tally.held(), held.iter().map(|held| i64::from(*held)).sum::<i64>());
    assert_eq!(table.tally.fixed.load(Relaxed), fixed);
}

#[test]
fn refuses_a_capacity_out_of_range() {
    for capacity in [0, 63, (16 << 20) + 1] {
        let config = MacTableConfig { capacity, ..MacTableConfig::default() };
        assert_eq!(MacTable::new(config).err(), Some(CapacityOutOfRange(capacity)));
    }
    let text = CapacityOutOfRange(3).to_string();
    assert_eq!(text, "a MAC table of 3 entries: the capacity must be 64 to 16777216");
}

#[test]
fn an_entry_lives_for_the_ageing_time_and_no_longer() {
    let table = table(64, Millis(12_800), None);
    assert_eq!(table.learn(mac(1), PortId(1), Millis(50)), Learned::New);
    assert!(table.lookup(mac(1), Millis(12_799)).is_some());
    assert_eq!(table.lookup(mac(1), Millis(12_800)), None);
    assert_eq!((table.len(), table.entries(Millis(12_800))), (1, vec![]), "dead, and not yet cleared");
    assert_eq!(table.learn(mac(1), PortId(1), Millis(12_800)), Learned::New);
    assert_eq!(table.learn(mac(1), PortId(1), Millis(20_000)), Learned::Refreshed);
    assert_eq!(table.entries(Millis(32_700))[0].age, Millis(12_700));
    assert_eq!(table.sweep(Millis(32_800), 1000), 1);
    assert!(table.is_empty());
    assert_eq!((table.counts().learned, table.counts().aged), (2, 2));
    audit(&table);
}

#[test]
fn silence_of_any_length_wakes_no_dead_entry() {
    // Ages that are multiples of 256 ticks look like zero in eight bits.
    for silence in [128, 255, 256, 257, 300, 512, 65_536, 65_536 * 256, 1 << 40] {
        let table = table(64, Millis(128), None);
        table.learn(mac(1), PortId(1), Millis(5));
        table.set_static(mac(2), PortId(2)).unwrap();
        assert_eq!(table.lookup(mac(1), Millis(5 + silence)), None, "after {silence} ticks");
        assert_eq!(table.lookup(mac(2), Millis(5 + silence)), Some(Destination::Port(PortId(2))));
        audit(&table);
    }
}

#[test]
fn a_warp_ages_what_was_learned_and_nothing_else() {
    let table = table(64, Millis(12_800), None);
    table.set_static(mac(9), PortId(1)).unwrap();
    table.set_gateway(mac(10)).unwrap();
    table.learn(mac(1), PortId(1), Millis(0));
    table.learn(mac(2), PortId(1), Millis(6_400));
    assert_eq!(table.warp(Millis(0), Millis(6_450)), 0);
    assert_eq!(table.warp(Millis(6_300), Millis(6_450)), 0, "one tick short");
    let ages: Vec<_> = table.entries(Millis(6_450)).iter().map(|entry| (entry.mac, entry.age)).collect();
    assert_eq!(ages[..2], [(mac(1), Millis(12_700)), (mac(2), Millis(6_300))]);
    assert_eq!(table.warp(Millis(1), Millis(6_450)), 1, "a tick at least");
    assert_eq!((table.lookup(mac(1), Millis(6_450)), table.len(), table.counts().aged), (None, 3, 1));
    // No time has passed: the other one lives as long as the warps leave it.
    assert!(table.lookup(mac(2), Millis(12_799)).is_some());
    assert_eq!(table.lookup(mac(2), Millis(12_800)), None);
    assert_eq!(table.warp(Millis(u64::MAX), Millis(12_800)), 0, "it died of age");
    table.learn(mac(3), PortId(2), Millis(12_800));
    assert_eq!(table.warp(Millis(u64::MAX), Millis(12_800)), 1);
    assert_eq!((table.len(), table.learned_on(PortId(1)), table.learned_on(PortId(2))), (2, 0, 0));
    assert_eq!(table.learn(mac(3), PortId(2), Millis(12_800)), Learned::New);
    audit(&table);
}

#[test]
fn static_and_gateway_entries_are_nobodys() {
    let table = table(64, Millis(1280), None);
    table.learn(mac(1), PortId(1), Millis(0));
    table.set_static(mac(1), PortId(2)).unwrap();
    table.set_gateway(mac(9)).unwrap();
    assert_eq!(table.learn(mac(1), PortId(1), Millis(0)), Learned::Refused(LearnRefusal::Static { port: PortId(2) }));
    assert_eq!(table.learn(mac(1), PortId(2), Millis(0)), Learned::Refreshed);
    let no_port = PortId(4096 + 2);
    assert_eq!(table.learn(mac(1), no_port, Millis(0)), Learned::Refused(LearnRefusal::Static { port: PortId(2) }));
    assert_eq!(table.learn(mac(9), PortId(1), Millis(0)), Learned::Refused(LearnRefusal::Gateway));
    assert_eq!(table.set_static(mac(9), PortId(1)), Err(EntryRefused::IsGateway));
    assert_eq!(table.set_static(mac(3), PortId(4096)), Err(EntryRefused::NoSuchPort));
    assert_eq!(table.set_static(MacAddr::BROADCAST, PortId(1)), Err(EntryRefused::NotAStation));
    assert_eq!(table.set_gateway(MacAddr::ZERO), Err(EntryRefused::NotAStation));
    table.flush_port(PortId(2));
    assert_eq!(table.sweep(Millis(9000), 1000), 0);
    assert_eq!(table.lookup(mac(1), Millis(9000)), Some(Destination::Port(PortId(2))));
    assert_eq!(table.lookup(mac(9), Millis(9000)), Some(Destination::Gateway));
    let kinds: Vec<_> = table.entries(Millis(9000)).into_iter().map(|entry| (entry.kind, entry.port)).collect();
    assert_eq!(kinds, [(EntryKind::Static, Some(PortId(2))), (EntryKind::Gateway, None)]);
    table.forget_port(PortId(2));
    assert!(table.forget(mac(9)) && !table.forget(mac(9)) && table.is_empty());
    audit(&table);
}

#[test]
fn group_and_zero_addresses_have_no_place() {
    let table = table(64, DEFAULT_AGEING, None);
    for mac in [MacAddr::BROADCAST, MacAddr::ZERO, MacAddr([0x01, 0, 0x5e, 0, 0, 1])] {
        for port in [PortId(0), PortId(1)] {
            assert_eq!(table.learn(mac, port, Millis(0)), Learned::Refused(LearnRefusal::TableFull));
        }
        assert_eq!(table.lookup(mac, Millis(0)), None);
    }
    assert_eq!(table.learn(mac(1), PortId(4096), Millis(0)), Learned::Refused(LearnRefusal::PortLimit));
    assert!(table.is_empty());
}

#[test]
fn a_port_learns_up_to_its_limit() {
    let table = table(64, Millis(1280), Some(2));
    assert_eq!(table.learn(mac(1), PortId(1), Millis(0)), Learned::New);
    assert_eq!(table.learn(mac(2), PortId(1), Millis(0)), Learned::New);
    assert_eq!(table.learn(mac(3), PortId(1), Millis(0)), Learned::Refused(LearnRefusal::PortLimit));
    assert_eq!(table.learn(mac(3), PortId(2), Millis(0)), Learned::New);
    assert_eq!(table.learn(mac(3), PortId(1), Millis(0)), Learned::Refused(LearnRefusal::PortLimit));
    assert_eq!(table.lookup(mac(3), Millis(0)), Some(Destination::Port(PortId(2))), "a refused move changes nothing");
    assert_eq!(table.counts().refused_by_limit, 2);
    table.forget(mac(1));
    assert_eq!(table.learn(mac(3), PortId(1), Millis(0)), Learned::Moved { from: PortId(2) });
    audit(&table);
}

#[test]
fn a_flush_forgets_at_once_and_hundreds_of_them_stay_forgotten() {
    let table = table(256, DEFAULT_AGEING, None);
    for round in 0..300u64 {
        // Each round leaves entries of its generation behind that nobody clears.
        for station in 0..4 {
            table.learn(mac(round % 40 * 4 + station), PortId(1), Millis(0));
        }
        table.learn(mac(1000), PortId(2), Millis(0));
        table.flush_port(PortId(1));
        assert_eq!((table.len(), table.learned_on(PortId(1))), (1, 0));
        assert!((0..160).all(|number| table.lookup(mac(number), Millis(0)).is_none()), "round {round}");
    }
    assert_eq!(table.lookup(mac(1000), Millis(0)), Some(Destination::Port(PortId(2))));
    audit(&table);
}

#[test]
fn who_floods_the_table_evicts_its_own() {
    let table = table(64, DEFAULT_AGEING, None);
    for station in 0..20 {
        assert_eq!(table.learn(mac(station), PortId(1), Millis(0)), Learned::New);
    }
    for flood in 0..100_000 {
        table.learn(mac(10_000 + flood), PortId(2), Millis(flood / 100));
        assert!(table.len() <= 64);
    }
    assert!((0..20).all(|station| table.lookup(mac(station), Millis(1000)) == Some(Destination::Port(PortId(1)))));
    assert!(table.counts().evicted > 90_000, "{:?}", table.counts());
    // A quiet station still finds room, at the flooder's cost.
    let Learned::Replaced { evicted } = table.learn(mac(500), PortId(3), Millis(1000)) else { panic!("full") };
    assert!(evicted >= mac(10_000), "{evicted}");
    audit(&table);
}

#[test]
fn a_table_full_of_static_entries_learns_nothing() {
    let table = table(64, DEFAULT_AGEING, None);
    let made = (0..200).filter(|number| table.set_static(mac(*number), PortId(1)).is_ok()).count();
    assert_eq!((made, table.len()), (64, 64));
    assert_eq!(table.learn(mac(999), PortId(2), Millis(0)), Learned::Refused(LearnRefusal::TableFull));
    assert_eq!((table.counts().refused_full, table.learned_on(PortId(2))), (1, 0));
    assert_eq!(table.set_gateway(mac(999)), Err(EntryRefused::TableFull));
    audit(&table);
}

#[test]
fn lists_moves_and_ages_by_address() {
    let table = table(64, Millis(12_800), None);
    table.learn(mac(7), PortId(1), Millis(0));
    table.learn(mac(3), PortId(1), Millis(0));
    table.learn(mac(3), PortId(2), Millis(0));
    table.learn(mac(3), PortId(1), Millis(1000));
    let list = table.entries(Millis(1500));
    let shown: Vec<_> = list.iter().map(|entry| (entry.mac, entry.port, entry.age, entry.moves)).collect();
    let port = Some(PortId(1));
    assert_eq!(shown, [(mac(3), port, Millis(500), 2), (mac(7), port, Millis(1500), 0)]);
    assert_eq!(table.counts().moved, 2);
    table.set_ageing(Millis(1280));
    assert_eq!(table.entries(Millis(1500))[0].age, Millis(50), "the same share of a shorter life");
}

#[test]
fn a_slice_a_second_is_a_round_in_a_quarter_of_the_ageing_time() {
    let table = table(8192, DEFAULT_AGEING, None);
    assert_eq!((table.buckets.len(), table.slice(Millis(1000))), (1756, 24), "1756 in 75 s");
    table.set_ageing(Millis(200));
    assert_eq!(table.slice(Millis(1000)), table.buckets.len());
    table.set_ageing(Millis(u64::MAX));
    assert_eq!(table.slice(Millis(1000)), 1);
}

/// Fill tables built for `capacity` with random addresses until one finds no slot without an eviction: the
/// fill of the worst of eight, in thousandths. The numbers printed are the ones in the module's head.
fn fill_at_first_refusal(capacity: usize) -> usize {
    let buckets = buckets_for(capacity);
    let fill = |run: u32| {
        let config = MacTableConfig { capacity: usize::MAX, ..MacTableConfig::default() };
        let secret = SECRET.map(|word| word.rotate_left(run * 5) ^ u64::from(run).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let table = MacTable::with_buckets(config, secret, buckets);
        let mut number = 0u64;
        while table.counts().evicted == 0 {
            number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
            table.learn(MacAddr::from_u64(number & 0xfcff_ffff_ffff), PortId(2), Millis(0));
        }
        table.len() * 1000 / (buckets * SLOTS)
    };
    (0..8).map(fill).min().unwrap()
}

#[test]
fn finds_a_slot_for_every_address_up_to_the_capacity() {
    // The two largest take a minute: only when asked for.
    let largest: &[usize] = if std::env::var_os("LANYARD_FILL").is_some() { &[1 << 20, 16 << 20] } else { &[] };
    for capacity in [64, 1024, 8192, 131_072].iter().chain(largest).copied() {
        let fill = fill_at_first_refusal(capacity);
        println!("built for {capacity}: filled to {}.{} %", fill / 10, fill % 10);
        assert!(fill > 680, "capacity {capacity}: {fill}");
    }
}

#[test]
fn a_burst_is_answered_as_far_as_the_shorter_slice_goes() {
    let table = table(1024, Millis(300_000), None);
    let macs: Vec<MacAddr> = (0..100).map(mac).collect();
    for (number, mac) in macs.iter().enumerate() {
        table.learn(*mac, PortId(number as u16), Millis(0));
    }
    for (asked, room) in [(100, 100), (40, 64), (40, 72), (64, 40), (0, 5), (31, 1)] {
        let mut found = vec![None; room];
        table.lookup_burst(&macs[..asked], Millis(0), &mut found);
        for (at, found) in found.iter().enumerate() {
            let expected = (at < asked).then_some(Destination::Port(PortId(at as u16)));
            assert_eq!(*found, expected, "{at} of {asked} in {room}");
        }
    }
}
