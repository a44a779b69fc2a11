//! What did the switch do with a frame, and why, in words that a student can read?
//!
//! The engine fills a [`RawRecord`] for a traced frame: numbers only, no text. Somebody who looks turns it into a
//! [`Record`], which is self-contained and can be printed, sent as a line of JSON, or kept.
//!
//! | module | the question it answers |
//! | --- | --- |
//! | [`record`] | what is known of one traced frame? |
//! | [`step`] | which decisions were made, with names in place of numbers? |
//! | [`summary`] | what does the frame itself say? |
//! | [`words`] | how is each decision told? The table of sentences |
//! | [`layout`] | how do the words stand on a terminal? |
//!
//! Not done: pcapng, the ladder diagram, filters.
#![forbid(unsafe_code)]

pub mod layout;
pub mod record;
pub mod step;
pub mod summary;
pub mod words;

pub use layout::{Style, Widths, lost_notice, one_line, tree};
pub use record::{EgressRecord, Loss, Names, RawRecord, Record, SNAP_OCTETS, Snap};
pub use step::{StepRecord, VerdictRecord};
