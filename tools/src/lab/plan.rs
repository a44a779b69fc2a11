//! Which networks and hosts is a lab to have? Said by `lab up` in numbers, by the story, or by an exercise in full.
//!
//! The plan is written into the lab's folder as JSON: that is how the keeper, a process of its own, hears of it.

use std::net::{IpAddr, Ipv4Addr};

use frame::MacAddr;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use switch::control::types::{GatewayMode, NetworkSpec};

/// A whole lab. Every network that has a gateway is peered with every other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Its networks.
    pub(crate) networks: Vec<NetworkSpec>,
    /// Its hosts.
    pub(crate) hosts: Vec<HostPlan>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostPlan {
    /// Its name, and that of its port.
    pub(crate) name: String,
    /// The network it is on.
    pub(crate) network: String,
    /// Its address.
    pub(crate) ip: Ipv4Addr,
    /// Its MAC address.
    pub(crate) mac: MacAddr,
    /// How many ends it has on that network: `eth0`, and `eth1` .. at ports `NAME-2` ..; a host with more than one is a box
    /// that forwards, and answers no ARP request.
    pub(crate) ends: u8,
    /// What its kernel does by the clock.
    pub(crate) timers: Timers,
}

/// When a host's ARP cache changes its mind (`arp(7)`); `None` leaves what the lab's hosts have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timers {
    /// A confirmed entry is REACHABLE for one half to three halves of this (RFC 4861, 6.3.2), milliseconds.
    pub(crate) reachable_ms: Option<u32>,
    /// An entry that was STALE when it was used is in DELAY for this long, seconds.
    pub(crate) delay_s: Option<u32>,
    /// Between two requests, milliseconds.
    pub(crate) retrans_ms: Option<u32>,
    /// An entry that changed is not changed again by what nobody asked for, milliseconds.
    pub(crate) locktime_ms: Option<u32>,
}

impl Timers {
    /// The settings under `/proc/sys/net/ipv4/neigh/eth0/`, with their values.
    pub(super) fn settings(self) -> impl Iterator<Item = (&'static str, u32)> {
        // The kernel counts the lock time in its own hundredths.
        let locktime = self.locktime_ms.map(|ms| ms / 10);
        [
            ("base_reachable_time_ms", self.reachable_ms),
            ("delay_first_probe_time", self.delay_s),
            ("retrans_time_ms", self.retrans_ms),
            ("locktime", locktime),
        ]
        .into_iter()
        .filter_map(|(setting, value)| Some((setting, value?)))
    }
}

impl Plan {
    /// Hosts h1, h2, .. from 10.0.1.11 on, dealt out to net1, net2, ..; the switch forgets after `ageing_secs`.
    pub(super) fn even(hosts: u8, networks: u8, ageing_secs: u32) -> Self {
        let mut plan = Self { networks: Vec::new(), hosts: Vec::new() };
        for network in 0..networks {
            let spec = NetworkSpec {
                subnet: Some(IpNet::V4(subnet_of(network))),
                gateway_mode: GatewayMode::Router,
                ageing: Some(ageing_secs),
                ..NetworkSpec::named(&format!("net{}", network + 1))
            };
            for _ in 0..share(hosts, networks, network) {
                let number = plan.hosts.len() as u8 + 1;
                let ip = Ipv4Addr::new(10, 0, network + 1, 10 + number);
                plan.hosts.push(HostPlan {
                    name: format!("h{number}"),
                    network: spec.name.clone(),
                    ip,
                    mac: MacAddr::from_ipv4(ip),
                    ends: 1,
                    timers: Timers::default(),
                });
            }
            plan.networks.push(spec);
        }
        plan
    }

    /// The address of a network's gateway.
    pub(crate) fn gateway_of(&self, network: &str) -> Option<Ipv4Addr> {
        let spec = self.networks.iter().find(|spec| spec.name == network)?;
        let first = match spec.subnet? {
            IpNet::V4(subnet) => subnet.hosts().next(),
            IpNet::V6(_) => None,
        };
        match spec.gateway {
            Some(IpAddr::V4(gateway)) => Some(gateway),
            _ => first,
        }
    }
}

/// Hosts of each network: the first has the most, the others share what is left, at least one each.
fn share(hosts: u8, networks: u8, network: u8) -> u8 {
    let share = (hosts / (networks + 1)).max(1);
    if network == 0 { hosts.saturating_sub(share * (networks - 1)) } else { share }
}

/// `net1` is 10.0.1.0/24, and so on.
pub(crate) fn subnet_of(network: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, network + 1, 0), 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deals_the_hosts_out() {
        let dealt = |hosts, networks| (0..networks).map(|network| share(hosts, networks, network)).collect::<Vec<_>>();
        assert_eq!(dealt(4, 2), [3, 1]);
        assert_eq!(dealt(1, 1), [1]);
        assert_eq!(dealt(8, 2), [6, 2]);
        assert_eq!(dealt(3, 3), [1, 1, 1]);
        assert_eq!(dealt(10, 1), [10]);
    }

    #[test]
    fn a_plan_names_and_numbers_its_hosts_and_travels_as_json() {
        let plan = Plan::even(4, 2, 300);
        let hosts: Vec<_> =
            plan.hosts.iter().map(|host| format!("{} {} {}", host.name, host.network, host.ip)).collect();
        assert_eq!(hosts, ["h1 net1 10.0.1.11", "h2 net1 10.0.1.12", "h3 net1 10.0.1.13", "h4 net2 10.0.2.14"]);
        assert_eq!(plan.gateway_of("net2"), Some(Ipv4Addr::new(10, 0, 2, 1)));
        assert_eq!(plan.gateway_of("net3"), None);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn only_the_timers_that_were_named_are_set() {
        let timers = Timers { reachable_ms: Some(3000), locktime_ms: Some(0), ..Timers::default() };
        assert_eq!(timers.settings().collect::<Vec<_>>(), [("base_reachable_time_ms", 3000), ("locktime", 0)]);
    }
}
