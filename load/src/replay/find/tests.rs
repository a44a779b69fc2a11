//! Does a recording with repeats, sent over a way that loses, delays and doubles frames, give the figures of that way?

use proptest::prelude::*;

use super::*;
use crate::Rate;
use crate::replay::{Pace, RecordedFrame, Speed};
use crate::result::LoadResult;
use crate::tally::{PortTally, Tally};

fn recording(frames: &[(u64, u8)], pace: Pace) -> Arc<Recording> {
    let frames = frames.iter().map(|(at_ns, octet)| RecordedFrame { at_ns: *at_ns, octets: vec![*octet; 60] });
    Arc::new(Recording::new(frames.collect(), pace).unwrap())
}

fn own(frames: &[(u64, u8)]) -> Arc<Recording> {
    recording(frames, Pace::Recorded(Speed::OWN))
}

/// Frames come, each at its time, which says itself how long it took; the result of all.
fn heard(all: &Arc<Recording>, rounds: u64, mut arrivals: Vec<(u64, u64)>) -> LoadResult {
    arrivals.sort_by_key(|(_, arrived_ns)| *arrived_ns);
    let (mut finder, mut port) = (Finder::new(Arc::clone(all), rounds), PortTally::new(0, 1));
    for (number, arrived_ns) in arrivals {
        port.take_recorded(&mut finder, all.frame(number), 0, 1, arrived_ns).unwrap();
    }
    let mut tally = Tally::new(None, 1.0);
    tally.sent(0, all.frames() * rounds, all.octets(all.frames() * rounds));
    tally.port(port);
    tally.result()
}

/// Lost, duplicates, reordered, and the least and the greatest latency with the number of them.
fn figures(result: &LoadResult) -> (u64, u64, u64, Option<(u64, u64, u64)>) {
    let latency = result.latency.map(|latency| (latency.min_ns, latency.max_ns, latency.samples));
    (result.lost, result.duplicates, result.reordered, latency)
}

/// The least time between two sendings of the same octets.
fn least_gap(all: &Recording, rounds: u64) -> u64 {
    let mut last = HashMap::new();
    let gap = |number| {
        let due = all.due_ns(number)?;
        last.insert(all.frame(number), due).map(|last| due - last)
    };
    (0..all.frames() * rounds).filter_map(gap).min().unwrap_or(u64::MAX)
}

#[test]
fn one_loss_is_one_loss() {
    let all = own(&[(0, 2), (10_000, 4), (20_000, 2), (30_000, 6)]);
    for lost in 0..12 {
        let numbers = (0..12).filter(|number| *number != lost);
        let result = heard(&all, 3, numbers.map(|number| (number, all.due_ns(number).unwrap() + 5_000)).collect());
        assert_eq!(figures(&result), (1, 0, 0, Some((5_000, 5_000, 11))), "{lost}");
    }
}

/// Nothing tells them apart: what came behind a lost one may be a late one.
#[test]
fn of_equal_frames_no_latency_is_made_up() {
    let all = own(&[(0, 2)]);
    let at = |number| all.due_ns(number).unwrap();
    let result =
        heard(&all, 9, (0..9).filter(|number| *number != 4).map(|number| (number, at(number) + 600)).collect());
    assert_eq!(figures(&result), (1, 0, 0, Some((600, 600, 4))));
    // A receiver that was held up takes up several at a time: none is missing, so that each is known.
    let result = heard(&all, 9, (0..9).map(|number| (number, at(number).max(4_000) + 600)).collect());
    assert_eq!(figures(&result), (0, 0, 0, Some((600, 4_600, 9))));
    // Those that were due at the same time all took as long.
    let all = own(&[(0, 2), (0, 2), (0, 2), (90_000, 4)]);
    let result = heard(&all, 1, (0..4).map(|number| (number, at_least(&all, number) + 700)).collect());
    assert_eq!(figures(&result), (0, 0, 0, Some((700, 700, 4))));
}

fn at_least(all: &Recording, number: u64) -> u64 {
    all.due_ns(number).unwrap_or(0)
}

#[test]
fn what_is_overtaken_is_reordered() {
    let all = own(&[(0, 2), (10_000, 4), (20_000, 6)]);
    let result = heard(&all, 2, vec![(0, 15_000), (1, 14_000), (2, 25_000), (3, 31_000), (4, 41_000), (5, 51_000)]);
    assert_eq!(figures(&result), (0, 0, 1, Some((1_000, 15_000, 6))));
    let max = recording(&[(0, 2), (10_000, 4), (20_000, 6)], Pace::At(Rate::Max));
    assert_eq!(figures(&heard(&max, 1, vec![(0, 2), (1, 1), (2, 3)])), (0, 0, 1, None));
}

