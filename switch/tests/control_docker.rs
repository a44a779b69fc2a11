//! What does the switch do for Docker's driver when things go wrong? Everything that needs no dockerd: the test itself calls
//! [`docker::Fabric`], and moves interfaces as dockerd does, in namespaces of its own.
//!
//! The conversation with dockerd is tested in `docker/`; containers on a real dockerd in `tools/tests/e2e_docker*.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod control_world;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use control_world::*;
use docker::Fabric;
use docker::fabric::{Endpoint, Kind, Network, NetworkOptions, PortMapping, Protocol, PublishedPort, Refusal, Subnet};
use lanyard_switch::control::Switch;
use lanyard_switch::control::state::{NetworkRecord, State};
use lanyard_switch::control::types::{EndpointInfo, PortState};
use ports::link::{Links, VethPair};
use ports::netns::Namespace;
use tempfile::TempDir;

/// Docker's ids.
fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn lan(options: NetworkOptions) -> Network {
    subnet("10.9.0", options)
}

fn subnet(net: &str, options: NetworkOptions) -> Network {
    let (subnet, gateway) = (format!("{net}.0/24").parse().unwrap(), format!("{net}.1").parse().ok());
    Network { subnets: vec![Subnet { subnet, gateway, default_router: None }], internal: false, options }
}

fn at(ip: &str) -> Endpoint {
    Endpoint { addresses: vec![format!("{ip}/24").parse().unwrap()], mac: None }
}

fn tcp(host_port: u16, container_port: u16) -> PortMapping {
    PortMapping { protocol: Protocol::Tcp, container_port, host_ip: None, host_port, host_port_end: host_port }
}

/// A switch with a state folder in the world, with one network `n` of Docker's.
struct Case {
    folder: TempDir,
    switch: Option<Switch>,
}

impl Case {
    fn new(options: NetworkOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let switch = Some(start(1, Some(folder.path())));
        let case = Self { folder, switch };
        case.make(&id('n'), &lan(options)).unwrap();
        case
    }

    /// The driver's call, not the switch's own of that name.
    fn make(&self, id: &str, asked: &Network) -> Result<(), Refusal> {
        Fabric::create_network(&**self, id, asked)
    }

    fn stop(&mut self) {
        self.switch.take().unwrap().stop().unwrap();
    }

    fn start(&mut self) {
        self.switch = Some(start(1, Some(self.folder.path())));
    }

    /// An endpoint that has joined, its interface not moved yet.
    fn joined(&self, digit: char, asked: &Endpoint, sandbox: &Container) -> String {
        self.create_endpoint(&id('n'), &id(digit), asked).unwrap();
        self.join(&id('n'), &id(digit), &sandbox.netns()).unwrap().source_name
    }

    /// The same, and moved in.
    fn inside(&self, digit: char, asked: &Endpoint, sandbox: &Container) -> String {
        let source = self.joined(digit, asked, sandbox);
        move_in(sandbox, &source, "eth0");
        let name = id(digit)[..12].to_owned();
        wait_for(self, &id('n')[..12], &name, PortState::Up);
        source
    }

    fn infos(&self) -> Vec<EndpointInfo> {
        self.network(&id('n')[..12]).unwrap().endpoints
    }

    fn written(&self) -> State {
        written(self.folder.path())
    }

    /// Nothing more can be written down, or it can again.
    fn full_disk(&self, full: bool) {
        let new = self.folder.path().join("state.json.new");
        if full { std::fs::create_dir(new).unwrap() } else { std::fs::remove_dir(new).unwrap() }
    }

    /// Nothing is left in the world when the network is removed.
    fn ends_clean(&self) {
        self.delete_network(&id('n')).unwrap();
        assert_eq!(traces(), "lo\n");
        assert_eq!(self.written().networks, []);
    }
}

impl std::ops::Deref for Case {
    type Target = Switch;

    fn deref(&self) -> &Switch {
        self.switch.as_ref().unwrap()
    }
}

