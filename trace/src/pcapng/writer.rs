//! Which blocks does a record become? The table stands in the [module's head](super).
//!
//! Blocks are written whole, one after the other, so that a pipe's reader has every frame that was written. Frames wait
//! in a [`Sequencer`] for the window's length; [`Writer::settle`] writes them when the trace has gone quiet.
//!
//! Octets behind the first 128 of a frame are not in the record and so not
//! in the file, which tells the whole length all the same, of a super-frame too.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;

use frame::MacAddr;

use super::blocks::{self, block, name, option};
use super::comments::comments;
use super::sequencer::Sequencer;
use super::{Address, Direction};
use crate::record::{Record, SNAP_OCTETS};
use crate::step::{RouteRecord, StepRecord};

/// How far the records of two workers may cross and still come to stand in order, nanoseconds. The switch's trace waits
/// 20 ms at most.
const WINDOW_NS: u64 = 100_000_000;
/// Packets that wait at most.
const WAITING: usize = 8192;
/// Where in an Enhanced Packet Block its time stands: behind type, length and interface.
const TIME_AT: usize = 12;

/// What the file is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// The program with its version.
    pub application: String,
    /// What is to be seen, in a line; may be empty.
    pub comment: String,
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Records.
    pub frames: u64,
    /// Packets: every frame as it came in, and each copy.
    pub packets: u64,
    /// Frames lost to the trace.
    pub lost: u64,
    /// Packets that came too late for their place and have the time of the one before them.
    pub late: u64,
}

/// Writes a trace as a capture file.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Interfaces by network and port; the switch's own is not among them.
    ports: HashMap<(String, String), u32>,
    /// How many frames came in by each interface, in the order of the file.
    received: Vec<u64>,
    descriptions: HashMap<(String, String), String>,
    names: HashMap<Address, String>,
    waiting: Sequencer<Vec<u8>>,
    counts: Counts,
    /// Of those lost, how many no packet has told yet.
    untold: u64,
    first: Option<u64>,
    last: u64,
}

/// The interface of the switch itself.
const SWITCH: u32 = 0;

impl<W: Write> Writer<W> {
    /// Begin a file: its head, and the interface of the switch.
    ///
    /// # Errors
    /// What writing says, as everywhere here.
    pub fn new(out: W, about: &About) -> io::Result<Self> {
        let mut head = Vec::new();
        block(&mut head, blocks::SECTION_HEADER, |body| {
            body.extend(blocks::BYTE_ORDER_MAGIC.to_le_bytes());
            body.extend(1u16.to_le_bytes());
            body.extend(0u16.to_le_bytes());
            // The section's length is not known.
            body.extend(u64::MAX.to_le_bytes());
            if !about.comment.is_empty() {
                blocks::text(body, option::COMMENT, &about.comment);
            }
            blocks::text(body, option::SHB_USERAPPL, &about.application);
            blocks::option(body, option::END, &[]);
        });
        interface(&mut head, "switch", "frames that the switch made itself; what the trace lost is counted here");
        let mut writer = Self {
            out,
            ports: HashMap::new(),
            received: vec![0],
            descriptions: HashMap::new(),
            names: HashMap::new(),
            waiting: Sequencer::new(WINDOW_NS, WAITING),
            counts: Counts::default(),
            untold: 0,
            first: None,
            last: 0,
        };
        writer.out.write_all(&head)?;
        Ok(writer)
    }

    /// What to say of a port beside its network, if it is still to be seen: its kind and addresses, say.
    pub fn describe(&mut self, network: &str, port: &str, more: &str) {
        self.descriptions.insert((network.to_owned(), port.to_owned()), more.to_owned());
    }

