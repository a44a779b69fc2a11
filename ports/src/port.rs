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
/// queue never panics and never reports one frame's trouble as an error: a frame the kernel refuses is named by what
/// [`Port::send`] returns.
pub trait Port: Send {
    /// The port's name in logs: the interface's name, or what a memory port was called.
    fn name(&self) -> &str;

    /// Does the other side take virtio-net headers, so that super-frames and unfinished checksums may be
    /// sent to it as they are?
    fn takes_offload(&self) -> bool;

    /// Append frames to `batch` until it is full or nothing is ready, and say how many were appended. A batch that is
    /// not full afterwards ([`Batch::is_full`]) means that the queue is drained: the next frame makes [`Port::fd`]
    /// readable again.
    ///
    /// # Errors
    /// The port's health, see above. Frames appended before the error stay in the batch.
    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize>;

    /// Send the frames of `batch` that `picks` names, in that order, and say how far that came. Where it stopped, the
    /// caller drops the frame it stopped at, or all that are left, for its reason; see [`Port::send_all`]. A port that
    /// does not take offloads is only given finished frames.
    ///
    /// # Errors
    /// The port's health, see above.
    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent>;

    /// Send all frames that `picks` names, past those that are refused; `lost` hears of each that was not taken, by its
    /// place in `picks`.
    ///
    /// # Errors
    /// The port's health, see above; `lost` has heard of every frame that was not taken all the same.
    fn send_all(&mut self, batch: &Batch, picks: &[u16], lost: &mut dyn FnMut(usize, Stop)) -> io::Result<()> {
        send_one_by_one(self, batch, picks, lost)
    }

    /// What the port loses without the caller's doing, for all its queues together; `None` for a port that counts no
    /// such thing.
    fn losses(&self) -> Option<Arc<Losses>> {
        None
    }

    /// The descriptor that becomes readable when frames wait, for edge-triggered polling; `None` for a queue
    /// that only sends (a port with one queue, used by several workers).
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

/// How far a [`Port::send`] came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Frames taken, counted from the first.
    pub taken: usize,
    /// Why the one after them was not; `None` when all were taken, or some and the port's health is to blame, which the
    /// next call tells.
    pub stopped: Option<Stop>,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// There is no room for it now, nor for any behind it.
    Full,
    /// The kernel does not want this one (too long for the link, say); the next may be welcome.
    Refused,
}

/// [`Port::send_all`] by [`Port::send`], which stops at each frame that is not taken.
pub(crate) fn send_one_by_one<P: Port + ?Sized>(
    port: &mut P,
    batch: &Batch,
    picks: &[u16],
    lost: &mut dyn FnMut(usize, Stop),
) -> io::Result<()> {
    let mut at = 0;
    while let Some(rest) = picks.get(at..).filter(|rest| !rest.is_empty()) {
        let sent =
            port.send(batch, rest).inspect_err(|_| (at..picks.len()).for_each(|place| lost(place, Stop::Full)))?;
        at += sent.taken;
        match sent.stopped {
            // It came so far before the port's health ended it; the next call says so.
            None if sent.taken > 0 => {}
            None => {
                (at..picks.len()).for_each(|place| lost(place, Stop::Full));
                break;
            }
            Some(Stop::Refused) => {
                lost(at, Stop::Refused);
                at += 1;
            }
            Some(Stop::Full) => {
                (at..picks.len()).for_each(|place| lost(place, Stop::Full));
                break;
            }
        }
    }
    Ok(())
}
