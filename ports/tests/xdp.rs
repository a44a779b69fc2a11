//! Does an xdp port do with a real kernel what it says? Every test makes network namespaces of its own and leaves nothing
//! behind. Where that is not allowed it says SKIPPED, and fails under `LANYARD_REQUIRE=all`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of the tests themselves")]

#[path = "io/world.rs"]
#[allow(dead_code, reason = "each test file uses its own part of this")]
mod world;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use frame::{Batch, OffloadHeader};
use lanyard_ports::link::{Links, VethPair};
use lanyard_ports::veth::{self, VethQueue};
use lanyard_ports::xdp::{self, OpenError, XdpQueue};
use lanyard_ports::{Port, Sent, Stop, ethtool};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use world::{Namespace, Seen, Watch, batch_of, forward, namespace, receive_until, receive_what_comes, stream, udp};

/// The station in front of the port, and the one behind it.
const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// IEEE 802, local experimental ether type 1: nothing in a kernel answers it.
const EXPERIMENT: u16 = 0x88b5;
const NONE: OffloadHeader = OffloadHeader::NONE;

fn experiment(number: u8, octets: usize) -> Vec<u8> {
    let mut frame = [&THERE[..], &HERE, &EXPERIMENT.to_be_bytes(), &[number]].concat();
    frame.resize(octets, 0x5a);
    frame
}

/// A veth v0 - v1, both up, v0 an xdp port and v1 read by `AF_PACKET`.
fn pair(world: &Namespace, mtu: u32) -> (XdpQueue, VethQueue) {
    world.ip(&format!("link add v0 mtu {mtu} type veth peer name v1 mtu {mtu}"));
    let port = world.inside(|| xdp::open("v0", mtu, 1)).unwrap().remove(0);
    world.ip("link set v0 up");
    world.ip("link set v1 up");
    world.wait_up("v0");
    let mut peer = world.inside(|| veth::open("v1", 1, true)).unwrap().remove(0);
    receive_what_comes(&mut peer);
    (port, peer)
}

fn octets(seen: Vec<Seen>) -> Vec<Vec<u8>> {
    seen.into_iter().map(|seen| seen.octets).collect()
}

fn send_one(port: &mut dyn Port, frame: &[u8]) -> io::Result<Sent> {
    port.send(&batch_of(&[(frame, NONE)]), &[0])
}

const TAKEN: Sent = Sent { taken: 1, stopped: None };

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

#[test]
fn frames_of_all_lengths_pass_both_ways() {
    let Some(world) = namespace() else { return };
    let (mut port, mut peer) = pair(&world, xdp::MAX_MTU);
    assert_eq!((port.name(), port.takes_offload()), ("v0", false));
    let longest = xdp::MAX_MTU as usize + 14;
    let frames: Vec<Vec<u8>> = [14, 15, 59, 60, 61, 1514, 1792, 1793, 2048, 3000, longest - 1, longest]
        .iter()
        .map(|octets| experiment(*octets as u8, *octets))
        .collect();
    let batch = batch_of(&frames.iter().map(|frame| (&frame[..], NONE)).collect::<Vec<_>>());
    let picks: Vec<u16> = (0..frames.len() as u16).collect();
    assert_eq!(port.send(&batch, &picks).unwrap(), Sent { taken: frames.len(), stopped: None });
    assert_eq!(octets(receive_until(&mut peer, |seen| seen.len() == frames.len())), frames);
    assert_eq!(peer.send(&batch, &picks).unwrap().taken, frames.len());
    let seen = receive_until(&mut port, |seen| seen.len() == frames.len());
    assert!(seen.iter().all(|frame| frame.offload.is_finished()));
    assert_eq!(octets(seen), frames);
    assert!(receive_what_comes(&mut port).is_empty(), "it does not hear itself");
}

