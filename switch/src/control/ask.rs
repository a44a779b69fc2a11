//! What has the switch seen, who taught that row, and what would become of a frame? Questions that change nothing, unless
//! the asker says that the frame is to be real ([`ExplainSpec::commit`]).

use std::net::{IpAddr, Ipv4Addr};

use etherparse::PacketBuilder;
use frame::step::{Learned, RowKind};
use frame::{DropReason, Frame, FrameNumber, MacAddr, PortId, Step, Verdict};
use trace::filter::Filter;
use trace::{Octets, RawRecord, Record, SNAP_OCTETS};

use super::Fault;
use super::book::{Book, Endpoint, Network};
use super::names::NamesFor;
use super::switch::{Inner, Switch, lock};
use super::trace_hub::Recorded;
use super::types::{Direction, ExplainSpec, Explained, LessonRow, RefreshRow, WhyRow};
use crate::engine::Lesson;
use crate::engine::what_if::WhatIf;

/// Frames that one question may be about.
const FRAMES: usize = 1024;
/// The longest frame that a cut one may have been: a super-frame with two tags.
const LONGEST: usize = 65_535 + 22;
/// Octets of the pings that are asked about, behind the ICMP header: what ping(8) sends.
const PING_OCTETS: usize = 56;

impl Switch {
    /// The last `last` recorded decisions after frame `since` that `filter` lets through, oldest first.
    ///
    /// # Errors
    /// The recorder is off.
    pub fn records(&self, filter: &Filter, since: u64, last: usize) -> Result<Recorded, Fault> {
        self.0.hub.recorded(filter, since, last)
    }

    /// Which frame taught where `station` is, an address or an endpoint's name, and what has become of that since: one row
    /// for each network that has it in its MAC table, or remembers it.
    ///
    /// # Errors
    /// There is no such network, no such endpoint, or nobody has been heard from with that address.
    pub fn why(&self, network: Option<&str>, station: &str) -> Result<Vec<WhyRow>, Fault> {
        let book = self.0.book();
        let now = self.0.engine.clock().now();
        let names = self.0.hub.names();
        let memory = self.0.hub.memory();
        let mut rows = Vec::new();
        let mut known = false;
        for network in Inner::chosen(&book, network)? {
            let Some(mac) = address_of(network, station) else { continue };
            known = true;
            let (row, history) = (network.tables.mac.row(mac, now), memory.of(network.id(), mac));
            if row.is_none() && history.is_none() {
                continue;
            }
            let name_of = |port| names.ports.get(&port).cloned();
            rows.push(WhyRow {
                network: network.name().to_owned(),
                mac,
                name: names.stations.get(&(network.id(), mac)).cloned(),
                kind: row.map(|row| kind_name(row.kind).to_owned()),
                endpoint: row.and_then(|row| row.port).and_then(name_of),
                age_ms: row.map(|row| row.age.0),
                ageing_ms: u64::from(network.record.ageing) * 1000,
                moves: network.tables.mac.moves_of(mac),
                taught: history.map(|history| lesson_row(&history.taught, &name_of)),
                moved: history.map_or_else(Vec::new, |history| {
                    history.moves.iter().map(|lesson| lesson_row(lesson, &name_of)).collect()
                }),
                moved_in_all: history.map_or(0, |history| history.moved),
                refreshed: history.map_or(0, |history| history.refreshed),
                last_refresh: history
                    .and_then(|history| history.last_refresh)
                    .map(|(frame, at_unix_ns)| RefreshRow { frame: frame.0, at_unix_ns }),
                times_before: history.map_or(0, |history| history.times_before),
                missed: self.0.engine.lessons_missed(),
            });
        }
        match (rows.is_empty(), known) {
            (false, _) => Ok(rows),
            (true, true) => {
                Err(Fault::NotFound(format!("nobody has been heard from as {station}, as far as is remembered")))
            }
            (true, false) => Err(Fault::NotFound(format!(
                "'{station}' is neither a MAC address nor an endpoint: see 'lanyard show mac' and 'lanyard show ports'"
            ))),
        }
    }

