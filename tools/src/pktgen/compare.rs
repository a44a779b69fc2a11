//! `lanyard pktgen compare`: the same tests of several switches, in turn, and what one is to another.
//!
//! Each switch is built in namespaces of its own with the same three containers, and all stand while they are measured: A B C,
//! A B C, each round beginning with another one, so that what else the machine does meets all alike. A ratio is taken within a
//! round; what is shown is the median of the rounds, with the least and the greatest. However it ends, nothing is left.
//!
//! Not done: switches that are there already (`lanyard pktgen test` takes any interface), more than three containers.

use clap::Args;
use load::rate::Rate;
use load::size::Sizes;

use arena::place;
use arena::subjects::{DOCKER0, Subject, World, named};
use ports::netns::NamespaceRef;

use super::backend::{Backend, Wanted};
use super::layout::{Layout, Path};
use super::options::FrameArgs;
use super::place::{Interface, Place};
use super::report::ReportArgs;
use super::rig::{Leave, Rig};
use super::test::bench::{Bench, generator};
use super::test::finding::{Cell, Finding, column, median};
use super::test::{Name, TrialArgs, find};
use crate::failure::Failure;

/// What is compared if nothing is named.
const USUAL: [&str; 5] = ["lanyard", "docker0", "bridge", "ovs", "vde"];
/// Which of the arena's subjects these words mean.
const MEANT: [(&str, &str); 2] = [("lanyard", "lanyard-veth-1"), ("ovs", "ovs-packet")];
/// Two that send and receive, one that hears floods.
const CONTAINERS: u8 = 3;
/// Frame sizes if none are asked for: the smallest and the largest.
const SIZES: [u32; 2] = [64, 1518];
const ROUNDS: u32 = 3;
/// Columns of findings that say what a row is of, and those that are worth comparing.
const HEADS: [&str; 4] = ["size", "load", "kind", "addresses"];
const FIGURES: [&str; 19] = [
    "pps",
    "ndr_pps",
    "pdr_pps",
    "p50_ns",
    "p99_ns",
    "p99_9_ns",
    "forwarded_pps",
    "loss_share",
    "frames",
    "recovery_ns",
    "calm_loss",
    "crowded_loss",
    "frmol_pps",
    "mfr_pps",
    "held",
    "flooded",
    "learned",
    "sent_pps",
    "forwarded",
];

/// `lanyard pktgen compare`
#[derive(Debug, Args)]
#[command(after_help = "\
The switches: lanyard, docker0 (a bridge with Docker's rules), bridge, ovs (its
userspace datapath), vde; also lanyard-tap-1, lanyard-veth-2, lanyard-xdp-1,
ovs-tap, ovs-xdp. What is not installed is named and left out. Ratios are to
the first. Runs as root, in namespaces of its own.

Examples:
  lanyard pktgen compare --quick
  lanyard pktgen compare lanyard bridge --tests throughput,latency --rounds 5
  lanyard pktgen compare lanyard docker0 ovs --tests latency --rate 20kpps --json")]
pub(crate) struct CompareArgs {
    /// What is compared; all if none is named
    #[arg(value_name = "SWITCH")]
    switches: Vec<String>,
    /// By which tests
    #[arg(long, value_name = "TESTS", value_delimiter = ',', default_value = "throughput,latency")]
    tests: Vec<Name>,
    /// How often
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    #[command(flatten)]
    frames: FrameArgs,
    #[command(flatten)]
    trials: TrialArgs,
    #[command(flatten)]
    report: ReportArgs,
}

/// A switch that stands.
struct Contender {
    name: String,
    rig: Rig,
    _world: World,
}

/// A figure of one switch in one round.
struct Figure {
    round: u32,
    contender: usize,
    /// Test, row and column: what it is of.
    of: [String; 3],
    value: Cell,
    /// The generator, not the switch, was its limit.
    limited: bool,
}

/// Run it.
///
/// # Errors
/// No such switch; none can be built; a test cannot be done.
pub(crate) fn run(args: &CompareArgs) -> Result<(), Failure> {
    args.trials.check(&args.tests)?;
    // While it runs, that is the comparison's own, and gone with it.
    args.report.check_outside("/run")?;
    args.report.check()?;
    if !args.tests.contains(&Name::Errored) {
        args.frames.check().map_err(Failure::Words)?;
    }
    let subjects = subjects(&args.switches)?;
    if let Some(test) = args.tests.iter().find(|test| !test.compares()) {
        let text = format!(
            "'{test}' compares nothing here, with two containers and one that listens: lanyard pktgen test {test}"
        );
        return Err(Failure::Words(text));
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::Work("building switches needs root: network namespaces, bridges, TAPs".to_owned()));
    }
    place::leave_home()
        .map_err(|error| Failure::work("making namespaces, which takes root and CAP_SYS_ADMIN", error))?;
    let mut notes = Vec::new();
    let mut contenders = Vec::new();
    for (name, subject) in subjects {
        match stand(&name, subject) {
            Ok(contender) => contenders.push(contender),
            Err(why) => notes.push(format!("Without {name}: {why}")),
        }
    }
    if contenders.is_empty() {
        return Err(Failure::Work(format!("none of them can be built. {}", notes.join(" "))));
    }
    let (figures, complete) = measure(args, &mut contenders, &mut notes)?;
    let names: Vec<String> = contenders.into_iter().map(|contender| contender.name).collect();
    let mut finding = compared(&names, &figures);
    finding.complete = complete;
    finding.notes.splice(0..0, notes);
    if !complete {
        finding.notes.push("Interrupted: this is what was found by then.".to_owned());
    }
    args.report.finding(&finding, "")
}

