//! Which `-o` options are there, and what may they say? One row each; what is in no row is an error.
//!
//! Docker's own names mean what they mean to the bridge driver (moby, `drivers/bridge/labels.go`, `netlabel/labels.go`),
//! so a compose file that says `driver: bridge` can say `driver: lanyard`. Lanyard's own have short names, with or
//! without `lanyard.` before them. An option that is not known is refused even if it is another driver's: a network that
//! silently is not what was asked for is found out late. [`IGNORED`] are Docker's own marks, which change nothing here.

mod values;

use serde_json::Value;

use crate::fabric::{Evict, GatewayMode, Kind, MacChoice, Mode, NetworkOptions, Refusal};
use crate::fault::{refuse, shown};
use crate::wire::Options;
use values::{address, boolean, interface, interfaces, number, one_of, prefix, put, source_v4, source_v6, switch};

/// What may stand before one of Lanyard's own options.
const OWN: &str = "lanyard.";

/// Keys without an effect on a remote driver: marks, and what Docker does itself for every driver.
const IGNORED: [&str; 5] = [
    "com.docker.network.bridge.default_bridge",
    "com.docker.network.enable_ipv4",
    "com.docker.network.enable_ipv6",
    "com.docker.network.advertise_addr_nmsgs",
    "com.docker.network.advertise_addr_ms",
];

/// One option: its name, what it may say, and where that goes; `None` when it is something else.
struct Row {
    name: &'static str,
    takes: &'static str,
    set: fn(&mut NetworkOptions, &str) -> Option<()>,
}

const BOOLEAN: &str = "true or false";
const ON_OFF: &str = "on or off";
const MODE: &str = "nat, nat-unprotected, routed or isolated";
const INTERFACE: &str = "an interface name: 1 to 15 characters, without space, '/', ':' and '%'";

const ROWS: [Row; 20] = [
    Row {
        name: "com.docker.network.bridge.name",
        takes: INTERFACE,
        set: |o, v| put(&mut o.bridge_name, interface(v).map(Some)),
    },
    Row { name: "com.docker.network.bridge.enable_icc", takes: BOOLEAN, set: |o, v| put(&mut o.icc, boolean(v)) },
    Row {
        name: "com.docker.network.bridge.enable_ip_masquerade",
        takes: BOOLEAN,
        set: |o, v| put(&mut o.masquerade, boolean(v)),
    },
    Row {
        name: "com.docker.network.bridge.host_binding_ipv4",
        takes: "an IP address of the host, such as 127.0.0.1",
        set: |o, v| put(&mut o.host_binding, address(v).map(Some)),
    },
    Row {
        name: "com.docker.network.host_ipv4",
        takes: "an IPv4 address of the host",
        set: |o, v| put(&mut o.host_ipv4, source_v4(v).map(Some)),
    },
    Row {
        name: "com.docker.network.host_ipv6",
        takes: "an IPv6 address of the host",
        set: |o, v| put(&mut o.host_ipv6, source_v6(v).map(Some)),
    },
    Row {
        name: "com.docker.network.bridge.inhibit_ipv4",
        takes: BOOLEAN,
        set: |o, v| put(&mut o.inhibit_ipv4, boolean(v)),
    },
    Row {
        name: "com.docker.network.bridge.gateway_mode_ipv4",
        takes: MODE,
        set: |o, v| put(&mut o.gateway_mode_ipv4, mode(v)),
    },
    Row {
        name: "com.docker.network.bridge.gateway_mode_ipv6",
        takes: MODE,
        set: |o, v| put(&mut o.gateway_mode_ipv6, mode(v)),
    },
    Row {
        name: "com.docker.network.bridge.trusted_host_interfaces",
        takes: "interface names with ':' between them, such as eth1:eth2",
        set: |o, v| put(&mut o.trusted_interfaces, interfaces(v)),
    },
    Row {
        name: "com.docker.network.driver.mtu",
        takes: "68 to 65535 octets, or 0 for the default",
        set: |o, v| put(&mut o.mtu, number(v, 68, 65_535).map(Some).or_else(|| number(v, 0, 0).map(|_| None))),
    },
    Row {
        name: "com.docker.network.container_iface_prefix",
        takes: "what interface names begin with: 1 to 12 characters, without space, '/', ':' and '%', and not 'lo'",
        set: |o, v| put(&mut o.interface_prefix, prefix(v)),
    },
    Row {
        name: "kind",
        takes: "tap, veth or xdp",
        set: |o, v| put(&mut o.kind, one_of(v, &[("tap", Kind::Tap), ("veth", Kind::Veth), ("xdp", Kind::Xdp)])),
    },
    Row { name: "offload", takes: ON_OFF, set: |o, v| put(&mut o.offload, switch(v).map(Some)) },
    Row {
        name: "mac",
        takes: "from-ip or random",
        set: |o, v| put(&mut o.mac, one_of(v, &[("from-ip", MacChoice::FromIp), ("random", MacChoice::Random)])),
    },
    Row {
        name: "arp",
        takes: "flood or suppress",
        set: |o, v| put(&mut o.arp_suppress, one_of(v, &[("flood", false), ("suppress", true)])),
    },
    Row { name: "guard", takes: ON_OFF, set: |o, v| put(&mut o.guard, switch(v)) },
    Row {
        name: "mac-limit",
        takes: "1 to 16777216 addresses; leave it out for no limit",
        set: |o, v| put(&mut o.mac_limit, number(v, 1, 1 << 24).map(Some)),
    },
    Row {
        name: "mode",
        takes: "switch or hub",
        set: |o, v| put(&mut o.mode, one_of(v, &[("switch", Mode::Switch), ("hub", Mode::Hub)])),
    },
    Row {
        name: "evict",
        takes: "fair, lru or none",
        set: |o, v| put(&mut o.evict, one_of(v, &[("fair", Evict::Fair), ("lru", Evict::Lru), ("none", Evict::None)])),
    },
];

