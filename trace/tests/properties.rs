//! What holds for any octets, any steps and any names? Nothing panics, a line is one line, and JSON loses nothing.

use std::borrow::Cow;
use std::net::IpAddr;

use frame::offload::GsoKind;
use frame::step::{
    ArpKind, ArpOutcome, ArpStep, Injected, LearnRefusal, Learned, Lookup, NeighborChange, Resolved, RouteStep,
};
use frame::{DropReason, FrameNumber, MacAddr, Millis, NetworkId, OffloadHeader, PortId, Step, Verdict};
use lanyard_trace::{
    CacheChange, Ladder, Names, RawRecord, Record, Snap, Style, Widths, ladder, one_line, summary, tree,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Every port, network and address goes by one name, which may hold anything.
struct Anything(String);

impl Names for Anything {
    fn port(&self, _: PortId) -> Cow<'_, str> {
        self.0.as_str().into()
    }

    fn network(&self, _: NetworkId) -> Cow<'_, str> {
        self.0.as_str().into()
    }

    fn mac(&self, _: NetworkId, _: MacAddr) -> Option<Cow<'_, str>> {
        Some(self.0.as_str().into())
    }
}

fn port() -> impl Strategy<Value = PortId> {
    any::<u16>().prop_map(PortId)
}

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn reason() -> impl Strategy<Value = DropReason> {
    select(DropReason::ALL)
}

fn learned() -> impl Strategy<Value = Learned> {
    prop_oneof![
        Just(Learned::New),
        mac().prop_map(|evicted| Learned::Replaced { evicted }),
        Just(Learned::Refreshed),
        port().prop_map(|from| Learned::Moved { from }),
        port().prop_map(|port| Learned::Refused(LearnRefusal::Static { port })),
        select(&[LearnRefusal::Gateway, LearnRefusal::PortLimit, LearnRefusal::TableFull, LearnRefusal::Busy][..])
            .prop_map(Learned::Refused),
    ]
}

fn injected() -> impl Strategy<Value = Injected> {
    prop_oneof![
        select(
            &[Injected::Dropped, Injected::Overflowed, Injected::Duplicated, Injected::Copy, Injected::Reordered][..]
        ),
        any::<u64>().prop_map(|by| Injected::Delayed { by: Millis(by) }),
        any::<u16>().prop_map(|octet| Injected::Corrupted { octet }),
    ]
}

