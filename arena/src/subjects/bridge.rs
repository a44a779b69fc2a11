//! The kernel's own bridge and two veth pairs: as plain as can be, and as Docker leaves it, with every frame of a
//! bridge visiting the packet filter (bridge-nf-call-iptables, `Documentation/networking/ip-sysctl.rst`).
//!
//! The rules are those that dockerd makes for one network with no published port. Not done: rules by nftables.

use std::fs;
use std::io;
use std::time::Duration;

use super::Joint;
use crate::place::{Container, SUBNET, frames_visit_netfilter, veth_pairs};
use crate::program::{PATIENCE, Program};

/// What the filtered one needs.
pub(super) const FILTERED: &[&str] = &["ip", "iptables-restore"];
const SETTING: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// It has no threads: senders and receivers do its work.
struct Kernel;

impl Joint for Kernel {
    fn cpu_time(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// No packet filter.
///
/// # Errors
/// What the kernel refused.
pub(super) fn plain(ends: &[Container]) -> io::Result<Box<dyn Joint>> {
    ip(&["link", "add", "br0", "type", "bridge"])?;
    ip(&["link", "set", "br0", "up"])?;
    for name in veth_pairs(ends)? {
        ip(&["link", "set", &name, "master", "br0"])?;
    }
    Ok(Box::new(Kernel))
}

/// With the packet filter and Docker's rules.
///
/// # Errors
/// The kernel has no `br_netfilter`, or refused something.
pub(super) fn filtered(ends: &[Container]) -> io::Result<Box<dyn Joint>> {
    if !fs::exists(SETTING)? {
        return Err(io::Error::other(format!("there is no {SETTING} (modprobe br_netfilter)")));
    }
    docker(ends)
}

/// Docker's rules, and what else dockerd finds here: without `br_netfilter` the frames of a bridge do not see them.
///
/// # Errors
/// What the kernel refused.
pub(super) fn docker(ends: &[Container]) -> io::Result<Box<dyn Joint>> {
    Program::here(&["iptables-restore"]).input(&rules())?.run(PATIENCE)?;
    let bridge = plain(ends)?;
    frames_visit_netfilter(true)?;
    Ok(bridge)
}

fn rules() -> String {
    format!(
        "*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {SUBNET} ! -o br0 -j MASQUERADE
-A DOCKER -i br0 -j RETURN
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o br0 -j DOCKER
-A FORWARD -i br0 ! -o br0 -j ACCEPT
-A FORWARD -i br0 -o br0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i br0 ! -o br0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o br0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
"
    )
}

/// The `ip` program: what makes bridges here.
fn ip(words: &[&str]) -> io::Result<()> {
    let words: Vec<&str> = ["ip"].into_iter().chain(words.iter().copied()).collect();
    Program::here(&words).run(PATIENCE).map(drop)
}
