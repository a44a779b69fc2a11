//! `lanyard pktgen`: load a switch, any switch, and say what became of every frame.
//!
//! | file | the question |
//! | --- | --- |
//! | [`place`] | where does the load enter and leave? |
//! | [`run`] | how do frames leave when they are due, and who counts those that arrive? |
//!
//! What is sent, and what the counts mean, is the crate `load`'s affair. Frames go through packet sockets: no driver, no daemon,
//! no setting of the switch is needed.
//!
//! Not done: more than one sender and one receiver; XDP and the kernel's own pktgen as back ends; errored frames, replay;
//! the standard tests (RFC 2544, RFC 2889) and comparisons.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "figures to read, none of them negative")]

mod place;
mod run;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use frame::MacAddr;
use load::rate::Rate;
use load::result::{Intent, LoadResult};
use load::size::Sizes;
use load::stream::{Kind, Stations, Stream, StreamSpec};
use load::tally::{PortTally, Tally};
use load::walk::Walk;
use load::{FCS_OCTETS, LoadError, WIRE_GAP_OCTETS};
use ports::Port;
use serde::Serialize;

use crate::duration;
use crate::failure::{Failure, print};
use place::Place;
use run::{End, Progress, Sending};

/// How long stragglers are waited for after the last arrival, and at all.
const QUIET: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the progress is said.
const SAY: Duration = Duration::from_millis(500);
/// A switch has taken in the learning frames after this.
const LEARNING: Duration = Duration::from_millis(50);

/// `lanyard pktgen`
#[derive(Debug, Args)]
#[command(after_help = "\
Frames are signed, so that the report tells lost, doubled, reordered, damaged and
misdelivered ones, and their latency from the time when they were due. Before
the first one the receiving side sends a frame from each address, so that
the switch knows where they are. Runs as root.

Examples:
  lanyard pktgen --tx ns:h1/eth0 --rx ns:h2/eth0
  lanyard pktgen --tx ns:h1/eth0 --rx ns:h2/eth0 --rate 100kpps --duration 30s
  lanyard pktgen --tx pid:4711/eth0 --rx pid:4712/eth0 --size imix --rate 1Gbps --json
  lanyard pktgen --tx veth0 --rx veth1 --kind plain --src-macs 1000 --walk random --count 1000000")]
pub(crate) struct PktgenArgs {
    /// Where frames are sent: INTERFACE, ns:NAME/INTERFACE, pid:PID/INTERFACE
    #[arg(long, value_name = "PLACE")]
    tx: Place,
    /// Where they should arrive
    #[arg(long, value_name = "PLACE")]
    rx: Place,
    /// What they are: udp-ipv4, udp-ipv6, arp-request or plain (ether type 0x88b5)
    #[arg(long, value_name = "KIND", default_value_t = Kind::UdpIpv4)]
    kind: Kind,
    /// Octets with FCS: 64, 64-1518 (any of them), imix, or a mix as in 64:7,1518:1; the least if not given
    #[arg(long, value_name = "SIZE")]
    size: Option<Sizes>,
    /// How many: 10kpps, 1.5Mpps, 1Gbps (of the wire, with preamble and gap), or max
    #[arg(long, value_name = "RATE", default_value = "max")]
    rate: Rate,
    /// Stop after so many frames
    #[arg(long, value_name = "FRAMES")]
    count: Option<u64>,
    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "10s")]
    duration: Duration,
    /// The first source address; if not given the sending interface's own, with several 02:73:00:00:00:01
    #[arg(long, value_name = "MAC")]
    src_mac: Option<MacAddr>,
    /// The first destination address; if not given the receiving interface's own, with several 02:64:00:00:00:01
    #[arg(long, value_name = "MAC")]
    dst_mac: Option<MacAddr>,
    /// So many source addresses, one after the other
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    src_macs: u32,
    /// So many destination addresses
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    dst_macs: u32,
    /// How frames walk over addresses: fixed, sequential, random, zipf
    #[arg(long, value_name = "WALK", default_value = "sequential")]
    walk: Walk,
    /// So many UDP source ports, at random
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    flows: u32,
    /// With this VLAN tag
    #[arg(long, value_name = "ID")]
    vlan: Option<u16>,
    /// The same seed makes the same frames
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV: a line of names, a line of figures
    #[arg(long)]
    csv: bool,
}

/// What a run says in JSON: where, how, and what became of it.
#[derive(Serialize)]
struct Report<'a> {
    tx: String,
    rx: String,
    backend: &'static str,
    rate: String,
    spec: &'a StreamSpec,
    refused: u64,
    #[serde(flatten)]
    result: &'a LoadResult,
}

