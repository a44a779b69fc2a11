//! How is a daemon behind a unix socket asked something? By HTTP/1.0 (RFC 1945): one request, one answer, and the
//! connection's end is the answer's. Nobody has to be installed for it, and what is measured has no client's start in it.
//!
//! Not done: connections that are kept, answers in chunks (nobody sends any to HTTP/1.0).

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// A daemon's socket.
#[derive(Clone, Debug)]
pub struct Daemon {
    socket: PathBuf,
    patience: Duration,
}

impl Daemon {
    /// Who listens at `socket`, and has `patience` for each part of an answer.
    pub fn at(socket: impl Into<PathBuf>, patience: Duration) -> Self {
        Self { socket: socket.into(), patience }
    }

    /// Ask without a body.
    ///
    /// # Errors
    /// As [`Daemon::send`].
    pub fn ask(&self, method: &str, path: &str) -> io::Result<Value> {
        self.send(method, path, "application/json", b"")
    }

    /// Ask with JSON.
    ///
    /// # Errors
    /// As [`Daemon::send`].
    pub fn tell(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        self.send(method, path, "application/json", body.to_string().as_bytes())
    }

    /// Ask with a body of this kind. An answer that is no JSON is `null`.
    ///
    /// # Errors
    /// There is nobody, no answer in time, or a refusal, in the daemon's own words.
    pub fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<Value> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{method} {path}: {error}"));
        let answer = self.exchange(method, path, kind, body).map_err(named)?;
        let (status, body) = parse(&answer).ok_or_else(|| named(io::ErrorKind::InvalidData.into()))?;
        let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if (200..400).contains(&status) {
            return Ok(value);
        }
        let said = ["message", "error"].iter().find_map(|key| value[key].as_str());
        Err(named(io::Error::other(said.map_or_else(|| format!("status {status}"), str::to_owned))))
    }

    fn exchange(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(self.patience))?;
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.0\r\nHost: d\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// The status and the body of an answer.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end + 4);
    let first = std::str::from_utf8(head).ok()?.lines().next()?;
    let status = first.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    fn answered(answer: &'static str) -> (io::Result<Value>, String) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let told = Daemon::at(&socket, Duration::from_secs(5)).tell("POST", "/x", &serde_json::json!({ "a": 1 }));
        (told, server.join().unwrap())
    }

    #[test]
    fn an_answer_is_json_or_nothing() {
        let (told, asked) = answered("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"b\":2}");
        assert_eq!(told.unwrap()["b"], 2);
        assert!(asked.starts_with("POST /x HTTP/1.0\r\n") && asked.ends_with("Content-Length: 7\r\n\r\n{\"a\":1}"));
        assert_eq!(answered("HTTP/1.1 204 No Content\r\n\r\n").0.unwrap(), Value::Null);
    }

    #[test]
    fn a_refusal_is_told_in_the_daemons_words() {
        for (answer, why) in [
            ("HTTP/1.1 409 Conflict\r\n\r\n{\"message\":\"in use\"}", "POST /x: in use"),
            ("HTTP/1.1 404 Not Found\r\n\r\n{\"error\":\"none such\"}", "POST /x: none such"),
            ("HTTP/1.1 500 Oh\r\n\r\nwords", "POST /x: status 500"),
            ("hello", "POST /x: invalid data"),
        ] {
            assert_eq!(answered(answer).0.unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn nobody_is_named() {
        let error = Daemon::at("/no/such/socket", Duration::from_secs(1)).ask("GET", "/y").unwrap_err();
        assert!(error.to_string().starts_with("GET /y: No such file"), "{error}");
    }
}
