//! The files to check: what git tracks, and what it would add. Never what it ignores.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The text of each file by its path from the root, with `/` between folders. Files that are not
/// UTF-8 are not in it.
pub type Tree = BTreeMap<String, String>;

/// Reads the tree of this repository.
///
/// # Errors
/// In words: git is missing or refuses, or a file cannot be read.
pub fn read() -> Result<Tree, String> {
    let root = root()?;
    let mut tree = Tree::new();
    for path in list(&root)? {
        let file = root.join(&path);
        // A link's target is listed on its own; a folder is a repository inside this one.
        match std::fs::symlink_metadata(&file) {
            Ok(found) if !found.is_file() => continue,
            Ok(_) => {}
            // Listed, and deleted in the work tree.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("cannot read {path}: {error}")),
        }
        let bytes = std::fs::read(&file).map_err(|error| format!("cannot read {path}: {error}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            tree.insert(path, text);
        }
    }
    if !tree.contains_key("Cargo.toml") {
        return Err(
            "git lists no Cargo.toml: this is not the repository's own work tree".to_owned()
        );
    }
    Ok(tree)
}

/// The folder of the workspace: cargo says where this package is, which is one level below.
fn root() -> Result<PathBuf, String> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .ok_or("CARGO_MANIFEST_DIR is not set: start this as `cargo xtask tidy`")?;
    let package = PathBuf::from(package);
    package
        .parent()
        .map(Path::to_owned)
        .ok_or_else(|| "this package has no parent folder".to_owned())
}

fn list(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|error| {
            format!("git cannot be started, and tidy needs its list of files: {error}")
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "git ls-files failed, and tidy needs its list of files: {}",
            said.trim()
        ));
    }
    let paths = String::from_utf8(output.stdout)
        .map_err(|_| "a path in this repository is not UTF-8: rename it".to_owned())?;
    Ok(paths.split_terminator('\0').map(str::to_owned).collect())
}
