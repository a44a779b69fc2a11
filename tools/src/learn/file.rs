//! What may stand in an exercise's file? TOML (toml.io, 1.0), read with the place of every word, so that a fault can be shown
//! to the teacher who wrote it: `mine.toml:12:9: ...`.
//!
//! Here is the form only; [`super::exercise`] says whether what is written can be meant. The same form for editors is
//! `exercises/schema.json`, for people `docs/exercises.md`.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::failure::{Failure, one_line};

/// No exercise is larger, octets.
const MOST_OCTETS: u64 = 256 << 10;

/// A text with its place.
pub(super) type Word = Spanned<String>;

/// An exercise's text, and what it is called in errors.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// `mine.toml`, or `exercise cold-ping`.
    pub(super) name: String,
    /// All of it.
    pub(super) text: String,
}

impl Source {
    /// Read a file.
    ///
    /// # Errors
    /// It cannot be read, is too large or is no text.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let fault = |why: String| Failure::Words(format!("{name}: {why}"));
        let found = std::fs::metadata(path).map_err(|error| fault(error.to_string()))?;
        if !found.is_file() {
            return Err(fault("it is no file: name an exercise's TOML file".to_owned()));
        }
        if found.len() > MOST_OCTETS {
            return Err(fault(format!("it has {} octets: an exercise has at most {MOST_OCTETS}", found.len())));
        }
        let octets = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
        match String::from_utf8(octets) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => Err(fault(format!("octet {} is no UTF-8 text", error.utf8_error().valid_up_to() + 1))),
        }
    }

    /// A fault at a place of the text.
    pub(super) fn fault(&self, span: Range<usize>, message: impl std::fmt::Display) -> Failure {
        let (line, column) = self.place(span.start);
        // What is wrong may hold a line end of the file's.
        Failure::Words(format!("{}:{line}:{column}: {}", self.name, one_line(&message.to_string())))
    }

    /// Line and column, both from 1, the column in characters.
    fn place(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// Where `range` of a word's value stands in the text: exact for a plain string on one line, its beginning otherwise.
    pub(super) fn within(&self, word: &Word, range: Range<usize>) -> Range<usize> {
        let span = word.span();
        let written = self.text.get(span.clone()).unwrap_or_default();
        let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
        if inner == word.get_ref() { span.start + 1 + range.start..span.start + 1 + range.end } else { span }
    }

    /// Read the form.
    ///
    /// # Errors
    /// With the place of the first thing that does not belong there.
    pub(super) fn form(&self) -> Result<ExerciseForm, Failure> {
        toml::from_str(&self.text).map_err(|error| {
            let message: Vec<&str> = error.message().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            self.fault(error.span().unwrap_or(0..0), message.join(": "))
        })
    }
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ExerciseForm {
    pub(super) id: Word,
    pub(super) title: Word,
    pub(super) minutes: Spanned<u32>,
    #[serde(default)]
    pub(super) goals: Vec<String>,
    #[serde(default)]
    pub(super) network: Vec<NetworkForm>,
    #[serde(default)]
    pub(super) host: Vec<HostForm>,
    #[serde(default)]
    pub(super) step: Vec<StepForm>,
    #[serde(default)]
    pub(super) check: Vec<CheckForm>,
    #[serde(default)]
    pub(super) debrief: String,
}

/// `[[network]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NetworkForm {
    pub(super) name: Word,
    pub(super) subnet: Option<Word>,
    pub(super) gateway: Option<Word>,
    pub(super) mode: Option<Word>,
    pub(super) evict: Option<Word>,
    pub(super) arp: Option<Word>,
    pub(super) ageing: Option<Spanned<u32>>,
    pub(super) mac_capacity: Option<Spanned<u32>>,
    pub(super) mac_limit: Option<Spanned<u32>>,
    pub(super) guard: Option<bool>,
    pub(super) forward_reserved: Option<bool>,
}

/// `[[host]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct HostForm {
    pub(super) name: Word,
    pub(super) network: Option<Word>,
    pub(super) ip: Option<Word>,
    pub(super) mac: Option<Word>,
    pub(super) ends: Option<Spanned<u8>>,
    pub(super) reachable_ms: Option<Spanned<u32>>,
    pub(super) delay_s: Option<Spanned<u32>>,
    pub(super) retrans_ms: Option<Spanned<u32>>,
    pub(super) locktime_ms: Option<Spanned<u32>>,
}

