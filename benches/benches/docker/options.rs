//! What can be asked of it? The command line.

use std::path::PathBuf;

use clap::Parser;

use super::sections::Section;

const EXAMPLES: &str = "\
Examples:
  cargo bench -p lanyard-benches --bench docker -- --quick
  cargo bench -p lanyard-benches --bench docker -- --only start,traffic --json docker.json";

/// What do containers cost on the switch, and what on a bridge of Docker's?
///
/// Needs root, Docker Engine (Debian's docker.io) and busybox-static. Runs a dockerd and a switch of its own in
/// namespaces of their own, and leaves nothing behind. All of it takes about half an hour.
#[derive(Parser)]
#[command(name = "docker", after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Measure these only
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Section>,
    /// About a tenth of everything: to see that it works
    #[arg(long)]
    pub(crate) quick: bool,
    /// Rounds of the section `rounds`: containers that start and end
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: Option<u32>,
    /// Write what was measured into this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Measure this program; without it `lanyard` is built by cargo
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) lanyard: Option<PathBuf>,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// The chosen ones, in the order of the report; all, if none is.
    pub(crate) fn sections(&self) -> Vec<Section> {
        Section::ALL.into_iter().filter(|section| self.only.is_empty() || self.only.contains(section)).collect()
    }

    /// So many, or about a tenth.
    pub(crate) fn some(&self, all: u32) -> u32 {
        if self.quick { (all / 10).max(2) } else { all }
    }

    /// Rounds of the section of that name.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or_else(|| self.some(500))
    }
}
