//! How do the tests run the program, and judge how it ended?

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program, with a socket and an environment of its own.
pub(crate) fn lanyard(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanyard"));
    command.env_clear().env("LANYARD_SOCKET", socket).stdin(Stdio::null());
    command
}

/// Run it to its end.
pub(crate) fn run(socket: &Path, words: &[&str]) -> Output {
    lanyard(socket).args(words).output().expect("the program starts")
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// It said nothing but one line of error, and this was its exit code.
pub(crate) fn assert_refused(output: &Output, code: i32, pieces: &[&str]) {
    let text = err(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(out(output), "", "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("lanyard: "), "{text}");
    for piece in pieces {
        assert!(text.contains(piece), "'{piece}' is missing: {text}");
    }
}

/// It did what it was told.
pub(crate) fn assert_done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", err(output));
    assert_eq!(err(output), "");
    out(output)
}
