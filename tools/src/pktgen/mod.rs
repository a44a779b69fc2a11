//! `lanyard pktgen`: load a switch, any switch, and say what became of every frame.
//!
//! | file | the question |
//! | --- | --- |
//! | [`options`] | what is sent? |
//! | [`place`], [`layout`] | where does the load enter and leave, and who sends to whom? |
//! | [`flow`] | what has one sender sent to one receiver? |
//! | [`backend`], [`kernel`] | by what do frames leave? |
//! | [`rig`] | what is tried, and how often? |
//! | [`run`] | how do frames leave when they are due, and who counts those that arrive? |
//! | [`engine`] | how fast is the switch without a kernel? |
//! | [`teller`], [`report`] | what is said meanwhile, and in the end? |
//! | [`origin`] | where do a report's figures come from? |
//! | [`compare`] | what is one switch to another? |
//! | [`test`] | what do the standard tests (RFC 2544, RFC 2889) find? |
//!
//! What is sent, and what the counts mean, is the crate `load`'s affair. Frames arrive at packet sockets, and leave by one where
//! nothing else is asked for: no driver, no daemon, no setting of the switch is needed.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "figures to read, none of them negative")]

mod backend;
mod compare;
mod engine;
mod flow;
mod kernel;
mod layout;
mod options;
mod origin;
mod place;
mod report;
mod rig;
mod run;
mod teller;
mod test;

use std::path::Path as FilePath;
use std::sync::Arc;

use clap::{Args, Subcommand};
use load::replay::{Pace, RecordedFrame, Recording, Replay, Speed};
use load::stream::{MOST_GIANT, Stream, StreamSpec};
use load::{FCS_OCTETS, LoadError, Rate, Sizes};

use crate::capture;
use crate::failure::{Failure, one_line};
use backend::{Backend, Wanted};
use flow::{Flow, Source};
use layout::{Layout, PlaceArgs};
use options::{FrameArgs, PaceArgs};
use report::{Done, ReportArgs};
use rig::{Leave, Load, Order, Rig};
use run::Recorded;
use teller::Teller;
use test::bench::turn;

/// `lanyard pktgen ...`
#[derive(Debug, Subcommand)]
pub(crate) enum PktgenCommand {
    /// A standard test of a switch (RFC 2544, RFC 2889)
    Test(Box<test::TestArgs>),
    /// The same tests of several switches, and what one is to another
    Compare(Box<compare::CompareArgs>),
}

/// `lanyard pktgen`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Frames are signed, so that the report tells lost, doubled, reordered, damaged and
misdelivered ones, and their latency from the time when they were due. Before
the first one the receiving side sends a frame from each address, so that
the switch knows where they are. Interfaces need root, 'engine:N' does not.
With --backend kernel frames have pktgen's own header instead: damage to that is
not seen, and latency is told at --rate max alone.

Examples:
  lanyard pktgen --tx ns:h1/eth0 --rx ns:h2/eth0
  lanyard pktgen --tx ns:h1/eth0 --rx ns:h2/eth0 --rate 100kpps --duration 30s
  lanyard pktgen --tx pid:4711/eth0 --rx pid:4712/eth0 --size imix --rate 1Gbps --json
  lanyard pktgen --tx veth0 --rx veth1 --kind plain --src-macs 1000 --walk random --count 1000000
  lanyard pktgen --mesh ns:h1/eth0,ns:h2/eth0,ns:h3/eth0 --rate 20kpps --broadcast 1%
  lanyard pktgen --tx ns:h1/eth0 --rx ns:h2/eth0 --replay capture.pcap --speed 10x
  lanyard pktgen --tx engine:1 --rx engine:2"
)]
pub(crate) struct PktgenArgs {
    #[command(subcommand)]
    command: Option<PktgenCommand>,
    #[command(flatten)]
    places: PlaceArgs,
    #[command(flatten)]
    frames: FrameArgs,
    #[command(flatten)]
    pace: PaceArgs,
    /// Say nothing from the receiving side first: the switch has to find out
    #[arg(long)]
    no_learning: bool,
    #[command(flatten)]
    report: ReportArgs,
    // Last: what stands behind it would be under its heading.
    #[command(flatten)]
    kernel: kernel::KernelArgs,
}

/// Run it.
///
/// # Errors
/// What was asked for cannot be; an interface is not there, or goes; the report cannot be written.
pub(crate) fn run(args: &PktgenArgs) -> Result<(), Failure> {
    match &args.command {
        Some(PktgenCommand::Test(args)) => test::run(args),
        Some(PktgenCommand::Compare(args)) => compare::run(args),
        None if args.places.backend == Backend::Kernel => kernel::run(args),
        None => run_once(args),
    }
}

