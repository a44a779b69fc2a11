//! Where do the figures of a report come from? The program, its command line, the day, the kernel and the CPUs: without them
//! two reports cannot be held beside each other.
//!
//! Not done: the model of the CPU and what else the machine does.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::utsname::uname;
use serde::Serialize;

use crate::failure::one_line;

/// By what, when and where something was measured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Origin {
    /// Lanyard's version.
    version: &'static str,
    /// What was typed.
    command: String,
    /// Seconds since 1970, when it was said.
    at: u64,
    /// The kernel's name and release.
    kernel: String,
    /// How many CPUs this program may use.
    cpus: usize,
}

impl Origin {
    /// Here and now.
    pub(super) fn now() -> Self {
        let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let kernel = uname().map_or_else(
            |_| "an unknown kernel".to_owned(),
            |name| format!("{} {}", name.sysname().display(), name.release().display()),
        );
        Self {
            version: env!("CARGO_PKG_VERSION"),
            command: one_line(&format!("lanyard {}", words.join(" "))),
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            kernel,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// When, in words: `Sun, 22 Nov 2026 05:41:00 GMT`.
    fn day(&self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(self.at))
    }

    /// A line of it.
    pub(super) fn words(&self) -> String {
        let Self { version, kernel, cpus, .. } = self;
        format!("Lanyard {version}, {}, {kernel}, {cpus} CPUs", self.day())
    }

    /// What was typed.
    pub(super) fn command(&self) -> &str {
        &self.command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_when_and_where() {
        let origin =
            Origin { version: "1.2", command: "lanyard x".into(), at: 86_400, kernel: "Linux 6".into(), cpus: 4 };
        assert_eq!(origin.words(), "Lanyard 1.2, Fri, 02 Jan 1970 00:00:00 GMT, Linux 6, 4 CPUs");
        let now = Origin::now();
        assert!(now.at > 1_700_000_000 && now.cpus > 0 && now.kernel.starts_with("Linux "), "{now:?}");
    }
}
