//! Which address does an endpoint get? The lowest free one of its network's subnet.
//!
//! Never given away: the gateway's, and of an IPv4 subnet the network and the broadcast address (RFC 1122, 3.2.1.3), of
//! an IPv6 subnet the subnet-router anycast address (RFC 4291, 2.6.1).
//!
//! Not done: address ranges within a subnet, leases that end by themselves.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::Fault;

/// Where the subnets that nobody named are taken from: /24 after /24 from here on.
const FIRST_CHOICE: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 0);

/// How many /24s that is: 10.213.0.0 to 10.220.255.0, twice as many as there can be networks.
const CHOICES: u32 = 8 * 256;

/// The addresses of one network and who has them.
#[derive(Clone, Debug)]
pub struct AddressBook {
    network: String,
    subnet: IpNet,
    taken: BTreeMap<IpAddr, String>,
}

impl AddressBook {
    /// The book of `network`, with the gateway's address taken if there is one.
    pub fn new(network: &str, subnet: IpNet, gateway: Option<IpAddr>) -> Self {
        let taken = gateway.map(|ip| (ip, "the gateway".to_owned())).into_iter().collect();
        Self { network: network.to_owned(), subnet, taken }
    }

    /// Give `owner` the address it asked for, or the lowest free one.
    ///
    /// # Errors
    /// The address is outside the subnet, reserved or taken; or the subnet is used up.
    pub fn take(&mut self, wanted: Option<IpAddr>, owner: &str) -> Result<IpNet, Fault> {
        let ip = match wanted {
            Some(ip) => self.check(ip)?,
            None => self.lowest_free()?,
        };
        self.taken.insert(ip, format!("endpoint '{owner}'"));
        self.with_prefix(ip)
    }

    /// `owner` has the address, whoever gave it.
    pub fn keep(&mut self, ip: IpAddr, owner: &str) {
        self.taken.insert(ip, format!("endpoint '{owner}'"));
    }

    /// Who has the address?
    pub fn owner(&self, ip: IpAddr) -> Option<&str> {
        self.taken.get(&ip).map(String::as_str)
    }

    /// The addresses are free again.
    pub fn release_all(&mut self, ips: &[IpAddr]) {
        self.taken.retain(|ip, _| !ips.contains(ip));
    }

    /// The address is free again.
    pub fn release(&mut self, ip: IpAddr) {
        self.taken.remove(&ip);
    }

    fn check(&self, ip: IpAddr) -> Result<IpAddr, Fault> {
        if !self.subnet.contains(&ip) {
            return Err(Fault::AddressOutside { ip, subnet: self.subnet, network: self.network.clone() });
        }
        let by = match self.taken.get(&ip) {
            Some(owner) => owner.clone(),
            None if is_reserved(self.subnet, ip) => "the subnet itself (network or broadcast address)".to_owned(),
            None => return Ok(ip),
        };
        Err(Fault::AddressTaken { ip, network: self.network.clone(), by })
    }

    fn lowest_free(&self) -> Result<IpAddr, Fault> {
        let (first, last) = host_range(self.subnet);
        let mut candidate = first;
        for (taken, _) in self.taken.range(first..=last) {
            if *taken > candidate {
                break;
            }
            candidate = match next(*taken) {
                Some(ip) if ip <= last => ip,
                _ => return Err(Fault::SubnetFull { subnet: self.subnet, network: self.network.clone() }),
            };
        }
        Ok(candidate)
    }

    fn with_prefix(&self, ip: IpAddr) -> Result<IpNet, Fault> {
        IpNet::new(ip, self.subnet.prefix_len()).map_err(|_| Fault::AddressOutside {
            ip,
            subnet: self.subnet,
            network: self.network.clone(),
        })
    }
}

/// The first and the last address that a host of `subnet` can have.
pub fn host_range(subnet: IpNet) -> (IpAddr, IpAddr) {
    match subnet {
        IpNet::V4(net) if net.prefix_len() < 31 => {
            let (first, last) = (u32::from(net.network()) + 1, u32::from(net.broadcast()) - 1);
            (Ipv4Addr::from(first).into(), Ipv4Addr::from(last).into())
        }
        IpNet::V6(net) if net.prefix_len() < 127 => {
            (Ipv6Addr::from(u128::from(net.network()) + 1).into(), net.broadcast().into())
        }
        other => (other.network(), other.broadcast()),
    }
}

/// Is `ip` of `subnet`, but none that a host can have?
pub fn is_reserved(subnet: IpNet, ip: IpAddr) -> bool {
    let (first, last) = host_range(subnet);
    subnet.contains(&ip) && !(first..=last).contains(&ip)
}

fn next(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).checked_add(1).map(|value| Ipv4Addr::from(value).into()),
        IpAddr::V6(ip) => u128::from(ip).checked_add(1).map(|value| Ipv6Addr::from(value).into()),
    }
}

