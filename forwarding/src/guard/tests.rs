//! What passes the guard of h1 and what does not? One line for each, then what holds for any frame.
//!
//! h1 is 10.1.0.11 and `fd00:1::11`, on 10.1.0.0/24 and `fd00:1::/64`; the gateway has 10.1.0.1, 192.0.2.1 and `fe80::1`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use proptest::prelude::*;

const MAC: [u8; 6] = [2, 0x42, 10, 1, 0, 11];
const H2_MAC: [u8; 6] = [2, 0x42, 10, 1, 0, 12];
const OWN4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 11);
const H2_4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 12);
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x11);
const H2_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x12);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x42, 0x0aff, 0xfe01, 0x0b);
const ARP: DropReason = DropReason::SpoofedArp;
const IP: DropReason = DropReason::SpoofedIp;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

fn h1() -> Guard {
    let protected = ["10.1.0.0/24", "192.0.2.1/32", "fd00:1::/64", "fe80::1/128"].map(|net| net.parse().unwrap());
    Guard::new(MacAddr(MAC), &[OWN4.into(), OWN6.into()], &protected)
}

fn judge(octets: &[u8]) -> Result<(), DropReason> {
    let Some(header) = EthernetHeader::read(octets) else { return Ok(()) };
    guard(&Frame::from_octets(octets), &header, &h1())
}

/// A broadcast frame of h1's with these tags, each 0x8100 and its VLAN.
fn frame(tags: &[u16], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = [[0xff; 6], MAC].concat();
    for vlan in tags {
        octets.extend([0x81, 0]);
        octets.extend(vlan.to_be_bytes());
    }
    octets.extend(ether_type.to_be_bytes());
    octets.extend(payload);
    octets
}

fn arp_message(operation: u8, mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, operation];
    message.extend(mac);
    message.extend(sender.octets());
    message.extend([0; 6]);
    message.extend(target.octets());
    message
}

fn arp(operation: u8, mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    frame(&[], 0x0806, &arp_message(operation, mac, sender, target))
}

fn ipv4_packet(source: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend(Ipv4Addr::new(10, 1, 0, 99).octets());
    packet.extend([0, 68, 0, 67, 0, 8, 0, 0]);
    packet
}

fn ipv4(source: Ipv4Addr) -> Vec<u8> {
    frame(&[], 0x0800, &ipv4_packet(source))
}

/// A packet of these extension headers, each its number and its octets, and this `ICMPv6` message.
fn ipv6_packet(source: Ipv6Addr, headers: &[(u8, Vec<u8>)], message: &[u8]) -> Vec<u8> {
    let mut rest = message.to_vec();
    let mut next = 58;
    for (number, octets) in headers.iter().rev() {
        let mut header = octets.clone();
        header[0] = next;
        rest.splice(0..0, header);
        next = *number;
    }
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((rest.len() as u16).to_be_bytes());
    packet.extend([next, 255]);
    packet.extend(source.octets());
    packet.extend(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets());
    packet.extend(rest);
    packet
}

fn ipv6(source: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    frame(&[], 0x86dd, &ipv6_packet(source, &[], message))
}

/// A neighbor solicitation or advertisement with these options, each its type and its MAC address.
fn neighbor(kind: u8, target: Ipv6Addr, options: &[(u8, [u8; 6])]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0x60, 0, 0, 0];
    message.extend(target.octets());
    for (option, mac) in options {
        message.extend([*option, 1]);
        message.extend(mac);
    }
    message
}

const ECHO: [u8; 8] = [128, 0, 0, 0, 0, 7, 0, 1];

