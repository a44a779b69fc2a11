//! What can be asked of it? The command line.

use std::path::PathBuf;

use clap::Parser;

use arena::subjects::{self, Subject};

const EXAMPLES: &str = "\
Examples:
  cargo bench -p lanyard-benches --bench versus -- --quick
  cargo bench -p lanyard-benches --bench versus -- --only bridge,lanyard-tap,vde --rounds 3
  cargo bench -p lanyard-benches --bench versus -- --out versus.out --markdown";

/// How does Lanyard compare with the Linux bridge, Open vSwitch and VDE?
///
/// Needs root. Stays in network namespaces of its own, and leaves nothing behind. Runs for about 20 s for each subject
/// in each round.
#[derive(Parser)]
#[command(name = "versus", after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools, reason = "a command line has switches")]
pub(crate) struct Options {
    /// Rounds; every subject is measured once in each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Measure these only, by name or by its beginning (`lanyard`, `ovs`); without the bridge there are no ratios
    #[arg(long, value_delimiter = ',', value_parser = named)]
    only: Vec<Group>,
    /// One round of one second each: to see that everything works
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Write `versus.json` and pictures (SVG) into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a table in Markdown
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one name stands for.
#[derive(Clone)]
struct Group(Vec<&'static Subject>);

fn named(name: &str) -> Result<Group, String> {
    subjects::named(name).map(Group)
}

impl Options {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    pub(crate) fn seconds(&self) -> u32 {
        if self.quick { 1 } else { self.seconds }
    }

    /// The chosen ones, each once, in the order of the tables; all, if none is.
    pub(crate) fn subjects(&self) -> Vec<&'static Subject> {
        let chosen =
            |subject: &Subject| self.only.iter().any(|group| group.0.iter().any(|one| one.name == subject.name));
        subjects::ALL.iter().filter(|subject| self.only.is_empty() || chosen(subject)).collect()
    }
}
