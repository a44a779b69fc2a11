//! Is what was done to frames exactly what the tally says? Each frame is dropped, doubled, damaged or sent to a wrong port
//! by choice, all are shuffled, and the counts and every single answer must be those of a model that remembers everything.

use std::collections::HashMap;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::signature::{SIGNATURE_OCTETS, Signature, sign};

const MARK: u16 = 0x1a7e;
const PORTS: u8 = 3;

fn frame(stream: u8, port: u8, number: u64, due_ns: u64, octets: usize) -> Vec<u8> {
    let mut frame = vec![0x5a; octets.max(14 + SIGNATURE_OCTETS)];
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    sign(&mut frame, Signature { mark: MARK, stream, port, number, due_ns });
    frame
}

/// Numbers come in this order; which are reordered, and by how much?
fn arrivals(numbers: &[u64]) -> Vec<Arrival> {
    let mut port = PortTally::new(MARK, 0);
    numbers.iter().map(|number| port.take(&frame(0, 0, *number, 0, 60), 1)).collect()
}

#[test]
fn a_late_frame_counts_back_to_the_first_that_overtook_it() {
    // 4, 5 and 6 come 4, 5 and 6 frames after 7 did.
    let told = arrivals(&[1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11]);
    let late: Vec<_> = told.iter().filter(|arrival| **arrival != Arrival::InOrder).collect();
    assert_eq!(late, [4, 5, 6].map(|by| Arrival::Reordered { by }).iter().collect::<Vec<_>>());
}

#[test]
fn a_duplicate_does_not_count_as_overtaken() {
    assert_eq!(arrivals(&[1, 1, 1, 0, 0])[3..], [Arrival::Reordered { by: 1 }, Arrival::Duplicate]);
}

#[test]
fn more_gaps_than_are_remembered_give_at_least_that() {
    let mut numbers: Vec<u64> = (1..=GAPS as u64 + 10).map(|number| number * 2).collect();
    numbers.push(1);
    assert_eq!(arrivals(&numbers).last(), Some(&Arrival::Reordered { by: GAPS as u64 }));
}

#[test]
fn what_fell_out_of_the_window_is_too_old() {
    let mut port = PortTally::with_window(MARK, 0, 64);
    let told = [100, 37, 36].map(|number| port.take(&frame(9, 0, number, 0, 60), 1));
    assert_eq!(told, [Arrival::InOrder, Arrival::Reordered { by: 1 }, Arrival::TooOld]);
    let (stream, tally) = port.streams().next().unwrap();
    assert_eq!((stream, tally.highest(), tally.received, tally.too_old), (9, Some(100), 2, 1));
}

#[test]
fn a_stream_may_flood_and_not_flood() {
    let mut tally = Tally::new(None, 1.0);
    tally.sent(4, 2, 120);
    tally.flooded(4, 2, 1, 60);
    let mut ports = [PortTally::new(MARK, 0), PortTally::new(MARK, 1)];
    for (at, to, number) in [(0, 0, 0), (1, 1, 1), (0, ANY_PORT, 2), (1, ANY_PORT, 2), (0, 1, 1)] {
        ports[at].take(&frame(4, to, number, 0, 60), 1);
    }
    for port in ports {
        tally.port(port);
    }
    let result = tally.result();
    assert_eq!((result.sent.frames, result.sent.octets, result.expected), (3, 180, 4));
    assert_eq!((result.received.frames, result.lost, result.misdelivered), (4, 0, 1));
}

/// A broadcast that is sent back out of its sender's port does not stand in for one that a receiver lost.
#[test]
fn what_comes_back_to_its_sender_is_misdelivered() {
    let mut tally = Tally::new(None, 1.0);
    tally.flooded(4, 2, 2, 120);
    tally.sent(4 | ERRORED, 1, 60);
    let mut ports = [PortTally::new(MARK, 0), PortTally::new(MARK, 1), PortTally::new(MARK, 2)];
    ports[0].sends(4);
    ports[0].sends(4);
    for (at, stream, to, number) in
        [(0, 4, ANY_PORT, 0), (1, 4, ANY_PORT, 0), (1, 4, ANY_PORT, 1), (2, 4, ANY_PORT, 1), (0, 4 | ERRORED, 1, 0)]
    {
        ports[at].take(&frame(stream, to, number, 0, 60), 1);
    }
    let again = ports[0].take(&frame(4, 0, 1, 0, 60), 1);
    assert_eq!(again, Arrival::Misdelivered { should_be: 0 }, "even if it is for that port");
    assert_eq!(ports[0].take(&frame(5, ANY_PORT, 0, 0, 60), 1), Arrival::InOrder, "another stream is not");
    for port in ports {
        tally.port(port);
    }
    let result = tally.result();
    let stream = &result.streams[0];
    assert_eq!((stream.expected, stream.received, stream.lost, stream.misdelivered), (4, 3, 1, 2));
    assert_eq!(result.errored.map(|errored| errored.forwarded), Some(1));
}

