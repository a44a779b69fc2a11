//! How do a plan's rules come into force? [`Firewall`]: all of them or none, and everything as before if one part fails.
//!
//! The order: the kernel's switches, our nftables table in one transaction, then each iptables that is in use, each in
//! one transaction. Between our table and iptables' chain nothing passes that shall not, for our table drops.
//!
//! Where we turn forwarding on, FORWARD's policy becomes DROP before, as with dockerd: a host that did not forward shall not
//! forward for everybody because it has a network. Both stay when the rules go. Where forwarding was on, the policy is its
//! owner's.
//!
//! Where only published ports differ, their elements are all that is written, by one program: many containers may start
//! at once, and each is waited for. Whether somebody has meanwhile removed other rules is then for [`Watch`] to see.
//!
//! [`Watch`]: crate::Watch

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::elements::{Elements, Listing, change_text};
use crate::iptables::{self, Filter, Tables};
use crate::programs::{self, nft_list, nft_load};
use crate::rules::{TABLE, elements, table_text};
use crate::sysctl;
use crate::{HostFault, Plan};

/// The host's rules. Everything acts on the network namespace of the calling thread, which has to be the same each time.
#[derive(Debug, Default)]
pub struct Firewall {
    applied: Mutex<Option<Arc<Applied>>>,
}

/// What was put into force last.
#[derive(Debug)]
struct Applied {
    plan: Plan,
    /// The interfaces of dockerd's bridges at that time.
    bridges: Vec<String>,
    /// The published ports in our table.
    elements: Elements,
    /// Our table, as nft prints it.
    listing: Listing,
}

impl Applied {
    /// `plan`, whose networks are the same, in the place of this: one transaction of one program.
    fn republish(&self, plan: &Plan) -> Result<Self, HostFault> {
        let wanted = elements(plan);
        let change = change_text(&self.elements, &wanted);
        if !change.is_empty() {
            nft_load(&change)?;
        }
        let mut changes = Vec::new();
        if let Err(fault) = sysctl::set_published(plan, &mut changes) {
            // What follows is a whole apply, which fails for the same reason and undoes the rest.
            sysctl::undo(changes)?;
            return Err(fault);
        }
        let listing = self.listing.changed(&self.elements, &wanted);
        Ok(Self { plan: plan.clone(), bridges: self.bridges.clone(), elements: wanted, listing })
    }
}

/// The host's rules as they are.
struct Host {
    table: Option<String>,
    filters: Vec<(Tables, Filter)>,
}

impl Host {
    fn look() -> Result<Self, HostFault> {
        Self::with_table(nft_list(&["table", "inet", TABLE])?)
    }

    /// With our table as it is known to be: to list it is the dearest part when many ports are published.
    fn with_table(table: Option<String>) -> Result<Self, HostFault> {
        let chains = nft_list(&["chains"])?.unwrap_or_default();
        Ok(Self { table, filters: iptables::look(&chains)? })
    }

    fn bridges(&self, plan: &Plan) -> Vec<String> {
        let all: BTreeSet<&String> = self.filters.iter().flat_map(|(_, filter)| &filter.bridges).collect();
        all.into_iter().filter(|name| plan.network(name).is_none()).cloned().collect()
    }

    /// Is it as it was applied?
    fn holds(&self, applied: &Applied) -> bool {
        sysctl::holds(&applied.plan)
            && self.table.as_ref().is_some_and(|table| Listing::parse(table) == applied.listing)
            && self.bridges(&applied.plan) == applied.bridges
            && self.filters.iter().all(|(_, filter)| filter.holds(&iptables::rules(&applied.plan, filter)))
    }

    /// Make the host's rules as they are here, so far as they are ours.
    fn put_back(&self) -> Result<(), HostFault> {
        for (tables, filter) in &self.filters {
            tables.put_back(filter)?;
        }
        let table = self.table.as_deref().unwrap_or_default();
        nft_load(&format!("add table inet {TABLE}\ndelete table inet {TABLE}\n{table}"))
    }
}

impl Firewall {
    /// # Errors
    /// `nft` is not on this host.
    pub fn open() -> Result<Self, HostFault> {
        match programs::find("nft") {
            Some(_) => Ok(Self::default()),
            None => Err(HostFault::NoProgram { program: "nft".to_owned(), package: "nftables" }),
        }
    }

