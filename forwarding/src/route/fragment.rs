//! How is a packet cut for a network with a smaller MTU? (RFC 791, 3.2, "An Example Fragmentation Procedure")
//!
//! Every fragment but the last carries a multiple of eight octets, as many as fit. The first keeps all
//! options, the others only those whose copy flag is set. A fragment is cut into fragments of the same
//! datagram. Each comes out whole, checksum included, with nothing left to offload.
//!
//! Not done: super-frames. Cut them into segments first (`frame::offload::segment`), then each segment.

use std::fmt;

use frame::ethernet::HEADER_OCTETS;
use frame::offload::checksum::{finish, ipv4_header_checksum};
use frame::{Frame, OffloadHeader};
use pnet::packet::ipv4::{Ipv4Flags, MutableIpv4Packet};

use super::packet::{IPV4_OCTETS, Packet};

/// The longest IPv4 header.
const MAX_HEADER_OCTETS: usize = 60;
/// Every network carries packets of this size (RFC 791, 3.2): the longest header and eight octets.
const MIN_MTU: usize = 68;

/// Why a packet is not cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotFragmented {
    /// The frame carries no well-formed IPv4 packet, or is tagged.
    NotIpv4,
    /// It is marked not to be fragmented.
    DontFragment,
    /// It is a super-frame.
    SuperFrame,
    /// Its virtio-net header does not fit its octets.
    BadOffload,
    /// The MTU is below 68 octets.
    MtuTooSmall,
}

impl fmt::Display for NotFragmented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotIpv4 => "carries no IPv4 packet",
            Self::DontFragment => "marked not to be fragmented",
            Self::SuperFrame => "a super-frame has to be cut into segments first",
            Self::BadOffload => "its virtio-net header does not fit its octets",
            Self::MtuTooSmall => "an MTU below 68 octets",
        })
    }
}

impl std::error::Error for NotFragmented {}

/// The fragments of one packet, one after the other.
pub struct Fragments<'a> {
    ethernet: &'a [u8],
    packet: Packet<'a>,
    mtu: usize,
    /// Octets of payload already handed out; `None` when all are.
    done: Option<usize>,
}

impl<'a> Fragments<'a> {
    /// Begin to cut the packet in `frame` for networks of `mtu` IP octets. Where its upper layer's checksum is
    /// unfinished, it is finished in `frame` first: it covers the whole datagram.
    ///
    /// # Errors
    /// [`NotFragmented`].
    pub fn new(frame: &'a mut Frame, mtu: usize) -> Result<Self, NotFragmented> {
        let offload = frame.offload();
        if offload.is_gso() {
            return Err(NotFragmented::SuperFrame);
        }
        finish(frame.octets_mut(), offload).map_err(|_| NotFragmented::BadOffload)?;
        frame.set_offload(OffloadHeader::NONE);
        let packet = Packet::read(frame).map_err(|_| NotFragmented::NotIpv4)?;
        if packet.dont_fragment() {
            return Err(NotFragmented::DontFragment);
        }
        if mtu < MIN_MTU {
            return Err(NotFragmented::MtuTooSmall);
        }
        let ethernet = frame.octets().get(..HEADER_OCTETS).ok_or(NotFragmented::NotIpv4)?;
        Ok(Self { ethernet, packet, mtu, done: Some(0) })
    }

    /// Write the next fragment into `out`; `false`, and `out` as it was, when there is none left. A packet that
    /// fits the MTU comes out once, as it is.
    pub fn next_into(&mut self, out: &mut Frame) -> bool {
        let Some(done) = self.done else { return false };
        let mut header = [0; MAX_HEADER_OCTETS];
        let header_octets = self.header_for(done, &mut header);
        let rest = self.packet.payload().get(done..).unwrap_or_default();
        let fits = self.mtu - header_octets;
        let payload = if rest.len() <= fits { rest } else { rest.get(..fits & !7).unwrap_or(rest) };
        let last = payload.len() == rest.len();
        let total = header_octets + payload.len();
        if let Some(mut ip) = MutableIpv4Packet::new(&mut header[..header_octets]) {
            ip.set_header_length((header_octets / 4) as u8);
            ip.set_total_length(total as u16);
            ip.set_flags(if last && !self.packet.more_fragments() { 0 } else { Ipv4Flags::MoreFragments });
            ip.set_fragment_offset(((self.packet.fragment_offset() + done) / 8) as u16);
            ip.set_checksum(ipv4_header_checksum(pnet::packet::Packet::packet(&ip)));
        }
        self.done = (!last).then_some(done + payload.len());
        let Some(octets) = out.receive_area().get_mut(..HEADER_OCTETS + total) else { return false };
        let (ethernet, ip) = octets.split_at_mut(HEADER_OCTETS);
        ethernet.copy_from_slice(self.ethernet);
        ip[..header_octets].copy_from_slice(&header[..header_octets]);
        ip[header_octets..].copy_from_slice(payload);
        out.received(HEADER_OCTETS + total);
        true
    }

    /// The header of the fragment at `done`: the packet's own, or the fixed part and the options to copy.
    fn header_for(&self, done: usize, header: &mut [u8; MAX_HEADER_OCTETS]) -> usize {
        let original = self.packet.header();
        if done == 0 {
            header[..original.len()].copy_from_slice(original);
            return original.len();
        }
        header[..IPV4_OCTETS].copy_from_slice(&original[..IPV4_OCTETS]);
        let mut at = IPV4_OCTETS;
        for option in Options(&original[IPV4_OCTETS..]).filter(|option| option[0] & COPY_FLAG != 0) {
            header[at..at + option.len()].copy_from_slice(option);
            at += option.len();
        }
        // The rest of the last word is already "end of options", which is zero.
        at.next_multiple_of(4)
    }
}

/// The bit of an option's type that says "in every fragment" (RFC 791, 3.1).
const COPY_FLAG: u8 = 0x80;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;

/// The options of a header that have a length, up to the first that is malformed.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let Some((&NO_OPERATION, rest)) = self.0.split_first() {
            self.0 = rest;
        }
        let [option_type, len, ..] = *self.0 else { return None };
        if option_type == END_OF_OPTIONS || len < 2 {
            return None;
        }
        let (option, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(option)
    }
}
