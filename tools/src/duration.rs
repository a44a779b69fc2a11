//! How are times written? As numbers with their units, one after the other: `300s`, `1m30s`, `1500ms`, `2h`.
//!
//! Not done: fractions, and numbers without a unit: half of the tools take those for seconds, the others for milliseconds.

use std::time::Duration;

/// What a unit is, in milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Read a time.
///
/// # Errors
/// How to write one.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time: write a number with its unit, as in 300s, 5m, 1m30s or 1500ms");
    let (mut rest, mut sum) = (text, 0u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest.bytes().skip(digits).take_while(u8::is_ascii_alphabetic).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        // What is longer than the numbers go is as long as they go.
        let number = number.parse::<u64>().or(if digits > 0 { Ok(u64::MAX) } else { Err(()) }).map_err(|()| wrong())?;
        sum = sum.saturating_add(number.saturating_mul(*millis));
        rest = &rest[digits + letters..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(sum)) }
}

/// A time in the two largest units that it needs: `1m30s`, `1500ms` as `1s500ms`.
pub(crate) fn written(millis: u64) -> String {
    let mut left = millis;
    let mut parts = Vec::new();
    for (unit, length) in UNITS.iter().rev() {
        if left >= *length {
            parts.push(format!("{}{unit}", left / length));
            left %= length;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0ms".to_owned() } else { parts.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, millis) in [
            ("300s", 300_000),
            ("5m", 300_000),
            ("1500ms", 1500),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("0s", 0),
            ("99999999999999999999999s", u64::MAX),
            ("18446744073709551615d", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "300", "s", "5 m", "-5s", "+5s", "1.5s", "5S", "5µs", "5min", "300sx", "s300", "٣s", "5m\0"]
        {
            let why = parse(wrong).unwrap_err();
            assert!(why.contains("as in 300s") && why.contains(&format!("'{wrong}'")), "{why}");
        }
    }

    #[test]
    fn times_are_written() {
        for (millis, text) in [(0, "0ms"), (52, "52ms"), (1500, "1s500ms"), (90_000, "1m30s"), (3_600_001, "1h1ms")] {
            assert_eq!(written(millis), text);
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)));
        }
        assert_eq!(written(599_999), "9m59s");
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,20}|[0-9a-zé ]{0,30}") {
            let _ = parse(&text);
        }
    }
}
