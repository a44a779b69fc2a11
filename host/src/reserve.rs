//! Who has a port of the host? Whoever has bound it: a published port is reserved by a real socket.
//!
//! Another program then gets "address in use", as it should, and a port that another has is refused in Docker's own words.
//! The socket takes no traffic, for packets are translated before they would reach it; where translation is impossible
//! (see [`Proxy`](crate::Proxy)), it listens. Words and choice of ports as in Docker's port allocator. See ip(7), tcp(7).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};

use crate::proxy::Serving;
use crate::{Protocol, Proxy, Published};

/// What is asked for: one port, or any of a range, or any at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The protocol.
    pub protocol: Protocol,
    /// The port inside the container.
    pub container_port: u16,
    /// The host's address; `None`: every IPv4 address, and every IPv6 address if the host has IPv6.
    pub host_ip: Option<IpAddr>,
    /// The first port of the host that will do; 0: any.
    pub host_port: u16,
    /// The last one that will do; not below `host_port`, or it counts as `host_port`.
    pub host_port_end: u16,
}

/// A port of the host that nobody else can bind until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    /// What was asked for.
    pub request: Request,
    /// The port found, the same for every address.
    pub host_port: u16,
    addresses: Vec<IpAddr>,
    /// One for both families: 10,000 ports take 10,000 descriptors.
    holder: Holder,
}

/// What holds the port.
#[derive(Debug)]
enum Holder {
    /// A socket that nobody reads: every packet is translated.
    Socket(Socket),
    /// A proxy.
    Proxy(Serving),
    /// Nothing: the proxy could not take it over.
    Nothing,
}

/// Why a port could not be reserved.
#[derive(Debug, thiserror::Error)]
pub enum PortFault {
    /// Another program, or another container, has it.
    #[error("Bind for {0}:{1} failed: port is already allocated")]
    Taken(IpAddr, u16),
    /// The whole range is taken.
    #[error("all ports are allocated")]
    AllTaken,
    /// The address is not this host's.
    #[error("Bind for {0}:{1} failed: no interface of this host has the address {0}")]
    NoSuchAddress(IpAddr, u16),
    /// The kernel was built without it.
    #[error("Bind for {0}:{1} failed: this kernel has no SCTP: load the module sctp, or publish TCP or UDP")]
    NoSctp(IpAddr, u16),
    /// Each port takes a file descriptor, and there are no more.
    #[error("Bind for {0}:{1} failed: no file descriptors are left: raise LimitNOFILE of the service (ulimit -Hn)")]
    NoDescriptors(IpAddr, u16),
    /// The system refused otherwise.
    #[error("Bind for {0}:{1} failed: {2}")]
    Io(IpAddr, u16, io::Error),
}

impl Reservation {
    /// The host addresses reserved; unspecified for every address of its family.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().copied()
    }

    /// What the firewall translates for a container with these addresses. The rest is for a proxy.
    pub fn published(&self, ifname: &str, container: &[IpAddr]) -> Vec<Published> {
        let translated = self.addresses().filter_map(|host_ip| {
            let container = *container.iter().find(|address| address.is_ipv4() == host_ip.is_ipv4())?;
            (host_ip != IpAddr::V6(Ipv6Addr::LOCALHOST)).then(|| Published {
                ifname: ifname.to_owned(),
                container,
                container_port: self.request.container_port,
                protocol: self.request.protocol,
                host_ip,
                host_port: self.host_port,
            })
        });
        translated.collect()
    }

    /// Have `proxy` carry what cannot be translated to a container with these addresses. Says whether anything can be of
    /// that kind. Again with other addresses: new connections go there.
    ///
    /// # Errors
    /// The socket cannot listen; the port is no longer reserved then.
    pub fn serve(&mut self, proxy: &Proxy, container: &[IpAddr]) -> io::Result<bool> {
        let port = self.request.container_port;
        let translated = |address: &IpAddr| {
            let local = *address == ANY_V6 || *address == IpAddr::V6(Ipv6Addr::LOCALHOST);
            !local && container.iter().any(|of| of.is_ipv4() == address.is_ipv4())
        };
        if self.request.protocol == Protocol::Sctp || self.addresses.iter().all(translated) {
            return Ok(false);
        }
        match std::mem::replace(&mut self.holder, Holder::Nothing) {
            Holder::Socket(socket) => {
                self.holder = Holder::Proxy(proxy.serve(socket, self.request.protocol, container, port)?);
            }
            Holder::Proxy(serving) => {
                serving.redirect(container, port);
                self.holder = Holder::Proxy(serving);
            }
            Holder::Nothing => return Err(io::ErrorKind::NotConnected.into()),
        }
        Ok(true)
    }
}

/// Reserve a port for each request, or none at all.
///
/// # Errors
/// A port is taken, or cannot be bound; what was reserved before it is free again.
pub fn bind(requests: &[Request]) -> Result<Vec<Reservation>, PortFault> {
    make_room(requests.len());
    requests.iter().map(reserve).collect()
}

/// A socket for each port, and what the process has open anyway. A refusal shows when the descriptors run out.
fn make_room(ports: usize) {
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let needed = u64::try_from(open + ports + 256).unwrap_or(u64::MAX);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft >= needed {
        return;
    }
    // Beyond the hard limit only with CAP_SYS_RESOURCE.
    let raise = |soft, hard| setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    if let Err(refused) = raise(needed, needed.max(hard)).or_else(|_| raise(needed.min(hard), hard)) {
        tracing::warn!("the limit of open files stays {soft}: {refused}");
    }
}

