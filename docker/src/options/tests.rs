//! Every option with what is right and what is wrong.

use serde_json::{Value, json};

use super::*;

const B: &str = "com.docker.network.bridge.";
const D: &str = "com.docker.network.";

fn one(key: &str, value: &str) -> Result<NetworkOptions, Refusal> {
    read(json!({ key: value }).as_object().unwrap())
}

fn expect(key: &str, values: &[&str], change: fn(&mut NetworkOptions)) {
    let mut expected = NetworkOptions::default();
    change(&mut expected);
    for value in values {
        assert_eq!(one(key, value).as_ref(), Ok(&expected), "{key}={value}");
    }
}

const TRUE: [&str; 6] = ["1", "t", "T", "true", "TRUE", "True"];
const FALSE: [&str; 6] = ["0", "f", "F", "false", "FALSE", "False"];

#[test]
fn dockers_options() {
    expect(&format!("{B}name"), &["br-lan"], |o| o.bridge_name = Some("br-lan".into()));
    expect(&format!("{B}name"), &["a23456789012345"], |o| o.bridge_name = Some("a23456789012345".into()));
    expect(&format!("{B}enable_icc"), &FALSE, |o| o.icc = false);
    expect(&format!("{B}enable_icc"), &TRUE, |o| o.icc = true);
    expect(&format!("{B}enable_ip_masquerade"), &FALSE, |o| o.masquerade = false);
    expect(&format!("{B}host_binding_ipv4"), &["127.0.0.1", "::ffff:127.0.0.1"], |o| {
        o.host_binding = Some("127.0.0.1".parse().unwrap());
    });
    expect(&format!("{B}host_binding_ipv4"), &["::1"], |o| o.host_binding = Some("::1".parse().unwrap()));
    expect(&format!("{B}host_binding_ipv4"), &["0.0.0.0"], |o| o.host_binding = Some("0.0.0.0".parse().unwrap()));
    expect(&format!("{D}host_ipv4"), &["192.0.2.1"], |o| o.host_ipv4 = Some("192.0.2.1".parse().unwrap()));
    expect(&format!("{D}host_ipv6"), &["2001:db8::1"], |o| o.host_ipv6 = Some("2001:db8::1".parse().unwrap()));
    expect(&format!("{B}inhibit_ipv4"), &TRUE, |o| o.inhibit_ipv4 = true);
    expect(&format!("{B}trusted_host_interfaces"), &["eth1"], |o| o.trusted_interfaces = vec!["eth1".into()]);
    expect(&format!("{B}trusted_host_interfaces"), &["eth1:eth2.7"], |o| {
        o.trusted_interfaces = vec!["eth1".into(), "eth2.7".into()];
    });
    expect(&format!("{D}driver.mtu"), &["68"], |o| o.mtu = Some(68));
    expect(&format!("{D}driver.mtu"), &["65535"], |o| o.mtu = Some(65535));
    expect(&format!("{D}driver.mtu"), &["0"], |o| o.mtu = None);
    expect(&format!("{D}container_iface_prefix"), &["foo"], |o| o.interface_prefix = "foo".into());
    expect(&format!("{D}container_iface_prefix"), &["twelve-chars"], |o| o.interface_prefix = "twelve-chars".into());
}

#[test]
fn a_hub_guards_only_where_somebody_asks_for_it() {
    for (generic, guard) in [
        (json!({"mode": "hub"}), false),
        (json!({"mode": "hub", "guard": "on"}), true),
        (json!({"lanyard.mode": "hub", "lanyard.guard": "on"}), true),
        (json!({"mode": "hub", "guard": "off"}), false),
        (json!({"mode": "switch"}), true),
    ] {
        assert_eq!(read(generic.as_object().unwrap()).unwrap().guard, guard, "{generic}");
    }
}

#[test]
fn the_four_gateway_modes() {
    let modes = [
        ("nat", GatewayMode::Nat),
        ("nat-unprotected", GatewayMode::NatUnprotected),
        ("routed", GatewayMode::Routed),
        ("isolated", GatewayMode::Isolated),
    ];
    for (word, mode) in modes {
        assert_eq!(one(&format!("{B}gateway_mode_ipv4"), word).unwrap().gateway_mode_ipv4, mode);
        assert_eq!(one(&format!("{B}gateway_mode_ipv6"), word).unwrap().gateway_mode_ipv6, mode);
    }
}

