//! How does dockerd talk to the switch? Docker's remote network driver protocol in, [`Fabric`] out.
//!
//! | file | the question |
//! | --- | --- |
//! | [`fabric`] | what does the driver ask of the switch? |
//! | [`engine`] | what does Docker itself know of the networks? |
//! | [`server`] | which connections are served, for how long, and how does it end? |
//! | `methods` | which method asks what, and what is answered? |
//! | `calls` | how long may the switch take? |
//! | `fault` | how is a refusal told, so that the user reads it? |
//! | `wire` | what stands in a request? |
//! | `network` | which network does a request describe? |
//! | `options` | which `-o` options are there, and what may they say? |
//! | `endpoint` | which endpoint, and which ports, does a request describe? |
//!
//! The protocol: moby, `libnetwork/docs/remote.md` and `libnetwork/drivers/remote/api`; every rule here that those do
//! not tell was observed on dockerd 20.10.24. No answer to dockerd waits for Docker's API: at the
//! daemon's start that is a deadlock.
//!
//! Not done: address management (`IpamDriver.*`; Docker's own serves every subnet), swarm scope.
#![forbid(unsafe_code)]

pub mod engine;
pub mod fabric;
pub mod server;

mod calls;
mod endpoint;
mod fault;
mod methods;
mod network;
mod options;
mod wire;

pub use fabric::Fabric;
pub use server::{DEADLINE, serve};
