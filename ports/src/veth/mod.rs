//! How do frames enter and leave by the host end of a veth? By AF_PACKET (packet(7), `linux/if_packet.h`): one raw
//! socket a queue, bound to the link, with the 10-octet virtio-net header (`PACKET_VNET_HDR`) before every frame.
//!
//! What the kernel does, measured on Linux 6.18:
//!
//! | state | receive | send | epoll, edge-triggered |
//! | --- | --- | --- | --- |
//! | up | frames, then EAGAIN | taken | IN at every frame |
//! | peer down | EAGAIN | taken, and lost | nothing |
//! | down | ENETDOWN once, then queued frames, then EAGAIN | ENETDOWN | ERR once; nothing when it comes up again |
//! | deleted, at either end or with a namespace | ENETDOWN once, then EAGAIN | ENXIO (ENETDOWN on the way) | ERR once, without IN |
//!
//! - Deletion and going down look alike to a receiver; after a deletion the socket is bound to no interface, which is
//!   asked for here. It may be asked too early, while the link is going: netlink has the last word.
//! - Opened while the link is down, the first receive says so.
//! - A peer moved to another namespace, a rename, down and up again: the same socket goes on.
//! - Sends refused, one frame each: EINVAL (shorter than 14 octets; an offload header that does not fit, its
//!   `header_len` longer than the frame included), EMSGSIZE (longer than MTU + 14; MTU + 18 when the *outermost* tag
//!   is 0x8100, so a full-sized frame with an 0x88a8 tag needs a larger MTU), ENOMEM (the old UDP fragmentation type).
//! - A super-frame is not held against the MTU. One of more than 65,536 octets in all is cut up by the kernel before it
//!   reaches the peer; a tagged one passes whole.
//! - Received tags lie beside the frame (`PACKET_AUXDATA`), the outermost of two and those the peer wrote into the
//!   frame itself as well; `checksum_start` counts without it.
//! - `PACKET_IGNORE_OUTGOING` keeps own sends from being read back.
//! - `PACKET_QDISC_BYPASS` is not used: it drops frames that must be segmented on the way.
//! - Right after a link has come up sends can be taken and lost: seen on a busy machine, and no more once the link's
//!   operational state was UP.
//!
//! Not done: a TPACKET ring, as recvmmsg copies once, too, and wakes at once; telling the host's own stack to leave the
//! frames alone, which is a matter of the link.

mod messages;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use frame::{Batch, batch::BURST};
use socket2::{Domain, SockFilter, Socket, Type};

use crate::losses::{Losses, down};
use crate::{Port, Sent, sys};
use messages::Messages;

/// Octets of send and receive buffer asked for; the kernel doubles it. A super-frame is charged with about 70 KiB,
/// the default of 208 KiB would hold three. This holds a hundred, or ten thousand small frames.
const BUFFER_OCTETS: libc::c_int = 4 << 20;

/// Frames in one call from which on the queue is thought to have been under pressure, so that its overflows are asked
/// for when it has been drained. High enough that the extra system call does not show.
const PRESSED: usize = 32;

/// One queue of the host end of a veth.
pub struct VethQueue {
    name: Arc<str>,
    socket: Socket,
    messages: Messages,
    offload: bool,
    pressed: bool,
    losses: Arc<Losses>,
}

/// Open the link of this name in the calling thread's network namespace with `queues` queues, between which the kernel
/// divides flows by their hash (`PACKET_FANOUT_HASH`). `offload` says whether the container's end may be sent, and
/// sends, super-frames and unfinished checksums.
///
/// # Errors
/// `InvalidInput`: no such name can be, or no queue. `ENODEV`: no link of that name. `EPERM`: `CAP_NET_RAW` is missing.
/// Before Linux 6.13, several queues on a link that is down: `EINVAL`.
pub fn open(name: &str, queues: usize, offload: bool) -> io::Result<Vec<VethQueue>> {
    open_index(name, sys::interface_index(name)?, queues, offload)
}

/// [`open`] for a link whose number (ifindex) is known; the name is only what the port is called.
///
/// # Errors
/// As [`open`].
pub fn open_index(name: &str, index: u32, queues: usize, offload: bool) -> io::Result<Vec<VethQueue>> {
    if queues == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a veth needs at least one queue"));
    }
    let (name, losses) = (Arc::<str>::from(name), Arc::<Losses>::default());
    let mut opened: Vec<VethQueue> = Vec::with_capacity(queues);
    for _ in 0..queues {
        let socket = open_socket(index)?;
        if queues > 1 {
            join_fanout(&socket, opened.first().map(|first| &first.socket))?;
        }
        socket.detach_filter()?;
        opened.push(VethQueue {
            name: Arc::clone(&name),
            socket,
            messages: Messages::with_capacity(BURST),
            offload,
            pressed: false,
            losses: Arc::clone(&losses),
        });
    }
    Ok(opened)
}

