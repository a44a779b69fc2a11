//! What is a stream asked to be? Kind and size of its frames, who sends them to whom, and how many of them are wrong.
//!
//! All fields are public and have a default, so that a specification is written as what differs, in JSON or any other form,
//! too: `StreamSpec { flows: 8, ..StreamSpec::default() }`. [`StreamSpec::check`] says what cannot be.
//!
//! IP addresses that are not given are those set aside for benchmarks: `198.18.0.0/15` (RFC 2544 appendix C.2.2) and
//! `2001:2::/48` (RFC 5180 clause 8), half of them for those who send: `198.18.0.1` to `198.18.255.254` and `2001:2::1` and
//! up, half for those who receive: `198.19.0.1` and `2001:2:0:1::1` and up. Of IPv4 they are [`USUAL_IPS_V4`], and begin again
//! where there are more stations: MAC addresses are not had twice, IP addresses may be.
//!
//! Not done: TCP, multicast destinations, more than one VLAN tag, priorities.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use frame::MacAddr;
use frame::ethernet::{HEADER_OCTETS, TAG_OCTETS};
use serde::{Deserialize, Serialize};

use crate::signature::SIGNATURE_OCTETS;
use crate::size::LEAST_OCTETS;
use crate::walk::{MAC_ADDRESSES, Walk, mac_number};
use crate::{FCS_OCTETS, LoadError, Sizes};

/// The most flows: as many as there are UDP ports from 1024 on.
pub const MOST_FLOWS: u32 = 64_512;
/// The largest number of a stream: errored frames go by the number behind it, with [`super::ERRORED`].
pub const MOST_STREAM: u8 = 127;
/// The least size of a giant: larger than IEEE 802.3 allows for an untagged frame, octets with FCS.
pub const LEAST_GIANT: u32 = 1519;
/// The largest: as much as a UDP packet may hold, and more than any interface sends.
pub const MOST_GIANT: u32 = 65_535;
/// Usual IPv4 addresses of senders, and as many of receivers: a /16 without its first and its last address.
pub const USUAL_IPS_V4: u32 = (1 << 16) - 2;
/// Frames of which a share is told.
const MILLION: u32 = 1_000_000;

/// What the frames of a stream are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// ARP requests, to everyone: who has the destination's IPv4 address, tell the source (RFC 826).
    ArpRequest,
    /// UDP over IPv4, to the discard port (RFC 863), without UDP checksum.
    #[default]
    UdpIpv4,
    /// UDP over IPv6, to the discard port.
    UdpIpv6,
    /// Of ether type 0x88b5, which is for local experiments (IEEE 802 clause 9.2.3), and nothing but payload.
    Plain,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ArpRequest, Self::UdpIpv4, Self::UdpIpv6, Self::Plain];

    /// Its name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ArpRequest => "arp-request",
            Self::UdpIpv4 => "udp-ipv4",
            Self::UdpIpv6 => "udp-ipv6",
            Self::Plain => "plain",
        }
    }

    /// Octets of its headers behind the Ethernet header.
    pub(super) const fn header_octets(self) -> usize {
        match self {
            // An ARP packet, or IPv4 and UDP.
            Self::ArpRequest | Self::UdpIpv4 => 28,
            Self::UdpIpv6 => 40 + 8,
            Self::Plain => 0,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == text.trim());
        named.ok_or_else(|| LoadError::NoKind(text.to_owned()))
    }
}

/// What is wrong with an errored frame. All are signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErroredKind {
    /// Shorter than 64 octets: a plain frame with room for header and signature. Where a network card pads it, it is none.
    Runt,
    /// Of [`Errored::giant_octets`].
    Giant,
    /// From a group address.
    GroupSource,
    /// From 00:00:00:00:00:00.
    ZeroSource,
}

impl ErroredKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Runt, Self::Giant, Self::GroupSource, Self::ZeroSource];

    /// Its name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runt => "runt",
            Self::Giant => "giant",
            Self::GroupSource => "group-source",
            Self::ZeroSource => "zero-source",
        }
    }
}

impl fmt::Display for ErroredKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ErroredKind {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == text.trim());
        named.ok_or_else(|| LoadError::NoErroredKind(text.to_owned()))
    }
}

/// Frames that a switch should not forward, among those that it should.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errored {
    /// How many of a million frames, on average.
    pub per_million: u32,
    /// What is wrong with them: each of these as often.
    pub kinds: Vec<ErroredKind>,
    /// The size of a giant, octets with FCS. The interface's MTU must let it out.
    #[serde(default = "Errored::usual_giant")]
    pub giant_octets: u32,
}

impl Errored {
    /// A frame too large for an MTU of 1500, with a VLAN tag or without.
    pub const fn usual_giant() -> u32 {
        1523
    }
}

