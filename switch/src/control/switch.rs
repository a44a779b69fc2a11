//! What can be asked of the switch? One handle for the control socket, the lab and the tests.
//!
//! Every change takes the same lock: it is checked first, undone when a later part of it fails, written down before it is
//! answered, and made known to the workers and the trace. Frames never wait for it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trace::filter::Filter;

use super::Fault;
use super::api::ApiServer;
use super::attach::Home;
use super::book::{Book, Network};
use super::caches::CacheHub;
use super::outside::Outside;
use super::plugin::{PluginServer, PluginSocket};
use super::reconcile::Reconciler;
use super::state::State;
use super::store::Store;
use super::trace_hub::TraceHub;
use super::trace_reader::TraceReader;
use super::watch::Watcher;
use crate::engine::Engine;

/// How the switch is to run.
#[derive(Clone, Debug)]
pub struct SwitchConfig {
    /// Worker threads; each port has a queue for each.
    pub workers: usize,
    /// Where the state is kept; `None` keeps nothing, and the devices end with the switch.
    pub state_dir: Option<PathBuf>,
}

/// The most workers: a TAP has at most 256 queues (`MAX_TAP_QUEUES`, `drivers/net/tun.c`), and more than this never helps.
pub const MOST_WORKERS: usize = 64;

/// A running switch. Clones are handles on the same one.
#[derive(Clone)]
pub struct Switch(pub(super) Arc<Inner>);

/// What the handles share.
pub(super) struct Inner {
    pub(super) engine: Arc<Engine>,
    pub(super) home: Home,
    /// Is the state kept, and are devices to outlive the switch?
    pub(super) durable: bool,
    pub(super) hub: Arc<TraceHub>,
    pub(super) caches: CacheHub,
    /// Held by whoever has copies of the tables to ask what would be: they may be as large as the tables.
    pub(super) asking: Mutex<()>,
    book: Mutex<Book>,
    /// Let go at the end, so that another switch can have the folder.
    store: Mutex<Option<Store>>,
    /// The host's rules and ports, while there are networks that reach the host.
    pub(super) outside: Mutex<Option<Outside>>,
    /// The last change of the rules failed.
    pub(super) rules_behind: AtomicBool,
    watcher: Mutex<Option<Watcher>>,
    api: Mutex<Option<ApiServer>>,
    plugin: Mutex<Option<PluginServer>>,
    reconciler: Mutex<Option<Reconciler>>,
    /// Docker's ids of the networks that it had when it was last asked; `None` before that.
    pub(super) known: Mutex<Option<Vec<String>>>,
}

impl Switch {
    /// Start the engine and take up the networks and endpoints of the state folder. Endpoints whose devices are gone are
    /// kept, and shown as gone.
    ///
    /// # Errors
    /// The state folder is in use or unusable, there are too many workers, or the system has no threads left. An
    /// endpoint that cannot be opened is no fault: it is logged.
    pub fn start(config: SwitchConfig) -> Result<Self, Fault> {
        let SwitchConfig { workers, state_dir } = config;
        if !(1..=MOST_WORKERS).contains(&workers) {
            return Err(Fault::OutOfRange {
                what: "workers",
                value: workers as u64,
                least: 1,
                most: MOST_WORKERS as u64,
            });
        }
        let store = state_dir.as_deref().map(Store::open).transpose()?;
        let state = store.as_ref().map_or_else(|| Ok(Some(State::default())), Store::load)?;
        let lost = state.is_none();
        let state = state.unwrap_or_default();
        let home = Home::here()?;
        let (engine, failures) =
            Engine::start(workers).map_err(|error| Fault::io("cannot start the workers", error))?;
        let engine = Arc::new(engine);
        let hub = TraceHub::start(&engine)?;
        let inner = Arc::new(Inner {
            engine,
            home,
            durable: store.is_some(),
            hub,
            caches: CacheHub::default(),
            asking: Mutex::default(),
            book: Mutex::new(Book::resume(&state)),
            store: Mutex::new(store),
            outside: Mutex::default(),
            rules_behind: AtomicBool::new(false),
            watcher: Mutex::default(),
            api: Mutex::default(),
            plugin: Mutex::default(),
            reconciler: Mutex::default(),
            known: Mutex::default(),
        });
        // First the watcher: what happens to a device while it is taken up again is heard afterwards.
        let watcher = Watcher::start(&inner, failures)?;
        *lock(&inner.watcher) = Some(watcher);
        let switch = Self(inner);
        switch.0.resume(state)?;
        if lost {
            switch.0.tell_of_orphans();
        }
        Ok(switch)
    }

    /// Answer on a unix socket as well, until [`Switch::stop`].
    ///
    /// # Errors
    /// [`Fault::InUse`] when a live daemon answers there; [`Fault::Io`] when the socket cannot be made.
    pub fn serve(&self, socket: &Path) -> Result<(), Fault> {
        let server = ApiServer::start(self.clone(), socket)?;
        if let Some(earlier) = lock(&self.0.api).replace(server) {
            earlier.stop();
        }
        Ok(())
    }

