//! Do the rules hold beside other firewalls, and is the host as it was when they go or fail? With iptables of both kinds,
//! FORWARD policy DROP, dockerd's chains, reloads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use lanyard_host::{Firewall, HostFault, Plan, Watch};
use world::{World, plan, publish, ready, wait_for};

/// Longer than putting back may take. About a second is meant; the machine may be busy.
const SOON: Duration = Duration::from_secs(4);

fn wanted() -> Plan {
    let mut wanted = plan();
    publish(&mut wanted, "ly-a", "0.0.0.0", 8080, "10.1.0.2");
    publish(&mut wanted, "ly-a", "::", 8080, "fd00:a::2");
    wanted
}

fn works(world: &World) {
    world.a1.reaches("192.0.2.9:80", "0.0.0.0:80", "192.0.2.1");
    world.a1.reaches("[2001:db8::9]:80", "[::]:80", "2001:db8::1");
    world.outside.reaches("192.0.2.1:8080", "0.0.0.0:80", "192.0.2.9");
    world.outside.reaches("[2001:db8::1]:8080", "[::]:80", "2001:db8::9");
    world.a1.reaches("192.0.2.1:8080", "0.0.0.0:80", "10.1.0.1");
    world.outside.misses("10.1.0.2:80");
    world.b1.misses("10.1.0.2:80");
}

/// Rules of somebody else, with forwarding dropped, in one iptables.
fn drop_forwarded(world: &World, flavour: &str) {
    for program in ["iptables", "ip6tables"] {
        world.host.run(&format!(
            "p={program}-{flavour}; $p -P FORWARD DROP; $p -A FORWARD -i up0 -p tcp --dport 7 -j ACCEPT; \
             $p -A FORWARD -i up0 -j REJECT; $p -A INPUT -p tcp --dport 9 -j DROP"
        ));
    }
}

#[test]
fn policy_drop() {
    if !ready("policy_drop", &["iptables-nft", "iptables-legacy"]) {
        return;
    }
    for flavours in [&["nft"][..], &["legacy"], &["nft", "legacy"]] {
        let world = World::new();
        world.forward();
        for flavour in flavours {
            drop_forwarded(&world, flavour);
        }
        let before = world.host.ruleset();
        let firewall = Firewall::open().unwrap();
        world.host.enter(|| firewall.apply(&wanted())).unwrap();
        assert!(world.host.enter(|| firewall.verify()).unwrap(), "{flavours:?}");
        works(&world);
        let applied = world.host.ruleset();
        world.host.enter(|| firewall.apply(&wanted())).unwrap();
        assert_eq!(world.host.ruleset(), applied, "applied twice is applied once");
        world.host.enter(|| firewall.clear()).unwrap();
        assert_eq!(world.host.ruleset(), before, "{flavours:?}");
        assert!(!world.host.enter(|| firewall.verify()).unwrap());
        world.host.enter(|| firewall.clear()).unwrap();
        assert_eq!(world.host.ruleset(), before, "cleared twice is cleared once");
    }
}

#[test]
fn nothing_is_made_where_no_iptables_is_in_use() {
    if !ready("nothing_is_made_where_no_iptables_is_in_use", &["iptables-nft", "iptables-legacy"]) {
        return;
    }
    let world = World::new();
    world.forward();
    world
        .host
        .run("nft add table inet mine; nft add chain inet mine passing '{ type filter hook forward priority 0; }'");
    let before = world.host.ruleset();
    let firewall = Firewall::open().unwrap();
    world.host.enter(|| firewall.apply(&wanted())).unwrap();
    assert!(!world.host.ruleset().contains("LANYARD"));
    assert_eq!(world.host.run("cat /proc/thread-self/net/ip_tables_names"), "");
    world.host.enter(|| firewall.clear()).unwrap();
    assert_eq!(world.host.ruleset(), before);
}

