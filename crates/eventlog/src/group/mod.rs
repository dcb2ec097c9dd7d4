//! Consumer groups inside one process, for the adapters that have no broker to ask.
//!
//! Holds who is in which group, who owns which partition under which epoch, and the committed
//! offsets (a copy of what the adapter keeps). Has no thread, no task and no runtime of its own: a
//! member's own call of `next` does all the work, so a group outlives the runtime of its members.
//! Never orders anything by a hash.

mod member;
mod share;
mod state;
mod step;
mod ticket;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::consumer::{Committed, Consumer, Subscription, TopicPartition};
use crate::record::Record;
use crate::{Bounds, LogError};

use member::GroupMember;
use state::{Group, Member, MemberId};

pub(crate) use ticket::Ticket;

/// The most bytes of records that one read for a consumer takes, unless one record is longer.
pub(crate) const FETCH_BYTES: usize = 4 << 20;

/// What an adapter does for its groups. Called with the groups' lock held where it is not async,
/// so it must not call back.
pub(crate) trait Backing: Send + Sync + 'static {
    fn groups(&self) -> &Groups;

    fn partition_count(&self, topic: &str) -> Option<u32>;

    fn bounds(&self, at: &TopicPartition) -> Option<Bounds>;

    /// Records from `from` on: at most `max` and about [`FETCH_BYTES`].
    fn fetch<'a>(
        &'a self,
        at: &'a TopicPartition,
        from: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Fetched, LogError>>;

    /// Makes the ticket's commits durable, in the order of the calls, then finishes the ticket.
    fn store(self: Arc<Self>, ticket: Ticket<Self>)
    where
        Self: Sized;
}

/// What one read found.
pub(crate) struct Fetched {
    /// The log's start when it was read: records before it may have gone meanwhile.
    pub(crate) start: u64,
    pub(crate) records: Vec<Record>,
}

/// All groups of a log.
pub(crate) struct Groups(Mutex<State>);

/// Committed offsets by group and partition.
pub(crate) type Offsets = BTreeMap<Arc<str>, BTreeMap<TopicPartition, Committed>>;

struct State {
    groups: BTreeMap<Arc<str>, Group>,
    committed: Offsets,
    last_member: u64,
    last_epoch: u64,
    last_release: u64,
    /// Wakes whoever follows a partition without a group, in the order in which they began. One
    /// channel for each: several waiters of one channel wake in random order (I9).
    followed: BTreeMap<TopicPartition, Vec<watch::Sender<()>>>,
}

impl Groups {
    /// No members; `committed` is what the log has kept.
    pub(crate) fn new(committed: Offsets) -> Self {
        Self(Mutex::new(State {
            groups: BTreeMap::new(),
            committed,
            last_member: 0,
            last_epoch: 0,
            last_release: 0,
            followed: BTreeMap::new(),
        }))
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // Every change is complete before anything that could panic.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes whenever a partition has new records.
    pub(crate) fn woken_by(&self, at: &TopicPartition) -> watch::Receiver<()> {
        let (wake, woken) = watch::channel(());
        self.with(|state| {
            let followers = state.followed.entry(at.clone()).or_default();
            followers.retain(|follower| !follower.is_closed());
            followers.push(wake);
        });
        woken
    }

    /// Wakes the owners and followers of partitions that have new records.
    pub(crate) fn appended(&self, partitions: &[TopicPartition]) {
        self.with(|state| {
            for follower in partitions.iter().filter_map(|at| state.followed.get(at)).flatten() {
                follower.send_replace(());
            }
            for group in state.groups.values() {
                for at in partitions {
                    if let Some(holder) = group.slots.get(at).and_then(|slot| slot.holder.as_ref())
                    {
                        group.wake(holder.member);
                    }
                }
            }
        });
    }
}

/// What a group has committed: see [`crate::EventLog::committed`].
pub(crate) fn committed<B: Backing>(
    log: &B,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<Vec<Option<Committed>>, LogError> {
    if let Some(unknown) = partitions.iter().find(|at| log.bounds(at).is_none()) {
        return Err(LogError::UnknownPartition(unknown.clone()));
    }
    Ok(log.groups().with(|state| {
        let of_group = state.committed.get(group);
        partitions.iter().map(|at| of_group?.get(at).cloned()).collect()
    }))
}

/// Joins a group.
///
/// # Errors
/// [`LogError::UnknownPartition`] if a topic does not exist.
pub(crate) fn subscribe<B: Backing>(
    log: &Arc<B>,
    to: Subscription,
) -> Result<Arc<dyn Consumer>, LogError> {
    let mut partitions = Vec::new();
    for topic in &to.topics {
        let unknown = || LogError::UnknownPartition(TopicPartition::new(topic, 0));
        let count = log.partition_count(topic).ok_or_else(unknown)?;
        let topic: Arc<str> = topic.as_str().into();
        partitions
            .extend((0..count).map(|n| TopicPartition { topic: topic.clone(), partition: n }));
    }
    let group: Arc<str> = to.group.as_str().into();
    let (wake, woken) = watch::channel(());
    let member = Member {
        topics: to.topics.iter().map(|topic| topic.as_str().into()).collect(),
        max_batch: to.max_batch.max(1),
        revoke_deadline: to.revoke_deadline,
        wake,
        lost: Vec::new(),
        last_served: None,
    };
    let id = log.groups().with(|state| {
        state.last_member += 1;
        let id = MemberId(state.last_member);
        let group = state.groups.entry(group.clone()).or_default();
        group.members.insert(id, member);
        for at in partitions {
            group.slots.entry(at).or_default();
        }
        group.rebalance(Instant::now());
        id
    });
    Ok(Arc::new(GroupMember::new(log.clone(), group, id, woken)))
}
