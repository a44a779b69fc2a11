//! Which words does the program understand? Every command, option and help text; nothing is done here.
//!
//! Values that only the daemon can judge (ranges, whether an address is free) are left to it; what cannot be a value at
//! all is refused here.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use frame::MacAddr;
use ipnet::IpNet;
use serde::de::value::Error as WordError;
use serde::de::{DeserializeOwned, IntoDeserializer};
use switch::control::plugin::PLUGIN_SOCKET;
use switch::control::types::{ArpMode, Evict, GatewayMode, MacChoice, Mode, PortKind};

use crate::clock::ClockArgs;
use crate::fault::FaultArgs;
use crate::lab::LabArgs;
use crate::ladder::LadderArgs;
use crate::learn::{self, LearnArgs};
use crate::pktgen::PktgenArgs;
use crate::top::TopArgs;
use crate::trace::TraceArgs;
use crate::wireshark::WiresharkArgs;

/// Where the daemon listens when nobody says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/lanyard/control.sock";
/// Where the daemon keeps its state when nobody says otherwise.
pub(crate) const DEFAULT_STATE_DIR: &str = "/var/lib/lanyard";

/// Where dockerd listens when nobody says otherwise.
pub(crate) const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// The program.
#[derive(Debug, Parser)]
#[command(
    name = "lanyard",
    version,
    about = "A userspace switch for containers that can say, for every frame, what it did and why",
    arg_required_else_help = true,
    after_help = "\
Examples:
  lanyard lab                                        see it work, right now
  lanyard run &                                      start the switch
  lanyard network create blue --subnet 10.20.0.0/24  make a network
  lanyard network connect blue --netns web           give 'web' an eth0 on it
  lanyard show mac                                   what the switch learned
  lanyard trace -n 5                                 five frames, and why

Exit codes: 0 done, 1 the work failed, 2 the words were wrong."
)]
pub(crate) struct Cli {
    /// The daemon's control socket
    #[arg(long, global = true, env = "LANYARD_SOCKET", hide_env_values = true, default_value = DEFAULT_SOCKET)]
    #[arg(value_name = "PATH", display_order = 900)]
    pub(crate) socket: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch a switch at work: hosts, a story, nothing to install, nothing left behind
    #[command(after_help = "\
Examples:
  lanyard lab                                the story of a ping, frame by frame
  lanyard lab up                             a lab that stays, to play with
  lanyard lab exec h1 -- ping -c1 10.0.1.12
  lanyard lab down")]
    Lab(LabArgs),
    /// Exercises on real frames, which ask before they show
    #[command(after_help = learn::EXAMPLES)]
    Learn(LearnArgs),
    /// Run the switch, in the foreground
    #[command(after_help = "\
Examples:
  lanyard run                             as root, with all in its usual place
  lanyard run --workers 1 --state-dir /tmp/state --socket /tmp/control.sock
  lanyard run --docker                    be Docker's network driver, too
  RUST_LOG=debug lanyard run              say more

SIGINT and SIGTERM end it in order. Networks and endpoints stay for the next
start; 'lanyard network rm' and 'lanyard network disconnect' remove them.")]
    Run(RunArgs),
    /// Make, list and remove networks; attach and detach containers
    #[command(
        arg_required_else_help = true,
        subcommand_required = true,
        after_help = "\
Examples:
  lanyard network create blue
  lanyard network connect blue --netns web
  lanyard network ls"
    )]
    Network {
        /// Which of them.
        #[command(subcommand)]
        command: NetworkCommand,
    },
    /// Show ports, the MAC table, neighbors, drops or workers
    #[command(after_help = "\
Examples:
  lanyard show ports
  lanyard show mac --network blue
  lanyard show drops --watch
  lanyard show mac --watch                  each row that comes, is refreshed or goes
  lanyard show arp --json | jq '.[] | select(.conflicts != [])'