    /// Be Docker's network driver as well, until [`Switch::stop`]. `engine` is the socket of Docker's own API, which is asked
    /// for names, in the background, whenever it is there.
    ///
    /// # Errors
    /// [`Fault::InUse`] when a live daemon answers there; [`Fault::Io`] when the socket cannot be used.
    pub fn serve_docker(&self, socket: PluginSocket, engine: PathBuf) -> Result<(), Fault> {
        let driver = socket.driver();
        let server = PluginServer::start(self.clone(), socket)?;
        if let Some(earlier) = lock(&self.0.plugin).replace(server) {
            earlier.stop();
        }
        let reconciler = Reconciler::start(&self.0, engine, driver)?;
        if let Some(earlier) = lock(&self.0.reconciler).replace(reconciler) {
            earlier.stop();
        }
        Ok(())
    }

    /// Read the trace of every frame.
    ///
    /// # Errors
    /// There are too many readers, or the switch is stopping.
    pub fn trace(&self) -> Result<TraceReader, Fault> {
        self.trace_only(&Filter::default())
    }

    /// Read the trace of the frames that `filter` lets through; the others are not traced, as far as can be told when they
    /// come in.
    ///
    /// # Errors
    /// There are too many readers, or the switch is stopping.
    pub fn trace_only(&self, filter: &Filter) -> Result<TraceReader, Fault> {
        self.0.hub.subscribe(filter)
    }

    /// Keep the last `limit` decision records from now on, for [`Switch::records`], and the changes of the hosts'
    /// neighbor caches; 0 keeps none.
    ///
    /// # Errors
    /// The switch is stopping.
    pub fn record(&self, limit: usize) -> Result<(), Fault> {
        self.0.hub.record(limit)?;
        CacheHub::record(&self.0, limit > 0)
    }

    /// Leave in order: first the socket, then the engine. With a state folder the endpoints' devices stay for the next
    /// start; without one they are removed, because nobody could find them again. Does nothing the second time.
    ///
    /// # Errors
    /// Everything that could not be removed or written down.
    pub fn stop(&self) -> Result<(), Fault> {
        self.leave(!self.0.durable)
    }

    /// Leave, and remove every network and endpoint.
    ///
    /// # Errors
    /// Everything that could not be removed or written down.
    pub fn stop_and_remove(&self) -> Result<(), Fault> {
        self.leave(true)
    }

    fn leave(&self, remove: bool) -> Result<(), Fault> {
        if let Some(api) = lock(&self.0.api).take() {
            api.stop();
        }
        if let Some(plugin) = lock(&self.0.plugin).take() {
            plugin.stop();
        }
        if let Some(reconciler) = lock(&self.0.reconciler).take() {
            reconciler.stop();
        }
        self.0.hub.close();
        self.0.caches.close();
        let mut book = self.0.book();
        if std::mem::replace(&mut book.closed, true) {
            return Ok(());
        }
        let left = if remove { self.0.remove_everything(&mut book) } else { Ok(()) };
        drop(book);
        // The watcher's threads take the book's lock: they are ended without it.
        let watcher = lock(&self.0.watcher).take();
        self.0.engine.stop();
        if let Some(watcher) = watcher {
            watcher.stop();
        }
        lock(&self.0.store).take();
        left
    }
}

impl Inner {
    /// The book, whatever became of the thread that had it before: it is changed only when everything else succeeded.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    /// The book, to change something.
    ///
    /// # Errors
    /// The switch is stopping.
    pub(super) fn open_book(&self) -> Result<MutexGuard<'_, Book>, Fault> {
        let book = self.book();
        if book.closed { Err(Fault::Stopping) } else { Ok(book) }
    }

    /// Write everything down.
    ///
    /// # Errors
    /// The system refused; the state on disk is the one before.
    pub(super) fn persist(&self, book: &Book) -> Result<(), Fault> {
        lock(&self.store).as_ref().map_or(Ok(()), |store| store.save(&book.state()))
    }

    /// Make everything known to the workers and to the trace.
    pub(super) fn publish(&self, book: &Book) {
        self.hub.rename(book.names());
        self.engine.publish(book.snapshot());
    }

    /// Dockerd has called: soon there will be names to ask for.
    pub(super) fn dockerd_called(&self) {
        if let Some(reconciler) = lock(&self.reconciler).as_ref() {
            reconciler.nudge();
        }
    }

    /// What has to be watched changed.
    pub(super) fn rewatch(&self) {
        if let Some(watcher) = lock(&self.watcher).as_ref() {
            watcher.wake();
        }
    }

    fn remove_everything(&self, book: &mut Book) -> Result<(), Fault> {
        let mut faults = Vec::new();
        let names: Vec<String> = book.networks.iter().map(|network| network.name().to_owned()).collect();
        for name in names {
            faults.extend(self.remove(book, &name, true).err());
        }
        together(faults)
    }
}

impl Inner {
    /// The networks a table is asked of: one, or all.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn chosen<'a>(book: &'a Book, network: Option<&str>) -> Result<Vec<&'a Network>, Fault> {
        match network {
            Some(name) => book.network(name).map(|network| vec![network]),
            None => Ok(book.networks.iter().collect()),
        }
    }
}

/// One fault out of many; none out of none.
///
/// # Errors
/// If there is any.
pub(super) fn together(mut faults: Vec<Fault>) -> Result<(), Fault> {
    match faults.len() {
        0 => Ok(()),
        1 => faults.pop().map_or(Ok(()), Err),
        _ => Err(Fault::Several(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
