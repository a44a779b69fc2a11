//! How do frames enter and leave without a kernel? By rings between the engine and a test or benchmark that plays the
//! container. No system call, no allocation and no lock a frame; a buffer once made goes round for ever.
//!
//! Like a TAP, a memory port with several queues sends all frames of one pair of addresses to the same queue, so that
//! their order holds; what the queues send comes out of one ring.
//!
//! Waking without losing a wake-up: a queue that finds its ring empty says that it sleeps and then looks once more; the
//! peer puts its frame in and then asks whether the queue sleeps. Whichever comes second sees what the first did, so
//! either the queue finds the frame or the peer rings the eventfd. While the queue is awake nothing is rung.
//!
//! Not done: reading the eventfd. Every ring is a new edge to epoll; a level-triggered poll would see it for ever.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crossbeam::queue::ArrayQueue;
use frame::{Batch, Frame, OffloadHeader};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::losses::down;
use crate::{Port, Sent, Stop};

/// Is the peer there? What [`Port::recv`] and [`Port::send`] say of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Link {
    /// Frames pass.
    Up,
    /// As an interface that is administratively down: `NetworkDown` from the next send on.
    Down,
    /// As a deleted interface: `BrokenPipe` once the queued frames are read.
    Gone,
}

/// Frames on their way to one queue.
struct Inbound {
    frames: ArrayQueue<Frame>,
    asleep: AtomicBool,
    bell: EventFd,
}

struct Shared {
    name: String,
    offload: bool,
    capacity: usize,
    link: AtomicU8,
    inbound: Box<[Inbound]>,
    outbound: ArrayQueue<Frame>,
    /// Buffers that hold no frame now.
    spare: ArrayQueue<Frame>,
}

/// The engine's end of a memory port: one queue.
pub struct MemoryQueue {
    shared: Arc<Shared>,
    index: usize,
}

/// The other end, in the container's place. Dropping it is the port's end.
pub struct MemoryPeer {
    shared: Arc<Shared>,
}

/// Make a port called `name` with `queues` queues and rings of `capacity` frames. `offload`: may unfinished frames be
/// sent to it?
///
/// # Errors
/// `InvalidInput` where `queues` or `capacity` is zero; the error of eventfd(2).
pub fn pair(name: &str, queues: usize, capacity: usize, offload: bool) -> io::Result<(Vec<MemoryQueue>, MemoryPeer)> {
    if queues == 0 || capacity == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a memory port needs a queue and room for a frame"));
    }
    let inbound = || {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Inbound { frames: ArrayQueue::new(capacity), asleep: AtomicBool::new(true), bell })
    };
    let shared = Arc::new(Shared {
        name: name.to_owned(),
        offload,
        capacity,
        link: AtomicU8::new(Link::Up as u8),
        inbound: (0..queues).map(|_| inbound()).collect::<io::Result<_>>()?,
        outbound: ArrayQueue::new(capacity),
        spare: ArrayQueue::new(capacity * (queues + 1)),
    });
    let queue = |index| MemoryQueue { shared: Arc::clone(&shared), index };
    Ok(((0..queues).map(queue).collect(), MemoryPeer { shared }))
}

impl Inbound {
    /// Put a frame in and wake the queue if it sleeps; the frame comes back when the ring is full.
    fn push(&self, frame: Frame) -> Result<(), Frame> {
        self.frames.push(frame)?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        // Pairs with the fence in `nothing_left`: one of the two sides sees the other's write.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            // Only a counter at its very end would refuse, and then a wake-up is under way.
            let _ = self.bell.write(1);
        }
    }

    /// The queue saw an empty ring: is it still empty now that the peer knows that it must ring?
    fn nothing_left(&self) -> bool {
        self.asleep.store(true, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.frames.is_empty() {
            return true;
        }
        self.asleep.store(false, Ordering::Relaxed);
        false
    }
}

impl Shared {
    fn link(&self) -> Link {
        match self.link.load(Ordering::Acquire) {
            0 => Link::Up,
            1 => Link::Down,
            _ => Link::Gone,
        }
    }

    fn set_link(&self, link: Link) {
        self.link.store(link as u8, Ordering::Release);
        self.inbound.iter().for_each(Inbound::wake);
    }

    fn spare(&self) -> Frame {
        self.spare.pop().unwrap_or_else(Frame::empty)
    }

