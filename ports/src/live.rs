//! How do as many frames as possible leave by an interface, for a load generator? As XDP live frames (`BPF_PROG_TEST_RUN` with
//! `BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18; `Documentation/bpf/bpf_prog_run.rst`): the kernel takes pages of its own, a
//! small program writes a frame into each, and the driver gets them sixteen at a time (`ndo_xdp_xmit`), without a packet
//! buffer, a socket or a queueing discipline on the way.
//!
//! | file | the question |
//! | --- | --- |
//! | `live.rs` | what is such a sender to whoever has frames? |
//! | `live/program.rs` | what makes a frame of an empty page? |
//! | `live/interface.rs` | does an interface take such frames, and what has become of them? |
//!
//! A frame that is sent by an interface comes out where one of its host's own would: at the other end of a veth, or at the
//! program that reads a TAP. It is not seen by packet sockets (tcpdump) on the interface itself.
//!
//! # No frame is lost on the way out
//! The kernel tells nobody what became of such a frame: a full ring drops it, a veth whose other end does not poll swallows
//! it. Therefore
//!
//! - an interface is refused that does not say of itself that it takes them, and so is one without carrier. A veth says so
//!   while its other end polls (NAPI): where generic receive offload is on there, or an XDP program in the driver;
//! - only veth and TAP are taken, whose counters are known to tell what has left: no more than [`WINDOW`] frames are on
//!   their way at a time, as many as a veth's ring holds;
//! - what the interface drops all the same (longer than the MTU at the other end, or somebody else sends, too) counts in
//!   [`Losses::overflowed`].
//!
//! # What it costs
//! Each queue has a thread that keeps a CPU busy as long as there is something to send, and a millisecond or two longer.
//! Frames lie in a page each, so that the buffer of a packet socket at the other end holds fewer small ones. A veth drops
//! what comes right behind a frame that is too long for the other end along with it. `cargo bench --bench generator` compares
//! it with a packet socket.
//!
//! Not done: network cards (their drivers count, and need to be prepared, each in a way of its own); receiving; frames of more
//! than [`MAX_FRAME_OCTETS`]; offloads.

mod interface;
mod program;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use frame::{Batch, ethernet};

use crate::link::{Link, Links};
use crate::losses::{Losses, down};
use crate::{Port, Sent, Stop};
use interface::{Counted, Counters};
use program::Program;

/// The longest frame, octets: what is left of a page of 4096 octets with what the kernel keeps in it (`struct xdp_page_head`,
/// `XDP_PACKET_HEADROOM`, `struct skb_shared_info`).
pub const MAX_FRAME_OCTETS: u32 = 3408;

/// Frames that may be on their way through the interface: `VETH_RING_SIZE` (drivers/net/veth.c); the ring of a TAP holds as
/// many as its queue is long, 500 or 1000 if nobody has set it.
pub const WINDOW: u64 = 256;

/// The counters are asked anew when fewer frames than this fit between what is known to have left.
const ENOUGH: u64 = 64;

/// When nothing has left for so long, it is asked why.
const STALLED: Duration = Duration::from_millis(500);

/// Octets on top of the MTU that the kernel lets through: the Ethernet header and one tag (`xdp_ok_fwd_dev`,
/// net/core/filter.c), whatever they are.
const OVERHEAD: u32 = (ethernet::HEADER_OCTETS + ethernet::TAG_OCTETS) as u32;

/// Why an interface cannot be sent to in this way.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A veth whose other end would not look at the frames.
    #[error(
        "'{0}' would swallow them: its other end does not poll (NAPI); turn that on there by `ethtool -K INTERFACE gro on`"
    )]
    NotPolled(String),
    /// The driver has no function for it, or it is not known how it counts.
    #[error("'{0}' does not take them: only veth and TAP interfaces do")]
    NotTaken(String),
    /// Nobody at the other end.
    #[error("'{0}' has no carrier")]
    NoCarrier(String),
    /// No interface of that number.
    #[error("'{0}' is gone")]
    Gone(String),
    /// Longer than [`MAX_FRAME_OCTETS`].
    #[error("they are of at most {MAX_FRAME_OCTETS} octets without FCS, so not of {0}")]
    TooLong(u32),
    /// The kernel refused: `EPERM` without `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`, `EINVAL` before Linux 5.18,
    /// `ENOENT` before Linux 6.3.
    #[error("the kernel does not do it: {0}")]
    Kernel(#[from] io::Error),
}

