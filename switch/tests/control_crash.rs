//! What is left after the program was killed, or after somebody else renamed its devices? Real devices in real namespaces:
//! an endpoint is whole or not there at all, and what is removed is removed at both ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod control_world;

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control_world::*;
use lanyard_switch::control::state::{EndpointRecord, State};
use lanyard_switch::control::types::PortState;
use ports::link::Links;
use serde_json::json;

const SOON: Duration = Duration::from_millis(100);

fn records(folder: &Path) -> Vec<EndpointRecord> {
    let state = State::from_file(&std::fs::read(folder.join("state.json")).unwrap()).unwrap();
    state.networks.into_iter().flat_map(|network| network.endpoints).collect()
}

/// Change every endpoint that is written down.
fn rewrite(folder: &Path, change: impl Fn(&mut EndpointRecord)) {
    let file = folder.join("state.json");
    let mut state = State::from_file(&std::fs::read(&file).unwrap()).unwrap();
    state.networks.iter_mut().flat_map(|network| &mut network.endpoints).for_each(change);
    std::fs::write(&file, state.to_file().unwrap()).unwrap();
}

/// As it is written down before anything is made.
fn half_made(record: &mut EndpointRecord) {
    (record.complete, record.ifindex, record.host_ifindex) = (false, 0, 0);
}

/// The only veth beside the switch.
fn host_end() -> String {
    let mut names = home_names();
    names.retain(|name| name != "lo");
    assert_eq!(names.len(), 1, "{names:?}");
    names.remove(0)
}

fn rename(from: &str, to: &str) {
    let links = Links::open().unwrap();
    links.rename(links.by_name(from).unwrap().unwrap().index, to).unwrap();
}

#[test]
fn an_endpoint_half_made_by_a_crash_is_undone() {
    in_a_world(|| {
        for words in [json!({ "kind": "tap" }), json!({ "kind": "tap", "offload": false }), json!({ "kind": "veth" })] {
            for left in ["whole", "down", "nothing", "no namespace"] {
                let folder = tempfile::tempdir().unwrap();
                let switch = start(1, Some(folder.path()));
                switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
                let container = Container::new();
                let mut spec = json!({ "netns": container.netns(), "endpoint": "web" });
                spec.as_object_mut().unwrap().extend(words.as_object().unwrap().clone());
                let before = switch.connect("lab", &endpoint(spec.clone())).unwrap();
                assert!(records(folder.path()).iter().all(|record| record.complete && record.ifindex != 0));
                switch.stop().unwrap();
                drop(switch);
                rewrite(folder.path(), half_made);
                let index = container.link("eth0").unwrap().index;
                match left {
                    "down" => container.links().set_down(index).unwrap(),
                    "nothing" => container.links().delete(index).unwrap(),
                    _ => (),
                }
                let container = if left == "no namespace" { Container::new() } else { container };
                spec["netns"] = json!(container.netns());

                let switch = start(1, Some(folder.path()));
                assert!(switch.network("lab").unwrap().endpoints.is_empty(), "{words} {left}");
                assert!(records(folder.path()).is_empty(), "{words} {left}");
                assert_eq!(container.names(), ["lo"], "{words} {left}");
                if left != "no namespace" {
                    assert_eq!(home_names(), ["lo"], "{words} {left}");
                }
                // Its name and its address are free again.
                let after = switch.connect("lab", &endpoint(spec)).unwrap();
                assert_eq!((after.ip, after.mac, after.state), (before.ip, before.mac, PortState::Up));
                switch.stop_and_remove().unwrap();
            }
        }
    });
}

/// The name that was written down belongs to a device that is not the endpoint's.
#[test]
fn undoing_leaves_what_is_not_its_own() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let switch = start(1, Some(folder.path()));
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
        let container = Container::new();
        switch.connect("lab", &endpoint(json!({ "netns": container.netns(), "endpoint": "web" }))).unwrap();
        switch.stop().unwrap();
        drop(switch);
        rewrite(folder.path(), half_made);
        let links = container.links();
        links.set_mac(container.link("eth0").unwrap().index, "02:00:00:00:00:99".parse().unwrap()).unwrap();
        let switch = start(1, Some(folder.path()));
        assert!(switch.network("lab").unwrap().endpoints.is_empty());
        assert!(container.link("eth0").is_some(), "another's");
        switch.stop_and_remove().unwrap();
    });
}

