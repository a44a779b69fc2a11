//! Do Docker's networks come, serve and go on the switch as they do on docker0? Their life by Docker's own commands:
//! create, ls, inspect, connect, disconnect, rm, prune, and compose where that is installed.
//!
//! What the options do is in `e2e_docker_options.rs`, what addresses and names do in `e2e_docker_names.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod dockerd;
mod harness;

use std::fs;
use std::net::Ipv4Addr;

use dockerd::{Engine, PROGRAMS};
use serde_json::Value;

/// The switch's network that Docker calls `name`, found by Docker's id: the name follows a moment later.
fn network(engine: &Engine, name: &str) -> Value {
    let id = engine.done(&format!("network inspect -f {{{{.Id}}}} {name}"));
    engine.lanyard(&format!("network inspect {}", &id[..12]))
}

/// Does `container` reach `address`, within two seconds?
fn reaches(engine: &Engine, container: &str, address: &str) -> bool {
    engine.exec(container, &format!("ping -c 1 -W 2 {address}")).code == Some(0)
}

fn default_route(engine: &Engine, container: &str) -> String {
    engine.exec(container, "ip route | grep ^default || true").ok().trim().to_owned()
}

/// Where an endpoint of that container is, by `docker inspect`.
fn address(engine: &Engine, container: &str, network: &str) -> String {
    let path = format!("/NetworkSettings/Networks/{network}/IPAddress");
    engine.inspect(container).pointer(&path).and_then(Value::as_str).expect("an address").to_owned()
}

#[test]
fn a_network_is_what_was_asked_for() {
    if !harness::ready("a_network_is_what_was_asked_for", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    engine.done(
        "network create -d lanyard --ipv6 --subnet 10.1.0.0/24 --gateway 10.1.0.254 --ip-range 10.1.0.128/25 \
         --aux-address printer=10.1.0.129 --subnet fd00:1::/64 --label team=blue lan",
    );
    assert_eq!(engine.done("network ls --filter driver=lanyard --format {{.Name}}"), "lan");
    assert_eq!(engine.done("network ls --filter label=team=blue --format {{.Driver}}"), "lanyard");
    let said = engine.inspect("lan");
    assert_eq!((&said["Driver"], &said["EnableIPv6"]), (&"lanyard".into(), &true.into()), "{said}");
    assert_eq!(said.pointer("/IPAM/Config/0/Gateway"), Some(&"10.1.0.254".into()), "{said}");

    let host = engine.host("ip -o addr show | grep ly- | grep -v fe80: | awk '{print $4}'").ok();
    assert_eq!(host.split_whitespace().collect::<Vec<_>>(), ["10.1.0.254/24", "fd00:1::1/64"], "the host's end");
    for name in ["c1", "c2"] {
        engine.stay(name, "--net lan");
        let address: Ipv4Addr = address(&engine, name, "lan").parse().unwrap();
        let last = address.octets()[3];
        assert!(last >= 128 && ![129, 254].contains(&last), "{address} is not of the range, or is the printer's");
        assert!(default_route(&engine, name).starts_with("default via 10.1.0.254"), "the gateway that was asked for");
    }
    let said = engine.inspect("lan");
    assert_eq!(said["Containers"].as_object().unwrap().len(), 2, "inspect lists both: {said}");
    the_switch_shows_it(&engine);

    let refused = engine.docker("network rm lan");
    assert!(refused.code != Some(0) && refused.err.contains("has active endpoints"), "{refused:?}");
    assert!(reaches(&engine, "c1", "10.1.0.254"), "the refusal changes nothing");
    engine.done("rm -f c1 c2");
    engine.done("network create -d lanyard --subnet 10.2.0.0/24 second");
    let pruned = engine.done("network prune -f");
    assert!(pruned.contains("lan") && pruned.contains("second"), "{pruned}");
    assert_eq!(engine.lanyard("network ls"), Value::Array(Vec::new()), "the switch has none left");
    assert_eq!(engine.traces(), before);
}

/// `lanyard network ls` and `inspect` of the network `lan` with two containers.
fn the_switch_shows_it(engine: &Engine) {
    harness::wait_for("Docker's name is here", harness::PATIENCE, || network(engine, "lan")["name"] == "lan");
    let shown = network(engine, "lan");
    let id = engine.done("network inspect -f {{.Id}} lan");
    let asked = serde_json::json!({
        "name": "lan", "id": id, "subnet": "10.1.0.0/24", "gateway": "10.1.0.254", "gateway_mode": "host",
        "more_subnets": ["fd00:1::/64"], "docker": true, "internal": false, "guard": true, "icc": true, "mtu": 1500
    });
    for (key, value) in asked.as_object().unwrap() {
        assert_eq!(&shown[key], value, "network inspect: {key}");
    }
    assert_eq!(shown["endpoints"].as_array().map(Vec::len), Some(2), "{shown}");
    let list = engine.lanyard("network ls");
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list[0]["id"].as_str(), Some(id.as_str()));
}

