//! What cargo knows of this workspace, and builds with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::project;

/// The cargo that runs this program, else the one on the search path.
pub fn command() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(project::root());
    // Set for this package by the cargo that runs this program; they mean nothing to another one.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME"] {
        command.env_remove(name);
    }
    command
}

/// The packages of this workspace.
#[derive(Debug)]
pub struct Workspace {
    metadata: Value,
}

/// The tests of a package that need a feature.
#[derive(Debug, PartialEq, Eq)]
pub struct FeatureTests {
    /// The package.
    pub package: String,
    /// Its test targets that require the feature.
    pub targets: Vec<String>,
    /// Everything that those targets require.
    pub features: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// If cargo fails, for example on a manifest.
    pub fn load() -> Outcome<Self> {
        let cannot = |what: String| Failure::unavailable(format!("`cargo metadata` {what}"));
        let output = command()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .map_err(|error| cannot(format!("cannot be run: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(cannot(format!("fails: {said}")));
        }
        let metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| cannot(format!("says what is no JSON: {error}")))?;
        Ok(Self { metadata })
    }

    /// Where everything is that can be made again.
    pub fn target(&self) -> PathBuf {
        PathBuf::from(self.metadata["target_directory"].as_str().unwrap_or("target"))
    }

    /// Where programs are after a build.
    pub fn binaries(&self, is_release: bool) -> PathBuf {
        self.target().join(if is_release { "release" } else { "debug" })
    }

    /// Every package that has a feature, with the tests that require it, by name.
    pub fn tests_of_feature(&self, feature: &str) -> Vec<FeatureTests> {
        let has = |package: &&Value| package["features"].get(feature).is_some();
        let packages = list(&self.metadata["packages"]).filter(has);
        let mut found: Vec<FeatureTests> = packages
            .map(|package| {
                let is_meant = |target: &&Value| {
                    list(&target["kind"]).any(|kind| kind == "test")
                        && list(&target["required-features"]).any(|required| required == feature)
                };
                let targets: Vec<&Value> = list(&package["targets"]).filter(is_meant).collect();
                let required = targets.iter().flat_map(|target| list(&target["required-features"]));
                let features: BTreeSet<String> = required.map(text).collect();
                FeatureTests {
                    package: text(&package["name"]),
                    targets: targets.iter().map(|target| text(&target["name"])).collect(),
                    features: features.into_iter().collect(),
                }
            })
            .collect();
        found.sort_by(|a, b| a.package.cmp(&b.package));
        found
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Runs a cargo command in this terminal, to its end.
///
/// # Errors
/// If it cannot be run or fails.
pub fn run(command: &mut Command) -> Outcome {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let shown = format!("`cargo {}`", words.join(" "));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::unsuccessful(format!("{shown} ended with {status}"))),
        Err(error) => Err(Failure::unavailable(format!("{shown} cannot be run: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tests_of_a_feature_are_the_targets_that_require_it() {
        let target = |kind: &str, name: &str, features: &[&str]| {
            let kind = [kind];
            json!({ "kind": kind, "name": name, "required-features": features })
        };
        let targets = json!([
            target("lib", "b", &[]),
            target("test", "real", &["stack", "adapter"]),
            target("test", "kill", &["stack"]),
            target("test", "other", &["else"]),
            target("bench", "speed", &["stack"]),
        ]);
        let metadata = json!({ "packages": [
            { "name": "b", "features": { "stack": ["x"] }, "targets": targets },
            { "name": "c", "features": { "x": [] }, "targets": targets },
            { "name": "a", "features": { "stack": [] }, "targets": [] },
        ]});
        let found = Workspace { metadata }.tests_of_feature("stack");
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let expect = |package: &str, targets, features| FeatureTests {
            package: package.to_owned(),
            targets: words(targets),
            features: words(features),
        };
        let b = expect("b", &["real", "kill"], &["adapter", "stack"]);
        assert_eq!(found, [expect("a", &[], &[]), b]);
    }

    #[test]
    fn this_workspace_is_known_to_cargo() {
        let workspace = Workspace::load().unwrap();
        assert!(workspace.binaries(false).ends_with("debug"));
        assert!(workspace.tests_of_feature("no such feature").is_empty());
    }
}
