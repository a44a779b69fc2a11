//! How is the kernel's routing table of links, addresses and routes asked and changed? By one request at a time over a
//! blocking `NETLINK_ROUTE` socket (RFC 3549 section 2.3; linux/netlink.h), or `NETLINK_GENERIC` for what other families
//! know: send, then read until the acknowledgement or the end of the dump with the same sequence number.
//!
//! Requests are built with `netlink-packet-route`. Answers are walked attribute by attribute here, because a typed
//! parser refuses a whole dump when one interface carries an attribute it does not know.
//!
//! Not done: several requests in flight, events (see [`crate::monitor`]).

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NetlinkMessage, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{
    Socket, SocketAddr,
    protocols::{NETLINK_GENERIC, NETLINK_ROUTE},
};

/// Octets of `struct nlmsghdr`.
const HEADER_OCTETS: usize = 16;
/// `NLMSGERR_ATTR_MSG`: the kernel's own words about a refusal (linux/netlink.h).
const ERROR_TEXT: u16 = 1;
/// How often a dump is asked for again when the kernel's lists changed while it was made.
const DUMP_TRIES: usize = 10;

/// The kernel refused a request, or could not be asked.
#[derive(Debug)]
pub struct NetlinkError {
    what: String,
    detail: Option<String>,
    source: io::Error,
}

impl NetlinkError {
    /// A request that failed: `what` completes the sentence "cannot ...".
    pub fn new(what: impl Into<String>, source: io::Error) -> Self {
        Self { what: what.into(), detail: None, source }
    }

    /// What was to be done, as in "set the MTU of 'eth0'".
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The kernel's own explanation (extended acknowledgement), where it gave one.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The kind of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The kernel's error number, if the kernel refused.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.source)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for NetlinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<NetlinkError> for io::Error {
    fn from(error: NetlinkError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Why a request failed, before it is known what it was for.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) source: io::Error,
    pub(crate) detail: Option<String>,
}

impl Refusal {
    /// Say what the request was for.
    pub(crate) fn while_trying_to(self, what: impl Into<String>) -> NetlinkError {
        NetlinkError { what: what.into(), detail: self.detail, source: self.source }
    }

    /// Is it this error of the kernel's?
    pub(crate) fn is(&self, number: i32) -> bool {
        self.source.raw_os_error() == Some(number)
    }
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Self {
        Self { source, detail: None }
    }
}

/// One message of an answer: its `RTM_` type and its octets behind `struct nlmsghdr`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: u16,
    pub(crate) payload: Vec<u8>,
}

/// A socket for requests. It belongs to the network namespace of the thread that opened it, whichever thread uses it
/// later.
pub(crate) struct Connection {
    socket: Socket,
    sequence: u32,
}

impl Connection {
    pub(crate) fn open() -> io::Result<Self> {
        Self::of(NETLINK_ROUTE)
    }

    /// A socket for requests to the kernel's other families (`linux/genetlink.h`).
    pub(crate) fn generic() -> io::Result<Self> {
        Self::of(NETLINK_GENERIC)
    }

    fn of(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Both came with Linux 4.12; without them errors are terser and echo the request.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self { socket, sequence: 0 })
    }

    /// Send a request and wait for its acknowledgement; the answers that came before it are returned.
    pub(crate) fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Vec<Reply>, Refusal> {
        self.exchange(message, flags | NLM_F_ACK).map(|(replies, _)| replies)
    }

    /// Ask for everything; asked again when the kernel says that its lists changed meanwhile.
    pub(crate) fn dump(&mut self, message: &RouteNetlinkMessage) -> Result<Vec<Reply>, Refusal> {
        for _ in 0..DUMP_TRIES {
            let (replies, interrupted) = self.exchange(message.clone(), NLM_F_DUMP)?;
            if !interrupted {
                return Ok(replies);
            }
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "the list changed each time it was read").into())
    }

    /// Send a request of this type that is in octets already, and wait for its acknowledgement.
    pub(crate) fn request_octets(&mut self, kind: u16, payload: &[u8]) -> Result<Vec<Reply>, Refusal> {
        let whole = (HEADER_OCTETS + payload.len()) as u32;
        let mut octets = whole.to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        octets.extend([0; 8]);
        octets.extend(payload);
        self.ask(octets).map(|(replies, _)| replies)
    }

    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(Vec<Reply>, bool), Refusal> {
        self.ask(encode(message, flags | NLM_F_REQUEST))
    }

    /// Number a request, send it, read its answer.
    fn ask(&mut self, mut request: Vec<u8>) -> Result<(Vec<Reply>, bool), Refusal> {
        self.sequence = self.sequence.wrapping_add(1);
        if let Some(number) = request.get_mut(8..12) {
            number.copy_from_slice(&self.sequence.to_ne_bytes());
        }
        self.socket.send(&request, 0)?;
        let mut answer = Answer { sequence: self.sequence, replies: Vec::new(), interrupted: false };
        loop {
            let datagram = match self.socket.recv_from_full() {
                Ok((datagram, from)) if from.port_number() == 0 => datagram,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if answer.take(&datagram)? {
                return Ok((answer.replies, answer.interrupted));
            }
        }
    }
}

