//! Which rates does the switch forward? Throughput, also of meshes and of broadcasts; the loss beyond it; its latency below it.
//!
//! RFC 2544 clauses 26.1 (throughput), 26.2 (latency), 26.3 (frame loss rate); RFC 2889 clauses 5.1 to 5.3 (meshes), 5.6
//! (maximum forwarding rate), 5.10 (broadcast).
//!
//! Not done: RFC 2544's 60 s and 120 s a trial unless `--trial` says so; line rates, which virtual links do not have: the most
//! that is offered is what the generator can send.

use load::search::{GoalResult, SearchResult};
use load::size::Sizes;

use super::bench::{Bench, Ended, pps};
use super::finding::{Cell, Finding, column};

/// No loss, and half a per cent.
const GOALS: [f64; 2] = [0.0, 0.005];
/// Shares of the loss-free rate at which latency is measured.
const LATENCY_AT: [f64; 3] = [0.1, 0.5, 0.9];
/// Steps of a loss curve, from all that can be offered downwards (RFC 2544 clause 26.3: at most 10 %).
const STEPS: u32 = 10;

/// The highest rates without loss, and with half a per cent.
pub(super) fn throughput(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    searched(bench, sizes, finding, 0)
}

/// The same of frames that go to everybody, and their latency at that rate.
pub(super) fn broadcast(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    searched(bench, sizes, finding, 1_000_000)
}

fn searched(
    bench: &mut Bench<'_>,
    sizes: &[Sizes],
    finding: &mut Finding,
    broadcast_per_million: u32,
) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("ndr_pps", "NDR, frames/s"),
        column("ndr_upper_pps", "less than"),
        column("ndr_all_pps", "all senders"),
        column("pdr_pps", "PDR 0.5 %"),
        column("pdr_upper_pps", "less than"),
        column("p50_ns", "p50 at NDR"),
        column("p99_ns", "p99 at NDR"),
        column("generator_limit", "generator"),
    ];
    let mut change = |spec: &mut load::StreamSpec| {
        spec.broadcast_per_million = spec.broadcast_per_million.max(broadcast_per_million);
    };
    let name = bench.name.clone();
    for size in sizes {
        bench.name = format!("{name} {size}");
        let found = bench.search(size, &GOALS, &mut change)?;
        let goal = |at: usize| found.goals.get(at).copied();
        let lower = goal(0).and_then(|goal: GoalResult| goal.lower);
        let latency = match lower {
            Some(lower) => bench.try_with(&bench.trial(size, pps(lower)), &mut change)?.result.latency,
            None => None,
        };
        let senders = bench.senders() as f64;
        let ns = |ns: Option<u64>| ns.map_or(Cell::Nothing, Cell::Ns);
        finding.rows.push(vec![
            Cell::Text(size.to_string()),
            Cell::pps(lower),
            Cell::pps(goal(0).and_then(|goal| goal.upper)),
            Cell::pps(lower.map(|lower| lower * senders)),
            Cell::pps(goal(1).and_then(|goal| goal.lower)),
            Cell::pps(goal(1).and_then(|goal| goal.upper)),
            ns(latency.map(|latency| latency.p50_ns)),
            ns(latency.map(|latency| latency.p99_ns)),
            limit(&found),
        ]);
        finding.searches.push((size.to_string(), found));
    }
    bench.name = name;
    finding.notes.push(
        "Frames a second of each sender. NDR: no loss, PDR: at most 0.5 %. The true rate is at least the figure and less \
         than the one beside it; with '-' beside it, no more could be tried. 'limit': beyond that the generator was the \
         limit, not the switch."
            .to_owned(),
    );
    Ok(())
}

fn limit(found: &SearchResult) -> Cell {
    Cell::Text(if found.generator_cap.is_some() || found.goals.iter().all(|goal| goal.upper.is_none()) {
        "limit".to_owned()
    } else {
        "ok".to_owned()
    })
}

/// What is lost, from all that can be offered down to two steps without loss.
pub(super) fn loss_curve(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("load", "load"),
        column("offered_pps", "offered/s"),
        column("sent_pps", "sent/s"),
        column("forwarded_pps", "forwarded/s"),
        column("loss_share", "loss"),
        column("loss_low", "95 % from"),
        column("loss_high", "to"),
        column("p99_ns", "p99"),
    ];
    let name = bench.name.clone();
    for size in sizes {
        let most = bench.ceiling(size)?;
        let mut without_loss = 0;
        for step in (1..=STEPS).rev() {
            let load = f64::from(step) / f64::from(STEPS);
            bench.name = format!("{name} {size} at {:.0} %", load * 100.0);
            let rate = if step == STEPS { bench.all() } else { pps(most * load) };
            let result = bench.try_once(&bench.trial(size, rate))?.result;
            let offered = result.offered.map_or(result.sent.pps, |offered| offered.pps);
            finding.rows.push(vec![
                Cell::Text(size.to_string()),
                Cell::Load(load),
                Cell::Pps(offered),
                Cell::Pps(result.sent.pps),
                Cell::Pps(result.received.pps),
                Cell::Share(result.loss_share),
                Cell::Share(result.loss_error.low),
                Cell::Share(result.loss_error.high),
                result.latency.map_or(Cell::Nothing, |latency| Cell::Ns(latency.p99_ns)),
            ]);
            without_loss = if result.lost == 0 { without_loss + 1 } else { 0 };
            if without_loss == 2 {
                break;
            }
        }
    }
    bench.name = name;
    finding
        .notes
        .push("A load of 100 % is all that the generator can send; frames a second of all senders.".to_owned());
    Ok(())
}

