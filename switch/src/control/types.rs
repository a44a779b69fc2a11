//! What does the control socket say and hear? The JSON of every request and answer.
//!
//! Scripts rely on the keys: add freely, never rename. The `lanyard` program reads with these same types.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `GET /v1/ping` | | [`Hello`] |
//! | `GET /v1/networks` | | `[`[`NetworkInfo`]`]` |
//! | `POST /v1/networks` | [`NetworkSpec`] | [`NetworkInfo`] |
//! | `POST /v1/networks/prune` | | [`Pruned`] |
//! | `GET /v1/networks/{name}` | | [`NetworkInfo`] |
//! | `DELETE /v1/networks/{name}` | | `{}` |
//! | `PUT /v1/networks/{name}/peers/{other}` | | `{}` |
//! | `DELETE /v1/networks/{name}/peers/{other}` | | `{}` |
//! | `POST /v1/networks/{name}/endpoints` | [`EndpointSpec`] | [`EndpointInfo`] |
//! | `DELETE /v1/networks/{name}/endpoints/{endpoint}` | | `{}` |
//! | `GET /v1/ports`, `/v1/mac`, `/v1/arp`, `/v1/drops` (`?network=NAME`), `/v1/workers` | | lists of the `..Row` types |
//! | `GET /v1/caches` (`?network=NAME`) | | `[`[`super::caches::CacheRow`]`]` |
//! | `GET /v1/caches/watch` (`?network=NAME`) | | one [`super::caches::CacheEvent`] a line, or `{"lost":N}` |
//! | `GET /v1/caches/recorded` (`?since_unix_ns=T`) | | `[`[`super::caches::CacheEvent`]`]` |
//! | `GET /v1/faults` | | `[`[`FaultRow`]`]` |
//! | `POST /v1/faults` | [`FaultSpec`] | [`FaultRow`] |
//! | `DELETE /v1/faults`, `/v1/faults/{id or port}` | | `[`[`FaultRow`]`]` |
//! | `POST /v1/clock/warp` | [`WarpSpec`] | `[`[`WarpRow`]`]` |
//! | `GET /v1/clock` (`?network=NAME`) | | `[`[`ClockRow`]`]` |
//! | `GET /v1/trace` (`?filter=TEXT`) | | one `trace::Record` a line, for as long as the client reads, or `{"lost":N}` |
//! | `GET /v1/records` (`?filter=TEXT&since=NUMBER&last=N`) | | a list of `trace::Record`; in its head [`RECORDS_LOST`] and [`RECORDS_FORGOTTEN`] |
//! | `GET /v1/why` (`?station=S&network=NAME`) | | `[`[`WhyRow`]`]` |
//! | `POST /v1/explain` | [`ExplainSpec`] | for each frame a list of [`Explained`] |
//!
//! A refusal is a 4xx or 5xx status with [`Refusal`].

mod class;

use std::net::IpAddr;

pub use class::{ClockRow, Direction, FaultKind, FaultRow, FaultSpec, WarpRow, WarpSpec};
pub use docker::fabric::{Evict, MacChoice, Mode};
use docker::fabric::{NetworkOptions, PublishedPort, Subnet};
use frame::MacAddr;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Who answers on the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Always `lanyard`.
    pub program: String,
    /// The daemon's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
}

/// Why a request was refused, in one line that names the thing and the mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The line.
    pub error: String,
}

/// Who the network's gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    /// The switch itself: it answers ARP and ping for the gateway and routes between peered networks.
    #[default]
    Router,
    /// The host: the gateway's address lies on an interface of its own, and its kernel routes and translates.
    Host,
    /// There is none.
    None,
}

/// What the switch does about ARP requests for endpoints that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArpMode {
    /// Flood them like any broadcast.
    #[default]
    Flood,
    /// Answer in the endpoint's place.
    Suppress,
}

/// What hangs at the container's side of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortKind {
    /// A TAP device, moved into the container's namespace.
    #[default]
    Tap,
    /// A veth pair, whose host end the switch reads by AF_PACKET.
    Veth,
    /// A veth pair, whose host end the switch reads by `AF_XDP`: for many small frames. Always in wire mode.
    Xdp,
}

impl PortKind {
    /// Has it a veth's other end, in the switch's own namespace?
    pub const fn has_host_end(self) -> bool {
        matches!(self, Self::Veth | Self::Xdp)
    }

