//! One `AF_XDP` socket: its UMEM, its four rings, its place on one queue of one link (`linux/if_xdp.h`,
//! `Documentation/networking/af_xdp.rst`).

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::thread;
use std::time::Duration;

use frame::Frame;
use libc::{c_int, socklen_t, xdp_desc, xdp_mmap_offsets, xdp_statistics};
use socket2::{Domain, Socket, Type};

use super::ring::{Consumer, Producer};
use super::umem::Umem;
use crate::losses::Losses;
use crate::sys;

/// Chunks and descriptors to receive with: as many frames can wait.
const RECEIVE_CHUNKS: u32 = 2048;
/// Chunks and descriptors to send with: as many frames can be on their way through the kernel.
const SEND_CHUNKS: u32 = 512;
/// `XDP_MAX_TX_SKB_BUDGET` (`linux/if_xdp.h`, since Linux 6.17): frames sent by one call, 32 unless told otherwise.
const XDP_MAX_TX_SKB_BUDGET: c_int = 9;
/// Octets that frames on their way may be charged with: more than all send chunks can be.
const SEND_BUFFER_OCTETS: c_int = 4 << 20;

/// A socket that was closed, by a crash as well, lets its queue go a moment later: how often to look, and how long to wait
/// in between. Nothing but opening waits.
const RELEASE_LOOKS: u32 = 50;
const RELEASE_PAUSE: Duration = Duration::from_millis(10);

/// A socket with the memory that it and the kernel share. Fields are dropped in this order: the socket before its memory.
pub(super) struct XdpSocket {
    socket: Socket,
    fill: Producer<u64>,
    received: Consumer<xdp_desc>,
    transmit: Producer<xdp_desc>,
    completed: Consumer<u64>,
    umem: Umem,
    /// Send chunks that hold no frame.
    spare: Vec<u64>,
}

impl XdpSocket {
    /// A socket on one queue of a link, ready to receive, for frames of at most so many octets.
    pub(super) fn open(ifindex: u32, queue: u32, frame_octets: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::from(libc::AF_XDP), Type::RAW, None)?;
        let umem = Umem::new(RECEIVE_CHUNKS + SEND_CHUNKS, frame_octets)?;
        set(&socket, libc::XDP_UMEM_REG, &umem.registration())?;
        for (option, length) in [
            (libc::XDP_UMEM_FILL_RING, RECEIVE_CHUNKS),
            (libc::XDP_RX_RING, RECEIVE_CHUNKS),
            (libc::XDP_UMEM_COMPLETION_RING, SEND_CHUNKS),
            (libc::XDP_TX_RING, SEND_CHUNKS),
        ] {
            set(&socket, option, &length)?;
        }
        // Only spares calls; older kernels do without.
        let _ = set(&socket, XDP_MAX_TX_SKB_BUDGET, &SEND_CHUNKS);
        sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER_OCTETS)
            .or_else(|_| sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER_OCTETS))?;
        let (fd, offsets) = (socket.as_fd(), ring_offsets(&socket)?);
        let mut opened = Self {
            fill: Producer::map(fd, libc::XDP_UMEM_PGOFF_FILL_RING.cast_signed(), &offsets.fr, RECEIVE_CHUNKS)?,
            received: Consumer::map(fd, libc::XDP_PGOFF_RX_RING, &offsets.rx, RECEIVE_CHUNKS)?,
            transmit: Producer::map(fd, libc::XDP_PGOFF_TX_RING, &offsets.tx, SEND_CHUNKS)?,
            completed: Consumer::map(fd, libc::XDP_UMEM_PGOFF_COMPLETION_RING.cast_signed(), &offsets.cr, SEND_CHUNKS)?,
            spare: (RECEIVE_CHUNKS..RECEIVE_CHUNKS + SEND_CHUNKS).map(|number| umem.chunk(number)).collect(),
            umem,
            socket,
        };
        for number in 0..RECEIVE_CHUNKS {
            opened.fill.push(opened.umem.chunk(number));
        }
        opened.fill.publish();
        for _ in 0..RELEASE_LOOKS {
            match bind(&opened.socket, ifindex, queue) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => thread::sleep(RELEASE_PAUSE),
                bound => return bound.map(|()| opened),
            }
        }
        bind(&opened.socket, ifindex, queue).map(|()| opened)
    }

    /// Copy waiting frames into the first of `frames`; how many.
    #[inline]
    pub(super) fn receive(&mut self, frames: &mut [Frame], losses: &Losses) -> usize {
        let mut count = 0;
        while count < frames.len() {
            let Some(found) = self.received.pop() else { break };
            let frame = &mut frames[count];
            let octets = found.len as usize;
            if frame.receive_area().get_mut(..octets).is_some_and(|area| self.umem.copy_out(found.addr, area)) {
                frame.received(octets);
                count += 1;
            } else {
                losses.count_truncated();
            }
            // There is room: every receive chunk has its place in this ring.
            self.fill.push(found.addr);
        }
        self.received.release();
        self.fill.publish();
        count
    }

    /// Copy a frame into a send chunk for the next [`XdpSocket::kick`]; `false` when there is no room.
    #[inline]
    pub(super) fn load(&mut self, octets: &[u8]) -> bool {
        let Some(address) = self.spare.pop() else { return false };
        // There is room: every send chunk has its place in this ring.
        let loaded = self.umem.copy_in(address, octets)
            && self.transmit.push(xdp_desc { addr: address, len: octets.len() as u32, options: 0 });
        if !loaded {
            self.spare.push(address);
        }
        loaded
    }

    /// Take back the chunks of frames that have left.
    #[inline]
    pub(super) fn reap(&mut self) {
        let before = self.spare.len();
        while let Some(address) = self.completed.pop() {
            self.spare.push(address);
        }
        if self.spare.len() > before {
            self.completed.release();
        }
    }

    /// Are there frames that the kernel did not take?
    pub(super) fn is_stuck(&mut self) -> bool {
        self.transmit.waiting() > 0
    }

    /// Show the kernel what was loaded and let it send. What it does not take now stays loaded.
    pub(super) fn kick(&mut self) -> io::Result<()> {
        self.transmit.publish();
        let mut waiting = self.transmit.waiting();
        while waiting > 0 {
            let fd = self.socket.as_raw_fd();
            // SAFETY: no buffer and no address are named.
            let sent = unsafe { libc::sendto(fd, ptr::null(), 0, libc::MSG_DONTWAIT, ptr::null(), 0) };
            let result = if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
            let before = std::mem::replace(&mut waiting, self.transmit.waiting());
            match result {
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    // Its budget is used up, or memory or the send buffer: with progress it is the first.
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::EBUSY) if waiting < before => {}
                    Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV | libc::EBADF) => return Err(error),
                    // What is left leaves with the next burst. A wrong guess here costs a delay, not the port.
                    _ => break,
                },
                Ok(()) if waiting < before => {}
                Ok(()) => break,
            }
        }
        Ok(())
    }

    /// What is wrong with the socket, told once (`SO_ERROR`).
    pub(super) fn fault(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Frames for this socket that the kernel dropped since it was opened.
    pub(super) fn dropped(&self) -> io::Result<u64> {
        let mut statistics = xdp_statistics {
            rx_dropped: 0,
            rx_invalid_descs: 0,
            tx_invalid_descs: 0,
            rx_ring_full: 0,
            rx_fill_ring_empty_descs: 0,
            tx_ring_empty_descs: 0,
        };
        get(&self.socket, libc::XDP_STATISTICS, &mut statistics)?;
        Ok(statistics.rx_dropped + statistics.rx_ring_full)
    }
}

