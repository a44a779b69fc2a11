//! Do the ports do with a real kernel what they say? Every test makes network namespaces of its own and leaves nothing
//! behind. Where that is not allowed it says SKIPPED, and fails under `LANYARD_REQUIRE=all`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of the tests themselves")]

#[path = "io/world.rs"]
mod world;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use frame::OffloadHeader;
use frame::offload::GsoKind;
use lanyard_ports::{Port, Stop, tap, veth, wire};
use nix::sys::epoll::EpollFlags;
use pnet::datalink::{self, Channel, DataLinkReceiver, DataLinkSender};
use world::{Namespace, Seen, Watch, batch_of, forward, namespace, receive_until, receive_what_comes, stream, udp};

/// The station in front of the port, and the one behind it.
const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// IEEE 802, local experimental ether type 1: nothing in a kernel answers it.
const EXPERIMENT: u16 = 0x88b5;

fn experiment(number: u8, octets: usize) -> Vec<u8> {
    let mut frame = [&THERE[..], &HERE, &EXPERIMENT.to_be_bytes(), &[number]].concat();
    frame.resize(octets, 0x5a);
    frame
}

/// A UDP datagram from 10.9.0.2 behind the port to 10.9.0.1 in the kernel, checksums complete.
fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(THERE, HERE).ipv4([10, 9, 0, 2], [10, 9, 0, 1], 64).udp(9, port);
    let mut octets = Vec::new();
    builder.write(&mut octets, payload).unwrap();
    octets
}

/// Address a link as 10.9.0.1, with 10.9.0.2 behind it known without ARP, and bring it up.
fn furnish(namespace: &Namespace, link: &str) {
    namespace.ip(&format!("link set {link} address 02:00:00:00:00:01"));
    namespace.ip(&format!("addr add 10.9.0.1/24 dev {link}"));
    namespace.ip(&format!("link set {link} up"));
    namespace.ip(&format!("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev {link}"));
}

fn veth_pair(namespace: &Namespace) {
    namespace.ip("link add v0 type veth peer name v1");
    namespace.ip("link set v0 up");
    namespace.ip("link set v1 up");
    namespace.wait_up("v0");
}

fn tap(namespace: &Namespace, name: &str, queues: usize) -> Vec<tap::TapQueue> {
    namespace.inside(|| tap::create(name, queues)).unwrap()
}

fn veth(namespace: &Namespace, name: &str, queues: usize) -> Vec<veth::VethQueue> {
    namespace.inside(|| veth::open(name, queues, true)).unwrap()
}

