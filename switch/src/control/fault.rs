//! Why was a request refused? Every fault is one line that names the thing and the mend.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use thiserror::Error;

/// A request that was refused, or work that failed. Nothing is left half-made.
#[derive(Debug, Error)]
pub enum Fault {
    /// A name that no thing can have.
    #[error(
        "'{0}' is no name for a network or endpoint: use 1 to 63 letters, digits, '_', '.' or '-', and begin with a letter or digit"
    )]
    BadName(String),
    /// There is no such network.
    #[error("there is no network '{0}': 'lanyard network ls' lists them")]
    NoNetwork(String),
    /// There is a network of that name already.
    #[error("there is a network '{0}' already: choose another name, or remove it with 'lanyard network rm {0}'")]
    NetworkExists(String),
    /// The network is Docker's.
    #[error("network '{0}' is Docker's: remove it with 'docker network rm', or use --force")]
    NetworkIsDockers(String),
    /// An interface of the host's has the name already.
    #[error(
        "the host has an interface '{ifname}' already, which network '{network}' was to have: choose another name with -o com.docker.network.bridge.name=NAME, or rename that one"
    )]
    HostIfnameTaken {
        /// The interface.
        ifname: String,
        /// The network.
        network: String,
    },
    /// An endpoint of Docker's is Docker's to remove.
    #[error("endpoint '{endpoint}' is Docker's: use 'docker network disconnect', or end its container")]
    EndpointIsDockers {
        /// The endpoint.
        endpoint: String,
    },
    /// The host's end goes with its network.
    #[error("'gateway' is the host's own end of network '{network}', and goes with it: 'lanyard network rm {network}'")]
    EndpointIsGateway {
        /// The network.
        network: String,
    },
    /// Docker gives the addresses of its networks.
    #[error(
        "network '{0}' is Docker's, which gives its addresses: use 'docker network connect', or say --ip with one that Docker will not give"
    )]
    AddressIsDockers(String),
    /// Docker speaks of a network that the switch does not have.
    #[error("the switch has no network of Docker's id {0}: remove it with 'docker network rm' and make it again")]
    NoDockerNetwork(String),
    /// Docker gives an endpoint no address.
    #[error("endpoint {endpoint} of network '{network}' comes without an address: use Docker's default --ipam-driver")]
    NoAddress {
        /// The endpoint.
        endpoint: String,
        /// Its network.
        network: String,
    },
    /// Docker gives a network no subnet.
    #[error("network {0} comes without a subnet: name one with --subnet, or use Docker's default --ipam-driver")]
    NoSubnet(String),
    /// Ports of a network that the host is not in.
    #[error(
        "network '{0}' has no way in from the host, so no port can be published: leave --internal and com.docker.network.bridge.inhibit_ipv4 out"
    )]
    NoWayIn(String),
    /// Two networks cannot have one interface of the host's.
    #[error(
        "conflicts with network '{network}' ({ifname}): networks have same bridge name: choose another, or leave com.docker.network.bridge.name out"
    )]
    BridgeNameTaken {
        /// The interface.
        ifname: String,
        /// Who has it.
        network: String,
    },
    /// The host's firewall or ports refuse.
    #[error("{0}")]
    Host(#[from] host::HostFault),
    /// A port of the host's cannot be published; in Docker's own words where it has some.
    #[error("{0}")]
    Port(#[from] host::PortFault),
    /// The network has endpoints.
    #[error("network '{name}' still has {count} endpoint(s), first '{first}': disconnect them first, or use --force")]
    NetworkInUse {
        /// The network.
        name: String,
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
    /// There is no such endpoint.
    #[error("network '{network}' has no endpoint '{endpoint}': 'lanyard network inspect {network}' lists them")]
    NoEndpoint {
        /// The network.
        network: String,
        /// The endpoint.
        endpoint: String,
    },
    /// There is an endpoint of that name already.
    #[error(
        "network '{network}' has an endpoint '{endpoint}' already: choose another name with --endpoint, or disconnect it first"
    )]
    EndpointExists {
        /// The network.
        network: String,
        /// The endpoint.
        endpoint: String,
    },
    /// The subnet overlaps another network's.
    #[error(
        "subnet {subnet} overlaps {other} of network '{network}': choose another with --subnet, or remove that one if nobody has it any more ('lanyard network rm --force {network}')"
    )]
    SubnetOverlaps {
        /// The one asked for.
        subnet: IpNet,
        /// The one there.
        other: IpNet,
        /// Whose it is.
        network: String,
    },
    /// The subnet cannot be used.
    #[error("subnet {subnet} cannot be used: {why}")]
    BadSubnet {
        /// The subnet.
        subnet: String,
        /// Why not, and the mend.
        why: String,
    },
    /// No subnet is left to choose.
    #[error("no free subnet is left to choose from: name one with --subnet")]
    NoFreeSubnet,
    /// The gateway is not in the subnet.
    #[error("gateway {gateway} is outside subnet {subnet}: choose an address in it, such as {example}")]
    GatewayOutside {
        /// The address.
        gateway: IpAddr,
        /// The subnet.
        subnet: IpNet,
        /// One that would do.
        example: IpAddr,
    },
    /// The gateway's address is none that a host can have.
    #[error("gateway {gateway} is the network or broadcast address of {subnet}: choose another, such as {example}")]
    GatewayReserved {
        /// The address.
        gateway: IpAddr,
        /// The subnet.
        subnet: IpNet,
        /// One that would do.
        example: IpAddr,
    },
    /// There is to be no gateway, and yet it has an address.
    #[error("gateway {0} has no use where --gateway-mode is none: leave one of the two out")]
    GatewayUnused(IpAddr),
    /// The address is not in the subnet.
    #[error("address {ip} is outside subnet {subnet} of network '{network}': leave --ip out, or choose one in it")]
    AddressOutside {
        /// The address.
        ip: IpAddr,
        /// The subnet.
        subnet: IpNet,
        /// Whose it is.
        network: String,
    },
    /// The address is in use.
    #[error("address {ip} of network '{network}' is taken by {by}: leave --ip out, or choose another")]
    AddressTaken {
        /// The address.
        ip: IpAddr,
        /// The network.
        network: String,
        /// Who has it.
        by: String,
    },
    /// The subnet is used up.
    #[error(
        "every address of subnet {subnet} of network '{network}' is taken: disconnect an endpoint, or make a larger network"
    )]
    SubnetFull {
        /// The subnet.
        subnet: IpNet,
        /// The network.
        network: String,
    },
    /// The MAC address is in use.
    #[error("MAC address {mac} cannot be used on network '{network}': {by} has it: leave --mac out, or choose another")]
    MacTaken {
        /// The address.
        mac: frame::MacAddr,
        /// The network.
        network: String,
        /// Who has it.
        by: String,
    },
    /// The MAC address is none that a station can have.
    #[error("MAC address {mac} cannot be used on network '{network}': {why}")]
    BadMac {
        /// The address.
        mac: frame::MacAddr,
        /// The network.
        network: String,
        /// Why not, and the mend.
        why: String,
    },
    /// A number out of its range.
    #[error("{what} {value} is out of range: use {least} to {most}")]
    OutOfRange {
        /// The setting.
        what: &'static str,
        /// What was asked for.
        value: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// An interface name that the kernel would refuse.
    #[error("'{name}' is no interface name: {why}")]
    BadIfname {
        /// The name.
        name: String,
        /// Why not, and the mend.
        why: &'static str,
    },
    /// The interface is there already.
    #[error("namespace '{netns}' has an interface '{ifname}' already: choose another name with --ifname")]
    IfnameTaken {
        /// The name.
        ifname: String,
        /// The namespace.
        netns: String,
    },
    /// No port goes by that name, or several do.
    #[error("{0}")]
    NoPort(String),
    /// There is no such fault.
    #[error("no line has a fault '{0}': 'lanyard fault ls' lists them")]
    NoLineFault(String),
    /// As many faults as may be are there.
    #[error("{limit} faults are there already, which is the limit: remove one with 'lanyard fault rm'")]
    TooManyFaults {
        /// How many that is.
        limit: usize,
    },
    /// A filter that cannot be read.
    #[error("the filter cannot be used: {0}")]
    FaultFilter(String),
    /// A hub cannot do what needs to know whose an address is.
    #[error("a hub knows nobody's address, so {asked} cannot be: leave it out, or use -o mode=switch")]
    HubKnowsNobody {
        /// What was asked for.
        asked: &'static str,
    },
    /// Offloads at a port that has none.
    #[error("an xdp port carries only finished frames, so --offload on cannot be: leave it out, or use --kind veth")]
    NoOffload,
    /// The kernel lacks what an xdp port needs.
    #[error("{why}: use --kind veth, which needs none of it")]
    NoXdp {
        /// What is missing.
        why: String,
    },
    /// The namespace is written wrongly, or cannot be opened.
    #[error("{0}")]
    Namespace(String),
    /// There is no such namespace.
    #[error("{0}")]
    NoNamespace(String),
    /// Two networks cannot be peered.
    #[error("networks '{a}' and '{b}' cannot be peered: {why}")]
    BadPeering {
        /// One.
        a: String,
        /// The other.
        b: String,
        /// Why not.
        why: &'static str,
    },
    /// A limit of the switch.
    #[error("the switch has all the {limit} {what} it can have: remove one first")]
    TooMany {
        /// Ports or networks.
        what: &'static str,
        /// How many that is.
        limit: usize,
    },
    /// Nothing is kept of the frames that have passed.
    #[error(
        "no frames are recorded: start the switch with 'lanyard run --record 4096', or watch them live with 'lanyard trace'"
    )]
    NotRecording,
    /// A filter that cannot be read.
    #[error("{0}")]
    BadFilter(String),
    /// Nobody and nothing of that name or address is known.
    #[error("{0}")]
    NotFound(String),
    /// Octets that are no frame, or a question about nothing.
    #[error("{0}")]
    BadQuestion(String),
    /// As many read the trace as may.
    #[error("{limit} traces are read already, which is the limit: end one first")]
    TooManyTraces {
        /// How many that is.
        limit: usize,
    },
    /// As many watch the hosts' neighbor caches as may.
    #[error(
        "the hosts' ARP caches are watched {limit} times already, which is the limit: end an 'arp watch', 'top' or 'ladder' first"
    )]
    TooManyWatches {
        /// How many that is.
        limit: usize,
    },
    /// A capability is missing.
    #[error(
        "{what} is not permitted: it needs {capability}; run the daemon as root, or try 'lanyard lab', which needs no root"
    )]
    NotPermitted {
        /// The work.
        what: String,
        /// The capability, by its kernel name.
        capability: &'static str,
    },
    /// `/dev/net/tun` is missing or closed.
    #[error("{why}: use --kind veth, or make it with 'mkdir -p /dev/net && mknod /dev/net/tun c 10 200'")]
    NoTun {
        /// What happened.
        why: String,
    },
    /// A live daemon holds the socket or the state.
    #[error("{path} is in use by a running daemon{pid}: stop it first, or choose another with {option}")]
    InUse {
        /// The socket or folder.
        path: PathBuf,
        /// ` (pid N)` or nothing.
        pid: String,
        /// The option that names it.
        option: &'static str,
    },
    /// The state folder holds what this program cannot use.
    #[error("{0}")]
    State(String),
    /// The switch is leaving.
    #[error("the switch is stopping: start it again with 'lanyard run'")]
    Stopping,
    /// More than one thing failed, each of them told.
    #[error("{0}")]
    Several(String),
    /// Work that the system refused.
    #[error("{what}: {source}")]
    Io {
        /// The work.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Fault {
    /// Work that the system refused.
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// The HTTP status that goes with it: 404 for what is not there, 409 for what is there already or in use, 400 for
    /// what cannot be, 503 for what only another moment allows, 500 for work that failed.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotFound(_)
            | Self::NoPort(_)
            | Self::NoLineFault(_)
            | Self::NoNetwork(_)
            | Self::NoDockerNetwork(_)
            | Self::NoEndpoint { .. }
            | Self::NoNamespace(_) => 404,
            Self::NetworkExists(_)
            | Self::EndpointExists { .. }
            | Self::NetworkInUse { .. }
            | Self::NetworkIsDockers(_)
            | Self::BridgeNameTaken { .. }
            | Self::HostIfnameTaken { .. }
            | Self::EndpointIsDockers { .. }
            | Self::EndpointIsGateway { .. }
            | Self::Port(_)
            | Self::SubnetOverlaps { .. }
            | Self::AddressTaken { .. }
            | Self::MacTaken { .. }
            | Self::TooMany { .. }
            | Self::TooManyFaults { .. }
            | Self::IfnameTaken { .. }
            | Self::InUse { .. }
            | Self::NotRecording => 409,
            Self::Stopping | Self::TooManyTraces { .. } | Self::TooManyWatches { .. } => 503,
            Self::NotPermitted { .. }
            | Self::NoTun { .. }
            | Self::NoXdp { .. }
            | Self::Host(_)
            | Self::State(_)
            | Self::Several(_)
            | Self::Io { .. } => 500,
            _ => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_what_kind_of_refusal_it_is() {
        let mac: frame::MacAddr = "02:42:0a:00:00:02".parse().unwrap();
        let network = || "lab".to_owned();
        let table = [
            (Fault::NoNamespace("no process 7".to_owned()), 404, "no process 7"),
            (Fault::Namespace("'a/b' is relative".to_owned()), 400, "relative"),
            (Fault::MacTaken { mac, network: network(), by: "the gateway".to_owned() }, 409, "the gateway has it"),
            (Fault::BadMac { mac, network: network(), why: "it is all zeros".to_owned() }, 400, "all zeros"),
            (Fault::HubKnowsNobody { asked: "-o guard=on" }, 400, "so -o guard=on cannot be: leave it out"),
            (Fault::NoOffload, 400, "--offload on"),
            (Fault::NoXdp { why: "no AF_XDP".to_owned() }, 500, "no AF_XDP: use --kind veth"),
            (Fault::TooMany { what: "ports", limit: 4096 }, 409, "all the 4096 ports"),
            (Fault::TooManyTraces { limit: 16 }, 503, "16 traces are read already, which is the limit: end one first"),
            (Fault::TooManyWatches { limit: 8 }, 503, "ARP caches are watched 8 times already, which is the limit"),
            (Fault::Stopping, 503, "stopping"),
        ];
        for (fault, status, says) in table {
            assert!(fault.status() == status && fault.to_string().contains(says), "{}: {fault}", fault.status());
        }
    }
}
