//! What becomes of a port whose container end is taken down, renamed, deleted or destroyed, while traffic runs; and does
//! anything stay behind after many have come and gone?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::thread;
use std::time::{Duration, Instant};

use harness::{Host, Kind, PATIENCE, Running, World, ready, wait_for};

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv"];

/// A change has to be noticed within 100 ms; the rest is what a busy machine needs to start `ip` and `lanyard`.
const NOTICED: Duration = Duration::from_millis(300);

/// Kinds, with the number of workers to try each with.
const WORLDS: [(usize, Kind); 5] =
    [(1, Kind::Tap), (2, Kind::TapWire), (2, Kind::Veth), (1, Kind::VethWire), (2, Kind::Xdp)];

/// h1 pings h2 without pause, and h2 is about to have an accident.
struct Scene {
    world: World,
    h1: Host,
    h2: Host,
    /// Descriptors of the daemon before h2 was connected.
    descriptors: usize,
    _ping: Running,
}

impl Scene {
    fn new(workers: usize, kind: Kind) -> Self {
        let world = World::with_blue(workers, "");
        let h1 = world.host("h1", kind);
        wait_for("h1's descriptors", PATIENCE, || world.state_of("h1") == "up");
        let descriptors = world.descriptors();
        let h2 = world.host("h2", kind);
        assert!(world.descriptors() > descriptors);
        let ping = h1.spawn(&format!("ping -n -q -i 0.002 {}", h2.ip()));
        wait_for("h2's entry", PATIENCE, || !world.macs_on("h2").is_empty());
        Self { world, h1, h2, descriptors, _ping: ping }
    }

    /// Do it, and wait until `show ports` says so.
    fn noticed(&self, state: &str, accident: impl FnOnce(&Host)) {
        accident(&self.h2);
        let start = Instant::now();
        wait_for(state, PATIENCE, || self.world.state_of("h2") == state);
        let after = start.elapsed();
        assert!(after < NOTICED, "'{state}' was noticed after {after:?}");
        if state != "up" {
            wait_for("its entries to go", NOTICED, || self.world.macs_on("h2").is_empty());
        }
    }

    /// The daemon does nothing much over the next second, although h1 still pings.
    fn is_calm(&self) {
        let used = self.world.cpu_time_in(Duration::from_secs(1));
        assert!(used <= Duration::from_millis(150), "{used:?} of CPU time in a second with 500 frames at most");
    }

    /// Nothing is left of h2 but its line, and that goes when it is disconnected.
    fn is_gone_for_good(&self) {
        wait_for("the descriptors", PATIENCE, || self.world.descriptors() == self.descriptors);
        self.is_calm();
        assert_eq!(self.world.descriptors(), self.descriptors);
        self.world.done("network disconnect blue h2");
        assert_eq!(self.world.state_of("h2"), "");
        assert!(self.h1.ping("-c 1 -W 2 10.20.0.1").is_perfect());
    }
}

fn in_each_scene(test: &str, check: impl Fn(Scene)) {
    if ready(test, TOOLS) {
        for (workers, kind) in WORLDS {
            check(Scene::new(workers, kind));
        }
    }
}

#[test]
fn a_deleted_interface_is_noticed() {
    in_each_scene("a_deleted_interface_is_noticed", |scene| {
        scene.noticed("gone", |h2| {
            h2.run("ip link del eth0").ok();
        });
        scene.is_gone_for_good();
        // The same container can come back.
        scene.world.connect("blue", &scene.h2, Kind::Tap, "");
        assert!(scene.h1.ping(&format!("-c 1 -W 3 {}", scene.h2.ip())).is_perfect());
    });
}

#[test]
fn a_destroyed_namespace_is_noticed() {
    in_each_scene("a_destroyed_namespace_is_noticed", |scene| {
        scene.noticed("gone", Host::kill);
        scene.is_gone_for_good();
        assert_eq!(scene.world.home.interfaces().len(), host_ends(&scene.world, 1));
    });
}

/// Interfaces in the daemon's namespace for so many containers like h1.
fn host_ends(world: &World, containers: usize) -> usize {
    let kind = world.rows("show ports", |row| row["endpoint"] == "h1")[0]["kind"].clone();
    if kind == "tap" { 0 } else { containers }
}

#[test]
fn an_interface_that_is_down_is_left_out_until_it_is_up() {
    in_each_scene("an_interface_that_is_down_is_left_out_until_it_is_up", |scene| {
        scene.noticed("down", |h2| {
            h2.run("ip link set eth0 down").ok();
        });
        scene.is_calm();
        assert!(scene.world.macs_on("h2").is_empty());
        scene.noticed("up", |h2| {
            h2.run("ip link set eth0 up").ok();
        });
        assert!(scene.h1.ping(&format!("-c 3 -i 0.2 -W 3 {}", scene.h2.ip())).received > 0);
    });
}

