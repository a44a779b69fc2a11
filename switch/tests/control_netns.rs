//! Does the control side do with the kernel what it says? Real devices in real namespaces: what is made, what is left
//! after a refusal, what is heard of a device's end, what survives a restart.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod control_world;

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use control_world::*;
use lanyard_switch::control::state::State;
use lanyard_switch::control::types::{PortKind, PortState};
use lanyard_switch::control::{Fault, Switch, SwitchConfig};
use serde_json::json;

/// The three kinds of port, as a user asks for them.
fn kinds() -> [(&'static str, serde_json::Value); 3] {
    [
        ("tap", json!({ "kind": "tap" })),
        ("wire", json!({ "kind": "tap", "offload": false })),
        ("veth", json!({ "kind": "veth", "offload": false })),
    ]
}

fn with(mut base: serde_json::Value, more: &serde_json::Value) -> serde_json::Value {
    for (key, value) in more.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

#[test]
fn a_container_gets_its_interface_and_loses_it() {
    in_a_world(|| {
        for workers in [1, 2] {
            let switch = start(workers, None);
            switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24", "mtu": 1400 }))).unwrap();
            let container = Container::new();
            let (home, inside) = (home_names(), container.names());
            let before = describe_descriptors();
            for (kind, words) in kinds() {
                let spec = with(json!({ "netns": container.netns(), "endpoint": "web" }), &words);
                let info = switch.connect("lab", &endpoint(spec)).unwrap();
                assert_eq!((info.ifname.as_str(), info.ip.to_string().as_str()), ("eth0", "10.9.0.2/24"), "{kind}");
                assert_eq!((info.mac.to_string().as_str(), info.state), ("02:42:0a:09:00:02", PortState::Up));
                let link = container.link("eth0").unwrap();
                assert_eq!((link.mac, link.mtu, link.up), (Some(info.mac), 1400, true), "{kind}");
                let links = container.links();
                assert_eq!(links.addresses(link.index).unwrap(), [(info.ip.addr(), 24)], "{kind}");
                let anywhere: (IpAddr, u8) = ("0.0.0.0".parse().unwrap(), 0);
                let route = links.routes().unwrap().into_iter().find(|route| route.destination == anywhere).unwrap();
                assert_eq!(route.gateway, Some("10.9.0.1".parse().unwrap()), "{kind}");
                drop(links);
                let added = home_names().len() - home.len();
                assert_eq!(added, usize::from(info.kind == PortKind::Veth), "{kind}: only a veth shows here");
                let row = switch.ports(Some("lab")).unwrap().remove(0);
                assert_eq!((row.endpoint.as_str(), row.kind, row.state), ("web", info.kind, PortState::Up));
                switch.disconnect("lab", "web").unwrap();
                assert_eq!((home_names(), container.names()), (home.clone(), inside.clone()), "{kind}");
                assert!(switch.ports(None).unwrap().is_empty());
                assert!(matches!(switch.disconnect("lab", "web"), Err(Fault::NoEndpoint { .. })));
            }
            assert_eq!(describe_descriptors(), before, "descriptors");
            switch.stop_and_remove().unwrap();
        }
    });
}

#[test]
fn frames_pass_between_all_kinds_of_port() {
    in_a_world(|| {
        for workers in [1, 2] {
            let switch = start(workers, None);
            switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
            let hosts: Vec<(Container, IpAddr)> = kinds()
                .iter()
                .map(|(kind, words)| {
                    let host = Container::new();
                    let spec = with(json!({ "netns": host.netns(), "endpoint": kind }), words);
                    let ip = switch.connect("lab", &endpoint(spec)).unwrap().ip.addr();
                    (host, ip)
                })
                .collect();
            for (from, source) in &hosts {
                for (to, target) in &hosts {
                    if source == target {
                        continue;
                    }
                    let receiver = to.0.enter(|| UdpSocket::bind((*target, 7000)).unwrap()).unwrap();
                    receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                    let sender = from.0.enter(|| UdpSocket::bind((*source, 0)).unwrap()).unwrap();
                    sender.send_to(b"hello", (*target, 7000)).unwrap();
                    let mut octets = [0; 16];
                    let (len, heard) = receiver.recv_from(&mut octets).unwrap();
                    assert_eq!((&octets[..len], heard.ip()), (&b"hello"[..], *source), "{workers} workers");
                }
            }
            let learned = switch.mac(Some("lab")).unwrap();
            assert_eq!(learned.iter().filter(|row| row.kind == "learned").count(), 3, "{learned:?}");
            assert!(learned.iter().any(|row| row.kind == "gateway" && row.port.is_none()));
            let counted = switch.ports(None).unwrap();
            assert!(counted.iter().all(|row| row.rx_frames > 0 && row.tx_frames > 0), "{counted:?}");
            let known = switch.arp(Some("lab")).unwrap();
            assert_eq!(known.iter().filter(|row| row.state == "permanent").count(), 3, "{known:?}");
            switch.stop_and_remove().unwrap();
        }
    });
}

#[test]
fn a_refusal_leaves_nothing_half_made() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let switch = start(1, Some(folder.path()));
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/29" }))).unwrap();
        let (container, other) = (Container::new(), Container::new());
        let netns = container.netns();
        switch.connect("lab", &endpoint(json!({ "netns": netns, "endpoint": "web" }))).unwrap();
        let state = || std::fs::read_to_string(folder.path().join("state.json")).unwrap();
        switch.create_network(&network(json!({ "name": "huge", "mtu": 65535 }))).unwrap();
        let before = (home_names(), container.names(), other.names(), state(), switch.networks());
        let fds = describe_descriptors();
        let here = other.netns();
        let table = [
            ("none", json!({ "netns": here }), "no network 'none'"),
            ("lab", json!({ "netns": here, "endpoint": "web" }), "endpoint 'web' already"),
            ("lab", json!({ "netns": here, "endpoint": "a b" }), "'a b' is no name"),
            ("lab", json!({ "netns": here, "ip": "10.9.0.2" }), "taken by endpoint 'web'"),
            ("lab", json!({ "netns": here, "ip": "10.9.0.1" }), "taken by the gateway"),
            ("lab", json!({ "netns": here, "ip": "10.9.0.9" }), "outside subnet 10.9.0.0/29"),
            ("lab", json!({ "netns": here, "mac": "02:42:0a:09:00:02" }), "endpoint 'web' has it"),
            ("lab", json!({ "netns": here, "mac": "02:42:0a:09:00:01" }), "the gateway has it"),
            ("lab", json!({ "netns": here, "mac": "01:00:00:00:00:01" }), "group address"),
            ("lab", json!({ "netns": here, "ifname": "sixteen_chars_xx" }), "longer than 15"),
            ("lab", json!({ "netns": here, "ifname": "a/b" }), "no interface name"),
            ("lab", json!({ "netns": here, "ifname": "lo" }), "no interface name"),
            ("lab", json!({ "netns": netns, "ifname": "eth0" }), "has an interface 'eth0' already"),
            ("lab", json!({ "netns": netns, "ifname": "eth0", "kind": "veth" }), "has an interface 'eth0' already"),
            ("lab", json!({ "netns": "no-such-lanyard" }), "no network namespace 'no-such-lanyard'"),
            ("lab", json!({ "netns": "pid:4194999" }), "no process 4194999"),
            ("lab", json!({ "netns": "/dev/null" }), "not a network namespace"),
            ("huge", json!({ "netns": here }), "65535 is out of range: use 68 to 65521"),
            ("lab", json!({ "netns": "" }), "no name of a network namespace"),
        ];
        for (name, spec, says) in table {
            let fault = switch.connect(name, &endpoint(spec.clone())).unwrap_err().to_string();
            assert!(fault.contains(says) && !fault.contains('\n'), "{spec}: {fault}");
            let after = (home_names(), container.names(), other.names(), state(), switch.networks());
            assert_eq!(after, before, "{spec}");
        }
        assert_eq!(describe_descriptors(), fds, "descriptors");
        switch.stop_and_remove().unwrap();
        assert_eq!((home_names(), container.names()), (vec!["lo".to_owned()], vec!["lo".to_owned()]));
    });
}

