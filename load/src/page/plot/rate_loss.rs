//! How much is lost at which rate? Each trial is a mark with the 95 % interval of its share; a line goes through the medians of
//! the rates. Goals are dashed lines across, and what a search found for one is a line from there down to the axis of rates.
//!
//! The ground below the least power of ten is shaded: there the axis is even, down to no loss at all.
//!
//! Not done: an axis that ends below 100 %: plots of several switches are looked at side by side.

use super::super::axis::{Scale, Unit, share_percent};
use super::super::canvas::{FAINT, Letters, Look, Point, Side, WIDTH, picture};
use super::super::panel::{Axis, BELOW, EDGE, Heading, LABELS, MOST_SERIES, Panel, Room, Sample};
use super::super::text::{fitted, width};
use super::{Goal, LossPoint, LossSeries, Spacing, named};

/// The height of the field.
const HEIGHT: f64 = 300.0;
/// Trials of a series from which on its marks are smaller.
const MANY: usize = 25;
/// The widest name of a goal.
const GOAL: f64 = 130.0;

pub(super) fn draw(title: &str, series: &[LossSeries], goals: &[Goal], spacing: Spacing) -> String {
    let names = || series.iter().map(|one| one.name.as_str());
    let heading = Heading::new(title, names(), Sample::LineAndMark);
    let shown = &series[..series.len().min(MOST_SERIES)];
    let labels: Vec<(f64, String)> = goals.iter().map(|goal| (goal.share, label(goal))).collect();
    let beside = labels.iter().map(|(_, label)| width(label, LABELS)).fold(0.0, f64::max);
    let (top, bottom) = (heading.height + 6.0, heading.height + 6.0 + HEIGHT);
    let room = Room { top, bottom, right: WIDTH - EDGE - beside.max(14.0) - 8.0, inset: 9.0 };
    let x = Axis { title: "offered rate, frames/s".to_owned(), scale: rates(shown, spacing), unit: Unit::Prefixed };
    let y = Axis { title: "frames lost".to_owned(), scale: losses(shown, goals), unit: Unit::Plain };
    let description = format!("Share of frames lost against offered rate, for {}.", named(names()));
    picture(title, &description, bottom + BELOW, |canvas| {
        heading.draw(canvas);
        let panel = Panel::new(canvas, room, Some(&x), &y);
        draw_goals(&panel, &labels);
        let looks = || shown.iter().enumerate().map(|(number, one)| (one, Look::of(number)));
        for (one, look) in looks() {
            draw_found(&panel, one, look);
        }
        let mut drawn = 0;
        for ((one, look), beside) in looks().zip(offsets(shown)) {
            drawn += draw_trials(&panel, one, look, beside);
        }
        if drawn == 0 {
            panel.say_nothing_is_there();
        }
    })
}

fn label(goal: &Goal) -> String {
    fitted(&format!("{} {}", goal.name, share_percent(goal.share)), LABELS, GOAL)
}

fn rates(series: &[LossSeries], spacing: Spacing) -> Scale {
    let all = || series.iter().flat_map(|one| one.points.iter().map(|point| point.rate)).filter(|rate| *rate > 0.0);
    let (least, most) = all()
        .filter(|rate| rate.is_finite())
        .fold((f64::INFINITY, 0.0), |(least, most), rate| (rate.min(least), rate.max(most)));
    match spacing {
        Spacing::Log => Scale::log(all()),
        Spacing::Auto if most > least * 30.0 => Scale::log(all()),
        Spacing::Auto | Spacing::Linear => {
            let zero = series.iter().flat_map(|one| &one.points).filter(|point| point.rate == 0.0).map(|_| 0.0);
            Scale::linear(all().chain(zero), false, 7)
        }
    }
}

fn losses(series: &[LossSeries], goals: &[Goal]) -> Scale {
    let of = |point: &LossPoint| [point.share, point.high];
    let shares = series.iter().flat_map(|one| one.points.iter().flat_map(of));
    Scale::loss(shares.chain(goals.iter().map(|goal| goal.share)))
}

/// Lines across, with their names to the right, which keep their distance from each other.
fn draw_goals(panel: &Panel<'_, '_>, goals: &[(f64, String)]) {
    let mut placed: Vec<(f64, &str)> =
        goals.iter().filter_map(|(share, label)| Some((panel.y_at(*share)?, label.as_str()))).collect();
    // From the lowest upwards.
    placed.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut free = f64::INFINITY;
    for (y, label) in placed {
        panel.canvas.dashed(&[(panel.left, y), (panel.right, y)], FAINT, 1.2, &[6.0, 4.0]);
        let at = y.min(free);
        panel.canvas.text(label, (panel.right + 7.0, at), Letters::new(LABELS, FAINT, Side::Left));
        free = at - LABELS - 2.0;
    }
}

