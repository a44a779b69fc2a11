//! How many addresses does the switch hold, and how fast does it learn them? Found as a switch shows it: what it does not know
//! it floods, and a third port hears it.
//!
//! RFC 2889 clauses 5.7 (address caching capacity), 5.8 (address learning rate).
//!
//! Not done: waiting for addresses to age out between trials, as the RFC has it: each trial holds the addresses of the one
//! before, or fresh ones, which a switch that replaces old entries takes, too.

use frame::MacAddr;
use load::rate::Rate;
use load::stream::Stations;
use load::walk::{Walk, mac_at};

use super::super::flow::Turn;
use super::super::layout::Path;
use super::bench::{Bench, Ended, Trial, pps};
use super::finding::{Cell, Finding, column};
use crate::failure::Failure;

/// The first of the addresses that are learned.
const FIRST: MacAddr = MacAddr([0x06, b'a', 0, 0, 0, 1]);
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
    third_port(bench)?;
    let name = bench.name.clone();
    let (mut held_all, mut first_flooded) = (0, None);
    let mut count = FEWEST.min(bench.settings.most_addresses);
    loop {
        bench.name = format!("{name} {count} addresses");
        learn(bench, FIRST, count, pps(TEACHING_PPS))?;
        let answers = ask(bench, FIRST, count)?;
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
    Ok(())
}

/// How fast they are learned.
pub(super) fn learning_rate(bench: &mut Bench<'_>, finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("pps", "learning frames/s"),
        column("sent_pps", "sent/s"),
        column("addresses", "addresses"),
        column("flooded", "flooded"),
        column("learned", "learned"),
    ];
    third_port(bench)?;
    let name = bench.name.clone();
    let count = LESSON.min(bench.settings.most_addresses);
    let (mut good, mut bad, mut base) = (None::<f64>, None::<f64>, 0u32);
    let mut next = bench.ceiling(&load::Sizes::default())?;
    loop {
        bench.name = format!("{name} at {next:.0} a second");
        // Addresses that were never heard of: those of the trial before are known already.
        let first = mac_at(FIRST, base);
        base = base.wrapping_add(count);
        let sent = learn(bench, first, count, pps(next))?;
        let answers = ask(bench, first, count)?;
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
    Ok(())
}

/// Somewhere has to be listened for floods.
fn third_port(bench: &Bench<'_>) -> Result<(), Ended> {
    if bench.rig.listeners().is_empty() {
        let text = "a third place has to hear floods: --listen PLACE, on another port of the same switch";
        return Err(Failure::Words(text.to_owned()).into());
    }
    Ok(())
}

/// Let so many stations say something where frames will be sent to; how many did so a second.
fn learn(bench: &mut Bench<'_>, first: MacAddr, count: u32, rate: Rate) -> Result<f64, Ended> {
    let Some(path) = bench.paths.first().copied() else { return Ok(0.0) };
    let back = Path { from: path.to, to: path.from };
    let trial = Trial::of(u64::from(count), rate);
    let order = bench.order(0, back, &trial, Turn::ALONE, &mut |spec| {
        spec.sources = Stations { count, walk: Walk::Sequential, ..Stations::new(first) };
        spec.flows = 1;
    })?;
    let outcome = bench.load(vec![order], &Trial { teach: true, ..trial })?;
    Ok(outcome.result.sent.pps)
}

/// Send a frame to each of them, and listen where it comes out.
fn ask(bench: &mut Bench<'_>, first: MacAddr, count: u32) -> Result<Answers, Ended> {
    let Some(path) = bench.paths.first().copied() else { return Ok(Answers { asked: 0, flooded: 0, lost: 0 }) };
    let trial = Trial::of(u64::from(count), pps(ASKING_PPS));
    let order = bench.order(0, path, &trial, Turn::ALONE, &mut |spec| {
        spec.destinations = Stations { count, walk: Walk::Sequential, ..Stations::new(first) };
    })?;
    // No learning frames: they would teach what is asked.
    let outcome = bench.load(vec![order], &trial)?;
    let listeners = bench.rig.listeners().len().max(1) as u64;
    let flooded = outcome.result.misdelivered / listeners;
    Ok(Answers { asked: u64::from(count), flooded, lost: outcome.result.lost })
}
