//! How do a frame's octets travel in a line of JSON? As one string of hexadecimal digits, two an octet, in the order of the
//! wire: `"ffffffffffff0242..."`. It is what `lanyard explain --frame` takes and `text2pcap` understands.
//!
//! Not done: base64, which is shorter and which nobody reads.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Octets of a frame, from its destination address on.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Octets(pub Vec<u8>);

/// The text is no even number of hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotOctets {
    /// The character that is no hexadecimal digit, counted from 1; `None` when only one digit is missing.
    pub at: Option<usize>,
}

impl fmt::Display for NotOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "character {at} is no hexadecimal digit"),
            None => f.write_str("an odd number of hexadecimal digits: each octet has two"),
        }
    }
}

impl std::error::Error for NotOctets {}

/// Blanks, colons and dashes between octets are passed over, so that what other tools print can be pasted.
impl FromStr for Octets {
    type Err = NotOctets;

    fn from_str(text: &str) -> Result<Self, NotOctets> {
        let mut octets = Vec::with_capacity(text.len() / 2);
        let mut high = None;
        for (index, c) in text.chars().enumerate() {
            if c.is_ascii_whitespace() || c == ':' || c == '-' {
                continue;
            }
            let digit = c.to_digit(16).ok_or(NotOctets { at: Some(index + 1) })? as u8;
            match high.take() {
                None => high = Some(digit << 4),
                Some(high) => octets.push(high | digit),
            }
        }
        if high.is_some() { Err(NotOctets { at: None }) } else { Ok(Self(octets)) }
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&[u8]> for Octets {
    fn from(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.len() * 2);
        for octet in &self.0 {
            for digit in [octet >> 4, octet & 15] {
                let _ = text.write_char(char::from_digit(u32::from(digit), 16).unwrap_or('0')); // always below 16
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let octets = Octets((0..=255).collect());
        assert_eq!(octets.to_string().parse(), Ok(octets.clone()));
        let json = serde_json::to_string(&octets).unwrap();
        assert_eq!(json, format!("\"{octets}\""));
        assert_eq!(serde_json::from_str::<Octets>(&json).unwrap(), octets);
    }

    #[test]
    fn what_other_tools_print_is_read() {
        for text in ["ff:ff 02-42", "FFFF0242", " ff ff\n02 42 "] {
            assert_eq!(text.parse(), Ok(Octets(vec![0xff, 0xff, 2, 0x42])), "{text}");
        }
        assert_eq!("".parse(), Ok(Octets::default()));
    }

    #[test]
    fn what_is_no_octets_is_refused_with_its_place() {
        for (text, at) in [("0", None), ("00 1", None), ("0g", Some(2)), ("00é0", Some(3)), ("0x00", Some(2))] {
            assert_eq!(text.parse::<Octets>(), Err(NotOctets { at }), "{text}");
        }
    }
}
