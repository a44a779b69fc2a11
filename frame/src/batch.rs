//! Which frames are handled together? The ones a port had ready, up to a batch full.

use std::ops::{Index, IndexMut};

use crate::Frame;

/// Frames a batch holds unless told otherwise.
pub const BURST: usize = 64;

/// The frames of one burst, in buffers that are used again for the next one.
pub struct Batch {
    frames: Vec<Frame>,
    len: usize,
    octets: usize,
    enough: usize,
}

impl Batch {
    /// An empty batch with buffers for `capacity` frames.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_enough(capacity, usize::MAX)
    }

    /// An empty batch with buffers for `capacity` frames that counts as full, too, once it holds `enough` octets: what is
    /// handled together should still be in the cache when it is handled.
    pub fn with_enough(capacity: usize, enough: usize) -> Self {
        Self { frames: (0..capacity).map(|_| Frame::empty()).collect(), len: 0, octets: 0, enough }
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

    /// Octets of the frames that were received into it.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// How many octets more are enough.
    pub fn octets_wanted(&self) -> usize {
        self.enough.saturating_sub(self.octets)
    }

    /// Can it hold no more, or are there octets enough in it?
    pub fn is_full(&self) -> bool {
        self.len == self.frames.len() || self.octets >= self.enough
    }

    /// Forget the frames; the buffers stay.
    pub fn clear(&mut self) {
        (self.len, self.octets) = (0, 0);
    }

    /// The unused frames, to receive into; [`Batch::commit`] the ones that were filled, from the first.
    pub fn spare(&mut self) -> &mut [Frame] {
        &mut self.frames[self.len..]
    }

    /// The first `count` spare frames now belong to the batch (at most as many as there are).
    pub fn commit(&mut self, count: usize) {
        let end = (self.len + count).min(self.frames.len());
        self.octets += self.frames[self.len..end].iter().map(Frame::len).sum::<usize>();
        self.len = end;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_by_frames_or_by_octets() {
        let mut batch = Batch::with_enough(4, 150);
        for octets in [100, 49] {
            batch.spare()[0].received(octets);
            batch.commit(1);
            assert!(!batch.is_full());
        }
        batch.spare()[0].received(1);
        batch.commit(1);
        assert!(batch.is_full() && batch.octets() == 150 && batch.len() == 3);
        batch.clear();
        assert!(!batch.is_full() && batch.octets() == 0);
        (0..4).for_each(|_| assert!(batch.push().is_some()));
        assert!(batch.is_full() && batch.push().is_none());
    }
}