fn written(folder: &Path) -> State {
    State::from_file(&std::fs::read(folder.join("state.json")).unwrap()).unwrap()
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The host's interfaces and rules.
fn traces() -> String {
    let names = home_names().join("\n") + "\n";
    names + &shell("nft list ruleset 2>/dev/null; iptables-save 2>/dev/null | grep '^-A'")
}

/// In a world that forwards already, as one with a dockerd does. (Whoever turns forwarding on closes `FORWARD`, for good.)
fn on_a_router(test: impl FnOnce() + Send) {
    in_a_world(|| {
        for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/{key}"), "1").unwrap();
        }
        test();
    });
}

/// As dockerd moves an interface into its sandbox.
fn move_in(sandbox: &Container, source: &str, name: &str) {
    let links = Links::open().unwrap();
    links.move_to(links.by_name(source).unwrap().unwrap().index, &sandbox.0, name).unwrap();
    sandbox.links().set_up(sandbox.link(name).unwrap().index).unwrap();
}

/// As dockerd moves it back when the endpoint has left.
fn move_back(sandbox: &Container, name: &str, source: &str) {
    let index = sandbox.link(name).unwrap().index;
    sandbox.links().set_down(index).unwrap();
    sandbox.links().move_to(index, &Namespace::current().unwrap(), source).unwrap();
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Refusal>, words: &str) {
    let refusal = answer.unwrap_err().0;
    assert!(refusal.contains(words), "'{refusal}' has no '{words}'");
}

#[test]
fn every_call_may_come_twice() {
    on_a_router(|| {
        let case = Case::new(NetworkOptions::default());
        let (n, e, web) = (id('n'), id('e'), Container::new());
        let before = traces();
        case.make(&n, &lan(NetworkOptions::default())).unwrap();
        assert_eq!(traces(), before);
        let mac = case.create_endpoint(&n, &e, &at("10.9.0.2")).unwrap();
        assert_eq!(case.create_endpoint(&n, &e, &at("10.9.0.2")).unwrap(), mac);
        assert_eq!(case.infos().len(), 1);

        let first = case.join(&n, &e, &web.netns()).unwrap();
        let links = Links::open().unwrap();
        let index = links.by_name(&first.source_name).unwrap().unwrap().index;
        assert_eq!(case.join(&n, &e, &web.netns()).unwrap(), first);
        assert_eq!(links.by_name(&first.source_name).unwrap().unwrap().index, index, "the same interface");
        move_in(&web, &first.source_name, "eth0");
        wait_for(&case, &n[..12], &e[..12], PortState::Up);
        assert_eq!(case.join(&n, &e, &web.netns()).unwrap(), first, "where it is already");
        assert!(web.link("eth0").is_some() && !home_names().contains(&first.source_name));

        case.publish(&n, &e, &[tcp(0, 80)]).unwrap();
        let published = case.endpoint(&n, &e).unwrap().published;
        let rules = traces();
        case.publish(&n, &e, &[tcp(0, 80)]).unwrap();
        assert_eq!(case.endpoint(&n, &e).unwrap().published, published, "a port chosen freely stays");
        assert_eq!(traces(), rules);
        for _ in 0..2 {
            case.revoke(&n, &e).unwrap();
            assert_eq!(case.endpoint(&n, &e).unwrap().published, []);
        }
        for _ in 0..2 {
            case.leave(&n, &e).unwrap();
            assert_eq!(case.infos()[0].state, PortState::Gone);
        }
        move_back(&web, "eth0", &first.source_name);
        for _ in 0..2 {
            case.delete_endpoint(&n, &e).unwrap();
            assert_eq!(traces(), before);
        }
        case.ends_clean();
        case.delete_network(&n).unwrap();
    });
}

