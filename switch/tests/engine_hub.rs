//! Is a network with `mode=hub` a hub? Everybody hears everything, the gateway is one more station, and nothing is learned.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its bench has failed")]

mod engine_bench;

use std::net::Ipv4Addr;

use engine_bench::{Bench, GATEWAY_MAC, for_each_worker_count, frame, host, host_mac};
use frame::{DropReason, Frame, MacAddr, PortId};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn hub(workers: usize, ports: u16) -> Bench {
    let bench = Bench::new(workers, ports, |_| true);
    publish(&bench, &(0..ports).collect::<Vec<_>>());
    bench
}

fn publish(bench: &Bench, members: &[u16]) {
    bench.publish_as(members, |view| view.hub = true, |_| None);
}

fn request(from: u8, target: Ipv4Addr) -> Vec<u8> {
    let mut octets = Frame::empty();
    arp::packet::request(&mut octets, host(from), Ipv4Addr::new(10, 0, 0, from), target);
    octets.octets().to_vec()
}

/// A ping of the gateway from 10.0.0.10, with checksums.
fn ping() -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2(host(10).0, GATEWAY_MAC.0)
        .ipv4([10, 0, 0, 10], GATEWAY.octets(), 64)
        .icmpv4_echo_request(7, 1);
    let mut octets = Vec::new();
    builder.write(&mut octets, b"is anybody there").unwrap();
    octets
}

#[test]
fn everybody_hears_everything_and_nobody_is_learned() {
    for_each_worker_count(|workers| {
        let bench = hub(workers, 4);
        // Known, unknown, to everybody, to a group, and to oneself.
        let group = MacAddr([0x01, 0, 0x5e, 0, 0, 1]);
        for to in [host_mac(1), host_mac(1), host_mac(99), MacAddr::BROADCAST, group, host_mac(0)] {
            bench.send(0, &frame(to, host_mac(0), b"all"));
            for port in 1..4 {
                assert_eq!(bench.arrivals(port), [frame(to, host_mac(0), b"all")], "{to} at {port}");
            }
            bench.send(1, &frame(host_mac(0), host_mac(1), b"back"));
            for port in [0, 2, 3] {
                assert_eq!(bench.arrivals(port).len(), 1, "{to}: the answer at {port}");
            }
        }
        assert!(bench.peers[0].recv().is_none(), "never back to where it came from");
        let learned = bench.tables.mac.counts().learned;
        assert_eq!((learned, bench.tables.mac.len()), (0, 1), "the gateway's entry only");
    });
}

#[test]
fn what_no_switch_forwards_no_hub_repeats() {
    let bench = hub(1, 2);
    for (reason, octets) in [
        (DropReason::GroupSource, frame(host_mac(1), MacAddr::BROADCAST, b"x")),
        (DropReason::GatewaySource, frame(host_mac(1), GATEWAY_MAC, b"x")),
    ] {
        bench.send(0, &octets);
        bench.expect_drops(reason, 1);
    }
    assert!(bench.arrivals(1).is_empty());
    publish(&bench, &[0]);
    bench.send(0, &frame(host_mac(1), host_mac(0), b"x"));
    bench.expect_drops(DropReason::NoOtherPort, 1);
}

#[test]
fn the_gateway_answers_and_everybody_hears_question_and_answer() {
    for_each_worker_count(|workers| {
        let bench = hub(workers, 3);
        bench.send(0, &request(10, GATEWAY));
        let at_asker = bench.arrivals(0);
        assert_eq!(at_asker.len(), 1);
        assert_eq!(arp::packet::read(&at_asker[0]).unwrap().sender_mac, GATEWAY_MAC);
        for port in 1..3 {
            assert_eq!(bench.arrivals(port), [request(10, GATEWAY), at_asker[0].clone()], "in this order, at {port}");
        }
        bench.send(0, &ping());
        let answer = bench.arrivals(0);
        assert_eq!((answer.len(), answer[0][34]), (1, 0), "an echo reply");
        for port in 1..3 {
            assert_eq!(bench.arrivals(port), [ping(), answer[0].clone()], "at {port}");
        }
        // A question that is not for the gateway is not answered by it, and noted all the same.
        bench.send(1, &request(11, Ipv4Addr::new(10, 0, 0, 12)));
        assert_eq!((bench.arrivals(0).len(), bench.arrivals(1).len(), bench.arrivals(2).len()), (1, 0, 1));
        let now = bench.engine.clock().now();
        let noted = bench.tables.neighbors(|table| table.get(Ipv4Addr::new(10, 0, 0, 11).into(), now));
        assert_eq!(noted.unwrap().mac, Some(host(11)));
    });
}

#[test]
fn alone_on_a_hub_the_gateway_still_answers() {
    let bench = hub(1, 1);
    bench.send(0, &request(10, GATEWAY));
    assert_eq!(bench.arrivals(0).len(), 1);
    bench.send(0, &ping());
    assert_eq!(bench.arrivals(0).len(), 1);
}

#[test]
fn a_static_entry_means_nothing_to_a_hub() {
    let bench = hub(1, 3);
    bench.tables.mac.set_static(host_mac(1), PortId(1)).unwrap();
    bench.send(0, &frame(host_mac(1), host_mac(0), b"you"));
    assert_eq!((bench.arrivals(1).len(), bench.arrivals(2).len()), (1, 1));
}