/// Sends by an interface.
pub struct LiveQueue {
    name: Arc<str>,
    links: Links,
    ifindex: u32,
    program: Program,
    /// The longest frame that may be sent, octets.
    longest: usize,
    traffic: Traffic,
    losses: Arc<Losses>,
}

/// What is on its way through the interface.
struct Traffic {
    counters: Counters,
    /// What they said when the count of frames began.
    base: Counted,
    /// What they said last.
    last: Counted,
    /// Frames handed to the interface since.
    handed: u64,
    /// Nothing has left since then, though frames were on their way or dropped.
    stalled: Option<Instant>,
}

/// Open an interface, by its number (ifindex) in the calling thread's network namespace, for frames of at most `longest`
/// octets without FCS; the name is only what it is called. It may be used from other threads, whatever their namespace.
///
/// # Errors
/// [`OpenError`].
pub fn open_index(name: &str, ifindex: u32, longest: u32) -> Result<LiveQueue, OpenError> {
    let longest = longest.max(ethernet::HEADER_OCTETS as u32);
    if longest > MAX_FRAME_OCTETS {
        return Err(OpenError::TooLong(longest));
    }
    let links = Links::open()?;
    let gone = || OpenError::Gone(name.to_owned());
    let link = links.by_index(ifindex).map_err(io::Error::from)?.ok_or_else(gone)?;
    check(&link, interface::takes_frames(ifindex)?, name)?;
    let program = Program::load(ifindex, ethernet::HEADER_OCTETS as u32, longest)?;
    Ok(LiveQueue {
        name: name.into(),
        links,
        ifindex,
        program,
        longest: longest.min(link.mtu.saturating_add(OVERHEAD)) as usize,
        traffic: Traffic::new(Counters::open(ifindex)?)?,
        losses: Arc::default(),
    })
}

/// Would the frames of this link come out at its other end?
fn check(link: &Link, taken: bool, name: &str) -> Result<(), OpenError> {
    let name = name.to_owned();
    match link.kind.as_deref() {
        Some("veth" | "tun") if !link.carrier => Err(OpenError::NoCarrier(name)),
        Some("veth" | "tun") if taken => Ok(()),
        Some("veth") => Err(OpenError::NotPolled(name)),
        _ => Err(OpenError::NotTaken(name)),
    }
}

impl Traffic {
    fn new(mut counters: Counters) -> io::Result<Self> {
        let base = counters.read()?;
        Ok(Self { counters, base, last: base, handed: 0, stalled: None })
    }

    /// Frames that are on their way, by what was counted last.
    fn under_way(&self) -> u64 {
        let left = self.last.sent.wrapping_sub(self.base.sent) + self.last.dropped.wrapping_sub(self.base.dropped);
        self.handed.saturating_sub(left)
    }

    /// Frames that may be handed over now.
    fn room(&self) -> u64 {
        WINDOW.saturating_sub(self.under_way())
    }

    /// Ask the counters; how many frames have been dropped since they were last asked.
    fn refresh(&mut self, now: Instant) -> io::Result<u64> {
        let before = std::mem::replace(&mut self.last, self.counters.read()?);
        if self.last.sent == before.sent && (self.under_way() > 0 || self.last.dropped != before.dropped) {
            self.stalled.get_or_insert(now);
        } else {
            self.stalled = None;
        }
        if self.under_way() == 0 {
            // Whoever else sends by the interface is in its counters, too.
            (self.base, self.handed) = (self.last, 0);
        }
        Ok(self.last.dropped.wrapping_sub(before.dropped))
    }

    fn is_stalled(&self, now: Instant) -> bool {
        self.stalled.is_some_and(|since| now.duration_since(since) > STALLED)
    }

    /// What was on its way will not arrive any more.
    fn write_off(&mut self) -> u64 {
        let lost = self.under_way();
        (self.base, self.handed, self.stalled) = (self.last, 0, None);
        lost
    }
}