/// Lines from what was found down to the axis.
fn draw_found(panel: &Panel<'_, '_>, series: &LossSeries, look: Look) {
    for (rate, goal) in &series.found {
        if let Some((x, y)) = panel.at(*rate, *goal) {
            panel.canvas.dashed(&[(x, y), (x, panel.bottom)], look.colour, 1.2, &[3.0, 3.0]);
            panel.canvas.polygon(
                &[(x, panel.bottom), (x - 4.0, panel.bottom - 7.0), (x + 4.0, panel.bottom - 7.0)],
                look.colour,
            );
        }
    }
}

/// All marks of a series, and the line through their medians; how many there are.
fn draw_trials(panel: &Panel<'_, '_>, series: &LossSeries, look: Look, beside: f64) -> usize {
    let placed = |point: &LossPoint| {
        let (x, y) = panel.at(point.rate, point.share)?;
        Some(((x + beside, y), *point))
    };
    let mut trials: Vec<(Point, LossPoint)> = series.points.iter().filter_map(placed).collect();
    trials.sort_by(|(_, one), (_, other)| one.rate.total_cmp(&other.rate).then(one.share.total_cmp(&other.share)));
    let at_a_rate =
        |(_, one): &(Point, LossPoint), (_, other): &(Point, LossPoint)| one.rate.total_cmp(&other.rate).is_eq();
    let medians: Vec<Option<Point>> =
        trials.chunk_by(at_a_rate).map(|same| same.get((same.len() - 1) / 2).map(|(at, _)| *at)).collect();
    for ((x, _), point) in &trials {
        panel.span(*x, point.low, point.high, look.colour);
    }
    let (width, size) = if trials.len() > MANY { (1.3, 3.1) } else { (1.8, 3.8) };
    panel.line(&medians, look, width);
    for (at, _) in &trials {
        panel.canvas.mark(*at, look, size);
    }
    trials.len()
}

/// How far series stand beside each other, pixels, if there is a rate that two of them were tried at.
fn offsets(series: &[LossSeries]) -> Vec<f64> {
    let mut rates: Vec<f64> = Vec::new();
    for one in series {
        let mut own: Vec<f64> = one.points.iter().map(|point| point.rate).collect();
        own.sort_by(f64::total_cmp);
        own.dedup();
        rates.extend(own);
    }
    let all = rates.len();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    // A search begins at the highest rate for each series: that alone is no reason.
    let apart = if all >= rates.len() * 3 / 2 { (14.0 / series.len() as f64).min(4.5) } else { 0.0 };
    (0..series.len()).map(|number| (number as f64 - (series.len() as f64 - 1.0) / 2.0) * apart).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Plot;
    use super::*;
    use crate::loss::LossShare;

    fn series(rates: &[f64]) -> LossSeries {
        let point = |rate: &f64| LossPoint::new(*rate, LossShare { lost: 1, of: 1000 });
        LossSeries { points: rates.iter().map(point).collect(), ..LossSeries::default() }
    }

    #[test]
    fn series_of_the_same_rates_stand_beside_each_other() {
        let same = offsets(&[series(&[1.0, 2.0, 3.0]), series(&[3.0, 2.0, 1.0])]);
        assert!((same[1] - same[0] - 4.5).abs() < 1e-9 && (same[0] + same[1]).abs() < 1e-9, "{same:?}");
        let apart = [series(&[1.0, 2.0, 9.0]), series(&[3.0, 4.0, 9.0])];
        assert_eq!(offsets(&apart), [0.0, 0.0], "only the highest is the same");
        assert!(offsets(&[]).is_empty());
    }

    #[test]
    fn rates_take_the_axis_that_suits_them() {
        let log = |rates: &[f64], spacing| matches!(super::rates(&[series(rates)], spacing), Scale::Log { .. });
        assert!(log(&[1e3, 1e6], Spacing::Auto) && !log(&[1e5, 1e6], Spacing::Auto));
        assert!(log(&[1e5, 1e6], Spacing::Log) && !log(&[1e3, 1e6], Spacing::Linear));
        assert!(!log(&[0.0, f64::NAN, f64::INFINITY], Spacing::Auto));
    }

    /// Of three trials at one rate the line takes the one in the middle; a goal is named beside its line.
    #[test]
    fn every_trial_is_drawn() {
        let mut one = series(&[1e5, 1e5, 1e5, 2e5]);
        one.name = "64 octets".to_owned();
        one.found = vec![(1e5, 0.005)];
        let goals = vec![Goal { name: "PDR".to_owned(), share: 0.005 }];
        let svg = Plot::rate_loss("", vec![one], goals, Spacing::Auto).svg();
        // A rim and a mark for each, and those of the legend.
        assert_eq!(svg.matches("<circle").count(), 2 * (4 + 1));
        assert!(svg.contains("PDR 0.5\u{a0}%") && svg.contains("64 octets"), "{svg}");
    }
}
