//! What does the host's packet filter have to do? The text of one nftables table, `inet lanyard`, a pure function of a plan.
//!
//! The words are nft(8)'s. Everything is looked up: interfaces in sets, verdicts and ports in maps, subnets in interval
//! maps; a packet's cost does not grow with networks or ports. An accept here does not overrule a drop in another base
//! chain, so what must not pass is dropped here, early, and `iptables` then only has to let pass what is left.

use std::fmt::Write;

use ipnet::IpNet;

use crate::elements::Elements;
use crate::plan::{HostNetwork, Mode, Plan, is_v4};
use crate::published::{self, Ports, Run};

/// The table's name, of family `inet`.
pub(crate) const TABLE: &str = "lanyard";

/// The transaction that makes the table what `plan` wants, whatever it was before. `bridges` are the interfaces of other
/// container networks, which must not be reached from ours but by what they publish.
pub fn table_text(plan: &Plan, bridges: &[String]) -> String {
    let mut text = format!("add table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n");
    interfaces(&mut text, plan, bridges);
    verdicts(&mut text, plan);
    for set in port_sets(plan) {
        set_text(&mut text, &set.head, &set.kind, &set.elements);
    }
    text.push_str(EARLY);
    text.push_str(HOST_CHAINS);
    forward(&mut text, plan, bridges);
    translate(&mut text);
    leave(&mut text, plan);
    text.push_str("}\n");
    text
}

const HOST_CHAINS: &str = "\
\tchain input {
\t\ttype filter hook input priority filter - 10; policy accept;
\t\tmeta nfproto ipv4 iifname @isolated4 drop
\t\tmeta nfproto ipv6 iifname @isolated6 drop
\t}
\tchain output {
\t\ttype filter hook output priority filter - 10; policy accept;
\t\tmeta nfproto ipv4 oifname @isolated4 drop
\t\tmeta nfproto ipv6 oifname @isolated6 drop
\t\toifname @networks icmp type redirect drop
\t\toifname @networks icmpv6 type nd-redirect drop
\t}
";

/// `set NAME { type TYPE; elements = { .. } }`, without elements where there are none.
fn set_text(text: &mut String, head: &str, kind: &str, elements: &[String]) {
    let _ = write!(text, "\t{head} {{\n\t\ttype {kind}\n");
    if !elements.is_empty() {
        let _ = writeln!(text, "\t\telements = {{ {} }}", elements.join(", "));
    }
    text.push_str("\t}\n");
}

fn names<'a>(networks: impl Iterator<Item = &'a HostNetwork>) -> Vec<String> {
    networks.map(|network| format!("\"{}\"", network.ifname)).collect()
}

fn interfaces(text: &mut String, plan: &Plan, bridges: &[String]) {
    let all = || plan.networks.iter();
    let pair = |one: &str, other: &str| format!("\"{one}\" . \"{other}\"");
    set_text(text, "set networks", "ifname", &names(all()));
    set_text(text, "set internal", "ifname", &names(all().filter(|network| network.internal)));
    set_text(text, "set isolated4", "ifname", &names(all().filter(|network| network.mode_v4 == Mode::Isolated)));
    set_text(text, "set isolated6", "ifname", &names(all().filter(|network| network.mode_v6 == Mode::Isolated)));
    let bridges: Vec<String> = bridges.iter().map(|name| format!("\"{name}\"")).collect();
    set_text(text, "set bridges", "ifname", &bridges);
    let within: Vec<String> =
        all().filter(|network| network.icc).map(|network| pair(&network.ifname, &network.ifname)).collect();
    set_text(text, "set within", "ifname . ifname", &within);
    let mut trusted: Vec<String> =
        all().flat_map(|network| network.trusted.iter().map(move |name| pair(name, &network.ifname))).collect();
    trusted.sort_unstable();
    trusted.dedup();
    set_text(text, "set trusted", "ifname . ifname", &trusted);
}

/// Which chain judges what is for a network, by family.
fn verdicts(text: &mut String, plan: &Plan) {
    for (head, mode_of) in [
        ("map toward4", (|network| network.mode_v4) as fn(&HostNetwork) -> Mode),
        ("map toward6", |network| network.mode_v6),
    ] {
        let verdict = |network: &HostNetwork| match mode_of(network) {
            Mode::Nat => "jump toward_nat",
            Mode::NatUnprotected => "accept",
            Mode::Routed => "jump toward_routed",
            Mode::Isolated => "drop",
        };
        let judged = plan.networks.iter().filter(|network| !network.internal);
        let elements: Vec<String> =
            judged.map(|network| format!("\"{}\" : {}", network.ifname, verdict(network))).collect();
        set_text(text, head, "ifname : verdict", &elements);
    }
}

fn span((first, last): Ports) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// One map that translates ports: its name, the type of its keys and values, and whether it holds intervals.
struct PortMap {
    v4: bool,
    every_address: bool,
    keeps_port: bool,
}

