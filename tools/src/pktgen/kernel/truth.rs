//! Do pktgen's figures agree with the interfaces' counters? What differs is told, in a sentence that says which way.
//!
//! pktgen counts what it handed to a driver. A veth takes a frame and may drop it, and other programs send by the same
//! interface: both show as a difference to the interface's own counters (`proc_net_dev(5)`).
//!
//! Not done: who else sent, or received.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use load::kernel::{Plan, Totals};
use load::result::LoadResult;
use serde::Serialize;

use super::Done;
use crate::failure::Failure;

/// How long the counters of a veth may take to follow: its frames are counted when the other end takes them up.
const SETTLING: Duration = Duration::from_millis(500);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Counters of an interface, or by how much they rose. Octets are without FCS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Counters {
    pub(super) rx_frames: u64,
    pub(super) rx_dropped: u64,
    pub(super) tx_frames: u64,
    pub(super) tx_octets: u64,
    pub(super) tx_dropped: u64,
}

impl Counters {
    /// Those of an interface of the calling thread's namespace.
    pub(super) fn read(ifname: &str) -> Result<Self, Failure> {
        let text = fs::read_to_string("/proc/thread-self/net/dev");
        let text = text.map_err(|error| Failure::work("reading the interfaces' counters", error))?;
        Self::of(ifname, &text).ok_or_else(|| Failure::Work(format!("{ifname} went away: it has no counters any more")))
    }

    /// The same, once `done` says so, or after a while.
    pub(super) fn settled(ifname: &str, done: impl Fn(&Self) -> bool) -> Result<Self, Failure> {
        let begin = Instant::now();
        loop {
            let now = Self::read(ifname)?;
            if done(&now) || begin.elapsed() > SETTLING {
                return Ok(now);
            }
            thread::sleep(LOOK);
        }
    }

    fn of(ifname: &str, text: &str) -> Option<Self> {
        let [_, rx_frames, _, rx_dropped, _, _, _, _, tx_octets, tx_frames, _, tx_dropped] =
            arena::sockets::counters(text, ifname)?;
        Some(Self { rx_frames, rx_dropped, tx_frames, tx_octets, tx_dropped })
    }

    /// By how much they rose.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            rx_frames: self.rx_frames.saturating_sub(before.rx_frames),
            rx_dropped: self.rx_dropped.saturating_sub(before.rx_dropped),
            tx_frames: self.tx_frames.saturating_sub(before.tx_frames),
            tx_octets: self.tx_octets.saturating_sub(before.tx_octets),
            tx_dropped: self.tx_dropped.saturating_sub(before.tx_dropped),
        }
    }
}

/// What the receiver made of the frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) frames: u64,
    pub(super) lost: u64,
}

impl Seen {
    pub(super) fn of(result: &LoadResult) -> Self {
        let LoadResult { received, duplicates, too_old, damaged, foreign, misdelivered, lost, .. } = result;
        Self { frames: received.frames + duplicates + too_old + damaged + foreign + misdelivered, lost: *lost }
    }
}

/// Whatever does not agree; nothing if all does.
pub(super) fn differences(plan: &Plan, done: &Done, totals: &Totals, received: &Counters, seen: &Seen) -> Vec<String> {
    let mut told = Vec::new();
    let (sent, counted, dropped) = (totals.frames, done.sent.tx_frames, done.sent.tx_dropped);
    if totals.errors > 0 {
        told.push(format!("the sending interface refused {} frames, which are not among those sent", totals.errors));
    }
    if counted < sent {
        told.push(format!(
            "pktgen says it sent {sent} frames, the sending interface counted {counted} and dropped {dropped}: {} never left",
            sent - counted
        ));
    }
    if counted > sent {
        told.push(format!(
            "pktgen says it sent {sent} frames, the sending interface counted {counted}: somebody else sent {}",
            counted - sent
        ));
    }
    let asked: u64 = plan.devices.iter().map(|device| device.count).sum();
    if sent < asked && !done.stopped {
        told.push(format!("pktgen ended after {sent} of {asked} frames: the sending interface lost its carrier"));
    }
    if sent > asked && asked > 0 {
        told.push(format!("pktgen sent {sent} frames for {asked}: it ends behind a whole burst"));
    }
    let missed = received.rx_frames.saturating_sub(seen.frames);
    if seen.lost > 0 && missed > 0 {
        told.push(format!(
            "the receiving interface counted {} frames, and the receiver saw {}: up to {} of the lost frames did arrive",
            received.rx_frames,
            seen.frames,
            missed.min(seen.lost)
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use load::Rate;
    use load::kernel::Options;
    use load::stream::StreamSpec;

    use super::*;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0: 1000 11 1 2 0 0 0 0 60000 1000 3 4 0 0 0 0
 eth01:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
 short: 1 2 3
";

    #[test]
    fn counters_are_read_by_the_whole_name() {
        let eth0 = Counters { rx_frames: 11, rx_dropped: 2, tx_frames: 1000, tx_octets: 60_000, tx_dropped: 4 };
        assert_eq!(Counters::of("eth0", DEV), Some(eth0));
        assert_eq!(Counters::of("eth01", DEV).map(|counters| counters.tx_frames), Some(10));
        for none in ["eth", "eth1", "short", ""] {
            assert_eq!(Counters::of(none, DEV), None, "{none}");
        }
        let before = Counters { tx_frames: 400, ..eth0 };
        assert_eq!(eth0.since(&before), Counters { tx_frames: 600, ..Counters::default() });
    }

    #[test]
    fn each_difference_is_a_sentence_and_agreement_is_none() {
        let agreed = (1000, 0, 1000, 0, false, 1000, (1000, 0));
        for ((sent, errors, tx_frames, tx_dropped, stopped, rx_frames, (frames, lost)), says) in [
            (agreed, ""),
            ((400, 0, 400, 0, true, 400, (400, 0)), ""),
            // Loss on the way is no disagreement.
            ((1000, 0, 1000, 0, false, 900, (900, 100)), ""),
            // Others' frames at the receiver are none.
            ((1000, 0, 1000, 0, false, 1003, (1000, 0)), ""),
            ((1000, 7, 1000, 0, false, 1000, (1000, 0)), "refused 7 frames"),
            ((1000, 0, 990, 10, false, 990, (990, 10)), "counted 990 and dropped 10: 10 never left"),
            ((1000, 0, 1003, 0, false, 1000, (1000, 0)), "somebody else sent 3"),
            ((300, 0, 300, 0, false, 300, (300, 0)), "ended after 300 of 1000"),
            ((1004, 0, 1004, 0, false, 1004, (1004, 0)), "1004 frames for 1000"),
            ((1000, 0, 1000, 0, false, 990, (900, 100)), "up to 90 of the lost frames did arrive"),
        ] {
            let plan = Plan::new(&StreamSpec::default(), Rate::Max, Some(1000), &Options::default(), "eth0").unwrap();
            let counters = Counters { tx_frames, tx_dropped, ..Counters::default() };
            let done = Done { devices: Vec::new(), sent: counters, stopped, interrupted: false };
            let totals = Totals { frames: sent, errors, ..Totals::default() };
            let received = Counters { rx_frames, ..Counters::default() };
            let told = differences(&plan, &done, &totals, &received, &Seen { frames, lost });
            let right = if says.is_empty() { told.is_empty() } else { told.len() == 1 && told[0].contains(says) };
            assert!(right, "'{says}': {told:?}");
        }
    }
}
