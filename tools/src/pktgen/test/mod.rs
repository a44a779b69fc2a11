//! `lanyard pktgen test NAME`: the standard tests of a switch, in their own words.
//!
//! | file | the question |
//! | --- | --- |
//! | [`bench`] | what is a trial, and how is a rate searched? |
//! | [`rates`] | which rates are forwarded, what is lost beyond, how long does it take below? |
//! | [`bursts`] | which burst comes through, and what follows an overload? |
//! | [`addresses`] | how many addresses are held, and how fast are they learned? |
//! | [`faults`] | what becomes of errored frames, and of a port beside an overloaded one? |
//! | [`finding`] | how is it said? |
//!
//! Not done: RFC 2544 clause 26.6 (reset), which nobody can ask of a port; RFC 2889 clause 5.4 (unidirectional partial mesh),
//! which is `partial-mesh` without `--both-ways`.

mod addresses;
pub(super) mod bench;
mod bursts;
mod faults;
pub(super) mod finding;
mod rates;

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use load::rate::Rate;
use load::size::Sizes;

use super::backend::{Backend, Wanted};
use super::layout::{Layout, PlaceArgs};
use super::options::FrameArgs;
use super::report::ReportArgs;
use super::rig::{Leave, Rig};
use crate::failure::Failure;
use bench::{Bench, Ended, Settings};
use finding::Finding;

/// Frame sizes of RFC 2544 clause 9.1, and those of a quick run.
const SIZES: [u32; 7] = [64, 128, 256, 512, 1024, 1280, 1518];
const QUICK_SIZES: [u32; 3] = [64, 512, 1518];
/// The largest frame that is sent, with FCS, a giant too: what XDP live frames have to have room for.
const LARGEST: u32 = 1523;
/// Trials, how often, and to which width: usually, and in a quick run.
const USUAL: (Duration, u32, f64) = (Duration::from_secs(5), 10, 0.005);
const QUICK: (Duration, u32, f64) = (Duration::from_millis(500), 3, 0.05);
/// The most addresses that are tried unless another number is asked for.
const MOST_ADDRESSES: u32 = 131_072;

/// A standard test.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Name {
    /// The highest rate without loss, and with half a per cent (RFC 2544 26.1)
    Throughput,
    /// Latency at 10, 50 and 90 % of it (RFC 2544 26.2)
    Latency,
    /// The loss at every tenth of what can be offered (RFC 2544 26.3)
    LossCurve,
    /// The longest burst without loss (RFC 2544 26.4)
    BackToBack,
    /// How long frames are lost after an overload (RFC 2544 26.5)
    Recovery,
    /// Throughput with everybody sending to everybody: --mesh (RFC 2889 5.1)
    Mesh,
    /// Throughput of one sender to many, or many to one (RFC 2889 5.2, 5.3)
    PartialMesh,
    /// Does an overloaded port hurt another: two senders, two receivers (RFC 2889 5.5)
    Congestion,
    /// What is forwarded when too much is offered (RFC 2889 5.6)
    ForwardPressure,
    /// How many addresses are held: --listen (RFC 2889 5.7)
    Caching,
    /// How fast addresses are learned: --listen (RFC 2889 5.8)
    Learning,
    /// Which errored frames are forwarded (RFC 2889 5.9)
    Errored,
    /// Throughput and latency of broadcasts (RFC 2889 5.10)
    Broadcast,
}

