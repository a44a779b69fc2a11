//! Where do a frame's octets live? In a buffer with room in front, so that the virtio-net header lies
//! directly before the destination address and both leave in one write, from the buffer they came in.
//!
//! ```text
//! |  HEADROOM (64)                        |  frame: destination, source, type, payload ...  |
//! |        ... | tag room | vnet header 10 |^ octets()                                       |
//! |                       ^ with_header()                                                    |
//! ```
//! The header is the 10-octet `struct virtio_net_hdr` (`linux/virtio_net.h`): TAP and AF_PACKET agree on
//! it on every kernel, whereas a 12-octet one needs `PACKET_VNET_HDR_SZ`, which came with Linux 6.6.
//!
//! Not done: shared or reference-counted buffers. A flood writes the same buffer once per port instead.

use crate::ethernet::TAG_OCTETS;
use crate::offload::{OffloadHeader, VNET_HEADER_OCTETS};

/// Octets before a frame that has just been received.
pub const HEADROOM: usize = 64;

/// The longest frame a buffer holds: a super-frame of 65,535 IP octets behind an Ethernet header, two
/// tags, and the IPv6 header that IPv6 does not count.
pub const MAX_FRAME_OCTETS: usize = 65_535 + 40 + 14 + 2 * TAG_OCTETS;

/// Octets of one buffer. With the 16 octets that the allocator keeps before each block it is an odd number of 64-octet
/// cache lines: the headers of successive buffers do not all fall into the same cache set, and each has its virtio-net
/// header and its Ethernet header in one line.
pub const BUFFER_OCTETS: usize = 1029 * 64 - 16;

/// A header and a frame that are copied whole, with what lies behind them, up to this many octets.
const SMALL_OCTETS: usize = 96;

const _: () = assert!(HEADROOM + MAX_FRAME_OCTETS <= BUFFER_OCTETS);

/// One Ethernet frame, without FCS, in a buffer that it owns and that is used again for another frame.
pub struct Frame {
    buffer: Box<[u8; BUFFER_OCTETS]>,
    start: u32,
    len: u32,
    offload: OffloadHeader,
}

// Two to a cache line: a memory port hands over the frame, not its octets.
const _: () = assert!(size_of::<Frame>() <= 32);

/// A buffer full of zeros that the system backs with memory page by page, when something is written to it.
fn empty_buffer() -> Box<[u8; BUFFER_OCTETS]> {
    loop {
        // The length is right, so the first turn is the last.
        if let Ok(buffer) = vec![0; BUFFER_OCTETS].try_into() {
            return buffer;
        }
    }
}

impl Frame {
    /// An empty frame with a buffer for the longest one. The only allocation in a frame's life.
    pub fn empty() -> Self {
        Self { buffer: empty_buffer(), start: HEADROOM as u32, len: 0, offload: OffloadHeader::NONE }
    }

    /// A frame with these octets and a clear offload header; cut at [`MAX_FRAME_OCTETS`]. For tests and
    /// for frames the switch itself makes.
    pub fn from_octets(octets: &[u8]) -> Self {
        let mut frame = Self::empty();
        frame.fill(octets, OffloadHeader::NONE);
        frame
    }

    /// Put other octets and another header in this frame's buffer; cut at [`MAX_FRAME_OCTETS`].
    pub fn fill(&mut self, octets: &[u8], offload: OffloadHeader) {
        let len = octets.len().min(MAX_FRAME_OCTETS);
        self.place(HEADROOM, len);
        self.buffer[HEADROOM..HEADROOM + len].copy_from_slice(&octets[..len]);
        self.set_offload(offload);
    }

    /// Become a copy of another frame, virtio-net header included, in this one's own buffer.
    #[inline]
    pub fn copy_from(&mut self, other: &Self) {
        let (start, end) = (other.start() - VNET_HEADER_OCTETS, other.end());
        if end - start <= SMALL_OCTETS && start + SMALL_OCTETS <= BUFFER_OCTETS {
            // A copy of known size is a few instructions; one of any size is a call.
            let (from, to) = (&other.buffer[start..][..SMALL_OCTETS], &mut self.buffer[start..][..SMALL_OCTETS]);
            to.copy_from_slice(from);
        } else {
            self.buffer[start..end].copy_from_slice(&other.buffer[start..end]);
        }
        (self.start, self.len, self.offload) = (other.start, other.len, other.offload);
    }

    fn place(&mut self, start: usize, len: usize) {
        (self.start, self.len) = (start as u32, len as u32); // neither is more than BUFFER_OCTETS
    }

