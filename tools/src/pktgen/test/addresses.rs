//! How many addresses does the switch hold, and how fast does it learn them? Found as a switch shows it: what it does not know
//! it floods, and a third port hears it.
//!
//! RFC 2889 clauses 5.7 (address caching capacity), 5.8 (address learning rate).
//!
//! Not done: waiting for addresses to age out between trials, as the RFC has it: each trial holds the addresses of the one
//! before, or fresh ones, which a switch that replaces old entries takes, too.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

use frame::MacAddr;
use load::rate::Rate;
use load::size::Sizes;
use load::stream::{Kind, Stations, StreamSpec};
use load::walk::{Walk, mac_at};

use super::super::flow::Turn;
use super::super::layout::Path;
use super::bench::{Bench, Ended, Trial, pps};
use super::finding::{Cell, Finding, column};
use crate::failure::Failure;

/// Addresses that nobody has, to see that floods are heard.
const NOBODY: u32 = 4;
/// So many are tried at first.
const FEWEST: u32 = 64;
/// What asks for an address is sent at no more than this, frames a second, so that none is lost by overload.
const ASKING_PPS: f64 = 10_000.0;
/// Addresses are taught at this rate where how fast is not the question.
const TEACHING_PPS: f64 = 5_000.0;
/// So many addresses are learned in each trial of the learning rate.
const LESSON: u32 = 1000;
/// Whoever interrupts waits no longer than this.
const PAUSE: Duration = Duration::from_millis(50);
/// The lowest learning rate that is tried.
const LEAST_RATE: f64 = 100.0;

/// What asking for addresses came to.
struct Answers {
    /// Asked for, each once.
    asked: u64,
    /// Flooded: a third port heard it.
    flooded: u64,
    /// Never arrived where the address is.
    lost: u64,
}

impl Answers {
    /// Neither flooded nor lost.
    fn held(&self) -> u64 {
        self.asked.saturating_sub(self.flooded).saturating_sub(self.lost)
    }
}

/// How many addresses are held.
pub(super) fn capacity(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    let Some(size) = sizes.first() else { return Ok(()) };
    finding.columns = vec![
        column("addresses", "addresses"),
        column("flooded", "flooded"),
        column("held", "held"),
        column("lost", "lost"),
        column("seconds", "time"),
    ];
    let first = usual(bench.frames.seed());
    floods_are_heard(bench, size, fresh())?;
    let (mut held_all, mut first_flooded, mut lost) = (0, None, 0);
    let mut count = FEWEST.min(bench.settings.most_addresses);
    loop {
        let begin = Instant::now();
        let answers = bench.part(&format!(" {count} addresses"), |bench| {
            learn(bench, size, first, count, pps(TEACHING_PPS))?;
            ask(bench, size, first, count)
        })?;
        lost += answers.lost;
        let held = answers.held();
        finding.rows.push(vec![
            Cell::Count(u64::from(count)),
            Cell::Count(answers.flooded),
            Cell::Count(held),
            Cell::Count(answers.lost),
            Cell::Seconds(begin.elapsed().as_secs_f64()),
        ]);
        if answers.flooded > 0 {
            first_flooded = Some((count, held, begin.elapsed()));
            break;
        }
        held_all = count;
        if count >= bench.settings.most_addresses {
            break;
        }
        count = count.saturating_mul(2).min(bench.settings.most_addresses);
    }
    finding.notes.push(match first_flooded {
        None => format!("All {held_all} addresses were held; more were not tried (--most-addresses)."),
        Some((count, held, _)) => format!(
            "Address caching capacity: at least {held_all}, fewer than {count}; of {count} addresses {held} were held. A \
             switch may also refuse a single port more than its share, which looks the same from outside; and what it has \
             learned before takes room: begin with an empty table, after its ageing time or on a new network."
        ),
    });
    note_lost(finding, lost);
    if let Some((_, _, time)) = first_flooded {
        finding.notes.extend(bench.part(" ageing", |bench| ages(bench, size, first, time))?);
    }
    Ok(())
}

/// How fast they are learned.
pub(super) fn learning_rate(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("pps", "learning frames/s"),
        column("sent_pps", "sent/s"),
        column("addresses", "addresses"),
        column("flooded", "flooded"),
        column("learned", "learned"),
    ];
    let begin = fresh();
    let Some(size) = sizes.first() else { return Ok(()) };
    floods_are_heard(bench, size, fresh())?;
    let count = LESSON.min(bench.settings.most_addresses);
    let (mut good, mut low, mut high) = (None::<f64>, None::<f64>, None::<f64>);
    let (mut base, mut lost, mut again) = (0u32, 0, false);
    let mut next = bench.ceiling(size)?;
    loop {
        // Addresses that were never heard of: those of the trial before are known already.
        let first = mac_at(begin, base);
        base = base.wrapping_add(count);
        let (sent, answers) = bench.part(&format!(" at {next:.0} a second"), |bench| {
            Ok((learn(bench, size, first, count, pps(next))?, ask(bench, size, first, count)?))
        })?;
        lost += answers.lost;
        finding.rows.push(vec![
            Cell::Pps(next),
            Cell::Pps(sent),
            Cell::Count(u64::from(count)),
            Cell::Count(answers.flooded),
            Cell::Count(answers.held()),
        ]);
        if answers.flooded == 0 {
            // What was asked for may be more than the generator can send.
            (low, good) = (Some(next), Some(next.min(sent)));
        } else if !std::mem::replace(&mut again, true) {
            // Once more: one frame that the generator's own machine lost on the way would say the same.
            continue;
        } else {
            high = Some(next);
        }
        again = false;
        next = match (low, high) {
            (Some(_), None) => break,
            (Some(low), Some(high)) if high - low <= high * bench.settings.width.max(0.05) => break,
            (Some(low), Some(high)) => (low * high).sqrt(),
            (None, _) if next <= LEAST_RATE => break,
            (None, _) => (next / 4.0).max(LEAST_RATE),
        };
    }
    finding.notes.push(match (good, high) {
        (Some(good), None) if bench.settings.max_rate.is_some() => {
            format!("Address learning rate: at least {good:.0} a second; more was not asked for (--max-rate).")
        }
        (Some(good), None) => format!(
            "Address learning rate: at least {good:.0} a second; the generator sends no more, so the switch was not the limit."
        ),
        (Some(good), Some(high)) => format!(
            "Address learning rate: at least {good:.0} a second; not all were learned where {high:.0} a second were asked for."
        ),
        (None, _) => format!("Even {LEAST_RATE} addresses a second were not all learned."),
    });
    if high.is_some() {
        finding.notes.push(format!(
            "{base} addresses were taught in all, each trial others: a switch that holds fewer, or whose table was not empty \
             before, floods for want of room, too."
        ));
    }
    note_lost(finding, lost);
    Ok(())
}

