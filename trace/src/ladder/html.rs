//! How is the diagram one page that opens offline? The SVG itself, and below it a table of the frames with their steps
//! to unfold (`<details>`, HTML 4.11.1 of the living standard): no script, nothing to fetch, and a policy that says so.
//!
//! Not done: a picture that answers clicks; `lanyard top` is for looking around.

use std::fmt::Write;

use super::svg::{svg, title};
use super::text::{since, xml};
use super::{Event, Frame, Ladder};
use crate::layout::lost_words;

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;color:#263238;background:#fff;max-width:60rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.25rem;margin:0 0 1rem}svg{max-width:100%;height:auto;border:1px solid #cfd8dc;border-radius:6px}
table{border-collapse:collapse;width:100%;margin-top:1.5rem}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-top:1px solid #cfd8dc}
th{color:#546e7a;font-weight:600;border-top:0}td.n{font-weight:700}td.t{white-space:nowrap;color:#546e7a}
summary{cursor:pointer}ol{margin:.4rem 0 .2rem;padding-left:1.4rem}li b{display:inline-block;min-width:4.5rem;color:#004e7c}
.why{color:#546e7a}.drop{color:#8a2a04;font-weight:600}code{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:.92em}
@media print{details>*{display:block}svg{border:0}}
";

/// The diagram as an HTML page.
pub fn html(ladder: &Ladder) -> String {
    let title = xml(&title(ladder));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    out.push_str(&svg(ladder));
    out.push_str("<table>\n<thead><tr><th>frame</th><th>time</th><th>from</th><th>what it says, and what became of it</th></tr></thead>\n<tbody>\n");
    for event in &ladder.events {
        match event {
            Event::Frame(frame) => row(&mut out, ladder, frame),
            Event::Cache { since_ns, lane, text } => {
                let name = ladder.lanes.get(*lane).map_or("", |lane| lane.name.as_str());
                cells(&mut out, ["", &since(*since_ns), name], &format!("neighbor cache: {}", xml(text)));
            }
            Event::Lost(lost) => {
                let words = lost_words(*lost);
                cells(&mut out, ["", "", ""], &format!("<span class=\"drop\">{words} here</span>"));
            }
        }
    }
    out.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    out
}

fn cells(out: &mut String, [number, time, from]: [&str; 3], rest: &str) {
    let _ = writeln!(
        out,
        "<tr><td class=\"n\">{}</td><td class=\"t\">{}</td><td>{}</td><td>{rest}</td></tr>",
        xml(number),
        xml(time),
        xml(from)
    );
}

fn row(out: &mut String, ladder: &Ladder, frame: &Frame) {
    let from = frame.from.and_then(|lane| ladder.lanes.get(lane)).map_or("the switch", |lane| lane.name.as_str());
    let class = if frame.dropped.is_some() { "drop" } else { "verdict" };
    let mut rest = format!("<code>{}</code>", xml(&frame.summary));
    let _ = write!(rest, "<details><summary class=\"{class}\">{}</summary><ol>", xml(&frame.verdict));
    for (name, fact, why) in &frame.steps {
        let why = if why.is_empty() { String::new() } else { format!(" <span class=\"why\">({})</span>", xml(why)) };
        let _ = write!(rest, "<li><b>{}</b> {}{why}</li>", xml(name), xml(fact));
    }
    rest.push_str("</ol></details>");
    cells(out, [&format!("#{}", frame.number), &since(frame.since_ns), from], &rest);
}