/// Those who send, or those who receive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stations {
    /// The first one's MAC address; the others' follow ([`crate::walk::mac_at`]).
    pub mac: MacAddr,
    /// The first one's IP address; the others' follow, in the same order. `None`: from the range for benchmarks, where more than
    /// [`USUAL_IPS_V4`] stations share IPv4 addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// How many.
    #[serde(default = "Stations::one")]
    pub count: u32,
    /// Which of them for the n-th frame.
    #[serde(default)]
    pub walk: Walk,
}

impl Stations {
    /// One station of that address.
    pub const fn new(mac: MacAddr) -> Self {
        Self { mac, ip: None, count: 1, walk: Walk::Sequential }
    }

    /// One that sends: 02:73:00:00:00:01.
    pub const fn sources() -> Self {
        Self::new(MacAddr([0x02, b's', 0, 0, 0, 1]))
    }

    /// One that receives: 02:64:00:00:00:01.
    pub const fn destinations() -> Self {
        Self::new(MacAddr([0x02, b'd', 0, 0, 0, 1]))
    }

    const fn one() -> u32 {
        1
    }

    fn check(&self, whose: Whose, kind: Kind) -> Result<(), LoadError> {
        let (whose_name, mac, count) = (whose.name(), self.mac, self.count);
        if count == 0 {
            return Err(LoadError::NoCount(whose_name));
        }
        if mac.is_group() || mac.is_zero() {
            return Err(LoadError::BaseMac { whose: whose_name, mac });
        }
        if mac_number(mac) + u64::from(count) > MAC_ADDRESSES {
            return Err(LoadError::MacRange { whose: whose_name, mac, count });
        }
        let Some(ip) = self.ip else { return Ok(()) };
        let refuse = |mend| Err(LoadError::Family { whose: whose_name, ip, what: kind.to_string(), mend });
        let last = u128::from(count - 1);
        let all_hosts = match (kind, ip) {
            (Kind::ArpRequest | Kind::UdpIpv4, IpAddr::V4(ip)) => {
                !ip.is_unspecified()
                    && u128::from(u32::from(ip)) + last < u128::from(u32::from(Ipv4Addr::new(224, 0, 0, 0)))
            }
            (Kind::UdpIpv6, IpAddr::V6(ip)) => {
                let first_group = u128::from(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0));
                !ip.is_unspecified() && u128::from(ip) < first_group && u128::from(ip) + last < first_group
            }
            (Kind::Plain, _) => return refuse("leave it out"),
            (Kind::UdpIpv6, _) => return refuse("write one of IPv6, as in 2001:2::1"),
            (Kind::ArpRequest | Kind::UdpIpv4, _) => return refuse("write one of IPv4, as in 198.18.0.1"),
        };
        let example = whose.usual_ip(kind);
        if all_hosts { Ok(()) } else { Err(LoadError::IpRange { whose: whose_name, ip, count, example }) }
    }
}

/// Whose address?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Source,
    Destination,
}

impl Whose {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    /// The first address of the half of the range for benchmarks that is theirs.
    pub(crate) const fn usual_ip(self, kind: Kind) -> IpAddr {
        match (kind, self) {
            (Kind::UdpIpv6, Self::Source) => IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1)),
            (Kind::UdpIpv6, Self::Destination) => IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 1, 0, 0, 0, 1)),
            (_, Self::Source) => IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
            (_, Self::Destination) => IpAddr::V4(Ipv4Addr::new(198, 19, 0, 1)),
        }
    }

    /// The first IP address of these stations, and how many they have together.
    pub(crate) fn ips(self, stations: &Stations, kind: Kind) -> (IpAddr, u32) {
        match (stations.ip, self.usual_ip(kind)) {
            (None, usual @ IpAddr::V4(_)) => (usual, stations.count.min(USUAL_IPS_V4)),
            (None, usual @ IpAddr::V6(_)) => (usual, stations.count),
            (Some(ip), _) => (ip, stations.count),
        }
    }
}

/// What a stream is asked to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSpec {
    /// What its frames are.
    pub kind: Kind,
    /// How large they are.
    pub sizes: Sizes,
    /// The VLAN that they are tagged with (IEEE 802.1Q), 1 to 4094.
    pub vlan: Option<u16>,
    /// Who sends them.
    pub sources: Stations,
    /// To whom.
    pub destinations: Stations,
    /// From how many UDP ports, drawn at random: 1024 and up.
    pub flows: u32,
    /// How many of a million frames go to ff:ff:ff:ff:ff:ff, on average. All ARP requests do.
    pub broadcast_per_million: u32,
    /// How many are wrong, and how.
    pub errored: Option<Errored>,
    /// The same seed makes the same frames.
    pub seed: u64,
    /// The number of the stream in its frames' signatures, up to [`MOST_STREAM`].
    pub stream: u8,
    /// The receiving port in their signatures.
    pub port: u8,
}

