//! How fast do a port's counters move? Two samples, and the time between them.
//!
//! Not done: averages over longer; the eye does that.

use std::collections::BTreeMap;
use std::time::Duration;

use switch::control::types::PortRow;

/// What passes a port, a second.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Rate {
    /// Frames from the container and to it.
    pub(super) frames: [f64; 2],
    /// Bits, likewise, of the frames as the switch sees them.
    pub(super) bits: [f64; 2],
}

/// The rates of all ports.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: BTreeMap<(String, String), [u64; 4]>,
    rates: BTreeMap<(String, String), Rate>,
}

impl Rates {
    #[allow(clippy::cast_precision_loss, reason = "three digits of a rate are shown")]
    /// Counters were read, `passed` after the last time.
    pub(super) fn take(&mut self, rows: &[PortRow], passed: Duration) {
        let seconds = passed.as_secs_f64().max(0.001);
        let mut now = BTreeMap::new();
        self.rates.clear();
        for row in rows {
            let key = (row.network.clone(), row.port.clone());
            let counters = [row.rx_frames, row.tx_frames, row.rx_bytes, row.tx_bytes];
            if let Some(before) = self.before.get(&key) {
                // A port that was made anew under its old number counts from zero.
                let rate = |at: usize| counters[at].checked_sub(before[at]).map_or(0.0, |by| by as f64 / seconds);
                let rate = Rate { frames: [rate(0), rate(1)], bits: [rate(2) * 8.0, rate(3) * 8.0] };
                self.rates.insert(key.clone(), rate);
            }
            now.insert(key, counters);
        }
        self.before = now;
    }

    /// A port's; nothing is known of it before the second sample.
    pub(super) fn of(&self, row: &PortRow) -> Rate {
        self.rates.get(&(row.network.clone(), row.port.clone())).copied().unwrap_or_default()
    }
}

/// A rate in at most five characters: `0`, `7`, `999`, `1.2k`, `12.3M`.
pub(super) fn short(value: f64) -> String {
    let mut value = value.max(0.0);
    for unit in ["", "k", "M", "G", "T"] {
        if value < 999.5 {
            return if unit.is_empty() || value >= 99.95 {
                format!("{value:.0}{unit}")
            } else {
                format!("{value:.1}{unit}")
            };
        }
        value /= 1000.0;
    }
    "much".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (-1.0, "0"),
            (7.4, "7"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (1234.0, "1.2k"),
            (99_949.0, "99.9k"),
            (100_000.0, "100k"),
            (12_345_678.0, "12.3M"),
            (1e30, "much"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(short(value), text, "{value}");
        }
    }

    #[test]
    fn a_rate_needs_two_samples() {
        let row = |frames: u64| -> PortRow {
            serde_json::from_value(serde_json::json!({
                "network": "blue", "port": "p1", "endpoint": "h1", "kind": "tap", "state": "up",
                "mac": "02:42:0a:14:00:02", "ip": "10.20.0.2", "rx_frames": frames, "rx_bytes": frames * 100,
                "tx_frames": 0, "tx_bytes": 0, "drops": 0
            }))
            .unwrap()
        };
        let mut rates = Rates::default();
        rates.take(&[row(100)], Duration::from_secs(1));
        assert_eq!(rates.of(&row(0)), Rate::default());
        rates.take(&[row(300)], Duration::from_secs(2));
        assert_eq!(rates.of(&row(0)), Rate { frames: [100.0, 0.0], bits: [80_000.0, 0.0] });
        rates.take(&[row(5)], Duration::from_secs(1));
        assert_eq!(rates.of(&row(0)), Rate::default(), "counted from zero again");
    }
}
