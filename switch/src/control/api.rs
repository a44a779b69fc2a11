//! Who may ask the switch, and how much? HTTP/1.1 with JSON on a unix socket that only its owner can open.
//!
//! | file | the question |
//! | --- | --- |
//! | `api.rs` | which connections are served, for how long, and how does it end? |
//! | `api/socket.rs` | who holds the socket's name? |
//! | `api/routes.rs` | which request asks for what? |
//! | `api/faults.rs` | how are lines made bad? |
//! | `api/clock.rs` | how is a table's clock moved? |
//! | `api/frames.rs` | who asks about frames? |
//! | `api/caches.rs` | who asks about the hosts' neighbor caches? |
//! | `api/bodies.rs` | how are requests read and answers written? |
//!
//! Limits: 64 connections, 32 KiB of header, 64 KiB of body, 5 seconds to send either; a trace counts as a connection.
//!
//! Not done: other users than the socket's owner, TCP.

mod bodies;
mod caches;
mod clock;
mod faults;
mod frames;
mod routes;
mod socket;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{Fault, Switch};
pub(super) use socket::{Claimed, claim};

/// Connections at a time.
pub const CONNECTIONS: usize = 64;
/// Octets of a request's body.
pub const BODY_OCTETS: usize = 64 << 10;
/// Octets of a request's header.
const HEADER_OCTETS: usize = 32 << 10;
/// Lines of a request's header.
const HEADER_LINES: usize = 64;
/// The longest a client may take to send a header, or a body.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether a client is still there.
const CLIENT_LOOK: Duration = Duration::from_millis(250);
/// The longest that one connection too many is spent on.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_millis(50);
/// The longest that open connections are waited for at the end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer to one connection too many, written without a look at its request.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n\
content-length: 74\r\n\r\n{\"error\":\"the switch has 64 control connections already: try again later\"}";

/// The thread that answers on the socket.
pub(super) struct ApiServer {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    _socket: Claimed,
}

impl ApiServer {
    /// Take the socket's name, and answer there from now on.
    ///
    /// # Errors
    /// [`Fault::InUse`] when a live daemon answers there; [`Fault::Io`] when it cannot be made.
    pub(super) fn start(switch: Switch, path: &Path) -> Result<Self, Fault> {
        let fault = |error| Fault::io(format!("cannot answer on {}", path.display()), error);
        let (claimed, listener) = claim(path)?;
        let runtime = super::background::runtime().map_err(fault)?;
        let listener = {
            let _context = runtime.enter();
            UnixListener::from_std(listener).map_err(fault)?
        };
        let (stop, stopped) = watch::channel(false);
        let router = routes::router(switch, &stopped);
        let thread = std::thread::Builder::new()
            .name("api".into())
            .spawn(move || run(runtime, listener, &router, stopped))
            .map_err(fault)?;
        Ok(Self { stop, thread, _socket: claimed })
    }

    /// Take no more requests, finish those that are open, and give the name back.
    pub(super) fn stop(self) {
        let _ = self.stop.send(true); // fails only when the thread has ended already
        if self.thread.join().is_err() {
            tracing::error!("the control socket's thread ended by a panic");
        }
    }
}

fn run(runtime: Runtime, listener: UnixListener, router: &Router, stopped: watch::Receiver<bool>) {
    runtime.block_on(accept(listener, router, stopped));
    // A control call that is still at work gets its time: it has devices half-made.
    runtime.shutdown_timeout(LEAVE_TIMEOUT);
}

async fn accept(listener: UnixListener, router: &Router, mut stopped: watch::Receiver<bool>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => (),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match Arc::clone(&free).try_acquire_owned() {
                    Ok(place) => {
                        let (router, stopped) = (router.clone(), stopped.clone());
                        connections.spawn(async move {
                            serve(stream, router, stopped).await;
                            drop(place);
                        });
                    }
                    // Who is turned away leaves soon; when there are as many of those as well, they wait for each other.
                    Err(_) if connections.len() < 2 * CONNECTIONS => {
                        connections.spawn(turn_away(stream));
                    }
                    Err(_) => turn_away(stream).await,
                },
                Err(error) => {
                    tracing::error!("the control socket cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await; // no descriptor is left: do not spin
                }
            },
        }
    }
    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LEAVE_TIMEOUT, all_done).await; // who does not finish in time is cut off
}

async fn serve(stream: UnixStream, router: Router, mut stopped: watch::Receiver<bool>) {
    let client = stream.as_fd().try_clone_to_owned();
    let mut http = http1::Builder::new();
    // A client may close its side as soon as it has asked (`printf .. | nc -N -U`), and still wants its answer.
    http.half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_headers(HEADER_LINES)
        .max_buf_size(HEADER_OCTETS);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = gone(client) => return,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a control connection ended early: {error}");
    }
}

/// Wait until the client has closed both directions. An answer that goes on without an end, the trace, would notice only
/// with the next frame, and a switch may be quiet for long (poll(2): POLLHUP is always reported).
async fn gone(client: std::io::Result<OwnedFd>) {
    let Ok(client) = client else { return std::future::pending().await };
    loop {
        tokio::time::sleep(CLIENT_LOOK).await;
        let mut fds = [PollFd::new(client.as_fd(), PollFlags::empty())];
        let polled = poll(&mut fds, PollTimeout::ZERO);
        if polled.is_ok() && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
            return;
        }
    }
}

/// A client that does not read does not hold anybody up: what fits into its socket is all it gets. What it asks is read
/// and forgotten: a socket that is closed with something unread in it takes the answer along (unix(7), ECONNRESET).
async fn turn_away(mut stream: UnixStream) {
    let answer = async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await?;
        let mut request = stream.take(BODY_OCTETS as u64);
        tokio::io::copy(&mut request, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(TURN_AWAY_TIMEOUT, answer).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(BUSY).unwrap();
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(header.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(body.contains(&format!("{CONNECTIONS} control connections")));
        serde_json::from_str::<crate::control::types::Refusal>(body).unwrap();
    }
}
