//! Does the table agree with a plain map that ages its entries by the book?

use hashbrown::HashMap;
use proptest::prelude::*;

use super::stress::Dice;
use super::*;

const AGEING: Millis = Millis(12_800);
const TICK: u64 = 100;

#[derive(Clone, Copy, Debug)]
enum Op {
    Learn(u64, u16),
    Lookup(u64),
    Burst(u64),
    Pass(u64),
    Warp(u64),
    Sweep(usize),
    Flush(u16),
    Static(u64, u16),
    Gateway(u64),
    Forget(u64),
    ForgetPort(u16),
}

fn op(macs: u64, ports: u16) -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => (0..macs, 0..ports).prop_map(|(mac, port)| Op::Learn(mac, port)),
        30 => (0..macs).prop_map(Op::Lookup),
        5 => (0..macs).prop_map(Op::Burst),
        10 => (0..500u64).prop_map(Op::Pass),
        4 => (0..20_000u64).prop_map(Op::Pass),
        1 => (0..10_000_000u64).prop_map(Op::Pass),
        2 => (0..20_000u64).prop_map(Op::Warp),
        5 => (1..40usize).prop_map(Op::Sweep),
        3 => (0..ports).prop_map(Op::Flush),
        1 => (0..macs, 0..ports).prop_map(|(mac, port)| Op::Static(mac, port)),
        1 => (0..macs).prop_map(Op::Gateway),
        2 => (0..macs).prop_map(Op::Forget),
        1 => (0..ports).prop_map(Op::ForgetPort),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Known {
    Learned { port: u16, tick: u64 },
    Static { port: u16 },
    Gateway,
}

/// What the table should be: a map, and a clock in ticks that never comes round.
#[derive(Default)]
struct Model {
    entries: HashMap<u64, Known>,
    moved: u64,
    /// Ticks that passed though no time did.
    warped: u64,
}

impl Model {
    fn live(&self, mac: u64, tick: u64) -> Option<Known> {
        self.entries.get(&mac).copied().filter(|known| match known {
            Known::Learned { tick: heard, .. } => tick - heard < 128,
            _ => true,
        })
    }

    fn learn(&mut self, mac: u64, port: u16, tick: u64) -> Learned {
        let answer = match self.live(mac, tick) {
            Some(Known::Gateway) => return Learned::Refused(LearnRefusal::Gateway),
            Some(Known::Static { port: holder }) if holder == port => return Learned::Refreshed,
            Some(Known::Static { port }) => return Learned::Refused(LearnRefusal::Static { port: PortId(port) }),
            Some(Known::Learned { port: from, .. }) if from != port => Learned::Moved { from: PortId(from) },
            Some(Known::Learned { .. }) => Learned::Refreshed,
            None => Learned::New,
        };
        self.moved += u64::from(matches!(answer, Learned::Moved { .. }));
        self.entries.insert(mac, Known::Learned { port, tick });
        answer
    }

    fn lookup(&self, mac: u64, tick: u64) -> Option<Destination> {
        self.live(mac, tick).map(|known| match known {
            Known::Learned { port, .. } | Known::Static { port } => Destination::Port(PortId(port)),
            Known::Gateway => Destination::Gateway,
        })
    }

    fn set_static(&mut self, mac: u64, port: u16) -> Result<(), EntryRefused> {
        if self.entries.get(&mac) == Some(&Known::Gateway) {
            return Err(EntryRefused::IsGateway);
        }
        self.entries.insert(mac, Known::Static { port });
        Ok(())
    }

    fn flush(&mut self, gone: u16, statics: bool) {
        self.entries.retain(|_, known| match known {
            Known::Learned { port, .. } => *port != gone,
            Known::Static { port } => !(statics && *port == gone),
            Known::Gateway => true,
        });
    }
}

