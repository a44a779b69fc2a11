//! Which systemd units make the switch Docker's network driver? A socket that systemd holds in Docker's plugin folder, and
//! the daemon that answers there.
//!
//! With the socket systemd's, a call of dockerd's that comes while the switch is started anew waits, where without it
//! dockerd would try again for 15 seconds and fail (moby, `pkg/plugins/client.go`). Both units come before
//! `docker.service`, so that containers that start with the machine find the switch. See systemd.socket(5), `sd_listen_fds(3)`.
//!
//! Not done: other init systems (the unit's `ExecStart` says what to run there).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use switch::control::plugin::PLUGIN_SOCKET;

use crate::failure::{Failure, print};

/// Where an administrator's units are.
const FOLDER: &str = "etc/systemd/system";
/// The units' names.
const SOCKET: &str = "lanyard.socket";
const SERVICE: &str = "lanyard.service";
/// The first line of what this program writes: another's unit of that name is left alone.
const MARK: &str = "# Made by 'lanyard docker install'; 'lanyard docker uninstall' removes it.";

/// Write both, and start them where systemd runs.
///
/// # Errors
/// A unit of that name is somebody else's, or cannot be written; systemd refuses.
pub(super) fn install(root: &Path) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::work("this program cannot be found", error))?;
    let units = [(SOCKET, socket_unit()), (SERVICE, service_unit(&program))];
    for (name, _) in &units {
        owned(&unit_path(root, name))?;
    }
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| written(&folder, &error))?;
    for (name, text) in &units {
        let path = unit_path(root, name);
        fs::write(&path, text).map_err(|error| written(&path, &error))?;
        print(&format!("wrote {}\n", path.display()))?;
    }
    if !systemd_runs(root) {
        return print("systemd does not run here: start 'lanyard run --docker' before dockerd yourself\n");
    }
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "--now", SOCKET, SERVICE])?;
    print("the switch runs: docker network create -d lanyard lan\n")
}

/// Stop them, and remove what [`install`] wrote. What is not there is fine.
///
/// # Errors
/// A unit of that name is somebody else's, or cannot be removed; systemd refuses.
pub(super) fn uninstall(root: &Path) -> Result<(), Failure> {
    let paths: Vec<PathBuf> = [SERVICE, SOCKET].iter().map(|name| unit_path(root, name)).collect();
    let mut there = Vec::new();
    for path in paths {
        if owned(&path)? {
            there.push(path);
        }
    }
    if there.is_empty() {
        return print("nothing is installed\n");
    }
    let systemd = systemd_runs(root);
    if systemd {
        systemctl(&["disable", "--now", SOCKET, SERVICE])?;
    }
    for path in &there {
        fs::remove_file(path).map_err(|error| written(path, &error))?;
        print(&format!("removed {}\n", path.display()))?;
    }
    if systemd {
        systemctl(&["daemon-reload"])?;
    }
    print("networks and their state stay: 'docker network rm' removes them while the switch runs\n")
}

/// Where a unit is, and whether [`install`] wrote it; `None` if it is not there.
pub(super) fn installed(name: &str) -> Option<bool> {
    let text = fs::read_to_string(unit_path(Path::new("/"), name)).ok()?;
    Some(text.starts_with(MARK))
}

pub(super) const UNITS: [&str; 2] = [SOCKET, SERVICE];

fn unit_path(root: &Path, name: &str) -> PathBuf {
    root.join(FOLDER).join(name)
}

/// Is it there, and ours?
///
/// # Errors
/// It is somebody else's.
fn owned(path: &Path) -> Result<bool, Failure> {
    match fs::read_to_string(path) {
        Ok(text) if text.starts_with(MARK) => Ok(true),
        Ok(_) => {
            let path = path.display();
            Err(Failure::Work(format!("{path} was not made by this program: move it away, or keep it and start it")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(written(path, &error)),
    }
}

fn written(path: &Path, error: &io::Error) -> Failure {
    let mend = if error.kind() == io::ErrorKind::PermissionDenied { ": run it as root" } else { "" };
    Failure::Work(format!("{}: {error}{mend}", path.display()))
}

/// Is it this machine's own root, with systemd as its first process (`sd_booted(3)`)?
fn systemd_runs(root: &Path) -> bool {
    root == Path::new("/") && Path::new("/run/systemd/system").is_dir()
}

fn systemctl(words: &[&str]) -> Result<(), Failure> {
    let done = Command::new("systemctl").args(words).output();
    let done = done.map_err(|error| Failure::work("systemctl cannot be run", error))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.trim();
    Err(Failure::Work(format!("systemctl {}: {said}; see 'journalctl -u {SERVICE}'", words.join(" "))))
}

fn socket_unit() -> String {
    format!(
        "{MARK}\n\
         [Unit]\n\
         Description=Lanyard's socket for Docker\n\
         Before=docker.service\n\
         \n\
         [Socket]\n\
         ListenStream={PLUGIN_SOCKET}\n\
         SocketMode=0600\n\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n"
    )
}

fn service_unit(program: &Path) -> String {
    format!(
        "{MARK}\n\
         [Unit]\n\
         Description=Lanyard, a userspace switch for containers\n\
         Requires={SOCKET}\n\
         After={SOCKET} network-pre.target nftables.service firewalld.service\n\
         Before=docker.service\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStart={program} run --docker\n\
         Restart=always\n\
         RestartSec=500ms\n\
         LimitNOFILE=1048576\n\
         OOMScoreAdjust=-900\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n\
         Also={SOCKET}\n",
        program = program.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_and_go() {
        let root = tempfile::tempdir().unwrap();
        install(root.path()).unwrap();
        install(root.path()).unwrap();
        let socket = fs::read_to_string(unit_path(root.path(), SOCKET)).unwrap();
        assert!(socket.contains("ListenStream=/run/docker/plugins/lanyard.sock\n"), "{socket}");
        let service = fs::read_to_string(unit_path(root.path(), SERVICE)).unwrap();
        assert!(service.contains(" run --docker\n") && service.contains("Before=docker.service\n"), "{service}");
        uninstall(root.path()).unwrap();
        uninstall(root.path()).unwrap();
        assert_eq!(fs::read_dir(root.path().join(FOLDER)).unwrap().count(), 0);
    }

    #[test]
    fn another_s_unit_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = unit_path(root.path(), SERVICE);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "[Unit]\n").unwrap();
        for refused in [install(root.path()), uninstall(root.path())] {
            assert!(matches!(refused, Err(Failure::Work(text)) if text.contains("lanyard.service")));
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "[Unit]\n");
        assert!(!unit_path(root.path(), SOCKET).exists());
    }
}
