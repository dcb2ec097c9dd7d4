//! Following one partition without a group: everything it holds, then everything that comes. For
//! topics that each process reads whole, such as what operators want of accounts.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::LogError;
use crate::consumer::TopicPartition;
use crate::group::Backing;
use crate::record::Record;

/// The most records of one [`Followed::Records`].
pub(crate) const MAX_BATCH: usize = 500;

/// What a follower is told next.
#[derive(Debug)]
pub enum Followed {
    /// The next records, at least one. Offsets may have gaps.
    Records(Vec<Record>),
    /// Everything that was there when the following began has been handed out. Once.
    CaughtUp,
}

/// A reader of one partition that belongs to no group and commits nothing.
pub trait Follower: Send + Sync {
    /// The next records, once there are some. May be cancelled without losing any.
    ///
    /// # Errors
    /// The end of this follower: follow again, from the start.
    fn next(&mut self) -> BoxFuture<'_, Result<Followed, LogError>>;
}

/// A follower in the log's own process, which the log wakes when something is appended.
pub(crate) struct Tail<B> {
    log: Arc<B>,
    at: TopicPartition,
    position: u64,
    /// Where the partition ended when the following began; `None` once it has said so.
    caught_up_at: Option<u64>,
    woken: watch::Receiver<()>,
}

impl<B: Backing> Tail<B> {
    /// Begins at the start.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`]
    pub(crate) fn new(log: Arc<B>, at: &TopicPartition) -> Result<Self, LogError> {
        // Before looking at the end: what comes in between wakes it.
        let woken = log.groups().woken_by(at);
        let bounds = log.bounds(at).ok_or_else(|| LogError::UnknownPartition(at.clone()))?;
        let (position, caught_up_at) = (bounds.start, Some(bounds.end));
        Ok(Self { log, at: at.clone(), position, caught_up_at, woken })
    }

    async fn next_event(&mut self) -> Result<Followed, LogError> {
        loop {
            if self.caught_up_at.is_some_and(|end| self.position >= end) {
                self.caught_up_at = None;
                return Ok(Followed::CaughtUp);
            }
            self.woken.mark_unchanged();
            let fetched = self.log.fetch(&self.at, self.position, MAX_BATCH).await?;
            if let Some(last) = fetched.records.last() {
                self.position = last.offset + 1;
                return Ok(Followed::Records(fetched.records));
            }
            if let Some(end) = self.caught_up_at {
                // Retention took the rest away meanwhile.
                self.position = self.position.max(end);
                continue;
            }
            if self.woken.changed().await.is_err() {
                return Err(LogError::Closed);
            }
        }
    }
}

impl<B: Backing> Follower for Tail<B> {
    fn next(&mut self) -> BoxFuture<'_, Result<Followed, LogError>> {
        self.next_event().boxed()
    }
}
