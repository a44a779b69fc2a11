//! Which frames are in a capture file? Of pcapng and of the older pcap, whoever wrote it; only Ethernet frames. A frame that
//! was cut (Lanyard's own captures keep [`trace::SNAP_OCTETS`] of each) comes with the length that it had.
//!
//! pcap: draft-ietf-opsawg-pcap. pcapng: [`trace::pcapng`].
//!
//! Not done: files larger than [`MOST_OCTETS`], other link types than Ethernet.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use trace::Octets;
use trace::pcapng::{Direction, ReadError, Reader};

use crate::failure::{Failure, one_line};

/// The largest file that is read.
pub(crate) const MOST_OCTETS: u64 = 256 << 20;

const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
/// `LINKTYPE_ETHERNET`
const ETHERNET: u32 = 1;

/// A frame of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// What was kept of it.
    pub(crate) octets: Octets,
    /// How many octets it had.
    pub(crate) length: u32,
    /// When it was seen: nanoseconds since 1970-01-01 UTC.
    pub(crate) at_unix_ns: u64,
}

/// A file's octets.
///
/// # Errors
/// It cannot be read, or is larger than [`MOST_OCTETS`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = one_line(&path.display().to_string());
    let fault = |error: std::io::Error| Failure::work(&name, error);
    let mut octets = Vec::new();
    File::open(path).map_err(fault)?.take(MOST_OCTETS + 1).read_to_end(&mut octets).map_err(fault)?;
    if octets.len() as u64 > MOST_OCTETS {
        return Err(Failure::Work(format!("{name} is larger than {} MiB: cut it with editcap", MOST_OCTETS >> 20)));
    }
    Ok(octets)
}

/// The frames of a capture file, in the order they stand there. Of a trace of Lanyard's own, those that came in.
///
/// # Errors
/// The file cannot be read, or is no capture of Ethernet frames.
pub(crate) fn frames(path: &Path) -> Result<Vec<Captured>, Failure> {
    let octets = read(path)?;
    let found = if is_pcap(&octets) { pcap(&octets) } else { pcapng(&octets) };
    let name = one_line(&path.display().to_string());
    match found {
        Ok(frames) if frames.is_empty() => Err(Failure::Work(format!("{name} holds no frame"))),
        Ok(frames) => Ok(frames),
        Err(why) => Err(Failure::Work(format!("{name}: {why}"))),
    }
}

/// Does a pcap file begin so: in either byte order, with microseconds or with nanoseconds (draft-ietf-opsawg-pcap, 4)?
pub(crate) fn is_pcap(octets: &[u8]) -> bool {
    const MAGICS: [[u8; 4]; 4] =
        [[0xa1, 0xb2, 0xc3, 0xd4], [0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0x3c, 0x4d], [0x4d, 0x3c, 0xb2, 0xa1]];
    MAGICS.iter().any(|magic| octets.starts_with(magic))
}

fn pcap(octets: &[u8]) -> Result<Vec<Captured>, String> {
    let little = matches!(octets.first(), Some(0xd4 | 0x4d));
    let word = |at: usize| {
        let octets = octets.get(at..at + 4)?.first_chunk::<4>()?;
        Some(if little { u32::from_le_bytes(*octets) } else { u32::from_be_bytes(*octets) })
    };
    match word(20).map(|link| link & 0xffff) {
        None => return Err("the file ends within its header".to_owned()),
        Some(ETHERNET) => {}
        Some(link) => return Err(not_ethernet(link)),
    }
    // The magic number says whether times are counted in microseconds or in nanoseconds.
    let fraction_ns = if matches!(octets, [0x4d, ..] | [0xa1, 0xb2, 0x3c, ..]) { 1 } else { 1000 };
    let (mut frames, mut at) = (Vec::new(), FILE_HEADER);
    while at < octets.len() {
        let (Some(kept), Some(whole)) = (word(at + 8), word(at + 12)) else {
            return Err(format!("the file ends within the packet header at octet {at}"));
        };
        let begin = at + PACKET_HEADER;
        let end = begin.saturating_add(kept as usize);
        let Some(frame) = octets.get(begin..end) else {
            return Err(format!("the packet at octet {at} says that it has {kept} octets, more than the file"));
        };
        let (seconds, fraction) = (word(at).unwrap_or_default(), word(at + 4).unwrap_or_default());
        let at_unix_ns = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * fraction_ns;
        frames.push(Captured { octets: frame.into(), length: whole, at_unix_ns });
        at = end;
    }
    Ok(frames)
}

