//! How many addresses does the switch hold, and how fast does it learn them? Found as a switch shows it: what it does not know
//! it floods, and a third port hears it.
//!
//! RFC 2889 clauses 5.7 (address caching capacity), 5.8 (address learning rate).
//!
//! Not done: waiting for addresses to age out between trials, as the RFC has it: each trial holds the addresses of the one
//! before, or fresh ones, which a switch that replaces old entries takes, too.

use std::hash::{BuildHasher, Hasher, RandomState};

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

/// How many addresses are held.
pub(super) fn capacity(bench: &mut Bench<'_>, finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("addresses", "addresses"),
        column("flooded", "flooded"),
        column("held", "held"),
        column("lost", "lost"),
    ];
    let first = fresh();
    floods_are_heard(bench, fresh())?;
    let name = bench.name.clone();
    let (mut held_all, mut first_flooded, mut lost) = (0, None, 0);
    let mut count = FEWEST.min(bench.settings.most_addresses);
    loop {
        bench.name = format!("{name} {count} addresses");
        learn(bench, first, count, pps(TEACHING_PPS))?;
        let answers = ask(bench, first, count)?;
        lost += answers.lost;
        let held = answers.asked.saturating_sub(answers.flooded);
        finding.rows.push(vec![
            Cell::Count(u64::from(count)),
            Cell::Count(answers.flooded),
            Cell::Count(held),
            Cell::Count(answers.lost),
        ]);
        if answers.flooded > 0 {
            first_flooded = Some((count, held));
            break;
        }
        held_all = count;
        if count >= bench.settings.most_addresses {
            break;
        }
        count = count.saturating_mul(2).min(bench.settings.most_addresses);
    }
    bench.name = name;
    finding.notes.push(match first_flooded {
        None => format!("All {held_all} addresses were held; more were not tried (--most-addresses)."),
        Some((count, held)) => format!(
            "Address caching capacity: at least {held_all}, fewer than {count}; of {count} addresses {held} were held. A \
             switch may also refuse a single port more than its share, which looks the same from outside."
        ),
    });
    note_lost(finding, lost);
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
    floods_are_heard(bench, fresh())?;
    let name = bench.name.clone();
    let count = LESSON.min(bench.settings.most_addresses);
    let (mut good, mut bad, mut base, mut lost) = (None::<f64>, None::<f64>, 0u32, 0);
    let Some(size) = sizes.first() else { return Ok(()) };
    let mut next = bench.ceiling(size)?;
    loop {
        bench.name = format!("{name} at {next:.0} a second");
        // Addresses that were never heard of: those of the trial before are known already.
        let first = mac_at(begin, base);
        base = base.wrapping_add(count);
        let sent = learn(bench, first, count, pps(next))?;
        let answers = ask(bench, first, count)?;
        lost += answers.lost;
        finding.rows.push(vec![
            Cell::Pps(next),
            Cell::Pps(sent),
            Cell::Count(u64::from(count)),
            Cell::Count(answers.flooded),
            Cell::Count(answers.asked.saturating_sub(answers.flooded)),
        ]);
        // What was asked for may be more than the generator can send.
        if answers.flooded == 0 {
            good = Some(next.min(sent));
        } else {
            bad = Some(next.min(sent));
        }
        next = match (good, bad) {
            (Some(_), None) => break,
            (Some(good), Some(bad)) if bad - good <= bad * bench.settings.width.max(0.05) => break,
            (Some(good), Some(bad)) => (good * bad).sqrt(),
            (None, _) if next <= LEAST_RATE => break,
            (None, _) => (next / 4.0).max(LEAST_RATE),
        };
    }
    bench.name = name;
    finding.notes.push(match (good, bad) {
        (Some(good), None) => format!(
            "Address learning rate: at least {good:.0} a second; the generator sends no more, so the switch was not the limit."
        ),
        (Some(good), Some(bad)) => format!("Address learning rate: at least {good:.0} a second, less than {bad:.0}."),
        (None, _) => format!("Even {LEAST_RATE} addresses a second were not all learned."),
    });
    if bad.is_some() {
        finding.notes.push(format!(
            "{base} addresses were taught in all, each trial others: a switch that holds fewer floods for want of room, too."
        ));
    }
    note_lost(finding, lost);
    Ok(())
}

/// Addresses that no run before has used.
fn fresh() -> MacAddr {
    let [a, b, c, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
    MacAddr([0x06, a, b, c, 0, 1])
}

/// Frames to nobody have to be heard where only floods are: else silence would be taken for knowledge.
fn floods_are_heard(bench: &mut Bench<'_>, nobody: MacAddr) -> Result<(), Ended> {
    if bench.rig.listeners().is_empty() {
        let text = "a third place has to hear floods: --listen PLACE, on another port of the same switch";
        return Err(Failure::Words(text.to_owned()).into());
    }
    if ask(bench, nobody, NOBODY)?.flooded == u64::from(NOBODY) {
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
fn learn(bench: &mut Bench<'_>, first: MacAddr, count: u32, rate: Rate) -> Result<f64, Ended> {
    let Some(path) = bench.paths.first().copied() else { return Ok(0.0) };
    let back = Path { from: path.to, to: path.from };
    let trial = Trial::of(u64::from(count), rate);
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
fn ask(bench: &mut Bench<'_>, first: MacAddr, count: u32) -> Result<Answers, Ended> {
    let Some(path) = bench.paths.first().copied() else { return Ok(Answers { asked: 0, flooded: 0, lost: 0 }) };
    let trial = Trial::of(u64::from(count), pps(ASKING_PPS));
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