    /// What would become of frames from an endpoint, one after the other; with `commit`, what becomes of them. For each, its
    /// record and those of the frames that the switch makes on its account. Records of what only would be have number 0. Lines
    /// that are bad on purpose are not asked, nor is what was cut off a frame: that is noted.
    ///
    /// # Errors
    /// There is no such network or endpoint, nobody has the address asked for, or there is nothing to ask.
    pub fn explain(&self, spec: &ExplainSpec) -> Result<Vec<Vec<Explained>>, Fault> {
        let (network, port, frames) = {
            let book = self.0.book();
            let (network, from) = find(&book, spec.network.as_deref(), &spec.from)?;
            (network.id(), from.port(), questions(&book, network, from, spec)?)
        };
        let told: Vec<Vec<RawRecord>> = if spec.commit {
            frames.iter().map(|frame| self.0.engine.inject(port, &frame.0)).collect()
        } else {
            let _one_at_a_time = lock(&self.0.asking);
            let mut what_if = WhatIf::of(&self.0.engine.snapshot(), network);
            let now = self.0.engine.clock().now();
            frames.iter().map(|frame| what_if.frame(port, &frame.0, now)).collect()
        };
        if told.iter().any(Vec::is_empty) {
            return Err(Fault::BadQuestion(format!(
                "endpoint '{}' is down or gone, so no frame comes from it: see 'lanyard show ports'",
                spec.from
            )));
        }
        let names = self.0.hub.names();
        let memory = self.0.hub.memory();
        let faults = self.0.engine.faults();
        let bad: Vec<(PortId, Direction)> = faults.iter().map(|(port, fault)| (*port, fault.direction)).collect();
        let name_of = |port: PortId| names.ports.get(&port).cloned().unwrap_or_else(|| port.to_string());
        let told = told.iter().enumerate().map(|(index, records)| {
            let explained = |(place, raw): (usize, &RawRecord)| {
                let frame = if spec.commit { raw.number } else { FrameNumber(u64::MAX) };
                let record = Record::resolve(raw, 0, &NamesFor { book: &names, memory: &memory, frame });
                let cut = (place == 0).then(|| spec.cut_to(index)).flatten();
                let mut notes: Vec<String> = cut.map(|kept| cut_note(kept, raw)).into_iter().collect();
                notes.extend(
                    bad_lines(raw, &bad, spec.commit)
                        .into_iter()
                        .map(|port| bad_line_note(&name_of(port), spec.commit)),
                );
                Explained { record, notes }
            };
            records.iter().enumerate().map(explained).collect()
        });
        Ok(told.collect())
    }
}

impl ExplainSpec {
    /// How many octets are left of a frame that was cut.
    fn cut_to(&self, index: usize) -> Option<usize> {
        let kept = self.frames.get(index)?.0.len();
        (*self.lengths.get(index)? as usize > kept).then_some(kept)
    }

    /// The frames, with zeros for what was cut off.
    fn whole_frames(&self) -> Result<Vec<Octets>, Fault> {
        let whole = |(index, frame): (usize, &Octets)| {
            let Some(kept) = self.cut_to(index) else { return Ok(frame.clone()) };
            let length = self.lengths.get(index).map_or(kept, |length| *length as usize);
            let refused = |why: &str| {
                let frame = index + 1;
                Err(Fault::BadQuestion(format!("frame {frame} was cut to {kept} of {length} octets{why}")))
            };
            match () {
                () if self.commit => refused(", so it cannot be sent: ask without --commit"),
                () if kept < SNAP_OCTETS => refused(
                    ": its headers may be missing; capture at least 128 of each frame ('tcpdump -s 0' keeps all)",
                ),
                () if length > LONGEST => refused(", more than any frame has"),
                () => {
                    let mut octets = frame.0.clone();
                    octets.resize(length, 0);
                    Ok(Octets(octets))
                }
            }
        };
        self.frames.iter().enumerate().map(whole).collect()
    }
}

fn cut_note(kept: usize, raw: &RawRecord) -> String {
    let octets = raw.octets;
    let giant = if raw.verdict == Verdict::Drop(DropReason::Giant) {
        "; a capture does not tell whether it was a super-frame, which a TAP or veth may hand over in one piece"
    } else {
        ""
    };
    format!(
        "the frame was cut to {kept} of {octets} octets, and the others are taken for zeros: the headers decide, but whether \
         the gateway answers a ping depends on all of it{giant}"
    )
}

/// The ports of a frame whose lines are bad on purpose, and have not been asked: the way in, and, for a frame that only would
/// be sent, the way out.
fn bad_lines(raw: &RawRecord, bad: &[(PortId, Direction)], commit: bool) -> Vec<PortId> {
    let comes = |port: PortId| bad.iter().any(|(of, way)| *of == port && *way != Direction::Out);
    let leaves = |port: PortId| !commit && bad.iter().any(|(of, way)| *of == port && *way != Direction::In);
    let sent = raw.steps.iter().filter_map(|step| if let Step::Sent { port } = step { Some(*port) } else { None });
    let into = raw.port.into_iter().filter(|port| comes(*port));
    into.chain(sent.filter(|port| leaves(*port))).collect()
}