#[test]
fn unknown_ids() {
    on_a_router(|| {
        let case = Case::new(NetworkOptions::default());
        for (network, words) in [(id('n'), "no endpoint 'xxxxxxxxxxxx'"), (id('y'), "no network of Docker's id yyyy")] {
            let x = id('x');
            refused(case.join(&network, &x, "/run/docker/netns/1"), words);
            refused(case.publish(&network, &x, &[tcp(8080, 80)]), words);
            assert_eq!(case.endpoint(&network, &x), None);
            // What is gone already is no fault.
            case.revoke(&network, &x).unwrap();
            case.leave(&network, &x).unwrap();
            case.delete_endpoint(&network, &x).unwrap();
        }
        refused(case.create_endpoint(&id('y'), &id('x'), &at("10.9.0.2")), "docker network rm");
        refused(case.create_endpoint(&id('n'), &id('x'), &at("10.8.0.2")), "outside subnet");
        refused(case.create_endpoint(&id('n'), &id('x'), &at("10.9.0.1")), "taken by");
        case.delete_network(&id('y')).unwrap();
        assert!(case.infos().is_empty());
        case.ends_clean();
    });
}

/// A killed dockerd never says that an endpoint is gone.
#[test]
fn a_stale_endpoint_makes_way() {
    on_a_router(|| {
        let case = Case::new(NetworkOptions::default());
        let (n, old, new) = (id('n'), Container::new(), Container::new());
        case.inside('a', &at("10.9.0.2"), &old);
        case.publish(&n, &id('a'), &[tcp(8080, 80)]).unwrap();
        let mac = case.create_endpoint(&n, &id('b'), &at("10.9.0.2")).unwrap();
        assert_eq!(mac.to_string(), "02:42:0a:09:00:02");
        assert_eq!((case.endpoint(&n, &id('a')), old.names()), (None, vec!["lo".to_owned()]), "by its address");
        case.join(&n, &id('b'), &new.netns()).unwrap();
        case.publish(&n, &id('b'), &[tcp(8080, 80)]).unwrap();

        // By a port: whose interface is there keeps it.
        let (third, fourth) = (Container::new(), Container::new());
        case.joined('c', &at("10.9.0.3"), &third);
        refused(
            case.publish(&n, &id('c'), &[tcp(8080, 80)]),
            "Bind for 0.0.0.0:8080 failed: port is already allocated",
        );
        let source = case.infos().iter().find(|info| info.endpoint == id('b')[..12]).unwrap().ifname.clone();
        let links = Links::open().unwrap();
        links.delete(links.by_name(&source).unwrap().unwrap().index).unwrap();
        wait_for(&case, &n[..12], &id('b')[..12], PortState::Gone);
        case.publish(&n, &id('c'), &[tcp(8080, 80)]).unwrap();
        assert_eq!(case.endpoint(&n, &id('b')).unwrap().published, []);

        // By a MAC address: whose interface is there keeps it.
        let same_mac = Endpoint { mac: Some("02:42:0a:09:00:03".parse().unwrap()), ..at("10.9.0.4") };
        move_in(&third, &case.join(&n, &id('c'), &third.netns()).unwrap().source_name, "eth0");
        wait_for(&case, &n[..12], &id('c')[..12], PortState::Up);
        refused(case.create_endpoint(&n, &id('d'), &same_mac), "has it");
        assert_eq!(case.endpoint(&n, &id('d')), None);
        third.links().delete(third.link("eth0").unwrap().index).unwrap();
        wait_for(&case, &n[..12], &id('c')[..12], PortState::Gone);
        case.inside('d', &same_mac, &fourth);
        assert_eq!(case.endpoint(&n, &id('c')), None);
        case.ends_clean();
        assert_eq!(fourth.names(), ["lo"]);
    });
}

