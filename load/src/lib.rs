//! How is a switch loaded, and what does it do with the load? The pure half of `lanyard pktgen`: which frames are sent,
//! when each is due, and what became of them. Nothing here does I/O or reads a clock.
//!
//! | a frame's way | file | answer |
//! | --- | --- | --- |
//! | how large is it? | [`size`] | a size, or one of a mix (IMIX) |
//! | when is it due? | [`rate`] | nanoseconds since the start, from frames or bits a second |
//! | from whom to whom? | [`walk`] | the n-th of so many addresses: fixed, in order, at random, by Zipf's law |
//! | what is in it? | [`stream`] | its octets; the same seed makes the same frames |
//! | ... or what was recorded? | [`replay`] | a capture's frames, at their own speed or another |
//! | how is it known again? | [`signature`] | stream, number, due time and a check, in its last octets |
//! | what became of it? | [`tally`], [`window`], [`latency`] | lost, twice, late, at a wrong port, damaged; and how long it took |
//! | what does the kernel's own generator send? | [`kernel`] | the lines that rule `/proc/net/pktgen`, its report, its frames |
//! | what is said of it all? | [`result`], [`loss`] | a table, JSON, CSV; and how sure a share is |
//! | how did it go on? | [`series`] | rates and losses over time |
//! | how much does a switch take? | [`search`] | the highest rate that loses no more than a goal |
//! | how does that look? | [`page`] | a page with plots, which opens offline |
//!
//! Sizes are those of the wire as RFC 2544 counts them, with the 4 octets of the FCS; frames are octets without it.
#![forbid(unsafe_code)]
#![allow(clippy::cast_precision_loss, reason = "figures to read: above 2^53 their last digits do not matter")]

pub mod error;
pub mod kernel;
pub mod latency;
pub mod loss;
pub mod page;
pub mod rate;
pub mod replay;
pub mod result;
pub mod search;
pub mod series;
pub mod signature;
pub mod size;
pub mod stream;
pub mod tally;
pub mod walk;
pub mod window;

pub use error::LoadError;
pub use rate::Rate;
pub use size::Sizes;
pub use stream::{Stream, StreamSpec};
pub use walk::{Walk, Walker};

/// Octets of the frame check sequence, which sizes count and frames do not have.
pub const FCS_OCTETS: usize = 4;
/// Octets that each frame takes of a wire besides its own: preamble, start delimiter and gap (IEEE 802.3).
pub const WIRE_GAP_OCTETS: usize = 20;
