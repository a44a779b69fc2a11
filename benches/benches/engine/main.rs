//! How many frames a second does the engine move, from memory port to memory port, through the whole journey?
//!
//! Measured: admit, learn, look up, flood and egress with real workers, the event loop and the rings of the memory ports;
//! no kernel on the way but for waking a worker that sleeps. One thread plays the hosts (see `rig.rs`). Frames of 64 and of
//! 1,500 octets, without FCS; one worker and two; known unicast between two hosts, between 1,000 addresses, and a flood to
//! eight ports. Every frame must arrive, or the run is no result.
//!
//! - *ns/frame* is wall time by frames that came in: what the engine and the thread that plays the hosts manage together,
//!   whichever is slower. It is the median of several runs; the smallest and the largest stand beside it.
//! - *CPU ns* is what the workers alone were charged with for a frame, which other work on the machine hardly moves.
//!   Both hold four operations on rings that two threads share (a frame and a buffer, in and out), which cost more than
//!   the journey itself.
//! - *allocs* counts the allocations of all threads while frames pass. On this path there are none; if there is one, this
//!   program says so and fails.
//!
//! A memory port hands all frames of one pair of addresses to the same worker, as a TAP does, so two hosts keep one worker
//! busy, however many there are.
//!
//! Not done: the gateway's path, tracing, ports of the kernel (that is the bridge bench's question), and hosts that answer.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "a global allocator cannot be written without")]
mod counting;
mod rig;

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
use rig::{Rig, Run, Traffic};

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
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Octets of a frame without FCS.
const SIZES: [usize; 2] = [64, 1500];

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
    let mut cases = Vec::new();
    let mut progress = Progress::of(options.workers.len() * SIZES.len() * Traffic::ALL.len());
    for workers in options.workers.iter().map(|workers| usize::from(*workers)) {
        for traffic in Traffic::ALL {
            for octets in SIZES {
                progress.step(&format!("{} of {octets} octets, {workers} worker(s)", traffic.words()));
                let mut rig = Rig::new(workers, traffic, octets)?;
                cases.push(Case { octets, workers, traffic, runs: measure(&mut rig, options)? });
            }
        }
    }
    Ok(cases)
}

/// As many runs as asked for, each of about the time asked for, after one that nobody counts.
fn measure(rig: &mut Rig, options: &Options) -> io::Result<Vec<Run>> {
    rig.run(5_000)?; // buffers and code are touched for the first time
    let trial = rig.run(20_000)?;
    let wanted = Duration::from_millis(u64::from(options.millis)).as_nanos() / trial.took.as_nanos().max(1);
    let frames = (trial.frames * wanted as u64).max(10_000);
    (0..options.runs).map(|_| rig.run(frames)).collect()
}

impl Run {
    fn wall_ns(&self) -> f64 {
        per(self.took.as_nanos() as u64, self.frames)
    }

    fn worker_ns(&self) -> f64 {
        per(self.workers.as_nanos() as u64, self.frames)
    }

    fn burst(&self) -> f64 {
        per(self.frames, self.bursts)
    }
}

impl Case {
    fn over(&self, pick: impl Fn(&Run) -> f64) -> Runs {
        Runs::new(self.runs.iter().map(pick))
    }

    /// Frames in the middle run, millions a second.
    fn mega_frames(&self) -> Option<f64> {
        self.over(Run::wall_ns).median().map(|ns| 1e3 / ns)
    }

    fn allocations(&self) -> u64 {
        self.runs.iter().map(|run| run.allocations).sum()
    }

    fn allocations_per_frame(&self) -> f64 {
        per(self.allocations(), self.runs.iter().map(|run| run.frames).sum())
    }

    fn json(&self) -> Value {
        let wall = self.over(Run::wall_ns);
        json!({
            "traffic": self.traffic.words(), "octets": self.octets, "workers": self.workers,
            "frames_per_second": self.mega_frames().map(|mega| (mega * 1e6).round()),
            "copies_per_frame": self.traffic.copies(),
            "ns_per_frame": wall.median(), "ns_per_frame_runs": wall.sorted(),
            "worker_cpu_ns_per_frame": self.over(Run::worker_ns).median(),
            "frames_per_burst": self.over(Run::burst).median(),
            "allocations_per_frame": self.allocations_per_frame(), "allocations": self.allocations(),
        })
    }

    fn cells(&self) -> Vec<String> {
        let wall = self.over(Run::wall_ns);
        let mega = self.mega_frames();
        vec![
            self.traffic.words().to_owned(),
            self.octets.to_string(),
            self.workers.to_string(),
            figure(mega, 2),
            figure(mega.map(|mega| mega * f64::from(self.traffic.copies())), 2),
            figure(wall.median(), 0),
            format!("{}..{}", figure(wall.least(), 0), figure(wall.most(), 0)),
            figure(self.over(Run::worker_ns).median(), 0),
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
            ["traffic", "octets", "workers", "M in/s", "M out/s", "ns/frame", "range", "CPU ns", "burst", "allocs"];
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
