//! Is every kind of answer read, refused, and found in the records and tables, both ways?

use super::*;
use crate::learn::exercise::Exercise;
use crate::learn::seen::staged::{Staged, exercise, records, row};
use crate::learn::seen::{Neighbor, Outcome};

/// An exercise that asks one question.
fn asks(question: &str) -> Result<Exercise, Failure> {
    exercise(&format!("[[step]]\ntitle=\"s\"\nsay=\"\"\n[[step.predict]]\nid=\"q\"\nask=\"?\"\n{question}\n"))
}

fn tables() -> Staged {
    let entry = Neighbor { mac: Some(MacAddr([2, 0x42, 10, 0, 1, 12])), state: "REACHABLE".to_owned() };
    Staged {
        macs: vec![row(1, "h1"), row(2, "h3")],
        neighbors: vec![("h1".to_owned(), Ipv4Addr::new(10, 0, 1, 12), entry)],
        outcome: None,
    }
}

/// What was right, in words; or why that cannot be told.
fn truth(question: &str) -> Result<String, String> {
    let exercise = asks(question).unwrap_or_else(|fault| panic!("{question}: {fault:?}"));
    let (tables, records) = (tables(), records());
    let outcomes = [Outcome { line: String::new(), exit: Some(3), output: String::new() }];
    let plan = &exercise.plan;
    let seen = Seen { plan, records: &records, missed: 0, outcomes: &outcomes, tables: &tables };
    exercise.steps[0].predicts[0].truth(&seen).map(|truth| truth.answer.text(&seen))
}

#[test]
fn every_source_is_read_from_what_happened() {
    let echo = "frame=\"icmp echo\"";
    let request = "frame=\"arp request\"";
    for (question, right) in [
        (format!("kind=\"hosts\"\nanswer-from=\"egress\"\n{request}"), "h2 h3"),
        (format!("kind=\"hosts\"\nanswer-from=\"egress\"\n{echo}"), "nobody"),
        (format!("kind=\"yes-no\"\nanswer-from=\"egress\"\nhas=\"h3\"\n{request}"), "yes"),
        ("kind=\"yes-no\"\nanswer-from=\"egress\"\nhas=\"h3\"\nframe=\"arp reply\"".to_owned(), "no"),
        (format!("kind=\"text\"\nanswer-from=\"verdict\"\n{request}"), "flood"),
        (format!("kind=\"yes-no\"\nanswer-from=\"verdict\"\nis=\"drop\"\n{request}"), "no"),
        (format!("kind=\"text\"\nanswer-from=\"reason\"\n{echo}"), "ttl"),
        (format!("kind=\"text\"\nanswer-from=\"reason\"\n{request}"), "none"),
        (format!("kind=\"text\"\nanswer-from=\"learned\"\n{request}"), "new"),
        (format!("kind=\"text\"\nanswer-from=\"learned\"\n{echo}"), "nothing"),
        (format!("kind=\"choice\"\nchoices=[\"known\",\"group: g\"]\nanswer-from=\"looked-up\"\n{request}"), "group"),
        (format!("kind=\"mac\"\nanswer-from=\"source-mac\"\n{echo}"), "02:42:0a:00:01:0b (h1)"),
        (format!("kind=\"mac\"\nanswer-from=\"destination-mac\"\n{echo}"), "02:00:00:00:00:01 (gateway of net1)"),
        (format!("kind=\"mac\"\nanswer-from=\"sent-destination-mac\"\n{echo}"), "02:42:0a:00:02:0e"),
        (format!("kind=\"yes-no\"\nanswer-from=\"sent-source-mac\"\nis=\"gateway\"\n{echo}"), "yes"),
        (format!("kind=\"yes-no\"\nanswer-from=\"sent-source-mac\"\nis=\"h1\"\n{echo}"), "no"),
        (format!("kind=\"text\"\nanswer-from=\"source-ip\"\n{echo}"), "10.0.1.11"),
        (format!("kind=\"text\"\nanswer-from=\"sent-destination-ip\"\n{echo}"), "10.0.2.14"),
        (format!("kind=\"text\"\nanswer-from=\"destination-ip\"\n{request}"), "10.0.1.12"),
        (format!("kind=\"number\"\nanswer-from=\"ttl\"\n{echo}"), "64"),
        (format!("kind=\"number\"\nanswer-from=\"sent-ttl\"\n{echo}"), "63"),
        ("kind=\"yes-no\"\nanswer-from=\"exists\"\nframe=\"udp\"".to_owned(), "no"),
        ("kind=\"number\"\nanswer-from=\"count\"\nframe=\"arp\"".to_owned(), "2"),
        ("kind=\"yes-no\"\nanswer-from=\"count\"\nframe=\"arp\"\nat-least=2\nat-most=2".to_owned(), "yes"),
        ("kind=\"yes-no\"\nanswer-from=\"count\"\nframe=\"arp\"\nat-least=3".to_owned(), "no"),
        ("kind=\"text\"\nanswer-from=\"mac-port\"\nhost=\"h2\"".to_owned(), "h3"),
        ("kind=\"text\"\nanswer-from=\"mac-port\"\nhost=\"h3\"".to_owned(), "none"),
        ("kind=\"number\"\nanswer-from=\"mac-entries\"\nnetwork=\"net1\"".to_owned(), "2"),
        ("kind=\"text\"\nanswer-from=\"arp-state\"\non=\"h1\"\nhost=\"h2\"".to_owned(), "reachable"),
        ("kind=\"text\"\nanswer-from=\"arp-state\"\non=\"h2\"\nhost=\"h1\"".to_owned(), "none"),
        ("kind=\"mac\"\nanswer-from=\"arp-mac\"\non=\"h1\"\nhost=\"h2\"".to_owned(), "02:42:0a:00:01:0c (h2)"),
        ("kind=\"number\"\nanswer-from=\"exit\"".to_owned(), "3"),
        ("kind=\"text\"\nanswer-from=\"verdict\"\nnth=2\nframe=\"arp\"".to_owned(), "unicast"),
    ] {
        assert_eq!(truth(&question).as_deref(), Ok(right), "{question}");
    }
}

