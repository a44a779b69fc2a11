//! How do frames enter and leave by the host end of a veth, many small ones a second? By `AF_XDP`
//! (`Documentation/networking/af_xdp.rst`, `linux/if_xdp.h`): frames lie in memory that the kernel and the queue share, a
//! burst is received without a system call and sent by one.
//!
//! | file | the question |
//! | --- | --- |
//! | `mod.rs` | what is such a port to the engine? |
//! | `socket.rs` | a socket with its memory and its rings |
//! | `ring.rs` | how do descriptors pass between the queue and the kernel? |
//! | `umem.rs` | where do the frames lie? |
//! | `program.rs` | what sends a link's frames to the sockets? |
//!
//! What the kernel does, measured on Linux 6.18:
//!
//! | state | receive | send | epoll, edge-triggered |
//! | --- | --- | --- | --- |
//! | up | frames, then none | taken | IN at every frame |
//! | peer down | none | taken, and lost | nothing |
//! | down | queued frames, then none | ENETDOWN | nothing when it goes down or comes up |
//! | deleted, at either end or with a namespace | queued frames, ENETDOWN once (told as ENODEV), then none | ENXIO | nothing |
//!
//! - A deletion shows on the next receive or send only: whoever must know at once asks netlink.
//! - A burst that met ENETDOWN stays in the ring and leaves first when the link is up again; what is sent meanwhile is not
//!   added to it.
//! - A peer moved to another namespace, a rename, down and up again: the same socket goes on.
//! - Frames that are sent too short (13 octets) or too long (MTU + 18) are taken and dropped in silence, so they are
//!   refused here. MTU + 18 holds whatever the tags; the kernel measures received ones likewise.
//! - A frame lies in one chunk of at most 4096 octets, of which the kernel leaves 256 free, so the MTU is at most
//!   [`MAX_MTU`], 3822. In native mode the kernel allows the peer 3506.
//! - An unfinished checksum arrives as it is, with nothing that tells of it: the container's end has to have its offloads
//!   off ([`crate::ethtool::offloads_off`]). A super-frame is longer than a chunk, and dropped.
//! - A tag that the container's stack puts beside the frame is lost: it has to go into the frame
//!   ([`crate::ethtool::tags_in_frames`]). Tags in frames pass both ways.
//! - The program drops what no socket reads: nothing reaches the host's own stack.
//! - When the process ends, the program is off the link at once; the link's queues are free a moment later, which opening
//!   waits for.
//! - A link has the program of one process: EBUSY for a second one.
//!
//! # Queues
//! One socket for each queue of the link, one queue for each worker; the link is to have as many
//! ([`crate::ethtool::set_queues`]). All send. One receives, because the peer sends by one queue and the kernel's generic
//! XDP does not tell queues of a veth apart (measured: all of 64 flows by two queues arrived on the first); it is the
//! first, and the engine deals first queues out among its workers.
//!
//! Each queue, also one that never receives, has 2048 chunks to receive with and 512 to send with, of 2048 octets (MTU up to
//! 1774) or 4096: 5 or 10 MiB of pinned memory for each worker.
//!
//! # What was tried
//! Frames of 60 octets from one namespace to another through a bare forwarder of one thread, two CPUs, thousands a second;
//! the plain Linux bridge moved 470 to 490 in the same rounds. In each it is the generator's CPU that has no time left,
//! which does the bridge's work, too.
//!
//! | what | result |
//! | --- | --- |
//! | generic mode (`XDP_FLAGS_SKB_MODE`), in use | 514 to 539 |
//! | native mode (`XDP_FLAGS_DRV_MODE`) | 464 to 528: a veth makes a packet buffer in any case. It tells queues apart (30 and 34 of 64 flows) |
//! | native mode with threaded NAPI, or receive packet steering (RPS) at the host end | next to none arrive: the kernel's share keeps the worker's CPU to itself |
//! | RPS at the container's end | 260 to 310: wake-ups of the other CPU |
//! | generic receive offload at the container's end | 524; with threaded NAPI there, 468 |
//! | 20 us of sleep after each burst instead of waiting at once | 472 to 530 |
//! | `XDP_USE_NEED_WAKEUP` | not used: in copy mode every burst is sent by a call all the same, and epoll would send, too |
//!
//! Not done: zero copy and hardware hints, which a veth does not have; frames over several chunks; busy polling, as a veth
//! in generic mode has no NAPI instance to poll.

mod program;
mod ring;
mod socket;
mod umem;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use frame::{Batch, ethernet};

use crate::losses::{Losses, down};
use crate::{Port, Sent, Stop, sys};
use program::{Attachment, Program};
use socket::XdpSocket;

/// Octets on top of the MTU that a veth lets through: the Ethernet header and one tag (`is_skb_forwardable`,
/// net/core/dev.c), whatever they are.
const OVERHEAD: u32 = (ethernet::HEADER_OCTETS + ethernet::TAG_OCTETS) as u32;

/// The largest MTU, octets: the longest frame has to fit in 4096 octets with the 256 that the kernel leaves before it.
pub const MAX_MTU: u32 = umem::MAX_FRAME_OCTETS - OVERHEAD;

/// Frames in one burst from which on the queue is thought to have been under pressure, so that its overflows are asked
/// for when it has been drained. High enough that the extra system call does not show.
const PRESSED: usize = 32;

