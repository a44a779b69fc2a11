//! How is a line, a mark or a word put into a picture? By `plotters`, whose SVG backend takes whole numbers: the picture is
//! drawn in quarters of a pixel. Colours are those of light paper; a page that is dark turns each into its other one by a
//! style (`dark_style`), for presentation attributes give way to style sheets (SVG 2, section 6.6).
//!
//! The colours are those of Okabe and Ito ("Color Universal Design", 2008), which most colour-blind people tell apart; each
//! series has a mark, a dash and a hatching of its own besides.
//!
//! Not done: clipping; what is drawn has a place within its axes.

use std::cell::RefCell;
use std::fmt::Write;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::text::escape;

/// How wide every picture is, pixels.
pub(super) const WIDTH: f64 = 800.0;
/// Parts of a pixel.
const UNIT: f64 = 4.0;
/// What plotters divides a font's size by.
const FONT: f64 = 1.24;

/// Two colours: on light paper and on dark.
pub(super) type Colour = (RGBColor, RGBColor);

/// Words and axes.
pub(super) const INK: Colour = (RGBColor(32, 38, 46), RGBColor(225, 229, 234));
/// Words of less weight.
pub(super) const FAINT: Colour = (RGBColor(92, 101, 112), RGBColor(158, 168, 179));
/// Lines across the plot.
pub(super) const GRID: Colour = (RGBColor(222, 226, 231), RGBColor(51, 58, 67));
/// The lighter ones between them.
pub(super) const GRID_MINOR: Colour = (RGBColor(240, 242, 245), RGBColor(36, 42, 49));
/// What is behind.
pub(super) const PAPER: Colour = (RGBColor(255, 255, 255), RGBColor(22, 26, 31));
/// The ground of a part of a plot that follows another rule than the rest.
pub(super) const SHADE: Colour = (RGBColor(246, 247, 249), RGBColor(29, 34, 40));

/// One for each series; then they come again, with other marks.
pub(super) const SERIES: [Colour; 7] = [
    (RGBColor(0, 114, 178), RGBColor(86, 170, 230)),
    (RGBColor(213, 94, 0), RGBColor(255, 140, 66)),
    (RGBColor(0, 148, 108), RGBColor(48, 201, 156)),
    (RGBColor(190, 93, 150), RGBColor(232, 150, 200)),
    (RGBColor(222, 150, 0), RGBColor(240, 190, 70)),
    (RGBColor(70, 165, 220), RGBColor(150, 214, 250)),
    (RGBColor(110, 110, 110), RGBColor(176, 182, 188)),
];

/// The dashes of lines, pixels on and off; none is a whole line.
const DASHES: [&[f64]; 5] = [&[], &[8.0, 4.0], &[2.5, 3.0], &[10.0, 3.0, 2.5, 3.0], &[15.0, 4.0]];

/// The rules that turn the colours of all pictures in a page to those of dark paper.
pub(super) fn dark_style() -> String {
    let mut out = String::new();
    for (light, dark) in [INK, FAINT, GRID, GRID_MINOR, PAPER, SHADE].iter().chain(&SERIES) {
        let [light, dark] = [light, dark].map(|colour| format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2));
        // Writing to a string does not fail.
        let _ = writeln!(out, "svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}");
    }
    out
}

/// What tells a series from the others.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Look {
    number: usize,
    pub(super) colour: Colour,
}

impl Look {
    pub(super) fn of(number: usize) -> Self {
        Self { number, colour: SERIES[number % SERIES.len()] }
    }

    fn dash(self) -> &'static [f64] {
        DASHES[self.number % DASHES.len()]
    }
}

/// Where a text stands from its point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Left,
    Middle,
    Right,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letters {
    pub(super) size: f64,
    pub(super) colour: Colour,
    pub(super) side: Side,
    pub(super) bold: bool,
    /// Turned to be read from below upwards.
    pub(super) upwards: bool,
}

impl Letters {
    pub(super) fn new(pixels: f64, colour: Colour, side: Side) -> Self {
        Self { size: pixels, colour, side, bold: false, upwards: false }
    }
}

/// A point, in pixels from the upper left corner.
pub(super) type Point = (f64, f64);

