//! How does the kernel's own pktgen send the load (`--backend kernel`)?
//!
//! | file | the question |
//! | --- | --- |
//! | `kernel.rs` | from the command line to the report |
//! | [`control`] | how is pktgen told, started, stopped, and left as it was? |
//! | [`truth`] | do pktgen's figures agree with the interfaces' counters? |
//!
//! What is written, and what the answers mean, is the affair of `load::kernel`. The frames are counted where they arrive by a
//! packet socket, as with any other back end; their latency is told where pktgen's time stamp is that of sending, which is at
//! `--rate max`, without copies. It is the machine's clock of day (`CLOCK_REALTIME`), to the microsecond.
//!
//! Not done: pktgen's `netif_receive`; threads on CPUs of one's choice (they are the first ones).

mod control;
mod truth;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use load::FCS_OCTETS;
use load::kernel::{DeviceReport, Flag, KernelTally, Options, Plan, Totals, XmitMode};
use load::result::LoadResult;
use load::stream::{Stream, StreamSpec};
use load::tally::Tally;
use ports::Port;
use serde::Serialize;

use super::PktgenArgs;
use super::flow::{Flow, Source, Turn};
use super::layout::Layout;
use super::options::End;
use super::place::{Interface, Place};
use super::report;
use super::rig::{LEARNING, Outcome, PATIENCE, await_stragglers, drain, fits, say};
use super::run::{self, Ear, Listener, Progress, in_place};
use super::teller::Teller;
use crate::failure::Failure;
use control::Order;
use truth::{Counters, Seen};

/// What the report calls it.
const NAME: &str = "kernel pktgen";

/// Options of the kernel's pktgen.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "With --backend kernel")]
pub(super) struct KernelArgs {
    /// Threads that send, each on a CPU of its own; 1 if not given
    #[arg(long, value_name = "NUMBER")]
    threads: Option<u32>,
    /// Send each frame so often before the next one is made (not on a veth or a TAP)
    #[arg(long, value_name = "NUMBER")]
    clone_skb: Option<u32>,
    /// Hand so many copies to the driver at once (not on a veth or a TAP)
    #[arg(long, value_name = "NUMBER")]
    burst: Option<u32>,
    #[arg(long, value_name = "MODE", help = "start_xmit, past the queueing discipline, or queue_xmit, through it")]
    xmit_mode: Option<XmitMode>,
    #[arg(long, value_name = "NAME", help = "A flag, as UDPCSUM, NO_TIMESTAMP or QUEUE_MAP_CPU; may be given again")]
    flag: Vec<Flag>,
}

impl KernelArgs {
    /// Another back end sends: none of these says anything to it.
    ///
    /// # Errors
    /// One of them was given.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        let given = [
            ("--threads", self.threads.is_some()),
            ("--clone-skb", self.clone_skb.is_some()),
            ("--burst", self.burst.is_some()),
            ("--xmit-mode", self.xmit_mode.is_some()),
            ("--flag", !self.flag.is_empty()),
        ];
        given.iter().find(|(_, given)| *given).map_or(Ok(()), |(name, _)| {
            Err(Failure::Words(format!("{name} is for the kernel's pktgen: write --backend kernel with it")))
        })
    }

    fn options(&self) -> Options {
        let usual = Options::default();
        Options {
            threads: self.threads.unwrap_or(usual.threads),
            clone_skb: self.clone_skb.unwrap_or(usual.clone_skb),
            burst: self.burst.unwrap_or(usual.burst),
            xmit_mode: self.xmit_mode.unwrap_or(usual.xmit_mode),
            flags: self.flag.clone(),
        }
    }
}

/// What became of a run of pktgen's.
struct Done {
    /// What each device says, by name.
    devices: Vec<(String, DeviceReport)>,
    /// Of the sending interface, by how much they rose.
    sent: Counters,
    /// Somebody, or the end of the time, asked for the end.
    stopped: bool,
    /// Somebody did.
    interrupted: bool,
}

/// What is said in JSON besides.
#[derive(Serialize)]
struct Said<'a> {
    totals: &'a Totals,
    devices: Vec<Device<'a>>,
    tx_interface: &'a Counters,
    rx_interface: &'a Counters,
    differences: &'a [String],
}

#[derive(Serialize)]
struct Device<'a> {
    name: &'a str,
    commands: &'a [String],
    #[serde(flatten)]
    report: &'a DeviceReport,
}

