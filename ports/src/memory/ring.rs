//! How do frames get from one thread to another? By a ring of buffers that stay where they are: the writer writes into the
//! next ones, the reader changes them for buffers it has no use for, and each moves its own index once a burst.
//!
//! ```text
//!              read                written
//!   | empty | full | full | full | empty | empty |     full: the reader's; empty: the writer's
//! ```
//! Each index has one writer. Both run on without end (`usize`, wrapping); a slot's place is its number modulo the size.
//! An index is only read again from the other side when what was seen of it last is used up, so in full swing the two
//! threads exchange nothing but the frames.
//!
//! Not done: growing, and more than one thread on a side.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;
use frame::Frame;

/// What both sides see.
struct Ring {
    slots: Box<[UnsafeCell<Frame>]>,
    /// Frames written since the beginning. Only the writer changes it.
    written: CachePadded<AtomicUsize>,
    /// Frames read since the beginning. Only the reader changes it.
    read: CachePadded<AtomicUsize>,
}

// SAFETY: a slot is only reached through the one `Writer` or the one `Reader` there are, by `&mut self`. Slots between
// `read` and `written` are the reader's and all others the writer's; a slot changes sides by a release store to an index,
// which the other side loads with acquire before it touches the slot. `Frame` itself may be sent between threads.
unsafe impl Sync for Ring {}

/// The side that puts frames in.
pub(super) struct Writer {
    ring: Arc<Ring>,
    at: Cursor,
    /// `read` as it was seen last.
    read: usize,
}

/// The side that takes frames out.
pub(super) struct Reader {
    ring: Arc<Ring>,
    at: Cursor,
    /// `written` as it was seen last.
    written: usize,
}

/// A number of a frame since the beginning, and the slot of the ring that it lies in.
#[derive(Clone, Copy, Default)]
struct Cursor {
    number: usize,
    slot: usize,
}

impl Cursor {
    /// The slot of the frame that is `ahead` (less than `size`) of this one.
    fn slot(self, ahead: usize, size: usize) -> usize {
        let slot = self.slot + ahead;
        if slot < size { slot } else { slot - size }
    }

    fn forward(self, by: usize, size: usize) -> Self {
        Self { number: self.number.wrapping_add(by), slot: self.slot(by, size) }
    }
}

/// A ring with buffers for `capacity` (at least one) frames.
pub(super) fn ring(capacity: usize) -> (Writer, Reader) {
    let slots = (0..capacity.max(1)).map(|_| UnsafeCell::new(Frame::empty())).collect();
    let ring = Arc::new(Ring { slots, written: CachePadded::default(), read: CachePadded::default() });
    let writer = Writer { ring: Arc::clone(&ring), at: Cursor::default(), read: 0 };
    (writer, Reader { ring, at: Cursor::default(), written: 0 })
}

impl Writer {
    /// How many of `wanted` frames there is room for.
    pub(super) fn room(&mut self, wanted: usize) -> usize {
        let size = self.ring.slots.len();
        let room = size - self.at.number.wrapping_sub(self.read);
        if room >= wanted {
            return wanted;
        }
        self.read = self.ring.read.load(Ordering::Acquire);
        wanted.min(size - self.at.number.wrapping_sub(self.read))
    }

    /// The buffer for the next frame but `ahead`, which must be less than the room there is.
    pub(super) fn slot(&mut self, ahead: usize) -> &mut Frame {
        let size = self.ring.slots.len();
        assert!(ahead < size - self.at.number.wrapping_sub(self.read), "beyond the room there is");
        let slot = &self.ring.slots[self.at.slot(ahead, size)];
        // SAFETY: the slot's number is at least `written`, and less than `read` as it was loaded with acquire plus the
        // ring's size: it is the writer's, of which there is one, borrowed mutably here.
        unsafe { &mut *slot.get() }
    }

