//! What survives when the daemon is killed, or ends in order, and is started again under a running ping; and what does it do
//! with a state that cannot be read, or a container that died in the meantime?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::fs;
use std::thread;
use std::time::Duration;

use harness::host::Pings;
use harness::{Host, Kind, PATIENCE, Running, World, ready, wait_for};
use nix::sys::signal::Signal;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv"];

/// Seconds between two pings.
const INTERVAL: f64 = 0.05;

/// Pairs of containers, one of each kind, the first pinging the second; and a network beside.
struct Scene {
    world: World,
    pairs: Vec<(Host, Host, Running)>,
}

impl Scene {
    fn new(workers: usize) -> Self {
        let world = World::with_blue(workers, "");
        world.done("network create green --subnet 10.30.0.0/24 --gateway 10.30.0.254 --mtu 1400 -o arp=suppress");
        world.done("network create red --gateway-mode none -o ageing=77 --mac-limit 9");
        world.done("network peer blue green");
        let pairs = Kind::ALL.map(|kind| {
            let (a, b) = (world.host(&format!("{}-a", kind.name()), kind), Host::new(&format!("{}-b", kind.name())));
            world.connect("blue", &b, kind, if kind == Kind::Tap { "--static" } else { "" });
            let ping = a.spawn(&format!("ping -n -i {INTERVAL} {}", b.ip()));
            (a, b, ping)
        });
        Self { world, pairs: pairs.into() }
    }

    /// What is listed must be the same before and after: networks, endpoints, peers.
    fn listed(&self) -> serde_json::Value {
        self.world.json("network ls")
    }

    /// End the daemon by `signal`, start it again after a while, and see every ping go on.
    fn survives(self, signal: Signal) -> (World, Vec<(Host, Host)>) {
        thread::sleep(Duration::from_millis(500));
        let (before, addresses) = (self.listed(), self.addresses());
        let code = self.world.end(signal);
        assert_eq!(code, (signal == Signal::SIGTERM).then_some(0), "{}", self.world.log());
        thread::sleep(Duration::from_millis(400));
        self.world.start();
        assert_eq!(self.listed(), before);
        assert_eq!(self.addresses(), addresses);
        thread::sleep(Duration::from_millis(1800));
        let Self { world, pairs } = self;
        let hosts = pairs.into_iter().map(|(a, b, ping)| {
            ping.signal(Signal::SIGINT);
            let pings = Pings::read(&ping.finish(PATIENCE).out);
            went_on(a.name(), &pings);
            (a, b)
        });
        let hosts = hosts.collect();
        (world, hosts)
    }

    fn addresses(&self) -> Vec<String> {
        let addresses =
            |host: &Host| host.run("ip -4 -o addr show dev eth0").ok() + &host.run("ip -o link show eth0").ok();
        // The state comes and goes with the daemon; index, name, MTU, MAC and IP addresses stay.
        let comes_and_goes = |word: &&str| word.starts_with('<') || ["DOWN", "UP", "UNKNOWN"].contains(word);
        let steady =
            |text: String| text.split_whitespace().filter(|word| !comes_and_goes(word)).collect::<Vec<_>>().join(" ");
        self.pairs.iter().flat_map(|(a, b, _)| [steady(addresses(a)), steady(addresses(b))]).collect()
    }
}

/// Pings were answered before and after, and lost only while no daemon ran.
fn went_on(name: &str, pings: &Pings) {
    let mut answered = pings.answered();
    // Frames that waited in two queues of a port are read by two workers: the first two may change places.
    answered.sort_unstable();
    assert!(answered.first().is_some_and(|first| *first <= 2), "{name}: {}", pings.text);
    let last = *answered.last().unwrap();
    assert!(pings.sent - last <= 1, "{name}: {} sent, {last} was the last answered: {}", pings.sent, pings.text);
    assert!(answered.is_sorted_by(|a, b| a < b), "{name}: answered twice: {}", pings.text);
    let gaps: Vec<u32> = answered.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
    // The daemon was away for 0.4 s, and then some for its end and its start; and a kernel that lost its neighbors with the
    // carrier asks for them again once a second.
    assert!(gaps.len() <= 1, "{name}: lost more than once: {gaps:?}");
    let away = f64::from(gaps.iter().sum::<u32>()) * INTERVAL;
    assert!(away <= 2.0, "{name}: {away} s were lost");
    assert!(!pings.duplicates, "{name}: {}", pings.text);
}

/// Take everything down; nothing may be left of it.
fn remove_all(world: &World, hosts: &[(Host, Host)]) {
    for (a, _) in hosts {
        world.done(&format!("network disconnect blue {}", a.name()));
        assert!(a.interfaces().is_empty(), "{}", a.name());
    }
    world.done("network rm blue --force");
    for (_, b) in hosts {
        assert!(b.interfaces().is_empty(), "{}", b.name());
    }
    world.done("network rm green");
    world.done("network rm red");
    assert_eq!(world.json("network ls"), serde_json::json!([]));
    assert!(world.home.interfaces().is_empty());
}

fn killed(workers: usize) {
    let (world, hosts) = Scene::new(workers).survives(Signal::SIGKILL);
    remove_all(&world, &hosts);
}

