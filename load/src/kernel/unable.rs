//! What can the kernel's pktgen not do? One line each, which names the option and what to write instead.
//!
//! Not done: what a certain interface refuses (`clone_skb` and `burst` on a veth or a TAP), which the kernel says when it is told.

use super::command::{Flag, MOST_COUNT, MOST_MIX_PARTS, MOST_PORTS, MOST_THREADS};
use crate::Walk;
use crate::stream::Kind;

/// Why the kernel's pktgen cannot send a stream.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unable {
    /// A kind of frame that is not UDP.
    #[error("--kind {0}: the kernel's pktgen sends UDP only: write udp-ipv4 or udp-ipv6, or --backend socket")]
    Kind(Kind),
    /// A walk that is neither in order nor at random.
    #[error(
        "--walk {0}: the kernel's pktgen knows fixed, sequential and random: write one of them, or --backend socket"
    )]
    Walk(Walk),
    /// Some frames to all.
    #[error(
        "{0} broadcasts in a million frames: the kernel's pktgen sends none among others: leave them out, or write --backend socket"
    )]
    Broadcast(u32),
    /// Frames that are wrong.
    #[error("errored frames: the kernel's pktgen sends none: leave them out, or write --backend socket")]
    Errored,
    /// Several addresses in IPv6.
    #[error(
        "{0} addresses in udp-ipv6: the kernel's pktgen has one IPv6 source and one destination: leave --src-macs and --dst-macs at 1, or take udp-ipv4 or --backend socket"
    )]
    Addresses6(u32),
    /// A mix with a range in it.
    #[error(
        "--size {0}: the kernel's pktgen mixes single sizes, not ranges: write sizes as in 64:7,1518:1, or --backend socket"
    )]
    MixedRange(String),
    /// A mix of too many sizes.
    #[error("--size {sizes}: the kernel's pktgen mixes at most {most} sizes: write fewer, or --backend socket", most = MOST_MIX_PARTS)]
    ManySizes {
        /// The sizes.
        sizes: String,
    },
    /// A mix of copies.
    #[error("--clone-skb sends copies of one frame, which are of one size: write a single --size, not {0}")]
    CopiedMix(String),
    /// Bursts into a queueing discipline.
    #[error("--burst goes past the queueing discipline: leave it out with --xmit-mode queue_xmit")]
    QueuedBurst,
    /// Neither one thread nor a few.
    #[error("--threads {0}: write 1 to {most}", most = MOST_THREADS)]
    Threads(u32),
    /// More source ports than there are.
    #[error(
        "{flows} flows in each of {threads} threads need more UDP ports than there are: write at most {most} --flows",
        most = MOST_PORTS / threads
    )]
    Ports {
        /// Flows of one thread.
        flows: u32,
        /// Threads.
        threads: u32,
    },
    /// A frame, or a burst, that a thread would wait too long for.
    #[error(
        "--rate {rate} is less than {what} a second of each of {threads} threads: write a higher rate, or fewer --threads{mend}",
        what = if *burst > 1 { format!("one burst of {burst} frames") } else { "one frame".to_owned() },
        mend = if *burst > 1 { ", or a smaller --burst" } else { "" }
    )]
    Slow {
        /// The rate.
        rate: String,
        /// Threads.
        threads: u32,
        /// Frames that are handed over at once.
        burst: u32,
    },
    /// Fewer frames than threads.
    #[error("--count {count} leaves a thread of {threads} with no frame: write a higher count, or fewer --threads")]
    FewFrames {
        /// Frames.
        count: u64,
        /// Threads.
        threads: u32,
    },
    /// More frames than the kernel reads digits of.
    #[error("--count {0}: a thread of the kernel's pktgen counts to {most}: write fewer, or more --threads", most = MOST_COUNT)]
    Count(u64),
    /// No flag, or one that would send what nobody counts.
    #[error("'{0}' is no --flag for this: write one or more of {names}", names = Flag::names())]
    Flag(String),
    /// No mode.
    #[error("'{0}' is no --xmit-mode for this: write start_xmit or queue_xmit")]
    XmitMode(String),
}
