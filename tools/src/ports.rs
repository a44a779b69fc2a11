//! `lanyard ports`: which ports of containers does the host publish? What `docker ps` and `docker port` cannot know of a
//! network driver other than Docker's own (they look for types that JSON never has).
//!
//! One container's ports are printed as `docker port` prints them, all containers' as a table.

use ::docker::fabric::PublishedPort;
use serde::Serialize;
use switch::control::types::{EndpointInfo, NetworkInfo};

use crate::cli::PortsArgs;
use crate::client::Client;
use crate::failure::{Failure, print};
use crate::table::{Lean, Table, word_of};

/// A published port.
#[derive(Serialize)]
struct Row<'a> {
    network: &'a str,
    container: &'a str,
    endpoint_id: Option<&'a str>,
    container_port: u16,
    protocol: String,
    host_ip: String,
    host_port: u16,
}

/// Run it.
///
/// # Errors
/// No such container; and everything that keeps the daemon from being asked.
pub(crate) fn run(client: &Client, args: &PortsArgs) -> Result<(), Failure> {
    let networks: Vec<NetworkInfo> = client.get("/v1/networks")?.read()?;
    let all = networks.iter().flat_map(|network| &network.endpoints);
    let chosen: Vec<&EndpointInfo> = match &args.container {
        Some(name) => chosen(all, name)?,
        None => all.collect(),
    };
    let rows: Vec<Row<'_>> = chosen.into_iter().flat_map(rows).collect();
    if args.json.json {
        let text = serde_json::to_string(&rows).map_err(|error| Failure::work("the ports cannot be written", error))?;
        return print(&(text + "\n"));
    }
    print(&if args.container.is_some() { as_docker_does(&rows) } else { table(&rows) })
}

fn chosen<'a>(all: impl Iterator<Item = &'a EndpointInfo>, name: &str) -> Result<Vec<&'a EndpointInfo>, Failure> {
    let is_meant = |endpoint: &&EndpointInfo| {
        endpoint.endpoint == name || endpoint.docker_id.as_ref().is_some_and(|id| id.starts_with(name))
    };
    let found: Vec<_> = all.filter(is_meant).collect();
    if found.is_empty() {
        return Err(Failure::Work(format!(
            "no network of the switch has a container '{name}': 'lanyard network ls' and 'inspect' list them"
        )));
    }
    Ok(found)
}

fn rows(endpoint: &EndpointInfo) -> Vec<Row<'_>> {
    let row = |port: &PublishedPort| Row {
        network: &endpoint.network,
        container: &endpoint.endpoint,
        endpoint_id: endpoint.docker_id.as_deref(),
        container_port: port.container_port,
        protocol: word_of(&port.protocol),
        host_ip: port.host_ip.to_string(),
        host_port: port.host_port,
    };
    let mut rows: Vec<Row<'_>> = endpoint.published.iter().map(row).collect();
    rows.sort_by(|a, b| (a.container_port, &a.protocol, &a.host_ip).cmp(&(b.container_port, &b.protocol, &b.host_ip)));
    rows
}

fn host(row: &Row<'_>) -> String {
    if row.host_port == 0 {
        "routed".to_owned()
    } else if row.host_ip.contains(':') {
        format!("[{}]:{}", row.host_ip, row.host_port)
    } else {
        format!("{}:{}", row.host_ip, row.host_port)
    }
}

/// `80/tcp -> 0.0.0.0:8080`
fn as_docker_does(rows: &[Row<'_>]) -> String {
    let lines = rows.iter().map(|row| format!("{}/{} -> {}", row.container_port, row.protocol, host(row)) + "\n");
    lines.collect()
}

fn table(rows: &[Row<'_>]) -> String {
    let mut table = Table::new(["CONTAINER", "NETWORK", "PORT", "HOST"].map(|name| (name, Lean::Left)));
    for row in rows {
        let port = format!("{}/{}", row.container_port, row.protocol);
        table.row([row.container.to_owned(), row.network.to_owned(), port, host(row)]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> EndpointInfo {
        let published = r#"[{"protocol": "tcp", "container_port": 80, "host_ip": "::", "host_port": 8080},
            {"protocol": "tcp", "container_port": 80, "host_ip": "0.0.0.0", "host_port": 8080},
            {"protocol": "udp", "container_port": 53, "host_ip": "127.0.0.1", "host_port": 5353}]"#;
        let text = format!(
            r#"{{"endpoint": "web", "network": "blue", "port": "p1", "netns": "x", "ifname": "eth0", "ip": "10.20.0.2/24",
            "mac": "02:42:0a:14:00:02", "kind": "tap", "offload": true, "static": false, "state": "up",
            "docker_id": "ab12", "published": {published}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn one_container_is_printed_as_docker_does() {
        let web = endpoint();
        let text = as_docker_does(&rows(&web));
        assert_eq!(text, "53/udp -> 127.0.0.1:5353\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n");
    }

    #[test]
    fn a_container_is_found_by_name_and_by_the_beginning_of_its_id() {
        let web = endpoint();
        for name in ["web", "ab12", "ab"] {
            assert_eq!(chosen([&web].into_iter(), name).unwrap().len(), 1, "{name}");
        }
        assert!(matches!(chosen([&web].into_iter(), "db"), Err(Failure::Work(text)) if text.contains("'db'")));
    }
}
