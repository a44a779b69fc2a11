//! Does what the switch has for Docker still exist? A thread that compares, in the background, with the kernel and, where
//! Docker's socket is there, with Docker itself.
//!
//! Two things come of it. Networks and endpoints get the names that the user gave them (dockerd tells its drivers none).
//! And endpoints that nobody has any more are cleared: a killed dockerd, or one that called while the switch was away, never
//! sends `DeleteEndpoint`.
//!
//! | an endpoint without interface goes when, for [`GRACE`] | |
//! | --- | --- |
//! | Docker answers and does not know it | |
//! | Docker is not asked, and it joined no sandbox, or one that is no more | the kernel's word |
//!
//! A network's own interface on the host that somebody deleted is made again.
//!
//! An endpoint that has an interface stays, whatever Docker says: two dockerds can share a switch. So do networks that
//! Docker does not know; `docker status` names them.
//!
//! Not done: Docker's events (it is asked [`SOON`] after each call, and every [`INTERVAL`]).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use docker::engine::KnownNetwork;

use super::book::{Book, Endpoint, Network};
use super::switch::{Inner, lock};
use super::types::{GatewayMode, PortState};
use super::{Fault, validate};

/// How often it is looked when nothing happens.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long after a call of dockerd's it is looked: by then it has done what it called for.
const SOON: Duration = Duration::from_millis(700);
/// How long an endpoint may be without an interface: between being made and joining there are milliseconds.
const GRACE: Duration = Duration::from_secs(20);

/// The thread that compares.
pub(super) struct Reconciler {
    nudge: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reconciler {
    /// Compare from now on; with Docker itself too, whenever it answers at `engine`. `driver` is what it calls the switch.
    ///
    /// # Errors
    /// No thread is left.
    pub(super) fn start(inner: &Arc<Inner>, engine: PathBuf, driver: String) -> Result<Self, Fault> {
        let (nudge, nudged) = bounded(1);
        let of = Arc::downgrade(inner);
        let work = move || run(&of, &nudged, &engine, &driver);
        let thread = std::thread::Builder::new().name("reconcile".into()).spawn(work);
        let thread = thread.map_err(|error| Fault::io("cannot start the thread that asks Docker", error))?;
        Ok(Self { nudge: Some(nudge), thread: Some(thread) })
    }

    /// Dockerd has called.
    pub(super) fn nudge(&self) {
        if let Some(nudge) = &self.nudge {
            let _ = nudge.try_send(()); // a nudge that waits already is enough
        }
    }

    /// End the thread. The book is not locked by the caller.
    pub(super) fn stop(mut self) {
        self.nudge.take();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that asks Docker ended by a panic");
        }
    }
}

