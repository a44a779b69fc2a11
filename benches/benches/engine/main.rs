//! How many frames a second does the engine move, from memory port to memory port, through the whole journey?
//!
//! Measured: admit, learn, look up, flood and egress with real workers, the event loop and the rings of the memory ports.
//! Each worker plays its own hosts (see `rig.rs`), so a figure is what one core does; no kernel on the way. Frames of 64 and of 1,500 octets, without FCS; one worker and two; known unicast between 2, 1,000 and
//! 1,000,000 addresses in no order, sources that were never heard before, and floods. Every frame must arrive, or the run
//! is no result.
//!
//! - *ns* is one worker's time for a frame that comes in: the median of several runs; the smallest and the largest stand
//!   beside it. *M in/s/core* is the same turned round.
//! - *hosts* is what playing the hosts took on top of that, and is part of neither.
//! - *allocs* counts the allocations of all threads while frames pass. On this path there are none; if there is one, this
//!   program says so and fails.
//!
//! Memory: see the end of `switch/engine/worker.rs` for what a worker and a port hold.
//!
//! Not done: the gateway's path, tracing, ports of the kernel (that is what `versus` asks), and hosts that answer.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "a global allocator cannot be written without")]
mod counting;
#[allow(dead_code, reason = "shared with the benchmark of tracing")]
mod rig;
mod traffic;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lanyard_benches::machine;
use lanyard_benches::progress::Progress;
use lanyard_benches::stats::{Runs, per};
use lanyard_benches::table::{Table, figure};
use serde_json::{Value, json};

use counting::Counting;
use rig::{Rig, Run};
use traffic::Traffic;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// How many frames a second does the engine move, from memory port to memory port?
#[derive(Parser)]
#[command(name = "engine")]
struct Options {
    /// Runs of each case
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How long a run is to take, milliseconds
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=60_000))]
    millis: u32,
    /// Numbers of workers
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: Vec<u8>,
    /// Only traffic with this in its name, such as "1 K"
    #[arg(long, default_value = "")]
    only: String,
    /// Only frames of these sizes, octets without FCS
    #[arg(long, value_delimiter = ',', default_value = "64,1500", value_parser = clap::value_parser!(u16).range(60..=1514))]
    sizes: Vec<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

struct Case {
    octets: usize,
    workers: usize,
    traffic: Traffic,
    runs: Vec<Run>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let machine = machine::describe();
    match measure_all(&options) {
        Ok(cases) => report(&cases, &machine, options.json),
        Err(error) => {
            eprintln!("engine: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(options: &Options) -> io::Result<Vec<Case>> {
    let chosen: Vec<Traffic> =
        Traffic::ALL.into_iter().filter(|traffic| traffic.words().contains(&options.only)).collect();
    if chosen.is_empty() {
        return Err(io::Error::other(format!("there is no traffic with '{}' in its name", options.only)));
    }
    let mut cases = Vec::new();
    let mut progress = Progress::of(options.workers.len() * options.sizes.len() * chosen.len());
    for workers in options.workers.iter().map(|workers| usize::from(*workers)) {
        for traffic in chosen.iter().copied() {
            for octets in options.sizes.iter().map(|octets| usize::from(*octets)) {
                progress.step(&format!("{} of {octets} octets, {workers} worker(s)", traffic.words()));
                let rig = Rig::new(workers, traffic, octets)?;
                let runs = measure(&rig, options, traffic.most_frames(workers as u64))?;
                cases.push(Case { octets, workers, traffic, runs });
            }
        }
    }
    Ok(cases)
}

/// As many runs as asked for, each of about the time asked for, after one that nobody counts.
fn measure(rig: &Rig, options: &Options, most: u64) -> io::Result<Vec<Run>> {
    rig.run(5_000)?; // buffers and code are touched for the first time
    let trial = rig.run(20_000)?;
    let took = (trial.engine + trial.hosts).as_nanos().max(1);
    let wanted = Duration::from_millis(u64::from(options.millis)).as_nanos() / took;
    let frames = (20_000 * wanted as u64).clamp(10_000, most);
    (0..options.runs).map(|_| rig.run(frames)).collect()
}

impl Run {
    /// A worker's time for a frame.
    fn ns(&self) -> f64 {
        per(self.engine.as_nanos() as u64, self.frames)
    }

    fn hosts_ns(&self) -> f64 {
        per(self.hosts.as_nanos() as u64, self.frames)
    }

    fn burst(&self) -> f64 {
        per(self.frames, self.bursts)
    }
}

impl Case {
    fn over(&self, pick: impl Fn(&Run) -> f64) -> Runs {
        Runs::new(self.runs.iter().map(pick))
    }

    fn ns(&self) -> Runs {
        self.over(Run::ns)
    }

    /// Frames in the middle run, millions a second and core.
    fn mega_frames(&self) -> Option<f64> {
        self.ns().median().map(|ns| 1e3 / ns)
    }

    fn allocations(&self) -> u64 {
        self.runs.iter().map(|run| run.allocations).sum()
    }

    fn allocations_per_frame(&self) -> f64 {
        per(self.allocations(), self.runs.iter().map(|run| run.frames).sum())
    }

    fn json(&self) -> Value {
        let ns = self.ns();
        json!({
            "traffic": self.traffic.words(), "octets": self.octets, "workers": self.workers,
            "frames_per_second_and_core": self.mega_frames().map(|mega| (mega * 1e6).round()),
            "copies_per_frame": self.traffic.copies(),
            "ns_per_frame": ns.median(), "ns_per_frame_runs": ns.sorted(),
            "hosts_ns_per_frame": self.over(Run::hosts_ns).median(),
            "frames_per_burst": self.over(Run::burst).median(),
            "allocations_per_frame": self.allocations_per_frame(), "allocations": self.allocations(),
        })
    }

    fn cells(&self) -> Vec<String> {
        let (ns, mega) = (self.ns(), self.mega_frames());
        vec![
            self.traffic.words(),
            self.octets.to_string(),
            self.workers.to_string(),
            figure(mega, 2),
            figure(mega.map(|mega| mega * f64::from(self.traffic.copies())), 2),
            figure(ns.median(), 1),
            format!("{}..{}", figure(ns.least(), 1), figure(ns.most(), 1)),
            figure(self.over(Run::hosts_ns).median(), 1),
            figure(self.over(Run::burst).median(), 1),
            // Three digits of zero would hide one in ten thousand.
            if self.allocations() == 0 { "0".to_owned() } else { format!("{:.2e}", self.allocations_per_frame()) },
        ]
    }
}

fn report(cases: &[Case], machine: &str, as_json: bool) -> ExitCode {
    if as_json {
        let cases: Vec<Value> = cases.iter().map(Case::json).collect();
        println!("{:#}", json!({ "bench": "engine", "machine": machine, "cases": cases }));
    } else {
        let head =
            ["traffic", "octets", "workers", "M in/s/core", "M out/s/core", "ns", "range", "hosts", "burst", "allocs"];
        let mut table = Table::new(1, &head);
        for case in cases {
            table.row(case.cells());
        }
        println!("{machine}\n\n{table}");
    }
    let allocations: u64 = cases.iter().map(Case::allocations).sum();
    if allocations == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("engine: {allocations} allocations while frames passed; there must be none");
    ExitCode::FAILURE
}
