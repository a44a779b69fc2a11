//! Where does it happen? In a world of its own: a dockerd and a switch share namespaces (mounts, network, processes) that
//! end with their first process, and that ends with this one, however it ends. `/run/docker/plugins`, the firewall and
//! every interface are the world's.
//!
//! What is on disk (images, dockerd's and the switch's state, which both write durably) is in a temporary folder, removed
//! at the end with the world's control groups. After a `kill -9` these two are left.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lanyard_benches::asked::Daemon;
use tempfile::TempDir;

/// Longer than Docker takes for anything, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What the first process does: private places for sockets and settings, and every orphan's funeral.
const FIRST: &str = "mount -t tmpfs none /run && mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && \
    mkdir -p /run/docker/plugins /run/lock /run/netns && ip link set lo up && echo ready && \
    while :; do wait; sleep 0.1; done";

/// What the image can do.
const COMMANDS: &str = "sh ping sleep true";

/// The programs that are needed, and the Debian package that each comes in.
const PACKAGES: [(&str, &str); 12] = [
    ("dockerd", "docker.io"),
    ("busybox", "busybox-static"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("timeout", "coreutils"),
    ("bash", "bash"),
    ("tar", "tar"),
    ("ping", "iputils-ping"),
];

/// Which of all that a world needs, and of `more`, are not installed: a sentence, or `None`.
pub(crate) fn missing(more: &[&str]) -> Option<String> {
    let needed = PACKAGES.iter().map(|(name, _)| *name).chain(more.iter().copied());
    let absent: Vec<String> = needed.filter(|name| !is_installed(name)).map(told).collect();
    (!absent.is_empty()).then(|| format!("not installed: {}", absent.join(", ")))
}

fn told(program: &str) -> String {
    let package = PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package);
    format!("{program} (Debian package {package})")
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.any(|folder| folder.join(program).is_file())
}

/// A dockerd and a switch, both running.
pub(crate) struct World {
    /// Docker's API.
    pub(crate) docker: Daemon,
    /// The switch's.
    pub(crate) lanyard: Daemon,
    switch: Child,
    dockerd: Child,
    holder: Child,
    first: u32,
    folder: TempDir,
}

impl World {
    /// Begin one with this `lanyard`, with an image `busybox` in its dockerd.
    ///
    /// # Errors
    /// What does not start, in its own words.
    pub(crate) fn begin(lanyard: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lanyard-bench-").tempdir()?;
        let mut holder = hold()?;
        let begun = (|| {
            let first = child_of(holder.id())?;
            let switch = start_switch(first, lanyard, folder.path())?;
            Ok((first, switch, start_dockerd(first, folder.path())?))
        })();
        let (first, switch, dockerd) = begun.inspect_err(|_: &io::Error| end(&mut holder))?;
        let docker = Daemon::at(folder.path().join("docker.sock"), PATIENCE);
        let lanyard = Daemon::at(folder.path().join("control.sock"), PATIENCE);
        let world = Self { docker, lanyard, switch, dockerd, holder, first, folder };
        world.wait_for_dockerd()?;
        world.make_image()?;
        Ok(world)
    }

    fn wait_for_dockerd(&self) -> io::Result<()> {
        let mut last = None;
        let answered = until(PATIENCE, || Ok(self.docker.ask("GET", "/version").map_err(|e| last = Some(e)).is_ok()));
        answered.map_err(|_| io::Error::other(format!("dockerd does not answer: {last:?}; {}", self.last_words())))
    }

    /// The end of dockerd's log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("dockerd.log")).unwrap_or_default();
        log.lines().last().unwrap_or_default().to_owned()
    }

    fn make_image(&self) -> io::Result<()> {
        let root = self.folder.path().join("root");
        let links: Vec<String> = COMMANDS.split(' ').map(|name| format!("ln -s busybox bin/{name}")).collect();
        let line = format!(
            "mkdir -p {root}/bin && cd {root} && cp $(command -v busybox) bin/busybox && {links} && tar -c . > ../image.tar",
            root = root.display(),
            links = links.join(" && ")
        );
        self.run(&line)?;
        let image = fs::read(self.folder.path().join("image.tar"))?;
        let path = "/images/create?fromSrc=-&repo=busybox&tag=latest";
        self.docker.send("POST", path, "application/x-tar", &image).map(drop)
    }

    /// A shell's line on the host of that world, to its end.
    ///
    /// # Errors
    /// It failed, in its own words, or did not end in time.
    pub(crate) fn run(&self, line: &str) -> io::Result<String> {
        let seconds = PATIENCE.as_secs().to_string();
        let output = inside(self.first, &["timeout", "-k", "1", &seconds, "sh", "-c", line]).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        Err(io::Error::other(format!("'{line}' failed ({}): {said}", output.status)))
    }

    /// A program on the host of that world that stays; it ends when what is returned is dropped.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn stay(&self, words: &[&str]) -> io::Result<Staying> {
        inside(self.first, words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Staying)
    }

    /// The switch's own process.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn switch_pid(&self) -> io::Result<u32> {
        child_of(self.switch.id())
    }

    /// What the switch has written down.
    ///
    /// # Errors
    /// It has not.
    pub(crate) fn state(&self) -> io::Result<String> {
        fs::read_to_string(self.folder.path().join("state/state.json"))
    }

    /// What a container has said so far: the lines, and when dockerd heard each, seconds of the day.
    ///
    /// # Errors
    /// dockerd keeps no log of it.
    pub(crate) fn said(&self, container: &str) -> io::Result<Vec<(f64, String)>> {
        let file = self.folder.path().join(format!("data/containers/{container}/{container}-json.log"));
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let line = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).ok()?;
            Some((seconds_of_day(value["time"].as_str()?)?, value["log"].as_str()?.trim().to_owned()))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    fn group(&self) -> String {
        group(self.first)
    }
}