/// How long a program that is being started may have what is closed when it runs.
const START: Duration = Duration::from_millis(20);

/// Where the search for any port goes on, so that a port that was just freed is not the next one given.
static NEXT: AtomicU32 = AtomicU32::new(0);

fn reserve(request: &Request) -> Result<Reservation, PortFault> {
    let (first, last) = (request.host_port, request.host_port_end);
    if first == 0 {
        let skipped = system_ports("ip_local_reserved_ports");
        let range = ephemeral_range();
        let count = u32::from(range.end() - range.start()) + 1;
        let start = NEXT.fetch_add(1, Ordering::Relaxed);
        let ports = (0..count).map(|step| range.start() + (start.wrapping_add(step) % count) as u16);
        return first_free(request, ports.filter(|port| !skipped.iter().any(|range| range.contains(port))));
    }
    if last <= first {
        // A program that was just started has all descriptors for a moment, also that of a port which was just given up.
        return take(request, first).or_else(|fault| {
            if matches!(fault, PortFault::Taken(..)) {
                thread::sleep(START);
                return take(request, first);
            }
            Err(fault)
        });
    }
    first_free(request, first..=last)
}

fn first_free(request: &Request, ports: impl Iterator<Item = u16>) -> Result<Reservation, PortFault> {
    for port in ports {
        match take(request, port) {
            Err(PortFault::Taken(..)) => {}
            Ok(reservation) => {
                if request.host_port == 0 {
                    let range = ephemeral_range();
                    NEXT.store(u32::from(port.wrapping_sub(*range.start())) + 1, Ordering::Relaxed);
                }
                return Ok(reservation);
            }
            Err(fault) => return Err(fault),
        }
    }
    Err(PortFault::AllTaken)
}

/// The kernel's range for ports that nobody chose, else Docker's own.
fn ephemeral_range() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut words = text.split_whitespace().map_while(|word| word.parse::<u16>().ok());
    match (words.next(), words.next()) {
        (Some(first), Some(last)) if 0 < first && first <= last => first..=last,
        _ => 49153..=65535,
    }
}

/// A list such as `8080,9000-9010`.
fn system_ports(name: &str) -> Vec<RangeInclusive<u16>> {
    let text = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
    let range = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).collect()
}

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn take(request: &Request, port: u16) -> Result<Reservation, PortFault> {
    let (addresses, socket) = match request.host_ip {
        Some(address) => (vec![address], open(request.protocol, address, port, true)?),
        None => take_both(request.protocol, port)?,
    };
    Ok(Reservation { request: *request, host_port: port, addresses, holder: Holder::Socket(socket) })
}

/// Every address of both families; of IPv4 alone where the host has no IPv6.
fn take_both(protocol: Protocol, port: u16) -> Result<(Vec<IpAddr>, Socket), PortFault> {
    let no_v6 = |error: &io::Error| error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32);
    match open(protocol, ANY_V6, port, false) {
        Ok(socket) => Ok((vec![ANY_V4, ANY_V6], socket)),
        Err(PortFault::NoSuchAddress(..)) => Ok((vec![ANY_V4], open(protocol, ANY_V4, port, true)?)),
        Err(PortFault::Io(_, _, error)) if no_v6(&error) => Ok((vec![ANY_V4], open(protocol, ANY_V4, port, true)?)),
        // Docker asks for IPv4 first, and names that one.
        Err(fault) => Err(open(protocol, ANY_V4, port, true).err().unwrap_or(fault)),
    }
}

/// `alone`: an IPv6 socket does not take the IPv4 port too.
fn open(protocol: Protocol, address: IpAddr, port: u16, alone: bool) -> Result<Socket, PortFault> {
    let address_of = |reuse| open_plain(protocol, address, port, alone, reuse);
    let outcome = match address_of(false) {
        // A connection that ended a moment ago (TIME_WAIT) is no owner, but only a listener may take its port.
        Err(error) if protocol == Protocol::Tcp && error.kind() == io::ErrorKind::AddrInUse => address_of(true),
        outcome => outcome,
    };
    outcome.map_err(|error| match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
        (io::ErrorKind::AddrInUse, _) => PortFault::Taken(address, port),
        (io::ErrorKind::AddrNotAvailable, _) => PortFault::NoSuchAddress(address, port),
        (_, Some(Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT)) if protocol == Protocol::Sctp => {
            PortFault::NoSctp(address, port)
        }
        (_, Some(Errno::EMFILE | Errno::ENFILE)) => PortFault::NoDescriptors(address, port),
        _ => PortFault::Io(address, port, error),
    })
}

fn open_plain(protocol: Protocol, address: IpAddr, port: u16, alone: bool, reuse: bool) -> io::Result<Socket> {
    let (kind, name) = match protocol {
        Protocol::Tcp => (Type::STREAM, SocketProtocol::TCP),
        Protocol::Udp => (Type::DGRAM, SocketProtocol::UDP),
        Protocol::Sctp => (Type::STREAM, SocketProtocol::SCTP),
    };
    let socket = Socket::new(Domain::for_address(SocketAddr::new(address, port)), kind, Some(name))?;
    if address.is_ipv6() {
        socket.set_only_v6(alone)?;
    }
    if reuse {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SocketAddr::new(address, port).into())?;
    if reuse {
        socket.listen(0)?;
    }
    Ok(socket)
}
