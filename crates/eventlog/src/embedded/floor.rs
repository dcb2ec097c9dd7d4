//! Whether there is room for new work, asked at most once a second, on the writer's thread.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chat4all_sqlite::rusqlite::Connection;
use chat4all_sqlite::{Database, free_bytes};
use tokio::time::Instant;

use super::tables;

const ASK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Floor {
    bytes: u64,
    answer: Mutex<Option<Answer>>,
}

#[derive(Clone, Copy)]
struct Answer {
    at: Instant,
    is_above: bool,
}

impl Floor {
    pub(super) fn new(bytes: u64) -> Self {
        Self { bytes, answer: Mutex::new(None) }
    }

    /// Free pages of the file count as free: they are used before the file grows.
    pub(super) fn is_above(&self, database: &Database, connection: &Connection) -> bool {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(Answer { at, is_above }) = *answer
            && now.saturating_duration_since(at) < ASK_EVERY
        {
            return is_above;
        }
        let free = || {
            let disk = database.path().map_or(Ok(u64::MAX), free_bytes)?;
            Ok(disk.saturating_add(tables::unused_bytes(connection)?))
        };
        let is_above = free().map_or_else(
            |error: chat4all_sqlite::DbError| {
                // A file system that cannot be asked must not stop the log: a full disk shows itself.
                tracing::warn!(%error, "the free space is unknown");
                true
            },
            |free| free >= self.bytes,
        );
        if !is_above && !answer.is_some_and(|before| !before.is_above) {
            tracing::warn!(floor = self.bytes, "little disk is left: new work is refused");
        }
        *answer = Some(Answer { at: now, is_above });
        is_above
    }
}
