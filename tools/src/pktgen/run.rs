//! How do frames leave when they are due, and who counts those that arrive? One thread sends, one for each receiving port
//! counts, the caller looks on.
//!
//! A frame carries the time when it was due, not when it left: what had to wait because the generator or the interface was
//! late counts as latency, as it would for whoever waits for it (no coordinated omission). A frame has arrived when the
//! receiver takes it up: the time includes the receiver's own waking up.
//!
//! Not done: time stamps of the kernel's or the card's.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use frame::Batch;
use frame::batch::BURST;
use load::rate::Rate;
use load::stream::Stream;
use load::tally::PortTally;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ports::Port;
use ports::port::Stop;

/// A sleep is over late by about so much: nearer than that to a frame's time the sender looks at the clock instead.
const SLEEP_SLACK: Duration = Duration::from_micros(100);
/// An interface without room is looked at again after this.
const NO_ROOM: Duration = Duration::from_micros(20);
/// How often a receiver looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// When sending is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// After so many frames.
    pub(super) frames: u64,
    /// After this time, whatever has been sent.
    pub(super) after: Duration,
}

/// What a run says while it goes on, and whether it is to go on.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    /// Nanoseconds by which the frame that was sent last was late.
    pub(super) late_ns: AtomicU64,
    /// Sending is over, by itself or because somebody asked for it.
    pub(super) stop: AtomicBool,
    /// Nobody waits for stragglers any more.
    pub(super) deaf: AtomicBool,
}

/// What was sent.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Sending {
    pub(super) frames: u64,
    pub(super) octets: u64,
    /// Frames that the kernel did not want: too long for the link, say.
    pub(super) refused: u64,
    /// From the start to the last frame.
    pub(super) took: Duration,
    /// Somebody asked for the end before it was there.
    pub(super) stopped: bool,
}

/// Send a stream's frames by `queue` as they are due, from `start` on.
///
/// # Errors
/// The interface is down or gone.
pub(super) fn send(
    queue: &mut dyn Port,
    stream: &mut Stream,
    (mark, rate): (u16, Rate),
    start: Instant,
    end: End,
    progress: &Progress,
) -> io::Result<Sending> {
    let mut batch = Batch::with_capacity(BURST);
    let picks: Vec<u16> = (0..BURST as u16).collect();
    let mut done = Sending::default();
    while done.frames + done.refused < end.frames && !progress.stop.load(Ordering::Relaxed) {
        let now = start.elapsed();
        if now >= end.after {
            break;
        }
        batch.clear();
        let left = end.frames - done.frames - done.refused;
        let due = fill(&mut batch, stream, mark, rate, now, left);
        if batch.is_empty() {
            wait_until(start, due.min(end.after));
            continue;
        }
        let lateness = (start.elapsed().as_nanos() as u64).saturating_sub(due.as_nanos() as u64);
        progress.late_ns.store(if rate == Rate::Max { 0 } else { lateness }, Ordering::Relaxed);
        send_all(queue, &batch, &picks[..batch.len()], &mut done, progress)?;
        done.took = start.elapsed();
        progress.sent.store(done.frames, Ordering::Relaxed);
    }
    done.stopped = progress.stop.load(Ordering::Relaxed);
    Ok(done)
}

/// Put the frames into the batch that are due by `now`; when the last of them was due, or the next one is where none is.
fn fill(batch: &mut Batch, stream: &mut Stream, mark: u16, rate: Rate, now: Duration, left: u64) -> Duration {
    let now_ns = now.as_nanos() as u64;
    let mut last = now_ns;
    for _ in 0..left.min(BURST as u64) {
        let sent = stream.sent();
        let due = rate.due_ns(sent.all(), sent.wire_octets).unwrap_or(now_ns);
        if due > now_ns {
            return Duration::from_nanos(if batch.is_empty() { due } else { last });
        }
        let Some(frame) = batch.push() else { break };
        stream.write(frame, mark, due);
        last = due;
    }
    Duration::from_nanos(last)
}

fn wait_until(start: Instant, due: Duration) {
    let left = due.saturating_sub(start.elapsed());
    if left > SLEEP_SLACK {
        thread::sleep(left.saturating_sub(SLEEP_SLACK));
    }
    while start.elapsed() < due {
        std::hint::spin_loop();
    }
}

/// Send the picked frames, waiting where there is no room.
fn send_all(
    queue: &mut dyn Port,
    batch: &Batch,
    mut picks: &[u16],
    done: &mut Sending,
    progress: &Progress,
) -> io::Result<()> {
    while !picks.is_empty() && !progress.stop.load(Ordering::Relaxed) {
        let sent = queue.send(batch, picks)?;
        let (taken, rest) = picks.split_at(sent.taken.min(picks.len()));
        done.frames += taken.len() as u64;
        done.octets += taken.iter().map(|index| batch[*index as usize].len() as u64).sum::<u64>();
        picks = match sent.stopped {
            Some(Stop::Refused) => {
                done.refused += 1;
                rest.get(1..).unwrap_or_default()
            }
            Some(Stop::Full) => {
                thread::sleep(NO_ROOM);
                rest
            }
            None => rest,
        };
    }
    Ok(())
}

/// Count what arrives by `queue` until nobody waits for more.
///
/// # Errors
/// The interface is down or gone.
pub(super) fn receive(
    queue: &mut dyn Port,
    tally: &mut PortTally,
    start: Instant,
    progress: &Progress,
) -> io::Result<()> {
    let mut batch = Batch::with_capacity(BURST);
    loop {
        batch.clear();
        queue.recv(&mut batch)?;
        let arrived = start.elapsed().as_nanos() as u64;
        for frame in &batch {
            tally.take(frame.octets(), arrived);
        }
        if batch.is_empty() {
            if progress.deaf.load(Ordering::Relaxed) {
                return Ok(());
            }
            if let Some(fd) = queue.fd() {
                wait_for(fd)?;
            }
        } else {
            progress.received.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
    }
}

fn wait_for(fd: BorrowedFd<'_>) -> io::Result<()> {
    let timeout = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
    match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