    /// These addresses have names. What was told before is not written again.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn name(&mut self, names: impl IntoIterator<Item = (Address, String)>) -> io::Result<()> {
        let mut octets = Vec::new();
        for (address, called) in names {
            let called = blocks::word(&called);
            if called.is_empty() || self.names.get(&address) == Some(&called) {
                continue;
            }
            let (code, mut value) = match address {
                Address::Ip(IpAddr::V4(ip)) => (name::IPV4, ip.octets().to_vec()),
                Address::Ip(IpAddr::V6(ip)) => (name::IPV6, ip.octets().to_vec()),
                Address::Mac(MacAddr(mac)) => (name::EUI48, mac.to_vec()),
            };
            value.extend(called.bytes());
            value.push(0);
            blocks::option(&mut octets, code, &value);
            self.names.insert(address, called);
        }
        if octets.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        block(&mut out, blocks::NAME_RESOLUTION, |body| {
            body.extend_from_slice(&octets);
            blocks::option(body, name::END, &[]);
        });
        self.out.write_all(&out)
    }

    /// The names that were told.
    pub fn names(&self) -> impl Iterator<Item = (&Address, &str)> {
        self.names.iter().map(|(address, name)| (address, name.as_str()))
    }

    /// Write a frame: as it came in, and each copy that a port took.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        self.lost(record.lost);
        self.counts.frames += 1;
        let stations = [(record.source, &record.source_name), (record.destination, &record.destination_name)];
        // What somebody has told expressly stays.
        let named = stations.into_iter().filter_map(|(mac, name)| Some((Address::Mac(mac?), name.clone()?)));
        let news: Vec<_> = named.filter(|(address, _)| !self.names.contains_key(address)).collect();
        self.name(news)?;
        let incoming = match &record.port {
            Some(port) => self.interface(&record.network, port)?,
            None => SWITCH,
        };
        if let Some(received) = self.received.get_mut(incoming as usize) {
            *received += 1;
        }
        let lost = std::mem::take(&mut self.untold);
        let came = enhanced_packet(incoming, record, Direction::In, &record.data.0, |body| {
            if lost > 0 {
                blocks::option(body, option::EPB_DROPCOUNT, &lost.to_le_bytes());
            }
            for comment in comments(record) {
                blocks::text(body, option::COMMENT, &comment);
            }
        });
        self.waiting.push(record.at_unix_ns, came);
        let sent_at = record.sent_unix_ns.unwrap_or(0).max(record.at_unix_ns);
        let octets = record.data_sent.as_ref().unwrap_or(&record.data);
        let mut network = record.network.as_str();
        for step in &record.steps {
            match step {
                StepRecord::Routed(RouteRecord::Forwarded { network: routed, .. }) => network = routed,
                StepRecord::Sent { port } => {
                    let outgoing = self.interface(network, port)?;
                    self.waiting.push(sent_at, enhanced_packet(outgoing, record, Direction::Out, &octets.0, |_| {}));
                }
                _ => {}
            }
        }
        while let Some((at, packet)) = self.waiting.ready() {
            self.packet(at, packet)?;
        }
        Ok(())
    }

    /// So many frames were lost to the trace so far: [`Record::lost`] and [`crate::Loss`].
    pub fn lost(&mut self, lost: u64) {
        self.untold += lost.saturating_sub(self.counts.lost);
        self.counts.lost = self.counts.lost.max(lost);
    }

    /// Hand on what was written, though not what waits for its place.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Where it is written to.
    pub const fn out(&self) -> &W {
        &self.out
    }

    /// Nothing has come for a while: write what waits, and hand everything on.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn settle(&mut self) -> io::Result<()> {
        while let Some((at, packet)) = self.waiting.oldest() {
            self.packet(at, packet)?;
        }
        self.out.flush()
    }

    /// Write what waits and the statistics, and end the file.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn finish(mut self) -> io::Result<(W, Counts)> {
        self.settle()?;
        let [start, end] = [self.first.unwrap_or(0), self.last].map(blocks::time);
        let mut out = Vec::new();
        for (id, received) in self.received.iter().enumerate() {
            block(&mut out, blocks::INTERFACE_STATISTICS, |body| {
                body.extend((id as u32).to_le_bytes());
                body.extend(end);
                blocks::option(body, option::ISB_STARTTIME, &start);
                blocks::option(body, option::ISB_ENDTIME, &end);
                blocks::option(body, option::ISB_IFRECV, &received.to_le_bytes());
                let lost = if id == SWITCH as usize { self.counts.lost } else { 0 };
                blocks::option(body, option::ISB_OSDROP, &lost.to_le_bytes());
                blocks::option(body, option::END, &[]);
            });
        }
        self.out.write_all(&out)?;
        self.out.flush()?;
        Ok((self.out, self.counts))
    }

    /// What was written so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn packet(&mut self, at: u64, mut packet: Vec<u8>) -> io::Result<()> {
        if let Some(time) = packet.get_mut(TIME_AT..TIME_AT + 8) {
            time.copy_from_slice(&blocks::time(at));
        }
        self.counts.packets += 1;
        self.counts.late = self.waiting.late();
        self.first.get_or_insert(at);
        self.last = at;
        self.out.write_all(&packet)
    }

    /// The number of a port's interface, described in the file by now.
    fn interface(&mut self, network: &str, port: &str) -> io::Result<u32> {
        let key = (network.to_owned(), port.to_owned());
        if let Some(id) = self.ports.get(&key) {
            return Ok(*id);
        }
        let description = match self.descriptions.get(&key) {
            Some(more) => format!("port of network {network}: {more}"),
            None => format!("port of network {network}"),
        };
        let mut out = Vec::new();
        interface(&mut out, port, &description);
        self.out.write_all(&out)?;
        let id = self.received.len() as u32;
        self.received.push(0);
        self.ports.insert(key, id);
        Ok(id)
    }
}

