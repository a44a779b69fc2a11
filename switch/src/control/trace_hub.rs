//! How do the engine's records reach everybody who reads the trace? One thread, alive while somebody reads, puts names
//! in place of numbers and hands each reader a copy.
//!
//! Nobody waits for anybody: a record that the hub or one reader has no room for is lost to it, and counted in
//! [`Record::lost`] of the next one. With no reader the engine has no sink, and tracing costs nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender, TrySendError};
use frame::{MacAddr, NetworkId, PortId};
use trace::{Names, RawRecord, Record};

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
    /// Records that found this reader's channel full.
    lost: u64,
    /// What the sink had lost before this reader came.
    lost_before: u64,
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
            return Err(Fault::TooMany { what: "trace readers", limit: READERS });
        }
        if !readers.running {
            self.begin()?;
            readers.running = true;
        }
        let (sender, records) = channel::bounded(READER_RECORDS);
        let key = readers.next_key;
        readers.next_key += 1;
        let lost_before = self.lost.load(Ordering::Relaxed);
        readers.list.push(Subscriber { key, records: sender, lost: 0, lost_before });
        Ok(TraceReader { records, key, hub: Arc::clone(self) })
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
        let lost = self.lost.load(Ordering::Relaxed);
        for reader in &mut self.readers().list {
            let lost = reader.lost + lost.saturating_sub(reader.lost_before);
            if let Err(TrySendError::Full(_)) = reader.records.try_send(Record { lost, ..record.clone() }) {
                reader.lost += 1;
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
        self.records.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => Quiet::Timeout,
            RecvTimeoutError::Disconnected => Quiet::Ended,
        })
    }
}

impl Drop for TraceReader {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.key);
    }
}
