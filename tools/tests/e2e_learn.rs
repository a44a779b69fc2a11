//! Can every exercise be done, and only by doing it? Each of them is played with its reference solution (full marks, exit
//! code 0), with wrong ones (each fails just the items that it should), and not at all (no point).
//!
//! Each test works in a box of its own, as in `e2e_lab`: namespaces for processes, mounts and network, so that what is left
//! behind can be seen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness::sandbox::{Sandbox, User};
use harness::{Outcome, Running, ready, wait_for};
use serde::Deserialize;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv", "mount"];

/// No exercise takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Solutions {
    solution: Vec<Solution>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Solution {
    name: String,
    /// The items that it does not get.
    #[serde(default)]
    fails: BTreeSet<String>,
    /// Those among them that chance may let it have.
    #[serde(default)]
    may_pass: BTreeSet<String>,
    step: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    answer: Vec<String>,
    #[serde(default, rename = "do")]
    by_hand: Vec<String>,
    #[serde(default)]
    skip: bool,
}

fn exercises() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../exercises")
}

fn solutions(id: &str) -> Vec<Solution> {
    let path = exercises().join("solutions").join(format!("{id}.toml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    toml::from_str::<Solutions>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())).solution
}

/// `lanyard` in the box, whose scores are kept.
fn lanyard(sandbox: &Sandbox, words: &[&str]) -> Outcome {
    let mut command = sandbox.command_with(&[("XDG_STATE_HOME", "/tmp/state")]);
    Running::start(command.args(words)).finish(PATIENCE)
}

fn done(sandbox: &Sandbox, words: &[&str]) -> String {
    let outcome = lanyard(sandbox, words);
    assert!(outcome.code == Some(0) && outcome.err.is_empty(), "{words:?}: {outcome:?}");
    outcome.out
}

/// Play a solution to its end; the result, and what was said on the way.
fn play(sandbox: &Sandbox, id: &str, solution: &Solution) -> (Option<i32>, Value, String) {
    let mut said = done(sandbox, &["learn", "start", id]);
    let mut skip = false;
    for step in &solution.step {
        let answers = step.answer.iter().flat_map(|answer| ["--answer", answer.as_str()]);
        let more = skip.then_some("--skip");
        let words: Vec<&str> = ["learn", "next"].into_iter().chain(answers).chain(more).collect();
        said += &done(sandbox, &words);
        for line in &step.by_hand {
            lanyard(sandbox, &line.split_whitespace().collect::<Vec<_>>());
        }
        skip = step.skip;
    }
    let last: &[&str] = if skip { &["learn", "next", "--skip"] } else { &["learn", "next"] };
    said += &done(sandbox, last);
    let outcome = lanyard(sandbox, &["learn", "check", "--json"]);
    let report = serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    (outcome.code, report, said)
}

/// The items that did not get their points.
fn failed(report: &Value) -> BTreeSet<String> {
    let items = report["items"].as_array().unwrap().iter().filter(|item| item["ok"] == false);
    items.map(|item| item["item"].as_str().unwrap().to_owned()).collect()
}

/// Nothing done, the reference solution, and the wrong ones.
fn exercise(id: &str) {
    if !ready(id, TOOLS) {
        return;
    }
    let sandbox = Sandbox::new(User::Root);
    let started = Instant::now();
    done(&sandbox, &["learn", "start", id]);
    let nothing = lanyard(&sandbox, &["learn", "check", "--json"]);
    let report: Value = serde_json::from_str(&nothing.out).unwrap();
    assert_eq!((nothing.code, report["points"].as_u64(), report["done"].as_bool()), (Some(1), Some(0), Some(false)));
    assert_eq!(nothing.err.lines().count(), 1, "{}", nothing.err);
    done(&sandbox, &["learn", "stop"]);
    sandbox.is_empty();

    let solutions = solutions(id);
    assert!(solutions.len() >= 2 && solutions[0].fails.is_empty() && solutions[0].name == "reference", "{id}");
    for solution in &solutions {
        let (code, report, said) = play(&sandbox, id, solution);
        let failed = failed(&report);
        let table = lanyard(&sandbox, &["learn", "check"]).out;
        let allowed: BTreeSet<String> = solution.fails.difference(&solution.may_pass).cloned().collect();
        let right = failed.is_subset(&solution.fails) && allowed.is_subset(&failed);
        assert!(right, "{id}, {}: {failed:?}, not {:?}\n{said}\n{table}", solution.name, solution.fails);
        let full = failed.is_empty();
        assert_eq!((code, report["done"].as_bool()), (Some(i32::from(!full)), Some(full)), "{id}, {}", solution.name);
        assert_eq!(report["points"] == report["of"], full);
        assert!(!said.contains('\x1b'), "colours without a terminal");
        done(&sandbox, &["learn", "stop"]);
        sandbox.is_empty();
    }
    let each = started.elapsed() / solutions.len() as u32;
    assert!(each < Duration::from_secs(60), "{id} takes {each:?}");
    let rows: Value = serde_json::from_str(&done(&sandbox, &["learn", "--json"])).unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["id"] == id).expect("it is listed");
    assert_eq!((row["done"].as_bool(), row["points"] == row["of"]), (Some(true), true), "{row}");
}

macro_rules! exercises {
    ($($test:ident: $id:literal;)*) => {
        $(
            #[test]
            fn $test() {
                exercise($id);
            }
        )*

        const EXERCISES: &[&str] = &[$($id),*];

        #[test]
        fn every_exercise_is_tested() {
            let tested: BTreeSet<&str> = EXERCISES.iter().copied().collect();
            let names = fs::read_dir(exercises()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let written: BTreeSet<String> =
                names.filter_map(|name| Some(name.strip_suffix(".toml")?.get(3..)?.to_owned())).collect();
            assert_eq!(written.iter().map(String::as_str).collect::<BTreeSet<_>>(), tested);
        }
    };
}

/// What no student can make go wrong: the hub has repeated the pings before anything was done by hand, and no hub learns.
/// That these are not given away, the exercise that was not done shows.
const BY_NOBODY: &[(&str, &str)] = &[("hub-or-switch", "everything"), ("hub-or-switch", "no-rows")];

/// The items of an exercise: its questions, its checks.
fn items(id: &str) -> [BTreeSet<String>; 2] {
    let names = fs::read_dir(exercises()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let name = names.into_iter().find(|name| name.ends_with(&format!("-{id}.toml"))).expect("its file");
    let file: toml::Table = toml::from_str(&fs::read_to_string(exercises().join(name)).unwrap()).unwrap();
    let ids = |of: &toml::Table, what: &str| -> Vec<String> {
        let list = of.get(what).and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
        list.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let steps = || file["step"].as_array().unwrap().iter().map(|step| step.as_table().unwrap());
    let asked = steps().flat_map(|step| ids(step, "predict")).collect();
    [asked, steps().flat_map(|step| ids(step, "check")).chain(ids(&file, "check")).collect()]
}

/// An item that every solution gets is none: each question is answered wrong by somebody, each check missed by somebody.
#[test]
fn every_item_can_be_failed() {
    for id in EXERCISES {
        let [asked, checked] = items(id);
        let solutions = solutions(id);
        let declared: BTreeSet<&String> = solutions.iter().flat_map(|solution| &solution.fails).collect();
        let unknown: Vec<_> =
            declared.iter().filter(|item| !asked.contains(**item) && !checked.contains(**item)).collect();
        assert!(unknown.is_empty(), "{id} has no {unknown:?}");
        let surely = |item: &str| solutions.iter().any(|s| s.fails.contains(item) && !s.may_pass.contains(item));
        let given_away: Vec<&String> = asked.iter().chain(&checked).filter(|item| !surely(item)).collect();
        let by_nobody: Vec<&str> = BY_NOBODY.iter().filter(|(of, _)| of == id).map(|(_, item)| *item).collect();
        assert_eq!(given_away, by_nobody, "{id}");
        assert!(by_nobody.iter().all(|item| checked.contains(*item)), "{id}: every question can be answered wrong");
        assert!(solutions.len() >= 3, "{id}: the reference, and two who err");
    }
}

exercises! {
    cold_ping: "cold-ping";
    unknown_unicast: "unknown-unicast";
    ageing: "ageing";
    arp_states: "arp-states";
    gratuitous_arp: "gratuitous-arp";
    station_move: "station-move";
    duplicate_address: "duplicate-address";
    hub_or_switch: "hub-or-switch";
    mac_flooding: "mac-flooding";
    arp_poisoning: "arp-poisoning";
    crossing_the_gateway: "crossing-the-gateway";
    broadcast_storm: "broadcast-storm";
}

/// Without root, by veths.
#[test]
fn anybody_can_do_every_exercise() {
    if !ready("anybody_can_do_every_exercise", TOOLS) {
        return;
    }
    let sandbox = Sandbox::new(User::Nobody);
    for id in EXERCISES {
        let reference = solutions(id).swap_remove(0);
        let (code, report, said) = play(&sandbox, id, &reference);
        assert_eq!(code, Some(0), "{id}: {report:#}\n{said}");
        done(&sandbox, &["learn", "stop"]);
        sandbox.is_empty();
    }
}

/// The machine that the storm is in stays usable, and the storm ends.
#[test]
fn a_storm_is_bounded() {
    if !ready("a_storm_is_bounded", TOOLS) {
        return;
    }
    let sandbox = Sandbox::new(User::Root);
    done(&sandbox, &["learn", "start", "broadcast-storm"]);
    done(&sandbox, &["learn", "next", "--answer", "1", "--answer", "h2 box box-2"]);
    let before = cpu_time(&sandbox);
    let said = done(&sandbox, &["learn", "next", "--answer", "yes", "--answer", "moved"]);
    assert!(said.contains("frames more"), "{said}");
    let used = cpu_time(&sandbox).saturating_sub(before);
    assert!(used < Duration::from_secs(1), "{used:?} of CPU time for one storm");
    done(&sandbox, &["learn", "stop"]);
    sandbox.is_empty();
}

/// The CPU time of everything in the box (`proc_pid_stat(5)`, `utime` and `stime`).
fn cpu_time(sandbox: &Sandbox) -> Duration {
    let ticks = sandbox.processes().into_iter().filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<u64> =
            stat.rsplit_once(')')?.1.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        Some(fields.get(10)? + fields.get(11)?)
    });
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// What a student meets who takes another turn than the one that is meant.
#[test]
fn every_other_turn_is_answered() {
    if !ready("every_other_turn_is_answered", TOOLS) {
        return;
    }
    let sandbox = Sandbox::new(User::Root);
    let fails = |words: &[&str], code: i32, named: &str| {
        let outcome = lanyard(&sandbox, words);
        let said = outcome.code == Some(code) && outcome.err.lines().count() == 1 && outcome.err.contains(named);
        assert!(said, "{words:?}: {outcome:?}");
        outcome.out
    };
    for words in [&["learn", "next"][..], &["learn", "check"], &["learn", "hint"]] {
        fails(words, 1, "learn start");
    }
    assert!(done(&sandbox, &["learn", "stop"]).contains("no exercise"));
    fails(&["learn", "start", "warm-ping"], 2, "'warm-ping'");
    fails(&["learn", "start", "./nothing.toml"], 2, "nothing.toml");
    done(&sandbox, &["lab", "up"]);
    fails(&["learn", "next"], 1, "learn start");
    fails(&["learn", "start", "cold-ping"], 1, "lab down");
    done(&sandbox, &["lab", "down"]);

    done(&sandbox, &["learn", "start", "cold-ping"]);
    fails(&["learn", "start", "ageing"], 1, "'cold-ping' is under way");
    let asked = fails(&["learn", "next"], 1, "--answer");
    assert!(asked.contains("How many hosts") && !asked.contains("right"), "{asked}");
    fails(&["learn", "next", "--answer", "many"], 2, "'many'");
    fails(&["learn", "next", "--answer", "0", "--answer", "1"], 2, "2 answers");
    assert!(done(&sandbox, &["learn", "hint"]).contains("No step"));
    done(&sandbox, &["learn", "next", "--answer", "0"]);
    let hints: Vec<String> = (0..4).map(|_| done(&sandbox, &["learn", "hint"])).collect();
    assert!(hints[0].contains("1 hint more") && hints[0] != hints[1] && hints[1] == hints[2], "{hints:?}");
    done(&sandbox, &["learn", "next", "--answer", "h2 h3", "--answer", "h1", "--answer", "no"]);
    done(&sandbox, &["learn", "next", "--answer", "no"]);
    let told = fails(&["learn", "next"], 1, "--skip");
    assert!(told.contains("lanyard lab exec h1 -- ping"), "{told}");
    // What was not done gets no point, and none for what must never happen either.
    let csv = fails(&["learn", "check", "--csv"], 1, "4 of 11");
    assert_eq!((csv.lines().count(), csv.lines().next()), (12, Some("exercise,item,kind,step,ok,points,of,why")));
    assert!(csv.contains("cold-ping,not-a-hub,check,,no,0,1,"), "{csv}");
    // `check` sees that it was done without a 'next'.
    done(&sandbox, &["lab", "exec", "h1", "--", "ping", "-n", "-q", "-c1", "-W2", "10.0.1.12"]);
    assert!(done(&sandbox, &["learn", "check"]).contains("11 of 11"));
    assert!(done(&sandbox, &["learn", "next"]).contains("last step"));
    done(&sandbox, &["lab", "down"]);
    sandbox.is_empty();
    assert!(done(&sandbox, &["learn", "--csv"]).contains("cold-ping,A cold ping,5,yes,11,11\r\n"));
}

/// A teacher's own file, from the docs; and files that are none.
#[test]
fn a_file_of_ones_own_is_played_or_refused() {
    if !ready("a_file_of_ones_own_is_played_or_refused", TOOLS) {
        return;
    }
    let sandbox = Sandbox::new(User::Root);
    let docs = fs::read_to_string(exercises().join("../docs/exercises.md")).unwrap();
    let example = docs.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(example.contains("id = "), "the first example in docs/exercises.md is a whole exercise");
    sandbox.write("/tmp/mine.toml", example.as_bytes());
    assert!(done(&sandbox, &["learn", "validate", "/tmp/mine.toml"]).contains("can be run"));
    done(&sandbox, &["learn", "start", "/tmp/mine.toml"]);
    let steps = example.matches("[[step]]").count();
    assert!(steps >= 2, "{steps}");
    done(&sandbox, &["learn", "next", "--answer", "h2 h3"]);
    done(&sandbox, &["learn", "next", "--answer", "no"]);
    done(&sandbox, &["lab", "exec", "h1", "--", "ping", "-n", "-q", "-c1", "-W2", "10.0.1.12"]);
    assert!(done(&sandbox, &["learn", "check"]).contains("4 of 4 points"));
    done(&sandbox, &["learn", "stop"]);
    sandbox.is_empty();

    for (octets, place) in [
        (&b"id = 1\n"[..], "/tmp/broken.toml:1:6: "),
        (b"\xff\xfe", "/tmp/broken.toml: octet 1"),
        (b"", "/tmp/broken.toml:1:1: missing field"),
        (example.replace("kind = \"hosts\"", "kind = \"guess\"").as_bytes(), "'guess'"),
        (example.replace("port-of h1", "port-of h7").as_bytes(), "'h7'"),
        (&vec![b'a'; 300 << 10], "300 << 10"),
    ] {
        sandbox.write("/tmp/broken.toml", octets);
        for words in [["learn", "validate", "/tmp/broken.toml"], ["learn", "start", "/tmp/broken.toml"]] {
            let outcome = lanyard(&sandbox, &words);
            let place = if place == "300 << 10" { "307200 octets" } else { place };
            let said = outcome.err.contains(place) && outcome.err.lines().count() == 1;
            assert!(outcome.code == Some(2) && said && outcome.out.is_empty(), "{place}: {outcome:?}");
        }
    }
    for path in ["/tmp", "/dev/zero", "/tmp/nothing.toml"] {
        assert_eq!(lanyard(&sandbox, &["learn", "validate", path]).code, Some(2), "{path}");
    }
    sandbox.is_empty();
}

/// A step that was interrupted is run again.
#[test]
fn an_interrupted_step_goes_on() {
    if !ready("an_interrupted_step_goes_on", TOOLS) {
        return;
    }
    let sandbox = Sandbox::new(User::Root);
    done(&sandbox, &["learn", "start", "arp-states"]);
    done(&sandbox, &["learn", "next", "--answer", "reachable"]);
    let mut command = sandbox.command_with(&[("XDG_STATE_HOME", "/tmp/state")]);
    let next = Running::start(command.args(["learn", "next", "--answer", "stale"]));
    let waits =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.contains("next"));
    wait_for("the command", PATIENCE, || sandbox.processes().iter().any(waits));
    thread::sleep(Duration::from_secs(1)); // into the seven seconds of silence
    let pid = sandbox.processes().into_iter().find(waits).expect("it still runs");
    harness::host::send_signal(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_ne!(next.finish(PATIENCE).code, Some(0));
    let said = done(&sandbox, &["learn", "next", "--answer", "no", "--answer", "h2", "--answer", "reachable"]);
    assert!(said.contains("right: stale") && said.contains("right: h2"), "{said}");
    done(&sandbox, &["learn", "stop"]);
    sandbox.is_empty();
}

/// The frames that the lab's recorder has, a line for each.
fn recorded(sandbox: &Sandbox) -> Vec<String> {
    done(sandbox, &["trace", "--last", "1000"]).lines().map(str::to_owned).collect()
}

/// The question comes first: as long as one has no answer, nothing is sent.
#[test]
fn nothing_is_sent_before_every_question_is_answered() {
    if !ready("nothing_is_sent_before_every_question_is_answered", TOOLS) {
        return;
    }
    let sandbox = Sandbox::new(User::Root);
    done(&sandbox, &["learn", "start", "cold-ping"]);
    done(&sandbox, &["learn", "next", "--answer", "0"]);
    assert_eq!(recorded(&sandbox), Vec::<String>::new(), "before the first ping");
    for words in [
        &["learn", "next"][..],
        &["learn", "next", "--answer", "h2 h3"],
        &["learn", "next", "--answer", "h2 h3", "--answer", "h1"],
        &["learn", "next", "--answer", "h2 h3", "--answer", "h1", "--answer", "perhaps"],
    ] {
        let outcome = lanyard(&sandbox, words);
        assert!(outcome.code == Some(if words.len() == 8 { 2 } else { 1 }), "{words:?}: {outcome:?}");
        assert!(!outcome.out.contains("right") && !outcome.out.contains('$'), "{words:?}: {outcome:?}");
        thread::sleep(Duration::from_millis(300)); // longer than a ping takes
        assert_eq!(recorded(&sandbox), Vec::<String>::new(), "{words:?}");
    }
    done(&sandbox, &["learn", "next", "--answer", "h2 h3", "--answer", "h1", "--answer", "no"]);
    assert_eq!(recorded(&sandbox).len(), 4, "ARP and ping, there and back");
    done(&sandbox, &["learn", "stop"]);
    sandbox.is_empty();
}

/// `lanyard learn next` on a terminal that script(1) makes, and what is typed there.
struct Terminal {
    script: Running,
    said: Arc<Mutex<Vec<u8>>>,
    /// How many prompts were answered.
    answered: usize,
}

impl Terminal {
    fn next(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.enter();
        command.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TERM=xterm"]);
        command.args(["XDG_STATE_HOME=/tmp/state", "script", "-qec", "/run/lanyard learn next", "/dev/null"]);
        let mut script = Running::start(command.stdin(Stdio::piped()));
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let (mut out, all) = (script.child.stdout.take().unwrap(), Arc::clone(&said));
        thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut octets) {
                all.lock().unwrap().extend(&octets[..count]);
            }
        });
        Self { script, said, answered: 0 }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).replace('\r', "")
    }

    /// Wait until something is asked, and type this.
    fn types(&mut self, text: &str) {
        self.answered += 1;
        wait_for("a prompt", PATIENCE, || {
            let text = self.text();
            text.matches("    > ").count() == self.answered && text.ends_with("    > ")
        });
        self.script.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Its end: the exit code, and all that was said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_for("its end", PATIENCE, || {
            status = self.script.child.try_wait().unwrap();
            status.is_some()
        });
        wait_for("its last words", PATIENCE, || Arc::strong_count(&self.said) == 1);
        (status.unwrap().code(), self.text())
    }
}

