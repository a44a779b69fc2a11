//! How do fragments of packets for the gateway itself become one again? (RFC 791, 3.2; RFC 815)
//!
//! Only the gateway's own packets are put together, so that `ping -s 65000` of it is answered: what a
//! router forwards stays in pieces. Memory is bounded: [`DATAGRAMS`] at a time, each at most 64 KiB, each for
//! at most [`TIMEOUT`]; one more makes the oldest go. A fragment that overlaps what is there with other octets
//! condemns its datagram, those of its fragments that are still to come included, because the two ends
//! could be made to read different packets from it (RFC 5722 says so for IPv6); an exact repetition is ignored.
//!
//! Not done: the ICMP error "reassembly time exceeded" (type 11, code 1).

use std::net::Ipv4Addr;

use frame::ethernet::HEADER_OCTETS;
use frame::offload::checksum::ipv4_header_checksum;
use frame::{Frame, Millis};
use pnet::packet::ipv4::MutableIpv4Packet;

use super::packet::{IPV4_OCTETS, Packet};

/// Datagrams put together at a time.
pub const DATAGRAMS: usize = 16;
/// How long the fragments of a datagram are kept, from its first on (RFC 791 suggests 15 seconds).
pub const TIMEOUT: Millis = Millis::from_secs(15);
/// The most octets of a datagram's payload.
const MAX_PAYLOAD: usize = 65_535 - IPV4_OCTETS;

/// What became of a fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    /// It is kept until the others come.
    Waiting,
    /// It was the last: the datagram is whole.
    Complete,
    /// It is not kept: malformed, or of a condemned datagram.
    Discarded,
}

/// Datagrams of which some fragments have come.
#[derive(Clone, Default)]
pub struct Reassembly {
    datagrams: Vec<Datagram>,
}

/// Which fragments belong together (RFC 791, 3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Name {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    identification: u16,
}

#[derive(Clone)]
struct Datagram {
    name: Name,
    began: Millis,
    payload: Vec<u8>,
    /// The octets of `payload` that have come, as ranges in order with gaps between them.
    ranges: Vec<(usize, usize)>,
    /// Ethernet and IP header of the fragment at offset 0.
    headers: Vec<u8>,
    /// Octets of the whole payload, known from the last fragment.
    len: Option<usize>,
    condemned: bool,
}

impl Reassembly {
    /// With nothing in it.
    pub const fn new() -> Self {
        Self { datagrams: Vec::new() }
    }

    /// Take in one fragment. When that makes its datagram whole, `whole` becomes one frame with all of it, behind
    /// the headers of its first fragment.
    pub fn offer(&mut self, fragment: &Frame, now: Millis, whole: &mut Frame) -> Offered {
        self.expire(now);
        let Ok(packet) = Packet::read(fragment) else { return Offered::Discarded };
        let at = self.find_or_begin(&packet, now);
        let Some(datagram) = self.datagrams.get_mut(at) else { return Offered::Discarded };
        if datagram.condemned {
            return Offered::Discarded;
        }
        if datagram.add(fragment, &packet).is_none() {
            datagram.condemn();
            return Offered::Discarded;
        }
        if !datagram.is_whole() {
            return Offered::Waiting;
        }
        let datagram = self.datagrams.swap_remove(at);
        if datagram.write(whole) { Offered::Complete } else { Offered::Discarded }
    }

    /// Forget the datagrams whose time has run out, and say how many those were.
    pub fn expire(&mut self, now: Millis) -> usize {
        let before = self.datagrams.len();
        self.datagrams.retain(|datagram| now.since(datagram.began) < TIMEOUT);
        before - self.datagrams.len()
    }

    /// How many datagrams are under way.
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Is none under way?
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    fn find_or_begin(&mut self, packet: &Packet<'_>, now: Millis) -> usize {
        let name = Name {
            source: packet.source(),
            destination: packet.destination(),
            protocol: packet.protocol().0,
            identification: packet.identification(),
        };
        if let Some(at) = self.datagrams.iter().position(|datagram| datagram.name == name) {
            return at;
        }
        if self.datagrams.len() >= DATAGRAMS
            && let Some(oldest) = (0..self.datagrams.len()).min_by_key(|at| self.datagrams[*at].began)
        {
            self.datagrams.swap_remove(oldest);
        }
        self.datagrams.push(Datagram::new(name, now));
        self.datagrams.len() - 1
    }
}

impl Datagram {
    fn new(name: Name, began: Millis) -> Self {
        let (payload, ranges, headers) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, began, payload, ranges, headers, len: None, condemned: false }
    }

    /// Drop what has come; the name stays until the time runs out.
    fn condemn(&mut self) {
        *self = Self { condemned: true, ..Self::new(self.name, self.began) };
    }

    /// Put a fragment in its place; `None` when it contradicts the others or itself.
    fn add(&mut self, fragment: &Frame, packet: &Packet<'_>) -> Option<()> {
        let (octets, start) = (packet.payload(), packet.fragment_offset());
        let end = start + octets.len();
        let misshapen = octets.is_empty() || packet.more_fragments() && !octets.len().is_multiple_of(8);
        if misshapen || end > MAX_PAYLOAD {
            return None;
        }
        if !packet.more_fragments() && self.len.replace(end).is_some_and(|known| known != end) {
            return None;
        }
        let furthest = self.ranges.last().map_or(0, |range| range.1);
        if self.len.is_some_and(|len| end.max(furthest) > len) {
            return None;
        }
        if self.ranges.iter().any(|&(from, to)| from < end && start < to) {
            // The same octets once more do no harm.
            let here = self.ranges.iter().any(|&(from, to)| from <= start && end <= to);
            return (here && self.payload.get(start..end)? == octets).then_some(());
        }
        if self.payload.len() < end {
            self.payload.resize(end, 0);
        }
        self.payload.get_mut(start..end)?.copy_from_slice(octets);
        self.enter_range(start, end);
        if start == 0 {
            self.headers.extend_from_slice(fragment.octets().get(..HEADER_OCTETS + packet.header().len())?);
        }
        Some(())
    }

    /// Add a range that overlaps none, and join it to its neighbours.
    fn enter_range(&mut self, start: usize, end: usize) {
        let at = self.ranges.partition_point(|range| range.0 < start);
        self.ranges.insert(at, (start, end));
        if self.ranges.get(at + 1).is_some_and(|next| next.0 == end) {
            self.ranges[at].1 = self.ranges.remove(at + 1).1;
        }
        if at > 0 && self.ranges[at - 1].1 == start {
            self.ranges[at - 1].1 = self.ranges.remove(at).1;
        }
    }

    fn is_whole(&self) -> bool {
        self.len.is_some_and(|len| self.ranges == [(0, len)])
    }

    /// Write the datagram as one unfragmented packet; `false` when headers and payload are together too long.
    fn write(&self, whole: &mut Frame) -> bool {
        let header_end = self.headers.len();
        let len = header_end + self.payload.len();
        let Ok(total_length) = u16::try_from(len - HEADER_OCTETS) else { return false };
        let Some(octets) = whole.receive_area().get_mut(..len) else { return false };
        octets[..header_end].copy_from_slice(&self.headers);
        octets[header_end..].copy_from_slice(&self.payload);
        let Some(mut ip) = MutableIpv4Packet::new(&mut octets[HEADER_OCTETS..header_end]) else { return false };
        ip.set_total_length(total_length);
        ip.set_flags(0);
        ip.set_fragment_offset(0);
        ip.set_checksum(ipv4_header_checksum(pnet::packet::Packet::packet(&ip)));
        whole.received(len);
        true
    }
}
