//! Do links, addresses, namespaces and the news of them work against the real kernel? Everything happens in namespaces
//! that each test makes for itself and that end with it: no name, no mount, no interface is left.
//!
//! Needs `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`: root, or `unshare -Urn`. TAPs need `/dev/net/tun` as well.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of the tests themselves")]

use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use frame::MacAddr;
use lanyard_ports as ports;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use ports::ethtool;
use ports::link::{Link, Links, OperState, VethPair};
use ports::monitor::{LinkEvent, Monitor, MovedTo};
use ports::netns::{self, Namespace, NamespaceRef};

const PATIENCE: Duration = Duration::from_secs(5);
const MAC: MacAddr = MacAddr([0x02, 0x42, 0x0a, 0x09, 0, 0x02]);

/// What a test did not try, said loudly; a failure where everything is required.
fn skipped(what: &str, error: &io::Error) {
    assert!(std::env::var("LANYARD_REQUIRE").as_deref() != Ok("all"), "{what}: {error}");
    eprintln!("SKIPPED: {what}: {error}");
}

/// Run a test in a namespace of its own, as the daemon would run in its own.
fn in_a_new_namespace(test: impl FnOnce(&Links) + Send) {
    match Namespace::create() {
        Ok(namespace) => namespace.enter(|| test(&Links::open().unwrap())).unwrap(),
        Err(error) => skipped("needs CAP_NET_ADMIN", &error),
    }
}

/// A TAP in the calling thread's namespace.
fn tap(name: &str) -> Option<tun_tap::Iface> {
    let opened = tun_tap::Iface::without_packet_info(name, tun_tap::Mode::Tap);
    opened.inspect_err(|error| skipped("needs /dev/net/tun", error)).ok()
}

fn veth(links: &Links, name: &str, there: &Namespace) -> (Link, Links, Link) {
    let pair = VethPair { name, peer_name: "eth0", peer_namespace: Some(there), ..Default::default() };
    let host = links.create_veth(&pair).unwrap();
    let inside = Links::in_namespace(there).unwrap();
    let peer = get(&inside, "eth0");
    (host, inside, peer)
}

fn get(links: &Links, name: &str) -> Link {
    links.by_name(name).unwrap().unwrap_or_else(|| panic!("no '{name}'"))
}

/// What `ip -d link show` says, which reads what [`Link`] does not keep.
fn shown_by_ip(name: &str) -> String {
    let output = Command::new("ip").args(["-d", "link", "show", "dev", name]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A child that ends with the test.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn readable(fd: &impl AsFd, patience: Duration) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::try_from(patience).unwrap()).unwrap() == 1
}

/// Read the monitor until `wanted` has been heard; everything heard up to then.
fn until(monitor: &mut Monitor, what: &str, wanted: impl Fn(&LinkEvent) -> bool) -> Vec<LinkEvent> {
    let begin = Instant::now();
    let mut heard = Vec::new();
    while begin.elapsed() < PATIENCE {
        readable(monitor, Duration::from_millis(100));
        heard.extend(monitor.read().unwrap());
        if heard.iter().any(&wanted) {
            return heard;
        }
    }
    panic!("{what}: not heard within {PATIENCE:?}, but: {heard:#?}");
}

/// Is it news of that link, up or not, running or not?
fn is_link(nsid: Option<i32>, name: &str, up: bool, running: bool) -> impl Fn(&LinkEvent) -> bool {
    move |event| {
        matches!(event, LinkEvent::Changed { nsid: n, name: m, up: u, running: r, .. }
            if (*n, m.as_str(), *u, *r) == (nsid, name, up, running))
    }
}

fn is_gone(nsid: Option<i32>, name: &str) -> impl Fn(&LinkEvent) -> bool {
    move |event| matches!(event, LinkEvent::Gone { nsid: n, name: m, .. } if (*n, m.as_str()) == (nsid, name))
}

fn is_end_of(nsid: i32) -> impl Fn(&LinkEvent) -> bool {
    move |event| *event == LinkEvent::NamespaceGone { nsid }
}