/// A picture being drawn.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    fault: RefCell<Option<String>>,
}

/// A whole picture as SVG, with a name and a description for those who do not see it.
pub(super) fn picture(title: &str, description: &str, height: f64, draw: impl FnOnce(&Canvas<'_>)) -> String {
    let (mut drawn, mut fault) = (String::new(), None);
    {
        let size = ((WIDTH * UNIT) as u32, (height * UNIT).clamp(1.0, 1e6) as u32);
        let canvas = Canvas { area: SVGBackend::with_string(&mut drawn, size).into_drawing_area(), fault: None.into() };
        draw(&canvas);
        let presented = canvas.area.present();
        canvas.note(presented);
        fault.clone_from(&canvas.fault.borrow());
    }
    if let Some(fault) = fault {
        return format!("<p>A picture cannot be drawn: {}</p>\n", escape(&fault));
    }
    // The first line is the element that plotters opens, as large as the picture is in quarters of a pixel.
    let body = drawn.split_once('\n').map_or("", |(_, body)| body);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {} {}\" \
         role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n{body}",
        WIDTH * UNIT,
        height * UNIT,
        escape(title),
        escape(description),
    )
}

fn pixel((x, y): Point) -> (i32, i32) {
    // A cast puts what is no number at zero and what is too large at the end.
    ((x * UNIT).round() as i32, (y * UNIT).round() as i32)
}

fn stroke(colour: Colour, width: f64) -> ShapeStyle {
    ShapeStyle::from(colour.0).stroke_width((width * UNIT).round().max(1.0) as u32)
}

impl Canvas<'_> {
    fn note<E: std::fmt::Display>(&self, outcome: Result<(), E>) {
        if let Err(error) = outcome {
            self.fault.borrow_mut().get_or_insert(error.to_string());
        }
    }

    pub(super) fn text(&self, text: &str, at: Point, letters: Letters) {
        let mut font = ("sans-serif", letters.size * FONT * UNIT).into_font();
        if letters.bold {
            font = font.style(FontStyle::Bold);
        }
        if letters.upwards {
            font = font.transform(FontTransform::Rotate270);
        }
        let side = match letters.side {
            Side::Left => HPos::Left,
            Side::Middle => HPos::Center,
            Side::Right => HPos::Right,
        };
        let style = TextStyle::from(font).color(&letters.colour.0).pos(Pos::new(side, VPos::Center));
        self.note(self.area.draw(&Text::new(text.to_owned(), pixel(at), style)));
    }

    pub(super) fn line(&self, points: &[Point], colour: Colour, width: f64) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        self.note(self.area.draw(&PathElement::new(points, stroke(colour, width))));
    }

    /// A thin line that lets what is behind it through.
    pub(super) fn faint_line(&self, points: &[Point], colour: Colour) {
        let style = ShapeStyle::from(colour.0.mix(0.6)).stroke_width((1.2 * UNIT) as u32);
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        self.note(self.area.draw(&PathElement::new(points, style)));
    }

    /// A line in the manner of a series.
    pub(super) fn series_line(&self, points: &[Point], look: Look, width: f64) {
        self.dashed(points, look.colour, width, look.dash());
    }

    /// A line of dashes; pixels on, off, on, ...
    pub(super) fn dashed(&self, points: &[Point], colour: Colour, width: f64, pattern: &[f64]) {
        for part in dashes(points, pattern) {
            self.line(&part, colour, width);
        }
    }

    pub(super) fn polygon(&self, points: &[Point], colour: Colour) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        self.note(self.area.draw(&Polygon::new(points, ShapeStyle::from(colour.0).filled())));
    }

    pub(super) fn rectangle(&self, from: Point, to: Point, colour: Colour) {
        self.note(self.area.draw(&Rectangle::new([pixel(from), pixel(to)], ShapeStyle::from(colour.0).filled())));
    }

    /// The mark of a series, with a rim of paper that tells it from what it covers.
    pub(super) fn mark(&self, at: Point, look: Look, size: f64) {
        let shape = Shape::of(look);
        let large = |by: f64| {
            let at_angle = |(x, y): Point| (at.0 + x * (size + by), at.1 + y * (size + by));
            shape.corners().iter().copied().map(at_angle).collect::<Vec<_>>()
        };
        match shape {
            Shape::Circle | Shape::Ring => {
                let circle = |radius: f64, colour: Colour| {
                    let radius = (radius * UNIT).round().max(1.0) as i32;
                    self.note(self.area.draw(&Circle::new(pixel(at), radius, ShapeStyle::from(colour.0).filled())));
                };
                circle(size + 1.0, PAPER);
                circle(size, look.colour);
                if shape == Shape::Ring {
                    circle(size - 1.8, PAPER);
                }
            }
            _ => {
                self.polygon(&large(1.3), PAPER);
                self.polygon(&large(0.0), look.colour);
            }
        }
    }

    /// The bar of a series, with its hatching.
    pub(super) fn bar(&self, (left, top): Point, (right, bottom): Point, look: Look) {
        self.rectangle((left, top), (right, bottom), look.colour);
        let (slopes, gap): (&[f64], f64) = match look.number % 5 {
            0 => (&[], 0.0),
            1 => (&[1.0], 6.0),
            2 => (&[0.0], 5.0),
            3 => (&[-1.0], 6.0),
            _ => (&[1.0, -1.0], 8.0),
        };
        for slope in slopes {
            for line in hatching(right - left, bottom - top, *slope, gap) {
                let line = line.map(|(x, y)| (left + x, bottom - y));
                self.line(&line, PAPER, 1.0);
            }
        }
    }
}

