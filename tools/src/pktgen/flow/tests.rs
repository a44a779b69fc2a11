//! Is a generator that sends all that is due, when it is due, never called the limit; and one that does not, always?

use load::replay::{Pace, RecordedFrame, Recording, Speed};
use load::result::LoadResult;
use load::stream::{Errored, ErroredKind, StreamSpec};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn stream(spec: StreamSpec, rate: &str) -> Source {
    Source::Stream { stream: Box::new(Stream::new(spec).unwrap()), rate: rate.parse().unwrap() }
}

fn sized(sizes: &str, seed: u64) -> StreamSpec {
    StreamSpec { sizes: sizes.parse().unwrap(), seed, ..StreamSpec::default() }
}

/// Send what is due before `until`, each frame so much later than that.
fn send(flow: &mut Flow, until: Duration, late: Duration) {
    let (mut frame, until_ns) = (Frame::empty(), until.as_nanos() as u64);
    while let Due::At(due_ns) = flow.next_due()
        && due_ns < until_ns
    {
        let class = flow.write(&mut frame, 1, due_ns);
        flow.count(class, frame.octets().len(), due_ns + late.as_nanos() as u64);
    }
}

/// What the report says of them.
fn result(flows: &[&Flow], duration: Duration, now: Option<Duration>) -> LoadResult {
    let took = flows.iter().map(|flow| flow.last_ns).max().unwrap_or_default();
    let mut all = Tally::new(intent_of_all(flows, duration, now), took as f64 / 1e9);
    for flow in flows {
        flow.tally(&mut all, 1);
    }
    all.result()
}

#[track_caller]
fn is_near(value: f64, wanted: f64) {
    assert!((value / wanted - 1.0).abs() < 1e-3, "{value} is not {wanted}");
}

/// A seed that draws larger frames fills the wire with fewer of them.
#[test]
fn a_rate_of_bits_is_met_by_octets_whatever_sizes_are_drawn() {
    let wrong = |kind| Some(Errored { per_million: 300_000, kinds: vec![kind], giant_octets: 4000 });
    for seed in 1..=20 {
        for (sizes, errored) in
            [("imix", None), ("64-1518", None), ("64", wrong(ErroredKind::Giant)), ("1518", wrong(ErroredKind::Runt))]
        {
            let spec = StreamSpec { errored, ..sized(sizes, seed) };
            let mut whole = Flow::new(stream(spec.clone(), "1Mbps"), Turn::ALONE, u64::MAX);
            send(&mut whole, SECOND, Duration::ZERO);
            let said = result(&[&whole], SECOND, None);
            assert_eq!(said.generator_limited, None, "{spec:?}");
            let offered = said.offered.unwrap();
            assert_eq!((offered.frames, offered.octets), (said.sent.frames, said.sent.octets), "{spec:?}");
            is_near(offered.wire_bps, 1e6);
            // Nothing of the last tenth: that is the tenth of the octets, too.
            let mut less = Flow::new(stream(spec.clone(), "1Mbps"), Turn::ALONE, u64::MAX);
            send(&mut less, SECOND * 9 / 10, Duration::ZERO);
            let said = result(&[&less], SECOND, None);
            assert!(said.generator_limited.is_some(), "{spec:?}");
            let (due, sent) = (said.offered.unwrap(), said.sent.frames as f64);
            assert!((0.85..=0.95).contains(&(sent / due.frames as f64)), "{spec:?}: {said:?}");
            // Ended by somebody: no more was due.
            assert_eq!(result(&[&less], SECOND, Some(SECOND * 9 / 10)).generator_limited, None);
        }
    }
}

#[test]
fn turns_share_what_is_due() {
    for (rate, of) in [("1001pps", 3), ("7Mbps", 3), ("5pps", 8)] {
        let mut flows: Vec<Flow> = (0..of)
            .map(|nth| {
                let spec = StreamSpec { stream: nth as u8, ..sized("imix", 7) };
                Flow::new(stream(spec, rate), Turn { nth, of }, u64::MAX)
            })
            .collect();
        for flow in &mut flows {
            send(flow, SECOND, Duration::ZERO);
        }
        let said = result(&flows.iter().collect::<Vec<_>>(), SECOND, None);
        assert_eq!((said.generator_limited, said.offered.unwrap().frames), (None, said.sent.frames), "{rate}");
    }
}