#[test]
fn a_veth_is_made_where_its_ends_are_to_be() {
    in_a_new_namespace(|links| {
        let there = Namespace::create().unwrap();
        let pair = VethPair {
            name: "v0",
            peer_name: "eth0",
            peer_namespace: Some(&there),
            peer_mac: Some(MAC),
            mtu: Some(1400),
            peer_mtu: Some(1300),
        };
        let host = links.create_veth(&pair).unwrap();
        let inside = Links::in_namespace(&there).unwrap();
        let peer = get(&inside, "eth0");
        assert_eq!((host.name.as_str(), host.kind.as_deref(), host.mtu, host.up), ("v0", Some("veth"), 1400, false));
        assert_eq!((peer.mac, peer.mtu, peer.up, peer.carrier), (Some(MAC), 1300, false, false));
        assert_eq!((host.peer_index, peer.peer_index), (Some(peer.index), Some(host.index)));
        assert_eq!(host.peer_nsid, Some(links.nsid_of(&there).unwrap()), "the making has given it a number");
        let names: Vec<String> = links.list().unwrap().into_iter().map(|link| link.name).collect();
        assert_eq!(names, ["lo", "v0"], "the peer was never here");

        let taken = links.create_veth(&VethPair { name: "v1", ..pair }).unwrap_err();
        assert_eq!(taken.raw_os_error(), Some(libc::EEXIST));
        assert!(taken.to_string().contains("'v1' with the peer 'eth0'"), "{taken}");
        for name in ["", "a/b", "sixteen-octets-x", "v%d"] {
            let refused = links.create_veth(&VethPair { name, peer_name: "p", ..Default::default() }).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{refused}");
        }
        assert_eq!(links.list().unwrap().len(), 2, "what was refused has left nothing");
    });
}

#[test]
fn a_tap_has_no_queueing_discipline_if_it_shall_have_none() {
    in_a_new_namespace(|links| {
        for (name, expected) in [("t0", "qdisc noqueue"), ("t1", "qdisc mq")] {
            let _queues = ports::tap::create(name, 2).unwrap();
            let index = get(links, name).index;
            if name == "t0" {
                links.set_noqueue(index).unwrap();
            }
            links.set_up(index).unwrap();
            assert!(shown_by_ip(name).contains(expected), "{}", shown_by_ip(name));
        }
        let error = links.set_noqueue(9999).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{error}");
    });
}

#[test]
fn a_link_is_set() {
    in_a_new_namespace(|links| {
        let here = links.create_veth(&VethPair { name: "v0", peer_name: "v1", ..Default::default() }).unwrap();
        assert_eq!((here.peer_nsid, here.peer_index), (None, Some(get(links, "v1").index)));
        for _ in 0..2 {
            links.set_mtu(here.index, 1280).unwrap();
            links.set_mac(here.index, MAC).unwrap();
            links.set_up(here.index).unwrap();
            links.no_arp(here.index).unwrap();
            links.no_ipv6(here.index).unwrap();
            links.set_txqueuelen(here.index, 5000).unwrap();
            links.set_gso_max(here.index, 1 << 20).unwrap();
            links.set_noqueue(here.index).unwrap();
            links.rename(here.index, "w0").unwrap();
        }
        let now = links.by_index(here.index).unwrap().unwrap();
        assert_eq!((now.name.as_str(), now.mtu, now.mac, now.up, now.carrier), ("w0", 1280, Some(MAC), true, false));
        assert_eq!(links.by_name("v0").unwrap(), None);
        assert_eq!(now.operstate, OperState::LowerLayerDown);
        let shown = shown_by_ip("w0");
        for word in ["NOARP", "qlen 5000", "gso_max_size 65536", "addrgenmode none"] {
            assert!(shown.contains(word), "{word}: {shown}");
        }
        links.set_down(here.index).unwrap();
        assert!(!get(links, "w0").up);

        for error in [links.set_mtu(here.index, 67).unwrap_err(), links.rename(here.index, "v1").unwrap_err()] {
            assert!(error.to_string().contains("'w0'"), "{error}");
        }
        links.delete(here.index).unwrap();
        links.delete(here.index).unwrap();
        assert_eq!(links.by_name("v1").unwrap(), None, "a veth goes with its peer");
        let none = [links.set_up(99), links.set_mtu(99, 1500), links.set_mac(99, MAC), links.rename(99, "x")];
        for error in none.map(Result::unwrap_err) {
            assert!(error.to_string().contains("interface 99"), "{error}");
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        }
        assert_eq!((links.by_name("sixteen-octets-x").unwrap(), links.by_index(99).unwrap()), (None, None));
    });
}

