//! What path does a load take that has nothing of Lanyard in it? Two hosts joined by a box: by the kernel's bridge in it, with
//! rules of its packet filter, or by a small forwarder that does what it is told to every n-th frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pnet::datalink::{self, Channel, Config, DataLinkReceiver, DataLinkSender};

use super::host::Host;

/// Two hosts with an `eth0` each, and the box between them, which has the other ends: `p1` and `p2`.
pub(crate) struct Path {
    pub(crate) hosts: [Host; 2],
    pub(crate) joint: Host,
}

impl Path {
    /// Nothing joins the two yet.
    pub(crate) fn new() -> Self {
        let (hosts, joint) = (["h1", "h2"].map(|name| Host::new(name).quiet()), Host::new("box").quiet());
        for (number, host) in (1..).zip(&hosts) {
            let peer = format!("type veth peer name eth0 netns {}", host.pid());
            joint.run(&format!("ip link add p{number} {peer}")).ok();
            joint.run(&format!("ip link set p{number} up")).ok();
            host.run("ip link set eth0 up").ok();
        }
        Self { hosts, joint }
    }

    /// Joined by the kernel's bridge; `rules` see what comes from the first host (nft(8), a chain at the ingress hook).
    pub(crate) fn bridged(rules: &[&str]) -> Self {
        let path = Self::new();
        path.joint.run("ip link add br0 type bridge").ok();
        for port in ["br0 up", "p1 master br0", "p2 master br0"] {
            path.joint.run(&format!("ip link set {port}")).ok();
        }
        path.joint.run("nft add table netdev t").ok();
        path.joint.run("nft add chain netdev t c { type filter hook ingress device p1 priority 0 ; }").ok();
        for rule in rules {
            path.joint.run(&format!("nft add rule netdev t c {rule}")).ok();
        }
        path
    }

    /// Where a load enters and leaves.
    pub(crate) fn places(&self) -> String {
        let [h1, h2] = &self.hosts;
        format!("--tx pid:{}/eth0 --rx pid:{}/eth0", h1.pid(), h2.pid())
    }
}

/// What is done to every n-th frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    /// It is forgotten.
    Drop(u64),
    /// It is sent twice.
    Double(u64),
    /// It is sent after the one that follows.
    Swap(u64),
    /// A bit in its middle is turned over.
    Flip(u64),
    /// All are held for so long.
    Hold(Duration),
}

/// Carries frames from `p1` to `p2` of a box until it is dropped.
pub(crate) struct Forwarder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    pub(crate) fn start(path: &Path, deed: Deed) -> Self {
        let open = |name: &str| {
            let interface = datalink::interfaces().into_iter().find(|interface| interface.name == name).unwrap();
            let config = Config { read_timeout: Some(Duration::from_millis(1)), ..Config::default() };
            let Channel::Ethernet(sender, receiver) = datalink::channel(&interface, config).unwrap() else {
                panic!("not Ethernet");
            };
            (sender, receiver)
        };
        let ((_, receiver), (sender, _)) = path.joint.inside(|| (open("p1"), open("p2")));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || carry(receiver, sender, deed, &stopped));
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn carry(mut from: Box<dyn DataLinkReceiver>, mut to: Box<dyn DataLinkSender>, deed: Deed, stop: &AtomicBool) {
    let (mut count, mut held) = (0u64, std::collections::VecDeque::<(Instant, Vec<u8>)>::new());
    let mut kept: Option<Vec<u8>> = None;
    while !stop.load(Ordering::Relaxed) {
        while held.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, octets) = held.pop_front().unwrap();
            to.send_to(&octets, None).unwrap().unwrap();
        }
        // A timeout is an error to this library.
        let Ok(octets) = from.next().map(<[u8]>::to_vec) else { continue };
        count += 1;
        let is = |every: u64| count.is_multiple_of(every);
        let mut send = |octets: &[u8]| to.send_to(octets, None).unwrap().unwrap();
        match deed {
            Deed::Drop(every) if is(every) => {}
            Deed::Double(every) if is(every) => (0..2).for_each(|_| send(&octets)),
            Deed::Swap(every) if is(every) => kept = Some(octets),
            Deed::Flip(every) if is(every) => {
                let mut octets = octets;
                octets[30] ^= 1;
                send(&octets);
            }
            Deed::Hold(time) => held.push_back((Instant::now() + time, octets)),
            Deed::Drop(_) | Deed::Double(_) | Deed::Swap(_) | Deed::Flip(_) => {
                send(&octets);
                kept.take().iter().for_each(|octets| send(octets));
            }
        }
    }
}
