//! What is refused, and where; which frames are found.

mod properties;

use frame::step::{LearnRefusal, Learned};
use frame::{DropReason, FrameNumber, NetworkId, PortId, Step, Verdict};

use super::syntax::{ArpWord, Icmp6Word, IcmpWord, LearnedWord, VerdictWord, Way, Words};
use super::*;
use crate::record::{RawRecord, Snap};

/// The filter, the words that the error points at, and a piece of its message.
const REFUSED: &[(&str, &str, &str)] = &[
    ("vedict drop", "vedict", "'vedict' is no word of a filter; perhaps 'verdict'"),
    ("ARP", "ARP", "perhaps 'arp'"),
    ("xyzzy", "xyzzy", "'xyzzy' is no word of a filter; see"),
    ("proto 6", "proto", "a word of tcpdump's that is none here"),
    ("10.0.0.1", "10.0.0.1", "perhaps 'host 10.0.0.1'"),
    ("02:42:0a:00:00:01", "02:42:0a:00:00:01", "perhaps 'ether host 02:42:0a:00:00:01'"),
    ("10.0.0.0/24", "10.0.0.0/24", "perhaps 'net 10.0.0.0/24'"),
    ("drop", "drop", "perhaps 'verdict drop'"),
    ("runt", "runt", "perhaps 'reason runt'"),
    ("host 10.0.0.1 or 10.0.0.2", "10.0.0.2", "perhaps 'host 10.0.0.2'"),
    ("host web1 or web2", "web2", "'web2' stands alone; perhaps 'host web2'"),
    ("not port-of a1 and b1", "b1", "perhaps 'port-of b1'"),
    ("host web1 or arp or web2", "web2", "no word of a filter; see"),
    ("arp tcp", "tcp", "'and' or 'or' is missing before 'tcp'"),
    ("arp adn tcp", "adn", "perhaps 'and'"),
    ("arp not tcp", "not", "'and' or 'or' is missing before 'not'"),
    ("(arp) (tcp)", "(", "'and' or 'or' is missing before '('"),
    ("(arp tcp)", "tcp", "'and' or 'or' is missing before 'tcp'"),
    ("arp & tcp", "&", "perhaps '&&'"),
    ("arp | tcp", "|", "perhaps '||'"),
    ("arp and", "and", "'and' needs something after it"),
    ("arp && || tcp", "&&", "'&&' needs something after it"),
    ("or arp", "or", "'or' needs something before it"),
    ("not", "not", "'not' needs something after it"),
    ("not and arp", "not", "'not' needs something after it"),
    ("(arp", "(", "never closed"),
    ("((arp)", "(", "never closed"),
    ("(", "(", "never closed"),
    ("()", "(", "nothing stands between"),
    ("arp)", ")", "closes nothing"),
    (")", ")", "closes nothing"),
    ("arp requets", "requets", "no kind of arp; perhaps 'request'"),
    ("icmp ecko", "ecko", "no kind of icmp; perhaps 'echo'"),
    ("host", "", "'host' needs an address or an endpoint's name"),
    ("src", "", "'src' needs an address or an endpoint's name"),
    ("src and arp", "and", "'src' needs an address"),
    ("host and", "and", "'host' needs an address"),
    ("host 10.0.0.300", "10.0.0.300", "no IP address and no endpoint's name"),
    ("host _a", "_a", "no IP address and no endpoint's name"),
    ("host ::g", "::g", "no IP address"),
    ("host 10.0.0.0/24", "10.0.0.0/24", "perhaps 'net 10.0.0.0/24'"),
    ("host 02:42:0a:00:00:01", "02:42:0a:00:00:01", "perhaps 'ether host"),
    ("ip host fe80::1", "fe80::1", "'ip' has IPv4 addresses"),
    ("arp src net fd00::/8", "fd00::/8", "'arp' has IPv4 addresses"),
    ("ip6 host 10.0.0.1", "10.0.0.1", "'ip6' has IPv6 addresses"),
    ("ip port 80", "port", "'ip' has no ports; write 'tcp port'"),
    ("tcp src host a", "host", "'tcp' has no addresses; write 'ip host'"),
    ("tcp src a", "a", "'src' needs 'port' or 'portrange'"),
    ("net 10.0.0.1", "10.0.0.1", "perhaps 'host 10.0.0.1'"),
    ("net 10.0.0.1/24", "10.0.0.1/24", "perhaps '10.0.0.0/24'"),
    ("net 10.0.0.0/33", "10.0.0.0/33", "is no subnet"),
    ("net", "", "'net' needs a subnet"),
    ("port http", "http", "no number from 0 to 65535"),
    ("port 65536", "65536", "no number from 0 to 65535"),
    ("port +1", "+1", "no number"),
    ("portrange 9-8", "9-8", "perhaps '8-9'"),
    ("portrange 1-x", "1-x", "two ports' numbers"),
    ("ether", "", "'ether' needs 'proto', 'host'"),
    ("ether broadcast", "broadcast", "stand alone"),
    ("ether host 10.0.0.1", "10.0.0.1", "no MAC address"),
    ("ether src 02:42", "02:42", "no MAC address"),
    ("ether proto 0x10000", "0x10000", "no ether type"),
    ("ether proto 0x+1", "0x+1", "no ether type"),
    ("vlan 4096", "4096", "no number from 0 to 4095"),
    ("less", "", "'less' needs a number of octets"),
    ("greater -1", "-1", "no number"),
    ("port-of", "", "'port-of' needs an endpoint's name"),
    ("to a/b", "a/b", "'a/b' is no name"),
    ("network (", "(", "'network' needs a network's name"),
    ("verdict flod", "flod", "no verdict; perhaps 'flood'"),
    ("verdict lost", "lost", "write one of unicast, flood, drop"),
    ("verdict", "", "needs one of unicast"),
    ("learned old", "old", "write one of new, fresh, moved, refused"),
    ("reason spoofed", "spoofed", "no drop reason; write a drop reason's name"),
    ("reason egress-ful", "egress-ful", "perhaps 'egress-full'"),
    ("frame 0", "0", "from 1 to"),
    ("frame 9-3", "9-3", "perhaps '3-9'"),
    ("frame 3-", "3-", "a frame's number"),
    ("frame 99999999999999999999", "99999999999999999999", "a frame's number"),
];