#[test]
fn a_failure_half_way_leaves_nothing() {
    on_a_router(|| {
        let case = Case::new(NetworkOptions::default());
        let (n, web) = (id('n'), Container::new());
        let bridged = |name: &str| NetworkOptions { bridge_name: Some(name.to_owned()), ..NetworkOptions::default() };
        let clean = (traces(), case.written());

        // A network: its interface's name is taken, or it cannot be written down.
        refused(case.make(&id('m'), &subnet("10.8.0", bridged("lo"))), "lo");
        case.full_disk(true);
        refused(case.make(&id('m'), &subnet("10.8.0", NetworkOptions::default())), "cannot write the state");
        refused(case.create_endpoint(&n, &id('a'), &at("10.9.0.2")), "cannot write the state");
        case.full_disk(false);
        assert_eq!((case.networks().len(), case.infos().len()), (1, 0));
        assert_eq!((traces(), case.written().networks), (clean.0.clone(), clean.1.networks.clone()));
        case.make(&id('m'), &subnet("10.8.0", NetworkOptions::default())).unwrap();
        case.delete_network(&id('m')).unwrap();

        // An interface: it cannot be written down, or its name is somebody else's.
        case.create_endpoint(&n, &id('a'), &at("10.9.0.2")).unwrap();
        case.full_disk(true);
        refused(case.join(&n, &id('a'), &web.netns()), "cannot write the state");
        case.full_disk(false);
        assert_eq!(traces(), clean.0);
        let source = format!("lyd-{}", &id('a')[..11]);
        let theirs = veth(&source, "theirs1", None);
        refused(case.join(&n, &id('a'), &web.netns()), "");
        assert_eq!(home_names().len(), 4, "only theirs beside the gateway: {:?}", home_names());
        Links::open().unwrap().delete(theirs).unwrap();
        assert_eq!(case.join(&n, &id('a'), &web.netns()).unwrap().source_name, source, "and now it goes");

        // Ports: one of three is taken.
        let before = traces();
        let taken = TcpListener::bind("0.0.0.0:8081").unwrap();
        let ports = [tcp(8080, 80), tcp(8081, 81), tcp(0, 82)];
        refused(case.publish(&n, &id('a'), &ports), "Bind for 0.0.0.0:8081 failed: port is already allocated");
        assert_eq!((case.endpoint(&n, &id('a')).unwrap().published, traces()), (vec![], before.clone()));
        drop(TcpListener::bind("0.0.0.0:8080").unwrap());
        drop(taken);
        case.full_disk(true);
        refused(case.publish(&n, &id('a'), &ports), "cannot write the state");
        case.full_disk(false);
        assert_eq!((case.endpoint(&n, &id('a')).unwrap().published, traces()), (vec![], before));
        case.publish(&n, &id('a'), &ports).unwrap();
        case.ends_clean();
        drop(TcpListener::bind("0.0.0.0:8080").unwrap());
    });
}

/// A pair of veths that are not the switch's; the number of the first.
fn veth(name: &str, peer_name: &str, peer_namespace: Option<&Namespace>) -> u32 {
    let pair = VethPair { name, peer_name, peer_namespace, peer_mac: None, mtu: None, peer_mtu: None };
    Links::open().unwrap().create_veth(&pair).unwrap().index
}

#[test]
fn what_is_answered_is_written_down() {
    on_a_router(|| {
        let case = Case::new(NetworkOptions::default());
        let (n, e, web) = (id('n'), id('e'), Container::new());
        let network = || case.written().networks.into_iter().next().unwrap();
        let docker = |network: NetworkRecord| {
            network.endpoints.into_iter().find_map(|endpoint| Some((endpoint.complete, endpoint.mac, endpoint.docker?)))
        };
        assert_eq!((network().id, network().docker, docker(network())), (n.clone(), true, None));
        let mac = case.create_endpoint(&n, &e, &at("10.9.0.2")).unwrap();
        let (complete, noted, record) = docker(network()).unwrap();
        assert_eq!((complete, noted, record.id, record.sandbox), (true, mac, e.clone(), None));
        case.join(&n, &e, &web.netns()).unwrap();
        let (complete, _, record) = docker(network()).unwrap();
        assert_eq!((complete, record.sandbox), (true, Some(web.netns())));
        case.publish(&n, &e, &[tcp(8080, 80)]).unwrap();
        let published = docker(network()).unwrap().2.published;
        let first = PublishedPort {
            protocol: Protocol::Tcp,
            container_port: 80,
            host_ip: "0.0.0.0".parse().unwrap(),
            host_port: 8080,
        };
        assert!(published.contains(&first), "{published:?}");
        case.revoke(&n, &e).unwrap();
        let record = docker(network()).unwrap().2;
        assert_eq!((record.published, record.revoked), (vec![], published));
        case.delete_endpoint(&n, &e).unwrap();
        assert_eq!(docker(network()), None);
        case.ends_clean();
    });
}

