//! A member of a group, as its consumer sees it.

use std::sync::Arc;

use chat4all_contracts::mutant::{self, Mutant};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::state::{Hold, Holder, MemberId, ReleaseId, Stop};
use super::step::{Step, step, take};
use super::{Backing, State, Ticket};
use crate::LogError;
use crate::consumer::{
    Commit, CommitError, Consumer, ConsumerEvent, MAX_NOTE_CHARS, RevokeAck, Revoked,
    TopicPartition,
};

/// A member. Dropping it leaves the group.
pub(super) struct GroupMember<B: Backing> {
    log: Arc<B>,
    group: Arc<str>,
    id: MemberId,
    woken: watch::Receiver<()>,
}

impl<B: Backing> GroupMember<B> {
    pub(super) fn new(
        log: Arc<B>,
        group: Arc<str>,
        id: MemberId,
        woken: watch::Receiver<()>,
    ) -> Self {
        Self { log, group, id, woken }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.log.groups().with(f)
    }

    async fn next_event(&self) -> Result<ConsumerEvent, LogError> {
        let mut woken = self.woken.clone();
        loop {
            // Seen before looking: whatever changes afterwards wakes again.
            woken.borrow_and_update();
            let now = Instant::now();
            match self.with(|state| step(state, &*self.log, &self.group, self.id, now)) {
                Step::Closed => return Err(LogError::Closed),
                Step::Event(event) => return Ok(event),
                Step::Revoke(partitions, release, since) => {
                    let ack = self.ack(release);
                    let revoked = Revoked { partitions, ack, since, lost: false };
                    return Ok(ConsumerEvent::Revoked(revoked));
                }
                Step::Fetch { at, epoch, from, max } => {
                    let read = self.log.fetch(&at, from, max).await?;
                    let (start, records) = (read.start, read.records);
                    let taken = self.with(|state| {
                        take(state, &self.group, self.id, (at, epoch, from), start, records)
                    });
                    if let Some(event) = taken {
                        return Ok(event);
                    }
                }
                Step::Wait(until) => wait(&mut woken, until).await,
            }
        }
    }

    fn ack(&self, release: ReleaseId) -> RevokeAck {
        let (log, group) = (self.log.clone(), self.group.clone());
        RevokeAck::calling(move || {
            log.groups().with(|state| {
                if let Some(group) = state.groups.get_mut(&group) {
                    group.released(release, Instant::now());
                }
            });
        })
    }

    /// Changes a partition that is ours and that we keep.
    fn with_ours(&self, at: &TopicPartition, change: impl FnOnce(&mut Holder)) {
        self.with(|state| {
            let Some(group) = state.groups.get_mut(&self.group) else { return };
            let holder = group.slots.get_mut(at).and_then(|slot| slot.holder.as_mut());
            if let Some(holder) = holder.filter(|holder| holder.member == self.id) {
                change(holder);
            }
            group.wake(self.id);
        });
    }

    /// Splits commits into those that are valid now, whose partitions are held until they are
    /// durable, and the reasons against the others.
    fn admit(&self, commits: Vec<Commit>) -> (Vec<Commit>, Vec<CommitError>) {
        self.with(|state| {
            let (mut admitted, mut refused) = (Vec::with_capacity(commits.len()), Vec::new());
            let mut group = state.groups.get_mut(&self.group);
            if let Some(group) = group.as_deref_mut() {
                group.settle(Instant::now());
            }
            for commit in commits {
                let slot = group.as_deref_mut().and_then(|group| group.slots.get_mut(&commit.at));
                let ours = slot.filter(|slot| {
                    slot.holder.as_ref().is_some_and(|holder| {
                        (holder.member == self.id && holder.epoch == Some(commit.epoch))
                            || mutant::is_on(Mutant::DropsEpoch)
                    })
                });
                match ours {
                    None => refused.push(CommitError::Stale(commit.at)),
                    Some(_) if commit.note.chars().count() > MAX_NOTE_CHARS => {
                        refused.push(CommitError::NoteTooLong(commit.at));
                    }
                    Some(slot) => {
                        slot.committing += 1;
                        admitted.push(commit);
                    }
                }
            }
            (admitted, refused)
        })
    }

    fn leave(&self) {
        self.with(|state| {
            let Some(group) = state.groups.get_mut(&self.group) else { return };
            group.remove(self.id, Instant::now());
            // A group whose commits are still under way is kept: a successor waits for them.
            if group.members.is_empty() && group.slots.values().all(|slot| slot.committing == 0) {
                state.groups.remove(&self.group);
            }
        });
    }
}

async fn wait(woken: &mut watch::Receiver<()>, until: Option<Instant>) {
    // A member that was removed is told so by the next step.
    let changed = woken.changed().map(drop);
    match until {
        None => changed.await,
        Some(until) => tokio::select! {
            biased;
            () = changed => {}
            () = sleep_until(until) => {}
        },
    }
}

impl<B: Backing> Consumer for GroupMember<B> {
    fn next(&self) -> BoxFuture<'_, Result<ConsumerEvent, LogError>> {
        self.next_event().boxed()
    }

    fn commit(&self, commits: Vec<Commit>) -> BoxFuture<'_, Result<Vec<CommitError>, LogError>> {
        // Before the first poll, so that commits are stored in the order of the calls.
        let (admitted, refused) = self.admit(commits);
        if admitted.is_empty() {
            return futures::future::ready(Ok(refused)).boxed();
        }
        let (ticket, stored) = Ticket::new(self.log.clone(), self.group.clone(), admitted);
        self.log.clone().store(ticket);
        async move {
            match stored.await {
                Ok(result) => result.map(|()| refused),
                Err(_) => Err(LogError::Closed),
            }
        }
        .boxed()
    }

    fn pause(&self, at: &TopicPartition) {
        self.with_ours(at, |holder| holder.paused = true);
    }

    fn resume(&self, at: &TopicPartition) {
        self.with_ours(at, |holder| holder.paused = false);
    }

    fn restart(&self, at: &TopicPartition) {
        self.with_ours(at, |holder| {
            if holder.hold == Hold::Keeping {
                holder.epoch = None;
                holder.stopped = Stop::No;
            }
        });
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async { self.leave() }.boxed()
    }
}

impl<B: Backing> Drop for GroupMember<B> {
    fn drop(&mut self) {
        self.leave();
    }
}
