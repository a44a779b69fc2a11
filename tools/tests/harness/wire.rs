//! How does a test send a frame of its own, and see the frames that arrive? AF_PACKET for the one, tcpdump for the other.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use frame::MacAddr;
use pnet::datalink::{self, Channel, Config};
use tempfile::TempDir;

use super::host::{Host, Running};
use super::wait_for;

/// A type that nobody speaks (IEEE 802, the first type for local experiments).
pub(crate) const EXPERIMENTAL: u16 = 0x88b5;

/// A frame of `payload` from `source` to `destination`.
pub(crate) fn frame(destination: MacAddr, source: MacAddr, payload: &[u8]) -> Vec<u8> {
    [&destination.0[..], &source.0, &EXPERIMENTAL.to_be_bytes(), payload].concat()
}

/// A frame whose payload is `text`, padded to the least length of a frame.
pub(crate) fn marked(destination: MacAddr, source: MacAddr, text: &str) -> Vec<u8> {
    let mut octets = frame(destination, source, text.as_bytes());
    octets.resize(octets.len().max(60), 0);
    octets
}

/// Send frames, as they are, out of an interface of a container.
pub(crate) fn send(host: &Host, frames: &[Vec<u8>]) {
    send_by(host, "eth0", frames).unwrap();
}

/// The same, by an interface of any name.
pub(crate) fn send_by(host: &Host, ifname: &str, frames: &[Vec<u8>]) -> std::io::Result<()> {
    host.inside(|| {
        let interface = datalink::interfaces().into_iter().find(|interface| interface.name == ifname);
        let config = Config { write_buffer_size: 65_536, ..Config::default() };
        let Channel::Ethernet(mut sender, _receiver) = datalink::channel(&interface.unwrap(), config)? else {
            panic!("not Ethernet");
        };
        frames.iter().try_for_each(|octets| sender.send_to(octets, None).unwrap())
    })
}

/// tcpdump on a container's interface: every frame that arrives, and no frame that leaves.
pub(crate) struct Sniffer {
    tcpdump: Running,
    file: PathBuf,
    _folder: TempDir,
}

impl Sniffer {
    /// Frames that arrive at `eth0`.
    pub(crate) fn start(host: &Host) -> Self {
        Self::start_by(host, "eth0", "")
    }

    /// Frames that arrive at an interface and pass a filter (pcap-filter(7)).
    pub(crate) fn start_by(host: &Host, ifname: &str, filter: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pcap");
        let mut command = host.command("tcpdump");
        // A longer snapshot makes for fewer places in the ring, and what does not fit there is missed.
        command.args(["-i", ifname]).args("-Q in -n -U -Z root --immediate-mode -s 2048 -B 16384".split(' '));
        command.arg("-w").arg(&file).args(filter.split_whitespace());
        let mut tcpdump = Running::start(&mut command);
        let mut said = BufReader::new(tcpdump.child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "tcpdump ended");
        }
        // Whoever does not read on stops the writer.
        thread::spawn(move || for _ in said.lines() {});
        Self { tcpdump, file, _folder: folder }
    }

    /// The file it writes, in pcap format.
    pub(crate) fn file(&self) -> &PathBuf {
        &self.file
    }

    /// Every frame so far.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        read_pcap(&fs::read(&self.file).unwrap())
    }

    /// How many frames so far carry this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.matching(|octets| contains(octets, text)).len()
    }

    /// The frames so far that `keep` keeps.
    pub(crate) fn matching(&self, keep: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        self.frames().into_iter().filter(|octets| keep(octets)).collect()
    }

    /// Wait until so many frames carry this text; a moment more, for those that should not come, and count again.
    pub(crate) fn expect(&self, text: &str, count: usize) {
        wait_for(&format!("{count} x '{text}'"), Duration::from_secs(5), || self.count(text) >= count);
        settle();
        assert_eq!(self.count(text), count, "'{text}'");
    }
}

/// Long enough for a frame that should not come to come.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(150));
}

pub(crate) fn contains(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The frames of a pcap file with little-endian headers; a record that is not whole yet is left out
/// (draft-ietf-opsawg-pcap).
fn read_pcap(file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = file.get(24..).unwrap_or_default();
    while let Some((header, body)) = rest.split_at_checked(16) {
        let length =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        assert_eq!(length(8), length(12), "a frame was cut");
        let Some((octets, more)) = body.split_at_checked(length(8)) else { break };
        frames.push(octets.to_vec());
        rest = more;
    }
    frames
}

/// What `tcpdump -vv` says of frames: it checks every checksum it knows.
pub(crate) fn explain(sniffer: &Sniffer) -> String {
    let words = ["-nn", "-vv", "-r"];
    let output = std::process::Command::new("tcpdump").args(words).arg(sniffer.file()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
