//! What is measured? Each section has a world of its own, begins with two new networks where it compares, and yields a
//! table.

mod endpoints;
mod many;
mod rounds;
mod start;
mod traffic;

use std::io;

use clap::ValueEnum;
use lanyard_benches::table::Table;
use serde_json::Value;

use super::options::Options;
use super::steps::Steps;
use super::world::World;

/// What a section has found.
pub(crate) struct Found {
    pub(crate) table: Table,
    /// What else there is to say.
    pub(crate) lines: Vec<String>,
    pub(crate) json: Value,
}

/// A section.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Section {
    /// How long until a container runs, and until its network does
    Start,
    /// Two hundred containers at once
    Many,
    /// 1,200 endpoints on one network
    Endpoints,
    /// What five hundred containers leave behind
    Rounds,
    /// TCP between containers, and to the host
    Traffic,
}

impl Section {
    pub(crate) const ALL: [Self; 5] = [Self::Start, Self::Many, Self::Endpoints, Self::Rounds, Self::Traffic];

    /// As it is called on the command line and in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Many => "many",
            Self::Endpoints => "endpoints",
            Self::Rounds => "rounds",
            Self::Traffic => "traffic",
        }
    }

    /// The programs that it needs besides those of every world.
    pub(crate) const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Traffic => &["iperf3", "sockperf"],
            _ => &[],
        }
    }

    /// How many steps it has.
    pub(crate) fn steps(self, options: &Options) -> usize {
        match self {
            Self::Start => start::steps(options),
            Self::Many => many::STEPS,
            Self::Endpoints => endpoints::STEPS,
            Self::Rounds => rounds::steps(options),
            Self::Traffic => traffic::steps(options),
        }
    }

    /// Measure it.
    ///
    /// # Errors
    /// What failed, in its own words.
    pub(crate) fn measure(self, world: &World, options: &Options, steps: &mut Steps) -> io::Result<Found> {
        match self {
            Self::Start => start::measure(world, options, steps),
            Self::Many => many::measure(world, options, steps),
            Self::Endpoints => endpoints::measure(world, options, steps),
            Self::Rounds => rounds::measure(world, options, steps),
            Self::Traffic => traffic::measure(world, options, steps),
        }
    }
}
