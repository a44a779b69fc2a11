//! Which networks, ports and addresses are there, and who may change them?
//!
//! Everything is validated before anything is done, what was done is undone on failure, and what survives a crash is
//! written down before it is answered.
//!
//! | file | the question |
//! | --- | --- |
//! | [`switch`] | what can be asked of the switch? |
//! | `networks`, `endpoints`, `show` | how do networks and endpoints come, go and look? |
//! | `bad_lines` | how does a port's line become bad on purpose, and good again? |
//! | `clock` | how does a class see an entry age out at once? |
//! | [`types`], [`fault`] | what do the control socket and its faults say? |
//! | [`validate`], [`ipam`] | can this request be, and which address does it get? |
//! | `attach` | how does a container get its interface? |
//! | `watch` | what becomes of the ports afterwards? |
//! | `outside` | how does a network reach the host and the world? |
//! | [`plugin`], `fabric`, `sandbox`, `publish` | what does the switch do for the Docker driver? |
//! | `reconcile` | does what it has for Docker still exist? |
//! | [`state`], `store`, `resume` | what is written down, how, and what becomes of it after a restart? |
//! | `book` | what does the control side know while it runs? |
//! | [`trace_hub`], [`trace_reader`] | how do the engine's records reach those who read the trace? |
//! | [`memory`], `ask` | who taught that row, and what would become of a frame? |
//! | [`caches`] | which MAC addresses do the hosts themselves believe in? |
//! | [`names`] | what are ports, networks and stations called? |
//! | [`api`] | who may ask, and how much? |

pub mod api;
mod ask;
mod attach;
pub mod background;
mod bad_lines;
mod book;
pub mod caches;
mod clock;
mod endpoints;
mod fabric;
pub mod fault;
pub mod ipam;
pub mod memory;
pub mod names;
mod networks;
mod outside;
pub mod plugin;
mod publish;
mod reconcile;
mod resume;
mod sandbox;
mod show;
pub mod state;
mod store;
pub mod switch;
pub mod trace_hub;
pub mod trace_reader;
pub mod types;
pub mod validate;
mod watch;

pub use fault::Fault;
pub use plugin::PluginSocket;
pub use switch::{Switch, SwitchConfig};
pub use trace_reader::{Quiet, TraceReader};
