//! Does the what-if say what then happens? Ten thousand frames into switches whose tables chance has filled: each is asked
//! about first and really sent afterwards, and both must have gone the same way, step by step.
//!
//! What is not compared: numbers, times, ages, which the clock moves on between the two, and the order in which the copies of
//! one frame are written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up its bench has failed")]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use forwarding::{Eviction, Guard, MacTableConfig};
use frame::step::{Row, TableView};
use frame::{MacAddr, Millis, NetworkId, OffloadHeader, PortId, Step, Verdict};
use lanyard_switch as switch;
use ports::Port;
use ports::memory::{self, MemoryPeer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use switch::engine::what_if::WhatIf;
use switch::engine::{Engine, GatewayView, NetworkTables, NetworkView, PortView, Snapshot, TraceSink};
use trace::filter::Admission;
use trace::{RawRecord, Snap};

/// Ports 0 to 3 are on the first network, 4 and 5 on the second.
const PORTS: u16 = 6;
/// Frames asked about by one switch; 50 switches make ten thousand.
const FRAMES: usize = 200;
const SWITCHES: u32 = 50;

fn network_of(port: u16) -> u16 {
    u16::from(port >= 4)
}

fn ip(network: u16, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, network as u8, 0, host)
}

/// How one switch is set up.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "four settings that are on or off")]
struct Settings {
    guard: bool,
    icc: bool,
    suppress: bool,
    port_limit: Option<u32>,
    peers: bool,
    eviction: Eviction,
    hubs: [bool; 2],
}

fn settings() -> impl Strategy<Value = Settings> {
    let flags = (any::<bool>(), proptest::bool::weighted(0.7), any::<bool>(), any::<bool>());
    let eviction = select(&[Eviction::Fair, Eviction::Lru, Eviction::None][..]);
    let hub = || proptest::bool::weighted(0.2);
    let rest = (prop::option::of(1u32..30), eviction, hub(), hub());
    (flags, rest).prop_map(|((guard, icc, suppress, peers), (port_limit, eviction, hub, other))| Settings {
        guard,
        icc,
        suppress,
        port_limit,
        peers,
        eviction,
        hubs: [hub, other],
    })
}

struct Bench {
    engine: Engine,
    peers: Vec<MemoryPeer>,
    tables: Vec<Arc<NetworkTables>>,
    sink: TraceSink,
}

impl Bench {
    fn new(settings: &Settings) -> Self {
        let (engine, _) = Engine::start(1).unwrap();
        let mut peers = Vec::new();
        for port in 0..PORTS {
            let (queues, peer) = memory::pair(&format!("m{port}"), 1, 64, true).unwrap();
            engine.attach(PortId(port), queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Port>).collect());
            peers.push(peer);
        }
        // Small enough to be full, to displace and to evict.
        let config = MacTableConfig {
            capacity: 64,
            port_limit: settings.port_limit,
            ageing: Millis::from_secs(3600),
            eviction: settings.eviction,
        };
        let tables: Vec<_> = (0..2).map(|_| Arc::new(NetworkTables::new(config, 1).unwrap())).collect();
        let mut snapshot = Snapshot::default();
        for (id, tables) in (0..).zip(&tables) {
            snapshot.networks.push(Some(Arc::new(view(id, tables, settings))));
        }
        for port in 0..PORTS {
            let guard = settings.guard.then(|| Arc::new(guard_of(port)));
            snapshot.ports.push(Some(PortView { network: NetworkId(network_of(port)), guard }));
        }
        engine.publish(snapshot);
        let sink = TraceSink::new(1, 256, Admission::everything());
        engine.trace(Some(&sink));
        Self { engine, peers, tables, sink }
    }

    fn what_if(&self, port: u16, octets: &[u8]) -> Vec<RawRecord> {
        let mut what_if = WhatIf::of(&self.engine.snapshot(), NetworkId(network_of(port)));
        what_if.frame(PortId(port), octets, self.engine.clock().now())
    }

    /// What the ring has by now, from the first frame on that came in by a port.
    fn take(&self, records: &mut Vec<RawRecord>) {
        records.extend(std::iter::from_fn(|| self.sink.rings[0].pop()).map(|record| *record));
        let own = records.iter().position(|record| record.port.is_some()).unwrap_or(records.len());
        records.drain(..own);
    }

    /// Send it, and wait until as many records as foretold have come, and a little for those that were not.
    fn send(&self, port: u16, octets: &[u8], foretold: usize) -> Vec<RawRecord> {
        assert!(self.peers[port as usize].send(octets, OffloadHeader::NONE));
        let mut records = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        // One burst's records come together, so the first that comes brings the others.
        while records.len() < foretold && Instant::now() < deadline {
            self.take(&mut records);
            std::thread::yield_now();
        }
        self.take(&mut records);
        while records.len() > foretold && records.last().is_some_and(is_retry) {
            records.pop();
        }
        for peer in &self.peers {
            while peer.recv().is_some() {}
        }
        records
    }
}

