//! Removes expired records, in small steps, so that appends never wait long.

use std::sync::Arc;

use chat4all_contracts::EpochMs;
use chat4all_process::Shutdown;
use chat4all_sqlite::rusqlite::Transaction;

use super::catalog::Retained;
use super::{EmbeddedLog, Inner, tables};
use crate::{Cleanup, LogError};

/// The most records that one transaction deletes.
pub(super) const STEP: usize = 1_000;

impl EmbeddedLog {
    /// Removes expired records from time to time until `shutdown`. A failure is logged and tried
    /// again at the next turn.
    pub async fn run_retention(self: Arc<Self>, shutdown: Shutdown) {
        let interval = self.0.options.retention_interval;
        while shutdown.unless(tokio::time::sleep(interval)).await.is_some() {
            match shutdown.unless(self.retain_once(self.0.clock.now())).await {
                Some(Ok(0)) | None => {}
                Some(Ok(removed)) => tracing::debug!(removed, "removed expired records"),
                Some(Err(error)) => tracing::warn!(%error, "expired records were not removed"),
            }
        }
    }

    /// Removes every record that is expired at `now`, and of compacted topics every one that a newer
    /// one has replaced; answers how many. A partition loses expired records only from its start:
    /// one that is not expired keeps those behind it.
    ///
    /// # Errors
    /// [`LogError::Unavailable`]; some may be removed then.
    pub async fn retain_once(&self, now: EpochMs) -> Result<u64, LogError> {
        let mut removed = 0;
        for partition in self.0.catalog.retained() {
            removed += match partition.cleanup {
                Cleanup::Delete => self.0.expire(&partition, now).await?,
                Cleanup::Compact => self.0.compact(partition.id).await?,
            };
        }
        Ok(removed)
    }
}

impl Inner {
    async fn expire(self: &Arc<Self>, partition: &Retained, now: EpochMs) -> Result<u64, LogError> {
        let kept = u64::try_from(partition.retention.as_millis()).unwrap_or(u64::MAX);
        let before = EpochMs::saturating(now.as_ms().saturating_sub(kept));
        let mut removed = 0;
        loop {
            let id = partition.id;
            let job = move |transaction: &Transaction<'_>| {
                tables::delete_expired(transaction, id, before, STEP)
            };
            let at = partition.at.clone();
            let effect = move |log: &Inner, (count, start): (usize, u64)| {
                log.catalog.set_start(&at, start);
                Ok(count)
            };
            let count = self.write(job, effect).await?;
            removed += count as u64;
            if count < STEP {
                return Ok(removed);
            }
        }
    }
}
