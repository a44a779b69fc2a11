//! How are blocks and options laid out? (draft-ietf-opsawg-pcapng, 3.1 and 3.5)
//!
//! Everything is written in little-endian order and padded to 32 bits.

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const NAME_RESOLUTION: u32 = 4;
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;

pub(super) const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// `LINKTYPE_ETHERNET`.
pub(super) const ETHERNET: u16 = 1;

/// Options of more than one kind of block, or of the one that the name begins with.
pub(super) mod option {
    pub(in super::super) const END: u16 = 0;
    pub(in super::super) const COMMENT: u16 = 1;
    pub(in super::super) const SHB_USERAPPL: u16 = 4;
    pub(in super::super) const IF_NAME: u16 = 2;
    pub(in super::super) const IF_DESCRIPTION: u16 = 3;
    pub(in super::super) const IF_TSRESOL: u16 = 9;
    pub(in super::super) const IF_TSOFFSET: u16 = 14;
    pub(in super::super) const EPB_FLAGS: u16 = 2;
    pub(in super::super) const EPB_DROPCOUNT: u16 = 4;
    pub(in super::super) const EPB_PACKETID: u16 = 5;
    pub(in super::super) const ISB_STARTTIME: u16 = 2;
    pub(in super::super) const ISB_ENDTIME: u16 = 3;
    pub(in super::super) const ISB_IFRECV: u16 = 4;
    pub(in super::super) const ISB_OSDROP: u16 = 7;
}

/// Records of a Name Resolution Block.
pub(super) mod name {
    pub(in super::super) const END: u16 = 0;
    pub(in super::super) const IPV4: u16 = 1;
    pub(in super::super) const IPV6: u16 = 2;
    pub(in super::super) const EUI48: u16 = 3;
}

/// Octets of the longest text that is written as an option; a length of 16 bits could tell 65,535.
pub(super) const MAX_TEXT_OCTETS: usize = 4096;

/// Append a block: its type, its length, the body, its length again.
pub(super) fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let octets = (out.len() - start + 4) as u32;
    out.extend(octets.to_le_bytes());
    if let Some(length) = out.get_mut(start + 4..start + 8) {
        length.copy_from_slice(&octets.to_le_bytes());
    }
}

/// Append an option, or a record of names, which has the same form.
pub(super) fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    padded(out, value);
}

/// Append an option that is a text: UTF-8 on one line, without an end mark.
pub(super) fn text(out: &mut Vec<u8>, code: u16, value: &str) {
    let visible: String = value.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    let end = (0..=visible.len().min(MAX_TEXT_OCTETS)).rev().find(|end| visible.is_char_boundary(*end)).unwrap_or(0);
    option(out, code, &visible.as_bytes()[..end]);
}

/// Append octets, and zeros up to a multiple of four.
pub(super) fn padded(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(octets);
    out.resize(out.len() + octets.len().next_multiple_of(4) - octets.len(), 0);
}

/// A time as pcapng has it: the high 32 bits, then the low.
pub(super) fn time(at: u64) -> [u8; 8] {
    // Exchanging the halves and writing the whole in little-endian order writes each half so.
    at.rotate_left(32).to_le_bytes()
}

/// A name as one word: nothing in it ends a line, a word or a text of C.
pub(super) fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || c.is_whitespace() || c == '#' { '_' } else { c }).take(255).collect()
}
