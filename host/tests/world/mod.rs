//! What world do these tests live in? Namespaces of their own: an outside, a host, networks with containers.
//!
//! ```text
//! outside 192.0.2.9 --up0-- host --ly-a 10.1.0.1-- [switch] -- a1 10.1.0.2, a2 10.1.0.3
//!                                --ly-b 10.2.0.1-- [switch] -- b1 10.2.0.2
//! ```
//! IPv6: `2001:db8::9`, `2001:db8::1`; `fd00:a::/64`, `fd00:b::/64`. A namespace lives as long as its descriptor; with it goes all that is in it.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lanyard_host::{HostNetwork, Plan, Protocol, Published};
use nix::sched::{CloneFlags, setns, unshare};

/// How long an answer may take that is expected, on a busy machine too;
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// and one that is not.
pub(crate) const SILENCE: Duration = Duration::from_millis(400);

/// What installs the programs that tests need, for whoever has none of them.
const INSTALLER: &str = include_str!("../../../tools/test");

/// May this test run here? If not, it says so; where nothing may be skipped that is a failure.
pub(crate) fn ready(test: &str, programs: &[&str]) -> bool {
    let unknown = programs.iter().find(|program| !INSTALLER.contains(&format!("\"{program} ")));
    assert_eq!(unknown, None, "{test} needs a program that tools/test does not install");
    let there = |program: &&&str| {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().any(|f| fs::exists(format!("{f}/{program}")).unwrap())
    };
    let missing = if nix::unistd::geteuid().is_root() {
        let all = ["ip", "nft"].iter().chain(programs);
        all.copied().find(|program| !there(&program)).map(str::to_owned)
    } else {
        Some("root".to_owned())
    };
    let Some(missing) = missing else { return true };
    let required = std::env::var("LANYARD_REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "{test} needs {missing}, and LANYARD_REQUIRE=all allows no skipping");
    println!("SKIPPED: {test} needs {missing}");
    false
}

/// A network namespace.
pub(crate) struct Space(File);

impl Space {
    pub(crate) fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let space = Self(made.join().unwrap());
        space.run("ip link set lo up");
        space
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Do something in it, on a thread of its own.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Run a program in it that has to succeed; what it printed.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.enter(|| Command::new("sh").args(["-c", line]).output().unwrap());
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn veth(&self, name: &str, to: &Self, other: &str) {
        self.run(&format!("ip link add {name} type veth peer name {other} netns {}", to.path()));
        self.run(&format!("ip link set {name} up"));
        to.run(&format!("ip link set {other} up"));
    }

    fn address(&self, name: &str, addresses: &[&str]) {
        for address in addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            self.run(&format!("ip addr add {address} dev {name} {nodad}"));
        }
    }

    fn default_route(&self, gateways: [&str; 2]) {
        self.run(&format!("ip route add default via {}; ip -6 route add default via {}", gateways[0], gateways[1]));
    }

    /// Everything the firewall of the namespace holds.
    pub(crate) fn ruleset(&self) -> String {
        let legacy = "for f in ip ip6; do grep -q filter /proc/thread-self/net/${f}_tables_names 2>/dev/null && \
                      case $f in ip) iptables-legacy -S;; *) ip6tables-legacy -S;; esac; done; true";
        self.run(&format!("nft list ruleset; {legacy}"))
    }

    /// A server that tells whoever asks under which address he is seen.
    pub(crate) fn serve(&self, protocol: Protocol, address: &str) {
        let address: SocketAddr = address.parse().unwrap();
        match protocol {
            Protocol::Tcp => {
                let listener = self.enter(|| TcpListener::bind(address).unwrap());
                thread::spawn(move || {
                    while let Ok((mut stream, peer)) = listener.accept() {
                        let _ = write!(stream, "{address} sees {}", peer.ip());
                    }
                });
            }
            Protocol::Udp => {
                let socket = self.enter(|| UdpSocket::bind(address).unwrap());
                thread::spawn(move || {
                    let mut octets = [0; 64];
                    while let Ok((_, peer)) = socket.recv_from(&mut octets) {
                        let _ = socket.send_to(format!("{address} sees {}", peer.ip()).as_bytes(), peer);
                    }
                });
            }
            Protocol::Sctp => panic!("no SCTP here"),
        }
    }

    /// What a server says, if it can be reached from here.
    pub(crate) fn ask(&self, protocol: Protocol, to: &str, patience: Duration) -> Option<String> {
        let to: SocketAddr = to.parse().unwrap();
        self.enter(|| match protocol {
            Protocol::Tcp => ask_tcp(to, patience),
            Protocol::Udp => ask_udp(to, patience),
            Protocol::Sctp => None,
        })
    }

    /// `to` is reached by TCP and UDP, and sees us as `seen`.
    #[track_caller]
    pub(crate) fn reaches(&self, to: &str, at: &str, seen: &str) {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let said = self.ask(protocol, to, PATIENCE);
            assert_eq!(said.as_deref(), Some(format!("{at} sees {seen}").as_str()), "{protocol:?} to {to}");
        }
    }

    /// `to` is reached neither by TCP nor by UDP.
    #[track_caller]
    pub(crate) fn misses(&self, to: &str) {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            assert_eq!(self.ask(protocol, to, SILENCE), None, "{protocol:?} to {to}");
        }
    }

    pub(crate) fn pings(&self, to: &str) -> bool {
        self.enter(|| Command::new("ping").args(["-c", "1", "-W", "1", to]).output().unwrap().status.success())
    }
}

