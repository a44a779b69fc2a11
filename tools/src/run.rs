//! `lanyard run`: the daemon, in the foreground.
//!
//! Whoever starts it (a shell, systemd, a container) keeps it: there is no fork, no pid file. Standard output says where
//! the socket is, standard error is the log. Not done: SIGHUP, telling systemd that it is ready.

use std::io;
use std::path::Path;
use std::thread::available_parallelism;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use switch::control::{Fault, PluginSocket, Switch, SwitchConfig};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::RunArgs;
use crate::failure::{self, Failure, print};

/// Most workers that are started unasked. Each costs every port one queue, with its file descriptor and its buffers, and
/// takes a CPU from the containers when there is traffic; whoever has CPUs to give says `--workers`.
const MOST_UNASKED_WORKERS: usize = 4;

/// Run it, until SIGINT or SIGTERM.
///
/// # Errors
/// When it cannot start (socket or state folder in use, no permission), and when something could not be put away at the
/// end.
pub(crate) fn run(socket: &Path, args: RunArgs) -> Result<(), Failure> {
    start_log()?;
    allow_many_files();
    // Before anything is made, so that a signal at any moment is one to leave in order. The handlers stay to the end: a
    // second signal changes nothing.
    let mut signals =
        Signals::new([SIGINT, SIGTERM]).map_err(|error| Failure::work("signals cannot be handled", error))?;
    let workers = args.workers.map_or_else(unasked_workers, usize::from);
    let switch =
        Switch::start(SwitchConfig { workers, state_dir: Some(args.state_dir) }).map_err(|fault| refused(&fault))?;
    if let Err(fault) = switch.serve(socket) {
        // What is told is why it did not start; what went wrong on the way out is only logged.
        let _ = switch.stop().inspect_err(|fault| tracing::error!("{fault}"));
        return Err(refused(&fault));
    }
    if args.record > 0
        && let Err(fault) = switch.record(args.record as usize)
    {
        let _ = switch.stop().inspect_err(|fault| tracing::error!("{fault}"));
        return Err(refused(&fault));
    }
    if args.docker {
        let socket = given_by_systemd().unwrap_or(PluginSocket::At(args.plugin_socket));
        if let Err(fault) = switch.serve_docker(socket, args.docker_socket) {
            let _ = switch.stop().inspect_err(|fault| tracing::error!("{fault}"));
            return Err(refused(&fault));
        }
    }
    // With standard output closed there is nobody to tell, which is no reason not to switch.
    let _ = print(&format!("lanyard listens at {}\n", failure::one_line(&socket.display().to_string())));
    tracing::info!(workers, "the switch runs");
    if let Some(signal) = signals.forever().next() {
        tracing::info!("leaving in order, after {}", signal_hook::low_level::signal_name(signal).unwrap_or("a signal"));
    }
    switch.stop().map_err(|fault| refused(&fault))
}

/// Each port costs a descriptor for each worker; the soft limit of 1,024 that shells give is soon reached, so it is raised
/// to the hard one.
fn allow_many_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(limit) => tracing::debug!(limit, "open files allowed"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}

/// The socket that systemd listens on for the switch (`sd_listen_fds(3)`): dockerd's calls wait in it while the switch is
/// started anew.
fn given_by_systemd() -> Option<PluginSocket> {
    let listener = listenfd::ListenFd::from_env().take_unix_listener(0).ok()??;
    Some(PluginSocket::Given(listener))
}

fn unasked_workers() -> usize {
    // It knows of CPU affinity and of the quota of a control group.
    available_parallelism().map_or(1, usize::from).min(MOST_UNASKED_WORKERS)
}

/// A fault of the switch is told as the control socket would tell it.
fn refused(fault: &Fault) -> Failure {
    if fault.status() == 400 { Failure::Words(fault.to_string()) } else { Failure::Work(fault.to_string()) }
}

fn start_log() -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .map_err(|error| Failure::Words(format!("RUST_LOG cannot be read: {error}; write it as in RUST_LOG=debug")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(failure::colours(&io::stderr()))
        .with_target(false)
        // A log that nobody takes any more (its pipe is closed) must not end the switch.
        .log_internal_errors(false)
        .try_init()
        .map_err(|error| Failure::work("the log cannot be started", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_worker_and_never_many_unasked() {
        assert!((1..=MOST_UNASKED_WORKERS).contains(&unasked_workers()));
    }

    #[test]
    fn faults_keep_their_exit_code() {
        let range = Fault::OutOfRange { what: "workers", value: 99, least: 1, most: 64 };
        assert!(matches!(refused(&range), Failure::Words(text) if text.contains("workers 99")));
        let used = Fault::InUse { path: "/s".into(), pid: String::new(), option: "--socket" };
        assert!(matches!(refused(&used), Failure::Work(text) if text.contains("--socket")));
    }
}
