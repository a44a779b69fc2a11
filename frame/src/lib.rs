//! The words of Lanyard, and nothing else: addresses, frames, batches, offloads, and what can become
//! of a frame.
//!
//! Every other crate speaks these words; this one knows none of them. No I/O, no unsafe, no clock.
//!
//! | module | the word |
//! | --- | --- |
//! | [`mac`] | `MacAddr`: a 48-bit address (IEEE 802) |
//! | [`ids`] | `PortId`, `NetworkId`, `FrameNumber` |
//! | [`buffer`] | `Frame`: the octets of one frame with room in front for a virtio-net header |
//! | [`batch`] | `Batch`: the frames of one burst |
//! | [`ethernet`] | the 14-octet header (IEEE 802.3), 802.1Q tags |
//! | [`offload`] | the virtio-net header: unfinished checksums and super-frames |
//! | [`time`] | `Millis`: the engine's clock, always an argument |
//! | [`verdict`] | `Verdict`: what became of a frame |
//! | [`drop_reason`] | `DropReason`: why it went nowhere; the reason is the counter |
//! | [`step`] | `Step`: one decision on the way to a verdict |
//! | [`observer`] | `Observer`: who hears of steps; `()` hears nothing and costs nothing |
#![forbid(unsafe_code)]

pub mod batch;
pub mod buffer;
pub mod drop_reason;
pub mod ethernet;
pub mod ids;
pub mod mac;
pub mod observer;
pub mod offload;
pub mod step;
pub mod time;
pub mod verdict;

pub use batch::Batch;
pub use buffer::Frame;
pub use drop_reason::DropReason;
pub use ids::{FrameNumber, NetworkId, PortId};
pub use mac::MacAddr;
pub use observer::Observer;
pub use offload::OffloadHeader;
pub use step::Step;
pub use time::Millis;
pub use verdict::Verdict;
