//! How is a bad line described? In a few words: `drop 10%`, `drop every 5` or `every 5` for short, `delay 50ms 10ms`,
//! `dup 5%`, `reorder 5%`, `corrupt 1%`. The last three need not say how often: then it is [`USUAL`]. Losing frames must: a
//! slip would lose all, or so few that nobody sees it.
//!
//! Not done: bursts of loss (Gilbert), limits of the rate.

use std::fmt;
use std::str::FromStr;

use frame::Millis;
use serde::{Deserialize, Serialize};

/// The longest delay, jitter included.
pub const LONGEST_DELAY: Millis = Millis::from_secs(60);
/// All frames, as a share.
const WHOLE: u32 = 1_000_000;
/// How many frames are doubled, overtaken or spoilt when nobody says: one in a hundred, as in tc-netem(8)'s examples.
pub const USUAL: Often = Often::Share(WHOLE / 100);

/// Which frames meet a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Often {
    /// So many of a million, by chance.
    Share(u32),
    /// Every n-th, exactly.
    Every(u32),
}

/// What a fault does. Its text form is what people write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FaultKind {
    /// Frames are lost.
    Drop(Often),
    /// Frames arrive later: by so much, and up to so much more or less. With jitter they may overtake each other.
    Delay {
        /// By how much.
        by: Millis,
        /// Give or take.
        jitter: Millis,
    },
    /// Frames arrive twice.
    Duplicate(Often),
    /// Frames arrive behind the one that followed.
    Reorder(Often),
    /// One bit behind the Ethernet header is turned over.
    Corrupt(Often),
}

/// Which way frames go that meet a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the endpoint into the switch.
    In,
    /// From the switch to the endpoint.
    Out,
    /// Both: it is the cable that is bad.
    #[default]
    Both,
}

const HELP: &str =
    "write drop 10%, drop every 5, every 5, delay 50ms, delay 50ms 10ms, dup 5%, reorder 5% or corrupt 1%";

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
        let wrong = |what: &str| format!("'{shown}' is no fault: {what}; {HELP}");
        let (name, rest) = words.split_first().ok_or_else(|| wrong("it is empty"))?;
        let usually = |rest| if rest == [""; 0] { Ok(USUAL) } else { often(rest) };
        let kind = match *name {
            "delay" => delay(rest),
            "drop" if rest.is_empty() => Err("say how many frames are lost".to_owned()),
            "drop" => often(rest).map(Self::Drop),
            "every" => often(&words).map(Self::Drop),
            "dup" | "duplicate" => usually(rest).map(Self::Duplicate),
            "reorder" => usually(rest).map(Self::Reorder),
            "corrupt" => usually(rest).map(Self::Corrupt),
            _ => Err("nobody knows its first word".to_owned()),
        };
        kind.map_err(|what| wrong(&what))
    }
}

fn often(words: &[&str]) -> Result<Often, String> {
    match words {
        ["every", number] => match number.parse() {
            Ok(every @ 1..=1_000_000_000) => Ok(Often::Every(every)),
            _ => Err("every takes a number from 1 to 1000000000".to_owned()),
        },
        [share] => share
            .strip_suffix('%')
            .and_then(per_million)
            .map(Often::Share)
            .ok_or("a share is from 0.0001% to 100%".into()),
        _ => Err("say how often".to_owned()),
    }
}

/// Hundredths, with up to four decimals.
fn per_million(percent: &str) -> Option<u32> {
    let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 4 {
        return None;
    }
    let share = whole.parse::<u32>().ok()?.checked_mul(10_000)?.checked_add(format!("{part:0<4}").parse().ok()?)?;
    (1..=WHOLE).contains(&share).then_some(share)
}

fn delay(words: &[&str]) -> Result<FaultKind, String> {
    let (by, jitter) = match words {
        [by] => (*by, "0ms"),
        [by, jitter] | [by, jitter, "jitter"] => (*by, *jitter),
        _ => return Err("say by how much".to_owned()),
    };
    let times = time(by).zip(time(jitter)).ok_or("a time is a number with ms or s")?;
    let (by, jitter) = times;
    if by.0 == 0 || jitter > by || by + jitter > LONGEST_DELAY {
        return Err("a delay is from 1ms to 60s, and its jitter no larger".to_owned());
    }
    Ok(FaultKind::Delay { by, jitter })
}

