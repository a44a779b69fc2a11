//! How does a trace become a capture file that Wireshark and tcpdump read, and how is one read again? (pcapng,
//! draft-ietf-opsawg-pcapng)
//!
//! | of the trace | in the file |
//! | --- | --- |
//! | the program, the lesson | Section Header Block: `shb_userappl`, `opt_comment` |
//! | port | Interface Description Block when it is first seen: `if_name` the endpoint, `if_description` its network, `if_tsresol` 9 |
//! | the switch | the first interface, `switch`: the frames that it made; the losses of the whole trace are counted there |
//! | frame as it came in | Enhanced Packet Block on its port, direction in; the decision as comments, one for each step |
//! | copy as it left | Enhanced Packet Block on that port, direction out, the octets as they left, no comments |
//! | number of the frame | `epb_packetid`, the same on all of them |
//! | drop | the frame as it came in only, with a comment `DROP: reason: sentence` |
//! | copy that its port did not take | a comment `NOT SENT to port: reason: sentence` |
//! | frames lost to the trace | `epb_dropcount` of the next frame; in all: `isb_osdrop` of the switch's statistics |
//! | names | Name Resolution Block: IPv4, IPv6, EUI-48; and [`ethers`], since Wireshark 4.0 passes over the last |
//!
//! | file | the question |
//! | --- | --- |
//! | [`writer`] | which blocks does a record become? |
//! | [`comments`] | how is a decision told in comments? |
//! | [`sequencer`] | how do the frames of several workers come to stand in the order of time? |
//! | [`reader`] | what does a file say that anybody may have written? |
//!
//! Not done: custom blocks (a Private Enterprise Number would be needed; JSON lines carry everything), the obsolete
//! Packet Block, compression.

mod blocks;
pub mod comments;
pub mod reader;
pub mod sequencer;
pub mod writer;

use std::net::IpAddr;

use frame::MacAddr;

pub use reader::{Interface, Packet, ReadError, Reader};
pub use sequencer::Sequencer;
pub use writer::{About, Counts, Writer};

/// Which way a packet passed its port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Into the switch.
    In,
    /// Out of the switch.
    Out,
}

/// An address that has a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Address {
    /// An IP address.
    Ip(IpAddr),
    /// A MAC address.
    Mac(MacAddr),
}

/// The MAC addresses among `names` in the form of ethers(5), which Wireshark reads from the file `ethers` in its folder
/// (`~/.config/wireshark`) when asked to resolve MAC addresses (`tshark -N m`).
pub fn ethers<'a>(names: impl IntoIterator<Item = (&'a Address, &'a str)>) -> String {
    let mut lines: Vec<String> = names
        .into_iter()
        .filter_map(|(address, name)| match address {
            Address::Mac(mac) => Some(format!("{mac} {}\n", blocks::word(name))),
            Address::Ip(_) => None,
        })
        .collect();
    lines.sort();
    lines.concat()
}

#[cfg(test)]
mod tests;