fn arp() -> impl Strategy<Value = ArpStep> {
    let kind = select(&[ArpKind::Request, ArpKind::Reply, ArpKind::Probe, ArpKind::Announcement][..]);
    let noted = prop_oneof![
        select(&[NeighborChange::Nothing, NeighborChange::New, NeighborChange::Confirmed, NeighborChange::Full][..]),
        mac().prop_map(|from| NeighborChange::Changed { from }),
        mac().prop_map(|held_by| NeighborChange::Conflict { held_by }),
    ];
    let outcome = prop_oneof![
        select(&[ArpOutcome::PassedOn, ArpOutcome::AnsweredAsGateway, ArpOutcome::ReadByGateway][..]),
        mac().prop_map(|mac| ArpOutcome::AnsweredFor { mac }),
    ];
    (kind, any::<std::net::Ipv4Addr>(), mac(), any::<std::net::Ipv4Addr>(), noted, outcome).prop_map(
        |(kind, sender_ip, sender_mac, target_ip, noted, outcome)| ArpStep {
            kind,
            sender_ip,
            sender_mac,
            target_ip,
            noted,
            outcome,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        select(&[Step::Admitted, Step::Guarded, Step::Isolated][..]),
        learned().prop_map(Step::Learned),
        arp().prop_map(Step::Arp),
        port().prop_map(|port| Step::LookedUp(Lookup::Known { port })),
        select(&[Lookup::Gateway, Lookup::Group, Lookup::Unknown, Lookup::SamePort][..]).prop_map(Step::LookedUp),
        any::<u16>().prop_map(|ports| Step::Flooded { ports }),
        any::<u16>().prop_map(|ports| Step::Repeated { ports }),
        (port(), injected()).prop_map(|(port, what)| Step::Faulted { port, what }),
        Just(Step::Routed(RouteStep::EchoAnswered)),
        (any::<u16>(), any::<IpAddr>(), any::<u8>()).prop_map(|(network, next_hop, ttl)| {
            Step::Routed(RouteStep::Forwarded { network: NetworkId(network), next_hop, ttl })
        }),
        (reason(), any::<bool>())
            .prop_map(|(reason, told_source)| Step::Routed(RouteStep::Refused { reason, told_source })),
        mac().prop_map(|mac| Step::Resolved(Resolved::Known { mac })),
        any::<u16>().prop_map(|held| Step::Resolved(Resolved::Waiting { held })),
        select(&[Resolved::Asked, Resolved::Full][..]).prop_map(Step::Resolved),
        port().prop_map(|port| Step::Sent { port }),
        (port(), reason()).prop_map(|(port, reason)| Step::NotSent { port, reason }),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        port().prop_map(|to| Verdict::Unicast { to }),
        any::<u16>().prop_map(|network| Verdict::Flood { network: NetworkId(network) }),
        any::<u16>().prop_map(|network| Verdict::Fragmented { network: NetworkId(network) }),
        select(&[Verdict::Answered, Verdict::Consumed, Verdict::Held][..]),
        reason().prop_map(Verdict::Drop),
    ]
}

/// Octets that go further than noise does: an ether type that somebody reads, maybe tags, maybe an IP header that begins
/// well, then noise, cut off anywhere.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let ether_type = select(&[0x0800u16, 0x0806, 0x86dd, 0x88cc, 0x0026, 0x9100, 0x88b5][..]);
    let inside = prop_oneof![
        Just(vec![]),
        Just(vec![0, 1, 8, 0, 6, 4, 0]),
        Just(vec![0x42, 0x42, 3, 0, 0]),
        (0x45u8..0x50, any::<[u8; 8]>(), select(&[1u8, 2, 6, 17, 51, 89][..]))
            .prop_map(|(ihl, rest, protocol)| { [&[ihl][..], &rest, &[protocol]].concat() }),
        (any::<[u8; 5]>(), select(&[0u8, 6, 17, 43, 44, 51, 58, 60][..])).prop_map(|(rest, next)| [
            &[0x60][..],
            &rest,
            &[next]
        ]
        .concat()),
    ];
    let tags = vec(any::<[u8; 2]>().prop_map(|control| [0x81, 0, control[0], control[1]]), 0..4);
    (any::<[u8; 12]>(), tags, ether_type, inside, vec(any::<u8>(), 0..120), 0usize..160).prop_map(
        |(addresses, tags, ether_type, inside, noise, len)| {
            let mut octets = [&addresses[..], &tags.concat(), &ether_type.to_be_bytes(), &inside, &noise].concat();
            octets.truncate(len);
            octets
        },
    )
}

