//! Where do the lab's hosts live? Each in a network namespace of its own, held open by an anchor process; all of them,
//! and the switch, in namespaces that the lab made and that end with it.
//!
//! As root these are plain network namespaces; anybody else gets a user namespace around them, in which an ordinary
//! user may do what a network needs (`user_namespaces(7)`). Nothing of the machine's own network is touched, and nothing is
//! left when the lab ends, however it ends: an anchor reads from a pipe that only the lab holds, sees its end and ends
//! too, and the kernel takes the namespaces, the interfaces and the addresses away with the last process in them.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};

use frame::MacAddr;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, getgid, getuid};

use super::plan::HostPlan;

/// The hidden subcommand that makes a process an anchor.
pub(crate) const ANCHOR: &str = "__anchor";

/// Leave the machine's own network: from here on, this process is in a network namespace of its own, and root in it.
///
/// Call it before any thread is started: a process with threads cannot enter a user namespace.
///
/// # Errors
/// One line that says what is not allowed, and the mend.
pub(super) fn enter_own_namespaces() -> Result<(), String> {
    let (uid, gid) = (getuid(), getgid());
    if Uid::effective().is_root() {
        return unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("no network namespace can be made ({error}): it needs CAP_SYS_ADMIN"));
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|error| {
        format!(
            "this machine lets no ordinary user make a user namespace ({error}): run it as root, or allow them \
             (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
        )
    })?;
    let map = |path: &str, text: String| {
        fs::write(path, text).map_err(|error| format!("{path} cannot be written ({error}): run it as root"))
    };
    map("/proc/self/setgroups", "deny".to_owned())?;
    map("/proc/self/uid_map", format!("0 {uid} 1"))?;
    map("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// May this process open `/dev/net/tun`? Where not, the lab uses veths, which a user namespace always can.
pub(super) fn can_open_tun() -> bool {
    fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok()
}

/// A host of the lab.
pub(super) struct Host {
    /// `h1`, `h2`, ...
    pub(super) name: String,
    /// The network it is on.
    pub(super) network: String,
    /// Its address.
    pub(super) ip: Ipv4Addr,
    /// Its MAC address.
    pub(super) mac: MacAddr,
    anchor: Child,
    // Held open: its end is what ends the anchor.
    _lifeline: ChildStdin,
}

impl Host {
    /// Start a host: an anchor process in a network namespace of its own, without any interface but `lo` yet.
    ///
    /// # Errors
    /// When the process cannot be started or has no namespace to live in.
    pub(super) fn start(plan: &HostPlan) -> io::Result<Self> {
        let name = plan.name.as_str();
        let mut anchor =
            Command::new("/proc/self/exe").args([ANCHOR, name]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(lifeline), Some(output)) = (anchor.stdin.take(), anchor.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut answer = String::new();
        BufReader::new(output).read_line(&mut answer)?;
        if answer.trim() != "ready" {
            let _ = anchor.kill();
            let _ = anchor.wait();
            return Err(io::Error::other(format!("host {name} did not start: {}", answer.trim())));
        }
        let (name, network) = (name.to_owned(), plan.network.clone());
        Ok(Self { name, network, ip: plan.ip, mac: plan.mac, anchor, _lifeline: lifeline })
    }

    /// The anchor's process id, which names the host's namespaces.
    pub(super) fn pid(&self) -> u32 {
        self.anchor.id()
    }

    /// Frames that the host's own kernel has received on `eth0`, from `/proc/PID/net/dev` (`proc_net_dev(5)`).
    pub(super) fn received_frames(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/net/dev", self.pid())).ok()?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.anchor.kill();
        let _ = self.anchor.wait();
    }
}

/// What an anchor does: take a network namespace of its own, say `ready`, and wait until the lab is gone.
pub(crate) fn be_anchor() -> ExitCode {
    if let Err(why) = prepare_host() {
        println!("{why}");
        return ExitCode::FAILURE;
    }
    println!("ready");
    let mut nothing = [0; 64];
    let mut stdin = io::stdin();
    while stdin.read(&mut nothing).is_ok_and(|count| count > 0) {}
    ExitCode::SUCCESS
}

fn prepare_host() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("no network namespace can be made: {error}"))?;
    let links = ports::link::Links::open().map_err(|error| error.to_string())?;
    if let Ok(Some(lo)) = links.by_name("lo") {
        let _ = links.set_up(lo.index); // a host without loopback is a host all the same
    }
    // A quiet host sends only what the story tells: no IPv6 router solicitations, and no second thoughts about
    // a neighbor (RFC 4861's DELAY state) while it runs. Kernels without IPv6 have no such setting.
    for (setting, value) in [
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv4/neigh/default/delay_first_probe_time", "60"),
    ] {
        let _ = fs::write(format!("/proc/sys/net/{setting}"), value);
    }
    Ok(())
}
