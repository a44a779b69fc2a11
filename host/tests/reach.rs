//! Who reaches whom, and as whom is he seen? Real sockets in namespaces of the test's own, with the rules in force.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use lanyard_host::{Firewall, Mode, Plan, Protocol};
use world::{SILENCE, World, plan, publish, ready};

fn apply(world: &World, plan: &Plan) -> Firewall {
    world.host.enter(|| {
        let firewall = Firewall::open().unwrap();
        firewall.apply(plan).unwrap();
        assert!(firewall.verify().unwrap(), "what was applied holds");
        firewall
    })
}

/// By TCP only: a UDP server bound to every address answers from another than it was asked at.
#[track_caller]
fn tcp_reaches(world: &World, to: &str) {
    let said = world.a1.ask(Protocol::Tcp, to, world::PATIENCE).unwrap();
    assert!(said.ends_with("sees 10.1.0.2"), "{said}");
}

#[test]
fn the_world_outside() {
    if !ready("the_world_outside", &["ping"]) {
        return;
    }
    let world = World::new();
    world.a1.misses("192.0.2.9:80");
    let mut wanted = plan();
    let firewall = apply(&world, &wanted);
    assert_eq!(world.forwards(), "1\n1\n");
    world.a1.reaches("192.0.2.9:80", "0.0.0.0:80", "192.0.2.1");
    world.a1.reaches("[2001:db8::9]:80", "[::]:80", "2001:db8::1");
    tcp_reaches(&world, "192.0.2.1:90");
    world.host.reaches("10.1.0.2:80", "0.0.0.0:80", "10.1.0.1");
    assert!(world.host.pings("10.1.0.2") && world.a1.pings("10.1.0.1") && world.a1.pings("192.0.2.9"));
    for own in ["10.1.0.2:80", "[fd00:a::2]:80"] {
        world.outside.misses(own);
        world.b1.misses(own);
    }
    wanted.networks[0].masquerade = false;
    wanted.networks[1].snat_v4 = Some("192.0.2.77".parse().unwrap());
    world.host.run("ip addr add 192.0.2.77/32 dev up0");
    world.host.enter(|| firewall.apply(&wanted)).unwrap();
    world.a1.reaches("192.0.2.9:80", "0.0.0.0:80", "10.1.0.2");
    world.a1.reaches("[2001:db8::9]:80", "[::]:80", "fd00:a::2");
    world.b1.reaches("192.0.2.9:80", "0.0.0.0:80", "192.0.2.77");
    world.outside.misses("10.1.0.2:80");
}

#[test]
fn published_ports() {
    if !ready("published_ports", &[]) {
        return;
    }
    let world = World::new();
    let mut wanted = plan();
    publish(&mut wanted, "ly-a", "0.0.0.0", 8080, "10.1.0.2");
    publish(&mut wanted, "ly-a", "::", 8080, "fd00:a::2");
    publish(&mut wanted, "ly-b", "192.0.2.1", 8081, "10.2.0.2");
    publish(&mut wanted, "ly-b", "127.0.0.1", 8082, "10.2.0.2");
    publish(&mut wanted, "ly-a", "0.0.0.0", 80, "10.1.0.2");
    let _firewall = apply(&world, &wanted);
    // From outside, with the client's own address.
    world.outside.reaches("192.0.2.1:8080", "0.0.0.0:80", "192.0.2.9");
    world.outside.reaches("192.0.2.1:80", "0.0.0.0:80", "192.0.2.9");
    world.outside.reaches("[2001:db8::1]:8080", "[::]:80", "2001:db8::9");
    world.outside.reaches("192.0.2.1:8081", "0.0.0.0:80", "192.0.2.9");
    world.outside.misses("192.0.2.1:8082");
    // From the host, on every address.
    world.host.reaches("127.0.0.1:8080", "0.0.0.0:80", "10.1.0.1");
    world.host.reaches("127.0.0.1:8082", "0.0.0.0:80", "10.2.0.1");
    world.host.reaches("192.0.2.1:8080", "0.0.0.0:80", "192.0.2.1");
    world.host.reaches("10.1.0.1:8080", "0.0.0.0:80", "10.1.0.1");
    world.host.reaches("[2001:db8::1]:8080", "[::]:80", "2001:db8::1");
    world.host.misses("127.0.0.1:8081");
    // From the same network, from the container itself, from another network.
    world.a2.reaches("192.0.2.1:8080", "0.0.0.0:80", "10.1.0.1");
    world.a1.reaches("192.0.2.1:8080", "0.0.0.0:80", "10.1.0.1");
    world.a1.reaches("10.1.0.1:8080", "0.0.0.0:80", "10.1.0.1");
    world.a2.reaches("[2001:db8::1]:8080", "[::]:80", "fd00:a::1");
    assert!(world.b1.ask(Protocol::Tcp, "192.0.2.1:8080", SILENCE).is_some());
    assert!(world.b1.ask(Protocol::Udp, "192.0.2.1:8080", SILENCE).is_some());
    world.b1.misses("10.1.0.2:80");
}

#[test]
fn loopback_stays_the_hosts_own() {
    if !ready("loopback_stays_the_hosts_own", &[]) {
        return;
    }
    let world = World::new();
    let mut wanted = plan();
    publish(&mut wanted, "ly-a", "127.0.0.1", 8080, "10.1.0.2");
    publish(&mut wanted, "ly-a", "0.0.0.0", 8081, "10.1.0.2");
    let _firewall = apply(&world, &wanted);
    // Neighbours that send 127.0.0.1 to the host, and a host that would take it.
    world.host.run("for i in all up0; do echo 1 > /proc/sys/net/ipv4/conf/$i/route_localnet; done");
    for (space, gateway) in [(&world.outside, "192.0.2.1"), (&world.a1, "10.1.0.1")] {
        space.run(&format!(
            "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip addr del 127.0.0.1/8 dev lo; \
             ip route add 127.0.0.1/32 via {gateway} dev eth0"
        ));
        for port in [8080, 8081] {
            space.misses(&format!("127.0.0.1:{port}"));
        }
    }
    world.a1.misses("127.0.0.1:90");
    world.host.reaches("127.0.0.1:8080", "0.0.0.0:80", "10.1.0.1");
}

