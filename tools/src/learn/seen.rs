//! What happened, and how do things stand? The records of a stretch of time, the switch's tables and the hosts' ARP
//! caches: all that a question or a check is answered from.

use frame::MacAddr;
use serde::{Deserialize, Serialize};
use switch::control::types::MacRow;
use trace::Record;
use trace::filter::Filter;

use crate::lab::plan::Plan;

/// A row of a host's ARP cache, as `ip neigh` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Neighbor {
    /// The MAC address, where there is one.
    pub(super) mac: Option<MacAddr>,
    /// RFC 4861's name, in capitals.
    pub(super) state: String,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// The command line.
    pub(super) line: String,
    /// Its exit code; `None` when it was ended.
    pub(super) exit: Option<i32>,
    /// What it printed, or the beginning of it.
    pub(super) output: String,
}

/// The tables as they are now. What cannot be read is said in one line.
pub(super) trait Tables {
    /// The switch's MAC table of a network.
    fn macs(&self, network: &str) -> Result<Vec<MacRow>, String>;
    /// A host's ARP cache entry for an address.
    fn neighbor(&self, on: &str, ip: std::net::Ipv4Addr) -> Result<Option<Neighbor>, String>;
    /// Run a command line.
    fn run(&self, line: &super::command::Line) -> Result<Outcome, String>;
    /// The gateways' addresses, by network.
    fn gateway(&self, network: &str) -> Option<MacAddr>;
}

/// All of it.
pub(super) struct Seen<'a> {
    /// The exercise's networks and hosts.
    pub(super) plan: &'a Plan,
    /// What the switch decided in that time, oldest first.
    pub(super) records: &'a [Record],
    /// Records of that time that are no longer there.
    pub(super) missed: u64,
    /// How the commands of the step ended.
    pub(super) outcomes: &'a [Outcome],
    /// How things stand.
    pub(super) tables: &'a dyn Tables,
}

impl Seen<'_> {
    /// The records that match.
    pub(super) fn matching(&self, filter: &Filter) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| filter.matches(record))
    }

    /// Learned rows of a network.
    pub(super) fn learned(&self, network: &str) -> Result<Vec<MacRow>, String> {
        let rows = self.tables.macs(network)?;
        Ok(rows.into_iter().filter(|row| row.kind == "learned").collect())
    }

    /// The port that a host's address is on, by the MAC table of the host's network.
    pub(super) fn port_of(&self, host: &str) -> Result<Option<String>, String> {
        let planned = self.plan.hosts.iter().find(|planned| planned.name == host);
        let Some(planned) = planned else { return Ok(None) };
        let rows = self.tables.macs(&planned.network)?;
        Ok(rows.into_iter().find(|row| row.mac == planned.mac).and_then(|row| row.endpoint.or(row.port)))
    }

    /// What a host's ARP cache says of another.
    pub(super) fn neighbor(&self, on: &str, host: &str) -> Result<Option<Neighbor>, String> {
        let planned = self.plan.hosts.iter().find(|planned| planned.name == host);
        planned.map_or(Ok(None), |planned| self.tables.neighbor(on, planned.ip))
    }

    /// Whose address it is, in words.
    pub(super) fn mac_text(&self, mac: MacAddr) -> String {
        let host = self.plan.hosts.iter().find(|host| host.mac == mac).map(|host| host.name.clone());
        let gateway = || {
            let network = self.plan.networks.iter().find(|spec| self.tables.gateway(&spec.name) == Some(mac))?;
            Some(format!("gateway of {}", network.name))
        };
        host.or_else(gateway).map_or_else(|| mac.to_string(), |name| format!("{mac} ({name})"))
    }

    /// The addresses that a student's or a teacher's word stands for: a host's, those of all gateways, or the one itself.
    pub(super) fn mac_of(&self, word: &str) -> Vec<MacAddr> {
        if let Ok(mac) = word.parse() {
            return vec![mac];
        }
        if word == "gateway" {
            return self.plan.networks.iter().filter_map(|spec| self.tables.gateway(&spec.name)).collect();
        }
        self.plan.hosts.iter().filter(|host| host.name == word).map(|host| host.mac).collect()
    }
}

/// Tables and records for tests: nothing of it happened.
#[cfg(test)]
pub(super) mod staged {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::learn::command::Line;
    use crate::learn::exercise::Exercise;
    use crate::learn::file::Source;

    /// Tables that say what a test wants.
    #[derive(Default)]
    pub(in crate::learn) struct Staged {
        pub(in crate::learn) macs: Vec<MacRow>,
        pub(in crate::learn) neighbors: Vec<(String, Ipv4Addr, Neighbor)>,
        pub(in crate::learn) outcome: Option<Outcome>,
    }

