//! The style rules as a program, which also runs as a test.
//!
//! A rule is a function on a path and a text, without I/O. It must name the place, what is wrong
//! and how to mend it; a rule that needs judgement belongs to a reviewer, not here.

mod arrows;
mod clocks;
mod exception;
mod finding;
mod forbidden;
mod hash_maps;
mod layout;
mod manifest;
mod mentions;
mod metrics;
mod platform_names;
mod source;
mod test_code;
mod tree;

use finding::Finding;
use manifest::Manifest;
use metrics::Metrics;
use source::Source;
use tree::Tree;

/// What was found in how many files.
pub struct Report {
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    /// The texts that were read.
    pub files: usize,
}

/// Checks this repository.
///
/// # Errors
/// In words, if git or a file cannot be read: then nothing was checked.
pub fn check_tree() -> Result<Report, String> {
    let tree = tree::read()?;
    Ok(Report { findings: check(&tree), files: tree.len() })
}

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = texts(tree);
    findings.extend(rust(tree));
    findings.extend(manifests_and_metrics(tree));
    let lists = [
        ("xtask/src/tidy/clocks.rs", clocks::EXCEPTIONS),
        ("xtask/src/tidy/hash_maps.rs", hash_maps::EXCEPTIONS),
        ("xtask/src/tidy/platform_names.rs", platform_names::EXCEPTIONS),
    ];
    for (list, exceptions) in lists {
        findings.extend(exception::stale(list, exceptions, tree));
    }
    findings.sort();
    findings.dedup();
    findings
}

fn texts(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree {
        findings.extend(mentions::check(path, text));
        if [".rs", ".toml", ".md"].iter().any(|end| path.ends_with(end)) {
            findings.extend(layout::check(path, text));
        }
        if path.ends_with(".toml") {
            findings.extend(forbidden::check_toml(path, text));
        }
    }
    findings
}

fn rust(tree: &Tree) -> Vec<Finding> {
    let files = tree.iter().filter(|(path, _)| path.ends_with(".rs"));
    let mut sources: Vec<Source<'_>> = files.map(|(path, text)| Source::new(path, text)).collect();
    // The file of a test module does not say that it is one: the file that declares it does.
    let test_modules: Vec<String> = sources.iter().flat_map(test_code::module_paths).collect();
    for source in &mut sources {
        source.is_test |=
            test_modules.iter().any(|module| source.path.starts_with(module.as_str()));
    }
    let platforms = platform_names::platforms(tree);
    let mut findings = Vec::new();
    for source in &sources {
        findings.extend(forbidden::check(source));
        findings.extend(clocks::check(source));
        findings.extend(hash_maps::check(source));
        findings.extend(platform_names::check(source, &platforms));
    }
    findings
}

fn manifests_and_metrics(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut manifests = Vec::new();
    for (path, text) in
        tree.iter().filter(|(path, _)| path.rsplit('/').next() == Some("Cargo.toml"))
    {
        match Manifest::parse(path, text) {
            Ok(manifest) => manifests.extend(manifest),
            Err(finding) => findings.push(finding),
        }
    }
    let packages: Vec<String> = manifests.iter().map(|manifest| manifest.name.clone()).collect();
    for manifest in &manifests {
        findings.extend(manifest::check(manifest));
        findings.extend(arrows::check(manifest, &packages));
    }
    let declared = tree.get(metrics::DECLARED).map_or("", String::as_str);
    let metrics = Metrics::new(declared, &packages);
    if metrics.is_empty() {
        let fix = "correct the path, or how a declaration is read, in xtask/src/tidy/metrics.rs";
        findings.push(Finding::new(metrics::DECLARED, 1, "no metric is declared here", fix));
    }
    for (path, text) in tree.iter().filter(|(path, _)| metrics::is_checked(path)) {
        findings.extend(metrics::check(path, text, &metrics));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let report = check_tree().unwrap();
        let list: Vec<String> = report.findings.iter().map(Finding::to_string).collect();
        assert!(list.is_empty(), "{} findings:\n{}", list.len(), list.join("\n"));
    }

    #[test]
    fn a_rule_of_each_group_runs_over_the_tree() {
        let files = [
            ("a/Cargo.toml", "[package]\nname = 'a'\n"),
            ("a/src/lib.rs", "//! A.\n#[cfg(test)]\nmod golden;\nuse std::collections::HashMap;\n"),
            ("a/src/golden.rs", "use std::collections::HashMap; const A: &str = \"b\";\n"),
            ("a/src/c.rs", "fn f() { todo!() }\nfn g() { std::time::Instant::now(); }\n"),
            ("connectors/b/Cargo.toml", "[package]\nname = 'chat4all-connector-b'\n"),
            ("docs/d.md", "chat4all_none \n"),
        ];
        let tree: Tree = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let found = check(&tree);
        let at = |path: &str, line| found.iter().any(|f| (f.path.as_str(), f.line) == (path, line));
        assert!(at("a/Cargo.toml", 1) && at("a/src/lib.rs", 4) && at("docs/d.md", 1), "{found:?}");
        assert!(
            at("a/src/c.rs", 1) && at("a/src/c.rs", 2) && at(metrics::DECLARED, 1),
            "{found:?}"
        );
        assert!(!found.iter().any(|finding| finding.path == "a/src/golden.rs"), "{found:?}");
    }
}
