//! How do things stand in the lab that is up? Asked of its switch by the control socket, of its hosts from inside their
//! namespaces, each with the program's own commands.

use std::collections::HashMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use frame::MacAddr;
use switch::control::types::{MacRow, NetworkInfo, RECORDS_LOST};
use trace::Record;

use super::command::{Action, Line};
use super::seen::{Neighbor, Outcome, Tables};
use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::lab::keep;

/// No command of an exercise takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets of a command's output that are kept.
const MOST_OUTPUT: usize = 16 << 10;
/// The switch is quiet when no frame came for so long.
const SILENCE: Duration = Duration::from_millis(120);
/// A lab that is never quiet is looked at all the same.
const LONGEST_SETTLING: Duration = Duration::from_secs(2);

/// The decisions since an exercise began.
pub(super) struct Log {
    /// Oldest first. Numbers may be missing: a frame that was held back has two.
    pub(super) records: Vec<Record>,
    /// Frames that the trace could not keep up with.
    lost: u64,
    /// The recorder is full: what was before the first record is gone.
    full: bool,
}

impl Log {
    /// `limit`: as many records are kept; `lost`: as many frames were lost.
    fn new(records: Vec<Record>, lost: u64, limit: usize) -> Self {
        Self { lost, full: records.len() >= limit, records }
    }

    /// The number of the last frame; `began` where there is none.
    pub(super) fn last(&self, began: u64) -> u64 {
        self.records.last().map_or(began, |record| record.number)
    }

    /// The records after frame `began`, up to frame `ended`, and how many of them may be missing.
    pub(super) fn window(&self, began: u64, ended: Option<u64>) -> (&[Record], u64) {
        let place = |number: u64| self.records.partition_point(|record| record.number <= number);
        let (from, to) = (place(began), ended.map_or(self.records.len(), place));
        let oldest = self.records.first().filter(|_| self.full).map_or(0, |record| record.number);
        (self.records.get(from..to).unwrap_or_default(), oldest.saturating_sub(began + 1) + self.lost)
    }
}

/// The lab that is up.
pub(super) struct Live {
    client: Client,
    gateways: HashMap<String, MacAddr>,
}

impl Live {
    /// The lab that is up.
    ///
    /// # Errors
    /// None is.
    pub(super) fn open() -> Result<Self, Failure> {
        let client = Client::new(keep::socket_of(&keep::folder()));
        let networks: Vec<NetworkInfo> = client.get("/v1/networks")?.read()?;
        let gateways = networks.into_iter().filter_map(|info| Some((info.name, info.gateway_mac?))).collect();
        Ok(Self { client, gateways })
    }

    /// What the switch decided after frame `since`, once it is quiet.
    ///
    /// # Errors
    /// The switch cannot be asked.
    pub(super) fn log(&self, since: u64) -> Result<Log, Failure> {
        self.settle()?;
        let answer = self.client.get(&format!("/v1/records?since={since}"))?;
        let mut records: Vec<Record> = answer.read()?;
        records.sort_by_key(|record| record.number);
        Ok(Log::new(records, answer.count(RECORDS_LOST), keep::RECORDED))
    }

    /// The number of the last frame, once the switch is quiet.
    ///
    /// # Errors
    /// The switch cannot be asked.
    pub(super) fn settle(&self) -> Result<u64, Failure> {
        let began = Instant::now();
        let mut last = self.last()?;
        loop {
            thread::sleep(SILENCE);
            let now = self.last()?;
            if now == last || began.elapsed() > LONGEST_SETTLING {
                return Ok(now);
            }
            last = now;
        }
    }

    fn last(&self) -> Result<u64, Failure> {
        let records: Vec<Record> = self.client.get("/v1/records?last=1")?.read()?;
        Ok(records.last().map_or(0, |record| record.number))
    }
}

impl Tables for Live {
    fn macs(&self, network: &str) -> Result<Vec<MacRow>, String> {
        let answer = self.client.get(&format!("/v1/mac?network={}", segment(network)));
        answer.and_then(|answer| answer.read()).map_err(|failure| failure.to_string())
    }

    fn neighbor(&self, on: &str, ip: Ipv4Addr) -> Result<Option<Neighbor>, String> {
        let words = ["lab", "exec", on, "--", "ip", "-4", "neigh", "show", "to", &ip.to_string(), "dev", "eth0"];
        let words = words.map(str::to_owned);
        let outcome = run_lanyard(&words, "ip neigh").map_err(|error| format!("ip neigh on {on}: {error}"))?;
        if outcome.exit == Some(0) {
            return Ok(read_neighbor(&outcome.output));
        }
        Err(format!("ip neigh on {on}: {}", outcome.output.trim()))
    }