/// Do the two share an address?
pub fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// A /24 that none of `used` overlaps.
///
/// # Errors
/// None is left.
pub fn choose_subnet(used: &[IpNet]) -> Result<IpNet, Fault> {
    (0..CHOICES)
        .filter_map(|n| Ipv4Net::new(Ipv4Addr::from(u32::from(FIRST_CHOICE) + (n << 8)), 24).ok())
        .map(IpNet::V4)
        .find(|candidate| !used.iter().any(|net| overlap(*net, *candidate)))
        .ok_or(Fault::NoFreeSubnet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_lowest_free_address_is_given() {
        let mut book = AddressBook::new("lab", net("10.0.0.0/24"), Some(ip("10.0.0.1")));
        assert_eq!(book.take(None, "a").unwrap(), net("10.0.0.2/24"));
        assert_eq!(book.take(Some(ip("10.0.0.4")), "b").unwrap(), net("10.0.0.4/24"));
        assert_eq!(book.take(None, "c").unwrap(), net("10.0.0.3/24"));
        assert_eq!(book.take(None, "d").unwrap(), net("10.0.0.5/24"));
        book.release(ip("10.0.0.3"));
        assert_eq!(book.take(None, "e").unwrap(), net("10.0.0.3/24"));
    }

    #[test]
    fn a_gateway_that_is_not_the_first_is_passed_over() {
        let mut book = AddressBook::new("lab", net("10.0.0.0/29"), Some(ip("10.0.0.2")));
        let given: Vec<_> = (0..5).map(|n| book.take(None, &n.to_string()).unwrap().addr()).collect();
        let expected: Vec<_> = [1, 3, 4, 5, 6].map(|last| IpAddr::from([10, 0, 0, last])).into();
        assert_eq!(given, expected);
        assert!(matches!(book.take(None, "x"), Err(Fault::SubnetFull { .. })));
    }

    #[test]
    fn ipv6_has_no_broadcast_address() {
        let mut book = AddressBook::new("six", net("fd00::/126"), None);
        for last in 1..=3 {
            assert_eq!(book.take(None, "x").unwrap().addr(), ip(&format!("fd00::{last}")));
        }
        assert!(matches!(book.take(None, "x"), Err(Fault::SubnetFull { .. })));
        assert!(matches!(book.take(Some(ip("fd00::")), "x"), Err(Fault::AddressTaken { .. })));
    }

    #[test]
    fn the_top_of_the_address_space_does_not_wrap() {
        let mut book = AddressBook::new("top", net("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"), None);
        for _ in 0..3 {
            book.take(None, "x").unwrap();
        }
        assert!(matches!(book.take(None, "x"), Err(Fault::SubnetFull { .. })));
    }

    #[test]
    fn refuses_what_cannot_be_given() {
        let mut book = AddressBook::new("lab", net("10.0.0.0/24"), Some(ip("10.0.0.1")));
        book.take(Some(ip("10.0.0.9")), "web").unwrap();
        for (wanted, says) in [
            ("10.0.1.1", "outside subnet 10.0.0.0/24"),
            ("fd00::1", "outside subnet"),
            ("10.0.0.0", "network or broadcast"),
            ("10.0.0.255", "network or broadcast"),
            ("10.0.0.1", "taken by the gateway"),
            ("10.0.0.9", "taken by endpoint 'web'"),
        ] {
            let fault = book.take(Some(ip(wanted)), "x").unwrap_err().to_string();
            assert!(fault.contains(says) && fault.contains(wanted), "{wanted}: {fault}");
        }
    }

    #[test]
    fn chooses_the_first_subnet_that_is_free() {
        assert_eq!(choose_subnet(&[]).unwrap(), net("10.213.0.0/24"));
        assert_eq!(choose_subnet(&[net("10.213.0.0/24"), net("10.213.1.128/25")]).unwrap(), net("10.213.2.0/24"));
        assert_eq!(choose_subnet(&[net("10.213.0.0/16")]).unwrap(), net("10.214.0.0/24"));
        assert!(matches!(choose_subnet(&[net("10.0.0.0/8")]), Err(Fault::NoFreeSubnet)));
    }

    proptest! {
        /// Against a naive model: every address given is a host address, free, and the lowest such.
        #[test]
        fn gives_each_address_once(steps in proptest::collection::vec((any::<bool>(), 0u8..16), 1..60)) {
            let subnet = net("10.0.0.0/28");
            let mut book = AddressBook::new("lab", subnet, Some(ip("10.0.0.1")));
            let mut held = std::collections::BTreeSet::new();
            for (take, last) in steps {
                if take {
                    let free = (2..=14).find(|candidate| !held.contains(candidate));
                    let given = book.take(None, "x").ok().map(|net| net.addr());
                    prop_assert_eq!(given, free.map(|last| IpAddr::from([10, 0, 0, last])));
                    held.extend(free);
                } else if held.remove(&last) {
                    book.release(IpAddr::from([10, 0, 0, last]));
                }
            }
        }
    }
}