#[test]
fn refuses_each_for_its_reason() {
    let gateway = Ipv4Addr::new(10, 1, 0, 1);
    let foreign = neighbor(ADVERTISEMENT, H2_6, &[(2, MAC)]);
    let mut vendor = arp(9, MAC, H2_4, OWN4);
    vendor[15] = 6; // hardware type: IEEE 802
    let behind = |headers: &[(u8, Vec<u8>)]| frame(&[], 0x86dd, &ipv6_packet(LINK_LOCAL, headers, &foreign));
    let many = vec![(60, vec![0; 8]); 150];
    for (what, reason, octets) in [
        ("h2's address", ARP, arp(REPLY, MAC, H2_4, gateway)),
        ("h2's address, to ask with", ARP, arp(REQUEST, MAC, H2_4, gateway)),
        ("h2's address, with h2's MAC address", ARP, arp(REPLY, H2_MAC, H2_4, gateway)),
        ("h2's address, announced", ARP, arp(REQUEST, MAC, H2_4, H2_4)),
        ("the gateway's address", ARP, arp(REPLY, MAC, gateway, H2_4)),
        ("the gateway's address outside the subnets", ARP, arp(REPLY, MAC, Ipv4Addr::new(192, 0, 2, 1), H2_4)),
        ("an address that nobody has yet", ARP, arp(REPLY, MAC, Ipv4Addr::new(10, 1, 0, 200), H2_4)),
        ("its own address for h2", ARP, arp(REPLY, H2_MAC, OWN4, gateway)),
        ("an operation that no RFC knows", ARP, vendor),
        ("cut off behind the claim", ARP, arp(REPLY, MAC, H2_4, gateway)[..32].to_vec()),
        ("in a tag", ARP, frame(&[7], 0x0806, &arp_message(REPLY, MAC, H2_4, gateway))),
        ("in three tags", ARP, frame(&[0, 0, 0], 0x0806, &arp_message(REPLY, MAC, H2_4, gateway))),
        ("a packet of h2's", IP, ipv4(H2_4)),
        ("a packet of the gateway's", IP, ipv4(gateway)),
        ("a packet of everybody's", IP, ipv4(Ipv4Addr::new(10, 1, 0, 255))),
        ("a packet of h2's in a tag", IP, frame(&[0], 0x0800, &ipv4_packet(H2_4))),
        ("an IPv6 packet of h2's", IP, ipv6(H2_6, &ECHO)),
        ("an IPv6 packet of the gateway's", IP, ipv6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), &ECHO)),
        ("an advertisement for h2", ARP, ipv6(OWN6, &foreign)),
        ("an advertisement for h2, by link-local address", ARP, ipv6(LINK_LOCAL, &foreign)),
        ("its own address advertised for h2", ARP, ipv6(OWN6, &neighbor(ADVERTISEMENT, OWN6, &[(2, H2_MAC)]))),
        ("by the second option", ARP, ipv6(OWN6, &neighbor(ADVERTISEMENT, OWN6, &[(2, MAC), (2, H2_MAC)]))),
        ("asks as h2's MAC address", ARP, ipv6(OWN6, &neighbor(SOLICITATION, H2_6, &[(1, H2_MAC)]))),
        ("behind hop-by-hop options", ARP, behind(&[(0, vec![0; 8])])),
        ("behind a longer header", ARP, behind(&[(60, [vec![0, 2], vec![0; 22]].concat())])),
        ("behind an authentication header", ARP, behind(&[(51, [vec![0, 4], vec![0; 22]].concat())])),
        ("in a first fragment", ARP, behind(&[(44, vec![0, 0, 0, 1, 0, 0, 0, 9])])),
        ("behind more headers than anybody needs", ARP, behind(&many)),
    ] {
        assert_eq!(judge(&octets), Err(reason), "{what}: {octets:02x?}");
    }
}

