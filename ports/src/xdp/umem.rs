//! Where do the frames lie that the kernel and a queue hand each other? In a UMEM: memory of the program's that the
//! kernel knows by `XDP_UMEM_REG`, divided into chunks. A descriptor names an octet of it by its distance from the start.
//!
//! Frames are copied in and out by address, and no reference into the memory is made, because the kernel writes the
//! chunks that it has.

use std::io;
use std::ops::Range;

use crate::mapping::Mapping;

/// Octets of a chunk, which holds one frame: what the kernel takes, but for strides across pages.
const CHUNK_OCTETS: [u32; 2] = [2048, 4096];
/// Octets that the kernel leaves free before a received frame (`XDP_PACKET_HEADROOM`).
const HEADROOM: u32 = 256;
/// The longest frame that a chunk holds.
pub(super) const MAX_FRAME_OCTETS: u32 = CHUNK_OCTETS[1] - HEADROOM;

/// The memory of one queue's frames.
pub(super) struct Umem {
    mapping: Mapping,
    chunk_octets: u32,
}

impl Umem {
    /// Memory for so many frames of at most so many octets; no longer than [`MAX_FRAME_OCTETS`].
    pub(super) fn new(chunks: u32, frame_octets: u32) -> io::Result<Self> {
        let fits = |chunk: &u32| frame_octets + HEADROOM <= *chunk;
        let chunk_octets = CHUNK_OCTETS.into_iter().find(fits).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { mapping: Mapping::anonymous(chunks as usize * chunk_octets as usize)?, chunk_octets })
    }

    /// What `XDP_UMEM_REG` is told.
    pub(super) fn registration(&self) -> libc::xdp_umem_reg {
        libc::xdp_umem_reg {
            addr: self.mapping.start() as u64,
            len: self.mapping.octets() as u64,
            chunk_size: self.chunk_octets,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        }
    }

    /// The address of a chunk.
    pub(super) fn chunk(&self, number: u32) -> u64 {
        u64::from(number) * u64::from(self.chunk_octets)
    }

    /// Copy a frame out of a chunk that is not the kernel's now; `false` when it is not wholly inside the memory.
    #[inline]
    pub(super) fn copy_out(&self, address: u64, into: &mut [u8]) -> bool {
        let Some(range) = self.range(address, into.len()) else { return false };
        // SAFETY: the range is inside the mapping, and `into` elsewhere: nobody has a reference into the mapping.
        unsafe { self.mapping.start().add(range.start).copy_to_nonoverlapping(into.as_mut_ptr(), range.len()) };
        true
    }

    /// Copy a frame into a chunk that is not the kernel's now; `false` when it would not be wholly inside the memory.
    #[inline]
    pub(super) fn copy_in(&mut self, address: u64, octets: &[u8]) -> bool {
        let Some(range) = self.range(address, octets.len()) else { return false };
        // SAFETY: as in `copy_out`.
        unsafe { self.mapping.start().add(range.start).copy_from_nonoverlapping(octets.as_ptr(), range.len()) };
        true
    }

    fn range(&self, address: u64, octets: usize) -> Option<Range<usize>> {
        let start = usize::try_from(address).ok()?;
        let end = start.checked_add(octets)?;
        (end <= self.mapping.octets()).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_copied_in_and_out_and_never_beyond_the_end() {
        let mut umem = Umem::new(2, 1514).unwrap();
        let end = umem.chunk(2);
        let mut out = [0; 4];
        for address in [0, umem.chunk(1) + 100, end - 4] {
            assert!(umem.copy_in(address, b"abcd") && umem.copy_out(address, &mut out), "{address}");
            assert_eq!(out, *b"abcd");
        }
        for address in [end - 3, end, u64::MAX - 2, u64::MAX] {
            assert!(!umem.copy_in(address, b"abcd") && !umem.copy_out(address, &mut out), "{address}");
        }
    }

    #[test]
    fn a_chunk_is_as_long_as_its_frame_needs() {
        for (frame, chunk) in [(60, 2048), (1792, 2048), (1793, 4096), (MAX_FRAME_OCTETS, 4096)] {
            assert_eq!(Umem::new(3, frame).unwrap().chunk(1), chunk, "{frame}");
        }
        assert!(Umem::new(1, MAX_FRAME_OCTETS + 1).is_err());
    }
}
