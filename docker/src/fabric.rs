//! What does the driver ask of the switch? [`Fabric`], and the words of its questions.
//!
//! The driver speaks Docker's protocol and knows nothing of devices; the switch knows nothing of Docker's protocol. Docker's
//! ids (64 hexadecimal digits) name networks and endpoints on both sides. Every call is idempotent: what is so already is
//! no fault, what is gone already is no fault; and what a call changed is written down before it returns.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use frame::MacAddr;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What the driver asks of the switch.
pub trait Fabric: Send + Sync + 'static {
    /// Make the network `id`. The same again is no fault; another one of that id is.
    ///
    /// # Errors
    /// It cannot be, or could not be made; nothing of it is left then.
    fn create_network(&self, id: &str, network: &Network) -> Result<(), Refusal>;

    /// Remove a network and whatever is left of its endpoints. An unknown one is no fault.
    ///
    /// # Errors
    /// What could not be removed.
    fn delete_network(&self, id: &str) -> Result<(), Refusal>;

    /// Note an endpoint. A stale one that has the same address makes way. Answers the endpoint's MAC address, chosen by
    /// the network's way if `endpoint` has none.
    ///
    /// # Errors
    /// No such network; the address or the MAC address is in use by an endpoint that is alive. Nothing of it is left.
    fn create_endpoint(&self, network: &str, id: &str, endpoint: &Endpoint) -> Result<MacAddr, Refusal>;

    /// Is there such an endpoint? `None` if not.
    fn endpoint(&self, network: &str, id: &str) -> Option<EndpointState>;

    /// Make the endpoint's interface, in dockerd's own namespace, from where dockerd moves it into the sandbox.
    /// `sandbox` is the path that the sandbox's namespace has, or will have.
    ///
    /// # Errors
    /// No such endpoint, or the system refused; no interface is left then.
    fn join(&self, network: &str, id: &str, sandbox: &str) -> Result<Joined, Refusal>;

    /// Publish these ports, and none but these, for the endpoint.
    ///
    /// # Errors
    /// No such endpoint; a port is taken (in Docker's own words); the rules could not be set. Nothing is published then.
    fn publish(&self, network: &str, id: &str, ports: &[PortMapping]) -> Result<(), Refusal>;

    /// Publish nothing any more. An unknown endpoint is no fault.
    ///
    /// # Errors
    /// The rules could not be set.
    fn revoke(&self, network: &str, id: &str) -> Result<(), Refusal>;

    /// The container leaves: forward nothing, publish nothing. The interface is still in its namespace; dockerd moves it
    /// back afterwards. An unknown endpoint is no fault.
    ///
    /// # Errors
    /// What could not be undone.
    fn leave(&self, network: &str, id: &str) -> Result<(), Refusal>;

    /// Remove the endpoint and its interface. An unknown endpoint is no fault.
    ///
    /// # Errors
    /// What could not be removed.
    fn delete_endpoint(&self, network: &str, id: &str) -> Result<(), Refusal>;
}

/// Why the switch refuses: one line that names the thing and the mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// A network as Docker asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its subnets, IPv4 first, in Docker's order; at least one.
    pub subnets: Vec<Subnet>,
    /// No way out: no default route, no published ports.
    pub internal: bool,
    /// The `-o` options.
    pub options: NetworkOptions,
}

/// One of a network's subnets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The addresses, without host bits.
    pub subnet: IpNet,
    /// The gateway's own address in it; `None` where Docker reserved none.
    pub gateway: Option<IpAddr>,
    /// Where containers send what is for elsewhere, if not to the gateway (`--aux-address DefaultGatewayIPv4=..`).
    pub default_router: Option<IpAddr>,
}

