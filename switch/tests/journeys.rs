//! Does the engine decide, step by step, what it decided before? Frames in, decisions out as text: each file in
//! `tests/journeys/*.frames` is played into a switch of three memory ports and compared with the text beside it, which is
//! printed as `lanyard trace -v` prints it.
//!
//! A line of a `.frames` file is `PORT HEXADECIMAL` (h1, h2, h3), a setting of the switch (`host-gateway`, `icc=false`,
//! `guard=on`, `arp=suppress`, `mode=hub`), a comment (`#`), or empty. `LANYARD_REFRESH=1` writes the texts anew: read the difference
//! before it is committed.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its switch has failed")]

use std::borrow::Cow;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forwarding::{Guard, MacTableConfig};
use frame::{MacAddr, Millis, NetworkId, OffloadHeader, PortId};
use lanyard_switch::engine::{
    Engine, GatewayView, HostGateway, NetworkTables, NetworkView, PortView, Snapshot, TraceSink,
};
use ports::Port;
use ports::memory::{self, MemoryPeer};
use trace::filter::Admission;
use trace::{Names, RawRecord, Record, Style};

struct Hosts;

impl Names for Hosts {
    fn port(&self, port: PortId) -> Cow<'_, str> {
        format!("h{}", port.0 + 1).into()
    }

    fn network(&self, network: NetworkId) -> Cow<'_, str> {
        ["lan", "dmz"][network.index()].into()
    }

    fn mac(&self, _: NetworkId, mac: MacAddr) -> Option<Cow<'_, str>> {
        let [2, 0x42, 10, network @ (1 | 2), 0, last] = mac.0 else { return None };
        let name = if last == 1 { "gateway".to_owned() } else { format!("h{}", last - 10 + (network - 1) * 2) };
        Some(name.into())
    }
}

/// What a `.frames` file asks of its switch: its lines, of which some are settings.
struct Settings<'a>(&'a str);

impl Settings<'_> {
    fn has(&self, setting: &str) -> bool {
        self.0.lines().any(|line| line == setting)
    }

    fn host_gateway(&self) -> bool {
        self.has("host-gateway")
    }

    fn guard(&self) -> bool {
        self.has("guard=on")
    }

    /// h1 (10.1.0.11) and h2 (10.1.0.12) on `lan`, h3 (10.2.0.11) on `dmz`; the networks are peers. With a host gateway,
    /// h3 is its port instead, on `lan` as the others, and there is no `dmz`.
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let members: &[&[u16]] = if self.host_gateway() { &[&[0, 1, 2]] } else { &[&[0, 1], &[2]] };
        for (id, members) in (0..).zip(members) {
            let view = self.network(id, members);
            for port in *members {
                let guard = self.guard().then(|| Arc::new(guard_of(&view, *port)));
                snapshot.ports.push(Some(PortView { network: view.id, guard }));
            }
            snapshot.networks.push(Some(Arc::new(view)));
        }
        snapshot
    }

    fn network(&self, id: u16, members: &[u16]) -> NetworkView {
        let ip = Ipv4Addr::new(10, id as u8 + 1, 0, 1);
        let gateway = GatewayView { ip, mac: MacAddr::from_ipv4(ip) };
        let host = HostGateway { port: PortId(2), mac: gateway.mac };
        let tables = NetworkTables::new(MacTableConfig::default(), 1).unwrap();
        if self.host_gateway() {
            tables.mac.set_static(host.mac, host.port).unwrap();
        } else {
            tables.mac.set_gateway(gateway.mac).unwrap();
        }
        for port in members.iter().filter(|port| self.guard() && (**port != 2 || !self.host_gateway())) {
            tables.mac.set_static(MacAddr::from_ipv4(address(id, *port)), PortId(*port)).unwrap();
        }
        if self.has("arp=suppress") {
            let known = |table: &mut arp::NeighborTable| {
                for (ip, port) in members.iter().map(|port| (address(id, *port), *port)) {
                    table.set_control(ip.into(), MacAddr::from_ipv4(ip), Some(PortId(port)), Millis(0)).unwrap();
                }
            };
            tables.neighbors(known);
        }
        NetworkView {
            id: NetworkId(id),
            tables: Arc::new(tables),
            members: members.iter().copied().map(PortId).collect(),
            mtu: 1500,
            forward_reserved: false,
            suppress_arp: self.has("arp=suppress"),
            subnet: Some(ipnet::Ipv4Net::new(ip, 24).unwrap().trunc()),
            gateway: (!self.host_gateway()).then_some(gateway),
            host_gateway: self.host_gateway().then_some(host),
            icc: !self.has("icc=false"),
            peers: vec![NetworkId(1 - id)],
            hub: self.has("mode=hub"),
        }
    }
}

/// h1 has 10.1.0.11, h2 10.1.0.12, and the third, on `dmz`, 10.2.0.11.
fn address(network: u16, port: u16) -> Ipv4Addr {
    Ipv4Addr::new(10, network as u8 + 1, 0, 11 + (port - 2 * network) as u8)
}

fn guard_of(view: &NetworkView, port: u16) -> Guard {
    let ip = address(view.id.0, port);
    let own6 = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x11 + port);
    let protected = [view.subnet.unwrap().into(), "fd00:1::/64".parse().unwrap()];
    Guard::new(MacAddr::from_ipv4(ip), &[ip.into(), own6.into()], &protected)
}

fn switch(settings: &Settings<'_>) -> (Engine, Vec<MemoryPeer>, TraceSink) {
    let (engine, _) = Engine::start(1).unwrap();
    let mut peers = Vec::new();
    for port in 0..3 {
        let (queues, peer) = memory::pair(&format!("h{}", port + 1), 1, 64, true).unwrap();
        engine.attach(PortId(port), queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Port>).collect());
        peers.push(peer);
    }
    engine.publish(settings.snapshot());
    let sink = TraceSink::new(1, 64, Admission::everything());
    engine.trace(Some(&sink));
    (engine, peers, sink)
}

/// The next record, waiting for it no longer than that.
fn next(sink: &TraceSink, patience: Duration) -> Option<Box<RawRecord>> {
    let deadline = Instant::now() + patience;
    loop {
        match sink.rings[0].pop() {
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            record => return record,
        }
    }
}

fn play(frames: &str) -> String {
    let (engine, peers, sink) = switch(&Settings(frames));
    let mut text = String::new();
    for line in frames.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            writeln!(text, "#{comment}\n").unwrap();
        } else if let Some((host, octets)) = line.split_once(' ') {
            let port = host.strip_prefix('h').unwrap().parse::<usize>().unwrap() - 1;
            assert!(peers[port].send(&from_hexadecimal(octets), OffloadHeader::NONE));
            // The frame itself, then whatever the switch made on its account.
            let mut patience = Duration::from_secs(5);
            while let Some(mut raw) = next(&sink, patience) {
                raw.at_unix_ns = 0;
                writeln!(text, "{}\n", trace::tree(&Record::resolve(&raw, 0, &Hosts), Style::Plain)).unwrap();
                patience = Duration::from_millis(20);
            }
        }
    }
    engine.stop();
    text
}

fn from_hexadecimal(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

#[test]
fn decisions_are_as_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys");
    let mut played = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "frames") {
            let decisions = play(&fs::read_to_string(&path).unwrap());
            let expected = path.with_extension("txt");
            if std::env::var_os("LANYARD_REFRESH").is_some() {
                fs::write(&expected, &decisions).unwrap();
            }
            assert_eq!(decisions, fs::read_to_string(&expected).unwrap(), "{}", path.display());
            played += 1;
        }
    }
    assert!(played >= 7, "{played} journeys played");
}