#[test]
fn tags_pass_as_they_are_and_may_exceed_the_mtu() {
    let Some(world) = namespace() else { return };
    let (mut port, mut peer) = pair(&world, 1500);
    for tags in [&[0x81, 0, 0x20, 5][..], &[0x88, 0xa8, 0, 7], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 5]] {
        for length in [60, 1518] {
            let mut frame = [&THERE[..], &HERE, tags, &EXPERIMENT.to_be_bytes()].concat();
            frame.resize(length, 0xa5);
            assert_eq!(send_one(&mut port, &frame).unwrap(), TAKEN);
            assert_eq!(octets(receive_until(&mut peer, |seen| !seen.is_empty())), [&frame[..]]);
            if length == 60 || tags[0] == 0x81 {
                assert_eq!(send_one(&mut peer, &frame).unwrap(), TAKEN);
                assert_eq!(octets(receive_until(&mut port, |seen| !seen.is_empty())), [&frame[..]]);
            }
        }
    }
}

/// bpf(2); the descriptor it answers with.
fn bpf(command: libc::c_int, attributes: &[u32]) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many octets as it is told, all of `attributes`; what those point at lives in the caller.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it, for this caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Let the stack put a tag, 5, beside every frame that leaves a link, as a VLAN interface on it would do, while the answer
/// is kept: `bpf_skb_vlan_push(skb, ether_type, 5); return TCX_NEXT;`
fn tag_beside(link: &str, ether_type: u16) -> io::Result<OwnedFd> {
    let halves = |pointer: *const u8| [pointer as u64 as u32, (pointer as u64 >> 32) as u32];
    let push: [u32; 10] = [0x02b7, u32::from(ether_type.to_be()), 0x03b7, 5, 0x85, 18, 0xb7, u32::MAX, 0x95, 0];
    let ([code, code_high], [license, license_high]) = (halves(push.as_ptr().cast()), halves(c"GPL".as_ptr().cast()));
    let (load, classifier, attach, tcx_egress) = (5, 3, 28, 47);
    let program = bpf(load, &[classifier, 5, code, code_high, license, license_high, 0, 0, 0, 0])?;
    let index = Links::open()?.by_name(link).unwrap().unwrap().index;
    bpf(attach, &[program.as_raw_fd().cast_unsigned(), index, tcx_egress, 0, 0, 0, 0, 0])
}

