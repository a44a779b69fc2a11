//! How do paragraphs look on a terminal? Broken between words at [`COLUMNS`] columns, without control characters.
//!
//! Not done: characters that take two columns, or none.

use std::fmt::Write;

/// How wide a paragraph is.
pub(crate) const COLUMNS: usize = 80;

/// Paragraphs, broken at [`COLUMNS`]; a line that begins with a blank stays as it is.
pub(crate) fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for line in text.trim_matches('\n').lines() {
        let as_it_is = line.starts_with(' ') || line.trim().is_empty();
        if as_it_is && column > 0 {
            out.push('\n');
            column = 0;
        }
        if as_it_is {
            let _ = writeln!(out, "{}", visible(line.trim_end())); // a String takes everything
            continue;
        }
        for word in line.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > COLUMNS {
                out.push('\n');
                column = 0;
            }
            if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(&visible(word));
            column += length;
        }
    }
    if column > 0 {
        out.push('\n');
    }
    out
}

/// No control character of a file's or a command's reaches the terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_broken_and_indented_lines_are_not() {
        let text = format!("{}\n\nnext\n  as   it is\nand on\n", "word ".repeat(30));
        let lines: Vec<String> = wrapped(&text).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 6);
        assert!(lines.iter().all(|line| line.len() <= COLUMNS));
        assert_eq!(lines[2..], ["", "next", "  as   it is", "and on"]);
        assert_eq!(wrapped("a\x1bb"), "a\u{fffd}b\n");
        assert_eq!(wrapped(""), "");
    }
}
