//! What is written is read again; what is damaged is told with its place, and never costs more than its octets.

use frame::step::{Learned, RouteStep};
use frame::{DropReason, FrameNumber, NetworkId, PortId, Step, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::record::{RawRecord, Record, Snap};

const H1: MacAddr = MacAddr([2, 0x42, 10, 0, 0, 1]);
const AT: u64 = 1_700_000_000_123_456_789;

fn frame(destination: MacAddr, octets: usize) -> Vec<u8> {
    let mut frame = [&destination.0[..], &H1.0, &[0x88, 0xb5]].concat();
    frame.resize(octets, 7);
    frame
}

fn record(number: u64, at: u64, octets: &[u8], steps: Vec<Step>, verdict: Verdict) -> Record {
    let raw = RawRecord {
        number: FrameNumber(number),
        at_unix_ns: at,
        network: NetworkId(1),
        port: Some(PortId(1)),
        octets: octets.len() as u32,
        snap: Snap::of(octets),
        sent_unix_ns: at + 500,
        steps,
        verdict,
        ..RawRecord::default()
    };
    Record::resolve(&raw, 0, &())
}

fn sent(port: u16) -> Step {
    Step::Sent { port: PortId(port) }
}

fn flooded(number: u64, at: u64) -> Record {
    let full = Step::NotSent { port: PortId(3), reason: DropReason::EgressFull };
    let steps = vec![Step::Learned(Learned::New), Step::Flooded { ports: 2 }, sent(2), full];
    record(number, at, &frame(MacAddr::BROADCAST, 60), steps, Verdict::Flood { network: NetworkId(1) })
}

fn dropped(number: u64, at: u64) -> Record {
    record(number, at, &frame(MacAddr([1, 0, 0x5e, 0, 0, 1]), 300), vec![], Verdict::Drop(DropReason::SpoofedMac))
}

fn about() -> About {
    About { application: "lanyard 0.1".into(), comment: "a lesson".into() }
}

fn file(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &about()).unwrap();
    writer.name([(Address::Mac(H1), "h1".into()), (Address::Ip([10, 0, 0, 1].into()), "h1".into())]).unwrap();
    writer.describe("n1", "p2", "tap h2");
    for record in records {
        writer.record(record).unwrap();
    }
    writer.finish().unwrap().0
}

fn packets(octets: &[u8]) -> Vec<Packet> {
    let mut reader = Reader::new(octets);
    std::iter::from_fn(|| reader.packet().unwrap()).collect()
}

#[test]
fn a_frame_and_its_copies_share_a_number() {
    let file = file(&[flooded(1, AT), dropped(2, AT + 100)]);
    let packets = packets(&file);
    let told: Vec<_> = packets
        .iter()
        .map(|packet| (packet.interface.name.as_str(), packet.direction, packet.packet_id, packet.at_unix_ns - AT))
        .collect();
    let (came, left) = (Some(Direction::In), Some(Direction::Out));
    assert_eq!(told, [("p1", came, Some(1), 0), ("p1", came, Some(2), 100), ("p2", left, Some(1), 500)]);
    assert_eq!(packets[2].interface.description, "port of network n1: tap h2");
    assert_eq!(packets[0].interface.description, "port of network n1");
    assert_eq!((packets[0].octets.len(), packets[0].original_octets), (60, 60));
    assert_eq!((packets[1].octets.len(), packets[1].original_octets), (128, 300));
    assert!(packets[2].comments.is_empty(), "the decision stands where the frame came in");
    let comments = &packets[0].comments;
    assert_eq!(
        comments[0],
        "#1 LEARN new p1 | FLOOD broadcast -> p2 | NOT SENT to p3: the queue of the port it should leave by is full"
    );
    let refused = "NOT SENT to p3: egress-full: the queue of the port it should leave by is full";
    assert!(comments.iter().any(|comment| comment == refused), "{comments:#?}");
    assert_eq!(comments.last().unwrap(), "= flooded to every other port of n1");
    assert!(
        packets[1]
            .comments
            .iter()
            .any(|comment| comment == "DROP: spoofed-mac: its source is the MAC address of another port")
    );
}

