//! Does a diagram show what happened, in each of its forms? The drawings stand in `tests/ladder/`, octet for octet;
//! with `LANYARD_BLESS=1` they are drawn anew, and then somebody has to look at them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::net::IpAddr;
use std::path::Path;

use common::{DMZ, GATEWAY, H1, H2, H3, H4, LAN, Lab, arp, echo, ip, mac, raw};
use frame::step::{
    ArpKind, ArpOutcome, ArpStep, LearnRefusal, Learned, Lookup, NeighborChange, Resolved, RouteStep, Row, RowKind,
    TableView,
};
use frame::{DropReason, FrameNumber, MacAddr, Millis, PortId, Step, Verdict};
use lanyard_trace::pcapng::{About, Packet, Reader, Writer};
use lanyard_trace::{CacheChange, Ladder, RawRecord, Record, RowRecord, TableRecord, ladder};

const NEW: Step = Step::Learned(Learned::New);
const FRESH: Step = Step::Learned(Learned::Refreshed);
const GROUP: Step = Step::LookedUp(Lookup::Group);
const FLOOD: Verdict = Verdict::Flood { network: LAN };
const START: u64 = (12 * 3600 + 1) * 1_000_000_000;

fn known(port: PortId) -> Step {
    Step::LookedUp(Lookup::Known { port })
}

fn asks(kind: ArpKind, from: u8, to: u8, noted: NeighborChange) -> Step {
    let (sender_ip, sender_mac, target_ip) = (ip(from), mac(from), ip(to));
    Step::Arp(ArpStep { kind, sender_ip, sender_mac, target_ip, noted, outcome: ArpOutcome::PassedOn })
}

fn steps(steps: &[Step], ports: &[PortId]) -> Vec<Step> {
    let mut all = [&[Step::Admitted], steps].concat();
    all.extend(ports.iter().map(|port| Step::Sent { port: *port }));
    all
}

fn view(age: u64, port: PortId) -> TableView {
    let row = |port| Some(Row { kind: RowKind::Learned, port: Some(port), age: Millis(age) });
    TableView {
        source_before: row(port),
        source_after: row(port),
        destination: None,
        entries: 2,
        capacity: 8192,
        on_port: 1,
    }
}

/// Frames with their numbers and times: microseconds after the first.
fn records(frames: Vec<(u64, RawRecord)>) -> Vec<Record> {
    let number = |(index, (us, raw)): (usize, (u64, RawRecord))| {
        let (number, at_unix_ns) = (FrameNumber(index as u64 + 1), START + us * 1000);
        Record::resolve(&RawRecord { number, at_unix_ns, ..raw }, 0, &Lab)
    };
    frames.into_iter().enumerate().map(number).collect()
}

fn cold_ping() -> Vec<Record> {
    let asked = [NEW, asks(ArpKind::Request, 1, 2, NeighborChange::New), GROUP, Step::Flooded { ports: 2 }];
    let told = [NEW, asks(ArpKind::Reply, 2, 1, NeighborChange::New), known(H1)];
    let one = |to| Verdict::Unicast { to };
    let mut records = records(vec![
        (0, raw(Some(H1), &arp(1, 1, 2), steps(&asked, &[H2, H3]), FLOOD)),
        (85, raw(Some(H2), &arp(2, 2, 1), steps(&told, &[H1]), one(H1))),
        (140, raw(Some(H1), &echo(false, 1, 2, mac(2)), steps(&[FRESH, known(H2)], &[H2]), one(H2))),
        (2210, raw(Some(H2), &echo(true, 2, 1, mac(1)), steps(&[FRESH, known(H1)], &[H1]), one(H1))),
    ]);
    let row = |port: &str, number, kind: &str| RowRecord {
        kind: kind.to_owned(),
        port: Some(port.to_owned()),
        age_ms: 0,
        taught_by: number,
    };
    let found = |row| TableRecord {
        source_before: None,
        source_after: None,
        destination: Some(row),
        entries: 2,
        capacity: 8192,
        on_port: 1,
    };
    records[1].table = Some(found(row("h1", Some(1), "learned")));
    records[2].table = Some(found(row("h2", Some(2), "learned")));
    records[3].table = Some(found(row("h1", None, "static")));
    records
}

