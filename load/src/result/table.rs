//! How does a person read a result? As aligned columns, words to the left and numbers to the right, rates and times in the
//! unit that makes them short. Plain text: no colours, and nothing that depends on a terminal's width.

use std::fmt::Write;

use super::{Arrived, LoadResult, PortResult, StreamResult, Traffic};
use crate::latency::Latency;

/// Lines of cells, of which the first column holds words. The first line is the head, where there is one.
#[derive(Default)]
pub(crate) struct Columns(pub(crate) Vec<Vec<String>>);

impl Columns {
    fn head(cells: &[&str]) -> Self {
        Self(vec![cells.iter().map(ToString::to_string).collect()])
    }

    fn print(&self, out: &mut String) {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| {
            self.0.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.0 {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string does not fail.
                let _ = if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

/// Rows of cells in aligned columns, the first to the left, the others to the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    Columns(rows.to_vec()).print(&mut out);
    out
}

impl LoadResult {
    /// The result as aligned text; ends with a line end.
    pub fn table(&self) -> String {
        let mut out = String::new();
        self.traffic().print(&mut out);
        out.push('\n');
        self.fates().print(&mut out);
        out.push('\n');
        self.latencies().print(&mut out);
        for columns in [self.per_stream(), self.per_port()].into_iter().flatten() {
            out.push('\n');
            columns.print(&mut out);
        }
        for note in self.notes() {
            let _ = writeln!(out, "\n{note}");
        }
        out
    }

    /// The streams, if there is more than one.
    pub(crate) fn per_stream(&self) -> Option<Columns> {
        let head = [
            "stream",
            "sent",
            "expected",
            "received",
            "lost",
            "loss",
            "duplicates",
            "reordered",
            "misdelivered",
            "p50",
            "p99",
        ];
        let mut columns = Columns::head(&head);
        columns.0.extend(self.streams.iter().map(stream_row));
        (self.streams.len() > 1).then_some(columns)
    }

    /// The receiving ports, if there is more than one.
    pub(crate) fn per_port(&self) -> Option<Columns> {
        let head = [
            "port",
            "received",
            "pps",
            "wire bit/s",
            "duplicates",
            "reordered",
            "misdelivered",
            "damaged",
            "foreign",
            "p50",
            "p99",
        ];
        let mut columns = Columns::head(&head);
        columns.0.extend(self.ports.iter().map(port_row));
        (self.ports.len() > 1).then_some(columns)
    }

    /// What a reader must know before he trusts the figures; a sentence each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let early = self.latency.map_or(0, |latency| latency.early);
        let early = (early > 0)
            .then(|| format!("{early} frames came before they were due and count as 0 ns: the clocks differ"));
        let surplus = (self.surplus > 0)
            .then(|| format!("{} frames came that nobody is said to have sent: do not trust the loss", self.surplus));
        [early, surplus, self.generator_limited.clone()].into_iter().flatten().collect()
    }

    pub(crate) fn traffic(&self) -> Columns {
        let mut columns = Columns::head(&["", "frames", "octets", "seconds", "pps", "wire bit/s"]);
        let rows = [("offered", self.offered.map(arrived)), ("sent", Some(arrived(self.sent)))];
        columns.0.extend(rows.into_iter().chain([("received", Some(self.received))]).map(|(name, traffic)| {
            let mut row = vec![name.to_owned()];
            match traffic {
                Some(traffic) => row.extend(traffic_cells(&traffic)),
                None => row.push("max".to_owned()),
            }
            row
        }));
        columns
    }

    pub(crate) fn fates(&self) -> Columns {
        let error = self.loss_error;
        let loss = format!(
            "{} of {}, 95 %: {} to {}, one frame: {}",
            percent(self.loss_share),
            self.expected,
            percent(error.low),
            percent(error.high),
            percent(error.one_frame)
        );
        let extent =
            if self.reordered > 0 { format!("extent up to {}", self.reordering_extent) } else { String::new() };
        let errored = self.errored.map(|errored| {
            let note = format!("of {} that a switch should drop", errored.sent);
            ("errored, forwarded", errored.forwarded, note)
        });
        let rows = [
            ("lost", self.lost, loss),
            ("duplicates", self.duplicates, String::new()),
            ("reordered", self.reordered, extent),
            ("misdelivered", self.misdelivered, String::new()),
            ("damaged", self.damaged, String::new()),
            ("foreign", self.foreign, String::new()),
            ("too old", self.too_old, String::new()),
        ];
        let rows: Vec<_> = rows.into_iter().chain(errored).collect();
        let width = rows.iter().map(|(_, _, note)| note.len()).max().unwrap_or(0);
        Columns(
            rows.into_iter()
                .map(|(name, count, note)| vec![name.to_owned(), count.to_string(), format!("{note:<width$}")])
                .collect(),
        )
    }

    pub(crate) fn latencies(&self) -> Columns {
        let mut columns = Columns::head(&["", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max", "samples"]);
        let mut row = vec!["latency".to_owned()];
        match self.latency {
            Some(Latency {
                min_ns,
                mean_ns,
                p50_ns,
                p90_ns,
                p99_ns,
                p99_9_ns,
                p99_99_ns,
                max_ns,
                samples,
                early: _,
            }) => {
                row.extend([min_ns, mean_ns, p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, max_ns].map(time));
                row.push(samples.to_string());
            }
            None => row.extend([const { "-" }; 9].map(str::to_owned)),
        }
        columns.0.push(row);
        columns
    }
}

/// What has rates as what may have none.
fn arrived(traffic: Traffic) -> Arrived {
    let Traffic { frames, octets, seconds, pps, wire_bps } = traffic;
    Arrived { frames, octets, seconds, pps: Some(pps), wire_bps: Some(wire_bps) }
}

fn traffic_cells(traffic: &Arrived) -> [String; 5] {
    let [pps, wire_bps] = rates(traffic);
    [traffic.frames.to_string(), traffic.octets.to_string(), format!("{:.3}", traffic.seconds), pps, wire_bps]
}

/// Frames and bits a second, as far as they are known.
fn rates(traffic: &Arrived) -> [String; 2] {
    let unknown = || "-".to_owned();
    let pps = traffic.pps.map_or_else(unknown, |pps| format!("{pps:.0}"));
    [pps, traffic.wire_bps.map_or_else(unknown, rate)]
}

fn stream_row(stream: &StreamResult) -> Vec<String> {
    let mut row = vec![stream.stream.to_string()];
    row.extend([stream.sent, stream.expected, stream.received, stream.lost].map(|count| count.to_string()));
    row.push(percent(stream.loss_share));
    row.extend([stream.duplicates, stream.reordered, stream.misdelivered].map(|count| count.to_string()));
    row.extend(halves(stream.latency));
    row
}

fn port_row(port: &PortResult) -> Vec<String> {
    let mut row = vec![port.port.to_string(), port.received.frames.to_string()];
    row.extend(rates(&port.received));
    let counts = [port.duplicates, port.reordered, port.misdelivered, port.damaged, port.foreign];
    row.extend(counts.map(|count| count.to_string()));
    row.extend(halves(port.latency));
    row
}

/// The two quantiles there is room for in a line of many.
fn halves(latency: Option<Latency>) -> [String; 2] {
    latency.map_or_else(|| ["-", "-"].map(str::to_owned), |latency| [time(latency.p50_ns), time(latency.p99_ns)])
}

/// A share in per cent, with as many digits as a single frame of a million needs; a smaller one does not look like none.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if share > 0.0 && percent < 1e-4 { format!("{percent:.1e} %") } else { format!("{percent:.4} %") }
}

/// A time in the unit that leaves one to three digits before the point.
pub fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.2} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}

/// Bits a second, likewise.
pub(crate) fn rate(bps: f64) -> String {
    match bps {
        ..1e3 => format!("{bps:.0}"),
        ..1e6 => format!("{:.2} k", bps / 1e3),
        ..1e9 => format!("{:.2} M", bps / 1e6),
        _ => format!("{:.2} G", bps / 1e9),
    }
}
