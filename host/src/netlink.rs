//! How does one talk to the kernel's packet filter? A `NETLINK_NETFILTER` socket, its messages and their attributes.
//!
//! `struct nlmsghdr` (netlink(7)), `struct nfgenmsg` (linux/netfilter/nfnetlink.h), attributes padded to four octets.
//! Only what conntrack, the watch and the search for bridges need.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// `NLMSG_ERROR`, also the acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
const ACK: u16 = 0x4;
/// `NLM_F_ROOT | NLM_F_MATCH`.
const DUMP: u16 = 0x300;
/// `NLMSG_HDRLEN`.
const HEADER: usize = 16;
/// `struct nfgenmsg`.
const FAMILY_HEADER: usize = 4;
/// An answer comes at once or not at all.
const PATIENCE_S: i64 = 5;

/// A netlink socket of the calling thread's network namespace.
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// `groups`: a bit for each multicast group, the first group being bit 0.
    pub(crate) fn open(groups: u32) -> io::Result<Self> {
        Self::of(SockProtocol::NetlinkNetFilter, groups)
    }

    fn of(protocol: SockProtocol, groups: u32) -> io::Result<Self> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_S))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; 1 << 16] })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Throw away everything that has arrived.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                // So many that the kernel threw some away: they say no more than one does.
                Ok(_) | Err(nix::errno::Errno::ENOBUFS | nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn ask(&mut self, kind: u16, flags: u16, family: u8, attributes: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = HEADER + FAMILY_HEADER + attributes.len();
        let mut message = Vec::with_capacity(length);
        message.extend_from_slice(&(length as u32).to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&[family, 0, 0, 0]);
        message.extend_from_slice(attributes);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        Ok(())
    }

    /// Ask for everything of a kind; each message's attributes go to `each`.
    pub(crate) fn dump(&mut self, kind: u16, family: u8, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.ask(kind, DUMP, family, &[])?;
        self.answers(|_, attributes| each(attributes))
    }

    /// Ask for one thing to be done.
    pub(crate) fn request(&mut self, kind: u16, family: u8, attributes: &[u8]) -> io::Result<()> {
        self.ask(kind, ACK, family, attributes)?;
        self.answers(|_, _| {})
    }

    /// Read answers until the last one.
    fn answers(&mut self, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        loop {
            let length = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            for (kind, sequence, body) in messages(self.buffer.get(..length).unwrap_or_default()) {
                if sequence != self.sequence {
                    continue;
                }
                match kind {
                    DONE => return Ok(()),
                    ERROR => return error_of(body),
                    _ => each(kind, body.get(FAMILY_HEADER..).unwrap_or_default()),
                }
            }
        }
    }
}

/// The bridges of the calling thread's network namespace: `RTM_GETLINK` (rtnetlink(7)). `/sys/class/net` would show those of
/// the namespace in which it was mounted.
pub(crate) fn bridges() -> io::Result<BTreeSet<String>> {
    const RTM_GETLINK: u16 = 18;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    /// What `struct ifinfomsg` has beyond the length of `struct nfgenmsg`.
    const MORE: usize = 12;
    let mut netlink = Netlink::of(SockProtocol::NetlinkRoute, 0)?;
    let mut found = BTreeSet::new();
    netlink.ask(RTM_GETLINK, DUMP, 0, &[0; MORE])?;
    netlink.answers(|_, body| {
        let link = body.get(MORE..).unwrap_or_default();
        let kind = attribute(link, IFLA_LINKINFO).and_then(|info| attribute(info, IFLA_INFO_KIND));
        if kind.is_some_and(|kind| kind.strip_suffix(&[0]).unwrap_or(kind) == b"bridge") {
            let name = attribute(link, IFLA_IFNAME).unwrap_or_default();
            found.insert(String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned());
        }
    })?;
    Ok(found)
}

fn error_of(body: &[u8]) -> io::Result<()> {
    match body.first_chunk::<4>().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The messages in what was received at once: kind, sequence number, what follows the header.
fn messages(mut octets: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*octets.first_chunk()?) as usize;
        let message = octets.get(..length).filter(|message| message.len() >= HEADER)?;
        let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
        let sequence = u32::from_ne_bytes(*message.get(8..)?.first_chunk()?);
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, sequence, message.get(HEADER..)?))
    })
}

/// The attributes in `octets`: kind (without its flags) and value.
pub(crate) fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*octets.first_chunk()?));
        let attribute = octets.get(..length).filter(|attribute| attribute.len() >= 4)?;
        let kind = u16::from_ne_bytes(*attribute.get(2..)?.first_chunk()?) & 0x3fff;
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, attribute.get(4..)?))
    })
}

/// The value of the attribute `kind` in `octets`.
pub(crate) fn attribute(octets: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(octets).find(|(of, _)| *of == kind).map(|(_, value)| value)
}

/// Append an attribute. Nested ones carry `NLA_F_NESTED`.
pub(crate) fn push_attribute(to: &mut Vec<u8>, kind: u16, nested: bool, value: &[u8]) {
    let kind = if nested { kind | 0x8000 } else { kind };
    to.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
    to.extend_from_slice(&kind.to_ne_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_written() {
        let mut octets = Vec::new();
        push_attribute(&mut octets, 3, false, &[1, 2, 3, 4, 5]);
        push_attribute(&mut octets, 1, true, &[9]);
        assert_eq!(octets.len(), 20);
        assert_eq!(attributes(&octets).collect::<Vec<_>>(), [(3, &[1, 2, 3, 4, 5][..]), (1, &[9][..])]);
        assert_eq!(attribute(&octets, 1), Some(&[9][..]));
        assert_eq!(attribute(&octets, 2), None);
    }

    #[test]
    fn what_is_cut_short_ends_the_list() {
        let mut octets = Vec::new();
        push_attribute(&mut octets, 3, false, &[1, 2, 3, 4]);
        for end in 0..octets.len() {
            assert_eq!(attributes(&octets[..end]).count(), 0, "{end}");
        }
        for length in [0_u16, 1, 3] {
            octets[..2].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(attributes(&octets).count(), 0, "a length of {length} never ends");
        }
        assert_eq!(messages(&[0; 64]).count(), 0);
    }
}
