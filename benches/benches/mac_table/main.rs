//! What does an address cost: to look up, to learn, to age? The MAC table beside hashbrown's and std's maps.
//!
//! Everything is in **nanoseconds an address**, whatever the size of the burst. Criterion, because its `iter_custom` lets a
//! measurement say what one of its iterations is (one address, not one burst), without its plots and threads.
//! `cargo bench -p lanyard-benches --bench mac_table -- [FILTER]`; tables of 16 M entries are built only for a filter that
//! says `16M`. Names: `what/how/entries/table`.
//!
//! Newest figures: AMD EPYC (Zen 4, 3.66 GHz), 2 vCPUs that are threads of **one** core, guest, Linux 6.18, 4 KiB pages, 2026-11-21, load
//! 3 to 6 from other work (so the second thread took its share of the core at times); Criterion's middle estimate.
//!
//! | ns an address             | lanyard | hashbrown | std  |
//! | ---                       | ---     | ---       | ---  |
//! | hit, uniform burst, 1 K   | 5.1     | 4.1       | 7.6  |
//! | hit, uniform burst, 100 K | 5.5     | 6.6       | 13.0 |
//! | hit, uniform burst, 1 M   | 14.6    | 42        | 93   |
//! | hit, uniform single, 1 K  | 6.9     | 4.2       | 16.0 |
//! | hit, uniform single, 100 K| 8.9     | 7.0       | 25   |
//! | hit, uniform single, 1 M  | 45      | 46        | 141  |
//! | hit, Zipf burst, 1 K      | 5.3     | 3.9       | 7.6  |
//! | hit, Zipf burst, 100 K    | 4.9     | 5.9       | 12.9 |
//! | hit, Zipf burst, 1 M      | 11.5    | 35        | 65   |
//! | miss, burst, 100 K        | 9.8     | 8.3       | 13.2 |
//! | learn new, 1 K            | 36      | 5.7       | 16.4 |
//! | learn new, 100 K          | 37      | 7.5       | 19.2 |
//! | learn new, 1 M            | 63      | 38        | 119  |
//! | learn again, 1 K          | 4.5     | 3.9       | 14.6 |
//! | learn again, 100 K        | 5.1     | 6.1       | 21   |
//! | learn again, 1 M          | 14.8    | 37        | 145  |
//! | age, nothing dead, 1 M    | 3.3     | 2.0       | 2.0  |
//! | age, all dead, 1 M        | 14.1    | 9.0       | 9.0  |
//!
//! `slice-a-second`, 1 M: 49 us a call. The maps are of one thread: no lock, no limit, no fairness, no generation.
//!
//! What was tried and what it gave, look-ups in bursts at 1 K / 100 K / 1 M, fastest of many passes on the same machine:
//!
//! | step | ns |
//! | --- | --- |
//! | scalar comparison, two folded products, nothing sought ahead | 11.6 / 16.7 / 49 |
//! | AVX-512 comparison of the line, prefetch, folded product and product, burst of 32 | 7.4 / 8.7 / 12 |
//! | key in the order of its octets, no zeroing for each burst | 6.9 / 6.9 / 11 |
//! | eight hashes at a time (products of 64 bits) | 5.1 / 6.0 / 14 |
//! | comparison and evaluation in two loops | 4.65 / 5.75 |
//! | lines as references instead of numbers | 4.4 / 5.5 / 13 |
//! | a table twice as large, so that next to nothing is displaced | 3.9 (1 K) |
//! | 2 MiB pages (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`) | 11.8 (1 M); 22.6 becomes 19.6 (16 M) |
//!
//! Learning new addresses at 1 K / 100 K / 1 M: 37 / 41 / 150 ns before; with the stamp written by the unlock, and `held`
//! counted by `learned`, 33 / 36 / 51 to 65: four locked instructions instead of six. Hashes: one product alone fills buckets up to
//! 150 times as unevenly as dice do for some secrets; product, shift, product by a constant up to 3 times; nearly a
//! square is like dice.
//!
//! Not tried: prefetch against a plain load by itself, bursts of 16 and 64, AVX2.
//!
//! Not done: several threads at once; the maps could not take part.

