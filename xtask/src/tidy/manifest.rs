//! A Cargo.toml, parsed once for the rules that read it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::Finding;

/// The manifest of one package.
pub struct Manifest<'a> {
    /// From the root of the repository.
    pub path: &'a str,
    /// The package's name.
    pub name: String,
    text: &'a str,
    root: DeTable<'a>,
}

/// One line of a table of dependencies.
pub struct Dependency {
    /// The name it has in the manifest.
    pub name: String,
    /// Counted from 1.
    pub line: usize,
    /// Whether only tests, examples and benchmarks use it.
    pub is_dev: bool,
    /// Whether it says `workspace = true`.
    pub is_inherited: bool,
}

impl<'a> Manifest<'a> {
    /// Parses a Cargo.toml; `None` if it has no package.
    ///
    /// # Errors
    /// If it is not TOML, or a package without a name.
    pub fn parse(path: &'a str, text: &'a str) -> Result<Option<Self>, Finding> {
        let wrong = |what: String| Finding::new(path, 1, what, "correct the manifest");
        let root = DeTable::parse(text).map_err(|error| wrong(error.message().to_owned()))?;
        let root = root.into_inner();
        let Some(package) = root.get("package") else { return Ok(None) };
        let name = package.get_ref().get("name").and_then(|name| name.get_ref().as_str());
        let name = name.ok_or_else(|| wrong("the package has no name".to_owned()))?.to_owned();
        Ok(Some(Self { path, name, text, root }))
    }

    /// Whether `path` of keys is `true`.
    pub fn is_true(&self, path: &[&str]) -> bool {
        let mut keys = path.iter();
        let first = keys.next().and_then(|key| self.root.get(*key));
        let found = keys.try_fold(first, |value, key| Some(value?.get_ref().get(*key)));
        found.flatten().and_then(|value| value.get_ref().as_bool()) == Some(true)
    }

    /// Every dependency of every kind, also those of one target.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let mut found = self.tables(&self.root);
        let targets = self.root.get("target").and_then(|target| target.get_ref().as_table());
        for target in targets.into_iter().flat_map(|targets| targets.values()) {
            found.extend(
                target.get_ref().as_table().into_iter().flat_map(|table| self.tables(table)),
            );
        }
        found
    }

    fn tables(&self, parent: &DeTable<'_>) -> Vec<Dependency> {
        let kinds =
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)];
        let mut found = Vec::new();
        for (kind, is_dev) in kinds {
            let table = parent.get(kind).and_then(|table| table.get_ref().as_table());
            for (name, value) in table.into_iter().flatten() {
                found.push(Dependency {
                    name: name.get_ref().to_string(),
                    line: self.line(name.span().start),
                    is_dev,
                    is_inherited: is_inherited(value),
                });
            }
        }
        found
    }

    fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }
}

fn is_inherited(value: &Spanned<DeValue<'_>>) -> bool {
    value.get_ref().get("workspace").and_then(|flag| flag.get_ref().as_bool()) == Some(true)
}

/// The one package with unsafe code, and so with lints of its own (docs/adr/0019).
const UNSAFE: &str = "chat4all-librdkafka";

/// Checks that a package takes from the workspace what every package shares.
pub fn check(manifest: &Manifest<'_>) -> Vec<Finding> {
    let shared: [(&[&str], &str); 3] = [
        (&["lints", "workspace"], "[lints] workspace = true"),
        (&["package", "edition", "workspace"], "edition.workspace = true"),
        (&["package", "license", "workspace"], "license.workspace = true"),
    ];
    let due = shared.iter().filter(|(keys, _)| keys[0] != "lints" || manifest.name != UNSAFE);
    let missing = due.filter(|(keys, _)| !manifest.is_true(keys)).map(|(_, text)| {
        Finding::new(manifest.path, 1, format!("the manifest does not say {text}"), "add it")
    });
    let own = manifest.dependencies().into_iter().filter(|dependency| !dependency.is_inherited);
    let own = own.map(|Dependency { name, line, .. }| {
        let fix = format!("declare it in [workspace.dependencies] and say {name}.workspace = true");
        Finding::new(
            manifest.path,
            line,
            format!("{name} is declared outside the workspace's list"),
            fix,
        )
    });
    missing.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = concat!(
        "[package]\nname = 'a'\nedition.workspace = true\nlicense.workspace = true\n",
        "[lints]\nworkspace = true\n",
    );

    fn lines(text: &str) -> Vec<usize> {
        let manifest = Manifest::parse("a/Cargo.toml", text).unwrap().unwrap();
        check(&manifest).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_package_that_takes_all_from_the_workspace_passes() {
        let tail =
            "[dependencies]\nb.workspace = true\nc = { workspace = true, features = ['d'] }\n";
        assert!(lines(&format!("{HEAD}{tail}")).is_empty());
    }

    #[test]
    fn each_missing_part_is_found() {
        for part in [
            "edition.workspace = true\n",
            "license.workspace = true\n",
            "[lints]\nworkspace = true\n",
        ] {
            assert_eq!(lines(&HEAD.replace(part, "")), [1], "{part}");
        }
        assert_eq!(lines(&HEAD.replace("edition.workspace = true", "edition = '2024'")), [1]);
    }

    #[test]
    fn only_the_package_with_unsafe_code_has_lints_of_its_own() {
        let own =
            HEAD.replace("[lints]\nworkspace = true\n", "[lints.rust]\nmissing_docs = 'warn'\n");
        assert_eq!(lines(&own), [1]);
        assert!(lines(&own.replace("'a'", &format!("'{UNSAFE}'"))).is_empty());
    }

    #[test]
    fn a_dependency_of_its_own_is_found_in_every_table() {
        for table in [
            "dependencies",
            "dev-dependencies",
            "build-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            for value in ["'1'", "{ version = '1' }", "{ path = '../b' }", "{ workspace = false }"]
            {
                let text = format!("{HEAD}[{table}]\nb = {value}\n");
                assert_eq!(lines(&text), [8], "{text}");
            }
        }
    }

    #[test]
    fn a_manifest_without_a_package_is_not_a_package() {
        assert!(Manifest::parse("Cargo.toml", "[workspace]\n").unwrap().is_none());
        assert!(Manifest::parse("Cargo.toml", "[workspace\n").is_err());
    }
}
