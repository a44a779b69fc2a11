//! How do the engine's records reach everybody who reads the trace? One thread, alive while somebody reads or the recorder is
//! on, empties the workers' rings and hands each reader a share in every record.
//!
//! Nobody waits for anybody: a record that a ring or one reader has no room for is lost to it, and counted
//! ([`TraceReader`](super::trace_reader::TraceReader)). With no reader and no recorder the engine has no sink, and
//! tracing costs nothing. The engine traces what at least one of them wants to see.
//!
//! The recorder keeps the last records, so that somebody who asks afterwards still finds them; what it has no more room for is
//! counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Select, Sender, TrySendError};
use frame::FrameNumber;
use trace::filter::{Admission, Filter};
use trace::{RawRecord, Record};

use super::Fault;
use super::memory::Memory;
use super::names::NameBook;
use super::trace_reader::{Item, LossCount, NamedFilter, TraceReader};
use crate::engine::tracer::RING_RECORDS;
use crate::engine::{Engine, Lesson, TraceSink};

/// Records that wait for one reader: two thirds of a second at 100,000 frames a second.
const READER_RECORDS: usize = 65_536;
/// Readers at a time.
pub const READERS: usize = 16;
/// How long records gather in the rings before they are taken out.
const GATHER: Duration = Duration::from_millis(1);
/// A sleeping pump looks whether it is still wanted.
const LOOK: Duration = Duration::from_secs(1);

struct Subscriber {
    key: u64,
    filter: Filter,
    items: Sender<Item>,
    count: Arc<LossCount>,
}

/// The rings, and the thread that empties them.
struct Pump {
    sink: TraceSink,
    stopped: Arc<AtomicBool>,
}

/// The last records, if they are kept.
#[derive(Default)]
struct Recorder {
    limit: usize,
    items: VecDeque<Item>,
    count: Option<LossCount>,
    /// Records that made room for newer ones.
    forgotten: u64,
}

impl Recorder {
    fn new(limit: usize, count: LossCount) -> Self {
        Self { limit, items: VecDeque::with_capacity(limit.min(4096)), count: Some(count), forgotten: 0 }
    }

    /// Keep one more, with what was lost by then.
    fn keep(&mut self, item: Item) {
        let Some(count) = &self.count else { return };
        let lost = count.now();
        if self.items.len() >= self.limit {
            self.items.pop_front();
            self.forgotten += 1;
        }
        self.items.push_back(Item { lost, ..item });
    }
}

/// What the recorder has.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The records that were asked for, oldest first; each tells what was lost between the recorder's start and it.
    pub records: Vec<Record>,
    /// What was lost between the recorder's start and now.
    pub lost: u64,
    /// How many older records are kept no more.
    pub forgotten: u64,
}

#[derive(Default)]
struct Readers {
    list: Vec<Subscriber>,
    recorder: Recorder,
    next_key: u64,
    /// Is there a sink in the engine, and a thread that reads it?
    pump: Option<Pump>,
    closed: bool,
}

impl Readers {
    /// What at least one reader, or the recorder, may want to see.
    fn admission(&self, names: &NameBook) -> Admission {
        if self.recorder.limit > 0 {
            return Admission::everything();
        }
        if self.list.iter().any(|reader| reader.filter.is_everything()) {
            return Admission::everything();
        }
        let each: Vec<String> = self.list.iter().map(|reader| reader.filter.to_string()).collect();
        // Together they may be longer than a filter can be: then each reader sorts out of everything.
        Filter::parse(&format!("({})", each.join(") or (")))
            .map_or_else(|_| Admission::everything(), |filter| filter.compile(names))
    }
}

/// The hub.
pub(super) struct TraceHub {
    engine: Weak<Engine>,
    readers: Mutex<Readers>,
    names: Mutex<Arc<NameBook>>,
    /// What frames taught.
    pub(super) memory: Mutex<Memory>,
    lessons: Receiver<Lesson>,
    /// Held by whoever empties the rings; empty meanwhile.
    emptied: Mutex<Vec<Arc<RawRecord>>>,
}

