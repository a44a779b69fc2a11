//! Which frames does the switch send of its own accord? ARP answers and requests, ICMP messages, frames that waited for
//! a next hop, fragments: each written into a buffer here, with an errand that says where it goes.

use frame::{Batch, Frame, NetworkId, PortId, Verdict};

/// Frames that fit. Enough for the fragments of the largest packet at the smallest usual MTU (576).
const CAPACITY: usize = 128;

/// Where a frame goes that the switch made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// To one port.
    Port(PortId),
    /// To every port of the network but one.
    Flood {
        /// The port it does not go to.
        except: Option<PortId>,
    },
}

impl Target {
    /// What becomes of a frame that goes there.
    pub(super) const fn verdict(self, network: NetworkId) -> Verdict {
        match self {
            Self::Port(to) => Verdict::Unicast { to },
            Self::Flood { .. } => Verdict::Flood { network },
        }
    }
}

/// The frames and their errands.
pub(super) struct Outbox {
    frames: Batch,
    errands: Vec<(NetworkId, Target)>,
    handed_out: usize,
    /// Frames to write into before it is known whether, or in how many pieces, they leave.
    scratch: Vec<Frame>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            frames: Batch::with_capacity(CAPACITY),
            errands: Vec::with_capacity(CAPACITY),
            handed_out: 0,
            scratch: Vec::new(),
        }
    }

    /// How many more frames fit.
    pub(super) fn room(&self) -> usize {
        self.frames.capacity() - self.frames.len()
    }

    /// Is no frame in it?
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many frames are in it.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Take the last frames back, down to the first `len`.
    pub(super) fn shorten(&mut self, len: usize) {
        self.frames.shrink(self.frames.len().saturating_sub(len));
        self.errands.truncate(len);
    }

    /// Should what is in it be sent before the next frame is decided?
    pub(super) fn is_nearly_full(&self) -> bool {
        self.room() < CAPACITY / 2
    }

    /// A frame to write into, on its way to `target` on `network`; `None` when there is no room.
    pub(super) fn add(&mut self, network: NetworkId, target: Target) -> Option<&mut Frame> {
        let frame = self.frames.push()?;
        self.errands.push((network, target));
        Some(frame)
    }

    /// Take the last frame back: it could not be written.
    pub(super) fn take_back(&mut self) {
        self.shorten(self.len().saturating_sub(1));
    }

    /// A frame to write into; give it back afterwards, and nothing is allocated the next time.
    pub(super) fn take_scratch(&mut self) -> Frame {
        self.scratch.pop().unwrap_or_else(Frame::empty)
    }

    pub(super) fn give_scratch_back(&mut self, frame: Frame) {
        self.scratch.push(frame);
    }

    /// The next frame that has not been handed out: its index and its errand.
    pub(super) fn next_errand(&mut self) -> Option<(u16, NetworkId, Target)> {
        let (network, target) = *self.errands.get(self.handed_out)?;
        self.handed_out += 1;
        Some(((self.handed_out - 1) as u16, network, target))
    }

    pub(super) fn frame(&self, index: u16) -> &Frame {
        &self.frames[index as usize]
    }

    pub(super) fn frames(&self) -> &Batch {
        &self.frames
    }

    /// Everything is sent.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.errands.clear();
        self.handed_out = 0;
    }
}
