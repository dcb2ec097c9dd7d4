//! A hash map's order differs from run to run: product code that has one says that it is never
//! iterated. The reader checks that it is true; a program cannot see it reliably.

use super::exception::Exception;
use super::finding::Finding;
use super::source::{Source, words};

const PLEDGE: &str = "never iterated";

/// Files whose maps are iterated, or are not ours, and why that is harmless.
pub const EXCEPTIONS: &[Exception] = &[Exception {
    path: "crates/process/src/config.rs",
    text: "HashMap",
    reason: "the configuration library takes the environment so; each key stands for itself",
}];

/// Checks a Rust file.
pub fn check(source: &Source<'_>) -> Option<Finding> {
    let is_excepted = EXCEPTIONS.iter().any(|exception| exception.path == source.path);
    if !source.is_product() || is_excepted || says_so(source) {
        return None;
    }
    let names = ["HashMap", "HashSet"];
    let first = names
        .into_iter()
        .flat_map(|name| words(&source.code, name))
        .filter(|&at| !source.in_test(at))
        .min()?;
    let what = "a hash map, and no comment that says it is never iterated";
    let fix = "use BTreeMap/BTreeSet, or never iterate and say so: `Never iterated: <reason>`";
    Some(Finding::new(source.path, source.line(first), what, fix))
}

/// Whether a comment holds the pledge, in any case and over line breaks.
fn says_so(source: &Source<'_>) -> bool {
    let marks = |c: char| c.is_whitespace() || c == '/' || c == '!';
    let comments: Vec<&str> =
        source.comments.split(marks).filter(|word| !word.is_empty()).collect();
    comments.join(" ").to_lowercase().contains(PLEDGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str, text: &str) -> Option<usize> {
        check(&Source::new(path, text)).map(|finding| finding.line)
    }

    #[test]
    fn a_hash_map_without_the_pledge_is_found_once() {
        assert_eq!(
            line("x/src/a.rs", "use b;\nuse c::{HashSet, HashMap};\nlet m = HashMap::new();\n"),
            Some(2)
        );
    }

    #[test]
    fn a_pledge_a_test_and_an_exception_pass() {
        assert_eq!(line("x/src/a.rs", "//! Lanes. Never\n//! iterated.\nuse c::HashMap;\n"), None);
        assert_eq!(line("x/src/a.rs", "#[cfg(test)]\nmod t { use c::HashMap; }\n"), None);
        assert_eq!(line("x/tests/a.rs", "use c::HashMap;\n"), None);
        assert_eq!(line(EXCEPTIONS[0].path, "use c::HashMap;\n"), None);
        assert_eq!(line("x/src/a.rs", "use c::BTreeMap; // not a HashMap\n"), None);
    }
}
