//! How does a test talk from one namespace to another? By sockets of its own that it opens inside: a socket stays in the
//! namespace in which it was made, whoever uses it.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::Engine;
use crate::harness::Host;

/// Longer than an answer takes on a busy machine.
const SOON: Duration = Duration::from_secs(3);
/// How long to wait for what must not come.
pub(crate) const NEVER: Duration = Duration::from_secs(1);

/// A network namespace.
pub(crate) struct Net(File);

impl Engine {
    /// The host of this world.
    pub(crate) fn net(&self) -> Net {
        Net(File::open(format!("/proc/{}/ns/net", self.first)).unwrap())
    }

    /// A container that runs.
    pub(crate) fn net_of(&self, container: &str) -> Net {
        let pid = self.done(&format!("inspect -f {{{{.State.Pid}}}} {container}"));
        Net(File::open(format!("/proc/{}/root/proc/{pid}/ns/net", self.first)).unwrap())
    }
}

impl From<&Host> for Net {
    fn from(host: &Host) -> Self {
        Self(File::open(format!("/proc/{}/ns/net", host.pid())).unwrap())
    }
}

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Tcp,
    Udp,
}

impl By {
    pub(crate) const BOTH: [Self; 2] = [Self::Tcp, Self::Udp];
}

impl Net {
    /// Do something inside, on a thread of its own.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|fault| std::panic::resume_unwind(fault))
    }

    /// A connection to that address.
    pub(crate) fn connect(&self, to: &str, patience: Duration) -> io::Result<TcpStream> {
        let to: SocketAddr = to.parse().unwrap();
        let stream = self.inside(|| TcpStream::connect_timeout(&to, patience))?;
        stream.set_read_timeout(Some(patience))?;
        Ok(stream)
    }

    pub(crate) fn udp(&self, at: &str) -> UdpSocket {
        let socket = self.inside(|| UdpSocket::bind(at)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket
    }

    pub(crate) fn listen(&self, at: &str) -> TcpListener {
        self.inside(|| TcpListener::bind(at)).unwrap_or_else(|error| panic!("{at}: {error}"))
    }

    /// What the [`Teller`] at that address tells; nothing if there is no answer in time. An answer by UDP counts only if it
    /// comes from that address.
    pub(crate) fn ask(&self, by: By, to: &str) -> String {
        self.ask_within(by, to, SOON)
    }

    /// Is there no answer?
    pub(crate) fn is_denied(&self, by: By, to: &str) -> bool {
        self.ask_within(by, to, NEVER).is_empty()
    }

    fn ask_within(&self, by: By, to: &str, patience: Duration) -> String {
        let mut told = String::new();
        match by {
            By::Tcp => {
                if let Ok(mut stream) = self.connect(to, patience) {
                    let _ = stream.read_to_string(&mut told);
                }
            }
            By::Udp => {
                let any = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
                let socket = self.udp(any);
                if socket.connect(to).is_ok() {
                    told = exchange(&socket, u32::try_from(patience.as_millis()).unwrap().div_ceil(500));
                }
            }
        }
        told
    }
}

/// Ask by a connected UDP socket, up to so many times; nothing if there is no answer.
pub(crate) fn exchange(socket: &UdpSocket, times: u32) -> String {
    let mut octets = [0; 256];
    // Answers to what was asked twice before must not be taken for new ones.
    socket.set_nonblocking(true).unwrap();
    while !matches!(socket.recv(&mut octets), Err(error) if error.kind() == ErrorKind::WouldBlock) {}
    socket.set_nonblocking(false).unwrap();
    for _ in 0..times {
        // An ICMP error of the datagram before is told by either call.
        let _ = socket.send(b"?");
        match socket.recv(&mut octets) {
            Ok(length) => return String::from_utf8_lossy(&octets[..length]).into_owned(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
    String::new()
}

/// Answers at a port of a namespace, by TCP and UDP, with its name and the address of whoever asks.
pub(crate) struct Teller {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Teller {
    pub(crate) fn start(net: &Net, name: &str, at: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (tcp, udp) = (net.listen(at), net.udp(at));
        tcp.set_nonblocking(true).unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let told = |name: &str, from: SocketAddr| format!("{name} {}", from.ip().to_canonical());
        let (ended, own) = (Arc::clone(&stop), name.to_owned());
        let by_tcp = move || {
            while !ended.load(Ordering::Relaxed) {
                match tcp.accept() {
                    Ok((mut stream, from)) => drop(stream.write_all(told(&own, from).as_bytes())),
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        };
        let (ended, own) = (Arc::clone(&stop), name.to_owned());
        let by_udp = move || {
            let mut octets = [0; 64];
            while !ended.load(Ordering::Relaxed) {
                if let Ok((_, from)) = udp.recv_from(&mut octets) {
                    let _ = udp.send_to(told(&own, from).as_bytes(), from); // lost, as datagrams are
                }
            }
        };
        Self { stop, threads: vec![thread::spawn(by_tcp), thread::spawn(by_udp)] }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // it has no way to fail
        }
    }
}
