//! How is the diagram drawn? As one SVG 1.1 picture, 800 units wide: no script, no font or picture of others, dark on
//! white, so that it prints. What is told by colour is told by a word, a dash or a shape as well; the colours are from
//! the set of Okabe and Ito, which eyes that see no red or green tell apart.
//!
//! Text is set in a monospaced font, because only its width can be known without the font: every such font in common
//! use is at most 0.61 em a character.
//!
//! Not done: more than one page; a long diagram is one tall picture, with the lanes' names repeated.

use std::fmt::Write;

use super::bands::band;
use super::text::{columns, shorten, xml};
use super::{Ladder, Lane};

/// The picture's width, and where the lanes begin and end.
pub(super) const WIDTH: i32 = 800;
pub(super) const LEFT: i32 = 96;
pub(super) const RIGHT: i32 = 788;

/// After so much height the lanes' names are repeated.
const REPEAT: i32 = 1000;

/// One line of the lanes' names.
const NAME_HEIGHT: i32 = 24;

const STYLE: &str = "
.lyl text{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace;fill:#263238}
.lyl .n{font-size:12px;font-weight:bold}.lyl .t{font-size:10px;fill:#546e7a}.lyl .s{font-size:12px}
.lyl .h{font-size:12px;font-weight:bold;text-anchor:middle}.lyl .w{fill:#fff}.lyl .k{font-size:11px}.lyl .g{font-size:11px;fill:#546e7a}
.lyl .b{fill:#fff}.lyl .v{fill:#fff;fill-opacity:0}.lyl .l{stroke:#90a4ae;stroke-width:1.2}.lyl .sw{fill:#cfd8dc}
.lyl .nb{fill:none;stroke:#90a4ae}
.lyl .hb{fill:#fff;stroke:#546e7a}.lyl .sb{fill:#263238}.lyl .sep{stroke:#eceff1}
.lyl .a{fill:none;stroke:#37474f;stroke-width:1.8}.lyl .ah{fill:#37474f}
.lyl .u{fill:none;stroke:#0072b2;stroke-width:1.8}.lyl .uh{fill:#0072b2}
.lyl .f{fill:none;stroke:#b36b00;stroke-width:1.6;stroke-dasharray:7 3}.lyl .fh{fill:#b36b00}
.lyl .x{fill:none;stroke:#c2410c;stroke-width:1.6;stroke-dasharray:2 3}.lyl .c{fill:none;stroke:#c2410c;stroke-width:2.6}
.lyl .cl{fill:#e3f5ef;stroke:#00795a}.lyl .cf{fill:#e5f1f9;stroke:#0072b2}.lyl .cc{fill:#fff3dc;stroke:#b36b00;stroke-dasharray:5 2}
.lyl .cs{fill:#f9eaf3;stroke:#a2527f}.lyl .cr{fill:#fde9e0;stroke:#c2410c;stroke-width:2}.lyl .ch{fill:#fff;stroke:#546e7a;stroke-dasharray:2 2}
";

/// What is being drawn, and where the lanes are.
pub(super) struct Canvas {
    pub(super) out: String,
    /// The middle of each lane.
    pub(super) lanes: Vec<i32>,
    /// The switch's.
    pub(super) switch: i32,
}

impl Canvas {
    /// Text whose baseline begins at `x`, `y`; it must be clean of harm already or become so here.
    pub(super) fn text(&mut self, x: i32, y: i32, class: &str, text: &str) {
        let _ = writeln!(self.out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", xml(text));
    }

    /// A rectangle.
    pub(super) fn rect(&mut self, class: &str, [x, y, width, height]: [i32; 4], round: i32) {
        let round = if round > 0 { format!(" rx=\"{round}\"") } else { String::new() };
        let _ = writeln!(
            self.out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{round}/>"
        );
    }

    /// A path; nothing for an empty one.
    pub(super) fn path(&mut self, class: &str, path: &str) {
        if !path.is_empty() {
            let _ = writeln!(self.out, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }
}

/// The width of a text in a font of `size` units, rounded up.
pub(super) fn width(text: &str, size: i32) -> i32 {
    (units(columns(text)) * size * 61 + 99) / 100
}

/// A count as units of the picture.
pub(super) fn units(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX / 100_000)
}

/// How many columns of a font of `size` units have room in `room` units.
pub(super) fn room(room: i32, size: i32) -> usize {
    usize::try_from(room * 100 / (size * 61)).unwrap_or(0)
}

/// The diagram as an SVG document.
pub fn svg(ladder: &Ladder) -> String {
    let (mut head, top) = (Head::new(ladder), 12);
    let mut canvas = Canvas { out: String::new(), switch: head.x(ladder.switch), lanes: head.lanes.clone() };
    let (mut y, mut names) = (top + head.height + 6, vec![top]);
    for event in &ladder.events {
        if y - names.last().copied().unwrap_or(0) > REPEAT {
            names.push(y + 8);
            y += head.height + 16;
        }
        y = band(&mut canvas, ladder, event, y);
    }
    let bottom = y + 8;
    let height = bottom + 40;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" class=\"lyl\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style type=\"text/css\">{STYLE}</style>\n\
         <rect class=\"b\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
        xml(&title(ladder))
    );
    for (lane, x) in head.lanes.iter().enumerate() {
        if lane == ladder.switch {
            let _ = writeln!(
                out,
                "<rect class=\"sw\" x=\"{}\" y=\"{top}\" width=\"8\" height=\"{}\"/>",
                x - 4,
                bottom - top
            );
        } else {
            let _ = writeln!(out, "<path class=\"l\" d=\"M{x} {top}V{bottom}\"/>");
        }
    }
    out.push_str(&canvas.out);
    for y in names {
        head.draw(&mut out, ladder, y);
    }
    legend(&mut out, bottom + 24);
    out.push_str("</svg>\n");
    out
}

/// What the diagram shows, in a few words.
pub(super) fn title(ladder: &Ladder) -> String {
    let frames = ladder.frames();
    let networks: Vec<&str> = ladder.networks().into_iter().filter(|network| !network.is_empty()).collect();
    let on = if networks.is_empty() { String::new() } else { format!(" on {}", networks.join(", ")) };
    format!("{frames} frame{}{on}: what the switch made of each", if frames == 1 { "" } else { "s" })
}

/// Samples of what is drawn, and what they mean.
fn legend(out: &mut String, y: i32) {
    let mut canvas = Canvas { out: String::new(), lanes: Vec::new(), switch: 0 };
    let mut x = LEFT;
    let (up, down) = (y - 4, y);
    for (class, head, says) in [
        ("a", "ah", "into the switch"),
        ("u", "uh", "to one port"),
        ("f", "fh", "flooded: to every other port"),
        ("x", "", "dropped, or not sent"),
    ] {
        canvas.path(class, &format!("M{x} {up}h26"));
        if head.is_empty() {
            canvas.path("c", &format!("M{} {}l8 8m0 -8l-8 8", x + 24, up - 4));
        } else {
            canvas.path(head, &format!("M{} {up}l-8 -4v8z", x + 32));
        }
        canvas.text(x + 38, down, "t", says);
        x += 38 + width(says, 10) + 20;
    }
    out.push_str(&canvas.out);
}

/// The lanes' names, and where they stand.
struct Head {
    lanes: Vec<i32>,
    /// The room of one lane.
    gap: i32,
    /// Do names stand on two levels, because a lane is narrower than its name?
    staggered: bool,
    /// Do networks have a line of their own above the names? One network stands beside them.
    networks: bool,
    height: i32,
}

impl Head {
    fn new(ladder: &Ladder) -> Self {
        let count = units(ladder.lanes.len().max(1));
        let gap = (RIGHT - LEFT) / count;
        let lanes = (0..count).map(|lane| LEFT + gap * lane + gap / 2).collect();
        let staggered = ladder.lanes.iter().any(|lane| width(&lane.name, 12) + 16 > gap);
        let networks = ladder.networks().len() > 1;
        let height = NAME_HEIGHT * (1 + i32::from(staggered)) + if networks { 20 } else { 0 };
        Self { lanes, gap, staggered, networks, height }
    }

    fn x(&self, lane: usize) -> i32 {
        self.lanes.get(lane).copied().unwrap_or(LEFT)
    }

    fn draw(&mut self, out: &mut String, ladder: &Ladder, y: i32) {
        let mut canvas = Canvas { out: String::new(), lanes: Vec::new(), switch: 0 };
        canvas.rect("b", [LEFT, y, RIGHT - LEFT, self.height], 0);
        let mut y = y;
        if self.networks {
            self.networks(&mut canvas, ladder, y);
            y += 20;
        } else if let Some(network) = ladder.networks().first() {
            canvas.text(10, y + 15, "t", &shorten(network, room(LEFT - 14, 10)));
        }
        for (index, lane) in ladder.lanes.iter().enumerate() {
            let low = self.staggered && index % 2 == 1;
            let level = y + if low { NAME_HEIGHT } else { 0 };
            if self.staggered && !low {
                canvas.path("l", &format!("M{} {}v{NAME_HEIGHT}", self.x(index), y + NAME_HEIGHT));
            }
            self.name(&mut canvas, lane, index == ladder.switch, self.x(index), level);
        }
        out.push_str(&canvas.out);
    }

    fn name(&self, canvas: &mut Canvas, lane: &Lane, switch: bool, x: i32, y: i32) {
        let beside = 2 * (x - LEFT + 20).min(WIDTH - 4 - x);
        let most = (self.gap * (1 + i32::from(self.staggered)) - 6).min(beside);
        let name = shorten(&lane.name, room(most - 10, 12));
        let wide = (width(&name, 12) + 16).clamp(30.min(most), most);
        let (box_class, text_class) = if switch { ("sb", "h w") } else { ("hb", "h") };
        let _ = writeln!(canvas.out, "<g><title>{}</title>", xml(&lane.name));
        canvas.rect(box_class, [x - wide / 2, y + 1, wide, NAME_HEIGHT - 4], if switch { 2 } else { 6 });
        canvas.text(x, y + 15, text_class, &name);
        canvas.out.push_str("</g>\n");
    }

    /// One bracket above the lanes of each network.
    fn networks(&self, canvas: &mut Canvas, ladder: &Ladder, y: i32) {
        let mut from = 0;
        while from < ladder.lanes.len() {
            let network = &ladder.lanes[from].network;
            let same = |lane: &(usize, &Lane)| lane.1.network == *network && lane.0 != ladder.switch;
            let end = from + ladder.lanes.iter().enumerate().skip(from).take_while(same).count();
            if from == ladder.switch {
                from += 1;
                continue;
            }
            let (left, right) = (self.x(from) - self.gap / 2 + 4, self.x(end - 1) + self.gap / 2 - 4);
            canvas.path("nb", &format!("M{left} {}v-5h{}v5", y + 18, right - left));
            let name = shorten(network, room(right - left, 10));
            let _ = writeln!(
                canvas.out,
                "<text class=\"t\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}<title>{}</title></text>",
                i32::midpoint(left, right),
                y + 9,
                xml(&name),
                xml(network)
            );
            from = end;
        }
    }
}
