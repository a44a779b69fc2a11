//! Which frames got lost between a port and the kernel without the caller's doing?
//!
//! One set a port, shared by its queues and readable after they have gone to their workers. Written only when
//! something is lost, so a plain shared counter is cheap enough.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use frame::{Batch, Frame};

use crate::{Sent, Stop};

/// Frames of one port that were lost, counted since it was opened.
#[derive(Debug, Default)]
pub struct Losses {
    refused: AtomicU64,
    truncated: AtomicU64,
    overflowed: AtomicU64,
}

impl Losses {
    /// Frames the kernel refused to send: too long for the link, too short for Ethernet, an offload header that
    /// makes no sense. The caller of [`crate::Port::send`] has counted them already.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Received frames longer than a buffer, dropped because their end was missing.
    pub fn truncated(&self) -> u64 {
        self.truncated.load(Relaxed)
    }

    /// Frames the kernel dropped because the queue was full before it was read (AF_PACKET and `AF_XDP` only; for a TAP the
    /// interface's own `tx_dropped` counts them). Of [`crate::live`], frames that were taken and that the interface dropped.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Relaxed)
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_truncated(&self) {
        self.truncated.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_overflowed(&self, frames: u64) {
        self.overflowed.fetch_add(frames, Relaxed);
    }
}

/// What an error from sending one frame means for the frame and for the port.
pub(crate) enum SendFault {
    /// A signal came between; try the same frame again.
    Interrupted,
    /// The queue is full: this frame and the rest of the burst do not fit.
    Full,
    /// The kernel does not want this frame; the next one may be welcome.
    Refused,
    /// The port's health: down or gone.
    Health(io::Error),
}

impl SendFault {
    /// Sort an error of write(2) on a TAP or of sendmmsg(2) on AF_PACKET. Unknown errors blame the frame: a
    /// wrong guess then costs a frame, not the port.
    pub(crate) fn from_error(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINTR) => Self::Interrupted,
            Some(libc::EAGAIN | libc::ENOBUFS) => Self::Full,
            // A TAP that is administratively down says EIO, AF_PACKET says ENETDOWN.
            Some(libc::EIO | libc::ENETDOWN) => Self::Health(down()),
            // A TAP whose device is gone says EBADFD, AF_PACKET says ENXIO or ENODEV.
            Some(libc::EBADFD | libc::EBADF | libc::ENXIO | libc::ENODEV | libc::ENOTSOCK) => Self::Health(error),
            _ => Self::Refused,
        }
    }
}

/// The error that says: the link is down and may come up again.
pub(crate) fn down() -> io::Error {
    io::Error::from_raw_os_error(libc::ENETDOWN)
}

/// Send each piece as one frame by a call that takes one at a time, until one is not taken.
///
/// # Errors
/// The port's health.
pub(crate) fn send_each<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    losses: &Losses,
    mut send: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<Sent> {
    let mut taken = 0;
    for piece in pieces {
        let result = loop {
            match send(piece).map_err(SendFault::from_error) {
                Err(SendFault::Interrupted) => {}
                result => break result,
            }
        };
        match result {
            Ok(_) => taken += 1,
            Err(SendFault::Full | SendFault::Interrupted) => return Ok(Sent { taken, stopped: Some(Stop::Full) }),
            Err(SendFault::Refused) => {
                losses.count_refused();
                return Ok(Sent { taken, stopped: Some(Stop::Refused) });
            }
            // What was taken must not be lost sight of: the next call fails, too, and tells.
            Err(SendFault::Health(_)) if taken > 0 => break,
            Err(SendFault::Health(error)) => return Err(error),
        }
    }
    Ok(Sent { taken, stopped: None })
}

/// Receive frames by a call that takes one at a time, until the batch is full or nothing is ready; how many came. The
/// call fills the frame and says whether it is whole: read(2) cuts silently, so a full buffer may be less than
/// the frame.
///
/// # Errors
/// The port's health.
pub(crate) fn recv_each(
    batch: &mut Batch,
    losses: &Losses,
    mut recv: impl FnMut(&mut Frame) -> io::Result<bool>,
) -> io::Result<usize> {
    let before = batch.len();
    while !batch.is_full() {
        let Some(frame) = batch.spare().first_mut() else { break };
        match recv(frame) {
            Ok(true) => batch.commit(1),
            Ok(false) => losses.count_truncated(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => break,
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    Ok(batch.len() - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_blames_the_frame_the_link_or_the_port() {
        let sort = |errno| SendFault::from_error(io::Error::from_raw_os_error(errno));
        for errno in [libc::EINVAL, libc::EMSGSIZE, libc::ENOMEM, libc::EFAULT, libc::EPERM] {
            assert!(matches!(sort(errno), SendFault::Refused), "{errno}");
        }
        for errno in [libc::EIO, libc::ENETDOWN] {
            assert!(matches!(sort(errno), SendFault::Health(e) if e.kind() == io::ErrorKind::NetworkDown), "{errno}");
        }
        for errno in [libc::EBADFD, libc::ENXIO, libc::ENODEV] {
            assert!(matches!(sort(errno), SendFault::Health(e) if e.raw_os_error() == Some(errno)), "{errno}");
        }
        assert!(matches!(sort(libc::EINTR), SendFault::Interrupted));
        assert!(matches!(sort(libc::EAGAIN), SendFault::Full));
        assert!(matches!(sort(libc::ENOBUFS), SendFault::Full));
    }

    #[test]
    fn a_frame_that_is_not_taken_is_the_one_it_stopped_at() {
        let pieces: [&[u8]; 5] = [b"1", b"2", b"bad", b"full", b"3"];
        let (losses, mut interrupted) = (Losses::default(), false);
        let mut send = |pieces: &[&[u8]]| {
            let sent = send_each(pieces.iter().copied(), &losses, |piece| match piece {
                b"bad" => Err(io::Error::from_raw_os_error(libc::EINVAL)),
                b"full" => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
                b"2" if !std::mem::replace(&mut interrupted, true) => Err(io::Error::from_raw_os_error(libc::EINTR)),
                piece => Ok(piece.len()),
            });
            sent.unwrap()
        };
        assert_eq!(send(&pieces), Sent { taken: 2, stopped: Some(Stop::Refused) });
        assert_eq!(send(&pieces[3..]), Sent { taken: 0, stopped: Some(Stop::Full) });
        assert_eq!(send(&pieces[..2]), Sent { taken: 2, stopped: None });
        assert_eq!(losses.refused(), 1);
        let gone = |_: &[u8]| Err(io::Error::from_raw_os_error(libc::EBADFD));
        let error = send_each(pieces.into_iter(), &losses, gone).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADFD));
    }
}
