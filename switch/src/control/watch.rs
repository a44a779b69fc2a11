//! What becomes of the ports? Three who know are listened to: the kernel (netlink events of the switch's own and of the
//! containers' namespaces), the engine (a queue that failed), and the namespaces' names, for the ports that keep a
//! namespace alive themselves.
//!
//! | what is heard | what is done |
//! | --- | --- |
//! | a container's end is down | out of the flood set, its learned addresses forgotten, its queues stay |
//! | it is up again | back in |
//! | deleted, or its namespace is gone | its queues closed, everything forgotten, shown as gone |
//! | renamed | the new name is written down |
//! | moved to another namespace | the port goes on; it is followed only into the sandbox that a Docker endpoint joined |
//! | events were lost | every device is looked at |
//!
//! An event may be late and speak of a device that another one has replaced, so one that would change anything is held
//! against the kernel's own answer first.

mod news;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use crossbeam::channel::Receiver;
use frame::PortId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use ports::monitor::{LinkEvent, Monitor};
use ports::netns::{NamespaceId, NamespaceRef, Watch, holders};

use super::Fault;
use super::book::Book;
use super::switch::Inner;
use super::types::PortState;
use crate::engine::PortFailure;
use news::News;

/// Milliseconds between looks at a namespace that a port keeps alive, for what nobody tells of: a mount that ends and
/// leaves its file behind, a process that leaves for another namespace.
const LOOK_INTERVAL: u16 = 1000;
/// The same when its name is gone and somebody is left there whose end nobody tells of.
const CLOSE_LOOK_INTERVAL: u16 = 50;

/// The threads that listen.
pub(super) struct Watcher {
    signal: Arc<Signal>,
    threads: Vec<JoinHandle<()>>,
}

struct Signal {
    event: EventFd,
    stop: AtomicBool,
}

impl Signal {
    fn raise(&self) {
        let _ = self.event.write(1); // fails only when it is raised 2^64 times over
    }
}

impl Watcher {
    /// Listen from now on.
    ///
    /// # Errors
    /// No socket or thread is left, or the switch may not listen.
    pub(super) fn start(inner: &Arc<Inner>, failures: Receiver<PortFailure>) -> Result<Self, Fault> {
        let fault = |error| Fault::io("cannot watch the ports", error);
        let monitor = Monitor::open().map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                Fault::NotPermitted { what: "to watch the ports".to_owned(), capability: "CAP_NET_BROADCAST" }
            }
            _ => fault(error),
        })?;
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC);
        let event = event.map_err(|errno| fault(errno.into()))?;
        let signal = Arc::new(Signal { event, stop: AtomicBool::new(false) });
        let mut watcher = Self { signal: Arc::clone(&signal), threads: Vec::new() };
        let of_kernel = Arc::downgrade(inner);
        let of_engine = Arc::downgrade(inner);
        let named = |name: &str| std::thread::Builder::new().name(name.into());
        let kernel = named("watch").spawn(move || listen(&of_kernel, monitor, &signal)).map_err(fault)?;
        watcher.threads.push(kernel);
        let engine = named("port-failures").spawn(move || hear(&of_engine, &failures)).map_err(fault)?;
        watcher.threads.push(engine);
        Ok(watcher)
    }

    /// The list of ports has changed.
    pub(super) fn wake(&self) {
        self.signal.raise();
    }

    /// End the threads; the engine has stopped already, and the book is not locked by the caller.
    pub(super) fn stop(mut self) {
        self.signal.stop.store(true, Ordering::Release);
        self.signal.raise();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that watches the ports ended by a panic");
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.signal.stop.store(true, Ordering::Release);
        self.signal.raise();
    }
}

/// A port that keeps its container's namespace alive.
struct Pinning {
    port: PortId,
    reference: NamespaceRef,
    identity: NamespaceId,
    /// Hears of the name's end, and after that of the end of a process that is left there; `None` when nothing tells of
    /// it and it has to be asked for.
    watch: Option<Watch>,
    /// The name is gone.
    lingers: bool,
}

