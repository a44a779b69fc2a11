//! How do frames leave? Queued per port while the burst is decided, then written in one go per port, from the buffers
//! they came in.
//!
//! A flood queues the same frame at several ports; its octets are never copied. Only a port that takes no virtio-net
//! header (wire mode) makes the switch finish a checksum or cut a super-frame, into a scratch batch, for that port alone.
//! What a port has no room for is dropped there, newest first, and counted; no port waits for another.

use std::io;
use std::sync::Arc;

use frame::offload::checksum;
use frame::offload::segment::Segments;
use frame::{Batch, DropReason, Frame, PortId, Step};
use ports::Port;

use super::counters::{PerWorker, PortCount};
use super::tables::Snapshot;
use super::tracer::Tracing;

/// Which batch a queued frame lies in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    /// The burst that was read.
    Burst,
    /// Frames that the switch made itself: answers, requests, held frames let go.
    Made,
}

/// One port's queue, as one worker has it.
pub(super) struct Slot {
    pub(super) queue: Box<dyn Port>,
    pub(super) counts: Arc<PerWorker<PortCount>>,
    burst: Vec<u16>,
    made: Vec<u16>,
}

impl Slot {
    pub(super) fn new(queue: Box<dyn Port>, counts: Arc<PerWorker<PortCount>>) -> Self {
        Self { queue, counts, burst: Vec::new(), made: Vec::new() }
    }
}

/// The ports of one worker and what waits to be sent to them.
pub(super) struct Egress {
    worker: usize,
    slots: Vec<Option<Slot>>,
    touched: Vec<PortId>,
    scratch: Batch,
    /// Ports that failed while sending; the worker closes them.
    pub(super) failed: Vec<(PortId, io::Error)>,
}

/// Frames cut from super-frames that are written at a time.
const SCRATCH_FRAMES: usize = 48;

impl Egress {
    pub(super) fn new(worker: usize) -> Self {
        Self {
            worker,
            slots: Vec::new(),
            touched: Vec::new(),
            scratch: Batch::with_capacity(SCRATCH_FRAMES),
            failed: Vec::new(),
        }
    }

    pub(super) fn slot(&mut self, port: PortId) -> Option<&mut Slot> {
        self.slots.get_mut(port.index())?.as_mut()
    }

    pub(super) fn insert(&mut self, port: PortId, slot: Slot) {
        if self.slots.len() <= port.index() {
            self.slots.resize_with(port.index() + 1, || None);
        }
        self.slots[port.index()] = Some(slot);
    }

    pub(super) fn remove(&mut self, port: PortId) -> Option<Slot> {
        self.touched.retain(|touched| *touched != port);
        self.slots.get_mut(port.index())?.take()
    }

    pub(super) fn ports(&self) -> Vec<PortId> {
        let present = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some());
        present.map(|(index, _)| PortId(index as u16)).collect()
    }

    /// Queue frame `index` of `lane` at `port`.
    ///
    /// # Errors
    /// Why it cannot go there; the caller counts it.
    #[inline]
    pub(super) fn queue(&mut self, port: PortId, lane: Lane, index: u16) -> Result<(), DropReason> {
        let Some(slot) = self.slots.get_mut(port.index()).and_then(Option::as_mut) else {
            return Err(DropReason::EgressDown);
        };
        if slot.burst.is_empty() && slot.made.is_empty() {
            self.touched.push(port);
        }
        match lane {
            Lane::Burst => slot.burst.push(index),
            Lane::Made => slot.made.push(index),
        }
        Ok(())
    }

    /// Write everything that is queued.
    pub(super) fn flush(&mut self, burst: &Batch, made: &Batch, snapshot: &Snapshot, tracing: &mut Tracing) {
        let mut touched = std::mem::take(&mut self.touched);
        for port in touched.drain(..) {
            let Some(slot) = self.slots.get_mut(port.index()).and_then(Option::as_mut) else { continue };
            for (lane, batch) in [(Lane::Burst, burst), (Lane::Made, made)] {
                let mut picks = std::mem::take(if lane == Lane::Burst { &mut slot.burst } else { &mut slot.made });
                if picks.is_empty() {
                    continue;
                }
                let (taken, fault) = send(slot.queue.as_mut(), batch, &picks, &mut self.scratch);
                let reason = if fault.is_some() { DropReason::EgressDown } else { DropReason::EgressFull };
                account(slot, self.worker, batch, &picks, taken);
                if let Some(view) = snapshot.network_of(port)
                    && let Some(drops) = view.tables.drops.of(self.worker)
                {
                    drops.add(reason, (picks.len() - taken) as u64);
                }
                if tracing.is_on() {
                    for (place, index) in picks.iter().enumerate() {
                        let step = if place < taken { Step::Sent { port } } else { Step::NotSent { port, reason } };
                        tracing.add(lane, *index, step);
                    }
                }
                picks.clear();
                *(if lane == Lane::Burst { &mut slot.burst } else { &mut slot.made }) = picks;
                if let Some(error) = fault.filter(|error| error.kind() != io::ErrorKind::NetworkDown) {
                    self.failed.push((port, error));
                }
            }
        }
        self.touched = touched; // keeps its room
    }
}

