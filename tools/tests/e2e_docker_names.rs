//! Do containers have the addresses and names that Docker gives them, and only those? Static and default addresses of both
//! families, MAC addresses, routes, Docker's embedded DNS (moby, `libnetwork/resolver.go`), the guard, and what `lanyard`
//! shows of it all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod dockerd;
mod harness;

use dockerd::{Engine, PROGRAMS};
use harness::{PATIENCE, wait_for};
use serde_json::Value;

const LAN: &str = "network create -d lanyard --ipv6 --subnet 10.5.0.0/24 --subnet fd00:5::/64";
/// The one whose addresses others would like to have.
const WEB: &str = "--net lan --ip 10.5.0.20 --ip6 fd00:5::20 --mac-address 02:00:00:00:00:20 --network-alias www";

fn reaches(engine: &Engine, container: &str, address: &str) -> bool {
    engine.exec(container, &format!("ping -c 1 -W 2 {address}")).code == Some(0)
}

/// What Docker says of the container's endpoint on `lan`.
fn said(engine: &Engine, container: &str) -> Value {
    engine.inspect(container)["NetworkSettings"]["Networks"]["lan"].clone()
}

/// The container has what Docker says it has, and that is this.
fn has(engine: &Engine, container: &str, mac: &str, ipv4: &str, ipv6: &str) {
    let said = said(engine, container);
    for (key, value) in [
        ("MacAddress", mac),
        ("IPAddress", ipv4),
        ("GlobalIPv6Address", ipv6),
        ("Gateway", "10.5.0.1"),
        ("IPv6Gateway", "fd00:5::1"),
    ] {
        assert_eq!(said[key], value, "{container}: docker inspect, {key}");
    }
    let inside = engine.exec(container, "ip addr show dev eth0; ip route; ip -6 route").ok();
    for part in [
        format!("link/ether {mac} "),
        format!("inet {ipv4}/24 "),
        format!("inet6 {ipv6}/64 "),
        "default via 10.5.0.1 dev eth0".to_owned(),
        "default via fd00:5::1 dev eth0".to_owned(),
    ] {
        assert!(inside.contains(&part), "{container}: no '{part}' in\n{inside}");
    }
}