/// The addresses that are taught: each run the same ones, so that those of the run before take no room.
fn usual(seed: u64) -> MacAddr {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    let [a, b, ..] = hasher.finish().to_be_bytes();
    MacAddr([0x06, a, b, 0, 0, 1])
}

/// Are addresses forgotten in that time? Some are taught again, asked at once, and once more when it is over.
fn ages(bench: &mut Bench<'_>, size: &Sizes, first: MacAddr, time: Duration) -> Result<Option<String>, Ended> {
    learn(bench, size, first, FEWEST, pps(TEACHING_PPS))?;
    let at_once = ask(bench, size, first, FEWEST)?.flooded;
    let end = Instant::now() + time;
    while !bench.rig.is_interrupted() && Instant::now() < end {
        thread::sleep(PAUSE.min(end.saturating_duration_since(Instant::now())));
    }
    let later = ask(bench, size, first, FEWEST)?.flooded;
    Ok((later > at_once).then(|| {
        format!(
            "Of {FEWEST} addresses {} were forgotten within {:.1} s, which the last row took: that is their ageing time, \
             not their number. Make that longer, or try fewer (--most-addresses).",
            later - at_once,
            time.as_secs_f64()
        )
    }))
}

/// Addresses that no run before has used.
fn fresh() -> MacAddr {
    let [a, b, c, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
    MacAddr([0x06, a, b, c, 0, 1])
}

/// Frames to nobody have to be heard where only floods are: else silence would be taken for knowledge.
fn floods_are_heard(bench: &mut Bench<'_>, size: &Sizes, nobody: MacAddr) -> Result<(), Ended> {
    if bench.rig.listeners().is_empty() {
        let text = "a third place has to hear floods: --listen PLACE, on another port of the same switch";
        return Err(Failure::Words(text.to_owned()).into());
    }
    if ask(bench, size, nobody, NOBODY)?.flooded == u64::from(NOBODY) {
        return Ok(());
    }
    let text = "a frame to nobody is not heard at the --listen place: is it on the same switch, and does that flood?";
    Err(Failure::Work(text.to_owned()).into())
}

fn note_lost(finding: &mut Finding, lost: u64) {
    if lost > 0 {
        finding.notes.push(format!(
            "{lost} of the frames that asked never arrived: the figures are less sure by as many. Is something else overloaded?"
        ));
    }
}

/// Let so many stations say something where frames will be sent to; how many did so a second.
fn learn(bench: &mut Bench<'_>, size: &Sizes, first: MacAddr, count: u32, rate: Rate) -> Result<f64, Ended> {
    let Some(path) = bench.paths.first().copied() else { return Ok(0.0) };
    let back = Path { from: path.to, to: path.from };
    let trial = Trial { size: Some(size), ..Trial::of(u64::from(count), rate) };
    let order = bench.order(0, back, &trial, Turn::ALONE, &mut |spec| {
        spec.sources = Stations { count, walk: Walk::Sequential, ..Stations::new(first) };
        plain(spec);
    })?;
    let outcome = bench.load(vec![order], &Trial { teach: true, ..trial })?;
    Ok(outcome.result.sent.pps)
}

/// To one station each, and right.
fn plain(spec: &mut StreamSpec) {
    (spec.broadcast_per_million, spec.errored) = (0, None);
    if spec.kind == Kind::ArpRequest {
        spec.kind = Kind::UdpIpv4;
    }
}

/// Send a frame to each of them, and listen where it comes out.
fn ask(bench: &mut Bench<'_>, size: &Sizes, first: MacAddr, count: u32) -> Result<Answers, Ended> {
    let Some(path) = bench.paths.first().copied() else { return Ok(Answers { asked: 0, flooded: 0, lost: 0 }) };
    let trial = Trial { size: Some(size), ..Trial::of(u64::from(count), pps(ASKING_PPS)) };
    let order = bench.order(0, path, &trial, Turn::ALONE, &mut |spec| {
        spec.destinations = Stations { count, walk: Walk::Sequential, ..Stations::new(first) };
        plain(spec);
    })?;
    // No learning frames: they would teach what is asked.
    let outcome = bench.load(vec![order], &trial)?;
    let listeners = bench.rig.listeners().len().max(1) as u64;
    let flooded = outcome.result.misdelivered.div_ceil(listeners);
    Ok(Answers { asked: u64::from(count), flooded, lost: outcome.result.lost })
}
