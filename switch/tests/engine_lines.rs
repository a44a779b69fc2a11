//! What does the engine do with frames on a line that is bad on purpose? On memory ports, with one worker and with two.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its bench has failed")]

mod engine_bench;

use std::time::{Duration, Instant};

use engine_bench::{Bench, for_each_worker_count, frame, host_mac};
use frame::{DropReason, FrameNumber, MacAddr, Millis, OffloadHeader, PortId, Step, Verdict};
use lanyard_switch as switch;
use ports::Port;
use switch::engine::TraceSink;
use switch::engine::line::LineFault;
use switch::engine::line::spec::Direction;
use trace::RawRecord;
use trace::filter::{Admission, Filter};

fn add(bench: &Bench, port: u16, fault: &str, direction: Direction, lasts: Millis) -> std::sync::Arc<LineFault> {
    add_matching(bench, port, fault, direction, lasts, "")
}

fn add_matching(
    bench: &Bench,
    port: u16,
    fault: &str,
    direction: Direction,
    lasts: Millis,
    filter: &str,
) -> std::sync::Arc<LineFault> {
    let admission = filter.parse::<Filter>().unwrap().compile(&());
    let until = bench.engine.clock().now() + lasts;
    let fault = LineFault::new(1, fault.parse().unwrap(), direction, (filter.to_owned(), admission), 42, until);
    bench.engine.add_fault(PortId(port), fault)
}

const LONG: Millis = Millis::from_secs(600);

/// Two ports whose stations know each other.
fn bench(workers: usize) -> Bench {
    let bench = Bench::new(workers, 3, |_| true);
    for port in 0..3 {
        bench.send(port, &frame(MacAddr::BROADCAST, host_mac(port), b"hello"));
    }
    for port in 0..3 {
        assert_eq!(bench.arrivals(port).len(), 2);
    }
    bench
}