impl Default for StreamSpec {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            sizes: Sizes::default(),
            vlan: None,
            sources: Stations::sources(),
            destinations: Stations::destinations(),
            flows: 1,
            broadcast_per_million: 0,
            errored: None,
            seed: 0,
            stream: 0,
            port: 0,
        }
    }
}

impl StreamSpec {
    /// The least size that holds an Ethernet header, the kind's headers and a signature: octets with FCS.
    pub fn least_octets(&self) -> usize {
        let headers = header_octets(self.vlan) + self.kind.header_octets();
        (headers + SIGNATURE_OCTETS + FCS_OCTETS).max(LEAST_OCTETS as usize)
    }

    /// The same from the destinations to the sources: what teaches a switch where the destinations are.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { sources: self.destinations.clone(), destinations: self.sources.clone(), ..self.clone() }
    }

    /// Can there be such a stream?
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), LoadError> {
        let least = self.least_octets();
        if self.sizes.least() < least {
            let tag = if self.vlan.is_some() { " tagged" } else { "" };
            return Err(LoadError::NoRoom {
                sizes: self.sizes.to_string(),
                what: format!("{}{tag}", self.kind),
                least,
            });
        }
        if let Some(vlan) = self.vlan.filter(|vlan| !(1..=4094).contains(vlan)) {
            return Err(LoadError::Vlan(vlan));
        }
        self.sources.check(Whose::Source, self.kind)?;
        self.destinations.check(Whose::Destination, self.kind)?;
        if !(1..=MOST_FLOWS).contains(&self.flows) {
            return Err(LoadError::Flows(self.flows));
        }
        if self.broadcast_per_million > MILLION {
            return Err(LoadError::Share(self.broadcast_per_million));
        }
        if self.stream > MOST_STREAM {
            return Err(LoadError::StreamNumber(self.stream));
        }
        self.errored.as_ref().map_or(Ok(()), |errored| {
            if errored.per_million > MILLION {
                return Err(LoadError::Share(errored.per_million));
            }
            if errored.kinds.is_empty() {
                return Err(LoadError::NoErrored);
            }
            if !(LEAST_GIANT..=MOST_GIANT).contains(&errored.giant_octets) {
                return Err(LoadError::Giant(errored.giant_octets));
            }
            Ok(())
        })
    }
}

