//! How does a command ask the daemon? HTTP/1.1 with JSON over a unix socket (RFC 9112; the paths stand in
//! `switch::control::types`).
//!
//! One connection a request, on a runtime of the command's own thread. Not done: keep-alive, retries.

use std::error::Error;
use std::fmt::{Display, Write};
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use switch::control::types::Refusal;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::failure::Failure;

/// How long an answer may take. Removing a network with thousands of endpoints takes seconds, never this long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a daemon that took no request is listened to, and how much of what it says is read, octets.
const UNASKED_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_UNASKED_OCTETS: u64 = 4096;

/// Largest answer that is read, octets: the MAC table at its largest is some 2 GiB of JSON, and nobody reads that.
const MAX_ANSWER_OCTETS: usize = 256 << 20;

/// The daemon, as a command sees it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

/// What a daemon answered, as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    octets: Bytes,
    head: HeaderMap,
}

impl Answer {
    /// The answer in the daemon's own words, on one line: what `--json` prints. Keys that this program does not know
    /// yet are passed on.
    pub(crate) fn json_line(&self) -> String {
        format!("{}\n", String::from_utf8_lossy(&self.octets).trim_end())
    }

    /// A number in the answer's head; 0 where it is not there.
    pub(crate) fn count(&self, header: &str) -> u64 {
        let value = self.head.get(header).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// The answer as one of the types of `switch::control::types`.
    ///
    /// # Errors
    /// When it is none: another version, or no lanyard daemon at all.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.octets).map_err(|error| {
            Failure::work("the daemon's answer cannot be read; is it of the same version ('lanyard version')?", error)
        })
    }
}