/// A raw socket on a link, by another implementation than the one under test.
fn raw(namespace: &Namespace, link: &str) -> (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>) {
    let open = || {
        let interface = datalink::interfaces().into_iter().find(|interface| interface.name == link).unwrap();
        let config = datalink::Config { read_timeout: Some(Duration::from_millis(300)), ..Default::default() };
        match datalink::channel(&interface, config).unwrap() {
            Channel::Ethernet(sender, receiver) => (sender, receiver),
            _ => unreachable!("an Ethernet link has an Ethernet channel"),
        }
    };
    namespace.inside(open)
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

/// Send all that the port takes; the places of those that the kernel refused. None may find the queue full.
fn refused(port: &mut dyn Port, batch: &frame::Batch, picks: &[u16]) -> Vec<usize> {
    let mut refused = Vec::new();
    let all = port.send_all(batch, picks, &mut |place, stop| {
        assert_eq!(stop, Stop::Refused);
        refused.push(place);
    });
    all.unwrap();
    refused
}

fn experiments(seen: &[Seen]) -> Vec<u8> {
    seen.iter().filter(|frame| frame.ether_type() == EXPERIMENT).map(|frame| frame.octets[14]).collect()
}

#[test]
fn tap_hands_over_what_the_kernel_sends_unfinished() {
    let Some(world) = namespace() else { return };
    let mut port = tap(&world, "", 1).remove(0);
    assert_eq!((port.name(), port.takes_offload()), ("tap0", true));
    furnish(&world, "tap0");
    udp(&world, "10.9.0.1:0").send_to(b"hello", "10.9.0.2:9").unwrap();
    let seen = receive_until(&mut port, |seen| !seen.is_empty());
    assert_eq!((&seen[0].octets[..6], &seen[0].octets[6..12], seen[0].ether_type()), (&THERE[..], &HERE[..], 0x0800));
    assert!(seen[0].octets.ends_with(b"hello"));
    let offload = seen[0].offload;
    assert!(offload.needs_checksum && !offload.is_gso());
    assert_eq!((offload.checksum_start, offload.checksum_offset), (34, 6));
}

#[test]
fn tap_frames_reach_the_kernel_finished_or_not() {
    let Some(world) = namespace() else { return };
    let mut port = tap(&world, "t0", 1).remove(0);
    furnish(&world, "t0");
    let socket = udp(&world, "10.9.0.1:7777");
    let finished = datagram(7777, b"finished");
    let mut unfinished = datagram(7777, b"unfinished");
    unfinished[40..42].fill(0xaa);
    let offload = OffloadHeader { needs_checksum: true, checksum_start: 34, checksum_offset: 6, ..OffloadHeader::NONE };
    let batch = batch_of(&[(&finished, OffloadHeader::NONE), (&unfinished, offload)]);
    assert_eq!(port.send(&batch, &[1, 0, 1]).unwrap().taken, 3);
    let mut buffer = [0; 100];
    for expected in [&b"unfinished"[..], b"finished", b"unfinished"] {
        let octets = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..octets], expected);
    }
}

