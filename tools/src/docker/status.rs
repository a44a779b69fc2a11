//! Is everything there that a container on a network of the switch needs? One line for each part: how it is, and what mends
//! it. Nothing is changed.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use host::{Finding, Health};
use serde::Serialize;
use switch::control::types::NetworkInfo;

use super::units;
use crate::cli::DockerStatusArgs;
use crate::client::Client;
use crate::failure::{Failure, print};
use crate::table::{Lean, Table};

/// How long the driver may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// One part.
#[derive(Serialize)]
struct Line {
    part: String,
    health: Health,
    says: String,
    mend: Option<String>,
}

impl Line {
    fn good(part: &str, says: impl Into<String>) -> Self {
        Self { part: part.to_owned(), health: Health::Good, says: says.into(), mend: None }
    }

    fn new(part: &str, health: Health, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { part: part.to_owned(), health, says: says.into(), mend: Some(mend.into()) }
    }
}

impl From<Finding> for Line {
    fn from(finding: Finding) -> Self {
        let Finding { part, health, sentence, mend } = finding;
        Self { part: part.to_owned(), health, says: sentence, mend }
    }
}

/// Look, and print.
///
/// # Errors
/// Something is not as it should be: told already, so only counted.
pub(super) fn run(client: &Client, args: &DockerStatusArgs) -> Result<(), Failure> {
    let mut lines = vec![tun(), daemon(client), plugin(&args.plugin_socket), docker(&args.docker_socket)];
    lines.extend(networks(client, &args.docker_socket));
    lines.extend(units::UNITS.map(unit));
    lines.extend(host::diagnose().into_iter().map(Line::from));
    if args.json.json {
        let text =
            serde_json::to_string(&lines).map_err(|error| Failure::work("the status cannot be written", error))?;
        print(&(text + "\n"))?;
    } else {
        print(&table(&lines))?;
    }
    match lines.iter().filter(|line| line.health == Health::Bad).count() {
        0 => Ok(()),
        bad => Err(Failure::Work(format!("{bad} part(s) must be mended, see MEND"))),
    }
}

fn table(lines: &[Line]) -> String {
    let mut table = Table::new(["PART", "HEALTH", "SAYS", "MEND"].map(|name| (name, Lean::Left)));
    for line in lines {
        let health = match line.health {
            Health::Good => "good",
            Health::Note => "note",
            Health::Bad => "bad",
        };
        table.row([line.part.clone(), health.to_owned(), line.says.clone(), line.mend.clone().unwrap_or_default()]);
    }
    table.render()
}

/// Containers get TAPs.
fn tun() -> Line {
    match File::options().read(true).write(true).open("/dev/net/tun") {
        Ok(_) => Line::good("tun", "/dev/net/tun can be opened."),
        Err(error) => {
            let mend = "run it as root; modprobe tun; or make networks with -o kind=veth";
            Line::new("tun", Health::Bad, format!("/dev/net/tun cannot be opened: {error}."), mend)
        }
    }
}

fn daemon(client: &Client) -> Line {
    let networks = client.get("/v1/networks").and_then(|answer| answer.read::<Vec<NetworkInfo>>());
    let Ok(networks) = networks else {
        let mend = "systemctl start lanyard, or lanyard run --docker";
        return Line::new("switch", Health::Bad, "The switch does not answer on its control socket.", mend);
    };
    let of_docker: Vec<_> = networks.iter().filter(|network| network.docker).collect();
    let endpoints: usize = of_docker.iter().map(|network| network.endpoints.len()).sum();
    let count = of_docker.len();
    Line::good("switch", format!("The switch runs, with {count} network(s) of Docker's and {endpoints} endpoint(s)."))
}

/// What dockerd asks first.
const ACTIVATE: &[u8] = b"POST /Plugin.Activate HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn plugin(socket: &Path) -> Line {
    let asked = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(ACTIVATE)?;
        let mut answer = String::new();
        stream.take(64 << 10).read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let path = socket.display();
    match asked() {
        Ok(answer) if answer.contains("NetworkDriver") => {
            Line::good("plugin", format!("The driver answers at {path}, where dockerd looks."))
        }
        Ok(_) => {
            let mend = format!("stop what answers there, and start lanyard run --docker (fuser {path} names it)");
            Line::new("plugin", Health::Bad, format!("Something else answers at {path}."), mend)
        }
        Err(error) => {
            let mend = "lanyard docker install, or lanyard run --docker; each call of dockerd's takes 15 s until then";
            Line::new("plugin", Health::Bad, format!("The driver does not answer at {path}: {error}."), mend)
        }
    }
}

fn docker(socket: &Path) -> Line {
    let path = socket.display();
    match UnixStream::connect(socket) {
        Ok(_) => {
            Line::good("docker", format!("Docker listens at {path}: networks and containers have their names here."))
        }
        Err(error) => {
            let mend = "systemctl start docker; or say where it is with --docker-socket";
            Line::new("docker", Health::Note, format!("Docker does not listen at {path}: {error}."), mend)
        }
    }
}

/// Networks that Docker does not know any more; nothing where one of the two does not answer.
fn networks(client: &Client, socket: &Path) -> Option<Line> {
    let ours: Vec<NetworkInfo> = client.get("/v1/networks").and_then(|answer| answer.read()).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let known = runtime.block_on(::docker::engine::networks(socket, "lanyard")).ok()?;
    let of_docker = ours.iter().filter(|network| network.docker);
    let unknown = of_docker.filter(|network| known.iter().all(|known| known.id != network.id));
    let names: Vec<&str> = unknown.map(|network| network.name.as_str()).collect();
    if names.is_empty() {
        return Some(Line::good("networks", "Docker knows every network that the switch has for it."));
    }
    let says = format!("Docker does not know {}: perhaps another dockerd does.", names.join(", "));
    Some(Line::new("networks", Health::Note, says, format!("if none does: lanyard network rm --force {}", names[0])))
}

fn unit(name: &str) -> Line {
    match units::installed(name) {
        Some(true) => Line::good(name, "The unit is installed."),
        Some(false) => Line::new(name, Health::Note, "A unit of that name is somebody else's.", "look into it"),
        None => {
            let says = "The unit is not installed: dockerd may wait 15 s for the switch when the machine starts.";
            Line::new(name, Health::Note, says, "lanyard docker install")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_with_its_mend() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("x.sock");
        for line in [plugin(&missing), docker(&missing), daemon(&Client::new(missing.clone()))] {
            assert!(line.health != Health::Good && line.mend.is_some_and(|mend| !mend.is_empty()), "{}", line.says);
        }
    }

    #[test]
    fn somebody_else_at_the_socket_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Closed with something unread in it, a socket takes the answer along.
            stream.read_exact(&mut vec![0; ACTIVATE.len()]).unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
        });
        assert!(plugin(&path).says.contains("Something else"));
        answering.join().unwrap();
    }
}
