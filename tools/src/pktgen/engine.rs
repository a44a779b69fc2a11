//! How fast is the switch without a kernel? An engine in this process, one network, memory ports: `--tx engine:1 --rx engine:2`.
//! The same journey that a container's frame makes, but for the system calls.
//!
//! Not done: the gateway, more than one worker (a memory port's frames of one pair of addresses stay with one).

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use forwarding::MacTableConfig;
use frame::{Batch, NetworkId, PortId};
use ports::memory::{self, MemoryPeer};
use ports::{Port, Sent, Stop};
use switch::engine::{Engine, NetworkTables, NetworkView, PortView, Snapshot};

/// Frames that each ring of a memory port holds.
const RING: usize = 1024;
const LAN: NetworkId = NetworkId(0);
/// The frames' way in and out is as wide as that of a veth.
pub(super) const MTU: u32 = 1500;
/// As many addresses as the engine learns here.
const MAC_ENTRIES: usize = 1 << 20;

/// The engine and the far ends of its ports.
pub(super) struct InProcess {
    /// Kept alive while frames pass; its end is its threads' end.
    _engine: Engine,
    peers: Vec<Arc<MemoryPeer>>,
}

impl InProcess {
    /// Start an engine with so many ports.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(super) fn start(ports: u8) -> io::Result<Self> {
        let (engine, _) = Engine::start(1)?;
        let config = MacTableConfig { capacity: MAC_ENTRIES, ..MacTableConfig::default() };
        let tables = Arc::new(NetworkTables::new(config, 1).map_err(io::Error::other)?);
        let mut peers = Vec::new();
        for port in 0..u16::from(ports) {
            let (queues, peer) = memory::pair(&format!("engine:{}", port + 1), 1, RING, false)?;
            engine.attach(PortId(port), queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Port>).collect());
            peers.push(Arc::new(peer));
        }
        engine.publish(snapshot(tables, u16::from(ports)));
        Ok(Self { _engine: engine, peers })
    }

    /// What plays the host at a port, from 1.
    pub(super) fn end(&self, port: u8) -> Option<HostEnd> {
        let peer = self.peers.get(usize::from(port).checked_sub(1)?)?;
        Some(HostEnd { name: format!("engine:{port}"), peer: Arc::clone(peer) })
    }
}

/// The host's end of a memory port.
pub(super) struct HostEnd {
    name: String,
    peer: Arc<MemoryPeer>,
}

impl Port for HostEnd {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes_offload(&self) -> bool {
        false
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let room = batch.spare().len();
        Ok(self.peer.recv_burst(room, |frame| {
            if let Some(place) = batch.push() {
                place.copy_from(frame);
            }
        }))
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        let taken = self.peer.send_burst(0, picks.len(), |ahead, frame| {
            frame.copy_from(&batch[usize::from(picks[ahead])]);
        });
        Ok(Sent { taken, stopped: (taken < picks.len()).then_some(Stop::Full) })
    }

    /// There is none: whoever waits looks again after a while.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// One network, of which every port is a member, and no gateway.
fn snapshot(tables: Arc<NetworkTables>, ports: u16) -> Snapshot {
    let view = NetworkView {
        id: LAN,
        tables,
        members: (0..ports).map(PortId).collect(),
        mtu: MTU as usize,
        forward_reserved: false,
        suppress_arp: false,
        subnet: None,
        gateway: None,
        host_gateway: None,
        icc: true,
        peers: Vec::new(),
        hub: false,
    };
    let mut snapshot = Snapshot::default();
    snapshot.networks.push(Some(Arc::new(view)));
    snapshot.ports = (0..ports).map(|_| Some(PortView { network: LAN, guard: None })).collect();
    snapshot
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::{Duration, Instant};

    use frame::OffloadHeader;

    use super::*;

    #[test]
    fn a_frame_enters_at_one_port_and_leaves_by_the_other() {
        let engine = InProcess::start(2).unwrap();
        assert!(engine.end(0).is_none() && engine.end(3).is_none());
        let (mut one, mut two) = (engine.end(1).unwrap(), engine.end(2).unwrap());
        let mut octets = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 0x88, 0xb5]].concat();
        octets.resize(60, 7);
        let mut batch = Batch::with_capacity(2);
        batch.push().unwrap().fill(&octets, OffloadHeader::NONE);
        assert_eq!(one.send(&batch, &[0]).unwrap().taken, 1);
        batch.clear();
        let start = Instant::now();
        while two.recv(&mut batch).unwrap() == 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "it does not come");
            std::thread::yield_now();
        }
        assert_eq!(batch[0].octets(), octets);
    }
}
