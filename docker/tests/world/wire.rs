//! HTTP by raw octets, as dockerd writes it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// One connection.
pub(crate) struct Client {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) header: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn err(&self) -> String {
        self.json()["Err"].as_str().unwrap_or_else(|| panic!("no Err: {self:?}")).to_owned()
    }
}

/// A request as dockerd 20.10.24 sends it; `host` is the whole line, if there is one.
pub(crate) fn request(host: Option<&str>, method: &str, path: &str, body: &str) -> Vec<u8> {
    let host = host.map_or_else(String::new, |host| format!("{host}\r\n"));
    format!(
        "{method} {path} HTTP/1.1\r\n{host}User-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n\
         Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    /// Send as much as the other side takes.
    pub(crate) fn try_send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    /// Say that no more will be sent.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write); // the other side may be gone
    }

    /// POST with an empty `Host:`, and read the answer.
    pub(crate) fn ask(&mut self, path: &str, body: &str) -> Reply {
        self.send(&request(Some("Host: "), "POST", path, body));
        self.reply().expect("an answer")
    }

    /// The next answer; `None` at the end of the connection.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        let mut header = String::new();
        while !header.ends_with("\r\n\r\n") {
            match self.reader.read_line(&mut header) {
                Ok(0) => {
                    assert!(header.is_empty(), "broken off: {header}");
                    return None;
                }
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                read => read.unwrap(),
            };
        }
        let status = header.split(' ').nth(1).unwrap().parse().unwrap();
        let length =
            header.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.reader.read_exact(&mut body).unwrap();
        Some(Reply { status, header, body: String::from_utf8(body).unwrap() })
    }
}
