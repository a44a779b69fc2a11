//! How is the kernel's pktgen told, started, stopped, and left as it was? By the files below `/proc/thread-self/net/pktgen`, which
//! are those of the calling thread's network namespace; all of this runs on a thread in the sending interface's.
//!
//! Who writes `start` is held until all is sent, so that a thread of its own does. That thread takes no signal: one would end
//! its wait, perhaps before pktgen's threads, which look for orders ten times a second, have begun, and then nothing would end
//! them. `stop` is written again until they have ended.
//!
//! If this program is killed, the kernel stops sending, and the devices stay, stopped, until somebody writes `reset` to `pgctrl`.
//!
//! Not done: sharing a namespace's pktgen with somebody else, since `start` and `stop` are for all of its devices.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use load::kernel::{Device, DeviceReport, Plan};
use nix::sys::signal::SigSet;

use super::Done;
use super::truth::Counters;
use crate::failure::Failure;
use crate::pktgen::run::Progress;

/// The files of the calling thread's namespace; `/proc/net` would be those of the process's first thread.
const FOLDER: &str = "/proc/thread-self/net/pktgen";
/// How often pktgen is asked how far it is.
const LOOK: Duration = Duration::from_millis(20);
/// How long pktgen may take to begin, to end, and to let go of a device. Its threads look for orders every 100 ms.
const PATIENCE: Duration = Duration::from_secs(10);
/// A frame that is due at the very end is still to be sent.
const GRACE: Duration = Duration::from_millis(100);
/// What the kernel returns for copies on an interface that does not share frames (`ENOTSUPP`, include/linux/errno.h).
const NOT_SUPPORTED: i32 = 524;
/// What removes all that pktgen holds in a namespace.
const MEND: &str = "echo reset > /proc/net/pktgen/pgctrl";

/// What is to be sent, and until when.
pub(super) struct Order<'a> {
    pub(super) plan: &'a Plan,
    pub(super) ifname: &'a str,
    /// The time that sending may take.
    pub(super) after: Duration,
    /// Frames a second that were asked for.
    pub(super) pps: Option<f64>,
    /// Somebody wants the end.
    pub(super) interrupted: &'a AtomicBool,
}

/// Has the kernel a pktgen here?
///
/// # Errors
/// One line: it has not.
pub(super) fn is_there() -> Result<(), Failure> {
    if Path::new(FOLDER).exists() {
        return Ok(());
    }
    Err(Failure::Work("this kernel has no pktgen: modprobe pktgen, or --backend socket".to_owned()))
}

/// Let pktgen send, to the end, in the calling thread's namespace. It holds no device afterwards, however this ends.
///
/// # Errors
/// One line: somebody else uses it, it refuses a line, the interface went away, or it does not end.
pub(super) fn run(order: &Order, progress: &Progress) -> Result<Done, Failure> {
    let mut pktgen = Pktgen::new(order.plan)?;
    let before = Counters::read(order.ifname)?;
    pktgen.set_up()?;
    let (devices, stopped) = pktgen.send(order, progress)?;
    let sent: u64 = devices.iter().map(|report| report.current.frames).sum();
    let after = Counters::settled(order.ifname, |now| now.since(&before).tx_frames >= sent)?;
    pktgen.clear()?;
    let names = order.plan.devices.iter().map(|device| device.name.clone());
    let interrupted = order.interrupted.load(Ordering::Relaxed) || progress.stop.load(Ordering::Relaxed);
    Ok(Done { devices: names.zip(devices).collect(), sent: after.since(&before), stopped, interrupted })
}

/// pktgen's devices for a plan. They are removed when this is dropped.
struct Pktgen<'a> {
    plan: &'a Plan,
    /// Devices that have been added.
    added: usize,
}

impl<'a> Pktgen<'a> {
    /// Nobody else uses it, and there are enough threads.
    fn new(plan: &'a Plan) -> Result<Self, Failure> {
        is_there()?;
        let threads = threads().map_err(|error| failed("looking at pktgen's threads", &error))?;
        let wanted = plan.devices.len();
        if wanted > threads.len() {
            let most = threads.len();
            return Err(Failure::Words(format!(
                "--threads {wanted}: pktgen has one on each CPU, here {most}: write 1 to {most}"
            )));
        }
        let held: Vec<_> = threads.iter().flat_map(|text| devices_of(text)).collect();
        if let Some(device) = held.first() {
            return Err(Failure::Work(format!(
                "pktgen holds {device} already: somebody else uses it, or was killed; if it is nobody's, {MEND}"
            )));
        }
        Ok(Self { plan, added: 0 })
    }

