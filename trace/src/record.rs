//! What is known of one traced frame?
//!
//! [`RawRecord`] is what the engine fills: numbers, no text, cheap. [`Record`] is the same with names, self-contained.
//! Its JSON form is one object on one line ([`Record::to_json_line`]), with these keys, which are added to but never
//! renamed:
//!
//! | key | value |
//! | --- | --- |
//! | `schema` | `lanyard.frame/1`: these keys; another number would mean that one of them has changed its meaning |
//! | `number` | the frame's number, from 1, the same in every view |
//! | `at_unix_ns` | when it came in: nanoseconds since 1970-01-01 UTC |
//! | `at_ms` | the same on the engine's own clock, in milliseconds |
//! | `network` | name of the network it came in by |
//! | `port` | name of the port it came in by; `null` for a frame that the switch made |
//! | `octets` | whole length without FCS |
//! | `segment_octets` | payload octets of each segment of a super-frame; `null` for other frames |
//! | `source`, `destination` | MAC addresses; `null` where the frame is too short to have them |
//! | `source_name`, `destination_name` | whose they are; `null` where nobody knows |
//! | `summary` | what the frame says, in words |
//! | `steps` | list of objects, told apart by `step`: `admitted`, `guarded`, `isolated`, `learned`, `arp`, `looked_up`, `flooded`, `repeated`, `faulted`, `routed`, `resolved`, `sent`, `not_sent`; see [`crate::step`] |
//! | `verdict` | object, told apart by `kind`: `unicast` (`to`), `flood` (`network`), `fragmented` (`network`), `answered`, `consumed`, `held`, `drop` (`reason`, `sentence`) |
//! | `egress` | list of `{port, sent, reason, sentence}`; the last two are `null` where it was sent |
//! | `lost` | how many frames were lost to the trace so far |
//! | `sent_unix_ns` | when the burst with its copies was handed to the ports; `null` where nothing was sent |
//! | `data` | its first octets (128 at most) as they came in, two hexadecimal digits each |
//! | `data_sent` | the same as they left, where the gateway rewrote the frame; `null` otherwise |
//! | `table` | what the MAC table held: `source_before`, `source_after`, `destination` (rows or `null`), `entries`, `capacity`, `on_port`; `null` for a frame that never came so far. A row is `{kind, port, age_ms, taught_by}`: `learned`, `static` or `gateway`, and the number of the frame that taught it, `null` where that is not remembered |
//!
//! A trace whose losses no record has told yet tells them by themselves when it goes quiet or ends: a line with `lost`
//! and without `number` is a [`Loss`].
//!
//! Within `steps`, `learned`, `looked_up`, `routed` and `resolved` say what they found in `result`; a MAC address with
//! a name to it is `{mac, name}`.
//!
//! Not done: octets behind the first 128.

use std::borrow::Cow;

use frame::ethernet::EthernetHeader;
use frame::step::TableView;
use frame::{FrameNumber, MacAddr, Millis, NetworkId, OffloadHeader, PortId, Step, Verdict};
use serde::{Deserialize, Serialize};

use crate::octets::Octets;
use crate::step::{Resolver, Station, StepRecord, TableRecord, VerdictRecord};
use crate::summary;

/// The name and version of the JSON form.
pub const SCHEMA: &str = "lanyard.frame/1";

/// Octets of a traced frame that are kept: Ethernet, two tags, IPv6, and TCP with every option fit.
pub const SNAP_OCTETS: usize = 128;

/// The first octets of a frame, as they came in, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snap {
    octets: [u8; SNAP_OCTETS],
    len: u8,
}

impl Snap {
    /// The first [`SNAP_OCTETS`] of `octets`, or all when there are fewer.
    pub fn of(octets: &[u8]) -> Self {
        let len = octets.len().min(SNAP_OCTETS);
        let mut snap = Self { octets: [0; SNAP_OCTETS], len: len as u8 };
        snap.octets[..len].copy_from_slice(&octets[..len]);
        snap
    }

