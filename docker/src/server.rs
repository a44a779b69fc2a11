//! Which connections are served, for how long, and how does it end? HTTP/1.1 on a unix socket, as dockerd's plugin client
//! speaks it (moby, `pkg/plugins/client.go`).
//!
//! - dockerd opens a connection per request in flight and keeps some open for as long as it lives. An idle connection is
//!   never closed from here: a request that dockerd is just sending on it would come again without its body, and fail.
//! - Up to 20.10.25, 23.0.6 and 24.0.4 dockerd sends an empty `Host:` header. No header is looked at.
//! - One connection more than [`CONNECTIONS`] waits in the listener's queue; turned away, it would fail a container's start.
//! - Who may connect is decided by the socket's mode and folder: the caller's.
//!
//! Limits: 256 connections, 32 KiB of header, 8 MiB of body, one deadline for a request's arrival and the switch's answer.
//!
//! Not done: TLS, TCP, HTTP/2; the plugin protocol needs none of them on a unix socket.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::calls::Caller;
use crate::fabric::Fabric;
use crate::fault::{Fault, shown};
use crate::methods;

/// How long a request may take, if the caller has no other idea. dockerd itself would wait for ever.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Connections at a time.
pub const CONNECTIONS: usize = 256;
/// Octets of a request's body. One port takes some 100; all ports of one protocol, 6.5 MB, fit.
pub const BODY_OCTETS: usize = 8 << 20;
/// Octets of a request's header.
const HEADER_OCTETS: usize = 32 << 10;
/// What Docker calls this protocol; answers say so, requests accept it.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.docker.plugins.v1.2+json");
/// How long to wait when there is no descriptor for a connection.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(100);
/// What an answer may take beyond its deadline to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Answer dockerd on `listener` until `stop` ends; then take no more requests, and let those that are open end, which
/// takes `deadline` at most. Runs on a tokio runtime with time and I/O; `fabric` is called on its blocking threads, several
/// calls at a time.
pub async fn serve(
    listener: UnixListener,
    fabric: Arc<dyn Fabric>,
    deadline: Duration,
    stop: impl Future<Output = ()> + Send,
) {
    let (ending, ended) = watch::channel(false);
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = async {
            // Never closed, so there is always a place some day.
            let place = Arc::clone(&free).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => (),
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let (fabric, ended) = (Arc::clone(&fabric), ended.clone());
                    connections.spawn(async move {
                        connection(stream, fabric, deadline, ended).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::error!("the Docker driver's socket cannot accept: {error}");
                    tokio::time::sleep(DESCRIPTOR_WAIT).await; // no descriptor is left: do not spin
                }
            },
        }
    }
    drop(listener);
    let _ = ending.send(true); // fails only when no connection is open
    let all_done = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(deadline + WRITE_TIMEOUT, all_done).await.is_err() {
        tracing::warn!("a request of dockerd's was cut off at the end");
    }
}

async fn connection(stream: UnixStream, fabric: Arc<dyn Fabric>, deadline: Duration, mut ended: watch::Receiver<bool>) {
    let service = service_fn(|request| {
        let caller = Caller::new(Arc::clone(&fabric), deadline);
        async move { Ok::<_, Infallible>(respond(&caller, request).await) }
    });
    let mut http = http1::Builder::new();
    // A client may close its side as soon as it has asked (`printf .. | socat - UNIX:..`), and still wants its answer.
    // The header's timeout would run while a connection is idle.
    http.half_close(true).timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEADER_OCTETS);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = ended.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!("a connection of dockerd's ended early: {error}");
    }
}

async fn respond(caller: &Caller, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let (status, document) = match tokio::time::timeout_at(caller.until(), collect(body)).await {
        Err(_) => refused(path, &Fault::Slow),
        Ok(Err(fault)) => refused(path, &fault),
        Ok(Ok(_)) if head.method != Method::POST => refused(path, &Fault::Verb(shown(path))),
        Ok(Ok(body)) => methods::answer(caller, path, &body).await,
    };
    // dockerd reads lines, as Go's encoder writes them; so does a human.
    let mut response = Response::new(Full::new(Bytes::from(format!("{document}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    response
}

fn refused(path: &str, fault: &Fault) -> (StatusCode, Value) {
    tracing::warn!("{}: {fault}", shown(path));
    (fault.status(), fault.document())
}

/// A body that is too long is read to its end and forgotten: a socket that is closed with something unread in it takes the
/// answer along (unix(7), ECONNRESET). One that breaks off has nobody who waits for an answer, and must not be acted upon.
async fn collect(mut body: Incoming) -> Result<Vec<u8>, Fault> {
    let mut octets = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Fault::Malformed("it broke off".to_owned()))?.into_data() else { continue };
        length += data.len();
        if length <= BODY_OCTETS {
            octets.extend_from_slice(&data);
        } else {
            octets = Vec::new();
        }
    }
    if length > BODY_OCTETS { Err(Fault::TooLong(BODY_OCTETS)) } else { Ok(octets) }
}
