//! What became of a frame? A value, never an error.

use crate::{DropReason, NetworkId, PortId};

/// The fate of one frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "a frame whose verdict nobody carries out is lost without a reason"]
pub enum Verdict {
    /// To one port, where the MAC table says its destination is.
    Unicast {
        /// The port.
        to: PortId,
    },
    /// To every port of a network but the one it came from, once each.
    Flood {
        /// The network: the frame's own, or the one it was routed into.
        network: NetworkId,
    },
    /// Too large for the network it was routed into, and allowed to be cut: it went on in pieces, each a frame of its own.
    Fragmented {
        /// The network it was routed into.
        network: NetworkId,
    },
    /// The switch answered it itself; the reply is a frame of its own.
    Answered,
    /// It was meant for the switch itself, which has read it.
    Consumed,
    /// It waits, for a bounded time, until its next hop's MAC address is known.
    Held,
    /// It went nowhere, for this reason.
    Drop(DropReason),
}