#[test]
fn a_container_moves_between_networks_while_it_runs() {
    if !harness::ready("a_container_moves_between_networks_while_it_runs", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    engine.done("network create -d lanyard --subnet 10.1.0.0/24 lan");
    engine.done("network create -d lanyard --subnet 10.2.0.0/24 other");
    engine.done("network create -d lanyard --subnet 10.3.0.0/24 another");
    engine.stay("far", "--net other --ip 10.2.0.9");
    engine.stay("c1", "--net lan");
    assert!(!reaches(&engine, "c1", "10.2.0.9"), "it is on one network only");

    engine.done("network connect other c1");
    let inside = engine.exec("c1", "ip -o -4 addr show").ok();
    assert!(inside.contains("eth0    inet 10.1.0.2/24") && inside.contains("eth1    inet 10.2.0.2/24"), "{inside}");
    assert!(default_route(&engine, "c1").starts_with("default via 10.1.0.1 dev eth0"), "the way out stays");
    for address in ["10.1.0.1", "10.2.0.1", "10.2.0.9"] {
        assert!(reaches(&engine, "c1", address), "a on two networks reaches {address}");
    }
    // Docker's way out is by the network whose name comes first.
    engine.done("network connect another c1");
    let route = default_route(&engine, "c1");
    assert!(route.starts_with("default via 10.3.0.1 dev eth2"), "the way out is the first network's: {route}");
    assert!(reaches(&engine, "c1", "10.1.0.1"), "and the others go on");
    engine.done("network disconnect another c1");
    assert!(default_route(&engine, "c1").starts_with("default via 10.1.0.1 dev eth0"), "back to the second");

    engine.done("network disconnect lan c1");
    let inside = engine.exec("c1", "ip -o -4 addr show").ok();
    assert!(!inside.contains("10.1.0.") && inside.contains("eth1    inet 10.2.0.2/24"), "{inside}");
    assert!(default_route(&engine, "c1").starts_with("default via 10.2.0.1 dev eth1"), "the way out moves");
    assert!(reaches(&engine, "c1", "10.2.0.9") && !reaches(&engine, "c1", "10.1.0.7"));
    engine.done("network connect --ip 10.1.0.77 --alias anew lan c1");
    assert!(
        engine.exec("c1", "ip -o -4 addr show").ok().contains("inet 10.1.0.77/24"),
        "it comes back where it is told"
    );
    assert!(reaches(&engine, "c1", "10.1.0.1") && reaches(&engine, "c1", "10.2.0.9"), "on both again");
    assert_eq!(network(&engine, "lan")["endpoints"].as_array().map(Vec::len), Some(1), "no endpoint is left behind");

    engine.done("rm -f c1 far");
    engine.done("network rm lan other another");
    assert_eq!(engine.traces(), before);
}

#[test]
fn internal_networks_and_networks_of_several_subnets() {
    if !harness::ready("internal_networks_and_networks_of_several_subnets", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    let _outside = engine.outside("internet");
    engine.done("network create -d lanyard --internal --ipv6 --subnet 10.3.0.0/24 --subnet fd00:3::/64 inner");
    engine.stay("c1", "--net inner");
    engine.stay("c2", "--net inner --ip 10.3.0.9 --ip6 fd00:3::9");
    let routes = engine.exec("c1", "ip route; ip -6 route").ok();
    assert!(!routes.contains("default"), "no way out of an internal network: {routes}");
    for address in ["10.3.0.9", "10.3.0.1", "fd00:3::9", "fd00:3::1"] {
        assert!(reaches(&engine, "c1", address), "inside an internal network, {address}");
    }
    let by_force = engine.exec("c1", "ping -c 1 -W 1 192.0.2.2");
    assert!(by_force.code != Some(0), "outside: {by_force:?}");
    assert_eq!(engine.host("ping -c 1 -W 2 10.3.0.9").code, Some(0), "the host reaches in");
    assert_eq!(network(&engine, "inner")["internal"], true);
    engine.done("rm -f c1 c2");
    engine.done("network rm inner");

    engine.done(
        "network create -d lanyard --subnet 10.4.0.0/24 --subnet 10.5.0.0/24 --gateway 10.4.0.1 --gateway 10.5.0.254 two",
    );
    engine.stay("c1", "--net two --ip 10.4.0.9");
    engine.stay("c2", "--net two --ip 10.5.0.9");
    assert!(default_route(&engine, "c1").starts_with("default via 10.4.0.1"), "the first subnet's gateway");
    assert!(default_route(&engine, "c2").starts_with("default via 10.5.0.254"), "the second subnet's gateway");
    for (from, to) in
        [("c1", "10.4.0.1"), ("c1", "10.5.0.254"), ("c2", "10.5.0.254"), ("c1", "10.5.0.9"), ("c2", "10.4.0.9")]
    {
        assert!(reaches(&engine, from, to), "from {from} to {to}, from subnet to subnet by the gateway");
    }
    engine.done("rm -f c1 c2");
    engine.done("network rm two");
    engine.host("ip link del out0").ok();
    assert_eq!(engine.traces(), before);
}

/// The whole of the driver's part in a compose file.
const COMPOSE: &str = "services:
  web: {image: busybox, command: sleep 1000, networks: [lan]}
  db: {image: busybox, command: sleep 1000, networks: [lan]}
networks:
  lan: {driver: lanyard, driver_opts: {kind: veth}, ipam: {config: [{subnet: 10.6.0.0/24}]}}
";

#[test]
fn compose_makes_its_networks_on_the_switch() {
    if !harness::ready("compose_makes_its_networks_on_the_switch", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    if engine.docker("compose version").code != Some(0) {
        println!("docker has no compose here: compose files are not tried");
        return;
    }
    let file = engine.folder().join("compose.yaml");
    fs::write(&file, COMPOSE).unwrap();
    let compose = format!("compose -p lab -f {}", file.display());
    engine.done(&format!("{compose} up -d"));
    assert_eq!(network(&engine, "lab_lan")["endpoints"][0]["kind"], "veth");
    engine.done(&format!("{compose} exec -T web ping -c 1 -W 2 db"));
    engine.done(&format!("{compose} down -t 0"));
    assert_eq!(engine.lanyard("network ls"), Value::Array(Vec::new()), "compose takes its network along");
}