#[test]
fn tap_skips_what_the_kernel_refuses_and_goes_on() {
    let Some(world) = namespace() else { return };
    let mut port = tap(&world, "t0", 1).remove(0);
    furnish(&world, "t0");
    let socket = udp(&world, "10.9.0.1:7777");
    let (good, losses) = (datagram(7777, b"good"), port.losses().unwrap());
    let no_segments = OffloadHeader { gso: GsoKind::Tcp4, ..OffloadHeader::NONE };
    let beyond = OffloadHeader { needs_checksum: true, checksum_start: 9000, ..OffloadHeader::NONE };
    let unknown = OffloadHeader { gso: GsoKind::Other(9), segment_octets: 100, ..OffloadHeader::NONE };
    let batch = batch_of(&[
        (&good, OffloadHeader::NONE),
        (&good[..13], OffloadHeader::NONE),
        (&[], OffloadHeader::NONE),
        (&good, no_segments),
        (&good, beyond),
        (&good, unknown),
        (&good, OffloadHeader::NONE),
    ]);
    assert_eq!(refused(&mut port, &batch, &[0, 1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5]);
    assert_eq!((losses.refused(), losses.truncated(), losses.overflowed()), (5, 0, 0));
    for _ in 0..2 {
        assert_eq!(socket.recv(&mut [0; 100]).unwrap(), 4);
    }
}

#[test]
fn tap_queues_share_the_flows_and_each_frame_comes_once() {
    let Some(world) = namespace() else { return };
    let mut ports = tap(&world, "t0", 2);
    furnish(&world, "t0");
    for flow in 0..64_u8 {
        udp(&world, "10.9.0.1:0").send_to(&[flow], "10.9.0.2:9").unwrap();
    }
    let seen: Vec<_> = ports.iter_mut().map(|port| receive_what_comes(port)).collect();
    assert!(seen.iter().all(|seen| !seen.is_empty()), "{} and {}", seen[0].len(), seen[1].len());
    let mut flows: Vec<u8> = seen.iter().flatten().map(|frame| *frame.octets.last().unwrap()).collect();
    flows.sort_unstable();
    assert_eq!(flows, (0..64).collect::<Vec<u8>>());
}

#[test]
fn tap_persists_with_its_addresses_and_is_found_again() {
    let Some(world) = namespace() else { return };
    let first = tap(&world, "t0", 1);
    first[0].set_persist(true).unwrap();
    furnish(&world, "t0");
    drop(first);
    let mut again = tap(&world, "t0", 3);
    udp(&world, "10.9.0.1:0").send_to(b"again", "10.9.0.2:9").unwrap();
    let came = again.iter_mut().flat_map(|port| receive_what_comes(port)).filter(|f| f.octets.ends_with(b"again"));
    assert_eq!(came.count(), 1, "with the address of before");
    again[2].set_persist(false).unwrap();
    drop(again);
    assert!(!world.try_ip("link show t0"), "gone with its last queue");
}

#[test]
fn tap_names_that_cannot_be_are_refused() {
    let Some(world) = namespace() else { return };
    world.ip("link add v0 type veth peer name v1");
    let refused = |name: &str, queues| world.inside(|| tap::create(name, queues)).err().unwrap();
    assert_eq!(refused("a-name-too-long-", 1).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(refused("t0", 0).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(refused("v0", 1).raw_os_error(), Some(libc::EINVAL));
    let _open = world.inside(|| wire::open("w0", 1)).unwrap();
    assert_eq!(refused("w0", 1).raw_os_error(), Some(libc::EINVAL));
    let fault = world.inside(|| wire::open("w0", 1)).err().unwrap();
    assert_eq!(fault.raw_os_error(), Some(libc::EBUSY));
}

#[test]
fn tap_down_is_no_end_and_deletion_is_told_once() {
    let Some(world) = namespace() else { return };
    let mut port = tap(&world, "t0", 1).remove(0);
    let batch = batch_of(&[(&experiment(1, 60), OffloadHeader::NONE)]);
    let mut into = frame::Batch::with_capacity(4);
    assert_eq!(port.send(&batch, &[0]).unwrap_err().kind(), io::ErrorKind::NetworkDown);
    assert_eq!(port.recv(&mut into).unwrap(), 0);
    world.ip("link set t0 up");
    assert_eq!(port.send(&batch, &[0]).unwrap().taken, 1);
    receive_what_comes(&mut port);
    let watch = Watch::on(&port);
    assert_eq!(watch.ready(50), None);
    world.ip("link del t0");
    assert_eq!(watch.ready(1000), Some(EpollFlags::EPOLLERR));
    assert_eq!(watch.ready(100), None, "an edge, not a level: nothing spins");
    assert_eq!(errno(port.recv(&mut into)), Some(libc::EBADFD));
    assert_eq!(errno(port.send(&batch, &[0])), Some(libc::EBADFD));
}

#[test]
fn tap_ends_with_the_namespace_it_was_moved_into() {
    let Some(world) = namespace() else { return };
    let container = Namespace::new().unwrap();
    let mut port = tap(&world, "t0", 1).remove(0);
    port.set_persist(true).unwrap();
    world.ip(&format!("link set t0 netns {}", container.path()));
    container.ip("link set t0 up");
    receive_what_comes(&mut port);
    let watch = Watch::on(&port);
    drop(container);
    assert!(watch.ready(2000).is_some_and(|flags| flags.contains(EpollFlags::EPOLLERR)));
    assert_eq!(errno(port.recv(&mut frame::Batch::with_capacity(4))), Some(libc::EBADFD));
}

#[test]
fn tap_opened_inside_a_namespace_keeps_it_alive() {
    let Some(world) = namespace() else { return };
    let container = Namespace::new().unwrap();
    let mut port = tap(&container, "t0", 1).remove(0);
    let watch = Watch::on(&port);
    drop((container, world));
    assert_eq!(watch.ready(300), None, "nothing is told: whoever reattaches must look for the end itself");
    assert_eq!(port.recv(&mut frame::Batch::with_capacity(4)).unwrap(), 0);
}

#[test]
fn wire_mode_shows_finished_frames_no_longer_than_the_mtu_allows() {
    let Some(world) = namespace() else { return };
    let mut ports = world.inside(|| wire::open("w0", 2)).unwrap();
    assert!(ports[0].fd().is_some() && ports[1].fd().is_none() && !ports[0].takes_offload());
    furnish(&world, "w0");
    let socket = udp(&world, "10.9.0.1:7777");
    socket.send_to(&[7; 4000], "10.9.0.2:9").unwrap();
    socket.send_to(b"hello", "10.9.0.2:9").unwrap();
    let seen = receive_until(&mut ports[0], |seen| seen.len() == 4);
    assert!(seen.iter().all(|frame| frame.octets.len() <= 1514 && frame.offload.is_finished()));
    let packet = SlicedPacket::from_ethernet(&seen[3].octets).unwrap();
    let Some(TransportSlice::Udp(segment)) = packet.transport else { panic!("no UDP: {packet:?}") };
    let mut header = segment.to_header();
    let sum = header.checksum;
    header.checksum = 0;
    assert_eq!(header.calc_checksum_ipv4_raw([10, 9, 0, 1], [10, 9, 0, 2], b"hello").unwrap(), sum, "filled in");
    assert_eq!(receive_what_comes(&mut ports[1]), []);
    let good = datagram(7777, b"good");
    let batch = batch_of(&[(&good, OffloadHeader::NONE), (&good[..13], OffloadHeader::NONE)]);
    for port in &mut ports {
        assert_eq!(refused(port, &batch, &[1, 0]), [0]);
        assert_eq!(socket.recv(&mut [0; 100]).unwrap(), 4);
    }
    assert_eq!(ports[1].losses().unwrap().refused(), 2);
}

#[test]
fn wire_mode_persists_and_ends_like_any_tap() {
    let Some(world) = namespace() else { return };
    let first = world.inside(|| wire::open("w0", 1)).unwrap();
    first[0].set_persist(true).unwrap();
    drop(first);
    let mut port = world.inside(|| wire::open("w0", 1)).unwrap().remove(0);
    let batch = batch_of(&[(&experiment(1, 60), OffloadHeader::NONE)]);
    assert_eq!(port.send(&batch, &[0]).unwrap_err().kind(), io::ErrorKind::NetworkDown);
    let watch = Watch::on(&port);
    world.ip("link del w0");
    assert_eq!((watch.ready(1000), watch.ready(100)), (Some(EpollFlags::EPOLLERR), None));
    assert_eq!(errno(port.recv(&mut frame::Batch::with_capacity(4))), Some(libc::EBADFD));
}

#[test]
fn veth_passes_frames_both_ways_and_does_not_hear_itself() {
    let Some(world) = namespace() else { return };
    veth_pair(&world);
    let mut port = veth(&world, "v0", 1).remove(0);
    let (mut sender, mut receiver) = raw(&world, "v1");
    sender.send_to(&experiment(1, 60), None).unwrap().unwrap();
    sender.send_to(&experiment(2, 1514), None).unwrap().unwrap();
    let seen = receive_until(&mut port, |seen| seen.len() == 2);
    assert_eq!((&seen[0].octets, &seen[1].octets), (&experiment(1, 60), &experiment(2, 1514)));
    let batch = batch_of(&[(&experiment(3, 14 + 1), OffloadHeader::NONE), (&experiment(4, 99), OffloadHeader::NONE)]);
    assert_eq!(port.send(&batch, &[1, 0]).unwrap().taken, 2);
    let mut from_port = || loop {
        let octets = receiver.next().unwrap();
        if octets[14] > 2 {
            return octets.to_vec();
        }
    };
    assert_eq!((from_port(), from_port()), (experiment(4, 99), experiment(3, 15)));
    assert_eq!(receive_what_comes(&mut port), []);
}

#[test]
fn veth_keeps_the_tags_that_the_kernel_takes_out() {
    let Some(world) = namespace() else { return };
    veth_pair(&world);
    let mut port = veth(&world, "v0", 1).remove(0);
    let mut peer = veth(&world, "v1", 1).remove(0);
    let (mut sender, _receiver) = raw(&world, "v1");
    let tagged = |tags: &[u8]| [&THERE[..], &HERE, tags, &EXPERIMENT.to_be_bytes(), &[9; 46]].concat();
    let frames = [
        tagged(&[0x81, 0, 0x20, 5]),
        tagged(&[0x81, 0, 0, 0]),
        tagged(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 5]),
        tagged(&[]),
    ];
    for octets in &frames {
        sender.send_to(octets, None).unwrap().unwrap();
        let seen = receive_until(&mut port, |seen| !seen.is_empty());
        assert_eq!(&seen[0].octets, octets);
    }
    let batch = batch_of(&frames.each_ref().map(|octets| (&octets[..], OffloadHeader::NONE)));
    assert_eq!(port.send(&batch, &[0, 1, 2, 3]).unwrap().taken, 4);
    let seen = receive_until(&mut peer, |seen| seen.len() == 4);
    assert!(seen.iter().zip(&frames).all(|(seen, sent)| seen.octets == *sent));
}

/// A TCP super-frame of 20 segments with an unfinished checksum, behind these tags.
fn super_frame(tags: &[u8]) -> (Vec<u8>, OffloadHeader) {
    let builder = PacketBuilder::ipv4([10, 9, 0, 2], [10, 9, 0, 1], 64).tcp(1, 2, 3, 1000);
    let mut packet = Vec::new();
    builder.write(&mut packet, &vec![7; 20 * 1448]).unwrap();
    let octets = [&HERE[..], &THERE, tags, &[8, 0], &packet].concat();
    let start = 14 + tags.len() as u16 + 20;
    let offload = OffloadHeader {
        needs_checksum: true,
        gso: GsoKind::Tcp4,
        header_len: start + 20,
        segment_octets: 1448,
        checksum_start: start,
        checksum_offset: 16,
        ..OffloadHeader::NONE
    };
    (octets, offload)
}

#[test]
fn veth_passes_super_frames_whole_tagged_or_not() {
    let Some(world) = namespace() else { return };
    veth_pair(&world);
    let (mut port, mut peer) = (veth(&world, "v0", 1).remove(0), veth(&world, "v1", 1).remove(0));
    for tags in [&[][..], &[0x81, 0, 0, 5]] {
        let (octets, offload) = super_frame(tags);
        assert_eq!(port.send(&batch_of(&[(&octets, offload)]), &[0]).unwrap().taken, 1);
        let seen = receive_until(&mut peer, |seen| !seen.is_empty());
        assert_eq!(seen.len(), 1, "in one piece");
        assert_eq!(seen[0].octets.len(), octets.len());
        assert_eq!(seen[0].octets[..14 + tags.len()], octets[..14 + tags.len()]);
        assert_eq!((seen[0].offload.gso, seen[0].offload.segment_octets), (GsoKind::Tcp4, 1448));
        assert_eq!(seen[0].offload.checksum_start, offload.checksum_start, "counted with the tag");
    }
}

#[test]
fn veth_skips_what_the_kernel_refuses_and_goes_on() {
    let Some(world) = namespace() else { return };
    veth_pair(&world);
    let (mut port, mut peer) = (veth(&world, "v0", 1).remove(0), veth(&world, "v1", 1).remove(0));
    let good = |number| (experiment(number, 60), OffloadHeader::NONE);
    let frames = [
        good(1),
        (experiment(0, 13), OffloadHeader::NONE),
        (experiment(0, 1515), OffloadHeader::NONE),
        (experiment(0, 60), OffloadHeader { gso: GsoKind::Tcp4, header_len: 61, ..OffloadHeader::NONE }),
        (experiment(0, 60), OffloadHeader { gso: GsoKind::Other(3), segment_octets: 9, ..OffloadHeader::NONE }),
        good(2),
        (vec![], OffloadHeader::NONE),
    ];
    let batch = batch_of(&frames.each_ref().map(|(octets, offload)| (&octets[..], *offload)));
    assert_eq!(refused(&mut port, &batch, &[0, 1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 6]);
    assert_eq!(port.losses().unwrap().refused(), 5);
    assert_eq!(experiments(&receive_what_comes(&mut peer)), [1, 2]);
}

#[test]
fn veth_sends_more_than_one_call_holds() {
    let Some(world) = namespace() else { return };
    veth_pair(&world);
    let (mut port, mut peer) = (veth(&world, "v0", 1).remove(0), veth(&world, "v1", 1).remove(0));
    let batch = batch_of(&[(&experiment(1, 60), OffloadHeader::NONE), (&experiment(2, 60), OffloadHeader::NONE)]);
    let picks: Vec<u16> = (0..150).map(|index| index % 2).collect();
    assert_eq!(port.send(&batch, &picks).unwrap().taken, 150);
    let seen = experiments(&receive_until(&mut peer, |seen| seen.len() == 150));
    assert_eq!(seen, picks.iter().map(|&pick| pick as u8 + 1).collect::<Vec<_>>());
    assert_eq!(peer.losses().unwrap().overflowed(), 0);
}

#[test]
fn veth_counts_what_the_kernel_dropped_before_it_was_read() {
    const SENT: usize = 20_000;
    let Some(world) = namespace() else { return };
    veth_pair(&world);
    let (mut port, mut peer) = (veth(&world, "v0", 1).remove(0), veth(&world, "v1", 1).remove(0));
    let batch = batch_of(&[(&experiment(1, 60), OffloadHeader::NONE)]);
    for _ in 0..SENT / 100 {
        assert_eq!(port.send(&batch, &[0; 100]).unwrap().taken, 100);
    }
    let received = experiments(&receive_what_comes(&mut peer)).len();
    assert!(received > 5000, "only {received} fit");
    assert_eq!(received as u64 + peer.losses().unwrap().overflowed(), SENT as u64);
    assert!(peer.losses().unwrap().overflowed() > 0);
}

#[test]
fn veth_queues_share_the_flows_and_each_frame_comes_once() {
    let Some(world) = namespace() else { return };
    veth_pair(&world);
    furnish(&world, "v1");
    let mut ports = veth(&world, "v0", 2);
    for flow in 0..64_u8 {
        udp(&world, "10.9.0.1:0").send_to(&[flow], "10.9.0.2:9").unwrap();
    }
    let mut of_flow = HashMap::new();
    for (index, port) in ports.iter_mut().enumerate() {
        for frame in receive_what_comes(port).iter().filter(|frame| frame.ether_type() == 0x0800) {
            assert_eq!(of_flow.insert(*frame.octets.last().unwrap(), index), None, "twice");
        }
    }
    assert_eq!(of_flow.len(), 64);
    assert!(of_flow.values().any(|&index| index == 0) && of_flow.values().any(|&index| index == 1));
    let other_port = veth(&world, "v1", 2);
    assert_eq!(other_port.len(), 2, "a second group has a number of its own");
}

#[test]
fn veth_down_is_no_end_and_deletion_is_told_once() {
    let Some(world) = namespace() else { return };
    veth_pair(&world);
    let (mut port, mut peer) = (veth(&world, "v0", 1).remove(0), veth(&world, "v1", 1).remove(0));
    let (batch, mut into) = (batch_of(&[(&experiment(1, 60), OffloadHeader::NONE)]), frame::Batch::with_capacity(4));
    receive_what_comes(&mut port);
    let watch = Watch::on(&port);
    peer.send(&batch, &[0]).unwrap();
    world.ip("link set v0 down");
    assert!(watch.ready(1000).unwrap().contains(EpollFlags::EPOLLERR));
    assert_eq!(port.recv(&mut into).unwrap_err().kind(), io::ErrorKind::NetworkDown);
    assert_eq!(into.len(), 1, "what had come before comes along");
    assert_eq!(port.recv(&mut into).unwrap(), 0, "told once");
    assert_eq!(port.send(&batch, &[0]).unwrap_err().kind(), io::ErrorKind::NetworkDown);
    world.ip("link set v0 name w0");
    world.ip("link set w0 up");
    world.wait_up("v1");
    peer.send(&batch, &[0]).unwrap();
    assert_eq!(experiments(&receive_until(&mut port, |seen| !experiments(seen).is_empty())), [1], "another name, too");
    receive_what_comes(&mut port);
    watch.ready(0);
    world.ip("link del v1");
    assert_eq!((watch.ready(1000), watch.ready(100)), (Some(EpollFlags::EPOLLERR), None));
    into.clear();
    assert_eq!(errno(port.recv(&mut into)), Some(libc::ENODEV));
    assert_eq!(port.recv(&mut into).unwrap(), 0, "told once");
    assert_eq!(errno(port.send(&batch, &[0])), Some(libc::ENXIO));
}

#[test]
fn veth_that_is_not_there_is_refused() {
    let Some(world) = namespace() else { return };
    let refused = |name: &str, queues| world.inside(|| veth::open(name, queues, true)).err().unwrap();
    assert_eq!(refused("nothing", 1).raw_os_error(), Some(libc::ENODEV));
    assert_eq!(refused("not/a/name", 1).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(refused("lo", 0).kind(), io::ErrorKind::InvalidInput);
    let mut down = veth(&world, "lo", 2);
    assert_eq!(
        down[1].recv(&mut frame::Batch::with_capacity(1)).unwrap_err().kind(),
        io::ErrorKind::NetworkDown,
        "open while it is down"
    );
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Tap,
    Wire,
    Veth,
}

/// A port whose other end is `eth0` in the container.
fn connect(world: &Namespace, container: &Namespace, kind: Kind, name: &str) -> Box<dyn Port> {
    let moved: Box<dyn Port> = match kind {
        Kind::Tap => Box::new(tap(world, name, 1).remove(0)),
        Kind::Wire => Box::new(world.inside(|| wire::open(name, 1)).unwrap().remove(0)),
        Kind::Veth => {
            world.ip(&format!("link add {name}-host type veth peer name {name}"));
            world.ip(&format!("link set {name}-host up"));
            Box::new(veth(world, &format!("{name}-host"), 1).remove(0))
        }
    };
    world.ip(&format!("link set {name} netns {}", container.path()));
    container.ip(&format!("link set {name} name eth0"));
    moved
}

fn stream_between(left: Kind, right: Kind) {
    let Some(world) = namespace() else { return };
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let mut ports = [connect(&world, &here, left, "left"), connect(&world, &there, right, "right")];
    for (container, address) in [(&here, "10.9.0.1"), (&there, "10.9.0.2")] {
        container.ip(&format!("addr add {address}/24 dev eth0"));
        container.ip("link set eth0 up");
    }
    for port in &mut ports {
        // A veth opened before its peer was up, and moved, may have that to say.
        let _ = port.recv(&mut frame::Batch::with_capacity(64));
    }
    let stop = AtomicBool::new(false);
    let longest = thread::scope(|scope| {
        let forwarder = scope.spawn(|| forward(&mut ports, &stop));
        stream(&here, &there, "10.9.0.2", 16 << 20);
        stream(&there, &here, "10.9.0.1", 1 << 20);
        stop.store(true, Ordering::Relaxed);
        forwarder.join().unwrap()
    });
    if left == Kind::Wire {
        assert!(longest <= 1514, "{longest}");
    } else {
        assert!(longest > 10_000, "no super-frames: {longest}");
    }
}

#[test]
fn a_stream_passes_between_two_taps_by_super_frames() {
    stream_between(Kind::Tap, Kind::Tap);
}

#[test]
fn a_stream_passes_between_a_tap_and_a_veth_by_super_frames() {
    stream_between(Kind::Tap, Kind::Veth);
}

#[test]
fn a_stream_passes_between_two_veths_by_super_frames() {
    stream_between(Kind::Veth, Kind::Veth);
}

#[test]
fn a_stream_passes_between_two_wires_by_frames() {
    stream_between(Kind::Wire, Kind::Wire);
}
