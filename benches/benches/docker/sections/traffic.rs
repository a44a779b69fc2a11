//! What passes between two containers, and between a container and the host, and how long does an answer take? iperf3
//! (one stream) and sockperf (64 octets each way over TCP, one at a time, both ends asleep in between), in the
//! containers' own network namespaces; the programs are the machine's, so that the image needs none. One driver after the
//! other, A B A B, each round beginning with the other; the ratio is taken within a round.

use std::io;
use std::thread;
use std::time::Duration;

use lanyard_benches::reports;
use lanyard_benches::stats::Runs;
use lanyard_benches::table::{Table, figure};
use serde_json::{Value, json};

use super::super::containers::{Driver, Wanted, address, create, ready, remove, sandbox, says_ready, start};
use super::super::options::Options;
use super::super::steps::Steps;
use super::super::world::{PATIENCE, World, until};
use super::Found;

const ROUNDS: u32 = 7;
const SECONDS: u32 = 2;
/// iperf3's and sockperf's own ports.
const LISTENERS: [&str; 2] = ["5201", "11111"];

/// Who is asked by a container.
#[derive(Clone, Copy)]
enum Far {
    Container,
    Host,
}

const WAYS: [(Far, &str); 2] = [(Far::Container, "container to container"), (Far::Host, "container to host")];

/// The figures of one way: Gb/s, and the microseconds that a half and that ninety-nine of a hundred do not exceed.
type Figures = [f64; 3];
const FIGURES: [(&str, &str); 3] =
    [("tcp_gbps", "TCP Gb/s"), ("rtt_p50_us", "RTT p50 us"), ("rtt_p99_us", "RTT p99 us")];

/// Of one round: of each way, of the bridge and of Lanyard.
type Round = [[Figures; 2]; 2];

fn rounds(options: &Options) -> u32 {
    if options.quick { 1 } else { ROUNDS }
}

pub(super) fn steps(options: &Options) -> usize {
    rounds(options) as usize * WAYS.len() * Driver::BOTH.len()
}

pub(super) fn measure(world: &World, options: &Options, steps: &mut Steps) -> io::Result<Found> {
    let mut pairs = Vec::new();
    for driver in Driver::BOTH {
        driver.create(world)?;
        pairs.push(Pair::begin(world, driver)?);
    }
    let mut rounds_done: Vec<Round> = Vec::new();
    for number in 0..rounds(options) {
        let mut round = Round::default();
        for (way, (far, words)) in WAYS.into_iter().enumerate() {
            for step in 0..pairs.len() {
                let index = (step + number as usize) % pairs.len();
                steps.next(&format!("traffic: {}, {words}", Driver::BOTH[index].name()))?;
                round[way][index] = pairs[index].measure(world, far)?;
            }
        }
        rounds_done.push(round);
    }
    for pair in pairs {
        pair.end(world)?;
    }
    Ok(tell(&rounds_done))
}

/// Two containers of one driver.
struct Pair {
    driver: Driver,
    containers: [String; 2],
    /// Their network namespaces.
    near: String,
    far: String,
    far_address: String,
}

impl Pair {
    fn begin(world: &World, driver: Driver) -> io::Result<Self> {
        let one = |name: &str| {
            let name = format!("{}-{name}", driver.name());
            let script = says_ready(driver);
            let container = create(world, &Wanted { name, driver, script, publish: false, passing: false })?;
            start(world, &container)?;
            ready(world, &container)?;
            Ok::<_, io::Error>(container)
        };
        let containers = [one("near")?, one("far")?];
        let [near, far] = [sandbox(world, &containers[0])?, sandbox(world, &containers[1])?];
        let far_address = address(world, &containers[1], driver)?;
        Ok(Self { driver, containers, near, far, far_address })
    }

    fn end(self, world: &World) -> io::Result<()> {
        for container in &self.containers {
            remove(world, container)?;
        }
        self.driver.remove(world)
    }

    fn measure(&self, world: &World, far: Far) -> io::Result<Figures> {
        let (enter, address) = match far {
            Far::Container => (vec!["nsenter".to_owned(), format!("--net={}", self.far)], self.far_address.as_str()),
            Far::Host => (Vec::new(), self.driver.gateway()),
        };
        let serve = |words: &[&str]| {
            let words: Vec<&str> = enter.iter().map(String::as_str).chain(words.iter().copied()).collect();
            world.stay(&words)
        };
        let _iperf3 = serve(&["iperf3", "-s", "-i", "0"])?;
        let _sockperf = serve(&["sockperf", "server", "--tcp", "-i", address])?;
        wait_for_listeners(world, &enter)?;
        let ask = |line: &str| world.run(&format!("nsenter --net={} {line}", self.near));
        let passed = ask(&format!("iperf3 -J -i 0 --connect-timeout 3000 -t {SECONDS} -c {address}"))?;
        let passed = reports::iperf3(&passed).map_err(io::Error::other)?;
        // sockperf leaves the first 400 and the last 50 ms out.
        let time = SECONDS + 1;
        let trips = ask(&format!("sockperf ping-pong --tcp --full-rtt -i {address} -m 64 -t {time}"))?;
        let trips = reports::sockperf(&trips).map_err(io::Error::other)?;
        Ok([passed.gigabits, trips.p50, trips.p99])
    }
}

fn wait_for_listeners(world: &World, enter: &[String]) -> io::Result<()> {
    let enter = enter.join(" ");
    until(PATIENCE, || {
        let listening = world.run(&format!("{enter} ss -Hltn"))?;
        let all = LISTENERS.iter().all(|port| listening.contains(&format!(":{port} ")));
        if !all {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(all)
    })
}

fn tell(rounds: &[Round]) -> Found {
    let mut table = Table::new(1, &["", "bridge", "Lanyard", "ratio"]);
    let mut json = serde_json::Map::new();
    for (way, (_, words)) in WAYS.into_iter().enumerate() {
        let mut figures = serde_json::Map::new();
        for (index, (key, title)) in FIGURES.into_iter().enumerate() {
            let of = |driver: usize| Runs::new(rounds.iter().map(|round| round[way][driver][index]));
            let ratio = Runs::new(rounds.iter().map(|round| round[way][1][index] / round[way][0][index]));
            let digits = if index == 0 { 2 } else { 0 };
            let [bridge, lanyard] = [of(0), of(1)];
            let cell = |runs: &Runs| figure(runs.median(), digits);
            let name = format!("{words}, {title}");
            table.row(vec![name, cell(&bridge), cell(&lanyard), figure(ratio.median(), 2)]);
            let told = |runs: &Runs| json!({ "median": runs.median(), "values": runs.sorted() });
            let told = json!({ "bridge": told(&bridge), "lanyard": told(&lanyard), "ratio": told(&ratio) });
            figures.insert(key.to_owned(), told);
        }
        json.insert(words.replace(' ', "_"), Value::Object(figures));
    }
    let lines = vec![format!("medians of {} rounds of {SECONDS} s; ratios within a round", rounds.len())];
    Found { table, lines, json: Value::Object(json) }
}
