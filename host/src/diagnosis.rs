//! What stands in the way of a network's reaching the host and the world? [`diagnose`]: one finding for each part, with a
//! sentence and the mend. It changes nothing.

use std::fs;

use crate::iptables::{self, Tables, base_chains};
use crate::programs::{self, nft_list};
use crate::rules::TABLE;
use crate::{conntrack, netlink};

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Good,
    /// Something works less well, or may not be meant so.
    Note,
    /// Networks do not work.
    Bad,
}

/// One part of the host.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Which part, in a word or two; stable.
    pub part: &'static str,
    /// How it is.
    pub health: Health,
    /// What was seen, in a sentence.
    pub sentence: String,
    /// What mends it.
    pub mend: Option<String>,
}

impl Finding {
    fn good(part: &'static str, sentence: impl Into<String>) -> Self {
        Self { part, health: Health::Good, sentence: sentence.into(), mend: None }
    }

    fn new(part: &'static str, health: Health, sentence: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { part, health, sentence: sentence.into(), mend: Some(mend.into()) }
    }
}

/// Look at everything that a network's way out depends on, in the calling thread's network namespace. Needs root.
pub fn diagnose() -> Vec<Finding> {
    let mut findings = Vec::new();
    let chains = nft(&mut findings);
    iptables(&mut findings, &chains);
    others(&mut findings, &chains);
    findings.push(match conntrack::available() {
        Ok(()) => Finding::good("conntrack", "Flows can be listed and forgotten."),
        Err(error) => Finding::new(
            "conntrack",
            Health::Note,
            format!("Flows cannot be listed ({error}): UDP may go to an old container."),
            "modprobe nf_conntrack_netlink, and run as root",
        ),
    });
    forwarding(&mut findings);
    findings
}

/// nft, our table; what `nft list chains` says.
fn nft(findings: &mut Vec<Finding>) -> String {
    if programs::find("nft").is_none() {
        findings.push(Finding::new("nft", Health::Bad, "The program nft is not on this host.", "apt install nftables"));
        return String::new();
    }
    let chains = match nft_list(&["chains"]) {
        Ok(chains) => chains.unwrap_or_default(),
        Err(fault) => {
            let mend = "run as root, on a kernel with nf_tables (modprobe nf_tables)";
            findings.push(Finding::new("nft", Health::Bad, format!("nftables does not answer: {fault}."), mend));
            return String::new();
        }
    };
    findings.push(Finding::good("nft", "nftables answers."));
    let there = chains.lines().any(|line| line.trim_end_matches(" {") == format!("table inet {TABLE}"));
    findings.push(if there {
        Finding::good("table", format!("The table inet {TABLE} is there."))
    } else {
        let sentence = format!("The table inet {TABLE} is not there: no network has a way out through this host.");
        Finding::new("table", Health::Note, sentence, "start lanyard and make a network with the gateway mode host")
    });
    if let Err(error) = netlink::Netlink::open(1 << 6) {
        let sentence = format!("Nothing tells of changes of the rules ({error}): a reload removes them for good.");
        findings.push(Finding::new("watch", Health::Note, sentence, "run as root"));
    }
    chains
}

/// Appended to what says that FORWARD drops.
const WHOSE_POLICY: &str = " Lanyard, like dockerd, sets that policy when it turns forwarding on, and leaves both as they are \
    when it ends.";

/// Each iptables that is in use.
fn iptables(findings: &mut Vec<Finding>, chains: &str) {
    let names = |found: &[Tables]| found.iter().map(|tables| tables.program()).collect::<Vec<_>>().join(", ");
    let in_use = iptables::in_use(chains);
    if in_use.is_empty() {
        findings.push(Finding::good("iptables", "No iptables is in use here."));
        return;
    }
    findings.push(Finding::good("iptables", format!("In use: {}.", names(&in_use))));
    if in_use.iter().any(|tables| tables.legacy) && in_use.iter().any(|tables| !tables.legacy) {
        findings.push(Finding::new(
            "iptables",
            Health::Note,
            "Both kinds of iptables are in use: what one of them drops, the other cannot let pass.",
            "choose one with update-alternatives --config iptables, and reboot",
        ));
    }
    for tables in in_use {
        let program = tables.program();
        findings.push(match tables.look() {
            Err(fault) => Finding::new(
                "forward",
                Health::Bad,
                format!("{program} cannot be read: {fault}."),
                format!("install iptables, or let pass the networks' interfaces in its table yourself ({program} -S)"),
            ),
            Ok(filter) if filter.has_jump() => {
                let policy = if filter.drops { "drops by default, and lets" } else { "lets" };
                let whose = if filter.drops { WHOSE_POLICY } else { "" };
                Finding::good("forward", format!("{program}: FORWARD {policy} the networks pass.{whose}"))
            }
            Ok(filter) if filter.drops => Finding::new(
                "forward",
                Health::Bad,
                format!("{program}: FORWARD drops by default, and nothing lets the networks pass.{WHOSE_POLICY}"),
                "restart lanyard; without it, nothing has to be done",
            ),
            Ok(_) => Finding::good("forward", format!("{program}: FORWARD accepts by default.")),
        });
    }
}

/// Base chains that drop forwarded packets and that nobody but their owner can open.
fn others(findings: &mut Vec<Finding>, chains: &str) {
    let ours = format!("inet {TABLE}");
    for chain in base_chains(chains) {
        let iptables = (chain.table == "ip filter" || chain.table == "ip6 filter") && chain.name == "FORWARD";
        if chain.table == ours || iptables || !chain.drops {
            continue;
        }
        let sentence = format!("The chain {} of the table {} drops forwarded packets.", chain.name, chain.table);
        let mend = format!(
            "nft insert rule {} {} iifname IF accept; the same with oifname (IF: the gateway's interface)",
            chain.table, chain.name
        );
        findings.push(Finding::new("other firewall", Health::Bad, sentence, mend));
    }
    if chains.lines().any(|line| line.starts_with("table inet firewalld")) {
        let sentence = "firewalld is active: it rejects what is forwarded between zones that do not know each other.";
        let mend = "firewall-cmd --permanent --zone=trusted --add-interface=IF && firewall-cmd --reload";
        findings.push(Finding::new("other firewall", Health::Note, sentence, mend));
    }
}

fn forwarding(findings: &mut Vec<Finding>) {
    for (part, file, key) in [
        ("forwarding IPv4", "/proc/sys/net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        ("forwarding IPv6", "/proc/sys/net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding"),
    ] {
        findings.push(match fs::read_to_string(file).as_deref().map(str::trim) {
            Ok("0") => {
                let sentence = "Forwarding is off: it is set when a network needs it.";
                Finding::new(part, Health::Note, sentence, format!("sysctl -w {key}=1, if networks exist"))
            }
            Ok(_) => Finding::good(part, "Forwarding is on."),
            Err(error) => Finding::new(part, Health::Note, format!("{file}: {error}."), "none is needed without IPv6"),
        });
    }
}
