//! May another ICMP error be sent now? (RFC 1812, 4.3.2.8)
//!
//! A token bucket: errors may come in a burst, and in the long run not more often than the rate. Without
//! it one container could make the switch spend its time on telling it that it is wrong.
//!
//! Not done: a bucket for each source. Who wants that keeps one of these for each port.

use frame::Millis;

/// Tokens are kept in thousandths, so that a rate a second fills evenly by the millisecond.
const TOKEN: u64 = 1000;

/// A token bucket for ICMP errors.
#[derive(Clone, Debug)]
pub struct IcmpLimiter {
    per_second: u64,
    burst: u64,
    tokens: u64,
    filled_at: Millis,
}

impl IcmpLimiter {
    /// At most `per_second` errors a second in the long run, and `burst` (at least 1) at once.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let burst = u64::from(burst.max(1)) * TOKEN;
        Self { per_second: u64::from(per_second), burst, tokens: burst, filled_at: Millis(0) }
    }

    /// May an error be sent at `now`? If so it is counted as sent.
    pub fn allow(&mut self, now: Millis) -> bool {
        let gained = now.since(self.filled_at).0.saturating_mul(self.per_second);
        self.tokens = self.tokens.saturating_add(gained).min(self.burst);
        self.filled_at = self.filled_at.max(now);
        match self.tokens.checked_sub(TOKEN) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }
}

impl Default for IcmpLimiter {
    /// 1,000 a second, 50 at once: what Linux allows a whole host (`icmp_msgs_per_sec`, `icmp_msgs_burst`).
    fn default() -> Self {
        Self::new(1000, 50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_burst_and_then_the_rate() {
        let mut limiter = IcmpLimiter::new(10, 3);
        let allowed = |limiter: &mut IcmpLimiter, now| (0..100).filter(|_| limiter.allow(Millis(now))).count();
        assert_eq!(allowed(&mut limiter, 5_000), 3);
        assert_eq!(allowed(&mut limiter, 5_099), 0);
        assert_eq!(allowed(&mut limiter, 5_100), 1);
        assert_eq!(allowed(&mut limiter, 4_000), 0, "a clock a little behind gains nothing");
        assert_eq!(allowed(&mut limiter, 5_199), 0);
        assert_eq!(allowed(&mut limiter, 5_200), 1);
        assert_eq!(allowed(&mut limiter, u64::MAX), 3, "never more than the burst");
    }
}
