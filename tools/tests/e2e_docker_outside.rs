//! How far does a container reach, and who reaches it? The host, the world behind the host, other networks; with dockerd's
//! own rules in place, whose FORWARD drops what nobody lets pass.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod dockerd;
mod harness;

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};
use std::thread;
use std::time::Duration;

use dockerd::net::{By, Net, Teller};
use dockerd::{Engine, PROGRAMS};
use harness::{Host, wait_for};

/// A network with both families.
const LAN: &str = "network create -d lanyard --ipv6 --subnet 10.99.0.0/24 --subnet fd00:99::/64";

/// The host's addresses towards the outside, and the other end's.
const HOST: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const OUTSIDE: [&str; 2] = ["192.0.2.2", "2001:db8::2"];

fn at(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn pings(engine: &Engine, container: &str, ip: &str) -> bool {
    let ping = if ip.contains(':') { "ping6" } else { "ping" };
    engine.exec(container, &format!("{ping} -c 1 -W 1 {ip}")).code == Some(0)
}

/// The first may have to wait until the interface and its neighbours are ready.
fn reaches(engine: &Engine, container: &str, ip: &str) {
    wait_for(&format!("{container} pings {ip}"), Duration::from_secs(5), || pings(engine, container, ip));
}

fn forward_drops(engine: &Engine) {
    let policy = engine.host("iptables -S FORWARD").ok();
    assert!(policy.contains("-P FORWARD DROP"), "dockerd's own policy: {policy}");
    let policy = engine.host("ip6tables -P FORWARD DROP && ip6tables -S FORWARD").ok();
    assert!(policy.contains("-P FORWARD DROP"), "{policy}");
}

#[test]
fn the_host_and_a_container_reach_each_other() {
    if !harness::ready("the_host_and_a_container_reach_each_other", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    engine.host("ip addr add 198.51.100.1/32 dev lo").ok();
    let before = engine.traces();
    engine.done(&format!("{LAN} --gateway 10.99.0.1 --gateway fd00:99::1 -o com.docker.network.bridge.name=lan0 lan"));
    engine.stay("aa", "--net lan --ip 10.99.0.7 --ip6 fd00:99::7");
    let shown = engine.host("ip -br addr show dev lan0").ok();
    assert!(shown.contains("10.99.0.1/24") && shown.contains("fd00:99::1/64"), "{shown}");
    for ip in ["10.99.0.1", "198.51.100.1", "fd00:99::1"] {
        reaches(&engine, "aa", ip);
    }
    for ip in ["10.99.0.7", "fd00:99::7"] {
        let said = engine.host(&format!("ping -n -c 2 -i 0.1 -W 1 {ip}"));
        assert!(said.code == Some(0) && said.out.contains(" 0% packet loss"), "the host pings {ip}: {said:?}");
    }
    let (host, a) = (engine.net(), engine.net_of("aa"));
    for (ip, own) in [("10.99.0.1", "10.99.0.7"), ("198.51.100.1", "10.99.0.7"), ("fd00:99::1", "fd00:99::7")] {
        let _service = Teller::start(&host, "host", &at(ip, 7000));
        for by in By::BOTH {
            assert_eq!(a.ask(by, &at(ip, 7000)), format!("host {own}"), "{by:?}, a service of the host at {ip}");
        }
    }
    let _service = Teller::start(&a, "aa", "[::]:7001");
    for (ip, from) in [("10.99.0.7", "10.99.0.1"), ("fd00:99::7", "fd00:99::1")] {
        for by in By::BOTH {
            assert_eq!(host.ask(by, &at(ip, 7001)), format!("aa {from}"), "{by:?}, the host asks {ip}");
        }
    }
    drop((host, a));
    engine.done("rm -f aa");
    engine.done("network rm lan");
    assert_eq!(engine.traces(), before, "nothing is left of the network");
}

/// What comes out at the other end, of so many octets; both ways, at once.
fn transfer(from: &Net, to: &Net, ip: &str) {
    const OCTETS: usize = 8 << 20;
    let octets: Vec<u8> =
        (0..OCTETS as u64).map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect();
    let listener = to.listen(&at(ip, 7100));
    let mut near = from.connect(&at(ip, 7100), Duration::from_secs(3)).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    for end in [&near, &far] {
        end.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        end.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    thread::scope(|scope| {
        for end in [&near, &far] {
            let (mut writer, octets) = (end.try_clone().unwrap(), &octets);
            scope.spawn(move || {
                writer.write_all(octets).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
        }
        for (end, way) in [(&mut far, "out"), (&mut near, "in")] {
            let octets = &octets;
            scope.spawn(move || {
                let mut got = Vec::with_capacity(OCTETS);
                end.read_to_end(&mut got).unwrap();
                assert!(got == *octets, "{way} by {ip}: {} of {OCTETS} octets, or other ones", got.len());
            });
        }
    });
}

/// Masquerade of a container `a` of a network with both families.
fn masquerades(engine: &Engine, outside: &Host) {
    let (a, far) = (engine.net_of("aa"), Net::from(outside));
    for (ip, seen) in OUTSIDE.into_iter().zip(HOST) {
        reaches(engine, "aa", ip);
        let _service = Teller::start(&far, "far", &at(ip, 7000));
        for by in By::BOTH {
            assert_eq!(a.ask(by, &at(ip, 7000)), format!("far {seen}"), "{by:?} to {ip}");
        }
        transfer(&a, &far, ip);
    }
}

#[test]
fn the_world_is_reached_from_the_hosts_address() {
    if !harness::ready("the_world_is_reached_from_the_hosts_address", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let outside = engine.outside("far");
    engine.host("ip addr add 198.51.100.1/32 dev lo && ip addr add 2001:db8:1::1/128 dev lo").ok();
    for route in ["10.0.0.0/8", "198.51.100.1/32"] {
        outside.run(&format!("ip route add {route} via 192.0.2.1")).ok();
    }
    for route in ["fd00::/16", "2001:db8:1::1/128"] {
        outside.run(&format!("ip -6 route add {route} via 2001:db8::1")).ok();
    }
    forward_drops(&engine);
    let before = engine.traces();
    engine.done(&format!("{LAN} lan"));
    engine.stay("aa", "--net lan --ip 10.99.0.7 --ip6 fd00:99::7");
    masquerades(&engine, &outside);
    let far = Net::from(&outside);
    let service = Teller::start(&engine.net_of("aa"), "aa", "[::]:7001");
    for ip in ["10.99.0.7", "fd00:99::7"] {
        for by in By::BOTH {
            assert!(far.is_denied(by, &at(ip, 7001)), "{by:?}: {ip} is reached from outside, and nothing is published");
        }
    }
    drop(service);

    engine.done(
        "network create -d lanyard --ipv6 --subnet 10.98.0.0/24 --subnet fd00:98::/64 \
         -o com.docker.network.bridge.enable_ip_masquerade=false plain",
    );
    engine.stay("bb", "--net plain --ip 10.98.0.7 --ip6 fd00:98::7");
    engine.done(
        "network create -d lanyard --ipv6 --subnet 10.97.0.0/24 --subnet fd00:97::/64 \
         -o com.docker.network.host_ipv4=198.51.100.1 -o com.docker.network.host_ipv6=2001:db8:1::1 labelled",
    );
    engine.stay("cc", "--net labelled");
    for (container, seen) in [("bb", ["10.98.0.7", "fd00:98::7"]), ("cc", ["198.51.100.1", "2001:db8:1::1"])] {
        let net = engine.net_of(container);
        for (ip, seen) in OUTSIDE.into_iter().zip(seen) {
            reaches(&engine, container, ip);
            let _service = Teller::start(&far, "far", &at(ip, 7000));
            for by in By::BOTH {
                assert_eq!(net.ask(by, &at(ip, 7000)), format!("far {seen}"), "{by:?} from {container} to {ip}");
            }
        }
    }
    engine.done("rm -f aa bb cc");
    engine.done("network rm lan plain labelled");
    assert_eq!(engine.traces(), before, "nothing is left of the networks");
}

#[test]
fn legacy_iptables_let_pass_as_well() {
    if !harness::ready("legacy_iptables_let_pass_as_well", PROGRAMS) {
        return;
    }
    let engine = Engine::with_legacy_iptables();
    let outside = engine.outside("far");
    let version = engine.host("iptables -V").ok();
    assert!(version.contains("legacy"), "{version}");
    forward_drops(&engine);
    let before = engine.traces();
    engine.done(&format!("{LAN} lan"));
    engine.stay("aa", "--net lan -p 8080:7001 -p 8080:7001/udp");
    masquerades(&engine, &outside);
    let _service = Teller::start(&engine.net_of("aa"), "aa", "[::]:7001");
    let far = Net::from(&outside);
    for (ip, own) in HOST.into_iter().zip(OUTSIDE) {
        for by in By::BOTH {
            assert_eq!(far.ask(by, &at(ip, 8080)), format!("aa {own}"), "{by:?} to the published port at {ip}");
        }
    }
    // Nobody tells of a change here: it is looked for.
    engine.host("iptables -F && iptables -P FORWARD DROP && ip6tables -F && nft flush ruleset").ok();
    wait_for("the rules are back", Duration::from_secs(8), || {
        By::BOTH.into_iter().all(|by| !far.is_denied(by, &at(HOST[0], 8080)) && !far.is_denied(by, &at(HOST[1], 8080)))
    });
    reaches(&engine, "aa", OUTSIDE[0]);
    engine.done("rm -f aa");
    engine.done("network rm lan");
    let ours = |text: &str| text.lines().filter(|line| line.to_lowercase().contains("lanyard")).count();
    assert_eq!((ours(&before), ours(&engine.traces())), (0, 0), "{}", engine.traces());
}

/// Everybody's addresses, where everybody has a service on port 7001.
fn tellers(engine: &Engine, containers: &[&str]) -> Vec<Teller> {
    containers.iter().map(|name| Teller::start(&engine.net_of(name), name, "[::]:7001")).collect()
}

#[test]
fn networks_are_apart() {
    if !harness::ready("networks_are_apart", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let outside = engine.outside("far");
    for (name, subnets, more) in [
        ("one", "--subnet 10.91.0.0/24 --subnet fd00:91::/64", ""),
        ("two", "--subnet 10.92.0.0/24 --subnet fd00:92::/64", ""),
        ("alone", "--subnet 10.93.0.0/24 --subnet fd00:93::/64", "-o com.docker.network.bridge.enable_icc=false"),
        ("inner", "--subnet 10.94.0.0/24 --subnet fd00:94::/64", "--internal"),
    ] {
        engine.done(&format!("network create -d lanyard --ipv6 {subnets} {more} {name}"));
    }
    engine.stay("aa", "--net one --ip 10.91.0.7 --ip6 fd00:91::7");
    engine.stay("bb", "--net two --ip 10.92.0.7 --ip6 fd00:92::7 -p 8080:7001 -p 8080:7001/udp");
    engine.stay("old", "-p 8081:7001");
    let docker0 = engine.done("inspect -f {{.NetworkSettings.IPAddress}} old");
    let mut services = tellers(&engine, &["aa", "bb", "old"]);
    let (a, old) = (engine.net_of("aa"), engine.net_of("old"));

    for ip in ["10.92.0.7", "fd00:92::7", &docker0] {
        assert!(!pings(&engine, "aa", ip), "a pings {ip} of another network");
        for by in By::BOTH {
            assert!(a.is_denied(by, &at(ip, 7001)), "{by:?}: a reaches {ip} of another network");
        }
    }
    for ip in ["10.91.0.7", "10.92.0.7"] {
        assert!(!pings(&engine, "old", ip), "a container on docker0 pings {ip}");
        assert!(old.is_denied(By::Tcp, &at(ip, 7001)), "a container on docker0 reaches {ip}");
    }
    // By the host's addresses what is published is for everybody. Such a client is seen under the gateway's address, as
    // with docker0: a container that is on both networks would otherwise answer past the host.
    for ip in [HOST[0], "10.92.0.1", "10.91.0.1"] {
        for by in By::BOTH {
            assert_eq!(a.ask(by, &at(ip, 8080)), "bb 10.92.0.1", "{by:?}: a asks {ip}");
        }
        assert!(old.ask(By::Tcp, &at(ip, 8080)).starts_with("bb "), "a container on docker0 asks {ip}");
    }
    assert!(a.ask(By::Tcp, &at(HOST[0], 8081)).starts_with("old "), "what docker0's container publishes");
    assert_eq!(a.ask(By::Tcp, &at(HOST[1], 8080)), "bb fd00:92::1", "by IPv6");

    without_icc(&engine, &outside);
    internal(&engine, &outside, &mut services);
}

/// Containers do not reach each other, but the gateway and the world.
fn without_icc(engine: &Engine, outside: &Host) {
    engine.stay("cc", "--net alone --ip 10.93.0.7 --ip6 fd00:93::7");
    engine.stay("dd", "--net alone --ip 10.93.0.8 --ip6 fd00:93::8 -p 8082:7001");
    let (c, far) = (engine.net_of("cc"), Net::from(outside));
    let _services = tellers(engine, &["dd"]);
    for ip in ["10.93.0.1", "fd00:93::1", OUTSIDE[0], OUTSIDE[1]] {
        reaches(engine, "cc", ip);
    }
    for ip in ["10.93.0.8", "fd00:93::8"] {
        assert!(!pings(engine, "cc", ip), "icc=false: c pings {ip}");
        assert!(c.is_denied(By::Tcp, &at(ip, 7001)), "icc=false: c reaches {ip}");
    }
    // By hand over the gateway: a route to the neighbour that leaves by the router.
    c.inside(|| std::process::Command::new("ip").args("route add 10.93.0.8/32 via 10.93.0.1".split(' ')).status())
        .unwrap();
    assert!(c.is_denied(By::Tcp, "10.93.0.8:7001"), "icc=false: c reaches d over the gateway");
    assert_eq!(far.ask(By::Tcp, "192.0.2.1:8082"), "dd 192.0.2.2", "what is published is reached from outside");
    assert!(c.ask(By::Tcp, "192.0.2.1:8082").starts_with("dd "), "and by the host's address");
}

/// No way out and none in, but for the host.
fn internal(engine: &Engine, outside: &Host, services: &mut Vec<Teller>) {
    engine.stay("ee", "--net inner --ip 10.94.0.7 --ip6 fd00:94::7 -p 8083:7001");
    engine.stay("ff", "--net inner --ip 10.94.0.8 --ip6 fd00:94::8");
    services.extend(tellers(engine, &["ee"]));
    let (host, far) = (engine.net(), Net::from(outside));
    let routes = engine.exec("ee", "route -n").ok();
    assert!(!routes.lines().any(|line| line.starts_with("0.0.0.0")), "--internal has a default route: {routes}");
    for ip in ["10.94.0.1", "fd00:94::1"] {
        reaches(engine, "ee", ip);
    }
    assert_eq!(engine.net_of("ff").ask(By::Tcp, "10.94.0.7:7001"), "ee 10.94.0.8", "containers reach each other");
    assert_eq!(host.ask(By::Tcp, "10.94.0.7:7001"), "ee 10.94.0.1", "the host reaches it");
    assert!(far.is_denied(By::Tcp, "192.0.2.1:8083"), "a port of --internal is published");
    assert!(host.is_denied(By::Tcp, "127.0.0.1:8083"), "a port of --internal is published on the host");
    // Not even one that makes its own route.
    let e = engine.net_of("ee");
    e.inside(|| {
        for route in ["route add default via 10.94.0.1", "-6 route add default via fd00:94::1"] {
            std::process::Command::new("ip").args(route.split(' ')).status().unwrap();
        }
    });
    let _service = Teller::start(&far, "far", "[::]:7000");
    for ip in OUTSIDE {
        assert!(!pings(engine, "ee", ip), "--internal pings {ip}");
        for by in By::BOTH {
            assert!(e.is_denied(by, &at(ip, 7000)), "--internal reaches {ip} by {by:?}");
        }
    }
    assert!(e.is_denied(By::Tcp, "10.92.0.7:7001"), "--internal reaches another network");
    outside.run("ip route add 10.94.0.0/24 via 192.0.2.1").ok();
    assert!(far.is_denied(By::Tcp, "10.94.0.7:7001"), "--internal is reached from outside");
}

#[test]
fn routed_and_isolated_networks() {
    if !harness::ready("routed_and_isolated_networks", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let outside = engine.outside("far");
    outside.run("ip route add 10.0.0.0/8 via 192.0.2.1").ok();
    outside.run("ip -6 route add fd00::/16 via 2001:db8::1").ok();
    forward_drops(&engine);
    engine.done(
        "network create -d lanyard --ipv6 --subnet 10.95.0.0/24 --subnet fd00:95::/64 \
         -o com.docker.network.bridge.gateway_mode_ipv4=routed -o com.docker.network.bridge.gateway_mode_ipv6=routed own",
    );
    engine.stay("aa", "--net own --ip 10.95.0.7 --ip6 fd00:95::7 -p 8080:7001 -p 7001/udp");
    let (a, far, host) = (engine.net_of("aa"), Net::from(&outside), engine.net());
    let _services = [Teller::start(&a, "aa", "[::]:7001"), Teller::start(&a, "aa", "[::]:7002")];
    let _far = Teller::start(&far, "far", "[::]:7000");
    for ((own, ip), through) in ["10.95.0.7", "fd00:95::7"].into_iter().zip(OUTSIDE).zip(HOST) {
        reaches(&engine, "aa", ip);
        assert!(outside.ping(&format!("-c 1 -W 1 {own}")).is_perfect(), "ICMP passes to {own}");
        for by in By::BOTH {
            assert_eq!(a.ask(by, &at(ip, 7000)), format!("far {own}"), "{by:?}: its own address is seen");
            assert_eq!(
                far.ask(by, &at(own, 7001)),
                format!("aa {ip}"),
                "{by:?}: its published port at its own address"
            );
            assert!(far.is_denied(by, &at(own, 7002)), "{by:?}: a port that is not published is reached at {own}");
            assert!(far.is_denied(by, &at(through, 8080)), "{by:?}: nothing is published at the host's {through}");
        }
    }
    assert!(host.is_denied(By::Tcp, "127.0.0.1:8080"), "nothing is published on the host");
    drop(host.listen("0.0.0.0:8080"));

    engine.done(
        "network create -d lanyard --internal --subnet 10.96.0.0/24 \
         -o com.docker.network.bridge.gateway_mode_ipv4=isolated apart",
    );
    engine.stay("bb", "--net apart --ip 10.96.0.7");
    engine.stay("cc", "--net apart --ip 10.96.0.8");
    let _service = Teller::start(&engine.net_of("bb"), "bb", "[::]:7001");
    assert_eq!(engine.net_of("cc").ask(By::Tcp, "10.96.0.7:7001"), "bb 10.96.0.8", "containers reach each other");
    let addresses = engine.host("ip -br addr").ok();
    assert!(!addresses.contains("10.96.0."), "the host is not in an isolated network: {addresses}");
    assert!(!pings(&engine, "bb", "10.96.0.1"), "there is no gateway");
    assert!(host.is_denied(By::Tcp, "10.96.0.7:7001"), "the host reaches an isolated network");
    let ip: IpAddr = "10.96.0.7".parse().unwrap();
    assert!(!outside.ping(&format!("-c 1 -W 1 {ip}")).is_perfect(), "the world reaches an isolated network");
}
