//! How does a user name a network namespace, and how does one hear that the name is gone? `NAME | PATH | pid:PID`.
//!
//! A [`Watch`] is a descriptor for the poller: inotify(7) on the directory for a name or path, `pidfd_open(2)` for a
//! process. It holds no reference to the namespace.
//!
//! Not seen as an event: an unmount that leaves the empty file behind (dockerd does that, and removes the file up to a
//! minute later). inotify cannot tell of it without pinning the namespace, so ask [`Watch::is_gone`] now and then as
//! well; it costs one stat(2).

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::{NAMED, Namespace, NamespaceId};

/// A network namespace as a user names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamespaceRef {
    /// A name that `ip netns list` shows.
    Name(String),
    /// A file that stands for the namespace; an absolute path.
    Path(PathBuf),
    /// The namespace a process is in.
    Process(u32),
    /// The reader's own; written `own:`, which only a program would.
    Own,
}

/// How [`NamespaceRef::Own`] is written.
const OWN: &str = "own:";

/// The text names no namespace. Each says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNamespaceRef {
    /// Nothing, a dot name, or more than 255 octets.
    #[error("'{0}' is no name of a network namespace: write NAME, /PATH or pid:PID")]
    NotAName(String),
    /// A path that depends on where the reader of it stands.
    #[error("'{0}' is relative: write the whole path, as in /run/netns/red")]
    Relative(String),
    /// `/proc/self` is another process for whoever reads it.
    #[error("'{0}' would be the daemon's own namespace: write pid:PID")]
    Itself(String),
    /// Not a process number.
    #[error("'{0}' is no process: write pid: and a number above 0, as in pid:4711")]
    NotAProcess(String),
}

/// The namespace could not be opened. Each names it and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Nothing of that name under `/run/netns`.
    #[error("no network namespace '{0}': `ip netns list` shows the names{hint}", hint = process_hint(.0))]
    NoSuchName(String),
    /// No such file.
    #[error("no network namespace at '{}': `ls` of its folder shows what is there", .0.display())]
    NoSuchPath(PathBuf),
    /// No such process.
    #[error("no process {0}: it may have ended; `lsns -t net` shows the living ones")]
    NoSuchProcess(u32),
    /// A file, but no namespace.
    #[error("'{0}' is not a network namespace: its mount may be gone; `lsns -t net` shows the living ones")]
    NotANamespace(NamespaceRef),
    /// Anything else, permissions above all.
    #[error("cannot open the network namespace '{0}': {1}")]
    Refused(NamespaceRef, #[source] io::Error),
}

/// Whoever writes a bare number most likely means a process.
fn process_hint(name: &str) -> String {
    name.parse::<u32>().map_or(String::new(), |pid| format!("; for process {pid} write pid:{pid}"))
}

impl FromStr for NamespaceRef {
    type Err = BadNamespaceRef;

    fn from_str(text: &str) -> Result<Self, BadNamespaceRef> {
        if text == OWN {
            return Ok(Self::Own);
        }
        if let Some(pid) = text.strip_prefix("pid:") {
            let refuse = || BadNamespaceRef::NotAProcess(text.to_owned());
            let digits = pid.bytes().all(|octet| octet.is_ascii_digit());
            return pid.parse().ok().filter(|pid| digits && *pid > 0).map(Self::Process).ok_or_else(refuse);
        }
        if text.contains('/') {
            return parse_path(text);
        }
        if text.is_empty() || text == "." || text == ".." || text.len() > 255 || text.contains('\0') {
            return Err(BadNamespaceRef::NotAName(text.to_owned()));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

fn parse_path(text: &str) -> Result<NamespaceRef, BadNamespaceRef> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(BadNamespaceRef::Relative(text.to_owned()));
    }
    if text.contains('\0') {
        return Err(BadNamespaceRef::NotAName(text.to_owned()));
    }
    let names: Vec<&str> = path
        .components()
        .filter_map(|part| if let Component::Normal(name) = part { name.to_str() } else { None })
        .collect();
    match names[..] {
        ["proc", "self" | "thread-self", ..] => Err(BadNamespaceRef::Itself(text.to_owned())),
        // A process, said differently: so it is watched as one.
        ["proc", pid, "ns", "net"] if pid.parse::<u32>().is_ok_and(|pid| pid > 0) => {
            pid.parse().map(NamespaceRef::Process).map_err(|_| BadNamespaceRef::NotAProcess(text.to_owned()))
        }
        _ => Ok(NamespaceRef::Path(path.to_owned())),
    }
}

impl fmt::Display for NamespaceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Process(pid) => write!(f, "pid:{pid}"),
            Self::Own => f.write_str(OWN),
        }
    }
}