impl Client {
    /// A client of the daemon at this socket. Nothing is opened before something is asked.
    pub(crate) const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Ask and wait for the whole answer. `path` begins with `/v1/`; names in it must have gone through [`segment`].
    ///
    /// # Errors
    /// [`Failure::Words`] when the daemon says 400, [`Failure::Work`] for every other refusal and when there is no
    /// daemon to ask.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Answer, Failure> {
        block_on(self.answer(method, path, body))?
    }

    /// Ask without a body.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, None::<&()>)
    }

    /// The same as [`Client::ask`], for a command that has a runtime already.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, Failure> {
        let work = async {
            let (response, _connection) = self.request(method, path, body).await?;
            let (status, head) = (response.status(), response.headers().clone());
            let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER_OCTETS).collect().await;
            let octets = body.map_err(|error| self.unread(&*error))?.to_bytes();
            if status.is_success() { Ok(Answer { octets, head }) } else { Err(refusal(status, &octets)) }
        };
        let in_time = tokio::time::timeout(ANSWER_TIMEOUT, work).await;
        in_time.unwrap_or_else(|_| Err(self.silent()))
    }

    /// Begin to read an answer that has no end, such as `/v1/trace`.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn stream(&self, path: &str) -> Result<Lines, Failure> {
        let work = self.request(Method::GET, path, None::<&()>);
        let in_time = tokio::time::timeout(ANSWER_TIMEOUT, work).await;
        let (response, connection) = in_time.unwrap_or_else(|_| Err(self.silent()))?;
        let status = response.status();
        if !status.is_success() {
            let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER_OCTETS).collect().await;
            let octets = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            return Err(refusal(status, &octets));
        }
        Ok(Lines { body: response.into_body(), rest: Vec::new(), _connection: connection })
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| Failure::work("writing the request", error))?,
            None => Vec::new(),
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.no_connection(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, mut connection) = handshake.map_err(|error| self.unanswered(&error, None))?;
        let mut connection = Connection(tokio::spawn(async move {
            // What goes wrong here, the request or its body hears too.
            let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
            let parts = connection.into_parts();
            unasked_answer(parts.read_buf, parts.io.into_inner()).await
        }));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "lanyard")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::work(format!("'{path}' cannot be asked for"), error))?;
        match sender.send_request(request).await {
            Ok(response) => Ok((response, connection)),
            Err(error) if left_alone(&error) => {
                drop(sender);
                let unasked = tokio::time::timeout(UNASKED_TIMEOUT, &mut connection.0).await;
                Err(self.unanswered(&error, unasked.ok().and_then(Result::ok).flatten()))
            }
            Err(error) => Err(self.unanswered(&error, None)),
        }
    }

    fn no_connection(&self, error: &io::Error) -> Failure {
        let path = self.socket.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => Failure::Work(
                format!("no daemon answers at {path}: start one with 'lanyard run', or name its socket with --socket"),
            ),
            io::ErrorKind::PermissionDenied => Failure::Work(format!(
                "no permission to use {path}: run this command as the daemon's user (root, as a rule), or have the \
                 socket's group or mode changed"
            )),
            io::ErrorKind::InvalidInput => Failure::Words(format!(
                "{path} cannot be a socket: a unix socket's path has 1 to 107 octets; name another with --socket"
            )),
            _ => Failure::work(format!("the daemon at {path} cannot be reached"), error),
        }
    }

    /// Why no answer began: `unasked` is what the daemon said to a connection that it did not take.
    fn unanswered(&self, error: &hyper::Error, unasked: Option<Failure>) -> Failure {
        match unasked {
            Some(refusal) => refusal,
            None if left_alone(error) => self.closed("before it answered"),
            None => self.stranger(error),
        }
    }

    /// Why the rest of an answer did not come.
    fn unread(&self, error: &(dyn Error + 'static)) -> Failure {
        match error.downcast_ref::<hyper::Error>() {
            Some(error) if left_alone(error) => self.closed("in the middle of its answer"),
            _ => self.stranger(error),
        }
    }

    fn closed(&self, when: &str) -> Failure {
        let path = self.socket.display();
        Failure::Work(format!("the daemon at {path} closed the connection {when}: is it still running? try again"))
    }

    fn silent(&self) -> Failure {
        let (path, seconds) = (self.socket.display(), ANSWER_TIMEOUT.as_secs());
        Failure::Work(format!("the daemon at {path} gave no answer in {seconds} s: it may be too busy; try again"))
    }

    fn stranger(&self, why: impl Display) -> Failure {
        let path = self.socket.display();
        Failure::Work(format!(
            "what listens at {path} does not answer as a lanyard daemon does ({why}): name the daemon's socket with \
             --socket"
        ))
    }
}

/// Did the other side go away, rather than say what cannot be read?
fn left_alone(error: &hyper::Error) -> bool {
    let by_system = || {
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        source.is_some_and(|source| {
            matches!(
                source.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
            )
        })
    };
    error.is_canceled() || error.is_closed() || error.is_incomplete_message() || by_system()
}

/// A daemon with no connection to spare says so at once, hears nothing and closes; HTTP reads no answer before it has
/// asked. What was said is read here, if it is a refusal.
async fn unasked_answer(read: Bytes, rest: UnixStream) -> Option<Failure> {
    let mut octets = read.to_vec();
    // As far as it comes: what breaks off is no refusal.
    let _ = rest.take(MAX_UNASKED_OCTETS).read_to_end(&mut octets).await;
    let text = String::from_utf8(octets).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status: u16 = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body: Refusal = serde_json::from_str(body).ok()?;
    (400..600).contains(&status).then_some(Failure::Work(body.error))
}

/// The task that moves a connection's octets; it ends with its owner.
#[derive(Debug)]
struct Connection(JoinHandle<Option<Failure>>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The lines of an answer that has no end.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
    _connection: Connection,
}

impl Lines {
    /// The next lines that are there, at least one; an empty list when the daemon has ended. May be dropped half-way
    /// and called again.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn next(&mut self) -> Result<Vec<String>, Failure> {
        while let Some(piece) = self.body.frame().await {
            let piece =
                piece.map_err(|error| Failure::work("the daemon stopped in the middle of its answer", error))?;
            if let Ok(octets) = piece.into_data() {
                let lines = cut_lines(&mut self.rest, &octets);
                if !lines.is_empty() {
                    return Ok(lines);
                }
            }
        }
        Ok(Vec::new())
    }
}

