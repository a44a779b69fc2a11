//! How many small frames pass? trafgen sends frames of 60 octets (64 with the FCS) as fast as one thread can, past the
//! sender's queueing discipline; they are counted by the receiver's interface.
//!
//! They are IPv4 with UDP, so that a packet filter sees them as it sees anybody's, and go to a socket that nobody
//! reads, which spares the receiver's kernel an answer. What was offered is what the sender's interface took or
//! dropped.

use std::fmt::Write as _;
use std::io;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use lanyard_benches::packet::{End, smallest_udp};

use super::super::figure::Figure;
use super::Yield;
use arena::place::{Container, ETH};
use arena::program::Program;
use arena::subjects::World;

/// RFC 863: discard.
const PORT: u16 = 9;
/// trafgen takes so long to begin.
const BEGINNING: Duration = Duration::from_millis(400);

/// Frames received, and offered, 1,000 a second.
///
/// # Errors
/// What trafgen said; nothing arrived.
pub(super) fn small(world: &World, seconds: u32) -> io::Result<Yield> {
    let [near, far, ..] = &world.ends[..] else { return Err(io::ErrorKind::NotFound.into()) };
    let _unread = far.inside(|| UdpSocket::bind((far.ip, PORT)))?;
    let frame = packet(near, far)?;
    let words = ["trafgen", "--cpus", "1", "--no-cpu-stats", "--no-sock-mem", "--notouch-irq", "--out", ETH, &frame];
    let mut sender = Program::in_network_with_children(&near.path(), &words).start()?;
    thread::sleep(BEGINNING);
    let (before, start) = ((near.counted()?, far.counted()?), Instant::now());
    thread::sleep(Duration::from_secs(u64::from(seconds)));
    let (after, time) = ((near.counted()?, far.counted()?), start.elapsed().as_secs_f64());
    sender.still_runs()?;
    let rate = |before: u64, after: u64| {
        let frames = u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX);
        f64::from(frames) / time / 1000.0
    };
    let received = rate(before.1.received, after.1.received);
    if received < 0.1 {
        return Err(io::Error::other("none of trafgen's frames arrives"));
    }
    Ok(vec![(Figure::Frames, received), (Figure::FramesSent, rate(before.0.offered, after.0.offered))])
}

/// The frame, in trafgen's words: octets, one after the other (trafgen(8)).
fn packet(near: &Container, far: &Container) -> io::Result<String> {
    let mut words = String::from("{ ");
    for octet in smallest_udp(end(near)?, end(far)?, PORT) {
        // Nothing fails to be written into a string.
        let _ = write!(words, "0x{octet:02x}, ");
    }
    Ok(words.trim_end_matches([',', ' ']).to_owned() + " }")
}

fn end(container: &Container) -> io::Result<End> {
    let mac = container.eth()?.mac.ok_or_else(|| io::Error::other("eth0 has no MAC address"))?;
    Ok(End { mac, ip: container.ip })
}