impl Name {
    /// What it is called where it is described, and where that is.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Throughput => ("Throughput", "RFC 2544 clause 26.1"),
            Self::Latency => ("Latency", "RFC 2544 clause 26.2"),
            Self::LossCurve => ("Frame loss rate", "RFC 2544 clause 26.3"),
            Self::BackToBack => ("Back-to-back frames", "RFC 2544 clause 26.4"),
            Self::Recovery => ("System recovery", "RFC 2544 clause 26.5"),
            Self::Mesh => ("Fully meshed throughput", "RFC 2889 clause 5.1"),
            Self::PartialMesh => ("Partially meshed throughput", "RFC 2889 clauses 5.2, 5.3"),
            Self::Congestion => ("Congestion control", "RFC 2889 clause 5.5"),
            Self::ForwardPressure => ("Forward pressure and maximum forwarding rate", "RFC 2889 clause 5.6"),
            Self::Caching => ("Address caching capacity", "RFC 2889 clause 5.7"),
            Self::Learning => ("Address learning rate", "RFC 2889 clause 5.8"),
            Self::Errored => ("Errored frames filtering", "RFC 2889 clause 5.9"),
            Self::Broadcast => ("Broadcast frame forwarding and latency", "RFC 2889 clause 5.10"),
        }
    }

    /// Its name on the command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::LossCurve => "loss-curve",
            Self::BackToBack => "back-to-back",
            Self::Recovery => "recovery",
            Self::Mesh => "mesh",
            Self::PartialMesh => "partial-mesh",
            Self::Congestion => "congestion",
            Self::ForwardPressure => "forward-pressure",
            Self::Caching => "caching",
            Self::Learning => "learning",
            Self::Errored => "errored",
            Self::Broadcast => "broadcast",
        }
    }

    /// Can it be done with two containers and a third that listens, and is what it finds a figure in its rows?
    pub(super) const fn compares(self) -> bool {
        !matches!(self, Self::Mesh | Self::PartialMesh | Self::Congestion | Self::Learning)
    }

    /// Does it load a switch with shares of its loss-free rate?
    const fn begins_at_loss_free(self) -> bool {
        matches!(self, Self::Latency | Self::Recovery | Self::Congestion | Self::Errored)
    }

    /// Do the receivers send, too?
    const fn answers(self) -> bool {
        matches!(self, Self::Caching | Self::Learning)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How long, how often, how exactly.
#[derive(Clone, Debug, Args)]
pub(crate) struct TrialArgs {
    /// Octets with FCS: 64,512,1518, or imix; those of RFC 2544 if not given
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    sizes: Vec<Sizes>,
    /// About two minutes, with wider error bars: three sizes, short trials
    #[arg(long)]
    quick: bool,
    /// How long the longest trials are
    #[arg(long, value_name = "TIME", value_parser = super::options::sending_time)]
    trial: Option<Duration>,
    /// How often what is averaged is tried
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: Option<u32>,
    /// How far apart the two ends of what is found may be: 0.5%
    #[arg(long, value_name = "SHARE", value_parser = super::options::share)]
    width: Option<u32>,
    /// The share of the time tried at a rate that may lose more than the goal; 0% is RFC 2544's word, but a busy machine
    /// pauses now and then
    #[arg(long, value_name = "SHARE", value_parser = exceed, default_value = "50%")]
    exceed: u32,
    /// Offer no more than this; else as much as the generator can send
    #[arg(long, value_name = "RATE")]
    max_rate: Option<Rate>,
    /// The loss-free rate, where it is known and need not be searched
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Try no more addresses than so many
    #[arg(long, value_name = "NUMBER", default_value_t = MOST_ADDRESSES, value_parser = clap::value_parser!(u32).range(1..))]
    most_addresses: u32,
}

impl TrialArgs {
    /// The sizes to try: those asked for, or those of the standard that the frames have room in.
    fn sizes(&self, least: u32) -> Result<Vec<Sizes>, Failure> {
        self.sizes_or(if self.quick { &QUICK_SIZES } else { &SIZES }, least)
    }

    /// Is a rate given that is one, and of use to one of these tests?
    pub(super) fn check(&self, tests: &[Name]) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::Words(text.to_owned()));
        match self.rate {
            Some(Rate::Max) => wrong("--rate max is no loss-free rate: leave it out, and it is searched"),
            Some(_) if !tests.iter().any(|test| test.begins_at_loss_free()) => wrong(
                "--rate is the loss-free rate, which is not what is begun with here: --max-rate, to offer no more",
            ),
            _ => Ok(()),
        }
    }

    /// A run of about two minutes?
    pub(super) fn is_quick(&self) -> bool {
        self.quick
    }

    /// The sizes to try: those asked for, or these, where the frames have room in them.
    pub(super) fn sizes_or(&self, usual: &[u32], least: u32) -> Result<Vec<Sizes>, Failure> {
        if !self.sizes.is_empty() {
            return Ok(self.sizes.clone());
        }
        let mut sizes: Vec<u32> = usual.iter().map(|size| (*size).max(least)).collect();
        sizes.dedup();
        let fixed = sizes.into_iter().map(Sizes::fixed).collect::<Result<_, _>>();
        fixed.map_err(|error| Failure::Words(error.to_string()))
    }

    /// What the trials are.
    pub(super) fn settings(&self) -> Settings {
        let (trial, repeats, width) = if self.quick { QUICK } else { USUAL };
        Settings {
            trial: self.trial.unwrap_or(trial).max(Duration::from_millis(50)),
            repeats: self.repeats.unwrap_or(repeats),
            width: self.width.map_or(width, |millionths| (f64::from(millionths) / 1e6).clamp(1e-4, 0.5)),
            max_rate: self.max_rate.filter(|rate| *rate != Rate::Max),
            known_rate: self.rate,
            exceed: f64::from(self.exceed) / 1e6,
            most_addresses: self.most_addresses,
        }
    }
}

