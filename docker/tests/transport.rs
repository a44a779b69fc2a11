//! Do connections serve whatever happens on them? Several at once, several requests on one, bodies that are too long, break
//! off or are none, a switch that does not answer, and the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::time::{Duration, Instant};

use serde_json::json;
use world::{PATIENT, World, id, request};

const DELETE: &str = "/NetworkDriver.DeleteNetwork";
/// A deadline that comes soon enough for a test.
const SOON: Duration = Duration::from_millis(300);

fn network(name: &str) -> String {
    json!({"NetworkID": id(name)}).to_string()
}

fn create_network(name: &str) -> String {
    json!({"NetworkID": id(name), "IPv4Data": [{"Pool": "10.99.0.0/24", "Gateway": "10.99.0.1/24"}]}).to_string()
}

fn endpoint() -> String {
    json!({"NetworkID": id("N1"), "EndpointID": id("E1"), "SandboxKey": "/s", "Interface": {"Address": "10.99.0.2/24"}})
        .to_string()
}

#[test]
fn a_call_that_hangs_holds_nobody_else_up() {
    let world = World::new(PATIENT);
    world.fake.hold("leave");
    let mut hanging = world.client();
    hanging.send(&request(Some("Host: "), "POST", "/NetworkDriver.Leave", &endpoint()));
    world.fake.await_call("leave");
    for number in 1..=9 {
        let name = format!("N{number}");
        assert_eq!(world.client().ask(DELETE, &network(&name)).status, 200, "{name}");
    }
    world.fake.let_go();
    assert_eq!(hanging.reply().unwrap().json(), json!({}));
}

