//! How do rows become aligned columns? In the manner of `ip -br` and `docker network ls`: a header row, text to the
//! left, numbers to the right, two blanks between, no borders, nothing after the last column.

use serde::Serialize;

use crate::failure::one_line;

/// Blanks between two columns.
const GAP: usize = 2;

/// Which way a column leans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lean {
    /// Text.
    Left,
    /// Numbers: their units stand under each other.
    Right,
}

/// Rows under a header.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [(&'static str, Lean); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// No rows yet.
    pub(crate) const fn new(columns: [(&'static str, Lean); N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// One more row. An empty cell shows as `-`, so that columns can be counted by `awk`.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { one_line(&cell) }));
    }

    /// The text, each line ended.
    pub(crate) fn render(&self) -> String {
        let header = self.columns.map(|(name, _)| name.to_owned());
        let mut widths = header.each_ref().map(|cell| width(cell));
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            text.push_str(self.line(row, &widths).trim_end());
            text.push('\n');
        }
        text
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for (index, ((cell, widest), (_, lean))) in row.iter().zip(widths).zip(&self.columns).enumerate() {
            let blanks = " ".repeat(widest - width(cell));
            if index > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            match lean {
                Lean::Left => line.extend([cell, blanks.as_str()]),
                Lean::Right => line.extend([blanks.as_str(), cell]),
            }
        }
        line
    }
}

/// Characters, not octets. Names on a switch are ASCII; a namespace's path need not be.
fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// An optional value, or nothing.
pub(crate) fn or_nothing<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// The word that the control API uses for it: `up`, `veth`, `router`.
pub(crate) fn word_of(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, Lean); 3] = [("NETWORK", Lean::Left), ("RX", Lean::Right), ("STATE", Lean::Left)];

    fn strings<const N: usize>(cells: [&str; N]) -> [String; N] {
        cells.map(str::to_owned)
    }

    #[test]
    fn text_leans_left_and_numbers_lean_right() {
        let mut table = Table::new(COLUMNS);
        table.row(strings(["lab", "7", "up"]));
        table.row(strings(["a-long-name", "12345", "gone"]));
        let wanted = "NETWORK         RX  STATE\n\
                      lab              7  up\n\
                      a-long-name  12345  gone\n";
        assert_eq!(table.render(), wanted);
    }

    #[test]
    fn nothing_follows_the_last_column_and_no_cell_is_empty() {
        let mut table = Table::new(COLUMNS);
        table.row(strings(["x", "", ""]));
        for line in table.render().lines() {
            assert_eq!(line, line.trim_end());
            assert_eq!(line.split_whitespace().count(), 3, "{line}");
        }
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(Table::new(COLUMNS).render(), "NETWORK  RX  STATE\n");
    }

    #[test]
    fn words_are_those_of_the_control_api() {
        use switch::control::types::{GatewayMode, PortState};
        assert_eq!((word_of(&PortState::Gone), word_of(&GatewayMode::Router)), ("gone".into(), "router".into()));
        assert_eq!(or_nothing(None::<&u32>), "");
    }

    #[test]
    fn width_counts_characters_and_control_characters_cannot_break_a_row() {
        let mut table = Table::new([("A", Lean::Left), ("B", Lean::Left)]);
        table.row(strings(["é", "1"]));
        table.row(strings(["a\nb", "2"]));
        assert_eq!(table.render(), "A     B\né     1\na\\nb  2\n");
    }
}