    fn set_up(&mut self) -> Result<(), Failure> {
        for device in &self.plan.devices {
            let line = device.add_command();
            tell(&device.thread_file(), &line).map_err(|error| failed(&format!("'{line}'"), &error))?;
            self.added += 1;
            for line in &device.commands {
                order(device, line)?;
            }
        }
        Ok(())
    }

    /// What the devices say in the end, and whether they were stopped before.
    fn send(&self, order: &Order, progress: &Progress) -> Result<(Vec<DeviceReport>, bool), Failure> {
        // Not joined where pktgen does not end: the end of this program ends it, too.
        let mut starter = Some(thread::spawn(|| {
            SigSet::all().thread_block()?;
            tell("pgctrl", "start")
        }));
        let mut clock = Clock::new(order);
        loop {
            if starter.as_ref().is_some_and(JoinHandle::is_finished)
                && let Some(starter) = starter.take()
            {
                let outcome =
                    starter.join().map_err(|_| Failure::Work("a thread of the generator failed".to_owned()))?;
                outcome.map_err(|error| failed("starting it", &error))?;
            }
            let reports = self.reports()?;
            if let Some(complaint) = reports.iter().find_map(DeviceReport::complaint) {
                return Err(Failure::Work(format!("the kernel's pktgen says: {}", one(complaint))));
            }
            let sent = reports.iter().map(|report| report.current.frames).sum();
            progress.sent.store(sent, Ordering::Relaxed);
            if let Some(behind) = clock.behind(sent) {
                progress.late_ns.store(behind.as_nanos() as u64, Ordering::Relaxed);
            }
            if starter.is_none() && reports.iter().all(|report| report.result.is_some()) {
                return Ok((reports, clock.asked.is_some()));
            }
            let wanted = order.interrupted.load(Ordering::Relaxed) || progress.stop.load(Ordering::Relaxed);
            if clock.wants_stop(reports.iter().any(DeviceReport::is_running), wanted) {
                tell("pgctrl", "stop").map_err(|error| failed("stopping it", &error))?;
            }
            if clock.hangs(sent) {
                return Err(Failure::Work(format!(
                    "pktgen does not end: {} keeps its last frame, perhaps because nobody reads at the other end",
                    order.ifname
                )));
            }
            thread::sleep(LOOK);
        }
    }

    fn reports(&self) -> Result<Vec<DeviceReport>, Failure> {
        self.plan.devices.iter().map(report).collect()
    }

    /// Remove the devices, and see that they are gone.
    fn clear(mut self) -> Result<(), Failure> {
        let removed = self.remove();
        self.added = 0;
        removed
    }