fn caches() -> Vec<CacheChange> {
    [("h1", 2, 40, "", "INCOMPLETE"), ("h1", 2, 110, "INCOMPLETE", "REACHABLE"), ("h2", 1, 60, "", "STALE")]
        .map(|(endpoint, about, us, before, after)| CacheChange {
            at_unix_ns: START + us * 1000,
            network: "lan".to_owned(),
            endpoint: endpoint.to_owned(),
            ip: IpAddr::V4(ip(about)),
            state_before: before.to_owned(),
            state_after: after.to_owned(),
        })
        .to_vec()
}

fn drops() -> Vec<Record> {
    let guarded = steps(&[FRESH], &[]);
    let spoofed = raw(Some(H1), &arp(2, 3, 2), guarded, Verdict::Drop(DropReason::SpoofedArp));
    let full = Step::NotSent { port: H3, reason: DropReason::EgressFull };
    let flood = [steps(&[NEW, GROUP, Step::Flooded { ports: 2 }], &[H2]), vec![full]].concat();
    let down = [steps(&[FRESH, known(H2)], &[]), vec![Step::NotSent { port: H2, reason: DropReason::EgressDown }]];
    let mut records = records(vec![
        (0, raw(Some(H1), &arp(1, 1, 2), flood, FLOOD)),
        (500, spoofed),
        (1_500_000, raw(Some(H1), &echo(false, 1, 2, mac(2)), down.concat(), Verdict::Unicast { to: H2 })),
    ]);
    records[2].lost = 12;
    records
}

fn moved() -> Vec<Record> {
    let moved = [Step::Learned(Learned::Moved { from: H1 }), known(H2)];
    let refused = [Step::Learned(Learned::Refused(LearnRefusal::Static { port: H1 })), known(H2)];
    let one = Verdict::Unicast { to: H2 };
    let mut old = raw(Some(H1), &echo(false, 1, 2, mac(2)), steps(&[FRESH, known(H2)], &[H2]), one);
    old.table = Some(view(12_340, H1));
    records(vec![
        (0, old),
        (20_000, raw(Some(H3), &echo(false, 1, 2, mac(2)), steps(&moved, &[H2]), one)),
        (31_000, raw(Some(H3), &echo(false, 1, 2, mac(2)), steps(&refused, &[H2]), one)),
    ])
}

/// Through the gateway: held while the switch asks for the next hop, and the next one at once.
fn routed() -> Vec<Record> {
    let forwarded = Step::Routed(RouteStep::Forwarded { network: DMZ, next_hop: IpAddr::V4(ip(4)), ttl: 63 });
    let gateway = [FRESH, Step::LookedUp(Lookup::Gateway), forwarded];
    let ping = || echo(false, 1, 4, GATEWAY);
    let held = steps(&[&gateway[..], &[Step::Resolved(Resolved::Asked)]].concat(), &[]);
    let found = [&gateway[..], &[Step::Resolved(Resolved::Known { mac: mac(4) }), known(H4)]].concat();
    let asked = vec![GROUP, Step::Flooded { ports: 1 }, Step::Sent { port: H4 }];
    let mut ask = raw(None, &arp(1, 1, 4), asked, Verdict::Flood { network: DMZ });
    ask.network = DMZ;
    let mut reply = raw(Some(H4), &arp(2, 4, 1), steps(&[NEW], &[]), Verdict::Consumed);
    reply.network = DMZ;
    let mut release = raw(None, &ping(), steps(&[known(H4)], &[H4]), Verdict::Unicast { to: H4 });
    release.network = DMZ;
    records(vec![
        (0, raw(Some(H1), &ping(), held, Verdict::Held)),
        (12, ask),
        (190, reply),
        (201, release),
        (1_000_204, raw(Some(H1), &ping(), steps(&found, &[H4]), Verdict::Unicast { to: H4 })),
    ])
}

fn crowd(hosts: u16) -> Vec<Record> {
    let ports: Vec<PortId> = (1..=hosts).filter(|port| *port != 3).map(PortId).collect();
    let asked = [NEW, asks(ArpKind::Request, 3, 9, NeighborChange::New), GROUP, Step::Flooded { ports: hosts - 1 }];
    let told = [NEW, asks(ArpKind::Reply, 9, 3, NeighborChange::New), known(H3)];
    records(vec![
        (0, raw(Some(H3), &arp(1, 3, 9), steps(&asked, &ports), FLOOD)),
        (64, raw(Some(PortId(9)), &arp(2, 9, 3), steps(&told, &[H3]), Verdict::Unicast { to: H3 })),
    ])
}

