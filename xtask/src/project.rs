//! Where this repository is.

use std::path::{Path, PathBuf};

/// The folder of the workspace. This package lies one level below it, and cargo builds it anew
/// when it has moved.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