#[test]
fn a_link_moves_under_a_new_name() {
    in_a_new_namespace(|links| {
        let there = Namespace::create().unwrap();
        let (_, inside, _) = veth(links, "v0", &there);
        let second = links.create_veth(&VethPair { name: "w0", peer_name: "w1", ..Default::default() }).unwrap();
        let taken = links.move_to(second.index, &there, "eth0").unwrap_err();
        assert_eq!(links.by_index(second.index).unwrap().unwrap().name, "w0", "the half move is undone");
        assert_eq!(inside.by_name("w0").unwrap(), None);
        assert!(taken.raw_os_error() == Some(libc::EEXIST) && taken.to_string().contains("'w0'"), "{taken}");
        assert!(links.move_to(second.index, &there, "a/b").is_err());
        links.move_to(second.index, &there, "eth1").unwrap();
        assert_eq!(get(&inside, "eth1").mac, second.mac);
        assert_eq!(links.by_name("w0").unwrap(), None);
        assert_eq!(get(links, "w1").peer_nsid, Some(links.nsid_of(&there).unwrap()));
    });
}

#[test]
fn addresses_and_routes_are_added_once() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    in_a_new_namespace(|links| {
        let here = links.create_veth(&VethPair { name: "v0", peer_name: "v1", ..Default::default() }).unwrap();
        links.set_up(here.index).unwrap();
        links.set_up(get(links, "v1").index).unwrap();
        let early = links.add_default_route(ip("10.9.0.1"), here.index).unwrap_err();
        assert!(early.to_string().contains("0.0.0.0/0 via 10.9.0.1 on 'v0'"), "{early}");
        for _ in 0..2 {
            links.add_address(here.index, (ip("10.9.0.2"), 24)).unwrap();
            links.add_address(here.index, (ip("10.8.0.2"), 32)).unwrap();
            links.add_address(here.index, (ip("fd00:9::2"), 64)).unwrap();
            links.add_default_route(ip("10.9.0.1"), here.index).unwrap();
            links.add_default_route(ip("fd00:9::1"), here.index).unwrap();
            links.add_route((ip("10.7.0.0"), 16), Some(ip("10.9.0.1")), here.index).unwrap();
            links.add_route((ip("10.6.0.0"), 16), None, here.index).unwrap();
        }
        let addresses = links.addresses(here.index).unwrap();
        for wanted in [(ip("10.9.0.2"), 24), (ip("10.8.0.2"), 32), (ip("fd00:9::2"), 64)] {
            assert_eq!(addresses.iter().filter(|address| **address == wanted).count(), 1, "{wanted:?}: {addresses:?}");
        }
        assert_eq!(links.addresses(get(links, "lo").index).unwrap(), []);
        let routes = links.routes().unwrap();
        for (network, prefix, gateway) in [
            ("0.0.0.0", 0, Some("10.9.0.1")),
            ("::", 0, Some("fd00:9::1")),
            ("10.7.0.0", 16, Some("10.9.0.1")),
            ("10.6.0.0", 16, None),
            ("10.9.0.0", 24, None),
        ] {
            let same = |route: &&ports::link::Route| {
                (route.destination, route.gateway, route.index)
                    == ((ip(network), prefix), gateway.map(ip), Some(here.index))
            };
            assert_eq!(routes.iter().filter(same).count(), 1, "{network}/{prefix}: {routes:?}");
        }
        let refused = [
            links.add_default_route(ip("10.9.0.9"), here.index),
            links.add_route((ip("10.7.0.1"), 16), None, here.index),
            links.add_address(here.index, (ip("10.9.0.2"), 33)),
            links.add_address(here.index, (ip("fd00:9::2"), 48)),
        ];
        for error in refused.map(Result::unwrap_err) {
            assert!(error.to_string().contains("'v0'"), "{error}");
        }
    });
}

