//! What is a port to the engine? One queue of one port, owned by one worker.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use frame::Batch;

use crate::losses::Losses;

/// One queue of a port. Frames come out of it and go into it in bursts; it never blocks.
///
/// # Health
/// `Err` of kind [`io::ErrorKind::NetworkDown`] means that the link is down but may come up again: the
/// queue stays usable. Any other `Err` means that the port is gone; whoever sees it closes the queue. A
/// queue never panics and never reports one frame's trouble as an error: a frame the kernel refuses is
/// taken and counted as sent short, see [`Port::send`].
pub trait Port: Send {
    /// The port's name in logs: the interface's name, or what a memory port was called.
    fn name(&self) -> &str;

    /// Does the other side take virtio-net headers, so that super-frames and unfinished checksums may be
    /// sent to it as they are?
    fn takes_offload(&self) -> bool;

    /// Append frames to `batch` until it is full or nothing is ready, and say how many were appended. Fewer
    /// than there was room for means that the queue is drained: the next frame makes [`Port::fd`] readable
    /// again.
    ///
    /// # Errors
    /// The port's health, see above. Frames appended before the error stay in the batch.
    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize>;

    /// Send the frames of `batch` that `picks` names, in that order, and say how many the port took, counted
    /// from the first. The caller counts the rest as [`frame::DropReason::EgressFull`]. A port that does not
    /// take offloads is only given finished frames.
    ///
    /// # Errors
    /// The port's health, see above.
    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<usize>;

    /// What the port loses without the caller's doing, for all its queues together; `None` for a port that counts no
    /// such thing.
    fn losses(&self) -> Option<Arc<Losses>> {
        None
    }

    /// The descriptor that becomes readable when frames wait, for edge-triggered polling; `None` for a queue
    /// that only sends (a port with one queue, used by several workers).
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}
