//! What can go wrong when the host's rules are set? [`HostFault`].

use std::net::IpAddr;

use ipnet::IpNet;

/// Why the host is not as the plan wants it. One line each, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum HostFault {
    /// A program that the rules need is not on this host.
    #[error("{program} is not on this host: install the package {package}")]
    NoProgram {
        /// The program's name.
        program: String,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// A program refused.
    #[error("{program} refused: {said}")]
    Refused {
        /// The program's name and arguments.
        program: String,
        /// The first lines of what it said.
        said: String,
    },
    /// A program did not end and was ended.
    #[error(
        "{program} did not end within {seconds} s and was ended: look who holds the lock of iptables \
         (fuser -v /run/xtables.lock), or whether the machine is overloaded, then try again"
    )]
    Stuck {
        /// The program's name and arguments.
        program: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A program could not be run, or a file could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// The program or the file.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// An interface name that a rule cannot hold.
    #[error("{0:?} cannot be an interface's name in a rule: 1 to 15 letters, digits, '.', '_' or '-' are")]
    InterfaceName(String),
    /// Two networks on one interface.
    #[error("two networks have the interface {0}: give each its own")]
    TwiceNamed(String),
    /// Two networks whose subnets overlap cannot both be reached from one host.
    #[error("the subnet {0} of {1} overlaps {2} of {3}: choose another subnet")]
    Overlap(IpNet, String, IpNet, String),
    /// A port is published for a network that the plan does not have.
    #[error("port {port} is published for {ifname}, which is no network of the plan: add the network first")]
    UnknownNetwork {
        /// The interface named.
        ifname: String,
        /// The host's port.
        port: u16,
    },
    /// A host address of one family is published for a container address of the other.
    #[error("{host}:{port} cannot be translated to {container}: address families differ, a proxy has to serve it")]
    Family {
        /// The host's address.
        host: IpAddr,
        /// The host's port.
        port: u16,
        /// The container's address.
        container: IpAddr,
    },
    /// One host port is published twice.
    #[error("Bind for {0}:{1} failed: port is already allocated")]
    Twice(IpAddr, u16),
    /// A port number of 0 cannot be published.
    #[error("port 0 of {0} cannot be published: choose one from 1 to 65535")]
    PortZero(IpAddr),
    /// Something failed, and so did the attempt to put back what was before.
    #[error("{fault}; and putting the host back failed too: {undoing}")]
    NotUndone {
        /// What failed first.
        fault: Box<HostFault>,
        /// What failed then.
        undoing: Box<HostFault>,
    },
}

impl HostFault {
    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}
