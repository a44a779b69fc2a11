//! Which stations claimed an IP address that another one holds? (RFC 5227, 2.4)
//!
//! The last [`REMEMBERED`] conflicts, one for each IP address, holder and claimant, however often it is repeated.

use std::collections::VecDeque;
use std::net::IpAddr;

use frame::{MacAddr, Millis, PortId};

/// How many conflicts are remembered; the one not repeated for longest makes room.
pub const REMEMBERED: usize = 64;

/// Two stations claim one IP address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The IP address.
    pub ip: IpAddr,
    /// The MAC address that kept it.
    pub held_by: MacAddr,
    /// The MAC address that claimed it.
    pub claimed_by: MacAddr,
    /// The port the last claim came by.
    pub port: PortId,
    /// When it was claimed first.
    pub first: Millis,
    /// When it was claimed last.
    pub last: Millis,
    /// How often it was claimed.
    pub count: u64,
}

/// The conflicts of one table, the latest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConflictLog {
    recent: VecDeque<Conflict>,
    total: u64,
}

impl ConflictLog {
    pub(crate) fn record(&mut self, ip: IpAddr, held_by: MacAddr, claimed_by: MacAddr, port: PortId, now: Millis) {
        self.total += 1;
        let same = |known: &Conflict| (known.ip, known.held_by, known.claimed_by) == (ip, held_by, claimed_by);
        let repeated = self.recent.iter().position(same).and_then(|at| self.recent.remove(at));
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        let (first, count) = repeated.map_or((now, 0), |known| (known.first, known.count));
        self.recent.push_back(Conflict { ip, held_by, claimed_by, port, first, last: now, count: count + 1 });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Conflict> {
        self.recent.iter()
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOLDER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const CLAIMANT: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    fn ip(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn a_repeated_claim_is_counted_not_listed_again() {
        let mut log = ConflictLog::default();
        log.record(ip(1), HOLDER, CLAIMANT, PortId(3), Millis(10));
        log.record(ip(2), HOLDER, CLAIMANT, PortId(3), Millis(20));
        log.record(ip(1), HOLDER, CLAIMANT, PortId(4), Millis(30));
        let listed: Vec<_> = log.iter().copied().collect();
        assert_eq!(listed.len(), 2);
        let repeated = Conflict {
            ip: ip(1),
            held_by: HOLDER,
            claimed_by: CLAIMANT,
            port: PortId(4),
            first: Millis(10),
            last: Millis(30),
            count: 2,
        };
        assert_eq!(listed[1], repeated, "the latest is last");
        assert_eq!(log.total(), 3);
    }

    #[test]
    fn the_other_way_round_is_another_conflict() {
        let mut log = ConflictLog::default();
        log.record(ip(1), HOLDER, CLAIMANT, PortId(1), Millis(1));
        log.record(ip(1), CLAIMANT, HOLDER, PortId(1), Millis(2));
        assert_eq!(log.iter().map(|conflict| conflict.count).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn the_one_not_repeated_for_longest_makes_room() {
        let mut log = ConflictLog::default();
        for last in 0..64 {
            log.record(ip(last), HOLDER, CLAIMANT, PortId(1), Millis(last.into()));
        }
        log.record(ip(0), HOLDER, CLAIMANT, PortId(1), Millis(100));
        log.record(ip(64), HOLDER, CLAIMANT, PortId(1), Millis(101));
        assert_eq!(log.iter().count(), REMEMBERED);
        assert!(log.iter().all(|conflict| conflict.ip != ip(1)));
        assert!(log.iter().any(|conflict| conflict.ip == ip(0) && conflict.count == 2));
        assert_eq!(log.total(), 66);
    }
}
