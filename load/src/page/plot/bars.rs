//! How do subjects compare? Groups of bars, one for each subject, with the least and the most of its runs as an error bar. Over
//! the first subject's bar stands its value, over each other one how many times that it is. Groups that do not fit beside each
//! other go on in a further row, with the same axis.
//!
//! Not done: an axis with a break. A bar that is a thousand times another makes that one a line.

use super::super::axis::{SPACE, Scale, Unit, sane, short};
use super::super::canvas::{FAINT, INK, Letters, Look, Side, WIDTH, picture};
use super::super::panel::{Axis, EDGE, Heading, MOST_SERIES, Panel, Room, Sample, WORDS};
use super::super::text::{fitted, width};
use super::{Bar, BarGroup, named};

/// The height of the field of one row.
const HEIGHT: f64 = 230.0;
/// Free room above it, at least.
const ABOVE: f64 = 16.0;
/// The names of the groups below it.
const NAMES: f64 = 34.0;
/// The widths of a bar.
const LEAST_BAR: f64 = 15.0;
const MOST_BAR: f64 = 44.0;
/// About how wide the field is; the labels of the axis take more or less.
const FIELD: f64 = WIDTH - 2.0 * EDGE - 80.0;
/// What is free between two groups, at least.
const BETWEEN: f64 = 14.0;
/// Letters over the bars.
const SMALL: f64 = 11.0;

pub(super) fn draw(title: &str, axis: &str, series: &[String], groups: &[BarGroup]) -> String {
    let names = || series.iter().map(String::as_str);
    let heading = Heading::new(title, names(), Sample::Bar);
    let shown = series.len().min(MOST_SERIES);
    let bars = || groups.iter().flat_map(|group| group.bars.iter().take(shown).flatten());
    let values = bars().filter(|bar| bar.value.is_finite()).flat_map(|bar| [bar.value, bar.low, bar.high]);
    let unit = unit(axis);
    let title_of_y = if unit == Unit::Nanoseconds { "" } else { axis };
    let y = Axis { title: title_of_y.to_owned(), scale: Scale::linear(values, true, 6), unit };
    let in_a_row = groups_in_a_row(shown, groups);
    let (_, bar) = widths(FIELD, in_a_row, shown);
    // If what stands over a bar is wider than the bar, all of it stands upright.
    let upright = bars_and_words(groups, shown, unit).any(|(_, long)| long > bar);
    let above = words_above(&y, groups, shown, upright);
    let rows: Vec<&[BarGroup]> = groups.chunks(in_a_row).collect();
    let top_of = |row: usize| heading.height + above + row as f64 * (above + HEIGHT + NAMES);
    let description = format!("{axis}, as bars, for {}.", named(names()));
    picture(title, &description, top_of(rows.len().max(1)) - above + 4.0, |canvas| {
        heading.draw(canvas);
        if rows.is_empty() {
            let room = Room { top: top_of(0), bottom: top_of(0) + HEIGHT, right: WIDTH - EDGE, inset: 0.0 };
            Panel::new(canvas, room, None, &y).say_nothing_is_there();
        }
        for (number, row) in rows.iter().enumerate() {
            let room = Room { top: top_of(number), bottom: top_of(number) + HEIGHT, right: WIDTH - EDGE, inset: 0.0 };
            let panel = Panel::new(canvas, room, None, &y);
            draw_row(&panel, row, (in_a_row, shown), (upright, unit));
        }
    })
}

/// As many as have room for their bars and, up to a point, for their names; all rows but the last have as many.
fn groups_in_a_row(series: usize, groups: &[BarGroup]) -> usize {
    let names = groups.iter().map(|group| width(&group.name, WORDS) + 8.0).fold(0.0, f64::max).min(120.0);
    let least = (series as f64 * LEAST_BAR + BETWEEN).max(names);
    let fit = ((FIELD / least).floor() as usize).max(1);
    groups.len().div_ceil(groups.len().div_ceil(fit).max(1)).max(1)
}

/// The widths of a group's part of the field, and of a bar.
fn widths(field: f64, groups: usize, series: usize) -> (f64, f64) {
    let part = field / groups.max(1) as f64;
    (part, ((part - BETWEEN) / series.max(1) as f64).clamp(1.0, MOST_BAR))
}

/// Every bar, and how wide what stands over it is.
fn bars_and_words(groups: &[BarGroup], series: usize, unit: Unit) -> impl Iterator<Item = (Bar, f64)> {
    groups.iter().flat_map(move |group| {
        let first = group.bars.first().copied().flatten();
        let bars = group.bars.iter().take(series).enumerate();
        bars.filter_map(move |(index, bar)| Some(((*bar)?, width(&words(index, &(*bar)?, first, unit), SMALL))))
    })
}

/// The room above the field for what is written over the bars and does not fit below its edge.
fn words_above(y: &Axis, groups: &[BarGroup], series: usize, upright: bool) -> f64 {
    let beyond = bars_and_words(groups, series, y.unit).map(|(bar, long)| {
        let tops = [bar.value, bar.high].into_iter().filter_map(|value| y.scale.place(value));
        tops.fold(0.0, f64::max) * HEIGHT + if upright { long } else { SMALL } + 8.0 - HEIGHT
    });
    beyond.fold(ABOVE, f64::max)
}

