//! Which plots can a report have? Four, each a value that becomes an SVG picture of 800 pixels: the same values, the same
//! picture. Values that are no numbers are left out; no value makes drawing fail.
//!
//! | plot | across | upwards |
//! | --- | --- | --- |
//! | [`Plot::rate_loss`] | offered rate | share of frames lost, with its 95 % interval, and the goals |
//! | [`Plot::percentiles`] | percentile, by nines | latency, by powers of ten |
//! | [`Plot::time_series`] | seconds since the start | anything |
//! | [`Plot::bars`] | groups, a bar for each series | anything, with error bars and the ratio to the first series |
//!
//! Not done: pictures that answer the mouse; the page has no script.

use super::canvas::Point;
use crate::loss::LossShare;

mod bars;
mod curves;
mod rate_loss;

/// A picture of some values.
#[derive(Clone, PartialEq, Debug)]
pub struct Plot {
    title: String,
    kind: Kind,
}

#[derive(Clone, PartialEq, Debug)]
enum Kind {
    RateLoss { series: Vec<LossSeries>, goals: Vec<Goal>, spacing: Spacing },
    Percentiles { series: Vec<Curve> },
    TimeSeries { axis: String, series: Vec<Line> },
    Bars { axis: String, series: Vec<String>, groups: Vec<BarGroup> },
}

/// How rates lie along their axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Spacing {
    /// By powers of ten if the highest is more than 30 times the lowest, and evenly otherwise.
    #[default]
    Auto,
    /// Evenly.
    Linear,
    /// By powers of ten.
    Log,
}

/// What was lost at a rate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LossPoint {
    /// Offered, frames a second.
    pub rate: f64,
    /// The share that was lost, 0 to 1.
    pub share: f64,
    /// The least share that it may truly be.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl LossPoint {
    /// With the 95 % interval of the share.
    pub fn new(rate: f64, loss: LossShare) -> Self {
        let error = loss.error();
        Self { rate, share: loss.share(), low: error.low, high: error.high }
    }
}

/// The trials of a subject or a size of frames.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LossSeries {
    /// For the legend.
    pub name: String,
    /// In any order; several at one rate are all drawn, and the line goes through their median.
    pub points: Vec<LossPoint>,
    /// What a search found: a rate, frames a second, and the goal that it was for. A line goes from there to the axis.
    pub found: Vec<(f64, f64)>,
}

/// A share that may be lost.
#[derive(Clone, PartialEq, Debug)]
pub struct Goal {
    /// Its short name: NDR, PDR.
    pub name: String,
    /// 0 to 1.
    pub share: f64,
}

/// Latencies by percentile.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Curve {
    /// For the legend.
    pub name: String,
    /// A share of the frames, 0 to 1, and what they did not exceed, ns; as of [`Latencies::curve`](crate::latency::Latencies::curve).
    pub points: Vec<(f64, u64)>,
}

/// A value over time.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Line {
    /// For the legend.
    pub name: String,
    /// Seconds since the start, and the value.
    pub points: Vec<(f64, f64)>,
}

/// Bars that stand together: a test, or a size of frames.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct BarGroup {
    /// Below the bars.
    pub name: String,
    /// One for each series, in their order; `None` where nothing was measured.
    pub bars: Vec<Option<Bar>>,
}

/// A value and how sure it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bar {
    /// The height of the bar.
    pub value: f64,
    /// The least that it may be.
    pub low: f64,
    /// The most.
    pub high: f64,
    /// How many times the first one's it is, where that is known otherwise than from the two values.
    pub ratio: Option<f64>,
}

impl Plot {
    /// Loss against rate, with the goals as dashed lines. The axis of loss tells no loss from very little.
    pub fn rate_loss(title: impl Into<String>, series: Vec<LossSeries>, goals: Vec<Goal>, spacing: Spacing) -> Self {
        Self { title: title.into(), kind: Kind::RateLoss { series, goals, spacing } }
    }

    /// Latency against percentile, as HDR histograms are shown. A share of 1 is the maximum and stands apart.
    pub fn percentiles(title: impl Into<String>, series: Vec<Curve>) -> Self {
        Self { title: title.into(), kind: Kind::Percentiles { series } }
    }

    /// Values against seconds. `axis` says what the values are, with their unit.
    pub fn time_series(title: impl Into<String>, axis: impl Into<String>, series: Vec<Line>) -> Self {
        Self { title: title.into(), kind: Kind::TimeSeries { axis: axis.into(), series } }
    }

    /// A bar for each series in each group. `axis` says what the values are, with their unit. Over the bar of the first
    /// series stands its value, over the others their ratio to it.
    pub fn bars(title: impl Into<String>, axis: impl Into<String>, series: Vec<String>, groups: Vec<BarGroup>) -> Self {
        Self { title: title.into(), kind: Kind::Bars { axis: axis.into(), series, groups } }
    }

    /// The picture: an `svg` element that stands by itself or in a page.
    pub fn svg(&self) -> String {
        match &self.kind {
            Kind::RateLoss { series, goals, spacing } => rate_loss::draw(&self.title, series, goals, *spacing),
            Kind::Percentiles { series } => curves::percentiles(&self.title, series),
            Kind::TimeSeries { axis, series } => curves::time_series(&self.title, axis, series),
            Kind::Bars { axis, series, groups } => bars::draw(&self.title, axis, series, groups),
        }
    }
}

/// The names of series in a sentence, for those who do not see the picture.
fn named<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Whether a series of so many points has a mark at this one: at all of few, at some of many, and each series elsewhere.
fn is_marked(index: usize, of: usize, series: usize) -> bool {
    let every = of.div_ceil(10).max(1);
    of <= 14 || index % every == (series * every / 3) % every
}

/// At most four of the points that fall upon one pixel: the first, the lowest, the highest and the last.
fn thinned(points: &[Option<Point>]) -> Vec<Option<Point>> {
    if points.len() < 2000 {
        return points.to_vec();
    }
    let column = |point: &Option<Point>| point.map(|(x, _)| x as i32);
    let mut out = Vec::new();
    for run in points.chunk_by(|one, other| column(one) == column(other)) {
        let by_height = |a: &&Option<Point>, b: &&Option<Point>| {
            let y = |point: &Option<Point>| point.map_or(0.0, |(_, y)| y);
            y(a).total_cmp(&y(b))
        };
        let mut kept: Vec<&Option<Point>> =
            [run.first(), run.iter().max_by(by_height), run.iter().min_by(by_height), run.last()]
                .into_iter()
                .flatten()
                .collect();
        kept.dedup();
        out.extend(kept.into_iter().copied());
    }
    out
}
