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
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{off_t, xdp_ring_offset};

use crate::mapping::Mapping;

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
        let mapping = Mapping::shared(end, socket, page)?;
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
