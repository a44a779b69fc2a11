//! Does each `-o` of `docker network create` do what it says, and is what cannot be refused by its name? Docker's own
//! options, as the bridge driver has them (moby, `drivers/bridge/labels.go`), and Lanyard's.
//!
//! What masquerading and published addresses do towards the world outside is not looked at here, only that they are kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod dockerd;
mod harness;

use dockerd::{Engine, PROGRAMS};
use serde_json::Value;

const BRIDGE: &str = "com.docker.network.bridge";

/// Make the network `lan`, 10.1.0.0/24 with these words.
fn create(engine: &Engine, words: &str) {
    engine.done(&format!("network create -d lanyard --subnet 10.1.0.0/24 {words} lan"));
}

/// Remove it, after the containers `c1` and `c2`.
fn remove(engine: &Engine) {
    engine.done("rm -f c1 c2");
    engine.done("network rm lan");
}

/// What the switch says of its only network.
fn shown(engine: &Engine) -> Value {
    let list = engine.lanyard("network ls");
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    list[0].clone()
}

fn reaches(engine: &Engine, container: &str, address: &str) -> bool {
    engine.exec(container, &format!("ping -c 1 -W 2 {address}")).code == Some(0)
}

/// `docker` refuses these words, and what the user reads has all of `parts` in it.
fn refused(engine: &Engine, words: &str, parts: &[&str]) {
    let outcome = engine.docker(words);
    assert!(outcome.code.is_some_and(|code| code != 0), "docker {words} went well: {outcome:?}");
    for part in parts {
        assert!(outcome.err.contains(part), "docker {words}: no '{part}' in {}", outcome.err);
    }
}

