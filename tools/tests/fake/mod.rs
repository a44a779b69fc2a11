//! What is a daemon that only says what a test tells it to?

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use tempfile::TempDir;

/// A daemon that gives one answer to whoever connects, and tells what it was asked.
pub(crate) struct FakeDaemon {
    pub(crate) socket: PathBuf,
    thread: JoinHandle<Vec<String>>,
    _folder: TempDir,
}

impl FakeDaemon {
    /// `connections` times the same answer: the octets of an HTTP response.
    pub(crate) fn start(connections: usize, response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::serve(connections, move |stream| {
            // A client that has read enough may have gone.
            let _ = stream.write_all(&response);
        })
    }

    /// `connections` times what `answer` does with the connection.
    pub(crate) fn serve(connections: usize, answer: impl Fn(&mut UnixStream) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for stream in listener.incoming().take(connections) {
                let mut stream = stream.expect("a connection");
                asked.push(request(&stream));
                answer(&mut stream);
            }
            asked
        });
        Self { socket, thread, _folder: folder }
    }

    /// What it was asked: `METHOD PATH BODY`, one for each connection.
    pub(crate) fn asked(self) -> Vec<String> {
        self.thread.join().expect("the fake daemon ends well")
    }
}

/// A response with a body of JSON.
pub(crate) fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A response without an end; each piece is sent with [`chunk`].
pub(crate) const ENDLESS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

/// One piece of an endless response (RFC 9112, 7.1).
pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn request(stream: &UnixStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a request line");
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut octets = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("a header");
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(length) = header.strip_prefix("content-length:") {
            octets = length.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; octets];
    reader.read_exact(&mut body).expect("a body");
    format!("{method} {path} {}", String::from_utf8_lossy(&body)).trim_end().to_owned()
}
