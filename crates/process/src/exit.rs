//! Exit codes, from BSD's sysexits.h where it has one, and a program's last word.

use std::fmt::Display;
use std::process::ExitCode;

use crate::config::ConfigError;

/// The configuration, the command line or the surroundings (a port, a lock) do not allow a start.
/// `EX_USAGE`: a restart without a change will not help.
pub const CONFIGURATION: u8 = 64;

/// Something that runs failed beyond what a restart inside the process could mend.
/// `EX_SOFTWARE`: the orchestrator should restart the process.
pub const SOFTWARE: u8 = 70;

/// The request was understood and did not succeed (a message FAILED, an id is not known).
pub const UNSUCCESSFUL: u8 = 1;

/// Why a program ends with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// For people.
    pub text: String,
}

impl Failure {
    /// An end with `code`.
    pub fn new(code: u8, text: impl Display) -> Self {
        Self { code, text: text.to_string() }
    }

    /// Says it on standard error and returns the exit code.
    #[allow(clippy::print_stderr)] // the program's last word, also when logging never started
    pub fn say(&self, program: &str) -> ExitCode {
        eprintln!("{program}: {}", self.text);
        ExitCode::from(self.code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(CONFIGURATION, format!("configuration: {error}"))
    }
}
