//! What is a whole machine, with a kernel of its own? Debian's kernel for virtual machines in qemu, which needs no acceleration
//! and no privileges. It runs one script and powers off; what the script writes comes out by a serial line.
//!
//! `tools/test` fetches the kernel and keeps it in the target folder. The machine ends when its process is dropped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod initramfs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::harness::{LANYARD, Running};
use initramfs::Initramfs;

/// Programs of this machine that a machine is made with.
pub(crate) const TOOLS: &[&str] = &["qemu-system-x86_64", "busybox", "ip", "ldd", "strip", "setpriv"];
/// Modules of the kernel's, each behind those that it needs.
const MODULES: &[&str] = &[
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/net/tun",
    "drivers/net/veth",
    "net/core/pktgen",
];
/// What busybox is in it, besides what its shell brings.
const APPLETS: &[&str] = &[
    "sh", "awk", "cat", "cp", "grep", "insmod", "kill", "ls", "mkdir", "mount", "poweroff", "sleep", "true", "usleep",
];
/// What the script begins with. `run NAME PROGRAM WORDS` is a section of what it says.
const BEGIN: &str = r#"#!/bin/sh
export PATH=/bin NO_COLOR=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /run; mount -t tmpfs tmp /tmp
mkdir -p /run/netns
load() { insmod /modules/$1.ko; }
run() { echo "== $1"; shift; "$@" 2>/run/err; code=$?; echo; echo "-- $code"; cat /run/err; }
"#;

/// What it ends with.
const END: &str = "run end true\npoweroff -f\n";

/// The folder of the kernel, if it has been fetched.
pub(crate) fn kernel() -> Option<PathBuf> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("debian-kernel");
    let images = fs::read_dir(kept).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    images.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("linux-image"))).max()
}

/// The one file below a folder for which `is_it` holds.
fn only(folder: &Path, is_it: impl Fn(&str) -> bool) -> PathBuf {
    let paths = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let found =
        paths.map(|entry| entry.unwrap().path()).find(|path| is_it(path.file_name().unwrap().to_str().unwrap()));
    found.unwrap_or_else(|| panic!("{} lacks a file", folder.display()))
}

/// A section of what a machine said.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) out: &'a str,
    pub(crate) code: i32,
    pub(crate) err: &'a str,
}

impl<'a> Section<'a> {
    /// What it wrote, if it ended well and wrote nothing to standard error.
    pub(crate) fn ok(self) -> &'a str {
        assert!(self.code == 0 && self.err.is_empty(), "{self:?}");
        self.out
    }

    /// The same as JSON.
    pub(crate) fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// All that a machine said.
pub(crate) struct Console(String);

impl Console {
    /// What stands under a name, between `== name` and `-- code` and behind that.
    pub(crate) fn section(&self, name: &str) -> Section<'_> {
        let begin = format!("== {name}\n");
        let (_, rest) = self.0.split_once(&begin).unwrap_or_else(|| panic!("no section {name} in:\n{}", self.0));
        let rest = rest.split_once("\n== ").map_or(rest, |(this, _)| this);
        let (out, end) = rest.split_once("\n-- ").unwrap_or_else(|| panic!("{name} does not end:\n{rest}"));
        let (code, err) = end.split_once('\n').unwrap_or((end, ""));
        Section { out: out.trim(), code: code.trim().parse().unwrap(), err: err.trim() }
    }
}

/// Boot a machine with two CPUs and two network cards, `eth0` and `eth1`, on one wire; let it run a script, and see what it says.
/// Fails after `patience`.
pub(crate) fn boot(kernel: &Path, script: &str, patience: Duration) -> Console {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("initramfs"), root(kernel, &folder, script)).unwrap();
    let image = only(&kernel.join("boot"), |name| name.starts_with("vmlinuz"));
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
    command.args([
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "512",
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
    ]);
    for card in ["a", "b"] {
        command.args(["-netdev", &format!("hubport,id={card},hubid=0")]);
        command.args(["-device", &format!("virtio-net-pci,netdev={card},romfile=")]);
    }
    command.arg("-serial").arg(format!("file:{}", folder.path().join("console").display()));
    command.arg("-kernel").arg(image).arg("-initrd").arg(folder.path().join("initramfs"));
    command.args(["-append", "console=ttyS0 quiet loglevel=1 panic=-1"]);
    let machine = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()));
    let said = || fs::read_to_string(folder.path().join("console")).unwrap_or_default().replace('\r', "");
    let told = TellOnPanic(&said);
    let outcome = machine.finish(patience);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    drop(told);
    let console = Console(said());
    assert_eq!(console.section("end").code, 0, "it did not come to its end");
    console
}

/// Where a machine does not end well, what it said so far is worth more than that.
struct TellOnPanic<'a>(&'a dyn Fn() -> String);

impl Drop for TellOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the machine said:\n{}", (self.0)());
        }
    }
}

/// The root file system: the program under test without what debuggers need, `ip`, a shell, modules and the script.
fn root(kernel: &Path, folder: &TempDir, script: &str) -> Vec<u8> {
    let lanyard = folder.path().join("lanyard");
    let stripped = Command::new("strip").arg("-o").arg(&lanyard).arg(LANYARD).status().expect("strip");
    assert!(stripped.success());
    let mut root = Initramfs::new();
    for mount_point in ["proc", "sys", "run", "tmp", "bin", "modules"] {
        root.folder(mount_point);
    }
    root.program("bin/lanyard", &lanyard);
    for program in ["ip", "busybox"] {
        let found = Command::new("which").arg(program).output().expect("which").stdout;
        root.program(&format!("bin/{program}"), Path::new(String::from_utf8(found).unwrap().trim()));
    }
    for applet in APPLETS {
        root.link(&format!("bin/{applet}"), "busybox");
    }
    let modules = only(&kernel.join("lib/modules"), |_| true).join("kernel");
    for module in MODULES {
        let (_, name) = module.rsplit_once('/').unwrap();
        root.file(&format!("modules/{name}.ko"), &fs::read(modules.join(format!("{module}.ko"))).expect(module));
    }
    let names = MODULES.iter().filter_map(|module| Some(module.rsplit_once('/')?.1)).filter(|name| *name != "pktgen");
    let load: Vec<_> = names.map(|name| format!("load {name}")).collect();
    root.file("init", format!("{BEGIN}{}\n{script}\n{END}", load.join("\n")).as_bytes());
    root.finish()
}
