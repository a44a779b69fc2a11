//! Does a result read well, and does it mean the same to a program?

use super::*;
use crate::{
    signature::{ANY_PORT, Signature, sign},
    tally::Tally,
};

fn frame(stream: u8, port: u8, number: u64) -> Vec<u8> {
    let mut octets = vec![0; 60];
    sign(&mut octets, Signature { mark: 1, stream, port, number, due_ns: number * 1_000_000 });
    octets
}

/// Two streams of 1000 frames at 1000 a second: of the first every 10th is lost, 20 come twice, and two change places; the
/// second is flooded to both ports.
fn sample() -> LoadResult {
    let mut tally = Tally::new(Some(Intent::new(2000, 120_000, 1.0)), 1.0);
    let mut ports = [PortTally::new(1, 0), PortTally::new(1, 1)];
    let mut numbers: Vec<u64> = (0..1000).filter(|number| number % 10 != 9).collect();
    numbers.swap(500, 501);
    for number in numbers {
        let arrived_ns = number * 1_000_000 + 20_000 + number % 50 * 1000;
        ports[1].take(&frame(0, 1, number), arrived_ns);
        if number < 22 {
            ports[1].take(&frame(0, 1, number), arrived_ns + 5);
        }
    }
    for number in 0..1000 {
        for port in &mut ports {
            port.take(&frame(1, ANY_PORT, number), number * 1_000_000 + 5_000_000);
        }
    }
    ports[0].take(&frame(0, 1, 9), 0);
    ports[0].take(&[0; 60], 0);
    tally.sent(0, 1000, 60_000);
    tally.flooded(1, 2, 1000, 60_000);
    for port in ports {
        tally.port(port);
    }
    tally.result()
}

#[test]
fn a_table() {
    let table = sample().table();
    assert_eq!(table, include_str!("table.txt"));
}

/// A switch that drops errored frames loses nothing, and one that lets them through is told of.
#[test]
fn errored_frames_count_by_themselves() {
    let mut tally = Tally::new(None, 1.0);
    let mut port = PortTally::new(1, 0);
    for number in 0..10 {
        port.take(&frame(0, 0, number), number);
    }
    tally.sent(0, 10, 600);
    tally.sent(ERRORED, 4, 240);
    let (mut clean, mut leaky) = (tally.clone(), tally);
    clean.port(port.clone());
    let result = clean.result();
    assert_eq!((result.sent.frames, result.expected, result.lost), (14, 10, 0));
    assert_eq!(result.errored, Some(ErroredResult { sent: 4, forwarded: 0 }));
    assert!(result.is_clean() && result.streams.len() == 1);

    port.take(&frame(ERRORED, 0, 1), 11);
    port.take(&frame(ERRORED, 3, 2), 12);
    leaky.port(port);
    let result = leaky.result();
    assert_eq!(result.errored, Some(ErroredResult { sent: 4, forwarded: 2 }));
    assert_eq!((result.received.frames, result.misdelivered, result.lost), (10, 0, 0));
    assert!(result.table().contains("errored, forwarded"), "{}", result.table());
}

#[test]
fn all_that_goes_without_loss_is_the_generators_limit() {
    let result = |lost: bool| {
        let (mut tally, mut port) = (Tally::new(None, 1.0), PortTally::new(1, 0));
        for number in 0..10 {
            if !(lost && number == 3) {
                port.take(&frame(0, 0, number), number);
            }
        }
        tally.sent(0, 10, 600);
        tally.port(port);
        tally.result()
    };
    assert!(result(false).generator_limited.is_some_and(|sentence| sentence.contains("as fast as it could")));
    assert_eq!(result(true).generator_limited, None);
}

#[test]
fn a_table_of_nothing() {
    let table = Tally::new(None, 0.0).result().table();
    assert!(table.contains("offered      max"), "{table}");
    assert!(table.contains("latency    -"), "{table}");
    assert!(!table.contains("stream") && !table.contains("NaN") && !table.contains("inf"), "{table}");
}

/// The same but for the last bits of a fraction, which a reader of JSON may round.
fn rounded(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) if number.is_f64() => Value::String(format!("{:.12e}", number.as_f64().unwrap())),
        Value::Array(list) => Value::Array(list.iter().map(rounded).collect()),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), rounded(value))).collect()),
        other => other.clone(),
    }
}