#[test]
fn before_anything_is_sent_frames_are_as_large_as_in_the_mean() {
    for (rate, most, frames) in
        [("1kpps", u64::MAX, 1000), ("1kpps", 30, 30), ("672kbps", u64::MAX, 1000), ("3pps", 9, 3)]
    {
        let flow = Flow::new(stream(sized("64", 1), rate), Turn::ALONE, most);
        let intent = flow.intent(SECOND, None).unwrap();
        assert_eq!((intent.frames, intent.octets), (frames, frames * 60), "{rate}");
    }
    assert_eq!(Flow::new(stream(sized("64", 1), "max"), Turn::ALONE, 9).intent(SECOND, None), None);
}

/// As after an overload: so many frames at one rate, then another flow begins at half of it.
#[test]
fn a_flow_that_begins_later_is_due_from_then_on() {
    let flows = |late: Duration| {
        let mut first = Flow::new(stream(sized("64", 1), "1100pps"), Turn::ALONE, 1100);
        let mut then = Flow::new(stream(StreamSpec { stream: 1, ..sized("64", 1) }, "500pps"), Turn::ALONE, 500);
        then.begin_at(SECOND);
        send(&mut first, SECOND * 2, late);
        send(&mut then, SECOND * 2, Duration::ZERO);
        [first, then]
    };
    let [first, then] = flows(Duration::ZERO);
    let said = result(&[&first, &then], SECOND * 2, None);
    assert_eq!(said.generator_limited, None);
    let offered = said.offered.unwrap();
    assert_eq!((offered.frames, said.sent.frames), (1600, 1600));
    is_near(offered.seconds, 2.0);
    is_near(offered.pps, 800.0);
    // The first went on when it should have been over, which the sum does not tell.
    let [first, then] = flows(SECOND / 4);
    let said = result(&[&first, &then], SECOND * 2, None).generator_limited.unwrap();
    assert!(said.contains("of one flow it sent 1100 of the 137"), "{said}");
    // Ended before the second was to begin.
    let mut first = Flow::new(stream(sized("64", 1), "1100pps"), Turn::ALONE, 1100);
    let mut then = Flow::new(stream(sized("64", 1), "500pps"), Turn::ALONE, 500);
    then.begin_at(SECOND);
    let half = SECOND / 2;
    send(&mut first, half, Duration::ZERO);
    send(&mut then, half, Duration::ZERO);
    let said = result(&[&first, &then], SECOND * 2, Some(half));
    assert_eq!(said.generator_limited, None);
    is_near(said.offered.unwrap().pps, 1100.0);
}

#[test]
fn a_flow_that_falls_short_is_told_of() {
    let all: Vec<Flow> = (0..20)
        .map(|nth| {
            let spec = StreamSpec { stream: nth, ..sized("64", 1) };
            let mut flow = Flow::new(stream(spec, "1kpps"), Turn::ALONE, u64::MAX);
            // One of them ends at nine tenths: half a hundredth of all.
            send(&mut flow, if nth == 3 { SECOND * 9 / 10 } else { SECOND }, Duration::ZERO);
            flow
        })
        .collect();
    let said = result(&all.iter().collect::<Vec<_>>(), SECOND, None).generator_limited.unwrap();
    assert!(said.contains("of one flow it sent 900 of the 1000 frames"), "{said}");
}

#[test]
fn a_recording_is_due_as_it_was_recorded() {
    let of = |at_ns, octets: usize| RecordedFrame { at_ns, octets: vec![0; octets] };
    let frames = vec![of(0, 60), of(100_000_000, 1000), of(500_000_000, 60)];
    let recording = std::sync::Arc::new(Recording::new(frames, Pace::Recorded(Speed::OWN)).unwrap());
    let source = || Source::Replay {
        replay: Replay::new(std::sync::Arc::clone(&recording), 2),
        recorded: Recorded { stream: 0, port: 1 },
    };
    let mut flow = Flow::new(source(), Turn::ALONE, u64::MAX);
    send(&mut flow, SECOND * 2, Duration::ZERO);
    let said = result(&[&flow], SECOND * 2, None);
    let offered = said.offered.unwrap();
    assert_eq!((offered.frames, offered.octets, said.generator_limited), (6, 2240, None));
    let mut flow = Flow::new(source(), Turn::ALONE, u64::MAX);
    send(&mut flow, SECOND / 5, Duration::ZERO);
    let said = result(&[&flow], SECOND * 2, None).generator_limited.unwrap();
    assert!(said.contains("sent 2 of the 6 frames"), "{said}");
    let cut = result(&[&flow], SECOND / 5, None);
    assert_eq!((cut.offered.unwrap().octets, cut.generator_limited), (1060, None));
}