    /// The octets that were kept.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// One traced frame, as the engine tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawRecord {
    /// The number it goes by in every view.
    pub number: FrameNumber,
    /// When it came in: nanoseconds since 1970-01-01 UTC.
    pub at_unix_ns: u64,
    /// When it came in, on the engine's clock.
    pub at: Millis,
    /// The network it came in by, or that the switch made it for.
    pub network: NetworkId,
    /// The port it came in by; `None` when the switch made it (an ARP request of the gateway, say).
    pub port: Option<PortId>,
    /// Its whole length, without FCS.
    pub octets: u32,
    /// What it left to do.
    pub offload: OffloadHeader,
    /// Its first octets, before any of them was rewritten.
    pub snap: Snap,
    /// Its first octets as it left, if they were rewritten.
    pub snap_sent: Option<Snap>,
    /// When its copies were handed to the ports: nanoseconds since 1970-01-01 UTC; 0 where none was.
    pub sent_unix_ns: u64,
    /// The MAC table around it, if it came so far.
    pub table: Option<TableView>,
    /// The decisions, in order.
    pub steps: Vec<Step>,
    /// What became of it.
    pub verdict: Verdict,
}

/// Of no frame: something to fill in.
impl Default for RawRecord {
    fn default() -> Self {
        Self {
            number: FrameNumber(0),
            at_unix_ns: 0,
            at: Millis(0),
            network: NetworkId(0),
            port: None,
            octets: 0,
            offload: OffloadHeader::NONE,
            snap: Snap::of(&[]),
            snap_sent: None,
            sent_unix_ns: 0,
            table: None,
            steps: Vec::with_capacity(8),
            verdict: Verdict::Consumed,
        }
    }
}

/// Who knows what ports, networks and stations are called? `()` knows no name: `p3`, `n1`.
pub trait Names {
    /// The name of a port: its endpoint's.
    fn port(&self, port: PortId) -> Cow<'_, str> {
        port.to_string().into()
    }

    /// The name of a network.
    fn network(&self, network: NetworkId) -> Cow<'_, str> {
        network.to_string().into()
    }

    /// The name of the station that was given this address on this network, if any was.
    fn mac(&self, _network: NetworkId, _mac: MacAddr) -> Option<Cow<'_, str>> {
        None
    }

    /// The number of the frame that taught the MAC table where this address is, if that is remembered.
    fn taught_by(&self, _network: NetworkId, _mac: MacAddr) -> Option<FrameNumber> {
        None
    }
}

impl Names for () {}

/// One traced frame, with names: self-contained. The keys of its JSON form stand in the [module's head](self).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`], or another version's.
    #[serde(default = "schema")]
    pub schema: Cow<'static, str>,
    /// The number it goes by in every view.
    pub number: u64,
    /// When it came in: nanoseconds since 1970-01-01 UTC.
    pub at_unix_ns: u64,
    /// When it came in, on the engine's clock, in milliseconds.
    pub at_ms: u64,
    /// The network it came in by.
    pub network: String,
    /// The port it came in by; `None` when the switch made it.
    pub port: Option<String>,
    /// Its whole length, without FCS.
    pub octets: u32,
    /// Payload octets of each segment, if it is a super-frame.
    pub segment_octets: Option<u16>,
    /// Its source address; `None` when it is too short for one, as for all below.
    pub source: Option<MacAddr>,
    /// Whose address that is.
    pub source_name: Option<String>,
    /// Its destination address.
    pub destination: Option<MacAddr>,
    /// Whose address that is.
    pub destination_name: Option<String>,
    /// What it says.
    pub summary: String,
    /// The decisions, in order.
    pub steps: Vec<StepRecord>,
    /// What became of it.
    pub verdict: VerdictRecord,
    /// Where it went.
    pub egress: Vec<EgressRecord>,
    /// How many frames were lost to the trace so far.
    pub lost: u64,
    /// When its copies were handed to the ports, as `at_unix_ns`; `None` where none was.
    #[serde(default)]
    pub sent_unix_ns: Option<u64>,
    /// Its first octets as they came in.
    #[serde(default)]
    pub data: Octets,
    /// Its first octets as they left, where it was rewritten.
    #[serde(default)]
    pub data_sent: Option<Octets>,
    /// The MAC table around it.
    #[serde(default)]
    pub table: Option<TableRecord>,
}

fn schema() -> Cow<'static, str> {
    SCHEMA.into()
}

