//! What does a machine begin with? A root file system in memory, as the kernel unpacks it: an archive of the form "newc"
//! (Documentation/driver-api/early-userspace/buffer-format.rst), with programs, the libraries they need, and a first program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_755;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive that grows.
pub(crate) struct Initramfs {
    octets: Vec<u8>,
    entries: u32,
    have: BTreeSet<String>,
}

impl Initramfs {
    /// One with a console and nothing else.
    pub(crate) fn new() -> Self {
        let mut new = Self { octets: Vec::new(), entries: 0, have: BTreeSet::new() };
        new.folder("dev");
        new.entry("dev/console", CHARACTER_DEVICE, &[], (5, 1));
        new
    }

    /// A folder, with those above it.
    pub(crate) fn folder(&mut self, path: &str) {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.folder(above);
        }
        if self.have.insert(path.to_owned()) {
            self.entry(path, FOLDER, &[], (0, 0));
        }
    }

    /// A file that may be run, unless it is there already.
    pub(crate) fn file(&mut self, path: &str, octets: &[u8]) {
        self.folder(path.rsplit_once('/').map_or("bin", |(folder, _)| folder));
        if self.have.insert(path.to_owned()) {
            self.entry(path, FILE, octets, (0, 0));
        }
    }

    /// A name for what is at `target`.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        if self.have.insert(path.to_owned()) {
            self.entry(path, LINK, target.as_bytes(), (0, 0));
        }
    }

    /// A program of this machine's at `path`, with the libraries it is linked with.
    pub(crate) fn program(&mut self, path: &str, from: &Path) {
        self.file(path, &read(from));
        for library in libraries(from) {
            let name = library.to_str().unwrap().trim_start_matches('/').to_owned();
            self.file(&name, &read(&library));
        }
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[], (0, 0));
        self.octets
    }

    fn entry(&mut self, path: &str, mode: u32, octets: &[u8], device: (u32, u32)) {
        self.entries += 1;
        let length = u32::try_from(octets.len()).unwrap();
        let name_length = u32::try_from(path.len()).unwrap() + 1;
        // Number, mode, user, group, links, time, length, the device it is on and the one it is, name, no checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, device.0, device.1, name_length, 0];
        self.octets.extend(b"070701");
        self.octets.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
        self.octets.extend(path.as_bytes());
        self.octets.push(0);
        self.pad();
        self.octets.extend(octets);
        self.pad();
    }

    fn pad(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The libraries that a program is linked with, from lines as `libc.so.6 => /lib/libc.so.6 (0x...)` and
/// `/lib64/ld-linux-x86-64.so.2 (0x...)`; none of one that needs none.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    text.lines().filter_map(path).collect()
}
