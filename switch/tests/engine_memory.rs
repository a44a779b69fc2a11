//! Does the whole engine switch, over memory ports, with one worker and with two? Every frame that leaves is accounted
//! for, and so is every frame that does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its bench has failed")]

mod engine_bench;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use engine_bench::{Bench, GATEWAY_MAC, for_each_worker_count, frame, host, host_mac};
use forwarding::Guard;
use frame::{DropReason, MacAddr, OffloadHeader, PortId};
use lanyard_switch as switch;
use switch::engine::{HostGateway, NetworkView};

#[test]
fn floods_what_it_does_not_know_and_not_what_it_does() {
    for_each_worker_count(|workers| {
        let bench = Bench::new(workers, 4, |_| true);
        bench.send(0, &frame(host(11), host(10), b"who are you"));
        for port in 1..4 {
            assert_eq!(bench.arrivals(port), [frame(host(11), host(10), b"who are you")], "port {port}");
        }
        bench.send(1, &frame(host(10), host(11), b"me"));
        assert_eq!(bench.arrivals(0), [frame(host(10), host(11), b"me")]);
        bench.send(0, &frame(host(11), host(10), b"you"));
        assert_eq!(bench.arrivals(1), [frame(host(11), host(10), b"you")]);
        for port in [0, 2, 3] {
            assert!(bench.arrivals(port).is_empty(), "port {port} overheard a known unicast");
        }
        assert_eq!(bench.counts[0].sum(|c| c.rx_frames.get()), 2);
        assert_eq!(bench.counts[1].sum(|c| c.tx_frames.get()), 2);
        assert_eq!(bench.counts[2].sum(|c| c.tx_frames.get()), 1);
    });
}

#[test]
fn every_refused_frame_has_its_counter() {
    for_each_worker_count(|workers| {
        let bench = Bench::new(workers, 2, |_| true);
        let group = MacAddr([0x03, 0, 0, 0, 0, 1]);
        let cases = [
            (DropReason::Runt, vec![1, 2, 3]),
            (DropReason::Giant, frame(host(11), host(10), &[0; 1501])),
            (DropReason::GroupSource, frame(host(11), group, b"x")),
            (DropReason::ZeroSource, frame(host(11), MacAddr::ZERO, b"x")),
            (DropReason::GatewaySource, frame(host(11), GATEWAY_MAC, b"x")),
            (DropReason::ReservedGroup, frame(MacAddr([0x01, 0x80, 0xc2, 0, 0, 0]), host(10), b"x")),
            (DropReason::SamePort, frame(host(10), host(10), b"x")),
            (DropReason::NotRoutable, frame(GATEWAY_MAC, host(10), b"x")),
        ];
        for (reason, octets) in &cases {
            bench.send(0, octets);
            bench.expect_drops(*reason, 1);
        }
        assert!(bench.arrivals(1).is_empty());
        assert_eq!(bench.counts[0].sum(|c| c.drops.get()), cases.len() as u64);
    });
}

#[test]
fn a_port_that_is_down_gets_no_flood_and_one_that_is_detached_no_frame() {
    for_each_worker_count(|workers| {
        let bench = Bench::new(workers, 3, |_| true);
        bench.send(2, &frame(MacAddr::BROADCAST, host(12), b"here"));
        assert_eq!((bench.arrivals(0).len(), bench.arrivals(1).len()), (1, 1));
        bench.publish(&[0, 1]);
        bench.send(0, &frame(MacAddr::BROADCAST, host(10), b"all"));
        assert_eq!(bench.arrivals(1).len(), 1);
        assert!(bench.arrivals(2).is_empty());
        bench.engine.detach(PortId(2));
        bench.send(0, &frame(host(12), host(10), b"you"));
        bench.expect_drops(DropReason::EgressDown, 1);
        bench.tables.forget_port(PortId(2));
        bench.publish(&[0]);
        bench.send(0, &frame(host(12), host(10), b"you"));
        bench.expect_drops(DropReason::NoOtherPort, 1);
    });
}

#[test]
fn a_full_port_loses_the_newest_and_counts_them() {
    let bench = Bench::new(1, 2, |_| true);
    let capacity = bench.peers[1].capacity() as u64;
    let sent = capacity + 100;
    for number in 0..sent {
        while !bench.peers[0].send(&frame(MacAddr::BROADCAST, host(10), &number.to_be_bytes()), OffloadHeader::NONE) {
            std::thread::yield_now();
        }
    }
    bench.expect_drops(DropReason::EgressFull, sent - capacity);
    let arrived = bench.arrivals(1);
    assert_eq!(arrived.len() as u64, capacity);
    assert!(
        arrived.iter().zip(0..).all(|(octets, number): (_, u64)| octets[14..] == number.to_be_bytes()),
        "the oldest stay, in order"
    );
}

