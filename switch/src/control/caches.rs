//! Which MAC addresses do the hosts themselves believe in? The neighbor caches (RFC 826, RFC 4861 5.1) of every endpoint's
//! own kernel, read and heard by netlink, never changed; each row held against what the switch knows.
//!
//! | file | the question |
//! | --- | --- |
//! | `caches.rs` | what is told of a cache, to whom? |
//! | `caches/hosts.rs` | whose caches are there, and what is in one now? |
//! | `caches/judge.rs` | does a row contradict the switch? |
//! | `caches/board.rs` | what changed, and from what? |
//! | `caches/hub.rs` | who hears of it, and what is kept? |
//!
//! Not done: entries for group addresses, which are computed and not learned; caches of interfaces that are not the
//! switch's.

mod board;
mod hosts;
mod hub;
mod judge;

use std::net::IpAddr;

use frame::MacAddr;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::switch::{Inner, Switch};

pub(super) use hub::CacheHub;
pub use hub::{CacheReader, READERS, RECORDED};

/// A row of a host's neighbor cache, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRow {
    /// The network's name.
    pub network: String,
    /// The endpoint whose kernel it is.
    pub endpoint: String,
    /// The neighbor's address; `null` where the cache cannot be read.
    pub ip: Option<IpAddr>,
    /// The MAC address that the host believes in; `null` while it asks, or in vain.
    pub mac: Option<MacAddr>,
    /// Whose that is, as far as the switch knows.
    pub mac_name: Option<String>,
    /// `INCOMPLETE`, `REACHABLE`, `STALE`, `DELAY`, `PROBE` (RFC 4861, 7.3.2), `FAILED`, `NOARP` or `PERMANENT`.
    pub state: String,
    /// What the switch knows better, in words.
    pub conflict: Option<String>,
    /// Why the cache cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A change of a row; or, with `state_before` null, a row that was there when the watch began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEvent {
    /// When the switch heard of it: nanoseconds since 1970-01-01 UTC.
    pub at_unix_ns: u64,
    /// The network's name.
    pub network: String,
    /// The endpoint whose kernel it is.
    pub endpoint: String,
    /// The neighbor's address; left out where the cache cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The MAC address that the host believes in now.
    pub mac: Option<MacAddr>,
    /// Whose that is, as far as the switch knows.
    pub mac_name: Option<String>,
    /// The MAC address that it believed in before.
    #[serde(default)]
    pub mac_before: Option<MacAddr>,
    /// The state before; empty when there was no row; `null` when nobody watched before.
    pub state_before: Option<String>,
    /// The state now; empty when the row is gone.
    pub state_after: String,
    /// What the switch knows better, in words.
    pub conflict: Option<String>,
    /// Why the cache cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<CacheEvent> for CacheRow {
    fn from(event: CacheEvent) -> Self {
        let CacheEvent { network, endpoint, ip, mac, mac_name, state_after: state, conflict, error, .. } = event;
        Self { network, endpoint, ip, mac, mac_name, state, conflict, error }
    }
}

impl Switch {
    /// The hosts' neighbor caches as they are now, of one network or of all. A cache that cannot be read is a row that says
    /// why.
    ///
    /// # Errors
    /// There is no network of that name.
    pub fn caches(&self, network: Option<&str>) -> Result<Vec<CacheRow>, Fault> {
        Ok(self.0.caches_now(network)?.into_iter().map(CacheRow::from).collect())
    }

    /// Hear of every change in them, after what is there now. Endpoints that join later are heard, too.
    ///
    /// # Errors
    /// There is no network of that name, there are too many readers, the switch is stopping or may not listen.
    pub fn watch_caches(&self, network: Option<&str>) -> Result<CacheReader, Fault> {
        let network = network.map(|name| self.0.book().network(name).map(super::book::Network::id)).transpose()?;
        CacheHub::subscribe(&self.0, network)
    }

    /// The last changes after that time (nanoseconds since 1970-01-01 UTC), oldest first.
    ///
    /// # Errors
    /// [`Fault::NotRecording`].
    pub fn recorded_caches(&self, since_unix_ns: u64) -> Result<Vec<CacheEvent>, Fault> {
        self.0.caches.recorded(since_unix_ns)
    }
}

impl Inner {
    fn caches_now(&self, network: Option<&str>) -> Result<Vec<CacheEvent>, Fault> {
        let (hosts, judge) = {
            let book = self.book();
            let hosts = hosts::hosts(Self::chosen(&book, network)?.into_iter());
            (hosts, judge::Judge::of(&book, self.hub.names()))
        };
        let mut board = board::Board::default();
        board.retarget(hosts, judge, self.moment(), &mut Vec::new());
        for port in board.due() {
            let Some(found) = board.host(port).map(|host| host.look(&self.home)) else { continue };
            board.looked(port, found, self.moment(), &mut Vec::new());
        }
        Ok(board.rows(None, self.moment()))
    }

    fn moment(&self) -> board::Moment {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let unix_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        board::Moment { unix_ns, clock: self.engine.clock().now() }
    }
}
