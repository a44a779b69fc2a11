//! What does a capture file say that anybody may have written? Its packets one by one, with the names told so far.
//!
//! Both byte orders, several sections, every resolution of time. Blocks and options that are not known here are passed
//! over. Nothing is believed: every length is checked against what is there, and memory grows with what was read, not
//! with what was announced. What cannot be read is told with its place in the file.
//!
//! Not done: the obsolete Packet Block, systemd journal and decryption secrets (passed over), the old pcap format
//! (refused by name).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;

use frame::MacAddr;
use thiserror::Error;

use super::blocks::{self, name, option};
use super::{Address, Direction};

/// Octets of a block.
pub const MAX_BLOCK_OCTETS: u32 = 16 << 20;
/// Interfaces of a section: more than the switch can have ports.
pub const MAX_INTERFACES: usize = 65_536;
/// Addresses with names; what is told beyond that is passed over.
pub const MAX_NAMES: usize = 262_144;

/// Comments of a packet; more are passed over.
pub const MAX_COMMENTS: usize = 4096;

/// The file cannot be read on.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The system says so.
    #[error("reading the capture: {0}")]
    Io(#[from] io::Error),
    /// It is no capture file, or a damaged one.
    #[error("not a readable capture: at octet {offset}, {what}")]
    Malformed {
        /// Where the block begins that is wrong, counted in octets from the beginning of the file.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Where packets were seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// `if_name`; `interface N` where the file does not tell.
    pub name: String,
    /// `if_description`; may be empty.
    pub description: String,
    /// `LINKTYPE_...`; 1 is Ethernet.
    pub link_type: u16,
    /// `if_tsresol`: 10^-n seconds, or with the highest bit set 2^-n.
    resolution: u8,
    /// `if_tsoffset`, seconds.
    offset: i64,
}

/// One packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Where it was seen.
    pub interface: Arc<Interface>,
    /// When: nanoseconds since 1970-01-01 UTC; 0 where the file does not tell.
    pub at_unix_ns: u64,
    /// Which way it passed, if the file tells.
    pub direction: Option<Direction>,
    /// `epb_packetid`: the same on every copy.
    pub packet_id: Option<u64>,
    /// `opt_comment`, each.
    pub comments: Vec<String>,
    /// `epb_dropcount`: how many were lost since the one before.
    pub lost: u64,
    /// What was kept of it.
    pub octets: Vec<u8>,
    /// Its whole length in octets.
    pub original_octets: u32,
}

/// Reads a capture file.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Of the block that is being read.
    offset: u64,
    /// Behind that block.
    next: u64,
    big_endian: bool,
    section: bool,
    snap: Vec<u32>,
    interfaces: Vec<Arc<Interface>>,
    names: BTreeMap<Address, String>,
    application: Option<String>,
    lost: u64,
}

impl<R: Read> Reader<R> {
    /// A reader of a file from its beginning. Nothing is read yet.
    pub const fn new(input: R) -> Self {
        Self {
            input,
            offset: 0,
            next: 0,
            big_endian: false,
            section: false,
            snap: Vec::new(),
            interfaces: Vec::new(),
            names: BTreeMap::new(),
            application: None,
            lost: 0,
        }
    }

    /// The names that the file has told so far.
    pub const fn names(&self) -> &BTreeMap<Address, String> {
        &self.names
    }

    /// The interfaces of the section so far.
    pub fn interfaces(&self) -> &[Arc<Interface>] {
        &self.interfaces
    }

    /// The program that wrote the section, if it says so.
    pub fn application(&self) -> Option<&str> {
        self.application.as_deref()
    }