#[test]
fn fifty_connections_at_once() {
    let world = World::new(PATIENT);
    world.fake.hold("delete_network");
    let mut clients: Vec<_> = (0..50).map(|_| world.client()).collect();
    for client in &mut clients {
        client.send(&request(Some("Host: "), "POST", DELETE, &network("N1")));
    }
    let begun = Instant::now();
    let mut calls = 0;
    while calls < 50 && begun.elapsed() < PATIENT {
        calls += world.fake.calls().len();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(calls, 50, "all of them have reached the switch");
    world.fake.let_go();
    assert!(clients.iter_mut().all(|client| client.reply().unwrap().status == 200));
}

#[test]
fn one_connection_more_than_are_served_waits_for_its_turn() {
    let world = World::new(PATIENT);
    let mut served: Vec<_> = (0..lanyard_docker::server::CONNECTIONS).map(|_| world.client()).collect();
    assert!(served.iter_mut().all(|client| client.ask("/Plugin.Activate", "").status == 200));
    let mut waiting = world.client();
    waiting.send(&request(Some("Host: "), "POST", DELETE, &network("N1")));
    std::thread::sleep(Duration::from_millis(100));
    assert!(world.fake.calls().is_empty(), "it has its turn already");
    drop(served.pop());
    assert_eq!(waiting.reply().unwrap().status, 200);
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let world = World::new(PATIENT);
    let mut client = world.client();
    let mut octets = Vec::new();
    for name in ["N1", "N2", "N3"] {
        octets.extend(request(Some("Host: "), "POST", DELETE, &network(name)));
    }
    octets.extend(request(Some("Host: "), "POST", "/Plugin.Activate", ""));
    client.send(&octets);
    for _ in 0..3 {
        assert_eq!(client.reply().unwrap().json(), json!({}));
    }
    assert_eq!(client.reply().unwrap().json(), json!({"Implements": ["NetworkDriver"]}));
    assert_eq!(world.fake.calls(), ["delete_network $N1", "delete_network $N2", "delete_network $N3"]);
}

#[test]
fn a_request_that_arrives_octet_by_octet_and_one_in_chunks() {
    let world = World::new(PATIENT);
    let mut client = world.client();
    for octet in request(Some("Host: "), "POST", DELETE, &network("N1")) {
        client.send(&[octet]);
    }
    assert_eq!(client.reply().unwrap().status, 200);
    let body = network("N2");
    let (one, other) = body.split_at(20);
    let chunked = format!(
        "POST {DELETE} HTTP/1.1\r\nHost:\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{one}\r\n{:x}\r\n{other}\r\n0\r\n\r\n",
        other.len()
    );
    client.send(chunked.as_bytes());
    assert_eq!(client.reply().unwrap().status, 200);
    assert_eq!(world.fake.calls(), ["delete_network $N1", "delete_network $N2"]);
}

#[test]
fn a_client_may_close_its_side_and_still_has_its_answer() {
    let world = World::new(PATIENT);
    let mut client = world.client();
    world.fake.hold("delete_network");
    client.send(&request(Some("Host: "), "POST", DELETE, &network("N1")));
    client.finish();
    world.fake.await_call("delete_network");
    std::thread::sleep(Duration::from_millis(50));
    world.fake.let_go();
    assert_eq!(client.reply().unwrap().status, 200);
    assert!(client.reply().is_none());
}

#[test]
fn a_body_that_is_too_long_is_refused_and_the_connection_serves_on() {
    let world = World::new(PATIENT);
    let mut client = world.client();
    let limit = lanyard_docker::server::BODY_OCTETS;
    let with_length = |length: usize| format!("{{\"NetworkID\":\"{}\"{}}}", id("N1"), " ".repeat(length - 80));
    let longest = with_length(limit + 1);
    assert_eq!(longest.len(), limit + 1, "the test counts right");
    let reply = client.ask(DELETE, &longest);
    assert_eq!((reply.status, reply.err().contains("longer than 8 MiB")), (413, true));
    assert!(world.fake.calls().is_empty());
    assert_eq!(client.ask(DELETE, &with_length(limit)).status, 200);
}

#[test]
fn ten_thousand_ports_are_published_in_one_request() {
    let world = World::new(PATIENT);
    let mut client = world.client();
    assert_eq!(client.ask("/NetworkDriver.CreateNetwork", &create_network("N1")).json(), json!({}));
    assert_eq!(client.ask("/NetworkDriver.CreateEndpoint", &endpoint()).status, 200);
    let ports: Vec<_> = (20_000..30_000)
        .map(|port| json!({"Proto": 6, "IP": "", "Port": port, "HostIP": "", "HostPort": port, "HostPortEnd": port}))
        .collect();
    let options = json!({"com.docker.network.portmap": ports});
    let body = json!({"NetworkID": id("N1"), "EndpointID": id("E1"), "Options": options}).to_string();
    assert_eq!(client.ask("/NetworkDriver.ProgramExternalConnectivity", &body).json(), json!({}));
    let info = client.ask("/NetworkDriver.EndpointOperInfo", &body).json();
    assert_eq!(info["Value"]["lanyard.published"].as_array().unwrap().len(), 10_000);
}

#[test]
fn a_body_that_breaks_off_is_not_acted_upon_and_its_repetition_without_one_is_refused() {
    let world = World::new(PATIENT);
    let mut client = world.client();
    // What has arrived is good JSON, and yet not all that was said.
    let mut padded = network("N1");
    let missing = padded.len();
    padded.push_str("   ");
    let whole = request(Some("Host: "), "POST", DELETE, &padded);
    client.send(&whole[..whole.len() - (padded.len() - missing)]);
    client.finish();
    if let Some(reply) = client.reply() {
        assert_eq!(reply.status, 400);
    }
    let mut again = world.client();
    let reply = again.ask(DELETE, "");
    assert_eq!((reply.status, reply.err().contains("is empty")), (400, true));
    assert!(world.fake.calls().is_empty());
}

#[test]
fn garbage_ends_its_own_connection_and_no_other() {
    let world = World::new(PATIENT);
    let mut good = world.client();
    assert_eq!(good.ask("/Plugin.Activate", "").status, 200);
    let long = format!("POST /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let header = format!("POST / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(300));
    let garbage: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        long.as_bytes(),
        header.as_bytes(),
    ];
    for octets in garbage {
        let mut bad = world.client();
        bad.try_send(octets);
        bad.finish();
        if let Some(reply) = bad.reply() {
            assert!((400..500).contains(&reply.status), "{reply:?}");
        }
    }
    let mut silent = world.client();
    silent.finish();
    assert!(silent.reply().is_none());
    assert_eq!(good.ask("/Plugin.Activate", "").status, 200);
    assert!(world.fake.calls().is_empty());
}

