//! How does a frame's story get out of the engine? As a small record of numbers, put into the worker's own ring. Whoever
//! reads the ring makes words of it, later and elsewhere.
//!
//! Which frames are traced is decided once, when they come in, by the sink's [`Admission`]. A full ring gives its oldest
//! record up for the newest and counts it; nobody waits. Records are used again and again, so that in the steady state a traced
//! frame costs no allocation either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use frame::batch::BURST;
use frame::step::TableView;
use frame::{Batch, Frame, FrameNumber, Millis, NetworkId, Observer, PortId, Step, Verdict};
use trace::filter::Admission;
use trace::{RawRecord, Snap};

use super::clock::unix_nanos;
use super::egress::Lane;

/// Records that one worker's ring holds: a third of a second at 100,000 frames a second.
pub const RING_RECORDS: usize = 32_768;

/// False in the build that the benchmark of tracing compares with.
pub(super) const TRACEABLE: bool = !cfg!(feature = "untraced");

/// Records that one worker makes in a millisecond, in the long run: 128,000 a second, which cost it less than a tenth of its
/// time. Frames beyond are forwarded untold, and counted as lost to the trace.
pub const PER_MILLISECOND: u64 = 128;

/// How many records may be made now: a bucket that holds as many as the ring, and is filled as time goes by.
struct Allowance {
    left: u64,
    /// `None` until the first is taken.
    filled_at: Option<Millis>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: RING_RECORDS as u64, filled_at: None }
    }
}

impl Allowance {
    /// How many of the `wanted` records may be made.
    #[inline]
    fn take(&mut self, wanted: u64, now: Millis) -> u64 {
        let filled_at = *self.filled_at.get_or_insert(now);
        if now > filled_at {
            let gained = now.since(filled_at).0.saturating_mul(PER_MILLISECOND);
            self.left = self.left.saturating_add(gained).min(RING_RECORDS as u64);
            self.filled_at = Some(now);
        }
        let granted = wanted.min(self.left);
        self.left -= granted;
        granted
    }
}

/// One worker's ring. One thread puts records in, one takes them out.
pub struct TraceRing {
    full: ArrayQueue<Box<RawRecord>>,
    /// Records to use again.
    empty: ArrayQueue<Box<RawRecord>>,
    overwritten: CachePadded<AtomicU64>,
}

impl TraceRing {
    /// An empty ring for so many records, at least one.
    pub fn new(records: usize) -> Self {
        let records = records.max(1);
        Self { full: ArrayQueue::new(records), empty: ArrayQueue::new(records), overwritten: CachePadded::default() }
    }

    /// The oldest record. Give it back by [`TraceRing::recycle`].
    pub fn pop(&self) -> Option<Box<RawRecord>> {
        self.full.pop()
    }

    /// A record that has been read.
    pub fn recycle(&self, record: Box<RawRecord>) {
        let _ = self.empty.push(record); // with enough of them, one more is freed
    }

    /// Frames that were to be traced and are not in the ring: given up for newer ones, or too many to be told at all.
    pub fn overwritten(&self) -> u64 {
        self.overwritten.load(Ordering::Relaxed)
    }

    pub(crate) fn put(&self, record: Box<RawRecord>) {
        if let Some(oldest) = self.full.force_push(record) {
            self.overwritten.fetch_add(1, Ordering::Relaxed);
            self.recycle(oldest);
        }
    }

    fn take_empty(&self) -> Box<RawRecord> {
        self.empty.pop().unwrap_or_default()
    }
}

/// Who reads the rings, asleep while they are empty.
#[derive(Default)]
pub struct TraceReaderSleep {
    asleep: AtomicBool,
    thread: std::sync::OnceLock<Thread>,
}

impl TraceReaderSleep {
    /// The calling thread is the reader.
    pub fn is_me(&self) {
        let _ = self.thread.set(std::thread::current());
    }

    /// The reader found nothing, and will look once more before it parks.
    pub fn lie_down(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The reader is up.
    pub fn get_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Wake the reader if it sleeps.
    pub fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

/// Where the workers put their records, and which frames they trace.
#[derive(Clone)]
pub struct TraceSink {
    /// A ring for each worker.
    pub rings: Arc<[TraceRing]>,
    /// Which frames are traced.
    pub admission: Admission,
    /// Who is to be woken.
    pub reader: Arc<TraceReaderSleep>,
}

impl TraceSink {
    /// Rings of so many records for `workers` workers.
    pub fn new(workers: usize, records: usize, admission: Admission) -> Self {
        let rings = (0..workers.max(1)).map(|_| TraceRing::new(records)).collect();
        Self { rings, admission, reader: Arc::default() }
    }

    /// Records given up for newer ones, over all rings.
    pub fn overwritten(&self) -> u64 {
        self.rings.iter().map(TraceRing::overwritten).sum()
    }
}

/// A frame's story as it is being written: the observer of its journey.
pub(super) struct Story<'a> {
    pub(super) number: FrameNumber,
    pub(super) steps: &'a mut Vec<Step>,
    pub(super) table: &'a mut Option<TableView>,
}

impl Observer for Story<'_> {
    const ENABLED: bool = true;

    fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn table(&mut self, view: TableView) {
        *self.table = Some(view);
    }

    fn number(&self) -> Option<FrameNumber> {
        Some(self.number)
    }
}

/// Make `record` that of a frame as it came in (`Some(port)`) or as the switch made it (`None`), without any step yet.
pub(super) fn begin(
    record: &mut RawRecord,
    number: FrameNumber,
    frame: &Frame,
    network: NetworkId,
    port: Option<PortId>,
    at: Millis,
) {
    record.number = number;
    record.at_unix_ns = unix_nanos();
    record.at = at;
    record.network = network;
    record.port = port;
    record.octets = frame.len() as u32;
    record.offload = frame.offload();
    record.snap = Snap::of(frame.octets());
    record.snap_sent = None;
    record.sent_unix_ns = 0;
    record.table = None;
    record.steps.clear();
    record.verdict = Verdict::Consumed;
}

/// The records of the frames in hand, beside the batches they lie in.
#[derive(Default)]
pub(super) struct Tracing {
    pub(super) sink: Option<TraceSink>,
    /// The worker, whose ring is used.
    worker: usize,
    /// One for each frame of the burst, in order; `None` for those that are not traced.
    pub(super) burst: Vec<Option<Box<RawRecord>>>,
    /// One for each frame the switch made and has not sent yet.
    pub(super) made: Vec<Option<Box<RawRecord>>>,
    /// Records of frames that have been sent, while the rest of their burst is still in hand.
    #[expect(clippy::vec_box, reason = "the boxes themselves are used again")]
    finished: Vec<Box<RawRecord>>,
    allowance: Allowance,
    /// When the burst in hand is being sent.
    sending_at: u64,
}

impl Tracing {
    pub(super) fn of(worker: usize) -> Self {
        Self { worker, ..Self::default() }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        TRACEABLE && self.sink.is_some()
    }

    /// What comes next is told in any case.
    pub(super) fn refill(&mut self) {
        self.allowance = Allowance::default();
    }

    /// Which frames of a burst that came in by `port` are traced, as far as there are not too many: bit 0 for the first one.
    /// Asked once a burst, so that frames that are not traced cost the worker no question each.
    #[inline]
    pub(super) fn choose(&mut self, network: NetworkId, port: PortId, frames: &Batch, now: Millis) -> u64 {
        if self.is_on() { self.choose_some(network, port, frames, now) } else { 0 }
    }

    #[inline(never)]
    fn choose_some(&mut self, network: NetworkId, port: PortId, frames: &Batch, now: Millis) -> u64 {
        const { assert!(BURST <= u64::BITS as usize, "a bit for each frame of a burst") };
        let Some(sink) = &self.sink else { return 0 };
        let mut chosen = if sink.admission.is_everything() {
            u64::MAX.checked_shr(u64::BITS.saturating_sub(frames.len() as u32)).unwrap_or(0)
        } else {
            let admitted = |frame: &Frame| u64::from(sink.admission.admits(network, Some(port), frame.octets()));
            frames.iter().enumerate().fold(0, |chosen, (index, frame)| chosen | admitted(frame) << index)
        };
        if chosen == 0 {
            return 0;
        }
        let mut untold = u64::from(chosen.count_ones());
        untold -= self.allowance.take(untold, now);
        if untold > 0 {
            if let Some(ring) = sink.rings.get(self.worker) {
                ring.overwritten.fetch_add(untold, Ordering::Relaxed);
            }
            // The first ones of the burst are told.
            (0..untold).for_each(|_| chosen &= !(1 << chosen.ilog2()));
        }
        if chosen != 0 {
            self.burst.resize_with(frames.len(), || None);
        }
        chosen
    }

    /// A record to write a frame's story in.
    pub(super) fn empty_record(&self) -> Box<RawRecord> {
        let ring = self.sink.as_ref().and_then(|sink| sink.rings.get(self.worker));
        ring.map(TraceRing::take_empty).unwrap_or_default()
    }

