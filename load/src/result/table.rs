//! How does a person read a result? As aligned columns, words to the left and numbers to the right, rates and times in the
//! unit that makes them short. Plain text: no colours, and nothing that depends on a terminal's width.

use std::fmt::Write;

use super::{LoadResult, PortResult, StreamResult, Traffic};
use crate::latency::Latency;

/// Lines of cells, of which the first column holds words.
#[derive(Default)]
struct Columns(Vec<Vec<String>>);

impl Columns {
    fn head(cells: &[&str]) -> Self {
        Self(vec![cells.iter().map(ToString::to_string).collect()])
    }

    fn print(&self, out: &mut String) {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| self.0.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
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

impl LoadResult {
    /// The result as aligned text; ends with a line end.
    pub fn table(&self) -> String {
        let mut out = String::new();
        self.traffic().print(&mut out);
        out.push('\n');
        self.fates().print(&mut out);
        out.push('\n');
        self.latencies().print(&mut out);
        if self.streams.len() > 1 {
            out.push('\n');
            let mut columns = Columns::head(&[
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
            ]);
            columns.0.extend(self.streams.iter().map(stream_row));
            columns.print(&mut out);
        }
        if self.ports.len() > 1 {
            out.push('\n');
            let mut columns = Columns::head(&[
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
            ]);
            columns.0.extend(self.ports.iter().map(port_row));
            columns.print(&mut out);
        }
        if let Some(latency) = self.latency.filter(|latency| latency.early > 0) {
            let _ = writeln!(
                out,
                "\n{} frames came before they were due and count as 0 ns: the clocks differ",
                latency.early
            );
        }
        if self.surplus > 0 {
            let _ =
                writeln!(out, "\n{} frames came that nobody is said to have sent: do not trust the loss", self.surplus);
        }
        if let Some(sentence) = &self.generator_limited {
            let _ = writeln!(out, "\n{sentence}");
        }
        out
    }

    fn traffic(&self) -> Columns {
        let mut columns = Columns::head(&["", "frames", "octets", "seconds", "pps", "wire bit/s"]);
        let rows = [("offered", self.offered), ("sent", Some(self.sent)), ("received", Some(self.received))];
        columns.0.extend(rows.iter().map(|(name, traffic)| {
            let mut row = vec![(*name).to_owned()];
            match traffic {
                Some(traffic) => row.extend(traffic_cells(traffic)),
                None => row.push("max".to_owned()),
            }
            row
        }));
        columns
    }

    fn fates(&self) -> Columns {
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
        let rows = [
            ("lost", self.lost, loss),
            ("duplicates", self.duplicates, String::new()),
            ("reordered", self.reordered, extent),
            ("misdelivered", self.misdelivered, String::new()),
            ("damaged", self.damaged, String::new()),
            ("foreign", self.foreign, String::new()),
            ("too old", self.too_old, String::new()),
        ];
        let width = rows.iter().map(|(_, _, note)| note.len()).max().unwrap_or(0);
        Columns(
            rows.into_iter()
                .map(|(name, count, note)| vec![name.to_owned(), count.to_string(), format!("{note:<width$}")])
                .collect(),
        )
    }

    fn latencies(&self) -> Columns {
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

fn traffic_cells(traffic: &Traffic) -> [String; 5] {
    let Traffic { frames, octets, seconds, pps, wire_bps } = *traffic;
    [frames.to_string(), octets.to_string(), format!("{seconds:.3}"), format!("{pps:.0}"), rate(wire_bps)]
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
    row.extend([format!("{:.0}", port.received.pps), rate(port.received.wire_bps)]);
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
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if share > 0.0 && percent < 1e-4 { format!("{percent:.1e} %") } else { format!("{percent:.4} %") }
}

/// A time in the unit that leaves one to three digits before the point.
pub(super) fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.2} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}

/// Bits a second, likewise.
pub(super) fn rate(bps: f64) -> String {
    match bps {
        ..1e3 => format!("{bps:.0}"),
        ..1e6 => format!("{:.2} k", bps / 1e3),
        ..1e9 => format!("{:.2} M", bps / 1e6),
        _ => format!("{:.2} G", bps / 1e9),
    }
}