#[test]
fn a_killed_daemon_takes_up_where_it_was_with_one_worker() {
    if ready("a_killed_daemon_takes_up_where_it_was_with_one_worker", TOOLS) {
        killed(1);
    }
}

#[test]
fn a_killed_daemon_takes_up_where_it_was_with_two_workers() {
    if ready("a_killed_daemon_takes_up_where_it_was_with_two_workers", TOOLS) {
        killed(2);
    }
}

#[test]
fn an_orderly_end_leaves_the_endpoints_for_the_next_start() {
    if ready("an_orderly_end_leaves_the_endpoints_for_the_next_start", TOOLS) {
        let (world, hosts) = Scene::new(2).survives(Signal::SIGTERM);
        // And once more, by the other signal; the socket goes with the daemon.
        assert_eq!(world.end(Signal::SIGINT), Some(0));
        assert!(!world.socket().exists());
        world.start();
        remove_all(&world, &hosts);
    }
}

#[test]
fn a_daemon_that_is_killed_again_and_again_loses_nothing() {
    if !ready("a_daemon_that_is_killed_again_and_again_loses_nothing", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let hosts: Vec<Host> = Kind::ALL.into_iter().map(|kind| world.host(kind.name(), kind)).collect();
    let mut descriptors = Vec::new();
    for _ in 0..5 {
        world.end(Signal::SIGKILL);
        world.start();
        for (from, to) in hosts.iter().zip(hosts.iter().cycle().skip(1)) {
            assert!(from.ping(&format!("-c 1 -W 3 {}", to.ip())).is_perfect());
        }
        descriptors.push(world.descriptors());
    }
    assert!(descriptors.windows(2).all(|pair| pair[0] == pair[1]), "{descriptors:?}");
    assert_eq!(world.home.interfaces().len(), 3, "one host end for each veth");
}

#[test]
fn a_corrupt_state_is_kept_aside_and_the_copy_before_it_used() {
    if !ready("a_corrupt_state_is_kept_aside_and_the_copy_before_it_used", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2]: [Host; 2] = world.hosts(Kind::Tap);
    world.done("network create green");
    let before = world.json("network inspect blue");
    world.end(Signal::SIGKILL);
    let file = world.state().join("state.json");
    let whole = fs::read(&file).unwrap();
    // Cut in the middle, as a full disk would.
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    world.start();
    assert_eq!(fs::read(world.state().join("state.json.corrupt")).unwrap(), &whole[..whole.len() / 2]);
    let log = world.log();
    assert!(log.contains("ERROR") && log.contains("state.json.corrupt") && log.contains("copy before"), "{log}");
    // The last change is not in the copy; what came before it is, and works.
    assert_eq!(world.json("network inspect blue"), before);
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    // The next change is written as ever.
    world.done("network create red");
    world.end(Signal::SIGKILL);
    world.start();
    assert_eq!(world.json("network ls").as_array().unwrap().len(), 2);
}

#[test]
fn a_container_that_died_in_the_meantime_is_gone() {
    if !ready("a_container_that_died_in_the_meantime_is_gone", TOOLS) {
        return;
    }
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let world = World::with_blue(2, "");
        let hosts: Vec<Host> = Kind::ALL.into_iter().map(|kind| world.host(kind.name(), kind)).collect();
        let alive: [Host; 2] = world.hosts(Kind::Tap);
        world.end(signal);
        hosts[..2].iter().for_each(Host::kill);
        hosts[2].run("ip link del eth0").ok();
        hosts[3..].iter().for_each(Host::kill);
        wait_for("the kernel", PATIENCE, || world.home.interfaces().is_empty());
        world.start();
        for host in &hosts {
            assert_eq!(world.state_of(host.name()), "gone", "{}", host.name());
        }
        assert!(alive[0].ping(&format!("-c 1 -W 3 {}", alive[1].ip())).is_perfect());
        for host in &hosts {
            world.done(&format!("network disconnect blue {}", host.name()));
        }
        assert_eq!(world.json("show ports").as_array().unwrap().len(), 2);
    }
}

/// A TAP that the daemon attached again, from inside its namespace, must not keep that namespace alive when its container
/// dies.
#[test]
fn a_container_that_dies_after_the_restart_is_let_go() {
    if !ready("a_container_that_dies_after_the_restart_is_let_go", TOOLS) {
        return;
    }
    for kind in Kind::ALL {
        let world = World::with_blue(2, "");
        let descriptors = world.descriptors();
        let guest = world.host("guest", kind);
        world.end(Signal::SIGKILL);
        world.start();
        let namespace = guest.namespace();
        guest.kill();
        wait_for("gone", PATIENCE, || world.state_of("guest") == "gone");
        wait_for("the descriptors", PATIENCE, || world.descriptors() == descriptors);
        world.done("network disconnect blue guest");
        wait_for("the namespace's end", PATIENCE, || !holds(&world, &namespace));
    }
}

/// Is that namespace in the hands of the daemon? (A descriptor of its own, or the one its TAP was made in.)
fn holds(world: &World, namespace: &str) -> bool {
    let folder = format!("/proc/{}/fd", world.pid());
    let links = fs::read_dir(folder).unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.into_iter().any(|link| link.to_string_lossy() == namespace)
}
