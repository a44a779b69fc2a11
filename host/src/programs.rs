//! How are `nft` and the iptables programs run? By absolute path, in the C locale, with their input on stdin.
//!
//! A child lives in the network namespace of the thread that starts it. One that does not end is ended, for whoever waits
//! for the rules has a deadline too.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::HostFault;

/// Where Debian and others have them; a service's PATH may lack the sbin folders.
const FOLDERS: [&str; 6] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin", "/usr/local/bin"];

/// How long a program may take. dockerd waits 10 s for an answer; two programs may hang before it gives up.
const LIMIT: Duration = Duration::from_secs(4);

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

/// What a program printed, if it succeeded.
pub(crate) fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, HostFault> {
    let path = find(program).ok_or_else(|| HostFault::NoProgram {
        program: program.to_owned(),
        package: if program == "nft" { "nftables" } else { "iptables" },
    })?;
    let failed = |source| HostFault::io(program, source);
    #[cfg(test)]
    RUNS.with(|runs| runs.set(runs.get() + 1));
    let mut child = Command::new(path)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + LIMIT;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // Written aside, so that a program that talks before it has read everything does not wait for us for ever.
        thread::spawn(move || stdin.write_all(input.as_bytes()));
    }
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let ended = outcome(&mut child, &stdout, &stderr, deadline);
    if !matches!(ended, Ok(Some(_))) {
        // It cannot fail but when the program has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
    let Some((status, stdout, stderr)) = ended.map_err(failed)? else {
        return Err(HostFault::Stuck {
            program: format!("{program} {}", arguments.join(" ")),
            seconds: LIMIT.as_secs(),
        });
    };
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr);
    let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(4).collect();
    let said = if said.is_empty() { status.to_string() } else { said.join(" | ") };
    Err(HostFault::Refused { program: format!("{program} {}", arguments.join(" ")), said })
}

/// Read all of a pipe, aside: a program may leave it to a child of its own, which outlives it.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut octets = Vec::new();
        let outcome = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut octets));
        // Nobody may wait for it any more.
        let _ = sender.send(outcome.map(|_| octets));
    });
    receiver
}

type Outcome = (ExitStatus, Vec<u8>, Vec<u8>);

/// How a program ended and what it printed; `None` if it did not end before `deadline`.
fn outcome(
    child: &mut Child,
    stdout: &Receiver<io::Result<Vec<u8>>>,
    stderr: &Receiver<io::Result<Vec<u8>>>,
    deadline: Instant,
) -> io::Result<Option<Outcome>> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let Ok(stdout) = stdout.recv_timeout(left()) else { return Ok(None) };
    let Ok(stderr) = stderr.recv_timeout(left()) else { return Ok(None) };
    let (stdout, stderr) = (stdout?, stderr?);
    // It has closed what it prints to, so it is about to end.
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some((status, stdout, stderr)));
        }
        if left().is_zero() {
            return Ok(None);
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// Put an nft script into force, all of it or nothing.
pub(crate) fn nft_load(script: &str) -> Result<(), HostFault> {
    run("nft", &["-f", "-"], script).map(drop)
}

/// What `nft list ..` says; `None` if there is no such thing.
pub(crate) fn nft_list(what: &[&str]) -> Result<Option<String>, HostFault> {
    let arguments: Vec<&str> = ["list"].iter().chain(what).copied().collect();
    match run("nft", &arguments, "") {
        Ok(text) => Ok(Some(text)),
        Err(HostFault::Refused { said, .. }) if said.contains("No such file or directory") => Ok(None),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
thread_local!(static RUNS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

/// How many programs this thread has run.
#[cfg(test)]
pub(crate) fn runs() -> usize {
    RUNS.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_named() {
        assert_eq!(
            run("no-such-program", &[], "").unwrap_err().to_string(),
            "no-such-program is not on this host: install the package iptables"
        );
        let fault = run("ls", &["/no/such/file"], "").unwrap_err().to_string();
        assert!(fault.starts_with("ls /no/such/file refused: ") && fault.contains("cannot access"), "{fault}");
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let start = Instant::now();
        // Its child holds the pipes open, and outlives it for a little while.
        let fault = run("sh", &["-c", "sleep 4.3 & exec sleep 7"], "").unwrap_err();
        assert!((LIMIT..LIMIT + Duration::from_secs(1)).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert!(matches!(fault, HostFault::Stuck { .. }), "{fault}");
        let said = fault.to_string();
        assert!(said.starts_with("sh -c") && said.contains("did not end within 4 s"), "{said}");
        let silent = run("sh", &["-c", "exec >&- 2>&-; sleep 0.1; exit 3"], "").unwrap_err().to_string();
        assert!(silent.ends_with("exit status: 3"), "{silent}");
        thread::sleep(Duration::from_millis(300));
    }

    #[test]
    fn input_larger_than_a_pipe_comes_back() {
        let input = "x".repeat(1 << 20);
        assert_eq!(run("cat", &[], &input).unwrap(), input);
    }
}
