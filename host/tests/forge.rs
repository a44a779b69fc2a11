//! May a container speak in somebody else's name? It writes its own IP headers (RFC 791, RFC 8200) through a raw socket, to
//! get into a flow that the host's conntrack knows. Each forgery is first seen to arrive without the rule that stops it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use lanyard_host::Firewall;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use world::{PATIENCE, SILENCE, Space, World, plan, ready};

/// RFC 1071, over the pseudo-header and what follows it.
fn checksum(octets: &[u8]) -> [u8; 2] {
    let words = octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// A UDP datagram with its IP header. The kernel fills in what it always fills in (IPv4's checksum).
fn datagram(from: SocketAddr, to: SocketAddr, text: &str) -> Vec<u8> {
    let length = (8 + text.len()) as u16;
    let mut udp = [from.port().to_be_bytes(), to.port().to_be_bytes(), length.to_be_bytes(), [0; 2]].concat();
    udp.extend_from_slice(text.as_bytes());
    let addresses = [octets(from.ip()), octets(to.ip())].concat();
    let pseudo = [&addresses[..], &[0, 17], &length.to_be_bytes(), &udp].concat();
    udp[6..8].copy_from_slice(&checksum(&pseudo));
    let header = if from.is_ipv4() {
        let total = (20 + length).to_be_bytes();
        vec![0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0]
    } else {
        let [high, low] = length.to_be_bytes();
        vec![0x60, 0, 0, 0, high, low, 17, 64]
    };
    [header, addresses, udp].concat()
}

/// Send from `space` what `from` might have sent.
fn forge(space: &Space, from: SocketAddr, to: SocketAddr, text: &str) {
    let family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    space.enter(|| {
        let raw = socket(family, SockType::Raw, SockFlag::empty(), SockProtocol::Raw).unwrap();
        let raw = socket2::Socket::from(raw);
        // A raw socket of IPv6 knows no ports.
        raw.send_to(&datagram(from, to, text), &SocketAddr::new(to.ip(), 0).into()).unwrap();
    });
}

fn heard(socket: &UdpSocket, patience: Duration) -> Option<String> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut octets = [0; 64];
    let length = socket.recv(&mut octets).ok()?;
    Some(String::from_utf8_lossy(&octets[..length]).into_owned())
}

/// A flow from a container to the outside, with an answer.
struct Flow {
    inside: UdpSocket,
    outside: UdpSocket,
    /// Whom the outside sees.
    seen: SocketAddr,
}

impl Flow {
    fn new(container: &Space, own: &str, outside: &Space, other: &str) -> Self {
        let inside = container.enter(|| UdpSocket::bind(own).unwrap());
        let outside = outside.enter(|| UdpSocket::bind(other).unwrap());
        inside.connect(other).unwrap();
        inside.send(b"hello").unwrap();
        outside.set_read_timeout(Some(PATIENCE)).unwrap();
        let (_, seen) = outside.recv_from(&mut [0; 64]).unwrap();
        let flow = Self { inside, outside, seen };
        flow.answer("welcome");
        assert_eq!(heard(&flow.inside, PATIENCE).as_deref(), Some("welcome"));
        flow
    }

    fn answer(&self, text: &str) {
        self.outside.send_to(text.as_bytes(), self.seen).unwrap();
    }
}

const FLOWS: [(&str, &str); 2] = [("10.2.0.2:5555", "192.0.2.9:7777"), ("[fd00:b::2]:5555", "[2001:db8::9]:7777")];

/// The kernel's own check of sources, which a host may have or not (there is none for IPv6).
fn believe(world: &World) {
    world.host.run("for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done");
}

#[test]
fn nobody_speaks_in_anothers_name() {
    if !ready("nobody_speaks_in_anothers_name", &[]) {
        return;
    }
    let world = World::new();
    believe(&world);
    let firewall = Firewall::open().unwrap();
    world.host.enter(|| firewall.apply(&plan())).unwrap();
    for (own, other) in FLOWS {
        let flow = Flow::new(&world.b1, own, &world.outside, other);
        let (server, client) = (other.parse().unwrap(), own.parse().unwrap());
        world.host.run("nft flush chain inet lanyard early");
        forge(&world.a1, server, flow.seen, "forged");
        assert_eq!(heard(&flow.inside, PATIENCE).as_deref(), Some("forged"), "{own}: without the rule it arrives");
        forge(&world.a1, client, server, "forged");
        assert_eq!(heard(&flow.outside, PATIENCE).as_deref(), Some("forged"), "{own}: without the rule it arrives");
        assert!(world.host.enter(|| firewall.restore()).unwrap());
        forge(&world.a1, server, flow.seen, "forged");
        assert_eq!(heard(&flow.inside, SILENCE), None, "{own}: as the server");
        forge(&world.a1, client, server, "forged");
        assert_eq!(heard(&flow.outside, SILENCE), None, "{own}: as another network's container");
        forge(&world.b1, client, server, "its own");
        assert_eq!(heard(&flow.outside, PATIENCE).as_deref(), Some("its own"));
        flow.answer("still here");
        assert_eq!(heard(&flow.inside, PATIENCE).as_deref(), Some("still here"));
    }
}

#[test]
fn an_internal_network_has_no_flows_outside() {
    if !ready("an_internal_network_has_no_flows_outside", &[]) {
        return;
    }
    let world = World::new();
    believe(&world);
    let firewall = Firewall::open().unwrap();
    for (own, other) in FLOWS {
        world.host.enter(|| firewall.apply(&plan())).unwrap();
        let flow = Flow::new(&world.b1, own, &world.outside, other);
        let server = other.parse().unwrap();
        let forged = |patience| {
            world.host.run("nft flush chain inet lanyard early");
            forge(&world.a1, server, flow.seen, "forged");
            heard(&flow.inside, patience)
        };
        assert_eq!(forged(PATIENCE).as_deref(), Some("forged"), "{own}: while it is not internal");
        let mut internal = plan();
        internal.networks[0].internal = true;
        world.host.enter(|| firewall.apply(&internal)).unwrap();
        assert_eq!(forged(SILENCE), None, "{own}");
        // Flows from before it was internal end.
        internal.networks[1].internal = true;
        world.host.enter(|| firewall.apply(&internal)).unwrap();
        flow.inside.send(b"out").unwrap();
        assert_eq!(heard(&flow.outside, SILENCE), None, "{own}: out");
        flow.answer("in");
        assert_eq!(heard(&flow.inside, SILENCE), None, "{own}: in");
    }
}