    fn recycle(&self, frame: Frame) {
        // More buffers than the rings hold come only from outside; those are freed.
        drop(self.spare.push(frame));
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the peer of the memory port is gone")
}

impl Port for MemoryQueue {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn takes_offload(&self) -> bool {
        self.shared.offload
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let inbound = &self.shared.inbound[self.index];
        let before = batch.len();
        while let Some(slot) = batch.spare().first_mut() {
            if let Some(frame) = inbound.frames.pop() {
                self.shared.recycle(std::mem::replace(slot, frame));
                batch.commit(1);
            } else if self.shared.link() == Link::Gone && inbound.frames.is_empty() {
                // Asked in this order: what was sent before the end is read before it.
                return Err(gone());
            } else if inbound.nothing_left() {
                break;
            }
        }
        Ok(batch.len() - before)
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        match self.shared.link() {
            Link::Up => {}
            Link::Down => return Err(down()),
            Link::Gone => return Err(gone()),
        }
        for (taken, &pick) in picks.iter().enumerate() {
            let full = Sent { taken, stopped: Some(Stop::Full) };
            // Asked first, so that a full ring costs no copy.
            if self.shared.outbound.is_full() {
                return Ok(full);
            }
            let (frame, mut copy) = (&batch[pick as usize], self.shared.spare());
            copy.fill(frame.octets(), frame.offload());
            if let Err(copy) = self.shared.outbound.push(copy) {
                self.shared.recycle(copy);
                return Ok(full);
            }
        }
        Ok(Sent { taken: picks.len(), stopped: None })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.shared.inbound[self.index].bell.as_fd())
    }
}

impl MemoryPeer {
    /// Send a frame to the engine; `false` when the ring is full or the link is not up.
    pub fn send(&self, octets: &[u8], offload: OffloadHeader) -> bool {
        let mut frame = self.shared.spare();
        frame.fill(octets, offload);
        self.send_frame(frame).map_err(|frame| self.recycle(frame)).is_ok()
    }

    /// The next frame that the engine sent, copied out.
    pub fn recv(&self) -> Option<(Vec<u8>, OffloadHeader)> {
        let frame = self.recv_frame()?;
        let copy = (frame.octets().to_vec(), frame.offload());
        self.recycle(frame);
        Some(copy)
    }

    /// Send a frame in its own buffer, without a copy.
    ///
    /// # Errors
    /// The frame comes back when the ring is full or the link is not up.
    // The whole frame is the error because the caller keeps its buffer; it is five words.
    pub fn send_frame(&self, frame: Frame) -> Result<(), Frame> {
        if self.shared.link() != Link::Up {
            return Err(frame);
        }
        self.shared.inbound[self.queue_of(&frame)].push(frame)
    }

    /// The next frame that the engine sent, in its own buffer; give it back by [`MemoryPeer::recycle`] or
    /// [`MemoryPeer::send_frame`].
    pub fn recv_frame(&self) -> Option<Frame> {
        self.shared.outbound.pop()
    }

    /// A buffer to fill and send: one that came back, else a new one.
    pub fn spare_frame(&self) -> Frame {
        self.shared.spare()
    }

    /// Give a buffer back.
    pub fn recycle(&self, frame: Frame) {
        self.shared.recycle(frame);
    }

    /// How many frames each ring holds.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Take the link down, up again, or away. Queues that sleep are woken.
    pub fn set_link(&self, link: Link) {
        self.shared.set_link(link);
    }

    /// The queue for this frame's addresses, by an exclusive-or of their octets: the same for both directions.
    fn queue_of(&self, frame: &Frame) -> usize {
        let addresses = frame.octets().iter().take(12);
        addresses.fold(0, |hash, &octet| hash ^ usize::from(octet)) % self.shared.inbound.len()
    }
}

