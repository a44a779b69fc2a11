//! How is a frame known again? By 18 octets at its very end: as many as the smallest frame has room for behind an IPv4 and a
//! UDP header, or behind an ARP packet.
//!
//! ```text
//!  0      2        3      4            9              15       18
//!  | mark | stream | port | number, 40 | due time, 48 | check, 24 |      big endian
//! ```
//! The mark is of one run, so that frames of another are not taken for its own. The check is the end of a CRC-32 (IEEE
//! 802.3) over all that follows the Ethernet header and its tags, but for what is changed on the way: the TTL or hop limit and
//! IPv4's header checksum count as zero, and so does the check itself. The UDP checksum behind an IPv6 header counts as zero,
//! too: it covers the check, so that each would have to be there before the other. It is written last.
//!
//! Not done: the addresses are not checked; a frame with a damaged destination is lost or comes out of a wrong port. Damage to
//! nothing but the UDP checksum of IPv6 goes unseen here, and the receiving stack drops such a frame.

use frame::ethernet::{self, ether_type};

/// Octets of a signature.
pub const SIGNATURE_OCTETS: usize = 18;
/// Octets of it that are the check.
const CHECK_OCTETS: usize = 3;
/// The largest frame number.
pub const MOST_NUMBER: u64 = (1 << 40) - 1;
/// The latest due time, nanoseconds since the start of the run: 78 hours.
pub const LATEST_NS: u64 = (1 << 48) - 1;

/// What a frame says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    /// The run it is of.
    pub mark: u16,
    /// The stream it is of.
    pub stream: u8,
    /// The receiving port where it should come out; [`ANY_PORT`] for a frame that is to be flooded.
    pub port: u8,
    /// How many of its stream went before; 40 bits.
    pub number: u64,
    /// When it was due to be sent, nanoseconds since the start of the run; 48 bits.
    pub due_ns: u64,
}

/// The frame should come out of every port.
pub const ANY_PORT: u8 = u8::MAX;

/// What is wrong with a frame's signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsigned {
    /// It is too short to have one, or has another run's or none.
    Foreign,
    /// It has one of this run's, and is not what was sent.
    Damaged,
}

/// Sign a whole frame, from its destination address on. A frame too short for that is left as it is.
pub fn sign(octets: &mut [u8], signature: Signature) {
    let Some(at) = octets.len().checked_sub(SIGNATURE_OCTETS) else { return };
    let Signature { mark, stream, port, number, due_ns } = signature;
    octets[at..at + 2].copy_from_slice(&mark.to_be_bytes());
    octets[at + 2] = stream;
    octets[at + 3] = port;
    octets[at + 4..at + 9].copy_from_slice(&number.min(MOST_NUMBER).to_be_bytes()[3..]);
    octets[at + 9..at + 15].copy_from_slice(&due_ns.min(LATEST_NS).to_be_bytes()[2..]);
    let check = check(octets);
    octets[at + 15..].copy_from_slice(&check);
}

/// Read the signature of a frame of the run `mark`.
///
/// # Errors
/// [`Unsigned`].
pub fn read(octets: &[u8], mark: u16) -> Result<Signature, Unsigned> {
    let Some((_, tail)) = octets.split_last_chunk::<SIGNATURE_OCTETS>() else { return Err(Unsigned::Foreign) };
    let [m0, m1, stream, port, n0, n1, n2, n3, n4, d0, d1, d2, d3, d4, d5, checked @ ..] = *tail;
    if u16::from_be_bytes([m0, m1]) != mark {
        return Err(Unsigned::Foreign);
    }
    if check(octets) != checked {
        return Err(Unsigned::Damaged);
    }
    let number = u64::from_be_bytes([0, 0, 0, n0, n1, n2, n3, n4]);
    let due_ns = u64::from_be_bytes([0, 0, d0, d1, d2, d3, d4, d5]);
    Ok(Signature { mark, stream, port, number, due_ns })
}