/// Names that want to be something else.
fn rude() -> Vec<Record> {
    let mut records = cold_ping();
    for record in &mut records {
        for port in record.egress.iter_mut().map(|egress| &mut egress.port).chain(record.port.as_mut()) {
            *port = format!("{port}<b>&\"'\x1b[2J\u{202e}-a-name-that-is-rather-long");
        }
        record.summary = format!("{} <end>; {}", record.summary, "and so on ".repeat(30));
    }
    records
}

fn scenes() -> Vec<(&'static str, Ladder)> {
    vec![
        ("cold-ping", Ladder::new(&cold_ping(), &[])),
        ("caches", Ladder::new(&cold_ping(), &caches())),
        ("drops", Ladder::new(&drops(), &[])),
        ("moved", Ladder::new(&moved(), &[])),
        ("routed", Ladder::new(&routed(), &[])),
        ("twelve-hosts", Ladder::new(&crowd(12), &[])),
        ("crowd", Ladder::new(&crowd(60), &[])),
        ("rude-names", Ladder::new(&rude(), &[])),
        ("nothing", Ladder::new(&[], &[])),
    ]
}

fn golden(name: &str, drawn: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ladder").join(name);
    if std::env::var_os("LANYARD_BLESS").is_some() {
        std::fs::write(&path, drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == drawn, "{name} is drawn otherwise than {}; now it is\n{drawn}", path.display());
}

#[test]
fn diagrams_are_as_they_were_looked_at() {
    for (name, ladder) in scenes() {
        golden(&format!("{name}.txt"), &ladder::txt(&ladder));
        golden(&format!("{name}.svg"), &ladder::svg(&ladder));
        if matches!(name, "caches" | "drops" | "routed" | "rude-names") {
            golden(&format!("{name}.mmd"), &ladder::mermaid(&ladder));
        }
        if name == "routed" {
            golden("routed.html", &ladder::html(&ladder));
        }
    }
}

#[test]
fn the_same_records_make_the_same_octets() {
    for ((name, one), (_, other)) in scenes().into_iter().zip(scenes()) {
        for draw in [ladder::svg, ladder::txt, ladder::mermaid, ladder::html] {
            assert_eq!(draw(&one), draw(&other), "{name}");
        }
    }
    // In whatever order they came.
    let (mut records, mut changes) = (cold_ping(), caches());
    let one = Ladder::new(&records, &changes);
    records.reverse();
    changes.swap(0, 1);
    assert_eq!(ladder::svg(&Ladder::new(&records, &changes)), ladder::svg(&one));
}

#[test]
fn what_was_lost_at_the_ends_is_told_by_who_knows() {
    let lost = |ladder: Ladder| ladder::txt(&ladder).lines().filter(|line| line.contains(" lost to the trace")).count();
    assert_eq!(lost(Ladder::new(&drops(), &[])), 1);
    assert_eq!(lost(Ladder::new(&drops(), &[]).with_losses(0, 13)), 2);
    assert_eq!(lost(Ladder::new(&cold_ping(), &[])), 0);
    let text = ladder::txt(&Ladder::new(&[], &[]).with_losses(0, 1));
    assert!(text.contains("1 frame lost"), "{text}");
}

/// What is written as a capture and read again is the same diagram, but for what no comment tells.
#[test]
fn a_capture_makes_the_same_diagram() {
    for (name, records) in [("cold", cold_ping()), ("drops", drops()), ("routed", routed()), ("crowd", crowd(12))] {
        let mut writer = Writer::new(Vec::new(), &About::default()).unwrap();
        for record in &records {
            writer.record(record).unwrap();
        }
        let (file, _) = writer.finish().unwrap();
        let mut reader = Reader::new(file.as_slice());
        let mut packets = Vec::new();
        while let Some(packet) = reader.packet().unwrap() {
            packets.push(packet);
        }
        let frames = ladder::captured(&packets, reader.names());
        assert!(frames.iter().zip(&records).all(|(frame, record)| frame.record.verdict == record.verdict), "{name}");
        let plain = |text: String| {
            let known = ["FOUND", "ARP: ", "network"];
            let lines = text.lines().map(|line| line.trim_end().trim_start_matches(|c| c != '#').to_owned());
            lines.filter(|line| !known.iter().any(|word| line.contains(word))).collect::<Vec<_>>()
        };
        let drawn = plain(ladder::txt(&Ladder::from_captured(&frames, &[])));
        assert_eq!(drawn, plain(ladder::txt(&Ladder::new(&records, &[]))), "{name}");
        for draw in [ladder::svg, ladder::html] {
            let one = draw(&Ladder::from_captured(&frames, &[]));
            assert!(one.contains("</svg>") && one == draw(&Ladder::from_captured(&frames, &[])));
        }
    }
}

#[test]
fn a_capture_of_somebody_else_tells_no_decision() {
    let mut writer = Writer::new(Vec::new(), &About::default()).unwrap();
    writer.record(&cold_ping()[0]).unwrap();
    let (file, _) = writer.finish().unwrap();
    let packet = Reader::new(file.as_slice()).packet().unwrap().unwrap();
    let frames = |packet: Packet| ladder::captured(&[packet], &std::collections::BTreeMap::new()).len();
    assert_eq!(frames(packet.clone()), 1);
    let comments = |text: &str| vec![text.to_owned()];
    for packet in [
        Packet { packet_id: None, ..packet.clone() },
        Packet { comments: vec![], ..packet.clone() },
        Packet { comments: comments("#2 LEARN new h1"), ..packet.clone() },
        Packet { comments: comments("good luck"), ..packet.clone() },
    ] {
        assert_eq!(frames(packet), 0);
    }
    for text in ["#1 ", "#1 LEARN", "#1 LEARN moved", "#1 | | FLOOD", "#1 FLOOD", "#1 \u{202e} -> | x"] {
        let text = comments(text).into_iter().chain(["= ".to_owned(), "DROP: x: y".to_owned(), "9 a: (".to_owned()]);
        let frames = ladder::captured(&[Packet { comments: text.collect(), ..packet.clone() }], &[].into());
        assert!(ladder::svg(&Ladder::from_captured(&frames, &[])).contains("DROP: y"));
    }
}

/// Where everything is drawn can be read back from the drawing.
#[test]
fn every_copy_has_its_arrow_and_every_drop_its_cross() {
    let count = |svg: &str, class: &str, letter: char| {
        let document = roxmltree::Document::parse(svg).unwrap();
        let paths = document.descendants().filter(|node| node.attribute("class") == Some(class));
        paths.map(|path| path.attribute("d").unwrap_or_default().matches(letter).count()).sum::<usize>()
    };
    // One sample of each kind stands in the legend.
    let flood = ladder::svg(&Ladder::new(&crowd(12), &[]));
    assert_eq!((count(&flood, "fh", 'M'), count(&flood, "uh", 'M'), count(&flood, "ah", 'M')), (11 + 1, 1 + 1, 2 + 1));
    let drops = ladder::svg(&Ladder::new(&drops(), &[]));
    assert_eq!(count(&drops, "c", 'M'), 3 + 1);
    for reason in [DropReason::SpoofedArp, DropReason::EgressFull, DropReason::EgressDown] {
        let words: Vec<&str> = reason.sentence().split(' ').take(4).collect();
        assert!(drops.contains(&words.join(" ")), "{reason}");
    }
    assert!(drops.contains("12 frames lost"));
}

#[test]
fn a_hundred_frames_are_a_small_picture() {
    let records: Vec<Record> = (0..50u64)
        .flat_map(|round| {
            crowd(14).into_iter().map(move |record| Record {
                number: round * 2 + record.number,
                at_unix_ns: record.at_unix_ns + round * 1_000_000,
                ..record
            })
        })
        .collect();
    let svg = ladder::svg(&Ladder::new(&records, &[]));
    assert!(svg.len() <= 200_000, "{} octets", svg.len());
    assert_eq!(svg.matches("#100").count(), 2, "number and title");
}

#[test]
fn a_page_fetches_nothing_and_runs_nothing() {
    for (name, ladder) in scenes() {
        let page = ladder::html(&ladder);
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["<script", "http:", "https:", "url(", "@import", "<link", "<img", "onload", "href"] {
            assert!(!page.contains(word), "{name}: {word}");
        }
        let body = page.split_once("<html").unwrap().1;
        roxmltree::Document::parse(&format!("<html{body}")).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn strangers_have_addresses() {
    // Who was not given the address is named by his port; who speaks for another by the address.
    let stranger = MacAddr([2, 0, 0, 0, 0, 0x63]);
    let mut records = cold_ping();
    (records[0].source_name, records[1].source) = (None, Some(stranger));
    let text = ladder::txt(&Ladder::new(&records, &[]));
    assert!(text.contains("ARP: 10.0.0.1 is h1") && text.contains("ARP: 10.0.0.2 is 02:42:0a:00:00:02"), "{text}");
}