impl TraceHub {
    /// A hub that remembers lessons from now on, as long as it and the engine live.
    ///
    /// # Errors
    /// No thread is left.
    pub(super) fn start(engine: &Arc<Engine>) -> Result<Arc<Self>, Fault> {
        let hub = Arc::new(Self::new(Arc::downgrade(engine), engine.lessons()));
        let (weak, lessons) = (Arc::downgrade(&hub), engine.lessons());
        thread::Builder::new()
            .name("lessons".into())
            .spawn(move || remember(&weak, &lessons))
            .map_err(|error| Fault::io("cannot start remembering what frames teach", error))?;
        Ok(hub)
    }

    fn new(engine: Weak<Engine>, lessons: Receiver<Lesson>) -> Self {
        let (readers, names, memory, emptied) = Default::default();
        Self { engine, readers, names, memory, lessons, emptied }
    }

    /// Names changed.
    pub(super) fn rename(&self, names: NameBook) {
        lock(&self.memory).keep(|network| names.networks.contains_key(&network));
        let names = Arc::new(names);
        *lock(&self.names) = Arc::clone(&names);
        self.admit(&lock(&self.readers), &names);
    }

    /// The names of now.
    pub(super) fn names(&self) -> Arc<NameBook> {
        Arc::clone(&lock(&self.names))
    }

