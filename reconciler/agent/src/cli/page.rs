//! Results on standard output: text for people, one JSON document for machines, tables that align; and lines beside them.

use super::failure::CliError;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// A line on standard error, beside what is printed. With that gone there is nobody left to tell.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints text as it is.
pub(super) fn text(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CliError::Print),
    }
}

/// Prints what a file of secrets holds, past every buffer: those of the standard library are never wiped.
pub(super) fn secret(bytes: &[u8]) -> Result<(), CliError> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned();
    match descriptor.and_then(|owned| File::from(owned).write_all(bytes)) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CliError::Print),
    }
}

/// Prints one JSON document.
pub(super) fn json(document: &impl Serialize) -> Result<(), CliError> {
    let mut page = serde_json::to_string_pretty(document).map_err(CliError::Json)?;
    page.push('\n');
    text(&page)
}

/// Rows with columns as wide as their widest cell; the last column is as long as it is.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| visible(cell))
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut page = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(visible(cell)) + 2));
        }
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page
}

/// The width of a cell on a terminal, without what colours it.
fn visible(cell: &str) -> usize {
    crate::text::plain(cell).chars().count()
}

/// `text` in at most `width` characters, with a mark where it was cut.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_their_colour() {
        let rows = [
            vec!["\u{1b}[32mok\u{1b}[0m".to_owned(), "a".to_owned()],
            vec!["longer".to_owned(), "b".to_owned()],
        ];
        assert_eq!(table(&rows), "\u{1b}[32mok\u{1b}[0m      a\nlonger  b\n");
    }

    #[test]
    fn a_cut_has_a_mark() {
        assert_eq!([fit("abc", 3), fit("abcd", 3)], ["abc", "ab…"]);
    }
}
