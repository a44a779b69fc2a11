//! What can be asked of a frame, and how is the question written? The words of a filter, and its canonical form.
//!
//! Every set of words that goes by name stands in a table here once: the parser reads it, the text is written from it,
//! and a refusal takes its suggestion from it.

use std::fmt;
use std::net::IpAddr;

use frame::{DropReason, MacAddr};
use ipnet::IpNet;

/// A question of tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Expr {
    Test(Test),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
}

/// One thing that a frame is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Test {
    Arp(Option<ArpWord>),
    Icmp(Option<IcmpWord>),
    Icmp6(Option<Icmp6Word>),
    Ip,
    Ip6,
    Tcp,
    Udp,
    Vlan(Option<u16>),
    EtherProto(u16),
    Host { family: Family, way: Way, host: Host },
    Net { family: Family, way: Way, net: IpNet },
    EtherHost { way: Way, host: EtherHost },
    Port { transport: Transport, way: Way, first: u16, last: u16 },
    Broadcast,
    Multicast,
    Unicast,
    Less(u32),
    Greater(u32),
    PortOf(String),
    To(String),
    Network(String),
    FromSwitch,
    Verdict(VerdictWord),
    Reason(DropReason),
    Learned(LearnedWord),
    Frame { first: u64, last: u64 },
}

/// Whose IP address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Host {
    Ip(IpAddr),
    /// An endpoint's name, and its addresses where somebody has told them.
    Name(String, Vec<IpAddr>),
}

/// Whose MAC address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum EtherHost {
    Mac(MacAddr),
    Name(String),
}

/// A set of words, in the order of their table.
pub(super) trait Words: Copy + PartialEq + Sized + 'static {
    const TABLE: &'static [(&'static str, Self)];

    fn parse(word: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
    }

    fn word(self) -> &'static str {
        Self::TABLE.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }

    fn names() -> impl Iterator<Item = &'static str> {
        Self::TABLE.iter().map(|(name, _)| *name)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $( $variant:ident $word:literal )+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum $name { $( $variant, )+ }

        impl Words for $name {
            const TABLE: &'static [(&'static str, Self)] = &[$( ($word, Self::$variant), )+];
        }
    };
}

words! {
    /// Kinds of ARP message. A probe and an announcement are requests, too (RFC 5227, 1.1).
    ArpWord { Request "request" Reply "reply" Probe "probe" Announcement "announcement" }
}
words! {
    /// ICMP types (RFC 792).
    IcmpWord {
        Echo "echo" Reply "reply" Unreachable "unreachable" Redirect "redirect" TimeExceeded "time-exceeded"
        ParameterProblem "parameter-problem"
    }
}
words! {
    /// `ICMPv6` types (RFC 4443, 4861).
    Icmp6Word {
        Echo "echo" Reply "reply" Unreachable "unreachable" TooBig "too-big" TimeExceeded "time-exceeded"
        ParameterProblem "parameter-problem" RouterSolicitation "router-solicitation"
        RouterAdvertisement "router-advertisement" NeighborSolicitation "neighbor-solicitation"
        NeighborAdvertisement "neighbor-advertisement" Redirect "redirect"
    }
}
words! {
    /// What became of the frame.
    VerdictWord {
        Unicast "unicast" Flood "flood" Drop "drop" Answered "answered" Consumed "consumed" Held "held"
        Fragmented "fragmented"
    }
}
words! {
    /// What its source address taught the MAC table.
    LearnedWord { New "new" Fresh "fresh" Moved "moved" Refused "refused" }
}
words! {
    /// Which of the two addresses or ports.
    Way { Either "" Source "src" Destination "dst" }
}
words! {
    /// Which protocol's addresses.
    Family { Any "" Ip "ip" Ip6 "ip6" Arp "arp" }
}
words! {
    /// Which protocol's ports.
    Transport { Any "" Tcp "tcp" Udp "udp" }
}

impl IcmpWord {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Echo => 8,
            Self::Reply => 0,
            Self::Unreachable => 3,
            Self::Redirect => 5,
            Self::TimeExceeded => 11,
            Self::ParameterProblem => 12,
        }
    }
}