/// The world's control group, below which its containers' are.
fn group(first: u32) -> String {
    format!("/lanyard-bench-{first}")
}

/// The time in `2026-11-21T16:51:02.123456789Z`, as seconds since midnight.
fn seconds_of_day(time: &str) -> Option<f64> {
    let (_, clock) = time.trim_end_matches('Z').split_once('T')?;
    let mut parts = clock.split(':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

/// What keeps the world's namespaces, once they are there.
fn hold() -> io::Result<Child> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "bash", "-c", FIRST]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut holder = command.spawn()?;
    match first_line(&mut holder) {
        Ok(line) if line == "ready\n" => Ok(holder),
        _ => {
            end(&mut holder);
            Err(io::Error::other("no namespaces of one's own: are they allowed to root here?"))
        }
    }
}

fn first_line(child: &mut Child) -> io::Result<String> {
    let mut line = String::new();
    let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    BufReader::new(out).read_line(&mut line)?;
    Ok(line)
}

/// A command in the world; it ends with whoever started it.
fn inside(first: u32, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &first.to_string(), "-m", "-n", "-p", "--", "setpriv", "--pdeathsig", "KILL", "--"]);
    command.args(words).stdin(Stdio::null()).env("LC_ALL", "C").env_remove("RUST_LOG");
    command
}

fn start_switch(first: u32, lanyard: &Path, folder: &Path) -> io::Result<Child> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (program, state, docker) = (lanyard.display().to_string(), path("state"), path("docker.sock"));
    let mut command = inside(first, &[&program, "run", "--docker", "--state-dir", &state, "--docker-socket", &docker]);
    command.env("LANYARD_SOCKET", path("control.sock")).stdout(Stdio::piped());
    // For whoever looks for what takes the time.
    if let Some(level) = std::env::var_os("RUST_LOG") {
        command.env("RUST_LOG", level);
    }
    let mut switch = command.stderr(File::create(folder.join("switch.log"))?).spawn()?;
    if first_line(&mut switch)?.contains("listens") {
        return Ok(switch);
    }
    let log = fs::read_to_string(folder.join("switch.log")).unwrap_or_default();
    end(&mut switch);
    Err(io::Error::other(format!("the switch does not start: {}", log.lines().last().unwrap_or_default())))
}

fn start_dockerd(first: u32, folder: &Path) -> io::Result<Child> {
    let socket = format!("unix://{}", folder.join("docker.sock").display());
    let (data, group) = (folder.join("data").display().to_string(), group(first));
    let words = ["dockerd", "--exec-root", "/run/dk-exec", "-p", "/run/dk.pid", "-H", &socket, "--data-root", &data];
    let mut command = inside(first, &words);
    let log = File::create(folder.join("dockerd.log"))?;
    command.args(["--cgroup-parent", &group]).stdout(log.try_clone()?).stderr(log);
    command.spawn()
}

/// The process that `nsenter` or `unshare` has started.
fn child_of(pid: u32) -> io::Result<u32> {
    let mut found = None;
    until(PATIENCE, || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        found = children.split_whitespace().next().and_then(|child| child.parse().ok());
        Ok(found.is_some())
    })?;
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Ask again, every few milliseconds, until it is so.
///
/// # Errors
/// Those of `so`; `TimedOut`.
pub(crate) fn until(patience: Duration, mut so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    while !so()? {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A program that is ended, by its id, when this is dropped.
pub(crate) struct Staying(Child);

impl Drop for Staying {
    fn drop(&mut self) {
        // What `nsenter` has started ends with it.
        end(&mut self.0);
    }
}

fn end(child: &mut Child) {
    // Both fail only when it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for World {
    fn drop(&mut self) {
        // The world's first process takes every other along.
        end(&mut self.holder);
        end(&mut self.switch);
        end(&mut self.dockerd);
        for _ in 0..100 {
            let left = groups(Path::new("/sys/fs/cgroup"), self.group().trim_start_matches('/'));
            if left.iter().all(|folder| fs::remove_dir(folder).is_ok()) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The control groups of that name, wherever they are (there may be many hierarchies), with those in them first.
fn groups(under: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = subfolders(under);
    folders.extend(folders.clone().iter().flat_map(|folder| subfolders(folder)));
    for folder in folders.into_iter().filter(|folder| folder.ends_with(name)) {
        found.extend(subfolders(&folder));
        found.push(folder);
    }
    found
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
