//! What sends a link's frames to the sockets? An XDP program of six instructions (RFC 9669) and a map from the link's
//! receive queues to sockets (`BPF_MAP_TYPE_XSKMAP`): `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP)`.
//! A queue without socket is dropped, so that nothing reaches the host's own stack past the switch.
//!
//! The program hangs on the link by a descriptor (`BPF_LINK_CREATE`): when the last one is closed, by a crash as well,
//! the kernel takes it off.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_long;

/// `enum bpf_cmd` (linux/bpf.h).
const BPF_MAP_CREATE: c_long = 0;
const BPF_MAP_UPDATE_ELEM: c_long = 2;
const BPF_PROG_LOAD: c_long = 5;
const BPF_LINK_CREATE: c_long = 28;
/// `enum bpf_map_type`.
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
/// `enum bpf_prog_type`.
const BPF_PROG_TYPE_XDP: u32 = 6;
/// `enum bpf_attach_type`.
const BPF_XDP: u32 = 37;
/// `enum bpf_func_id`.
const BPF_FUNC_REDIRECT_MAP: u32 = 51;
/// `enum xdp_action`.
const XDP_DROP: u32 = 1;
/// `offsetof(struct xdp_md, rx_queue_index)`.
const RX_QUEUE_INDEX: u16 = 16;

/// `XDP_FLAGS_SKB_MODE` (`linux/if_link.h`): the program runs in the stack, on the packet as it is, not in the driver.
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;

/// `struct bpf_insn`: opcode, destination register and source register (four bits each), offset, immediate.
const fn instruction(opcode: u8, registers: u8, offset: u16, immediate: u32) -> u64 {
    u64::from_ne_bytes({
        let (o, i) = (offset.to_ne_bytes(), immediate.to_ne_bytes());
        [opcode, registers, o[0], o[1], i[0], i[1], i[2], i[3]]
    })
}

/// The registers' octet: bit fields, which a big-endian machine lays out the other way round.
const fn registers(destination: u8, source: u8) -> u8 {
    if cfg!(target_endian = "big") { destination << 4 | source } else { source << 4 | destination }
}

/// The program, for a map with this descriptor.
fn instructions(map: u32) -> [u64; 6] {
    [
        // r2 = *(u32 *)(r1 + rx_queue_index): BPF_LDX | BPF_MEM | BPF_W
        instruction(0x61, registers(2, 1), RX_QUEUE_INDEX, 0),
        // r1 = map, in two: BPF_LD | BPF_IMM | BPF_DW with BPF_PSEUDO_MAP_FD
        instruction(0x18, registers(1, 1), 0, map),
        instruction(0, 0, 0, 0),
        // r3 = XDP_DROP: BPF_ALU64 | BPF_MOV | BPF_K
        instruction(0xb7, registers(3, 0), 0, XDP_DROP),
        // BPF_JMP | BPF_CALL, then BPF_JMP | BPF_EXIT
        instruction(0x85, 0, 0, BPF_FUNC_REDIRECT_MAP),
        instruction(0x95, 0, 0, 0),
    ]
}

/// bpf(2) with one of the layouts of `union bpf_attr`, all made of integers.
fn bpf<A: Attributes>(command: c_long, attributes: &A) -> io::Result<c_long> {
    // SAFETY: the kernel reads as many octets as it is told, which is all of `attributes`; the pointers in it name
    // memory that lives in the caller to the end of the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of_val(attributes)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(result: c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just opened it for the caller (close-on-exec), and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

trait Attributes {}
impl Attributes for MapCreate {}
impl Attributes for MapUpdate {}
impl Attributes for ProgLoad {}
impl Attributes for LinkCreate {}

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_octets: u32,
    value_octets: u32,
    entries: u32,
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_octets: u32,
    log: u64,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// The program with its map, loaded.
pub(super) struct Program {
    map: OwnedFd,
    program: OwnedFd,
}

impl Program {
    /// Load the program, with room for so many queues.
    pub(super) fn load(queues: u32) -> io::Result<Self> {
        let create = MapCreate { map_type: BPF_MAP_TYPE_XSKMAP, key_octets: 4, value_octets: 4, entries: queues };
        let map = descriptor(bpf(BPF_MAP_CREATE, &create)?)?;
        let instructions = instructions(raw(map.as_fd()));
        let load = ProgLoad {
            prog_type: BPF_PROG_TYPE_XDP,
            instruction_count: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: c"MIT".as_ptr() as u64,
            log_level: 0,
            log_octets: 0,
            log: 0,
        };
        let program = descriptor(bpf(BPF_PROG_LOAD, &load)?)?;
        Ok(Self { map, program })
    }

    /// Frames of this queue go to this socket.
    pub(super) fn direct(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        let socket = raw(socket);
        let (key, value) = (std::ptr::from_ref(&queue) as u64, std::ptr::from_ref(&socket) as u64);
        let update = MapUpdate { map: raw(self.map.as_fd()), padding: 0, key, value, flags: 0 };
        bpf(BPF_MAP_UPDATE_ELEM, &update).map(drop)
    }

    /// Hang it on a link of the calling thread's namespace, for as long as the answer is kept. The link keeps program
    /// and map.
    pub(super) fn attach(self, ifindex: u32) -> io::Result<Attachment> {
        let create =
            LinkCreate { program: raw(self.program.as_fd()), ifindex, attach_type: BPF_XDP, flags: XDP_FLAGS_SKB_MODE };
        Ok(Attachment { _link: descriptor(bpf(BPF_LINK_CREATE, &create)?)? })
    }
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// A program on a link; dropping it takes the program off.
pub(super) struct Attachment {
    _link: OwnedFd,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_reads_as_assembled() {
        if cfg!(target_endian = "little") {
            let octets: Vec<u8> = instructions(7).into_iter().flat_map(u64::to_ne_bytes).collect();
            let expected = [
                [0x61, 0x12, 16, 0, 0, 0, 0, 0],
                [0x18, 0x11, 0, 0, 7, 0, 0, 0],
                [0; 8],
                [0xb7, 0x03, 0, 0, 1, 0, 0, 0],
                [0x85, 0, 0, 0, 51, 0, 0, 0],
                [0x95, 0, 0, 0, 0, 0, 0, 0],
            ];
            assert_eq!(octets, expected.concat());
        }
    }
}
