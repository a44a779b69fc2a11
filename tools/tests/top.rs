//! Does `lanyard top` say in one line what is in its way?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "not all of it is used here")]
mod program;

use program::{assert_refused, run};

#[test]
fn without_a_terminal_another_command_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_refused(&run(folder.path(), &["top"]), 2, &["terminal", "lanyard trace", "lanyard show ports --watch"]);
    let wrong = run(folder.path(), &["top", "arpp"]);
    assert!(wrong.status.code() == Some(2) && program::err(&wrong).ends_with("\narpp\n^^^^\n"));
    assert_refused(&run(folder.path(), &["top", "--network", ""]), 2, &["--network"]);
}