#[test]
fn json_there_and_back() {
    let mut limited = Tally::new(Some(Intent::new(9, 540, 1.0)), 1.0).result();
    assert!(limited.generator_limited.is_some());
    limited.surplus = u64::MAX;
    for result in [sample(), limited, Tally::new(None, 0.0).result()] {
        let json = serde_json::to_string(&result).unwrap();
        let back: LoadResult = serde_json::from_str(&json).unwrap();
        let [result, back] = [result, back].map(|result| rounded(&serde_json::to_value(result).unwrap()));
        assert_eq!(back, result, "{json}");
    }
}

#[test]
fn json_from_before_there_was_a_curve_is_read() {
    let mut json = serde_json::to_value(sample()).unwrap();
    let curve = json.as_object_mut().unwrap().remove("latency_curve").unwrap();
    assert_eq!(
        (curve[0][0].as_f64(), &curve.as_array().unwrap().last().unwrap()[1]),
        (Some(0.0), &json["latency"]["max_ns"])
    );
    assert!(serde_json::from_value::<LoadResult>(json).unwrap().latency_curve.is_empty());
}

/// A key that goes or changes its name needs another schema number, and a line in the head of the file.
#[test]
fn keys_are_stable_and_explained() {
    fn keys(value: &serde_json::Value, into: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
                into.insert(key.clone());
                keys(value, into);
            }),
            serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, into)),
            _ => {}
        }
    }
    let value = serde_json::to_value(sample()).unwrap();
    assert_eq!(value["schema"], "lanyard.load/1");
    let mut found = BTreeSet::new();
    keys(&value, &mut found);
    let heads = [include_str!("../result.rs"), include_str!("../latency.rs")];
    for key in found {
        let explained = heads[0].lines().any(|line| line.starts_with("//!") && line.contains(&format!("`{key}`")))
            || heads[0].contains(&format!("`.{key}`"))
            || heads[1].contains(&format!("pub {key}: u64"))
            || ["stream", "port", "one_frame", "low", "high"].contains(&key.as_str());
        assert!(explained, "{key}");
    }
}

#[test]
fn a_csv_row_has_a_cell_for_every_column() {
    let (header, row) = (LoadResult::csv_header(), sample().csv_row());
    let cells: BTreeMap<&str, &str> = header.split(',').zip(row.split(',')).collect();
    assert_eq!(header.split(',').count(), row.split(',').count());
    for (key, value) in [
        ("sent_frames", "2000"),
        ("lost", "100"),
        ("latency_samples", "2900"),
        ("latency_max_ns", "5000000"),
        ("streams", "2"),
    ] {
        assert_eq!(cells[key], value, "{key}");
    }
    let none = Tally::new(None, 0.0).result().csv_row();
    assert_eq!(none.split(',').count(), header.split(',').count());
    assert!(none.starts_with(",,,,,0,0,0,0,0,"), "{none}");
}

#[test]
fn the_wire_counts_more_than_the_frames() {
    // 14.88 million frames of 64 octets fill 10 Gbit/s (RFC 2544, IEEE 802.3).
    let traffic = Traffic::new(14_880_952, 14_880_952 * 60, 1.0);
    assert!((traffic.wire_bps / 1e10 - 1.0).abs() < 1e-6, "{traffic:?}");
    assert!(Traffic::new(5, 300, 0.0).pps == 0.0);
}

#[test]
fn received_frames_are_rated_between_the_first_and_the_last() {
    let result = sample();
    assert!((result.ports[0].received.pps.unwrap() - 1000.0).abs() < 1e-6, "{:?}", result.ports[0]);
}