/// The state folder vanishes under the daemon: what was made by then is undone.
#[test]
fn a_state_that_cannot_be_written_undoes_the_work() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let switch = start(2, Some(&path));
        switch.create_network(&network(json!({ "name": "lab" }))).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let container = Container::new();
        let before = (home_names(), switch.networks(), describe_descriptors());
        for (kind, words) in kinds() {
            let fault = switch.connect("lab", &endpoint(with(json!({ "netns": container.netns() }), &words)));
            assert!(matches!(fault, Err(Fault::Io { .. })), "{kind}: {fault:?}");
            assert_eq!((home_names(), switch.networks(), describe_descriptors()), before, "{kind}");
            assert_eq!(container.names(), ["lo"], "{kind}");
        }
        assert!(matches!(switch.create_network(&network(json!({ "name": "two" }))), Err(Fault::Io { .. })));
        assert_eq!(switch.networks().len(), 1);
        assert!(matches!(switch.remove_network("lab", false), Err(Fault::Io { .. })));
        assert_eq!(switch.networks().len(), 1);
        switch.stop().unwrap();
    });
}

#[test]
fn networks_are_made_peered_and_removed() {
    in_a_world(|| {
        let switch = start(1, None);
        for (name, mode) in [("a", "router"), ("b", "router"), ("c", "none")] {
            let info = switch.create_network(&network(json!({ "name": name, "gateway_mode": mode }))).unwrap();
            assert_eq!((info.id.len(), info.gateway.is_some()), (64, mode == "router"));
        }
        assert!(matches!(switch.create_network(&network(json!({ "name": "a" }))), Err(Fault::NetworkExists(_))));
        switch.peer("a", "b", true).unwrap();
        switch.peer("b", "a", true).unwrap();
        assert_eq!(
            (switch.network("a").unwrap().peers, switch.network("b").unwrap().peers),
            (vec!["b".into()], vec!["a".into()])
        );
        for (a, b, says) in
            [("a", "a", "talks to itself"), ("a", "c", "both need a gateway"), ("a", "x", "no network 'x'")]
        {
            let fault = switch.peer(a, b, true).unwrap_err().to_string();
            assert!(fault.contains(says), "{fault}");
        }
        switch.peer("a", "b", false).unwrap();
        switch.peer("a", "b", false).unwrap();
        assert!(switch.network("b").unwrap().peers.is_empty());
        switch.peer("a", "b", true).unwrap();
        switch.remove_network("b", false).unwrap();
        assert!(switch.network("a").unwrap().peers.is_empty());
        let container = Container::new();
        switch.connect("a", &endpoint(json!({ "netns": container.netns(), "kind": "veth" }))).unwrap();
        let fault = switch.remove_network("a", false).unwrap_err().to_string();
        assert!(fault.contains("1 endpoint(s)") && fault.contains("--force"), "{fault}");
        assert_eq!(switch.prune().unwrap().networks, ["c"]);
        switch.remove_network("a", true).unwrap();
        assert_eq!((container.names(), home_names()), (vec!["lo".to_owned()], vec!["lo".to_owned()]));
        switch.stop().unwrap();
        assert!(matches!(switch.create_network(&network(json!({ "name": "z" }))), Err(Fault::Stopping)));
    });
}