/// The frames the interface has sent, as `/proc/net/dev` counts them.
fn sent(name: &str) -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}:"))).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

#[test]
fn a_quiet_host_end_sends_nothing_of_its_own() {
    in_a_new_namespace(|links| {
        let there = Namespace::create().unwrap();
        for (name, peer_name) in [("loud", "eth0"), ("quiet", "eth1")] {
            let pair = VethPair { name, peer_name, peer_namespace: Some(&there), ..Default::default() };
            let host = links.create_veth(&pair).unwrap();
            if name == "quiet" {
                links.no_arp(host.index).unwrap();
                links.no_ipv6(host.index).unwrap();
            }
            links.set_up(host.index).unwrap();
            let inside = Links::in_namespace(&there).unwrap();
            inside.set_up(get(&inside, peer_name).index).unwrap();
        }
        let begin = Instant::now();
        while sent("loud") < 2 && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(sent("loud") >= 2, "a veth left alone solicits routers and reports groups");
        assert_eq!(sent("quiet"), 0);
    });
}

/// A UDP datagram from 10.9.0.2 to 10.66.0.1, port 9000, in a frame to the host end itself.
fn knock(host: &Link) -> frame::Frame {
    let mut ip = vec![0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 66, 0, 1];
    let checksum = frame::offload::checksum::ipv4_header_checksum(&ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut octets = [host.mac.unwrap().0, MAC.0].concat();
    octets.extend([8, 0]);
    octets.extend(ip);
    octets.extend([0x23, 0x28, 0x23, 0x28, 0, 12, 0, 0, b'k', b'n', b'o', b'k']);
    frame::Frame::from_octets(&octets)
}

#[test]
fn a_closed_host_end_lets_nothing_into_the_host() {
    in_a_new_namespace(|links| {
        let lo = get(links, "lo");
        links.set_up(lo.index).unwrap();
        links.add_address(lo.index, ("10.66.0.1".parse().unwrap(), 32)).unwrap();
        let service = UdpSocket::bind("0.0.0.0:9000").unwrap();
        let there = Namespace::create().unwrap();
        let mut heard = Vec::new();
        for name in ["open", "closed"] {
            let (host, inside, peer) = veth(links, name, &there);
            if name == "closed" {
                links.no_ipv4(host.index).unwrap();
            }
            links.set_up(host.index).unwrap();
            inside.set_up(peer.index).unwrap();
            let begin = Instant::now();
            while !get(links, name).running && begin.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut batch = frame::Batch::with_capacity(1);
            batch.push().unwrap().fill(knock(&host).octets(), frame::OffloadHeader::NONE);
            let sent = there.enter(|| {
                let mut queues = ports::veth::open("eth0", 1, false).unwrap();
                ports::Port::send(&mut queues[0], &batch, &[0]).unwrap().taken
            });
            assert_eq!(sent.unwrap(), 1);
            service.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            heard.push(service.recv(&mut [0; 16]).is_ok());
            links.delete(host.index).unwrap();
        }
        assert_eq!(heard, [true, false], "an open host end lets it in, a closed one does not");
    });
}

/// Let the socket send datagrams of that many octets out of longer ones (`UDP_SEGMENT`, udp(7)); 0 is off.
fn cut_into(socket: &UdpSocket, octets: libc::c_int) {
    let size = size_of_val(&octets) as libc::socklen_t;
    // SAFETY: the descriptor is open; the value is an int of ours, of the length given, and outlives the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const octets).cast(), size)
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// The next UDP datagram to port 9 that arrives, from its Ethernet header on.
fn next_datagram(socket: &mut socket2::Socket) -> Vec<u8> {
    let mut octets = vec![0; 1 << 16];
    loop {
        let len = socket.read(&mut octets).unwrap();
        if len > 42 && octets[12..14] == [8, 0] && octets[23] == 17 && octets[36..38] == [0, 9] {
            return octets[..len].to_vec();
        }
    }
}

/// RFC 768: the one's complement sum over pseudo header and datagram is all ones.
fn checksum_is_right(datagram: &[u8]) -> bool {
    let words = |octets: &[u8]| -> u64 {
        octets.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |b| u64::from(*b))).sum()
    };
    let mut sum = words(&datagram[26..34]) + 17 + words(&datagram[38..40]) + words(&datagram[34..]);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

#[test]
fn without_offloads_frames_leave_as_on_a_wire() {
    in_a_new_namespace(|links| {
        let there = Namespace::create().unwrap();
        let (host, inside, peer) = veth(links, "v0", &there);
        inside.add_address(peer.index, ("10.9.0.2".parse().unwrap(), 24)).unwrap();
        inside.set_up(peer.index).unwrap();
        links.set_up(host.index).unwrap();
        // Until the kernel has seen the carrier it drops what is sent.
        let begin = Instant::now();
        while !get(&inside, "eth0").running && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        let every = socket2::Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
        let mut wire = socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, Some(every)).unwrap();
        wire.set_read_timeout(Some(PATIENCE)).unwrap();
        let sender = there.enter(|| UdpSocket::bind("10.9.0.2:0").unwrap()).unwrap();
        sender.set_broadcast(true).unwrap();
        cut_into(&sender, 1000);

        assert!(there.enter(|| ethtool::offloads_on("eth0")).unwrap().unwrap().contains(&"transmit checksum"));
        sender.send_to(&[7; 4000], "10.9.0.255:9").unwrap();
        let super_frame = next_datagram(&mut wire);
        assert!(super_frame.len() > 4000 && !checksum_is_right(&super_frame), "a veth does leave both undone");

        for _ in 0..2 {
            there.enter(|| ethtool::offloads_off("eth0")).unwrap().unwrap();
        }
        assert_eq!(there.enter(|| ethtool::offloads_on("eth0")).unwrap().unwrap(), [""; 0]);
        // Older kernels refuse to segment where they cannot leave the checksum to the device.
        if sender.send_to(&[7; 4000], "10.9.0.255:9").is_err() {
            cut_into(&sender, 0);
            sender.send_to(&[7; 1000], "10.9.0.255:9").unwrap();
        }
        let frame = next_datagram(&mut wire);
        assert_eq!(frame.len(), 14 + 20 + 8 + 1000);
        assert!(checksum_is_right(&frame));
        assert!(ethtool::offloads_off("eth0").unwrap_err().to_string().contains("'eth0'"), "it is not here");
    });
}

