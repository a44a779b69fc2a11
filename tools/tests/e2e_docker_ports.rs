//! Is a published port reached by everybody who may, from everywhere, and by nobody else? Beside dockerd's own rules, by
//! both protocols and both families; when it moves, is taken, or its rules are swept away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod dockerd;
mod harness;

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use dockerd::net::{By, Net, Teller, exchange};
use dockerd::{Engine, PROGRAMS};
use harness::{Host, Outcome, wait_for};

const LAN: &str = "network create -d lanyard --ipv6 --subnet 10.99.0.0/24 --subnet fd00:99::/64 lan";
const OTHER: &str = "network create -d lanyard --ipv6 --subnet 10.98.0.0/24 --subnet fd00:98::/64 other";

/// A container's service on its port 7001, by both protocols.
fn tell(engine: &Engine, container: &str) -> Teller {
    Teller::start(&engine.net_of(container), container, "[::]:7001")
}

fn told(net: &Net, to: &str, wanted: &str) {
    for by in By::BOTH {
        assert_eq!(net.ask(by, to), wanted, "{by:?} to {to}");
    }
}

fn denied(net: &Net, to: &str, why: &str) {
    for by in By::BOTH {
        assert!(net.is_denied(by, to), "{by:?} to {to}: {why}");
    }
}

/// The host's port that leads to a container's port, as `lanyard ports` tells.
fn port_of(engine: &Engine, container_port: u16, protocol: &str, host_ip: &str) -> Vec<u64> {
    let rows = engine.lanyard("ports");
    let wanted = |row: &&serde_json::Value| {
        row["container_port"] == container_port && row["protocol"] == protocol && row["host_ip"] == host_ip
    };
    rows.as_array().unwrap().iter().filter(wanted).map(|row| row["host_port"].as_u64().unwrap()).collect()
}

