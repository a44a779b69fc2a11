//! What does an IP packet say? (RFC 791, 8200; TCP: RFC 9293, UDP: RFC 768, IGMP: RFC 3376)
//!
//! Not done: what TCP and UDP carry; options.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv6ExtensionSlice, LaxIpSlice, TcpSlice, UdpSlice, ip_number};

use super::icmp;

/// The packet at the start of `octets` in words; `None` when its header is malformed or cut off.
pub(super) fn describe(octets: &[u8]) -> Option<String> {
    let (ip, _) = LaxIpSlice::from_slice(octets).ok()?;
    let (source, destination) = (ip.source_addr(), ip.destination_addr());
    let carried = ip.payload();
    if carried.fragmented {
        let protocol = protocol(carried.ip_number);
        return Some(format!("{protocol} fragment {source} > {destination} {}", fragment(&ip)));
    }
    Some(match carried.ip_number {
        ip_number::TCP => tcp(carried.payload, payload_octets(&ip), source, destination),
        ip_number::UDP => udp(carried.payload, source, destination),
        ip_number::ICMP if source.is_ipv4() => icmp::v4(carried.payload, source, destination),
        ip_number::IPV6_ICMP if source.is_ipv6() => icmp::v6(carried.payload, source, destination),
        ip_number::IGMP => format!("{} {source} > {destination}", igmp(carried.payload)),
        other => format!("{} {source} > {destination} {}", version(source), protocol(other)),
    })
}

/// The addresses of a packet that an ICMP error quotes.
pub(super) fn quoted(octets: &[u8]) -> Option<String> {
    let (ip, _) = LaxIpSlice::from_slice(octets).ok()?;
    Some(format!("{} {} > {}", protocol(ip.payload().ip_number), ip.source_addr(), ip.destination_addr()))
}