'show mac --watch' looks four times a second: a row that comes and goes between
two looks is not told. 'lanyard trace' tells every frame.")]
    Show(ShowArgs),
    /// Tell, frame by frame, what the switch decides
    Trace(TraceArgs),
    /// See every frame and its reasons in Wireshark, live
    Wireshark(WiresharkArgs),
    /// Tell what the switch would do with a frame
    #[command(after_help = crate::explain::EXAMPLES)]
    Explain(crate::explain::ExplainArgs),
    /// Tell which frame taught the MAC table a row
    #[command(after_help = crate::why::EXAMPLES)]
    Why(crate::why::WhyArgs),
    /// Show and watch the ARP caches of all hosts, beside the switch's own
    #[command(arg_required_else_help = true, subcommand_required = true, after_help = crate::arp::EXAMPLES)]
    Arp(crate::arp::ArpArgs),
    /// Draw who said what to whom, with the switch as a lane
    Ladder(LadderArgs),
    /// See ports, tables and decisions on one screen, as they change
    Top(TopArgs),
    /// Make Docker find the switch, no longer, or say what is in the way
    #[command(
        arg_required_else_help = true,
        subcommand_required = true,
        after_help = "\
Examples:
  lanyard docker install     units for systemd: the switch starts before Docker
  lanyard docker status      what works, what does not, and the mend
  lanyard docker uninstall"
    )]
    Docker {
        /// Which of them.
        #[command(subcommand)]
        command: DockerCommand,
    },
    /// List the ports of containers that the host publishes
    #[command(after_help = "\
Examples:
  lanyard ports           every container's
  lanyard ports web       one's, in the manner of 'docker port'
  lanyard ports --json

Docker itself shows none for networks of other drivers than its own.")]
    Ports(PortsArgs),
    /// Make a port's line bad on purpose: lose, delay, repeat, reorder, corrupt frames
    Fault(FaultArgs),
    /// Let MAC addresses grow old at once
    Clock(ClockArgs),
    /// Load a switch, any switch, and tell what became of every frame
    Pktgen(Box<PktgenArgs>),
    /// Print the version
    #[command(after_help = "Examples:\n  lanyard version")]
    Version,
}

/// `lanyard run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Threads that move frames [default: one for each CPU, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,
    /// Where networks and endpoints are written down
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    pub(crate) state_dir: PathBuf,
    /// Keep the last N decisions, for 'lanyard ladder --last' and others; 0 keeps none
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    pub(crate) record: u32,
    /// Be Docker's network driver 'lanyard' as well
    #[arg(long)]
    pub(crate) docker: bool,
    /// Where dockerd asks for the driver; systemd's own socket is used where it hands one over
    #[arg(long, value_name = "PATH", default_value = PLUGIN_SOCKET, requires = "docker")]
    pub(crate) plugin_socket: PathBuf,
    /// Docker's own socket, asked for the names of networks and containers
    #[arg(long, value_name = "PATH", default_value = DOCKER_SOCKET, requires = "docker")]
    pub(crate) docker_socket: PathBuf,
}

/// `lanyard network ...`
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Make a network
    #[command(after_help = "\
Settings (-o):
  arp=flood|suppress           flood ARP requests, or answer for the endpoints
                               that are known [default: flood]
  ageing=SECONDS               forget a silent MAC address then [default: 300]
  mac-capacity=N               addresses in the MAC table [default: 8192]
  forward-reserved=true|false  forward 01-80-C2-00-00-0x too [default: false]
  icc=on|off                   may endpoints talk to each other? [default: on]
  guard=on|off                 refuse who uses another's address [default: off]
  mode=switch|hub              a hub repeats every frame to every other port
                               [default: switch]
  mac-limit=N                  the same as --mac-limit
  evict=fair|lru|none          whom a full MAC table forgets: who has most, the
                               oldest of all, or nobody [default: fair]
  mac=from-ip|random           MAC addresses that nobody named [default: from-ip,
                               02:42 and the IPv4 address]
  masquerade=on|off            behind the host's address outside, with
                               --gateway-mode host [default: on]