impl NamespaceRef {
    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Name(name) => Path::new(NAMED).join(name),
            Self::Path(path) => path.clone(),
            Self::Process(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
            Self::Own => PathBuf::from("/proc/thread-self/ns/net"),
        }
    }

    /// The namespace it names now.
    ///
    /// # Errors
    /// [`NamespaceError`], which names it and says what to do.
    pub fn open(&self) -> Result<Namespace, NamespaceError> {
        Namespace::open(self.path()).map_err(|error| match (self, error.kind()) {
            // A zombie still has its folder, but is in no namespace any more.
            (Self::Process(pid), io::ErrorKind::NotFound) => NamespaceError::NoSuchProcess(*pid),
            (Self::Name(name), io::ErrorKind::NotFound) => NamespaceError::NoSuchName(name.clone()),
            (Self::Path(path), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                NamespaceError::NoSuchPath(path.clone())
            }
            (_, io::ErrorKind::InvalidInput) => NamespaceError::NotANamespace(self.clone()),
            _ => NamespaceError::Refused(self.clone(), error),
        })
    }

    /// Hear when this no longer names `identity`: the name was deleted or renamed, the process ended. It may be gone
    /// before the watch begins, so ask [`Watch::is_gone`] once after this.
    ///
    /// # Errors
    /// It names nothing any more (`NotFound`), or no descriptor or inotify watch is left.
    pub fn watch(&self, identity: NamespaceId) -> io::Result<Watch> {
        let path = self.path();
        let fd = match self {
            Self::Process(pid) => process_watch(*pid)?,
            Self::Name(_) | Self::Path(_) | Self::Own => folder_watch(&path)?,
        };
        Ok(Watch { fd, path, identity })
    }
}

/// A descriptor that becomes readable when a [`NamespaceRef`] may have lost its meaning.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
    path: PathBuf,
    identity: NamespaceId,
}

impl Watch {
    /// Is it gone? Call it when the descriptor is readable: it takes what waits there, and looks. Other names coming
    /// and going in the same directory wake it too. A process's descriptor stays readable after its end.
    ///
    /// # Errors
    /// Those of stat(2) that do not mean that it is gone.
    pub fn is_gone(&mut self) -> io::Result<bool> {
        let mut events = [0; 4096];
        // A pidfd refuses read(2), and that is all it does.
        while nix::unistd::read(self.fd.as_fd(), &mut events).is_ok_and(|octets| octets > 0) {}
        match NamespaceId::of_path(&self.path) {
            Ok(identity) => Ok(identity != self.identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOTDIR)) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `pidfd_open(2)`, since Linux 5.3: readable when the process has ended.
fn process_watch(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the system call takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK) };
    // SAFETY: a descriptor the kernel has just given us belongs to nobody else.
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }) }
}