/// The check of a frame that is long enough for a signature.
fn check(octets: &[u8]) -> [u8; CHECK_OCTETS] {
    const UDP: u8 = 17;
    let end = octets.len() - CHECK_OCTETS;
    let (kind, at) = ethernet::payload(octets).unwrap_or((0, ethernet::HEADER_OCTETS));
    let packet = octets.get(at.min(end)..end).unwrap_or_default();
    let mut crc = crc32fast::Hasher::new();
    let mut rest = packet;
    // What counts as zero, up to the end of the part that has it.
    let changes: &[usize] = match kind {
        ether_type::IPV4 => &[8, 10, 11],
        ether_type::IPV6 if packet.get(6) == Some(&UDP) && packet.len() >= 48 => &[7, 46, 47],
        ether_type::IPV6 => &[7],
        _ => &[],
    };
    if let Some(last) = changes.last()
        && let Some((head, behind)) = packet.split_at_checked(last + 1)
    {
        let mut head_copy = [0; 48];
        head_copy[..head.len()].copy_from_slice(head);
        for at in changes {
            head_copy[*at] = 0;
        }
        crc.update(&head_copy[..head.len()]);
        rest = behind;
    }
    crc.update(rest);
    let [_, check @ ..] = crc.finalize().to_be_bytes();
    check
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_signature() -> impl Strategy<Value = Signature> {
        (any::<u16>(), any::<u8>(), any::<u8>(), 0..=MOST_NUMBER, 0..=LATEST_NS)
            .prop_map(|(mark, stream, port, number, due_ns)| Signature { mark, stream, port, number, due_ns })
    }

    /// Any payload behind an Ethernet header of that type.
    fn frame(ether_type: u16, payload: &[u8]) -> Vec<u8> {
        [&[2; 12][..], &ether_type.to_be_bytes(), payload, &[0; SIGNATURE_OCTETS]].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_signed_is_read(signature in any_signature(), kind in any::<u16>(), payload in prop::collection::vec(any::<u8>(), 0..90)) {
            let mut octets = frame(kind, &payload);
            sign(&mut octets, signature);
            prop_assert_eq!(read(&octets, signature.mark), Ok(signature));
            prop_assert_eq!(read(&octets, signature.mark ^ 1), Err(Unsigned::Foreign));
        }

        /// A CRC finds every change of a single bit; cut to 24 bits it finds nearly all.
        #[test]
        fn a_bit_turned_over_is_found(signature in any_signature(), payload in prop::collection::vec(any::<u8>(), 28..90), place in 0usize..1000) {
            let mut octets = frame(0x88b5, &payload);
            sign(&mut octets, signature);
            let mark = octets.len() - SIGNATURE_OCTETS;
            let place = 14 + place % (octets.len() - 14);
            octets[place] ^= 1 << (place % 8);
            let expected = if (mark..mark + 2).contains(&place) { Unsigned::Foreign } else { Unsigned::Damaged };
            prop_assert_eq!(read(&octets, signature.mark), Err(expected));
        }

        #[test]
        fn garbage_is_foreign_or_damaged(octets in prop::collection::vec(any::<u8>(), 0..200), mark in any::<u16>()) {
            let _ = read(&octets, mark);
        }
    }

    /// But for the hop limit, the UDP checksum is the only place of a packet where damage goes unseen; and it is one of UDP
    /// over IPv6 only.
    #[test]
    fn an_ipv6_udp_checksum_may_come_after() {
        let signature = Signature { mark: 7, stream: 1, port: 2, number: 3, due_ns: 4 };
        for next_header in [17, 6] {
            let mut octets = frame(0x86dd, &[next_header; 52]);
            sign(&mut octets, signature);
            let unseen = (14..octets.len()).filter(|at| {
                let mut changed = octets.clone();
                changed[*at] ^= 0x40;
                read(&changed, 7) == Ok(signature)
            });
            let expected: &[usize] = if next_header == 17 { &[14 + 7, 14 + 46, 14 + 47] } else { &[14 + 7] };
            assert_eq!(unseen.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_router_changes_nothing_that_is_checked() {
        let signature = Signature { mark: 7, stream: 1, port: 2, number: 3, due_ns: 4 };
        for (kind, changes, kept) in [(0x0800, &[8, 10, 11][..], 9), (0x86dd, &[7], 6)] {
            let mut octets = frame(kind, &[0x45; 48]);
            sign(&mut octets, signature);
            for at in changes {
                octets[14 + at] ^= 0xff;
            }
            octets[..12].fill(9);
            assert_eq!(read(&octets, 7), Ok(signature));
            octets[14 + kept] ^= 1;
            assert_eq!(read(&octets, 7), Err(Unsigned::Damaged));
        }
    }
}