    fn run(&self, line: &Line) -> Result<Outcome, String> {
        match &line.action {
            Action::Wait(time) => {
                thread::sleep(*time);
                Ok(Outcome { line: line.text.clone(), exit: Some(0), output: String::new() })
            }
            Action::Lanyard(words) => {
                run_lanyard(words, &line.text).map_err(|error| format!("'{}': {error}", line.text))
            }
        }
    }

    fn gateway(&self, network: &str) -> Option<MacAddr> {
        self.gateways.get(network).copied()
    }
}

/// `10.0.1.12 lladdr 02:42:0a:00:01:0c REACHABLE`, or nothing.
fn read_neighbor(text: &str) -> Option<Neighbor> {
    let words: Vec<&str> = text.lines().next()?.split_whitespace().collect();
    let _: IpAddr = words.first()?.parse().ok()?;
    let mac = words.iter().position(|word| *word == "lladdr").and_then(|at| words.get(at + 1)?.parse().ok());
    Some(Neighbor { mac, state: (*words.last()?).to_owned() })
}

/// This program again, with these words, for no longer than [`PATIENCE`].
fn run_lanyard(words: &[String], line: &str) -> std::io::Result<Outcome> {
    let mut child = Command::new("/proc/self/exe")
        .args(words)
        .env("LANYARD_SOCKET", keep::socket_of(&keep::folder()))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, pieces) = mpsc::channel();
    let pipes = [
        child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    for mut pipe in pipes.into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || {
            let (mut piece, mut left) = ([0; 4096], MOST_OUTPUT);
            while let Ok(octets @ 1..) = pipe.read(&mut piece) {
                // Whoever prints more is not stopped by it.
                let kept = octets.min(left);
                left -= kept;
                if kept > 0 && sender.send(piece[..kept].to_vec()).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let status = wait(&mut child)?;
    // What a command left running in the host may hold its output open: it is not waited for.
    let mut output = Vec::new();
    while let Ok(octets) = pieces.recv_timeout(SILENCE) {
        output.extend(octets);
    }
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok(Outcome { line: line.to_owned(), exit: status.and_then(|status| status.code()), output })
}

/// `None`: it had to be ended.
fn wait(child: &mut std::process::Child) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_sees_its_own_frames_and_what_is_missing_of_them() {
        let records = |numbers: &[u64]| {
            let all = crate::learn::seen::staged::records();
            numbers.iter().map(|number| Record { number: *number, ..all[0].clone() }).collect::<Vec<_>>()
        };
        let numbers = |log: &Log, began, ended| {
            let (records, missed) = log.window(began, ended);
            (records.iter().map(|record| record.number).collect::<Vec<_>>(), missed)
        };
        let log = Log::new(records(&[3, 5, 8, 9]), 0, 10);
        assert_eq!(numbers(&log, 0, None), (vec![3, 5, 8, 9], 0));
        assert_eq!(numbers(&log, 3, Some(8)), (vec![5, 8], 0));
        assert_eq!(numbers(&log, 9, Some(3)), (vec![], 0));
        assert_eq!((log.last(1), Log::new(vec![], 0, 10).last(7)), (9, 7));
        let log = Log::new(records(&[3, 5]), 0, 2);
        assert_eq!(numbers(&log, 0, None), (vec![3, 5], 2), "frames 1 and 2 were pushed out");
        assert_eq!(numbers(&log, 2, None), (vec![3, 5], 0));
    }

    #[test]
    fn a_neighbor_is_read_as_ip_prints_it() {
        let found = read_neighbor("10.0.1.12 lladdr 02:42:0a:00:01:0c REACHABLE \n").unwrap();
        assert_eq!((found.mac, found.state.as_str()), ("02:42:0a:00:01:0c".parse().ok(), "REACHABLE"));
        let found = read_neighbor("10.0.1.99 dev eth0 FAILED \n").unwrap();
        assert_eq!((found.mac, found.state.as_str()), (None, "FAILED"));
        for nothing in ["", "\n", "garbage", "lladdr"] {
            assert_eq!(read_neighbor(nothing), None, "{nothing}");
        }
    }
}
