//! Which lines make the kernel's pktgen send a stream? One device (`eth0@0`, `eth0@1`, ...) for each of its threads, each with
//! the lines that are written to its file, in this order.
//!
//! | what is asked for | what is written |
//! | --- | --- |
//! | a size, with FCS | `pkt_size`, without; the VLAN tag is in both |
//! | a range of sizes | `min_pkt_size`, `max_pkt_size` (the end is not among those drawn), flag `TXSIZE_RND` |
//! | a mix | `imix_weights` |
//! | a rate | `delay`, nanoseconds, between two bursts: `ratep` and `rate` would make the same of it for a single frame, rounded down |
//! | stations | `src_mac`, `src_mac_count`, `src_min`, `src_max`, or `src6`; the same for the destination |
//! | at random | flags `MACSRC_RND`, `IPSRC_RND`, ..., where a range's end is not among those drawn; in order it is |
//! | flows | `udp_src_min`, `udp_src_max` (the end is not among them), flag `UDPSRC_RND`; each thread has ports of its own |
//!
//! In IPv6 the flag `UDPCSUM` is always set: a datagram without checksum is none (RFC 8200 clause 8.1).
//!
//! Not done: see the head of [`kernel`](super).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::Unable;
use crate::stream::{DISCARD_PORT, FIRST_PORT, Kind, Stations, StreamSpec, Whose};
use crate::walk::{ip_at, mac_at};
use crate::{FCS_OCTETS, LoadError, Rate, WIRE_GAP_OCTETS, Walk};

/// The most threads: as many streams as there are numbers for.
pub const MOST_THREADS: u32 = 128;
/// The most flows of all threads: UDP ports from 1024 on whose range has an end of 16 bits.
pub const MOST_PORTS: u32 = 64_511;
/// The most frames of one thread: the kernel reads ten digits and leaves the rest.
pub const MOST_COUNT: u64 = 9_999_999_999;
/// The most sizes of a mix (`MAX_IMIX_ENTRIES`).
pub const MOST_MIX_PARTS: usize = 20;
/// The longest delay. The kernel would read ten digits, and take 2,147,483,647 for never.
const LONGEST_NS: f64 = 1e9;

/// Flags that may be asked for; those that would send what nobody counts (`MPLS_RND`, `VID_RND`, `UDPDST_RND`, ...) may not.
const FLAGS: [&str; 9] = [
    "IPSRC_RND",
    "IPDST_RND",
    "UDPSRC_RND",
    "MACSRC_RND",
    "MACDST_RND",
    "UDPCSUM",
    "NO_TIMESTAMP",
    "QUEUE_MAP_RND",
    "QUEUE_MAP_CPU",
];

/// One of pktgen's flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flag(&'static str);

impl Flag {
    /// Its name as the kernel writes it.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// All names, for a sentence.
    pub(super) fn names() -> String {
        FLAGS.join(", ")
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl FromStr for Flag {
    type Err = Unable;

    fn from_str(text: &str) -> Result<Self, Unable> {
        let known = FLAGS.into_iter().find(|name| name.eq_ignore_ascii_case(text.trim()));
        known.map(Self).ok_or_else(|| Unable::Flag(text.to_owned()))
    }
}

/// How a frame leaves pktgen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum XmitMode {
    /// To the driver, past the queueing discipline.
    #[default]
    StartXmit,
    /// By the queueing discipline, as a host's own frames.
    QueueXmit,
}

impl fmt::Display for XmitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::StartXmit => "start_xmit",
            Self::QueueXmit => "queue_xmit",
        })
    }
}

impl FromStr for XmitMode {
    type Err = Unable;

    fn from_str(text: &str) -> Result<Self, Unable> {
        let all = [Self::StartXmit, Self::QueueXmit];
        let known = all.into_iter().find(|mode| mode.to_string() == text.trim());
        known.ok_or_else(|| Unable::XmitMode(text.to_owned()))
    }
}

/// What pktgen is asked for besides the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Threads that send: `kpktgend_0` and up, one a CPU.
    pub threads: u32,
    /// So many copies of a frame are sent before the next one is made; 0 and 1: none.
    pub clone_skb: u32,
    /// Frames that are handed to the driver at once, all alike.
    pub burst: u32,
    /// How they leave.
    pub xmit_mode: XmitMode,
    /// Flags besides those that the stream needs.
    pub flags: Vec<Flag>,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, clone_skb: 0, burst: 1, xmit_mode: XmitMode::default(), flags: Vec::new() }
    }
}

/// What one thread sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The number of the thread, which is that of a CPU and of the stream in a result.
    pub thread: u32,
    /// Its name, as in `add_device eth0@0`, and that of its file.
    pub name: String,
    /// Frames; 0 until it is stopped.
    pub count: u64,
    /// What is written to its file, line by line.
    pub commands: Vec<String>,
}

