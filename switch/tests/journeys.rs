//! Does the engine decide, step by step, what it decided before? Frames in, decisions out as text: each file in
//! `tests/journeys/*.frames` is played into a switch of three memory ports and compared with the text beside it, which is
//! printed as `lanyard trace -v` prints it.
//!
//! A line of a `.frames` file is `PORT HEXADECIMAL` (h1, h2, h3), a comment (`#`), or empty. `LANYARD_REFRESH=1` writes the
//! texts anew: read the difference before it is committed.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its switch has failed")]

use std::borrow::Cow;
use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crossbeam::channel::Receiver;
use forwarding::MacTableConfig;
use frame::{MacAddr, NetworkId, OffloadHeader, PortId};
use lanyard_switch::engine::{Engine, GatewayView, NetworkTables, NetworkView, PortView, Snapshot, TraceSink};
use ports::Port;
use ports::memory::{self, MemoryPeer};
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

/// h1 (10.1.0.11) and h2 (10.1.0.12) on `lan`, h3 (10.2.0.11) on `dmz`; the networks are peers.
fn switch() -> (Engine, Vec<MemoryPeer>, Receiver<RawRecord>) {
    let (engine, _) = Engine::start(1).unwrap();
    let mut snapshot = Snapshot::default();
    for (id, members) in [(0, vec![PortId(0), PortId(1)]), (1, vec![PortId(2)])] {
        let ip = Ipv4Addr::new(10, id as u8 + 1, 0, 1);
        let gateway = GatewayView { ip, mac: MacAddr::from_ipv4(ip) };
        let tables = NetworkTables::new(MacTableConfig::default(), 1).unwrap();
        tables.mac.set_gateway(gateway.mac).unwrap();
        snapshot.networks.push(Some(Arc::new(NetworkView {
            id: NetworkId(id),
            tables: Arc::new(tables),
            members,
            mtu: 1500,
            forward_reserved: false,
            suppress_arp: false,
            subnet: Some(ipnet::Ipv4Net::new(ip, 24).unwrap().trunc()),
            gateway: Some(gateway),
            peers: vec![NetworkId(1 - id)],
        })));
    }
    let mut peers = Vec::new();
    for port in 0..3 {
        let (queues, peer) = memory::pair(&format!("h{}", port + 1), 1, 64, true).unwrap();
        engine.attach(PortId(port), queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Port>).collect());
        peers.push(peer);
        snapshot.ports.push(Some(PortView { network: NetworkId(u16::from(port == 2)) }));
    }
    engine.publish(snapshot);
    let (records, told) = crossbeam::channel::bounded(64);
    let (lost, last_number) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    engine.trace(Some(&TraceSink { records, lost, last_number }));
    (engine, peers, told)
}

fn play(frames: &str) -> String {
    let (engine, peers, told) = switch();
    let mut text = String::new();
    for line in frames.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            writeln!(text, "#{comment}\n").unwrap();
        } else if let Some((host, octets)) = line.split_once(' ') {
            let port = host.strip_prefix('h').unwrap().parse::<usize>().unwrap() - 1;
            assert!(peers[port].send(&from_hexadecimal(octets), OffloadHeader::NONE));
            // The frame itself, then whatever the switch made on its account.
            let mut patience = Duration::from_secs(5);
            while let Ok(mut raw) = told.recv_timeout(patience) {
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
    assert!(played >= 3, "{played} journeys played");
}
