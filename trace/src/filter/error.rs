//! How is a filter refused? With one line that names the word and the mend, and two more that point at it.

use std::ops::Range;

use thiserror::Error;

/// The text is no filter.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("wrong filter: {message}")]
pub struct FilterError {
    text: String,
    range: Range<usize>,
    message: String,
}

impl FilterError {
    pub(super) fn new(text: &str, range: Range<usize>, message: impl Into<String>) -> Self {
        // A message quotes what was typed; it stays one line all the same.
        Self { text: text.to_owned(), range, message: visible(&message.into()) }
    }

    /// The filter that was refused, as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where in [`FilterError::text`] the fault is, in octets; empty at its end where something is missing.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The filter on one line and carets under what is wrong on the next, without a newline at the end. Control
    /// characters stand as U+FFFD, so that the carets are where they should be and no terminal is moved.
    pub fn pointed(&self) -> String {
        let before = self.text.get(..self.range.start).map_or(0, |text| text.chars().count());
        let under = self.text.get(self.range.clone()).map_or(1, |text| text.chars().count().max(1));
        format!("{}\n{}{}", visible(&self.text), " ".repeat(before), "^".repeat(under))
    }
}

fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The word of `known` that somebody who wrote `word` may have meant: one that few changes lead to.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = word.chars().take(WORD_LETTERS).collect();
    let allowed = (letters.len() / 2).clamp(1, 2);
    let (distance, found) =
        known.into_iter().map(|known| (distance(&letters, known), known)).min_by_key(|(distance, _)| *distance)?;
    (distance <= allowed).then_some(found)
}

/// No word of a filter has so many letters.
const WORD_LETTERS: usize = 32;

/// How many letters must be put in, left out, changed, or swapped with their neighbor (Damerau's distance, in the form
/// that touches no letter twice).
fn distance(word: &[char], known: &str) -> usize {
    let known: Vec<char> = known.chars().collect();
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=known.len()).collect();
    for (row, letter) in word.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in known.iter().enumerate() {
            let changed = last[column] + usize::from(letter != other);
            let mut fewest = changed.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && word[row - 1] == *other && known[column - 1] == *letter {
                let swapped: &Vec<usize> = &before;
                fewest = fewest.min(swapped[column - 1] + 1);
            }
            next.push(fewest);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[known.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_mended() {
        let known = ["verdict", "reason", "host", "net", "port"];
        for (word, meant) in [
            ("vedict", Some("verdict")),
            ("verdcit", Some("verdict")),
            ("resaon", Some("reason")),
            ("hots", Some("host")),
            ("nte", Some("net")),
            ("ports", Some("port")),
            ("xyz", None),
            ("", None),
            ("verdictverdictverdictverdictverdictverdict", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn carets_stand_under_the_word() {
        let error = FilterError::new("é\tand foo", 7..10, "'foo\n' is no word");
        assert_eq!(error.pointed(), "é\u{fffd}and foo\n      ^^^");
        assert_eq!(error.to_string(), "wrong filter: 'foo\u{fffd}' is no word");
        let error = FilterError::new("ip and", 6..6, "it ends here");
        assert_eq!(error.pointed(), "ip and\n      ^");
    }
}
