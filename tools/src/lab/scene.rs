//! Which hosts, networks and switch does a lab consist of, and how is it built and asked?

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ports::netns::Namespace;
use switch::control::types::{EndpointSpec, GatewayMode, NetworkSpec, PortKind};
use switch::control::{Switch, SwitchConfig, TraceReader};
use trace::Record;

use super::ping::ping;
use super::plan::{HostPlan, Plan};
use super::world::{Host, can_open_tun};

/// How long the trace must be silent before an act is over.
const SILENCE: Duration = Duration::from_millis(120);

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
    /// Build it all, in wire mode.
    ///
    /// # Errors
    /// One line that says what could not be made.
    pub(super) fn build(plan: &Plan) -> Result<Self, String> {
        let kind = if can_open_tun() { PortKind::Tap } else { PortKind::Veth };
        let config = SwitchConfig { workers: 1, state_dir: None };
        let switch = Switch::start(config).map_err(|fault| fault.to_string())?;
        let trace = switch.trace().map_err(|fault| fault.to_string())?;
        for (number, network) in plan.networks.iter().enumerate() {
            switch.create_network(network).map_err(|fault| fault.to_string())?;
            let routed = |spec: &&NetworkSpec| spec.gateway_mode == GatewayMode::Router;
            for other in plan.networks[..number].iter().filter(routed).filter(|_| routed(&network)) {
                switch.peer(&network.name, &other.name, true).map_err(|fault| fault.to_string())?;
            }
        }
        let mut hosts = Vec::new();
        for planned in &plan.hosts {
            let host = Host::start(planned).map_err(|error| error.to_string())?;
            connect(&switch, &host, planned, kind)?;
            hosts.push(host);
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

/// Connect a host's ends, and set its kernel's clockwork.
fn connect(switch: &Switch, host: &Host, plan: &HostPlan, kind: PortKind) -> Result<(), String> {
    for end in 0..plan.ends.max(1) {
        let first = end == 0;
        let spec = EndpointSpec {
            endpoint: Some(if first { plan.name.clone() } else { format!("{}-{}", plan.name, end + 1) }),
            ifname: Some(format!("eth{end}")),
            ip: first.then_some(IpAddr::V4(plan.ip)),
            mac: first.then_some(plan.mac),
            kind,
            offload: Some(false),
            ..EndpointSpec::in_namespace(&format!("pid:{}", host.pid()))
        };
        switch.connect(&plan.network, &spec).map_err(|fault| fault.to_string())?;
    }
    let set = |setting: &str, value: u32| {
        fs::write(format!("/proc/sys/net/ipv4/{setting}"), value.to_string())
            .map_err(|error| format!("{}: net.ipv4.{}: {error}", plan.name, setting.replace('/', ".")))
    };
    let settings = || {
        if plan.ends > 1 {
            set("conf/all/arp_ignore", 8)?; // answer for no address: Documentation/networking/ip-sysctl
        }
        plan.timers.settings().try_for_each(|(setting, value)| set(&format!("neigh/eth0/{setting}"), value))
    };
    let namespace = Namespace::of_process(host.pid()).map_err(|error| error.to_string())?;
    namespace.enter(settings).map_err(|error| error.to_string())?
}
