//! Which endpoint does a `CreateEndpoint` describe, and which ports do its options publish?
//!
//! `docker network connect --driver-opt KEY=VALUE` puts KEY among Docker's own keys, which all begin with `com.docker.`
//! and are Docker's business. Lanyard has no options of an endpoint, so any other key is one that the user expects
//! something of, and is refused.
//!
//! Ports arrive expanded: `-p 7000-7001:7000-7001` are two. `HostPort` 0 asks for any free port, a `HostPortEnd` beyond
//! `HostPort` for one of the range.
//!
//! Not done: `com.docker.network.driver.private.no_proxy_6to4` (28 and later: no way from the host's IPv6 ports to this
//! endpoint's IPv4 address) is passed over.

use std::net::IpAddr;

use frame::MacAddr;
use ipnet::IpNet;
use serde_json::Value;

use crate::fabric::{Endpoint, PortMapping, Protocol, Refusal};
use crate::fault::{Fault, refuse, shown};
use crate::wire::{EndpointRequest, Interface, Options, PortBinding, part, said};

const PORT_MAP: &str = "com.docker.network.portmap";
const IFNAME: &str = "com.docker.network.endpoint.ifname";

/// The endpoint that a request describes.
///
/// # Errors
/// An address or an option that cannot be, by name.
pub(crate) fn endpoint(request: &EndpointRequest) -> Result<Endpoint, Refusal> {
    check_options(request.options.as_ref())?;
    let none = Interface::default();
    let interface = request.interface.as_ref().unwrap_or(&none);
    let mut addresses = Vec::new();
    for (text, ipv4) in [(&interface.address, true), (&interface.address_ipv6, false)] {
        if let Some(text) = said(text.as_deref()) {
            addresses.push(address(text, ipv4)?);
        }
    }
    if addresses.is_empty() {
        return refuse("the endpoint has no address: lanyard's networks have Docker's own address management");
    }
    Ok(Endpoint { addresses, mac: said(interface.mac_address.as_deref()).map(mac).transpose()? })
}

fn check_options(options: Option<&Options>) -> Result<(), Refusal> {
    for key in options.into_iter().flat_map(Options::keys) {
        if key == IFNAME {
            return refuse(format!(
                "the endpoint option {IFNAME} cannot be had: Docker names the interfaces of remote drivers itself; leave \
                 it out, or give the network the option com.docker.network.container_iface_prefix"
            ));
        }
        if !key.starts_with("com.docker.") {
            return refuse(format!(
                "the endpoint option {} is not known: lanyard's options are the network's, leave it out",
                shown(key)
            ));
        }
    }
    Ok(())
}

fn address(text: &str, ipv4: bool) -> Result<IpNet, Refusal> {
    match text.parse::<IpNet>() {
        Ok(net) if net.addr().is_ipv4() == ipv4 && is_a_hosts(net.addr()) => Ok(net),
        _ => refuse(format!(
            "the endpoint's address '{}' is not an {} address with its prefix length",
            shown(text),
            if ipv4 { "IPv4" } else { "IPv6" }
        )),
    }
}

fn is_a_hosts(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast()
}

fn mac(text: &str) -> Result<MacAddr, Refusal> {
    match text.parse::<MacAddr>() {
        Ok(mac) if mac.is_group() => {
            refuse(format!("the MAC address {mac} is a group's: its first octet must be even"))
        }
        Ok(mac) if mac.is_zero() => refuse(format!("the MAC address {mac} is nobody's: choose another")),
        Ok(mac) => Ok(mac),
        Err(error) => refuse(shown(&error.to_string())),
    }
}

/// The ports to publish.
///
/// # Errors
/// A port that cannot be published, by its numbers.
pub(crate) fn ports(options: Option<Options>) -> Result<Vec<PortMapping>, Fault> {
    match options.and_then(|mut options| options.remove(PORT_MAP)) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => {
            let bindings: Vec<PortBinding> = part(list)?;
            Ok(bindings.iter().map(port).collect::<Result<_, _>>()?)
        }
    }
}