#[test]
fn two_workers_deliver_each_frame_once_and_in_order_of_its_sender() {
    const FRAMES: u32 = 20_000;
    let bench = Bench::new(2, 3, |_| true);
    for (port, number) in [(0, 10), (1, 11), (2, 12)] {
        bench.send(port, &frame(MacAddr::BROADCAST, host(number), b"hello"));
    }
    for port in 0..3 {
        assert_eq!(bench.arrivals(port).len(), 2);
    }
    let mut next = [0_u32; 2];
    let mut sent = [0_u32; 2];
    let deadline = Instant::now() + Duration::from_secs(20);
    while next != [FRAMES; 2] && Instant::now() < deadline {
        for sender in 0..2 {
            // No more than fit at the receiver, so that nothing may be lost.
            while sent[sender] < FRAMES && sent[sender] - next[sender] < 200 {
                bench.send(sender, &frame(host(12), host(10 + sender as u8), &sent[sender].to_be_bytes()));
                sent[sender] += 1;
            }
        }
        while let Some((octets, _)) = bench.peers[2].recv() {
            let sender = usize::from(octets[11] - 10);
            assert_eq!(octets[14..18], next[sender].to_be_bytes(), "from sender {sender}");
            next[sender] += 1;
        }
    }
    assert_eq!(next, [FRAMES; 2]);
    assert!(bench.peers[0].recv().is_none() && bench.peers[1].recv().is_none());
}

#[test]
fn the_gateway_answers_arp_and_nobody_else_hears_it() {
    for_each_worker_count(|workers| {
        let bench = Bench::new(workers, 3, |_| true);
        let mut request = frame::Frame::empty();
        arp::packet::request(&mut request, host(10), Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 1));
        bench.send(0, request.octets());
        let answers = bench.arrivals(0);
        assert_eq!(answers.len(), 1);
        let reply = arp::packet::read(&answers[0]).unwrap();
        assert_eq!((reply.sender_mac, reply.sender_ip), (GATEWAY_MAC, Ipv4Addr::new(10, 0, 0, 1)));
        assert!(bench.arrivals(1).is_empty() && bench.arrivals(2).is_empty());
        let known =
            bench.tables.neighbors(|t| t.get(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10)), bench.engine.clock().now()));
        assert_eq!(known.unwrap().mac, Some(host(10)));
    });
}

/// The last of the ports becomes the host's, with the gateway's MAC address.
fn host_gateway(bench: &Bench, icc: bool, guard: impl Fn(u16) -> Option<Guard>) -> usize {
    let host = bench.peers.len() as u16 - 1;
    bench.tables.mac.forget(GATEWAY_MAC);
    bench.tables.mac.set_static(GATEWAY_MAC, PortId(host)).unwrap();
    let change = |view: &mut NetworkView| {
        (view.gateway, view.icc) = (None, icc);
        view.host_gateway = Some(HostGateway { port: PortId(host), mac: GATEWAY_MAC });
    };
    bench.publish_as(&(0..=host).collect::<Vec<_>>(), change, guard);
    host.into()
}

#[test]
fn a_host_gateway_is_a_port_that_nobody_else_can_be() {
    for_each_worker_count(|workers| {
        let bench = Bench::new(workers, 3, |_| true);
        let host = host_gateway(&bench, true, |_| None);
        let there = frame(GATEWAY_MAC, host_mac(0), b"out");
        for _ in 0..2 {
            bench.send(0, &there);
            assert_eq!(bench.arrivals(host), [there.as_slice()]);
            bench.send(1, &frame(MacAddr::BROADCAST, GATEWAY_MAC, b"I am the gateway"));
        }
        bench.expect_drops(DropReason::GatewaySource, 2);
        bench.tables.flush_port(PortId(host as u16));
        bench.send(0, &there);
        assert_eq!(bench.arrivals(host), [there.as_slice()], "also after it was down");
        let back = frame(host_mac(0), GATEWAY_MAC, b"back");
        bench.send(host, &back);
        assert_eq!(bench.arrivals(0), [back]);
        assert!(bench.arrivals(1).is_empty());
    });
}