    /// An empty record for one frame that is not of a burst, if it is to be traced, and there are not too many.
    pub(super) fn admit(
        &mut self,
        network: NetworkId,
        port: Option<PortId>,
        frame: &Frame,
        now: Millis,
    ) -> Option<Box<RawRecord>> {
        let sink = self.sink.as_ref()?;
        if !sink.admission.admits(network, port, frame.octets()) {
            return None;
        }
        let ring = sink.rings.get(self.worker)?;
        if self.allowance.take(1, now) == 0 {
            ring.overwritten.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(ring.take_empty())
    }

    /// Is any of the frames in hand traced?
    #[inline]
    pub(super) fn is_telling(&self) -> bool {
        TRACEABLE && !(self.burst.is_empty() && self.made.is_empty())
    }

    /// What is queued is being sent from now on.
    pub(super) fn sending(&mut self) {
        if self.is_telling() {
            self.sending_at = unix_nanos();
        }
    }

    /// Add a step to the record of a frame, if it is traced.
    pub(super) fn add(&mut self, lane: Lane, index: u16, step: Step) {
        let records = match lane {
            Lane::Burst => &mut self.burst,
            Lane::Made => &mut self.made,
        };
        if let Some(Some(record)) = records.get_mut(index as usize) {
            if matches!(step, Step::Sent { .. }) {
                record.sent_unix_ns = self.sending_at;
            }
            record.steps.push(step);
        }
    }

    /// A record whose frame goes nowhere, from before its burst was decided.
    pub(super) fn finish(&mut self, record: Box<RawRecord>) {
        self.finished.push(record);
    }

    /// Hand over records that were told to somebody else.
    pub(super) fn repeat(&mut self, records: &[RawRecord]) {
        if self.is_on() {
            self.finished.extend(records.iter().cloned().map(Box::new));
            self.deliver();
        }
    }

    /// The frames the switch made are sent, and their places will be used again.
    pub(super) fn made_are_sent(&mut self) {
        self.finished.extend(self.made.drain(..).flatten());
    }

    /// The whole burst is sent: hand its records over, in the order of their numbers.
    pub(super) fn deliver(&mut self) {
        self.finished.extend(self.burst.drain(..).flatten());
        self.made_are_sent();
        if self.finished.is_empty() {
            return;
        }
        self.finished.sort_by_key(|record| record.number);
        let Some(sink) = &self.sink else { return self.finished.clear() };
        if let Some(ring) = sink.rings.get(self.worker) {
            self.finished.drain(..).for_each(|record| ring.put(record));
        }
        sink.reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u64) -> Box<RawRecord> {
        Box::new(RawRecord { number: FrameNumber(number), ..RawRecord::default() })
    }

    #[test]
    fn a_full_ring_gives_up_its_oldest_and_counts_it() {
        let ring = TraceRing::new(3);
        (1..=5).for_each(|number| ring.put(numbered(number)));
        assert_eq!(ring.overwritten(), 2);
        let kept: Vec<u64> = std::iter::from_fn(|| ring.pop()).map(|record| record.number.0).collect();
        assert_eq!(kept, [3, 4, 5]);
    }

    #[test]
    fn a_bucket_of_records_is_filled_as_time_goes_by() {
        let mut allowance = Allowance::default();
        let mut taken = |now: u64, wanted: u64| (0..wanted).map(|_| allowance.take(1, Millis(now))).sum::<u64>();
        assert_eq!(taken(1000, RING_RECORDS as u64), RING_RECORDS as u64, "a ring's worth at once");
        assert_eq!(taken(1000, 10), 0, "then only what time brings");
        assert_eq!(taken(1001, 1000), PER_MILLISECOND);
        assert_eq!(taken(1001, 1000), 0);
        assert_eq!(taken(1004, 1000), 3 * PER_MILLISECOND);
        // 100,000 a second, in pulses of a hundredth of a second, are all told.
        assert!((0..500).all(|pulse| taken(3_000_000 + pulse * 10, 1000) == 1000));
    }

    #[test]
    fn records_are_used_again() {
        let ring = TraceRing::new(2);
        let mut record = numbered(1);
        record.steps.reserve(32);
        let (place, room) = (std::ptr::from_ref(&*record), record.steps.capacity());
        ring.put(record);
        ring.recycle(ring.pop().unwrap());
        let again = ring.take_empty();
        assert_eq!((std::ptr::from_ref(&*again), again.steps.capacity()), (place, room));
    }

    #[test]
    fn only_a_sleeping_reader_is_woken() {
        let sleep = TraceReaderSleep::default();
        sleep.is_me();
        sleep.wake();
        sleep.lie_down();
        sleep.wake();
        assert!(!sleep.asleep.load(Ordering::SeqCst));
        std::thread::park(); // returns at once: there is a token
    }
}
