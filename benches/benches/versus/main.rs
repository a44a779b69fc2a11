//! How does Lanyard compare with the Linux bridge, Open vSwitch and VDE?
//!
//! Two containers are joined by each subject in turn, do the same works through it, and are taken apart; then comes
//! the next, A B C, A B C, one round after the other, each round beginning with another one. A subject that spins thus
//! spoils nobody else's figures. The ratio to the plain Linux bridge is taken within a round, because what else the
//! machine does changes from round to round; what is shown is the median of the rounds. MTU 1,500 throughout, no IPv6,
//! defaults otherwise.
//!
//! | figure | how |
//! | --- | --- |
//! | TCP 1, TCP 4, UDP | iperf3, for so many seconds; payload that *arrived*. UDP is sent as fast as the sender can |
//! | 60 octets | trafgen on one thread, UDP over IPv4; frames that the receiver's interface counted, and those offered |
//! | RTT | sockperf, 64 octets each way over TCP, one at a time; whole round trips, both ends asleep in between |
//! | sw s/GB | CPU seconds of the switch's own threads for 10^9 octets that arrived, by `schedstat` |
//! | all s/GB | CPU seconds of the whole machine for them, by `/proc/stat`: senders, receivers, interrupts, and other people |
//! | idle | CPU of the switch's own threads without traffic, percent of one core |
//!
//! A bridge has no threads of its own: the senders and receivers do its work. The same is true of a part of every
//! other subject's: what the kernel does in a softirq is charged to whoever was running, or to `ksoftirqd`, and to the
//! switch only if that was the switch. Only *all s/GB* compares costs.
//!
//! The senders slow down with a bridge, which does its work in their context; a TAP or `AF_PACKET` does not slow them
//! down, and drops what its queue cannot hold. UDP and 60-octet frames therefore overrun every subject: they are rates
//! under overload, not rates without loss.
//!
//! Everything happens in network namespaces that nothing but this process holds, and with a `/run` of its own: however
//! it ends, nothing is left. Needs root and Debian's iproute2 and util-linux; of the rest (iperf3, netsniff-ng,
//! sockperf, ethtool, iptables, openvswitch-switch, vde2) what is not there is named in the report with what could not
//! be measured for it.
//!
//! Not done: ports in wire mode, many containers, the gateway, frames over a real card, rates without loss (RFC 2544).
//!
//! # What was tried for TAP and veth, and what it gave
//!
//! Two TAPs and a bare forwarder between them, no tables; ratios to the bridge, medians of 2 rounds of 1.5 s in one run on
//! 2026-11-21 (AMD EPYC, 2 threads of one core, Linux 6.18). The bridge had 17.8 and 24.6 Gb/s, 493,000 frames a second
//! and 47 us.
//!
//! | TAP | TCP 1 | TCP 4 | 60 octets | RTT p50 | system calls a frame, busy |
//! | --- | --- | --- | --- | --- | --- |
//! | read and write, bursts of 64, edge-triggered | 0.75 | 0.51 | 0.64 | 1.39 | 2.1 |
//! | each frame written as soon as it is read | 0.73 | 0.58 | 0.46 | 0.96 | 2.4 |
//! | only super-frames written at once | 0.71 | 0.56 | 0.73 | 1.41 | 2.1 |
//! | level-triggered | 0.77 | 0.63 | 0.75 | 1.33 | 2.0 |
//! | readv into small buffers and a shared large one | 0.81 | 0.47 | 0.74 | 1.36 | 2.1 |
//! | `IFF_NAPI` | 0.75 | 0.56 | 0.69 | 1.37 | 2.0 |
//! | 30 us of looking before sleep, whatever the frames | 0.84 | 0.57 | 0.82 | **0.83** | 2.4 |
//! | `io_uring`: writes only, a burst in one call | 0.82 | **0.71** | 0.89 | 1.53 | 1.1 |
//! | `io_uring`: linked reads | 0.84 | 0.56 | 0.91 | 1.31 | 0.03 |
//! | `io_uring`: multishot reads | 0.80 | 0.53 | 0.92 | 1.48 | 0.04 |
//! | `io_uring`: bursts of reads that do not wait, registered buffers | **0.85** | 0.70 | **1.13** | 1.57 | 0.02 |
//!
//! In use: the last one without registered buffers (they pin 4 MiB a TAP; 452,000 instead of 507,000 small frames a second in
//! another run), with looking where frames are small. Of `io_uring` also tried: many reads in flight (each frame wakes all of
//! them, and some go to kernel threads and overtake) and linked writes (they overtake). In a run that other work disturbed,
//! four streams had 17.3 Gb/s with plain bursts, 13.8 to 14.0 with 20 or 30 us of sleep after super-frames (as network cards
//! moderate interrupts), 15.8 with `IFF_NAPI`, 16.2 with two queues and threads. Octets a burst before it is sent, four
//! streams through the whole switch: 64 KiB 11.1 Gb/s, 128 KiB 13.1, 512 KiB 15.2, 4 MiB 16.0.
//!
//! A worker that gives way before each look, ratio to one that does not, medians of 5 rounds of 1 s in turn on a busy machine
//! (2026-11-22): veth 60 octets 2.1, four streams 1.1, TAP 0.9 and 1.2, round trips 1.0 and 1.1. Through `pktgen` at 100,000
//! frames a second, with a sender that gives way, too: p50 0.7 ms instead of 30 ms.
//!
//! The length of the TAP's queue, in a noisier run of 4 rounds: 100, 1,000 (the kernel's) and 5,000 frames gave 1.15, 0.90
//! and 0.80 small frames (ranges overlap) and no difference for the rest; it stays as the kernel has it.
//!
//! veth, 5 rounds of 1 s in another run (the bridge: 14.0 and 25.9 Gb/s, 406,000 frames, 75 us):
//!
//! | veth | TCP 1 | TCP 4 | 60 octets | RTT p50 | CPU ns a small frame |
//! | --- | --- | --- | --- | --- | --- |
//! | `recvmmsg` and `sendmmsg` | 0.85 | **0.47** | 0.66 | **1.24** | 3,504 |
//! | `TPACKET_V2` ring of 126 slots of 64 KiB, `sendmmsg` | **0.89** | 0.41 | **1.04** | 1.27 | 2,203 |
//! | the same ring of 8 slots | 0.86 | 0.41 | 1.02 | 1.31 | 2,063 |
//! | ring of slots of 2 KiB, larger frames by `recvmsg` | 0.78 | 0.36 | 0.90 | 1.35 | 2,146 |
//!
//! In use: the first. The ring wins with small frames, which is what `AF_XDP` is for and does better (1.7); for that it
//! pins 4 to 32 MiB a port, more than all the rest of a switch with 64 ports, and loses with four streams. A ring for
//! sending as well was slower throughout (0.24 with four streams).
//!
//! `AF_XDP`: see `ports/src/xdp/mod.rs`.
#![forbid(unsafe_code)]