fn port(binding: &PortBinding) -> Result<PortMapping, Refusal> {
    let container = binding.port.unwrap_or(0);
    let protocol = match binding.proto {
        Some(6) => Protocol::Tcp,
        Some(17) => Protocol::Udp,
        Some(132) => Protocol::Sctp,
        other => {
            let number = other.map_or_else(|| "without a number".to_owned(), |number| number.to_string());
            return refuse(format!(
                "cannot publish port {container}: IP protocol {number} is none of tcp (6), udp (17) and sctp (132)"
            ));
        }
    };
    let first = binding.host_port.unwrap_or(0);
    let last = binding.host_port_end.filter(|last| *last != 0).unwrap_or(first);
    let numbers = (u16::try_from(container), u16::try_from(first), u16::try_from(last));
    let (Ok(container_port @ 1..), Ok(host_port), Ok(host_port_end)) = numbers else {
        return refuse(format!("cannot publish {first}-{last}:{container}: ports are 1 to 65535"));
    };
    if host_port_end < host_port || (host_port == 0 && host_port_end != 0) {
        return refuse(format!("cannot publish {first}-{last}:{container}: the range of host ports is none"));
    }
    let host_ip = said(binding.host_ip.as_deref()).map(host_address).transpose()?;
    Ok(PortMapping { protocol, container_port, host_ip, host_port, host_port_end })
}