/// What a host forwards that did not forward before.
#[test]
fn who_turns_forwarding_on_closes_it() {
    if !ready("who_turns_forwarding_on_closes_it", &["iptables", "ip6tables"]) {
        return;
    }
    let world = World::new();
    let firewall = Firewall::open().unwrap();
    let policies = || world.host.run("iptables -S FORWARD | head -1; ip6tables -S FORWARD | head -1");
    let before = policies();
    assert_eq!((before.as_str(), world.forwards().as_str()), ("-P FORWARD ACCEPT\n-P FORWARD ACCEPT\n", "0\n0\n"));
    world.host.enter(|| firewall.apply(&wanted())).unwrap();
    assert_eq!(policies(), before.replace("ACCEPT", "DROP"));
    works(&world);
    // Neither a second time, nor when the rules go.
    world.host.run("iptables -P FORWARD ACCEPT");
    let mut other = wanted();
    other.networks[1].icc = false;
    world.host.enter(|| firewall.apply(&other)).unwrap();
    assert!(policies().starts_with("-P FORWARD ACCEPT"), "forwarding was on: the policy is its owner's");
    world.host.run("iptables -P FORWARD DROP");
    world.host.enter(|| firewall.clear()).unwrap();
    assert_eq!((policies(), world.forwards()), (before.replace("ACCEPT", "DROP"), "1\n1\n".to_owned()));
}

#[test]
fn put_back_after_a_reload() {
    if !ready("put_back_after_a_reload", &["iptables-nft", "iptables-legacy"]) {
        return;
    }
    let world = World::new();
    let firewall = Arc::new(Firewall::open().unwrap());
    world.host.enter(|| firewall.apply(&wanted())).unwrap();
    let watch = world.host.enter(|| Watch::start(Arc::clone(&firewall))).unwrap();
    let destructive = [
        "nft flush ruleset",
        "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP",
        "iptables-nft -F; iptables-nft -X",
        "iptables-nft -I FORWARD -i up0 -j DROP",
        "nft delete table inet lanyard",
        "nft flush chain inet lanyard prerouting",
        "nft flush map inet lanyard ports4_any",
        "echo 0 > /proc/sys/net/ipv4/ip_forward",
        "iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP",
        "iptables-legacy -F; iptables-legacy -X",
    ];
    for line in destructive {
        world.host.run(line);
        let took = wait_for(line, SOON, || world.host.enter(|| firewall.verify()).unwrap());
        println!("{line}: put back after {took:?}");
    }
    works(&world);
    drop(watch);
    world.host.run("nft delete table inet lanyard");
    std::thread::sleep(Duration::from_millis(800));
    assert!(!world.host.enter(|| firewall.verify()).unwrap(), "nobody watches any more");
}

#[test]
fn beside_dockerd() {
    if !ready("beside_dockerd", &["iptables-nft"]) {
        return;
    }
    let world = World::new();
    // What dockerd 20.10 makes for a bridge; the outside plays a container on it.
    world.host.run(
        "ip addr flush dev up0; ip link set up0 down; ip link set up0 name p0; ip link add up0 type bridge; \
         ip link set p0 master up0 up; ip link set up0 up; ip addr add 192.0.2.1/24 dev up0",
    );
    let docker = "iptables-nft-restore --noflush <<'E'\n*filter\n:FORWARD DROP\n:DOCKER -\n:DOCKER-ISOLATION-STAGE-1 -\n:DOCKER-ISOLATION-STAGE-2 -\n\
        :DOCKER-USER -\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n\
        -A FORWARD -o up0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -o up0 -j DOCKER\n\
        -A FORWARD -i up0 ! -o up0 -j ACCEPT\n-A FORWARD -i up0 -o up0 -j ACCEPT\n\
        -A DOCKER-ISOLATION-STAGE-1 -i up0 ! -o up0 -j DOCKER-ISOLATION-STAGE-2\n-A DOCKER-USER -j RETURN\nCOMMIT\nE";
    world.host.run(docker);
    let firewall = Firewall::open().unwrap();
    world.host.enter(|| firewall.apply(&wanted())).unwrap();
    // A container of ours does not reach dockerd's by its own address; dockerd's reaches what we publish, no more.
    world.a1.misses("192.0.2.9:80");
    world.outside.reaches("192.0.2.1:8080", "0.0.0.0:80", "192.0.2.9");
    world.outside.misses("10.1.0.2:80");
    // What dockerd publishes is reached.
    world.host.run(
        "iptables-nft -t nat -A PREROUTING -p tcp --dport 8888 -m addrtype --dst-type LOCAL -j DNAT --to 192.0.2.9:80; \
         iptables-nft -A DOCKER -d 192.0.2.9 ! -i up0 -o up0 -p tcp --dport 80 -j ACCEPT",
    );
    world.host.enter(|| firewall.apply(&wanted())).unwrap();
    let said = world.a1.ask(lanyard_host::Protocol::Tcp, "192.0.2.1:8888", world::PATIENCE);
    assert_eq!(said.as_deref(), Some("0.0.0.0:80 sees 192.0.2.1"));
    // Users' rules are obeyed.
    world.host.run("iptables-nft -I DOCKER-USER -i up0 -o ly-a -j DROP");
    world.outside.misses("192.0.2.1:8080");
    world.host.run("iptables-nft -D DOCKER-USER -i up0 -o ly-a -j DROP");
    // dockerd starts anew and moves its jumps to the top: nothing to put back.
    world.host.run(
        "iptables-nft -D FORWARD -j DOCKER-USER; iptables-nft -I FORWARD -j DOCKER-ISOLATION-STAGE-1; \
         iptables-nft -I FORWARD -j DOCKER-USER",
    );
    assert!(!world.host.enter(|| firewall.restore()).unwrap());
    world.outside.reaches("192.0.2.1:8080", "0.0.0.0:80", "192.0.2.9");
}