/// Shapes that differ without colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Ring,
    TriangleDown,
    Plus,
}

impl Shape {
    fn of(look: Look) -> Self {
        // One less than the colours: where those come again, the marks differ.
        let all =
            [Self::Circle, Self::Square, Self::Triangle, Self::Diamond, Self::Ring, Self::TriangleDown, Self::Plus];
        all[(look.number + look.number / SERIES.len()) % all.len()]
    }

    /// Around a circle of radius 1, of about its area.
    fn corners(self) -> &'static [Point] {
        match self {
            Self::Circle | Self::Ring => &[],
            Self::Square => &[(-0.87, -0.87), (0.87, -0.87), (0.87, 0.87), (-0.87, 0.87)],
            Self::Triangle => &[(0.0, -1.2), (1.13, 0.8), (-1.13, 0.8)],
            Self::Diamond => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            Self::TriangleDown => &[(0.0, 1.2), (1.13, -0.8), (-1.13, -0.8)],
            Self::Plus => &[
                (-0.4, -1.15),
                (0.4, -1.15),
                (0.4, -0.4),
                (1.15, -0.4),
                (1.15, 0.4),
                (0.4, 0.4),
                (0.4, 1.15),
                (-0.4, 1.15),
                (-0.4, 0.4),
                (-1.15, 0.4),
                (-1.15, -0.4),
                (-0.4, -0.4),
            ],
        }
    }
}

/// The parts of a path that are drawn. A long path has longer dashes, so that there are never more than some hundreds.
fn dashes(points: &[Point], pattern: &[f64]) -> Vec<Vec<Point>> {
    let period: f64 = pattern.iter().sum();
    if period <= 0.0 || points.len() < 2 {
        return vec![points.to_vec()];
    }
    let length: f64 = points.windows(2).map(|ends| (ends[1].0 - ends[0].0).hypot(ends[1].1 - ends[0].1)).sum();
    let stretch = (length / period / 200.0).max(1.0);
    let (mut parts, mut part) = (Vec::new(), Vec::from(&points[..1]));
    let (mut index, mut left) = (0, pattern[0] * stretch);
    for ends in points.windows(2) {
        let (mut from, to) = (ends[0], ends[1]);
        loop {
            let rest = (to.0 - from.0).hypot(to.1 - from.1);
            if rest < left {
                left -= rest;
                break;
            }
            let share = left / rest.max(f64::MIN_POSITIVE);
            from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            if index % 2 == 0 {
                part.push(from);
                parts.push(std::mem::take(&mut part));
            } else {
                part.push(from);
            }
            index = (index + 1) % pattern.len();
            left = pattern[index] * stretch;
        }
        if index % 2 == 0 {
            part.push(to);
        }
    }
    if index % 2 == 0 && part.len() > 1 {
        parts.push(part);
    }
    parts
}

