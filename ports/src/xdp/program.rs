//! What sends a link's frames to the sockets? An XDP program of six instructions (RFC 9669) and a map from the link's
//! receive queues to sockets (`BPF_MAP_TYPE_XSKMAP`): `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP)`.
//! A queue without socket is dropped, so that nothing reaches the host's own stack past the switch.
//!
//! The program hangs on the link by a descriptor (`BPF_LINK_CREATE`): when the last one is closed, by a crash as well,
//! the kernel takes it off.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::bpf::{self, MapCreate, XDP_DROP, instruction, raw, registers};

/// `enum bpf_map_type`.
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
/// `enum bpf_func_id`.
const BPF_FUNC_REDIRECT_MAP: u32 = 51;
/// `offsetof(struct xdp_md, rx_queue_index)`.
const RX_QUEUE_INDEX: i16 = 16;

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

/// The program with its map, loaded.
pub(super) struct Program {
    map: OwnedFd,
    program: OwnedFd,
}

impl Program {
    /// Load the program, with room for so many queues.
    pub(super) fn load(queues: u32) -> io::Result<Self> {
        let create =
            MapCreate { map_type: BPF_MAP_TYPE_XSKMAP, key_octets: 4, value_octets: 4, entries: queues, flags: 0 };
        let map = create.create()?;
        let program = bpf::load_xdp(&instructions(raw(&map)))?;
        Ok(Self { map, program })
    }

    /// Frames of this queue go to this socket.
    pub(super) fn direct(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        bpf::update(self.map.as_fd(), queue, raw(socket))
    }

    /// Hang it on a link of the calling thread's namespace, for as long as the answer is kept. The link keeps program
    /// and map.
    pub(super) fn attach(self, ifindex: u32) -> io::Result<Attachment> {
        bpf::attach_xdp(self.program.as_fd(), ifindex, bpf::XDP_FLAGS_SKB_MODE).map(|link| Attachment { _link: link })
    }
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
