//! How does it look? One picture with the figures that matter side by side, and one for each figure, as SVG; and the
//! JSON that they were drawn from. A bar is the median of the ratios to the Linux bridge, whose 1.0 is a line through
//! all; of a figure that has no ratio it is the median itself. The thin line over a bar goes from the least to the
//! most. A bar that is longer than its panel ends in a gap.

use std::fs;
use std::io;

use lanyard_benches::stats::Runs;
use lanyard_benches::table::figure as cell;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figure::{Better, Figure};
use super::report::Report;
use arena::subjects::{REFERENCE, Subject};

/// Octets that a line of 12-pixel text of 800 pixels can hold.
const LINE: usize = 125;
const WIDTH: i32 = 800;
const HEADING: i32 = 52;
const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(130, 130, 130);
/// The largest ratio that is drawn as long as it is: one that is far off must not make all others look the same.
const LONGEST: f64 = 5.0;

/// How large things are, in pixels.
#[derive(Clone, Copy)]
struct Scale {
    font: i32,
    /// One subject's share of the height.
    row: i32,
    /// The room for the names.
    names: i32,
    /// The room for the values.
    values: i32,
}

/// For half the width.
const SMALL: Scale = Scale { font: 11, row: 17, names: 138, values: 82 };
/// For all of it.
const LARGE: Scale = Scale { font: 14, row: 26, names: 190, values: 130 };

impl Scale {
    const fn top(self) -> i32 {
        self.font * 2 + 4
    }

