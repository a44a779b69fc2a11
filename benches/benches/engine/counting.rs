//! How often does this program allocate? The system's allocator, with a counter before it.
//!
//! The one place here that needs `unsafe`: the trait's functions are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator, counted.
pub(crate) struct Counting(AtomicU64);

impl Counting {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Allocations of all threads so far, those that only grow a block included.
    pub(crate) fn allocations(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn count(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

// SAFETY: every request goes on to `System` unchanged, and so does every promise the caller made about it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: the caller keeps to the contract of `alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, octets: usize) -> *mut u8 {
        self.count();
        // SAFETY: `block` came from `System` by way of `alloc`, with this layout, as the caller promises.
        unsafe { System.realloc(block, layout, octets) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(block, layout) }
    }
}
