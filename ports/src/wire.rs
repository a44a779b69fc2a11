//! How do frames enter and leave by a TAP in wire mode? Through the `tun-tap` crate, without virtio-net headers:
//! frames as a student would meet them on a cable, at most MTU + 14 octets (18 with a tag), checksums filled in.
//!
//! The crate opens one kernel queue and can open no second, so one queue receives; the queues of other workers share
//! its descriptor to send. What read and write report when the device is down or gone is as in [`crate::tap`].
//!
//! - Opening the name of a TAP that is open already is EBUSY; of one that was made with several queues, EINVAL.
//! - The crate's `recv` cuts silently; whole buffers are given to it, longer than any MTU a TAP can have (65,521).
//!
//! Not done: offloads. The engine finishes checksums and cuts super-frames before it sends here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use frame::Batch;
use tun_tap::{Iface, Mode};

use crate::losses::{self, Losses};
use crate::{Port, Sent, sys};

/// One worker's end of a TAP in wire mode.
pub struct WireQueue {
    interface: Arc<Iface>,
    receives: bool,
    losses: Arc<Losses>,
}

/// Make a TAP in wire mode in the calling thread's network namespace, or attach to the persistent one of that name,
/// for `queues` workers: the first queue receives and sends, the others only send. An empty name lets the kernel
/// choose.
///
/// # Errors
/// As [`crate::tap::create`]; `EBUSY` where anybody holds the TAP open.
pub fn open(name: &str, queues: usize) -> io::Result<Vec<WireQueue>> {
    if !name.is_empty() {
        sys::check_name(name)?;
    }
    if queues == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a TAP needs at least one queue"));
    }
    let interface = Arc::new(Iface::without_packet_info(name, Mode::Tap)?);
    interface.set_non_blocking()?;
    // A persistent device keeps the offloads that an earlier owner asked for.
    sys::tun_set_offload(descriptor(&interface), 0)?;
    let losses = Arc::<Losses>::default();
    let queue =
        |index| WireQueue { interface: Arc::clone(&interface), receives: index == 0, losses: Arc::clone(&losses) };
    Ok((0..queues).map(queue).collect())
}

fn descriptor(interface: &Iface) -> BorrowedFd<'_> {
    // SAFETY: `Iface` owns the descriptor and keeps it open as long as it lives, which the lifetime says.
    unsafe { BorrowedFd::borrow_raw(interface.as_raw_fd()) }
}

impl WireQueue {
    /// Should the device, its addresses and its place in a namespace outlive the last queue?
    ///
    /// # Errors
    /// `EBADFD`: the device is gone.
    pub fn set_persist(&self, on: bool) -> io::Result<()> {
        sys::tun_set_persist(descriptor(&self.interface), on)
    }
}

impl Port for WireQueue {
    fn name(&self) -> &str {
        self.interface.name()
    }

    fn takes_offload(&self) -> bool {
        false
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        if !self.receives {
            return Ok(0);
        }
        let Self { interface, losses, .. } = self;
        losses::recv_each(batch, losses, |frame| {
            let area = frame.receive_area();
            let len = interface.recv(area)?;
            let whole = len < area.len();
            frame.received(len);
            Ok(whole)
        })
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        let pieces = picks.iter().map(|&pick| batch[pick as usize].octets());
        losses::send_each(pieces, &self.losses, |piece| self.interface.send(piece))
    }

    fn losses(&self) -> Option<Arc<Losses>> {
        Some(Arc::clone(&self.losses))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.receives.then(|| descriptor(&self.interface))
    }
}
