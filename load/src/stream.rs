//! What is in a frame? A stream writes one after the other, as its specification says; the same specification and seed make the
//! same frames.
//!
//! Nothing is allocated for a frame: a template is copied and fields are written into it.
//!
//! Errored frames are signed as a stream of their own, [`ERRORED`] behind the number of theirs, and counted by themselves. So
//! the numbers of the others have no gap when a switch does what it should and drops them, and one that comes out is known.
//! IEEE 802.3 has no port forward a frame that is too short or too long (clause 4.2.4.2) nor, with 802.1Q, learn a group
//! address (clause 8.7); a source of zeros belongs to nobody.
//!
//! Not done: frames with a wrong FCS, which a driver does not let a program write; runts shorter than an Ethernet header with a
//! signature, which the kernel refuses to send or which nobody could know again.

mod packet;
mod spec;

use frame::{Frame, MacAddr};
use rand::Rng;
use rand_pcg::Pcg64Mcg;

pub(crate) use self::packet::DISCARD_PORT;
use self::packet::{Fields, Packet};
pub(crate) use self::spec::Whose;
use self::spec::header_octets;
pub use self::spec::{
    Errored, ErroredKind, Kind, LEAST_GIANT, MOST_FLOWS, MOST_GIANT, MOST_STREAM, Stations, StreamSpec, USUAL_IPS_V4,
};
use crate::signature::{ANY_PORT, SIGNATURE_OCTETS, Signature, sign};
use crate::size::LEAST_OCTETS;
use crate::walk::{Walker, below, generator, ip_at, mac_at};
use crate::{FCS_OCTETS, LoadError, WIRE_GAP_OCTETS};

/// Added to the number of a stream in the signatures of its errored frames.
pub const ERRORED: u8 = MOST_STREAM + 1;
/// The first UDP source port.
pub(crate) const FIRST_PORT: u16 = 1024;
/// The bit of an address that says a group, in [`MacAddr::to_u64`].
const GROUP: u64 = 0x0100_0000_0000;
/// In IPv4 and IPv6, everyone: where broadcast frames go (RFC 919; RFC 4291 clause 2.7.1).
const ALL_IPV4: u128 = 0xffff_ffff;
const ALL_IPV6: u128 = 0xff02_0000_0000_0000_0000_0000_0000_0001;

/// How many frames a stream has written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Those that a switch should forward: as many numbers are given out.
    pub frames: u64,
    /// How many of them went to everyone.
    pub broadcast: u64,
    /// Errored ones, which come on top.
    pub errored: u64,
    /// What all of them take of a wire, preamble, gap and FCS included.
    pub wire_octets: u64,
}

impl Sent {
    /// All frames, errored ones included: the number of the next one for [`crate::Rate::due_ns`].
    pub const fn all(&self) -> u64 {
        self.frames + self.errored
    }
}

/// A stream on its way.
#[derive(Clone)]
pub struct Stream {
    spec: StreamSpec,
    packet: Packet,
    /// What runts are cut from.
    runt: Packet,
    sources: Walker,
    destinations: Walker,
    sizes: Pcg64Mcg,
    flows: Pcg64Mcg,
    /// Decides which frames are errored, and which go to everyone.
    chance: Pcg64Mcg,
    sent: Sent,
    last_wire_octets: u64,
}

impl Stream {
    /// Begin a stream.
    ///
    /// # Errors
    /// What [`StreamSpec::check`] finds.
    pub fn new(spec: StreamSpec) -> Result<Self, LoadError> {
        spec.check()?;
        // Streams of one seed and different numbers have nothing to do with each other.
        let purpose = |what: u64| u64::from(spec.stream) << 8 | what;
        let giant = spec.errored.as_ref().map_or(0, |errored| errored.giant_octets as usize);
        let longest = spec.sizes.largest().max(giant) - FCS_OCTETS;
        let walker = |stations: &Stations, what| Walker::new(stations.walk, stations.count, spec.seed, purpose(what));
        Ok(Self {
            packet: Packet::new(spec.kind, spec.vlan, longest),
            runt: Packet::new(Kind::Plain, spec.vlan, LEAST_OCTETS as usize),
            sources: walker(&spec.sources, 1)?,
            destinations: walker(&spec.destinations, 2)?,
            sizes: generator(spec.seed, purpose(3)),
            flows: generator(spec.seed, purpose(4)),
            chance: generator(spec.seed, purpose(5)),
            sent: Sent::default(),
            last_wire_octets: 0,
            spec,
        })
    }

    /// What it was asked to be.
    pub fn spec(&self) -> &StreamSpec {
        &self.spec
    }

    /// How many frames it has written.
    #[inline]
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// What the last frame takes of a wire, preamble, gap and FCS included; 0 before the first.
    #[inline]
    pub fn wire_octets(&self) -> u64 {
        self.last_wire_octets
    }

