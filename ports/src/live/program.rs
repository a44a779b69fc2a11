//! What makes a frame of an empty page? An XDP program that copies the next slot of a ring into it and sends it on to the
//! interface (RFC 9669; `linux/bpf.h`). In C:
//!
//! ```c
//! if (control.next == control.end) return XDP_DROP;      // nothing to send: the page is given back at once
//! slot = bpf_map_lookup_elem(&slots, control.next % SLOTS);
//! bpf_xdp_adjust_tail(ctx, slot->octets - longest);      // it begins with the longest
//! bpf_xdp_store_bytes(ctx, 0, slot->frame, slot->octets);
//! result = bpf_redirect_map(&interface, 0, XDP_DROP);    // what fails on the way counts in control.missed
//! control.next++;
//! return result;
//! ```
//! The slots and the control words are array maps that user space has in its memory, too (`BPF_F_MMAPABLE`). The interface is
//! the one entry of a `BPF_MAP_TYPE_DEVMAP`: found by its number when the program is loaded, in the namespace of the thread
//! that does it, and from then on whoever calls. The entry is gone when the interface is.
//!
//! # Long calls
//! A thread of its own has the kernel run the program again and again while there is something to send, [`TURNS`] times in a
//! call. Short calls, as many runs as there are frames, need no such thread, and were tried: each call makes a pool of pages
//! and touches 64 of them (20 us), and a pool of which a receiver still has a page lives on for a second, with up to 64
//! pages. At 100,000 frames a second thousands of them are taken down at a time, each by a look at all the others
//! (`mem_allocator_disconnect`, net/core/xdp.c): the machine stood still.
//!
//! # The dispatcher
//! A call with more than one run makes the program known to the kernel's XDP dispatcher before and forgotten after, and each
//! of them waits for all CPUs (`synchronize_rcu`): measured, 25 ms a call. Not so for a program that it knows already.
//! Therefore this one also hangs on the loopback interface of a network namespace that nobody else knows, where no frame ever
//! comes by.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::bpf::{self, MapCreate, XDP_DROP, instruction, raw, registers};
use crate::mapping::Mapping;
use crate::netns::Namespace;

/// How many frames can wait for the kernel to take them; a power of two.
pub(super) const SLOTS: u32 = 256;
/// How often the program runs in one call, with or without a frame: without, for a millisecond or two.
const TURNS: u32 = 25_000;

/// `enum bpf_map_type`.
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_DEVMAP: u32 = 14;
/// A map's flag.
const BPF_F_MMAPABLE: u32 = 1 << 10;
/// `enum bpf_func_id`.
const BPF_FUNC_MAP_LOOKUP_ELEM: u32 = 1;
const BPF_FUNC_REDIRECT_MAP: u32 = 51;
const BPF_FUNC_XDP_ADJUST_TAIL: u32 = 65;
const BPF_FUNC_XDP_STORE_BYTES: u32 = 190;
/// `enum xdp_action`.
const XDP_REDIRECT: u32 = 4;
/// What an instruction's source register says of its immediate.
const BPF_PSEUDO_MAP_FD: u8 = 1;
const BPF_PSEUDO_MAP_VALUE: u8 = 2;
/// The loopback interface's number in a new namespace.
const LOOPBACK: u32 = 1;

/// Octets of a slot before its frame: how long that is, and four more, so that it begins at eight.
const SLOT_HEADER: usize = 8;
/// The control words: the next slot and frames that were not sent on, which the program writes; and the one behind the last, in
/// a cache line of its own. Slots are counted on and on.
const CONTROL_OCTETS: usize = 128;
const NEXT: i16 = 0;
const MISSED: i16 = 8;
const END: i16 = 64;

/// Where the program jumps to.
const STORE: usize = 26;
const MISS: usize = 39;
const ADVANCE: usize = 43;
const DROP: usize = 46;

