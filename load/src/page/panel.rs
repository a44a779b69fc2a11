//! Where does everything in a plot stand? A title, a legend of as many rows as it needs, the axes with their ticks and titles,
//! and the field within them. Nothing stands upon anything else: margins follow the longest label, names are cut to their room.
//!
//! Not done: legends within the field. They would have to know where there is nothing.

use super::axis::{Scale, Tick, Unit};
use super::canvas::{Canvas, Colour, FAINT, GRID, GRID_MINOR, INK, Letters, Look, Point, SHADE, Side, WIDTH};
use super::text::{fitted, width};

/// Room at the edges of the picture.
pub(super) const EDGE: f64 = 10.0;
/// The sizes of letters, pixels.
const TITLE: f64 = 15.0;
pub(super) const WORDS: f64 = 12.5;
pub(super) const LABELS: f64 = 12.0;
/// A row of the legend.
const ROW: f64 = 21.0;
/// The sample before a name.
const SAMPLE: f64 = 30.0;
/// The widest name.
const NAME: f64 = 300.0;
/// Below the field: labels, and the title of the axis.
pub(super) const BELOW: f64 = 52.0;
/// Series that can be told apart; more are not drawn, and the legend says so.
pub(super) const MOST_SERIES: usize = 21;

/// An axis with what stands beside it.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// What it is, and its unit.
    pub(super) title: String,
    pub(super) scale: Scale,
    pub(super) unit: Unit,
}

/// What the legend shows of a series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sample {
    LineAndMark,
    Bar,
}

/// The title and the names of the series, above the field.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    title: String,
    sample: Sample,
    /// Where each name stands, and the name.
    keys: Vec<(Point, String)>,
    more: Option<(Point, String)>,
    /// Down to here it reaches.
    pub(super) height: f64,
}

impl Heading {
    pub(super) fn new<'n>(title: &str, names: impl Iterator<Item = &'n str>, sample: Sample) -> Self {
        let (mut x, mut y) = (EDGE, TITLE + 28.0);
        let mut place = |text: &str, sample: f64| {
            let text = fitted(text, WORDS, NAME);
            let room = sample + width(&text, WORDS) + 20.0;
            if x > EDGE && x + room - 20.0 > WIDTH - EDGE {
                (x, y) = (EDGE, y + ROW);
            }
            let at = (x, y);
            x += room;
            (at, text)
        };
        let names: Vec<&str> = names.collect();
        let keys: Vec<_> = names.iter().take(MOST_SERIES).map(|name| place(name, SAMPLE + 6.0)).collect();
        let left_out = names.len() - keys.len();
        let more = (left_out > 0).then(|| place(&format!("{left_out} more are not drawn"), 0.0));
        let height = if keys.is_empty() { TITLE + 20.0 } else { y + ROW / 2.0 + 6.0 };
        // Bold letters are wider than those the widths are of.
        let title = fitted(title, TITLE * 1.12, WIDTH - 2.0 * EDGE);
        Self { title, sample, keys, more, height }
    }

    pub(super) fn draw(&self, canvas: &Canvas<'_>) {
        let title = Letters { bold: true, ..Letters::new(TITLE, INK, Side::Left) };
        canvas.text(&self.title, (EDGE, TITLE), title);
        for (number, ((x, y), name)) in self.keys.iter().enumerate() {
            let look = Look::of(number);
            match self.sample {
                Sample::LineAndMark => {
                    canvas.series_line(&[(*x, *y), (x + SAMPLE, *y)], look, 1.8);
                    canvas.mark((x + SAMPLE / 2.0, *y), look, 4.0);
                }
                Sample::Bar => canvas.bar((x + 8.0, y - 7.0), (x + SAMPLE, y + 7.0), look),
            }
            canvas.text(name, (x + SAMPLE + 6.0, *y), Letters::new(WORDS, INK, Side::Left));
        }
        if let Some((at, words)) = &self.more {
            canvas.text(words, *at, Letters::new(WORDS, FAINT, Side::Left));
        }
    }
}

/// The field of a plot, and how values lie in it.
pub(super) struct Panel<'a, 'b> {
    pub(super) canvas: &'a Canvas<'b>,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// Room between the edges of the field and the ends of the scales, for marks that lie there.
    inset: f64,
}

/// The room that a field may take: from the left edge of the picture to `right`, from `top` to `bottom`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) right: f64,
    pub(super) inset: f64,
}

impl<'a, 'b> Panel<'a, 'b> {
    /// A field with both its axes drawn; without one for x, that is the caller's.
    pub(super) fn new(canvas: &'a Canvas<'b>, room: Room, x: Option<&Axis>, y: &Axis) -> Self {
        let Room { top, bottom, right, inset } = room;
        let ticks = y.scale.ticks(y.unit, 17.0 / (bottom - top - 2.0 * inset));
        let longest = ticks.iter().filter_map(|tick| tick.label.as_deref()).map(|label| width(label, LABELS));
        let left = EDGE + WORDS + 10.0 + longest.fold(0.0, f64::max) + 8.0;
        let none = Scale::Linear { low: 0.0, high: 1.0, step: 1.0 };
        let panel = Self { canvas, left, right, top, bottom, x: x.map_or(none, |axis| axis.scale), y: y.scale, inset };
        panel.shade();
        panel.beside(y, &ticks);
        if let Some(axis) = x {
            panel.below(axis);
        }
        panel.outline();
        panel
    }

