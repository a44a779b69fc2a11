//! What is a MAC address, and which of them are special? (IEEE 802-2014 clause 8, IEEE 802.1Q table 8-1)

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 48-bit MAC address, in the order of its octets on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All ones: every station (IEEE 802).
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// All zeros: no station; never a legal source.
    pub const ZERO: Self = Self([0; 6]);

    /// The address in the low 48 bits, first octet highest: the form the MAC table hashes and compares.
    pub const fn to_u64(self) -> u64 {
        let [o1, o2, o3, o4, o5, o6] = self.0;
        u64::from_be_bytes([0, 0, o1, o2, o3, o4, o5, o6])
    }

    /// The inverse of [`MacAddr::to_u64`]; the high 16 bits are ignored.
    pub const fn from_u64(value: u64) -> Self {
        let [_, _, o1, o2, o3, o4, o5, o6] = value.to_be_bytes();
        Self([o1, o2, o3, o4, o5, o6])
    }

    /// A locally administered address that reads like its IPv4 address: `02:42` and the four octets,
    /// as Docker's bridge does it.
    pub const fn from_ipv4(ip: Ipv4Addr) -> Self {
        let [a, b, c, d] = ip.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    /// The same for an address of either family: of an IPv6 address, the last four octets.
    pub const fn like_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::from_ipv4(ip),
            IpAddr::V6(ip) => {
                let [.., a, b, c, d] = ip.octets();
                Self([0x02, 0x42, a, b, c, d])
            }
        }
    }

    /// Is it a group address (multicast or broadcast)? The lowest bit of the first octet says so.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Is it the broadcast address?
    pub const fn is_broadcast(self) -> bool {
        self.to_u64() == 0xffff_ffff_ffff
    }

    /// Is it all zeros?
    pub const fn is_zero(self) -> bool {
        self.to_u64() == 0
    }

    /// Is it one of 01-80-C2-00-00-00 to -0F, which a bridge never forwards (IEEE 802.1Q table 8-1)?
    pub const fn is_reserved_group(self) -> bool {
        self.to_u64() & 0xffff_ffff_fff0 == 0x0180_c200_0000
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [o1, o2, o3, o4, o5, o6] = self.0;
        f.pad(&format!("{o1:02x}:{o2:02x}:{o3:02x}:{o4:02x}:{o5:02x}:{o6:02x}"))
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text is not six octets in hexadecimal, separated by `:` or `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAMacAddr(pub String);

impl fmt::Display for NotAMacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not a MAC address: write six octets, as in 02:42:0a:00:00:02", self.0)
    }
}

impl std::error::Error for NotAMacAddr {}

impl FromStr for MacAddr {
    type Err = NotAMacAddr;

    fn from_str(text: &str) -> Result<Self, NotAMacAddr> {
        let refuse = || NotAMacAddr(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|p| (1..=2).contains(&p.len()));
            let part = part.filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(refuse)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| refuse())?;
        }
        if parts.next().is_some() {
            return Err(refuse());
        }
        Ok(Self(octets))
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_usual_form() {
        let mac: MacAddr = "02:42:0A:00:00:02".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:0a:00:00:02");
        assert_eq!("2-42-a-0-0-2".parse::<MacAddr>().unwrap(), mac);
        assert_eq!(MacAddr::from_u64(mac.to_u64()), mac);
        assert_eq!(MacAddr::from_ipv4(Ipv4Addr::new(10, 0, 0, 2)), mac);
        assert_eq!(format!("{mac:>20}"), "   02:42:0a:00:00:02");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for bad in [
            "",
            "02:42:0a:00:00",
            "02:42:0a:00:00:02:03",
            "02:42:0a:00:00:0g",
            "0242.0a00.0002",
            "02:42:0a:00:00:+2",
            ":::::",
        ] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn knows_the_special_ones() {
        let reserved = |last| MacAddr([0x01, 0x80, 0xc2, 0, 0, last]);
        assert!((0..16).all(|last| reserved(last).is_reserved_group()));
        assert!(!reserved(0x10).is_reserved_group());
        assert!(MacAddr::BROADCAST.is_group() && MacAddr::BROADCAST.is_broadcast());
        assert!(!MacAddr([0x02, 0x42, 0, 0, 0, 1]).is_group());
        assert!(MacAddr::ZERO.is_zero());
    }
}
