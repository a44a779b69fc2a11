//! Do 1,200 endpoints fit on one network? Empty namespaces, joined one after the other over the switch's control socket;
//! then pings between some of them. As Docker does for a network without IPv6, IPv6 is off in them: each interface that
//! comes up would send a dozen of frames to all others. A bridge of the kernel's is filled until it refuses a port (`BR_MAX_PORTS`,
//! `net/bridge/br_private.h`).

use std::fs;
use std::io;
use std::time::Instant;

use arena::threads::{cpu_time_of, threads_of};
use lanyard_benches::stats::Runs;
use lanyard_benches::table::{Table, figure};
use serde_json::{Value, json};

use super::super::options::Options;
use super::super::steps::Steps;
use super::super::world::World;
use super::Found;
use super::rounds::{Process, process};

const ENDPOINTS: u32 = 1200;
const PINGS: u32 = 50;
/// More than a bridge takes, two a step.
const MOST_PAIRS: u32 = 600;
pub(super) const STEPS: usize = 5;

pub(super) fn measure(world: &World, options: &Options, steps: &mut Steps) -> io::Result<Found> {
    let (count, pings) = (options.some(ENDPOINTS), options.some(PINGS));
    steps.next("endpoints: a kernel bridge is filled")?;
    let bridge = bridge_ports(world)?;
    steps.next("endpoints: namespaces are made")?;
    world.run(&format!("for i in $(seq {count}); do ip netns add n$i && \
         ip netns exec n$i sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up' || exit 1; done"))?;
    world.lanyard.tell("POST", "/v1/networks", &json!({ "name": "crowd", "subnet": "10.97.0.0/16" }))?;
    steps.next("endpoints: they are joined")?;
    let empty = process(world)?;
    let (begun, cpu) = (Instant::now(), spent(world)?);
    let kernel = slab()?;
    let taken = join(world, count)?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), spent(world)? - cpu);
    let kernel = (kernel, slab()?);
    let full = process(world)?;
    steps.next("endpoints: pings")?;
    let up = up(world)?;
    let arrived = ping(world, count, pings)?;
    steps.next("endpoints: they are removed")?;
    let begun = Instant::now();
    world.lanyard.ask("DELETE", "/v1/networks/crowd?force=true")?;
    let removed = begun.elapsed().as_secs_f64();
    let after = process(world)?;

    let mut table = Table::new(1, &["", "Lanyard", "kernel bridge"]);
    let mut row = |what: &str, value: String, bridge: String| table.row(vec![what.to_owned(), value, bridge]);
    let tenth = (count as usize / 10).max(1);
    let median = |part: Option<&[f64]>| part.and_then(|part| Runs::new(part.iter().copied()).median());
    let (first, last) = (median(taken.get(..tenth)), median(taken.get(taken.len().saturating_sub(tenth)..)));
    row("ports at once", up.to_string(), bridge.to_string());
    row("pings that arrive", format!("{arrived} of {pings}"), String::new());
    row("ms a connect, the first tenth (p50)", figure(first, 2), String::new());
    row("ms a connect, the last tenth (p50)", figure(last, 2), String::new());
    row("s for all connects", figure(Some(seconds), 1), String::new());
    row("s of CPU for all connects", figure(Some(cpu), 1), String::new());
    row("s to remove the network with all", figure(Some(removed), 1), String::new());
    for (what, of) in [("RSS MiB", rss as fn(&Process) -> f64), ("descriptors", descriptors)] {
        let [empty, full, after] = [&empty, &full, &after].map(|process| figure(Some(of(process)), 0));
        row(&format!("{what} before, with all, after"), format!("{empty}, {full}, {after}"), String::new());
    }
    let kernel = kernel.1.saturating_sub(kernel.0) / u64::from(count);
    row("KiB of the kernel's an endpoint", kernel.to_string(), String::new());
    let json = json!({
        "ports_up": up, "ports_of_a_bridge": bridge, "pings": pings, "pings_arrived": arrived,
        "connect_ms": taken, "connects_s": seconds, "connects_cpu_s": cpu, "removal_s": removed, "kernel_kib_an_endpoint": kernel,
        "before": empty.json(), "full": full.json(), "after": after.json(),
    });
    let wanted = count as usize;
    let lines = if up < wanted { vec![format!("only {up} of {wanted} endpoints are up")] } else { Vec::new() };
    Ok(Found { table, lines, json })
}

