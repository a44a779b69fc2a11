//! Answer, remember, resolve: ARP for one network.
//!
//! | module | its question |
//! | --- | --- |
//! | [`packet`] | what does an ARP message say, and how is one built? (RFC 826, RFC 5227) |
//! | [`neighbor`] | which MAC address has an IP address, who said so, and is it still true? (RFC 4861, 7.3) |
//! | [`resolver`] | how does a routed frame get its next hop's MAC address? (RFC 1122, 2.3.2) |
//! | [`responder`] | which ARP messages can the switch answer itself? |
//!
//! No I/O, no clock, no lock: the engine keeps one [`NeighborTable`] for each network behind a mutex, sends what
//! is answered here, and calls [`NeighborTable::tick`] when [`NeighborTable::next_deadline`] has come.
//!
//! Not done: ND (RFC 4861), though the table's keys and states are ready for it; ARP inside 802.1Q tags; a guard
//! that refuses a claim because of the port it came by.
#![forbid(unsafe_code)]

pub mod neighbor;
pub mod packet;
pub mod resolver;
pub mod responder;

pub use neighbor::{Conflict, NeighborEntry, NeighborTable, NoRoom, Noted, Settings, Source, State};
pub use packet::ArpMessage;
pub use resolver::{Due, Held};
pub use responder::{ResponderRules, Response, respond};
