//! What does an ICMP message say? (RFC 792, 1122, 1191, 1812; for IPv6: RFC 4443, 4861; multicast listeners:
//! RFC 2710, 3810)
//!
//! Not done: options of router and neighbor messages.

use std::net::{IpAddr, Ipv6Addr};

use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode};
use etherparse::icmpv6::{self, DestUnreachableCode};
use etherparse::{Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type};

use super::ip;

/// The report of version 2 (RFC 3810, 5.2), which the parser has no name for.
const LISTENER_REPORT_V2: u8 = 143;

/// An ICMP message in words.
pub(super) fn v4(octets: &[u8], source: IpAddr, destination: IpAddr) -> String {
    let Ok(icmp) = Icmpv4Slice::from_slice(octets) else {
        return format!("ICMP {source} > {destination}, malformed or cut off");
    };
    let about = about(icmp.payload());
    match icmp.icmp_type() {
        Icmpv4Type::EchoRequest(echo) => {
            format!("ICMP echo request {source} > {destination} id {} seq {}", echo.id, echo.seq)
        }
        Icmpv4Type::EchoReply(echo) => {
            format!("ICMP echo reply {source} > {destination} id {} seq {}", echo.id, echo.seq)
        }
        Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit) => {
            format!("ICMP time exceeded {source} > {destination}{about}")
        }
        Icmpv4Type::TimeExceeded(TimeExceededCode::FragmentReassemblyTimeExceeded) => {
            format!("ICMP reassembly time exceeded {source} > {destination}{about}")
        }
        Icmpv4Type::DestinationUnreachable(why) => {
            format!("ICMP {} {source} > {destination}{about}", unreachable_v4(&why))
        }
        Icmpv4Type::Redirect(_) => format!("ICMP redirect {source} > {destination}{about}"),
        Icmpv4Type::ParameterProblem(_) => format!("ICMP parameter problem {source} > {destination}{about}"),
        Icmpv4Type::TimestampRequest(_) => format!("ICMP timestamp request {source} > {destination}"),
        Icmpv4Type::TimestampReply(_) => format!("ICMP timestamp reply {source} > {destination}"),
        Icmpv4Type::Unknown { type_u8, code_u8, .. } => {
            format!("ICMP type {type_u8} code {code_u8} {source} > {destination}")
        }
    }
}

/// The packet that an ICMP error is about.
fn about(quoted: &[u8]) -> String {
    ip::quoted(quoted).map_or_else(String::new, |packet| format!(" about {packet}"))
}

fn unreachable_v4(why: &DestUnreachableHeader) -> String {
    match why {
        DestUnreachableHeader::Network => "network unreachable",
        DestUnreachableHeader::Host => "host unreachable",
        DestUnreachableHeader::Protocol => "protocol unreachable",
        DestUnreachableHeader::Port => "port unreachable",
        DestUnreachableHeader::FragmentationNeeded { next_hop_mtu } => {
            return format!("fragmentation needed (MTU {next_hop_mtu})");
        }
        DestUnreachableHeader::SourceRouteFailed => "source route failed",
        DestUnreachableHeader::NetworkUnknown => "network unknown",
        DestUnreachableHeader::HostUnknown => "host unknown",
        DestUnreachableHeader::Isolated => "source host isolated",
        DestUnreachableHeader::NetworkProhibited => "network prohibited",
        DestUnreachableHeader::HostProhibited => "host prohibited",
        DestUnreachableHeader::TosNetwork => "network unreachable for its type of service",
        DestUnreachableHeader::TosHost => "host unreachable for its type of service",
        DestUnreachableHeader::FilterProhibited => "communication prohibited",
        DestUnreachableHeader::HostPrecedenceViolation => "precedence violation",
        DestUnreachableHeader::PrecedenceCutoff => "precedence cutoff",
    }
    .to_owned()
}