#[test]
fn after_a_reboot_networks_are_there_and_endpoints_are_not() {
    on_a_router(|| {
        for gone in [true, false] {
            let mut case = Case::new(NetworkOptions::default());
            let (n, web) = (id('n'), Container::new());
            case.inside('a', &at("10.9.0.2"), &web);
            case.publish(&n, &id('a'), &[tcp(8080, 80)]).unwrap();
            case.create_endpoint(&n, &id('b'), &at("10.9.0.3")).unwrap();
            let before = case.network(&n[..12]).unwrap();
            case.stop();
            let mut state = case.written();
            assert!(!state.boot_id.is_empty());
            state.boot_id = "another".to_owned();
            std::fs::write(case.folder.path().join("state.json"), state.to_file().unwrap()).unwrap();
            if gone {
                shell("ip link delete ly-nnnnnnnnnnnn; nft flush ruleset");
                drop(web);
            }
            case.start();
            let after = case.network(&n[..12]).unwrap();
            assert_eq!(after.endpoints, []);
            assert_eq!((after.id, after.subnet, after.gateway), (before.id, before.subnet, before.gateway));
            assert_eq!((&after.host_ifname, after.gateway_mac), (&before.host_ifname, before.gateway_mac));
            let addresses = shell("ip -br -4 addr show ly-nnnnnnnnnnnn");
            assert!(addresses.contains("10.9.0.1/24"), "{addresses}");
            assert!(!traces().contains("8080"), "{}", traces());
            assert!(case.written().networks[0].endpoints.iter().all(|endpoint| endpoint.docker.is_none()));
            // Its address and port are free for who comes now.
            let web = Container::new();
            case.inside('c', &at("10.9.0.2"), &web);
            case.publish(&n, &id('c'), &[tcp(8080, 80)]).unwrap();
            case.ends_clean();
        }
    });
}

/// Dockerd goes on while the switch is away: it has moved the interface, and renamed it.
#[test]
fn an_interface_that_moved_when_nobody_looked_is_found() {
    on_a_router(|| {
        for (kind, offload) in [(Kind::Tap, None), (Kind::Tap, Some(false)), (Kind::Veth, None)] {
            for clash in [false, true] {
                let mut case = Case::new(NetworkOptions { kind, offload, ..NetworkOptions::default() });
                let (n, web) = (id('n'), Container::new());
                let source = case.joined('a', &at("10.9.0.2"), &web);
                case.publish(&n, &id('a'), &[tcp(8080, 80)]).unwrap();
                let index = Links::open().unwrap().by_name(&source).unwrap().unwrap().index;
                case.stop();
                if clash {
                    // Its number is taken inside, so that it gets another.
                    let words = format!("ip link add other index {index} type veth peer name other1");
                    web.0.enter(|| shell(&words)).unwrap();
                    assert_eq!(web.link("other").unwrap().index, index);
                }
                move_in(&web, &source, "eth0");
                assert_eq!(web.link("eth0").unwrap().index == index, !clash);
                case.start();
                let info = find(&case, &n[..12], &id('a')[..12]);
                assert_eq!((info.state, info.ifname.as_str()), (PortState::Up, "eth0"), "{kind:?} {offload:?} {clash}");
                assert_eq!(info.netns, web.netns());
                assert_eq!(case.endpoint(&n, &id('a')).unwrap().published.len(), info.published.len());
                assert!(TcpListener::bind("0.0.0.0:8080").is_err(), "the port is kept again");
                case.leave(&n, &id('a')).unwrap();
                move_back(&web, "eth0", &source);
                case.delete_endpoint(&n, &id('a')).unwrap();
                assert!(!home_names().contains(&source), "{kind:?} {offload:?} {clash}");
                assert!(web.link("eth0").is_none());
                case.ends_clean();
            }
        }
    });
}

