//! How does a lab stay? A keeper process in the background holds the hosts and the switch; the lab's folder says where.
//!
//! The folder holds the keeper's control socket, so that every other command works on the lab too, and `lab.json`, which
//! names the hosts. It is `/run/lanyard-lab` for root, and in the user's own runtime folder for anybody else; one lab
//! at a time each. A keeper that was killed leaves only that folder; the next `lab up` or `lab down` clears it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use frame::MacAddr;
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, getuid, setsid};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::plan::Plan;
use super::scene::Scene;
use super::world::{self, Host};
use crate::cli::DEFAULT_SOCKET;
use crate::failure::{Failure, print};
use crate::table::{Lean, Table};

/// The hidden subcommand that makes a process a keeper.
pub(crate) const KEEPER: &str = "__keeper";

/// `lanyard lab up ...`
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct UpArgs {
    /// How many hosts
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=100))]
    hosts: u8,
    /// How many networks; each is peered with every other
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
    networks: u8,
}

/// `lanyard lab exec ...`
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The host, as 'lanyard lab ls' calls it
    host: String,
    /// The command and its words
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<std::ffi::OsString>,
}

/// `lanyard lab ls ...`
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A host, as `lab.json` and `lab ls --json` name it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HostRow {
    /// Its name.
    pub(crate) host: String,
    /// The network it is on.
    pub(crate) network: String,
    /// Its address.
    pub(crate) ip: Ipv4Addr,
    /// Its MAC address.
    pub(crate) mac: MacAddr,
    /// Its anchor's process id.
    pub(crate) pid: u32,
}

/// What `lab.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct LabFile {
    keeper: u32,
    /// Clock ticks since boot when the keeper started (`proc_pid_stat(5)`): tells it from a later process with its number.
    started: u64,
    hosts: Vec<HostRow>,
}

/// Where the lab lives.
pub(crate) fn folder() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/run/lanyard-lab");
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_dir()) {
        Some(dir) => Path::new(&dir).join("lanyard-lab"),
        None => std::env::temp_dir().join(format!("lanyard-lab-{}", getuid())),
    }
}

fn file_of(folder: &Path) -> PathBuf {
    folder.join("lab.json")
}

/// The plan that the keeper reads.
fn plan_of(folder: &Path) -> PathBuf {
    folder.join("plan.json")
}

/// What an exercise remembers between two commands.
pub(crate) fn session_of(folder: &Path) -> PathBuf {
    folder.join("learn.json")
}

/// The keeper's control socket.
pub(crate) fn socket_of(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

/// When a process started, or `None` when there is no such process (or only its remains).
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields after it are numbers, the state first.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    fields.nth(18).filter(|_| state != "Z")?.parse().ok()
}

/// Decisions that the lab's switch keeps: an afternoon's.
pub(crate) const RECORDED: usize = 65_536;

/// Where the switch of the lab that is up can be asked, if one is.
pub(crate) fn socket_if_up() -> Option<PathBuf> {
    current().map(|_| socket_of(&folder()))
}

/// The lab that is up, if one is.
fn current() -> Option<LabFile> {
    let text = fs::read_to_string(file_of(&folder())).ok()?;
    let lab: LabFile = serde_json::from_str(&text).ok()?;
    (started(lab.keeper)? == lab.started).then_some(lab)
}

fn needed() -> Result<LabFile, Failure> {
    current().ok_or_else(|| Failure::Work("no lab is up: make one with 'lanyard lab up'".to_owned()))
}

/// What to type next. Every command finds the lab that is up by itself, unless a switch is at its usual place.
fn hints(usual: &Path, socket: &Path) -> String {
    let export = if usual.exists() {
        format!("  export LANYARD_SOCKET={}   # another switch runs here, too\n", socket.display())
    } else {
        String::new()
    };
    format!(
        "Try:\n  lanyard lab exec h1 -- ping -c1 10.0.1.12\n{export}  lanyard show mac\n  lanyard trace\n  lanyard lab down\n"
    )
}

/// `lanyard lab up`
pub(crate) fn up(args: UpArgs) -> Result<(), Failure> {
    if args.hosts < args.networks {
        let why =
            format!("{} hosts cannot populate {} networks: give --hosts at least as many", args.hosts, args.networks);
        return Err(Failure::Words(why));
    }
    bring_up(&Plan::even(args.hosts, args.networks, 300))?;
    print(&format!("{}\n{}", table(&needed()?.hosts), hints(Path::new(DEFAULT_SOCKET), &socket_of(&folder()))))
}

