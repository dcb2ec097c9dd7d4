//! Commits on their way to the disk.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Backing;
use crate::LogError;
use crate::consumer::{Commit, Committed};

/// Commits that were found valid. Their partitions begin nowhere else until this is finished or
/// dropped, so a successor can never begin before a commit that is about to become durable.
pub(crate) struct Ticket<B: Backing> {
    log: Arc<B>,
    group: Arc<str>,
    commits: Vec<Commit>,
    reply: Option<oneshot::Sender<Result<(), LogError>>>,
}

impl<B: Backing> Ticket<B> {
    pub(super) fn new(
        log: Arc<B>,
        group: Arc<str>,
        commits: Vec<Commit>,
    ) -> (Self, oneshot::Receiver<Result<(), LogError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { log, group, commits, reply: Some(reply) }, answer)
    }

    pub(crate) fn group(&self) -> &Arc<str> {
        &self.group
    }

    pub(crate) fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// `Ok` = everything is durable; anything else = nothing is known to be.
    pub(crate) fn finish(mut self, result: Result<(), LogError>) {
        self.settle(result);
    }

    fn settle(&mut self, result: Result<(), LogError>) {
        let Some(reply) = self.reply.take() else { return };
        self.log.groups().with(|state| {
            let committed = state.committed.entry(self.group.clone()).or_default();
            let mut group = state.groups.get_mut(&self.group);
            for commit in &self.commits {
                if result.is_ok() {
                    let kept = Committed { offset: commit.offset, note: commit.note.clone() };
                    committed.insert(commit.at.clone(), kept);
                }
                let Some(group) = group.as_deref_mut() else { continue };
                let Some(slot) = group.slots.get_mut(&commit.at) else { continue };
                slot.committing = slot.committing.saturating_sub(1);
                if let Some(owner) = slot.holder.as_ref().map(|holder| holder.member) {
                    group.wake(owner);
                }
            }
        });
        // A caller that has gone away does not want the answer.
        let _ = reply.send(result);
    }
}

impl<B: Backing> Drop for Ticket<B> {
    fn drop(&mut self) {
        self.settle(Err(LogError::Unavailable("the commit was not carried out".to_owned())));
    }
}