    /// Put `plan` into force, in the place of whatever was. If it is in force already, nothing is written. If it differs from
    /// the last plan in published ports alone, only those are written, and nothing else is looked at.
    ///
    /// # Errors
    /// The plan contradicts itself, or a program or the kernel refused; then everything is as it was before.
    pub fn apply(&self, plan: &Plan) -> Result<(), HostFault> {
        plan.check()?;
        let mut applied = self.lock();
        if let Some(last) = applied.as_ref().filter(|last| last.plan != *plan && last.plan.networks == plan.networks) {
            match last.republish(plan) {
                Ok(now) => {
                    *applied = Some(Arc::new(now));
                    return Ok(());
                }
                Err(fault) => tracing::debug!("the ports alone could not be changed, so all rules are: {fault}"),
            }
        }
        let host = match applied.as_ref() {
            Some(last) if last.plan != *plan => Host::with_table(Some(table_text(&last.plan, &last.bridges)))?,
            Some(last) => {
                let host = Host::look()?;
                if host.holds(last) {
                    return Ok(());
                }
                host
            }
            None => Host::look()?,
        };
        *applied = Some(Arc::new(put(plan, &host)?));
        Ok(())
    }

    /// Put the last plan back into force if it no longer is. Says whether there was anything to do.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub fn restore(&self) -> Result<bool, HostFault> {
        // To look takes long, and those who publish ports must not wait for it. They may overtake.
        for _ in 0..3 {
            let Some(last) = self.lock().clone() else { return Ok(false) };
            let host = Host::look()?;
            if host.holds(&last) {
                return Ok(false);
            }
            let mut applied = self.lock();
            if applied.as_ref().is_some_and(|now| Arc::ptr_eq(now, &last)) {
                *applied = Some(Arc::new(put(&last.plan, &host)?));
                return Ok(true);
            }
        }
        let mut applied = self.lock();
        let Some(last) = applied.as_ref() else { return Ok(false) };
        let host = Host::look()?;
        if host.holds(last) {
            return Ok(false);
        }
        let now = put(&last.plan, &host)?;
        *applied = Some(Arc::new(now));
        Ok(true)
    }

    /// Remove every rule of ours, also those of an earlier process. Forwarding stays on, and with it FORWARD's policy.
    ///
    /// # Errors
    /// A program or the kernel refused; everything that could be removed is.
    pub fn clear(&self) -> Result<(), HostFault> {
        let mut applied = self.lock();
        let chains = nft_list(&["chains"])?.unwrap_or_default();
        // What lets pass goes before what drops.
        let mut outcome = Ok(());
        for tables in iptables::in_use(&chains) {
            match tables.remove() {
                // Never ours: see `iptables::look`.
                Err(HostFault::Refused { .. } | HostFault::NoProgram { .. })
                    if !tables.legacy && !chains.contains("LANYARD-FORWARD") => {}
                removed => outcome = outcome.and(removed),
            }
        }
        outcome = outcome.and(nft_load(&format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")));
        *applied = None;
        outcome
    }

    /// Is the last plan in force, all of it? `false` also if there is none.
    ///
    /// # Errors
    /// The rules could not be read.
    pub fn verify(&self) -> Result<bool, HostFault> {
        let applied = self.lock();
        let Some(last) = applied.as_ref() else { return Ok(false) };
        Ok(Host::look()?.holds(last))
    }

    /// Are the kernel's switches as the last plan needs them? Reads a few files and runs nothing.
    pub(crate) fn switches_hold(&self) -> bool {
        self.lock().as_ref().is_none_or(|applied| sysctl::holds(&applied.plan))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Applied>>> {
        // What it guards is replaced as a whole, so a panic elsewhere leaves it whole.
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of the host was changed beside rules of ours.
#[derive(Default)]
struct Done {
    switches: Vec<sysctl::Change>,
    /// The families whose FORWARD drops now and did not; IPv4 is `true`.
    closed: Vec<bool>,
}

impl Done {
    fn undo(self, host: &Host) -> Result<(), HostFault> {
        let mut outcome = sysctl::undo(self.switches).and(host.put_back());
        if self.closed.is_empty() {
            return outcome;
        }
        for v4 in self.closed {
            outcome = outcome.and(iptables::open_forward(v4));
        }
        // An iptables that was not in use before.
        let chains = nft_list(&["chains"])?.unwrap_or_default();
        let new = iptables::in_use(&chains).into_iter().filter(|new| host.filters.iter().all(|(old, _)| old != new));
        new.fold(outcome, |outcome, tables| outcome.and(tables.remove()))
    }
}

fn put(plan: &Plan, host: &Host) -> Result<Applied, HostFault> {
    let mut done = Done::default();
    let fault = match put_parts(plan, host, &mut done) {
        Ok(applied) => return Ok(applied),
        Err(fault) => fault,
    };
    match done.undo(host) {
        Ok(()) => Err(fault),
        Err(undoing) => Err(HostFault::NotUndone { fault: Box::new(fault), undoing: Box::new(undoing) }),
    }
}

fn put_parts(plan: &Plan, host: &Host, done: &mut Done) -> Result<Applied, HostFault> {
    let bridges = host.bridges(plan);
    // Rules first: from the moment that the host forwards, they hold.
    nft_load(&table_text(plan, &bridges))?;
    for v4 in sysctl::turned_on(plan) {
        if iptables::close_forward(v4)? {
            done.closed.push(v4);
        }
    }
    // To close it may have made iptables' tables, which have to let our networks pass then.
    let closed = if done.closed.is_empty() { None } else { Some(Host::with_table(None)?.filters) };
    for (tables, filter) in closed.as_ref().unwrap_or(&host.filters) {
        let rules = iptables::rules(plan, filter);
        if !filter.holds(&rules) {
            tables.put(filter, &rules)?;
        }
    }
    sysctl::set(plan, &mut done.switches)?;
    let listing = nft_list(&["table", "inet", TABLE])?.unwrap_or_default();
    Ok(Applied { plan: plan.clone(), bridges, elements: elements(plan), listing: Listing::parse(&listing) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostNetwork, Protocol, Published};

    fn plan(ports: &[(u16, u16)]) -> Plan {
        let published = |&(host_port, container_port): &(u16, u16)| Published {
            ifname: "ly-a".to_owned(),
            container: "10.1.0.2".parse().unwrap(),
            container_port,
            protocol: Protocol::Tcp,
            host_ip: "0.0.0.0".parse().unwrap(),
            host_port,
        };
        let network = HostNetwork::new("ly-a", vec!["10.1.0.0/24".parse().unwrap()], vec![]);
        Plan { networks: vec![network], published: ports.iter().map(published).collect() }
    }

    /// How many programs it takes to have `ports`; then everything holds.
    #[track_caller]
    fn programs_for(firewall: &Firewall, ports: &[(u16, u16)]) -> usize {
        let before = programs::runs();
        firewall.apply(&plan(ports)).unwrap();
        let runs = programs::runs() - before;
        assert!(firewall.verify().unwrap(), "{ports:?}");
        runs
    }

    #[test]
    fn ports_are_published_by_one_program() {
        if programs::find("nft").is_none() || !nix::unistd::geteuid().is_root() {
            assert!(std::env::var("LANYARD_REQUIRE").is_err(), "this needs nft and root");
            println!("SKIPPED: ports_are_published_by_one_program needs nft and root");
            return;
        }
        // A thread of its own, for its network namespace goes with it.
        let work = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let firewall = Firewall::open().unwrap();
            assert!(programs_for(&firewall, &[]) > 1, "the first plan is put in whole");
            let same: Vec<(u16, u16)> = (5000..5010).map(|port| (port, port)).collect();
            let steps: [&[(u16, u16)]; 7] =
                [&[(8080, 80)], &[(8080, 81), (8081, 81)], &same[..4], &same, &same[3..7], &[(5003, 80)], &[]];
            for ports in steps {
                assert_eq!(programs_for(&firewall, ports), 1, "{ports:?}");
            }
            nft_load(&format!("delete table inet {TABLE}")).unwrap();
            assert!(programs_for(&firewall, &[(8080, 80)]) > 1, "the table was gone");
            nft_load(&format!("flush map inet {TABLE} ports4_any")).unwrap();
            assert!(!firewall.verify().unwrap(), "a port is gone");
            assert!(firewall.restore().unwrap() && firewall.verify().unwrap());
            firewall.clear().unwrap();
        };
        std::thread::spawn(work).join().unwrap();
    }
}
