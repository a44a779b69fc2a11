//! Can this request be? Everything that its words alone, and the networks that are there, tell about it: before
//! anything is made.
//!
//! Interface names follow the kernel's `dev_valid_name` (net/core/dev.c); MTUs RFC 791 (68 octets) and the 16-bit total
//! length.

use std::net::{IpAddr, Ipv6Addr};

use docker::fabric::Mode;
use frame::MacAddr;
use ipnet::IpNet;

use super::Fault;
use super::ipam::{choose_subnet, host_range, is_reserved, overlap};
use super::types::{ArpMode, GatewayMode, NetworkSpec};

/// Largest IP packet, octets, when nothing else is said.
pub const DEFAULT_MTU: u32 = 1500;
/// Most addresses in a MAC table when nothing else is said.
pub const DEFAULT_MAC_CAPACITY: u32 = 8192;
/// Seconds after which a silent address is forgotten when nothing else is said (IEEE 802.1Q table 8-6).
pub const DEFAULT_AGEING: u32 = 300;
/// Octets of an interface name without its NUL (`IFNAMSIZ` - 1, linux/if.h).
pub const IFNAME_OCTETS: usize = 15;

/// A network's settings, whole and legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The subnet, without host bits.
    pub subnet: IpNet,
    /// The gateway's address in router mode.
    pub gateway: Option<IpAddr>,
    /// Largest IP packet, octets.
    pub mtu: u32,
    /// Most addresses in the MAC table.
    pub mac_capacity: u32,
    /// Seconds after which a silent address is forgotten.
    pub ageing: u32,
}

/// Is `name` one that a network or endpoint can have?
///
/// # Errors
/// [`Fault::BadName`].
pub fn name(name: &str) -> Result<(), Fault> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if first && rest && name.len() <= 63 { Ok(()) } else { Err(Fault::BadName(cut(name))) }
}

/// Is `name` one that the kernel lets an interface have?
///
/// # Errors
/// [`Fault::BadIfname`].
pub fn ifname(name: &str) -> Result<(), Fault> {
    let refuse = |why| Err(Fault::BadIfname { name: cut(name), why });
    if name.is_empty() {
        return refuse("it is empty: use a name such as eth0");
    }
    if name.len() > IFNAME_OCTETS {
        return refuse("it is longer than 15 characters: choose a shorter one");
    }
    if name == "." || name == ".." {
        return refuse("the kernel keeps '.' and '..' for folders: use a name such as eth0");
    }
    if name.contains('%') {
        return refuse("the kernel would put a number in place of '%': use a name such as eth0");
    }
    if name == "all" || name == "default" || name == "lo" {
        return refuse("the kernel keeps 'all', 'default' and 'lo' for itself: use a name such as eth0");
    }
    if !name.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':') {
        return refuse("it has a space, '/', ':' or a character beyond ASCII in it: use a name such as eth0");
    }
    Ok(())
}

/// A name in a sentence: without control characters, and not endless.
fn cut(name: &str) -> String {
    let mut shown: String = name.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect();
    if name.chars().count() > 64 {
        shown.push_str("..");
    }
    shown
}

/// Is `value` between `least` and `most`?
///
/// # Errors
/// [`Fault::OutOfRange`].
pub fn range(what: &'static str, value: u32, least: u32, most: u32) -> Result<u32, Fault> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(Fault::OutOfRange { what, value: value.into(), least: least.into(), most: most.into() })
}

