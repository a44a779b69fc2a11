//! `lanyard learn`: exercises on real frames, which ask before they show.
//!
//! | file | the question |
//! | --- | --- |
//! | [`file`] | what may stand in an exercise's file? |
//! | [`command`] | which command lines, and what do their words mean? |
//! | [`exercise`] | can it be meant? |
//! | [`shipped`] | which come with the program? |
//! | [`seen`], [`live`] | what happened in the lab, and how do things stand? |
//! | [`predict`] | what is asked, and what was right? |
//! | [`check`] | did what it is about really happen? |
//! | [`session`] | what is remembered between two commands? |
//! | [`play`] | how does it go on? |
//! | [`show`] | what does the student read? |
//!
//! Exit codes: 0 done, 1 not yet, 2 the file or the words are wrong.

mod check;
mod command;
mod exercise;
mod file;
mod live;
mod play;
mod predict;
#[cfg(test)]
mod schema_tests;
mod seen;
mod session;
mod shipped;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::failure::{Failure, print};
use exercise::Exercise;
use file::Source;
use play::Form;
use show::Listed;

/// What `lanyard learn --help` ends with.
pub(crate) const EXAMPLES: &str = "\
Examples:
  lanyard learn                    what there is, and what you have done
  lanyard learn start cold-ping    begin
  lanyard learn next               the next step: first a question, then real frames
  lanyard learn check              how many points so far
  lanyard learn stop               end, and leave nothing behind

Exit codes: 0 done, 1 not yet, 2 the file or the words are wrong.";

/// `lanyard learn ...`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LearnArgs {
    /// Which of them; the list when none is named.
    #[command(subcommand)]
    command: Option<LearnCommand>,
    /// How to print the list.
    #[command(flatten)]
    form: FormArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct FormArgs {
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

impl FormArgs {
    const fn form(self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Text,
        }
    }
}

#[derive(Debug, Subcommand)]
enum LearnCommand {
    /// Begin an exercise: its lab comes up
    #[command(after_help = "Examples:\n  lanyard learn start cold-ping\n  lanyard learn start ./mine.toml")]
    Start {
        /// Its id, or a file of your own
        #[arg(value_name = "ID|FILE")]
        exercise: String,
    },
    /// Go on: answer, then see
    #[command(after_help = "\
Examples:
  lanyard learn next                             asks on the terminal
  lanyard learn next --answer 'h2 h3' --answer yes
  lanyard learn next --skip                      give up what you were to do")]
    Next {
        /// An answer, in place of the terminal; once for each question
        #[arg(long = "answer", value_name = "TEXT", allow_hyphen_values = true)]
        answers: Vec<String>,
        /// Go on although what you were to do was not seen to happen
        #[arg(long)]
        skip: bool,
    },
    /// Count the points; exit code 0 when none is missing
    #[command(
        after_help = "Examples:\n  lanyard learn check\n  lanyard learn check --csv\n  lanyard learn check --json | jq .points"
    )]
    Check(FormArgs),
    /// Help with the step that is open, more of it each time
    #[command(after_help = "Example:\n  lanyard learn hint")]
    Hint,
    /// End the exercise and leave nothing behind
    #[command(after_help = "Example:\n  lanyard learn stop")]
    Stop,
    /// Read an exercise's file, and say what is wrong with it
    #[command(after_help = "Examples:\n  lanyard learn validate mine.toml\n\nHow to write one: docs/exercises.md")]
    Validate {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Run it.
///
/// # Errors
/// [`Failure::Work`] where something is not yet done, [`Failure::Words`] where a file is broken.
pub(crate) fn run(args: &LearnArgs) -> Result<(), Failure> {
    match &args.command {
        None => list(args.form.form()),
        Some(LearnCommand::Start { exercise }) => play::start(named(exercise)?),
        Some(LearnCommand::Next { answers, skip }) => play::next(answers, *skip),
        Some(LearnCommand::Check(form)) => play::check(form.form()),
        Some(LearnCommand::Hint) => play::hint(),
        Some(LearnCommand::Stop) => play::stop(),
        Some(LearnCommand::Validate { file }) => validate(file),
    }
}

fn list(form: Form) -> Result<(), Failure> {
    let scores = session::scores();
    let mut rows = Vec::new();
    for source in shipped::all() {
        rows.push(Listed::new(&Exercise::read(&source)?, &scores));
    }
    print(&match form {
        Form::Text => show::list(&rows),
        Form::Json => show::json(&rows)?,
        Form::Csv => show::list_csv(&rows),
    })
}

/// An exercise by its id, or by the path of its file.
fn named(exercise: &str) -> Result<Source, Failure> {
    if exercise.contains('/') || Path::new(exercise).extension().is_some_and(|end| end == "toml") {
        return Source::read(Path::new(exercise));
    }
    let mut known = Vec::new();
    for source in shipped::all() {
        let id = Exercise::read(&source)?.id;
        if id == exercise {
            return Ok(source);
        }
        known.push(id);
    }
    let known = known.join(", ");
    Err(Failure::Words(format!("there is no exercise '{exercise}': known are {known}; name a file as in ./mine.toml")))
}

fn validate(file: &Path) -> Result<(), Failure> {
    let exercise = Exercise::read(&Source::read(file)?)?;
    let (id, steps, points) = (&exercise.id, exercise.steps.len() as u64, exercise.points());
    let (steps, points) = (check::plural(steps, "step"), check::plural(u64::from(points), "point"));
    print(&format!("{}: exercise '{id}' can be run: {steps}, {points}\n", file.display()))
}