fn not_ethernet(link: u32) -> String {
    format!("its frames are of link type {link}, not Ethernet")
}

fn pcapng(octets: &[u8]) -> Result<Vec<Captured>, String> {
    let fault = |error: ReadError| error.to_string();
    let mut reader = Reader::new(octets);
    let mut frames = Vec::new();
    while let Some(packet) = reader.packet().map_err(fault)? {
        let link = u32::from(packet.interface.link_type);
        if link != ETHERNET {
            return Err(not_ethernet(link));
        }
        if packet.direction != Some(Direction::Out) {
            let (octets, length) = (packet.octets.as_slice().into(), packet.original_octets);
            frames.push(Captured { octets, length, at_unix_ns: packet.at_unix_ns });
        }
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const MICROSECONDS: u32 = 0xa1b2_c3d4;
    const NANOSECONDS: u32 = 0xa1b2_3c4d;

    /// The n-th packet is of n seconds and n microseconds or nanoseconds.
    fn file(little: bool, magic: u32, link: u32, packets: &[(&[u8], u32)]) -> Vec<u8> {
        let word = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let mut octets = word(magic).to_vec();
        octets.extend([0; 16]);
        octets.extend(word(link));
        for (number, (packet, whole)) in (1..).zip(packets) {
            octets.extend([number, number].map(word).concat());
            octets.extend(word(packet.len() as u32));
            octets.extend(word(*whole));
            octets.extend(*packet);
        }
        octets
    }

    #[test]
    fn pcap_of_either_byte_order_is_read() {
        for (little, magic, fraction_ns) in
            [(true, MICROSECONDS, 1000), (false, MICROSECONDS, 1000), (true, NANOSECONDS, 1), (false, NANOSECONDS, 1)]
        {
            let file = file(little, magic, 1, &[(&[1; 60], 60), (&[2; 14], 1500)]);
            assert!(is_pcap(&file));
            let frame = |octet: u8, kept, length| {
                let at_unix_ns = u64::from(octet) * (1_000_000_000 + fraction_ns);
                Captured { octets: Octets(vec![octet; kept]), length, at_unix_ns }
            };
            assert_eq!(pcap(&file), Ok(vec![frame(1, 60, 60), frame(2, 14, 1500)]));
        }
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        let whole = file(true, MICROSECONDS, 1, &[(&[1; 60], 60)]);
        for (octets, why) in [
            (file(true, MICROSECONDS, 113, &[]), "link type 113"),
            (whole[..20].to_vec(), "within its header"),
            (whole[..30].to_vec(), "within the packet header at octet 24"),
            (whole[..80].to_vec(), "more than the file"),
        ] {
            let refused = pcap(&octets).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    /// Section header, one interface of that link type, one simple packet of 60 octets (pcapng, 4.1, 4.2, 4.4).
    fn pcapng_of(link: u16) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let length = (body.len() as u32 + 12).to_le_bytes();
            [&kind.to_le_bytes()[..], &length, body, &length].concat()
        };
        let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        let interface = [&link.to_le_bytes()[..], &[0, 0], &0_u32.to_le_bytes()].concat();
        let packet = [&60_u32.to_le_bytes()[..], &[7; 60]].concat();
        [block(0x0a0d_0d0a, &section), block(1, &interface), block(3, &packet)].concat()
    }

    #[test]
    fn only_ethernet_is_asked_about() {
        assert_eq!(
            pcapng(&pcapng_of(1)),
            Ok(vec![Captured { octets: Octets(vec![7; 60]), length: 60, at_unix_ns: 0 }])
        );
        // What `tcpdump -i any` writes.
        assert!(pcapng(&pcapng_of(113)).unwrap_err().contains("link type 113, not Ethernet"));
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_more(noise in vec(any::<u8>(), 0..400), at in 0usize..60) {
            let _ = pcapng(&noise);
            let mut broken = file(true, MICROSECONDS, 1, &[(&[1; 60], 60), (&[2; 60], 60)]);
            for (place, octet) in noise.iter().enumerate() {
                if let Some(place) = broken.get_mut(at + place * 3) {
                    *place = *octet;
                }
            }
            if let Ok(frames) = pcap(&broken) {
                prop_assert!(frames.iter().map(|frame| frame.octets.0.len()).sum::<usize>() <= broken.len());
            }
        }
    }
}