    /// Where a value of x stands, in pixels.
    pub(super) fn x_at(&self, x: f64) -> Option<f64> {
        self.x.place(x).map(|share| self.across(share))
    }

    /// Where a value of y stands.
    pub(super) fn y_at(&self, y: f64) -> Option<f64> {
        self.y.place(y).map(|share| self.up(share))
    }

    /// Where a pair of values stands; `None` if it is not in the field.
    pub(super) fn at(&self, x: f64, y: f64) -> Option<Point> {
        Some((self.x_at(x)?, self.y_at(y)?))
    }

    fn across(&self, share: f64) -> f64 {
        self.left + self.inset + share * (self.right - self.left - 2.0 * self.inset)
    }

    fn up(&self, share: f64) -> f64 {
        self.bottom - self.inset - share * (self.bottom - self.top - 2.0 * self.inset)
    }

    /// The ground of what follows another rule than the rest: the even part of an axis of loss, and the maximum of all.
    fn shade(&self) {
        if let Scale::Loss { least } = self.y
            && let Some(edge) = self.y_at(10f64.powi(least))
        {
            self.canvas.rectangle((self.left, edge), (self.right, self.bottom), SHADE);
        }
        if let Scale::Percentile { nines, maximum: true } = self.x
            && let Some(edge) = self.x_at(1.0 - 10f64.powf(-nines))
        {
            let edge = f64::midpoint(edge, self.right);
            self.canvas.rectangle((edge, self.top), (self.right, self.bottom), SHADE);
        }
    }

    fn outline(&self) {
        self.canvas.line(&[(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)], FAINT, 1.0);
    }

    fn beside(&self, axis: &Axis, ticks: &[Tick]) {
        for tick in ticks {
            let y = self.up(tick.at);
            let colour = if tick.label.is_some() { GRID } else { GRID_MINOR };
            self.canvas.line(&[(self.left, y), (self.right, y)], colour, 1.0);
            if let Some(label) = &tick.label {
                self.canvas.line(&[(self.left - 4.0, y), (self.left, y)], FAINT, 1.0);
                self.canvas.text(label, (self.left - 8.0, y), Letters::new(LABELS, INK, Side::Right));
            }
        }
        let letters = Letters { upwards: true, ..Letters::new(WORDS, FAINT, Side::Middle) };
        let title = fitted(&axis.title, WORDS, self.bottom - self.top + 30.0);
        self.canvas.text(&title, (EDGE + WORDS / 2.0, f64::midpoint(self.top, self.bottom)), letters);
    }

    fn below(&self, axis: &Axis) {
        let ticks = axis.scale.ticks(axis.unit, 60.0 / (self.right - self.left - 2.0 * self.inset));
        for tick in &ticks {
            let x = self.across(tick.at);
            let colour = if tick.label.is_some() { GRID } else { GRID_MINOR };
            self.canvas.line(&[(x, self.top), (x, self.bottom)], colour, 1.0);
            if let Some(label) = &tick.label {
                self.canvas.line(&[(x, self.bottom), (x, self.bottom + 4.0)], FAINT, 1.0);
                self.canvas.text(label, (x, self.bottom + 15.0), Letters::new(LABELS, INK, Side::Middle));
            }
        }
        self.title_below(&axis.title);
    }

    pub(super) fn title_below(&self, title: &str) {
        let title = fitted(title, WORDS, self.right - self.left);
        let at = (f64::midpoint(self.left, self.right), self.bottom + 38.0);
        self.canvas.text(&title, at, Letters::new(WORDS, FAINT, Side::Middle));
    }

    /// A line through points, which ends where one is missing and begins again.
    pub(super) fn line(&self, points: &[Option<Point>], look: Look, width: f64) {
        for part in points.split(Option::is_none) {
            let part: Vec<Point> = part.iter().copied().flatten().collect();
            if part.len() > 1 {
                self.canvas.series_line(&part, look, width);
            }
        }
    }

    /// An error bar from one value of y to another: a single path, so that its parts do not cover each other.
    pub(super) fn span(&self, x: f64, low: f64, high: f64, colour: Colour) {
        let (Some(low), Some(high)) = (self.y.clamped(low), self.y.clamped(high)) else { return };
        let (low, high) = (self.up(low), self.up(high));
        let half = 3.0;
        let path = [(x - half, low), (x + half, low), (x, low), (x, high), (x - half, high), (x + half, high)];
        self.canvas.faint_line(&path, colour);
    }

    /// For a plot with nothing in it.
    pub(super) fn say_nothing_is_there(&self) {
        let at = (f64::midpoint(self.left, self.right), f64::midpoint(self.top, self.bottom));
        self.canvas.text("nothing was measured", at, Letters::new(WORDS, FAINT, Side::Middle));
    }
}