mod figure;
mod options;
mod plot;
mod report;
mod results;
mod work;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arena::subjects::Subject;
use arena::{place, program};
use clap::Parser;
use lanyard_benches::machine;
use lanyard_benches::progress::Progress;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use options::Options;
use report::{Head, Report};
use results::Results;
use work::Work;

fn main() -> ExitCode {
    let options = Options::parse();
    match compare(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measure, and tell. Did nothing fail?
fn compare(options: &Options) -> io::Result<bool> {
    let machine = machine::describe();
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other("needs root, to make network namespaces, bridges and TAPs"));
    }
    if let Some(missing) = program::missing(&["ip", "nsenter", "setpriv", "unshare"]) {
        return Err(io::Error::other(missing));
    }
    let subjects = options.subjects();
    let out = options.out.as_deref().map(open_folder).transpose()?;
    let stopped = stop_in_order()?;
    place::leave_home()?;
    let results = measure_all(options, &subjects, &stopped);
    if stopped.load(Ordering::Relaxed) {
        eprintln!("versus: stopped by a signal; this is what was measured until then");
    }
    let (rounds, seconds) = (options.rounds(), options.seconds());
    let head = Head { date: machine::date(), machine, load_after: machine::load(), rounds, seconds };
    let report = Report { head, subjects: &subjects, results: &results };
    if let Some(folder) = &out {
        // By its descriptor: its path may lead elsewhere by now, as one under `/run` does.
        plot::write_all(&report, &format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
    }
    match (options.json, options.markdown) {
        (true, _) => println!("{:#}", report.json()),
        (false, true) => print!("{}", report.markdown()),
        (false, false) => print!("{}", report.text()),
    }
    Ok(results.failures.is_empty() && !stopped.load(Ordering::Relaxed))
}

/// The folder for files, which is made if it is not there.
fn open_folder(path: &std::path::Path) -> io::Result<File> {
    let named = |error: io::Error| io::Error::other(format!("--out {}: {error}", path.display()));
    std::fs::create_dir_all(path).map_err(named)?;
    File::open(path).map_err(named)
}

/// The first signal ends it after what is being measured, with a report; the second ends it at once.
fn stop_in_order() -> io::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopped))?;
        flag::register(signal, Arc::clone(&stopped))?;
    }
    Ok(stopped)
}