/// Did a timer of the switch make it: the gateway asks once more who has a next hop? Such a frame has nothing to do with the one
/// that was sent.
fn is_retry(record: &RawRecord) -> bool {
    let octets = record.snap.octets();
    record.port.is_none() && octets[..6] == MacAddr::BROADCAST.0 && octets[12..14] == [8, 6] && octets[20..22] == [0, 1]
}

fn view(id: u16, tables: &Arc<NetworkTables>, settings: &Settings) -> NetworkView {
    let gateway = GatewayView { ip: ip(id, 1), mac: MacAddr::from_ipv4(ip(id, 1)) };
    tables.mac.set_gateway(gateway.mac).unwrap();
    let members: Vec<PortId> = (0..PORTS).filter(|port| network_of(*port) == id).map(PortId).collect();
    for port in &members {
        let own = ip(id, 10 + port.0 as u8);
        if settings.guard {
            tables.mac.set_static(MacAddr::from_ipv4(own), *port).unwrap();
        }
        if settings.suppress {
            let known = (own.into(), MacAddr::from_ipv4(own), Some(*port), Millis(0));
            tables.neighbors(|table| table.set_control(known.0, known.1, known.2, known.3)).unwrap();
        }
    }
    NetworkView {
        id: NetworkId(id),
        tables: Arc::clone(tables),
        members,
        mtu: 1500,
        forward_reserved: false,
        suppress_arp: settings.suppress,
        subnet: Some(ipnet::Ipv4Net::new(ip(id, 0), 24).unwrap()),
        gateway: Some(gateway),
        host_gateway: None,
        icc: settings.icc,
        peers: if settings.peers { vec![NetworkId(1 - id)] } else { Vec::new() },
        hub: settings.hubs[usize::from(id)],
    }
}

fn guard_of(port: u16) -> Guard {
    let own = ip(network_of(port), 10 + port as u8);
    let own6 = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, port);
    let subnet = ipnet::Ipv4Net::new(ip(network_of(port), 0), 24).unwrap();
    Guard::new(MacAddr::from_ipv4(own), &[own.into(), own6.into()], &[subnet.into()])
}

/// A host's own address now and then, the gateway's, or one of a hundred strangers'.
fn address() -> impl Strategy<Value = MacAddr> {
    prop_oneof![
        4 => (0..PORTS).prop_map(|port| MacAddr::from_ipv4(ip(network_of(port), 10 + port as u8))),
        2 => (0..2u16).prop_map(|network| MacAddr::from_ipv4(ip(network, 1))),
        4 => any::<u8>().prop_map(|n| MacAddr([2, 0, 0, 0, 9, n % 100])),
        1 => select(&[MacAddr::BROADCAST, MacAddr([1, 0, 0x5e, 0, 0, 1]), MacAddr([1, 0x80, 0xc2, 0, 0, 1]), MacAddr::ZERO][..]),
    ]
}

fn protocol_address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        6 => (0..2u16, 9..17u8).prop_map(|(network, host)| ip(network, host)),
        2 => (0..2u16).prop_map(|network| ip(network, 1)),
        1 => Just(Ipv4Addr::new(192, 0, 2, 9)),
        1 => Just(Ipv4Addr::UNSPECIFIED),
    ]
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    let addresses = (address(), address(), protocol_address(), protocol_address());
    let kind = prop_oneof![4 => Just(0u8), 5 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(4)];
    (addresses, kind, 1u8..5, 0usize..1700, vec(any::<u8>(), 14..80)).prop_map(
        |((destination, source, from, to), kind, small, payload, noise)| {
            let builder = PacketBuilder::ethernet2(source.0, destination.0);
            let mut octets = Vec::new();
            match kind {
                0 => return arp(destination, source, from, to, u16::from(small % 2) + 1),
                1 => builder
                    .ipv4(from.octets(), to.octets(), if small == 1 { 1 } else { 64 })
                    .icmpv4_echo_request(1, small.into())
                    .write(&mut octets, &vec![0; payload.min(1400)])
                    .unwrap(),
                2 => builder
                    .ipv4(from.octets(), to.octets(), small)
                    .udp(9, 9)
                    .write(&mut octets, &vec![0; payload])
                    .unwrap(),
                3 => return [&destination.0[..], &source.0, &noise].concat(),
                _ => return noise[..payload % 14].to_vec(),
            }
            octets
        },
    )
}