const fn version(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The protocol's name in IANA's list, or its number.
fn protocol(number: IpNumber) -> String {
    number.keyword_str().map_or_else(|| format!("protocol {}", number.0), str::to_owned)
}

/// Octets behind the IP headers, as the headers tell it; `None` where they do not (a length of 0).
fn payload_octets(ip: &LaxIpSlice) -> Option<usize> {
    match ip {
        LaxIpSlice::Ipv4(ip) => {
            let extensions = ip.extensions().auth.map_or(0, |auth| auth.slice().len());
            usize::from(ip.header().total_len()).checked_sub(ip.header().slice().len() + extensions)
        }
        LaxIpSlice::Ipv6(ip) => usize::from(ip.header().payload_length()).checked_sub(ip.extensions().slice().len()),
    }
}

/// Which piece of a fragmented packet it is: the packet's number, and where the piece begins in octets.
fn fragment(ip: &LaxIpSlice) -> String {
    let (id, offset, more) = match ip {
        LaxIpSlice::Ipv4(ip) => {
            let header = ip.header();
            (u32::from(header.identification()), header.fragments_offset().byte_offset(), header.more_fragments())
        }
        LaxIpSlice::Ipv6(ip) => {
            let header = ip.extensions().clone().into_iter().find_map(|extension| match extension {
                Ipv6ExtensionSlice::Fragment(header) => Some(header),
                _ => None,
            });
            header.map_or((0, 0, false), |header| {
                (header.identification(), header.fragment_offset().byte_offset(), header.more_fragments())
            })
        }
    };
    format!("id {id} offset {offset}{}", if more { "" } else { " (last)" })
}

fn tcp(octets: &[u8], payload_octets: Option<usize>, source: IpAddr, destination: IpAddr) -> String {
    let Ok(tcp) = TcpSlice::from_slice(octets) else {
        return format!("TCP {source} > {destination}, header malformed or cut off");
    };
    let source = SocketAddr::new(source, tcp.source_port());
    let destination = SocketAddr::new(destination, tcp.destination_port());
    let mut text = format!("TCP {source} > {destination}");
    let flags = [
        (tcp.syn(), " SYN"),
        (tcp.fin(), " FIN"),
        (tcp.rst(), " RST"),
        (tcp.psh(), " PSH"),
        (tcp.ack(), " ACK"),
        (tcp.urg(), " URG"),
        (tcp.ece(), " ECE"),
        (tcp.cwr(), " CWR"),
    ];
    for (_, name) in flags.iter().filter(|(set, _)| *set) {
        text.push_str(name);
    }
    if let Some(len @ 1..) = payload_octets.and_then(|octets| octets.checked_sub(tcp.header_slice().len())) {
        let _ = write!(text, " len {len}");
    }
    text
}

fn udp(octets: &[u8], source: IpAddr, destination: IpAddr) -> String {
    let Ok(udp) = UdpSlice::from_slice_lax(octets) else {
        return format!("UDP {source} > {destination}, header malformed or cut off");
    };
    let source = SocketAddr::new(source, udp.source_port());
    let destination = SocketAddr::new(destination, udp.destination_port());
    let len = udp.length().saturating_sub(udp.header_slice().len() as u16);
    format!("UDP {source} > {destination} len {len}")
}

/// Who wants to hear which IPv4 group (RFC 3376, 4).
fn igmp(octets: &[u8]) -> &'static str {
    match octets.first() {
        Some(0x11) => "IGMP query",
        Some(0x12) => "IGMPv1 report",
        Some(0x16) => "IGMPv2 report",
        Some(0x17) => "IGMP leave",
        Some(0x22) => "IGMPv3 report",
        _ => "IGMP",
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const V4: ([u8; 4], [u8; 4]) = ([10, 0, 0, 1], [10, 0, 0, 2]);

    fn v6(last: u8) -> [u8; 16] {
        [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
    }

    fn told(octets: &[u8]) -> String {
        describe(octets).unwrap()
    }

    #[test]
    fn tcp_with_flags_and_length() {
        let mut octets = Vec::new();
        PacketBuilder::ipv4(V4.0, V4.1, 64).tcp(4242, 80, 1, 100).syn().write(&mut octets, &[]).unwrap();
        assert_eq!(told(&octets), "TCP 10.0.0.1:4242 > 10.0.0.2:80 SYN");
        octets.clear();
        PacketBuilder::ipv4(V4.0, V4.1, 64).tcp(80, 4242, 1, 100).syn().ack(2).write(&mut octets, &[]).unwrap();
        assert_eq!(told(&octets), "TCP 10.0.0.1:80 > 10.0.0.2:4242 SYN ACK");
        octets.clear();
        PacketBuilder::ipv6(v6(1), v6(2), 64).tcp(1, 2, 1, 100).psh().ack(2).write(&mut octets, &[7; 300]).unwrap();
        assert_eq!(
            told(&octets[..100]),
            "TCP [fd00::1]:1 > [fd00::2]:2 PSH ACK len 300",
            "cut off, yet the length is told"
        );
        assert_eq!(told(&octets[..50]), "TCP fd00::1 > fd00::2, header malformed or cut off");
    }

    #[test]
    fn a_super_frame_without_a_length_has_none_told() {
        let mut octets = Vec::new();
        PacketBuilder::ipv4(V4.0, V4.1, 64).tcp(4242, 80, 1, 100).ack(2).write(&mut octets, &[7; 60]).unwrap();
        octets[2..4].copy_from_slice(&[0, 0]);
        assert!(!told(&octets).contains("len"), "{}", told(&octets));
    }

    #[test]
    fn udp_and_others() {
        let mut octets = Vec::new();
        PacketBuilder::ipv4(V4.0, V4.1, 64).udp(5000, 53).write(&mut octets, &[7; 200]).unwrap();
        assert_eq!(told(&octets[..60]), "UDP 10.0.0.1:5000 > 10.0.0.2:53 len 200");
        assert_eq!(told(&octets[..24]), "UDP 10.0.0.1 > 10.0.0.2, header malformed or cut off");
        octets[9] = 89;
        assert_eq!(told(&octets), "IPv4 10.0.0.1 > 10.0.0.2 OSPFIGP");
        octets[9] = 253;
        assert_eq!(told(&octets), "IPv4 10.0.0.1 > 10.0.0.2 protocol 253");
        octets[9] = 2;
        octets[20] = 0x16;
        assert_eq!(told(&octets), "IGMPv2 report 10.0.0.1 > 10.0.0.2");
        octets[9] = 58;
        assert_eq!(told(&octets), "IPv4 10.0.0.1 > 10.0.0.2 IPv6-ICMP");
    }

    #[test]
    fn fragments_are_told_by_their_place() {
        let mut octets = Vec::new();
        PacketBuilder::ipv4(V4.0, V4.1, 64).udp(5000, 53).write(&mut octets, &[7; 200]).unwrap();
        octets[4..8].copy_from_slice(&[0x00, 0x07, 0x20, 0x00]);
        assert_eq!(told(&octets), "UDP fragment 10.0.0.1 > 10.0.0.2 id 7 offset 0");
        octets[6..8].copy_from_slice(&[0x00, 0xb9]);
        assert_eq!(told(&octets), "UDP fragment 10.0.0.1 > 10.0.0.2 id 7 offset 1480 (last)");
        let mut octets = Vec::new();
        PacketBuilder::ipv6(v6(1), v6(2), 64).udp(5000, 53).write(&mut octets, &[7; 64]).unwrap();
        octets[6] = 44;
        octets[40..48].copy_from_slice(&[58, 0, 0x05, 0xa9, 0, 0, 0, 9]);
        assert_eq!(told(&octets), "IPv6-ICMP fragment fd00::1 > fd00::2 id 9 offset 1448");
    }
}