/// All rounds of all that is there.
fn measure_all(options: &Options, chosen: &[&'static Subject], stopped: &AtomicBool) -> Results {
    let mut results = Results::default();
    let (mut subjects, mut works) = (chosen.to_vec(), Work::ALL.to_vec());
    subjects.retain(|subject| is_there(subject.words, subject.missing(), &mut results));
    works.retain(|work| is_there(work.words(), work.missing(), &mut results));
    let rounds = options.rounds();
    let mut progress = Progress::of(rounds as usize * subjects.len() * works.len());
    for round in 0..rounds {
        let count = subjects.len().max(1);
        subjects.rotate_left(usize::from(round > 0) % count);
        for subject in subjects.clone() {
            let mut measure = Measure { round, rounds, seconds: options.seconds(), works: &works, stopped };
            if let Err(why) = measure.subject(subject, &mut progress, &mut results) {
                progress.skip(works.len() * (rounds - round) as usize);
                let why = format!("does not start: {why}");
                progress.say(&format!("versus: without {}: {why}", subject.words));
                results.absent.push((subject.words.to_owned(), why));
                subjects.retain(|other| other.name != subject.name);
            }
            if stopped.load(Ordering::Relaxed) {
                return results;
            }
        }
    }
    results
}

/// What is missing is written down, and said at once.
fn is_there(what: &str, missing: Option<String>, results: &mut Results) -> bool {
    let Some(why) = missing else { return true };
    eprintln!("versus: without {what}: {why}");
    results.absent.push((what.to_owned(), why));
    false
}

/// One subject in one round.
struct Measure<'a> {
    round: u32,
    rounds: u32,
    seconds: u32,
    works: &'a [Work],
    stopped: &'a AtomicBool,
}

impl Measure<'_> {
    /// Set it up, do all works, take it down.
    ///
    /// # Errors
    /// It cannot be set up. A work that fails is written down.
    fn subject(&mut self, subject: &'static Subject, progress: &mut Progress, results: &mut Results) -> io::Result<()> {
        let mut world = subject.build(2)?;
        for work in self.works {
            let step = format!("round {} of {}: {}, {}", self.round + 1, self.rounds, subject.words, work.words());
            progress.step(&step);
            let measured = work.measure(&mut world, self.seconds);
            if self.stopped.load(Ordering::Relaxed) {
                break; // the signal may have ended the tools, too
            }
            match measured {
                Ok(values) => results.add(self.round, subject, values),
                Err(error) => results.failures.push(format!("{step}: {error}")),
            }
        }
        Ok(())
    }
}
