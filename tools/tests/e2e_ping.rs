//! Does everything that ping, arping, tracepath and traceroute can ask come back, between every pair of port kinds, by one
//! worker and by two; and does the gateway answer, route, and say why not?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use harness::{Host, Kind, World, ready};

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv"];

/// Two containers of each kind, 10.20.0.2 onwards.
fn two_of_each(world: &World) -> Vec<(Host, Host)> {
    let host = |kind: Kind, end: &str| world.host(&format!("{}-{end}", kind.name()), kind);
    Kind::ALL.iter().map(|kind| (host(*kind, "a"), host(*kind, "b"))).collect()
}

fn for_each_pair(world: &World, check: impl Fn(&Host, &Host)) {
    let hosts = two_of_each(world);
    for (from, _) in &hosts {
        for (_, to) in &hosts {
            check(from, to);
        }
    }
}

/// Three pings, each answered. One by one: with more than one, `ping` waits for the last no longer than for the others.
fn assert_answered(from: &Host, words: &str) {
    for _ in 0..3 {
        let pings = from.ping(&format!("-c 1 -W 3 {words}"));
        assert!(pings.is_perfect(), "{}: {}", from.name(), pings.text);
    }
}

fn pings_of_all_sizes(workers: usize) {
    let world = World::with_blue(workers, "");
    for_each_pair(&world, |from, to| {
        for size in [0, 1, 56, 1472, 1473, 9000, 65_000] {
            assert_answered(from, &format!("-s {size} {}", to.ip()));
        }
        // Once each, not twice.
        let pings = from.ping(&format!("-c 2 -i 0.1 -W 3 {}", to.ip()));
        assert!(pings.is_perfect(), "{} -> {}: {}", from.name(), to.name(), pings.text);
    });
    // While the first container is alone, what it has to say finds nobody.
    let dropped = world.rows("show drops", |row| row["reason"] != "no-other-port");
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn pings_of_all_sizes_by_one_worker() {
    if ready("pings_of_all_sizes_by_one_worker", TOOLS) {
        pings_of_all_sizes(1);
    }
}

#[test]
fn pings_of_all_sizes_by_two_workers() {
    if ready("pings_of_all_sizes_by_two_workers", TOOLS) {
        pings_of_all_sizes(2);
    }
}

#[test]
fn ipv6_link_local_pings() {
    if !ready("ipv6_link_local_pings", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    for_each_pair(&world, |from, to| {
        let text = to.run("ip -6 -o addr show dev eth0 scope link").ok();
        let address = text.split_whitespace().find(|word| word.starts_with("fe80:")).expect("a link-local address");
        let address = address.split('/').next().unwrap();
        for size in [56, 1452, 1453, 20_000] {
            assert_answered(from, &format!("-6 -s {size} {address}%eth0"));
        }
    });
}

#[test]
fn arping_hears_one_answer_from_the_right_station() {
    if !ready("arping_hears_one_answer_from_the_right_station", &["arping", "ip", "nsenter"]) {
        return;
    }
    let world = World::with_blue(2, "");
    for_each_pair(&world, |from, to| {
        let said = from.run(&format!("arping -c 1 -w 3 -I eth0 {}", to.ip())).ok();
        let mac = to.mac().to_string().to_uppercase();
        assert!(said.contains("Received 1 response(s)") && said.contains(&mac), "{said}");
    });
    let (asker, other) = (world.host("asker", Kind::Tap), world.host("other", Kind::Veth));
    let said = asker.run("arping -c 1 -w 3 -I eth0 10.20.0.1").ok();
    let gateway = world.json("network inspect blue")["gateway_mac"].as_str().unwrap().to_uppercase();
    assert!(said.contains("Received 1 response(s)") && said.contains(&gateway), "{said}");
    // Duplicate address detection (RFC 5227) finds the one who has it, and nobody where nobody has it.
    let detect = |ip: &str| asker.run(&format!("arping -D -c 1 -w 1 -I eth0 {ip}")).code;
    assert_eq!(
        (detect(&other.ip().to_string()), detect("10.20.0.1"), detect("10.20.0.200")),
        (Some(1), Some(1), Some(0))
    );
}

#[test]
fn tracepath_finds_the_mtu() {
    if !ready("tracepath_finds_the_mtu", &["tracepath", "ip", "nsenter"]) {
        return;
    }
    let world = World::with_blue(1, "");
    for_each_pair(&world, |from, to| {
        let said = from.run(&format!("tracepath -n {}", to.ip())).ok();
        assert!(said.contains("pmtu 1500 hops 1 back 1"), "{} -> {}: {said}", from.name(), to.name());
    });
}

/// Networks blue and green, not peered, with a container of this kind on each.
fn two_networks(world: &World, kind: Kind) -> (Host, Host) {
    world.done("network create green --subnet 10.30.0.0/24");
    let (h1, h4) = (world.host("h1", kind), Host::new("h4"));
    world.connect("green", &h4, kind, "");
    (h1, h4)
}

fn gateway_answers(workers: usize) {
    let world = World::with_blue(workers, "");
    for (host, _) in two_of_each(&world) {
        for size in [0, 56, 1472, 1473, 9000, 65_000] {
            assert_answered(&host, &format!("-s {size} 10.20.0.1"));
        }
    }
}

#[test]
fn the_gateway_answers_pings_of_all_sizes() {
    if ready("the_gateway_answers_pings_of_all_sizes", TOOLS) {
        gateway_answers(1);
        gateway_answers(2);
    }
}

fn peered(workers: usize, kind: Kind) {
    let world = World::with_blue(workers, "");
    let (h1, h4) = two_networks(&world, kind);
    world.done("network peer blue green");
    let target = h4.ip();
    // The first is held until the next hop has answered; it is not lost.
    let first = h1.ping(&format!("-c 1 -W 3 {target}"));
    assert!(first.is_perfect() && first.text.contains("ttl=63"), "{kind:?}: {}", first.text);
    for size in [0, 1472, 1473, 65_000] {
        assert_answered(&h1, &format!("-s {size} {target}"));
    }
    for method in ["-I", "-U", ""] {
        let said = h1.run(&format!("traceroute -n {method} -q 1 -w 2 -m 4 {target}")).ok();
        let hops: Vec<&str> = said.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hops, ["10.20.0.1", &target.to_string()], "{kind:?} {method}: {said}");
    }
    let said = h1.run(&format!("tracepath -n {target}")).ok();
    assert!(said.contains("pmtu 1500 hops 2 back 2") && said.contains("10.20.0.1"), "{kind:?}: {said}");
    // The last hop of the way to the gateway is the gateway.
    let said = h1.run("traceroute -n -I -q 1 -w 2 -m 4 10.20.0.1").ok();
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn traceroute_shows_the_gateway_then_the_host() {
    if !ready("traceroute_shows_the_gateway_then_the_host", &["traceroute", "tracepath", "ping", "ip"]) {
        return;
    }
    for (workers, kind) in
        [(1, Kind::Tap), (2, Kind::Tap), (1, Kind::TapWire), (2, Kind::Veth), (1, Kind::VethWire), (2, Kind::Xdp)]
    {
        peered(workers, kind);
    }
}

#[test]
fn networks_are_isolated_until_they_are_peered() {
    if !ready("networks_are_isolated_until_they_are_peered", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let (h1, h4) = two_networks(&world, Kind::Tap);
    let refused = |said: &str| {
        assert!(said.contains("From 10.20.0.1") && said.contains(" 0 received"), "{said}");
        let words = ["prohibited", "unreachable", "filtered"];
        let low = said.to_lowercase();
        assert!(words.iter().any(|word| low.contains(word)), "{said}");
    };
    let ping = |host: &Host, to: &Host| host.run(&format!("ping -n -c 1 -W 2 {}", to.ip())).out;
    refused(&ping(&h1, &h4));
    assert!(world.drops("not-peered") > 0);
    world.done("network peer blue green");
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h4.ip())).is_perfect());
    world.done("network peer blue green --remove");
    refused(&ping(&h1, &h4));
    // Nor does a container reach another network by asking for it where it is.
    h1.run(&format!("ip route add {} dev eth0", h4.ip())).ok();
    assert_eq!(h1.ping(&format!("-c 1 -W 1 {}", h4.ip())).received, 0);
}