#[test]
fn a_renamed_interface_goes_on_under_its_new_name() {
    in_each_scene("a_renamed_interface_goes_on_under_its_new_name", |scene| {
        scene.h2.run("ip link set eth0 down").ok();
        scene.h2.run("ip link set eth0 name net9").ok();
        scene.h2.run("ip link set net9 up").ok();
        let ifname = || {
            let info = scene.world.json("network inspect blue");
            let endpoints = info["endpoints"].as_array().unwrap();
            let h2 = endpoints.iter().find(|endpoint| endpoint["endpoint"] == "h2").unwrap();
            (h2["ifname"].as_str().unwrap().to_owned(), h2["state"].as_str().unwrap().to_owned())
        };
        let seen = wait_for("the new name", PATIENCE, || ifname() == ("net9".to_owned(), "up".to_owned()));
        assert!(seen < NOTICED, "{seen:?}");
        assert!(scene.h1.ping(&format!("-c 3 -i 0.2 -W 3 {}", scene.h2.ip())).received > 0);
        scene.world.done("network disconnect blue h2");
        assert!(scene.h2.interfaces().is_empty());
    });
}

/// A veth has an end in the switch's own namespace, which somebody may delete or take down, too.
#[test]
fn the_host_end_of_a_veth_is_followed_too() {
    if !ready("the_host_end_of_a_veth_is_followed_too", TOOLS) {
        return;
    }
    for kind in [Kind::Veth, Kind::Xdp] {
        let scene = Scene::new(2, kind);
        let tell = |words: String| scene.world.home.run(&words).ok();
        let end = newest(&scene);
        scene.noticed("down", |_| {
            tell(format!("ip link set {end} down"));
        });
        scene.noticed("up", |_| {
            tell(format!("ip link set {end} up"));
        });
        scene.noticed("gone", |_| {
            tell(format!("ip link del {end}"));
        });
        scene.is_gone_for_good();
    }
}

/// The interface with the highest number in the daemon's namespace: h2's, which was connected last.
fn newest(scene: &Scene) -> String {
    let text = scene.world.home.run("ip -o link").ok();
    let line = text.lines().max_by_key(|line| line.split(':').next().unwrap().parse::<u32>().unwrap()).unwrap();
    line.split(':').nth(1).unwrap().split('@').next().unwrap().trim().to_owned()
}

fn rounds(test: &str, kind: Kind) {
    if !ready(test, TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let (h1, guest) = (world.host("h1", kind), Host::new("guest"));
    let count =
        || (world.home.interfaces(), guest.interfaces(), world.descriptors(), world.json("network inspect blue"));
    let round = |number: usize| {
        world.connect("blue", &guest, kind, "");
        if number.is_multiple_of(5) {
            assert!(guest.ping(&format!("-c 1 -W 3 {}", h1.ip())).is_perfect());
        }
        world.done("network disconnect blue guest");
    };
    round(0); // what is opened once and kept
    let before = count();
    (0..25).for_each(round);
    wait_for("the descriptors", PATIENCE, || world.descriptors() == before.2);
    assert_eq!(count(), before);
    assert_eq!(world.macs_on("guest").len(), 0);
    assert!(!world.json("show arp").to_string().contains(&guest.ip().to_string()));
}

#[test]
fn rounds_of_a_tap_leave_nothing() {
    rounds("rounds_of_a_tap_leave_nothing", Kind::Tap);
}

#[test]
fn rounds_of_a_wire_mode_tap_leave_nothing() {
    rounds("rounds_of_a_wire_mode_tap_leave_nothing", Kind::TapWire);
}

#[test]
fn rounds_of_a_veth_leave_nothing() {
    rounds("rounds_of_a_veth_leave_nothing", Kind::Veth);
}

#[test]
fn rounds_of_a_wire_mode_veth_leave_nothing() {
    rounds("rounds_of_a_wire_mode_veth_leave_nothing", Kind::VethWire);
}

#[test]
fn rounds_of_an_xdp_port_leave_nothing() {
    rounds("rounds_of_an_xdp_port_leave_nothing", Kind::Xdp);
}

/// Containers that die without a word, over and over, leave no descriptor behind either.
#[test]
fn rounds_of_dying_containers_leave_nothing() {
    if !ready("rounds_of_dying_containers_leave_nothing", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let _h1 = world.host("h1", Kind::Tap);
    let (descriptors, interfaces) = (world.descriptors(), world.home.interfaces());
    for number in 0..16 {
        let guest = world.host("guest", Kind::ALL[number % Kind::ALL.len()]);
        guest.kill();
        wait_for("gone", PATIENCE, || world.state_of("guest") == "gone");
        world.done("network disconnect blue guest");
    }
    wait_for("the descriptors", PATIENCE, || world.descriptors() == descriptors);
    assert_eq!(world.home.interfaces(), interfaces);
}

#[test]
fn idle_ports_cost_nothing() {
    if !ready("idle_ports_cost_nothing", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let _hosts: Vec<Host> = (0..8)
        .map(|number| {
            let host = Host::new(&format!("h{number}")).quiet();
            world.connect("blue", &host, Kind::ALL[number % Kind::ALL.len()], "");
            host
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    let woken = || {
        world.json("show workers").as_array().unwrap().iter().map(|row| row["wakeups"].as_u64().unwrap()).sum::<u64>()
    };
    let wakeups = woken();
    let used = world.cpu_time_in(Duration::from_secs(2));
    assert!(used <= Duration::from_millis(20), "{used:?} of CPU time in two seconds without traffic");
    let wakeups = woken() - wakeups;
    assert!(wakeups < 10, "{wakeups} wake-ups in two seconds without traffic");
}
