//! How does one look at what passes a port? By wrapping it: [`Captured`] writes every frame that is received or taken
//! to a classic pcap file (draft-ietf-opsawg-pcap; `LINKTYPE_ETHERNET`, microseconds), which Wireshark and tcpdump read.
//!
//! Frames are written as they pass: a super-frame is one long frame, an unfinished checksum looks wrong to Wireshark.
//! The format has no field for the direction.
//!
//! Not done: pcapng, comments and decisions, which are `trace`'s work.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use frame::Batch;

use crate::losses::Losses;
use crate::{Port, Sent};

/// Octets of a frame that are written at most. tcpdump's own default, above the longest frame of a port.
pub const SNAPLEN: u32 = 262_144;
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
const LINKTYPE_ETHERNET: u32 = 1;

/// A port whose frames are also written to `W`.
pub struct Captured<P, W, C> {
    port: P,
    out: W,
    clock: C,
    fault: Option<io::Error>,
}

impl<P: Port, W: Write + Send, C: FnMut() -> Duration + Send> Captured<P, W, C> {
    /// Write the file's header to `out` and every frame of `port` after it, stamped with what `clock` says: the time
    /// since 1970, asked once a burst.
    ///
    /// # Errors
    /// The header could not be written.
    pub fn new(port: P, mut out: W, clock: C) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC_MICROSECONDS.to_ne_bytes());
        header.extend(VERSION[0].to_ne_bytes());
        header.extend(VERSION[1].to_ne_bytes());
        // Time zone and accuracy of the stamps: always zero.
        header.extend([0; 8]);
        header.extend(SNAPLEN.to_ne_bytes());
        header.extend(LINKTYPE_ETHERNET.to_ne_bytes());
        out.write_all(&header)?;
        Ok(Self { port, out, clock, fault: None })
    }

    /// What ended the capture, if anything did. The port itself goes on without it.
    pub fn fault(&self) -> Option<&io::Error> {
        self.fault.as_ref()
    }

    /// End the capture: the port and the writer, flushed.
    ///
    /// # Errors
    /// What ended the capture earlier, or the error of flushing.
    pub fn finish(mut self) -> io::Result<(P, W)> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.out.flush().map(|()| (self.port, self.out)),
        }
    }

    fn write<'a>(&mut self, frames: impl Iterator<Item = &'a [u8]>) {
        if self.fault.is_none() {
            let now = (self.clock)();
            self.fault = frames.map(|octets| record(&mut self.out, now, octets)).find_map(Result::err);
        }
    }
}

fn record(out: &mut impl Write, now: Duration, octets: &[u8]) -> io::Result<()> {
    let kept = &octets[..octets.len().min(SNAPLEN as usize)];
    let fields = [now.as_secs() as u32, now.subsec_micros(), kept.len() as u32, octets.len() as u32];
    let mut header = [0; 16];
    for (place, field) in header.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field.to_ne_bytes());
    }
    out.write_all(&header)?;
    out.write_all(kept)
}

impl<P: Port, W: Write + Send, C: FnMut() -> Duration + Send> Port for Captured<P, W, C> {
    fn name(&self) -> &str {
        self.port.name()
    }

    fn takes_offload(&self) -> bool {
        self.port.takes_offload()
    }

    fn recv(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let before = batch.len();
        let result = self.port.recv(batch);
        if batch.len() > before {
            self.write(batch.iter().skip(before).map(frame::Frame::octets));
        }
        result
    }

    fn send(&mut self, batch: &Batch, picks: &[u16]) -> io::Result<Sent> {
        let sent = self.port.send(batch, picks)?;
        if sent.taken > 0 {
            self.write(picks[..sent.taken].iter().map(|&pick| batch[pick as usize].octets()));
        }
        Ok(sent)
    }

    fn losses(&self) -> Option<Arc<Losses>> {
        self.port.losses()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.port.fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;
    use frame::OffloadHeader;

    const NOW: Duration = Duration::new(1_700_000_000, 123_456_789);

    fn word(file: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(file[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn both_directions_are_in_the_file() {
        let (mut queues, peer) = memory::pair("m0", 1, 1, false).unwrap();
        let mut port = Captured::new(queues.remove(0), Vec::new(), || NOW).unwrap();
        let octets: Vec<u8> = (0..60).collect();
        peer.send(&octets, OffloadHeader::NONE);
        let mut batch = Batch::with_capacity(2);
        assert_eq!(port.recv(&mut batch).unwrap(), 1);
        assert_eq!(port.recv(&mut batch).unwrap(), 0);
        assert_eq!(port.send(&batch, &[0, 0]).unwrap().taken, 1, "the second does not fit and is not written");
        let (_, file) = port.finish().unwrap();
        assert_eq!((word(&file, 0), word(&file, 16), word(&file, 20)), (0xa1b2_c3d4, 262_144, 1));
        assert_eq!(file.len(), 24 + 2 * (16 + 60));
        for at in [24, 24 + 76] {
            let stamp = (word(&file, at), word(&file, at + 4), word(&file, at + 8), word(&file, at + 12));
            assert_eq!(stamp, (1_700_000_000, 123_456, 60, 60));
            assert_eq!(file[at + 16..at + 76], octets);
        }
    }

    #[test]
    fn a_full_disk_ends_the_capture_and_not_the_port() {
        let (mut queues, peer) = memory::pair("m0", 1, 4, false).unwrap();
        let mut disk = [0_u8; 24 + 16 + 10];
        let mut port = Captured::new(queues.remove(0), &mut disk[..], || NOW).unwrap();
        let mut batch = Batch::with_capacity(4);
        for _ in 0..2 {
            peer.send(&[7; 60], OffloadHeader::NONE);
            assert_eq!(port.recv(&mut batch).unwrap(), 1);
        }
        assert_eq!(port.fault().unwrap().kind(), io::ErrorKind::WriteZero);
        assert!(port.finish().is_err());
    }
}