/// All in one batch have one time of arrival: that is no rate, and not a rate of 0.
#[test]
fn what_came_at_one_moment_has_no_rate() {
    let (mut tally, mut ports) = (Tally::new(None, 1.0), [PortTally::new(1, 0), PortTally::new(1, 1)]);
    for number in 0..10 {
        ports[1].take(&frame(0, 1, number), 5_000_000);
    }
    tally.sent(0, 10, 600);
    for port in ports {
        tally.port(port);
    }
    let result = tally.result();
    assert_eq!((result.received.frames, result.received.pps, result.received.wire_bps), (10, None, None));
    assert_eq!(result.ports[0].received.pps, Some(0.0), "none came at all");
    let json = serde_json::to_value(&result).unwrap();
    for received in [&json["received"], &json["ports"][1]["received"]] {
        assert!(received["pps"].is_null() && received["wire_bps"].is_null(), "{received}");
    }
    assert_eq!(serde_json::from_value::<LoadResult>(json).unwrap().received, result.received);
    let (header, row) = (LoadResult::csv_header(), result.csv_row());
    let cells: BTreeMap<&str, &str> = header.split(',').zip(row.split(',')).collect();
    assert_eq!(header.split(',').count(), row.split(',').count());
    assert_eq!(
        ["received_frames", "received_pps", "received_wire_bps", "expected"].map(|key| cells[key]),
        ["10", "", "", "10"]
    );
    let rows: Vec<Vec<String>> =
        [result.traffic(), result.per_port().unwrap()].into_iter().flat_map(|columns| columns.0).collect();
    let row = |name: &str| rows.iter().rfind(|row| row[0] == name).unwrap();
    assert_eq!(row("received")[3..], ["0.000", "-", "-"]);
    assert_eq!(row("1")[..4], ["1", "10", "-", "-"]);
    let page = crate::page::of_run(Vec::new(), &result, &[]).html();
    assert!(page.contains(r#"<td class="n">10</td><td class="n">-</td><td class="n">-</td>"#), "{page}");
}

#[test]
fn a_generator_that_is_too_slow_says_so() {
    let table = [
        (1000, 1000, 1.0, None),
        (1000, 990, 1.0, None),
        (1000, 989, 1.0, Some("limit: it sent 989 of the 1000 frames due in 1.000 s (98.9 %)")),
        (1000, 1000, 1.5, Some("sent 1000 of the 1500 frames due in 1.500 s (66.7 %)")),
        (1000, 1000, 1.009, None), // kept for a moment at the end
        (1000, 1000, 0.5, None),
        (1000, 500, 0.5, Some("sent 500 of the 1000 frames due")), // it ended early, and nobody asked for that
        (10, 9, 1.0, None),                                        // a single frame is no rate
    ];
    for (due, sent, seconds, expected) in table {
        let mut tally = Tally::new(Some(Intent::new(due, due * 60, 1.0)), seconds);
        tally.sent(0, sent, sent * 60);
        let sentence = tally.result().generator_limited;
        match expected {
            None => assert_eq!(sentence, None),
            Some(part) => assert!(sentence.as_ref().is_some_and(|sentence| sentence.contains(part)), "{sentence:?}"),
        }
    }
    let mut tally = Tally::new(None, 1.0);
    tally.sent(0, 1, 60);
    assert_eq!(tally.result().generator_limited, None);
}

/// One flow sent nothing, the other twice as much: the sum is right, and the load was another one.
#[test]
fn a_flow_that_fell_short_is_not_hidden_by_the_others() {
    let short = Intent::new(500, 30_000, 1.0).shortfall(400, 0.9);
    assert_eq!(short, Some(Shortfall { due: 500.0, sent: 400, seconds: 0.9 }));
    let mut tally = Tally::new(Some(Intent { short, ..Intent::new(1000, 60_000, 1.0) }), 1.0);
    tally.sent(0, 1000, 60_000);
    let says = "the generator was the limit: of one flow it sent 400 of the 500 frames due in 0.900 s (80.0 %)";
    assert_eq!(tally.result().generator_limited.as_deref(), Some(says));
}

#[test]
fn clean_is_clean() {
    assert!(Tally::new(None, 1.0).result().is_clean());
    assert!(!sample().is_clean());
}

#[test]
fn times_and_rates_take_their_unit() {
    for (ns, text) in
        [(0, "0 ns"), (999, "999 ns"), (1000, "1.00 us"), (5_000_000, "5.00 ms"), (1_500_000_000, "1.50 s")]
    {
        assert_eq!(table::time(ns), text);
    }
    for (share, text) in [(0.0, "0.0000 %"), (1e-7, "1.0e-5 %"), (1.1e-6, "0.0001 %"), (1.0, "100.0000 %")] {
        assert_eq!(table::percent(share), text);
    }
    for (bps, text) in [(0.0, "0"), (999.0, "999"), (1e3, "1.00 k"), (6.72e8, "672.00 M"), (1e10, "10.00 G")] {
        assert_eq!(table::rate(bps), text);
    }
}
