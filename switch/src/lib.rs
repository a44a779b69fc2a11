//! The engine (workers, the journey, egress) and its control (networks, endpoints, state, the API).
//!
//! | folder | the question |
//! | --- | --- |
//! | [`engine`] | how does a frame get from one port to another? |
//! | [`control`] | which networks, ports and addresses are there, and who may change them? |
#![forbid(unsafe_code)]

pub mod control;
pub mod engine;