/// Whole lines out of `rest` and what followed it; the last, unfinished one stays in `rest`. Empty lines, which keep a
/// quiet connection awake, are passed over.
fn cut_lines(rest: &mut Vec<u8>, octets: &[u8]) -> Vec<String> {
    rest.extend_from_slice(octets);
    let Some(end) = rest.iter().rposition(|octet| *octet == b'\n') else { return Vec::new() };
    let whole: Vec<u8> = rest.drain(..=end).collect();
    let lines = whole.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// What the daemon refused: 400 is a matter of words, all else of work.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let text = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.error,
        Err(_) => format!("the daemon refused with '{status}' and no reason; is it of the same version?"),
    };
    if status == StatusCode::BAD_REQUEST { Failure::Words(text) } else { Failure::Work(text) }
}

/// A name as one segment of a path: all but RFC 3986's unreserved characters in percent form, so that no name can reach
/// another path.
pub(crate) fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            segment.push(octet as char);
        } else {
            let _ = write!(segment, "%{octet:02X}"); // a String takes everything
        }
    }
    segment
}

/// Run a future to its end on this thread.
///
/// # Errors
/// When the system gives no event loop (out of file descriptors, say).
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| Failure::work("no event loop", error))?.block_on(future))
}

/// The same for a command that runs until Ctrl-C, which ends it well.
///
/// # Errors
/// What the future says.
pub(crate) fn until_ctrl_c(future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    block_on(async {
        tokio::select! {
            outcome = future => outcome,
            heard = tokio::signal::ctrl_c() => heard.map_err(|error| Failure::work("waiting for Ctrl-C", error)),
        }
    })?
}

#[cfg(test)]
impl Answer {
    /// An answer that nobody gave.
    pub(crate) fn of(text: &'static str, head: &[(&'static str, &'static str)]) -> Self {
        let header = |(name, value): &(&'static str, &'static str)| {
            (hyper::header::HeaderName::from_static(name), hyper::header::HeaderValue::from_static(value))
        };
        Self { octets: Bytes::from_static(text.as_bytes()), head: head.iter().map(header).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_segment() {
        assert_eq!(segment("blue-1.a_b"), "blue-1.a_b");
        assert_eq!(segment("../x?y#z %"), "..%2Fx%3Fy%23z%20%25");
        assert_eq!(segment("é"), "%C3%A9");
    }

    #[test]
    fn only_400_is_a_matter_of_words() {
        let body = br#"{"error":"no"}"#;
        assert_eq!(refusal(StatusCode::BAD_REQUEST, body), Failure::Words("no".into()));
        for status in [404, 405, 409, 413, 500] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refusal(status, body), Failure::Work("no".into()));
        }
        let Failure::Work(text) = refusal(StatusCode::NOT_FOUND, b"<html>") else { panic!("work") };
        assert!(text.contains("404"), "{text}");
    }

    #[test]
    fn lines_are_cut_wherever_the_pieces_end() {
        let mut rest = Vec::new();
        assert_eq!(cut_lines(&mut rest, b"{\"a\":1}\n{\"b\""), ["{\"a\":1}"]);
        assert!(cut_lines(&mut rest, b":2").is_empty());
        assert_eq!(cut_lines(&mut rest, b"}\n\n{}\n"), ["{\"b\":2}", "{}"]);
        assert!(rest.is_empty());
    }

    #[test]
    fn an_answer_is_passed_on_as_it_came() {
        let answer = Answer::of("[{\"z\":1,\"unknown\":null}]\n", &[("a", "7"), ("b", "-7")]);
        assert_eq!((answer.count("a"), answer.count("b"), answer.count("c")), (7, 0, 0));
        assert_eq!(answer.json_line(), "[{\"z\":1,\"unknown\":null}]\n");
        assert!(matches!(answer.read::<Refusal>(), Err(Failure::Work(_))));
    }
}
