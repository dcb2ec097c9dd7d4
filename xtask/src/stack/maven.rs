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

/// What makes up one server.
#[derive(Clone, Copy, Debug)]
pub struct Artifacts {
    /// The server's name.
    pub name: &'static str,
    /// Of every artifact.
    pub version: &'static str,
    /// Of every artifact.
    pub group: &'static str,
    /// Their names.
    pub artifacts: &'static [&'static str],
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
        if folder.is_dir() {
            return Ok(folder);
        }
        let maven = tools::maven()?;
        let watch = Stopwatch::start();
        let draft = jars.join(format!("{}-{}.draft", self.name, self.version));
        let cannot = |error| Failure::file(format!("cannot write {}", draft.display()), &error);
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(cannot)?;
        }
        fs::create_dir_all(&draft).map_err(cannot)?;
        let pom = draft.join("pom.xml");
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

    fn pom(&self) -> String {
        let Self { name, version, group, artifacts } = self;
        let dependency = |artifact: &&str| {
            format!(
                "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency>\n"
            )
        };
        let dependencies: String = artifacts.iter().map(dependency).collect();
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
        assert_eq!(pom.matches("<dependency>").count(), 2);
        let tools = "<artifactId>kafka-tools</artifactId><version>4.1.1</version>";
        assert!(pom.contains(tools), "{pom}");
    }

    #[test]
    fn jars_that_are_there_are_used_and_a_draft_is_not() {
        let jars = tempfile::tempdir().unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            out_is_terminal: false,
            err_is_terminal: false,
        };
        let unknown = Artifacts { name: "none", version: "0", group: "none", artifacts: &[] };
        let folder = unknown.folder(jars.path());
        fs::create_dir_all(jars.path().join("none-0.draft")).unwrap();
        assert!(!folder.is_dir());
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(unknown.fetch(jars.path(), &mut console).unwrap(), folder);
        assert!(err.is_empty());
    }
}
