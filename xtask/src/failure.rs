//! Why a command ends without success: the exit code, and words that say what to do.

use std::fmt;
use std::io;

/// The command did its work and found something wrong.
pub const UNSUCCESSFUL: u8 = 1;
/// `EX_USAGE` of sysexits.h: the command line, or a setting in the environment, is wrong.
pub const USAGE: u8 = 64;
/// `EX_UNAVAILABLE` of sysexits.h: a tool or a server that the command needs is not there.
pub const UNAVAILABLE: u8 = 69;
/// `EX_IOERR` of sysexits.h: the output, or a file, could not be written.
pub const OUTPUT: u8 = 74;

/// As shells say it of a program that Ctrl-C has ended.
pub const INTERRUPTED: u8 = 130;

/// What a command answers that may fail.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A command's end without success.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What is wrong, and what to do about it.
    pub text: String,
}

impl Failure {
    /// Something was found wrong.
    pub fn unsuccessful(text: impl Into<String>) -> Self {
        Self { code: UNSUCCESSFUL, text: text.into() }
    }

    /// The command line or a setting is wrong.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: USAGE, text: text.into() }
    }

    /// Something that is needed is not there.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self { code: UNAVAILABLE, text: text.into() }
    }

    /// A file or a folder could not be read or written.
    pub fn file(what: impl fmt::Display, error: &io::Error) -> Self {
        Self { code: OUTPUT, text: format!("{what}: {error}") }
    }
}

/// Writing what a command says.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { code: OUTPUT, text: format!("cannot write the output: {error}") }
    }
}
