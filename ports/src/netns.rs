//! Which network namespace is meant, and how is something done inside it? (namespaces(7), setns(2), `ioctl_ns(2)`)
//!
//! A namespace lives as long as a process, a mount, an open descriptor or a socket refers to it. A [`Namespace`] is
//! such a descriptor: whoever keeps one keeps a dead container's namespace alive, so it is opened for the moment it is
//! needed.
//!
//! A TAP's descriptor keeps the namespace in which it was opened alive too (the tun file refers to the namespace
//! through its socket). A TAP that was opened in the daemon's namespace and then moved does not; one that was attached
//! again from inside a container's namespace does, and never sees that namespace end. For those there are [`holders`]
//! and [`NamespaceRef::watch`].
//!
//! Not done: mount and user namespaces; creating names under `/run/netns`.

mod reference;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

pub use reference::{BadNamespaceRef, NamespaceError, NamespaceRef, Watch};

/// Where `ip netns` keeps names (ip-netns(8)).
pub const NAMED: &str = "/run/netns";

/// What tells one living namespace from another: the number of its nsfs inode. It may be given out again after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceId {
    /// The device of nsfs.
    pub device: u64,
    /// The inode, as in `net:[4026531840]`.
    pub inode: u64,
}

impl NamespaceId {
    /// The namespace a file such as `/proc/PID/ns/net` stands for now.
    ///
    /// # Errors
    /// Those of stat(2): `NotFound` when the process or the name is gone.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Self { device: found.dev(), inode: found.ino() })
    }
}

impl fmt::Display for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}

/// A network namespace, held open.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

impl Namespace {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// `/proc` is not mounted, or no descriptor is left.
    pub fn current() -> io::Result<Self> {
        Self::open("/proc/thread-self/ns/net")
    }

    /// The namespace a file stands for: a mount under `/run/netns` or `/run/docker/netns`, or `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// Those of open(2); `InvalidInput` when the file is not a network namespace (a name whose mount is gone is an
    /// empty file).
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        // O_NONBLOCK: a path that turns out to be a FIFO must not hold the daemon up.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let namespace = Self { fd: file.into() };
        if namespace.is_network() { Ok(namespace) } else { Err(not_a_namespace()) }
    }

    /// The namespace that `ip netns` calls `name`.
    ///
    /// # Errors
    /// As [`Namespace::open`]; a name with a `/` is `InvalidInput`.
    pub fn named(name: &str) -> io::Result<Self> {
        if name.is_empty() || name.contains('/') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name has no '/' in it"));
        }
        Self::open(Path::new(NAMED).join(name))
    }

    /// The namespace of a process (of its first thread).
    ///
    /// # Errors
    /// As [`Namespace::open`]; `NotFound` when the process has ended, `PermissionDenied` when it belongs to someone
    /// else.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::open(format!("/proc/{pid}/ns/net"))
    }

    /// A new namespace, held by nothing but the returned descriptor. It has `lo`, and that is down.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_SYS_ADMIN`.
    pub fn create() -> io::Result<Self> {
        on_a_thread_of_its_own(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Self::current()
        })?
    }

    /// What tells this namespace from others.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn identity(&self) -> io::Result<NamespaceId> {
        let found = File::from(self.fd.try_clone()?).metadata()?;
        Ok(NamespaceId { device: found.dev(), inode: found.ino() })
    }

    /// Run `f` in this namespace, on a thread of its own: the caller's thread stays where it is. Sockets opened by `f`
    /// belong to this namespace for good and may be used from anywhere. A panic of `f` goes on in the caller.
    ///
    /// # Errors
    /// No thread could be started, or setns(2) was refused (it asks for `CAP_SYS_ADMIN` on both sides).
    pub fn enter<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_a_thread_of_its_own(|| {
            setns(self.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(f())
        })?
    }

    /// A second descriptor for the same namespace.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()? })
    }

    fn is_network(&self) -> bool {
        // SAFETY: the descriptor is open and the request takes no argument and writes no memory.
        let kind = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::NS_GET_NSTYPE) };
        kind == libc::CLONE_NEWNET
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn not_a_namespace() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a network namespace")
}

/// Run `f` on a thread that ends with it, so that a namespace it changes to is nobody else's business.
fn on_a_thread_of_its_own<T: Send>(f: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("in-namespace".into()).spawn_scoped(scope, f)?;
        Ok(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The processes, other than this one, of which a thread is in that namespace; in ascending order. A process that may
/// not be looked into is passed over. Descriptors, mounts and sockets that hold a namespace are not looked for.
///
/// # Errors
/// `/proc` cannot be read.
pub fn holders(identity: NamespaceId) -> io::Result<Vec<u32>> {
    let mut found: Vec<u32> =
        numbers_in(Path::new("/proc"))?.filter(|pid| *pid != std::process::id() && is_in(*pid, identity)).collect();
    found.sort_unstable();
    Ok(found)
}

/// Is one of the process's threads there? The first one usually tells.
fn is_in(pid: u32, identity: NamespaceId) -> bool {
    let process = format!("/proc/{pid}");
    let here = |ns: String| NamespaceId::of_path(Path::new(&ns)).is_ok_and(|found| found == identity);
    here(format!("{process}/ns/net"))
        || numbers_in(Path::new(&format!("{process}/task")))
            .is_ok_and(|mut threads| threads.any(|tid| tid != pid && here(format!("{process}/task/{tid}/ns/net"))))
}

fn numbers_in(folder: &Path) -> io::Result<impl Iterator<Item = u32>> {
    Ok(fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_namespace_is_that_of_this_process() {
        let identity = Namespace::current().unwrap().identity().unwrap();
        assert_eq!(Namespace::of_process(std::process::id()).unwrap().identity().unwrap(), identity);
        assert_eq!(NamespaceId::of_path(Path::new("/proc/self/ns/net")).unwrap(), identity);
        assert_eq!(fs::read_link("/proc/self/ns/net").unwrap().to_str(), Some(identity.to_string().as_str()));
    }

    #[test]
    fn what_is_not_a_network_namespace_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [plain.as_path(), &fifo, Path::new("/proc/self/ns/uts"), Path::new("/dev/null")] {
            assert_eq!(Namespace::open(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
        assert_eq!(Namespace::open(folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        for name in ["", "../self/ns/net", "/proc/self/ns/net"] {
            assert_eq!(Namespace::named(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "'{name}'");
        }
        assert_eq!(Namespace::of_process(0).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_panic_inside_goes_on_outside() {
        let caught = std::panic::catch_unwind(|| on_a_thread_of_its_own(|| panic!("inside")));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
    }
}