fn time(text: &str) -> Option<Millis> {
    let (number, unit) =
        text.strip_suffix("ms").map(|number| (number, 1)).or_else(|| Some((text.strip_suffix('s')?, 1000)))?;
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits).map(|number| Millis(number.saturating_mul(unit)))
}

impl fmt::Display for Often {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(every) => write!(f, "every {every}"),
            Self::Share(share) => {
                let part = format!("{:04}", share % 10_000);
                let part = part.trim_end_matches('0');
                let dot = if part.is_empty() { "" } else { "." };
                write!(f, "{}{dot}{part}%", share / 10_000)
            }
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop(often) => write!(f, "drop {often}"),
            Self::Delay { by, jitter: Millis(0) } => write!(f, "delay {}ms", by.0),
            Self::Delay { by, jitter } => write!(f, "delay {}ms {}ms", by.0, jitter.0),
            Self::Duplicate(often) => write!(f, "dup {often}"),
            Self::Reorder(often) => write!(f, "reorder {often}"),
            Self::Corrupt(often) => write!(f, "corrupt {often}"),
        }
    }
}

impl TryFrom<String> for FaultKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FaultKind> for String {
    fn from(kind: FaultKind) -> Self {
        kind.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write_is_read_and_written_the_same() {
        for (text, kind) in [
            ("drop 10%", FaultKind::Drop(Often::Share(100_000))),
            ("drop every 5", FaultKind::Drop(Often::Every(5))),
            ("drop 0.0001%", FaultKind::Drop(Often::Share(1))),
            ("dup 12.5%", FaultKind::Duplicate(Often::Share(125_000))),
            ("reorder 100%", FaultKind::Reorder(Often::Share(1_000_000))),
            ("corrupt every 1", FaultKind::Corrupt(Often::Every(1))),
            ("delay 50ms", FaultKind::Delay { by: Millis(50), jitter: Millis(0) }),
            ("delay 50ms 10ms", FaultKind::Delay { by: Millis(50), jitter: Millis(10) }),
        ] {
            assert_eq!((text.parse(), kind.to_string().as_str()), (Ok(kind), text));
        }
        for (text, same) in [
            (" delay  1s 10ms  jitter ", "delay 1000ms 10ms"),
            ("duplicate 5.0%", "dup 5%"),
            ("drop 007%", "drop 7%"),
            ("every 5", "drop every 5"),
            ("dup", "dup 1%"),
            ("duplicate", "dup 1%"),
            ("reorder", "reorder 1%"),
            ("corrupt", "corrupt 1%"),
        ] {
            assert_eq!(text.parse::<FaultKind>().map(|kind| kind.to_string()), Ok(same.to_owned()));
        }
    }

    #[test]
    fn everything_else_is_refused_with_the_words_there_are() {
        for text in [
            "",
            "drop",
            "drop 10",
            "drop 0%",
            "drop 100.1%",
            "drop -1%",
            "drop +1%",
            "drop .5%",
            "drop 5.%",
            "drop 1e1%",
            "drop 0.00001%",
            "drop 99999999999%",
            "drop every 0",
            "drop every",
            "drop every -5",
            "drop every 5 6",
            "every",
            "every 0",
            "every 5%",
            "every 5 6",
            "every every 5",
            "dup every",
            "dup 0%",
            "dup match arp",
            "drop 5% 6%",
            "delay",
            "delay 0ms",
            "delay 50",
            "delay 61s",
            "delay 50ms 51ms",
            "delay 50s 20s",
            "delay 50ms 10ms more",
            "delay 5m",
            "delay -5ms",
            "delay 99999999999999999999ms",
            "corrupt ٥%",
            "lose 5%",
            "DROP 5%",
            "drop\u{0}5%",
        ] {
            let why = text.parse::<FaultKind>().expect_err(text);
            assert!(why.contains("drop every 5") && !why.contains('\n') && why.len() < 260, "{why}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,40}|(drop|dup|delay|every|reorder|[0-9.%ms ]){0,8}") {
            if let Ok(kind) = text.parse::<FaultKind>() {
                prop_assert_eq!(kind.to_string().parse(), Ok(kind));
            }
        }
    }
}
