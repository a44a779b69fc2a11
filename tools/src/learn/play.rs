//! How does an exercise go on? `start`, `next`, `check`, `hint`, `stop`: a question is asked first, then the frames are
//! real, then both are held against each other.

use std::io::{self, BufRead, IsTerminal};

use trace::Style;

use super::check::{Check, plural};
use super::exercise::{Exercise, Step};
use super::file::Source;
use super::live::{Live, Log};
use super::predict::Predict;
use super::seen::{Seen, Tables};
use super::session::{self, Item, Opened, Session};
use super::show::{self, Report};
use crate::failure::{Failure, print, style};
use crate::lab::keep;
use crate::words::wrapped;

/// Begin: check the file, bring the lab up.
pub(super) fn start(source: Source) -> Result<(), Failure> {
    let exercise = Exercise::read(&source)?;
    if keep::hosts().is_some() {
        let what = match Session::current() {
            Ok((_, under_way)) => format!("exercise '{}' is under way: end it with 'lanyard learn stop'", under_way.id),
            Err(_) => "a lab is up already: end it with 'lanyard lab down'".to_owned(),
        };
        return Err(Failure::Work(what));
    }
    keep::bring_up(&exercise.plan)?;
    let begun = Live::open().and_then(|live| live.settle()).and_then(|last| Session::new(source, last).save());
    if begun.is_err() {
        let _ = keep::take_down(); // what went wrong first is told
    }
    begun?;
    print(&show::opening(&exercise, style()))
}

/// End: the lab goes, and the session with it.
pub(super) fn stop() -> Result<(), Failure> {
    if keep::take_down()? { Ok(()) } else { print("no exercise is under way\n") }
}

/// Help with the step that is open, more of it each time.
pub(super) fn hint() -> Result<(), Failure> {
    let (mut session, exercise) = Session::current()?;
    let Some(step) = session.steps.len().checked_sub(1).and_then(|open| exercise.steps.get(open)) else {
        return print("No step is open yet: lanyard learn next\n");
    };
    let Some(hint) = step.hints.get(session.hints).or(step.hints.last()) else {
        return print("This step has no hints.\n");
    };
    let more = step.hints.len().saturating_sub(session.hints + 1);
    session.hints = (session.hints + 1).min(step.hints.len());
    session.save()?;
    let rest = if more > 0 { format!("({} more)\n", plural(more as u64, "hint")) } else { String::new() };
    print(&format!("{}{rest}", wrapped(hint)))
}

/// Go on: show what became of the step that is open, then open the next one.
pub(super) fn next(answers: &[String], skip: bool) -> Result<(), Failure> {
    let (session, exercise) = Session::current()?;
    let mut play = Play { session, exercise, live: Live::open()?, style: style() };
    play.finish_open_step(skip)?;
    play.open_next(answers)
}

/// Where do we stand?
pub(super) fn check(how: Form) -> Result<(), Failure> {
    let (session, exercise) = Session::current()?;
    let mut play = Play { session, exercise, live: Live::open()?, style: style() };
    play.grade_if_done()?;
    let items = play.items()?;
    let report = Report::new(&play.exercise, &items);
    session::keep_score(&play.exercise.id, report.score());
    let full = report.score().is_full();
    let over = play.session.steps.len() == play.exercise.steps.len() && play.waiting().is_none();
    let mut text = match how {
        Form::Text => report.text(),
        Form::Json => report.json()?,
        Form::Csv => report.csv(),
    };
    if over && how == Form::Text {
        text = format!("{text}\n{}", wrapped(&play.exercise.debrief));
    }
    print(&text)?;
    let (points, of) = (report.score().points, report.score().of);
    if full { Ok(()) } else { Err(Failure::Work(format!("not yet: {points} of {of} points"))) }
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In columns.
    Text,
    /// As JSON.
    Json,
    /// As CSV.
    Csv,
}

struct Play {
    session: Session,
    exercise: Exercise,
    live: Live,
    style: Style,
}

