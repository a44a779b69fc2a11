//! Does a real Docker Engine work with the switch as it does with docker0? One container, from its network to its end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod dockerd;
mod harness;

use dockerd::{Engine, PROGRAMS};

#[test]
fn a_container_lives_on_a_network_of_the_switch() {
    if !harness::ready("a_container_lives_on_a_network_of_the_switch", PROGRAMS) {
        return;
    }
    let engine = Engine::new();
    let before = engine.traces();
    engine.done("network create -d lanyard --subnet 10.99.0.0/24 lan");
    engine.serve("web", "--net lan -p 8080:80");
    let said = engine.done("run --rm --net lan busybox wget -qO- http://web");
    assert_eq!(said, "web");
    for url in ["http://127.0.0.1:8080", "http://10.99.0.1:8080", "http://10.99.0.2"] {
        assert_eq!(engine.curl(url), "web", "{url}");
    }
    assert!(engine.host("ip -br addr show | grep 10.99.0.1/24").ok().starts_with("ly-"));
    engine.done("rm -f web");
    engine.done("network rm lan");
    assert_eq!(engine.traces(), before);
}