/// Run it.
///
/// # Errors
/// What was asked for cannot be; an interface is not there, or goes; the report cannot be written.
pub(crate) fn run(args: &PktgenArgs) -> Result<(), Failure> {
    let (tx_link, mut tx) = args.tx.open().map_err(Failure::Work)?;
    let (rx_link, mut rx) = args.rx.open().map_err(Failure::Work)?;
    let spec = spec(args, tx_link.mac, rx_link.mac).map_err(|error| Failure::Words(error.to_string()))?;
    let longest = spec.sizes.largest() - FCS_OCTETS;
    let most = tx_link.mtu as usize + frame::ethernet::header_octets(&[]) + if spec.vlan.is_some() { 4 } else { 0 };
    if longest > most {
        let mtu = tx_link.mtu;
        return Err(Failure::Words(format!(
            "{} has an MTU of {mtu}: the largest frame is of {} octets with FCS, so --size cannot be {}",
            args.tx,
            most + FCS_OCTETS,
            spec.sizes
        )));
    }
    let mut stream = Stream::new(spec).map_err(|error| Failure::Words(error.to_string()))?;
    teach(&stream, &mut rx)?;
    let mark = RandomState::new().build_hasher().finish() as u16;
    let (sending, tally) = drive(args, &mut tx, &mut rx, &mut stream, mark)?;
    let mut all = Tally::new(intent(args, stream.spec(), &sending), sending.took.as_secs_f64());
    all.sent(stream.spec().stream, sending.frames, sending.octets);
    all.port(tally);
    report(args, stream.spec(), &sending, &all.result())
}

fn spec(args: &PktgenArgs, tx: Option<MacAddr>, rx: Option<MacAddr>) -> Result<StreamSpec, LoadError> {
    let stations = |usual: Stations, asked: Option<MacAddr>, own: Option<MacAddr>, count| Stations {
        // The addresses behind an interface's own may be those of its neighbors.
        mac: asked.or(own.filter(|_| count == 1)).unwrap_or(usual.mac),
        count,
        walk: args.walk,
        ..usual
    };
    let mut spec = StreamSpec {
        kind: args.kind,
        vlan: args.vlan,
        sources: stations(Stations::sources(), args.src_mac, tx, args.src_macs),
        destinations: stations(Stations::destinations(), args.dst_mac, rx, args.dst_macs),
        flows: args.flows,
        seed: args.seed,
        ..StreamSpec::default()
    };
    let least = u32::try_from(spec.least_octets()).unwrap_or(u32::MAX);
    spec.sizes = args.size.clone().map_or_else(|| Sizes::fixed(least), Ok)?;
    Ok(spec)
}

/// Let every destination say something by the receiving interface, so that a switch learns where it is (RFC 2889, 5: "learning
/// frames").
fn teach(stream: &Stream, rx: &mut dyn Port) -> Result<(), Failure> {
    let mut spec = StreamSpec { kind: Kind::Plain, ..stream.spec().reversed() };
    spec.sources.walk = Walk::Sequential;
    let count = spec.sources.count;
    let mut learning = Stream::new(spec).map_err(|error| Failure::Words(error.to_string()))?;
    let mut batch = frame::Batch::with_capacity(1);
    for _ in 0..count {
        batch.clear();
        if let Some(frame) = batch.push() {
            learning.write(frame, 0, 0);
        }
        rx.send_all(&batch, &[0], &mut |_, _| ()).map_err(|error| Failure::work("the receiving interface", error))?;
    }
    thread::sleep(LEARNING);
    // What was flooded to the receiver meanwhile is not of the run.
    let mut waste = frame::Batch::with_capacity(frame::batch::BURST);
    while rx.recv(&mut waste).map_err(|error| Failure::work("the receiving interface", error))? > 0 {
        waste.clear();
    }
    Ok(())
}