#[test]
fn tags_that_the_stack_puts_on_lie_in_the_frame() {
    let Some(world) = namespace() else { return };
    let (mut port, mut peer) = pair(&world, 1500);
    let frame = experiment(1, 60);
    for ether_type in [0x8100_u16, 0x88a8] {
        let _tagging = match world.inside(|| tag_beside("v1", ether_type)) {
            Ok(tagging) if cfg!(target_endian = "little") => tagging,
            _ => return println!("SKIPPED: this kernel takes no tcx programs (Linux 6.6)"),
        };
        world.inside(|| ethtool::tags_in_frames("v1")).unwrap();
        send_one(&mut peer, &frame).unwrap();
        let mut tagged = frame.clone();
        tagged.splice(12..12, [ether_type.to_be_bytes(), [0, 5]].concat());
        assert_eq!(octets(receive_until(&mut port, |seen| !seen.is_empty())), [&tagged[..]]);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_and_the_rest_goes_on() {
    let Some(world) = namespace() else { return };
    let (mut port, mut peer) = pair(&world, 1500);
    let lengths = [60, 0, 13, 1518, 1519, 4097, 14, 65_000, 61];
    let frames = lengths.map(|length| experiment(7, length));
    let batch = batch_of(&frames.each_ref().map(|frame| (&frame[..frame.len()], NONE)));
    let mut refused = Vec::new();
    let picks: Vec<u16> = (0..frames.len() as u16).collect();
    // `experiment` is at least its header long.
    let expected: Vec<usize> = (0..frames.len()).filter(|i| !(14..=1518).contains(&frames[*i].len())).collect();
    port.send_all(&batch, &picks, &mut |place, stop| {
        assert_eq!(stop, Stop::Refused);
        refused.push(place);
    })
    .unwrap();
    assert_eq!(refused, expected);
    assert_eq!(port.losses().unwrap().refused(), expected.len() as u64);
    let arrived: Vec<usize> = receive_what_comes(&mut peer).iter().map(|seen| seen.octets.len()).collect();
    assert_eq!(arrived, [60, 1518, 14, 61]);
}

#[test]
fn bursts_longer_than_the_rings_keep_their_order() {
    const FRAMES: usize = 3000;
    let Some(world) = namespace() else { return };
    let (mut port, mut peer) = pair(&world, 1500);
    let numbered = |number: usize| {
        let mut frame = experiment(0, 64);
        frame[16..18].copy_from_slice(&(number as u16).to_be_bytes());
        frame
    };
    let number = |seen: &Seen| usize::from(u16::from_be_bytes([seen.octets[16], seen.octets[17]]));
    let in_order = |seen: &[Seen]| seen.iter().map(number).eq(0..FRAMES);
    let frames: Vec<Vec<u8>> = (0..FRAMES).map(numbered).collect();
    let batch = batch_of(&frames.iter().map(|frame| (&frame[..], NONE)).collect::<Vec<_>>());
    let picks: Vec<u16> = (0..FRAMES as u16).collect();
    assert_eq!(port.send(&batch, &picks).unwrap(), Sent { taken: FRAMES, stopped: None });
    assert!(in_order(&receive_until(&mut peer, |seen| seen.len() == FRAMES)));
    // The other way round the ring holds 2048, so it is read meanwhile.
    let mut seen = Vec::new();
    for picks in picks.chunks(300) {
        assert_eq!(peer.send(&batch, picks).unwrap().taken, picks.len());
        seen.extend(receive_until(&mut port, |seen| seen.len() == picks.len()));
    }
    assert!(in_order(&seen));
    assert_eq!(port.losses().unwrap().overflowed(), 0);
}

#[test]
fn what_the_kernel_drops_before_it_is_read_is_counted() {
    const SENT: usize = 5000;
    let Some(world) = namespace() else { return };
    let (mut port, mut peer) = pair(&world, 1500);
    let batch = batch_of(&[(&experiment(1, 60), NONE)]);
    for _ in 0..SENT / 100 {
        assert_eq!(peer.send(&batch, &[0; 100]).unwrap().taken, 100);
    }
    let received = receive_what_comes(&mut port).len();
    assert_eq!(received, 2048, "as many as the ring holds");
    let losses = port.losses().unwrap();
    assert_eq!(losses.overflowed(), (SENT - received) as u64);
    assert_eq!(losses.truncated(), 0);
    assert_eq!(receive_what_comes(&mut port).len(), 0);
    assert_eq!(losses.overflowed(), (SENT - received) as u64, "counted once");
}

#[test]
fn down_is_no_end_and_deletion_is_told_once() {
    let Some(world) = namespace() else { return };
    let (mut port, mut peer) = pair(&world, 1500);
    let (frame, mut into) = (experiment(1, 60), Batch::with_capacity(4));
    send_one(&mut peer, &frame).unwrap();
    world.ip("link set v1 down");
    assert_eq!(send_one(&mut port, &frame).unwrap(), TAKEN, "and lost");
    world.ip("link set v0 down");
    assert_eq!(port.recv(&mut into).unwrap(), 1, "what had come before");
    for _ in 0..3 {
        assert_eq!(send_one(&mut port, &frame).unwrap_err().kind(), io::ErrorKind::NetworkDown);
        assert_eq!(port.recv(&mut into).unwrap(), 0);
    }
    world.ip("link set v0 name w0");
    world.ip("link set w0 up");
    world.ip("link set v1 up");
    world.wait_up("w0");
    assert!(peer.recv(&mut into).is_err(), "it was down");
    receive_what_comes(&mut peer);
    let watch = Watch::on(&port);
    watch.ready(0);
    send_one(&mut peer, &frame).unwrap();
    assert_eq!(watch.ready(1000), Some(EpollFlags::EPOLLIN), "another name, too");
    assert_eq!(octets(receive_until(&mut port, |seen| !seen.is_empty())), [&frame[..]]);
    assert_eq!(send_one(&mut port, &frame).unwrap(), TAKEN);
    let stale = receive_what_comes(&mut peer).len() - 1;
    assert!(stale <= 1, "{stale} frames of before");
    world.ip("link del v1");
    into.clear();
    assert_eq!(errno(port.recv(&mut into)), Some(libc::ENODEV));
    assert_eq!(port.recv(&mut into).unwrap(), 0, "told once");
    assert_eq!(errno(send_one(&mut port, &frame)), Some(libc::ENXIO));
}

#[test]
fn a_wake_up_comes_at_every_arrival_after_a_drained_ring() {
    const FRAMES: usize = 20_000;
    let Some(world) = namespace() else { return };
    let (mut port, mut peer) = pair(&world, 1500);
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    let edges = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    epoll.add(port.fd().unwrap(), EpollEvent::new(edges, 0)).unwrap();
    let sender = thread::spawn(move || {
        let batch = batch_of(&[(&experiment(1, 60), NONE)]);
        for burst in 0..FRAMES / 10 {
            let size = 1 + burst % 19; // ten on average
            assert_eq!(peer.send(&batch, &vec![0; size]).unwrap().taken, size);
            if burst.is_multiple_of(7) {
                thread::sleep(Duration::from_micros(50));
            }
        }
    });
    let sent: usize = (0..FRAMES / 10).map(|burst| 1 + burst % 19).sum();
    let (mut batch, mut seen, losses) = (Batch::with_capacity(64), 0, port.losses().unwrap());
    while seen + (losses.overflowed() as usize) < sent {
        let woken = epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::from(5000_u16)).unwrap();
        assert_eq!(woken, 1, "asleep with {} frames to come", sent - seen);
        loop {
            batch.clear();
            let received = port.recv(&mut batch).unwrap();
            seen += received;
            // Own sends are no arrivals.
            if received > 0 {
                port.send(&batch, &[0]).unwrap();
            }
            if received < batch.capacity() {
                break;
            }
        }
    }
    sender.join().unwrap();
    while epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::from(50_u16)).unwrap() > 0 {
        assert_eq!(port.recv(&mut batch).unwrap(), 0, "nothing but late wake-ups");
    }
}