    /// The whole of the buffer behind the headroom, for a port without virtio-net header to receive into.
    /// Follow it with [`Frame::received`].
    pub fn receive_area(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADROOM..]
    }

    /// The buffer from 10 octets before the frame's first, for a port that receives the virtio-net header
    /// and the frame in one go. Follow it with [`Frame::received_with_header`].
    pub fn receive_area_with_header(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADROOM - VNET_HEADER_OCTETS..]
    }

    /// `len` octets lie in [`Frame::receive_area`]; there was no virtio-net header.
    pub fn received(&mut self, len: usize) {
        self.place(HEADROOM, len.min(BUFFER_OCTETS - HEADROOM));
        self.set_offload(OffloadHeader::NONE);
    }

    /// `len` octets, header included, lie in [`Frame::receive_area_with_header`]. The header is read here
    /// and checked by [`OffloadHeader::check`] when the frame is admitted. Fewer octets than a header
    /// give an empty frame.
    pub fn received_with_header(&mut self, len: usize) {
        let len = len.min(BUFFER_OCTETS - HEADROOM + VNET_HEADER_OCTETS).saturating_sub(VNET_HEADER_OCTETS);
        self.place(HEADROOM, len);
        let header = self.buffer[HEADROOM - VNET_HEADER_OCTETS..].first_chunk::<VNET_HEADER_OCTETS>();
        self.offload = header.map_or(OffloadHeader::NONE, OffloadHeader::from_octets);
    }

    /// The frame's octets: destination address first, no FCS.
    #[inline]
    pub fn octets(&self) -> &[u8] {
        &self.buffer[self.start()..self.end()]
    }

    /// The same, to change in place.
    #[inline]
    pub fn octets_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.start(), self.end());
        &mut self.buffer[start..end]
    }

    /// The 10-octet virtio-net header and the frame behind it, as one slice to write.
    #[inline]
    pub fn with_header(&self) -> &[u8] {
        &self.buffer[self.start() - VNET_HEADER_OCTETS..self.end()]
    }

    /// Octets of the frame.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    fn start(&self) -> usize {
        self.start as usize
    }

    #[inline]
    fn end(&self) -> usize {
        self.start as usize + self.len as usize
    }

    /// Has it no octet at all?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is left to do for this frame: a checksum to finish, a super-frame to cut up.
    #[inline]
    pub fn offload(&self) -> OffloadHeader {
        self.offload
    }

    /// Change the offload header, both the value and the octets that [`Frame::with_header`] shows.
    pub fn set_offload(&mut self, offload: OffloadHeader) {
        self.offload = offload;
        let start = self.start();
        self.buffer[start - VNET_HEADER_OCTETS..start].copy_from_slice(&offload.to_octets());
    }

    /// Cut the frame to its first `len` octets; longer ones stay as they are.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len().min(len) as u32;
    }

    /// Put an 802.1Q tag (its type and its control information) behind the addresses: AF_PACKET hands the tag
    /// over beside the frame. Moves the addresses, not the payload; the offload header's offsets move along.
    /// Does nothing to a frame shorter than its addresses or without headroom left.
    pub fn insert_tag(&mut self, tag_type: u16, control: u16) {
        let start = self.start();
        if self.len() < 12 || start < VNET_HEADER_OCTETS + 2 * TAG_OCTETS {
            return;
        }
        let new_start = start - TAG_OCTETS;
        self.buffer.copy_within(start..start + 12, new_start);
        let tag = new_start + 12;
        self.buffer[tag..tag + 2].copy_from_slice(&tag_type.to_be_bytes());
        self.buffer[tag + 2..tag + 4].copy_from_slice(&control.to_be_bytes());
        self.place(new_start, self.len() + TAG_OCTETS);
        self.set_offload(self.offload.shifted(TAG_OCTETS as u16));
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} octets, {:?}, {:02x?})", self.len, self.offload, &self.octets()[..self.len().min(64)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offload::GsoKind;

    #[test]
    fn header_and_octets_lie_in_one_piece() {
        let mut frame = Frame::empty();
        let area = frame.receive_area_with_header();
        area[..10].copy_from_slice(&[1, 0, 0, 0, 0, 0, 34, 0, 16, 0]);
        area[10..14].copy_from_slice(b"abcd");
        frame.received_with_header(14);
        assert_eq!(frame.octets(), b"abcd");
        assert!(frame.offload().needs_checksum);
        assert_eq!((frame.offload().checksum_start, frame.offload().checksum_offset), (34, 16));
        assert_eq!(&frame.with_header()[10..], b"abcd");
    }

    #[test]
    fn a_receive_shorter_than_the_header_is_an_empty_frame() {
        let mut frame = Frame::empty();
        frame.received_with_header(4);
        assert!(frame.is_empty());
        assert_eq!(frame.octets(), b"");
    }

    #[test]
    fn a_tag_goes_behind_the_addresses_and_moves_the_offsets() {
        let mut octets: Vec<u8> = (0..12).collect();
        octets.extend([8, 0, 99]);
        let mut frame = Frame::from_octets(&octets);
        frame.set_offload(OffloadHeader {
            needs_checksum: true,
            checksum_start: 34,
            checksum_offset: 16,
            gso: GsoKind::None,
            header_len: 54,
            segment_octets: 0,
            ..OffloadHeader::NONE
        });
        frame.insert_tag(0x8100, 0x2007);
        let mut expected: Vec<u8> = (0..12).collect();
        expected.extend([0x81, 0, 0x20, 0x07, 8, 0, 99]);
        assert_eq!(frame.octets(), expected);
        assert_eq!((frame.offload().checksum_start, frame.offload().header_len), (38, 58));
        assert_eq!(frame.with_header()[6..8], 38u16.to_ne_bytes());
    }

    #[test]
    fn a_copy_is_the_same_with_its_header() {
        let mut frame = Frame::from_octets(&(0..=80).collect::<Vec<u8>>());
        frame.set_offload(OffloadHeader { needs_checksum: true, checksum_start: 34, ..OffloadHeader::NONE });
        frame.insert_tag(0x8100, 7);
        let mut copy = Frame::from_octets(&[9; 2000]);
        copy.copy_from(&frame);
        assert_eq!((copy.with_header(), copy.offload()), (frame.with_header(), frame.offload()));
    }

    #[test]
    fn too_long_is_cut_and_never_panics() {
        let mut frame = Frame::from_octets(&vec![7; 70_000]);
        assert_eq!(frame.len(), MAX_FRAME_OCTETS);
        frame.received(1 << 20);
        assert_eq!(frame.len(), BUFFER_OCTETS - HEADROOM);
        frame.received_with_header(1 << 20);
        assert_eq!(frame.octets().len(), BUFFER_OCTETS - HEADROOM);
    }
}