impl Device {
    /// The file of the thread below `/proc/net/pktgen`.
    pub fn thread_file(&self) -> String {
        format!("kpktgend_{}", self.thread)
    }

    /// What is written to it.
    pub fn add_command(&self) -> String {
        format!("add_device {}", self.name)
    }
}

/// All that pktgen is told, and what its frames look like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// One for each thread.
    pub devices: Vec<Device>,
    /// Frames that are alike, and have the same sequence number.
    pub repeats: u64,
    /// UDP ports that each thread's frames come from, beginning with 1024 for the first thread.
    pub flows: u32,
    /// The time in a frame says when it was sent, not when it was made, long before.
    pub stamped: bool,
}

impl Plan {
    /// Let the interface `ifname` send `count` frames of a stream, or as many as there are until it is stopped.
    ///
    /// # Errors
    /// What cannot be as [`StreamSpec::check`] has it, and what the kernel's pktgen cannot do: [`Unable`].
    pub fn new(
        spec: &StreamSpec,
        rate: Rate,
        count: Option<u64>,
        options: &Options,
        ifname: &str,
    ) -> Result<Self, LoadError> {
        spec.check()?;
        check(spec, count, options)?;
        let flags = flags(spec, options);
        let delay = delay_ns(spec, rate, options)?;
        let (threads, repeats) =
            (options.threads, u64::from(options.clone_skb.max(1)) * u64::from(options.burst.max(1)));
        let device = |thread: u32| {
            let count = share(count, threads, thread);
            let mut commands = vec![format!("count {count}")];
            commands.extend(sizes(spec, options)?);
            commands.push(format!("delay {delay}"));
            commands.extend(addresses(spec, &flags)?);
            commands.extend(ports(spec.flows, thread));
            commands.extend(spec.vlan.map(|vlan| format!("vlan_id {vlan}")));
            commands.extend(flags.iter().map(|flag| format!("flag {flag}")));
            commands.extend((options.clone_skb > 0).then(|| format!("clone_skb {}", options.clone_skb)));
            commands.extend((options.burst > 1).then(|| format!("burst {}", options.burst)));
            commands.push(format!("xmit_mode {}", options.xmit_mode));
            Ok(Device { thread, name: format!("{ifname}@{thread}"), count, commands })
        };
        let devices = (0..threads).map(device).collect::<Result<_, LoadError>>()?;
        // Where frames are held back, pktgen writes the time into a frame before it waits.
        let stamped = rate == Rate::Max && repeats == 1 && !flags.contains(&"NO_TIMESTAMP");
        Ok(Self { devices, repeats, flows: spec.flows, stamped })
    }
}

fn check(spec: &StreamSpec, count: Option<u64>, options: &Options) -> Result<(), Unable> {
    let threads = options.threads;
    if !matches!(spec.kind, Kind::UdpIpv4 | Kind::UdpIpv6) {
        return Err(Unable::Kind(spec.kind));
    }
    for stations in [&spec.sources, &spec.destinations] {
        if stations.count > 1 && matches!(stations.walk, Walk::Zipf { .. }) {
            return Err(Unable::Walk(stations.walk));
        }
        if stations.count > 1 && spec.kind == Kind::UdpIpv6 {
            return Err(Unable::Addresses6(stations.count));
        }
    }
    if spec.broadcast_per_million > 0 {
        return Err(Unable::Broadcast(spec.broadcast_per_million));
    }
    if spec.errored.as_ref().is_some_and(|errored| errored.per_million > 0) {
        return Err(Unable::Errored);
    }
    if !(1..=MOST_THREADS).contains(&threads) {
        return Err(Unable::Threads(threads));
    }
    if u64::from(spec.flows) * u64::from(threads) > MOST_PORTS.into() {
        return Err(Unable::Ports { flows: spec.flows, threads });
    }
    if options.burst > 1 && options.xmit_mode == XmitMode::QueueXmit {
        return Err(Unable::QueuedBurst);
    }
    match count {
        Some(count) if count < threads.into() => Err(Unable::FewFrames { count, threads }),
        Some(count) if count.div_ceil(threads.into()) > MOST_COUNT => Err(Unable::Count(count)),
        _ => Ok(()),
    }
}

/// A thread's frames of all; 0 for no end.
fn share(count: Option<u64>, threads: u32, thread: u32) -> u64 {
    let count = count.unwrap_or(0);
    let (each, rest) = (count / u64::from(threads), count % u64::from(threads));
    each + u64::from(u64::from(thread) < rest)
}