/// Count what left and what could not.
fn account(slot: &Slot, worker: usize, batch: &Batch, picks: &[u16], taken: usize) {
    let Some(counts) = slot.counts.of(worker) else { return };
    let octets = picks[..taken].iter().map(|index| batch[*index as usize].len() as u64).sum();
    counts.tx_frames.add(taken as u64);
    counts.tx_octets.add(octets);
    counts.drops.add((picks.len() - taken) as u64);
}

/// Send the picked frames and say how many went, counted from the first, and whether the port failed.
fn send(queue: &mut dyn Port, batch: &Batch, picks: &[u16], scratch: &mut Batch) -> (usize, Option<io::Error>) {
    let finished = |index: &u16| batch[*index as usize].offload().is_finished();
    if queue.takes_offload() || picks.iter().all(finished) {
        return match queue.send(batch, picks) {
            Ok(taken) => (taken.min(picks.len()), None),
            Err(error) => (0, Some(error)),
        };
    }
    let mut taken = 0;
    for run in picks.chunk_by(|a, b| finished(a) == finished(b)) {
        let result = if run.first().is_some_and(finished) {
            queue.send(batch, run)
        } else {
            send_unfinished(queue, batch, run, scratch)
        };
        match result {
            Ok(count) => taken += count.min(run.len()),
            Err(error) => return (taken, Some(error)),
        }
        if result_is_short(&result, run.len()) {
            break;
        }
    }
    (taken, None)
}

fn result_is_short(result: &io::Result<usize>, wanted: usize) -> bool {
    result.as_ref().is_ok_and(|count| *count < wanted)
}

/// Finish each frame of `run` for the wire and send it; a frame counts when all its pieces went.
fn send_unfinished(queue: &mut dyn Port, batch: &Batch, run: &[u16], scratch: &mut Batch) -> io::Result<usize> {
    for (done, index) in run.iter().enumerate() {
        if !send_in_pieces(queue, &batch[*index as usize], scratch)? {
            return Ok(done);
        }
    }
    Ok(run.len())
}

/// Whether all pieces of the frame went. A frame that does not fit its own header was refused when it came in.
fn send_in_pieces(queue: &mut dyn Port, frame: &Frame, scratch: &mut Batch) -> io::Result<bool> {
    scratch.clear();
    if !frame.offload().is_gso() {
        let finished = scratch.push().is_some_and(|out| checksum::finish_into(frame, out).is_ok());
        return if finished { flush_scratch(queue, scratch) } else { Ok(false) };
    }
    let Ok(mut segments) = Segments::new(frame) else { return Ok(false) };
    loop {
        let Some(out) = scratch.push() else {
            if !flush_scratch(queue, scratch)? {
                return Ok(false);
            }
            continue;
        };
        if !segments.next_into(out) {
            scratch.shrink(1);
            return flush_scratch(queue, scratch);
        }
    }
}

fn flush_scratch(queue: &mut dyn Port, scratch: &mut Batch) -> io::Result<bool> {
    let picks: [u16; SCRATCH_FRAMES] = std::array::from_fn(|index| index as u16);
    let count = scratch.len();
    let taken = if count == 0 { 0 } else { queue.send(scratch, &picks[..count])? };
    scratch.clear();
    Ok(taken == count)
}