#[test]
fn lanyards_own_options() {
    for before in ["", "lanyard."] {
        let named = |name: &str| format!("{before}{name}");
        expect(&named("kind"), &["tap"], |o| o.kind = Kind::Tap);
        expect(&named("kind"), &["veth"], |o| o.kind = Kind::Veth);
        expect(&named("kind"), &["xdp"], |o| o.kind = Kind::Xdp);
        expect(&named("offload"), &["on"], |o| o.offload = Some(true));
        expect(&named("offload"), &TRUE, |o| o.offload = Some(true));
        expect(&named("offload"), &["off"], |o| o.offload = Some(false));
        expect(&named("offload"), &FALSE, |o| o.offload = Some(false));
        expect(&named("mac"), &["from-ip"], |o| o.mac = MacChoice::FromIp);
        expect(&named("mac"), &["random"], |o| o.mac = MacChoice::Random);
        expect(&named("arp"), &["flood"], |o| o.arp_suppress = false);
        expect(&named("arp"), &["suppress"], |o| o.arp_suppress = true);
        expect(&named("guard"), &["off", "false"], |o| o.guard = false);
        expect(&named("guard"), &["on", "true"], |o| o.guard = true);
        expect(&named("mac-limit"), &["1"], |o| o.mac_limit = Some(1));
        expect(&named("mac-limit"), &["16777216"], |o| o.mac_limit = Some(1 << 24));
        expect(&named("mode"), &["switch"], |o| o.mode = Mode::Switch);
        expect(&named("mode"), &["hub"], |o| (o.mode, o.guard) = (Mode::Hub, false));
        expect(&named("evict"), &["fair"], |o| o.evict = Evict::Fair);
        expect(&named("evict"), &["lru"], |o| o.evict = Evict::Lru);
        expect(&named("evict"), &["none"], |o| o.evict = Evict::None);
    }
}

#[test]
fn a_value_that_is_not_legal_is_named_with_what_is() {
    let interface = &["", "a234567890123456", "a/b", "a:b", "a b", "eth%d", "lo", ".", "..", "all", "bäh", "a\tb"][..];
    let boolean = &["", "yes", "on", "tRUE", "2", " true", "-1"][..];
    let address = &["", "localhost", "10.0.0", "10.0.0.1/24", "010.0.0.1", "224.0.0.1", "ff02::1", "fe80::1%eth0"][..];
    let mode = &["", "NAT", "bridge", "nat_unprotected"][..];
    let table: &[(&str, &[&str], &str)] = &[
        ("com.docker.network.bridge.name", interface, INTERFACE),
        ("com.docker.network.bridge.enable_icc", boolean, BOOLEAN),
        ("com.docker.network.bridge.enable_ip_masquerade", boolean, BOOLEAN),
        ("com.docker.network.bridge.inhibit_ipv4", boolean, BOOLEAN),
        ("com.docker.network.bridge.host_binding_ipv4", address, "an IP address of the host"),
        ("com.docker.network.host_ipv4", address, "an IPv4 address"),
        ("com.docker.network.host_ipv4", &["0.0.0.0", "255.255.255.255", "::1"], "an IPv4 address"),
        ("com.docker.network.host_ipv6", address, "an IPv6 address"),
        ("com.docker.network.host_ipv6", &["::", "10.0.0.1", "::ffff:10.0.0.1"], "an IPv6 address"),
        ("com.docker.network.bridge.gateway_mode_ipv4", mode, MODE),
        ("com.docker.network.bridge.gateway_mode_ipv6", mode, MODE),
        (
            "com.docker.network.bridge.trusted_host_interfaces",
            &["", "eth0:", ":eth0", "eth0,eth1", "eth0::eth1"],
            "eth1:eth2",
        ),
        ("com.docker.network.driver.mtu", &["", "67", "65536", "-1", "1500.0", "1e3", "big"], "68 to 65535"),
        ("com.docker.network.container_iface_prefix", &["", "lo", "thirteen-char", "a/", "e%"], "1 to 12 characters"),
        ("kind", &["", "TAP", "bridge"], "tap, veth or xdp"),
        ("offload", &["", "yes", "ON", "2"], ON_OFF),
        ("mac", &["", "fromip", "02:42:0a:00:00:02"], "from-ip or random"),
        ("arp", &["", "proxy", "on"], "flood or suppress"),
        ("guard", &["", "strict"], ON_OFF),
        ("mac-limit", &["", "0", "-1", "16777217", "many"], "1 to 16777216"),
        ("mode", &["", "Hub", "bridge", "router"], "switch or hub"),
        ("evict", &["", "LRU", "oldest", "off"], "fair, lru or none"),
        ("lanyard.kind", &["macvlan"], "tap, veth or xdp"),
    ];
    for (key, values, takes) in table {
        for value in *values {
            let line = one(key, value).expect_err(&format!("{key}={value}")).0;
            assert!(line.starts_with(&format!("the option {key} cannot be '")), "{line}");
            assert!(line.contains(takes) && line.contains(&shown(value)), "{line}");
        }
    }
    let tested: Vec<_> = table.iter().map(|(key, ..)| *key).collect();
    assert!(ROWS.iter().all(|row| tested.contains(&row.name)), "an option has no wrong values here");
}

