//! How is the diagram said to Mermaid (sequenceDiagram)? For pages that draw it by themselves, as code forges do with a
//! block marked `mermaid`.
//!
//! Names are texts here and never syntax: participants have names of their own (`p1`), and in texts every character
//! that could mean something goes as Mermaid's `#NN;`. A box says `transparent`, or a network called `red` would be one.
//!
//! Not done: a fan; a flood is one arrow for each port, in a group of their own.

use std::fmt::Write;

use super::text::{clean, since};
use super::{Event, Frame, Ladder};
use crate::layout::lost_words;

/// The diagram as Mermaid's text.
pub fn mermaid(ladder: &Ladder) -> String {
    let mut out = String::from("sequenceDiagram\n");
    participants(&mut out, ladder);
    for event in &ladder.events {
        match event {
            Event::Frame(frame) => draw(&mut out, ladder, frame),
            Event::Cache { lane, text, .. } => {
                let _ = writeln!(out, "    Note over {}: {}", key(ladder, *lane), escape(text));
            }
            Event::Lost(lost) => {
                let _ = writeln!(out, "    Note over s: {} here", lost_words(*lost));
            }
        }
    }
    out
}

/// The participants, in a box for each network where there are several.
fn participants(out: &mut String, ladder: &Ladder) {
    let boxed = ladder.networks().len() > 1;
    let mut open: Option<&str> = None;
    for (index, lane) in ladder.lanes.iter().enumerate() {
        let network = (boxed && index != ladder.switch).then_some(lane.network.as_str());
        if open != network {
            if open.is_some() {
                out.push_str("    end\n");
            }
            if let Some(network) = network {
                let _ = writeln!(out, "    box transparent {}", name(network));
            }
            open = network;
        }
        let _ = writeln!(out, "    participant {} as {}", key(ladder, index), name(&lane.name));
    }
    if open.is_some() {
        out.push_str("    end\n");
    }
}

fn key(ladder: &Ladder, lane: usize) -> String {
    if lane == ladder.switch { "s".to_owned() } else { format!("p{}", lane + usize::from(lane < ladder.switch)) }
}

fn draw(out: &mut String, ladder: &Ladder, frame: &Frame) {
    let said = escape(&format!("#{} {} {}", frame.number, since(frame.since_ns), frame.summary));
    match frame.from {
        Some(from) => {
            let _ = writeln!(out, "    {}->>s: {said}", key(ladder, from));
        }
        None => {
            let _ = writeln!(out, "    Note over s: {said}");
        }
    }
    for note in &frame.notes {
        let _ = writeln!(out, "    Note over s: {}", escape(&note.text));
    }
    for copy in &frame.copies {
        let to = key(ladder, copy.lane);
        let arrow = if frame.flooded { "-->>" } else { "->>" };
        if copy.taken > 0 {
            let said = if copy.taken > 1 {
                format!("#{} to {}", frame.number, copy.taken)
            } else {
                format!("#{}", frame.number)
            };
            let _ = writeln!(out, "    s{arrow}{to}: {}", escape(&said));
        }
        if let Some((count, why)) = &copy.refused {
            let ports = if *count > 1 { format!(" ({count} ports)") } else { String::new() };
            let _ = writeln!(out, "    s-x{to}: {}", escape(&format!("not sent{ports}: {why}")));
        }
    }
    if let Some(reason) = &frame.dropped {
        let _ = writeln!(out, "    s-xs: {}", escape(&format!("DROP: {reason}")));
    }
}

/// A name of a lane or a box: nothing but letters, digits and blanks goes as it is.
fn name(text: &str) -> String {
    coded(text, "._")
}

/// A text behind an arrow or in a note, where Mermaid reads few things as its own.
fn escape(text: &str) -> String {
    coded(text, "._/:,+-()\u{2192}")
}

/// The text with all but letters, digits, blanks and `plain` in the form `#NN;`; the word `end` as well, which ends boxes
/// wherever it stands.
fn coded(text: &str, plain: &str) -> String {
    let text = clean(text);
    let mut rest = text.as_str();
    if rest.trim().is_empty() {
        return "#32;".to_owned();
    }
    let mut out = String::with_capacity(text.len());
    while let Some(c) = rest.chars().next() {
        let ends = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("end"));
        if !ends && (c.is_alphanumeric() || c == ' ' || plain.contains(c)) {
            out.push(c);
        } else {
            let _ = write!(out, "#{};", c as u32);
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escape, name};

    #[test]
    fn names_are_never_syntax() {
        assert_eq!(name("h-1"), "h#45;1");
        assert_eq!(escape("a:b;c#d"), "a:b#59;c#35;d");
        assert_eq!(escape("end"), "#101;nd");
        assert_eq!(escape("the END\n"), "the #69;ND#65533;");
        assert_eq!(escape("<script>"), "#60;script#62;");
        assert_eq!(escape(" "), "#32;");
    }
}
