//! How many frames a second does the load generator send, by which back end, and what does a frame cost?
//!
//! One thread writes signed frames and sends them, as `lanyard pktgen --rate max` does, to a link at whose other end nobody
//! receives: a veth whose stack drops them, once as it is made and once polled (NAPI, which XDP needs), and a TAP that a
//! thread reads. So the figure is what the generator can do; a receiver that looks at each frame takes its part of the
//! machine, and with few CPUs most of it.
//!
//! All back ends send to all links in turn, round by round, each round beginning with another one; a ratio is taken within a
//! round, to the packet socket on the same link. Frames are counted by the interface. *CPU ns* is the time of the whole
//! machine for a frame, of its other work as well: XDP live frames keep a CPU busy.
//!
//! Needs root; everything is in namespaces that nothing but this process holds.
//!
//! # What was tried for packet sockets
//! One thread, bursts of 64 ready-made frames into a veth whose other end drops them; ratios to `sendmmsg` with virtio-net
//! headers, as in use (522,000 to 701,000 frames a second): medians of 15 rounds of 150 ms each (two CPUs, other work on
//! them, Linux 6.18; the ranges of all of them reach from below 0.9 to above 1.1).
//!
//! | what | 60 octets | 1514 | 60, polled | 1514, polled |
//! | --- | --- | --- | --- | --- |
//! | `sendmmsg` without the headers | 1.04 | 1.04 | 1.06 | 1.05 |
//! | `PACKET_QDISC_BYPASS` | 0.97 | 1.01 | 1.01 | 0.97 |
//! | both | 1.00 | 1.03 | 1.08 | 1.04 |
//! | both, bursts of 256 | 0.97 | 1.03 | 1.02 | 1.04 |
//! | `PACKET_TX_RING`, `TPACKET_V2` | 0.97 | 1.00 | 0.88 | 0.94 |
//! | the same past the queueing discipline | 1.01 | 0.98 | 0.97 | 0.94 |
//! | the same, bursts of 256 | 0.91 | 0.96 | 1.06 | 0.89 |
//! | `TPACKET_V3`, past the queueing discipline | 0.95 | 0.92 | 1.00 | 0.88 |
//!
//! None is worth its code: a veth has no queueing discipline to pass, and what takes the time is the packet buffer and the
//! other end's stack.
#![forbid(unsafe_code)]

mod rig;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use lanyard_benches::machine;
use lanyard_benches::progress::Progress;
use lanyard_benches::stats::{Runs, per};
use lanyard_benches::table::{Table, figure};
use load::stream::{Kind, Stream, StreamSpec};
use load::{FCS_OCTETS, Sizes};
use serde_json::{Value, json};

use rig::{Backend, Rig, Way};