/// The two ends, which are interfaces.
struct Ends<'a> {
    tx: &'a Interface,
    rx: &'a Interface,
}

impl<'a> Ends<'a> {
    fn of(layout: &'a Layout) -> Result<Self, Failure> {
        match &layout.places[..] {
            [Place::Interface(tx), Place::Interface(rx)] if layout.paths.len() == 1 => Ok(Self { tx, rx }),
            _ => {
                let text = "the kernel's pktgen sends from one interface to one: --tx PLACE --rx PLACE";
                Err(Failure::Words(text.to_owned()))
            }
        }
    }

    fn received(&self) -> Result<Counters, Failure> {
        self.rx.inside(|| Counters::read(self.rx.ifname())).map_err(Failure::Work)?
    }
}

impl Listener for KernelTally {
    fn take(&mut self, octets: &[u8], arrived_ns: u64) -> bool {
        in_place(Self::take(self, octets, arrived_ns))
    }
}

/// Run it.
///
/// # Errors
/// The kernel has no pktgen, or refuses something; what was asked for cannot be; an interface is not there, or goes.
pub(super) fn run(args: &PktgenArgs) -> Result<(), Failure> {
    args.report.check()?;
    let layout = args.places.layout()?;
    let ends = Ends::of(&layout)?;
    args.frames.check().map_err(Failure::Words)?;
    if args.pace.replay.is_some() {
        return Err(Failure::Words("the kernel's pktgen replays nothing: --backend socket".to_owned()));
    }
    ends.tx.inside(control::is_there).map_err(Failure::Work)??;
    let (tx_link, _) = ends.tx.open().map_err(Failure::Work)?;
    let (rx_link, mut rx) = ends.rx.open().map_err(Failure::Work)?;
    let words = |error: load::LoadError| Failure::Words(error.to_string());
    let [from, to] = [(0, tx_link.mac), (1, rx_link.mac)].map(|(port, mac)| End { port, rank: 0, mac });
    let spec = args.frames.spec(args.pace.size.as_ref(), 0, from, to).map_err(words)?;
    fits(&layout.places[0], tx_link.mtu, spec.sizes.largest() - FCS_OCTETS, spec.vlan.is_some())?;
    let rate = args.pace.rate.unwrap_or_default();
    let stream = Box::new(Stream::new(spec.clone()).map_err(words)?);
    let flow = Flow::new(Source::Stream { stream, rate }, Turn::ALONE, args.pace.count.unwrap_or(u64::MAX));
    let whole = flow.intent(args.pace.time(), None).map(|intent| intent.frames);
    let plan = Plan::new(&spec, rate, whole.or(args.pace.count), &args.kernel.options(), ends.tx.ifname());
    let plan = plan.map_err(words)?;
    if !args.no_learning {
        teach(&spec, &mut rx)?;
    }
    let before = ends.received()?;
    let (done, tally) = drive(args, &ends, &plan, &spec, &mut rx)?;
    let received = ends.received()?.since(&before);
    report(args, &layout, &plan, &flow, &done, tally, &received)
}

/// Every destination says something first.
fn teach(spec: &StreamSpec, rx: &mut dyn Port) -> Result<(), Failure> {
    let refused = |error| Failure::work("the receiving interface", error);
    // Nobody listens to signals yet: one ends this as it ends any program.
    say(rx, spec.destinations.mac, spec.destinations.count, &AtomicBool::new(false), &mut |_| ()).map_err(refused)?;
    thread::sleep(LEARNING);
    drain(rx).map_err(refused)
}