/// The directory is watched, not the file: a watch on the file itself would pin the nsfs inode and with it the
/// namespace.
fn folder_watch(path: &Path) -> io::Result<OwnedFd> {
    let real = path.canonicalize()?;
    let folder = CString::new(real.parent().unwrap_or(&real).as_os_str().as_bytes())?;
    // SAFETY: takes one integer; the descriptor it returns is checked and belongs to nobody else.
    let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above, the kernel has just given it to us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let gone = libc::IN_DELETE | libc::IN_MOVED_FROM | libc::IN_MOVED_TO | libc::IN_DELETE_SELF | libc::IN_MOVE_SELF;
    // SAFETY: `folder` is a NUL-terminated text that outlives the call.
    let added = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), folder.as_ptr(), gone | libc::IN_ONLYDIR) };
    if added < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn readable(watch: &Watch, milliseconds: u16) -> bool {
        let mut fds = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(milliseconds)).unwrap() == 1
    }

    #[test]
    fn the_three_ways_to_name_one() {
        let table = [
            ("red", NamespaceRef::Name("red".into()), "/run/netns/red"),
            ("pid:1", NamespaceRef::Process(1), "/proc/1/ns/net"),
            ("/proc/42/ns/net", NamespaceRef::Process(42), "/proc/42/ns/net"),
            ("/run/docker/netns/3d1a", NamespaceRef::Path("/run/docker/netns/3d1a".into()), "/run/docker/netns/3d1a"),
            ("1234", NamespaceRef::Name("1234".into()), "/run/netns/1234"),
        ];
        for (text, reference, path) in table {
            let parsed: NamespaceRef = text.parse().unwrap();
            assert_eq!((&parsed, parsed.path()), (&reference, PathBuf::from(path)), "{text}");
            assert_eq!(parsed.to_string().parse(), Ok(reference), "{text}");
        }
    }

    #[test]
    fn what_names_none_is_refused_in_one_line() {
        let long = "x".repeat(256);
        for text in [
            "",
            ".",
            "..",
            &long,
            "a\0b",
            "/run/netns/a\0b",
            "./red",
            "netns/red",
            "/proc/self/ns/net",
            "/proc/thread-self/ns/net",
            "/proc//self/ns/net",
            "pid:",
            "pid:0",
            "pid:-1",
            "pid:+1",
            "pid:x",
            "pid:99999999999",
        ] {
            let refused = text.parse::<NamespaceRef>().unwrap_err().to_string();
            assert!(refused.contains("write ") && !refused.contains('\n'), "{refused}");
        }
    }

    #[test]
    fn an_error_names_it_and_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let none = folder.path().join("none");
        let table = [
            ("no-such-lanyard".to_owned(), "no network namespace 'no-such-lanyard': `ip netns list` shows the names"),
            ("4194999".to_owned(), "`ip netns list` shows the names; for process 4194999 write pid:4194999"),
            ("pid:4194999".to_owned(), "no process 4194999: it may have ended"),
            (none.display().to_string(), "no network namespace at '/"),
            (plain.display().to_string(), "is not a network namespace: its mount may be gone"),
        ];
        for (text, words) in table {
            let error = text.parse::<NamespaceRef>().unwrap().open().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_end_of_a_process_is_heard() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let reference = NamespaceRef::Process(child.id());
        let identity = reference.open().unwrap().identity().unwrap();
        let mut watch = reference.watch(identity).unwrap();
        assert!(!readable(&watch, 0) && !watch.is_gone().unwrap());
        child.kill().unwrap();
        assert!(readable(&watch, 5000) && watch.is_gone().unwrap(), "a zombie is gone");
        child.wait().unwrap();
        assert!(readable(&watch, 0) && watch.is_gone().unwrap(), "and so is what has been waited for");
        assert!(reference.watch(identity).is_err());
    }

    #[test]
    fn the_end_of_a_name_is_heard_and_that_of_its_neighbour_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let [mine, other] = ["mine", "other"].map(|name| folder.path().join(name));
        // Nothing here asks whether it is a namespace, so that no root is needed.
        std::fs::write(&mine, "").unwrap();
        std::fs::write(&other, "").unwrap();
        let identity = NamespaceId::of_path(&mine).unwrap();
        let mut watch = NamespaceRef::Path(mine.clone()).watch(identity).unwrap();
        assert!(!readable(&watch, 0) && !watch.is_gone().unwrap());
        std::fs::remove_file(&other).unwrap();
        assert!(readable(&watch, 1000) && !watch.is_gone().unwrap() && !readable(&watch, 0));
        std::fs::rename(&mine, folder.path().join("renamed")).unwrap();
        assert!(readable(&watch, 1000) && watch.is_gone().unwrap());
        std::fs::write(&mine, "").unwrap();
        assert!(watch.is_gone().unwrap(), "the same name, another file");
    }
}