fn host_address(text: &str) -> Result<IpAddr, Refusal> {
    match text.parse::<IpAddr>() {
        Ok(address) if !address.is_multicast() => Ok(address.to_canonical()),
        _ => refuse(format!("cannot publish on '{}': it is not an address of the host", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(interface: &Value, options: &Value) -> Result<Endpoint, String> {
        let request = part(json!({"Interface": interface, "Options": options})).unwrap();
        endpoint(&request).map_err(|refusal| refusal.0)
    }

    #[test]
    fn addresses_and_mac() {
        let both =
            json!({"Address": "10.99.0.2/24", "AddressIPv6": "fd00:99::2/64", "MacAddress": "02:42:ac:11:00:02"});
        let endpoint = read(&both, &json!(null)).unwrap();
        assert_eq!(endpoint.addresses, ["10.99.0.2/24".parse().unwrap(), "fd00:99::2/64".parse().unwrap()]);
        assert_eq!(endpoint.mac, Some(MacAddr([0x02, 0x42, 0xac, 0x11, 0, 2])));
        let ipv6 = read(&json!({"Address": "", "AddressIPv6": "fd00:99::2/64", "MacAddress": ""}), &json!({})).unwrap();
        assert_eq!((ipv6.addresses.len(), ipv6.mac), (1, None));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let address = |text: &str| json!({ "Address": text });
        let table = [
            (json!(null), "no address"),
            (json!({"Address": "", "AddressIPv6": null}), "no address"),
            (address("10.0.0.2"), "'10.0.0.2' is not an IPv4 address with its prefix length"),
            (address("fd00::2/64"), "'fd00::2/64' is not an IPv4 address"),
            (address("0.0.0.0/8"), "'0.0.0.0/8' is not an IPv4 address"),
            (address("224.0.0.1/8"), "'224.0.0.1/8' is not an IPv4 address"),
            (json!({"AddressIPv6": "10.0.0.2/8"}), "'10.0.0.2/8' is not an IPv6 address"),
            (json!({"Address": "10.0.0.2/8", "MacAddress": "01:00:5e:00:00:01"}), "01:00:5e:00:00:01 is a group's"),
            (json!({"Address": "10.0.0.2/8", "MacAddress": "00:00:00:00:00:00"}), "is nobody's"),
            (json!({"Address": "10.0.0.2/8", "MacAddress": "Aqq7zN3u"}), "'Aqq7zN3u' is not a MAC address"),
        ];
        for (interface, line) in table {
            let said = read(&interface, &json!({})).expect_err(&interface.to_string());
            assert!(said.contains(line), "{said}");
        }
    }

    #[test]
    fn dockers_own_endpoint_options_are_its_own_and_others_are_refused() {
        let interface = || json!({"Address": "10.0.0.2/8"});
        let own = json!({
            "com.docker.network.endpoint.exposedports": [{"Proto": 6, "Port": 80}],
            "com.docker.network.portmap": null,
            "com.docker.network.endpoint.macaddress": "Aqq7zN3u",
            "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1",
            "com.docker.network.endpoint.dnsservers": [],
            "com.docker.network.driver.private.no_proxy_6to4": true
        });
        assert!(read(&interface(), &own).is_ok());
        for (key, line) in [
            ("vlan", "the endpoint option vlan is not known"),
            ("lanyard.mac", "the endpoint option lanyard.mac is not known"),
            ("com.docker.network.endpoint.ifname", "com.docker.network.container_iface_prefix"),
        ] {
            let said = read(&interface(), &json!({ key: "5" })).expect_err(key);
            assert!(said.contains(line), "{said}");
        }
    }

    fn published(list: &Value) -> Result<Vec<PortMapping>, String> {
        let Value::Object(options) = json!({ PORT_MAP: list }) else { unreachable!() };
        ports(Some(options)).map_err(|fault| fault.to_string())
    }

    #[test]
    fn ports_as_docker_lists_them() {
        let mapping = |protocol, container_port, host_ip: Option<&str>, host_port, host_port_end| PortMapping {
            protocol,
            container_port,
            host_ip: host_ip.map(|text| text.parse().unwrap()),
            host_port,
            host_port_end,
        };
        let list = json!([
            {"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080},
            {"Proto": 17, "IP": "", "Port": 53, "HostIP": "127.0.0.1", "HostPort": 0, "HostPortEnd": 0},
            {"Proto": 132, "Port": 7, "HostIP": "::", "HostPort": 8000, "HostPortEnd": 8002},
            {"Proto": 6, "Port": 65535, "HostIP": "::ffff:10.0.0.1", "HostPort": 65535}
        ]);
        let expected = [
            mapping(Protocol::Tcp, 80, None, 8080, 8080),
            mapping(Protocol::Udp, 53, Some("127.0.0.1"), 0, 0),
            mapping(Protocol::Sctp, 7, Some("::"), 8000, 8002),
            mapping(Protocol::Tcp, 65535, Some("10.0.0.1"), 65535, 65535),
        ];
        assert_eq!(published(&list).unwrap(), expected);
        assert_eq!(published(&json!(null)).unwrap(), []);
        assert_eq!(ports(None).unwrap(), []);
    }

    #[test]
    fn ports_that_cannot_be_published() {
        let port = |port: u64, first: u64, last: u64| json!([{"Proto": 6, "Port": port, "HostPort": first, "HostPortEnd": last}]);
        let table = [
            (json!([{"Proto": 1, "Port": 80}]), "cannot publish port 80: IP protocol 1 is none of"),
            (json!([{"Port": 80}]), "IP protocol without a number is none of"),
            (json!([{"Proto": 6}]), "0-0:0: ports are 1 to 65535"),
            (port(65536, 0, 0), "ports are 1 to 65535"),
            (port(80, 65536, 65536), "ports are 1 to 65535"),
            (port(80, 65535, 65536), "ports are 1 to 65535"),
            (port(80, 8001, 8000), "8001-8000:80: the range of host ports is none"),
            (port(80, 0, 8000), "0-8000:80: the range of host ports is none"),
            (json!([{"Proto": 6, "Port": 80, "HostIP": "localhost"}]), "cannot publish on 'localhost'"),
            (json!([{"Proto": 6, "Port": 80, "HostIP": "ff02::1"}]), "cannot publish on 'ff02::1'"),
            (json!([{"Proto": -6, "Port": 80}]), "the request cannot be used: "),
            (json!("80"), "the request cannot be used: "),
        ];
        for (list, line) in table {
            let said = published(&list).expect_err(&list.to_string());
            assert!(said.contains(line), "{said}");
        }
    }
}