fn bad_line_note(port: &str, commit: bool) -> String {
    let what = if commit { "a frame that is put in here meets none" } else { "they are not foretold" };
    format!("{port}'s line has faults on it: {what}; see 'lanyard fault ls'")
}

const fn kind_name(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Learned => "learned",
        RowKind::Static => "static",
        RowKind::Gateway => "gateway",
    }
}

fn lesson_row(lesson: &Lesson, name_of: &impl Fn(frame::PortId) -> Option<String>) -> LessonRow {
    let name = |port: frame::PortId| name_of(port).unwrap_or_else(|| port.to_string());
    LessonRow {
        frame: lesson.number.0,
        at_unix_ns: lesson.at_unix_ns,
        port: name(lesson.port),
        from: match lesson.learned {
            Learned::Moved { from } => Some(name(from)),
            _ => None,
        },
        summary: trace::summary::describe(lesson.snap.octets(), lesson.octets),
        data: lesson.snap.octets().into(),
    }
}

/// The address that is meant by an address, or by the name of an endpoint or of the gateway.
fn address_of(network: &Network, station: &str) -> Option<MacAddr> {
    station.parse().ok().or_else(|| match station {
        "gateway" => network.gateway_mac(),
        name => network.endpoints.iter().find(|endpoint| endpoint.record.name == name).map(|found| found.record.mac),
    })
}

/// An endpoint by its name; where several networks have one of that name, the network must be said.
fn find<'a>(book: &'a Book, network: Option<&str>, name: &str) -> Result<(&'a Network, &'a Endpoint), Fault> {
    let networks = Inner::chosen(book, network)?;
    let named = |network: &&'a Network| {
        let found = network.endpoints.iter().find(|endpoint| endpoint.record.name == name);
        found.map(|endpoint| (*network, endpoint))
    };
    let found: Vec<_> = networks.iter().filter_map(named).collect();
    match found[..] {
        [only] => Ok(only),
        [] => Err(Fault::NotFound(format!("no endpoint '{name}': see 'lanyard show ports'"))),
        _ => Err(Fault::BadQuestion(format!("several networks have an endpoint '{name}': say which with --network"))),
    }
}

/// The frames that are asked about.
fn questions(book: &Book, network: &Network, from: &Endpoint, spec: &ExplainSpec) -> Result<Vec<Octets>, Fault> {
    let mut frames = spec.whole_frames()?;
    if let Some(target) = spec.arp_request {
        frames.push(arp_request(from, target)?);
    }
    if let Some(to) = &spec.to {
        frames.push(ping(book, network, from, to)?);
    }
    match frames.len() {
        0 => Err(Fault::BadQuestion("which frame? Ask with --to, --arp-request, --frame or --pcap".to_owned())),
        count if count > FRAMES => {
            Err(Fault::BadQuestion(format!("{count} frames at once are too many: ask about at most {FRAMES}")))
        }
        _ => Ok(frames),
    }
}

fn arp_request(from: &Endpoint, target: Ipv4Addr) -> Result<Octets, Fault> {
    let IpAddr::V4(own) = from.record.ip.addr() else {
        return Err(Fault::BadQuestion(format!("'{}' has no IPv4 address to ask from", from.record.name)));
    };
    let mut frame = Frame::empty();
    arp::packet::request(&mut frame, from.record.mac, own, target);
    Ok(frame.octets().into())
}

/// A ping to an endpoint or an address, as `from` sends it once it knows the next hop's MAC address.
fn ping(book: &Book, network: &Network, from: &Endpoint, to: &str) -> Result<Octets, Fault> {
    let local = |name: &str| network.endpoints.iter().find(|endpoint| endpoint.record.name == name);
    let remote = || book.networks.iter().flat_map(|network| &network.endpoints);
    let ip = match to.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) if to == "gateway" => network
            .record
            .gateway
            .ok_or_else(|| Fault::NotFound(format!("network '{}' has no gateway", network.name())))?,
        Err(_) => local(to)
            .or_else(|| remote().find(|endpoint| endpoint.record.name == to))
            .map(|endpoint| endpoint.record.ip.addr())
            .ok_or_else(|| Fault::NotFound(format!("'{to}' is neither an address nor an endpoint")))?,
    };
    let next_hop = next_hop(network, ip).ok_or_else(|| {
        Fault::NotFound(format!(
            "nobody on '{}' is known to have {ip}, so its MAC address would be asked for first: try --arp-request {ip}",
            network.name()
        ))
    })?;
    let mut octets = Vec::with_capacity(128);
    let frame = PacketBuilder::ethernet2(from.record.mac.0, next_hop.0);
    let payload = [0; PING_OCTETS];
    let written = match (own_address(from, ip), ip) {
        (Some(IpAddr::V4(own)), IpAddr::V4(ip)) => {
            frame.ipv4(own.octets(), ip.octets(), 64).icmpv4_echo_request(1, 1).write(&mut octets, &payload)
        }
        (Some(IpAddr::V6(own)), IpAddr::V6(ip)) => {
            frame.ipv6(own.octets(), ip.octets(), 64).icmpv6_echo_request(1, 1).write(&mut octets, &payload)
        }
        _ => return Err(Fault::BadQuestion(format!("'{}' has no address to reach {ip} from", from.record.name))),
    };
    written.map_err(|error| Fault::BadQuestion(error.to_string()))?;
    Ok(Octets(octets))
}

