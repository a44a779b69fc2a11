//! Who serves a published port where address translation cannot? [`Proxy`]: what reaches the reserved socket itself is
//! carried to the container.
//!
//! That is IPv6 towards a container that has IPv4 only, IPv4 towards one that has IPv6 only, and `[::1]`, which the kernel
//! does not let leave lo. Everything else is translated before it reaches the socket. A client carried over is seen under
//! the host's address. TCP with half-close; UDP by a table of sessions, each idle for 90 s at most.
//! Not done: SCTP; and a UDP answer leaves from the address that the kernel prefers, which on a host with several
//! addresses need not be the one that was asked (`IPV6_PKTINFO` would tell).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::Socket;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::Protocol;

/// A UDP session ends when nothing passed for this long, as in Docker's own proxy.
const UDP_IDLE: Duration = Duration::from_secs(90);
/// Most UDP sessions of one port; more clients are not heard until some end.
const UDP_SESSIONS: usize = 4096;
/// A container that does not answer a connection in this time refuses it.
const CONNECT: Duration = Duration::from_secs(10);
const BACKLOG: i32 = 1024;
/// How long a port may take to be free when its reservation is dropped.
const END: Duration = Duration::from_secs(2);

/// A thread that carries. It lives in the network namespace of the thread that started it.
#[derive(Debug)]
pub struct Proxy {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    udp_idle: Duration,
}

impl Proxy {
    /// # Errors
    /// No thread, or no epoll.
    pub fn start() -> io::Result<Self> {
        Self::with_idle(UDP_IDLE)
    }

    fn with_idle(udp_idle: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            // Told to stop, or whoever could is gone.
            let _ = runtime.block_on(stopped);
        };
        let thread = thread::Builder::new().name("proxy".to_owned()).spawn(work)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread), udp_idle })
    }

    /// Carry what arrives at `socket`, which is bound, to `port` of the container.
    pub(crate) fn serve(
        &self,
        socket: Socket,
        protocol: Protocol,
        container: &[IpAddr],
        port: u16,
    ) -> io::Result<Serving> {
        let targets = Targets(Arc::new(Mutex::new(container.iter().map(|ip| SocketAddr::new(*ip, port)).collect())));
        let (alive, ended) = channel();
        let guard = self.handle.enter();
        socket.set_nonblocking(true)?;
        let task = match protocol {
            Protocol::Tcp => {
                // Its connections inherit it: they may outlive the listener without keeping the port from the next one.
                socket.set_reuse_address(true)?;
                socket.listen(BACKLOG)?;
                let listener = TcpListener::from_std(socket.into())?;
                self.handle.spawn(carry_tcp(alive, listener, targets.clone()))
            }
            Protocol::Udp => {
                let socket = UdpSocket::from_std(socket.into())?;
                self.handle.spawn(carry_udp(alive, socket, targets.clone(), self.udp_idle))
            }
            Protocol::Sctp => return Err(io::ErrorKind::Unsupported.into()),
        };
        drop(guard);
        Ok(Serving { task: task.abort_handle(), targets, ended })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One port that is served, until dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    task: AbortHandle,
    targets: Targets,
    ended: Receiver<()>,
}

impl Serving {
    /// From now on, new connections and sessions go to this container.
    pub(crate) fn redirect(&self, container: &[IpAddr], port: u16) {
        *self.targets.lock() = container.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
        // Its thread drops the socket; whoever binds the port next must not come before that. The channel only closes.
        let _ = self.ended.recv_timeout(END);
    }
}

/// The container's addresses.
#[derive(Clone, Debug)]
struct Targets(Arc<Mutex<Vec<SocketAddr>>>);

impl Targets {
    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one of the client's family, else any.
    fn pick(&self, client: SocketAddr) -> Option<SocketAddr> {
        let v4 = client.ip().to_canonical().is_ipv4();
        let targets = self.lock();
        targets.iter().find(|target| target.is_ipv4() == v4).or_else(|| targets.first()).copied()
    }
}

