//! What is wanted of the host? [`Plan`]: its networks and its published ports; and what no plan may say.
//!
//! Words as in Docker's bridge driver (`com.docker.network.bridge.*`). A plan is checked as a whole before anything is done.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::HostFault;

/// Everything that the host shall do, in full: what is not in it is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The networks whose gateway is an interface of the host.
    pub networks: Vec<HostNetwork>,
    /// The published ports, one entry for each; consecutive ones become one rule.
    pub published: Vec<Published>,
}

/// A network as the host sees it: an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostNetwork {
    /// The gateway's interface.
    pub ifname: String,
    /// The network's subnets.
    pub subnets: Vec<IpNet>,
    /// The host's own addresses in it.
    pub gateways: Vec<IpAddr>,
    /// No way out and no way in but to the gateway's address itself.
    pub internal: bool,
    /// May its containers talk to each other (through the host, between its subnets)?
    pub icc: bool,
    /// What the gateway does for IPv4.
    pub mode_v4: Mode,
    /// What the gateway does for IPv6.
    pub mode_v6: Mode,
    /// Do containers appear outside under the host's address?
    pub masquerade: bool,
    /// Under this very one, for IPv4.
    pub snat_v4: Option<Ipv4Addr>,
    /// Under this very one, for IPv6.
    pub snat_v6: Option<Ipv6Addr>,
    /// Interfaces from which containers may be reached at their own addresses.
    pub trusted: Vec<String>,
}

impl HostNetwork {
    /// A network as Docker makes it when nobody says otherwise: translated, open inside, no trusted interfaces.
    pub fn new(ifname: impl Into<String>, subnets: Vec<IpNet>, gateways: Vec<IpAddr>) -> Self {
        Self {
            ifname: ifname.into(),
            subnets,
            gateways,
            internal: false,
            icc: true,
            mode_v4: Mode::Nat,
            mode_v6: Mode::Nat,
            masquerade: true,
            snat_v4: None,
            snat_v6: None,
            trusted: Vec::new(),
        }
    }

    /// The mode for the family of `address`.
    pub(crate) fn mode_for(&self, address: IpAddr) -> Mode {
        if address.is_ipv4() { self.mode_v4 } else { self.mode_v6 }
    }

    /// Does the host have to forward packets of a family for it?
    pub(crate) fn forwards(&self, v4: bool) -> bool {
        let mode = if v4 { self.mode_v4 } else { self.mode_v6 };
        !self.internal && mode != Mode::Isolated && self.subnets.iter().any(|subnet| is_v4(subnet) == v4)
    }
}

/// What a network's gateway does for one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Translate; from outside only published ports are reached, at the host's addresses.
    #[default]
    Nat,
    /// Translate; containers' own addresses may be reached from outside.
    NatUnprotected,
    /// Do not translate; published ports are open at the containers' own addresses, and ICMP is.
    Routed,
    /// The host and the network do not see each other.
    Isolated,
}

/// A transport protocol whose ports are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// 6.
    Tcp,
    /// 17.
    Udp,
    /// 132.
    Sctp,
}

impl Protocol {
    /// Its name in rules, and in Docker's `80/tcp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// Its IANA protocol number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// One published port. In mode `routed` the host's address and port mean nothing: the container's port is opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Published {
    /// The interface of the container's network.
    pub ifname: String,
    /// The container's address.
    pub container: IpAddr,
    /// The container's port.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The host's address; unspecified (0.0.0.0, ::) for every address of its family.
    pub host_ip: IpAddr,
    /// The host's port.
    pub host_port: u16,
}

impl Plan {
    /// May this be put into rules? Names are the only text from outside that rules hold.
    pub(crate) fn check(&self) -> Result<(), HostFault> {
        let mut names = HashSet::new();
        for network in &self.networks {
            network.trusted.iter().chain([&network.ifname]).try_for_each(|name| check_name(name))?;
            if !names.insert(network.ifname.as_str()) {
                return Err(HostFault::TwiceNamed(network.ifname.clone()));
            }
        }
        self.check_overlaps()?;
        self.check_published()
    }

    fn check_overlaps(&self) -> Result<(), HostFault> {
        let mut all: Vec<(IpNet, &str)> = self
            .networks
            .iter()
            .flat_map(|network| network.subnets.iter().map(|subnet| (subnet.trunc(), network.ifname.as_str())))
            .collect();
        // In order of first addresses, whatever overlaps has a neighbour that it overlaps.
        all.sort_by_key(|(subnet, _)| (subnet.network(), subnet.prefix_len()));
        for pair in all.windows(2) {
            if let [(one, of_one), (two, of_two)] = pair
                && one.contains(&two.network())
            {
                return Err(HostFault::Overlap(*two, (*of_two).to_owned(), *one, (*of_one).to_owned()));
            }
        }
        Ok(())
    }

