//! How do ten thousand published ports become one element of a map? By joining what is consecutive.
//!
//! nftables translates to an address and keeps the port, or to an address and a port. A run of ports that are the same on
//! both sides is one interval that keeps its port; where they differ there is one element for each port, because nftables
//! has no arithmetic (`NF_NAT_RANGE_PROTO_OFFSET` is only in xtables' DNAT).

use std::net::IpAddr;

use crate::plan::{Mode, Plan, Protocol, Published};

/// Ports from the first to the last, both included.
pub(crate) type Ports = (u16, u16);

/// A run of published ports that one element translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) host_ip: IpAddr,
    pub(crate) protocol: Protocol,
    /// The host's ports.
    pub(crate) ports: Ports,
    pub(crate) container: IpAddr,
    /// The container's port if it differs; a run that keeps its ports has none.
    pub(crate) to: Option<u16>,
}

/// What is translated of a plan, in the order of addresses and ports.
pub(crate) fn runs(plan: &Plan) -> Vec<Run> {
    let mut translated: Vec<&Published> = plan.published.iter().filter(|port| is_translated(plan, port)).collect();
    translated.sort_by_key(|port| (port.host_ip, port.protocol, port.host_port));
    let mut runs: Vec<Run> = Vec::new();
    for port in translated {
        let same = port.host_port == port.container_port;
        if same
            && let Some(last) = runs.last_mut()
            && last.to.is_none()
            && (last.host_ip, last.protocol, last.container) == (port.host_ip, port.protocol, port.container)
            && last.ports.1.checked_add(1) == Some(port.host_port)
        {
            last.ports.1 = port.host_port;
            continue;
        }
        runs.push(Run {
            host_ip: port.host_ip,
            protocol: port.protocol,
            ports: (port.host_port, port.host_port),
            container: port.container,
            to: (!same).then_some(port.container_port),
        });
    }
    runs
}

fn is_translated(plan: &Plan, port: &Published) -> bool {
    // The kernel does not route ::1 away from lo whatever its destination becomes: a proxy serves it.
    let reachable = port.host_ip.is_ipv4() || !port.host_ip.is_loopback();
    reachable
        && plan.network(&port.ifname).is_some_and(|network| {
            !network.internal && matches!(network.mode_for(port.container), Mode::Nat | Mode::NatUnprotected)
        })
}

/// The containers' own ports that are open in networks of mode `routed`.
pub(crate) fn open_ports(plan: &Plan) -> Vec<(IpAddr, Protocol, Ports)> {
    let routed = |port: &&Published| {
        plan.network(&port.ifname)
            .is_some_and(|network| !network.internal && network.mode_for(port.container) == Mode::Routed)
    };
    let ports = plan.published.iter().filter(routed).map(|port| (port.container, port.protocol, port.container_port));
    join(ports.collect())
}

/// The ports that answer on 127.0.0.0/8, which nobody but the host itself may ask.
pub(crate) fn loopback_ports(runs: &[Run]) -> Vec<(Protocol, Ports)> {
    let here = |run: &&Run| run.host_ip.is_ipv4() && (run.host_ip.is_loopback() || run.host_ip.is_unspecified());
    let each =
        runs.iter().filter(here).flat_map(|run| (run.ports.0..=run.ports.1).map(|port| ((), run.protocol, port)));
    join(each.collect()).into_iter().map(|((), protocol, ports)| (protocol, ports)).collect()
}

fn join<K: Ord + Copy>(mut ports: Vec<(K, Protocol, u16)>) -> Vec<(K, Protocol, Ports)> {
    ports.sort_unstable();
    let mut joined: Vec<(K, Protocol, Ports)> = Vec::new();
    for (key, protocol, port) in ports {
        match joined.last_mut() {
            Some((of, by, (_, last)))
                if *of == key && *by == protocol && (*last == port || last.checked_add(1) == Some(port)) =>
            {
                *last = port;
            }
            _ => joined.push((key, protocol, (port, port))),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::HostNetwork;

    fn plan(ports: impl IntoIterator<Item = (u16, u16)>, host_ip: &str, container: &str) -> Plan {
        let network =
            HostNetwork::new("ly-a", vec!["10.1.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()], vec![]);
        let published = ports.into_iter().map(|(host_port, container_port)| Published {
            ifname: "ly-a".to_owned(),
            container: container.parse().unwrap(),
            container_port,
            protocol: Protocol::Udp,
            host_ip: host_ip.parse().unwrap(),
            host_port,
        });
        Plan { networks: vec![network], published: published.collect() }
    }

    #[test]
    fn a_range_is_one() {
        let runs = runs(&plan((1..=65535).rev().map(|port| (port, port)), "0.0.0.0", "10.1.0.2"));
        assert_eq!(runs.len(), 1);
        assert_eq!((runs[0].ports, runs[0].to), ((1, 65535), None));
        assert_eq!(loopback_ports(&runs), [(Protocol::Udp, (1, 65535))]);
    }

    #[test]
    fn what_differs_stays_apart() {
        let runs = runs(&plan([(80, 80), (81, 81), (82, 8082), (83, 83), (85, 85)], "192.0.2.1", "10.1.0.2"));
        let seen: Vec<_> = runs.iter().map(|run| (run.ports, run.to)).collect();
        assert_eq!(seen, [((80, 81), None), ((82, 82), Some(8082)), ((83, 83), None), ((85, 85), None)]);
        assert_eq!(loopback_ports(&runs), []);
    }

    #[test]
    fn what_is_not_translated() {
        assert_eq!(runs(&plan([(80, 80)], "::1", "fd00::2")), []);
        let mut routed = plan([(80, 80), (0, 81), (0, 9)], "0.0.0.0", "10.1.0.2");
        routed.networks[0].mode_v4 = Mode::Routed;
        for port in &mut routed.published {
            port.host_port = 0;
        }
        assert_eq!(runs(&routed), []);
        let container: IpAddr = "10.1.0.2".parse().unwrap();
        assert_eq!(open_ports(&routed), [(container, Protocol::Udp, (9, 9)), (container, Protocol::Udp, (80, 81))]);
        routed.networks[0].internal = true;
        assert_eq!(open_ports(&routed), []);
    }

    proptest::proptest! {
        /// Whatever is published, the runs say the same, each port once.
        #[test]
        fn runs_are_the_ports(ports in proptest::collection::btree_map(1_u16..60, 1_u16..60, 0..50), twist in 0_u16..3) {
            let ports: Vec<(u16, u16)> = ports.into_iter().map(|(host, container)| {
                (host, if container % 3 == twist { container } else { host })
            }).collect();
            let runs = runs(&plan(ports.iter().copied().rev(), "0.0.0.0", "10.1.0.2"));
            let expand = |run: &Run| {
                let to = run.to;
                (run.ports.0..=run.ports.1).map(move |port| (port, to.unwrap_or(port))).collect::<Vec<_>>()
            };
            proptest::prop_assert_eq!(runs.iter().flat_map(expand).collect::<Vec<_>>(), ports);
            let apart = |pair: &[Run]| pair[0].to.is_some() || pair[1].to.is_some() || pair[0].ports.1 + 1 < pair[1].ports.0;
            proptest::prop_assert!(runs.windows(2).all(apart), "what is consecutive is one run");
            proptest::prop_assert!(runs.iter().all(|run| run.to.is_none() || run.ports.0 == run.ports.1));
        }
    }
}