fn raw() -> impl Strategy<Value = RawRecord> {
    let times = (any::<u64>(), any::<u64>(), any::<u64>());
    (times, any::<u16>(), option::of(port()), any::<u32>(), any::<[u8; 10]>(), octets(), vec(step(), 0..20), verdict())
        .prop_map(|((number, at_unix_ns, at), network, port, octets, header, snap, steps, verdict)| RawRecord {
            number: FrameNumber(number),
            at_unix_ns,
            at: Millis(at),
            network: NetworkId(network),
            port,
            octets,
            offload: OffloadHeader::from_octets(&header),
            snap: Snap::of(&snap),
            snap_sent: Some(Snap::of(&snap[snap.len() / 2..])),
            sent_unix_ns: at_unix_ns,
            table: None,
            steps,
            verdict,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn octets_become_one_line_of_text(octets in octets(), noise in vec(any::<u8>(), 0..200), len in any::<u32>()) {
        for text in [summary::describe(&octets, len), summary::describe(&noise, len)] {
            prop_assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn a_line_is_one_line_and_a_tree_one_line_a_step(raw in raw(), name in any::<String>(), lost in any::<u64>()) {
        let record = Record::resolve(&raw, lost, &Anything(name));
        let mut widths = Widths::default();
        widths.fit(&record);
        let line = one_line(&record, &widths, Style::Plain);
        prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        let tree_plain = tree(&record, Style::Plain);
        prop_assert_eq!(tree_plain.split('\n').count(), record.steps.len() + 2);
        prop_assert!(tree_plain.split('\n').all(|line| !line.chars().any(char::is_control)));
        prop_assert!(one_line(&record, &widths, Style::Ansi).len() > line.len());
        if let Verdict::Drop(reason) = raw.verdict {
            prop_assert!(line.contains(reason.sentence()) && tree_plain.contains(reason.sentence()));
        }
    }

    #[test]
    fn json_loses_nothing(raw in raw(), name in any::<String>(), lost in any::<u64>()) {
        let record = Record::resolve(&raw, lost, &Anything(name));
        let line = record.to_json_line().unwrap();
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1), "one object, one line");
        prop_assert_eq!(Record::from_json_line(&line).unwrap(), record);
    }

    #[test]
    fn a_super_frame_tells_its_segment_size(mut raw in raw(), segment in 1u16..) {
        raw.offload = OffloadHeader { gso: GsoKind::Tcp4, segment_octets: segment, ..OffloadHeader::NONE };
        let line = Record::resolve(&raw, 0, &()).to_string();
        let said = format!("segments of {segment}]");
        prop_assert!(line.contains(&said), "{line}");
    }
}

/// Names of every kind, and the numbers that stand in for names.
enum Called {
    One(Anything),
    Numbers,
}

impl Names for Called {
    fn port(&self, port: PortId) -> Cow<'_, str> {
        match self {
            Self::One(anything) => format!("{}{port}", anything.0).into(),
            Self::Numbers => port.to_string().into(),
        }
    }
}

/// Columns that a terminal gives a text of Latin letters: what a diagram is drawn with.
fn fits(line: &str) -> bool {
    line.chars().count() <= 80
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_diagram_of_anything_can_be_read(
        raws in vec(raw(), 0..12),
        name in option::of(any::<String>()),
        changes in vec((any::<u64>(), any::<String>(), any::<IpAddr>(), any::<String>()), 0..3),
    ) {
        let names = name.map_or(Called::Numbers, |name| Called::One(Anything(name)));
        let records: Vec<Record> = raws.iter().map(|raw| Record::resolve(raw, raw.at.0 % 9, &names)).collect();
        let changes: Vec<CacheChange> = changes.into_iter().map(|(at_unix_ns, endpoint, ip, state)| CacheChange {
            at_unix_ns, network: "n1".to_owned(), endpoint, ip, state_before: String::new(), state_after: state,
        }).collect();
        let diagram = Ladder::new(&records, &changes);
        let svg = ladder::svg(&diagram);
        let document = roxmltree::Document::parse(&svg).map_err(|error| TestCaseError::fail(format!("{error}: {svg}")))?;
        let inside = |value: Option<&str>| value.is_none_or(|x| x.parse::<i32>().is_ok_and(|x| (0..=800).contains(&x)));
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            prop_assert!(inside(node.attribute("x")), "outside the picture: {node:?}");
        }
        let page = ladder::html(&diagram);
        let body = page.split_once("<html").unwrap().1;
        let body = format!("<html{body}");
        prop_assert!(roxmltree::Document::parse(&body).is_ok());
        let text = ladder::txt(&diagram);
        prop_assert!(text.lines().all(fits), "{text}");
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        prop_assert!(ladder::mermaid(&diagram).lines().skip(1).all(|line| line.starts_with("    ")));
        prop_assert_eq!(ladder::svg(&Ladder::new(&records, &changes)), svg);
    }
}
