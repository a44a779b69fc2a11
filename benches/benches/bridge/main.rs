//! How does TCP through Lanyard compare with the Linux bridge?
//!
//! Two containers each on a Linux bridge (veth pairs, no packet filter), on Lanyard with offloading TAPs (one worker, two
//! workers) and on Lanyard with offloading veths (one worker), MTU 1,500 throughout. All stand ready side by side and are
//! measured in turn, A B C D, A B C D, one round after the other, each round beginning with another one; what does not
//! work just then is idle. The ratio is taken within a round, because what else the machine does changes from round to
//! round. iperf3 sends one TCP stream, four, and datagrams of 1,400 octets as fast as it can; *Gb/s* is what arrived,
//! payload only. Request/response is one 64-octet message each way over TCP, one at a time.
//!
//! *switch CPU* is what the switch's workers were charged with for 10^9 octets that arrived. A bridge has no process of its
//! own: the senders and receivers do its work, so *all CPU* adds what iperf3 says of both ends. Nobody is charged with what
//! `ksoftirqd` does.
//!
//! Needs root, iperf3, iproute2 and util-linux; `engine` needs none. Everything happens in network namespaces that end with
//! this process, however it ends; the machine's own network is not touched.
//!
//! Not done: ports in wire mode, many containers, the gateway, loss-free rates (iperf3's datagrams overrun any receiver).
#![forbid(unsafe_code)]

mod load;
mod report;
mod world;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use lanyard_benches::machine;
use lanyard_benches::progress::Progress;
use serde_json::json;

use load::Work;
use report::{Entry, Results};
use world::{Kind, Subject};

/// How does TCP through Lanyard compare with the Linux bridge?
#[derive(Parser)]
#[command(name = "bridge")]
struct Options {
    /// Rounds; every subject is measured once in each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Measure these only; without the bridge there are no ratios
    #[arg(long, value_enum, value_delimiter = ',', default_value = "bridge,tap1,tap2,veth1")]
    only: Vec<Kind>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let machine = machine::describe();
    let measured = prepare(&options.only).and_then(|subjects| measure_all(&options, &subjects));
    let (results, failures) = match measured {
        Ok(measured) => measured,
        Err(error) => {
            eprintln!("bridge: {error}");
            return ExitCode::FAILURE;
        }
    };
    if options.json {
        let rows = results.json(&options.only);
        let (rounds, seconds) = (options.rounds, options.seconds);
        let head = json!({ "bench": "bridge", "machine": machine, "rounds": rounds, "seconds": seconds, "rows": rows });
        println!("{head:#}");
    } else {
        println!("{machine}\n{} rounds of {} s\n\n{}", options.rounds, options.seconds, results.table(&options.only));
    }
    for failure in &failures {
        eprintln!("bridge: {failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Everything that is compared, once all that is needed is there.
fn prepare(kinds: &[Kind]) -> io::Result<Vec<Subject>> {
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other("needs root, to make network namespaces, bridges and TAPs"));
    }
    let missing: Vec<&str> = world::PROGRAMS.into_iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        return Err(io::Error::other(format!("missing in PATH: {}", missing.join(", "))));
    }
    world::leave_home()?;
    kinds.iter().map(|kind| Subject::build(*kind)).collect()
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// All rounds, and what could not be measured.
fn measure_all(options: &Options, subjects: &[Subject]) -> io::Result<(Results, Vec<String>)> {
    let (mut results, mut failures) = (Results(Vec::new()), Vec::new());
    if subjects.is_empty() {
        return Err(io::Error::other("nothing to measure"));
    }
    let mut progress = Progress::of(options.rounds as usize * Work::ALL.len() * subjects.len());
    for round in 0..options.rounds {
        for work in Work::ALL {
            for place in 0..subjects.len() {
                let subject = &subjects[(place + round as usize) % subjects.len()];
                let (name, kind) = (work.words()[0], subject.kind);
                let step = format!("round {} of {}: {name}, {}", round + 1, options.rounds, kind.words());
                progress.step(&step);
                match work.measure(subject, options.seconds) {
                    Ok(samples) => {
                        let entries = work.words().iter().zip(samples);
                        results.0.extend(entries.map(|(what, sample)| Entry { round, kind, what, sample }));
                    }
                    Err(error) => failures.push(format!("{step}: {error}")),
                }
            }
        }
    }
    Ok((results, failures))
}
