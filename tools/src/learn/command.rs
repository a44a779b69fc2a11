//! Which command lines may an exercise hold, and what do their words mean? They are written as a student would type them,
//! with `{h2}` for an address, so that everything an exercise does can be read, copied and repeated.
//!
//! ```text
//! lanyard lab exec h1 -- ping -c1 -W2 {h2}
//! lanyard lab send h3 --arp-reply h2 --to h1
//! wait 500ms
//! ```
//! `{h2}` is a host's IP address, `{h2.mac}` its MAC address, `{net1.gateway}` a gateway's IP address. Quotes (`'` and `"`)
//! hold words together; there is no shell.
//!
//! Not done: variables, pipes. `lab exec h1 -- sh -c '...'` has them: an exercise is a program, to be run only by who
//! trusts its author.

use std::ops::Range;
use std::time::Duration;

use crate::lab::plan::Plan;

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The words that may follow `lanyard` in what the tool runs by itself.
const RUNNABLE: [&str; 6] = ["lab", "clock", "fault", "show", "network", "trace"];

/// A line that was read, and what is wrong with one that cannot be: where in it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// In octets of the line.
    pub(super) range: Range<usize>,
    /// Why, with the offending word.
    pub(super) why: String,
}

fn wrong<T>(range: Range<usize>, why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { range, why: why.into() })
}

/// What the tool does for one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Let time pass.
    Wait(Duration),
    /// Start this program again, with these words.
    Lanyard(Vec<String>),
}

/// A command line with its addresses filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// As it is shown.
    pub(super) text: String,
    /// What it does.
    pub(super) action: Action,
}

/// Read a line that the tool itself is to run.
///
/// # Errors
/// It has an unknown name or begins with a word that the tool runs nothing by.
pub(super) fn runnable(line: &str, plan: &Plan) -> Result<Line, Wrong> {
    let words = words(line)?;
    let all = 0..line.len();
    let text = filled(line, plan)?;
    let Some((first, rest)) = words.split_first() else { return wrong(all, "the command line is empty") };
    match (first.1.as_str(), rest) {
        ("wait", [time]) => Ok(Line { text, action: Action::Wait(duration(time)?) }),
        ("wait", _) => wrong(all, "write a time after 'wait', as in 'wait 500ms' or 'wait 2s'"),
        ("lanyard", [(range, what), ..]) if !RUNNABLE.contains(&what.as_str()) => {
            wrong(range.clone(), format!("'lanyard {what}' cannot be run here: known are {}", RUNNABLE.join(", ")))
        }
        ("lanyard", [_, ..]) => {
            known_host(&words, plan)?;
            let words = rest.iter().map(|(_, word)| filled(word, plan)).collect::<Result<_, _>>()?;
            Ok(Line { text, action: Action::Lanyard(words) })
        }
        _ => wrong(
            first.0.clone(),
            format!(
                "'{}': a command line begins with 'lanyard' or 'wait'; for a host's own command write 'lanyard lab exec HOST -- ..'",
                first.1
            ),
        ),
    }
}

/// Read a line that the student is to type: anything, as long as it names no host that is not there.
///
/// # Errors
/// It has an unknown name.
pub(super) fn told(line: &str, plan: &Plan) -> Result<String, Wrong> {
    known_host(&words(line)?, plan)?;
    filled(line, plan)
}

/// `lanyard lab exec HOST` and `lanyard lab send HOST`: is there such a host?
fn known_host(words: &[(Range<usize>, String)], plan: &Plan) -> Result<(), Wrong> {
    let begin: Vec<&str> = words.iter().take(3).map(|(_, word)| word.as_str()).collect();
    match (begin.as_slice(), words.get(3)) {
        (["lanyard", "lab", "exec" | "send"], Some((range, host))) => {
            if plan.hosts.iter().any(|known| known.name == *host) {
                return Ok(());
            }
            wrong(range.clone(), format!("there is no host '{host}': known are {}", host_names(plan)))
        }
        (["lanyard", "lab", "exec" | "send"], None) => {
            let end = words.last().map_or(0, |(range, _)| range.end);
            wrong(end..end, "a host is missing here")
        }
        (["lanyard", "lab", what], _) if *what != "ls" => wrong(
            words[2].0.clone(),
            format!("'lab {what}' has no place in an exercise: 'lab exec' and 'lab send' have"),
        ),
        _ => Ok(()),
    }
}

