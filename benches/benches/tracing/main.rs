//! What does tracing cost those who are not traced, what those who are, and is anything lost at 100,000 frames a second?
//!
//! Two builds of this program play the engine benchmark's rig (`engine/rig.rs`: memory ports, 64-octet frames between
//! 1,000 addresses, one worker) in turn, round by round: this one, and one whose engine was built without any tracing
//! (`--features untraced`), which is built on the way. A figure is the median over the rounds of the ratio to the build
//! without, within the same round.
//!
//! - *off*: built with tracing, nobody traces. Must be at most 1 % slower.
//! - *nothing passes*: somebody traces, and the filter lets none of these frames through.
//! - *1 of 1,000*: the filter lets one station's frames through.
//! - *everything*: every frame is recorded, as fast as they come, and read by another thread; what the ring gives up is counted.
//!
//! The last part sends 100,000 frames a second, every one of them traced and put into words and JSON: none may be lost.
//!
//! Not done: the way from the daemon to `lanyard trace`.
#![deny(unsafe_code)]

#[path = "../engine/counting.rs"]
#[allow(unsafe_code, dead_code, reason = "shared with the engine's benchmark: a global allocator")]
mod counting;
mod player;
#[path = "../engine/rig.rs"]
#[allow(dead_code, reason = "shared with the engine's benchmark")]
mod rig;
#[path = "../engine/traffic.rs"]
#[allow(dead_code, reason = "shared with the engine's benchmark")]
mod traffic;

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use clap::Parser;
use lanyard_benches::machine;
use lanyard_benches::progress::Progress;
use lanyard_benches::stats::Runs;
use lanyard_benches::table::{Table, figure};
use serde_json::{Value, json};

use counting::Counting;
use player::{Paced, State};

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// What does tracing cost?
#[derive(Parser)]
#[command(name = "tracing")]
struct Options {
    /// Rounds
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Frames of one measurement
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    frames: u64,
    /// Seconds at 100,000 frames a second
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Measure what is asked for on standard input
    #[arg(long, hide = true)]
    play: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = if options.play { player::play(options.frames) } else { measure(&options) };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tracing: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Another process of this program, that measures when it is told to.
struct Player {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Player {
    fn start(program: &Path, options: &Options) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["--play", "--frames", &options.frames.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, answers) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }

    fn ask(&mut self, order: &str) -> io::Result<Value> {
        writeln!(self.orders, "{order}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| io::Error::other(format!("a player answered '{}'", line.trim())))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn measure(options: &Options) -> io::Result<bool> {
    let machine = machine::describe();
    let mut without = Player::start(&build_without()?, options)?;
    let mut with = Player::start(&std::env::current_exe()?, options)?;
    let mut ratios: Vec<Vec<f64>> = State::ALL.iter().map(|_| Vec::new()).collect();
    let (mut bare, mut lost, mut traced) = (Vec::new(), 0, 0);
    let mut progress = Progress::of(options.rounds as usize);
    for round in 0..options.rounds {
        progress.step(&format!("round {} of {}", round + 1, options.rounds));
        // The build without goes first and last, and each round begins with another state, so that a drift of the machine
        // is in all of them.
        let first = ns_of(&without.ask("off")?)?;
        let mut found = [0.0; State::ALL.len()];
        for place in 0..found.len() {
            let turn = (place + round as usize) % found.len();
            let answer = with.ask(State::ALL[turn].word())?;
            found[turn] = ns_of(&answer)?;
            lost += answer["lost"].as_u64().unwrap_or(0);
            traced += answer["traced"].as_u64().unwrap_or(0);
        }
        let middle = f64::midpoint(first, ns_of(&without.ask("off")?)?);
        bare.push(middle);
        for (ratios, ns) in ratios.iter_mut().zip(found) {
            ratios.push(ns / middle);
        }
    }
    let paced: Paced = serde_json::from_value(with.ask(&format!("paced {}", options.seconds))?)?;
    report(options, &machine, &Runs::new(bare), ratios.into_iter().map(Runs::new).collect(), (traced, lost), &paced);
    Ok(paced.lost == 0)
}

fn ns_of(answer: &Value) -> io::Result<f64> {
    answer["ns"].as_f64().ok_or_else(|| io::Error::other(format!("a player answered {answer}")))
}

/// Build this program again, with an engine that knows no tracing; where it is.
fn build_without() -> io::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let target = here.ancestors().nth(3).map(|target| target.join("untraced")).ok_or(io::ErrorKind::NotFound)?;
    eprintln!("tracing: building the engine without tracing in {}", target.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["bench", "--bench", "tracing", "--no-run", "--features", "untraced", "--message-format", "json"])
        .arg("--target-dir")
        .arg(target)
        .stderr(Stdio::inherit())
        .output()?;
    let artifacts = output.stdout.split(|octet| *octet == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let built =
        artifacts.filter_map(|artifact: Value| Some(PathBuf::from(artifact["executable"].as_str()?))).next_back();
    built.filter(|_| output.status.success()).ok_or_else(|| io::Error::other("the build without tracing failed"))
}

fn report(options: &Options, machine: &str, bare: &Runs, ratios: Vec<Runs>, (traced, lost): (u64, u64), paced: &Paced) {
    if options.json {
        let states: Vec<Value> = State::ALL
            .iter()
            .zip(&ratios)
            .map(|(state, ratios)| json!({"state": state.words(), "ratio": ratios.median(), "ratios": ratios.sorted()}))
            .collect();
        println!(
            "{:#}",
            json!({"bench": "tracing", "machine": machine, "ns_without": bare.median(), "states": states,
                   "traced": traced, "lost": lost, "paced": paced})
        );
        return;
    }
    let mut table = Table::new(1, &["engine", "time a frame, ratio", "range"]);
    table.row(vec!["built without tracing".to_owned(), format!("1 ({} ns)", figure(bare.median(), 1)), String::new()]);
    for (state, ratios) in State::ALL.iter().zip(ratios) {
        let range = format!("{}..{}", figure(ratios.least(), 3), figure(ratios.most(), 3));
        table.row(vec![state.words().to_owned(), figure(ratios.median(), 3), range]);
    }
    println!("{machine}\n\n{table}");
    println!("everything traced as fast as it comes: {lost} of {traced} records given up for newer ones, all counted");
    println!(
        "{} frames in {:.1} s, each traced, in words and in JSON ({} octets): {} lost",
        paced.frames, paced.seconds, paced.json_octets, paced.lost
    );
}