#[test]
fn loss_of_one_stream_is_not_hidden_by_a_surplus_of_another() {
    let mut tally = Tally::new(None, 1.0);
    tally.sent(0, 3, 180);
    let mut port = PortTally::new(MARK, 0);
    (0..2).for_each(|number| assert_eq!(port.take(&frame(1, 0, number, 0, 60), 1), Arrival::InOrder));
    tally.port(port);
    let result = tally.result();
    assert_eq!((result.lost, result.surplus, result.streams.len()), (3, 2, 2));
}

/// What is done to one copy of a frame that should come out of one port.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Deed {
    Drop,
    Deliver,
    Double,
    Damage,
    Disguise,
    Mislead,
    DoubleAndDamage,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => Just(Deed::Drop),
        9 => Just(Deed::Deliver),
        2 => Just(Deed::Double),
        1 => Just(Deed::Damage),
        1 => Just(Deed::Disguise),
        1 => Just(Deed::Mislead),
        1 => Just(Deed::DoubleAndDamage),
    ]
}

/// A copy on its way.
#[derive(Clone, Debug)]
struct Copy {
    port: u8,
    stream: u8,
    number: u64,
    due_ns: u64,
    octets: Vec<u8>,
    /// What it must be taken for, whatever came before.
    surely: Option<Arrival>,
}

/// What a model that remembers all numbers says, one port and stream.
#[derive(Default)]
struct Model {
    came: Vec<u64>,
}

impl Model {
    fn take(&mut self, number: u64) -> Arrival {
        if self.came.contains(&number) {
            return Arrival::Duplicate;
        }
        self.came.push(number);
        let before = self.came.len() - 1;
        match self.came.iter().position(|other| *other > number) {
            Some(at) => Arrival::Reordered { by: (before - at) as u64 },
            None => Arrival::InOrder,
        }
    }
}

type Plan = Vec<(u8, Option<u8>, usize, [Deed; PORTS as usize])>;

/// Sends the plan: returns what was sent, and the copies in their order.
fn copies(plan: &Plan, tally: &mut Tally) -> Vec<Copy> {
    let mut numbers: HashMap<u8, u64> = HashMap::new();
    let mut copies = Vec::new();
    for (at, (stream, to, size, deeds)) in plan.iter().enumerate() {
        let number = numbers.entry(*stream).or_default();
        let due_ns = at as u64 * 100;
        let good = frame(*stream, to.unwrap_or(ANY_PORT), *number, due_ns, *size);
        match to {
            Some(_) => tally.sent(*stream, 1, good.len() as u64),
            None => tally.flooded(*stream, u64::from(PORTS), 1, good.len() as u64),
        }
        for port in (0..PORTS).filter(|port| to.is_none_or(|to| to == *port)) {
            let copy = Copy { port, stream: *stream, number: *number, due_ns, octets: good.clone(), surely: None };
            copies.extend(done(deeds[usize::from(port)], copy, *to));
        }
        *number += 1;
    }
    copies
}