/// A share that is not all.
fn exceed(text: &str) -> Result<u32, String> {
    super::options::share(text).and_then(|share| {
        if share < 1_000_000 { Ok(share) } else { Err("all of the time may not lose more: write 0% to 99%".to_owned()) }
    })
}

/// `lanyard pktgen test`
#[derive(Debug, Args)]
#[command(after_help = "\
Each prints what its RFC asks for, how it was tried, and how sure it is. Frames
enter and leave as in 'lanyard pktgen'. Interfaces need root, 'engine:N' does
not. Ctrl-C ends it with what was found by then.

Examples:
  lanyard pktgen test throughput --tx ns:h1/eth0 --rx ns:h2/eth0 --quick
  lanyard pktgen test latency --tx ns:h1/eth0 --rx ns:h2/eth0 --rate 50kpps --trial 10s
  lanyard pktgen test caching --tx ns:h1/eth0 --rx ns:h2/eth0 --listen ns:h3/eth0
  lanyard pktgen test mesh --mesh ns:h1/eth0,ns:h2/eth0,ns:h3/eth0 --sizes 64,imix --json")]
pub(crate) struct TestArgs {
    /// Which test
    #[arg(value_name = "NAME")]
    name: Name,
    #[command(flatten)]
    places: PlaceArgs,
    #[command(flatten)]
    frames: FrameArgs,
    #[command(flatten)]
    trials: TrialArgs,
    #[command(flatten)]
    report: ReportArgs,
}

impl TestArgs {
    /// Is this a layout for that test?
    fn check(&self, layout: &Layout) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::Words(text.to_owned()));
        let (places, paths) = (layout.places.len(), layout.paths.len());
        self.trials.check(&[self.name])?;
        match self.name {
            Name::Mesh if paths < 2 || paths != places * (places - 1) => {
                wrong("in a full mesh everybody sends to everybody: --mesh PLACE,PLACE,...")
            }
            Name::PartialMesh if paths < 2 => {
                wrong("a partial mesh has several senders or several receivers: --tx PLACE,PLACE or --rx PLACE,PLACE")
            }
            Name::Caching | Name::Learning if self.trials.sizes.len() > 1 => {
                wrong("addresses are what is counted here, in frames of one size: name one with --sizes")
            }
            Name::Recovery if paths > bursts::MOST_PATHS => {
                wrong("a recovery test has 64 paths at most: name fewer places")
            }
            _ => Ok(()),
        }
    }
}

