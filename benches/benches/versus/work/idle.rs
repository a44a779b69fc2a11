//! What does it cost to do nothing? CPU time of the switch's own threads while nobody sends anything.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::super::figure::Figure;
use super::Yield;
use arena::subjects::World;

/// What the works before have left behind is over by then.
const SETTLE: Duration = Duration::from_millis(500);
/// Timers of a second must have their turn.
const LEAST: u32 = 2;

/// Percent of one core; nothing for what has no threads.
///
/// # Errors
/// What `/proc` does not tell.
pub(super) fn idle(world: &World, seconds: u32) -> io::Result<Yield> {
    let Some(_) = world.joint.cpu_time()? else { return Ok(Vec::new()) };
    thread::sleep(SETTLE);
    let (before, start) = (world.joint.cpu_time()?, Instant::now());
    thread::sleep(Duration::from_secs(u64::from(seconds.max(LEAST))));
    let (after, time) = (world.joint.cpu_time()?, start.elapsed());
    let spent = after.unwrap_or_default().saturating_sub(before.unwrap_or_default());
    Ok(vec![(Figure::IdleCpu, spent.as_secs_f64() / time.as_secs_f64() * 100.0)])
}