/// A request's octets, without a number.
fn encode(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut packet = NetlinkMessage::from(message);
    packet.header.flags = flags;
    packet.finalize();
    let mut octets = vec![0; packet.buffer_len()];
    packet.serialize(&mut octets);
    octets
}

/// What has been read of the answer to one request.
struct Answer {
    sequence: u32,
    replies: Vec<Reply>,
    interrupted: bool,
}

impl Answer {
    /// Take the messages of one datagram; `true` when the answer is complete. Messages with another sequence number
    /// belong to an earlier request that was given up, and are passed over.
    fn take(&mut self, datagram: &[u8]) -> Result<bool, Refusal> {
        for message in messages(datagram) {
            if message.sequence_number() != self.sequence {
                continue;
            }
            self.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
            match message.message_type() {
                NLMSG_ERROR => return acknowledged(message.flags(), message.payload()).map(|()| true),
                NLMSG_DONE => return done(message.payload()).map(|()| true),
                kind => self.replies.push(Reply { kind, payload: message.payload().to_vec() }),
            }
        }
        Ok(false)
    }
}

/// The messages of a datagram, up to the first that is not whole.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(rest).ok()?;
        let next = (message.length() as usize).next_multiple_of(4);
        rest = rest.get(next..).unwrap_or_default();
        Some(message)
    })
}

/// `NLMSG_ERROR`: the error number (0 is success), the request's header, and, unless capped, the request itself; then
/// attributes.
fn acknowledged(flags: u16, payload: &[u8]) -> Result<(), Refusal> {
    let number = payload.first_chunk().map_or(-libc::EBADMSG, |octets| i32::from_ne_bytes(*octets));
    if number == 0 {
        return Ok(());
    }
    let request = payload.get(4..).unwrap_or_default();
    let echoed = if flags & NLM_F_CAPPED != 0 { HEADER_OCTETS } else { u32_of(request).unwrap_or(0) as usize };
    let tail = request.get(echoed.next_multiple_of(4)..).filter(|_| flags & NLM_F_ACK_TLVS != 0);
    Err(refusal(number, tail.unwrap_or_default()))
}

/// `NLMSG_DONE`: an error number where the kernel gave up in the middle of a dump.
fn done(payload: &[u8]) -> Result<(), Refusal> {
    match payload.first_chunk().map_or(0, |octets| i32::from_ne_bytes(*octets)) {
        number if number < 0 => Err(refusal(number, payload.get(4..).unwrap_or_default())),
        _ => Ok(()),
    }
}

fn refusal(number: i32, tail: &[u8]) -> Refusal {
    let text = attributes(tail, 0).find(|(kind, _)| *kind == ERROR_TEXT);
    Refusal {
        source: io::Error::from_raw_os_error(number.wrapping_neg()),
        detail: text.map(|(_, value)| text_of(value).into_owned()),
    }
}

/// The attributes behind a message's own header of `header` octets: kind (without flag bits) and value. Ends at the
/// first one that is not whole.
pub(crate) fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(payload.get(header..).unwrap_or_default()).map_while(|attribute| {
        let attribute = attribute.ok()?;
        let (kind, length) = (attribute.kind(), attribute.length() as usize);
        Some((kind, attribute.into_inner().get(4..length)?))
    })
}

/// A 32-bit value in the machine's order.
pub(crate) fn u32_of(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|octets| u32::from_ne_bytes(*octets))
}

/// A signed 32-bit value in the machine's order: namespace numbers.
pub(crate) fn i32_of(value: &[u8]) -> Option<i32> {
    value.first_chunk().map(|octets| i32::from_ne_bytes(*octets))
}

/// A text up to its NUL.
pub(crate) fn text_of(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value.split(|octet| *octet == 0).next().unwrap_or_default())
}

