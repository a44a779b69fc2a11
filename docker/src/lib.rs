//! How does dockerd talk to the switch? Docker's remote network driver protocol in, [`Fabric`] out.
#![forbid(unsafe_code)]

pub mod fabric;

pub use fabric::Fabric;
