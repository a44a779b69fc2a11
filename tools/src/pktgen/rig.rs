//! What is a load tried on? A rig: places that are open, and who sends to whom. It can be loaded again and again, each time
//! with other frames, another rate, another time; that is what the standard tests do.
//!
//! Before a load the receiving ends send a frame from each address at which something will be sent, so that the switch knows
//! where they are (RFC 2889 clause 5: "learning frames").
//!
//! Not done: moving a rig's threads to CPUs of their own.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use frame::{Batch, MacAddr};
use load::FCS_OCTETS;
use load::loss::LossShare;
use load::result::LoadResult;
use load::series::{self, Sample, Series};
use load::stream::{Kind, Stations, Stream, StreamSpec};
use load::tally::{PortTally, Tally};
use load::walk::Walk;
use ports::Port;
use ports::port::Stop;

use super::backend::{Backend, Sender, Wanted};
use super::engine::{self, InProcess};
use super::flow::{Flow, destinations, intent_of_all};
use super::layout::Layout;
use super::options::End;
use super::place::Place;
use super::run::{self, Counter, Ear, Gone, Lane, Progress};
use crate::failure::Failure;

/// How long stragglers are waited for after the last arrival where nothing is missing, and where something is (RFC 2544
/// clause 23: two seconds).
const QUIET: Duration = Duration::from_millis(200);
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// A path that has been seen to take so long at most is not waited for longer than so many times that.
const TIMES_SLOWEST: u32 = 8;
/// A switch has taken in the learning frames after this.
pub(super) const LEARNING: Duration = Duration::from_millis(50);
/// Learning frames are sent so many at a time, with a pause behind them that lets the switch keep up.
const LESSON: u32 = 64;
const BREATH: Duration = Duration::from_micros(200);
/// To whom they are said.
const NOWHERE: MacAddr = MacAddr([0x02, b'l', 0, 0, 0, 1]);

/// A place that is open.
struct Station {
    place: Place,
    mac: Option<MacAddr>,
    mtu: u32,
    /// So many before it send, and so many receive.
    tx_rank: u8,
    rx_rank: u8,
    /// Frames that the interface had dropped of those it had taken, when it was last asked.
    dropped: u64,
    /// Frames that had found the hearing queue full, when it was last asked.
    overflowed: u64,
    /// What sends, where something is sent from here.
    tx: Option<Sender>,
    /// What hears, and says the learning frames.
    rx: Option<Box<dyn Port>>,
}

/// By what frames are to leave, and which ones.
pub(super) struct Leave<'a> {
    pub(super) backend: Backend,
    pub(super) wanted: Wanted<'a>,
}

/// Places and what runs between them.
pub(super) struct Rig {
    stations: Vec<Station>,
    listeners: Vec<usize>,
    /// The longest that a frame has taken in a run before.
    slowest: Option<Duration>,
    /// Somebody asked for the end.
    interrupted: Arc<AtomicBool>,
    engine: Option<InProcess>,
    /// Frames that the engine had dropped for want of room at a receiver, when it was last asked.
    engine_dropped: u64,
}

/// A flow of a load: from the station of this number.
pub(super) struct Order {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) flow: Flow,
}

/// What is to be done with a rig.
pub(super) struct Load {
    pub(super) orders: Vec<Order>,
    /// The end of sending, whatever has been sent.
    pub(super) duration: Duration,
    /// Are there to be learning frames?
    pub(super) teach: bool,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) result: LoadResult,
    /// Frames that the sending interfaces refused.
    pub(super) refused: u64,
    /// Frames that came, and found the receiver's own queue full: lost by the generator, not by what is tried. At all places
    /// that hear, and at those where something was sent to.
    pub(super) overflowed: u64,
    pub(super) overflowed_at_ends: u64,
    /// How often a sending interface had no room.
    pub(super) full: u64,
    /// It was ended before its end.
    pub(super) stopped: bool,
    /// How it went on.
    pub(super) samples: Vec<Sample>,
    /// Of each stream that lost something, when.
    pub(super) last_lost: Vec<LastLost>,
}

