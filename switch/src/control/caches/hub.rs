//! Who hears of the hosts' caches, and what is kept? One thread, alive while somebody reads or the recorder is on; it sleeps
//! in poll(2) until a kernel has news, and wakes [`TURN`] after [`TURN`] to compare how many frames each host has sent. Only
//! who has sent any is looked at again, for what the kernel does not announce. Looks take a tenth of a CPU at most.
//!
//! A reader that is too slow loses events, and is told how many. How many events a kernel lost it does not say: each such
//! time counts as one, and every cache is looked at anew.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender, TrySendError};
use frame::{NetworkId, PortId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ports::neighbors::{NeighborEvent, NeighborMonitor};

use super::CacheEvent;
use super::board::{Board, Changes};
use super::hosts::hosts;
use super::judge::Judge;
use crate::control::names::NameBook;
use crate::control::switch::{Inner, lock};
use crate::control::{Fault, Quiet};

/// Readers at a time.
pub const READERS: usize = 8;
/// Changes that the recorder keeps.
pub const RECORDED: usize = 4096;
/// Events that wait for one reader.
const READER_EVENTS: usize = 16_384;
/// Between two comparisons of what the hosts have sent: what the kernel does not announce is told this late.
const TURN: Duration = Duration::from_millis(50);
/// For each look, so many times as long without one.
const REST: u32 = 9;
/// Looks at one cache that changes while it is looked at, before it has to wait for the next turn.
const TRIES: usize = 3;

struct Subscriber {
    key: u64,
    network: Option<NetworkId>,
    events: Sender<Arc<CacheEvent>>,
    lost: Arc<AtomicU64>,
}

#[derive(Default)]
struct Hub {
    board: Board,
    /// The names when the board was made: they are others as soon as an endpoint comes, goes or moves.
    names: Option<Arc<NameBook>>,
    readers: Vec<Subscriber>,
    next_key: u64,
    recorder: Option<VecDeque<Arc<CacheEvent>>>,
    /// There is a thread.
    runs: bool,
    closed: bool,
}

/// The hub.
#[derive(Default)]
pub(in crate::control) struct CacheHub(Mutex<Hub>);

/// One reader of the caches. Dropping it ends its watch.
pub struct CacheReader {
    first: std::vec::IntoIter<CacheEvent>,
    events: Receiver<Arc<CacheEvent>>,
    lost: Arc<AtomicU64>,
    told: u64,
    key: u64,
    network: Option<NetworkId>,
    switch: Weak<Inner>,
}

impl CacheHub {
    /// Another reader, of one network or of all.
    ///
    /// # Errors
    /// There are [`READERS`] already, the switch is stopping or may not listen, or no thread is left.
    pub(super) fn subscribe(inner: &Arc<Inner>, network: Option<NetworkId>) -> Result<CacheReader, Fault> {
        let mut hub = lock(&inner.caches.0);
        if hub.readers.len() >= READERS {
            return Err(Fault::TooManyWatches { limit: READERS });
        }
        hub.run(inner)?;
        let (sender, events) = channel::bounded(READER_EVENTS);
        let (key, lost) = (hub.next_key, Arc::<AtomicU64>::default());
        hub.next_key += 1;
        hub.readers.push(Subscriber { key, network, events: sender, lost: Arc::clone(&lost) });
        let first = hub.board.rows(network, inner.moment()).into_iter();
        Ok(CacheReader { first, events, lost, told: 0, key, network, switch: Arc::downgrade(inner) })
    }

    /// Keep the last [`RECORDED`] changes from now on, or no longer.
    ///
    /// # Errors
    /// The switch is stopping or may not listen, or no thread is left.
    pub(in crate::control) fn record(inner: &Arc<Inner>, on: bool) -> Result<(), Fault> {
        let mut hub = lock(&inner.caches.0);
        hub.recorder = None;
        if on {
            hub.run(inner)?;
            hub.recorder = Some(VecDeque::new());
        }
        Ok(())
    }

    /// What is kept of the time after that, oldest first.
    ///
    /// # Errors
    /// [`Fault::NotRecording`].
    pub(super) fn recorded(&self, since_unix_ns: u64) -> Result<Vec<CacheEvent>, Fault> {
        let hub = lock(&self.0);
        let kept = hub.recorder.as_ref().ok_or(Fault::NotRecording)?;
        Ok(kept.iter().filter(|event| event.at_unix_ns > since_unix_ns).map(|event| (**event).clone()).collect())
    }

    /// Every watch ends, and there will be no other.
    pub(in crate::control) fn close(&self) {
        let mut hub = lock(&self.0);
        hub.closed = true;
        hub.readers.clear();
        hub.recorder = None;
    }
}

impl Hub {
    fn is_wanted(&self) -> bool {
        !self.readers.is_empty() || self.recorder.is_some()
    }

    /// See to it that there is a thread and that the board is of now.
    fn run(&mut self, inner: &Arc<Inner>) -> Result<(), Fault> {
        if self.closed {
            return Err(Fault::Stopping);
        }
        if self.runs {
            return Ok(());
        }
        let mut monitor = inner.home.hear_neighbors()?;
        (self.board, self.names) = (Board::default(), None);
        self.turn(inner, &mut monitor, true);
        let weak = Arc::downgrade(inner);
        thread::Builder::new()
            .name("caches".into())
            .spawn(move || listen(&weak, monitor))
            .map_err(|error| Fault::io("cannot start watching the neighbor caches", error))?;
        self.runs = true;
        Ok(())
    }

    /// Take in what is new: endpoints, news of the kernel's, and, if this is the time, what is not announced.
    fn turn(&mut self, inner: &Inner, monitor: &mut NeighborMonitor, looks: bool) {
        let mut changes = Changes::new();
        let looks = self.follow(inner, &mut changes) || looks;
        self.hear(inner, monitor, None, &mut changes);
        if looks {
            self.board.note_senders();
            for port in self.board.due() {
                self.look(inner, monitor, port, &mut changes);
            }
        }
        self.distribute(changes);
    }

    /// Have endpoints come, gone or moved since the last turn?
    fn follow(&mut self, inner: &Inner, changes: &mut Changes) -> bool {
        let names = inner.hub.names();
        if self.names.as_ref().is_some_and(|known| Arc::ptr_eq(known, &names)) {
            return false;
        }
        let (hosts, judge) = {
            let book = inner.book();
            (hosts(book.networks.iter()), Judge::of(&book, Arc::clone(&names)))
        };
        self.names = Some(names);
        self.board.retarget(hosts, judge, inner.moment(), changes);
        true
    }

    /// Take in the news that wait. Was any of that cache?
    fn hear(
        &mut self,
        inner: &Inner,
        monitor: &mut NeighborMonitor,
        cache: Option<PortId>,
        changes: &mut Changes,
    ) -> bool {
        let news = monitor.read().unwrap_or_else(|error| {
            tracing::error!("the news of neighbor caches cannot be read: {error}");
            Vec::new()
        });
        let mut disturbed = false;
        for event in &news {
            if *event == NeighborEvent::Overflow {
                self.board.all_are_due();
                self.readers.iter().for_each(|reader| _ = reader.lost.fetch_add(1, Ordering::Relaxed));
                disturbed = true;
            }
            disturbed |= cache.is_some() && self.board.whose(event) == cache;
            self.board.heard(event, inner.moment(), changes);
        }
        disturbed
    }

    /// Look at a whole cache. News that came while it was read may be older or newer than what was read: then it is read
    /// again.
    fn look(&mut self, inner: &Inner, monitor: &mut NeighborMonitor, port: PortId, changes: &mut Changes) {
        for _ in 0..TRIES {
            let Some(host) = self.board.host(port) else { return };
            let found = host.look(&inner.home);
            if !self.hear(inner, monitor, Some(port), changes) {
                self.board.looked(port, found, inner.moment(), changes);
                return;
            }
        }
    }

    fn distribute(&mut self, changes: Changes) {
        for (network, event) in changes {
            let event = Arc::new(event);
            for reader in self.readers.iter().filter(|reader| reader.network.is_none_or(|wanted| wanted == network)) {
                if let Err(TrySendError::Full(_)) = reader.events.try_send(Arc::clone(&event)) {
                    reader.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            let is_change = event.state_before.is_some();
            if let Some(kept) = self.recorder.as_mut().filter(|_| is_change) {
                if kept.len() >= RECORDED {
                    kept.pop_front();
                }
                kept.push_back(event);
            }
        }
    }
}

/// Until nobody wants to know any more.
fn listen(inner: &Weak<Inner>, mut monitor: NeighborMonitor) {
    let mut next_look = Instant::now() + TURN;
    loop {
        let wait = next_look.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        if let Err(errno) = poll(&mut [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)], timeout)
            && errno != nix::errno::Errno::EINTR
        {
            tracing::error!("the news of neighbor caches cannot be waited for: {errno}");
            thread::sleep(Duration::from_secs(1));
        }
        let Some(inner) = inner.upgrade() else { return };
        let mut hub = lock(&inner.caches.0);
        if !hub.is_wanted() {
            (hub.runs, hub.board) = (false, Board::default());
            return;
        }
        let start = Instant::now();
        let looks = start >= next_look;
        hub.turn(&inner, &mut monitor, looks);
        if looks {
            next_look = Instant::now() + TURN.max(start.elapsed() * REST);
        }
    }
}

impl CacheReader {
    /// The next event, waiting for it no longer than `timeout`: first everything that was there when the watch began.
    ///
    /// # Errors
    /// [`Quiet`].
    pub fn next(&mut self, timeout: Duration) -> Result<CacheEvent, Quiet> {
        if let Some(event) = self.first.next() {
            return Ok(event);
        }
        let event = self.events.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => Quiet::Timeout,
            RecvTimeoutError::Disconnected => Quiet::Ended,
        })?;
        Ok((*event).clone())
    }

    /// How many events were lost so far, if that has not been told yet. From now on it has, and everything that is there
    /// follows once more, as at the beginning of the watch.
    pub fn loss(&mut self) -> Option<u64> {
        if self.lost.load(Ordering::Relaxed) == self.told {
            return None;
        }
        if let Some(inner) = self.switch.upgrade() {
            // Under the hub's lock nothing is added to the queue between its end and the look at the board.
            let hub = lock(&inner.caches.0);
            self.events.try_iter().for_each(drop);
            self.first = hub.board.rows(self.network, inner.moment()).into_iter();
        }
        self.told = self.lost.load(Ordering::Relaxed);
        Some(self.told)
    }
}

impl Drop for CacheReader {
    fn drop(&mut self) {
        if let Some(inner) = self.switch.upgrade() {
            lock(&inner.caches.0).readers.retain(|reader| reader.key != self.key);
        }
    }
}