#[test]
fn what_is_no_filter_is_refused_with_its_place() {
    for (text, under, message) in REFUSED {
        let error = Filter::parse(text).unwrap_err();
        assert_eq!(&text[error.range()], *under, "{text}: {error}");
        let told = error.to_string();
        assert!(told.contains(message), "{text}: {told}");
        assert!(told.starts_with("wrong filter: ") && !told.contains('\n'), "{told}");
        let pointed = error.pointed();
        let carets = pointed.lines().nth(1).unwrap();
        assert_eq!(carets.trim_start().len(), under.len().max(1), "{pointed}");
        assert_eq!(carets.find('^'), Some(error.range().start), "{pointed}");
    }
}

#[test]
fn nothing_grows_without_bounds() {
    let long = "x".repeat(5000);
    assert!(Filter::parse(&long).unwrap_err().to_string().contains("5000 octets"));
    assert!(Filter::parse(&"é".repeat(2049)).is_err());
    assert!(Filter::parse(&format!("{}arp{}", "(".repeat(40), ")".repeat(40))).is_err());
    assert!(Filter::parse(&format!("{}arp", "!".repeat(4000))).is_err());
    assert!(Filter::parse(&format!("{}arp{}", "(".repeat(32), ")".repeat(32))).is_ok());
    assert!(Filter::parse(&["ip"; 256].join(" or ")).is_ok());
    assert!(Filter::parse(&["ip"; 257].join(" or ")).unwrap_err().to_string().contains("256 tests"));
}