/// Make a lab that stays.
///
/// # Errors
/// One is up already, or it cannot be made; nothing is left of it then.
pub(crate) fn bring_up(plan: &Plan) -> Result<(), Failure> {
    let folder = folder();
    let lock = claim(&folder)?;
    let made = start_keeper(&folder, plan);
    if made.is_err() {
        let _ = fs::remove_dir_all(&folder); // ours, as long as the lock is
    }
    drop(lock);
    made
}

/// The hosts of the lab that is up, if one is.
pub(crate) fn hosts() -> Option<Vec<HostRow>> {
    current().map(|lab| lab.hosts)
}

fn start_keeper(folder: &Path, plan: &Plan) -> Result<(), Failure> {
    let plan = serde_json::to_vec(plan).map_err(|error| Failure::Work(error.to_string()))?;
    let plan_path = plan_of(folder);
    fs::write(&plan_path, plan).map_err(|error| Failure::work(plan_path.display(), error))?;
    let log_path = folder.join("log");
    let log = File::create(&log_path).map_err(|error| Failure::work(log_path.display(), error))?;
    let mut keeper = Command::new("/proc/self/exe")
        .arg(KEEPER)
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| Failure::work("the lab's keeper cannot be started", error))?;
    let mut answer = String::new();
    if let Some(output) = keeper.stdout.take() {
        let _ = BufReader::new(output).read_line(&mut answer); // an empty answer says it all
    }
    if answer.trim() == "ready" {
        return Ok(());
    }
    let _ = keeper.wait();
    let why = if answer.trim().is_empty() { "the lab's keeper ended before it was ready" } else { answer.trim() };
    Err(Failure::Work(why.to_owned()))
}

/// Make the folder, or take over what a killed keeper left in it, and hold it against every other `up` and `down` for as
/// long as the lock lives.
fn claim(folder: &Path) -> Result<Flock<File>, Failure> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Failure::work(folder.display(), error));
        }
        _ => {}
    }
    let lock = hold(folder)?;
    if let Some(lab) = current() {
        return Err(Failure::Work(format!("a lab is up already (pid {}): end it with 'lanyard lab down'", lab.keeper)));
    }
    for left in ["control.sock", "lab.json", "plan.json", "learn.json", "log"].map(|name| folder.join(name)) {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Failure::work(left.display(), error)),
            _ => {}
        }
    }
    Ok(lock)
}

/// The lock in the folder, which goes with it; refuse a folder that somebody else has put there.
fn hold(folder: &Path) -> Result<Flock<File>, Failure> {
    let fault = |error| Failure::work(folder.display(), error);
    let found = fs::symlink_metadata(folder).map_err(fault)?;
    if !found.is_dir() || found.uid() != getuid().as_raw() {
        return Err(Failure::Work(format!("{} is not this user's own folder: remove it", folder.display())));
    }
    let file = File::create(folder.join("lock")).map_err(fault)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| Failure::Work("another 'lanyard lab up' or 'down' is at work: try again in a moment".to_owned()))
}

