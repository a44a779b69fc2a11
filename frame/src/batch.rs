//! Which frames are handled together? The ones a port had ready, up to a batch full.

use std::ops::{Index, IndexMut};

use crate::Frame;

/// Frames a batch holds unless told otherwise.
pub const BURST: usize = 64;

/// The frames of one burst, in buffers that are used again for the next one.
pub struct Batch {
    frames: Vec<Frame>,
    len: usize,
}

impl Batch {
    /// An empty batch with buffers for `capacity` frames.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { frames: (0..capacity).map(|_| Frame::empty()).collect(), len: 0 }
    }

    /// How many frames it can hold.
    pub fn capacity(&self) -> usize {
        self.frames.len()
    }

    /// How many frames it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Does it hold none?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Can it hold no more?
    pub fn is_full(&self) -> bool {
        self.len == self.frames.len()
    }

    /// Forget the frames; the buffers stay.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The unused frames, to receive into; [`Batch::commit`] the ones that were filled, from the first.
    pub fn spare(&mut self) -> &mut [Frame] {
        &mut self.frames[self.len..]
    }

    /// The first `count` spare frames now belong to the batch (at most as many as there are).
    pub fn commit(&mut self, count: usize) {
        self.len = (self.len + count).min(self.frames.len());
    }

    /// Take the next spare frame into the batch; `None` when the batch is full.
    pub fn push(&mut self) -> Option<&mut Frame> {
        let frame = self.frames.get_mut(self.len)?;
        self.len += 1;
        Some(frame)
    }

    /// Give the last `count` frames back.
    pub fn shrink(&mut self, count: usize) {
        self.len = self.len.saturating_sub(count);
    }

    /// The frames, in the order they came.
    pub fn iter(&self) -> std::slice::Iter<'_, Frame> {
        self.frames[..self.len].iter()
    }

    /// The frames, to change in place.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Frame> {
        self.frames[..self.len].iter_mut()
    }
}

impl Index<usize> for Batch {
    type Output = Frame;

    fn index(&self, index: usize) -> &Frame {
        &self.frames[..self.len][index]
    }
}

impl IndexMut<usize> for Batch {
    fn index_mut(&mut self, index: usize) -> &mut Frame {
        &mut self.frames[..self.len][index]
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Frame;
    type IntoIter = std::slice::Iter<'a, Frame>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Batch {
    type Item = &'a mut Frame;
    type IntoIter = std::slice::IterMut<'a, Frame>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}
