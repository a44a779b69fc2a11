//! Open vSwitch's userspace datapath (`datapath_type=netdev`, ovs-vswitchd.conf.db(5)), its own database and daemon for
//! each subject, as it is without further settings: one learning bridge, the action NORMAL.
//!
//! Unless `userspace-tso-enable` is set, it passes frames on as they are and finishes nobody's checksum: over veths no
//! TCP gets through until the containers send finished frames, so their transmit offload is turned off, and TSO with
//! it. Its TAPs never offer it. Frames of a container thus are at most MTU-sized here.
//!
//! Not done: DPDK, which needs huge pages and a card or a vhost-user guest; more polling threads than the default.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Joint, Processes};
use crate::place::{Container, ETH, veth_pairs};
use crate::program::{FOLDER, PATIENCE, Program, Running};

/// What must be installed.
pub(super) const PROGRAMS: &[&str] = &["ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ethtool"];
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Files and sockets of the one that runs.
struct Daemons {
    folder: String,
    /// The daemon that switches, then the one that has the database.
    running: Processes,
}

impl Daemons {
    fn start() -> io::Result<Self> {
        // Several may run at a time.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let folder = format!("{FOLDER}/ovs{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut daemons = Self { folder, running: Processes(Vec::new()) };
        daemons.clear()?;
        fs::create_dir_all(&daemons.folder)?;
        let folder = daemons.folder.clone();
        let file = |name: &str| format!("{folder}/{name}");
        let (database, socket) = (file("conf.db"), file("db.sock"));
        daemons.program(&["ovsdb-tool", "create", &database, SCHEMA]).run(PATIENCE)?;
        let (remote, control) = (format!("--remote=punix:{socket}"), format!("--unixctl={}", file("db.ctl")));
        let server = daemons.program(&["ovsdb-server", &database, &remote, &control]).start()?;
        daemons.add(server, &socket)?;
        daemons.vsctl(&["--no-wait", "init"])?;
        let (database, socket) = (format!("unix:{socket}"), file("switch.ctl"));
        let control = format!("--unixctl={socket}");
        let switch = daemons.program(&["ovs-vswitchd", &database, &control]).start()?;
        daemons.add(switch, &socket)?;
        daemons.vsctl(&["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"])?;
        Ok(daemons)
    }

    fn add(&mut self, mut daemon: Running, makes: &str) -> io::Result<()> {
        let made = daemon.makes(makes);
        self.running.0.insert(0, daemon);
        made
    }

    /// A program that finds everything it looks for in the folder.
    fn program(&self, words: &[&str]) -> Program {
        let folders = ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"];
        folders.into_iter().fold(Program::here(words), |program, name| program.environment(name, &self.folder))
    }

    /// Change or ask the database, and wait for the daemon to follow.
    fn vsctl(&self, words: &[&str]) -> io::Result<String> {
        let database = format!("--db=unix:{}/db.sock", self.folder);
        let words: Vec<&str> = ["ovs-vsctl", "-t", "10", &database].into_iter().chain(words.iter().copied()).collect();
        self.program(&words).run(PATIENCE)
    }

    /// A port of the bridge.
    fn port(&self, name: &str, kind: &str) -> io::Result<()> {
        let kind = format!("type={kind}");
        self.vsctl(&["add-port", "br0", name, "--", "set", "interface", name, &kind])?;
        // The daemon follows even where it could not.
        let error = self.vsctl(&["get", "interface", name, "error"])?;
        let error = error.trim().trim_matches('"');
        if error == "[]" { Ok(()) } else { Err(io::Error::other(format!("ovs-vswitchd: {error}"))) }
    }

    fn clear(&self) -> io::Result<()> {
        if fs::exists(&self.folder)? { fs::remove_dir_all(&self.folder) } else { Ok(()) }
    }
}

impl Joint for Daemons {
    fn cpu_time(&self) -> io::Result<Option<Duration>> {
        self.running.cpu_time()
    }

    fn check(&mut self) -> io::Result<()> {
        self.running.check()
    }
}

/// Over TAPs of its own, which become the containers' `eth0`.
///
/// # Errors
/// What one of its programs said.
pub(super) fn tap(ends: &[Container]) -> io::Result<Box<dyn Joint>> {
    let daemons = Daemons::start()?;
    for (number, end) in ends.iter().enumerate() {
        let name = format!("port{number}");
        daemons.port(&name, "internal")?;
        end.take(&name)?;
        end.address()?;
    }
    Ok(Box::new(daemons))
}

/// Over veths, read by this type of interface: `system` is `AF_PACKET`, `afxdp` is `AF_XDP`.
///
/// # Errors
/// What one of its programs said.
pub(super) fn veth(ends: &[Container], kind: &str) -> io::Result<Box<dyn Joint>> {
    let daemons = Daemons::start()?;
    let names = veth_pairs(ends)?;
    for (end, name) in ends.iter().zip(names) {
        end.program(&["ethtool", "-K", ETH, "tx", "off"]).run(PATIENCE)?;
        daemons.port(&name, kind)?;
    }
    Ok(Box::new(daemons))
}