impl PortMap {
    fn all() -> impl Iterator<Item = Self> {
        [true, false].into_iter().flat_map(|v4| {
            [false, true]
                .into_iter()
                .flat_map(move |every_address| [false, true].map(|keeps_port| Self { v4, every_address, keeps_port }))
        })
    }

    fn name(&self) -> String {
        let ports = if self.keeps_port { "ranges" } else { "ports" };
        let whose = if self.every_address { "any" } else { "own" };
        format!("{ports}{}_{whose}", if self.v4 { 4 } else { 6 })
    }

    fn kind(&self) -> String {
        let address = if self.v4 { "ipv4_addr" } else { "ipv6_addr" };
        let key = if self.every_address { String::new() } else { format!("{address} . ") };
        let (port, flags) = if self.keeps_port { ("", "\n\t\tflags interval") } else { (" . inet_service", "") };
        format!("{key}inet_proto . inet_service : {address}{port}{flags}")
    }

    fn holds(&self, run: &Run) -> bool {
        // Intervals are for runs; single ports are cheaper in a hash table.
        let keeps_port = run.ports.0 != run.ports.1;
        (self.v4, self.every_address, self.keeps_port)
            == (run.host_ip.is_ipv4(), run.host_ip.is_unspecified(), keeps_port)
    }

    fn element(&self, run: &Run) -> String {
        let address = if self.every_address { String::new() } else { format!("{} . ", run.host_ip) };
        let port = if self.keeps_port { String::new() } else { format!(" . {}", run.to.unwrap_or(run.ports.0)) };
        format!("{address}{} . {} : {}{port}", run.protocol.name(), span(run.ports), run.container)
    }

    fn rule(&self) -> String {
        let (guard, family, daddr) = match (self.v4, self.every_address) {
            (true, true) => ("meta nfproto ipv4 ", "ip", ""),
            (true, false) => ("", "ip", "ip daddr . "),
            // The kernel does not route ::1 away from lo.
            (false, true) => ("ip6 daddr != ::1 ", "ip6", ""),
            (false, false) => ("", "ip6", "ip6 daddr . "),
        };
        format!("\t\t{guard}dnat {family} to {daddr}meta l4proto . th dport map @{}\n", self.name())
    }
}

/// A map or set whose elements are published ports. They alone change when ports do; rules and chains do not, so that one
/// transaction with the elements that differ is enough.
struct PortSet {
    head: String,
    kind: String,
    elements: Vec<String>,
}

fn port_sets(plan: &Plan) -> Vec<PortSet> {
    let runs = published::runs(plan);
    let intervals = |key: &str| format!("{key}inet_proto . inet_service\n\t\tflags interval");
    let mut sets: Vec<PortSet> = PortMap::all()
        .map(|map| PortSet {
            head: format!("map {}", map.name()),
            kind: map.kind(),
            elements: runs.iter().filter(|run| map.holds(run)).map(|run| map.element(run)).collect(),
        })
        .collect();
    let loopback = published::loopback_ports(&runs).into_iter();
    let loopback = loopback.map(|(protocol, ports)| format!("{} . {}", protocol.name(), span(ports)));
    sets.push(PortSet { head: "set loopback".to_owned(), kind: intervals(""), elements: loopback.collect() });
    let open = published::open_ports(plan);
    for (head, address, v4) in [("set open4", "ipv4_addr . ", true), ("set open6", "ipv6_addr . ", false)] {
        let family = open.iter().filter(|(container, ..)| container.is_ipv4() == v4);
        let elements = family.map(|(ip, protocol, ports)| format!("{ip} . {} . {}", protocol.name(), span(*ports)));
        sets.push(PortSet { head: head.to_owned(), kind: intervals(address), elements: elements.collect() });
    }
    sets
}

/// Every element that published ports make.
pub(crate) fn elements(plan: &Plan) -> Elements {
    let name = |set: &PortSet| set.head.rsplit(' ').next().unwrap_or_default().to_owned();
    let sets = port_sets(plan).into_iter().map(|set| (name(&set), set.elements));
    sets.flat_map(|(name, elements)| elements.into_iter().map(move |element| (name.clone(), element))).collect()
}

/// `route_localnet` lets 127.0.0.0/8 leave and enter through a network's interface; nobody out there may use that.
///
/// A container that writes its own headers could send in somebody else's name, into flows of other networks that conntrack
/// knows. So a source is believed only on the interface that leads to it (RFC 3704, strict), but for those that have none yet;
/// link-local ones are never forwarded (RFC 4291, 2.5.6).
const EARLY: &str = "\
\tchain early {
\t\ttype filter hook prerouting priority raw; policy accept;
\t\tiifname @networks ip daddr 127.0.0.0/8 drop
\t\tiifname @networks ip saddr 127.0.0.0/8 drop
\t\tiifname @networks ip saddr != 0.0.0.0 fib saddr . iif oif missing drop
\t\tiifname @networks ip6 saddr != { ::, fe80::/10 } fib saddr . iif oif missing drop
\t\tiifname != \"lo\" ip daddr 127.0.0.0/8 meta l4proto . th dport @loopback drop
\t}
";

