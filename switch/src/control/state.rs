//! What is written down? Every network with its endpoints and addresses, as versioned JSON behind a line with its
//! checksum.
//!
//! ```text
//! {"lanyard_state":1,"crc32":"9c2f1a07","octets":512}
//! { "next_port": 4, "networks": [ ... ] }
//! ```
//! Only what cannot be found again is kept: counters and learned addresses are not. Fields are added with a default;
//! [`VERSION`] rises when an older program would read a newer file wrongly.

use std::fmt;
use std::net::IpAddr;

use docker::fabric::{NetworkOptions, PublishedPort, Subnet};
use frame::MacAddr;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::types::{ArpMode, GatewayMode, PortKind, plain_options};

/// The version of the form that this program writes.
pub const VERSION: u32 = 1;

/// Everything that outlives the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The number the next port gets, if it is free.
    #[serde(default)]
    pub next_port: u16,
    /// The number the next network gets, if it is free.
    #[serde(default)]
    pub next_network: u16,
    /// The networks, in the order they were made.
    pub networks: Vec<NetworkRecord>,
    /// Which start of the machine it was written in (`/proc/sys/kernel/random/boot_id`).
    #[serde(default)]
    pub boot_id: String,
    /// There may be rules of ours on the host.
    #[serde(default)]
    pub host_rules: bool,
}

/// A network, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits, unique for all time.
    pub id: String,
    /// Its number in the engine.
    pub number: u16,
    /// Its subnet.
    pub subnet: IpNet,
    /// The gateway's address in router mode.
    pub gateway: Option<IpAddr>,
    /// Who the gateway is.
    pub gateway_mode: GatewayMode,
    /// Largest IP packet, octets.
    pub mtu: u32,
    /// Most addresses learned on one port.
    pub mac_limit: Option<u32>,
    /// Most addresses in the MAC table.
    pub mac_capacity: u32,
    /// Seconds after which a silent address is forgotten.
    pub ageing: u32,
    /// What the switch does about ARP requests for endpoints that it knows.
    pub arp: ArpMode,
    /// Are reserved groups forwarded?
    pub forward_reserved: bool,
    /// Names of the networks it may talk to; each of those names this one.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Its endpoints, in the order they were connected.
    #[serde(default)]
    pub endpoints: Vec<EndpointRecord>,
    /// Is it Docker's?
    #[serde(default)]
    pub docker: bool,
    /// Where endpoints send what is for elsewhere, if not to the gateway.
    #[serde(default)]
    pub default_router: Option<IpAddr>,
    /// More subnets than the one.
    #[serde(default)]
    pub more_subnets: Vec<Subnet>,
    /// No way out, only to the host itself.
    #[serde(default)]
    pub internal: bool,
    /// What Docker's `-o` options say.
    #[serde(default = "plain_options")]
    pub options: NetworkOptions,
}

/// An endpoint, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// Its name.
    pub name: String,
    /// Its port's number.
    pub port: u16,
    /// The namespace as it was given.
    pub netns: String,
    /// The interface's name inside the container.
    pub ifname: String,
    /// Its address with the subnet's prefix length.
    pub ip: IpNet,
    /// Its MAC address.
    pub mac: MacAddr,
    /// TAP, veth or veth by `AF_XDP`.
    pub kind: PortKind,
    /// Super-frames and unfinished checksums allowed?
    pub offload: bool,
    /// Is its MAC address pinned to its port?
    pub pinned: bool,
    /// The name of a veth's host end.
    pub host_ifname: Option<String>,
    /// The index of a veth's host end: what it is found again by after it was renamed. 0 when it is not known.
    #[serde(default)]
    pub host_ifindex: u32,
    /// The interface's index inside the namespace: what it is found again by after it was renamed.
    pub ifindex: u32,
    /// False until all of it was made: what is incomplete after a crash is undone.
    #[serde(default = "yes")]
    pub complete: bool,
    /// Its other addresses.
    #[serde(default)]
    pub more_ips: Vec<IpNet>,
    /// Whose end it is.
    #[serde(default)]
    pub role: Role,
    /// What Docker knows of it; `None` if it is not Docker's.
    #[serde(default)]
    pub docker: Option<DockerRecord>,
}

