//! What is sent, as it stands on the command line: frames, addresses, rate, for how long. The same words for a run, and where
//! they make sense for the standard tests.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use frame::MacAddr;
use load::rate::Rate;
use load::replay::Speed;
use load::signature::LATEST_NS;
use load::size::Sizes;
use load::stream::{Errored, ErroredKind, Kind, Stations, StreamSpec};
use load::walk::{Walk, mac_at};

use crate::duration;

/// Longer than what ends by itself takes.
const A_DAY: Duration = Duration::from_secs(86_400);

/// How errored frames are wrong. A giant needs an interface that lets it out; a runt is an ordinary frame on a virtual link.
const USUALLY_WRONG: [ErroredKind; 2] = [ErroredKind::GroupSource, ErroredKind::ZeroSource];

/// What frames are sent.
#[derive(Clone, Debug, Args)]
pub(crate) struct FrameArgs {
    /// What they are: udp-ipv4, udp-ipv6, arp-request or plain (ether type 0x88b5)
    #[arg(long, value_name = "KIND", default_value_t = Kind::UdpIpv4)]
    kind: Kind,
    /// The first source address; if not given the sending interface's own, with several 02:73:00:00:00:01
    #[arg(long, value_name = "MAC")]
    src_mac: Option<MacAddr>,
    /// The first destination address; if not given the receiving interface's own, with several 02:64:00:00:00:01
    #[arg(long, value_name = "MAC")]
    dst_mac: Option<MacAddr>,
    /// So many source addresses for each sender
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    src_macs: u32,
    /// So many destination addresses for each receiver
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    dst_macs: u32,
    /// The first source IP address; if not given one of those for benchmarks
    #[arg(long, value_name = "IP")]
    src_ip: Option<IpAddr>,
    /// The first destination IP address
    #[arg(long, value_name = "IP")]
    dst_ip: Option<IpAddr>,
    /// How frames walk over addresses: fixed, sequential, random, zipf
    #[arg(long, value_name = "WALK", default_value = "sequential")]
    walk: Walk,
    /// So many UDP source ports, at random
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    flows: u32,
    /// With this VLAN tag
    #[arg(long, value_name = "ID")]
    vlan: Option<u16>,
    /// So many of them to everybody: 1%, or 500ppm
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0%")]
    broadcast: u32,
    /// So many of them wrong, so that a switch should drop them
    #[arg(long, value_name = "SHARE", value_parser = share)]
    errored: Option<u32>,
    /// How they are wrong: runt, giant, group-source, zero-source; if not given the last two, in the test errored all
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    errored_kinds: Vec<ErroredKind>,
    /// The size of a giant, with FCS; the sending interface's MTU must let it out [default: 1523]
    #[arg(long, value_name = "OCTETS")]
    giant: Option<u32>,
    /// The same seed makes the same frames
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// How large frames are, how many, how fast, for how long; or what was recorded.
#[derive(Clone, Debug, Args)]
pub(crate) struct PaceArgs {
    /// Octets with FCS: 64, 64-1518 (any of them), imix, or a mix as in 64:7,1518:1; the least if not given
    #[arg(long, value_name = "SIZE")]
    pub(super) size: Option<Sizes>,
    /// Of each sender: 10kpps, 1.5Mpps, 1Gbps (of the wire, with preamble and gap), or max, which is the default
    #[arg(long, value_name = "RATE")]
    pub(super) rate: Option<Rate>,
    /// Stop after so many frames of each sender
    #[arg(long, value_name = "FRAMES")]
    pub(super) count: Option<u64>,
    /// Stop after this time; 10s if neither a count nor a capture is given
    #[arg(long, value_name = "TIME", value_parser = sending_time)]
    duration: Option<Duration>,
    /// Send the frames of a capture (pcap or pcapng) as they are
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "size", "src_mac", "dst_mac", "src_macs",
        "dst_macs", "src_ip", "dst_ip", "walk", "flows", "vlan", "broadcast", "errored", "errored_kinds", "giant", "seed"])]
    pub(super) replay: Option<PathBuf>,
    /// How much faster than it was recorded: 1, 0.5x, 10x; with --rate at that rate instead, or as fast as it goes
    #[arg(long, value_name = "FACTOR", requires = "replay", conflicts_with = "rate")]
    pub(super) speed: Option<Speed>,
    /// Send the capture so many times
    #[arg(long, value_name = "NUMBER", requires = "replay", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) rounds: u64,
}

impl PaceArgs {
    /// The time that sending may take.
    pub(super) fn time(&self) -> Duration {
        let ends_by_itself = self.count.is_some() || self.replay.is_some();
        self.duration.unwrap_or(if ends_by_itself { A_DAY } else { Duration::from_secs(10) })
    }
}

/// One end of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// The number of its place.
    pub(super) port: u8,
    /// How many others before it send, or receive, as it does: each has its own range of addresses.
    pub(super) rank: u8,
    /// Its interface's address.
    pub(super) mac: Option<MacAddr>,
}

impl FrameArgs {
    /// The least size that these frames have, octets with FCS.
    pub(super) fn least_octets(&self) -> u32 {
        let spec = StreamSpec { kind: self.kind, vlan: self.vlan, ..StreamSpec::default() };
        u32::try_from(spec.least_octets()).unwrap_or(u32::MAX)
    }

