//! One line for many: what failed and is tried again, at most once a second.
//!
//! A store that is away fails hundreds of records at once, again and again; a line for each would
//! hide everything else. The metric counts every one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::record::Record;

/// The least time between two lines.
const EVERY: Duration = Duration::from_secs(1);

/// See the module. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryLog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    /// Since the last line.
    unsaid: u64,
}

impl RetryLog {
    /// A record's effect was not acknowledged.
    pub(crate) fn note(&self, record: &Record, why: &str) {
        let Some(others) = self.others(Instant::now()) else { return };
        let (partition, offset) = (record.at(), record.offset);
        tracing::warn!(%partition, offset, why, others, "trying again");
    }

    /// How many have gone unsaid; `None` = and so does this one.
    fn others(&self, now: Instant) -> Option<u64> {
        // Every change is complete before anything that could panic.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now < last + EVERY) {
            state.unsaid += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_said_at_once_and_the_others_with_the_next_line() {
        let (log, now) = (RetryLog::default(), Instant::now());
        let said = |ms: u64| log.others(now + Duration::from_millis(ms));
        assert_eq!([said(0), said(1), said(999)], [Some(0), None, None]);
        assert_eq!([said(1_000), said(1_500), said(9_000)], [Some(2), None, Some(1)]);
    }
}