/// The flags that the stream needs, and those asked for, each once.
fn flags(spec: &StreamSpec, options: &Options) -> Vec<&'static str> {
    let random = |stations: &Stations| stations.count > 1 && stations.walk == Walk::Random;
    let needed = [
        ("MACSRC_RND", random(&spec.sources)),
        ("IPSRC_RND", random(&spec.sources)),
        ("MACDST_RND", random(&spec.destinations)),
        ("IPDST_RND", random(&spec.destinations)),
        ("UDPSRC_RND", spec.flows > 1),
        ("TXSIZE_RND", spec.sizes.range().is_some_and(|(low, high)| low < high)),
        ("UDPCSUM", spec.kind == Kind::UdpIpv6),
    ];
    let mut flags: Vec<_> = needed.into_iter().filter(|(_, needed)| *needed).map(|(name, _)| name).collect();
    for flag in &options.flags {
        if !flags.contains(&flag.name()) {
            flags.push(flag.name());
        }
    }
    flags
}

fn sizes(spec: &StreamSpec, options: &Options) -> Result<Vec<String>, Unable> {
    let octets = |size: u32| size - FCS_OCTETS as u32;
    match spec.sizes.range() {
        Some((low, high)) if low == high => Ok(vec![format!("pkt_size {}", octets(low))]),
        Some((low, high)) => {
            // With copies, each size is that of as many frames.
            Ok(vec![format!("min_pkt_size {}", octets(low)), format!("max_pkt_size {}", octets(high) + 1)])
        }
        None => {
            let text = || spec.sizes.to_string();
            if options.clone_skb > 0 {
                return Err(Unable::CopiedMix(text()));
            }
            let parts: Vec<_> = spec.sizes.weights().collect();
            if parts.len() > MOST_MIX_PARTS {
                return Err(Unable::ManySizes { sizes: text() });
            }
            if parts.iter().any(|(low, high, _)| low != high) {
                return Err(Unable::MixedRange(text()));
            }
            let entries: Vec<_> = parts.iter().map(|(size, _, weight)| format!("{},{weight}", octets(*size))).collect();
            Ok(vec![format!("imix_weights {}", entries.join(" "))])
        }
    }
}

/// Nanoseconds between two frames of one thread, the nearest whole number; 0 for as many as go. Of frames that are handed over
/// at once, between the first ones: pktgen waits before each call of the driver (`spin` in `pktgen_xmit`, net/core/pktgen.c),
/// and hands over a whole burst. Copies (`clone_skb`) change nothing: each waits as its original does.
fn delay_ns(spec: &StreamSpec, rate: Rate, options: &Options) -> Result<u64, Unable> {
    let (threads, burst) = (options.threads, options.burst.max(1));
    let mean = spec.sizes.mean_octets() + WIRE_GAP_OCTETS as f64;
    let Some(pps) = rate.frames_per_second(mean) else { return Ok(0) };
    let delay = (1e9 * f64::from(threads) * f64::from(burst) / pps).round();
    if delay > LONGEST_NS {
        return Err(Unable::Slow { rate: rate.to_string(), threads, burst });
    }
    #[expect(clippy::cast_sign_loss, reason = "a rate is not negative")]
    let delay = delay as u64;
    // A delay of 0 would be no rate at all.
    Ok(delay.max(1))
}

fn addresses(spec: &StreamSpec, flags: &[&str]) -> Result<Vec<String>, LoadError> {
    let StreamSpec { kind, sources, destinations, .. } = spec;
    let mut lines = Vec::new();
    for (stations, whose, name, random) in
        [(sources, Whose::Source, "src", "IPSRC_RND"), (destinations, Whose::Destination, "dst", "IPDST_RND")]
    {
        let Stations { mac, walk, .. } = *stations;
        let count = if walk == Walk::Fixed { 1 } else { stations.count };
        // The kernel counts on in the last five octets.
        if mac_at(mac, count - 1).to_u64() >> 40 != mac.to_u64() >> 40 {
            return Err(LoadError::MacRange { whose: whose.name(), mac, count });
        }
        lines.extend([format!("{name}_mac {mac}"), format!("{name}_mac_count {count}")]);
        let (first, ips) = whose.ips(stations, *kind);
        let count = count.min(ips);
        lines.extend(match first {
            IpAddr::V6(ip) => vec![format!("{name}6 {ip}")],
            IpAddr::V4(ip) => {
                let last = ip_at(first, if flags.contains(&random) && count > 1 { count } else { count - 1 });
                vec![format!("{name}_min {ip}"), format!("{name}_max {last}")]
            }
        });
    }
    Ok(lines)
}

fn ports(flows: u32, thread: u32) -> [String; 4] {
    let first = u32::from(FIRST_PORT) + thread * flows;
    let end = if flows > 1 { first + flows } else { first };
    [
        format!("udp_src_min {first}"),
        format!("udp_src_max {end}"),
        format!("udp_dst_min {DISCARD_PORT}"),
        format!("udp_dst_max {DISCARD_PORT}"),
    ]
}

#[cfg(test)]
mod tests;