/// When the last frame of a stream was due that never came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LastLost {
    pub(super) stream: u8,
    /// Nanoseconds since its first frame was.
    pub(super) since_ns: u64,
}

impl Outcome {
    /// What was lost on the way.
    pub(super) fn loss(&self) -> LossShare {
        let LossShare { lost, of } = self.result.loss();
        LossShare { lost: lost.saturating_sub(self.overflowed_at_ends), of }
    }

    /// Was the generator the limit, or its receiver?
    pub(super) fn is_limited(&self) -> bool {
        self.overflowed > 0 || self.result.generator_limited.is_some()
    }
}

impl Rig {
    /// Open all places of a layout. `answers`: do the receivers send, too, and the senders hear?
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub(super) fn open(layout: &Layout, answers: bool, leave: &Leave<'_>) -> Result<Self, Failure> {
        let engine_ports = layout.places.iter().filter_map(|place| match place {
            Place::Engine(port) => Some(*port),
            Place::Interface(_) => None,
        });
        let engine = engine_ports.max().map(InProcess::start).transpose();
        let engine = engine.map_err(|error| Failure::work("the engine cannot be started", error))?;
        if engine.is_some() && layout.places.iter().any(|place| matches!(place, Place::Interface(_))) {
            return Err(Failure::Words(
                "an engine in this process has no way to an interface: name places of one kind only".to_owned(),
            ));
        }
        if engine.is_some() && leave.backend != Backend::Auto {
            return Err(Failure::Words(
                "the ports of an engine have a way of their own: leave --backend out".to_owned(),
            ));
        }
        let mut stations = Vec::new();
        for (at, place) in layout.places.iter().enumerate() {
            let (sends, hears) = (layout.sends(at), layout.hears(at));
            let both = answers && (sends || layout.receives(at));
            let mut station = open(place, sends || both, hears || both, engine.as_ref(), leave)?;
            station.tx_rank = (0..at).filter(|before| layout.sends(*before)).count() as u8;
            station.rx_rank = (0..at).filter(|before| layout.receives(*before)).count() as u8;
            stations.push(station);
        }
        let interrupted = Arc::<AtomicBool>::default();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(|error| Failure::work("waiting for a signal", error))?;
        }
        let listeners = (0..layout.places.len()).filter(|at| !layout.sends(*at) && !layout.receives(*at)).collect();
        Ok(Self { stations, listeners, slowest: None, interrupted, engine, engine_dropped: 0 })
    }

    /// The places that only listen.
    pub(super) fn listeners(&self) -> &[usize] {
        &self.listeners
    }

    /// How frames are sent; where not all do it in the same way, who how.
    pub(super) fn backend(&self) -> String {
        let mut ways: Vec<(&str, Vec<String>)> = Vec::new();
        for station in &self.stations {
            let Some(words) = station.tx.as_ref().map(Sender::words) else { continue };
            let place = station.place.to_string();
            match ways.iter_mut().find(|(known, _)| *known == words) {
                Some((_, places)) => places.push(place),
                None => ways.push((words, vec![place])),
            }
        }
        match &ways[..] {
            [(words, _)] => (*words).to_owned(),
            _ => ways
                .iter()
                .map(|(words, places)| format!("{words} ({})", places.join(", ")))
                .collect::<Vec<_>>()
                .join("; "),
        }
    }

    /// Why it is not the faster way, where that was wanted.
    pub(super) fn why_not_faster(&self) -> Option<&str> {
        self.stations.iter().filter_map(|station| station.tx.as_ref()).find_map(Sender::why_not_faster)
    }

    /// Did somebody ask for the end?
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// A place as the beginning of a flow.
    pub(super) fn source(&self, at: u8) -> End {
        self.end(at, |station| station.tx_rank)
    }

    /// A place as its end.
    pub(super) fn destination(&self, at: u8) -> End {
        self.end(at, |station| station.rx_rank)
    }

    fn end(&self, port: u8, rank: fn(&Station) -> u8) -> End {
        let station = self.stations.get(usize::from(port));
        End { port, rank: station.map_or(0, rank), mac: station.and_then(|station| station.mac) }
    }

    /// Is a frame of so many octets, without FCS, not too long for the interface it is sent by?
    ///
    /// # Errors
    /// It is.
    pub(super) fn check_length(&self, from: usize, octets: usize, tagged: bool) -> Result<(), Failure> {
        self.stations.get(from).map_or(Ok(()), |station| fits(&station.place, station.mtu, octets, tagged))
    }

    /// Load it. `look` is called every few milliseconds.
    ///
    /// # Errors
    /// An interface is gone, or no thread is to be had.
    pub(super) fn run(&mut self, load: Load, look: &mut dyn FnMut(Instant, &Progress)) -> Result<Outcome, Failure> {
        if load.teach {
            self.teach(&load.orders, look)?;
            thread::sleep(LEARNING);
        }
        self.drain()?;
        let mark = RandomState::new().build_hasher().finish() as u16;
        let hears = self.stations.iter().enumerate().filter(|(_, station)| station.rx.is_some());
        let ears: Vec<usize> = hears.map(|(at, _)| at).collect();
        let duration = load.duration;
        let mut flows: Vec<(usize, usize)> = Vec::new();
        let mut by_sender: Vec<(usize, Vec<Flow>)> = Vec::new();
        for Order { from, to, flow } in load.orders {
            flows.push((from, to));
            match by_sender.iter_mut().find(|(sender, _)| *sender == from) {
                Some((_, flows)) => flows.push(flow),
                None => by_sender.push((from, vec![flow])),
            }
        }
        let done = self.drive(by_sender, &ears, mark, duration, look)?;
        let floods = done.flows.iter().any(|(_, flow)| flow.floods());
        let ends = |at: usize| floods || flows.iter().any(|(_, to)| *to == at);
        let overflowed_at_ends = done.overflowed.iter().filter(|(at, _)| ends(*at)).map(|(_, frames)| frames).sum();
        let sent: Vec<&Flow> = done.flows.iter().map(|(_, flow)| flow).collect();
        let now = done.stopped.then_some(done.took);
        let mut all = Tally::new(intent_of_all(&sent, duration, now), done.took.as_secs_f64());
        for (from, flow) in &done.flows {
            flow.tally(&mut all, ears.iter().filter(|ear| *ear != from).count() as u64);
        }
        let last_lost = done.flows.iter().filter_map(|(_, flow)| {
            Some(LastLost { stream: flow.stream(), since_ns: flow.last_lost_ns(&done.tallies)? })
        });
        let last_lost = last_lost.collect();
        done.tallies.into_iter().for_each(|tally| all.port(tally));
        let (mut result, overflowed) = (all.result(), done.overflowed.iter().map(|(_, frames)| frames).sum());
        self.slowest = result.latency.map(|latency| Duration::from_nanos(latency.max_ns)).max(self.slowest);
        if overflowed > 0 {
            result.generator_limited.get_or_insert_with(|| {
                format!("the generator was the limit: {overflowed} frames came and found the receiver's own queue full")
            });
        }
        let Done { refused, full, stopped, samples, .. } = done;
        Ok(Outcome { result, refused, overflowed, overflowed_at_ends, full, stopped, samples, last_lost })
    }

    /// Let every destination of the flows say something where it is.
    fn teach(&mut self, orders: &[Order], look: &mut dyn FnMut(Instant, &Progress)) -> Result<(), Failure> {
        let (start, progress) = (Instant::now(), Progress::default());
        let lessons = orders.iter().filter_map(|order| Some((order.to, destinations(&order.flow)?)));
        let lessons: Vec<(usize, (MacAddr, u32))> = lessons.collect();
        progress.lessons.store(lessons.iter().map(|(_, (_, count))| u64::from(*count)).sum(), Ordering::Relaxed);
        for (to, (mac, count)) in lessons {
            let Some(station) = self.stations.get_mut(to) else { continue };
            let Some(rx) = &mut station.rx else { continue };
            say(rx.as_mut(), mac, count, &self.interrupted, &mut |said| {
                progress.taught.fetch_add(u64::from(said), Ordering::Relaxed);
                look(start, &progress);
            })
            .map_err(|error| Failure::work(&station.place, error))?;
        }
        Ok(())
    }

    /// What came before is not of the run.
    fn drain(&mut self) -> Result<(), Failure> {
        for station in &mut self.stations {
            let Some(rx) = &mut station.rx else { continue };
            drain(rx.as_mut()).map_err(|error| Failure::work(&station.place, error))?;
            station.overflowed = overflowed(rx.as_ref());
        }
        self.engine_dropped = self.engine.as_ref().map_or(0, InProcess::no_room);
        Ok(())
    }

    /// Send and count until it is over, and a little longer.
    fn drive(
        &mut self,
        by_sender: Vec<(usize, Vec<Flow>)>,
        ears: &[usize],
        mark: u16,
        duration: Duration,
        look: &mut dyn FnMut(Instant, &Progress),
    ) -> Result<Done, Failure> {
        let (progress, interrupted) = (Progress::default(), Arc::clone(&self.interrupted));
        let finders: Vec<_> = by_sender.iter().flat_map(|(_, flows)| flows.iter().filter_map(Flow::finder)).collect();
        let of_sender = |(from, flows): &(usize, Vec<Flow>)| {
            let from = *from;
            flows.iter().map(move |flow| (from, flow.stream())).collect::<Vec<_>>()
        };
        let own: Vec<(usize, u8)> = by_sender.iter().flat_map(of_sender).collect();
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        let mut by_sender = by_sender;
        for (at, station) in self.stations.iter_mut().enumerate() {
            let (tx, rx) = (station.tx.as_mut().map(Sender::port), station.rx.as_deref_mut());
            if let (Some(tx), Some(index)) = (tx, by_sender.iter().position(|(sender, _)| *sender == at)) {
                let copies = ears.iter().filter(|ear| **ear != at).count() as u64;
                senders.push(Lane::new(at, tx, by_sender.swap_remove(index).1, copies));
            }
            if let Some(rx) = rx.filter(|_| ears.contains(&at)) {
                let mut tally = PortTally::new(mark, at as u8);
                for (_, stream) in own.iter().filter(|(from, _)| *from == at) {
                    tally.sends(*stream);
                }
                let listener = Counter { tally, finders: finders.clone() };
                receivers.push(Ear { place: at, queue: rx, listener });
            }
        }
        let (start, mut series) = (Instant::now(), Series::default());
        let patience = self.slowest.map_or(PATIENCE, |slowest| (slowest * TIMES_SLOWEST).clamp(QUIET, PATIENCE));
        let (sent, heard) = thread::scope(|scope| {
            let threads = threads(senders.len());
            let each = senders.len().div_ceil(threads).max(1);
            let sending: Vec<_> = senders
                .chunks_mut(each)
                .map(|lanes| scope.spawn(|| run::send(lanes, mark, start, duration, &progress)))
                .collect();
            let each = receivers.len().div_ceil(threads.max(1)).max(1);
            let hearing: Vec<_> =
                receivers.chunks_mut(each).map(|ears| scope.spawn(|| run::receive(ears, start, &progress))).collect();
            while sending.iter().any(|thread| !thread.is_finished()) {
                if interrupted.load(Ordering::Relaxed) || hearing.iter().any(thread::ScopedJoinHandle::is_finished) {
                    progress.stop.store(true, Ordering::Relaxed);
                }
                look(start, &progress);
                series.take(start.elapsed().as_nanos() as u64, progress.counts());
                thread::sleep(Duration::from_millis(5));
            }
            let sent: Vec<_> = sending.into_iter().map(thread::ScopedJoinHandle::join).collect();
            let end_ns = start.elapsed().as_nanos() as u64;
            await_stragglers(&progress, patience);
            // Stragglers belong to the last interval: nothing was sent while they were waited for.
            series.take(end_ns, progress.counts());
            progress.deaf.store(true, Ordering::Relaxed);
            let heard: Vec<_> = hearing.into_iter().map(thread::ScopedJoinHandle::join).collect();
            (sent, heard)
        });
        let mut done = Done {
            took: senders.iter().map(|lane| lane.took).max().unwrap_or_default(),
            refused: senders.iter().map(|lane| lane.refused).sum(),
            full: senders.iter().map(|lane| lane.full).sum(),
            overflowed: Vec::new(),
            stopped: progress.stop.load(Ordering::Relaxed),
            samples: series.samples(),
            flows: senders.into_iter().flat_map(Lane::into_flows).collect(),
            tallies: receivers.into_iter().map(|ear| ear.listener.tally).collect(),
        };
        self.settle(&mut done);
        for outcome in sent.into_iter().chain(heard) {
            let outcome = outcome.map_err(|_| Failure::Work("a thread of the generator failed".to_owned()))?;
            outcome.map_err(|gone| self.gone(&gone))?;
        }
        Ok(done)
    }

    /// What an interface dropped of the frames it had taken was never sent; and what came when nobody took it up was not lost
    /// on the way.
    fn settle(&mut self, done: &mut Done) {
        if let Some(engine) = &self.engine {
            let dropped = engine.no_room();
            // Which receiver's ring was full is not counted.
            let at = self.stations.iter().position(|station| station.rx.is_some()).unwrap_or_default();
            done.overflowed.push((at, dropped - self.engine_dropped));
            self.engine_dropped = dropped;
        }
        for (at, station) in self.stations.iter_mut().enumerate() {
            let overflowed = station.rx.as_deref().map_or(0, overflowed);
            done.overflowed.push((at, overflowed - station.overflowed.min(overflowed)));
            station.overflowed = overflowed;
            let dropped = station.tx.as_mut().map_or(0, Sender::dropped);
            let mut left = dropped - station.dropped.min(dropped);
            station.dropped = dropped;
            done.refused += left;
            for (_, flow) in done.flows.iter_mut().filter(|(from, _)| *from == at) {
                let before = flow.sent();
                flow.never_left(left);
                left -= (before - flow.sent()).min(left);
            }
        }
    }

    fn gone(&self, (at, error): &Gone) -> Failure {
        let name = self.stations.get(*at).map(|station| station.place.to_string()).unwrap_or_default();
        Failure::work(format!("{name} went away while frames were under way"), error)
    }
}

