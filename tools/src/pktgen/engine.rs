//! How fast is the switch without a kernel? An engine in this process, one network, memory ports: `--tx engine:1 --rx engine:2`.
//! The same journey that a container's frame makes, but for the system calls.
//!
//! Not done: the gateway, more than one worker (a memory port's frames of one pair of addresses stay with one).

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use forwarding::MacTableConfig;
use frame::{Batch, DropReason, PortId};
use ports::memory::{self, MemoryPeer};
use ports::{Port, Sent, Stop};
use switch::engine::{Engine, NetworkTables, Snapshot};

/// Frames that each ring of a memory port holds.
const RING: usize = 1024;
/// The frames' way in and out is as wide as that of a veth.
pub(super) const MTU: u32 = 1500;
/// As many addresses as the engine learns here.
const MAC_ENTRIES: usize = 1 << 20;

/// The engine and the far ends of its ports.
pub(super) struct InProcess {
    /// Kept alive while frames pass; its end is its threads' end.
    _engine: Engine,
    tables: Arc<NetworkTables>,
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
        engine.publish(Snapshot::of_one_network(Arc::clone(&tables), u16::from(ports), MTU as usize));
        Ok(Self { _engine: engine, tables, peers })
    }

    /// Frames that found a receiver's ring full so far.
    pub(super) fn no_room(&self) -> u64 {
        self.tables.drops.drops(DropReason::EgressFull)
    }

    /// What plays the host at a port, from 1.
    /// `deaf`: nobody listens there, and what comes is thrown away whenever something is sent, so that it is not counted as
    /// frames that somebody was too slow for.
    pub(super) fn end(&self, port: u8, deaf: bool) -> Option<HostEnd> {
        let peer = self.peers.get(usize::from(port).checked_sub(1)?)?;
        Some(HostEnd { name: format!("engine:{port}"), peer: Arc::clone(peer), deaf })
    }
}

/// The host's end of a memory port.
pub(super) struct HostEnd {
    name: String,
    peer: Arc<MemoryPeer>,
    deaf: bool,
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
        if self.deaf {
            self.peer.recv_burst(RING, |_| ());
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::{Duration, Instant};

    use frame::OffloadHeader;

    use super::*;

    #[test]
    fn a_frame_enters_at_one_port_and_leaves_by_the_other() {
        let engine = InProcess::start(2).unwrap();
        assert!(engine.end(0, false).is_none() && engine.end(3, false).is_none());
        let (mut one, mut two) = (engine.end(1, false).unwrap(), engine.end(2, false).unwrap());
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
