//! What is remembered between `learn start` and `learn stop`? One JSON file in the lab's folder, which goes with the lab: the
//! exercise's text, the steps that were opened, the answers that were given, and what was found.
//!
//! Beside it, outside the lab, the best score of each exercise: `lanyard/learn.json` in the folder that the XDG base
//! directory specification (0.8) keeps for state. Who has no home has no such file, and nothing is said about it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::exercise::Exercise;
use super::file::Source;
use super::seen::Outcome;
use crate::failure::Failure;
use crate::lab::keep;

/// An exercise under way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Session {
    /// What the exercise is called in errors.
    pub(super) name: String,
    /// Its text, as it was when it was started.
    pub(super) text: String,
    /// The steps that were opened.
    pub(super) steps: Vec<Opened>,
    /// The last frame before the first step.
    pub(super) began: u64,
    /// Frames that checks made themselves: from the one to the other.
    pub(super) own: Vec<(u64, u64)>,
    /// Hints that were given on the step that is open.
    pub(super) hints: usize,
}

/// A step that was opened.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Opened {
    /// The last frame before it.
    pub(super) began: u64,
    /// The last frame of it, once the next step is open.
    pub(super) ended: Option<u64>,
    /// What the student said.
    pub(super) answers: Vec<String>,
    /// How the tool's commands ended.
    pub(super) outcomes: Vec<Outcome>,
    /// Whether the answers were right, once that is out.
    pub(super) graded: Option<Vec<Item>>,
    /// What the step's checks found, once the next step is open.
    pub(super) checked: Option<Vec<Item>>,
}

/// One line of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// The question's or the check's id.
    #[serde(rename = "item")]
    pub(super) id: String,
    /// `predict` or `check`.
    pub(super) kind: String,
    /// The step it belongs to, from 1; `None` for a check of the whole exercise.
    pub(super) step: Option<usize>,
    /// Was it right, does it hold?
    pub(super) ok: bool,
    /// Points that were reached.
    pub(super) points: u32,
    /// Points that can be.
    pub(super) of: u32,
    /// What is asked or checked.
    pub(super) say: String,
    /// What was found.
    pub(super) why: String,
}

impl Session {
    /// A session of nothing yet.
    pub(super) fn new(source: Source, began: u64) -> Self {
        Self { name: source.name, text: source.text, steps: Vec::new(), began, own: Vec::new(), hints: 0 }
    }

    /// The one that is under way, with its exercise.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn current() -> Result<(Self, Exercise), Failure> {
        let none = || Failure::Work("no exercise is under way: start one with 'lanyard learn start ID'".to_owned());
        if keep::hosts().is_none() {
            return Err(none());
        }
        let path = keep::session_of(&keep::folder());
        let text = fs::read_to_string(&path).map_err(|_| none())?;
        let session: Self = serde_json::from_str(&text).map_err(|error| Failure::work(path.display(), error))?;
        let source = Source { name: session.name.clone(), text: session.text.clone() };
        let exercise = Exercise::read(&source)?;
        if session.steps.len() > exercise.steps.len() {
            return Err(Failure::Work(format!("{} is of another exercise: 'lanyard learn stop'", path.display())));
        }
        Ok((session, exercise))
    }

    /// Remember it, whole or not at all.
    ///
    /// # Errors
    /// The lab is gone, or its folder cannot be written to.
    pub(super) fn save(&self) -> Result<(), Failure> {
        write(&keep::session_of(&keep::folder()), self)
    }
}

/// What was reached in an exercise at best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Score {
    /// Points.
    pub(super) points: u32,
    /// Of so many.
    pub(super) of: u32,
}

impl Score {
    /// Nothing is missing.
    pub(super) const fn is_full(self) -> bool {
        self.of > 0 && self.points == self.of
    }
}

/// The best scores, by exercise.
pub(super) type Scores = BTreeMap<String, Score>;

fn scores_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("lanyard/learn.json"))
}

/// The scores so far; none where none can be read.
pub(super) fn scores() -> Scores {
    let text = scores_file().and_then(|path| fs::read_to_string(path).ok());
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Remember a score, if it is the best so far. It is a convenience: where it cannot be kept, the exercise goes on.
pub(super) fn keep_score(id: &str, score: Score) {
    let mut scores = scores();
    let best = scores.entry(id.to_owned()).or_default();
    if best.of == score.of && best.points >= score.points {
        return;
    }
    *best = score;
    if let Some(path) = scores_file()
        && let Some(folder) = path.parent()
        && fs::create_dir_all(folder).is_ok()
    {
        let _ = write(&path, &scores);
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let fault = |error: std::io::Error| Failure::work(path.display(), error);
    let text = serde_json::to_vec(value).map_err(|error| Failure::Work(error.to_string()))?;
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(fault)?;
    fs::rename(&new, path).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_it_was_written() {
        let source = Source { name: "x".to_owned(), text: "y".to_owned() };
        let mut session = Session::new(source, 7);
        session.steps.push(Opened { began: 7, answers: vec!["yes".to_owned()], ..Opened::default() });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.json");
        write(&path, &session).unwrap();
        let read: Session = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!((read.began, read.steps[0].answers[0].as_str()), (7, "yes"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn only_all_points_are_full_marks() {
        assert!(Score { points: 3, of: 3 }.is_full());
        assert!(!Score { points: 2, of: 3 }.is_full());
        assert!(!Score::default().is_full());
    }
}