/// The last calls of an endpoint may be lost (the switch was away for longer than dockerd tries), or come in another order.
#[test]
fn the_end_comes_in_any_order() {
    on_a_router(|| {
        for kind in [Kind::Tap, Kind::Veth] {
            for restarted in [false, true] {
                let mut case = Case::new(NetworkOptions { kind, ..NetworkOptions::default() });
                let (n, a) = (id('n'), id('a'));
                let at_end = |case: &mut Case| {
                    if restarted {
                        case.stop();
                        case.start();
                    }
                };
                // Deleted without having left.
                let web = Container::new();
                case.inside('a', &at("10.9.0.2"), &web);
                at_end(&mut case);
                case.delete_endpoint(&n, &a).unwrap();
                assert_eq!(web.names(), ["lo"], "{kind:?} {restarted}");
                // Left, and the sandbox is destroyed with the interface in it.
                let gone = Container::new();
                case.inside('a', &at("10.9.0.2"), &gone);
                case.leave(&n, &a).unwrap();
                drop(gone);
                at_end(&mut case);
                case.delete_endpoint(&n, &a).unwrap();
                // Left and moved back; the switch never hears of the end, but of the network's.
                let source = case.inside('a', &at("10.9.0.2"), &web);
                case.leave(&n, &a).unwrap();
                move_back(&web, "eth0", &source);
                at_end(&mut case);
                case.delete_network(&n).unwrap();
                assert_eq!(traces(), "lo\n", "{kind:?} {restarted}");
                // Never moved, never deleted.
                case.make(&n, &lan(NetworkOptions { kind, ..NetworkOptions::default() })).unwrap();
                case.joined('a', &at("10.9.0.2"), &web);
                at_end(&mut case);
                case.ends_clean();
            }
        }
    });
}

#[test]
fn an_endpoint_joins_again() {
    on_a_router(|| {
        let case = Case::new(NetworkOptions::default());
        let (n, a, first, second) = (id('n'), id('a'), Container::new(), Container::new());
        let source = case.inside('a', &at("10.9.0.2"), &first);
        // Elsewhere, without having left.
        assert_eq!(case.join(&n, &a, &second.netns()).unwrap().source_name, source);
        assert_eq!(first.names(), ["lo"], "nothing is left where it was");
        move_in(&second, &source, "eth0");
        wait_for(&case, &n[..12], &a[..12], PortState::Up);
        // In the same place, after having left.
        case.leave(&n, &a).unwrap();
        move_back(&second, "eth0", &source);
        assert_eq!(case.join(&n, &a, &second.netns()).unwrap().source_name, source);
        move_in(&second, &source, "eth0");
        wait_for(&case, &n[..12], &a[..12], PortState::Up);
        case.delete_endpoint(&n, &a).unwrap();
        assert_eq!(second.names(), ["lo"]);
        refused(case.join(&n, &a, &second.netns()), "no endpoint");
        case.ends_clean();
    });
}

#[test]
fn two_networks_cannot_have_one_interface() {
    on_a_router(|| {
        let named = || NetworkOptions { bridge_name: Some("lab0".to_owned()), ..NetworkOptions::default() };
        let case = Case::new(named());
        let before = (traces(), case.written().networks);
        refused(case.make(&id('m'), &subnet("10.8.0", named())), "networks have same bridge name");
        assert_eq!((traces(), case.written().networks), before);
        let web = Container::new();
        case.inside('a', &at("10.9.0.2"), &web);
        case.delete_endpoint(&id('n'), &id('a')).unwrap();
        case.delete_network(&id('n')).unwrap();
        case.make(&id('m'), &subnet("10.8.0", named())).unwrap();
        case.delete_network(&id('m')).unwrap();
        assert_eq!(traces(), "lo\n");
    });
}
