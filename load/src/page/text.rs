//! How does any text become part of a page or a picture? Escaped (XML 1.0 section 2.4), without the characters that XML has no
//! place for (section 2.2), and, in a picture, cut to the room there is.
//!
//! Not done: a picture does not know which font it will be shown in; widths are those of a wide one, so that what fits by
//! them fits in others as well.

/// Text between tags or between quotation marks.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(allowed(other)),
        }
    }
    out
}

/// The character, or the sign for one that cannot be shown.
fn allowed(character: char) -> char {
    match character {
        '\t' | '\n' => character,
        // Characters that turn the direction of what follows could make a name look like another.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

/// One line of a picture: at most so many pixels wide in letters of a size, with an ellipsis where it was cut.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    let line: String = text
        .chars()
        .map(|character| if matches!(character, '\n' | '\r' | '\t') { ' ' } else { allowed(character) })
        .collect();
    if width(&line, size) <= room {
        return line;
    }
    let mut kept = String::new();
    for character in line.chars() {
        kept.push(character);
        if width(&kept, size) + size > room {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}

/// About how many pixels a text takes in letters of a size; rather more than less.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(letter).sum::<f64>() * size
}

/// Shares of the size of a sans-serif letter, as wide as in `DejaVu Sans`.
fn letter(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '.' | ',' | ':' | ';' | '|' | '!' | ' ' | '\u{a0}' | 'I' => 0.34,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '-' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 0.98,
        '⁰'..='⁹' | '¹' | '²' | '³' | '⁻' => 0.5,
        'A'..='Z' => 0.74,
        'a'..='z' | '0'..='9' => 0.64,
        character if character.is_ascii() => 0.8,
        '\u{80}'..='\u{2fff}' => 0.84,
        _ => 1.1,
    }
}

/// A whole number set high: 10⁻⁷.
pub(super) fn superscript(number: i32) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let set = |character: char| match character.to_digit(10) {
        Some(digit) => digits[digit as usize % 10],
        None => '⁻',
    };
    number.to_string().chars().map(set).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(escape("<script>a&&\"b'"), "&lt;script&gt;a&amp;&amp;&quot;b&#39;");
        assert_eq!(escape("a\0b\u{1b}[31m\u{202e}"), "a\u{fffd}b\u{fffd}[31m\u{fffd}");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(fitted("lanyard", 12.0, 200.0), "lanyard");
        assert_eq!(fitted("two\nlines", 12.0, 200.0), "two lines");
        let cut = fitted("a switch with a very long name", 12.0, 100.0);
        assert!(cut.ends_with('…') && cut.starts_with("a switch") && width(&cut, 12.0) <= 100.0, "{cut}");
        assert_eq!(fitted("ns:h1/eth0", 12.0, 5.0), "…");
        assert_eq!(fitted("1.5\u{a0}M", 12.0, 100.0), "1.5\u{a0}M", "a number stays with its prefix");
    }

    #[test]
    fn powers_are_set_high() {
        let table = [(0, "⁰"), (12, "¹²"), (-7, "⁻⁷"), (-17, "⁻¹⁷"), (345_689, "³⁴⁵⁶⁸⁹")];
        for (number, set) in table {
            assert_eq!(superscript(number), set);
        }
    }

    /// Held against the advance widths of `DejaVu Sans`, which is among the widest that browsers take for sans-serif: em.
    #[test]
    fn widths_are_not_below_those_of_a_wide_font() {
        let table = [
            ("lanyard", 3.77),
            ("99.9999 %", 5.40),
            ("offered rate, frames/s", 10.92),
            ("stream 3 from ns:h3/eth0", 12.84),
            ("1500 k", 3.44),
            ("500 µs", 3.38),
            ("10⁻⁷ %", 3.47),
            ("MISDELIVERED", 7.46),
            ("×0.98", 3.06),
        ];
        for (text, em) in table {
            let room = width(text, 1.0);
            assert!(room >= em * 0.97 && room < em * 1.25, "{text}: {room} for {em}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_xml(text in "\\PC*|(.|\\s)*", room in 15.0f64..300.0) {
            let page = format!("<p title=\"{0}\">{0}</p>", escape(&text));
            prop_assert!(roxmltree::Document::parse(&page).is_ok(), "{}", page);
            let cut = fitted(&text, 12.0, room);
            prop_assert!(width(&cut, 12.0) <= room.max(width(&text, 12.0).min(room)) + 0.1 && !cut.contains('\n'));
        }
    }
}