#[test]
fn what_becomes_of_an_interface_is_heard_within_100_ms() {
    const SOON: Duration = Duration::from_millis(100);
    in_a_world(|| {
        let switch = start(2, None);
        switch.create_network(&network(json!({ "name": "lab" }))).unwrap();
        for (kind, words) in kinds() {
            let container = Container::new();
            let before = describe_descriptors();
            let connect = |netns: String| {
                let spec = with(json!({ "netns": netns, "endpoint": kind, "static": true }), &words);
                switch.connect("lab", &endpoint(spec)).unwrap()
            };
            connect(container.netns());
            let links = container.links();
            let index = container.link("eth0").unwrap().index;
            links.set_down(index).unwrap();
            let took = wait_for(&switch, "lab", kind, PortState::Down);
            assert!(took < SOON, "{kind} down after {took:?}");
            links.set_up(index).unwrap();
            let took = wait_for(&switch, "lab", kind, PortState::Up);
            assert!(took < SOON, "{kind} up after {took:?}");
            links.rename(index, "other0").unwrap();
            std::thread::sleep(SOON);
            let info = find(&switch, "lab", kind);
            assert_eq!((info.ifname.as_str(), info.state), ("other0", PortState::Up), "{kind}");
            assert!(!switch.mac(Some("lab")).unwrap().is_empty());
            links.delete(index).unwrap();
            drop(links);
            let took = wait_for(&switch, "lab", kind, PortState::Gone);
            assert!(took < SOON, "{kind} deleted after {took:?}");
            let rows = switch.mac(Some("lab")).unwrap();
            assert!(rows.iter().all(|row| row.kind == "gateway"), "{kind}: {rows:?}");
            assert!(switch.arp(Some("lab")).unwrap().is_empty(), "{kind}");
            assert_eq!(describe_descriptors(), before, "{kind}: descriptors");
            switch.disconnect("lab", kind).unwrap();

            let brief = Container::new();
            connect(brief.netns());
            drop(brief);
            let took = wait_for(&switch, "lab", kind, PortState::Gone);
            // The kernel takes its time to end a namespace; what counts begins there.
            assert!(took < Duration::from_secs(2), "{kind} without its namespace after {took:?}");
            switch.disconnect("lab", kind).unwrap();
            drop(container);
            assert_eq!(home_names(), ["lo"], "{kind}");
        }
        switch.stop_and_remove().unwrap();
    });
}

