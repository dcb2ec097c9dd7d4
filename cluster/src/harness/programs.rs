//! The executables under test: where cargo has put them.

use std::path::PathBuf;

/// Names another folder of executables.
const FOLDER: &str = "CHAT4ALL_STACK_PROGRAMS";
/// Names another `xtask`.
const XTASK: &str = "CHAT4ALL_STACK_XTASK";

/// The executable with this name.
///
/// # Panics
/// If it is not there: nothing here builds it.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os(FOLDER).map_or_else(beside_this_program, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is missing; `cargo xtask stack test` builds it, or set {FOLDER} to the folder that has it",
        path.display()
    );
    path
}

/// What starts and kills servers.
pub fn xtask() -> PathBuf {
    std::env::var_os(XTASK).map_or_else(|| program("xtask"), PathBuf::from)
}

/// `target/debug`, also of `target/debug/deps/cluster-…`.
fn beside_this_program() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let folder = this.parent().expect("it lies in a folder of target");
    let is_test = folder.ends_with("deps");
    let folder = if is_test { folder.parent().expect("it lies in target") } else { folder };
    folder.to_owned()
}
