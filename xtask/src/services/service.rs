//! Which services there are: the platforms are the folders of connectors/, the rest is fixed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// The folder of connectors/ that serves every platform.
const SHARED: &str = "kit";

/// What a service does, in the order in which they are stopped: who takes work from the log comes
/// before who writes the outcome down, and the platforms go last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Hands messages to the connectors.
    Router,
    /// Delivers to one platform.
    Connector,
    /// Writes down what became of messages.
    StatusConsumer,
    /// Takes requests.
    Api,
    /// Stands in for the platforms.
    Simulator,
}

impl Role {
    /// Every role, in the order of stopping.
    pub const STOPPING: [Self; 5] =
        [Self::Router, Self::Connector, Self::StatusConsumer, Self::Api, Self::Simulator];
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it does.
    pub role: Role,
    /// How it is called in lines for people.
    pub name: String,
}

impl Service {
    /// Its package, which is also its program.
    pub fn package(&self) -> String {
        format!("chat4all-{}", self.name)
    }

    /// What is asked whether it is ready. The simulator waits for nothing: it is ready if it answers.
    pub fn ready_path(&self) -> &'static str {
        if self.role == Role::Simulator { "/health" } else { "/ready" }
    }

    /// Where its program is once it is built.
    pub fn program(&self, binaries: &Path) -> PathBuf {
        binaries.join(self.package())
    }
}

/// Every service of this repository, in the order of starting, which is the reverse of stopping.
///
/// # Errors
/// If the folder of the connectors cannot be read.
pub fn all(root: &Path) -> Outcome<Vec<Service>> {
    let mut services = Vec::new();
    for role in Role::STOPPING.into_iter().rev() {
        let named = |name: &str| Service { role, name: name.to_owned() };
        match role {
            Role::Simulator => services.push(named("simulator")),
            Role::Api => services.push(named("api")),
            Role::StatusConsumer => services.push(named("status-consumer")),
            Role::Router => services.push(named("router")),
            Role::Connector => {
                let platforms = platforms(root)?;
                services.extend(platforms.iter().map(|name| named(&format!("connector-{name}"))));
            }
        }
    }
    Ok(services)
}

fn platforms(root: &Path) -> Outcome<Vec<String>> {
    let folder = root.join("connectors");
    let cannot = |error| Failure::file(format!("cannot read {}", folder.display()), &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != SHARED && entry.path().join("Cargo.toml").is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_a_folder_of_connectors_that_holds_a_package() {
        let root = tempfile::tempdir().unwrap();
        for (folder, is_package) in [("b", true), ("a", true), ("kit", true), ("notes", false)] {
            let folder = root.path().join("connectors").join(folder);
            fs::create_dir_all(&folder).unwrap();
            if is_package {
                fs::write(folder.join("Cargo.toml"), "").unwrap();
            }
        }
        let names: Vec<String> =
            all(root.path()).unwrap().iter().map(|service| service.package()).collect();
        let expected = [
            "chat4all-simulator",
            "chat4all-api",
            "chat4all-status-consumer",
            "chat4all-connector-a",
            "chat4all-connector-b",
            "chat4all-router",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn this_repository_has_connectors() {
        let services = all(&crate::project::root()).unwrap();
        let connectors = services.iter().filter(|service| service.role == Role::Connector);
        assert!(connectors.count() >= 2);
    }
}