#[test]
fn a_duplicate_is_no_other_frame() {
    let all = own(&[(0, 2), (10_000, 4), (20_000, 2)]);
    let twice = |number: u64| [(number, at_least(&all, number) + 10), (number, at_least(&all, number) + 20)];
    assert_eq!(figures(&heard(&all, 2, (0..6).flat_map(twice).collect())), (0, 6, 0, Some((10, 10, 6))));
    let without = (1..6).flat_map(twice).collect();
    assert_eq!(figures(&heard(&all, 2, without)), (1, 5, 0, Some((10, 10, 5))), "nor does it stand in for a lost one");
}

#[test]
fn what_was_not_sent_is_not_found() {
    let mut finder = Finder::new(own(&[(0, 2), (10_000, 4)]), 1);
    assert_eq!(finder.find(&[9; 60], 0), None);
    assert_eq!(finder.find(&[4; 60], 9_999), None, "somebody else said the same before");
    assert!(finder.find(&[4; 60], 10_000).is_some());
}

/// Times, and which of so many octets.
fn frames(span_ns: u64, kinds: u8) -> impl Strategy<Value = Vec<(u64, u8)>> {
    prop::collection::vec((0..span_ns, 0..kinds), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    /// On a way that keeps the order, whatever it loses and however long it takes.
    #[test]
    fn losses_are_counted_and_nothing_is_made_up(
        frames in frames(1_000_000, 4),
        rounds in 1u64..6,
        lost in prop::collection::vec(prop::bool::weighted(0.2), 240),
        shorter in any::<bool>(),
        delay in 0u64..3_000_000,
    ) {
        let all = own(&frames);
        let gap = least_gap(&all, rounds);
        let delay = if shorter { delay % gap.max(1) } else { delay };
        let numbers: Vec<u64> = (0..all.frames() * rounds).filter(|number| !lost[*number as usize]).collect();
        let result = heard(&all, rounds, numbers.iter().map(|number| (*number, all.due_ns(*number).unwrap() + delay)).collect());
        let (missing, duplicates, reordered, latency) = figures(&result);
        prop_assert_eq!((missing, duplicates, reordered, result.surplus), (result.expected - numbers.len() as u64, 0, 0, 0));
        if let Some((min, max, _)) = latency {
            prop_assert_eq!((min, max), (delay, delay));
        }
        if missing == 0 {
            prop_assert_eq!(latency.map(|(_, _, samples)| samples), Some(result.expected), "in the end all is sure");
        }
    }

    /// A way that holds frames up now and then: what is told of them is true, and where none is lost all is told.
    #[test]
    fn waiting_is_told_as_long_as_it_was(
        frames in frames(200_000, 3),
        rounds in 1u64..6,
        holds in prop::collection::vec((prop::bool::weighted(0.1), 0u64..300_000), 240),
        lost in prop::collection::vec(prop::bool::weighted(0.05), 240),
        lossless in any::<bool>(),
    ) {
        let all = own(&frames);
        let (mut clock, mut arrivals, mut waits) = (0, Vec::new(), Vec::new());
        for number in 0..all.frames() * rounds {
            let due = all.due_ns(number).unwrap();
            let (held, time) = holds[number as usize];
            if lossless || !lost[number as usize] {
                clock = clock.max(due + if held { time } else { 1_000 });
                arrivals.push((number, clock));
                waits.push(clock - due);
            }
        }
        let result = heard(&all, rounds, arrivals);
        let (missing, duplicates, reordered, latency) = figures(&result);
        prop_assert_eq!((missing, duplicates, reordered), (result.expected - waits.len() as u64, 0, 0));
        waits.sort_unstable();
        match latency {
            Some((min, max, samples)) if missing > 0 => {
                prop_assert!(waits.contains(&min) && waits.contains(&max) && samples <= waits.len() as u64);
            }
            Some((min, max, samples)) => {
                prop_assert_eq!((min, max, samples), (waits[0], waits[waits.len() - 1], waits.len() as u64));
                let mean = waits.iter().sum::<u64>() / samples;
                prop_assert_eq!(result.latency.map(|latency| latency.mean_ns), Some(mean));
            }
            None => prop_assert!(missing > 0),
        }
    }

    /// Where equal frames have others between them, a loss costs no latency but its own.
    #[test]
    fn a_round_of_different_frames_is_known_again(
        count in 2u8..30,
        rounds in 1u64..8,
        lost in prop::collection::vec(prop::bool::weighted(0.1), 240),
        delay in 0u64..50_000,
    ) {
        let all = own(&(0..count).map(|at| (u64::from(at) * 50_000, at * 2)).collect::<Vec<_>>());
        // Never so many in a row that a whole round is missing.
        let is_lost = |number: u64| lost[number as usize] && !number.is_multiple_of(u64::from(count));
        let numbers: Vec<u64> = (0..all.frames() * rounds).filter(|number| !is_lost(*number)).collect();
        let result = heard(&all, rounds, numbers.iter().map(|number| (*number, all.due_ns(*number).unwrap() + delay)).collect());
        let came = numbers.len() as u64;
        prop_assert_eq!(figures(&result), (result.expected - came, 0, 0, Some((delay, delay, came))));
    }

    /// A copy too much is a duplicate. At worst it stands for an equal frame that was lost; never does another count as lost.
    #[test]
    fn duplicates_lose_nothing(
        frames in frames(1_000_000, 5),
        rounds in 1u64..5,
        deeds in prop::collection::vec(0u8..10, 200),
        delay in any::<u64>(),
        lossless in any::<bool>(),
    ) {
        // Each at a time of its own.
        let mut frames = frames;
        frames.sort_unstable();
        (0..).zip(&mut frames).for_each(|(index, frame)| frame.0 += index * 10);
        let all = own(&frames);
        let gap = least_gap(&all, rounds);
        let delay = delay % (gap - 1).min(1_000_000);
        let (mut arrivals, mut dropped, mut doubled) = (Vec::new(), 0, 0);
        for number in 0..all.frames() * rounds {
            let arrived_ns = all.due_ns(number).unwrap() + delay;
            match deeds[number as usize] {
                0 if !lossless => dropped += 1,
                1 => {
                    arrivals.extend([(number, arrived_ns), (number, arrived_ns + 1)]);
                    doubled += 1;
                }
                _ => arrivals.push((number, arrived_ns)),
            }
        }
        let came = arrivals.len() as u64;
        let result = heard(&all, rounds, arrivals);
        prop_assert_eq!((result.received.frames + result.duplicates, result.surplus), (came, 0));
        prop_assert!(result.lost <= dropped && result.duplicates <= doubled, "{:?}", result);
        if dropped == 0 {
            prop_assert_eq!((result.lost, result.duplicates, result.reordered), (0, doubled, 0));
        }
    }

    /// Nothing is due at any time: it is counted.
    #[test]
    fn without_due_times_all_is_counted(
        frames in frames(1_000, 4),
        rounds in 1u64..6,
        deeds in prop::collection::vec(0u8..8, 240),
        doubling in any::<bool>(),
    ) {
        let all = recording(&frames, Pace::At(Rate::Max));
        let times = |number: u64| match deeds[number as usize] { 0 => 0, 1 if doubling => 2, _ => 1 };
        let numbers = 0..all.frames() * rounds;
        let arrivals: Vec<_> = numbers.clone().flat_map(|number| vec![(number, number); times(number)]).collect();
        let arrived = arrivals.len() as u64;
        let result = heard(&all, rounds, arrivals);
        let (mut sent, mut came) = (HashMap::<&[u8], u64>::new(), HashMap::<&[u8], u64>::new());
        for number in numbers {
            *sent.entry(all.frame(number)).or_default() += 1;
            *came.entry(all.frame(number)).or_default() += times(number) as u64;
        }
        let received = sent.iter().map(|(octets, sent)| came[octets].min(*sent)).sum::<u64>();
        prop_assert_eq!(result.latency, None);
        if doubling {
            // A second copy may be taken for an equal frame that was lost, or for the duplicate that it is; for nothing else.
            prop_assert!(result.received.frames <= received);
            prop_assert_eq!(result.received.frames + result.duplicates, arrived);
        } else {
            prop_assert_eq!((result.received.frames, result.duplicates, result.reordered), (received, 0, 0));
        }
    }

    /// Whatever comes, at whatever time: no more is received than was sent.
    #[test]
    fn no_more_comes_than_was_sent(
        frames in frames(50_000, 3),
        rounds in 1u64..4,
        arrivals in prop::collection::vec((0u8..4, 0u64..300_000), 0..200),
    ) {
        let all = own(&frames);
        let (mut finder, mut port) = (Finder::new(Arc::clone(&all), rounds), PortTally::new(0, 1));
        for (octet, arrived_ns) in arrivals {
            port.take_recorded(&mut finder, &[octet; 60], 0, 1, arrived_ns);
        }
        prop_assert!(port.received() <= all.frames() * rounds);
    }
}
