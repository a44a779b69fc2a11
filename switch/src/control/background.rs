//! Who gives way to the frames? Whoever only looks at them: the threads that put decisions into words, and the programs that
//! print them. On a machine with no CPU to spare a trace loses records, and says how many, before the switch loses frames.
//!
//! A nice value holds within one session where the kernel groups sessions (sched(7), "The autogroup feature"): for the
//! daemon's own threads always.

/// From now on the calling thread works with the CPU time that others leave.
pub fn give_way() {
    // It cannot fail: everybody may become nicer. Were it to, a trace would only cost more.
    let _ = rustix::process::nice(19);
}