/// The same operation on both; the answers have to be the same.
fn step(table: &MacTable, model: &mut Model, now: &mut Millis, op: Op) -> Result<(), TestCaseError> {
    let tick = now.0 / TICK + model.warped;
    match op {
        Op::Learn(m, port) => prop_assert_eq!(table.learn(mac(m), PortId(port), *now), model.learn(m, port, tick)),
        Op::Lookup(m) => prop_assert_eq!(table.lookup(mac(m), *now), model.lookup(m, tick)),
        Op::Burst(start) => {
            // More than two bursts, known and unknown, and a rest.
            let macs: Vec<MacAddr> = (start..start + 70).map(mac).collect();
            let mut found = vec![None; macs.len()];
            table.lookup_burst(&macs, *now, &mut found);
            for (m, found) in (start..).zip(found) {
                prop_assert_eq!(found, model.lookup(m, tick));
                prop_assert_eq!(table.lookup_sought(table.seek(mac(m)), *now), found);
            }
        }
        Op::Pass(millis) => *now = *now + Millis(millis),
        Op::Warp(millis) => {
            let alive = |model: &Model, tick| {
                model.entries.keys().filter(|m| matches!(model.live(**m, tick), Some(Known::Learned { .. }))).count()
            };
            let before = alive(model, tick);
            // By more than a life is by a life.
            model.warped += millis.div_ceil(TICK).min(128);
            let died = before - alive(model, now.0 / TICK + model.warped);
            prop_assert_eq!(table.warp(Millis(millis), *now), died);
        }
        Op::Sweep(buckets) => drop(table.sweep(*now, buckets)),
        Op::Flush(port) => {
            table.flush_port(PortId(port));
            model.flush(port, false);
        }
        Op::Static(m, port) => {
            prop_assert_eq!(table.set_static(mac(m), PortId(port)), model.set_static(m, port));
        }
        Op::Gateway(m) => {
            prop_assert_eq!(table.set_gateway(mac(m)), Ok(()));
            model.entries.insert(m, Known::Gateway);
        }
        Op::Forget(m) => {
            // A dead entry may have been cleared by now or not: only that it is gone is certain.
            table.forget(mac(m));
            model.entries.remove(&m);
        }
        Op::ForgetPort(port) => {
            table.forget_port(PortId(port));
            model.flush(port, true);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Fewer addresses than slots: they agree in everything.
    #[test]
    fn agrees_with_the_model(ops in proptest::collection::vec(op(24, 5), 1..3000)) {
        let table = table(64, AGEING, None);
        let (mut model, mut now) = (Model::default(), Millis(0));
        for op in ops {
            step(&table, &mut model, &mut now, op)?;
        }
        let tick = now.0 / TICK + model.warped;
        let live: Vec<u64> = (0..24).filter(|m| model.live(*m, tick).is_some()).collect();
        let listed: Vec<MacAddr> = table.entries(now).iter().map(|entry| entry.mac).collect();
        prop_assert_eq!(listed, live.iter().map(|m| mac(*m)).collect::<Vec<_>>());
        for entry in table.entries(now) {
            if let Some(Known::Learned { tick: heard, .. }) = model.live(entry.mac.to_u64() - mac(0).to_u64(), tick) {
                prop_assert_eq!(entry.age, Millis((tick - heard) * TICK));
            }
        }
        audit(&table);
        table.sweep(now, usize::MAX);
        table.sweep(now, usize::MAX);
        prop_assert_eq!(table.len(), live.len());
        prop_assert_eq!((table.counts().moved, table.counts().evicted), (model.moved, 0));
        audit(&table);
    }

    /// Far more addresses than it has room for: it never passes its capacity or a port's limit, and what it
    /// says it learned it knows.
    #[test]
    fn holds_its_capacity_and_knows_what_it_said_it_learned(
        ops in proptest::collection::vec(op(400, 6), 1..3000),
        limit in proptest::option::of(5..40u32),
    ) {
        let table = table(64, AGEING, limit);
        let (mut now, mut fixed) = (Millis(0), HashMap::new());
        for op in ops {
            match op {
                Op::Learn(m, port) => {
                    if let Learned::Refused(refusal) = table.learn(mac(m), PortId(port), now) {
                        prop_assert_ne!(refusal, LearnRefusal::Busy);
                    } else {
                        prop_assert_eq!(table.lookup(mac(m), now), Some(Destination::Port(PortId(port))));
                    }
                }
                Op::Lookup(m) | Op::Burst(m) => { table.lookup(mac(m), now); }
                Op::Pass(millis) => now = now + Millis(millis),
                Op::Warp(millis) => { table.warp(Millis(millis), now); }
                Op::Sweep(buckets) => { table.sweep(now, buckets); }
                Op::Flush(port) => table.flush_port(PortId(port)),
                Op::Static(m, port) => {
                    if table.set_static(mac(m), PortId(port)).is_ok() {
                        fixed.insert(m, Destination::Port(PortId(port)));
                    }
                }
                Op::Gateway(m) => {
                    if table.set_gateway(mac(m)).is_ok() {
                        fixed.insert(m, Destination::Gateway);
                    }
                }
                Op::Forget(m) => { table.forget(mac(m)); fixed.remove(&m); }
                Op::ForgetPort(port) => {
                    table.forget_port(PortId(port));
                    fixed.retain(|_, at| *at != Destination::Port(PortId(port)));
                }
            }
            prop_assert!(table.tally.total() <= 64);
            prop_assert!((0..6).all(|port| table.learned_on(PortId(port)) <= limit.unwrap_or(64)));
        }
        prop_assert!(fixed.iter().all(|(m, at)| table.lookup(mac(*m), now) == Some(*at)));
        audit(&table);
    }
}

/// One of the operations, as often as in [`op`].
fn rolled(dice: &mut Dice, macs: u64, ports: u64) -> Op {
    let (m, port) = (dice.below(macs), dice.below(ports) as u16);
    match dice.below(1000) {
        0..450 => Op::Learn(m, port),
        450..850 => Op::Lookup(m),
        850..870 => Op::Burst(m),
        870..930 => Op::Pass(dice.below(500)),
        930..940 => Op::Pass(dice.below(20_000)),
        940..945 => Op::Warp(dice.below(20_000)),
        945..980 => Op::Sweep(dice.below(40) as usize + 1),
        980..985 => Op::Flush(port),
        985..990 => Op::Static(m, port),
        990..993 => Op::Gateway(m),
        993..999 => Op::Forget(m),
        _ => Op::ForgetPort(port),
    }
}

/// Two million steps, on tables from the smallest to one of thousands: they agree in everything.
#[test]
fn agrees_with_the_model_for_millions_of_steps() {
    for (capacity, macs, steps) in [(64, 24, 800_000), (128, 60, 600_000), (1024, 500, 500_000), (8192, 4000, 200_000)]
    {
        let table = table(capacity, AGEING, None);
        let (mut model, mut now, mut dice) = (Model::default(), Millis(0), Dice(capacity as u64));
        for number in 0..steps {
            let op = rolled(&mut dice, macs, 5);
            if let Err(error) = step(&table, &mut model, &mut now, op) {
                panic!("step {number} with {capacity} entries, {op:?}: {error}");
            }
        }
        audit(&table);
        assert_eq!((table.counts().moved, table.counts().evicted), (model.moved, 0));
    }
}
