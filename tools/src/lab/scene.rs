//! Which hosts, networks and switch does a lab consist of, and how is it built and asked?

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use frame::MacAddr;
use ipnet::{IpNet, Ipv4Net};
use ports::netns::Namespace;
use switch::control::types::{EndpointSpec, GatewayMode, NetworkSpec, PortKind};
use switch::control::{Fault, Switch, SwitchConfig, TraceReader};
use trace::Record;

use super::ping::ping;
use super::world::{Host, can_open_tun};

/// How long the trace must be silent before an act is over.
const SILENCE: Duration = Duration::from_millis(120);

/// How many hosts and networks there are to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Hosts in all.
    pub(super) hosts: u8,
    /// Networks; every one is peered with every other.
    pub(super) networks: u8,
    /// Seconds after which the switch forgets a silent host.
    pub(super) ageing_secs: u32,
}

impl Plan {
    /// Hosts of each network: the first has the most, the others share what is left, at least one each.
    fn hosts_of(self, network: u8) -> u8 {
        let share = (self.hosts / (self.networks + 1)).max(1);
        if network == 0 { self.hosts.saturating_sub(share * (self.networks - 1)) } else { share }
    }
}

/// `net1` is 10.0.1.0/24, and so on.
pub(super) fn subnet_of(network: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, network + 1, 0), 24)
}

/// The hosts and their switch.
pub(super) struct Scene {
    /// The hosts, by number.
    pub(super) hosts: Vec<Host>,
    /// The switch that joins them.
    pub(super) switch: Switch,
    /// TAP or veth, as the machine allows.
    kind: PortKind,
    /// What the switch tells of each frame, for as long as somebody listens.
    trace: Option<TraceReader>,
    pings: u16,
}

impl Scene {
    /// Build it all: hosts h1, h2, .. from 10.0.1.11 on, in wire mode, with MAC addresses made from their addresses.
    ///
    /// # Errors
    /// One line that says what could not be made.
    pub(super) fn build(plan: Plan) -> Result<Self, String> {
        let kind = if can_open_tun() { PortKind::Tap } else { PortKind::Veth };
        let config = SwitchConfig { workers: 1, state_dir: None };
        let switch = Switch::start(config).map_err(|fault| fault.to_string())?;
        let trace = switch.trace().map_err(|fault| fault.to_string())?;
        let mut hosts = Vec::new();
        for network in 0..plan.networks {
            let name = format!("net{}", network + 1);
            switch
                .create_network(&network_spec(&name, network, plan.ageing_secs))
                .map_err(|fault| fault.to_string())?;
            for place in 0..plan.hosts_of(network) {
                let ip = Ipv4Addr::new(10, 0, network + 1, 11 + hosts.len() as u8);
                let host =
                    Host::start(&format!("h{}", hosts.len() + 1), &name, ip).map_err(|error| error.to_string())?;
                connect(&switch, &host, kind).map_err(|fault| fault.to_string())?;
                hosts.push(host);
                let _ = place;
            }
            for other in 0..network {
                switch.peer(&name, &format!("net{}", other + 1), true).map_err(|fault| fault.to_string())?;
            }
        }
        let mut scene = Self { hosts, switch, kind, trace: Some(trace), pings: 0 };
        scene.records(); // what the hosts said while their interfaces came up is not part of the story
        Ok(scene)
    }

    /// Stop listening: from here on the switch tells nobody, and tracing costs nothing.
    pub(super) fn stop_listening(&mut self) {
        self.trace = None;
    }

    /// What the ports are, in words.
    pub(super) fn kind_words(&self) -> &'static str {
        match self.kind {
            PortKind::Tap => "TAPs in wire mode",
            PortKind::Xdp => "veths by AF_XDP",
            PortKind::Veth => "veths with their offloads off (this user may not open /dev/net/tun)",
        }
    }

    /// A host's address.
    pub(super) fn ip(&self, host: usize) -> Ipv4Addr {
        self.hosts[host].ip
    }

    /// Frames that a host's own kernel has received; 0 when it cannot be asked.
    pub(super) fn received(&self, host: usize) -> u64 {
        self.hosts[host].received_frames().unwrap_or(0)
    }

    /// One ping from host to host; whether it was answered.
    ///
    /// # Errors
    /// When it cannot even be sent.
    pub(super) fn ping(&mut self, from: usize, to: usize, patience: Duration) -> io::Result<bool> {
        self.ping_ip(from, self.hosts[to].ip, patience)
    }

    /// One ping from a host to the gateway of its network; whether it was answered.
    ///
    /// # Errors
    /// When it cannot even be sent.
    pub(super) fn ping_gateway(&mut self, from: usize, patience: Duration) -> io::Result<bool> {
        let [a, b, c, _] = self.hosts[from].ip.octets();
        self.ping_ip(from, Ipv4Addr::new(a, b, c, 1), patience)
    }

    fn ping_ip(&mut self, from: usize, to: Ipv4Addr, patience: Duration) -> io::Result<bool> {
        self.pings += 1;
        let namespace = Namespace::of_process(self.hosts[from].pid())?;
        ping(&namespace, to, self.pings, patience).map(|answer| answer.is_some())
    }

    /// The records of every frame since the last call, once the switch has fallen silent; in the order of their numbers.
    pub(super) fn records(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(Ok(record)) = self.trace.as_ref().map(|trace| trace.next(SILENCE)) {
            records.push(record);
        }
        records.sort_by_key(|record: &Record| record.number);
        records
    }

    /// Wait until a network's MAC table has no learned entry any more; `false` when it keeps some for far too long.
    pub(super) fn wait_until_forgotten(&self, network: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            let rows = self.switch.mac(Some(network)).unwrap_or_default();
            if rows.iter().all(|row| row.kind != "learned") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// The MAC tables of all networks, as `lanyard show mac` prints them.
    pub(super) fn mac_table_lines(&self) -> Vec<String> {
        let rows = self.switch.mac(None).unwrap_or_default();
        crate::show::macs(rows).lines().map(str::to_owned).collect()
    }
}

fn network_spec(name: &str, network: u8, ageing_secs: u32) -> NetworkSpec {
    NetworkSpec {
        subnet: Some(IpNet::V4(subnet_of(network))),
        gateway_mode: GatewayMode::Router,
        ageing: Some(ageing_secs),
        ..NetworkSpec::named(name)
    }
}

fn connect(switch: &Switch, host: &Host, kind: PortKind) -> Result<(), Fault> {
    let spec = EndpointSpec {
        endpoint: Some(host.name.clone()),
        ifname: Some("eth0".to_owned()),
        ip: Some(IpAddr::V4(host.ip)),
        mac: Some(MacAddr::from_ipv4(host.ip)),
        kind,
        offload: Some(false),
        ..EndpointSpec::in_namespace(&format!("pid:{}", host.pid()))
    };
    switch.connect(&host.network, &spec).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deals_the_hosts_out() {
        let plan = |hosts, networks| {
            let plan = Plan { hosts, networks, ageing_secs: 300 };
            (0..networks).map(|network| plan.hosts_of(network)).collect::<Vec<_>>()
        };
        assert_eq!(plan(4, 2), [3, 1]);
        assert_eq!(plan(1, 1), [1]);
        assert_eq!(plan(8, 2), [6, 2]);
        assert_eq!(plan(3, 3), [1, 1, 1]);
        assert_eq!(plan(10, 1), [10]);
    }
}
