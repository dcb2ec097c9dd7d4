//! The folder that holds everything an embedded installation keeps. One process at a time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::config::ConfigError;

/// An exclusively locked data folder. The lock goes with the process, also after SIGKILL.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Creates the folder if needed and locks it.
    ///
    /// # Errors
    /// Names `key` (the configuration key that chose the path) if the folder cannot be made or
    /// another process holds it. Nothing in the folder is touched then.
    pub fn open(key: &str, path: &Path) -> Result<Self, ConfigError> {
        let refuse = |rule: String, fix: &str| ConfigError::of(key, path.display(), rule, fix);
        fs::create_dir_all(path).map_err(|error| {
            refuse(
                format!("must be a folder that can be written: {error}"),
                "choose another folder",
            )
        })?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(|error| {
                refuse(format!("must be a folder that can be written: {error}"), "check its owner")
            })?;
        lock.try_lock().map_err(|_| {
            refuse(
                "is in use by another process".to_owned(),
                "stop the other chat4all first, or give this one a folder of its own",
            )
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::open("data", folder.path()).unwrap();
        let error = DataFolder::open("data", folder.path()).unwrap_err().to_string();
        assert!(error.contains("in use by another process"), "{error}");
        drop(first);
        assert!(DataFolder::open("data", folder.path()).is_ok());
    }
}
