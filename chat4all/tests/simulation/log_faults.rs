//! A log that sometimes does not acknowledge: half of those records are written all the same.

use chat4all_eventlog::faulty::{AppendFault, Faults};
use chat4all_eventlog::{Commit, LogError, NewRecord};
use chat4all_process::Random;

/// One append in fifty fails.
pub struct LogFaults(pub Random);

impl Faults for LogFaults {
    fn append(&self, _: &NewRecord) -> Option<AppendFault> {
        match self.0.between(1, 100) {
            1 => Some(AppendFault::Lost),
            2 => Some(AppendFault::Unacknowledged),
            _ => None,
        }
    }

    fn commit(&self, _: &[Commit]) {}

    fn read(&self) -> Option<LogError> {
        None
    }
}
