//! Which threads does a process have, and how long were they on a CPU? (proc(5): `task`, `schedstat`)

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The threads of a process, by id.
///
/// # Errors
/// No such process.
pub fn threads_of(process: u32) -> io::Result<BTreeSet<u32>> {
    let entries = fs::read_dir(format!("/proc/{process}/task"))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// CPU time that these threads have used, those still alive.
///
/// # Errors
/// The kernel keeps no `schedstat`.
pub fn cpu_time_of<'a>(threads: impl IntoIterator<Item = &'a u32>) -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in threads {
        let folder = format!("/proc/{thread}");
        match fs::read_to_string(Path::new(&folder).join("schedstat")) {
            Ok(text) => total += on_cpu(&text).ok_or(io::ErrorKind::InvalidData)?,
            // It has ended.
            Err(_) if !Path::new(&folder).exists() => {}
            Err(error) => return Err(error),
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
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_first_field_counts() {
        assert_eq!(on_cpu("1500 20 3\n"), Some(Duration::from_nanos(1500)));
        assert_eq!(on_cpu(""), None);
        assert_eq!(on_cpu("x 1 2"), None);
    }

    #[test]
    fn a_busy_thread_is_charged_and_one_that_has_ended_is_not() {
        let before = threads_of(std::process::id()).unwrap();
        let (spent, ended) = thread::spawn(move || {
            let until = Instant::now() + Duration::from_millis(50);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            let own: u32 =
                fs::read_link("/proc/thread-self").unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
            assert!(!before.contains(&own) && threads_of(std::process::id()).unwrap().contains(&own));
            (cpu_time_of([&own]).unwrap(), own)
        })
        .join()
        .unwrap();
        assert!(spent > Duration::from_millis(1), "{spent:?}");
        let deadline = Instant::now() + Duration::from_secs(5);
        while cpu_time_of([&ended]).unwrap() != Duration::ZERO && Instant::now() < deadline {
            thread::yield_now();
        }
        assert_eq!(cpu_time_of([&ended]).unwrap(), Duration::ZERO);
    }
}
