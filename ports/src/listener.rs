//! How is the news of several namespaces heard on one socket? `NETLINK_ROUTE` groups with `NETLINK_LISTEN_ALL_NSID`
//! (netlink(7), since Linux 4.2): every namespace that has a number in the socket's own is heard, each message with that
//! number beside it, and none is kept alive by it.
//!
//! Needs `CAP_NET_BROADCAST` here and in each namespace that is to be heard (`do_one_broadcast`,
//! `net/netlink/af_netlink.c`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::socket::{setsockopt, sockopt};

/// Octets of the socket's buffer.
pub(crate) const BUFFER_OCTETS: usize = 16 << 20;
/// The longest message that is read; the kernel's are a few KiB.
const MESSAGE_OCTETS: usize = 64 << 10;

/// A socket that hears groups in all numbered namespaces.
pub(crate) struct Listener {
    socket: Socket,
    message: Box<[u8]>,
}

impl Listener {
    /// Hear these groups from now on, with a buffer of that many octets.
    ///
    /// # Errors
    /// No descriptor is left; no `CAP_NET_BROADCAST` in this namespace.
    pub(crate) fn open(groups: &[u32], buffer_octets: usize) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        // Past rmem_max with CAP_NET_ADMIN in the initial user namespace only.
        if setsockopt(&socket, sockopt::RcvBufForce, &buffer_octets).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &buffer_octets)?;
        }
        socket.set_listen_all_namespaces(true)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in groups {
            socket.add_membership(*group)?;
        }
        Ok(Self { socket, message: vec![0; MESSAGE_OCTETS].into_boxed_slice() })
    }

    /// Everything that waits, datagram by datagram, with the namespace's number (`None` for the socket's own). Was
    /// anything lost? The kernel goes on losing until all that waits has been read, and does not say so again.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub(crate) fn read(&mut self, mut take: impl FnMut(&[u8], Option<i32>)) -> io::Result<bool> {
        let mut lost = false;
        loop {
            match self.receive() {
                Ok(Some((octets, nsid))) => take(&self.message[..octets], nsid),
                Ok(None) => lost = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(lost),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => lost = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// One datagram and the namespace it came from; `None` for one that was too long, which is lost.
    fn receive(&mut self) -> io::Result<Option<(usize, Option<i32>)>> {
        let mut part = libc::iovec { iov_base: self.message.as_mut_ptr().cast(), iov_len: self.message.len() };
        // Room for one control message with an int, aligned for `cmsghdr`.
        let mut control = [0u64; 8];
        // SAFETY: `msghdr` is a plain C structure; all zeros is a value of it: no name, no parts, no control.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the one part and the control buffer are ours, writable, of the lengths given, and outlive the call.
        let octets = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, 0) };
        if octets < 0 {
            return Err(io::Error::last_os_error());
        }
        if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return Ok(None);
        }
        // SAFETY: recvmsg has filled `header`, whose control buffer is still alive.
        Ok(Some((octets.cast_unsigned(), unsafe { nsid_of(&header) })))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The namespace's number that came beside a message.
///
/// # Safety
/// `header` has been filled by recvmsg(2) and its control buffer is alive.
unsafe fn nsid_of(header: &libc::msghdr) -> Option<i32> {
    // SAFETY: the caller vouches for the header; the macros stay within its control buffer.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = control.as_ref() {
            if found.cmsg_level == libc::SOL_NETLINK && found.cmsg_type == libc::NETLINK_LISTEN_ALL_NSID {
                return Some(libc::CMSG_DATA(control).cast::<i32>().read_unaligned());
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    None
}