/// The hosts' names, as errors list them.
pub(super) fn host_names(plan: &Plan) -> String {
    plan.hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Words of a line with their places; quotes hold them together.
fn words(line: &str) -> Result<Vec<(Range<usize>, String)>, Wrong> {
    let mut words = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut quote: Option<(usize, char)> = None;
    for (at, letter) in line.char_indices() {
        match quote {
            Some((_, mark)) if mark == letter => quote = None,
            None if letter == '\'' || letter == '"' => {
                quote = Some((at, letter));
                word.get_or_insert((at, String::new()));
            }
            None if letter.is_whitespace() => words.extend(word.take().map(|(begin, word)| (begin..at, word))),
            None if letter.is_control() => return wrong(at..at + 1, "a control character has no place here"),
            _ => word.get_or_insert((at, String::new())).1.push(letter),
        }
    }
    if let Some((at, mark)) = quote {
        return wrong(at..at + 1, format!("the quote {mark} is never closed"));
    }
    words.extend(word.map(|(begin, word)| (begin..line.len(), word)));
    Ok(words)
}

fn duration((range, text): &(Range<usize>, String)) -> Result<Duration, Wrong> {
    match crate::duration::parse(text) {
        Ok(time) if time <= LONGEST_WAIT => Ok(time),
        Ok(_) => wrong(range.clone(), format!("'{text}' is longer than {} s", LONGEST_WAIT.as_secs())),
        Err(why) => wrong(range.clone(), why),
    }
}

/// The line with every `{name}` replaced by its address.
fn filled(line: &str, plan: &Plan) -> Result<String, Wrong> {
    let mut out = String::with_capacity(line.len());
    let mut at = 0;
    while let Some(open) = line[at..].find('{').map(|open| at + open) {
        out.push_str(&line[at..open]);
        let Some(close) = line[open..].find('}').map(|close| open + close) else {
            return wrong(open..open + 1, "'{' is never closed by '}'");
        };
        let name = &line[open + 1..close];
        let Some(address) = address(name, plan) else {
            let why = format!(
                "'{{{name}}}' names no address: known are {{HOST}}, {{HOST.mac}} and {{NETWORK.gateway}} for the hosts {}",
                host_names(plan)
            );
            return wrong(open..close + 1, why);
        };
        out.push_str(&address);
        at = close + 1;
    }
    out.push_str(&line[at..]);
    Ok(out)
}

fn address(name: &str, plan: &Plan) -> Option<String> {
    let host = |name: &str| plan.hosts.iter().find(|host| host.name == name);
    match name.rsplit_once('.') {
        Some((name, "mac")) => host(name).map(|host| host.mac.to_string()),
        Some((network, "gateway")) => plan.gateway_of(network).map(|ip| ip.to_string()),
        _ => host(name).map(|host| host.ip.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan() -> Plan {
        let networks = "[{\"name\":\"net1\",\"subnet\":\"10.0.1.0/24\"}]";
        let host = "{\"name\":\"h1\",\"network\":\"net1\",\"ip\":\"10.0.1.11\",\"mac\":\"02:42:0a:00:01:0b\",\"ends\":1,\"timers\":{}}";
        serde_json::from_str(&format!("{{\"networks\":{networks},\"hosts\":[{host}]}}")).unwrap()
    }

    #[test]
    fn lines_are_read_with_their_addresses() {
        let line = runnable("lanyard lab exec h1 -- ping  '{h1} {h1.mac}' {net1.gateway}", &plan()).unwrap();
        let words = ["lab", "exec", "h1", "--", "ping", "10.0.1.11 02:42:0a:00:01:0b", "10.0.1.1"].map(str::to_owned);
        assert_eq!(line.action, Action::Lanyard(words.to_vec()));
        assert_eq!(line.text, "lanyard lab exec h1 -- ping  '10.0.1.11 02:42:0a:00:01:0b' 10.0.1.1");
        assert_eq!(runnable("wait 500ms", &plan()).unwrap().action, Action::Wait(Duration::from_millis(500)));
        assert_eq!(told("echo {h1} | cat", &plan()).unwrap(), "echo 10.0.1.11 | cat");
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_place() {
        for (line, place, named) in [
            ("", 0, "empty"),
            ("rm -rf /", 0, "'rm'"),
            ("lanyard", 0, "'lanyard'"),
            ("lanyard run", 8, "'lanyard run'"),
            ("lanyard lab down", 12, "'lab down'"),
            ("lanyard lab exec h9 -- true", 17, "'h9'"),
            ("lanyard lab exec", 16, "missing"),
            ("lanyard lab send h9 --flood-macs 1", 17, "'h9'"),
            ("lanyard lab exec h1 -- ping {h9}", 28, "'{h9}'"),
            ("lanyard lab exec h1 -- ping {h1", 28, "never closed"),
            ("lanyard lab exec h1 -- ping 'x", 28, "never closed"),
            ("wait", 0, "a time"),
            ("wait soon", 5, "'soon'"),
            ("wait 31s", 5, "longer"),
            ("wait 2", 5, "no time"),
            ("wait 99999999999999999999s", 5, "longer"),
        ] {
            let why = runnable(line, &plan()).unwrap_err();
            assert!(why.range.start == place && why.why.contains(named), "{line}: {why:?}");
        }
        assert!(told("lanyard lab exec h9 -- true", &plan()).is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_a_crash(line in "[ -~'\"{}é\\t]{0,60}") {
            let _ = (runnable(&line, &plan()), told(&line, &plan()));
            let _ = runnable(&format!("lanyard lab exec h1 -- {line}"), &plan());
        }
    }
}