/// Lines of a slope across a rectangle with its lower left corner at zero.
fn hatching(width: f64, height: f64, slope: f64, gap: f64) -> Vec<[Point; 2]> {
    let rise = width * slope;
    let (mut at, end) = ((-rise).min(0.0) + gap / 2.0, height - rise.min(0.0));
    let mut lines = Vec::new();
    while at < end && lines.len() < 400 {
        // From (0, at) to (width, at + rise), as far as it is within.
        let (mut from, mut to) = ((0.0, at), (width, at + rise));
        if slope != 0.0 {
            let x_at = |y: f64| (y - at) / slope;
            let (low, high) = (x_at(0.0).min(x_at(height)), x_at(0.0).max(x_at(height)));
            let (left, right) = (low.max(0.0), high.min(width));
            (from, to) = ((left, at + left * slope), (right, at + right * slope));
        }
        if to.0 > from.0 {
            lines.push([from, to]);
        }
        at += gap;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_their_share_of_the_way() {
        let path = [(0.0, 0.0), (30.0, 0.0), (30.0, 40.0), (100.0, 40.0)];
        let parts = dashes(&path, &[8.0, 4.0]);
        let long = |part: &[Point]| part.windows(2).map(|e| (e[1].0 - e[0].0).hypot(e[1].1 - e[0].1)).sum::<f64>();
        assert!(parts.iter().all(|part| long(part) <= 8.001), "{parts:?}");
        let drawn: f64 = parts.iter().map(|part| long(part)).sum();
        assert!((drawn / 140.0 - 8.0 / 12.0).abs() < 0.03, "{drawn}");
        assert_eq!(dashes(&path, &[]), [path.to_vec()]);
        assert_eq!(dashes(&path[..1], &[8.0, 4.0]).len(), 1);
        let long_way: Vec<Point> = (0..10_000).map(|x| (f64::from(x), f64::from(x % 2) * 300.0)).collect();
        assert!(dashes(&long_way, &[2.0, 2.0]).len() < 500);
    }

    #[test]
    fn hatching_stays_within() {
        for slope in [0.0, 1.0, -1.0] {
            for (width, height) in [(20.0, 100.0), (100.0, 3.0), (0.0, 0.0), (5.0, 0.1)] {
                let lines = hatching(width, height, slope, 6.0);
                let within = |&(x, y): &Point| (0.0..=width).contains(&x) && (-0.01..=height + 0.01).contains(&y);
                assert!(lines.iter().flatten().all(within), "{slope} {width} {height}: {lines:?}");
            }
            assert!(!hatching(20.0, 100.0, slope, 6.0).is_empty());
        }
    }

    #[test]
    fn series_differ_without_their_colour() {
        let look = |number| (Shape::of(Look::of(number)), Look::of(number).colour.0);
        for one in 0..21 {
            for other in 0..one {
                assert!(look(one) != look(other), "{one} {other}");
            }
        }
        let first: Vec<Shape> = (0..7).map(|number| Shape::of(Look::of(number))).collect();
        assert!((0..7).all(|one| (0..one).all(|other| first[one] != first[other])));
    }

    #[test]
    fn a_picture_is_as_large_as_it_says() {
        let svg = picture("<t>", "a & b", 100.0, |canvas| {
            canvas.text("<&>", (1.0, 2.0), Letters::new(12.0, INK, Side::Left));
            canvas.line(&[(f64::NAN, f64::INFINITY), (0.0, -1e300)], INK, 1.0);
        });
        let document = roxmltree::Document::parse(&svg).unwrap();
        assert_eq!(document.root_element().attribute("viewBox"), Some("0 0 3200 400"));
        assert!(svg.contains("&lt;&amp;&gt;") && svg.contains("<title>&lt;t&gt;</title>"), "{svg}");
        let style = dark_style();
        assert!(style.contains("svg [fill=\"#20262E\"]{fill:#E1E5EA}"), "{style}");
    }
}
