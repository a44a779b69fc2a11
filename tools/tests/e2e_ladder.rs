//! Does `lanyard ladder` draw what real hosts said, live, from a file and on a page; and is what cannot be drawn refused in
//! one line?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use harness::{Kind, PATIENCE, Running, World, assert_tells, ready, wait_for};
use nix::sys::signal::Signal;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv"];

/// Start `lanyard` with these words; it listens to the trace when this returns.
fn listen(world: &World, words: &[&str]) -> Running {
    let before = world.descriptors();
    let mut command = world.command();
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let listener = Running::start(&mut command);
    wait_for("the listener", PATIENCE, || world.descriptors() > before);
    thread::sleep(Duration::from_millis(200));
    listener
}

const COLD_PING: &[&str] = &[
    "network blue\n",
    "h1                switch                h2                  h3\n",
    "ARP who-has 10.20.0.3 tell 10.20.0.2\n",
    "|------------------>#                   |                   |\n",
    "# LEARN new h1",
    "# FLOOD broadcast",
    "|                   #------------------>|------------------>|\n",
    "ARP reply 10.20.0.3 is-at 02:42:0a:14:00:03\n",
    "|                   #<------------------|                   |\n",
    "# LEARN new h2",
    "# FOUND h1",
    "|<------------------#                   |                   |\n",
    "ICMP echo request 10.20.0.2 > 10.20.0.3",
    "|                   #------------------>|                   |\n",
    "ICMP echo reply 10.20.0.3 > 10.20.0.2",
];

#[test]
fn a_cold_ping_is_drawn_as_it_happens_and_again_from_its_records() {
    if !ready("a_cold_ping_is_drawn_as_it_happens_and_again_from_its_records", TOOLS) {
        return;
    }
    let world = World::asleep(1);
    world.start_with("--record 100");
    world.done("network create blue --subnet 10.20.0.0/24");
    let [h1, h2, _h3] = world.quiet_hosts(Kind::Tap);
    let live = listen(&world, &["ladder", "-n", "4"]);
    let json = listen(&world, &["trace", "-n", "4", "--json"]);
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    let (live, json) = (live.finish(PATIENCE), json.finish(PATIENCE));
    assert_eq!(live.err, "");
    let live = live.ok();
    assert_tells(&live, COLD_PING);
    assert!(live.lines().all(|line| line.chars().count() <= 80), "{live}");

    let file = world.folder().join("ping.jsonl");
    fs::write(&file, json.ok()).unwrap();
    let file = file.to_str().unwrap();
    assert_tells(&world.done(&format!("ladder --from {file}")), COLD_PING);
    let arp = world.done(&format!("ladder --from {file} arp"));
    assert!(arp.contains("ARP who-has") && !arp.contains("ICMP"), "{arp}");

    // The same frames, from the switch's memory, and in both what the hosts made of them.
    let last = world.done("ladder --last 4 net 10.20.0.0/24");
    assert_tells(&last, COLD_PING);
    for told in [&live, &last] {
        assert!(told.contains("10.20.0.3") && told.contains("REACHABLE"), "h1's cache: {told}");
    }
    assert!(world.done("ladder --last 1 arp").contains("ARP reply"));
    // And from a capture, which cannot tell what stood in the MAC table.
    let capture = world.folder().join("ping.pcapng");
    let outcome = world.lanyard(&format!("trace --last 4 -w {}", capture.display()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let captured = world.done(&format!("ladder --from {}", capture.display()));
    assert_tells(&captured, COLD_PING);
    assert!(world.done(&format!("ladder --from {} icmp -n 1", capture.display())).contains("echo request"));
    let outcome = world.lanyard("ladder --last 3 udp");
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(1), "lanyard: there is no frame to draw\n"));

    let svg = world.done(&format!("ladder --from {file} -o svg"));
    let document = roxmltree::Document::parse(&svg).unwrap();
    let heads = |class| {
        let paths = document.descendants().filter(|node| node.attribute("class") == Some(class));
        paths.map(|path| path.attribute("d").unwrap().matches('M').count()).sum::<usize>()
    };
    // One sample of each is in the legend.
    assert_eq!((heads("fh"), heads("uh"), heads("ah")), (2 + 1, 3 + 1, 4 + 1));
    let page = world.folder().join("ping.html");
    assert_eq!(world.done(&format!("ladder --from {file} --out {}", page.display())), "");
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains("<svg ") && page.contains("<details>") && page.contains("flooded to every other port of blue")
    );
    assert!(world.done(&format!("ladder --from {file} -o mermaid")).starts_with("sequenceDiagram\n"));
}

#[test]
fn ctrl_c_draws_what_has_come_by_then() {
    if !ready("ctrl_c_draws_what_has_come_by_then", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2, h3] = world.quiet_hosts(Kind::Tap);
    let descriptors = world.descriptors();
    let ladder = listen(&world, &["ladder", "icmp"]);
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    thread::sleep(Duration::from_millis(200));
    ladder.signal(Signal::SIGINT);
    let text = ladder.finish(PATIENCE).ok();
    assert!(text.contains("ICMP echo reply") && !text.contains("ARP who-has"), "{text}");

    // Nothing has come, or the daemon has gone.
    wait_for("the listener to be forgotten", PATIENCE, || world.descriptors() == descriptors);
    let nothing = listen(&world, &["ladder", "udp"]);
    nothing.signal(Signal::SIGINT);
    let outcome = nothing.finish(PATIENCE);
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(1), "lanyard: there is no frame to draw\n"));
    wait_for("the listeners to be forgotten", PATIENCE, || world.descriptors() == descriptors);
    let left = listen(&world, &["ladder"]);
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h3.ip())).is_perfect());
    thread::sleep(Duration::from_millis(200));
    world.end(Signal::SIGTERM);
    let outcome = left.finish(PATIENCE);
    assert!(outcome.code == Some(1) && outcome.out.contains("ICMP echo reply"), "{outcome:?}");
    assert!(outcome.err.contains("the daemon has ended"), "{outcome:?}");
}