#[test]
fn what_did_not_happen_has_no_answer() {
    for (question, why) in [
        ("kind=\"hosts\"\nanswer-from=\"egress\"\nframe=\"udp\"", "'udp'"),
        ("kind=\"hosts\"\nanswer-from=\"egress\"\nframe=\"arp\"\nnth=3", "fewer than 3"),
        ("kind=\"number\"\nanswer-from=\"ttl\"\nframe=\"arp request\"", "#1"),
        ("kind=\"number\"\nanswer-from=\"sent-ttl\"\nframe=\"arp request\"", "#1"),
        ("kind=\"mac\"\nanswer-from=\"arp-mac\"\non=\"h2\"\nhost=\"h1\"", "no address"),
    ] {
        let found = truth(question).unwrap_err();
        assert!(found.contains(why), "{question}: {found}");
    }
}

#[test]
fn answers_are_read_as_people_write_them() {
    let tables = tables();
    let read = |question: &str, answer: &str| {
        let exercise = asks(question).unwrap();
        let seen = Seen { plan: &exercise.plan, records: &[], missed: 0, outcomes: &[], tables: &tables };
        exercise.steps[0].predicts[0].parse(answer, &seen).map(|answer| answer.text(&seen))
    };
    let hosts = "kind=\"hosts\"\nanswer-from=\"egress\"\nframe=\"arp\"";
    let choice = "kind=\"choice\"\nchoices=[\"Flood: to all\",\"drop\"]\nanswer-from=\"verdict\"\nframe=\"arp\"";
    let yes_no = "kind=\"yes-no\"\nanswer-from=\"exists\"\nframe=\"arp\"";
    let number = "kind=\"number\"\nanswer-from=\"count\"\nframe=\"arp\"";
    let mac = "kind=\"mac\"\nanswer-from=\"source-mac\"\nframe=\"arp\"";
    for (question, given, right) in [
        (hosts, "h3, h2", "h2 h3"),
        (hosts, " H2 and h3 ", "h2 h3"),
        (hosts, "nobody", "nobody"),
        (choice, "flood", "flood"),
        (choice, "2", "drop"),
        (yes_no, "Y", "yes"),
        (yes_no, " no\n", "no"),
        (number, " 7 ", "7"),
        (mac, "h2", "02:42:0a:00:01:0c (h2)"),
        (mac, "gateway", "02:00:00:00:00:01 (gateway of net1)"),
        (mac, "02:42:0A:00:01:0B", "02:42:0a:00:01:0b (h1)"),
    ] {
        assert_eq!(read(question, given).as_deref(), Ok(right), "{given}");
    }
    for (question, given) in [
        (hosts, ""),
        (hosts, "h9"),
        (choice, "3"),
        (choice, "0"),
        (yes_no, "maybe"),
        (number, "-1"),
        (mac, "h9"),
        (mac, ""),
    ] {
        assert!(read(question, given).is_err(), "{given}");
    }
}

