//! What do containers leave behind? They are run one after the other, each with a published port, and each goes when it
//! ends, as with `docker run --rm -p 80`; what there is of everything is counted before and after. The first few are
//! not counted: some things are made once.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use lanyard_benches::stats::Runs;
use lanyard_benches::table::{Table, figure};
use serde_json::{Value, json};

use super::super::containers::{Driver, Wanted, create, start};
use super::super::options::Options;
use super::super::steps::Steps;
use super::super::world::{PATIENCE, World, until};
use super::Found;

const WARM_UP: u32 = 5;
/// By then connections are closed and namespaces gone.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) fn steps(options: &Options) -> usize {
    (options.rounds() + WARM_UP) as usize
}

pub(super) fn measure(world: &World, options: &Options, steps: &mut Steps) -> io::Result<Found> {
    Driver::Lanyard.create(world)?;
    for _ in 0..WARM_UP {
        steps.next("rounds: before it counts")?;
        round(world)?;
    }
    let before = Counted::now(world)?;
    let mut taken = Vec::new();
    for _ in 0..options.rounds() {
        steps.next("rounds: a container comes and goes")?;
        taken.push(round(world)?);
    }
    let after = Counted::now(world)?;
    Driver::Lanyard.remove(world)?;
    let mut table = Table::new(1, &["", "before", "after", "more"]);
    for ((name, was), (_, is)) in before.all().into_iter().zip(after.all()) {
        table.row(vec![name.to_owned(), was.to_string(), is.to_string(), (is - was).to_string()]);
    }
    let per_round = Runs::new(taken).median();
    let rounds = options.rounds();
    let lines = vec![format!("{rounds} rounds of {} ms each (p50)", figure(per_round, 0))];
    let json = json!({ "rounds": rounds, "round_p50_ms": per_round, "before": before.json(), "after": after.json() });
    Ok(Found { table, lines, json })
}

/// A container from its making until nothing of it is there. Milliseconds.
fn round(world: &World) -> io::Result<f64> {
    let begun = Instant::now();
    let wanted = Wanted {
        name: "passing".to_owned(),
        driver: Driver::Lanyard,
        script: "true".to_owned(),
        publish: true,
        passing: true,
    };
    let container = create(world, &wanted)?;
    start(world, &container)?;
    let path = format!("/containers/{container}/json");
    let gone = |error: &io::Error| error.to_string().contains("No such container");
    until(PATIENCE, || Ok(world.docker.ask("GET", &path).is_err_and(|error| gone(&error))))?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

/// The switch's process.
pub(super) struct Process {
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    pub(super) rss_kib: u64,
}

impl Process {
    pub(super) fn json(&self) -> Value {
        json!({ "descriptors": self.descriptors, "threads": self.threads, "rss_kib": self.rss_kib })
    }
}

/// What the switch's process has (proc(5)). The fewest descriptors of several looks: connections come and go.
pub(super) fn process(world: &World) -> io::Result<Process> {
    let pid = world.switch_pid()?;
    let mut descriptors = u64::MAX;
    for _ in 0..10 {
        descriptors = descriptors.min(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64);
        thread::sleep(Duration::from_millis(20));
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).ok_or(io::ErrorKind::InvalidData)
    };
    Ok(Process { descriptors, threads: field("Threads")?, rss_kib: field("VmRSS")? })
}

/// What there is of everything.
struct Counted {
    host: Vec<(&'static str, i64)>,
    process: Process,
}

/// Nothing is counted that does not fit.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What is counted on the host, and the shell's line that counts it.
const ON_HOST: [(&str, &str); 6] = [
    ("interfaces", "ip -o link | wc -l"),
    ("lines of nft's rules", "nft list ruleset | grep -c ."),
    ("iptables' rules", "iptables-save | grep -c ^-A"),
    ("sandboxes of dockerd's", "ls /run/dk-exec/netns 2> /dev/null | grep -vc default"),
    ("named namespaces", "ip netns list | wc -l"),
    ("listening sockets", "cat /proc/net/tcp /proc/net/tcp6 | grep -c ' 0A '"),
];

impl Counted {
    fn now(world: &World) -> io::Result<Self> {
        thread::sleep(SETTLE);
        let mut host = Vec::new();
        for (name, line) in ON_HOST {
            let count = world.run(&format!("{line}; true"))?;
            host.push((name, count.parse().map_err(io::Error::other)?));
        }
        let state = world.state()?;
        let entries = signed(state.matches("\"mac\":").count() as u64);
        host.push(("endpoints in the state file", entries));
        host.push(("octets of the state file", signed(state.len() as u64)));
        Ok(Self { host, process: process(world)? })
    }

    fn all(&self) -> Vec<(&'static str, i64)> {
        let Process { descriptors, threads, rss_kib } = self.process;
        let own = [("descriptors of the switch", descriptors), ("its threads", threads), ("its RSS, KiB", rss_kib)];
        let own = own.map(|(name, count)| (name, signed(count)));
        self.host.iter().copied().chain(own).collect()
    }

    fn json(&self) -> Value {
        Value::Object(self.all().into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect())
    }
}
