//! Which of the kernel's switches does a network need? Forwarding for the host, and a few for each gateway interface.
//!
//! `/proc/sys/net` is that of the calling thread's network namespace. See the kernel's ip-sysctl.rst.
//! Forwarding stays on when the rules go: others may have come to rely on it, and nobody can know. So does FORWARD's policy
//! DROP, which goes with it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::plan::is_v4;
use crate::{HostFault, HostNetwork, Plan};

const ROOT: &str = "/proc/sys/net";

/// A switch and what it was before.
#[derive(Debug)]
pub(crate) struct Change {
    path: PathBuf,
    before: String,
}

/// 127.0.0.1:PORT of the host reaches a container only over an interface that routes 127.0.0.0/8.
fn route_localnet(plan: &Plan, network: &HostNetwork) -> (String, &'static str) {
    let published = |port: &crate::Published| port.ifname == network.ifname && port.host_ip.is_ipv4();
    let local = network.forwards(true) && plan.published.iter().any(published);
    (format!("ipv4/conf/{}/route_localnet", network.ifname), if local { "1" } else { "0" })
}

/// The switches that `plan` needs, in the order in which they are set. Those that do not exist (no IPv6, no such
/// interface yet) are left out.
fn wanted(plan: &Plan) -> Vec<(PathBuf, &'static str)> {
    let mut wanted = Vec::new();
    for network in &plan.networks {
        let v4 = format!("ipv4/conf/{}", network.ifname);
        wanted.push(route_localnet(plan, network));
        wanted.push((format!("{v4}/send_redirects"), "0"));
        wanted.push((format!("{v4}/accept_redirects"), "0"));
        // A container is no router of the host's.
        let v6 = format!("ipv6/conf/{}", network.ifname);
        wanted.push((format!("{v6}/accept_ra"), "0"));
        wanted.push((format!("{v6}/accept_redirects"), "0"));
    }
    if plan.networks.iter().any(|network| network.forwards(true)) {
        wanted.push(("ipv4/ip_forward".to_owned(), "1"));
    }
    if plan.networks.iter().any(|network| network.forwards(false) && network.subnets.iter().any(|net| !is_v4(net))) {
        wanted.push(("ipv6/conf/all/forwarding".to_owned(), "1"));
    }
    let paths = wanted.into_iter().map(|(path, value)| (Path::new(ROOT).join(path), value));
    paths.filter(|(path, _)| path.exists()).collect()
}

/// For which families (IPv4 is `true`) does `plan` need forwarding turned on?
pub(crate) fn turned_on(plan: &Plan) -> Vec<bool> {
    let off = wanted(plan).into_iter().filter(|(path, value)| read(path).is_ok_and(|now| now != *value));
    off.filter_map(|(path, _)| match path {
        path if path.ends_with("ipv4/ip_forward") => Some(true),
        path if path.ends_with("ipv6/conf/all/forwarding") => Some(false),
        _ => None,
    })
    .collect()
}

/// A forwarding host ignores router advertisements where `accept_ra` is 1, and would lose its own default route; 2 keeps it.
fn keep_router_advertisements(changes: &mut Vec<Change>) -> Result<(), HostFault> {
    let Ok(interfaces) = fs::read_dir(Path::new(ROOT).join("ipv6/conf")) else { return Ok(()) };
    for interface in interfaces.flatten() {
        let path = interface.path().join("accept_ra");
        if interface.file_name() != "all" && read(&path).is_ok_and(|value| value == "1") {
            write(path, "2", changes)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, HostFault> {
    let value = fs::read_to_string(path).map_err(|source| HostFault::io(path.display().to_string(), source))?;
    Ok(value.trim().to_owned())
}

fn write(path: PathBuf, value: &str, changes: &mut Vec<Change>) -> Result<(), HostFault> {
    let before = read(&path)?;
    if before != value {
        fs::write(&path, value).map_err(|source| HostFault::io(path.display().to_string(), source))?;
        changes.push(Change { path, before });
    }
    Ok(())
}

/// Set what `plan` needs. What was changed is in `changes`, also when it failed half-way.
pub(crate) fn set(plan: &Plan, changes: &mut Vec<Change>) -> Result<(), HostFault> {
    for (path, value) in wanted(plan) {
        if path.ends_with("all/forwarding") && read(&path)? != value {
            keep_router_advertisements(changes)?;
        }
        write(path, value, changes)?;
    }
    Ok(())
}

/// Set those that depend on published ports. What was changed is in `changes`, also when it failed half-way.
pub(crate) fn set_published(plan: &Plan, changes: &mut Vec<Change>) -> Result<(), HostFault> {
    for network in &plan.networks {
        let (path, value) = route_localnet(plan, network);
        let path = Path::new(ROOT).join(path);
        if path.exists() {
            write(path, value, changes)?;
        }
    }
    Ok(())
}

/// Put back what was before. An interface that is gone took its switches along.
pub(crate) fn undo(changes: Vec<Change>) -> Result<(), HostFault> {
    for Change { path, before } in changes.into_iter().rev() {
        if path.exists() {
            fs::write(&path, before).map_err(|source| HostFault::io(path.display().to_string(), source))?;
        }
    }
    Ok(())
}

/// Is every switch as `plan` needs it?
pub(crate) fn holds(plan: &Plan) -> bool {
    wanted(plan).iter().all(|(path, value)| read(path).is_ok_and(|now| now == *value))
}