#[test]
fn a_port_is_reached_from_everywhere() {
    if !harness::ready("a_port_is_reached_from_everywhere", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let outside = engine.outside("far");
    let (host, far) = (engine.net(), Net::from(&outside));
    let before = engine.traces();
    engine.done(LAN);
    engine.done(OTHER);
    engine.stay("web", "--net lan --ip 10.99.0.7 --ip6 fd00:99::7 -p 8080:7001 -p 8080:7001/udp");
    engine.stay("near", "--net lan --ip 10.99.0.8 --ip6 fd00:99::8");
    engine.stay("away", "--net other --ip 10.98.0.8 --ip6 fd00:98::8");
    let (web, near, away) = (engine.net_of("web"), engine.net_of("near"), engine.net_of("away"));
    let service = tell(&engine, "web");

    told(&far, "192.0.2.1:8080", "web 192.0.2.2");
    told(&far, "[2001:db8::1]:8080", "web 2001:db8::2");
    for (to, seen) in [
        ("192.0.2.1:8080", "192.0.2.1"),
        ("10.99.0.1:8080", "10.99.0.1"),
        ("10.98.0.1:8080", "10.99.0.1"),
        ("127.0.0.1:8080", "10.99.0.1"),
        ("127.1.2.3:8080", "10.99.0.1"),
        ("[2001:db8::1]:8080", "2001:db8::1"),
        ("[fd00:99::1]:8080", "fd00:99::1"),
        ("[::1]:8080", "fd00:99::1"),
    ] {
        told(&host, to, &format!("web {seen}"));
    }
    for (net, to, seen) in [
        (&near, "192.0.2.1:8080", "10.99.0.1"),
        (&near, "10.99.0.1:8080", "10.99.0.1"),
        (&near, "[2001:db8::1]:8080", "fd00:99::1"),
        (&web, "192.0.2.1:8080", "10.99.0.1"),
        (&web, "10.99.0.1:8080", "10.99.0.1"),
        (&web, "[fd00:99::1]:8080", "fd00:99::1"),
        (&away, "192.0.2.1:8080", "10.99.0.1"),
        (&away, "10.98.0.1:8080", "10.99.0.1"),
        (&away, "[2001:db8::1]:8080", "fd00:99::1"),
    ] {
        told(net, to, &format!("web {seen}"));
    }
    denied(&far, "192.0.2.1:7001", "the container's port is not the host's");
    drop((service, web, near, away));
    engine.done("rm -f web near away");
    denied(&far, "192.0.2.1:8080", "there is no container any more");
    engine.done("network rm lan other");
    assert_eq!(engine.traces(), before, "nothing is left");
}

#[test]
fn each_way_to_name_a_port() {
    if !harness::ready("each_way_to_name_a_port", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let outside = engine.outside("far");
    let (host, far) = (engine.net(), Net::from(&outside));
    engine.done(LAN);
    engine.stay(
        "web",
        "--net lan -p 127.0.0.1:8081:7001 -p 192.0.2.1:8082:7001 -p [2001:db8::1]:8083:7001 -p 8086:7002/udp \
         -p 127.0.0.1:8087:7002/udp",
    );
    let service = tell(&engine, "web");
    assert!(host.ask(By::Tcp, "127.0.0.1:8081").starts_with("web "), "on 127.0.0.1");
    assert_eq!(far.ask(By::Tcp, "192.0.2.1:8082"), "web 192.0.2.2", "on one address");
    assert_eq!(far.ask(By::Tcp, "[2001:db8::1]:8083"), "web 2001:db8::2", "on one IPv6 address");
    for to in ["192.0.2.1:8081", "192.0.2.1:8083", "[2001:db8::1]:8082", "[2001:db8::1]:8081"] {
        assert!(far.is_denied(By::Tcp, to), "{to} is not published");
    }
    for to in ["127.0.0.1:8082", "10.99.0.1:8081", "[::1]:8081", "10.99.0.1:8082"] {
        assert!(host.is_denied(By::Tcp, to), "{to} is not published");
    }
    loopback_is_the_hosts_own(&engine, &outside);
    drop(service);
    engine.done("rm -f web");

    engine.stay("any", "--net lan -p 7001 -p 7001/udp -p 7002 --expose 7003 -P");
    let _service = tell(&engine, "any");
    for (by, protocol) in [(By::Tcp, "tcp"), (By::Udp, "udp")] {
        let [port] = port_of(&engine, 7001, protocol, "0.0.0.0")[..] else { panic!("one port") };
        assert_eq!(port_of(&engine, 7001, protocol, "::"), [port], "the same number for both families");
        assert_eq!(far.ask(by, &format!("192.0.2.1:{port}")), "any 192.0.2.2");
        assert_eq!(far.ask(by, &format!("[2001:db8::1]:{port}")), "any 2001:db8::2");
    }
    assert_eq!(port_of(&engine, 7003, "tcp", "0.0.0.0").len(), 1, "-P publishes what is exposed");

    // Of a range for one port the first that is free; a range for a range, one to one.
    let taken = host.listen("0.0.0.0:8000");
    for (name, port) in [("r1", 8001), ("r2", 8002)] {
        engine.stay(name, "--net lan -p 8000-8002:7001");
        let _service = tell(&engine, name);
        assert_eq!(far.ask(By::Tcp, &format!("192.0.2.1:{port}")), format!("{name} 192.0.2.2"), "the first free port");
    }
    let outcome = engine.docker("run -d --name r3 --net lan -p 8000-8002:7001 busybox sleep 1000");
    assert!(outcome.code != Some(0) && outcome.err.contains("all ports are allocated"), "{outcome:?}");
    drop(taken);
    engine.stay("span", "--net lan -p 7100-7101:7001-7002");
    let _services = [tell(&engine, "span"), Teller::start(&engine.net_of("span"), "second", "[::]:7002")];
    assert_eq!(far.ask(By::Tcp, "192.0.2.1:7100"), "span 192.0.2.2");
    assert_eq!(far.ask(By::Tcp, "192.0.2.1:7101"), "second 192.0.2.2");
    only_one_family(&engine, &host, &far);
}

/// A port on 127.0.0.1 is not reached by a neighbour that sends there what is for 127.0.0.1.
fn loopback_is_the_hosts_own(engine: &Engine, outside: &Host) {
    // With this the kernel lets such packets in: our rules are all there is.
    engine.host("echo 1 > /proc/sys/net/ipv4/conf/out0/route_localnet").ok();
    outside.inside(|| std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1")).unwrap();
    for words in [
        "ip route del local 127.0.0.1 dev lo table local",
        "ip route del local 127.0.0.0/8 dev lo table local",
        "ip route add 127.0.0.0/8 via 192.0.2.1 dev eth0 src 192.0.2.2",
    ] {
        outside.run(words).ok();
    }
    let (host, far) = (engine.net(), Net::from(outside));
    // One way, for the answers would not come back.
    let (open, inside, client) =
        (host.udp("127.0.0.1:7050"), engine.net_of("web").udp("0.0.0.0:7002"), far.udp("0.0.0.0:0"));
    let arrives = |socket: &UdpSocket| socket.recv(&mut [0; 8]).is_ok();
    client.send_to(b"?", "127.0.0.1:7050").unwrap();
    assert!(arrives(&open), "such packets get to the host at all");
    for (port, what) in [(8086, "every address"), (8087, "127.0.0.1")] {
        client.send_to(b"?", ("127.0.0.1", port)).unwrap();
        assert!(!arrives(&inside), "127.0.0.1 is reached from outside, for a port on {what}");
        host.udp("0.0.0.0:0").send_to(b"?", ("127.0.0.1", port)).unwrap();
        assert!(arrives(&inside), "the host itself reaches the port on {what}");
    }
    outside.run("ip route del 127.0.0.0/8").ok();
    engine.host("echo 0 > /proc/sys/net/ipv4/conf/out0/route_localnet").ok();
}

/// Ports of a container without IPv6, and the network's own default address.
fn only_one_family(engine: &Engine, host: &Net, far: &Net) {
    engine.done("network create -d lanyard --subnet 10.97.0.0/24 four");
    engine.stay("v4", "--net four -p 8084:7001 -p 8084:7001/udp");
    let _service = tell(engine, "v4");
    told(far, "192.0.2.1:8084", "v4 192.0.2.2");
    for to in ["127.0.0.1:8084", "[::1]:8084", "[2001:db8::1]:8084"] {
        told(host, to, "v4 10.97.0.1");
    }
    told(far, "[2001:db8::1]:8084", "v4 10.97.0.1");
    engine.done(
        "network create -d lanyard --subnet 10.96.0.0/24 -o com.docker.network.bridge.host_binding_ipv4=192.0.2.1 bound",
    );
    engine.stay("bound", "--net bound -p 8085:7001 -p 127.0.0.1:8086:7001");
    let _service = tell(engine, "bound");
    assert_eq!(far.ask(By::Tcp, "192.0.2.1:8085"), "bound 192.0.2.2", "the network's own default address");
    assert!(host.is_denied(By::Tcp, "127.0.0.1:8085"), "host_binding_ipv4 is one address");
    assert!(host.ask(By::Tcp, "127.0.0.1:8086").starts_with("bound "), "an address of its own goes first");
}

#[test]
fn a_port_has_one_owner() {
    if !harness::ready("a_port_has_one_owner", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let outside = engine.outside("far");
    let (host, far) = (engine.net(), Net::from(&outside));
    engine.done(LAN);
    engine.done(OTHER);
    engine.stay("web", "--net lan -p 8080:7001 -p 8080:7001/udp");
    let service = tell(&engine, "web");
    let before = engine.traces();
    let refused = |outcome: &Outcome, port: &str| {
        let words = format!("Bind for 0.0.0.0:{port} failed: port is already allocated");
        assert!(outcome.code != Some(0) && outcome.err.contains(&words), "{outcome:?}");
        assert_eq!(engine.inspect("late")["State"]["Running"], false, "it is not started");
        engine.done("rm -f late");
        assert_eq!(engine.traces(), before, "nothing is left of a container that was not started");
    };
    refused(&engine.docker("run -d --name late --net other -p 8080:80 busybox sleep 1000"), "8080");
    refused(&engine.docker("run -d --name late --net lan -p 8181:81 -p 8080:80/udp busybox sleep 1000"), "8080");
    let program = host.listen("0.0.0.0:8090");
    refused(&engine.docker("run -d --name late --net lan -p 8090:80 busybox sleep 1000"), "8090");
    drop(program);

    for at in ["0.0.0.0:8080", "127.0.0.1:8080", "[::]:8080", "192.0.2.1:8080"] {
        let (tcp, udp) = host.inside(|| (TcpListener::bind(at).err(), UdpSocket::bind(at).err()));
        for error in [tcp, udp] {
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::AddrInUse), "a program binds {at}");
        }
    }
    told(&far, "192.0.2.1:8080", "web 192.0.2.2");

    // A client that keeps sending from one port gets to whoever has the published port now.
    let client = far.udp("192.0.2.2:5555");
    client.connect("192.0.2.1:8080").unwrap();
    let client6 = far.udp("[2001:db8::2]:5555");
    client6.connect("[2001:db8::1]:8080").unwrap();
    assert_eq!(exchange(&client, 4), "web 192.0.2.2");
    assert_eq!(exchange(&client6, 4), "web 2001:db8::2");
    drop(service);
    engine.done("rm -f web");
    assert_eq!((exchange(&client, 2), exchange(&client6, 2)), (String::new(), String::new()));
    engine.stay("next", "--net lan --ip 10.99.0.77 --ip6 fd00:99::77 -p 8080:7001 -p 8080:7001/udp");
    let _service = tell(&engine, "next");
    assert_eq!(exchange(&client, 6), "next 192.0.2.2", "the flow goes on to the old container");
    assert_eq!(exchange(&client6, 6), "next 2001:db8::2", "the flow goes on to the old container, by IPv6");
}

#[test]
fn ports_follow_the_containers_way_out() {
    if !harness::ready("ports_follow_the_containers_way_out", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let outside = engine.outside("far");
    let far = Net::from(&outside);
    engine.done("network create -d lanyard --subnet 10.81.0.0/24 alpha");
    engine.done("network create -d lanyard --subnet 10.82.0.0/24 middle");
    engine.stay("web", "--net middle -p 8080:7001 -p 7001/udp");
    let _service = tell(&engine, "web");
    let [free] = port_of(&engine, 7001, "udp", "0.0.0.0")[..] else { panic!("one port") };
    let check = |way_out: &str| {
        let routes = engine.exec("web", "route -n").ok();
        assert!(routes.lines().any(|line| line.starts_with("0.0.0.0") && line.contains(way_out)), "{routes}");
        assert_eq!(port_of(&engine, 7001, "udp", "0.0.0.0"), [free], "the number stays, by {way_out}");
        assert_eq!(far.ask(By::Tcp, "192.0.2.1:8080"), "web 192.0.2.2", "by {way_out}");
        assert_eq!(far.ask(By::Udp, &format!("192.0.2.1:{free}")), "web 192.0.2.2", "by {way_out}");
    };
    check("10.82.0.1");
    engine.done("network connect alpha web");
    check("10.81.0.1");
    engine.done("network disconnect alpha web");
    check("10.82.0.1");
    engine.done("network connect alpha web");
    engine.done("network disconnect middle web");
    check("10.81.0.1");
    engine.done("rm -f web");
    assert!(far.is_denied(By::Tcp, "192.0.2.1:8080"));
    drop(engine.net().listen("0.0.0.0:8080"));
}

#[test]
fn ten_thousand_ports_and_swept_rules() {
    if !harness::ready("ten_thousand_ports_and_swept_rules", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let outside = engine.outside("far");
    let far = Net::from(&outside);
    engine.done(LAN);
    engine.stay("web", "--net lan -p 8080:7001");
    let _service = tell(&engine, "web");
    let before = engine.traces();
    let start = Instant::now();
    engine.stay("many", "--net lan -p 20000-29999:20000-29999");
    let up = start.elapsed();
    let many = engine.net_of("many");
    for port in [20000, 25000, 29999] {
        let _service = Teller::start(&many, "many", &format!("[::]:{port}"));
        assert_eq!(far.ask(By::Tcp, &format!("192.0.2.1:{port}")), "many 192.0.2.2", "port {port}");
        assert_eq!(far.ask(By::Tcp, &format!("[2001:db8::1]:{port}")), "many 2001:db8::2", "port {port}");
    }
    let rules = engine.host("nft list table inet lanyard").ok();
    assert_eq!(rules.matches("20000-29999 : 10.99.0.").count(), 1, "one element for the range: {rules}");
    assert!(!rules.contains("20001"), "{rules}");
    drop(many);
    let start = Instant::now();
    engine.done("rm -f many");
    println!("10,000 ports: docker run {up:?}, docker rm {:?}", start.elapsed());
    assert!(up < Duration::from_secs(20), "{up:?}");
    assert_eq!(engine.traces(), before, "nothing is left of the range");

    let swept = |how: &str| {
        engine.host(how).ok();
        let start = Instant::now();
        // Without rules the one who keeps the port carries, and the client's address is lost.
        wait_for(&format!("the rules are back after {how}"), Duration::from_secs(10), || {
            far.ask(By::Tcp, "192.0.2.1:8080") == "web 192.0.2.2"
                && far.ask(By::Tcp, "[2001:db8::1]:8080") == "web 2001:db8::2"
        });
        println!("{how}: reached again after {:?}", start.elapsed());
        let out = engine.exec("web", "ping -c 1 -W 2 192.0.2.2");
        assert_eq!(out.code, Some(0), "the world is reached after {how}: {out:?}");
    };
    swept("nft flush ruleset");
    swept("iptables -P FORWARD DROP; iptables -F; ip6tables -P FORWARD DROP; ip6tables -F");
    swept("nft delete table inet lanyard");
    engine.done("rm -f web");
    engine.done("network rm lan");
    let left = engine.traces();
    assert!(!left.to_lowercase().contains("lanyard"), "{left}");
}