    /// How many packets the statistics call lost (`isb_osdrop`), of the blocks read so far.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The next packet; `None` at the end of the file.
    ///
    /// # Errors
    /// [`ReadError`]; after one, nothing sensible follows.
    pub fn packet(&mut self) -> Result<Option<Packet>, ReadError> {
        while let Some((kind, body)) = self.block()? {
            let fields = Fields { octets: &body, big_endian: self.big_endian };
            match kind {
                blocks::SECTION_HEADER => self.section(fields)?,
                blocks::INTERFACE_DESCRIPTION => self.interface(fields)?,
                blocks::ENHANCED_PACKET => return self.enhanced_packet(fields).map(Some),
                blocks::SIMPLE_PACKET => return self.simple_packet(fields).map(Some),
                blocks::NAME_RESOLUTION => self.name_resolution(fields)?,
                blocks::INTERFACE_STATISTICS => self.statistics(fields)?,
                _ => {}
            }
        }
        Ok(None)
    }

    fn malformed<T>(&self, what: impl Into<String>) -> Result<T, ReadError> {
        Err(ReadError::Malformed { offset: self.offset, what: what.into() })
    }

    /// The value, or that `what` is cut off.
    fn have<T>(&self, value: Option<T>, what: &str) -> Result<T, ReadError> {
        value.map_or_else(|| self.malformed(format!("{what} is cut off")), Ok)
    }

