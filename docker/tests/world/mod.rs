//! A driver on a socket of its own, before a switch that writes down what it is asked.
#![allow(dead_code, unused_imports, reason = "each test program uses its own part")]

mod fake;
mod wire;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub(crate) use fake::{Fake, id};
pub(crate) use wire::{Client, request};

/// The deadline where none is tested: no answer here takes so long, even on a machine that is busy.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);

/// A driver that answers until it is dropped.
pub(crate) struct World {
    pub(crate) fake: Arc<Fake>,
    socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(deadline: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("lanyard.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let fake = Arc::new(Fake::default());
        let (stop, stopped) = oneshot::channel();
        let fabric = Arc::clone(&fake);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, fabric, deadline, async {
                let _ = stopped.await;
            }));
            runtime.shutdown_timeout(Duration::from_secs(10));
        });
        Self { fake, socket, stop: Some(stop), thread: Some(thread), _folder: folder }
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket)
    }

    /// Can somebody still connect?
    pub(crate) fn is_open(&self) -> bool {
        std::os::unix::net::UnixStream::connect(&self.socket).is_ok()
    }

    /// Tell the driver to end, and go on.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Wait for its end.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn serve(
    listener: std::os::unix::net::UnixListener,
    fabric: Arc<Fake>,
    deadline: Duration,
    stop: impl Future<Output = ()> + Send,
) {
    let listener = tokio::net::UnixListener::from_std(listener).unwrap();
    lanyard_docker::serve(listener, fabric, deadline, stop).await;
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
        self.fake.let_go();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the driver panicked");
        }
    }
}