    /// Can its port take super-frames and unfinished checksums? One that cannot is always in wire mode.
    pub const fn can_offload(self) -> bool {
        matches!(self, Self::Tap | Self::Veth)
    }
}

/// What a new network is to be. Absent fields take the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Its name: letters, digits, `_`, `.`, `-`; at most 63.
    pub name: String,
    /// Its subnet; chosen from 10.213.0.0/16 onwards in /24 steps when absent.
    #[serde(default)]
    pub subnet: Option<IpNet>,
    /// The gateway's address; the subnet's first when absent.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// Who the gateway is.
    #[serde(default)]
    pub gateway_mode: GatewayMode,
    /// Largest IP packet, octets (68 to 65,535). 1,500 when absent.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Most addresses learned on one port; no limit when absent.
    #[serde(default)]
    pub mac_limit: Option<u32>,
    /// Most addresses in the MAC table (64 to 16 Mi). 8,192 when absent.
    #[serde(default)]
    pub mac_capacity: Option<u32>,
    /// Seconds after which a silent address is forgotten (1 to 1,000,000). 300 when absent.
    #[serde(default)]
    pub ageing: Option<u32>,
    /// What the switch does about ARP requests for endpoints that it knows.
    #[serde(default)]
    pub arp: ArpMode,
    /// Forward the reserved groups 01-80-C2-00-00-0x too.
    #[serde(default)]
    pub forward_reserved: bool,
    /// Its id, where somebody else gave it one; 64 hexadecimal digits.
    #[serde(default)]
    pub id: Option<String>,
    /// Is it Docker's? Its addresses are Docker's to give then.
    #[serde(default)]
    pub docker: bool,
    /// Where endpoints send what is for elsewhere, if not to the gateway.
    #[serde(default)]
    pub default_router: Option<IpAddr>,
    /// More subnets than the one, each with a gateway of its own. In gateway mode `host` only.
    #[serde(default)]
    pub more_subnets: Vec<Subnet>,
    /// No way out, only to the host itself. In gateway mode `host` only.
    #[serde(default)]
    pub internal: bool,
    /// What Docker's `-o` options say; [`plain_options`] when absent.
    #[serde(default = "plain_options")]
    pub options: NetworkOptions,
}

/// The options of a network that is not Docker's: nobody guards who uses which address.
pub fn plain_options() -> NetworkOptions {
    NetworkOptions { guard: false, ..NetworkOptions::default() }
}

impl NetworkSpec {
    /// A network of this name, everything else as it is when nobody says otherwise.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            subnet: None,
            gateway: None,
            gateway_mode: GatewayMode::default(),
            mtu: None,
            mac_limit: None,
            mac_capacity: None,
            ageing: None,
            arp: ArpMode::default(),
            forward_reserved: false,
            id: None,
            docker: false,
            default_router: None,
            more_subnets: Vec::new(),
            internal: false,
            options: plain_options(),
        }
    }
}

/// A network as it is.
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own, and a key that scripts rely on")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// Its name.
    pub name: String,
    /// Its id: 64 hexadecimal digits, unique for all time.
    pub id: String,
    /// Its subnet.
    pub subnet: IpNet,
    /// The gateway's address; `null` in gateway mode `none`.
    pub gateway: Option<IpAddr>,
    /// The gateway's MAC address; `null` in gateway mode `none`.
    pub gateway_mac: Option<MacAddr>,
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
    /// Names of the networks it may talk to.
    pub peers: Vec<String>,
    /// More subnets than the one.
    #[serde(default)]
    pub more_subnets: Vec<IpNet>,
    /// The gateway's interface on the host, in gateway mode `host`.
    #[serde(default)]
    pub host_ifname: Option<String>,
    /// No way out, only to the host itself.
    #[serde(default)]
    pub internal: bool,
    /// Is it Docker's?
    #[serde(default)]
    pub docker: bool,
    /// May its endpoints talk to each other?
    #[serde(default = "yes")]
    pub icc: bool,
    /// Is what claims another's address refused?
    #[serde(default)]
    pub guard: bool,
    /// Is it a switch or a hub?
    #[serde(default)]
    pub mode: Mode,
    /// Who has to go when the MAC table is full.
    #[serde(default)]
    pub evict: Evict,
    /// Where an endpoint's MAC address comes from when nobody names one.
    #[serde(default)]
    pub mac: MacChoice,
    /// Its endpoints, by name.
    pub endpoints: Vec<EndpointInfo>,
}

