//! Is a neighbor cache read and heard as the real kernel keeps it, across namespaces, and without touching it? Everything
//! happens in namespaces that each test makes for itself and that end with it.
//!
//! Needs `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`: root, or `unshare -Urn`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of the tests themselves")]

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use frame::MacAddr;
use lanyard_ports as ports;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ports::link::{Links, VethPair};
use ports::neighbors::{Neighbor, NeighborEvent, NeighborMonitor, NeighborState, neighbors_in};
use ports::netns::Namespace;

const PATIENCE: Duration = Duration::from_secs(6);
const MAC: MacAddr = MacAddr([0x02, 0x42, 0x0a, 0x09, 0, 0x02]);

/// Two hosts on a cable, in namespaces of their own; a third namespace, the switch's, knows both by number.
struct Cable {
    ends: [Namespace; 2],
    nsids: [i32; 2],
    indexes: [u32; 2],
}

fn ip(last: u8) -> IpAddr {
    [10, 9, 0, last].into()
}

fn run(test: impl FnOnce(&Cable) + Send) {
    match Namespace::create() {
        Ok(namespace) => namespace.enter(|| test(&Cable::new())).unwrap(),
        Err(error) => {
            assert!(std::env::var("LANYARD_REQUIRE").as_deref() != Ok("all"), "needs CAP_NET_ADMIN: {error}");
            eprintln!("SKIPPED: needs CAP_NET_ADMIN: {error}");
        }
    }
}

impl Cable {
    fn new() -> Self {
        let here = Links::open().unwrap();
        let ends = [Namespace::create().unwrap(), Namespace::create().unwrap()];
        let inside = Links::in_namespace(&ends[0]).unwrap();
        let pair = VethPair { name: "eth0", peer_name: "eth0", peer_namespace: Some(&ends[1]), ..Default::default() };
        inside.create_veth(&pair).unwrap();
        let there = Links::in_namespace(&ends[1]).unwrap();
        let index = |links: &Links| links.by_name("eth0").unwrap().unwrap().index;
        let indexes = [index(&inside), index(&there)];
        there.set_mac(indexes[1], MAC).unwrap();
        for (links, index, last) in [(&inside, indexes[0], 1), (&there, indexes[1], 2)] {
            links.add_address(index, (ip(last), 24)).unwrap();
            links.set_up(index).unwrap();
        }
        let nsids = [here.nsid_of(&ends[0]).unwrap(), here.nsid_of(&ends[1]).unwrap()];
        Self { ends, nsids, indexes }
    }

    /// Make the first host send something to an address.
    fn say(&self, to: IpAddr) {
        let send = || -> io::Result<usize> { UdpSocket::bind((ip(1), 0))?.send_to(b"?", (to, 9)) };
        self.ends[0].enter(send).unwrap().unwrap();
    }

    /// What the cache of one end says of an address.
    fn knows(&self, end: usize, of: IpAddr) -> Option<Neighbor> {
        neighbors_in(&self.ends[end]).unwrap().into_iter().find(|neighbor| neighbor.ip == of)
    }
}

/// Read until `wanted` comes.
fn hear(monitor: &mut NeighborMonitor, what: &str, wanted: impl Fn(&NeighborEvent) -> bool) -> NeighborEvent {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(event) = monitor.read().unwrap().into_iter().find(&wanted) {
            return event;
        }
        assert!(Instant::now() < deadline, "not heard: {what}");
        poll(&mut [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)], PollTimeout::from(100u8)).unwrap();
    }
}

fn is(event: &NeighborEvent, end: i32, of: IpAddr, state: NeighborState) -> bool {
    matches!(event, NeighborEvent::Changed { nsid, neighbor }
        if *nsid == Some(end) && neighbor.ip == of && neighbor.state == state)
}

#[test]
fn a_resolution_is_seen_at_both_ends() {
    run(|cable| {
        let mut monitor = NeighborMonitor::open().unwrap();
        cable.say(ip(2));
        let event =
            hear(&mut monitor, "the answer", |event| is(event, cable.nsids[0], ip(2), NeighborState::Reachable));
        let NeighborEvent::Changed { neighbor, .. } = event else { panic!("{event:?}") };
        assert_eq!((neighbor.ifindex, neighbor.mac), (cable.indexes[0], Some(MAC)));
        assert!(neighbor.probes > 0, "it was asked: {neighbor:?}");
        let told = cable.knows(1, ip(1)).expect("who asks tells its own address");
        assert!(told.mac.is_some() && told.ifindex == cable.indexes[1], "{told:?}");
        assert_eq!(cable.knows(0, ip(2)).unwrap().state, NeighborState::Reachable);
    });
}

#[test]
fn nobody_there_is_incomplete_and_then_failed() {
    run(|cable| {
        let mut monitor = NeighborMonitor::open().unwrap();
        cable.say(ip(9));
        let asking = cable.knows(0, ip(9)).unwrap();
        assert_eq!((asking.state, asking.mac), (NeighborState::Incomplete, None));
        assert!(asking.probes > 0, "{asking:?}");
        hear(&mut monitor, "the failure", |event| is(event, cable.nsids[0], ip(9), NeighborState::Failed));
    });
}

#[test]
fn a_monitor_keeps_no_namespace_alive_and_owns_up_to_losses() {
    run(|cable| {
        let mut small = NeighborMonitor::with_buffer(4096).unwrap();
        let mut monitor = NeighborMonitor::open().unwrap();
        (10..80).for_each(|last| cable.say(ip(last)));
        // With the interface the entries go, all at once, and that is announced.
        Links::in_namespace(&cable.ends[0]).unwrap().delete(cable.indexes[0]).unwrap();
        hear(&mut monitor, "an entry's end", |event| matches!(event, NeighborEvent::Gone { .. }));
        assert_eq!(small.read().unwrap(), [NeighborEvent::Overflow]);
        assert_eq!(neighbors_in(&cable.ends[0]).unwrap().iter().filter(|n| n.ip.is_ipv4()).count(), 0);
    });
}

/// Reading counts as no use of an entry, and asks nobody: it stays as it is, its probes included.
#[test]
fn reading_changes_nothing() {
    run(|cable| {
        cable.say(ip(2));
        let before = cable.knows(0, ip(2)).unwrap();
        for _ in 0..100 {
            assert_eq!(cable.knows(0, ip(2)), Some(before));
        }
        assert_eq!(cable.knows(0, ip(9)), None, "looking for somebody asks nobody");
    });
}
