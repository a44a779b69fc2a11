//! `lanyard run`: the daemon, in the foreground.
use std::path::PathBuf;
use crate::cli::RunArgs;
use crate::failure::Failure;
pub(crate) fn run(_s: PathBuf, a: RunArgs) -> Result<(), Failure> {
    Err(Failure::Work(format!("{a:?}")))
}
