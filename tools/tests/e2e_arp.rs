//! Do `lanyard arp show` and `watch` tell what stands in the hosts' own caches, as it changes, without touching them?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness::{Host, Kind, PATIENCE, Running, World, ready, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv"];
const EVIL: &str = "02:00:00:00:66:66";

/// A `lanyard arp watch --json` that listens, and what it has said so far.
struct Watch {
    running: Running,
    lines: Arc<Mutex<Vec<(u64, Value)>>>,
}

fn now_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

impl Watch {
    /// It has told everything that was there, the switch's own rows, when this returns.
    fn start(world: &World, words: &str) -> Self {
        let mut command = world.command();
        command.args(["arp", "watch", "--json"]).args(words.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command);
        let lines = Arc::<Mutex<Vec<(u64, Value)>>>::default();
        let (out, all) = (running.child.stdout.take().unwrap(), Arc::clone(&lines));
        thread::spawn(move || {
            let values = BufReader::new(out).lines().map_while(Result::ok);
            values.for_each(|line| all.lock().unwrap().push((now_ns(), serde_json::from_str(&line).unwrap())));
        });
        let watch = Self { running, lines };
        wait_for("the watch", PATIENCE, || watch.all().iter().any(|event| event["endpoint"] == "switch"));
        watch
    }

    fn all(&self) -> Vec<Value> {
        self.lines.lock().unwrap().iter().map(|(_, value)| value.clone()).collect()
    }

    /// The states that an endpoint's row of an address came to, each with the one before.
    fn states(&self, endpoint: &str, ip: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
        let of_row = |event: &&Value| event["endpoint"] == endpoint && event["ip"] == ip;
        let all = self.all();
        let mine = all.iter().filter(of_row);
        mine.map(|event| (text(&event["state_before"]), text(&event["state_after"]))).collect()
    }

    fn wait_for_state(&self, endpoint: &str, ip: &str, state: &str) -> Duration {
        let what = format!("{state} of {ip} in {endpoint}");
        wait_for(&what, PATIENCE, || self.states(endpoint, ip).iter().any(|(_, after)| after == state))
    }
}

fn ip_of(host: &Host) -> String {
    host.ip().to_string()
}

/// The rows that `arp show` has of an endpoint's cache, or the switch's, for an address.
fn shown(world: &World, endpoint: &str, ip: &str) -> Option<Value> {
    world.rows("arp show", |row| row["endpoint"] == endpoint && row["ip"] == ip).pop()
}

#[test]
fn a_cold_ping_is_seen_at_both_ends() {
    if !ready("a_cold_ping_is_seen_at_both_ends", TOOLS) {
        return;
    }
    for kind in [Kind::Tap, Kind::Veth] {
        let world = World::with_blue(1, "");
        let [h1, h2] = world.quiet_hosts(kind);
        let watch = Watch::start(&world, "--network blue");
        assert!(watch.states("h1", &ip_of(&h2)).is_empty(), "{:?}", watch.all());
        assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
        watch.wait_for_state("h1", &ip_of(&h2), "REACHABLE");
        let seen = watch.states("h1", &ip_of(&h2));
        assert_eq!(seen.last().unwrap(), &("INCOMPLETE".to_owned(), "REACHABLE".to_owned()), "{seen:?}");
        // Who is asked learns who asks, by hearsay, and uses it at once.
        watch.wait_for_state("h2", &ip_of(&h1), "DELAY");
        let seen = watch.states("h2", &ip_of(&h1));
        let pairs: Vec<(&str, &str)> = seen.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs, [("", "STALE"), ("STALE", "DELAY")], "{kind:?}");

        let rows = world.json("arp show --network blue");
        let hosts: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["endpoint"].as_str().unwrap()).collect();
        assert_eq!(hosts, ["switch", "switch", "h1", "h2"], "{rows:#}");
        let row = shown(&world, "h1", &ip_of(&h2)).unwrap();
        assert_eq!((&row["mac_name"], &row["state"]), (&"h2".into(), &"REACHABLE".into()), "{row}");
        assert_eq!((&row["mac"], &row["conflict"]), (&h2.mac().to_string().into(), &Value::Null));
        assert_eq!(shown(&world, "switch", &ip_of(&h2)).unwrap()["state"], "PERMANENT");
        let text = world.done("arp show");
        let header = text.lines().next().unwrap();
        assert_eq!(
            header.split_whitespace().collect::<Vec<_>>(),
            ["NETWORK", "HOST", "IP", "MAC", "WHOSE", "STATE", "NOTE"]
        );
    }
}