/// The program, for maps with these descriptors and frames of `least` to `longest` octets.
fn instructions([control, slots, interface]: [u32; 3], least: u32, longest: u32) -> Vec<u64> {
    let mut code = Vec::with_capacity(48);
    let to = |here: usize, there: usize| ((there - here - 1) as u16).cast_signed();
    let load = |destination, source, offset| instruction(0x61, registers(destination, source), offset, 0);
    let copy = |destination, source| instruction(0xbf, registers(destination, source), 0, 0);
    let set = |destination, value| instruction(0xb7, registers(destination, 0), 0, value);
    let add = |destination, value: i32| instruction(0x07, registers(destination, 0), 0, value.cast_unsigned());
    let call = |helper| instruction(0x85, 0, 0, helper);
    let wide = |destination, kind, value| [instruction(0x18, registers(destination, kind), 0, value), 0];
    // r1 = what was there, plus r1: an atomic operation, and nothing moves past it.
    let fetch_add = |width, offset| instruction(width, registers(7, 1), offset, 1);
    // r6 = the frame, r7 = the control words, r8 = the next slot
    code.push(copy(6, 1));
    code.extend(wide(7, BPF_PSEUDO_MAP_VALUE, control));
    code.extend([load(8, 7, NEXT), load(1, 7, END)]);
    code.push(instruction(0x1d, registers(8, 1), to(5, DROP), 0)); // if r8 == r1
    // The slot was written before END was.
    code.extend([set(1, 0), fetch_add(0xdb, MISSED)]);
    // r8 = the slot, r9 = its octets
    code.push(instruction(0x57, registers(8, 0), 0, SLOTS - 1)); // r8 &= SLOTS - 1
    code.extend([instruction(0x63, registers(10, 8), -4, 0), copy(2, 10), add(2, -4)]);
    code.extend(wide(1, BPF_PSEUDO_MAP_FD, slots));
    code.push(call(BPF_FUNC_MAP_LOOKUP_ELEM));
    code.push(instruction(0x15, registers(0, 0), to(15, MISS), 0)); // if r0 == 0
    code.extend([copy(8, 0), load(9, 8, 0)]);
    code.push(instruction(0xa5, registers(9, 0), to(18, MISS), least)); // if r9 < least
    code.push(instruction(0x25, registers(9, 0), to(19, MISS), longest)); // if r9 > longest
    code.push(instruction(0x15, registers(9, 0), to(20, STORE), longest)); // if r9 == longest
    code.extend([copy(1, 6), copy(2, 9), add(2, -longest.cast_signed()), call(BPF_FUNC_XDP_ADJUST_TAIL)]);
    code.push(instruction(0x55, registers(0, 0), to(25, MISS), 0)); // if r0 != 0
    // STORE:
    code.extend([copy(1, 6), set(2, 0), copy(3, 8), add(3, (SLOT_HEADER as u32).cast_signed()), copy(4, 9)]);
    code.push(call(BPF_FUNC_XDP_STORE_BYTES));
    code.push(instruction(0x55, registers(0, 0), to(32, MISS), 0)); // if r0 != 0
    code.extend(wide(1, BPF_PSEUDO_MAP_FD, interface));
    code.extend([set(2, 0), set(3, XDP_DROP), call(BPF_FUNC_REDIRECT_MAP)]);
    code.push(instruction(0x15, registers(0, 0), to(38, ADVANCE), XDP_REDIRECT)); // if r0 == XDP_REDIRECT
    // MISS: control.missed += 1
    code.extend([
        instruction(0x79, registers(1, 7), MISSED, 0),
        add(1, 1),
        instruction(0x7b, registers(7, 1), MISSED, 0),
    ]);
    code.push(set(0, XDP_DROP));
    // ADVANCE: the slot has been read before NEXT is written
    code.extend([set(1, 1), fetch_add(0xc3, NEXT), instruction(0x95, 0, 0, 0)]);
    // DROP:
    code.extend([set(0, XDP_DROP), instruction(0x95, 0, 0, 0)]);
    code
}

