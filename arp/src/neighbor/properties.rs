//! Whatever happens to a table, in whatever order: it stays within its bounds, loses no frame, keeps their order, and
//! asks no next hop more than once a second.

use std::collections::HashMap as Model;
use std::net::Ipv4Addr;

use bytes::Bytes;
use frame::step::Resolved;
use frame::{NetworkId, OffloadHeader};
use proptest::prelude::*;

use super::*;
use crate::resolver::Due;

#[derive(Clone, Debug)]
enum Event {
    Note { ip: u8, mac: u8, port: u16 },
    Resolve { ip: u8, from: u16 },
    SetControl { ip: u8, mac: u8 },
    RemoveControl { ip: u8 },
    ForgetPort { port: u16 },
    Tick,
}

/// A neighbor from a few, so that events meet.
fn event() -> impl Strategy<Value = Event> {
    let (ip, mac, port) = (1..12u8, 1..4u8, 0..4u16);
    prop_oneof![
        4 => (ip.clone(), mac.clone(), port.clone()).prop_map(|(ip, mac, port)| Event::Note { ip, mac, port }),
        8 => (ip.clone(), port.clone()).prop_map(|(ip, from)| Event::Resolve { ip, from }),
        1 => (ip.clone(), mac).prop_map(|(ip, mac)| Event::SetControl { ip, mac }),
        1 => ip.prop_map(|ip| Event::RemoveControl { ip }),
        1 => port.prop_map(|port| Event::ForgetPort { port }),
        4 => Just(Event::Tick),
    ]
}

/// Mostly a moment, sometimes long enough for every timer.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..400u64, 3 => 400..3000u64, 1 => 3000..40_000u64]
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn station(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

/// A table beside the naive record of what it must hold.
struct Bench {
    table: NeighborTable,
    now: Millis,
    held: Model<IpAddr, Vec<Held>>,
    asked: Model<IpAddr, Millis>,
    frames: u64,
}

impl Bench {
    fn new() -> Self {
        let settings = Settings { capacity: 6, age: Millis::from_secs(20), held_per_hop: 3, held_in_all: 8 };
        let (held, asked) = (Model::new(), Model::new());
        Self { table: NeighborTable::new(settings), now: Millis(0), held, asked, frames: 0 }
    }

    fn asks(&mut self, ip: IpAddr) {
        if let Some(last) = self.asked.insert(ip, self.now) {
            assert!(self.now.since(last) >= RETRANS, "{ip} asked twice within a second");
        }
    }

    /// All that waited for `ip`, and nothing else, in order.
    fn released(&mut self, ip: IpAddr, frames: &[Held]) {
        assert_eq!(self.held.remove(&ip).unwrap_or_default(), frames);
    }

    fn resolve(&mut self, ip: IpAddr, from: u16) {
        self.frames += 1;
        let octets = Bytes::copy_from_slice(&self.frames.to_be_bytes());
        let frame = Held { octets, offload: OffloadHeader::NONE, from: PortId(from), network: NetworkId(0) };
        let mut copied = false;
        let resolved = self.table.resolve(ip, self.now, || {
            copied = true;
            frame.clone()
        });
        let waiting = self.held.entry(ip).or_default();
        if copied {
            waiting.push(frame);
        }
        match resolved {
            Resolved::Asked => {
                assert!(copied && waiting.len() == 1);
                self.asks(ip);
            }
            Resolved::Waiting { held } => assert!(copied && waiting.len() == usize::from(held)),
            Resolved::Full => assert!(!copied),
            Resolved::Known { mac } => {
                assert!(!copied && waiting.is_empty());
                assert_eq!(self.table.get(ip, self.now).unwrap().mac, Some(mac));
            }
        }
    }

    fn note(&mut self, ip: IpAddr, mac: MacAddr, port: u16) {
        let before = self.table.get(ip, self.now);
        let noted = self.table.note(ip, mac, PortId(port), self.now);
        let after = self.table.get(ip, self.now);
        match noted.change {
            NeighborChange::Conflict { held_by } => assert_eq!((after, Some(held_by)), (before, before.unwrap().mac)),
            NeighborChange::Full => assert_eq!((after, before), (None, None)),
            _ => assert_eq!(after.unwrap().mac, Some(mac)),
        }
        if before.is_some_and(|entry| entry.source == Source::Control) {
            assert_eq!(after, before, "the wire changes nothing that the control plane said");
        }
        if after.is_some() {
            self.asked.remove(&ip);
            self.released(ip, &noted.released);
        }
    }

    fn tick(&mut self) {
        let mut due = Vec::new();
        self.table.tick(self.now, &mut due);
        for due in due {
            match due {
                Due::AskAgain { ip, attempt, mac } => {
                    assert!((1..=MAX_REQUESTS).contains(&attempt) && (attempt > 1 || mac.is_some()));
                    self.asks(ip);
                }
                Due::Unreachable { ip, held } => {
                    assert!(self.table.get(ip, self.now).is_none());
                    self.released(ip, &held);
                }
            }
        }
        assert!(self.table.next_deadline().is_none_or(|deadline| deadline > self.now));
    }

    fn forget_port(&mut self, port: PortId) {
        let orphans = self.table.forget_port(port);
        let mut expected = Vec::new();
        for frames in self.held.values_mut() {
            expected.extend(frames.extract_if(.., |frame| frame.from == port));
        }
        assert!(orphans.len() == expected.len() && orphans.iter().all(|orphan| expected.contains(orphan)));
        assert!(self.table.entries(self.now).iter().all(|entry| entry.port != Some(port)));
    }

    fn apply(&mut self, event: &Event) {
        let answers = |table: &NeighborTable, now| -> Vec<_> {
            table.entries(now).iter().filter_map(|entry| Some((entry.ip, entry.mac?))).collect()
        };
        let before = (self.table.version(), answers(&self.table, self.now));
        match *event {
            Event::Note { ip, mac, port } => self.note(address(ip), station(mac), port),
            Event::Resolve { ip, from } => self.resolve(address(ip), from),
            Event::SetControl { ip, mac } => {
                if let Ok(released) = self.table.set_control(address(ip), station(mac), None, self.now) {
                    self.asked.remove(&address(ip));
                    self.released(address(ip), &released);
                }
            }
            Event::RemoveControl { ip } => drop(self.table.remove_control(address(ip))),
            Event::ForgetPort { port } => self.forget_port(PortId(port)),
            Event::Tick => self.tick(),
        }
        if answers(&self.table, self.now) != before.1 {
            assert!(self.table.version() > before.0, "an answer changed behind the version's back");
        }
        self.table.check();
        assert_eq!(self.table.held(), self.held.values().map(Vec::len).sum::<usize>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_and_no_frame_is_lost(events in prop::collection::vec((pause(), event()), 1..200)) {
        let mut bench = Bench::new();
        for (pause, event) in &events {
            bench.now = bench.now + Millis(*pause);
            bench.apply(event);
        }
        // Left alone, every frame that waits comes back.
        for _ in 0..8 {
            bench.now = bench.now + Millis::from_secs(5);
            bench.tick();
        }
        prop_assert_eq!(bench.table.held(), 0);
    }
}
