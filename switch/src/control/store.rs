//! How is the state kept so that a crash at any moment leaves a whole copy? Written beside, made durable, renamed into
//! place; the copy before it stays (rename(2), fsync(2)).
//!
//! | file | what it is |
//! | --- | --- |
//! | `state.json` | the state |
//! | `state.json.previous` | the one before |
//! | `state.json.corrupt`, `state.json.previous.corrupt` | what could not be read, kept aside for whoever wants to look |
//! | `lock` | held by the running daemon (flock(2)), with its pid in it |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::Fault;
use super::state::{State, Unreadable};

/// The largest state file that is read: far above what all ports and networks need.
const MOST_OCTETS: u64 = 64 << 20;

/// A state folder, locked for this process for as long as this lives.
pub(super) struct Store {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Store {
    /// Make the folder if it is not there, and lock it.
    ///
    /// # Errors
    /// [`Fault::InUse`] when another daemon holds it; [`Fault::Io`] when it cannot be made or written.
    pub(super) fn open(folder: &Path) -> Result<Self, Fault> {
        let fault = |error: io::Error| {
            let mend = io::Error::new(error.kind(), format!("{error}: choose another with --state-dir"));
            Fault::io(format!("cannot use the state folder {}", folder.display()), mend)
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fault)?;
        let path = folder.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fault)?;
        let mut holder = String::new();
        let _ = (&file).take(32).read_to_string(&mut holder); // only for the sentence below
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => {
                let pid = holder.trim().parse::<u32>().map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                return Err(Fault::InUse { path: folder.to_owned(), pid, option: "--state-dir" });
            }
            Err((_, errno)) => return Err(fault(errno.into())),
        };
        write_pid(&mut lock).map_err(fault)?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// Read the state. What cannot be read is kept aside and said loudly; the copy before it is used. `None` when there
    /// was one, and nothing of it can be read.
    ///
    /// # Errors
    /// A later program wrote the state, or the system refused to read it: nothing is touched then.
    pub(super) fn load(&self) -> Result<Option<State>, Fault> {
        let current = self.read("state.json")?;
        if let Found::State(state) = current {
            return Ok(Some(state));
        }
        let was_there = matches!(current, Found::Corrupt);
        match self.read("state.json.previous")? {
            Found::State(state) => {
                tracing::error!(
                    folder = %self.folder.display(),
                    "the state file is {}: the copy before it is used, so the last change may be missing",
                    if was_there { "corrupt" } else { "missing" }
                );
                Ok(Some(state))
            }
            Found::Corrupt => {
                tracing::error!(folder = %self.folder.display(), "no readable state is left: the switch starts empty");
                Ok(None)
            }
            Found::Nothing if was_there => {
                tracing::error!(
                    folder = %self.folder.display(),
                    "the state file is corrupt and there is no copy before it: the switch starts empty"
                );
                Ok(None)
            }
            Found::Nothing => Ok(Some(State::default())),
        }
    }