Examples:
  lanyard network create blue
  lanyard network create red --subnet 10.30.0.0/24 --gateway 10.30.0.254
  lanyard network create world --gateway-mode host
  lanyard network create quiet --gateway-mode none -o arp=suppress -o ageing=9")]
    Create(CreateArgs),
    /// List the networks
    #[command(visible_alias = "list", after_help = "Examples:\n  lanyard network ls\n  lanyard network ls --json")]
    Ls(JsonArgs),
    /// Show one network, with its endpoints
    #[command(after_help = "Examples:\n  lanyard network inspect blue\n  lanyard network inspect blue --json")]
    Inspect {
        /// The network
        #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// How to print it.
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Remove a network
    #[command(after_help = "Examples:\n  lanyard network rm blue\n  lanyard network rm blue --force")]
    Rm {
        /// The network
        #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Disconnect its endpoints first
        #[arg(long, short)]
        force: bool,
    },
    /// Remove every network that has no endpoint
    #[command(after_help = "Examples:\n  lanyard network prune\n  lanyard network prune --force")]
    Prune {
        /// Do not ask
        #[arg(long, short)]
        force: bool,
        /// How to print what was removed.
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Attach a container's network namespace
    #[command(after_help = "\
Examples:
  lanyard network connect blue --netns web
  lanyard network connect blue --netns pid:4711 --ifname eth1 --ip 10.20.0.9
  lanyard network connect blue --netns /run/netns/web --kind veth --static
  lanyard network connect blue --netns probe --kind xdp")]
    Connect(ConnectArgs),
    /// Detach an endpoint; its interface goes
    #[command(after_help = "Examples:\n  lanyard network disconnect blue web")]
    Disconnect {
        /// The network
        #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// The endpoint
        #[arg(value_name = "ENDPOINT", value_parser = NonEmptyStringValueParser::new())]
        endpoint: String,
    },
    /// Let two networks talk through their gateways
    #[command(after_help = "\
Examples:
  lanyard network peer blue red
  lanyard network peer blue red --remove")]
    Peer {
        /// One network
        #[arg(value_name = "A", value_parser = NonEmptyStringValueParser::new())]
        a: String,
        /// The other
        #[arg(value_name = "B", value_parser = NonEmptyStringValueParser::new())]
        b: String,
        /// Part them again
        #[arg(long)]
        remove: bool,
    },
}

/// How to print what is listed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct JsonArgs {
    /// Print JSON, as the daemon answered it
    #[arg(long)]
    pub(crate) json: bool,
}

/// `lanyard network create`
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name: letters, digits, '_', '.', '-'
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// Its subnet [default: the next free /24 from 10.213.0.0 on]
    #[arg(long, value_name = "CIDR", value_parser = subnet)]
    pub(crate) subnet: Option<IpNet>,
    /// The gateway's address [default: the subnet's first]
    #[arg(long, value_name = "IP", value_parser = address)]
    pub(crate) gateway: Option<IpAddr>,
    /// Who the gateway is: the switch itself, the host, or nobody
    #[arg(long, value_name = "router|host|none", default_value = "router", value_parser = word::<GatewayMode>)]
    pub(crate) gateway_mode: GatewayMode,
    /// No way out, only to the host itself (with '--gateway-mode host')
    #[arg(long)]
    pub(crate) internal: bool,
    /// Largest IP packet, octets [default: 1500]
    #[arg(long, value_name = "N")]
    pub(crate) mtu: Option<u32>,
    /// Most addresses learned on one port [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) mac_limit: Option<u32>,
    /// A setting, see below
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<Setting>,
    /// How to print it.
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// One `-o key=value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setting {
    /// `arp=flood|suppress`
    Arp(ArpMode),
    /// `ageing=SECONDS`
    Ageing(u32),
    /// `mac-capacity=N`
    MacCapacity(u32),
    /// `forward-reserved=true|false`
    ForwardReserved(bool),
    /// `icc=on|off`
    Icc(bool),
    /// `guard=on|off`
    Guard(bool),
    /// `masquerade=on|off`
    Masquerade(bool),
    /// `mode=switch|hub`
    Mode(Mode),
    /// `mac-limit=N`
    MacLimit(u32),
    /// `evict=fair|lru|none`
    Evict(Evict),
    /// `mac=from-ip|random`
    Mac(MacChoice),
}