#[test]
fn an_option_that_is_not_known_is_named_with_the_nearest() {
    let table = [
        ("knid", "did you mean kind?"),
        ("lanyard.gaurd", "did you mean guard?"),
        ("Kind", "did you mean kind?"),
        ("mac_limit", "did you mean mac-limit?"),
        ("lanyard.mtu", "did you mean com.docker.network.driver.mtu?"),
        ("mtu", "did you mean com.docker.network.driver.mtu?"),
        ("com.docker.network.bridge.mtu", "did you mean com.docker.network.driver.mtu?"),
        ("com.docker.network.mtu", "did you mean com.docker.network.driver.mtu?"),
        ("com.docker.network.bridge.enable_ic", "did you mean com.docker.network.bridge.enable_icc?"),
        ("icc", "did you mean com.docker.network.bridge.enable_icc?"),
        ("com.docker.network.bridge.host_ipv4", "did you mean com.docker.network.host_ipv4?"),
        ("gateway_mode", "did you mean com.docker.network.bridge.gateway_mode_ipv4?"),
        ("com.docker.network.internal", "write --internal instead"),
        ("parent", "macvlan and ipvlan"),
        (
            "com.docker.network.driver.overlay.vxlanid_list",
            "lanyard's own are kind, offload, mac, arp, guard, mac-limit, mode, evict;",
        ),
        ("foo", "lanyard's own are kind"),
        ("", "lanyard's own are kind"),
        ("lanyard.", "lanyard's own are kind"),
        ("lanyard.lanyard.kind", "did you mean kind?"),
        ("lanyard.com.docker.network.driver.mtu", "did you mean com.docker.network.driver.mtu?"),
    ];
    for (key, hint) in table {
        let line = one(key, "1").expect_err(key).0;
        assert!(line.starts_with(&format!("the option {key} is not known: ")) && line.contains(hint), "{line}");
    }
    assert!(one(&"x".repeat(10_000), "1").unwrap_err().0.len() < 250);
}

#[test]
fn dockers_own_marks_change_nothing_whatever_they_say() {
    for key in IGNORED {
        assert_eq!(one(key, "whatever"), Ok(NetworkOptions::default()), "{key}");
    }
}

#[test]
fn all_at_once_none_and_twice() {
    let generic = json!({"kind": "veth", "lanyard.guard": "off", "com.docker.network.driver.mtu": "1400"});
    let expected = NetworkOptions { kind: Kind::Veth, guard: false, mtu: Some(1400), ..NetworkOptions::default() };
    assert_eq!(read(generic.as_object().unwrap()), Ok(expected));
    assert_eq!(read(&Options::new()), Ok(NetworkOptions::default()));
    let twice = json!({"kind": "veth", "lanyard.kind": "tap"});
    let line = read(twice.as_object().unwrap()).unwrap_err().0;
    assert_eq!(line, "the options kind and lanyard.kind are one and the same: leave one out");
}

#[test]
fn a_number_or_boolean_is_read_as_its_text_and_nothing_else_is() {
    let with = |key: &str, value: Value| read(json!({ key: value }).as_object().unwrap());
    assert!(!with("com.docker.network.bridge.enable_icc", json!(false)).unwrap().icc);
    assert_eq!(with("com.docker.network.driver.mtu", json!(1400)).unwrap().mtu, Some(1400));
    assert!(with("com.docker.network.bridge.enable_icc", json!(7)).is_err());
    for bad in [json!(null), json!([]), json!({"a": 1})] {
        for row in &ROWS {
            let line = with(row.name, bad.clone()).expect_err(row.name).0;
            assert!(line.starts_with(&format!("the option {} cannot be '{bad}'", row.name)), "{line}");
        }
    }
}
