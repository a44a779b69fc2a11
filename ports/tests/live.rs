//! Do XDP live frames come out at the other end, each as it was, and no other? And is an interface refused that would swallow
//! them? Every test makes network namespaces of its own and leaves nothing behind. Where that is not allowed it says SKIPPED,
//! and fails under `LANYARD_REQUIRE=all`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of the tests themselves")]

#[path = "io/world.rs"]
#[allow(dead_code, reason = "each test file uses its own part of this")]
mod world;

use std::io;
use std::time::{Duration, Instant};

use frame::{Batch, OffloadHeader};
use lanyard_ports::link::Links;
use lanyard_ports::live::{self, LiveQueue, MAX_FRAME_OCTETS, OpenError};
use lanyard_ports::veth::{self, VethQueue};
use lanyard_ports::{Port, Sent, Stop, ethtool, tap};
use world::{Namespace, Seen, batch_of, namespace, receive_until, receive_what_comes};

const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];
const NONE: OffloadHeader = OffloadHeader::NONE;

/// A frame of a type that nothing in a kernel answers (IEEE 802, local experiments).
fn numbered(number: u32, octets: usize) -> Vec<u8> {
    let mut frame = [&THERE[..], &HERE, &[0x88, 0xb5], &number.to_be_bytes()].concat();
    frame.resize(octets.max(18), number as u8);
    frame.truncate(octets);
    frame
}

fn number(seen: &Seen) -> u32 {
    u32::from_be_bytes(*seen.octets[14..].first_chunk().unwrap())
}

fn index(name: &str) -> u32 {
    Links::open().unwrap().by_name(name).unwrap().unwrap().index
}

fn open(world: &Namespace, name: &str, longest: u32) -> Result<LiveQueue, OpenError> {
    world.inside(|| live::open_index(name, index(name), longest))
}

/// A veth v0 - v1, both up; v1 polls.
fn pair(world: &Namespace, mtu: u32) {
    world.ip(&format!("link add v0 mtu {mtu} type veth peer name v1 mtu {mtu}"));
    world.inside(|| ethtool::set_receive_offload("v1", true)).unwrap();
    world.ip("link set v0 up");
    world.ip("link set v1 up");
    world.wait_up("v0");
}

fn reader(world: &Namespace, name: &str) -> VethQueue {
    let mut reader = world.inside(|| veth::open(name, 1, true)).unwrap().remove(0);
    receive_what_comes(&mut reader);
    reader
}

fn picks(count: usize) -> Vec<u16> {
    (0..count as u16).collect()
}

/// Send all, waiting where there is no room; every frame has to be taken.
fn send(port: &mut LiveQueue, batch: &Batch) {
    let (picks, start) = (picks(batch.len()), Instant::now());
    let mut left = &picks[..];
    while !left.is_empty() {
        let sent = port.send(batch, left).unwrap();
        assert_ne!(sent.stopped, Some(Stop::Refused), "{sent:?}");
        left = &left[sent.taken..];
        assert!(start.elapsed() < Duration::from_secs(5), "{} are not taken", left.len());
    }
}

fn octets(seen: Vec<Seen>) -> Vec<Vec<u8>> {
    seen.into_iter().map(|seen| seen.octets).collect()
}

#[test]
fn frames_of_all_lengths_arrive_as_they_were() {
    let Some(world) = namespace() else { return };
    pair(&world, MAX_FRAME_OCTETS - 18);
    let (mut port, mut peer) = (open(&world, "v0", MAX_FRAME_OCTETS).unwrap(), reader(&world, "v1"));
    assert_eq!((port.name(), port.takes_offload(), port.fd().is_none()), ("v0", false, true));
    let longest = MAX_FRAME_OCTETS as usize;
    // A page is used again for another frame, longer or shorter.
    let lengths = [longest, 18, 1514, 60, 61, 64, 2048, longest - 1, 1024, 19, 100];
    for round in 0..30 {
        let frames: Vec<Vec<u8>> =
            (0..64).map(|at| numbered(at, lengths[(at as usize + round) % lengths.len()])).collect();
        let batch = batch_of(&frames.iter().map(|frame| (&frame[..], NONE)).collect::<Vec<_>>());
        send(&mut port, &batch);
        let seen = receive_until(&mut peer, |seen| seen.len() == frames.len());
        assert!(octets(seen) == frames, "round {round}");
    }
    let mut nothing = Batch::with_capacity(1);
    assert_eq!(port.recv(&mut nothing).unwrap(), 0);
    assert_eq!(port.losses().unwrap().overflowed(), 0);
}

#[test]
fn tags_pass_and_the_longest_frames_with_them() {
    let Some(world) = namespace() else { return };
    pair(&world, 1500);
    let (mut port, mut peer) = (open(&world, "v0", 1518).unwrap(), reader(&world, "v1"));
    for tag in [[0x81, 0, 0x20, 5], [0x88, 0xa8, 0, 7]] {
        for length in [64, 1518] {
            let mut frame = numbered(1, length - 4);
            frame.splice(12..12, tag);
            send(&mut port, &batch_of(&[(&frame, NONE)]));
            assert_eq!(octets(receive_until(&mut peer, |seen| !seen.is_empty())), [frame]);
        }
    }
}

