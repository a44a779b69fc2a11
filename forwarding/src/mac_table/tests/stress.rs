//! Do several threads at once keep the table whole? Few buckets and many changes, so that every lock is
//! fought for and every entry moves, is evicted, flushed, aged and learned again under the readers' eyes.

use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

const STATIONS: u64 = 100;
const PORTS: u16 = 8;

/// A number generator that is all this needs (Marsaglia's xorshift).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A station is only ever taught on two ports; a torn entry would show it on another.
fn taught(station: u64, port: PortId) -> bool {
    u64::from(port.0) % 4 == station % 4
}

/// How a worker lives: frames come in, stations are learned and looked up.
fn work(table: &MacTable, seed: u64, clock: &AtomicU64, rounds: u64) -> u64 {
    let mut dice = Dice(seed);
    let mut found = 0;
    for _ in 0..rounds {
        let now = Millis(clock.load(Relaxed));
        let station = dice.below(STATIONS);
        let port = PortId((station % 4 + dice.below(2) * 4) as u16);
        if let Learned::Moved { from } = table.learn(mac(station), port, now) {
            assert!(taught(station, from), "{station} moved from {from}");
        }
        let station = dice.below(STATIONS);
        match table.lookup(mac(station), now) {
            Some(Destination::Port(port)) => assert!(taught(station, port), "{station} on {port}"),
            Some(Destination::Gateway) => panic!("no gateway was set for {station}"),
            None => continue,
        }
        found += 1;
    }
    found
}

/// The same life by bursts: everything is sought before anything is learned or looked up.
fn work_by_bursts(table: &MacTable, seed: u64, clock: &AtomicU64, rounds: u64) -> u64 {
    let mut dice = Dice(seed);
    let (mut found, mut answers) = (0, [None; 40]);
    for _ in 0..rounds / 40 {
        let now = Millis(clock.load(Relaxed));
        let stations = [(); 40].map(|()| dice.below(STATIONS));
        let macs = stations.map(mac);
        for (station, sought) in stations.iter().zip(macs.map(|mac| table.seek(mac))) {
            let port = PortId((station % 4 + dice.below(2) * 4) as u16);
            if let Learned::Moved { from } = table.learn_sought(sought, port, now) {
                assert!(taught(*station, from), "{station} moved from {from}");
            }
        }
        table.lookup_burst(&macs, now, &mut answers);
        for (station, answer) in stations.iter().zip(answers) {
            match answer {
                Some(Destination::Port(port)) => assert!(taught(*station, port), "{station} on {port}"),
                Some(Destination::Gateway) => panic!("no gateway was set for {station}"),
                None => continue,
            }
            found += 1;
        }
    }
    found
}

/// What the control side does meanwhile: time passes, ports go down, entries are forgotten and made.
fn upkeep(table: &MacTable, clock: &AtomicU64, done: &AtomicBool) {
    let mut dice = Dice(99);
    while !done.load(Relaxed) {
        let now = Millis(clock.fetch_add(dice.below(200), Relaxed));
        let station = dice.below(STATIONS);
        match dice.below(64) {
            0 => table.flush_port(PortId(dice.below(u64::from(PORTS)) as u16)),
            1 => table.forget_port(PortId(dice.below(u64::from(PORTS)) as u16)),
            2 => drop(table.forget(mac(station))),
            3 => drop(table.set_static(mac(station), PortId((station % 4) as u16))),
            4 => assert!(table.entries(now).iter().all(|entry| entry.port.is_some())),
            5 => drop(clock.fetch_add(20_000, Relaxed)),
            _ => drop(table.sweep(now, 3)),
        }
    }
}

fn run(capacity: usize, limit: Option<u32>, rounds: u64) {
    let table = table(capacity, Millis(12_800), limit);
    let (clock, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let found: u64 = thread::scope(|scope| {
        scope.spawn(|| upkeep(&table, &clock, &done));
        let (table, clock) = (&table, &clock);
        let lives = [work, work, work_by_bursts];
        let workers =
            lives.into_iter().zip(1..).map(|(life, seed)| scope.spawn(move || life(table, seed, clock, rounds)));
        let workers: Vec<_> = workers.collect();
        let found = workers.into_iter().map(|worker| worker.join().map_err(|_| "a worker failed"));
        let found = found.collect::<Result<Vec<_>, _>>();
        done.store(true, Relaxed);
        found.unwrap().into_iter().sum()
    });
    assert!(found > rounds / 4, "the table hardly ever knew anybody: {found} of {}", rounds * 3);
    assert!(table.len() <= capacity);
    audit(&table);
}

#[test]
fn four_threads_on_a_table_with_room() {
    run(200, None, 300_000);
}

#[test]
fn four_threads_on_a_table_that_is_always_full() {
    run(64, None, 300_000);
}

#[test]
fn four_threads_against_a_port_limit() {
    run(64, Some(10), 300_000);
}

#[test]
fn two_threads_learning_the_same_addresses_make_one_entry_each() {
    for round in 0..200u64 {
        let table = table(1024, DEFAULT_AGEING, None);
        let start = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            for port in 0..2 {
                let (table, start) = (&table, &start);
                scope.spawn(move || {
                    start.wait();
                    for station in 0..300 {
                        table.learn(mac(round * 1000 + station), PortId(port), Millis(0));
                    }
                });
            }
        });
        audit(&table);
    }
}