/// On a terminal the questions are asked one by one, and again until there is an answer.
#[test]
fn a_terminal_is_asked_until_it_answers() {
    if !ready("a_terminal_is_asked_until_it_answers", &[TOOLS, &["script"]].concat()) {
        return;
    }
    let sandbox = Sandbox::new(User::Root);
    done(&sandbox, &["learn", "start", "cold-ping"]);
    done(&sandbox, &["learn", "next", "--answer", "0"]);
    // Ctrl-D instead of the second answer.
    let mut terminal = Terminal::next(&sandbox);
    terminal.types("h2 h3\n");
    terminal.types("\x04");
    let (code, text) = terminal.end();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no answer was given") && !text.contains("[3]"), "{text}");
    assert_eq!(recorded(&sandbox), Vec::<String>::new(), "{text}");

    let mut terminal = Terminal::next(&sandbox);
    for typed in ["h9\n", "h3 h2\n", "h1\n", "\n", "perhaps\n"] {
        terminal.types(typed);
        assert_eq!(recorded(&sandbox), Vec::<String>::new(), "{typed}");
    }
    terminal.types("yes\n");
    let (code, text) = terminal.end();
    assert_eq!(code, Some(0), "{text}");
    let place = |piece: &str| text.find(piece).unwrap_or_else(|| panic!("no '{piece}' in {text}"));
    assert!(place("Which hosts get a copy of h1's question?") < place("'h9'"), "{text}");
    assert!(place("'h9'") < place("Which hosts get a copy of h2's answer?"), "{text}");
    assert_eq!(text.matches("answer yes or no").count(), 2, "{text}");
    assert!(place("answer yes or no") < place("$ lanyard lab exec h1 -- ping"), "{text}");
    assert_eq!(recorded(&sandbox).len(), 4);
    let report: Value = serde_json::from_str(&lanyard(&sandbox, &["learn", "check", "--json"]).out).unwrap();
    let of = |id: &str| report["items"].as_array().unwrap().iter().find(|item| item["item"] == id).unwrap().clone();
    assert_eq!(["question", "answer", "third"].map(|id| of(id)["ok"].as_bool().unwrap()), [true, true, false]);
    assert!(of("third")["why"].as_str().unwrap().starts_with("you said yes; it was no"), "{report:#}");
    done(&sandbox, &["learn", "stop"]);
    sandbox.is_empty();
}
