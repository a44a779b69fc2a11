//! Where frames enter and leave: TAP, veth, memory; and the kernel's links, addresses and namespaces that they hang on.
//!
//! The only crate with unsafe code; every block has its SAFETY reason.
//!
//! | module | the question |
//! | --- | --- |
//! | [`port`] | what is a port to the engine? |
//! | [`tap`] | how do frames enter and leave by a TAP with offloads? |
//! | [`wire`] | ... by a TAP in wire mode, as on a cable? |
//! | [`veth`] | ... by the host end of a veth? |
//! | [`xdp`] | ... by the same, many small ones a second? |
//! | [`live`] | how do as many frames as possible leave by an interface, for a load generator? |
//! | [`memory`] | ... between a test or benchmark and the engine? |
//! | [`captured`] | how does one look at what passes? |
//! | [`faulty`] | how does one try the engine on a bad line? |
//! | [`losses`] | which frames got lost between a port and the kernel? |
//! | [`link`] | what interfaces are there, and how are they made, set and moved? |
//! | [`netns`] | which network namespace is meant, and how is something done inside it? |
//! | [`monitor`] | what becomes of the links, here and in the containers' namespaces? |
//! | [`neighbors`] | which MAC addresses do the kernel's caches hold, here and in the containers' namespaces? |
//! | [`ethtool`] | which offloads and what speed does an interface have? |
//! | [`netlink`] | how is the kernel asked? |

mod bpf;
pub mod captured;
pub mod ethtool;
pub mod faulty;
pub mod link;
mod listener;
pub mod live;
pub mod losses;
mod mapping;
pub mod memory;
pub mod monitor;
pub mod neighbors;
pub mod netlink;
pub mod netns;
pub mod port;
mod sys;
pub mod tap;
pub mod veth;
pub mod wire;
pub mod xdp;

pub use port::{Port, Sent, Stop};