/// What came of sending and hearing.
struct Done {
    took: Duration,
    refused: u64,
    full: u64,
    /// With the receivers' numbers.
    overflowed: Vec<(usize, u64)>,
    stopped: bool,
    samples: Vec<Sample>,
    /// With the senders' numbers.
    flows: Vec<(usize, Flow)>,
    tallies: Vec<PortTally>,
}

/// Is a frame of so many octets, without FCS, not too long for an interface?
///
/// # Errors
/// It is.
pub(super) fn fits(place: &Place, mtu: u32, octets: usize, tagged: bool) -> Result<(), Failure> {
    let most = mtu as usize + frame::ethernet::header_octets(&[]) + if tagged { 4 } else { 0 };
    if octets <= most {
        return Ok(());
    }
    Err(Failure::Words(format!(
        "{place} has an MTU of {mtu}: the largest frame is of {} octets with FCS, not {}",
        most + FCS_OCTETS,
        octets + FCS_OCTETS
    )))
}

/// Threads to send, and as many to hear: half of the machine, which leaves the other half to what is tried.
fn threads(lanes: usize) -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    lanes.min(cpus / 2).max(1)
}

fn open(
    place: &Place,
    sends: bool,
    hears: bool,
    engine: Option<&InProcess>,
    leave: &Leave<'_>,
) -> Result<Station, Failure> {
    let station = |mac, mtu| Station {
        place: place.clone(),
        mac,
        mtu,
        tx_rank: 0,
        rx_rank: 0,
        dropped: 0,
        overflowed: 0,
        tx: None,
        rx: None,
    };
    match place {
        Place::Interface(interface) => {
            let (link, queue) = interface.open().map_err(Failure::Work)?;
            let mut station = station(link.mac, link.mtu);
            if !sends {
                station.rx = Some(Box::new(queue));
                return Ok(station);
            }
            station.tx = Some(leave.backend.open(interface, &link, queue, &leave.wanted).map_err(Failure::Work)?);
            if hears {
                // A socket of its own: one thread sends, another hears.
                station.rx = Some(Box::new(interface.open().map_err(Failure::Work)?.1));
            }
            Ok(station)
        }
        Place::Engine(port) => {
            let end = || engine.and_then(|engine| engine.end(*port, !hears));
            let mut station = station(Some(MacAddr([0x02, b'e', 0, 0, 0, *port])), engine::MTU);
            station.tx = end().filter(|_| sends).map(Sender::Memory);
            station.rx = end().filter(|_| hears).map(|end| Box::new(end) as Box<dyn Port>);
            Ok(station)
        }
    }
}

