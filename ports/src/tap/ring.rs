//! How do many frames pass a TAP in one system call? By `io_uring` (`io_uring(7)`, Linux 5.13 or newer): a burst of reads, or
//! of writes, is put into a ring that the kernel shares, and one `io_uring_enter(2)` carries it all out.
//!
//! Nothing is ever left in flight: every request says `RWF_NOWAIT`, so the kernel completes it while it takes it up, in the
//! order of the ring, and this module returns only when all are answered. (A non-blocking descriptor is not enough: a read
//! that finds nothing would wait in the kernel. A TAP that cannot `RWF_NOWAIT` says EOPNOTSUPP, and is used without a
//! ring.) What it gains, and what other ways
//! of using `io_uring` gave, stands in the head of the benchmark `versus`.
//!
//! How many reads to ask for is a guess, as each that finds nothing costs something: one more than the last burst brought,
//! and twice as many after a burst in which none came back empty.
//!
//! Not done: registered buffers, which would pin all buffers of a worker for each TAP; a registered descriptor, which would
//! keep the device for a while after the queue is closed, as the kernel takes its time to end a ring; multishot reads, which bring one
//! frame as well but copy small ones into memory of the ring's own.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use frame::batch::BURST;
use frame::{Batch, Frame};
use io_uring::{IoUring, opcode, squeue, types};

use crate::losses::{Losses, SendFault};
use crate::port::Stop;

/// Why the ring did not do it.
#[derive(Debug)]
pub(super) enum RingFault {
    /// It must be dropped, and the frames be read or written without it: none is in flight.
    Unusable,
    /// The port's health.
    Health(io::Error),
}

/// Calls that may fail one after the other before the ring is given up: more than signals would explain.
const FAULTS: u32 = 1000;

/// The ring of one queue, with room for a burst. The kernel keeps about 8 KiB for it.
pub(super) struct Ring {
    uring: IoUring,
    queue: types::Fd,
    /// What became of each request of the last burst: octets, or a negative error number.
    results: [i32; BURST],
    /// Reads to ask for next.
    guess: usize,
    /// Octets of the frames that came last, in the mean.
    size: usize,
    /// Calls that have failed one after the other.
    faults: u32,
}

impl Ring {
    /// A ring for the queue `file`, which must outlive it.
    ///
    /// # Errors
    /// The kernel has no `io_uring`, is too old, or may not give one to this process.
    pub(super) fn new(file: impl AsFd) -> io::Result<Self> {
        let uring = IoUring::new(BURST as u32)?;
        Ok(Self {
            uring,
            queue: types::Fd(file.as_fd().as_raw_fd()),
            results: [0; BURST],
            guess: 2,
            size: 1,
            faults: 0,
        })
    }

    /// Append frames to `batch` until it is full or nothing is ready.
    ///
    /// # Errors
    /// [`RingFault`].
    pub(super) fn receive(&mut self, batch: &mut Batch, losses: &Losses) -> Result<usize, RingFault> {
        let before = batch.len();
        while !batch.is_full() {
            // As many of the size that came last as are wanted.
            let wanted = (batch.octets_wanted() / self.size).saturating_add(1);
            let spare = batch.spare();
            let asked = self.guess.min(wanted).min(spare.len());
            self.read(&mut spare[..asked])?;
            let (kept, answer) = keep(&mut spare[..asked], &self.results, losses);
            let octets: usize = spare[..kept].iter().map(Frame::len).sum();
            self.size = octets.checked_div(kept).unwrap_or(self.size).max(1);
            batch.commit(kept);
            let empty = matches!(answer, Answer::Empty);
            self.guess = if empty { kept + 2 } else { asked * 2 }.clamp(2, BURST);
            match answer {
                Answer::Frames => {}
                Answer::Empty => break,
                Answer::Fault(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    return Err(RingFault::Unusable);
                }
                Answer::Fault(error) => return Err(RingFault::Health(error)),
            }
        }
        Ok(batch.len() - before)
    }