fn ask_tcp(to: SocketAddr, patience: Duration) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&to, patience).ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    Some(said)
}

fn ask_udp(to: SocketAddr, patience: Duration) -> Option<String> {
    let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    let socket = UdpSocket::bind(any).unwrap();
    // Connected: an answer from another address than the one that was asked does not count.
    socket.connect(to).ok()?;
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send(b"who am I?").ok()?;
    let mut octets = [0; 128];
    let length = socket.recv(&mut octets).ok()?;
    Some(String::from_utf8_lossy(&octets[..length]).into_owned())
}

/// Try until `done` is; fails after `patience`.
#[track_caller]
pub(crate) fn wait_for(what: &str, patience: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < patience, "{what}: not within {patience:?}");
        thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

/// All of them. Every container and the outside have a server on port 80; the host has one on its port 90.
pub(crate) struct World {
    pub(crate) outside: Space,
    pub(crate) host: Space,
    pub(crate) a1: Space,
    pub(crate) a2: Space,
    pub(crate) b1: Space,
    switches: Vec<Space>,
}

impl World {
    pub(crate) fn new() -> Self {
        let [outside, host, a1, a2, b1] = [(); 5].map(|()| Space::new());
        host.veth("up0", &outside, "eth0");
        host.address("up0", &["192.0.2.1/24", "2001:db8::1/64"]);
        outside.address("eth0", &["192.0.2.9/24", "2001:db8::9/64"]);
        // The outside knows the way to the containers, so that only rules keep it from them.
        outside.default_route(["192.0.2.1", "2001:db8::1"]);
        let mut world = Self { outside, host, a1, a2, b1, switches: Vec::new() };
        for (name, number, letter) in [("ly-a", 1, 'a'), ("ly-b", 2, 'b')] {
            world.network(name, number, letter);
        }
        for space in [&world.outside, &world.a1, &world.a2, &world.b1] {
            space.serve_all("0.0.0.0:80");
            space.serve_all("[::]:80");
        }
        world.host.serve_all("0.0.0.0:90");
        world
    }

    fn network(&mut self, name: &str, number: u8, letter: char) {
        let switch = Space::new();
        switch.run("ip link add br0 type bridge && ip link set br0 up");
        self.host.veth(name, &switch, "p0");
        switch.run("ip link set p0 master br0");
        let gateways = [format!("10.{number}.0.1"), format!("fd00:{letter}::1")];
        self.host.address(name, &[&format!("{}/24", gateways[0]), &format!("{}/64", gateways[1])]);
        let containers = if number == 1 { vec![&self.a1, &self.a2] } else { vec![&self.b1] };
        for (index, container) in containers.into_iter().enumerate() {
            switch.veth(&format!("p{}", index + 1), container, "eth0");
            switch.run(&format!("ip link set p{} master br0", index + 1));
            let last = index + 2;
            container.address("eth0", &[&format!("10.{number}.0.{last}/24"), &format!("fd00:{letter}::{last}/64")]);
            container.default_route([&gateways[0], &gateways[1]]);
        }
        self.switches.push(switch);
    }

    /// A host that forwards already, so that FORWARD's policy is none of ours.
    pub(crate) fn forward(&self) {
        self.host.run("echo 1 | tee /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding");
    }

    pub(crate) fn forwards(&self) -> String {
        self.host.run("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding")
    }
}

impl Space {
    fn serve_all(&self, address: &str) {
        if address.starts_with('[') {
            // IPv6 only, beside the IPv4 one.
            self.run("echo 1 > /proc/sys/net/ipv6/bindv6only");
        }
        self.serve(Protocol::Tcp, address);
        self.serve(Protocol::Udp, address);
    }
}

/// The plan with both networks and nothing published.
pub(crate) fn plan() -> Plan {
    let network = |name: &str, v4: &str, v6: &str| {
        let gateways: Vec<IpAddr> = vec![v4.parse().unwrap(), v6.parse().unwrap()];
        let subnets = vec![format!("{v4}/24").parse().unwrap(), format!("{v6}/64").parse().unwrap()];
        HostNetwork::new(name, subnets, gateways)
    };
    Plan {
        networks: vec![network("ly-a", "10.1.0.1", "fd00:a::1"), network("ly-b", "10.2.0.1", "fd00:b::1")],
        published: vec![],
    }
}

/// `HOST_IP`'s port to port 80 of a container, TCP and UDP.
pub(crate) fn publish(plan: &mut Plan, ifname: &str, host_ip: &str, host_port: u16, container: &str) {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        plan.published.push(Published {
            ifname: ifname.to_owned(),
            container: container.parse().unwrap(),
            container_port: 80,
            protocol,
            host_ip: host_ip.parse().unwrap(),
            host_port,
        });
    }
}