mod keys;
mod tables;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{
    Bencher, BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main, measurement::WallTime,
};
use forwarding::MacTable;
use frame::{MacAddr, Millis, PortId};

use keys::{Spread, questions, stations};
use tables::{AGEING, Table};

/// Addresses looked up or learned together.
const BURST: usize = 64;
/// Different questions asked of a table, one after the other.
const QUESTIONS: usize = 1 << 18;
const PORT: PortId = PortId(3);
const NOW: Millis = Millis(1000);
const SIZES: [(&str, usize); 4] = [("1K", 1 << 10), ("100K", 100_000), ("1M", 1 << 20), ("16M", 16 << 20)];

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// The sizes to be measured: the largest only for a filter that names it.
fn sizes() -> impl Iterator<Item = (&'static str, usize)> {
    let asked = std::env::args().any(|argument| argument.contains("16M"));
    SIZES.into_iter().filter(move |(name, _)| asked || *name != "16M")
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(500));
    group
}

/// Made when first asked for: a measurement that the filter leaves out costs nothing.
fn filled<'a, T: Table>(table: &'a OnceCell<T>, macs: &[MacAddr]) -> &'a T {
    table.get_or_init(|| filled_now(macs))
}

fn singles<T: Table>(bencher: &mut Bencher<'_>, table: &T, asked: &[MacAddr]) {
    bencher.iter_custom(|addresses| {
        let begun = Instant::now();
        let mut found = 0u64;
        for mac in asked.iter().cycle().take(addresses as usize) {
            found += u64::from(table.look_up(*mac, NOW).is_some());
        }
        black_box(found);
        begun.elapsed()
    });
}

fn bursts<T: Table>(bencher: &mut Bencher<'_>, table: &T, asked: &[MacAddr]) {
    bencher.iter_custom(|addresses| {
        let mut found = [None; BURST];
        let (all, _) = asked.as_chunks::<BURST>();
        let count = (addresses as usize).div_ceil(BURST);
        let begun = Instant::now();
        for macs in all.iter().cycle().take(count) {
            table.look_up_burst(macs, NOW, &mut found);
            black_box(&found);
        }
        share(begun.elapsed(), count * BURST, addresses)
    });
}

/// What `addresses` would have taken at the pace of `done`.
#[allow(clippy::cast_precision_loss, reason = "numbers of addresses are far below 2^53")]
fn share(took: Duration, done: usize, addresses: u64) -> Duration {
    took.mul_f64(addresses as f64 / done as f64)
}

fn look_ups_of<T: Table>(group: &mut Group<'_>, size: &str, macs: &[MacAddr]) {
    let table = OnceCell::<T>::new();
    for (spread, how) in [(Spread::Uniform, "uniform"), (Spread::Zipf, "zipf")] {
        let asked = OnceCell::new();
        let asked = || asked.get_or_init(|| questions(macs, QUESTIONS, spread));
        group.bench_function(format!("{how}-burst/{size}/{}", T::NAME), |bencher| {
            bursts(bencher, filled(&table, macs), asked());
        });
        group.bench_function(format!("{how}-single/{size}/{}", T::NAME), |bencher| {
            singles(bencher, filled(&table, macs), asked());
        });
    }
}

/// Addresses that are there.
fn hits(criterion: &mut Criterion) {
    let mut group = group(criterion, "hit");
    for (size, entries) in sizes() {
        let macs = stations(entries, 0);
        look_ups_of::<MacTable>(&mut group, size, &macs);
        look_ups_of::<hashbrown::HashMap<_, _>>(&mut group, size, &macs);
        look_ups_of::<HashMap<_, _>>(&mut group, size, &macs);
    }
}