    /// Take in what frames have taught by now, and look at it.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        let mut memory = lock(&self.memory);
        memory.take_in(&self.lessons);
        memory
    }

    /// Another reader, of what `filter` lets through.
    ///
    /// # Errors
    /// There are [`READERS`] already, the switch is stopping, or no thread is left.
    pub(super) fn subscribe(self: &Arc<Self>, filter: &Filter) -> Result<TraceReader, Fault> {
        let mut readers = lock(&self.readers);
        if readers.closed {
            return Err(Fault::Stopping);
        }
        if readers.list.len() >= READERS {
            return Err(Fault::TooManyTraces { limit: READERS });
        }
        let sink = self.pump(&mut readers)?;
        let names = self.names();
        let reader = self.add(&mut readers, &sink, filter, &names, READER_RECORDS);
        self.admit(&readers, &names);
        Ok(reader)
    }

    /// Keep the last `limit` records from now on; 0 keeps none.
    ///
    /// # Errors
    /// The switch is stopping, or no thread is left.
    pub(super) fn record(self: &Arc<Self>, limit: usize) -> Result<(), Fault> {
        let mut readers = lock(&self.readers);
        if readers.closed {
            return Err(Fault::Stopping);
        }
        if limit == 0 {
            readers.recorder = Recorder::default();
            self.rest(&mut readers);
        } else {
            let sink = self.pump(&mut readers)?;
            readers.recorder = Recorder::new(limit, LossCount::of(&sink));
        }
        self.admit(&readers, &self.names());
        Ok(())
    }

    /// The last `last` recorded records after number `since` that `filter` lets through, oldest first.
    ///
    /// # Errors
    /// [`Fault::NotRecording`].
    pub(super) fn recorded(&self, filter: &Filter, since: u64, last: usize) -> Result<Recorded, Fault> {
        // What has passed by now is in it, whether or not the thread that empties the rings had its turn.
        let sink = lock(&self.readers).pump.as_ref().map(|pump| pump.sink.clone());
        if let Some(sink) = sink {
            self.empty(&sink);
        }
        let (kept, in_all, forgotten) = {
            let readers = lock(&self.readers);
            let recorder = &readers.recorder;
            let Some(count) = &recorder.count else { return Err(Fault::NotRecording) };
            (recorder.items.iter().cloned().collect::<Vec<_>>(), count.now(), recorder.forgotten)
        };
        drop(self.memory());
        let filter = filter.with_addresses(&*self.names());
        let items = kept.iter().rev().filter(|item| item.raw.number > FrameNumber(since));
        let records = items.map(|item| item.record(&self.memory));
        let mut records: Vec<Record> = records.filter(|record| filter.matches(record)).take(last).collect();
        records.sort_by_key(|record| record.number);
        Ok(Recorded { records, lost: in_all, forgotten })
    }

    fn add(
        self: &Arc<Self>,
        readers: &mut Readers,
        sink: &TraceSink,
        filter: &Filter,
        names: &Arc<NameBook>,
        capacity: usize,
    ) -> TraceReader {
        let (sender, items) = channel::bounded(capacity);
        let key = readers.next_key;
        readers.next_key += 1;
        let count = Arc::new(LossCount::of(sink));
        readers.list.push(Subscriber { key, filter: filter.clone(), items: sender, count: Arc::clone(&count) });
        let filter = Mutex::new(NamedFilter::new(filter, names));
        TraceReader { items, key, filter, count, told: AtomicU64::new(0), hub: Arc::clone(self) }
    }

    /// Every reader's trace ends, and there will be no other.
    pub(super) fn close(&self) {
        let mut readers = lock(&self.readers);
        readers.closed = true;
        readers.list.clear();
        readers.recorder = Recorder::default();
        self.rest(&mut readers);
    }

    /// The sink that the engine has, or a new one with a thread that reads it.
    fn pump(self: &Arc<Self>, readers: &mut Readers) -> Result<TraceSink, Fault> {
        if let Some(pump) = &readers.pump {
            return Ok(pump.sink.clone());
        }
        let Some(engine) = self.engine.upgrade() else { return Err(Fault::Stopping) };
        let sink = TraceSink::new(engine.workers(), RING_RECORDS, Admission::everything());
        let stopped = Arc::new(AtomicBool::new(false));
        let (hub, its_sink, its_end) = (Arc::downgrade(self), sink.clone(), Arc::clone(&stopped));
        thread::Builder::new()
            .name("trace".into())
            .spawn(move || pump(&hub, &its_sink, &its_end))
            .map_err(|error| Fault::io("cannot start the trace", error))?;
        readers.pump = Some(Pump { sink: sink.clone(), stopped });
        Ok(sink)
    }

    /// Tell the engine what to trace.
    fn admit(&self, readers: &Readers, names: &NameBook) {
        if let (Some(pump), Some(engine)) = (&readers.pump, self.engine.upgrade()) {
            engine.trace(Some(&TraceSink { admission: readers.admission(names), ..pump.sink.clone() }));
        }
    }

    /// When nobody reads and nothing is recorded, the engine traces nothing and the thread ends.
    fn rest(&self, readers: &mut Readers) {
        if !readers.list.is_empty() || readers.recorder.limit > 0 {
            return;
        }
        if let Some(pump) = readers.pump.take() {
            if let Some(engine) = self.engine.upgrade() {
                engine.trace(None);
            }
            pump.stopped.store(true, Ordering::SeqCst);
            pump.sink.reader.wake();
        }
    }

    pub(super) fn unsubscribe(&self, key: u64) {
        let mut readers = lock(&self.readers);
        readers.list.retain(|reader| reader.key != key);
        self.rest(&mut readers);
        self.admit(&readers, &self.names());
    }

    /// Empty the rings once; how many records that were.
    fn empty(&self, sink: &TraceSink) -> usize {
        let mut burst = lock(&self.emptied);
        for ring in sink.rings.iter() {
            while let Some(record) = ring.pop() {
                burst.push(Arc::new((*record).clone()));
                ring.recycle(record);
            }
        }
        if burst.is_empty() {
            return 0;
        }
        burst.sort_by_key(|record| record.number);
        let count = burst.len();
        self.distribute(burst.drain(..));
        count
    }

    fn distribute(&self, records: impl Iterator<Item = Arc<RawRecord>>) {
        let names = self.names();
        let mut memory = self.memory();
        let mut readers = lock(&self.readers);
        for raw in records {
            let item = Item { raw, names: Arc::clone(&names), lost: 0 };
            if let Some(mac) = item.refreshed() {
                memory.refreshed(item.raw.network, mac, item.raw.number, item.raw.at_unix_ns);
            }
            for reader in &readers.list {
                let lost = reader.count.now();
                if let Err(TrySendError::Full(_)) = reader.items.try_send(Item { lost, ..item.clone() }) {
                    reader.count.by_reader.fetch_add(1, Ordering::Relaxed);
                }
            }
            if readers.recorder.limit > 0 {
                readers.recorder.keep(item);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Empty the rings until nobody wants them any more.
fn pump(hub: &Weak<TraceHub>, sink: &TraceSink, stopped: &AtomicBool) {
    sink.reader.is_me();
    while !stopped.load(Ordering::SeqCst) {
        let empty = || hub.upgrade().map(|hub| hub.empty(sink));
        let Some(count) = empty() else { return };
        if count > 0 {
            thread::sleep(GATHER);
            continue;
        }
        sink.reader.lie_down();
        // What came between the last look and lying down wakes nobody.
        if empty() == Some(0) && !stopped.load(Ordering::SeqCst) {
            thread::park_timeout(LOOK);
        }
        sink.reader.get_up();
    }
}

/// Take in lessons as they come, so that none is lost while nobody asks.
fn remember(hub: &Weak<TraceHub>, lessons: &Receiver<Lesson>) {
    loop {
        let mut select = Select::new();
        select.recv(lessons);
        select.ready(); // also when the engine is gone and no more will come
        let Some(hub) = hub.upgrade() else { return };
        drop(hub.memory());
        if lessons.is_empty() && hub.engine.strong_count() == 0 {
            return;
        }
        drop(hub);
        thread::sleep(GATHER);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use frame::{FrameNumber, NetworkId, Verdict};
    use trace::{Loss, Snap};

    use super::super::trace_reader::Quiet;
    use super::*;

    /// A hub without an engine, and a reader of it with room for so many records.
    pub(in crate::control) fn reader(capacity: usize) -> (Arc<TraceHub>, TraceReader) {
        let hub = Arc::new(TraceHub::new(Weak::new(), channel::never()));
        let sink = TraceSink::new(1, 1, Admission::everything());
        let reader = hub.add(&mut lock(&hub.readers), &sink, &Filter::parse("").unwrap(), &hub.names(), capacity);
        (hub, reader)
    }

    /// These frames pass.
    pub(in crate::control) fn pass(hub: &TraceHub, numbers: std::ops::RangeInclusive<u64>) {
        hub.distribute(numbers.map(|number| Arc::new(of_number(number))));
    }

    fn of_number(number: u64) -> RawRecord {
        RawRecord {
            number: FrameNumber(number),
            octets: 60,
            snap: Snap::of(&[2; 60]),
            verdict: Verdict::Consumed,
            ..RawRecord::default()
        }
    }

    fn heard(reader: &TraceReader) -> Result<(u64, u64), Quiet> {
        reader.next(Duration::from_millis(1)).map(|record| (record.number, record.lost))
    }

    #[test]
    fn what_was_lost_is_told_though_nothing_follows() {
        let (hub, reader) = reader(2);
        assert_eq!(reader.loss(), None, "what was lost before it came is not its loss");
        pass(&hub, 1..=5);
        assert_eq!((heard(&reader), heard(&reader)), (Ok((1, 0)), Ok((2, 0))));
        assert_eq!(heard(&reader), Err(Quiet::Timeout));
        assert!(reader.owes_a_loss());
        assert_eq!((reader.loss(), reader.loss()), (Some(Loss { lost: 3 }), None));
        assert!(!reader.owes_a_loss());
        pass(&hub, 6..=6);
        assert_eq!((heard(&reader), reader.loss()), (Ok((6, 3)), None));
        (0..5).for_each(|number| reader.count.sink.rings[0].put(Box::new(of_number(number))));
        assert_eq!(reader.loss(), Some(Loss { lost: 7 }), "the rings' losses are everybody's");
    }

    #[test]
    fn a_record_tells_a_loss_as_well_and_the_count_never_goes_back() {
        let (hub, reader) = reader(1);
        pass(&hub, 1..=3);
        assert_eq!(heard(&reader), Ok((1, 0)));
        pass(&hub, 4..=5);
        assert_eq!(reader.loss(), Some(Loss { lost: 3 }));
        assert_eq!((heard(&reader), reader.loss()), (Ok((4, 3)), None));
    }

    #[test]
    fn a_filter_knows_the_addresses_of_who_comes_later() {
        let (hub, _) = reader(1);
        let sink = TraceSink::new(1, 1, Admission::everything());
        let filter = Filter::parse("host web").unwrap();
        let reader = hub.add(&mut lock(&hub.readers), &sink, &filter, &hub.names(), 2);
        // ARP, who has 10.0.0.9: web's MAC address is nowhere in it.
        let mut request = vec![0xff; 6];
        request.extend([2, 0, 0, 0, 0, 1, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9]);
        let pass = |number| {
            let record = RawRecord { snap: Snap::of(&request), network: NetworkId(1), ..of_number(number) };
            hub.distribute([Arc::new(record)].into_iter());
        };
        pass(1);
        assert_eq!(heard(&reader), Err(Quiet::Timeout));
        let mut names = NameBook::default();
        names.ips.insert((NetworkId(1), [10, 0, 0, 9].into()), "web".to_owned());
        hub.rename(names);
        pass(2);
        assert_eq!(heard(&reader), Ok((2, 0)));
    }

    #[test]
    fn what_waits_in_the_rings_is_recorded_already() {
        let (hub, _reader) = reader(1);
        let sink = TraceSink::new(1, 4, Admission::everything());
        let stopped = Arc::default(); // nobody empties the rings but who asks
        lock(&hub.readers).pump = Some(Pump { sink: sink.clone(), stopped });
        lock(&hub.readers).recorder = Recorder::new(9, LossCount::of(&sink));
        sink.rings[0].put(Box::new(of_number(1)));
        let told = hub.recorded(&Filter::parse("").unwrap(), 0, 9).unwrap();
        assert_eq!(told.records.len(), 1);
    }

    #[test]
    fn what_still_waits_at_the_end_is_lost() {
        let (hub, reader) = reader(2);
        pass(&hub, 1..=3);
        assert_eq!((reader.last_loss(), reader.last_loss()), (Some(Loss { lost: 3 }), None));
        hub.close();
        assert_eq!((heard(&reader), heard(&reader), heard(&reader)), (Ok((1, 3)), Ok((2, 3)), Err(Quiet::Ended)));
    }

    #[test]
    fn the_recorder_keeps_the_last() {
        let (hub, _reader) = reader(1);
        let everything = Filter::parse("").unwrap();
        assert!(matches!(hub.recorded(&everything, 0, 9), Err(Fault::NotRecording)));
        let sink = TraceSink::new(1, 1, Admission::everything());
        lock(&hub.readers).recorder = Recorder::new(3, LossCount::of(&sink));
        pass(&hub, 1..=3);
        let recorded = |since, last| hub.recorded(&everything, since, last).unwrap();
        let numbers =
            |since, last| recorded(since, last).records.iter().map(|record| record.number).collect::<Vec<_>>();
        assert_eq!((numbers(0, 9), recorded(0, 9).forgotten), (vec![1, 2, 3], 0));
        pass(&hub, 4..=5);
        assert_eq!((numbers(0, 9), numbers(4, 9), numbers(0, 2)), (vec![3, 4, 5], vec![5], vec![4, 5]));
        assert_eq!(recorded(0, 9).forgotten, 2, "what it kept no longer is counted");
    }

    #[test]
    fn the_recorder_knows_where_records_were_lost() {
        let (hub, _reader) = reader(1);
        let sink = TraceSink::new(1, 1, Admission::everything());
        lock(&hub.readers).recorder = Recorder::new(9, LossCount::of(&sink));
        let overwrite = |records: u64| (0..=records).for_each(|number| sink.rings[0].put(Box::new(of_number(number))));
        pass(&hub, 1..=2);
        overwrite(2);
        pass(&hub, 6..=7);
        let told = hub.recorded(&Filter::parse("").unwrap(), 0, 9).unwrap();
        let lost: Vec<_> = told.records.iter().map(|record| (record.number, record.lost)).collect();
        assert_eq!((lost, told.lost), (vec![(1, 0), (2, 0), (6, 2), (7, 2)], 2));
        overwrite(3);
        assert_eq!(hub.recorded(&Filter::parse("").unwrap(), 0, 1).unwrap().lost, 6, "though no record has told it");
    }
}