fn mode(value: &str) -> Option<GatewayMode> {
    one_of(
        value,
        &[
            ("nat", GatewayMode::Nat),
            ("nat-unprotected", GatewayMode::NatUnprotected),
            ("routed", GatewayMode::Routed),
            ("isolated", GatewayMode::Isolated),
        ],
    )
}

/// Read `com.docker.network.generic`.
///
/// # Errors
/// The option that is not known, is given twice, or says what it may not.
pub(crate) fn read(generic: &Options) -> Result<NetworkOptions, Refusal> {
    let mut options = NetworkOptions::default();
    for (key, value) in generic {
        if IGNORED.contains(&key.as_str()) {
            continue;
        }
        let name = key.strip_prefix(OWN).filter(|name| !name.contains('.')).unwrap_or(key);
        let Some(row) = ROWS.iter().find(|row| row.name == name) else { return Err(unknown(key)) };
        if name != key && generic.contains_key(name) {
            return refuse(format!("the options {name} and {key} are one and the same: leave one out"));
        }
        set(row, &mut options, key, value)?;
    }
    // A hub knows nobody's address: it guards only where somebody asks for what it cannot do, and that is refused.
    if options.mode == Mode::Hub && !["guard", "lanyard.guard"].iter().any(|key| generic.contains_key(*key)) {
        options.guard = false;
    }
    Ok(options)
}

fn set(row: &Row, options: &mut NetworkOptions, key: &str, value: &Value) -> Result<(), Refusal> {
    // Docker sends texts; another client of its API may have managed to hand over a number or a boolean.
    let (text, plain) = match value {
        Value::String(text) => (text.clone(), true),
        other => (other.to_string(), other.is_boolean() || other.is_number()),
    };
    let kept = if plain { (row.set)(options, &text) } else { None };
    kept.ok_or_else(|| Refusal(format!("the option {key} cannot be '{}': it takes {}", shown(&text), row.takes)))
}

fn unknown(key: &str) -> Refusal {
    let hint = match key {
        "com.docker.network.internal" => "write --internal instead".to_owned(),
        "parent" | "ipvlan_mode" | "ipvlan_flag" | "macvlan_mode" => {
            "it is one of the macvlan and ipvlan drivers'".to_owned()
        }
        _ => nearest(key).map_or_else(
            || format!("lanyard's own are {}; the others are the bridge driver's", own_names()),
            |name| format!("did you mean {name}?"),
        ),
    };
    Refusal(format!("the option {} is not known: {hint}", shown(key)))
}

fn own_names() -> String {
    let own: Vec<_> = ROWS.iter().map(|row| row.name).filter(|name| !name.contains('.')).collect();
    own.join(", ")
}

/// The known option whose last word is most like the last word of `key`.
fn nearest(key: &str) -> Option<&'static str> {
    const LONGEST: usize = 40;
    let word = last_word(key);
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let far = |row: &Row| {
        let known = last_word(row.name);
        let part = word.len() >= 3 && (known.contains(&word) || word.contains(&known));
        let distance = values::distance(&word, &known);
        if part { distance.min(1) } else { distance }
    };
    // Two letters that changed places count twice.
    let near = (word.len() / 3).max((word.len() - 1).min(2));
    ROWS.iter().map(|row| (far(row), row.name)).filter(|(far, _)| *far <= near).min().map(|(_, name)| name)
}

fn last_word(key: &str) -> String {
    let word = key.rsplit('.').next().unwrap_or(key);
    word.to_ascii_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests;
