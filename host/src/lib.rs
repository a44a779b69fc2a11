//! How does a network reach the host and the world outside?
//!
//! A network's gateway is an interface in the host's network namespace that carries the gateway addresses; somebody else
//! makes it. This crate owns what the host needs beside it: the firewall's rules, the forwarding switches, published
//! ports, the flows that outlive them, and what puts the rules back when somebody removes them.
//!
//! [`Plan`] says what is wanted, [`Firewall`] makes it so in one transaction, [`Watch`] keeps it so, [`bind`] reserves a
//! host's ports, [`Proxy`] serves what address translation cannot, [`flush_conntrack`] forgets flows, [`diagnose`] says
//! what stands in the way.
//!
//! Everything acts on the network namespace of the calling thread. Not done: rootless operation, `nft` by netlink (the
//! `nft` program is run), firewalls that drop forwarded packets in base chains of their own (an accept elsewhere cannot
//! override that; [`diagnose`] names them).
#![forbid(unsafe_code)]

mod conntrack;
mod diagnosis;
mod elements;
mod fault;
mod firewall;
mod iptables;
mod netlink;
mod plan;
mod programs;
mod proxy;
mod published;
mod reserve;
mod rules;
mod sysctl;
mod watch;

pub use conntrack::{Flows, flush_conntrack};
pub use diagnosis::{Finding, Health, diagnose};
pub use fault::HostFault;
pub use firewall::Firewall;
pub use plan::{HostNetwork, Mode, Plan, Protocol, Published};
pub use proxy::Proxy;
pub use reserve::{PortFault, Request, Reservation, bind};
pub use rules::table_text;
pub use watch::Watch;