/// Send and count until it is over, and a little longer.
fn drive(
    args: &PktgenArgs,
    tx: &mut dyn Port,
    rx: &mut dyn Port,
    stream: &mut Stream,
    mark: u16,
) -> Result<(Sending, PortTally), Failure> {
    let (progress, interrupted) = (Progress::default(), Arc::<AtomicBool>::default());
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(|error| Failure::work("waiting for a signal", error))?;
    }
    let mut tally = PortTally::new(mark, stream.spec().port);
    let end = End { frames: args.count.unwrap_or(u64::MAX), after: args.duration };
    let start = Instant::now();
    let (sent, received) = thread::scope(|scope| {
        let receiver = scope.spawn(|| run::receive(rx, &mut tally, start, &progress));
        let sender = scope.spawn(|| run::send(tx, stream, (mark, args.rate), start, end, &progress));
        let mut teller = Teller::new(args.rate);
        while !sender.is_finished() {
            if interrupted.load(Ordering::Relaxed) || receiver.is_finished() {
                progress.stop.store(true, Ordering::Relaxed);
            }
            teller.say(start, &progress);
            thread::sleep(Duration::from_millis(5));
        }
        let sent = sender.join();
        await_stragglers(&progress);
        progress.deaf.store(true, Ordering::Relaxed);
        teller.end();
        (sent, receiver.join())
    });
    let lost_thread = |_| Failure::Work("a thread of the generator failed".to_owned());
    received.map_err(lost_thread)?.map_err(|error| Failure::work(format!("{} went away", args.rx), error))?;
    let sending = sent.map_err(lost_thread)?.map_err(|error| Failure::work(format!("{} went away", args.tx), error))?;
    Ok((sending, tally))
}

/// Until nothing more comes.
fn await_stragglers(progress: &Progress) {
    let (begin, mut last, mut quiet) = (Instant::now(), 0, Instant::now());
    while begin.elapsed() < PATIENCE && quiet.elapsed() < QUIET {
        let received = progress.received.load(Ordering::Relaxed);
        if received != last {
            (last, quiet) = (received, Instant::now());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Says on a terminal how far it is.
struct Teller {
    shown: bool,
    next: Instant,
    rate: Rate,
    before: (u64, Instant),
}

impl Teller {
    fn new(rate: Rate) -> Self {
        let now = Instant::now();
        Self { shown: std::io::stderr().is_terminal(), next: now + SAY, rate, before: (0, now) }
    }

    fn say(&mut self, start: Instant, progress: &Progress) {
        let now = Instant::now();
        if !self.shown || now < self.next {
            return;
        }
        let (sent, received) = (progress.sent.load(Ordering::Relaxed), progress.received.load(Ordering::Relaxed));
        let pps = (sent - self.before.0) as f64 / (now - self.before.1).as_secs_f64();
        (self.before, self.next) = ((sent, now), now + SAY);
        // More than a burst's time behind: the generator cannot keep up with what was asked of it.
        let late = Duration::from_nanos(progress.late_ns.load(Ordering::Relaxed));
        let limited = if self.rate != Rate::Max && late > Duration::from_millis(10) {
            ", the generator is the limit"
        } else {
            ""
        };
        let missing = sent.saturating_sub(received);
        let _ = write!(
            std::io::stderr(),
            "\r{:.1} s: {sent} sent, {pps:.0} a second, {missing} not here yet{limited}\x1b[K",
            start.elapsed().as_secs_f64()
        );
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// What the rate makes of the time; `None` where it is as many as go.
fn intent(args: &PktgenArgs, spec: &StreamSpec, sending: &Sending) -> Option<Intent> {
    let octets = spec.sizes.mean_octets() - FCS_OCTETS as f64;
    let per_second = args.rate.frames_per_second(octets + (FCS_OCTETS + WIRE_GAP_OCTETS) as f64)?;
    let by_time = (per_second * args.duration.as_secs_f64()).floor().max(1.0) as u64;
    let whole = args.count.map_or(by_time, |count| count.min(by_time));
    // Interrupted: as many as were due by then.
    let by_now = (per_second * sending.took.as_secs_f64()).ceil() as u64;
    let frames = if sending.stopped { by_now.min(whole) } else { whole };
    Some(Intent { frames, octets: (frames as f64 * octets) as u64, seconds: frames as f64 / per_second })
}

fn report(args: &PktgenArgs, spec: &StreamSpec, sending: &Sending, result: &LoadResult) -> Result<(), Failure> {
    if args.csv {
        return print(&format!("{}\n{}\n", LoadResult::csv_header(), result.csv_row()));
    }
    let backend = "packet socket, sendmmsg";
    if args.json {
        let (tx, rx, rate) = (args.tx.to_string(), args.rx.to_string(), String::from(args.rate));
        let report = Report { tx, rx, backend, rate, spec, refused: sending.refused, result };
        let text =
            serde_json::to_string(&report).map_err(|error| Failure::work("the report cannot be written", error))?;
        return print(&(text + "\n"));
    }
    let refused = match sending.refused {
        0 => String::new(),
        refused => format!("{refused} frames were refused by the sending interface\n"),
    };
    print(&format!("{} -> {}, by {backend}\n{}{refused}", args.tx, args.rx, result.table()))
}