    /// The type and body of the next block.
    fn block(&mut self) -> Result<Option<(u32, Vec<u8>)>, ReadError> {
        self.offset = self.next;
        let mut head = Vec::with_capacity(12);
        // A section's head tells the order of octets behind its length, so 12 octets are needed to read any.
        (&mut self.input).take(12).read_to_end(&mut head)?;
        if head.is_empty() {
            return if self.section { Ok(None) } else { self.malformed("it is empty") };
        }
        let Some(head) = head.first_chunk::<12>() else { return self.malformed("a block's head is cut off") };
        let [k0, k1, k2, k3, l0, l1, l2, l3, m0, m1, m2, m3] = *head;
        if u32::from_le_bytes([k0, k1, k2, k3]) == blocks::SECTION_HEADER {
            let magic = [m0, m1, m2, m3];
            self.big_endian = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
                (blocks::BYTE_ORDER_MAGIC, _) => false,
                (_, blocks::BYTE_ORDER_MAGIC) => true,
                _ => return self.malformed("a section's byte order cannot be told"),
            };
            self.section = true;
        } else if !self.section {
            let old = matches!(
                [k0, k1, k2, k3],
                [0xd4 | 0x4d, 0xc3 | 0x3c, 0xb2 | 0x2b, 0xa1 | 0x1a] | [0xa1, 0xb2, 0xc3 | 0x3c, 0xd4 | 0x4d]
            );
            return self.malformed(if old {
                "a file in the old pcap format; 'editcap -F pcapng' makes it one that is read here"
            } else {
                "no pcapng section begins"
            });
        }
        let number = |octets| if self.big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) };
        let (kind, length) = (number([k0, k1, k2, k3]), number([l0, l1, l2, l3]));
        if length < 12 || length % 4 != 0 {
            return self.malformed(format!("a block says it has {length} octets"));
        }
        if length > MAX_BLOCK_OCTETS {
            return self.malformed(format!("a block says it has {length} octets; {MAX_BLOCK_OCTETS} are read at most"));
        }
        // The head took the trailing length of a block without a body.
        let mut body = vec![m0, m1, m2, m3];
        (&mut self.input).take(u64::from(length - 12)).read_to_end(&mut body)?;
        if body.len() as u32 != length - 8 {
            return self.malformed(format!("a block of {length} octets is cut off"));
        }
        let trailer = body.split_off(body.len() - 4);
        if trailer.first_chunk().copied().map(number) != Some(length) {
            return self.malformed("the two lengths of a block differ");
        }
        self.next = self.offset + u64::from(length);
        Ok(Some((kind, body)))
    }

    fn section(&mut self, mut fields: Fields<'_>) -> Result<(), ReadError> {
        let head = (|| Some((fields.u32()?, fields.u16()?, fields.u16()?, fields.take(8)?)))();
        let (_, major, minor, _) = self.have(head, "a section's head")?;
        if major != 1 {
            return self.malformed(format!("a section of format version {major}.{minor}; 1.x is read here"));
        }
        self.interfaces.clear();
        self.snap.clear();
        self.application = None;
        while let Some((code, value)) = self.option(&mut fields)? {
            if code == option::SHB_USERAPPL {
                self.application = Some(text(value));
            }
        }
        Ok(())
    }

    fn interface(&mut self, mut fields: Fields<'_>) -> Result<(), ReadError> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return self.malformed(format!("more than {MAX_INTERFACES} interfaces"));
        }
        let head = (|| Some((fields.u16()?, fields.u16()?, fields.u32()?)))();
        let (link_type, _, snap) = self.have(head, "an interface's description")?;
        let mut interface = Interface {
            name: format!("interface {}", self.interfaces.len()),
            description: String::new(),
            link_type,
            resolution: 6,
            offset: 0,
        };
        let big_endian = fields.big_endian;
        while let Some((code, value)) = self.option(&mut fields)? {
            match code {
                option::IF_NAME => interface.name = text(value),
                option::IF_DESCRIPTION => interface.description = text(value),
                option::IF_TSRESOL => interface.resolution = value.first().copied().unwrap_or(6),
                option::IF_TSOFFSET => {
                    interface.offset = Fields { octets: value, big_endian }.u64().map_or(0, u64::cast_signed);
                }
                _ => {}
            }
        }
        self.interfaces.push(Arc::new(interface));
        self.snap.push(snap);
        Ok(())
    }

    fn enhanced_packet(&self, mut fields: Fields<'_>) -> Result<Packet, ReadError> {
        let head = (|| Some((fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?)))();
        let (id, high, low, captured, original_octets) = self.have(head, "a packet's head")?;
        let interface = self.interface_of(id)?;
        let octets = self.have(fields.padded(captured as usize), "a packet")?.to_vec();
        let mut packet = Packet {
            at_unix_ns: interface.time(u64::from(high) << 32 | u64::from(low)),
            interface,
            direction: None,
            packet_id: None,
            comments: Vec::new(),
            lost: 0,
            octets,
            original_octets,
        };
        let big_endian = fields.big_endian;
        while let Some((code, value)) = self.option(&mut fields)? {
            let mut value_fields = Fields { octets: value, big_endian };
            match code {
                option::COMMENT if packet.comments.len() < MAX_COMMENTS => packet.comments.push(text(value)),
                option::EPB_FLAGS => {
                    packet.direction = match value_fields.u32().map(|flags| flags & 3) {
                        Some(1) => Some(Direction::In),
                        Some(2) => Some(Direction::Out),
                        _ => None,
                    };
                }
                option::EPB_DROPCOUNT => packet.lost = value_fields.u64().unwrap_or(0),
                option::EPB_PACKETID => packet.packet_id = value_fields.u64(),
                _ => {}
            }
        }
        Ok(packet)
    }

    /// Its octets are as many as the block has, the whole length, or the interface's limit, whichever is least.
    fn simple_packet(&self, mut fields: Fields<'_>) -> Result<Packet, ReadError> {
        let original_octets = self.have(fields.u32(), "a packet's head")?;
        let interface = self.interface_of(0)?;
        let limit = self.snap.first().copied().filter(|snap| *snap > 0).unwrap_or(u32::MAX);
        let kept = original_octets.min(limit) as usize;
        let octets = self.have(fields.octets.get(..kept), "a packet")?.to_vec();
        Ok(Packet {
            interface,
            at_unix_ns: 0,
            direction: None,
            packet_id: None,
            comments: Vec::new(),
            lost: 0,
            octets,
            original_octets,
        })
    }

    fn interface_of(&self, id: u32) -> Result<Arc<Interface>, ReadError> {
        let known = self.interfaces.len();
        let interface = self.interfaces.get(id as usize).cloned();
        interface
            .map_or_else(|| self.malformed(format!("a packet of interface {id}, of which {known} are described")), Ok)
    }

    fn name_resolution(&mut self, mut fields: Fields<'_>) -> Result<(), ReadError> {
        while let Some((code, value)) = self.option(&mut fields)? {
            let (address, names) = match code {
                name::IPV4 => match value.split_first_chunk::<4>() {
                    Some((ip, names)) => (Address::Ip(IpAddr::from(*ip)), names),
                    None => return self.malformed("a name's address is cut off"),
                },
                name::IPV6 => match value.split_first_chunk::<16>() {
                    Some((ip, names)) => (Address::Ip(IpAddr::from(*ip)), names),
                    None => return self.malformed("a name's address is cut off"),
                },
                name::EUI48 => match value.split_first_chunk::<6>() {
                    Some((mac, names)) => (Address::Mac(MacAddr(*mac)), names),
                    None => return self.malformed("a name's address is cut off"),
                },
                _ => continue,
            };
            // Several names end in a zero each; the first is the one that is shown.
            let first = names.split(|octet| *octet == 0).next().unwrap_or_default();
            if !first.is_empty() && (self.names.len() < MAX_NAMES || self.names.contains_key(&address)) {
                self.names.insert(address, text(first));
            }
        }
        Ok(())
    }

    fn statistics(&mut self, mut fields: Fields<'_>) -> Result<(), ReadError> {
        self.have(fields.take(12), "an interface's statistics")?;
        let big_endian = fields.big_endian;
        while let Some((code, value)) = self.option(&mut fields)? {
            if code == option::ISB_OSDROP {
                let lost = Fields { octets: value, big_endian }.u64().unwrap_or(0);
                self.lost = self.lost.saturating_add(lost);
            }
        }
        Ok(())
    }

    /// The next option's code and value, up to the mark of the end or the end of the block.
    fn option<'b>(&self, fields: &mut Fields<'b>) -> Result<Option<(u16, &'b [u8])>, ReadError> {
        if fields.octets.is_empty() {
            return Ok(None);
        }
        let head = fields.u16().zip(fields.u16());
        let (code, length) = self.have(head, "an option's head")?;
        if code == option::END {
            return Ok(None);
        }
        let value = self.have(fields.padded(usize::from(length)), "an option")?;
        Ok(Some((code, value)))
    }
}

