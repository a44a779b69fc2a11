//! What stands in a request? The fields of moby's `libnetwork/drivers/remote/api/api.go` that the driver uses.
//!
//! Requests are read leniently: a field that is not known is passed over, `null` is as good as absent, for dockerd adds
//! fields from version to version. An identifier is not a thing to be lenient about: it names a state on disk.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::fault::{Fault, shown};

/// `Options` as they come: dockerd's own keys and, in a `CreateEndpoint`, the user's beside them.
pub(crate) type Options = Map<String, Value>;

/// Digits of an identifier.
const ID_DIGITS: usize = 64;

/// `CreateNetwork`, and `GwAllocCheck`, which has the options alone.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkRequest {
    #[serde(rename = "NetworkID")]
    pub(crate) network: Option<String>,
    pub(crate) options: Option<Options>,
    #[serde(rename = "IPv4Data")]
    pub(crate) ipv4: Option<Vec<IpamData>>,
    #[serde(rename = "IPv6Data")]
    pub(crate) ipv6: Option<Vec<IpamData>>,
}

/// One subnet. `Gateway` and each of `AuxAddresses` are in CIDR form, with the pool's prefix length.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct IpamData {
    pub(crate) address_space: Option<String>,
    pub(crate) pool: Option<String>,
    pub(crate) gateway: Option<String>,
    pub(crate) aux_addresses: Option<Map<String, Value>>,
}

/// Every request about an endpoint; each method reads the fields that it has.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointRequest {
    #[serde(rename = "NetworkID")]
    pub(crate) network: Option<String>,
    #[serde(rename = "EndpointID")]
    pub(crate) endpoint: Option<String>,
    pub(crate) interface: Option<Interface>,
    pub(crate) options: Option<Options>,
    pub(crate) sandbox_key: Option<String>,
}

/// The addresses that Docker gave an endpoint; the MAC address only if the user gave one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Interface {
    pub(crate) address: Option<String>,
    #[serde(rename = "AddressIPv6")]
    pub(crate) address_ipv6: Option<String>,
    pub(crate) mac_address: Option<String>,
}

/// A port to publish. `IP` is always empty; the numbers are checked where they are used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PortBinding {
    pub(crate) proto: Option<u64>,
    pub(crate) port: Option<u64>,
    #[serde(rename = "HostIP")]
    pub(crate) host_ip: Option<String>,
    pub(crate) host_port: Option<u64>,
    pub(crate) host_port_end: Option<u64>,
}

/// A request about which nothing is used: it has to be there and an object, no more.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AnyRequest {}

/// Read a body.
///
/// # Errors
/// [`Fault::Empty`] when nothing is there, [`Fault::Malformed`] when it is no JSON object or a field is of another type.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    if body.trim_ascii().is_empty() {
        return Err(Fault::Empty);
    }
    // An object first: serde would take an array for a struct, field by field.
    let object: Options = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    part(Value::Object(object))
}

/// Read a part of a body.
///
/// # Errors
/// [`Fault::Malformed`] when a field is of another type.
pub(crate) fn part<T: DeserializeOwned>(value: Value) -> Result<T, Fault> {
    serde_json::from_value(value).map_err(|error| malformed(&error))
}

fn malformed(error: &serde_json::Error) -> Fault {
    Fault::Malformed(shown_line(&error.to_string()))
}

/// serde quotes what it found, however long that is.
fn shown_line(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// An identifier as Docker writes it: 64 hexadecimal digits, in lower case.
///
/// # Errors
/// [`Fault::Malformed`], by `field`'s name.
pub(crate) fn id(field: &str, text: Option<&str>) -> Result<String, Fault> {
    match text {
        Some(text) if text.len() == ID_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(text.to_ascii_lowercase())
        }
        Some(text) => Err(Fault::Malformed(format!("{field} '{}' is not 64 hexadecimal digits", shown(text)))),
        None => Err(Fault::Malformed(format!("{field} is missing"))),
    }
}

/// What a text says, if it says anything: dockerd writes "" for "none".
pub(crate) fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_passed_over_and_null_is_as_good_as_absent() {
        let body = br#"{"NetworkID":"n","EndpointID":null,"Interface":null,"Later":[1],"Options":{"a":1}}"#;
        let request: EndpointRequest = read(body).unwrap();
        assert_eq!(request.network.as_deref(), Some("n"));
        assert!(request.endpoint.is_none() && request.interface.is_none() && request.sandbox_key.is_none());
        assert_eq!(request.options.unwrap()["a"], 1);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for empty in ["", "\n", " \t\r\n"] {
            assert_eq!(read::<AnyRequest>(empty.as_bytes()).unwrap_err(), Fault::Empty);
        }
        for bad in
            ["[]", "null", "1", "\"x\"", "{", "{}{}", "{\"NetworkID\":1}", "\u{1}", "{\"Options\":[]}", "[\"n\"]"]
        {
            let fault = read::<EndpointRequest>(bad.as_bytes()).unwrap_err();
            assert!(matches!(fault, Fault::Malformed(_)), "{bad}: {fault}");
        }
        assert!(matches!(read::<AnyRequest>(&[b'{', b'"', 0xff, b'"', b':', b'1', b'}']), Err(Fault::Malformed(_))));
        let deep = "{\"a\":".repeat(10_000);
        assert!(matches!(read::<AnyRequest>(deep.as_bytes()), Err(Fault::Malformed(_))));
    }

    #[test]
    fn identifiers_are_64_digits() {
        assert_eq!(id("NetworkID", Some(&"Ab".repeat(32))).unwrap(), "ab".repeat(32));
        let (short, long, other) = ("a".repeat(63), "a".repeat(65), "g".repeat(64));
        let slash = format!("../{}", "a".repeat(61));
        for bad in ["", &short, &long, &other, &slash, &"ä".repeat(32)] {
            assert!(id("NetworkID", Some(bad)).is_err(), "{bad}");
        }
        let missing = id("EndpointID", None).unwrap_err().to_string();
        assert_eq!(missing, "the request cannot be used: EndpointID is missing");
    }
}