/// `[[step]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StepForm {
    pub(super) title: Word,
    pub(super) say: String,
    #[serde(default)]
    pub(super) run: Vec<Word>,
    #[serde(default, rename = "do")]
    pub(super) by_hand: Vec<Word>,
    pub(super) until: Option<Word>,
    pub(super) show: Option<Word>,
    pub(super) tree: Option<Word>,
    #[serde(default)]
    pub(super) output: bool,
    #[serde(default)]
    pub(super) then: String,
    #[serde(default)]
    pub(super) hints: Vec<String>,
    #[serde(default)]
    pub(super) predict: Vec<PredictForm>,
    #[serde(default)]
    pub(super) check: Vec<CheckForm>,
}

/// `[[step.predict]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PredictForm {
    pub(super) id: Word,
    pub(super) ask: String,
    pub(super) kind: Word,
    pub(super) answer_from: Word,
    #[serde(default)]
    pub(super) choices: Vec<String>,
    pub(super) frame: Option<Word>,
    pub(super) nth: Option<Spanned<u32>>,
    pub(super) host: Option<Word>,
    pub(super) on: Option<Word>,
    pub(super) network: Option<Word>,
    pub(super) has: Option<Word>,
    pub(super) is: Option<Word>,
    pub(super) at_least: Option<Spanned<u64>>,
    pub(super) at_most: Option<Spanned<u64>>,
    pub(super) points: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) because: String,
}

/// `[[check]]` and `[[step.check]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CheckForm {
    pub(super) id: Word,
    pub(super) say: String,
    pub(super) points: Option<Spanned<u32>>,
    pub(super) exists: Option<Word>,
    pub(super) never: Option<Word>,
    pub(super) count: Option<Word>,
    pub(super) before: Option<Spanned<Vec<Word>>>,
    pub(super) within: Option<WithinForm>,
    pub(super) mac: Option<MacForm>,
    pub(super) entries: Option<EntriesForm>,
    pub(super) arp: Option<ArpForm>,
    pub(super) command: Option<CommandForm>,
    pub(super) at_least: Option<Spanned<u64>>,
    pub(super) at_most: Option<Spanned<u64>>,
}

/// `within = { first = "..", then = "..", ms = N }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WithinForm {
    pub(super) first: Word,
    pub(super) then: Word,
    pub(super) ms: Spanned<u64>,
}

/// `mac = { host = "h1", port = "h1" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MacForm {
    pub(super) host: Word,
    pub(super) port: Word,
}

/// `entries = { network = "net1" }`, with `at-least` and `at-most` beside it
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EntriesForm {
    pub(super) network: Word,
}

/// `arp = { on = "h1", host = "h2", state = ["REACHABLE"], mac = "h3" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ArpForm {
    pub(super) on: Word,
    pub(super) host: Word,
    #[serde(default)]
    pub(super) state: Vec<Word>,
    pub(super) mac: Option<Word>,
}

/// `command = { run = "lanyard ..", exit = 0, contains = ".." }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CommandForm {
    pub(super) run: Word,
    pub(super) exit: Option<i32>,
    pub(super) contains: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { name: "x.toml".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_place_is_a_line_and_a_column_of_characters() {
        let source = source("a\nbé = 1\n");
        assert_eq!(source.place(0), (1, 1));
        assert_eq!(source.place(2), (2, 1));
        assert_eq!(source.place(6), (2, 4));
        assert_eq!(source.place(4), (2, 2), "in the middle of a letter");
        assert_eq!(source.place(99), (3, 1));
    }

    #[test]
    fn a_range_of_a_plain_string_is_found_in_the_text() {
        let source = source("id = \"abc def\"\ntitle = \"\"\"\nx\"\"\"\nminutes = 1\n");
        let form = source.form().unwrap();
        assert_eq!(&source.text[source.within(&form.id, 4..7)], "def");
        assert_eq!(source.within(&form.title, 0..1), form.title.span());
    }

    #[test]
    fn the_form_says_where_it_does_not_fit() {
        for (text, place, word) in [
            ("id = 1", "1:6", "string"),
            ("id = \"a\"\ntitle = \"b\"\nminutes = 1\ncolour = 2", "4:1", "`colour`"),
            ("id = \"a\"\ntitle = \"b\"\nminutes = \"soon\"", "3:11", "u32"),
            ("id = \"a\"\nid = \"b\"", "2:1", "duplicate"),
            ("id = ", "1:6", ""),
            ("[[step]]\nsay = \"x\"\ntitle = \"y\"\n[[step.predict]]\nid = \"p\"\naks = \"?\"", "6:1", "`aks`"),
            ("id = \"a\"\n[[check]]\nid = \"c\"\nsay=\"\"\nmac = { host = \"h1\", prot = \"h1\" }", "5:22", "`prot`"),
        ] {
            let Err(Failure::Words(why)) = source(text).form() else { panic!("{text}") };
            assert!(why.starts_with(&format!("x.toml:{place}: ")) && why.contains(word), "{text}: {why}");
            assert_eq!(why.lines().count(), 1, "{why}");
        }
    }
}