    fn height(self, subjects: usize) -> i32 {
        self.top() + self.row * i32::try_from(subjects).unwrap_or(0) + self.font * 3
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// `versus.json`, `versus.svg`, and `tcp_1.svg` and so on.
///
/// # Errors
/// What cannot be written.
pub(crate) fn write_all(report: &Report<'_>, folder: &str) -> io::Result<()> {
    fs::write(format!("{folder}/versus.json"), format!("{:#}\n", report.json()))?;
    if report.measured().is_empty() {
        return Ok(()); // nothing to be seen
    }
    let failed = |error: Failed| io::Error::other(format!("a picture cannot be drawn: {error}"));
    fs::write(format!("{folder}/versus.svg"), overview(report).map_err(failed)?)?;
    let anything =
        |figure: Figure| report.measured().iter().any(|one| report.results.values(figure, one).median().is_some());
    for figure in Figure::ALL.into_iter().filter(|figure| anything(*figure)) {
        let picture = alone(report, figure).map_err(failed)?;
        fs::write(format!("{folder}/{}.svg", figure.about().key), picture)?;
    }
    Ok(())
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The figures of the short table, two side by side.
fn overview(report: &Report<'_>) -> Result<String, Failed> {
    let figures: Vec<Figure> = Figure::main().collect();
    let height = SMALL.height(report.measured().len());
    let rows = i32::try_from(figures.len().div_ceil(2))?;
    picture(report, HEADING + rows * height, report.compares(), |area| {
        for (number, figure) in (0..).zip(&figures) {
            let corner = (number % 2 * WIDTH / 2, HEADING + number / 2 * height);
            panel(area, report, *figure, SMALL, corner, WIDTH / 2 - 12)?;
        }
        Ok(())
    })
}

fn alone(report: &Report<'_>, figure: Figure) -> Result<String, Failed> {
    let height = HEADING + LARGE.height(report.measured().len());
    let ratio = figure.about().ratio && report.compares();
    picture(report, height, ratio, |area| panel(area, report, figure, LARGE, (0, HEADING), WIDTH - 12))
}

/// A page with its heading.
fn picture(
    report: &Report<'_>,
    height: i32,
    ratio: bool,
    draw: impl FnOnce(&Area<'_>) -> Result<(), Failed>,
) -> Result<String, Failed> {
    let mut svg = String::new();
    {
        let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let head = &report.head;
        let title = if ratio {
            "Two containers, joined by each: ratios to the Linux bridge (the line), medians beside"
        } else {
            "Two containers, joined by each: medians"
        };
        let line: String = format!("{}, {}; {}", head.date, head.runs(), head.machine).chars().take(LINE).collect();
        area.draw(&Text::new(title, (10, 8), style(15, INK, HPos::Left, VPos::Top)))?;
        area.draw(&Text::new(line, (10, 30), style(12, FAINT, HPos::Left, VPos::Top)))?;
        draw(&area)?;
        area.present()?;
    }
    Ok(svg)
}

fn style(size: i32, colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    let font = TextStyle::from(("sans-serif", size).into_font());
    TextStyle { color: colour.to_backend_color(), pos: Pos::new(horizontal, vertical), ..font }
}

/// What is drawn for one subject.
struct Bar {
    subject: &'static Subject,
    length: Runs,
    value: String,
}

fn bars(report: &Report<'_>, figure: Figure) -> Vec<Bar> {
    let about = figure.about();
    let ratio = about.ratio && report.compares();
    let bar = |subject: &'static Subject| {
        let (values, ratios) = (report.results.values(figure, subject), report.results.ratios(figure, subject));
        let value = cell(values.median(), about.digits);
        let beside = ratios.median().filter(|_| ratio).map_or_else(String::new, |ratio| format!(" ({ratio:.2})"));
        let value = value + &beside;
        Bar { subject, length: if ratio { ratios } else { values }, value }
    };
    report.measured().into_iter().map(bar).collect()
}

/// One figure: its name, and a bar for each subject.
fn panel(
    area: &Area<'_>,
    report: &Report<'_>,
    figure: Figure,
    scale: Scale,
    (left, top): (i32, i32),
    width: i32,
) -> Result<(), Failed> {
    let (about, bars) = (figure.about(), bars(report, figure));
    let better = match about.better {
        Some(Better::Higher) => ", higher is better",
        Some(Better::Lower) => ", lower is better",
        None => "",
    };
    let title = format!("{}, {}{better}", about.title, about.unit);
    area.draw(&Text::new(title, (left + 10, top + 4), style(scale.font + 1, INK, HPos::Left, VPos::Top)))?;
    let (start, end) = (left + 10 + scale.names, left + width - scale.values);
    let first = top + scale.top();
    let most = bars.iter().filter_map(|bar| bar.length.median()).fold(0.0, f64::max);
    let ratio = about.ratio && report.compares();
    let full = if ratio { most.clamp(1.0, LONGEST) } else { most.max(f64::MIN_POSITIVE) } * 1.1;
    let place = |value: f64| start + ((value / full).clamp(0.0, 1.0) * f64::from(end - start)).round() as i32;
    for (number, bar) in (0..).zip(&bars) {
        let middle = first + number * scale.row + scale.row / 2;
        bar.draw(area, scale, (start, end), middle, &place)?;
    }
    let bottom = first + scale.row * i32::try_from(bars.len())?;
    area.draw(&PathElement::new(vec![(start, first), (start, bottom)], FAINT))?;
    let marks = if ratio { vec![0.0, 1.0] } else { vec![0.0] };
    for mark in marks {
        let (x, text) = (place(mark), if mark > 0.0 { "1.0" } else { "0" });
        area.draw(&PathElement::new(vec![(x, first - 2), (x, bottom + 2)], INK))?;
        area.draw(&Text::new(text, (x, bottom + 4), style(scale.font - 1, FAINT, HPos::Center, VPos::Top)))?;
    }
    Ok(())
}

impl Bar {
    fn draw(
        &self,
        area: &Area<'_>,
        scale: Scale,
        (start, end): (i32, i32),
        middle: i32,
        place: &impl Fn(f64) -> i32,
    ) -> Result<(), Failed> {
        let name = style(scale.font, INK, HPos::Right, VPos::Center);
        area.draw(&Text::new(self.subject.words, (start - 6, middle), name))?;
        let value = style(scale.font, INK, HPos::Left, VPos::Center);
        area.draw(&Text::new(self.value.clone(), (end + 8, middle), value))?;
        let (Some(median), Some(least), Some(most)) = (self.length.median(), self.length.least(), self.length.most())
        else {
            return Ok(());
        };
        let half = scale.row * 3 / 10;
        let corners = [(start, middle - half), (place(median), middle + half)];
        area.draw(&Rectangle::new(corners, colour(self.subject).filled()))?;
        area.draw(&PathElement::new(vec![(place(least), middle), (place(most), middle)], INK))?;
        if place(median) == end {
            let gap = [(end - 8, middle - half), (end - 5, middle + half)];
            area.draw(&Rectangle::new(gap, WHITE.filled()))?;
        }
        Ok(())
    }
}

/// One colour for each family.
fn colour(subject: &Subject) -> RGBColor {
    let family = subject.name.split(['-', '+']).next().unwrap_or_default();
    match family {
        REFERENCE => RGBColor(170, 170, 170),
        "lanyard" => RGBColor(66, 133, 200),
        "ovs" => RGBColor(232, 160, 80),
        _ => RGBColor(140, 180, 120),
    }
}
