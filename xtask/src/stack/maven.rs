//! The jars of a server, fetched through Maven, which keeps a copy of its own.
//!
//! They come into a folder beside their place, which is renamed when it is complete: a folder in
//! its place is whole, whatever was interrupted before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::wait::{Stopwatch, spoken};

/// The version of the plugin that copies jars: named, so that every machine runs the same.
const COPY_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// What was fetched, kept beside the jars.
const POM: &str = "pom.xml";

/// What makes up one server.
#[derive(Clone, Copy, Debug)]
pub struct Artifacts {
    /// The server's name.
    pub name: &'static str,
    /// The server's version.
    pub version: &'static str,
    /// Group, name and version of each artifact.
    pub artifacts: &'static [[&'static str; 3]],
}

impl Artifacts {
    /// The folder that holds the jars once they are fetched.
    pub fn folder(&self, jars: &Path) -> PathBuf {
        jars.join(format!("{}-{}", self.name, self.version))
    }

    /// Fetches the jars if they are not there; answers their folder.
    ///
    /// # Errors
    /// If Maven is missing or fails, or the folder cannot be written.
    pub fn fetch(&self, jars: &Path, console: &mut Console<'_>) -> Outcome<PathBuf> {
        let folder = self.folder(jars);
        if self.is_fetched(&folder) {
            return Ok(folder);
        }
        let maven = tools::maven()?;
        let watch = Stopwatch::start();
        let draft = jars.join(format!("{}-{}.draft", self.name, self.version));
        let cannot = |error| Failure::file(format!("cannot write {}", draft.display()), &error);
        for leftover in [&draft, &folder] {
            if leftover.exists() {
                fs::remove_dir_all(leftover).map_err(cannot)?;
            }
        }
        fs::create_dir_all(&draft).map_err(cannot)?;
        let pom = draft.join(POM);
        fs::write(&pom, self.pom()).map_err(cannot)?;
        let mut command = Command::new(maven);
        command.args(["--batch-mode", "--quiet", "--file"]).arg(&pom);
        command.arg(format!("{COPY_PLUGIN}:copy-dependencies")).arg("-DincludeScope=runtime");
        command.arg(format!("-DoutputDirectory={}", draft.display()));
        let what = format!("fetching {} through Maven", self.version);
        tools::run(&mut command, self.name, &what, console)?;
        fs::rename(&draft, &folder).map_err(cannot)?;
        let took = spoken(watch.elapsed());
        console.line(self.name, &format!("{} fetched through Maven in {took}", self.version))?;
        Ok(folder)
    }

    /// Whether the folder holds what is asked for now: after an update it may hold less.
    fn is_fetched(&self, folder: &Path) -> bool {
        fs::read_to_string(folder.join(POM)).is_ok_and(|pom| pom == self.pom())
    }

    fn pom(&self) -> String {
        let dependency = |[group, artifact, version]: &[&str; 3]| {
            format!(
                "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency>\n"
            )
        };
        let dependencies: String = self.artifacts.iter().map(dependency).collect();
        let name = self.name;
        format!(
            "<project><modelVersion>4.0.0</modelVersion><groupId>chat4all.stack</groupId>\
             <artifactId>{name}</artifactId><version>1</version>\n\
             <dependencies>\n{dependencies}</dependencies></project>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::kafka;

    #[test]
    fn the_pom_names_every_artifact_with_its_version() {
        let pom = kafka::ARTIFACTS.pom();
        assert_eq!(pom.matches("<dependency>").count(), kafka::ARTIFACTS.artifacts.len());
        let tools = "<artifactId>kafka-tools</artifactId><version>4.1.1</version>";
        assert!(pom.contains(tools), "{pom}");
    }

    #[test]
    fn only_jars_of_the_same_versions_are_used_again() {
        let jars = tempfile::tempdir().unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            out_is_terminal: false,
            err_is_terminal: false,
        };
        let wanted = kafka::ARTIFACTS;
        let folder = wanted.folder(jars.path());
        fs::create_dir_all(&folder).unwrap();
        assert!(!wanted.is_fetched(&folder));
        fs::write(folder.join(POM), wanted.pom()).unwrap();
        assert_eq!(wanted.fetch(jars.path(), &mut console).unwrap(), folder);
        let other = Artifacts { artifacts: &wanted.artifacts[1..], ..wanted };
        assert!(!other.is_fetched(&folder));
        assert!(err.is_empty());
    }
}
