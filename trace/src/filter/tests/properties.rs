//! What holds for any text, any filter and any frame? Nothing panics, a filter's text is the filter, and what matches
//! was admitted.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use frame::{DropReason, MacAddr, NetworkId, PortId};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::syntax::*;
use super::super::*;
use super::*;
use crate::record::Names;

/// Six stations on two networks: 1 to 3 are named, and the MAC address of 1 is 4's as well, on the other network.
struct World;

fn mac(station: u8) -> MacAddr {
    MacAddr([2, 0x42, 10, 0, 0, station])
}

fn name_of(network: NetworkId, mac: MacAddr) -> Option<&'static str> {
    let station = mac.0.starts_with(&[2, 0x42, 10, 0, 0]).then_some(mac.0[5]);
    match (network.0, station.unwrap_or(0)) {
        (1, 1) => Some("h1"),
        (1, 2) => Some("h2"),
        (2, 3) => Some("h3"),
        (2, 1) => Some("h4"),
        _ => None,
    }
}

impl Names for World {
    fn port(&self, port: PortId) -> Cow<'_, str> {
        format!("h{}", port.0).into()
    }

    fn network(&self, network: NetworkId) -> Cow<'_, str> {
        format!("n{}", network.0).into()
    }

    fn mac(&self, network: NetworkId, mac: MacAddr) -> Option<Cow<'_, str>> {
        name_of(network, mac).map(Into::into)
    }
}

impl Ids for World {
    fn ports(&self, name: &str) -> Vec<PortId> {
        (1..5).map(PortId).filter(|port| self.port(*port) == name).collect()
    }

    fn networks(&self, name: &str) -> Vec<NetworkId> {
        (1..3).map(NetworkId).filter(|network| self.network(*network) == name).collect()
    }

    fn macs(&self, name: &str) -> Vec<MacAddr> {
        let all = (1..3).flat_map(|network| (0..6).map(move |station| (NetworkId(network), mac(station))));
        all.filter(|(network, mac)| name_of(*network, *mac) == Some(name)).map(|(_, mac)| mac).collect()
    }

    fn ips(&self, name: &str) -> Vec<IpAddr> {
        let station = name.strip_prefix('h').and_then(|number| number.parse().ok());
        station.map(|station| IpAddr::from([10, 0, 0, station])).into_iter().collect()
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&["h1", "h2", "h3", "h4", "h5", "n1", "n2"][..]).prop_map(str::to_owned),
        "[a-z0-9][a-z0-9_.-]{0,5}".prop_filter("no word that joins, no address", |name| {
            !["and", "or", "not"].contains(&name.as_str())
                && !name.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                && name.parse::<MacAddr>().is_err()
        }),
    ]
}

fn ipv4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![(0u8..6).prop_map(|last| Ipv4Addr::new(10, 0, 0, last)), any::<Ipv4Addr>()]
}

fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![(0u16..3).prop_map(|last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)), any::<Ipv6Addr>()]
}

fn ip(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Any => prop_oneof![ipv4().prop_map(IpAddr::V4), ipv6().prop_map(IpAddr::V6)].boxed(),
        Family::Ip6 => ipv6().prop_map(IpAddr::V6).boxed(),
        Family::Ip | Family::Arp => ipv4().prop_map(IpAddr::V4).boxed(),
    }
}

fn one<W: Words + std::fmt::Debug>() -> impl Strategy<Value = W> {
    select(W::TABLE).prop_map(|(_, value)| value)
}

fn address_test() -> impl Strategy<Value = Test> {
    let host = (one::<Family>(), one::<Way>()).prop_flat_map(|(family, way)| {
        let host = prop_oneof![ip(family).prop_map(Host::Ip), name().prop_map(|name| Host::Name(name, Vec::new())),];
        host.prop_map(move |host| Test::Host { family, way, host })
    });
    let net = (one::<Family>(), one::<Way>(), 0u8..=128).prop_flat_map(|(family, way, prefix)| {
        ip(family).prop_map(move |ip| {
            let prefix = prefix.min(if ip.is_ipv4() { 32 } else { 128 });
            Test::Net { family, way, net: IpNet::new(ip, prefix).unwrap().trunc() }
        })
    });
    let ether_host = prop_oneof![(0u8..6).prop_map(mac).prop_map(EtherHost::Mac), name().prop_map(EtherHost::Name)];
    let port = (one::<Transport>(), one::<Way>(), 0u16..100, 0u16..100).prop_map(|(transport, way, one, other)| {
        Test::Port { transport, way, first: one.min(other), last: one.max(other) }
    });
    prop_oneof![host, net, (one::<Way>(), ether_host).prop_map(|(way, host)| Test::EtherHost { way, host }), port]
}

