//! What is the Linux kernel's own packet generator told, and what does it say of itself? `pktgen` (Documentation/networking/
//! pktgen.rst, net/core/pktgen.c) is a module that is ruled by files below `/proc/net/pktgen`; this is their text.
//!
//! | question | file |
//! | --- | --- |
//! | which lines make it send this stream? | [`command`] |
//! | what has it sent, how long did it take? | [`report`] |
//! | how are its frames known again, and what became of them? | [`payload`] |
//! | what can it not do? | [`unable`] |
//!
//! It sends what a [`StreamSpec`] says, but for these:
//!
//! - It draws its own random numbers: the seed makes no difference.
//! - MAC and IP addresses each walk for themselves, and of those that go in order the IP address and the UDP port are one ahead
//!   of the MAC address: pktgen takes the first MAC address for the first frame, and the second IP address.
//! - A random walk draws MAC and IP address apart from each other.
//! - Its frames have no [`signature`](crate::signature) but pktgen's own header. Without a mark of the run, frames of another
//!   pktgen from the same addresses and ports would count as this one's.
//! - A mix is one of hundredths: 7:4:1 becomes 58:33:9.
//! - A rate is a whole number of nanoseconds between two frames of a thread.
//!
//! Not done: `netif_receive` as `xmit_mode`, which sends nothing; pktgen's own flows (`flows`, `flowlen`), MPLS, `IPsec`,
//! a second VLAN tag, types of service, queue ranges, memory nodes.

pub mod command;
pub mod payload;
pub mod report;
pub mod unable;

pub use command::{Device, Flag, Options, Plan, XmitMode};
pub use payload::KernelTally;
pub use report::{DeviceReport, Totals};
pub use unable::Unable;

#[cfg(doc)]
use crate::StreamSpec;