#[test]
fn an_interface_that_dockerd_trusts_is_no_bridge() {
    if !ready("an_interface_that_dockerd_trusts_is_no_bridge", &["iptables-nft"]) {
        return;
    }
    let world = World::new();
    // dockerd 28.2 with trusted_host_interfaces=up0.
    world.host.run(
        "ip link add docker0 type bridge; p=iptables-nft; $p -P FORWARD DROP; $p -N DOCKER; $p -A FORWARD -o docker0 -j DOCKER; \
         $p -A DOCKER -d 172.17.0.2 -i up0 -o docker0 -j ACCEPT; $p -A DOCKER ! -i docker0 -o docker0 -j DROP",
    );
    let firewall = Firewall::open().unwrap();
    world.host.enter(|| firewall.apply(&wanted())).unwrap();
    works(&world);
    let rules = world.host.run("iptables-nft -S LANYARD-FORWARD");
    assert!(rules.contains("-i docker0 -j RETURN") && !rules.contains("up0"), "{rules}");
}

#[test]
fn a_failure_leaves_the_host_as_it_was() {
    if !ready("a_failure_leaves_the_host_as_it_was", &["iptables-nft"]) {
        return;
    }
    let world = World::new();
    let state = || (world.host.ruleset(), world.forwards(), world.host.run("cat /proc/sys/net/ipv4/conf/ly-a/*"));
    drop_forwarded(&world, "nft");
    world.host.run("iptables -P FORWARD ACCEPT");
    // ip6tables is the last, and cannot take our chain: its name is taken by a base chain, to which nothing can jump.
    world
        .host
        .run("nft add chain ip6 filter LANYARD-FORWARD '{ type filter hook forward priority 5; policy accept; }'");
    let before = state();
    let firewall = Firewall::open().unwrap();
    let fault = world.host.enter(|| firewall.apply(&wanted())).unwrap_err();
    println!("{fault}");
    assert!(!matches!(fault, HostFault::NotUndone { .. }), "{fault}");
    assert_eq!(state(), before);
    world.host.run("nft delete chain ip6 filter LANYARD-FORWARD");
    world.host.enter(|| firewall.apply(&wanted())).unwrap();
    works(&world);
    // One plan is in force; the next one contradicts itself, or cannot be set.
    let before = state();
    let mut wrong = wanted();
    wrong.networks[1].subnets.push("10.1.0.128/25".parse().unwrap());
    assert!(matches!(world.host.enter(|| firewall.apply(&wrong)), Err(HostFault::Overlap(..))));
    assert_eq!(state(), before);
    assert!(world.host.enter(|| firewall.verify()).unwrap());
}

#[test]
fn users_rules_are_obeyed() {
    if !ready("users_rules_are_obeyed", &["iptables-nft", "iptables-legacy"]) {
        return;
    }
    for flavour in ["nft", "legacy"] {
        let world = World::new();
        drop_forwarded(&world, flavour);
        world.host.run(&format!("iptables-{flavour} -N DOCKER-USER"));
        let firewall = Firewall::open().unwrap();
        world.host.enter(|| firewall.apply(&wanted())).unwrap();
        works(&world);
        world.host.run(&format!("iptables-{flavour} -A DOCKER-USER -i up0 -o ly-a -m conntrack --ctstate NEW -j DROP"));
        world.outside.misses("192.0.2.1:8080");
        world.a1.reaches("192.0.2.9:80", "0.0.0.0:80", "192.0.2.1");
    }
}