impl Icmp6Word {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Echo => 128,
            Self::Reply => 129,
            Self::Unreachable => 1,
            Self::TooBig => 2,
            Self::TimeExceeded => 3,
            Self::ParameterProblem => 4,
            Self::RouterSolicitation => 133,
            Self::RouterAdvertisement => 134,
            Self::NeighborSolicitation => 135,
            Self::NeighborAdvertisement => 136,
            Self::Redirect => 137,
        }
    }
}

/// Every word that a test can begin with.
pub(super) const TESTS: &[&str] = &[
    "arp",
    "icmp",
    "icmp6",
    "ip",
    "ip6",
    "tcp",
    "udp",
    "vlan",
    "ether",
    "src",
    "dst",
    "host",
    "net",
    "port",
    "portrange",
    "broadcast",
    "multicast",
    "unicast",
    "less",
    "greater",
    "port-of",
    "to",
    "network",
    "from-switch",
    "verdict",
    "reason",
    "learned",
    "frame",
];

/// The words on one line, with a blank between those that are not empty.
fn join(f: &mut fmt::Formatter<'_>, words: &[&str]) -> fmt::Result {
    for (index, word) in words.iter().filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            f.write_str(" ")?;
        }
        f.write_str(word)?;
    }
    Ok(())
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arp(kind) => join(f, &["arp", kind.map_or("", Words::word)]),
            Self::Icmp(kind) => join(f, &["icmp", kind.map_or("", Words::word)]),
            Self::Icmp6(kind) => join(f, &["icmp6", kind.map_or("", Words::word)]),
            Self::Ip => f.write_str("ip"),
            Self::Ip6 => f.write_str("ip6"),
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Vlan(None) => f.write_str("vlan"),
            Self::Vlan(Some(id)) => write!(f, "vlan {id}"),
            Self::EtherProto(number) => write!(f, "ether proto {number:#06x}"),
            Self::Host { family, way, host } => join(f, &[family.word(), way.word(), "host", &host.to_string()]),
            Self::Net { family, way, net } => join(f, &[family.word(), way.word(), "net", &net.to_string()]),
            Self::EtherHost { way, host } => join(f, &["ether", way.word(), "host", &host.to_string()]),
            Self::Port { transport, way, first, last } if first == last => {
                join(f, &[transport.word(), way.word(), "port", &first.to_string()])
            }
            Self::Port { transport, way, first, last } => {
                join(f, &[transport.word(), way.word(), "portrange", &format!("{first}-{last}")])
            }
            Self::Broadcast => f.write_str("broadcast"),
            Self::Multicast => f.write_str("multicast"),
            Self::Unicast => f.write_str("unicast"),
            Self::Less(octets) => write!(f, "less {octets}"),
            Self::Greater(octets) => write!(f, "greater {octets}"),
            Self::PortOf(name) => write!(f, "port-of {name}"),
            Self::To(name) => write!(f, "to {name}"),
            Self::Network(name) => write!(f, "network {name}"),
            Self::FromSwitch => f.write_str("from-switch"),
            Self::Verdict(word) => write!(f, "verdict {}", word.word()),
            Self::Reason(reason) => write!(f, "reason {reason}"),
            Self::Learned(word) => write!(f, "learned {}", word.word()),
            Self::Frame { first, last } if first == last => write!(f, "frame {first}"),
            Self::Frame { first, last } => write!(f, "frame {first}-{last}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name, _) => f.write_str(name),
        }
    }
}

impl fmt::Display for EtherHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => mac.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// With parentheses where the order of reading would else be another: `and` and `or` bind equally and from the left,
/// so only a right-hand side that has one needs them, and what `not` takes back.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |f: &mut fmt::Formatter<'_>, expr: &Self| match expr {
            Self::And(..) | Self::Or(..) => write!(f, "({expr})"),
            Self::Test(_) | Self::Not(_) => write!(f, "{expr}"),
        };
        match self {
            Self::Test(test) => test.fmt(f),
            Self::Not(inner) => {
                f.write_str("not ")?;
                one(f, inner)
            }
            Self::And(left, right) => {
                write!(f, "{left} and ")?;
                one(f, right)
            }
            Self::Or(left, right) => {
                write!(f, "{left} or ")?;
                one(f, right)
            }
        }
    }
}
