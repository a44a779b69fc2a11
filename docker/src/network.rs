//! Which network does a `CreateNetwork` describe?
//!
//! Docker's address management has checked the subnets already; what is checked here is what Lanyard cannot do, and what
//! would make a network that does not work. Auxiliary addresses are other machines' and concern nobody here, but for two
//! names that the bridge driver gives a meaning: `DefaultGatewayIPv4` and `DefaultGatewayIPv6` are the default router.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::fabric::{GatewayMode, Kind, Network, NetworkOptions, Refusal, Subnet};
use crate::fault::{Fault, refuse, shown};
use crate::options;
use crate::wire::{IpamData, NetworkRequest, Options, said};

const GENERIC: &str = "com.docker.network.generic";
const INTERNAL: &str = "com.docker.network.internal";
/// Least MTU of IPv6, octets (RFC 8200 section 5). The kernel turns IPv6 off below it.
const IPV6_MTU: u32 = 1280;

/// An address family, and what is called after it.
#[derive(Clone, Copy)]
struct Family {
    name: &'static str,
    router: &'static str,
    ipv4: bool,
}

const IPV4: Family = Family { name: "IPv4", router: "DefaultGatewayIPv4", ipv4: true };
const IPV6: Family = Family { name: "IPv6", router: "DefaultGatewayIPv6", ipv4: false };

/// The network that a request describes.
///
/// # Errors
/// An option or a subnet that cannot be, by name.
pub(crate) fn network(request: &NetworkRequest) -> Result<Network, Fault> {
    let (internal, options) = internal_and_options(request)?;
    let mut subnets = subnets(request.ipv4.as_deref(), IPV4)?;
    subnets.append(&mut self::subnets(request.ipv6.as_deref(), IPV6)?);
    if subnets.is_empty() {
        refuse("the network has no subnet: give one by --subnet")?;
    }
    let ipv6 = subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv6());
    if let Some(mtu) = options.mtu.filter(|mtu| ipv6 && *mtu < IPV6_MTU) {
        refuse(format!("IPv6 needs an MTU of {IPV6_MTU} octets: com.docker.network.driver.mtu is {mtu}"))?;
    }
    Ok(Network { subnets, internal, options })
}

/// Which gateway addresses should Docker not set aside? Those that nobody will have: the `isolated` gateway's, and on
/// an internal network the one that `inhibit_ipv4` leaves to somebody else.
///
/// # Errors
/// An option that cannot be: `CreateNetwork` would refuse it as well.
pub(crate) fn skipped_gateways(request: &NetworkRequest) -> Result<(bool, bool), Fault> {
    let (internal, options) = internal_and_options(request)?;
    let isolated = |mode| mode == GatewayMode::Isolated;
    let skip_ipv4 = isolated(options.gateway_mode_ipv4) || internal && options.inhibit_ipv4;
    Ok((skip_ipv4, isolated(options.gateway_mode_ipv6)))
}

fn internal_and_options(request: &NetworkRequest) -> Result<(bool, NetworkOptions), Fault> {
    let none = Options::new();
    let outer = request.options.as_ref().unwrap_or(&none);
    let internal = match outer.get(INTERNAL) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(internal)) => *internal,
        Some(_) => return Err(Fault::Malformed(format!("{INTERNAL} is neither true nor false"))),
    };
    let generic = match outer.get(GENERIC) {
        None | Some(Value::Null) => &none,
        Some(Value::Object(generic)) => generic,
        Some(_) => return Err(Fault::Malformed(format!("{GENERIC} is no object"))),
    };
    let options = options::read(generic)?;
    if options.kind == Kind::Xdp && options.offload == Some(true) {
        refuse("an xdp port carries only finished frames: leave the option offload out, or say kind=veth")?;
    }
    if !internal && [options.gateway_mode_ipv4, options.gateway_mode_ipv6].contains(&GatewayMode::Isolated) {
        refuse("the gateway mode isolated is for networks without a way out: add --internal")?;
    }
    Ok((internal, options))
}

fn subnets(data: Option<&[IpamData]>, family: Family) -> Result<Vec<Subnet>, Refusal> {
    data.unwrap_or_default().iter().map(|data| subnet(data, family)).collect()
}