/// The settings of the network that `spec` asks for, beside the networks that are there (name and subnet).
///
/// # Errors
/// The first thing about it that cannot be.
pub fn network(spec: &NetworkSpec, others: &[(&str, IpNet)]) -> Result<Settings, Fault> {
    name(&spec.name)?;
    if others.iter().any(|(other, _)| *other == spec.name) {
        return Err(Fault::NetworkExists(spec.name.clone()));
    }
    let mtu = range("mtu", spec.mtu.unwrap_or(DEFAULT_MTU), 68, 65_535)?;
    let mac_capacity = range("mac-capacity", spec.mac_capacity.unwrap_or(DEFAULT_MAC_CAPACITY), 64, 1 << 24)?;
    let ageing = range("ageing", spec.ageing.unwrap_or(DEFAULT_AGEING), 1, 1_000_000)?;
    if let Some(limit) = spec.mac_limit {
        range("mac-limit", limit, 1, 1 << 24)?;
    }
    hub(spec)?;
    let subnet = match spec.subnet {
        Some(asked) => subnet(asked, spec.gateway_mode, others)?,
        None => choose_subnet(&others.iter().map(|(_, net)| *net).collect::<Vec<_>>())?,
    };
    let mut known: Vec<(&str, IpNet)> = others.to_vec();
    known.push((&spec.name, subnet));
    for more in &spec.more_subnets {
        if spec.gateway_mode == GatewayMode::Router {
            let why = "a network whose gateway is the switch has one subnet: use --gateway-mode host".to_owned();
            return Err(Fault::BadSubnet { subnet: more.subnet.to_string(), why });
        }
        known.push((&spec.name, self::subnet(more.subnet, spec.gateway_mode, &known)?));
        gateway(more.gateway, if more.gateway.is_some() { spec.gateway_mode } else { GatewayMode::None }, more.subnet)?;
    }
    if known.iter().skip(others.len()).any(|(_, net)| net.addr().is_ipv6()) {
        range("mtu of an IPv6 network", mtu, 1280, 65_535)?;
    }
    if let Some(bridge) = &spec.options.bridge_name {
        ifname(bridge)?;
        if !bridge.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
            let why = "rules of the host's name it, so it can have letters, digits, '.', '_' and '-' only";
            return Err(Fault::BadIfname { name: bridge.clone(), why });
        }
    }
    let gateway = gateway(spec.gateway, spec.gateway_mode, subnet)?;
    Ok(Settings { subnet, gateway, mtu, mac_capacity, ageing })
}

/// Is a hub asked for what only a switch can do?
fn hub(spec: &NetworkSpec) -> Result<(), Fault> {
    let options = &spec.options;
    let asked = match (options.guard, options.icc, spec.arp) {
        (true, _, _) => "-o guard=on",
        (_, false, _) => "-o icc=off",
        (_, _, ArpMode::Suppress) => "-o arp=suppress",
        _ => return Ok(()),
    };
    if options.mode == Mode::Hub { Err(Fault::HubKnowsNobody { asked }) } else { Ok(()) }
}

fn subnet(asked: IpNet, mode: GatewayMode, others: &[(&str, IpNet)]) -> Result<IpNet, Fault> {
    let refuse = |why: String| Err(Fault::BadSubnet { subnet: asked.to_string(), why });
    let subnet = asked.trunc();
    if subnet != asked {
        return refuse(format!("it has host bits set: write {subnet}"));
    }
    let longest = if subnet.addr().is_ipv4() { 30 } else { 126 };
    if subnet.prefix_len() > longest {
        return refuse(format!("it has no room for a gateway and an endpoint: use /{longest} or larger"));
    }
    if subnet.prefix_len() < 8 {
        return refuse("it is larger than /8: use a smaller one".to_owned());
    }
    if let Some(what) = special(subnet) {
        return refuse(format!("it holds {what} addresses, which no host can have: use one such as 10.213.0.0/24"));
    }
    if subnet.addr().is_ipv6() && mode == GatewayMode::Router {
        let why = "the switch itself routes IPv4 only: use --gateway-mode none or host, or an IPv4 subnet";
        return refuse(why.to_owned());
    }
    match others.iter().find(|(_, net)| overlap(*net, subnet)) {
        Some((network, other)) => Err(Fault::SubnetOverlaps { subnet, other: *other, network: (*network).to_owned() }),
        None => Ok(subnet),
    }
}