#[test]
fn the_file_tells_who_wrote_it_whose_addresses_and_what_was_lost() {
    let mut later = flooded(9, AT);
    later.lost = 7;
    let octets = file(&[flooded(1, AT - 9), later]);
    let mut reader = Reader::new(&octets[..]);
    let packets: Vec<_> = std::iter::from_fn(|| reader.packet().unwrap()).collect();
    assert_eq!(packets.iter().map(|packet| packet.lost).collect::<Vec<_>>(), [0, 7, 0, 0]);
    assert_eq!((reader.application(), reader.lost()), (Some("lanyard 0.1"), 7));
    assert_eq!(reader.interfaces()[0].name, "switch");
    let names: Vec<_> = reader.names().values().map(String::as_str).collect();
    assert_eq!(names, ["h1", "h1"]);
    let names = reader.names().iter().map(|(address, name)| (address, name.as_str()));
    assert_eq!(ethers(names), "02:42:0a:00:00:01 h1\n");
}

#[test]
fn a_routed_frame_leaves_by_the_other_network_as_it_was_rewritten() {
    let next_hop = [10, 0, 1, 1].into();
    let steps = vec![sent(2), Step::Routed(RouteStep::Forwarded { network: NetworkId(2), next_hop, ttl: 63 }), sent(2)];
    let mut routed = record(1, AT, &frame(H1, 60), steps, Verdict::Unicast { to: PortId(2) });
    routed.data_sent = Some(frame(H1, 61)[..].into());
    let made = Record { port: None, ..dropped(2, AT + 9) };
    let packets = packets(&file(&[routed, made]));
    let told: Vec<_> =
        packets.iter().map(|packet| (packet.interface.description.as_str(), packet.octets.len())).collect();
    assert_eq!(told[0], ("port of network n1", 60));
    assert!(told[1].0.starts_with("frames that the switch made"), "{told:?}");
    assert_eq!(told[2..], [("port of network n1: tap h2", 61), ("port of network n2", 61)]);
}

#[test]
fn workers_that_cross_are_put_in_order() {
    let mut writer = Writer::new(Vec::new(), &about()).unwrap();
    for (number, at) in [(2, AT + 50), (1, AT), (3, AT + 20)] {
        writer.record(&dropped(number, at)).unwrap();
    }
    writer.settle().unwrap();
    writer.record(&dropped(4, AT)).unwrap();
    writer.lost(5);
    let (octets, counts) = writer.finish().unwrap();
    let told: Vec<_> =
        packets(&octets).iter().map(|packet| (packet.packet_id.unwrap(), packet.at_unix_ns - AT)).collect();
    assert_eq!(told, [(1, 0), (3, 20), (2, 50), (4, 50)]);
    assert_eq!(counts, Counts { frames: 4, packets: 4, lost: 5, late: 1 });
}

#[test]
fn a_frame_of_thousands_of_steps_stays_a_packet() {
    let mut steps: Vec<Step> = (0..4000).map(sent).collect();
    steps.push(Step::NotSent { port: PortId(4001), reason: DropReason::EgressDown });
    let octets =
        file(&[record(1, AT, &frame(MacAddr::BROADCAST, 60), steps, Verdict::Flood { network: NetworkId(1) })]);
    let packets = packets(&octets);
    assert_eq!(packets.len(), 4001);
    assert!(packets[0].comments.len() < 60);
    assert!(packets[0].comments.iter().any(|comment| comment.contains("p4001: egress-down")));
}

