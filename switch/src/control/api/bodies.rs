//! How are requests read, and answers written? JSON both ways; what cannot be read is refused in one line that names the
//! field.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use trace::Loss;

use super::{BODY_OCTETS, READ_TIMEOUT};
use crate::control::background;
use crate::control::types::Refusal;
use crate::control::{Fault, Quiet, Switch, TraceReader};

/// Pieces of an answer without an end that wait for a client.
const TRACE_PIECES: usize = 8;
/// Octets that are enough for a piece, if so much is there: some fifteen frames.
const TRACE_PIECE: usize = 16 << 10;
/// How often a trace looks whether anybody still wants it.
const TRACE_LOOK: Duration = Duration::from_millis(250);
/// How long a trace must be quiet before a loss is told without a record.
const LOSS_LOOK: Duration = Duration::from_millis(20);

/// A refusal with its status.
pub(super) fn refuse(status: StatusCode, error: impl Into<String>) -> Response {
    let line = error.into().replace(['\n', '\r'], " ");
    (status, Json(Refusal { error: line })).into_response()
}

/// A fault as a refusal.
pub(super) fn fault(fault: &Fault) -> Response {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    refuse(status, fault.to_string())
}

/// Read a body of at most [`BODY_OCTETS`] as JSON.
///
/// # Errors
/// As [`read_up_to`].
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Box<Response>> {
    read_up_to(body, BODY_OCTETS).await
}

/// Read a body of at most `most` octets as JSON.
///
/// # Errors
/// The refusal: it is too long (413), too slow (408), or not what is asked for (400).
pub(super) async fn read_up_to<T: DeserializeOwned>(body: Body, most: usize) -> Result<T, Box<Response>> {
    let octets = tokio::time::timeout(READ_TIMEOUT, collect(body, most)).await;
    let refused = |status, line: &str| Err(Box::new(refuse(status, line)));
    let octets = match octets {
        Ok(Ok(octets)) => octets,
        Ok(Err(TooLong)) => {
            let line = format!("the request is longer than {} KiB: send less", most >> 10);
            return refused(StatusCode::PAYLOAD_TOO_LARGE, &line);
        }
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "the request did not arrive within 5 seconds"),
    };
    Json::from_bytes(&octets).map(|Json(value)| value).map_err(|rejection| {
        let text = rejection.body_text();
        let why = text.rsplit_once("target type: ").map_or(text.as_str(), |(_, why)| why);
        Box::new(refuse(StatusCode::BAD_REQUEST, format!("the request's JSON cannot be used: {why}")))
    })
}

struct TooLong;

/// What breaks off is read as far as it came: it will be no JSON.
async fn collect(mut body: Body, most: usize) -> Result<Vec<u8>, TooLong> {
    let mut octets = Vec::new();
    if body.size_hint().lower() > most as u64 {
        return Err(TooLong);
    }
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame.into_data() {
            if octets.len() + data.len() > most {
                return Err(TooLong);
            }
            octets.extend_from_slice(&data);
        }
    }
    Ok(octets)
}

/// Do a control call where it may block, and answer with what it returns.
pub(super) async fn answer<T, F>(switch: Switch, call: F) -> Response
where
    T: Serialize + Send + 'static,
    F: FnOnce(&Switch) -> Result<T, Fault> + Send + 'static,
{
    match tokio::task::spawn_blocking(move || call(&switch)).await {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(refused)) => fault(&refused),
        Err(_) => failed(),
    }
}

/// The answer to a request at which the switch panicked.
pub(super) fn failed() -> Response {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "the switch failed at this request: see its log")
}

/// The trace as a body that goes on until the client goes or the switch stops.
pub(super) fn trace(reader: TraceReader, stopped: watch::Receiver<bool>) -> Response {
    let (lines, queue) = mpsc::channel(TRACE_PIECES);
    // A thread of its own: it gives way to the frames for good.
    let fed = thread::Builder::new().name("trace reader".into()).spawn(move || {
        background::give_way();
        feed(&reader, &lines, &stopped);
    });
    if fed.is_ok() { self::lines(queue) } else { failed() }
}

/// Lines of JSON as a body, as long as they come.
pub(super) fn lines(queue: mpsc::Receiver<Bytes>) -> Response {
    let mut response = Response::new(Body::new(Lines(queue)));
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
    response
}

fn feed(reader: &TraceReader, lines: &mpsc::Sender<Bytes>, stopped: &watch::Receiver<bool>) {
    while !lines.is_closed() && !*stopped.borrow() {
        let look = if reader.owes_a_loss() { LOSS_LOOK } else { TRACE_LOOK };
        let mut text = match reader.next(look) {
            Ok(record) => record.to_json_line().unwrap_or_default(),
            Err(Quiet::Timeout) => reader.loss().map_or_else(String::new, Loss::to_json_line),
            Err(Quiet::Ended) => break,
        };
        // What is there already goes along: a piece of the answer costs more than a line.
        while text.len() < TRACE_PIECE
            && let Ok(record) = reader.next(Duration::ZERO)
        {
            text.push_str(&record.to_json_line().unwrap_or_default());
        }
        // The wait is for this client alone; what its trace loses meanwhile is counted.
        if !text.is_empty() && lines.blocking_send(text.into()).is_err() {
            return;
        }
    }
    if let Some(loss) = reader.last_loss() {
        let _ = lines.blocking_send(loss.to_json_line().into()); // the client may have gone
    }
}

struct Lines(mpsc::Receiver<Bytes>);

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::trace_hub::tests::{pass, reader};

    fn text(line: Option<Bytes>) -> String {
        String::from_utf8(line.expect("a line").to_vec()).unwrap()
    }

    #[test]
    fn a_loss_is_told_when_the_trace_goes_quiet_and_at_its_end() {
        let (hub, reader) = reader(2);
        pass(&hub, 1..=5);
        let (lines, mut queue) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let feeding = std::thread::spawn(move || feed(&reader, &lines, &stopped));
        let mut told = String::new();
        while told.lines().count() < 3 {
            told.push_str(&text(queue.blocking_recv()));
        }
        let told: Vec<&str> = told.lines().collect();
        assert!(told[0].contains("\"number\":1,") && told[1].contains("\"number\":2,"), "{told:?}");
        assert_eq!(told[2..], ["{\"lost\":3}"]);
        // One line waits to be taken, one waits for its place, two wait in the reader, and four are lost at once.
        pass(&hub, 6..=6);
        std::thread::sleep(LOSS_LOOK * 5);
        pass(&hub, 7..=7);
        std::thread::sleep(LOSS_LOOK * 5);
        pass(&hub, 8..=13);
        stop.send(true).unwrap();
        assert!(text(queue.blocking_recv()).contains("\"number\":6,"));
        assert!(text(queue.blocking_recv()).contains("\"number\":7,"));
        assert_eq!(text(queue.blocking_recv()), "{\"lost\":9}\n", "what was not read on is lost as well");
        assert_eq!(queue.blocking_recv(), None);
        feeding.join().unwrap();
    }
}
