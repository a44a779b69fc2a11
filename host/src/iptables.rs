//! What does iptables have to let pass? A chain `LANYARD-FORWARD` at the top of FORWARD, in every iptables that is in use.
//!
//! dockerd sets FORWARD's policy to DROP, and a drop there holds whatever our own table says. There may be four of them:
//! iptables and ip6tables, each as `iptables-nft` (nftables' table `ip filter`) and `iptables-legacy`
//! (`/proc/net/ip_tables_names`). One that is not in use is not touched, for listing alone would create its tables.
//!
//! What dockerd's bridges are concerned with is left to dockerd's own chains; users' rules in DOCKER-USER are obeyed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use crate::{HostFault, Plan};
use crate::{netlink, programs};

const FORWARD: &str = "LANYARD-FORWARD";
const ACCEPT: &str = "LANYARD-ACCEPT";
const JUMP: &str = "-A FORWARD -j LANYARD-FORWARD";

/// How long, in seconds, iptables may wait for its lock.
const LOCK_WAIT_S: &str = "2";

/// Jumps that dockerd puts at the top of FORWARD and moves there again: they may stand before ours, for none of those
/// chains judges interfaces that are not dockerd's, and DOCKER-USER is to be obeyed anyway.
const BEFORE: [&str; 4] = ["DOCKER-USER", "DOCKER-FORWARD", "DOCKER-ISOLATION-STAGE-1", "DOCKER-INGRESS"];

/// One of the four iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) legacy: bool,
    pub(crate) v4: bool,
}

impl Tables {
    pub(crate) const ALL: [Self; 4] = [
        Self { legacy: false, v4: true },
        Self { legacy: false, v4: false },
        Self { legacy: true, v4: true },
        Self { legacy: true, v4: false },
    ];

    pub(crate) fn program(self) -> String {
        let family = if self.v4 { "iptables" } else { "ip6tables" };
        format!("{family}-{}", if self.legacy { "legacy" } else { "nft" })
    }

    /// Is its table `filter` there, with a FORWARD chain? `chains` is what `nft list chains` says.
    fn in_use(self, chains: &str) -> bool {
        if self.legacy {
            let file = if self.v4 { "ip_tables_names" } else { "ip6_tables_names" };
            // Of the calling thread's namespace, which need not be the process's.
            let names = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
            return names.lines().any(|name| name == "filter");
        }
        base_chains(chains).iter().any(|chain| self.is_forward(chain))
    }

    fn is_forward(self, chain: &BaseChain) -> bool {
        chain.table == if self.v4 { "ip filter" } else { "ip6 filter" } && chain.name == "FORWARD"
    }

    /// Does nftables' FORWARD drop by default?
    fn drops(self, chains: &str) -> bool {
        base_chains(chains).iter().any(|chain| self.is_forward(chain) && chain.drops)
    }

    /// What is in its table `filter`.
    pub(crate) fn look(self) -> Result<Filter, HostFault> {
        programs::run(&self.program(), &["-w", LOCK_WAIT_S, "-S"], "").map(|listing| parse(&listing))
    }

    fn restore(self, text: &str) -> Result<(), HostFault> {
        programs::run(&format!("{}-restore", self.program()), &["--noflush", "-w", LOCK_WAIT_S], text).map(drop)
    }

    /// Let pass what `rules` say, whatever of ours there was.
    pub(crate) fn put(self, filter: &Filter, rules: &[String]) -> Result<(), HostFault> {
        self.restore(&put_text(filter, rules))
    }

    /// Be as `before`, so far as it concerns us.
    pub(crate) fn put_back(self, before: &Filter) -> Result<(), HostFault> {
        let now = self.look()?;
        match (before.has_chain, now.has_chain) {
            (true, _) => self.put(&now, &before.ours),
            (false, true) => self.restore(&removal_text(&now)),
            (false, false) => Ok(()),
        }
    }

