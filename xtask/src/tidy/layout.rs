//! How a text lies on the page: length of files and lines, blanks at ends; a library's first words.

use super::finding::Finding;

const RUST_LINES: usize = 500;
const RUST_COLUMNS: usize = 120;
const MARKDOWN_COLUMNS: usize = 200;

/// Checks a .rs, .toml or .md file.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = ends(path, text);
    if path.ends_with(".rs") {
        findings.extend(rust(path, text));
    } else if path.ends_with(".md") {
        findings.extend(markdown(path, text));
    }
    findings
}

fn ends(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, content) in numbered(text) {
        if content.ends_with(char::is_whitespace) {
            findings.push(Finding::new(
                path,
                line,
                "whitespace at the end of the line",
                "remove it",
            ));
        }
    }
    let last = text.lines().count().max(1);
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::new(path, last, "the file does not end with a newline", "add one"));
    } else if text == "\n" || text.ends_with("\n\n") {
        findings.push(Finding::new(
            path,
            last,
            "empty lines at the end of the file",
            "remove them",
        ));
    }
    findings
}

fn rust(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > RUST_LINES {
        let what = format!("{lines} lines, at most {RUST_LINES}");
        findings.push(Finding::new(path, RUST_LINES + 1, what, "move one concept to its own file"));
    }
    for (line, content) in numbered(text) {
        let columns = content.chars().count();
        let is_link = content.trim_start().starts_with("//") && content.contains("://");
        if columns > RUST_COLUMNS && !is_link {
            let what = format!("{columns} columns, at most {RUST_COLUMNS}");
            findings.push(Finding::new(
                path,
                line,
                what,
                "break the line; a long string with concat! or \\",
            ));
        }
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    if ["lib.rs", "main.rs"].contains(&file) && !text.starts_with("//!") {
        let fix = "begin with `//!`: what it holds, and what it must never do";
        findings.push(Finding::new(path, 1, "the crate does not say what it is", fix));
    }
    findings
}

fn markdown(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fence = None;
    for (line, content) in numbered(text) {
        let start = content.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(found)) if open == found => fence = None,
            _ => {}
        }
        let columns = content.chars().count();
        let is_free = fence.is_some() || start.starts_with('|') || has_link(content);
        if columns > MARKDOWN_COLUMNS && !is_free {
            let what = format!("{columns} columns, at most {MARKDOWN_COLUMNS}");
            findings.push(Finding::new(path, line, what, "break the line"));
        }
    }
    findings
}

fn has_link(line: &str) -> bool {
    line.contains("](") || line.contains("://")
}

/// Lines counted from 1, without their newline but with a carriage return.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_terminator('\n').enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(path, text).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn whitespace_at_the_end_of_a_line_is_found() {
        assert_eq!(lines("a.toml", "a = 1 \nb = 2\t\nc = 3\r\n"), [1, 2, 3]);
        assert!(lines("a.toml", "a = 1\n\n  b = 2\n").is_empty());
    }

    #[test]
    fn a_file_ends_with_one_newline() {
        assert_eq!(lines("a.md", "x"), [1]);
        assert_eq!(lines("a.md", "x\n\n"), [2]);
        assert!(lines("a.md", "x\n").is_empty() && lines("a.md", "").is_empty());
    }

    #[test]
    fn a_rust_file_has_at_most_500_lines() {
        assert_eq!(lines("a.rs", &"x\n".repeat(501)), [501]);
        assert!(lines("a.rs", &"x\n".repeat(500)).is_empty());
    }

    #[test]
    fn a_rust_line_has_at_most_120_columns_unless_it_is_a_link() {
        assert_eq!(lines("a.rs", &format!("{}\n", "é".repeat(121))), [1]);
        assert!(lines("a.rs", &format!("{}\n", "é".repeat(120))).is_empty());
        assert!(lines("a.rs", &format!("// https://x.example/{}\n", "x".repeat(120))).is_empty());
    }

    #[test]
    fn a_markdown_line_has_at_most_200_columns_outside_tables_links_and_code() {
        let long = "x".repeat(201);
        assert_eq!(lines("a.md", &format!("{long}\n")), [1]);
        assert_eq!(lines("a.md", &format!("```\n{long}\n```\n{long}\n")), [4]);
        for free in [format!("| {long} |\n"), format!("[a](b) {long}\n"), "x\n".to_owned()] {
            assert!(lines("a.md", &free).is_empty(), "{free}");
        }
    }

    #[test]
    fn a_crate_begins_with_what_it_is() {
        assert_eq!(lines("x/src/lib.rs", "use a;\n"), [1]);
        assert!(lines("x/src/lib.rs", "//! Holds x.\n").is_empty());
        assert!(lines("x/src/other.rs", "use a;\n").is_empty());
    }
}
