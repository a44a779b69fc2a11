//! Are ports reserved, ranges cheap, and stale flows forgotten? In namespaces of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lanyard_host::{Firewall, Flows, PortFault, Protocol, Proxy, Published, Request, bind, flush_conntrack};
use world::{Space, World, plan, publish, ready};

fn request(protocol: Protocol, host_ip: &str, ports: (u16, u16)) -> Request {
    let host_ip = (!host_ip.is_empty()).then(|| host_ip.parse().unwrap());
    Request { protocol, container_port: 80, host_ip, host_port: ports.0, host_port_end: ports.1 }
}

fn refusal(requests: &[Request]) -> String {
    bind(requests).unwrap_err().to_string()
}

#[test]
fn a_reserved_port_is_nobody_elses() {
    if !ready("a_reserved_port_is_nobody_elses", &[]) {
        return;
    }
    Space::new().enter(|| {
        let tcp = |host_ip, port| request(Protocol::Tcp, host_ip, (port, port));
        let held = bind(&[tcp("", 8080), tcp("127.0.0.1", 8081), request(Protocol::Udp, "", (53, 53))]).unwrap();
        assert_eq!(held[0].addresses().map(|a| a.to_string()).collect::<Vec<_>>(), ["0.0.0.0", "::"]);
        // Other programs get "address in use", also those that set SO_REUSEADDR, as std's listener does.
        for taken in ["0.0.0.0:8080", "127.0.0.1:8080", "[::1]:8080", "[::]:8080", "127.0.0.1:8081", "0.0.0.0:8081"] {
            let error = TcpListener::bind(taken).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{taken}");
        }
        assert!(UdpSocket::bind("127.0.0.1:53").is_err());
        for (wanted, words) in [
            (tcp("", 8080), "Bind for 0.0.0.0:8080 failed: port is already allocated"),
            (tcp("127.0.0.1", 8080), "Bind for 127.0.0.1:8080 failed: port is already allocated"),
            (tcp("0.0.0.0", 8081), "Bind for 0.0.0.0:8081 failed: port is already allocated"),
            (tcp("::1", 8080), "Bind for ::1:8080 failed: port is already allocated"),
            (request(Protocol::Udp, "", (53, 53)), "Bind for 0.0.0.0:53 failed: port is already allocated"),
            (request(Protocol::Tcp, "", (8080, 8081)), "all ports are allocated"),
            (tcp("192.0.2.7", 80), "Bind for 192.0.2.7:80 failed: no interface of this host has the address 192.0.2.7"),
        ] {
            assert_eq!(refusal(&[wanted]), words);
        }
        // Nobody answers there while no rule translates, and the same port of another protocol or address is free.
        assert!(TcpStream::connect("127.0.0.1:8080").is_err());
        bind(&[request(Protocol::Udp, "", (8080, 8080)), tcp("127.0.0.2", 8081)]).unwrap();
        // All or none.
        refusal(&[tcp("", 9000), tcp("", 8080)]);
        bind(&[tcp("", 9000)]).unwrap();
        let _other = TcpListener::bind("[::1]:9001").unwrap();
        assert_eq!(refusal(&[tcp("", 9001)]), "Bind for :::9001 failed: port is already allocated");
        drop(held);
        // A program that another test starts at this moment has the socket, too, until it runs.
        let free = |_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            TcpListener::bind("0.0.0.0:8080").is_ok()
        };
        assert!((0..100).any(free), "the port is free again");
    });
}

#[test]
fn ranges_and_any_port() {
    if !ready("ranges_and_any_port", &[]) {
        return;
    }
    let space = Space::new();
    space.run("echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range; echo 40003,40007-40008 > /proc/sys/net/ipv4/ip_local_reserved_ports");
    space.enter(|| {
        let range = request(Protocol::Tcp, "", (8000, 8002));
        let _other = TcpListener::bind("[::1]:8000").unwrap();
        let held = bind(&[range, range]).unwrap();
        assert_eq!(held.iter().map(|reservation| reservation.host_port).collect::<Vec<_>>(), [8001, 8002]);
        assert!(matches!(bind(&[range]), Err(PortFault::AllTaken)));
        let any = request(Protocol::Tcp, "", (0, 0));
        let held = bind(&[any; 7]).unwrap();
        let mut ports: Vec<u16> = held.iter().map(|reservation| reservation.host_port).collect();
        ports.sort_unstable();
        assert_eq!(ports, [40000, 40001, 40002, 40004, 40005, 40006, 40009]);
        assert_eq!(refusal(&[any]), "all ports are allocated");
        assert_eq!(bind(&[request(Protocol::Udp, "", (0, 0))]).unwrap()[0].addresses().count(), 2);
    });
}

