//! The folder of the services: who runs, what they wrote, whether all are ready.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};
use crate::process_record::{ProcessRecord, State};

/// The record of the process that started the services and stops them.
const SUPERVISOR: &str = "supervisor";

/// Where the services of one stack have their files.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
}

impl Place {
    /// In the folder of a stack.
    pub fn of(stack: &Path) -> Self {
        Self { folder: stack.join("services") }
    }

    /// Makes the folder if it is not there; answers it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make(&self) -> Outcome<&Path> {
        fs::create_dir_all(&self.folder).map_err(|error| self.cannot_write(&error))?;
        Ok(&self.folder)
    }

    /// What detached services wrote.
    pub fn log(&self) -> PathBuf {
        self.folder.join("services.log")
    }

    /// The process that stops the services in order, if it runs.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub fn supervisor(&self) -> Outcome<Option<ProcessRecord>> {
        self.running(SUPERVISOR)
    }

    /// The process of a service or of the supervisor, if it runs.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub fn running(&self, name: &str) -> Outcome<Option<ProcessRecord>> {
        let file = self.record_file(name);
        let record = ProcessRecord::read(&file)
            .map_err(|error| Failure::file(format!("cannot read {}", file.display()), &error))?;
        Ok(record.filter(|record| record.state() != State::Gone))
    }

    /// Notes the process of a service.
    ///
    /// # Errors
    /// If the record cannot be made or written.
    pub fn note(&self, name: &str, pid: u32) -> Outcome<ProcessRecord> {
        let record = ProcessRecord::of(pid, String::new())
            .map_err(|error| Failure::file("cannot read /proc", &error))?;
        record.write(&self.record_file(name)).map_err(|error| self.cannot_write(&error))?;
        Ok(record)
    }

    /// Notes this process as the supervisor, of services that are not ready yet.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn begin(&self) -> Outcome {
        match fs::remove_file(self.ready_file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.cannot_write(&error));
            }
            Ok(()) | Err(_) => {}
        }
        self.note(SUPERVISOR, std::process::id()).map(drop)
    }

    /// Notes that every service is ready, in words for whoever waits for it.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn note_ready(&self, words: &str) -> Outcome {
        let draft = self.folder.join("ready.draft");
        fs::write(&draft, words)
            .and_then(|()| fs::rename(&draft, self.ready_file()))
            .map_err(|error| self.cannot_write(&error))
    }

    /// What was noted when every service was ready.
    pub fn ready(&self) -> Option<String> {
        fs::read_to_string(self.ready_file()).ok()
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.join("ready.txt")
    }

    fn record_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn cannot_write(&self, error: &io::Error) -> Failure {
        Failure::file(format!("cannot write in {}", self.folder.display()), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_ready_only_once_that_was_noted_after_their_start() {
        let stack = tempfile::tempdir().unwrap();
        let place = Place::of(stack.path());
        assert!(place.supervisor().unwrap().is_none());
        place.make().unwrap();
        place.note_ready("of an earlier start").unwrap();
        place.begin().unwrap();
        assert_eq!(place.supervisor().unwrap().unwrap().pid, std::process::id());
        assert_eq!(place.ready(), None);
        place.note_ready("all").unwrap();
        assert_eq!(place.ready().as_deref(), Some("all"));
    }
}