#[test]
fn a_poisoned_row_is_a_conflict_and_nobody_there_is_a_failure() {
    if !ready("a_poisoned_row_is_a_conflict_and_nobody_there_is_a_failure", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2] = world.quiet_hosts(Kind::Tap);
    let watch = Watch::start(&world, "");
    let mut command = world.command();
    command.args(["arp", "watch", "-n", "1"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let text = Running::start(&mut command);
    h1.run(&format!("ip neigh replace {} lladdr {EVIL} dev eth0 nud stale", h2.ip())).ok();
    watch.wait_for_state("h1", &ip_of(&h2), "STALE");
    let row = shown(&world, "h1", &ip_of(&h2)).unwrap();
    let why = row["conflict"].as_str().unwrap_or_else(|| panic!("no conflict: {row}"));
    assert!(why.contains(&format!("{} at {} (h2)", h2.ip(), h2.mac())) && why.contains("poisoned"), "{why}");
    assert!(world.done("arp show").contains("CONFLICT: the switch has"), "{}", world.done("arp show"));
    // Whether it had begun to listen before the change or not, it tells of the conflict.
    h1.run(&format!("ip neigh replace {} lladdr {EVIL} dev eth0 nud permanent", h2.ip())).ok();
    let outcome = text.finish(PATIENCE).ok();
    let conflicts: Vec<&str> = outcome.lines().filter(|line| line.contains("CONFLICT")).collect();
    assert!(conflicts.iter().all(|line| line.contains(EVIL) && line.contains("blue h1")), "{outcome}");
    assert!(!conflicts.is_empty(), "{outcome}");

    // Mended, it is none any more.
    h1.run(&format!("ip neigh replace {} lladdr {} dev eth0 nud stale", h2.ip(), h2.mac())).ok();
    wait_for("the end of the conflict", PATIENCE, || {
        shown(&world, "h1", &ip_of(&h2)).is_some_and(|row| row["conflict"].is_null())
    });
    // Nobody there: the question goes out three times, then it is given up.
    assert_eq!(h1.ping("-c 1 -W 1 10.20.0.99").received, 0);
    watch.wait_for_state("h1", "10.20.0.99", "FAILED");
    let seen = watch.states("h1", "10.20.0.99");
    let pairs: Vec<(&str, &str)> = seen.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(pairs, [("", "INCOMPLETE"), ("INCOMPLETE", "FAILED")]);
    h1.run("ip neigh flush dev eth0 nud failed").ok();
    h1.run(&format!("ip neigh del {} dev eth0", h2.ip())).ok();
    watch.wait_for_state("h1", &ip_of(&h2), "");
    assert_eq!(watch.all().iter().filter(|line| line.get("lost").is_some()).count(), 0);
}

#[test]
fn endpoints_join_and_namespaces_end_while_it_watches() {
    if !ready("endpoints_join_and_namespaces_end_while_it_watches", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let h1 = world.host("h1", Kind::Tap);
    let watch = Watch::start(&world, "--network blue");
    let h2 = world.host("h2", Kind::Veth);
    assert!(h2.ping(&format!("-c 1 -W 3 {}", h1.ip())).is_perfect());
    watch.wait_for_state("h2", &ip_of(&h1), "REACHABLE");
    let h3 = world.host("h3", Kind::TapWire);
    assert!(h3.ping(&format!("-c 1 -W 3 {}", h1.ip())).is_perfect());
    watch.wait_for_state("h3", &ip_of(&h1), "REACHABLE");
    // The watch keeps no namespace alive.
    h2.kill();
    wait_for("the end of h2", PATIENCE, || world.state_of("h2") == "gone");
    watch.wait_for_state("h2", &ip_of(&h1), "");
    wait_for("the reason", PATIENCE, || {
        watch.all().iter().any(|event| event["endpoint"] == "h2" && event["error"] == "its interface is gone")
    });
    let unread = world.rows("arp show", |row| row["endpoint"] == "h2");
    assert!(unread.len() == 1 && unread[0]["error"].is_string() && unread[0]["ip"].is_null(), "{unread:?}");
    world.done("network disconnect blue h3");
    watch.wait_for_state("h3", &ip_of(&h1), "");
    // The others go on.
    h1.run(&format!("ip neigh replace 10.20.0.77 lladdr {EVIL} dev eth0")).ok();
    watch.wait_for_state("h1", "10.20.0.77", "PERMANENT");
    watch.running.signal(Signal::SIGINT);
    assert_eq!(watch.running.finish(PATIENCE).code, Some(0));
    let none = world.lanyard("arp watch --network nowhere");
    assert!(none.code == Some(1) && none.err.contains("no network 'nowhere'"), "{none:?}");
}

/// The numbers `used/confirmed/updated` of an entry, in seconds.
fn ages(host: &Host, ip: &str) -> Vec<u64> {
    let text = host.run(&format!("ip -s neigh show {ip}")).ok();
    // `used 1/61/1probes 4`: iproute2 leaves no blank there.
    let ages = text.split_once(" used ").unwrap_or_else(|| panic!("no ages: {text}")).1;
    let ages = ages.split(|letter: char| letter != '/' && !letter.is_ascii_digit()).next().unwrap();
    ages.split('/').map(|age| age.parse().unwrap()).collect()
}

/// Watching and showing are no use of an entry, wake nobody up when nothing happens, and leave nothing running.
#[test]
fn reading_touches_nothing_and_costs_nothing() {
    if !ready("reading_touches_nothing_and_costs_nothing", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2] = world.quiet_hosts(Kind::Tap);
    h1.run(&format!("ip neigh replace {} lladdr {} dev eth0 nud stale", h2.ip(), h2.mac())).ok();
    let threads = || {
        std::fs::read_dir(format!("/proc/{}/task", world.pid()))
            .unwrap()
            .filter(|task| {
                let name =
                    task.as_ref().map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
                name.is_ok_and(|name| name == "caches\n")
            })
            .count()
    };
    let frames =
        || world.rows("show ports", |_| true).iter().map(|row| row["rx_frames"].as_u64().unwrap()).sum::<u64>();
    let (descriptors, before, sent) = (world.descriptors(), ages(&h1, &ip_of(&h2)), frames());
    assert_eq!(threads(), 0);
    let start = Instant::now();
    let watch = Watch::start(&world, "");
    assert_eq!(threads(), 1);
    for _ in 0..20 {
        assert_eq!(shown(&world, "h1", &ip_of(&h2)).unwrap()["state"], "STALE");
    }
    let idle = world.cpu_time_in(Duration::from_secs(2));
    assert!(idle <= Duration::from_millis(60), "{idle:?} of two idle seconds");
    let passed = start.elapsed().as_secs();
    let after = ages(&h1, &ip_of(&h2));
    for (before, after) in before.iter().zip(&after) {
        assert!(*after >= before + passed.saturating_sub(1), "an age began anew: {before} {after} after {passed} s");
    }
    assert_eq!(frames(), sent, "no host has sent anything");
    watch.running.signal(Signal::SIGINT);
    assert_eq!(watch.running.finish(PATIENCE).code, Some(0));
    wait_for("the end of the thread", PATIENCE, || threads() == 0 && world.descriptors() == descriptors);
}

/// The time from a change in a host's kernel to the line, with many hosts.
#[test]
fn a_change_is_told_within_a_tenth_of_a_second() {
    const HOSTS: usize = 100;
    if !ready("a_change_is_told_within_a_tenth_of_a_second", TOOLS) {
        return;
    }
    let world = World::new(1);
    world.done("network create blue --subnet 10.20.0.0/16");
    let start = Instant::now();
    let mut hosts = Vec::new();
    while hosts.len() < HOSTS && (hosts.len() < 20 || start.elapsed() < Duration::from_secs(15)) {
        let host = Host::new(&format!("h{}", hosts.len() + 1)).quiet();
        world.connect("blue", &host, Kind::Tap, "");
        hosts.push(host);
    }
    let watch = Watch::start(&world, "");
    let made = start.elapsed();
    let mut latencies = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let ip = format!("10.20.99.{number}");
        let words = format!("neigh replace {ip} lladdr {EVIL} dev eth0");
        let before = now_ns();
        host.run(&format!("ip {words}")).ok();
        watch.wait_for_state(host.name(), &ip, "PERMANENT");
        let lines = watch.lines.lock().unwrap();
        let (heard, event) = lines.iter().find(|(_, event)| event["ip"] == ip.as_str()).unwrap();
        assert!(event["at_unix_ns"].as_u64().unwrap() >= before, "{event}");
        // `ip` needs some milliseconds to start: they count in.
        latencies.push(Duration::from_nanos(heard - before));
    }
    latencies.sort_unstable();
    let (median, worst) = (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100]);
    println!("{} hosts, made in {made:?}: median {median:?}, 99 of 100 within {worst:?}", hosts.len());
    assert!(worst <= Duration::from_millis(100), "{latencies:?}");
    let idle = world.cpu_time_in(Duration::from_secs(2));
    println!("{idle:?} of CPU in two idle seconds with {} hosts watched", hosts.len());
    assert!(idle <= Duration::from_millis(100), "{idle:?}");
}

#[test]
fn one_watch_too_many_is_refused_in_fitting_words() {
    if !ready("one_watch_too_many_is_refused_in_fitting_words", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let _host: [Host; 1] = world.hosts(Kind::Tap);
    let watches: Vec<Watch> = (0..8).map(|_| Watch::start(&world, "")).collect();
    let refused = world.lanyard("arp watch");
    assert_eq!((refused.code, refused.err.lines().count()), (Some(1), 1), "{refused:?}");
    assert!(
        refused.err.contains("ARP caches are watched 8 times already") && !refused.err.contains("trace"),
        "{refused:?}"
    );
    drop(watches);
}