#[test]
fn a_host_end_is_followed_when_it_is_renamed() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut switch = start(1, Some(folder.path()));
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
        let container = Container::new();
        let spec = endpoint(json!({ "netns": container.netns(), "endpoint": "web", "kind": "veth" }));
        // What is written down of it when it is found again: all, or what an older program knew.
        let forget: [fn(&mut EndpointRecord); 2] = [|_| (), |record| record.host_ifindex = 0];
        for change in forget {
            switch.connect("lab", &spec).unwrap();
            rename(&host_end(), "foo0");
            std::thread::sleep(SOON);
            assert_eq!(find(&switch, "lab", "web").state, PortState::Up);
            assert_eq!(records(folder.path())[0].host_ifname.as_deref(), Some("foo0"));
            let links = container.links();
            let index = container.link("eth0").unwrap().index;
            links.set_down(index).unwrap();
            wait_for(&switch, "lab", "web", PortState::Down);
            links.set_up(index).unwrap();
            wait_for(&switch, "lab", "web", PortState::Up);
            drop(links);

            switch.stop().unwrap();
            drop(switch);
            rewrite(folder.path(), change);
            rename("foo0", "foo1");
            switch = start(1, Some(folder.path()));
            assert_eq!(find(&switch, "lab", "web").state, PortState::Up);
            rename("foo1", "foo2");
            switch.disconnect("lab", "web").unwrap();
            assert_eq!((home_names(), container.names()), (vec!["lo".to_owned()], vec!["lo".to_owned()]));
        }
        switch.stop_and_remove().unwrap();
    });
}

/// The endpoint is gone from the switch's view and its number is somebody else's now: that one stays.
#[test]
fn a_veth_of_somebody_else_is_left_alone() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let switch = start(1, Some(folder.path()));
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
        let (container, other) = (Container::new(), Container::new());
        let spec = |netns: String, name: &str| endpoint(json!({ "netns": netns, "endpoint": name, "kind": "veth" }));
        switch.connect("lab", &spec(container.netns(), "web")).unwrap();
        switch.stop().unwrap();
        drop(switch);
        let links = Links::open().unwrap();
        links.delete(links.by_name(&host_end()).unwrap().unwrap().index).unwrap();
        let pair = ports::link::VethPair {
            name: "theirs0",
            peer_name: "eth0",
            peer_namespace: Some(&other.0),
            peer_mac: None,
            mtu: None,
            peer_mtu: None,
        };
        let theirs = links.create_veth(&pair).unwrap();
        rewrite(folder.path(), |record| record.host_ifindex = theirs.index);
        let switch = start(1, Some(folder.path()));
        assert_eq!(find(&switch, "lab", "web").state, PortState::Gone);
        switch.disconnect("lab", "web").unwrap();
        assert_eq!(host_end(), "theirs0");
        switch.stop_and_remove().unwrap();
    });
}

#[test]
fn the_last_ones_end_in_a_nameless_namespace_is_heard_within_100_ms() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let switch = start(1, Some(folder.path()));
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
        let container = Container::new();
        switch.connect("lab", &endpoint(json!({ "netns": container.netns(), "endpoint": "web" }))).unwrap();
        switch.stop().unwrap();
        drop(switch);
        let switch = start(1, Some(folder.path()));
        let sleep = || container.0.enter(|| Command::new("sleep").arg("60").spawn().unwrap()).unwrap();
        let mut holders = [sleep(), sleep()];
        drop(container);
        // Nothing tells that a descriptor under /proc was closed: it is asked for once a second.
        std::thread::sleep(Duration::from_millis(1200));
        let [first, last] = &mut holders;
        first.kill().unwrap();
        first.wait().unwrap();
        std::thread::sleep(2 * SOON);
        assert_eq!(find(&switch, "lab", "web").state, PortState::Up, "one is left");
        last.kill().unwrap();
        let took = wait_for(&switch, "lab", "web", PortState::Gone);
        last.wait().unwrap();
        assert!(took < SOON, "{took:?}");
        switch.stop_and_remove().unwrap();
    });
}

/// Who is being attached is not flooded to before it can take a frame.
#[test]
fn attaching_loses_no_frame_of_others() {
    in_a_world(|| {
        let switch = start(1, None);
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
        let hosts: Vec<Container> = (0..9).map(|_| Container::new()).collect();
        let spec = |host: &Container, kind: &str| endpoint(json!({ "netns": host.netns(), "kind": kind }));
        switch.connect("lab", &spec(&hosts[0], "tap")).unwrap();
        let sender = hosts[0].0.enter(|| UdpSocket::bind("10.9.0.2:0").unwrap()).unwrap();
        sender.set_broadcast(true).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = sender.send_to(b"x", "10.9.0.255:9");
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
            for host in &hosts[1..] {
                switch.connect("lab", &spec(host, "tap")).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        let drops = switch.drops(Some("lab")).unwrap();
        assert!(drops.iter().all(|row| row.reason != "egress-down"), "{drops:?}");
        switch.stop_and_remove().unwrap();
    });
}

/// Nothing of the state is left: what looks like its devices is named in the log, and left to the user.
#[test]
fn with_the_state_lost_nothing_is_removed() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let switch = start(1, Some(folder.path()));
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
        let container = Container::new();
        let spec = json!({ "netns": container.netns(), "endpoint": "web", "kind": "veth" });
        switch.connect("lab", &endpoint(spec)).unwrap();
        switch.stop().unwrap();
        drop(switch);
        for name in ["state.json", "state.json.previous"] {
            std::fs::write(folder.path().join(name), "garbage").unwrap();
        }
        let left = host_end();
        let switch = start(1, Some(folder.path()));
        assert!(switch.networks().is_empty());
        assert_eq!(host_end(), left);
        switch.stop_and_remove().unwrap();
    });
}
