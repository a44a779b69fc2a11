//! Who hears of a frame's steps? Whoever is asked for by type: `()` hears nothing, and the code for
//! telling it does not exist.

use crate::step::TableView;
use crate::{FrameNumber, Step};

/// Hears the steps of one frame, in order.
pub trait Observer {
    /// Whether this observer listens at all. Where it is `false`, work done only for the observer must
    /// stand behind `if O::ENABLED`.
    const ENABLED: bool;

    /// A decision was made.
    fn step(&mut self, step: Step);

    /// The MAC table was asked and taught; told once, when the frame has been looked up or its journey ends before.
    fn table(&mut self, _view: TableView) {}

    /// The number that the frame goes by, if it has been given one.
    fn number(&self) -> Option<FrameNumber> {
        None
    }
}

/// Nobody listens.
impl Observer for () {
    const ENABLED: bool = false;

    #[inline(always)]
    fn step(&mut self, _: Step) {}
}

/// A plain list, for tests and for the what-if.
impl Observer for Vec<Step> {
    const ENABLED: bool = true;

    fn step(&mut self, step: Step) {
        self.push(step);
    }
}