fn forward(text: &mut String, plan: &Plan, bridges: &[String]) {
    text.push_str(
        "\tchain forward {\n\t\ttype filter hook forward priority filter - 10; policy accept;\n\
         \t\tiifname . oifname @within accept\n\
         \t\tiifname @internal drop\n\
         \t\toifname @internal drop\n\
         \t\tct state established,related accept\n\
         \t\tmeta nfproto ipv4 iifname @isolated4 drop\n\
         \t\tmeta nfproto ipv6 iifname @isolated6 drop\n\
         \t\tiifname @networks oifname @networks ct status & dnat != dnat drop\n",
    );
    if !bridges.is_empty() {
        text.push_str("\t\tiifname @networks oifname @bridges ct status & dnat != dnat drop\n");
    }
    if !plan.networks.is_empty() {
        text.push_str(
            "\t\tmeta nfproto ipv4 oifname vmap @toward4\n\
             \t\tmeta nfproto ipv6 oifname vmap @toward6\n",
        );
    }
    text.push_str(
        "\t}\n\tchain toward_nat {\n\
         \t\tct status dnat accept\n\
         \t\tiifname . oifname @trusted accept\n\
         \t\tdrop\n\t}\n\
         \tchain toward_routed {\n\
         \t\tct status dnat accept\n\
         \t\tmeta l4proto { icmp, ipv6-icmp } accept\n\
         \t\tip daddr . meta l4proto . th dport @open4 accept\n\
         \t\tip6 daddr . meta l4proto . th dport @open6 accept\n\
         \t\tiifname . oifname @trusted accept\n\
         \t\tdrop\n\t}\n",
    );
}

/// Published ports: from outside and from containers before routing, from the host itself on the way out.
fn translate(text: &mut String) {
    let rules: String = PortMap::all().map(|map| map.rule()).collect();
    let _ = write!(
        text,
        "\tchain publish {{\n{rules}\t}}\n\
         \tchain prerouting {{\n\t\ttype nat hook prerouting priority dstnat - 1; policy accept;\n\
         \t\tip daddr 127.0.0.0/8 return\n\
         \t\tfib daddr type local jump publish\n\t}}\n\
         \tchain nat_output {{\n\t\ttype nat hook output priority -101; policy accept;\n\
         \t\tfib daddr type local jump publish\n\t}}\n"
    );
}

/// Translation of sources: one chain for each translated network and family, found by the source's subnet.
fn leave(text: &mut String, plan: &Plan) {
    let mut found = [Vec::new(), Vec::new()];
    for network in plan.networks.iter().filter(|network| !network.internal) {
        for v4 in [true, false] {
            let mode = if v4 { network.mode_v4 } else { network.mode_v6 };
            let subnets: Vec<&IpNet> = network.subnets.iter().filter(|subnet| is_v4(subnet) == v4).collect();
            if subnets.is_empty() || !matches!(mode, Mode::Nat | Mode::NatUnprotected) {
                continue;
            }
            let chain = format!("leave{}_{}", if v4 { 4 } else { 6 }, network.ifname);
            leave_chain(text, &chain, network, v4);
            let elements = subnets.into_iter().map(|subnet| format!("{} : goto {chain}", subnet.trunc()));
            found[usize::from(!v4)].extend(elements);
        }
    }
    let [found4, found6] = found;
    set_text(text, "map leaving4", "ipv4_addr : verdict\n\t\tflags interval", &found4);
    set_text(text, "map leaving6", "ipv6_addr : verdict\n\t\tflags interval", &found6);
    text.push_str(
        "\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat - 1; policy accept;\n\
         \t\toifname @networks ip saddr 127.0.0.0/8 masquerade\n\
         \t\tip saddr vmap @leaving4\n\
         \t\tip6 saddr vmap @leaving6\n\t}\n",
    );
}

fn leave_chain(text: &mut String, chain: &str, network: &HostNetwork, v4: bool) {
    let ifname = &network.ifname;
    let family = if v4 { "ip" } else { "ip6" };
    // Hairpin: the answer has to come back through the host, which alone knows the address that was asked.
    let _ = writeln!(text, "\tchain {chain} {{\n\t\toifname \"{ifname}\" ct status dnat masquerade");
    if network.masquerade {
        let source = if v4 { network.snat_v4.map(|a| a.to_string()) } else { network.snat_v6.map(|a| a.to_string()) };
        let action = source.map_or_else(|| "masquerade".to_owned(), |address| format!("snat {family} to {address}"));
        let _ = writeln!(text, "\t\toifname != \"{ifname}\" {action}");
    }
    text.push_str("\t}\n");
}