fn subnet(data: &IpamData, family: Family) -> Result<Subnet, Refusal> {
    let pool = said(data.pool.as_deref()).unwrap_or_default();
    let subnet = match pool.parse::<IpNet>() {
        Ok(subnet) if subnet.addr().is_ipv4() == family.ipv4 => subnet.trunc(),
        _ => return refuse(format!("'{}' is not an {} subnet: write it as address/prefix", shown(pool), family.name)),
    };
    if subnet.prefix_len() == 0 || data.address_space.as_deref() == Some("null") {
        return refuse("lanyard needs to know the network's addresses: leave --ipam-driver null out");
    }
    let gateway = match said(data.gateway.as_deref()) {
        Some(text) => Some(within("the gateway", text, subnet)?),
        None => None,
    };
    let none = Map::new();
    let default_router = default_router(data.aux_addresses.as_ref().unwrap_or(&none), subnet, family)?;
    Ok(Subnet { subnet, gateway, default_router })
}

fn default_router(aux: &Map<String, Value>, subnet: IpNet, family: Family) -> Result<Option<IpAddr>, Refusal> {
    let other = if family.ipv4 { IPV6.router } else { IPV4.router };
    if aux.contains_key(other) {
        return refuse(format!("the auxiliary address {other} is in {subnet}: call it {}", family.router));
    }
    match aux.get(family.router) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => within(family.router, text, subnet).map(Some),
        Some(_) => refuse(format!("the auxiliary address {} is no text", family.router)),
    }
}

