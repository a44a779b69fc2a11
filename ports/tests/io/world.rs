//! A throwaway world for one test: namespaces that nobody else sees and that vanish with it, and what a container in
//! one of them does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use frame::{Batch, Frame, OffloadHeader};
use lanyard_ports::Port;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// A network namespace, held by its file alone: dropping it is its end.
pub(crate) struct Namespace(File);

impl Namespace {
    pub(crate) fn new() -> io::Result<Self> {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            // Without it every link that comes up speaks of its own accord.
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
            File::open("/proc/thread-self/ns/net").map(Self)
        };
        thread::spawn(make).join().unwrap()
    }

    /// Do something inside, in a thread of its own.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|fault| std::panic::resume_unwind(fault))
    }

    /// Run `ip` inside with these words; it must succeed.
    pub(crate) fn ip(&self, words: &str) {
        assert!(self.try_ip(words), "ip {words}");
    }

    /// Wait until a link has its carrier and the kernel acts on it: what is sent before is taken and lost.
    pub(crate) fn wait_up(&self, link: &str) {
        let start = Instant::now();
        let state = || self.inside(|| Command::new("ip").args(["link", "show", link]).output().unwrap().stdout);
        while !String::from_utf8_lossy(&state()).contains("state UP") {
            assert!(start.elapsed() < Duration::from_secs(3), "{link} does not come up");
        }
    }

    pub(crate) fn try_ip(&self, words: &str) -> bool {
        self.inside(|| Command::new("ip").args(words.split_whitespace()).output().unwrap().status.success())
    }

    /// The name `ip` knows it by.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// A namespace to test in, or `None`, said loudly, where this process may make none.
pub(crate) fn namespace() -> Option<Namespace> {
    let fault = match Namespace::new() {
        Ok(namespace) => match namespace.inside(|| File::open("/dev/net/tun")) {
            Ok(_) => return Some(namespace),
            Err(fault) => fault,
        },
        Err(fault) => fault,
    };
    assert!(std::env::var("LANYARD_REQUIRE").as_deref() != Ok("all"), "LANYARD_REQUIRE=all, but {fault}");
    // Past the test harness, which would keep it from whoever runs the tests.
    let _ = writeln!(io::stderr(), "SKIPPED: needs CAP_NET_ADMIN and /dev/net/tun ({fault})");
    None
}

/// Receive until `wanted` says that a batch was the last one; every frame that came. Fails after two seconds.
pub(crate) fn receive_until(port: &mut dyn Port, mut wanted: impl FnMut(&[Seen]) -> bool) -> Vec<Seen> {
    let (mut batch, mut seen, start) = (Batch::with_capacity(64), Vec::new(), Instant::now());
    loop {
        batch.clear();
        port.recv(&mut batch).unwrap();
        seen.extend(batch.iter().map(Seen::of));
        if wanted(&seen) {
            return seen;
        }
        assert!(start.elapsed() < Duration::from_secs(2), "only {} frames came: {seen:?}", seen.len());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Everything that comes until nothing has come for a tenth of a second.
pub(crate) fn receive_what_comes(port: &mut dyn Port) -> Vec<Seen> {
    let (mut count, mut last) = (0, Instant::now());
    receive_until(port, |seen| {
        if seen.len() > count {
            (count, last) = (seen.len(), Instant::now());
        }
        last.elapsed() > Duration::from_millis(100)
    })
}

/// A frame taken out of its batch.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) octets: Vec<u8>,
    pub(crate) offload: OffloadHeader,
}

impl Seen {
    fn of(frame: &Frame) -> Self {
        Self { octets: frame.octets().to_vec(), offload: frame.offload() }
    }

    pub(crate) fn ether_type(&self) -> u16 {
        u16::from_be_bytes([self.octets[12], self.octets[13]])
    }
}

/// A batch with these frames.
pub(crate) fn batch_of(frames: &[(&[u8], OffloadHeader)]) -> Batch {
    let mut batch = Batch::with_capacity(frames.len());
    for (octets, offload) in frames {
        batch.push().unwrap().fill(octets, *offload);
    }
    batch
}

/// An edge-triggered watch, as the engine's: the readiness of a queue, once per change.
pub(crate) struct Watch(Epoll);

impl Watch {
    pub(crate) fn on(port: &dyn Port) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        epoll.add(port.fd().unwrap(), EpollEvent::new(flags, 0)).unwrap();
        Self(epoll)
    }

    /// What became ready within `millis`.
    pub(crate) fn ready(&self, millis: u16) -> Option<EpollFlags> {
        let mut events = [EpollEvent::empty()];
        let count = self.0.wait(&mut events, EpollTimeout::from(millis)).unwrap();
        (count > 0).then(|| events[0].events())
    }
}

/// Forward between two ports until told to stop; the longest frame that passed.
pub(crate) fn forward(ports: &mut [Box<dyn Port>; 2], stop: &AtomicBool) -> usize {
    let (mut batch, mut longest) = (Batch::with_capacity(64), 0);
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        for from in 0..2 {
            batch.clear();
            let received = ports[from].recv(&mut batch).unwrap();
            let picks: Vec<u16> = (0..received as u16).collect();
            ports[1 - from].send(&batch, &picks).unwrap();
            longest = batch.iter().map(Frame::len).fold(longest, usize::max);
            idle &= received == 0;
        }
        if idle {
            thread::sleep(Duration::from_micros(50));
        }
    }
    longest
}

/// Send `octets` octets by TCP from one namespace to the other and compare what arrives with what was sent.
pub(crate) fn stream(from: &Namespace, to: &Namespace, address: &str, octets: usize) {
    let sent: Vec<u8> = (0..octets).map(|index| ((index as u64 * 0x9e37_79b9) >> 13) as u8).collect();
    let listener = to.inside(|| TcpListener::bind((address, 5001)).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| from.inside(|| TcpStream::connect((address, 5001)).unwrap().write_all(&sent).unwrap()));
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut received = Vec::new();
        connection.read_to_end(&mut received).unwrap();
        assert!(received == sent, "{} of {octets} octets, or not the same", received.len());
    });
}

/// A UDP socket inside with a bounded patience.
pub(crate) fn udp(namespace: &Namespace, address: &str) -> UdpSocket {
    let socket = namespace.inside(|| UdpSocket::bind(address).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}