/// What a new endpoint is to be. Absent fields are chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSpec {
    /// The container's network namespace: a name, a path, or `pid:PID`.
    pub netns: String,
    /// The endpoint's name; made from the namespace's when absent.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The interface's name inside the container, at most 15 characters; the first free of eth0, eth1, .. when absent.
    #[serde(default)]
    pub ifname: Option<String>,
    /// Its address; the lowest free one of the subnet when absent.
    #[serde(default)]
    pub ip: Option<IpAddr>,
    /// Its MAC address; 02:42 and the IPv4 address when absent.
    #[serde(default)]
    pub mac: Option<MacAddr>,
    /// TAP, veth or veth by `AF_XDP`.
    #[serde(default)]
    pub kind: PortKind,
    /// May the container hand over super-frames and unfinished checksums? `false` is wire mode; when absent, it may if
    /// the kind can.
    #[serde(default)]
    pub offload: Option<bool>,
    /// Pin its MAC address to its port: a static entry that no other port can take over.
    #[serde(default, rename = "static")]
    pub pinned: bool,
}

impl EndpointSpec {
    /// An endpoint for this namespace (a name, a path, or `pid:PID`), everything else as it is when nobody says otherwise.
    pub fn in_namespace(netns: &str) -> Self {
        Self {
            netns: netns.to_owned(),
            endpoint: None,
            ifname: None,
            ip: None,
            mac: None,
            kind: PortKind::default(),
            offload: None,
            pinned: false,
        }
    }
}

/// How a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// Frames pass.
    Up,
    /// The container's end is down.
    Down,
    /// The container's end does not exist any more (or not yet again, after a restart).
    Gone,
}

/// An endpoint as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointInfo {
    /// Its name.
    pub endpoint: String,
    /// The network's name.
    pub network: String,
    /// Its port, as `show` and `trace` call it.
    pub port: String,
    /// The namespace as it was given.
    pub netns: String,
    /// The interface's name inside the container now.
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
    #[serde(rename = "static")]
    pub pinned: bool,
    /// How its port is.
    pub state: PortState,
    /// Its other addresses.
    #[serde(default)]
    pub more_ips: Vec<IpNet>,
    /// Docker's id of it.
    #[serde(default)]
    pub docker_id: Option<String>,
    /// Its ports that the host publishes.
    #[serde(default)]
    pub published: Vec<PublishedPort>,
}

/// In an answer of an older daemon, endpoints talk to each other.
const fn yes() -> bool {
    true
}

/// What `network prune` removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Names of the networks that had no endpoint.
    pub networks: Vec<String>,
}

/// A line of `show ports`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRow {
    /// The network's name.
    pub network: String,
    /// The port.
    pub port: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// `tap`, `veth` or `xdp`.
    pub kind: PortKind,
    /// `up`, `down` or `gone`.
    pub state: PortState,
    /// The endpoint's MAC address.
    pub mac: MacAddr,
    /// The endpoint's address.
    pub ip: IpAddr,
    /// Frames received from the container; a super-frame counts once.
    pub rx_frames: u64,
    /// Octets received, without FCS.
    pub rx_bytes: u64,
    /// Frames sent to the container.
    pub tx_frames: u64,
    /// Octets sent, without FCS.
    pub tx_bytes: u64,
    /// Frames dropped on the way in or out.
    pub drops: u64,
    /// Those among them that the kernel dropped, because the switch did not read them in time.
    #[serde(default)]
    pub overflows: u64,
}

/// A line of `show mac`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacRow {
    /// The network's name.
    pub network: String,
    /// The address.
    pub mac: MacAddr,
    /// The port it is on; `null` for the gateway.
    pub port: Option<String>,
    /// The endpoint on that port.
    pub endpoint: Option<String>,
    /// `learned`, `static` or `gateway`.
    pub kind: String,
    /// Milliseconds since a frame last came from it; 0 for static and gateway entries.
    pub age_ms: u64,
    /// How often it moved from one port to another.
    pub moves: u32,
}

