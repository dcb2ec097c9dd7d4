//! A member of a group that keeps what it hears, and checks what every adapter owes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::select_all;

use super::kit::within;
use crate::{
    Assignment, Commit, CommitError, Consumer, ConsumerEvent, Epoch, Record, Revoked,
    TopicPartition,
};

pub(super) struct Member {
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) holds: BTreeMap<TopicPartition, Assignment>,
    /// Where the next record of a held partition may lie.
    pub(super) next: BTreeMap<TopicPartition, u64>,
    /// Every record received, in the order of receipt.
    pub(super) records: Vec<Record>,
    pub(super) stopped: BTreeMap<TopicPartition, String>,
    /// Whether revocations are kept in `unacked`, rather than committed and acknowledged.
    pub(super) keeps_revoked: bool,
    pub(super) unacked: Vec<Revoked>,
    last_epochs: BTreeMap<TopicPartition, Epoch>,
}

impl Member {
    pub(super) fn new(consumer: Arc<dyn Consumer>) -> Self {
        Self {
            consumer,
            holds: BTreeMap::new(),
            next: BTreeMap::new(),
            records: Vec::new(),
            stopped: BTreeMap::new(),
            keeps_revoked: false,
            unacked: Vec::new(),
            last_epochs: BTreeMap::new(),
        }
    }

    pub(super) async fn apply(&mut self, event: ConsumerEvent) {
        match event {
            ConsumerEvent::Assigned(assigned) => self.assigned(assigned),
            ConsumerEvent::Records { epoch, records } => self.received(epoch, records),
            ConsumerEvent::Stopped { at, why } => {
                assert!(!why.is_empty(), "a stopped partition says why");
                self.stopped.insert(at, why);
            }
            ConsumerEvent::Revoked(revoked) => {
                if !self.keeps_revoked && !revoked.lost {
                    self.commit_all("revoked").await;
                }
                for (at, epoch) in &revoked.partitions {
                    let held = self.holds.remove(at).map(|held| held.epoch);
                    if self.stopped.remove(at).is_none() {
                        assert_eq!(held, Some(*epoch), "revoked as it was assigned: {at}");
                    }
                }
                if self.keeps_revoked {
                    self.unacked.push(revoked);
                } else {
                    revoked.ack.done();
                }
            }
        }
    }

    fn assigned(&mut self, assigned: Vec<Assignment>) {
        assert!(!assigned.is_empty(), "an assignment names partitions");
        for assignment in assigned {
            let at = assignment.at.clone();
            if let Some(last) = self.last_epochs.insert(at.clone(), assignment.epoch) {
                assert!(last < assignment.epoch, "epochs rise: {at}");
            }
            self.next.insert(at.clone(), assignment.position);
            self.holds.insert(at, assignment);
        }
    }

    fn received(&mut self, epoch: Epoch, records: Vec<Record>) {
        assert!(!records.is_empty(), "records are never empty");
        for record in records {
            let at = record.at();
            let held = self.holds.get(&at).map(|held| held.epoch);
            assert_eq!(held, Some(epoch), "records come only under the current epoch: {at}");
            let next = self.next.entry(at).or_default();
            assert!(*next <= record.offset, "offsets rise from the position on");
            *next = record.offset + 1;
            self.records.push(record);
        }
    }

    /// Takes events until `done`.
    pub(super) async fn until(&mut self, done: impl Fn(&Member) -> bool) {
        drive(&mut [self], |members| done(members[0])).await;
    }

    /// Takes events until so many partitions are ours.
    pub(super) async fn until_holding(&mut self, partitions: usize) {
        self.until(|member| member.holds.len() == partitions).await;
    }

    pub(super) fn commit_of(&self, at: &TopicPartition, offset: u64, note: &str) -> Commit {
        let epoch = self.holds[at].epoch;
        Commit { at: at.clone(), epoch, offset, note: note.to_owned() }
    }

    pub(super) async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitError> {
        within("a commit", self.consumer.commit(commits)).await.unwrap()
    }

    /// Commits everything received of what is held.
    pub(super) async fn commit_all(&self, note: &str) -> Vec<CommitError> {
        let commit = |at: &TopicPartition| self.commit_of(at, self.next[at], note);
        self.commit(self.holds.keys().map(commit).collect()).await
    }

    pub(super) async fn close(self) {
        within("leaving", self.consumer.close()).await;
    }
}

/// Lets members take events until `done`.
pub(super) async fn drive(members: &mut [&mut Member], done: impl Fn(&[&mut Member]) -> bool) {
    while !done(members) {
        let nexts = members.iter().map(|member| {
            let consumer = member.consumer.clone();
            async move { consumer.next().await }.boxed()
        });
        let (event, index, _) = within("an expected event", select_all(nexts)).await;
        members[index].apply(event.unwrap()).await;
    }
}