/// A frame from each address, to a station that is nowhere; `said` hears how many at a time.
pub(super) fn say(
    rx: &mut dyn Port,
    mac: MacAddr,
    count: u32,
    interrupted: &AtomicBool,
    said: &mut dyn FnMut(u32),
) -> io::Result<()> {
    let sources = Stations { count, walk: Walk::Sequential, ..Stations::new(mac) };
    let destinations = Stations::new(NOWHERE);
    let spec = StreamSpec { kind: Kind::Plain, sources, destinations, ..StreamSpec::default() };
    let mut learning = Stream::new(spec).map_err(io::Error::other)?;
    let mut batch = Batch::with_capacity(LESSON as usize);
    let picks: Vec<u16> = (0..LESSON as u16).collect();
    let mut left = count;
    while left > 0 && !interrupted.load(Ordering::Relaxed) {
        batch.clear();
        for _ in 0..left.min(LESSON) {
            if let Some(frame) = batch.push() {
                learning.write(frame, 0, 0);
            }
        }
        left -= left.min(LESSON);
        send_all(rx, &batch, &picks[..batch.len()])?;
        said(batch.len() as u32);
        if left > 0 {
            thread::sleep(BREATH);
        }
    }
    Ok(())
}

/// Forget what waits at a port, for a while: hosts may say more as fast as it is read.
pub(super) fn drain(rx: &mut dyn Port) -> io::Result<()> {
    let (mut waste, start) = (Batch::with_capacity(frame::batch::BURST), Instant::now());
    while rx.recv(&mut waste)? > 0 && start.elapsed() < LEARNING {
        waste.clear();
    }
    Ok(())
}

