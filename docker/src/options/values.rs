//! What may an option's value be? Each reader gives `None` for what is not legal.
//!
//! Booleans are those of Go's `strconv.ParseBool`, addresses those of `net.ParseIP`, as Docker's bridge driver reads them;
//! interface names follow the kernel's `dev_valid_name` (net/core/dev.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of an interface name without its NUL (`IFNAMSIZ` - 1, linux/if.h).
const IFNAME_OCTETS: usize = 15;
/// Octets that a prefix leaves for its number: a container with 1,000 interfaces is not one that Docker starts.
const NUMBER_OCTETS: usize = 3;

/// Keep a value that was legal.
pub(super) fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// As Go reads it.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `on`, `off`, or as Go reads a boolean.
pub(super) fn switch(value: &str) -> Option<bool> {
    match value {
        "on" => Some(true),
        "off" => Some(false),
        other => boolean(other),
    }
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(value: &str, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning)
}

/// A decimal number from `least` to `most`; no sign.
pub(super) fn number(value: &str, least: u32, most: u32) -> Option<u32> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|number| digits && (least..=most).contains(number))
}

/// An address; one of IPv4 in IPv6's clothes (RFC 4291 section 2.5.5.2) is one of IPv4.
pub(super) fn address(value: &str) -> Option<IpAddr> {
    value.parse::<IpAddr>().ok().map(|address| address.to_canonical()).filter(|address| !address.is_multicast())
}

/// An address that can be a packet's source.
pub(super) fn source_v4(value: &str) -> Option<Ipv4Addr> {
    let address = value.parse::<Ipv4Addr>().ok()?;
    (!address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()).then_some(address)
}

/// An address that can be a packet's source.
pub(super) fn source_v6(value: &str) -> Option<Ipv6Addr> {
    let address = value.parse::<Ipv6Addr>().ok()?;
    let legal = !address.is_unspecified() && !address.is_multicast() && address.to_ipv4_mapped().is_none();
    legal.then_some(address)
}

/// A name that an interface can have.
pub(super) fn interface(value: &str) -> Option<String> {
    let kept = ["lo", "all", "default", ".", ".."].contains(&value);
    (legal(value, IFNAME_OCTETS) && !kept).then(|| value.to_owned())
}

/// Names with `:` between them. A ',' is legal in a name, and far more often meant for a ':'.
pub(super) fn interfaces(value: &str) -> Option<Vec<String>> {
    value.split(':').map(|name| interface(name).filter(|name| !name.contains(','))).collect()
}

/// What a name can begin with, and a number follow.
pub(super) fn prefix(value: &str) -> Option<String> {
    (legal(value, IFNAME_OCTETS - NUMBER_OCTETS) && value != "lo").then(|| value.to_owned())
}

/// The kernel takes more than ASCII, but nobody can type it; a '%' it would replace by a number.
fn legal(name: &str, longest: usize) -> bool {
    (1..=longest).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && !b"/:%".contains(&b))
}

/// How many letters have to be put in, left out or changed to make one word of the other (V. I. Levenshtein, 1966).
pub(super) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, against) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *against);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, far) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kind", "knid", 2), ("gaurd", "guard", 2), ("mut", "mtu", 2)]
        {
            assert_eq!(distance(one, other), far, "{one} {other}");
        }
    }

    #[test]
    fn numbers_have_no_sign_and_no_space() {
        assert_eq!(number("68", 68, 70), Some(68));
        assert_eq!(number("007", 0, 7), Some(7));
        for bad in ["", "+68", "-1", " 68", "68 ", "0x44", "67", "71", "4294967296", "٦٨"] {
            assert_eq!(number(bad, 68, 70), None, "{bad}");
        }
    }
}
