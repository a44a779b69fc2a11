//! Which frames cannot match, at a glance? A necessary condition of a filter, of the frame's first 14 octets only, so that a
//! switch that traces little is hardly slower than one that does not trace.
//!
//! A tagged frame, and one cut short, passes every screen: what it is, the filter itself will see.

use frame::MacAddr;
use frame::ethernet::{HEADER_OCTETS, ether_type, is_tag};

use super::admission::Rule;
use super::syntax::{EtherHost, Family, Test, Way};

/// Kinds of frames that the ether type tells apart, as a set.
type Kinds = u8;

const IPV4: Kinds = 1;
const IPV6: Kinds = 2;
const ARP: Kinds = 4;
const OTHER: Kinds = 8;
/// A tag stands before the type.
const TAGGED: Kinds = 16;
const ANY: Kinds = IPV4 | IPV6 | ARP | OTHER | TAGGED;

/// What a frame must be to have a chance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Screen {
    kinds: Kinds,
    mac: Option<(Way, MacAddr)>,
}

impl Screen {
    /// Nothing is asked.
    pub(super) const OPEN: Self = Self { kinds: ANY, mac: None };

    pub(super) fn of(rule: &Rule) -> Self {
        let Self { kinds, mac } = match rule {
            Rule::Headers(test) => Self::of_test(test),
            Rule::Station { family, way, macs, .. } => Self {
                kinds: family.map_or(ANY, of_family),
                // A station may be met by its IP address only where the filter speaks of those.
                mac: macs.first().filter(|_| family.is_none() && macs.len() == 1).map(|mac| (*way, *mac)),
            },
            Rule::And(left, right) => {
                let (left, right) = (Self::of(left), Self::of(right));
                Self { kinds: left.kinds & right.kinds, mac: left.mac.or(right.mac) }
            }
            Rule::Or(left, right) => {
                let (left, right) = (Self::of(left), Self::of(right));
                Self { kinds: left.kinds | right.kinds, mac: left.mac.filter(|_| left.mac == right.mac) }
            }
            _ => Self::OPEN,
        };
        Self { kinds: kinds | TAGGED, mac }
    }

    fn of_test(test: &Test) -> Self {
        let kinds = match test {
            Test::Arp(_) => ARP,
            Test::Icmp(_) | Test::Ip => IPV4,
            Test::Icmp6(_) | Test::Ip6 => IPV6,
            Test::Tcp | Test::Udp | Test::Port { .. } => IPV4 | IPV6,
            Test::Host { family, .. } | Test::Net { family, .. } => of_family(*family),
            Test::EtherProto(number) => of_type(*number),
            Test::Vlan(_) => TAGGED,
            _ => ANY,
        };
        let mac = match test {
            Test::EtherHost { way, host: EtherHost::Mac(mac) } => Some((*way, *mac)),
            _ => None,
        };
        Self { kinds, mac }
    }

    /// Has the frame a chance?
    #[inline]
    pub(super) fn passes(self, octets: &[u8]) -> bool {
        let Some(header) = octets.first_chunk::<HEADER_OCTETS>() else { return true };
        of_type(u16::from_be_bytes([header[12], header[13]])) & self.kinds != 0
            && self.mac.is_none_or(|(way, mac)| way.either((&header[6..12], &header[..6]), |address| *address == mac.0))
    }
}

#[inline]
const fn of_type(number: u16) -> Kinds {
    match number {
        ether_type::IPV4 => IPV4,
        ether_type::IPV6 => IPV6,
        ether_type::ARP => ARP,
        number if is_tag(number) => TAGGED,
        _ => OTHER,
    }
}

const fn of_family(family: Family) -> Kinds {
    match family {
        Family::Any => IPV4 | IPV6 | ARP,
        Family::Ip => IPV4,
        Family::Ip6 => IPV6,
        Family::Arp => ARP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    /// Octets from 02:00:00:00:00:02 to 02:00:00:00:00:01 of a type.
    fn frame(ether_type: u16) -> Vec<u8> {
        let mut octets = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        octets.extend(ether_type.to_be_bytes());
        octets.resize(60, 0);
        octets
    }

    #[test]
    fn a_glance_turns_away_what_cannot_match() {
        for (filter, ether_type, chance) in [
            ("arp", 0x0806, true),
            ("arp", 0x0800, false),
            ("not arp", 0x0806, true), // the rule itself says no
            ("icmp or arp", 0x0806, true),
            ("icmp or arp", 0x86dd, false),
            ("tcp port 80", 0x86dd, true),
            ("tcp port 80", 0x88b5, false),
            ("ether proto 0x88b5", 0x88b5, true),
            ("ether proto 0x88b5", 0x0800, false),
            ("ether src 02:00:00:00:00:02", 0x0800, true),
            ("ether dst 02:00:00:00:00:02", 0x0800, false),
            ("ether host 02:00:00:00:00:01", 0x0800, true),
            ("ether host 02:00:00:00:00:01 and arp", 0x0800, false),
            ("ether host 02:00:00:00:00:09 or ip", 0x0800, true),
            ("ether host 02:00:00:00:00:09", 0x8100, false),
            ("arp", 0x8100, true), // behind the tag
            ("vlan", 0x0800, false),
            ("verdict flood", 0x0800, true),
        ] {
            let admission = Filter::parse(filter).unwrap().compile(&());
            assert_eq!(admission.screen().passes(&frame(ether_type)), chance, "{filter} of {ether_type:#06x}");
        }
        assert!(Screen { kinds: 0, mac: None }.passes(&[0; 13]), "cut short: the filter will see");
    }
}
