//! What does a class ask of a switch? Lines that are bad on purpose, and a clock that leaps.

use serde::{Deserialize, Serialize};

pub use crate::engine::line::spec::{Direction, FaultKind};

/// How a port's line is to be bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// The port: `p3`, its endpoint's name, or `NETWORK/ENDPOINT`.
    pub port: String,
    /// What it does: `drop 10%`, `drop every 5` or `every 5`, `delay 50ms 10ms`, `dup 5%`, `reorder 5%`, `corrupt 1%`;
    /// the last three alone meet 1 % of the frames.
    pub fault: FaultKind,
    /// To frames of which direction.
    #[serde(default)]
    pub direction: Direction,
    /// Only to frames that this filter matches. Words about what was decided, and names, cannot be in it.
    #[serde(default)]
    pub filter: Option<String>,
    /// Milliseconds after which the line is good again, at most a day; ten minutes when absent.
    #[serde(default)]
    pub for_ms: Option<u64>,
    /// Where the dice begin; chosen when absent.
    #[serde(default)]
    pub seed: Option<u64>,
}

/// A fault as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRow {
    /// Its number.
    pub id: u32,
    /// The network's name.
    pub network: String,
    /// The port.
    pub port: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// What it does.
    pub fault: FaultKind,
    /// To frames of which direction.
    pub direction: Direction,
    /// Only to frames that this filter matches; empty for all.
    pub filter: String,
    /// Where the dice began.
    pub seed: u64,
    /// Milliseconds until the line is good again.
    pub left_ms: u64,
    /// Frames that could have met it.
    pub seen: u64,
    /// Frames that did.
    pub met: u64,
}

/// How far the MAC tables' clock is to leap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarpSpec {
    /// Milliseconds.
    pub ms: u64,
    /// On this network only.
    #[serde(default)]
    pub network: Option<String>,
}

/// How the MAC addresses that were learned on a network age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRow {
    /// The network's name.
    pub network: String,
    /// Milliseconds of silence after which an address is forgotten.
    pub ageing_ms: u64,
    /// How far `POST /v1/clock/warp` has moved the clock, milliseconds in all; a leap counts as the ageing time at most.
    pub warped_ms: u64,
}

/// What became of a network's MAC table when its clock leapt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarpRow {
    /// The network's name.
    pub network: String,
    /// Learned addresses that were forgotten for their age.
    pub aged_out: usize,
    /// Learned addresses that are left.
    pub left: usize,
}
