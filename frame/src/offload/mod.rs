//! What is left to do for a frame that its sender left unfinished? (linux/virtio_net.h,
//! `struct virtio_net_hdr`; VIRTIO 1.2, 5.1.6)
//!
//! A container's kernel hands the switch super-frames of up to 64 KiB and frames whose checksum is only
//! begun. Towards a port that takes virtio-net headers they go on as they are; for any other port
//! [`checksum`] finishes and [`segment`] cuts.

pub mod checksum;
pub mod segment;

/// Octets of the header: `struct virtio_net_hdr` without the `num_buffers` of mergeable buffers.
pub const VNET_HEADER_OCTETS: usize = 10;

const NEEDS_CHECKSUM: u8 = 1; // VIRTIO_NET_HDR_F_NEEDS_CSUM
const DATA_VALID: u8 = 2; // VIRTIO_NET_HDR_F_DATA_VALID
const GSO_ECN: u8 = 0x80; // VIRTIO_NET_HDR_GSO_ECN

/// How a super-frame is to be cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum GsoKind {
    /// Not a super-frame.
    #[default]
    None,
    /// TCP over IPv4 (`VIRTIO_NET_HDR_GSO_TCPV4`).
    Tcp4,
    /// TCP over IPv6 (`VIRTIO_NET_HDR_GSO_TCPV6`).
    Tcp6,
    /// UDP datagrams of equal size, over IPv4 or IPv6 (`VIRTIO_NET_HDR_GSO_UDP_L4`).
    Udp,
    /// A kind this switch does not know; such a frame is refused by [`OffloadHeader::check`].
    Other(u8),
}

impl GsoKind {
    const fn from_octet(octet: u8) -> Self {
        match octet & !GSO_ECN {
            0 => Self::None,
            1 => Self::Tcp4,
            4 => Self::Tcp6,
            5 => Self::Udp,
            other => Self::Other(other),
        }
    }

    const fn to_octet(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Tcp4 => 1,
            Self::Tcp6 => 4,
            Self::Udp => 5,
            Self::Other(other) => other,
        }
    }
}

/// The virtio-net header of one frame. Offsets count from the frame's first octet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OffloadHeader {
    /// The checksum at `checksum_start + checksum_offset` holds only the pseudo-header's sum; it must be
    /// finished over everything from `checksum_start` on before the frame may be seen on a wire.
    pub needs_checksum: bool,
    /// The sender vouches for the checksums. Advice to a receiver; never a reason not to compute one.
    pub data_valid: bool,
    /// How the super-frame is to be cut, if it is one.
    pub gso: GsoKind,
    /// TCP with ECN: congestion-window-reduced belongs on the first segment only (RFC 3168, 6.1.2).
    pub ecn: bool,
    /// Octets of headers that every segment repeats. Advice, may be 0 or wrong: read the headers instead.
    pub header_len: u16,
    /// Payload octets of each segment (`gso_size`).
    pub segment_octets: u16,
    /// Where the unfinished checksum's sum begins.
    pub checksum_start: u16,
    /// Where, counted from there, it is stored.
    pub checksum_offset: u16,
}

/// The header does not fit the frame it came with: [`crate::DropReason::BadOffload`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadOffload;

impl OffloadHeader {
    /// Nothing left to do.
    pub const NONE: Self = Self {
        needs_checksum: false,
        data_valid: false,
        gso: GsoKind::None,
        ecn: false,
        header_len: 0,
        segment_octets: 0,
        checksum_start: 0,
        checksum_offset: 0,
    };

    /// Read the ten octets, which are in the machine's own byte order (no VIRTIO 1 negotiation happens on
    /// TAP and AF_PACKET).
    #[inline]
    pub const fn from_octets(octets: &[u8; VNET_HEADER_OCTETS]) -> Self {
        let [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1] = *octets;
        Self {
            needs_checksum: flags & NEEDS_CHECKSUM != 0,
            data_valid: flags & DATA_VALID != 0,
            gso: GsoKind::from_octet(gso),
            ecn: gso & GSO_ECN != 0,
            header_len: u16::from_ne_bytes([h0, h1]),
            segment_octets: u16::from_ne_bytes([s0, s1]),
            checksum_start: u16::from_ne_bytes([c0, c1]),
            checksum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    /// Write the ten octets.
    pub const fn to_octets(self) -> [u8; VNET_HEADER_OCTETS] {
        let flags = if self.needs_checksum { NEEDS_CHECKSUM } else { 0 } | if self.data_valid { DATA_VALID } else { 0 };
        let gso = self.gso.to_octet() | if self.ecn { GSO_ECN } else { 0 };
        let ([h0, h1], [s0, s1]) = (self.header_len.to_ne_bytes(), self.segment_octets.to_ne_bytes());
        let ([c0, c1], [o0, o1]) = (self.checksum_start.to_ne_bytes(), self.checksum_offset.to_ne_bytes());
        [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1]
    }

    /// Is there nothing left to do?
    #[inline]
    pub const fn is_finished(self) -> bool {
        !self.needs_checksum && matches!(self.gso, GsoKind::None)
    }

    /// Is the frame a super-frame?
    #[inline]
    pub const fn is_gso(self) -> bool {
        !matches!(self.gso, GsoKind::None)
    }

    /// The same header for a frame that `octets` were put into before everything it points at.
    #[must_use]
    pub const fn shifted(mut self, octets: u16) -> Self {
        if self.needs_checksum {
            self.checksum_start = self.checksum_start.saturating_add(octets);
        }
        if self.header_len != 0 {
            self.header_len = self.header_len.saturating_add(octets);
        }
        self
    }
}
