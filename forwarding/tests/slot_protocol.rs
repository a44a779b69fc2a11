//! Does the slot protocol hold in every order in which threads may run and see each other's stores?
//!
//! Each test is two threads with one or two operations each, on a table of two or three buckets that runs on loom's
//! atomics: the code of `mac_table`, not a copy. Loom plays through every order with at most so many preemptions,
//! and through every value a load may return. What can happen with more threads, and with vectors instead
//! of single loads, is for the stress test (`mac_table/tests/stress.rs`).
//!
//! Run it by `cargo test -p lanyard-forwarding --release --features model --test slot_protocol`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use frame::step::{LearnRefusal, Learned};
use frame::{MacAddr, Millis, PortId};
use lanyard_forwarding::mac_table::{Destination, MacTable, MacTableConfig, Secret};
use loom::thread;

const SECRET: Secret = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];
const SLOTS: usize = 7;
const LEFT: PortId = PortId(0);
const RIGHT: PortId = PortId(1);
const NOW: Millis = Millis(0);
const BUSY: Learned = Learned::Refused(LearnRefusal::Busy);

/// Every order with at most `preemptions` of them.
fn every_order(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    let orders = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&orders);
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        scenario();
    });
    let orders = orders.load(Relaxed);
    println!("{orders} orders");
    assert!(orders > 20, "only {orders} orders: the threads hardly met");
}

fn table(buckets: usize) -> Arc<MacTable> {
    let config = MacTableConfig {
        capacity: buckets * SLOTS,
        ageing: Millis(12_800),
        port_limit: None,
        ..MacTableConfig::default()
    };
    Arc::new(MacTable::of_buckets(config, SECRET, buckets))
}

/// The addresses whose first and second buckets these are.
fn addresses(table: &MacTable, first: usize, second: usize) -> impl Iterator<Item = MacAddr> + '_ {
    (1..)
        .map(|number| MacAddr::from_u64(0x0242_0a00_0000 + number))
        .filter(move |mac| table.places(*mac) == (first, second))
}

/// Both at once, on a thread each; their answers.
fn both<A: 'static, B: 'static>(
    table: &Arc<MacTable>,
    one: impl FnOnce(&MacTable) -> A + 'static,
    other: impl FnOnce(&MacTable) -> B + 'static,
) -> (A, B) {
    let (here, there) = (Arc::clone(table), Arc::clone(table));
    let (one, other) = (thread::spawn(move || one(&here)), thread::spawn(move || other(&there)));
    (one.join().unwrap(), other.join().unwrap())
}

/// The books agree with what look-ups find.
fn audit(table: &MacTable, found: usize) {
    assert_eq!(table.len(), found, "entries in all");
    assert_eq!((0..4).map(|port| table.learned_on(PortId(port))).sum::<u32>() as usize, found, "entries by port");
}

#[test]
fn two_learners_of_one_address_make_one_entry() {
    every_order(3, || {
        let table = table(2);
        let mac = addresses(&table, 0, 1).next().unwrap();
        let (one, other) =
            both(&table, move |table| table.learn(mac, LEFT, NOW), move |table| table.learn(mac, RIGHT, NOW));
        let expected = match (one, other) {
            (BUSY, Learned::New) | (Learned::New, Learned::Moved { from: LEFT }) => RIGHT,
            (Learned::New, BUSY) | (Learned::Moved { from: RIGHT }, Learned::New) => LEFT,
            answers => panic!("{answers:?}"),
        };
        assert_eq!(table.lookup(mac, NOW), Some(Destination::Port(expected)));
        audit(&table, 1);
    });
}

#[test]
fn two_learners_in_one_bucket_lose_neither_address() {
    every_order(3, || {
        let table = table(2);
        let macs: Vec<MacAddr> = addresses(&table, 0, 1).take(2).collect();
        let [one, other] = [macs[0], macs[1]];
        let answers =
            both(&table, move |table| table.learn(one, LEFT, NOW), move |table| table.learn(other, RIGHT, NOW));
        let learned = [(one, answers.0, LEFT), (other, answers.1, RIGHT)];
        for (mac, answer, port) in learned {
            assert!(matches!(answer, Learned::New | BUSY));
            assert_eq!(table.lookup(mac, NOW).is_some(), answer == Learned::New);
            assert!(answer == BUSY || table.lookup(mac, NOW) == Some(Destination::Port(port)));
        }
        audit(&table, learned.iter().filter(|(_, answer, _)| *answer == Learned::New).count());
    });
}

#[test]
fn who_moves_is_always_somewhere() {
    every_order(3, || {
        let table = table(2);
        let mac = addresses(&table, 0, 1).next().unwrap();
        table.learn(mac, LEFT, NOW);
        let (answer, seen) = both(
            &table,
            move |table| table.learn(mac, RIGHT, NOW),
            move |table| [(); 2].map(|()| table.lookup(mac, NOW)),
        );
        assert_eq!(answer, Learned::Moved { from: LEFT });
        let [left, right] = [LEFT, RIGHT].map(|port| Some(Destination::Port(port)));
        assert!([[left, left], [left, right], [right, right]].contains(&seen), "{seen:?}");
        audit(&table, 1);
    });
}

