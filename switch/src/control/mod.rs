//! Which networks, ports and addresses are there, and who may change them?
//!
//! Everything is validated before anything is done, what was done is undone on failure, and what survives a crash is
//! written down before it is answered.

pub mod fault;
pub mod types;

pub use fault::Fault;