/// An ICMP message of IPv6 in words.
pub(super) fn v6(octets: &[u8], source: IpAddr, destination: IpAddr) -> String {
    let Ok(icmp) = Icmpv6Slice::from_slice(octets) else {
        return format!("ICMPv6 {source} > {destination}, malformed or cut off");
    };
    let (what, more) = match icmp.icmp_type() {
        Icmpv6Type::EchoRequest(echo) => ("echo request".to_owned(), format!(" id {} seq {}", echo.id, echo.seq)),
        Icmpv6Type::EchoReply(echo) => ("echo reply".to_owned(), format!(" id {} seq {}", echo.id, echo.seq)),
        Icmpv6Type::RouterSolicitation => ("router solicitation".to_owned(), String::new()),
        Icmpv6Type::RouterAdvertisement(_) => ("router advertisement".to_owned(), String::new()),
        Icmpv6Type::NeighborSolicitation => ("neighbor solicitation".to_owned(), address(" who-has", icmp.payload())),
        Icmpv6Type::NeighborAdvertisement(_) => ("neighbor advertisement".to_owned(), address(" of", icmp.payload())),
        Icmpv6Type::Redirect => ("redirect".to_owned(), address(" to", icmp.payload())),
        Icmpv6Type::DestinationUnreachable(why) => (unreachable_v6(why).to_owned(), about(icmp.payload())),
        Icmpv6Type::PacketTooBig { mtu } => (format!("packet too big (MTU {mtu})"), about(icmp.payload())),
        Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::HopLimitExceeded) => {
            ("time exceeded".to_owned(), about(icmp.payload()))
        }
        Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::FragmentReassemblyTimeExceeded) => {
            ("reassembly time exceeded".to_owned(), about(icmp.payload()))
        }
        Icmpv6Type::ParameterProblem(_) => ("parameter problem".to_owned(), about(icmp.payload())),
        Icmpv6Type::Unknown { type_u8, code_u8, .. } => (listener(type_u8, code_u8), String::new()),
    };
    format!("ICMPv6 {what} {source} > {destination}{more}")
}

const fn unreachable_v6(why: DestUnreachableCode) -> &'static str {
    match why {
        DestUnreachableCode::NoRoute => "no route",
        DestUnreachableCode::Prohibited => "communication prohibited",
        DestUnreachableCode::BeyondScope => "beyond the source's scope",
        DestUnreachableCode::Address => "address unreachable",
        DestUnreachableCode::Port => "port unreachable",
        DestUnreachableCode::SourceAddressFailedPolicy => "source address refused",
        DestUnreachableCode::RejectRoute => "route rejected",
    }
}

/// Multicast listener discovery, whose types the parser leaves to its caller.
fn listener(kind: u8, code: u8) -> String {
    match kind {
        icmpv6::TYPE_MULTICAST_LISTENER_QUERY => "MLD query".to_owned(),
        icmpv6::TYPE_MULTICAST_LISTENER_REPORT => "MLDv1 report".to_owned(),
        icmpv6::TYPE_MULTICAST_LISTENER_REDUCTION => "MLDv1 done".to_owned(),
        LISTENER_REPORT_V2 => "MLDv2 report".to_owned(),
        _ => format!("type {kind} code {code}"),
    }
}