#[test]
fn several_queues_send_and_each_frame_comes_once() {
    let Some(world) = namespace() else { return };
    let container = Namespace::new().unwrap();
    let receiving: Vec<usize> = ["v0", "v1"]
        .into_iter()
        .map(|name| {
            world.ip(&format!("link add {name} type veth peer name {name} netns {}", container.path()));
            world.inside(|| ethtool::set_queues(name, 2)).unwrap();
            let mut ports = world.inside(|| xdp::open(name, 1500, 2)).unwrap();
            world.ip(&format!("link set {name} up"));
            container.ip(&format!("link set {name} up"));
            world.wait_up(name);
            let mut peer = container.inside(|| veth::open(name, 1, true)).unwrap().remove(0);
            receive_what_comes(&mut peer);
            for (number, port) in (0..).zip(&mut ports) {
                assert_eq!(send_one(port, &experiment(number, 60)).unwrap(), TAKEN);
            }
            let mut numbers: Vec<u8> =
                receive_until(&mut peer, |seen| seen.len() == 2).iter().map(|seen| seen.octets[14]).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1]);
            let batch = batch_of(&[(&experiment(9, 60), NONE)]);
            assert_eq!(peer.send(&batch, &[0; 100]).unwrap().taken, 100);
            let seen: Vec<usize> = ports.iter_mut().map(|port| receive_what_comes(port).len()).collect();
            assert_eq!(seen.iter().sum::<usize>(), 100, "{seen:?}");
            seen.iter().position(|count| *count == 100).unwrap()
        })
        .collect();
    assert_eq!(receiving, [0, 0], "the first receives");
}

