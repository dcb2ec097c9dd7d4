//! How the consumer loop commits: beside its work, one commit at a time.

use std::time::Duration;

use chat4all_process::metric::Metric;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::GroupLoop;
use crate::LogError;
use crate::consumer::{Commit, CommitError, TopicPartition};

/// How long the last commit before letting go may take.
const LAST_COMMIT: Duration = Duration::from_secs(3);

/// How long records are taken although no commit succeeds. What is done without one is done again after
/// a crash, and whoever comes after us recognizes only so many repetitions.
const UNSAVED: Duration = Duration::from_secs(5);

/// A commit that is under way, and what becomes of it.
pub(super) type Committing = BoxFuture<'static, (Vec<Commit>, Result<Vec<CommitError>, LogError>)>;

impl GroupLoop {
    /// Begins to commit every partition that has made progress since its last commit, unless a commit
    /// is under way.
    pub(super) fn begin_commit(&mut self) {
        if self.committing.is_some() {
            return;
        }
        let mut commits = Vec::new();
        for (at, partition) in &self.partitions {
            let now = (partition.tracker.position(), partition.tracker.note());
            if now != partition.committed {
                let (offset, note) = now;
                commits.push(Commit { at: at.clone(), epoch: partition.epoch, offset, note });
            }
        }
        if commits.is_empty() {
            self.unsaved = None;
            return;
        }
        self.unsaved.get_or_insert_with(Instant::now);
        let consumer = self.consumer.clone();
        self.committing = Some(Box::pin(async move {
            let result = consumer.commit(commits.clone()).await;
            (commits, result)
        }));
    }

    /// A commit has ended.
    pub(super) fn committed(
        &mut self,
        (commits, result): (Vec<Commit>, Result<Vec<CommitError>, LogError>),
    ) -> Result<(), LogError> {
        self.committing = None;
        let service = self.options.service;
        match result {
            Ok(refused) => {
                self.unsaved = None;
                for error in &refused {
                    Metric::Commits.count(service, &[topic_of(error), "refused"]);
                    tracing::warn!(%error, "a commit was refused");
                }
                for commit in commits.into_iter().filter(|c| !is_refused(&refused, &c.at)) {
                    Metric::Commits.count(service, &[&commit.at.topic, "ok"]);
                    let partition = self.partitions.get_mut(&commit.at);
                    if let Some(partition) = partition.filter(|p| p.epoch == commit.epoch) {
                        partition.committed = (commit.offset, commit.note);
                    }
                }
                Ok(())
            }
            Err(LogError::Closed) => Err(LogError::Closed),
            Err(error) => {
                // The next interval tries again with newer positions.
                Metric::Commits.count(service, &["all", "failed"]);
                tracing::warn!(%error, "a commit failed");
                Ok(())
            }
        }
    }

    /// Commits what is done by now, after the commit that may be under way. Effects of partitions that
    /// stay go on meanwhile.
    pub(super) async fn commit_before_leaving(&mut self) -> Result<(), LogError> {
        let deadline = Instant::now() + LAST_COMMIT;
        let mut is_last = self.committing.is_none();
        self.begin_commit();
        while self.committing.is_some() {
            tokio::select! {
                biased;
                Some(done) = self.in_hand.next() => self.complete(&done),
                ended = of(&mut self.committing) => {
                    self.committed(ended)?;
                    if !is_last {
                        is_last = true;
                        self.begin_commit();
                    }
                }
                () = sleep_until(deadline) => {
                    tracing::warn!("the last commit is not answered; what is done is done again");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes no more records while commits do not succeed, but hears of everything else.
    pub(super) fn hold_back(&mut self) {
        let holds_back = self.unsaved.is_some_and(|since| since.elapsed() > UNSAVED);
        if holds_back == self.holds_back {
            return;
        }
        self.holds_back = holds_back;
        if holds_back {
            tracing::warn!("no commit succeeds; no more records are taken until one does");
        }
        for at in self.partitions.keys() {
            match holds_back {
                true => self.consumer.pause(at),
                false => self.consumer.resume(at),
            }
        }
    }
}

/// Resolves with the commit that is under way, never without one. May be cancelled.
pub(super) async fn of(
    committing: &mut Option<Committing>,
) -> (Vec<Commit>, Result<Vec<CommitError>, LogError>) {
    match committing {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

fn topic_of(error: &CommitError) -> &str {
    match error {
        CommitError::Stale(at) | CommitError::NoteTooLong(at) => &at.topic,
    }
}

fn is_refused(refused: &[CommitError], at: &TopicPartition) -> bool {
    refused.iter().any(|error| match error {
        CommitError::Stale(partition) | CommitError::NoteTooLong(partition) => partition == at,
    })
}
