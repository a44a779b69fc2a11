//! Lanyard as `lanyard run` starts it, with its defaults: the same control makes the same network and the same ports.
//! It runs within this process, so that nothing has to be installed; its threads are known by not having been there
//! before.

use std::collections::BTreeSet;
use std::io;
use std::process;
use std::time::Duration;

use crate::threads::{cpu_time_of, threads_of};
use switch::control::types::{EndpointSpec, NetworkSpec, PortKind};
use switch::control::{Switch, SwitchConfig};

use super::Joint;
use crate::place::{Container, MTU, SUBNET};

const NETWORK: &str = "arena";

struct Lanyard {
    switch: Switch,
    threads: BTreeSet<u32>,
}

/// Two ports of this kind.
///
/// # Errors
/// The switch's own words.
pub(super) fn join(ends: &[Container], kind: PortKind, workers: usize) -> io::Result<Box<dyn Joint>> {
    let before = threads_of(process::id())?;
    let switch = Switch::start(SwitchConfig { workers, state_dir: None }).map_err(io::Error::other)?;
    // From here on, whatever fails takes down what is there.
    let mut lanyard = Lanyard { switch, threads: BTreeSet::new() };
    let mut network = NetworkSpec::named(NETWORK);
    network.subnet = SUBNET.parse().ok();
    network.mtu = Some(MTU);
    lanyard.switch.create_network(&network).map_err(io::Error::other)?;
    for (number, end) in ends.iter().enumerate() {
        let mut spec = EndpointSpec::in_namespace(&end.path());
        spec.endpoint = Some(format!("end{number}"));
        spec.ip = Some(end.ip.into());
        spec.kind = kind;
        lanyard.switch.connect(NETWORK, &spec).map_err(io::Error::other)?;
    }
    lanyard.threads = &threads_of(process::id())? - &before;
    Ok(Box::new(lanyard))
}

impl Joint for Lanyard {
    fn cpu_time(&self) -> io::Result<Option<Duration>> {
        cpu_time_of(&self.threads).map(Some)
    }

    /// A worker that fails ends the process.
    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Lanyard {
    fn drop(&mut self) {
        if let Err(fault) = self.switch.stop_and_remove() {
            eprintln!("lanyard: {fault}");
        }
    }
}
