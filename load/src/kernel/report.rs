//! What has the kernel's pktgen sent, and how long did it take? The text of a device's file, `/proc/net/pktgen/eth0@0`:
//!
//! ```text
//! Params: count 1000  min_pkt_size: 60  max_pkt_size: 60
//!      frags: 0  delay: 0  clone_skb: 0  ifname: eth0@0
//!      src_mac: 02:73:00:00:00:01 dst_mac: 02:64:00:00:00:01
//!      Flags: UDPSRC_RND
//! Current:
//!      pkts-sofar: 1000  errors: 0
//!      started: 2123us  stopped: 3357us idle: 7us
//! Result: OK: 1234(c1226+d7) usec, 1000 (60byte,0frags)
//!   810372pps 388Mb/sec (388978560bps) errors: 0
//! ```
//! Here `c` is the time that sending took and `d` the time that pktgen waited; together they are the microseconds before the
//! bracket. The rate is of frames without FCS, rounded down.
//!
//! Not done: names that are not the kernel's are kept and not understood.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a device's file says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DeviceReport {
    /// What it was told, by name: `count`, `min_pkt_size`, `src_mac`, ... and `Flags`.
    pub params: BTreeMap<String, String>,
    /// How far it is.
    pub current: Current,
    /// How it ended, if it has.
    pub result: Option<Finished>,
    /// What stands behind `Result:`, word for word: `Idle`, `Starting`, `OK: ...`, or what is wrong.
    pub said: String,
}

/// How far a device is. A kernel that says nothing of one of these leaves it at 0.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Current {
    /// Frames sent.
    pub frames: u64,
    /// Frames that the interface did not take.
    pub errors: u64,
    /// When sending began, microseconds of the kernel's monotonic clock.
    pub started_us: u64,
    /// When it ended, or now.
    pub stopped_us: u64,
    /// Frames that were made of each size of a mix, octets without FCS.
    pub mix: Vec<(u64, u64)>,
}

/// What a device that has ended sent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Finished {
    /// Microseconds from the start to the end.
    pub elapsed_us: u64,
    /// Of those, microseconds that were waited.
    pub idle_us: u64,
    /// Frames sent.
    pub frames: u64,
    /// Octets of the last frame, without FCS.
    pub octets_each: u64,
    /// Frames a second, rounded down.
    pub pps: u64,
    /// Bits a second of the frames without FCS, as if all were of the last one's size.
    pub bps: u64,
    /// Frames that the interface did not take.
    pub errors: u64,
}

impl DeviceReport {
    /// Read the text of a device's file. `None` if it is no such text.
    pub fn read(text: &str) -> Option<Self> {
        let (params, rest) = text.trim_start().strip_prefix("Params:")?.split_once("Current:")?;
        let (current, said) = rest.split_once("Result:")?;
        let current = pairs(current);
        let number = |name: &str| current.get(name).and_then(|value| leading(value)).unwrap_or(0);
        let current = Current {
            frames: number("pkts-sofar"),
            errors: number("errors"),
            started_us: number("started"),
            stopped_us: number("stopped"),
            mix: mix(current.get("imix_size_counts").map_or("", String::as_str)),
        };
        // The one name that has no colon.
        let params = params.trim_start().strip_prefix("count ").map(|rest| format!("count: {rest}"));
        let params = pairs(&params?);
        Some(Self { params, current, result: Finished::read(said), said: said.trim().to_owned() })
    }

    /// Has the last line that was written to the file been refused, or has the run failed? What the kernel says of it.
    pub fn complaint(&self) -> Option<&str> {
        let fine = ["OK", "Idle", "Starting"];
        if fine.iter().any(|word| self.said.starts_with(word)) { None } else { Some(&self.said) }
    }

    /// Is it sending?
    pub fn is_running(&self) -> bool {
        self.said.starts_with("Starting")
    }
}