    fn remove(&self) -> Result<(), Failure> {
        let mine = &self.plan.devices[..self.added];
        for device in mine {
            tell(&device.thread_file(), "rem_device_all")
                .map_err(|error| failed("removing pktgen's device", &error))?;
        }
        let since = Instant::now();
        while let Some(device) = mine.iter().find(|device| file(&device.name).exists()) {
            if since.elapsed() > PATIENCE {
                return Err(Failure::Work(format!("pktgen does not let go of {}: {MEND}", device.name)));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// When is it time to end?
struct Clock {
    /// The time from the beginning to the end.
    after: Duration,
    /// Frames of all devices, if they end by themselves.
    count: u64,
    pps: Option<f64>,
    began: Option<Instant>,
    asked: Option<Instant>,
    sent: u64,
    last_news: Instant,
}

impl Clock {
    fn new(order: &Order) -> Self {
        let count = order.plan.devices.iter().map(|device| device.count).sum();
        let after = order.after + if count > 0 { GRACE } else { Duration::ZERO };
        Self { after, count, pps: order.pps, began: None, asked: None, sent: 0, last_news: Instant::now() }
    }

    /// It is to be stopped now.
    fn wants_stop(&mut self, running: bool, wanted: bool) -> bool {
        if !running {
            return false;
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let stop = wanted || began.elapsed() >= self.after;
        if stop {
            self.asked.get_or_insert_with(Instant::now);
        }
        stop
    }

    /// How much later it is than it should be with so many frames.
    fn behind(&self, sent: u64) -> Option<Duration> {
        let due = Duration::try_from_secs_f64(sent as f64 / self.pps?).ok()?;
        Some(self.began?.elapsed().saturating_sub(due))
    }

    /// It should have begun, or ended, and has not.
    fn hangs(&mut self, sent: u64) -> bool {
        if sent != self.sent {
            (self.sent, self.last_news) = (sent, Instant::now());
        }
        let should = self.began.is_none() || (self.count > 0 && sent >= self.count);
        (should && self.last_news.elapsed() > PATIENCE) || self.asked.is_some_and(|asked| asked.elapsed() > PATIENCE)
    }
}

impl Drop for Pktgen<'_> {
    fn drop(&mut self) {
        let _ = self.remove(); // something else failed before, and that is told
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Write a line, at once, as these files want it.
fn tell(name: &str, line: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file(name))?.write_all(format!("{line}\n").as_bytes())
}

/// Write a line to a device's file, and see whether the kernel took it.
fn order(device: &Device, line: &str) -> Result<(), Failure> {
    match tell(&device.name, line) {
        Ok(()) => {
            let report = report(device)?;
            report.complaint().map_or(Ok(()), |complaint| {
                Err(Failure::Work(format!("the kernel's pktgen refuses '{line}': {}", one(complaint))))
            })
        }
        Err(error) if error.raw_os_error() == Some(NOT_SUPPORTED) => Err(Failure::Work(format!(
            "the interface of {} does not share frames, as veths and TAPs do not: leave --clone-skb and --burst out",
            device.name
        ))),
        Err(error) => {
            let complaint = report(device).ok().and_then(|report| report.complaint().map(one));
            Err(failed(&format!("'{line}'{}", complaint.map_or_else(String::new, |said| format!(" ({said})"))), &error))
        }
    }
}

fn report(device: &Device) -> Result<DeviceReport, Failure> {
    let text = fs::read_to_string(file(&device.name)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Work(format!("{} went away: pktgen has no such device any more", device.name)),
        _ => failed(&format!("reading pktgen's {}", device.name), &error),
    })?;
    let what = || Failure::Work(format!("pktgen's {} says what cannot be read: {}", device.name, one(&text)));
    DeviceReport::read(&text).ok_or_else(what)
}

fn failed(what: &str, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            Failure::Work(format!("{what}: the kernel's pktgen obeys root alone: run as root, or --backend socket"))
        }
        _ => Failure::work(format!("the kernel's pktgen, {what}"), error),
    }
}

/// What pktgen's threads say of themselves.
fn threads() -> io::Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("kpktgend_") {
            texts.push(fs::read_to_string(entry.path())?);
        }
    }
    Ok(texts)
}

/// The devices of a thread, from the lines `Running: eth0@0` and `Stopped: eth1@0`.
fn devices_of(text: &str) -> Vec<&str> {
    let named = |line: &'static str| text.lines().find_map(move |text| text.strip_prefix(line)).unwrap_or_default();
    ["Running:", "Stopped:"].into_iter().flat_map(|line| named(line).split_whitespace()).collect()
}

/// The first line of what the kernel says.
fn one(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_s_devices_are_read() {
        for (text, devices) in [
            ("Running: \nStopped: \nResult: NA\n", &[][..]),
            ("Running: eth0@0 eth1@0 \nStopped: eth2 \nResult: OK: add_device=eth2\n", &["eth0@0", "eth1@0", "eth2"]),
            ("", &[]),
        ] {
            assert_eq!(devices_of(text), devices, "{text}");
        }
    }

    #[test]
    fn where_there_is_no_pktgen_one_line_says_so() {
        let said = is_there();
        if !Path::new(FOLDER).exists() {
            let wanted = "this kernel has no pktgen: modprobe pktgen, or --backend socket".to_owned();
            assert_eq!(said, Err(Failure::Work(wanted)));
        }
    }
}
