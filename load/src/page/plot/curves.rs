//! How long did frames take, and what happened when? Lines with a mark here and there: latency by percentile, on the axis that
//! gives each further nine as much room as the one before (as Gil Tene's HDR histograms are plotted), and values over time.
//!
//! The maximum is a single frame and no percentile: it stands apart, behind the last nine.
//!
//! Not done: latencies below 1 ns, and percentiles above 99.9999 %; there is no room for them.

use super::super::axis::{Scale, Unit};
use super::super::canvas::{Look, Point, WIDTH, picture};
use super::super::panel::{Axis, BELOW, EDGE, Heading, MOST_SERIES, Panel, Room, Sample};
use super::{Curve, Line, is_marked, named, thinned};

/// The height of the field.
const HEIGHT: f64 = 290.0;

pub(super) fn percentiles(title: &str, series: &[Curve]) -> String {
    let names = || series.iter().map(|one| one.name.as_str());
    let shown = &series[..series.len().min(MOST_SERIES)];
    let all = || shown.iter().flat_map(|one| one.points.iter().copied());
    let x = Axis {
        title: "percentile of frames".to_owned(),
        scale: Scale::percentiles(all().map(|(share, _)| share)),
        unit: Unit::Plain,
    };
    let latencies = all().filter(|(share, _)| x.scale.place(*share).is_some()).map(|(_, ns)| drawn_ns(ns));
    let y = Axis { title: "latency".to_owned(), scale: Scale::log(latencies), unit: Unit::Nanoseconds };
    let description = format!("Latency by percentile, for {}.", named(names()));
    let heading = Heading::new(title, names(), Sample::LineAndMark);
    chart(title, &description, &heading, [&x, &y], |panel| {
        shown.iter().enumerate().map(|(number, one)| percentile_curve(panel, one, number)).sum()
    })
}

/// One curve; how many of its points are in the field.
fn percentile_curve(panel: &Panel<'_, '_>, curve: &Curve, number: usize) -> usize {
    let look = Look::of(number);
    let mut points: Vec<(f64, u64)> = curve.points.iter().copied().filter(|(share, _)| !share.is_nan()).collect();
    points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let place = |&(share, ns): &(f64, u64)| panel.at(share, drawn_ns(ns));
    let (below, maximum): (Vec<_>, Vec<_>) = points.iter().partition(|(share, _)| *share < 1.0);
    let placed: Vec<Option<Point>> = thinned(&below.iter().map(place).collect::<Vec<_>>());
    panel.line(&placed, look, 1.8);
    // Marks stand at the nines; where a curve has no point there, at some of its points.
    let at_nines: Vec<Point> = below.iter().filter(|(share, _)| is_nines(*share)).filter_map(place).collect();
    let some = || placed.iter().enumerate().filter(|(index, _)| is_marked(*index, placed.len(), number));
    let marked = if at_nines.len() < 3 { some().filter_map(|(_, at)| *at).collect() } else { at_nines };
    let last = placed.iter().flatten().last().copied();
    for at in marked.into_iter().chain(last).chain(maximum.iter().filter_map(place)) {
        panel.canvas.mark(at, look, 3.8);
    }
    placed.iter().flatten().count() + maximum.len()
}

/// An axis by powers of ten has no zero: what took none took 1 ns.
fn drawn_ns(ns: u64) -> f64 {
    ns.max(1) as f64
}

/// 0, 50 %, 90 %, 99 %, 99.9 % and so on.
fn is_nines(share: f64) -> bool {
    let nines = -(1.0 - share).log10();
    (nines - nines.round()).abs() < 1e-4 || (share - 0.5).abs() < 1e-9
}