    /// Write the picked frames, one request each; `lost` hears of those that were not taken, by their place, and `done`
    /// counts those that are dealt with.
    ///
    /// # Errors
    /// [`RingFault`]. With the port's health, `lost` has heard of every frame that was not taken.
    pub(super) fn send(
        &mut self,
        batch: &Batch,
        picks: &[u16],
        losses: &Losses,
        lost: &mut dyn FnMut(usize, Stop),
        done: &mut usize,
    ) -> Result<(), RingFault> {
        for chunk in picks.chunks(BURST) {
            self.write(batch, chunk)?;
            let mut health = Ok(());
            for (place, result) in self.results[..chunk.len()].iter().enumerate().filter(|(_, result)| **result < 0) {
                let stop = match SendFault::from_error(io::Error::from_raw_os_error(-result)) {
                    SendFault::Refused => {
                        losses.count_refused();
                        Stop::Refused
                    }
                    SendFault::Full | SendFault::Interrupted => Stop::Full,
                    SendFault::Health(error) => {
                        health = Err(RingFault::Health(error));
                        Stop::Full
                    }
                };
                lost(*done + place, stop);
            }
            *done += chunk.len();
            if health.is_err() {
                (*done..picks.len()).for_each(|place| lost(place, Stop::Full));
                return health;
            }
        }
        Ok(())
    }

    fn read(&mut self, frames: &mut [Frame]) -> Result<(), RingFault> {
        for (place, frame) in frames.iter_mut().enumerate() {
            let area = frame.receive_area_with_header();
            let request = opcode::Read::new(self.queue, area.as_mut_ptr(), area.len() as u32);
            let request = request.rw_flags(libc::RWF_NOWAIT).build().user_data(place as u64);
            // SAFETY: the request names a part of a buffer that `frames` borrows mutably until `finish` below has seen
            // its completion. Where `finish` has not, it is not submitted, and the caller drops the ring.
            unsafe { self.push(&request)? };
        }
        self.finish(frames.len())
    }

    fn write(&mut self, batch: &Batch, picks: &[u16]) -> Result<(), RingFault> {
        for (place, &pick) in picks.iter().enumerate() {
            let piece = batch[pick as usize].with_header();
            let request = opcode::Write::new(self.queue, piece.as_ptr(), piece.len() as u32);
            let request = request.rw_flags(libc::RWF_NOWAIT).build().user_data(place as u64);
            // SAFETY: as in `read`, with a buffer that `batch` borrows; the kernel only reads it.
            unsafe { self.push(&request)? };
        }
        self.finish(picks.len())
    }

    /// Put a request into the ring.
    ///
    /// # Safety
    /// What the request names must live until [`Ring::finish`] has returned well, or the ring is dropped.
    unsafe fn push(&mut self, request: &squeue::Entry) -> Result<(), RingFault> {
        // SAFETY: as the caller promises.
        unsafe { self.uring.submission().push(request) }.map_err(|_| RingFault::Unusable)
    }

    /// Have the kernel carry out what is in the ring, and return when all `count` requests are answered.
    fn finish(&mut self, count: usize) -> Result<(), RingFault> {
        let mut answered = 0;
        while answered < count {
            if self.uring.submit_and_wait(count - answered).is_err() {
                // An interruption, or memory that is short, passes: what was taken up is waited for, and the rest offered
                // again. With nothing taken up, the ring may be given up instead.
                self.faults += 1;
                let in_flight = (count - answered).saturating_sub(self.uring.submission().len());
                if self.faults > FAULTS && in_flight == 0 && self.uring.completion().is_empty() {
                    return Err(RingFault::Unusable);
                }
            } else {
                self.faults = 0;
            }
            for completion in self.uring.completion() {
                if let Some(result) = self.results.get_mut(completion.user_data() as usize) {
                    *result = completion.result();
                }
                answered += 1;
            }
        }
        Ok(())
    }
}

/// How a burst of reads ended.
enum Answer {
    /// Each brought a frame: there may be more.
    Frames,
    /// One found nothing.
    Empty,
    /// The port's health.
    Fault(io::Error),
}

/// Move the frames that came to the front of `frames`, in their order; how many there are.
fn keep(frames: &mut [Frame], results: &[i32], losses: &Losses) -> (usize, Answer) {
    let (mut kept, mut answer) = (0, Answer::Frames);
    for place in 0..frames.len() {
        match usize::try_from(results[place]) {
            // read(2) cuts silently, so a full buffer may be less than the frame.
            Ok(octets) if octets >= frames[place].receive_area_with_header().len() => losses.count_truncated(),
            Ok(octets) => {
                frames.swap(kept, place);
                frames[kept].received_with_header(octets);
                kept += 1;
            }
            Err(_) => match -results[place] {
                libc::EAGAIN | libc::EINTR => answer = Answer::Empty,
                errno => return (kept, Answer::Fault(io::Error::from_raw_os_error(errno))),
            },
        }
    }
    (kept, answer)
}
