//! How do frames enter and leave by a TAP with offloads? (Linux Documentation/networking/tuntap.rst,
//! `linux/if_tun.h`) One descriptor a queue, one read or write a frame, each with its 10-octet virtio-net header, so that
//! super-frames and unfinished checksums pass as they are. A burst of them is one system call where the kernel gives us
//! `io_uring` (`ring`), one each where it does not.
//!
//! What the kernel does, measured on Linux 6.18:
//!
//! | state | read | write | epoll, edge-triggered |
//! | --- | --- | --- | --- |
//! | up | a frame, then EAGAIN | taken; never EAGAIN (the send buffer is unlimited) | IN at every frame |
//! | down | queued frames, then EAGAIN | EIO | nothing when it goes down, IN when it comes up |
//! | device deleted | EBADFD | EBADFD | ERR once, without IN |
//! | namespace gone | EBADFD | EBADFD | ERR once, without IN |
//!
//! - Administratively down shows on writing only: whoever must know at once asks netlink.
//! - A write of fewer than 14 octets of frame, or with an offload header that does not fit, is EINVAL. The device's
//!   MTU does not limit a write: the switch itself must keep to it.
//! - A frame the receiving stack drops later (its backlog is full) was still taken.
//! - A descriptor keeps the namespace in which `/dev/net/tun` was *opened* alive, and `TUNSETIFF` looks for the
//!   device there. Created outside and moved in, a TAP dies with the container's namespace. Reattached from
//!   inside, its descriptor holds the namespace: when the last process leaves, nothing is deleted, nothing is
//!   reported. Where the device has meanwhile moved elsewhere, the same call makes a new device.
//! - The device's flags belong to the last attacher: joining without `IFF_VNET_HDR` takes the header away from
//!   all queues. Joining without `IFF_MULTI_QUEUE` is EINVAL. A name of another kind of link is EINVAL.
//! - Header size and offloads belong to the device, too; both stay with a persistent device nobody holds open.
//!
//! Not done: `IFF_NAPI`, steering programs (`TUNSETSTEERINGEBPF`), the link's speed (see the ethtool module).

mod ring;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use frame::{Batch, offload::VNET_HEADER_OCTETS};

use crate::losses::{self, Losses};
use crate::port::{self, Stop};
use crate::{Port, Sent, sys};
use ring::{Ring, RingFault};

/// Always with `IFF_MULTI_QUEUE`, so that a later start may attach with another number of queues.
const FLAGS: u16 = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE) as u16;
/// What the kernel may leave to the reader: checksums and TCP super-frames (`TUN_F_*`).
const OFFLOADS: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// UDP super-frames, since Linux 6.2, and only as a pair.
const UDP_OFFLOADS: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// One queue of a TAP with virtio-net headers.
pub struct TapQueue {
    name: Arc<str>,
    // Before the file: a ring names its descriptor.
    way: Way,
    file: File,
    losses: Arc<Losses>,
}

/// How the frames of a queue are read and written.
enum Way {
    /// Not known yet: a queue that is never used needs no ring.
    Untried,
    Ring(Box<Ring>),
    /// One system call each.
    Calls,
}

/// Make a TAP with `queues` queues in the calling thread's network namespace, or attach to the persistent TAP of
/// that name after its owner died. An empty name lets the kernel choose (`tap0`, ...): see [`Port::name`]. The
/// device disappears with its last queue unless [`TapQueue::set_persist`] says otherwise.
///
/// # Errors
/// `InvalidInput`: a name the kernel would cut or refuse, or no queue. `NotFound`: no `/dev/net/tun`.
/// `PermissionDenied`: it may not be opened, or `CAP_NET_ADMIN` is missing (`EPERM`). `EINVAL`: the name belongs to
/// another kind of link. `EBUSY`: to a TAP in wire mode that is open.
pub fn create(name: &str, queues: usize) -> io::Result<Vec<TapQueue>> {
    if !name.is_empty() {
        sys::check_name(name)?;
    }
    if queues == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a TAP needs at least one queue"));
    }
    let losses = Arc::<Losses>::default();
    let mut opened: Vec<TapQueue> = Vec::with_capacity(queues);
    for _ in 0..queues {
        let wanted = opened.first().map_or(name, |first| &*first.name);
        let (file, name) = open(wanted)?;
        opened.push(TapQueue { name: name.into(), file, way: Way::Untried, losses: Arc::clone(&losses) });
    }
    Ok(opened)
}

fn open(name: &str) -> io::Result<(File, String)> {
    // The standard library adds O_CLOEXEC.
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    let name = sys::tun_attach(file.as_fd(), name, FLAGS)?;
    sys::tun_set_header_octets(file.as_fd(), VNET_HEADER_OCTETS as u8)?;
    match sys::tun_set_offload(file.as_fd(), OFFLOADS | UDP_OFFLOADS) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => sys::tun_set_offload(file.as_fd(), OFFLOADS)?,
        result => result?,
    }
    Ok((file, name))
}

impl TapQueue {
    /// Should the device, its addresses and its place in a namespace outlive the last queue?
    ///
    /// # Errors
    /// `EBADFD`: the device is gone.
    pub fn set_persist(&self, on: bool) -> io::Result<()> {
        sys::tun_set_persist(self.file.as_fd(), on)
    }

    fn ring(&mut self) -> Option<&mut Ring> {
        if matches!(self.way, Way::Untried) {
            self.way = Ring::new(&self.file).map_or(Way::Calls, |ring| Way::Ring(Box::new(ring)));
        }
        match &mut self.way {
            Way::Ring(ring) => Some(ring),
            Way::Untried | Way::Calls => None,
        }
    }
}

impl Port for TapQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes_offload(&self) -> bool {
        true
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let losses = Arc::clone(&self.losses);
        if let Some(ring) = self.ring() {
            match ring.receive(batch, &losses) {
                Err(RingFault::Unusable) => self.way = Way::Calls,
                Err(RingFault::Health(error)) => return Err(error),
                Ok(received) => return Ok(received),
            }
        }
        let Self { file, losses, .. } = self;
        losses::recv_each(batch, losses, |frame| {
            let area = frame.receive_area_with_header();
            let len = file.read(area)?;
            let whole = len < area.len();
            frame.received_with_header(len);
            Ok(whole)
        })
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        let pieces = picks.iter().map(|&pick| batch[pick as usize].with_header());
        losses::send_each(pieces, &self.losses, |piece| self.file.write(piece))
    }

    fn send_all(&mut self, batch: &Batch, picks: &[u16], lost: &mut dyn FnMut(usize, Stop)) -> io::Result<()> {
        // A single frame is sooner written than asked for; and whether the ring can be used, the first receive finds out.
        if picks.len() == 1 || matches!(self.way, Way::Untried) {
            return port::send_one_by_one(self, batch, picks, lost);
        }
        let losses = Arc::clone(&self.losses);
        let mut done = 0;
        if let Some(ring) = self.ring() {
            match ring.send(batch, picks, &losses, lost, &mut done) {
                Err(RingFault::Unusable) => self.way = Way::Calls,
                Err(RingFault::Health(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
        port::send_one_by_one(self, batch, &picks[done..], &mut |place, stop| lost(done + place, stop))
    }

    fn losses(&self) -> Option<Arc<Losses>> {
        Some(Arc::clone(&self.losses))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}