/// What is meant by the names.
fn subjects(names: &[String]) -> Result<Vec<(String, &'static Subject)>, Failure> {
    let usual = USUAL.map(str::to_owned);
    let names = if names.is_empty() { &usual[..] } else { names };
    let mut subjects: Vec<(String, &'static Subject)> = Vec::new();
    for name in names {
        let meant = MEANT.iter().find(|(word, _)| word == name).map_or(name.as_str(), |(_, meant)| meant);
        let found =
            if meant == DOCKER0.name { vec![&DOCKER0] } else { named(meant).map_err(|why| none_of(name, &why))? };
        let [subject] = found[..] else {
            let all: Vec<&str> = found.iter().map(|subject| subject.name).collect();
            return Err(Failure::Words(format!("'{name}' may be any of {}: write which", all.join(", "))));
        };
        if subjects.iter().any(|(known, _)| known == name) {
            return Err(Failure::Words(format!("'{name}' is named twice")));
        }
        subjects.push((name.clone(), subject));
    }
    Ok(subjects)
}

/// What there is, with the short names first.
fn none_of(name: &str, why: &str) -> Failure {
    let others = why.split_once("none of ").map_or("", |(_, others)| others);
    Failure::Words(format!("'{name}' is none of {}, {others}", USUAL.join(", ")))
}

/// Build one, with a rig around it.
fn stand(name: &str, subject: &'static Subject) -> Result<Contender, String> {
    if let Some(missing) = subject.missing() {
        return Err(missing);
    }
    let world = subject.build(CONTAINERS).map_err(|error| error.to_string())?;
    let places = world
        .ends
        .iter()
        .map(|end| Place::Interface(Interface::new(NamespaceRef::Path(end.path().into()), place::ETH)));
    let layout = Layout { places: places.collect(), paths: vec![Path { from: 0, to: 1 }] };
    let largest = Sizes::fixed(SIZES[1]).map_err(|error| error.to_string())?;
    // The same for all, whatever the interfaces could do.
    let leave = Leave { backend: Backend::Socket, wanted: Wanted { rate: Rate::Max, sizes: &largest } };
    let rig = Rig::open(&layout, true, &leave).map_err(|failure| failure.to_string())?;
    Ok(Contender { name: name.to_owned(), rig, _world: world })
}

/// All rounds; whether they came to their end.
fn measure(
    args: &CompareArgs,
    contenders: &mut [Contender],
    notes: &mut Vec<String>,
) -> Result<(Vec<Figure>, bool), Failure> {
    let sizes: Vec<Sizes> = args.trials.sizes_or(&SIZES, args.frames.least_octets())?;
    let rounds = args.rounds.unwrap_or(if args.trials.is_quick() { 1 } else { ROUNDS });
    let mut figures = Vec::new();
    for round in 0..rounds {
        for test in &args.tests {
            for turn in 0..contenders.len() {
                let at = (turn + round as usize) % contenders.len();
                let contender = &mut contenders[at];
                let mut bench = Bench {
                    name: format!("round {} of {rounds}, {}: {test}", round + 1, contender.name),
                    rig: &mut contender.rig,
                    frames: &args.frames,
                    paths: vec![Path { from: 0, to: 1 }],
                    settings: args.trials.settings(),
                    unfinished: None,
                };
                let finding = match find(*test, &mut bench, &sizes) {
                    Ok(finding) => finding,
                    Err(failure) => {
                        note(notes, format!("Without {}, {test}: {failure}", contender.name));
                        continue;
                    }
                };
                figures.extend(of_finding(&finding, round, at));
                if !finding.complete {
                    return Ok((figures, false));
                }
            }
        }
    }
    Ok((figures, true))
}

/// A sentence, once.
fn note(notes: &mut Vec<String>, sentence: String) {
    if !notes.contains(&sentence) {
        notes.push(sentence);
    }
}

/// The numbers of a finding, by test, row and column.
fn of_finding(finding: &Finding, round: u32, contender: usize) -> Vec<Figure> {
    let mut figures = Vec::new();
    let limit = finding.columns.iter().position(|column| column.key == "generator_limit");
    for row in &finding.rows {
        let limited = limit.and_then(|at| row.get(at)).is_some_and(|cell| cell.shown() == "limit");
        // Words and loads in front say which row it is.
        let heads = row.iter().zip(&finding.columns).filter(|(_, column)| HEADS.contains(&column.key));
        let head = heads.map(|(cell, _)| cell.shown()).collect::<Vec<_>>().join(", ");
        for (cell, column) in row.iter().zip(&finding.columns) {
            if FIGURES.contains(&column.key) && cell.number().is_some() {
                let of = [finding.test.to_owned(), head.clone(), column.head.to_owned()];
                figures.push(Figure { round, contender, of, value: cell.clone(), limited });
            }
        }
    }
    figures
}

/// Medians of the rounds, and ratios to the first switch.
fn compared(names: &[String], figures: &[Figure]) -> Finding {
    let mut finding = Finding {
        test: "compare",
        title: "Comparison",
        clause: "the same tests, in turn",
        columns: vec![
            column("test", "test"),
            column("row", "frames"),
            column("figure", "figure"),
            column("switch", "switch"),
            column("median", "median"),
            column("least", "least"),
            column("most", "most"),
            column("ratio", "ratio"),
            column("generator_limit", "generator"),
        ],
        rows: Vec::new(),
        searches: Vec::new(),
        curves: Vec::new(),
        notes: Vec::new(),
        complete: true,
    };
    let mut kinds: Vec<&[String; 3]> = Vec::new();
    for figure in figures {
        if !kinds.contains(&&figure.of) {
            kinds.push(&figure.of);
        }
    }
    for of in kinds {
        let values = |contender: usize| {
            let mine = figures.iter().filter(move |figure| figure.contender == contender && figure.of == *of);
            mine.filter_map(|figure| Some((figure.round, figure.value.number()?, &figure.value))).collect::<Vec<_>>()
        };
        let first = values(0);
        for (contender, name) in names.iter().enumerate() {
            let mine = values(contender);
            let Some((_, _, like)) = mine.first().copied() else { continue };
            let numbers = sorted(mine.iter().map(|(_, number, _)| *number));
            let ratios = sorted(mine.iter().filter_map(|(round, number, _)| {
                let (_, reference, _) = first.iter().find(|(other, _, _)| other == round)?;
                (*reference > 0.0).then(|| number / reference)
            }));
            let cell = |number: Option<f64>| number.map_or(Cell::Nothing, |number| like.like(number));
            let limited =
                figures.iter().any(|figure| figure.contender == contender && figure.of == *of && figure.limited);
            let [test, row, figure] = of.clone();
            finding.rows.push(vec![
                Cell::Text(test),
                Cell::Text(row),
                Cell::Text(figure),
                Cell::Text(name.clone()),
                cell(median(numbers.clone())),
                cell(numbers.first().copied()),
                cell(numbers.last().copied()),
                median(ratios).map_or(Cell::Nothing, Cell::Ratio),
                generator(limited),
            ]);
        }
    }
    if let Some(first) = names.first() {
        finding
            .notes
            .push(format!("Ratios are to {first}, each taken within a round; all figures are medians of the rounds."));
    }
    if figures.iter().any(|figure| figure.limited) {
        finding.notes.push(
            "'limit': in some round the generator could send no more. Such a rate is the least it may be; it is what this \
             machine gets through the switch with one sender, which pays for a bridge's work itself."
                .to_owned(),
        );
    }
    finding
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood() {
        let all = subjects(&[]).unwrap();
        assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), USUAL);
        assert_eq!(all[0].1.name, "lanyard-veth-1");
        for (names, says) in [
            (&["lanyrad"][..], "'lanyrad' is none of"),
            (&["lanyard-tap"], "write which"),
            (&["bridge", "bridge"], "twice"),
        ] {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let why = subjects(&names).map(|_| ()).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }

    /// Round for round: a machine that slows down by half in the second round changes no ratio.
    #[test]
    fn ratios_are_taken_within_a_round() {
        let figure = |round, contender, pps| Figure {
            round,
            contender,
            of: ["throughput", "64", "NDR"].map(str::to_owned),
            value: Cell::Pps(pps),
            limited: contender == 1 && round == 0,
        };
        let figures =
            [figure(0, 0, 100.0), figure(0, 1, 50.0), figure(1, 1, 25.0), figure(1, 0, 50.0), figure(2, 0, 80.0)];
        let finding = compared(&["a".to_owned(), "b".to_owned()], &figures);
        let rows: Vec<Vec<String>> =
            finding.rows.iter().map(|row| row[3..].iter().map(Cell::shown).collect()).collect();
        assert_eq!(rows, [["a", "80", "50", "100", "1.00", "ok"], ["b", "38", "25", "50", "0.50", "limit"]]);
    }
}
