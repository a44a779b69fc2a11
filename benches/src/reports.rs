//! What do iperf3 and sockperf say? Their reports to numbers.
//!
//! iperf3 is asked for JSON (`-J`); sockperf has no such form that every version knows, so its lines are read.

use serde_json::Value;

/// What passed, by iperf3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    /// 10^9 bits of payload a second that arrived.
    pub gigabits: f64,
    /// Octets of payload that arrived.
    pub octets: f64,
    /// Datagrams lost, percent; `None` for streams.
    pub lost: Option<f64>,
}

/// What `iperf3 -J` says of one run, TCP or UDP, of one stream or several.
///
/// # Errors
/// iperf3's own words, or that its report has no such figure.
pub fn iperf3(report: &str) -> Result<Passed, String> {
    let report: Value = serde_json::from_str(report).map_err(|_| "iperf3 said nothing that is JSON".to_owned())?;
    if let Some(error) = report["error"].as_str() {
        return Err(format!("iperf3: {error}"));
    }
    let number = |value: &Value, name: &str| {
        let value = value[name].as_f64().filter(|value| value.is_finite() && *value >= 0.0);
        value.ok_or_else(|| format!("iperf3's report has no {name}"))
    };
    let udp = report["start"]["test_start"]["protocol"] == "UDP";
    // Of datagrams, `sum` has the octets sent and how many the receiver missed.
    let sum = &report["end"][if udp { "sum" } else { "sum_received" }];
    let lost = if udp { Some(number(sum, "lost_percent")?) } else { None };
    let octets = number(sum, "bytes")? * (1.0 - lost.unwrap_or(0.0) / 100.0);
    let seconds = number(sum, "seconds")?;
    if octets <= 0.0 || seconds <= 0.0 {
        return Err("iperf3: nothing arrived".into());
    }
    Ok(Passed { gigabits: octets * 8.0 / seconds / 1e9, octets, lost })
}

/// Round trips, by sockperf, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trips {
    /// Half of them took no longer.
    pub p50: f64,
    /// Ninety-nine of a hundred took no longer.
    pub p99: f64,
    /// How many there were.
    pub count: u64,
}

/// What `sockperf ping-pong --full-rtt` says.
///
/// # Errors
/// sockperf's own words; that it counted halves, as it does without `--full-rtt`; that there is no such percentile.
pub fn sockperf(report: &str) -> Result<Trips, String> {
    if let Some((_, why)) = report.split_once("ERROR") {
        let why = why.lines().next().unwrap_or_default().trim_matches([':', ' ']);
        return Err(format!("sockperf: {why}"));
    }
    if !report.contains("Round trip is") {
        return Err("sockperf has counted no round trips".into());
    }
    let percentile = |name: &str| {
        let line = report.lines().find(|line| line.contains(name)).and_then(|line| line.rsplit_once('='));
        let value = line.and_then(|(_, value)| value.trim().parse::<f64>().ok());
        value.ok_or_else(|| format!("sockperf's report has no {name}"))
    };
    let count =
        report.lines().find_map(|line| line.split_once("Total ")?.1.split_once(" observations")?.0.parse().ok());
    Ok(Trips {
        p50: percentile("percentile 50.000")?,
        p99: percentile("percentile 99.000")?,
        count: count.ok_or("sockperf's report has no count")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn streams_are_what_the_receiver_got() {
        let report = json!({
            "start": { "test_start": { "protocol": "TCP" } },
            "end": {
                "sum_sent": { "seconds": 2.0, "bytes": 9_000_000_000_u64 },
                "sum_received": { "seconds": 2.0, "bytes": 2_500_000_000_u64 },
            },
        });
        let passed = iperf3(&report.to_string()).unwrap();
        assert_eq!(passed, Passed { gigabits: 10.0, octets: 2.5e9, lost: None });
    }

    #[test]
    fn datagrams_that_were_lost_have_not_arrived() {
        let report = json!({
            "start": { "test_start": { "protocol": "UDP" } },
            "end": { "sum": { "seconds": 1.0, "bytes": 1_000_000_000_u64, "lost_percent": 75.0 } },
        });
        let passed = iperf3(&report.to_string()).unwrap();
        assert_eq!(passed, Passed { gigabits: 2.0, octets: 2.5e8, lost: Some(75.0) });
    }

    #[test]
    fn a_report_without_figures_is_a_fault() {
        let empty = json!({ "start": { "test_start": { "protocol": "TCP" } }, "end": {} }).to_string();
        let nothing = json!({ "end": { "sum_received": { "seconds": 1.0, "bytes": 0 } } }).to_string();
        let all_lost = json!({
            "start": { "test_start": { "protocol": "UDP" } },
            "end": { "sum": { "seconds": 1.0, "bytes": 7, "lost_percent": 100.0 } },
        });
        let table = [
            (String::new(), "nothing that is JSON"),
            (json!({ "error": "unable to connect" }).to_string(), "unable to connect"),
            (empty, "no bytes"),
            (nothing, "nothing arrived"),
            (all_lost.to_string(), "nothing arrived"),
        ];
        for (report, why) in table {
            let error = iperf3(&report).unwrap_err();
            assert!(error.contains(why), "{report}: {error}");
        }
    }

    const SAID: &str = "\
sockperf: == version #3.7-no.git ==
sockperf: [Valid Duration] RunTime=0.550 sec; SentMessages=4860; ReceivedMessages=4860
sockperf: \u{1b}[2;35m====> avg-rtt=113.179 (std-dev=90.464)\u{1b}[0m
sockperf: Summary: Round trip is 113.179 usec
sockperf: \u{1b}[2;35mTotal 4860 observations\u{1b}[0m; each percentile contains 48.60 observations
sockperf: ---> <MAX> observation = 4136.873
sockperf: ---> percentile 99.999 = 4136.873
sockperf: ---> percentile 99.900 =  301.537
sockperf: ---> percentile 99.000 =  167.688
sockperf: ---> percentile 50.000 =  106.217
";

    #[test]
    fn round_trips_are_whole() {
        assert_eq!(sockperf(SAID).unwrap(), Trips { p50: 106.217, p99: 167.688, count: 4860 });
    }

    #[test]
    fn halves_faults_and_gaps_are_told_from_round_trips() {
        let table = [
            (SAID.replace("Round trip is", "Latency is"), "no round trips"),
            (SAID.replace("percentile 50.000", "percentile 51.000"), "no percentile 50.000"),
            (SAID.replace("Total 4860", "Total x"), "no count"),
            ("sockperf: ERROR: Can`t connect socket (errno=111)\n".into(), "Can`t connect socket (errno=111)"),
            (String::new(), "no round trips"),
        ];
        for (report, why) in table {
            let error = sockperf(&report).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
