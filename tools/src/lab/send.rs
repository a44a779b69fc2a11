//! How does a host of the lab send a frame that its own kernel would not: a forged ARP message (RFC 826), any octets, or a
//! stream of frames from ever new source addresses?
//!
//! The frames are real: they leave the host by its `eth0`, through a packet socket inside its namespace, and reach nothing
//! but the lab's switch. Their number and their rate are bounded.
//!
//! Not done: VLAN tags, super-frames, answers (nobody listens for one).

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use frame::MacAddr;
use pnet::datalink::{self, Channel, Config, DataLinkSender};
use trace::Octets;

use super::keep::{self, HostRow};
use crate::failure::{Failure, print};

/// What `lanyard lab send --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  lanyard lab send h1 --arp-request h2
  lanyard lab send h3 --arp-reply h2 --mac h3 --to h1   'h2 is at h3', told to h1
  lanyard lab send h1 --arp-announce h1                 gratuitous ARP
  lanyard lab send h3 --flood-macs 200 --rate 1000
  lanyard lab send h1 --frame ffffffffffff02420a00010b88b56869

Where an address is asked for, a host's name stands for its own.";

/// Octets before the FCS in the shortest frame (IEEE 802.3, 3.2.7).
const LEAST_OCTETS: usize = 60;
/// Octets of the longest frame on an MTU of 1,500.
const MOST_OCTETS: usize = 1514;
/// The type that IEEE 802 keeps for local experiments.
const EXPERIMENTAL: u16 = 0x88b5;

/// `lanyard lab send ...`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct SendArgs {
    /// The host, as 'lanyard lab ls' calls it
    host: String,
    /// Ask everybody who has this address
    #[arg(long, value_name = "IP", group = "what")]
    arp_request: Option<String>,
    /// Say that this address is at --mac, unasked, to --to
    #[arg(long, value_name = "IP", group = "what", requires = "to")]
    arp_reply: Option<String>,
    /// Say to everybody that this address is at --mac (gratuitous ARP, RFC 5227's announcement)
    #[arg(long, value_name = "IP", group = "what")]
    arp_announce: Option<String>,
    /// Send these octets, from the destination address on, in hexadecimal
    #[arg(long, value_name = "HEX", group = "what")]
    frame: Option<String>,
    /// Send this many frames, each from another source address
    #[arg(long, value_name = "N", group = "what", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    flood_macs: Option<u32>,
    /// The MAC address to speak of and to send from [default: the host's own]
    #[arg(long, value_name = "MAC")]
    mac: Option<String>,
    /// The MAC address to send to [default: everybody]
    #[arg(long, value_name = "MAC", conflicts_with_all = ["frame", "flood_macs", "arp_announce"])]
    to: Option<String>,
    /// The IP address to ask from [default: the host's own]
    #[arg(long, value_name = "IP", requires = "arp_request")]
    from_ip: Option<String>,
    /// How often to send it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[arg(conflicts_with = "flood_macs")]
    count: u32,
    /// Frames a second, at most
    #[arg(long, value_name = "R", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
}

/// `lanyard lab send`
pub(super) fn run(args: &SendArgs) -> Result<(), Failure> {
    let known = Known(keep::hosts().unwrap_or_default());
    let host = keep::enter_host(&args.host)?;
    let frames = frames(args, &host, &known)?;
    let fault = |error| Failure::work(format!("eth0 of {}", host.host), error);
    let mut out = open().map_err(fault)?;
    send(&mut *out, &frames, args.rate).map_err(fault)?;
    let count = frames.len();
    print(&format!("{} sent {count} frame{}\n", host.host, if count == 1 { "" } else { "s" }))
}

/// The lab's hosts, whose names stand for their addresses.
struct Known(Vec<HostRow>);

impl Known {
    fn ip(&self, text: &str) -> Result<Ipv4Addr, Failure> {
        match self.0.iter().find(|row| row.host == text) {
            Some(row) => Ok(row.ip),
            None => text.parse().map_err(|_| {
                Failure::Words(format!("'{text}' is neither a host of the lab nor an address as in 10.0.1.12"))
            }),
        }
    }

    fn mac(&self, text: &str) -> Result<MacAddr, Failure> {
        match self.0.iter().find(|row| row.host == text) {
            Some(row) => Ok(row.mac),
            None => text.parse().map_err(|_| {
                Failure::Words(format!("'{text}' is neither a host of the lab nor six octets as in 02:42:0a:00:01:0c"))
            }),
        }
    }
}

fn frames(args: &SendArgs, host: &HostRow, known: &Known) -> Result<Vec<Vec<u8>>, Failure> {
    let mac = args.mac.as_deref().map_or(Ok(host.mac), |text| known.mac(text))?;
    let to = args.to.as_deref().map_or(Ok(MacAddr::BROADCAST), |text| known.mac(text))?;
    if let Some(count) = args.flood_macs {
        return Ok((1..=count).map(stranger).collect());
    }
    let octets = if let Some(ip) = &args.arp_request {
        let from = args.from_ip.as_deref().map_or(Ok(host.ip), |text| known.ip(text))?;
        arp(1, to, (mac, from), (MacAddr::ZERO, known.ip(ip)?))
    } else if let Some(ip) = &args.arp_reply {
        let target = known.0.iter().find(|row| row.mac == to).map_or(Ipv4Addr::UNSPECIFIED, |row| row.ip);
        arp(2, to, (mac, known.ip(ip)?), (to, target))
    } else if let Some(ip) = &args.arp_announce {
        let ip = known.ip(ip)?;
        arp(1, to, (mac, ip), (MacAddr::ZERO, ip))
    } else {
        octets(args.frame.as_deref().unwrap_or_default())?
    };
    Ok(vec![octets; args.count as usize])
}