/// Frames that were lost to the trace, told between records: `{"lost": N}`, no other key. It counts as
/// [`Record::lost`] does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loss {
    /// How many frames were lost to the trace so far.
    pub lost: u64,
}

impl Loss {
    /// The loss as one JSON object, on one line that ends with a newline.
    pub fn to_json_line(self) -> String {
        format!("{{\"lost\":{}}}\n", self.lost)
    }
}

/// One port that a frame was to leave by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EgressRecord {
    /// The port.
    pub port: String,
    /// Did it take the frame?
    pub sent: bool,
    /// If not: the drop reason's name.
    pub reason: Option<String>,
    /// If not: the drop reason in words.
    pub sentence: Option<String>,
}

impl Record {
    /// Put names in place of numbers, and words for the octets. `lost` is how many frames were lost to the trace since
    /// it began: whoever drained the ring knows, and it may not be hidden.
    pub fn resolve(raw: &RawRecord, lost: u64, names: &impl Names) -> Self {
        let mut resolver = Resolver { names, network: raw.network };
        let header = EthernetHeader::read(raw.snap.octets());
        let source = header.map(|header| resolver.station(header.source));
        let destination = header.map(|header| resolver.station(header.destination));
        let steps: Vec<StepRecord> = raw.steps.iter().map(|step| resolver.step(*step)).collect();
        let taught_by = |mac: MacAddr| names.taught_by(raw.network, mac).map(|number| number.0);
        let [source_taught, destination_taught] =
            [&source, &destination].map(|station| station.as_ref().and_then(|station| taught_by(station.mac)));
        let table = raw.table.map(|view| resolver.table(view, raw.number.0, source_taught, destination_taught));
        Self {
            schema: schema(),
            sent_unix_ns: (raw.sent_unix_ns > 0).then_some(raw.sent_unix_ns),
            data: raw.snap.octets().into(),
            data_sent: raw.snap_sent.as_ref().map(|snap| snap.octets().into()),
            table,
            number: raw.number.0,
            at_unix_ns: raw.at_unix_ns,
            at_ms: raw.at.0,
            network: names.network(raw.network).into(),
            port: raw.port.map(|port| names.port(port).into()),
            octets: raw.octets,
            segment_octets: raw.offload.is_gso().then_some(raw.offload.segment_octets),
            source: source.as_ref().map(|station| station.mac),
            source_name: source.and_then(|station| station.name),
            destination: destination.as_ref().map(|station| station.mac),
            destination_name: destination.and_then(|station| station.name),
            summary: summary::describe(raw.snap.octets(), raw.octets),
            egress: steps.iter().filter_map(EgressRecord::of).collect(),
            verdict: resolver.verdict(raw.verdict),
            steps,
            lost,
        }
    }

    /// The record as one JSON object, on one line that ends with a newline.
    ///
    /// # Errors
    /// None that this type can cause; what `serde_json` says is passed on.
    pub fn to_json_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|mut line| {
            line.push('\n');
            line
        })
    }

    /// Read what [`Record::to_json_line`] wrote; unknown keys are passed over.
    ///
    /// # Errors
    /// When `line` is not such an object.
    pub fn from_json_line(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// The destination address with the name of whose it is.
    pub(crate) fn destination_station(&self) -> Option<Station> {
        self.destination.map(|mac| Station { mac, name: self.destination_name.clone() })
    }
}

