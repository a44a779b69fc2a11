//! What does the gateway say back? Echo replies and errors (RFC 792; RFC 1812, 4.3; RFC 1122, 3.2.2).
//!
//! An error names what was wrong and quotes the packet it is about, so that its sender finds the socket it
//! came from: as much of it as fits into 576 octets (RFC 1812, 4.3.2.3). It comes from the gateway's address
//! on the network the packet came from. No error is ever sent about an ICMP error, about a fragment
//! other than the first, to or about what is not one station's address (RFC 1812, 4.3.2.7); and none
//! beyond the rate that [`super::limit`] allows.
//!
//! Not done: redirects, timestamps, and options in replies (record route is not reflected).

use std::net::Ipv4Addr;

use frame::ethernet::{EthernetHeader, HEADER_OCTETS, ether_type};
use frame::offload::checksum::{internet_checksum, ipv4_header_checksum, update16};
use frame::{Frame, MacAddr};
use pnet::packet::icmp::destination_unreachable::IcmpCodes;
use pnet::packet::icmp::{IcmpCode, IcmpPacket, IcmpType, IcmpTypes, MutableIcmpPacket};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::{Ipv4Flags, MutableIpv4Packet};

use super::packet::{IPV4_OCTETS, Packet};

/// Octets of an ICMP header: type, code, checksum, and four more that depend on the type.
const ICMP_OCTETS: usize = 8;
/// The most octets of an error message's IP packet (RFC 1812, 4.3.2.3).
const ERROR_OCTETS: usize = 576;
/// Time to live of what the gateway itself sends (IANA "IP Parameters": the default is 64).
const TTL: u8 = 64;
/// Precedence 6, internetwork control: what an error is to be sent with (RFC 1812, 4.3.2.5), as DSCP CS6.
const ERROR_DSCP: u8 = 48;

/// An ICMP error the gateway sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcmpError {
    /// Type 11, code 0: the time to live ran out here.
    TimeExceeded,
    /// Type 3, with a code other than 4.
    Unreachable(Unreachable),
    /// Type 3, code 4: too large for the next network and not to be fragmented; with that network's MTU
    /// in octets (RFC 1191, 4).
    FragmentationNeeded {
        /// The MTU of the next network.
        mtu: u16,
    },
}

/// Why a destination is unreachable: the codes of type 3 (RFC 792; RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Unreachable {
    /// No route to the destination's network.
    Network = 0,
    /// The destination does not answer on its network.
    Host = 1,
    /// The destination does not speak the protocol.
    Protocol = 2,
    /// Nobody listens on the port.
    Port = 3,
    /// A source route could not be followed.
    SourceRouteFailed = 5,
    /// The network does not exist.
    NetworkUnknown = 6,
    /// The host does not exist.
    HostUnknown = 7,
    /// The source is isolated (historic).
    SourceIsolated = 8,
    /// The network is administratively prohibited; RFC 1812 has routers use [`Unreachable::Prohibited`].
    NetworkProhibited = 9,
    /// The host is administratively prohibited; RFC 1812 has routers use [`Unreachable::Prohibited`].
    HostProhibited = 10,
    /// The network is not reachable with that type of service.
    NetworkTos = 11,
    /// The host is not reachable with that type of service.
    HostTos = 12,
    /// Communication is administratively prohibited: a router filters.
    Prohibited = 13,
    /// The precedence asked for is not permitted.
    PrecedenceViolation = 14,
    /// The precedence is below what the network requires.
    PrecedenceCutoff = 15,
}

impl IcmpError {
    /// Type and code on the wire.
    pub const fn type_and_code(self) -> (u8, u8) {
        match self {
            Self::TimeExceeded => (11, 0),
            Self::Unreachable(why) => (3, why as u8),
            Self::FragmentationNeeded { .. } => (3, IcmpCodes::FragmentationRequiredAndDFFlagSet.0),
        }
    }

    /// The last two octets of the header: the next network's MTU, else zero.
    const fn low_word(self) -> u16 {
        match self {
            Self::FragmentationNeeded { mtu } => mtu,
            _ => 0,
        }
    }
}

/// May an ICMP error be sent about this frame (RFC 1812, 4.3.2.7)? `false`, too, for one that carries no
/// well-formed IPv4 packet.
pub fn may_tell(about: &Frame) -> bool {
    let to_one_station = EthernetHeader::read(about.octets()).is_some_and(|header| !header.destination.is_group());
    to_one_station && Packet::read(about).is_ok_and(|packet| may_tell_of(&packet))
}

pub(super) fn may_tell_of(packet: &Packet<'_>) -> bool {
    let (source, destination) = (packet.source(), packet.destination());
    let one_station = |address: Ipv4Addr| !(address.is_multicast() || address.is_broadcast() || is_this_host(address));
    one_station(source) && one_station(destination) && packet.fragment_offset() == 0 && !is_icmp_error(packet)
}

/// 0.0.0.0/8 and 127.0.0.0/8 (RFC 1122, 3.2.1.3), and 240.0.0.0/4, which nobody has.
pub(super) fn is_this_host(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0 || address.is_loopback() || address.octets()[0] >= 240
}

/// Errors are all that is not known to be a question or an answer: types unheard of count as errors.
fn is_icmp_error(packet: &Packet<'_>) -> bool {
    const HARMLESS: [IcmpType; 6] = [
        IcmpTypes::EchoReply,
        IcmpTypes::EchoRequest,
        IcmpTypes::Timestamp,
        IcmpTypes::TimestampReply,
        IcmpTypes::InformationRequest,
        IcmpTypes::InformationReply,
    ];
    packet.protocol() == IpNextHeaderProtocols::Icmp
        && !IcmpPacket::new(packet.payload()).is_some_and(|icmp| HARMLESS.contains(&icmp.get_icmp_type()))
}

