//! Do two hundred containers on one network come up at once, find each other by name, and reach their gateway? They are
//! started eight at a time; those of a sample ask Docker's name server, in their own namespaces, for the address of each.

use std::io;
use std::time::Instant;

use lanyard_benches::table::{Table, figure};
use serde_json::json;

use super::super::containers::{Driver, Wanted, create, each, ready, remove, sandbox, says_ready, start};
use super::super::options::Options;
use super::super::steps::Steps;
use super::super::world::World;
use super::Found;
use super::start::seconds_of_day;

const CONTAINERS: u32 = 200;
const SAMPLE: u32 = 20;
const PARALLEL: usize = 8;
pub(super) const STEPS: usize = 8;

/// What came of one driver.
struct Came {
    /// Seconds until every start had been answered, and until every container had reached its gateway.
    up: f64,
    ready: f64,
    /// Names found, of how many.
    resolved: u32,
    asked: u32,
    /// Seconds until all were removed with their network; `None` if Docker could not.
    gone: Option<f64>,
}

pub(super) fn measure(world: &World, options: &Options, steps: &mut Steps) -> io::Result<Found> {
    let (count, sample) = (options.some(CONTAINERS), options.some(SAMPLE));
    let bridge = came(world, Driver::Bridge, (count, sample), steps)?;
    let lanyard = came(world, Driver::Lanyard, (count, sample), steps)?;
    let mut table =
        Table::new(1, &["", "containers", "all started s", "all reach gateway s", "names found", "removed s"]);
    for (driver, came) in [(Driver::Bridge, &bridge), (Driver::Lanyard, &lanyard)] {
        let names = format!("{} of {}", came.resolved, came.asked);
        let [up, ready, gone] = [Some(came.up), Some(came.ready), came.gone].map(|seconds| figure(seconds, 1));
        table.row(vec![driver.name().to_owned(), count.to_string(), up, ready, names, gone]);
    }
    let ratio = |of: fn(&Came) -> Option<f64>| Some(of(&lanyard)? / of(&bridge)?);
    let ratios = [ratio(|came| Some(came.up)), ratio(|came| Some(came.ready)), ratio(|came| came.gone)];
    let [up, ready, gone] = ratios.map(|ratio| figure(ratio, 2));
    table.row(vec!["ratio".to_owned(), String::new(), up, ready, String::new(), gone]);
    let told = |came: &Came| {
        json!({
            "all_started_s": came.up, "all_reach_gateway_s": came.ready, "names_found": came.resolved,
            "names_asked": came.asked, "removed_s": came.gone,
        })
    };
    let json = json!({ "containers": count, "bridge": told(&bridge), "lanyard": told(&lanyard) });
    Ok(Found { table, lines: vec![format!("started {PARALLEL} at a time, once")], json })
}

fn came(world: &World, driver: Driver, of: (u32, u32), steps: &mut Steps) -> io::Result<Came> {
    let (count, sample) = of;
    let mut step = |what: &str| steps.next(&format!("many: {}, {what}", driver.name()));
    step("made")?;
    driver.create(world)?;
    let mut containers = Vec::new();
    for number in 0..count {
        let (name, script) = (format!("c{number}"), says_ready(driver));
        containers.push(create(world, &Wanted { name, driver, script, publish: false, passing: false })?);
    }
    step("started")?;
    let (clock, begun) = (seconds_of_day(), Instant::now());
    each(&containers, PARALLEL, |container| start(world, container))?;
    let (up, mut last) = (begun.elapsed().as_secs_f64(), 0.0_f64);
    for container in &containers {
        last = last.max((ready(world, container)? - clock).rem_euclid(86_400.0));
    }
    step("asked for names")?;
    let mut resolved = 0;
    for container in containers.iter().step_by((count / sample).max(1) as usize).take(sample as usize) {
        resolved += names(world, container, count)?;
    }
    step("removed")?;
    let begun = Instant::now();
    each(&containers, PARALLEL, |container| remove(world, container))?;
    let gone = driver.remove(world).map(|()| begun.elapsed().as_secs_f64());
    let gone = gone.inspect_err(|error| eprintln!("docker: many: {error}")).ok();
    Ok(Came { up, ready: last, resolved, asked: sample * count, gone })
}

/// How many of the names a container finds. Docker's name server listens in its namespace.
fn names(world: &World, container: &str, count: u32) -> io::Result<u32> {
    let sandbox = sandbox(world, container)?;
    let found = world.run(&format!(
        "nsenter --net={sandbox} sh -c 'i=0; n=0; while [ $i -lt {count} ]; do \
         busybox nslookup -type=a c$i 127.0.0.11 > /dev/null 2>&1 && n=$((n+1)); i=$((i+1)); done; echo $n'"
    ))?;
    found.parse().map_err(io::Error::other)
}
