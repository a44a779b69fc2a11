//! How are frames of the kernel's pktgen known again, and what became of them? By the header that pktgen writes behind that of
//! UDP (`struct pktgen_hdr`, net/core/pktgen.c), 16 octets, big endian:
//!
//! ```text
//!  0                 4                 8           12             16
//!  | magic be9be955  | sequence number | seconds   | microseconds |  zeros to the end
//! ```
//! The number begins with 1 and counts the thread's frames; copies of a frame (`clone_skb`, `burst`) have the number of the
//! first of them, so that of a group of copies only the count is known; a group is smaller where the interface had no more
//! room. The thread is known by the UDP source port. The time is that of `CLOCK_REALTIME` at which the frame was made, 0 with
//! the flag `NO_TIMESTAMP`; where pktgen keeps a rate, it waits after that.
//!
//! There is no check in it. A frame of these addresses and ports is said to be damaged if the magic is another, if what should
//! be zeros is not, or if its number is none that the thread could have come to.
//!
//! Not done: damage to the number or the time shows as loss, a duplicate or a wrong latency. A copy that is more than 65,536
//! frames late counts as a duplicate; one too many in a group that is smaller takes the place of the frame behind it.

use frame::MacAddr;
use frame::ethernet::{self, EthernetHeader, ether_type};

use super::Plan;
use crate::signature::Signature;
use crate::stream::{DISCARD_PORT, FIRST_PORT, StreamSpec};
use crate::tally::{Arrival, PortTally};

/// What pktgen's header begins with.
pub const MAGIC: u32 = 0xbe9b_e955;
/// Octets of the header.
pub const HEADER_OCTETS: usize = 16;
/// Octets of a UDP header.
const UDP_OCTETS: usize = 8;
/// UDP's number (IANA "Protocol Numbers").
const UDP: u8 = 17;
/// Frames whose groups of copies are told apart.
const GROUPS: usize = 1 << 16;

/// What pktgen writes into a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The number of the first frame that is like this one, from 1 on, its low 32 bits.
    pub sequence: u32,
    /// When it was made, microseconds of `CLOCK_REALTIME` since 1970; `None` if it does not say.
    pub made_us: Option<u64>,
}

impl Header {
    /// Read what stands behind a UDP header; `None` if that is not pktgen's.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (words, rest) = payload.split_first_chunk::<HEADER_OCTETS>()?;
        let word = |at: usize| u32::from_be_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
        if word(0) != MAGIC || rest.iter().any(|octet| *octet != 0) {
            return None;
        }
        let (seconds, micros) = (word(8), word(12));
        let made_us = (seconds != 0 || micros != 0).then(|| u64::from(seconds) * 1_000_000 + u64::from(micros));
        Some(Self { sequence: word(4), made_us })
    }
}

/// A UDP datagram to the discard port.
struct Datagram<'a> {
    source_port: u16,
    payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// The datagram in a whole frame; `None` if there is none to the discard port.
    fn read(octets: &'a [u8]) -> Option<Self> {
        let (kind, at) = ethernet::payload(octets)?;
        let packet = octets.get(at..)?;
        let (protocol, header) = match kind {
            ether_type::IPV4 => (packet.get(9)?, usize::from(packet.first()? & 0x0f) * 4),
            ether_type::IPV6 => (packet.get(6)?, 40),
            _ => return None,
        };
        let (udp, rest) = packet.get(header..)?.split_first_chunk::<UDP_OCTETS>()?;
        let [s0, s1, d0, d1, l0, l1, ..] = *udp;
        if *protocol != UDP || u16::from_be_bytes([d0, d1]) != DISCARD_PORT {
            return None;
        }
        // What is behind the datagram fills the frame up, and is nobody's.
        let length = usize::from(u16::from_be_bytes([l0, l1])).saturating_sub(UDP_OCTETS);
        Some(Self { source_port: u16::from_be_bytes([s0, s1]), payload: rest.get(..length).unwrap_or(rest) })
    }
}

/// What came out of one port of the frames of a [`Plan`].
#[derive(Clone, Debug)]
pub struct KernelTally {
    port: PortTally,
    first_source: MacAddr,
    sources: u32,
    flows: u32,
    repeats: u64,
    stamped: bool,
    /// When the run began, by `CLOCK_REALTIME`, nanoseconds.
    began_ns: u64,
    threads: Vec<Sequence>,
}

