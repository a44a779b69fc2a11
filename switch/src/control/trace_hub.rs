//! How do the engine's records reach everybody who reads the trace? One thread, alive while somebody reads, puts names
//! in place of numbers and hands each reader a copy.
//!
//! Nobody waits for anybody: a record that the hub or one reader has no room for is lost to it, and counted in
//! [`Record::lost`] of the next one, or told by [`TraceReader::loss`] where none follows. With no reader the engine
//! has no sink, and tracing costs nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender, TrySendError};
use frame::{MacAddr, NetworkId, PortId};
use trace::{Loss, Names, RawRecord, Record};

use super::Fault;
use crate::engine::{Engine, TraceSink};

/// Records that wait between the workers and the hub.
const HUB_RECORDS: usize = 16_384;
/// Records that wait for one reader.
const READER_RECORDS: usize = 8_192;
/// Readers at a time.
pub const READERS: usize = 16;

/// What ports, networks and stations are called at the moment.
#[derive(Default)]
pub struct NameBook {
    /// Endpoints' names.
    pub ports: HashMap<PortId, String>,
    /// Networks' names.
    pub networks: HashMap<NetworkId, String>,
    /// Whose addresses they are: endpoints', and `gateway`.
    pub stations: HashMap<(NetworkId, MacAddr), String>,
}

impl Names for NameBook {
    fn port(&self, port: PortId) -> Cow<'_, str> {
        self.ports.get(&port).map_or_else(|| port.to_string().into(), |name| name.as_str().into())
    }

    fn network(&self, network: NetworkId) -> Cow<'_, str> {
        self.networks.get(&network).map_or_else(|| network.to_string().into(), |name| name.as_str().into())
    }

    fn mac(&self, network: NetworkId, mac: MacAddr) -> Option<Cow<'_, str>> {
        self.stations.get(&(network, mac)).map(|name| name.as_str().into())
    }
}

struct Subscriber {
    key: u64,
    records: Sender<Record>,
    count: Arc<LossCount>,
}

/// What one reader's trace has lost.
struct LossCount {
    /// Records that found this reader's channel full.
    by_reader: AtomicU64,
    /// Records that found the hub's full, since the engine began.
    by_sink: Arc<AtomicU64>,
    /// As many of those when this reader came.
    before: u64,
}

impl LossCount {
    fn now(&self) -> u64 {
        let by_sink = self.by_sink.load(Ordering::Relaxed).saturating_sub(self.before);
        self.by_reader.load(Ordering::Relaxed) + by_sink
    }
}

#[derive(Default)]
struct Readers {
    list: Vec<Subscriber>,
    next_key: u64,
    /// Is there a sink in the engine, and a thread that reads it?
    running: bool,
    closed: bool,
}

/// The hub.
pub(super) struct TraceHub {
    engine: Weak<Engine>,
    readers: Mutex<Readers>,
    names: Mutex<Arc<NameBook>>,
    lost: Arc<AtomicU64>,
    last_number: Arc<AtomicU64>,
}

impl TraceHub {
    pub(super) fn new(engine: &Arc<Engine>) -> Arc<Self> {
        Arc::new(Self {
            engine: Arc::downgrade(engine),
            readers: Mutex::default(),
            names: Mutex::default(),
            lost: Arc::default(),
            last_number: Arc::default(),
        })
    }

    /// Names changed.
    pub(super) fn rename(&self, names: NameBook) {
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
    }

    /// Another reader.
    ///
    /// # Errors
    /// There are [`READERS`] already, the switch is stopping, or no thread is left.
    pub(super) fn subscribe(self: &Arc<Self>) -> Result<TraceReader, Fault> {
        let mut readers = self.readers();
        if readers.closed {
            return Err(Fault::Stopping);
        }
        if readers.list.len() >= READERS {
            return Err(Fault::TooManyTraces { limit: READERS });
        }
        if !readers.running {
            self.begin()?;
            readers.running = true;
        }
        Ok(self.add(&mut readers, READER_RECORDS))
    }

    fn add(self: &Arc<Self>, readers: &mut Readers, capacity: usize) -> TraceReader {
        let (sender, records) = channel::bounded(capacity);
        let key = readers.next_key;
        readers.next_key += 1;
        let by_sink = Arc::clone(&self.lost);
        let before = by_sink.load(Ordering::Relaxed);
        let count = Arc::new(LossCount { by_reader: AtomicU64::new(0), by_sink, before });
        readers.list.push(Subscriber { key, records: sender, count: Arc::clone(&count) });
        TraceReader { records, key, count, told: AtomicU64::new(0), hub: Arc::clone(self) }
    }

