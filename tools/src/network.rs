//! `lanyard network ...`: make, list and remove networks; attach and detach containers.
//!
//! Each command is one request; the daemon validates. Only what depends on where the command runs is settled here: a
//! relative path to a namespace, and the question before `prune`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use hyper::Method;
use switch::control::types::{EndpointInfo, EndpointSpec, NetworkInfo, NetworkSpec, Pruned};

use crate::cli::{ConnectArgs, CreateArgs, NetworkCommand, Setting};
use crate::client::{Client, segment};
use crate::failure::{Failure, one_line, print};
use crate::table::{Lean, Table, or_nothing, word_of};

/// Hexadecimal digits of an id that a list shows, as `docker network ls` does.
const SHORT_ID_DIGITS: usize = 12;

/// Run one of them.
///
/// # Errors
/// Refusals of the daemon, and everything that keeps it from being asked.
pub(crate) fn run(client: &Client, command: NetworkCommand) -> Result<(), Failure> {
    match command {
        NetworkCommand::Create(args) => create(client, args),
        NetworkCommand::Ls(json) => list(client, json.json),
        NetworkCommand::Inspect { name, json } => inspect(client, &name, json.json),
        NetworkCommand::Rm { name, force } => remove(client, &name, force),
        NetworkCommand::Prune { force, json } => prune(client, force, json.json),
        NetworkCommand::Connect(args) => connect(client, args),
        NetworkCommand::Disconnect { name, endpoint } => {
            let path = format!("/v1/networks/{}/endpoints/{}", segment(&name), segment(&endpoint));
            client.ask(Method::DELETE, &path, None::<&()>).map(drop)
        }
        NetworkCommand::Peer { a, b, remove } => {
            let path = format!("/v1/networks/{}/peers/{}", segment(&a), segment(&b));
            client.ask(if remove { Method::DELETE } else { Method::PUT }, &path, None::<&()>).map(drop)
        }
    }
}

fn create(client: &Client, args: CreateArgs) -> Result<(), Failure> {
    let json = args.json.json;
    let answer = client.ask(Method::POST, "/v1/networks", Some(&network_spec(args)))?;
    if json { print(&answer.json_line()) } else { print(&networks(&[answer.read()?])) }
}

fn network_spec(args: CreateArgs) -> NetworkSpec {
    let mut spec = NetworkSpec {
        internal: args.internal,
        subnet: args.subnet,
        gateway: args.gateway,
        gateway_mode: args.gateway_mode,
        mtu: args.mtu,
        mac_limit: args.mac_limit,
        ..NetworkSpec::named(&args.name)
    };
    for setting in args.settings {
        match setting {
            Setting::Arp(mode) => spec.arp = mode,
            Setting::Ageing(seconds) => spec.ageing = Some(seconds),
            Setting::MacCapacity(addresses) => spec.mac_capacity = Some(addresses),
            Setting::ForwardReserved(forward) => spec.forward_reserved = forward,
            Setting::Icc(on) => spec.options.icc = on,
            Setting::Guard(on) => spec.options.guard = on,
            Setting::Masquerade(on) => spec.options.masquerade = on,
            Setting::Mode(mode) => spec.options.mode = mode,
            Setting::MacLimit(addresses) => spec.mac_limit = Some(addresses),
            Setting::Evict(evict) => spec.options.evict = evict,
            Setting::Mac(mac) => spec.options.mac = mac,
        }
    }
    spec
}

fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let answer = client.get("/v1/networks")?;
    if json { print(&answer.json_line()) } else { print(&networks(&answer.read::<Vec<_>>()?)) }
}

fn inspect(client: &Client, name: &str, json: bool) -> Result<(), Failure> {
    let answer = client.get(&format!("/v1/networks/{}", segment(name)))?;
    if json { print(&answer.json_line()) } else { print(&details(&answer.read()?)) }
}

fn remove(client: &Client, name: &str, force: bool) -> Result<(), Failure> {
    let query = if force { "?force=true" } else { "" };
    client.ask(Method::DELETE, &format!("/v1/networks/{}{query}", segment(name)), None::<&()>).map(drop)
}

fn prune(client: &Client, force: bool, json: bool) -> Result<(), Failure> {
    if !force && !agreed(client)? {
        return Ok(());
    }
    let answer = client.ask(Method::POST, "/v1/networks/prune", None::<&()>)?;
    if json {
        return print(&answer.json_line());
    }
    let pruned: Pruned = answer.read()?;
    let lines: Vec<_> = pruned.networks.iter().map(|name| one_line(name) + "\n").collect();
    print(&lines.concat())
}