#[test]
fn lets_pass_what_is_its_own_and_what_is_nobodys() {
    let gateway = Ipv4Addr::new(10, 1, 0, 1);
    let foreign = neighbor(ADVERTISEMENT, H2_6, &[(2, MAC)]);
    let later = (44, vec![0, 0, 0x05, 0xa8, 0, 0, 0, 9]);
    for (what, octets) in [
        ("asks for the gateway", arp(REQUEST, MAC, OWN4, gateway)),
        ("answers", arp(REPLY, MAC, OWN4, H2_4)),
        ("announces itself", arp(REQUEST, MAC, OWN4, OWN4)),
        ("probes", arp(REQUEST, MAC, Ipv4Addr::UNSPECIFIED, OWN4)),
        ("probes h2's address", arp(REQUEST, MAC, Ipv4Addr::UNSPECIFIED, H2_4)),
        ("has an address of 169.254/16", arp(REQUEST, MAC, Ipv4Addr::new(169, 254, 7, 7), H2_4)),
        ("has a network inside", arp(REPLY, H2_MAC, Ipv4Addr::new(172, 20, 0, 5), H2_4)),
        ("cut off before the claim is told", arp(REPLY, MAC, H2_4, gateway)[..31].to_vec()),
        ("an ARP of other address lengths", {
            let mut octets = arp(REPLY, MAC, H2_4, gateway);
            octets[18] = 8;
            octets
        }),
        ("its own packet", ipv4(OWN4)),
        ("DHCP", ipv4(Ipv4Addr::UNSPECIFIED)),
        ("a packet it routes", ipv4(Ipv4Addr::new(172, 20, 0, 5))),
        ("a header cut short", ipv4(H2_4)[..33].to_vec()),
        ("its own IPv6 packet", ipv6(OWN6, &ECHO)),
        ("by link-local address", ipv6(LINK_LOCAL, &ECHO)),
        ("duplicate address detection", ipv6(Ipv6Addr::UNSPECIFIED, &neighbor(SOLICITATION, H2_6, &[]))),
        ("asks for h2", ipv6(OWN6, &neighbor(SOLICITATION, H2_6, &[(1, MAC)]))),
        ("advertises itself", ipv6(OWN6, &neighbor(ADVERTISEMENT, OWN6, &[(2, MAC)]))),
        ("its link-local address", ipv6(LINK_LOCAL, &neighbor(ADVERTISEMENT, LINK_LOCAL, &[(2, MAC)]))),
        ("an option of no length", ipv6(OWN6, &[neighbor(ADVERTISEMENT, OWN6, &[]), vec![2, 0, 0, 0]].concat())),
        ("a later fragment", frame(&[], 0x86dd, &ipv6_packet(LINK_LOCAL, &[later], &foreign))),
        ("neither", frame(&[], 0x88b5, &arp_message(REPLY, MAC, H2_4, gateway))),
        ("a tag without anything", frame(&[7], 0x0800, &[])[..16].to_vec()),
    ] {
        assert_eq!(judge(&octets), Ok(()), "{what}: {octets:02x?}");
    }
}

#[test]
fn a_sender_that_is_not_the_frame_s_is_no_sender() {
    let mut octets = arp(REPLY, MAC, OWN4, H2_4);
    octets[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 7]);
    assert_eq!(judge(&octets), Err(ARP));
}

#[test]
fn each_of_several_addresses_is_its_own_and_none_is_too() {
    let second = Ipv4Addr::new(10, 1, 0, 13);
    for (own, refused) in [
        (vec![OWN4.into(), second.into()], vec![H2_4]),
        (vec![second.into(), OWN6.into(), OWN4.into()], vec![H2_4]),
        (vec![OWN6.into()], vec![H2_4, OWN4, second]),
        (vec![], vec![H2_4, OWN4, second]),
    ] {
        let own = Guard::new(MacAddr(MAC), &own, &["10.1.0.0/24".parse().unwrap()]);
        for source in [OWN4, second, H2_4, Ipv4Addr::UNSPECIFIED] {
            let octets = ipv4(source);
            let header = EthernetHeader::read(&octets).unwrap();
            let judged = guard(&Frame::from_octets(&octets), &header, &own);
            assert_eq!(judged.is_err(), refused.contains(&source), "{source} of {own:?}");
        }
    }
}