/// Whose end an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A container's.
    #[default]
    Container,
    /// The host's, which is the network's gateway.
    Gateway,
}

/// An endpoint of Docker's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerRecord {
    /// Docker's id of it: 64 hexadecimal digits.
    pub id: String,
    /// The interface's name as long as it is in dockerd's namespace.
    pub source_name: String,
    /// Where the container's namespace is, or will be; `None` while it has not joined.
    pub sandbox: Option<String>,
    /// Its ports that the host publishes.
    pub published: Vec<PublishedPort>,
    /// Its ports that the host published before another endpoint of the container took over.
    #[serde(default)]
    pub revoked: Vec<PublishedPort>,
}

/// Before [`EndpointRecord::complete`] was written down, nothing told of it.
const fn yes() -> bool {
    true
}

/// Why a state file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not what was written.
    Corrupt(String),
    /// A later program wrote it.
    Newer(u32),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(why) => write!(f, "corrupt: {why}"),
            Self::Newer(version) => write!(f, "of version {version}, and this program knows {VERSION}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    lanyard_state: u32,
    crc32: String,
    octets: usize,
}

impl State {
    /// The file's octets.
    ///
    /// # Errors
    /// None that this type can cause; what `serde_json` says is passed on.
    pub fn to_file(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut body = serde_json::to_vec_pretty(self)?;
        body.push(b'\n');
        let header = Header { lanyard_state: VERSION, crc32: format!("{:08x}", crc32(&body)), octets: body.len() };
        let mut file = serde_json::to_vec(&header)?;
        file.push(b'\n');
        file.append(&mut body);
        Ok(file)
    }

    /// Read a file's octets.
    ///
    /// # Errors
    /// It is corrupt, or a later program wrote it.
    pub fn from_file(file: &[u8]) -> Result<Self, Unreadable> {
        let corrupt = |why: &str| Unreadable::Corrupt(why.to_owned());
        let end = file.iter().position(|b| *b == b'\n').ok_or_else(|| corrupt("its first line does not end"))?;
        let (header, body) = (&file[..end], &file[end + 1..]);
        let header: Header =
            serde_json::from_slice(header).map_err(|error| Unreadable::Corrupt(format!("its first line: {error}")))?;
        if header.lanyard_state > VERSION {
            return Err(Unreadable::Newer(header.lanyard_state));
        }
        if header.octets != body.len() {
            return Err(Unreadable::Corrupt(format!("{} octets where {} were written", body.len(), header.octets)));
        }
        if header.crc32 != format!("{:08x}", crc32(body)) {
            return Err(corrupt("its checksum is wrong"));
        }
        let state: Self = serde_json::from_slice(body).map_err(|error| Unreadable::Corrupt(error.to_string()))?;
        state.check().map_err(Unreadable::Corrupt)?;
        Ok(state)
    }

    /// What the rest of the program relies on: a checksum can be right over what somebody edited by hand.
    fn check(&self) -> Result<(), String> {
        let mut ports = std::collections::HashSet::new();
        let mut numbers = std::collections::HashSet::new();
        let mut names = std::collections::HashSet::new();
        for network in &self.networks {
            if !names.insert(&network.name) || !numbers.insert(network.number) {
                return Err(format!("network '{}' (n{}) is there twice", network.name, network.number));
            }
            if usize::from(network.number) >= frame::NetworkId::LIMIT {
                return Err(format!("network '{}' has the number {}", network.name, network.number));
            }
            for endpoint in &network.endpoints {
                let number = usize::from(endpoint.port);
                if number >= frame::PortId::LIMIT || !ports.insert(number) {
                    return Err(format!("endpoint '{}' has port {number}, which it cannot have", endpoint.name));
                }
            }
        }
        Ok(())
    }

    /// Every port's number.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.networks.iter().flat_map(|network| &network.endpoints).map(|endpoint| endpoint.port)
    }
}

