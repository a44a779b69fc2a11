//! Do frames meet what the line's faults promise?

use super::held::{Held, OpenLine};
use super::*;

const NETWORK: NetworkId = NetworkId(1);
const PORT: PortId = PortId(2);

fn line(faults: &[(&str, Direction)], seed: u64) -> Line {
    let fault = |(id, (kind, direction)): (u32, &(&str, Direction))| {
        let everything = (String::new(), Admission::everything());
        Arc::new(LineFault::new(id, kind.parse().unwrap(), *direction, everything, seed, Millis(1000)))
    };
    Line((1..).zip(faults).map(fault).collect())
}

fn numbered(number: u32) -> Frame {
    let mut octets = vec![2; 14];
    octets.extend(number.to_be_bytes());
    Frame::from_octets(&octets)
}

/// What comes out of a line that so many frames go into, each a millisecond after the other, and then nothing.
fn through(kind: &str, seed: u64, frames: u32) -> Vec<(u32, bool, Vec<Injected>)> {
    let (line, mut held) = (line(&[(kind, Direction::Both)], seed), Held::default());
    let mut out_of_it = Vec::new();
    let mut take = |held: &mut Held| {
        while let Some(passed) = held.next() {
            let mut frame = Frame::empty();
            passed.write(&mut frame);
            let number = frame.octets()[14..].try_into().map(u32::from_be_bytes).unwrap();
            out_of_it.push((number, passed.lost, passed.told));
        }
    };
    for number in 0..frames {
        let now = u64::from(number) * 1_000_000;
        held.release(now);
        let frame = numbered(number);
        let fate = line.fate(Way::In, NETWORK, PORT, &frame, Millis(1));
        held.meet(&frame, &fate, None, now);
        take(&mut held);
    }
    held.release(u64::MAX);
    take(&mut held);
    out_of_it
}

fn numbers(seen: &[(u32, bool, Vec<Injected>)]) -> Vec<u32> {
    seen.iter().filter(|(_, lost, _)| !lost).map(|(number, ..)| *number).collect()
}

/// Is a count of `trials` with this chance one that 999 of 1,000 runs would have? (The normal approximation: 3.29 sigma.)
fn likely(count: usize, trials: u32, chance: f64) -> bool {
    let (mean, trials) = (f64::from(trials) * chance, f64::from(trials));
    let count = u32::try_from(count).map_or(f64::MAX, f64::from);
    (count - mean).abs() <= 3.29 * (trials * chance * (1.0 - chance)).sqrt()
}

#[test]
fn chance_is_as_often_as_it_was_asked_for() {
    for seed in [1, 2, 3] {
        for (share, chance) in [("10%", 0.1), ("1%", 0.01), ("50%", 0.5), ("0.5%", 0.005)] {
            let count = |kind: &str, met: fn(&[Injected]) -> bool| {
                through(&format!("{kind} {share}"), seed, 20_000).iter().filter(|(.., told)| met(told)).count()
            };
            let counts = [
                count("drop", |told| told == [Injected::Dropped]),
                count("dup", |told| told == [Injected::Copy]),
                count("corrupt", |told| matches!(told, [Injected::Corrupted { .. }])),
            ];
            assert!(counts.iter().all(|count| likely(*count, 20_000, chance)), "{share} with {seed}: {counts:?}");
        }
    }
    assert!(!likely(1200, 10_000, 0.1) && !likely(800, 10_000, 0.1), "the bounds are bounds");
}

#[test]
fn every_fifth_is_every_fifth() {
    let kept: Vec<u32> = (0..100).filter(|number| number % 5 != 4).collect();
    assert_eq!(numbers(&through("drop every 5", 1, 100)), kept);
    assert_eq!(numbers(&through("drop 100%", 1, 100)), [0_u32; 0]);
    assert_eq!(numbers(&through("dup every 2", 1, 4)), [0, 1, 1, 2, 3, 3]);
    assert_eq!(numbers(&through("reorder every 2", 1, 6)), [0, 2, 1, 4, 3, 5]);
    assert_eq!(numbers(&through("reorder 100%", 1, 5)), [1, 0, 3, 2, 4], "the last waits no longer than it may");
}