#[test]
fn containers_have_the_addresses_and_names_that_docker_gives() {
    if !harness::ready("containers_have_the_addresses_and_names_that_docker_gives", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    engine.done(&format!("{LAN} lan"));
    engine.stay("web", WEB);
    engine.stay("two", "--net lan");
    has(&engine, "web", "02:00:00:00:00:20", "10.5.0.20", "fd00:5::20");
    has(&engine, "two", "02:42:0a:05:00:02", "10.5.0.2", "fd00:5::2");
    for (from, to) in [("two", "10.5.0.20"), ("two", "fd00:5::20"), ("web", "fd00:5::2"), ("web", "fd00:5::1")] {
        assert!(reaches(&engine, from, to), "from {from} to {to}");
    }
    assert_eq!(engine.host("ping -6 -c 1 -W 2 fd00:5::20").code, Some(0), "the host reaches it by IPv6");
    names_are_known(&engine);
    mac_addresses_are_one_container_s(&engine);

    engine.done("restart -t 0 web two");
    has(&engine, "web", "02:00:00:00:00:20", "10.5.0.20", "fd00:5::20");
    let again = said(&engine, "two");
    assert_eq!(again["IPAddress"], "10.5.0.2", "a restart keeps the address");
    assert!(reaches(&engine, "two", "web") && reaches(&engine, "two", "fd00:5::20"), "and it is reached");
    engine.done("rm -f web two");
    engine.done("network rm lan");
    assert_eq!(engine.traces(), before);
}

/// Docker's embedded DNS answers on this network.
fn names_are_known(engine: &Engine) {
    let id = engine.done("inspect -f {{.Id}} web");
    for (question, answer) in [
        ("web", "10.5.0.20"),
        ("www", "10.5.0.20"),
        ("web.lan", "10.5.0.20"),
        (&id[..12], "10.5.0.20"),
        ("10.5.0.20", "web.lan"),
        ("fd00:5::20", "web.lan"),
        ("-type=aaaa web", "fd00:5::20"),
        ("-type=aaaa www.lan", "fd00:5::20"),
    ] {
        let told = engine.exec("two", &format!("nslookup {question}"));
        assert!(told.out.contains(answer), "nslookup {question} gives no {answer}: {told:?}");
        assert!(told.out.contains("127.0.0.11"), "by Docker's own server: {told:?}");
    }
    let unknown = engine.exec("two", "nslookup nobody.lan 127.0.0.11");
    assert!(unknown.code != Some(0), "{unknown:?}");
    assert!(reaches(engine, "two", "www"), "by an alias");
    assert_eq!(engine.exec("two", "ping6 -c 1 -W 2 web").code, Some(0), "by IPv6 and a name");
}

/// Nobody gets a MAC address that another container, or the gateway, has: running, or down and still there.
fn mac_addresses_are_one_container_s(engine: &Engine) {
    let refused = |mac: &str, whose: &str| {
        let outcome = engine.docker(&format!("run --rm --net lan --mac-address {mac} busybox sleep 0"));
        assert!(outcome.code.is_some_and(|code| code != 0), "{mac} is had twice: {outcome:?}");
        assert!(outcome.err.contains(mac) && outcome.err.contains(whose), "{outcome:?}");
    };
    refused("02:00:00:00:00:20", "endpoint");
    refused("02:42:0a:05:00:01", "gateway");
    refused("01:00:5e:00:00:01", "group");
    engine.stay("quiet", "--net lan --mac-address 02:00:00:00:00:30 --cap-add NET_ADMIN");
    engine.exec("quiet", "ip link set eth0 down").ok();
    wait_for("the port is down", PATIENCE, || state_of(engine, "02:00:00:00:00:30") == "down");
    refused("02:00:00:00:00:30", "endpoint");
    engine.done("rm -f quiet");
    engine.done("run --rm --net lan --mac-address 02:00:00:00:00:30 busybox sleep 0");
}

/// The state of the port whose endpoint has that MAC address.
fn state_of(engine: &Engine, mac: &str) -> String {
    let ports = engine.lanyard("show ports");
    let row = ports.as_array().unwrap().iter().find(|row| row["mac"] == mac);
    row.map_or("none", |row| row["state"].as_str().unwrap()).to_owned()
}

/// How many frames were dropped for that reason.
fn drops(engine: &Engine, reason: &str) -> u64 {
    let rows = engine.lanyard("show drops");
    let of_it = rows.as_array().unwrap().iter().filter(|row| row["reason"] == reason);
    of_it.map(|row| row["count"].as_u64().unwrap()).sum()
}

/// What an impostor does, on the network where 10.5.0.20 is `web` and 10.5.0.3 a witness, with what stops it. It succeeds if
/// the impostor is answered.
const IMPOSTURES: [(&str, &str, &str); 6] = [
    ("10.5.0.20/24", "arping -c 1 -w 1 -I eth0 -s 10.5.0.20 10.5.0.3", "spoofed-arp"),
    ("10.5.0.1/24", "arping -c 1 -w 1 -I eth0 -s 10.5.0.1 10.5.0.3", "spoofed-arp"),
    ("10.5.0.99/24", "arping -c 1 -w 1 -I eth0 -s 10.5.0.99 10.5.0.3", "spoofed-arp"),
    ("10.5.0.99/24", "ping -c 1 -W 1 -I 10.5.0.99 10.5.0.3", "spoofed-ip"),
    ("fd00:5::99/64", "ping6 -c 1 -W 1 -I fd00:5::99 fd00:5::3", "spoofed-ip"),
    ("fd00:5::1/64", "ping6 -c 1 -W 1 -I fd00:5::1 fd00:5::3", "spoofed-ip"),
];

#[test]
fn nobody_takes_anothers_address() {
    if !harness::ready("nobody_takes_anothers_address", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    for guarded in [true, false] {
        engine.done(&format!("{LAN} -o guard={} lan", if guarded { "on" } else { "off" }));
        engine.stay("web", WEB);
        engine.stay("witness", "--net lan --ip 10.5.0.3 --ip6 fd00:5::3");
        engine.stay("rogue", "--net lan --ip 10.5.0.66 --ip6 fd00:5::66 --cap-add NET_ADMIN");
        assert!(reaches(&engine, "rogue", "10.5.0.3") && reaches(&engine, "rogue", "fd00:5::3"), "an honest start");
        // Unguarded, the gateway tells the witness where fd00:5::1 is as well, and either may come first.
        for (address, attempt, reason) in IMPOSTURES.into_iter().take(if guarded { 6 } else { 5 }) {
            let before = drops(&engine, reason);
            take(&engine, "add", address);
            let outcome = engine.exec("rogue", attempt);
            take(&engine, "del", address);
            let counted = drops(&engine, reason) - before;
            assert_eq!(outcome.code == Some(0), !guarded, "guard={guarded}, {attempt}: {outcome:?}");
            assert_eq!(counted > 0, guarded, "guard={guarded}, {attempt}: {counted} {reason}");
        }
        if guarded {
            others_notice_nothing(&engine);
        }
        engine.done("rm -f web witness rogue");
        engine.done("network rm lan");
    }
}

/// Give the impostor one more address, or take it away; by the host's `ip`, which can do without asking whose it is.
fn take(engine: &Engine, how: &str, address: &str) {
    let sandbox = engine.inspect("rogue")["NetworkSettings"]["SandboxKey"].as_str().unwrap().to_owned();
    let nodad = if how == "add" && address.contains("::") { "nodad" } else { "" };
    engine.host(&format!("nsenter --net={sandbox} ip addr {how} {address} dev eth0 {nodad}")).ok();
}

/// A MAC address is not taken either; and the owners are where they were.
fn others_notice_nothing(engine: &Engine) {
    for (mac, reason) in [("02:00:00:00:00:20", "spoofed-mac"), ("02:42:0a:05:00:01", "gateway-source")] {
        let before = drops(engine, reason) + drops(engine, "spoofed-arp");
        let line = format!("ip link set eth0 address {mac} && ping -c 1 -W 1 10.5.0.3");
        let outcome = engine.exec("rogue", &line);
        assert!(outcome.code != Some(0), "as {mac}: {outcome:?}");
        assert!(drops(engine, reason) + drops(engine, "spoofed-arp") > before, "as {mac}: no {reason}");
    }
    for address in ["10.5.0.20", "10.5.0.1", "fd00:5::20", "fd00:5::1"] {
        assert!(reaches(engine, "witness", address), "the witness and {address}");
    }
    let neighbors = engine.exec("witness", "ip neigh").ok().to_lowercase();
    let right = |ip: &str, mac: &str| neighbors.lines().any(|line| line.starts_with(ip) && line.contains(mac));
    assert!(right("10.5.0.20 ", "02:00:00:00:00:20") && right("10.5.0.1 ", "02:42:0a:05:00:01"), "{neighbors}");
    engine.exec("rogue", "ip link set eth0 address 02:42:0a:05:00:42").ok();
    assert!(reaches(engine, "rogue", "10.5.0.3"), "with its own address the impostor goes on");
}

#[test]
fn the_switch_shows_dockers_ports() {
    if !harness::ready("the_switch_shows_dockers_ports", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    engine.done("network create -d lanyard --subnet 10.5.0.0/24 lan");
    engine.serve("web", "--net lan -p 8080:80 -p 127.0.0.1:5353:53/udp");
    engine.stay("two", "--net lan");
    assert!(reaches(&engine, "two", "web"));
    let id = engine.done("network inspect -f {{.Id}} lan")[..12].to_owned();
    let endpoint = said(&engine, "web")["EndpointID"].as_str().unwrap().to_owned();
    wait_for("all ports are up", PATIENCE, || state_of(&engine, "02:42:0a:05:00:03") == "up");
    wait_for("Docker's names are here", PATIENCE, || {
        let shown = engine.lanyard(&format!("network inspect {id}"));
        let named = |name: &str| shown["endpoints"].as_array().unwrap().iter().any(|row| row["endpoint"] == name);
        shown["name"] == "lan" && named("web") && named("two")
    });

    caches_and_rows_have_containers_names(&engine);
    let rows = engine.lanyard("show ports --network lan");
    let rows = rows.as_array().unwrap();
    let mut seen: Vec<String> =
        rows.iter().map(|row| format!("{} {} {}", row["ip"], row["mac"], row["state"])).collect();
    seen.sort();
    let expected = [("10.5.0.1", "01"), ("10.5.0.2", "02"), ("10.5.0.3", "03")];
    assert_eq!(seen, expected.map(|(ip, n)| format!("\"{ip}\" \"02:42:0a:05:00:{n}\" \"up\"")), "show ports: {rows:?}");
    for row in rows {
        assert_eq!((&row["network"], &row["kind"]), (&"lan".into(), &"tap".into()), "{row}");
        assert!(row["rx_frames"].as_u64() > Some(0) || row["endpoint"] == "gateway", "frames are counted: {row}");
    }
    let web = rows.iter().find(|row| row["ip"] == "10.5.0.2").unwrap();
    assert_eq!(web["endpoint"], "web", "an endpoint is named as its container is");

    let ports = engine.lanyard("ports");
    let line =
        |row: &Value| format!("{}/{} {}:{}", row["container_port"], row["protocol"], row["host_ip"], row["host_port"]);
    let ports: Vec<String> = ports.as_array().unwrap().iter().map(line).collect();
    let ports: Vec<String> = ports.iter().map(|line| line.replace('"', "")).collect();
    assert_eq!(ports, ["53/udp 127.0.0.1:5353", "80/tcp 0.0.0.0:8080", "80/tcp :::8080"]);
    for name in ["web", &endpoint[..12]] {
        let of_web = engine.lanyard(&format!("ports {name}"));
        assert_eq!(of_web.as_array().map(Vec::len), Some(3), "{of_web}");
    }
}

/// Who pinged has an entry in its cache, shown under the container's name; and a row of the MAC table is a container's.
fn caches_and_rows_have_containers_names(engine: &Engine) {
    let caches = engine.lanyard("arp show");
    for (container, ip, mac, whose) in
        [("two", "10.5.0.2", "02:42:0a:05:00:02", "web"), ("web", "10.5.0.3", "02:42:0a:05:00:03", "two")]
    {
        let of_it = |row: &&Value| row["endpoint"] == container && row["ip"] == ip;
        let row = caches.as_array().unwrap().iter().find(of_it).unwrap_or_else(|| panic!("{container}: {caches:#}"));
        assert_eq!(
            (&row["network"], &row["mac"], &row["mac_name"]),
            (&"lan".into(), &mac.into(), &whose.into()),
            "{row}"
        );
        let state = row["state"].as_str().unwrap();
        assert!(["REACHABLE", "STALE", "DELAY", "PROBE"].contains(&state), "{row}");
        for asked in [mac, whose] {
            let why = engine.lanyard(&format!("why {asked}"));
            assert_eq!(why.as_array().map(Vec::len), Some(1), "{why:#}");
            assert_eq!((&why[0]["name"], &why[0]["endpoint"]), (&whose.into(), &whose.into()), "{why:#}");
            // Docker gave the address, so that no frame had to teach it.
            assert_eq!((&why[0]["mac"], &why[0]["kind"]), (&mac.into(), &"static".into()), "{why:#}");
        }
    }
}
