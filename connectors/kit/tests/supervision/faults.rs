//! How often each call of the log still goes wrong.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use chat4all_eventlog::faulty::{self, AppendFault};
use chat4all_eventlog::{Commit, LogError, NewRecord};

/// Counted down by the calls.
#[derive(Default)]
pub struct Faults {
    pub append_panics: AtomicU32,
    pub commit_panics: AtomicU32,
    pub read_errors: AtomicU32,
    /// The highest offset committed.
    pub committed: AtomicU64,
}

/// Whether there was one left.
pub fn take(left: &AtomicU32) -> bool {
    let less = |n: u32| n.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

impl faulty::Faults for Faults {
    fn append(&self, _: &NewRecord) -> Option<AppendFault> {
        assert!(!take(&self.append_panics), "a panic for a test");
        None
    }

    fn commit(&self, commits: &[Commit]) {
        assert!(!take(&self.commit_panics), "a panic for a test");
        let highest = commits.iter().map(|commit| commit.offset).max().unwrap_or(0);
        self.committed.fetch_max(highest, Ordering::Relaxed);
    }

    fn read(&self) -> Option<LogError> {
        take(&self.read_errors).then(|| LogError::Unavailable("for a test".to_owned()))
    }
}