fn listen(inner: &Weak<Inner>, mut monitor: Monitor, signal: &Signal) {
    let mut pinning: Vec<Pinning> = Vec::new();
    loop {
        let timeout = look_in(&pinning);
        let mut fds =
            vec![PollFd::new(monitor.as_fd(), PollFlags::POLLIN), PollFd::new(signal.event.as_fd(), PollFlags::POLLIN)];
        let watches = pinning.iter().filter_map(|pinning| pinning.watch.as_ref());
        fds.extend(watches.map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)));
        if let Err(errno) = poll(&mut fds, timeout)
            && errno != nix::errno::Errno::EINTR
        {
            tracing::error!("the ports are no longer watched: {errno}");
            return;
        }
        if signal.stop.load(Ordering::Acquire) {
            return;
        }
        let Some(inner) = inner.upgrade() else { return };
        let changed = signal.event.read().is_ok();
        match monitor.read() {
            Ok(events) if events.is_empty() => (),
            Ok(events) => inner.heard(&events),
            Err(error) => tracing::error!("netlink events cannot be read: {error}"),
        }
        for pinning in &mut pinning {
            if pinning.is_abandoned() {
                inner.lose(pinning.port, "its namespace has ended for everybody else");
            }
        }
        if changed {
            pinning = inner.pinning();
        }
        pinning.retain(|pinning| inner.is_pinning(pinning.port));
    }
}

/// How long to wait for an event before the next look.
fn look_in(pinning: &[Pinning]) -> PollTimeout {
    let unheard = |pinning: &Pinning| pinning.lingers && pinning.watch.is_none();
    match pinning {
        [] => PollTimeout::NONE,
        some if some.iter().any(unheard) => CLOSE_LOOK_INTERVAL.into(),
        _ => LOOK_INTERVAL.into(),
    }
}

fn hear(inner: &Weak<Inner>, failures: &Receiver<PortFailure>) {
    for PortFailure { port, error } in failures {
        let Some(inner) = inner.upgrade() else { return };
        inner.lose(port, &error.to_string());
    }
}

impl Pinning {
    /// Has the namespace neither its name nor a process any more?
    fn is_abandoned(&mut self) -> bool {
        if let Some(watch) = &mut self.watch
            && !watch.is_gone().unwrap_or(false)
        {
            return false;
        }
        self.watch = None; // a process's end stays readable for ever
        let named = NamespaceId::of_path(&self.reference.path()).is_ok_and(|identity| identity == self.identity);
        self.lingers = !named;
        if named {
            return false;
        }
        let Ok(processes) = holders(self.identity) else { return false };
        // While one of them lives there is no need to look for the others.
        let mut watches = processes.iter().filter_map(|pid| NamespaceRef::Process(*pid).watch(self.identity).ok());
        self.watch = watches.find_map(|mut watch| (!watch.is_gone().unwrap_or(true)).then_some(watch));
        processes.is_empty()
    }
}

impl Inner {
    /// Ports that keep their namespace alive.
    fn pinning(&self) -> Vec<Pinning> {
        let book = self.book();
        let pinning = book.endpoints().filter(|(_, endpoint)| endpoint.pins());
        pinning
            .filter_map(|(_, endpoint)| {
                let identity = endpoint.place.as_ref()?.identity;
                let reference: NamespaceRef = endpoint.record.netns.parse().ok()?;
                let watch = reference.watch(identity).ok();
                Some(Pinning { port: endpoint.port(), reference, identity, watch, lingers: false })
            })
            .collect()
    }

    fn is_pinning(&self, port: PortId) -> bool {
        self.book().by_port(port).is_some_and(|(_, endpoint)| endpoint.pins())
    }

    /// A port's devices are gone.
    fn lose(&self, port: PortId, why: &str) {
        let mut book = self.book();
        if self.mark_gone(&mut book, port, why) {
            self.publish(&book);
        }
    }

