//! How does one reader of the trace get its records, and what does it hear of those it lost?
//!
//! A record waits for its reader as numbers; it becomes words here, in the reader's own time. A reader that is too slow loses
//! records, and is told how many: in [`Record::lost`] of the next one, or by [`TraceReader::loss`] where none follows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use frame::step::Learned;
use frame::{MacAddr, Step};
use trace::filter::Filter;
use trace::{Loss, RawRecord, Record};

use super::memory::Memory;
use super::names::{NameBook, NamesFor};
use super::switch::lock;
use super::trace_hub::TraceHub;
use crate::engine::TraceSink;

/// A record with the names of its time.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) raw: Arc<RawRecord>,
    pub(super) names: Arc<NameBook>,
    /// What the reader had lost when this was put into its queue.
    pub(super) lost: u64,
}

impl Item {
    /// The record in words.
    pub(super) fn record(&self, memory: &Mutex<Memory>) -> Record {
        let memory = lock(memory);
        Record::resolve(&self.raw, self.lost, &NamesFor { book: &self.names, memory: &memory, frame: self.raw.number })
    }

    /// The address whose row the frame refreshed, if it did.
    pub(super) fn refreshed(&self) -> Option<MacAddr> {
        let refreshed = self.raw.steps.contains(&Step::Learned(Learned::Refreshed));
        let source = frame::ethernet::EthernetHeader::read(self.raw.snap.octets())?.source;
        refreshed.then_some(source)
    }
}

/// What one reader's trace has lost.
pub(super) struct LossCount {
    /// Records that found this reader's queue full.
    pub(super) by_reader: AtomicU64,
    /// Where the rings count records that were given up for newer ones.
    pub(super) sink: TraceSink,
    /// As many of those when this reader came.
    pub(super) before: u64,
}

impl LossCount {
    pub(super) fn of(sink: &TraceSink) -> Self {
        Self { by_reader: AtomicU64::new(0), before: sink.overwritten(), sink: sink.clone() }
    }

    pub(super) fn now(&self) -> u64 {
        self.by_reader.load(Ordering::Relaxed) + self.sink.overwritten().saturating_sub(self.before)
    }
}

/// A filter that names endpoints by their IP addresses knows them as the book of names has them.
pub(super) struct NamedFilter {
    filter: Filter,
    names: Arc<NameBook>,
}

impl NamedFilter {
    pub(super) fn new(filter: &Filter, names: &Arc<NameBook>) -> Self {
        Self { filter: filter.with_addresses(&**names), names: Arc::clone(names) }
    }

    /// Does it match a record with the names of its time?
    fn matches(&mut self, record: &Record, names: &Arc<NameBook>) -> bool {
        if !Arc::ptr_eq(&self.names, names) {
            self.names = Arc::clone(names);
            if self.filter.names_hosts() {
                self.filter = self.filter.with_addresses(&**names);
            }
        }
        self.filter.matches(record)
    }
}

/// One reader of the trace. Dropping it ends its trace.
pub struct TraceReader {
    pub(super) items: Receiver<Item>,
    pub(super) key: u64,
    pub(super) filter: Mutex<NamedFilter>,
    pub(super) count: Arc<LossCount>,
    /// The largest count that this reader has heard.
    pub(super) told: AtomicU64,
    pub(super) hub: Arc<TraceHub>,
}

/// No record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Not in that time.
    Timeout,
    /// There will be none: the switch has stopped.
    Ended,
}

impl TraceReader {
    /// The next record that its filter lets through, waiting for it no longer than `timeout`. Records of one worker come
    /// in the order of their numbers; those of two may cross.
    ///
    /// # Errors
    /// [`Quiet`].
    pub fn next(&self, timeout: Duration) -> Result<Record, Quiet> {
        let deadline = Instant::now() + timeout;
        loop {
            let item = self.items.recv_deadline(deadline).map_err(|error| match error {
                RecvTimeoutError::Timeout => Quiet::Timeout,
                RecvTimeoutError::Disconnected => Quiet::Ended,
            })?;
            let record = item.record(&self.hub.memory);
            if !lock(&self.filter).matches(&record, &item.names) {
                continue;
            }
            // A loss may have been told while this record waited: the count never goes back.
            let lost = record.lost.max(self.told.load(Ordering::Relaxed));
            self.told.store(lost, Ordering::Relaxed);
            return Ok(Record { lost, ..record });
        }
    }

    /// Has more been lost than any record, or this, has told?
    pub fn owes_a_loss(&self) -> bool {
        self.count.now() > self.told.load(Ordering::Relaxed)
    }

    /// The loss that has not been told yet. From now on it has.
    pub fn loss(&self) -> Option<Loss> {
        self.tell(self.count.now())
    }

    /// The same for a reader that will not read on: what still waits for it is lost too.
    pub fn last_loss(&self) -> Option<Loss> {
        self.tell(self.count.now() + self.items.len() as u64)
    }

    fn tell(&self, lost: u64) -> Option<Loss> {
        (self.told.fetch_max(lost, Ordering::Relaxed) < lost).then_some(Loss { lost })
    }
}

impl Drop for TraceReader {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.key);
    }
}
