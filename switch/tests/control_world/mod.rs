//! A throwaway world for one test: a namespace for the switch, namespaces for containers, all held by descriptors alone,
//! so that they end with the test.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lanyard_switch::control::types::{EndpointInfo, EndpointSpec, NetworkSpec, PortState};
use lanyard_switch::control::{Switch, SwitchConfig};
use nix::sched::{CloneFlags, unshare};
use ports::link::{Link, Links};
use ports::netns::Namespace;

/// Tests count descriptors and interfaces: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Run a test on a thread in a namespace of its own, or say loudly that it was skipped.
pub(crate) fn in_a_world(test: impl FnOnce() + Send) {
    let _alone = alone();
    let ran = thread::scope(|scope| {
        let world = scope.spawn(|| {
            let made = unshare(CloneFlags::CLONE_NEWNET).map_err(std::io::Error::from);
            let tun = made.and_then(|()| std::fs::File::open("/dev/net/tun"));
            tun.map(|_| test())
        });
        world.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    if let Err(fault) = ran {
        assert!(std::env::var("LANYARD_REQUIRE").as_deref() != Ok("all"), "LANYARD_REQUIRE=all, but {fault}");
        // Past the test harness, which would keep it from whoever runs the tests.
        let _ = writeln!(std::io::stderr(), "SKIPPED: needs CAP_NET_ADMIN, CAP_SYS_ADMIN and /dev/net/tun ({fault})");
    }
}

/// A container: a namespace with nothing but `lo`.
pub(crate) struct Container(pub(crate) Namespace);

impl Container {
    pub(crate) fn new() -> Self {
        let namespace = Namespace::create().unwrap();
        namespace.enter(|| std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap()).unwrap();
        Self(namespace)
    }

    /// What a user would write for it.
    pub(crate) fn netns(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_fd().as_raw_fd())
    }

    pub(crate) fn links(&self) -> Links {
        Links::in_namespace(&self.0).unwrap()
    }

    pub(crate) fn link(&self, name: &str) -> Option<Link> {
        self.links().by_name(name).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.links())
    }
}

pub(crate) fn names(links: &Links) -> Vec<String> {
    links.list().unwrap().into_iter().map(|link| link.name).collect()
}

/// The names of the interfaces beside the switch itself.
pub(crate) fn home_names() -> Vec<String> {
    names(&Links::open().unwrap())
}

pub(crate) fn start(workers: usize, state_dir: Option<&std::path::Path>) -> Switch {
    Switch::start(SwitchConfig { workers, state_dir: state_dir.map(Into::into) }).unwrap()
}

pub(crate) fn network(value: serde_json::Value) -> NetworkSpec {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn endpoint(value: serde_json::Value) -> EndpointSpec {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn find(switch: &Switch, network: &str, endpoint: &str) -> EndpointInfo {
    let info = switch.network(network).unwrap();
    info.endpoints.into_iter().find(|found| found.endpoint == endpoint).unwrap()
}

/// Wait until the endpoint is in that state, and say how long it took.
pub(crate) fn wait_for(switch: &Switch, network: &str, endpoint: &str, state: PortState) -> Duration {
    let start = Instant::now();
    loop {
        let found = find(switch, network, endpoint);
        if found.state == state {
            return start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{endpoint} is {:?}, not {state:?}", found.state);
        thread::sleep(Duration::from_millis(1));
    }
}

/// What this process's descriptors are open on, sorted, without the numbers that differ from one to the next.
pub(crate) fn describe_descriptors() -> Vec<String> {
    let fds = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut list: Vec<String> = fds
        .filter_map(|fd| Some(std::fs::read_link(fd.ok()?.path()).ok()?.display().to_string()))
        .map(|target| target.split(":[").next().unwrap_or_default().to_owned())
        .collect();
    list.sort();
    list
}