/// Run it.
///
/// # Errors
/// What was asked for cannot be; an interface is not there, or goes; the report cannot be written.
pub(crate) fn run(args: &TestArgs) -> Result<(), Failure> {
    args.report.check()?;
    let layout = args.places.layout()?;
    args.check(&layout)?;
    if args.name == Name::Errored {
        args.frames.check_errored_by_itself().map_err(Failure::Words)?;
    } else {
        args.frames.check().map_err(Failure::Words)?;
    }
    let giant = if args.name == Name::Errored { args.frames.giant() as usize } else { 0 };
    let largest = args.trials.sizes.iter().map(Sizes::largest).max().unwrap_or(0).max(LARGEST as usize).max(giant);
    let largest = Sizes::fixed(largest as u32).map_err(|error| Failure::Words(error.to_string()))?;
    let backend = args.places.backend;
    if backend == Backend::Kernel {
        let text = "the standard tests need signed frames, which the kernel's pktgen does not send: --backend socket";
        return Err(Failure::Words(text.to_owned()));
    }
    let leave = Leave { backend, wanted: Wanted { rate: Rate::Max, sizes: &largest } };
    let mut rig = Rig::open(&layout, args.name.answers(), &leave)?;
    let sizes = args.trials.sizes(args.frames.least_octets())?;
    let name = args.name.to_string();
    let paths = layout.paths.clone();
    let mut bench =
        Bench { rig: &mut rig, frames: &args.frames, paths, settings: args.trials.settings(), name, unfinished: None };
    let finding = find(args.name, &mut bench, &sizes)?;
    args.report.finding(&finding, &format!("{}, by {}", layout.words(), rig.backend()))
}

/// Do a test. One that somebody ended has found what it had by then.
pub(super) fn find(name: Name, bench: &mut Bench<'_>, sizes: &[Sizes]) -> Result<Finding, Failure> {
    let (title, clause) = name.words();
    let mut finding = Finding {
        test: name.name(),
        title,
        clause,
        columns: Vec::new(),
        rows: Vec::new(),
        searches: Vec::new(),
        curves: Vec::new(),
        notes: Vec::new(),
        complete: true,
    };
    let ended = match name {
        Name::Throughput | Name::Mesh | Name::PartialMesh => rates::throughput(bench, sizes, &mut finding),
        Name::Broadcast => rates::broadcast(bench, sizes, &mut finding),
        Name::Latency => rates::latency(bench, sizes, &mut finding),
        Name::LossCurve => rates::loss_curve(bench, sizes, &mut finding),
        Name::ForwardPressure => rates::forward_pressure(bench, sizes, &mut finding),
        Name::BackToBack => bursts::back_to_back(bench, sizes, &mut finding),
        Name::Recovery => bursts::recovery(bench, sizes, &mut finding),
        Name::Caching => addresses::capacity(bench, sizes, &mut finding),
        Name::Learning => addresses::learning_rate(bench, sizes, &mut finding),
        Name::Errored => faults::errored(bench, sizes, &mut finding),
        Name::Congestion => faults::congestion(bench, sizes, &mut finding),
    };
    let Settings { trial, repeats, width, .. } = &bench.settings;
    finding.notes.push(format!(
        "Trials of up to {:.2} s; {repeats} where something is averaged; rates to {} %. The RFC asks for 60 s and more: --trial.",
        trial.as_secs_f64(),
        width * 100.0
    ));
    match ended {
        Ok(()) => {}
        Err(Ended::Interrupted) => {
            finding.complete = false;
            if let Some(search) = bench.unfinished.take() {
                for goal in &search.goals {
                    let shown = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
                    let (lower, upper, loss) = (shown(goal.lower), shown(goal.upper), goal.goal * 100.0);
                    let name = &bench.name;
                    finding.notes.push(match (goal.lower, goal.upper) {
                        (None, None) => format!("{name}: nothing is known yet of {loss} %."),
                        (_, None) => format!("{name}: at most {loss} % lost at {lower} frames a second, so far."),
                        _ => format!(
                            "{name}: at most {loss} % lost at {lower}, more at {upper} frames a second, so far."
                        ),
                    });
                }
                finding.searches.push((bench.name.clone(), search));
            }
            finding.notes.push("Interrupted: this is what was found by then.".to_owned());
        }
        Err(Ended::Failed(failure)) => return Err(failure),
    }
    Ok(finding)
}
