//! Lines for people, in columns.

/// Rows under a heading; the last column ends where its text does.
pub(crate) struct Table<const N: usize>(Vec<[String; N]>);

impl<const N: usize> Table<N> {
    pub(crate) fn new(heading: [&str; N]) -> Self {
        Self(vec![heading.map(str::to_owned)])
    }

    pub(crate) fn row(&mut self, row: [String; N]) {
        self.0.push(row.map(|cell| printable(&cell)));
    }

    /// The heading and the rows.
    pub(crate) fn lines(&self) -> Vec<String> {
        let width = |column: usize| {
            self.0.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..N).map(width).collect();
        let line = |row: &[String; N]| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.0.iter().map(line).collect()
    }
}

/// Without what could steer a terminal: the text may come from a platform, or from a stranger.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["A", "B"]);
        table.row(["olá".to_owned(), "1".to_owned()]);
        table.row(["x".to_owned(), "long".to_owned()]);
        assert_eq!(table.lines(), ["A    B", "olá  1", "x    long"]);
    }

    #[test]
    fn nothing_in_a_cell_steers_a_terminal() {
        let mut table = Table::new(["A"]);
        table.row(["a\u{1b}[2J\nb".to_owned()]);
        assert_eq!(table.lines(), ["A", "a [2J b"]);
    }
}
