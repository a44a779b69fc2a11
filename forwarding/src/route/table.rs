//! Which route is the best for an address? The one with the longest prefix that covers it
//! (RFC 1812, 5.2.4.3; RFC 4632, 5.1).
//!
//! A switch routes between its own networks, so the table holds tens of prefixes of a few lengths. For each
//! length that occurs, longest first, the routes lie sorted by address: a look-up masks the address and
//! searches, one binary search a length. Built by the control side, cloned into the snapshot that
//! workers read; nothing changes under a reader.
//!
//! Not done: several routes to one prefix (metrics, equal cost).

use std::net::IpAddr;

use ipnet::IpNet;

/// Routes by prefix, IPv4 and IPv6.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    v4: Vec<Length<T>>,
    v6: Vec<Length<T>>,
}

/// All routes of one prefix length, by address.
#[derive(Clone, Debug)]
struct Length<T> {
    prefix_len: u8,
    routes: Vec<Route<T>>,
}

#[derive(Clone, Debug)]
struct Route<T> {
    network: u128,
    prefix: IpNet,
    value: T,
}

impl<T> RouteTable<T> {
    /// A table without routes.
    pub const fn new() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }

    /// Add a route; host bits of `prefix` do not count. Gives back what the same prefix led to before.
    pub fn insert(&mut self, prefix: IpNet, value: T) -> Option<T> {
        let prefix = prefix.trunc();
        let (lengths, network) = (self.family_mut(prefix.addr()), bits(prefix.addr()));
        let at = match lengths.binary_search_by(|length| prefix.prefix_len().cmp(&length.prefix_len)) {
            Ok(at) => at,
            Err(at) => {
                lengths.insert(at, Length { prefix_len: prefix.prefix_len(), routes: Vec::new() });
                at
            }
        };
        let routes = &mut lengths[at].routes;
        match routes.binary_search_by_key(&network, |route| route.network) {
            Ok(at) => Some(std::mem::replace(&mut routes[at].value, value)),
            Err(at) => {
                routes.insert(at, Route { network, prefix, value });
                None
            }
        }
    }

    /// Take a route out; gives back what it led to.
    pub fn remove(&mut self, prefix: &IpNet) -> Option<T> {
        let (prefix_len, network) = (prefix.prefix_len(), bits(prefix.trunc().addr()));
        let lengths = self.family_mut(prefix.addr());
        let at = lengths.iter().position(|length| length.prefix_len == prefix_len)?;
        let routes = &mut lengths[at].routes;
        let route = routes.binary_search_by_key(&network, |route| route.network).ok()?;
        let value = routes.remove(route).value;
        if routes.is_empty() {
            lengths.remove(at);
        }
        Some(value)
    }

    /// What the longest prefix that covers `address` leads to.
    #[inline]
    pub fn lookup(&self, address: IpAddr) -> Option<&T> {
        self.lookup_route(address).map(|(_, value)| value)
    }

    /// The same, with the prefix.
    pub fn lookup_route(&self, address: IpAddr) -> Option<(IpNet, &T)> {
        let (lengths, width) = match address {
            IpAddr::V4(_) => (&self.v4, 32),
            IpAddr::V6(_) => (&self.v6, 128),
        };
        let address = bits(address);
        lengths.iter().find_map(|length| {
            let host_bits = width - u32::from(length.prefix_len);
            // A shift by all 128 bits would overflow: ::/0.
            let network = address.checked_shr(host_bits).map_or(0, |network| network << host_bits);
            let at = length.routes.binary_search_by_key(&network, |route| route.network).ok()?;
            length.routes.get(at).map(|route| (route.prefix, &route.value))
        })
    }

    /// All routes, longest prefixes first, IPv4 before IPv6.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &T)> {
        let lengths = self.v4.iter().chain(&self.v6);
        lengths.flat_map(|length| length.routes.iter().map(|route| (route.prefix, &route.value)))
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Is there no route?
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn family_mut(&mut self, address: IpAddr) -> &mut Vec<Length<T>> {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FromIterator<(IpNet, T)> for RouteTable<T> {
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(routes: I) -> Self {
        let mut table = Self::new();
        for (prefix, value) in routes {
            table.insert(prefix, value);
        }
        table
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_wins() {
        let table: RouteTable<_> =
            ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/16", "10.1.2.0/24", "::/0", "fd00::/64", "fd00::1/128"]
                .into_iter()
                .map(|text| (net(text), text))
                .collect();
        for (address, prefix) in [
            ("10.1.2.255", "10.1.2.0/24"),
            ("10.1.3.1", "10.1.2.3/16"),
            ("10.2.0.1", "10.0.0.0/8"),
            ("192.0.2.1", "0.0.0.0/0"),
            ("fd00::1", "fd00::1/128"),
            ("fd00::2", "fd00::/64"),
            ("2001:db8::1", "::/0"),
        ] {
            assert_eq!(table.lookup(ip(address)), Some(&prefix), "{address}");
        }
        assert_eq!(table.lookup_route(ip("10.1.3.1")).unwrap().0, net("10.1.0.0/16"), "host bits do not count");
        assert_eq!((table.len(), table.iter().next().unwrap().0), (7, net("10.1.2.0/24")));
    }

    #[test]
    fn replaces_and_removes() {
        let mut table = RouteTable::new();
        assert_eq!(table.insert(net("10.0.0.9/24"), 1), None);
        assert_eq!(table.insert(net("10.0.0.0/24"), 2), Some(1));
        assert_eq!(table.lookup(ip("10.0.0.7")), Some(&2));
        assert_eq!(table.lookup(ip("::ffff:10.0.0.7")), None, "an IPv6 address, whatever is in it");
        assert_eq!(table.remove(&net("10.0.0.0/25")), None);
        assert_eq!(table.remove(&net("10.0.0.0/24")), Some(2));
        assert!(table.is_empty() && table.lookup(ip("10.0.0.7")).is_none());
    }

    /// Addresses and prefixes out of few bits, so that they meet.
    fn near() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0..64u32, 0..4u32).prop_map(|(low, high)| IpAddr::V4(Ipv4Addr::from_bits(high << 30 | low))),
            (0..64u128, 0..4u128).prop_map(|(low, high)| IpAddr::V6(Ipv6Addr::from_bits(high << 126 | low))),
        ]
    }

    fn prefix() -> impl Strategy<Value = IpNet> {
        (near(), prop_oneof![0..=3u8, 25..=32u8, 122..=128u8]).prop_map(|(address, len)| {
            let width = if address.is_ipv4() { 32 } else { 128 };
            IpNet::new(address, len.min(width)).unwrap()
        })
    }

    proptest! {
        #[test]
        fn agrees_with_a_search_through_all(
            inserts in proptest::collection::vec((prefix(), 0..1000u32), 0..60),
            removes in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
            addresses in proptest::collection::vec(near(), 50),
        ) {
            let (mut table, mut list) = (RouteTable::new(), Vec::<(IpNet, u32)>::new());
            for (prefix, value) in inserts {
                let old = list.iter().position(|(known, _)| *known == prefix.trunc()).map(|at| list.swap_remove(at).1);
                list.push((prefix.trunc(), value));
                prop_assert_eq!(table.insert(prefix, value), old);
            }
            for at in removes {
                if !list.is_empty() {
                    let (prefix, value) = list.swap_remove(at.index(list.len()));
                    prop_assert_eq!(table.remove(&prefix), Some(value));
                }
            }
            prop_assert_eq!(table.len(), list.len());
            for address in addresses {
                let best = list.iter().filter(|(prefix, _)| prefix.contains(&address)).max_by_key(|(p, _)| p.prefix_len());
                prop_assert_eq!(table.lookup_route(address), best.map(|(prefix, value)| (*prefix, value)));
            }
        }
    }
}