/// Does whoever sits there agree that the networks without endpoints go?
fn agreed(client: &Client) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Words("prune asks first, and there is no terminal to ask on: say --force".to_owned()));
    }
    let all: Vec<NetworkInfo> = client.get("/v1/networks")?.read()?;
    let idle: Vec<_> = all.iter().filter(|net| net.endpoints.is_empty()).map(|net| net.name.as_str()).collect();
    if idle.is_empty() {
        return Ok(false);
    }
    let mut err = io::stderr().lock();
    let _ = write!(err, "Remove {}? [y/N] ", idle.join(", ")).and_then(|()| err.flush());
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| Failure::work("reading the answer", error))?;
    Ok(means_yes(&line))
}

fn means_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn connect(client: &Client, args: ConnectArgs) -> Result<(), Failure> {
    let path = format!("/v1/networks/{}/endpoints", segment(&args.name));
    let json = args.json.json;
    let answer = client.ask(Method::POST, &path, Some(&endpoint_spec(args)?))?;
    if json { print(&answer.json_line()) } else { print(&endpoints(&[answer.read()?])) }
}

fn endpoint_spec(args: ConnectArgs) -> Result<EndpointSpec, Failure> {
    Ok(EndpointSpec {
        netns: namespace(args.netns)?,
        endpoint: args.endpoint,
        ifname: args.ifname,
        ip: args.ip,
        mac: args.mac,
        kind: args.kind,
        offload: args.offload,
        pinned: args.pinned,
    })
}

/// The namespace in words that mean the same to the daemon, which runs in another folder and is another process.
fn namespace(given: String) -> Result<String, Failure> {
    if !given.contains('/') {
        return Ok(given);
    }
    let own = ["/proc/self/", "/proc/thread-self/"];
    if own.iter().any(|begin| given.starts_with(begin)) {
        return Err(Failure::Words(format!("'{given}' would be the daemon's own namespace: write pid:PID instead")));
    }
    let absolute = std::path::absolute(Path::new(&given))
        .map_err(|error| Failure::work(format!("'{given}' cannot be made an absolute path"), error))?;
    Ok(absolute.to_string_lossy().into_owned())
}

/// Networks as a table.
fn networks(networks: &[NetworkInfo]) -> String {
    let mut table = Table::new([
        ("NAME", Lean::Left),
        ("ID", Lean::Left),
        ("SUBNET", Lean::Left),
        ("GATEWAY", Lean::Left),
        ("MODE", Lean::Left),
        ("MTU", Lean::Right),
        ("ENDPOINTS", Lean::Right),
    ]);
    for network in networks {
        table.row([
            network.name.clone(),
            network.id.chars().take(SHORT_ID_DIGITS).collect(),
            network.subnet.to_string(),
            or_nothing(network.gateway.as_ref()),
            word_of(&network.gateway_mode),
            network.mtu.to_string(),
            network.endpoints.len().to_string(),
        ]);
    }
    table.render()
}