/// An address of 4 or 16 octets.
pub(crate) fn ip_of(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(value).ok().map(|octets| Ipv6Addr::from(octets).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A netlink message with this type, flags and sequence number.
    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut octets = ((HEADER_OCTETS + payload.len()) as u32).to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend(flags.to_ne_bytes());
        octets.extend(sequence.to_ne_bytes());
        octets.extend(0u32.to_ne_bytes());
        octets.extend(payload);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    fn answer(sequence: u32) -> Answer {
        Answer { sequence, replies: Vec::new(), interrupted: false }
    }

    #[test]
    fn an_answer_ends_with_its_own_acknowledgement_only() {
        let mut answer = answer(7);
        let mut datagram = message(16, 0, 6, b"stale");
        datagram.extend(message(NLMSG_ERROR, NLM_F_CAPPED, 6, &[0; 20]));
        datagram.extend(message(16, 0, 7, b"mine"));
        assert!(!answer.take(&datagram).unwrap());
        assert!(answer.take(&message(NLMSG_ERROR, NLM_F_CAPPED, 7, &[0; 20])).unwrap());
        assert_eq!(answer.replies, [Reply { kind: 16, payload: b"mine".to_vec() }]);
    }

    #[test]
    fn a_refusal_carries_the_kernels_words() {
        let mut payload = (-libc::EBUSY).to_ne_bytes().to_vec();
        payload.extend([0; HEADER_OCTETS]);
        payload.extend([12, 0, ERROR_TEXT as u8, 0]);
        payload.extend(b"in use\0\0");
        let refused = answer(1).take(&message(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 1, &payload)).unwrap_err();
        assert!(refused.is(libc::EBUSY));
        let error = refused.while_trying_to("rename 'eth0'");
        assert_eq!(error.detail(), Some("in use"));
        assert!(error.to_string().starts_with("cannot rename 'eth0': "), "{error}");
        assert!(error.to_string().ends_with(": in use"), "{error}");
    }

    #[test]
    fn a_refusal_that_echoes_the_whole_request_is_read_too() {
        let mut payload = (-libc::EINVAL).to_ne_bytes().to_vec();
        payload.extend(message(16, 0, 1, b"ask!"));
        payload.extend([8, 0, ERROR_TEXT as u8, 0, b'n', b'o', 0, 0]);
        let refused = answer(1).take(&message(NLMSG_ERROR, NLM_F_ACK_TLVS, 1, &payload)).unwrap_err();
        assert_eq!(refused.detail.as_deref(), Some("no"));
    }

    #[test]
    fn a_dump_that_was_disturbed_or_broken_off_says_so() {
        let mut disturbed = answer(3);
        assert!(!disturbed.take(&message(16, NLM_F_DUMP_INTR, 3, b"")).unwrap());
        assert!(disturbed.take(&message(NLMSG_DONE, 0, 3, &[0; 4])).unwrap());
        assert!(disturbed.interrupted);
        let broken = answer(3).take(&message(NLMSG_DONE, 0, 3, &(-libc::ENOMEM).to_ne_bytes())).unwrap_err();
        assert!(broken.is(libc::ENOMEM));
    }

    #[test]
    fn what_is_not_whole_is_not_read() {
        let whole = message(16, 0, 1, b"12345678");
        for len in 0..whole.len() {
            assert_eq!(messages(&whole[..len]).count(), 0, "{len} octets");
        }
        let short: [&[u8]; 4] = [&[], &[8, 0, 1], &[8, 0, 1, 0, 1, 2, 3], &[3, 0, 1, 0]];
        for octets in short {
            assert_eq!(attributes(octets, 0).count(), 0, "{octets:?}");
        }
        assert_eq!(attributes(b"", 16).count(), 0);
        assert_eq!((u32_of(&[1, 2, 3]), ip_of(&[1; 5]), text_of(b"")), (None, None, "".into()));
        assert!(acknowledged(0, &[]).unwrap_err().is(libc::EBADMSG));
    }

    #[test]
    fn values_are_read_as_the_kernel_writes_them() {
        assert_eq!(ip_of(&[10, 0, 0, 1]), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(ip_of(&Ipv6Addr::LOCALHOST.octets()), Some("::1".parse().unwrap()));
        assert_eq!(text_of(b"eth0\0\0\0"), "eth0");
        assert_eq!(i32_of(&(-1i32).to_ne_bytes()), Some(-1));
        let nested = [5, 0, 1, 0x80, 9, 0, 0, 0, 4, 0, 2, 0];
        assert_eq!(attributes(&nested, 0).collect::<Vec<_>>(), [(1, &[9u8][..]), (2, &[][..])]);
    }
}
