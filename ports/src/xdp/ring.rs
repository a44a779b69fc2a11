//! How do descriptors pass between a queue and the kernel? By the four rings of an `AF_XDP` socket, mapped into both:
//! one side writes descriptors and moves `producer`, the other reads them and moves `consumer` (`linux/if_xdp.h`,
//! `Documentation/networking/af_xdp.rst`).
//!
//! Both numbers run freely through 32 bits; a ring's length is a power of two, so a mask makes a place of them. A store
//! with release after the descriptors, a load with acquire before them: one of each a burst.
//!
//! Not done: the flag that says whether the kernel wants to be woken (see `mod.rs`).

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_int, off_t, xdp_ring_offset};

/// Memory that the kernel knows, too: a ring, or the frames.
pub(super) struct Mapping {
    start: NonNull<u8>,
    octets: usize,
}

// SAFETY: the memory belongs to the mapping and is unmapped by it alone, whichever thread has it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// New memory, all zeros.
    pub(super) fn anonymous(octets: usize) -> io::Result<Self> {
        Self::map(octets, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// A ring of the socket's, by its page offset (`XDP_PGOFF_*`, `XDP_UMEM_PGOFF_*`).
    fn of_socket(octets: usize, socket: BorrowedFd<'_>, offset: off_t) -> io::Result<Self> {
        Self::map(octets, libc::MAP_SHARED | libc::MAP_POPULATE, socket.as_raw_fd(), offset)
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

    pub(super) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(super) fn octets(&self) -> usize {
        self.octets
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing that refers to it outlives its owner.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.octets) };
    }
}

/// One ring, whichever side of it is ours. `T` is what the kernel puts there: `u64` or `xdp_desc`.
struct Ring<T> {
    mapping: Mapping,
    producer: usize,
    consumer: usize,
    first: usize,
    length: u32,
    kind: std::marker::PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    /// Map a ring of `length` descriptors (a power of two, as told to the kernel).
    fn map(socket: BorrowedFd<'_>, page: off_t, offsets: &xdp_ring_offset, length: u32) -> io::Result<Self> {
        let [producer, consumer, first] =
            [offsets.producer, offsets.consumer, offsets.desc].map(|offset| offset as usize);
        let end = first + length as usize * size_of::<T>();
        let aligned = producer.is_multiple_of(4) && consumer.is_multiple_of(4) && first.is_multiple_of(align_of::<T>());
        if !length.is_power_of_two() || !aligned || producer.max(consumer) + 4 > end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mapping = Mapping::of_socket(end, socket, page)?;
        Ok(Self { mapping, producer, consumer, first, length, kind: std::marker::PhantomData })
    }

    fn number(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: `map` saw that the offset is aligned and inside the mapping, which starts at a page and lives as long
        // as `self`; the kernel touches the number by atomic operations only.
        unsafe { AtomicU32::from_ptr(self.mapping.start().add(offset).cast()) }
    }

    fn place(&self, number: u32) -> *mut T {
        let index = (number & (self.length - 1)) as usize;
        // SAFETY: the mask keeps the index below `length`, and `map` made the mapping that long.
        unsafe { self.mapping.start().add(self.first).cast::<T>().add(index) }
    }
}

/// A ring that the kernel empties: fill and transmit.
pub(super) struct Producer<T> {
    ring: Ring<T>,
    written: u32,
    consumed: u32,
}

impl<T: Copy> Producer<T> {
    pub(super) fn map(socket: BorrowedFd<'_>, page: off_t, offsets: &xdp_ring_offset, length: u32) -> io::Result<Self> {
        Ok(Self { ring: Ring::map(socket, page, offsets, length)?, written: 0, consumed: 0 })
    }

    /// Write a descriptor that [`Producer::publish`] will show; `false` when the ring is full.
    #[inline]
    pub(super) fn push(&mut self, descriptor: T) -> bool {
        if self.written.wrapping_sub(self.consumed) == self.ring.length && self.waiting() == self.ring.length {
            return false;
        }
        // SAFETY: the place is in the ring, and the kernel reads none beyond what is published.
        unsafe { self.ring.place(self.written).write(descriptor) };
        self.written = self.written.wrapping_add(1);
        true
    }

    /// Show the kernel what was written.
    #[inline]
    pub(super) fn publish(&mut self) {
        self.ring.number(self.ring.producer).store(self.written, Ordering::Release);
    }

    /// How many written descriptors the kernel has not taken.
    #[inline]
    pub(super) fn waiting(&mut self) -> u32 {
        self.consumed = self.ring.number(self.ring.consumer).load(Ordering::Acquire);
        self.written.wrapping_sub(self.consumed)
    }
}

/// A ring that the kernel fills: receive and completion.
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    read: u32,
    produced: u32,
}

impl<T: Copy> Consumer<T> {
    pub(super) fn map(socket: BorrowedFd<'_>, page: off_t, offsets: &xdp_ring_offset, length: u32) -> io::Result<Self> {
        Ok(Self { ring: Ring::map(socket, page, offsets, length)?, read: 0, produced: 0 })
    }

    /// The next descriptor, if there is one. The kernel gets the places back by [`Consumer::release`].
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.read == self.produced {
            self.produced = self.ring.number(self.ring.producer).load(Ordering::Acquire);
            if self.read == self.produced {
                return None;
            }
        }
        // SAFETY: the place is in the ring; the kernel has published it and does not write it before it is released.
        // Any bits are a valid descriptor, which is made of integers.
        let descriptor = unsafe { self.ring.place(self.read).read() };
        self.read = self.read.wrapping_add(1);
        Some(descriptor)
    }

    /// Give the places of what was read back to the kernel.
    #[inline]
    pub(super) fn release(&mut self) {
        self.ring.number(self.ring.consumer).store(self.read, Ordering::Release);
    }
}
