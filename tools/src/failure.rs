//! How does a command end when it does not end well, and what is its exit code?
//!
//! 0 done, 1 the work failed, 2 the words were wrong. Every failure is one line on standard error that names the thing
//! and the mend; a wrong filter is shown below it, with a mark under the word.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use trace::{FilterError, Style};

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
        let (pointed, code) = match self {
            Self::Words(_) => (String::new(), 2),
            Self::Filter(error) => (format!("\n{}", error.pointed()), 2),
            Self::Work(_) => (String::new(), 1),
            Self::ReaderGone => return ExitCode::SUCCESS,
        };
        // With standard error closed there is nobody left to tell; the exit code still does.
        let _ = writeln!(io::stderr(), "lanyard: {}{pointed}", one_line(&self.to_string()));
        ExitCode::from(code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(text) | Self::Work(text) => f.write_str(text),
            Self::Filter(error) => error.fmt(f),
            Self::ReaderGone => f.write_str("nobody reads"),
        }
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

/// How the switch's own words are put on standard output: in colours where [`colours`] allows them.
pub(crate) fn style() -> Style {
    if colours(&io::stdout()) { Style::Ansi } else { Style::Plain }
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