/// What the keeper does: build the lab, serve its control socket, and wait to be told to end.
pub(crate) fn keeper(words: &[String]) -> ExitCode {
    let _ = setsid(); // fails only for a process that leads a session already
    match keep(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn keep(words: &[String]) -> Result<(), String> {
    let [folder] = words else { return Err(format!("{KEEPER} is not for hand use")) };
    let folder = PathBuf::from(folder);
    let plan = fs::read(plan_of(&folder)).map_err(|error| format!("{}: {error}", plan_of(&folder).display()))?;
    let plan: Plan = serde_json::from_slice(&plan).map_err(|error| error.to_string())?;
    // First of all, so that whoever wants to end a lab that is still being made knows whom to tell.
    write_file(&folder, &[])?;
    world::enter_own_namespaces()?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| error.to_string())?;
    let mut scene = Scene::build(&plan)?;
    scene.stop_listening();
    scene.switch.record(RECORDED).map_err(|fault| fault.to_string())?;
    scene.switch.serve(&socket_of(&folder)).map_err(|fault| fault.to_string())?;
    write_file(&folder, &scene.hosts)?;
    let _ = writeln!(io::stdout(), "ready"); // who waited for it may have been killed; the lab is up all the same
    signals.forever().next();
    let removed = scene.switch.stop_and_remove().map_err(|fault| fault.to_string());
    drop(scene);
    fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    removed
}

fn write_file(folder: &Path, hosts: &[Host]) -> Result<(), String> {
    let hosts = hosts.iter().map(|host| HostRow {
        host: host.name.clone(),
        network: host.network.clone(),
        ip: host.ip,
        mac: host.mac,
        pid: host.pid(),
    });
    let keeper = std::process::id();
    let lab = LabFile { keeper, started: started(keeper).unwrap_or(0), hosts: hosts.collect() };
    let text = serde_json::to_string_pretty(&lab).map_err(|error| error.to_string())?;
    fs::write(file_of(folder), text).map_err(|error| error.to_string())
}

fn table(hosts: &[HostRow]) -> String {
    let mut table = Table::new([
        ("HOST", Lean::Left),
        ("NETWORK", Lean::Left),
        ("IP", Lean::Left),
        ("MAC", Lean::Left),
        ("PID", Lean::Right),
    ]);
    for row in hosts {
        table.row([
            row.host.clone(),
            row.network.clone(),
            row.ip.to_string(),
            row.mac.to_string(),
            row.pid.to_string(),
        ]);
    }
    table.render()
}

/// `lanyard lab ls`
pub(crate) fn ls(args: &LsArgs) -> Result<(), Failure> {
    let hosts = current().map_or(Vec::new(), |lab| lab.hosts);
    if args.json {
        let text = serde_json::to_string_pretty(&hosts).map_err(|error| Failure::Work(error.to_string()))?;
        return print(&format!("{text}\n"));
    }
    if hosts.is_empty() {
        return print("no lab is up: make one with 'lanyard lab up'\n");
    }
    print(&table(&hosts))
}

/// `lanyard lab exec`: become the command, in the host's namespaces.
pub(crate) fn exec(args: &ExecArgs) -> Result<(), Failure> {
    enter_host(&args.host)?;
    let Some((program, words)) = args.command.split_first() else {
        return Err(Failure::Words("no command was given".to_owned()));
    };
    let error = Command::new(program).args(words).exec();
    Err(Failure::work(program.to_string_lossy(), error))
}

/// Go into a host's namespaces, for good.
///
/// # Errors
/// There is no lab, no such host, or its namespaces are another user's.
pub(super) fn enter_host(name: &str) -> Result<HostRow, Failure> {
    let mut lab = needed()?;
    let Some(place) = lab.hosts.iter().position(|row| row.host == name) else {
        let names: Vec<&str> = lab.hosts.iter().map(|row| row.host.as_str()).collect();
        return Err(Failure::Work(format!("the lab has no host '{name}': it has {}", names.join(", "))));
    };
    let host = lab.hosts.swap_remove(place);
    if !Uid::effective().is_root() {
        enter(host.pid, "user", CloneFlags::CLONE_NEWUSER)?;
    }
    enter(host.pid, "net", CloneFlags::CLONE_NEWNET)?;
    Ok(host)
}

fn enter(pid: u32, kind: &str, flag: CloneFlags) -> Result<(), Failure> {
    let path = format!("/proc/{pid}/ns/{kind}");
    let namespace = File::open(&path).map_err(|error| Failure::work(&path, error))?;
    setns(namespace.as_fd(), flag).map_err(|error| Failure::work(&path, error))
}

/// `lanyard lab down`
pub(crate) fn down() -> Result<(), Failure> {
    if take_down()? { Ok(()) } else { print("no lab is up\n") }
}

/// End the lab; `false` when none was up.
///
/// # Errors
/// Another command is at it, or it belongs to somebody else.
pub(crate) fn take_down() -> Result<bool, Failure> {
    let folder = folder();
    if !folder.exists() {
        return Ok(false);
    }
    let _lock = hold(&folder)?;
    let Some(lab) = current() else {
        // A keeper that was killed could not clear its folder.
        fs::remove_dir_all(&folder).map_err(|error| Failure::work(folder.display(), error))?;
        return Ok(false);
    };
    let pid = Pid::from_raw(lab.keeper.cast_signed());
    kill(pid, Signal::SIGTERM).map_err(|error| Failure::work(format!("pid {pid}"), error))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while started(lab.keeper) == Some(lab.started) {
        if Instant::now() > deadline {
            let _ = kill(pid, Signal::SIGKILL); // the kernel takes namespaces and interfaces away with it
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = fs::remove_dir_all(&folder); // there only if the keeper could not
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_named_only_beside_another_switch() {
        let folder = tempfile::tempdir().unwrap();
        let (usual, socket) = (folder.path().join("usual"), Path::new("/run/lab/control.sock"));
        assert!(!hints(&usual, socket).contains("LANYARD_SOCKET"));
        fs::write(&usual, "").unwrap();
        assert!(hints(&usual, socket).contains("\n  export LANYARD_SOCKET=/run/lab/control.sock "));
    }
}