/// The name of the special range (RFC 6890) that a subnet of /8 or smaller lies in.
fn special(subnet: IpNet) -> Option<&'static str> {
    match subnet.addr() {
        IpAddr::V4(ip) => match ip.octets() {
            [0, ..] => Some("'this network'"),
            [127, ..] => Some("loopback"),
            [224..=239, ..] => Some("multicast"),
            [240..=255, ..] => Some("reserved"),
            _ => None,
        },
        IpAddr::V6(ip) if ip.octets()[0] == 0xff => Some("multicast"),
        IpAddr::V6(ip) if ip.segments()[0] & 0xffc0 == 0xfe80 => Some("link-local"),
        IpAddr::V6(_) if subnet.contains(&IpAddr::V6(Ipv6Addr::LOCALHOST)) => Some("loopback"),
        IpAddr::V6(_) => None,
    }
}

fn gateway(asked: Option<IpAddr>, mode: GatewayMode, subnet: IpNet) -> Result<Option<IpAddr>, Fault> {
    let (example, _) = host_range(subnet);
    let Some(gateway) = asked else {
        return Ok((mode != GatewayMode::None).then_some(example));
    };
    if !subnet.contains(&gateway) {
        return Err(Fault::GatewayOutside { gateway, subnet, example });
    }
    if is_reserved(subnet, gateway) {
        return Err(Fault::GatewayReserved { gateway, subnet, example });
    }
    if mode == GatewayMode::None {
        return Err(Fault::GatewayUnused(gateway));
    }
    Ok(Some(gateway))
}