#[test]
fn at_the_deadline_an_error_is_answered_and_a_late_success_is_undone_where_dockerd_would_not() {
    for (path, call, undone) in [
        ("/NetworkDriver.CreateNetwork", "create_network", Some("delete_network $N1")),
        ("/NetworkDriver.CreateEndpoint", "create_endpoint", Some("delete_endpoint $N1 $E1")),
        ("/NetworkDriver.Join", "join", None),
        ("/NetworkDriver.EndpointOperInfo", "endpoint", None),
    ] {
        let world = World::new(SOON);
        let mut client = world.client();
        if call != "create_network" {
            client.ask("/NetworkDriver.CreateNetwork", &create_network("N1"));
        }
        if call == "join" {
            client.ask("/NetworkDriver.CreateEndpoint", &endpoint());
        }
        world.fake.calls();
        world.fake.hold(call);
        let body = if call == "create_network" { create_network("N1") } else { endpoint() };
        let begun = Instant::now();
        let reply = client.ask(path, &body);
        assert_eq!((reply.status, reply.err().contains("did not answer in time")), (504, true), "{path}");
        assert!(begun.elapsed() >= SOON, "{path}: {:?}", begun.elapsed());
        world.fake.let_go();
        if let Some(undone) = undone {
            world.fake.await_call(undone);
        }
        assert_eq!(client.ask(DELETE, &network("N9")).status, 200, "the connection serves on");
        let calls = world.fake.calls();
        assert_eq!(
            calls.iter().filter(|call| call.starts_with("delete_") && !call.ends_with("$N9")).count(),
            undone.iter().count(),
            "{calls:?}"
        );
    }
}

#[test]
fn a_body_that_does_not_arrive_has_the_same_deadline() {
    let world = World::new(SOON);
    let mut client = world.client();
    client.send(format!("POST {DELETE} HTTP/1.1\r\nHost: \r\nContent-Length: 99\r\n\r\n{{").as_bytes());
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.err().as_str()), (408, "the request did not arrive in time"));
    assert!(world.fake.calls().is_empty());
}

#[test]
fn a_panic_of_the_switch_is_one_requests_fault() {
    let world = World::new(PATIENT);
    let mut client = world.client();
    world.fake.panic_in("delete_network");
    let reply = client.ask(DELETE, &network("N1"));
    assert_eq!((reply.status, reply.err().contains("see lanyard's log")), (500, true));
    assert_eq!(client.ask(DELETE, &network("N1")).status, 200);
}

#[test]
fn an_idle_connection_stays_open() {
    let world = World::new(SOON);
    let mut client = world.client();
    assert_eq!(client.ask("/Plugin.Activate", "").status, 200);
    std::thread::sleep(SOON * 4);
    assert_eq!(client.ask(DELETE, &network("N1")).status, 200);
}

#[test]
fn at_the_end_open_requests_are_answered_and_idle_connections_closed() {
    let mut world = World::new(PATIENT);
    let mut idle = world.client();
    assert_eq!(idle.ask("/Plugin.Activate", "").status, 200);
    let mut untouched = world.client();
    let mut busy = world.client();
    world.fake.hold("delete_network");
    busy.send(&request(Some("Host: "), "POST", DELETE, &network("N1")));
    world.fake.await_call("delete_network");
    let begun = Instant::now();
    world.stop();
    assert!(idle.reply().is_none());
    assert!(untouched.reply().is_none());
    assert!(!world.is_open());
    world.fake.let_go();
    assert_eq!(busy.reply().unwrap().status, 200);
    assert!(busy.reply().is_none());
    world.join();
    assert!(begun.elapsed() < PATIENT / 2, "{:?}", begun.elapsed());
}

#[test]
fn the_end_does_not_wait_for_a_switch_that_hangs() {
    let mut world = World::new(SOON);
    let mut busy = world.client();
    world.fake.hold("delete_network");
    busy.send(&request(Some("Host: "), "POST", DELETE, &network("N1")));
    world.fake.await_call("delete_network");
    world.stop();
    assert_eq!(busy.reply().unwrap().status, 504);
    world.fake.let_go();
    world.join();
}