#[test]
fn the_canonical_form() {
    for (text, canonical) in [
        ("", ""),
        (" \t\n ", ""),
        ("arp||icmp&&!tcp", "arp or icmp and not tcp"),
        ("arp or (icmp and tcp)", "arp or (icmp and tcp)"),
        ("(arp or icmp) and tcp", "arp or icmp and tcp"),
        ("not(arp or udp)", "not (arp or udp)"),
        ("!!arp", "not not arp"),
        ("src 10.0.0.1", "src host 10.0.0.1"),
        ("ip dst h1", "ip dst host h1"),
        ("ether src h1", "ether src host h1"),
        ("ether host 2-42-a-0-0-1", "ether host 02:42:0a:00:00:01"),
        ("ether proto 2054", "ether proto 0x0806"),
        ("ether proto arp", "ether proto 0x0806"),
        ("portrange 8-8", "port 8"),
        ("frame 3-3 or frame 3-4", "frame 3 or frame 3-4"),
        ("host 0:0::1", "host ::1"),
    ] {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.to_string(), canonical, "{text}");
        assert_eq!(Filter::parse(canonical).unwrap(), filter);
    }
}

const H1: [u8; 6] = [2, 0x42, 10, 0, 0, 1];
const H2: [u8; 6] = [2, 0x42, 10, 0, 0, 2];

fn ether(destination: [u8; 6], source: [u8; 6], rest: &[&[u8]]) -> Vec<u8> {
    [&destination[..], &source, &rest.concat()].concat()
}

fn arp(operation: u8, sender: u8, target: u8) -> Vec<u8> {
    let destination = if operation == 1 { [0xff; 6] } else { H2 };
    let sender = if sender == 0 { [0; 4] } else { [10, 0, 0, sender] };
    ether(destination, H1, &[&[8, 6, 0, 1, 8, 0, 6, 4, 0, operation], &H1, &sender, &[0; 6], &[10, 0, 0, target]])
}

fn ipv4(protocol: u8, fragment: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let header = [&[0x45, 0, 0, 60, 0, 1][..], &fragment, &[64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]].concat();
    ether(H2, H1, &[&[8, 0], &header, payload])
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, 60, next, 64];
    header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    ether(H2, H1, &[&[0x86, 0xdd], &header, payload])
}

/// The text's filter finds the octets, and so says the engine's side of it; or neither does.
fn finds(text: &str, octets: &[u8]) -> bool {
    let filter = Filter::parse(text).unwrap();
    let raw = raw(octets, vec![], Verdict::Consumed);
    let found = filter.matches(&Record::resolve(&raw, 0, &()));
    assert_eq!(filter.compile(&()).admits(raw.network, raw.port, octets), found, "{text}");
    found
}

fn raw(octets: &[u8], steps: Vec<Step>, verdict: Verdict) -> RawRecord {
    RawRecord {
        number: FrameNumber(7),
        network: NetworkId(1),
        port: Some(PortId(1)),
        octets: octets.len() as u32,
        snap: Snap::of(octets),
        steps,
        verdict,
        ..RawRecord::default()
    }
}

/// Frames, what finds each, and what does not.
type Found<'a> = (&'a [u8], &'a [&'a str], &'a [&'a str]);

