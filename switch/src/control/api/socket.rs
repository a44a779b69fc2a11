//! Who holds the socket's name? A live daemon keeps it; a dead one's is taken over (unix(7)).

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen, socket, sockopt,
};

use crate::control::Fault;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// The name, given back when this is dropped.
pub(in crate::control) struct Claimed {
    path: PathBuf,
    file: FileIdentity,
}

/// Device, inode and time of the last change: inodes are used again at once.
type FileIdentity = (u64, u64, i64, i64);

impl Drop for Claimed {
    fn drop(&mut self) {
        // Somebody may have put another one there.
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<FileIdentity> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}

/// Bind the name and listen there.
///
/// # Errors
/// [`Fault::InUse`] when somebody listens there; [`Fault::Io`] when it cannot be made.
pub(in crate::control) fn claim(path: &Path) -> Result<(Claimed, UnixListener), Fault> {
    let fault = |error: io::Error| Fault::io(format!("cannot make the control socket {}", path.display()), error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(fault)?;
    // Two that start at once must not each take the other's for stale.
    let folder = File::open(folder).map_err(fault)?;
    let _alone = Flock::lock(folder, FlockArg::LockExclusive).map_err(|(_, errno)| fault(errno.into()))?;
    make_way(path)?;
    let listener = listen_at(path).map_err(|errno| fault(errno.into()))?;
    let file = identity(path).map_err(fault)?;
    Ok((Claimed { path: path.to_owned(), file }, listener))
}

/// Remove what a dead daemon left there.
fn make_way(path: &Path) -> Result<(), Fault> {
    let fault = |error: io::Error| Fault::io(format!("cannot use the control socket {}", path.display()), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(fault(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it is there and is no socket: choose another with --socket",
            )));
        }
        Ok(_) => (),
    }
    if let Some(pid) = listener_of(path).map_err(|errno| fault(errno.into()))? {
        let pid = if pid > 0 { format!(" (pid {pid})") } else { String::new() };
        return Err(Fault::InUse { path: path.to_owned(), pid, option: "--socket" });
    }
    fs::remove_file(path).map_err(fault)
}

/// The process that listens there, 0 if it cannot be told; `None` if none does.
fn listener_of(path: &Path) -> nix::Result<Option<i32>> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let client = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(client.as_raw_fd(), &UnixAddr::new(path)?) {
        // The credentials are those of whoever called listen(2).
        Ok(()) => Ok(Some(getsockopt(&client, sockopt::PeerCredentials).map_or(0, |peer| peer.pid()))),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(None),
        Err(Errno::EAGAIN) => Ok(Some(0)), // it listens, and is busy
        Err(errno) => Err(errno),
    }
}

/// Nobody can connect between bind(2) and listen(2), and by then only the owner may.
fn listen_at(path: &Path) -> nix::Result<UnixListener> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let server = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(server.as_raw_fd(), &UnixAddr::new(path)?)?;
    let ready = fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        .and_then(|()| listen(&server, Backlog::new(BACKLOG)?));
    if let Err(errno) = ready {
        let _ = fs::remove_file(path);
        return Err(errno);
    }
    Ok(server.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_one_keeps_its_name_and_a_dead_ones_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/control.sock");
        let (claimed, listener) = claim(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let fault = claim(&path).map(|_| ()).unwrap_err().to_string();
        assert!(fault.contains(&format!("(pid {})", std::process::id())) && fault.contains("--socket"), "{fault}");
        drop(listener);
        let (again, _listener) = claim(&path).unwrap();
        drop(claimed);
        assert!(path.exists(), "it belongs to somebody else now");
        drop(again);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "precious").unwrap();
        let fault = claim(&path).map(|_| ()).unwrap_err().to_string();
        assert!(fault.contains("is no socket"), "{fault}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(150));
        assert!(matches!(claim(&path), Err(Fault::Io { .. })));
    }
}
