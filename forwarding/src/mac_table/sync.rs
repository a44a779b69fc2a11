//! Whose atomics does the table use? The processor's; or, with the feature `model`, those of loom, which plays
//! through every order in which threads may see one another's stores (`tests/slot_protocol.rs`).
//!
//! The model is of the same code with smaller numbers: a few ports and one look at a lock.

#[cfg(not(feature = "model"))]
pub(super) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64},
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    thread::yield_now,
};

#[cfg(feature = "model")]
pub(super) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64},
    sync::{Mutex, MutexGuard},
    thread::yield_now,
};
#[cfg(feature = "model")]
pub(super) use std::sync::{PoisonError, TryLockError};

/// How many ports a table knows.
pub(super) const PORTS: usize = if cfg!(feature = "model") { 4 } else { frame::PortId::LIMIT };

/// How often a worker looks at a lock before it lets the frame go on unlearned: about as long as the
/// holder needs when it is running.
pub(super) const WORKER_SPINS: u32 = if cfg!(feature = "model") { 1 } else { 32 };

/// How often the sweep looks at a bucket's lock before it leaves the bucket for its next round.
pub(super) const SWEEP_SPINS: u32 = if cfg!(feature = "model") { 1 } else { 1000 };