fn check(table: &[Found<'_>]) {
    for (octets, yes, no) in table {
        for text in *yes {
            assert!(finds(text, octets), "{text}");
        }
        for text in *no {
            assert!(!finds(text, octets), "{text}");
        }
    }
}

#[test]
fn what_headers_say() {
    let tcp = ipv4(6, [0x40, 0], &[0x1f, 0x90, 0, 80, 0, 0, 0, 0]);
    let tagged = ether(H2, H1, &[&[0x88, 0xa8, 0, 5, 0x81, 0, 0xe0, 20], &tcp[12..]]);
    let (request, reply, probe) = (arp(1, 1, 2), arp(2, 1, 2), arp(1, 0, 2));
    let (echo, later) = (ipv4(1, [0, 0], &[8, 0, 0, 0]), ipv4(6, [0, 1], &[0, 80, 0, 80]));
    let table: &[Found<'_>] = &[
        (
            &request,
            &[
                "arp",
                "arp request",
                "broadcast",
                "multicast",
                "host 10.0.0.1",
                "arp src host 10.0.0.1",
                "arp dst 10.0.0.2",
                "net 10.0.0.0/24",
                "ether src 02:42:0a:00:00:01",
                "ether dst ff:ff:ff:ff:ff:ff",
                "ether proto 0x0806",
                "less 42",
                "greater 42",
                "not tcp",
                "",
            ],
            &[
                "arp reply",
                "arp probe",
                "arp announcement",
                "unicast",
                "ip",
                "ip host 10.0.0.1",
                "src 10.0.0.2",
                "host 10.0.0.3",
                "less 41",
                "greater 43",
                "vlan",
                "port 80",
                "icmp",
                "ip6",
            ],
        ),
        (&reply, &["arp reply", "unicast", "arp or tcp and host 10.0.0.1"], &["arp request", "multicast"]),
        (&probe, &["arp probe", "arp request"], &["arp announcement"]),
        (&arp(1, 2, 2), &["arp announcement", "arp request"], &["arp probe"]),
        (&arp(2, 2, 2), &["arp announcement", "arp reply"], &["arp request"]),
        (&request[..20], &["arp"], &["arp request", "host 10.0.0.1", "arp net 10.0.0.0/8"]),
        (
            &tcp,
            &[
                "ip",
                "tcp",
                "port 80",
                "port 8080",
                "tcp dst port 80",
                "src port 8080",
                "portrange 79-81",
                "ip src net 10.0.0.0/31",
                "host 10.0.0.2",
                "tcp portrange 8000-9000",
            ],
            &[
                "udp",
                "udp port 80",
                "src port 80",
                "portrange 81-90",
                "icmp",
                "arp host 10.0.0.1",
                "ip6",
                "arp or ip and udp",
            ],
        ),
        (
            &tagged,
            &[
                "vlan",
                "vlan 5",
                "vlan 20",
                "tcp port 80",
                "ip",
                "ether proto 0x8100",
                "ether proto 0x88a8",
                "ether proto ip",
            ],
            &["vlan 6", "arp", "ether proto 0x0806"],
        ),
        (&tagged[..17], &["vlan 5", "ether proto 0x88a8"], &["vlan 20", "ip", "ether proto 0"]),
        (&echo, &["icmp", "icmp echo", "ip"], &["icmp reply", "icmp6", "icmp6 echo", "tcp"]),
        (&later, &["tcp"], &["port 80"]),
        (&[1, 2, 3], &["less 3", "not unicast", "not arp"], &["unicast", "broadcast", "ether proto 0", "ip"]),
    ];
    check(table);
}

#[test]
fn an_address_is_found_on_either_side_and_in_its_own_header_only() {
    check(&[
        (
            &ipv4(17, [0, 0], &[0, 7, 0, 9]),
            &[
                "ip host 10.0.0.1",
                "ip host 10.0.0.2",
                "ip src host 10.0.0.1",
                "ip dst host 10.0.0.2",
                "ether host 02:42:0a:00:00:01",
                "ether host 02:42:0a:00:00:02",
                "ether src host 02:42:0a:00:00:01",
                "ether dst host 02:42:0a:00:00:02",
            ],
            &[
                "ip host 10.0.0.3",
                "ip src host 10.0.0.2",
                "ip dst host 10.0.0.1",
                "arp host 10.0.0.1",
                "ip6 host fd00::1",
                "ether host 02:42:0a:00:00:03",
                "ether host ff:ff:ff:ff:ff:ff",
                "ether src host 02:42:0a:00:00:02",
                "ether dst host 02:42:0a:00:00:01",
            ],
        ),
        (
            &arp(1, 1, 2),
            &["arp host 10.0.0.2", "ether host 02:42:0a:00:00:01", "ether host ff:ff:ff:ff:ff:ff"],
            &["ip host 10.0.0.1", "arp host 10.0.0.3", "ether host 02:42:0a:00:00:02"],
        ),
        (&ipv6(59, &[]), &["ip6 host fd00::2", "ether host 02:42:0a:00:00:02"], &["ip6 host fd00::3"]),
    ]);
}

#[test]
fn what_headers_of_ipv6_say() {
    // A hop-by-hop header of 8 octets, then UDP.
    let udp6 = ipv6(0, &[17, 0, 1, 4, 0, 0, 0, 0, 0, 53, 0x30, 0x39, 0, 8, 0, 0]);
    let later6 = ipv6(44, &[6, 0, 0, 8, 0, 0, 0, 1, 0, 80, 0, 80]);
    check(&[
        (
            &udp6,
            &["ip6", "udp", "udp src port 53", "dst port 12345", "ip6 host fd00::1", "net fd00::/64"],
            &["ip", "tcp", "icmp6", "icmp", "ip host h1"],
        ),
        (&ipv6(58, &[135, 0]), &["icmp6", "icmp6 neighbor-solicitation"], &["icmp", "icmp6 echo"]),
        (&ipv6(58, &[]), &["icmp6"], &["icmp6 echo"]),
        (&ipv6(51, &[6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 80, 0, 9]), &["tcp port 80"], &[]),
        (&later6, &["tcp"], &["port 80"]),
    ]);
}

#[test]
fn what_was_decided() {
    let drop = Verdict::Drop(DropReason::SpoofedMac);
    let refused = vec![Step::Learned(Learned::Refused(LearnRefusal::Gateway))];
    let sent = vec![
        Step::Learned(Learned::Moved { from: PortId(9) }),
        Step::Sent { port: PortId(2) },
        Step::NotSent { port: PortId(3), reason: DropReason::EgressFull },
    ];
    let frame = arp(1, 1, 2);
    let [drop, sent] = [raw(&frame, refused, drop), raw(&frame, sent, Verdict::Flood { network: NetworkId(1) })]
        .map(|raw| Record::resolve(&raw, 0, &()));
    let made = Record { port: None, ..sent.clone() };
    for (record, yes, no) in [
        (
            &drop,
            &[
                "verdict drop",
                "reason spoofed-mac",
                "learned refused",
                "port-of p1",
                "network n1",
                "frame 7",
                "frame 1-7",
                "not verdict flood",
            ][..],
            &[
                "verdict flood",
                "reason runt",
                "learned new",
                "to p1",
                "port-of p2",
                "network n2",
                "frame 8-9",
                "from-switch",
            ][..],
        ),
        (
            &sent,
            &["verdict flood", "reason egress-full", "learned moved", "to p2", "to p3", "arp and to p2"],
            &["learned fresh", "to p4", "reason spoofed-mac", "verdict drop or to p2 and tcp"],
        ),
        (&made, &["from-switch"], &["port-of p1"]),
    ] {
        for text in yes {
            assert!(Filter::parse(text).unwrap().matches(record), "{text}");
        }
        for text in no {
            assert!(!Filter::parse(text).unwrap().matches(record), "{text}");
        }
    }
}

#[test]
fn what_a_frame_alone_does_not_answer_is_named() {
    for text in ["", "arp", "icmp and host 10.0.0.1", "not (tcp port 80 or ether host 02:00:00:00:00:01)", "less 100"] {
        assert_eq!(Filter::parse(text).unwrap().beyond_the_frame(), None, "{text}");
    }
    for (text, named) in [
        ("verdict flood", "verdict flood"),
        ("arp and not host web", "host web"),
        ("ip or (icmp and port-of h1)", "port-of h1"),
        ("reason runt or learned new", "reason runt"),
        ("from-switch", "from-switch"),
        ("frame 7", "frame 7"),
    ] {
        assert_eq!(Filter::parse(text).unwrap().beyond_the_frame().as_deref(), Some(named), "{text}");
    }
}

#[test]
fn the_document_has_every_word() {
    let document = include_str!("../../../../docs/trace.md");
    let sets = [
        ArpWord::names().collect::<Vec<_>>(),
        IcmpWord::names().collect(),
        Icmp6Word::names().collect(),
        VerdictWord::names().collect(),
        LearnedWord::names().collect(),
        Way::names().collect(),
    ];
    for word in sets.into_iter().flatten().filter(|word| !word.is_empty()) {
        let stands = [format!("`{word}`"), format!(" {word}`"), format!("`{word} ")];
        assert!(stands.iter().any(|code| document.contains(code)), "docs/trace.md has no `{word}`");
    }
}