/// Latency at shares of the loss-free rate.
pub(super) fn latency(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("load", "load"),
        column("pps", "frames/s"),
        column("repeats", "trials"),
        column("min_ns", "min"),
        column("p50_ns", "p50"),
        column("p50_low_ns", "from"),
        column("p50_high_ns", "to"),
        column("p90_ns", "p90"),
        column("p99_ns", "p99"),
        column("p99_9_ns", "p99.9"),
        column("max_ns", "max"),
    ];
    let name = bench.name.clone();
    for size in sizes {
        bench.name = format!("{name} {size}, loss-free rate");
        let loss_free = bench.loss_free(size)?;
        for share in LATENCY_AT {
            bench.name = format!("{name} {size} at {:.0} %", share * 100.0);
            let (mut seen, mut curve) = (Vec::new(), None);
            for _ in 0..bench.settings.repeats {
                let result = bench.try_once(&bench.trial(size, pps(loss_free * share)))?.result;
                seen.extend(result.latency);
                curve = Some(result.latency_curve);
            }
            // The last trial's stands for all.
            finding.curves.extend(curve.map(|curve| (format!("{size} at {:.0} %", share * 100.0), curve)));
            let of = |pick: fn(&load::latency::Latency) -> u64| {
                let mut all: Vec<u64> = seen.iter().map(pick).collect();
                all.sort_unstable();
                all
            };
            let median = |all: &[u64]| all.get(all.len() / 2).copied().map_or(Cell::Nothing, Cell::Ns);
            let end = |ns: Option<&u64>| ns.copied().map_or(Cell::Nothing, Cell::Ns);
            let halves = of(|latency| latency.p50_ns);
            finding.rows.push(vec![
                Cell::Text(size.to_string()),
                Cell::Load(share),
                Cell::Pps(loss_free * share),
                Cell::Count(seen.len() as u64),
                end(of(|latency| latency.min_ns).first()),
                median(&halves),
                end(halves.first()),
                end(halves.last()),
                median(&of(|latency| latency.p90_ns)),
                median(&of(|latency| latency.p99_ns)),
                median(&of(|latency| latency.p99_9_ns)),
                end(of(|latency| latency.max_ns).last()),
            ]);
        }
    }
    bench.name = name;
    finding.notes.push(
        "One way, from the time when a frame was due until the receiver took it up. Medians of the trials; 'from' and 'to' \
         are the least and the greatest median of a trial. The load is a share of the loss-free rate."
            .to_owned(),
    );
    Ok(())
}

/// What comes out when more is offered than is forwarded without loss.
pub(super) fn forward_pressure(bench: &mut Bench<'_>, sizes: &[Sizes], finding: &mut Finding) -> Result<(), Ended> {
    finding.columns = vec![
        column("size", "frame size"),
        column("mol_pps", "offered/s (MOL)"),
        column("frmol_pps", "forwarded/s (FRMOL)"),
        column("mfr_pps", "most forwarded/s (MFR)"),
        column("mfr_load_pps", "at offered/s"),
        column("loss_share", "loss at MOL"),
        column("falls", "MFR to FRMOL"),
    ];
    let name = bench.name.clone();
    for size in sizes {
        bench.name = format!("{name} {size}, all that goes");
        let all = bench.try_once(&bench.trial(size, bench.all()))?.result;
        let mut best = (all.received.pps, all.sent.pps);
        let each = all.sent.pps / bench.senders() as f64;
        for step in (1..STEPS).rev() {
            let load = f64::from(step) / f64::from(STEPS);
            bench.name = format!("{name} {size} at {:.0} %", load * 100.0);
            let result = bench.try_once(&bench.trial(size, pps(each * load)))?.result;
            if result.received.pps > best.0 {
                best = (result.received.pps, result.sent.pps);
            }
            if result.lost == 0 {
                break;
            }
        }
        finding.rows.push(vec![
            Cell::Text(size.to_string()),
            Cell::Pps(all.sent.pps),
            Cell::Pps(all.received.pps),
            Cell::Pps(best.0),
            Cell::Pps(best.1),
            Cell::Share(all.loss_share),
            Cell::Share(1.0 - all.received.pps / best.0.max(1.0)),
        ]);
    }
    bench.name = name;
    finding.notes.push(
        "Virtual links have no line rate to press against: the maximum offered load (MOL) is what the generator can send. \
         'MFR to FRMOL' is what overload costs of what the switch could forward."
            .to_owned(),
    );
    Ok(())
}