    /// The next `count` buffers hold frames: the reader may have them.
    pub(super) fn publish(&mut self, count: usize) {
        let size = self.ring.slots.len();
        assert!(count <= size - self.at.number.wrapping_sub(self.read), "beyond the room there is");
        self.at = self.at.forward(count, size);
        self.ring.written.store(self.at.number, Ordering::Release);
    }
}

impl Reader {
    /// How many frames of `wanted` are there.
    pub(super) fn ready(&mut self, wanted: usize) -> usize {
        let ready = self.written.wrapping_sub(self.at.number);
        if ready >= wanted {
            return wanted;
        }
        self.written = self.ring.written.load(Ordering::Acquire);
        wanted.min(self.written.wrapping_sub(self.at.number))
    }

    /// The next frame but `ahead`, which must be one that is there. Another buffer may be left in its place.
    pub(super) fn slot(&mut self, ahead: usize) -> &mut Frame {
        assert!(ahead < self.written.wrapping_sub(self.at.number), "beyond the frames that are there");
        let slot = &self.ring.slots[self.at.slot(ahead, self.ring.slots.len())];
        // SAFETY: the slot's number is at least `read` and less than `written` as it was loaded with acquire: it is the
        // reader's, of which there is one, borrowed mutably here.
        unsafe { &mut *slot.get() }
    }

    /// Done with the next `count` frames: the writer may have their buffers.
    pub(super) fn release(&mut self, count: usize) {
        assert!(count <= self.written.wrapping_sub(self.at.number), "beyond the frames that are there");
        self.at = self.at.forward(count, self.ring.slots.len());
        self.ring.read.store(self.at.number, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame::OffloadHeader;

    fn write(writer: &mut Writer, value: u8) -> bool {
        let room = writer.room(1);
        if room == 1 {
            writer.slot(0).fill(&[value], OffloadHeader::NONE);
            writer.publish(1);
        }
        room == 1
    }

    #[test]
    fn a_ring_is_full_then_empty_then_used_again() {
        let (mut writer, mut reader) = ring(3);
        for round in 0..5 {
            assert_eq!((0..5).filter(|value| write(&mut writer, round * 10 + value)).count(), 3);
            assert_eq!((writer.room(4), reader.ready(9)), (0, 3));
            for ahead in 0..3 {
                assert_eq!(reader.slot(ahead).octets(), [round * 10 + ahead as u8]);
            }
            reader.release(2);
            assert_eq!((writer.room(4), reader.ready(9)), (2, 1));
            reader.release(1);
            assert_eq!((writer.room(4), reader.ready(9)), (3, 0));
        }
    }

    #[test]
    #[should_panic(expected = "beyond the frames that are there")]
    fn nobody_reads_what_is_not_there() {
        let (mut writer, mut reader) = ring(2);
        write(&mut writer, 1);
        assert_eq!(reader.ready(2), 1);
        reader.slot(1);
    }

    #[test]
    #[should_panic(expected = "beyond the room there is")]
    fn nobody_writes_over_a_frame() {
        let (mut writer, _reader) = ring(2);
        write(&mut writer, 1);
        writer.slot(1);
    }

    #[test]
    fn two_threads_exchange_every_frame_in_order() {
        const FRAMES: usize = 200_000;
        let (mut writer, mut reader) = ring(7);
        let sender = std::thread::spawn(move || {
            let mut sent = 0;
            while sent < FRAMES {
                let room = writer.room((FRAMES - sent).min(5));
                for ahead in 0..room {
                    let number = (sent + ahead).to_le_bytes();
                    writer.slot(ahead).fill(&number, OffloadHeader::NONE);
                }
                writer.publish(room);
                sent += room;
                if room == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let (mut seen, mut spare) = (0, Frame::empty());
        while seen < FRAMES {
            let ready = reader.ready(3);
            for ahead in 0..ready {
                std::mem::swap(reader.slot(ahead), &mut spare);
                assert_eq!(spare.octets(), (seen + ahead).to_le_bytes());
            }
            reader.release(ready);
            seen += ready;
            if ready == 0 {
                std::thread::yield_now();
            }
        }
        sender.join().unwrap();
    }
}
