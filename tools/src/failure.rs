//! How does a command end when it does not end well, and what is its exit code?
//!
//! 0 done, 1 the work failed, 2 the words were wrong. Every failure is one line on standard error that names the thing
//! and the mend; a wrong filter is shown below it, with a mark under the word.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use trace::FilterError;

/// Why a command did not do what it was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line, or a value in it, cannot be meant. Exit code 2.
    Words(String),
    /// A filter that is none: one line, the filter, and what points at the word. Exit code 2.
    Filter(FilterError),
    /// It was understood, but could not be done. Exit code 1.
    Work(String),
    /// Whoever read the output had enough (`lanyard show mac | head -1`). Not an error: silent, exit code 0.
    ReaderGone,
}

impl Failure {
    /// Work that failed, with what the system said.
    pub(crate) fn work(what: impl fmt::Display, source: impl fmt::Display) -> Self {
        Self::Work(format!("{what}: {source}"))
    }

    /// Say it on standard error and turn it into the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Self::Words(text) => (text, 2),
            Self::Work(text) => (text, 1),
            Self::Filter(error) => {
                let _ = writeln!(io::stderr(), "lanyard: {}\n{}", one_line(&error.to_string()), error.pointed());
                return ExitCode::from(2);
            }
            Self::ReaderGone => return ExitCode::SUCCESS,
        };
        // With standard error closed there is nobody left to tell; the exit code still does.
        let _ = writeln!(io::stderr(), "lanyard: {}", one_line(text));
        ExitCode::from(code)
    }
}

/// The text with its control characters made visible: a path or a name must not move the reader's cursor.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// Write to standard output at once.
///
/// # Errors
/// [`Failure::ReaderGone`] when the reading end of the pipe is closed, [`Failure::Work`] for any other refusal (a full
/// disk, say).
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::work("writing to standard output", error),
    })
}

/// May this stream be written to in colours? On a terminal only, and not with `NO_COLOR` (no-color.org: set, and not
/// empty).
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("no network 'a\nb\x1b[2J'"), "no network 'a\\nb\\u{1b}[2J'");
        assert_eq!(one_line("é stays"), "é stays");
    }
}
