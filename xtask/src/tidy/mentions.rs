//! The text of the project speaks of itself: not of the machine that it was written on, nor of the
//! hosts of package registries.
//!
//! This file has to name them, and is the only one that may.

use super::finding::Finding;
use super::source::is_word;

/// Files that may: the tools that write or read them need the hosts, or the rule is there.
const EXCEPTIONS: &[&str] = &["Cargo.lock", "deny.toml", "xtask/src/tidy/mentions.rs"];

const HOSTS: &[&str] = &["crates.io", "docs.rs", "npmjs", "pypi.org", "proxy.golang.org"];
const FOLDERS: &[&str] = &["../shared", "/work/"];

/// Checks a text of any kind.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    if EXCEPTIONS.contains(&path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut found = |what: String, fix: &str| {
            findings.push(Finding::new(path, index + 1, what, fix));
        };
        for host in HOSTS {
            if line.match_indices(host).any(|(at, _)| is_host(line, at, host)) {
                let what = format!("it names the package registry host {host}");
                found(what, "name the crate and its version, or the vendor's own page");
            }
        }
        for folder in FOLDERS {
            if line.match_indices(folder).any(|(at, _)| begins_path(line, at)) {
                found(
                    format!("it names the folder {folder}"),
                    "say what is in this repository, by its path here",
                );
            }
        }
    }
    findings
}

/// `docs.rs` is also a good name for a file: only the others are meant wherever they stand.
fn is_host(line: &str, at: usize, host: &str) -> bool {
    if host != "docs.rs" {
        return true;
    }
    let (before, after) = (&line[..at], &line[at + host.len()..]);
    let in_path = before.ends_with('/') && !before.ends_with("//");
    !in_path && !before.ends_with(|c| is_word(c) || c == '-') && !after.starts_with(is_word)
}

fn begins_path(line: &str, at: usize) -> bool {
    !line[..at].ends_with(|c| is_word(c) || "-./".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_host_is_found() {
        let bad = [
            "https://crates.io/crates/a",
            "static.crates.io",
            "https://docs.rs/a",
            "see docs.rs",
            "registry.npmjs.org",
        ];
        for text in bad {
            let found = check("README.md", &format!("x\n{text}\n"));
            assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2], "{text}");
            assert!(check("deny.toml", text).is_empty());
        }
    }

    #[test]
    fn a_folder_of_the_machine_is_found() {
        for text in ["see /work/main", "`../shared/a.md`", "cd /work/x"] {
            assert_eq!(check("a.sh", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn files_and_words_that_look_alike_pass() {
        for text in [
            "api/src/docs.rs",
            "my_docs.rs",
            "docs.rst",
            "a/work/b",
            "framework/work/x",
            "crates/io",
        ] {
            assert!(check("README.md", text).is_empty(), "{text}");
        }
    }
}
