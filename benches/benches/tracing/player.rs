//! How is one state of tracing measured? The engine's rig runs while nobody, somebody or everybody is traced, and a thread
//! reads the ring as the daemon does.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lanyard_benches::stats::per;
use serde::{Deserialize, Serialize};
use serde_json::json;
use switch::engine::TraceSink;
use switch::engine::tracer::RING_RECORDS;
use trace::Record;
use trace::filter::{Admission, Filter};

use super::rig::Rig;
use super::traffic::Traffic;

/// Addresses that talk.
const MACS: u32 = 1_000;
/// Frames before a measurement.
const WARM_UP: u64 = 2 * RING_RECORDS as u64;
/// Frames that are sent together when the rate is given: a hundredth of a second's.
const PULSE: u64 = 1_000;
const PULSES_A_SECOND: u32 = 100;

/// Who is traced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody traces.
    Off,
    /// Somebody traces, and no frame is of interest.
    Nothing,
    /// One station's frames are.
    One,
    /// Every frame is.
    Everything,
}

impl State {
    pub(crate) const ALL: [Self; 4] = [Self::Off, Self::Nothing, Self::One, Self::Everything];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Nothing => "nothing",
            Self::One => "one",
            Self::Everything => "everything",
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Nothing => "on, nothing passes the filter",
            Self::One => "on, 1 of 1,000 stations",
            Self::Everything => "on, everything",
        }
    }

    fn admission(self) -> Option<Admission> {
        let filter = match self {
            Self::Off => return None,
            Self::Nothing => "arp".to_owned(),
            Self::One => Traffic::Unicast(MACS).stations().next().map(|(mac, _)| format!("ether src {mac}"))?,
            Self::Everything => String::new(),
        };
        Filter::parse(&filter).ok().map(|filter| filter.compile(&()))
    }
}

/// What 100,000 frames a second came to.
#[derive(Serialize, Deserialize)]
pub(crate) struct Paced {
    pub(crate) frames: u64,
    pub(crate) seconds: f64,
    /// Frames that were traced and never read.
    pub(crate) lost: u64,
    pub(crate) json_octets: u64,
}

/// Measure what standard input asks for, a line each, until it ends.
///
/// # Errors
/// Frames were lost, or the system has no thread left.
pub(crate) fn play(frames: u64) -> io::Result<bool> {
    let rig = Rig::new(1, Traffic::Unicast(MACS), 64)?;
    rig.run(20_000)?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.strip_prefix("paced ").and_then(|seconds| seconds.parse().ok()) {
            Some(seconds) => serde_json::to_value(paced(&rig, seconds)?)?,
            None => match State::ALL.into_iter().find(|state| state.word() == line) {
                Some(state) => measure(&rig, state, frames)?,
                None => return Err(io::Error::other(format!("'{line}' is no state"))),
            },
        };
        println!("{answer}");
        io::stdout().flush()?;
    }
    Ok(true)
}

fn measure(rig: &Rig, state: State, frames: u64) -> io::Result<serde_json::Value> {
    let Some(admission) = state.admission() else {
        rig.engine().trace(None);
        rig.run(WARM_UP)?;
        let run = rig.run(frames)?;
        return Ok(json!({"ns": per(run.engine.as_nanos() as u64, run.frames)}));
    };
    let sink = TraceSink::new(1, RING_RECORDS, admission);
    rig.engine().trace(Some(&sink));
    let reader = Reader::start(&sink, |_| ());
    // Until the worker has told a ring's worth at once, and tells as many as it does in the long run.
    rig.run(WARM_UP)?;
    let run = rig.run(frames)?;
    rig.engine().trace(None);
    let read = reader.end();
    let lost = sink.overwritten();
    Ok(json!({"ns": per(run.engine.as_nanos() as u64, run.frames), "traced": read + lost, "lost": lost}))
}

/// Send 100,000 frames a second, in pulses, all traced and all put into words.
fn paced(rig: &Rig, seconds: u32) -> io::Result<Paced> {
    let sink = TraceSink::new(1, RING_RECORDS, Admission::everything());
    rig.engine().trace(Some(&sink));
    let octets = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&octets);
    let reader = Reader::start(&sink, move |record| {
        let line = record.to_json_line().map_or(0, |line| line.len() as u64);
        counted.fetch_add(line, Ordering::Relaxed);
    });
    let start = Instant::now();
    let mut frames = 0;
    for pulse in 0..seconds * PULSES_A_SECOND {
        let due = Duration::from_secs(1) / PULSES_A_SECOND * pulse;
        thread::sleep(due.saturating_sub(start.elapsed()));
        rig.run(PULSE)?;
        frames += PULSE;
    }
    let took = start.elapsed().as_secs_f64();
    let read = reader.end();
    rig.engine().trace(None);
    Ok(Paced { frames, seconds: took, lost: frames - read, json_octets: octets.load(Ordering::Relaxed) })
}

/// Reads the ring as the daemon does: a record is put into words, and given back.
struct Reader {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Reader {
    fn start(sink: &TraceSink, mut heard: impl FnMut(&Record) + Send + 'static) -> Self {
        let (stop, sink) = (Arc::new(AtomicBool::new(false)), sink.clone());
        let ended = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut read = 0;
            loop {
                let last = ended.load(Ordering::SeqCst);
                let before = read;
                for ring in sink.rings.iter() {
                    while let Some(raw) = ring.pop() {
                        heard(&Record::resolve(&raw, 0, &()));
                        ring.recycle(raw);
                        read += 1;
                    }
                }
                match (last, read == before) {
                    (true, true) => return read,
                    (false, true) => thread::sleep(Duration::from_millis(1)),
                    _ => {}
                }
            }
        });
        Self { stop, thread }
    }

    /// Read what is left; how many records there were in all.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or(0)
    }
}
