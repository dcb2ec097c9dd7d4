//! A member of a group that can be cut off from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout};

use super::{CommitFault, Faults, Gate, away, stale};
use crate::{
    Commit, CommitError, Consumer, ConsumerEvent, Epoch, EventLog, LogError, RevokeAck, Revoked,
    Subscription, TopicPartition,
};

/// How long a commit of a member that is cut off waits before it fails.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct FaultyConsumer {
    to: Subscription,
    faults: Arc<dyn Faults>,
    state: Mutex<State>,
    /// Whether it is connected.
    connected: Gate,
}

struct State {
    /// `None` = the group has given it up.
    inner: Option<Arc<dyn Consumer>>,
    held: BTreeMap<TopicPartition, Epoch>,
    /// What it has lost and has still to hear of.
    lost: Vec<(TopicPartition, Epoch)>,
    closed: bool,
}

impl FaultyConsumer {
    pub(super) fn new(inner: Arc<dyn Consumer>, to: Subscription, faults: Arc<dyn Faults>) -> Self {
        let (held, lost) = (BTreeMap::new(), Vec::new());
        let state = Mutex::new(State { inner: Some(inner), held, lost, closed: false });
        Self { to, faults, state, connected: Gate::new(true) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_of(&self, group: &str) -> bool {
        self.to.group == group
    }

    pub(super) fn cut_off(&self) {
        self.connected.set(false);
    }

    pub(super) fn evict(&self) {
        if self.connected.is_open() {
            return;
        }
        let mut state = self.state();
        let held = std::mem::take(&mut state.held);
        state.lost.extend(held);
        // Dropped without the lock: leaving wakes others.
        let inner = state.inner.take();
        drop(state);
        drop(inner);
    }

    pub(super) async fn reconnect(&self, log: &dyn EventLog) -> Result<(), LogError> {
        let gone = {
            let state = self.state();
            state.inner.is_none() && !state.closed
        };
        if gone {
            let inner = log.subscribe(self.to.clone()).await?;
            self.state().inner = Some(inner);
        }
        self.connected.set(true);
        Ok(())
    }

    /// The member behind, while it is connected.
    async fn inner(&self) -> Result<Arc<dyn Consumer>, LogError> {
        self.connected.until(true).await;
        self.state().inner.clone().ok_or(LogError::Closed)
    }

    async fn next_event(&self) -> Result<ConsumerEvent, LogError> {
        loop {
            let inner = self.inner().await?;
            let lost = std::mem::take(&mut self.state().lost);
            if !lost.is_empty() {
                let (ack, _) = RevokeAck::new();
                let since = Instant::now();
                let revoked = Revoked { partitions: lost, ack, since, lost: true };
                return Ok(ConsumerEvent::Revoked(revoked));
            }
            let event = tokio::select! {
                biased;
                () = self.connected.until(false) => continue,
                event = inner.next() => event?,
            };
            self.remember(&event);
            return Ok(event);
        }
    }

    fn remember(&self, event: &ConsumerEvent) {
        let mut state = self.state();
        match event {
            ConsumerEvent::Assigned(assigned) => {
                self.faults.assigned(&self.to.group, assigned);
                state.held.extend(assigned.iter().map(|new| (new.at.clone(), new.epoch)));
            }
            ConsumerEvent::Revoked(revoked) => {
                state.held.retain(|at, _| revoked.partitions.iter().all(|(gone, _)| gone != at));
            }
            ConsumerEvent::Records { .. } | ConsumerEvent::Stopped { .. } => {}
        }
    }

    async fn commit_all(&self, mut commits: Vec<Commit>) -> Result<Vec<CommitError>, LogError> {
        let fault = self.faults.commit_fault(&self.to.group, &mut commits);
        match fault {
            Some(CommitFault::Refused) => return Ok(stale(&commits)),
            Some(CommitFault::Failed) => return Err(away()),
            Some(CommitFault::Slow(delay)) => sleep(delay).await,
            Some(CommitFault::Unacknowledged) | None => {}
        }
        let Ok(inner) = timeout(COMMIT_PATIENCE, self.inner()).await else { return Err(away()) };
        let refused = inner?.commit(commits.clone()).await?;
        let at = |error: &CommitError| match error {
            CommitError::Stale(at) | CommitError::NoteTooLong(at) => at.clone(),
        };
        let refused_at: Vec<_> = refused.iter().map(at).collect();
        commits.retain(|commit| !refused_at.contains(&commit.at));
        self.faults.committed(&self.to.group, &commits);
        match fault {
            Some(CommitFault::Unacknowledged) => Err(away()),
            _ => Ok(refused),
        }
    }

    fn with_inner(&self, tell: impl FnOnce(&dyn Consumer)) {
        let inner = self.state().inner.clone();
        if let Some(inner) = inner {
            tell(&*inner);
        }
    }
}

impl Consumer for FaultyConsumer {
    fn next(&self) -> BoxFuture<'_, Result<ConsumerEvent, LogError>> {
        Box::pin(self.next_event())
    }

    fn commit(&self, commits: Vec<Commit>) -> BoxFuture<'_, Result<Vec<CommitError>, LogError>> {
        self.faults.commit(&commits);
        Box::pin(self.commit_all(commits))
    }

    fn pause(&self, at: &TopicPartition) {
        self.with_inner(|inner| inner.pause(at));
    }

    fn resume(&self, at: &TopicPartition) {
        self.with_inner(|inner| inner.resume(at));
    }

    fn restart(&self, at: &TopicPartition) {
        self.with_inner(|inner| inner.restart(at));
    }

    fn lease(&self) -> Option<Duration> {
        self.faults.lease().or_else(|| self.state().inner.as_ref().and_then(|inner| inner.lease()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let inner = {
                let mut state = self.state();
                state.closed = true;
                state.inner.take()
            };
            if let Some(inner) = inner {
                inner.close().await;
            }
        })
    }
}
