//! Does every predicate hold when it should, and only then?

use frame::MacAddr;

use super::*;
use crate::learn::exercise::Exercise;
use crate::learn::seen::staged::{Staged, exercise, records, row};
use crate::learn::seen::{Neighbor, Outcome};

fn says(check: &str) -> Result<Exercise, Failure> {
    exercise(&format!("[[step]]\ntitle=\"s\"\nsay=\"\"\n[[check]]\nid=\"c\"\nsay=\"\"\n{check}\n"))
}

fn tables() -> Staged {
    let entry = |state: &str, host| Neighbor { mac: Some(MacAddr([2, 0x42, 10, 0, 1, host])), state: state.to_owned() };
    Staged {
        macs: vec![row(1, "h1"), row(2, "h3")],
        neighbors: vec![("h1".to_owned(), "10.0.1.12".parse().unwrap(), entry("STALE", 13))],
        outcome: Some(Outcome { line: String::new(), exit: Some(1), output: "1 packets, 0 received".to_owned() }),
    }
}

fn look(check: &str, missed: u64) -> Finding {
    let exercise = says(check).unwrap_or_else(|fault| panic!("{check}: {fault:?}"));
    let (tables, records) = (tables(), records());
    let seen = Seen { plan: &exercise.plan, records: &records, missed, outcomes: &[], tables: &tables };
    exercise.checks[0].look(&seen)
}

#[test]
fn every_predicate_holds_and_does_not() {
    for (check, ok, why) in [
        ("exists=\"arp request and verdict flood\"", true, "frame #1"),
        ("exists=\"udp\"", false, "no frame was 'udp'"),
        ("never=\"udp\"", true, "'udp'"),
        ("never=\"arp reply\"", false, "frame #2"),
        ("count=\"arp\"\nat-least=2", true, "2 frames were 'arp'"),
        ("count=\"arp\"\nat-most=1", false, "2 frames"),
        ("count=\"icmp\"\nat-least=1\nat-most=1", true, "1 frame was"),
        ("before=[\"arp request\",\"arp reply\"]", true, "#1 and frame #2"),
        ("before=[\"arp reply\",\"arp request\"]", false, "#2 and frame #1"),
        ("before=[\"udp\",\"arp\"]", false, "'udp'"),
        ("before=[\"arp\",\"udp\"]", false, "'udp'"),
        ("within={first=\"arp request\",then=\"arp reply\",ms=100}", true, "100.000 ms"),
        ("within={first=\"arp request\",then=\"arp reply\",ms=99}", false, "100.000 ms"),
        ("within={first=\"udp\",then=\"arp reply\",ms=99}", false, "'udp'"),
        ("within={first=\"icmp\",then=\"arp\",ms=99}", false, "after frame #3"),
        ("mac={host=\"h1\",port=\"h1\"}", true, "on port h1"),
        ("mac={host=\"h2\",port=\"h2\"}", false, "on port h3"),
        ("mac={host=\"h3\",port=\"none\"}", true, "no row"),
        ("mac={host=\"h1\",port=\"none\"}", false, "on port h1"),
        ("entries={network=\"net1\"}\nat-most=2", true, "2 addresses"),
        ("entries={network=\"net1\"}\nat-least=3", false, "2 addresses"),
        ("arp={on=\"h1\",host=\"h2\",state=[\"STALE\",\"DELAY\"]}", true, "STALE"),
        ("arp={on=\"h1\",host=\"h2\",state=[\"REACHABLE\"]}", false, "STALE"),
        ("arp={on=\"h1\",host=\"h2\",mac=\"h3\"}", true, "(h3)"),
        ("arp={on=\"h1\",host=\"h2\",mac=\"h2\"}", false, "(h3)"),
        ("arp={on=\"h2\",host=\"h1\",state=[\"none\"]}", true, "no entry"),
        ("arp={on=\"h2\",host=\"h1\",mac=\"h1\"}", false, "no entry"),
        ("command={run=\"lanyard lab exec h1 -- x\",exit=1}", true, "ended with 1"),
        ("command={run=\"lanyard lab exec h1 -- x\"}", false, "ended with 1"),
        ("command={run=\"lanyard lab exec h1 -- x\",contains=\"0 received\"}", true, ""),
        ("command={run=\"lanyard lab exec h1 -- x\",contains=\"1 received\"}", false, "'1 received'"),
    ] {
        let found = look(check, 0);
        assert!(found.ok == ok && found.why.contains(why), "{check}: {found:?}");
    }
}

#[test]
fn what_is_no_longer_in_the_log_is_not_passed_over() {
    assert!(!look("never=\"udp\"", 5).ok);
    assert!(!look("count=\"arp\"\nat-most=9", 5).ok);
    assert!(look("count=\"arp\"\nat-least=1", 5).ok);
    assert!(look("exists=\"udp\"", 5).why.contains("5 more"));
}

#[test]
fn a_check_that_says_nothing_or_too_much_is_refused() {
    for (check, place, named) in [
        ("", "10:4", "exists"),
        ("exists=\"arp\"\nnever=\"udp\"", "10:4", "one thing"),
        ("count=\"arp\"", "10:4", "at-least"),
        ("entries={network=\"net1\"}", "10:4", "at-least"),
        ("exists=\"arp\"\nat-least=1", "13:10", "'at-least'"),
        ("exists=\"arp and\"", "12:13", "and"),
        ("before=[\"arp\"]", "12:8", "two filters"),
        ("mac={host=\"h9\",port=\"h1\"}", "12:11", "'h9'"),
        ("mac={host=\"h1\",port=\"h9\"}", "12:21", "'h9'"),
        ("arp={on=\"h1\",host=\"h2\"}", "12:19", "'state'"),
        ("arp={on=\"h1\",host=\"h2\",state=[\"ALIVE\"]}", "12:31", "'ALIVE'"),
        ("arp={on=\"h1\",host=\"h2\",mac=\"h9\"}", "12:28", "'h9'"),
        ("command={run=\"rm -rf /\"}", "12:15", "'rm'"),
        ("exists=1", "12:8", "string"),
        ("points=101\nexists=\"arp\"", "12:8", "points"),
    ] {
        let Err(Failure::Words(why)) = says(check) else { panic!("{check}") };
        assert!(why.starts_with(&format!("t.toml:{place}: ")) && why.contains(named), "{check}: {why}");
    }
}