/// How many frames a second does the load generator send, by which back end, and what does a frame cost?
#[derive(Parser)]
#[command(name = "generator")]
struct Options {
    /// Rounds
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Time of one measurement, milliseconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    millis: u64,
    /// Sizes of frames, octets with FCS
    #[arg(long, value_delimiter = ',', default_value = "64,1518", value_parser = clap::value_parser!(u32).range(64..=1518))]
    sizes: Vec<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// One back end on one link with frames of one size, and what was measured, one figure a round.
struct Case {
    way: Way,
    backend: Backend,
    octets: u32,
    /// Frames that left, 1,000 a second.
    rates: Vec<f64>,
    ratios: Vec<f64>,
    cpu_ns: Vec<f64>,
    /// Frames that the interface dropped, of all rounds.
    dropped: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let machine = machine::describe();
    match measure(&options) {
        Ok(cases) => {
            report(&options, &machine, &cases);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("generator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> io::Result<Vec<Case>> {
    let rig = Rig::new()?;
    let mut cases = Vec::new();
    for octets in &options.sizes {
        for way in Way::ALL {
            let suited = Backend::ALL.into_iter().filter(|backend| backend.suits(way));
            cases.extend(suited.map(|backend| Case::new(way, backend, *octets)));
        }
    }
    let mut progress = Progress::of(options.rounds as usize);
    for round in 0..options.rounds as usize {
        progress.step(&format!("round {} of {}", round + 1, options.rounds));
        for place in 0..cases.len() {
            let turn = (place + round) % cases.len();
            cases[turn].measure(&rig, Duration::from_millis(options.millis))?;
        }
        for case in 0..cases.len() {
            let socket = |other: &&Case| {
                other.backend == Backend::Socket && (other.way, other.octets) == (cases[case].way, cases[case].octets)
            };
            let base = cases.iter().find(socket).and_then(|socket| socket.rates.get(round).copied());
            let ratio = base.zip(cases[case].rates.get(round)).map(|(base, rate)| rate / base);
            cases[case].ratios.extend(ratio);
        }
    }
    Ok(cases)
}

impl Case {
    fn new(way: Way, backend: Backend, octets: u32) -> Self {
        Self { way, backend, octets, rates: Vec::new(), ratios: Vec::new(), cpu_ns: Vec::new(), dropped: 0 }
    }

    fn measure(&mut self, rig: &Rig, time: Duration) -> io::Result<()> {
        let sizes = Sizes::fixed(self.octets).map_err(io::Error::other)?;
        let spec = StreamSpec { kind: Kind::Plain, sizes, ..StreamSpec::default() };
        let mut stream = Stream::new(spec).map_err(io::Error::other)?;
        let mut port = rig.open(self.way, self.backend)?;
        rig::send(port.as_mut(), &mut stream, time / 10)?; // code and memory are touched for the first time
        let (before, busy, start) = (rig.left(self.way)?, machine::busy()?, Instant::now());
        rig::send(port.as_mut(), &mut stream, time)?;
        let (after, busy, took) = (rig.left(self.way)?, machine::busy()?.saturating_sub(busy), start.elapsed());
        let left = after.0 - before.0;
        self.rates.push(per(left, took.as_micros() as u64) * 1e3);
        self.cpu_ns.push(per(busy.as_nanos() as u64, left));
        self.dropped += after.1 - before.1;
        Ok(())
    }

    fn json(&self) -> Value {
        let runs = |values: &[f64]| Runs::new(values.iter().copied());
        json!({
            "link": self.way.words(), "backend": self.backend.words(), "octets": self.octets,
            "thousand_frames_per_second": runs(&self.rates).median(), "runs": runs(&self.rates).sorted(),
            "ratio_to_socket": runs(&self.ratios).median(), "ratios": runs(&self.ratios).sorted(),
            "cpu_ns_per_frame": runs(&self.cpu_ns).median(), "dropped": self.dropped,
        })
    }

    fn cells(&self) -> Vec<String> {
        let [rates, ratios, cpu] =
            [&self.rates, &self.ratios, &self.cpu_ns].map(|values| Runs::new(values.iter().copied()));
        let ends = |runs: &Runs, digits| format!("{}..{}", figure(runs.least(), digits), figure(runs.most(), digits));
        vec![
            self.way.words().to_owned(),
            self.backend.words().to_owned(),
            (self.octets as usize - FCS_OCTETS).to_string(),
            figure(rates.median(), 0),
            ends(&rates, 0),
            figure(ratios.median(), 2),
            ends(&ratios, 2),
            figure(cpu.median(), 0),
            self.dropped.to_string(),
        ]
    }
}

fn report(options: &Options, machine: &str, cases: &[Case]) {
    if options.json {
        let cases: Vec<Value> = cases.iter().map(Case::json).collect();
        println!("{:#}", json!({ "bench": "generator", "machine": machine, "rounds": options.rounds, "cases": cases }));
        return;
    }
    let head = ["link", "back end", "octets", "k frames/s", "range", "ratio", "range", "CPU ns", "dropped"];
    let mut table = Table::new(2, &head);
    for case in cases {
        table.row(case.cells());
    }
    println!("{machine}\n\n{table}");
}
