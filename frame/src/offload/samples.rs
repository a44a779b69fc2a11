//! Which frames are the rules tried on? Some that a Linux 6.18 TAP delivered or took, octet for octet, and a
//! generator of every shape of super-frame. For tests only.

use pnet::packet::{tcp, udp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::OffloadHeader;
use super::checksum::{Sum, write_word};
use crate::Frame;

/// A frame as written by hand: the virtio-net header and the octets, in hexadecimal; blanks do not count.
pub(super) fn frame(header: &str, octets: &str) -> Frame {
    let mut frame = Frame::from_octets(&hex(octets));
    frame.set_offload(OffloadHeader::from_octets(&hex(header).try_into().unwrap()));
    frame
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// What a container's `connect()` put into a TAP, and what the kernel makes of it for a device without offloads.
pub(super) const SYN_HEADER: &str = "01 00 0000 0000 2200 1000";
pub(super) const SYN: &str = "02420a000003 02420a000002 0800
    4500003c f5944000 40063123 0a000002 0a000003
    96fe0050 ba4c3601 00000000 a002faf0 14330000 020405b4 0402080a ab1537dc 00000000 0103030a";
pub(super) const SYN_FINISHED: &str = "02420a000003 02420a000002 0800
    4500003c f5944000 40063123 0a000002 0a000003
    96fe0050 ba4c3601 00000000 a002faf0 ce790000 020405b4 0402080a ab1537dc 00000000 0103030a";

/// 100 octets of TCP in segments of 40: CWR, ECE, FIN and PSH set, identification and sequence number about
/// to wrap. The segments are the kernel's own.
pub(super) const TCP4_HEADER: &str = "01 81 4200 2800 2200 1000";
pub(super) const TCP4: &str = "02420a000003 02420a000002 0800
    45020098 ffff4000 4006265a 0a000002 0a000003
    96fe0050 ffffffe0 01020304 80d901f5 148f0000 0101080a ab1537dc 00000001
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627
    28292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f
    505152535455565758595a5b5c5d5e5f60616263";
pub(super) const TCP4_SEGMENTS: [&str; 3] = [
    "02420a000003 02420a000002 0800
    4502005c ffff4000 40062696 0a000002 0a000003
    96fe0050 ffffffe0 01020304 80d001f5 64220000 0101080a ab1537dc 00000001
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627",
    "02420a000003 02420a000002 0800
    4502005c 00004000 40062696 0a000002 0a000003
    96fe0050 00000008 01020304 805001f5 41580000 0101080a ab1537dc 00000001
    28292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
    "02420a000003 02420a000002 0800
    45020048 00014000 400626a9 0a000002 0a000003
    96fe0050 00000030 01020304 805901f5 64680000 0101080a ab1537dc 00000001
    505152535455565758595a5b5c5d5e5f60616263",
];

/// 25 octets of UDP over IPv6, tagged, in datagrams of 10. The datagrams are the kernel's own.
pub(super) const UDP6_HEADER: &str = "01 05 4200 0a00 3a00 0600";
pub(super) const UDP6: &str = "02420a000003 02420a000002 81000014 86dd
    600a1b2c 00211140 fd000000000000000000000000000002 fd000000000000000000000000000003
    8e0a0035 0021fa38 000102030405060708090a0b0c0d0e0f101112131415161718";
pub(super) const UDP6_SEGMENTS: [&str; 3] = [
    "02420a000003 02420a000002 81000014 86dd
    600a1b2c 00121140 fd000000000000000000000000000002 fd000000000000000000000000000003
    8e0a0035 0012636b 00010203040506070809",
    "02420a000003 02420a000002 81000014 86dd
    600a1b2c 00121140 fd000000000000000000000000000002 fd000000000000000000000000000003
    8e0a0035 00123139 0a0b0c0d0e0f10111213",
    "02420a000003 02420a000002 81000014 86dd
    600a1b2c 000d1140 fd000000000000000000000000000002 fd000000000000000000000000000003
    8e0a0035 000d3562 1415161718",
];

/// One super-frame of any shape, and where its parts are.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) header: OffloadHeader,
    pub(super) octets: Vec<u8>,
    pub(super) v6: bool,
    pub(super) tcp: bool,
    /// Where the IP header, the TCP or UDP header and the payload begin.
    pub(super) ip: usize,
    pub(super) upper: usize,
    pub(super) payload: usize,
}

impl Sample {
    pub(super) fn frame(&self) -> Frame {
        let mut frame = Frame::from_octets(&self.octets);
        frame.set_offload(self.header);
        frame
    }

    pub(super) fn segment_octets(&self) -> usize {
        usize::from(self.header.segment_octets)
    }

    /// The number at `at` of some frame with these headers.
    pub(super) fn word(octets: &[u8], at: usize) -> u16 {
        u16::from_be_bytes([octets[at], octets[at + 1]])
    }

    /// The pseudo-header's sum of the whole super-frame.
    pub(super) fn pseudo_header(&self) -> Sum {
        let (at, len) = if self.v6 { (8, 32) } else { (12, 8) };
        let addresses = &self.octets[self.ip + at..self.ip + at + len];
        let upper = (self.octets.len() - self.upper) as u16;
        Sum::new().octets(addresses).word(if self.tcp { 6 } else { 17 }).word(upper)
    }

    /// The TCP or UDP checksum of a frame with these headers, by another implementation.
    pub(super) fn checksum_by_pnet(&self, octets: &[u8]) -> u16 {
        let address = |at, len| &octets[self.ip + at..self.ip + at + len];
        let v4 = |at| <[u8; 4]>::try_from(address(at, 4)).unwrap().into();
        let v6 = |at| <[u8; 16]>::try_from(address(at, 16)).unwrap().into();
        let upper = &octets[self.upper..];
        match (self.tcp, self.v6) {
            (true, false) => tcp::ipv4_checksum(&tcp::TcpPacket::new(upper).unwrap(), &v4(12), &v4(16)),
            (true, true) => tcp::ipv6_checksum(&tcp::TcpPacket::new(upper).unwrap(), &v6(8), &v6(24)),
            (false, false) => udp::ipv4_checksum(&udp::UdpPacket::new(upper).unwrap(), &v4(12), &v4(16)),
            (false, true) => udp::ipv6_checksum(&udp::UdpPacket::new(upper).unwrap(), &v6(8), &v6(24)),
        }
    }

    /// Where in a frame with these headers the TCP or UDP checksum is.
    pub(super) fn checksum_at(&self) -> usize {
        self.upper + usize::from(self.header.checksum_offset)
    }
}

/// 0 and 0xffff are the same number to who verifies, and pnet writes the one where Linux writes the other.
pub(super) fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

prop_compose! {
    /// Super-frames: tags, IPv4 options or IPv6 extension headers, TCP options and any flags, or UDP.
    pub(super) fn any_super_frame()(
        (v6, tcp, ecn) in any::<(bool, bool, bool)>(),
        addresses in vec(any::<u8>(), 44),
        tags in vec(any::<u16>(), 0..3),
        extensions in vec((proptest::sample::select(vec![0_u8, 43, 60]), 0_u8..3), 0..3),
        (ip_options, tcp_options) in (0_usize..=10, 0_usize..=10),
        mut tcp_header in vec(any::<u8>(), 20),
        identification in any::<[u8; 2]>(),
        payload in vec(any::<u8>(), 0..4000),
        segment_octets in 1_u16..1500,
    ) -> Sample {
        let mut octets = addresses[..12].to_vec();
        for tag in tags {
            octets.extend([0x81, 0x00]);
            octets.extend(tag.to_be_bytes());
        }
        let protocol = if tcp { 6 } else { 17 };
        let upper_octets = if tcp { 20 + 4 * tcp_options } else { 8 };
        let ip = octets.len() + 2;
        if v6 {
            octets.extend([0x86, 0xdd, 0x60, 1, 2, 3, 0, 0]);
            octets.extend([extensions.first().map_or(protocol, |(kind, _)| *kind), 64]);
            octets.extend(&addresses[12..]);
            for (index, (_, length)) in extensions.iter().enumerate() {
                octets.extend([extensions.get(index + 1).map_or(protocol, |(kind, _)| *kind), *length, 1]);
                octets.extend(vec![0; 5 + 8 * usize::from(*length)]);
            }
        } else {
            octets.extend([0x08, 0x00, 0x45 + ip_options as u8, 2, 0, 0, identification[0], identification[1]]);
            octets.extend([0x40, 0, 64, protocol, 0xde, 0xad]);
            octets.extend(&addresses[12..20]);
            octets.extend(vec![1; 4 * ip_options]);
        }
        let upper = octets.len();
        tcp_header[12] = (upper_octets as u8 / 4) << 4;
        octets.extend(if tcp { &tcp_header } else { &tcp_header[..8] });
        octets.extend(vec![1; upper_octets.saturating_sub(20)]);
        octets.extend(&payload);
        let length = octets.len() - if v6 { ip + 40 } else { ip };
        let length_at = ip + if v6 { 4 } else { 2 };
        octets[length_at..length_at + 2].copy_from_slice(&(length as u16).to_be_bytes());
        let header = OffloadHeader {
            needs_checksum: true,
            gso: match (tcp, v6) {
                (true, false) => super::GsoKind::Tcp4,
                (true, true) => super::GsoKind::Tcp6,
                (false, _) => super::GsoKind::Udp,
            },
            ecn: ecn && tcp,
            segment_octets,
            checksum_start: upper as u16,
            checksum_offset: if tcp { 16 } else { 6 },
            ..OffloadHeader::NONE
        };
        let mut sample = Sample { header, octets, v6, tcp, ip, upper, payload: upper + upper_octets };
        let (at, begun) = (sample.checksum_at(), sample.pseudo_header().fold());
        write_word(&mut sample.octets, at, begun);
        sample
    }
}