    /// Remove what is ours, if anything is.
    pub(crate) fn remove(self) -> Result<(), HostFault> {
        let now = self.look()?;
        if now.has_chain { self.restore(&removal_text(&now)) } else { Ok(()) }
    }
}

/// A base chain that judges forwarded packets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BaseChain {
    /// `ip filter`: family and name of its table.
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) drops: bool,
}

/// The base chains at the hook `forward` in what `nft list chains` says.
pub(crate) fn base_chains(listing: &str) -> Vec<BaseChain> {
    let mut found = Vec::new();
    let (mut table, mut name) = (String::new(), String::new());
    for line in listing.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("table ") {
            rest.trim_end_matches(" {").clone_into(&mut table);
        } else if let Some(rest) = line.strip_prefix("chain ") {
            rest.trim_end_matches(" {").clone_into(&mut name);
        } else if line.starts_with("type filter hook forward") {
            let drops = line.contains("policy drop");
            found.push(BaseChain { table: table.clone(), name: name.clone(), drops });
        }
    }
    found
}

/// The iptables that are in use.
pub(crate) fn in_use(chains: &str) -> Vec<Tables> {
    Tables::ALL.into_iter().filter(|tables| tables.in_use(chains)).collect()
}

/// The iptables that are in use, with what is in them.
pub(crate) fn look(chains: &str) -> Result<Vec<(Tables, Filter)>, HostFault> {
    let mut found = Vec::new();
    for tables in in_use(chains) {
        match tables.look() {
            Ok(filter) => found.push((tables, filter)),
            // A table of that name which somebody wrote by nft, and which iptables cannot read, is none of iptables'.
            Err(HostFault::Refused { said, .. }) if !tables.legacy => {
                tracing::debug!("{} cannot read its table: {said}", tables.program());
            }
            // Without the program that table was written by nft too, and stands in nobody's way unless it drops.
            Err(HostFault::NoProgram { .. }) if !tables.legacy && !tables.drops(chains) => {}
            Err(fault) => return Err(fault),
        }
    }
    if found.iter().any(|(_, filter)| !filter.bridges.is_empty()) {
        let bridges = netlink::bridges().map_err(|error| HostFault::io("the host's interfaces", error))?;
        for (_, filter) in &mut found {
            filter.bridges.retain(|name| bridges.contains(name));
        }
    }
    Ok(found)
}

/// Have the host's own iptables drop what it forwards by default. Says whether it did not before.
///
/// dockerd does so only where it turns forwarding on itself; if we do and nobody does, the host becomes an open router.
pub(crate) fn close_forward(v4: bool) -> Result<bool, HostFault> {
    let program = own_program(v4);
    if programs::find(program).is_none() {
        return Ok(false);
    }
    let policy = programs::run(program, &["-w", LOCK_WAIT_S, "-S", "FORWARD"], "");
    let closed = match policy {
        Ok(rules) if rules.lines().any(|line| line == "-P FORWARD DROP") => return Ok(false),
        Ok(_) => set_policy(v4, "DROP"),
        Err(fault) => Err(fault),
    };
    match closed {
        // A kernel without iptables, or a table `filter` that somebody wrote by nft: there is nothing to close.
        Err(HostFault::Refused { said, .. }) if !said.contains("lock") => {
            tracing::warn!(
                "this host now forwards whatever it is sent, for {program} cannot drop it ({said}): drop by default in a \
                 forward chain of your own"
            );
            Ok(false)
        }
        outcome => outcome.map(|()| true),
    }
}

/// Undo [`close_forward`].
pub(crate) fn open_forward(v4: bool) -> Result<(), HostFault> {
    set_policy(v4, "ACCEPT")
}

fn own_program(v4: bool) -> &'static str {
    if v4 { "iptables" } else { "ip6tables" }
}

fn set_policy(v4: bool, policy: &str) -> Result<(), HostFault> {
    programs::run(own_program(v4), &["-w", LOCK_WAIT_S, "-P", "FORWARD", policy], "").map(drop)
}

