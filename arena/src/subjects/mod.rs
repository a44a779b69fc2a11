//! What is compared? Ways to join containers, each with what it needs to be installed.

mod bridge;
mod lanyard;
mod ovs;
mod vde;

use std::io;
use std::time::Duration;

use crate::threads::{cpu_time_of, threads_of};
use ports::netns::Namespace;
use switch::control::types::PortKind;

use super::place::{self, Container};
use super::program::{Running, missing};

/// What joins containers, while it does.
pub trait Joint {
    /// CPU time that its own threads have used; `None` where it has none and the senders and receivers do its work.
    ///
    /// # Errors
    /// What `/proc` does not tell.
    fn cpu_time(&self) -> io::Result<Option<Duration>>;

    /// Does it still run?
    ///
    /// # Errors
    /// Its last words.
    fn check(&mut self) -> io::Result<()>;
}

type Join = fn(&[Container]) -> io::Result<Box<dyn Joint>>;

/// One way to join them.
pub struct Subject {
    /// As in `--only`.
    pub name: &'static str,
    /// As people read it.
    pub words: &'static str,
    /// What must be installed.
    programs: &'static [&'static str],
    join: Join,
}

/// What everything is a ratio to.
pub const REFERENCE: &str = "bridge";

/// All there are, in the order of the tables.
pub static ALL: [Subject; 12] = [
    subject(REFERENCE, "Linux bridge", &["ip"], bridge::plain),
    subject("bridge+nf", "Linux bridge, netfilter", bridge::FILTERED, bridge::filtered),
    subject("lanyard-tap-1", "Lanyard tap, 1 worker", &[], |ends| lanyard::join(ends, PortKind::Tap, 1)),
    subject("lanyard-tap-2", "Lanyard tap, 2 workers", &[], |ends| lanyard::join(ends, PortKind::Tap, 2)),
    subject("lanyard-veth-1", "Lanyard veth, 1 worker", &[], |ends| lanyard::join(ends, PortKind::Veth, 1)),
    subject("lanyard-veth-2", "Lanyard veth, 2 workers", &[], |ends| lanyard::join(ends, PortKind::Veth, 2)),
    subject("lanyard-xdp-1", "Lanyard xdp, 1 worker", &[], |ends| lanyard::join(ends, PortKind::Xdp, 1)),
    subject("lanyard-xdp-2", "Lanyard xdp, 2 workers", &[], |ends| lanyard::join(ends, PortKind::Xdp, 2)),
    subject("ovs-tap", "Open vSwitch tap", ovs::PROGRAMS, ovs::tap),
    subject("ovs-packet", "Open vSwitch AF_PACKET", ovs::PROGRAMS, |ends| ovs::veth(ends, "system")),
    subject("ovs-xdp", "Open vSwitch AF_XDP", ovs::PROGRAMS, |ends| ovs::veth(ends, "afxdp")),
    subject("vde", "VDE", &["vde_switch", "vde_plug2tap"], vde::join),
];

/// The kernel's bridge with Docker's rules, and with its frames visiting them where the kernel can: what dockerd makes here.
pub static DOCKER0: Subject = subject("docker0", "bridge with Docker's rules", bridge::FILTERED, bridge::docker);

const fn subject(name: &'static str, words: &'static str, programs: &'static [&'static str], join: Join) -> Subject {
    Subject { name, words, programs, join }
}

/// Those that somebody means by `name`: the one that is called so, or else all whose names begin with it and a dash.
///
/// # Errors
/// There is none: a sentence with all names.
pub fn named(name: &str) -> Result<Vec<&'static Subject>, String> {
    let beginning = format!("{name}-");
    let exact: Vec<_> = ALL.iter().filter(|subject| subject.name == name).collect();
    let group: Vec<_> = ALL.iter().filter(|subject| subject.name.starts_with(&beginning)).collect();
    match (exact.is_empty(), group.is_empty()) {
        (false, _) => Ok(exact),
        (true, false) => Ok(group),
        (true, true) => {
            let names: Vec<&str> = ALL.iter().map(|subject| subject.name).collect();
            Err(format!("'{name}' is none of {}", names.join(", ")))
        }
    }
}

impl Subject {
    /// Why it cannot be measured here, known before it is tried.
    pub fn missing(&self) -> Option<String> {
        missing(self.programs)
    }

    /// Join so many containers by it, in a network namespace that the calling thread is in from now on.
    ///
    /// # Errors
    /// What the kernel or the switch said.
    pub fn build(&self, containers: u8) -> io::Result<World> {
        place::fresh_network()?;
        let home = Namespace::current()?;
        let ends = Container::some(containers)?;
        let joint = (self.join)(&ends)?;
        let mut world = World { joint, ends, _home: home };
        world.warm_up()?;
        Ok(world)
    }
}

/// Containers and what joins them. It is taken down when this is dropped: first what joins them, then they.
pub struct World {
    /// What joins them.
    pub joint: Box<dyn Joint>,
    /// The client's end first, then the server's, then bystanders.
    pub ends: Vec<Container>,
    /// Held while the thread that built it may have gone elsewhere.
    _home: Namespace,
}

impl World {
    /// Wait until something gets through.
    ///
    /// # Errors
    /// Nothing does, in time, or the switch has ended.
    pub fn warm_up(&mut self) -> io::Result<()> {
        self.joint.check()?;
        // A switch that has ended since says more than that nothing gets through.
        place::warm_up(&self.ends).or_else(|error| self.joint.check().and(Err(error)))
    }
}

/// What joins them by processes of its own.
struct Processes(Vec<Running>);

impl Joint for Processes {
    fn cpu_time(&self) -> io::Result<Option<Duration>> {
        let mut total = Duration::ZERO;
        for process in &self.0 {
            total += cpu_time_of(&threads_of(process.id())?)?;
        }
        Ok(Some(total))
    }

    fn check(&mut self) -> io::Result<()> {
        self.0.iter_mut().try_for_each(Running::still_runs)
    }
}