#[test]
fn a_tap_is_given_a_speed() {
    in_a_new_namespace(|_| {
        let Some(_tap) = tap("ly0") else { return };
        for mbps in [1000, 25_000] {
            ethtool::set_speed("ly0", mbps).unwrap();
            assert_eq!(ethtool::speed("ly0").unwrap(), Some((mbps, true)));
        }
        ethtool::offloads_off("ly0").unwrap();
        assert_eq!(ethtool::offloads_on("ly0").unwrap(), [""; 0]);
    });
}

#[test]
fn a_tap_is_followed_into_a_namespace_and_to_its_end() {
    in_a_new_namespace(|links| {
        let mut monitor = Monitor::open().unwrap();
        let Some(tap) = tap("ly0") else { return };
        let here = get(links, "ly0");
        links.set_up(here.index).unwrap();
        until(&mut monitor, "up", is_link(None, "ly0", true, true));

        let there = Namespace::create().unwrap();
        links.move_to(here.index, &there, "eth0").unwrap();
        let nsid = links.nsid_of(&there).unwrap();
        let heard = until(&mut monitor, "moved", is_link(Some(nsid), "eth0", false, false));
        let inside = Links::in_namespace(&there).unwrap();
        let eth0 = get(&inside, "eth0");
        let moved_to = Some(MovedTo { nsid: Some(nsid), index: eth0.index });
        let left = LinkEvent::Gone { nsid: None, index: here.index, name: "ly0".into(), moved_to };
        assert!(heard.contains(&left), "{heard:#?}");

        inside.set_up(eth0.index).unwrap();
        until(&mut monitor, "up inside", is_link(Some(nsid), "eth0", true, true));
        inside.rename(eth0.index, "eth7").unwrap();
        until(&mut monitor, "renamed inside", is_link(Some(nsid), "eth7", true, true));
        inside.set_down(eth0.index).unwrap();
        until(&mut monitor, "down inside", is_link(Some(nsid), "eth7", false, false));
        inside.delete(eth0.index).unwrap();
        let heard = until(&mut monitor, "deleted inside", is_gone(Some(nsid), "eth7"));
        assert!(heard.iter().all(|event| !matches!(event, LinkEvent::Gone { moved_to: Some(_), .. })), "{heard:#?}");
        assert_eq!(tap.recv(&mut [0; 64]).unwrap_err().raw_os_error(), Some(libc::EBADFD));
    });
}