fn octets(text: &str) -> Result<Vec<u8>, Failure> {
    let octets: Octets = text.parse().map_err(|error| Failure::Words(format!("--frame: {error}")))?;
    match octets.0.len() {
        14..=MOST_OCTETS => Ok(octets.0),
        count => Err(Failure::Words(format!("--frame has {count} octets: a frame has 14 to {MOST_OCTETS}"))),
    }
}

/// An ARP message (RFC 826) for Ethernet and IPv4, in a frame from its sender.
fn arp(operation: u16, to: MacAddr, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    let mut octets = [&to.0[..], &sender.0.0, &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4], &operation.to_be_bytes()].concat();
    for (mac, ip) in [sender, target] {
        octets.extend(mac.0);
        octets.extend(ip.octets());
    }
    octets.resize(LEAST_OCTETS, 0);
    octets
}

/// A frame from an address that nobody has, to another. Locally administered: the second bit of the first octet is set.
fn stranger(number: u32) -> Vec<u8> {
    let [_, high, middle, low] = number.to_be_bytes();
    let [source, destination] = [0xf1, 0xf2].map(|kind| [0x06, kind, 0, high, middle, low]);
    let mut octets = [&destination[..], &source, &EXPERIMENTAL.to_be_bytes()].concat();
    octets.resize(LEAST_OCTETS, 0);
    octets
}

fn open() -> std::io::Result<Box<dyn DataLinkSender>> {
    let missing = || std::io::Error::other("there is no such interface");
    let eth0 = datalink::interfaces().into_iter().find(|interface| interface.name == "eth0").ok_or_else(missing)?;
    let config = Config { promiscuous: false, ..Config::default() };
    match datalink::channel(&eth0, config)? {
        Channel::Ethernet(sender, _) => Ok(sender),
        _ => Err(std::io::Error::other("it is no Ethernet")),
    }
}

fn send(out: &mut dyn DataLinkSender, frames: &[Vec<u8>], rate: u32) -> std::io::Result<()> {
    let began = Instant::now();
    for (number, octets) in (0..).zip(frames) {
        let due = Duration::from_secs(number) / rate;
        sleep(due.saturating_sub(began.elapsed()));
        out.send_to(octets, None).unwrap_or_else(|| Err(std::io::Error::other("the frame is too long")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SendArgs,
    }

    fn known() -> Known {
        let row = |number: u8| {
            let ip = Ipv4Addr::new(10, 0, 1, 10 + number);
            let network = "net1".to_owned();
            HostRow { host: format!("h{number}"), network, ip, mac: MacAddr::from_ipv4(ip), pid: 1 }
        };
        Known(vec![row(1), row(2), row(3)])
    }

    fn sent(words: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let line = Line::try_parse_from(["send", "h3"].into_iter().chain(words.split_whitespace())).unwrap();
        let known = known();
        frames(&line.args, &known.0[2], &known)
    }

    #[test]
    fn a_forged_reply_says_what_it_is_told_to() {
        let frames = sent("--arp-reply h2 --to h1").unwrap();
        let text = Octets(frames[0][..42].to_vec()).to_string();
        assert_eq!(
            text,
            "02420a00010b02420a00010d08060001080006040002".to_owned() + "02420a00010d0a00010c" + "02420a00010b0a00010b"
        );
        assert_eq!((frames.len(), frames[0].len()), (1, LEAST_OCTETS));
    }

    #[test]
    fn requests_and_announcements_go_to_everybody() {
        for (words, target) in [("--arp-request 10.0.1.99", [10, 0, 1, 99]), ("--arp-announce h3", [10, 0, 1, 13])] {
            let frame = &sent(words).unwrap()[0];
            assert_eq!(
                (&frame[..6], &frame[20..22], &frame[38..42]),
                (&[0xff; 6][..], &[0, 1][..], &target[..]),
                "{words}"
            );
        }
        assert_eq!(sent("--arp-announce h1 --mac h2 --count 3").unwrap().len(), 3);
    }

    #[test]
    fn a_flood_has_as_many_sources_as_frames() {
        let frames = sent("--flood-macs 300").unwrap();
        let sources: std::collections::HashSet<_> = frames.iter().map(|frame| frame[6..12].to_vec()).collect();
        assert_eq!(sources.len(), 300);
        assert!(frames.iter().all(|frame| frame[0] & 1 == 0 && frame[6] & 3 == 2));
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (words, named) in [
            ("--frame 00", "1 octets"),
            ("--frame xx", "character 1"),
            ("--arp-request h9", "'h9'"),
            ("--arp-reply h1 --to nobody", "'nobody'"),
            ("--arp-announce h1 --mac 1", "'1'"),
        ] {
            let Err(Failure::Words(why)) = sent(words) else { panic!("{words}") };
            assert!(why.contains(named), "{words}: {why}");
        }
        for words in ["", "--arp-reply h1", "--flood-macs 0", "--flood-macs 20001", "--frame 00 --arp-request h1"] {
            let line = Line::try_parse_from(["send", "h3"].into_iter().chain(words.split_whitespace()));
            assert!(line.is_err(), "{words}");
        }
    }
}