#[test]
fn a_question_whose_answer_cannot_be_of_its_kind_is_refused() {
    for (question, place, named) in [
        ("kind=\"maybe\"\nanswer-from=\"exists\"\nframe=\"arp\"", "12:6", "'maybe'"),
        ("kind=\"text\"\nanswer-from=\"weather\"", "13:13", "'weather'"),
        ("kind=\"hosts\"\nanswer-from=\"verdict\"\nframe=\"arp\"", "12:6", "choice or text"),
        ("kind=\"text\"\nanswer-from=\"verdict\"", "13:13", "'frame'"),
        ("kind=\"text\"\nanswer-from=\"mac-port\"", "13:13", "'host'"),
        ("kind=\"text\"\nanswer-from=\"arp-state\"\nhost=\"h1\"", "13:13", "'on'"),
        ("kind=\"text\"\nanswer-from=\"mac-port\"\nhost=\"h9\"", "14:6", "'h9'"),
        ("kind=\"number\"\nanswer-from=\"mac-entries\"\nnetwork=\"net9\"", "14:9", "'net9'"),
        ("kind=\"choice\"\nanswer-from=\"verdict\"\nframe=\"arp\"", "12:6", "'choices'"),
        ("kind=\"text\"\nchoices=[\"a\",\"b\"]\nanswer-from=\"verdict\"\nframe=\"arp\"", "12:6", "'choices'"),
        ("kind=\"yes-no\"\nanswer-from=\"verdict\"\nhas=\"h1\"\nframe=\"arp\"", "14:5", "'has'"),
        ("kind=\"yes-no\"\nanswer-from=\"count\"\nis=\"x\"\nframe=\"arp\"", "14:4", "'is'"),
        ("kind=\"yes-no\"\nanswer-from=\"egress\"\nat-most=1\nframe=\"arp\"", "14:9", "'at-most'"),
        ("kind=\"yes-no\"\nanswer-from=\"source-mac\"\nis=\"h9\"\nframe=\"arp\"", "14:4", "'h9'"),
        ("kind=\"number\"\nanswer-from=\"count\"\nnth=0\nframe=\"arp\"", "14:5", "from 1"),
        ("kind=\"number\"\nanswer-from=\"count\"\npoints=0\nframe=\"arp\"", "14:8", "points"),
        ("kind=\"number\"\nanswer-from=\"count\"\nframe=\"arp flod\"", "14:12", "flod"),
        ("kind=\"number\"\nanswer-from=\"count\"\nframe=\"port-of h9\"", "14:16", "'h9'"),
    ] {
        let Err(Failure::Words(why)) = asks(question) else { panic!("{question}") };
        assert!(why.starts_with(&format!("t.toml:{place}: ")) && why.contains(named), "{question}: {why}");
    }
}
