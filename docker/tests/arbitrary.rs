//! Whatever is asked, is there always an answer? Arbitrary JSON, and the protocol's own requests with anything in one place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::{Value, json};
use world::{Client, PATIENT, World, id};

/// All of them, in an order in which each succeeds.
const METHODS: [&str; 16] = [
    "Plugin.Activate",
    "NetworkDriver.GetCapabilities",
    "NetworkDriver.GwAllocCheck",
    "NetworkDriver.AllocateNetwork",
    "NetworkDriver.FreeNetwork",
    "NetworkDriver.DiscoverNew",
    "NetworkDriver.DiscoverDelete",
    "NetworkDriver.CreateNetwork",
    "NetworkDriver.CreateEndpoint",
    "NetworkDriver.Join",
    "NetworkDriver.ProgramExternalConnectivity",
    "NetworkDriver.EndpointOperInfo",
    "NetworkDriver.RevokeExternalConnectivity",
    "NetworkDriver.Leave",
    "NetworkDriver.DeleteEndpoint",
    "NetworkDriver.DeleteNetwork",
];

/// Texts that some field reads.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[0-9a-f.:/]{0,40}",
        Just(id("N1")),
        Just("10.99.0.2/24".to_owned()),
        Just("fd00:99::2/64".to_owned()),
        Just("02:42:0a:63:00:02".to_owned()),
        Just("255.255.255.255/32".to_owned()),
        Just("NetworkID".to_owned()),
        Just("com.docker.network.generic".to_owned()),
        Just("com.docker.network.portmap".to_owned()),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A request that has every field.
fn whole() -> Value {
    json!({
        "NetworkID": id("N1"), "EndpointID": id("E1"), "SandboxKey": "/var/run/docker/netns/aa",
        "Interface": {"Address": "10.99.0.2/24", "AddressIPv6": "fd00:99::2/64", "MacAddress": ""},
        "Options": {
            "com.docker.network.enable_ipv6": true, "com.docker.network.internal": false,
            "com.docker.network.generic": {"kind": "tap", "com.docker.network.driver.mtu": "1400"},
            "com.docker.network.portmap": [
                {"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}],
        },
        "IPv4Data": [{"AddressSpace": "LocalDefault", "Pool": "10.99.0.0/24", "Gateway": "10.99.0.1/24",
                      "AuxAddresses": {"DefaultGatewayIPv4": "10.99.0.9/24"}}],
        "IPv6Data": [{"Pool": "fd00:99::/64", "Gateway": "fd00:99::1/64"}],
    })
}

/// Put `value` in the `place`th of all places, counted from the inside.
fn replace(tree: &mut Value, place: &mut usize, value: &Value) -> bool {
    let found = match tree {
        Value::Object(map) => map.values_mut().any(|inner| replace(inner, place, value)),
        Value::Array(list) => list.iter_mut().any(|inner| replace(inner, place, value)),
        _ => false,
    };
    if found {
        return true;
    }
    if *place == 0 {
        *tree = value.clone();
        return true;
    }
    *place -= 1;
    false
}

fn always_answered(client: &mut Client, method: &str, body: &str) -> Result<(), TestCaseError> {
    let reply = client.ask(&format!("/{method}"), body);
    let answer: Value =
        serde_json::from_str(&reply.body).map_err(|error| TestCaseError::fail(format!("{error}: {reply:?}")))?;
    let err = answer.get("Err").map(|line| line.as_str().unwrap_or_default().to_owned());
    prop_assert!(answer.is_object() && [200, 400].contains(&reply.status), "{reply:?}");
    prop_assert!(reply.status == 200 || err.is_some(), "{reply:?}");
    if let Some(line) = err {
        prop_assert!(!line.is_empty() && !line.contains('\n') && line.len() < 1000, "{line}");
    }
    Ok(())
}

fn check(strategy: impl Strategy<Value = String>, cases: u32) {
    let world = World::new(PATIENT);
    let client = RefCell::new(world.client());
    let requests = (prop::sample::select(METHODS.as_slice()), strategy);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner.run(&requests, |(method, body)| always_answered(&mut client.borrow_mut(), method, &body)).unwrap();
}

#[test]
fn arbitrary_json_has_an_answer() {
    check(document().prop_map(|document| document.to_string()), 600);
}

#[test]
fn arbitrary_text_has_an_answer() {
    check(any::<String>(), 300);
}

#[test]
fn a_request_with_anything_in_one_place_has_an_answer() {
    let changed = (0..40_usize, document()).prop_map(|(mut place, value)| {
        let mut request = whole();
        replace(&mut request, &mut place, &value);
        request.to_string()
    });
    check(changed, 1500);
}

#[test]
fn the_whole_request_is_served_by_every_method() {
    let world = World::new(PATIENT);
    let mut client = world.client();
    for method in METHODS {
        let reply = client.ask(&format!("/{method}"), &whole().to_string());
        assert!(reply.status == 200 && reply.json().get("Err").is_none(), "{method}: {reply:?}");
    }
}
