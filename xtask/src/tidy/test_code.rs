//! Which code only tests run: files of tests, and items behind `#[cfg(test)]`.
//!
//! The features in [`TEST_FEATURES`] count too: a suite that other crates' tests run.

use std::ops::Range;

use super::source::{Source, is_word};

/// Features that only tests enable.
const TEST_FEATURES: &[&str] = &["conformance"];

/// Whether a file is in a folder of tests.
pub fn is_test_path(path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.split('/').any(|part| part == "tests" || part == "benches")
}

/// Whether a file begins with `#![cfg(test)]`.
pub fn is_test_whole(code: &str, text: &str) -> bool {
    code.find("#![cfg(").is_some_and(|at| {
        let end = code[at..].find(']').map_or(code.len(), |length| at + length);
        is_test_predicate(&text[at..end])
    })
}

/// The items behind `#[cfg(test)]`, with their attributes, as offsets.
pub fn regions(code: &str, text: &str) -> Vec<Range<usize>> {
    code.match_indices("#[cfg(")
        .filter_map(|(start, _)| {
            let attribute_end = start + code[start..].find(']')? + 1;
            is_test_predicate(&text[start..attribute_end])
                .then(|| start..item_end(code, attribute_end))
        })
        .collect()
}

/// What the paths of a module begin with that is declared behind `#[cfg(test)]` and has a file of
/// its own: `src/a/golden.rs` and `src/a/golden/`.
pub fn module_paths(source: &Source<'_>) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", source.path));
    let stem = file.trim_end_matches(".rs");
    let base = match stem {
        "lib" | "main" | "mod" => folder.to_owned(),
        _ => format!("{folder}/{stem}"),
    };
    let names = regions(&source.code, source.text).into_iter().filter_map(|region| {
        let item = source.code[region].trim_end();
        let head = item.strip_suffix(';')?.trim_end();
        let name_start = head.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        head[..name_start].trim_end().ends_with("mod").then(|| head[name_start..].to_owned())
    });
    names.flat_map(|name| [format!("{base}/{name}.rs"), format!("{base}/{name}/")]).collect()
}

/// Whether `#[cfg(...)]` holds in tests alone.
fn is_test_predicate(attribute: &str) -> bool {
    if attribute.contains("not(") {
        return false;
    }
    let bare = attribute.split(|c| !is_word(c)).any(|word| word == "test");
    bare || TEST_FEATURES.iter().any(|feature| attribute.contains(&format!("\"{feature}\"")))
}

/// Where the item ends whose attributes may go on at `at`: after its `;` or its braces.
fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' if depth == 0 => return offset,
            b'}' if depth == 1 => return offset + 1,
            b'}' | b')' | b']' => depth -= 1,
            b';' if depth == 0 => return offset + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_behind_cfg_test_is_test_code_to_its_end() {
        let text = "fn a() {}\n#[cfg(test)]\n#[allow(dead_code)]\nmod t { fn b(x: [u8; 2]) {} }\nfn c() {}\n";
        let source = Source::new("x/src/lib.rs", text);
        let at = |word: &str| source.in_test(text.find(word).unwrap());
        assert_eq!([at("fn a"), at("fn b"), at("fn c")], [false, true, false]);
    }

    #[test]
    fn code_that_tests_leave_out_is_not_test_code() {
        for cfg in ["not(test)", "unix", "feature = \"kafka\"", "any(unix, not(test))"] {
            assert!(!is_test_predicate(&format!("#[cfg({cfg})]")), "{cfg}");
        }
        for cfg in ["test", "any(test, unix)", "feature = \"conformance\""] {
            assert!(is_test_predicate(&format!("#[cfg({cfg})]")), "{cfg}");
        }
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_found() {
        let text = "#[cfg(test)]\nmod golden;\n#[cfg(test)]\nmod tests {}\nmod other;\n";
        let paths = module_paths(&Source::new("x/src/event/mod.rs", text));
        assert_eq!(paths, ["x/src/event/golden.rs", "x/src/event/golden/"]);
        let paths = module_paths(&Source::new("x/src/event.rs", text));
        assert_eq!(paths[0], "x/src/event/golden.rs");
    }

    #[test]
    fn a_folder_of_tests_is_test_code_and_a_file_named_tests_is_not() {
        assert!(is_test_path("api/tests/support/mod.rs") && is_test_path("x/benches/a.rs"));
        assert!(!is_test_path("api/src/tests.rs") && !is_test_path("tests.rs"));
    }
}