/// Send so many numbered frames from port 0 to port 1, no faster than they arrive; the numbers that arrived.
fn numbers(bench: &Bench, frames: u32) -> Vec<u32> {
    let mut seen = Vec::new();
    let take = |seen: &mut Vec<u32>| {
        while let Some((octets, _)) = bench.peers[1].recv() {
            seen.push(octets[14..18].try_into().map(u32::from_be_bytes).unwrap());
        }
    };
    for number in 0..frames {
        while !bench.peers[0].send(&frame(host_mac(1), host_mac(0), &number.to_be_bytes()), OffloadHeader::NONE) {
            take(&mut seen);
            std::thread::yield_now();
        }
        take(&mut seen);
    }
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(150) {
        let before = seen.len();
        take(&mut seen);
        if seen.len() > before {
            quiet = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    seen
}

#[test]
fn every_fifth_is_lost_on_its_way_in_or_out_and_counted() {
    for_each_worker_count(|workers| {
        for (port, direction) in [(0, Direction::In), (1, Direction::Out)] {
            let bench = bench(workers);
            let fault = add(&bench, port, "drop every 5", direction, LONG);
            let expected: Vec<u32> = (0..500).filter(|number| number % 5 != 4).collect();
            assert_eq!(numbers(&bench, 500), expected, "{direction:?}");
            bench.expect_drops(DropReason::FaultInjected, 100);
            assert_eq!(bench.counts[port as usize].sum(|count| count.drops.get()), 100);
            assert_eq!(fault.counts(), (500, 100));
        }
    });
}

#[test]
fn a_tenth_is_lost_and_the_same_tenth_with_the_same_seed() {
    let lost = |direction| {
        let bench = bench(1);
        add(&bench, u16::from(direction == Direction::Out), "drop 10%", direction, LONG);
        let seen = numbers(&bench, 10_000);
        assert!(seen.is_sorted() && (8901..=9099).contains(&seen.len()), "{} of 10,000: 3.29 sigma are 99", seen.len());
        seen
    };
    assert_eq!(lost(Direction::In), lost(Direction::In));
    assert_ne!(lost(Direction::In), lost(Direction::Out), "each way has its own dice");
}

#[test]
fn frames_arrive_twice_late_and_in_another_order() {
    for_each_worker_count(|workers| {
        for direction in [Direction::In, Direction::Out] {
            let port = u16::from(direction == Direction::Out);
            let with = |fault: &str, frames| {
                let bench = bench(workers);
                add(&bench, port, fault, direction, LONG);
                numbers(&bench, frames)
            };
            assert_eq!(with("dup every 2", 4), [0, 1, 1, 2, 3, 3]);
            assert_eq!(with("reorder every 2", 6), [0, 2, 1, 4, 3, 5]);
            let bench = bench(workers);
            add(&bench, port, "delay 80ms", direction, LONG);
            let sent = Instant::now();
            bench.send(0, &frame(host_mac(1), host_mac(0), b"late"));
            assert_eq!(bench.arrivals(1).len(), 1);
            let took = sent.elapsed();
            assert!(took >= Duration::from_millis(80), "{took:?}");
            let (many, sent) = (numbers(&bench, 200), Instant::now());
            assert_eq!(many, (0..200).collect::<Vec<_>>(), "a steady delay changes no order");
            assert!(sent.elapsed() < Duration::from_secs(5));
        }
    });
}

#[test]
fn a_line_is_good_again_after_its_time_and_when_it_is_mended() {
    for_each_worker_count(|workers| {
        let bench = bench(workers);
        let there = || frame(host_mac(1), host_mac(0), b"x");
        add(&bench, 0, "drop 100%", Direction::Both, Millis(300));
        bench.send(0, &there());
        bench.expect_drops(DropReason::FaultInjected, 1);
        assert_eq!(bench.engine.faults().len(), 1);
        std::thread::sleep(Duration::from_millis(310));
        bench.send(0, &there());
        assert_eq!(bench.arrivals(1).len(), 1);
        assert!(bench.engine.faults().is_empty());
        add(&bench, 0, "delay 30s", Direction::Both, LONG);
        bench.send(0, &there());
        std::thread::sleep(Duration::from_millis(50));
        assert!(bench.peers[1].recv().is_none());
        assert_eq!(bench.engine.remove_faults(|port, _| port == PortId(0)).len(), 1);
        assert_eq!(bench.arrivals(1).len(), 1, "what was under way arrives at once");
        bench.send(0, &there());
        assert_eq!(bench.arrivals(1).len(), 1);
    });
}

#[test]
fn a_port_that_goes_takes_its_faults_along() {
    let bench = bench(2);
    add(&bench, 0, "delay 50ms", Direction::Both, LONG);
    add(&bench, 1, "drop 100%", Direction::Both, LONG);
    bench.send(0, &frame(host_mac(2), host_mac(0), b"under way"));
    bench.engine.detach(PortId(0));
    assert_eq!(bench.engine.faults().iter().map(|(port, _)| port.0).collect::<Vec<_>>(), [1]);
    let (queues, peer) = ports::memory::pair("m0", 2, 64, true).unwrap();
    bench.engine.attach(PortId(0), queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Port>).collect());
    bench.publish(&[0, 1, 2]);
    assert!(peer.send(&frame(host_mac(2), host_mac(0), b"at once"), OffloadHeader::NONE));
    let sent = Instant::now();
    let arrived = bench.arrivals(2);
    assert!(arrived.iter().any(|octets| octets.ends_with(b"at once")), "{arrived:?}");
    assert!(sent.elapsed() < Duration::from_millis(400));
}

#[test]
fn only_frames_of_the_filter_meet_it() {
    let bench = bench(1);
    add_matching(&bench, 0, "drop 100%", Direction::In, LONG, "ether proto 0x0806");
    bench.send(0, &frame(host_mac(1), host_mac(0), b"not arp"));
    assert_eq!(bench.arrivals(1).len(), 1);
    let mut request = frame::Frame::empty();
    arp::packet::request(&mut request, host_mac(0), [10, 0, 0, 10].into(), [10, 0, 0, 11].into());
    bench.send(0, request.octets());
    bench.expect_drops(DropReason::FaultInjected, 1);
    assert!(bench.arrivals(1).is_empty());
}

fn records(sink: &TraceSink) -> Vec<RawRecord> {
    let mut all: Vec<RawRecord> = Vec::new();
    let quiet = Instant::now() + Duration::from_millis(300);
    while Instant::now() < quiet {
        all.extend(sink.rings.iter().flat_map(|ring| std::iter::from_fn(|| ring.pop())).map(|record| *record));
        std::thread::sleep(Duration::from_millis(1));
    }
    all.sort_by_key(|record| record.number);
    all
}

#[test]
fn the_trace_says_that_it_was_the_line() {
    use frame::step::Injected;
    let bench = bench(1);
    let sink = TraceSink::new(2, 256, Admission::everything());
    bench.engine.trace(Some(&sink));
    let on = |port: u16, what| Step::Faulted { port: PortId(port), what };
    let mend = || drop(bench.engine.remove_faults(|_, _| true));
    let sent = Step::Sent { port: PortId(1) };
    let story = || {
        bench.send(0, &frame(host_mac(1), host_mac(0), b"x"));
        records(&sink)
    };
    let (last, before) = (|records: &[RawRecord]| records.last().unwrap().steps.clone(), FrameNumber(0));

    add(&bench, 0, "drop 100%", Direction::In, LONG);
    let told = story();
    assert_eq!((told.len(), told[0].verdict), (1, Verdict::Drop(DropReason::FaultInjected)));
    assert!(told[0].steps == [on(0, Injected::Dropped)] && told[0].number > before && told[0].port == Some(PortId(0)));
    mend();

    add(&bench, 1, "drop 100%", Direction::Out, LONG);
    let told = last(&story());
    let not_sent = Step::NotSent { port: PortId(1), reason: DropReason::FaultInjected };
    assert_eq!(told[told.len() - 2..], [on(1, Injected::Dropped), not_sent]);
    mend();

    add(&bench, 0, "delay 20ms", Direction::In, LONG);
    add(&bench, 0, "corrupt 100%", Direction::In, LONG);
    let told = last(&story());
    assert!(matches!(told[0], Step::Faulted { what: Injected::Corrupted { .. }, .. }), "{told:?}");
    assert_eq!((told[1], told[2]), (on(0, Injected::Delayed { by: Millis(20) }), Step::Admitted));
    assert_eq!(told.last(), Some(&sent));
    mend();

    add(&bench, 1, "delay 20ms", Direction::Out, LONG);
    let told = last(&story());
    assert_eq!(told[told.len() - 2..], [on(1, Injected::Delayed { by: Millis(20) }), sent]);
    mend();

    add(&bench, 1, "dup 100%", Direction::Out, LONG);
    let told = last(&story());
    assert_eq!(told[told.len() - 2..], [on(1, Injected::Duplicated), sent]);
    mend();

    add(&bench, 0, "dup 100%", Direction::In, LONG);
    let told = story();
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].steps[0], told[1].steps[0]), (on(0, Injected::Duplicated), on(0, Injected::Copy)));
    mend();
    assert_eq!(last(&story())[0], Step::Admitted);
}

#[test]
fn what_a_line_has_no_room_for_is_told_as_lost() {
    use frame::step::Injected;
    const UNDER_WAY: u64 = 4096;
    let bench = bench(1);
    let sink = TraceSink::new(2, 2 * UNDER_WAY as usize, Admission::everything());
    bench.engine.trace(Some(&sink));
    add(&bench, 1, "delay 30s", Direction::Out, LONG);
    let octets = frame(host_mac(1), host_mac(0), b"x");
    for _ in 0..=UNDER_WAY {
        while !bench.peers[0].send(&octets, OffloadHeader::NONE) {
            std::thread::yield_now();
        }
    }
    let told = records(&sink);
    let ends = |record: &RawRecord| record.steps[record.steps.len() - 2..].to_vec();
    let overflowed = Step::Faulted { port: PortId(1), what: Injected::Overflowed };
    let not_sent = Step::NotSent { port: PortId(1), reason: DropReason::FaultInjected };
    let lost: Vec<_> = told.iter().filter(|record| ends(record) == [overflowed, not_sent]).collect();
    assert_eq!((told.len() as u64, lost.len()), (UNDER_WAY + 1, 1));
    drop(bench.engine.remove_faults(|_, _| true));
}