/// The same file in the other order of octets, as far as the lengths and numbers that this test's blocks have go.
#[test]
fn the_other_byte_order_and_other_resolutions_are_read() {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_be_bytes();
        file.extend([&kind.to_be_bytes()[..], &length, body, &length].concat());
    };
    block(blocks::SECTION_HEADER, &[&blocks::BYTE_ORDER_MAGIC.to_be_bytes()[..], &[0, 1, 0, 0], &[0xff; 8]].concat());
    // Milliseconds, ten seconds late; then units of 1/4 s; then picoseconds.
    block(1, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 3, 0, 0, 0, 0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 10]);
    block(1, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 9, 0, 1, 0x82, 0, 0, 0, 0, 0, 0, 0]);
    block(1, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 12, 0, 0, 0]);
    block(0x0bad, &[1, 2, 3, 4]);
    block(6, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 42, 0, 0, 0, 0, 2, 0, 4, 0, 0, 0, 2]);
    block(6, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    block(6, &[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    block(3, &[0, 0, 0, 3, 1, 2, 3, 0]);
    let packets = packets(&file);
    let times: Vec<_> = packets.iter().map(|packet| packet.at_unix_ns).collect();
    assert_eq!(times, [10_007_000_000, 1_750_000_000, 4_294_967, 0]);
    assert_eq!((packets[0].octets.as_slice(), packets[0].original_octets), (&[42][..], 9));
    assert_eq!(packets[0].direction, Some(Direction::Out));
    assert_eq!(packets[3].octets, [1, 2, 3]);
    assert_eq!(packets[1].interface.name, "interface 1");
}

fn fault(octets: &[u8]) -> String {
    let mut reader = Reader::new(octets);
    loop {
        match reader.packet() {
            Ok(Some(_)) => {}
            Ok(None) => return "none".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}

#[test]
fn what_is_damaged_is_told_with_its_place() {
    let good = file(&[flooded(1, AT)]);
    let head = u32::from_le_bytes(*good[4..].first_chunk().unwrap()) as usize;
    let changed = |at: usize, value: &[u8]| {
        let mut octets = good.clone();
        octets[at..at + value.len()].copy_from_slice(value);
        octets
    };
    let packet = good.windows(8).position(|window| window[..4] == [6, 0, 0, 0] && window[6..] == [0, 0]).unwrap();
    let place = |at: usize| format!("at octet {at}, ");
    for (octets, at, what) in [
        (vec![], 0, "it is empty"),
        (b"<html><body>".to_vec(), 0, "no pcapng section begins"),
        (vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0], 0, "old pcap format"),
        (good[..9].to_vec(), 0, "head is cut off"),
        (good[..head + 5].to_vec(), head, "head is cut off"),
        (good[..packet + 40].to_vec(), packet, "is cut off"),
        (changed(8, &[9, 9, 9, 9]), 0, "byte order"),
        (changed(12, &[2, 0]), 0, "version 2.0"),
        (changed(head + 4, &[0, 0, 0, 0]), head, "says it has 0 octets"),
        (changed(head + 4, &[13, 0, 0, 0]), head, "says it has 13 octets"),
        (changed(head + 4, &[0, 0, 0, 0x70]), head, "are read at most"),
        (changed(head - 4, &[0, 0, 0, 0]), 0, "two lengths"),
        (changed(packet + 8, &[99, 0, 0, 0]), packet, "interface 99, of which 3 are described"),
        (changed(packet + 20, &[0xff, 0xff, 0xff, 0xff]), packet, "a packet is cut off"),
        (changed(packet + 28 + 60 + 2, &[0xff, 0xff]), packet, "an option is cut off"),
    ] {
        let told = fault(&octets);
        assert!(told.contains(&place(at)) && told.contains(what), "{told}; not '{}{what}'", place(at));
    }
}

#[test]
fn an_announced_length_costs_nothing_until_it_is_there() {
    let mut octets = file(&[]);
    octets.extend([6, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert!(fault(&octets).contains("a block of 16777216 octets is cut off"));
}

fn mixed() -> impl Strategy<Value = Vec<Record>> {
    vec((any::<bool>(), 0u64..1000), 0..6).prop_map(|records| {
        let number = |index: usize| index as u64 + 1;
        let one = |(index, (flood, at)): (usize, (bool, u64))| {
            if flood { flooded(number(index), AT + at) } else { dropped(number(index), AT + at) }
        };
        records.into_iter().enumerate().map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read(records in mixed()) {
        let packets = packets(&file(&records));
        prop_assert!(packets.is_sorted_by_key(|packet| packet.at_unix_ns));
        let copies: usize = records.iter().map(|record| record.egress.iter().filter(|egress| egress.sent).count()).sum();
        prop_assert_eq!(packets.len(), records.len() + copies);
    }

    #[test]
    fn garbage_is_refused_or_read(octets in vec(any::<u8>(), 0..400)) {
        fault(&octets);
        let mut behind = file(&[]);
        behind.extend(octets);
        fault(&behind);
    }

    #[test]
    fn damage_is_refused_or_read(
        records in mixed(), cut in any::<Index>(),
        changes in vec((any::<Index>(), prop_oneof![any::<u8>(), select(&[0u8, 1, 4, 6, 0xff][..])]), 0..8),
    ) {
        let mut octets = file(&records);
        for (at, value) in changes {
            let at = at.index(octets.len());
            octets[at] = value;
        }
        let told = fault(&octets);
        prop_assert!(!told.chars().any(char::is_control), "{}", told);
        octets.truncate(cut.index(octets.len()));
        fault(&octets);
    }
}