fn run(inner: &Weak<Inner>, nudged: &Receiver<()>, engine: &Path, driver: &str) {
    let Ok(runtime) = super::background::runtime() else {
        return tracing::error!("Docker cannot be asked: there is no descriptor left");
    };
    // Endpoints without an interface, by their id, and since when.
    let mut missing = HashMap::new();
    let mut wait = SOON;
    loop {
        match nudged.recv_timeout(wait) {
            Ok(()) => {
                std::thread::sleep(SOON);
                let _ = nudged.try_recv(); // what came in between is looked at now
            }
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let known = runtime.block_on(docker::engine::networks(engine, driver));
        let known = known.inspect_err(|fault| tracing::debug!("{fault}")).ok();
        let Some(inner) = inner.upgrade() else { return };
        let ids = known.as_ref().map(|known| known.iter().map(|network| network.id.clone()).collect());
        *lock(&inner.known) = ids;
        inner.compare(known.as_deref(), &mut missing, Instant::now());
        wait = if missing.is_empty() { INTERVAL } else { GRACE / 4 };
    }
}

impl Inner {
    /// One look. What takes long is done one at a time, so that dockerd's calls come in between.
    fn compare(&self, known: Option<&[KnownNetwork]>, missing: &mut HashMap<String, Instant>, now: Instant) {
        let Ok(mut book) = self.open_book() else { return };
        if let Some(known) = known
            && take_names(&mut book, known)
        {
            self.publish(&book);
            if let Err(fault) = self.persist(&book) {
                tracing::error!("{fault}"); // the next change writes everything
            }
        }
        self.mend_host_ends(&mut book);
        self.catch_up(&book);
        let doubtful: Vec<String> = book
            .endpoints()
            .filter(|(_, endpoint)| is_doubtful(endpoint, known))
            .filter_map(|(_, endpoint)| endpoint.docker_id().map(str::to_owned))
            .collect();
        drop(book);
        missing.retain(|id, _| doubtful.contains(id));
        for id in doubtful {
            let since = *missing.entry(id.clone()).or_insert(now);
            if now.duration_since(since) >= GRACE {
                missing.remove(&id);
                self.clear(&id);
            }
        }
    }

    /// A host's end that somebody deleted is made again: without it a network has no gateway.
    fn mend_host_ends(&self, book: &mut Book) {
        let gone = |network: &&Network| {
            network.record.gateway_mode == GatewayMode::Host && network.host_end().is_none_or(|end| end.gone)
        };
        let names: Vec<String> = book.networks.iter().filter(gone).map(|network| network.name().to_owned()).collect();
        for name in names {
            match self.reopen_host_end(book, &name) {
                Ok(()) => tracing::warn!(network = name, "the host's interface was gone, and is made again"),
                Err(fault) => tracing::error!(network = name, "the host's interface is gone: {fault}"),
            }
        }
    }

    fn clear(&self, id: &str) {
        let Ok(mut book) = self.open_book() else { return };
        let found = book.networks.iter().find_map(|network| Some((network.name().to_owned(), place_of(network, id)?)));
        let Some((name, index)) = found else { return };
        if book
            .networks
            .iter()
            .flat_map(|network| &network.endpoints)
            .any(|endpoint| endpoint.docker_id() == Some(id) && endpoint.state() != PortState::Gone)
        {
            return; // it has joined since
        }
        tracing::warn!(network = name, endpoint = id, "nobody has this endpoint any more: it is removed");
        let forgotten = self.forget_endpoint(&mut book, &name, index);
        if let Err(fault) = forgotten.and_then(|()| self.persist(&book)) {
            tracing::error!("{fault}");
        }
    }
}

fn place_of(network: &Network, id: &str) -> Option<usize> {
    network.endpoints.iter().position(|endpoint| endpoint.docker_id() == Some(id))
}

/// Has it no interface, and does nobody know it?
fn is_doubtful(endpoint: &Endpoint, known: Option<&[KnownNetwork]>) -> bool {
    let Some(docker) = endpoint.record.docker.as_ref().filter(|_| endpoint.state() == PortState::Gone) else {
        return false;
    };
    match known {
        Some(known) => !known.iter().any(|network| network.endpoints.iter().any(|(id, _)| *id == docker.id)),
        None => docker.sandbox.as_ref().is_none_or(|sandbox| !Path::new(sandbox).exists()),
    }
}

/// Call networks and endpoints what Docker calls them, where that is a name of ours and nobody else has it. Did any change?
fn take_names(book: &mut Book, known: &[KnownNetwork]) -> bool {
    let mut changed = false;
    for network in known {
        let free = validate::name(&network.name).is_ok() && !book.is_taken(&network.name);
        let Some(ours) = book.networks.iter_mut().find(|ours| ours.record.id == network.id) else { continue };
        if free && ours.record.docker {
            let before = std::mem::replace(&mut ours.record.name, network.name.clone());
            rename_peer(book, &before, &network.name);
            changed = true;
        }
        let Some(ours) = book.networks.iter_mut().find(|ours| ours.record.id == network.id) else { continue };
        changed |= take_endpoint_names(ours, &network.endpoints);
    }
    changed
}

fn rename_peer(book: &mut Book, before: &str, after: &str) {
    for peer in book.networks.iter_mut().flat_map(|network| &mut network.record.peers) {
        if peer == before {
            after.clone_into(peer);
        }
    }
}

fn take_endpoint_names(network: &mut Network, known: &[(String, String)]) -> bool {
    let mut changed = false;
    for (id, name) in known {
        let free = validate::name(name).is_ok() && network.endpoint(name).is_err();
        if let Some(index) = place_of(network, id)
            && free
        {
            network.endpoints[index].record.name.clone_from(name);
            changed = true;
        }
    }
    changed
}
