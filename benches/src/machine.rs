//! Where did it run, and what did it cost there? (proc(5))
//!
//! Not done: what the kernel does on its own account (interrupts, `ksoftirqd`) is charged to no process; only
//! [`busy`] has it.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::{SysconfVar, sysconf};

/// One line about the machine: processor, kernel, CPUs, and how busy it is with other things.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (kernel, info) = (read("/proc/sys/kernel/osrelease"), read("/proc/cpuinfo"));
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let model = processor(&info).unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{model}, {cpus} CPUs, Linux {}, load {} before the start", kernel.trim(), load())
}

/// The load average of the last minute; `unknown` without `/proc`.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// What `/proc/cpuinfo` calls the first processor. Guests are often told a vendor's name and nothing more: then family
/// and model stand behind it.
fn processor(info: &str) -> Option<String> {
    let field = |name: &str| {
        let found = info.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name);
        found.map(|(_, value)| value.trim().to_owned())
    };
    let name = field("model name")?;
    if name.contains(|c: char| c.is_ascii_digit()) {
        return Some(name);
    }
    Some(format!("{name} (family {} model {})", field("cpu family")?, field("model")?))
}

/// Today's date, UTC, as in `2026-11-21`.
pub fn date() -> String {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of the day that is so many days after 1970-01-01, by the Gregorian calendar.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// CPU time that the machine has spent on anything, interrupts and other people's work included, since it started.
///
/// # Errors
/// `/proc/stat` cannot be read.
pub fn busy() -> io::Result<Duration> {
    let ticks = ticks(&fs::read_to_string("/proc/stat")?).ok_or(io::ErrorKind::InvalidData)?;
    let hertz = sysconf(SysconfVar::CLK_TCK)?.and_then(|hertz| u64::try_from(hertz).ok()).unwrap_or(100).max(1);
    Ok(Duration::from_millis(ticks * 1000 / hertz))
}

/// The sum of user, nice, system, irq and softirq in the first line of `/proc/stat`. Guests' time is within user's;
/// what a hypervisor stole was not spent here.
fn ticks(stat: &str) -> Option<u64> {
    let mut words = stat.lines().next()?.split_whitespace();
    let fields: Vec<u64> = (words.next()? == "cpu").then(|| words.map_while(|word| word.parse().ok()).collect())?;
    [0, 1, 2, 5, 6].into_iter().map(|field| fields.get(field).copied()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hypervisor_took_and_idleness_are_not_busy() {
        // user nice system idle iowait irq softirq steal guest guest_nice
        assert_eq!(ticks("cpu  1 20 300 4000 5 60000 700000 8 9 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n"), Some(760_321));
        for wrong in ["", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3 4", "cpu x"] {
            assert_eq!(ticks(wrong), None, "'{wrong}'");
        }
        assert!(busy().unwrap() > Duration::ZERO);
    }

    #[test]
    fn days_have_dates() {
        let table = [(0, (1970, 1, 1)), (58, (1970, 2, 28)), (59, (1970, 3, 1)), (364, (1970, 12, 31))];
        for (days, date) in table.into_iter().chain([(11_016, (2000, 2, 29)), (20_778, (2026, 11, 21))]) {
            assert_eq!(civil(days), date, "{days}");
        }
    }

    #[test]
    fn a_processor_without_a_number_is_told_by_its_family() {
        let info = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 207\nmodel name\t: Intel(R) Xeon(R) Processor\n";
        assert_eq!(processor(info).as_deref(), Some("Intel(R) Xeon(R) Processor (family 6 model 207)"));
        assert_eq!(processor("model name : EPYC 7763\nmodel name : x\n").as_deref(), Some("EPYC 7763"));
        assert_eq!(processor("BogoMIPS : 50.00\n"), None);
    }
}
