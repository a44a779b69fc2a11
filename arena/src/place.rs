//! Where does it happen? In namespaces of this program's own: network namespaces that nothing holds but a descriptor
//! of this process, and a mount namespace whose `/run` and `/sys/fs/bpf` are its own, so that sockets, databases and
//! logs of other people's daemons, and what libxdp pins, are in memory and end with this process, however it ends.
//! Nothing gets a name under `/run/netns` (namespaces(7), `mount_namespaces(7)`).

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::sockets::{Counted, counted, listens};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use ports::link::{Link, Links, VethPair};
use ports::netns::Namespace;

use super::program::Program;

/// What every interface here lets through, octets without the Ethernet header.
pub const MTU: u32 = 1500;
/// The network of every subject; the containers are .2 and onwards.
pub const SUBNET: &str = "10.99.0.0/24";
const PREFIX: u8 = 24;
/// The name of every container's interface.
pub const ETH: &str = "eth0";
/// What a path that has just been set up may need before something gets through.
const PATIENCE: Duration = Duration::from_secs(10);
const TRY: Duration = Duration::from_millis(500);

/// Leave the machine's mounts for some of this process's own. Before any thread is started, so that all are there.
///
/// # Errors
/// `EPERM` for anybody but root.
pub fn leave_home() -> io::Result<()> {
    let mounted = |kind: &str, target: &str| mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>);
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mounted("tmpfs", "/run")?;
    // A kernel without eBPF has no such folder, and nobody will look for it.
    if Path::new("/sys/fs/bpf").is_dir() {
        mounted("bpf", "/sys/fs/bpf")?;
    }
    fresh_network()
}

/// Leave the network for an empty one. What the calling thread, or a program it starts, makes from now on is there.
///
/// # Errors
/// `EPERM` for anybody but root.
pub fn fresh_network() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    quiet()?;
    frames_visit_netfilter(false)
}

/// Shall the frames of the bridges in this namespace pass through the packet filter, too? The settings are there only
/// where `br_netfilter` is loaded, and are each namespace's own since Linux 5.3.
///
/// # Errors
/// What cannot be written.
pub fn frames_visit_netfilter(yes: bool) -> io::Result<()> {
    for table in ["iptables", "ip6tables", "arptables"] {
        let setting = format!("/proc/sys/net/bridge/bridge-nf-call-{table}");
        if fs::exists(&setting)? {
            fs::write(&setting, if yes { "1" } else { "0" })?;
        }
    }
    Ok(())
}

/// IPv6 would only add its solicitations to what is measured. Kernels without it have no such setting.
fn quiet() -> io::Result<()> {
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let links = Links::open()?;
    let lo = links.by_name("lo").map_err(io::Error::other)?;
    lo.map_or(Ok(()), |lo| links.set_up(lo.index).map_err(io::Error::other))
}

/// One end: a namespace that is to have `eth0` and an address.
pub struct Container {
    namespace: Namespace,
    /// Its address.
    pub ip: Ipv4Addr,
}

impl Container {
    fn new(ip: Ipv4Addr) -> io::Result<Self> {
        let namespace = Namespace::create()?;
        namespace.enter(quiet)??;
        Ok(Self { namespace, ip })
    }

    /// So many, .2 and onwards.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn some(count: u8) -> io::Result<Vec<Self>> {
        (2..).take(count.into()).map(|last| Self::new(Ipv4Addr::new(10, 99, 0, last))).collect()
    }

    /// A name for the namespace that other processes can use as well.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_fd().as_raw_fd())
    }

    /// A program in the container.
    pub fn program(&self, words: &[&str]) -> Program {
        Program::in_network(&self.path(), words)
    }

    /// Do something in the container; what is opened there stays there.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        self.namespace.enter(work)?
    }

    /// Take the interface `name` of the calling thread's namespace; it becomes `eth0`.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn take(&self, name: &str) -> io::Result<()> {
        let links = Links::open()?;
        let link = links.by_name(name).map_err(io::Error::other)?.ok_or(io::ErrorKind::NotFound)?;
        links.move_to(link.index, &self.namespace, ETH).map_err(io::Error::other)
    }

    /// `eth0` gets its address and is set up.
    ///
    /// # Errors
    /// What the kernel refused; there is no `eth0`.
    pub fn address(&self) -> io::Result<()> {
        let links = Links::in_namespace(&self.namespace)?;
        let eth = self.eth()?;
        links.add_address(eth.index, (IpAddr::V4(self.ip), PREFIX)).map_err(io::Error::other)?;
        links.set_up(eth.index).map_err(io::Error::other)
    }

    /// The interface.
    ///
    /// # Errors
    /// There is no `eth0`.
    pub fn eth(&self) -> io::Result<Link> {
        let found = Links::in_namespace(&self.namespace)?.by_name(ETH).map_err(io::Error::other)?;
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the container has no eth0"))
    }

    /// What `eth0` has counted.
    ///
    /// # Errors
    /// There is no `eth0`.
    pub fn counted(&self) -> io::Result<Counted> {
        let dev = self.inside(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
        counted(&dev, ETH).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the container has no eth0"))
    }

    /// Wait until something in the container listens at TCP `port`.
    ///
    /// # Errors
    /// Nothing does, in time.
    pub fn wait_for_listener(&self, port: u16) -> io::Result<()> {
        let told = || {
            let files = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
            Ok(files.iter().any(|file| fs::read_to_string(file).is_ok_and(|text| listens(&text, port))))
        };
        until(PATIENCE, || self.inside(told))
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("nothing listens at port {port}")))
    }
}

/// Ask again, every few milliseconds, until it is so.
///
/// # Errors
/// Those of `so`; `TimedOut`.
pub fn until(patience: Duration, mut so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    while !so()? {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// For each container a veth pair: one end is its `eth0`, with its address, the other, `port0` and onwards, is in the
/// calling thread's namespace, and up.
///
/// # Errors
/// What the kernel refused.
pub fn veth_pairs(ends: &[Container]) -> io::Result<Vec<String>> {
    let names: Vec<String> = (0..ends.len()).map(|number| format!("port{number}")).collect();
    let links = Links::open()?;
    for (end, name) in ends.iter().zip(&names) {
        let pair = VethPair {
            name,
            peer_name: ETH,
            peer_namespace: Some(&end.namespace),
            peer_mac: None,
            mtu: Some(MTU),
            peer_mtu: Some(MTU),
        };
        let port = links.create_veth(&pair).map_err(io::Error::other)?;
        links.set_up(port.index).map_err(io::Error::other)?;
        end.address()?;
    }
    Ok(names)
}

/// Wait until TCP gets through, there and back: then both ends know each other by ARP, and what is between them knows
/// both.
///
/// # Errors
/// Nothing gets through, in time.
pub fn warm_up(ends: &[Container]) -> io::Result<()> {
    let [near, far, ..] = ends else { return Ok(()) };
    let listener = far.inside(|| TcpListener::bind((far.ip, 0)))?;
    let address = listener.local_addr()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match near.inside(|| TcpStream::connect_timeout(&address, TRY)) {
            Ok(stream) => return greet(stream, &listener),
            Err(_) if Instant::now() < deadline => {}
            Err(error) => return Err(io::Error::other(format!("TCP does not get through: {error}"))),
        }
    }
}

/// A word each way, with a payload, whose checksum matters.
fn greet(mut near: TcpStream, listener: &TcpListener) -> io::Result<()> {
    let (mut far, _) = listener.accept()?;
    let mut word = [0; 64];
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    near.write_all(&[7; 64])?;
    far.read_exact(&mut word)?;
    far.write_all(&word)?;
    near.read_exact(&mut word)
}