#[test]
fn a_port_whose_connection_just_ended_is_free() {
    if !ready("a_port_whose_connection_just_ended_is_free", &[]) {
        return;
    }
    Space::new().enter(|| {
        let listener = TcpListener::bind("0.0.0.0:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        // The server ends first, so its end waits (TIME_WAIT).
        drop(listener.accept().unwrap());
        drop(client);
        drop(listener);
        let held = bind(&[request(Protocol::Tcp, "", (8080, 8080))]).unwrap();
        assert_eq!(TcpListener::bind("0.0.0.0:8080").unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        drop(held);
    });
}

#[test]
fn sctp_is_reserved_or_refused_clearly() {
    if !ready("sctp_is_reserved_or_refused_clearly", &[]) {
        return;
    }
    Space::new().enter(|| match bind(&[request(Protocol::Sctp, "", (8080, 8080))]) {
        Ok(held) => assert_eq!(held[0].host_port, 8080),
        Err(fault) => assert!(matches!(fault, PortFault::NoSctp(..)), "{fault}"),
    });
}

#[test]
fn ten_thousand_ports() {
    if !ready("ten_thousand_ports", &[]) {
        return;
    }
    let world = World::new();
    let container: IpAddr = "10.1.0.2".parse().unwrap();
    world.a1.serve(Protocol::Tcp, "0.0.0.0:19999");
    let mut same = plan();
    let mut shifted = plan();
    let mut requests = Vec::new();
    for host_port in 10000..20000 {
        let port = |container_port| Published {
            ifname: "ly-a".to_owned(),
            container,
            container_port,
            protocol: Protocol::Tcp,
            host_ip: "0.0.0.0".parse().unwrap(),
            host_port,
        };
        same.published.push(port(host_port));
        shifted.published.push(port(host_port - 9920));
        requests.push(request(Protocol::Tcp, "", (host_port, host_port)));
    }
    world.host.enter(|| {
        let start = Instant::now();
        let held = bind(&requests).unwrap();
        println!("10,000 ports reserved in {:?}", start.elapsed());
        let firewall = Firewall::open().unwrap();
        // Shifted, each is an element of its own.
        for (what, plan, limit) in [("as they are", &same, 1), ("shifted", &shifted, 5)] {
            let start = Instant::now();
            firewall.apply(plan).unwrap();
            let took = start.elapsed();
            let again = Instant::now();
            firewall.apply(plan).unwrap();
            println!("10,000 ports {what} applied in {took:?}, applied again in {:?}", again.elapsed());
            assert!(took < Duration::from_secs(limit), "{what}: {took:?}");
            let (port, at) = if what == "shifted" { (10000, 80) } else { (19999, 19999) };
            let said = world.outside.ask(Protocol::Tcp, &format!("192.0.2.1:{port}"), world::PATIENCE);
            assert_eq!(said, Some(format!("0.0.0.0:{at} sees 192.0.2.9")));
        }
        firewall.apply(&same).unwrap();
        drop(held);
    });
    let listing = world.host.run("nft list map inet lanyard ranges4_any");
    assert!(listing.contains("elements = { tcp . 10000-19999 : 10.1.0.2 }"), "{listing}");
    assert_eq!(world.host.run("nft list table inet lanyard").matches("10.1.0.2").count(), 1);
}

/// With dockerd's iptables in use, and none of the other ports next to another, which is the dearest.
#[test]
fn one_port_more_costs_little() {
    if !ready("one_port_more_costs_little", &["iptables-nft"]) {
        return;
    }
    let world = World::new();
    world.host.run("iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP");
    for number in [0_u16, 100, 10_000] {
        let mut wanted = plan();
        for host_port in (0..number).map(|index| 10_000 + 2 * index) {
            publish(&mut wanted, "ly-a", "0.0.0.0", host_port, "10.1.0.3");
            wanted.published.pop();
        }
        let without = wanted.clone();
        publish(&mut wanted, "ly-a", "0.0.0.0", 8080, "10.1.0.2");
        wanted.published.pop();
        world.host.enter(|| {
            let firewall = Firewall::open().unwrap();
            firewall.apply(&without).unwrap();
            for (what, plan) in [("published", &wanted), ("withdrawn", &without), ("published", &wanted)] {
                let start = Instant::now();
                firewall.apply(plan).unwrap();
                let took = start.elapsed();
                println!("beside {number} ports one is {what} in {took:?}");
                assert!(took < Duration::from_secs(1), "{what} beside {number}: {took:?}");
            }
            assert!(firewall.verify().unwrap());
        });
        let said = world.outside.ask(Protocol::Tcp, "192.0.2.1:8080", world::PATIENCE);
        assert_eq!(said.as_deref(), Some("0.0.0.0:80 sees 192.0.2.9"));
    }
}

/// What the socket is answered, if it is.
fn exchange(socket: &UdpSocket, to: SocketAddr) -> Option<String> {
    let mut octets = [0; 64];
    socket.send_to(b"?", to).unwrap();
    let length = socket.recv(&mut octets).ok()?;
    Some(String::from_utf8_lossy(&octets[..length]).into_owned())
}

#[test]
fn stale_flows_are_forgotten() {
    if !ready("stale_flows_are_forgotten", &["conntrack"]) {
        return;
    }
    let world = World::new();
    world.host.serve(Protocol::Udp, "192.0.2.1:8080");
    let firewall = Firewall::open().unwrap();
    world.host.enter(|| firewall.apply(&plan())).unwrap();
    let socket = world.outside.enter(|| UdpSocket::bind("192.0.2.9:7777").unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let to: SocketAddr = "192.0.2.1:8080".parse().unwrap();
    assert_eq!(exchange(&socket, to).unwrap(), "192.0.2.1:8080 sees 192.0.2.9");
    let port = Flows::HostPort { protocol: Protocol::Udp, host_ip: "0.0.0.0".parse().unwrap(), port: 8080 };
    let mut wanted = plan();
    publish(&mut wanted, "ly-a", "0.0.0.0", 8080, "10.1.0.2");
    world.host.enter(|| firewall.apply(&wanted)).unwrap();
    // The flow is older than the port: until it is forgotten the host itself answers.
    assert_eq!(exchange(&socket, to).unwrap(), "192.0.2.1:8080 sees 192.0.2.9");
    assert_eq!(world.host.enter(|| flush_conntrack(&[port])).unwrap(), 1);
    assert_eq!(exchange(&socket, to).unwrap(), "0.0.0.0:80 sees 192.0.2.9");
    // The container's flows, and nobody else's.
    world.b1.reaches("192.0.2.9:80", "0.0.0.0:80", "192.0.2.1");
    let others = || world.host.run("conntrack -L 2>/dev/null | grep -c 10.2.0.2");
    let before = others();
    let container = Flows::Container("10.1.0.2".parse().unwrap());
    assert_eq!(world.host.enter(|| flush_conntrack(&[container])).unwrap(), 1);
    assert_eq!(world.host.enter(|| flush_conntrack(&[container, port])).unwrap(), 0);
    assert_eq!(others(), before);
    // IPv6.
    let mut wanted = plan();
    publish(&mut wanted, "ly-a", "2001:db8::1", 8080, "fd00:a::2");
    world.host.enter(|| firewall.apply(&wanted)).unwrap();
    world.outside.reaches("[2001:db8::1]:8080", "[::]:80", "2001:db8::9");
    let port = Flows::HostPort { protocol: Protocol::Udp, host_ip: "2001:db8::1".parse().unwrap(), port: 8080 };
    assert_eq!(world.host.enter(|| flush_conntrack(&[port])).unwrap(), 1);
}

#[test]
fn a_port_is_carried_where_it_cannot_be_translated() {
    if !ready("a_port_is_carried_where_it_cannot_be_translated", &[]) {
        return;
    }
    let world = World::new();
    let requests = [Protocol::Tcp, Protocol::Udp].map(|protocol| request(protocol, "", (8080, 8080)));
    let (proxy, mut held) = world.host.enter(|| (Proxy::start().unwrap(), bind(&requests).unwrap()));
    let v4: IpAddr = "10.1.0.2".parse().unwrap();
    let v6: IpAddr = "fd00:a::2".parse().unwrap();
    let firewall = Firewall::open().unwrap();
    // A container that has IPv4 only, then one that has both, then one that has IPv6 only.
    for (container, over_v4, over_v6, local) in [
        (&[v4][..], "0.0.0.0:80 sees 192.0.2.9", "0.0.0.0:80 sees 10.1.0.1", "0.0.0.0:80 sees 10.1.0.1"),
        (&[v4, v6], "0.0.0.0:80 sees 192.0.2.9", "[::]:80 sees 2001:db8::9", "[::]:80 sees fd00:a::1"),
        (&[v6], "[::]:80 sees fd00:a::1", "[::]:80 sees 2001:db8::9", "[::]:80 sees fd00:a::1"),
    ] {
        let mut wanted = plan();
        for reservation in &mut held {
            wanted.published.extend(reservation.published("ly-a", container));
            assert!(world.host.enter(|| reservation.serve(&proxy, container)).unwrap());
        }
        assert_eq!(wanted.published.len(), 2 * container.len());
        world.host.enter(|| firewall.apply(&wanted)).unwrap();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let ask = |space: &Space, to| space.ask(protocol, to, world::PATIENCE);
            assert_eq!(ask(&world.outside, "192.0.2.1:8080").as_deref(), Some(over_v4), "{container:?}");
            assert_eq!(ask(&world.outside, "[2001:db8::1]:8080").as_deref(), Some(over_v6), "{container:?}");
            assert_eq!(ask(&world.host, "[::1]:8080").as_deref(), Some(local), "{container:?}");
        }
    }
    drop(held);
    world.host.enter(|| bind(&requests)).unwrap();
}