/// An address of the endpoint, of the same family as `to`.
fn own_address(from: &Endpoint, to: IpAddr) -> Option<IpAddr> {
    from.addresses().map(|ip| ip.addr()).find(|ip| ip.is_ipv4() == to.is_ipv4())
}

/// The MAC address that a host of the network sends a packet for `ip` to.
fn next_hop(network: &Network, ip: IpAddr) -> Option<MacAddr> {
    let has = |endpoint: &&Endpoint| endpoint.addresses().any(|own| own.addr() == ip);
    if network.record.gateway == Some(ip) {
        return network.gateway_mac();
    }
    if let Some(endpoint) = network.endpoints.iter().find(has) {
        return Some(endpoint.record.mac);
    }
    if network.record.subnet.contains(&ip) { None } else { network.gateway_mac() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kept: usize, length: u32, commit: bool) -> Result<Vec<usize>, String> {
        let frames = vec![Octets(vec![1; 60]), Octets(vec![2; kept])];
        let spec = ExplainSpec { frames, lengths: vec![0, length], commit, ..ExplainSpec::default() };
        let whole = spec.whole_frames().map_err(|fault| fault.to_string())?;
        assert!(
            whole[1].0[..kept].iter().all(|octet| *octet == 2) && whole[1].0[kept..].iter().all(|octet| *octet == 0)
        );
        Ok(whole.iter().map(|frame| frame.0.len()).collect())
    }

    #[test]
    fn a_cut_frame_is_as_long_as_it_was() {
        assert_eq!(asked(128, 1514, false), Ok(vec![60, 1514]));
        for whole in [(60, 0, true), (60, 60, true), (60, 42, false)] {
            assert_eq!(asked(whole.0, whole.1, whole.2), Ok(vec![60, 60]), "{whole:?}");
        }
        for (kept, length, commit, why) in [
            (127, 1514, false, "frame 2 was cut to 127 of 1514 octets: its headers may be missing"),
            (128, 1514, true, "cannot be sent: ask without --commit"),
            (128, u32::MAX, false, "more than any frame has"),
        ] {
            let refused = asked(kept, length, commit).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_cut_super_frame_is_not_taken_for_a_giant() {
        let note = |verdict| cut_note(128, &RawRecord { octets: 9000, verdict, ..RawRecord::default() });
        assert!(note(Verdict::Drop(DropReason::Giant)).contains("super-frame"));
        assert!(
            note(Verdict::Held).starts_with("the frame was cut to 128 of 9000")
                && !note(Verdict::Held).contains("super")
        );
    }

    #[test]
    fn lines_that_were_not_asked_are_named() {
        let steps = [1, 2].map(|port| Step::Sent { port: PortId(port) }).to_vec();
        let raw = RawRecord { port: Some(PortId(0)), steps, ..RawRecord::default() };
        let bad = |way, commit| {
            let lines: Vec<_> = [0, 0, 2, 7].map(|port| (PortId(port), way)).to_vec();
            bad_lines(&raw, &lines, commit).iter().map(|port| port.0).collect::<Vec<_>>()
        };
        assert_eq!((bad(Direction::Both, false), bad(Direction::Both, true)), (vec![0, 2], vec![0]));
        assert_eq!((bad(Direction::In, false), bad(Direction::Out, false)), (vec![0], vec![2]));
        assert_eq!((bad(Direction::In, true), bad(Direction::Out, true)), (vec![0], vec![]));
        assert!(bad_line_note("h2", false).contains("h2's line has faults on it: they are not foretold"));
        assert!(bad_line_note("h1", true).contains("meets none"));
    }
}
