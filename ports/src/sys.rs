//! How does a port ask the kernel for what neither `nix` nor `socket2` wraps? Small safe functions over one
//! system call each. (`linux/if_tun.h`, `linux/if_packet.h`, packet(7))
//!
//! Not done: netlink and link settings, which have modules of their own.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::{c_int, c_uint, c_ulong};

/// `IFNAMSIZ` (linux/if.h): octets of an interface's name, with the zero that ends it.
const NAME_OCTETS: usize = libc::IFNAMSIZ;

/// `struct ifreq` (linux/if.h) as `TUNSETIFF` uses it: 40 octets on 64-bit machines.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME_OCTETS],
    flags: u16,
    unused: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceRequest>() >= size_of::<libc::ifreq>());

/// The return value of a system call, or the error it left.
pub(crate) fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for a call that returns how many.
pub(crate) fn counted(result: c_int) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// May an interface have this name? One to fifteen octets without `/`, white space or `:`, and not `.` or `..`
/// (`dev_valid_name`, net/core/dev.c). The kernel cuts a longer name silently, so it is refused here.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`].
pub(crate) fn check_name(name: &str) -> io::Result<()> {
    let bad = |c: char| c == '/' || c == ':' || c == '\0' || c.is_ascii_whitespace();
    if name.is_empty() || name.len() >= NAME_OCTETS || name == "." || name == ".." || name.contains(bad) {
        let message = format!("'{name}' cannot be an interface name: use 1 to 15 characters without '/', ':' or space");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

/// `TUNSETIFF`: make or join the TAP of this name (empty: the kernel picks `tap0`, `tap1`, ...) in the namespace
/// in which the descriptor was opened. Returns the name the device has.
pub(crate) fn tun_attach(fd: BorrowedFd<'_>, name: &str, flags: u16) -> io::Result<String> {
    let mut request = InterfaceRequest { name: [0; NAME_OCTETS], flags, unused: [0; 22] };
    let octets = &name.as_bytes()[..name.len().min(NAME_OCTETS - 1)];
    request.name[..octets.len()].copy_from_slice(octets);
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, and `request` is no smaller than that.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    let end = request.name.iter().position(|&octet| octet == 0).unwrap_or(NAME_OCTETS);
    Ok(String::from_utf8_lossy(&request.name[..end]).into_owned())
}

/// `TUNSETVNETHDRSZ`: octets of the virtio-net header before every frame. Holds for all queues of the device.
pub(crate) fn tun_set_header_octets(fd: BorrowedFd<'_>, octets: u8) -> io::Result<()> {
    let octets = c_int::from(octets);
    // SAFETY: TUNSETVNETHDRSZ reads one int through the pointer.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const octets) }).map(drop)
}

/// `TUNSETOFFLOAD`: what the kernel may leave unfinished in frames that are read. Holds for all queues.
pub(crate) fn tun_set_offload(fd: BorrowedFd<'_>, features: c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, c_ulong::from(features)) }).map(drop)
}

/// `TUNSETPERSIST`: does the device outlive its last descriptor?
pub(crate) fn tun_set_persist(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    // SAFETY: TUNSETPERSIST takes its argument by value.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETPERSIST, c_ulong::from(on)) }).map(drop)
}

/// `setsockopt` with an integer.
pub(crate) fn set_option(socket: impl AsFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let octets = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the length name one int that lives to the end of the call.
    checked(unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), octets) }).map(drop)
}

/// `getsockopt` of `N` consecutive integers; what the kernel does not write stays zero.
pub(crate) fn option<const N: usize>(socket: impl AsFd, level: c_int, option: c_int) -> io::Result<[c_uint; N]> {
    let fd = socket.as_fd().as_raw_fd();
    let mut values = [0; N];
    let mut octets = (N * size_of::<c_uint>()) as libc::socklen_t;
    // SAFETY: the kernel writes at most `octets` octets, which is all of `values`; any bits are a valid integer.
    checked(unsafe { libc::getsockopt(fd, level, option, values.as_mut_ptr().cast(), &raw mut octets) })?;
    Ok(values)
}

/// The number of the interface of this name in the calling thread's network namespace.
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    check_name(name)?;
    let name = CString::new(name)?;
    // SAFETY: `name` ends with a zero octet and lives to the end of the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Bind an AF_PACKET socket to one interface and one ether type (`ETH_P_*`, host order).
pub(crate) fn packet_bind(socket: impl AsFd, index: u32, protocol: u16) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let octets = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer and the length name one complete `sockaddr_ll`.
    checked(unsafe { libc::bind(socket.as_fd().as_raw_fd(), (&raw const address).cast(), octets) }).map(drop)
}

/// The interface an AF_PACKET socket is bound to; `None` when that interface no longer exists.
pub(crate) fn packet_interface(socket: impl AsFd) -> io::Result<Option<u32>> {
    let mut address = [0_u32; size_of::<libc::sockaddr_storage>() / 4];
    let mut octets = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `octets` octets, which is all of `address`.
    checked(unsafe { libc::getsockname(fd, address.as_mut_ptr().cast(), &raw mut octets) })?;
    // `struct sockaddr_ll`: family and protocol fill the first word, the interface's number is the second.
    let index = address[1].cast_signed();
    Ok(u32::try_from(index).ok().filter(|&index| index != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_would_cut_or_refuse_are_refused() {
        for good in ["eth0", "a", "fifteen-octets-", "br.10", "é"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "sixteen-octets--", ".", "..", "a/b", "a b", "a:1", "a\n", "a\0b"] {
            assert_eq!(check_name(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
    }

    #[test]
    fn options_are_written_and_read_back() {
        let (socket, _peer) = std::os::unix::net::UnixDatagram::pair().unwrap();
        set_option(&socket, libc::SOL_SOCKET, libc::SO_PASSCRED, 1).unwrap();
        assert_eq!(option::<1>(&socket, libc::SOL_SOCKET, libc::SO_PASSCRED).unwrap(), [1]);
        let error = set_option(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
        assert_eq!(interface_index("no-such-link").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
