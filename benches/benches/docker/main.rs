//! What do containers cost on the switch, and what on a bridge of Docker's?
//!
//! A dockerd and a `lanyard run --docker`, built for release, run in namespaces of their own; networks of the driver
//! `lanyard` stand beside user-made networks of the driver `bridge` in the same dockerd, and where two things are
//! compared they take turns, because what else the machine does changes meanwhile.
//!
//! | section | the question |
//! | --- | --- |
//! | `start` | how long until a container runs, and until its network does, beside one without a network? |
//! | `many` | 200 containers on one network at once: how long, do they find each other, do they reach the gateway? |
//! | `endpoints` | 1,200 endpoints on one network: are they up, what do they cost? Where does a kernel bridge end? |
//! | `rounds` | 500 containers that start and end: what is left of them? |
//! | `traffic` | TCP throughput and round trips, container to container and container to host |
//!
//! The control socket and Docker's API are asked directly: no client's start (30 ms of `docker`) is in any figure. A
//! container's word that its network works is timed by dockerd, which stamps each line when it reads it.
//!
//! Needs root, and Debian's docker.io, busybox-static, iproute2, nftables, iptables and util-linux; `traffic` also
//! iperf3 and sockperf. What is not there is named, and what could not be measured for it is left out.
//!
//! Not done: other engines than the one that is installed, IPv6, images other than one static program, several
//! workers (the daemon's own choice is kept), a pull of an image.
//!
//! # What it has found
//!
//! On 2026-11-21 (AMD EPYC, 2 threads of one core, Linux 6.18, busy with other things), dockerd 20.10.24:
//!
//! | | before | after |
//! | --- | --- | --- |
//! | memory of the kernel's that an endpoint's TAP takes: a queueing discipline of 256 times three rings | 7.5 MiB | 0.1 MiB |
//! | time to publish one port: programs run for it (4 to 13 ms where 0 to 100 ports are published) | 4 | 1 |
//!
//! The mends: `ports::link::Links::set_noqueue`, and `host` writes only the elements of its maps that differ. Join runs no
//! program. Where containers have IPv6, each interface that comes up floods neighbor discovery and MLD to all ports, which is
//! most of the daemon's time from some hundreds of endpoints on; `endpoints` has it off.
#![forbid(unsafe_code)]

mod containers;
mod options;
mod sections;
mod steps;
mod world;

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use lanyard_benches::machine;
use serde_json::{Map, Value, json};

use options::Options;
use sections::{Found, Section};
use steps::Steps;
use world::World;

fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("docker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measure, and tell. Did nothing fail?
fn measure(options: &Options) -> io::Result<bool> {
    let (machine, date) = (machine::describe(), machine::date());
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other("needs root, to run a Docker Engine"));
    }
    if let Some(missing) = world::missing(&[]) {
        return Err(io::Error::other(missing));
    }
    let lanyard = options.lanyard.clone().map_or_else(build, Ok)?;
    let mut sections = options.sections();
    let mut absent = Vec::new();
    sections.retain(|section| match world::missing(section.programs()) {
        Some(why) => {
            absent.push(format!("{}: {why}", section.name()));
            false
        }
        None => true,
    });
    let mut report = Report { head: format!("{date}, {machine}"), found: Vec::new(), absent, failed: Vec::new() };
    let mut steps = Steps::of(sections.iter().map(|section| section.steps(options)).sum())?;
    for section in sections {
        let measured = World::begin(&lanyard).and_then(|world| section.measure(&world, options, &mut steps));
        match measured {
            Ok(found) => report.found.push((section, found)),
            Err(error) => report.failed.push(format!("{}: {error}", section.name())),
        }
        if steps.is_over() {
            break;
        }
    }
    drop(steps);
    print!("{}", report.text());
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", report.json()))?;
    }
    Ok(report.failed.is_empty())
}

/// The program as it is now, as `cargo` builds it for release.
fn build() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--quiet", "--package", "lanyard"]).status()?;
    // This program is in `release/deps`.
    let own = std::env::current_exe()?;
    let program = own.parent().and_then(|deps| deps.parent()).map(|release| release.join("lanyard"));
    match program.filter(|program| built.success() && program.is_file()) {
        Some(program) => Ok(program),
        None => Err(io::Error::other("lanyard is not there: build it for release, or name it with --lanyard")),
    }
}

/// All that is told.
struct Report {
    head: String,
    found: Vec<(Section, Found)>,
    absent: Vec<String>,
    failed: Vec<String>,
}

impl Report {
    /// For a person.
    fn text(&self) -> String {
        let mut text = format!("{}, {} at the end\n", self.head, machine::load());
        // Nothing fails to be written into a string.
        for (section, found) in &self.found {
            let _ = write!(text, "\n{}\n{}", section.name(), found.table);
            for line in &found.lines {
                let _ = writeln!(text, "({line})");
            }
        }
        for (title, lines) in [("Not available", &self.absent), ("Failed", &self.failed)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}\n  {}", lines.join("\n  "));
            }
        }
        text
    }

    /// For a program.
    fn json(&self) -> Value {
        let sections: Map<String, Value> =
            self.found.iter().map(|(section, found)| (section.name().to_owned(), found.json.clone())).collect();
        json!({
            "bench": "docker", "machine": self.head, "load_after": machine::load(), "sections": sections,
            "not_available": self.absent, "failed": self.failed,
        })
    }
}