/// KiB that the whole kernel holds and cannot give back at once (`SUnreclaim`, proc(5)), other people's included.
fn slab() -> io::Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let line = memory.lines().find_map(|line| line.strip_prefix("SUnreclaim:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// CPU seconds of the switch until now.
fn spent(world: &World) -> io::Result<f64> {
    Ok(cpu_time_of(&threads_of(world.switch_pid()?)?)?.as_secs_f64())
}

fn rss(process: &Process) -> f64 {
    lanyard_benches::stats::per(process.rss_kib, 1024)
}

fn descriptors(process: &Process) -> f64 {
    lanyard_benches::stats::per(process.descriptors, 1)
}

/// Milliseconds of each.
fn join(world: &World, count: u32) -> io::Result<Vec<f64>> {
    (1..=count)
        .map(|number| {
            let begun = Instant::now();
            let spec = json!({ "netns": format!("n{number}") });
            let joined = world.lanyard.tell("POST", "/v1/networks/crowd/endpoints", &spec);
            joined.map_err(|error| io::Error::other(format!("endpoint {number}: {error}")))?;
            Ok(begun.elapsed().as_secs_f64() * 1000.0)
        })
        .collect()
}

/// How many ports of containers forward.
fn up(world: &World) -> io::Result<usize> {
    let ports = world.lanyard.ask("GET", "/v1/ports?network=crowd")?;
    let is_up = |port: &&Value| port["state"] == "up" && port["endpoint"] != "gateway";
    Ok(ports.as_array().map_or(0, |ports| ports.iter().filter(is_up).count()))
}

/// Pings between so many pairs of endpoints; how many arrive. The pairs are the same each time.
fn ping(world: &World, count: u32, pings: u32) -> io::Result<u32> {
    let network = world.lanyard.ask("GET", "/v1/networks/crowd")?;
    let endpoints = network["endpoints"].as_array().cloned().unwrap_or_default();
    let ip = |name: &str| {
        let found = endpoints.iter().find(|endpoint| endpoint["endpoint"] == name)?;
        found["ip"].as_str()?.split('/').next().map(str::to_owned)
    };
    // 7,919 is prime: all over the network.
    let pairs = (0..pings).map(|number| (number * 7919 % count + 1, (number * 104_729 + 1) % count + 1));
    let lines = pairs.filter(|(from, to)| from != to).filter_map(|(from, to)| {
        let to = ip(&format!("n{to}"))?;
        Some(format!("ip netns exec n{from} ping -c 1 -W 2 {to} > /dev/null && n=$((n+1));"))
    });
    let script = format!("n=0; {} echo $n", lines.collect::<Vec<_>>().join(" "));
    world.run(&script)?.parse().map_err(io::Error::other)
}

/// How many ports a bridge takes.
fn bridge_ports(world: &World) -> io::Result<u64> {
    let fill = "echo link add br0 type bridge; for i in $(seq $MOST); do echo link add a$i type veth peer name b$i; \
                echo link set a$i master br0; echo link set b$i master br0; done";
    let line = format!(
        "({}) > /run/fill && unshare --net sh -c 'ip -batch /run/fill 2> /run/refused; \
         ip -o link show master br0 | wc -l'",
        fill.replace("$MOST", &MOST_PAIRS.to_string())
    );
    world.run(&line)?.parse().map_err(io::Error::other)
}
