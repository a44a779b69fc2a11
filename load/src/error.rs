//! What is wrong with an order for a load? One line each: the thing, and what to write instead.
//!
//! Not done: whether an interface can send what was asked for (its MTU, its lowest size); that is known where it is sent.

use std::net::IpAddr;

use frame::MacAddr;

/// Why a load cannot be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadError {
    /// The text is of no form that sizes have.
    #[error("'{0}' is no frame size: write octets with FCS, as in 64, 64-1518, imix or 64:7,594:4,1518:1")]
    NoSize(String),
    /// A size that no ordinary frame has.
    #[error("a frame of {0} octets is no ordinary one: write {least} to {most}, and ask for smaller and larger ones as errored frames",
        least = crate::size::LEAST_OCTETS, most = crate::size::MOST_OCTETS)]
    SizeBounds(u64),
    /// From a larger size to a smaller one.
    #[error("sizes {low}-{high} run backwards: write {high}-{low}")]
    SizesBackwards {
        /// The first of the two.
        low: u32,
        /// The second.
        high: u32,
    },
    /// A weight that is no number within the bounds.
    #[error("'{0}' is no weight of a size: write a whole number from 1 to {most}", most = crate::size::MOST_WEIGHT)]
    Weight(String),
    /// A mix of more parts than there may be.
    #[error("{0} sizes are too many for a mix: write at most {most}", most = crate::size::MOST_PARTS)]
    ManySizes(usize),

    /// The text is of no form that a rate has.
    #[error("'{0}' is no rate: write frames or bits a second, as in 500pps, 1.5Mpps, 100Mbps or 1Gbps, or max")]
    NoRate(String),
    /// Less than one frame or bit a second.
    #[error("a rate of '{0}' sends nothing: write 1pps or more")]
    ZeroRate(String),
    /// A part of a frame or a bit, or more than fits 64 bits.
    #[error("'{0}' is no whole number of frames or bits a second below 10^19: write fewer digits")]
    RateDigits(String),

    /// The text is no speed of a recording.
    #[error("'{0}' is no speed: write 1 for the recording's own, 0.5x for half, 10x for ten times as fast")]
    Speed(String),
    /// A recording of nothing.
    #[error("a recording with no frame sends nothing")]
    NoFrames,
    /// A recorded frame that cannot be sent.
    #[error("frame {number} of the recording has {octets} octets, which no interface sends: 14 to 65535")]
    NoFrame {
        /// Its place, from 1.
        number: u32,
        /// Its octets, without FCS.
        octets: usize,
    },

    /// The text names no way to walk.
    #[error("'{0}' is no walk: write fixed, sequential, random, zipf, or zipf:1.2 for another exponent")]
    NoWalk(String),
    /// An exponent of Zipf's law that is out of bounds or too fine.
    #[error("'{0}' is no exponent of Zipf's law: write 0 to 10 with at most three decimals, as in zipf:1.2")]
    ZipfExponent(String),
    /// A walk over nothing.
    #[error("a walk over no {0} goes nowhere: write a count of 1 or more")]
    NoCount(&'static str),

    /// The text names no kind of frame.
    #[error("'{0}' is no kind of frame: write arp-request, udp-ipv4, udp-ipv6 or plain")]
    NoKind(String),
    /// The text names no kind of errored frame.
    #[error("'{0}' is no kind of errored frame: write runt, giant, group-source or zero-source")]
    NoErroredKind(String),
    /// The smallest frame has no room for its headers and the signature.
    #[error("sizes {sizes} begin too small for {what} frames with their signature: {least} octets is the least")]
    NoRoom {
        /// The sizes asked for.
        sizes: String,
        /// What they are to hold.
        what: String,
        /// The least size, with FCS.
        least: usize,
    },
    /// A base address that no single station has.
    #[error(
        "{whose} MAC {mac} is no single station's: write one that is neither zero nor a group, as in 02:73:00:00:00:01"
    )]
    BaseMac {
        /// Whose: source or destination.
        whose: &'static str,
        /// The address.
        mac: MacAddr,
    },
    /// The addresses after the base run out.
    #[error("{count} {whose} MACs from {mac} on run out of addresses: begin lower")]
    MacRange {
        /// Whose: source or destination.
        whose: &'static str,
        /// The base.
        mac: MacAddr,
        /// How many were to follow, with the base.
        count: u32,
    },
    /// An IP address of the other family, or one in a frame that has none.
    #[error("{whose} IP {ip} is none for {what} frames: {mend}")]
    Family {
        /// Whose: source or destination.
        whose: &'static str,
        /// The address.
        ip: IpAddr,
        /// What the frames are.
        what: String,
        /// What to write instead.
        mend: &'static str,
    },
    /// The IP addresses reach into those that no single host has.
    #[error(
        "{count} {whose} IPs from {ip} on are not all of single hosts: begin elsewhere, as at {example}, or take fewer"
    )]
    IpRange {
        /// Whose: source or destination.
        whose: &'static str,
        /// The base.
        ip: IpAddr,
        /// How many were to follow, with the base.
        count: u32,
        /// A base that is good for many.
        example: IpAddr,
    },
    /// A VLAN that cannot be.
    #[error("VLAN {0} does not exist: write 1 to 4094")]
    Vlan(u16),
    /// More or fewer flows than there are UDP ports for.
    #[error("{0} flows have no UDP source ports: write 1 to {most}", most = crate::stream::MOST_FLOWS)]
    Flows(u32),
    /// A share larger than the whole.
    #[error("{0} frames in a million is no share: write 0 to 1000000")]
    Share(u32),
    /// Errored frames are asked for, and none is named.
    #[error("errored frames of which kind? write one or more of runt, giant, group-source, zero-source")]
    NoErrored,
    /// A giant that is none, or larger than any frame.
    #[error("a giant of {0} octets is none: write {least} to {most}, with FCS",
        least = crate::stream::LEAST_GIANT, most = crate::stream::MOST_GIANT)]
    Giant(u32),
    /// A stream number that is kept for errored frames.
    #[error("stream {0} is out of bounds: write 0 to 127, for the errored frames of stream n are stream n + 128")]
    StreamNumber(u8),
    /// The kernel's pktgen cannot.
    #[error(transparent)]
    Kernel(#[from] crate::kernel::Unable),
}
