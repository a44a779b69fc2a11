//! How far is it, and is it to go on? The first signal ends it before the next step, and everything is taken down as at its
//! end; the second ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lanyard_benches::progress::Progress;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The steps of all sections.
pub(crate) struct Steps {
    progress: Progress,
    stopped: Arc<AtomicBool>,
}

impl Steps {
    /// The beginning of so many.
    ///
    /// # Errors
    /// Signals cannot be handled.
    pub(crate) fn of(count: usize) -> io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopped))?;
            flag::register(signal, Arc::clone(&stopped))?;
        }
        Ok(Self { progress: Progress::of(count), stopped })
    }

    /// The next one begins, and is about this.
    ///
    /// # Errors
    /// A signal came.
    pub(crate) fn next(&mut self, what: &str) -> io::Result<()> {
        self.progress.step(what);
        if self.is_over() { Err(io::Error::other("stopped by a signal")) } else { Ok(()) }
    }

    /// Has a signal come?
    pub(crate) fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