    fn check_published(&self) -> Result<(), HostFault> {
        let mut taken = HashSet::new();
        for port in &self.published {
            let Some(network) = self.network(&port.ifname) else {
                return Err(HostFault::UnknownNetwork { ifname: port.ifname.clone(), port: port.host_port });
            };
            if port.container_port == 0 {
                return Err(HostFault::PortZero(port.container));
            }
            if network.mode_for(port.container) == Mode::Routed {
                continue;
            }
            if port.host_port == 0 {
                return Err(HostFault::PortZero(port.host_ip));
            }
            if port.container.is_ipv4() != port.host_ip.is_ipv4() {
                return Err(HostFault::Family { host: port.host_ip, port: port.host_port, container: port.container });
            }
            if !taken.insert((port.host_ip, port.protocol, port.host_port)) {
                return Err(HostFault::Twice(port.host_ip, port.host_port));
            }
        }
        Ok(())
    }

    pub(crate) fn network(&self, ifname: &str) -> Option<&HostNetwork> {
        self.networks.iter().find(|network| network.ifname == ifname)
    }
}

pub(crate) fn is_v4(subnet: &IpNet) -> bool {
    matches!(subnet, IpNet::V4(_))
}

/// `IFNAMSIZ` less its terminator, and no character that means something to nft, to iptables (`+`, `!`) or to a path.
fn check_name(name: &str) -> Result<(), HostFault> {
    let good = (1..=15).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !name.starts_with(['-', '.']);
    if good { Ok(()) } else { Err(HostFault::InterfaceName(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ifname: &str, subnet: &str) -> HostNetwork {
        HostNetwork::new(ifname, vec![subnet.parse().unwrap()], vec![])
    }

    fn port(ifname: &str, container: &str, host_ip: &str, host_port: u16) -> Published {
        Published {
            ifname: ifname.to_owned(),
            container: container.parse().unwrap(),
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: host_ip.parse().unwrap(),
            host_port,
        }
    }

    fn refusal(networks: Vec<HostNetwork>, published: Vec<Published>) -> String {
        Plan { networks, published }.check().unwrap_err().to_string()
    }

    #[test]
    fn what_no_plan_may_say() {
        let a = || network("ly-a", "10.1.0.0/16");
        for bad in ["", "a b", "ly+", "x\"; drop", "abcdefghijklmnop", "-i", "..", "a/b", "a*", "ä"] {
            assert!(
                refusal(vec![network(bad, "10.0.0.0/8")], vec![]).contains("cannot be an interface's name"),
                "{bad}"
            );
        }
        let mut trusting = a();
        trusting.trusted.push("eth0;".to_owned());
        assert!(refusal(vec![trusting], vec![]).contains("\"eth0;\""));
        assert!(refusal(vec![a(), network("ly-a", "10.2.0.0/16")], vec![]).contains("two networks have"));
        assert_eq!(
            refusal(vec![a(), network("ly-b", "10.1.4.0/24")], vec![]),
            "the subnet 10.1.4.0/24 of ly-b overlaps 10.1.0.0/16 of ly-a: choose another subnet"
        );
        assert!(refusal(vec![a()], vec![port("ly-x", "10.1.0.2", "0.0.0.0", 80)]).contains("no network of the plan"));
        assert!(refusal(vec![a()], vec![port("ly-a", "10.1.0.2", "::", 80)]).contains("families differ"));
        assert!(refusal(vec![a()], vec![port("ly-a", "10.1.0.2", "0.0.0.0", 0)]).contains("port 0"));
        let twice = vec![port("ly-a", "10.1.0.2", "0.0.0.0", 80), port("ly-a", "10.1.0.3", "0.0.0.0", 80)];
        assert_eq!(refusal(vec![a()], twice), "Bind for 0.0.0.0:80 failed: port is already allocated");
    }

    #[test]
    fn what_a_plan_may_say() {
        let networks =
            vec![network("ly-a", "10.1.0.0/16"), network("ly.b_1", "10.2.0.0/16"), network("l", "fd00::/64")];
        let published = vec![
            port("ly-a", "10.1.0.2", "127.0.0.1", 80),
            port("ly-a", "10.1.0.3", "127.0.0.2", 80),
            port("l", "fd00::2", "::", 80),
        ];
        Plan { networks, published }.check().unwrap();
    }
}