    /// Every reader's trace ends, and there will be no other.
    pub(super) fn close(&self) {
        let mut readers = self.readers();
        readers.closed = true;
        readers.list.clear();
        self.end(&mut readers);
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> Result<(), Fault> {
        let Some(engine) = self.engine.upgrade() else { return Err(Fault::Stopping) };
        let (sender, records) = channel::bounded(HUB_RECORDS);
        let hub = Arc::downgrade(self);
        std::thread::Builder::new()
            .name("trace".into())
            .spawn(move || pump(&hub, &records))
            .map_err(|error| Fault::io("cannot start the trace", error))?;
        engine.trace(Some(&TraceSink {
            records: sender,
            lost: Arc::clone(&self.lost),
            last_number: Arc::clone(&self.last_number),
        }));
        Ok(())
    }

    /// The engine drops its senders, and with the last of them the thread ends.
    fn end(&self, readers: &mut Readers) {
        if readers.running
            && let Some(engine) = self.engine.upgrade()
        {
            engine.trace(None);
        }
        readers.running = false;
    }

    fn unsubscribe(&self, key: u64) {
        let mut readers = self.readers();
        readers.list.retain(|reader| reader.key != key);
        if readers.list.is_empty() {
            self.end(&mut readers);
        }
    }

    fn distribute(&self, raw: &RawRecord) {
        let names = Arc::clone(&self.names.lock().unwrap_or_else(PoisonError::into_inner));
        let record = Record::resolve(raw, 0, &*names);
        for reader in &self.readers().list {
            let lost = reader.count.now();
            if let Err(TrySendError::Full(_)) = reader.records.try_send(Record { lost, ..record.clone() }) {
                reader.count.by_reader.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn pump(hub: &Weak<TraceHub>, records: &Receiver<RawRecord>) {
    for raw in records {
        let Some(hub) = hub.upgrade() else { return };
        hub.distribute(&raw);
    }
}

/// One reader of the trace. Dropping it ends its trace.
pub struct TraceReader {
    records: Receiver<Record>,
    key: u64,
    count: Arc<LossCount>,
    /// The largest count that this reader has heard.
    told: AtomicU64,
    hub: Arc<TraceHub>,
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
    /// The next record, waiting for it no longer than `timeout`. Records of one worker come in the order of their
    /// numbers; those of two may cross.
    ///
    /// # Errors
    /// [`Quiet`].
    pub fn next(&self, timeout: Duration) -> Result<Record, Quiet> {
        let record = self.records.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => Quiet::Timeout,
            RecvTimeoutError::Disconnected => Quiet::Ended,
        })?;
        // A loss may have been told while this record waited: the count never goes back.
        let lost = record.lost.max(self.told.load(Ordering::Relaxed));
        self.told.store(lost, Ordering::Relaxed);
        Ok(Record { lost, ..record })
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
        self.tell(self.count.now() + self.records.len() as u64)
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

#[cfg(test)]
pub(super) mod tests {
    use frame::{FrameNumber, Millis, OffloadHeader, Verdict};
    use trace::Snap;

    use super::*;

    /// A hub without an engine, and a reader of it with room for so many records.
    pub(in crate::control) fn reader(capacity: usize) -> (Arc<TraceHub>, TraceReader) {
        let hub = Arc::new(TraceHub {
            engine: Weak::new(),
            readers: Mutex::default(),
            names: Mutex::default(),
            lost: Arc::new(AtomicU64::new(40)),
            last_number: Arc::default(),
        });
        let reader = hub.add(&mut hub.readers(), capacity);
        (hub, reader)
    }

    /// These frames pass.
    pub(in crate::control) fn pass(hub: &TraceHub, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            hub.distribute(&RawRecord {
                number: FrameNumber(number),
                at_unix_ns: 0,
                at: Millis(0),
                network: NetworkId(1),
                port: None,
                octets: 60,
                offload: OffloadHeader::NONE,
                snap: Snap::of(&[2; 60]),
                steps: Vec::new(),
                verdict: Verdict::Consumed,
            });
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
        hub.lost.fetch_add(4, Ordering::Relaxed);
        assert_eq!(reader.loss(), Some(Loss { lost: 7 }), "the sink's losses are everybody's");
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
    fn what_still_waits_at_the_end_is_lost() {
        let (hub, reader) = reader(2);
        pass(&hub, 1..=3);
        assert_eq!((reader.last_loss(), reader.last_loss()), (Some(Loss { lost: 3 }), None));
        hub.close();
        assert_eq!((heard(&reader), heard(&reader), heard(&reader)), (Ok((1, 3)), Ok((2, 3)), Err(Quiet::Ended)));
    }
}
