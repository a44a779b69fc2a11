//! How long does an answer take? sockperf sends 64 octets over TCP, waits for them to come back, and sends the next:
//! whole round trips (`--full-rtt`; without it sockperf would tell half of each). Both ends block in the kernel for
//! them.

use std::io;
use std::time::Duration;

use lanyard_benches::reports;

use super::super::figure::Figure;
use super::Yield;
use arena::program::PATIENCE;
use arena::subjects::World;

/// sockperf's own.
const PORT: u16 = 11_111;
/// Octets of a request and of its answer.
const MESSAGE: &str = "64";

/// The time that half of the round trips do not exceed, and that ninety-nine of a hundred do not, microseconds.
///
/// # Errors
/// What sockperf said.
pub(super) fn round_trips(world: &World, seconds: u32) -> io::Result<Yield> {
    let [near, far, ..] = &world.ends[..] else { return Err(io::ErrorKind::NotFound.into()) };
    let address = far.ip.to_string();
    let _server = far.program(&["sockperf", "server", "--tcp", "-i", &address]).start()?;
    far.wait_for_listener(PORT)?;
    // sockperf leaves the first 400 and the last 50 ms out.
    let time = (seconds + 1).to_string();
    let client = ["sockperf", "ping-pong", "--tcp", "--full-rtt", "-i", &address, "-m", MESSAGE, "-t", &time];
    let mut client = near.program(&client).start()?;
    client.wait(PATIENCE + Duration::from_secs(u64::from(seconds)))?;
    let trips = reports::sockperf(&client.said()).map_err(io::Error::other)?;
    Ok(vec![(Figure::RoundTripP50, trips.p50), (Figure::RoundTripP99, trips.p99)])
}