/// One queue of the host end of a veth.
pub struct XdpQueue {
    name: Arc<str>,
    socket: XdpSocket,
    /// The longest frame that may be sent, octets.
    frame_octets: usize,
    /// Many frames have come since overflows were last asked for.
    pressed: bool,
    /// Overflows as they were then.
    dropped: u64,
    losses: Arc<Losses>,
    _attachment: Arc<Attachment>,
}

/// What the kernel refused when a port was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An `AF_XDP` socket: `EAFNOSUPPORT` without `CONFIG_XDP_SOCKETS`, `EPERM` without `CAP_NET_RAW`, `ENOBUFS` where
    /// its memory is more than `RLIMIT_MEMLOCK` and `CAP_IPC_LOCK` is missing, `EINVAL` where the link has fewer queues,
    /// `ENODEV` where there is no link.
    #[error("cannot open an AF_XDP socket: {0}")]
    Socket(io::Error),
    /// The XDP program or its map: `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`, `ENOSYS` without bpf(2).
    #[error("cannot load an XDP program: {0}")]
    Program(io::Error),
    /// The program on the link: `EBUSY` where there is another, `EPERM` without `CAP_NET_ADMIN`.
    #[error("cannot put an XDP program on the link: {0}")]
    Attach(io::Error),
    /// What cannot be: no queue, an MTU above [`MAX_MTU`], no such link.
    #[error("cannot be opened by AF_XDP: {0}")]
    Settings(io::Error),
}

/// Open the link of this name and MTU in the calling thread's network namespace, with `queues` queues, of which one
/// receives; the link must have as many (see [`crate::ethtool::set_queues`]).
///
/// # Errors
/// [`OpenError`].
pub fn open(name: &str, mtu: u32, queues: usize) -> Result<Vec<XdpQueue>, OpenError> {
    open_index(name, sys::interface_index(name).map_err(OpenError::Settings)?, mtu, queues)
}

/// [`open`] for a link whose number (ifindex) is known; the name is only what the port is called.
///
/// # Errors
/// As [`open`].
pub fn open_index(name: &str, index: u32, mtu: u32, queues: usize) -> Result<Vec<XdpQueue>, OpenError> {
    if queues == 0 || mtu > MAX_MTU {
        let message = format!("an xdp port has at least one queue, and an MTU of at most {MAX_MTU}");
        return Err(OpenError::Settings(io::Error::new(io::ErrorKind::InvalidInput, message)));
    }
    let program = Program::load(queues as u32).map_err(OpenError::Program)?;
    let frame_octets = mtu + OVERHEAD;
    let (name, losses) = (Arc::<str>::from(name), Arc::<Losses>::default());
    let mut sockets = Vec::with_capacity(queues);
    for queue in 0..queues as u32 {
        let socket = XdpSocket::open(index, queue, frame_octets).map_err(OpenError::Socket)?;
        program.direct(queue, socket.as_fd()).map_err(OpenError::Program)?;
        sockets.push(socket);
    }
    let attachment = Arc::new(program.attach(index).map_err(OpenError::Attach)?);
    let queue = |socket| XdpQueue {
        name: Arc::clone(&name),
        socket,
        frame_octets: frame_octets as usize,
        pressed: false,
        dropped: 0,
        losses: Arc::clone(&losses),
        _attachment: Arc::clone(&attachment),
    };
    Ok(sockets.into_iter().map(queue).collect())
}

impl XdpQueue {
    fn count_overflows(&mut self) {
        self.pressed = false;
        if let Ok(dropped) = self.socket.dropped() {
            self.losses.count_overflowed(dropped.saturating_sub(self.dropped));
            self.dropped = dropped;
        }
    }

    /// Load the frames that `picks` names, and send when there is no room for more; how far that came.
    fn load(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        for (taken, &pick) in picks.iter().enumerate() {
            let octets = batch[pick as usize].octets();
            // Neither would the kernel refuse: it takes them and drops them.
            if !(ethernet::HEADER_OCTETS..=self.frame_octets).contains(&octets.len()) {
                self.losses.count_refused();
                return Ok(Sent { taken, stopped: Some(Stop::Refused) });
            }
            if self.socket.load(octets) {
                continue;
            }
            self.socket.kick().map_err(health)?;
            self.socket.reap();
            if !self.socket.load(octets) {
                return Ok(Sent { taken, stopped: Some(Stop::Full) });
            }
        }
        Ok(Sent { taken: picks.len(), stopped: None })
    }
}

/// An error of sending is the port's: down, or gone.
fn health(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ENETDOWN) { down() } else { error }
}

impl Port for XdpQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes_offload(&self) -> bool {
        false
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let received = self.socket.receive(batch.spare(), &self.losses);
        batch.commit(received);
        self.pressed |= received >= PRESSED;
        if self.pressed && !batch.is_full() {
            self.count_overflows();
        }
        if received == 0 && self.socket.fault()?.is_some() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        Ok(received)
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        self.socket.reap();
        if self.socket.is_stuck() {
            self.socket.kick().map_err(health)?;
        }
        let loaded = self.load(batch, picks);
        self.socket.kick().map_err(health)?;
        loaded
    }

    fn losses(&self) -> Option<Arc<Losses>> {
        Some(Arc::clone(&self.losses))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}