    /// Write the state down; it is durable when this returns.
    ///
    /// # Errors
    /// [`Fault::Io`] (a full disk, say): the state on disk is the one before.
    pub(super) fn save(&self, state: &State) -> Result<(), Fault> {
        let octets = state.to_file().map_err(io::Error::other);
        octets
            .and_then(|octets| self.replace(&octets))
            .map_err(|error| Fault::io(format!("cannot write the state to {}", self.folder.display()), error))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn replace(&self, octets: &[u8]) -> io::Result<()> {
        let (new, current) = (self.path("state.json.new"), self.path("state.json"));
        write_durably(&new, octets).inspect_err(|_| {
            let _ = fs::remove_file(&new); // a part of a file is no use to anybody
        })?;
        // A second name for the current copy first, so that `state.json` itself is there at every moment.
        let kept = self.path("state.json.kept");
        let _ = fs::remove_file(&kept); // left by a crash between the next two lines
        match fs::hard_link(&current, &kept) {
            Ok(()) => fs::rename(&kept, self.path("state.json.previous"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(_) => {
                // A file system without hard links.
                write_durably(&kept, &fs::read(&current)?)?;
                fs::rename(&kept, self.path("state.json.previous"))?;
            }
        }
        fs::rename(&new, &current)?;
        File::open(&self.folder)?.sync_all()
    }

    fn read(&self, name: &str) -> Result<Found, Fault> {
        let path = self.path(name);
        let mut octets = Vec::new();
        match File::open(&path).and_then(|file| file.take(MOST_OCTETS).read_to_end(&mut octets)) {
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(Fault::io(format!("cannot read {}", path.display()), error)),
        }
        match State::from_file(&octets) {
            Ok(state) => Ok(Found::State(state)),
            Err(newer @ Unreadable::Newer(_)) => Err(Fault::State(format!(
                "{} is {newer}: start the program that wrote it, or choose another folder with --state-dir",
                path.display()
            ))),
            Err(corrupt) => {
                let aside = self.path(&format!("{name}.corrupt"));
                fs::rename(&path, &aside).map_err(|error| {
                    Fault::io(format!("{} is {corrupt}, and cannot be put aside", path.display()), error)
                })?;
                tracing::error!("{} is {corrupt}; it is kept as {}", path.display(), aside.display());
                Ok(Found::Corrupt)
            }
        }
    }
}

enum Found {
    State(State),
    Corrupt,
    Nothing,
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    io::Seek::rewind(file)?;
    writeln!(file, "{}", std::process::id())
}

fn write_durably(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::sample;
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let folder = folder();
        let path = folder.path().join("a/b");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load().unwrap().unwrap(), State::default());
        store.save(&sample("one")).unwrap();
        store.save(&sample("two")).unwrap();
        drop(store);
        assert_eq!(Store::open(&path).unwrap().load().unwrap().unwrap(), sample("two"));
        let previous = State::from_file(&fs::read(path.join("state.json.previous")).unwrap()).unwrap();
        assert_eq!(previous, sample("one"));
    }

    #[test]
    fn two_never_share_a_folder() {
        let folder = folder();
        let first = Store::open(folder.path()).unwrap();
        let fault = Store::open(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(fault.contains(&format!("(pid {})", std::process::id())) && fault.contains("--state-dir"), "{fault}");
        drop(first);
        Store::open(folder.path()).unwrap();
    }

    #[test]
    fn a_corrupt_state_is_kept_aside_and_the_copy_before_it_used() {
        let folder = folder();
        let store = Store::open(folder.path()).unwrap();
        store.save(&sample("one")).unwrap();
        store.save(&sample("two")).unwrap();
        fs::write(folder.path().join("state.json"), b"garbage").unwrap();
        assert_eq!(store.load().unwrap().unwrap(), sample("one"));
        assert_eq!(fs::read(folder.path().join("state.json.corrupt")).unwrap(), b"garbage");
        assert!(!folder.path().join("state.json").exists());
        // The next change begins from there, and the good copy is not lost on the way.
        store.save(&sample("three")).unwrap();
        assert_eq!(store.load().unwrap().unwrap(), sample("three"));
    }

    #[test]
    fn with_both_corrupt_the_switch_starts_empty_and_keeps_both() {
        let folder = folder();
        let store = Store::open(folder.path()).unwrap();
        fs::write(folder.path().join("state.json"), b"garbage").unwrap();
        fs::write(folder.path().join("state.json.previous"), b"rubbish").unwrap();
        assert_eq!(store.load().unwrap(), None);
        assert_eq!(fs::read(folder.path().join("state.json.corrupt")).unwrap(), b"garbage");
        assert_eq!(fs::read(folder.path().join("state.json.previous.corrupt")).unwrap(), b"rubbish");
    }

    #[test]
    fn a_crash_while_writing_leaves_a_whole_copy() {
        let folder = folder();
        let store = Store::open(folder.path()).unwrap();
        store.save(&sample("one")).unwrap();
        let whole = sample("two").to_file().unwrap();
        for len in (0..whole.len()).step_by(7) {
            fs::write(folder.path().join("state.json.new"), &whole[..len]).unwrap();
            fs::write(folder.path().join("state.json.kept"), b"left over").unwrap();
            assert_eq!(store.load().unwrap().unwrap(), sample("one"));
        }
        store.save(&sample("two")).unwrap();
        assert_eq!(store.load().unwrap().unwrap(), sample("two"));
    }

    #[test]
    fn a_state_of_a_later_program_is_left_alone() {
        let folder = folder();
        let store = Store::open(folder.path()).unwrap();
        let later = b"{\"lanyard_state\":9,\"crc32\":\"0\",\"octets\":0}\n";
        fs::write(folder.path().join("state.json"), later).unwrap();
        assert!(matches!(store.load(), Err(Fault::State(_))));
        assert_eq!(fs::read(folder.path().join("state.json")).unwrap(), later);
    }

    #[test]
    fn a_folder_that_cannot_be_is_a_fault() {
        let folder = folder();
        fs::write(folder.path().join("file"), "").unwrap();
        let fault = Store::open(&folder.path().join("file")).map(|_| ()).unwrap_err();
        assert!(matches!(fault, Fault::Io { .. }) && fault.to_string().contains("choose another with --state-dir"));
    }
}
