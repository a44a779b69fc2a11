//! How does a person read the figures? In aligned columns: words to the left, numbers to the right.

use std::fmt;

/// A table as it is printed.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    words: usize,
}

impl Table {
    /// A table with these columns, of which the first `words` hold words.
    pub fn new(words: usize, head: &[&str]) -> Self {
        Self { head: head.iter().map(ToString::to_string).collect(), rows: Vec::new(), words }
    }

    /// Another row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.rows.push(Vec::new());
    }

    fn width(&self, column: usize) -> usize {
        let lines = std::iter::once(&self.head).chain(&self.rows);
        lines.filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.head.len()).map(|column| self.width(column)).collect();
        for cells in std::iter::once(&self.head).chain(&self.rows) {
            let mut line = String::new();
            for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                let (width, cell) = (*width, cell.as_str());
                let padded = if column < self.words { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                line += if column == 0 { "" } else { "  " };
                line += &padded;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A figure with `digits` behind the point; a dash for none.
pub fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_to_the_left_numbers_to_the_right() {
        let mut table = Table::new(1, &["what", "Gb/s"]);
        table.row(vec!["a bridge".into(), figure(Some(9.876), 2)]);
        table.gap();
        table.row(vec!["tap".into(), figure(None, 2)]);
        assert_eq!(table.to_string(), "what      Gb/s\na bridge  9.88\n\ntap          -\n");
    }
}