pub(super) fn time_series(title: &str, axis: &str, series: &[Line]) -> String {
    let names = || series.iter().map(|one| one.name.as_str());
    let shown = &series[..series.len().min(MOST_SERIES)];
    let all = || shown.iter().flat_map(|one| one.points.iter().copied());
    let both = || all().filter(|(at_s, value)| at_s.is_finite() && value.is_finite());
    let scale = Scale::time(both().map(|(at_s, _)| at_s), 9);
    let x = Axis { title: "time since the start, s".to_owned(), scale, unit: Unit::Plain };
    let scale = Scale::linear(both().map(|(_, value)| value), true, 6);
    let y = Axis { title: axis.to_owned(), scale, unit: Unit::Prefixed };
    let description = format!("{axis} over time, for {}.", named(names()));
    let heading = Heading::new(title, names(), Sample::LineAndMark);
    chart(title, &description, &heading, [&x, &y], |panel| {
        let mut drawn = 0;
        for (number, one) in shown.iter().enumerate() {
            let look = Look::of(number);
            let mut points = one.points.clone();
            points.retain(|(at_s, _)| !at_s.is_nan());
            points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            let placed: Vec<_> = points.iter().map(|(at_s, value)| panel.at(*at_s, *value)).collect();
            let placed = thinned(&placed);
            panel.line(&placed, look, 1.8);
            let marked = placed.iter().enumerate().filter(|(index, _)| is_marked(*index, placed.len(), number));
            marked.filter_map(|(_, at)| *at).for_each(|at| panel.canvas.mark(at, look, 3.6));
            drawn += placed.iter().flatten().count();
        }
        drawn
    })
}

/// A heading, a field, and what is drawn there, which says how many points that is.
fn chart(
    title: &str,
    description: &str,
    heading: &Heading,
    [x, y]: [&Axis; 2],
    draw: impl FnOnce(&Panel<'_, '_>) -> usize,
) -> String {
    let (top, bottom) = (heading.height + 6.0, heading.height + 6.0 + HEIGHT);
    let inset = if matches!(x.scale, Scale::Percentile { .. }) { 9.0 } else { 0.0 };
    // Half of the label at the right end lies beyond it.
    let room = Room { top, bottom, right: WIDTH - EDGE - 20.0, inset };
    picture(title, description, bottom + BELOW, |canvas| {
        heading.draw(canvas);
        let panel = Panel::new(canvas, room, Some(x), y);
        if draw(&panel) == 0 {
            panel.say_nothing_is_there();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Plot;
    use super::*;

    /// The y of each mark, from the lowest percentile on; the first is that of the legend. A mark is drawn twice, for its rim.
    fn marks(svg: &str) -> Vec<u32> {
        let after = |part: &str| part.split('"').next().and_then(|number| number.parse().ok());
        svg.split("cy=\"").skip(1).step_by(2).filter_map(after).collect()
    }

    #[test]
    fn marks_stand_at_the_nines_and_at_the_maximum() {
        for (share, expected) in
            [(0.0, true), (0.5, true), (0.9, true), (0.99999, true), (0.95, false), (0.999_85, false)]
        {
            assert_eq!(is_nines(share), expected, "{share}");
        }
        let points = vec![(0.0, 10), (0.25, 11), (0.5, 20), (0.9, 40), (0.95, 60), (0.99, 80), (1.0, 1000)];
        let svg = Plot::percentiles("", vec![Curve { name: "one".to_owned(), points }]).svg();
        let marks = marks(&svg);
        // 0, 50 %, 90 %, 99 %, once more as the last one, and the maximum.
        assert_eq!(marks.len(), 1 + 6, "{svg}");
        assert!(marks[1..].is_sorted_by(|one, other| one >= other), "higher percentiles are not faster: {marks:?}");
    }

    #[test]
    fn a_missing_value_is_a_gap() {
        let with = |middle: f64| {
            let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, middle), (3.0, 2.0), (4.0, 1.0)];
            Plot::time_series("", "frames/s", vec![Line { name: String::new(), points }]).svg()
        };
        let lines = |svg: &str| svg.matches("<polyline").count() + svg.matches("<line").count();
        assert_eq!(lines(&with(f64::NAN)), lines(&with(1.0)) + 1, "two lines instead of one");
    }

    #[test]
    fn many_points_keep_their_extremes() {
        let spike = |x: u32| if x == 70_000 { 1e6 } else { f64::from(x % 10) };
        let points: Vec<(f64, f64)> = (0..100_000).map(|x| (f64::from(x) / 1000.0, spike(x))).collect();
        let svg = Plot::time_series("", "frames/s", vec![Line { name: "one".to_owned(), points }]).svg();
        assert!(svg.len() < 100_000, "{}", svg.len());
        let placed: Vec<Option<Point>> = (0..100_000).map(|x| Some((f64::from(x) / 200.0, spike(x)))).collect();
        let thin = thinned(&placed);
        assert!(thin.len() <= 2000 && thin.contains(&Some((350.0, 1e6))), "{}", thin.len());
    }
}