    impl Tables for Staged {
        fn macs(&self, network: &str) -> Result<Vec<MacRow>, String> {
            Ok(self.macs.iter().filter(|row| row.network == network).cloned().collect())
        }

        fn neighbor(&self, on: &str, ip: Ipv4Addr) -> Result<Option<Neighbor>, String> {
            let found = self.neighbors.iter().find(|(host, address, _)| host == on && *address == ip);
            Ok(found.map(|(_, _, neighbor)| neighbor.clone()))
        }

        fn run(&self, _line: &Line) -> Result<Outcome, String> {
            self.outcome.clone().ok_or_else(|| "nothing can be run".to_owned())
        }

        fn gateway(&self, network: &str) -> Option<MacAddr> {
            (network == "net1").then_some(MacAddr([2, 0, 0, 0, 0, 1]))
        }
    }

    /// A row of the MAC table of `net1`.
    pub(in crate::learn) fn row(host: u8, port: &str) -> MacRow {
        MacRow {
            network: "net1".to_owned(),
            mac: MacAddr([2, 0x42, 10, 0, 1, 10 + host]),
            port: Some("p1".to_owned()),
            endpoint: Some(port.to_owned()),
            kind: "learned".to_owned(),
            age_ms: 5,
            moves: 0,
        }
    }

    /// An exercise with three hosts on `net1`, one step, and what `more` says.
    pub(in crate::learn) fn exercise(more: &str) -> Result<Exercise, crate::failure::Failure> {
        let head = "id=\"t\"\ntitle=\"T\"\nminutes=1\nnetwork=[{name=\"net1\"}]\nhost=[{name=\"h1\"},{name=\"h2\"},{name=\"h3\"}]\n";
        Exercise::read(&Source { name: "t.toml".to_owned(), text: format!("{head}{more}") })
    }

    /// A cold ping of h2 by h1: request (flooded), reply (unicast), 100 ms apart; and a routed echo with octets.
    pub(in crate::learn) fn records() -> Vec<Record> {
        let mac = |host: u8| format!("02:42:0a:00:01:{:02x}", 10 + host);
        let arp = |operation: u8, from: u8, to: u8| {
            let destination = if operation == 1 { "ff".repeat(6) } else { mac(to).replace(':', "") };
            let source = mac(from).replace(':', "");
            let (sender, target) =
                (format!("{source}0a00010{:x}", from + 10), format!("0000000000000a00010{:x}", to + 10));
            format!("{destination}{source}0806000108000604000{operation}{sender}{target}")
        };
        let sent = |ports: &[&str]| {
            let ports: Vec<_> = ports.iter().map(|port| serde_json::json!({"port": port, "sent": true})).collect();
            serde_json::json!(ports)
        };
        let request = serde_json::json!({
            "number": 1, "at_unix_ns": 1_000_000_000_u64, "at_ms": 1000, "network": "net1", "port": "h1", "octets": 42,
            "source": mac(1), "source_name": "h1", "destination": "ff:ff:ff:ff:ff:ff", "summary": "ARP who-has",
            "steps": [{"step": "learned", "result": "new"}, {"step": "looked_up", "result": "group"}],
            "verdict": {"kind": "flood", "network": "net1"}, "egress": sent(&["h2", "h3"]), "lost": 0, "data": arp(1, 1, 2),
        });
        let reply = serde_json::json!({
            "number": 2, "at_unix_ns": 1_100_000_000_u64, "at_ms": 1100, "network": "net1", "port": "h2", "octets": 42,
            "source": mac(2), "source_name": "h2", "destination": mac(1), "destination_name": "h1", "summary": "ARP reply",
            "steps": [{"step": "learned", "result": "new"}, {"step": "looked_up", "result": "known", "port": "h1"}],
            "verdict": {"kind": "unicast", "to": "h1"}, "egress": sent(&["h1"]), "lost": 0, "data": arp(2, 2, 1),
        });
        let packet = |ttl: &str| format!("08004500001c000000{}{ttl}0100000a00010b0a00020e0800f7ff00000000", "00");
        let (h1, gateway, far) = (mac(1).replace(':', ""), "020000000001", "02420a00020e");
        let echo = serde_json::json!({
            "number": 3, "at_unix_ns": 1_200_000_000_u64, "at_ms": 1200, "network": "net1", "port": "h1", "octets": 42,
            "source": mac(1), "destination": "02:00:00:00:00:01", "destination_name": "gateway", "summary": "ICMP echo request",
            "steps": [{"step": "looked_up", "result": "gateway"}], "verdict": {"kind": "drop", "reason": "ttl", "sentence": "x"},
            "egress": [], "lost": 0, "data": format!("{gateway}{h1}{}", packet("40")),
            "data_sent": format!("{far}{gateway}{}", packet("3f")),
        });
        [request, reply, echo].into_iter().map(|value| serde_json::from_value(value).unwrap()).collect()
    }
}