/// Is legacy iptables in use? Its changes are told to nobody.
pub(crate) fn legacy_in_use() -> bool {
    Tables::ALL.iter().any(|tables| tables.legacy && tables.in_use(""))
}

/// A table `filter`, so far as it concerns us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that is there or not")]
pub(crate) struct Filter {
    /// FORWARD's policy is DROP.
    pub(crate) drops: bool,
    /// There is a DOCKER-USER chain.
    user_chain: bool,
    /// Our chain is there.
    has_chain: bool,
    /// Our second chain is there.
    has_accept: bool,
    /// How often FORWARD jumps to our chain.
    jumps: usize,
    /// The first jump stands where nothing but dockerd's own jumps come before it.
    first: bool,
    /// The rules of our chains, as iptables prints them.
    ours: Vec<String>,
    /// Interfaces that dockerd's own chains name; after [`look`] only bridges, for dockerd also names interfaces of the host
    /// from which containers may be reached (`com.docker.network.bridge.trusted_host_interfaces`).
    pub(crate) bridges: BTreeSet<String>,
}

impl Filter {
    /// Does FORWARD ask our chain?
    pub(crate) fn has_jump(&self) -> bool {
        self.jumps > 0
    }

    /// Is everything of ours as `rules` say?
    pub(crate) fn holds(&self, rules: &[String]) -> bool {
        self.jumps == 1 && self.first && self.ours == rules
    }
}

fn parse(listing: &str) -> Filter {
    let mut filter = Filter { first: true, ..Filter::default() };
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["-P", "FORWARD", policy] => filter.drops = policy == "DROP",
            ["-N", "DOCKER-USER"] => filter.user_chain = true,
            ["-N", FORWARD] => filter.has_chain = true,
            ["-N", ACCEPT] => filter.has_accept = true,
            ["-A", FORWARD | ACCEPT, ..] => filter.ours.push(line.to_owned()),
            ["-A", "FORWARD", ..] if line == JUMP => filter.jumps += 1,
            ["-A", "FORWARD", ref rest @ ..] => {
                if filter.jumps == 0 && !matches!(rest, ["-j", chain] if BEFORE.contains(chain)) {
                    filter.first = false;
                }
                if rest.ends_with(&["-j", "DOCKER"]) {
                    filter.bridges.extend(interfaces(rest));
                }
            }
            ["-A", chain, ref rest @ ..] if chain.starts_with("DOCKER") && chain != "DOCKER-USER" => {
                filter.bridges.extend(interfaces(rest));
            }
            _ => {}
        }
    }
    filter
}

fn interfaces<'a>(words: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    words.windows(2).filter_map(|pair| match pair {
        // `docker0+` would be a pattern; dockerd writes none.
        ["-i" | "-o", name] if !name.ends_with('+') => Some((*name).to_owned()),
        _ => None,
    })
}

/// The rules of our chains, as iptables prints them.
pub(crate) fn rules(plan: &Plan, filter: &Filter) -> Vec<String> {
    let mut rules = Vec::new();
    let ours: BTreeSet<&str> = plan.networks.iter().map(|network| network.ifname.as_str()).collect();
    for bridge in filter.bridges.iter().filter(|name| !ours.contains(name.as_str())) {
        rules.push(format!("-A {FORWARD} -i {bridge} -j RETURN"));
        rules.push(format!("-A {FORWARD} -o {bridge} -j RETURN"));
    }
    for name in ours {
        rules.push(format!("-A {FORWARD} -i {name} -j {ACCEPT}"));
        rules.push(format!("-A {FORWARD} -o {name} -j {ACCEPT}"));
    }
    if filter.user_chain {
        rules.push(format!("-A {ACCEPT} -j DOCKER-USER"));
    }
    rules.push(format!("-A {ACCEPT} -j ACCEPT"));
    // As iptables prints them: chains in the order of their names.
    rules.sort_by_key(|rule| !rule.starts_with("-A LANYARD-ACCEPT"));
    rules
}

