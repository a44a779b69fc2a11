//! What does the switch do with a burst, and after an overload? The longest burst at full speed that comes through whole, and
//! how long frames are still lost when an overload has ended.
//!
//! RFC 2544 clauses 26.4 (back-to-back frames), 26.5 (system recovery).
//!
//! Not done: RFC 9004's correction of the buffer's size by the rate at which it drains meanwhile; it can be computed from the
//! figures here and of a throughput test.

use std::time::Duration;

use load::size::Sizes;

use super::super::flow::Turn;
use super::super::rig::Outcome;
use super::bench::{Bench, Ended, Trial, generator, pps};
use super::finding::{Cell, Finding, column, median};

/// The shortest burst that is tried, frames.
const LEAST_BURST: u64 = 16;
/// The longest, as a time at full speed (RFC 2544 clause 26.4: 2 seconds).
const LONGEST: Duration = Duration::from_secs(2);
/// An overload is so much of the loss-free rate, and what follows it so much (RFC 2544 clause 26.5).
const OVERLOAD: f64 = 1.1;
const AFTER: f64 = 0.5;
/// Streams' numbers: the overload's, and that of what follows it.
const FLOOD: u8 = 64;
/// So many paths can have both.
pub(super) const MOST_PATHS: usize = FLOOD as usize;

/// The longest burst without loss.
pub(super) fn back_to_back(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("frames", "frames, mean"),
        column("least_frames", "least"),
        column("most_frames", "most"),
        column("repeats", "searches"),
        column("pps", "at frames/s"),
        column("seconds", "longest tried"),
        column("generator_limit", "generator"),
    ];
    bench.each(sizes, |bench, size| {
        let speed = bench.ceiling(size)?;
        let longest = (speed * LONGEST.as_secs_f64()) as u64;
        let mut found = Vec::new();
        let mut limited = false;
        for repeat in 0..bench.settings.repeats {
            let part = format!(", search {} of {}", repeat + 1, bench.settings.repeats);
            found.push(bench.part(&part, |bench| longest_burst(bench, size, longest, &mut limited))?);
        }
        let mean = found.iter().sum::<u64>() as f64 / found.len().max(1) as f64;
        let end = |frames: Option<&u64>| frames.copied().map_or(Cell::Nothing, Cell::Count);
        finding.rows.push(vec![
            Cell::Text(size.to_string()),
            Cell::Count(mean.round() as u64),
            end(found.iter().min()),
            end(found.iter().max()),
            Cell::Count(found.len() as u64),
            Cell::Pps(speed),
            Cell::Seconds(longest as f64 / speed),
            generator(limited),
        ]);
        if found.iter().min() == Some(&longest) {
            finding
                .notes
                .push(format!("{size}: no burst lost anything; the longest that is tried is {longest} frames."));
        }
        Ok(())
    })?;
    finding.notes.push(
        "Frames sent as fast as the generator can; each search ends within a tenth of the burst's length. 'least' and \
         'most' are what single searches found."
            .to_owned(),
    );
    Ok(())
}

/// Twice as long until something is lost, then halfway between.
fn longest_burst(bench: &mut Bench<'_>, size: &Sizes, longest: u64, limited: &mut bool) -> Result<u64, Ended> {
    let (mut whole, mut lossy) = (0, None);
    let mut next = LEAST_BURST.min(longest);
    loop {
        let trial = Trial { size: Some(size), teach: true, ..Trial::of(next, bench.all()) };
        let outcome = bench.try_once(&trial)?;
        *limited |= outcome.overflowed > 0;
        if outcome.loss().lost == 0 {
            whole = next;
        } else {
            lossy = Some(next);
        }
        next = match lossy {
            None if whole >= longest => return Ok(whole),
            None => (whole * 2).min(longest),
            Some(lossy) if lossy - whole <= (lossy / 10).max(1) => return Ok(whole),
            Some(lossy) => whole + (lossy - whole) / 2,
        };
    }
}

