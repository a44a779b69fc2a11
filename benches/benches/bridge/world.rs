//! What is compared? Two containers each on a Linux bridge, on Lanyard's TAPs and on Lanyard's veths, all in namespaces of
//! this program's own.
//!
//! A container here is a namespace that nothing holds but a descriptor of this process: however the process ends, the
//! namespaces, the bridge and every interface end with it. Nothing gets a name under `/run/netns`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use nix::sched::{CloneFlags, unshare};
use ports::link::{Links, VethPair};
use ports::netns::Namespace;
use switch::control::types::{EndpointSpec, NetworkSpec, PortKind};
use switch::control::{Switch, SwitchConfig};

/// Programs that must be there.
pub(crate) const PROGRAMS: [&str; 4] = ["iperf3", "ip", "nsenter", "setpriv"];
const MTU: u32 = 1500;

/// What two containers can be joined by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// The kernel's bridge and two veth pairs
    Bridge,
    /// Lanyard, offloading TAPs, one worker
    Tap1,
    /// Lanyard, offloading TAPs, two workers
    Tap2,
    /// Lanyard, offloading veths, one worker
    Veth1,
}

impl Kind {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Bridge => "Linux bridge",
            Self::Tap1 => "Lanyard tap, 1 worker",
            Self::Tap2 => "Lanyard tap, 2 workers",
            Self::Veth1 => "Lanyard veth, 1 worker",
        }
    }
}

/// One end: a namespace with `eth0` and an address.
pub(crate) struct Container {
    namespace: Namespace,
    pub(crate) ip: IpAddr,
}

impl Container {
    fn new(ip: Ipv4Addr) -> io::Result<Self> {
        let namespace = Namespace::create()?;
        namespace.enter(quiet)??;
        Ok(Self { namespace, ip: IpAddr::V4(ip) })
    }

    /// A name for the namespace that other processes can use as well.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_fd().as_raw_fd())
    }

    /// A program in the container, which ends when this process does.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path()));
        // The signal comes when the *thread* that started the program ends: commands are started by the first one.
        command.args(["setpriv", "--pdeathsig", "KILL", "--", program]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).env("LC_ALL", "C");
        command
    }

    /// Open something in the container's namespace; it stays there.
    pub(crate) fn open<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        self.namespace.enter(work)?
    }
}

/// IPv6 would only add its solicitations to what is measured. Kernels without it have no such setting.
fn quiet() -> io::Result<()> {
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let links = Links::open()?;
    let lo = links.by_name("lo").map_err(io::Error::other)?;
    lo.map_or(Ok(()), |lo| links.set_up(lo.index).map_err(io::Error::other))
}

/// Two containers and what joins them.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    switch: Option<Switch>,
    /// The client's end and the server's.
    pub(crate) ends: [Container; 2],
}

impl Subject {
    /// Build it in the calling thread's namespace.
    ///
    /// # Errors
    /// What the kernel refused.
    pub(crate) fn build(kind: Kind) -> io::Result<Self> {
        let ends = [Container::new(Ipv4Addr::new(10, 99, 0, 2))?, Container::new(Ipv4Addr::new(10, 99, 0, 3))?];
        let lanyard = |workers, port| lanyard(workers, port, &ends).map(Some);
        let switch = match kind {
            Kind::Bridge => bridge(&ends).map(|()| None),
            Kind::Tap1 => lanyard(1, PortKind::Tap),
            Kind::Tap2 => lanyard(2, PortKind::Tap),
            Kind::Veth1 => lanyard(1, PortKind::Veth),
        };
        let switch = switch.map_err(|error| io::Error::other(format!("{}: {error}", kind.words())))?;
        Ok(Self { kind, switch, ends })
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(Err(fault)) = self.switch.as_ref().map(Switch::stop_and_remove) {
            eprintln!("bridge: {}: {fault}", self.kind.words());
        }
    }
}

/// Leave the machine's network for one of this process's own. Before any thread is started, so that all are in it.
///
/// # Errors
/// `EPERM` for anybody but root.
pub(crate) fn leave_home() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    quiet()?;
    // A bridge whose frames visit the host's packet filter would be another, slower, thing. The settings are there only
    // where br_netfilter is loaded.
    for table in ["iptables", "ip6tables", "arptables"] {
        let setting = format!("/proc/sys/net/bridge/bridge-nf-call-{table}");
        if fs::exists(&setting)? {
            fs::write(&setting, "0")?;
        }
    }
    Ok(())
}

fn bridge(ends: &[Container; 2]) -> io::Result<()> {
    ip("link add br0 type bridge")?;
    ip("link set br0 up")?;
    let links = Links::open()?;
    for (number, end) in ends.iter().enumerate() {
        let name = format!("port{number}");
        let pair = VethPair {
            name: &name,
            peer_name: "eth0",
            peer_namespace: Some(&end.namespace),
            peer_mac: None,
            mtu: Some(MTU),
            peer_mtu: Some(MTU),
        };
        let port = links.create_veth(&pair).map_err(io::Error::other)?;
        ip(&format!("link set {name} master br0"))?;
        links.set_up(port.index).map_err(io::Error::other)?;
        let inside = Links::in_namespace(&end.namespace)?;
        let eth0 = inside.by_name("eth0").map_err(io::Error::other)?.ok_or(io::ErrorKind::NotFound)?;
        inside.add_address(eth0.index, (end.ip, 24)).map_err(io::Error::other)?;
        inside.set_up(eth0.index).map_err(io::Error::other)?;
    }
    Ok(())
}

/// The `ip` program: what makes bridges here.
fn ip(words: &str) -> io::Result<()> {
    let output = Command::new("ip").args(words.split_whitespace()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

fn lanyard(workers: usize, kind: PortKind, ends: &[Container; 2]) -> io::Result<Switch> {
    let switch = Switch::start(SwitchConfig { workers, state_dir: None }).map_err(io::Error::other)?;
    let mut network = NetworkSpec::named("bench");
    network.subnet = "10.99.0.0/24".parse().ok();
    network.mtu = Some(MTU);
    switch.create_network(&network).map_err(io::Error::other)?;
    for (number, end) in ends.iter().enumerate() {
        let mut spec = EndpointSpec::in_namespace(&end.path());
        spec.endpoint = Some(format!("end{number}"));
        spec.ip = Some(end.ip);
        spec.kind = kind;
        switch.connect("bench", &spec).map_err(io::Error::other)?;
    }
    Ok(switch)
}
