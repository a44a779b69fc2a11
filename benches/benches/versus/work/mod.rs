//! What has to pass? The same works for every subject, one after the other.

mod frames;
mod idle;
mod latency;
mod streams;

use std::io;

use super::figure::Figure;
use arena::program::missing;
use arena::subjects::World;

/// What one work came to.
pub(crate) type Yield = Vec<(Figure, f64)>;

/// What is measured in one go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// iperf3, so many streams.
    Tcp(u8),
    /// iperf3, datagrams as fast as they can be sent.
    Udp,
    /// trafgen, small frames as fast as they can be sent.
    Frames,
    /// sockperf, one request and its answer at a time.
    Latency,
    /// Nothing at all.
    Idle,
}

impl Work {
    /// In this order.
    pub(crate) const ALL: [Self; 6] = [Self::Tcp(1), Self::Tcp(4), Self::Udp, Self::Frames, Self::Latency, Self::Idle];

    /// As people read it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Tcp(1) => "TCP, 1 stream",
            Self::Tcp(_) => "TCP, 4 streams",
            Self::Udp => "UDP, 1,400 octets",
            Self::Frames => "60-octet frames",
            Self::Latency => "TCP round trips",
            Self::Idle => "no traffic",
        }
    }

    /// Why it cannot be measured here, known before it is tried.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Tcp(_) | Self::Udp => missing(&["iperf3"]),
            Self::Frames => missing(&["trafgen"]),
            Self::Latency => missing(&["sockperf"]),
            Self::Idle => None,
        }
    }

    /// Do it, for about `seconds`.
    ///
    /// # Errors
    /// What a program said; that nothing gets through; that the switch has ended.
    pub(crate) fn measure(self, world: &mut World, seconds: u32) -> io::Result<Yield> {
        world.warm_up()?;
        let measured = match self {
            Self::Tcp(count) => streams::tcp(world, seconds, count),
            Self::Udp => streams::udp(world, seconds),
            Self::Frames => frames::small(world, seconds),
            Self::Latency => latency::round_trips(world, seconds),
            Self::Idle => idle::idle(world, seconds),
        };
        // A switch that has ended meanwhile says more than what ended with it.
        world.joint.check().and(measured)
    }
}