fn arp(destination: MacAddr, source: MacAddr, from: Ipv4Addr, to: Ipv4Addr, operation: u16) -> Vec<u8> {
    let mut octets = [&destination.0[..], &source.0, &[8, 6, 0, 1, 8, 0, 6, 4]].concat();
    octets.extend(operation.to_be_bytes());
    octets.extend(source.0);
    octets.extend(from.octets());
    octets.extend([0; 6]);
    octets.extend(to.octets());
    octets.resize(60, 0);
    octets
}

#[derive(Clone, Debug)]
enum Event {
    Frame(u16, Vec<u8>),
    /// Control takes an address for a port.
    Static(MacAddr, u16),
    /// A port went down for a moment.
    Flush(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        60 => (0..PORTS, octets()).prop_map(|(port, octets)| Event::Frame(port, octets)),
        1 => (address(), 0..PORTS).prop_map(|(mac, port)| Event::Static(mac, port)),
        1 => (0..PORTS).prop_map(Event::Flush),
    ]
}

/// A record without what the clock and the numbering put into it.
type Story = (Option<PortId>, NetworkId, Snap, Option<Snap>, Vec<Step>, Verdict, Option<TableView>);

fn story(record: &RawRecord) -> Story {
    let young = |row: Option<Row>| row.map(|row| Row { age: Millis(0), ..row });
    let table = record.table.map(|view| TableView {
        source_before: young(view.source_before),
        source_after: young(view.source_after),
        destination: young(view.destination),
        ..view
    });
    // In which order the ports of one burst were written is no decision.
    let mut steps = record.steps.clone();
    steps.sort_by_key(|step| if let Step::Sent { port } = step { port.0 + 1 } else { 0 });
    (record.port, record.network, record.snap, record.snap_sent, steps, record.verdict, table)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: SWITCHES, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_foretold_happens(settings in settings(), events in vec(event(), FRAMES + FRAMES / 8)) {
        let bench = Bench::new(&settings);
        let mut asked = 0;
        for event in events {
            match event {
                Event::Static(mac, port) => {
                    let _ = bench.tables[usize::from(network_of(port))].mac.set_static(mac, PortId(port));
                }
                Event::Flush(port) => bench.tables[usize::from(network_of(port))].flush_port(PortId(port)),
                Event::Frame(port, octets) => {
                    asked += 1;
                    let foretold = bench.what_if(port, &octets);
                    // A copy of everything is much work: one in eight is asked about twice.
                    let again = if asked % 8 == 0 { bench.what_if(port, &octets) } else { foretold.clone() };
                    let happened = bench.send(port, &octets, foretold.len());
                    let stories = |records: &[RawRecord]| records.iter().map(story).collect::<Vec<_>>();
                    prop_assert_eq!(stories(&foretold), stories(&again), "asking changes nothing");
                    prop_assert_eq!(stories(&foretold), stories(&happened), "port {}, {:02x?}", port, octets);
                }
            }
        }
        prop_assert!(asked >= FRAMES, "{} frames were asked about", asked);
        bench.engine.stop();
    }
}

#[test]
fn a_committed_frame_is_carried_out_and_told() {
    let settings = Settings {
        guard: false,
        icc: true,
        suppress: false,
        port_limit: None,
        peers: true,
        eviction: Eviction::Fair,
        hubs: [false; 2],
    };
    let bench = Bench::new(&settings);
    let own = |port: u16| MacAddr::from_ipv4(ip(0, 10 + port as u8));
    let frame = arp(MacAddr::BROADCAST, own(0), ip(0, 10), ip(0, 11), 1);
    let told = bench.engine.inject(PortId(0), &frame);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].verdict, Verdict::Flood { network: NetworkId(0) });
    for port in 1..4 {
        let deadline = Instant::now() + Duration::from_secs(2);
        let arrived = loop {
            assert!(Instant::now() < deadline, "nothing came to port {port}");
            if let Some((octets, _)) = bench.peers[port].recv() {
                break octets;
            }
        };
        assert_eq!(arrived, frame);
    }
    let traced = bench.sink.rings[0].pop().map(|record| record.number);
    assert_eq!(traced, Some(told[0].number), "the trace tells of it, too");
    let lesson = bench.engine.lessons().try_recv().unwrap();
    assert_eq!((lesson.number, lesson.mac), (told[0].number, own(0)));
    assert!(bench.engine.inject(PortId(77), &frame).is_empty(), "no such port");
    bench.engine.stop();
}
