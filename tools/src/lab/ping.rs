//! Does a host answer? One ICMP echo (RFC 792) from inside another host's namespace: the lab's own ping, so that the lab
//! needs nothing installed.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use pnet::packet::Packet;
use pnet::packet::icmp::echo_reply::EchoReplyPacket;
use pnet::packet::icmp::echo_request::{EchoRequestPacket, MutableEchoRequestPacket};
use pnet::packet::icmp::{IcmpPacket, IcmpTypes, checksum};
use pnet::packet::ipv4::Ipv4Packet;
use ports::netns::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

/// Octets of payload, as the usual ping sends them.
const PAYLOAD_OCTETS: usize = 56;

/// Send one echo request from `from` to `to` and wait for its reply.
///
/// # Errors
/// When the namespace or the socket is refused. No answer is not an error: `Ok(None)`.
pub(super) fn ping(from: &Namespace, to: Ipv4Addr, sequence: u16, patience: Duration) -> io::Result<Option<Duration>> {
    from.enter(|| exchange(to, sequence, patience))?
}

fn exchange(to: Ipv4Addr, sequence: u16, patience: Duration) -> io::Result<Option<Duration>> {
    let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    let id = std::process::id() as u16;
    let started = Instant::now();
    let deadline = started + patience;
    socket.send_to(&echo_request(id, sequence), &SocketAddrV4::new(to, 0).into())?;
    let mut packet = [0; 1500];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut packet) {
            Ok(count) if is_reply(&packet[..count], to, id, sequence) => return Ok(Some(started.elapsed())),
            Ok(_) => {} // another ICMP message: a raw socket hears them all
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
}

fn echo_request(id: u16, sequence: u16) -> Vec<u8> {
    let mut octets = vec![0; EchoRequestPacket::minimum_packet_size() + PAYLOAD_OCTETS];
    if let Some(mut echo) = MutableEchoRequestPacket::new(&mut octets) {
        echo.set_icmp_type(IcmpTypes::EchoRequest);
        echo.set_identifier(id);
        echo.set_sequence_number(sequence);
        let sum = IcmpPacket::new(echo.packet()).map_or(0, |icmp| checksum(&icmp));
        echo.set_checksum(sum);
    }
    octets
}

fn is_reply(packet: &[u8], from: Ipv4Addr, id: u16, sequence: u16) -> bool {
    let Some(ip) = Ipv4Packet::new(packet) else { return false };
    let Some(echo) = EchoReplyPacket::new(ip.payload()) else { return false };
    ip.get_source() == from
        && echo.get_icmp_type() == IcmpTypes::EchoReply
        && echo.get_identifier() == id
        && echo.get_sequence_number() == sequence
}