/// Is it an echo request, whole?
pub(super) fn is_echo_request(packet: &Packet<'_>) -> bool {
    packet.payload().len() >= ICMP_OCTETS
        && IcmpPacket::new(packet.payload()).is_some_and(|icmp| icmp.get_icmp_type() == IcmpTypes::EchoRequest)
}

/// The Ethernet header of an answer to `about`: its addresses, exchanged. `None` when it has none.
pub fn answering(about: &Frame) -> Option<EthernetHeader> {
    let header = EthernetHeader::read(about.octets())?;
    Some(EthernetHeader { destination: header.source, source: header.destination, ether_type: ether_type::IPV4 })
}

/// Make `reply` the echo reply to `request`, a whole echo request of up to 65,507 data octets in one frame.
/// What comes back may be larger than the network's MTU: see [`super::fragment`]. `false`, and no reply, when
/// the request's ICMP checksum is wrong or it is no echo request.
pub fn write_echo_reply(request: &Frame, reply: &mut Frame) -> bool {
    let (Some(ethernet), Ok(packet)) = (answering(request), Packet::read(request)) else { return false };
    if packet.is_fragment() || !is_echo_request(&packet) || internet_checksum(packet.payload()) != 0 {
        return false;
    }
    let header = Header {
        source: packet.destination(),
        destination: packet.source(),
        identification: packet.identification(),
        flags: 0,
        service: packet.service(),
    };
    write_packet(reply, ethernet, &header, packet.payload(), |icmp| {
        // Only the type changes, from 8 to 0; the code stays.
        let code = u16::from(icmp.get_icmp_code().0);
        icmp.set_checksum(update16(icmp.get_checksum(), 0x0800 | code, code));
        icmp.set_icmp_type(IcmpTypes::EchoReply);
    })
}

/// Make `reply` the ICMP `error` about the packet in `about`, from the gateway address `from`, behind
/// `ethernet` (mostly [`answering`]). Ask [`may_tell`] first, or take the errors [`super::route()`] gives.
/// `false`, and no reply, when `about` carries no well-formed IPv4 packet.
pub fn write_error(
    about: &Frame,
    error: IcmpError,
    from: Ipv4Addr,
    ethernet: EthernetHeader,
    reply: &mut Frame,
) -> bool {
    let Ok(packet) = Packet::read(about) else { return false };
    let quote = packet.octets();
    let quote = quote.get(..ERROR_OCTETS - IPV4_OCTETS - ICMP_OCTETS).unwrap_or(quote);
    let mut message = [0; ERROR_OCTETS - IPV4_OCTETS];
    let len = ICMP_OCTETS + quote.len();
    message[ICMP_OCTETS..len].copy_from_slice(quote);
    message[6..8].copy_from_slice(&error.low_word().to_be_bytes());
    // Never to be fragmented, so its identification may be anything (RFC 6864, 4.1).
    let header = Header {
        source: from,
        destination: packet.source(),
        identification: 0,
        flags: Ipv4Flags::DontFragment,
        service: (ERROR_DSCP, 0),
    };
    let (icmp_type, code) = error.type_and_code();
    write_packet(reply, ethernet, &header, &message[..len], |icmp| {
        icmp.set_icmp_type(IcmpType(icmp_type));
        icmp.set_icmp_code(IcmpCode(code));
        icmp.set_checksum(internet_checksum(pnet::packet::Packet::packet(icmp)));
    })
}

/// What differs between the packets the gateway sends.
struct Header {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    identification: u16,
    flags: u8,
    service: (u8, u8),
}

/// Fill `reply` with Ethernet header, IPv4 header and ICMP message, the message then edited by `edit`.
fn write_packet(
    reply: &mut Frame,
    ethernet: EthernetHeader,
    header: &Header,
    message: &[u8],
    edit: impl FnOnce(&mut MutableIcmpPacket<'_>),
) -> bool {
    let total = IPV4_OCTETS + message.len();
    let Ok(total_length) = u16::try_from(total) else { return false };
    let Some(octets) = reply.receive_area().get_mut(..HEADER_OCTETS + total) else { return false };
    ethernet.write(octets);
    let (ip, icmp) = octets[HEADER_OCTETS..].split_at_mut(IPV4_OCTETS);
    ip.fill(0);
    icmp.copy_from_slice(message);
    let (Some(mut ip), Some(mut icmp)) = (MutableIpv4Packet::new(ip), MutableIcmpPacket::new(icmp)) else {
        return false;
    };
    ip.set_version(4);
    ip.set_header_length(5);
    ip.set_dscp(header.service.0);
    ip.set_ecn(header.service.1);
    ip.set_total_length(total_length);
    ip.set_identification(header.identification);
    ip.set_flags(header.flags);
    ip.set_ttl(TTL);
    ip.set_next_level_protocol(IpNextHeaderProtocols::Icmp);
    ip.set_source(header.source);
    ip.set_destination(header.destination);
    ip.set_checksum(ipv4_header_checksum(pnet::packet::Packet::packet(&ip)));
    edit(&mut icmp);
    reply.received(HEADER_OCTETS + total);
    true
}

/// The Ethernet header of what the gateway sends to a station it knows.
pub fn from_gateway(gateway: MacAddr, station: MacAddr) -> EthernetHeader {
    EthernetHeader { destination: station, source: gateway, ether_type: ether_type::IPV4 }
}
