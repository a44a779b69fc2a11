//! Who gives way to the frames? Whoever only looks at them: the threads that put decisions into words, and the programs that
//! print them. On a machine with no CPU to spare a trace loses records, and says how many, before the switch loses frames.
//!
//! And who goes again? A thread that waits for the next call ends when none comes for [`IDLE`]: a burst of calls leaves nothing
//! behind. (Left to themselves such threads live on for as long as a call comes now and then: each wakes another of them.)
//!
//! A nice value holds within one session where the kernel groups sessions (sched(7), "The autogroup feature"): for the
//! daemon's own threads always.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// A tenth of the CPU time that others get where there is too little. Not less: they hold locks now and then.
const NICE: i32 = 10;
/// How long a thread waits for the next call.
const IDLE: Duration = Duration::from_secs(1);

/// What answers calls: one thread, and others for calls that block.
///
/// # Errors
/// No descriptor is left.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().thread_keep_alive(IDLE).build()
}

/// From now on the calling thread works with the CPU time that others leave.
pub fn give_way() {
    // It cannot fail: everybody may become nicer. Were it to, a trace would only cost more.
    let _ = rustix::process::nice(NICE);
}
