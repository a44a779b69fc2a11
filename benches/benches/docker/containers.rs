//! How do containers and their networks come and go? By Docker's API, without its client.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{PATIENCE, World, until};

/// Longer than that moment.
const SETTLE: Duration = Duration::from_secs(30);

/// What containers are joined by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Driver {
    /// Nothing: `--network none`.
    Nothing,
    /// Docker's own bridge driver: a network that a user makes, so that it has names, too.
    Bridge,
    /// Lanyard's.
    Lanyard,
}

impl Driver {
    /// The two that are compared.
    pub(crate) const BOTH: [Self; 2] = [Self::Bridge, Self::Lanyard];

    /// As Docker calls it, and the network of this benchmark that has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Bridge => "bridge",
            Self::Lanyard => "lanyard",
        }
    }

    const fn network(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Bridge => "bench-bridge",
            Self::Lanyard => "bench-lanyard",
        }
    }

    /// The gateway of its network; where there is none, what answers as fast.
    pub(crate) const fn gateway(self) -> &'static str {
        match self {
            Self::Nothing => "127.0.0.1",
            Self::Bridge => "10.98.0.1",
            Self::Lanyard => "10.99.0.1",
        }
    }

    /// Make its network.
    ///
    /// # Errors
    /// Docker's words.
    pub(crate) fn create(self, world: &World) -> io::Result<()> {
        let gateway = self.gateway();
        let subnet = format!("{}/16", gateway.trim_end_matches(".1").to_owned() + ".0");
        let ipam = json!({ "Driver": "default", "Config": [{ "Subnet": subnet, "Gateway": gateway }] });
        let asked = json!({ "Name": self.network(), "Driver": self.name(), "IPAM": ipam, "CheckDuplicate": true });
        world.docker.tell("POST", "/networks/create", &asked).map(drop)
    }

    /// Remove its network. Docker answers that a container is removed a moment before its endpoint is.
    ///
    /// # Errors
    /// Docker's words.
    pub(crate) fn remove(self, world: &World) -> io::Result<()> {
        let mut last = Ok(());
        let removed = until(SETTLE, || {
            last = world.docker.ask("DELETE", &format!("/networks/{}", self.network())).map(drop);
            Ok(last.is_ok())
        });
        removed.or(last)
    }
}

/// What a container is to be.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) driver: Driver,
    /// A shell's line.
    pub(crate) script: String,
    /// Its TCP port 80 is to be the host's, at any number.
    pub(crate) publish: bool,
    /// It goes when it ends.
    pub(crate) passing: bool,
}

/// It says `ready` when its gateway has answered for the first time, and stays.
pub(crate) fn says_ready(driver: Driver) -> String {
    let gateway = driver.gateway();
    format!("until ping -c 1 -W 1 {gateway} > /dev/null 2>&1; do :; done; echo ready; exec sleep 100000")
}

/// A container that is there. Its id.
///
/// # Errors
/// Docker's words.
pub(crate) fn create(world: &World, wanted: &Wanted) -> io::Result<String> {
    let ports = if wanted.publish { json!({ "80/tcp": [{}] }) } else { json!({}) };
    let exposed = if wanted.publish { json!({ "80/tcp": {} }) } else { json!({}) };
    let host = json!({
        "NetworkMode": wanted.driver.network(), "PortBindings": ports, "AutoRemove": wanted.passing,
    });
    let asked = json!({
        "Image": "busybox", "Cmd": ["sh", "-c", wanted.script], "HostConfig": host, "ExposedPorts": exposed,
    });
    let made = world.docker.tell("POST", &format!("/containers/create?name={}", wanted.name), &asked)?;
    made["Id"].as_str().map(str::to_owned).ok_or_else(|| io::Error::other("Docker has made a container without an id"))
}

/// Start it.
///
/// # Errors
/// Docker's words.
pub(crate) fn start(world: &World, container: &str) -> io::Result<()> {
    world.docker.ask("POST", &format!("/containers/{container}/start")).map(drop)
}

/// Kill and remove it. Killed by itself first: of many that are removed by force at once, Docker 20.10 forgets to take
/// some off their network.
///
/// # Errors
/// Docker's words.
pub(crate) fn remove(world: &World, container: &str) -> io::Result<()> {
    world.docker.ask("POST", &format!("/containers/{container}/stop?t=0"))?;
    world.docker.ask("DELETE", &format!("/containers/{container}?force=1")).map(drop)
}

/// When it has said `ready`, seconds of the day by dockerd's clock.
///
/// # Errors
/// It does not, in time.
pub(crate) fn ready(world: &World, container: &str) -> io::Result<f64> {
    let mut at = None;
    let said = until(PATIENCE, || {
        at = world.said(container)?.into_iter().find(|(_, line)| line == "ready").map(|(time, _)| time);
        Ok(at.is_some())
    });
    let never = || io::Error::new(io::ErrorKind::TimedOut, "a container does not reach its gateway");
    said.map_err(|_| never())?;
    at.ok_or_else(never)
}

/// The file that stands for the network namespace of a container that runs, in the world's mounts.
///
/// # Errors
/// It does not run.
pub(crate) fn sandbox(world: &World, container: &str) -> io::Result<String> {
    let known: Value = world.docker.ask("GET", &format!("/containers/{container}/json"))?;
    let key = known["NetworkSettings"]["SandboxKey"].as_str().filter(|key| !key.is_empty());
    key.map(str::to_owned).ok_or_else(|| io::Error::other(format!("{container} has no network namespace")))
}

/// The address of a container that runs.
///
/// # Errors
/// It has none.
pub(crate) fn address(world: &World, container: &str, driver: Driver) -> io::Result<String> {
    let known: Value = world.docker.ask("GET", &format!("/containers/{container}/json"))?;
    let address = known["NetworkSettings"]["Networks"][driver.network()]["IPAddress"].as_str();
    address.map(str::to_owned).ok_or_else(|| io::Error::other(format!("{container} has no address")))
}

/// Do `work` for each of `all`, `parallel` at a time.
///
/// # Errors
/// The first that `work` has met; the others are done all the same.
pub(crate) fn each<T: Sync>(all: &[T], parallel: usize, work: impl Fn(&T) -> io::Result<()> + Sync) -> io::Result<()> {
    let (next, first) = (AtomicUsize::new(0), Mutex::new(Ok(())));
    thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = work(one) {
                        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                        if first.is_ok() {
                            *first = Err(error);
                        }
                    }
                }
            });
        }
    });
    first.into_inner().unwrap_or_else(PoisonError::into_inner)
}
