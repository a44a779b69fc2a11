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
//! | [`octets`] | how do its octets travel? |
//! | [`words`] | how is each decision told? The table of sentences |
//! | [`layout`] | how do the words stand on a terminal? |
//! | [`ladder`] | who said what to whom? A diagram with the switch as a lane |
//! | [`filter`] | which frames does somebody want to see? |
//! | [`pcapng`] | how does a trace become a capture file, and how is one read? |
#![forbid(unsafe_code)]

pub mod filter;
pub mod ladder;
pub mod layout;
pub mod octets;
pub mod pcapng;
pub mod record;
pub mod step;
pub mod summary;
pub mod words;

pub use filter::{Admission, Filter, FilterError, Ids};
pub use ladder::{CacheChange, Ladder};
pub use layout::{Style, Widths, clock, lost_notice, lost_words, one_line, tree};
pub use octets::Octets;
pub use record::{EgressRecord, Loss, Names, RawRecord, Record, SCHEMA, SNAP_OCTETS, Snap};
pub use step::{RowRecord, StepRecord, TableRecord, VerdictRecord};
