//! How is text made to fit, and to do no harm? Names come from people and may hold anything.

/// What XML 1.0 cannot hold (2.2) or a terminal should not see: control characters, non-characters, and those that
/// turn the direction of what follows (Unicode UAX 9, 2.1 to 2.5).
fn harmful(c: char) -> bool {
    let turning = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    c.is_control() || turning || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}')
}

/// The text with what does harm made visible.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The text as XML character data or attribute value (XML 1.0, 2.4).
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Columns that a text takes: one for ASCII and Latin, two for what may be wide (no table of widths is kept; too much
/// room is better than too little).
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(column).sum()
}

fn column(c: char) -> usize {
    let narrow =
        (c as u32) < 0x1100 || matches!(c, '\u{2010}'..='\u{2027}' | '\u{2190}'..='\u{21ff}' | '\u{2500}'..='\u{257f}');
    if narrow || c == '\u{2715}' { 1 } else { 2 }
}

/// The text on at most `columns` columns; what is cut off becomes an ellipsis.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let text = clean(text);
    if columns(&text) <= most {
        return text;
    }
    let (mut out, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += column(c);
        if used > most {
            break;
        }
        out.push(c);
    }
    if most > 0 {
        out.truncate(out.trim_end().len());
        out.push('\u{2026}');
    }
    out
}

/// The text on lines of at most `width` columns, broken at blanks where it can be, on `lines` lines at most.
pub(crate) fn wrap(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let room = if line.is_empty() { width } else { width.saturating_sub(columns(&line) + 1) };
        let word = clean(word);
        if columns(&word) > room && !line.is_empty() {
            if out.len() + 1 == lines {
                let rest = words.fold(word, |rest, word| rest + " " + word);
                line = shorten(&format!("{line} {rest}"), width);
                out.push(line);
                return out;
            }
            out.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&shorten(&word, width));
    }
    if !line.is_empty() {
        out.push(line);
    }
    out
}

/// A time after the first event, in the unit that shows it best.
pub(crate) fn since(ns: u64) -> String {
    match ns {
        0 => "+0 s".to_owned(),
        1..1_000_000 => format!("+{}.{} us", ns / 1000, ns % 1000 / 100),
        1_000_000..1_000_000_000 => format!("+{}.{:02} ms", ns / 1_000_000, ns % 1_000_000 / 10_000),
        _ => format!("+{}.{:02} s", ns / 1_000_000_000, ns % 1_000_000_000 / 10_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_harm_becomes_visible() {
        assert_eq!(clean("a\x1b[2J\n\u{202e}b\u{ffff}"), "a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(xml("<a b=\"c\" & 'd'>"), "&lt;a b=&quot;c&quot; &amp; &#39;d&#39;&gt;");
    }

    #[test]
    fn text_fits() {
        assert_eq!(shorten("hello", 5), "hello");
        assert_eq!(shorten("hello you", 7), "hello\u{2026}");
        assert_eq!((shorten("hello", 1).as_str(), shorten("hello", 0).as_str()), ("\u{2026}", ""));
        assert_eq!(columns("\u{4e2d}\u{6587}"), 4);
        assert_eq!(wrap("one two three four", 9, 9), ["one two", "three", "four"]);
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three fo\u{2026}"]);
        assert_eq!(wrap("abcdefghijkl m", 5, 3), ["abcd\u{2026}", "m"]);
        assert!(wrap("", 9, 9).is_empty());
    }

    #[test]
    fn times_have_their_unit() {
        for (ns, text) in [
            (0, "+0 s"),
            (900, "+0.9 us"),
            (52_345, "+52.3 us"),
            (1_234_567, "+1.23 ms"),
            (999_999_999, "+999.99 ms"),
            (61_230_000_000, "+61.23 s"),
        ] {
            assert_eq!(since(ns), text);
        }
    }
}