impl LiveQueue {
    fn refresh(&mut self) -> io::Result<()> {
        let now = Instant::now();
        self.losses.count_overflowed(self.traffic.refresh(now)?);
        if self.traffic.is_stalled(now) { self.why_stalled() } else { Ok(()) }
    }

    /// Nothing leaves: is nobody there, or is the reader of a TAP only slow, or the frames too long for the other end?
    fn why_stalled(&mut self) -> io::Result<()> {
        let link = self.links.by_index(self.ifindex)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        let taken = interface::takes_frames(self.ifindex)?;
        if link.up && link.carrier && taken {
            self.traffic.stalled = None;
            return Ok(());
        }
        self.losses.count_overflowed(self.traffic.write_off());
        if link.up && link.carrier {
            let error = check(&link, taken, &self.name).err().map_or_else(String::new, |error| error.to_string());
            return Err(io::Error::new(io::ErrorKind::Unsupported, error));
        }
        Err(down())
    }

    /// Put as many of the frames into slots as there is room for and are not refused; how many, and why not the next.
    fn load(&mut self, batch: &Batch, picks: &[u16]) -> Sent {
        let room = self.traffic.room();
        for (taken, &pick) in picks.iter().enumerate() {
            let octets = batch[pick as usize].octets();
            // The kernel would take it and drop it.
            if !(ethernet::HEADER_OCTETS..=self.longest).contains(&octets.len()) {
                self.losses.count_refused();
                return Sent { taken, stopped: Some(Stop::Refused) };
            }
            if taken as u64 == room || !self.program.push(octets) {
                return Sent { taken, stopped: Some(Stop::Full) };
            }
        }
        Sent { taken: picks.len(), stopped: None }
    }
}

impl Port for LiveQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes_offload(&self) -> bool {
        false
    }

    /// Receives nothing; what is known of the frames that were sent is brought up to date, [`Port::losses`] with it.
    fn recv(&mut self, _batch: &mut Batch) -> io::Result<usize> {
        self.refresh().map(|()| 0)
    }

    /// [`Stop::Full`] when [`WINDOW`] frames are on their way.
    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        if self.traffic.room() < ENOUGH.min(picks.len() as u64) {
            self.refresh()?;
        }
        let sent = self.load(batch, picks);
        self.traffic.handed += sent.taken as u64;
        self.program.publish().map(|()| sent)
    }

    fn losses(&self) -> Option<Arc<Losses>> {
        Some(Arc::clone(&self.losses))
    }

    /// There is nothing to receive.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: Option<&str>, carrier: bool) -> Link {
        let links = Links::open().unwrap();
        let lo = links.by_name("lo").unwrap().unwrap();
        Link { kind: kind.map(str::to_owned), carrier, ..lo }
    }

    #[test]
    fn an_interface_that_would_swallow_frames_is_refused_in_one_line() {
        for (kind, carrier, taken, says) in [
            (Some("veth"), true, true, None),
            (Some("tun"), true, true, None),
            (Some("veth"), true, false, Some("ethtool -K INTERFACE gro on")),
            (Some("veth"), false, false, Some("no carrier")),
            (Some("tun"), false, true, Some("no carrier")),
            (Some("tun"), true, false, Some("only veth and TAP")),
            (Some("bridge"), true, false, Some("only veth and TAP")),
            (Some("bond"), true, true, Some("only veth and TAP")),
            (None, true, true, Some("only veth and TAP")),
        ] {
            let checked = check(&link(kind, carrier), taken, "eth0").map_err(|error| error.to_string());
            match says {
                None => assert_eq!(checked, Ok(()), "{kind:?}"),
                Some(says) => {
                    let error = checked.unwrap_err();
                    assert!(error.contains(says) && error.contains("'eth0'") && !error.contains('\n'), "{error}");
                }
            }
        }
    }

    #[test]
    fn frames_that_are_too_long_are_refused_before_the_kernel_is_asked() {
        let error = open_index("lo", 1, MAX_FRAME_OCTETS + 1).err().unwrap();
        assert!(matches!(error, OpenError::TooLong(octets) if octets == MAX_FRAME_OCTETS + 1), "{error}");
    }
}