impl EgressRecord {
    fn of(step: &StepRecord) -> Option<Self> {
        match step {
            StepRecord::Sent { port } => Some(Self { port: port.clone(), sent: true, reason: None, sentence: None }),
            StepRecord::NotSent { port, reason, sentence } => Some(Self {
                port: port.clone(),
                sent: false,
                reason: Some(reason.clone()),
                sentence: Some(sentence.clone()),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use frame::DropReason;

    use super::*;

    fn raw(octets: &[u8], steps: Vec<Step>, verdict: Verdict) -> RawRecord {
        RawRecord {
            number: FrameNumber(3),
            at_unix_ns: 1_000,
            at: Millis(4),
            network: NetworkId(1),
            port: Some(PortId(2)),
            octets: octets.len() as u32,
            snap: Snap::of(octets),
            steps,
            verdict,
            ..RawRecord::default()
        }
    }

    #[test]
    fn a_snap_keeps_the_first_octets() {
        let octets: Vec<u8> = (0..200).collect();
        assert_eq!(Snap::of(&octets).octets(), &octets[..SNAP_OCTETS]);
        assert_eq!(Snap::of(&octets[..5]).octets(), &octets[..5]);
        assert!(Snap::of(&[]).octets().is_empty());
    }

    #[test]
    fn without_names_numbers_stand_in() {
        let steps =
            vec![Step::Sent { port: PortId(7) }, Step::NotSent { port: PortId(8), reason: DropReason::EgressFull }];
        let record = Record::resolve(&raw(&[0xff; 60], steps, Verdict::Flood { network: NetworkId(1) }), 5, &());
        assert_eq!((record.network.as_str(), record.port.as_deref(), record.lost), ("n1", Some("p2"), 5));
        assert_eq!(record.destination, Some(MacAddr::BROADCAST));
        assert_eq!(record.destination_name, None);
        let egress: Vec<_> = record.egress.iter().map(|e| (e.port.as_str(), e.sent, e.reason.as_deref())).collect();
        assert_eq!(egress, [("p7", true, None), ("p8", false, Some("egress-full"))]);
    }

    #[test]
    fn a_runt_has_no_addresses() {
        let record = Record::resolve(&raw(&[1, 2, 3], vec![], Verdict::Drop(DropReason::Runt)), 0, &());
        assert_eq!((record.source, record.destination), (None, None));
    }

    #[test]
    fn a_loss_is_told_apart_from_a_record_by_its_keys() {
        let line = Loss { lost: 7 }.to_json_line();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), serde_json::json!({"lost": 7}));
        assert_eq!((line.ends_with("}\n"), serde_json::from_str(&line).ok()), (true, Some(Loss { lost: 7 })));
        assert!(Record::from_json_line(&line).is_err());
    }

    /// The keys are a promise to scripts: this test is the promise.
    #[test]
    fn the_keys_stay_as_they_are() {
        let steps = vec![
            Step::Admitted,
            Step::Learned(frame::step::Learned::Refused(frame::step::LearnRefusal::Static { port: PortId(4) })),
            Step::LookedUp(frame::step::Lookup::Known { port: PortId(5) }),
            Step::Resolved(frame::step::Resolved::Known { mac: MacAddr([2, 0, 0, 0, 0, 9]) }),
            Step::NotSent { port: PortId(5), reason: DropReason::EgressDown },
        ];
        let line = Record::resolve(&raw(&[2; 14], steps, Verdict::Drop(DropReason::EgressDown)), 0, &());
        let down = "the port it should leave by has gone down";
        assert_eq!(
            serde_json::to_value(&line).unwrap(),
            serde_json::json!({
                "number": 3, "at_unix_ns": 1000, "at_ms": 4, "network": "n1", "port": "p2", "octets": 14,
                "segment_octets": null, "source": "02:02:02:02:02:02", "source_name": null,
                "destination": "02:02:02:02:02:02", "destination_name": null, "summary": "LLC, 0 octets",
                "steps": [
                    {"step": "admitted"},
                    {"step": "learned", "result": "refused", "why": "static", "port": "p4"},
                    {"step": "looked_up", "result": "known", "port": "p5"},
                    {"step": "resolved", "result": "known", "station": {"mac": "02:00:00:00:00:09", "name": null}},
                    {"step": "not_sent", "port": "p5", "reason": "egress-down", "sentence": down},
                ],
                "verdict": {"kind": "drop", "reason": "egress-down", "sentence": down},
                "egress": [{"port": "p5", "sent": false, "reason": "egress-down", "sentence": down}],
                "lost": 0,
                "schema": "lanyard.frame/1", "sent_unix_ns": null, "data": "0202020202020202020202020202",
                "data_sent": null, "table": null,
            })
        );
        let document = include_str!("../../docs/trace.md");
        let keys = serde_json::to_value(&line).unwrap();
        for key in keys.as_object().unwrap().keys() {
            assert!(document.contains(&format!("`{key}`")), "docs/trace.md has no `{key}`");
        }
    }
}
