//! How do many frames pass in one system call? `recvmmsg(2)` and `sendmmsg(2)` over arrays that are made once, whose
//! entries point straight into the frames' own buffers.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use frame::Frame;
use libc::{c_uint, iovec, mmsghdr, tpacket_auxdata};

use crate::losses::{Losses, SendFault};
use crate::sys::counted;
use crate::{Sent, Stop};

/// Octets for the one control message asked for, `PACKET_AUXDATA`: 16 of `struct cmsghdr` and 20 of
/// `struct tpacket_auxdata`, padded. Any other control message would be cut off and is not wanted.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Arrays for bursts of up to as many frames as they were made for.
pub(super) struct Messages {
    headers: Box<[mmsghdr]>,
    pieces: Box<[iovec]>,
    controls: Box<[Control]>,
}

// SAFETY: the raw pointers in `headers` lead into `pieces` and `controls`, which move with them and are not shared;
// those in `pieces` lead to frames and are only followed during a call that set them anew.
unsafe impl Send for Messages {}

impl Messages {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        // SAFETY: `mmsghdr` is integers and pointers, for which all zeros is a valid value: an empty message.
        let empty: mmsghdr = unsafe { std::mem::zeroed() };
        let piece = iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Self {
            headers: vec![empty; capacity].into_boxed_slice(),
            pieces: vec![piece; capacity].into_boxed_slice(),
            controls: vec![Control([0; 64]); capacity].into_boxed_slice(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Receive one message into each of the first frames, header included; how many came. The frames are left
    /// for [`Messages::received`] to finish.
    pub(super) fn receive(&mut self, fd: BorrowedFd<'_>, frames: &mut [Frame]) -> io::Result<usize> {
        let count = frames.len().min(self.capacity());
        for (index, frame) in frames[..count].iter_mut().enumerate() {
            let area = frame.receive_area_with_header();
            self.pieces[index] = iovec { iov_base: area.as_mut_ptr().cast(), iov_len: area.len() };
            let header = &mut self.headers[index].msg_hdr;
            (header.msg_iov, header.msg_iovlen) = (&raw mut self.pieces[index], 1);
            header.msg_control = (&raw mut self.controls[index]).cast();
            header.msg_controllen = size_of::<Control>() as _;
        }
        let (headers, count) = (self.headers.as_mut_ptr(), count as c_uint);
        // SAFETY: the first `count` headers point at `pieces` and `controls`, which outlive the call, and the pieces
        // at the buffers of `frames`, which this function borrows mutably; each length is that of what it points at.
        let received = unsafe { libc::recvmmsg(fd.as_raw_fd(), headers, count, libc::MSG_DONTWAIT, ptr::null_mut()) };
        counted(received)
    }

    /// Octets of the message with this place in the last burst, its header included; `None` when its end was cut off.
    pub(super) fn received(&self, index: usize) -> Option<usize> {
        let message = &self.headers[index];
        (message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0).then_some(message.msg_len as usize)
    }

    /// The VLAN tag that the kernel took out of that message: its type and its control information.
    pub(super) fn tag(&self, index: usize) -> Option<(u16, u16)> {
        let aux = self.aux(index)?;
        let has = |flag| aux.tp_status & flag != 0;
        if !has(libc::TP_STATUS_VLAN_VALID) {
            return None;
        }
        let tag_type =
            if has(libc::TP_STATUS_VLAN_TPID_VALID) { aux.tp_vlan_tpid } else { frame::ethernet::ether_type::VLAN };
        Some((tag_type, aux.tp_vlan_tci))
    }

    fn aux(&self, index: usize) -> Option<tpacket_auxdata> {
        let header = &self.headers[index].msg_hdr;
        // SAFETY: after a receive, `msg_control` and `msg_controllen` name the control messages the kernel wrote into
        // this message's `Control`, which is aligned for `cmsghdr`; CMSG_FIRSTHDR is null when there is none.
        let first = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() }?;
        // SAFETY: CMSG_LEN only computes.
        let wanted = unsafe { libc::CMSG_LEN(size_of::<tpacket_auxdata>() as c_uint) } as usize;
        let fits = first.cmsg_level == libc::SOL_PACKET && first.cmsg_type == libc::PACKET_AUXDATA;
        if !fits || (first.cmsg_len as usize) < wanted {
            return None;
        }
        // SAFETY: level, type and length say that a whole `tpacket_auxdata` follows, which is made of integers only.
        Some(unsafe { ptr::read_unaligned(libc::CMSG_DATA(first).cast()) })
    }

    /// Send each piece as one message, until one is not taken.
    ///
    /// `sendmmsg` stops at the first message that fails and tells why only when called again from there.
    ///
    /// # Errors
    /// The port's health.
    pub(super) fn send<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        mut pieces: impl Iterator<Item = &'a [u8]>,
        losses: &Losses,
    ) -> io::Result<Sent> {
        let mut taken = 0;
        loop {
            let loaded = self.load(&mut pieces);
            if loaded == 0 {
                return Ok(Sent { taken, stopped: None });
            }
            let mut at = 0;
            while at < loaded {
                let (headers, count) = (self.headers[at..loaded].as_mut_ptr(), (loaded - at) as c_uint);
                // SAFETY: `load` pointed these headers at `pieces`, and those at slices that live for 'a, which
                // outlasts this call; the kernel only reads them.
                let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers, count, libc::MSG_DONTWAIT) };
                match counted(sent).map_err(SendFault::from_error) {
                    Ok(0) | Err(SendFault::Full) => return Ok(Sent { taken, stopped: Some(Stop::Full) }),
                    Ok(sent) => (taken, at) = (taken + sent, at + sent),
                    Err(SendFault::Interrupted) => {}
                    Err(SendFault::Refused) => {
                        losses.count_refused();
                        return Ok(Sent { taken, stopped: Some(Stop::Refused) });
                    }
                    Err(SendFault::Health(_)) if taken > 0 => return Ok(Sent { taken, stopped: None }),
                    Err(SendFault::Health(error)) => return Err(error),
                }
            }
        }
    }

    /// Point the first messages at the next pieces, as many as there is room for; how many that is.
    fn load<'a>(&mut self, pieces: &mut impl Iterator<Item = &'a [u8]>) -> usize {
        let mut loaded = 0;
        for (slot, piece) in self.pieces.iter_mut().zip(pieces) {
            *slot = iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() };
            let header = &mut self.headers[loaded].msg_hdr;
            (header.msg_iov, header.msg_iovlen) = (slot, 1);
            (header.msg_control, header.msg_controllen) = (ptr::null_mut(), 0);
            loaded += 1;
        }
        loaded
    }
}
