//! Who puts the rules back when somebody removes them? [`Watch`]: a thread that hears of changes and looks.
//!
//! nftables tells of every change (multicast group `NFNLGRP_NFTABLES`), also of those that iptables-nft makes: a firewall's
//! reload, `nft flush ruleset`, dockerd that starts. Legacy iptables tells nobody, so while it is in use it is looked at
//! every two seconds; and so are the kernel's switches, which is a matter of a few small files.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::netlink::Netlink;
use crate::{Firewall, iptables};

/// `NFNLGRP_NFTABLES` is group 7.
const NFTABLES_GROUP: u32 = 1 << 6;
/// A reload is many changes; look when this long none came,
const QUIET: Duration = Duration::from_millis(100);
/// or after this long at the latest.
const HASTE: Duration = Duration::from_millis(600);
/// How often to look at what tells nobody.
const ROUND: Duration = Duration::from_secs(2);

/// Keeps the firewall's last plan in force, in the network namespace of the thread that started it, until dropped.
#[derive(Debug)]
pub struct Watch {
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// # Errors
    /// No netlink socket, or no thread.
    pub fn start(firewall: Arc<Firewall>) -> io::Result<Self> {
        let netlink = Netlink::open(NFTABLES_GROUP)?;
        let (stop, stopped) = UnixStream::pair()?;
        stopped.set_nonblocking(true)?;
        let work = move || watch(&firewall, netlink, &stopped);
        let thread = thread::Builder::new().name("rules".to_owned()).spawn(work)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It cannot fail but when the thread has ended already.
        let _ = self.stop.write_all(&[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the wait ended with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    Stopped,
    Changed,
    Nothing,
}

/// Somebody may remove the rules whenever they are put back. That is not worth all of a processor.
struct Quarrel {
    begun: Instant,
    rounds: u32,
}

impl Quarrel {
    /// Another round. Is it time to be slow?
    fn round(&mut self) -> bool {
        if self.begun.elapsed() > Duration::from_secs(60) {
            *self = Self { begun: Instant::now(), rounds: 0 };
        }
        self.rounds += 1;
        self.rounds > 30
    }
}

fn watch(firewall: &Firewall, mut netlink: Netlink, stopped: &UnixStream) {
    let mut failed = false;
    let mut quarrel = Quarrel { begun: Instant::now(), rounds: 0 };
    loop {
        let look = match wait(&mut netlink, stopped, ROUND) {
            Woken::Stopped => return,
            Woken::Changed => match settle(&mut netlink, stopped) {
                Woken::Stopped => return,
                Woken::Changed | Woken::Nothing => true,
            },
            Woken::Nothing => failed || iptables::legacy_in_use() || !firewall.switches_hold(),
        };
        if !look {
            continue;
        }
        match firewall.restore() {
            Ok(true) => {
                tracing::info!("the host's rules had been changed: put back");
                failed = false;
                if quarrel.round() && pause(stopped) {
                    return;
                }
            }
            Ok(false) => failed = false,
            Err(fault) => {
                if !failed {
                    tracing::warn!("the host's rules were changed and could not be put back, trying on: {fault}");
                }
                failed = true;
            }
        }
    }
}

/// Wait until the changes come to an end.
fn settle(netlink: &mut Netlink, stopped: &UnixStream) -> Woken {
    let begun = Instant::now();
    while begun.elapsed() < HASTE {
        match wait(netlink, stopped, QUIET) {
            Woken::Changed => {}
            end => return end,
        }
    }
    Woken::Changed
}

/// Be slow. Says whether to stop.
fn pause(mut stopped: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut fds, PollTimeout::try_from(ROUND).unwrap_or(PollTimeout::MAX));
    stopped.read(&mut [0]).is_ok()
}

fn wait(netlink: &mut Netlink, mut stopped: &UnixStream, time: Duration) -> Woken {
    let mut fds = [PollFd::new(netlink.fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
    let outcome = poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
    let changed = fds[0].revents().is_some_and(|events| !events.is_empty());
    let mut octet = [0];
    // An octet, or the other end is gone.
    if !matches!(stopped.read(&mut octet), Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
        return Woken::Stopped;
    }
    if outcome.is_err() || !changed {
        return Woken::Nothing;
    }
    if let Err(error) = netlink.drain() {
        tracing::warn!("no news of nftables: {error}");
    }
    Woken::Changed
}