#[test]
fn the_same_seed_and_frames_meet_the_same() {
    for kind in ["drop 10%", "dup 10%", "reorder 10%", "corrupt 10%", "delay 20ms 20ms"] {
        let first = through(kind, 7, 2000);
        assert_eq!(first, through(kind, 7, 2000), "{kind}");
        assert_ne!(first, through(kind, 8, 2000), "{kind}");
    }
}

#[test]
fn one_bit_behind_the_header_is_turned_over() {
    let (line, mut held) = (line(&[("corrupt 100%", Direction::Both)], 5), Held::default());
    for number in 0..200 {
        let frame = numbered(number);
        held.meet(&frame, &line.fate(Way::In, NETWORK, PORT, &frame, Millis(1)), None, 0);
        let mut out = Frame::empty();
        held.next().unwrap().write(&mut out);
        let turned: u32 = frame.octets().iter().zip(out.octets()).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert!(turned == 1 && frame.octets()[..14] == out.octets()[..14]);
    }
    let short = Frame::from_octets(&[2; 14]);
    assert!(line.fate(Way::In, NETWORK, PORT, &short, Millis(1)).bit.is_none(), "there is nothing behind the header");
}

#[test]
fn delays_are_kept_and_what_does_not_fit_is_lost() {
    let line = line(&[("delay 50ms 10ms", Direction::Both)], 1);
    let mut held = Held::default();
    for number in 0..5000 {
        let fate = line.fate(Way::Out, NETWORK, PORT, &numbered(number), Millis(1));
        let by = fate.delay.unwrap();
        assert!((40..=60).contains(&by.0), "{by:?}");
        held.meet(&numbered(number), &fate, None, 0);
    }
    let mut lost = 0;
    while let Some(passed) = held.next() {
        assert!(passed.lost && passed.told == [Injected::Overflowed]);
        lost += 1;
    }
    assert_eq!(lost, 5000 - 4096);
    held.release(39_999_999);
    assert!(held.next().is_none());
    held.release(60_000_000);
    assert_eq!(std::iter::from_fn(|| held.next()).count(), 4096);
    let open = OpenLine::new(Arc::new(Line::default()));
    assert!(open.is_empty() && open.due().is_none());
}

#[test]
fn a_fault_has_its_direction_its_time_and_its_frames() {
    let both = line(&[("drop 100%", Direction::In), ("delay 1ms", Direction::Out)], 1);
    let frame = Frame::from_octets(&[2; 60]);
    let ask = |way, now| both.fate(way, NETWORK, PORT, &frame, Millis(now));
    assert!(ask(Way::In, 999).lost && !ask(Way::Out, 999).lost && ask(Way::Out, 999).delay.is_some());
    assert!(!ask(Way::In, 1000).lost && ask(Way::Out, 1000).delay.is_none());
    assert!(!both.is_over(Millis(999)) && both.is_over(Millis(1000)));
    assert_eq!((both.0[0].counts(), both.0[1].counts()), ((1, 1), (2, 2)));
    let filter: trace::filter::Filter = "arp".parse().unwrap();
    let admission = ("arp".to_owned(), filter.compile(&()));
    let kind = "drop 100%".parse().unwrap();
    let line = Line(vec![Arc::new(LineFault::new(1, kind, Direction::Both, admission, 1, Millis(1000)))]);
    let mut request = Frame::empty();
    arp::packet::request(&mut request, frame::MacAddr([2; 6]), [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    assert!(line.fate(Way::In, NETWORK, PORT, &request, Millis(1)).lost);
    assert!(!line.fate(Way::In, NETWORK, PORT, &frame, Millis(1)).lost);
}
