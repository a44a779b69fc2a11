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
use ports::port::Stop;

use super::clock::Clock;
use super::counters::{DropCount, PerWorker, PortCount};
use super::line::held::OpenLine;
use super::tables::Snapshot;
use super::tracer::Tracing;

mod lines;

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
    /// Its line, if that is bad on purpose.
    pub(super) line: Option<Box<OpenLine>>,
    burst: Vec<u16>,
    made: Vec<u16>,
}

impl Slot {
    pub(super) fn new(queue: Box<dyn Port>, counts: Arc<PerWorker<PortCount>>) -> Self {
        Self { queue, counts, line: None, burst: Vec::new(), made: Vec::new() }
    }

    fn lane(&mut self, lane: Lane) -> &mut Vec<u16> {
        match lane {
            Lane::Burst => &mut self.burst,
            Lane::Made => &mut self.made,
        }
    }
}

/// The ports of one worker and what waits to be sent to them.
pub(super) struct Egress {
    worker: usize,
    clock: Clock,
    /// How many ports have a bad line.
    bad_lines: usize,
    slots: Vec<Option<Slot>>,
    touched: Vec<PortId>,
    scratch: Batch,
    lost: Lost,
    /// Ports that failed while sending; the worker closes them.
    pub(super) failed: Vec<(PortId, io::Error)>,
}

/// Frames cut from super-frames that are written at a time.
const SCRATCH_FRAMES: usize = 48;