fn run_once(args: &PktgenArgs) -> Result<(), Failure> {
    args.kernel.refuse()?;
    args.frames.check().map_err(Failure::Words)?;
    args.report.check()?;
    let layout = args.places.layout()?;
    let replayed = args.pace.replay.as_deref().map(|file| recording(file, &args.pace)).transpose()?;
    if replayed.is_some() && layout.paths.len() > 1 {
        // The same frames from two senders could not be told apart.
        return Err(Failure::Words("a recording takes one path: name one --tx and one --rx".to_owned()));
    }
    let octets = replayed.as_ref().map(|recording| recording.longest() + FCS_OCTETS);
    let least = octets.map_or(args.frames.least_octets(), |octets| octets.clamp(64, 9216) as u32);
    let usual = Sizes::fixed(least).map_err(wrong)?;
    let sizes = args.pace.size.as_ref().unwrap_or(&usual);
    let recorded = replayed.as_ref().and_then(|recording| recording.due_before(1_000_000_000, u64::MAX));
    let recorded = recorded.and_then(std::num::NonZeroU64::new).map(Rate::Frames);
    let wanted = Wanted { rate: args.pace.rate.or(recorded).unwrap_or_default(), sizes };
    let mut rig = Rig::open(&layout, false, &Leave { backend: args.places.backend, wanted })?;
    let load = load_of(args, &layout, &rig, replayed.as_ref())?;
    let specs = load.orders.iter().filter_map(|order| match order.flow.source() {
        Source::Stream { stream, .. } => Some(stream.spec().clone()),
        Source::Replay { .. } => None,
    });
    let specs: Vec<StreamSpec> = specs.collect();
    let mut teller = Teller::new("", args.pace.rate.is_some_and(|rate| rate != Rate::Max));
    let outcome = rig.run(load, &mut |start, progress| teller.say(start, progress))?;
    drop(teller);
    let rate = args.pace.rate.unwrap_or_default().to_string();
    let (backend, why) = (rig.backend(), rig.why_not_faster());
    let (layout, backend, rate, specs) = (&layout, &backend, &rate, &specs);
    let interrupted = outcome.stopped;
    args.report.run(&Done { layout, backend, why, rate, specs, interrupted, notes: &[], pktgen: None }, &outcome)
}

/// What is asked for, on that rig.
fn load_of(args: &PktgenArgs, layout: &Layout, rig: &Rig, replayed: Option<&Arc<Recording>>) -> Result<Load, Failure> {
    let most = args.pace.count.unwrap_or(u64::MAX);
    let mut orders = Vec::new();
    for (stream, path) in (0u8..).zip(&layout.paths) {
        let (from, to) = (usize::from(path.from), usize::from(path.to));
        let source = if let Some(recording) = replayed {
            rig.check_length(from, recording.longest(), true)?;
            let replay = Replay::new(Arc::clone(recording), args.pace.rounds);
            Source::Replay { replay, recorded: Recorded { stream, port: path.to } }
        } else {
            let spec = args
                .frames
                .spec(args.pace.size.as_ref(), stream, rig.source(path.from), rig.destination(path.to))
                .map_err(wrong)?;
            rig.check_length(from, spec.sizes.largest() - FCS_OCTETS, spec.vlan.is_some())?;
            Source::Stream {
                stream: Box::new(Stream::new(spec).map_err(wrong)?),
                rate: args.pace.rate.unwrap_or_default(),
            }
        };
        orders.push(Order { from, to, flow: Flow::new(source, turn(&layout.paths, usize::from(stream)), most) });
    }
    Ok(Load { orders, duration: args.pace.time(), teach: !args.no_learning })
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn wrong(error: LoadError) -> Failure {
    Failure::Words(error.to_string())
}

/// The frames of a capture.
fn recording(file: &FilePath, pace: &PaceArgs) -> Result<Arc<Recording>, Failure> {
    let name = one_line(&file.display().to_string());
    let mut frames = Vec::new();
    for (number, captured) in (1u32..).zip(capture::frames(file)?) {
        let octets = captured.octets.0;
        if octets.len() < captured.length as usize && captured.length <= MOST_GIANT {
            return Err(Failure::Work(format!(
                "{name}: frame {number} was cut to {} of its {} octets: capture whole ones with 'tcpdump -s 0'",
                octets.len(),
                captured.length
            )));
        }
        frames.push(RecordedFrame { at_ns: captured.at_unix_ns, octets });
    }
    let own = Pace::Recorded(pace.speed.unwrap_or(Speed::OWN));
    let pace = pace.rate.map_or(own, Pace::At);
    Recording::new(frames, pace).map(Arc::new).map_err(|error| Failure::Work(format!("{name}: {error}")))
}
