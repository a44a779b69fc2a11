//! Does the control socket keep to its word, also with clients that do not? Raw HTTP over a unix socket.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod control_world;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use control_world::*;
use lanyard_switch::control::Fault;
use serde_json::{Value, json};

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Send what is said to be a request; the status and the body of the answer.
fn raw(socket: &Path, request: &[u8]) -> (u16, String) {
    let mut stream = connect(socket);
    let _ = stream.write_all(request); // who is refused early may not read all of it
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

fn ask(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let (status, text) = raw(socket, format!("{head}{body}").as_bytes());
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {status} '{text}'")))
}

fn with_a_switch(test: impl FnOnce(&Path) + Send) {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let switch = start(1, None);
        switch.serve(&socket).unwrap();
        test(&socket);
        switch.stop_and_remove().unwrap();
        assert!(!socket.exists(), "the socket's name is given back");
    });
}

#[test]
fn the_whole_conversation() {
    with_a_switch(|socket| {
        let (status, hello) = ask(socket, "GET", "/v1/ping", "");
        assert_eq!((status, &hello["program"], &hello["pid"]), (200, &json!("lanyard"), &json!(std::process::id())));
        assert_eq!(ask(socket, "GET", "/v1/networks", ""), (200, json!([])));
        let (status, lab) = ask(socket, "POST", "/v1/networks", r#"{"name":"lab","subnet":"10.9.0.0/24"}"#);
        assert_eq!(
            (status, &lab["gateway"], &lab["gateway_mac"]),
            (200, &json!("10.9.0.1"), &json!("02:42:0a:09:00:01"))
        );
        assert_eq!(ask(socket, "POST", "/v1/networks", r#"{"name":"prune"}"#).0, 200);
        assert_eq!(ask(socket, "PUT", "/v1/networks/lab/peers/prune", ""), (200, json!({})));
        assert_eq!(ask(socket, "GET", "/v1/networks/prune", "").1["peers"], json!(["lab"]));
        assert_eq!(ask(socket, "DELETE", "/v1/networks/lab/peers/prune", ""), (200, json!({})));
        // A network goes by its id as well, or the beginning of it, and is kept by its name all the same.
        let (by_id, id) = (lab["id"].as_str().unwrap(), lab["id"].as_str().unwrap()[..12].to_owned());
        assert_eq!(ask(socket, "PUT", &format!("/v1/networks/lab/peers/{by_id}"), "").0, 400);
        assert_eq!(ask(socket, "PUT", &format!("/v1/networks/prune/peers/{id}"), ""), (200, json!({})));
        assert_eq!(ask(socket, "GET", "/v1/networks/prune", "").1["peers"], json!(["lab"]));
        assert_eq!(ask(socket, "DELETE", &format!("/v1/networks/prune/peers/{id}"), ""), (200, json!({})));
        assert_eq!(ask(socket, "GET", "/v1/networks/prune", "").1["peers"], json!([]));
        assert_eq!(ask(socket, "PUT", "/v1/networks/prune/peers/lab", ""), (200, json!({})));
        let host = Container::new();
        let spec = json!({ "netns": host.netns(), "endpoint": "web", "static": true }).to_string();
        let (status, web) = ask(socket, "POST", &format!("/v1/networks/{id}/endpoints"), &spec);
        assert_eq!(web["network"], json!("lab"));
        assert_eq!(
            (status, &web["ip"], &web["state"], &web["static"]),
            (200, &json!("10.9.0.2/24"), &json!("up"), &json!(true))
        );
        for (more, refused) in [
            (json!({ "netns": "no-such-lanyard" }), 404),
            (json!({ "netns": "pid:4194999" }), 404),
            (json!({ "netns": "/no/such/lanyard" }), 404),
            (json!({ "netns": "pid:x" }), 400),
            (json!({ "netns": "a/b" }), 400),
            (json!({ "netns": host.netns(), "mac": web["mac"] }), 409),
            (json!({ "netns": host.netns(), "mac": "01:00:00:00:00:01" }), 400),
        ] {
            let (status, answer) = ask(socket, "POST", "/v1/networks/lab/endpoints", &more.to_string());
            assert_eq!(status, refused, "{more}: {answer}");
        }
        assert_eq!(ask(socket, "GET", "/v1/ports?network=lab", "").1[0]["endpoint"], json!("web"));
        assert_eq!(ask(socket, "GET", "/v1/mac", "").1.as_array().unwrap().len(), 3);
        assert_eq!(ask(socket, "GET", "/v1/arp", "").1[0]["state"], json!("permanent"));
        assert_eq!(ask(socket, "GET", "/v1/drops?network=prune", ""), (200, json!([])));
        assert_eq!(ask(socket, "GET", "/v1/workers", "").1[0]["queues"], json!(1));
        assert_eq!(ask(socket, "DELETE", "/v1/networks/lab", "").0, 409);
        assert_eq!(ask(socket, "DELETE", "/v1/networks/lab/endpoints/web", ""), (200, json!({})));
        assert_eq!(ask(socket, "DELETE", &format!("/v1/networks/{id}?force=true"), ""), (200, json!({})));
        assert_eq!(
            ask(socket, "GET", "/v1/networks/prune", "").1["peers"],
            json!([]),
            "a peering goes with its network"
        );
        assert_eq!(ask(socket, "POST", "/v1/networks/prune", ""), (200, json!({ "networks": ["prune"] })));
    });
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    with_a_switch(|socket| {
        let spec = "/v1/networks";
        let table = [
            ("GET", "/", "", 404, "there is no '/'"),
            ("GET", "/v2/ping", "", 404, "/v2/ping"),
            ("POST", "/v1/ping", "", 405, "POST"),
            ("PUT", "/v1/networks", "", 405, "PUT"),
            ("POST", "/v1/networks/lab", "", 405, "POST"),
            ("GET", "/v1/networks/none", "", 404, "no network 'none'"),
            ("GET", "/v1/networks/%ff", "", 400, "address"),
            ("DELETE", "/v1/networks/none?force=maybe", "", 400, "force"),
            ("DELETE", "/v1/networks/none/endpoints/x", "", 404, "no network 'none'"),
            ("GET", "/v1/ports?network=none", "", 404, "no network 'none'"),
            ("GET", "/v1/ports?nerwork=lab", "", 400, "nerwork"),
            ("POST", spec, "", 400, "JSON"),
            ("POST", spec, "{", 400, "JSON"),
            ("POST", spec, "[1]", 400, "JSON"),
            ("POST", spec, r#"{"subnet":"10.0.0.0/24"}"#, 400, "missing field `name`"),
            ("POST", spec, r#"{"name":"lab","color":"red"}"#, 400, "color"),
            ("POST", spec, r#"{"name":"lab","mtu":"big"}"#, 400, "mtu"),
            ("POST", spec, r#"{"name":"lab","subnet":"10.0.0.0/99"}"#, 400, "subnet"),
            ("POST", spec, r#"{"name":"lab","gateway_mode":"nobody"}"#, 400, "gateway_mode"),
            ("POST", spec, r#"{"name":"a b"}"#, 400, "'a b' is no name"),
            ("POST", spec, "{\"name\":\"\u{1b}[2J\\n\"}", 400, "JSON"),
            ("POST", "/v1/networks/none/endpoints", r#"{"netns":"x","mac":"zz"}"#, 400, "mac"),
            ("POST", "/v1/networks/none/endpoints", r#"{"netns":"x"}"#, 404, "no network 'none'"),
        ];
        for (method, path, body, status, says) in table {
            let (found, answer) = ask(socket, method, path, body);
            let line = answer["error"].as_str().unwrap_or_default();
            assert_eq!(found, status, "{method} {path} {body}: {answer}");
            assert!(line.contains(says) && !line.contains('\n'), "{method} {path} {body}: {line}");
        }
    });
}

#[test]
fn too_much_is_refused_without_harm() {
    with_a_switch(|socket| {
        let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(70_000));
        let (status, answer) = ask(socket, "POST", "/v1/networks", &long);
        assert_eq!(status, 413, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains("64 KiB"));
        let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000)).repeat(4);
        let chunked = format!("POST /v1/networks HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
        assert_eq!(raw(socket, chunked.as_bytes()).0, 413);
        let said = b"POST /v1/networks HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n";
        assert_eq!(raw(socket, said).0, 413, "refused before it is sent");
        let header = format!("GET /v1/ping HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
        assert_eq!(raw(socket, header.as_bytes()).0, 431);
        let lines = format!("GET /v1/ping HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(100));
        assert_eq!(raw(socket, lines.as_bytes()).0, 431);
        assert_eq!(raw(socket, b"\x00\x01\x02 nonsense\r\n\r\n").0, 400);
        assert_eq!(ask(socket, "GET", "/v1/ping", "").0, 200);
    });
}

#[test]
fn slow_clients_are_cut_off_and_many_are_turned_away() {
    with_a_switch(|socket| {
        let mut slow = connect(socket);
        slow.write_all(b"GET /v1/ping HTT").unwrap();
        let mut slow_body = connect(socket);
        slow_body.write_all(b"POST /v1/networks HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{").unwrap();
        let start = Instant::now();
        let idle: Vec<_> = (0..62).map(|_| connect(socket)).collect();
        std::thread::sleep(Duration::from_millis(200));
        let (status, body) = raw(socket, b"");
        assert_eq!(status, 503, "{body}");
        // Also with a request that nobody looks at.
        for _ in 0..20 {
            let (status, busy) =
                ask(socket, "POST", "/v1/networks", &format!(r#"{{"name":"{}"}}"#, "x".repeat(20_000)));
            assert_eq!(status, 503, "{busy}");
        }
        drop(idle);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(ask(socket, "GET", "/v1/ping", "").0, 200, "room again");
        let mut answer = String::new();
        let _ = slow.read_to_string(&mut answer);
        let took = start.elapsed();
        assert!((4..9).contains(&took.as_secs()) && !answer.contains("200 OK"), "{took:?} {answer}");
        answer.clear();
        let _ = slow_body.read_to_string(&mut answer);
        assert!(answer.contains(" 408 "), "{answer}");
    });
}

#[test]
fn a_trace_is_streamed_and_ends_with_the_switch() {
    in_a_world(|| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let switch = start(1, None);
        switch.serve(&socket).unwrap();
        let fault = switch.serve(&socket).unwrap_err();
        assert!(matches!(fault, Fault::InUse { .. }), "{fault}");
        switch.create_network(&network(json!({ "name": "lab", "subnet": "10.9.0.0/24" }))).unwrap();
        let mut stream = connect(&socket);
        stream.write_all(b"GET /v1/trace HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let header: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        assert!(header.iter().any(|line| line.contains("application/x-ndjson")), "{header:?}");
        let host = Container::new();
        switch.connect("lab", &endpoint(json!({ "netns": host.netns(), "endpoint": "h1" }))).unwrap();
        let socket_inside = host.0.enter(|| std::net::UdpSocket::bind("10.9.0.2:0").unwrap()).unwrap();
        socket_inside.send_to(b"x", "10.9.0.7:9").unwrap();
        let record = lines.by_ref().find(|line| line.starts_with('{')).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!((&record["network"], &record["port"], &record["lost"]), (&json!("lab"), &json!("h1"), &json!(0)));
        let start = Instant::now();
        switch.stop_and_remove().unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert!(lines.last().is_none_or(|line| line.is_empty() || line == "0" || line.starts_with('{')));
        assert!(!socket.exists());
    });
}
