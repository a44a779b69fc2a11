//! Is the table's text what it was, and does nft take it? Golden files for plans that use everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::path::Path;

use lanyard_host::{HostNetwork, Mode, Plan, Protocol, Published, diagnose, table_text};
use world::{Space, plan, publish, ready};

fn everything() -> Plan {
    let mut plan = plan();
    for port in [9000, 9001, 9002] {
        publish(&mut plan, "ly-a", "192.0.2.1", port, "10.1.0.2");
    }
    publish(&mut plan, "ly-a", "0.0.0.0", 8080, "10.1.0.2");
    publish(&mut plan, "ly-a", "::", 8080, "fd00:a::2");
    publish(&mut plan, "ly-b", "2001:db8::1", 80, "fd00:b::2");
    for port in 2000..3000 {
        plan.published.push(Published {
            ifname: "ly-b".to_owned(),
            container: "10.2.0.2".parse().unwrap(),
            container_port: port,
            protocol: Protocol::Sctp,
            host_ip: "127.0.0.1".parse().unwrap(),
            host_port: port,
        });
    }
    plan.networks[0].snat_v4 = Some("192.0.2.77".parse().unwrap());
    plan.networks[0].trusted = vec!["eth1".to_owned(), "eth2".to_owned()];
    plan.networks[1].masquerade = false;
    plan.networks[1].icc = false;
    let network = |name: &str, subnet: &str| HostNetwork::new(name, vec![subnet.parse().unwrap()], vec![]);
    let mut routed = network("ly-routed", "198.51.100.0/24");
    routed.mode_v4 = Mode::Routed;
    let mut open = network("ly-open", "203.0.113.0/24");
    open.mode_v4 = Mode::NatUnprotected;
    let mut internal = network("ly-internal", "10.9.0.0/16");
    internal.internal = true;
    internal.mode_v6 = Mode::Isolated;
    plan.networks.extend([routed, open, internal]);
    publish(&mut plan, "ly-routed", "0.0.0.0", 0, "198.51.100.2");
    plan
}

/// With `GOLDEN=write` in the environment the file is written instead.
fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        fs::write(&path, text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
}

#[test]
fn the_text() {
    compare("empty.nft", &table_text(&Plan::default(), &[]));
    compare("two-networks.nft", &table_text(&plan(), &[]));
    compare("everything.nft", &table_text(&everything(), &["docker0".to_owned()]));
}

#[test]
fn nft_takes_it_and_what_it_prints() {
    if !ready("nft_takes_it_and_what_it_prints", &[]) {
        return;
    }
    let space = Space::new();
    for plan in [Plan::default(), plan(), everything()] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), table_text(&plan, &["docker0".to_owned()])).unwrap();
        let load = format!("nft -f {}", file.path().display());
        space.run(&load);
        let listing = space.run("nft list ruleset");
        space.run(&load);
        assert_eq!(space.run("nft list ruleset"), listing, "loaded twice is loaded once");
        fs::write(file.path(), format!("flush ruleset\n{listing}")).unwrap();
        space.run(&load);
        assert_eq!(space.run("nft list ruleset"), listing, "what nft prints, nft takes");
    }
}

#[test]
fn what_stands_in_the_way_is_named() {
    if !ready("what_stands_in_the_way_is_named", &["iptables-nft"]) {
        return;
    }
    let space = Space::new();
    let said = || {
        let findings = space.enter(diagnose);
        let lines =
            findings.iter().map(|finding| format!("{:?} {}: {}", finding.health, finding.part, finding.sentence));
        lines.collect::<Vec<_>>().join(
            "
",
        )
    };
    let before = said();
    assert!(before.contains("Good nft: nftables answers."), "{before}");
    assert!(before.contains("Note table: The table inet lanyard is not there"), "{before}");
    assert!(before.contains("Good iptables: No iptables is in use here."), "{before}");
    assert!(before.contains("Good conntrack:"), "{before}");
    assert!(before.contains("Note forwarding IPv4: Forwarding is off"), "{before}");
    space.run(
        "iptables-nft -P FORWARD DROP; echo 1 > /proc/sys/net/ipv4/ip_forward; nft add table inet lanyard; \
         nft add table inet mine; nft add chain inet mine passing '{ type filter hook forward priority 0; policy drop; }'",
    );
    let after = said();
    assert!(after.contains("Good table: The table inet lanyard is there."), "{after}");
    assert!(after.contains("Bad forward: iptables-nft: FORWARD drops by default, and nothing lets"), "{after}");
    assert!(after.contains("Bad other firewall: The chain passing of the table inet mine drops"), "{after}");
    assert!(after.contains("Good forwarding IPv4: Forwarding is on."), "{after}");
}