/// `lanyard network connect`
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// The network
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// The container's network namespace
    #[arg(long, value_name = "NAME|PATH|pid:PID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) netns: String,
    /// The endpoint's name [default: made from the namespace's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) endpoint: Option<String>,
    /// The interface's name in the container [default: the first free of eth0, eth1, ..]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) ifname: Option<String>,
    /// Its address [default: the lowest free one]
    #[arg(long, value_name = "IP", value_parser = address)]
    pub(crate) ip: Option<IpAddr>,
    /// Its MAC address [default: 02:42 and the IPv4 address]
    #[arg(long, value_name = "MAC", value_parser = mac)]
    pub(crate) mac: Option<MacAddr>,
    /// What carries the frames: 'xdp' is a veth for many small frames, always with '--offload off'
    #[arg(long, value_name = "tap|veth|xdp", default_value = "tap", value_parser = word::<PortKind>)]
    pub(crate) kind: PortKind,
    /// May the container leave checksums and segmentation to others? 'off' shows frames as on a wire
    /// [default: on, or off for xdp]
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    pub(crate) offload: Option<bool>,
    /// Pin its MAC address to its port: no other port can take it over
    #[arg(long = "static")]
    pub(crate) pinned: bool,
    /// How to print it.
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// `lanyard show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// What to show
    #[arg(value_enum, value_name = "WHAT")]
    pub(crate) what: What,
    /// Of this network only
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) network: Option<String>,
    /// Show it again every second, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
    /// How to print it.
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// What `lanyard show` can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum What {
    /// Ports, with what passed them
    Ports,
    /// The MAC table
    #[value(alias = "fdb")]
    Mac,
    /// The neighbor table: which IP address is at which MAC address
    Arp,
    /// Dropped frames, by reason
    Drops,
    /// The threads that move frames
    Workers,
}

/// `lanyard docker ...`
#[derive(Debug, Subcommand)]
pub(crate) enum DockerCommand {
    /// Write systemd's units, and start them
    #[command(after_help = "\
Examples:
  lanyard docker install
  lanyard docker install --root ./package   for a package: nothing is started")]
    Install {
        /// The folder that is the machine's root
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// Stop the units, and remove them
    #[command(after_help = "Examples:\n  lanyard docker uninstall")]
    Uninstall {
        /// The folder that is the machine's root
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// Say what works, what does not, and the mend; exit code 1 if something must be mended
    #[command(after_help = "Examples:\n  lanyard docker status\n  lanyard docker status --json")]
    Status(DockerStatusArgs),
}

/// `lanyard docker status`
#[derive(Debug, Args)]
pub(crate) struct DockerStatusArgs {
    /// Where dockerd asks for the driver
    #[arg(long, value_name = "PATH", default_value = PLUGIN_SOCKET)]
    pub(crate) plugin_socket: PathBuf,
    /// Docker's own socket
    #[arg(long, value_name = "PATH", default_value = DOCKER_SOCKET)]
    pub(crate) docker_socket: PathBuf,
    /// How to print it.
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// `lanyard ports`
#[derive(Debug, Args)]
pub(crate) struct PortsArgs {
    /// The container: its name, or its endpoint's id or the beginning of it
    #[arg(value_name = "CONTAINER", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) container: Option<String>,
    /// How to print them.
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// One of the words that the control API knows for `T`; a refusal lists them.
pub(crate) fn word<T: DeserializeOwned>(text: &str) -> Result<T, WordError> {
    T::deserialize(text.into_deserializer())
}

fn subnet(text: &str) -> Result<IpNet, &'static str> {
    text.parse().map_err(|_| "write a subnet as in 10.20.0.0/24")
}

fn address(text: &str) -> Result<IpAddr, &'static str> {
    text.parse().map_err(|_| "write an address as in 10.20.0.9, without a prefix length")
}

fn mac(text: &str) -> Result<MacAddr, &'static str> {
    text.parse().map_err(|_| "write six octets, as in 02:42:0a:14:00:09")
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off"),
    }
}