/// How long frames are lost after an overload.
pub(super) fn recovery(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("loss_free_pps", "loss-free/s"),
        column("overload_pps", "overload/s"),
        column("overload_loss", "lost of it"),
        column("after_pps", "after it/s"),
        column("recovery_ns", "recovery"),
        column("longest_ns", "longest"),
        column("repeats", "trials"),
    ];
    bench.each(sizes, |bench, size| {
        let loss_free = bench.loss_free(size)?;
        let (mut times, mut lost, mut sent, mut limited) = (Vec::new(), Vec::new(), Vec::new(), false);
        for _ in 0..bench.settings.repeats {
            let overload = bench.settings.trial;
            let outcome = overloaded(bench, size, loss_free, overload)?;
            let of_overload: Vec<_> = outcome.result.streams.iter().filter(|stream| stream.stream >= FLOOD).collect();
            let frames: u64 = of_overload.iter().map(|stream| stream.sent).sum();
            let gone: u64 = of_overload.iter().map(|stream| stream.lost).sum();
            let rate = frames as f64 / overload.as_secs_f64();
            if outcome.is_limited() {
                // The overload was none, or went on when it should have been over.
                limited = true;
                continue;
            }
            times.push(recovered(&outcome));
            sent.push(rate);
            lost.push(gone as f64 / frames.max(1) as f64);
        }
        times.sort_unstable();
        let known = !times.is_empty();
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len().max(1) as f64;
        finding.rows.push(vec![
            Cell::Text(size.to_string()),
            Cell::Pps(loss_free * bench.senders() as f64),
            if known { Cell::Pps(mean(&sent)) } else { Cell::Nothing },
            if known { Cell::Share(mean(&lost)) } else { Cell::Nothing },
            Cell::Pps(loss_free * AFTER * bench.senders() as f64),
            median(times.iter().map(|ns| *ns as f64).collect()).map_or(Cell::Nothing, |ns| Cell::Ns(ns as u64)),
            times.last().copied().map_or(Cell::Nothing, Cell::Ns),
            Cell::Count(times.len() as u64),
        ]);
        if limited {
            finding
                .notes
                .push(format!("{size}: trials in which the generator could not send 110 % in time are left out."));
            if !known {
                finding.notes.push(format!("{size}: that were all: the generator cannot overload this path."));
            }
        }
        Ok(())
    })?;
    finding.notes.push(
        "Frames a second of all senders. 110 % of the loss-free rate, then half of it: the time from the end of the overload to the last frame that was \
         lost, the median of the trials. 'lost of it' at 0 means that the overload was none: the generator, not the switch, \
         sets the loss-free rate."
            .to_owned(),
    );
    Ok(())
}

/// An overload, and half the load right after it, in one run.
fn overloaded(bench: &mut Bench<'_>, size: &Sizes, loss_free: f64, overload: Duration) -> Result<Outcome, Ended> {
    let after = bench.settings.trial;
    let whole = Trial { duration: overload + after, ..bench.trial(size, pps(loss_free * OVERLOAD)) };
    let frames = |rate: f64, time: Duration| (rate * time.as_secs_f64()) as u64;
    let mut orders = Vec::new();
    for (stream, path) in (0u8..FLOOD).zip(bench.paths.clone()) {
        let turn = super::bench::turn(&bench.paths, usize::from(stream));
        let flood = Trial { count: Some(frames(loss_free * OVERLOAD, overload)), ..whole.clone() };
        orders.push(bench.order(stream | FLOOD, path, &flood, turn, &mut |_| ())?);
        let rest =
            Trial { count: Some(frames(loss_free * AFTER, after)), rate: pps(loss_free * AFTER), ..whole.clone() };
        let mut order = bench.order(stream, path, &rest, Turn { ..turn }, &mut |_| ())?;
        order.flow.begin_at(overload);
        orders.push(order);
    }
    bench.load(orders, &whole)
}

/// From the end of the overload to the last frame that was lost after it.
fn recovered(outcome: &Outcome) -> u64 {
    let after = outcome.result.streams.iter().filter(|stream| stream.stream < FLOOD && stream.lost > 0);
    let of_stream = |stream: u8| outcome.last_lost.iter().find(|lost| lost.stream == stream).map(|lost| lost.since_ns);
    after.filter_map(|stream| of_stream(stream.stream)).max().unwrap_or(0)
}