#[test]
fn endpoints_are_there_again_after_a_restart() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let switch = start(2, Some(folder.path()));
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
        switch.create_network(&network(json!({ "name": "far", "subnet": "10.8.0.0/24" }))).unwrap();
        switch.peer("lab", "far", true).unwrap();
        let mut hosts: Vec<Container> = Vec::new();
        for (kind, words) in kinds() {
            let host = Container::new();
            switch.connect("lab", &endpoint(with(json!({ "netns": host.netns(), "endpoint": kind }), &words))).unwrap();
            hosts.push(host);
        }
        let lost = Container::new();
        switch.connect("far", &endpoint(json!({ "netns": lost.netns(), "endpoint": "lost" }))).unwrap();
        let before = switch.networks();
        let again = Switch::start(SwitchConfig { workers: 1, state_dir: Some(folder.path().into()) });
        assert!(matches!(again.map(|_| ()), Err(Fault::InUse { .. })));
        switch.stop().unwrap();
        drop(switch);
        drop(lost);
        for (host, (kind, _)) in hosts.iter().zip(kinds()) {
            assert!(host.link("eth0").is_some(), "{kind} stays");
        }
        hosts[0].links().rename(hosts[0].link("eth0").unwrap().index, "renamed0").unwrap();

        // As if the program had been killed before it had noted the interface's number.
        let file = folder.path().join("state.json");
        let mut state = State::from_file(&std::fs::read(&file).unwrap()).unwrap();
        state.networks[0].endpoints[1].ifindex = 0;
        std::fs::write(&file, state.to_file().unwrap()).unwrap();

        let switch = start(1, Some(folder.path()));
        let mut expected = before;
        let lab = expected.iter_mut().find(|network| network.name == "lab").unwrap();
        lab.endpoints.iter_mut().find(|found| found.endpoint == "tap").unwrap().ifname = "renamed0".into();
        let far = expected.iter_mut().find(|network| network.name == "far").unwrap();
        far.endpoints[0].state = PortState::Gone;
        assert_eq!(switch.networks(), expected);
        let links = hosts[0].links();
        let index = hosts[0].link("renamed0").unwrap().index;
        links.set_down(index).unwrap();
        wait_for(&switch, "lab", "tap", PortState::Down);
        links.set_up(index).unwrap();
        wait_for(&switch, "lab", "tap", PortState::Up);
        drop(links);

        // An attached-again TAP keeps its namespace alive, so its name's end has to do.
        hosts.truncate(2);
        wait_for(&switch, "lab", "veth", PortState::Gone);
        hosts.clear();
        for kind in ["tap", "wire"] {
            let took = wait_for(&switch, "lab", kind, PortState::Gone);
            assert!(took < Duration::from_secs(3), "{kind}: {took:?}");
        }
        switch.disconnect("lab", "tap").unwrap();
        switch.stop_and_remove().unwrap();
        assert_eq!(home_names(), ["lo"]);
        assert!(start(1, Some(folder.path())).networks().is_empty());
    });
}

#[test]
fn workers_out_of_range_are_refused() {
    for workers in [0, 65] {
        let started = Switch::start(SwitchConfig { workers, state_dir: None });
        assert!(matches!(started.map(|_| ()), Err(Fault::OutOfRange { .. })));
    }
}
