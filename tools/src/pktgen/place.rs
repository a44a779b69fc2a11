//! Where does a load enter or leave? At an interface, of this namespace or of another: `eth0`, `ns:h1/eth0`,
//! `pid:4711/eth0`, `/run/netns/red/eth0`; or at a port of an engine that runs in this process, without a kernel on the way:
//! `engine:1`.
//!
//! Its frames are those of a packet socket (packet(7)): what is sent goes out by the interface as if its host had sent it,
//! what comes in is seen before the host's own stack looks at it, which it does as well.

use std::fmt;
use std::io;
use std::str::FromStr;

use ports::link::{Link, Links, check_name};
use ports::netns::NamespaceRef;
use ports::veth::{self, VethQueue};

/// The most ports of an engine.
pub(super) const MOST_ENGINE_PORTS: u8 = 64;

/// Where frames enter and leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// An interface, and the namespace it is in if that is another.
    Interface(Interface),
    /// A port of the engine in this process, from 1.
    Engine(u8),
}

/// An interface by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Interface {
    namespace: Option<NamespaceRef>,
    ifname: String,
}

impl Interface {
    /// `ifname` in that namespace.
    pub(super) fn new(namespace: NamespaceRef, ifname: &str) -> Self {
        Self { namespace: Some(namespace), ifname: ifname.to_owned() }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(number) = text.strip_prefix("engine:") {
            let port = number.parse().ok().filter(|port| (1..=MOST_ENGINE_PORTS).contains(port));
            return port.map(Self::Engine).ok_or_else(|| {
                format!("'{number}' is no port of the engine: write engine:1 to engine:{MOST_ENGINE_PORTS}")
            });
        }
        let (namespace, ifname) = match text.rsplit_once('/') {
            None => (None, text),
            Some((namespace, ifname)) => (Some(namespace.strip_prefix("ns:").unwrap_or(namespace)), ifname),
        };
        let namespace =
            namespace.map(str::parse).transpose().map_err(|error: ports::netns::BadNamespaceRef| error.to_string())?;
        check_name(ifname)
            .map_err(|error| format!("{error}: write INTERFACE or ns:NAME/INTERFACE, as in ns:h1/eth0"))?;
        Ok(Self::Interface(Interface { namespace, ifname: ifname.to_owned() }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(interface) => interface.fmt(f),
            Self::Engine(port) => write!(f, "engine:{port}"),
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            None => f.write_str(&self.ifname),
            Some(NamespaceRef::Name(name)) => write!(f, "ns:{name}/{}", self.ifname),
            Some(namespace) => write!(f, "{namespace}/{}", self.ifname),
        }
    }
}

impl Interface {
    /// Its name in its namespace.
    pub(super) fn ifname(&self) -> &str {
        &self.ifname
    }

    /// Do something in its namespace, on a thread of its own where that is another.
    ///
    /// # Errors
    /// One line: there is no such namespace, or it may not be entered.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, String> {
        let namespace = self.namespace.as_ref().map(NamespaceRef::open).transpose();
        let Some(namespace) = namespace.map_err(|error| mend(&error.to_string()))? else { return Ok(work()) };
        namespace.enter(work).map_err(|error| self.refused(&error))
    }

    /// Why its namespace cannot be entered.
    fn refused(&self, error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::PermissionDenied => format!("{self}: entering a namespace needs CAP_SYS_ADMIN: run as root"),
            _ => format!("{self}: {error}"),
        }
    }

    /// The interface as it is now, and a queue that sees what comes in by it, and sends by it.
    ///
    /// # Errors
    /// One line: there is no such namespace or interface, it is down, or packet sockets are not allowed.
    pub(crate) fn open(&self) -> Result<(Link, VethQueue), String> {
        let namespace =
            self.namespace.as_ref().map(NamespaceRef::open).transpose().map_err(|error| mend(&error.to_string()))?;
        let links = namespace.as_ref().map_or_else(Links::open, Links::in_namespace);
        let links = links.map_err(|error| self.refused(&error))?;
        let link = links.by_name(&self.ifname).map_err(|error| format!("{self}: {error}"))?;
        let link =
            link.ok_or_else(|| format!("{self}: there is no such interface; `ip link` shows those there are"))?;
        if !link.up {
            return Err(format!("{self} is down: bring it up with `ip link set {} up`", self.ifname));
        }
        let open = || veth::open_index(&self.ifname, link.index, 1, false);
        let opened = namespace.as_ref().map_or_else(|| Ok(open()), |namespace| namespace.enter(open));
        let raw = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                format!("{self}: sending and seeing raw frames needs CAP_NET_RAW there: run as root")
            }
            _ => format!("{self}: {error}"),
        };
        let queue = opened.map_err(|error| self.refused(&error))?.map_err(raw)?.pop();
        queue.map(|queue| (link, queue)).ok_or_else(|| format!("{self} has no queue"))
    }
}

/// Why a namespace cannot be opened, and what helps.
fn mend(why: &str) -> String {
    if nix::unistd::geteuid().is_root() { why.to_owned() } else { format!("{why}: run as root") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_the_same() {
        for text in ["eth0", "ns:h1/eth0", "pid:4711/eth0", "/run/netns/red/eth0", "engine:1", "engine:64"] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("h1/eth0".parse::<Place>().unwrap().to_string(), "ns:h1/eth0");
        for text in [
            "",
            "ns:h1/",
            "ns:/eth0",
            "pid:x/eth0",
            "a/b/eth0",
            "eth 0",
            "averyveryverylongname",
            "engine:0",
            "engine:65",
            "engine:x",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
