//! What does a generator send? One UDP datagram over IPv4 as small as Ethernet allows (RFC 791, RFC 768, IEEE 802.3).

use std::net::Ipv4Addr;

use frame::MacAddr;

/// The smallest frame without its FCS.
pub const SMALLEST: usize = 60;
const ETHERNET: usize = 14;
const IP: usize = 20;

/// One end of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Its interface's address.
    pub mac: MacAddr,
    /// Its IP address.
    pub ip: Ipv4Addr,
}

/// A frame of [`SMALLEST`] octets from one end to the other, both at this port; the UDP checksum is left out, and what
/// is no header is zeros.
pub fn smallest_udp(from: End, to: End, port: u16) -> Vec<u8> {
    let length = |octets: usize| (octets as u16).to_be_bytes();
    let mut ip = vec![0x45, 0];
    ip.extend(length(SMALLEST - ETHERNET));
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]); // no id, do not fragment, TTL 64, UDP, no checksum yet
    ip.extend(from.ip.octets().into_iter().chain(to.ip.octets()));
    let checksum = internet_checksum(&ip).to_be_bytes();
    ip.splice(10..12, checksum);
    let mut frame: Vec<u8> = to.mac.0.into_iter().chain(from.mac.0).chain([0x08, 0x00]).collect();
    frame.append(&mut ip);
    frame.extend(port.to_be_bytes().into_iter().chain(port.to_be_bytes()));
    frame.extend(length(SMALLEST - ETHERNET - IP).into_iter().chain([0, 0]));
    frame.resize(SMALLEST, 0);
    frame
}

/// RFC 1071, of an even number of octets.
fn internet_checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_what_a_stack_would_send() {
        let from = End { mac: MacAddr([2, 0, 0, 0, 0, 1]), ip: Ipv4Addr::new(10, 99, 0, 2) };
        let to = End { mac: MacAddr([2, 0, 0, 0, 0, 2]), ip: Ipv4Addr::new(10, 99, 0, 3) };
        let frame = smallest_udp(from, to, 9);
        let headers = [
            0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
            0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0x25, 0xf5, 10, 99, 0, 2, 10, 99, 0, 3, // IPv4
            0, 9, 0, 9, 0, 26, 0, 0, // UDP
        ];
        assert_eq!(frame[..42], headers);
        assert_eq!((frame.len(), frame[42..].iter().all(|octet| *octet == 0)), (60, true));
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        // RFC 1071, section 3: the sum of these is ddf2.
        assert_eq!(internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        let end = |last| End { mac: MacAddr([2; 6]), ip: Ipv4Addr::new(192, 168, 255, last) };
        assert_eq!(internet_checksum(&smallest_udp(end(1), end(255), 65_535)[14..34]), 0);
    }
}