#[test]
fn dockers_own_options_do_what_they_say() {
    if !harness::ready("dockers_own_options_do_what_they_say", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    create(
        &engine,
        &format!(
            "-o {BRIDGE}.name=lab0 -o com.docker.network.driver.mtu=1400 -o {BRIDGE}.enable_icc=false \
             -o com.docker.network.container_iface_prefix=lan -o {BRIDGE}.enable_ip_masquerade=false \
             -o {BRIDGE}.host_binding_ipv4=127.0.0.1 -o {BRIDGE}.gateway_mode_ipv4=nat"
        ),
    );
    let host = engine.host("ip -o addr show dev lab0; ip -o link show dev lab0").ok();
    assert!(host.contains("10.1.0.1/24"), "the gateway is on the interface that was named: {host}");
    assert!(host.contains(" mtu 1400 "), "the host's end has the MTU: {host}");
    assert_eq!(shown(&engine)["host_ifname"], "lab0");
    engine.stay("c1", "--net lan -p 80");
    engine.stay("c2", "--net lan");
    let inside = engine.exec("c1", "ip -o link show dev lan0").ok();
    assert!(inside.contains(" mtu 1400 "), "the container's end has the prefix and the MTU: {inside}");
    assert_eq!(engine.exec("c1", "ping -c 1 -W 2 -s 1372 10.1.0.1").code, Some(0), "a packet of the MTU passes");
    assert!(reaches(&engine, "c1", "10.1.0.1"), "icc=false leaves the gateway");
    assert!(!reaches(&engine, "c1", "10.1.0.3"), "icc=false keeps containers apart");
    assert_eq!(shown(&engine)["icc"], false);
    let ports = engine.lanyard("ports");
    assert_eq!(ports.as_array().map(Vec::len), Some(1), "on that address alone: {ports}");
    assert_eq!(ports[0]["host_ip"], "127.0.0.1", "{ports}");

    let words = format!("network create -d lanyard --subnet 10.2.0.0/24 -o {BRIDGE}.name=lab0 lan2");
    refused(&engine, &words, &["lab0", "name"]);
    let words = format!("network create -d lanyard --subnet 10.2.0.0/24 -o {BRIDGE}.name=docker0 lan2");
    refused(&engine, &words, &["docker0"]);
    assert_eq!(engine.host("ip link show docker0").code, Some(0), "docker0 is another's and stays");
    remove(&engine);
    assert_eq!(engine.traces(), before);
}

#[test]
fn gateways_translate_route_or_stay_away() {
    if !harness::ready("gateways_translate_route_or_stay_away", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    let both = |mode: &str| format!("-o {BRIDGE}.gateway_mode_ipv4={mode} -o {BRIDGE}.gateway_mode_ipv6={mode}");
    for mode in ["nat", "nat-unprotected", "routed"] {
        create(&engine, &format!("--ipv6 --subnet fd00:1::/64 {}", both(mode)));
        engine.stay("c1", "--net lan");
        let routes = engine.exec("c1", "ip route; ip -6 route").ok();
        assert!(
            routes.contains("default via 10.1.0.1") && routes.contains("default via fd00:1::1"),
            "{mode}: {routes}"
        );
        assert!(reaches(&engine, "c1", "10.1.0.1") && reaches(&engine, "c1", "fd00:1::1"), "{mode}");
        engine.done("rm -f c1");
        engine.done("network rm lan");
    }
    let words = format!("network create -d lanyard --subnet 10.1.0.0/24 {} lan", both("isolated"));
    refused(&engine, &words, &["isolated", "--internal"]);
    create(&engine, &format!("--internal {}", both("isolated")));
    assert_eq!(engine.host("ip -o addr show | grep 10.1.0.").out, "", "the host has no end in an isolated network");
    engine.stay("c1", "--net lan");
    engine.stay("c2", "--net lan");
    assert!(!engine.exec("c1", "ip route").ok().contains("default"), "there is no gateway");
    assert!(reaches(&engine, "c1", "10.1.0.3"), "its containers talk");
    assert!(engine.host("ping -c 1 -W 1 10.1.0.3").code != Some(0), "the host is not among them");
    remove(&engine);
    assert_eq!(engine.traces(), before);
}

#[test]
fn the_switchs_own_options_do_what_they_say() {
    if !harness::ready("the_switchs_own_options_do_what_they_say", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    for (words, kind, offload, inside) in [
        ("", "tap", true, "vnet_hdr on"),
        ("-o kind=tap -o offload=off", "tap", false, "vnet_hdr off"),
        ("-o lanyard.kind=veth", "veth", true, "veth"),
        ("-o kind=veth -o offload=off", "veth", false, "veth"),
        ("-o kind=xdp", "xdp", false, "veth"),
    ] {
        create(&engine, words);
        engine.stay("c1", "--net lan");
        engine.serve("c2", "--net lan");
        let sandbox = engine.inspect("c1")["NetworkSettings"]["SandboxKey"].as_str().unwrap().to_owned();
        let link = engine.host(&format!("nsenter --net={sandbox} ip -d link show eth0")).ok();
        assert!(link.contains(inside), "{words}: {link}");
        let endpoint = shown(&engine)["endpoints"][0].clone();
        assert_eq!((&endpoint["kind"], &endpoint["offload"]), (&kind.into(), &offload.into()), "{words}");
        assert!(reaches(&engine, "c1", "10.1.0.1"), "{words}");
        assert_eq!(engine.exec("c1", "wget -qO- http://10.1.0.3").ok().trim(), "c2", "{words}");
        remove(&engine);
    }
    create(&engine, "-o mac=random -o arp=suppress -o guard=off -o mac-limit=2");
    let network = shown(&engine);
    let kept = ["arp", "guard", "mac_limit"].map(|key| network[key].to_string());
    assert_eq!(kept, ["\"suppress\"", "false", "2"], "{network}");
    engine.stay("c1", "--net lan");
    engine.stay("c2", "--net lan --cap-add NET_ADMIN");
    let path = "/NetworkSettings/Networks/lan/MacAddress";
    let mac = engine.inspect("c1").pointer(path).unwrap().as_str().unwrap().to_owned();
    let real = engine.exec("c1", "cat /sys/class/net/eth0/address").ok();
    assert_eq!(mac, real.trim(), "what Docker says is so");
    assert_ne!(mac, "02:42:0a:01:00:02", "it is not from the address");
    assert!(reaches(&engine, "c1", "10.1.0.3"), "the switch answers ARP itself");
    assert_eq!(learned_beyond(&engine, "c2", 4), 2, "the switch remembers as many as it may");
    remove(&engine);
    assert_eq!(engine.traces(), before);
}

/// Let a container speak from so many MAC addresses; how many the switch has learned on its port.
fn learned_beyond(engine: &Engine, container: &str, count: usize) -> usize {
    let speak = |n: usize| {
        format!("ip link set eth0 address 02:00:00:00:01:0{n} && arping -c 1 -w 1 -I eth0 10.1.0.1 > /tmp/out; ")
    };
    engine.exec(container, &(1..=count).map(speak).collect::<String>());
    let id = engine.inspect(container)["NetworkSettings"]["Networks"]["lan"]["EndpointID"].clone();
    let table = engine.lanyard("show mac");
    // The container's name follows the id a moment later.
    let of_ours =
        |row: &&Value| row["endpoint"] == container || row["endpoint"].as_str() == id.as_str().map(|id| &id[..12]);
    table.as_array().unwrap().iter().filter(of_ours).count()
}

#[test]
fn what_an_option_may_not_say_is_refused_by_its_name() {
    if !harness::ready("what_an_option_may_not_say_is_refused_by_its_name", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    for (words, parts) in [
        ("-o color=blue", &["option color is not known"][..]),
        ("-o com.docker.network.bridge.enable_iccc=true", &["enable_iccc is not known", "enable_icc?"]),
        ("-o parent=eth0", &["option parent is not known", "macvlan"]),
        ("-o com.docker.network.bridge.name=a/b", &["bridge.name cannot be 'a/b'", "interface name"]),
        ("-o com.docker.network.bridge.name=sixteen-letters-", &["bridge.name cannot be"]),
        ("-o com.docker.network.bridge.enable_icc=maybe", &["enable_icc cannot be 'maybe'", "true or false"]),
        ("-o com.docker.network.bridge.enable_ip_masquerade=on", &["enable_ip_masquerade cannot be 'on'"]),
        ("-o com.docker.network.bridge.host_binding_ipv4=here", &["host_binding_ipv4 cannot be 'here'"]),
        ("-o com.docker.network.driver.mtu=67", &["driver.mtu cannot be '67'", "68 to 65535"]),
        ("-o com.docker.network.driver.mtu=big", &["driver.mtu cannot be 'big'"]),
        ("-o com.docker.network.container_iface_prefix=lo", &["container_iface_prefix cannot be 'lo'"]),
        ("-o com.docker.network.bridge.gateway_mode_ipv4=bridged", &["gateway_mode_ipv4 cannot be", "routed"]),
        ("-o com.docker.network.bridge.gateway_mode_ipv6=1", &["gateway_mode_ipv6 cannot be"]),
        ("-o kind=vlan", &["option kind cannot be 'vlan'", "tap, veth or xdp"]),
        ("-o offload=maybe", &["option offload cannot be 'maybe'", "on or off"]),
        ("-o mac=mine", &["option mac cannot be 'mine'", "from-ip or random"]),
        ("-o arp=off", &["option arp cannot be 'off'", "flood or suppress"]),
        ("-o guard=perhaps", &["option guard cannot be 'perhaps'"]),
        ("-o mac-limit=0", &["option mac-limit cannot be '0'"]),
        ("-o mac-limit=16777217", &["mac-limit cannot be", "1 to 16777216"]),
        ("-o kind=veth -o lanyard.kind=tap", &["kind", "one and the same"]),
        ("-o kind=xdp -o offload=on", &["xdp", "offload", "kind=veth"]),
        ("-o kind=xdp -o com.docker.network.driver.mtu=9000", &["mtu"]),
        ("-o kind=tap -o com.docker.network.driver.mtu=65535", &["mtu"]),
    ] {
        refused(&engine, &format!("network create -d lanyard --subnet 10.1.0.0/24 {words} lan"), parts);
        assert_eq!(engine.docker("network inspect lan").code, Some(1), "{words}: Docker has forgotten it");
    }
    create(&engine, "");
    let words = "run --rm --network name=lan,driver-opt=color=blue busybox sleep 0";
    refused(&engine, words, &["endpoint option color is not known"]);
    engine.done("network rm lan");
    assert_eq!(engine.traces(), before);
}