/// Endpoints as a table.
fn endpoints(endpoints: &[EndpointInfo]) -> String {
    let columns = ["ENDPOINT", "PORT", "KIND", "STATE", "NETNS", "IFNAME", "IP", "MAC", "OFFLOAD", "STATIC"];
    let mut table = Table::new(columns.map(|name| (name, Lean::Left)));
    for endpoint in endpoints {
        table.row([
            endpoint.endpoint.clone(),
            endpoint.port.clone(),
            word_of(&endpoint.kind),
            word_of(&endpoint.state),
            endpoint.netns.clone(),
            endpoint.ifname.clone(),
            endpoint.ip.to_string(),
            endpoint.mac.to_string(),
            if endpoint.offload { "on" } else { "off" }.to_owned(),
            if endpoint.pinned { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table.render()
}

fn subnets(network: &NetworkInfo) -> String {
    let all: Vec<String> =
        [&network.subnet].into_iter().chain(&network.more_subnets).map(ToString::to_string).collect();
    all.join(" ")
}

/// One network with all its settings, one a line, then its endpoints.
fn details(network: &NetworkInfo) -> String {
    let settings = [
        ("name", network.name.clone()),
        ("id", network.id.clone()),
        ("subnet", subnets(network)),
        ("gateway", or_nothing(network.gateway.as_ref())),
        ("gateway-mac", or_nothing(network.gateway_mac.as_ref())),
        ("gateway-mode", word_of(&network.gateway_mode)),
        ("host-interface", or_nothing(network.host_ifname.as_ref())),
        ("internal", network.internal.to_string()),
        ("docker", network.docker.to_string()),
        ("icc", if network.icc { "on" } else { "off" }.to_owned()),
        ("guard", if network.guard { "on" } else { "off" }.to_owned()),
        ("mtu", network.mtu.to_string()),
        ("mode", word_of(&network.mode)),
        ("mac", word_of(&network.mac)),
        ("evict", word_of(&network.evict)),
        ("mac-limit", or_nothing(network.mac_limit.as_ref())),
        ("mac-capacity", network.mac_capacity.to_string()),
        ("ageing", format!("{} s", network.ageing)),
        ("arp", word_of(&network.arp)),
        ("forward-reserved", network.forward_reserved.to_string()),
        ("peers", network.peers.join(" ")),
    ];
    let mut table = Table::new([("SETTING", Lean::Left), ("VALUE", Lean::Left)]);
    for (name, value) in settings {
        table.row([name.to_owned(), value]);
    }
    format!("{}\n{}", table.render(), endpoints(&network.endpoints))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> NetworkInfo {
        let endpoint = r#"{"endpoint": "web", "network": "blue", "port": "p1", "netns": "web", "ifname": "eth0",
            "ip": "10.20.0.2/24", "mac": "02:42:0a:14:00:02", "kind": "tap", "offload": true, "static": false,
            "state": "up", "added-later": 1}"#;
        let network = format!(
            r#"{{"name": "blue", "id": "{}", "subnet": "10.20.0.0/24", "gateway": null, "gateway_mac": null,
            "gateway_mode": "none", "mtu": 1500, "mac_limit": null, "mac_capacity": 8192, "ageing": 300,
            "arp": "flood", "forward_reserved": false, "peers": ["red"], "endpoints": [{endpoint}]}}"#,
            "0123456789abcdef".repeat(4)
        );
        serde_json::from_str(&network).unwrap()
    }

    #[test]
    fn a_network_is_a_row() {
        assert_eq!(
            networks(&[network()]),
            "NAME  ID            SUBNET        GATEWAY  MODE   MTU  ENDPOINTS\n\
             blue  0123456789ab  10.20.0.0/24  -        none  1500          1\n"
        );
    }

    #[test]
    fn details_name_every_setting_and_endpoint() {
        let text = details(&network());
        for piece in [
            "mode              switch\n",
            "evict             fair\n",
            "mac               from-ip\n",
            "mac-capacity      8192\n",
            "ageing            300 s\n",
            "peers             red\n",
            "10.20.0.2/24",
        ] {
            assert!(text.contains(piece), "{piece}: {text}");
        }
    }

    #[test]
    fn namespaces_mean_the_same_to_the_daemon() {
        assert_eq!(namespace("web".into()), Ok("web".into()));
        assert_eq!(namespace("pid:7".into()), Ok("pid:7".into()));
        assert_eq!(namespace("/run/netns/web".into()), Ok("/run/netns/web".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(namespace("./ns/web".into()), Ok(here.join("ns/web").to_str().unwrap().to_owned()));
        assert!(matches!(namespace("/proc/self/ns/net".into()), Err(Failure::Words(_))));
    }

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Y\n", " yes \n"].into_iter().all(means_yes));
        assert!(!["", "\n", "n\n", "yep\n"].into_iter().any(means_yes));
    }

    #[test]
    fn settings_reach_the_request_and_absent_ones_are_left_to_the_daemon() {
        use clap::Parser;
        let words = "lanyard network create blue -o arp=suppress -o ageing=9 -o mac-limit=3 -o evict=none -o mode=hub";
        let words = words.split(' ');
        let cli = crate::cli::Cli::try_parse_from(words).unwrap();
        let crate::cli::Command::Network { command: NetworkCommand::Create(args) } = cli.command else {
            panic!("network create")
        };
        let spec = serde_json::to_value(network_spec(args)).unwrap();
        assert_eq!((&spec["arp"], &spec["ageing"]), (&"suppress".into(), &9.into()));
        assert_eq!((&spec["mac_limit"], &spec["options"]["evict"]), (&3.into(), &"none".into()));
        assert_eq!((&spec["options"]["mode"], &spec["options"]["mac"]), (&"hub".into(), &"from-ip".into()));
        for absent in ["subnet", "gateway", "mtu", "mac_capacity"] {
            assert!(spec[absent].is_null(), "{absent}");
        }
    }
}