/// A line of `show arp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArpRow {
    /// The network's name.
    pub network: String,
    /// The neighbor's address.
    pub ip: IpAddr,
    /// Its MAC address; `null` while it is being asked for.
    pub mac: Option<MacAddr>,
    /// The port it was heard on.
    pub port: Option<String>,
    /// RFC 4861's name: `incomplete`, `reachable`, `stale`, `delay`, `probe`; or `permanent` from the control plane.
    pub state: String,
    /// Who told: `control`, `arp`, `resolver`.
    pub source: String,
    /// The MAC addresses that claimed the same address in vain.
    #[serde(default)]
    pub conflicts: Vec<MacAddr>,
}

/// A line of `show drops`. Reasons that never happened are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRow {
    /// The network's name.
    pub network: String,
    /// The reason's name.
    pub reason: String,
    /// Frames dropped for it.
    pub count: u64,
    /// The reason in words.
    pub sentence: String,
}

/// A line of `show workers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRow {
    /// The worker, counted from 0.
    pub worker: usize,
    /// Queues it reads.
    pub queues: usize,
    /// Times it woke up.
    pub wakeups: u64,
    /// Bursts it read.
    pub bursts: u64,
    /// Frames it handled.
    pub frames: u64,
}

/// The header of `GET /v1/records` that tells how many frames the recorder has lost since it began.
pub const RECORDS_LOST: &str = "lanyard-lost";
/// The header of `GET /v1/records` that tells how many records the recorder kept once and does no more.
pub const RECORDS_FORGOTTEN: &str = "lanyard-forgotten";

/// `POST /v1/explain`: which frames, from whom?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainSpec {
    /// The network, where the endpoint's name alone does not say it.
    #[serde(default)]
    pub network: Option<String>,
    /// The endpoint that the frames come from.
    pub from: String,
    /// A ping to this endpoint, address or `gateway`.
    #[serde(default)]
    pub to: Option<String>,
    /// An ARP request for this address.
    #[serde(default)]
    pub arp_request: Option<std::net::Ipv4Addr>,
    /// These frames, from their destination address on, without FCS.
    #[serde(default)]
    pub frames: Vec<trace::Octets>,
    /// The whole lengths of `frames` that are cut: their other octets are taken for zeros. 0, or none, for a whole one.
    #[serde(default)]
    pub lengths: Vec<u32>,
    /// Is it to happen?
    #[serde(default)]
    pub commit: bool,
}

/// A frame that was asked about, or that the switch makes on its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// What becomes of it.
    #[serde(flatten)]
    pub record: trace::Record,
    /// What the answer does not take into account, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// `GET /v1/why`: who taught that row, and what has become of it since?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyRow {
    /// The network's name.
    pub network: String,
    /// The address.
    pub mac: MacAddr,
    /// Whose it is, where the switch was told.
    pub name: Option<String>,
    /// `learned`, `static` or `gateway`; `None` when the MAC table has no such row any more.
    pub kind: Option<String>,
    /// The endpoint whose port the row names.
    pub endpoint: Option<String>,
    /// Milliseconds since the station was last heard.
    pub age_ms: Option<u64>,
    /// Milliseconds after which the row is forgotten.
    pub ageing_ms: u64,
    /// Moves as the MAC table counts them.
    pub moves: u32,
    /// The frame that made the row, if that is remembered.
    pub taught: Option<LessonRow>,
    /// The last frames that moved it, oldest first.
    pub moved: Vec<LessonRow>,
    /// How many there were.
    pub moved_in_all: u64,
    /// Traced frames that found it there and fresh again.
    pub refreshed: u64,
    /// The last of those.
    pub last_refresh: Option<RefreshRow>,
    /// Rows of the same address before this one, which are forgotten.
    pub times_before: u64,
    /// Lessons that were not remembered, of whatever address, because they came too fast.
    pub missed: u64,
}

/// A frame that taught the MAC table something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LessonRow {
    /// Its number.
    pub frame: u64,
    /// When it came in: nanoseconds since 1970-01-01 UTC.
    pub at_unix_ns: u64,
    /// The endpoint it came from.
    pub port: String,
    /// The endpoint whose port the address was on before, if it moved.
    pub from: Option<String>,
    /// What it said.
    pub summary: String,
    /// Its first octets.
    pub data: trace::Octets,
}

/// A frame that refreshed a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRow {
    /// Its number.
    pub frame: u64,
    /// When it came in: nanoseconds since 1970-01-01 UTC.
    pub at_unix_ns: u64,
}