impl Egress {
    pub(super) fn new(worker: usize, clock: Clock) -> Self {
        Self {
            worker,
            clock,
            bad_lines: 0,
            slots: Vec::new(),
            touched: Vec::new(),
            scratch: Batch::with_capacity(SCRATCH_FRAMES),
            lost: Lost::new(),
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
        let slot = self.slots.get_mut(port.index())?.take();
        self.count_lines();
        slot
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
        slot.lane(lane).push(index);
        Ok(())
    }

    /// Write everything that is queued.
    pub(super) fn flush(&mut self, burst: &Batch, made: &Batch, snapshot: &Snapshot, tracing: &mut Tracing) {
        let mut touched = std::mem::take(&mut self.touched);
        for port in touched.drain(..) {
            for (lane, batch) in [(Lane::Burst, burst), (Lane::Made, made)] {
                self.flush_lane(port, lane, batch, snapshot, tracing);
            }
        }
        self.touched = touched; // keeps its room
    }

    fn flush_lane(&mut self, port: PortId, lane: Lane, batch: &Batch, snapshot: &Snapshot, tracing: &mut Tracing) {
        let Some(slot) = self.slots.get_mut(port.index()).and_then(Option::as_mut) else { return };
        let mut picks = std::mem::take(slot.lane(lane));
        if !picks.is_empty() && slot.line.is_some() {
            self.send_by_bad_line(port, lane, batch, &picks, snapshot, tracing);
            picks.clear();
        }
        let Some(slot) = self.slots.get_mut(port.index()).and_then(Option::as_mut) else { return };
        if !picks.is_empty() {
            let drops = snapshot.network_of(port).and_then(|view| view.tables.drops.of(self.worker));
            let fault = send_counted(slot, self.worker, batch, &picks, &mut self.scratch, &mut self.lost, drops);
            if tracing.is_telling() {
                tell(port, lane, &picks, &self.lost, tracing);
            }
            self.failed.extend(fault.map(|error| (port, error)));
            picks.clear();
        }
        *slot.lane(lane) = picks; // keeps its room
    }
}

/// Frames that did not leave: their places among the picks, and why.
type Lost = Vec<(usize, DropReason)>;

/// Send the picked frames and count them; what did not leave is in `lost`. What the port failed of, if it must be closed.
fn send_counted(
    slot: &mut Slot,
    worker: usize,
    batch: &Batch,
    picks: &[u16],
    scratch: &mut Batch,
    lost: &mut Lost,
    drops: Option<&DropCount>,
) -> Option<io::Error> {
    lost.clear();
    let fault = send(slot.queue.as_mut(), batch, picks, scratch, lost);
    account(slot, worker, batch, picks, lost);
    for (_, reason) in &*lost {
        if let Some(drops) = drops {
            drops.add(*reason, 1);
        }
    }
    // A port that is down is no port that failed: it comes up again.
    fault.filter(|error| error.kind() != io::ErrorKind::NetworkDown)
}

/// Count what left and what could not.
fn account(slot: &Slot, worker: usize, batch: &Batch, picks: &[u16], lost: &Lost) {
    let Some(counts) = slot.counts.of(worker) else { return };
    let octets = |index: u16| batch[index as usize].len() as u64;
    let queued: u64 = picks.iter().map(|index| octets(*index)).sum();
    let stayed: u64 = lost.iter().filter_map(|(place, _)| picks.get(*place)).map(|index| octets(*index)).sum();
    counts.tx_frames.add((picks.len() - lost.len()) as u64);
    counts.tx_octets.add(queued - stayed);
    counts.drops.add(lost.len() as u64);
}

fn tell(port: PortId, lane: Lane, picks: &[u16], lost: &Lost, tracing: &mut Tracing) {
    for (place, index) in picks.iter().enumerate() {
        let step = match lost.iter().find(|(at, _)| *at == place) {
            Some((_, reason)) => Step::NotSent { port, reason: *reason },
            None => Step::Sent { port },
        };
        tracing.add(lane, *index, step);
    }
}

/// Send the picked frames; what did not leave is in `lost`. The port's fault, if it has one.
fn send(queue: &mut dyn Port, batch: &Batch, picks: &[u16], scratch: &mut Batch, lost: &mut Lost) -> Option<io::Error> {
    let finished = |index: &u16| batch[*index as usize].offload().is_finished();
    let as_they_are = queue.takes_offload() || picks.iter().all(finished);
    let mut done = 0;
    for run in picks.chunk_by(|a, b| as_they_are || finished(a) == finished(b)) {
        let result = if as_they_are || run.first().is_some_and(finished) {
            queue.send_all(batch, run, &mut |place, stop| lost.push((done + place, reason_of(stop))))
        } else {
            send_unfinished(queue, batch, run, scratch, |place, reason| lost.push((done + place, reason)))
        };
        done += run.len();
        let full = lost.last().is_some_and(|(_, reason)| *reason == DropReason::EgressFull);
        if result.is_err() || full {
            lost.extend((done..picks.len()).map(|place| (place, DropReason::EgressFull)));
        }
        if let Err(error) = result {
            for (_, reason) in lost.iter_mut().filter(|(_, reason)| *reason == DropReason::EgressFull) {
                *reason = DropReason::EgressDown;
            }
            return Some(error);
        }
        if full {
            break;
        }
    }
    None
}

const fn reason_of(stop: Stop) -> DropReason {
    match stop {
        Stop::Full => DropReason::EgressFull,
        Stop::Refused => DropReason::EgressRefused,
    }
}

/// Finish each frame of `run` for the wire and send it; a frame has left when all its pieces have.
fn send_unfinished(
    queue: &mut dyn Port,
    batch: &Batch,
    run: &[u16],
    scratch: &mut Batch,
    mut lost: impl FnMut(usize, DropReason),
) -> io::Result<()> {
    for (place, index) in run.iter().enumerate() {
        let result = send_in_pieces(queue, &batch[*index as usize], scratch);
        match result {
            Ok(None) => {}
            Ok(Some(DropReason::EgressFull)) | Err(_) => {
                (place..run.len()).for_each(|place| lost(place, DropReason::EgressFull));
                return result.map(|_| ());
            }
            Ok(Some(reason)) => lost(place, reason),
        }
    }
    Ok(())
}

/// Why not all pieces of the frame went; `None` when they did. A frame that does not fit its own header was refused when
/// it came in.
fn send_in_pieces(queue: &mut dyn Port, frame: &Frame, scratch: &mut Batch) -> io::Result<Option<DropReason>> {
    scratch.clear();
    if !frame.offload().is_gso() {
        let finished = scratch.push().is_some_and(|out| checksum::finish_into(frame, out).is_ok());
        return if finished { flush_scratch(queue, scratch) } else { Ok(Some(DropReason::BadOffload)) };
    }
    let Ok(mut segments) = Segments::new(frame) else { return Ok(Some(DropReason::BadOffload)) };
    loop {
        let Some(out) = scratch.push() else {
            if let Some(reason) = flush_scratch(queue, scratch)? {
                return Ok(Some(reason));
            }
            continue;
        };
        if !segments.next_into(out) {
            scratch.shrink(1);
            return flush_scratch(queue, scratch);
        }
    }
}

fn flush_scratch(queue: &mut dyn Port, scratch: &mut Batch) -> io::Result<Option<DropReason>> {
    let picks: [u16; SCRATCH_FRAMES] = std::array::from_fn(|index| index as u16);
    let mut why = None;
    let result = queue.send_all(scratch, &picks[..scratch.len()], &mut |_, stop| why = Some(reason_of(stop)));
    scratch.clear();
    result.map(|()| why)
}
