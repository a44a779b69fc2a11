//! How much passes? Streams and datagrams by iperf3, and the CPU time that each 10^9 octets of payload that arrive
//! cost: the switch's own threads, and the whole machine, which has the senders, the receivers and the kernel's
//! interrupts in it.

use std::io;
use std::time::Duration;

use lanyard_benches::machine::busy;
use lanyard_benches::reports;

use super::super::figure::Figure;
use super::Yield;
use arena::program::PATIENCE;
use arena::subjects::World;

/// Octets of a datagram.
const DATAGRAM: &str = "1400";
/// iperf3's own.
const PORT: u16 = 5201;

/// So many streams.
///
/// # Errors
/// What iperf3 said.
pub(super) fn tcp(world: &World, seconds: u32, streams: u8) -> io::Result<Yield> {
    let figures = match streams {
        1 => [Figure::Tcp1, Figure::Tcp1SwitchCpu, Figure::Tcp1MachineCpu],
        _ => [Figure::Tcp4, Figure::Tcp4SwitchCpu, Figure::Tcp4MachineCpu],
    };
    iperf3(world, seconds, &["-P", &streams.to_string()], figures)
}

/// Datagrams of one sender, as fast as it can.
///
/// # Errors
/// What iperf3 said.
pub(super) fn udp(world: &World, seconds: u32) -> io::Result<Yield> {
    let figures = [Figure::Udp, Figure::UdpSwitchCpu, Figure::UdpMachineCpu];
    iperf3(world, seconds, &["-u", "-b", "0", "-l", DATAGRAM], figures)
}

/// The rate and the CPU time of the switch and of all, for `figures` in this order.
fn iperf3(world: &World, seconds: u32, words: &[&str], figures: [Figure; 3]) -> io::Result<Yield> {
    let [near, far, ..] = &world.ends[..] else { return Err(io::ErrorKind::NotFound.into()) };
    let _server = far.program(&["iperf3", "-s", "-1", "-i", "0"]).start()?;
    far.wait_for_listener(PORT)?;
    let (time, address) = (seconds.to_string(), far.ip.to_string());
    let client = ["iperf3", "-J", "-i", "0", "--connect-timeout", "3000", "-t", &time, "-c", &address];
    let client: Vec<&str> = client.into_iter().chain(words.iter().copied()).collect();
    let (switch, all) = (world.joint.cpu_time()?, busy()?);
    // It tells its faults in JSON, and fails as well.
    let mut client = near.program(&client).start()?;
    client.wait(PATIENCE + Duration::from_secs(u64::from(seconds)))?;
    let (switch_after, all_after) = (world.joint.cpu_time()?, busy()?);
    let passed = reports::iperf3(&client.said()).map_err(io::Error::other)?;
    let per_gb = |spent: Duration| spent.as_secs_f64() / (passed.octets / 1e9);
    let [rate, switch_cpu, all_cpu] = figures;
    let mut found = vec![(rate, passed.gigabits), (all_cpu, per_gb(all_after.saturating_sub(all)))];
    if let (Some(before), Some(after)) = (switch, switch_after) {
        found.push((switch_cpu, per_gb(after.saturating_sub(before))));
    }
    found.extend(passed.lost.map(|lost| (Figure::UdpLost, lost)));
    Ok(found)
}
