//! A place that may break a rule, with its reason. One that is no longer needed is a finding.

use super::finding::Finding;
use super::tree::Tree;

/// Something that a rule lets pass in one file.
pub struct Exception {
    /// The file, from the root of the repository.
    pub path: &'static str,
    /// The text that may stand there.
    pub text: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// The exceptions whose file or text is gone. `list` is the file that holds them.
pub fn stale(list: &str, exceptions: &[Exception], tree: &Tree) -> Vec<Finding> {
    let is_needed = |exception: &&Exception| {
        tree.get(exception.path).is_some_and(|text| text.contains(exception.text))
    };
    exceptions
        .iter()
        .filter(|exception| !is_needed(exception))
        .map(|Exception { path, text, reason }| {
            let what =
                format!("the exception for {path} is not needed: no `{text}` there ({reason})");
            Finding::new(list, 1, what, "remove it from the list")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_that_is_not_needed_is_found() {
        let exception = |path, text| Exception { path, text, reason: "r" };
        let tree = Tree::from([("a.rs".to_owned(), "one two\n".to_owned())]);
        let exceptions =
            [exception("a.rs", "two"), exception("a.rs", "three"), exception("b.rs", "one")];
        let found = stale("list.rs", &exceptions, &tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].what.contains("`three`") && found[1].what.contains("b.rs"));
    }
}