impl Drop for MemoryPeer {
    fn drop(&mut self) {
        self.shared.set_link(Link::Gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

    fn octets(last: u8) -> Vec<u8> {
        let mut octets = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, last];
        octets.extend([0x88, 0xb5, 1, 2, 3]);
        octets
    }

    fn one(capacity: usize) -> (MemoryQueue, MemoryPeer) {
        let (mut queues, peer) = pair("m0", 1, capacity, true).unwrap();
        (queues.remove(0), peer)
    }

    #[test]
    fn frames_pass_both_ways_with_their_headers() {
        let (mut queue, peer) = one(4);
        let offload =
            OffloadHeader { needs_checksum: true, checksum_start: 14, checksum_offset: 2, ..OffloadHeader::NONE };
        assert!(peer.send(&octets(9), offload));
        let mut batch = Batch::with_capacity(4);
        assert_eq!(queue.recv(&mut batch).unwrap(), 1);
        assert_eq!((batch[0].octets(), batch[0].offload()), (&octets(9)[..], offload));
        assert_eq!(queue.send(&batch, &[0, 0]).unwrap().taken, 2);
        assert_eq!(peer.recv(), Some((octets(9), offload)));
        assert_eq!(peer.recv(), Some((octets(9), offload)));
        assert_eq!(peer.recv(), None);
    }

    #[test]
    fn a_full_ring_takes_the_first_and_no_more() {
        let (mut queue, peer) = one(3);
        assert_eq!((0..5).filter(|&i| peer.send(&octets(i), OffloadHeader::NONE)).count(), 3);
        let mut batch = Batch::with_capacity(2);
        assert_eq!(queue.recv(&mut batch).unwrap(), 2);
        assert_eq!(queue.recv(&mut batch).unwrap(), 0, "a full batch takes none");
        assert_eq!(queue.send(&batch, &[0, 1, 0, 1]).unwrap().taken, 3);
        batch.clear();
        assert_eq!(queue.recv(&mut batch).unwrap(), 1);
        assert_eq!(batch[0].octets()[11], 2);
    }

    #[test]
    fn buffers_go_round() {
        let (mut queue, peer) = one(2);
        let mut batch = Batch::with_capacity(2);
        let first = peer.spare_frame();
        let address = first.octets().as_ptr();
        peer.send_frame(first).unwrap();
        queue.recv(&mut batch).unwrap();
        assert_eq!(batch[0].octets().as_ptr(), address, "received without a copy");
        batch.clear();
        peer.send(&octets(1), OffloadHeader::NONE);
        queue.recv(&mut batch).unwrap();
        assert_eq!(peer.spare_frame().octets().as_ptr(), address, "swapped out and found again");
    }

    #[test]
    fn one_pair_of_addresses_keeps_to_one_queue() {
        let (mut queues, peer) = pair("m0", 3, 16, false).unwrap();
        for last in 0..12 {
            peer.send(&octets(last % 4), OffloadHeader::NONE);
        }
        let mut batch = Batch::with_capacity(16);
        let (mut home, mut total) = ([None; 4], 0);
        for (index, queue) in queues.iter_mut().enumerate() {
            batch.clear();
            total += queue.recv(&mut batch).unwrap();
            for frame in &batch {
                let sender = frame.octets()[11] as usize;
                assert_eq!(*home[sender].get_or_insert(index), index);
            }
        }
        assert_eq!(total, 12);
    }

    #[test]
    fn health_is_told() {
        let (mut queue, peer) = one(2);
        let mut batch = Batch::with_capacity(2);
        peer.send(&octets(1), OffloadHeader::NONE);
        peer.set_link(Link::Down);
        assert!(!peer.send(&octets(2), OffloadHeader::NONE));
        assert_eq!(queue.recv(&mut batch).unwrap(), 1);
        assert_eq!(queue.send(&batch, &[0]).unwrap_err().kind(), io::ErrorKind::NetworkDown);
        peer.set_link(Link::Up);
        assert_eq!(queue.send(&batch, &[0]).unwrap().taken, 1);
        drop(peer);
        assert_eq!(queue.recv(&mut batch).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(queue.send(&batch, &[0]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(pair("m0", 0, 1, false).is_err() && pair("m0", 1, 0, false).is_err());
    }

    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        const FRAMES: usize = 50_000;
        let (mut queue, peer) = one(8);
        let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
        epoll.add(queue.fd().unwrap(), EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0)).unwrap();
        let sender = std::thread::spawn(move || {
            for index in 0..FRAMES {
                while !peer.send(&octets(index as u8), OffloadHeader::NONE) {
                    std::thread::yield_now();
                }
            }
            peer
        });
        let (mut batch, mut seen) = (Batch::with_capacity(4), 0);
        while seen < FRAMES {
            let woken = epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::from(5000_u16)).unwrap();
            assert_eq!(woken, 1, "asleep with {} frames to come", FRAMES - seen);
            loop {
                batch.clear();
                let received = queue.recv(&mut batch).unwrap();
                for frame in &batch {
                    assert_eq!(frame.octets()[11], seen as u8, "out of order");
                    seen += 1;
                }
                if received < batch.capacity() {
                    break;
                }
            }
        }
        drop(sender.join().unwrap());
    }
}
