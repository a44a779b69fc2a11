//! Where did it run, and what did it cost there? (proc(5))
//!
//! Not done: what the kernel does on its own account (interrupts, `ksoftirqd`); no process is charged with that.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

/// One line about the machine: kernel, CPUs, and how busy it is with other things.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    format!("Linux {}, {cpus} CPUs, load {load} before the start", kernel.trim())
}

/// CPU time that this process's threads whose names begin with `prefix` have used, those still alive.
///
/// # Errors
/// `/proc` cannot be read, or the kernel keeps no `schedstat`.
pub fn cpu_time_of_threads(prefix: &str) -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task")? {
        let folder = task?.path();
        // A thread may end between the listing and the reading.
        let Ok(name) = fs::read_to_string(folder.join("comm")) else { continue };
        if name.starts_with(prefix) {
            let text = fs::read_to_string(folder.join("schedstat"))?;
            total += on_cpu(&text).ok_or(io::ErrorKind::InvalidData)?;
        }
    }
    Ok(total)
}

/// The first field of `schedstat`: nanoseconds spent on a CPU (Documentation/scheduler/sched-stats.rst).
fn on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_first_field_counts() {
        assert_eq!(on_cpu("1500 20 3\n"), Some(Duration::from_nanos(1500)));
        assert_eq!(on_cpu(""), None);
        assert_eq!(on_cpu("x 1 2"), None);
    }

    #[test]
    fn a_busy_thread_is_charged_and_no_other() {
        let busy = || {
            let before = cpu_time_of_threads("busy-bee").unwrap();
            let until = Instant::now() + Duration::from_millis(50);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            cpu_time_of_threads("busy-bee").unwrap().saturating_sub(before)
        };
        let spent = thread::Builder::new().name("busy-bee".into()).spawn(busy).unwrap().join().unwrap();
        assert!(spent > Duration::from_millis(1), "{spent:?}");
        assert_eq!(cpu_time_of_threads("no-such-thread").unwrap(), Duration::ZERO);
    }
}