/// Let pktgen send and count what arrives, until it is over, and a little longer.
fn drive(
    args: &PktgenArgs,
    ends: &Ends<'_>,
    plan: &Plan,
    spec: &StreamSpec,
    rx: &mut dyn Port,
) -> Result<(Done, KernelTally), Failure> {
    let (progress, interrupted) = (Progress::default(), Arc::<AtomicBool>::default());
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(|error| Failure::work("waiting for a signal", error))?;
    }
    let (start, began) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let listener = KernelTally::new(plan, spec, began.as_nanos() as u64);
    let mut ears = [Ear { place: 1, queue: rx, listener }];
    let octets = spec.sizes.mean_octets() + load::WIRE_GAP_OCTETS as f64;
    let pps = args.pace.rate.and_then(|rate| rate.frames_per_second(octets));
    let order = Order { plan, ifname: ends.tx.ifname(), after: args.pace.time(), pps, interrupted: &interrupted };
    let (done, received) = thread::scope(|scope| {
        let receiver = scope.spawn(|| run::receive(&mut ears, start, &progress));
        let sender = scope.spawn(|| ends.tx.inside(|| control::run(&order, &progress)));
        let mut teller = Teller::new("", order.pps.is_some());
        while !sender.is_finished() {
            if receiver.is_finished() {
                progress.stop.store(true, Ordering::Relaxed);
            }
            teller.say(start, &progress);
            thread::sleep(Duration::from_millis(5));
        }
        let done = sender.join();
        await_stragglers(&progress, PATIENCE);
        progress.deaf.store(true, Ordering::Relaxed);
        (done, receiver.join())
    });
    let lost_thread = |_| Failure::Work("a thread of the generator failed".to_owned());
    let done = done.map_err(lost_thread)?.map_err(Failure::Work)??;
    received.map_err(lost_thread)?.map_err(|(_, error)| Failure::work(format!("{} went away", ends.rx), error))?;
    let [Ear { listener, .. }] = ears;
    Ok((done, listener))
}

fn report(
    args: &PktgenArgs,
    layout: &Layout,
    plan: &Plan,
    flow: &Flow,
    done: &Done,
    tally: KernelTally,
    received: &Counters,
) -> Result<(), Failure> {
    let Source::Stream { stream, rate } = flow.source() else { return Ok(()) };
    let spec = stream.spec();
    let totals = Totals::of(done.devices.iter().map(|(_, report)| report));
    let took = Duration::from_secs_f64(totals.seconds.max(0.0));
    let stamped = tally.is_stamped();
    let intent = flow.intent(args.pace.time(), done.interrupted.then_some(took));
    let mut all = Tally::new(intent, took.as_secs_f64());
    let octets = octets(spec, &totals, &done.sent);
    for (number, (_, report)) in (0u8..).zip(&done.devices) {
        let frames = report.result.as_ref().map_or(0, |finished| finished.frames);
        // The first one's share is what the others leave, so that the sum is right.
        all.sent(number, frames, if number == 0 { octets } else { 0 });
    }
    all.port(tally.into_port());
    let result = timed(all.result(), stamped);
    let differences = truth::differences(plan, done, &totals, received, &Seen::of(&result));
    let devices = done.devices.iter().zip(&plan.devices);
    let devices = devices.map(|((name, report), device)| Device { name, commands: &device.commands, report }).collect();
    let (tx_interface, rx_interface) = (&done.sent, received);
    let said = Said { totals: &totals, devices, tx_interface, rx_interface, differences: &differences };
    let said = serde_json::to_value(&said).map_err(|error| Failure::work("the report cannot be written", error))?;
    let rate = rate.to_string();
    let head = report::Done {
        layout,
        backend: NAME,
        why: None,
        rate: &rate,
        specs: std::slice::from_ref(spec),
        interrupted: done.interrupted,
        notes: &differences,
        pktgen: Some(&said),
    };
    let (refused, samples, last_lost) = (totals.errors, Vec::new(), Vec::new());
    let outcome = Outcome {
        result,
        refused,
        overflowed: 0,
        overflowed_at_ends: 0,
        full: 0,
        stopped: done.interrupted,
        samples,
        last_lost,
    };
    args.report.run(&head, &outcome)
}

/// Without a time stamp there is no latency.
fn timed(mut result: LoadResult, stamped: bool) -> LoadResult {
    if !stamped {
        result.latency = None;
        result.latency_curve.clear();
        result.streams.iter_mut().for_each(|stream| stream.latency = None);
        result.ports.iter_mut().for_each(|port| port.latency = None);
    }
    result
}

/// Octets sent: as pktgen knows them, or else the interface, or else as many as such frames have in the mean.
fn octets(spec: &StreamSpec, totals: &Totals, sent: &Counters) -> u64 {
    let mean = || (totals.frames as f64 * (spec.sizes.mean_octets() - FCS_OCTETS as f64)) as u64;
    let counted = (sent.tx_frames == totals.frames).then_some(sent.tx_octets);
    totals.octets.or(counted).unwrap_or_else(mean)
}