impl Interface {
    /// A time of this interface in nanoseconds since the epoch, as near as 64 bits come.
    fn time(&self, units: u64) -> u64 {
        let units = u128::from(units);
        let exponent = u32::from(self.resolution & 0x7f);
        let ns = if self.resolution & 0x80 != 0 {
            (units * 1_000_000_000) >> exponent
        } else if exponent <= 9 {
            units * 10u128.pow(9 - exponent)
        } else {
            10u128.checked_pow(exponent - 9).map_or(0, |unit| units / unit)
        };
        let ns = i128::try_from(ns).unwrap_or(i128::MAX);
        let ns = ns.saturating_add(i128::from(self.offset) * 1_000_000_000);
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

/// A text as it can be shown: what is no UTF-8 stands as U+FFFD.
fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim_end_matches('\0').to_owned()
}

/// What is left of a block, field by field.
#[derive(Clone, Copy)]
struct Fields<'a> {
    octets: &'a [u8],
    big_endian: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.octets.split_at_checked(count)?;
        self.octets = rest;
        Some(taken)
    }

    /// So many octets, and the zeros behind them up to a multiple of four.
    fn padded(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.take(count)?;
        self.take(count.next_multiple_of(4) - count)?;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let octets = *self.take(2)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(octets) } else { u16::from_le_bytes(octets) })
    }

    fn u32(&mut self) -> Option<u32> {
        let octets = *self.take(4)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
    }

    fn u64(&mut self) -> Option<u64> {
        let octets = *self.take(8)?.first_chunk()?;
        Some(if self.big_endian { u64::from_be_bytes(octets) } else { u64::from_le_bytes(octets) })
    }
}