#[test]
fn a_restamp_and_a_writer_do_not_undo_each_other() {
    every_order(3, || {
        let (table, later) = (table(2), Millis(6400));
        let macs: Vec<MacAddr> = addresses(&table, 0, 1).take(2).collect();
        let [old, new] = [macs[0], macs[1]];
        table.learn(old, LEFT, NOW);
        // The clock moves on, which is no part of this.
        table.lookup(old, later);
        let answers =
            both(&table, move |table| table.learn(old, LEFT, later), move |table| table.learn(new, RIGHT, later));
        // One look at the lock may be spoilt by the restamp.
        assert!(matches!(answers, (Learned::Refreshed, Learned::New | BUSY)), "{answers:?}");
        let last = Millis(6400 + 12_700);
        assert!(table.lookup(old, last).is_some(), "its refresh was undone");
        assert_eq!(table.lookup(new, last).is_some(), answers.1 == Learned::New, "its stamp was undone");
    });
}

/// Buckets 0 and 1 full of each other's, 2 with room; one in bucket 0 has its second in 2. A newcomer to 0 and 1 must
/// move that one.
fn crowded() -> (Arc<MacTable>, MacAddr, MacAddr) {
    let table = table(3);
    let mover = addresses(&table, 0, 2).next().unwrap();
    table.learn(mover, LEFT, NOW);
    let of_0: Vec<MacAddr> = addresses(&table, 0, 1).take(SLOTS).collect();
    let of_1 = addresses(&table, 1, 0).take(SLOTS);
    for mac in of_0.iter().take(SLOTS - 1).copied().chain(of_1) {
        assert_eq!(table.learn(mac, LEFT, NOW), Learned::New);
    }
    (table, mover, of_0[SLOTS - 1])
}

#[test]
fn a_reader_beside_a_displacer_sees_no_wrong_port_and_nothing_is_lost() {
    every_order(2, || {
        let (table, mover, newcomer) = crowded();
        let (answer, seen) = both(
            &table,
            move |table| table.learn(newcomer, RIGHT, NOW),
            move |table| (table.lookup(mover, NOW), table.lookup(newcomer, NOW)),
        );
        assert_eq!(answer, Learned::New);
        // From its first bucket to its second: it is in both for a moment, so it is never missed.
        assert_eq!(seen.0, Some(Destination::Port(LEFT)));
        assert!([None, Some(Destination::Port(RIGHT))].contains(&seen.1));
        assert_eq!(table.lookup(mover, NOW), Some(Destination::Port(LEFT)));
        assert_eq!(table.lookup(newcomer, NOW), Some(Destination::Port(RIGHT)));
        audit(&table, 2 * SLOTS + 1);
    });
}

#[test]
fn a_mover_beside_a_displacer_is_in_one_place() {
    every_order(2, || {
        let (table, mover, newcomer) = crowded();
        let (displaced, moved) =
            both(&table, move |table| table.learn(newcomer, LEFT, NOW), move |table| table.learn(mover, RIGHT, NOW));
        let port = match moved {
            Learned::Moved { from: LEFT } => RIGHT,
            BUSY => LEFT,
            answer => panic!("{answer:?}"),
        };
        assert_eq!(table.lookup(mover, NOW), Some(Destination::Port(port)));
        let there = match displaced {
            Learned::New => true,
            BUSY => false,
            answer => panic!("{answer:?}"),
        };
        assert_eq!(table.lookup(newcomer, NOW).is_some(), there);
        audit(&table, 2 * SLOTS + usize::from(there));
    });
}

#[test]
fn a_learner_beside_a_flush_is_before_it_or_after_it() {
    // The flush after 13 others closes the port until the whole table is clear of it.
    for flushes in [0, 13] {
        every_order(2, move || {
            let table = table(2);
            let mac = addresses(&table, 0, 1).next().unwrap();
            (0..flushes).for_each(|_| table.flush_port(LEFT));
            let ((), answer) =
                both(&table, move |table| table.flush_port(LEFT), move |table| table.learn(mac, LEFT, NOW));
            assert!(matches!(answer, Learned::New | BUSY), "{answer:?}");
            let found = table.lookup(mac, NOW).is_some();
            assert!(!found || answer == Learned::New);
            audit(&table, usize::from(found));
        });
    }
}

#[test]
fn a_sweep_beside_a_learner_takes_only_the_dead() {
    every_order(2, || {
        let (table, later) = (table(2), Millis(20_000));
        let mac = addresses(&table, 0, 1).next().unwrap();
        table.learn(mac, LEFT, NOW);
        table.sweep(NOW, 2);
        table.lookup(mac, Millis(10_000));
        table.sweep(Millis(10_000), 2);
        assert_eq!(table.lookup(mac, later), None);
        let (_, answer) = both(&table, move |table| table.sweep(later, 2), move |table| table.learn(mac, RIGHT, later));
        assert!(matches!(answer, Learned::New | BUSY), "{answer:?}");
        assert_eq!(table.lookup(mac, later).is_some(), answer == Learned::New);
        assert_eq!(table.learned_on(RIGHT), u32::from(answer == Learned::New));
    });
}

#[test]
fn who_learns_while_the_ages_leap_is_known_or_gone_and_counted_right() {
    every_order(2, || {
        let table = table(2);
        let macs: Vec<MacAddr> = addresses(&table, 0, 1).take(2).collect();
        let [old, new] = [macs[0], macs[1]];
        table.learn(old, LEFT, NOW);
        let (died, answer) =
            both(&table, move |table| table.warp(Millis(12_800), NOW), move |table| table.learn(new, RIGHT, NOW));
        assert!(matches!(answer, Learned::New | BUSY), "{answer:?}");
        assert_eq!(table.lookup(old, NOW), None);
        let found = usize::from(table.lookup(new, NOW).is_some());
        let learned = usize::from(answer == Learned::New);
        assert!(found <= learned && died == 1 + learned - table.len(), "{died} died, {} are left", table.len());
        table.sweep(NOW, 2);
        audit(&table, found);
    });
}
