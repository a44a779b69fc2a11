//! What does the switch do with what it should not forward, and with a port that is offered too much? Errored frames are to be
//! dropped; an overloaded port is not to hurt another.
//!
//! RFC 2889 clauses 5.5 (congestion control), 5.9 (errored frame filtering).
//!
//! Not done: frames with a wrong FCS and dribble bits, which no driver lets a program send.

use load::size::Sizes;
use load::stream::{Errored, ErroredKind};

use super::super::flow::Turn;
use super::super::layout::Path;
use super::bench::{Bench, Ended, Trial, generator, loss_of, pps};
use super::finding::{Cell, Finding, column};
use crate::failure::Failure;

/// Errored frames are sent at so much of the loss-free rate, and one in two frames is wrong.
const ERRORED_AT: f64 = 0.25;
const ERRORED_PER_MILLION: u32 = 500_000;
/// The paths' streams of the congestion test: both of the first sender, and that of the second.
const CALM: u8 = 0;
const CROWDED: u8 = 1;
const PRESSING: u8 = 2;

/// Which errored frames come through.
pub(super) fn errored(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("kind", "errored frames"),
        column("pps", "sent/s"),
        column("sent", "errored"),
        column("forwarded", "forwarded"),
        column("verdict", "verdict"),
        column("good_lost", "good ones lost"),
        column("generator_limit", "generator"),
    ];
    let (kinds, giant_octets) = (bench.frames.errored_kinds().unwrap_or(&ErroredKind::ALL), bench.frames.giant());
    bench.each(sizes, |bench, size| {
        let rate = bench.loss_free(size)? * ERRORED_AT;
        for kind in kinds.iter().copied() {
            let mut change = |spec: &mut load::StreamSpec| {
                spec.errored = Some(Errored { per_million: ERRORED_PER_MILLION, kinds: vec![kind], giant_octets });
            };
            let trial = bench.trial(size, pps(rate));
            let outcome = bench.part(&format!(" {kind}"), |bench| bench.try_with(&trial, &mut change))?;
            let came = outcome.result.errored;
            let (sent, forwarded) = came.map_or((0, 0), |came| (came.sent, came.forwarded));
            let verdict = match (sent, forwarded) {
                (0, _) => "not sent",
                (_, 0) => "filtered",
                (sent, forwarded) if forwarded >= sent => "forwarded",
                _ => "some forwarded",
            };
            finding.rows.push(vec![
                Cell::Text(size.to_string()),
                Cell::Text(kind.to_string()),
                Cell::Pps(outcome.result.sent.pps),
                Cell::Count(sent),
                Cell::Count(forwarded),
                Cell::Text(verdict.to_owned()),
                Cell::Count(outcome.loss().lost),
                generator(outcome.is_limited()),
            ]);
        }
        Ok(())
    })?;
    finding.notes.push(
        "Every second frame was errored. 'not sent': the sending interface refused them (a giant needs an MTU that lets it \
         out). Virtual links do not pad: a frame below 64 octets is an ordinary one there, as a container's ARP request is, \
         and a switch for them has to forward it."
            .to_owned(),
    );
    Ok(())
}

/// Does a port that is offered half as much again as it can take hurt another one?
pub(super) fn congestion(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("full_pps", "100 %/s"),
        column("calm_pps", "calm port/s"),
        column("calm_loss", "loss"),
        column("calm_high", "95 % to"),
        column("crowded_pps", "crowded port/s"),
        column("crowded_loss", "loss"),
        column("hol", "head of line blocking"),
        column("back_pressure", "back pressure"),
        column("generator_limit", "generator"),
    ];
    let [calm, pressing] = bench.paths[..] else { return Err(four_places()) };
    if calm.from == pressing.from || calm.to == pressing.to {
        return Err(four_places());
    }
    bench.each(sizes, |bench, size| {
        let all = std::mem::replace(&mut bench.paths, vec![calm]);
        let full = bench.loss_free(size);
        bench.paths = all;
        let full = full?;
        let crowded = Path { from: calm.from, to: pressing.to };
        let whole = bench.trial(size, pps(full));
        let half = Trial { rate: pps(full / 2.0), ..whole.clone() };
        let orders = vec![
            bench.order(CALM, calm, &half, Turn::ALONE, &mut |_| ())?,
            bench.order(CROWDED, crowded, &half, Turn::ALONE, &mut |_| ())?,
            bench.order(PRESSING, pressing, &whole, Turn::ALONE, &mut |_| ())?,
        ];
        let outcome = bench.load(orders, &whole)?;
        let at_calm = loss_of(&outcome, CALM);
        let [first, second] = [CROWDED, PRESSING].map(|stream| loss_of(&outcome, stream));
        let of = first.of + second.of;
        let at_crowded = (first.lost + second.lost) as f64 / of.max(1) as f64;
        let lossy = at_crowded > 0.0;
        // A sender that had room all the time was not held back: it was too slow by itself.
        let held_back = outcome.overflowed == 0 && outcome.full > 0 && outcome.result.generator_limited.is_some();
        let limited = outcome.is_limited() && !held_back;
        let verdict = |yes: bool| {
            let word = match (lossy || held_back, yes) {
                (false, _) => "not overloaded",
                (true, true) => "yes",
                (true, false) => "no",
            };
            Cell::Text(word.to_owned())
        };
        let sent = |streams: &[u8]| {
            let of = outcome.result.streams.iter().filter(|result| streams.contains(&result.stream));
            Cell::Pps(of.map(|result| result.sent).sum::<u64>() as f64 / bench.settings.trial.as_secs_f64())
        };
        finding.rows.push(vec![
            Cell::Text(size.to_string()),
            Cell::Pps(full),
            sent(&[CALM]),
            Cell::Share(at_calm.share()),
            Cell::Share(at_calm.error().high),
            sent(&[CROWDED, PRESSING]),
            Cell::Share(at_crowded),
            verdict(at_calm.lost > 0),
            verdict(!lossy && held_back),
            generator(limited),
        ]);
        Ok(())
    })?;
    finding.notes.push(
        "The first sender offers half to the calm port and half to the crowded one, the second sender all to the crowded \
         one: 150 % of 100 %, which is what one path forwards without loss, for virtual ports have no line rate. Where all \
         share the machine's CPUs, loss at the calm port may be theirs, not a blocked line's. 'not overloaded': the crowded \
         port took 150 %, too. Back pressure: nothing was lost there because the senders were held back."
            .to_owned(),
    );
    Ok(())
}

fn four_places() -> Ended {
    let text = "the congestion test is of two senders and two receivers: --tx PLACE,PLACE --rx PLACE,PLACE";
    Failure::Words(text.to_owned()).into()
}