/// The groups of one row, each in the middle of its part.
fn draw_row(panel: &Panel<'_, '_>, groups: &[BarGroup], (most, series): (usize, usize), how: (bool, Unit)) {
    let (upright, unit) = how;
    let (part, bar) = widths(panel.right - panel.left, most, series);
    for (number, group) in groups.iter().enumerate() {
        let middle = panel.left + part * (number as f64 + 0.5);
        let left = middle - bar * series as f64 / 2.0;
        let first = group.bars.first().copied().flatten();
        for index in 0..series {
            let place = (left + bar * index as f64, left + bar * (index as f64 + 1.0));
            if let Some(one) = group.bars.get(index).copied().flatten().filter(|one| sane(one.value).is_some()) {
                draw_bar(panel, &one, place, (index, &words(index, &one, first, unit)), upright);
            } else {
                let at = (f64::midpoint(place.0, place.1), panel.bottom - 9.0);
                panel.canvas.text("–", at, Letters::new(SMALL, FAINT, Side::Middle));
            }
        }
        let name = fitted(&group.name, WORDS, part - 4.0);
        panel.canvas.text(&name, (middle, panel.bottom + 15.0), Letters::new(WORDS, INK, Side::Middle));
    }
}

/// The unit of an axis: nanoseconds say themselves what they are.
fn unit(axis: &str) -> Unit {
    if axis == "ns" { Unit::Nanoseconds } else { Unit::Prefixed }
}

/// What stands over a bar.
fn words(index: usize, bar: &Bar, first: Option<Bar>, unit: Unit) -> String {
    match (index, bar.ratio) {
        (0, _) => short(bar.value, unit),
        (_, Some(known)) => times(known),
        (_, None) => ratio(bar.value, first),
    }
}

fn draw_bar(panel: &Panel<'_, '_>, bar: &Bar, (left, right): (f64, f64), (index, words): (usize, &str), upwards: bool) {
    let (Some(top), Some(zero)) = (panel.y_at(bar.value), panel.y_at(0.0)) else { return };
    let look = Look::of(index);
    let gap = ((right - left) * 0.08).min(2.0);
    panel.canvas.bar((left + gap, top.min(zero)), (right - gap, top.max(zero)), look);
    let middle = f64::midpoint(left, right);
    if bar.low.is_finite() && bar.high.is_finite() && bar.low < bar.high {
        panel.span(middle, bar.low, bar.high, INK);
    }
    let above = [bar.value, bar.high].into_iter().filter_map(|value| panel.y_at(value)).fold(zero, f64::min) - 5.0;
    let (at, side) = if upwards { (above, Side::Left) } else { (above - SMALL / 2.0, Side::Middle) };
    panel.canvas.text(words, (middle, at), Letters { upwards, ..Letters::new(SMALL, INK, side) });
}

/// How many times the first one.
fn ratio(value: f64, first: Option<Bar>) -> String {
    let ratio = first.map(|first| value / first.value).filter(|ratio| ratio.is_finite());
    ratio.map_or_else(String::new, times)
}

fn times(ratio: f64) -> String {
    match ratio.abs() {
        ..0.095 if ratio != 0.0 => format!("×{ratio:.3}"),
        ..9.995 => format!("×{ratio:.2}"),
        ..999.5 => format!("×{ratio:.0}"),
        _ => format!("×{}", short(ratio, Unit::Prefixed).replace(SPACE, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_have_the_digits_that_matter() {
        let bar = |value| Some(Bar { value, low: value, high: value, ratio: None });
        let table = [(1.0, "×0.50"), (2.0, "×1.00"), (0.01, "×0.005"), (0.0, "×0.00"), (50.0, "×25"), (1e9, "×500M")];
        for (value, text) in table {
            assert_eq!(ratio(value, bar(2.0)), text);
        }
        assert_eq!((ratio(1.0, None), ratio(1.0, bar(0.0))), (String::new(), String::new()));
    }

    /// The median of ratios is not the ratio of medians: what is known goes before what can be computed.
    #[test]
    fn a_known_ratio_stands_over_its_bar() {
        let bar = |value, ratio| Bar { value, low: value, high: value, ratio };
        let first = Some(bar(2e6, None));
        let words = |index, one: Bar| words(index, &one, first, unit("ns"));
        assert_eq!(words(0, bar(2e6, Some(1.0))).replace(SPACE, " "), "2 ms");
        assert_eq!([words(1, bar(1e6, Some(0.47))), words(1, bar(1e6, None))], ["×0.47", "×0.50"]);
    }

    #[test]
    fn rows_are_evenly_full() {
        let groups = |count| vec![BarGroup { name: "64".to_owned(), bars: Vec::new() }; count];
        for (series, count, expected) in [(5, 7, 7), (5, 8, 4), (5, 17, 6), (1, 1, 1), (0, 0, 1), (21, 3, 2), (5, 1, 1)]
        {
            assert_eq!(groups_in_a_row(series, &groups(count)), expected, "{series} {count}");
        }
    }
}