fn done(deed: Deed, copy: Copy, to: Option<u8>) -> Vec<Copy> {
    let mut damaged = Copy { surely: Some(Arrival::Damaged), ..copy.clone() };
    damaged.octets[20] ^= 0x10;
    let mut disguised = Copy { surely: Some(Arrival::Foreign), ..copy.clone() };
    let mark = copy.octets.len() - SIGNATURE_OCTETS;
    disguised.octets[mark] ^= 1;
    match (deed, to) {
        (Deed::Drop, _) => vec![],
        (Deed::Double, _) => vec![copy.clone(), copy],
        (Deed::Damage, _) => vec![damaged],
        (Deed::Disguise, _) => vec![disguised],
        (Deed::DoubleAndDamage, _) => vec![copy.clone(), damaged, copy],
        (Deed::Mislead, Some(should_be)) => {
            vec![Copy { port: (copy.port + 1) % PORTS, surely: Some(Arrival::Misdelivered { should_be }), ..copy }]
        }
        (Deed::Mislead, None) | (Deed::Deliver, _) => vec![copy],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn the_tally_tells_what_was_done(
        plan in prop::collection::vec((0u8..4, prop::option::weighted(0.7, 0..PORTS), 50usize..80, [deed(), deed(), deed()]), 0..120),
        seed in any::<u64>(),
        disorder in 1u64..60,
    ) {
        let mut tally = Tally::new(None, 1.0);
        let mut copies = copies(&plan, &mut tally);
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
        let mut at = 0;
        copies.sort_by_cached_key(|_| { at += 1; at + random.random_range(0..disorder) });

        let mut ports: Vec<PortTally> = (0..PORTS).map(|port| PortTally::new(MARK, port)).collect();
        let mut models: HashMap<(u8, u8), Model> = HashMap::new();
        let mut told = Vec::new();
        let mut latencies = Vec::new();
        for (at, copy) in copies.iter().enumerate() {
            let arrived_ns = at as u64 * 100 + 50;
            let expected = copy.surely.unwrap_or_else(|| models.entry((copy.port, copy.stream)).or_default().take(copy.number));
            let arrival = ports[usize::from(copy.port)].take(&copy.octets, arrived_ns);
            prop_assert_eq!(arrival, expected, "{:?}", copy);
            if matches!(arrival, Arrival::InOrder | Arrival::Reordered { .. }) {
                latencies.push(arrived_ns.saturating_sub(copy.due_ns));
            }
            told.push((copy.port, copy.stream, arrival));
        }
        for port in ports {
            tally.port(port);
        }
        let result = tally.result();

        let count = |wanted: fn(&Arrival) -> bool| told.iter().filter(|(_, _, arrival)| wanted(arrival)).count() as u64;
        let received = count(|arrival| matches!(arrival, Arrival::InOrder | Arrival::Reordered { .. }));
        prop_assert_eq!(result.sent.frames, plan.len() as u64);
        prop_assert_eq!(result.expected, plan.iter().map(|(_, to, ..)| if to.is_some() { 1 } else { u64::from(PORTS) }).sum::<u64>());
        prop_assert_eq!(result.received.frames, received);
        prop_assert_eq!(result.lost + received, result.expected);
        prop_assert_eq!(result.surplus, 0);
        prop_assert_eq!(result.duplicates, count(|arrival| *arrival == Arrival::Duplicate));
        prop_assert_eq!(result.reordered, count(|arrival| matches!(arrival, Arrival::Reordered { .. })));
        prop_assert_eq!(result.misdelivered, count(|arrival| matches!(arrival, Arrival::Misdelivered { .. })));
        prop_assert_eq!(result.damaged, count(|arrival| *arrival == Arrival::Damaged));
        prop_assert_eq!(result.foreign, count(|arrival| *arrival == Arrival::Foreign));
        let extent = |(_, _, arrival): &(u8, u8, Arrival)| if let Arrival::Reordered { by } = arrival { *by } else { 0 };
        prop_assert_eq!(result.reordering_extent, told.iter().map(extent).max().unwrap_or(0));

        // The parts make the whole.
        prop_assert_eq!(result.streams.iter().map(|stream| stream.received).sum::<u64>(), received);
        prop_assert_eq!(result.ports.iter().map(|port| port.received.frames).sum::<u64>(), received);
        prop_assert_eq!(result.ports.iter().map(|port| port.received.octets).sum::<u64>(), result.received.octets);
        for stream in &result.streams {
            let reordered = told.iter().filter(|(_, number, _)| *number == stream.stream).filter(|one| extent(one) > 0).count();
            prop_assert_eq!(stream.reordered, reordered as u64);
        }
        let latency = result.latency.map(|latency| (latency.min_ns, latency.max_ns, latency.samples));
        prop_assert_eq!(latency, latencies.iter().min().map(|min| (*min, *latencies.iter().max().unwrap(), received)));
    }

    #[test]
    fn garbage_is_counted_and_harmless(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..40)) {
        let mut port = PortTally::new(MARK, 0);
        for frame in &frames {
            port.take(frame, 0);
        }
        prop_assert_eq!(port.foreign() + port.damaged(), frames.len() as u64);
        prop_assert_eq!(port.received(), 0);
    }
}
