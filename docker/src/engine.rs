//! What does Docker itself know of the driver's networks? Their names, and which endpoints are running containers': asked
//! of its API (v1.24 and later) on its socket, in the background only, never while dockerd waits for an answer.
//!
//! `GET /networks/ID` lists endpoints of running containers only. Not done: TCP, TLS, events.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Octets of an answer: a network with 4,096 containers needs about 1 MiB.
const ANSWER_OCTETS: usize = 16 << 20;

/// A network of the driver's, as Docker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNetwork {
    /// Docker's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The endpoints of running containers: Docker's id of each, and the container's name.
    pub endpoints: Vec<(String, String)>,
}

/// Why Docker could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineFault {
    /// Nobody answers there.
    #[error("Docker does not answer at {0}: {1}")]
    Unreachable(String, std::io::Error),
    /// The conversation broke off.
    #[error("Docker's answer to {0} broke off: {1}")]
    Broken(String, String),
    /// It refused.
    #[error("Docker refused {0}: {1}")]
    Refused(String, StatusCode),
    /// It took too long.
    #[error("Docker did not answer {0} within {PATIENCE:?}")]
    Late(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    id: String,
    name: String,
    #[serde(default)]
    containers: Option<HashMap<String, Container>>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "EndpointID", default)]
    endpoint: String,
}

/// The networks of the driver of that name.
///
/// # Errors
/// Docker does not answer, or not in its own form.
pub async fn networks(socket: &Path, driver: &str) -> Result<Vec<KnownNetwork>, EngineFault> {
    // Every octet of it that a query may not have is written as a number.
    let filters = format!("%7B%22driver%22%3A%5B%22{driver}%22%5D%7D");
    let listed: Vec<Network> = ask(socket, &format!("/networks?filters={filters}")).await?;
    let mut known = Vec::with_capacity(listed.len());
    for Network { id, .. } in listed {
        match ask::<Network>(socket, &format!("/networks/{id}")).await {
            Ok(network) => known.push(of(network)),
            // It was removed since it was listed.
            Err(EngineFault::Refused(_, StatusCode::NOT_FOUND)) => (),
            Err(fault) => return Err(fault),
        }
    }
    Ok(known)
}

fn of(network: Network) -> KnownNetwork {
    let containers = network.containers.unwrap_or_default().into_values();
    let mut endpoints: Vec<_> = containers.map(|container| (container.endpoint, container.name)).collect();
    endpoints.sort();
    KnownNetwork { id: network.id, name: network.name, endpoints }
}

async fn ask<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, EngineFault> {
    let late = |_| EngineFault::Late(path.to_owned());
    tokio::time::timeout(PATIENCE, converse(socket, path)).await.map_err(late)?
}

async fn converse<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, EngineFault> {
    let unreachable = |error| EngineFault::Unreachable(socket.display().to_string(), error);
    let broken = |error: &dyn std::fmt::Display| EngineFault::Broken(path.to_owned(), error.to_string());
    let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let request = Request::get(path).header("Host", "docker").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| broken(&error))?;
    let exchange = async move {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(EngineFault::Refused(path.to_owned(), answer.status()));
        }
        let body = Limited::new(answer.into_body(), ANSWER_OCTETS).collect().await.map_err(|error| broken(&error))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| broken(&error))
    };
    tokio::pin!(exchange);
    // The connection has to be driven until the answer is there; its end is told by the exchange.
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    /// A Docker that gives one answer after the other, one to a connection; what it was asked.
    async fn told(listener: UnixListener, answers: Vec<String>) -> Vec<String> {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let octets = stream.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..octets]).into_owned();
            asked.push(text.lines().next().unwrap_or_default().to_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    async fn asked(answers: Vec<String>) -> (Result<Vec<KnownNetwork>, EngineFault>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (known, asked) = tokio::join!(networks(&path, "lanyard"), async {
            tokio::time::timeout(Duration::from_secs(2), told(listener, answers)).await.unwrap_or_default()
        });
        (known, asked)
    }

    #[tokio::test]
    async fn names_and_endpoints_are_read() {
        let list = answer("200 OK", r#"[{"Name":"lan","Id":"ab","Driver":"lanyard","Containers":{}}]"#);
        let one = answer(
            "200 OK",
            r#"{"Name":"lan","Id":"ab","Containers":{"c1":{"Name":"web","EndpointID":"e1","IPv4Address":"10.0.0.2/24"}}}"#,
        );
        let (known, asked) = asked(vec![list, one]).await;
        let expected =
            KnownNetwork { id: "ab".into(), name: "lan".into(), endpoints: vec![("e1".into(), "web".into())] };
        assert_eq!(known.unwrap(), [expected]);
        assert!(asked[0].starts_with("GET /networks?filters=%7B%22driver"), "{asked:?}");
        assert!(asked[1].starts_with("GET /networks/ab "), "{asked:?}");
    }

    #[tokio::test]
    async fn a_network_that_goes_meanwhile_is_no_fault_and_garbage_is() {
        let list = answer("200 OK", r#"[{"Name":"lan","Id":"ab"}]"#);
        let (known, _) = asked(vec![list, answer("404 Not Found", "{}")]).await;
        assert_eq!(known.unwrap(), []);
        assert!(matches!(asked(vec![answer("500 Oh", "{}")]).await.0, Err(EngineFault::Refused(..))));
        assert!(matches!(asked(vec![answer("200 OK", "<html>")]).await.0, Err(EngineFault::Broken(..))));
        assert!(matches!(asked(vec!["garbage\r\n\r\n".to_owned()]).await.0, Err(EngineFault::Broken(..))));
        let nowhere = networks(Path::new("/nowhere/docker.sock"), "lanyard").await;
        assert!(matches!(nowhere, Err(EngineFault::Unreachable(..))));
    }
}