#[test]
fn all_frames_arrive_once_and_in_order_however_fast() {
    const FRAMES: u32 = 50_000;
    let Some(world) = namespace() else { return };
    pair(&world, 1500);
    let (mut port, mut peer) = (open(&world, "v0", 60).unwrap(), reader(&world, "v1"));
    let (mut batch, mut next) = (Batch::with_capacity(200), 0);
    for start in (0..FRAMES).step_by(200) {
        batch.clear();
        (start..start + 200).for_each(|number| batch.push().unwrap().fill(&numbered(number, 60), NONE));
        send(&mut port, &batch);
        // Its buffer holds fewer than all.
        for seen in receive_until(&mut peer, |seen| seen.len() == 200) {
            assert_eq!(number(&seen), next);
            next += 1;
        }
    }
    assert!(receive_what_comes(&mut peer).is_empty());
}

/// Nobody reads, so that nothing keeps the sender from sending: the other end has counted what was taken.
#[test]
fn what_is_taken_is_what_the_other_end_counts() {
    let Some(world) = namespace() else { return };
    pair(&world, 1500);
    let mut port = open(&world, "v0", 1514).unwrap();
    let frames: Vec<Vec<u8>> = (0..256).map(|at| numbered(at, [60, 1514, 594][at as usize % 3])).collect();
    let batch = batch_of(&frames.iter().map(|frame| (&frame[..], NONE)).collect::<Vec<_>>());
    let (start, mut taken) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(1) {
        taken += port.send(&batch, &picks(batch.len())).unwrap().taken as u64;
    }
    assert!(taken > 10_000, "{taken} in a second");
    let text = std::fs::read_to_string;
    let counted = || {
        let counted = world.inside(|| text("/proc/thread-self/net/dev")).unwrap();
        let line = counted.lines().find(|line| line.trim().starts_with("v1:")).unwrap();
        line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap()
    };
    let start = Instant::now();
    while counted() < taken {
        assert!(start.elapsed() < Duration::from_secs(2), "{} of {taken}", counted());
    }
    assert_eq!((counted(), port.losses().unwrap().overflowed()), (taken, 0));
}

#[test]
fn it_sends_from_any_namespace() {
    let Some(world) = namespace() else { return };
    let elsewhere = Namespace::new().unwrap();
    pair(&world, 1500);
    let (mut port, mut peer) = (open(&world, "v0", 60).unwrap(), reader(&world, "v1"));
    elsewhere.inside(|| send(&mut port, &batch_of(&[(&numbered(7, 60), NONE)])));
    assert_eq!(octets(receive_until(&mut peer, |seen| !seen.is_empty())), [numbered(7, 60)]);
}

#[test]
fn frames_sent_by_a_tap_are_read_from_it() {
    let Some(world) = namespace() else { return };
    let mut reader = world.inside(|| tap::create("t0", 1)).unwrap().remove(0);
    world.ip("link set t0 up");
    let mut port = open(&world, "t0", 1514).unwrap();
    let frames: Vec<Vec<u8>> = (0..200).map(|at| numbered(at, [60, 1514, 594][at as usize % 3])).collect();
    let batch = batch_of(&frames.iter().map(|frame| (&frame[..], NONE)).collect::<Vec<_>>());
    for _ in 0..5 {
        send(&mut port, &batch);
        let seen = receive_until(&mut reader, |seen| seen.len() == frames.len());
        assert!(seen.iter().all(|seen| seen.offload.is_finished()));
        assert!(octets(seen) == frames);
    }
    // Nobody reads: it waits, and nothing is lost.
    let picks = picks(batch.len());
    assert_eq!(port.send(&batch, &picks).unwrap(), Sent { taken: 200, stopped: None });
    assert_eq!(port.send(&batch, &picks).unwrap(), Sent { taken: 56, stopped: Some(Stop::Full) });
    assert_eq!(port.send(&batch, &picks).unwrap(), Sent { taken: 0, stopped: Some(Stop::Full) });
    assert_eq!(receive_until(&mut reader, |seen| seen.len() == 256).len(), 256);
    assert_eq!(port.send(&batch, &picks).unwrap().taken, 200);
    assert_eq!(port.losses().unwrap().overflowed(), 0);
}