    /// Write the next frame, signed for the run `mark` and as due to be sent at `due_ns` since its start.
    pub fn write(&mut self, frame: &mut Frame, mark: u16, due_ns: u64) {
        let errored = self.next_errored();
        let octets = self.next_octets(errored);
        let to_all = self.next_to_all(errored);
        let fields = self.next_fields(errored, to_all);
        let packet = if errored == Some(ErroredKind::Runt) { &self.runt } else { &self.packet };
        packet.write(frame, octets, &fields);
        let (stream, number) = match errored {
            Some(_) => (self.spec.stream | ERRORED, self.sent.errored),
            None => (self.spec.stream, self.sent.frames),
        };
        let port = if to_all { ANY_PORT } else { self.spec.port };
        sign(frame.octets_mut(), Signature { mark, stream, port, number, due_ns });
        packet.finish(frame.octets_mut());
        self.count(errored, to_all, octets);
    }

    /// What is wrong with the next frame.
    fn next_errored(&mut self) -> Option<ErroredKind> {
        let errored = self.spec.errored.as_ref()?;
        if !happens(&mut self.chance, errored.per_million) {
            return None;
        }
        let kind = below(self.chance.next_u64(), errored.kinds.len() as u32);
        errored.kinds.get(kind as usize).copied()
    }

    /// Octets of the next frame, without FCS.
    fn next_octets(&mut self, errored: Option<ErroredKind>) -> usize {
        let random = self.sizes.next_u64();
        match (errored, &self.spec.errored) {
            (Some(ErroredKind::Runt), _) => {
                let least = header_octets(self.spec.vlan) + SIGNATURE_OCTETS;
                let span = LEAST_OCTETS as usize - FCS_OCTETS - least;
                least + below(random, span as u32) as usize
            }
            (Some(ErroredKind::Giant), Some(errored)) => errored.giant_octets as usize - FCS_OCTETS,
            _ => self.spec.sizes.at(random) - FCS_OCTETS,
        }
    }

    /// Does the next frame go to everyone? ARP requests do, but for runts, which are none.
    fn next_to_all(&mut self, errored: Option<ErroredKind>) -> bool {
        match errored {
            Some(errored) => self.spec.kind == Kind::ArpRequest && errored != ErroredKind::Runt,
            None => self.spec.kind == Kind::ArpRequest || happens(&mut self.chance, self.spec.broadcast_per_million),
        }
    }

    /// Addresses and ports of the next frame.
    fn next_fields(&mut self, errored: Option<ErroredKind>, to_all: bool) -> Fields {
        let StreamSpec { kind, sources, destinations, flows, .. } = &self.spec;
        let (source, destination) = (self.sources.step(), self.destinations.step());
        let sender = mac_at(sources.mac, source);
        let destination_ip = match kind {
            Kind::UdpIpv4 if to_all => ALL_IPV4,
            Kind::UdpIpv6 if to_all => ALL_IPV6,
            _ => ip_number(destinations, Whose::Destination, *kind, destination),
        };
        Fields {
            destination: if to_all { MacAddr::BROADCAST } else { mac_at(destinations.mac, destination) },
            source: match errored {
                Some(ErroredKind::GroupSource) => MacAddr::from_u64(sender.to_u64() | GROUP),
                Some(ErroredKind::ZeroSource) => MacAddr::ZERO,
                _ => sender,
            },
            sender,
            source_ip: ip_number(sources, Whose::Source, *kind, source),
            destination_ip,
            source_port: FIRST_PORT + below(self.flows.next_u64(), *flows) as u16,
        }
    }

    fn count(&mut self, errored: Option<ErroredKind>, to_all: bool, octets: usize) {
        self.last_wire_octets = (octets + FCS_OCTETS + WIRE_GAP_OCTETS) as u64;
        self.sent.wire_octets += self.last_wire_octets;
        if errored.is_some() {
            self.sent.errored += 1;
        } else {
            self.sent.frames += 1;
            self.sent.broadcast += u64::from(to_all);
        }
    }
}

/// Does it happen this time, when it does so many times in a million? No number is drawn for what never happens.
fn happens(chance: &mut Pcg64Mcg, per_million: u32) -> bool {
    per_million > 0 && below(chance.next_u64(), 1_000_000) < per_million
}

/// The IP address of a station, as a number.
fn ip_number(stations: &Stations, whose: Whose, kind: Kind, index: u32) -> u128 {
    let (first, count) = whose.ips(stations, kind);
    match ip_at(first, index % count.max(1)) {
        std::net::IpAddr::V4(ip) => u32::from(ip).into(),
        std::net::IpAddr::V6(ip) => ip.into(),
    }
}

#[cfg(test)]
mod tests;