fn put_text(filter: &Filter, rules: &[String]) -> String {
    // A chain that is declared is emptied; others are kept (--noflush).
    let mut text = format!("*filter\n:{FORWARD} - [0:0]\n:{ACCEPT} - [0:0]\n");
    unhook(&mut text, filter);
    let _ = writeln!(text, "-I FORWARD 1 -j {FORWARD}\n{}\nCOMMIT", rules.join("\n"));
    text
}

fn removal_text(filter: &Filter) -> String {
    let mut text = "*filter\n".to_owned();
    unhook(&mut text, filter);
    let chains = [(filter.has_chain, FORWARD), (filter.has_accept, ACCEPT)];
    for action in ["-F", "-X"] {
        for (_, chain) in chains.iter().filter(|(there, _)| *there) {
            let _ = writeln!(text, "{action} {chain}");
        }
    }
    text.push_str("COMMIT\n");
    text
}

fn unhook(text: &mut String, filter: &Filter) {
    for _ in 0..filter.jumps {
        let _ = writeln!(text, "-D FORWARD -j {FORWARD}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostNetwork;

    const DOCKER: &str = "\
-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-ISOLATION-STAGE-2
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 ! -s 172.19.0.0/16 -o br-0123456789ab -j DROP
-A DOCKER-USER -i eth7 -j DROP
";

    fn plan() -> Plan {
        let network = |name: &str| HostNetwork::new(name, vec![], vec![]);
        Plan { networks: vec![network("ly-b"), network("ly-a")], published: vec![] }
    }

    #[test]
    fn what_dockerd_has_is_read() {
        let filter = parse(DOCKER);
        assert!(filter.drops && filter.user_chain && !filter.has_chain);
        assert_eq!(filter.bridges.iter().collect::<Vec<_>>(), ["br-0123456789ab", "docker0"]);
        assert!(!filter.holds(&[]));
    }

    #[test]
    fn text_for_a_host_with_dockerd() {
        let filter = parse(DOCKER);
        let text = put_text(&filter, &rules(&plan(), &filter));
        assert_eq!(text, include_str!("../tests/golden/iptables-docker.txt"));
    }

    #[test]
    fn jumps_are_where_they_belong() {
        let with = |forward: &str| parse(&format!("-P FORWARD ACCEPT\n-N LANYARD-FORWARD\n{forward}\n"));
        let holds = |forward: &str| with(forward).holds(&[]);
        assert!(holds(JUMP));
        assert!(holds("-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-FORWARD\n-A FORWARD -j LANYARD-FORWARD"));
        assert!(!holds(""));
        assert!(!holds("-A FORWARD -i eth0 -j DROP\n-A FORWARD -j LANYARD-FORWARD"));
        assert!(!holds("-A FORWARD -j LANYARD-FORWARD\n-A FORWARD -j LANYARD-FORWARD"));
        let twice = with("-A FORWARD -j LANYARD-FORWARD\n-A FORWARD -j LANYARD-FORWARD");
        assert_eq!(
            removal_text(&twice),
            "*filter\n-D FORWARD -j LANYARD-FORWARD\n-D FORWARD -j LANYARD-FORWARD\n-F LANYARD-FORWARD\n-X LANYARD-FORWARD\nCOMMIT\n"
        );
    }

    #[test]
    fn base_chains_are_found() {
        let listing = "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n\
                       table inet f {\n\tchain in {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n\tchain x {\n\t}\n\
                       \tchain fwd {\n\t\ttype filter hook forward priority 5; policy accept;\n\t}\n}\n";
        let chain =
            |table: &str, name: &str, drops| BaseChain { table: table.to_owned(), name: name.to_owned(), drops };
        assert_eq!(base_chains(listing), [chain("ip filter", "FORWARD", true), chain("inet f", "fwd", false)]);
    }
}