/// An address of the subnet, with a prefix length or without.
fn within(what: &str, text: &str, subnet: IpNet) -> Result<IpAddr, Refusal> {
    let address = text.parse::<IpNet>().map(|net| net.addr()).or_else(|_| text.parse::<IpAddr>());
    match address {
        Ok(address) if subnet.contains(&address) => Ok(address),
        Ok(address) => refuse(format!("{what} {address} is not in {subnet}: choose an address of the subnet")),
        Err(_) => refuse(format!("{what} '{}' is not an address", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::part;

    fn read(request: Value) -> Result<Network, String> {
        network(&part(request).unwrap()).map_err(|fault| fault.to_string())
    }

    fn pool(pool: &str, gateway: &str) -> Value {
        json!({"AddressSpace": "LocalDefault", "Pool": pool, "Gateway": gateway})
    }

    #[test]
    fn several_subnets_of_both_families_with_gateways_and_default_routers() {
        let network = read(json!({
            "NetworkID": "n",
            "Options": {"com.docker.network.enable_ipv6": true, "com.docker.network.generic": {"kind": "veth"}},
            "IPv4Data": [
                {"Pool": "10.99.0.0/24", "Gateway": "10.99.0.1/24",
                 "AuxAddresses": {"host1": "10.99.0.5/24", "DefaultGatewayIPv4": "10.99.0.254/24"}},
                {"Pool": "10.98.0.7/24"}],
            "IPv6Data": [
                {"Pool": "fd00:99::/64", "Gateway": "fd00:99::1/64", "AuxAddresses": {"DefaultGatewayIPv6": "fd00:99::2"}}]
        }))
        .unwrap();
        let subnet = |subnet: &str, gateway: Option<&str>, router: Option<&str>| Subnet {
            subnet: subnet.parse().unwrap(),
            gateway: gateway.map(|text| text.parse().unwrap()),
            default_router: router.map(|text| text.parse().unwrap()),
        };
        let expected = [
            subnet("10.99.0.0/24", Some("10.99.0.1"), Some("10.99.0.254")),
            subnet("10.98.0.0/24", None, None),
            subnet("fd00:99::/64", Some("fd00:99::1"), Some("fd00:99::2")),
        ];
        assert_eq!(network.subnets, expected);
        assert!(!network.internal);
        assert_eq!(network.options.kind, crate::fabric::Kind::Veth);
    }

    #[test]
    fn ipv6_alone_is_a_network() {
        let network = read(json!({"IPv4Data": [], "IPv6Data": [pool("fd00::/64", "fd00::1/64")]})).unwrap();
        assert_eq!(network.subnets.len(), 1);
    }

    #[test]
    fn internal_is_a_boolean() {
        let with = |internal: Value| {
            read(json!({"Options": {"com.docker.network.internal": internal}, "IPv4Data": [pool("10.0.0.0/8", "")]}))
        };
        assert!(with(json!(true)).unwrap().internal);
        assert!(!with(json!(false)).unwrap().internal);
        assert!(!with(json!(null)).unwrap().internal);
        assert!(with(json!("true")).unwrap_err().contains("com.docker.network.internal"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let v4 = |data: Value| json!({ "IPv4Data": [data] });
        let generic = |options: Value, v6: Value| json!({"Options": {"com.docker.network.generic": options}, "IPv4Data": [pool("10.0.0.0/8", "")], "IPv6Data": v6});
        let aux = |pool: &str, aux: Value| json!({"Pool": pool, "AuxAddresses": aux});
        let table = [
            (json!({}), "no subnet"),
            (json!({"IPv4Data": null, "IPv6Data": []}), "no subnet"),
            (v4(json!({"AddressSpace": "null", "Pool": "0.0.0.0/0"})), "--ipam-driver null"),
            (v4(json!({"AddressSpace": "null", "Pool": "10.0.0.0/8"})), "--ipam-driver null"),
            (json!({"IPv6Data": [pool("::/0", "")]}), "--ipam-driver null"),
            (v4(pool("", "")), "'' is not an IPv4 subnet"),
            (v4(pool("10.0.0.0", "")), "'10.0.0.0' is not an IPv4 subnet"),
            (v4(pool("10.0.0.0/33", "")), "'10.0.0.0/33' is not an IPv4 subnet"),
            (v4(pool("fd00::/64", "")), "'fd00::/64' is not an IPv4 subnet"),
            (json!({"IPv6Data": [pool("10.0.0.0/8", "")]}), "'10.0.0.0/8' is not an IPv6 subnet"),
            (v4(pool("10.0.0.0/8", "x")), "the gateway 'x' is not an address"),
            (v4(pool("10.0.0.0/8", "11.0.0.1/8")), "the gateway 11.0.0.1 is not in 10.0.0.0/8"),
            (v4(pool("10.0.0.0/8", "fd00::1/64")), "the gateway fd00::1 is not in 10.0.0.0/8"),
            (
                v4(aux("10.0.0.0/8", json!({"DefaultGatewayIPv4": "11.0.0.1/8"}))),
                "DefaultGatewayIPv4 11.0.0.1 is not in",
            ),
            (v4(aux("10.0.0.0/8", json!({"DefaultGatewayIPv4": 7}))), "DefaultGatewayIPv4 is no text"),
            (v4(aux("10.0.0.0/8", json!({"DefaultGatewayIPv6": "10.0.0.7/8"}))), "call it DefaultGatewayIPv4"),
            (generic(json!({"knid": "tap"}), json!([])), "the option knid is not known"),
            (generic(json!([]), json!([])), "com.docker.network.generic is no object"),
            (generic(json!({"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}), json!([])), "add --internal"),
            (generic(json!({"com.docker.network.bridge.gateway_mode_ipv6": "isolated"}), json!([])), "add --internal"),
            (
                generic(json!({"com.docker.network.driver.mtu": "1279"}), json!([pool("fd00::/64", "")])),
                "com.docker.network.driver.mtu is 1279",
            ),
        ];
        for (request, line) in table {
            let said = read(request.clone()).expect_err(&request.to_string());
            assert!(said.contains(line), "{said}");
        }
        assert!(read(generic(json!({"com.docker.network.driver.mtu": "576"}), json!([]))).is_ok());
    }

    #[test]
    fn a_gateway_is_skipped_where_nobody_has_it() {
        let skipped = |internal: bool, generic: Value| {
            let options = json!({"com.docker.network.internal": internal, "com.docker.network.generic": generic});
            skipped_gateways(&part(json!({ "Options": options })).unwrap())
        };
        let inhibit = json!({"com.docker.network.bridge.inhibit_ipv4": "true"});
        let isolated = |family| json!({ format!("com.docker.network.bridge.gateway_mode_{family}"): "isolated" });
        assert_eq!(skipped(false, json!({})), Ok((false, false)));
        assert_eq!(skipped(true, json!({})), Ok((false, false)));
        assert_eq!(skipped(false, inhibit.clone()), Ok((false, false)));
        assert_eq!(skipped(true, inhibit), Ok((true, false)));
        assert_eq!(skipped(true, isolated("ipv4")), Ok((true, false)));
        assert_eq!(skipped(true, isolated("ipv6")), Ok((false, true)));
        assert!(skipped(false, isolated("ipv6")).is_err());
    }
}
