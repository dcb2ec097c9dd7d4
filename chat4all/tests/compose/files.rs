//! The files that are compared, and what is read of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn toml(path: &str) -> toml::Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn workspace_members() -> Vec<String> {
    let members = &toml("Cargo.toml")["workspace"]["members"];
    members.as_array().unwrap().iter().map(|member| member.as_str().unwrap().to_owned()).collect()
}

pub fn workspace_version() -> String {
    toml("Cargo.toml")["workspace"]["package"]["version"].as_str().unwrap().to_owned()
}

/// The toolchain that everything is built with.
pub fn rust_version() -> String {
    toml("rust-toolchain.toml")["toolchain"]["channel"].as_str().unwrap().to_owned()
}

/// The services: executables that are built as processes of their own, without `chat4all-`.
pub fn services() -> Vec<String> {
    let mut services = Vec::new();
    for member in workspace_members() {
        let manifest = toml(&format!("{member}/Cargo.toml"));
        let executables = manifest.get("bin").and_then(|bins| bins.as_array());
        for executable in executables.into_iter().flatten() {
            let features = executable.get("required-features").and_then(|list| list.as_array());
            let is_service = features
                .is_some_and(|list| list.iter().any(|name| name.as_str() == Some("service")));
            if is_service {
                let name = executable["name"].as_str().unwrap();
                services.push(name.strip_prefix("chat4all-").unwrap().to_owned());
            }
        }
    }
    services.sort();
    services
}

/// What the compose file says, merge keys resolved.
pub struct Compose(pub Value);

impl Compose {
    pub fn read() -> Self {
        Self(serde_saphyr::from_str(&read("docker-compose.yml")).unwrap())
    }

    pub fn services(&self) -> BTreeMap<&str, Entry<'_>> {
        let services = self.0["services"].as_object().unwrap();
        services.iter().map(|(name, value)| (name.as_str(), Entry(value))).collect()
    }

    /// The entries of our own services: those that are built here.
    pub fn ours(&self) -> BTreeMap<&str, Entry<'_>> {
        self.services().into_iter().filter(|(_, entry)| entry.0.get("build").is_some()).collect()
    }
}

/// A service of the compose file.
#[derive(Clone, Copy)]
pub struct Entry<'a>(pub &'a Value);

impl Entry<'_> {
    pub fn text(&self, key: &str) -> String {
        self.0[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.0)).to_owned()
    }

    /// The strings of a list.
    pub fn list(&self, key: &str) -> Vec<String> {
        let items = self.0[key].as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(ToOwned::to_owned)).collect()
    }

    /// Its variables; `None` = taken from outside if it is there, and absent otherwise.
    pub fn environment(&self) -> BTreeMap<String, Option<String>> {
        let plain = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let variables = self.0["environment"].as_object().into_iter().flatten();
        variables.map(|(name, value)| (name.clone(), plain(value))).collect()
    }

    /// Files and folders of the repository that are mounted, and the names of volumes.
    pub fn mounts(&self) -> Vec<String> {
        let volumes = self.0["volumes"].as_array().into_iter().flatten();
        let source = |volume: &Value| match volume {
            Value::String(short) => short.split(':').next().unwrap().to_owned(),
            long => long["source"].as_str().unwrap().to_owned(),
        };
        volumes.map(source).collect()
    }
}

/// A stage of the Dockerfile.
pub struct Stage {
    pub name: String,
    pub base: String,
    /// Every instruction behind FROM, on one line.
    pub instructions: Vec<String>,
}

impl Stage {
    /// What follows an instruction's word, as often as it is there.
    pub fn all(&self, word: &str) -> Vec<&str> {
        let rest = |line: &'_ String| line.strip_prefix(word).is_some_and(|r| r.starts_with(' '));
        let found = self.instructions.iter().filter(|line| rest(line));
        found.map(|line| line[word.len()..].trim()).collect()
    }

    pub fn one(&self, word: &str) -> &str {
        let found = self.all(word);
        assert_eq!(found.len(), 1, "{}: {word} {found:?}", self.name);
        found[0]
    }
}

pub fn dockerfile() -> Vec<Stage> {
    let text = read("deploy/Dockerfile");
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let mut stages: Vec<Stage> = Vec::new();
    for line in joined.lines().filter(|line| !line.trim().is_empty()) {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.strip_prefix("FROM ") {
            Some(from) => {
                let (base, name) = from.split_once(" AS ").unwrap();
                let (name, base) = (name.to_owned(), base.to_owned());
                stages.push(Stage { name, base, instructions: Vec::new() });
            }
            None => stages.last_mut().unwrap().instructions.push(line),
        }
    }
    stages
}