impl KernelTally {
    /// Nothing has come yet. `began_ns` is when the run began, nanoseconds of `CLOCK_REALTIME` since 1970.
    pub fn new(plan: &Plan, spec: &StreamSpec, began_ns: u64) -> Self {
        Self {
            port: PortTally::new(0, spec.port),
            first_source: spec.sources.mac,
            sources: spec.sources.count,
            flows: plan.flows.max(1),
            repeats: plan.repeats.max(1),
            stamped: plan.stamped,
            began_ns,
            threads: plan.devices.iter().map(|_| Sequence::default()).collect(),
        }
    }

    /// A whole frame came, so many nanoseconds after the run began.
    pub fn take(&mut self, octets: &[u8], arrived_ns: u64) -> Arrival {
        let Some((thread, datagram)) = self.own(octets) else {
            self.port.take_foreign();
            return Arrival::Foreign;
        };
        let header = Header::read(datagram.payload);
        let numbered = header.and_then(|header| {
            let number = self.threads.get_mut(thread)?.number(header.sequence, self.repeats)?;
            Some((header, number))
        });
        let Some((header, number)) = numbered else {
            self.port.take_damaged();
            return Arrival::Damaged;
        };
        let made_ns = header.made_us.filter(|_| self.stamped).map(|micros| micros.saturating_mul(1000));
        let due_ns = made_ns.map_or(arrived_ns, |ns| ns.saturating_sub(self.began_ns));
        let signature = Signature { mark: 0, stream: thread as u8, port: self.port.port(), number, due_ns };
        self.port.take_as(signature, octets.len(), arrived_ns)
    }

    /// Does the latency that was counted mean something?
    pub fn is_stamped(&self) -> bool {
        self.stamped
    }

    /// The tally as that of a port.
    pub fn into_port(self) -> PortTally {
        self.port
    }

    /// Frames in their place so far.
    pub fn received(&self) -> u64 {
        self.port.received()
    }

    /// The thread that a frame is of, by its source's address and port, and the datagram in it.
    fn own<'a>(&self, octets: &'a [u8]) -> Option<(usize, Datagram<'a>)> {
        let source = EthernetHeader::read(octets)?.source;
        let index = source.to_u64().checked_sub(self.first_source.to_u64())?;
        if index >= u64::from(self.sources) {
            return None;
        }
        let datagram = Datagram::read(octets)?;
        let flow = datagram.source_port.checked_sub(FIRST_PORT)?;
        let thread = (u32::from(flow) / self.flows) as usize;
        (thread < self.threads.len()).then_some((thread, datagram))
    }
}

/// The numbers of one thread's frames.
#[derive(Clone, Default, Debug)]
struct Sequence {
    /// The highest number so far, as it would be with 64 bits.
    highest: u64,
    /// Of the latest groups of copies: the number of the group, and how many of it have come.
    groups: Vec<(u64, u64)>,
}

impl Sequence {
    /// How many frames of the thread went before the one with this number in it, when each number is in `repeats` frames;
    /// `None` for a number that the thread cannot have come to.
    fn number(&mut self, low: u32, repeats: u64) -> Option<u64> {
        // The number that is nearest to the highest so far: the kernel's has 32 bits, and begins again.
        let step = i64::from(low.wrapping_sub(self.highest as u32).cast_signed());
        let sequence = self.highest.checked_add_signed(step).filter(|sequence| *sequence > 0)?;
        self.highest = self.highest.max(sequence);
        if repeats == 1 {
            return Some(sequence - 1);
        }
        if self.groups.is_empty() {
            self.groups = vec![(0, 0); GROUPS];
        }
        let slot = sequence as usize % GROUPS;
        let group = self.groups.get_mut(slot)?;
        if group.0 < sequence {
            *group = (sequence, 0);
        }
        if group.0 > sequence || group.1 == repeats {
            return Some(sequence - 1); // which has come already
        }
        group.1 += 1;
        Some(sequence + group.1 - 2)
    }
}

#[cfg(test)]
mod tests;