#[test]
fn what_cannot_be_sent_is_refused_and_the_rest_goes_on() {
    let Some(world) = namespace() else { return };
    pair(&world, 1500);
    let (mut port, mut peer) = (open(&world, "v0", 2000).unwrap(), reader(&world, "v1"));
    let lengths = [60, 0, 13, 1518, 1519, 4097, 18, 65_000, 61];
    let frames = lengths.map(|length| numbered(7, length));
    let batch = batch_of(&frames.each_ref().map(|frame| (&frame[..], NONE)));
    let mut refused = Vec::new();
    port.send_all(&batch, &picks(lengths.len()), &mut |place, stop| refused.push((lengths[place], stop))).unwrap();
    assert_eq!(refused, [0, 13, 1519, 4097, 65_000].map(|length| (length, Stop::Refused)));
    assert_eq!(port.losses().unwrap().refused(), 5);
    let arrived: Vec<usize> = receive_what_comes(&mut peer).iter().map(|seen| seen.octets.len()).collect();
    assert_eq!(arrived, [60, 1518, 18, 61]);
}

#[test]
fn what_the_interface_drops_is_counted() {
    let Some(world) = namespace() else { return };
    pair(&world, 1500);
    world.ip("link set v1 mtu 1000");
    let (mut port, mut peer) = (open(&world, "v0", 1514).unwrap(), reader(&world, "v1"));
    send(&mut port, &batch_of(&[(&numbered(1, 1514), NONE)]));
    let start = Instant::now();
    // A veth drops what comes right behind such a frame along with it.
    while port.losses().unwrap().overflowed() < 1 {
        port.recv(&mut Batch::with_capacity(1)).unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "not counted");
    }
    send(&mut port, &batch_of(&[(&numbered(2, 60), NONE)]));
    assert_eq!(receive_what_comes(&mut peer).iter().map(number).collect::<Vec<_>>(), [2]);
    port.recv(&mut Batch::with_capacity(1)).unwrap();
    assert_eq!(port.losses().unwrap().overflowed(), 1);
}

/// What it says from then on, when frames are sent until it says something.
fn fate(port: &mut LiveQueue) -> io::Error {
    let (batch, start) = (batch_of(&[(&numbered(1, 60), NONE)]), Instant::now());
    loop {
        if let Err(error) = port.send(&batch, &[0; 64]) {
            return error;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "it never says so");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn down_comes_up_again_and_gone_is_gone() {
    let Some(world) = namespace() else { return };
    pair(&world, 1500);
    let (mut port, mut peer) = (open(&world, "v0", 60).unwrap(), reader(&world, "v1"));
    for link in ["v0", "v1"] {
        world.ip(&format!("link set {link} down"));
        assert_eq!(fate(&mut port).kind(), io::ErrorKind::NetworkDown, "{link}");
        world.ip(&format!("link set {link} up"));
        world.wait_up("v0");
        let _ = peer.recv(&mut Batch::with_capacity(4)); // it was down
        receive_what_comes(&mut peer);
        send(&mut port, &batch_of(&[(&numbered(9, 60), NONE)]));
        assert_eq!(receive_until(&mut peer, |seen| !seen.is_empty()).iter().map(number).collect::<Vec<_>>(), [9]);
    }
    world.inside(|| ethtool::set_receive_offload("v1", false)).unwrap();
    let error = fate(&mut port);
    assert!(error.to_string().contains("gro on"), "{error}");
    world.inside(|| ethtool::set_receive_offload("v1", true)).unwrap();
    send(&mut port, &batch_of(&[(&numbered(10, 60), NONE)]));
    assert_eq!(receive_until(&mut peer, |seen| !seen.is_empty()).iter().map(number).collect::<Vec<_>>(), [10]);
    world.ip("link del v0");
    assert_eq!(fate(&mut port).raw_os_error(), Some(libc::ENODEV));
}

#[test]
fn what_would_swallow_frames_is_refused() {
    let Some(world) = namespace() else { return };
    world.ip("link add v0 type veth peer name v1");
    world.ip("link set v0 up");
    let refused = |name, longest| open(&world, name, longest).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused("v0", 60).contains("'v0' has no carrier"), "{}", refused("v0", 60));
    world.ip("link set v1 up");
    world.wait_up("v0");
    assert!(refused("v0", 60).contains("ethtool -K INTERFACE gro on"), "{}", refused("v0", 60));
    world.ip("link add b0 type bridge");
    for name in ["lo", "b0"] {
        world.ip(&format!("link set {name} up"));
        assert!(refused(name, 60).contains("only veth and TAP"), "{}", refused(name, 60));
    }
    assert!(refused("v0", MAX_FRAME_OCTETS + 1).contains("3408 octets"));
    assert!(matches!(world.inside(|| live::open_index("v7", 77, 60)), Err(OpenError::Gone(_))));
    let tap = world.inside(|| tap::create("t0", 1)).unwrap();
    world.ip("link set t0 up");
    assert_eq!(refused("t0", 60), "");
    drop(tap);
}

/// Whoever ends, however, takes everything along: the program hangs by descriptors alone.
#[test]
fn nothing_is_left_behind() {
    let Some(world) = namespace() else { return };
    pair(&world, 1500);
    for _ in 0..3 {
        let mut port = open(&world, "v0", 60).unwrap();
        send(&mut port, &batch_of(&[(&numbered(1, 60), NONE)]));
    }
    world.ip("link del v0");
    assert!(world.try_ip("link add v0 type veth peer name v1"), "the interface is not held");
}