    fn heard(&self, events: &[LinkEvent]) {
        let mut book = self.book();
        let mut outcome = Outcome::Nothing;
        for event in events {
            let concerned: Vec<PortId> = book
                .endpoints()
                .filter(|(_, endpoint)| news::concerns(event, endpoint))
                .map(|(_, endpoint)| endpoint.port())
                .collect();
            for port in concerned {
                outcome = outcome.max(self.look_again(&mut book, port, event));
            }
        }
        if outcome > Outcome::Nothing {
            self.publish(&book);
        }
        if outcome == Outcome::Renamed
            && let Err(fault) = self.persist(&book)
        {
            tracing::error!("{fault}");
        }
    }

    /// Ask the kernel what an event means for a port.
    fn look_again(&self, book: &mut Book, port: PortId, event: &LinkEvent) -> Outcome {
        let Some((tables, endpoint)) = book.by_port(port) else { return Outcome::Nothing };
        let Some(mut place) = endpoint.place.clone().filter(|_| !endpoint.gone) else { return Outcome::Nothing };
        let before = endpoint.state();
        let mut outcome = Outcome::Nothing;
        match news::inside(&self.home, endpoint, &place, event) {
            News::Gone(why) => return self.gone(book, port, why),
            news @ (News::Moved | News::Missing) => match (self.follow(endpoint), news) {
                (Some(followed), _) => {
                    place = followed;
                    outcome = Outcome::Renamed;
                }
                // The event that would tell may be one of those that were lost.
                (None, News::Missing) if *event == LinkEvent::Overflow => {
                    return self.gone(book, port, "its interface was deleted");
                }
                (None, News::Missing) => (),
                (None, _) => {
                    tracing::warn!(endpoint = endpoint.record.name, "its interface was moved out of its namespace");
                    place.ifindex = 0;
                    endpoint.inside_up = true;
                }
            },
            News::There { name, up, .. } => {
                endpoint.inside_up = up;
                if name != endpoint.record.ifname {
                    tracing::info!(endpoint = endpoint.record.name, "its interface is called '{name}' now");
                    endpoint.record.ifname = name;
                    outcome = Outcome::Renamed;
                }
            }
            News::Nothing => (),
        }
        match news::host(&self.home, &place) {
            News::Gone(why) => return self.gone(book, port, why),
            // Where the container's end is not followed, the carrier tells of it.
            News::There { name, up, running } => {
                endpoint.host_up = up && (running || place.ifindex != 0);
                if let Some(host) = place.host.as_mut().filter(|host| host.name != name) {
                    tracing::info!(endpoint = endpoint.record.name, "its host end is called '{name}' now");
                    host.name.clone_from(&name);
                    endpoint.record.host_ifname = Some(name);
                    outcome = Outcome::Renamed;
                }
            }
            News::Moved | News::Missing | News::Nothing => (),
        }
        endpoint.place = Some(place);
        let state = endpoint.state();
        if state == PortState::Down && before == PortState::Up {
            tables.flush_port(port);
        }
        if state == before { outcome } else { outcome.max(Outcome::Changed) }
    }

    fn gone(&self, book: &mut Book, port: PortId, why: &str) -> Outcome {
        if self.mark_gone(book, port, why) { Outcome::Changed } else { Outcome::Nothing }
    }

    /// Close a port's queues and forget what was learned there. Was it there until now?
    fn mark_gone(&self, book: &mut Book, port: PortId, why: &str) -> bool {
        let Some((tables, endpoint)) = book.by_port(port) else { return false };
        if std::mem::replace(&mut endpoint.gone, true) {
            return false;
        }
        tracing::warn!(endpoint = endpoint.record.name, "the port is gone: {why}");
        let ips: Vec<_> = endpoint.addresses().map(|ip| ip.addr()).collect();
        tables.forget_control(&ips);
        self.engine.detach(port);
        book.forget(port);
        true
    }
}

/// What an event changed, in the order of what follows from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Nothing,
    /// The workers have to know.
    Changed,
    /// It has to be written down as well.
    Renamed,
}