fn interface(out: &mut Vec<u8>, name: &str, description: &str) {
    block(out, blocks::INTERFACE_DESCRIPTION, |body| {
        body.extend(blocks::ETHERNET.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        // Equal for all: tcpdump reads no file in which they differ.
        body.extend((SNAP_OCTETS as u32).to_le_bytes());
        blocks::text(body, option::IF_NAME, name);
        blocks::text(body, option::IF_DESCRIPTION, description);
        // Nanoseconds.
        blocks::option(body, option::IF_TSRESOL, &[9]);
        blocks::option(body, option::END, &[]);
    });
}

/// A packet whose time is still to be filled in.
fn enhanced_packet(
    interface: u32,
    record: &Record,
    direction: Direction,
    octets: &[u8],
    options: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let octets = &octets[..octets.len().min(SNAP_OCTETS)];
    let mut out = Vec::with_capacity(octets.len() + 64);
    block(&mut out, blocks::ENHANCED_PACKET, |body| {
        body.extend(interface.to_le_bytes());
        body.extend([0; 8]);
        body.extend((octets.len() as u32).to_le_bytes());
        body.extend(record.octets.max(octets.len() as u32).to_le_bytes());
        blocks::padded(body, octets);
        blocks::option(body, option::EPB_FLAGS, &flags(direction, octets).to_le_bytes());
        blocks::option(body, option::EPB_PACKETID, &record.number.to_le_bytes());
        options(body);
        blocks::option(body, option::END, &[]);
    });
    out
}

/// `epb_flags`: the direction in bits 0 and 1, for whom the packet is in bits 2 to 4.
fn flags(direction: Direction, octets: &[u8]) -> u32 {
    let way = match direction {
        Direction::In => 1,
        Direction::Out => 2,
    };
    let for_whom = match frame::ethernet::EthernetHeader::read(octets).map(|header| header.destination) {
        Some(mac) if mac.is_broadcast() => 3,
        Some(mac) if mac.is_group() => 2,
        Some(_) => 1,
        None => 0,
    };
    way | for_whom << 2
}