/// The `-o` options, each with its default. Docker's own names where Docker has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option that the user sets by itself")]
pub struct NetworkOptions {
    /// `com.docker.network.bridge.name`: the gateway interface's name on the host.
    pub bridge_name: Option<String>,
    /// `..bridge.enable_icc`: may the containers talk to each other?
    pub icc: bool,
    /// `..bridge.enable_ip_masquerade`: do containers appear outside under the host's address?
    pub masquerade: bool,
    /// `..bridge.host_binding_ipv4`: the host address of ports that are published without one.
    pub host_binding: Option<IpAddr>,
    /// `com.docker.network.host_ipv4`: the address under which containers appear outside.
    pub host_ipv4: Option<Ipv4Addr>,
    /// `com.docker.network.host_ipv6`: the same for IPv6.
    pub host_ipv6: Option<Ipv6Addr>,
    /// `..bridge.inhibit_ipv4`: the gateway's address is somebody else's; the host does not take it.
    pub inhibit_ipv4: bool,
    /// `..bridge.gateway_mode_ipv4`.
    pub gateway_mode_ipv4: GatewayMode,
    /// `..bridge.gateway_mode_ipv6`.
    pub gateway_mode_ipv6: GatewayMode,
    /// `..bridge.trusted_host_interfaces`: interfaces from which containers may be reached at their own addresses.
    pub trusted_interfaces: Vec<String>,
    /// `com.docker.network.driver.mtu`, octets.
    pub mtu: Option<u32>,
    /// `com.docker.network.container_iface_prefix`: `eth` makes eth0, eth1, ...
    pub interface_prefix: String,
    /// `kind`: what the container gets.
    pub kind: Kind,
    /// `offload`: may containers hand over super-frames? As the kind can, if nobody says.
    pub offload: Option<bool>,
    /// `mac`: where a MAC address comes from.
    pub mac: MacChoice,
    /// `arp`: `suppress` answers for endpoints that are known, `flood` asks them all.
    pub arp_suppress: bool,
    /// `guard`: is what claims another's address refused?
    pub guard: bool,
    /// `mac-limit`: most addresses learned on one port.
    pub mac_limit: Option<u32>,
    /// `mode`: is it a switch, or a hub?
    pub mode: Mode,
    /// `evict`: who has to go when the MAC table is full.
    pub evict: Evict,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            bridge_name: None,
            icc: true,
            masquerade: true,
            host_binding: None,
            host_ipv4: None,
            host_ipv6: None,
            inhibit_ipv4: false,
            gateway_mode_ipv4: GatewayMode::default(),
            gateway_mode_ipv6: GatewayMode::default(),
            trusted_interfaces: Vec::new(),
            mtu: None,
            interface_prefix: "eth".to_owned(),
            kind: Kind::default(),
            offload: None,
            mac: MacChoice::default(),
            arp_suppress: false,
            guard: true,
            mac_limit: None,
            mode: Mode::default(),
            evict: Evict::default(),
        }
    }
}

/// What a network's gateway does for one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    /// Masquerade; from outside only published ports are reached.
    #[default]
    Nat,
    /// Masquerade; containers' own addresses may be reached from outside.
    NatUnprotected,
    /// No translation; published ports are open at the containers' own addresses.
    Routed,
    /// The host has no address in the network. Only with `--internal`.
    Isolated,
}

/// What a container gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A TAP.
    #[default]
    Tap,
    /// One end of a veth.
    Veth,
    /// One end of a veth whose other end is read by `AF_XDP`.
    Xdp,
}

/// What a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A switch: it learns where stations are.
    #[default]
    Switch,
    /// A hub: it repeats every frame to every other port.
    Hub,
}

/// Who has to go when the MAC table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evict {
    /// The oldest address of the port that has most.
    #[default]
    Fair,
    /// The oldest address, whosever it is.
    Lru,
    /// None: no more is learned.
    None,
}

/// Where an endpoint's MAC address comes from when the user gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MacChoice {
    /// 02:42 and the IPv4 address.
    #[default]
    FromIp,
    /// Any that is free.
    Random,
}

/// An endpoint as Docker asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its addresses with the subnets' prefix lengths, IPv4 first.
    pub addresses: Vec<IpNet>,
    /// The MAC address that the user asked for.
    pub mac: Option<MacAddr>,
}

/// An endpoint as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// Its MAC address.
    pub mac: MacAddr,
    /// What is published for it now.
    pub published: Vec<PublishedPort>,
}

/// What dockerd needs to know to move the interface in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The interface's name in dockerd's namespace.
    pub source_name: String,
    /// What the interface's name inside begins with.
    pub prefix: String,
    /// The IPv4 default router; none on an internal network.
    pub gateway: Option<Ipv4Addr>,
    /// The IPv6 default router; none on an internal network.
    pub gateway_ipv6: Option<Ipv6Addr>,
}

/// A transport protocol whose ports are published (IANA protocol numbers).
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

/// A port that a container asks to publish (`-p`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Its protocol.
    pub protocol: Protocol,
    /// The port inside the container.
    pub container_port: u16,
    /// The host's address; `None`: the network's default, or every address.
    pub host_ip: Option<IpAddr>,
    /// The first port on the host that will do; 0: any free one.
    pub host_port: u16,
    /// The last one that will do; equal to `host_port` for a fixed one.
    pub host_port_end: u16,
}

/// A port as it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Its protocol.
    pub protocol: Protocol,
    /// The port inside the container.
    pub container_port: u16,
    /// The host's address; unspecified (0.0.0.0, ::) for every address of its family.
    pub host_ip: IpAddr,
    /// The port on the host.
    pub host_port: u16,
}
