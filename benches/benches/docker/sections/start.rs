//! How long until a container runs, and until its network does? Containers one at a time, with each driver in turn and
//! without any network, A B C A B C, each round beginning with another.
//!
//! | figure | how |
//! | --- | --- |
//! | start | `POST /containers/ID/start` of a container that was created before, until the answer |
//! | ready | from the same moment until the container's first ping of its gateway has come back (or of 127.0.0.1, where it has no network), by the time at which dockerd reads the line that the container then writes |
//! | added | the same less that of a container without a network, in the same round |

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lanyard_benches::stats::{Runs, quantile};
use lanyard_benches::table::{Table, figure};
use serde_json::json;

use super::super::containers::{Driver, Wanted, create, ready, remove, says_ready, start};
use super::super::options::Options;
use super::super::steps::Steps;
use super::super::world::World;
use super::Found;

const ROUNDS: u32 = 100;
/// The rounds before the first one that counts: caches, and what is done once.
const WARM_UP: u32 = 1;

/// A driver, with a published port or without.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Subject {
    driver: Driver,
    publish: bool,
}

const fn subject(driver: Driver, publish: bool) -> Subject {
    Subject { driver, publish }
}

/// The first is what the others are held against.
const SUBJECTS: [Subject; 5] = [
    subject(Driver::Nothing, false),
    subject(Driver::Bridge, false),
    subject(Driver::Lanyard, false),
    subject(Driver::Bridge, true),
    subject(Driver::Lanyard, true),
];

/// Milliseconds of one container.
#[derive(Clone, Copy, Default)]
struct Times {
    start: f64,
    ready: f64,
}

/// One round: each subject, as in [`SUBJECTS`].
type Round = [Times; SUBJECTS.len()];

pub(super) fn steps(options: &Options) -> usize {
    (options.some(ROUNDS) + WARM_UP) as usize * SUBJECTS.len()
}

pub(super) fn measure(world: &World, options: &Options, steps: &mut Steps) -> io::Result<Found> {
    for driver in Driver::BOTH {
        driver.create(world)?;
    }
    let mut rounds = Vec::new();
    let all = WARM_UP + options.some(ROUNDS);
    for number in 0..all {
        let mut round = Round::default();
        for step in 0..SUBJECTS.len() {
            let index = (step + number as usize) % SUBJECTS.len();
            steps.next(&format!("start: {}", words(SUBJECTS[index])))?;
            round[index] = one(world, SUBJECTS[index])?;
        }
        if number >= WARM_UP {
            rounds.push(round);
        }
    }
    for driver in Driver::BOTH {
        driver.remove(world)?;
    }
    Ok(tell(&rounds))
}

fn words(Subject { driver, publish }: Subject) -> String {
    format!("{}{}", driver.name(), if publish { ", a port" } else { "" })
}

/// One container, from its start to its end.
fn one(world: &World, Subject { driver, publish }: Subject) -> io::Result<Times> {
    let wanted = Wanted { name: "one".to_owned(), driver, script: says_ready(driver), publish, passing: false };
    let container = create(world, &wanted)?;
    let (clock, begun) = (seconds_of_day(), Instant::now());
    let measured = start(world, &container).and_then(|()| {
        let taken = begun.elapsed();
        // Midnight may be in between.
        let until_ready = (ready(world, &container)? - clock).rem_euclid(86_400.0);
        Ok(Times { start: milliseconds(taken), ready: until_ready * 1000.0 })
    });
    remove(world, &container).and(measured)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// By the clock that dockerd uses, too.
pub(super) fn seconds_of_day() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64().rem_euclid(86_400.0)
}

fn runs(rounds: &[Round], of: impl Fn(&Round) -> f64) -> Runs {
    Runs::new(rounds.iter().map(of))
}

fn tell(rounds: &[Round]) -> Found {
    let head = ["ms", "start p50", "p99", "added p50", "ratio", "ready p50", "p99", "added p50", "ratio", "of added"];
    let mut table = Table::new(1, &head);
    let mut all = Vec::new();
    for (index, subject) in SUBJECTS.iter().enumerate() {
        // The bridge with as many ports.
        let other =
            SUBJECTS.iter().position(|other| other.driver == Driver::Bridge && other.publish == subject.publish);
        let other = other.filter(|_| subject.driver == Driver::Lanyard);
        let mut cells = vec![words(*subject)];
        let mut figures = serde_json::Map::new();
        for (name, of) in [("start", start_of as fn(&Times) -> f64), ("ready", ready_of)] {
            let values = runs(rounds, |round| of(&round[index]));
            let added = |index: usize| runs(rounds, move |round| of(&round[index]) - of(&round[0])).median();
            let ratio = other.and_then(|other| runs(rounds, |round| of(&round[index]) / of(&round[other])).median());
            let of_added = other.and_then(|other| Some(added(index)? / added(other)?));
            let p99 = Some(quantile(values.sorted(), 0.99)).filter(|_| !rounds.is_empty());
            cells.extend([figure(values.median(), 0), figure(p99, 0), figure(added(index).filter(|_| index > 0), 0)]);
            cells.push(figure(ratio, 2));
            if name == "ready" {
                cells.push(figure(of_added, 2));
            }
            let figures_of = json!({
                "p50_ms": values.median(), "p99_ms": p99, "added_p50_ms": added(index), "ratio_to_bridge": ratio,
                "ratio_of_added": of_added, "values_ms": values.sorted(),
            });
            figures.insert(name.to_owned(), figures_of);
        }
        table.row(cells);
        all.push(json!({ "driver": subject.driver.name(), "published": subject.publish, "figures": figures }));
    }
    let lines = vec![format!("{} containers each; ratios to the bridge, medians of those of each round", rounds.len())];
    Found { table, lines, json: json!({ "rounds": rounds.len(), "subjects": all }) }
}

fn start_of(times: &Times) -> f64 {
    times.start
}

fn ready_of(times: &Times) -> f64 {
    times.ready
}