#[test]
fn the_gateway_says_what_it_cannot_reach() {
    if !ready("the_gateway_says_what_it_cannot_reach", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let (h1, _h4) = two_networks(&world, Kind::Tap);
    world.done("network peer blue green");
    let said = h1.run("ping -n -c 1 -W 6 10.30.0.99").out;
    assert!(said.contains("From 10.20.0.1") && said.contains("Destination Host Unreachable"), "{said}");
    let said = h1.run("ping -n -c 1 -W 2 203.0.113.9").out;
    assert!(said.contains("From 10.20.0.1") && said.contains("Destination Net Unreachable"), "{said}");
    assert!(world.drops("host-unreachable") > 0 && world.drops("no-route") > 0, "{}", world.json("show drops"));
    // Its own addresses are on both sides; the far one can be reached too.
    assert!(h1.ping("-c 1 -W 2 10.30.0.1").is_perfect());
}

#[test]
fn a_network_without_a_gateway_has_none() {
    if !ready("a_network_without_a_gateway_has_none", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "--gateway-mode none");
    let [h1, h2] = world.hosts(Kind::Tap);
    assert!(h1.ping(&format!("-c 1 -W 2 {}", h2.ip())).is_perfect());
    assert_eq!(h1.run("ip route show default").ok(), "");
    assert!(world.json("network inspect blue")["gateway"].is_null());
    // Whoever claims its gateway's place is asked for it, and nobody else answers.
    let said = h1.run("ping -n -c 1 -W 4 10.20.0.200").out;
    assert!(said.contains(" 0 received"), "{said}");
}