/// Can a station of `network` have this MAC address? `taken` says who has it already.
///
/// # Errors
/// [`Fault::BadMac`], [`Fault::MacTaken`].
pub fn mac(mac: MacAddr, network: &str, taken: Option<&str>) -> Result<(), Fault> {
    let why = if mac.is_zero() {
        "it is all zeros: leave --mac out, or choose one such as 02:42:0a:00:00:02".to_owned()
    } else if mac.is_group() {
        "it is a group address (the first octet is odd): leave --mac out, or choose one with an even first octet"
            .to_owned()
    } else if let Some(owner) = taken {
        return Err(Fault::MacTaken { mac, network: network.to_owned(), by: owner.to_owned() });
    } else {
        return Ok(());
    };
    Err(Fault::BadMac { mac, network: network.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, subnet: &str) -> NetworkSpec {
        serde_json::from_value(serde_json::json!({ "name": name, "subnet": subnet })).unwrap()
    }

    #[test]
    fn defaults_fill_in() {
        let settings = network(&serde_json::from_str(r#"{"name":"lab"}"#).unwrap(), &[]).unwrap();
        assert_eq!(settings.subnet, "10.213.0.0/24".parse().unwrap());
        assert_eq!(settings.gateway, Some("10.213.0.1".parse().unwrap()));
        assert_eq!((settings.mtu, settings.mac_capacity, settings.ageing), (1500, 8192, 300));
        let mut internal = spec("six", "fd00::/64");
        internal.gateway_mode = GatewayMode::None;
        assert_eq!(network(&internal, &[]).unwrap().gateway, None);
    }

    #[test]
    fn names_are_checked() {
        for good in ["a", "lab", "9lives", "a_b.c-d", &"x".repeat(63)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "ä", &"x".repeat(64)] {
            assert!(matches!(name(bad), Err(Fault::BadName(_))), "{bad}");
        }
        assert!(!name("a\n\u{1b}[2J").unwrap_err().to_string().contains(char::is_control));
    }

    #[test]
    fn interface_names_are_checked() {
        for good in ["eth0", "a", "veth-a.5", "exactly15chars_"] {
            assert!(ifname(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "sixteen_chars_xx",
            "a/b",
            "a:1",
            "a b",
            "a\t",
            "a\0",
            "eth%d",
            "ethä",
            "lo",
            "all",
            "default",
        ] {
            assert!(matches!(ifname(bad), Err(Fault::BadIfname { .. })), "{bad}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_a_network() {
        let others = [("old", "10.1.0.0/16".parse().unwrap())];
        for (subnet, says) in [
            ("10.1.2.0/24", "overlaps 10.1.0.0/16 of network 'old'"),
            ("10.0.0.0/8", "overlaps"),
            ("10.9.0.1/24", "write 10.9.0.0/24"),
            ("10.9.0.0/31", "use /30 or larger"),
            ("10.9.0.0/32", "use /30 or larger"),
            ("0.0.0.0/0", "larger than /8"),
            ("127.0.0.0/8", "loopback"),
            ("0.1.0.0/16", "this network"),
            ("224.1.0.0/16", "multicast"),
            ("240.0.0.0/8", "reserved"),
            ("fd00::/64", "--gateway-mode none"),
            ("ff00::/16", "multicast"),
            ("fe80::/64", "link-local"),
            ("::/64", "loopback"),
            ("fd00::/127", "use /126 or larger"),
        ] {
            let fault = network(&spec("new", subnet), &others).unwrap_err().to_string();
            assert!(fault.contains(says) && fault.contains(subnet), "{subnet}: {fault}");
        }
        assert!(matches!(network(&spec("old", "10.9.0.0/24"), &others), Err(Fault::NetworkExists(_))));
    }

    #[test]
    fn refuses_numbers_out_of_range() {
        for (field, value) in [
            ("mtu", 67),
            ("mtu", 65_536),
            ("mac_limit", 0),
            ("mac_capacity", 63),
            ("mac_capacity", (1 << 24) + 1),
            ("ageing", 0),
            ("ageing", 1_000_001),
        ] {
            let spec = serde_json::from_value(serde_json::json!({ "name": "lab", field: value })).unwrap();
            assert!(matches!(network(&spec, &[]), Err(Fault::OutOfRange { .. })), "{field} {value}");
        }
        let six = serde_json::json!({ "name": "s", "subnet": "fd00::/64", "gateway_mode": "none", "mtu": 1279 });
        assert!(matches!(network(&serde_json::from_value(six).unwrap(), &[]), Err(Fault::OutOfRange { .. })));
    }

    #[test]
    fn a_hub_is_asked_for_nothing_that_needs_addresses() {
        let hub = |change: fn(&mut NetworkSpec)| {
            let mut spec = NetworkSpec::named("hub");
            spec.options.mode = Mode::Hub;
            change(&mut spec);
            network(&spec, &[])
        };
        assert!(hub(|_| ()).is_ok() && hub(|spec| spec.mac_limit = Some(3)).is_ok());
        for (change, says) in [
            ((|spec| spec.options.guard = true) as fn(&mut NetworkSpec), "guard=on"),
            (|spec| spec.options.icc = false, "icc=off"),
            (|spec| spec.arp = ArpMode::Suppress, "arp=suppress"),
        ] {
            let fault = hub(change).unwrap_err().to_string();
            assert!(fault.contains(says) && fault.contains("mode=switch"), "{fault}");
        }
    }

    #[test]
    fn refuses_gateways() {
        for (gateway, says) in [
            ("10.10.0.1", "outside subnet 10.9.0.0/24: choose an address in it, such as 10.9.0.1"),
            ("fd00::1", "outside"),
            ("10.9.0.0", "network or broadcast"),
            ("10.9.0.255", "network or broadcast"),
        ] {
            let mut spec = spec("lab", "10.9.0.0/24");
            spec.gateway = Some(gateway.parse().unwrap());
            let fault = network(&spec, &[]).unwrap_err().to_string();
            assert!(fault.contains(says), "{gateway}: {fault}");
        }
        let mut none = spec("lab", "10.9.0.0/24");
        (none.gateway, none.gateway_mode) = (Some("10.9.0.1".parse().unwrap()), GatewayMode::None);
        assert!(matches!(network(&none, &[]), Err(Fault::GatewayUnused(_))));
    }

    #[test]
    fn refuses_mac_addresses_that_no_station_has() {
        let read = |text: &str| text.parse::<MacAddr>().unwrap();
        assert!(mac(read("02:42:0a:00:00:02"), "lab", None).is_ok());
        for (address, taken, says) in [
            ("00:00:00:00:00:00", None, "zeros"),
            ("01:00:5e:00:00:01", None, "group"),
            ("ff:ff:ff:ff:ff:ff", None, "group"),
            ("02:00:00:00:00:01", Some("endpoint 'web'"), "endpoint 'web' has it"),
        ] {
            let fault = mac(read(address), "lab", taken).unwrap_err().to_string();
            assert!(fault.contains(says) && fault.contains(address), "{fault}");
        }
    }
}