/// Frames that found the port's own queue full so far.
fn overflowed(rx: &dyn Port) -> u64 {
    rx.losses().map_or(0, |losses| losses.overflowed())
}

/// All of them, waiting for room.
fn send_all(port: &mut dyn Port, batch: &Batch, mut picks: &[u16]) -> io::Result<()> {
    let start = Instant::now();
    while !picks.is_empty() {
        let sent = port.send(batch, picks)?;
        picks = picks.get(sent.taken..).unwrap_or_default();
        match sent.stopped {
            Some(Stop::Refused) => picks = picks.get(1..).unwrap_or_default(),
            Some(Stop::Full) if start.elapsed() > PATIENCE => return Err(io::ErrorKind::TimedOut.into()),
            Some(Stop::Full) => thread::sleep(BREATH),
            None => {}
        }
    }
    Ok(())
}

/// Until nothing more comes: no longer than `patience` after the last arrival where something is missing.
pub(super) fn await_stragglers(progress: &Progress, patience: Duration) {
    let (begin, mut last, mut since) = (Instant::now(), 0, Instant::now());
    while begin.elapsed() < PATIENCE {
        let series::Progress { sent, expected, received } = progress.counts();
        if received != last {
            (last, since) = (received, Instant::now());
        }
        // The kernel's pktgen is only asked how many it has sent.
        let missing = received < if expected == 0 { sent } else { expected };
        if since.elapsed() >= if missing { patience } else { QUIET } {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
