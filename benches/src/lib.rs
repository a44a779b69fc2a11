//! What do the benches have in common? How they count, wait and show. The benches themselves are under `benches/`, one
//! folder for one question.
//!
//! | file | the question |
//! | --- | --- |
//! | [`stats`] | what do several runs come to? |
//! | [`table`] | how does a person read them? |
//! | [`progress`] | how far is it? |
//! | [`machine`] | where did it run, and what did it cost there? |
//! | [`packet`] | what does a generator send? |
//! | [`reports`] | what do iperf3 and sockperf say? |
//! | [`asked`] | how is a daemon behind a unix socket asked something? |
#![forbid(unsafe_code)]

pub mod asked;
pub mod machine;
pub mod packet;
pub mod progress;
pub mod reports;
pub mod stats;
pub mod table;
