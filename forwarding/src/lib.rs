//! Where does a frame go? Seven decisions, one file each, and the two tables they ask.
//!
//! | a frame's journey | file | answer |
//! | --- | --- | --- |
//! | may a switch look at it? | [`mod@admit`] | its Ethernet header, or why it is dropped |
//! | does it claim an address that is another's? | [`mod@guard`] | on guarded ports: why it is dropped |
//! | who is speaking? | [`mod@learn`] | what its source taught the [`mac_table`] |
//! | where is who it speaks to? | [`lookup`] | known, gateway, group, unknown, on the same port |
//! | may the two speak to each other? | [`mod@isolate`] | where containers are kept apart: with the gateway only |
//! | and if that is not known, or everybody? | [`flood`] | every other port, once |
//! | addressed to the gateway? | [`mod@route`] | next hop by longest prefix, answer, or ICMP error |
//!
//! Nothing here does I/O or reads a clock, nothing waits, and nothing on the way of an ordinary frame
//! allocates. Addresses of routes are `IpAddr`; the gateway itself speaks IPv4.
#![deny(unsafe_code)]

pub mod admit;
pub mod flood;
pub mod guard;
pub mod isolate;
pub mod learn;
pub mod lookup;
pub mod mac_table;
pub mod route;

pub use admit::{AdmitRules, admit};
pub use flood::flood_ports;
pub use guard::{Guard, guard};
pub use isolate::{Isolation, isolate};
pub use learn::{is_spoofed, learn, learn_sought};
pub use lookup::{look_up, look_up_sought};
pub use mac_table::{Eviction, MacTable, MacTableConfig, Sought};
pub use route::table::RouteTable;
pub use route::{Gateway, NextNetwork, RouteDecision, route};