impl AsFd for XdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What the kernel may read from, or write to, a socket option: C structures made of integers only.
trait Plain {}
impl Plain for u32 {}
impl Plain for libc::xdp_umem_reg {}
impl Plain for xdp_mmap_offsets {}
impl Plain for xdp_statistics {}

fn set<T: Plain>(socket: &Socket, option: c_int, value: &T) -> io::Result<()> {
    let (fd, octets) = (socket.as_raw_fd(), size_of_val(value) as socklen_t);
    // SAFETY: the pointer and the length name one value that lives to the end of the call.
    let result = unsafe { libc::setsockopt(fd, libc::SOL_XDP, option, ptr::from_ref(value).cast(), octets) };
    sys::checked(result).map(drop)
}

/// Read an option whole: an older kernel that knows less of it is refused.
fn get<T: Plain>(socket: &Socket, option: c_int, value: &mut T) -> io::Result<()> {
    let (fd, whole) = (socket.as_raw_fd(), size_of_val(value) as socklen_t);
    let mut octets = whole;
    // SAFETY: the kernel writes at most `octets` octets, which is all of `value`; any bits are valid integers.
    sys::checked(unsafe { libc::getsockopt(fd, libc::SOL_XDP, option, ptr::from_mut(value).cast(), &raw mut octets) })?;
    if octets == whole { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

fn ring_offsets(socket: &Socket) -> io::Result<xdp_mmap_offsets> {
    const NONE: libc::xdp_ring_offset = libc::xdp_ring_offset { producer: 0, consumer: 0, desc: 0, flags: 0 };
    let mut offsets = xdp_mmap_offsets { rx: NONE, tx: NONE, fr: NONE, cr: NONE };
    get(socket, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
    Ok(offsets)
}

fn bind(socket: &Socket, ifindex: u32, queue: u32) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: ifindex,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let octets = size_of::<libc::sockaddr_xdp>() as socklen_t;
    // SAFETY: the pointer and the length name one complete `sockaddr_xdp`.
    sys::checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), octets) }).map(drop)
}
