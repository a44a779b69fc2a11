//! Where do a generator's frames go? From one end of a link, in a namespace that nobody but this process holds, to the other:
//! a veth in a second namespace whose stack drops them, or a TAP that a thread reads. Who counts is the interface.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arena::sockets;
use frame::Batch;
use frame::batch::BURST;
use load::stream::Stream;
use ports::link::{Link, Links, VethPair};
use ports::netns::Namespace;
use ports::{Port, ethtool, live, tap, veth};

/// The longest frame that is sent, octets without FCS.
const LONGEST: u32 = 1514;
/// What the links are called.
const NAMES: [&str; 3] = ["polled", "plain", "tap"];
/// A link comes up within this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// A veth that polls (NAPI), as generic receive offload makes it.
    Polled,
    /// A veth as it is made.
    Plain,
    /// A TAP, and a thread that reads it.
    Tap,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Polled, Self::Plain, Self::Tap];

    const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Polled => "veth, polled",
            Self::Plain => "veth",
            Self::Tap => "TAP",
        }
    }
}

/// By what frames leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backend {
    Socket,
    Xdp,
}

impl Backend {
    pub(crate) const ALL: [Self; 2] = [Self::Socket, Self::Xdp];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Socket => "sendmmsg",
            Self::Xdp => "XDP live frames",
        }
    }

    /// Does it work there?
    pub(crate) fn suits(self, way: Way) -> bool {
        self == Self::Socket || way != Way::Plain
    }
}

/// The links, and who is at their other ends.
pub(crate) struct Rig {
    near: Namespace,
    _far: Namespace,
    links: Vec<Link>,
    reader: Option<JoinHandle<io::Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl Rig {
    pub(crate) fn new() -> io::Result<Self> {
        let (near, far) = (Namespace::create()?, Namespace::create()?);
        for namespace in [&near, &far] {
            // A new interface without IPv6 says nothing of its own.
            namespace.enter(|| std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"))??;
        }
        let (here, there) = (Links::in_namespace(&near)?, Links::in_namespace(&far)?);
        for name in [Way::Polled.name(), Way::Plain.name()] {
            let pair = VethPair { name, peer_name: name, peer_namespace: Some(&far), ..VethPair::default() };
            here.create_veth(&pair)?;
        }
        far.enter(|| ethtool::set_receive_offload(Way::Polled.name(), true))??;
        let tap = near.enter(|| tap::create(Way::Tap.name(), 1))??;
        let find = |links: &Links, name| links.by_name(name)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        for name in [Way::Polled.name(), Way::Plain.name()] {
            there.set_up(find(&there, name)?.index)?;
        }
        for name in NAMES {
            here.set_up(find(&here, name)?.index)?;
        }
        let start = Instant::now();
        let links = loop {
            let links = NAMES.into_iter().map(|name| find(&here, name)).collect::<io::Result<Vec<_>>>()?;
            if links.iter().all(|link| link.running) || start.elapsed() > PATIENCE {
                break links;
            }
            thread::sleep(Duration::from_millis(10));
        };
        let stop = Arc::<AtomicBool>::default();
        let (told, queues) = (Arc::clone(&stop), tap);
        let reader = Some(thread::spawn(move || read(queues, &told)));
        Ok(Self { near, _far: far, links, reader, stop })
    }

    /// What sends to one of the links.
    pub(crate) fn open(&self, way: Way, backend: Backend) -> io::Result<Box<dyn Port>> {
        let Link { name, index, .. } = &self.links[way as usize];
        let opened = self.near.enter(|| match backend {
            Backend::Socket => {
                let mut queues = veth::open_index(name, *index, 1, false)?;
                let queue = queues.pop().ok_or(io::ErrorKind::NotFound)?;
                Ok(Box::new(queue) as Box<dyn Port>)
            }
            Backend::Xdp => {
                let queue = live::open_index(name, *index, LONGEST).map_err(io::Error::other)?;
                Ok(Box::new(queue) as Box<dyn Port>)
            }
        })?;
        opened.map_err(|error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", backend.words())))
    }

    /// Frames that have left by a link.
    pub(crate) fn left(&self, way: Way) -> io::Result<(u64, u64)> {
        let text = self.near.enter(|| std::fs::read_to_string("/proc/thread-self/net/dev"))??;
        let counted = sockets::counted(&text, way.name()).ok_or(io::ErrorKind::NotFound)?;
        Ok((counted.sent, counted.offered - counted.sent))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Read what comes and forget it.
fn read(mut queues: Vec<tap::TapQueue>, stop: &AtomicBool) -> io::Result<()> {
    let (mut batch, mut idle) = (Batch::with_capacity(BURST), 0_u32);
    while !stop.load(Ordering::Relaxed) {
        batch.clear();
        let mut count = 0;
        for queue in &mut queues {
            count += queue.recv(&mut batch)?;
        }
        idle = if count == 0 { idle + 1 } else { 0 };
        if idle > 100 {
            thread::sleep(Duration::from_micros(100));
        }
    }
    Ok(())
}

/// Send a stream as fast as it goes, for about as long, as the generator does; how many frames were taken.
pub(crate) fn send(port: &mut dyn Port, stream: &mut Stream, time: Duration) -> io::Result<u64> {
    let (mut batch, picks) = (Batch::with_capacity(BURST), (0..BURST as u16).collect::<Vec<_>>());
    let (start, mut taken) = (Instant::now(), 0);
    loop {
        let due = start.elapsed();
        if due >= time {
            return Ok(taken);
        }
        batch.clear();
        while let Some(frame) = batch.push() {
            stream.write(frame, 1, due.as_nanos() as u64);
        }
        let mut left = &picks[..];
        while !left.is_empty() && start.elapsed() < time {
            let sent = port.send(&batch, left)?;
            taken += sent.taken as u64;
            left = left.get(sent.taken..).unwrap_or_default();
            if sent.stopped.is_some() {
                thread::sleep(Duration::from_micros(20));
            }
        }
    }
}
