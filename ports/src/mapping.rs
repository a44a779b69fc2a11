//! Memory that the kernel knows, too: the rings and frames of an `AF_XDP` socket, the values of a BPF map (mmap(2)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

use libc::{c_int, off_t};

/// Mapped memory; dropping it unmaps it.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    octets: usize,
}

// SAFETY: the memory belongs to the mapping and is unmapped by it alone, whichever thread has it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// New memory, all zeros.
    pub(crate) fn anonymous(octets: usize) -> io::Result<Self> {
        Self::map(octets, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// The memory behind a descriptor from an offset on: a ring of a socket's (`XDP_PGOFF_*`, `XDP_UMEM_PGOFF_*`), a map.
    pub(crate) fn shared(octets: usize, fd: BorrowedFd<'_>, offset: off_t) -> io::Result<Self> {
        Self::map(octets, libc::MAP_SHARED | libc::MAP_POPULATE, fd.as_raw_fd(), offset)
    }

    fn map(octets: usize, flags: c_int, fd: c_int, offset: off_t) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses the place, so no mapping of anybody's is replaced.
        let start = unsafe { libc::mmap(ptr::null_mut(), octets, access, flags, fd, offset) };
        match NonNull::new(start.cast::<u8>()) {
            Some(place) if start != libc::MAP_FAILED => Ok(Self { start: place, octets }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Where it begins: at a page.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// How long it is.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing that refers to it outlives its owner.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.octets) };
    }
}