/// `word` and the IPv6 address that a neighbor message names first (RFC 4861, 4.3 to 4.5); nothing where it is cut off.
fn address(word: &str, octets: &[u8]) -> String {
    octets.first_chunk::<16>().map_or_else(String::new, |octets| format!("{word} {}", Ipv6Addr::from(*octets)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    /// The start of an IPv4 packet from 10.0.0.2 to 10.1.0.9 that carries UDP, as ICMP errors quote it.
    const QUOTED: [u8; 28] =
        [0x45, 0, 0, 28, 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 2, 10, 1, 0, 9, 0x82, 0x9a, 0x82, 0x9b, 0, 8, 0, 0];

    fn error(kind: u8, code: u8, word: [u8; 4]) -> String {
        v4(&[&[kind, code, 0, 0][..], &word, &QUOTED].concat(), ONE, TWO)
    }

    #[test]
    fn echo() {
        assert_eq!(v4(&[8, 0, 0, 0, 0, 7, 0, 1, 9], ONE, TWO), "ICMP echo request 10.0.0.1 > 10.0.0.2 id 7 seq 1");
        assert_eq!(v4(&[0, 0, 0, 0, 0, 7, 0, 1], TWO, ONE), "ICMP echo reply 10.0.0.2 > 10.0.0.1 id 7 seq 1");
        assert_eq!(v4(&[8, 0, 0, 0, 0, 7, 0], ONE, TWO), "ICMP 10.0.0.1 > 10.0.0.2, malformed or cut off");
    }

    #[test]
    fn errors_name_the_packet_they_are_about() {
        for (kind, code, word, expected) in [
            (11, 0, [0; 4], "ICMP time exceeded"),
            (11, 1, [0; 4], "ICMP reassembly time exceeded"),
            (3, 0, [0; 4], "ICMP network unreachable"),
            (3, 1, [0; 4], "ICMP host unreachable"),
            (3, 3, [0; 4], "ICMP port unreachable"),
            (3, 4, [0, 0, 5, 0x78], "ICMP fragmentation needed (MTU 1400)"),
            (3, 13, [0; 4], "ICMP communication prohibited"),
            (5, 1, [0; 4], "ICMP redirect"),
            (12, 0, [0; 4], "ICMP parameter problem"),
        ] {
            let expected = format!("{expected} 10.0.0.1 > 10.0.0.2 about UDP 10.0.0.2 > 10.1.0.9");
            assert_eq!(error(kind, code, word), expected);
        }
        assert_eq!(v4(&[11, 0, 0, 0, 0, 0, 0, 0], ONE, TWO), "ICMP time exceeded 10.0.0.1 > 10.0.0.2");
        assert_eq!(error(42, 1, [0; 4]), "ICMP type 42 code 1 10.0.0.1 > 10.0.0.2");
        assert_eq!(error(3, 99, [0; 4]), "ICMP type 3 code 99 10.0.0.1 > 10.0.0.2");
    }

    #[test]
    fn neighbors_routers_and_listeners() {
        let (one, all): (IpAddr, IpAddr) = ("fd00::1".parse().unwrap(), "ff02::1".parse().unwrap());
        let target = "fd00::2".parse::<Ipv6Addr>().unwrap().octets();
        let told = |kind: u8, rest: &[u8]| v6(&[&[kind, 0, 0, 0, 0, 7, 0, 1][..], rest].concat(), one, all);
        for (kind, rest, expected) in [
            (128, &[][..], "ICMPv6 echo request fd00::1 > ff02::1 id 7 seq 1"),
            (129, &[], "ICMPv6 echo reply fd00::1 > ff02::1 id 7 seq 1"),
            (130, &[], "ICMPv6 MLD query fd00::1 > ff02::1"),
            (131, &[], "ICMPv6 MLDv1 report fd00::1 > ff02::1"),
            (132, &[], "ICMPv6 MLDv1 done fd00::1 > ff02::1"),
            (143, &[], "ICMPv6 MLDv2 report fd00::1 > ff02::1"),
            (133, &[], "ICMPv6 router solicitation fd00::1 > ff02::1"),
            (134, &[0; 8], "ICMPv6 router advertisement fd00::1 > ff02::1"),
            (135, &target, "ICMPv6 neighbor solicitation fd00::1 > ff02::1 who-has fd00::2"),
            (135, &target[..9], "ICMPv6 neighbor solicitation fd00::1 > ff02::1"),
            (136, &target, "ICMPv6 neighbor advertisement fd00::1 > ff02::1 of fd00::2"),
            (137, &target, "ICMPv6 redirect fd00::1 > ff02::1 to fd00::2"),
            (1, &[], "ICMPv6 no route fd00::1 > ff02::1"),
            (3, &[], "ICMPv6 time exceeded fd00::1 > ff02::1"),
            (200, &[], "ICMPv6 type 200 code 0 fd00::1 > ff02::1"),
        ] {
            assert_eq!(told(kind, rest), expected);
        }
        assert_eq!(v6(&[128], one, all), "ICMPv6 fd00::1 > ff02::1, malformed or cut off");
        assert_eq!(v6(&[2, 0, 0, 0, 0, 0, 5, 0xdc], one, all), "ICMPv6 packet too big (MTU 1500) fd00::1 > ff02::1");
    }
}
