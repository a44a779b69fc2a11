//! How are other people's programs run? Each writes into a file of its own in memory, is waited for only so long, and
//! ends when this process does, however that ends (`PR_SET_PDEATHSIG`, prctl(2)).
//!
//! The signal comes when the *thread* that started a program ends: all are started by the first one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::place::until;

/// Where everything is that programs of this process write. It is a `/run` of its own.
pub const FOLDER: &str = "/run/lanyard-arena";
/// For a program that has nothing to wait for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The tools, and the Debian package that each comes in.
const PACKAGES: [(&str, &str); 15] = [
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("iperf3", "iperf3"),
    ("trafgen", "netsniff-ng"),
    ("sockperf", "sockperf"),
    ("ethtool", "ethtool"),
    ("iptables-restore", "iptables"),
    ("ovs-vswitchd", "openvswitch-switch"),
    ("ovsdb-server", "openvswitch-common"),
    ("ovsdb-tool", "openvswitch-common"),
    ("ovs-vsctl", "openvswitch-switch"),
    ("vde_switch", "vde-switch"),
    ("vde_plug2tap", "vde2"),
];

/// Which of these are not installed: a sentence that says where to get them, or `None`.
pub fn missing(programs: &[&str]) -> Option<String> {
    let absent: Vec<String> = programs.iter().filter(|name| find(name).is_none()).map(|name| told(name)).collect();
    (!absent.is_empty()).then(|| format!("not installed: {}", absent.join(", ")))
}

fn told(program: &str) -> String {
    let package = PACKAGES.iter().find(|(name, _)| *name == program);
    package.map_or_else(|| program.to_owned(), |(name, package)| format!("{name} (Debian package {package})"))
}

/// Daemons are not in everybody's `PATH`.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A program that is to be run.
pub struct Program {
    name: String,
    command: Command,
}

impl Program {
    /// In the network namespace of the calling thread.
    pub fn here(words: &[&str]) -> Self {
        Self::after(Command::new("setpriv"), words)
    }

    /// In the network namespace that `path` stands for.
    pub fn in_network(path: &str, words: &[&str]) -> Self {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={path}")).arg("setpriv");
        Self::after(command, words)
    }

    fn after(mut command: Command, words: &[&str]) -> Self {
        let name = words.first().copied().unwrap_or_default();
        command.args(["--pdeathsig", "KILL", "--"]);
        command.arg(find(name).unwrap_or_else(|| name.into())).args(words.iter().skip(1));
        command.env("LC_ALL", "C").stdin(Stdio::null());
        Self { name: name.to_owned(), command }
    }

    /// The same, with processes of its own ended with it: for one that forks (a pid namespace, `pid_namespaces(7)`).
    pub fn in_network_with_children(path: &str, words: &[&str]) -> Self {
        let name = words.first().copied().unwrap_or_default();
        let found = find(name).unwrap_or_else(|| name.into());
        let found = found.to_string_lossy();
        let around = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--", &found];
        let words: Vec<&str> = around.into_iter().chain(words.iter().skip(1).copied()).collect();
        Self { name: name.to_owned(), ..Self::in_network(path, &words) }
    }

    /// With this in its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// With this text as its input.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn input(mut self, text: &str) -> io::Result<Self> {
        let file = new_file(&format!("{}.in", self.name))?;
        fs::write(&file, text)?;
        self.command.stdin(File::open(file)?);
        Ok(self)
    }

    /// With an input that says nothing and does not end.
    #[must_use]
    pub fn silent_input(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    /// Start it.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start(mut self) -> io::Result<Running> {
        let said = new_file(&self.name)?;
        let file = File::create(&said)?;
        self.command.stdout(file.try_clone()?).stderr(file);
        let child = self.command.spawn().map_err(|error| io::Error::other(format!("{}: {error}", self.name)))?;
        Ok(Running { name: self.name, child, said })
    }

    /// Run it to its end, and return what it said.
    ///
    /// # Errors
    /// It failed, in its own words; it does not end in time.
    pub fn run(self, patience: Duration) -> io::Result<String> {
        let mut running = self.start()?;
        running.wait(patience)?;
        if running.child.wait()?.success() { Ok(running.said()) } else { Err(running.failed()) }
    }
}

/// A file in memory that is not there yet.
fn new_file(name: &str) -> io::Result<PathBuf> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    fs::create_dir_all(FOLDER)?;
    Ok(Path::new(FOLDER).join(format!("{name}.{}", NUMBER.fetch_add(1, Ordering::Relaxed))))
}

/// A program that runs. It is ended, by its id, when this is dropped, and what it said is forgotten.
pub struct Running {
    name: String,
    child: Child,
    said: PathBuf,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        fs::read(&self.said).map(|said| String::from_utf8_lossy(&said).into_owned()).unwrap_or_default()
    }

    /// Wait for its end.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn wait(&mut self, patience: Duration) -> io::Result<()> {
        until(patience, || Ok(self.child.try_wait()?.is_some()))
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("{} does not end", self.name)))
    }

    /// It should still run.
    ///
    /// # Errors
    /// It has ended: its last words.
    pub fn still_runs(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_none() { Ok(()) } else { Err(self.failed()) }
    }

    /// Wait until this file is there, made by it.
    ///
    /// # Errors
    /// It ended instead, or makes none in time.
    pub fn makes(&mut self, file: &str) -> io::Result<()> {
        until(PATIENCE, || {
            self.still_runs()?;
            fs::exists(file)
        })
    }

    /// Its last words, which usually are why; without any, how it ended.
    fn failed(&mut self) -> io::Error {
        let said = self.said();
        let last = said.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned());
        let ended = || self.child.try_wait().ok().flatten().map_or_else(String::new, |status| status.to_string());
        let last = last.unwrap_or_else(ended);
        io::Error::other(format!("{} has ended: {last}", self.name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // All fail only when it has ended, or gone, already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.said);
    }
}
