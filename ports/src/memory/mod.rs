//! How do frames enter and leave without a kernel? By rings between the engine and a test or benchmark that plays the
//! container. No system call, no allocation and no lock a frame; the buffers a port was made with go round for ever.
//!
//! ```text
//!   MemoryPeer                                   MemoryQueue 0..n, one a worker
//!     send ---- ring ---->  inbound of queue n  ---- recv: buffers are swapped, octets stay where they are
//!     recv <--- ring -----  outbound of queue n <--- send: octets are copied, since a flood sends them again
//! ```
//! Like a TAP, a memory port with several queues sends all frames of one pair of addresses to the same queue, so that
//! their order holds.
//!
//! Waking without losing a wake-up: a queue that finds its ring empty says that it sleeps and then looks once more; the
//! peer puts its frames in and then asks whether the queue sleeps. Whichever comes second sees what the first did, so
//! either the queue finds the frames or the peer rings the eventfd. While the queue is awake nothing is rung.
//!
//! Memory: `2 x queues x capacity` buffers of [`frame::buffer::BUFFER_OCTETS`] octets of address space; the system gives a
//! page of it to hold something only when a frame has been there.
//!
//! Not done: reading the eventfd. Every ring is a new edge to epoll; a level-triggered poll would see it for ever.

mod ring;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frame::{Batch, Frame, OffloadHeader};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::losses::down;
use crate::{Port, Sent, Stop};
use ring::{Reader, Writer};

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

/// How one queue is woken.
struct Bell {
    asleep: AtomicBool,
    eventfd: EventFd,
}

struct Shared {
    name: String,
    offload: bool,
    capacity: usize,
    link: AtomicU8,
    bells: Box<[Bell]>,
}

/// The engine's end of a memory port: one queue.
pub struct MemoryQueue {
    shared: Arc<Shared>,
    index: usize,
    inbound: Reader,
    outbound: Writer,
}

/// The other end, in the container's place. Dropping it is the port's end.
pub struct MemoryPeer {
    shared: Arc<Shared>,
    /// A side of a ring has one user at a time; whoever plays the container locks once a burst.
    inbound: Box<[Mutex<Writer>]>,
    outbound: Mutex<Outbound>,
}

/// What the queues have sent, and which is read first.
struct Outbound {
    readers: Box<[Reader]>,
    next: usize,
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
    let bell = || {
        let eventfd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Bell { asleep: AtomicBool::new(true), eventfd })
    };
    let shared = Arc::new(Shared {
        name: name.to_owned(),
        offload,
        capacity,
        link: AtomicU8::new(Link::Up as u8),
        bells: (0..queues).map(|_| bell()).collect::<io::Result<_>>()?,
    });
    let (mut ours, mut writers, mut readers) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..queues {
        let (writer, inbound) = ring::ring(capacity);
        let (outbound, reader) = ring::ring(capacity);
        ours.push(MemoryQueue { shared: Arc::clone(&shared), index, inbound, outbound });
        writers.push(Mutex::new(writer));
        readers.push(reader);
    }
    let outbound = Mutex::new(Outbound { readers: readers.into(), next: 0 });
    Ok((ours, MemoryPeer { shared, inbound: writers.into(), outbound }))
}

