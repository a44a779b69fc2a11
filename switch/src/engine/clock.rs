//! What time is it for the engine? One clock, started with it and read once a burst.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use frame::Millis;

/// The time of day for what is traced: nanoseconds since 1970-01-01 UTC.
pub(super) fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// The engine's monotonic clock. Ageing, ARP timers and rate limits all count on it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock at one second: zero stays free to mean "never".
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        Millis(1000 + self.started.elapsed().as_millis() as u64)
    }

    /// Nanoseconds since the start: for what is shorter than a frame's life.
    pub fn nanos(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}