#[test]
fn containers_kept_apart_reach_the_gateway_s_port_only() {
    for_each_worker_count(|workers| {
        let bench = Bench::new(workers, 4, |_| true);
        let host = host_gateway(&bench, false, |_| None);
        for to in [MacAddr::BROADCAST, host_mac(99), GATEWAY_MAC] {
            for port in 0..2 {
                bench.send(port, &frame(to, host_mac(port), b"x"));
                assert_eq!(bench.arrivals(host), [frame(to, host_mac(port), b"x")], "{to} from {port}");
            }
        }
        bench.expect_drops(DropReason::Isolated, 0);
        bench.send(0, &frame(host_mac(1), host_mac(0), b"x"));
        bench.expect_drops(DropReason::Isolated, 1);
        bench.send(host, &frame(MacAddr::BROADCAST, GATEWAY_MAC, b"all"));
        bench.send(host, &frame(host_mac(1), GATEWAY_MAC, b"you"));
        let counts = [bench.arrivals(0).len(), bench.arrivals(1).len(), bench.arrivals(2).len()];
        assert_eq!(counts, [1, 2, 1], "the host may speak to anybody");
        assert_eq!(bench.counts[0].sum(|count| count.drops.get()), 1);
    });
}

#[test]
fn containers_kept_apart_reach_the_switch_itself() {
    let bench = Bench::new(1, 2, |_| true);
    bench.publish_as(&[0, 1], |view| (view.icc, view.suppress_arp) = (false, true), |_| None);
    let mut request = frame::Frame::empty();
    for (sender, target, answered) in [(0, [10, 0, 0, 1], 1), (1, [10, 0, 0, 1], 1), (0, [10, 0, 0, 11], 0)] {
        let ip = Ipv4Addr::new(10, 0, 0, 10 + sender as u8);
        arp::packet::request(&mut request, host_mac(sender), ip, target.into());
        bench.send(sender, request.octets());
        assert_eq!(bench.arrivals(sender).len(), answered, "{target:?}");
        assert!(bench.arrivals(1 - sender).is_empty());
    }
    bench.expect_drops(DropReason::Isolated, 1);
}

#[test]
fn a_guarded_port_is_nobody_but_itself() {
    for_each_worker_count(|workers| {
        let bench = Bench::new(workers, 3, |_| true);
        let ip = |port: usize| Ipv4Addr::new(10, 0, 0, 10 + port as u8);
        for port in 0..2 {
            bench.tables.mac.set_static(host_mac(port), PortId(port as u16)).unwrap();
        }
        let own =
            |port: u16| Guard::new(host_mac(port.into()), &[ip(port.into()).into()], &["10.0.0.0/24".parse().unwrap()]);
        let host = host_gateway(&bench, true, |port| Some(own(port)));
        let packet = |from: usize, source: Ipv4Addr| {
            let mut octets = frame(GATEWAY_MAC, host_mac(from), &[0x45; 20]);
            octets[12..14].copy_from_slice(&[8, 0]);
            octets[26..30].copy_from_slice(&source.octets());
            octets
        };
        let mut lie = frame::Frame::empty();
        arp::packet::announcement(&mut lie, host_mac(0), Ipv4Addr::new(10, 0, 0, 1));
        for (reason, octets) in [
            (DropReason::SpoofedIp, packet(0, ip(1))),
            (DropReason::SpoofedMac, packet(1, ip(0))),
            (DropReason::SpoofedArp, lie.octets().to_vec()),
            (DropReason::GatewaySource, frame(host_mac(1), GATEWAY_MAC, b"x")),
        ] {
            bench.send(0, &octets);
            bench.expect_drops(reason, 1);
        }
        assert_eq!(bench.counts[0].sum(|count| count.drops.get()), 4);
        bench.send(0, &packet(0, ip(0)));
        assert_eq!(bench.arrivals(host), [packet(0, ip(0))], "and of all five this one only");
        let anybodys = frame(host_mac(0), GATEWAY_MAC, b"the gateway's port is not guarded");
        bench.send(host, &anybodys);
        assert_eq!(bench.arrivals(0), [anybodys]);
    });
}

#[test]
fn idle_workers_sleep() {
    let bench = Bench::new(2, 8, |_| true);
    bench.send(0, &frame(MacAddr::BROADCAST, host(10), b"x"));
    assert_eq!(bench.arrivals(1).len(), 1);
    bench.tables.mac.forget(host(10));
    std::thread::sleep(Duration::from_millis(1200)); // the time keeper looks once more and finds nothing to age
    let wakeups = || bench.engine.worker_counts().sum(|counts| counts.wakeups.get());
    let before = wakeups();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(wakeups(), before, "nothing to do, nothing to wake for");
}