impl Bell {
    fn wake(&self) {
        // Pairs with the fence in `sleeps`: one of the two sides sees the other's write.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            // Only a counter at its very end would refuse, and then a wake-up is under way.
            let _ = self.eventfd.write(1);
        }
    }

    /// The queue saw an empty ring: is it still empty now that the peer knows that it must ring?
    fn sleeps(&self, inbound: &mut Reader) -> bool {
        self.asleep.store(true, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst);
        if inbound.ready(1) == 0 {
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
        self.bells.iter().for_each(Bell::wake);
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
        let before = batch.len();
        while !batch.is_full() {
            // Asked in this order: what was sent before the end is read before it.
            let link = self.shared.link();
            let spare = batch.spare();
            let ready = self.inbound.ready(spare.len());
            for (ahead, spare) in spare.iter_mut().take(ready).enumerate() {
                std::mem::swap(self.inbound.slot(ahead), spare);
            }
            if ready > 0 {
                self.inbound.release(ready);
                batch.commit(ready);
            } else if link == Link::Gone {
                return Err(gone());
            } else if self.shared.bells[self.index].sleeps(&mut self.inbound) && self.shared.link() == link {
                break; // the link's end, too, rings only who sleeps
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
        let taken = self.outbound.room(picks.len());
        for (ahead, &pick) in picks.iter().take(taken).enumerate() {
            self.outbound.slot(ahead).copy_from(&batch[pick as usize]);
        }
        self.outbound.publish(taken);
        Ok(Sent { taken, stopped: (taken < picks.len()).then_some(Stop::Full) })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.shared.bells[self.index].eventfd.as_fd())
    }
}

/// A side of a ring is whole between two calls, whatever became of the thread that held it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryPeer {
    /// Send a frame to the engine; `false` when the ring is full or the link is not up.
    pub fn send(&self, octets: &[u8], offload: OffloadHeader) -> bool {
        self.send_burst(self.queue_of(octets), 1, |_, frame| frame.fill(octets, offload)) == 1
    }

    /// Send up to `count` frames to one queue, each as `write` leaves it in a buffer that held another frame before; how
    /// many there was room for, none when the link is not up. All of them must be frames of that queue, see
    /// [`MemoryPeer::queue_of`].
    pub fn send_burst(&self, queue: usize, count: usize, mut write: impl FnMut(usize, &mut Frame)) -> usize {
        let (Some(inbound), Some(bell)) = (self.inbound.get(queue), self.shared.bells.get(queue)) else { return 0 };
        if self.shared.link() != Link::Up {
            return 0;
        }
        let mut inbound = lock(inbound);
        let room = inbound.room(count);
        (0..room).for_each(|ahead| write(ahead, inbound.slot(ahead)));
        inbound.publish(room);
        bell.wake();
        room
    }

    /// The next frame that the engine sent, copied out.
    pub fn recv(&self) -> Option<(Vec<u8>, OffloadHeader)> {
        let mut copy = None;
        self.recv_burst(1, |frame| copy = Some((frame.octets().to_vec(), frame.offload())));
        copy
    }

    /// Look at up to `count` frames that the engine sent, and be done with them; how many there were.
    pub fn recv_burst(&self, count: usize, mut read: impl FnMut(&Frame)) -> usize {
        let mut outbound = lock(&self.outbound);
        let Outbound { readers, next } = &mut *outbound;
        let mut taken = 0;
        for _ in 0..readers.len() {
            let current = *next;
            *next = if current + 1 == readers.len() { 0 } else { current + 1 };
            let reader = &mut readers[current];
            let ready = reader.ready(count - taken);
            (0..ready).for_each(|ahead| read(reader.slot(ahead)));
            reader.release(ready);
            taken += ready;
        }
        taken
    }

    /// The queue for a frame with these octets: by an exclusive-or of its addresses' octets, the same in both directions.
    pub fn queue_of(&self, octets: &[u8]) -> usize {
        octets.iter().take(12).fold(0, |hash, &octet| hash ^ usize::from(octet)) % self.inbound.len()
    }

    /// How many frames each ring holds.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Take the link down, up again, or away. Queues that sleep are woken.
    pub fn set_link(&self, link: Link) {
        self.shared.set_link(link);
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
        let mut batch = Batch::with_capacity(1);
        let mut addresses = Vec::new();
        let mut send = |last| {
            let written = |_: usize, frame: &mut Frame| {
                frame.fill(&octets(last), OffloadHeader::NONE);
                addresses.push(frame.octets().as_ptr());
            };
            assert_eq!(peer.send_burst(0, 1, written), 1);
            batch.clear();
            queue.recv(&mut batch).unwrap();
            assert_eq!(Some(&batch[0].octets().as_ptr()), addresses.last(), "received without a copy");
        };
        (0..12).for_each(&mut send);
        let (first, rest) = addresses.split_at(3);
        assert!(rest.iter().all(|address| first.contains(address)), "three buffers, and no other");
    }

    #[test]
    fn bursts_take_what_there_is_room_for() {
        let (mut queues, peer) = pair("m0", 2, 4, true).unwrap();
        assert_eq!(peer.send_burst(1, 9, |at, frame| frame.fill(&octets(at as u8), OffloadHeader::NONE)), 4);
        assert_eq!(peer.send_burst(2, 1, |_, _| ()), 0, "no such queue");
        let mut batch = Batch::with_capacity(8);
        assert_eq!(queues[1].recv(&mut batch).unwrap(), 4);
        assert_eq!(queues[0].send(&batch, &[3]).unwrap().taken, 1);
        assert_eq!(queues[1].send(&batch, &[0, 1, 2]).unwrap().taken, 3);
        let mut seen = Vec::new();
        assert_eq!(peer.recv_burst(2, |frame| seen.push(frame.octets()[11])), 2);
        assert_eq!(peer.recv_burst(9, |frame| seen.push(frame.octets()[11])), 2);
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
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