/// A bound socket that hears nothing yet: until it has joined its group it would hear what the others hear, so a
/// filter drops everything.
fn open_socket(index: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    for option in [libc::PACKET_VNET_HDR, libc::PACKET_AUXDATA, libc::PACKET_IGNORE_OUTGOING] {
        sys::set_option(&socket, libc::SOL_PACKET, option, 1)?;
    }
    set_buffer(&socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
    set_buffer(&socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
    socket.attach_filter(&[SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0)])?;
    sys::packet_bind(&socket, index, libc::ETH_P_ALL as u16)?;
    Ok(socket)
}

/// Beyond the system's limit where `CAP_NET_ADMIN` allows it, else up to the limit.
fn set_buffer(socket: &Socket, forced: libc::c_int, unforced: libc::c_int) -> io::Result<()> {
    sys::set_option(socket, libc::SOL_SOCKET, forced, BUFFER_OCTETS)
        .or_else(|_| sys::set_option(socket, libc::SOL_SOCKET, unforced, BUFFER_OCTETS))
}

/// Join the group of the port's first queue; the first one makes the group, under a number of the kernel's choice.
fn join_fanout(socket: &Socket, first: Option<&Socket>) -> io::Result<()> {
    let group = match first {
        None => libc::PACKET_FANOUT_FLAG_UNIQUEID << 16,
        Some(first) => sys::option::<1>(first, libc::SOL_PACKET, libc::PACKET_FANOUT)?[0] & 0xffff,
    };
    let group = group | libc::PACKET_FANOUT_HASH << 16;
    sys::set_option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, group.cast_signed())
}

impl VethQueue {
    /// Receive one burst and give it to `batch`; how many messages came, those dropped here included.
    fn receive_burst(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let spare = batch.spare();
        let received = self.messages.receive(self.socket.as_fd(), spare)?;
        let mut kept = 0;
        for index in 0..received {
            let Some(octets) = self.messages.received(index) else {
                self.losses.count_truncated();
                continue;
            };
            spare.swap(kept, index);
            spare[kept].received_with_header(octets);
            if let Some((tag_type, control)) = self.messages.tag(index) {
                spare[kept].insert_tag(tag_type, control);
            }
            kept += 1;
        }
        batch.commit(kept);
        Ok(received)
    }

    /// ENETDOWN while receiving: down, or gone?
    fn down_or_gone(&self) -> io::Error {
        match sys::packet_interface(&self.socket) {
            Ok(Some(_)) => down(),
            Ok(None) => io::Error::from_raw_os_error(libc::ENODEV),
            Err(error) => error,
        }
    }

    fn count_overflows(&mut self) {
        self.pressed = false;
        // `struct tpacket_stats`: frames, drops; reading it starts both again from zero.
        if let Ok([_, drops]) = sys::option::<2>(&self.socket, libc::SOL_PACKET, libc::PACKET_STATISTICS) {
            self.losses.count_overflowed(u64::from(drops));
        }
    }
}

impl Port for VethQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes_offload(&self) -> bool {
        self.offload
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let (before, mut health) = (batch.len(), Ok(()));
        while !batch.is_full() {
            let room = batch.spare().len().min(self.messages.capacity());
            match self.receive_burst(batch) {
                Ok(received) => {
                    self.pressed |= received >= PRESSED;
                    if received < room {
                        break;
                    }
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => break,
                    Some(libc::EINTR) => {}
                    // It comes before the frames that are still queued: take those along.
                    Some(libc::ENETDOWN) if health.is_ok() => health = Err(self.down_or_gone()),
                    _ => return Err(error),
                },
            }
        }
        if self.pressed && !batch.is_full() {
            self.count_overflows();
        }
        health.map(|()| batch.len() - before)
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        let pieces = picks.iter().map(|&pick| batch[pick as usize].with_header());
        self.messages.send(self.socket.as_fd(), pieces, &self.losses)
    }

    /// Overflows are looked up after busy moments.
    fn losses(&self) -> Option<Arc<Losses>> {
        Some(Arc::clone(&self.losses))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}
