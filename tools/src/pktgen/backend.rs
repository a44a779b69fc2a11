//! By what do frames leave? By the packet socket that the place is watched with anyway ([`ports::veth`]), or by XDP live frames
//! ([`ports::live`]), where the sending interface takes them.
//!
//! XDP sends more, and keeps a CPU busy as long as anything is sent, beside those of the sender, the receiver and the switch.
//! With two CPUs and other work on them it sent 1.15 times as many as the socket over a veth, and as many arrived; at 50,000
//! a second the median latency was 2.6 ms instead of 17 us (medians of 7 rounds of a second). So the automatic choice takes it
//! only with [`FEWEST_CPUS`], and where more is asked for than a socket does with ease.
//!
//! Not done: a ring of the packet socket's (`PACKET_TX_RING`) and `PACKET_QDISC_BYPASS`, which are no faster (see
//! `benches/benches/generator`).

use std::thread;

use clap::ValueEnum;
use frame::Batch;
use load::{FCS_OCTETS, Rate, Sizes, WIRE_GAP_OCTETS};
use ports::Port;
use ports::link::Link;
use ports::live::{self, LiveQueue};
use ports::veth::VethQueue;

use super::engine::HostEnd;
use super::place::Interface;

/// CPUs from which on one of them can be spared.
const FEWEST_CPUS: usize = 4;
/// Frames a second that a packet socket does with ease.
const EASY: f64 = 150_000.0;

/// What the user asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Backend {
    /// XDP live frames for high rates where they work and CPUs can be spared, else a packet socket
    Auto,
    /// XDP live frames
    Xdp,
    /// A packet socket
    Socket,
    /// The kernel's own pktgen (`modprobe pktgen`)
    Kernel,
}

/// What is to be sent.
pub(super) struct Wanted<'a> {
    pub(super) rate: Rate,
    pub(super) sizes: &'a Sizes,
}

impl Wanted<'_> {
    /// Does a packet socket do it with ease?
    fn is_easy(&self) -> bool {
        let octets = self.sizes.mean_octets() + WIRE_GAP_OCTETS as f64;
        self.rate.frames_per_second(octets).is_some_and(|frames| frames <= EASY)
    }
}

/// What sends.
pub(super) enum Sender {
    /// Frames that the kernel makes itself and the driver gets.
    Xdp(LiveQueue),
    /// Frames that go straight to the engine of this process.
    Memory(HostEnd),
    /// Frames that pass the stack, and why it is not the other where that was wanted.
    Socket(VethQueue, Option<String>),
}

impl Backend {
    /// Choose for an interface, of which `socket` is a packet socket, and what is to be sent by it.
    ///
    /// # Errors
    /// One line: what was asked for does not work there.
    pub(super) fn open(
        self,
        place: &Interface,
        link: &Link,
        socket: VethQueue,
        wanted: &Wanted<'_>,
    ) -> Result<Sender, String> {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        match self {
            // The kernel's pktgen is not opened: see `kernel`.
            Self::Socket | Self::Kernel => return Ok(Sender::Socket(socket, None)),
            Self::Auto if wanted.is_easy() => return Ok(Sender::Socket(socket, None)),
            Self::Auto if cpus < FEWEST_CPUS => {
                let why =
                    format!("they keep a CPU busy, and there are only {cpus}; --backend xdp does it all the same");
                return Ok(Sender::Socket(socket, Some(why)));
            }
            Self::Auto | Self::Xdp => {}
        }
        let longest = u32::try_from(wanted.sizes.largest() - FCS_OCTETS).unwrap_or(u32::MAX);
        let opened = place.inside(|| live::open_index(&link.name, link.index, longest))?;
        match opened {
            Ok(queue) => Ok(Sender::Xdp(queue)),
            Err(why) if self == Self::Auto => Ok(Sender::Socket(socket, Some(why.to_string()))),
            Err(why) => {
                Err(format!("{place} cannot send XDP live frames: {why}; --backend socket needs nothing of that"))
            }
        }
    }
}

impl Sender {
    /// What it is, in a report.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Xdp(_) => "XDP live frames",
            Self::Memory(_) => "memory ports",
            Self::Socket(..) => "packet socket, sendmmsg",
        }
    }

    /// Why it is a packet socket where XDP live frames would have been faster.
    pub(super) fn why_not_faster(&self) -> Option<&str> {
        match self {
            Self::Xdp(_) | Self::Memory(_) => None,
            Self::Socket(_, why) => why.as_deref(),
        }
    }

    /// Where frames are sent to.
    pub(super) fn port(&mut self) -> &mut dyn Port {
        match self {
            Self::Xdp(queue) => queue,
            Self::Memory(end) => end,
            Self::Socket(queue, _) => queue,
        }
    }

    /// How many of the frames that were taken the interface itself has dropped since it was opened. A packet socket is told
    /// of no such thing.
    pub(super) fn dropped(&mut self) -> u64 {
        let Self::Xdp(queue) = self else { return 0 };
        // An interface that is gone has said all that it had to say.
        let _ = queue.recv(&mut Batch::with_capacity(0));
        queue.losses().map_or(0, |losses| losses.overflowed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_socket_does_with_ease_is_left_to_it() {
        let small = Sizes::fixed(64).unwrap();
        let large = Sizes::fixed(1518).unwrap();
        for (rate, sizes, easy) in [
            ("1kpps", &small, true),
            ("150kpps", &small, true),
            ("151kpps", &small, false),
            ("100Mbps", &small, true),
            ("101Mbps", &small, false),
            ("1Gbps", &large, true),
            ("max", &small, false),
            ("max", &large, false),
        ] {
            assert_eq!(Wanted { rate: rate.parse().unwrap(), sizes }.is_easy(), easy, "{rate}");
        }
    }
}