/// Octets of the Ethernet header, with the tag if there is one.
pub(super) fn header_octets(vlan: Option<u16>) -> usize {
    HEADER_OCTETS + if vlan.is_some() { TAG_OCTETS } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stations(text: &str, ip: Option<&str>, count: u32) -> Stations {
        Stations { ip: ip.map(|ip| ip.parse().unwrap()), count, ..Stations::new(text.parse().unwrap()) }
    }

    #[test]
    fn the_least_size_is_the_sum_of_what_it_holds() {
        for (kind, least, tagged) in
            [(Kind::ArpRequest, 64, 68), (Kind::UdpIpv4, 64, 68), (Kind::UdpIpv6, 84, 88), (Kind::Plain, 64, 64)]
        {
            for (vlan, least) in [(None, least), (Some(1), tagged)] {
                let sizes = |octets| Sizes::fixed(octets).unwrap();
                let spec = StreamSpec { kind, vlan, sizes: sizes(least), ..StreamSpec::default() };
                assert_eq!((spec.least_octets(), spec.check()), (least as usize, Ok(())));
                if least > 64 {
                    let refused = StreamSpec { sizes: sizes(least - 1), ..spec }.check().unwrap_err().to_string();
                    assert!(refused.contains(&format!("{least} octets is the least")), "{refused}");
                }
            }
        }
        let spec = StreamSpec { kind: Kind::UdpIpv6, sizes: Sizes::imix(), vlan: Some(1), ..StreamSpec::default() };
        let says = "sizes imix begin too small for udp-ipv6 tagged frames with their signature: 88 octets is the least";
        assert_eq!(spec.check().unwrap_err().to_string(), says);
    }

    #[test]
    fn refuses_what_cannot_be() {
        let usual = StreamSpec::default;
        let from = |mac: &str, ip, count| StreamSpec { sources: stations(mac, ip, count), ..usual() };
        let six = |ip, count| StreamSpec {
            kind: Kind::UdpIpv6,
            sizes: Sizes::fixed(84).unwrap(),
            destinations: stations("02:00:00:00:00:01", Some(ip), count),
            ..usual()
        };
        let errored = |per_million, kinds: &[_], giant_octets| StreamSpec {
            errored: Some(Errored { per_million, kinds: kinds.to_vec(), giant_octets }),
            ..usual()
        };
        let mac = "02:00:00:00:00:01";
        for (spec, says) in [
            (StreamSpec { vlan: Some(0), sizes: Sizes::fixed(68).unwrap(), ..usual() }, "VLAN 0 does"),
            (StreamSpec { vlan: Some(4095), sizes: Sizes::fixed(68).unwrap(), ..usual() }, "VLAN 4095 does"),
            (from(mac, None, 0), "a walk over no source"),
            (from("00:00:00:00:00:00", None, 1), "source MAC 00:00:00:00:00:00 is no single"),
            (from("03:00:00:00:00:00", None, 1), "source MAC 03:00:00:00:00:00 is no single"),
            (from("fe:ff:ff:ff:ff:ff", None, 2), "2 source MACs from fe:ff:ff:ff:ff:ff on run out"),
            (from(mac, Some("2001:2::1"), 1), "source IP 2001:2::1 is none for udp-ipv4 frames: write one of IPv4"),
            (from(mac, Some("0.0.0.0"), 1), "1 source IPs from 0.0.0.0 on are not all"),
            (from(mac, Some("223.255.255.255"), 2), "as at 198.18.0.1"),
            (from(mac, Some("239.0.0.1"), 1), "1 source IPs from 239.0.0.1 on are not all"),
            (StreamSpec { kind: Kind::Plain, ..from(mac, Some("10.0.0.1"), 1) }, "plain frames: leave it out"),
            (six("10.0.0.1", 1), "destination IP 10.0.0.1 is none for udp-ipv6 frames: write one of IPv6"),
            (six("::", 1), "1 destination IPs from :: on are not all"),
            (six("ff02::1", 1), "as at 2001:2:0:1::1"),
            (six("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2), "2 destination IPs"),
            (six("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2), "2 destination IPs"),
            (StreamSpec { flows: 0, ..usual() }, "0 flows"),
            (StreamSpec { flows: 64_513, ..usual() }, "write 1 to 64512"),
            (StreamSpec { broadcast_per_million: 1_000_001, ..usual() }, "1000001 frames in a million"),
            (StreamSpec { stream: 128, ..usual() }, "stream 128"),
            (errored(1_000_001, &[ErroredKind::Runt], 1523), "1000001 frames in a million"),
            (errored(1, &[], 1523), "of which kind?"),
            (errored(1, &[ErroredKind::Giant], 1518), "a giant of 1518 octets is none: write 1519 to 65535"),
            (errored(1, &[ErroredKind::Giant], 65_536), "a giant of 65536 octets"),
        ] {
            let refused = spec.check().unwrap_err().to_string();
            assert!(refused.contains(says) && refused.lines().count() == 1, "{refused:?} does not say {says:?}");
        }
        assert_eq!(from("fe:ff:ff:ff:ff:fe", Some("223.255.255.254"), 2).check(), Ok(()));
        assert_eq!(six("feff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 2).check(), Ok(()));
    }

    #[test]
    fn names_are_the_same_in_every_text() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        for kind in ErroredKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!("tcp".parse::<Kind>(), Err(LoadError::NoKind("tcp".into())));
        assert_eq!("bad".parse::<ErroredKind>(), Err(LoadError::NoErroredKind("bad".into())));
    }

    #[test]
    fn a_specification_is_what_differs() {
        let text = r#"{"kind": "plain", "sizes": "imix", "sources": {"mac": "02:00:00:00:00:01", "count": 9, "walk": "zipf"},
            "errored": {"per_million": 10, "kinds": ["runt", "giant"]}}"#;
        let read: StreamSpec = serde_json::from_str(text).unwrap();
        let expected = StreamSpec {
            kind: Kind::Plain,
            sizes: Sizes::imix(),
            sources: Stations { walk: Walk::ZIPF, ..stations("02:00:00:00:00:01", None, 9) },
            errored: Some(Errored {
                per_million: 10,
                kinds: vec![ErroredKind::Runt, ErroredKind::Giant],
                giant_octets: 1523,
            }),
            ..StreamSpec::default()
        };
        assert_eq!(read, expected);
        assert_eq!(serde_json::from_str::<StreamSpec>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
        assert_eq!(serde_json::from_str::<StreamSpec>("{}").unwrap(), StreamSpec::default());
        assert!(serde_json::from_str::<StreamSpec>(r#"{"size": "64"}"#).is_err());
        assert_eq!(read.reversed().reversed(), read);
        assert_eq!(read.reversed().destinations.count, 9);
    }
}