/// The ring, and the thread that has the kernel empty it.
pub(super) struct Program {
    shared: Arc<Shared>,
    /// Frames put into slots so far, as [`END`] counts; shown to the kernel by [`Program::publish`].
    written: u32,
    runner: Option<JoinHandle<()>>,
}

/// What both threads know.
struct Shared {
    program: OwnedFd,
    control: Mapping,
    slots: Mapping,
    slot_octets: usize,
    /// What a page begins as: the longest frame.
    blank: Vec<u8>,
    /// The thread sleeps, or is about to.
    idle: AtomicBool,
    stop: AtomicBool,
    /// The error number that ended the thread.
    fault: AtomicI32,
    _known: OwnedFd,
    _nowhere: Namespace,
}

// SAFETY: of the mappings, the control words are touched by atomic operations only, and the slots by the one `Program` alone,
// through `&mut self`, and by the kernel, never the same slot at a time (see `Program::push`).
unsafe impl Sync for Shared {}

impl Program {
    /// Load the program for an interface of the calling thread's namespace and frames of `least` to `longest` octets, and
    /// see whether the kernel runs it.
    pub(super) fn load(ifindex: u32, least: u32, longest: u32) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(ifindex, least, longest)?);
        // Nothing is sent by this.
        bpf::run_live(shared.program.as_fd(), &shared.blank, 2)?;
        let runner = Arc::clone(&shared);
        let runner = thread::Builder::new().name("live-frames".to_owned()).spawn(move || runner.run())?;
        Ok(Self { shared, written: 0, runner: Some(runner) })
    }

    /// Slots without a frame.
    #[inline]
    pub(super) fn room(&self) -> u32 {
        let next = self.shared.word(NEXT).load(Ordering::Acquire);
        SLOTS - self.written.wrapping_sub(next).min(SLOTS)
    }

    /// Put a frame, of no more octets than `longest`, into the next slot; `false` where it does not fit, or there is no slot.
    #[inline]
    pub(super) fn push(&mut self, octets: &[u8]) -> bool {
        let shared = &*self.shared;
        if octets.len() > shared.blank.len() || self.room() == 0 {
            return false;
        }
        let slot = (self.written % SLOTS) as usize;
        // SAFETY: the slot is inside the mapping, which holds `SLOTS` of `slot_octets`, and the frame fits behind its header,
        // as just seen. The kernel reads slots from NEXT to END only: it has left this one, and gets it by `publish`.
        unsafe {
            let start = shared.slots.start().add(slot * shared.slot_octets);
            ptr::copy_nonoverlapping((octets.len() as u32).to_ne_bytes().as_ptr(), start, 4);
            ptr::copy_nonoverlapping(octets.as_ptr(), start.add(SLOT_HEADER), octets.len());
        }
        self.written = self.written.wrapping_add(1);
        true
    }

    /// Let the kernel send what was put into slots.
    ///
    /// # Errors
    /// Those of `BPF_PROG_TEST_RUN`, and `ENODEV` when the interface is gone.
    pub(super) fn publish(&mut self) -> io::Result<()> {
        self.shared.word(END).store(self.written, Ordering::SeqCst);
        if self.shared.idle.load(Ordering::SeqCst)
            && let Some(runner) = &self.runner
        {
            runner.thread().unpark();
        }
        match self.shared.fault.load(Ordering::Relaxed) {
            0 if self.shared.missed().load(Ordering::Relaxed) > 0 => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            0 => Ok(()),
            fault => Err(io::Error::from_raw_os_error(fault)),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(runner) = self.runner.take() {
            runner.thread().unpark();
            // It has nothing to say that `fault` does not.
            let _ = runner.join();
        }
    }
}