fn misses_of<T: Table>(group: &mut Group<'_>, macs: &[MacAddr]) {
    let table = OnceCell::<T>::new();
    let strangers = stations(QUESTIONS, 1);
    group
        .bench_function(format!("burst/100K/{}", T::NAME), |bencher| bursts(bencher, filled(&table, macs), &strangers));
    group.bench_function(format!("single/100K/{}", T::NAME), |bencher| {
        singles(bencher, filled(&table, macs), &strangers);
    });
}

/// Addresses that are not.
fn misses(criterion: &mut Criterion) {
    let mut group = group(criterion, "miss");
    let macs = stations(100_000, 0);
    misses_of::<MacTable>(&mut group, &macs);
    misses_of::<hashbrown::HashMap<_, _>>(&mut group, &macs);
    misses_of::<HashMap<_, _>>(&mut group, &macs);
}

/// New addresses into an empty table that is made for as many; making it is not measured.
fn learning_of<T: Table>(group: &mut Group<'_>, size: &str, macs: &[MacAddr]) {
    group.bench_function(format!("new/{size}/{}", T::NAME), |bencher| {
        bencher.iter_custom(|addresses| {
            let rounds = (addresses as usize).div_ceil(macs.len());
            let took = (0..rounds).map(|_| {
                let mut table = T::for_entries(macs.len());
                let begun = Instant::now();
                table.learn(macs, PORT, NOW);
                let took = begun.elapsed();
                black_box(&table);
                took
            });
            share(took.sum(), rounds * macs.len(), addresses)
        });
    });
    group.bench_function(format!("again/{size}/{}", T::NAME), |bencher| {
        let mut table = filled_now::<T>(macs);
        bencher.iter_custom(|addresses| {
            let rounds = (addresses as usize).div_ceil(macs.len());
            let begun = Instant::now();
            (0..rounds).for_each(|_| table.learn(macs, PORT, NOW));
            share(begun.elapsed(), rounds * macs.len(), addresses)
        });
    });
}

fn learning(criterion: &mut Criterion) {
    let mut group = group(criterion, "learn");
    for (size, entries) in sizes() {
        let macs = stations(entries, 0);
        learning_of::<MacTable>(&mut group, size, &macs);
        learning_of::<hashbrown::HashMap<_, _>>(&mut group, size, &macs);
        learning_of::<HashMap<_, _>>(&mut group, size, &macs);
    }
}

/// Once through a full table of which nothing is dead, and of which all is.
fn sweeps_of<T: Table>(group: &mut Group<'_>, macs: &[MacAddr]) {
    for (how, now) in [("none-dead", NOW), ("all-dead", NOW + AGEING)] {
        group.bench_function(format!("{how}/1M/{}", T::NAME), |bencher| {
            bencher.iter_custom(|addresses| {
                let rounds = (addresses as usize).div_ceil(macs.len());
                let took = (0..rounds).map(|_| {
                    let mut table = filled_now::<T>(macs);
                    let begun = Instant::now();
                    black_box(table.age(now));
                    begun.elapsed()
                });
                share(took.sum(), rounds * macs.len(), addresses)
            });
        });
    }
}

fn filled_now<T: Table>(macs: &[MacAddr]) -> T {
    let mut table = T::for_entries(macs.len());
    table.learn(macs, PORT, NOW);
    table
}

fn ageing(criterion: &mut Criterion) {
    let mut group = group(criterion, "age");
    let macs = stations(1 << 20, 0);
    sweeps_of::<MacTable>(&mut group, &macs);
    sweeps_of::<hashbrown::HashMap<_, _>>(&mut group, &macs);
    sweeps_of::<HashMap<_, _>>(&mut group, &macs);
    // What a worker spends on it once a second. Here an iteration is a call, not an address.
    let table = OnceCell::<MacTable>::new();
    group.bench_function("slice-a-second/1M/lanyard", |bencher| {
        let table = filled(&table, &macs);
        bencher.iter(|| table.sweep(NOW, table.slice(Millis(1000))));
    });
}

criterion_group!(benches, hits, misses, learning, ageing);
criterion_main!(benches);