#[test]
fn modes() {
    if !ready("modes", &["ping"]) {
        return;
    }
    let world = World::new();
    let mut wanted = plan();
    publish(&mut wanted, "ly-a", "0.0.0.0", 8080, "10.1.0.2");
    publish(&mut wanted, "ly-a", "::", 8080, "fd00:a::2");
    for mode in [Mode::Routed, Mode::NatUnprotected] {
        wanted.networks[0].mode_v4 = mode;
        wanted.networks[0].mode_v6 = mode;
        let _firewall = apply(&world, &wanted);
        world.outside.reaches("10.1.0.2:80", "0.0.0.0:80", "192.0.2.9");
        world.outside.reaches("[fd00:a::2]:80", "[::]:80", "2001:db8::9");
        assert!(world.outside.pings("10.1.0.3") && world.outside.pings("fd00:a::3"));
        world.b1.misses("10.1.0.2:80");
        if mode == Mode::Routed {
            world.outside.misses("10.1.0.3:80");
            world.outside.misses("[fd00:a::3]:80");
            world.outside.misses("192.0.2.1:8080");
            world.a1.reaches("192.0.2.9:80", "0.0.0.0:80", "10.1.0.2");
        } else {
            world.outside.reaches("10.1.0.3:80", "0.0.0.0:80", "192.0.2.9");
            world.outside.reaches("192.0.2.1:8080", "0.0.0.0:80", "192.0.2.9");
            world.a1.reaches("192.0.2.9:80", "0.0.0.0:80", "192.0.2.1");
        }
    }
    let mut trusting = plan();
    trusting.networks[0].trusted.push("up0".to_owned());
    let _firewall = apply(&world, &trusting);
    world.outside.reaches("10.1.0.3:80", "0.0.0.0:80", "192.0.2.9");
    world.outside.misses("10.2.0.2:80");
}

#[test]
fn internal_and_isolated() {
    if !ready("internal_and_isolated", &["ping"]) {
        return;
    }
    let world = World::new();
    let mut wanted = plan();
    publish(&mut wanted, "ly-a", "0.0.0.0", 8080, "10.1.0.2");
    wanted.networks[0].internal = true;
    let firewall = apply(&world, &wanted);
    world.a1.misses("192.0.2.9:80");
    world.a1.misses("[2001:db8::9]:80");
    world.a1.misses("10.2.0.2:80");
    world.outside.misses("192.0.2.1:8080");
    world.outside.misses("10.1.0.2:80");
    world.b1.misses("10.1.0.2:80");
    world.a1.reaches("10.1.0.1:90", "0.0.0.0:90", "10.1.0.2");
    world.host.reaches("10.1.0.2:80", "0.0.0.0:80", "10.1.0.1");
    world.b1.reaches("192.0.2.9:80", "0.0.0.0:80", "192.0.2.1");
    wanted.networks[0].mode_v4 = Mode::Isolated;
    world.host.enter(|| firewall.apply(&wanted)).unwrap();
    world.a1.misses("10.1.0.1:90");
    world.host.misses("10.1.0.2:80");
    assert!(!world.host.pings("10.1.0.2"));
    world.host.reaches("[fd00:a::2]:80", "[::]:80", "fd00:a::1");
}

#[test]
fn containers_of_a_network_whose_containers_are_apart() {
    if !ready("containers_of_a_network_whose_containers_are_apart", &[]) {
        return;
    }
    let world = World::new();
    // A second subnet, which a2 alone has: a1 reaches it through the host only.
    world.host.run("ip addr add 10.3.0.1/24 dev ly-a");
    world.a2.run("ip addr add 10.3.0.2/24 dev eth0");
    let mut wanted = plan();
    wanted.networks[0].subnets.push("10.3.0.0/24".parse().unwrap());
    publish(&mut wanted, "ly-a", "0.0.0.0", 8080, "10.1.0.3");
    let firewall = apply(&world, &wanted);
    tcp_reaches(&world, "10.3.0.2:80");
    wanted.networks[0].icc = false;
    world.host.enter(|| firewall.apply(&wanted)).unwrap();
    world.a1.misses("10.3.0.2:80");
    world.a1.reaches("192.0.2.1:8080", "0.0.0.0:80", "10.1.0.1");
    world.a1.reaches("10.1.0.1:90", "0.0.0.0:90", "10.1.0.2");
}

#[test]
fn a_container_is_not_told_of_shorter_ways() {
    if !ready("a_container_is_not_told_of_shorter_ways", &["ping"]) {
        return;
    }
    let world = World::new();
    let _firewall = apply(&world, &plan());
    world.a1.run("ip route add 10.1.0.3/32 via 10.1.0.1");
    // The kernel itself drops redirects about a flow's first packet, while its translation is undecided.
    world.a1.run("ping -c 5 -i 0.1 10.1.0.3");
    let told = "set -- $(grep ^Icmp: /proc/thread-self/net/snmp | awk 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == \"InRedirects\") n = i } \
                NR == 2 { print $n }'); echo $1";
    assert_eq!(world.a1.run(told), "0\n");
    let made = world.host.run(&told.replace("InRedirects", "OutRedirects"));
    assert_ne!(made, "0\n", "the host would have told it");
}
