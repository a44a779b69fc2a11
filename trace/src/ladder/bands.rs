//! How is one event drawn? As a band of its own, from top to bottom: what the frame says, the arrow into the switch, the
//! notes on the switch's lane, and the arrows out; nothing in a band stands on the height of anything else, so that no
//! text meets an arrow.

use std::fmt::Write;

use super::svg::{Canvas, LEFT, RIGHT, WIDTH, room, units, width};
use super::text::{since, wrap, xml};
use super::{Copy, Event, Frame, Ladder, Note};
use crate::layout::lost_words;
use crate::words::Tone;

/// Half the switch's lane: arrows end at its edge.
const EDGE: i32 = 5;

/// Ports that did not take a copy and are told with their reason; the others are counted.
const NAMED: usize = 3;

/// Draw an event at height `y`; where the next one begins.
pub(super) fn band(canvas: &mut Canvas, ladder: &Ladder, event: &Event, y: i32) -> i32 {
    let content = std::mem::take(&mut canvas.out);
    let (end, title) = match event {
        Event::Frame(frame) => (draw_frame(canvas, ladder, frame, y), Some(frame_title(frame))),
        Event::Cache { since_ns, lane, text } => {
            let x = canvas.lanes.get(*lane).copied().unwrap_or(LEFT);
            canvas.text(10, y + 19, "t", &since(*since_ns));
            let note = Note { text: text.clone(), tone: Tone::Forward };
            (chips(canvas, &[note], x, y + 4, Some("ch")) + 4, Some(format!("{text}: in the host's neighbor cache")))
        }
        Event::Lost(lost) => (draw_lost(canvas, *lost, y), None),
    };
    let drawn = std::mem::replace(&mut canvas.out, content);
    let _ = writeln!(canvas.out, "<g>");
    if let Some(title) = title {
        let _ = writeln!(canvas.out, "<title>{}</title>", xml(&title));
    }
    canvas.rect("v", [0, y, WIDTH, end - y], 0);
    canvas.out.push_str(&drawn);
    canvas.path("sep", &format!("M8 {end}H{}", WIDTH - 8));
    canvas.out.push_str("</g>\n");
    end
}

fn frame_title(frame: &Frame) -> String {
    format!("#{}: {}: {}", frame.number, frame.summary, frame.verdict)
}

fn draw_lost(canvas: &mut Canvas, lost: u64, y: i32) -> i32 {
    canvas.path("x", &format!("M8 {}H{}", y + 13, WIDTH - 8));
    label(canvas, WIDTH / 2, y + 17, "k", 11, &format!("{} here", lost_words(lost)));
    y + 26
}

fn draw_frame(canvas: &mut Canvas, ladder: &Ladder, frame: &Frame, top: i32) -> i32 {
    let switch = canvas.switch;
    canvas.text(10, top + 19, "n", &format!("#{}", frame.number));
    canvas.text(10, top + 33, "t", &since(frame.since_ns));
    let from = frame.from.and_then(|lane| canvas.lanes.get(lane).copied());
    let middle = from.map_or(switch, |from| i32::midpoint(from, switch));
    let mut y = top + 19;
    for line in wrap(&frame.summary, room(RIGHT - LEFT, 12), 2) {
        label(canvas, middle, y, "s", 12, &line);
        y += 15;
    }
    y -= 4;
    match from {
        Some(from) => arrow(canvas, "a", "ah", from, edge(switch, from), y),
        None => canvas.path("ah", &format!("M{switch} {}l6 6l-6 6l-6 -6z", y - 5)),
    }
    y += 8;
    if !frame.notes.is_empty() {
        y = chips(canvas, &frame.notes, switch, y, None);
    }
    y = copies(canvas, ladder, frame, y);
    if let Some(reason) = &frame.dropped {
        y = cross(canvas, reason, y);
    }
    (y + 6).max(top + 42)
}

/// Text in the middle of `x`, moved so that it stays in the picture, on a ground of its own.
fn label(canvas: &mut Canvas, x: i32, y: i32, class: &str, size: i32, text: &str) {
    let wide = width(text, size);
    let left = (x - wide / 2).min(RIGHT - wide).max(LEFT);
    canvas.rect("b", [left - 3, y - size + 1, wide + 6, size + 3], 0);
    canvas.text(left, y, class, text);
}

/// The notes in rows around `x`; where they end.
fn chips(canvas: &mut Canvas, notes: &[Note], x: i32, y: i32, class: Option<&str>) -> i32 {
    let most = room(RIGHT - LEFT - 16, 11);
    let mut rows: Vec<Vec<(&str, String, i32)>> = Vec::new();
    let mut used = 0;
    for note in notes {
        let class = class.unwrap_or(tone_class(note.tone));
        for line in wrap(&note.text, most, 3) {
            let wide = width(&line, 11) + 14;
            match rows.last_mut() {
                Some(row) if used + 6 + wide <= RIGHT - LEFT => {
                    row.push((class, line, wide));
                    used += 6 + wide;
                }
                _ => {
                    rows.push(vec![(class, line, wide)]);
                    used = wide;
                }
            }
        }
    }
    let mut y = y;
    for row in rows {
        let wide: i32 = row.iter().map(|(_, _, wide)| wide + 6).sum::<i32>() - 6;
        let mut left = (x - wide / 2).min(RIGHT - wide).max(LEFT);
        for (class, line, wide) in row {
            canvas.rect(class, [left, y + 2, wide, 18], if class == "cr" { 0 } else { 5 });
            canvas.text(left + 7, y + 15, "k", &line);
            left += wide + 6;
        }
        y += 23;
    }
    y
}

const fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Learn => "cl",
        Tone::Forward => "cf",
        Tone::Caution => "cc",
        Tone::Speak => "cs",
        Tone::Refuse => "cr",
    }
}

/// The switch's edge towards `x`.
fn edge(switch: i32, x: i32) -> i32 {
    if x < switch { switch - EDGE } else { switch + EDGE }
}

/// A horizontal arrow.
fn arrow(canvas: &mut Canvas, line: &str, head: &str, from: i32, to: i32, y: i32) {
    let back = if to > from { -8 } else { 8 };
    canvas.path(line, &format!("M{from} {y}H{}", to + back / 2));
    canvas.path(head, &format!("M{to} {y}l{back} -4v8z"));
}

/// The arrows out: one level, or a fan from one point.
fn copies(canvas: &mut Canvas, ladder: &Ladder, frame: &Frame, y: i32) -> i32 {
    if frame.copies.is_empty() {
        return y;
    }
    let drop = if frame.copies.len() == 1 { 0 } else { 18 + 2 * units(frame.copies.len()) };
    let (line, head) = if frame.flooded { ("f", "fh") } else { ("u", "uh") };
    let (mut lines, mut heads, mut lost, mut crosses) = (String::new(), String::new(), String::new(), String::new());
    let y = y + 9;
    for copy in &frame.copies {
        let Some(x) = canvas.lanes.get(copy.lane).copied() else { continue };
        let from = edge(canvas.switch, x);
        let (dx, dy) = (x - from, drop);
        if copy.taken > 0 {
            let _ = write!(lines, "M{from} {y}L{} {}", x - dx.signum() * 4, y + dy - dy * 4 / dx.abs().max(1));
            heads.push_str(&arrow_head(x, y + dy, dx, dy));
        } else {
            let _ = write!(lost, "M{from} {y}L{} {}", x - dx.signum() * 10, y + dy - dy * 10 / dx.abs().max(1));
        }
        if copy.refused.is_some() {
            let _ = write!(crosses, "M{} {}l8 8m0 -8l-8 8", x - 4, y + dy - 4);
        }
    }
    canvas.path(line, &lines);
    canvas.path(head, &heads);
    canvas.path("x", &lost);
    canvas.path("c", &crosses);
    not_sent(canvas, ladder, frame, y + drop + 8)
}

/// A triangle whose point is at `x`, `y` and which points along `dx`, `dy`.
fn arrow_head(x: i32, y: i32, dx: i32, dy: i32) -> String {
    let (dx, dy) = (f64::from(dx), f64::from(dy));
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let at = |back: f64, side: f64| (f64::from(x) - ux * back - uy * side, f64::from(y) - uy * back + ux * side);
    let ((ax, ay), (bx, by)) = (at(8.0, 4.0), at(8.0, -4.0));
    format!("M{x} {y}L{ax:.1} {ay:.1}L{bx:.1} {by:.1}z")
}

/// Why copies were not sent, one line each.
fn not_sent(canvas: &mut Canvas, ladder: &Ladder, frame: &Frame, y: i32) -> i32 {
    let refused: Vec<&Copy> = frame.copies.iter().filter(|copy| copy.refused.is_some()).collect();
    let mut y = y;
    for copy in refused.iter().take(NAMED) {
        let Some((count, why)) = &copy.refused else { continue };
        let lane = ladder.lanes.get(copy.lane).map_or("", |lane| lane.name.as_str());
        let whom = if *count > 1 { format!("{count} of {lane}") } else { lane.to_owned() };
        let x = canvas.lanes.get(copy.lane).copied().unwrap_or(LEFT);
        for line in wrap(&format!("NOT SENT to {whom}: {why}"), room(RIGHT - LEFT, 11), 2) {
            label(canvas, x, y + 11, "k", 11, &line);
            y += 15;
        }
    }
    if refused.len() > NAMED {
        let more = format!("and not to {} more", refused.len() - NAMED);
        label(canvas, canvas.switch, y + 11, "k", 11, &more);
        y += 15;
    }
    y
}

/// A cross on the switch's lane, and why.
fn cross(canvas: &mut Canvas, reason: &str, y: i32) -> i32 {
    let x = canvas.switch;
    let middle = y + 11;
    let right = RIGHT - x >= x - LEFT;
    let space = if right { RIGHT - x } else { x - LEFT } - 18;
    let lines = wrap(&format!("DROP: {reason}"), room(space, 11), 4);
    canvas.rect("b", [x - 8, middle - 8, 16, 16], 0);
    canvas.path("c", &format!("M{} {}l12 12m0 -12l-12 12", x - 6, middle - 6));
    let mut baseline = middle + 4;
    for line in &lines {
        let wide = width(line, 11);
        let left = if right { x + 16 } else { x - 16 - wide };
        canvas.rect("b", [left - 3, baseline - 10, wide + 6, 14], 0);
        canvas.text(left, baseline, "k", line);
        baseline += 15;
    }
    (baseline - 4).max(y + 22)
}