#[test]
fn a_namespace_that_ends_with_a_tap_in_it_is_heard() {
    in_a_new_namespace(|links| {
        let mut monitor = Monitor::open().unwrap();
        let there = Namespace::create().unwrap();
        let nsid = links.nsid_of(&there).unwrap();
        let Some(tap) = tap("ly0") else { return };
        links.move_to(get(links, "ly0").index, &there, "eth0").unwrap();
        drop(there);
        let heard = until(&mut monitor, "end", is_end_of(nsid));
        assert!(!heard.iter().any(is_gone(Some(nsid), "eth0")), "{heard:#?}");
        let begin = Instant::now();
        tap.set_non_blocking().unwrap();
        let closed = |tap: &tun_tap::Iface| tap.recv(&mut [0; 64]).unwrap_err().raw_os_error() == Some(libc::EBADFD);
        while !closed(&tap) {
            assert!(begin.elapsed() < PATIENCE, "the TAP outlived its namespace");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_tap_opened_inside_keeps_its_namespace_and_only_the_watch_tells() {
    in_a_new_namespace(|links| {
        let mut monitor = Monitor::open().unwrap();
        let there = Namespace::create().unwrap();
        let nsid = links.nsid_of(&there).unwrap();
        let identity = there.identity().unwrap();
        let Some(tap) = there.enter(|| tap("eth0")).unwrap() else { return };
        let container = there.enter(|| Command::new("sleep").arg("60").spawn().unwrap()).unwrap();
        let reference = NamespaceRef::Process(container.id());
        let container = Sleeper(container);
        assert_eq!(reference.open().unwrap().identity().unwrap(), identity);
        let mut watch = reference.watch(identity).unwrap();
        assert_eq!(netns::holders(identity).unwrap(), [container.0.id()]);
        assert!(!watch.is_gone().unwrap());
        monitor.read().unwrap();

        drop((there, container));
        assert!(readable(&watch, PATIENCE) && watch.is_gone().unwrap());
        assert_eq!(netns::holders(identity).unwrap(), [0; 0]);
        assert!(!readable(&monitor, Duration::from_millis(300)), "the TAP holds it: {:?}", monitor.read().unwrap());
        drop(tap);
        until(&mut monitor, "end", is_end_of(nsid));
    });
}

#[test]
fn a_veth_shows_what_becomes_of_its_peer() {
    in_a_new_namespace(|links| {
        let mut monitor = Monitor::open().unwrap();
        let there = Namespace::create().unwrap();
        let nsid = links.nsid_of(&there).unwrap();
        let (host, inside, peer) = veth(links, "v0", &there);
        links.set_up(host.index).unwrap();
        until(&mut monitor, "no peer yet", is_link(None, "v0", true, false));
        inside.set_up(peer.index).unwrap();
        let heard = until(&mut monitor, "peer up", is_link(None, "v0", true, true));
        assert!(heard.iter().any(|event| matches!(event,
            LinkEvent::Changed { nsid: None, operstate: OperState::Up, mac, .. } if *mac == host.mac)));
        inside.set_down(peer.index).unwrap();
        until(&mut monitor, "peer down", is_link(None, "v0", true, false));
        inside.rename(peer.index, "eth7").unwrap();
        until(&mut monitor, "peer renamed", is_link(Some(nsid), "eth7", false, false));
        inside.delete(peer.index).unwrap();
        let heard = until(&mut monitor, "peer deleted", is_gone(None, "v0"));
        assert!(heard.iter().any(is_gone(Some(nsid), "eth7")), "{heard:#?}");

        let (host, again, _) = veth(links, "v0", &there);
        // Each of these would keep the namespace alive.
        drop((inside, again, there));
        let heard = until(&mut monitor, "peer's namespace ended", is_gone(None, "v0"));
        assert!(heard.iter().any(is_end_of(nsid)), "{heard:#?}");
        assert_eq!(links.by_index(host.index).unwrap(), None);
    });
}

#[test]
fn numbers_are_given_once_and_end_with_their_namespace() {
    in_a_new_namespace(|links| {
        let mut monitor = Monitor::open().unwrap();
        let [red, blue] = [Namespace::create().unwrap(), Namespace::create().unwrap()];
        let (number, other) = (links.nsid_of(&red).unwrap(), links.nsid_of(&blue).unwrap());
        assert_ne!(number, other);
        assert_eq!((links.nsid_of(&red).unwrap(), links.nsid_of(&blue).unwrap()), (number, other));
        // Red numbers a third one, whose end is no business of ours though we hear red's news.
        let third = Namespace::create().unwrap();
        assert!(Links::in_namespace(&red).unwrap().nsid_of(&third).is_ok());
        drop(third);
        drop(blue);
        let heard = until(&mut monitor, "blue's end", is_end_of(other));
        assert_eq!(heard, [LinkEvent::NamespaceGone { nsid: other }]);
        // A number for our own namespace must not change how its news is told.
        links.nsid_of(&Namespace::current().unwrap()).unwrap();
        links.create_veth(&VethPair { name: "v0", peer_name: "v1", ..Default::default() }).unwrap();
        until(&mut monitor, "our own", is_link(None, "v0", false, false));
        drop(red);
        until(&mut monitor, "red's end", is_end_of(number));
    });
}

#[test]
fn lost_events_are_reported_alone_and_hearing_goes_on() {
    in_a_new_namespace(|links| {
        let mut monitor = Monitor::with_buffer(4096).unwrap();
        let host = links.create_veth(&VethPair { name: "v0", peer_name: "v1", ..Default::default() }).unwrap();
        for mtu in 1000..1100 {
            links.set_mtu(host.index, mtu).unwrap();
        }
        assert_eq!(monitor.read().unwrap(), [LinkEvent::Overflow]);
        assert_eq!(monitor.read().unwrap(), []);
        assert_eq!(get(links, "v0").mtu, 1099);
        links.set_up(host.index).unwrap();
        until(&mut monitor, "after the loss", is_link(None, "v0", true, false));
    });
}

#[test]
fn a_mounted_namespace_is_opened_and_its_end_seen() {
    in_a_new_namespace(|_| {
        // Mounts of our own, so that nothing is left whatever happens.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("red");
        fs::write(&path, "").unwrap();
        let own = Path::new("/proc/thread-self/ns/net");
        mount(Some(own), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let reference: NamespaceRef = path.to_str().unwrap().parse().unwrap();
        let identity = reference.open().unwrap().identity().unwrap();
        assert_eq!(identity, Namespace::current().unwrap().identity().unwrap());
        let mut watch = reference.watch(identity).unwrap();
        assert!(!watch.is_gone().unwrap());

        umount2(&path, MntFlags::MNT_DETACH).unwrap();
        assert!(!readable(&watch, Duration::from_millis(50)), "an unmount makes no event");
        assert!(watch.is_gone().unwrap(), "but whoever asks is told");
        let error = reference.open().unwrap_err().to_string();
        assert!(error.contains("its mount may be gone"), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(readable(&watch, PATIENCE) && watch.is_gone().unwrap());
        assert!(reference.open().unwrap_err().to_string().contains("no network namespace at"));
    });
}

#[test]
fn what_runs_inside_does_not_move_the_caller() {
    in_a_new_namespace(|_| {
        let before = Namespace::current().unwrap().identity().unwrap();
        let there = Namespace::create().unwrap();
        let inside = there.enter(|| Namespace::current().unwrap().identity().unwrap()).unwrap();
        assert_eq!(inside, there.identity().unwrap());
        assert_eq!(inside, there.try_clone().unwrap().identity().unwrap());
        assert_ne!(inside, before);
        assert_eq!(Namespace::current().unwrap().identity().unwrap(), before);
        assert_eq!(there.enter(|| Links::open().unwrap().list().unwrap().len()).unwrap(), 1, "only lo");
    });
}