const SETTINGS: &str = "known are arp=flood|suppress, ageing=SECONDS, mac-capacity=N, forward-reserved=true|false, \
icc=on|off, guard=on|off, masquerade=on|off, mode=switch|hub, mac-limit=N, evict=fair|lru|none, mac=from-ip|random";

fn setting(text: &str) -> Result<Setting, String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let read = match key {
        "arp" => word(value).ok().map(Setting::Arp),
        "ageing" => value.parse().ok().map(Setting::Ageing),
        "mac-capacity" => value.parse().ok().map(Setting::MacCapacity),
        "forward-reserved" => value.parse().ok().map(Setting::ForwardReserved),
        "icc" => on_or_off(value).ok().map(Setting::Icc),
        "guard" => on_or_off(value).ok().map(Setting::Guard),
        "masquerade" => on_or_off(value).ok().map(Setting::Masquerade),
        "mode" => word(value).ok().map(Setting::Mode),
        "mac-limit" => value.parse().ok().map(Setting::MacLimit),
        "evict" => word(value).ok().map(Setting::Evict),
        "mac" => word(value).ok().map(Setting::Mac),
        _ => return Err(format!("there is no setting '{key}': {SETTINGS}")),
    };
    read.ok_or_else(|| format!("setting '{key}' cannot be '{value}': {SETTINGS}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_words_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn look(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{}", command.get_name());
            assert!(help.lines().all(|line| line.len() <= 100), "{}: wider than 100 columns", command.get_name());
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }

    #[test]
    fn settings_are_read_or_refused_by_name() {
        assert_eq!(setting("arp=suppress"), Ok(Setting::Arp(ArpMode::Suppress)));
        assert_eq!(setting("ageing=60"), Ok(Setting::Ageing(60)));
        assert_eq!(setting("mac-capacity=64"), Ok(Setting::MacCapacity(64)));
        assert_eq!(setting("forward-reserved=true"), Ok(Setting::ForwardReserved(true)));
        assert_eq!(setting("mode=hub"), Ok(Setting::Mode(Mode::Hub)));
        assert_eq!(setting("mac-limit=3"), Ok(Setting::MacLimit(3)));
        assert_eq!(setting("evict=lru"), Ok(Setting::Evict(Evict::Lru)));
        assert_eq!(setting("mac=random"), Ok(Setting::Mac(MacChoice::Random)));
        let numbers = ["ageing=soon", "ageing=-1", "mac-capacity=", "mac-limit=many"];
        let words = ["arp", "arp=maybe", "forward-reserved=yes", "mode=Hub", "evict=oldest", "mac=02:42", "x=1", "="];
        for wrong in numbers.into_iter().chain(words) {
            let why = setting(wrong).unwrap_err();
            let key = wrong.split('=').next().unwrap();
            assert!(why.contains(&format!("'{key}'")) && why.contains("mac-capacity"), "{wrong}: {why}");
        }
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let connect = ["lanyard", "network", "connect", "blue", "--netns", "web"];
        let create = ["lanyard", "network", "create", "blue"];
        for (begin, option, value) in [
            (&connect[..], "--ip", "10.20.0.9/24"),
            (&connect, "--mac", "02:42:0a"),
            (&connect, "--kind", "vxlan"),
            (&connect, "--offload", "maybe"),
            (&create, "--subnet", "10.20.0.0"),
            (&create, "--subnet", "10.20.0.0/33"),
            (&create, "--gateway", "first"),
            (&create, "--gateway-mode", "hub"),
            (&create, "--mtu", "big"),
        ] {
            let words = begin.iter().copied().chain([option, value]);
            let error = Cli::try_parse_from(words).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{option} {value}: {error}");
        }
    }

    #[test]
    fn fdb_is_another_word_for_mac() {
        let cli = Cli::try_parse_from(["lanyard", "show", "fdb", "--socket", "/s"]).unwrap();
        assert_eq!(cli.socket, PathBuf::from("/s"));
        assert!(matches!(cli.command, Command::Show(ShowArgs { what: What::Mac, .. })));
    }
}