#[test]
fn what_it_cannot_be_opened_on_is_refused() {
    let Some(world) = namespace() else { return };
    world.ip("link add v0 type veth peer name v1");
    let refused = |name: &str, mtu, queues| match world.inside(|| xdp::open(name, mtu, queues)).err().unwrap() {
        OpenError::Settings(error) => ("settings", error.raw_os_error()),
        OpenError::Socket(error) => ("socket", error.raw_os_error()),
        OpenError::Program(error) => ("program", error.raw_os_error()),
        OpenError::Attach(error) => ("attach", error.raw_os_error()),
    };
    assert_eq!(refused("v0", 1500, 0), ("settings", None));
    assert_eq!(refused("v0", xdp::MAX_MTU + 1, 1), ("settings", None));
    assert_eq!(refused("nothing", 1500, 1), ("settings", Some(libc::ENODEV)));
    assert_eq!(refused("v0", 1500, 2), ("socket", Some(libc::EINVAL)), "a queue that the link has not");
    let open = world.inside(|| xdp::open("v0", 1500, 1)).unwrap();
    assert_eq!(refused("v0", 1500, 1), ("socket", Some(libc::EBUSY)));
    drop(open);
    for _ in 0..5 {
        drop(world.inside(|| xdp::open("v0", 1500, 1)).unwrap());
    }
}

#[test]
fn queues_of_a_veth_are_set_within_what_it_was_made_with() {
    let Some(world) = namespace() else { return };
    let links = world.inside(Links::open).unwrap();
    let pair = VethPair { name: "v0", peer_name: "v1", ..Default::default() };
    links.create_veth_with_queues(&pair, 5).unwrap();
    assert_eq!(world.inside(|| ethtool::queues("v0")).unwrap(), (5, 5));
    for queues in [2, 2, 5, 1] {
        world.inside(|| ethtool::set_queues("v0", queues)).unwrap();
        assert_eq!(world.inside(|| ethtool::queues("v0")).unwrap(), (queues as u32, queues as u32));
    }
    let error = world.inside(|| ethtool::set_queues("v0", 6)).unwrap_err();
    assert!(error.to_string().contains("'v0'") && error.to_string().contains("6 queues"), "{error}");
    assert_eq!(world.inside(|| ethtool::queues("v1")).unwrap(), (1, 1), "and the peer has one");
}

/// Two containers, their ends in wire mode, and a forwarder between the host ends.
#[test]
fn streams_and_datagrams_pass_between_two() {
    let Some(world) = namespace() else { return };
    let ends = [("left", "10.9.0.1"), ("right", "10.9.0.2")].map(|(name, address)| {
        let container = Namespace::new().unwrap();
        world.ip(&format!("link add {name} type veth peer name eth0 netns {}", container.path()));
        container.inside(|| ethtool::offloads_off("eth0")).unwrap();
        container.inside(|| ethtool::tags_in_frames("eth0")).unwrap();
        let port = world.inside(|| xdp::open(name, 1500, 1)).unwrap().remove(0);
        world.ip(&format!("link set {name} up"));
        container.ip(&format!("addr add {address}/24 dev eth0"));
        container.ip("link set eth0 up");
        world.wait_up(name);
        (container, Box::new(port) as Box<dyn Port>)
    });
    let [(here, left), (there, right)] = ends;
    let (mut ports, stop) = ([left, right], AtomicBool::new(false));
    let longest = thread::scope(|scope| {
        let forwarder = scope.spawn(|| forward(&mut ports, &stop));
        stream(&here, &there, "10.9.0.2", 16 << 20);
        stream(&there, &here, "10.9.0.1", 1 << 20);
        let (from, to) = (udp(&here, "10.9.0.1:0"), udp(&there, "10.9.0.2:7777"));
        let mut buffer = [0; 10_000];
        for size in [0, 1, 1472, 1473, 9000] {
            from.send_to(&vec![7; size], "10.9.0.2:7777").unwrap();
            assert_eq!(to.recv(&mut buffer).unwrap(), size, "its checksum was right");
        }
        stop.store(true, Ordering::Relaxed);
        forwarder.join().unwrap()
    });
    assert_eq!(longest, 1514);
}
