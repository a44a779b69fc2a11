//! One line per run for a spreadsheet: the totals, without streams and ports. Fields are numbers, empty where there is none,
//! so nothing needs quotes (RFC 4180); the sentence on the generator is 1 or 0 here.

use super::LoadResult;

/// Keys of the columns, in order; they are the JSON keys with an underscore for each level.
const COLUMNS: [&str; 43] = [
    "offered_frames",
    "offered_octets",
    "offered_seconds",
    "offered_pps",
    "offered_wire_bps",
    "sent_frames",
    "sent_octets",
    "sent_seconds",
    "sent_pps",
    "sent_wire_bps",
    "received_frames",
    "received_octets",
    "received_seconds",
    "received_pps",
    "received_wire_bps",
    "expected",
    "lost",
    "loss_share",
    "loss_error_one_frame",
    "loss_error_low",
    "loss_error_high",
    "surplus",
    "duplicates",
    "reordered",
    "reordering_extent",
    "misdelivered",
    "damaged",
    "foreign",
    "too_old",
    "errored_sent",
    "errored_forwarded",
    "latency_min_ns",
    "latency_mean_ns",
    "latency_p50_ns",
    "latency_p90_ns",
    "latency_p99_ns",
    "latency_p99_9_ns",
    "latency_p99_99_ns",
    "latency_max_ns",
    "latency_samples",
    "latency_early",
    "generator_limited",
    "streams",
];

impl LoadResult {
    /// The names of the columns of [`csv_row`](Self::csv_row), without a line end.
    pub fn csv_header() -> String {
        COLUMNS.join(",")
    }

    /// The totals as one line, without a line end.
    pub fn csv_row(&self) -> String {
        let mut cells = Vec::with_capacity(COLUMNS.len());
        for traffic in [self.offered, Some(self.sent)] {
            match traffic {
                Some(t) => {
                    cells.extend([t.frames, t.octets].map(|count| count.to_string()));
                    cells.extend([t.seconds, t.pps, t.wire_bps].map(|value| value.to_string()));
                }
                None => cells.extend([const { String::new() }; 5]),
            }
        }
        let received = self.received;
        cells.extend([received.frames, received.octets].map(|count| count.to_string()));
        let rates = [Some(received.seconds), received.pps, received.wire_bps];
        cells.extend(rates.map(|value| value.map_or_else(String::new, |value| value.to_string())));
        cells.extend([self.expected, self.lost].map(|count| count.to_string()));
        let error = self.loss_error;
        cells.extend([self.loss_share, error.one_frame, error.low, error.high].map(|value| value.to_string()));
        let fates = [self.surplus, self.duplicates, self.reordered, self.reordering_extent, self.misdelivered];
        cells.extend(fates.map(|count| count.to_string()));
        cells.extend([self.damaged, self.foreign, self.too_old].map(|count| count.to_string()));
        match self.errored {
            Some(errored) => cells.extend([errored.sent, errored.forwarded].map(|count| count.to_string())),
            None => cells.extend([const { String::new() }; 2]),
        }
        match self.latency {
            Some(l) => {
                let quantiles = [l.min_ns, l.mean_ns, l.p50_ns, l.p90_ns, l.p99_ns, l.p99_9_ns, l.p99_99_ns];
                cells.extend(quantiles.map(|ns| ns.to_string()));
                cells.extend([l.max_ns, l.samples, l.early].map(|count| count.to_string()));
            }
            None => cells.extend([const { String::new() }; 10]),
        }
        cells.push(u8::from(self.generator_limited.is_some()).to_string());
        cells.push(self.streams.len().to_string());
        cells.join(",")
    }
}