#[test]
fn a_subnet_of_everything_and_link_local_ones_protect_nothing() {
    let nets = ["0.0.0.0/0", "::/0", "fe80::/64"].map(|net| net.parse().unwrap());
    let guard = Guard::new(MacAddr(MAC), &[], &nets);
    assert_eq!(guard.whose4(H2_4.into()), Whose::Nobodys);
    assert_eq!((guard.whose6(H2_6.into()), guard.whose6(LINK_LOCAL.into())), (Whose::Nobodys, Whose::Nobodys));
    let whole = Guard::new(MacAddr(MAC), &[], &["10.1.0.0/16".parse().unwrap(), "fd00:1::5/64".parse().unwrap()]);
    assert_eq!((whole.whose4(H2_4.into()), whole.whose6(H2_6.into())), (Whose::Anothers, Whose::Anothers));
    assert_eq!(whole.whose4(0), Whose::Nobodys);
}

/// An address of the subnets, the port's own or another's.
fn address4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![any::<u8>().prop_map(|host| Ipv4Addr::new(10, 1, 0, host)), Just(Ipv4Addr::new(192, 0, 2, 1))]
}

fn address6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u64>()
        .prop_map(|host| Ipv6Addr::from(u128::from(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0)) | u128::from(host)))
}

/// Extension headers that go before anything.
fn headers() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let header = (prop::sample::select(&[0u8, 43, 60, 135, 139, 140][..]), 0u8..4, any::<u8>());
    let header = header.prop_map(|(number, more, filling)| {
        let mut octets = vec![filling; 8 + 8 * usize::from(more)];
        octets[1] = more;
        (number, octets)
    });
    prop::collection::vec(header, 0..6)
}

/// A frame that claims `v4` or `v6`, in one of the ways there are.
fn claim(v4: Ipv4Addr, v6: Ipv6Addr) -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        (1u8..4, address4()).prop_map(move |(operation, target)| (0x0806, arp_message(operation, MAC, v4, target))),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(move |rest| (0x0800, [ipv4_packet(v4), rest].concat())),
        (headers(), prop::collection::vec(any::<u8>(), 0..60)).prop_map(move |(headers, rest)| {
            let echo = [&ECHO[..], &rest].concat();
            (0x86dd, ipv6_packet(v6, &headers, &echo))
        }),
        (headers(), any::<bool>()).prop_map(move |(headers, option)| {
            let options: &[_] = if option { &[(2, MAC)] } else { &[] };
            (0x86dd, ipv6_packet(LINK_LOCAL, &headers, &neighbor(ADVERTISEMENT, v6, options)))
        }),
    ];
    (prop::collection::vec(any::<u16>(), 0..3), payload)
        .prop_map(|(tags, (ether_type, payload))| frame(&tags, ether_type, &payload))
}

proptest! {
    #[test]
    fn refuses_every_claim_to_another_s_address(
        octets in (address4(), address6())
            .prop_filter("its own", |(v4, v6)| *v4 != OWN4 && *v6 != OWN6)
            .prop_flat_map(|(v4, v6)| claim(v4, v6)),
        cut in any::<prop::sample::Index>(),
    ) {
        let refused = judge(&octets);
        prop_assert!(refused.is_err());
        let cut = judge(&octets[..cut.index(octets.len())]);
        prop_assert!(cut.is_ok() || cut == refused, "what is cut off is not held against it otherwise: {cut:?}");
    }

    #[test]
    fn refuses_no_frame_whose_addresses_are_its_own(
        octets in claim(OWN4, OWN6),
        cut in any::<prop::sample::Index>(),
    ) {
        prop_assert_eq!(judge(&octets), Ok(()));
        prop_assert_eq!(judge(&octets[..cut.index(octets.len())]), Ok(()));
    }

    #[test]
    fn any_octets_have_an_answer(
        head in prop::sample::select(&[0x0800u16, 0x0806, 0x86dd, 0x8100, 0x88a8][..]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = judge(&frame(&[], head, &rest));
        let _ = judge(&frame(&[0], head, &rest));
    }
}