impl Play {
    /// Everything since the exercise began, but what its own checks did.
    fn log(&self) -> Result<Log, Failure> {
        let mut log = self.live.log(self.session.began)?;
        let own = |number: u64| self.session.own.iter().any(|(after, last)| *after < number && number <= *last);
        log.records.retain(|record| !own(record.number));
        Ok(log)
    }

    /// What there is to see of an opened step.
    fn seen<'a>(&'a self, log: &'a Log, opened: &'a Opened) -> Seen<'a> {
        let (records, missed) = log.window(opened.began, opened.ended);
        Seen { plan: &self.exercise.plan, records, missed, outcomes: &opened.outcomes, tables: &self.live }
    }

    /// Was what the student is to do done?
    fn is_done(step: &Step, seen: &Seen<'_>) -> bool {
        step.by_hand.is_empty() || seen.matching(&step.until).next().is_some()
    }

    /// The step that is open, if what became of it has not been shown.
    fn waiting(&self) -> Option<usize> {
        let open = self.session.steps.len().checked_sub(1)?;
        self.session.steps[open].graded.is_none().then_some(open)
    }

    /// Show what became of the open step, if that has not been done.
    fn finish_open_step(&mut self, skip: bool) -> Result<(), Failure> {
        let Some(open) = self.waiting() else { return Ok(()) };
        if !self.exercise.steps[open].run.is_empty() {
            return self.run_and_reveal(open); // it was interrupted
        }
        let log = self.log()?;
        let step = &self.exercise.steps[open];
        let done = Self::is_done(step, &self.seen(&log, &self.session.steps[open]));
        if !done && !skip {
            print(&show::by_hand(&step.by_hand))?;
            let why =
                format!("not yet: step {} waits for you to do this; 'lanyard learn next --skip' gives it up", open + 1);
            return Err(Failure::Work(why));
        }
        self.reveal(open, &log)
    }

    /// The same without a word, for `check`.
    fn grade_if_done(&mut self) -> Result<(), Failure> {
        let Some(open) = self.waiting() else { return Ok(()) };
        let step = &self.exercise.steps[open];
        if step.by_hand.is_empty() {
            return Ok(());
        }
        let log = self.log()?;
        if Self::is_done(step, &self.seen(&log, &self.session.steps[open])) {
            let graded = self.graded(open, &log);
            self.session.steps[open].graded = Some(graded);
            self.session.save()?;
        }
        Ok(())
    }

    fn open_next(&mut self, answers: &[String]) -> Result<(), Failure> {
        let number = self.session.steps.len();
        self.close_open_step()?;
        let Some(step) = self.exercise.steps.get(number) else {
            return print("\nThat was the last step: lanyard learn check\n");
        };
        let gap = if number > 0 { "\n" } else { "" };
        print(&format!("{gap}{}", show::step(&self.exercise, number, step, self.style)))?;
        let answers = self.ask(step, answers)?;
        let began = self.live.settle()?;
        self.session.steps.push(Opened { began, answers, ..Opened::default() });
        self.session.hints = 0;
        self.session.save()?;
        let step = &self.exercise.steps[number];
        if step.by_hand.is_empty() { self.run_and_reveal(number) } else { print(&show::by_hand(&step.by_hand)) }
    }

    /// Its checks are made now: the next step will change what they look at.
    fn close_open_step(&mut self) -> Result<(), Failure> {
        let Some(open) = self.session.steps.len().checked_sub(1) else { return Ok(()) };
        if self.session.steps[open].checked.is_some() || self.exercise.steps.len() == open + 1 {
            return Ok(());
        }
        let log = self.log()?;
        let checked = self.checked(&self.exercise.steps[open].checks, Some(open), &log);
        let last = self.live.settle()?;
        let own = self.own_frames(&log, &self.exercise.steps[open].checks, last);
        self.session.own.extend(own);
        let opened = &mut self.session.steps[open];
        (opened.checked, opened.ended) = (Some(checked), Some(last));
        self.session.save()
    }

    /// The frames that checks by commands made.
    fn own_frames(&self, log: &Log, checks: &[Check], last: u64) -> Option<(u64, u64)> {
        let before = log.last(self.session.began);
        (checks.iter().any(Check::runs_a_command) && last > before).then_some((before, last))
    }

    /// The student's answers: those of the command line, or asked for on the terminal.
    fn ask(&self, step: &Step, given: &[String]) -> Result<Vec<String>, Failure> {
        let seen = Seen { plan: &self.exercise.plan, records: &[], missed: 0, outcomes: &[], tables: &self.live };
        let asked = step.predicts.len();
        if given.len() > asked {
            let why = format!("{} given, but this step asks {asked}", plural(given.len() as u64, "answer"));
            return Err(Failure::Words(why));
        }
        if asked > 0 {
            print("\n")?;
        }
        let mut answers = Vec::new();
        let mut missing = 0;
        for (number, predict) in step.predicts.iter().enumerate() {
            print(&show::question(number, predict))?;
            match given.get(number) {
                Some(answer) => {
                    let fault = |why| Failure::Words(format!("--answer '{answer}' to question {}: {why}", number + 1));
                    predict.parse(answer, &seen).map_err(fault)?;
                    print(&format!("    > {answer}\n"))?;
                    answers.push(answer.clone());
                }
                None if io::stdin().is_terminal() => answers.push(asked_for(predict, &seen)?),
                None => missing += 1,
            }
        }
        if missing > 0 {
            let each = plural(asked as u64, "question");
            return Err(Failure::Work(format!(
                "not yet: {each} first: answer on a terminal, or with --answer, once for each"
            )));
        }
        Ok(answers)
    }

    fn run_and_reveal(&mut self, open: usize) -> Result<(), Failure> {
        let step = &self.exercise.steps[open];
        let mut outcomes = Vec::new();
        if !step.run.is_empty() {
            print("\n")?;
        }
        for line in &step.run {
            print(&format!("$ {}\n", line.text))?;
            let outcome = self.live.run(line).map_err(Failure::Work)?;
            if step.output || outcome.exit.is_none() {
                print(&show::output(&outcome.output))?;
            }
            outcomes.push(outcome);
        }
        self.session.steps[open].outcomes = outcomes;
        let log = self.log()?;
        self.reveal(open, &log)
    }

    /// The frames, the answers, and what to notice.
    fn reveal(&mut self, open: usize, log: &Log) -> Result<(), Failure> {
        let graded = self.graded(open, log);
        let (step, opened) = (&self.exercise.steps[open], &self.session.steps[open]);
        let (records, missed) = log.window(opened.began, opened.ended);
        let frames = show::frames(step, records, missed, self.style);
        let results = show::graded(&graded, &step.predicts, self.style);
        let then = wrapped(&step.then);
        let gap = |text: &str| if text.is_empty() { "" } else { "\n" };
        print(&format!("\n{frames}{}{results}{}{then}", gap(&results), gap(&then)))?;
        self.session.steps[open].graded = Some(graded);
        self.session.save()
    }

    fn graded(&self, open: usize, log: &Log) -> Vec<Item> {
        let opened = &self.session.steps[open];
        let seen = self.seen(log, opened);
        let predicts = self.exercise.steps[open].predicts.iter().enumerate();
        predicts.map(|(index, predict)| grade(predict, opened.answers.get(index), open, &seen)).collect()
    }

    fn checked(&self, checks: &[Check], open: Option<usize>, log: &Log) -> Vec<Item> {
        let whole = Opened { began: self.session.began, ..Opened::default() };
        let opened = open.and_then(|open| self.session.steps.get(open)).unwrap_or(&whole);
        let seen = self.seen(log, opened);
        let look = |check: &Check| {
            let found = check.look(&seen);
            check_item(check, open, found.ok, found.why)
        };
        checks.iter().map(look).collect()
    }

    /// Every item of the exercise, as things stand.
    fn items(&mut self) -> Result<Vec<Item>, Failure> {
        let log = self.log()?;
        let mut items = Vec::new();
        let mut looked_at = Vec::new();
        for (number, step) in self.exercise.steps.iter().enumerate() {
            let opened = self.session.steps.get(number);
            let not_yet = format!("step {} is not {} yet", number + 1, if opened.is_some() { "done" } else { "open" });
            match opened.and_then(|opened| opened.graded.clone()) {
                Some(graded) => items.extend(graded),
                None => items.extend(step.predicts.iter().map(|p| predict_item(p, number, false, not_yet.clone()))),
            }
            match opened.map(|opened| (opened.checked.clone(), opened.graded.is_some())) {
                Some((Some(checked), _)) => items.extend(checked),
                Some((None, true)) => {
                    items.extend(self.checked(&step.checks, Some(number), &log));
                    looked_at.extend(&step.checks);
                }
                _ => items.extend(step.checks.iter().map(|c| check_item(c, Some(number), false, not_yet.clone()))),
            }
        }
        let over = self.session.steps.len() == self.exercise.steps.len() && self.waiting().is_none();
        if over {
            items.extend(self.checked(&self.exercise.checks, None, &log));
            looked_at.extend(&self.exercise.checks);
        } else {
            let why = "not every step is done yet".to_owned();
            items.extend(self.exercise.checks.iter().map(|c| check_item(c, None, false, why.clone())));
        }
        if looked_at.iter().any(|check| check.runs_a_command()) {
            let before = log.last(self.session.began);
            let last = self.live.settle()?;
            self.session.own.push((before, last));
            self.session.save()?;
        }
        Ok(items)
    }
}

