//! Where does dockerd find the switch? On a unix socket in Docker's plugin folder, made here or handed over by systemd, with
//! a thread that answers there (the crate `docker` knows how).
//!
//! Not done: other plugin sockets at the same time; a TCP address (`/etc/docker/plugins/*.spec`).

use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::api::Claimed;
use super::{Fault, Switch, api};

/// The longest that a call which has missed its deadline is waited for at the end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where dockerd looks for the driver `lanyard`.
pub const PLUGIN_SOCKET: &str = "/run/docker/plugins/lanyard.sock";

/// The socket that dockerd asks on.
pub enum PluginSocket {
    /// To be made, and removed at the end.
    At(PathBuf),
    /// Somebody else's, who keeps it when the switch goes: dockerd's calls wait in its queue meanwhile.
    Given(StdListener),
}

impl PluginSocket {
    /// What dockerd calls the driver: the socket's name without its ending.
    pub(super) fn driver(&self) -> String {
        let path = match self {
            Self::At(path) => path.clone(),
            Self::Given(listener) => {
                let address = listener.local_addr().ok();
                address.and_then(|address| address.as_pathname().map(Path::to_owned)).unwrap_or_default()
            }
        };
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.filter(|stem| !stem.is_empty()).unwrap_or_else(|| "lanyard".to_owned())
    }
}

/// The thread that answers dockerd.
pub(super) struct PluginServer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    _socket: Option<Claimed>,
}

impl PluginServer {
    /// Answer dockerd from now on.
    ///
    /// # Errors
    /// [`Fault::InUse`] when a live daemon answers there; [`Fault::Io`] when the socket cannot be used.
    pub(super) fn start(switch: Switch, socket: PluginSocket) -> Result<Self, Fault> {
        let fault = |error| Fault::io("cannot answer dockerd", error);
        let (claimed, listener) = match socket {
            PluginSocket::At(path) => claim(&path)?,
            PluginSocket::Given(listener) => {
                listener.set_nonblocking(true).map_err(fault)?;
                (None, listener)
            }
        };
        let runtime = super::background::runtime().map_err(fault)?;
        let listener = {
            let _context = runtime.enter();
            UnixListener::from_std(listener).map_err(fault)?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let answer = move || {
            let ended = async move {
                let _ = stopped.await; // the sender's end is the end, too
            };
            runtime.block_on(docker::serve(listener, Arc::new(switch), docker::DEADLINE, ended));
            runtime.shutdown_timeout(LEAVE_TIMEOUT);
        };
        let thread = std::thread::Builder::new().name("docker".into()).spawn(answer).map_err(fault)?;
        Ok(Self { stop, thread, _socket: claimed })
    }

    /// Take no more requests, and finish those that are open.
    pub(super) fn stop(self) {
        let _ = self.stop.send(()); // fails only when the thread has ended already
        if self.thread.join().is_err() {
            tracing::error!("the thread that answers dockerd ended by a panic");
        }
    }
}

fn claim(path: &Path) -> Result<(Option<Claimed>, StdListener), Fault> {
    api::claim(path).map(|(claimed, listener)| (Some(claimed), listener))
}