/// CRC-32 as in IEEE 802.3, bit by bit: a state file is small.
fn crc32(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One network with one endpoint.
    pub(crate) fn sample(name: &str) -> State {
        let endpoint = EndpointRecord {
            name: "web".into(),
            port: 3,
            netns: "pid:7".into(),
            ifname: "eth0".into(),
            ip: "10.0.0.2/24".parse().unwrap(),
            mac: "02:42:0a:00:00:02".parse().unwrap(),
            kind: PortKind::Tap,
            offload: true,
            pinned: false,
            host_ifname: None,
            ifindex: 9,
            host_ifindex: 0,
            complete: true,
            more_ips: vec![],
            role: Role::Container,
            docker: None,
        };
        let network = NetworkRecord {
            name: name.into(),
            id: "ab".repeat(32),
            number: 1,
            subnet: "10.0.0.0/24".parse().unwrap(),
            gateway: Some("10.0.0.1".parse().unwrap()),
            gateway_mode: GatewayMode::Router,
            mtu: 1500,
            mac_limit: None,
            mac_capacity: 8192,
            ageing: 300,
            arp: ArpMode::Flood,
            forward_reserved: false,
            peers: vec![],
            endpoints: vec![endpoint],
            docker: false,
            default_router: None,
            more_subnets: vec![],
            internal: false,
            options: plain_options(),
        };
        State { boot_id: String::new(), host_rules: false, next_port: 4, next_network: 2, networks: vec![network] }
    }

    #[test]
    fn the_checksum_is_the_one_of_ethernet() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_was_written_is_read() {
        let state = sample("lab");
        assert_eq!(State::from_file(&state.to_file().unwrap()).unwrap(), state);
    }

    #[test]
    fn a_file_cut_anywhere_is_corrupt() {
        let file = sample("lab").to_file().unwrap();
        for len in 0..file.len() {
            assert!(matches!(State::from_file(&file[..len]), Err(Unreadable::Corrupt(_))), "{len}");
        }
    }

    #[test]
    fn a_file_with_one_bit_turned_is_corrupt() {
        let file = sample("lab").to_file().unwrap();
        let body = file.iter().position(|b| *b == b'\n').unwrap() + 1;
        for at in body..file.len() {
            let mut turned = file.clone();
            turned[at] ^= 1;
            assert!(matches!(State::from_file(&turned), Err(Unreadable::Corrupt(_))), "{at}");
        }
    }

    #[test]
    fn what_another_program_wrote_is_told_apart() {
        assert_eq!(State::from_file(b"{\"lanyard_state\":2,\"crc32\":\"\",\"octets\":0}\n"), Err(Unreadable::Newer(2)));
        for file in [&b""[..], b"\n", b"{}\n", b"\xff\xff\n", b"[]\n{}\n"] {
            assert!(matches!(State::from_file(file), Err(Unreadable::Corrupt(_))));
        }
    }

    #[test]
    fn an_endpoint_of_an_older_file_is_complete() {
        let mut state = sample("lab");
        let mut body = serde_json::to_value(&state).unwrap();
        let old = body["networks"][0]["endpoints"][0].as_object_mut().unwrap();
        assert!(old.remove("complete").is_some() && old.remove("host_ifindex").is_some());
        assert_eq!(serde_json::from_value::<State>(body).unwrap(), state);
        state.networks[0].endpoints[0].complete = false;
        assert_eq!(State::from_file(&state.to_file().unwrap()).unwrap(), state);
    }

    #[test]
    fn a_network_of_an_older_file_is_a_switch_as_it_was() {
        let state = sample("lab");
        let mut body = serde_json::to_value(&state).unwrap();
        let options = body["networks"][0]["options"].as_object_mut().unwrap();
        assert!(options.remove("mode").is_some() && options.remove("evict").is_some());
        assert_eq!(serde_json::from_value::<State>(body).unwrap(), state);
        let mut hub = sample("hub");
        hub.networks[0].options.mode = docker::fabric::Mode::Hub;
        hub.networks[0].options.evict = docker::fabric::Evict::None;
        assert_eq!(State::from_file(&hub.to_file().unwrap()).unwrap(), hub);
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let with = |change: fn(&mut State)| {
            let mut state = sample("lab");
            change(&mut state);
            State::from_file(&state.to_file().unwrap())
        };
        assert!(with(|_| ()).is_ok());
        assert!(with(|state| state.networks[0].number = 1024).is_err());
        assert!(with(|state| state.networks[0].endpoints[0].port = 4096).is_err());
        assert!(with(|state| state.networks.push(state.networks[0].clone())).is_err());
    }
}