impl Shared {
    fn new(ifindex: u32, least: u32, longest: u32) -> io::Result<Self> {
        let slot_octets = SLOT_HEADER + (longest as usize).next_multiple_of(8);
        let array = |value_octets: usize, entries| MapCreate {
            map_type: BPF_MAP_TYPE_ARRAY,
            key_octets: 4,
            value_octets: value_octets as u32,
            entries,
            flags: BPF_F_MMAPABLE,
        };
        let control = array(CONTROL_OCTETS, 1).create()?;
        let slots = array(slot_octets, SLOTS).create()?;
        let interface =
            MapCreate { map_type: BPF_MAP_TYPE_DEVMAP, key_octets: 4, value_octets: 4, entries: 1, flags: 0 };
        let interface = interface.create()?;
        bpf::update(interface.as_fd(), 0, ifindex)?;
        let maps = [&control, &slots, &interface].map(raw);
        let program = bpf::load_xdp(&instructions(maps, least, longest))?;
        let nowhere = Namespace::create()?;
        let known = nowhere.enter(|| bpf::attach_xdp(program.as_fd(), LOOPBACK, bpf::XDP_FLAGS_SKB_MODE))??;
        Ok(Self {
            program,
            control: Mapping::shared(CONTROL_OCTETS, control.as_fd(), 0)?,
            slots: Mapping::shared(slot_octets * SLOTS as usize, slots.as_fd(), 0)?,
            slot_octets,
            blank: vec![0; longest as usize],
            idle: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            fault: AtomicI32::new(0),
            _known: known,
            _nowhere: nowhere,
        })
    }

    /// What the thread does.
    fn run(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            self.idle.store(true, Ordering::SeqCst);
            if self.is_empty() {
                // Whoever fills a slot or says stop from now on sees `idle`, and this returns at once.
                thread::park();
                continue;
            }
            self.idle.store(false, Ordering::SeqCst);
            match bpf::run_live(self.program.as_fd(), &self.blank, TURNS) {
                Ok(()) => {}
                // A signal came; or there is no memory now.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOMEM)) => {}
                Err(error) => return self.fault.store(error.raw_os_error().unwrap_or(libc::EIO), Ordering::SeqCst),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.word(NEXT).load(Ordering::SeqCst) == self.word(END).load(Ordering::SeqCst)
    }

    fn word(&self, offset: i16) -> &AtomicU32 {
        // SAFETY: the offset is one of the control words', inside the mapping, which starts at a page and lives as long as
        // `self`; both sides touch it by whole words only.
        unsafe { AtomicU32::from_ptr(self.control.start().add(offset.cast_unsigned() as usize).cast()) }
    }

    fn missed(&self) -> &AtomicU64 {
        // SAFETY: as in `word`; the offset is a multiple of eight.
        unsafe { AtomicU64::from_ptr(self.control.start().add(MISSED.cast_unsigned() as usize).cast()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every jump leads to where its comment says, whatever was inserted before.
    #[test]
    fn the_program_reads_as_assembled() {
        if cfg!(target_endian = "big") {
            return;
        }
        let code: Vec<[u8; 8]> = instructions([3, 4, 5], 14, 1514).into_iter().map(u64::to_ne_bytes).collect();
        assert_eq!(code.len(), 48);
        let target = |at: usize| at + 1 + usize::from(code[at][2]);
        for (at, there) in
            [(5, DROP), (15, MISS), (18, MISS), (19, MISS), (20, STORE), (25, MISS), (32, MISS), (38, ADVANCE)]
        {
            assert_eq!((code[at][0] & 7, target(at)), (5, there), "a jump at {at}");
        }
        assert_eq!((code[MISS][0], code[STORE]), (0x79, [0xbf, 0x61, 0, 0, 0, 0, 0, 0]));
        assert_eq!((code[ADVANCE], code[DROP]), ([0xb7, 1, 0, 0, 1, 0, 0, 0], [0xb7, 0, 0, 0, 1, 0, 0, 0]));
        assert_eq!(code[23], [0x07, 0x02, 0, 0, 0x16, 0xfa, 0xff, 0xff], "less 1514");
        let calls: Vec<u8> = code.iter().filter(|one| one[0] == 0x85).map(|one| one[4]).collect();
        assert_eq!(calls, [1, 65, 190, 51]);
    }
}