    /// Is everything of use that was given?
    ///
    /// # Errors
    /// Something says how errored frames are wrong, and there are none.
    pub(super) fn check(&self) -> Result<(), String> {
        let given = [("--errored-kinds", !self.errored_kinds.is_empty()), ("--giant", self.giant.is_some())];
        match given.iter().find(|(_, given)| *given && self.errored.is_none()) {
            Some((name, _)) => Err(format!("{name} says how errored frames are wrong: say how many with --errored 1%")),
            None => Ok(()),
        }
    }

    /// Where every second frame is errored anyhow, is no other share asked for?
    ///
    /// # Errors
    /// One is.
    pub(super) fn check_errored_by_itself(&self) -> Result<(), String> {
        self.errored
            .map_or(Ok(()), |_| Err("of this test every second frame is errored: leave --errored out".to_owned()))
    }

    /// What the same frames are made of.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// The kinds of errored frames that were asked for.
    pub(super) fn errored_kinds(&self) -> Option<&[ErroredKind]> {
        (!self.errored_kinds.is_empty()).then_some(&self.errored_kinds)
    }

    /// How large a giant is, octets with FCS.
    pub(super) fn giant(&self) -> u32 {
        self.giant.unwrap_or_else(Errored::usual_giant)
    }

    /// The specification of stream `stream`, from one end to another. With several addresses each end has its own range of them.
    pub(super) fn spec(
        &self,
        sizes: Option<&Sizes>,
        stream: u8,
        from: End,
        to: End,
    ) -> Result<StreamSpec, load::LoadError> {
        let (sources, destinations) = (Stations::sources(), Stations::destinations());
        let mut spec = StreamSpec {
            kind: self.kind,
            vlan: self.vlan,
            sources: self.stations(&sources, self.src_mac, self.src_ip, self.src_macs, from),
            destinations: self.stations(&destinations, self.dst_mac, self.dst_ip, self.dst_macs, to),
            flows: self.flows,
            broadcast_per_million: self.broadcast,
            errored: self.errored.map(|per_million| Errored {
                per_million,
                kinds: self.errored_kinds().unwrap_or(&USUALLY_WRONG).to_vec(),
                giant_octets: self.giant(),
            }),
            seed: self.seed,
            stream,
            port: to.port,
            ..StreamSpec::default()
        };
        let least = u32::try_from(spec.least_octets()).unwrap_or(u32::MAX);
        spec.sizes = sizes.cloned().map_or_else(|| Sizes::fixed(least), Ok)?;
        Ok(spec)
    }

    fn stations(&self, usual: &Stations, asked: Option<MacAddr>, ip: Option<IpAddr>, count: u32, end: End) -> Stations {
        let own = end.mac.filter(|_| count == 1 && asked.is_none());
        // The addresses behind an interface's own may be those of its neighbors.
        let mac = own.unwrap_or_else(|| range_of(asked.unwrap_or(usual.mac), count, end.rank));
        let ip = ip.map(|ip| load::walk::ip_at(ip, u32::from(end.rank).saturating_mul(count)));
        Stations { mac, ip, count, walk: self.walk }
    }
}

/// The first of an end's addresses, when each has so many of the base's successors.
fn range_of(base: MacAddr, count: u32, rank: u8) -> MacAddr {
    mac_at(base, u32::from(rank).saturating_mul(count))
}

/// How long may be sent: a frame says in 48 bits when it was due.
pub(super) fn sending_time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    if time.as_nanos() <= LATEST_NS.into() {
        return Ok(time);
    }
    Err(format!("'{text}' is longer than a frame can say when it was due: write 78h or less"))
}

/// A share of frames, in millionths: `1%`, `0.05%`, `500ppm`.
pub(super) fn share(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is no share of frames: write 0% to 100%, as in 0.5%, or 5000ppm");
    let (number, unit) = text
        .strip_suffix('%')
        .map(|number| (number, 10_000.0))
        .or_else(|| {
            let number = text.strip_suffix("ppm")?;
            Some((number, 1.0))
        })
        .ok_or_else(wrong)?;
    let plain = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
    let value = number.parse::<f64>().ok().filter(|_| plain).map(|value| value * unit).ok_or_else(wrong)?;
    if value <= 1e6 { Ok(value.round() as u32) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read() {
        for (text, millionths) in [("0%", 0), ("1%", 10_000), ("0.05%", 500), ("100%", 1_000_000), ("7ppm", 7)] {
            assert_eq!(share(text), Ok(millionths), "{text}");
        }
        for text in ["", "%", "1", "-1%", "101%", "1000001ppm", "1e3%", "nan%", "inf%", "1.2.3%", "ppm", "1 %"] {
            assert!(share(text).unwrap_err().contains(&format!("'{text}'")), "{text}");
        }
    }

    #[test]
    fn no_run_is_longer_than_its_frames_can_tell() {
        for (text, seconds) in [("0s", 0), ("10s", 10), ("78h", 280_800), ("281474s976ms", 281_474)] {
            assert_eq!(sending_time(text).map(|time| time.as_secs()), Ok(seconds), "{text}");
        }
        for text in ["281474s977ms", "79h", "4d", "99999999999999999999s"] {
            let wanted = format!("'{text}' is longer than a frame can say when it was due: write 78h or less");
            assert_eq!(sending_time(text), Err(wanted), "{text}");
        }
        assert!(sending_time("78").unwrap_err().contains("'78' is no time"));
    }

    #[test]
    fn ends_with_several_addresses_do_not_share_them() {
        let base = MacAddr([2, 0, 0, 0, 0, 1]);
        assert_eq!(range_of(base, 1000, 0), base);
        assert_eq!(range_of(base, 1000, 2), MacAddr([2, 0, 0, 0, 0x07, 0xd1]));
    }
}