fn test() -> impl Strategy<Value = Test> {
    let plain =
        [Test::Ip, Test::Ip6, Test::Tcp, Test::Udp, Test::Broadcast, Test::Multicast, Test::Unicast, Test::FromSwitch];
    prop_oneof![
        4 => address_test(),
        1 => select(plain.to_vec()),
        1 => option::of(one()).prop_map(Test::Arp),
        1 => option::of(one()).prop_map(Test::Icmp),
        1 => option::of(one()).prop_map(Test::Icmp6),
        1 => option::of(0u16..6).prop_map(Test::Vlan),
        1 => prop_oneof![any::<u16>(), select(&[0x0800u16, 0x8100, 0][..])].prop_map(Test::EtherProto),
        1 => (0u32..200).prop_map(Test::Less),
        1 => (0u32..200).prop_map(Test::Greater),
        1 => name().prop_map(Test::PortOf),
        1 => name().prop_map(Test::To),
        1 => name().prop_map(Test::Network),
        1 => one().prop_map(Test::Verdict),
        1 => select(DropReason::ALL).prop_map(Test::Reason),
        1 => one().prop_map(Test::Learned),
        1 => (1u64..9, 0u64..9).prop_map(|(first, more)| Test::Frame { first, last: first + more }),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    test().prop_map(Expr::Test).prop_recursive(6, 40, 2, |inner| {
        let two = (inner.clone(), inner.clone()).prop_map(|(left, right)| (Box::new(left), Box::new(right)));
        prop_oneof![
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
            two.clone().prop_map(|(left, right)| Expr::And(left, right)),
            two.prop_map(|(left, right)| Expr::Or(left, right)),
        ]
    })
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    let station = prop_oneof![(0u8..6).prop_map(|last| mac(last).0), Just([0xff; 6]), Just([1, 0, 0x5e, 0, 0, 1])];
    let small = || 0u8..6;
    let inside = prop_oneof![
        (small(), small(), small())
            .prop_map(|(operation, sender, target)| arp(operation, sender, target)[12..].to_vec()),
        (select(&[1u8, 6, 17, 58][..]), 0u8..2, small(), small(), 0u8..100).prop_map(
            |(protocol, fragment, from, to, port)| {
                let mut packet = super::ipv4(protocol, [0, fragment], &[0, port, 0, 80, 0]);
                (packet[29], packet[33]) = (from, to);
                packet[12..].to_vec()
            }
        ),
        (select(&[0u8, 44, 51, 6, 17, 58][..]), vec(select(&[0u8, 1, 6, 17, 58, 128][..]), 0..60))
            .prop_map(|(next, payload)| super::ipv6(next, &payload)[12..].to_vec()),
        vec(any::<u8>(), 0..60),
    ];
    let tags = vec((0u8..6).prop_map(|id| [0x81, 0, 0, id]), 0..30);
    (station.clone(), station, prop_oneof![4 => Just(vec![]), 1 => tags], inside, 0usize..250).prop_map(
        |(destination, source, tags, inside, len)| {
            let mut octets = [&destination[..], &source, &tags.concat(), &inside].concat();
            octets.truncate(len);
            octets
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Learned(Learned::New)),
        Just(Step::Learned(Learned::Refused(LearnRefusal::Busy))),
        (1u16..5).prop_map(|port| Step::Sent { port: PortId(port) }),
        (1u16..5, select(DropReason::ALL)).prop_map(|(port, reason)| Step::NotSent { port: PortId(port), reason }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_text_is_a_filter_or_a_fault_that_is_told(text in any::<String>()) {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(!error.to_string().chars().any(char::is_control));
            prop_assert_eq!(error.pointed().split('\n').count(), 2);
        }
    }

    #[test]
    fn words_in_any_order_are_a_filter_or_a_fault(
        words in vec(prop_oneof![
            4 => select(TESTS).prop_map(str::to_owned),
            3 => select(&["and", "or", "not", "(", ")", "&&", "!", "proto", "request", "flood", "runt"][..]).prop_map(str::to_owned),
            2 => "[0-9a-fx:./-]{1,9}",
            1 => name(),
        ], 0..12),
    ) {
        let text = words.join(" ");
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter),
            Err(error) => prop_assert!(text.get(error.range()).is_some()),
        }
    }

    #[test]
    fn the_text_of_a_filter_is_the_filter(expr in expr()) {
        let filter = Filter { expr: Some(expr) };
        prop_assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
    }

    #[test]
    fn what_matches_was_admitted(
        expr in expr(), octets in octets(), network in 1u16..3, port in option::of(1u16..5), number in 1u64..9,
        steps in vec(step(), 0..4), drop in option::of(select(DropReason::ALL)), known in subsequence(vec![0, 1], 0..=2),
    ) {
        let verdict = drop.map_or(Verdict::Held, Verdict::Drop);
        let (network, port) = (NetworkId(network), port.map(PortId));
        let raw = RawRecord { network, port, number: FrameNumber(number), ..raw(&octets, steps, verdict) };
        let record = Record::resolve(&raw, 0, &World);
        let mut filter = Filter { expr: Some(expr) };
        if known.contains(&0) {
            filter = filter.with_addresses(&World);
        }
        let admission = if known.contains(&1) { filter.compile(&World) } else { filter.compile(&()) };
        prop_assert!(!filter.matches(&record) || admission.admits(network, port, &octets), "{}", filter);
    }

    #[test]
    fn where_nothing_waits_for_the_decision_the_engine_knows_all(octets in octets(), filter in select(&[
        "tcp port 80 or arp request", "not (ip and host 10.0.0.1) and less 100", "vlan 3 or port-of h1 and network n2",
        "ether src 02:42:0a:00:00:01 and not broadcast",
    ][..])) {
        let filter = Filter::parse(filter).unwrap();
        let record = Record::resolve(&raw(&octets, vec![], Verdict::Held), 0, &World);
        let admitted = filter.compile(&World).admits(NetworkId(1), Some(PortId(1)), &octets);
        prop_assert_eq!(filter.matches(&record), admitted);
    }
}