/// `_alive` comes first and so is dropped last, after the listener.
async fn carry_tcp(_alive: Sender<()>, listener: TcpListener, targets: Targets) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, from)) => {
                let target = targets.pick(from);
                connections.spawn(carry_connection(client, target));
            }
            Err(error) => {
                // Out of descriptors, or the client went away meanwhile.
                tracing::debug!("a connection was not taken: {error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn carry_connection(mut client: TcpStream, target: Option<SocketAddr>) {
    let Some(target) = target else { return };
    match timeout(CONNECT, TcpStream::connect(target)).await {
        Ok(Ok(mut container)) => {
            // How it ends is the two ends' affair.
            let _ = copy_bidirectional(&mut client, &mut container).await;
        }
        Ok(Err(error)) => tracing::debug!("{target} does not answer: {error}"),
        Err(_) => tracing::debug!("{target} does not answer"),
    }
}

/// The sessions of one UDP port, by client.
type Sessions = Arc<Mutex<HashMap<SocketAddr, Session>>>;

struct Session {
    target: SocketAddr,
    container: Arc<UdpSocket>,
    last: Arc<Mutex<Instant>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `_alive` as above. Sessions hold the socket weakly: it closes with this.
async fn carry_udp(_alive: Sender<()>, socket: UdpSocket, targets: Targets, idle: Duration) {
    let socket = Arc::new(socket);
    let sessions = Sessions::default();
    let mut answers = JoinSet::new();
    let mut octets = vec![0; 1 << 16];
    loop {
        // An ICMP error of an earlier answer is no matter here.
        let Ok((length, client)) = socket.recv_from(&mut octets).await else { continue };
        while answers.try_join_next().is_some() {}
        let Some(target) = targets.pick(client) else { continue };
        let container = if let Some(container) = known_session(&sessions, client, target) {
            container
        } else {
            let Some(session) = open_session(&sessions, client, target).await else { continue };
            let (container, last) = session;
            let back = (Arc::downgrade(&socket), client);
            answers.spawn(answer(back, Arc::clone(&container), last, idle, Arc::clone(&sessions)));
            container
        };
        // Refused or full: a datagram is lost, as on any network.
        let _ = container.send(octets.get(..length).unwrap_or_default()).await;
    }
}

/// The client's session, if it has one that leads to `target`.
fn known_session(sessions: &Sessions, client: SocketAddr, target: SocketAddr) -> Option<Arc<UdpSocket>> {
    let sessions = lock(sessions);
    let session = sessions.get(&client).filter(|session| session.target == target)?;
    *lock(&session.last) = Instant::now();
    Some(Arc::clone(&session.container))
}

async fn open_session(
    sessions: &Sessions,
    client: SocketAddr,
    target: SocketAddr,
) -> Option<(Arc<UdpSocket>, Arc<Mutex<Instant>>)> {
    if lock(sessions).len() >= UDP_SESSIONS {
        return None;
    }
    let any: IpAddr = if target.is_ipv4() { [0; 4].into() } else { [0_u8; 16].into() };
    let container = UdpSocket::bind((any, 0)).await.ok()?;
    container.connect(target).await.ok()?;
    let (container, last) = (Arc::new(container), Arc::new(Mutex::new(Instant::now())));
    let session = Session { target, container: Arc::clone(&container), last: Arc::clone(&last) };
    lock(sessions).insert(client, session);
    Some((container, last))
}

/// Carry the container's answers back until nothing passed for `idle`.
async fn answer(
    (socket, client): (Weak<UdpSocket>, SocketAddr),
    container: Arc<UdpSocket>,
    last: Arc<Mutex<Instant>>,
    idle: Duration,
    sessions: Sessions,
) {
    loop {
        let left = idle.saturating_sub(lock(&last).elapsed());
        if left.is_zero() {
            break;
        }
        if timeout(left, container.readable()).await.is_err() {
            continue;
        }
        // Only while there is something to hold: sessions are many.
        let mut octets = Vec::with_capacity(1 << 16);
        // An error: the container's port is closed (ICMP); `last` decides.
        if container.try_recv_buf(&mut octets).is_ok() {
            *lock(&last) = Instant::now();
            let Some(socket) = socket.upgrade() else { return };
            // Full: a datagram is lost.
            let _ = socket.try_send_to(&octets, client);
        }
    }
    let mut sessions = lock(&sessions);
    // A newer one may lead elsewhere.
    if sessions.get(&client).is_some_and(|session| Arc::ptr_eq(&session.container, &container)) {
        sessions.remove(&client);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net;

    use super::*;
    use crate::{Request, bind};

    const LOCAL: [IpAddr; 1] = [IpAddr::V4(net::Ipv4Addr::LOCALHOST)];

    fn request(protocol: Protocol, container_port: u16) -> Request {
        let host_ip = Some(IpAddr::V6(net::Ipv6Addr::LOCALHOST));
        Request { protocol, container_port, host_ip, host_port: 0, host_port_end: 0 }
    }

    #[test]
    fn tcp_is_carried_and_half_closed() {
        let proxy = Proxy::start().unwrap();
        let container = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = request(Protocol::Tcp, container.local_addr().unwrap().port());
        let mut held = bind(&[wanted]).unwrap().remove(0);
        assert!(held.serve(&proxy, &LOCAL).unwrap());
        let mut client = net::TcpStream::connect(("::1", held.host_port)).unwrap();
        let (mut server, _) = container.accept().unwrap();
        client.write_all(b"question").unwrap();
        client.shutdown(net::Shutdown::Write).unwrap();
        let mut said = String::new();
        server.read_to_string(&mut said).unwrap();
        assert_eq!(said, "question");
        server.write_all(b"answer").unwrap();
        drop(server);
        said.clear();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, "answer");
        // The port is free as soon as it is given back, whatever connections are left behind.
        let port = held.host_port;
        drop(held);
        bind(&[Request { host_port: port, host_port_end: port, ..wanted }]).unwrap();
    }

    #[test]
    fn udp_is_carried_and_sessions_end() {
        let proxy = Proxy::with_idle(Duration::from_millis(300)).unwrap();
        let container = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut held = bind(&[request(Protocol::Udp, container.local_addr().unwrap().port())]).unwrap().remove(0);
        assert!(held.serve(&proxy, &LOCAL).unwrap());
        let client = net::UdpSocket::bind("[::1]:0").unwrap();
        client.connect(("::1", held.host_port)).unwrap();
        let mut octets = [0; 9];
        let mut exchange = || {
            client.send(b"question").unwrap();
            let (_, session) = container.recv_from(&mut octets).unwrap();
            container.send_to(b"answer", session).unwrap();
            assert_eq!(client.recv(&mut octets).unwrap(), 6);
            session
        };
        let first = exchange();
        assert_eq!(exchange(), first, "a session is kept");
        thread::sleep(Duration::from_millis(700));
        assert_ne!(exchange(), first, "it ends when idle");
    }

    #[test]
    fn what_needs_no_proxy_has_none() {
        let proxy = Proxy::start().unwrap();
        let v4 = Request { host_ip: Some(LOCAL[0]), ..request(Protocol::Tcp, 80) };
        assert!(!bind(&[v4]).unwrap()[0].serve(&proxy, &LOCAL).unwrap());
        let any = Request { host_ip: None, ..request(Protocol::Tcp, 80) };
        assert!(bind(&[any]).unwrap()[0].serve(&proxy, &LOCAL).unwrap());
    }
}