fn predict_item(predict: &Predict, step: usize, ok: bool, why: String) -> Item {
    let (id, kind, say) = (predict.id.clone(), "predict".to_owned(), predict.ask.clone());
    let points = if ok { predict.points } else { 0 };
    Item { id, kind, step: Some(step + 1), ok, points, of: predict.points, say, why }
}

fn check_item(check: &Check, step: Option<usize>, ok: bool, why: String) -> Item {
    let (id, kind, say) = (check.id.clone(), "check".to_owned(), check.say.clone());
    let points = if ok { check.points } else { 0 };
    Item { id, kind, step: step.map(|step| step + 1), ok, points, of: check.points, say, why }
}

/// Was the answer right?
fn grade(predict: &Predict, given: Option<&String>, step: usize, seen: &Seen<'_>) -> Item {
    let given = given.map(|text| predict.parse(text, seen));
    let (ok, why) = match (given, predict.truth(seen)) {
        (_, Err(why)) => (false, why),
        (Some(Ok(answer)), Ok(truth)) => {
            let ok = answer.fits(&truth.answer);
            let right = truth.answer.text(seen);
            let frame = truth.frame.map_or_else(String::new, |number| format!(" (frame #{number})"));
            (
                ok,
                if ok {
                    format!("{right}{frame}")
                } else {
                    format!("you said {}; it was {right}{frame}", answer.text(seen))
                },
            )
        }
        (_, Ok(truth)) => (false, format!("no answer was given; it was {}", truth.answer.text(seen))),
    };
    predict_item(predict, step, ok, why)
}

/// Ask until there is an answer.
fn asked_for(predict: &Predict, seen: &Seen<'_>) -> Result<String, Failure> {
    loop {
        print("    > ")?;
        let mut line = String::new();
        let count = io::stdin().lock().read_line(&mut line).map_err(|error| Failure::work("your answer", error))?;
        if count == 0 {
            print("\n")?;
            return Err(Failure::Work("not yet: no answer was given".to_owned()));
        }
        match predict.parse(&line, seen) {
            Ok(_) => return Ok(line.trim().to_owned()),
            Err(why) => print(&format!("    {why}\n"))?,
        }
    }
}
