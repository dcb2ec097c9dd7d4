//! The time of day is read in one file; durations follow tokio's clock, which a test can pause.

use super::exception::Exception;
use super::finding::Finding;
use super::source::{Source, is_word, words};

/// The one file that reads the system's clock.
const CLOCK: &str = "crates/process/src/clock.rs";
const FORBIDDEN: &[&str] = &["std::time::Instant", "std::time::SystemTime"];

/// Files that read a clock of the standard library, and why that is harmless.
pub const EXCEPTIONS: &[Exception] = &[Exception {
    path: "xtask/src/wait.rs",
    text: "Instant::now",
    reason: "it waits for other processes, whose time nobody can pause",
}];

/// Checks a Rust file.
pub fn check(source: &Source<'_>) -> Vec<Finding> {
    let is_excepted = EXCEPTIONS.iter().any(|exception| exception.path == source.path);
    if source.path == CLOCK || is_excepted {
        return Vec::new();
    }
    let imports = imports(&source.code);
    let mut findings = Vec::new();
    for (at, _) in source.code.match_indices("::now") {
        let named = path_before(&source.code, at);
        if let Some(clock) = FORBIDDEN.iter().find(|clock| may_mean(named, clock, &imports)) {
            let fix = "use chat4all_process::Clock for the time of day, tokio::time::Instant for durations";
            findings.push(Finding::new(source.path, source.line(at), format!("{clock}::now"), fix));
        }
    }
    findings
}

/// The path that ends at `end`: `time::Instant` of `a(time::Instant::now())`.
fn path_before(code: &str, end: usize) -> &str {
    let start = code[..end].rfind(|c| !is_word(c) && c != ':').map_or(0, |at| at + 1);
    code[start..end].trim_start_matches(':')
}

/// Whether `named` is `clock`, as written or through an import.
fn may_mean(named: &str, clock: &str, imports: &[(String, String)]) -> bool {
    let (first, rest) = named.split_once("::").unwrap_or((named, ""));
    let whole =
        |path: &str| if rest.is_empty() { path.to_owned() } else { format!("{path}::{rest}") };
    named == clock
        || imports.iter().any(|(path, name)| match path.strip_suffix('*') {
            Some(folder) => format!("{folder}{named}") == clock,
            None => name == first && whole(path) == clock,
        })
}

/// What the `use` items of a file bring in: the whole path, and the name it has here.
fn imports(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for at in words(code, "use") {
        let rest = &code[at + "use".len()..];
        if let Some(end) = rest.find(';')
            && rest.starts_with(char::is_whitespace)
        {
            expand("", &rest[..end], &mut found);
        }
    }
    found
}

fn expand(prefix: &str, tree: &str, found: &mut Vec<(String, String)>) {
    let tree = tree.trim().trim_start_matches("::");
    if let Some((head, body)) = tree.split_once('{') {
        let body = body.rsplit_once('}').map_or(body, |(inside, _)| inside);
        let prefix = format!("{prefix}{}", head.trim());
        for branch in branches(body) {
            expand(&prefix, branch, found);
        }
        return;
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (path.trim(), Some(alias.trim())),
        None => (tree, None),
    };
    let path = format!("{prefix}{path}");
    let path = path.strip_suffix("::self").unwrap_or(&path);
    let name = alias.unwrap_or_else(|| path.rsplit("::").next().unwrap_or(path));
    found.push((path.to_owned(), name.to_owned()));
}

/// Splits at the commas that are not inside braces.
fn branches(body: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let is_comma = |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    body.split(is_comma).filter(|branch| !branch.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn the_clocks_of_std_are_found_however_they_are_named() {
        let bad = [
            "let a = std::time::SystemTime::now();",
            "let a = ::std::time::Instant::now();",
            "use std::time::{Duration, Instant}; fn f() { Instant::now(); }",
            "use std::{fmt, time::{self, SystemTime as Wall}}; fn f() { Wall::now(); }",
            "use std::{fmt, time}; fn f() { g(time::Instant::now()); }",
            "use std::time; fn f() { a.unwrap_or_else(time::SystemTime::now); }",
            "use std::time::*; fn f() { Instant::now(); }",
        ];
        for text in bad {
            assert_eq!(found("x/src/a.rs", text), 1, "{text}");
            assert_eq!(found(CLOCK, text), 0, "{text}");
            assert_eq!(found(EXCEPTIONS[0].path, text), 0, "{text}");
        }
    }

    #[test]
    fn the_clocks_of_tokio_and_of_the_system_pass() {
        let good = [
            "let a = tokio::time::Instant::now();",
            "use std::time::Duration; use tokio::time::{Instant, sleep}; fn f() { Instant::now(); }",
            "use tokio::time; fn f() { time::Instant::now(); }",
            "use std::time::Instant; fn f(at: Instant) {}",
            "let a = self.clock.now();",
            "// std::time::Instant::now()",
        ];
        for text in good {
            assert_eq!(found("x/src/a.rs", text), 0, "{text}");
        }
    }
}
