//! How is a report one page that anybody can open? Title, facts, sections of words, tables and plots, as one HTML file: styles
//! and pictures are in it, it has no script, asks nobody for anything, and has a policy that says so (CSP level 3). Light or
//! dark as the reader has it, black on white on paper. Pure: values in, text out.
//!
//! The markup is XML as well as HTML ("polyglot"), so that a parser can hold it against its rules. All text is escaped.
//!
//! Not done: sorting tables and reading values off the plots with a mouse, which would take a script. The JSON has them all.
#![allow(clippy::cast_sign_loss, reason = "a cast puts what is negative at zero, and what is drawn has a place there")]

use std::fmt::Write;

pub use plot::{Bar, BarGroup, Curve, Goal, Line, LossPoint, LossSeries, Plot, Spacing};
pub use report::{of_run, of_search};
use text::escape;

mod axis;
mod canvas;
mod panel;
mod plot;
mod report;
mod text;

/// A report.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// What was done, in a few words.
    pub title: String,
    /// What came out, in a sentence.
    pub subtitle: String,
    /// How it was done: names and values, such as the machine, the options and the time.
    pub facts: Vec<(String, String)>,
    /// The rest.
    pub sections: Vec<Section>,
}

/// A part of a report: its words come first, then its table, then its plots.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// Paragraphs.
    pub text: Vec<String>,
    /// Figures.
    pub table: Option<Table>,
    /// Pictures.
    pub plots: Vec<Plot>,
}

/// Figures in rows. A column of numbers, with their units, stands to the right.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// The names of the columns; may be empty.
    pub head: Vec<String>,
    /// The rows; one may be shorter than others.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the names of its columns.
    pub fn new(head: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { head: head.iter().map(ToString::to_string).collect(), rows }
    }

    /// Whether all that stands in a column is numbers, or nothing, and there is at least one.
    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !is_nothing(cell)).peekable();
        cells.peek().is_some() && cells.all(|cell| is_number(cell))
    }

    fn html(&self, out: &mut String) {
        let columns = self.rows.iter().map(Vec::len).chain([self.head.len()]).max().unwrap_or(0);
        let classes: Vec<&str> =
            (0..columns).map(|column| if self.is_numeric(column) { " class=\"n\"" } else { "" }).collect();
        out.push_str("<div class=\"wide\"><table>\n");
        if !self.head.is_empty() {
            out.push_str("<thead><tr>");
            for (column, class) in classes.iter().enumerate() {
                let _ =
                    write!(out, "<th scope=\"col\"{class}>{}</th>", escape(self.head.get(column).map_or("", |s| s)));
            }
            out.push_str("</tr></thead>\n");
        }
        out.push_str("<tbody>\n");
        for row in &self.rows {
            out.push_str("<tr>");
            for (column, class) in classes.iter().enumerate() {
                let cell = escape(row.get(column).map_or("", |cell| cell));
                // What a row is of stands in its first cell.
                let _ = match column {
                    0 => write!(out, "<th scope=\"row\"{class}>{cell}</th>"),
                    _ => write!(out, "<td{class}>{cell}</td>"),
                };
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table></div>\n");
    }
}

fn is_nothing(cell: &str) -> bool {
    matches!(cell, "" | "-" | "–" | "max")
}

/// Digits with at most a sign before and a unit of a few letters behind: `12`, `-3.5 µs`, `×0.98`, `672.00 M`.
fn is_number(cell: &str) -> bool {
    let number = cell.trim_start_matches(['-', '+', '×', '±', '<', '>', '≥', '≤', ' ']);
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | '-');
    let unit = number.trim_start_matches(digits);
    number.starts_with(|c: char| c.is_ascii_digit())
        && unit.trim().chars().count() <= 5
        && !unit.contains(|c: char| c.is_ascii_digit())
}

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#20262e;--faint:#5c6570;--rule:#dee2e7;--soft:#f6f7f9;--paper:#fff}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;color:var(--ink);background:var(--paper);max-width:58rem;margin:2rem auto 4rem;padding:0 1.25rem}
h1{font-size:1.6rem;line-height:1.25;margin:0;letter-spacing:-.01em}h2{font-size:1.15rem;margin:2.4rem 0 .6rem;padding-top:.9rem;border-top:1px solid var(--rule)}
p{margin:.4rem 0;max-width:46rem}p.sub{font-size:1.05rem;color:var(--faint);margin:.4rem 0 1.4rem}
h1,h2,p,dd,th,td{overflow-wrap:break-word}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.2rem 1.2rem;margin:0;padding:.8rem 1rem;background:var(--soft);border-radius:6px;font-size:.93em}
dt{color:var(--faint)}dd{margin:0;font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:.95em;overflow-wrap:anywhere}
div.wide{overflow-x:auto;margin:.8rem 0}table{border-collapse:collapse;font-size:.9em}
th,td{text-align:left;padding:.28rem .8rem .28rem 0;border-bottom:1px solid var(--rule);vertical-align:baseline}th:last-child,td:last-child{padding-right:0}
thead th{color:var(--faint);font-weight:600;white-space:nowrap;border-bottom:1px solid var(--faint)}tbody th{font-weight:600}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
figure{margin:1.2rem 0 1.2rem -10px}svg{display:block;max-width:100%;height:auto}svg text{font-family:inherit}
";

/// Paper is white, whatever the screen is, and a picture is not torn in two.
const PRINT: &str = "@media print{body{margin:0;max-width:none;padding:0;font-size:10.5pt}figure,tr,dl{break-inside:avoid}h2{break-after:avoid}div.wide{overflow:visible}table{font-size:7.5pt}th,td{padding:.2rem .5rem .2rem 0}figure{width:165mm}dl{border:1px solid var(--rule)}@page{margin:16mm}}
";

impl Page {
    /// The page. It is complete: write it to a file and open that.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
             <title>{title}</title>\n<style>{STYLE}@media screen and (prefers-color-scheme:dark){{\n\
             :root{{--ink:#e1e5ea;--faint:#9ea8b3;--rule:#333a43;--soft:#1d2228;--paper:#161a1f}}\n{}}}\n\
             {PRINT}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n",
            canvas::dark_style()
        );
        if !self.subtitle.is_empty() {
            let _ = writeln!(out, "<p class=\"sub\">{}</p>", escape(&self.subtitle));
        }
        if !self.facts.is_empty() {
            out.push_str("<dl>\n");
            for (name, value) in &self.facts {
                let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
            }
            out.push_str("</dl>\n");
        }
        out.push_str("</header>\n<main>\n");
        for section in &self.sections {
            section.html(&mut out);
        }
        out.push_str("</main>\n</body>\n</html>\n");
        out
    }
}

impl Section {
    fn html(&self, out: &mut String) {
        let _ = writeln!(out, "<section>\n<h2>{}</h2>", escape(&self.title));
        for paragraph in &self.text {
            let _ = writeln!(out, "<p>{}</p>", escape(paragraph));
        }
        if let Some(table) = &self.table {
            table.html(out);
        }
        for plot in &self.plots {
            let _ = writeln!(out, "<figure>\n{}</figure>", plot.svg());
        }
        out.push_str("</section>\n");
    }
}

#[cfg(test)]
mod tests;