impl Finished {
    /// Read what stands behind `Result:` when a device has ended.
    fn read(text: &str) -> Option<Self> {
        let rest = text.trim_start().strip_prefix("OK:")?;
        let (elapsed_us, rest) = number(rest)?;
        let (_, rest) = number(rest.strip_prefix("(c")?)?;
        let (idle_us, rest) = number(rest.strip_prefix("+d")?)?;
        let (frames, rest) = number(rest.strip_prefix(")")?.trim_start().strip_prefix("usec,")?)?;
        let (octets_each, rest) = number(rest.trim_start().strip_prefix("(")?)?;
        let (pps, rest) = number(rest.strip_prefix("byte,")?.split_once(')')?.1)?;
        let (bps, rest) = number(rest.strip_prefix("pps")?.split_once('(')?.1)?;
        let (errors, _) = number(rest.strip_prefix("bps)")?.trim_start().strip_prefix("errors:")?)?;
        Some(Self { elapsed_us, idle_us, frames, octets_each, pps, bps, errors })
    }
}

/// What all devices together have sent.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Totals {
    /// Frames.
    pub frames: u64,
    /// Frames that the interface did not take.
    pub errors: u64,
    /// Their octets without FCS, if all were of one size, or of a mix that pktgen counted.
    pub octets: Option<u64>,
    /// From the first start to the last end.
    pub seconds: f64,
    /// Frames a second.
    pub pps: f64,
}

impl Totals {
    /// The sum of devices that have ended.
    pub fn of<'a>(reports: impl IntoIterator<Item = &'a DeviceReport>) -> Self {
        let (mut sum, mut octets, mut from, mut to) = (Self::default(), Some(0), u64::MAX, 0);
        let (mut devices, mut longest) = (0, 0);
        for report in reports {
            devices += 1;
            let Current { started_us, stopped_us, .. } = report.current;
            let done = report.result.clone().unwrap_or_default();
            sum.frames += done.frames;
            sum.errors += done.errors;
            octets = octets.zip(report.octets(&done)).map(|(all, more)| all + more);
            (from, to) = (from.min(started_us), to.max(stopped_us));
            longest = longest.max(done.elapsed_us);
        }
        sum.octets = octets;
        // Of one device pktgen says how long it took; both ends are rounded down.
        let span = if devices > 1 { to.saturating_sub(from) } else { longest };
        sum.seconds = span as f64 / 1e6;
        sum.pps = if sum.seconds > 0.0 { sum.frames as f64 / sum.seconds } else { 0.0 };
        sum
    }
}

impl DeviceReport {
    /// The octets of all frames, if that is known.
    fn octets(&self, done: &Finished) -> Option<u64> {
        if !self.current.mix.is_empty() {
            let counted: u64 = self.current.mix.iter().map(|(_, count)| count).sum();
            let octets = self.current.mix.iter().map(|(size, count)| size * count).sum();
            return (counted == done.frames).then_some(octets);
        }
        let same = self.params.get("min_pkt_size") == self.params.get("max_pkt_size");
        same.then_some(done.frames.saturating_mul(done.octets_each))
    }
}

/// Names and what stands behind each. A name ends with a colon and has no other; words without name belong to the one before.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for word in text.split_whitespace() {
        match word.strip_suffix(':') {
            Some(found) if !found.is_empty() && !found.contains(':') => {
                found.clone_into(&mut name);
                // `flows` stands there twice, among what was told and among what is.
                all.insert(name.clone(), String::new());
            }
            _ => {
                let value = all.entry(name.clone()).or_default();
                if !value.is_empty() {
                    value.push(' ');
                }
                value.push_str(word);
            }
        }
    }
    all.retain(|name, _| !name.is_empty());
    all
}

/// `60,584 590,331`: sizes and counts.
fn mix(text: &str) -> Vec<(u64, u64)> {
    let pair =
        |word: &str| word.split_once(',').and_then(|(size, count)| Some((size.parse().ok()?, count.parse().ok()?)));
    // No sum of such products leaves 64 bits.
    let sane = |(size, count): &(u64, u64)| *size <= u16::MAX.into() && *count < 1 << 40;
    text.split_whitespace().filter_map(pair).filter(sane).take(64).collect()
}

/// The number that a text begins with, blanks aside, and the rest.
fn number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn leading(text: &str) -> Option<u64> {
    number(text).map(|(value, _)| value)
}

#[cfg(test)]
mod tests;
